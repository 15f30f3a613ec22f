"""Decoding in helper processes: right pixels, and damaged ones that harm nobody."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import convert_color_space

from slicer_notebook.dicom import decode as decode_module
from slicer_notebook.dicom import plan, read
from slicer_notebook.dicom.decode import DecodeError
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.unpack import layout_of
from slicer_notebook.errors import SeriesRefusedError

JPEG_2000 = "MR_small_jp2klossless.dcm"
JPEG_LS = "MR_small_jpeg_ls_lossless.dcm"
JPEG_LOSSLESS = "SC_rgb_jpeg_gdcm.dcm"


@pytest.fixture
def pool(monkeypatch):
    """A pool of this test's own."""
    made = decode_module._Pool()
    monkeypatch.setattr(decode_module, "_POOL", made)
    yield made
    made.close()
    assert made._started == 0


def decode(path, frame=0):
    return decode_module.decode(layout_of(read_header(path)), frame).array


@pytest.mark.parametrize("name", [JPEG_2000, JPEG_LS, JPEG_LOSSLESS, "MR_small_RLE.dcm"])
def test_as_pydicom(pool, name):
    path = get_testdata_file(name)
    np.testing.assert_array_equal(decode(path), pixel_array(path, raw=True))


def test_one_frame_and_colours(pool):
    path = get_testdata_file("examples_ybr_color.dcm")
    expected = convert_color_space(pixel_array(path, index=3, raw=True), "YBR_FULL", "RGB")
    # Two libraries round the same sums.
    assert np.abs(decode(path, 3).astype(int) - expected).max() <= 1


def test_a_helper_serves_many(pool):
    path = get_testdata_file(JPEG_2000)
    for _ in range(3):
        decode(path)
    assert pool._started == 1


def test_many_threads_share_the_helpers(pool, monkeypatch):
    monkeypatch.setattr(decode_module, "cores", lambda: 2)
    paths = [get_testdata_file(name) for name in (JPEG_2000, JPEG_LS)] * 10
    expected = {path: pixel_array(path, raw=True) for path in paths}
    with ThreadPoolExecutor(6) as threads:
        for path, pixels in zip(paths, threads.map(decode, paths), strict=True):
            np.testing.assert_array_equal(pixels, expected[path])
    assert pool._started == 2


def test_a_decoder_that_takes_its_process_down(pool, monkeypatch):
    path = get_testdata_file(JPEG_2000)
    monkeypatch.setattr(decode_module, "_SERVE", "os:abort")
    with pytest.raises(DecodeError, match="crashed"):
        decode(path)
    with pytest.raises(SeriesRefusedError, match="crashed") as caught:
        read(plan([path]).volumes[0])
    assert caught.value.reason == "transfer-syntax"
    monkeypatch.undo()
    np.testing.assert_array_equal(decode(path), pixel_array(path, raw=True))


def test_a_decoder_that_never_ends(pool, monkeypatch):
    path = get_testdata_file(JPEG_2000)
    monkeypatch.setattr(decode_module, "_SERVE", "signal:pause")
    monkeypatch.setattr(decode_module, "_DEADLINE", 0.2)
    with pytest.raises(DecodeError, match="longer than"):
        decode(path)


def test_a_helper_that_died_between_two_slices(pool):
    path = get_testdata_file(JPEG_2000)
    decode(path)
    pool._idle[0].kill()
    pool._idle[0]._process.wait()
    np.testing.assert_array_equal(decode(path), pixel_array(path, raw=True))


def test_files_that_are_gone(pool, tmp_path):
    path = tmp_path / "gone.dcm"
    path.write_bytes(Path(get_testdata_file(JPEG_2000)).read_bytes())
    layout = layout_of(read_header(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        decode_module.decode(layout)


def test_inside_a_program_that_is_no_python(pool, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    path = get_testdata_file(JPEG_2000)
    np.testing.assert_array_equal(decode(path), pixel_array(path, raw=True))
    assert pool._started == 0


def test_damaged_jpeg_streams(pool, tmp_path):
    """Whatever the decoder does with them, aborting its process included, this process gets an answer."""
    original = Path(get_testdata_file(JPEG_LOSSLESS)).read_bytes()
    start = original.index(b"\xff\xd8\xff")
    answers = set()
    before = threading.active_count()  # those of other tests that end meanwhile, too
    for offset in range(2, 60, 3):
        damaged = bytearray(original)
        damaged[start + offset] ^= 0x5A
        path = tmp_path / "damaged.dcm"
        path.write_bytes(damaged)
        try:
            answers.add(decode(str(path)).shape)
        except DecodeError as exc:
            answers.add(type(exc))
    assert DecodeError in answers
    assert threading.active_count() < before + 10
