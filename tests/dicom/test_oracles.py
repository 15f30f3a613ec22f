"""What we read against what dcm2niix, SimpleITK, GDCM and pydicom read of the same files.

The first half makes its series; the second takes real ones: of pydicom and nibabel themselves, and, where they are on
the machine, pydicom-data's and those of the shared folder (`test_shared_data`).
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom import plan, read
from slicer_notebook.dicom.load import read_sequence
from tests.dicom.make import AXIAL, CORONAL, DECUBITUS, MR, PET, SAGITTAL, oblique, write_series
from tests.dicom.oracles import (
    Reading,
    assert_plane_in,
    assert_same,
    difference,
    pydicom_planes,
    with_dcm2niix,
    with_gdcm,
    with_simpleitk,
)

ORIENTATIONS = {
    "axial": AXIAL,
    "sagittal": SAGITTAL,
    "coronal": CORONAL,
    "decubitus": DECUBITUS,
    "prone": (-1, 0, 0, 0, -1, 0),
    "upside-down": (1, 0, 0, 0, -1, 0),
    "oblique": oblique((12, -33, 71)),
}


def ours(files) -> list[Reading]:
    """All that we make of these files."""
    found = plan(sorted(files))
    readings = []
    for item in [*found.volumes, *found.images]:
        data = read(item)
        readings.append(Reading(data.array, data.affine, item.name, item.samples > 1))
    for item in found.sequences:
        data = read_sequence(item)
        first = item.volumes[0]
        readings.append(Reading(data.array, np.array(first.affine), item.name, first.samples > 1))
    assert found.refused == []
    return readings


def only(files) -> Reading:
    (reading,) = ours(files)
    return reading


# -- the comparison itself ---------------------------------------------------------------------------------------------


def example() -> Reading:
    array = np.arange(4 * 3 * 2).reshape(4, 3, 2)
    affine = np.array([[0, 2.0, 0, 5], [-3.0, 0, 0.5, 6], [0, 0, 4.0, -7], [0, 0, 0, 1]])
    return Reading(array, affine)


def turned(reading: Reading) -> Reading:
    """The same, stored with i and k exchanged and j from the other end."""
    j = reading.array.shape[1]
    affine = reading.affine.copy()
    affine[:3, [0, 2]] = affine[:3, [2, 0]]
    affine[:3, 3] += affine[:3, 1] * (j - 1)
    affine[:3, 1] *= -1
    return Reading(reading.array.transpose(2, 1, 0)[:, ::-1], affine)


def test_comparison_does_not_mind_how_it_is_stored():
    assert difference(example(), turned(example())) is None
    assert difference(turned(example()), example()) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_comparison_sees_a_flip(axis):
    """Values turned round, but not the affine: what a wrong loader does."""
    wrong = example()._replace(array=np.flip(example().array, axis))
    assert "values differ" in (difference(example(), wrong) or "")


def test_comparison_sees_a_value_a_shift_a_shear_and_a_size():
    one = example()
    array = one.array.copy()
    array[3, 2, 1] += 1
    assert "1 of 24 values differ" in (difference(one, one._replace(array=array)) or "")
    moved = one.affine.copy()
    moved[2, 3] += 0.02
    assert "0.02 mm" in (difference(one, one._replace(affine=moved)) or "")
    sheared = one.affine.copy()
    sheared[1, 2] += 0.01
    assert "mm from theirs" in (difference(one, one._replace(affine=sheared)) or "")
    assert "grid" in (difference(one, one._replace(array=one.array[:3])) or "")


def test_comparison_of_times_and_colours():
    times = Reading(np.stack([example().array, example().array + 100]), example().affine)
    assert difference(times, times) is None
    assert "values differ" in (difference(times, times._replace(array=times.array[::-1])) or "")
    colours = Reading(np.stack([example().array] * 3, axis=-1), example().affine, colour=True)
    other = colours.array.copy()
    other[0, 0, 0, 2] = 9
    assert difference(colours, colours) is None
    assert "1 of 72" in (difference(colours, colours._replace(array=other)) or "")


# -- series that are made ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cosines", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_orientations(tmp_path, cosines):
    files = write_series(tmp_path / "in", cosines=cosines, sop_class=MR)
    reading = only(files)
    for other in [*with_dcm2niix(tmp_path / "in", tmp_path / "out"), *with_simpleitk(tmp_path / "in")]:
        assert_same(reading, other)
    assert [assert_plane_in(reading, plane) for plane in with_gdcm(files)] == [0, 1, 2, 3, 4]
    assert [assert_plane_in(reading, plane) for plane in pydicom_planes(files)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dtype", "attributes"),
    [
        (np.uint8, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}),
        (np.int16, {"RescaleIntercept": -1024, "RescaleSlope": 1}),
        (np.uint16, {"PixelRepresentation": 0, "RescaleIntercept": -1024, "RescaleSlope": 1}),
        (np.int16, {"BitsStored": 12, "HighBit": 11}),
        (np.int16, {"RescaleIntercept": 3.5, "RescaleSlope": 0.25}),
        (np.int16, {"syntax": ExplicitVRBigEndian}),
        (np.int16, {"syntax": ImplicitVRLittleEndian}),
    ],
    ids=["uint8", "rescaled", "unsigned", "12 bits", "fractions", "big endian", "implicit"],
)
def test_kinds_of_values(tmp_path, dtype, attributes):
    if dtype == np.uint8:
        attributes = {"pixel_spacing": (0.2, 0.3), "gap": 0.4, "first": (130.0, 10.0, 25.0), **attributes}
    files = write_series(tmp_path / "in", dtype=dtype, **attributes)
    reading = only(files)
    fractions = "RescaleSlope" in attributes and attributes["RescaleSlope"] != 1
    # Float32 on either side: half a unit of the last of its 24 bits, at values of about a thousand.
    within = 1e-4 if fractions else 0.0
    others = [*with_dcm2niix(tmp_path / "in", tmp_path / "out"), *with_simpleitk(tmp_path / "in")]
    assert len(others) == 2
    for other in others:
        assert_same(reading, other, values=within)
    for plane in [*with_gdcm(files), *pydicom_planes(files)]:
        assert_plane_in(reading, plane, values=within)


def test_a_slope_of_each_slice(tmp_path):
    """As GDCM and pydicom read each file; SimpleITK takes the first file's type for all, dcm2niix does not."""
    slopes = [0.5, 1.0, 0.25, 0.125, 2.0]
    files = write_series(tmp_path / "in", sop_class=PET, each=lambda k: {"RescaleSlope": slopes[k]}, RescaleIntercept=0)
    reading = only(files)
    for plane in [*with_gdcm(files), *pydicom_planes(files)]:
        assert_plane_in(reading, plane)
    (other,) = with_dcm2niix(tmp_path / "in", tmp_path / "out")
    assert_same(reading, other, values=1e-4)


