"""A process that writes what has come, and looks at it: where many small instances come, the work of another core.

The thread that reads from the PACS answers each instance before the next one is sent. Threads that write beside it take
turns with it at Python's lock, at each call of the system, and what comes would wait for what is written.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.dicom.processes import HelperProcess, can_start, cores, receive, send, serving_pipes
from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs.whole import looked_at

__all__ = ["Looked", "Writer", "serve", "write_all"]

_SERVE: Final = "slicer_notebook.pacs.writer:serve"
#: Batches after which it is worth a process: what starts it takes as long as it takes to write some hundred instances.
_AFTER: Final = 4
#: Bytes of the pipe to it, where the system lets it have as many.
_PIPE: Final = 1 << 20
#: Seconds that a batch may take there; then it is written here.
_LONGEST: Final = 60.0
_NEW_FILE: Final = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)


class _Batch(msgspec.Struct, array_like=True):
    #: where the files go; it is made
    folder: str
    #: bytes of each
    sizes: list[int]


class Looked(msgspec.Struct, array_like=True):
    """A file that was written, and what `looked_at` says of it."""

    path: str
    instance: Instance | None
    problem: str | None


class _Answer(msgspec.Struct, array_like=True):
    files: list[Looked]
    #: of the error that ended it; nothing was written then
    errno: int = 0


class Writer:
    """See the module. For several threads; `close` it when none of them is in `write`.

    Args:
        folder: files go into a folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}{os.sep}of-another"
        self._lock = threading.Lock()
        self._batches = 0
        self._process: HelperProcess | None = None
        self._ready = self._lost = False
        self._starting: threading.Thread | None = None

    def write(self, data: Sequence[bytes | bytearray]) -> list[Looked] | None:
        """Have a batch written and looked at. None: there is no such process (yet, or any more); write it yourself.

        Raises:
            OSError: it cannot be written.
        """
        if self._lost or not (self._ready or self._start()):
            return None
        sizes = [len(each) for each in data]
        request = msgspec.msgpack.encode(_Batch(self._folder, sizes))
        message = b"".join((len(request).to_bytes(4, "little"), request, *data))
        with self._lock:
            if self._process is None or self._lost:
                return None
            timer = threading.Timer(_LONGEST, self._process.kill)
            timer.start()
            try:
                answer = msgspec.msgpack.decode(self._process.ask(message), type=_Answer)
            except (EOFError, msgspec.MsgspecError):
                self._lost = True
                return None
            finally:
                timer.cancel()
        if answer.errno:
            raise OSError(answer.errno, os.strerror(answer.errno))
        return answer.files

    def _start(self) -> bool:
        """Whether it is there; that it will be, once there is enough for it to do."""
        with self._lock:
            self._batches += 1
            if self._batches > _AFTER and self._starting is None and can_start() and cores() > 1:
                self._starting = threading.Thread(target=self._begin, name="pacs-writer", daemon=True)
                self._starting.start()
        return self._ready

    def _begin(self) -> None:
        try:
            process = self._process = HelperProcess(_SERVE, pipe_size=_PIPE)
            process.ask(b"")
        except (OSError, EOFError):
            self._lost = True
        else:
            self._ready = True

    def close(self) -> None:
        """End the process; a second time, nothing."""
        if self._process is not None:
            self._process.kill()
        if self._starting is not None:
            self._starting.join()
        with self._lock:
            self._lost = True
            process, self._process = self._process, None
        if process is not None:
            process.close()


def write_all(file: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it to an open file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def serve() -> None:
    """What the process does: write and look at batches until its input ends."""
    source, sink = serving_pipes()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            message = memoryview(receive(source))
            answer = _written(message) if message else _Answer([])
            send(sink, msgspec.msgpack.encode(answer))


def _written(message: memoryview) -> _Answer:
    start = 4 + int.from_bytes(message[:4], "little")
    batch = msgspec.msgpack.decode(message[4:start], type=_Batch)
    files: list[Looked] = []
    try:
        os.makedirs(batch.folder, mode=0o700, exist_ok=True)
        for size in batch.sizes:
            files.append(_kept(batch.folder, bytes(message[start : start + size])))
            start += size
    except OSError as exc:
        for each in files:
            with contextlib.suppress(OSError):
                os.unlink(each.path)
        return _Answer([], exc.errno or 5)
    return _Answer(files)


_numbers = iter(range(1 << 62))


def _kept(folder: str, data: bytes) -> Looked:
    path = f"{folder}{os.sep}{os.getpid()}-{next(_numbers)}"
    file = os.open(path, _NEW_FILE, 0o600)
    try:
        write_all(file, data)
        mtime_ns = os.fstat(file).st_mtime_ns
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(file)
    try:
        return Looked(path, *looked_at(path, data, len(data), mtime_ns))
    # It is another thing's fault if the others of the batch are not kept.
    except Exception as exc:  # noqa: BLE001
        return Looked(path, None, f"an error of this program: {type(exc).__name__}: {exc}")
