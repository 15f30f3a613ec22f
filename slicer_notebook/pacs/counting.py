"""A sink that counts what comes to its end, for one fetch: whether all has come that the peer says it has sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs.model import FolderSink, Part

__all__ = ["Counted"]


class Counted:
    """See the module.

    Attributes:
        count: instances that came to their end, whatever became of them.
    """

    def __init__(self, sink: FolderSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self.count = 0

    def open(self) -> Part:
        """See `Sink.open`."""
        return _Part(self._sink.open(), self._came)

    def folder_aside(self) -> Path:
        """See `FolderSink.folder_aside`."""
        return self._sink.folder_aside()

    def adopt(self, path: Path, size: int, instance: Instance | None = None) -> None:
        """See `FolderSink.adopt`."""
        self._sink.adopt(path, size, instance)
        self._came()

    def flush(self) -> None:
        """See `FolderSink.flush`."""
        self._sink.flush()

    def _came(self) -> None:
        with self._lock:
            self.count += 1


class _Part:
    """See `model.Part`."""

    __slots__ = ("_came", "_part", "discard", "write")

    def __init__(self, part: Part, came: Callable[[], None]) -> None:
        self._part = part
        self._came = came
        self.write = part.write
        self.discard = part.discard

    def done(self) -> None:
        self._part.done()
        self._came()
