"""Reading: values, types, bits and rescaling, against other readers where they are right."""

from __future__ import annotations

import os
import threading

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from slicer_notebook.dicom import plan, read
from slicer_notebook.errors import DicomError, FileFormatError, JobCancelledError, SeriesRefusedError
from tests.dicom.make import (
    AXIAL,
    CORONAL,
    CR,
    CT,
    DECUBITUS,
    MR,
    PET,
    SAGITTAL,
    assert_phantom,
    dataset,
    oblique,
    save,
    write_series,
)


def load(files):
    found = plan(files)
    assert [refusal.message for refusal in found.refused] == []
    assert len(found.volumes) == 1
    return read(found.volumes[0])


def one_slice(folder, pixels, sop_class=MR, **attributes):
    """A file of one slice with these stored pixels."""
    geometry = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": list(AXIAL), "PixelSpacing": [1, 1]}
    signed = int(pixels.dtype.kind == "i")
    bits = {"BitsAllocated": 8 * pixels.itemsize, "BitsStored": 8 * pixels.itemsize, "PixelRepresentation": signed}
    merged = {**geometry, **bits, **attributes}
    merged.setdefault("HighBit", merged["BitsStored"] - 1)
    syntax = merged.pop("syntax", ExplicitVRLittleEndian)
    name = merged.pop("name", "a.dcm")
    folder.mkdir(exist_ok=True)
    return save(dataset(sop_class, **merged), folder / name, pixels, syntax=syntax)


def itk(files):
    """SimpleITK's reading of files in order: array, and IJK to RAS."""
    image = SimpleITK.ReadImage([str(path) for path in files])
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@pytest.mark.parametrize(
    "cosines", [AXIAL, SAGITTAL, CORONAL, DECUBITUS, oblique((12, -33, 71))], ids=lambda c: f"{c[0]:.2f}"
)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_as_simpleitk(tmp_path, cosines, dtype):
    """Voxel by voxel and millimetre by millimetre, where there is neither tilt nor a slope of each slice."""
    files = write_series(
        tmp_path, cosines=cosines, dtype=dtype, PixelRepresentation=int(dtype is np.int16), RescaleIntercept=-1024
    )
    data = load(sorted(files))
    expected, affine = itk(files)
    np.testing.assert_array_equal(data.array, expected)
    np.testing.assert_allclose(data.affine, affine, rtol=0, atol=1e-5)
    assert_phantom(data.array, data.affine)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32])
def test_native_syntaxes_and_types(tmp_path, syntax, dtype):
    limits = np.iinfo(dtype)
    values = np.linspace(limits.min, limits.max, 15, dtype=np.float64).astype(dtype).reshape(3, 5)
    path = one_slice(tmp_path, values, syntax=syntax)
    data = load([path])
    assert data.array.dtype == np.dtype(dtype)
    assert data.array.dtype.isnative
    np.testing.assert_array_equal(data.array[0], values)
    np.testing.assert_array_equal(data.array[0], pixel_array(pydicom.dcmread(path), raw=True))


def test_rle(tmp_path):
    values = np.arange(-30, 30, dtype=np.int16).reshape(6, 10)
    path = one_slice(tmp_path, values)
    item = pydicom.dcmread(path)
    item.compress(RLELossless)
    item.save_as(path)
    np.testing.assert_array_equal(load([path]).array[0], values)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm",
     "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm",
     "JPEG2000.dcm", "image_dfl.dcm"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes long:UserWarning")  # pydicom, of its padded file
def test_pydicoms_own_files(name):
    """What pydicom decodes, rescaled."""
    path = get_testdata_file(name, download=False)
    found = plan([path])
    item = pydicom.dcmread(path)
    (planned,) = [*found.volumes, *found.images]
    data = read(planned)
    expected = item.pixel_array * float(item.get("RescaleSlope", 1)) + float(item.get("RescaleIntercept", 0))
    np.testing.assert_array_equal(data.array[0], expected)
    assert planned.image == (planned.orientation == "projection")
    if planned.image:
        return
    position = np.array(item.ImagePositionPatient, dtype=float) * [-1, -1, 1]
    np.testing.assert_allclose(data.affine[:3, 3], position)


def test_a_slope_of_each_slice_makes_floats(tmp_path):
    """SimpleITK takes the first file's; here every slice has its own."""
    slopes = (1.0, 1.5, 0.25, 0.3)
    files = write_series(
        tmp_path, shape=(4, 7, 6), sop_class=PET, Units="BQML",
        each=lambda k: {"RescaleSlope": slopes[k], "RescaleIntercept": 0},
    )  # fmt: skip
    data = load(files)
    assert data.array.dtype == np.float32
    assert data.units == "BQML"
    assert_phantom(data.array, data.affine, within=0.51 * 1.5 + 0.1)
    for k, path in enumerate(files):
        item = pydicom.dcmread(path)
        expected = (item.pixel_array.astype(np.float64) * float(item.RescaleSlope)).astype(np.float32)
        np.testing.assert_array_equal(data.array[k], expected)


