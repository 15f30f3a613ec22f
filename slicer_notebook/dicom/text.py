"""Text of DICOM files: character sets (decoded by pydicom) and folding for searches."""

from __future__ import annotations

import unicodedata
import warnings
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PersonName

__all__ = ["decode_person_name", "decode_text", "encodings_of", "fold", "split_names"]

_ESCAPE = 0x1B
#: Encodings in which the byte 0x5C may be half of a character.
_BACKSLASH_IN_CHARACTER = frozenset({"gb18030", "gbk", "shift_jis"})
_TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09}
_LIST_DELIMITERS = _TEXT_DELIMITERS | {0x5C}


@lru_cache(maxsize=256)
def encodings_of(charset: bytes | None) -> list[str]:
    """Python codec names for a Specific Character Set (0008,0005) value (PS3.3 C.12.1.1.2).

    Unknown terms fall back as pydicom does (to the default repertoire), they never raise.
    """
    if not charset:
        return ["iso8859"]
    terms = [term.strip() for term in charset.decode("ascii", "replace").replace("\0", "").split("\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(convert_encodings(terms))
        except LookupError:
            return ["iso8859"]


def _plain(raw: bytes) -> str | None:
    """The text if no character set is needed to read it (ASCII without escape sequences), else None."""
    return raw.decode("ascii") if raw.isascii() and _ESCAPE not in raw else None


def decode_text(raw: bytes, encodings: list[str], *, multiple: bool) -> str:
    """Text of a LO, SH, UC (``multiple``) or ST, LT, UT value; trailing padding is removed."""
    text = _plain(raw)
    if text is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = decode_bytes(raw, encodings, _LIST_DELIMITERS if multiple else _TEXT_DELIMITERS)
    return text.rstrip(" \0") if not multiple else text.strip("\0 ")


def decode_person_name(raw: bytes, encodings: list[str]) -> str:
    """One PN value: its groups (alphabetic, ideographic, phonetic) joined by ``=``."""
    text = _plain(raw)
    if text is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = str(PersonName(raw, encodings).decode())
    groups = [group.rstrip(" \0^") for group in text.strip("\0 ").split("=")]
    return "=".join(groups).rstrip("=")


def split_names(raw: bytes, encodings: list[str]) -> list[bytes]:
    """PN values apart, at backslashes that cannot be the second byte of a character."""
    if b"\\" not in raw or not _BACKSLASH_IN_CHARACTER.isdisjoint(e.lower() for e in encodings):
        return [raw]
    return raw.split(b"\\")


def fold(text: str) -> str:
    """Text for comparing: no case, no accents, compatibility forms (half-width katakana, ligatures) made one."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFKC", "".join(c for c in decomposed if not unicodedata.combining(c)))
