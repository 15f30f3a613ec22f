"""Real World Value Mappings (PS3.3 C.7.6.16.2.11): what stored values mean in units, for each frame of a file.

The mapping starts from stored values, not from rescaled ones; an image may have several, for instance of several
quantities or of parts of the range of values.
"""

from __future__ import annotations

from typing import Final

import msgspec
from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.nested import Item, Nested, Wanted, items_of, numbers_of, read_nested
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.tags import (
    PER_FRAME_FUNCTIONAL_GROUPS,
    REAL_WORLD_VALUE_MAPPING_SEQUENCE,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
)
from slicer_notebook.dicom.text import decode_text, encodings_of

__all__ = ["RealWorldValue", "real_world_values"]

_KEYWORDS: Final = (
    "LUTLabel", "LUTExplanation", "MeasurementUnitsCodeSequence", "CodeValue", "CodingSchemeDesignator", "CodeMeaning",
    "RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped", "DoubleFloatRealWorldValueFirstValueMapped",
    "DoubleFloatRealWorldValueLastValueMapped", "RealWorldValueSlope", "RealWorldValueIntercept",
    "RealWorldValueLUTData", "QuantityDefinitionSequence", "ConceptCodeSequence",
)  # fmt: skip
_TAGS: Final = {keyword: tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None}
_WANTED: Final = Wanted(
    frozenset(_TAGS.values())
    | {
        PER_FRAME_FUNCTIONAL_GROUPS,
        REAL_WORLD_VALUE_MAPPING_SEQUENCE,
        SHARED_FUNCTIONAL_GROUPS,
        SPECIFIC_CHARACTER_SET,
    }
)


class RealWorldValue(msgspec.Struct, kw_only=True, frozen=True):
    """One mapping: stored value x slope + intercept, or through a table, for stored values of a range."""

    #: LUT Label
    label: str
    #: LUT Explanation
    explanation: str
    #: code of the units, mostly UCUM: ``g/ml{SUVbw}``; "" when there is none
    units: str
    #: coding scheme of the units, ``UCUM``
    scheme: str
    #: the units in words
    meaning: str
    #: what is measured, in words, by the Quantity Definition Sequence; "" when it does not say
    quantity: str
    #: first and last stored value that is mapped; None: not said
    first: float | None
    last: float | None
    #: None where there is a table
    slope: float | None
    intercept: float | None
    #: real world values of the stored values ``first`` to ``last``, one after the other
    table: tuple[float, ...] | None = None


class _Reader:
    def __init__(self, nested: Nested, *, signed: bool) -> None:
        self.nested = nested
        self.signed = signed
        charset = nested.root.get(SPECIFIC_CHARACTER_SET)
        self.encodings = encodings_of(charset if isinstance(charset, bytes) else None)

    def text(self, item: Item, keyword: str) -> str:
        raw = item.get(_TAGS[keyword])
        return decode_text(raw, self.encodings, multiple=False).strip("\0 ") if isinstance(raw, bytes) else ""

    def numbers(self, item: Item, keyword: str) -> list[float] | None:
        tag = _TAGS[keyword]
        raw, vr = item.get(tag), self.nested.other_vrs.get(tag, dictionary_VR(tag))
        if vr in ("US or SS", "US", "SS"):
            # Of the same kind as the pixels (C.7.6.16.2.11.1.1), whatever the file calls it.
            vr = "SS" if self.signed else "US"
        return numbers_of(raw, vr, self.nested.order) if isinstance(raw, bytes) else None

    def number(self, item: Item, *keywords: str) -> float | None:
        for keyword in keywords:
            numbers = self.numbers(item, keyword)
            if numbers:
                return numbers[0]
        return None

    def mappings(self, holder: Item) -> list[RealWorldValue]:
        found = (self.mapping(item) for item in items_of(holder, REAL_WORLD_VALUE_MAPPING_SEQUENCE))
        return [mapping for mapping in found if mapping is not None]

    def mapping(self, item: Item) -> RealWorldValue | None:
        """None for an item that maps nothing."""
        slope, intercept = self.number(item, "RealWorldValueSlope"), self.number(item, "RealWorldValueIntercept")
        table = self.numbers(item, "RealWorldValueLUTData")
        if table is None and (slope is None or intercept is None):
            return None
        units: Item = next(iter(items_of(item, _TAGS["MeasurementUnitsCodeSequence"])), {})
        return RealWorldValue(
            label=self.text(item, "LUTLabel"),
            explanation=self.text(item, "LUTExplanation"),
            units=self.text(units, "CodeValue"),
            scheme=self.text(units, "CodingSchemeDesignator"),
            meaning=self.text(units, "CodeMeaning"),
            quantity=self.quantity(item),
            first=self.number(item, "RealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueFirstValueMapped"),
            last=self.number(item, "RealWorldValueLastValueMapped", "DoubleFloatRealWorldValueLastValueMapped"),
            slope=None if table is not None else slope,
            intercept=None if table is not None else intercept,
            table=None if table is None else tuple(table),
        )

    def quantity(self, item: Item) -> str:
        for definition in items_of(item, _TAGS["QuantityDefinitionSequence"]):
            for code in items_of(definition, _TAGS["ConceptCodeSequence"]):
                return self.text(code, "CodeMeaning")
        return ""


def real_world_values(instance: Instance) -> list[list[RealWorldValue]]:
    """The mappings of each frame of a file, in the order of the frames; of one frame where it has no frames.

    A frame's own functional group wins over the shared one, and that over the top level of the data set.

    Args:
        instance: the file's, or any plane of it (its ``frame`` is the index into the result).

    Raises:
        UnreadableError: the file is gone, or no DICOM any more.
    """
    nested = read_nested(instance, _WANTED)
    reader = _Reader(nested, signed=instance.PixelRepresentation == 1)
    count = instance.NumberOfFrames or 1
    shared: Item = next(iter(items_of(nested.root, SHARED_FUNCTIONAL_GROUPS)), {})
    common = reader.mappings(shared) or reader.mappings(nested.root)
    own = items_of(nested.root, PER_FRAME_FUNCTIONAL_GROUPS)
    if len(own) != count:
        return [common] * count
    return [reader.mappings(item) or common for item in own]
