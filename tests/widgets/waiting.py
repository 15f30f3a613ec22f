"""Waiting for a widget, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Recorder", "until_file", "wait_until"]

#: Seconds: what is waited for takes milliseconds; a loaded machine gets its time.
DEADLINE = 30.0


def wait_until(widget: Any, condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait until ``condition()``, looked at whenever a trait of the widget changes."""
    changed = threading.Event()

    def look(_change: Any) -> None:
        if condition():
            changed.set()

    widget.observe(look)
    try:
        if not condition() and not changed.wait(deadline):
            raise AssertionError(f"not in {deadline:.0f} s: {what}")
    finally:
        widget.unobserve(look)


def until_file(path: Path, deadline: float = DEADLINE) -> None:
    """Wait until another process has made a file."""
    end = time.monotonic() + deadline
    while not path.exists():
        if time.monotonic() > end:
            raise AssertionError(f"not in {deadline:.0f} s: {path}")
        threading.Event().wait(0.01)


class Recorder:
    """Stands in for a widget's way to the browser: keeps the custom messages.

    Args:
        widget: whose ``send`` it takes over.
    """

    def __init__(self, widget: Any) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        self._condition = threading.Condition()
        widget.send = self._send

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        with self._condition:
            self.messages.append((content, list(buffers or [])))
            self._condition.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a kind, so far."""
        with self._condition:
            return [content for content, _ in self.messages if content["type"] == kind]

    def wait(self, predicate: Callable[[dict[str, Any]], bool], deadline: float = DEADLINE) -> dict[str, Any]:
        """The first message that fits, waited for."""

        def found() -> dict[str, Any] | None:
            return next((content for content, _ in self.messages if predicate(content)), None)

        with self._condition:
            self._condition.wait_for(lambda: found() is not None, deadline)
            message = found()
        if message is None:
            raise AssertionError(f"no such message in {deadline:.0f} s, but {[m for m, _ in self.messages]}")
        return message
