"""OsiriX's methods about its databases and albums."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from slicer_notebook.commands.dicom import _open_index
from slicer_notebook.commands.osirix_calls import Call, Reply, refused
from slicer_notebook.commands.osirix_views import tell_study_list
from slicer_notebook.errors import EmptyFolderError, FileFormatError, NotDicomError, SlicerNotebookError

#: Seconds that OpenDB waits until a folder is indexed; it goes on after that.
WAIT: Final = 20.0
#: Seconds between two looks.
_LOOK: Final = 0.05
_NAME: Final = "dicom.sqlite3"


def switch_to_default(call: Call) -> Reply:
    """SwitchToDefaultDBIfNeeded."""
    return Reply(database=None)


def open_database(call: Call) -> Reply:
    """OpenDB: an index of ours, by its file or its folder; another folder is indexed, into an index of its own."""
    given = call.text("path")
    if not given:
        return refused(400, "path is missing")
    path = Path(given).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        return Reply(error="-1", why="no such path")
    for candidate in (path, path / _NAME):
        if _is_index(candidate):
            return Reply(database=str(candidate))
    return _of_folder(call, path)


def _is_index(path: Path) -> bool:
    """Whether a file is an index that this version reads. It is only looked at: opening another would make it one."""
    from slicer_notebook.dicom.database import VERSION

    try:
        if not path.is_file():
            return False
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            found = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name IN ('study_lines', 'secrets')")
            return bool(version == VERSION and found.fetchone() == (2,))
    except (OSError, sqlite3.Error):
        return False


def _of_folder(call: Call, path: Path) -> Reply:
    from slicer_notebook.dicom.folders import data_folder

    real = os.path.realpath(path)
    # Not in the folder itself: nothing is written where another program points to.
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:20]
    database = str(data_folder() / "opened" / f"{name}.sqlite3")
    asked = call.host.ask("dicom.index", {"paths": [real], "database": database})
    until = time.monotonic() + WAIT
    while not asked.done() and time.monotonic() < until:
        call.job.check()
        call.job.cancelled.wait(_LOOK)
    error = asked.exception() if asked.done() else None
    # No DICOM there: an empty database, as upstream makes one.
    if error is not None and not isinstance(error, EmptyFolderError | NotDicomError):
        why = error.message if isinstance(error, SlicerNotebookError) else type(error).__name__
        return Reply(error="-1", why=why)
    return Reply(database=database)


def select_album(call: Call) -> Reply:
    """SelectAlbum."""
    from slicer_notebook.dicom.osirix import find
    from slicer_notebook.dicom.osirix.albums import album

    name = call.text("name")
    if not name:
        return refused(400, "name is missing")
    try:
        wanted = album(name)
    except FileFormatError as exc:
        return Reply(error="-1", why=exc.message)
    if wanted is None:
        return Reply(error="-1", why="no such album")
    found = find(_open_index(call.database), "Study", wanted, cancelled=call.job.cancelled.is_set)
    tell_study_list(call, title=name, studies=[each.study for each in found])
    return Reply()
