"""Headers with a damaged value in them: what decides on the pixels is never taken for absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from slicer_notebook.dicom import Index, Reason, plan, read
from slicer_notebook.errors import SeriesRefusedError
from tests.dicom.make import assert_phantom, write_series
from tests.dicom.make_multiframe import write_enhanced


def write(folder: Path, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> Path:
    return write_series(
        folder, shape=(1, 6, 5), syntax=syntax, **{"RescaleSlope": 2, "RescaleIntercept": -1024, **attributes}
    )[0]


def change(path: Path, edit: Callable[[bytes], bytes]) -> Path:
    before = path.read_bytes()
    after = edit(before)
    assert before != after
    path.write_bytes(after)
    return path


def element(data: bytes, tag: bytes, vr: bytes) -> tuple[int, int]:
    """Where an explicit VR little endian element of a short VR begins and ends."""
    begin = data.index(tag + vr)
    return begin, begin + 8 + int.from_bytes(data[begin + 6 : begin + 8], "little")


SLOPE = b"\x28\x00\x53\x10"


@pytest.mark.parametrize("value", [b"--", b"1,5 ", b"0x10", b"1.5.", b"nan "])
def test_a_slope_that_cannot_be_read_is_refused(tmp_path, value):
    def edit(data):
        begin, end = element(data, SLOPE, b"DS")
        return data[:begin] + SLOPE + b"DS" + len(value).to_bytes(2, "little") + value + data[end:]

    (refusal,) = plan([change(write(tmp_path), edit)]).refused
    assert refusal.reason is Reason.RESCALE
    assert "RescaleSlope is there, but cannot be read" in refusal.message


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("ImagePositionPatient", b"1\\x\\3 ", Reason.NO_POSITION),
        ("ImageOrientationPatient", b"1\\0\\0\\0\\one\\0 ", Reason.BAD_ORIENTATION),
        ("PixelSpacing", b"1\\_2", Reason.NO_SPACING),
    ],
)
def test_geometry_that_cannot_be_read_is_refused(tmp_path, keyword, value, reason):
    tags = {
        "ImagePositionPatient": b"\x20\x00\x32\x00",
        "ImageOrientationPatient": b"\x20\x00\x37\x00",
        "PixelSpacing": b"\x28\x00\x30\x00",
    }

    def edit(data):
        begin, end = element(data, tags[keyword], b"DS")
        padded = value + b" " * (len(value) % 2)
        return data[: begin + 6] + len(padded).to_bytes(2, "little") + padded + data[end:]

    (refusal,) = plan([change(write(tmp_path), edit)]).refused
    assert refusal.reason is reason
    assert keyword in refusal.message


def test_a_slope_of_another_vr_is_a_number_all_the_same(tmp_path):
    def edit(data):
        begin, end = element(data, SLOPE, b"DS")
        return data[:begin] + SLOPE + b"US\x02\x00\x02\x00" + data[end:]

    (volume,) = plan([change(write(tmp_path), edit)]).volumes
    data = read(volume)
    assert_phantom(data.array, data.affine, within=1.01)


@pytest.mark.parametrize("frame", [0, 3])
def test_a_frames_rescale_that_cannot_be_read_is_refused(tmp_path, frame):
    intercept = b"\x28\x00\x52\x10DS\x02\x00"

    def edit(data):
        at = -1
        for _ in range(frame + 1):
            at = data.index(intercept, at + 1)
        return data[: at + len(intercept)] + b"5x" + data[at + len(intercept) + 2 :]

    found = plan([change(write_enhanced(tmp_path / "enhanced.dcm"), edit)])
    assert found.volumes == []
    (refusal,) = found.refused
    assert refusal.reason is Reason.RESCALE
    assert "RescaleIntercept is there, but cannot be read" in refusal.message


def test_no_samples_at_all_are_refused(tmp_path):
    (refusal,) = plan([write(tmp_path, SamplesPerPixel=0)]).refused
    assert refusal.reason is Reason.PIXEL_FORMAT


def test_text_under_a_vr_of_binary_numbers_is_refused(tmp_path):
    """Six letters are one and a half float32: the first four must not be taken for one."""

    def edit(data):
        begin, _ = element(data, b"\x28\x00\x52\x10", b"DS")
        return data[: begin + 4] + b"FL" + data[begin + 6 :]

    (refusal,) = plan([change(write(tmp_path), edit)]).refused
    assert refusal.reason is Reason.RESCALE


def test_values_in_the_upper_bits_are_said(tmp_path):
    """HighBit is BitsStored - 1 today (PS3.5 8.1.1); where it is not, one of the two may be damaged."""
    (volume,) = plan([write(tmp_path, BitsStored=15, HighBit=15)]).volumes
    assert any("upper bits of a pixel (HighBit)" in text for text in volume.warnings)
    (volume,) = plan([write(tmp_path / "sound", BitsStored=15, HighBit=14)]).volumes
    assert volume.warnings == []


def test_elements_behind_the_pixels_are_seen(tmp_path):
    def edit(data):
        begin, end = element(data, b"\x28\x00\x52\x10", b"DS")
        return data[:begin] + data[end:] + data[begin:end]

    (volume,) = plan([change(write(tmp_path), edit)]).volumes
    data = read(volume)
    assert_phantom(data.array, data.affine, within=1.01)


def test_big_endian_without_its_transfer_syntax(tmp_path):
    """The meta information lost what it is for; the data set is big endian all the same."""
    path = write(tmp_path, syntax=ExplicitVRBigEndian)
    change(path, lambda data: data.replace(b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.2\x00", b""))
    (volume,) = plan([path]).volumes
    data = read(volume)
    assert_phantom(data.array, data.affine, within=1.01)


def test_numbers_too_large_to_be_stored(tmp_path):
    """20 digits fit no integer of 64 bits."""
    path = write(tmp_path, InstanceNumber=999999999999)
    before, after = b"IS\x0c\x00999999999999", b"IS\x14\x0099999999999999999999"
    change(path, lambda data: data.replace(before, after))
    index = Index(tmp_path / "index.sqlite3")
    assert index.add(path).instances == 1
    (series,) = index.series()
    assert index.instances(series)[0].InstanceNumber is None


@pytest.mark.parametrize("slope", ["1E+300", "1E-300"])
def test_slopes_that_lose_all_values_are_refused(tmp_path, slope):
    def edit(data):
        begin, end = element(data, SLOPE, b"DS")
        return data[:begin] + SLOPE + b"DS\x06\x00" + slope.encode() + data[end:]

    (refusal,) = plan([change(write(tmp_path), edit)]).refused
    assert refusal.reason is Reason.RESCALE


def test_pixels_under_a_short_vr_after_planning(tmp_path):
    """A VR with a length of two bytes: no pixels then, and their true length where they seem to begin.

    That length, 0x8000, looks like the tag of an element that may follow.
    """
    path = write_series(tmp_path, shape=(1, 128, 128))[0]
    (volume,) = plan([path]).volumes
    pixels = b"\xe0\x7f\x10\x00"
    change(path, lambda data: data.replace(pixels + b"OW", pixels + b"UL"))
    with pytest.raises(SeriesRefusedError, match="0 bytes of pixels where 32768 are due"):
        read(volume)
    (refusal,) = plan([path]).refused
    assert refusal.reason is Reason.TRUNCATED
