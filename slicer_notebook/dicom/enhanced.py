"""Frames of enhanced multi-frame objects: what their functional groups say of each (PS3.3 C.7.6.16).

A macro stands in the shared groups, for all frames, or in each frame's own; an attribute in the frame's own wins. What
the groups do not say may stand at the top level of the data set, as some makers have it; that comes last, and never
gives the position of one of several frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from slicer_notebook.dicom.cine import frame_times
from slicer_notebook.dicom.functional_groups import WANTED, Groups, dimension_names
from slicer_notebook.dicom.nested import items_of, read_nested
from slicer_notebook.dicom.planes import NotSplitError, Planes
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.tags import PER_FRAME_FUNCTIONAL_GROUPS, SHARED_FUNCTIONAL_GROUPS
from slicer_notebook.dicom.times import seconds_of_datetime

__all__ = ["VOLUMETRIC", "planes_of_enhanced"]

_UID: Final = "1.2.840.10008.5.1.4.1.1."
#: Enhanced and legacy converted CT, MR, MR colour, PET, and X-ray 3D: each frame of them is a slice somewhere.
VOLUMETRIC: Final = frozenset(
    _UID + tail for tail in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130", "13.1.1", "13.1.2", "13.1.3", "6.2")
)


def planes_of_enhanced(instance: Instance) -> Planes:
    """The frames of an object with functional groups.

    Raises:
        NotSplitError: macros are missing, or there are not as many items as frames.
        UnreadableError: the file is gone.
    """
    nested = read_nested(instance, WANTED)
    count = instance.NumberOfFrames or 1
    own = items_of(nested.root, PER_FRAME_FUNCTIONAL_GROUPS)
    if len(own) != count and not (not own and (count == 1 or instance.SOPClassUID not in VOLUMETRIC)):
        raise NotSplitError(
            Reason.ENHANCED_MULTIFRAME, f"functional groups of {len(own)} frames, where there are {count} frames"
        )
    groups = Groups(nested)
    shared: dict[str, Any] = {}
    for item in items_of(nested.root, SHARED_FUNCTIONAL_GROUPS)[:1]:
        shared = groups.fields(item)
    fields = [{**shared, **groups.fields(item)} for item in own] or [dict(shared) for _ in range(count)]
    warnings = _settle(fields)
    if count > 1 and all(values["ImagePositionPatient"] is None for values in fields):
        _settle_cine(instance, fields, warnings)
    planes = Planes(
        (
            msgspec.structs.replace(instance, **{"frame": number, **_known(values)})
            for number, values in enumerate(fields)
        ),
        warnings=warnings,
        dimension_names=dimension_names(nested),
    )
    _check(planes, fields)
    return planes


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if field in _INSTANCE_FIELDS}


_INSTANCE_FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(Instance))


def _settle(fields: list[dict[str, Any]]) -> list[str]:
    """Turn what the macros say into fields of `Instance`, in place; returns warnings."""
    warnings: list[str] = []
    several = len(fields) > 1
    for values in fields:
        moment = values.get("FrameAcquisitionDateTime") or values.get("FrameReferenceDateTime")
        if moment is not None:
            values["AcquisitionDateTime"] = moment
        if "TriggerTime" not in values and "ActualCardiacTriggerDelayTime" in values:
            values["TriggerTime"] = values["ActualCardiacTriggerDelayTime"]
        if several and "ImagePositionPatient" not in values:
            values["ImagePositionPatient"] = None
    _settle_ultrasound(fields, warnings)
    if any("ObjectPixelSpacingInCenterOfBeam" in values and "PixelSpacing" not in values for values in fields):
        for values in fields:
            if "PixelSpacing" not in values and "ObjectPixelSpacingInCenterOfBeam" in values:
                values["PixelSpacing"] = values["ObjectPixelSpacingInCenterOfBeam"]
        warnings.append("Pixel spacing is that of an object at the centre of the beam; elsewhere it is another.")
    _settle_diffusion(fields)
    _settle_offsets(fields)
    return warnings


def _settle_diffusion(fields: list[dict[str, Any]]) -> None:
    """A maker's private b-values, where no frame has the macro; all 0 mean that it was no diffusion scan."""
    private = [values.get("PrivateDiffusion", {}) for values in fields]
    if any("DiffusionBValue" in values for values in fields) or not any(p.get("DiffusionBValue") for p in private):
        return
    for values, facts in zip(fields, private, strict=True):
        values.update(facts)


