"""Frames as an independent library compressed them: depths, signs, colours and places of bits."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from slicer_notebook.dicom.codecs import CodecError, decode_frame, unpack_bits
from slicer_notebook.dicom.unpack import Layout

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
JPEG_XL = "1.2.840.10008.1.2.4.110"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
PLAIN_FRAME = "1.2.840.10008.1.2.1.98"
ROWS, COLUMNS = 24, 36


def layout(syntax, allocated, stored, *, high=None, samples=1, photometric="MONOCHROME2", signed=False, planar=0):
    return Layout(
        path="", size=0, mtime_ns=0, transfer_syntax=syntax, keyword="PixelData", offset=0, length=-1, frames=1,
        rows=ROWS, columns=COLUMNS, samples=samples, photometric=photometric, planar=planar, allocated=allocated,
        stored=stored, high=stored - 1 if high is None else high, signed=signed,
    )  # fmt: skip


def grey(bits, *, signed=False):
    """A smooth picture with noise that reaches both ends of its range."""
    dtype = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    low = -(1 << bits - 1) if signed else 0
    values = np.random.default_rng(bits).integers(low, low + (1 << bits), (ROWS, COLUMNS))
    values[0, :2] = low, low + (1 << bits) - 1
    return values.astype(dtype)


def colour():
    return np.random.default_rng(1).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def imagecodecs():
    return pytest.importorskip("imagecodecs", reason="the encoders of imagecodecs are not installed")


def _encoded(imagecodecs, syntax, pixels, bits):
    if syntax == JPEG_LS:
        return imagecodecs.jpegls_encode(pixels)
    if syntax == JPEG_LOSSLESS:
        return imagecodecs.ljpeg_encode(pixels, bitspersample=bits)
    if syntax == HTJ2K:
        return imagecodecs.htj2k_encode(pixels, reversible=True)
    if syntax == JPEG_XL:
        return imagecodecs.jpegxl_encode(pixels, lossless=True)
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, bitspersample=bits)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, JPEG_XL])
def test_grey(imagecodecs, syntax, bits):
    pixels = grey(bits)
    frame = _encoded(imagecodecs, syntax, pixels, bits)
    decoded = decode_frame(frame, layout(syntax, 8 * pixels.itemsize, bits))
    np.testing.assert_array_equal(decoded.array, pixels)
    assert decoded.array.dtype == pixels.dtype
    assert decoded.note == ""


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS])
def test_signed_values_where_the_compression_knows_no_sign(imagecodecs, syntax):
    """PS3.5 §8.2.1: the bits of two's complement, taken for those of an unsigned number."""
    pixels = grey(16, signed=True)
    frame = _encoded(imagecodecs, syntax, pixels.view(np.uint16), 16)
    decoded = decode_frame(frame, layout(syntax, 16, 16, signed=True))
    assert decoded.array.dtype == np.int16
    np.testing.assert_array_equal(decoded.array, pixels)


def test_signed_twelve_bits(imagecodecs):
    pixels = grey(12, signed=True)
    frame = _encoded(imagecodecs, JPEG_LOSSLESS, pixels.view(np.uint16) & np.uint16(0xFFF), 12)
    decoded = decode_frame(frame, layout(JPEG_LOSSLESS, 16, 12, signed=True))
    np.testing.assert_array_equal(decoded.array, pixels)


def test_signed_jpeg_2000(imagecodecs):
    pixels = grey(16, signed=True)
    frame = _encoded(imagecodecs, JPEG_2000, pixels, 16)
    decoded = decode_frame(frame, layout(JPEG_2000, 16, 16, signed=True))
    np.testing.assert_array_equal(decoded.array, pixels)
    assert decoded.note == ""


