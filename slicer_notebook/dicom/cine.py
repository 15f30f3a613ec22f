"""Frames of files that say no position of each: ultrasound, angiography, fluoroscopy, captures, nuclear medicine.

A frame gets its time (`Instance.TemporalPositionTimeOffset`, seconds) from the attribute that Frame Increment Pointer
names (PS3.3 C.7.6.6), and ultrasound its pixel spacing from the calibrated regions (C.8.5.5). Reconstructed slices of
nuclear medicine do have places: the first slice's position, and the spacing along its normal (C.8.4.8 and C.8.4.15).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.uid import UID

from slicer_notebook.dicom.geometry import axes_of
from slicer_notebook.dicom.nested import Item, Nested, Wanted, items_of, numbers_of, read_nested
from slicer_notebook.dicom.planes import NotSplitError, Planes
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance

__all__ = ["NUCLEAR", "RT_IMAGE", "ULTRASOUND", "frame_times", "planes_of_cine", "with_calibration"]


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


#: Nuclear medicine's vectors, which number each frame's slice, time slot, detector... (C.8.4.8).
_VECTORS: Final = (
    "EnergyWindowVector", "DetectorVector", "PhaseVector", "RotationVector", "RRIntervalVector", "TimeSlotVector",
    "SliceVector", "AngularViewVector", "TimeSliceVector",
)  # fmt: skip
_KEYWORDS: Final = (
    "FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate",
    *_VECTORS,
    "DetectorInformationSequence", "ImagePositionPatient", "ImageOrientationPatient", "SpacingBetweenSlices",
    "PhaseInformationSequence", "PhaseDelay", "ActualFrameDuration", "PauseBetweenFrames", "NumberOfFramesInPhase",
    "GatedInformationSequence", "DataInformationSequence",
    "SequenceOfUltrasoundRegions", "RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection",
    "PhysicalDeltaX", "PhysicalDeltaY", "RegionDataType", "ImagePlanePixelSpacing",
)  # fmt: skip
_TAGS: Final = {keyword: _tag(keyword) for keyword in _KEYWORDS}
_WANTED: Final = Wanted(frozenset(_TAGS.values()))

_UID: Final = "1.2.840.10008.5.1.4.1.1."
NUCLEAR: Final = _UID + "20"
#: Ultrasound, its retired classes included.
ULTRASOUND: Final = frozenset(_UID + tail for tail in ("3", "3.1", "6", "6.1"))
RT_IMAGE: Final = _UID + "481.1"
#: Classes of single slices; several frames of them are outside the standard.
_SINGLE_SLICES: Final = frozenset(_UID + tail for tail in ("2", "4", "128"))
#: What Frame Increment Pointer names where frames are moments.
_MOMENTS: Final = frozenset({"FrameTime", "FrameTimeVector"})
#: Two regions' deltas are the same within this part.
_SAME_DELTA: Final = 1e-3
_TWO_DIMENSIONAL, _CENTIMETRES = 1, 3


class _Header:
    """Looks up the elements of one header."""

    def __init__(self, nested: Nested) -> None:
        self.nested = nested

    def numbers(self, keyword: str, item: Item | None = None) -> list[float] | None:
        tag = _TAGS[keyword]
        raw = (self.nested.root if item is None else item).get(tag)
        vr = self.nested.other_vrs.get(tag, dictionary_VR(tag))
        return numbers_of(raw, vr, self.nested.order) if isinstance(raw, bytes) else None

    def number(self, keyword: str, item: Item | None = None) -> float | None:
        numbers = self.numbers(keyword, item)
        return numbers[0] if numbers else None

    def items(self, keyword: str, item: Item | None = None) -> list[Item]:
        return items_of(self.nested.root if item is None else item, _TAGS[keyword])

    def pointers(self) -> list[str]:
        """Keywords that Frame Increment Pointer names; "" for one without a keyword."""
        raw = self.nested.root.get(_TAGS["FrameIncrementPointer"])
        if not isinstance(raw, bytes):
            return []
        parts = struct.unpack(f"{self.nested.order}{len(raw) // 2}H", raw[: len(raw) // 2 * 2])
        return [keyword_for_tag(group << 16 | element) for group, element in zip(parts[::2], parts[1::2], strict=False)]


def planes_of_cine(instance: Instance) -> Planes:
    """The frames of a multi-frame file without functional groups.

    Raises:
        NotSplitError: frames that should be slices, and do not say where.
        UnreadableError: the file is gone.
    """
    header = _Header(read_nested(instance, _WANTED))
    if instance.SOPClassUID == NUCLEAR:
        return _nuclear(instance, header)
    warnings: list[str] = []
    changes = _calibration(instance, header, warnings)
    times = _times(header, instance.NumberOfFrames or 1, warnings)
    if instance.SOPClassUID not in _SINGLE_SLICES:
        # A position at the top level cannot be that of each frame.
        changes.update(ImagePositionPatient=None, ImageOrientationPatient=None)
    elif times is None or not _MOMENTS & set(header.pointers()):
        name = UID(instance.SOPClassUID).name
        raise NotSplitError(Reason.MULTIFRAME, f"{instance.NumberOfFrames} frames in a {name}, which has but one")
    # (Else it is one slice at several moments, as some older scanners wrote a beating heart.)
    whole = msgspec.structs.replace(instance, **changes)
    return Planes(
        (
            msgspec.structs.replace(
                whole,
                frame=number,
                TemporalPositionIndex=number + 1,
                TemporalPositionTimeOffset=None if times is None else times[number],
            )
            for number in range(instance.NumberOfFrames or 1)
        ),
        warnings=warnings,
    )


def with_calibration(instance: Instance) -> Planes:
    """A single-frame ultrasound or RT image as its own plane, with its pixel spacing, where it is calibrated.

    Raises:
        UnreadableError: the file is gone.
    """
    warnings: list[str] = []
    changes = _calibration(instance, _Header(read_nested(instance, _WANTED)), warnings)
    return Planes([msgspec.structs.replace(instance, **changes) if changes else instance], warnings=warnings)


def frame_times(instance: Instance, warnings: list[str]) -> list[float] | None:
    """Seconds of each frame since the first, by the attributes of a cine; None when they say none.

    Raises:
        UnreadableError: the file is gone.
    """
    return _times(_Header(read_nested(instance, _WANTED)), instance.NumberOfFrames or 1, warnings)


def _times(header: _Header, count: int, warnings: list[str]) -> list[float] | None:
    """Seconds since the first frame. Where a pointer names something else than time, frames are no moments."""
    pointers = header.pointers()
    vector = header.numbers("FrameTimeVector")
    if vector is not None and len(vector) == count and (not pointers or "FrameTimeVector" in pointers):
        # The first entry is 0; each further one is the interval to the frame before (C.7.6.5.1.2).
        times = np.cumsum(vector) - vector[0]
        if count > 1 and float(np.diff(times).min()) > 0:
            return [round(float(time) / 1000.0, 6) for time in times]
    interval = header.number("FrameTime")
    if interval is not None and interval > 0 and (not pointers or "FrameTime" in pointers):
        return [round(number * interval / 1000.0, 6) for number in range(count)]
    if pointers and not _MOMENTS & set(pointers):
        return None
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = header.number(keyword)
        if rate is not None and rate > 0:
            warnings.append(f"Times of frames follow from {keyword}, {rate:g} a second: how they are to be shown.")
            return [round(number / rate, 6) for number in range(count)]
    return None


def _calibration(instance: Instance, header: _Header, warnings: list[str]) -> dict[str, Any]:
    if instance.SOPClassUID in ULTRASOUND:
        return _region_spacing(instance, header, warnings)
    if instance.SOPClassUID == RT_IMAGE and instance.ImagerPixelSpacing is None:
        # At the plane of the image, as a detector's.
        spacing = header.numbers("ImagePlanePixelSpacing")
        if spacing is not None and len(spacing) == 2:
            return {"ImagerPixelSpacing": spacing}
    return {}


def _region_spacing(instance: Instance, header: _Header, warnings: list[str]) -> dict[str, Any]:
    """PixelSpacing by the regions that show a plane of the body in centimetres, if they all have the same deltas."""
    found: list[tuple[float, float]] = []
    for region in header.items("SequenceOfUltrasoundRegions"):
        if header.number("RegionSpatialFormat", region) != _TWO_DIMENSIONAL:
            continue
        units = header.number("PhysicalUnitsXDirection", region), header.number("PhysicalUnitsYDirection", region)
        deltas = header.number("PhysicalDeltaX", region), header.number("PhysicalDeltaY", region)
        if units != (_CENTIMETRES, _CENTIMETRES) or not deltas[0] or not deltas[1]:
            continue
        found.append((abs(deltas[1]) * 10.0, abs(deltas[0]) * 10.0))
    if not found:
        return {}
    given = [*found, tuple(instance.PixelSpacing)] if instance.PixelSpacing else found
    if not np.allclose(given, found[0], rtol=_SAME_DELTA, atol=0):
        warnings.append("Parts of the picture have different scales: no pixel spacing holds for all of it.")
        return {"PixelSpacing": None}
    warnings.append("Pixel spacing is that of the ultrasound's calibrated region; the rest of the picture has none.")
    return {"PixelSpacing": list(found[0])}


def _nuclear(instance: Instance, header: _Header) -> Planes:
    count = instance.NumberOfFrames or 1
    is_reconstructed = any("RECON" in part for part in instance.ImageType or [])
    warnings: list[str] = []
    vectors = _vectors(header, count, warnings, slices=is_reconstructed)
    fields: list[dict[str, Any]] = [{"frame": number} for number in range(count)]
    for number, values in enumerate(fields):
        values["ImagePositionPatient"] = values["ImageOrientationPatient"] = None
        if vectors:
            values["DimensionIndexValues"] = [vector[number] for vector in vectors.values()]
    if count == 1 and instance.ImagePositionPatient is not None and instance.ImageOrientationPatient is not None:
        return Planes([instance])
    if "SliceVector" in vectors and is_reconstructed:
        _place_slices(instance, header, vectors, fields)
    elif not vectors:
        times = _times(header, count, warnings)
        for number, values in enumerate(fields):
            values["TemporalPositionIndex"] = number + 1
            values["TemporalPositionTimeOffset"] = None if times is None else times[number]
    if "TimeSlotVector" in vectors:
        _gated(header, vectors["TimeSlotVector"], fields)
    if "TimeSliceVector" in vectors:
        _dynamic(header, vectors, fields)
    planes = (msgspec.structs.replace(instance, **values) for values in fields)
    return Planes(planes, warnings=warnings, dimension_names=vectors)


def _vectors(header: _Header, count: int, warnings: list[str], *, slices: bool) -> dict[str, list[int]]:
    """Keyword -> number of each frame; ``slices``: nothing can be done without the slices' numbers."""
    vectors: dict[str, list[int]] = {}
    for keyword in header.pointers():
        if keyword not in _VECTORS:
            continue
        numbers = header.numbers(keyword) or []
        if len(numbers) == count and all(number == int(number) for number in numbers):
            vectors[keyword] = [int(number) for number in numbers]
        elif keyword == "SliceVector" and slices:
            raise NotSplitError(
                Reason.MULTIFRAME, f"SliceVector numbers {len(numbers)} frames, where there are {count}"
            )
        else:
            warnings.append(f"{keyword} numbers {len(numbers)} of {count} frames; it was left aside.")
    return vectors


