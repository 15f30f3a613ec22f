"""The index's SQLite file: schema, connections, and writing files into it. Queries are in `query`.

One row of ``files`` for each file that was looked at, with its header as an encoded `Instance`, or the reason why it
was not taken. ``series`` and ``studies`` are made from those rows, in the transaction that changes them, so that a
process killed at any moment leaves the three in agreement. Their columns hold folded text (no case, no accents) for
searching; their ``record`` holds the `Series` or `Study` as it is given out. Records and free text of studies are in
tables of their own: a filter that looks through all studies then passes over a tenth of the bytes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import astuple
from pydicom.datadict import dictionary_VR

from slicer_notebook.dicom.records import Instance, Series, SeriesAttributes, Study, StudyAttributes
from slicer_notebook.dicom.rows import FileRow
from slicer_notebook.dicom.text import fold
from slicer_notebook.errors import IndexDatabaseError

__all__ = ["SERIES_KEYWORDS", "STUDY_KEYWORDS", "Database", "decode_instance", "decode_series", "decode_study"]

#: Raised with every change of the schema or of what is read from headers; an older index is made anew.
VERSION: Final = 4
#: Seconds that a writer waits for another process's transaction; each of ours takes well under one.
BUSY_TIMEOUT: Final = 60.0

STUDY_KEYWORDS: Final = (*StudyAttributes.__struct_fields__, "ModalitiesInStudy")
#: a series' own; those of its study are in the study's row
SERIES_KEYWORDS: Final = tuple(
    name for name in SeriesAttributes.__struct_fields__ if name not in StudyAttributes.__struct_fields__
)
_COUNTS: Final = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")

_encode: Final = msgspec.msgpack.Encoder().encode
decode_instance: Final = msgspec.msgpack.Decoder(Instance).decode
decode_series: Final = msgspec.msgpack.Decoder(Series).decode
decode_study: Final = msgspec.msgpack.Decoder(Study).decode


def _schema() -> str:
    studies = ", ".join(f'"{name}" TEXT' for name in STUDY_KEYWORDS if name != "StudyInstanceUID")
    series = ", ".join(f'"{name}" TEXT' for name in SERIES_KEYWORDS if name != "SeriesInstanceUID")
    return f"""
CREATE TABLE files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    study_uid TEXT, series_uid TEXT, sop_uid TEXT, reason TEXT, record BLOB
) WITHOUT ROWID;
CREATE INDEX files_series ON files (series_uid, study_uid, path, sop_uid) WHERE series_uid IS NOT NULL;
CREATE INDEX files_sop ON files (sop_uid) WHERE sop_uid IS NOT NULL;
CREATE TABLE series (
    SeriesInstanceUID TEXT NOT NULL, study_uid TEXT NOT NULL, instances INTEGER NOT NULL, record BLOB NOT NULL,
    text TEXT NOT NULL, number INTEGER, {series}, PRIMARY KEY (SeriesInstanceUID, study_uid)
) WITHOUT ROWID;
CREATE INDEX series_study ON series (study_uid, number);
CREATE TABLE studies (id INTEGER PRIMARY KEY, StudyInstanceUID TEXT NOT NULL UNIQUE, {studies});
CREATE TABLE study_records (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE study_texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE INDEX studies_order ON studies (PatientName, PatientID, StudyDate, StudyTime, StudyInstanceUID);
CREATE INDEX studies_date ON studies (StudyDate);
CREATE INDEX studies_patient ON studies (PatientID);
CREATE INDEX studies_accession ON studies (AccessionNumber);
PRAGMA user_version = {VERSION};
"""


class Database:
    """Connections to one index file, one for each thread. Safe with several processes (WAL, immediate transactions)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            # The index names patients: what is made here is for this user alone.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as exc:
            raise _unusable(path, exc.strerror or str(exc)) from exc
        self._prepare()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection; opened when first asked for, and again in a forked child."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as exc:
            raise _unusable(self.path, str(exc)) from exc
        self._local.held = (os.getpid(), connection)
        with self._lock:
            self._open.append(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads; the next use opens anew."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()
            self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write: the lock is taken at the start, so that two processes queue instead of failing halfway."""
        connection = self.connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise _unusable(self.path, str(exc)) from exc

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several queries of this thread that see one state of the index, whatever others write meanwhile."""
        connection = self.connection()
        try:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise _unusable(self.path, str(exc)) from exc

    def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        try:
            return self.connection().execute(sql, tuple(parameters)).fetchall()
        except sqlite3.Error as exc:
            raise _unusable(self.path, str(exc)) from exc

    def _prepare(self) -> None:
        try:
            self.connection().execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as exc:
            raise _unusable(self.path, str(exc)) from exc
        if self._version() == VERSION:
            return
        with self.transaction() as connection:
            version = self._version()
            if version == VERSION:  # another process was faster
                return
            if version > VERSION:
                raise IndexDatabaseError(
                    f"The index {str(self.path)!r} was made by a newer slicer-notebook.",
                    expected=f"index version {VERSION} or older",
                    got=f"version {version}",
                    hint="Update slicer-notebook, or set SLICER_NOTEBOOK_DATA to another folder.",
                )
            for table in ("files", "series", "studies", "study_records", "study_texts"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            # executescript would commit the transaction.
            for statement in _schema().split(";"):
                if statement.strip():
                    connection.execute(statement)

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    def write(self, rows: list[FileRow], gone: Iterable[str] = ()) -> None:
        """Put files in, take others out, and bring their series and studies up to date: all or nothing."""
        gone = list(gone)
        with self.transaction() as connection:
            touched = _series_of(connection, [row.path for row in rows] + gone)
            connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in gone])
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [astuple(row) for row in rows]
            )
            for row in rows:
                if row.study_uid is not None and row.series_uid is not None:
                    touched.add((row.study_uid, row.series_uid))
            _refresh(connection, touched)


