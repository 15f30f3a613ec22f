"""The local index of DICOM files: which studies and series there are, and where their files lie."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from slicer_notebook.dicom.archives import is_there, shown_path
from slicer_notebook.dicom.attributes import plain_values, read_dataset, tag_of
from slicer_notebook.dicom.catalogue import Catalogue, catalogue
from slicer_notebook.dicom.copies import contradictions, merge_copies
from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.dicom.levels import decode_instance, decode_series, decode_study
from slicer_notebook.dicom.query import Where, series_where, studies_where
from slicer_notebook.dicom.records import Conflict, IndexSummary, Instance, Series, Skipped, Study
from slicer_notebook.dicom.rows import FileRow, read_rows, row_of
from slicer_notebook.dicom.survey import Survey, below, roots_of
from slicer_notebook.dicom.walk import Found
from slicer_notebook.errors import (
    EmptyFolderError,
    JobCancelledError,
    NotDicomError,
    UidNotFoundError,
)

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Index", "data_folder"]

Progress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]

#: Files in one transaction: what a kill -9 can cost, and how long another process waits at most.
BATCH: Final = 512
#: Studies that part of a condition may leave for them to be looked at one by one (some 5 us each).
FEW: Final = 2000
_STUDY_ORDER: Final = "t.PatientName, t.PatientID, t.StudyDate, t.StudyTime, t.StudyInstanceUID"


class Index:
    """The index of DICOM files on this machine: an SQLite file, shared by all processes that open it.

    Args:
        path: the SQLite file; made when absent. By default ``dicom.sqlite3`` in `data_folder`.

    Raises:
        IndexDatabaseError: the file cannot be opened, or was made by a newer version.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else data_folder() / "dicom.sqlite3"
        self._database = Database(self.path)

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r})"

    def close(self) -> None:
        """Close the file; using the index again opens it again."""
        self._database.close()

    # -- filling ---------------------------------------------------------------------------------------------------

    def add(
        self, *paths: str | Path, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> IndexSummary:
        """Index files and folders, with all below them; of ZIP archives (named .zip, or given), with all in them.

        A DICOMDIR that is given stands for the files that it names; in a folder, files are found without it. The
        desktop Slicer's DICOM database, ``ctkDICOM.sql`` or its folder, stands for the files that it lists: it is only
        read, and Slicer may be running. A member of an archive can be given as ``archive.zip!/member``. Files whose
        names are not UTF-8 are indexed under names with their bytes escaped.

        Only new and changed files (by size and modification time) are read; files that are gone from an added folder
        leave the index. What was done is kept if the run is cancelled or killed: the next one goes on from there.

        Args:
            progress: called with (files done, files in all, text) on the calling thread.
            cancelled: polled for every file.

        Raises:
            ArgumentError: no path was given.
            PathNotFoundError: a path does not exist.
            EmptyFolderError: the folders hold no DICOM at all.
            NotDicomError: the only path given is a file, and not DICOM.
            JobCancelledError: ``cancelled`` said so.
            IndexDatabaseError: the index cannot be written.
        """
        roots = roots_of(paths)
        survey = Survey(self._database, lambda: _poll(cancelled))
        for root in roots:
            survey.look(root)
        summary = self._bring_up_to_date(survey, progress, cancelled)
        if summary.instances == 0:
            raise _nothing_usable(roots, summary)
        return summary

    def put(self, instances: Iterable[Instance]) -> None:
        """Index files whose headers are in hand, without looking at the files: all of them or, on an error, none.

        Raises:
            IndexDatabaseError: the index cannot be written.
        """
        self._database.write([row_of(instance) for instance in instances])

    def holdings(self, study_uid: str, series_uid: str | None = None) -> dict[str, dict[str, list[str]]]:
        """What there is of a study: Series Instance UID -> SOP Instance UID -> paths of its files. Empty where nothing.

        As the index knows it: whether the files are still there was not looked at.
        """
        rows = self._database.rows(
            "SELECT s.SeriesInstanceUID, f.sop_uid, f.path FROM studies t JOIN series s ON s.study_id = t.id "
            "JOIN files f ON f.series_id = s.id WHERE t.StudyInstanceUID = ? "
            "AND (? IS NULL OR s.SeriesInstanceUID = ?)",
            [study_uid, series_uid, series_uid],
        )
        found: dict[str, dict[str, list[str]]] = {}
        for series, sop, path in rows:
            found.setdefault(series, {}).setdefault(sop, []).append(path)
        return found

    def refresh(self, *, progress: Progress | None = None, cancelled: Cancelled | None = None) -> IndexSummary:
        """Look again at every file that the index knows: what changed is read anew, what is gone is forgotten.

        Files that the index does not know are not looked for, but for those in changed archives.

        Raises:
            JobCancelledError: ``cancelled`` said so.
            IndexDatabaseError: the index cannot be written.
        """
        survey = Survey(self._database, lambda: _poll(cancelled))
        survey.look_at_all_known()
        return self._bring_up_to_date(survey, progress, cancelled)

    def _bring_up_to_date(self, survey: Survey, progress: Progress | None, cancelled: Cancelled | None) -> IndexSummary:
        new, gone = survey.new(), set(survey.gone())
        summary = IndexSummary(
            files=len(survey.found), added=len(new), unchanged=len(survey.found) - len(new), skipped=survey.skipped
        )
        if progress is not None:
            progress(summary.unchanged, summary.files, f"{len(new)} of {summary.files} files are new or changed")
        elsewhere = self._read(new, summary.files, progress, cancelled)
        # A file that the index knows from another place, and that is no longer there, was moved to where it is now.
        moved = {path for path in elsewhere if path in gone or not is_there(path)}
        gone |= moved
        if gone or survey.opened:
            # Archives last: one that is known has all its members in the index.
            self._database.write([FileRow(*archive[:3]) for archive in survey.opened], gone)
        if new or gone or survey.opened:
            survey.look_up_again()
        summary.removed, summary.moved = len(gone), len(moved)
        self._count(survey, elsewhere - moved, summary)
        summary.seconds = time.monotonic() - survey.started
        return summary

    def _read(self, new: list[Found], total: int, progress: Progress | None, cancelled: Cancelled | None) -> set[str]:
        """Read files into the index; the files with the same SOP Instance UIDs that it had before."""
        done = total - len(new)
        batch: list[FileRow] = []
        elsewhere: list[str] = []
        try:
            for rows in read_rows(new, lambda: _poll(cancelled)):
                batch += rows
                done += len(rows)
                if len(batch) >= BATCH:
                    elsewhere += self._database.write(batch)
                    batch = []
                    if progress is not None:
                        progress(done, total, f"Indexing {os.path.dirname(rows[-1].path)}")
        finally:
            # Cancelled as well: what was read need not be read again.
            if batch:
                elsewhere += self._database.write(batch)
        if progress is not None:
            progress(total, total, "Indexed")
        return set(elsewhere)

    def _count(self, survey: Survey, elsewhere: set[str], summary: IndexSummary) -> None:
        instances = [held for held in survey.known.values() if held.series_id is not None]
        series = {held.series_id for held in instances}
        uids = Counter(held.sop_uid for held in instances if held.sop_uid is not None)
        summary.skipped += [
            Skipped(path=path, reason=reason)
            for path, reason in sorted((held.path, held.reason) for held in survey.known.values() if held.reason)
        ]
        studies = {self._database.rows("SELECT study_id FROM series WHERE id = ?", [number])[0] for number in series}
        summary.studies, summary.series, summary.instances = len(studies), len(series), len(uids)
        summary.duplicates = len(instances) - len(uids)
        several = [uid for uid, count in uids.items() if count > 1]
        if elsewhere:
            query = "SELECT sop_uid FROM files WHERE path IN (SELECT value FROM json_each(?))"
            several += [uid for (uid,) in self._database.rows(query, [json.dumps(sorted(elsewhere))])]
        summary.conflicts = self._conflicts(several)

    def _conflicts(self, sop_uids: Iterable[str]) -> list[Conflict]:
        conflicts = []
        for uid in sorted(set(sop_uids)):
            rows = self._database.rows(
                "SELECT r.record FROM files f JOIN records r ON r.id = f.id WHERE f.sop_uid = ? ORDER BY f.path", [uid]
            )
            copies = [decode_instance(blob) for (blob,) in rows]
            differing = contradictions(copies)
            if differing:
                paths = [copy.path for copy in copies]
                conflicts.append(Conflict(SOPInstanceUID=uid, paths=paths, attributes=differing))
        return conflicts

    def remove(self, *paths: str | Path, study: str | None = None, series: str | None = None) -> int:
        """Forget files and folders, a study or a series, by UID. The files themselves stay where they are.

        Returns:
            How many files were forgotten.
        """
        conditions = [below(shown_path(os.path.abspath(os.path.expanduser(given)))) for given in paths]
        of_series = "series_id IN (SELECT s.id FROM series s JOIN studies t ON t.id = s.study_id WHERE {} = ?)"
        if study is not None:
            conditions.append((of_series.format("t.StudyInstanceUID"), [study]))
        if series is not None:
            conditions.append((of_series.format("s.SeriesInstanceUID"), [series]))
        gone: set[str] = set()
        for sql, parameters in conditions:
            gone.update(path for (path,) in self._database.rows(f"SELECT path FROM files WHERE {sql}", parameters))
        self._database.write([], sorted(gone))
        return len(gone)

    # -- asking ----------------------------------------------------------------------------------------------------

    def studies(self, *, limit: int | None = None, offset: int = 0, **filters: Any) -> list[Study]:
        """Studies that match all filters, by patient's name, patient ID and date.

        Args:
            limit: how many at most.
            offset: how many to pass over first.
            filters: DICOM keywords of the study (or of any of its series): text with ``*`` and ``?``, without case and
                accents; numbers; dates or ranges ``20100101-20101231``; lists (any of); None (absent). ``text``:
                words that all must occur somewhere.

        Raises:
            ArgumentError: an unknown keyword, with those that are known.
        """
        with self._database.snapshot():
            where = studies_where(filters)
            few, by = self._narrowed(where)
            rows = self._database.rows(
                f"SELECT r.record FROM (SELECT t.id FROM studies t {by} WHERE {few} AND {where.sql} "
                f"ORDER BY {_STUDY_ORDER} "
                "LIMIT ? OFFSET ?) AS found CROSS JOIN study_records r ON r.id = found.id",
                [*where.parameters, -1 if limit is None else limit, offset],
            )
        return [decode_study(blob) for (blob,) in rows]

    def catalogue(self, first: int | None = None) -> Catalogue:
        """All studies as lines of text, or the first of them: see `catalogue`.

        Raises:
            IndexDatabaseError: the index cannot be read.
        """
        return catalogue(self._database, first)

    def _narrowed(self, where: Where) -> tuple[str, str]:
        """How to look through the studies, as SQL: a condition on them, and the index to go by, if any.

        Where some part of the condition is true of few studies, those; where it is true of many, all in the order that
        is asked for, for a page is soon filled then.
        """
        for query, parameters in where.candidates:
            found = self._database.rows(f"{query} LIMIT ?", [*parameters, FEW + 1])
            if len(found) <= FEW:
                return f"t.id IN ({','.join(str(number) for (number,) in found)})", ""
        return "1", "INDEXED BY studies_order"

    def series(
        self, study: str | Study | None = None, *, limit: int | None = None, offset: int = 0, **filters: Any
    ) -> list[Series]:
        """Series of a study, or of all, that match all filters; by study and series number.

        Args:
            study: a `Study` or its UID.
            filters: as for `studies`.

        Raises:
            UidNotFoundError: no such study.
            ArgumentError: an unknown keyword.
        """
        where = series_where(filters)
        with self._database.snapshot():
            if study is None:
                few, by = self._narrowed(where)
                parameters = []
            else:
                uid = study.StudyInstanceUID if isinstance(study, Study) else study
                few, by, parameters = "t.StudyInstanceUID = ?", "", [uid]
            rows = self._database.rows(
                f"SELECT r.record FROM (SELECT s.id FROM studies t {by} JOIN series s ON s.study_id = t.id "
                f"WHERE {few} AND {where.sql} ORDER BY {_STUDY_ORDER}, s.number, s.SeriesInstanceUID "
                "LIMIT ? OFFSET ?) AS found CROSS JOIN series_records r ON r.id = found.id",
                [*parameters, *where.parameters, -1 if limit is None else limit, offset],
            )
            if study is not None and not rows:
                known = self._database.rows("SELECT 1 FROM studies WHERE StudyInstanceUID = ?", [uid])
                if not known:
                    raise _no_uid("study", uid)
        return [decode_series(blob) for (blob,) in rows]

    def instances(self, series_uid: str | Series, *, study: str | None = None) -> list[Instance]:
        """The instances of a series, one for each SOP Instance UID, by instance number (for reading, not for geometry).

        Args:
            series_uid: a `Series` or its UID.
            study: of this study only; needed where two studies share a series UID, which they should not.

        Raises:
            UidNotFoundError: no such series.
        """
        uid = series_uid
        if isinstance(series_uid, Series):
            uid, study = series_uid.SeriesInstanceUID, series_uid.StudyInstanceUID
        rows = self._database.rows(
            "SELECT r.record FROM series s JOIN studies t ON t.id = s.study_id JOIN files f ON f.series_id = s.id "
            "JOIN records r ON r.id = f.id WHERE s.SeriesInstanceUID = ? AND (t.StudyInstanceUID = ? OR ? IS NULL) "
            "ORDER BY f.path",
            [uid, study, study],
        )
        if not rows:
            raise _no_uid("series", str(uid))
        found = merge_copies(decode_instance(blob) for (blob,) in rows)
        return sorted(found, key=_reading_order)

    def instance(self, sop_uid: str, *, study: str | None = None, series: str | None = None) -> Instance:
        """An instance by its SOP Instance UID.

        Args:
            study, series: of this study and this series only.

        Raises:
            UidNotFoundError: no such instance there.
        """
        rows = self._database.rows(
            "SELECT r.record FROM files f JOIN records r ON r.id = f.id JOIN series s ON s.id = f.series_id "
            "JOIN studies t ON t.id = s.study_id WHERE f.sop_uid = ? AND (? IS NULL OR t.StudyInstanceUID = ?) "
            "AND (? IS NULL OR s.SeriesInstanceUID = ?) ORDER BY f.path",
            [sop_uid, study, study, series, series],
        )
        if not rows:
            raise _no_uid("instance", sop_uid)
        return min(merge_copies(decode_instance(blob) for (blob,) in rows), key=_reading_order)

    def stamps(self, series: Iterable[str]) -> dict[str, str]:
        """What changes when a series' files do, as the index knows them, by Series Instance UID; unknown UIDs lack.

        The count of files and sums over their sizes, times and row numbers: what was made of a series holds for as long
        as its stamp is the same.
        """
        # Sums of whole times would overflow 64 bits; a span of five hours in nanoseconds does not.
        query = (
            "SELECT COUNT(*), SUM(f.id), SUM(f.size), SUM(f.mtime_ns & 0xFFFFFFFFFFF) "
            "FROM series s JOIN files f ON f.series_id = s.id WHERE s.SeriesInstanceUID = ?"
        )
        found = {uid: self._database.rows(query, [uid])[0] for uid in dict.fromkeys(series)}
        return {uid: ":".join(map(str, row)) for uid, row in found.items() if row[0]}

    def header(self, uid: str) -> Dataset:
        """The data set of an instance, without pixels, as it is in the file.

        Args:
            uid: a SOP Instance UID, or a Series Instance UID for the series' first instance.

        Raises:
            UidNotFoundError: neither is in the index.
            FileFormatError: the file is gone or cannot be read.
        """
        return read_dataset(self._path_of(uid))

    def attributes(self, uids: Iterable[str], keywords: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Any attributes of instances, or of series' first instances, read from their files.

        Args:
            uids: SOP Instance UIDs or Series Instance UIDs.
            keywords: DICOM keywords, or tags as ``0019,100C``.

        Returns:
            By UID and keyword: text, a number, bytes, a list of those, a list of dictionaries for a sequence; None
            where the attribute is absent or empty.

        Raises:
            ArgumentError: no such keyword.
            UidNotFoundError: a UID is not in the index.
            FileFormatError: a file is gone or cannot be read.
        """
        names = list(keywords)
        tags = [tag_of(name) for name in names]
        return {uid: plain_values(read_dataset(self._path_of(uid), tags), names) for uid in uids}

    def _path_of(self, uid: str) -> str:
        for condition in ("f.sop_uid = ?", "f.series_id IN (SELECT id FROM series WHERE SeriesInstanceUID = ?)"):
            rows = self._database.rows(
                f"SELECT r.record FROM files f JOIN records r ON r.id = f.id WHERE {condition}", [uid]
            )
            found = merge_copies(decode_instance(blob) for (blob,) in rows)
            if found:
                return min(found, key=_reading_order).path
        raise _no_uid("instance or series", uid)


def _reading_order(instance: Instance) -> tuple[bool, int, str]:
    return instance.InstanceNumber is None, instance.InstanceNumber or 0, instance.path


def _poll(cancelled: Cancelled | None) -> None:
    if cancelled is not None and cancelled():
        raise JobCancelledError("Indexing was cancelled.", hint="What was read is kept; index again to go on.")


def _nothing_usable(roots: list[str], summary: IndexSummary) -> EmptyFolderError | NotDicomError:
    reasons: dict[str, int] = {}
    for skipped in summary.skipped:
        reasons[skipped.reason] = reasons.get(skipped.reason, 0) + 1
    got = ", ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items())) or "no files"
    details = {"paths": roots, "skipped": msgspec.to_builtins(summary.skipped[:100])}
    if len(roots) == 1 and not os.path.isdir(roots[0]):
        return NotDicomError(f"{roots[0]!r} cannot be indexed.", expected="a DICOM file", got=got, details=details)
    return EmptyFolderError(
        f"There is no DICOM in {', '.join(map(repr, roots))}.",
        expected="a folder with DICOM files",
        got=got,
        details=details,
    )


def _no_uid(level: str, uid: str) -> UidNotFoundError:
    return UidNotFoundError(
        f"There is no {level} {uid!r} in the index.",
        hint="Index its folder first, or look at studies() and series().",
        details={"uid": uid},
    )
