"""Frames of an instance, values of bulk data, and pictures (PS3.18 10.4.1.1.2 to .6, table 8.7.3-5)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image
from pydicom import Dataset

from slicer_notebook.dicom.attributes import read_dataset
from slicer_notebook.dicom.decode import DecodeError, decode
from slicer_notebook.dicom.fragments import FragmentError, fragments_of_frames, read_frame
from slicer_notebook.dicom.planning import plan
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.sources import open_pixels
from slicer_notebook.dicom.syntaxes import BIG_ENDIAN
from slicer_notebook.dicom.thumbnails import MAX_SIZE, MIN_SIZE, thumbnail
from slicer_notebook.dicom.unpack import Layout, LayoutError, dtype_of, frame_bits, layout_of
from slicer_notebook.errors import ArgumentError, FileFormatError, UidNotFoundError
from slicer_notebook.gateways.rest.dicom_json import little_endian

__all__ = ["OCTETS", "Stored", "bulk_value", "jpeg", "media_of", "picture", "stored_frames", "uncompressed_frames"]

OCTETS: Final = "application/octet-stream"
#: Frames in one answer: they are held in memory.
MOST_FRAMES: Final = 64
#: Media types of frames as they are stored, by the end of the transfer syntax's UID; PS3.18 table 8.7.3-5.
_MEDIA: Final = {
    **dict.fromkeys(("4.50", "4.51", "4.57", "4.70"), "image/jpeg"),
    **dict.fromkeys(("4.80", "4.81"), "image/jls"),
    **dict.fromkeys(("4.90", "4.91"), "image/jp2"),
    **dict.fromkeys(("4.92", "4.93"), "image/jpx"),
    **dict.fromkeys(("4.201", "4.202", "4.203"), "image/jphc"),
    **dict.fromkeys(("4.110", "4.111", "4.112"), "image/jxl"),
    "5": "image/dicom-rle",
    **dict.fromkeys(("4.100", "4.101"), "video/mpeg"),
    **dict.fromkeys(("4.102", "4.103", "4.104", "4.105", "4.106"), "video/mp4"),
    **dict.fromkeys(("4.107", "4.108"), "video/H265"),
}
_PREFIX: Final = "1.2.840.10008.1.2."
#: Quality of JPEG pictures, where a client does not take PNG.
_QUALITY: Final = 90


class Stored(NamedTuple):
    """Frames, and what they are."""

    frames: list[bytes]
    media: str
    syntax: str


def media_of(syntax: str) -> str:
    """The media type of frames that are stored in a transfer syntax."""
    return _MEDIA.get(syntax.removeprefix(_PREFIX), OCTETS)


def stored_frames(instance: Instance, numbers: Iterable[int]) -> Stored:
    """Frames as they are stored, by their numbers, from 1; values that are not compressed in little endian.

    Raises:
        UidNotFoundError: no such frame.
        FileFormatError: the file has no pixels, or they cannot be read.
    """
    layout = layout_of(instance)
    wanted = _wanted(instance, layout, numbers)
    try:
        with open_pixels(layout) as pixels:
            if pixels.length < 0:
                fragments = fragments_of_frames(pixels.file, pixels.offset, layout.frames)
                frames = [read_frame(pixels.file, fragments[number - 1]) for number in wanted]
                return Stored(frames, media_of(instance.TransferSyntaxUID), instance.TransferSyntaxUID)
            bits = frame_bits(layout)
            frames = []
            for number in wanted:
                begin = (number - 1) * bits
                pixels.file.seek(pixels.offset + begin // 8)
                raw = pixels.file.read((begin % 8 + bits + 7) // 8)
                if len(raw) * 8 < begin % 8 + bits:
                    raise LayoutError("the file ends before its pixels do")
                frames.append(_little_endian(raw, layout, begin % 8, bits))
            return Stored(frames, OCTETS, f"{_PREFIX}1")
    except (LayoutError, FragmentError, OSError) as exc:
        raise _unreadable(instance, str(exc)) from exc


def uncompressed_frames(instance: Instance, numbers: Iterable[int]) -> Stored:
    """Frames without compression, explicit little endian; colours as RGB where they had to be decoded.

    Raises: as `stored_frames`.
    """
    layout = layout_of(instance)
    wanted = _wanted(instance, layout, numbers)
    if instance.pixel_length >= 0 or not wanted:
        return stored_frames(instance, wanted)
    try:
        frames = [np.ascontiguousarray(decode(layout, number - 1).array).tobytes() for number in wanted]
    except (DecodeError, OSError) as exc:
        raise _unreadable(instance, str(exc)) from exc
    return Stored(frames, OCTETS, f"{_PREFIX}1")


def _wanted(instance: Instance, layout: Layout, numbers: Iterable[int]) -> list[int]:
    wanted = list(numbers)
    if instance.pixel_keyword is None:
        raise UidNotFoundError("The instance has no pixels.", details={"uid": instance.SOPInstanceUID})
    if not all(1 <= number <= layout.frames for number in wanted):
        raise UidNotFoundError(
            "There is no such frame.", expected=f"1 to {layout.frames}", got=", ".join(map(str, wanted[:8]))
        )
    if len(wanted) > MOST_FRAMES:
        raise ArgumentError("Too many frames at once.", expected=f"at most {MOST_FRAMES}", got=str(len(wanted)))
    return wanted


def _little_endian(raw: bytes, layout: Layout, skip: int, bits: int) -> bytes:
    if skip or bits % 8:
        # Frames of single bits follow each other without a gap (PS3.5 8.1.1).
        unpacked = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[skip : skip + bits]
        return np.packbits(unpacked, bitorder="little").tobytes()
    size = dtype_of(layout).itemsize
    if layout.transfer_syntax == BIG_ENDIAN and size > 1:
        return np.frombuffer(raw, f"u{size}").byteswap().tobytes()
    return raw


def _unreadable(instance: Instance, got: str) -> FileFormatError:
    return FileFormatError(
        "The pixels cannot be read.", got=got, details={"uid": instance.SOPInstanceUID}
    )  # fmt: skip


def bulk_value(instance: Instance, where: str) -> bytes:
    """The value of a binary attribute, by the tags and item numbers that its BulkDataURI ends in.

    Raises:
        UidNotFoundError: there is none.
        FileFormatError: the file is gone or cannot be read.
    """
    missing = UidNotFoundError("There is no such bulk data in the instance.", details={"uid": instance.SOPInstanceUID})
    value: Any = read_dataset(instance.path)
    vr = ""
    for step in where.split("/"):
        try:
            if isinstance(value, Dataset):
                element = value[int(step, 16)]
                vr, value = element.VR[:2], element.value
            else:
                value = value[int(step)]
        # pydicom raises errors of no common class for values that are not as their VR says.
        except Exception:  # noqa: BLE001
            raise missing from None
    if not isinstance(value, bytes):
        raise missing
    return little_endian(vr, value, instance.TransferSyntaxUID == BIG_ENDIAN)


def picture(instance: Instance, size: int | None) -> bytes:
    """PNG of an instance, its middle frame where it has several, windowed; within ``size`` pixels, its own without it.

    Raises:
        ArgumentError: a size that no picture can have.
    """
    own = max(instance.Rows or 0, instance.Columns or 0)
    return thumbnail(plan([instance]), min(max(own, MIN_SIZE), MAX_SIZE) if size is None else size)


def jpeg(png: bytes) -> bytes:
    """The same picture as JPEG."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
