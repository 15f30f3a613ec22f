"""``slicer.pacs("hospital").listen()``: the PACS pushes, and what comes is in the index, and in the study picker."""

from __future__ import annotations

import html
import logging
import threading
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from slicer_notebook.errors import SessionError, SlicerNotebookError
from slicer_notebook.pacs.reports import Heard

if TYPE_CHECKING:
    from slicer_notebook.pacs.listening import Listening as Here
    from slicer_notebook.session.session import Session

__all__ = ["Listening", "listen_here", "listen_in_slicer"]

Port = int | Literal["free"] | None
_log = logging.getLogger(__name__)


class _Where(Protocol):
    """What listens: Slicer, or this process."""

    def look(self) -> Heard:
        """How it stands."""

    def stop(self) -> Heard:
        """End it."""


class Listening:
    """A PACS may push what nobody has asked for; from `SessionPacs.listen`. A context manager: leaving it ends that."""

    def __init__(self, where: _Where) -> None:
        self._where = where

    @property
    def report(self) -> Heard:
        """Where it listens, and what has come: ``port``, ``calling``, ``count``, ``series``, ``notes``..."""
        return self._where.look()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.report.port

    def stop(self) -> Heard:
        """End it; what has come is kept. The last report."""
        return self._where.stop()

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Listening for {_words(self.report)}>"

    def _repr_html_(self) -> str:
        report = self.report
        page = f"<p>{html.escape(_words(report))}</p>"
        if report.series:
            names = ("Series", "Modality", "Instances", "From")
            head = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
            rows = []
            for each in report.series:
                name = each.SeriesDescription or each.SeriesInstanceUID
                cells = (name, each.Modality or "", str(each.count), ", ".join(each.senders))
                rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            page += f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return page + "".join(f"<p>{html.escape(note)}</p>" for note in report.notes[-5:])


def _words(report: Heard) -> str:
    state = "listens" if report.listening else "does not listen (any more)"
    why = f": {report.error['message']}" if report.error else ""
    tls = " with TLS" if report.tls else ""
    where = f"{report.calling!r} at {report.bind}:{report.port}{tls}"
    return f"{report.server!r}: {where} {state}{why}, {report.count} instances of {len(report.series)} series"


class _InSlicer:
    def __init__(self, session: Session, entry: dict[str, object]) -> None:
        self._session = session
        self._id = entry["id"]
        self._last = msgspec.convert(entry, Heard)

    def look(self) -> Heard:
        entries = self._session.call("pacs.listening")
        found = next((each for each in entries if each["id"] == self._id), None)
        if found is not None:
            self._last = msgspec.convert(found, Heard)
        else:
            self._last.listening = False
        return self._last

    def stop(self) -> Heard:
        for each in self._session.call("pacs.stop_listening", ids=[self._id]):
            self._last = msgspec.convert(each, Heard)
        self._last.listening = False
        return self._last


def listen_in_slicer(session: Session, name: str, port: Port) -> Listening:
    """Have Slicer listen; it goes on when this notebook is gone."""
    entry = session.call(
        "pacs.listen", server=name, port=port, database=session.dicom.database, by=session.name
    )  # fmt: skip
    return Listening(_InSlicer(session, entry))


class _InThisProcess:
    def __init__(self, session: Session, listening: Here) -> None:
        self._session = session
        self._listening = listening
        threading.Thread(target=self._tell, name="slicer-notebook-listening", daemon=True).start()

    def look(self) -> Heard:
        return self._listening.report

    def stop(self) -> Heard:
        return self._listening.stop()

    def _tell(self) -> None:
        """Tell Slicer, and by it all notebooks, that the index has more."""
        while True:
            ended = self._listening.done
            if self._listening.arrived(1.0):
                try:
                    self._session.call("pacs.arrived", series=[], database=self._session.dicom.database)
                except SessionError:
                    _log.info("Slicer is gone; what has arrived is in the index.")
                except SlicerNotebookError as exc:
                    _log.warning("Slicer was not told of what has arrived: %s", exc.message)
            if ended:
                return


def listen_here(session: Session, name: str, port: Port) -> Listening:
    """Listen in this process: it ends with it."""
    from slicer_notebook.pacs.pacs import Pacs

    pacs = Pacs.named(name, index=session.dicom.database)
    listening = pacs.listen(port=port)
    listening.on_done(lambda _work: pacs.close())
    return Listening(_InThisProcess(session, listening))