def test_a_compressed_sign_that_the_header_denies(imagecodecs):
    pixels = grey(16, signed=True)
    decoded = decode_frame(_encoded(imagecodecs, JPEG_2000, pixels, 16), layout(JPEG_2000, 16, 16))
    np.testing.assert_array_equal(decoded.array, pixels.view(np.uint16))
    assert "unsigned by their header" in decoded.note


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, HTJ2K])
def test_colours(imagecodecs, syntax):
    pixels = colour()
    photometric = "RGB" if syntax == JPEG_LS else "YBR_RCT"
    frame = _encoded(imagecodecs, syntax, pixels, 8)
    decoded = decode_frame(frame, layout(syntax, 8, 8, samples=3, photometric=photometric))
    np.testing.assert_array_equal(decoded.array, pixels)


@pytest.mark.parametrize(("space", "photometric"), [("YCBCR", "YBR_FULL"), ("YCBCR", "YBR_FULL_422"), ("RGB", "RGB")])
def test_lossy_colours(imagecodecs, space, photometric):
    """A JPEG says itself what its colours are, and imagecodecs' own decoder agrees."""
    smooth = np.stack(np.broadcast_arrays(
        np.linspace(20, 230, COLUMNS)[None], np.linspace(230, 40, ROWS)[:, None], np.full((1, 1), 120.0)
    ), axis=-1).astype(np.uint8)  # fmt: skip
    subsampling = "422" if photometric.endswith("422") else "444"
    frame = imagecodecs.jpeg8_encode(smooth, level=95, colorspace="RGB", outcolorspace=space, subsampling=subsampling)
    got = decode_frame(frame, layout(JPEG_BASELINE, 8, 8, samples=3, photometric=photometric)).array.astype(int)
    assert np.abs(got - imagecodecs.jpeg8_decode(frame)).max() <= 2
    assert np.abs(got - smooth).max() <= 8


def test_another_size_than_the_headers(imagecodecs):
    for syntax in (JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K):
        frame = _encoded(imagecodecs, syntax, grey(12)[:-1], 12)
        with pytest.raises(CodecError, match="a frame of 23 x 36 where 24 x 36 are due"):
            decode_frame(frame, layout(syntax, 16, 12))
    with pytest.raises(CodecError, match="1 samples a pixel where 3"):
        decode_frame(_encoded(imagecodecs, JPEG_LS, grey(8), 8), layout(JPEG_LS, 8, 8, samples=3, photometric="RGB"))
    with pytest.raises(CodecError, match="16 bits a sample where 8"):
        decode_frame(_encoded(imagecodecs, JPEG_LS, grey(16), 16), layout(JPEG_LS, 8, 8))


def test_deflated_and_plain_frames():
    pixels = grey(16, signed=True)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    frame = deflater.compress(pixels.tobytes()) + deflater.flush()
    got = decode_frame(frame, layout(DEFLATED_FRAME, 16, 16, signed=True)).array
    np.testing.assert_array_equal(got, pixels)
    got = decode_frame(pixels.tobytes(), layout(PLAIN_FRAME, 16, 16, signed=True)).array
    np.testing.assert_array_equal(got, pixels)
    for damaged in (frame[: len(frame) // 2], b"\xff\xff\xff", b""):
        with pytest.raises(CodecError):
            decode_frame(damaged, layout(DEFLATED_FRAME, 16, 16, signed=True))


def test_pack_bits():
    """PS3.5 G.3.1: 0-127 copy so many and one more, 129-255 repeat, 128 is nothing."""
    assert unpack_bits(bytes([2, 7, 8, 9, 254, 5, 128, 0, 4]), 7) == bytes([7, 8, 9, 5, 5, 5, 4])
    assert unpack_bits(bytes([129, 3]), 128) == bytes([3] * 128)
    with pytest.raises(CodecError, match="3 bytes where 4 are due"):
        unpack_bits(bytes([2, 7, 8, 9]), 4)
    for padding in ([], [0], [17], [0, 0, 0], [128, 128, 0]):
        assert unpack_bits(bytes([2, 7, 8, 9, *padding]), 3) == bytes([7, 8, 9])
    for wrong, due in (([2, 7, 8, 9], 2), ([254, 7], 2), ([2, 7, 8, 9, 254, 1, 0], 3)):
        with pytest.raises(CodecError, match="goes on behind"):
            unpack_bits(bytes(wrong), due)
