"""Whether a file that arrived is all there: a transfer that broke off must not become a shorter image."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Final

from slicer_notebook.dicom.header import NotTakenError, read_header, read_header_in_hand
from slicer_notebook.dicom.records import Instance

__all__ = ["looked_at", "missing_end"]

_LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_BIG: Final = "1.2.840.10008.1.2.2"
#: The second is GE's own, with pixels (only) in big endian.
_IMPLICIT: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
#: Also JPIP's, of a JPEG 2000 or HTJ2K image (PS3.5 A.7, A.11).
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
#: What an image has (Rows, Columns, Bits Allocated), and of these one: pixel data of some kind, or where it is.
_IMAGE: Final = frozenset({0x00280010, 0x00280011, 0x00280100})
_PIXEL_DATA: Final = 0x7FE00010
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, _PIXEL_DATA, 0x00287FE0})
#: Length of the file meta information, and of the instance's UID in it; the class's UID is shorter than 256 bytes.
_USUAL_META: Final = re.compile(
    rb"\x02\0\0\0UL\x04\0(....)\x02\0\x01\0OB\0\0\x02\0\0\0..\x02\0\x02\0UI.\0[0-9.]+\0?\x02\0\x03\0UI(..)", re.DOTALL
)
#: Bytes of an element's beginning.
_HEAD: Final = 12
#: Elements nested deeper than this are no data set.
_DEEPEST: Final = 64

Read = Callable[[int, int], bytes]
"""``read(offset, count)``."""


def looked_at(path: str, data: bytes | bytearray, size: int, mtime_ns: int) -> tuple[Instance | None, str | None]:
    """The instance in a file that has arrived, and why it is not taken, if it is not.

    Args:
        data: the file's bytes, where they are in memory; empty where not.
    """
    try:
        instance = read_header_in_hand(path, data, mtime_ns) if data else read_header(path)
    except NotTakenError as exc:
        return None, str(exc)
    if data:
        return instance, _problem(lambda at, count: bytes(data[at : at + count]), size, instance)
    with open(path, "rb") as file:

        def read(at: int, count: int) -> bytes:
            file.seek(at)
            return file.read(count)

        return instance, _problem(read, size, instance)


def _problem(read: Callable[[int, int], bytes], size: int, instance: Instance) -> str | None:
    head = read(0, 1024)
    announced, start = _meta(head)
    if announced and announced != instance.SOPInstanceUID:
        return "its SOP Instance UID is another than was announced"
    pixels = (instance.pixel_offset, instance.pixel_length) if instance.pixel_offset else None
    missing = missing_end(read, size, start, instance.TransferSyntaxUID, pixels)
    return f"it is not whole: {missing}" if missing is not None else None


def _meta(head: bytes) -> tuple[str, int]:
    """Media Storage SOP Instance UID and where the data set begins (PS3.10 7.1)."""
    announced, position = "", 132
    if (usual := _USUAL_META.match(head, 132)) is not None:
        # As nearly all begin: the group's length, version, class and instance.
        end = 144 + int.from_bytes(usual[1], "little")
        length = int.from_bytes(usual[2], "little")
        start = usual.end()
        if start + length <= end <= len(head) - 8 and head[end : end + 2] != b"\2\0":
            return head[start : start + length].decode("ascii", "replace").strip("\0 "), end
    while position + 8 <= len(head) and head[position : position + 2] == b"\2\0":
        element = int.from_bytes(head[position + 2 : position + 4], "little")
        if head[position + 4 : position + 6] in (b"OB", b"UN"):
            length, position = int.from_bytes(head[position + 8 : position + 12], "little"), position + 12
        else:
            length, position = int.from_bytes(head[position + 6 : position + 8], "little"), position + 8
        if element == 3:
            announced = head[position : position + length].decode("ascii", "replace").strip("\0 ")
        position += length
    return announced, position


class _ShortError(Exception):
    """The file ends inside an element."""


def missing_end(read: Read, size: int, start: int, syntax: str, pixels: tuple[int, int] | None = None) -> str | None:
    """Walk over a data set's elements (PS3.5 §7) to its end; None if it is whole, else what is missing, in words.

    Args:
        size: bytes of the file.
        start: where the data set begins.
        syntax: its Transfer Syntax UID.
        pixels: offset and length (-1: encapsulated) of the pixel data's value, where they are known: what lies before
            was walked over already.
    """
    if syntax in _DEFLATED:
        return _deflated(read, size, start)
    explicit = _is_explicit(read(start, 8), declared=syntax not in _IMPLICIT)
    walker = _Walker(read, size, ">" if syntax == _BIG else "<", explicit=explicit)
    try:
        position = start
        if pixels is not None:
            position = walker.skip(*pixels, _PIXEL_DATA) if pixels[1] >= 0 else walker.fragments(pixels[0])
        seen = walker.elements(position)
    except _ShortError as exc:
        return str(exc)
    if pixels is None and seen >= _IMAGE and not seen & _PIXELS:
        return "the pixel data of an image is not there"
    return None


def _is_explicit(head: bytes, *, declared: bool) -> bool:
    """Whether elements name their VR. Some programs write another encoding than they declare; pydicom reads it, too."""
    vr = head[4:6]
    if declared:
        return re.fullmatch(b"[A-Z]{2}", vr) is not None or len(head) < 8
    return vr in _SHORT or vr in _LONG


def _deflated(read: Read, size: int, start: int) -> str | None:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    position = start
    try:
        while position < size and not stream.eof:
            piece = read(position, 1 << 20)
            position += len(piece)
            # No more than so much at a time: little may stand for a great deal.
            while stream.decompress(piece, 1 << 20) and not stream.eof:
                piece = stream.unconsumed_tail
    except zlib.error as exc:
        return f"the compressed data set is damaged: {exc}"
    return None if stream.eof else "the compressed data set breaks off"


class _Walker:
    def __init__(self, read: Read, size: int, order: str, *, explicit: bool) -> None:
        self.read = read
        self.size = size
        self.explicit = explicit
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")

    def _head(self, position: int) -> tuple[int, bytes]:
        data = self.read(position, _HEAD)
        if len(data) < 8:
            raise _ShortError(f"it ends at byte {self.size}, in the middle of an element")
        group, element = self._tag.unpack_from(data)
        return group << 16 | element, data

    def skip(self, position: int, length: int, tag: int) -> int:
        """The position after a value. Raises `_ShortError` where the file ends before."""
        if position + length > self.size:
            raise _ShortError(
                f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has {length} bytes, of which {max(0, self.size - position)} came"
            )
        return position + length

    def elements(self, position: int) -> set[int]:
        """From ``position`` to the file's end; the tags that are there."""
        seen: set[int] = set()
        while position < self.size:
            # A last zero byte or two are padding that some write.
            if self.size - position < 8 and not self.read(position, 8).strip(b"\0"):
                break
            tag, data = self._head(position)
            seen.add(tag)
            position = self._element(position, tag, data, self.explicit, 0)
        return seen

    def _element(self, position: int, tag: int, data: bytes, explicit: bool, depth: int) -> int:
        vr = data[4:6]
        if explicit and tag >> 16 != 0xFFFE:
            if vr in _LONG:
                if len(data) < _HEAD:
                    raise _ShortError("it ends in the middle of an element")
                (length,) = self._long.unpack_from(data, 8)
                position += 12
            else:
                (length,) = self._short.unpack_from(data, 6)
                position += 8
        else:
            (length,) = self._long.unpack_from(data, 4)
            position += 8
        if length != _UNDEFINED:
            return self.skip(position, length, tag)
        if depth > _DEEPEST:
            raise _ShortError("its sequences are nested too deep")
        if tag & 0xFFFF0000 == 0x7FE00000:
            return self.fragments(position)
        return self._items(position, explicit and vr != b"UN", depth + 1)

    def _items(self, position: int, explicit: bool, depth: int) -> int:
        while True:
            tag, data = self._head(position)
            (length,) = self._long.unpack_from(data, 4)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise _ShortError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is where an item is due")
            if length != _UNDEFINED:
                position = self.skip(position, length, tag)
                continue
            while True:
                tag, data = self._head(position)
                if tag == _ITEM_END:
                    position += 8
                    break
                position = self._element(position, tag, data, explicit, depth)

    def fragments(self, position: int) -> int:
        """Over encapsulated pixel data (PS3.5 A.4); the position after its delimiter."""
        while True:
            tag, data = self._head(position)
            (length,) = self._long.unpack_from(data, 4)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM or length == _UNDEFINED:
                raise _ShortError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is where a fragment of pixel data is due")
            position = self.skip(position, length, tag)
