"""The doctor of a connection: step by step what works with a PACS, and what to do where something does not."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from slicer_notebook.errors import ArgumentError, JobCancelledError, PacsError, SlicerNotebookError
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Cancelled, Fetch, Source, never
from slicer_notebook.pacs.server import Learned

if TYPE_CHECKING:
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["Examination", "Patient", "Step", "examine"]

Status = Literal["ok", "warn", "fail"]
_COLOURS: Final = {"ok": "#2a8a3e", "warn": "#a66a00", "fail": "#c22"}
_log = logging.getLogger(__name__)


class Step(msgspec.Struct, kw_only=True):
    """One thing that was looked at: ``status`` is ok, warn or fail; ``fix`` says what to do, where something is."""

    name: str
    status: Status
    found: str
    fix: str = ""
    #: seconds it took
    seconds: float = 0.0


class Examination(msgspec.Struct, kw_only=True):
    """What the doctor found."""

    server: str
    url: str
    steps: list[Step] = []
    learned: Learned = msgspec.field(default_factory=Learned)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(step.status != "fail" for step in self.steps)

    def __str__(self) -> str:
        lines = [f"{self.server}: {self.url}"]
        for step in self.steps:
            lines.append(f"  {step.status:4}  {step.name}: {step.found}")
            if step.fix:
                lines.append(f"        what to do: {step.fix}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for step in self.steps:
            fix = f"<br><em>{html.escape(step.fix)}</em>" if step.fix else ""
            mark = f"<td style='color:{_COLOURS[step.status]};text-align:left'><b>{step.status}</b></td>"
            name, found = html.escape(step.name), html.escape(step.found)
            rows.append(
                f"<tr>{mark}<td style='text-align:left'>{name}</td><td style='text-align:left'>{found}{fix}</td></tr>"
            )
        title = f"{html.escape(self.server)}: {html.escape(self.url)}"
        return f"<table><caption style='text-align:left'>{title}</caption><tbody>{''.join(rows)}</tbody></table>"


class Patient:
    """An examination that goes on: steps are looked at one after the other, until one makes the rest pointless."""

    def __init__(self, pacs: Pacs, told: Callable[[str], object], cancelled: Cancelled) -> None:
        self.pacs = pacs
        self.server = pacs.server
        self.cancelled = cancelled
        self.steps: list[Step] = []
        self.learned = msgspec.convert(msgspec.to_builtins(pacs.server.learned), Learned)
        self._told = told

    def add(self, name: str, status: Status, found: str, fix: str = "", seconds: float = 0.0) -> None:
        """A step's outcome."""
        self.steps.append(Step(name=name, status=status, found=found, fix=fix, seconds=round(seconds, 3)))

    @contextmanager
    def step(self, name: str, *, needed: bool = True) -> Iterator[Looking]:
        """Look at one thing: what it raises is its outcome. Without the needed ones, the rest is not looked at.

        Raises:
            PointlessError: a needed step failed.
            JobCancelledError: the examination was cancelled.
        """
        if self.cancelled():
            raise JobCancelledError("The examination was cancelled.")
        self._told(name)
        looking = Looking()
        began = time.monotonic()
        try:
            yield looking
        except JobCancelledError:
            if self.cancelled():
                raise
            looking.found = looking.found or "stopped"
        except SlicerNotebookError as exc:
            found = exc.message + (f" ({exc.got})" if exc.got else "")
            self.add(name, "fail" if needed else "warn", found, exc.hint or "", time.monotonic() - began)
            if needed:
                raise PointlessError from exc
            return
        self.add(name, looking.status, looking.found, looking.fix, time.monotonic() - began)


class Looking:
    """A step that is being looked at; its outcome, unless it fails."""

    def __init__(self) -> None:
        self.status: Status = "ok"
        self.found = ""
        self.fix = ""

    def say(self, found: str, *, status: Status = "ok", fix: str = "") -> None:
        """The outcome."""
        self.found, self.status, self.fix = found, status, fix


class PointlessError(Exception):
    """After what failed, there is nothing more to look at. Never reaches a user."""


