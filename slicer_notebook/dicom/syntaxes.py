"""Transfer syntaxes: which are read straight from the file, and which need a decoder."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Final

__all__ = [
    "BIG_ENDIAN",
    "DEFLATED",
    "DEFLATED_FRAMES",
    "ENCAPSULATED_NATIVE",
    "JPEG",
    "JPEG_2000",
    "JPEG_LS",
    "JPEG_XL",
    "LOSSY",
    "NATIVE",
    "RLE",
    "can_decode",
]

_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Pixels as they are: implicit and explicit little endian, deflated little endian, explicit big endian.
NATIVE: Final = frozenset({_IMPLICIT, _EXPLICIT, DEFLATED, BIG_ENDIAN})
#: Fragments that hold pixels as they are (PS3.5 A.4.11).
ENCAPSULATED_NATIVE: Final = frozenset({"1.2.840.10008.1.2.1.98"})
#: Each frame deflated by itself (PS3.5 A.4.13).
DEFLATED_FRAMES: Final = frozenset({"1.2.840.10008.1.2.8.1"})
RLE: Final = "1.2.840.10008.1.2.5"


def _jpeg_family(*tails: int) -> frozenset[str]:
    return frozenset(f"1.2.840.10008.1.2.4.{tail}" for tail in tails)


#: Baseline (8 bits), extended (12 bits), lossless, lossless of the first predictor.
JPEG: Final = _jpeg_family(50, 51, 57, 70)
#: Lossless and near-lossless.
JPEG_LS: Final = _jpeg_family(80, 81)
#: JPEG 2000 and HTJ2K, lossless only or not.
JPEG_2000: Final = _jpeg_family(90, 91, 201, 202, 203)
#: Lossless, recompressed JPEG, lossy.
JPEG_XL: Final = _jpeg_family(110, 111, 112)
#: Syntaxes whose pixels are not those that the scanner made: JPEG baseline and extended, JPEG-LS near-lossless,
#: JPEG 2000, HTJ2K and JPEG XL where not declared lossless (PS3.5 A.4).
LOSSY: Final = _jpeg_family(50, 51, 81, 91, 93, 111, 112, 203)

#: Packages of which any one will do.
_NEEDS: Final = (
    (JPEG, ("gdcm", "imagecodecs")),
    (JPEG_LS, ("jpeg_ls", "gdcm", "imagecodecs")),
    (JPEG_2000, ("openjpeg", "imagecodecs")),
    (JPEG_XL, ("imagecodecs",)),
)


@cache
def can_decode(uid: str) -> bool:
    """Whether this machine has a decoder for the transfer syntax."""
    if uid in NATIVE or uid in ENCAPSULATED_NATIVE or uid in DEFLATED_FRAMES or uid == RLE:
        return True
    return any(uid in syntaxes and any(find_spec(name) for name in names) for syntaxes, names in _NEEDS)
