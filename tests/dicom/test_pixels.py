"""Planes of every kind as an independent reader has them: frames, tiles, bits, colours, compressions, archives."""

from __future__ import annotations

import itertools
import struct
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from slicer_notebook.dicom import Reason, plan, read, read_sequence
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.pixels import read_stored
from slicer_notebook.errors import SeriesRefusedError
from tests.dicom.make import CT, SECONDARY_CAPTURE, dataset, save

MULTI_FRAME_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"


def values(path):
    """All planes of a file's plan in the order of its frames, [plane, row, column(, 3)]; a refusal's reason, if any."""
    found = plan([path])
    if found.refused:
        return found.refused[0].reason
    try:
        if found.sequences:
            return read_sequence(found.sequences[0]).array[:, 0]
        volume = [*found.volumes, *found.images][0]
        return read(volume).array[np.argsort([plane.frame for plane in volume.instances])]
    except SeriesRefusedError as exc:
        return Reason(exc.reason)


def _rescaled_by_frame(pixels, item):
    """Frames of an enhanced object by the rescale of each."""
    shared = item.get("SharedFunctionalGroupsSequence", [])
    for number, groups in enumerate(item.get("PerFrameFunctionalGroupsSequence", [])):
        for transformation in [*groups.get("PixelValueTransformationSequence", [])] or [
            each for group in shared for each in group.get("PixelValueTransformationSequence", [])
        ]:
            pixels = pixels.astype(float)
            slope, intercept = float(transformation.RescaleSlope), float(transformation.RescaleIntercept)
            pixels[number] = pixels[number] * slope + intercept
    return pixels


def expected(path):
    """The same by pydicom."""
    item = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in item.file_meta:
        item.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pixels = pydicom.pixels.pixel_array(item, raw=True)
    photometric = item.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, item)
    elif photometric.startswith("YBR_FULL"):
        pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
    elif item.get("SamplesPerPixel", 1) == 1:
        pixels = apply_modality_lut(pixels, item)
        pixels = _rescaled_by_frame(pixels, item)
    return pixels if int(item.get("NumberOfFrames", 1) or 1) > 1 else pixels[None]


def _with_pixels():
    names = []
    for name in get_testdata_files("*.dcm"):
        item = pydicom.dcmread(name, force=True, defer_size=1024)
        uids = all(keyword in item for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"))
        if "PixelData" in item and "Rows" in item and uids and "SEG" not in item.get("Modality", ""):
            names.append(name)
    return names


#: Damaged on purpose, or of a kind that has an issue of its own.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": Reason.TRANSFER_SYNTAX,
    "MR_truncated.dcm": Reason.TRUNCATED,
    "rtdose.dcm": Reason.RT_DOSE,
    "rtdose_1frame.dcm": Reason.RT_DOSE,
    "rtdose_expb.dcm": Reason.RT_DOSE,
    "rtdose_expb_1frame.dcm": Reason.RT_DOSE,
    "rtdose_rle.dcm": Reason.RT_DOSE,
    "rtdose_rle_1frame.dcm": Reason.RT_DOSE,
    "badVR.dcm": Reason.RT_DOSE,
    # enhanced objects whose functional groups were taken out
    **{
        f"emri_small{kind}.dcm": Reason.ENHANCED_MULTIFRAME
        for kind in ("", "_RLE", "_big_endian", "_jpeg_2k_lossless", "_jpeg_2k_lossless_too_short", "_jpeg_ls_lossless")
    },
    # colours of 32 bits
    **{
        f"SC_rgb_{kind}.dcm": Reason.PIXEL_FORMAT
        for kind in ("32bit", "32bit_2frame", "expb_32bit", "expb_32bit_2frame", "rle_32bit", "rle_32bit_2frame")
    },
}
#: pydicom has no decoder for 12 bits of lossy JPEG; GDCM has.
NOT_BY_PYDICOM = {"JPEG-lossy.dcm", "JPGExtended.dcm"}


