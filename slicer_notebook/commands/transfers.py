"""Transfers from PACS: they go on in Slicer, seen by all notebooks, whoever asked for them.

An entry is a dictionary: ``id``; ``server``; ``title`` (what is retrieved, in words); ``by``: who asked; ``state``:
"waiting", "going", "paused", "done", "incomplete", "failed" or "cancelled"; ``received`` and ``expected`` instances
(the second None while unknown); ``bytes``; ``rate``: bytes a second, lately; ``seconds``, ``seconds_left`` (None while
unknown); ``series``: a dictionary for each, as of `pacs.SeriesReport`; ``log``: what was said on the way; ``folder``;
``error``: message, hint and kind, and the details that it has; empty without one; ``load`` and ``show``: whether each
series is loaded when it is here, and whether the first one is shown; ``loads``: ids of the load queue's entries for
them; ``sign_in``: where a person is to sign in just now, as of the event "sign_in", else empty. The event "transfers"
tells of ``entries`` that changed, whole, and of ids of those that are ``gone``, at most five times a second; the last
state of each is always told.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from slicer_notebook.commands.entries import Entries
from slicer_notebook.errors import JobCancelledError, SlicerNotebookError, error_in_words

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Host
    from slicer_notebook.pacs.pacs import Pacs, Transfer
    from slicer_notebook.pacs.reports import Report
    from slicer_notebook.pacs.signing import DeviceCode, Prompt

__all__ = ["Entry", "Transfers"]

#: Transfers at the same time; each has as many associations as its server's configuration says.
AT_ONCE: Final = 2
#: Seconds between two events.
EVERY: Final = 0.2
#: Seconds after which those that go on are told of although nothing has come: their rate and time have changed.
_NEWS_AT_LEAST: Final = 1.0
#: Seconds over which the rate is taken.
_RATE_OVER: Final = 4.0
#: Lines of the log that are kept and told.
_LOG: Final = 60

_log = logging.getLogger(__name__)


@dataclass
class Entry:
    """A transfer. Changed with the lock of `Transfers` held."""

    id: int
    server: str
    title: str
    targets: list[dict[str, Any]]
    by: str
    load: bool
    show: bool
    database: str | None
    #: somebody can be asked to sign in
    person: bool = True
    #: what is in the scene already is loaded all the same
    again: bool = True
    #: ways to fetch that were asked for; empty for the server's own
    ways: list[str] = field(default_factory=list)
    #: what they are asked just now, as of the event "sign_in"; empty otherwise
    sign_in: dict[str, Any] = field(default_factory=dict)
    state: str = "waiting"
    error: dict[str, Any] = field(default_factory=dict)
    #: there from the moment that it begins until it has ended, also while it is paused
    transfer: Transfer | None = None
    #: a thread is at it
    begun: bool = False
    stopped: bool = False
    report: Report | None = None
    began: float = 0.0
    seconds: float = 0.0
    #: (moment, bytes)
    samples: list[tuple[float, int]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    #: how many reasons and warnings of each series are in the log
    said: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Series Instance UIDs that were told to be here, and that were given to the load queue
    told: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    loads: list[int] = field(default_factory=list)
    shown: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "going", "paused")

    def note(self, text: str) -> None:
        """A line of the log."""
        self.log = [*self.log[-(_LOG - 1) :], f"{time.strftime('%H:%M:%S')} {text}"]

    def look(self) -> None:
        """See how far it is."""
        if self.transfer is None:
            return
        report = self.report = self.transfer.report
        for series in report.series:
            name = series.SeriesDescription or series.Modality or "a series"
            for texts, kind in ((series.reasons, "reasons"), (series.warnings, "warnings")):
                for text in texts[self.said.get((series.SeriesInstanceUID, kind), 0) :]:
                    self.note(f"{name}: {text}")
                self.said[series.SeriesInstanceUID, kind] = len(texts)
        for kept in report.kept:
            if (kept.StudyInstanceUID, kept.SeriesInstanceUID) not in self.said:
                self.said[kept.StudyInstanceUID, kept.SeriesInstanceUID] = 0
                self.note(f"{kept.SeriesDescription or kept.Modality or 'a series'}: not asked for, and kept")
        now, total = time.monotonic(), sum(series.bytes for series in report.series)
        self.samples = [*self._recent(now), (now, total)]

    def _recent(self, now: float) -> list[tuple[float, int]]:
        return [each for each in self.samples if now - each[0] < _RATE_OVER]

    @property
    def rate(self) -> float:
        """Bytes a second, lately."""
        now = time.monotonic()
        recent = self._recent(now)
        if len(recent) < 2 or self.state != "going":
            return 0.0
        began, first = recent[0]
        return (recent[-1][1] - first) / (now - began) if now > began else 0.0

    def fresh(self) -> list[str]:
        """Series that are here whole by now, and were not told to be."""
        if self.report is None:
            return []
        whole = [each.SeriesInstanceUID for each in self.report.series if each.complete and each.received]
        return [uid for uid in whole if uid not in self.told]

    def next_to_load(self) -> str | None:
        """The first series of the report that is here whole and was not given to the load queue."""
        known = self.report.series if self.report is not None else []
        uids = (each.SeriesInstanceUID for each in known)
        return next((uid for uid in uids if uid in self.told and uid not in self.loaded), None)

    @property
    def has_brought(self) -> bool:
        """Whether anything has come that was not here."""
        if self.report is None:
            return False
        return bool(self.report.kept) or any(each.received > each.here for each in self.report.series)

    def plain(self) -> dict[str, Any]:
        """What notebooks are told."""
        series = [] if self.report is None else [msgspec.to_builtins(each) for each in self.report.series]
        for each in series:
            each.pop("missing_uids", None)
        known = [each["expected"] for each in series]
        expected = None if not series or None in known else sum(known)
        received, total = sum(each["received"] for each in series), sum(each["bytes"] for each in series)
        return {
            "id": self.id,
            "server": self.server,
            "title": self.title,
            "by": self.by,
            "state": self.state,
            "received": received,
            "expected": expected,
            "bytes": total,
            "rate": round(self.rate),
            "seconds": round(time.monotonic() - self.began if self.begun else self.seconds, 2),
            "seconds_left": self._seconds_left(received, expected, series),
            "series": series,
            "log": list(self.log),
            "folder": self.report.folder if self.report is not None else "",
            "error": dict(self.error),
            "load": self.load,
            "show": self.show,
            "loads": list(self.loads),
            "sign_in": dict(self.sign_in),
        }

    def _seconds_left(self, received: int, expected: int | None, series: list[dict[str, Any]]) -> float | None:
        new = received - sum(each["here"] for each in series)
        if expected is None or new < 3 or self.rate <= 0:
            return None
        of_each: float = sum(each["bytes"] for each in series) / new
        return float(round((expected - received) * of_each / self.rate, 1))


class Transfers(Entries[Entry]):
    """The transfers of a Slicer.

    Args:
        host: the Slicer.
        open_pacs: makes the `Pacs` of a name, with the index of a path, and how a person is asked to sign in.
        load: has a series loaded: its UID, whether it is shown, the index, who asked, whether also when it is in the
            scene already; the id of the load queue's entry and whether it is shown, None if it is none to be loaded.
    """

    def __init__(
        self,
        host: Host,
        open_pacs: Callable[[str, str | None, Prompt | None], Pacs],
        load: Callable[[str, bool, str | None, str, bool], tuple[int, bool] | None],
    ) -> None:
        super().__init__(host, "transfers", EVERY)
        self._open_pacs = open_pacs
        self._load = load
        #: held while series are given to the load queue: the first one that is shown must be one
        self._loading = threading.Lock()
        self._numbers = itertools.count(1)
        self._teller: threading.Thread | None = None

    # -- what notebooks ask --------------------------------------------------------------------------------------

    def add(self, server: str, targets: list[dict[str, Any]], title: str, by: str, **how: Any) -> Entry:
        """Put one at the end. The same that waits, goes on or is paused is not put there twice: it goes on."""
        with self._changed:
            entry = self._same(server, targets, how["database"])
            if entry is None:
                entry = Entry(next(self._numbers), server, title, targets, by, **how)
                self._entries[entry.id] = entry
            else:
                entry.load, entry.show = entry.load or how["load"], entry.show or how["show"]
                entry.person, entry.again = entry.person or how["person"], entry.again or how.get("again", True)
                self._go_on(entry)
            self._tell(entry)
            self._begin()
        self._look(entry)  # what is here already may be loaded now
        return entry

    def _same(self, server: str, targets: list[dict[str, Any]], database: str | None) -> Entry | None:
        wanted = server, _as_set(targets), database
        same = (e for e in self._entries.values() if e.goes_on and not e.stopped)
        return next((e for e in same if (e.server, _as_set(e.targets), e.database) == wanted), None)

    def cancel(self, ids: list[int] | None) -> list[Entry]:
        """Stop these, or all that go on; what has arrived is kept. Those that were stopped or are about to."""
        with self._changed:
            found = self._going_on(ids)
            for entry in found:
                if not entry.stopped:
                    entry.note("cancelled")
                entry.stopped = True
                if not entry.begun:
                    entry.state = "cancelled"
                elif entry.transfer is not None:
                    entry.transfer.cancel()
                    entry.transfer.resume()
            self._tell(*found)
            self._forget_oldest()
            self._begin()
        return found

    def pause(self, ids: list[int], *, on: bool) -> list[Entry]:
        """Stop these for a while, or have them go on. What is paused keeps nobody else waiting."""
        with self._changed:
            found = [e for e in self._going_on(ids) if not e.stopped]
            for entry in found:
                if not on:
                    self._go_on(entry)
                elif entry.state != "paused":
                    entry.state = "paused"
                    if entry.transfer is not None:
                        entry.transfer.pause()
                    entry.note("paused")
            self._tell(*found)
            self._begin()
        return found

    def _go_on(self, entry: Entry) -> None:
        if entry.state == "paused":
            entry.state = "waiting"
            entry.note("goes on")

    def retry(self, ids: list[int]) -> list[Entry]:
        """Have these, which have ended, go on from where they were."""
        with self._changed:
            found = [e for e in self._entries.values() if e.id in ids and not e.goes_on]
            for entry in found:
                entry.state, entry.error, entry.stopped = "waiting", {}, False
                entry.said, entry.samples, entry.seconds = {}, [], 0.0
                entry.note("tried again")
            self._tell(*found)
            self._begin()
        return found

    def _wait_for_news(self) -> None:
        going = [each for each in self._entries.values() if each.state == "going"]
        self._changed.wait_for(lambda: self._news or self._gone, _NEWS_AT_LEAST if going else None)
        if not self._news and not self._gone:
            self._news.update((e.id, e) for e in self._entries.values() if e.state == "going")

    # -- work ----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Have as many go on as may at the same time. With the lock held."""
        if self._teller is None:
            self._teller = threading.Thread(target=self._tell_news, name="slicer-notebook-transfers-news", daemon=True)
            self._teller.start()
        going = sum(entry.state == "going" for entry in self._entries.values())
        for entry in [e for e in self._entries.values() if e.state == "waiting"][: max(0, AT_ONCE - going)]:
            entry.state, entry.samples = "going", []
            self._tell(entry)
            if entry.begun:
                if entry.transfer is not None:
                    entry.transfer.resume()
                continue
            entry.begun, entry.began = True, time.monotonic()
            entry.note(f"from {entry.server}")
            name = f"slicer-notebook-transfer-{entry.id}"
            threading.Thread(target=self._transfer, args=(entry,), name=name, daemon=True).start()

    def _transfer(self, entry: Entry) -> None:
        pacs: Pacs | None = None
        words: dict[str, Any] = {}
        try:
            pacs = self._open_pacs(entry.server, entry.database, self._prompt(entry))
            transfer = pacs.retrieve(
                entry.targets,
                ways=entry.ways,
                first_alone=entry.load,
                on_progress=lambda _transfer: self._look(entry),
            )
            with self._changed:
                entry.transfer = transfer
                if entry.stopped:
                    transfer.cancel()
                elif entry.state == "paused":
                    transfer.pause()
            report = transfer.result()
            state = "done" if report.complete else "incomplete"
            words = {} if report.complete else _lacking(report)
        except JobCancelledError:
            state = "cancelled"
        except BaseException as exc:  # noqa: BLE001 - it belongs to the entry; the others go on
            state = "failed"
            words = {
                **error_in_words(exc),
                **({"details": exc.details} if isinstance(exc, SlicerNotebookError) else {}),
            }
        self._look(entry, ended=True)
        with self._changed:
            entry.state, entry.error = state, words
            entry.seconds = time.monotonic() - entry.began
            entry.begun, entry.transfer = False, None
            entry.note({"done": "all is here", "cancelled": "stopped"}.get(state, words.get("message", state)))
            self._tell(entry)
            self._forget_oldest()
            self._begin()
        if pacs is not None:
            pacs.close()

    def _prompt(self, entry: Entry) -> Prompt | None:
        def say(words: dict[str, Any]) -> None:
            with self._changed:
                entry.sign_in = words
                entry.note("waits until somebody has signed in" if words else "the wait for a sign-in is over")
                self._tell(entry)

        def ask(code: DeviceCode) -> Callable[[BaseException | None], None]:
            say(code.words())
            return lambda _error: say({})

        return ask if entry.person else None

    def _look(self, entry: Entry, *, ended: bool = False) -> None:
        """Something has come. On the transfer's threads; what fails here must not end them."""
        try:
            with self._changed:
                entry.look()
                fresh = entry.fresh()
                entry.told.update(fresh)
                self._tell(entry)
            if fresh or (ended and entry.has_brought):
                self._host.tell("indexed", {"database": entry.database})
            # Who is at it already sees what is new; in the end all is looked at.
            if entry.load and self._loading.acquire(blocking=ended):
                try:
                    self._load_what_is_here(entry)
                finally:
                    self._loading.release()
        except Exception:  # noqa: BLE001 - the transfer goes on
            _log.exception("What has arrived was not told of.")

    def _load_what_is_here(self, entry: Entry) -> None:
        while (uid := entry.next_to_load()) is not None:
            entry.loaded.add(uid)
            words = ""
            queued: tuple[int, bool] | None = None
            try:
                queued = self._load(uid, entry.show and not entry.shown, entry.database, entry.by, entry.again)
            except Exception as exc:  # noqa: BLE001 - it belongs to this series; the others are loaded
                words = error_in_words(exc)["message"]
            with self._changed:
                if words:
                    entry.note(f"not loaded: {words}")
                if queued is not None:
                    entry.shown = entry.shown or queued[1]
                    entry.loads = [*entry.loads, queued[0]]
                self._tell(entry)


def _as_set(targets: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return {tuple(target.get(name) for name in names) for target in targets}


def _lacking(report: Report) -> dict[str, Any]:
    """In words, that not all has come."""
    lacking = [each for each in report.series if not each.complete]
    missing = sum(each.missing for each in lacking)
    reasons = [reason for each in lacking for reason in each.reasons]
    several = f"{missing} instances are" if missing != 1 else "1 instance is"
    return {
        "message": f"Not all is here: {several} missing." if missing else "Not all is here, as far as can be told.",
        "hint": (f"Last: {reasons[-1]}. " if reasons else "") + "Retrieve again to go on from there.",
        "kind": "RetrieveIncompleteError",
    }
