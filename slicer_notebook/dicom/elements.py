"""A data set in words: each element as a line with its place, name, value and what the value means; search in them.

The lines come in the data set's order, sequences before their items, items before their elements, so that depths alone
make the tree.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, dictionary_keyword, private_dictionary_description
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from slicer_notebook.dicom.text import fold

__all__ = [
    "VR_IN_WORDS",
    "Line",
    "bytes_of",
    "creator_of",
    "element_of",
    "find",
    "lines",
    "read_as",
    "tag_text",
    "value_text",
    "words_of",
]

#: Value representations (PS3.5 table 6.2-1).
VR_IN_WORDS: Final = {
    "AE": "Application Entity", "AS": "Age String", "AT": "Attribute Tag", "CS": "Code String", "DA": "Date",
    "DS": "Decimal String", "DT": "Date Time", "FD": "Floating Point Double", "FL": "Floating Point Single",
    "IS": "Integer String", "LO": "Long String", "LT": "Long Text", "OB": "Other Byte", "OD": "Other Double",
    "OF": "Other Float", "OL": "Other Long", "OV": "Other 64-bit Very Long", "OW": "Other Word", "PN": "Person Name",
    "SH": "Short String", "SL": "Signed Long", "SQ": "Sequence of Items", "SS": "Signed Short", "ST": "Short Text",
    "SV": "Signed 64-bit Very Long", "TM": "Time", "UC": "Unlimited Characters", "UI": "Unique Identifier",
    "UL": "Unsigned Long", "UN": "Unknown", "UR": "Universal Resource Identifier", "US": "Unsigned Short",
    "UT": "Unlimited Text", "UV": "Unsigned 64-bit Very Long",
}  # fmt: skip

#: Bytes of a binary value that are shown.
_PREVIEW: Final = 16
#: Bytes of a binary value that are looked at for text.
_TEXT_PREVIEW: Final = 64
_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_TIME: Final = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(\.\d{1,6})?")
_MOMENT: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)?(\d\d)?(\.\d{1,6})?)?([+-]\d{4})?")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_AGE_UNITS: Final = {"D": "day", "W": "week", "M": "month", "Y": "year"}
#: What pydicom raises on values that are not as they should be.
_DAMAGED: Final = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, struct.error,
)  # fmt: skip


class Line(NamedTuple):
    """An element of a data set, or an item of a sequence, in words.

    Attributes:
        path: where it is, as Python finds it below the data set: ``MRDiffusionSequence[0].DiffusionBValue``,
            ``[0x0019100C]``.
        tag: ``0018,0050``; of an item, that of its sequence.
        keyword: ``SliceThickness``; "" where the dictionary has none.
        name: ``Slice Thickness``; of a private element as far as pydicom knows it; ``Item 1``.
        vr: two letters; "" for an item.
        value: text; the number of items, or of bytes, where a value is no text.
        note: what the value means, where that is known: a date with dashes, a UID's name.
        creator: of a private element (PS3.5 7.8.1).
        depth: 0 for the data set's own elements; items and what is in them are one deeper each.
        kind: an element, a sequence, or an item of one.
        element: the element itself; None for an item and for an element that cannot be read.
    """

    path: str
    tag: str
    keyword: str
    name: str
    vr: str
    value: str
    note: str
    creator: str
    depth: int
    kind: Literal["element", "sequence", "item"]
    element: DataElement | None

    def haystack(self) -> str:
        """What a search looks at, folded."""
        bare = self.tag.replace(",", "")
        parts = (f"({self.tag})", bare, self.keyword, self.name, self.vr, self.value, self.note, self.creator)
        return fold("\n".join(parts))


def tag_text(tag: int) -> str:
    """``0018,0050``."""
    return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


def creator_of(dataset: Dataset, tag: int) -> str:
    """The creator of a private element; "" for another, for a creator's own, and where it is not told."""
    if not tag & 0x10000 or tag & 0xFFFF < 0x1000:
        return ""
    owner = BaseTag(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
    element = element_of(dataset, owner) if owner in dataset else None
    return "" if element is None else str(element.value or "").strip("\0 ")


@lru_cache(maxsize=4096)
def words_of(tag: int, creator: str) -> tuple[str, str]:
    """Keyword and name of an element; the keyword of a private one is ""."""
    if tag & 0x10000:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "", "Private Creator"
        try:
            return "", private_dictionary_description(tag, creator) if creator else "Private element"
        except KeyError:
            return "", "Private element"
    if tag & 0xFFFF == 0:
        return "", "Group Length"
    try:
        return dictionary_keyword(tag), dictionary_description(tag)
    except KeyError:
        return "", "Unknown element"


def element_of(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """An element with its value understood; None where it cannot be."""
    if not isinstance(dataset.get_item(tag, keep_deferred=True), RawDataElement):
        return dataset[tag]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dataset[tag]
        except _DAMAGED:
            return None


def bytes_of(dataset: Dataset, tag: BaseTag) -> tuple[str, bytes]:
    """VR ("UN" where it is none of the standard) and bytes of an element that cannot be read."""
    raw = dataset.get_item(tag, keep_deferred=True)
    vr = str(getattr(raw, "VR", None) or "UN")
    return vr if vr in VR_IN_WORDS else "UN", bytes(getattr(raw, "value", None) or b"")


def read_as(vr: str, element: DataElement, dataset: Dataset) -> DataElement:
    """An element of VR UN understood as of another VR; as it is where its bytes are none.

    A writer that does not know a private element gives its value as bytes, little endian, those of a sequence with
    implicit VRs (PS3.5 6.2.2).
    """
    value = element.value
    if element.VR != "UN" or not isinstance(value, bytes) or vr == "UN":
        return element
    raw = RawDataElement(element.tag, vr, len(value), value, 0, vr == "SQ", True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return convert_raw_data_element(raw, encoding=dataset.original_character_set)
        except _DAMAGED:
            return element


def value_text(element: DataElement) -> tuple[str, str]:
    """A value as text, and what it means where that is known; several values are parted by ``\\``."""
    value, vr = element.value, str(element.VR)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _binary(bytes(value))
    if value is None or value == "":
        return "", ""
    several = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
    texts = [_text(each, vr) for each in several]
    notes = [_meaning(each, vr) for each in texts] if len(texts) <= _PREVIEW else []
    return "\\".join(texts), ", ".join(note for note in notes if note)


def _text(value: Any, vr: str) -> str:
    if value is None:
        return ""
    if vr == "AT":
        return f"({tag_text(Tag(value))})"
    if vr == "FL" and isinstance(value, float):
        return f"{value:.8g}"
    return str(value)


def _binary(value: bytes) -> tuple[str, str]:
    count = len(value)
    words = "1 byte" if count == 1 else f"{count:,} bytes"
    head = value[:_TEXT_PREVIEW].rstrip(b"\0 ")
    if not head:
        return (words, "all of them zero" if not any(value) else "") if count else ("", "")
    if head.isascii() and head.decode("ascii").isprintable():
        return words, f'"{head.decode("ascii")}{"…" if count > _TEXT_PREVIEW else ""}"'
    return words, value[:_PREVIEW].hex(" ").upper() + (" …" if count > _PREVIEW else "")


def _meaning(text: str, vr: str) -> str:
    if vr == "UI":
        name = UID(text).name
        return name if name != text else ""
    if vr == "AT":
        return words_of(int(text.strip("()").replace(",", ""), 16), "")[0]
    if vr not in _PATTERNS:
        return ""
    pattern, words = _PATTERNS[vr]
    found = pattern.fullmatch(text.strip())
    return words(*found.groups()) if found else ""


def _clock(hours: str, minutes: str | None, seconds: str | None, fraction: str | None) -> str:
    rest = (fraction or "").rstrip("0").rstrip(".")
    return ":".join(part for part in (hours, minutes or "00", seconds) if part) + rest


def _moment(year: str, month: str | None, day: str | None, *rest: str | None) -> str:
    hours, minutes, seconds, fraction, zone = rest
    text = "-".join(part for part in (year, month, day) if part)
    if hours:
        text += f" {_clock(hours, minutes, seconds, fraction)}"
    return f"{text} {zone[:3]}:{zone[3:]}" if zone else text


def _age(digits: str, unit: str) -> str:
    number = int(digits)
    return f"{number} {_AGE_UNITS[unit]}{'' if number == 1 else 's'}"


_PATTERNS: Final[dict[str, tuple[re.Pattern[str], Callable[..., str]]]] = {
    "DA": (_DATE, lambda *parts: "-".join(parts)),
    "TM": (_TIME, _clock),
    "DT": (_MOMENT, _moment),
    "AS": (_AGE, _age),
}


def lines(dataset: Dataset) -> Iterator[Line]:
    """The data set's elements in words, those of the file meta information first; none is left out.

    A value that cannot be understood is there as bytes. Elements are read when their line is asked for.
    """
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        yield from _lines(meta, 0, "file_meta.")
    yield from _lines(dataset, 0, "")


def _lines(dataset: Dataset, depth: int, prefix: str) -> Iterator[Line]:
    for tag in sorted(dataset.keys()):
        creator = creator_of(dataset, tag)
        keyword, name = words_of(tag, creator)
        step = prefix + keyword if keyword else f"{prefix.rstrip('.')}[0x{tag:08X}]"
        element = element_of(dataset, tag)
        if element is None:
            vr, content = bytes_of(dataset, tag)
            value, note = _binary(content)
            note = f"not readable as {vr}: {note}" if vr != "UN" else f"not readable: {note}"
            yield Line(step, tag_text(tag), keyword, name, vr, value, note, creator, depth, "element", None)
            continue
        vr = str(element.VR)
        if vr != "SQ":
            value, note = value_text(element)
            yield Line(step, tag_text(tag), keyword, name, vr, value, note, creator, depth, "element", element)
            continue
        items = list(element.value or ())
        count = "1 item" if len(items) == 1 else f"{len(items):,} items"
        meaning = ", ".join(filter(None, map(code_meaning, items[:3])))
        yield Line(step, tag_text(tag), keyword, name, vr, count, meaning, creator, depth, "sequence", element)
        for number, item in enumerate(items):
            place = f"{step}[{number}]"
            size = "1 element" if len(item) == 1 else f"{len(item)} elements"
            label = f"Item {number + 1}"
            meaning = code_meaning(item)
            yield Line(place, tag_text(tag), "", label, "", size, meaning, "", depth + 1, "item", None)
            yield from _lines(item, depth + 2, f"{place}.")


def code_meaning(item: Dataset) -> str:
    """What a code sequence's item says in words (PS3.3 8.8); "" for another item."""
    tag = BaseTag(0x00080104)
    element = element_of(item, tag) if tag in item else None
    return "" if element is None else str(element.value or "")


def find(dataset: Dataset, text: str) -> list[Line]:
    """The lines that contain all words of ``text``: in tag, keyword, name, VR, value, its meaning or private creator.

    Case and accents do not matter; tags may be written ``0018,0050``, ``(0018,0050)`` or ``00180050``. Items are no
    hits of their own. None for a text without a word.
    """
    words = fold(text).replace("0x", "").split()
    if not words:
        return []
    found = []
    for line in lines(dataset):
        if line.kind != "item":
            haystack = line.haystack()
            if all(word in haystack for word in words):
                found.append(line)
    return found
