"""Transfer syntaxes: which are read straight from the file, and which pydicom's plugins decode."""

from __future__ import annotations

from functools import cache
from typing import Final

from pydicom.pixels.decoders.base import get_decoder

__all__ = ["BIG_ENDIAN", "LOSSY", "NATIVE", "can_decode"]

BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Pixels as they are: implicit and explicit little endian, deflated little endian, explicit big endian.
NATIVE: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", BIG_ENDIAN})
#: Syntaxes whose pixels are not those that the scanner made: JPEG baseline and extended, JPEG-LS near-lossless,
#: JPEG 2000, and HTJ2K where not declared lossless (PS3.5 A.4).
LOSSY: Final = frozenset(f"1.2.840.10008.1.2.4.{tail}" for tail in ("50", "51", "81", "91", "93", "112", "203"))


@cache
def can_decode(uid: str) -> bool:
    """Whether this machine has a decoder for the transfer syntax."""
    if uid in NATIVE:
        return True
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False
