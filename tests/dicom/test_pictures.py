"""Pictures without a place in the patient: radiographs, secondary captures, cines."""

from __future__ import annotations

import numpy as np
import pytest

from slicer_notebook.dicom import Reason, plan, read, read_sequence
from tests.dicom.make import CR, SECONDARY_CAPTURE, dataset, save


def only_image(found):
    assert [refusal.message for refusal in found.refused] == []
    assert (found.volumes, found.sequences) == ([], [])
    (image,) = found.images
    return image


def test_a_radiograph_is_one_slice(tmp_path):
    item = dataset(CR, ImagerPixelSpacing=[0.2, 0.1], PixelRepresentation=0, FrameOfReferenceUID=None)
    path = save(item, tmp_path / "cr.dcm", np.arange(12, dtype=np.uint16).reshape(3, 4))
    image = only_image(plan([path]))
    assert image.image
    assert image.calibrated
    assert (image.shape, image.spacing, image.orientation) == ((1, 3, 4), (0.1, 0.2, 1.0), "projection")
    assert any("detector" in warning for warning in image.warnings)
    np.testing.assert_array_equal(np.array(image.affine)[:3, :3], np.diag([-0.1, -0.2, 1.0]))
    np.testing.assert_array_equal(read(image).array[0], np.arange(12).reshape(3, 4))


def test_radiographs_of_one_series_are_an_image_each(tmp_path):
    paths = [
        save(dataset(CR, PixelSpacing=[1, 1], PixelRepresentation=0, InstanceNumber=n), tmp_path / f"{n}.dcm", pixels)
        for n, pixels in enumerate(np.zeros((2, 3, 4), dtype=np.uint16))
    ]
    found = plan(paths)
    assert found.refused == []
    assert [image.name for image in found.images] == ["3: Chest", "3: Chest (2)"]


def test_without_spacing_it_is_an_image_that_cannot_be_measured(tmp_path):
    path = save(dataset(SECONDARY_CAPTURE), tmp_path / "a.dcm", np.zeros((3, 4), dtype=np.int16))
    image = only_image(plan([path]))
    assert not image.calibrated
    assert image.spacing == (1.0, 1.0, 1.0)
    assert any("nothing can be measured" in warning for warning in image.warnings)
    (refusal,) = plan([path], strict=True).refused
    assert refusal.reason is Reason.NO_SPACING


def test_pixels_that_are_not_square(tmp_path):
    item = dataset(SECONDARY_CAPTURE, PixelAspectRatio=[2, 1])
    image = only_image(plan([save(item, tmp_path / "a.dcm", np.zeros((3, 4), dtype=np.int16))]))
    assert image.spacing == (1.0, 2.0, 1.0)


def test_a_colour_capture(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 255, (3, 4, 3)).astype(np.uint8)
    item = dataset(
        SECONDARY_CAPTURE, PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0,
    )  # fmt: skip
    image = only_image(plan([save(item, tmp_path / "a.dcm", pixels)]))
    assert image.samples == 3
    array = read(image).array
    assert (array.shape, array.dtype) == ((1, 3, 4, 3), np.uint8)
    np.testing.assert_array_equal(array[0], pixels)


@pytest.mark.parametrize("timed", [True, False])
def test_a_cine_is_a_sequence(tmp_path, timed):
    frames = np.random.default_rng(3).integers(0, 255, (4, 3, 5)).astype(np.uint8)
    item = dataset(
        "1.2.840.10008.5.1.4.1.1.12.1", NumberOfFrames=4, BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, PixelSpacing=[0.5, 0.25], FrameTime=40 if timed else None,
        FrameIncrementPointer=0x00181063 if timed else None,
    )  # fmt: skip
    item.Rows, item.Columns, item.PixelData = 3, 5, frames.tobytes()
    item["PixelData"].VR = "OB"
    found = plan([save(item, tmp_path / "a.dcm")])
    assert found.refused == []
    (sequence,) = found.sequences
    if timed:
        assert (sequence.axis.name, sequence.axis.unit) == ("time", "s")
        assert sequence.axis.values == pytest.approx([0, 0.04, 0.08, 0.12])
    else:
        assert (sequence.axis.name, sequence.axis.values) == ("frame", [1, 2, 3, 4])
    data = read_sequence(sequence)
    np.testing.assert_array_equal(data.array[:, 0], frames)
    assert sequence.volumes[0].spacing == (0.25, 0.5, 1.0)
