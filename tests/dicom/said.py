"""What pydicom says of one frame of a file: its values after the rescale, and its place. The judge of the fuzzer.

It follows the standard with pydicom's parser and decoders, and shares no code with the package.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

__all__ = ["Plane", "UnknownError", "difference_of", "planes_of_file"]

Array = npt.NDArray[Any]


class Plane(NamedTuple):
    """One plane."""

    #: [j, i] or [j, i, 3]
    values: Array
    #: 4x4, IJ(K) to RAS, mm; what k is worth is not told by a plane
    affine: Array


class UnknownError(Exception):
    """pydicom cannot read this, or reads what is not valid: it says nothing."""


_MACROS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


def _attribute(item: Dataset, keyword: str, frame: int) -> Any:
    """The frame's own, else that of all frames, else the top level's."""
    macro = _MACROS[keyword]
    groups = item.get("PerFrameFunctionalGroupsSequence")
    places = [groups[frame]] if groups and frame < len(groups) else []
    places += list(item.get("SharedFunctionalGroupsSequence") or [])[:1]
    for place in places:
        if place.get(macro) and keyword in place[macro].value[0]:
            return place[macro].value[0][keyword].value
    return item.get(keyword)


def _numbers(value: Any, count: int) -> list[float] | None:
    if value is None or value == "":
        return None
    values = [float(each) for each in value] if count > 1 else [float(value)]
    return values if len(values) == count and np.isfinite(values).all() else None


def planes_of_file(path: str, frame: int, tile: tuple[int, int] | None = None) -> Plane:
    """The frame's plane, or that of a tile of it: the row and column where it begins in a mosaic.

    Raises:
        UnknownError: pydicom cannot say.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            item = pydicom.dcmread(path, force=True)
            if "SamplesPerPixel" not in item and str(item.get("PhotometricInterpretation")).startswith("MONOCHROME"):
                item.SamplesPerPixel = 1  # the only number for these (PS3.3 C.7.6.3.1.2); pydicom wants it said
            if tile is not None:
                return _uih_tile(item, tile) if str(item.get("Manufacturer")) == "UIH" else _siemens_tile(item, tile)
            return Plane(_values(item, frame), _affine(item, frame))
        except UnknownError:
            raise
        # pydicom raises errors of many kinds on damaged files.
        except Exception as exc:
            raise UnknownError(f"{type(exc).__name__}: {exc}") from exc


def _uih_tile(item: Dataset, tile: tuple[int, int]) -> Plane:
    """UIH's grid: how many slices and where each is, in private elements (0065,xx50) and (0065,xx51)."""
    block = item.private_block(0x0065, "Image Private Header")
    count, items = int(float(block[0x50].value)), block[0x51].value
    across = int(np.ceil(np.sqrt(count)))
    rows, columns = item.Rows // int(np.ceil(count / across)), item.Columns // across
    number = tile[0] // rows * across + tile[1] // columns
    item.ImagePositionPatient = items[number].ImagePositionPatient
    values = _values(item, 0)[tile[0] : tile[0] + rows, tile[1] : tile[1] + columns]
    return Plane(values, _affine(item, 0))


def _siemens_tile(item: Dataset, tile: tuple[int, int]) -> Plane:
    """Siemens' mosaic as nibabel reads it: from the CSA image header and the picture's own position."""
    from nibabel.nicom.dicomwrappers import MosaicWrapper

    if _numbers(item.get("SpacingBetweenSlices"), 1) is None:
        raise UnknownError("nibabel takes the slices' thickness for their distance then")
    wrapper = MosaicWrapper(item)
    rows, columns, _ = wrapper.image_shape
    number = tile[0] // rows * wrapper.mosaic_size + tile[1] // columns
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ wrapper.affine
    # nibabel's first axis runs down the rows.
    affine[:, [0, 1]] = affine[:, [1, 0]]
    affine[:, 3] += number * affine[:, 2]
    return Plane(_values(item, 0)[tile[0] : tile[0] + rows, tile[1] : tile[1] + columns], affine)


def _spacing(item: Dataset, frame: int) -> list[float] | None:
    """In the patient, else on paper, else on the detector."""
    others = [item.get("NominalScannedPixelSpacing"), item.get("ImagerPixelSpacing")]
    for value in (_attribute(item, "PixelSpacing", frame), *others):
        spacing = _numbers(value, 2)
        if spacing is not None and min(spacing) > 0:
            return spacing
    return None


