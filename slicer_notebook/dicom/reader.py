"""Planes of pixels from their files into one array: on threads, of one type, rescaled, compared with their copies."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.pixels import current_instance, fix_bits, modality_lut, read_stored, stored_dtype
from slicer_notebook.dicom.plans import Mapping
from slicer_notebook.dicom.quantities import mapped
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.stacks import is_colour
from slicer_notebook.dicom.syntaxes import LOSSY
from slicer_notebook.errors import JobCancelledError, SeriesRefusedError, SlicerNotebookError

__all__ = ["Array", "PlaneReader", "Request", "Rescale", "TooNarrowError"]

Array = npt.NDArray[Any]
#: (slope, intercept)
Rescale = tuple[float, float]
Progress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]

#: Planes in one piece of work: as many as make up about this many bytes, so that small slices do not pay for the
#: hand-over between threads, and large ones are spread over all of them.
PIECE_BYTES: Final = 1 << 20
MAX_PIECE: Final = 64


class TooNarrowError(Exception):
    """A plane's values do not fit the array's type. Never reaches a user."""


class Request(NamedTuple):
    """What is to be read."""

    planes: list[Instance]
    #: of each plane
    rescales: list[Rescale]
    #: (index of a plane, further instance that must hold the same pixels)
    doubles: list[tuple[int, Instance]]
    #: what it is called while it is read
    name: str
    #: of each plane, what its stored values become, in place of the rescale; empty: no mapping was asked for
    mappings: list[tuple[Mapping, ...]]
    progress: Progress | None = None
    cancelled: Cancelled | None = None


class PlaneReader:
    """One attempt at an array of one type."""

    def __init__(self, request: Request, dtype: np.dtype[Any]) -> None:
        self.request = request
        self.dtype = dtype
        self.planes = planes = request.planes
        self.doubles: dict[int, list[Instance]] = {}
        for index, double in request.doubles:
            self.doubles.setdefault(index, []).append(double)
        head = planes[0]
        self.colour = is_colour(head)
        self.array = np.empty((len(planes), head.Rows or 0, head.Columns or 0, *([3] if self.colour else [])), dtype)
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.dropped = 0
        self.uncompared = 0
        self.equal = 0
        self.broken: list[str] = []
        #: what decoders had to say, and of how many planes
        self.notes: Counter[str] = Counter()

    def run(self, pool: Executor) -> tuple[Array, list[str]]:
        """The array, [plane, row, column(, 3)], and warnings; any plane's failure fails the whole."""
        count = len(self.planes)
        futures = {pool.submit(self._piece, piece): len(piece) for piece in self._pieces()}
        done = 0
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future]
                if self.request.progress is not None:
                    self.request.progress(done, count, f"Reading {self.request.name}")
        except BaseException:
            # Pieces that have not begun need not; those that have are waited for, since they write into the array.
            self.stop.set()
            for future in futures:
                future.cancel()
            for future in futures:
                if not future.cancelled():
                    future.exception()
            raise
        return self.array, self._warnings()

    def _pieces(self) -> list[range]:
        size = max(1, self.array[0].nbytes)
        step = max(1, min(MAX_PIECE, PIECE_BYTES // size))
        count = len(self.planes)
        return [range(start, min(start + step, count)) for start in range(0, count, step)]

    def _warnings(self) -> list[str]:
        warnings = [f"{count} slices: {note}." for note, count in self.notes.items()]
        if self.dropped:
            warnings.append(f"{self.dropped} slices have bits set outside those stored; they were dropped.")
        if self.uncompared:
            warnings.append(f"{self.uncompared} copies that were compressed with loss were not compared.")
        if self.equal:
            warnings.append(f"{self.equal} images were left out: their pixels equal those of another at their place.")
        if self.broken:
            warnings.append(
                f"{len(self.broken)} copies cannot be read; they were left aside, such as {self.broken[0]!r}."
            )
        return warnings

    def _piece(self, indices: range) -> None:
        try:
            for index in indices:
                if self.stop.is_set():
                    return
                if self.request.cancelled is not None and self.request.cancelled():
                    raise JobCancelledError(f"Reading {self.request.name!r} was cancelled.")
                self._read_plane(index)
        except BaseException:
            self.stop.set()
            raise

    def _read_plane(self, index: int) -> None:
        plane = self.planes[index]
        target = self.array[index]
        stored = stored_dtype(plane)
        # Values of one size: the file's bytes go straight into the volume. Else through a plane of its own.
        direct = stored.itemsize == self.dtype.itemsize and (stored.kind == "f") == (self.dtype.kind == "f")
        notes: list[str] = []
        pixels = read_stored(plane, target.view(stored) if direct else None, notes)
        if notes:
            with self.lock:
                self.notes.update(notes)
        ends: tuple[int, int] | None = None
        if stored.kind in "iu" and not self.colour:
            low, high, dropped = fix_bits(pixels, plane)
            ends = low, high
            if dropped:
                with self.lock:
                    self.dropped += 1
        if plane.other_paths:
            self._compare_copies(plane, pixels)
        if index in self.doubles:
            self._compare_doubles(plane, pixels, self.doubles[index])
        if self.colour:
            if not direct:
                target[...] = pixels
            return
        if self.request.mappings:
            target[...] = mapped(self.request.mappings[index], pixels)
            return
        lut = modality_lut(plane)
        if lut is not None:
            target[...] = lut(pixels)
            return
        self._rescale(pixels, target, self.request.rescales[index], ends)

    def _leave_aside(self, path: str) -> None:
        """A copy that is gone or cut off says nothing against the whole one."""
        with self.lock:
            self.broken.append(path)

    def _rescale(self, pixels: Array, target: Array, rescale: Rescale, ends: tuple[int, int] | None) -> None:
        slope, intercept = rescale
        if self.dtype.kind == "f" or ends is None:
            if (slope, intercept) == (1.0, 0.0):
                target[...] = pixels
                return
            # Float32 would lose the last digits of large stored values before they are scaled.
            values = pixels.astype(np.float64)
            values *= slope
            values += intercept
            target[...] = values
            return
        factor, offset = int(slope), int(intercept)
        limits = np.iinfo(self.dtype)
        results = (ends[0] * factor + offset, ends[1] * factor + offset)
        if min(results) < limits.min or max(results) > limits.max:
            raise TooNarrowError
        # A value that does not fit now may do so after the sum; in modular arithmetic the sum comes out right.
        if pixels.itemsize != self.dtype.itemsize:
            target[...] = pixels.astype(self.dtype)
        if factor != 1:
            np.multiply(target, self._wrapped(factor), out=target)
        if offset != 0:
            np.add(target, self._wrapped(offset), out=target)

    def _wrapped(self, value: int) -> Any:
        """A whole number as the array's type, modulo its width (see `_rescale`)."""
        return np.array(value & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64).astype(self.dtype)

    def _compare_doubles(self, plane: Instance, pixels: Array, doubles: list[Instance]) -> None:
        """Other images of this place must say the same, or nobody knows which one is meant."""
        for double in doubles:
            values = read_stored(double)
            if not self.colour and values.dtype.kind in "iu":
                fix_bits(values, double)
            same = (double.RescaleSlope, double.RescaleIntercept) == (plane.RescaleSlope, plane.RescaleIntercept)
            if not same or not np.array_equal(values, pixels):
                files = [plane.path, double.path]
                raise SeriesRefusedError(
                    "Two images at one position differ, and nothing in the headers tells which is meant.",
                    expected="one image at each position, or an attribute that tells volumes apart",
                    got=f"{files[0]!r} and {files[1]!r} at {plane.ImagePositionPatient}",
                    details={"reason": Reason.SEVERAL_VOLUMES.value, "files": files},
                )
            with self.lock:
                self.equal += 1

    def _compare_copies(self, plane: Instance, pixels: Array) -> None:
        """The instance's other files must hold the same pixels, unless they lost on the way."""
        for path in plane.other_paths:
            try:
                copy = _copy_of(plane, path)
                uncompared = copy.TransferSyntaxUID in LOSSY and plane.TransferSyntaxUID not in LOSSY
                if uncompared:
                    with self.lock:
                        self.uncompared += 1
                    continue
                values = read_stored(copy)
            except (SlicerNotebookError, OSError):
                self._leave_aside(path)
                continue
            if not self.colour and values.dtype.kind in "iu":
                fix_bits(values, copy)
            if not np.array_equal(values, pixels):
                raise SeriesRefusedError(
                    "Files of one SOP Instance UID hold different pixels.",
                    expected=f"equal copies of {plane.SOPInstanceUID}",
                    got=f"{plane.path!r} and {path!r}, which differ",
                    hint="Remove the wrong one, or load the series from a folder of its own.",
                    details={"reason": Reason.UID_CONFLICT.value, "files": [plane.path, path]},
                )


def _copy_of(instance: Instance, path: str) -> Instance:
    """The instance as another file holds it."""
    # A size that no file has makes `current_instance` read that file's header.
    return current_instance(msgspec.structs.replace(instance, path=path, size=-1))
