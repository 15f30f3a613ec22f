"""Where a widget's Python code runs, and how often.

A session's callbacks come on its background thread, which receives the answers: whoever waited for Slicer there would
wait for ever. The browser's messages come on the main thread or, in newer kernels, on a thread of their own while a
cell runs. So what a user may have hung onto a widget (observers of its traits) is called on the notebook's main thread,
while no cell runs; what only goes to the browser is sent from any thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

__all__ = ["Home", "Pacer"]

_log = logging.getLogger("slicer_notebook")


class Home:
    """The thread that made the widget, as far as it can be reached: the main thread of a kernel has an event loop.

    Without a loop (a plain script) one further thread takes its place, which may wait for Slicer.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def call(self, function: Callable[[], None]) -> None:
        """Call ``function`` there, soon. From any thread; in the order of the calls."""

        def run() -> None:
            try:
                function()
            except Exception:  # noqa: BLE001 - it is the user's, and there is nobody to raise it to
                _log.exception("A widget's callback failed.")

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(run)
        else:
            _stand_in().submit(run)


@cache
def _stand_in() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="slicer-notebook-widgets")


class Pacer:
    """Calls a function when asked to, but not too often and not while the former call's work is under way.

    Requests that come meanwhile are one request: the next call sees the newest state.

    Args:
        function: begins the work, on a thread of its own; whoever ends the work calls `finished`.
        interval: seconds between the beginnings of two calls, at least.
    """

    def __init__(self, function: Callable[[], None], interval: float) -> None:
        self._function = function
        self._interval = interval
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._wanted = False
        self._working = False
        self._closed = False
        self._last = -float("inf")

    def request(self) -> None:
        """Have the function called, as soon as it may be. From any thread."""
        with self._lock:
            self._wanted = True
            self._plan()

    def finished(self) -> None:
        """The work of the last call has ended."""
        with self._lock:
            self._working = False
            self._plan()

    def close(self) -> None:
        """Call no more."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _plan(self) -> None:
        if self._closed or self._working or not self._wanted or self._timer is not None:
            return
        delay = max(0.0, self._last + self._interval - time.monotonic())
        self._timer = threading.Timer(delay, self._run)
        self._timer.daemon = True
        self._timer.start()

    def _run(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed:
                return
            self._wanted = False
            self._working = True
            self._last = time.monotonic()
        try:
            self._function()
        except Exception:  # noqa: BLE001 - on a timer's thread nobody would see it
            _log.exception("A widget could not be brought up to date.")
            self.finished()
