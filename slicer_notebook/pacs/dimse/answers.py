"""Answers to a query as records, most of them without a reader: a long list is short values, all alike."""

from __future__ import annotations

import functools
import re
import struct
from typing import Final

from pydicom.datadict import dictionary_VR

from slicer_notebook.pacs.dimse.identifiers import decode_identifier
from slicer_notebook.pacs.model import Record
from slicer_notebook.pacs.records import name_of, record_of_dataset

__all__ = ["record_of_answer"]

_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
#: Character sets that ASCII means the same in, as they are written.
_CHARSETS: Final = frozenset({b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 6 ", b""})
_TEXT: Final = rb"(?:[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?)? ?"
#: One value that needs no reader, by VR (PS3.5 6.2).
_PLAIN: Final = {
    vr: re.compile(pattern)
    for vr, pattern in {
        b"UI": rb"[0-9.]*\0?",
        b"CS": rb"[A-Z0-9_]* ?",
        b"DA": rb"(?:[0-9]{8})?",
        b"AE": _TEXT,
        b"LO": _TEXT,
        b"SH": _TEXT,
    }.items()
}
_TAG: Final = struct.Struct("<HH")
_LENGTH: Final = struct.Struct("<I")
_SHORT: Final = struct.Struct("<H")


def record_of_answer(data: bytes, transfer_syntax: str, peer: str, asked: str = "") -> Record:
    """The record that an answer's data set is.

    Args:
        asked: character set of the question.

    Raises:
        PacsAnswerError: it cannot be read.
    """
    found = _plain(data, transfer_syntax)
    return found if found is not None else record_of_dataset(decode_identifier(data, transfer_syntax, peer, asked))


def _plain(data: bytes, transfer_syntax: str) -> Record | None:
    """A record of nothing but plain values; None where something else is in it."""
    explicit = transfer_syntax == _EXPLICIT
    if not explicit and transfer_syntax != _IMPLICIT:
        return None
    found: Record = {}
    position, end, former = 0, len(data), 0
    while position < end:
        if position + 8 > end:
            return None
        group, element = _TAG.unpack_from(data, position)
        tag = group << 16 | element
        name, several, vr = _known(tag)
        if explicit:
            vr = data[position + 4 : position + 6]
            (length,) = _SHORT.unpack_from(data, position + 6)
        else:
            (length,) = _LENGTH.unpack_from(data, position + 4)
        pattern = _PLAIN.get(vr)
        start, position = position + 8, position + 8 + length
        if pattern is None or tag <= former or position > end or element == 0:
            return None
        raw, former = data[start:position], tag
        if tag == _SPECIFIC_CHARACTER_SET:
            if raw not in _CHARSETS:
                return None
        elif pattern.fullmatch(raw) is None:
            return None
        text = raw.decode("ascii").strip("\0 ") or None
        found[name] = [text] if several and text is not None else text
    return found


@functools.lru_cache(maxsize=4096)
def _known(tag: int) -> tuple[str, bool, bytes]:
    """Keyword, whether it may have several values, and VR."""
    name, several = name_of(tag)
    try:
        return name, several, dictionary_VR(tag).encode("ascii")
    except KeyError:
        return name, several, b""
