"""Slicer's queue of loads as a widget follows it: what goes on there, and which of it this widget has asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import SessionError
from slicer_notebook.session import Job, Session, Volume, VolumeSequence
from slicer_notebook.session.dicom import handles_of
from slicer_notebook.widgets.base import error_in_words

__all__ = ["Loads"]

Entry = dict[str, Any]

_GOES_ON: Final = ("waiting", "loading")


class Loads:
    """The entries of the queue, and those of this widget.

    Args:
        session: whose queue.
        ask: begins a command.
        changed: told of entries that changed (`browser_entry`), of those that are gone (ids), and of those that are
            this widget's own; on any thread. ``everything`` when they are all there are.
        loaded: told of the handles, when all that this widget has asked for has ended; on any thread.
    """

    def __init__(
        self,
        session: Session,
        ask: Callable[..., Job[Any] | None],
        changed: Callable[..., None],
        loaded: Callable[[list[Volume | VolumeSequence]], None],
    ) -> None:
        self._session = session
        self._ask = ask
        self._changed = changed
        self._loaded = loaded
        self._lock = threading.RLock()
        self._entries: dict[int, Entry] = {}
        #: Ids of this widget's entries since it last asked while none of its own was under way.
        self._mine: list[int] = []
        #: Requests whose ids are not known yet.
        self._asked: dict[object, list[str]] = {}
        self._told = True

    def refresh(self) -> None:
        """Look at the whole queue."""
        self._ask("loads.list", self._listed)

    def add(self, series: list[str], failed: Callable[[dict[str, str]], None], **args: Any) -> None:
        """Put series into the queue. ``failed`` is told, in words, why they could not be."""
        with self._lock:
            if not self._busy():
                self._mine = []
            pending = {uid for uids in self._asked.values() for uid in uids}
            own = (self._entries.get(number, {}) for number in self._mine)
            pending |= {entry["series"] for entry in own if entry.get("state") in _GOES_ON}
            series = [uid for uid in series if uid not in pending]
            if not series:
                return  # a second press of the button
            request = object()
            self._asked[request] = series
            self._told = False

        def added(job: Job[Any]) -> None:
            error = job.exception(0)
            with self._lock:
                if request not in self._asked:
                    return  # of a Slicer that was lost
                del self._asked[request]
                if error is None:
                    self._mine += [entry["id"] for entry in job.result(0) if entry["id"] not in self._mine]
            if error is None:
                self.take({"entries": job.result(0), "gone": []})
            elif not isinstance(error, SessionError):
                failed(error_in_words(error))

        if self._ask("loads.add", added, series=series, **args) is None:
            with self._lock:
                self._asked.pop(request, None)

    def cancel(self, ids: list[int] | None = None) -> None:
        """Stop those of ``ids``, of this widget's own without them."""
        with self._lock:
            wanted = self._mine if ids is None else ids
            found = [number for number in wanted if self._entries.get(number, {}).get("state") in _GOES_ON]
        if found:
            self._ask("loads.cancel", lambda _job: None, ids=found)

    def put_away(self, ids: list[int]) -> None:
        """Errors that were read."""
        with self._lock:
            self._mine = [number for number in self._mine if number not in ids]

    def take(self, event: dict[str, Any]) -> None:
        """News of the queue."""
        with self._lock:
            for number in event["gone"]:
                self._entries.pop(number, None)
            fresh = [entry for entry in event["entries"] if not self._is_older(entry)]
            self._entries.update((entry["id"], entry) for entry in fresh)
            mine = list(self._mine)
            ended = self._ended()
        words = [browser_entry(entry) for entry in fresh]
        self._changed(words, list(event["gone"]), mine, everything=False)
        if ended is not None:
            self._loaded(ended)

    def _is_older(self, entry: Entry) -> bool:
        """An answer may come after the event that tells what became of it."""
        former = self._entries.get(entry["id"])
        return former is not None and former["state"] not in _GOES_ON and entry["state"] in _GOES_ON

    def show_all(self) -> None:
        """Tell all that is known: a view is new."""
        with self._lock:
            words, mine = [browser_entry(entry) for entry in self._entries.values()], list(self._mine)
        self._changed(words, [], mine, everything=True)

    def lost(self) -> None:
        """There is no Slicer any more, and no queue."""
        with self._lock:
            self._entries, self._mine, self._asked, self._told = {}, [], {}, True
        self._changed([], [], [], everything=True)

    def _listed(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            # News may have overtaken this answer: it adds to what is known.
            self.take({"entries": job.result(0), "gone": []})

    def _busy(self) -> bool:
        own = (self._entries.get(number) for number in self._mine)
        return bool(self._asked) or any(entry is None or entry["state"] in _GOES_ON for entry in own)

    def _ended(self) -> list[Volume | VolumeSequence] | None:
        """The handles, when all that was asked for has just ended."""
        if self._told or self._busy():
            return None
        self._told = True
        own = [self._entries[number] for number in self._mine]
        return [found for entry in own if entry["state"] == "done" for found in handles_of(entry)]


def browser_entry(entry: Entry) -> dict[str, Any]:
    """An entry without its nodes, which are no text."""
    return {key: value for key, value in entry.items() if key not in ("volumes", "sequences", "images")}
