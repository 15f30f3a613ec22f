"""Where files are until they are whole: a folder in no index, on the disk where they go; gone with its process.

It is held by a lock that the system lets go when the process ends, however it ends: what a process that was killed has
left there is then removed by the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import Final

__all__ = ["Aside", "write_all"]

_NAME: Final = ".arriving"
#: Names of folders that are not held yet begin so; seconds after which one has been left like that.
_NEW: Final = "new-"
_MAKING: Final = 60.0
#: Seconds after which a folder is taken for left where the system has no such locks.
_LEFT: Final = 86400.0
_NEW_FILE: Final = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)


class Aside:
    """One process's own. What others have left is removed first.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._all = folder / _NAME
        self._all.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_left()
        name = uuid.uuid4().hex
        new = self._all / f"{_NEW}{name}"
        new.mkdir(mode=0o700)
        try:
            self._hold = _held(new)
            # Nobody looks at its lock before it is locked.
            self.path = new.rename(self._all / name)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            raise
        self._numbers = itertools.count()
        self._thread = threading.local()

    def new(self) -> tuple[str, int]:
        """A new file, open for writing and reading: its path and handle. Raises OSError."""
        path = f"{self._folder()}{os.sep}{next(self._numbers)}"
        return path, os.open(path, _NEW_FILE, 0o600)

    def _folder(self) -> str:
        """A thread's own: a file system makes and renames one file of a folder at a time."""
        found: str | None = getattr(self._thread, "folder", None)
        if found is None:
            found = f"{self.path}{os.sep}of-{threading.get_native_id()}"
            os.makedirs(found, mode=0o700, exist_ok=True)
            self._thread.folder = found
        return found

    def close(self) -> None:
        """Remove it, with all that is in it; a second time, nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        hold, self._hold = self._hold, -1
        if hold >= 0:
            os.close(hold)

    def _remove_left(self) -> None:
        for folder in self._all.glob("*"):
            with contextlib.suppress(OSError):
                if not _is_held(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def write_all(file: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it to an open file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _held(folder: Path) -> int:
    """Mark a folder as that of a living process; the handle that does so. -1 where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return -1
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_held(folder: Path) -> bool:
    age = time.time() - folder.stat().st_mtime
    if folder.name.startswith(_NEW):
        return age < _MAKING
    try:
        import fcntl
    except ImportError:
        return age < _LEFT
    try:
        handle = os.open(folder / ".lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