def _settle_ultrasound(fields: list[dict[str, Any]], warnings: list[str]) -> None:
    placed = False
    for values in fields:
        position, cosines = values.get("ImagePositionVolume"), values.get("ImageOrientationVolume")
        if values.get("ImagePositionPatient") is None and position is not None and cosines is not None:
            values["ImagePositionPatient"], values["ImageOrientationPatient"] = position, cosines
            placed = True
        if "DataType" in values:
            # Tissue and flow of one volume lie at the same places: nothing else tells them apart.
            values["ImageType"] = [*(values.get("ImageType") or []), values["DataType"]]
    if placed:
        warnings.append(
            "Positions are in the ultrasound volume's own coordinates: where it lies in the patient is not known."
        )


Clock = Callable[[dict[str, Any]], float | None]


def _clock(field: str) -> Clock:
    return lambda values: seconds_of_datetime(values.get(field))


#: seconds, and whether they count from the first temporal position
_CLOCKS: Final[tuple[tuple[Clock, bool], ...]] = (
    (_clock("FrameReferenceDateTime"), False),
    (_clock("FrameAcquisitionDateTime"), False),
    (lambda values: values.get("DynamicScanBegin"), True),
)


def _settle_offsets(fields: list[dict[str, Any]]) -> None:
    """TemporalPositionTimeOffset, in seconds, from the frames' times where the file does not say it itself."""
    indices = [values.get("TemporalPositionIndex") for values in fields]
    if any("TemporalPositionTimeOffset" in values for values in fields) or None in indices or len(set(indices)) < 2:
        return
    for clock, from_first in _CLOCKS:
        times = [clock(values) for values in fields]
        if None in times:
            continue
        begin: dict[Any, float] = {}
        for index, time in zip(indices, times, strict=True):
            if time is not None:
                begin[index] = min(time, begin.get(index, time))
        ordered = [begin[index] for index in sorted(begin)]
        # A later part of a concatenation does not hold the first temporal position.
        if np.all(np.diff(ordered) > 0) and (from_first or min(begin) == 1):
            start = 0.0 if from_first else ordered[0]
            for index, values in zip(indices, fields, strict=True):
                values["TemporalPositionTimeOffset"] = round(begin[index] - start, 6)
            return


def _settle_cine(instance: Instance, fields: list[dict[str, Any]], warnings: list[str]) -> None:
    """Times of frames that have no place: by their own date and time, or as the frames of a cine."""
    moments = [seconds_of_datetime(values.get("AcquisitionDateTime")) for values in fields]
    known = [moment for moment in moments if moment is not None]
    times: list[float] | None = None
    if len(known) == len(fields) and np.all(np.diff(known) > 0):
        times = [round(moment - known[0], 6) for moment in known]
    elif any(values.get("TemporalPositionTimeOffset") is None for values in fields):
        times = frame_times(instance, warnings)
    for number, values in enumerate(fields):
        values.setdefault("TemporalPositionIndex", number + 1)
        if times is not None:
            values["TemporalPositionTimeOffset"] = times[number]


def _check(planes: Planes, fields: list[dict[str, Any]]) -> None:
    """Refuse volumes whose frames have no geometry; other kinds may be cines."""
    head = planes[0]
    if any("SlidePosition" in values for values in fields):
        raise NotSplitError(Reason.SLIDE, "its frames lie on a slide, not in a patient")
    flat = sum(plane.RescaleSlope == 0.0 for plane in planes)
    if flat:
        raise NotSplitError(Reason.RESCALE, f"{flat} of {len(planes)} frames have a RescaleSlope of 0")
    if head.SOPClassUID not in VOLUMETRIC:
        return
    for needed, macro, reason in (
        ("ImagePositionPatient", "Plane Position", Reason.NO_POSITION),
        ("ImageOrientationPatient", "Plane Orientation", Reason.NO_POSITION),
        ("PixelSpacing", "Pixel Measures", Reason.NO_SPACING),
    ):
        lacking = sum(getattr(plane, needed) is None for plane in planes)
        if lacking:
            raise NotSplitError(reason, f"{lacking} of {len(planes)} frames have no {needed} ({macro} Macro)")
