"""Real, awkward series that are not in the project; skipped where they are not on the machine.

Point SLICER_NOTEBOOK_SHARED_DATA at the folder; by default it is ``../shared/data`` beside the project. What is
expected here is what is known of each series (from its README), not what the code happens to say.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from slicer_notebook.dicom import Index, Reason, plan, read, thumbnail

ROOT = Path(os.environ.get("SLICER_NOTEBOOK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=f"no shared data in {ROOT}")


def planned(folder):
    return plan(sorted(path for path in (ROOT / folder).rglob("*") if path.is_file()))


def volumes_of(found):
    """All volumes of a plan, those of sequences with them."""
    return [volume for sequence in found.sequences for volume in sequence.volumes] + found.volumes


@pytest.mark.parametrize(
    ("folder", "shapes", "steps", "tilt"),
    [
        ("dcm_qa_decubitus/HFS_t1_fl2d_sag", [(35, 256, 256)], [4.8], 0),
        ("dcm_qa_nih/mr_0004", [(15, 64, 64)] * 10, [5.0] * 10, 0),
        ("dcm_qa_uih/dti_tra_dir16_PA", [(20, 64, 64)] * 17, None, 0),
        ("dicom2nifti/failing/gantrytilting/001", [(4, 512, 512)], [4.851], 14.0),
        ("dicom2nifti/failing/notavolume/001", [(1, 512, 512)] * 4, None, 0),
        ("dicom2nifti/failing/slicecount/001", [(2, 256, 256)], [1.0], 0),
        ("dicom2nifti/failing/sliceorientation/001", [(2, 288, 288)] * 2, [3.3, 4.4], 0),
        ("dicom2nifti/generic/anatomical/002_non_isotropic", [(4, 28, 64)], [0.5], 0),
        ("dicom2nifti/generic/rgb/001", [(4, 77, 52)], None, 0),
        ("dicom2nifti/hitachi/anatomical/001", [(4, 64, 64)], [4.0], 0),
        ("dicom2nifti/hyperfine/anatomical/001", [(8, 138, 112)], [5.0], 0),
        ("dicom2nifti/ge/fmri/001", [(4, 64, 64)] * 2, [3.6] * 2, 0),
        ("dicom2nifti/philips/fmri/001", [(2, 80, 80)] * 4, [3.3] * 4, 0),
        ("dicom2nifti/philips/dti/001", [(2, 128, 128)] * 4, [2.0] * 4, 0),
        ("dicom2nifti/philips_enhanced/anatomical/001", [(8, 256, 256)], None, 0),
        ("dicom2nifti/philips_enhanced/dti/001", [(8, 128, 128)] * 4, None, 0),
        ("dicom2nifti/philips_enhanced/fmri/001", [(8, 64, 64)] * 4, None, 0),
        ("dicom2nifti/siemens/fmri/001", [(50, 80, 80)] * 2, None, 0),
        ("dicom2nifti/siemens_multiframe/anatomical/001", [(8, 256, 256)], [0.9], 0),
        ("dcmqi/ct-3slice", [(3, 512, 512)], [1.0], 0),
        ("dcmqi/23x38x3/image", [(3, 38, 23)], [2.5], 0),
        ("dcmqi/23x38x3/multiframe", [(3, 38, 23)], [2.5], 0),
    ],
)
def test_volumes(folder, shapes, steps, tilt):
    found = planned(folder)
    assert found.refused == []
    volumes = volumes_of(found)
    assert [volume.shape for volume in volumes] == shapes
    assert thumbnail(found)[:4] == b"\x89PNG"
    for number, volume in enumerate(volumes):
        affine = np.array(volume.affine)[:3, :3]
        normal = np.cross(affine[:, 0], affine[:, 1])
        if steps is not None:
            assert affine[:, 2] @ normal / np.linalg.norm(normal) == pytest.approx(steps[number], abs=2e-3)
        assert volume.tilt == pytest.approx(tilt, abs=0.05)
        if volume.instances[0].tile is None:
            _check_against_pydicom(volume)


def _check_against_pydicom(volume):
    data = read(volume)
    tilted_or_even = max(0.01, 0.01 * volume.spacing[2])
    pixels = {}
    for k, instance in enumerate(volume.instances):
        item = pydicom.dcmread(instance.path)
        if instance.path not in pixels:
            pixels[instance.path] = item.pixel_array
        stored = pixels[instance.path]
        position, cosines, spacing, slope, intercept = _said_of_frame(item, instance.frame)
        if item.get("NumberOfFrames", 1) > 1:
            stored = stored[instance.frame]
        expected = stored.astype(np.float64) * slope + intercept
        np.testing.assert_array_equal(data.array[k], expected.astype(data.array.dtype))
        at = (data.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1]
        np.testing.assert_allclose(at, position, rtol=0, atol=tilted_or_even)
        across = (data.affine @ [1, 0, k, 1] - data.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1]
        np.testing.assert_allclose(across, np.array(cosines[:3]) * spacing[1], rtol=0, atol=1e-4)


def _said_of_frame(item, frame):
    """(position, cosines, spacing, slope, intercept) as pydicom reads them, wherever they are."""

    def of(macro, keyword, default=None):
        for groups in (item.get("PerFrameFunctionalGroupsSequence", [])[frame : frame + 1],
                       item.get("SharedFunctionalGroupsSequence", [])):  # fmt: skip
            for group in groups:
                if group.get(macro) and keyword in group.get(macro)[0]:
                    return group.get(macro)[0].get(keyword)
        return item.get(keyword, default)

    return (
        np.array(of("PlanePositionSequence", "ImagePositionPatient"), float),
        np.array(of("PlaneOrientationSequence", "ImageOrientationPatient"), float),
        np.array(of("PixelMeasuresSequence", "PixelSpacing"), float),
        float(of("PixelValueTransformationSequence", "RescaleSlope", 1)),
        float(of("PixelValueTransformationSequence", "RescaleIntercept", 0)),
    )


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("dcmqi/23x38x3/seg", Reason.SEGMENTATION)],
)
def test_refusals(folder, reason):
    found = planned(folder)
    assert volumes_of(found) == []
    assert {refusal.reason for refusal in found.refused} == {reason}
    assert thumbnail(found)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("folder", "axis", "unit", "values"),
    [
        ("dcm_qa_nih/mr_0004", "time", "s", [5.0 * t for t in range(10)]),
        ("dicom2nifti/ge/fmri/001", "time", "s", [0.0, 2.5]),
        ("dicom2nifti/philips/dti/001", "b-value", "s/mm2", [0.0, 1000.0, 1000.0, 1000.0]),
        ("dicom2nifti/philips_enhanced/dti/001", "b-value", "s/mm2", [0.0, 1300.0, 1300.0, 1300.0]),
        ("dicom2nifti/philips_enhanced/fmri/001", "time", "s", [0.0, 3.0, 6.0, 9.0]),
        ("dicom2nifti/siemens/fmri/001", "time", "s", [0.0, 3.0]),
    ],
)
def test_sequences(folder, axis, unit, values):
    (sequence,) = planned(folder).sequences
    assert (sequence.axis.name, sequence.axis.unit) == (axis, unit)
    assert sequence.axis.values == pytest.approx(values)
    if axis == "b-value":
        assert [gradient is None for gradient in sequence.axis.gradients] == [value == 0 for value in values]
        for gradient in filter(None, sequence.axis.gradients):
            assert np.linalg.norm(gradient) == pytest.approx(1, abs=1e-3)


def test_a_missing_slice_is_made_and_said():
    folder = "dicom2nifti/failing/sliceincrement/001"
    (volume,) = planned(folder).volumes
    assert (volume.shape[0], volume.spacing[2]) == (5, pytest.approx(5.0))
    assert "1 of 5 slices are missing" in volume.warnings[0]
    array = read(volume).array
    measured = [pydicom.dcmread(instance.path) for instance in volume.instances]
    rescaled = [each.pixel_array * float(each.RescaleSlope) + float(each.RescaleIntercept) for each in measured]
    np.testing.assert_array_equal(array[[0, 1, 2, 4]], rescaled)
    strict = plan(sorted((ROOT / folder).iterdir()), strict=True)
    assert [refusal.reason for refusal in strict.refused] == [Reason.MISSING_SLICES]


def test_uneven_and_tilted_is_said_or_refused():
    folder = "dicom2nifti/failing/sliceincrement/002"
    (volume,) = planned(folder).volumes
    assert volume.tilt == pytest.approx(15.5, abs=0.05)
    assert len(volume.warnings) == 2
    strict = plan(sorted((ROOT / folder).iterdir()), strict=True)
    assert strict.volumes == []
    assert strict.refused[0].reason in {Reason.MISSING_SLICES, Reason.UNEVEN_SLICES}


def test_one_series_in_four_compressions(tmp_path):
    """Sixteen files are four instances; all four decode to the same voxels."""
    index = Index(tmp_path / "index.sqlite3")
    folders = [f"dicom2nifti/generic/compressed_{name}" for name in ("rle", "jpegls", "j2k", "jpeg")]
    summary = index.add(*[ROOT / folder for folder in folders])
    assert (summary.files, summary.instances, summary.series) == (16, 4, 1)
    (series,) = index.series()
    found = plan(index.instances(series))
    assert [volume.shape for volume in found.volumes] == [(4, 256, 256)]
    together = read(found.volumes[0]).array
    for folder in folders:
        np.testing.assert_array_equal(read(planned(folder).volumes[0]).array, together)


@pytest.mark.parametrize(
    ("folder", "least", "most", "mean"),
    [
        ("dcm_qa_decubitus/HFS_t1_fl2d_sag", 0, 1948, 225.325),
        ("dcm_qa_nih/mr_0004", 0, 7309, 603.654),
        ("dcmqi/ct-3slice", -3024, 1381, None),
    ],
)
def test_values(folder, least, most, mean):
    array = read(volumes_of(planned(folder))[0]).array
    assert (array.min(), array.max()) == (least, most)
    if mean is not None:
        assert array.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-4)


@pytest.mark.parametrize("folder", ["dcm_qa_decubitus/HFS_t1_fl2d_sag", "dicom2nifti/hitachi/anatomical/001"])
def test_as_simpleitk(folder):
    """Where there is neither tilt nor a slope of each slice, and nothing repeats."""
    data = read(planned(folder).volumes[0])
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(ROOT / folder))
    image = SimpleITK.ReadImage(names)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    array = SimpleITK.GetArrayFromImage(image)
    if affine[:3, 2] @ data.affine[:3, 2] < 0:  # stacked the other way: the same voxels, seen from the other end
        affine[:3, 3] += affine[:3, 2] * (array.shape[0] - 1)
        affine[:3, 2] *= -1
        array = array[::-1]
    np.testing.assert_array_equal(data.array, array)
    np.testing.assert_allclose(data.affine, affine, rtol=0, atol=2e-3)


def test_all_of_it_can_be_indexed(tmp_path):
    index = Index(tmp_path / "index.sqlite3")
    summary = index.add(ROOT)
    assert {Path(skipped.path).name for skipped in summary.skipped} == {"README.md", "LICENSES.txt"}
    assert summary.files == summary.added
    total = sum(series.NumberOfSeriesRelatedInstances for series in index.series())
    assert total == summary.instances
    for series in index.series():
        found = plan(index.instances(series))
        assert volumes_of(found) or found.images or found.refused
