"""Small series of all kinds, for the fuzzer to damage."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.dicom.make import CORONAL, CR, MR, PET, SECONDARY_CAPTURE, dataset, oblique, save, write_series
from tests.dicom.make_multiframe import (
    protocol,
    slice_centres,
    write_cine,
    write_enhanced,
    write_mosaic,
    write_uih_grid,
)

if TYPE_CHECKING:
    from tests.dicom.fuzz import Found

__all__ = ["Base", "made", "names"]


class Base(NamedTuple):
    """An undamaged series."""

    name: str
    #: name -> content
    files: dict[str, bytes]
    #: what it is read as
    found: Found


def _compressed(folder: Path, syntax: str) -> None:
    # JPEG 2000's five halvings want some pixels.
    for path in write_series(folder, shape=(3, 33, 34)):
        item = pydicom.dcmread(path)
        item.compress(syntax, generate_instance_uid=False)
        item.save_as(path)


def _deflated(folder: Path) -> None:
    for path in write_series(folder):
        item = pydicom.dcmread(path)
        item.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        item.save_as(path)


def _times(folder: Path) -> None:
    for time in range(2):
        write_series(
            folder, sop_class=MR, prefix=f"t{time}-", TemporalPositionIdentifier=time + 1, NumberOfTemporalPositions=2,
            AcquisitionTime=f"10000{time}", AcquisitionNumber=time + 1, shape=(3, 7, 6), RescaleIntercept=-100 * time,
            RescaleSlope=1,
        )  # fmt: skip


def _colour(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (7, 6, 3), np.uint8)
    item = dataset(
        SECONDARY_CAPTURE, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0, PixelSpacing=[0.5, 0.5],
    )  # fmt: skip
    save(item, folder / "colour.dcm", pixels)


def _radiograph(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(2).integers(0, 4096, (9, 8), np.uint16)
    item = dataset(
        CR, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11, PixelRepresentation=0,
        ImagerPixelSpacing=[0.2, 0.2], WindowCenter=2000, WindowWidth=4000,
    )  # fmt: skip
    save(item, folder / "radiograph.dcm", pixels)


def _cine(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (4, 6, 5), np.uint8)
    write_cine(
        folder / "cine.dcm", pixels, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, FrameTime=40,
        FrameIncrementPointer=0x00181063, PixelSpacing=[0.5, 0.5],
    )  # fmt: skip


def _enhanced(folder: Path, **keywords: Any) -> None:
    folder.mkdir()
    write_enhanced(folder / "enhanced.dcm", **keywords)


def _mosaic(folder: Path) -> None:
    folder.mkdir()
    spacing, first, gap, shape = (2.0, 3.0), (-20.0, 10.0, 5.0), 4.0, (5, 6, 4)
    cosines = oblique((5, -8, 3))
    normal = np.cross(cosines[:3], cosines[3:])
    header = {
        "NumberOfImagesInMosaic": [str(shape[0])], "SliceNormalVector": [f"{each:.8f}" for each in normal],
        "SpacingBetweenSlices": [str(gap)],
    }  # fmt: skip
    text = protocol(slice_centres(cosines, spacing, first, gap, shape), normal.tolist())
    write_mosaic(folder / "mosaic.dcm", cosines=cosines, image_header=header, text=text)


def _grid(folder: Path) -> None:
    folder.mkdir()
    write_uih_grid(folder / "grid.dcm")


def _copied(folder: Path, name: str) -> None:
    folder.mkdir()
    path = get_testdata_file(name, download=False)
    assert path is not None
    (folder / name).write_bytes(Path(str(path)).read_bytes())


def _nibabel(folder: Path) -> None:
    import nibabel

    folder.mkdir()
    path = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "siemens_dwi_1000.dcm.gz"
    (folder / "mosaic.dcm").write_bytes(gzip.decompress(path.read_bytes()))


_REAL: Final = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_small_odd.dcm", "JPEG-lossy.dcm", "rtdose.dcm", "examples_palette.dcm",
)  # fmt: skip

_MAKERS: Final[dict[str, Callable[[Path], object]]] = {
    "CT": lambda folder: write_series(folder, RescaleIntercept=-1024, RescaleSlope=1, WindowCenter=40, WindowWidth=400),
    "MR, implicit": lambda folder: write_series(folder, sop_class=MR, cosines=CORONAL, syntax=ImplicitVRLittleEndian),
    "big endian": lambda folder: write_series(folder, syntax=ExplicitVRBigEndian),
    "oblique": lambda folder: write_series(folder, cosines=oblique((12, -33, 71)), EchoTime=30, SliceLocation=3),
    "tilted": lambda folder: write_series(folder, shear=(0.0, 1.0, 0.0), GantryDetectorTilt=14),
    "PET": lambda folder: write_series(
        folder,
        sop_class=PET,
        each=lambda k: {"RescaleSlope": [0.5, 1, 0.25, 2, 0.125][k]},
        RescaleIntercept=0,
        Units="BQML",
    ),
    "8 bits": lambda folder: write_series(
        folder,
        dtype=np.uint8,
        pixel_spacing=(0.2, 0.3),
        gap=0.4,
        first=(130.0, 10.0, 25.0),
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
    ),
    "32 bits": lambda folder: write_series(folder, dtype=np.int32, BitsAllocated=32, BitsStored=32, HighBit=31),
    "12 bits": lambda folder: write_series(folder, BitsStored=12, HighBit=11, PixelPaddingValue=-2000),
    "times": _times,
    "RLE": lambda folder: _compressed(folder, RLELossless),
    "JPEG 2000": lambda folder: _compressed(folder, JPEG2000Lossless),
    "deflated": _deflated,
    "colour": _colour,
    "radiograph": _radiograph,
    "cine": _cine,
    "enhanced": lambda folder: _enhanced(folder, slope=lambda volume, k: 0.25 * (k + 1)),
    "enhanced, times": lambda folder: _enhanced(
        folder,
        volumes=2,
        undefined_length=True,
        each=lambda volume, k: {"FrameContentSequence": {"TemporalPositionIndex": volume + 1}},
    ),
    "mosaic": _mosaic,
    "grid": _grid,
    "real mosaic": _nibabel,
    **{name: (lambda folder, name=name: _copied(folder, name)) for name in _REAL},
}


def names() -> list[str]:
    """Of all series."""
    return list(_MAKERS)


def made(folder: Path, plan_and_read: Callable[[list[str]], Found]) -> list[Base]:
    """All of them, the same bytes each time; ``folder`` holds them afterwards."""
    folder.mkdir()
    found = []
    for number, (name, maker) in enumerate(_MAKERS.items()):
        place = folder / str(number)
        # UIDs by chance, of any length, would put each process's damage at other places.
        with patch("tests.dicom.make.generate_uid", _counted(number)):
            maker(place)
        paths = sorted(place.iterdir())
        files = {path.name: path.read_bytes() for path in paths}
        found.append(Base(name, files, plan_and_read([str(path) for path in paths])))
    return found


def _counted(series: int) -> Callable[[], UID]:
    numbers = itertools.count(1)
    return lambda: UID(f"1.2.826.0.1.3680043.8.498.{series + 100}.{next(numbers) + 1000}")
