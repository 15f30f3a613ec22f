"""What compressed frames say of themselves, and frames that are cut off, as encoders wrote them."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from slicer_notebook.dicom import decode as decode_module
from slicer_notebook.dicom.codestream import (
    CodestreamError,
    jpeg_2000_codestream,
    jpeg_2000_is_whole,
    jpeg_codestream,
    jpeg_is_whole,
)
from slicer_notebook.dicom.decode import DecodeError
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.unpack import layout_of

JPEGS = ["SC_rgb_jpeg_gdcm.dcm", "JPEG-LL.dcm", "JPEG-lossy.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_ybr_color.dcm"]
JPEG_LS = ["MR_small_jpeg_ls_lossless.dcm"]
JPEG_2000 = ["MR_small_jp2klossless.dcm", "JPEG2000.dcm", "693_J2KI.dcm", "US1_J2KR.dcm", "GDCMJ2K_TextGBR.dcm"]


def first_frame(name):
    path = get_testdata_file(name)
    if path is None:
        pytest.skip(f"{name} is not there: pydicom-data is not installed")
    item = pydicom.dcmread(path)
    return item, next(generate_frames(item.PixelData, number_of_frames=int(item.get("NumberOfFrames", 1) or 1)))


def decode(item, frame, folder):
    """A file of that one frame, decoded."""
    item.NumberOfFrames = 1
    item.PixelData = encapsulate([frame])
    item["PixelData"].is_undefined_length = True
    item.save_as(folder / "a.dcm")
    return decode_module.decode(layout_of(read_header(folder / "a.dcm")), 0)


@pytest.mark.parametrize("name", [*JPEGS, *JPEG_LS, *JPEG_2000])
def test_heads(name):
    item, frame = first_frame(name)
    head = jpeg_2000_codestream(frame) if name in JPEG_2000 else jpeg_codestream(frame)
    assert (head.rows, head.columns, head.components) == (item.Rows, item.Columns, item.SamplesPerPixel)
    assert item.BitsStored <= head.precision <= item.BitsAllocated
    assert head.lossless == (item.file_meta.TransferSyntaxUID.name.startswith(("JPEG Lossless", "JPEG-LS Lossless")))


@pytest.mark.parametrize("name", [*JPEGS, *JPEG_LS])
def test_whole_jpeg(name):
    jpeg_ls = name in JPEG_LS
    _, frame = first_frame(name)
    assert jpeg_is_whole(frame, jpeg_ls=jpeg_ls)
    for part in (0.3, 0.6, 0.9):
        cut = frame[: int(len(frame) * part)]
        assert not jpeg_is_whole(cut, jpeg_ls=jpeg_ls)
        assert not jpeg_is_whole(cut + bytes(len(frame) - len(cut)), jpeg_ls=jpeg_ls)


def test_fill_bytes_and_restarts_are_no_end():
    head = bytes.fromhex("ffd8 ffff ffda 0003 00")
    assert jpeg_is_whole(head + bytes.fromhex("12 ff00 ffd0 34 ffff ffd9"))
    assert not jpeg_is_whole(head + bytes.fromhex("12 ff00 ffd0 34 ffff 00d9"))
    # Several scans, with tables between.
    assert jpeg_is_whole(head + bytes.fromhex("12 ffc4 0003 01 ffda 0003 00 34 ffd9"))
    assert not jpeg_is_whole(head + bytes.fromhex("12 ffc4 0003 01 ffda 0003 00 34"))


@pytest.mark.parametrize("name", JPEG_2000)
def test_whole_jpeg_2000(name):
    _, frame = first_frame(name)
    assert jpeg_2000_is_whole(frame)
    end = frame.rindex(b"\xff\xd9")
    for part in (0.3, 0.6, 0.9):
        cut = frame[: int(len(frame) * part)]
        assert not jpeg_2000_is_whole(cut)
        assert not jpeg_2000_is_whole(cut + bytes(len(frame) - len(cut)))
    # Only the end marker is missing: its tile-parts say that all of them are there.
    assert jpeg_2000_is_whole(frame[:end])
    assert not jpeg_2000_is_whole(frame[: end - 2])


@pytest.mark.parametrize("name", [*JPEGS, *JPEG_LS, *JPEG_2000])
def test_frames_that_are_cut_off_are_refused(tmp_path, name):
    """Most decoders give a picture all the same, of which a part is made up."""
    item, frame = first_frame(name)
    for part in (0.5, 0.9):
        cut = frame[: int(len(frame) * part) // 2 * 2]
        for damaged in (cut, cut + bytes(len(frame) - len(cut))):
            with pytest.raises(DecodeError):
                decode(item, damaged, tmp_path)


def test_what_a_decoder_only_prints(tmp_path):
    """Damage inside: libjpeg goes on, with pixels that it made up, and says so to stderr; or GDCM gives up."""
    item, frame = first_frame("SC_rgb_jpeg_gdcm.dcm")
    damaged = bytearray(frame)
    for at in range(len(frame) // 2, len(frame) // 2 + 16):
        damaged[at] ^= 0x5A
    with pytest.raises(DecodeError, match=r"Corrupt JPEG data|GDCM does not decode it"):
        decode(item, bytes(damaged), tmp_path)
    # What one file had to be told of is not told of the next.
    assert decode(item, frame, tmp_path).note == ""


def test_what_is_no_frame():
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"GIF89a", b"\xff\xd8\xff\xc0\x00"):
        with pytest.raises(CodestreamError):
            jpeg_codestream(data)
    for data in (b"", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xc0"):
        with pytest.raises(CodestreamError):
            jpeg_2000_codestream(data)
