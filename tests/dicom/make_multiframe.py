"""Makes multi-frame objects, mosaics and grids for the tests: planes of the phantom in one file."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from tests.dicom.make import AXIAL, MR, Array, dataset, measured, save

_UID = "1.2.840.10008.5.1.4.1.1."
ENHANCED_CT = _UID + "2.1"
ENHANCED_MR = _UID + "4.1"
ENHANCED_PET = _UID + "130"
ENHANCED_XA = _UID + "12.1.1"
ENHANCED_US = _UID + "6.2"
LEGACY_MR = _UID + "4.4"
US_MULTIFRAME = _UID + "3.1"
US_SINGLE = _UID + "6.1"
XA = _UID + "12.1"
NM = _UID + "20"
SC_MULTIFRAME = _UID + "7.2"

Macros = Mapping[str, Mapping[str, Any]]
"""macro -> attribute -> value; what begins with an upper case letter is a keyword."""


def item(values: Mapping[str, Any]) -> Dataset:
    """A sequence item; a mapping, or a list of mappings, becomes a sequence in it."""
    made = Dataset()
    for keyword, value in values.items():
        inner = [value] if isinstance(value, Mapping) else value
        if isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            setattr(made, keyword, DicomSequence([item(each) for each in inner]))
        else:
            setattr(made, keyword, value)
    return made


def position(first: Sequence[float], cosines: Sequence[float], offset: float) -> list[float]:
    """Image Position (Patient), ``offset`` mm from the first along the normal; LPS, as a decimal string holds it."""
    moved = np.array(first) + np.cross(cosines[:3], cosines[3:]) * offset
    return [float(f"{value:.10f}") for value in moved]


def write_frames(
    path: Path,
    frames: Sequence[Macros],
    pixels: Array | None = None,
    *,
    shared: Macros | None = None,
    sop_class: str = ENHANCED_MR,
    syntax: str = ExplicitVRLittleEndian,
    undefined_length: bool = False,
    dimensions: Sequence[tuple[str, str]] = (),
    **attributes: Any,
) -> Path:
    """Write an object with functional groups.

    Args:
        frames: the macros of each frame.
        pixels: [frames, rows, columns], stored values; zeros of 2 x 2 if None.
        shared: the macros of all frames.
        undefined_length: sequences and items end with delimiters.
        dimensions: (keyword of the attribute, keyword of its macro) of each dimension index.
    """
    stored = np.zeros((len(frames), 2, 2), np.int16) if pixels is None else pixels
    made = dataset(sop_class, **{"NumberOfFrames": len(frames), "Modality": "MR", **attributes})
    made.SharedFunctionalGroupsSequence = DicomSequence([item(shared or {})])
    made.PerFrameFunctionalGroupsSequence = DicomSequence([item(each) for each in frames])
    if dimensions:
        made.DimensionIndexSequence = DicomSequence(
            [item({"DimensionIndexPointer": at, "FunctionalGroupPointer": group}) for at, group in dimensions]
        )
    if undefined_length:
        _with_delimiters(made)
    _set_pixels(made, stored, syntax)
    return save(made, path, syntax=syntax)


def _with_delimiters(made: Dataset) -> None:
    for element in made:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for inner in element.value:
                inner.is_undefined_length_sequence_item = True
                _with_delimiters(inner)


def _set_pixels(made: Dataset, stored: Array, syntax: str) -> None:
    made.Rows, made.Columns = stored.shape[1:3]
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    made.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    made["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"


def write_enhanced(
    path: Path,
    *,
    cosines: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (2.0, 3.0),
    first: Sequence[float] = (-20.0, 10.0, 5.0),
    gap: float = 4.0,
    shape: tuple[int, int, int] = (5, 7, 6),
    volumes: int = 1,
    order: Callable[[list[tuple[int, int]]], list[tuple[int, int]]] = lambda each: each,
    each: Callable[[int, int], Macros] = lambda volume, k: {},
    shared: Macros | None = None,
    slope: Callable[[int, int], float] = lambda volume, k: 1.0,
    raised: float = 100.0,
    stack: str = "1",
    **keywords: Any,
) -> Path:
    """Write volumes of the phantom in one enhanced object; values of volume v are higher by ``raised`` x v.

    Args:
        order: of the frames, as (volume, k).
        each: further macros of the frame of slice k in a volume.
        slope: Rescale Slope of that frame; the intercept is 5.
    """
    count, rows, columns = shape
    frames, pixels = [], []
    for volume, k in order([(volume, k) for volume in range(volumes) for k in range(count)]):
        place = position(first, cosines, gap * k)
        factor = slope(volume, k)
        values = measured(cosines, pixel_spacing, place, rows, columns) + raised * volume
        pixels.append(np.round((values - 5.0) / factor).astype(np.int16))
        macros: dict[str, Mapping[str, Any]] = {
            "PlanePositionSequence": {"ImagePositionPatient": place},
            "PixelValueTransformationSequence": {
                "RescaleSlope": f"{factor:g}", "RescaleIntercept": "5", "RescaleType": "US",
            },
            "FrameContentSequence": {"StackID": stack, "InStackPositionNumber": k + 1},
        }  # fmt: skip
        for macro, values_of in each(volume, k).items():
            macros[macro] = {**macros.get(macro, {}), **values_of}
        frames.append(macros)
    common: dict[str, Mapping[str, Any]] = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": [float(f"{c:.12f}") for c in cosines]},
        "PixelMeasuresSequence": {"PixelSpacing": list(pixel_spacing), "SliceThickness": abs(gap)},
        **(shared or {}),
    }
    return write_frames(path, frames, np.stack(pixels), shared=common, **keywords)


def write_cine(path: Path, pixels: Array, *, sop_class: str = US_MULTIFRAME, **attributes: Any) -> Path:
    """Write a multi-frame file without functional groups; ``pixels``: [frames, rows, columns]."""
    regions = attributes.pop("regions", None)
    made = dataset(sop_class, **{"NumberOfFrames": len(pixels), "FrameOfReferenceUID": None, **attributes})
    if regions is not None:
        made.SequenceOfUltrasoundRegions = DicomSequence([item(region) for region in regions])
    _set_pixels(made, pixels, ExplicitVRLittleEndian)
    return save(made, path)


def region(delta_x: float, delta_y: float, **others: Any) -> dict[str, Any]:
    """An ultrasound region that shows tissue; deltas in cm."""
    return {
        "RegionSpatialFormat": 1, "RegionDataType": 1, "RegionFlags": 0,
        "RegionLocationMinX0": 0, "RegionLocationMinY0": 0, "RegionLocationMaxX1": 3, "RegionLocationMaxY1": 3,
        "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": delta_x, "PhysicalDeltaY": delta_y, **others,
    }  # fmt: skip


def csa(entries: Mapping[str, Sequence[str]], *, newer: bool = True) -> bytes:
    """A CSA header of either layout."""
    out = bytearray(b"SV10\4\3\2\1" if newer else b"")
    out += struct.pack("<2i", len(entries), 77)
    excess = None
    for name, values in entries.items():
        raw = [value.encode("latin-1") + b"\0" for value in values]
        # As in real headers, there are more items than values.
        items = [*raw, *[b""] * (6 - len(raw))] if len(raw) < 6 else raw
        out += struct.pack("<64si4s3i", name.encode(), len(values), b"LO", 19, len(items), 77)
        excess = len(items) if excess is None else excess
        for value in items:
            length = len(value)
            said = (length, length, 77, length) if newer else (length + excess, -1, 77, length)
            out += struct.pack("<4i", *said) + value + bytes(-length % 4)
    return bytes(out)


def protocol(
    centres: Sequence[Sequence[float]], normal: Sequence[float], *, slab: int | None = None, reversed_: bool = False
) -> str:
    """A protocol text with the slices' centres (LPS, mm); as in real ones, what is zero has no line."""
    lines = ["### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData ###"]
    for index, centre in enumerate(centres):
        for name, vector in (("sPosition", centre), ("sNormal", normal)):
            for axis, value in zip(("dSag", "dCor", "dTra"), vector, strict=True):
                if value:
                    lines.append(f"sSliceArray.asSlice[{index}].{name}.{axis}\t = \t{value:.10g}")
    lines += [f"sSliceArray.lSize = {len(centres)}", f"sKSpace.ucDimension = {'0x4' if slab else '0x2'}"]
    if slab:
        lines.append(f"sKSpace.lImagesPerSlab = {slab}")
    if reversed_:
        lines.append("sSliceArray.ucImageNumbTra = 0x1")
    return "\n".join(["<XProtocol>", *lines, "### ASCCONV END ###", ""])


