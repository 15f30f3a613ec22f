"""Frames of enhanced multi-frame objects: what their functional groups say of each (PS3.3 C.7.6.16).

A macro stands in the shared groups, for all frames, or in each frame's own; an attribute in the frame's own wins. What
the groups do not say may stand at the top level of the data set, as some makers have it; that comes last, and never
gives the position of one of several frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from slicer_notebook.dicom.cine import frame_times
from slicer_notebook.dicom.nested import Item, Nested, Wanted, items_of, numbers_of, private_value, read_nested
from slicer_notebook.dicom.planes import NotSplitError, Planes
from slicer_notebook.dicom.private import private_facts
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.tags import (
    ATTRIBUTES,
    PER_FRAME_FUNCTIONAL_GROUPS,
    PRIVATE_ELEMENTS,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
)
from slicer_notebook.dicom.text import decode_text, encodings_of
from slicer_notebook.dicom.times import seconds_of_datetime
from slicer_notebook.dicom.values import fields_of

__all__ = ["VOLUMETRIC", "planes_of_enhanced"]


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


#: functional group macro -> {attribute: field of `Instance`}. Frames' times and diffusion are not as simple; see below.
_MACROS: Final[dict[str, dict[str, str]]] = {
    # C.7.6.16.2.1 to 2.10
    "PixelMeasuresSequence": {
        "PixelSpacing": "PixelSpacing",
        "SliceThickness": "SliceThickness",
        "SpacingBetweenSlices": "SpacingBetweenSlices",
    },
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "FrameContentSequence": {
        "FrameAcquisitionNumber": "AcquisitionNumber",
        "FrameReferenceDateTime": "FrameReferenceDateTime",
        "FrameAcquisitionDateTime": "FrameAcquisitionDateTime",
        "StackID": "StackID",
        "InStackPositionNumber": "InStackPositionNumber",
        "TemporalPositionIndex": "TemporalPositionIndex",
        "DimensionIndexValues": "DimensionIndexValues",
        "FrameComments": "ImageComments",
    },
    "FrameVOILUTSequence": {
        "WindowCenter": "WindowCenter",
        "WindowWidth": "WindowWidth",
        "VOILUTFunction": "VOILUTFunction",
    },
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
        "RescaleType": "RescaleType",
    },
    "CardiacSynchronizationSequence": {
        "NominalPercentageOfCardiacPhase": "NominalPercentageOfCardiacPhase",
        "ActualCardiacTriggerDelayTime": "ActualCardiacTriggerDelayTime",
        "NominalCardiacTriggerDelayTime": "TriggerTime",
    },
    "TemporalPositionSequence": {"TemporalPositionTimeOffset": "TemporalPositionTimeOffset"},
    # MR: C.8.13.5
    "MRImageFrameTypeSequence": {"FrameType": "ImageType", "ComplexImageComponent": "ComplexImageComponent"},
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRTimingAndRelatedParametersSequence": {"RepetitionTime": "RepetitionTime", "FlipAngle": "FlipAngle"},
    "MRModifierSequence": {"InversionTimes": "InversionTime", "InversionTime": "InversionTime"},
    # CT: C.8.15.3
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP"},
    "CTAcquisitionDetailsSequence": {"GantryDetectorTilt": "GantryDetectorTilt"},
    # PET: C.8.22
    "PETFrameTypeSequence": {"FrameType": "ImageType"},
    # X-ray 3D, breast tomosynthesis: C.8.21.5; XA and XRF: C.8.19.6
    "XRay3DFrameTypeSequence": {"FrameType": "ImageType"},
    "FramePixelDataPropertiesSequence": {"FrameType": "ImageType", "ImagerPixelSpacing": "ImagerPixelSpacing"},
    "ProjectionPixelCalibrationSequence": {"ObjectPixelSpacingInCenterOfBeam": "ObjectPixelSpacingInCenterOfBeam"},
    # Ultrasound volumes: C.8.24.6
    "PlanePositionVolumeSequence": {"ImagePositionVolume": "ImagePositionVolume"},
    "PlaneOrientationVolumeSequence": {"ImageOrientationVolume": "ImageOrientationVolume"},
    "USImageDescriptionSequence": {"FrameType": "ImageType"},
    "ImageDataTypeSequence": {"DataType": "DataType"},
    # Recognised only
    "PlanePositionSlideSequence": {"XOffsetInSlideCoordinateSystem": "SlidePosition"},
}
_DIFFUSION: Final = _tag("MRDiffusionSequence")
_DIRECTION_SEQUENCE: Final = _tag("DiffusionGradientDirectionSequence")
_DIFFUSION_TAGS: Final = {
    keyword: _tag(keyword) for keyword in ("DiffusionBValue", "DiffusionDirectionality", "DiffusionGradientOrientation")
}
_CONVERTED: Final = (
    _tag("UnassignedSharedConvertedAttributesSequence"),
    _tag("UnassignedPerFrameConvertedAttributesSequence"),
)
_B_MATRIX_SEQUENCE: Final = _tag("DiffusionBMatrixSequence")
_B_MATRIX: Final = tuple(_tag(f"DiffusionBValue{axes}") for axes in ("XX", "XY", "XZ", "YY", "YZ", "ZZ"))
#: A b-matrix is of one direction if its second eigenvalue is at most this part of the first.
_ONE_DIRECTION: Final = 0.1
_REAL_WORLD_VALUES: Final = _tag("RealWorldValueMappingSequence")
_DIMENSIONS: Final = _tag("DimensionIndexSequence")
_DIMENSION_POINTER: Final = _tag("DimensionIndexPointer")
_DIMENSION_LABEL: Final = _tag("DimensionDescriptionLabel")
#: Philips keeps a classic instance's attributes of each frame in (2005,xx0F), with the begin of the dynamic scan in
#: seconds, (2005,xxA0), which no standard attribute of its files tells.
_PHILIPS_FRAME: Final = (0x2005, "Philips MR Imaging DD 005", 0x0F)
_PHILIPS_BEGIN: Final = (0x2005, "Philips MR Imaging DD 001", 0xA0)

#: What a converted classic image may say of one frame (C.7.6.16.2.25.1); the rest is the whole object's.
_FRAME_FIELDS: Final = frozenset(
    {
        "InstanceNumber", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
        "ContentDate", "ContentTime", "ImageComments", "SliceLocation", "SpacingBetweenSlices", "SliceThickness",
        "GantryDetectorTilt", "Units", "EchoNumbers", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle",
        "TriggerTime", "FrameReferenceTime", "NominalPercentageOfCardiacPhase", "TemporalPositionIdentifier",
        "NumberOfTemporalPositions", "ImagesInAcquisition", "ConvolutionKernel", "DiffusionBValue",
        "DiffusionGradientOrientation", "DiffusionDirectionality", "ImageType",
    }
)  # fmt: skip

_TEXT_LISTS: Final = frozenset({"ImageType", "ConvolutionKernel"})
_NUMBER_LISTS: Final = frozenset(
    {
        "PixelSpacing", "ImagerPixelSpacing", "ObjectPixelSpacingInCenterOfBeam", "ImagePositionPatient",
        "ImageOrientationPatient", "ImagePositionVolume", "ImageOrientationVolume", "WindowCenter", "WindowWidth",
    }
)  # fmt: skip
_WHOLE_LISTS: Final = frozenset({"DimensionIndexValues"})
_WHOLE: Final = frozenset({"AcquisitionNumber", "InStackPositionNumber", "TemporalPositionIndex"})
_TEXTS: Final = frozenset(
    {
        "FrameReferenceDateTime", "FrameAcquisitionDateTime", "StackID", "ImageComments", "VOILUTFunction",
        "RescaleType", "ComplexImageComponent", "DataType",
    }
)  # fmt: skip


class _Rule(NamedTuple):
    field: str
    vr: str


_RULES: Final = {
    _tag(macro): {_tag(keyword): _Rule(field, dictionary_VR(_tag(keyword))) for keyword, field in attributes.items()}
    for macro, attributes in _MACROS.items()
}
_WANTED: Final = Wanted(
    frozenset(_RULES)
    | {tag for rules in _RULES.values() for tag in rules}
    | set(ATTRIBUTES)
    | {SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS, SPECIFIC_CHARACTER_SET}
    | {
        _REAL_WORLD_VALUES,
        _B_MATRIX_SEQUENCE,
        *_B_MATRIX,
        _DIFFUSION,
        _DIRECTION_SEQUENCE,
        *_DIFFUSION_TAGS.values(),
        *_CONVERTED,
    }
    | {_DIMENSIONS, _DIMENSION_POINTER, _DIMENSION_LABEL},
    {**PRIVATE_ELEMENTS, 0x2005: frozenset({_PHILIPS_FRAME[2], _PHILIPS_BEGIN[2]})},
)

_UID: Final = "1.2.840.10008.5.1.4.1.1."
#: Enhanced and legacy converted CT, MR, MR colour, PET, and X-ray 3D: each frame of them is a slice somewhere.
VOLUMETRIC: Final = frozenset(
    _UID + tail for tail in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130", "13.1.1", "13.1.2", "13.1.3", "6.2")
)


class _Groups:
    """Decodes the functional groups of one object."""

    def __init__(self, nested: Nested) -> None:
        self.order = nested.order
        self.other_vrs = nested.other_vrs
        charset = nested.root.get(SPECIFIC_CHARACTER_SET)
        self.charset = charset if isinstance(charset, bytes) else None
        self.encodings = encodings_of(self.charset)
        #: Values of thousands of frames are mostly the same ones.
        self.decoded: dict[tuple[str, bytes], Any] = {}

    def value(self, tag: int, rule: _Rule, raw: bytes) -> Any:
        key = rule.field, raw
        try:
            return self.decoded[key]
        except KeyError:
            found = self.decoded[key] = self._decode(tag, rule, raw)
            return found

    def _decode(self, tag: int, rule: _Rule, raw: bytes) -> Any:
        if rule.field in _TEXTS:
            return decode_text(raw, self.encodings, multiple=False).strip("\0 ") or None
        if rule.field in _TEXT_LISTS:
            parts = [part.strip("\0 ") for part in decode_text(raw, self.encodings, multiple=True).split("\\")]
            return parts if any(parts) else None
        numbers = numbers_of(raw, self.other_vrs.get(tag, rule.vr), self.order)
        if numbers is None or rule.field in _NUMBER_LISTS:
            return numbers
        if rule.field in _WHOLE or rule.field in _WHOLE_LISTS:
            if any(number != int(number) for number in numbers):
                return None
            whole = [int(number) for number in numbers]
            return whole if rule.field in _WHOLE_LISTS else whole[0]
        return numbers[0]

    def fields(self, groups: Item) -> dict[str, Any]:
        """Field -> value for what one item of the functional groups says."""
        found: dict[str, Any] = {}
        for macro, items in groups.items():
            if not isinstance(items, list) or not items:
                continue
            rules = _RULES.get(macro)
            if rules is not None:
                for tag, raw in items[0].items():
                    rule = rules.get(tag)
                    if rule is not None and isinstance(raw, bytes) and raw:
                        value = self.value(tag, rule, raw)
                        if value is not None:
                            found[rule.field] = value
            elif macro == _DIFFUSION:
                found.update(self._diffusion(items[0]))
            elif macro == _REAL_WORLD_VALUES:
                found["has_real_world_values"] = True
            elif macro in _CONVERTED:
                # A classic image's left-over attributes; macros say it better.
                found = {**self._converted(items[0]), **found}
        begin = self._philips_begin(groups)
        if begin is not None:
            found["DynamicScanBegin"] = begin
        return found

    def _diffusion(self, item: Item) -> dict[str, Any]:
        found: dict[str, Any] = {
            "DiffusionBValue": self._number(item, "DiffusionBValue"),
            "DiffusionDirectionality": None,
            "DiffusionGradientOrientation": None,
        }
        directionality = item.get(_DIFFUSION_TAGS["DiffusionDirectionality"])
        if isinstance(directionality, bytes):
            found["DiffusionDirectionality"] = directionality.decode("ascii", "replace").strip("\0 ") or None
        if found["DiffusionDirectionality"] in ("ISOTROPIC", "NONE"):
            return found  # a trace, or no weighting: some makers write a direction of zeros
        for inner in items_of(item, _DIRECTION_SEQUENCE)[:1]:
            raw = inner.get(_DIFFUSION_TAGS["DiffusionGradientOrientation"])
            if isinstance(raw, bytes):
                direction = numbers_of(raw, "FD", self.order)
                if direction is not None and len(direction) == 3 and any(direction):
                    found["DiffusionGradientOrientation"] = direction
        if found["DiffusionGradientOrientation"] is None:
            for inner in items_of(item, _B_MATRIX_SEQUENCE)[:1]:
                found["DiffusionGradientOrientation"] = self._main_direction(inner)
        return found

    def _main_direction(self, item: Item) -> list[float] | None:
        """The direction of a b-matrix that has one (C.8.13.5.9); its sign is arbitrary, the largest part positive."""
        raw = [item.get(tag) for tag in _B_MATRIX]
        parts = [numbers_of(part, "FD", self.order) if isinstance(part, bytes) else None for part in raw]
        values = [part[0] for part in parts if part is not None]
        if len(values) != len(_B_MATRIX):
            return None
        xx, xy, xz, yy, yz, zz = values
        sizes, vectors = np.linalg.eigh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        if sizes[2] <= 0 or sizes[1] > _ONE_DIRECTION * sizes[2]:
            return None
        main = vectors[:, 2]
        direction: list[float] = (main * np.sign(main[np.argmax(np.abs(main))])).tolist()
        return direction

    def _number(self, item: Item, keyword: str) -> float | None:
        raw = item.get(_DIFFUSION_TAGS[keyword])
        numbers = numbers_of(raw, "FD", self.order) if isinstance(raw, bytes) else None
        return numbers[0] if numbers else None

    def _converted(self, item: Item) -> dict[str, Any]:
        elements = {tag: raw for tag, raw in item.items() if isinstance(raw, bytes)}
        if self.charset is not None:
            elements[SPECIFIC_CHARACTER_SET] = self.charset
        values = fields_of(elements, self.other_vrs, self.order)
        values.update(private_facts(elements, values, self.order))
        return {field: value for field, value in values.items() if field in _FRAME_FIELDS}

    def _philips_begin(self, groups: Item) -> float | None:
        inner = private_value(groups, *_PHILIPS_FRAME)
        raw = private_value(inner[0], *_PHILIPS_BEGIN) if isinstance(inner, list) and inner else None
        numbers = numbers_of(raw, "FL", self.order) if isinstance(raw, bytes) else None
        return numbers[0] if numbers else None


def planes_of_enhanced(instance: Instance) -> Planes:
    """The frames of an object with functional groups.

    Raises:
        NotSplitError: macros are missing, or there are not as many items as frames.
        UnreadableError: the file is gone.
    """
    nested = read_nested(instance, _WANTED)
    count = instance.NumberOfFrames or 1
    own = items_of(nested.root, PER_FRAME_FUNCTIONAL_GROUPS)
    if len(own) != count and not (not own and (count == 1 or instance.SOPClassUID not in VOLUMETRIC)):
        raise NotSplitError(
            Reason.ENHANCED_MULTIFRAME, f"functional groups of {len(own)} frames, where there are {count} frames"
        )
    groups = _Groups(nested)
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
        dimension_names=_dimension_names(nested),
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
    _settle_offsets(fields)
    return warnings


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


def _dimension_names(nested: Nested) -> list[str]:
    names = []
    for item in items_of(nested.root, _DIMENSIONS):
        raw, label = item.get(_DIMENSION_POINTER), item.get(_DIMENSION_LABEL)
        tag = 0
        if isinstance(raw, bytes) and len(raw) == 4:
            group, element = struct.unpack(nested.order + "HH", raw)
            tag = group << 16 | element
        name = keyword_for_tag(tag)
        if not name and isinstance(label, bytes):
            name = label.decode("ascii", "replace").strip("\0 ")
        names.append(name or f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
    return names
