"""Which kinds of file are split how, and real files: pydicom's, nibabel's, and the shared ones where they are."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from slicer_notebook.dicom import Reason
from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.header import read_header
from tests.dicom.make import write_series
from tests.dicom.make_multiframe import write_enhanced, write_mosaic

ROOT = Path(os.environ.get("SLICER_NOTEBOOK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_shared_data = pytest.mark.skipif(not ROOT.is_dir(), reason=f"no shared data in {ROOT}")


def planes(path):
    return planes_of(read_header(path))


def test_a_single_frame_is_its_own_plane(tmp_path):
    (path, *_) = write_series(tmp_path / "a")
    instance = read_header(path)
    found = planes_of(instance)
    assert list(found) == [instance]
    assert (found.warnings, found.dimension_names) == ([], [])


def test_an_enhanced_object_of_one_frame(tmp_path):
    (plane,) = planes(write_enhanced(tmp_path / "a", shape=(1, 4, 3), slope=lambda *_: 0.5))
    assert plane.RescaleSlope == 0.5
    assert plane.ImagePositionPatient == [-20.0, 10.0, 5.0]


def test_unpacked_mosaics_may_still_say_so(tmp_path):
    """Numaris X makes enhanced objects of mosaics and keeps ImageType."""
    path = write_enhanced(tmp_path / "a", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    assert read_header(path).mosaic == "siemens"
    found = planes(path)
    assert len(found) == 5
    assert {plane.tile for plane in found} == {None}


def test_a_mosaic_that_is_gone(tmp_path):
    path = write_mosaic(tmp_path / "a")
    instance = read_header(path)
    path.unlink()
    with pytest.raises(NotSplitError) as caught:
        planes_of(instance)
    assert caught.value.reason == Reason.MOSAIC


def pydicom_data(name):
    """A file of pydicom-data, which may not be installed; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is in pydicom-data, which is not installed")
    return Path(path)


def test_enhanced_ct_as_pydicom():
    path = pydicom_data("eCT_Supplemental.dcm")
    item = pydicom.dcmread(path)
    found = planes(path)
    shared = item.SharedFunctionalGroupsSequence[0]
    for plane, frame in zip(found, item.PerFrameFunctionalGroupsSequence, strict=True):
        for field, sequence in (
            ("ImagePositionPatient", "PlanePositionSequence"),
            ("ImageOrientationPatient", "PlaneOrientationSequence"),
            ("PixelSpacing", "PixelMeasuresSequence"),
            ("RescaleSlope", "PixelValueTransformationSequence"),
            ("RescaleIntercept", "PixelValueTransformationSequence"),
        ):
            source = frame if sequence in frame else shared
            expected = source[sequence][0][field].value
            assert getattr(plane, field) == (float(expected) if "Rescale" in field else [float(e) for e in expected])


def test_ultrasound_as_pydicom():
    path = pydicom_data("color3d_jpeg_baseline.dcm")
    found = planes(path)
    item = pydicom.dcmread(path, stop_before_pixels=True)
    assert len(found) == item.NumberOfFrames == 120
    assert found[-1].TemporalPositionTimeOffset == pytest.approx(119 * float(item.FrameTime) / 1000, abs=1e-6)
    region = item.SequenceOfUltrasoundRegions[0]
    assert found[0].PixelSpacing == pytest.approx([region.PhysicalDeltaY * 10, region.PhysicalDeltaX * 10])


def test_enhanced_mr_without_its_groups():
    with pytest.raises(NotSplitError) as caught:
        planes(pydicom_data("emri_small.dcm"))
    assert caught.value.reason == Reason.ENHANCED_MULTIFRAME


def nibabel_file(name, folder):
    nibabel = pytest.importorskip("nibabel")
    packed = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / f"{name}.dcm.gz"
    if not packed.is_file():
        pytest.skip(f"this nibabel has no {packed.name}")
    path = folder / f"{name}.dcm"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


