"""What Slicer fetches from PACS, as a widget follows it, and what is loaded of that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from slicer_notebook.errors import SessionError, error_in_words
from slicer_notebook.session import Job
from slicer_notebook.widgets.loads import Loads

__all__ = ["TransferLoads", "Transfers"]

Entry = dict[str, Any]
Words = dict[str, str]

#: What the buttons of an entry ask for -> command and arguments beside the ids.
_COMMANDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "cancel": ("pacs.cancel", {}),
    "pause": ("pacs.pause", {"on": True}),
    "go_on": ("pacs.pause", {"on": False}),
    "retry": ("pacs.retry", {}),
    "clear": ("pacs.clear", {}),
}


class Transfers:
    """The transfers of a Slicer, whoever asked for them.

    Args:
        ask: begins a command.
        changed: told of entries that changed, whole, and of ids of those that are gone; ``everything`` when they are
            all there are; on any thread.
    """

    def __init__(self, ask: Callable[..., Job[Any] | None], changed: Callable[..., None]) -> None:
        self._ask = ask
        self._changed = changed
        self._lock = threading.RLock()
        self._entries: dict[int, Entry] = {}
        #: Ids of entries that were taken away: an answer from before must not bring them back.
        self._gone: set[int] = set()
        #: Ids of those that this widget has asked for.
        self._mine: set[int] = set()

    def refresh(self) -> None:
        """Look at all of them."""
        self._ask("pacs.transfers", self._listed)

    def add(
        self, server: str, targets: list[dict[str, Any]], title: str, failed: Callable[[Words], None], **args: Any
    ) -> None:
        """Begin one. ``failed`` is told, in words, why it could not be."""

        def added(job: Job[Any]) -> None:
            error = job.exception(0)
            if error is None:
                with self._lock:
                    self._mine.add(job.result(0)["id"])
                self._take_answer([job.result(0)])
            elif not isinstance(error, SessionError):
                failed(error_in_words(error))

        self._ask("pacs.retrieve", added, server=server, targets=targets, title=title, **args)

    def do(self, what: str, ids: Iterable[int]) -> None:
        """What a button says: ``cancel``, ``pause``, ``go_on``, ``retry`` or ``clear``."""
        command, args = _COMMANDS[what]
        with self._lock:
            known = [number for number in ids if number in self._entries]
        if known:
            self._ask(command, lambda _job: None, ids=known, **args)

    def take(self, event: Mapping[str, Any]) -> None:
        """News."""
        with self._lock:
            for number in event["gone"]:
                self._entries.pop(number, None)
                self._gone.add(number)
            self._entries.update((entry["id"], entry) for entry in event["entries"])
        self._changed(list(event["entries"]), list(event["gone"]), everything=False)

    def show_all(self) -> None:
        """Tell all that is known: a view is new."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: int(entry["id"]))
        self._changed(entries, [], everything=True)

    def lost(self) -> None:
        """There is no Slicer any more, and nothing that it fetches."""
        with self._lock:
            self._entries, self._gone, self._mine = {}, set(), set()
        self._changed([], [], everything=True)

    def own_loads(self) -> set[int]:
        """Ids of the load queue's entries for what this widget has asked for."""
        with self._lock:
            own = [self._entries[number] for number in self._mine if number in self._entries]
        return {number for entry in own for number in entry["loads"]}

    def _listed(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._take_answer(job.result(0))

    def _take_answer(self, entries: list[Entry]) -> None:
        """An answer adds what is not known; what is, events have told, perhaps later than this was written."""
        with self._lock:
            fresh = [each for each in entries if each["id"] not in self._entries and each["id"] not in self._gone]
            self._entries.update((entry["id"], entry) for entry in fresh)
        if fresh:
            self._changed(fresh, [], everything=False)


class TransferLoads(Loads):
    """The load queue; what is loaded because this widget's transfers said so is its own, too.

    Args:
        own_loads: ids of the entries that these have made.
    """

    def __init__(self, *args: Any, own_loads: Callable[[], set[int]]) -> None:
        super().__init__(*args)
        self._own_loads = own_loads
        self._adopted: set[int] = set()

    def take(self, event: dict[str, Any]) -> None:
        """News of the queue."""
        with self._lock:
            # What somebody has put away does not come any more.
            self._mine = [number for number in self._mine if number not in event["gone"]]
        super().take(event)

    def look(self) -> None:
        """There is news of the transfers."""
        with self._lock:
            fresh = sorted(self._own_loads() - self._adopted)
            self._adopted.update(fresh)
            fresh = [number for number in fresh if number not in self._mine]
            self._mine += fresh
            self._told = self._told and not fresh
        if fresh:
            super().take({"entries": [], "gone": []})

    def lost(self) -> None:
        """There is no Slicer any more, and no queue."""
        with self._lock:
            self._adopted = set()
        super().lost()
