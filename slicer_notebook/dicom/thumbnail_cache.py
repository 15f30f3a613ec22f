"""What is shown of a series before it is loaded, kept on disk beside the index: its picture, and its plan in words.

A cache: whatever is wrong with its file (no room, no right to write, damaged, locked by another process), what it
should have kept is made again, and a line in the log says so. Several processes may use one file (WAL). An entry holds
for one state of the series' files and one version of what draws it, which are its stamp; entries that were not asked
for the longest go first when there is no more room.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

__all__ = ["LIMIT", "Kept", "ThumbnailCache"]

_log: Final = logging.getLogger("slicer_notebook")

#: Bytes of pictures and plans, at most: some 20,000 series.
LIMIT: Final = 256 << 20
#: What is left when the limit was exceeded.
_AFTER_CLEARING: Final = 0.9
#: Entries that are written between two looks at the limit.
_PUT_BETWEEN: Final = 64
#: Raised with every change of the schema: an older file is made anew.
_VERSION: Final = 1
#: Seconds that another process may hold the file, before it is done without.
_PATIENCE: Final = 0.25
#: Seconds: when an entry was used last is known this closely, so that looking at it is not writing.
_CLOSELY: Final = 3600
#: Seconds that nothing is tried after something went wrong, and after another process held the file for too long.
_PAUSE: Final = 60.0
_SHORT_PAUSE: Final = 2.0

_SCHEMA: Final = (
    "DROP TABLE IF EXISTS entries",
    "CREATE TABLE entries (series TEXT NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, used INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL, plan BLOB NOT NULL, png BLOB NOT NULL, PRIMARY KEY (series, size))",
    "CREATE INDEX entries_used ON entries (used, bytes)",
    f"PRAGMA user_version = {_VERSION}",
)
T = TypeVar("T")


class Kept(NamedTuple):
    """An entry.

    Attributes:
        plan: the plan's facts, encoded by the caller.
        png: the picture.
    """

    plan: bytes
    png: bytes


class ThumbnailCache:
    """Entries by series and size. No method raises anything for what is wrong with the file.

    Args:
        path: the SQLite file; made when something is first kept, readable by its owner only.
        limit: bytes of entries, at most.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._put = 0
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"ThumbnailCache({str(self.path)!r})"

    def known(self, stamps: Mapping[str, str], size: int) -> dict[str, Kept]:
        """The entries of these series that still hold, by Series Instance UID.

        Args:
            stamps: of the series' files as they are, by Series Instance UID.
            size: pixels of the pictures.
        """
        if not stamps:
            return {}
        return self._tried("read", lambda connection: self._find(connection, stamps, size)) or {}

    def keep(self, series: str, stamp: str, size: int, entry: Kept) -> None:
        """Keep an entry, in place of an older one of the series and size."""
        self._tried("written", lambda connection: self._write(connection, series, stamp, size, entry))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()

    # -- the file ----------------------------------------------------------------------------------------------------

    def _tried(self, what: str, action: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock:
            if time.monotonic() < self._not_before:
                return None
            try:
                try:
                    return action(self._opened())
                except sqlite3.DatabaseError as exc:
                    if not _is_damaged(exc):
                        raise
                    _log.warning("The thumbnails kept in %s are damaged (%s); they are made anew.", self.path, exc)
                    self._make_anew()
                    return action(self._opened())
            except (sqlite3.Error, OSError) as exc:
                self._drop()
                pause = _SHORT_PAUSE if _code(exc) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else _PAUSE
                self._not_before = time.monotonic() + pause
                _log.warning("The thumbnails kept in %s cannot be %s: %s", self.path, what, exc)
                return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        # The pictures are of patients: what is made here is for this user alone.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if _version(connection) != _VERSION:
                connection.execute("BEGIN IMMEDIATE")
                if _version(connection) != _VERSION:  # no other process was faster
                    for statement in _SCHEMA:
                        connection.execute(statement)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        # A connection of the parent of a fork is left alone: closing it would let go of the parent's locks.
        self._connection, self._owner = connection, os.getpid()
        return connection

    def _drop(self) -> None:
        if self._connection is not None and self._owner == os.getpid():
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _make_anew(self) -> None:
        self._drop()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    # -- entries -----------------------------------------------------------------------------------------------------

    def _find(self, connection: sqlite3.Connection, stamps: Mapping[str, str], size: int) -> dict[str, Kept]:
        now = int(time.time())
        found: dict[str, Kept] = {}
        unused: list[tuple[int, str, int]] = []
        for series, stamp in stamps.items():
            row = connection.execute(
                "SELECT plan, png, used FROM entries WHERE series = ? AND size = ? AND stamp = ?", (series, size, stamp)
            ).fetchone()
            if row is None:
                continue
            found[series] = Kept(*row[:2])
            if row[2] < now - _CLOSELY:
                unused.append((now, series, size))
        if unused:
            # Where another process writes, it is told the next time.
            with suppress(sqlite3.OperationalError):
                _in_one(connection, lambda: connection.executemany(_USED, unused))
        return found

    def _write(self, connection: sqlite3.Connection, series: str, stamp: str, size: int, entry: Kept) -> None:
        length = len(entry.plan) + len(entry.png)
        if length > self._limit:
            return
        connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
            (series, size, stamp, int(time.time()), length, *entry),
        )
        if self._put % _PUT_BETWEEN == 0:
            _in_one(connection, lambda: self._clear(connection))
        self._put += 1

    def _clear(self, connection: sqlite3.Connection) -> None:
        """Take out what was not used for the longest, if there is more than the limit."""
        (total,) = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM entries").fetchone()
        if total <= self._limit:
            return
        gone = []
        for number, length in connection.execute("SELECT rowid, bytes FROM entries ORDER BY used, rowid"):
            if total <= self._limit * _AFTER_CLEARING:
                break
            gone.append((number,))
            total -= length
        connection.executemany("DELETE FROM entries WHERE rowid = ?", gone)


_USED: Final = "UPDATE entries SET used = ? WHERE series = ? AND size = ?"


def _in_one(connection: sqlite3.Connection, action: Callable[[], object]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        action()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    """SQLITE_CORRUPT, SQLITE_NOTADB (sqlite.org/rescode.html), or a table of another make."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such" in str(error)


def _code(error: BaseException) -> int:
    """SQLite's primary result code; -1 of other errors."""
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF
