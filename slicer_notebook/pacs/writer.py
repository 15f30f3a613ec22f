"""A process that writes and renames files: where many small instances come, that is the work of another core.

The thread that reads from the PACS answers each instance before the next one is sent. A thread that writes beside it
takes turns with it at Python's lock, at each call of the system; so what comes would wait for what is written.
"""

from __future__ import annotations

import marshal
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from slicer_notebook.dicom.processes import HelperProcess, can_start, cores
from slicer_notebook.pacs import _writing

__all__ = ["Writer"]

#: Batches after which it is worth a process.
_AFTER: Final = 2
#: Bytes of the pipe to it, where the system lets it have as many.
_PIPE: Final = 1 << 20
#: Seconds that a batch may take there; then it is written here.
_LONGEST: Final = 60.0


class Writer:
    """See the module. For one thread. `close` it.

    Args:
        folder: new files go into it, or into one that is made there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches = 0
        self._process: HelperProcess | None = None
        self._usable = can_start() and cores() > 1

    @property
    def ready(self) -> bool:
        """Whether there is such a process. To be asked once for each batch: with some, it is started."""
        self._batches += 1
        if self._usable and self._process is None and self._batches > _AFTER:
            try:
                self._process = HelperProcess(script=_writing.__file__, pipe_size=_PIPE)
            except OSError:
                self._usable = False
        return self._process is not None

    def write(self, data: Sequence[bytes | bytearray]) -> list[tuple[str, int]] | None:
        """Write each into a new file of this user's alone; their paths and times (ns). None: the process is gone.

        Raises:
            OSError: they cannot be written, and there is none of them.
        """
        # Each process has a folder of its own: in one, files are made and renamed one at a time.
        answer = self._ask("write", str(self._folder / f"of-writer-{id(self):x}"), list(data))
        if answer is None:
            return None
        number, files = answer
        if number:
            raise OSError(number, os.strerror(number))
        return list(files)

    def rename(self, names: Sequence[tuple[str, str]]) -> list[bool]:
        """Rename files, from the first to the second path of each; whether that was done."""
        answer = self._ask("rename", "", list(names))
        return [number == 0 for number in answer] if answer is not None else [False] * len(names)

    def _ask(self, kind: str, folder: str, items: list[Any]) -> Any:
        process = self._process
        if process is None:
            return None
        timer = threading.Timer(_LONGEST, process.kill)
        timer.daemon = True
        timer.start()
        try:
            # Both ends are of one Python; of all that it has, this copies least.
            return marshal.loads(process.ask(marshal.dumps((kind, folder, items))))
        except (EOFError, ValueError, TypeError):
            self._usable = False
            self.close()
            return None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process; a second time, nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.close()