def write_mosaic(
    path: Path,
    *,
    cosines: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (2.0, 3.0),
    first: Sequence[float] = (-20.0, 10.0, 5.0),
    gap: float = 4.0,
    shape: tuple[int, int, int] = (5, 6, 4),
    image_header: Mapping[str, Sequence[str]] | None = None,
    text: str | None = None,
    creators: bool = True,
    newer: bool = True,
    raised: float = 0.0,
    private_count: int | None = None,
    matrix: str | None = None,
    **attributes: Any,
) -> Path:
    """Write a Siemens mosaic of the phantom.

    Args:
        first: position of the first tile, LPS, mm.
        gap: mm from tile to tile along row x column; negative where the order is the other way.
        image_header: entries of the CSA image header; None for no header.
        text: the protocol; None for none.
        creators: whether the private creators are there.
        matrix: AcquisitionMatrixText.
    """
    count, rows, columns = shape
    across = math.ceil(math.sqrt(count))
    pixels = np.zeros((rows * across, columns * across), np.int16)
    for number in range(count):
        down, right = divmod(number, across)
        place = position(first, cosines, gap * number)
        values = measured(cosines, pixel_spacing, place, rows, columns) + raised
        pixels[down * rows : (down + 1) * rows, right * columns : (right + 1) * columns] = np.round(values)
    row, column = np.array(cosines[:3], float), np.array(cosines[3:], float)
    # As if the whole grid were the first slice's picture, about the same centre.
    corner = np.array(first, float) - row * pixel_spacing[1] * (pixels.shape[1] - columns) / 2
    corner -= column * pixel_spacing[0] * (pixels.shape[0] - rows) / 2
    made = dataset(
        MR,
        **{
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
            "Manufacturer": "SIEMENS",
            "ImagePositionPatient": [float(f"{value:.10f}") for value in corner],
            "ImageOrientationPatient": [float(f"{value:.12f}") for value in cosines],
            "PixelSpacing": list(pixel_spacing),
            "SliceThickness": abs(gap),
            **attributes,
        },
    )
    if private_count is not None:
        made.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", private_count)
    block = made.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    if image_header is not None:
        block.add_new(0x10, "OB", csa(image_header, newer=newer))
    if text is not None:
        block.add_new(0x20, "OB", csa({"UsedPatientWeight": ["70"], "MrPhoenixProtocol": [text]}, newer=newer))
    if matrix is not None:
        made.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0B, "SH", matrix)
    if not creators:
        del made[0x0029, 0x0010]
    return save(made, path, pixels)


