"""What the values of a volume are, as codes: DICOM's own words for units and quantities, and UCUM.

Slicer keeps a volume's units and quantity as coded entries. Codes and meanings are those of PS3.16: CID 82 (units of
measurement, all of UCUM), 83 (real world value mapping), 84 (PET), 85 (SUV).
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

__all__ = ["Code", "quantity_code", "unit_code"]


class Code(NamedTuple):
    """A coded concept (PS3.3 8.1)."""

    value: str
    scheme: str
    meaning: str


#: Units (0054,1001) of PET (PS3.3 C.8.9.1.1.3) -> UCUM. SUV units of PET come without their kind (SUV Type).
_PET: Final = {
    "CNTS": "{counts}", "CM2": "cm2", "CM2ML": "cm2/ml", "PCNT": "%", "CPS": "{counts}/s", "BQML": "Bq/ml",
    "MGMINML": "mg/min/ml", "UMOLMINML": "umol/min/ml", "MLMING": "ml/min/g", "MLG": "ml/g", "1CM": "/cm",
    "UMOLML": "umol/ml", "PROPCNTS": "{propcounts}", "PROPCPS": "{propcounts}/s",
}  # fmt: skip
#: Further terms of PET units and of RescaleType (PS3.3 C.11.1.1.2): UCUM and meaning, where no context group has them.
_MORE: Final = {
    "NONE": ("1", "no units"),
    "MLMINML": ("ml/min/ml", "Milliliter/minute/milliliter"),
    "MLML": ("ml/ml", "Milliliter/milliliter"),
    "GML": ("g/ml", "Gram/milliliter"),
    "STDDEV": ("{stddev}", "Standard deviations"),
    "OD": ("{OD}", "Optical density (thousandths)"),
    "HU_MOD": ("{HU_MOD}", "Modified Hounsfield unit"),
    "MGML": ("mg/ml", "Milligram/milliliter"),
    "Z_EFF": ("{Z_EFF}", "Effective atomic number"),
    "ED": ("10*23/ml", "Electron density (10^23 electrons/milliliter)"),
    "EDW": ("{EDW}", "Electron density normalized to water"),
    "PCT": ("%", "Percent"),
}
#: UCUM -> what the values measure. Slicer gives CT the first.
_QUANTITIES: Final = {
    "[hnsf'U]": Code("112031", "DCM", "Attenuation Coefficient"),
    "g/ml{SUVbw}": Code("126401", "DCM", "SUVbw"),
    "g/ml{SUVlbm}": Code("126402", "DCM", "SUVlbm"),
    "g/ml{SUVlbm(James128)}": Code("126406", "DCM", "SUVlbm(James128)"),
    "g/ml{SUVlbm(Janma)}": Code("126405", "DCM", "SUVlbm(Janma)"),
    "cm2/ml{SUVbsa}": Code("126403", "DCM", "SUVbsa"),
    "g/ml{SUVibw}": Code("126404", "DCM", "SUVibw"),
}


#: UCUM's unit atoms that begin with a capital, as far as images are measured in them.
_CAPITAL: Final = frozenset({"Gy", "Bq", "Hz", "T", "K", "Pa", "V", "J", "N", "W"})


@functools.cache
def _ucum() -> dict[str, str]:
    """UCUM code -> meaning of CID 83, which holds CID 84 and 85, as pydicom has the tables of PS3.16."""
    from pydicom.sr.codedict import codes

    group = codes.cid83
    return {code.value: code.meaning for code in (getattr(group, name) for name in group.dir())}


def _annotation_last(units: str) -> str:
    """``{SUVbw}g/ml``, as older editions wrote it, as ``g/ml{SUVbw}``; counts and the like are annotations only."""
    head, closing, rest = units.partition("}")
    return f"{rest}{head}}}" if closing and units.startswith("{SUV") and rest else units


def unit_code(units: str) -> Code:
    """The code of a unit, given as DICOM writes it in RescaleType or Units ("HU", "BQML"), or in UCUM ("mm2/s").

    What neither knows becomes a UCUM annotation, which means "of unit 1, called so": ``{arbitrary words}``.
    """
    units = units.strip()
    if units == "HU":
        units = "[hnsf'U]"
    if units in _MORE:
        value, meaning = _MORE[units]
        return Code(value, "UCUM", meaning)
    value = _annotation_last(_PET.get(units, units))
    if value in _ucum():
        return Code(value, "UCUM", _ucum()[value])
    if _looks_like_ucum(value):
        return Code(value, "UCUM", value)
    return Code("{" + "".join(c for c in value if c not in "{}") + "}", "UCUM", value)


def _looks_like_ucum(text: str) -> bool:
    """Whether a text can be a UCUM expression (case-sensitive): no blanks, and something of what units are made of."""
    if not text.isascii() or " " in text:
        return False
    return text == "1" or any(c in text for c in "/.*[%{") or text.islower() or text.lstrip("cmkM") in _CAPITAL


def quantity_code(units: str) -> Code | None:
    """What values of these units measure; None where the unit does not say it."""
    return _QUANTITIES.get(unit_code(units).value)
