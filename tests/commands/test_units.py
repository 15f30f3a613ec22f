"""Units and quantities as codes."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from slicer_notebook.commands.units import quantity_code, unit_code


@pytest.mark.parametrize(
    ("written", "value", "meaning"),
    [
        ("HU", "[hnsf'U]", "Hounsfield unit"),
        ("BQML", "Bq/ml", "Becquerels/milliliter"),
        ("CNTS", "{counts}", "Counts"),
        ("PROPCPS", "{propcounts}/s", "Proportional to counts per second"),
        ("1CM", "/cm", "/Centimeter"),
        ("GML", "g/ml", "Gram/milliliter"),
        ("NONE", "1", "no units"),
        ("PCT", "%", "Percent"),
        ("g/ml{SUVbw}", "g/ml{SUVbw}", "Standardized Uptake Value body weight"),
        ("{SUVbw}g/ml", "g/ml{SUVbw}", "Standardized Uptake Value body weight"),
        ("cm2/ml{SUVbsa}", "cm2/ml{SUVbsa}", "Standardized Uptake Value body surface area"),
        ("g/ml{SUVlbm}", "g/ml{SUVlbm}", "Standardized Uptake Value lean body mass (James)"),
        ("mm2/s", "mm2/s", "mm2/s"),
        ("10*-6.mm2/s", "10*-6.mm2/s", "10*-6.mm2/s"),
        ("Gy", "Gy", "Gy"),
        ("kBq", "kBq", "kBq"),
        ("ms", "ms", "ms"),
        (" HU ", "[hnsf'U]", "Hounsfield unit"),
    ],
)
def test_units_are_ucum(written: str, value: str, meaning: str) -> None:
    assert unit_code(written) == (value, "UCUM", meaning)


@pytest.mark.parametrize("written", ["arbitrary words", "Z{x}Y Q", "US thing", "größe", "FOO"])
def test_what_is_no_unit_becomes_an_annotation(written: str) -> None:
    code = unit_code(written)
    assert code.value.startswith("{")
    assert code.value.count("{") == code.value.count("}") == 1
    assert code.meaning == written


def test_every_code_of_the_context_groups_keeps_its_meaning() -> None:
    for group in (codes.cid83, codes.cid84, codes.cid85):
        for name in group.dir():
            code = getattr(group, name)
            assert unit_code(code.value) == (code.value, "UCUM", code.meaning)


def test_what_units_measure() -> None:
    assert quantity_code("HU") == ("112031", "DCM", "Attenuation Coefficient")
    assert quantity_code("g/ml{SUVbw}") == ("126401", "DCM", "SUVbw")
    assert quantity_code("{SUVbsa}cm2/ml") == ("126403", "DCM", "SUVbsa")
    assert quantity_code("BQML") is None
