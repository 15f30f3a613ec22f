"""``slicer.dicom``: the index, studies, series, loading."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from slicer_notebook.dicom.records import IndexSummary, Series, Study
from slicer_notebook.errors import ArgumentError, UidNotFoundError
from slicer_notebook.session.handles import Node
from slicer_notebook.session.loads import LoadQueue
from slicer_notebook.session.plans import Plan
from slicer_notebook.session.sequences import VolumeSequence
from slicer_notebook.session.studies import SeriesList, Studies, series_uid
from slicer_notebook.session.thumbnails import Thumbnails, collect
from slicer_notebook.session.volumes import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

    from slicer_notebook.session.headers import Header, HeaderDifferences
    from slicer_notebook.session.job import Job
    from slicer_notebook.session.session import Session

__all__ = ["Dicom", "DicomWarning"]

#: A UID (PS3.5 9.1), as against a path.
_UID: Final = re.compile(r"[0-9.]{1,64}")
#: A filter is an SQL expression, and those of SQLite must not be too deep.
_UIDS_IN_A_FILTER: Final = 200


class DicomWarning(UserWarning):
    """Something about a loaded series that is not as one would think: a gap, a tilt, files left out."""


class Dicom:
    """DICOM in a session's Slicer.

    Attributes:
        database: path of the index where Slicer runs; ``None`` is the user's own.
        queue: `LoadQueue`: series that are loaded one after the other, while the notebook goes on.
    """

    #: Makes the rich display of a header; set by `slicer_notebook.widgets`, which this layer does not import.
    header_display: ClassVar[Callable[[Header], Any] | None] = None

    def __init__(self, session: Session, database: str | None = None) -> None:
        self._session = session
        self.database = database
        self.queue = LoadQueue(session)

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

    def plan(self, series: str | Path | Series, strict: bool = False, rectify: bool = False) -> Plan:
        """What a series will become, before a pixel is read: volumes, sequences, images, or refusals with reasons.

        Args:
            series: a record, a Series Instance UID, or a file or folder where Slicer runs, indexed or not.
            strict: refuse what would have to be resampled or filled.
            rectify: resample a tilted stack onto a grid at right angles.

        Raises:
            UidNotFoundError: no such series in the index.
            PathNotFoundError, EmptyFolderError, NotDicomError: nothing usable at that path.
        """
        if isinstance(series, Path) or (isinstance(series, str) and not _UID.fullmatch(series)):
            job = self._session.submit(
                "dicom.plan_files", paths=[self._session.path(series)], strict=strict, rectify=rectify
            )
        else:
            job = self._session.submit(
                "dicom.plan", series_uid=series_uid(series), strict=strict, rectify=rectify, database=self.database
            )
        return msgspec.convert(self._session.wait(job), Plan)

    def thumbnail(self, series: str | Series, size: int = 128) -> bytes:
        """PNG of the series' middle slice, windowed, at most ``size`` pixels wide and high."""
        found: bytes = self._session.call(
            "dicom.thumbnail", series_uid=series_uid(series), size=size, database=self.database
        )
        return found

    def thumbnails(self, of: str | Study | Series | Sequence[str | Study | Series], size: int = 128) -> Thumbnails:
        """Pictures of series, side by side, with what would become of them; made once and kept on Slicer's disk.

        Args:
            of: a study, all series of which are shown, or a series: a record or a UID; or several of these.
            size: pixels of a picture, at most.

        Raises:
            UidNotFoundError: no such study or series in the index.
            ArgumentError: ``size`` is not between 16 and 2048.
        """
        found = self._series_of([of] if isinstance(of, (str, Study, Series)) else list(of))
        uids = list(dict.fromkeys(each.SeriesInstanceUID for each in found))
        known = self._session.call("dicom.details_known", series=uids, size=size, database=self.database)
        return collect(found, known, lambda uid: self._detail(uid, size), self._session.wait)

    def _detail(self, uid: str, size: int) -> Job[dict[str, Any]]:
        return self._session.submit("dicom.detail", series_uid=uid, size=size, database=self.database)

    def _series_of(self, several: Sequence[str | Study | Series]) -> list[Series]:
        """The records of series, and of all series of studies, in the order in which they were asked for."""
        uids = [each.StudyInstanceUID if isinstance(each, Study) else series_uid(each) for each in several]
        asked = [uid for uid, each in zip(uids, several, strict=True) if not isinstance(each, Series)]
        members: dict[str, list[Series]] = {
            each.SeriesInstanceUID: [each] for each in several if isinstance(each, Series)
        }
        for start in range(0, len(asked), _UIDS_IN_A_FILTER):
            some = asked[start : start + _UIDS_IN_A_FILTER]
            for record in self.series(StudyInstanceUID=some):
                members.setdefault(record.StudyInstanceUID, []).append(record)
            for record in self.series(SeriesInstanceUID=some):
                members.setdefault(record.SeriesInstanceUID, []).append(record)
        for uid in uids:
            if uid not in members:
                raise UidNotFoundError(
                    f"There is no study or series {uid!r} in the index.",
                    hint="slicer.dicom.studies() and slicer.dicom.series() tell which there are",
                    details={"uid": uid},
                )
        return [record for uid in uids for record in members[uid]]

    def header(self, uid: str | Series | Volume | VolumeSequence) -> Header:
        """The header of an instance, or of the first one of a series or of a loaded volume, without pixel data.

        A pydicom ``Dataset``, which a notebook shows as a tree to search in; ``header.find("echo")`` lists elements.

        Args:
            uid: a SOP or Series Instance UID of the index, a `Series`, or what `load` gave.

        Raises:
            UidNotFoundError: no such instance or series in the index.
            FileFormatError: its file is gone, cannot be read, or is another than when it was indexed.
            ArgumentError: a volume that did not come from DICOM; what is none of these.
        """
        from slicer_notebook.session.headers import Header

        if isinstance(uid, Volume | VolumeSequence):
            return uid.dicom
        raw: bytes = self._session.call("dicom.header", uid=series_uid(uid), database=self.database)
        return Header.of(raw)

    def compare(
        self,
        a: str | Series | Volume | VolumeSequence | Dataset,
        b: str | Series | Volume | VolumeSequence | Dataset,
        ignore: Collection[str] = (),
    ) -> HeaderDifferences:
        """What differs between two headers: numbers by value, sequences item by item, private elements by creator.

        Args:
            a, b: SOP or Series Instance UIDs of the index, `Series` and what `load` gave (of each, its first instance),
                or headers.
            ignore: left out: ``"uids"``, ``"times"``, ``"numbers"``, ``"position"`` (what any two instances differ in,
                listed apart without), ``"private"``, keywords, tags as ``"0018,0050"``.

        Raises:
            UidNotFoundError: no such instance or series in the index.
            FileFormatError: a file is gone, cannot be read, or is another than when it was indexed.
            ArgumentError: neither a UID, a series nor a header; no such word, keyword or tag in ``ignore``.
        """
        from slicer_notebook.session.headers import compare

        (one, first), (other, second) = self._header_for(a), self._header_for(b)
        note = "The first instances of the series are compared." if first and second else ""
        if first != second:
            note = f"Of series {'a' if first else 'b'}, the first instance is compared."
        return compare(one, other, ignore, note=note)

    def _header_for(self, of: str | Series | Volume | VolumeSequence | Dataset) -> tuple[Dataset, bool]:
        """A header, and whether it stands for a series."""
        from pydicom import Dataset

        if isinstance(of, Dataset):
            return of, False
        found = self.header(of)
        return found, isinstance(of, str | Series) and series_uid(of) == found.get("SeriesInstanceUID")

    def attributes(self, of: str | Series | Sequence[str | Series], *keywords: str) -> dict[str, dict[str, Any]]:
        """Any attributes of instances or series (of a series' first instance), read from their files.

        Args:
            of: SOP or Series Instance UIDs of the index, or `Series` records; one or several.
            keywords: DICOM keywords, or tags as ``"0019,100C"``.

        Returns:
            By UID and keyword: text, a number, bytes, a list of those; None where the attribute is absent or empty.

        Raises:
            ArgumentError: no such keyword.
            UidNotFoundError: no such instance or series in the index.
            FileFormatError: a file is gone or cannot be read.
        """
        several = [of] if isinstance(of, (str, Series)) or not isinstance(of, Sequence) else list(of)
        found: dict[str, dict[str, Any]] = self._session.call(
            "dicom.attributes",
            uids=[series_uid(each) for each in several],
            keywords=list(keywords),
            database=self.database,
        )
        return found

    def _header_of(self, node: Node, uid: str) -> Header:
        """Header of a loaded node's first instance. Raises `ArgumentError` for a node that is not from DICOM."""
        if not uid:
            raise ArgumentError(
                f"{node._ref.name!r} did not come from DICOM.",
                expected="a node that slicer.dicom.load made",
                got="one without DICOM.instanceUIDs",
            )
        return self.header(uid)

    def load_job(
        self,
        series: str | Series,
        show: bool = True,
        *,
        strict: bool = False,
        rectify: bool = False,
        quantity: str | None = None,
    ) -> Job[list[Volume | VolumeSequence]]:
        """As `load` of one series, without waiting."""
        return self._session.submit(
            "dicom.load",
            series_uid=series_uid(series),
            show=show,
            strict=strict,
            rectify=rectify,
            quantity=quantity,
            database=self.database,
            convert=_loaded,
        )

    def load(
        self,
        series: str | Series | Sequence[str | Series] | None = None,
        show: bool = True,
        *,
        strict: bool = False,
        rectify: bool = False,
        quantity: str | None = None,
        retrieve: Any = None,
    ) -> list[Volume | VolumeSequence]:
        """Load one series or several: volumes, sequences and images, in the plan's order.

        A `Volume` for each volume and image, a `VolumeSequence` for volumes over time, echoes, b-values... What is not
        as one would think (gaps, tilt, files left out) comes as `DicomWarning`.

        Args:
            show: show the first of them in the slice views.
            strict: refuse what would have to be resampled or filled, instead of warning.
            rectify: resample a tilted stack onto a grid at right angles, instead of keeping the shear in the affine.
            quantity: turn the values into what the plan offers: "SUVbw", a real world value; never done unasked.
            retrieve: instead of ``series``: answers of a PACS (``slicer.pacs(name).find(...).result()``), which are
                fetched first. Each series is loaded as soon as it is here, and the first is shown while others still
                arrive. What is no image (reports, segmentations) is fetched, and not loaded.

        Raises:
            UidNotFoundError: no such series in the index.
            SeriesRefusedError: the series would not become a correct volume; ``error.reason`` names why.
            RetrieveIncompleteError, PacsError, StorageError: not all could be fetched; what was, is loaded.
            ArgumentError: a quantity that a volume of the series does not offer; the message names those offered.
        """
        if retrieve is not None:
            if series is not None or strict or rectify or quantity is not None:
                raise ArgumentError(
                    "What is retrieved is loaded as it is.",
                    expected="retrieve= alone, or with show=",
                    got="another argument beside it",
                    hint="slicer.pacs(name).retrieve(answers), then slicer.dicom.load(series, ...)",
                )
            from slicer_notebook.session.retrieving import load_from_pacs

            return load_from_pacs(self._session, retrieve, show)
        if not isinstance(series, (str, Series, Sequence)):
            raise ArgumentError(
                "That is not a series.", expected="a Series record or a Series Instance UID", got=type(series).__name__
            )
        several = [series] if isinstance(series, (str, Series)) else list(series)
        loaded: list[Volume | VolumeSequence] = []
        for each in several:
            job = self.load_job(each, show, strict=strict, rectify=rectify, quantity=quantity)
            found: list[Volume | VolumeSequence] = self._session.wait(job)
            loaded += found
        return loaded


def _loaded(raw: dict[str, Any]) -> list[Volume | VolumeSequence]:
    for text in raw["warnings"]:
        warnings.warn(text, DicomWarning, stacklevel=4)
    return handles_of(raw)


def handles_of(raw: dict[str, Any]) -> list[Volume | VolumeSequence]:
    """What ``dicom.load`` made, in the plan's order."""
    return [*raw["volumes"], *raw["sequences"], *raw["images"]]
