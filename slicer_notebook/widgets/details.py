"""Plans and thumbnails of series, fetched a few at a time in the order in which they come into view, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from slicer_notebook.errors import SessionError
from slicer_notebook.session import Job
from slicer_notebook.widgets.base import error_in_words
from slicer_notebook.widgets.rows import plan_facts

__all__ = ["Details"]

#: Series that are fetched at the same time: two of Slicer's four workers stay free for loading.
_AT_ONCE: Final = 2


class Details:
    """What the picker shows of a series beyond its row.

    Args:
        ask: begins a command about the index.
        size: pixels of a thumbnail, at most.
        came: told of each part when it comes: ``{"plan": ...}``, ``{"png": ...}`` or ``{"error": ...}``; any thread.
    """

    def __init__(
        self, ask: Callable[..., Job[Any] | None], size: int, came: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._ask = ask
        self._size = size
        self._came = came
        self._lock = threading.RLock()
        self._wanted: list[str] = []
        self._under_way: dict[str, int] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def known(self, series_uid: str) -> dict[str, Any]:
        """What came already; empty when nothing did."""
        with self._lock:
            return dict(self._known.get(series_uid, {}))

    def want(self, series: Sequence[str]) -> None:
        """Fetch these, in this order; what was wanted before and is not among them is not wanted any more."""
        with self._lock:
            self._wanted = [uid for uid in series if uid not in self._known and uid not in self._under_way]
        self._go_on()

    def forget_pending(self) -> None:
        """Answers that a lost Slicer owes will not come."""
        with self._lock:
            self._under_way.clear()

    def _go_on(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or len(self._under_way) >= _AT_ONCE:
                    return
                uid = self._wanted.pop(0)
                self._under_way[uid] = 2
            for part, command, more in (
                ("plan", "dicom.plan", {}),
                ("png", "dicom.thumbnail", {"size": self._size}),
            ):
                self._begin(uid, part, command, more)

    def _begin(self, uid: str, part: str, command: str, more: dict[str, Any]) -> None:
        if self._ask(command, lambda job: self._answer(uid, part, job), series_uid=uid, **more) is None:
            with self._lock:
                self._under_way.pop(uid, None)
                self._wanted.clear()

    def _answer(self, uid: str, part: str, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is None:
            raw = job.result(0)
            detail = {part: plan_facts(raw) if part == "plan" else raw}
        else:
            detail = {f"{part}_error": error_in_words(error)}
        with self._lock:
            if not isinstance(error, SessionError):
                self._known.setdefault(uid, {}).update(detail)
            left = self._under_way.get(uid, 1) - 1
            if left > 0:
                self._under_way[uid] = left
            else:
                self._under_way.pop(uid, None)
        if not isinstance(error, SessionError):
            self._came(uid, detail)
        self._go_on()
