"""One compressed frame into samples: the decoders, and what makes of their output what the data set means.

GDCM decodes all of JPEG and JPEG-LS, OpenJPEG (by way of pylibjpeg-openjpeg) JPEG 2000 and HTJ2K; where they give up,
and for JPEG XL, imagecodecs is asked if it is installed. All of them are run in processes of their own (`decode`).
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.codestream import (
    Codestream,
    CodestreamError,
    jpeg_2000_codestream,
    jpeg_2000_is_whole,
    jpeg_codestream,
    jpeg_is_whole,
)
from slicer_notebook.dicom.colour import rgb_of_ybr
from slicer_notebook.dicom.syntaxes import (
    DEFLATED_FRAMES,
    ENCAPSULATED_NATIVE,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    JPEG_XL,
    RLE,
)
from slicer_notebook.dicom.unpack import Layout, LayoutError, dtype_of, frame_bits, unpack

__all__ = ["CodecError", "Decoded", "decode_frame", "rgb_of"]

Array = npt.NDArray[Any]

_YBR_PREFIX: Final = "YBR_"
#: Inflated frames may be larger than they are due to be by padding only.
_SLACK: Final = 8


class CodecError(Exception):
    """A frame that no decoder reads. Never reaches a user."""


class Decoded(NamedTuple):
    """A decoded frame."""

    #: [rows, columns] of `dtype_of` the layout, or [rows, columns, 3] red, green, blue
    array: Array
    #: what a user should be told of it; "" when nothing
    note: str = ""


def decode_frame(data: bytes, layout: Layout) -> Decoded:
    """Decode one frame.

    Args:
        data: all fragments of the frame.

    Returns:
        Its samples; palettes' indices as they are, other colours as RGB. Grey values of JPEG kinds are already what
        BitsStored and PixelRepresentation say, wherever HighBit is.

    Raises:
        CodecError: no decoder reads it, or it is of another size or kind than the data set says.
    """
    syntax = layout.transfer_syntax
    try:
        if syntax == RLE:
            return Decoded(_coloured(_unpack_rle(data, layout), layout, None))
        if syntax in ENCAPSULATED_NATIVE or syntax in DEFLATED_FRAMES:
            return Decoded(rgb_of(unpack(_whole(data, layout), layout), layout))
        return _decode_codestream(data, layout)
    except (LayoutError, CodestreamError) as exc:
        raise CodecError(str(exc)) from exc


def rgb_of(samples: Array, layout: Layout) -> Array:
    """Uncompressed samples, their colours made RGB as PhotometricInterpretation says."""
    return _coloured(samples, layout, None)


def _coloured(samples: Array, layout: Layout, rgb: bool | None) -> Array:
    """Three samples as RGB; what the codestream says (``rgb``) decides over the data set."""
    if layout.samples != 3:
        return samples
    if rgb is None:
        rgb = layout.photometric in ("RGB", "YBR_ICT", "YBR_RCT")
    if layout.stored < layout.allocated:
        samples = _right_aligned(samples, layout)
    return samples if rgb else rgb_of_ybr(samples, layout.stored)


def _right_aligned(samples: Array, layout: Layout) -> Array:
    """Colours' samples without the bits that are not theirs."""
    shift = layout.high + 1 - layout.stored
    aligned: Array = (samples >> shift) & samples.dtype.type((1 << layout.stored) - 1)
    return aligned


def _whole(data: bytes, layout: Layout) -> bytes:
    due = (frame_bits(layout) + 7) // 8
    if layout.transfer_syntax in DEFLATED_FRAMES:
        try:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflater.decompress(data, due + _SLACK)
        except zlib.error as exc:
            raise CodecError(f"deflated frame: {exc}") from exc
    if len(data) < due:
        raise CodecError(f"{len(data)} bytes of pixels where {due} are due")
    return data


