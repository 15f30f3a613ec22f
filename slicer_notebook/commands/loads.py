"""The load queue: series that are loaded one after the other, seen by all notebooks of this Slicer.

An entry is a dictionary: ``id``; ``series`` and ``study`` (UIDs); ``title`` ("3: Chest"); ``modality``; ``state``:
"waiting", "loading", "done", "failed" or "cancelled"; ``files`` and ``bytes``: [done, total]; ``progress``: 0 to 1,
below 0 while unknown; ``text``: what it is at; ``seconds``, ``seconds_left`` (None while unknown); ``show``; ``by``:
who asked; ``volumes``, ``sequences``, ``images``: references of the nodes made; ``warnings``; ``error``: message, hint
and kind, empty without one. The event "loads" tells of ``entries`` that changed, whole, and of the ids of those that
are ``gone`` since, at most ten times a second; the last state of each is always told.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import context, loaded
from slicer_notebook.commands.dicom import _open_index, load_series
from slicer_notebook.commands.entries import Entries
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.dicom.records import series_name
from slicer_notebook.errors import JobCancelledError, NodeNotFoundError, SlicerNotebookError, error_in_words
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.dicom import SeriesPlan

__all__ = ["LoadQueue"]

#: Seconds between two events.
EVERY: Final = 0.1
#: Seconds, and the part done, before which nobody knows how long the rest takes.
_SURE_AFTER, _SURE_FROM = 0.4, 0.03
#: How much a new guess of the seconds left counts against the former ones.
_SMOOTH: Final = 0.3

_log = logging.getLogger(__name__)


@dataclass
class Entry:
    """A series in the queue."""

    id: int
    series: str
    show: bool
    strict: bool
    rectify: bool
    quantity: str | None
    database: str | None
    by: str
    again: bool = True
    study: str = ""
    title: str = ""
    modality: str = ""
    state: str = "waiting"
    files: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    progress: float = -1.0
    text: str = ""
    seconds: float = 0.0
    seconds_left: float | None = None
    nodes: dict[str, list[NodeRef]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: dict[str, str] = field(default_factory=dict)
    context: context.JobContext | None = None
    began: float = 0.0
    shown: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "loading")

    def plain(self) -> dict[str, Any]:
        """What notebooks are told."""
        told = ("id", "series", "study", "title", "modality", "state", "progress", "text", "seconds_left", "show", "by")
        seconds = time.monotonic() - self.began if self.state == "loading" else self.seconds
        return {
            **{name: getattr(self, name) for name in told},
            "files": list(self.files),
            "bytes": list(self.bytes),
            "seconds": round(seconds, 3),
            "volumes": list(self.nodes.get("volumes", [])),
            "sequences": list(self.nodes.get("sequences", [])),
            "images": list(self.nodes.get("images", [])),
            "warnings": list(self.warnings),
            "error": dict(self.error),
        }


class _Amounts:
    """How many files and bytes a number of planes is: a plane is a part of its file."""

    def __init__(self, planned: SeriesPlan) -> None:
        planes = [plane for volume in planned.all_volumes for plane in volume.instances]
        parts = Counter(plane.path for plane in planes)
        self._bytes = list(itertools.accumulate(plane.size / parts[plane.path] for plane in planes))
        left = Counter(parts)
        #: After how many planes a further file is whole.
        self._whole: list[int] = []
        for number, plane in enumerate(planes, 1):
            left[plane.path] -= 1
            if left[plane.path] == 0:
                self._whole.append(number)
        self.files = len(parts)
        self.bytes = round(self._bytes[-1]) if planes else 0

    def after(self, planes: int) -> tuple[int, int]:
        """(files, bytes)."""
        done = min(planes, len(self._bytes))
        return bisect.bisect_right(self._whole, planes), round(self._bytes[done - 1]) if done > 0 else 0


class LoadQueue(Entries[Entry]):
    """The queue of a Slicer, the thread that works it off, and the one that tells of it.

    Args:
        host: the Slicer.
        job: the context of the command that asked first; it gives the way to the main thread.
    """

    def __init__(self, host: Host, job: context.JobContext) -> None:
        super().__init__(host, "loads", EVERY)
        self._job = job
        self._next = 1
        self._threads: list[threading.Thread] = []

    def add(self, series: list[str], by: str, **how: Any) -> list[Entry]:
        """Put series at the end. One that waits or is being loaded already is not put there twice.

        Args:
            how: ``show``, ``strict``, ``rectify``, ``quantity``, ``database`` as of ``dicom.load``; ``again=False``:
                one that is in the scene already, with all its instances, is not loaded again.
        """
        described = {uid: _description(uid, how["database"]) for uid in series}
        found = []
        with self._changed:
            for uid in series:
                entry = self._under_way(uid, how["database"])
                if entry is None:
                    entry = Entry(self._next, uid, by=by, **how)
                    entry.study, entry.title, entry.modality = described[uid]
                    self._next += 1
                    self._entries[entry.id] = entry
                # Whoever asks to see it sees it, whoever asked before.
                entry.show = entry.show or how["show"]
                entry.again = entry.again or how.get("again", True)
                found.append(entry)
            self._tell(*found)
            self._begin()
        return found

    def _begin(self) -> None:
        if not self._threads:
            for name, work in (("loads", self._work), ("loads-news", self._tell_news)):
                self._threads.append(threading.Thread(target=work, name=f"slicer-notebook-{name}", daemon=True))
                self._threads[-1].start()

    def _under_way(self, uid: str, database: str | None) -> Entry | None:
        same = (e for e in self._entries.values() if e.goes_on and (e.series, e.database) == (uid, database))
        return next(same, None)

    def cancel(self, ids: list[int] | None) -> list[Entry]:
        """Stop these, or all that go on; those that were stopped or are about to."""
        with self._changed:
            stopped = self._going_on(ids)
            for entry in stopped:
                if entry.context is not None:
                    entry.context.cancelled.set()
                    entry.text = "Stopping"
                else:
                    entry.state = "cancelled"
            self._tell(*stopped)
            self._forget_oldest()
        return stopped

    # -- loading -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while (entry := self._first_waiting()) is None:
                    self._changed.wait()
                entry.state, entry.began = "loading", time.monotonic()
                job = entry.context = self._job.another(lambda _done, _text, _data: None)
                self._tell(entry)
            self._load(entry, job)

    def _first_waiting(self) -> Entry | None:
        return next((entry for entry in self._entries.values() if entry.state == "waiting"), None)

    def _load(self, entry: Entry, job: context.JobContext) -> None:
        reporter = _Reporter(self, entry, job)
        try:
            with context.running(job):
                found = load_series(
                    self._host, job, entry.series, reporter.show, entry.strict, entry.rectify, entry.quantity,
                    entry.database, reporter.begun, reporter.there,
                )  # fmt: skip
            self._done(entry, job, found)
        except BaseException as exc:  # noqa: BLE001 - it belongs to the entry; the others go on
            # In words: the error itself would keep all that was read.
            words, stopped = error_in_words(exc), isinstance(exc, JobCancelledError)
            with self.changing(entry):
                entry.state, entry.error = ("cancelled", {}) if stopped else ("failed", words)
                self._ended(entry)

    def _done(self, entry: Entry, job: context.JobContext, found: dict[str, Any]) -> None:
        warnings = found.pop("warnings")
        while True:
            with self.changing(entry):
                if entry.shown or not entry.show:
                    entry.state, entry.progress = "done", 1.0
                    entry.files[0], entry.bytes[0] = entry.files[1], entry.bytes[1]
                    entry.warnings, entry.nodes = warnings, found
                    self._ended(entry)
                    return
                entry.shown = True
            # It was loaded unseen, or is asked for since.
            with contextlib.suppress(NodeNotFoundError, JobCancelledError):  # too late for either
                job.on_main(lambda: loaded.show(self._host, found))

    def _ended(self, entry: Entry) -> None:
        entry.context, entry.text, entry.seconds_left = None, "", None
        entry.seconds = time.monotonic() - entry.began
        self._forget_oldest()

    @contextlib.contextmanager
    def changing(self, entry: Entry) -> Iterator[None]:
        """Changes of the block are seen as one, and told."""
        with self._changed:
            yield
            self._tell(entry)


def _description(uid: str, database: str | None) -> tuple[str, str, str]:
    """Study, title and modality of a series, as far as the index knows."""
    try:
        found = _open_index(database).series(SeriesInstanceUID=uid)
    except SlicerNotebookError:
        found = []  # loading it will say the same
    if not found:
        return "", uid, ""
    record = found[0]
    return record.StudyInstanceUID, series_name(record), record.Modality or ""


class _Reporter:
    """Turns planes that were read into an entry's progress."""

    def __init__(self, queue: LoadQueue, entry: Entry, job: context.JobContext) -> None:
        self._queue = queue
        self._entry = entry
        self._job = job
        self._amounts: _Amounts | None = None

    def begun(self, planned: SeriesPlan) -> Any:
        """The plan is made; what is told of each plane."""
        self._amounts = _Amounts(planned)
        with self._queue.changing(self._entry):
            self._entry.files = [0, self._amounts.files]
            self._entry.bytes = [0, self._amounts.bytes]
            self._entry.progress = 0.0
        return self.report

    def there(self, planned: SeriesPlan) -> dict[str, Any] | None:
        """What is in the scene of it, if that is enough. The queue puts nothing else there meanwhile."""
        if self._entry.again:
            return None
        found = self._job.on_main(lambda: loaded.whole(self._queue._host, planned))
        return None if found is None else {**found, "warnings": []}

    def show(self) -> bool:
        """Whether it is shown as soon as it is in the scene."""
        with self._queue._changed:
            self._entry.shown = self._entry.show
        return self._entry.shown

    def report(self, planes: int, of: int, text: str) -> None:
        """So many planes are read. Raises `JobCancelledError`."""
        assert self._amounts is not None
        entry = self._entry
        with self._queue.changing(entry):
            self._job.check()
            entry.files[0], entry.bytes[0] = self._amounts.after(planes)
            entry.progress = planes / of
            entry.text = text if planes < of else "Into the scene"
            entry.seconds_left = _seconds_left(entry)


