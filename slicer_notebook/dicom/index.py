"""The local index of DICOM files: which studies and series there are, and where their files lie."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from slicer_notebook.dicom.copies import merge_copies
from slicer_notebook.dicom.database import Database, decode_instance, decode_series, decode_study
from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.dicom.query import series_where, studies_where
from slicer_notebook.dicom.records import IndexSummary, Instance, Series, Skipped, Study
from slicer_notebook.dicom.rows import FileRow, read_rows
from slicer_notebook.dicom.walk import Found, found_file, walk
from slicer_notebook.errors import (
    ArgumentError,
    EmptyFolderError,
    JobCancelledError,
    NotDicomError,
    PathNotFoundError,
    UidNotFoundError,
)

__all__ = ["Index", "data_folder"]

Progress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]

#: Files in one transaction: what a kill -9 can cost, and how long another process waits at most.
BATCH: Final = 512


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
        """Index files and folders, with all below them.

        Only new and changed files (by size and modification time) are read; files that are gone from an added folder
        leave the index. What was done is kept if the run is cancelled or killed: the next one goes on from there.

        Args:
            progress: called with (files done, files in all, text) on the calling thread.
            cancelled: polled for every file.

        Raises:
            ArgumentError: no path was given, or one whose name is not UTF-8 text.
            PathNotFoundError: a path does not exist.
            EmptyFolderError: the folders hold no DICOM at all.
            NotDicomError: the only path given is a file, and not DICOM.
            JobCancelledError: ``cancelled`` said so.
            IndexDatabaseError: the index cannot be written.
        """
        started = time.monotonic()
        roots = _roots(paths)
        summary = IndexSummary(skipped=[])
        found, known = self._look(roots, summary, cancelled)
        new = [file for file in found if known.get(file.path) != (file.size, file.mtime_ns)]
        summary.files = len(found)
        summary.added = len(new)
        summary.unchanged = len(found) - len(new)
        present = {file.path for file in found}
        gone = [path for path in known if path not in present]
        summary.removed = len(gone)
        if gone:
            self._database.write([], gone)
        if progress is not None:
            progress(len(found) - len(new), len(found), f"{len(new)} of {len(found)} files are new or changed")
        self._read(new, len(found), progress, cancelled)
        self._count(roots, summary)
        summary.seconds = time.monotonic() - started
        if summary.instances == 0:
            raise _nothing_usable(roots, summary)
        return summary

    def _look(
        self, roots: list[str], summary: IndexSummary, cancelled: Cancelled | None
    ) -> tuple[list[Found], dict[str, tuple[int, int]]]:
        """The files below the roots, and the size and time of those that the index knows."""
        found: dict[str, Found] = {}
        known: dict[str, tuple[int, int]] = {}

        def unreadable(folder: str, error: OSError) -> None:
            summary.skipped.append(Skipped(path=folder, reason=f"folder not readable: {error.strerror or error}"))

        for root in roots:
            for file in _files(root, unreadable):
                _poll(cancelled)
                found[file.path] = file
            sql, parameters = _below(root)
            for path, size, mtime_ns in self._database.rows(
                f"SELECT path, size, mtime_ns FROM files WHERE {sql}", parameters
            ):
                known[path] = (size, mtime_ns)
        return list(found.values()), known

    def _read(self, new: list[Found], total: int, progress: Progress | None, cancelled: Cancelled | None) -> None:
        done = total - len(new)
        batch: list[FileRow] = []
        try:
            for rows in read_rows(new, lambda: _poll(cancelled)):
                batch += rows
                done += len(rows)
                if len(batch) >= BATCH:
                    self._database.write(batch)
                    batch = []
                    if progress is not None:
                        progress(done, total, f"Indexing {os.path.dirname(rows[-1].path)}")
        finally:
            # Cancelled as well: what was read need not be read again.
            if batch:
                self._database.write(batch)
        if progress is not None:
            progress(total, total, "Indexed")

    def _count(self, roots: list[str], summary: IndexSummary) -> None:
        uids: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        for root in roots:
            sql, parameters = _below(root)
            query = f"SELECT path, reason FROM files WHERE reason IS NOT NULL AND {sql} ORDER BY path"
            summary.skipped += [
                Skipped(path=path, reason=reason) for path, reason in self._database.rows(query, parameters)
            ]
            for found, columns in zip(uids, ("study_uid", "study_uid || ' ' || series_uid", "sop_uid"), strict=True):
                query = f"SELECT DISTINCT {columns} FROM files WHERE reason IS NULL AND {sql}"
                found.update(uid for (uid,) in self._database.rows(query, parameters))
        summary.studies, summary.series, summary.instances = map(len, uids)

    def remove(self, *paths: str | Path, study: str | None = None, series: str | None = None) -> int:
        """Forget files and folders, a study or a series, by UID. The files themselves stay where they are.

        Returns:
            How many files were forgotten.
        """
        conditions = [_below(os.path.abspath(os.path.expanduser(given))) for given in paths]
        if study is not None:
            conditions.append(("study_uid = ?", [study]))
        if series is not None:
            conditions.append(("series_uid = ?", [series]))
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
        where, parameters = studies_where(filters)
        rows = self._database.rows(
            f"SELECT r.record FROM studies t JOIN study_records r ON r.id = t.id WHERE {where} "
            "ORDER BY t.PatientName, t.PatientID, t.StudyDate, t.StudyTime, t.StudyInstanceUID LIMIT ? OFFSET ?",
            [*parameters, -1 if limit is None else limit, offset],
        )
        return [decode_study(blob) for (blob,) in rows]

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
        where, parameters = series_where(filters)
        if study is not None:
            uid = study.StudyInstanceUID if isinstance(study, Study) else study
            where = f"s.study_uid = ? AND {where}"
            parameters = [uid, *parameters]
        with self._database.snapshot():
            rows = self._database.rows(
                f"SELECT s.record FROM series s JOIN studies t ON t.StudyInstanceUID = s.study_uid WHERE {where} "
                "ORDER BY t.PatientName, t.PatientID, t.StudyDate, t.StudyInstanceUID, s.number, s.SeriesInstanceUID "
                "LIMIT ? OFFSET ?",
                [*parameters, -1 if limit is None else limit, offset],
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
            "SELECT record FROM files WHERE series_uid = ? AND (study_uid = ? OR ? IS NULL) ORDER BY path",
            [uid, study, study],
        )
        if not rows:
            raise _no_uid("series", str(uid))
        found = merge_copies(decode_instance(blob) for (blob,) in rows)
        return sorted(found, key=lambda i: (i.InstanceNumber is None, i.InstanceNumber or 0, i.path))


def _poll(cancelled: Cancelled | None) -> None:
    if cancelled is not None and cancelled():
        raise JobCancelledError("Indexing was cancelled.", hint="What was read is kept; index again to go on.")


def _roots(paths: tuple[str | Path, ...]) -> list[str]:
    if not paths:
        raise ArgumentError("There is nothing to index.", expected="files or folders", got="none")
    roots = []
    for given in paths:
        path = os.path.abspath(os.path.expanduser(given))
        if not _is_text(path):
            raise ArgumentError(
                f"The name {path!a} is not UTF-8 text.", hint="Rename the file or folder, then index it."
            )
        if not os.path.exists(path):
            raise PathNotFoundError(
                f"There is no file or folder {path!r}.",
                expected="an existing path on the machine where Slicer runs",
                details={"path": path},
            )
        roots.append(path)
    return list(dict.fromkeys(roots))


def _is_text(path: str) -> bool:
    """Whether SQLite can hold the path: names of other encodings carry lone surrogates."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files(root: str, on_error: Callable[[str, OSError], None]) -> Iterator[Found]:
    if os.path.isdir(root):
        yield from walk(root, on_error)
        return
    yield found_file(root, os.stat(root))


def _below(root: str) -> tuple[str, list[str]]:
    """SQL for the path itself and all below it; a range, so that the primary key serves it."""
    prefix = root.rstrip(os.sep) + os.sep
    return "(path = ? OR (path >= ? AND path < ?))", [root, prefix, prefix[:-1] + chr(ord(os.sep) + 1)]


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
