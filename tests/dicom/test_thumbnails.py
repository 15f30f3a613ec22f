"""Thumbnails: the middle slice, windowed, its aspect right; words where there is no picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from slicer_notebook.dicom import plan, thumbnail
from slicer_notebook.errors import ArgumentError
from tests.dicom.make import AXIAL, MR, SECONDARY_CAPTURE, dataset, save, write_series

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def picture(found, size=64):
    return Image.open(io.BytesIO(thumbnail(found, size)))


def quadrants(folder, **attributes):
    """One slice: top left 100, top right 200, bottom left 300, bottom right 400."""
    pixels = np.repeat(np.repeat(np.array([[100, 200], [300, 400]], np.int16), 8, axis=0), 8, axis=1)
    merged = {
        "ImagePositionPatient": [0, 0, 0],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [1, 1],
        **attributes,
    }
    return plan([save(dataset(MR, **merged), folder / "a.dcm", pixels)])


def corners(image):
    values = np.asarray(image.convert("L"), dtype=int)
    return [values[2, 2], values[2, -3], values[-3, 2], values[-3, -3]]


def test_the_header_s_window(tmp_path):
    image = picture(quadrants(tmp_path, WindowCenter=250, WindowWidth=200))
    assert image.format == "PNG"
    assert image.size == (64, 64)
    assert corners(image) == pytest.approx([0, 64, 191, 255], abs=2)


def test_an_automatic_window(tmp_path):
    assert corners(picture(quadrants(tmp_path))) == pytest.approx([0, 85, 170, 255], abs=2)


def test_values_that_are_no_numbers_are_black(tmp_path):
    values = np.array([[np.nan, 200], [np.inf, 400]], np.float32).repeat(8, axis=0).repeat(8, axis=1)
    item = dataset(
        PARAMETRIC_MAP, ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1],
        FloatPixelData=values.tobytes(), Rows=16, Columns=16, BitsAllocated=32, BitsStored=None, HighBit=None,
        PixelRepresentation=None,
    )  # fmt: skip
    assert corners(picture(plan([save(item, tmp_path / "a.dcm")]))) == pytest.approx([0, 0, 255, 255], abs=2)


def test_one_value_alone_is_black(tmp_path):
    item = dataset(MR, ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1])
    found = plan([save(item, tmp_path / "a.dcm", np.full((16, 16), 700, np.int16))])
    assert corners(picture(found)) == [0, 0, 0, 0]


def test_the_automatic_window_of_a_large_picture(tmp_path):
    """Made of some of its values, from all columns."""
    item = dataset(MR, ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1])
    pixels = np.tile(np.linspace(0, 20000, 2048).astype(np.int16), (2048, 1))
    values = np.asarray(picture(plan([save(item, tmp_path / "a.dcm", pixels)]), 128).convert("L"), dtype=int)
    assert values[64, :2].max() <= 3
    assert values[64, -2:].min() >= 252
    assert values[64, 64] == pytest.approx(128, abs=3)


def test_padding_does_not_stretch_the_automatic_window(tmp_path):
    assert corners(picture(quadrants(tmp_path, PixelPaddingValue=100))) == pytest.approx([0, 0, 128, 255], abs=2)


def test_monochrome1_is_shown_inverted(tmp_path):
    image = picture(quadrants(tmp_path, PhotometricInterpretation="MONOCHROME1"))
    assert corners(image) == pytest.approx([255, 170, 85, 0], abs=2)


@pytest.mark.parametrize(("spacing", "size"), [([2, 1], (32, 64)), ([1, 2], (64, 32)), ([1, 1], (64, 64))])
def test_aspect(tmp_path, spacing, size):
    assert picture(quadrants(tmp_path, PixelSpacing=spacing)).size == size


def test_the_middle_slice(tmp_path):
    """The slices' level grows by 10 each; the middle one is windowed to a known grey."""
    files = [
        save(
            dataset(MR, ImagePositionPatient=[0, 0, k], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1],
                    WindowCenter=100, WindowWidth=255),
            tmp_path / f"{k}.dcm",
            np.full((4, 4), 100 + 10 * k, np.int16),
        )
        for k in range(5)
    ]  # fmt: skip
    assert corners(picture(plan(files)))[0] == pytest.approx(127.5 + 20, abs=1)


def test_the_largest_volume(tmp_path):
    """Not the localizer that comes first."""
    files = write_series(
        tmp_path / "a", shape=(1, 20, 6), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], InstanceNumber=1
    )
    files += write_series(tmp_path / "b", shape=(5, 10, 10), pixel_spacing=(1, 1))
    assert picture(plan(files)).size == (64, 64)


def test_aspect_of_a_refused_series(tmp_path):
    files = write_series(tmp_path, offsets=(0, 4, 12), shape=(3, 8, 8), pixel_spacing=(4, 2))
    assert picture(plan(files)).size == (32, 64)


def test_colour_that_is_refused_as_a_volume_is_shown(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 255
    item = dataset(
        SECONDARY_CAPTURE, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0,
    )  # fmt: skip
    found = plan([save(item, tmp_path / "a.dcm", pixels)])
    assert found.volumes == []
    assert picture(found).convert("RGB").getpixel((32, 32)) == (255, 0, 0)


def test_refused_stacks_are_shown(tmp_path):
    found = plan(write_series(tmp_path, offsets=(0, 4, 8, 16)), strict=True)
    assert found.volumes == []
    assert len(set(np.asarray(picture(found)).ravel().tolist())) > 10


@pytest.mark.parametrize("name", ["rtplan.dcm", "reportsi.dcm", "rtstruct.dcm"])
def test_what_has_no_pixels_is_a_card(name):
    image = picture(plan([get_testdata_file(name)]), 128)
    assert image.size == (128, 128)
    assert np.asarray(image).max() > 150


def test_a_card_s_words_fit():
    values = np.asarray(picture(plan([get_testdata_file("rtstruct.dcm")]), 128), dtype=int)
    assert values[:, 64].max() > 100
    assert values[:, :4].max() == values[:, -4:].max() == 40


def test_pixels_that_cannot_be_decoded_are_a_card(tmp_path):
    files = write_series(tmp_path, shape=(1, 4, 4))
    found = plan(files)
    files[0].unlink()
    assert picture(found).size == (64, 64)


@pytest.mark.parametrize("size", [0, 15, 5000])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ArgumentError, match="16 to 2048"):
        thumbnail(plan(write_series(tmp_path)), size)
