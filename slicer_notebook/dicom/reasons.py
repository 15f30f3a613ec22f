"""Why a series, or part of it, does not become a volume: a closed list, and the checks that need one header only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from pydicom.uid import UID

from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import can_decode

__all__ = ["Reason", "Refusal", "refusal_of"]


class Reason(StrEnum):
    """The closed list of refusals. The value is what `SeriesRefusedError.reason` carries."""

    # Not images, or not plain ones
    SEGMENTATION = "segmentation"
    STRUCTURED_REPORT = "structured-report"
    PRESENTATION_STATE = "presentation-state"
    KEY_OBJECTS = "key-objects"
    RT_STRUCTURES = "rt-structures"
    RT_PLAN = "rt-plan"
    RT_DOSE = "rt-dose"
    RT_OTHER = "rt-other"
    REAL_WORLD_VALUES = "real-world-values"
    REGISTRATION = "registration"
    PARAMETRIC_MAP = "parametric-map"
    ENCAPSULATED_DOCUMENT = "encapsulated-document"
    WAVEFORM = "waveform"
    SPECTROSCOPY = "spectroscopy"
    SLIDE = "slide"
    VIDEO = "video"
    NOT_AN_IMAGE = "not-an-image"
    # Images that are not single slices of one grey value
    ENHANCED_MULTIFRAME = "enhanced-multiframe"
    MULTIFRAME = "multiframe"
    MOSAIC = "mosaic"
    COLOUR = "colour"
    PALETTE_COLOUR = "palette-colour"
    # Pixels that cannot be read right
    NO_PIXELS = "no-pixels"
    PIXEL_FORMAT = "pixel-format"
    TRANSFER_SYNTAX = "transfer-syntax"
    TRUNCATED = "truncated"
    MODALITY_LUT = "modality-lut"
    RESCALE = "rescale"
    # Geometry
    NO_POSITION = "no-position"
    NO_SPACING = "no-spacing"
    BAD_ORIENTATION = "bad-orientation"
    SAME_POSITION = "same-position"
    SEVERAL_VOLUMES = "several-volumes"
    MISSING_SLICES = "missing-slices"
    UNEVEN_SLICES = "uneven-slices"
    UID_CONFLICT = "uid-conflict"


class Refusal(msgspec.Struct, kw_only=True):
    """Files that do not become a volume, and why."""

    reason: Reason
    #: what was found, in words
    message: str
    files: list[str]


_BY_CLASS: Final[dict[str, Reason]] = {
    "1.2.840.10008.5.1.4.1.1.66.4": Reason.SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7": Reason.SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.5": Reason.SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.1": Reason.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.66.2": Reason.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.66.3": Reason.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.67": Reason.REAL_WORLD_VALUES,
    "1.2.840.10008.5.1.4.1.1.30": Reason.PARAMETRIC_MAP,
    "1.2.840.10008.5.1.4.1.1.88.59": Reason.KEY_OBJECTS,
    "1.2.840.10008.5.1.4.1.1.481.2": Reason.RT_DOSE,
    "1.2.840.10008.5.1.4.1.1.481.3": Reason.RT_STRUCTURES,
    "1.2.840.10008.5.1.4.1.1.481.5": Reason.RT_PLAN,
    "1.2.840.10008.5.1.4.1.1.481.8": Reason.RT_PLAN,
    "1.2.840.10008.5.1.4.1.1.4.2": Reason.SPECTROSCOPY,
    "1.2.840.10008.5.1.4.1.1.77.1.6": Reason.SLIDE,
    "1.2.840.10008.5.1.4.1.1.77.1.3": Reason.SLIDE,
    "1.2.840.10008.5.1.4.1.1.77.1.1.1": Reason.VIDEO,
    "1.2.840.10008.5.1.4.1.1.77.1.2.1": Reason.VIDEO,
    "1.2.840.10008.5.1.4.1.1.77.1.4.1": Reason.VIDEO,
}
_BY_PREFIX: Final[tuple[tuple[str, Reason], ...]] = (
    ("1.2.840.10008.5.1.4.1.1.88.", Reason.STRUCTURED_REPORT),
    ("1.2.840.10008.5.1.4.1.1.11.", Reason.PRESENTATION_STATE),
    ("1.2.840.10008.5.1.4.1.1.104.", Reason.ENCAPSULATED_DOCUMENT),
    ("1.2.840.10008.5.1.4.1.1.9.", Reason.WAVEFORM),
)
_RT_PREFIX: Final = "1.2.840.10008.5.1.4.1.1.481."
_RT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.481.1"
#: Enhanced and legacy converted enhanced CT, MR, MR colour, PET, US, XA, XRF, X-ray 3D, breast tomosynthesis, OCT.
_ENHANCED: Final = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        "2.1", "2.2", "4.1", "4.3", "4.4", "6.2", "12.1.1", "12.2.1", "13.1.1", "13.1.2", "13.1.3", "77.1.5.4",
        "128.1", "130",
    )
)  # fmt: skip
_VIDEO_SYNTAXES: Final = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.102",
                          "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105",
                          "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108")  # fmt: skip
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_BITS_ALLOCATED: Final = frozenset({8, 16, 32})


def _class_reason(uid: str) -> Reason | None:
    reason = _BY_CLASS.get(uid)
    if reason is not None:
        return reason
    for prefix, found in _BY_PREFIX:
        if uid.startswith(prefix):
            return found
    if uid.startswith(_RT_PREFIX) and uid != _RT_IMAGE:
        return Reason.RT_OTHER
    return None


def _what(instance: Instance) -> str:
    """The SOP class in words."""
    name = UID(instance.SOPClassUID).name if instance.SOPClassUID else ""
    return name or "unknown SOP class"


def _image_refusal(instance: Instance) -> tuple[Reason, str] | None:
    frames = instance.NumberOfFrames or 1
    if instance.SOPClassUID in _ENHANCED or instance.has_functional_groups:
        return Reason.ENHANCED_MULTIFRAME, f"{_what(instance)} with {frames} frames: enhanced multi-frame objects"
    if instance.TransferSyntaxUID in _VIDEO_SYNTAXES:
        return Reason.VIDEO, f"video ({UID(instance.TransferSyntaxUID).name})"
    if frames > 1:
        return Reason.MULTIFRAME, f"{_what(instance)} with {frames} frames in one file: a cine or multi-frame object"
    if instance.mosaic is not None:
        maker = {"siemens": "Siemens mosaic", "uih": "UIH grid"}.get(instance.mosaic, "grid")
        return Reason.MOSAIC, f"{maker}: many slices are tiled in one image, and are not slices to be stacked"
    photometric = instance.PhotometricInterpretation or ""
    if photometric == "PALETTE COLOR":
        return Reason.PALETTE_COLOUR, "palette colour image"
    if (instance.SamplesPerPixel or 1) > 1 or photometric not in _GREY:
        return Reason.COLOUR, f"colour image ({photometric or 'no photometric interpretation'})"
    return None


def _pixel_refusal(instance: Instance) -> tuple[Reason, str] | None:
    if instance.pixel_keyword != "PixelData":
        return Reason.PIXEL_FORMAT, f"{instance.pixel_keyword} in place of PixelData"
    rows, columns = instance.Rows or 0, instance.Columns or 0
    allocated, stored = instance.BitsAllocated or 0, instance.BitsStored or 0
    high = stored - 1 if instance.HighBit is None else instance.HighBit
    if not (rows > 0 and columns > 0 and allocated in _BITS_ALLOCATED and 0 < stored <= allocated):
        return Reason.PIXEL_FORMAT, (
            f"{rows} x {columns} pixels, {stored} of {allocated} bits: 8, 16 or 32 bits allocated are read"
        )
    if not stored - 1 <= high < allocated or instance.PixelRepresentation not in (0, 1):
        return Reason.PIXEL_FORMAT, (
            f"HighBit {instance.HighBit}, BitsStored {stored}, PixelRepresentation {instance.PixelRepresentation} do not fit"
        )
    if not can_decode(instance.TransferSyntaxUID):
        name = UID(instance.TransferSyntaxUID).name
        return Reason.TRANSFER_SYNTAX, f"no decoder for transfer syntax {name}"
    expected = rows * columns * allocated // 8
    # One byte of padding makes an odd length even (PS3.5 §7.1.1); more is more than one frame.
    if instance.pixel_length >= 0 and instance.pixel_length < expected:
        return Reason.TRUNCATED, f"{instance.pixel_length} bytes of pixels where {expected} are due"
    if instance.pixel_offset and instance.pixel_length > 0 and instance.pixel_offset + expected > instance.size:
        missing = instance.pixel_offset + expected - instance.size
        return Reason.TRUNCATED, f"the file ends {missing} bytes before its pixels do"
    if instance.has_modality_lut:
        return Reason.MODALITY_LUT, "values go through a Modality LUT Sequence, not through slope and intercept"
    if instance.RescaleSlope == 0.0:
        return Reason.RESCALE, "RescaleSlope is 0: all values would be one"
    return None


def refusal_of(instance: Instance) -> tuple[Reason, str] | None:
    """Why this instance alone cannot be a slice of a grey-value volume, or None."""
    if instance.copies_differ:
        return Reason.UID_CONFLICT, "one SOP Instance UID is in several files that contradict each other"
    reason = _class_reason(instance.SOPClassUID)
    if reason is not None:
        return reason, f"{_what(instance)} is not an image volume"
    if instance.pixel_keyword is None:
        if instance.Rows:
            return Reason.NO_PIXELS, "an image header without pixel data"
        return Reason.NOT_AN_IMAGE, f"{_what(instance)} holds no pixels"
    return _image_refusal(instance) or _pixel_refusal(instance)
