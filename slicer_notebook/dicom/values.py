"""Values of data elements: from a file's bytes to what the fields of `Instance` hold (PS3.5 §6.2)."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.values import convert_SQ

from slicer_notebook.dicom.attributes import plain_value
from slicer_notebook.dicom.tags import ATTRIBUTES, SPECIFIC_CHARACTER_SET, Attribute
from slicer_notebook.dicom.text import decode_person_names, decode_text, encodings_of

__all__ = ["CRITICAL", "fields_of"]

Decoder = Callable[[bytes, list[str], str], Any]
"""``decode(value, encodings, byte order)``; None for a value that is empty or cannot be understood."""

_BINARY: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "US or SS": "H"}
_LONG_TEXT: Final = frozenset({"ST", "LT", "UT"})
#: ACR-NEMA wrote dates with dots (PS3.5 table 6.2-1, note on DA).
_OLD_DATE: Final = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})")

#: Attributes that change what the pixels mean: where one is there and cannot be read, it must not be taken for absent.
CRITICAL: Final = frozenset(
    {
        "BitsAllocated", "BitsStored", "Columns", "HighBit", "ImageOrientationPatient", "ImagePositionPatient",
        "NumberOfFrames", "PhotometricInterpretation", "PixelRepresentation", "PixelSpacing", "PlanarConfiguration",
        "RescaleIntercept", "RescaleSlope", "Rows", "SamplesPerPixel",
    }
)  # fmt: skip


def _decimals(raw: bytes) -> list[float] | None:
    """DS and IS. One part that is no number spoils all: a position of two coordinates would be worse than none."""
    if b"_" in raw:  # float() takes 1_0 for 10
        return None
    try:
        values = [float(part) for part in raw.decode("ascii").strip("\0 ").split("\\")]
    except ValueError:
        return None
    return values if all(map(isfinite, values)) else None


def _numbers(vr: str) -> Callable[[bytes, str], list[Any] | None]:
    code = _BINARY.get(vr)
    if code is None:
        return lambda raw, _: _decimals(raw)
    size = struct.calcsize(code)

    def binary(raw: bytes, order: str) -> list[Any] | None:
        if len(raw) % size:  # text, or a number cut off, under a VR that it does not have
            return None
        values = list(struct.unpack_from(f"{order}{len(raw) // size}{code}", raw))
        return values if values and all(map(isfinite, values)) else None

    return binary


def _number_decoder(attribute: Attribute) -> Decoder:
    numbers, whole, multiple = _numbers(attribute.vr), attribute.kind == "int", attribute.multiple

    def decode(raw: bytes, _: list[str], order: str) -> Any:
        values = numbers(raw, order)
        if not values:
            return None
        if not multiple:
            if len(values) > 1 and attribute.keyword in CRITICAL:
                return None
            values = values[:1]
        if whole:
            # What does not fit 64 bits is a damaged number, and nothing that could be stored.
            if any(value != int(value) or abs(value) >= 1 << 63 for value in values):
                return None
            values = [int(value) for value in values]
        else:
            values = [float(value) for value in values]
        return values if multiple else values[0]

    return decode


def _decode_long_text(raw: bytes, encodings: list[str], _: str) -> Any:
    return decode_text(raw, encodings, multiple=False) or None


def _decode_name(raw: bytes, encodings: list[str], _: str) -> Any:
    names = decode_person_names(raw, encodings)
    return names[0] if names else None


def _decode_names(raw: bytes, encodings: list[str], _: str) -> Any:
    return decode_person_names(raw, encodings) or None


def _decode_word(raw: bytes, encodings: list[str], _: str) -> Any:
    return decode_text(raw, encodings, multiple=True) or None


def _decode_words(raw: bytes, encodings: list[str], _: str) -> Any:
    values = [part.strip("\0 ") for part in decode_text(raw, encodings, multiple=True).split("\\")]
    return values if any(values) else None


def _decode_date(raw: bytes, encodings: list[str], _: str) -> Any:
    text = decode_text(raw, encodings, multiple=True)
    return (_OLD_DATE.sub(r"\1\2\3", text) if "." in text else text) or None


def _decoder(attribute: Attribute) -> Decoder:
    if attribute.kind in ("int", "float"):
        return _number_decoder(attribute)
    if attribute.kind == "name":
        return _decode_names if attribute.multiple else _decode_name
    if attribute.kind == "date":
        return _decode_date
    if attribute.vr in _LONG_TEXT:
        return _decode_long_text
    return _decode_words if attribute.multiple else _decode_word


_DECODERS: Final[dict[int, tuple[str, Decoder | None]]] = {
    tag: (attribute.keyword, None if attribute.kind == "items" else _decoder(attribute))
    for tag, attribute in ATTRIBUTES.items()
}


#: What pydicom raises on sequences that are not as they should be.
_DAMAGED: Final = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError, struct.error,
)  # fmt: skip


def _items(raw: bytes, encodings: list[str], order: str, implicit: bool) -> list[dict[str, Any]] | None:
    """A sequence's items, by keyword; None when there are none, or they cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sequence = convert_SQ(raw, implicit, order == "<", encodings)
            found = plain_value(DataElement(0x00081140, "SQ", sequence)) if raw else None
        except _DAMAGED:
            return None
    return found or None


