"""Threads that work for somebody: what they show (where to sign in) belongs to the cell that has begun them."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["thread"]


def thread(target: Callable[..., object], name: str, *args: Any) -> threading.Thread:
    """A daemon thread, not begun yet, in a copy of the caller's context.

    ipykernel keeps there which cell an output belongs to. A thread with an empty context shows its outputs where the
    newest message came from, which may be a widget's, and then nobody sees them.
    """
    context = contextvars.copy_context()
    return threading.Thread(target=context.run, args=(target, *args), name=name, daemon=True)