def _affine(item: Dataset, frame: int) -> Array:
    spacing = _spacing(item, frame)
    position = _numbers(_attribute(item, "ImagePositionPatient", frame), 3)
    cosines = _numbers(_attribute(item, "ImageOrientationPatient", frame), 6)
    affine = np.eye(4)
    if spacing is None:
        return affine
    between_rows, between_columns = spacing
    if position is None or cosines is None:
        affine[0, 0], affine[1, 1] = -between_columns, -between_rows
        return affine
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    affine[:3, 0], affine[:3, 1], affine[:3, 3] = row * between_columns, column * between_rows, position
    affine[:3, 2] = np.cross(row, column)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _values(item: Dataset, frame: int) -> Array:
    if (item.get("SamplesPerPixel") or 1) > 1:
        return pydicom.pixels.pixel_array(item, index=frame)
    stored = _stored(item, frame)
    if item.get("PhotometricInterpretation") == "PALETTE COLOR":
        colours: Array = apply_color_lut(stored, item)
        return colours
    if "ModalityLUTSequence" in item:
        return pydicom.pixels.apply_modality_lut(stored, item)
    slope = _numbers(_attribute(item, "RescaleSlope", frame), 1) or [1.0]
    intercept = _numbers(_attribute(item, "RescaleIntercept", frame), 1) or [0.0]
    scaled: Array = stored.astype(np.float64) * slope[0] + intercept[0]
    return scaled


def _frame_of(item: Dataset, frame: int) -> Array:
    pixels = item.pixel_array
    if (item.get("NumberOfFrames") or 1) > 1:
        return pixels[frame]
    if frame:
        raise UnknownError("one frame only")
    return pixels


def _stored(item: Dataset, frame: int) -> Array:
    """Native grey values: bits outside those stored dropped, sign by the highest of them (PS3.5 8.1.1)."""
    syntax = item.file_meta.get("TransferSyntaxUID")
    if "PixelData" not in item or (syntax is not None and syntax.is_compressed and not syntax.is_deflated):
        return _frame_of(item, frame)
    rows, columns, bits = item.Rows, item.Columns, item.BitsAllocated
    order = "<" if item.original_encoding[1] else ">"
    if bits not in {8, 16, 32, 64} or (item.get("SamplesPerPixel") or 1) != 1:
        return _frame_of(item, frame)
    size = rows * columns * bits // 8
    raw = item.PixelData[frame * size : (frame + 1) * size]
    if len(raw) < size or not size:
        raise UnknownError("too few pixels")
    values = np.frombuffer(raw, f"{order}u{bits // 8}").astype(np.int64 if bits < 64 else object).reshape(rows, columns)
    kept = item.BitsStored
    high = item.get("HighBit", kept - 1)
    if not 0 < kept <= bits or high != kept - 1:
        raise UnknownError(f"{kept} bits stored, the highest at {high}")
    values &= (1 << kept) - 1
    if item.PixelRepresentation == 1:
        values -= (values >> (kept - 1)) << kept
    return values


def difference_of(ours: Plane, theirs: Plane, mm: float, image: bool) -> str | None:
    """What differs between two planes, stored the same way round; None when nothing does.

    Args:
        mm: how far apart their pixels may be.
        image: they have no place: their values and the distances of pixels count.
    """
    if ours.values.shape != theirs.values.shape:
        return f"{ours.values.shape} against {theirs.values.shape} pixels"
    rows, columns = ours.values.shape[:2]
    for i, j in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)):
        corner = np.array([i, j, 0, 1])
        away = (ours.affine @ corner - theirs.affine @ corner)[:3]
        if image:
            away = np.abs(ours.affine[:3, :3] @ corner[:3]) - np.abs(theirs.affine[:3, :3] @ corner[:3])
        if np.linalg.norm(away) > mm:
            return f"pixel ({i}, {j}) is {np.linalg.norm(away):.3g} mm away"
    if ours.values.ndim == 3:
        # Colour spaces are converted in integers here, in floating point there: one unit of rounding, or two.
        apart = np.abs(ours.values.astype(np.int64) - theirs.values.astype(np.int64)).max()
        return f"colours differ by up to {apart}" if apart > 2 else None
    # Float32 holds 24 bits.
    a, b = ours.values.astype(np.float64), theirs.values.astype(np.float64)
    within = 0.0 if ours.values.dtype.kind in "iu" else 2.0**-23 * np.abs(b)
    wrong = ~((np.abs(a - b) <= within) | (np.isnan(a) & np.isnan(b)) | (a == b))
    if not wrong.any():
        return None
    at = tuple(int(n) for n in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} values differ, such as {a[at]} from {b[at]} at {at}"