def test_a_tilted_gantry(tmp_path):
    """The shear is that of each file's position; SimpleITK drops it."""
    files = write_series(tmp_path / "in", shear=(0.0, 4.0 * np.tan(np.radians(14.0)), 0.0))
    reading = only(files)
    for plane in [*with_gdcm(files), *pydicom_planes(files)]:
        assert_plane_in(reading, plane)
    (other,) = with_simpleitk(tmp_path / "in")
    assert "mm from theirs" in (difference(reading, other) or "")


def test_time_points(tmp_path):
    """SimpleITK stacks them; dcm2niix makes the sequence that we make."""
    files = []
    for time in range(3):
        files += write_series(
            tmp_path / "in", sop_class=MR, prefix=f"t{time}_", TemporalPositionIdentifier=time + 1,
            NumberOfTemporalPositions=3, AcquisitionTime=f"10000{time}", AcquisitionNumber=time + 1,
            RepetitionTime=1000, RescaleIntercept=-time, RescaleSlope=1,
            each=lambda k, time=time: {"InstanceNumber": time * 5 + k + 1},
        )  # fmt: skip
    reading = only(files)
    assert reading.array.shape == (3, 5, 7, 6)
    for number, plane in enumerate(pydicom_planes(files)):
        time, k = divmod(number, 5)
        assert assert_plane_in(reading._replace(array=reading.array[time]), plane) == k
    (other,) = with_dcm2niix(tmp_path / "in", tmp_path / "out")
    assert_same(reading, other)


# -- real files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "693_UNCI.dcm", "693_J2KI.dcm", "693_J2KR.dcm",
        "J2K_pixelrep_mismatch.dcm", "explicit_VR-UN.dcm", "bad_sequence.dcm",
    ],
)  # fmt: skip
def test_pydicoms_own_files(tmp_path, name):
    """pydicom decodes with other libraries than SimpleITK (DCMTK and GDCM) does."""
    try:
        path = get_testdata_file(name, download=False)
    except ValueError:
        path = None
    if path is None:
        pytest.skip(f"pydicom-data, which holds {name}, is not installed")
    reading = only([path])
    for plane in pydicom_planes([path]):
        assert_plane_in(reading, plane)
    shutil.copy(path, tmp_path)
    (other,) = with_simpleitk(tmp_path)
    assert_same(reading, other)


NIBABEL = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"


@pytest.mark.parametrize("name", ["siemens_dwi_0", "siemens_dwi_1000"])
def test_mosaics(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "mosaic.dcm").write_bytes(gzip.decompress((NIBABEL / f"{name}.dcm.gz").read_bytes()))
    reading = only(folder.iterdir())
    (other,) = with_dcm2niix(folder, tmp_path / "out")
    assert_same(reading, other, mm=0.02)


SHARED = Path(os.environ.get("SLICER_NOTEBOOK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared data in {SHARED}")
@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("dcm_qa_decubitus/HFS_t1_fl2d_sag", 0),
        ("dcm_qa_nih/mr_0004", 0),
        ("dcm_qa_uih/dti_tra_dir16_PA", 0),
        ("dcmqi/23x38x3/image", 0),
        ("dcmqi/23x38x3/multiframe", 0),
        ("dcmqi/ct-3slice", 0),
        ("dicom2nifti/failing/slicecount/001", 0),
        ("dicom2nifti/failing/sliceorientation/001", 0),
        ("dicom2nifti/ge/fmri/001", 0),
        ("dicom2nifti/generic/rgb/001", 0),
        ("dicom2nifti/hitachi/anatomical/001", 0),
        ("dicom2nifti/hyperfine/anatomical/001", 0),
        ("dicom2nifti/philips/fmri/001", 0),
        ("dicom2nifti/philips_enhanced/anatomical/001", 1e-2),
        ("dicom2nifti/philips_enhanced/fmri/001", 1e-2),
        ("dicom2nifti/siemens_multiframe/anatomical/001", 0),
    ],
)
def test_shared_data_as_dcm2niix(tmp_path, folder, values):
    """Where the two do not part by the standard (docs/dicom_kinds.md says where and why they do)."""
    others = with_dcm2niix(SHARED / folder, tmp_path / "out")
    readings = ours(path for path in (SHARED / folder).rglob("*") if path.is_file())
    assert len(readings) == len(others)
    for reading in readings:
        found = [difference(reading, other, mm=0.02, values=values) for other in others]
        assert None in found, found