def test_whole_slopes_keep_integers(tmp_path):
    files = write_series(tmp_path, each=lambda k: {"RescaleSlope": k + 1, "RescaleIntercept": -10 * k})
    data = load(files)
    assert data.array.dtype == np.int16
    assert_phantom(data.array, data.affine, within=2.51)


def test_a_range_that_does_not_fit_is_widened(tmp_path):
    """Slice 2 alone goes beyond 16 bits; the first file does not decide."""
    files = write_series(
        tmp_path, each=lambda k: {"RescaleSlope": 1, "RescaleIntercept": 40000 if k == 2 else 0}, dtype=np.int32,
        BitsAllocated=32, BitsStored=32, HighBit=31,
    )  # fmt: skip
    assert load(files).array.dtype == np.int32
    narrow = write_series(tmp_path / "n", each=lambda k: {"RescaleIntercept": 40000 if k == 2 else 1}, dtype=np.uint16,
                          PixelRepresentation=0, pixel_spacing=(1.0, 1.0))  # fmt: skip
    data = load(narrow)
    assert data.array.dtype == np.int32
    stored = pydicom.dcmread(narrow[2]).pixel_array.astype(np.int64)
    np.testing.assert_array_equal(data.array[2], stored + 40000)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32]),
    slope=st.sampled_from([1, 2, -1, 3, 100, 70000, 0.5, -0.1]),
    intercept=st.sampled_from([0, -1024, 1, 32768, -(2**31), 0.25]),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_are_slope_times_stored_plus_intercept(tmp_path_factory, dtype, slope, intercept, seed):
    """For any type and whole or broken slope; integers exactly, floats as float64 rounds to the array's type."""
    limits = np.iinfo(dtype)
    stored = np.random.default_rng(seed).integers(limits.min, limits.max, (3, 4), dtype=dtype, endpoint=True)
    path = one_slice(tmp_path_factory.mktemp("r"), stored, RescaleSlope=slope, RescaleIntercept=intercept)
    data = load([path])
    expected = stored.astype(np.float64) * slope + intercept
    if float(slope).is_integer() and float(intercept).is_integer():
        assert data.array.dtype.kind in "iu" or np.abs(expected).max() > 2**31 - 1
        np.testing.assert_array_equal(data.array[0].astype(np.float64), expected)
    else:
        assert data.array.dtype == (np.float32 if stored.itemsize <= 2 else np.float64)
        np.testing.assert_array_equal(data.array[0], expected.astype(data.array.dtype))


@pytest.mark.parametrize(
    ("stored", "bits", "high", "signed", "expected", "warns"),
    [
        # 12 bits signed, the sign not repeated above them: 0x0FFF is -1
        ([0x0FFF, 0x0800, 0x07FF, 1], 12, 11, 1, [-1, -2048, 2047, 1], False),
        # repeated already
        ([0xFFFF, 0xF800, 0x07FF, 1], 12, 11, 1, [-1, -2048, 2047, 1], False),
        # 12 bits unsigned, an overlay in bit 15: it is no part of the value
        ([0x8FFF, 0x8001, 0x0001, 0], 12, 11, 0, [4095, 1, 1, 0], True),
        # stored in the upper bits
        ([0xFFF0, 0x0010, 0x8000, 0], 12, 15, 0, [4095, 1, 2048, 0], False),
        ([0xFFF0, 0x0010, 0x8000, 0], 12, 15, 1, [-1, 1, -2048, 0], False),
    ],
)
def test_bits_stored(tmp_path, stored, bits, high, signed, expected, warns):  # noqa: PLR0917
    pixels = np.array(stored, dtype=np.uint16).reshape(2, 2)
    path = one_slice(tmp_path, pixels, BitsStored=bits, HighBit=high, PixelRepresentation=signed)
    data = load([path])
    assert data.array.ravel().tolist() == expected
    assert any("bits set outside" in warning for warning in data.warnings) is warns


def test_monochrome1_keeps_its_values(tmp_path):
    pixels = np.array([[0, 100], [200, 300]], dtype=np.uint16)
    data = load([one_slice(tmp_path, pixels, PhotometricInterpretation="MONOCHROME1")])
    np.testing.assert_array_equal(data.array[0], pixels)
    assert data.inverted
    assert not load([one_slice(tmp_path, pixels)]).inverted


def test_header_facts(tmp_path):
    files = write_series(
        tmp_path, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[40, -600], WindowWidth=[400, 1600]
    )
    data = load(files)
    assert data.window_level == (400.0, 40.0)
    assert (data.units, data.modality, data.name) == ("HU", "CT", "3: Chest")
    assert data.uids == {
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.5",
        "FrameOfReferenceUID": "1.2.3.4.6",
        "SOPClassUID": CT,
    }
    assert data.sop_instance_uids == [pydicom.dcmread(path).SOPInstanceUID for path in files]


