"""One call on the main thread for all that waits, soon, and never so often that nothing else has its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["MainCalls"]


class MainCalls:
    """Has a function called on the main thread when asked to; many requests are one call.

    A call that took long is followed by as long a rest: what comes over the network takes at most half of the main
    thread, however fast it comes.

    Args:
        submit: begins a call on the main thread, soon; not to be called there itself, where it would call at once.
        name: of the thread that waits for the end of a rest.
    """

    def __init__(self, submit: Callable[[], Any], name: str) -> None:
        self._submit = submit
        self._name = name
        self._changed = threading.Condition()
        self._wanted = False
        self._submitted = False
        self._rest_until = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False

    def request(self) -> None:
        """Have the function called, once for all requests until then. From any thread."""
        with self._changed:
            if self._submitted or self._wanted:
                return
            if threading.current_thread() is threading.main_thread() or time.monotonic() < self._rest_until:
                self._later()
                return
            self._submitted = True
        self._submit()

    def begins(self) -> float:
        """The call begins: what is asked for from now on is for the next one. The moment, for `ended`."""
        with self._changed:
            self._submitted = False
        return time.monotonic()

    def ended(self, began: float) -> None:
        """The call has ended."""
        now = time.monotonic()
        with self._changed:
            self._rest_until = now + (now - began)

    def _later(self) -> None:
        """With the lock held."""
        self._wanted = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._wait, name=self._name, daemon=True)
            self._thread.start()
        self._changed.notify()

    def _wait(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                while (left := self._rest_until - time.monotonic()) > 0:
                    self._changed.wait(left)
                self._wanted = False
                self._submitted = True
            self._submit()