def _unpack_rle(data: bytes, layout: Layout) -> Array:
    """PS3.5 annex G: a segment for each byte of each sample, the highest byte first."""
    dtype = dtype_of(layout)
    pixels, planes = layout.rows * layout.columns, layout.samples * dtype.itemsize
    if layout.photometric == "YBR_FULL_422":
        raise CodecError("RLE of shared chrominance")
    if len(data) < 64:
        raise CodecError("an RLE frame that ends in its header")
    header = np.frombuffer(data[:64], "<u4")
    if header[0] != planes:
        raise CodecError(f"{header[0]} RLE segments where {planes} are due")
    bounds = [*(int(offset) for offset in header[1 : planes + 1]), len(data)]
    if bounds != sorted(bounds) or bounds[0] < 64:
        raise CodecError("an RLE frame with a damaged header")
    out = np.empty((pixels, layout.samples, dtype.itemsize), np.uint8)
    for number in range(planes):
        sample, place = divmod(number, dtype.itemsize)
        segment = unpack_bits(data[bounds[number] : bounds[number + 1]], pixels)
        out[:, sample, dtype.itemsize - 1 - place] = np.frombuffer(segment, np.uint8)
    values = out.reshape(pixels, layout.samples * dtype.itemsize).view(dtype.newbyteorder("<"))
    shape = (layout.rows, layout.columns)
    return values.reshape(shape if layout.samples == 1 else (*shape, layout.samples))


def unpack_bits(data: bytes, count: int) -> bytes:
    """The first ``count`` bytes of a PackBits segment (PS3.5 G.3.1).

    Raises:
        CodecError: it has fewer; or more, as where bytes were lost before its end. Zeros and marks without
            effect behind them are padding, and one byte that makes the length even.
    """
    out = bytearray()
    append, at, end = out.extend, 0, len(data)
    while at < end and len(out) < count:
        length = data[at]
        at += 1
        if length < 128:
            append(data[at : at + length + 1])
            at += length + 1
        elif length > 128:
            append(data[at : at + 1] * (257 - length))
            at += 1
    if len(out) < count:
        raise CodecError(f"an RLE segment of {len(out)} bytes where {count} are due")
    if len(out) > count or (end - at > 1 and data[at:].strip(b"\0\x80")):
        raise CodecError(f"an RLE segment that goes on behind the {count} bytes that are due")
    return bytes(out)


def _decode_codestream(data: bytes, layout: Layout) -> Decoded:
    syntax = layout.transfer_syntax
    if syntax in JPEG_XL:
        values, head = _jpeg_xl(data, layout)
    else:
        head = jpeg_2000_codestream(data) if syntax in JPEG_2000 else jpeg_codestream(data)
        _check(head, layout)
        whole = jpeg_2000_is_whole(data) if syntax in JPEG_2000 else jpeg_is_whole(data, jpeg_ls=syntax in JPEG_LS)
        if not whole:
            raise CodecError("a compressed frame that ends before its pixels do")
        values = _decoded(data, head, layout)
    if layout.samples == 3:
        rgb = head.rgb
        if head.lossless and not head.subsampled and layout.photometric:
            # What a lossless process was given is for the data set to say: many writers put JFIF's mark on RGB.
            rgb = None
        unpadded = Layout(*_replaced(layout, stored=head.precision))
        return Decoded(_coloured(values.astype(dtype_of(layout), copy=False), unpadded, rgb))
    return _grey(values, head, layout)


def _replaced(layout: Layout, *, stored: int) -> list[Any]:
    values = {name: getattr(layout, name) for name in layout.__struct_fields__}
    return list({**values, "stored": stored, "high": stored - 1}.values())


def _check(head: Codestream, layout: Layout) -> None:
    if (head.rows, head.columns) != (layout.rows, layout.columns):
        raise CodecError(f"a frame of {head.rows} x {head.columns} where {layout.rows} x {layout.columns} are due")
    if head.components != layout.samples:
        raise CodecError(f"a frame of {head.components} samples a pixel where {layout.samples} are due")
    if not 0 < head.precision <= max(layout.allocated, 8):
        raise CodecError(f"a frame of {head.precision} bits a sample where {layout.allocated} are allocated")


def _grey(values: Array, head: Codestream, layout: Layout) -> Decoded:
    """Decoded values as the data set means them: signed or not, right-aligned."""
    precision, note = head.precision, ""
    shift = layout.high + 1 - layout.stored if precision > layout.stored else 0
    same_sign = bool(head.signed) == layout.signed
    if same_sign and not shift:
        return Decoded(values.astype(dtype_of(layout), copy=False))
    wide = values.astype(np.int64)
    if shift:
        note = f"{precision} bits by their compressed pixels, of which the header means the upper {layout.stored}"
    if not same_sign and layout.signed:
        # The bits of a signed number that the compression took for an unsigned one: JPEG and JPEG-LS know no sign.
        top = 1 << precision - 1
        if head.signed is False and int(wide.max()) >= top:
            note = "unsigned values by their compressed pixels, but signed by their header, which was followed"
        wide = (wide & (2 * top - 1) ^ top) - top
    elif not same_sign and int(wide.min()) < 0:
        note = "negative values by their compressed pixels, but unsigned by their header, which was followed"
        wide &= (1 << precision) - 1
    # Where the whole cell was compressed, its samples are still where HighBit says.
    return Decoded((wide >> shift).astype(dtype_of(layout)), note)


