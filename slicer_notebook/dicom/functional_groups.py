"""What functional groups say, macro by macro (PS3.3 C.7.6.16.2, and those of each modality), as fields of `Instance`.

Some facts have no field there, or need more than one macro; they come under names of their own, for `enhanced` to
settle: ``FrameAcquisitionDateTime``, ``FrameReferenceDateTime``, ``ActualCardiacTriggerDelayTime``,
``ObjectPixelSpacingInCenterOfBeam``, ``ImagePositionVolume``, ``ImageOrientationVolume``, ``DataType``,
``SlidePosition``, ``DynamicScanBegin`` (seconds), ``PrivateDiffusion`` (fields by a maker's private attributes).
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from slicer_notebook.dicom.nested import Item, Nested, Wanted, items_of, numbers_of, private_value
from slicer_notebook.dicom.private import private_facts
from slicer_notebook.dicom.tags import (
    ATTRIBUTES,
    PER_FRAME_FUNCTIONAL_GROUPS,
    PRIVATE_ELEMENTS,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
)
from slicer_notebook.dicom.text import decode_text, encodings_of
from slicer_notebook.dicom.values import CRITICAL, fields_of

__all__ = ["WANTED", "Groups", "dimension_names"]


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
    "RespiratorySynchronizationSequence": {
        "NominalPercentageOfRespiratoryPhase": "NominalPercentageOfRespiratoryPhase",
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
WANTED: Final = Wanted(
    frozenset(_RULES)
    | {tag for rules in _RULES.values() for tag in rules}
    | {tag for tag, attribute in ATTRIBUTES.items() if attribute.keyword in _FRAME_FIELDS}
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
    {
        **PRIVATE_ELEMENTS,
        0x2005: PRIVATE_ELEMENTS.get(0x2005, frozenset()) | {_PHILIPS_FRAME[2], _PHILIPS_BEGIN[2]},
    },
)


class Groups:
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
        """Field -> value for what one item of the functional groups says; ``unreadable`` as in `values.fields_of`."""
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
                        elif rule.field in CRITICAL and raw.strip(b"\0 "):
                            found.setdefault("unreadable", []).append(rule.field)
            elif macro == _DIFFUSION:
                found.update(self._diffusion(items[0]))
            elif macro == _REAL_WORLD_VALUES:
                found["has_real_world_values"] = True
            elif macro in _CONVERTED:
                # A classic image's left-over attributes; macros say it better.
                found = {**self._converted(items[0]), **found}
        found.update(self._private(groups, found))
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

    def _private(self, groups: Item, known: dict[str, Any]) -> dict[str, Any]:
        """What makers' private attributes of the frame say, of what the macros do not."""
        found: dict[str, Any] = {}
        elements = {tag: raw for tag, raw in groups.items() if tag & 0x10000 and isinstance(raw, bytes)}
        inner = private_value(groups, *_PHILIPS_FRAME)
        if isinstance(inner, list) and inner:
            raw = private_value(inner[0], *_PHILIPS_BEGIN)
            begin = numbers_of(raw, "FL", self.order) if isinstance(raw, bytes) else None
            if begin is not None:
                found["DynamicScanBegin"] = begin[0]
            elements.update((tag, raw) for tag, raw in inner[0].items() if isinstance(raw, bytes))
        if "DiffusionBValue" not in known and len(elements) > 1:
            facts = private_facts(elements, {}, self.order)
            found["PrivateDiffusion"] = {field: value for field, value in facts.items() if field in _FRAME_FIELDS}
        return found


def dimension_names(nested: Nested) -> list[str]:
    """Of each dimension index, the keyword of its attribute; its label or tag where it is a private one."""
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
