"""From the bytes of one uncompressed frame to its samples (PS3.5 §8.1, annex D; PS3.3 C.7.6.3.1)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import BIG_ENDIAN

__all__ = ["Layout", "LayoutError", "dtype_of", "frame_bits", "layout_of", "unpack"]

Array = npt.NDArray[Any]

_FLOATS: Final = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}
_SUBSAMPLED: Final = "YBR_FULL_422"


class LayoutError(Exception):
    """A header that contradicts itself or the pixels. Never reaches a user: callers make a refusal of it."""


class Layout(msgspec.Struct, array_like=True, frozen=True):
    """Where a file's pixels are and how they are laid out: what a frame of it is read with."""

    path: str
    #: bytes of the file, and nanoseconds since the epoch when it was written: a file that changed is read anew
    size: int
    mtime_ns: int
    transfer_syntax: str
    #: PixelData, FloatPixelData or DoubleFloatPixelData
    keyword: str
    #: where the pixels begin; 0 when not known
    offset: int
    #: bytes of all frames; -1 when encapsulated
    length: int
    frames: int
    rows: int
    columns: int
    #: values of a pixel
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    #: the highest bit that is a sample's
    high: int
    signed: bool


def layout_of(instance: Instance) -> Layout:
    """The layout of the file that a plane is of: rows and columns are a whole frame's."""
    rows, columns = instance.mosaic_shape or (instance.Rows or 0, instance.Columns or 0)
    allocated = instance.BitsAllocated or 0
    stored = instance.BitsStored or allocated
    return Layout(
        path=instance.path,
        size=instance.size,
        mtime_ns=instance.mtime_ns,
        transfer_syntax=instance.TransferSyntaxUID,
        keyword=instance.pixel_keyword or "PixelData",
        offset=instance.pixel_offset,
        length=instance.pixel_length,
        frames=instance.NumberOfFrames or 1,
        rows=rows,
        columns=columns,
        samples=instance.SamplesPerPixel or 1,
        photometric=instance.PhotometricInterpretation or "",
        planar=instance.PlanarConfiguration or 0,
        allocated=allocated,
        stored=stored,
        high=stored - 1 if instance.HighBit is None else instance.HighBit,
        signed=instance.PixelRepresentation == 1,
    )


def dtype_of(layout: Layout) -> np.dtype[Any]:
    """The type of a stored sample, native byte order; single bits are bytes of 0 and 1."""
    name = _FLOATS.get(layout.keyword)
    if name is None and layout.allocated == 1:
        name = "u1"
    if name is None:
        if layout.allocated not in (8, 16, 32, 64):
            raise LayoutError(f"{layout.allocated} bits allocated for a sample")
        name = f"{'i' if layout.signed and layout.samples == 1 else 'u'}{layout.allocated // 8}"
    return np.dtype(name)


def frame_bits(layout: Layout) -> int:
    """Bits that a frame takes where it is not compressed."""
    # C.7.6.3.1.2: two pixels in a row share their chrominance.
    samples = 2 if layout.photometric == _SUBSAMPLED else layout.samples
    return layout.rows * layout.columns * samples * layout.allocated


def unpack(raw: bytes | bytearray | memoryview, layout: Layout, skip: int = 0) -> Array:
    """The samples of one frame.

    Args:
        raw: from the byte that the frame begins in.
        skip: bits of the first byte that are the frame's before; for single bits only.

    Returns:
        [rows, columns] or [rows, columns, samples], as stored: bits not put right, colours not converted, but with a
        chrominance for every pixel.

    Raises:
        LayoutError: a frame that cannot be laid out so.
    """
    dtype = dtype_of(layout)
    shape = (layout.rows, layout.columns)
    if layout.allocated == 1:
        if layout.samples > 1:
            raise LayoutError("colours of one bit")
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little", count=skip + shape[0] * shape[1])
        return bits[skip:].reshape(shape)
    if layout.transfer_syntax == BIG_ENDIAN:
        dtype = dtype.newbyteorder(">")
    values = np.frombuffer(raw, dtype, count=frame_bits(layout) // layout.allocated)
    if layout.samples == 1:
        return values.reshape(shape)
    if layout.photometric == _SUBSAMPLED:
        return _unshared(values, layout)
    if layout.planar == 1:
        return np.moveaxis(values.reshape(layout.samples, *shape), 0, -1)
    return values.reshape(*shape, layout.samples)


def _unshared(values: Array, layout: Layout) -> Array:
    """Y1 Y2 B R of two pixels in a row, as Y B R of each."""
    if layout.columns % 2:
        raise LayoutError(f"{layout.photometric} with {layout.columns} columns: their number is due to be even")
    pairs = values.reshape(layout.rows, layout.columns // 2, 4)
    out = np.empty((layout.rows, layout.columns // 2, 2, 3), values.dtype)
    out[..., 0] = pairs[..., :2]
    out[..., 1:] = pairs[..., None, 2:]
    return out.reshape(layout.rows, layout.columns, 3)
