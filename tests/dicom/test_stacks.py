"""Stacks that are not even: filled, resampled, cut in pieces, doubled; and what strict refuses of them."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from slicer_notebook.dicom import Reason, plan, read
from slicer_notebook.errors import SeriesRefusedError
from tests.dicom.make import AXIAL, assert_phantom, oblique, save, write_series


def only_volume(found):
    assert [refusal.message for refusal in found.refused] == []
    (volume,) = found.volumes
    return volume


def only_refusal(found):
    assert found.volumes == []
    (refusal,) = found.refused
    return refusal


def test_missing_slices_are_filled_and_said(tmp_path):
    files = write_series(tmp_path, offsets=(0, 4, 8, 16, 20, 32))
    volume = only_volume(plan(files))
    assert volume.shape == (9, 7, 6)
    assert volume.spacing[2] == pytest.approx(4.0)
    (warning,) = volume.warnings
    assert "3 of 9 slices are missing" in warning
    assert "k = 3, 6-7 were not measured" in warning
    data = read(volume)
    # The phantom is linear: what lies between two slices is what would have been measured.
    assert_phantom(data.array, data.affine)
    assert len(data.sop_instance_uids) == 6


def test_measured_slices_stay_as_they_are(tmp_path):
    """Noise, which no interpolation could make up: measured slices are not smoothed."""
    files = write_series(tmp_path, offsets=(0, 4, 8, 16), shape=(4, 9, 8))
    noise = np.random.default_rng(5).integers(-1000, 3000, (4, 9, 8)).astype(np.int16)
    for path, pixels in zip(files, noise, strict=True):
        save(pydicom.dcmread(path), path, pixels)
    array = read(only_volume(plan(files))).array
    np.testing.assert_array_equal(array[[0, 1, 2, 4]], noise)
    np.testing.assert_array_equal(array[3], np.rint((noise[2].astype(float) + noise[3]) / 2))


def test_two_densities_of_slices(tmp_path):
    """A head: thin slices below, thick ones above."""
    files = write_series(tmp_path, offsets=(0, 2.5, 5, 7.5, 12.5, 17.5, 22.5))
    volume = only_volume(plan(files))
    assert (volume.shape[0], volume.spacing[2]) == (10, pytest.approx(2.5))
    data = read(volume)
    assert_phantom(data.array, data.affine)


@pytest.mark.parametrize("cosines", [AXIAL, oblique((12, -33, 71))])
def test_uneven_steps_are_resampled_and_said(tmp_path, cosines):
    volume = only_volume(plan(write_series(tmp_path, cosines=cosines, offsets=(0, 4, 8, 13.1, 20.5))))
    assert "steps between slices vary from 4 to 7.4 mm" in volume.warnings[0].lower()
    data = read(volume)
    assert_phantom(data.array, data.affine, within=1.01)
    end = data.affine @ [0, 0, data.array.shape[0] - 1, 1] - data.affine @ [0, 0, 0, 1]
    assert np.linalg.norm(end) == pytest.approx(20.5)


def test_uneven_and_tilted(tmp_path):
    shear = (0.0, np.tan(np.radians(15.0)), 0.0)
    offsets = (0, 4, 8, 13.1, 20.5)
    files = [
        write_series(tmp_path / str(k), shape=(1, 7, 6), first=(-20, 10 + shear[1] * at, 5 + at))[0]
        for k, at in enumerate(offsets)
    ]
    volume = only_volume(plan(files))
    assert volume.tilt == pytest.approx(15.0, abs=0.01)
    data = read(volume)
    assert_phantom(data.array, data.affine, within=1.01)
    upright = only_volume(plan(files, rectify=True))
    data = read(upright)
    assert np.array(upright.affine)[:3, 2] == pytest.approx([0, 0, upright.spacing[2]])
    inside = data.array != data.array.min()
    assert 0.5 < inside.mean() < 1
    _assert_phantom_where(inside, data)


def _assert_phantom_where(inside, data):
    k, j, i = np.nonzero(inside)
    ras = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ data.affine.T
    expected = 500.0 + ras[:, 0] + 2.5 * ras[:, 1] - 4.0 * ras[:, 2]
    np.testing.assert_allclose(data.array[inside], expected, rtol=0, atol=1.01)


def test_a_tilted_stack_is_rectified_on_request(tmp_path):
    files = write_series(tmp_path, shear=(0.0, 4.0 * np.tan(np.radians(14.0)), 0.0), shape=(6, 12, 10))
    volume = only_volume(plan(files, rectify=True))
    assert volume.tilt == 0
    assert volume.spacing == pytest.approx((3.0, 2.0, 4.0))
    # 5 steps of about 1 mm: three more rows of 2 mm hold them.
    assert volume.shape == (6, 15, 10)
    assert any("right-angled grid" in warning for warning in volume.warnings)
    data = read(volume)
    # Rows that a slice does not reach hold the smallest value; here 5 mm at most at either end.
    assert (data.array[0, 12:] == data.array.min()).all()
    inside = np.zeros(data.array.shape, bool)
    inside[:, 3:12] = True
    _assert_phantom_where(inside, data)


def test_strict_refuses_what_would_be_made_up(tmp_path):
    missing = write_series(tmp_path / "a", offsets=(0, 4, 8, 16, 20, 32))
    assert only_refusal(plan(missing, strict=True)).reason is Reason.MISSING_SLICES
    uneven = write_series(tmp_path / "b", offsets=(0, 4, 8, 13.1, 20.5))
    assert only_refusal(plan(uneven, strict=True)).reason is Reason.UNEVEN_SLICES
    rounded = write_series(tmp_path / "c", offsets=[round(k * 0.625, 1) for k in range(9)], gap=0.625)
    assert only_refusal(plan(rounded, strict=True)).reason is Reason.UNEVEN_SLICES
    even = write_series(tmp_path / "d")
    assert only_volume(plan(even, strict=True)).warnings == []


def test_two_ranges_far_apart_are_two_volumes(tmp_path):
    found = plan(write_series(tmp_path, offsets=(0, 4, 8, 200, 204, 208, 212)))
    assert found.refused == []
    assert [volume.shape[0] for volume in found.volumes] == [3, 4]
    assert any("2 pieces, with gaps of up to 192 mm" in warning for warning in found.warnings)
    for volume in found.volumes:
        data = read(volume)
        assert_phantom(data.array, data.affine)
    strict = plan(write_series(tmp_path / "s", offsets=(0, 4, 8, 200, 204)), strict=True)
    assert strict.volumes == []


def test_slices_off_the_line_are_refused(tmp_path):
    """A patient who moved sideways between uneven slices: no line goes through them."""
    files = [
        write_series(tmp_path / str(k), shape=(1, 7, 6), first=(-20 + beside, 10, 5 + at))[0]
        for k, (at, beside) in enumerate([(0, 0), (4, 6), (8, -5), (14, 3), (22, 0)])
    ]
    assert only_refusal(plan(files)).reason is Reason.UNEVEN_SLICES


def _doubled(folder, *, equal, same_number=True, each=lambda k: {}):
    files = write_series(folder, each=lambda k: {"InstanceNumber": k + 1, **each(k)})
    item = pydicom.dcmread(files[2])
    item.SOPInstanceUID += ".9"
    if not same_number:
        item.InstanceNumber = 99
    pixels = item.pixel_array.copy()
    if not equal:
        pixels[3, 3] += 1
    return [*files, save(item, folder / "again.dcm", pixels)]


@pytest.mark.parametrize("same_number", [True, False])
def test_an_image_that_was_stored_twice(tmp_path, same_number):
    files = _doubled(tmp_path, equal=True, same_number=same_number)
    volume = only_volume(plan(files))
    assert volume.shape[0] == 5
    assert len(volume.doubles) == 1
    assert "taken more than once" in volume.warnings[0]
    data = read(volume)
    assert_phantom(data.array, data.affine)
    assert any("1 images were left out" in warning for warning in data.warnings)
    assert only_refusal(plan(files, strict=True)).reason is Reason.SEVERAL_VOLUMES


def test_images_of_one_place_that_differ_are_refused(tmp_path):
    volume = only_volume(plan(_doubled(tmp_path, equal=False)))
    with pytest.raises(SeriesRefusedError, match="Two images at one position differ") as caught:
        read(volume)
    assert caught.value.details["reason"] == "several-volumes"


def test_images_of_one_place_without_an_attribute_are_refused(tmp_path):
    assert only_refusal(plan(write_series(tmp_path, offsets=(0, 0, 0, 0)))).reason is Reason.SAME_POSITION


def test_more_bytes_than_pixels_are_said(tmp_path):
    (path,) = write_series(tmp_path, shape=(1, 8, 6))
    item = pydicom.dcmread(path)
    item.Rows = 5
    save(item, path)
    volume = only_volume(plan([path]))
    assert any("more bytes of pixels" in warning for warning in volume.warnings)
    item.Rows = 8
    save(item, path)
    assert only_volume(plan([path])).warnings == []


@pytest.mark.parametrize("given", ["RescaleSlope", "RescaleIntercept"])
def test_half_a_rescale_is_said(tmp_path, given):
    volume = only_volume(plan(write_series(tmp_path, **{given: 2})))
    assert any("only one of slope and intercept" in warning for warning in volume.warnings)


@pytest.mark.parametrize("spacing", [[1e-308, 1.0], [1.0, 1e300], [1e-7, 1e-7]])
def test_pixels_of_no_size_are_refused(tmp_path, spacing):
    assert (
        only_refusal(plan(write_series(tmp_path, each=lambda k: {"PixelSpacing": spacing}))).reason is Reason.NO_SPACING
    )


def test_places_out_of_this_world_are_refused(tmp_path):
    files = write_series(tmp_path, each=lambda k: {"ImagePositionPatient": [0.0, 1e12, k]})
    assert only_refusal(plan(files)).reason is Reason.NO_POSITION
