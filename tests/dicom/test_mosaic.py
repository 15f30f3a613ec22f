"""Siemens mosaics and UIH grids: every voxel of every tile where it was measured."""

from __future__ import annotations

import numpy as np
import pytest

from slicer_notebook.dicom import Reason, plan, read
from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.header import read_header
from tests.dicom.make import AXIAL, CORONAL, SAGITTAL, assert_phantom, oblique
from tests.dicom.make_multiframe import (
    position,
    protocol,
    slice_centres,
    write_mosaic,
    write_uih_grid,
)

FIRST, SPACING, SHAPE = (-20.0, 10.0, 5.0), (2.0, 3.0), (5, 6, 4)


def normal_of(cosines):
    return np.cross(cosines[:3], cosines[3:])


def text_of(cosines=AXIAL, gap=4.0, shape=SHAPE, *, descending=False, **keywords):
    """The protocol of a stack whose first tile is at FIRST; protocols list slices along their normal."""
    centres = slice_centres(cosines, SPACING, FIRST, gap, shape)
    return protocol(centres[::-1] if descending else centres, normal_of(cosines).tolist(), **keywords)


def image_header(cosines=AXIAL, sign=1, count=5, **others):
    vector = [f"{value:.8f}" for value in sign * normal_of(cosines)]
    return {"NumberOfImagesInMosaic": [str(count)], "SliceNormalVector": vector, **others}


def planes(path):
    return planes_of(read_header(path))


def refused(path):
    with pytest.raises(NotSplitError) as caught:
        planes(path)
    return caught.value.reason, caught.value.message


def check(path, gap, cosines=AXIAL):
    found = planes(path)
    assert len(found) == SHAPE[0]
    for number, plane in enumerate(found):
        np.testing.assert_allclose(
            plane.ImagePositionPatient, position(FIRST, cosines, gap * number), rtol=0, atol=1e-5
        )
    (volume,) = plan([path]).volumes
    assert volume.shape == SHAPE
    data = read(volume)
    assert_phantom(data.array, data.affine)
    return found


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("cosines", [AXIAL, CORONAL, SAGITTAL, oblique((10, 20, 30))])
def test_order_by_the_image_header(tmp_path, cosines, newer):
    for name, gap in (("up", 4.0), ("down", -4.0)):
        header = image_header(cosines, sign=np.sign(gap))
        path = write_mosaic(
            tmp_path / name, cosines=cosines, gap=gap, image_header=header, newer=newer, SpacingBetweenSlices=4.0
        )
        check(path, gap, cosines)


@pytest.mark.parametrize("creators", [True, False])
@pytest.mark.parametrize("cosines", [AXIAL, CORONAL, SAGITTAL, oblique((10, 20, 30))])
def test_order_and_step_by_the_protocol_alone(tmp_path, cosines, creators):
    for name, gap in (("up", 4.0), ("down", -4.0)):
        text = text_of(cosines, gap, descending=gap < 0, reversed_=gap < 0)
        path = write_mosaic(tmp_path / name, cosines=cosines, gap=gap, text=text, creators=creators)
        check(path, gap, cosines)


def test_tiles(tmp_path):
    path = write_mosaic(tmp_path / "a", image_header=image_header(), text=text_of(), SpacingBetweenSlices=4.0)
    found = check(path, 4.0)
    assert [plane.tile for plane in found] == [(0, 0), (0, 4), (0, 8), (6, 0), (6, 4)]
    assert {plane.mosaic_shape for plane in found} == {(18, 12)}
    assert {(plane.Rows, plane.Columns) for plane in found} == {(6, 4)}
    assert {plane.path for plane in found} == {str(path)}


def test_the_protocol_before_the_head_moved(tmp_path):
    """A scanner that follows the head turns and shifts the image; the protocol stays as it was."""
    text = protocol(slice_centres(AXIAL, SPACING, (-20.5, 10.5, 5.9), 4.0, SHAPE), [0, 0, 1])
    path = write_mosaic(tmp_path / "a", cosines=oblique((2, -1, 1)), text=text)
    check(path, 4.0, oblique((2, -1, 1)))


