"""Text of DICOM files: character sets (decoded by pydicom) and folding for searches."""

from __future__ import annotations

import unicodedata
import warnings
from functools import lru_cache
from typing import Final

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PersonName

__all__ = ["decode_person_names", "decode_text", "encodings_of", "fold"]

_ESCAPE = 0x1B
_LEFT_OVER = "\x1b$)A"
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


def _without_leftovers(text: str) -> str:
    """pydicom leaves the escape sequence of ISO 2022 IR 58 in the text: Python's codec of that name does not eat it."""
    return text.replace(_LEFT_OVER, "")


def decode_text(raw: bytes, encodings: list[str], *, multiple: bool) -> str:
    """Text of a LO, SH, UC (``multiple``) or ST, LT, UT value; trailing padding is removed."""
    text = _plain(raw)
    if text is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            delimiters = _LIST_DELIMITERS if multiple else _TEXT_DELIMITERS
            text = _without_leftovers(decode_bytes(raw, encodings, delimiters))
    return text.rstrip(" \0") if not multiple else text.strip("\0 ")


def decode_person_names(raw: bytes, encodings: list[str]) -> list[str]:
    """The names of a PN value; the groups of each (alphabetic, ideographic, phonetic) joined by ``=``."""
    text = _plain(raw)
    if text is not None:
        names = text.split("\\")
    elif not _BACKSLASH_IN_CHARACTER.isdisjoint(encoding.lower() for encoding in encodings):
        # The byte of a backslash may be half of a character: only the text can be split.
        names = _decode_name(raw, encodings).split("\\")
    else:
        names = [_decode_name(part, encodings) for part in raw.split(b"\\")]
    return [tidy for name in names if (tidy := _tidy_name(name))]


def _decode_name(raw: bytes, encodings: list[str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _without_leftovers(str(PersonName(raw, encodings).decode()))


def _tidy_name(name: str) -> str:
    """Without padding, and without delimiters that nothing follows (PS3.5 §6.2.1)."""
    return "=".join(group.rstrip(" \0^") for group in name.strip("\0 ").split("=")).rstrip("=")


#: Letters with a stroke, and joined ones, which Unicode does not take apart, as they are typed without them.
_PLAIN_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}  # noqa: RUF001
)


def fold(text: str) -> str:
    """Text for comparing: no case, no accents, compatibility forms (half-width katakana, ligatures) made one."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFKC", bare).translate(_PLAIN_LETTERS)