@pytest.mark.parametrize("path", _with_pixels(), ids=lambda path: Path(path).name)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_as_pydicom(path):
    got = values(path)
    name = Path(path).name
    if isinstance(got, Reason):
        assert got is REFUSED.get(name), f"{name} is refused as {got}"
        return
    assert name not in REFUSED
    if name in NOT_BY_PYDICOM:
        with pytest.raises((RuntimeError, NotImplementedError)):
            expected(path)
        return
    # pydicom leaves a big-endian palette's bytes as they are: its twin tells.
    truth = expected(path.replace("_expb", "") if name.startswith("OBXXXX1A_expb") else path)
    assert got.shape == truth.shape
    colour = got.ndim == 4
    # Two libraries round the same sums of luminance and chrominance, and two JPEG decoders their cosines.
    within = 3 if colour and pydicom.dcmread(path, force=True).PhotometricInterpretation.startswith("YBR") else 0
    np.testing.assert_allclose(got.astype(float), truth.astype(float), rtol=1e-6, atol=within)


def test_a_delimiter_over_the_width_of_an_image():
    """FE FF DD E0 lies over Rsiz and Xsiz of its JPEG 2000 header, which then says 3722445056 columns.

    Nothing decodes it: not a fault of where the fragment was thought to end.
    """
    path = get_testdata_file("JPEG2000-embedded-sequence-delimiter.dcm")
    found = plan([path])
    with pytest.raises(SeriesRefusedError, match="1024 x 3722445056"):
        read([*found.volumes, *found.images][0])
    with pytest.raises(RuntimeError, match="Unable to decode"):
        pydicom.pixels.pixel_array(path)


