"""Makes DICOM series for the tests: slices of a phantom whose value says where it was measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PET = "1.2.840.10008.5.1.4.1.1.128"
CR = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: Image Orientation (Patient) of patients lying on their back, head first; LPS.
AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
#: lying on the right side, axial
DECUBITUS = (0, 1, 0, -1, 0, 0)

Array = npt.NDArray[Any]


def phantom(ras: Array) -> Array:
    """The value at RAS positions [..., 3] in mm: no two directions alike, so that no flip goes unseen."""
    x, y, z = ras[..., 0], ras[..., 1], ras[..., 2]
    values: Array = 500.0 + 1.0 * x + 2.5 * y - 4.0 * z
    return values


def oblique(degrees: tuple[float, float, float]) -> tuple[float, ...]:
    """Direction cosines turned about x, y and z."""
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn = about_z @ about_y @ about_x
    return (*turn[:, 0], *turn[:, 1])


def lps_positions(
    cosines: Sequence[float], pixel_spacing: Sequence[float], position: Sequence[float], rows: int, columns: int
) -> Array:
    """LPS position of every pixel of a slice, [rows, columns, 3], straight from PS3.3 equation C.7.6.2.1-1."""
    row, column = np.array(cosines[:3], dtype=float), np.array(cosines[3:], dtype=float)
    j, i = np.mgrid[:rows, :columns]
    return np.array(position) + j[..., None] * column * pixel_spacing[0] + i[..., None] * row * pixel_spacing[1]


def measured(
    cosines: Sequence[float], pixel_spacing: Sequence[float], position: Sequence[float], rows: int, columns: int
) -> Array:
    """The phantom's values on a slice."""
    return phantom(lps_positions(cosines, pixel_spacing, position, rows, columns) * [-1, -1, 1])


def dataset(sop_class: str = CT, **attributes: Any) -> Dataset:
    """A data set of one grey slice without pixels, identified; attributes by keyword, None takes one out."""
    values: dict[str, Any] = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.5",
        "FrameOfReferenceUID": "1.2.3.4.6",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "StudyDate": "20200102",
        "StudyDescription": "Thorax",
        "SeriesNumber": 3,
        "SeriesDescription": "Chest",
        "Modality": {CT: "CT", MR: "MR", PET: "PT", CR: "CR"}.get(sop_class, "OT"),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        **attributes,
    }
    result = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(result, keyword, value)
    return result


def save(item: Dataset, path: Path, pixels: Array | None = None, *, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set with its pixels, as DICOM Part 10."""
    if pixels is not None:
        item.Rows, item.Columns = pixels.shape[:2]
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        item.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        item["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = item.SOPClassUID
    meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    item.file_meta = meta
    dcmwrite(path, item, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    *,
    cosines: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (2.0, 3.0),
    first: Sequence[float] = (-20.0, 10.0, 5.0),
    gap: float = 4.0,
    shear: Sequence[float] = (0.0, 0.0, 0.0),
    shape: tuple[int, int, int] = (5, 7, 6),
    offsets: Sequence[float] | None = None,
    each: Callable[[int], dict[str, Any]] | None = None,
    sop_class: str = CT,
    dtype: npt.DTypeLike = np.int16,
    syntax: str = ExplicitVRLittleEndian,
    prefix: str = "",
    **attributes: Any,
) -> list[Path]:
    """Write a series of slices of the phantom; file names and instance numbers are in no order.

    Args:
        gap: mm between slices along row x column.
        shear: LPS, mm that every further slice is shifted by, besides.
        offsets: distances of the slices from the first along the normal, in mm, in place of multiples of ``gap``.
        each: further attributes of slice k (in order along the normal).

    Returns:
        The files, in order along the normal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count, rows, columns = shape
    normal = np.cross(cosines[:3], cosines[3:])
    distances = [gap * k for k in range(count)] if offsets is None else list(offsets)
    names = list(range(len(distances)))
    random.Random(len(distances)).shuffle(names)
    paths = []
    for k, distance in enumerate(distances):
        position = np.array(first) + normal * distance + np.array(shear) * k
        extra = {"InstanceNumber": names[k] + 1, **attributes, **(each(k) if each is not None else {})}
        item = dataset(
            sop_class,
            **{
                "ImagePositionPatient": [float(f"{value:.10f}") for value in position],
                "ImageOrientationPatient": [float(f"{value:.12f}") for value in cosines],
                "PixelSpacing": list(pixel_spacing),
                "SliceThickness": abs(gap),
                **extra,
            },
        )
        values = measured(cosines, pixel_spacing, position, rows, columns)
        slope, intercept = float(extra.get("RescaleSlope", 1)), float(extra.get("RescaleIntercept", 0))
        stored = np.round((values - intercept) / slope).astype(dtype)
        paths.append(save(item, folder / f"{prefix}{names[k]:03d}.dcm", stored, syntax=syntax))
    return paths


def assert_phantom(array: Array, affine: Array, *, within: float = 0.51) -> None:
    """Every voxel holds the phantom's value at the place that the affine says (up to rounding to whole numbers)."""
    k, j, i = np.mgrid[: array.shape[0], : array.shape[1], : array.shape[2]]
    ijk = np.stack([i, j, k, np.ones_like(i)], axis=-1)
    ras = ijk @ affine.T
    np.testing.assert_allclose(array, phantom(ras[..., :3]), rtol=0, atol=within)
