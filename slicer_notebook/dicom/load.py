"""From a plan to voxels: planes are read on threads, straight into the volume's memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.pixels import stored_dtype
from slicer_notebook.dicom.plans import Mapping, Quantity, SequenceAxis, SequencePlan, VolumePlan
from slicer_notebook.dicom.reader import Array, PlaneReader, Request, Rescale, TooNarrowError
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.resample import resampled
from slicer_notebook.dicom.stacks import is_colour
from slicer_notebook.errors import ArgumentError, DicomError

__all__ = ["SequenceData", "VolumeData", "read", "read_sequence"]

Progress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]

#: Threads that read slices. More than the cores by one or two keeps the disk busy while others convert.
MAX_THREADS: Final = 8


class VolumeData(msgspec.Struct, kw_only=True):
    """A volume that was read: voxels, where they are, and what they mean."""

    #: [k, j, i] = [slice, row, column], or [k, j, i, 3] red, green, blue; integers where the values are whole and fit,
    #: else float32 or float64
    array: npt.NDArray[Any]
    #: 4x4 float64, IJK to RAS, mm
    affine: npt.NDArray[np.float64]
    name: str
    #: (window, level) in the array's units, from the header of the middle slice; None when it says none
    window_level: tuple[float, float] | None
    #: "HU", "BQML", ... or the UCUM code of the quantity asked for; "" when the header does not say
    units: str
    modality: str
    #: DICOM keyword -> UID: StudyInstanceUID, SeriesInstanceUID, FrameOfReferenceUID, SOPClassUID
    uids: dict[str, str]
    #: of the slices that were measured, in k order
    sop_instance_uids: list[str]
    #: low values are to be shown bright (MONOCHROME1, or a PresentationLUTShape INVERSE); the values are as stored
    inverted: bool = False
    #: the quantity that was asked for; None: the values are those of the header's rescale
    quantity: str | None = None
    warnings: list[str] = []


class SequenceData(msgspec.Struct, kw_only=True):
    """Volumes of a sequence that were read."""

    #: [t, k, j, i] or [t, k, j, i, 3]
    array: npt.NDArray[Any]
    axis: SequenceAxis
    name: str
    #: one for each t; their arrays are views of ``array``
    volumes: list[VolumeData]
    warnings: list[str] = []


def read(
    plan: VolumePlan,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    *,
    quantity: str | None = None,
) -> VolumeData:
    """Read a planned volume or image.

    Args:
        plan: of `slicer_notebook.dicom.plan`.
        progress: called with (slices done, slices in all, text) on the calling thread.
        cancelled: polled before every slice, on the reading threads.
        quantity: the name of one of ``plan.quantities``, such as "SUVbw": values are turned into it (float32).

    Returns:
        The whole volume; never a part of it.

    Raises:
        FileFormatError: a file is gone, changed or unreadable.
        SeriesRefusedError: pixels that cannot be decoded, are too few, or copies of an instance that differ.
        ArgumentError: a quantity that is not offered.
        JobCancelledError: ``cancelled`` said so.
    """
    arrays, warnings = _read_volumes([plan], plan.name, quantity, progress, cancelled)
    return _data(plan, arrays[0], quantity, warnings)


def read_sequence(
    plan: SequencePlan,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    *,
    quantity: str | None = None,
) -> SequenceData:
    """Read a planned sequence. Arguments and errors as for `read`."""
    array, warnings = _read_volumes(plan.volumes, plan.name, quantity, progress, cancelled)
    volumes = [_data(each, array[t], quantity, []) for t, each in enumerate(plan.volumes)]
    return SequenceData(
        array=array, axis=plan.axis, name=plan.name, volumes=volumes, warnings=[*plan.warnings, *warnings]
    )


def _data(plan: VolumePlan, array: Array, quantity: str | None, warnings: list[str]) -> VolumeData:
    middle = plan.instances[len(plan.instances) // 2]
    head = plan.instances[0]
    wanted = _quantity(plan, quantity)
    return VolumeData(
        array=array,
        affine=np.array(plan.affine, dtype=np.float64),
        name=plan.name if wanted is None else f"{plan.name} ({wanted.name})",
        window_level=_window_level(plan, wanted),
        units=_units(plan.instances) if wanted is None else wanted.units,
        modality=head.Modality or "",
        uids={
            keyword: value
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID")
            if (value := getattr(head, keyword))
        },
        sop_instance_uids=[instance.SOPInstanceUID for instance in plan.instances],
        inverted=middle.PhotometricInterpretation == "MONOCHROME1" or middle.PresentationLUTShape == "INVERSE",
        quantity=quantity,
        warnings=[*plan.warnings, *warnings],
    )


def _quantity(plan: VolumePlan, name: str | None) -> Quantity | None:
    if name is None:
        return None
    for offered in plan.quantities:
        if offered.name == name:
            return offered
    names = [offered.name for offered in plan.quantities]
    raise ArgumentError(
        f"{plan.name!r} cannot be turned into {name!r}.",
        expected=f"one of {', '.join(names)}" if names else "no quantity: its header offers none",
        got=name,
        hint=" ".join(plan.not_offered) or None,
        details={"quantities": names},
    )


def _read_volumes(
    plans: list[VolumePlan],
    name: str,
    quantity: str | None,
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> tuple[Array, list[str]]:
    """All volumes in one array, [t, k, j, i(, 3)], and warnings."""
    planes = [plane for plan in plans for plane in plan.instances]
    rescales = [rescale for plan in plans for rescale in _rescales(plan, quantity)]
    slices = len(plans[0].instances)
    doubles = [(t * slices + k, double) for t, plan in enumerate(plans) for k, double in plan.doubles]
    threads = max(1, min(MAX_THREADS, (os.cpu_count() or 1) + 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="dicom-read") as pool:
        try:
            mappings = [each for plan in plans for each in _mappings(plan, quantity)]
            request = Request(planes, rescales, doubles, name, mappings, progress, cancelled)
            measured, warnings = _read_narrowest(request, pool)
            array = measured.reshape(len(plans), slices, *measured.shape[1:])
            if plans[0].resampling is not None:
                array = np.stack(
                    [
                        resampled(array[t], plan.resampling, plan.shape, pool)
                        for t, plan in enumerate(plans)
                        if plan.resampling is not None
                    ]
                )
        except MemoryError as exc:
            size = len(plans) * math.prod(plans[0].shape) * 4 / 1e9
            raise DicomError(
                f"There is not enough memory for {name!r}.",
                expected=f"about {size:.1f} GB free",
                hint="Close other volumes, or use a machine with more memory.",
            ) from exc
    return array, warnings


def _read_narrowest(request: Request, pool: ThreadPoolExecutor) -> tuple[Array, list[str]]:
    """The planes in the first type that holds all values, and warnings."""
    *narrow, widest = _candidates(request)
    for dtype in narrow:
        try:
            return PlaneReader(request, dtype).run(pool)
        except TooNarrowError:
            continue
    return PlaneReader(request, widest).run(pool)


def _rescales(plan: VolumePlan, quantity: str | None) -> list[Rescale]:
    """(slope, intercept) from stored values to those asked for, of each plane."""
    wanted = _quantity(plan, quantity)
    own = [(_slope(instance), _intercept(instance)) for instance in plan.instances]
    if wanted is None or wanted.mappings:
        return own
    return [
        (slope * factor, intercept * factor + offset)
        for (slope, intercept), (factor, offset) in zip(own, wanted.factors, strict=True)
    ]


def _mappings(plan: VolumePlan, quantity: str | None) -> list[tuple[Mapping, ...]]:
    """Of each plane: what its stored values become; empty where slope and intercept say it."""
    wanted = _quantity(plan, quantity)
    return wanted.mappings if wanted is not None else []


def _slope(instance: Instance) -> float:
    return 1.0 if instance.RescaleSlope is None else instance.RescaleSlope


def _intercept(instance: Instance) -> float:
    return 0.0 if instance.RescaleIntercept is None else instance.RescaleIntercept


def _candidates(request: Request) -> list[np.dtype[Any]]:
    """Types to try, narrowest first. Whole slopes and intercepts keep integers; one that is not makes floats."""
    planes = request.planes
    kinds = {stored_dtype(plane) for plane in planes}
    widest = max(kind.itemsize for kind in kinds)
    if is_colour(planes[0]):
        return [max(kinds, key=lambda kind: kind.itemsize)]
    if request.mappings:
        return [np.dtype(np.float32 if widest <= 2 else np.float64)]
    if any(plane.has_modality_lut for plane in planes):
        # PS3.3 C.11.1.1.1: tables hold up to 16 bits, unsigned.
        return [np.dtype(np.uint16 if all(plane.has_modality_lut for plane in planes) else np.float64)]
    if any(kind.kind == "f" for kind in kinds):
        return [np.dtype(np.float32 if widest <= 4 else np.float64)]
    return _of_integers(kinds, request.rescales)


def _of_integers(kinds: set[np.dtype[Any]], rescales: list[Rescale]) -> list[np.dtype[Any]]:
    widest = max(kind.itemsize for kind in kinds)
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept in rescales):
        return [np.dtype(np.float32 if widest <= 2 else np.float64)]
    if len(kinds) == 1 and all(rescale == (1.0, 0.0) for rescale in rescales):
        return [*kinds]
    candidates = [np.dtype(np.int16), np.dtype(np.int32)] if widest <= 2 else [np.dtype(np.int32)]
    return [*candidates, np.dtype(np.float64)]


def _window_level(plan: VolumePlan, quantity: Quantity | None) -> tuple[float, float] | None:
    """The first window of the middle slice, as (window, level); None when there is none that makes sense."""
    middle = len(plan.instances) // 2
    center, width = plan.instances[middle].WindowCenter, plan.instances[middle].WindowWidth
    if not center or not width or width[0] <= 0 or (quantity is not None and quantity.mappings):
        return None
    factor, offset = (1.0, 0.0) if quantity is None else quantity.factors[middle]
    return abs(float(width[0]) * factor), float(center[0]) * factor + offset


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
