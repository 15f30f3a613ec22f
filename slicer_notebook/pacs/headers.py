"""Headers that a PACS gives, as DICOM files without pixels: from the DICOM JSON model, or from answers to a query.

Names are left out: nobody needs them here, and the files lie on a disk for a moment.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydicom.datadict import dictionary_VR, private_dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian

from slicer_notebook.pacs.dicomweb.items import Item
from slicer_notebook.pacs.model import Record

__all__ = ["PIXELS", "Elements", "elements_of_item", "elements_of_record", "first_text", "header_file"]

Elements = dict[int, tuple[str, list[Any]]]
"""tag -> VR and values: as the DICOM JSON model has them (PS3.18 F.2.3), but of a sequence `Elements` for each item,
and bytes for binary data."""

#: Float Pixel Data, Double Float Pixel Data, Pixel Data
PIXELS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_BINARY: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_LONG: Final = _BYTES | {"SQ", "SV", "UC", "UR", "UT", "UV"}
_TEXTS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
#: Sequences nested deeper than this are no sane header.
_DEEPEST: Final = 16
_CHARSET: Final = 0x00080005


# -- as elements ------------------------------------------------------------------------------------------------------


def elements_of_item(item: Item, bulk: Callable[[int, str], bytes | None] | None = None) -> Elements:
    """An object of the DICOM JSON model.

    Args:
        bulk: given a tag and a BulkDataURI at the top level: the value, None for none.
    """
    return _of_item(item, bulk, 0)


def _of_item(item: Mapping[str, Any], bulk: Callable[[int, str], bytes | None] | None, depth: int) -> Elements:
    found: Elements = {}
    for key, element in item.items():
        if not isinstance(element, Mapping) or not _TAG.fullmatch(str(key)) or depth > _DEEPEST:
            continue
        tag, vr, values = int(key, 16), str(element.get("vr") or ""), element.get("Value")
        if vr == "SQ":
            items = values if isinstance(values, list) else []
            found[tag] = vr, [_of_item(each, None, depth + 1) for each in items if isinstance(each, Mapping)]
        elif isinstance(values, list):
            found[tag] = vr, values
        elif isinstance(element.get("InlineBinary"), str):
            found[tag] = vr, [_decoded(element["InlineBinary"])]
        elif isinstance(uri := element.get("BulkDataURI"), str) and tag not in PIXELS and bulk is not None:
            data = bulk(tag, uri)
            found[tag] = vr, [data] if data is not None else []
        else:
            found[tag] = vr, []
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return b""


def elements_of_record(record: Record) -> Elements:
    """An answer to a query: VRs are those of the dictionaries."""
    return _of_record(record, 0)


def _of_record(record: Mapping[str, Any], depth: int) -> Elements:
    found: Elements = {}
    for name, value in record.items():
        tag = int(name, 16) if _TAG.fullmatch(name) else tag_for_keyword(name)
        if tag is None or value is None or depth > _DEEPEST:
            continue
        vr = _vr_of(tag, record)
        if vr == "SQ":
            items = [_of_record(each, depth + 1) for each in value] if isinstance(value, list) else []
            if items:  # one without may be one that the PACS does not know
                found[tag] = vr, items
        elif isinstance(value, str) and vr in _BINARY:
            found[tag] = vr, [_number(part) for part in value.split("\\")]  # its VR was not known where it was read
        else:
            found[tag] = vr, value if isinstance(value, list) else [value]
    return found


def _vr_of(tag: int, record: Mapping[str, Any]) -> str:
    try:
        if tag >> 16 & 1:
            creator = record.get(f"{tag & 0xFFFF0000 | (tag & 0xFF00) >> 8:08X}")
            return "LO" if tag & 0xFFFF < 0x0100 else private_dictionary_VR(tag, str(creator or ""))
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "LO"


def _number(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


# -- as a file --------------------------------------------------------------------------------------------------------


def header_file(elements: Elements) -> bytes:
    """A DICOM file (PS3.10) of these, explicit VR little endian; what cannot be written is left out, and names."""
    kept = {tag: each for tag, each in elements.items() if tag >> 16 > 0x0006 and tag not in PIXELS}
    kept[_CHARSET] = "CS", ["ISO_IR 192"]
    meta: Elements = {
        0x00020001: ("OB", [b"\0\1"]),
        0x00020002: ("UI", kept.get(0x00080016, ("UI", []))[1]),
        0x00020003: ("UI", kept.get(0x00080018, ("UI", []))[1]),
        0x00020010: ("UI", [str(ExplicitVRLittleEndian)]),
    }
    of_meta = _written(meta)
    length = _element(0x00020000, "UL", [len(of_meta)])
    return bytes(128) + b"DICM" + length + of_meta + _written(kept)


def _written(elements: Elements) -> bytes:
    parts = []
    for tag in sorted(elements):
        vr, values = elements[tag]
        try:
            parts.append(_element(tag, vr, values))
        except (ValueError, TypeError, OverflowError, struct.error):
            continue  # a value that is not as its VR says
    return b"".join(parts)


def _element(tag: int, vr: str, values: list[Any]) -> bytes:
    if vr == "PN":
        return b""
    if vr == "SQ":
        value = b"".join(_item(each) for each in values)
    else:
        vr, value = _value(vr, values)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("ascii"))
    if vr not in _LONG and len(value) > 0xFFFF:
        head, vr = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, b"UN"), "UN"  # PS3.5 6.2.2
    return (
        head + struct.pack("<HI" if vr in _LONG else "<H", *([0, len(value)] if vr in _LONG else [len(value)])) + value
    )


def _item(elements: Elements) -> bytes:
    inside = _written(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside


def _value(vr: str, values: list[Any]) -> tuple[str, bytes]:
    """The VR that is written, and the value's bytes, of even length."""
    if any(isinstance(each, bytes) for each in values):
        return vr if vr in _BYTES else "UN", _even(b"".join(each for each in values if isinstance(each, bytes)), b"\0")
    if vr in _BINARY:
        return vr, b"".join(struct.pack("<" + _BINARY[vr], _as_number(vr, each)) for each in values)
    if vr == "AT":
        return vr, b"".join(_pointer(each) for each in values)
    if vr in _BYTES:
        return vr, b""
    if vr not in _TEXTS:
        raise ValueError(vr)
    text = "\\".join(_text(each) for each in values).encode("utf-8")
    return vr, _even(text, b"\0" if vr == "UI" else b" ")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)


def _as_number(vr: str, value: Any) -> Any:
    return float(value) if vr in ("FL", "FD") else int(value)


def _pointer(value: Any) -> bytes:
    number = value if isinstance(value, int) else int(re.sub(r"[(), ]", "", str(value)), 16)
    return struct.pack("<HH", number >> 16, number & 0xFFFF)


def _text(value: Any) -> str:
    """Text; of a number as many digits as it takes to be the same number again."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def first_text(elements: Elements, tag: int) -> str:
    """The first value of an attribute as text; empty without one."""
    values: Iterable[Any] = elements.get(tag, ("", []))[1]
    return next((str(each) for each in values if each is not None), "")
