"""From a PACS into the scene in one go: each series is loaded as soon as it is here."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import ArgumentError, JobCancelledError, PacsError, by_name
from slicer_notebook.session.dicom import DicomWarning
from slicer_notebook.session.loads import Load
from slicer_notebook.session.sequences import VolumeSequence
from slicer_notebook.session.volumes import Volume

if TYPE_CHECKING:
    from slicer_notebook.session.job import Job
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.transfers import Transfer

__all__ = ["load_from_pacs", "loaded_of"]


def load_from_pacs(session: Session, answers: Any, show: bool) -> list[Volume | VolumeSequence]:
    """Fetch what answers of a PACS name, and load it; waits for both.

    Raises:
        ArgumentError: no answers of a PACS, or of several.
        SlicerNotebookError: as `SessionPacs.retrieve` and `Dicom.load`; what was fetched before is loaded.
    """
    several = [answers] if isinstance(answers, Mapping) else list(answers)
    servers = {getattr(each, "server", "") for each in several}
    if len(servers) != 1 or not all(servers):
        raise ArgumentError(
            "Retrieve what?",
            expected="answers of one PACS: slicer.pacs(name).find(...).result()",
            got=f"answers of {len(servers)}" if all(servers) and servers else "something else, or nothing",
        )
    return loaded_of(session, session.pacs(servers.pop()).retrieve(several, load=True, show=show))


def loaded_of(session: Session, job: Job[Transfer]) -> list[Volume | VolumeSequence]:
    """What a retrieval has loaded, when both are done. Raises as `load_from_pacs`."""
    problem: PacsError | None = None
    try:
        numbers = session.wait(job).loads
    except PacsError as exc:
        problem = exc
        number = exc.details.get("transfer")
        of_queue = [each for entry in session.transfers.entries() if entry.id == number for each in entry.loads]
        numbers = [*exc.details.get("loads", ()), *of_queue]  # the first of a transfer of this process
    loads = _loads_of(session, numbers)
    if problem is not None:
        raise problem
    return _handles(loads)


def _loads_of(session: Session, numbers: list[int]) -> list[Load]:
    """These entries of the load queue, when they have ended."""
    own = [each for each in session.dicom.queue.entries() if each.id in numbers]
    return list(session.dicom.queue.wait(own)) if own else []


def _of_the_caller() -> int:
    """The stack level, for who asks, of whoever called into this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("slicer_notebook."):
        level, frame = level + 1, frame.f_back
    return level


def _handles(loads: list[Load]) -> list[Volume | VolumeSequence]:
    found: list[Volume | VolumeSequence] = []
    for load in loads:
        if load.state == "cancelled":
            raise JobCancelledError(f"Loading {load.title!r} was cancelled.")
        if load.error:
            raise by_name(load.error.get("kind", ""))(
                load.error.get("message", ""), hint=load.error.get("hint") or None, details={"series": load.series}
            )
        for text in load.warnings:
            warnings.warn(text, DicomWarning, stacklevel=_of_the_caller())
        found += load.value
    return found
