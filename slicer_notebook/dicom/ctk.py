"""The DICOM database of the desktop Slicer (CTK's ``ctkDICOM.sql``): where it is, and the files that it lists.

It is only read here, while Slicer may be using it; `ctk_add` adds to it. Its table ``Images`` names the files, relative
to the database's folder those that Slicer copied into it. CTK's schema: Libs/DICOM/Core/Resources/dicom-schema.sql;
names of settings and folders: Slicer's Modules/Scripted/DICOM.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.errors import IndexDatabaseError

__all__ = ["FILE_NAME", "SlicerDatabase", "database_file", "listed_files", "opened", "slicer_databases"]

FILE_NAME: Final = "ctkDICOM.sql"
#: Seconds to wait for a transaction of Slicer's.
BUSY_TIMEOUT: Final = 15.0
_ORGANIZATIONS: Final = ("slicer.org", "NA-MIC")
_SETTING: Final = "DatabaseDirectory"
_ESCAPE: Final = re.compile(r"\\x([0-9a-fA-F]{1,4})|\\(.)")


class SlicerDatabase(msgspec.Struct, kw_only=True):
    """A DICOM database of the desktop Slicer on this machine."""

    #: of its ``ctkDICOM.sql``
    path: str
    #: CTK's schema version, such as "0.8.1"; empty where it does not say
    version: str = ""
    patients: int = 0
    studies: int = 0
    series: int = 0
    images: int = 0
    #: why it cannot be read; empty where it can
    problem: str = ""


def database_file(path: str | Path) -> Path:
    """The database's file, given that or its folder."""
    given = Path(path).expanduser().absolute()
    return given / FILE_NAME if given.is_dir() else given


@contextmanager
def opened(file: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """The database, opened for reading only; Slicer may read and write meanwhile.

    Raises:
        IndexDatabaseError: it cannot be opened or used, or is not Slicer's.
    """
    mode = "rw" if write else "ro"
    try:
        with closing(
            sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        ) as connection:
            if not {"Filename", "SOPInstanceUID"} <= columns(connection, "Images"):
                raise _unusable(file, "an SQLite file without CTK's table Images")
            yield connection
    except sqlite3.Error as exc:
        raise _unusable(file, str(exc)) from exc


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Names of a table's columns; empty where there is no such table."""
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def version_of(connection: sqlite3.Connection) -> str:
    """CTK's schema version; empty where the database does not say."""
    if "Version" not in columns(connection, "SchemaInfo"):
        return ""
    row = connection.execute("SELECT Version FROM SchemaInfo").fetchone()
    return str(row[0]) if row is not None else ""


def _unusable(file: Path, got: str) -> IndexDatabaseError:
    return IndexDatabaseError(
        f"Slicer's DICOM database {str(file)!r} cannot be used.",
        expected=f"a {FILE_NAME} that Slicer made",
        got=got,
        hint="Open Slicer's DICOM module to see which database it uses, or name another.",
        details={"path": str(file)},
    )


def listed_files(path: str | Path) -> list[str]:
    """Absolute paths of the files that a database lists, in its order.

    Raises:
        IndexDatabaseError: not Slicer's database, or not to be read.
    """
    file = database_file(path)
    with opened(file) as connection:
        # Newer databases also list what is on servers only; that has no file name.
        rows = connection.execute(
            "SELECT Filename FROM Images WHERE Filename IS NOT NULL AND Filename <> ''"
        ).fetchall()
    return list(dict.fromkeys(absolute(file, name) for (name,) in rows))


def absolute(file: Path, name: str) -> str:
    """A file's path, from the one in the database."""
    return os.path.normpath(os.path.join(file.parent, name))


# -- where they are ----------------------------------------------------------------------------------------------------


def slicer_databases() -> list[SlicerDatabase]:
    """The databases of the desktop Slicer that this user has: those in its settings, and those in the usual place.

    One that cannot be read is there as well, with its ``problem``.
    """
    folders = [*_configured(), *_usual()]
    return [_described(file) for file in dict.fromkeys(folder / FILE_NAME for folder in folders) if file.is_file()]


def _described(file: Path) -> SlicerDatabase:
    found = SlicerDatabase(path=str(file))
    try:
        with opened(file) as connection:
            found.version = version_of(connection)
            for table in ("Patients", "Studies", "Series", "Images"):
                if columns(connection, table):
                    (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
                    setattr(found, table.lower(), count)
    except IndexDatabaseError as exc:
        found.problem = str(exc.got or exc.message)
    return found


def _configured() -> list[Path]:
    """Folders named in the settings of all of Slicer's versions, as ``DatabaseDirectory_<schema version>``."""
    found = []
    for folder in _settings_folders():
        for file in sorted(folder.glob("Slicer*.ini"), reverse=True):
            try:
                text = file.read_text("utf-8", "replace")
            except OSError:
                continue
            for line in text.splitlines():
                key, equals, value = line.partition("=")
                if equals and key.strip().startswith(_SETTING):
                    path = Path(_unescaped(value.strip()))
                    # Relative ones are to the folder of a Slicer that carries its settings along.
                    if path.is_absolute():
                        found.append(path)
    return found


def _unescaped(value: str) -> str:
    """A value in Qt's INI files: perhaps in quotes, other characters than Latin ones as ``\\x4e2d``."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], value)


def _settings_folders() -> list[Path]:
    base = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    config = Path(base) if base else Path.home() / ".config"
    return [config / organization for organization in _ORGANIZATIONS]


def _usual() -> list[Path]:
    """``SlicerDICOMDatabase`` in the user's documents, and others named like it."""
    found = []
    for documents in dict.fromkeys([_documents(), Path.home() / "Documents", Path.home()]):
        try:
            found += sorted(folder for folder in documents.glob("Slicer*DICOMDatabase*") if folder.is_dir())
        except OSError:
            continue
    return found


def _documents() -> Path:
    """The documents' folder on a Linux desktop, which a language's name may have."""
    base = os.environ.get("XDG_CONFIG_HOME")
    file = (Path(base) if base else Path.home() / ".config") / "user-dirs.dirs"
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return Path.home() / "Documents"
    said = re.search(r'^XDG_DOCUMENTS_DIR="(.*)"', text, re.MULTILINE)
    return Path(said[1].replace("$HOME", str(Path.home()))) if said is not None else Path.home() / "Documents"