@pytest.mark.parametrize("table", [[0, 1, 2, 3], [0, 2, 4, 5], [0, 3, 4, 6], [0, 2, 3, 6], [0, 1, 4, 6]])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_an_offset_table_that_shifts_frames_is_refused(tmp_path, syntax, table):
    """Each frame is of two fragments; the table's entries begin fragments, but others than frames do.

    JPEG-LS says itself where a frame begins, which may put the table right.
    """
    if syntax == JPEGLSLossless:
        pytest.importorskip("jpeg_ls", reason="pydicom's encoder for JPEG-LS is not installed")
    frames = np.random.default_rng(3).integers(0, 60000, (4, 30, 8)).astype(np.uint16)
    path = frames_file(tmp_path, frames, BitsAllocated=16, BitsStored=16, HighBit=15)
    item = pydicom.dcmread(path)
    item.compress(syntax, encoding_plugin="pydicom" if syntax == RLELossless else "pyjpegls")
    halves = [
        half
        for frame in generate_frames(item.PixelData, number_of_frames=4)
        for half in (frame[: len(frame) // 4 * 2], frame[len(frame) // 4 * 2 :])
    ]
    starts = [0, *itertools.accumulate(8 + len(half) for half in halves)]
    for entries in ([0, 2, 4, 6], table):
        pieces = [struct.pack("<4I", *(starts[entry] for entry in entries)), *halves]
        item.PixelData = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in pieces)
        item.PixelData += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        item.save_as(path)
        got = values(path)
        if entries is table and isinstance(got, Reason):
            assert got is Reason.TRANSFER_SYNTAX
        else:
            assert entries is not table or syntax == JPEGLSLossless
            np.testing.assert_array_equal(got, frames)


def frames_file(folder, frames, *, syntax=ExplicitVRLittleEndian, **attributes):
    item = dataset(
        MULTI_FRAME_CAPTURE, NumberOfFrames=len(frames), FrameTime=40, FrameIncrementPointer=0x00181063,
        PixelRepresentation=0, **attributes,
    )  # fmt: skip
    item.Rows, item.Columns = frames.shape[1:3]
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    item.PixelData = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
    item["PixelData"].VR = "OB" if frames.itemsize == 1 else "OW"
    if len(item.PixelData) % 2:
        item.PixelData += b"\0"
    if syntax == RLELossless:
        path = save(item, folder / "a.dcm")
        item = pydicom.dcmread(path)
        item.compress(RLELossless, encoding_plugin="pydicom")
        item.save_as(path)
        return path
    return save(item, folder / "a.dcm", syntax=syntax)


SYNTAXES = [ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_in_every_encoding(tmp_path, syntax, dtype):
    frames = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (5, 3, 7)).astype(dtype)
    bits = 8 * frames.itemsize
    path = frames_file(tmp_path, frames, syntax=syntax, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    np.testing.assert_array_equal(values(path), frames)


def test_bytes_in_words_of_big_endian(tmp_path):
    """8-bit pixels as OW: pairs change places (PS3.5 annex D); pydicom writes and reads them so, too."""
    pixels = np.arange(21, dtype=np.uint8).reshape(3, 7)
    item = dataset(SECONDARY_CAPTURE, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    item.Rows, item.Columns = pixels.shape
    raw = np.append(pixels.ravel(), np.uint8(0)).astype(np.uint8)
    item.PixelData = raw.view(np.uint16).byteswap().tobytes()
    item["PixelData"].VR = "OW"
    path = save(item, tmp_path / "a.dcm", syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(values(path)[0], pixels)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, pixels)


def test_single_bits(tmp_path):
    """Frames of 21 bits begin inside bytes."""
    frames = np.random.default_rng(3).integers(0, 2, (5, 3, 7)).astype(np.uint8)
    item = dataset(
        "1.2.840.10008.5.1.4.1.1.7.1", NumberOfFrames=5, FrameTime=40, FrameIncrementPointer=0x00181063,
        BitsAllocated=1, BitsStored=1, HighBit=0, PixelRepresentation=0,
    )  # fmt: skip
    item.Rows, item.Columns = 3, 7
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    item.PixelData = packed + b"\0" * (len(packed) % 2)
    item["PixelData"].VR = "OB"
    np.testing.assert_array_equal(values(save(item, tmp_path / "a.dcm")), frames)


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
def test_floats(tmp_path, keyword, dtype):
    pixels = np.random.default_rng(3).normal(size=(3, 7)).astype(dtype)
    item = dataset(
        SECONDARY_CAPTURE, BitsAllocated=8 * pixels.itemsize, BitsStored=None, HighBit=None, PixelRepresentation=None
    )
    item.Rows, item.Columns = pixels.shape
    setattr(item, keyword, pixels.tobytes())
    got = values(save(item, tmp_path / "a.dcm"))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got[0], pixels)


def _colour(**attributes):
    return dataset(
        SECONDARY_CAPTURE,
        SamplesPerPixel=3,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        **attributes,
    )


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours(tmp_path, planar, photometric):
    pixels = np.random.default_rng(3).integers(0, 255, (4, 6, 3)).astype(np.uint8)
    item = _colour(PhotometricInterpretation=photometric, PlanarConfiguration=planar)
    item.Rows, item.Columns = 4, 6
    item.PixelData = (np.moveaxis(pixels, -1, 0) if planar else pixels).tobytes()
    item["PixelData"].VR = "OB"
    path = save(item, tmp_path / "a.dcm")
    truth = pixels if photometric == "RGB" else convert_color_space(pixels, "YBR_FULL", "RGB")
    assert np.abs(values(path)[0].astype(int) - truth).max() <= (0 if photometric == "RGB" else 1)


def test_shared_chrominance(tmp_path):
    rng = np.random.default_rng(3)
    luminance = rng.integers(0, 255, (4, 6)).astype(np.uint8)
    blue, red = rng.integers(0, 255, (2, 4, 3)).astype(np.uint8)
    raw = np.stack([luminance[:, ::2], luminance[:, 1::2], blue, red], axis=-1)
    item = _colour(PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    item.Rows, item.Columns, item.PixelData = 4, 6, raw.tobytes()
    item["PixelData"].VR = "OB"
    full = np.stack([luminance, blue.repeat(2, axis=1), red.repeat(2, axis=1)], axis=-1)
    truth = convert_color_space(full, "YBR_FULL", "RGB")
    assert np.abs(values(save(item, tmp_path / "a.dcm"))[0].astype(int) - truth).max() <= 1


def test_a_palette_of_segments(tmp_path):
    """A discrete segment, a linear one, and the first again by reference; pydicom expands them likewise."""
    segments = np.array([0, 2, 100, 200, 1, 6, 2000, 2, 1, 0, 0], "<u2")
    item = dataset(
        SECONDARY_CAPTURE, PhotometricInterpretation="PALETTE COLOR", BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0,
    )  # fmt: skip
    for colour in ("Red", "Green", "Blue"):
        setattr(item, f"{colour}PaletteColorLookupTableDescriptor", [10, 3, 16])
        setattr(item, f"Segmented{colour}PaletteColorLookupTableData", segments.tobytes())
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    path = save(item, tmp_path / "a.dcm", pixels)
    truth = apply_color_lut(pixels, pydicom.dcmread(path))
    np.testing.assert_array_equal(values(path)[0], truth)


@pytest.mark.parametrize("signed", [False, True])
def test_a_modality_lut(tmp_path, signed):
    first = -5 if signed else 3
    lut = dataset()
    lut.clear()
    lut.LUTDescriptor = [20, first, 16]
    lut.ModalityLUTType = "OD"
    lut.LUTData = [n * n * 100 % 65536 for n in range(20)]
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "SS" if signed else "US", "US"
    item = dataset(CT, PixelSpacing=[1, 1], PixelRepresentation=int(signed), ModalityLUTSequence=[lut],
                   ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])  # fmt: skip
    pixels = np.arange(-10 if signed else 0, 30 if not signed else 20, dtype=np.int16 if signed else np.uint16)
    path = save(item, tmp_path / "a.dcm", pixels.reshape(5, 6))
    got = values(path)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got[0], apply_modality_lut(pixels.reshape(5, 6), pydicom.dcmread(path)))


def test_a_modality_lut_that_contradicts_itself(tmp_path):
    lut = dataset()
    lut.clear()
    lut.LUTDescriptor, lut.LUTData = [20, 0, 16], [1, 2, 3]
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
    item = dataset(SECONDARY_CAPTURE, PixelRepresentation=0, ModalityLUTSequence=[lut])
    assert values(save(item, tmp_path / "a.dcm", np.zeros((3, 4), np.uint16))) is Reason.MODALITY_LUT


def test_tiles_of_a_frame(tmp_path):
    mosaic = np.arange(12 * 10, dtype=np.int16).reshape(12, 10)
    path = save(dataset(SECONDARY_CAPTURE), tmp_path / "a.dcm", mosaic)
    whole = read_header(path)
    for row in (0, 6):
        for column in (0, 5):
            plane = msgspec.structs.replace(whole, Rows=6, Columns=5, tile=(row, column), mosaic_shape=(12, 10))
            np.testing.assert_array_equal(read_stored(plane), mosaic[row : row + 6, column : column + 5])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_archives(tmp_path, method):
    frames = np.random.default_rng(3).integers(0, 60000, (5, 3, 7)).astype(np.uint16)
    path = frames_file(tmp_path, frames, syntax=RLELossless)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", method) as archive:
        archive.write(path, "folder/a.dcm")
    np.testing.assert_array_equal(values(f"{tmp_path / 'b.zip'}!/folder/a.dcm"), frames)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_frames_that_are_cut_off_are_refused(tmp_path, syntax):
    frames = np.random.default_rng(3).integers(0, 60000, (5, 30, 7)).astype(np.uint16)
    path = frames_file(tmp_path, frames, syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert values(path) is Reason.TRUNCATED


def test_fewer_fragments_than_frames_are_refused(tmp_path):
    frames = np.random.default_rng(3).integers(0, 60000, (5, 30, 7)).astype(np.uint16)
    path = frames_file(tmp_path, frames, syntax=RLELossless)
    item = pydicom.dcmread(path)
    item.NumberOfFrames = 9
    item.save_as(path)
    assert values(path) in (Reason.TRUNCATED, Reason.TRANSFER_SYNTAX)
