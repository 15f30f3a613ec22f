"""Files as the index names them: plain ones, and members of ZIP archives, which are read in place.

A member's path is the archive's, ``!/`` and the member's own: ``/data/study.zip!/CT/000.dcm``. A file whose name is not
UTF-8 text is named with its bytes escaped (``m\\udcfcller.dcm``), so that a database, JSON and a terminal can hold the
name. Everything in this package that opens a DICOM file does so here.
"""

from __future__ import annotations

import io
import os
import re
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple, TypeVar, cast

__all__ = [
    "SEPARATOR",
    "ArchiveError",
    "Member",
    "archive_of",
    "file_path",
    "is_archive_name",
    "is_there",
    "members",
    "needs_care",
    "open_binary",
    "shown_path",
    "status",
]

SEPARATOR: Final = "!/"
#: A member larger than this (bytes) that is also packed tighter than `MAX_RATIO` is taken for a bomb: images of that
#: size are not so empty.
MAX_PACKED_SIZE: Final = 256 << 20
MAX_RATIO: Final = 200
#: Archives whose directories are kept: reading one takes some 10 us for each member.
MAX_OPEN: Final = 4
#: How Python shows a byte of a name that is not UTF-8 (PEP 383), with the backslash of ``backslashreplace``.
_ESCAPED_BYTE: Final = re.compile(r"\\udc([89a-f][0-9a-f])")
#: What zipfile and the decompressors under it raise on archives that are damaged, encrypted or packed in unknown ways.
_FAILURES: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError, ValueError, UnicodeError,
)  # fmt: skip

T = TypeVar("T")


class ArchiveError(OSError):
    """An archive, or one member of it, that cannot be read; ``reason`` says why. Never reaches a user as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason)
        self.reason = reason


class Member(NamedTuple):
    """A file in an archive: its virtual path, its size in bytes, and why it cannot be read, where that is known."""

    path: str
    size: int
    problem: str | None


def is_archive_name(path: str) -> bool:
    """Whether a file in a folder is looked into: other kinds of file are ZIP archives inside as well (docx, jar)."""
    return path.lower().endswith(".zip")


def shown_path(path: str) -> str:
    """A path as the index holds it: bytes that are not UTF-8 escaped. `file_path` turns it back."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode("utf-8")


def file_path(path: str) -> str:
    """The path to open a plain file with, from one that the index holds."""
    if "\\udc" not in path or os.path.lexists(path):
        return path
    return _ESCAPED_BYTE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), path)


def needs_care(path: str) -> bool:
    """Whether a path may be more than the name of a plain file: a member's, or one with escaped bytes."""
    return SEPARATOR in path or "\\udc" in path


def archive_of(path: str) -> tuple[str, str] | None:
    """The archive and the member that a virtual path names; None for the path of a plain file."""
    if SEPARATOR not in path or os.path.lexists(file_path(path)):
        return None
    start = path.find(SEPARATOR)
    while start >= 0:
        archive = path[:start]
        if os.path.isfile(file_path(archive)):
            return archive, path[start + len(SEPARATOR) :]
        start = path.find(SEPARATOR, start + 1)
    return None


def open_binary(path: str) -> BinaryIO:
    """Open a plain file or a member of an archive, unbuffered, for reading and seeking.

    Raises:
        OSError: it is not there or cannot be read; `ArchiveError` where the archive is at fault. Reading raises these
            as well.
    """
    found = archive_of(path)
    if found is None:
        return cast(BinaryIO, open(file_path(path), "rb", buffering=0))
    with _ARCHIVES.opened(found[0]) as archive:
        info = _info(archive, *found)
        problem = _problem(info)
        if problem is not None:
            raise ArchiveError(problem)
        return cast(BinaryIO, _MemberFile(_translated(lambda: archive.open(info))))


def status(path: str) -> tuple[int, int]:
    """Size in bytes and time of modification in ns since the epoch; for a member, its own size and its archive's time.

    Raises:
        OSError: as for `open_binary`.
    """
    found = archive_of(path)
    if found is None:
        plain = os.stat(file_path(path))
        return plain.st_size, plain.st_mtime_ns
    with _ARCHIVES.opened(found[0]) as archive:
        info = _info(archive, *found)
    return info.file_size, os.stat(file_path(found[0])).st_mtime_ns


def is_there(path: str) -> bool:
    """Whether there is such a file; one that cannot be looked at counts as there."""
    try:
        status(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def members(archive: str) -> list[Member]:
    """The files in an archive, in its order; a name that is there twice counts once (the later one).

    Raises:
        OSError: it cannot be read; `ArchiveError` where it is no whole ZIP archive.
    """
    with _ARCHIVES.opened(archive) as opened:
        infos = list(opened.NameToInfo.values())
    return [
        Member(shown_path(f"{archive}{SEPARATOR}{info.filename}"), info.file_size, _problem(info))
        for info in infos
        # `ZipInfo.is_dir` fails on a name of no letters.
        if not info.filename.endswith("/")
    ]


def _problem(info: zipfile.ZipInfo) -> str | None:
    if not info.filename:
        return "a damaged entry without a name in its ZIP archive"
    if info.flag_bits & 0x1:
        return "encrypted in its ZIP archive: unpack it first"
    if info.file_size > MAX_PACKED_SIZE and info.file_size > MAX_RATIO * info.compress_size:
        return (
            f"{info.file_size} bytes packed into {info.compress_size} in its ZIP archive, as in one made to do harm: "
            "unpack it first"
        )
    return None


def _info(opened: zipfile.ZipFile, archive: str, name: str) -> zipfile.ZipInfo:
    info = opened.NameToInfo.get(name)
    if info is None:
        raise FileNotFoundError(2, f"not in the ZIP archive {archive!r}", name)
    return info


def _translated(action: Callable[[], T]) -> T:
    try:
        return action()
    # NotImplementedError (a packing that Python lacks) is a RuntimeError.
    except _FAILURES as exc:
        raise ArchiveError(f"broken ZIP archive: {exc or type(exc).__name__}") from exc


class _Archives:
    """The archives opened last, each with its directory read; opened anew when the file changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[int, str], tuple[tuple[int, int], zipfile.ZipFile]] = OrderedDict()

    @contextmanager
    def opened(self, archive: str) -> Iterator[zipfile.ZipFile]:
        """The archive, opened; only for as long as the context lasts, for another thread may then close it.

        A member opened in it stays readable.
        """
        path = file_path(archive)
        now = os.stat(path)
        state = (now.st_size, now.st_mtime_ns)
        # A forked child would share the file's position with its parent.
        key = (os.getpid(), path)
        with self._lock:
            held = self._open.get(key)
            if held is None or held[0] != state:
                fresh = _translated(lambda: zipfile.ZipFile(path))
                if held is not None:
                    held[1].close()
                held = self._open[key] = (state, fresh)
            self._open.move_to_end(key)
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)[1][1].close()
            yield held[1]


_ARCHIVES: Final = _Archives()


class _MemberFile(io.RawIOBase):
    """A member as a raw file whose failures are `OSError`."""

    def __init__(self, source: zipfile.ZipExtFile | object) -> None:
        self._source = cast(zipfile.ZipExtFile, source)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return _translated(lambda: self._source.read(size))

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return _translated(lambda: self._source.seek(offset, whence))

    def tell(self) -> int:
        return self._source.tell()

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()
