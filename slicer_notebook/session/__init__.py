"""The notebook's side: sessions, node handles, jobs, launching. Needs no Slicer in its own Python."""

from __future__ import annotations

from pathlib import Path

from slicer_notebook import errors
from slicer_notebook.session import records
from slicer_notebook.session.cameras import Camera
from slicer_notebook.session.dicom import Dicom, DicomWarning
from slicer_notebook.session.functions import RemoteFunction
from slicer_notebook.session.handles import Node
from slicer_notebook.session.images import Image, Pictures
from slicer_notebook.session.inprocess import InProcessLink, agent_here
from slicer_notebook.session.job import Job
from slicer_notebook.session.kernel_link import KernelLink
from slicer_notebook.session.launcher import Launched
from slicer_notebook.session.lightbox import Lightbox
from slicer_notebook.session.markups import Markups, MarkupsPoints
from slicer_notebook.session.markups_shapes import (
    MarkupsAngle,
    MarkupsClosedCurve,
    MarkupsCurve,
    MarkupsLine,
    MarkupsPlane,
    MarkupsROI,
)
from slicer_notebook.session.models import Model
from slicer_notebook.session.plans import Plan
from slicer_notebook.session.plots import Plot, PlotSeries
from slicer_notebook.session.records import SessionRecord
from slicer_notebook.session.segment_editor import SegmentEditor
from slicer_notebook.session.segmentations import Segmentation
from slicer_notebook.session.segments import Code, Segment, Segments, Terminology
from slicer_notebook.session.sequences import VolumeSequence
from slicer_notebook.session.session import Session, Subscription
from slicer_notebook.session.studies import SeriesList, Studies
from slicer_notebook.session.tables import Table
from slicer_notebook.session.texts import Text
from slicer_notebook.session.transforms import Transform
from slicer_notebook.session.views import View
from slicer_notebook.session.volumes import Volume

__all__ = [
    "Camera",
    "Code",
    "Dicom",
    "DicomWarning",
    "Image",
    "Job",
    "Lightbox",
    "Markups",
    "MarkupsAngle",
    "MarkupsClosedCurve",
    "MarkupsCurve",
    "MarkupsLine",
    "MarkupsPlane",
    "MarkupsPoints",
    "MarkupsROI",
    "Model",
    "Node",
    "Pictures",
    "Plan",
    "Plot",
    "PlotSeries",
    "RemoteFunction",
    "Segment",
    "SegmentEditor",
    "Segmentation",
    "Segments",
    "SeriesList",
    "Session",
    "SessionRecord",
    "Studies",
    "Subscription",
    "Table",
    "Terminology",
    "Text",
    "Transform",
    "View",
    "Volume",
    "VolumeSequence",
    "connect",
    "launch",
    "sessions",
]

#: Seconds that a Slicer may take to start: importing it takes 3 s on a quiet machine, a cold disk ten times that.
LAUNCH_TIMEOUT = 90.0
#: What ZeroMQ says of a port that is another process's.
_PORT_TAKEN = "Address already in use"

#: Seconds that a running Slicer may take to answer a connect; it answers when the command at hand is done.
CONNECT_TIMEOUT = 30.0


def launch(
    name: str | None = None,
    *,
    timeout: float = LAUNCH_TIMEOUT,
    keep: bool = False,
    python: str | None = None,
    shared_memory: bool = True,
    environment: dict[str, str] | None = None,
) -> Session:
    """Start a headless Slicer in a process of its own and connect to it.

    Args:
        name: names it in `sessions`; ``slicer-1`` and so on without one.
        timeout: seconds it may take.
        keep: it goes on when this notebook's kernel ends or the session is closed; else it ends with them.
        python: interpreter that has ``slicer-notebook[headless]``; this one by default.
        shared_memory: False sends arrays through the socket even on one machine.
        environment: further environment variables for it.

    Raises:
        SlicerNotInstalledError: that Python has no Slicer.
        LaunchError: it ended while starting; the message says what it printed last.
        DeadlineError: it was not ready in time.
    """
    _check_seconds(timeout)
    if not isinstance(environment, (dict, type(None))):
        raise errors.ArgumentError("The environment does not fit.", expected="a dict of text", got=repr(environment))
    launched = Launched(name, python=python, keep=keep, environment=environment)
    launched.start()

    def open_link(attempts: int = 3) -> KernelLink:
        link = KernelLink(launched.connection_file, process_exited=launched.exited, shared_memory=shared_memory)
        try:
            link.open(timeout)
        except BaseException as exc:
            words = launched.last_words()
            launched.kill()
            if isinstance(exc, errors.LaunchError) and _PORT_TAKEN in words and attempts > 1:
                # Its ports were free when they were chosen, and another process was faster.
                launched.start()
                return open_link(attempts - 1)
            if isinstance(exc, errors.LaunchError) and words:
                raise errors.LaunchError(
                    exc.message, got=words, hint="slicer-notebook doctor tells what is missing"
                ) from None
            raise
        return link

    return Session(open_link(), launched.name, launched=launched, open_link=open_link)


def connect(
    target: str | Path | None = None, *, timeout: float = CONNECT_TIMEOUT, shared_memory: bool = True
) -> Session:
    """Connect to a running Slicer. Closing the session, or the notebook, leaves it running.

    Args:
        target: a session's name (see `sessions`) or a kernel's connection file. Without one: this very process when it
            is a Slicer, else the only one that runs.
        timeout: seconds to wait for its answer; a busy Slicer answers when it has finished what it is at.
        shared_memory: False sends arrays through the socket even on one machine.

    Raises:
        SessionNotFoundError: no such Slicer, or several to choose from.
        SlicerNotInstalledError: the kernel is no Slicer, or has no slicer_notebook.
        DeadlineError: no answer in time.
    """
    _check_seconds(timeout)
    if target is None:
        agent = agent_here()
        if agent is not None:
            return Session(InProcessLink(agent), agent.name)
        target = _the_only_one()
    name, file = _find(target)
    link = KernelLink(file, shared_memory=shared_memory)
    link.open(timeout)
    return Session(link, name)


def sessions() -> list[SessionRecord]:
    """The Slicers of this user that run on this machine and can be joined with `connect`, oldest first."""
    return records.read_all()


def _check_seconds(timeout: float) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise errors.ArgumentError("The timeout does not fit.", expected="seconds, a number", got=repr(timeout))


def _the_only_one() -> str:
    found = sessions()
    if len(found) == 1:
        return found[0].name
    raise errors.SessionNotFoundError(
        "There is no running Slicer." if not found else "Several Slicers run; which one?",
        expected="a name or a connection file" if found else "a running Slicer",
        got=", ".join(record.name for record in found) or "none",
        hint="sn.connect(name)" if found else "sn.launch() starts one",
    )


def _find(target: str | Path) -> tuple[str, str]:
    if not isinstance(target, (str, Path)):
        raise errors.ArgumentError(
            "That names no Slicer.", expected="a session's name or a connection file", got=repr(target)
        )
    for record in sessions():
        if record.name == str(target):
            return record.name, record.connection_file
    path = Path(target).expanduser()
    if path.suffix == ".json" or path.parent != Path():
        if not path.is_file():
            raise errors.SessionNotFoundError(
                "There is no such connection file.", expected="a kernel-....json file", got=str(path)
            )
        return path.stem, str(path)
    raise errors.SessionNotFoundError(
        f"No Slicer called {str(target)!r} is running.",
        expected="a name or a connection file",
        got=str(target),
        hint="running: " + (", ".join(record.name for record in sessions()) or "none"),
    )
