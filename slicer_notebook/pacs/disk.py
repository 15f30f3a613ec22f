"""Files are on the disk: each by fsync, or many small ones at once where the system can say that it went well."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["Disk"]

#: File systems, as Linux names them, whose syncfs puts all on the disk and reports what could not be written.
_KNOWN: Final = frozenset({"ext4", "xfs", "btrfs"})
#: Linux reports that since 5.8.
_SINCE: Final = (5, 8)
#: Files of at most so many bytes each are small, and so many of them are many.
_SMALL, _MANY = 128 << 10, 8
#: Seconds that it may take for all: other programs' files are in it, too. Then each is synced by itself for some time.
_LONG, _REST = 0.5, 10.0


class Disk:
    """The disk of a folder. For one thread. `close` it.

    Args:
        folder: which is there.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = -1
        self._not_before = 0.0
        if _syncs_all(folder):
            # Opened before anything is written: it hears of all that fails from now on.
            self._handle = os.open(folder, os.O_RDONLY)

    def begin(self, file: int, size: int) -> None:
        """Linux begins to put a large file on the disk, and does not wait: `sync` has little left to do then."""
        if size > _SMALL and sys.platform == "linux":
            # Of posix_fadvise's advices this one begins it. Pages that are not on the disk yet stay in memory.
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def all_at_once(self, count: int, size: int) -> bool:
        """Whether so many files, of so many bytes together, are synced by `sync_all`, which needs none of them open."""
        many = count >= _MANY and size <= count * _SMALL
        return many and self._handle >= 0 and time.monotonic() >= self._not_before

    def sync_all(self) -> None:
        """Wait until all that was written is on the disk. Raises OSError: something could not be written."""
        began = time.monotonic()
        _syncfs(self._handle)
        if (now := time.monotonic()) - began > _LONG:
            self._not_before = now + _REST

    def sync(self, files: Iterable[int]) -> None:
        """Wait until open files are on the disk. Raises OSError: one could not be written."""
        for file in files:
            os.fsync(file)

    def close(self) -> None:
        """End; a second time, nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def _syncfs(handle: int) -> None:
    if _LIBC is None or _LIBC.syncfs(handle) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _syncs_all(folder: Path) -> bool:
    if _LIBC is None or not hasattr(_LIBC, "syncfs"):
        return False
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _SINCE:
        return False
    return _kind(folder) in _KNOWN


def _kind(folder: Path) -> str:
    """The file system that a folder is on; "" where that is not known."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        # proc(5): id, parent, device, root, mount point, options, optional fields, "-", kind, source
        fields = line.split(" ")
        if len(fields) > 8 and fields[2] == wanted and "-" in fields[6:]:
            return fields[fields.index("-", 6) + 1]
    return ""


_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
