"""Instances that wait to be written, in memory or aside: handed to the threads that write in batches."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from slicer_notebook.dicom.records import Instance

__all__ = ["Batches", "Given"]

#: Bytes in memory that wait to be written; a new one waits for its place then.
WAITING: Final = 32 << 20
#: Instances, and bytes of them, in a batch at most.
BATCH, BATCH_BYTES = 64, 8 << 20
#: Seconds that a batch waits for more: a thread that is woken for each instance keeps the one that reads from its work.
_GATHER: Final = 0.02


class Given(NamedTuple):
    """An instance that came to its end."""

    #: where it is aside; "" while it is in memory
    path: str
    #: that file, open; -1 where it is not
    file: int
    data: bytearray
    size: int
    #: what has been read of it already, and found whole
    instance: Instance | None = None


class Batches:
    """See the module. Used by several threads.

    Args:
        check: raises what ends all waiting.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        #: for those who write, and for those who wait for them
        self._ready, self._written = threading.Condition(self._lock), threading.Condition(self._lock)
        self._queue: deque[tuple[int, Given]] = deque()
        self._size = 0
        #: when the queue was last empty
        self._since = 0.0
        self._in_memory = 0
        self._numbers = itertools.count(1)
        self._unwritten: set[int] = set()
        self._hurried = 0
        self._closed = False

    def put(self, given: Given) -> None:
        """Hand one in; waits while too much is not written yet. Raises as ``check``; it is still the caller's then."""
        weight = len(given.data)
        with self._lock:
            while self._in_memory and self._in_memory + weight > WAITING:
                self._check()
                self._written.wait(0.5)
            self._check()
            number = next(self._numbers)
            self._in_memory += weight
            self._size += given.size
            self._unwritten.add(number)
            if not self._queue:
                self._since = time.monotonic()
            self._queue.append((number, given))
            if len(self._queue) == 1 or self._enough():
                self._ready.notify()

    def _enough(self) -> bool:
        return len(self._queue) >= BATCH or self._size >= BATCH_BYTES or self._hurried > 0 or self._closed

    def take(self) -> list[tuple[int, Given]]:
        """The next batch, to be given to `done`; waits until there is something. Empty: there will be no more."""
        with self._lock:
            while True:
                if not self._queue:
                    if self._closed:
                        return []
                    self._ready.wait()
                elif self._enough() or (rest := self._since + _GATHER - time.monotonic()) <= 0:
                    break
                else:
                    self._ready.wait(rest)
            batch: list[tuple[int, Given]] = []
            size = 0
            while self._queue and len(batch) < BATCH and size < BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1][1].size
            self._size -= size
            if self._queue:
                self._ready.notify()
            return batch

    def done(self, batch: list[tuple[int, Given]]) -> None:
        """It is written, or cannot be."""
        with self._lock:
            self._in_memory -= sum(len(given.data) for _, given in batch)
            self._unwritten.difference_update(number for number, _ in batch)
            self._written.notify_all()

    def flush(self) -> None:
        """Wait until all that was handed in so far is done. Raises as ``check``."""
        with self._lock:
            last = next(self._numbers)
            self._hurried += 1
            self._ready.notify_all()
            try:
                while any(number < last for number in self._unwritten):
                    self._check()
                    self._written.wait(0.5)
            finally:
                self._hurried -= 1

    def stop(self) -> None:
        """``check`` has something to raise: whoever waits looks at it."""
        with self._lock:
            self._written.notify_all()

    def close(self) -> None:
        """Nothing more is handed in; what was, is still taken."""
        with self._lock:
            self._closed = True
            self._ready.notify_all()
