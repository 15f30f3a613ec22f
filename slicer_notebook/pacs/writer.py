"""A process that writes files, reads their headers and renames them: where many small instances come, on another core.

The thread that reads from the PACS answers each instance before the next one is sent. A thread that works beside it
takes turns with it at Python's lock; so what comes would wait for what has come.
"""

from __future__ import annotations

import atexit
import marshal
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from slicer_notebook.dicom.processes import HelperProcess, can_start, cores
from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs import _writing

__all__ = ["Writer", "Written"]

#: Batches after which it is worth a process.
_AFTER: Final = 2
#: Bytes of the pipe to it, where the system lets it have as many.
_PIPE: Final = 1 << 20
#: Seconds that a batch may take there; then it is written here.
_LONGEST: Final = 60.0
#: Seconds that it stays without work.
_IDLE: Final = 120.0


class Written(NamedTuple):
    """A new file."""

    path: str
    #: nanoseconds
    mtime_ns: int
    #: its header, where that was to be read; None: it is none that can be
    instance: Instance | None
    #: what is wrong with it
    problem: str | None


class _Spare:
    """A process that nobody uses now, for the next retrieval; it ends when there is none for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: HelperProcess | None = None
        self._timer: threading.Timer | None = None
        self._owner = os.getpid()

    def take(self) -> HelperProcess | None:
        """It, if there is one that lives."""
        with self._lock:
            if self._owner != os.getpid():  # a fork: it is the parent's
                self._process, self._owner = None, os.getpid()
            process, self._process = self._process, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if process is not None and not process.alive:
            process.close()
            return None
        return process

    def give(self, process: HelperProcess) -> None:
        """Keep it for others; in place of one that is there."""
        self.end()
        with self._lock:
            self._process = process
            self._timer = threading.Timer(_IDLE, self.end)
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Nobody has needed it."""
        process = self.take()
        if process is not None:
            process.close()


_SPARE: Final = _Spare()
atexit.register(_SPARE.end)


class Writer:
    """See the module. For several threads; to be closed when none of them uses it any more.

    Args:
        folder: new files go into one that is made there.

    Attributes:
        reads: whether it can read headers, too: some time after its beginning.
    """

    def __init__(self, folder: Path) -> None:
        # In one folder, files are made and renamed one at a time.
        self._folder = f"{folder}{os.sep}of-writer"
        self._lock = threading.Lock()
        self._batches = 0
        self._process: HelperProcess | None = None
        self._usable = can_start() and cores() > 1
        self.reads = False

    def ready(self) -> bool:
        """Whether there is such a process. To be asked once for each batch: with some, it is started."""
        with self._lock:
            self._batches += 1
            if self._usable and self._process is None:
                self._process = _SPARE.take()
                self.reads = self._process is not None
            if self._usable and self._process is None and self._batches > _AFTER:
                try:
                    self._process = HelperProcess(script=_writing.__file__, pipe_size=_PIPE)
                except OSError:
                    self._usable = False
            return self._process is not None

    def write(self, data: Sequence[bytes | bytearray], *, read: bool = False) -> list[Written] | None:
        """Write each into a new file of this user's alone. None: the process is gone.

        Args:
            read: read headers, too; only once it `reads`.

        Raises:
            OSError: they cannot be written, and there is none of them.
        """
        answer = self._ask("write and read" if read else "write", self._folder, list(data))
        if answer is None:
            return None
        error, files, self.reads = answer
        if error:
            raise OSError(error, os.strerror(error))
        return [
            Written(path, mtime_ns, msgspec.msgpack.decode(header, type=Instance) if header else None, problem)
            for path, mtime_ns, header, problem in files
        ]

    def rename(self, names: Sequence[tuple[str, str]]) -> list[bool]:
        """Rename files, from the first to the second path of each; whether that was done."""
        answer = self._ask("rename", "", list(names))
        return [number == 0 for number in answer] if answer is not None else [False] * len(names)

    def _ask(self, kind: str, folder: str, items: list[Any]) -> Any:
        # Both ends are of one Python; of all that it has, this copies least.
        message = marshal.dumps((kind, folder, items))
        with self._lock:
            process = self._process
            if process is None:
                return None
            timer = threading.Timer(_LONGEST, process.kill)
            timer.daemon = True
            timer.start()
            try:
                return marshal.loads(process.ask(message))
            except (EOFError, ValueError, TypeError):
                self._usable = self.reads = False
                self._end()
                return None
            finally:
                timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def close(self) -> None:
        """Let the process go; a second time, nothing."""
        with self._lock:
            self._usable = False
            if self._process is not None and self.reads and self._process.alive:
                _SPARE.give(self._process)
                self._process = None
            self._end()
