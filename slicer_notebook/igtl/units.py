"""Units of SENSOR: 64 bits with a prefix and up to six SI units, each with an exponent (OpenIGTLink, v2_unit)."""

from __future__ import annotations

from collections.abc import Iterable

from slicer_notebook.errors import OpenIGTLinkError

__all__ = ["pack_unit", "unit_text", "unpack_unit"]

_PREFIXES = {"": 0, "da": 1, "h": 2, "k": 3, "M": 4, "G": 5, "T": 6, "P": 7} | {
    "d": 0x9,
    "c": 0xA,
    "m": 0xB,
    "µ": 0xC,
    "n": 0xD,
    "p": 0xE,
    "f": 0xF,
}
_PREFIX_OF = {number: prefix for prefix, number in _PREFIXES.items()}

#: Symbols in the order of their numbers: the base units from 1, then the derived ones.
_BASE = ("m", "g", "s", "A", "K", "mol", "cd")
_DERIVED = (
    "rad",
    "sr",
    "Hz",
    "N",
    "Pa",
    "J",
    "W",
    "C",
    "V",
    "F",
    "Ω",
    "S",
    "Wb",
    "T",
    "H",
    "lm",
    "lx",
    "Bq",
    "Gy",
    "Sv",
)
_SYMBOLS = _BASE + _DERIVED
_NUMBER_OF = {symbol: number for number, symbol in enumerate(_SYMBOLS, 1)}

#: Places for units in the 64 bits; each has 6 bits for the unit and 4 for the exponent.
_PLACES = 6
_MOST_EXPONENT = 7


def pack_unit(units: Iterable[tuple[str, int]], prefix: str = "") -> int:
    """The 64 bits of a unit: ``pack_unit([("m", 1), ("s", -2)], "m")`` is mm/s².

    Args:
        units: SI symbols with their exponents, -7 to 7.
        prefix: of the whole: "", "k", "m", "µ" and so on.

    Raises:
        OpenIGTLinkError: a symbol or prefix that there is not, too many, or an exponent that does not fit.
    """
    if prefix not in _PREFIXES:
        raise OpenIGTLinkError(
            "A prefix that units do not have.", expected=", ".join(filter(None, _PREFIXES)), got=prefix
        )
    packed = _PREFIXES[prefix] << 60
    for place, (symbol, exponent) in enumerate(units):
        if place >= _PLACES or symbol not in _NUMBER_OF or not -_MOST_EXPONENT <= exponent <= _MOST_EXPONENT:
            raise OpenIGTLinkError(
                "A unit that OpenIGTLink cannot say.",
                expected=f"at most {_PLACES} of {' '.join(_SYMBOLS)}, with exponents -7 to 7",
                got=f"{symbol}^{exponent}",
            )
        shift = 10 * (_PLACES - 1 - place)
        packed |= _NUMBER_OF[symbol] << (shift + 4) | (exponent & 0xF) << shift
    return packed


def unpack_unit(packed: int) -> tuple[tuple[tuple[str, int], ...], str]:
    """(units with exponents, prefix) of the 64 bits; numbers without a meaning are called "?"."""
    units = []
    for place in range(_PLACES):
        bits = packed >> 10 * (_PLACES - 1 - place)
        number, exponent = bits >> 4 & 0x3F, bits & 0xF
        if number:
            symbol = _SYMBOLS[number - 1] if number <= len(_SYMBOLS) else "?"
            units.append((symbol, exponent - 16 if exponent > _MOST_EXPONENT else exponent))
    return tuple(units), _PREFIX_OF.get(packed >> 60 & 0xF, "?")


def unit_text(packed: int) -> str:
    """The unit for a person: "mm·s^-2"; empty for none."""
    units, prefix = unpack_unit(packed)
    return prefix + "·".join(symbol if exponent == 1 else f"{symbol}^{exponent}" for symbol, exponent in units)
