"""The index's SQLite file: schema, connections, and writing files into it. Queries are in `query`.

One row of ``files`` for each file that was looked at, with its header as an encoded `Instance` in ``records``, or the
reason why it was not taken. ``series`` and ``studies`` are made from those rows (`levels`), in the transaction that
changes them, so that a process killed at any moment leaves the three in agreement. Their columns hold folded text (no
case, no accents) for searching; their ``record`` holds the `Series` or `Study` as it is given out. Records and free
text are in tables of their own: a filter that looks through all rows then passes over a tenth of the bytes.
``study_index`` finds pieces of three characters in those texts. ``study_lines`` are the lines of the `catalogue`; its
pseudonyms are made of a secret in ``secrets``, which outlives changes of the schema.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from slicer_notebook.dicom.levels import SERIES_KEYWORDS, STUDY_KEYWORDS, refresh
from slicer_notebook.dicom.rows import FileRow
from slicer_notebook.errors import IndexDatabaseError

__all__ = ["Database"]

#: Raised with every change of the schema or of what is read from headers; an older index is made anew.
VERSION: Final = 9
#: Seconds that a writer waits for another process's transaction; each of ours takes well under one.
BUSY_TIMEOUT: Final = 60.0
#: Values in one statement's list; SQLite's own limit was once 999.
_MOST_VALUES: Final = 500
#: KiB of the file that a connection keeps in memory: what a search through 100,000 studies goes over.
CACHE: Final = 49152
_TABLES: Final = (
    "files",
    "records",
    "series",
    "series_records",
    "studies",
    "study_records",
    "study_texts",
    "study_index",
    "study_lines",
)


def _schema() -> str:
    studies = ", ".join(f'"{name}" TEXT' for name in STUDY_KEYWORDS if name != "StudyInstanceUID")
    series = ", ".join(f'"{name}" TEXT' for name in SERIES_KEYWORDS if name != "SeriesInstanceUID")
    return f"""
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    series_id INTEGER, sop_uid TEXT, sop_class TEXT, reason TEXT
);
CREATE INDEX files_series ON files (series_id, sop_uid, sop_class) WHERE series_id IS NOT NULL;
CREATE INDEX files_sop ON files (sop_uid) WHERE sop_uid IS NOT NULL;
CREATE TABLE records (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE series (
    id INTEGER PRIMARY KEY, SeriesInstanceUID TEXT NOT NULL, study_id INTEGER NOT NULL, number INTEGER, {series},
    UNIQUE (SeriesInstanceUID, study_id)
);
CREATE TABLE series_records (id INTEGER PRIMARY KEY, record BLOB NOT NULL, text TEXT NOT NULL);
CREATE INDEX series_study ON series (study_id, number);
CREATE TABLE studies (id INTEGER PRIMARY KEY, StudyInstanceUID TEXT NOT NULL UNIQUE, {studies});
CREATE TABLE study_records (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE study_lines (id INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE study_texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE VIRTUAL TABLE study_index USING fts5 (
    text, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1'
);
CREATE INDEX studies_order ON studies (PatientName, PatientID, StudyDate, StudyTime, StudyInstanceUID);
CREATE INDEX studies_date ON studies (StudyDate);
CREATE INDEX studies_patient ON studies (PatientID);
CREATE INDEX studies_birth ON studies (PatientBirthDate);
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
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
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
            for table in _TABLES:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            # executescript would commit the transaction.
            for statement in _schema().split(";"):
                if statement.strip():
                    connection.execute(statement)

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    def write(self, rows: list[FileRow], gone: Iterable[str] = ()) -> list[str]:
        """Put files in, take others out, and bring their series and studies up to date: all or nothing.

        Returns:
            Other files that hold a SOP Instance UID of ``rows`` and were there before.
        """
        gone = list(gone)
        with self.transaction() as connection:
            touched = _take_out(connection, [row.path for row in rows] + gone)
            elsewhere = _holding(connection, [row.sop_uid for row in rows if row.sop_uid is not None])
            touched |= _put_in(connection, rows)
            refresh(connection, touched)
        return elsewhere


def _unusable(path: Path, got: str) -> IndexDatabaseError:
    return IndexDatabaseError(
        f"The index {str(path)!r} cannot be used.",
        expected="an SQLite file in a folder that can be written",
        got=got,
        hint="Check the folder, or delete the file: it is made anew from the DICOM files.",
        details={"path": str(path)},
    )


def _take_out(connection: sqlite3.Connection, paths: list[str]) -> set[int]:
    """Delete these files where they are known; the series that they were in."""
    numbers: list[tuple[int]] = []
    touched: set[int] = set()
    for path in paths:
        row = connection.execute("SELECT id, series_id FROM files WHERE path = ?", (path,)).fetchone()
        if row is not None:
            numbers.append((row[0],))
            if row[1] is not None:
                touched.add(row[1])
    for table in ("files", "records"):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", numbers)
    return touched


def _holding(connection: sqlite3.Connection, sop_uids: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(sop_uids), _MOST_VALUES):
        some = sop_uids[start : start + _MOST_VALUES]
        marks = ", ".join("?" * len(some))
        found += [path for (path,) in connection.execute(f"SELECT path FROM files WHERE sop_uid IN ({marks})", some)]
    return found


def _put_in(connection: sqlite3.Connection, rows: list[FileRow]) -> set[int]:
    """Insert files that are not there; the series that they are in."""
    (last,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM files").fetchone()
    series: dict[tuple[str, str], int] = {}
    files, records = [], []
    for number, row in enumerate(rows, last + 1):
        series_id = None
        if row.study_uid is not None and row.series_uid is not None:
            key = (row.study_uid, row.series_uid)
            series_id = series.get(key)
            if series_id is None:
                series_id = series[key] = _series_number(connection, *key)
            records.append((number, row.record))
        files.append((number, row.path, row.size, row.mtime_ns, series_id, row.sop_uid, row.sop_class, row.reason))
    connection.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", files)
    connection.executemany("INSERT INTO records VALUES (?, ?)", records)
    return set(series.values())


def _series_number(connection: sqlite3.Connection, study_uid: str, series_uid: str) -> int:
    """The row of a series, made where there is none; `refresh` fills it."""
    study = connection.execute("SELECT id FROM studies WHERE StudyInstanceUID = ?", (study_uid,)).fetchone()
    if study is None:
        study = (connection.execute("INSERT INTO studies (StudyInstanceUID) VALUES (?)", (study_uid,)).lastrowid,)
    key = (series_uid, study[0])
    found = connection.execute("SELECT id FROM series WHERE SeriesInstanceUID = ? AND study_id = ?", key).fetchone()
    if found is None:
        return int(
            connection.execute("INSERT INTO series (SeriesInstanceUID, study_id) VALUES (?, ?)", key).lastrowid or 0
        )
    return int(found[0])
