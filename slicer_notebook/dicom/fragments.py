"""Which fragments of encapsulated pixels are which frame (PS3.5 annex A.4).

The fragments are walked by their own lengths, so that an offset table that lies is found out; it is only asked where
frames are of several fragments each. An Extended Offset Table (PS3.3 C.7.6.3.1.8) is not needed: with it, every frame
is one fragment.
"""

from __future__ import annotations

import itertools
import struct
from typing import BinaryIO, Final, NamedTuple

__all__ = ["Fragment", "FragmentError", "fragments_of_frames", "read_frame"]

_ITEM: Final = 0xFFFEE000
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("<HHI")
_DELIMITER: Final = _HEADER.pack(_SEQUENCE_END >> 16, _SEQUENCE_END & 0xFFFF, 0)
#: A codestream's last bytes: JPEG's and JPEG-LS's EOI and JPEG 2000's EOC, perhaps padded to an even length.
_END: Final = b"\xff\xd9"
_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


class FragmentError(Exception):
    """Fragments that are cut off or do not make the frames. Never reaches a user: callers make a refusal of it."""


class Fragment(NamedTuple):
    """A piece of encapsulated pixels: where its bytes begin in the file, and how many there are."""

    offset: int
    length: int


def fragments_of_frames(file: BinaryIO, offset: int, frames: int) -> list[list[Fragment]]:
    """The fragments of each frame.

    Args:
        file: seekable.
        offset: where the pixel data's value begins: at its offset table.
        frames: how many there are.

    Raises:
        FragmentError: the file ends before its pixels do, or the fragments are not so many frames.
    """
    items, whole = _items(file, offset)
    if not items:
        raise FragmentError("the pixels have no offset table and no fragments")
    table_item, fragments = items[0], items[1:]
    if not whole and len(fragments) <= frames:
        raise FragmentError(f"the file ends inside fragment {max(len(fragments), 1)} of its pixels, of {frames} frames")
    if len(fragments) == frames:
        return [[fragment] for fragment in fragments]
    if frames == 1 and len(_codestreams(file, fragments)) <= 1:
        return [fragments]
    if len(fragments) < frames:
        raise FragmentError(f"{len(fragments)} fragments of pixels for {frames} frames")
    by_table = _by_table(file, table_item, fragments, frames)
    found = by_table if by_table is not None else _codestreams(file, fragments)
    if len(found) != frames:
        message = f"{len(fragments)} fragments of pixels, and nothing that says how they make {frames} frames"
        raise FragmentError(message)
    return found


def _items(file: BinaryIO, offset: int) -> tuple[list[Fragment], bool]:
    """The items, and whether the last is all there."""
    size = file.seek(0, 2)
    found: list[Fragment] = []
    while True:
        file.seek(offset)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            # Some writers leave out the delimiter at the end. One that lies inside the last item shows that as many
            # bytes were lost before it.
            return found, not header and not _swallows_delimiter(file, found)
        group, element, length = _HEADER.unpack(header)
        tag = group << 16 | element
        offset += _HEADER.size
        if tag == _SEQUENCE_END:
            return found, True
        if tag != _ITEM or length == _UNDEFINED:
            raise FragmentError(f"({group:04X},{element:04X}) where fragment {len(found)} of the pixels was due")
        if offset + length > size:
            found.append(Fragment(offset, max(size - offset, 0)))
            return found, False
        found.append(Fragment(offset, length))
        offset += length


def _swallows_delimiter(file: BinaryIO, found: list[Fragment]) -> bool:
    if not found or found[-1].length < _HEADER.size:
        return False
    file.seek(found[-1].offset + found[-1].length - _HEADER.size)
    return file.read(_HEADER.size) == _DELIMITER


def _by_table(file: BinaryIO, table: Fragment, fragments: list[Fragment], frames: int) -> list[list[Fragment]] | None:
    """By the Basic Offset Table: where each frame's first fragment begins, counted from the first of all."""
    if table.length != 4 * frames:
        return None
    file.seek(table.offset)
    starts = struct.unpack(f"<{frames}I", file.read(table.length))
    base = fragments[0].offset - _HEADER.size
    places = {fragment.offset - _HEADER.size - base: number for number, fragment in enumerate(fragments)}
    numbers = [places.get(start) for start in starts]
    if numbers[0] != 0 or any(number is None for number in numbers):
        return None
    bounds = [number for number in numbers if number is not None] + [len(fragments)]
    if any(end <= begin for begin, end in itertools.pairwise(bounds)):
        return None
    found = [fragments[begin:end] for begin, end in itertools.pairwise(bounds)]
    # A decoder shows the first of two codestreams that lie behind one another: the other would be lost unnoticed.
    if any(len(parts) > 1 and len(_codestreams(file, parts)) > 1 for parts in found):
        return None
    return found


def _codestreams(file: BinaryIO, fragments: list[Fragment]) -> list[list[Fragment]]:
    """By where codestreams begin, after one that ended; empty where the first fragment begins none."""
    found: list[list[Fragment]] = []
    ended = True
    for fragment in fragments:
        file.seek(fragment.offset)
        head = file.read(min(12, fragment.length))
        file.seek(fragment.offset + max(fragment.length - 3, 0))
        tail = file.read(min(3, fragment.length))
        if ended and head.startswith(_STARTS):
            found.append([fragment])
        elif found:
            found[-1].append(fragment)
        else:
            return []
        ended = tail.rstrip(b"\0").endswith(_END)
    return found


def read_frame(file: BinaryIO, fragments: list[Fragment]) -> bytes:
    """A frame's bytes: those of its fragments, one after another."""
    parts = []
    for fragment in fragments:
        file.seek(fragment.offset)
        part = file.read(fragment.length)
        if len(part) < fragment.length:
            raise FragmentError("the file ends inside a fragment of its pixels")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
