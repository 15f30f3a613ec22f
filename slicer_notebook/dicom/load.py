"""From a `VolumePlan` to voxels: slices are read on threads, straight into the volume's memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.pixels import fix_bits, read_stored, stored_dtype
from slicer_notebook.dicom.plan import VolumePlan
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import JobCancelledError, SeriesRefusedError

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
        plan: of `slicer_notebook.dicom.plan.plan`.
        progress: called with (slices done, slices in all, text), from several threads but one at a time.
        cancelled: polled before every slice.

    Returns:
        The whole volume; never a part of it.

    Raises:
        FileFormatError: a file is gone, changed or unreadable.
        SeriesRefusedError: pixels that cannot be decoded, are too few, or copies of an instance that differ.
        JobCancelledError: ``cancelled`` said so.
    """
    rescales = [(_slope(instance), _intercept(instance)) for instance in plan.instances]
    array = warnings = None
    for dtype in _candidates(plan.instances, rescales):
        try:
            array, warnings = _Reader(plan, dtype, rescales, progress, cancelled).run()
            break
        except _TooNarrow:
            continue
    if array is None or warnings is None:
        # The last candidate is a float type, which takes any value.
        raise AssertionError("no type holds the values")
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
        self.done = 0
        self.dropped: list[str] = []

    def run(self) -> tuple[npt.NDArray[Any], list[str]]:
        """The array and warnings; any slice's failure fails the whole."""
        count = len(self.plan.instances)
        threads = min(count, MAX_THREADS, (os.cpu_count() or 1) + 1)
        with ThreadPoolExecutor(threads, thread_name_prefix="dicom-read") as pool:
            futures = [pool.submit(self._slice, k) for k in range(count)]
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
            self._raise_first(finished)
        warnings = []
        if self.dropped:
            warnings.append(f"{len(self.dropped)} slices have bits set outside those stored; they were dropped.")
        return self.array, warnings

    def _raise_first(self, finished: set[Future[None]]) -> None:
        errors = [error for future in finished if (error := future.exception()) is not None]
        if errors:
            self.stop.set()
            raise errors[0]

    def _slice(self, k: int) -> None:
        if self.stop.is_set():
            return
        if self.cancelled is not None and self.cancelled():
            self.stop.set()
            raise JobCancelledError(f"Reading {self.plan.name!r} was cancelled.")
        instance = self.plan.instances[k]
        target = self.array[k]
        stored = stored_dtype(instance)
        # Same type: the file's bytes go straight into the volume. Another: through a slice of its own.
        pixels = read_stored(instance, target if stored == self.dtype else None)
        self._compare_copies(instance, pixels)
        low, high, dropped = fix_bits(pixels, instance)
        self._rescale(pixels, target, self.rescales[k], (low, high))
        with self.lock:
            if dropped:
                self.dropped.append(instance.path)
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, len(self.plan.instances), f"Reading {self.plan.name}")

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
            self.stop.set()
            raise _TooNarrow
        if pixels.dtype != self.dtype:
            # A value that does not fit now may do so after the sum; in modular arithmetic the sum comes out right.
            target[...] = pixels.astype(self.dtype, copy=False)
        if factor != 1:
            np.multiply(target, self._wrapped(factor), out=target)
        if offset != 0:
            np.add(target, self._wrapped(offset), out=target)

    def _wrapped(self, value: int) -> Any:
        """A whole number as the array's type, modulo its width (see `_rescale`)."""
        return np.array(value & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64).astype(self.dtype)

    def _compare_copies(self, instance: Instance, pixels: npt.NDArray[Any]) -> None:
        for path in instance.other_paths:
            copy = read_stored(_copy_of(instance, path))
            if not np.array_equal(copy, pixels):
                raise SeriesRefusedError(
                    "Files of one SOP Instance UID hold different pixels.",
                    expected=f"equal copies of {instance.SOPInstanceUID}",
                    got=f"{instance.path!r} and {path!r}, which differ",
                    hint="Remove the wrong one, or load the series from a folder of its own.",
                    details={"reason": Reason.UID_CONFLICT.value, "files": [instance.path, path]},
                )


def _copy_of(instance: Instance, path: str) -> Instance:
    """The instance as another file holds it; that file's header is read afresh."""
    return msgspec.structs.replace(instance, path=path, size=-1, mtime_ns=-1, pixel_offset=0)
