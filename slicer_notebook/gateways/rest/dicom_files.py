"""Instances as they go out: from the disk as they are, piece by piece, none of them held in memory."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from slicer_notebook.dicom.archives import open_binary, status
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.records import Instance

__all__ = ["File", "TornError", "length_of_parts", "new_boundary", "on_disk", "parts", "reading", "streamed", "zipped"]

T = TypeVar("T")

#: Threads that read for all gateways of a process; each has a connection to the index of its own.
READERS: Final = 4
#: Bytes that are read and sent at once: many small files together, a large one in pieces.
CHUNK: Final = 1 << 20
_CRLF: Final = b"\r\n"

_pool: ThreadPoolExecutor | None = None
_making = threading.Lock()


def _readers() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603 - one for the process
    with _making:
        if _pool is None:
            _pool = ThreadPoolExecutor(READERS, thread_name_prefix="slicer-notebook-dicom-rest")
        return _pool


async def reading(function: Callable[..., T], *args: Any) -> T:
    """Have a thread read from the disk or the index; what it raises is raised here."""
    return await asyncio.get_running_loop().run_in_executor(_readers(), function, *args)


async def streamed(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is read by a thread when the last one is on its way: a slow client keeps no thread waiting."""
    try:
        while (chunk := await reading(next, chunks, None)) is not None:
            yield chunk
    finally:
        # Its file is closed. Where a thread is still at it, when that has ended.
        with contextlib.suppress(ValueError, AttributeError):
            chunks.close()  # type: ignore[attr-defined]


class TornError(Exception):
    """A file changed while it was sent: the answer is broken off, so that nobody takes it for whole."""


class File(NamedTuple):
    """An instance's file, and how many bytes it has now."""

    instance: Instance
    size: int

    @property
    def syntax(self) -> str:
        """The transfer syntax that it is stored in."""
        return self.instance.TransferSyntaxUID


def on_disk(instances: Iterable[Instance]) -> tuple[list[File], list[Instance]]:
    """Files that are there, and the instances that have none any more (of their copies, the first that is there)."""
    there, gone = [], []
    for instance in instances:
        file = _file(instance)
        if file is None:
            gone.append(instance)
        else:
            there.append(file)
    return there, gone


def _file(instance: Instance) -> File | None:
    for path in (instance.path, *instance.other_paths):
        try:
            size, _ = status(path)
            # A copy may be stored in another transfer syntax.
            return File(instance if path == instance.path else read_header(path), size)
        except (OSError, NotTakenError):
            continue
    return None


def content(file: File) -> Iterator[bytes]:
    """A file's bytes in pieces of at most `CHUNK`.

    Raises:
        TornError: it does not have the bytes that were announced.
    """
    left = file.size
    with open_binary(file.instance.path) as opened:
        while left:
            chunk = opened.read(min(CHUNK, left))
            if not chunk:
                raise TornError(f"{left} of {file.size} bytes are gone")
            left -= len(chunk)
            yield chunk


# -- multipart/related (PS3.18 8.6.1.2, RFC 2387) ---------------------------------------------------------------------


def new_boundary() -> str:
    """One that is in no file, as good as certainly."""
    return secrets.token_hex(16)


def head_of(boundary: str, file: File, location: str) -> bytes:
    """What stands before a part."""
    syntax = f"; transfer-syntax={file.syntax}" if file.syntax else ""
    lines = (
        f"--{boundary}",
        f"Content-Type: application/dicom{syntax}",
        f"Content-Length: {file.size}",
        f"Content-Location: {location}",
    )
    return "\r\n".join(lines).encode("latin-1") + 2 * _CRLF


def _end_of(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode("ascii")


def length_of_parts(boundary: str, files: Sequence[File], location: Callable[[Instance], str]) -> int:
    """Bytes of what `parts` gives: so that a client sees whether all has come."""
    heads = sum(len(head_of(boundary, file, location(file.instance))) + file.size + 2 for file in files)
    return heads + len(_end_of(boundary))


def parts(boundary: str, files: Sequence[File], location: Callable[[Instance], str]) -> Iterator[bytes]:
    """The body, in pieces of about `CHUNK`."""
    held = bytearray()
    for file in files:
        held += head_of(boundary, file, location(file.instance))
        for chunk in content(file):
            held += chunk
            if len(held) >= CHUNK:
                yield bytes(held)
                held.clear()
        held += _CRLF
    yield bytes(held) + _end_of(boundary)


# -- ZIP --------------------------------------------------------------------------------------------------------------


class _Outgoing:
    """What `zipfile` writes to: bytes that are taken away piece by piece."""

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: bytes) -> int:
        """As of a file that cannot seek."""
        self.held += data
        return len(data)

    def flush(self) -> None:
        """Nothing is behind it."""

    def taken(self) -> bytes:
        """All that was written since the last call."""
        data = bytes(self.held)
        self.held.clear()
        return data


def zipped(files: Sequence[File]) -> Iterator[bytes]:
    """A ZIP archive, not compressed: ``series UID/instance UID.dcm``."""
    out = _Outgoing()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for file in files:
            instance = file.instance
            info = zipfile.ZipInfo(f"{instance.SeriesInstanceUID}/{instance.SOPInstanceUID}.dcm")
            info.file_size = file.size
            with archive.open(info, "w", force_zip64=file.size >= zipfile.ZIP64_LIMIT) as member:
                for chunk in content(file):
                    member.write(chunk)
                    if len(out.held) >= CHUNK:
                        yield out.taken()
    yield out.taken()