def _place_slices(
    instance: Instance, header: _Header, vectors: dict[str, list[int]], fields: Sequence[dict[str, Any]]
) -> None:
    detectors: Sequence[Item] = header.items("DetectorInformationSequence")
    numbers = vectors.get("DetectorVector", [1] * len(fields))
    spacing = instance.SpacingBetweenSlices or 0.0
    if not spacing and any(number != 1 for number in vectors["SliceVector"]):
        raise NotSplitError(Reason.NO_POSITION, "reconstructed slices without SpacingBetweenSlices")
    for number, values in enumerate(fields):
        detector = numbers[number]
        item = detectors[detector - 1] if 0 < detector <= len(detectors) else {}
        first = header.numbers("ImagePositionPatient", item) or instance.ImagePositionPatient
        cosines = header.numbers("ImageOrientationPatient", item) or instance.ImageOrientationPatient
        axes = axes_of(cosines or [])
        if first is None or len(first) != 3 or axes is None:
            raise NotSplitError(Reason.NO_POSITION, "reconstructed slices without the first one's position")
        # A positive spacing stacks behind the first slice, which is along row x column.
        offset = spacing * (vectors["SliceVector"][number] - 1)
        values["ImagePositionPatient"] = (np.array(first) + axes.normal * offset).tolist()
        values["ImageOrientationPatient"] = cosines


