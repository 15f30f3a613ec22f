"""Entries that all notebooks of a Slicer see: what they are told of them, and which are kept (`loads`, `transfers`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any, Final, Generic, Protocol, TypeVar

from slicer_notebook.commands.host import Host

__all__ = ["KEPT", "Entries", "EntryLike"]

#: Entries that have ended and are kept.
KEPT: Final = 50

_log = logging.getLogger(__name__)


class EntryLike(Protocol):
    """An entry."""

    id: int

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""

    def plain(self) -> dict[str, Any]:
        """What notebooks are told of it."""


E = TypeVar("E", bound=EntryLike)


class Entries(Generic[E]):
    """What is changed, or looked at, with the lock ``_changed`` held; `_tell_news` is a thread's, which one begins.

    Args:
        host: the Slicer.
        event: what notebooks hear it as.
        every: seconds between two events.
    """

    def __init__(self, host: Host, event: str, every: float) -> None:
        self._host = host
        self._event = event
        self._every = every
        self._changed = threading.Condition()
        self._entries: dict[int, E] = {}
        #: What has changed since the last event.
        self._news: dict[int, E] = {}
        self._gone: list[int] = []

    def plain(self, entries: Iterable[E] | None = None) -> list[dict[str, Any]]:
        """What notebooks are told of these, or of all, oldest first; each once."""
        with self._changed:
            wanted = self._entries.values() if entries is None else entries
            return [entry.plain() for entry in {entry.id: entry for entry in wanted}.values()]

    def clear(self, ids: list[int] | None = None) -> list[int]:
        """Forget those that have ended; their ids. What they brought stays."""
        with self._changed:
            gone = [e.id for e in self._entries.values() if not e.goes_on and (ids is None or e.id in ids)]
            self._forget(gone)
        return gone

    def _forget_oldest(self) -> None:
        ended = [entry.id for entry in self._entries.values() if not entry.goes_on]
        self._forget(ended[: max(0, len(ended) - KEPT)])

    def _forget(self, ids: list[int]) -> None:
        for number in ids:
            del self._entries[number]
        self._gone += ids
        self._changed.notify_all()

    def _going_on(self, ids: list[int] | None) -> list[E]:
        """Those of these, or of all, that have not ended."""
        return [e for e in self._entries.values() if e.goes_on and (ids is None or e.id in ids)]

    def _tell(self, *entries: E) -> None:
        """These have changed. With the lock held, like all that changes one."""
        self._news.update((entry.id, entry) for entry in entries)
        self._changed.notify_all()

    def _wait_for_news(self) -> None:
        """With the lock held."""
        self._changed.wait_for(lambda: self._news or self._gone)

    def _tell_news(self) -> None:
        while True:
            with self._changed:
                self._wait_for_news()
                # Also of one that is gone by now: whoever waits for it learns how it ended.
                event = {"entries": self.plain(self._news.values()), "gone": self._gone}
                self._news, self._gone = {}, []
            try:
                if event["entries"] or event["gone"]:
                    self._host.tell(self._event, event)
            except Exception:  # noqa: BLE001 - one event that is lost is better than all that follow
                _log.exception("The notebooks were not told of the %s.", self._event)
            time.sleep(self._every)
