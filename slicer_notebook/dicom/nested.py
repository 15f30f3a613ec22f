"""A file's header with the insides of its sequences, for functional groups and the like (PS3.5 §7.5).

The index's scanner steps over sequences. What is inside is needed when a multi-frame object is planned: some hundred
elements for each of thousands of frames, of which a dozen are wanted. Hence this reader: it keeps the wanted ones as
bytes, and leaves what it does not understand to pydicom.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement

from slicer_notebook.dicom.archives import open_binary
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.scan import (
    ENCAPSULATED_PREFIX,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    RLE_LOSSLESS,
    UNDEFINED,
)
from slicer_notebook.dicom.tags import SPECIFIC_CHARACTER_SET

__all__ = ["Item", "Nested", "UnreadableError", "Wanted", "items_of", "numbers_of", "private_value", "read_nested"]

Item = dict[int, "bytes | list[Item]"]
"""tag -> value as in the file, or the items of a sequence. Private creators' elements are kept as well."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS: Final = frozenset(
    {
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
        b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    }
)  # fmt: skip
_BINARY: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
#: Sequences nested deeper than this are no sane file.
MAX_DEPTH: Final = 32
#: Headers longer than this (bytes) are read by pydicom, which does not need them in memory at once.
MAX_HEADER: Final = 1 << 30


class UnreadableError(Exception):
    """Neither this reader nor pydicom can read the header; the message says why. Never reaches a user."""


class Wanted(NamedTuple):
    """What is kept of a header, at any depth."""

    #: tags of standard elements and sequences
    standard: frozenset[int]
    #: private group -> last bytes of its elements
    private: Mapping[int, Collection[int]] = {}

    def keeps(self, tag: int) -> bool:
        """Whether a tag is wanted; private creators' elements are, in groups that are looked into."""
        group, element = tag >> 16, tag & 0xFFFF
        wanted = self.private.get(group)
        return tag in self.standard or (wanted is not None and (element < 0x0100 or element & 0xFF in wanted))


class Nested(NamedTuple):
    """A header's wanted elements."""

    root: Item
    #: ``<`` or ``>``: the byte order of values
    order: str
    #: tag -> VR where the file says another than the standard's
    other_vrs: dict[int, str]


class _Odd(Exception):  # noqa: N818 - a signal inside this module
    """Something that this reader does not read."""


@lru_cache(maxsize=4096)
def _standard_vr(tag: int) -> str:
    """The VR of the standard's dictionary, the first one where it leaves a choice; "" when it has none."""
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return ""