def _gated(header: _Header, slots: list[int], fields: Sequence[dict[str, Any]]) -> None:
    """Time slots of a heart beat: TriggerTime (ms) if the slots' duration is known."""
    duration = None
    for gated in header.items("GatedInformationSequence")[:1]:
        for data in header.items("DataInformationSequence", gated)[:1]:
            duration = header.number("FrameTime", data)
    for slot, values in zip(slots, fields, strict=True):
        values["TemporalPositionIndex"] = slot
        if duration:
            values["TriggerTime"] = (slot - 1) * duration


def _dynamic(header: _Header, vectors: dict[str, list[int]], fields: Sequence[dict[str, Any]]) -> None:
    """Time slices within phases: seconds since the first, if the phases say their frames' durations."""
    slices = vectors["TimeSliceVector"]
    phases = vectors.get("PhaseVector", [1] * len(slices))
    order = {key: rank for rank, key in enumerate(sorted(set(zip(phases, slices, strict=True))))}
    begin = _phase_times(header.items("PhaseInformationSequence"), header.number)
    first = min(order)
    for phase, time_slice, values in zip(phases, slices, fields, strict=True):
        values["TemporalPositionIndex"] = order[phase, time_slice] + 1
        if begin is not None:
            when, start = begin(phase, time_slice), begin(*first)
            values["TemporalPositionTimeOffset"] = None if when is None or start is None else round(when - start, 6)


Number = Callable[[str, Item], float | None]


def _phase_times(items: Sequence[Item], number: Number) -> Callable[[int, int], float | None] | None:
    """(phase, time slice), from 1 -> seconds when it begins; None where a duration is missing (C.8.4.14)."""
    starts: list[tuple[float, float]] = []
    now = 0.0
    for item in items:
        duration, frames = number("ActualFrameDuration", item), number("NumberOfFramesInPhase", item)
        if not duration or not frames:
            return None
        step = duration + (number("PauseBetweenFrames", item) or 0.0)
        now += number("PhaseDelay", item) or 0.0
        starts.append((now, step))
        now += frames * step

    def begin(phase: int, time_slice: int) -> float | None:
        if not 0 < phase <= len(starts):
            return None
        start, step = starts[phase - 1]
        return (start + (time_slice - 1) * step) / 1000.0

    return begin if starts else None
