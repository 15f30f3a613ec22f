"""Streams to OpenIGTLink peers: the newest of each, not more often than its receiver wants, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

__all__ = ["StreamSender"]

_log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    send: Callable[[], Any]
    interval: float
    due: float


class StreamSender:
    """Sends what changes. Encoding a message takes time that the main thread, where it is made, should not spend.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        #: one message for each stream: who is slow is owed no more than the newest
        self._waiting: dict[Hashable, _Waiting] = {}
        self._sent: dict[Hashable, float] = {}
        self._thread: threading.Thread | None = None

    def put(self, stream: Hashable, send: Callable[[], Any], interval: float = 0.0) -> None:
        """Call ``send`` soon, unless there is a newer one of the stream before.

        Args:
            stream: names it.
            interval: seconds between two of the stream, at least.
        """
        with self._changed:
            waiting = self._waiting.get(stream)
            if waiting is not None:
                waiting.send = send
                return
            self._waiting[stream] = _Waiting(send, interval, self._sent.get(stream, 0.0) + interval)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, stream: Hashable) -> None:
        """The stream has ended; what waits of it is not sent."""
        with self._changed:
            self._waiting.pop(stream, None)
            self._sent.pop(stream, None)

    def _run(self) -> None:
        while True:
            send = self._next()
            try:
                send()
            except Exception:  # noqa: BLE001 - whoever gave it handles what can go wrong; the others go on
                _log.exception("A stream's message was not sent.")

    def _next(self) -> Callable[[], Any]:
        with self._changed:
            while True:
                now = time.monotonic()
                for stream, waiting in self._waiting.items():
                    if waiting.due <= now:
                        del self._waiting[stream]
                        if waiting.interval:
                            self._sent[stream] = now
                        return waiting.send
                soonest = min((each.due for each in self._waiting.values()), default=None)
                self._changed.wait(None if soonest is None else soonest - now)
