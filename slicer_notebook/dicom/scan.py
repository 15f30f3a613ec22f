"""A small reader of DICOM headers (PS3.10, PS3.5 §7): it keeps the wanted elements and skips the rest.

It exists for speed: an index needs some ninety attributes of files that hold hundreds, and a loader needs to know where
the pixels begin so that it can read them straight into a volume. What it finds odd it does not guess at: it raises
`Unscannable`, and `slicer_notebook.dicom.header` then asks pydicom.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from slicer_notebook.dicom.tags import PIXEL_TAGS, PRIVATE_ELEMENTS, WANTED, is_private_wanted

__all__ = ["Scan", "Unscannable", "looks_like_dicom", "scan"]

#: Bytes read at once. Most headers end before 16 KiB; pixels behind them are then read only in part.
CHUNK: Final = 16384
#: Values longer than this (bytes) are not taken: no attribute the index keeps is that long.
MAX_VALUE: Final = 65536
#: Private values longer than this are taken as their presence only.
MAX_PRIVATE_VALUE: Final = 256
#: A deflated data set may not grow beyond this (bytes) while its header is looked for.
MAX_INFLATED: Final = 1 << 30
#: Sequences nested deeper than this are no sane file.
MAX_DEPTH: Final = 64

UNDEFINED: Final = 0xFFFFFFFF
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS: Final = frozenset(
    {
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
        b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    }
)  # fmt: skip
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
#: Prefix of all standard encapsulated syntaxes; their data sets are explicit VR little endian (PS3.5 A.4).
ENCAPSULATED_PREFIX: Final = "1.2.840.10008.1.2.4."
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"


class Unscannable(Exception):  # noqa: N818 - not an error of the library: it never reaches a user
    """Not a file this reader knows how to read; the message says what it stumbled on."""


class Scan(NamedTuple):
    """What was found in a header."""

    transfer_syntax: str
    media_class: str
    #: tag -> value as in the file; little endian unless `big_endian`
    elements: dict[int, bytes]
    #: tag -> VR where the file says another one than the standard's
    other_vrs: dict[int, str]
    #: tags whose value was seen but not taken (sequences, long values)
    seen: set[int]
    pixel_tag: int
    #: 0 when not known
    pixel_offset: int
    #: -1 when undefined
    pixel_length: int
    big_endian: bool


Reader = Callable[[int, int], bytes]
"""``reader(count, offset)`` gives up to ``count`` bytes from ``offset``."""


def looks_like_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes may begin a DICOM file: the prefix, or a data set without it."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    little, big = struct.unpack_from("<HH", head), struct.unpack_from(">HH", head)
    return any(group in (0x0002, 0x0008) and element < 0x0100 for group, element in (little, big))


class _Window:
    """A piece of the file in memory; ``at(pos, n)`` makes sure that ``n`` bytes from ``pos`` are in it."""

    __slots__ = ("base", "data", "read")

    def __init__(self, read: Reader, data: bytes) -> None:
        self.read = read
        self.base = 0
        self.data = data

    def at(self, pos: int, count: int) -> int:
        """The index in ``data`` of file position ``pos``."""
        offset = pos - self.base
        if offset < 0 or offset + count > len(self.data):
            self.data = self.read(max(count, CHUNK), pos)
            self.base = pos
            offset = 0
            if len(self.data) < count:
                raise EOFError
        return offset


def _skip_undefined(  # noqa: PLR0912 - the grammar of nested items, in one place
    window: _Window, pos: int, order: str, explicit: bool
) -> int:
    """The position after a value of undefined length that begins at ``pos`` (PS3.5 §7.5)."""
    tag_and_length = struct.Struct(order + "HHI")
    stack: list[tuple[bool, bool]] = [(True, explicit)]  # (is a sequence, explicit VR)
    while stack:
        in_sequence, explicit = stack[-1]
        offset = window.at(pos, 8)
        group, element, length = tag_and_length.unpack_from(window.data, offset)
        tag = group << 16 | element
        pos += 8
        if in_sequence:
            if tag == _SEQUENCE_END:
                stack.pop()
            elif tag != _ITEM:
                raise Unscannable(f"tag {tag:08X} where an item was due")
            elif length == UNDEFINED:
                stack.append((False, explicit))
            else:
                pos += length
            continue
        if tag == _ITEM_END:
            stack.pop()
            continue
        inner = explicit
        if explicit:
            vr = window.data[offset + 4 : offset + 6]
            if vr in _LONG_VRS:
                offset = window.at(pos, 4)
                (length,) = struct.unpack_from(order + "I", window.data, offset)
                pos += 4
                inner = vr != b"UN"
            elif vr in _SHORT_VRS:
                (length,) = struct.unpack_from(order + "H", window.data, offset + 6)
            else:
                raise Unscannable(f"VR {vr!r} in an item")
        if length == UNDEFINED:
            if len(stack) > MAX_DEPTH:
                raise Unscannable("sequences nested too deep")
            stack.append((True, inner))
        else:
            pos += length
    return pos


def _file_meta(window: _Window) -> tuple[str, str, int]:
    """Transfer syntax UID, media storage SOP class UID, and where the data set begins (PS3.10 §7.1)."""
    pos = 132
    found: dict[int, bytes] = {}
    header = struct.Struct("<HH2sH")
    while True:
        try:
            offset = window.at(pos, 8)
        except EOFError:
            break
        group, element, vr, length = header.unpack_from(window.data, offset)
        if group != 0x0002:
            break
        pos += 8
        if vr in _LONG_VRS:
            offset = window.at(pos, 4)
            (length,) = struct.unpack_from("<I", window.data, offset)
            pos += 4
        elif vr not in _SHORT_VRS:
            raise Unscannable(f"VR {vr!r} in the file meta information")
        if length <= MAX_PRIVATE_VALUE:
            offset = window.at(pos, length)
            found[element] = window.data[offset : offset + length]
        pos += length
    syntax, media = (found.get(e, b"").decode("ascii", "replace").strip("\0 ") for e in (0x0010, 0x0002))
    return syntax, media, pos


def _inflated(read: Reader, pos: int) -> bytes:
    chunks, offset = zlib.decompressobj(-zlib.MAX_WBITS), pos
    out = bytearray()
    while not chunks.eof:
        piece = chunks.unconsumed_tail
        if not piece:
            piece = read(1 << 20, offset)
            offset += len(piece)
            if not piece:
                break
        out += chunks.decompress(piece, 1 << 24)
        if len(out) > MAX_INFLATED:
            raise Unscannable("deflated data set grows beyond 1 GiB")
    return bytes(out)


def scan(read: Reader, size: int, head: bytes) -> Scan:
    """Read a file's header.

    Args:
        read: gives bytes of the file.
        size: bytes in the file.
        head: the file's first bytes, at least 132 where it has so many.

    Raises:
        Unscannable: no DICM prefix, an unknown transfer syntax, or a data set that is not as PS3.5 says.
    """
    if head[128:132] != b"DICM":
        raise Unscannable("no DICM prefix")
    window = _Window(read, head)
    try:
        syntax, media, pos = _file_meta(window)
        explicit, order, known_offset = syntax != IMPLICIT_LITTLE, "<", True
        if syntax == EXPLICIT_BIG:
            order = ">"
        elif syntax == DEFLATED_LITTLE:
            data = _inflated(read, pos)
            window = _Window(lambda count, offset: data[offset : offset + count], data)
            pos, size, known_offset = 0, len(data), False
        elif not (syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, RLE_LOSSLESS) or syntax.startswith(ENCAPSULATED_PREFIX)):
            raise Unscannable(f"transfer syntax {syntax!r}")
        return _data_set(window, pos, size, (syntax, media), (order, explicit, known_offset))
    except (EOFError, struct.error, zlib.error) as exc:
        raise Unscannable("the file ends inside an element") from exc


# A single loop: one call for each element would double the time that an index takes.
def _data_set(  # noqa: PLR0912, PLR0915
    window: _Window, pos: int, size: int, names: tuple[str, str], encoding: tuple[str, bool, bool]
) -> Scan:
    order, explicit, known_offset = encoding
    elements: dict[int, bytes] = {}
    other_vrs: dict[int, str] = {}
    seen: set[int] = set()
    unpack_header = struct.Struct(order + ("HH2sH" if explicit else "HHI")).unpack_from
    unpack_long = struct.Struct(order + "I").unpack_from
    long_vrs, short_vrs = _LONG_VRS, _SHORT_VRS
    wanted, private = WANTED, PRIVATE_ELEMENTS
    pixel_tag = pixel_offset = pixel_length = 0
    at, vr = window.at, b""
    # The window's own bookkeeping is repeated here: a call for each of a header's hundreds of elements costs as much
    # as all the rest.
    data, base, last = window.data, window.base, len(window.data) - 12
    while pos + 8 <= size:
        offset = pos - base
        if offset > last:
            offset = at(pos, 8)
            data, base, last = window.data, window.base, len(window.data) - 12
        if explicit:
            group, element, vr, length = unpack_header(data, offset)
            pos += 8
            if vr in long_vrs:
                if offset > last:
                    raise EOFError
                (length,) = unpack_long(data, offset + 8)
                pos += 4
            elif vr not in short_vrs:
                raise Unscannable(f"VR {vr!r} at ({group:04X},{element:04X})")
        else:
            group, element, length = unpack_header(data, offset)
            pos += 8
        tag = group << 16 | element
        if group == 0x7FE0 and tag in PIXEL_TAGS:
            pixel_tag = tag
            pixel_offset = pos if known_offset else 0
            pixel_length = -1 if length == UNDEFINED else length
            break
        if length == UNDEFINED:
            seen.add(tag)
            pos = _skip_undefined(window, pos, order, explicit and vr != b"UN")
            continue
        if pos + length > size:
            raise Unscannable(f"({group:04X},{element:04X}) is longer than the file")
        due = wanted.get(tag)
        if due is not None:
            if length <= MAX_VALUE and vr != b"SQ":
                offset = pos - base
                if offset + length > last + 12:
                    offset = at(pos, length)
                    data, base, last = window.data, window.base, len(window.data) - 12
                elements[tag] = data[offset : offset + length]
                if vr != due and explicit and vr != b"UN":
                    other_vrs[tag] = vr.decode("ascii")
            else:
                seen.add(tag)
        elif group in private and length <= MAX_PRIVATE_VALUE and is_private_wanted(group, element):
            offset = at(pos, length)
            data, base, last = window.data, window.base, len(window.data) - 12
            elements[tag] = data[offset : offset + length]
        pos += length
    return Scan(*names, elements, other_vrs, seen, pixel_tag, pixel_offset, pixel_length, order == ">")
