"""Where a file's pixels are, as something to seek in: the file itself, or its pixels in memory where it has to be so.

Deflated files, members of archives with several frames, and files whose pixels only pydicom finds are taken whole, and
kept for the next frame.
"""

from __future__ import annotations

import io
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple

import pydicom

from slicer_notebook.dicom.archives import archive_of, open_binary
from slicer_notebook.dicom.unpack import Layout, LayoutError

__all__ = ["PixelSource", "open_pixels"]

#: Pixels in memory are given up when nobody asked for them for this long, seconds.
IDLE: Final = 20.0
#: Pixels of more files than one are kept while they are no more than this together, bytes.
KEPT_BYTES: Final = 128 << 20


class PixelSource(NamedTuple):
    """Opened pixels."""

    file: BinaryIO
    #: where they begin
    offset: int
    #: bytes; -1 when encapsulated
    length: int
    #: OB, OW, OF or OD; "" where the file does not say
    vr: str


class _Kept(NamedTuple):
    data: bytes
    offset: int
    length: int
    vr: str


class _Memory:
    """Pixels taken from their files, the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], _Kept] = OrderedDict()
        self._used = 0.0
        self._timer: threading.Timer | None = None

    def of(self, layout: Layout) -> _Kept:
        key = (layout.path, layout.size, layout.mtime_ns)
        # Under the lock also while it is read: other threads want the same file's next frames.
        with self._lock:
            kept = self._kept.pop(key, None) or _taken(layout)
            self._kept[key] = kept
            while len(self._kept) > 1 and sum(len(each.data) for each in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
            self._used = time.monotonic()
            self._arm()
        return kept

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(IDLE, self._give_up)
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self) -> None:
        with self._lock:
            self._timer = None
            if time.monotonic() - self._used >= IDLE:
                self._kept.clear()
            else:
                self._arm()


_MEMORY: Final = _Memory()


@contextmanager
def open_pixels(layout: Layout) -> Iterator[PixelSource]:
    """Open a file at its pixels.

    Raises:
        LayoutError: there are none, or nobody can find them.
        OSError: the file cannot be read.
    """
    if not layout.offset or (layout.frames > 1 and archive_of(layout.path) is not None):
        kept = _MEMORY.of(layout)
        yield PixelSource(io.BytesIO(kept.data), kept.offset, kept.length, kept.vr)
        return
    with open_binary(layout.path) as file:
        yield PixelSource(file, layout.offset, layout.length, "")


def _taken(layout: Layout) -> _Kept:
    with open_binary(layout.path) as file:
        if layout.offset:
            return _Kept(file.read(), layout.offset, layout.length, "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(file, force=True)
                element = dataset[layout.keyword]
                value, vr, encapsulated = element.value, str(element.VR), bool(element.is_undefined_length)
            except OSError:
                raise
            # pydicom raises many kinds of error on damaged files, none of a common class of its own.
            except Exception as exc:
                raise LayoutError(f"no {layout.keyword} that can be read ({type(exc).__name__}: {exc})") from exc
    if not isinstance(value, bytes):
        raise LayoutError(f"{layout.keyword} is no sequence of bytes")
    return _Kept(value, 0, -1 if encapsulated else len(value), vr)