def _seconds_left(entry: Entry) -> float | None:
    if entry.progress >= 1:
        return None  # Slicer may be busy for any time
    passed = time.monotonic() - entry.began
    if passed < _SURE_AFTER or entry.progress < _SURE_FROM:
        return entry.seconds_left
    left = passed * (1 - entry.progress) / entry.progress
    former = entry.seconds_left
    return round(left if former is None else former + _SMOOTH * (left - former), 2)


_queues: dict[int, LoadQueue] = {}
_lock = threading.Lock()


def _queue(host: Host) -> LoadQueue:
    with _lock:
        found = _queues.get(id(host))
        if found is None:
            found = _queues[id(host)] = LoadQueue(host, context.current())
        return found


@command("loads.add", thread="quick", urgent=True)
def add(
    host: Host,
    series: list[str],
    show: bool = True,
    strict: bool = False,
    rectify: bool = False,
    quantity: str | None = None,
    database: str | None = None,
    by: str = "",
) -> list[dict[str, Any]]:
    """Put series into the load queue, as ``dicom.load`` loads each; their entries.

    Whatever goes wrong with one is in its entry, and the others go on. A series that waits or is being loaded already
    is not loaded twice: its entry is given.
    """
    how = {"show": show, "strict": strict, "rectify": rectify, "quantity": quantity, "database": database}
    queue = _queue(host)
    return queue.plain(queue.add(series, by, **how))


@command("loads.list", thread="quick", urgent=True, journal=False)
def entries(host: Host) -> list[dict[str, Any]]:
    """What waits, is being loaded or has ended (the last 50), oldest first."""
    return _queue(host).plain()


@command("loads.cancel", thread="quick", urgent=True)
def cancel(host: Host, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """Stop these entries, or all without ids; nothing half-loaded is left. Those that were stopped or are about to."""
    queue = _queue(host)
    return queue.plain(queue.cancel(ids))


@command("loads.clear", thread="quick", urgent=True, journal=False)
def clear(host: Host, ids: list[int] | None = None) -> list[int]:
    """Forget entries that have ended, all of them without ids; what they loaded stays. Their ids."""
    return _queue(host).clear(ids)
