"""``slicer.dicom.queue``: series that Slicer loads one after the other, seen by all its notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from slicer_notebook.dicom.records import Series
from slicer_notebook.errors import ArgumentError, UidNotFoundError
from slicer_notebook.session.following import Following
from slicer_notebook.session.job import Job
from slicer_notebook.session.progress import shown
from slicer_notebook.session.sequences import VolumeSequence
from slicer_notebook.session.studies import series_uid
from slicer_notebook.session.volumes import Volume

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Load", "LoadQueue", "Loads"]


class Load(msgspec.Struct, kw_only=True, frozen=True):
    """A series in the load queue, as it was when it was asked for.

    Attributes:
        id: names it.
        series, study: UIDs.
        title: "3: Chest".
        modality: "CT".
        state: ``waiting``, ``loading``, ``done``, ``failed`` or ``cancelled``.
        files, bytes: (done, in all).
        progress: 0 to 1; below 0 while unknown.
        text: what it is at.
        seconds: how long it has been loading, or took.
        seconds_left: None while nobody knows.
        show: whether it is shown in the slice views when it is there.
        by: who has asked.
        volumes, sequences, images: handles of what it became.
        warnings: what is not as one would think.
        error: ``message``, ``hint`` and ``kind`` of what went wrong; empty without.
    """

    id: int
    series: str
    study: str = ""
    title: str = ""
    modality: str = ""
    state: str = "waiting"
    files: tuple[int, int] = (0, 0)
    bytes: tuple[int, int] = (0, 0)
    progress: float = -1.0
    text: str = ""
    seconds: float = 0.0
    seconds_left: float | None = None
    show: bool = True
    by: str = ""
    volumes: list[Any] = []
    sequences: list[Any] = []
    images: list[Any] = []
    warnings: list[str] = []
    error: dict[str, str] = {}

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "loading")

    @property
    def value(self) -> list[Volume | VolumeSequence]:
        """All that it became, in the plan's order."""
        return [*self.volumes, *self.sequences, *self.images]

    def __repr__(self) -> str:
        how = self.error.get("message", "") or (f"{100 * self.progress:.0f} %" if self.state == "loading" else "")
        return f"<Load {self.id} {self.title!r}: {self.state}{f', {how}' if how else ''}>"


class Loads(list[Load]):
    """Entries of the queue, oldest first; they show as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<em>nothing is loading</em>"
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("", "Series", "State", "Files", ""))
        rows = []
        for load in self:
            files = f"{load.files[0]} of {load.files[1]}" if load.files[1] else ""
            cells = (str(load.id), load.title, load.state, files, load.error.get("message", "") or load.text)
            rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class LoadQueue:
    """The load queue of a session's Slicer. It goes on when the notebook that has asked is gone."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        *series: str | Series,
        show: bool = True,
        strict: bool = False,
        rectify: bool = False,
        quantity: str | None = None,
    ) -> Loads:
        """Put series at the end; returns at once. One that waits or is being loaded already is not put there twice.

        Args:
            series: records or Series Instance UIDs of the index.
            show: show each in the slice views when it is there.
            strict, rectify, quantity: as for `Dicom.load`.

        Raises:
            ArgumentError: what is no series, or none at all. What goes wrong with one later is in its entry.
        """
        uids = [series_uid(each) for each in series]
        if not all(uids) or not uids:
            raise ArgumentError("Which series?", expected="at least one", got="none")
        raw = self._session.call(
            "loads.add",
            series=uids,
            show=show,
            strict=strict,
            rectify=rectify,
            quantity=quantity,
            database=self._session.dicom.database,
            by=self._session.name,
        )
        return _loads(raw)

    def entries(self) -> Loads:
        """What waits, what is being loaded and what has ended (the last 50), oldest first."""
        return _loads(self._session.call("loads.list"))

    def job(self, loads: Iterable[Load] | None = None) -> Job[Loads]:
        """Those entries, or all that go on, as one `Job`: a bar in the cell, a wait, a cancel that stops them all.

        Its result are the entries as they were at their end, whatever it was.

        Raises (by the job):
            UidNotFoundError: one is not in the queue any more.
        """
        ids = [load.id for load in loads] if loads is not None else [e.id for e in self.entries() if e.goes_on]
        return _Waiting(self._session, ids).job

    def wait(self, loads: Iterable[Load] | None = None, timeout: float | None = None) -> Loads:
        """Wait until these have ended, or all that go on; the entries as they are then.

        Args:
            timeout: seconds; without one as long as it takes (a lost Slicer ends the wait with an error).

        Raises:
            DeadlineError: some have not ended in time. They go on.
            UidNotFoundError: one is not in the queue any more.
            SessionError: Slicer was lost.
        """
        job = self.job(loads)
        with shown(job):
            return job.result(timeout)

    def cancel(self, *loads: Load | int) -> Loads:
        """Stop these, or all that go on; nothing half-loaded is left. Those that were stopped or are about to."""
        ids = [load.id if isinstance(load, Load) else int(load) for load in loads]
        return _loads(self._session.call("loads.cancel", ids=ids or None))

    def clear(self) -> None:
        """Forget those that have ended. What they loaded stays in the scene."""
        self._session.call("loads.clear")

    def __repr__(self) -> str:
        return f"<load queue of {self._session.name!r}: {list(self.entries())}>"

    def _repr_html_(self) -> str:
        return self.entries()._repr_html_()


class _Waiting(Following[Loads]):
    """Follows entries until all have ended."""

    def __init__(self, session: Session, ids: list[int]) -> None:
        self._known: dict[int, Load] = {}
        super().__init__(session, "loads.wait", ids, event="loads", listing="loads.list", cancelling="loads.cancel")

    def _found(self, raw: list[dict[str, Any]]) -> None:
        found = _loads(raw)
        gone = sorted({*self._wanted} - {load.id for load in found} - self._known.keys())
        self._take(found)
        if gone:
            self.job.deliver(
                None,
                UidNotFoundError(
                    "That is not in the load queue any more.",
                    expected="an entry of slicer.dicom.queue.entries()",
                    got=", ".join(map(str, gone)),
                ),
            )

    def _news(self, event: dict[str, Any]) -> None:
        self._take(_loads(event["entries"]))

    def _take(self, loads: Loads) -> None:
        with self._lock:
            for load in loads:
                former = self._known.get(load.id)
                # The list may be older than the news.
                if load.id in self._wanted and (former is None or former.goes_on):
                    self._known[load.id] = load
            own = Loads(self._known[number] for number in self._wanted if number in self._known)
        if len(own) == len(self._wanted) and not any(load.goes_on for load in own):
            self.job.deliver(own, None)
        elif own:
            done = sum(max(0.0, load.progress) if load.goes_on else 1.0 for load in own) / len(self._wanted)
            title = next((load.title for load in own if load.state == "loading"), "")
            self.job.deliver_progress(done, title, [sum(not load.goes_on for load in own), len(self._wanted)])


def _loads(raw: Any) -> Loads:
    return Loads(Load(**{**entry, "files": tuple(entry["files"]), "bytes": tuple(entry["bytes"])}) for entry in raw)
