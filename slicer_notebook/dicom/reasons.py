"""Why a series, or part of it, does not become a volume: a closed list, and the checks that need one header only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from pydicom.uid import UID

from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import can_decode

__all__ = ["MEANING", "Reason", "Refusal", "has_more_pixels", "length_problem", "refusal_of", "unreadable_refusal"]


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
    # Images of several planes, or in colour, that do not say what is needed
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


#: What each reason means, in one sentence.
MEANING: Final[dict[Reason, str]] = {
    Reason.SEGMENTATION: "A segmentation (SEG, surface or label map): it belongs on an image volume.",
    Reason.STRUCTURED_REPORT: "A structured report: text and measurements.",
    Reason.PRESENTATION_STATE: "A presentation state: how other images are to be shown.",
    Reason.KEY_OBJECTS: "A key object selection: a list of other instances.",
    Reason.RT_STRUCTURES: "Contours of a radiotherapy plan.",
    Reason.RT_PLAN: "A radiotherapy plan.",
    Reason.RT_DOSE: "A radiotherapy dose grid.",
    Reason.RT_OTHER: "Another radiotherapy object: treatment records, beams, ion plans.",
    Reason.REAL_WORLD_VALUES: "A real world value map: factors for other images.",
    Reason.REGISTRATION: "A registration or fiducials.",
    Reason.PARAMETRIC_MAP: "A parametric map: a multi-frame object with units of its own.",
    Reason.ENCAPSULATED_DOCUMENT: "A document (PDF, CDA, a mesh) in a DICOM file.",
    Reason.WAVEFORM: "A waveform: ECG, sound, pressure.",
    Reason.SPECTROSCOPY: "MR spectroscopy data.",
    Reason.SLIDE: "A microscope's picture of a slide.",
    Reason.VIDEO: "A video.",
    Reason.NOT_AN_IMAGE: "Another object that holds no pixels.",
    Reason.ENHANCED_MULTIFRAME: "An enhanced multi-frame object that lacks or contradicts what places its frames.",
    Reason.MULTIFRAME: "Several frames in one file that contradict the header.",
    Reason.MOSAIC: "A maker's grid of slices in one image whose header does not say where they lie.",
    Reason.COLOUR: "Colour pixels of a kind that is not read.",
    Reason.PALETTE_COLOUR: "Pixels that index a colour palette which is absent or contradictory.",
    Reason.NO_PIXELS: "An image whose file has no pixel data.",
    Reason.PIXEL_FORMAT: "A size, number of bits or kind of pixel that is contradictory or not read.",
    Reason.TRANSFER_SYNTAX: "A compression that no installed decoder reads, or that could not be decoded.",
    Reason.TRUNCATED: "Fewer bytes of pixels than rows, columns and bits ask for.",
    Reason.MODALITY_LUT: "Values that go through a lookup table which is contradictory.",
    Reason.RESCALE: "A rescale that loses the values.",
    Reason.NO_POSITION: "Slices without a position or orientation in the patient.",
    Reason.NO_SPACING: "No pixel spacing: nothing could be measured in it.",
    Reason.BAD_ORIENTATION: "Direction cosines that are not two unit vectors at a right angle.",
    Reason.SAME_POSITION: "Several images at one and the same position.",
    Reason.SEVERAL_VOLUMES: "Positions taken more than once, with nothing to tell the volumes apart.",
    Reason.MISSING_SLICES: "Gaps that are whole multiples of the step: slices are missing (refused when strict).",
    Reason.UNEVEN_SLICES: "Slices beside each other, or in many pieces; when strict, any steps that differ.",
    Reason.UID_CONFLICT: "Files of one SOP Instance UID that contradict each other.",
}


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
_VIDEO_SYNTAXES: Final = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.102",
                          "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105",
                          "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108")  # fmt: skip
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_BITS_ALLOCATED: Final = frozenset({1, 8, 16, 32})
_COLOUR_BITS: Final = frozenset({8, 16})
#: Slopes and intercepts beyond this, or slopes below its inverse, are damaged numbers: values would be lost in float32.
LARGEST_SCALE: Final = 1e20
#: keyword of float pixels -> bits
_FLOATS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


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
    photometric = instance.PhotometricInterpretation or ""
    samples = instance.SamplesPerPixel or 1
    found: tuple[Reason, str] | None = None
    if instance.TransferSyntaxUID in _VIDEO_SYNTAXES:
        found = Reason.VIDEO, f"video ({UID(instance.TransferSyntaxUID).name})"
    elif not photometric:
        found = Reason.PIXEL_FORMAT, "no PhotometricInterpretation: what the pixels mean is not known"
    elif photometric not in (*_GREY, *_COLOUR, "PALETTE COLOR"):
        found = Reason.COLOUR, f"PhotometricInterpretation {photometric}"
    elif photometric == "PALETTE COLOR" and instance.RedPaletteColorLookupTableDescriptor is None:
        found = Reason.PALETTE_COLOUR, "palette colour without a palette"
    elif samples != (3 if photometric in _COLOUR else 1):
        found = Reason.PIXEL_FORMAT, f"{samples} samples a pixel for {photometric}"
    return found


def _size_problem(instance: Instance) -> str | None:
    rows, columns = instance.Rows or 0, instance.Columns or 0
    allocated, stored = instance.BitsAllocated or 0, instance.BitsStored or 0
    if rows <= 0 or columns <= 0:
        return f"{rows} rows and {columns} columns"
    if instance.SamplesPerPixel is not None and instance.SamplesPerPixel < 1:
        return f"{instance.SamplesPerPixel} samples a pixel"
    if (instance.NumberOfFrames or 1) < 1:
        return f"{instance.NumberOfFrames} frames"
    if instance.pixel_keyword in _FLOATS:
        return _float_problem(instance.pixel_keyword, allocated)
    return _integer_problem(instance, allocated, stored)


def _float_problem(keyword: str, allocated: int) -> str | None:
    due = _FLOATS[keyword]
    return None if allocated == due else f"{allocated} bits allocated for {keyword}: {due} are due"


def _integer_problem(instance: Instance, allocated: int, stored: int) -> str | None:
    colour = instance.PhotometricInterpretation not in _GREY
    kinds = _COLOUR_BITS if colour else _BITS_ALLOCATED
    if allocated not in kinds or not 0 < stored <= allocated:
        return f"{stored} of {allocated} bits a pixel: {', '.join(map(str, sorted(kinds)))} allocated are read"
    high = stored - 1 if instance.HighBit is None else instance.HighBit
    if not stored - 1 <= high < allocated:
        return f"HighBit {high} does not fit {stored} of {allocated} bits"
    if instance.PixelRepresentation not in (0, 1):
        return f"PixelRepresentation {instance.PixelRepresentation}: signed or not is not known"
    return None


def _due_bytes(instance: Instance) -> int:
    """Bytes of all frames, where they are not compressed."""
    rows, columns = instance.mosaic_shape or (instance.Rows or 0, instance.Columns or 0)
    # PS3.3 C.7.6.3.1.2: YBR_FULL_422 holds two values a pixel, where it is not compressed.
    samples = 2 if instance.PhotometricInterpretation == "YBR_FULL_422" else instance.SamplesPerPixel or 1
    values = rows * columns * (instance.NumberOfFrames or 1) * samples
    return (values * (instance.BitsAllocated or 0) + 7) // 8


def has_more_pixels(instance: Instance) -> bool:
    """Whether uncompressed pixels are longer than is due: by more than the byte that makes their length even."""
    return instance.pixel_length > _due_bytes(instance) + 1


def length_problem(instance: Instance) -> str | None:
    """Why uncompressed pixels are too few for all frames, or None."""
    expected = _due_bytes(instance)
    if 0 <= instance.pixel_length < expected:
        return f"{instance.pixel_length} bytes of pixels where {expected} are due"
    missing = instance.pixel_offset + expected - instance.size
    if instance.pixel_offset and instance.pixel_length > 0 and missing > 0:
        return f"the file ends {missing} bytes before its pixels do"
    return None


def _is_scale(slope: float | None) -> bool:
    return slope is None or 1 / LARGEST_SCALE <= abs(slope) <= LARGEST_SCALE


def _pixel_refusal(instance: Instance) -> tuple[Reason, str] | None:
    found: tuple[Reason, str] | None = None
    if (problem := _size_problem(instance)) is not None:
        found = Reason.PIXEL_FORMAT, problem
    elif not can_decode(instance.TransferSyntaxUID):
        found = Reason.TRANSFER_SYNTAX, f"no decoder for transfer syntax {UID(instance.TransferSyntaxUID).name}"
    elif (problem := length_problem(instance)) is not None:
        found = Reason.TRUNCATED, problem
    elif instance.RescaleSlope == 0.0:
        found = Reason.RESCALE, "RescaleSlope is 0: all values would be one"
    elif not _is_scale(instance.RescaleSlope) or abs(instance.RescaleIntercept or 0.0) > LARGEST_SCALE:
        found = Reason.RESCALE, f"a slope of {instance.RescaleSlope} and an intercept of {instance.RescaleIntercept}"
    return found


_UNREADABLE: Final[dict[str, Reason]] = {
    "ImageOrientationPatient": Reason.BAD_ORIENTATION,
    "ImagePositionPatient": Reason.NO_POSITION,
    "PixelSpacing": Reason.NO_SPACING,
    "RescaleIntercept": Reason.RESCALE,
    "RescaleSlope": Reason.RESCALE,
}


def unreadable_refusal(instance: Instance) -> tuple[Reason, str] | None:
    """The refusal of a plane one of whose attributes cannot be read, and cannot be taken for absent."""
    for keyword in instance.unreadable:
        return _UNREADABLE.get(keyword, Reason.PIXEL_FORMAT), f"{keyword} is there, but cannot be read"
    return None


def refusal_of(instance: Instance) -> tuple[Reason, str] | None:
    """Why this instance alone cannot be a slice of a grey-value volume, or None."""
    if instance.copies_differ:
        return Reason.UID_CONFLICT, "one SOP Instance UID is in several files that contradict each other"
    reason = _class_reason(instance.SOPClassUID)
    if reason is not None:
        return reason, f"{_what(instance)} is not an image volume"
    if instance.pixel_keyword is None:
        if instance.Rows or "Image Storage" in _what(instance):
            return Reason.NO_PIXELS, f"{_what(instance)} without pixel data"
        return Reason.NOT_AN_IMAGE, f"{_what(instance)} holds no pixels"
    return unreadable_refusal(instance) or _image_refusal(instance) or _pixel_refusal(instance)
