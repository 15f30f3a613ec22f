"""From a `VolumePlan` to voxels: slices are read on threads, straight into the volume's memory."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.pixels import current_instance, fix_bits, read_stored, stored_dtype
from slicer_notebook.dicom.planning import VolumePlan
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import LOSSY
from slicer_notebook.errors import DicomError, JobCancelledError, SeriesRefusedError, SlicerNotebookError

__all__ = ["VolumeData", "read"]

Progress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]

#: Threads that read slices. More than the cores by one or two keeps the disk busy while others convert.
MAX_THREADS: Final = 8


class VolumeData(msgspec.Struct, kw_only=True):
    """A volume that was read: voxels, where they are, and what they mean."""

    #: [k, j, i] = [slice, row, column]; integers where the values are whole and fit, else float32 or float64
    array: npt.NDArray[Any]
    #: 4x4 float64, IJK to RAS, mm
    affine: npt.NDArray[np.float64]
    name: str
    #: (window, level) in the array's units, from the header of the middle slice; None when it says none
    window_level: tuple[float, float] | None
    #: "HU", "BQML", ... ; "" when the header does not say
    units: str
    modality: str
    #: DICOM keyword -> UID: StudyInstanceUID, SeriesInstanceUID, FrameOfReferenceUID, SOPClassUID
    uids: dict[str, str]
    #: in k order
    sop_instance_uids: list[str]
    #: low values are to be shown bright (MONOCHROME1, or a PresentationLUTShape INVERSE); the values are as stored
    inverted: bool = False
    warnings: list[str] = []


class _TooNarrow(Exception):  # noqa: N818 - a signal inside this module
    """A slice's values do not fit the array's type."""


def read(plan: VolumePlan, progress: Progress | None = None, cancelled: Cancelled | None = None) -> VolumeData:
    """Read a planned volume.

    Args:
        plan: of `slicer_notebook.dicom.plan`.
        progress: called with (slices done, slices in all, text) on the calling thread.
        cancelled: polled before every slice, on the reading threads.

    Returns:
        The whole volume; never a part of it.

    Raises:
        FileFormatError: a file is gone, changed or unreadable.
        SeriesRefusedError: pixels that cannot be decoded, are too few, or copies of an instance that differ.
        JobCancelledError: ``cancelled`` said so.
    """
    rescales = [(_slope(instance), _intercept(instance)) for instance in plan.instances]
    array, warnings = _read_narrowest(plan, rescales, progress, cancelled)
    middle = plan.instances[len(plan.instances) // 2]
    head = plan.instances[0]
    return VolumeData(
        array=array,
        affine=np.array(plan.affine, dtype=np.float64),
        name=plan.name,
        window_level=_window_level(middle),
        units=_units(plan.instances),
        modality=head.Modality or "",
        uids={
            keyword: value
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID")
            if (value := getattr(head, keyword))
        },
        sop_instance_uids=[instance.SOPInstanceUID for instance in plan.instances],
        inverted=middle.PhotometricInterpretation == "MONOCHROME1" or middle.PresentationLUTShape == "INVERSE",
        warnings=[*plan.warnings, *warnings],
    )


def _read_narrowest(
    plan: VolumePlan, rescales: list[tuple[float, float]], progress: Progress | None, cancelled: Cancelled | None
) -> tuple[npt.NDArray[Any], list[str]]:
    """The array in the first type that holds all values, and warnings."""
    *narrow, widest = _candidates(plan.instances, rescales)
    try:
        for dtype in narrow:
            try:
                return _Reader(plan, dtype, rescales, progress, cancelled).run()
            except _TooNarrow:
                continue
        return _Reader(plan, widest, rescales, progress, cancelled).run()
    except MemoryError as exc:
        size = math.prod(plan.shape) * widest.itemsize / 1e9
        raise DicomError(
            f"There is not enough memory for {plan.name!r}.",
            expected=f"up to {size:.1f} GB free",
            hint="Close other volumes, or use a machine with more memory.",
        ) from exc


def _slope(instance: Instance) -> float:
    return 1.0 if instance.RescaleSlope is None else instance.RescaleSlope


def _intercept(instance: Instance) -> float:
    return 0.0 if instance.RescaleIntercept is None else instance.RescaleIntercept


def _candidates(instances: list[Instance], rescales: list[tuple[float, float]]) -> list[np.dtype[Any]]:
    """Types to try, narrowest first. Whole slopes and intercepts keep integers; one that is not makes floats."""
    kinds = {stored_dtype(instance) for instance in instances}
    widest = max(kind.itemsize for kind in kinds)
    floating = np.dtype(np.float32 if widest <= 2 else np.float64)
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept in rescales):
        return [floating]
    if len(kinds) == 1 and all(rescale == (1.0, 0.0) for rescale in rescales):
        return [*kinds]
    candidates = [np.dtype(np.int16), np.dtype(np.int32)] if widest <= 2 else [np.dtype(np.int32)]
    return [*candidates, np.dtype(np.float64)]


def _window_level(instance: Instance) -> tuple[float, float] | None:
    """The first window of the header, as (window, level); None when there is none that makes sense."""
    center, width = instance.WindowCenter, instance.WindowWidth
    if not center or not width or width[0] <= 0:
        return None
    return float(width[0]), float(center[0])


def _units(instances: list[Instance]) -> str:
    """RescaleType where given (PS3.3 C.11.1.1.2), Units for PET, HU for CT that says nothing else; "" when unsure."""
    types = {instance.RescaleType for instance in instances}
    modality = instances[0].Modality
    if len(types) == 1 and (kind := types.pop()):
        return "" if kind == "US" else kind
    if modality == "PT":
        units = {instance.Units for instance in instances}
        return next(iter(units)) or "" if len(units) == 1 else ""
    localizer = any("LOCALIZER" in (instance.ImageType or []) for instance in instances)
    if modality == "CT" and not localizer and all(instance.RescaleIntercept is not None for instance in instances):
        return "HU"
    return ""


class _Reader:
    """One attempt at a volume of one type."""

    def __init__(
        self,
        plan: VolumePlan,
        dtype: np.dtype[Any],
        rescales: list[tuple[float, float]],
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> None:
        self.plan = plan
        self.dtype = dtype
        self.rescales = rescales
        self.progress = progress
        self.cancelled = cancelled
        self.array = np.empty(plan.shape, dtype)
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.dropped = 0
        self.uncompared = 0
        self.broken: list[str] = []

    def run(self) -> tuple[npt.NDArray[Any], list[str]]:
        """The array and warnings; any slice's failure fails the whole."""
        count = len(self.plan.instances)
        threads = min(count, MAX_THREADS, (os.cpu_count() or 1) + 1)
        with ThreadPoolExecutor(threads, thread_name_prefix="dicom-read") as pool:
            futures = [pool.submit(self._slice, k) for k in range(count)]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    if self.progress is not None:
                        self.progress(done, count, f"Reading {self.plan.name}")
            except BaseException:
                # The pool waits for its threads when it closes; those that have not begun a slice need not.
                self.stop.set()
                raise
        return self.array, self._warnings()

    def _warnings(self) -> list[str]:
        warnings = []
        if self.dropped:
            warnings.append(f"{self.dropped} slices have bits set outside those stored; they were dropped.")
        if self.uncompared:
            warnings.append(f"{self.uncompared} copies that were compressed with loss were not compared.")
        if self.broken:
            warnings.append(
                f"{len(self.broken)} copies cannot be read; they were left aside, such as {self.broken[0]!r}."
            )
        return warnings

    def _slice(self, k: int) -> None:
        if self.stop.is_set():
            return
        try:
            self._read_slice(k)
        except BaseException:
            self.stop.set()
            raise

    def _read_slice(self, k: int) -> None:
        if self.cancelled is not None and self.cancelled():
            raise JobCancelledError(f"Reading {self.plan.name!r} was cancelled.")
        instance = self.plan.instances[k]
        target = self.array[k]
        stored = stored_dtype(instance)
        # Integers of one size: the file's bytes go straight into the volume. Else through a slice of its own.
        direct = stored.itemsize == self.dtype.itemsize and self.dtype.kind in "iu"
        pixels = read_stored(instance, target.view(stored) if direct else None)
        low, high, dropped = fix_bits(pixels, instance)
        uncompared = self._compare_copies(instance, pixels)
        self._rescale(pixels, target, self.rescales[k], (low, high))
        with self.lock:
            self.dropped += dropped
            self.uncompared += uncompared

    def _leave_aside(self, path: str) -> None:
        """A copy that is gone or cut off says nothing against the whole one."""
        with self.lock:
            self.broken.append(path)

    def _rescale(
        self, pixels: npt.NDArray[Any], target: npt.NDArray[Any], rescale: tuple[float, float], ends: tuple[int, int]
    ) -> None:
        slope, intercept = rescale
        if self.dtype.kind == "f":
            values = pixels.astype(np.float64)
            values *= slope
            values += intercept
            target[...] = values
            return
        factor, offset = int(slope), int(intercept)
        limits = np.iinfo(self.dtype)
        results = (ends[0] * factor + offset, ends[1] * factor + offset)
        if min(results) < limits.min or max(results) > limits.max:
            raise _TooNarrow
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

    def _compare_copies(self, instance: Instance, pixels: npt.NDArray[Any]) -> int:
        """How many of the instance's other files could not be compared with this one, because they lost on the way."""
        uncompared = 0
        for path in instance.other_paths:
            try:
                copy = _copy_of(instance, path)
            except (SlicerNotebookError, OSError):
                self._leave_aside(path)
                continue
            if copy.TransferSyntaxUID in LOSSY and instance.TransferSyntaxUID not in LOSSY:
                uncompared += 1
                continue
            try:
                values = read_stored(copy)
            except (SlicerNotebookError, OSError):
                self._leave_aside(path)
                continue
            fix_bits(values, copy)
            if not np.array_equal(values, pixels):
                raise SeriesRefusedError(
                    "Files of one SOP Instance UID hold different pixels.",
                    expected=f"equal copies of {instance.SOPInstanceUID}",
                    got=f"{instance.path!r} and {path!r}, which differ",
                    hint="Remove the wrong one, or load the series from a folder of its own.",
                    details={"reason": Reason.UID_CONFLICT.value, "files": [instance.path, path]},
                )
        return uncompared


def _copy_of(instance: Instance, path: str) -> Instance:
    """The instance as another file holds it."""
    # A size that no file has makes `current_instance` read that file's header.
    return current_instance(msgspec.structs.replace(instance, path=path, size=-1))