@pytest.mark.parametrize(
    ("attributes", "sop_class", "units"),
    [
        ({"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US"}, CT, ""),
        ({"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "MGML"}, CT, "MGML"),
        ({}, CT, ""),
        ({}, MR, ""),
        ({"Units": "CNTS"}, PET, "CNTS"),
    ],
)
def test_units(tmp_path, attributes, sop_class, units):
    assert load(write_series(tmp_path, sop_class=sop_class, **attributes)).units == units


@pytest.mark.parametrize(
    "window", [{}, {"WindowCenter": 40, "WindowWidth": 0}, {"WindowCenter": 40}, {"WindowCenter": "", "WindowWidth": 1}]
)
def test_no_window(tmp_path, window):
    assert load(write_series(tmp_path, **window)).window_level is None


def test_progress_and_threads(tmp_path):
    found = plan(write_series(tmp_path, shape=(20, 7, 6)))
    calls, callers = [], set()

    def progress(done, total, text):
        calls.append((done, total, text))
        callers.add(threading.current_thread())

    # Small slices are read in one piece, large ones one by one.
    read(found.volumes[0], progress)
    assert calls == [(20, 20, "Reading 3: Chest")]
    assert callers == {threading.current_thread()}


def test_cancelled_reading_gives_nothing(tmp_path):
    found = plan(write_series(tmp_path, shape=(20, 7, 6)))
    polls = []

    def cancelled():
        polls.append(None)
        return len(polls) > 5

    with pytest.raises(JobCancelledError, match="3: Chest"):
        read(found.volumes[0], cancelled=cancelled)
    assert len(polls) < 20


def test_an_error_in_progress_reaches_the_caller(tmp_path):
    found = plan(write_series(tmp_path))

    def progress(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(found.volumes[0], progress)


def test_a_file_that_is_gone(tmp_path):
    files = write_series(tmp_path)
    found = plan(files)
    files[3].unlink()
    with pytest.raises(FileFormatError, match="cannot be read") as caught:
        read(found.volumes[0])
    assert caught.value.details["path"] == str(files[3])


def test_a_file_that_changed_in_what_matters(tmp_path):
    files = write_series(tmp_path)
    found = plan(files)
    item = pydicom.dcmread(files[3])
    item.RescaleIntercept = 7
    item.save_as(files[3])
    with pytest.raises(FileFormatError, match="a change of RescaleIntercept"):
        read(found.volumes[0])


def test_a_file_that_changed_in_what_does_not(tmp_path):
    """A longer header moves the pixels; they are found again."""
    files = write_series(tmp_path)
    found = plan(files)
    item = pydicom.dcmread(files[3])
    item.PatientComments = "moved " * 20
    item.save_as(files[3])
    data = read(found.volumes[0])
    assert_phantom(data.array, data.affine)


def test_a_file_that_was_cut_after_planning(tmp_path):
    files = write_series(tmp_path)
    found = plan(files)
    status = files[3].stat()
    files[3].write_bytes(files[3].read_bytes()[:-4] + b"")
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises((FileFormatError, SeriesRefusedError)):
        read(found.volumes[0])


def test_corrupt_compressed_pixels_are_refused(tmp_path):
    path = one_slice(tmp_path, np.arange(60, dtype=np.int16).reshape(6, 10))
    item = pydicom.dcmread(path)
    item.compress(RLELossless)
    item.PixelData = item.PixelData[:24] + b"\xff" * (len(item.PixelData) - 24)
    item.save_as(path)
    with pytest.raises(SeriesRefusedError, match="cannot be decoded") as caught:
        read(plan([path]).volumes[0])
    assert caught.value.reason == "transfer-syntax"


def test_equal_copies_are_compared(tmp_path):
    files = write_series(tmp_path / "a")
    copy = tmp_path / "copy.dcm"
    item = pydicom.dcmread(files[1])
    item.compress(RLELossless)
    item.SOPInstanceUID = pydicom.dcmread(files[1]).SOPInstanceUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.save_as(copy)
    data = load([*files, copy])
    assert_phantom(data.array, data.affine)


def test_copies_with_different_pixels_are_refused(tmp_path):
    files = write_series(tmp_path / "a")
    copy = tmp_path / "copy.dcm"
    changed = bytearray(files[1].read_bytes())
    changed[-1] ^= 1
    copy.write_bytes(changed)
    with pytest.raises(SeriesRefusedError, match="different pixels") as caught:
        read(plan([*files, copy]).volumes[0])
    assert caught.value.reason == "uid-conflict"
    assert sorted(caught.value.details["files"]) == sorted([str(files[1]), str(copy)])


def test_not_enough_memory(tmp_path, monkeypatch):
    found = plan(write_series(tmp_path))

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr("slicer_notebook.dicom.load.np.empty", no_memory)
    with pytest.raises(DicomError, match="not enough memory"):
        read(found.volumes[0])


def test_a_radiograph(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    path = save(dataset(CR, PixelSpacing=[0.2, 0.1], PixelRepresentation=0), tmp_path / "a.dcm", pixels)
    data = read(plan([path]).images[0])
    np.testing.assert_array_equal(data.array, pixels[None])
    np.testing.assert_allclose(data.affine, np.diag([-0.1, -0.2, 1, 1]))
