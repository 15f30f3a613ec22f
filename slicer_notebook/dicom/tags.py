"""Which attributes the header reader takes, and how their values become the fields of `Instance`."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args, get_type_hints

from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.records import Instance

__all__ = ["ATTRIBUTES", "PIXEL_TAGS", "PRIVATE_ELEMENTS", "WANTED", "Attribute", "is_private_wanted"]

Kind = Literal["text", "name", "int", "float", "date", "items"]

_KIND_OF_VR: Final[dict[str, Kind]] = {
    "PN": "name",
    "IS": "int",
    "US": "int",
    "SS": "int",
    "US or SS": "int",
    "SL": "int",
    "UL": "int",
    "DS": "float",
    "FD": "float",
    "FL": "float",
    "DA": "date",
    "SQ": "items",
}


class Attribute(NamedTuple):
    """One attribute that the header reader takes."""

    keyword: str
    vr: str
    kind: Kind
    #: the field holds a list
    multiple: bool


def _attributes() -> dict[int, Attribute]:
    found: dict[int, Attribute] = {}
    for name, hint in get_type_hints(Instance).items():
        tag = tag_for_keyword(name) if name[0].isupper() else None
        if tag is None or name == "TransferSyntaxUID":
            continue
        vr = dictionary_VR(tag)
        multiple = any(getattr(part, "__origin__", None) is list for part in (hint, *get_args(hint)))
        found[tag] = Attribute(name, vr, _KIND_OF_VR.get(vr, "text"), multiple)
    return found


#: tag -> attribute
ATTRIBUTES: Final = _attributes()

SPECIFIC_CHARACTER_SET: Final = 0x00080005
MODALITY_LUT_SEQUENCE: Final = 0x00283000
REAL_WORLD_VALUE_MAPPING_SEQUENCE: Final = 0x00409096
SHARED_FUNCTIONAL_GROUPS: Final = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS: Final = 0x52009230

#: Everything the scanner keeps at the top level of the data set, with the VR that it is due to have.
WANTED: Final = {
    # Sequences among them are kept as they are, the others below are noted only.
    **{tag: attribute.vr.encode("ascii") for tag, attribute in ATTRIBUTES.items()},
    SPECIFIC_CHARACTER_SET: b"CS",
    MODALITY_LUT_SEQUENCE: b"SQ",
    REAL_WORLD_VALUE_MAPPING_SEQUENCE: b"SQ",
    SHARED_FUNCTIONAL_GROUPS: b"SQ",
    PER_FRAME_FUNCTIONAL_GROUPS: b"SQ",
}

#: Where the pixels may be; the data set's reading ends there.
PIXEL_TAGS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

#: Private group -> last bytes of the elements that `private` looks for: b-values, directions, mosaic marks.
PRIVATE_ELEMENTS: Final = {
    0x0019: frozenset({0x0A, 0x0C, 0x0E}),
    0x0043: frozenset({0x39}),
    0x0065: frozenset({0x09, 0x37, 0x50}),
    0x2001: frozenset({0x03}),
    0x2005: frozenset({0xB0, 0xB1, 0xB2}),
}


def is_private_wanted(group: int, element: int) -> bool:
    """Whether a private element is a creator's name or one that `private` looks for."""
    return group in PRIVATE_ELEMENTS and (element < 0x0100 or element & 0xFF in PRIVATE_ELEMENTS[group])
