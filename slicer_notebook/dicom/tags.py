"""Which attributes the header reader takes, and how their values become the fields of `Instance`."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args, get_type_hints

from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.records import Instance

__all__ = ["ATTRIBUTES", "PIXEL_TAGS", "PRIVATE_GROUPS", "WANTED", "Attribute"]

Kind = Literal["text", "name", "int", "float", "date"]

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
SHARED_FUNCTIONAL_GROUPS: Final = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS: Final = 0x52009230

#: Everything the scanner keeps at the top level of the data set.
WANTED: Final = frozenset(
    {
        *ATTRIBUTES,
        SPECIFIC_CHARACTER_SET,
        MODALITY_LUT_SEQUENCE,
        SHARED_FUNCTIONAL_GROUPS,
        PER_FRAME_FUNCTIONAL_GROUPS,
    }
)

#: Where the pixels may be; the data set's reading ends there.
PIXEL_TAGS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

#: Private groups that hold b-values and mosaic marks: Siemens, GE, Philips, UIH.
PRIVATE_GROUPS: Final = frozenset({0x0019, 0x0029, 0x0043, 0x0051, 0x0065, 0x2001, 0x2005})
