"""Answers of a PACS as plain values: from data sets (DIMSE) and from the DICOM JSON model (DICOMweb, PS3.18 F.2)."""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydicom import Dataset
from pydicom.datadict import dictionary_VM, keyword_for_tag

from slicer_notebook.dicom.attributes import plain_value
from slicer_notebook.pacs.model import Record

__all__ = ["JsonElement", "name_of", "record_of_dataset", "record_of_json"]

_NUMBERS: Final = {"IS": int, "SL": int, "SS": int, "UL": int, "US": int, "SV": int, "UV": int}
#: PS3.18 F.2.2
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_REALS: Final = frozenset({"DS", "FL", "FD"})
#: Values that are text in JSON, and stay as they are.
_TEXTS: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})


#: Single values that need no reader, by VR (PS3.5 6.2); they are most of what answers hold.
_SIMPLE: Final = {"UI": re.compile(rb"[0-9.]+\0?"), "CS": re.compile(rb"[A-Z0-9_]+ ?"), "DA": re.compile(rb"[0-9]{8}")}


@functools.lru_cache(maxsize=8192)
def name_of(tag: int) -> tuple[str, bool]:
    """Keyword (``ggggeeee`` where there is none), and whether the attribute may have several values (VM, PS3.6)."""
    keyword = keyword_for_tag(tag)
    if not keyword:
        return f"{tag:08X}", False
    try:
        return keyword, dictionary_VM(tag) != "1"
    except KeyError:
        return keyword, False


def record_of_dataset(dataset: Dataset) -> Record:
    """A data set as a record. Values that cannot be read as their VR says are their text."""
    found: Record = {}
    for tag in list(dataset.keys()):
        name, several = name_of(int(tag))
        simple = _SIMPLE.get(getattr(raw := dataset.get_item(tag), "VR", None) or "")
        if simple is not None and isinstance(raw.value, bytes) and simple.fullmatch(raw.value):
            found[name] = _listed(raw.value.decode("ascii").strip("\0 "), several)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                element = dataset[tag]
                if element.VR == "SQ":
                    value: Any = [record_of_dataset(item) for item in element.value]
                else:
                    value = plain_value(element)
            # pydicom raises errors of no common class for values that are not as their VR says.
            except Exception:  # noqa: BLE001
                raw = dataset.get_item(tag)
                value = bytes(raw.value or b"").decode("latin-1").strip("\0 ") or None
        found[name] = _listed(value, several)
    return found


def _listed(value: Any, several: bool) -> Any:
    if several and value is not None and not isinstance(value, list):
        return [value]
    return value


class JsonElement(msgspec.Struct, gc=False):
    """An attribute in the DICOM JSON model (PS3.18 F.2.2), for decoders that are told to make this of it.

    Python's collector of cycles need not look at it, which takes most of the time where there are many.
    """

    vr: str = ""
    Value: Any = None  # the model's own name


def record_of_json(item: Mapping[str, Any]) -> Record:
    """One object of the DICOM JSON model as a record; bulk data by reference is left out (None).

    Args:
        item: tag (``ggggeeee``) -> a dictionary, or a `JsonElement`.
    """
    found: Record = {}
    for key, element in item.items():
        known = _known(key)
        if known is None:
            continue  # not an attribute
        name, several = known
        if isinstance(element, JsonElement):
            vr, values = element.vr, element.Value
        elif isinstance(element, dict):
            vr, values = element.get("vr", ""), element.get("Value")
        else:
            vr, values = "", None
        if not isinstance(values, list) or not values:
            found[name] = None
        elif len(values) == 1 and vr in _TEXTS and isinstance(values[0], str):
            # Most are this.
            value = values[0] or None
            found[name] = value if value is None or not several else values
        else:
            found[name] = _json_value(vr, values, several)
    return found


@functools.lru_cache(maxsize=8192)
def _known(key: str) -> tuple[str, bool] | None:
    return name_of(int(key, 16)) if isinstance(key, str) and _TAG.fullmatch(key) else None


def _json_value(vr: Any, values: list[Any], several: bool) -> Any:
    if vr == "SQ":
        return [record_of_json(value) for value in values if isinstance(value, dict)]
    plain = [_plain(vr, value) for value in values]
    if len(plain) > 1:
        return plain
    if plain[0] is None or plain[0] == "":
        return None
    return plain if several else plain[0]


def _plain(vr: str, value: Any) -> Any:
    if vr == "PN":
        return _name(value)
    try:
        if vr in _NUMBERS:
            return int(value)
        if vr in _REALS:
            number = float(value)  # servers send DS as text, too
            # Neither DICOM nor JSON has the others.
            return number if math.isfinite(number) else str(value)
    except (TypeError, ValueError):
        return value
    except OverflowError:
        return str(value)
    return value


def _name(value: Any) -> Any:
    """The text of a person's name (PS3.18 F.2.2); some servers send the text itself."""
    if not isinstance(value, dict):
        return value
    groups = [str(value.get(name) or "") for name in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=")