def test_uneven_steps_of_the_protocol(tmp_path):
    """Groups of slices: the gap between them is another one."""
    centres = slice_centres(AXIAL, SPACING, FIRST, 4.0, SHAPE)
    for centre in centres[3:]:
        centre[2] += 6.0
    path = write_mosaic(tmp_path / "a", image_header=image_header(), text=protocol(centres, [0, 0, 1]))
    assert [plane.ImagePositionPatient[2] for plane in planes(path)] == pytest.approx([5, 9, 13, 23, 27])


@pytest.mark.parametrize("gap", [4.0, -4.0])
def test_a_slab(tmp_path, gap):
    """3-D: the protocol has the slab's middle only."""
    middle = np.mean(slice_centres(AXIAL, SPACING, FIRST, gap, SHAPE), axis=0).tolist()
    path = write_mosaic(tmp_path / "a", gap=gap, text=protocol([middle], [0, 0, 1], slab=5), SpacingBetweenSlices=4.0)
    check(path, gap)


@pytest.mark.parametrize("matrix", ["6*4", "6p*6", "3*3s", "2p*3"])
def test_a_number_that_only_the_protocol_implies_fits_what_was_acquired(tmp_path, matrix):
    check(write_mosaic(tmp_path / "a", text=text_of(), matrix=matrix), 4.0)


def test_a_number_that_does_not_fit_what_was_acquired(tmp_path):
    """The protocol's five slices do not make a grid of four tiles."""
    path = write_mosaic(tmp_path / "a", text=text_of(), matrix="9*9")
    assert "do not fit what was acquired" in refused(path)[1]


def test_the_number_of_the_private_attribute(tmp_path):
    header = image_header()
    del header["NumberOfImagesInMosaic"]
    path = write_mosaic(tmp_path / "a", image_header=header, private_count=5, SpacingBetweenSlices=4.0)
    check(path, 4.0)


def test_diffusion_of_the_image_header(tmp_path):
    said = {"B_value": ["1000"], "DiffusionGradientDirection": ["0.6", "0.0", "-0.8"],
            "DiffusionDirectionality": ["DIRECTIONAL"]}  # fmt: skip
    path = write_mosaic(tmp_path / "a", image_header=image_header(**said), SpacingBetweenSlices=4.0)
    for plane in planes(path):
        assert plane.DiffusionBValue == 1000.0
        assert plane.DiffusionGradientOrientation == [0.6, 0.0, -0.8]
        assert plane.DiffusionDirectionality == "DIRECTIONAL"


def test_a_mosaic_for_each_moment(tmp_path):
    paths = [
        write_mosaic(
            tmp_path / str(number),
            image_header=image_header(),
            raised=50.0 * number,
            SpacingBetweenSlices=4.0,
            InstanceNumber=number + 1,
            AcquisitionNumber=number + 1,
            AcquisitionTime=f"1000{2 * number:02d}.5",
        )
        for number in range(3)
    ]
    (sequence,) = plan(paths).sequences
    assert len(sequence.volumes) == 3
    for number, volume in enumerate(sequence.volumes):
        data = read(volume)
        assert_phantom(data.array - 50.0 * number, data.affine)


def test_one_slice_that_says_mosaic(tmp_path):
    """A series that some software unpacked keeps its ImageType."""
    path = write_mosaic(tmp_path / "a", shape=(1, 6, 4), image_header=image_header(count=1))
    (plane,) = planes(path)
    assert plane.tile is None
    assert (plane.Rows, plane.Columns) == (6, 4)


