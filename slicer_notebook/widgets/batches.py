"""Several requests whose answers are shown together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from slicer_notebook.session import Job

__all__ = ["Batch"]

K = TypeVar("K", bound=Hashable)


class Batch(Generic[K]):
    """Waits, without anybody who waits, for all of some jobs.

    Args:
        keys: names the jobs.
        ended: called with the jobs by key, when the last of them has ended.
    """

    def __init__(self, keys: Iterable[K], ended: Callable[[dict[K, Job[Any]]], None]) -> None:
        self._left = set(keys)
        self._found: dict[K, Job[Any]] = {}
        self._ended = ended
        self._lock = threading.Lock()

    def taker(self, key: K) -> Callable[[Job[Any]], None]:
        """What takes the job of a key when it has ended."""

        def take(job: Job[Any]) -> None:
            with self._lock:
                self._found[key] = job
                self._left.discard(key)
                last = not self._left
            if last:
                self._ended(self._found)

        return take
