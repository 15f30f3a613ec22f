"""A small reader of DICOM headers (PS3.10, PS3.5 §7): it keeps the wanted elements and skips the rest.

It exists for speed: an index needs some ninety attributes of files that hold hundreds, and a loader needs to know where
the pixels begin so that it can read them straight into a volume. What it finds odd it does not guess at: it raises
`Unscannable`, and `slicer_notebook.dicom.header` then asks pydicom.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from slicer_notebook.dicom.tags import ATTRIBUTES, PIXEL_TAGS, WANTED, is_private_wanted

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
_ITEM_GROUP: Final = {"<": b"\xfe\xff", ">": b"\xff\xfe"}

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
    #: keyword -> items of sequences, where the reader made them already
    items: dict[str, list[dict[str, Any]]]


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


def _skip_undefined(  # noqa: PLR0912, PLR0915 - the grammar of nested items, in one place
    window: _Window, pos: int, order: str, explicit: bool
) -> int:
    """The position after a value of undefined length that begins at ``pos`` (PS3.5 §7.5)."""
    unpack_item = struct.Struct(order + "HHI").unpack_from
    unpack_short = struct.Struct(order + "H").unpack_from
    unpack_long = struct.Struct(order + "I").unpack_from
    stack: list[tuple[bool, bool]] = [(True, explicit)]  # (is a sequence, explicit VR)
    in_sequence = True
    data, base, last = window.data, window.base, len(window.data) - 12
    while True:
        offset = pos - base
        if offset > last or offset < 0:
            offset = window.at(pos, 8)
            data, base, last = window.data, window.base, len(window.data) - 12
        if in_sequence or not explicit or data[offset : offset + 2] == _ITEM_GROUP[order]:
            group, element, length = unpack_item(data, offset)
            tag = group << 16 | element
            pos += 8
            if in_sequence:
                if tag == _SEQUENCE_END:
                    stack.pop()
                    if not stack:
                        return pos
                    in_sequence, explicit = stack[-1]
                elif tag != _ITEM:
                    raise Unscannable(f"tag {tag:08X} where an item was due")
                elif length == UNDEFINED:
                    stack.append((False, explicit))
                    in_sequence = False
                else:
                    pos += length
                continue
            if tag == _ITEM_END:
                stack.pop()
                in_sequence, explicit = stack[-1]
                continue
            if explicit:
                raise Unscannable(f"tag {tag:08X} in an item")
            inner = False
        else:
            vr = data[offset + 4 : offset + 6]
            inner = True
            if vr in _SHORT_VRS:
                pos += 8 + unpack_short(data, offset + 6)[0]
                continue
            if vr not in _LONG_VRS:
                raise Unscannable(f"VR {vr!r} in an item")
            (length,) = unpack_long(data, offset + 8)
            pos += 12
            inner = vr != b"UN"
        if length != UNDEFINED:
            pos += length
            continue
        if len(stack) > MAX_DEPTH:
            raise Unscannable("sequences nested too deep")
        stack.append((True, inner))
        in_sequence, explicit = True, inner


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


#: What to do with an element, by its first bytes (tag, and VR where there is one): bits, and the tag above them. Nearly
#: all elements are known by them, so that most cost one look-up.
_LONG, _KEEP, _OTHER_VR, _PRIVATE, _SPECIAL, _SEQUENCE = 1, 2, 4, 8, 16, 32
_TAG_SHIFT: Final = 6
#: Learned as files are read; by (byte order, explicit VR).
_ACTIONS: Final[dict[tuple[str, bool], dict[bytes, int]]] = {}
#: Made-up tags of damaged files are not all remembered.
_MOST_ACTIONS: Final = 20_000


def _action(actions: dict[bytes, int], key: bytes, order: str, explicit: bool) -> int:
    """Learn what to do with an element."""
    group, element = struct.unpack_from(order + "HH", key)
    tag = group << 16 | element
    vr = key[4:]
    action = 0
    if explicit:
        if vr in _LONG_VRS:
            action = _LONG
        elif vr not in _SHORT_VRS:
            raise Unscannable(f"VR {vr!r} at ({group:04X},{element:04X})")
    due = WANTED.get(tag)
    if tag in PIXEL_TAGS or (due is not None and (vr == b"SQ" or due == b"SQ")):
        action |= _SPECIAL | tag << _TAG_SHIFT
        if due == b"SQ" and tag in ATTRIBUTES:
            action |= _SEQUENCE | (_OTHER_VR if vr == b"UN" else 0)
    elif due is not None:
        action |= _KEEP | tag << _TAG_SHIFT
        if explicit and vr not in (due, b"UN"):
            action |= _OTHER_VR
    elif is_private_wanted(group, element):
        action |= _PRIVATE | tag << _TAG_SHIFT
    if len(actions) < _MOST_ACTIONS:
        actions[key] = action
    return action


# A single loop: one call for each element would double the time that an index takes.
def _data_set(  # noqa: PLR0912, PLR0915
    window: _Window,
    pos: int,
    size: int,
    names: tuple[str, str],
    encoding: tuple[str, bool, bool],
    *,
    learning: bool = True,
) -> Scan:
    order, explicit, known_offset = encoding
    elements: dict[int, bytes] = {}
    other_vrs: dict[int, str] = {}
    seen: set[int] = set()
    key_size, length_at = (6, 6) if explicit else (4, 4)
    unpack_short = struct.Struct(order + ("H" if explicit else "I")).unpack_from
    unpack_long = struct.Struct(order + "I").unpack_from
    actions = _ACTIONS.setdefault((order, explicit), {})
    look_up = actions.get
    habits = _HABITS.setdefault((order, explicit), _Habits()) if learning else _Habits()
    known_run = habits.runs.get
    head, marks = window.data, []
    pixel_tag = pixel_offset = pixel_length = 0
    at = window.at
    # The window's own bookkeeping is repeated here: a call for each of a header's hundreds of elements costs as much
    # as all the rest.
    data, base, last = window.data, window.base, len(window.data) - 12
    offset = pos - base
    while True:
        if offset > last:
            pos = base + offset
            if pos + 8 > size:
                break
            offset = at(pos, 8)
            data, base, last = window.data, window.base, len(window.data) - 12
        run = known_run(data[offset : offset + 8])
        if run is not None and data.startswith(run[0], offset):
            if data is head:
                marks.append((b"", offset))
            elements.update(run[1].elements)
            other_vrs.update(run[1].other_vrs)
            seen |= run[1].seen
            offset += len(run[0])
            continue
        key = data[offset : offset + key_size]
        if data is head:
            marks.append((key, offset))
        action = look_up(key)
        if action is None:
            action = _action(actions, key, order, explicit)
        if action & _LONG:
            (length,) = unpack_long(data, offset + 8)
            offset += 12
        else:
            (length,) = unpack_short(data, offset + length_at)
            offset += 8
        if action <= _LONG and length != UNDEFINED:
            offset += length
            continue
        tag = action >> _TAG_SHIFT
        if action & _SPECIAL:
            if tag in PIXEL_TAGS:
                pixel_tag = tag
                pixel_offset = base + offset if known_offset else 0
                pixel_length = -1 if length == UNDEFINED else length
                break
            seen.add(tag)
        if length == UNDEFINED:
            if action > _LONG:
                seen.add(tag)
            start = base + offset
            pos = _skip_undefined(window, start, order, explicit and key[4:] != b"UN")
            if action & _SEQUENCE and pos - start <= MAX_VALUE:
                offset = at(start, pos - start)
                elements[tag] = window.data[offset : offset + pos - start - 8]  # without its delimiter
                if action & _OTHER_VR:
                    other_vrs[tag] = "UN"
            data, base, last = window.data, window.base, len(window.data) - 12
            offset = pos - base
            continue
        pos = base + offset
        if pos + length > size:
            raise Unscannable(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is longer than the file")
        if action & (_KEEP | _SEQUENCE) and length > MAX_VALUE:
            seen.add(tag)
        elif action & (_KEEP | _SEQUENCE) or (action & _PRIVATE and length <= MAX_PRIVATE_VALUE):
            if offset + length > last + 12:
                offset = at(pos, length)
                data, base, last = window.data, window.base, len(window.data) - 12
            elements[tag] = data[offset : offset + length]
            if action & _OTHER_VR:
                other_vrs[tag] = key[4:].decode("ascii")
        offset += length
    if not pixel_tag and base + offset > size:
        raise Unscannable("the last element is longer than the file")
    if learning:
        if data is head and not pixel_tag:
            marks.append((b"", offset))
        habits.learn(head, marks, encoding)
    return Scan(*names, elements, other_vrs, seen, pixel_tag, pixel_offset, pixel_length, order == ">", {})


class _Habits:
    """What headers read before had in common: runs of elements, byte for byte the same from file to file.

    What a run says follows from its bytes alone, so where the same bytes come again, they need not be read again. Most
    of a slice's header is that of the slice before it.
    """

    #: Elements that are worth a run.
    SHORTEST: Final = 3
    #: Longer elements (bytes) are in no run.
    LONGEST: Final = 16384
    #: Runs and elements remembered; then they are learned anew.
    MOST_RUNS: Final = 256
    MOST_ELEMENTS: Final = 1024

    def __init__(self) -> None:
        #: by its first eight bytes: a run, and what it says
        self.runs: dict[bytes, tuple[bytes, Scan]] = {}
        #: by tag and VR: the element when it was last read
        self.last: dict[bytes, bytes] = {}

    def learn(self, data: bytes, marks: list[tuple[bytes, int]], encoding: tuple[str, bool, bool]) -> None:
        """Look for runs among elements that were just read one by one.

        Args:
            marks: (first bytes, offset) of each, in order; no first bytes where something else begins.
        """
        begin = -1
        count = 0
        for (key, start), (_, end) in pairwise(marks):
            same = False
            if key and end - start <= self.LONGEST:
                raw = data[start:end]
                same = self.last.get(key) == raw
                if not same:
                    if len(self.last) >= self.MOST_ELEMENTS:
                        self.last.clear()
                    self.last[key] = raw
            if same:
                begin, count = (start, 1) if begin < 0 else (begin, count + 1)
            else:
                self._remember(data, begin, start, count, encoding)
                begin = -1
        if marks:
            self._remember(data, begin, marks[-1][1], count, encoding)

    def _remember(self, data: bytes, begin: int, end: int, count: int, encoding: tuple[str, bool, bool]) -> None:
        if begin < 0 or count < self.SHORTEST:
            return
        if len(self.runs) >= self.MOST_RUNS:
            self.runs.clear()
        raw = data[begin:end]
        said = _data_set(_Window(lambda *_: b"", raw), 0, len(raw), ("", ""), encoding, learning=False)
        self.runs[raw[:8]] = (raw, said)


_HABITS: Final[dict[tuple[str, bool], _Habits]] = {}
