"""What is below a study that a PACS has: its series, their instances, what a series will become; asked when opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import SessionError, error_in_words
from slicer_notebook.session import Job
from slicer_notebook.widgets.pacs_answers import instance_row, key_of, series_row
from slicer_notebook.widgets.pacs_questions import Question, Questions
from slicer_notebook.widgets.rows import plan_facts

__all__ = ["Below"]

Record = dict[str, Any]

#: Instances of a series that are listed: nobody reads more, and their number is known without.
INSTANCES: Final = 2000
#: Studies and series whose answers are kept.
_KEPT: Final = 300


class Below:
    """The answers below studies.

    Args:
        questions: where they are asked.
        ask: begins a command.
        tell: sends a message to the browser: ``series``, ``instances`` or ``plan``; on any thread.
    """

    def __init__(
        self, questions: Questions, ask: Callable[..., Job[Any] | None], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._questions = questions
        self._ask = ask
        self._tell = tell
        self._lock = threading.RLock()
        self._messages: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self._records: dict[str, Record] = {}
        #: (what, key) -> answers so far
        self._coming: dict[tuple[str, str], list[Record]] = {}

    def record(self, key: str) -> Record | None:
        """The answer about a series, by its key; None while nobody has opened its study."""
        with self._lock:
            return self._records.get(key)

    def series(self, key: str) -> None:
        """The series of a study (``server study``)."""
        _, study = key.split(" ")
        self._open("series", key, "SERIES", {"StudyInstanceUID": study})

    def instances(self, key: str) -> None:
        """The instances of a series (``server study series``)."""
        _, study, series = key.split(" ")
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        self._open("instances", key, "IMAGE", keys, INSTANCES + 1)

    def plan(self, key: str) -> None:
        """What a series will become."""
        if self._known("plan", key):
            return
        server, study, series = key.split(" ")
        with self._lock:
            if ("plan", key) in self._coming:
                return
            self._coming["plan", key] = []
        asked = self._ask("pacs.plan", lambda job: self._planned(key, job), server=server, study=study, series=series)
        if asked is None:
            with self._lock:
                self._coming.pop(("plan", key), None)

    def forget(self) -> None:
        """Another search, or no Slicer."""
        with self._lock:
            self._messages.clear()
            self._records, self._coming = {}, {}

    def _known(self, what: str, key: str) -> bool:
        with self._lock:
            message = self._messages.get((what, key))
        if message is not None:
            self._tell(message)
        return message is not None

    def _open(self, what: str, key: str, level: str, keys: dict[str, Any], limit: int | None = None) -> None:
        if self._known(what, key):
            return
        with self._lock:
            if (what, key) in self._coming:
                return
            self._coming[what, key] = []
        server = key.partition(" ")[0]
        self._questions.ask(
            Question(server, level, keys, lambda asked, page: self._take(what, key, asked, page), limit=limit)
        )

    def _take(self, what: str, key: str, question: Question, page: list[Record]) -> None:
        with self._lock:
            found = self._coming.get((what, key))
            if found is None:
                return  # of a search that is no more
            found += page
            if question.goes_on:
                return
            del self._coming[what, key]
        if question.state != "done":
            words = question.error or {"message": "The question was stopped.", "hint": "", "kind": ""}
            self._tell({"type": what, "key": key, "error": words})
        elif what == "series":
            self._keep(what, key, {"rows": self._series_of(key, found)})
        else:
            rows = sorted((instance_row(each) for each in found[:INSTANCES]), key=_in_order)
            self._keep(what, key, {"rows": rows, "more": len(found) > INSTANCES})

    def _series_of(self, key: str, found: list[Record]) -> list[dict[str, Any]]:
        server, study = key.split(" ")
        records = [
            {**each, "StudyInstanceUID": study, "server": server} for each in found if each.get("SeriesInstanceUID")
        ]
        with self._lock:
            self._records.update((key_of(server, record), record) for record in records)
        return sorted((series_row(server, record) for record in records), key=_in_order)

    def _planned(self, key: str, job: Job[Any]) -> None:
        error = job.exception(0)
        with self._lock:
            if self._coming.pop(("plan", key), None) is None:
                return
        if isinstance(error, SessionError):
            return
        words = {"error": error_in_words(error)} if error is not None else {"plan": plan_facts(job.result(0))}
        self._keep("plan", key, words)

    def _keep(self, what: str, key: str, words: dict[str, Any]) -> None:
        message = {"type": what, "key": key, **words}
        with self._lock:
            self._messages[what, key] = message
            while len(self._messages) > _KEPT:
                self._messages.popitem(last=False)
        self._tell(message)


def _in_order(row: dict[str, Any]) -> tuple[bool, int]:
    """By number, those without one last; of one number as they came."""
    return row["number"] is None, row["number"] or 0
