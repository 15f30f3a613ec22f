"""What tests of entries share that all notebooks are told of: what was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import slicer_notebook as sn

DEADLINE = 30.0


class Hearing:
    """A session's view of entries.

    Args:
        event: what Slicer tells of them as.

    Attributes:
        known: entries by id, as they were told last; ``history``: all that was told.
        times: when events came.
    """

    def __init__(self, slicer: sn.Session, event: str) -> None:
        self.slicer = slicer
        self.known: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.times: list[float] = []
        self._news = threading.Condition()
        self.subscription = slicer.on(event, self._take)

    def _take(self, event: dict[str, Any]) -> None:
        with self._news:
            self.times.append(time.monotonic())
            for entry in event["entries"]:
                self.history.append(entry)
                self.known[entry["id"]] = entry
            for number in event["gone"]:
                self.known.pop(number, None)
            self._news.notify_all()

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until it is so; a hang is a failure."""
        with self._news:
            assert self._news.wait_for(condition, DEADLINE), f"{what}; known: {self._summary()}"

    def _summary(self) -> Any:
        return self.known
