"""One search of several PACS at a time: what each has answered so far, put together and labelled."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slicer_notebook.pacs.keys import level_of
from slicer_notebook.widgets.pacs_answers import STUDY_ATTRIBUTES, study_row
from slicer_notebook.widgets.pacs_form import question_level
from slicer_notebook.widgets.pacs_questions import Question, Questions

__all__ = ["Search"]

Record = dict[str, Any]
Row = dict[str, Any]


class _Asked:
    """What one PACS has answered."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.studies: dict[str, Record] = {}
        #: whether the limit cut the answers off
        self.more = False
        #: answers that name no study, and so can be neither shown nor retrieved
        self.odd = 0

    def words(self) -> dict[str, Any]:
        """What the browser shows of it."""
        return {
            "server": self.question.server,
            "state": self.question.state,
            "count": len(self.studies),
            "more": self.more,
            "odd": self.odd,
            "error": self.question.error,
        }


class Search:
    """One search.

    Args:
        questions: where it is asked.
        serial: counts the searches of a widget.
        keys: what is asked for, as of `Pacs.find`.
        servers: the PACS that are asked.
        limit: studies of each (series, where the keys are of series), at most.
        came: told, on any thread, of further rows (`study_row`); none where only the state of a PACS is new.

    Attributes:
        when: it began, ISO 8601.
        ended: set when all have answered, failed, or were stopped.
    """

    def __init__(
        self,
        questions: Questions,
        serial: int,
        keys: Mapping[str, Any],
        servers: Sequence[str],
        *,
        limit: int,
        came: Callable[[Search, list[Row]], None],
    ) -> None:
        self.serial = serial
        self.keys = dict(keys)
        self.limit = limit
        self.when = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
        self.ended = threading.Event()
        self._questions = questions
        self._came = came
        self._lock = threading.RLock()
        self.level = question_level(keys)
        self._asked = {name: _Asked(self._question(name)) for name in dict.fromkeys(servers)}

    def begin(self) -> None:
        """Ask. Does not wait."""
        for asked in self._asked.values():
            self._questions.ask(asked.question)

    def _question(self, server: str) -> Question:
        include = STUDY_ATTRIBUTES if self.level == "SERIES" else ()
        # One more than is shown tells whether there is more.
        return Question(server, self.level, self.keys, self._take, limit=self.limit + 1, include=include)

    def again(self, server: str) -> None:
        """Ask a PACS once more that has failed; what it answered before stays. Does not wait."""
        with self._lock:
            asked = self._asked.get(server)
            if asked is None or asked.question.state != "failed":
                return
            asked.question = self._question(server)
            asked.more, asked.odd = False, 0
            self.ended.clear()
        self._came(self, [])
        self._questions.ask(asked.question)

    def stop(self) -> None:
        """Have all of them stop; what came until then stays."""
        self._questions.stop([asked.question for asked in self._asked.values()])

    @property
    def goes_on(self) -> bool:
        """Whether more may come."""
        return any(asked.question.goes_on for asked in self._asked.values())

    def words(self) -> dict[str, Any]:
        """What the browser shows of it, beside its rows."""
        with self._lock:
            servers = [asked.words() for asked in self._asked.values()]
        asked = " \u00b7 ".join(f"{name} {_key_in_words(value)}" for name, value in self.keys.items() if value)
        return {"serial": self.serial, "servers": servers, "going": self.goes_on, "asked": asked, "limit": self.limit}

    @property
    def servers(self) -> list[str]:
        """Names of the PACS that are asked."""
        return list(self._asked)

    def errors(self) -> dict[str, dict[str, str]]:
        """What went wrong, by PACS."""
        return {name: dict(asked.question.error) for name, asked in self._asked.items() if asked.question.error}

    def rows(self) -> list[Row]:
        """Rows of all studies so far, in the order in which the PACS were asked."""
        return [study_row(server, record) for server, record in self._records()]

    def answers(self) -> list[Record]:
        """All answers so far, each with its ``server``."""
        return [{**record, "server": server} for server, record in self._records()]

    def record(self, server: str, study: str) -> Record | None:
        """The answer of a PACS about a study."""
        with self._lock:
            asked = self._asked.get(server)
            return None if asked is None else asked.studies.get(study)

    def _records(self) -> list[tuple[str, Record]]:
        with self._lock:
            return [(name, record) for name, asked in self._asked.items() for record in asked.studies.values()]

    def _take(self, question: Question, records: list[Record]) -> None:
        fresh: list[Row] = []
        with self._lock:
            asked = self._asked[question.server]
            for number, record in enumerate(records, question.received - len(records)):
                study = str(record.get("StudyInstanceUID") or "").strip()
                if number >= self.limit:
                    asked.more = True
                elif not study:
                    asked.odd += 1
                elif study not in asked.studies:
                    asked.studies[study] = self._of_study({**record, "StudyInstanceUID": study})
                    fresh.append(study_row(question.server, asked.studies[study]))
            ended = not self.goes_on
        self._came(self, fresh)
        if ended:
            self.ended.set()

    def _of_study(self, record: Record) -> Record:
        if self.level == "STUDY":
            return record
        own = {name for name in self.keys if level_of(name) in ("PATIENT", "STUDY")}
        wanted = {*STUDY_ATTRIBUTES, "StudyInstanceUID", *own}
        return {name: value for name, value in record.items() if name in wanted}


def _key_in_words(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)