@lru_cache(maxsize=256)
def _decoder_as(tag: int, vr: str) -> Decoder:
    """The decoder for a file that gives the attribute another VR than the standard does."""
    attribute = ATTRIBUTES[tag]._replace(vr=vr)
    return _number_decoder(attribute) if attribute.kind in ("int", "float") else _decoder(attribute)


#: Values decoded before, by (tag, value as in the file): one such table for each character set and encoding. They grow
#: to these many values and tables; then they begin anew.
_MOST_REMEMBERED: Final = 8192
_MOST_MEMORIES: Final = 16
#: bytes
_LONGEST_REMEMBERED: Final = 512
_MEMORIES: Final[dict[tuple[bytes | None, str, bool], dict[tuple[int, bytes], tuple[str, Any]]]] = {}


def _memory(charset: bytes | None, order: str, implicit: bool) -> dict[tuple[int, bytes], tuple[str, Any]]:
    known = _MEMORIES.get((charset, order, implicit))
    if known is None:
        if len(_MEMORIES) >= _MOST_MEMORIES:
            _MEMORIES.clear()
        # Threads that fill two of them in turn lose some time, no value.
        known = _MEMORIES[charset, order, implicit] = {}
    elif len(known) > _MOST_REMEMBERED:
        known.clear()
    return known


def fields_of(
    elements: dict[int, bytes], other_vrs: dict[int, str], order: str, *, implicit: bool = False
) -> dict[str, Any]:
    """Keyword -> value for the elements that `Instance` has a field for; empty and unreadable values are left out.

    ``unreadable`` lists those of `CRITICAL` whose value could not be read, if there are any.

    Args:
        elements: tag -> value as in the file.
        other_vrs: tag -> VR where it is not the one of the standard.
        order: ``<`` or ``>``, the data set's byte order.
        implicit: whether the data set has no VRs, and so the items of sequences none.
    """
    charset = elements.get(SPECIFIC_CHARACTER_SET)
    known = _memory(charset, order, implicit)
    values: dict[str, Any] = {}
    unreadable: list[str] = []
    for tag, raw in elements.items():
        # Most values of a slice are those of the slice before it.
        found = known.get((tag, raw)) if tag not in other_vrs else None
        if found is None:
            attribute = _DECODERS.get(tag)
            if attribute is None:
                continue
            keyword, decode = attribute
            if decode is None:
                # Items of a value of VR UN have no VRs (PS3.5 §6.2.2).
                value = _items(raw, encodings_of(charset), order, implicit or tag in other_vrs)
            else:
                if tag in other_vrs:
                    decode = _decoder_as(tag, other_vrs[tag])
                value = decode(raw, encodings_of(charset), order) if raw else None
            if tag not in other_vrs and len(raw) <= _LONGEST_REMEMBERED:
                known[tag, raw] = keyword, value
        else:
            keyword, value = found
        if value is not None:
            # Lists are the caller's own; their items, where they are dictionaries, are not to be changed.
            values[keyword] = value.copy() if type(value) is list else value
        elif keyword in CRITICAL and raw.strip(b"\0 "):
            unreadable.append(keyword)
    if unreadable:
        values["unreadable"] = unreadable
    padding = values.get("PixelPaddingValue")
    if padding is not None and values.get("PixelRepresentation") == 1 and 1 << 15 <= padding < 1 << 16:
        # Its VR is US or SS as PixelRepresentation says (PS3.3 C.7.5.1.1.2); where the file does not say, it was read
        # as US.
        values["PixelPaddingValue"] = padding - (1 << 16)
    return values