def examine(
    pacs: Pacs, *, told: Callable[[str], object] = lambda _text: None, cancelled: Cancelled = never
) -> Examination:
    """Look what works with a PACS. What is learned is kept with its configuration.

    Args:
        told: called with what is looked at.

    Raises:
        JobCancelledError: ``cancelled`` said so.
    """
    patient = Patient(pacs, told, cancelled)
    try:
        with patient.step("Configuration") as looking:
            sources = pacs.sources()
            ways = [way.name for source in sources for way in source.ways()]
            looking.say(f"{pacs.server.kind}, ways: {', '.join(ways)}")
        for source in sources:
            _examine_source(patient, source)
    except PointlessError:
        pass
    pacs.server.learned = patient.learned
    pacs.save_learned(patient.learned)
    return Examination(server=pacs.name, url=pacs.server.url, steps=patient.steps, learned=patient.learned)


def _examine_source(patient: Patient, source: Source) -> None:
    from slicer_notebook.pacs.dimse.source import DimseSource

    if isinstance(source, DimseSource):
        from slicer_notebook.pacs.doctor_dimse import examine_dimse

        examine_dimse(patient, source)
    else:
        from slicer_notebook.pacs.doctor_web import examine_web

        examine_web(patient, source)


def sample(source: Source, cancelled: Cancelled) -> Fetch | None:
    """A series with some instances that can be fetched for a try; None if the PACS is empty.

    Of the first few that it names the first with enough instances to tell how fast they come.

    Raises:
        PacsError: it does not answer.
    """
    best: Fetch | None = None
    query = build_query("STUDY", {}, limit=5)
    for study in list(source.find(query, cancelled)):
        uid = str(study.get("StudyInstanceUID") or "")
        for series in list(source.find(build_query("SERIES", {"StudyInstanceUID": uid}, limit=10), cancelled)):
            count = series.get("NumberOfSeriesRelatedInstances")
            if best is not None and isinstance(count, int) and count <= len(best.instances):
                continue
            found = _sample_of(source, uid, str(series.get("SeriesInstanceUID") or ""), series, cancelled)
            if found is not None and (best is None or len(found.instances) > len(best.instances)):
                best = found
            if best is not None and len(best.instances) >= ENOUGH:
                return best
    return best


#: Instances that are fetched for a try at most.
TRIED: Final = 12
#: Instances that tell how fast they come.
ENOUGH: Final = 6


def _sample_of(source: Source, study: str, series: str, record: dict[str, Any], cancelled: Cancelled) -> Fetch | None:
    keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    try:
        images = list(source.find(build_query("IMAGE", keys, limit=TRIED), cancelled))
    except PacsError:
        return None
    uids = tuple(str(each["SOPInstanceUID"]) for each in images if each.get("SOPInstanceUID"))
    classes = frozenset(str(each.get("SOPClassUID") or "") for each in images)
    if not uids:
        return None
    return Fetch(
        study=study,
        series=series,
        instances=uids,
        sop_classes=classes if "" not in classes else frozenset(),
        modality=record.get("Modality"),
        expected=len(uids),
    )


class Probe:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.moments: list[float] = []

    def open(self) -> Probe:
        """See `Sink.open`."""
        return self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `Part.write`."""
        self.bytes += len(data)

    def done(self) -> None:
        """See `Part.done`."""
        self.count += 1
        self.moments.append(time.monotonic())

    def discard(self) -> None:
        """See `Part.discard`."""

    def folder_aside(self) -> Any:
        """See `FolderSink`: a probe has no folder."""
        raise ArgumentError("A probe keeps nothing.")

    def adopt(self, path: Any, size: int, instance: Any = None) -> None:  # noqa: ARG002
        """See `FolderSink`: a probe has no folder."""
        raise ArgumentError("A probe keeps nothing.")

    def flush(self) -> None:
        """See `FolderSink`."""

    @property
    def pause(self) -> float:
        """Seconds from one instance to the next, the median; 0 with fewer than four."""
        gaps = sorted(after - before for before, after in zip(self.moments, self.moments[1:], strict=False))
        return gaps[len(gaps) // 2] if len(gaps) >= 3 else 0.0