def slice_centres(
    cosines: Sequence[float], pixel_spacing: Sequence[float], first: Sequence[float], gap: float,
    shape: tuple[int, int, int],
) -> list[list[float]]:  # fmt: skip
    """Centres of slices as Siemens has them: half the picture's size from the first pixel; LPS, mm."""
    count, rows, columns = shape
    half = np.array(cosines[:3]) * pixel_spacing[1] * columns / 2 + np.array(cosines[3:]) * pixel_spacing[0] * rows / 2
    return [(np.array(position(first, cosines, gap * k)) + half).tolist() for k in range(count)]


def write_uih_grid(
    path: Path,
    *,
    cosines: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (2.0, 3.0),
    first: Sequence[float] = (-20.0, 10.0, 5.0),
    gap: float = 4.0,
    shape: tuple[int, int, int] = (5, 6, 4),
    positions: int | None = None,
    raised: float = 0.0,
    gradient: Sequence[float] | None = None,
    **attributes: Any,
) -> Path:
    """Write a UIH grid of the phantom; ``positions``: how many of the slices say where they are."""
    count, rows, columns = shape
    across = math.ceil(math.sqrt(count))
    pixels = np.zeros((rows * math.ceil(count / across), columns * across), np.int16)
    items = []
    for number in range(count):
        down, right = divmod(number, across)
        place = position(first, cosines, gap * number)
        values = measured(cosines, pixel_spacing, place, rows, columns) + raised
        pixels[down * rows : (down + 1) * rows, right * columns : (right + 1) * columns] = np.round(values)
        items.append(item({"ImagePositionPatient": place, "AcquisitionTime": f"10000{number}.5"}))
    made = dataset(
        MR,
        **{
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "VFRAME"],
            "Manufacturer": "UIH",
            "ImageOrientationPatient": [float(f"{value:.12f}") for value in cosines],
            "PixelSpacing": list(pixel_spacing),
            "SliceThickness": abs(gap),
            **attributes,
        },
    )
    block = made.private_block(0x0065, "Image Private Header", create=True)
    if gradient is not None:
        block.add_new(0x09, "FD", 1000.0)
        block.add_new(0x37, "FD", list(gradient))
    block.add_new(0x50, "DS", str(count))
    block.add_new(0x51, "SQ", DicomSequence(items[:positions]))
    return save(made, path, pixels)
