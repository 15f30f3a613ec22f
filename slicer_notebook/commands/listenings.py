"""PACS that may push to this Slicer: seen by all notebooks, whoever asked for it; it goes on until it is stopped.

An entry is a dictionary: ``id``; ``database`` (None: the user's own); ``by``: who asked; and all of `pacs.Heard`. The
event "listening" tells of ``entries`` that changed, whole, and of ids of those that have ended (``gone``), at most five
times a second.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Host
    from slicer_notebook.pacs.listening import Listening
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["Listenings"]

#: Seconds between two events.
EVERY: Final = 0.2

_log = logging.getLogger(__name__)


@dataclass
class _Entry:
    id: int
    server: str
    port: int | Literal["free"] | None
    database: str | None
    by: str
    pacs: Pacs
    listening: Listening
    changed: threading.Event = field(default_factory=threading.Event)

    def plain(self) -> dict[str, Any]:
        """What notebooks are told."""
        words: dict[str, Any] = msgspec.to_builtins(self.listening.report)
        return {"id": self.id, "database": self.database, "by": self.by, **words}


class Listenings:
    """Those of a Slicer.

    Args:
        host: the Slicer.
        open_pacs: makes the `Pacs` of a name, with the index of a path.
    """

    def __init__(self, host: Host, open_pacs: Callable[[str, str | None], Pacs]) -> None:
        self._host = host
        self._open_pacs = open_pacs
        #: held while one begins, which may take seconds
        self._beginning = threading.Lock()
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._numbers = itertools.count(1)

    def begin(self, server: str, port: int | Literal["free"] | None, database: str | None, by: str) -> _Entry:
        """Begin to listen; what listens already does so no second time.

        Raises:
            PacsNotFoundError, PacsError, StorageError, ArgumentError: as of `Pacs.named` and `Pacs.listen`.
        """
        with self._beginning:
            wanted = server, port, database
            for entry in self._all():
                if (entry.server, entry.port, entry.database) == wanted and not entry.listening.done:
                    return entry
            pacs = self._open_pacs(server, database)
            try:
                listening = pacs.listen(port=port)
            except BaseException:
                pacs.close()
                raise
            entry = _Entry(next(self._numbers), server, port, database, by, pacs, listening)
            with self._lock:
                self._entries[entry.id] = entry
        listening.on_progress(lambda _work: entry.changed.set())
        listening.on_done(lambda _work: entry.changed.set())
        entry.changed.set()
        name = f"slicer-notebook-listening-{entry.id}"
        threading.Thread(target=self._follow, args=(entry,), name=name, daemon=True).start()
        return entry

    def plain(self, entries: Iterable[_Entry] | None = None) -> list[dict[str, Any]]:
        """What notebooks are told of these, or of all that go on."""
        if entries is None:
            entries = [entry for entry in self._all() if not entry.listening.done]
        return [entry.plain() for entry in entries]

    def _all(self) -> list[_Entry]:
        with self._lock:
            return list(self._entries.values())

    def stop(self, ids: list[int] | None) -> list[dict[str, Any]]:
        """End these, or all; what has come is kept. As they were at their end."""
        found = [entry for entry in self._all() if ids is None or entry.id in ids]
        for entry in found:
            entry.listening.cancel()
        for entry in found:
            entry.listening.__exit__()
        return self.plain(found)

    def _follow(self, entry: _Entry) -> None:
        known: object = ()
        while True:
            entry.changed.wait()
            entry.changed.clear()
            ended = entry.listening.done
            words = entry.plain()
            # Who has a picker open sees a series when it begins, and again when no more of it comes.
            now = [(each["SeriesInstanceUID"], each["settled"]) for each in words["series"]]
            if ended:
                with self._lock:
                    del self._entries[entry.id]
            try:
                self._host.tell("listening", {"entries": [words], "gone": [entry.id] if ended else []})
                if now != known and now:
                    self._host.tell("indexed", {"database": entry.database})
            except Exception:  # noqa: BLE001 - one event that is lost is better than all that follow
                _log.exception("The notebooks were not told of what a PACS has sent.")
            known = now
            if ended:
                entry.pacs.close()
                return
            time.sleep(EVERY)
