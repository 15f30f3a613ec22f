"""Questions to PACS whose answers are told to the notebooks as they come."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import ArgumentError, JobCancelledError, error_in_words

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Host
    from slicer_notebook.pacs.matches import Matches
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["Questions"]

#: Answers that are told in one event at most, and seconds between two looks for some that have come.
PAGE, EVERY = 200, 0.15
#: Questions that may be under way at the same time.
_MOST: Final = 16

_log = logging.getLogger(__name__)


@dataclass
class _Question:
    """A question whose answers are told as they come. Changed with the lock of `Questions` held."""

    pacs: Pacs
    found: Matches
    #: answers that were not told yet, and how many there were in all
    page: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    state: str = "going"
    error: dict[str, str] = field(default_factory=dict)


class Questions:
    """Questions to PACS: a thread for each, and one that tells what has come."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._going: dict[int, _Question] = {}
        self._teller: threading.Thread | None = None

    def ask(self, pacs: Pacs, found: Matches) -> int:
        """Begin to tell; the question's number."""
        with self._changed:
            if len(self._going) >= _MOST:
                found.cancel()
                pacs.close()
                raise ArgumentError("Too many questions are under way.", expected=f"at most {_MOST}", got="one more")
            number = next(self._numbers)
            question = self._going[number] = _Question(pacs, found)
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="slicer-notebook-pacs-answers", daemon=True)
                self._teller.start()
        name = f"slicer-notebook-pacs-question-{number}"
        threading.Thread(target=self._listen, args=(question,), name=name, daemon=True).start()
        return number

    def stop(self, ids: list[int]) -> None:
        """Have the PACS stop answering these."""
        with self._changed:
            for number in ids:
                if number in self._going:
                    self._going[number].found.cancel()

    def _listen(self, question: _Question) -> None:
        state, error = "done", {}
        try:
            for record in question.found:
                with self._changed:
                    question.page.append(record)
                    question.count += 1
                    self._changed.notify_all()
        except JobCancelledError:
            state = "stopped"
        except BaseException as exc:  # noqa: BLE001 - it belongs to the question
            state, error = "failed", error_in_words(exc)
        question.pacs.close()
        with self._changed:
            question.state, question.error = state, error
            self._changed.notify_all()

    def _tell(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: any(q.page or q.state != "going" for q in self._going.values()))
                events = [event for number in list(self._going) for event in self._events(number)]
            for event in events:
                try:
                    self._host.tell("answers", event)
                except Exception:  # noqa: BLE001 - one event that is lost is better than all that follow
                    _log.exception("The notebooks were not told of answers.")
            time.sleep(EVERY)

    def _events(self, number: int) -> Iterator[dict[str, Any]]:
        """What there is to be told of a question. With the lock held."""
        question = self._going[number]
        page, question.page = question.page, []
        told = question.count - len(page)
        for start in range(0, len(page), PAGE):
            part = page[start : start + PAGE]
            told += len(part)
            if told < question.count or question.state == "going":
                yield {"id": number, "records": _sendable(part), "count": told, "state": "going", "error": {}}
        if question.state != "going":
            del self._going[number]
            last = _sendable(page[-(len(page) % PAGE or PAGE) :]) if page else []
            words = {"state": question.state, "error": question.error}
            yield {"id": number, "records": last, "count": question.count, **words}


def _sendable(value: Any) -> Any:
    """Answers without what nobody reads (bytes of unknown elements)."""
    if isinstance(value, list):
        return [_sendable(each) for each in value]
    if isinstance(value, dict):
        return {name: _sendable(each) for name, each in value.items()}
    return value if value is None or isinstance(value, str | int | float) else str(value)[:200]