def _unusable(path: Path, got: str) -> IndexDatabaseError:
    return IndexDatabaseError(
        f"The index {str(path)!r} cannot be used.",
        expected="an SQLite file in a folder that can be written",
        got=got,
        hint="Check the folder, or delete the file: it is made anew from the DICOM files.",
        details={"path": str(path)},
    )


def _series_of(connection: sqlite3.Connection, paths: list[str]) -> set[tuple[str, str]]:
    """The (study, series) that these files are in now."""
    found: set[tuple[str, str]] = set()
    for path in paths:
        row = connection.execute("SELECT study_uid, series_uid FROM files WHERE path = ?", (path,)).fetchone()
        if row is not None and row[1] is not None:
            found.add((row[0], row[1]))
    return found


def _folded(value: Any, *, names: bool) -> str | None:
    """An attribute for its search column: lists joined by a backslash, groups of a name between ``=`` signs."""
    if value is None:
        return None
    text = "\\".join(str(part) for part in value) if isinstance(value, list) else str(value)
    folded = fold(text)
    return f"={folded}=" if names else folded


def _is_name(keyword: str) -> bool:
    return keyword != "ModalitiesInStudy" and dictionary_VR(keyword) == "PN"


def _refresh(connection: sqlite3.Connection, touched: set[tuple[str, str]]) -> None:
    for study_uid, series_uid in touched:
        _refresh_series(connection, study_uid, series_uid)
    for study_uid in {study for study, _ in touched}:
        _refresh_study(connection, study_uid)


def _refresh_series(connection: sqlite3.Connection, study_uid: str, series_uid: str) -> None:
    key = (series_uid, study_uid)
    (count,) = connection.execute(
        "SELECT COUNT(DISTINCT sop_uid) FROM files WHERE series_uid = ? AND study_uid = ?", key
    ).fetchone()
    if not count:
        connection.execute("DELETE FROM series WHERE SeriesInstanceUID = ? AND study_uid = ?", key)
        return
    (blob,) = connection.execute(
        "SELECT record FROM files WHERE series_uid = ? AND study_uid = ? ORDER BY path LIMIT 1", key
    ).fetchone()
    head = decode_instance(blob)
    values = {name: getattr(head, name) for name in SeriesAttributes.__struct_fields__}
    record = Series(**values, NumberOfSeriesRelatedInstances=count)
    own = [name for name in SERIES_KEYWORDS if name != "SeriesInstanceUID"]
    names = ["SeriesInstanceUID", "study_uid", "instances", "record", "text", "number", *own]
    row = [series_uid, study_uid, count, _encode(record), _text(values.values()), record.SeriesNumber]
    row.extend(_folded(values[name], names=_is_name(name)) for name in own)
    _replace(connection, "series", names, row)


def _refresh_study(connection: sqlite3.Connection, study_uid: str) -> None:
    members = [
        decode_series(blob)
        for (blob,) in connection.execute(
            "SELECT record FROM series WHERE study_uid = ? ORDER BY number, SeriesInstanceUID", (study_uid,)
        )
    ]
    known = connection.execute("SELECT id FROM studies WHERE StudyInstanceUID = ?", (study_uid,)).fetchone()
    if not members:
        for table in ("study_records", "study_texts", "studies") if known is not None else ():
            connection.execute(f"DELETE FROM {table} WHERE id = ?", known)
        return
    values = {name: getattr(members[0], name) for name in StudyAttributes.__struct_fields__}
    record = Study(
        **values,
        ModalitiesInStudy=sorted({member.Modality for member in members if member.Modality}),
        NumberOfStudyRelatedSeries=len(members),
        NumberOfStudyRelatedInstances=sum(member.NumberOfSeriesRelatedInstances for member in members),
    )
    words = [*values.values(), *record.ModalitiesInStudy]
    for member in members:
        words += [member.SeriesDescription, member.ProtocolName, member.BodyPartExamined]
    own = [name for name in STUDY_KEYWORDS if name != "StudyInstanceUID"]
    row = [study_uid, *(_folded(getattr(record, name), names=_is_name(name)) for name in own)]
    number = _replace(connection, "studies", ["id", "StudyInstanceUID", *own], [known[0] if known else None, *row])
    _replace(connection, "study_records", ["id", "record"], [number, _encode(record)])
    _replace(connection, "study_texts", ["id", "text"], [number, _text(words)])


def _text(values: Iterable[Any]) -> str:
    """What the free-text filter looks through."""
    return "\n".join(dict.fromkeys(text for value in values if (text := _folded(value, names=False))))


def _replace(connection: sqlite3.Connection, table: str, names: list[str], row: list[Any]) -> int | None:
    """Put a row in, or in the place of the one with its key; gives its number, where the table counts its rows."""
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(row))
    return connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", row).lastrowid
