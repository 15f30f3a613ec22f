"""Plans and thumbnails of series, fetched a few at a time in the order in which they come into view, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from slicer_notebook.errors import SessionError
from slicer_notebook.session import Job
from slicer_notebook.widgets.base import error_in_words
from slicer_notebook.widgets.rows import plan_facts

__all__ = ["Detail", "Details", "details_message"]

Detail = dict[str, Any]
"""What is known of a series: ``plan`` (`rows.plan_facts`) or ``plan_error``; ``png`` (bytes) or ``png_error``."""

#: Series that are fetched at the same time: two of Slicer's four workers stay free for loading.
_AT_ONCE: Final = 2
#: Series whose details are kept here; Slicer's end keeps them all on disk.
_KEPT: Final = 500


class Details:
    """What the picker shows of a series beyond its row.

    Args:
        ask: begins a command about the index.
        size: pixels of a thumbnail, at most.
        came: told what came, by series; on any thread.
    """

    def __init__(
        self, ask: Callable[..., Job[Any] | None], size: int, came: Callable[[dict[str, Detail]], None]
    ) -> None:
        self._ask = ask
        self._size = size
        self._came = came
        self._lock = threading.RLock()
        self._wanted: list[str] = []
        self._under_way: set[str] = set()
        self._known: OrderedDict[str, Detail] = OrderedDict()
        #: Counts `forget`: an answer from before it is not kept.
        self._age = 0

    def known(self, series_uid: str) -> Detail:
        """What came already; empty when nothing did."""
        with self._lock:
            return dict(self._known.get(series_uid, {}))

    def want(self, series: Sequence[str]) -> None:
        """Fetch these, in this order; what was wanted before and is not among them is not wanted any more.

        What is known here or on Slicer's disk comes at once, all of it together.
        """
        with self._lock:
            known = {uid: self._known[uid] for uid in series if uid in self._known}
            missing = [uid for uid in series if uid not in known]
            age = self._age
        if known:
            self._came(known)
        if missing and self._ask(
            "dicom.details_known", lambda job: self._found(missing, age, job), series=missing, size=self._size
        ):
            return
        with self._lock:
            self._wanted.clear()

    def forget(self) -> None:
        """The index has changed, or Slicer was lost: what is known may be wrong, and what is owed may not come."""
        with self._lock:
            self._age += 1
            self._known.clear()
            self._wanted.clear()
            self._under_way.clear()

    def _found(self, series: list[str], age: int, job: Job[Any]) -> None:
        found = {} if job.exception(0) is not None else {uid: _facts(raw) for uid, raw in job.result(0).items()}
        with self._lock:
            if age != self._age:
                return
            self._keep(found)
            self._wanted = [uid for uid in series if uid not in found and uid not in self._under_way]
        if found:
            self._came(found)
        self._go_on()

    def _go_on(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or len(self._under_way) >= _AT_ONCE:
                    return
                uid = self._wanted.pop(0)
                self._under_way.add(uid)
                age = self._age
            self._begin(uid, age)

    def _begin(self, uid: str, age: int) -> None:
        job = self._ask("dicom.detail", lambda done: self._answer(uid, age, done), series_uid=uid, size=self._size)
        if job is None:
            self.forget()

    def _answer(self, uid: str, age: int, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is None:
            detail = _facts(job.result(0))
        else:
            words = error_in_words(error)
            detail = {"plan_error": words, "png_error": words}
        with self._lock:
            if age != self._age:
                return
            self._under_way.discard(uid)
            if not isinstance(error, SessionError):
                self._keep({uid: detail})
        if not isinstance(error, SessionError):
            self._came({uid: detail})
        self._go_on()

    def _keep(self, found: dict[str, Detail]) -> None:
        for uid, detail in found.items():
            self._known[uid] = detail
            self._known.move_to_end(uid)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def details_message(details: Mapping[str, Detail]) -> tuple[dict[str, Any], list[bytes]]:
    """The message that tells a browser of these, and its buffers: the pictures."""
    pictures: list[bytes] = []
    words = []
    for uid, detail in details.items():
        png = detail.get("png")
        if png:
            pictures.append(png)
        plain = {key: value for key, value in detail.items() if key != "png"}
        words.append({"series": uid, "detail": plain, "png": len(pictures) - 1 if png else -1})
    return {"type": "details", "details": words}, pictures


def _facts(raw: dict[str, Any]) -> Detail:
    detail = dict(raw)
    if "plan" in detail:
        detail["plan"] = plan_facts(detail["plan"])
    return detail
