"""Adding files to the DICOM database of the desktop Slicer, row by row as CTK does (ctkDICOMDatabase::insert).

Files are linked, not copied. What Slicer shows of patients, studies and series is filled in as far as it is plain, and
marked so that Slicer works it out anew. The cache of tags is Slicer's own affair: it reads what it misses there from
the files; only entries of instances whose file is replaced are taken out.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from slicer_notebook.dicom.archives import archive_of, file_path
from slicer_notebook.dicom.attributes import plain_values, read_dataset, tag_of
from slicer_notebook.dicom.ctk import absolute, columns, database_file, opened, version_of
from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance, Skipped
from slicer_notebook.errors import IndexDatabaseError

__all__ = ["SlicerAdditions", "add_to_slicer"]

#: Schemas of CTK that are known to take these rows.
VERSIONS: Final = ("0.6.0", "0.6.1", "0.6.2", "0.7.0", "0.8.0", "0.8.1")
_TAG_CACHE: Final = "ctkDICOMTagCache.sql"
#: What a series' row holds that the index does not: keyword -> column.
_OF_SERIES: Final = {"ContrastBolusAgent": "ContrastAgent", "ScanningSequence": "ScanningSequence"}

Row = dict[str, Any]


class SlicerAdditions(msgspec.Struct, kw_only=True):
    """What `add_to_slicer` put into a database."""

    patients: int = 0
    studies: int = 0
    series: int = 0
    images: int = 0
    #: instances that it had already
    known: int = 0
    skipped: list[Skipped] = []


def add_to_slicer(
    database: str | Path, *paths: str | Path, progress: Callable[[int, int, str], None] | None = None
) -> SlicerAdditions:
    """Add files, and those in folders, to the desktop Slicer's DICOM database; Slicer may be running.

    Slicer shows what is new when its DICOM module is opened the next time. All is added, or nothing.

    Args:
        database: its ``ctkDICOM.sql``, or the folder of that; see `slicer_notebook.dicom.slicer_databases`.
        paths: files and folders; files in ZIP archives are skipped, for Slicer cannot read them there.
        progress: as of `Index.add`.

    Raises:
        IndexDatabaseError: not Slicer's database, of an unknown version, or not to be written.
        PathNotFoundError, EmptyFolderError, NotDicomError: as `Index.add`.
    """
    file = database_file(database)
    with opened(file) as connection:
        _check_schema(file, connection)
    with tempfile.TemporaryDirectory(prefix="slicer-notebook-") as folder:
        index = Index(Path(folder) / "added.sqlite3")
        try:
            summary = index.add(*paths, progress=progress)
            found = [instance for series in index.series() for instance in index.instances(series)]
        finally:
            index.close()
    added = SlicerAdditions(skipped=list(summary.skipped))
    usable = []
    for instance in found:
        if archive_of(instance.path) is not None or file_path(instance.path) != instance.path:
            added.skipped.append(Skipped(path=instance.path, reason="Slicer cannot open a file by this name"))
        else:
            usable.append(instance)
    with opened(file, write=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Again, now that nobody else can change it.
            _check_schema(file, connection)
            replaced = _Writer(file, connection, added).add(usable)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    _forget_tags(file.parent / _TAG_CACHE, replaced)
    return added


def _check_schema(file: Path, connection: sqlite3.Connection) -> None:
    version = version_of(connection)
    if version not in VERSIONS:
        raise IndexDatabaseError(
            f"Slicer's DICOM database {str(file)!r} has a schema that is not known here.",
            expected=f"CTK schema {', '.join(VERSIONS)}",
            got=version or "none said",
            hint="Import the files in Slicer's DICOM module instead.",
            details={"path": str(file), "version": version},
        )
    # A column that must have a value, and of which nothing is known here.
    for table, known in _COLUMNS.items():
        rows = connection.execute(
            'SELECT name FROM pragma_table_info(?) WHERE "notnull" AND dflt_value IS NULL AND NOT pk', (table,)
        )
        unknown = {name for (name,) in rows} - known
        if unknown or not columns(connection, table):
            raise IndexDatabaseError(
                f"Slicer's DICOM database {str(file)!r} is not as its version {version} says.",
                expected=f"a table {table} as CTK makes it",
                got=f"columns not known here: {', '.join(sorted(unknown))}" if unknown else "no such table",
                details={"path": str(file), "version": version},
            )


_COLUMNS: Final = {
    "Patients": {"InsertTimestamp"},
    "Studies": {"PatientsUID", "InsertTimestamp"},
    "Series": {"StudyInstanceUID", "InsertTimestamp"},
    "Images": {"Filename", "SeriesInstanceUID", "InsertTimestamp"},
}


class _Writer:
    """One transaction's rows."""

    def __init__(self, file: Path, connection: sqlite3.Connection, added: SlicerAdditions) -> None:
        self.file = file
        self.connection = connection
        self.added = added
        self.columns = {table: columns(connection, table) for table in _COLUMNS}
        # As Qt writes the local time.
        self.now = datetime.now(UTC).astimezone().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        self.patients: set[int] = set()
        self.studies: set[str] = set()
        self.series: set[str] = set()

    def add(self, instances: Iterable[Instance]) -> list[str]:
        """Insert what is not there; SOP Instance UIDs whose file is another one now."""
        replaced = [instance.SOPInstanceUID for instance in instances if self._image(instance)]
        self._counts()
        return replaced

    def _image(self, instance: Instance) -> bool:
        uid, path = instance.SOPInstanceUID, instance.path.replace(os.sep, "/")
        row = self.connection.execute("SELECT Filename FROM Images WHERE SOPInstanceUID = ?", (uid,)).fetchone()
        if row is not None and row[0] and os.path.exists(absolute(self.file, row[0])):
            self.added.known += 1
            return False
        # A file holds one instance, and an instance has one file.
        self.connection.execute("DELETE FROM Images WHERE SOPInstanceUID = ? OR Filename = ?", (uid, path))
        self._series(instance, self._study(instance, self._patient(instance)))
        self._insert(
            "Images", {"SOPInstanceUID": uid, "Filename": path, "SeriesInstanceUID": instance.SeriesInstanceUID}
        )
        self.added.images += 1
        return row is not None

    def _patient(self, instance: Instance) -> int:
        """The patient's number: CTK knows patients by ID and name."""
        patient_id = instance.PatientID or instance.StudyInstanceUID
        name = instance.PatientName or patient_id
        row = self.connection.execute(
            "SELECT UID FROM Patients WHERE PatientID = ? AND PatientsName = ?", (patient_id, name)
        ).fetchone()
        if row is not None:
            number = int(row[0])
        else:
            number = self._insert(
                "Patients",
                {
                    "PatientsName": name,
                    "PatientID": patient_id,
                    "PatientsBirthDate": _date(instance.PatientBirthDate),
                    "PatientsBirthTime": instance.PatientBirthTime,
                    "PatientsSex": instance.PatientSex,
                    "PatientsComments": instance.PatientComments,
                    "DisplayedPatientsName": _shown_name(name),
                },
            )
            self.added.patients += 1
        self.patients.add(number)
        return number

    def _study(self, instance: Instance, patient: int) -> str:
        uid = instance.StudyInstanceUID
        if uid in self.studies:
            return uid
        self.studies.add(uid)
        if not self._has("Studies", "StudyInstanceUID", uid):
            physicians = instance.PerformingPhysicianName
            self._insert(
                "Studies",
                {
                    "StudyInstanceUID": uid,
                    "PatientsUID": patient,
                    "StudyID": instance.StudyID,
                    "StudyDate": _date(instance.StudyDate),
                    "StudyTime": instance.StudyTime,
                    "StudyDescription": instance.StudyDescription,
                    "AccessionNumber": instance.AccessionNumber,
                    "InstitutionName": instance.InstitutionName,
                    "ReferringPhysician": instance.ReferringPhysicianName,
                    "PerformingPhysiciansName": physicians[0] if physicians else None,
                },
            )
            self.added.studies += 1
        return uid

    def _series(self, instance: Instance, study: str) -> None:
        uid = instance.SeriesInstanceUID
        if uid in self.series:
            return
        self.series.add(uid)
        if self._has("Series", "SeriesInstanceUID", uid):
            return
        more = plain_values(read_dataset(instance.path, map(tag_of, _OF_SERIES)), _OF_SERIES)
        row = {
            "SeriesInstanceUID": uid,
            "StudyInstanceUID": study,
            "SeriesNumber": instance.SeriesNumber,
            "SeriesDate": _date(instance.SeriesDate),
            "SeriesTime": instance.SeriesTime,
            "SeriesDescription": instance.SeriesDescription,
            "Modality": instance.Modality,
            "BodyPartExamined": instance.BodyPartExamined,
            "FrameOfReferenceUID": instance.FrameOfReferenceUID,
            "AcquisitionNumber": instance.AcquisitionNumber,
            "EchoNumber": instance.EchoNumbers,
            "TemporalPosition": instance.TemporalPositionIdentifier,
            "DisplayedSize": f"{instance.Columns}x{instance.Rows}" if instance.Rows else None,
            "DisplayedNumberOfFrames": instance.NumberOfFrames,
        }
        for keyword, column in _OF_SERIES.items():
            value = more[keyword]
            row[column] = value[0] if isinstance(value, list) else value
        self._insert("Series", row)
        self.added.series += 1

    def _counts(self) -> None:
        """The numbers that Slicer shows in its tables."""
        for column, table, key, count in (
            (
                "DisplayedCount",
                "Series",
                "SeriesInstanceUID",
                "SELECT COUNT(*) FROM Images i WHERE i.SeriesInstanceUID",
            ),
            (
                "DisplayedNumberOfSeries",
                "Studies",
                "StudyInstanceUID",
                "SELECT COUNT(*) FROM Series i WHERE i.StudyInstanceUID",
            ),
            ("DisplayedNumberOfStudies", "Patients", "UID", "SELECT COUNT(*) FROM Studies i WHERE i.PatientsUID"),
            ("DisplayedLastStudyDate", "Patients", "UID", "SELECT MAX(i.StudyDate) FROM Studies i WHERE i.PatientsUID"),
        ):
            if column in self.columns[table]:
                touched = {"Series": self.series, "Studies": self.studies}.get(table, self.patients)
                self.connection.executemany(
                    f"UPDATE {table} SET {column} = ({count} = {table}.{key}) WHERE {key} = ?", [(k,) for k in touched]
                )

    def _has(self, table: str, key: str, uid: str) -> bool:
        return self.connection.execute(f"SELECT 1 FROM {table} WHERE {key} = ?", (uid,)).fetchone() is not None

    def _insert(self, table: str, row: Row) -> int:
        row = {**row, "InsertTimestamp": self.now}
        names = [name for name in row if name in self.columns[table]]
        done = self.connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [row[name] for name in names],
        )
        return int(done.lastrowid or 0)


def _date(text: str | None) -> str | None:
    """A date as Qt writes it; None where it is none."""
    try:
        return datetime.strptime(text or "", "%Y%m%d").date().isoformat()
    except ValueError:
        return None


def _shown_name(name: str) -> str:
    """``Doe^Jane`` as ``Doe, Jane``."""
    family, _, rest = name.partition("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^") if part)
    return f"{family}, {given}" if family and given else family or given


def _forget_tags(cache: Path, sop_uids: list[str]) -> None:
    """Take values of former files out of the cache of tags."""
    if not sop_uids or not cache.is_file():
        return
    try:
        connection = sqlite3.connect(f"{cache.as_uri()}?mode=rw", uri=True, timeout=15.0)
        try:
            with connection:
                connection.executemany("DELETE FROM TagCache WHERE SOPInstanceUID = ?", [(uid,) for uid in sop_uids])
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise IndexDatabaseError(
            f"Slicer's cache of tags {str(cache)!r} holds values of former files, which cannot be taken out.",
            got=str(exc),
            hint="Close Slicer and delete that file: Slicer makes it anew.",
            details={"path": str(cache)},
        ) from exc
