"""Units of SENSOR."""

from __future__ import annotations

import pytest

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError


def test_a_unit_has_the_bits_of_the_specification() -> None:
    # Prefix milli (0xB) in the top four bits, then metre (1) to the 1, second (3) to the -2 (4 bits: 0xE).
    expected = 0xB << 60 | (0x01 << 4 | 0x1) << 50 | (0x03 << 4 | 0xE) << 40
    assert igtl.pack_unit([("m", 1), ("s", -2)], "m") == expected
    assert igtl.unpack_unit(expected) == ((("m", 1), ("s", -2)), "m")
    assert igtl.unit_text(expected) == "mm·s^-2"


def test_no_unit() -> None:
    assert igtl.pack_unit([]) == 0
    assert igtl.unit_text(0) == ""


def test_the_last_of_the_derived_units_has_its_number() -> None:
    assert igtl.pack_unit([("Sv", 1)]) >> 54 & 0x3F == 0x1B


def test_bits_without_a_meaning_are_told_as_such() -> None:
    assert igtl.unit_text(0x8 << 60 | (0x3F << 4 | 1) << 50) == "??"


@pytest.mark.parametrize(
    ("units", "prefix"), [([("m", 8)], ""), ([("ft", 1)], ""), ([("m", 1)], "x"), ([("m", 1)] * 7, "")]
)
def test_what_cannot_be_said_is_refused(units: list[tuple[str, int]], prefix: str) -> None:
    with pytest.raises(OpenIGTLinkError):
        igtl.pack_unit(units, prefix)