def _container(precision: int) -> int:
    return 8 if precision <= 8 else 16 if precision <= 16 else 32


def _decoded(data: bytes, head: Codestream, layout: Layout) -> Array:
    syntax, failures = layout.transfer_syntax, []
    for decoder in _decoders(syntax):
        try:
            values = decoder(data, head, syntax)
        except ModuleNotFoundError:
            continue  # one that is not installed
        # Each library's binding raises what it pleases.
        except Exception as exc:  # noqa: BLE001
            failures.append(f"{type(exc).__name__}: {exc}")
            continue
        shape = (head.rows, head.columns, *([head.components] if head.components > 1 else []))
        if values.size == np.prod(shape):
            return values.reshape(shape)
        failures.append(f"{values.size} samples where {np.prod(shape)} are due")
    raise CodecError("; ".join(failures) or "no decoder is installed")


Decoder = Callable[[bytes, Codestream, str], Array]


def _decoders(syntax: str) -> list[Decoder]:
    if syntax in JPEG_2000:
        return [_openjpeg, _imagecodecs]
    if syntax in JPEG_LS:
        return [_charls, _gdcm, _imagecodecs]
    return [_gdcm, _imagecodecs] if syntax in JPEG else []


def _openjpeg(data: bytes, head: Codestream, _: str) -> Array:
    openjpeg = importlib.import_module("openjpeg")
    raw = openjpeg.decode_pixel_data(data, version=2)
    return np.frombuffer(raw, f"{'i' if head.signed else 'u'}{_container(head.precision) // 8}")


def _charls(data: bytes, head: Codestream, _: str) -> Array:
    jpeg_ls = importlib.import_module("jpeg_ls")
    raw, info = jpeg_ls.decode_pixel_data(data)
    values = np.frombuffer(raw, f"u{_container(head.precision) // 8}")
    if head.components > 1 and info["interleave_mode"] == 0:
        values = np.moveaxis(values.reshape(head.components, head.rows, head.columns), 0, -1)
    return values


def _gdcm(data: bytes, head: Codestream, syntax: str) -> Array:
    gdcm = importlib.import_module("gdcm")
    if syntax in JPEG_LS and head.precision in (6, 7):
        raise CodecError("GDCM does not decode JPEG-LS of 6 or 7 bits")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((head.columns, head.rows, 1))
    image.SetDataElement(element)
    # RGB: GDCM converts no colours then, and what they are is decided here.
    kind = "RGB" if head.components == 3 else "MONOCHROME2"
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(kind)))
    if head.components > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    container = _container(head.precision)
    image.SetPixelFormat(gdcm.PixelFormat(head.components, container, head.precision, head.precision - 1, 0))
    # The binding gives bytes as a str.
    buffer = image.GetBuffer()
    if buffer is None:
        raise CodecError("GDCM does not decode it")
    return np.frombuffer(buffer.encode("utf-8", "surrogateescape"), f"u{container // 8}")


def _imagecodecs(data: bytes, head: Codestream, syntax: str) -> Array:
    imagecodecs = importlib.import_module("imagecodecs")
    if syntax in JPEG_2000:
        return np.asarray(imagecodecs.jpeg2k_decode(data))
    if syntax in JPEG_LS:
        return np.asarray(imagecodecs.jpegls_decode(data))
    if head.lossless:
        return np.asarray(imagecodecs.ljpeg_decode(data))
    # One colour space in and out: none is converted.
    space = "RGB" if head.components == 3 else None
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space))


def _jpeg_xl(data: bytes, layout: Layout) -> tuple[Array, Codestream]:
    try:
        imagecodecs = importlib.import_module("imagecodecs")
    except ImportError as exc:
        raise CodecError("JPEG XL needs the package imagecodecs") from exc
    try:
        values = np.asarray(imagecodecs.jpegxl_decode(data))
    except imagecodecs.JpegxlError as exc:
        raise CodecError(f"JPEG XL: {exc}") from exc
    shape = (layout.rows, layout.columns, *([layout.samples] if layout.samples > 1 else []))
    if values.shape != shape or values.dtype.kind not in "ui":
        raise CodecError(f"a frame of {values.shape} where {shape} are due")
    head = Codestream(layout.rows, layout.columns, layout.samples, layout.stored, None, False, False, True)
    return values, head
