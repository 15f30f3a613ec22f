"""Questions to PACS whose answers come as events: several at a time, each can be stopped, none is waited for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from slicer_notebook.errors import error_in_words
from slicer_notebook.session import Job

__all__ = ["Question", "Questions"]

Record = dict[str, Any]
State = Literal["waiting", "going", "done", "stopped", "failed"]

#: Questions of one widget that are under way at the same time; Slicer takes 16 of all its notebooks.
_AT_ONCE: Final = 8
#: Events that are kept while it is not known yet whose they are: some milliseconds' worth.
_EARLY: Final = 400

_NO_SLICER: Final = {"message": "There is no Slicer to ask.", "hint": "", "kind": "SessionClosedError"}
_LOST: Final = {
    "message": "Some answers were lost on their way here.",
    "hint": "Search again.",
    "kind": "ProtocolError",
}


class Question:
    """One question to one PACS.

    Args:
        told: called with the question and further answers (none where only the state is new), on any thread, one call
            at a time.

    Attributes:
        state: ``waiting``, ``going``, ``done``, ``stopped`` or ``failed``.
        received: answers so far.
        error: ``message``, ``hint`` and ``kind`` of what went wrong.
    """

    def __init__(
        self,
        server: str,
        level: str,
        keys: Mapping[str, Any],
        told: Callable[[Question, list[Record]], None],
        *,
        limit: int | None = None,
        include: Sequence[str] = (),
    ) -> None:
        self.server = server
        self.state: State = "waiting"
        self.received = 0
        self.error: dict[str, str] = {}
        self._args = {"server": server, "level": level, "keys": dict(keys), "limit": limit, "include": list(include)}
        self._told = told
        self._number: int | None = None
        self._stopping = False
        self._events: deque[dict[str, Any]] = deque()
        self._reading = False

    @property
    def goes_on(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "going")


class Questions:
    """The questions of a widget.

    Args:
        ask: begins a command.
    """

    def __init__(self, ask: Callable[..., Job[Any] | None]) -> None:
        self._ask = ask
        self._lock = threading.RLock()
        self._waiting: list[Question] = []
        self._going: set[Question] = set()
        self._known: dict[int, Question] = {}
        #: Events of questions whose number may be about to come.
        self._early: deque[dict[str, Any]] = deque(maxlen=_EARLY)

    def ask(self, question: Question) -> None:
        """Ask it, as soon as fewer are under way. Does not wait."""
        with self._lock:
            self._waiting.append(question)
        self._begin()

    def stop(self, questions: Iterable[Question]) -> None:
        """Have the PACS stop answering these; what came until then stays."""
        numbers: list[int] = []
        unasked: list[Question] = []
        with self._lock:
            for question in questions:
                if question in self._waiting:
                    self._waiting.remove(question)
                    unasked.append(question)
                elif question.goes_on and not question._stopping:
                    question._stopping = True
                    if question._number is not None:
                        numbers.append(question._number)
        if numbers:
            self._ask("pacs.stop_asking", lambda _job: None, ids=numbers)
        for question in unasked:
            self._end(question, "stopped")

    def lost(self, error: dict[str, str] | None = None) -> None:
        """There is no Slicer any more that would answer."""
        with self._lock:
            ended = [*self._going, *self._waiting]
            self._waiting, self._going, self._known = [], set(), {}
            self._early.clear()
        for question in ended:
            self._end(question, "failed", error or _NO_SLICER)

    def take(self, event: dict[str, Any]) -> None:
        """Answers have come, perhaps to one of these questions."""
        with self._lock:
            question = self._known.get(event["id"])
            if question is None:
                if any(each._number is None for each in self._going):
                    self._early.append(event)
                return
            question._events.append(event)
        self._read(question)

    # -- one after the other -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or len(self._going) >= _AT_ONCE:
                    return
                question = self._waiting.pop(0)
                self._going.add(question)
            if self._ask("pacs.ask", lambda job, asked=question: self._begun(asked, job), **question._args) is None:
                self._end(question, "failed", _NO_SLICER)

    def _begun(self, question: Question, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self._end(question, "failed", error_in_words(error))
            return
        number = int(job.result(0)["id"])
        with self._lock:
            if question not in self._going:
                return  # of a Slicer that was lost
            question._number = number
            self._known[number] = question
            question._events.extend(event for event in self._early if event["id"] == number)
            if all(each._number is not None for each in self._going):
                self._early.clear()
            question.state = "going"
            stopping = question._stopping
        if stopping:
            self._ask("pacs.stop_asking", lambda _job: None, ids=[number])
        self._read(question)

    def _read(self, question: Question) -> None:
        """Tell what has come, in its order, on whichever thread is first."""
        while True:
            with self._lock:
                if question._reading or not question._events:
                    return
                question._reading = True
                event = question._events.popleft()
            try:
                self._take(question, event)
            finally:
                with self._lock:
                    question._reading = False

    def _take(self, question: Question, event: dict[str, Any]) -> None:
        if not question.goes_on:
            return
        records = event["records"]
        question.received += len(records)
        if event["state"] == "going":
            question._told(question, records)
        elif question.received != event["count"]:
            # Never passed over in silence: a list that lacks studies looks like one that is whole.
            self._end(question, "failed", _LOST, records)
        else:
            self._end(question, event["state"], event["error"], records)

    def _end(
        self, question: Question, state: State, error: dict[str, str] | None = None, records: list[Record] | None = None
    ) -> None:
        with self._lock:
            if not question.goes_on:
                return
            question.state, question.error = state, dict(error or {})
            self._going.discard(question)
            if question._number is not None:
                self._known.pop(question._number, None)
        question._told(question, records or [])
        self._begin()
