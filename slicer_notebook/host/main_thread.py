"""Hand work to Slicer's main thread: MRML, VTK and Qt are touched there only."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["MainThread"]

_Work = tuple[Callable[[], Any], "Future[Any]"]


class MainThread:
    """A queue that the main thread drains.

    Args:
        wake: thread-safe; makes the main thread call `drain` soon. The host's event loop gives it.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], None]) -> None:
        self._wake = wake
        self._queue: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self.ident = threading.get_ident()
        #: Set whenever work comes in; an in-process wait on the main thread watches it.
        self.pending = threading.Event()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` on the main thread; its result or exception comes back here."""
        return self.hand_over(function).result()

    def hand_over(self, function: Callable[[], Any]) -> Future[Any]:
        """As `submit`; on the main thread itself the function runs at once."""
        if threading.get_ident() != self.ident:
            return self.submit(function)
        future: Future[Any] = Future()
        try:
            future.set_result(function())
        except BaseException as exc:  # noqa: BLE001 - it is raised by the future
            future.set_exception(exc)
        return future

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Run ``function`` on the main thread, some time soon."""
        future: Future[Any] = Future()
        self._queue.put((function, future))
        self.pending.set()
        self._wake(self.drain)
        return future

    def drain(self) -> None:
        """Run what is waiting. On the main thread only."""
        self.pending.clear()
        while True:
            try:
                function, future = self._queue.get_nowait()
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as exc:  # noqa: BLE001 - whatever it is belongs to the one who asked
                future.set_exception(exc)
