"""Luminance and chrominance, and palettes: against the standard's equations, and pydicom."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from slicer_notebook.dicom.colour import PaletteError, apply_palette, expand_segments, read_palette, rgb_of_ybr
from tests.dicom.make import SECONDARY_CAPTURE, dataset, save


def test_luminance_and_chrominance_by_the_standards_matrix():
    """PS3.3 C.7.6.3.1.2 gives RGB to YBR_FULL; ours is its inverse, within the rounding."""
    forth = np.array([[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5000], [0.5000, -0.4187, -0.0813]])
    rgb = np.random.default_rng(5).integers(0, 256, (20000, 3))
    ybr = np.clip(np.rint(rgb @ forth.T + [0, 128, 128]), 0, 255).astype(np.uint8)
    assert np.abs(rgb_of_ybr(ybr, 8).astype(int) - rgb).max() <= 2
    assert np.abs(rgb_of_ybr(ybr, 8).astype(int) - convert_color_space(ybr[None], "YBR_FULL", "RGB")[0]).max() <= 1


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_grey_stays_grey(bits, dtype):
    grey = np.arange(0, 1 << bits, max(1, (1 << bits) // 256)).astype(dtype)
    ybr = np.stack([grey, *[np.full_like(grey, 1 << bits - 1)] * 2], axis=-1)
    np.testing.assert_array_equal(rgb_of_ybr(ybr, bits), np.stack([grey] * 3, axis=-1))


def test_colours_beyond_the_ends():
    ybr = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
    np.testing.assert_array_equal(rgb_of_ybr(ybr, 8)[:, 0], [255, 0])


def palette_file(folder, descriptor, tables, *, pixels=None, syntax=ExplicitVRLittleEndian, signed=False, **more):
    item = dataset(
        SECONDARY_CAPTURE, PhotometricInterpretation="PALETTE COLOR", BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=int(signed), **more,
    )  # fmt: skip
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(item, f"{name}PaletteColorLookupTableDescriptor", descriptor)
        item[f"{name}PaletteColorLookupTableDescriptor"].VR = "SS" if signed else "US"
        setattr(item, f"{name}PaletteColorLookupTableData", table)
        item[f"{name}PaletteColorLookupTableData"].VR = "OW"
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16) if pixels is None else pixels
    return save(item, folder / "a.dcm", pixels, syntax=syntax)


def palette_of(path):
    found = path.stat()
    return read_palette(str(path), found.st_size, found.st_mtime_ns)


@pytest.mark.parametrize("first", [0, 3, 200])
def test_sixteen_bits(tmp_path, first):
    tables = np.random.default_rng(5).integers(0, 65536, (3, 20)).astype("<u2")
    path = palette_file(tmp_path, [20, first, 16], [table.tobytes() for table in tables])
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    got = apply_palette(pixels, palette_of(path))
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, apply_color_lut(pixels, dcmread(path)))
    np.testing.assert_array_equal(got, tables.T[np.clip(pixels.astype(int) - first, 0, 19)])


def test_signed_indices(tmp_path):
    tables = np.random.default_rng(5).integers(0, 65536, (3, 20)).astype("<u2")
    path = palette_file(tmp_path, [20, -5, 16], [table.tobytes() for table in tables], signed=True)
    indices = np.arange(-10, 30, dtype=np.int8).reshape(4, 10)
    assert palette_of(path).first == -5
    expected = tables.T[np.clip(indices.astype(int) + 5, 0, 19)]
    np.testing.assert_array_equal(apply_palette(indices, palette_of(path)), expected)


def test_two_entries_to_a_word(tmp_path):
    tables = np.random.default_rng(5).integers(0, 256, (3, 256)).astype(np.uint8)
    path = palette_file(tmp_path, [256, 0, 8], [table.tobytes() for table in tables])
    assert palette_of(path).entries.dtype == np.uint8
    np.testing.assert_array_equal(palette_of(path).entries, tables.T)


def test_two_entries_to_a_word_of_big_endian(tmp_path):
    tables = np.random.default_rng(5).integers(0, 256, (3, 256)).astype(np.uint8)
    swapped = [table.view(np.uint16).byteswap().tobytes() for table in tables]
    path = palette_file(tmp_path, [256, 0, 8], swapped, syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(palette_of(path).entries, tables.T)


def test_one_entry_of_eight_bits_in_each_word(tmp_path):
    """In the lower byte, or in the upper one."""
    tables = np.random.default_rng(5).integers(1, 256, (3, 256)).astype("<u2")
    for n, words in enumerate((tables, tables << 8)):
        (tmp_path / str(n)).mkdir()
        path = palette_file(tmp_path / str(n), [256, 0, 8], [table.astype("<u2").tobytes() for table in words])
        np.testing.assert_array_equal(palette_of(path).entries, tables.T)


def test_no_entries_stand_for_all(tmp_path):
    tables = np.random.default_rng(5).integers(0, 65536, (3, 65536)).astype("<u2")
    path = palette_file(tmp_path, [0, 0, 16], [table.tobytes() for table in tables])
    np.testing.assert_array_equal(palette_of(path).entries, tables.T)


@pytest.mark.parametrize(
    ("descriptor", "tables", "words"),
    [
        ([20, 0, 16], [bytes(40), bytes(40), bytes(12)], "Blue has 12 bytes for 20 entries"),
        ([20, 0, 12], [bytes(40)] * 3, "of 12 bits"),
    ],
)
def test_palettes_that_contradict_themselves(tmp_path, descriptor, tables, words):
    with pytest.raises(PaletteError, match=words):
        palette_of(palette_file(tmp_path, descriptor, tables))


def test_no_palette(tmp_path):
    path = save(dataset(SECONDARY_CAPTURE), tmp_path / "a.dcm", np.zeros((2, 2), np.int16))
    with pytest.raises(PaletteError, match="no RedPalette"):
        palette_of(path)


def test_segments():
    """PS3.3 C.7.9.2: discrete, linear (its start is the entry before), and the first two again by reference."""
    units = [0, 3, 10, 20, 30, 1, 5, 80, 2, 2, 0, 0]
    entries = [10, 20, 30, 40, 50, 60, 70, 80]
    for order in "<>":
        raw = np.array(units, f"{order}u2").tobytes()
        assert expand_segments(raw, 16, order).tolist() == entries * 2
    raw8 = bytes([0, 3, 10, 20, 30, 1, 5, 80, 2, 2, 0, 0, 0, 0])
    assert expand_segments(raw8, 8, "<").tolist() == entries * 2


@pytest.mark.parametrize("units", [
    [1, 3, 9], [0, 5, 1, 2], [3, 1, 0], [0, 1, 5, 2, 1, 0, 0, 2, 9], [0, 2, 1, 2, 2, 1, 8, 0], [0, 1, 7, 1, 0, 5],
])  # fmt: skip
def test_segments_that_are_none(units):
    with pytest.raises(PaletteError):
        expand_segments(np.array(units, "<u2").tobytes(), 16, "<")


def test_segments_without_end():
    """A linear segment again and again is bounded."""
    units = [0, 1, 5, *[1, 65535, 9] * 3]
    with pytest.raises(PaletteError, match="more than 65536"):
        expand_segments(np.array(units, "<u2").tobytes(), 16, "<")
