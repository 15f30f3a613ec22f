"""``slicer.dicom``: the index, studies, series, loading."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from slicer_notebook.dicom.records import IndexSummary, Series, Study
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.handles import Volume
from slicer_notebook.session.studies import SeriesList, Studies

if TYPE_CHECKING:
    from slicer_notebook.session.job import Job
    from slicer_notebook.session.session import Session

__all__ = ["Dicom", "DicomWarning"]


class DicomWarning(UserWarning):
    """Something about a loaded series that is not as one would think: a gap, a tilt, files left out."""


class Dicom:
    """DICOM in a session's Slicer.

    Attributes:
        database: path of the index where Slicer runs; ``None`` is the user's own.
    """

    def __init__(self, session: Session, database: str | None = None) -> None:
        self._session = session
        self.database = database

    def index(self, *folders: str | Path) -> Job[IndexSummary]:
        """Look through folders, files and what is below them; studies that are known already cost little.

        The job's result is an `IndexSummary`: files, studies, series, skipped and why.

        Raises (by the job):
            PathNotFoundError: no such folder where Slicer runs.
            EmptyFolderError, NotDicomError: nothing usable there.
        """
        if not folders:
            raise ArgumentError("Which folder?", expected="at least one folder or file", got="none")
        job: Job[IndexSummary] = self._session.submit(
            "dicom.index",
            paths=[self._session.path(f) for f in folders],
            database=self.database,
            convert=lambda raw: msgspec.convert(raw, IndexSummary),
        )
        # Also after an error or a cancel: what was read until then is in the index.
        job.add_done_callback(lambda _job: self._session._tell("indexed", {"database": self.database}))
        return job

    def studies(self, **filters: Any) -> Studies:
        """Studies of the index, by patient's name, patient ID and date.

        Args:
            filters: DICOM keywords with text (``PatientName="Comp*"``), a date range
                (``StudyDate="20100101-20101231"``); ``text="..."`` searches name, id, accession number, description.

        Raises:
            ArgumentError: a filter that is no keyword of the index.
        """
        raw = self._session.call("dicom.studies", filters=filters, database=self.database)
        return Studies(msgspec.convert(r, Study) for r in raw)

    def series(self, study: str | Study | None = None, **filters: Any) -> SeriesList:
        """Series of a study (a record or a Study Instance UID), of all studies without one.

        Raises:
            UidNotFoundError: no such study.
        """
        uid = study.StudyInstanceUID if isinstance(study, Study) else study
        raw = self._session.call("dicom.series", study_uid=uid, filters=filters, database=self.database)
        return SeriesList(msgspec.convert(r, Series) for r in raw)

    def plan(self, series: str | Series) -> dict[str, Any]:
        """What a series will become, before a pixel is read: ``volumes``, ``refused`` with reasons, ``warnings``."""
        found: dict[str, Any] = self._session.call("dicom.plan", series_uid=_uid(series), database=self.database)
        return found

    def thumbnail(self, series: str | Series, size: int = 128) -> bytes:
        """PNG of the series' middle slice, windowed, at most ``size`` pixels wide and high."""
        found: bytes = self._session.call("dicom.thumbnail", series_uid=_uid(series), size=size, database=self.database)
        return found

    def load_job(self, series: str | Series, show: bool = True) -> Job[list[Volume]]:
        """As `load`, without waiting."""
        return self._session.submit(
            "dicom.load", series_uid=_uid(series), show=show, database=self.database, convert=_loaded
        )

    def load(self, series: str | Series | Sequence[str | Series], show: bool = True) -> list[Volume]:
        """Load one series or several; a `Volume` for each volume in them.

        What is not as one would think (gaps, tilt, files left out) comes as `DicomWarning`.

        Raises:
            UidNotFoundError: no such series in the index.
            SeriesRefusedError: the series would not become a correct volume; ``error.reason`` names why.
        """
        if not isinstance(series, (str, Series, Sequence)):
            _uid(series)  # refuses it by name
        several = [series] if isinstance(series, (str, Series)) else list(series)
        volumes: list[Volume] = []
        for each in several:
            loaded = self._session.wait(self.load_job(each, show))
            volumes += loaded
        return volumes


def _uid(series: str | Series) -> str:
    if isinstance(series, Series):
        return series.SeriesInstanceUID
    if isinstance(series, str):
        return series
    raise ArgumentError(
        "That is not a series.", expected="a Series record or a Series Instance UID", got=type(series).__name__
    )


def _loaded(raw: dict[str, Any]) -> list[Volume]:
    for text in raw["warnings"]:
        warnings.warn(text, DicomWarning, stacklevel=4)
    volumes: list[Volume] = raw["volumes"]
    return volumes
