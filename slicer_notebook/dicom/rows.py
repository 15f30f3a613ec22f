"""Rows of the index made from files: in this process, and in helper processes where there are many files."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from slicer_notebook.dicom.header import DirectoryFileError, NotTakenError, read_header
from slicer_notebook.dicom.processes import HelperProcess, can_start, cores, receive, send, serving_pipes
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.walk import Found

__all__ = ["FileRow", "read_row", "read_rows", "row_of", "serve"]

#: Files in one piece of work: some 15 ms, so that a cancel is soon heeded and the pipes cost nothing beside it.
CHUNK: Final = 64
#: Fewer files than this are read sooner than a helper process starts (about half a second).
PARALLEL_FROM: Final = 2000
#: More helpers than this wait for the process that writes the index.
MAX_HELPERS: Final = 7


class FileRow(msgspec.Struct, array_like=True):
    """A file that was looked at: an instance's UIDs and its encoded header, or a reason why it was not taken.

    Neither: an archive or a DICOMDIR, whose files have rows of their own.
    """

    path: str
    size: int
    mtime_ns: int
    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None
    sop_class: str | None = None
    reason: str | None = None
    record: bytes | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_found: Final = msgspec.msgpack.Decoder(list[Found]).decode
_decode_rows: Final = msgspec.msgpack.Decoder(list[FileRow]).decode


def read_row(file: Found) -> FileRow:
    """Read one file's header."""
    if file.problem is not None:
        return FileRow(file.path, file.size, file.mtime_ns, reason=file.problem)
    try:
        instance = read_header(file.path)
    except DirectoryFileError:
        # In a folder, the files that it names are found by themselves.
        return FileRow(file.path, file.size, file.mtime_ns)
    except NotTakenError as exc:
        return FileRow(file.path, file.size, file.mtime_ns, reason=str(exc))
    # The size and time of the moment when it was read: a file that is still being written is read again next time.
    return row_of(instance)


def row_of(instance: Instance) -> FileRow:
    """The row of an instance."""
    return FileRow(
        instance.path,
        instance.size,
        instance.mtime_ns,
        instance.StudyInstanceUID,
        instance.SeriesInstanceUID,
        instance.SOPInstanceUID,
        instance.SOPClassUID,
        None,
        _encode(instance),
    )


def read_rows(files: list[Found], poll: Callable[[], None]) -> Iterator[list[FileRow]]:
    """Read many files' headers on all cores.

    Args:
        poll: called for every file that this process reads, and often enough besides; may raise to end the reading.

    Yields:
        Rows, some tens at a time, in no order.
    """
    chunks = deque(files[start : start + CHUNK] for start in range(0, len(files), CHUNK))
    left = len(chunks)
    helpers = _helpers(len(files), chunks)
    try:
        while left:
            rows = _next_rows(chunks, helpers, poll)
            if rows is not None:
                left -= 1
                yield rows
    finally:
        for helper in helpers:
            helper.close()


def _next_rows(chunks: deque[list[Found]], helpers: list[_Helper], poll: Callable[[], None]) -> list[FileRow] | None:
    for helper in helpers:
        poll()
        if not helper.results.empty():
            return helper.results.get()
    try:
        chunk = chunks.popleft()
    except IndexError:
        # Helpers have the last pieces. One that dies puts its piece back, and it is read here.
        return _wait(helpers, poll)
    rows = []
    for file in chunk:
        poll()
        rows.append(read_row(file))
    return rows


def _wait(helpers: list[_Helper], poll: Callable[[], None]) -> list[FileRow] | None:
    for helper in helpers:
        poll()
        try:
            return helper.results.get(timeout=0.05)
        except queue.Empty:
            continue
    return None


def _helpers(count: int, chunks: deque[list[Found]]) -> list[_Helper]:
    if count < PARALLEL_FROM or not can_start():
        return []
    return [_Helper(chunks) for _ in range(min(cores() - 1, MAX_HELPERS))]


class _Helper:
    """A process that reads headers, and the thread that feeds it."""

    def __init__(self, chunks: deque[list[Found]]) -> None:
        self.chunks = chunks
        self.results: queue.SimpleQueue[list[FileRow]] = queue.SimpleQueue()
        self.closing = False
        self.process = HelperProcess("slicer_notebook.dicom.rows:serve")
        self.thread = threading.Thread(target=self._feed, name="dicom-index", daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        while not self.closing:
            try:
                chunk = self.chunks.popleft()
            except IndexError:
                return
            try:
                self.results.put(_decode_rows(self.process.ask(_encode(chunk))))
            except (EOFError, msgspec.MsgspecError):
                # The helper died or was closed: what it had is read by another.
                self.chunks.append(chunk)
                return

    def close(self) -> None:
        """End the process; what it reads at the moment is thrown away."""
        self.closing = True
        self.process.kill()
        self.thread.join()
        self.process.close()


def serve() -> None:
    """What a helper process does: read the files that it is told of until its input ends."""
    source, sink = serving_pipes()
    while True:
        try:
            files = _decode_found(receive(source))
        except EOFError:
            return
        send(sink, _encode([read_row(file) for file in files]))