class _Reader:
    """One header in memory."""

    def __init__(self, data: bytes, order: str, wanted: Wanted) -> None:
        self.data = data
        self.order = order
        self.wanted = wanted
        self.other_vrs: dict[int, str] = {}
        #: tag -> the VR it is due to have, for those met so far; None where it is not wanted
        self.due: dict[int, bytes | None] = {}
        self.header = struct.Struct(order + "HH2sH").unpack_from
        self.implicit = struct.Struct(order + "HHI").unpack_from
        self.long = struct.Struct(order + "I").unpack_from

    # One loop: a call for each of some 500,000 elements would double the time.
    def elements(  # noqa: PLR0912
        self, pos: int, end: int, *, explicit: bool, keep: bool, depth: int, item_end: bool = False
    ) -> tuple[Item, int]:
        """Elements from ``pos`` to ``end``, or to an item delimiter; and where they end."""
        if depth > MAX_DEPTH:
            raise _Odd("sequences nested too deep")
        data, all_due, header, implicit = self.data, self.due, self.header, self.implicit
        found: Item = {}
        while pos + 8 <= end:
            vr = b""
            if explicit:
                group, element, vr, length = header(data, pos)
            else:
                group, element, length = implicit(data, pos)
            tag = group << 16 | element
            if group == 0xFFFE:
                if tag == _ITEM_END and item_end:
                    return found, pos + 8
                raise _Odd(f"tag {tag:08X} among elements")
            if group == 0x7FE0 and depth == 0:
                return found, pos
            pos += 8
            if explicit:
                if vr in _LONG_VRS:
                    (length,) = self.long(data, pos)
                    pos += 4
                elif vr not in _SHORT_VRS:
                    raise _Odd(f"VR {vr!r} at {tag:08X}")
            due = None
            if keep:
                if tag not in all_due:
                    all_due[tag] = _standard_vr(tag).encode("ascii") if self.wanted.keeps(tag) else None
                due = all_due[tag]
            taken = due is not None
            if length == UNDEFINED:
                items, pos = self.items(pos, end, explicit=explicit and vr != b"UN", keep=taken, depth=depth + 1)
                if taken:
                    found[tag] = items
                continue
            after = pos + length
            if after > end:
                raise _Odd(f"{tag:08X} is longer than what it is in")
            if taken:
                if self.is_sequence(tag, vr, pos, length):
                    inner = explicit and vr != b"UN"
                    found[tag], _ = self.items(pos, after, explicit=inner, keep=True, depth=depth + 1, defined=True)
                else:
                    found[tag] = data[pos:after]
                    if vr != due and due and vr not in (b"", b"UN"):
                        self.other_vrs[tag] = vr.decode("ascii")
            pos = after
        if item_end:
            raise _Odd("an item without an end")
        return found, pos

    def items(
        self, pos: int, end: int, *, explicit: bool, keep: bool, depth: int, defined: bool = False
    ) -> tuple[list[Item], int]:
        """Items of a sequence: up to ``end`` if its length is defined, else up to the delimiter."""
        found: list[Item] = []
        while pos + 8 <= end:
            group, element, length = self.implicit(self.data, pos)
            tag = group << 16 | element
            pos += 8
            if tag == _SEQUENCE_END:
                return found, pos
            if tag != _ITEM:
                raise _Odd(f"tag {tag:08X} where an item was due")
            if length == UNDEFINED:
                item, pos = self.elements(pos, end, explicit=explicit, keep=keep, depth=depth, item_end=True)
            else:
                after = pos + length
                if after > end:
                    raise _Odd("an item is longer than its sequence")
                item = self.elements(pos, after, explicit=explicit, keep=True, depth=depth)[0] if keep else {}
                pos = after
            if keep:
                found.append(item)
        if not defined:
            raise _Odd("a sequence without an end")
        return found, pos

    def is_sequence(self, tag: int, vr: bytes, pos: int, length: int) -> bool:
        if vr not in (b"", b"UN", b"SQ"):
            return False
        if vr == b"SQ" or _standard_vr(tag) == "SQ":
            return True
        # A private element whose VR is not known: only a sequence begins with an item's tag.
        starts = self.data[pos : pos + 4] == struct.pack(self.order + "HH", 0xFFFE, 0xE000)
        return bool(tag >> 16 & 1) and length >= 8 and starts


def _start_of_data_set(data: bytes) -> int:
    """Where the file meta information (PS3.10 §7.1), which is explicit little endian, ends."""
    if data[128:132] != b"DICM":
        raise _Odd("no DICM prefix")
    pos = 132
    while pos + 8 <= len(data):
        group, _, vr, length = struct.unpack_from("<HH2sH", data, pos)
        if group != 0x0002:
            break
        pos += 8
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<I", data, pos)
            pos += 4
        pos += length
    return pos


