"""The DICOM JSON model (PS3.18 annex F) of the index's records and of data sets in files."""

from __future__ import annotations

import base64
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement

from slicer_notebook.dicom.attributes import plain_value

__all__ = [
    "INLINE",
    "Element",
    "Item",
    "element_of",
    "item_of_dataset",
    "item_of_record",
    "little_endian",
    "tag_and_vr",
]

Element = dict[str, Any]
"""``{"vr": ..., "Value": [...]}``, or with ``InlineBinary`` or ``BulkDataURI`` instead of ``Value``."""
Item = dict[str, Element]
"""Attributes by tag, ``ggggeeee`` in upper case."""

#: Bytes of a binary value that are sent inside the JSON (a third longer there); longer ones as a BulkDataURI.
INLINE: Final = 1024
#: Values that are sent as bytes (F.2.7).
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
#: Bytes of one number in these.
_WIDTHS: Final = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_NUMBERS: Final = frozenset({"IS", "DS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
_TEXTS: Final = frozenset({"CS", "DA", "LO", "SH", "TM", "UI", "UR"})
#: Sequences nested deeper than this are no sane header, and are left out.
_DEEPEST: Final = 32
_CHARSET: Final = 0x00080005
#: What all answers are in: JSON is UTF-8.
_UTF_8: Final[Element] = {"vr": "CS", "Value": ["ISO_IR 192"]}
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


@functools.lru_cache(maxsize=4096)
def tag_and_vr(keyword: str) -> tuple[str, str]:
    """Of a keyword, or of a tag in hexadecimal digits: the model's key, and the VR ("UN" where it is not known)."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        tag = int(keyword, 16)
    try:
        # "US or SS" and the like: the first of them, which is what is in nearly all files.
        return f"{tag:08X}", dictionary_VR(tag)[:2]
    except KeyError:
        return f"{tag:08X}", "UN"


# -- records of the index ---------------------------------------------------------------------------------------------


def item_of_record(values: Mapping[str, Any], keywords: Iterable[str]) -> Item:
    """Attributes of a record; those that it does not have are there without a value (F.2.5)."""
    return {
        tag: _UTF_8 if tag == "00080005" else element_of(vr, values.get(keyword))
        for tag, vr, keyword in _in_order(tuple(keywords))
    }


@functools.lru_cache(maxsize=64)
def _in_order(keywords: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Tag, VR, keyword of each, by tag: of all records of an answer the same."""
    return sorted({(*tag_and_vr(keyword), keyword) for keyword in ("SpecificCharacterSet", *keywords)})


def element_of(vr: str, value: Any) -> Element:
    """An attribute from a plain value: text, a number, bytes, None, a list of those; dictionaries are items."""
    if value is None or value in ("", b"", []):
        return {"vr": vr}
    if vr in _TEXTS and type(value) is str:
        return {"vr": vr, "Value": [value]}  # most are this
    if isinstance(value, bytes):
        return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")}
    if isinstance(value, list):
        return {"vr": vr, "Value": [_json_value(vr, each) for each in value]}
    return {"vr": vr, "Value": [_json_value(vr, value)]}


def _json_value(vr: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {tag: element_of(vr, each) for keyword, each in value.items() for tag, vr in [tag_and_vr(keyword)]}
    if vr == "PN":
        return _name(str(value))
    if isinstance(value, float):
        # JSON has no others; text is allowed for DS (F.2.3).
        return value if math.isfinite(value) else str(value)
    if value == "":
        return None
    return value if vr in _NUMBERS and isinstance(value, int) else str(value)


def _name(text: str) -> dict[str, str] | None:
    """A person's name (F.2.2): component groups that are not empty."""
    return {name: group for name, group in zip(_GROUPS, text.split("="), strict=False) if group} or None


# -- data sets --------------------------------------------------------------------------------------------------------


def little_endian(vr: str, value: bytes, swapped: bool) -> bytes:
    """A binary value in little endian, as all bulk data are (F.2.7); ``swapped``: of a big endian file."""
    width = _WIDTHS.get(vr, 1)
    if not swapped or width == 1 or len(value) % width:
        return value
    return np.frombuffer(value, f"u{width}").byteswap().tobytes()


def item_of_dataset(
    dataset: Dataset, bulk: Callable[[str], str], syntax: str = "", depth: int = 0, swapped: bool = False
) -> Item:
    """All attributes of a data set but pixels.

    Args:
        bulk: gives the URI of a binary value longer than `INLINE` from where it lies: ``ggggeeee``, in an item
            ``ggggeeee/0/ggggeeee``, items counted from 0.
        syntax: the transfer syntax that it is available in, "" in items.
        swapped: whether its file is big endian.
    """
    found: Item = {}
    for tag in list(dataset.keys()):
        if tag >> 16 <= 0x0002 or tag & 0xFFFF == 0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[f"{tag:08X}"] = _element(dataset, int(tag), bulk, depth, swapped)
    if depth == 0 or "00080005" in found:
        found["00080005"] = _UTF_8
    if syntax:
        found["00083002"] = {"vr": "UI", "Value": [syntax]}
    return dict(sorted(found.items()))


def _element(dataset: Dataset, tag: int, bulk: Callable[[str], str], depth: int, swapped: bool) -> Element:
    key = f"{tag:08X}"
    try:
        element = dataset[tag]
        if element.VR != "SQ":
            return _of_value(element, key, bulk, swapped)
        items = list(element.value) if depth < _DEEPEST else []
    # pydicom raises errors of no common class for values that are not as their VR says.
    except Exception:  # noqa: BLE001
        return _as_text(dataset, tag)
    value = [
        item_of_dataset(item, _inside(bulk, f"{key}/{number}"), "", depth + 1, swapped)
        for number, item in enumerate(items)
    ]
    return {"vr": "SQ", "Value": value} if value else {"vr": "SQ"}


def _inside(bulk: Callable[[str], str], place: str) -> Callable[[str], str]:
    return lambda where: bulk(f"{place}/{where}")


def _of_value(element: DataElement, key: str, bulk: Callable[[str], str], swapped: bool) -> Element:
    vr = element.VR[:2]
    if vr == "AT":
        return element.to_json_dict(None, 0)
    value = plain_value(element)
    if isinstance(value, bytes) and len(value) > INLINE:
        return {"vr": vr if vr in _BINARY else "UN", "BulkDataURI": bulk(key)}
    if isinstance(value, bytes):
        vr, value = vr if vr in _BINARY else "UN", little_endian(vr, value, swapped)
    return element_of(vr, value)


def _as_text(dataset: Dataset, tag: int) -> Element:
    """A value that is not as its VR says, as the text that it is: what there is of it is better than nothing."""
    raw = dataset.get_item(tag)
    value = getattr(raw, "value", None)
    vr = str(getattr(raw, "VR", None) or tag_and_vr(keyword_for_tag(tag) or f"{tag:08X}")[1])[:2]
    if vr in _BINARY or vr == "SQ" or not isinstance(value, bytes):
        return {"vr": "UN" if vr == "SQ" else vr}
    return element_of(vr, value.decode("latin-1").strip("\0 ")[:INLINE])