@pytest.mark.parametrize("said", [{"matrix": "6*4"}, {"AcquisitionMatrix": [6, 0, 0, 4]}])
def test_one_slice_that_says_mosaic_and_nothing_else(tmp_path, said):
    """It is as large as what was acquired."""
    (plane,) = planes(write_mosaic(tmp_path / "a", shape=(1, 6, 4), **said))
    assert (plane.tile, plane.Rows, plane.Columns, plane.mosaic) == (None, 6, 4, None)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, "how many slices"),
        ({"image_header": image_header()}, "how far apart"),
        ({"image_header": {"NumberOfImagesInMosaic": ["5"]}, "SpacingBetweenSlices": 4.0}, "in which direction"),
        ({"image_header": image_header(), "private_count": 6, "SpacingBetweenSlices": 4.0}, "5 and 6 slices"),
        ({"image_header": image_header(sign=-1), "text": text_of()}, "contradict"),
        ({"text": text_of(), "SpacingBetweenSlices": 3.0}, "3 by SpacingBetweenSlices"),
        ({"image_header": image_header(CORONAL), "SpacingBetweenSlices": 4.0}, "not along the image's normal"),
        ({"text": text_of(), "cosines": oblique((30, 0, 0))}, "not parallel"),
        ({"text": protocol([[0, 0, 1]] * 5, [0, 0, 1])}, "at one place"),
        ({"image_header": image_header(count=50), "SpacingBetweenSlices": 4.0}, "no grid of 8 x 8 tiles"),
        (
            {"image_header": image_header(), "SpacingBetweenSlices": 4.0, "ImageOrientationPatient": None},
            "ImageOrientationPatient",
        ),
        (
            {"image_header": image_header(), "SpacingBetweenSlices": 4.0, "ImagePositionPatient": None},
            "ImagePositionPatient",
        ),
    ],
)
def test_what_is_lacking_is_named(tmp_path, keywords, words):
    reason, message = refused(write_mosaic(tmp_path / "a", **keywords))
    assert words in message
    assert reason in {Reason.MOSAIC, Reason.NO_POSITION}


def test_no_pixel_spacing(tmp_path):
    path = write_mosaic(tmp_path / "a", image_header=image_header(), SpacingBetweenSlices=4.0, PixelSpacing=None)
    assert refused(path)[0] == Reason.NO_SPACING


def test_a_table_that_moved_leaves_the_direction_open(tmp_path):
    """Then neither end of the protocol's stack is near the first tile."""
    text = protocol(slice_centres(AXIAL, SPACING, (-20.0, 10.0, 205.0), 4.0, SHAPE), [0, 0, 1])
    assert "in which direction" in refused(write_mosaic(tmp_path / "a", text=text))[1]
    path = write_mosaic(tmp_path / "b", text=text, image_header=image_header())
    check(path, 4.0)


@pytest.mark.parametrize("cosines", [AXIAL, SAGITTAL, oblique((10, 20, 30))])
def test_uih(tmp_path, cosines):
    path = write_uih_grid(tmp_path / "a", cosines=cosines)
    found = check(path, 4.0, cosines)
    assert [plane.tile for plane in found] == [(0, 0), (0, 4), (0, 8), (6, 0), (6, 4)]
    assert {plane.mosaic_shape for plane in found} == {(12, 12)}
    assert [plane.AcquisitionTime for plane in found] == [f"10000{number}.5" for number in range(5)]


def test_uih_measures_gradients_in_the_image(tmp_path):
    path = write_uih_grid(tmp_path / "a", cosines=SAGITTAL, gradient=[0.6, 0.0, 0.8])
    plane = planes(path)[0]
    assert plane.DiffusionBValue == 1000.0
    # Along the rows (posterior), and the normal (right to left, of a sagittal slice: -x).
    np.testing.assert_allclose(plane.DiffusionGradientOrientation, [-0.8, 0.6, 0.0], atol=1e-12)
    path = write_uih_grid(tmp_path / "b", gradient=[0.0, 0.0, 0.0])
    assert planes(path)[0].DiffusionGradientOrientation is None


@pytest.mark.parametrize(("positions", "words"), [(3, "positions of 3 slices"), (0, "positions of 0 slices")])
def test_uih_without_positions(tmp_path, positions, words):
    reason, message = refused(write_uih_grid(tmp_path / "a", positions=positions))
    assert reason == Reason.MOSAIC
    assert words in message