def read_nested(instance: Instance, wanted: Wanted) -> Nested:
    """Read the wanted elements of an instance's file, with those in sequences; pixels are not read.

    Raises:
        UnreadableError: the file is gone, or no DICOM any more.
    """
    syntax = instance.TransferSyntaxUID
    known = syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, RLE_LOSSLESS) or syntax.startswith(
        ENCAPSULATED_PREFIX
    )
    try:
        if known and 0 < instance.pixel_offset <= MAX_HEADER:
            with open_binary(instance.path) as file:
                data = file.read(instance.pixel_offset)
            try:
                order = ">" if syntax == EXPLICIT_BIG else "<"
                reader = _Reader(data, order, wanted)
                start = _start_of_data_set(data)
                explicit = syntax != IMPLICIT_LITTLE
                root, _ = reader.elements(start, len(data), explicit=explicit, keep=True, depth=0)
                return Nested(root, order, reader.other_vrs)
            except (_Odd, struct.error):
                pass  # pydicom knows more kinds of odd files
        return _with_pydicom(instance.path, wanted)
    except OSError as exc:
        raise UnreadableError(f"not readable: {exc.strerror or exc}") from exc


def _with_pydicom(path: str, wanted: Wanted) -> Nested:
    with warnings.catch_warnings(), open_binary(path) as file:
        warnings.simplefilter("ignore")
        try:
            found = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            other_vrs: dict[int, str] = {}
            little = found.original_encoding[1]
            order = "<" if little or little is None else ">"
            return Nested(_item_of(found, wanted, order, other_vrs), order, other_vrs)
        except OSError:
            raise
        # pydicom raises many kinds of error on damaged files, none of a common class of its own.
        except Exception as exc:
            raise UnreadableError(f"corrupt: {type(exc).__name__}: {exc}") from exc


def _item_of(dataset: pydicom.Dataset, wanted: Wanted, order: str, other_vrs: dict[int, str]) -> Item:
    item: Item = {}
    for key in dataset.keys():  # noqa: SIM118 - iterating a Dataset decodes every element
        tag = int(key)
        if not wanted.keeps(tag):
            continue
        raw, due = dataset.get_item(key), _standard_vr(tag)
        if tag == SPECIFIC_CHARACTER_SET:
            # pydicom reads it at once, to know how to decode the rest.
            terms = dataset.get("SpecificCharacterSet") or ""
            item[tag] = "\\".join([terms] if isinstance(terms, str) else terms).encode("ascii", "replace")
        elif isinstance(raw, RawDataElement) and "SQ" not in (raw.VR, due):
            item[tag] = raw.value or b""
            if raw.VR and due and raw.VR not in (due, "UN"):
                other_vrs.setdefault(tag, raw.VR)
        elif (element := dataset[key]).VR == "SQ":
            item[tag] = [_item_of(inner, wanted, order, other_vrs) for inner in element.value]
        elif element.is_empty:
            item[tag] = b""
    return item


def items_of(item: Item, tag: int) -> list[Item]:
    """The items of a sequence; an empty list when it is absent, or no sequence."""
    found = item.get(tag)
    return found if isinstance(found, list) else []


def private_value(item: Item, group: int, creator: str, element: int) -> bytes | list[Item] | None:
    """The value of (group, xx element) in the block that ``creator`` reserved (PS3.5 §7.8); None when absent."""
    for tag, name in item.items():
        # A creator's own element is (gggg,0010) to (gggg,00FF).
        if tag >> 16 != group or not 0x10 <= tag & 0xFFFF <= 0xFF or not isinstance(name, bytes):
            continue
        if name.decode("ascii", "replace").strip("\0 ").upper() == creator.upper():
            value = item.get(group << 16 | (tag & 0xFF) << 8 | element)
            if value is not None:
                return value
    return None


def numbers_of(raw: bytes, vr: str, order: str) -> list[float] | None:
    """The numbers of a value of the given VR; None where it is empty, or one of them is no number."""
    code = _BINARY.get(vr)
    try:
        if code is not None:
            count, rest = divmod(len(raw), struct.calcsize(code))
            values = [float(value) for value in struct.unpack(f"{order}{count}{code}", raw)] if not rest else []
        else:
            text = raw.decode("ascii").strip("\0 ")
            values = [float(part) for part in text.split("\\")] if text and "_" not in text else []
    except ValueError:  # UnicodeDecodeError is one
        return None
    return values if values and all(map(math.isfinite, values)) else None