@pytest.mark.parametrize(("name", "b"), [("siemens_dwi_0", 0.0), ("siemens_dwi_1000", 1000.0)])
def test_a_mosaic_as_nibabel(tmp_path, name, b):
    wrappers = pytest.importorskip("nibabel.nicom.dicomwrappers")
    path = nibabel_file(name, tmp_path)
    theirs = wrappers.wrapper_from_file(path)
    ours = planes(path)
    assert len(ours) == theirs.n_mosaic == 48
    np.testing.assert_allclose(ours[0].ImagePositionPatient, theirs.image_position, rtol=0, atol=1e-3)
    last = theirs.image_position + theirs.slice_normal * theirs.voxel_sizes[2] * 47
    np.testing.assert_allclose(ours[-1].ImagePositionPatient, last, rtol=0, atol=1e-3)
    assert {plane.DiffusionBValue for plane in ours} == {b}
    if b:
        # Their gradient is the b-matrix's main direction, whose sign means nothing.
        direction = theirs.q_vector / np.linalg.norm(theirs.q_vector)
        in_patient = theirs.rotation_matrix @ direction
        assert abs(np.array(ours[0].DiffusionGradientOrientation) @ in_patient) == pytest.approx(1.0, abs=1e-3)


def test_a_philips_volume_as_nibabel(tmp_path):
    path = nibabel_file("philips_mprage", tmp_path)
    found = planes(path)
    item = pydicom.dcmread(path, stop_before_pixels=True)
    assert len(found) == 176
    for plane, frame in zip(found, item.PerFrameFunctionalGroupsSequence, strict=True):
        assert plane.ImagePositionPatient == [float(x) for x in frame.PlanePositionSequence[0].ImagePositionPatient]
        # The private sequence of the frame holds a rescale as well, which is another one.
        assert plane.RescaleSlope == float(frame.PixelValueTransformationSequence[0].RescaleSlope)


@needs_shared_data
@pytest.mark.parametrize(
    ("folder", "count", "step", "several"),
    [
        ("dicom2nifti/philips_enhanced/anatomical/001", 8, 1.2, {}),
        ("dicom2nifti/philips_enhanced/dti/001", 32, 2.7, {"DiffusionBValue": {0.0, 1300.0}}),
        ("dicom2nifti/philips_enhanced/fmri/001", 32, 3.3125, {"TemporalPositionTimeOffset": {0.0, 3.0, 6.0, 9.0}}),
        ("dicom2nifti/siemens_multiframe/anatomical/001", 8, 0.9, {}),
        ("dicom2nifti/hyperfine/anatomical/001", 8, 5.0, {"EchoTime": {194.4}}),
        ("dcmqi/23x38x3/multiframe", 3, 2.5, {}),
        ("dcm_qa_uih/dti_tra_dir16_PA", 20, 4.2, {}),
        ("dicom2nifti/siemens/fmri/001", 50, 3.08, {}),
    ],
)
def test_shared_files(folder, count, step, several):
    for path in sorted(path for path in (ROOT / folder).iterdir() if path.is_file()):
        found = planes(path)
        assert len(found) == count
        axes = np.array(found[0].ImageOrientationPatient).reshape(2, 3)
        along = np.unique(np.round([np.cross(*axes) @ plane.ImagePositionPatient for plane in found], 2))
        assert np.diff(along) == pytest.approx(step, abs=0.02)
        for field, values in several.items():
            assert {round(getattr(plane, field), 6) for plane in found} == values


@needs_shared_data
def test_uih_directions_are_the_scanners_table():
    """In patient coordinates its table, which has parts of exactly 0.78, shows; in the image's own it does not."""
    folder = ROOT / "dcm_qa_uih/dti_tra_dir16_PA"
    directions = [planes(path)[0].DiffusionGradientOrientation for path in sorted(folder.iterdir())]
    parts = np.abs([direction for direction in directions if direction is not None])
    assert parts.shape == (16, 3)
    assert np.sum(np.any(np.abs(parts - 0.78) < 1e-4, axis=1)) >= 10
