"""Files that lead to further files, by what is in them, whatever their names say.

Slicer's readers follow what a file names: values of a NRRD in another file, data of a scene anywhere on the machine.
Pure; scene bundles are looked through by `bundles`.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import Final
from xml.parsers import expat

__all__ = ["HEAD_BYTES", "header_leads_elsewhere", "is_hdf5", "leads_elsewhere"]

#: Bytes at a file's beginning in which its header has to end: one of NRRD with 1,000 gradient directions has 60 kB.
HEAD_BYTES: Final = 1 << 20

#: Files whose values are, or may be, in others that they name: scenes, headers of volumes, surfaces in parts.
_NAMES_OTHERS: Final = (".mrml", ".mrb", ".nhdr", ".mhd", ".hdr", ".img", ".vtm", ".pvtp", ".pvtu", ".xml")
_NRRD_OTHER: Final = re.compile(rb"(?:^|[\r\n])[ \t]*data[ \t]?file[ \t]*:", re.IGNORECASE)
_NRRD_END: Final = re.compile(rb"\r?\n\r?\n")
#: MetaIO takes a colon for the equals sign, too.
_META: Final = re.compile(rb"ElementDataFile[ \t]*([=:]*)[ \t]*([^\r\n]*)", re.IGNORECASE)
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_BLANK: Final = b" \t\r\n"
#: Byte order marks of what is no UTF-8.
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


def leads_elsewhere(name: str, head: bytes) -> bool:
    """Whether a file leads, or may lead, to others: by its name, or by what is in it.

    Args:
        head: its first `HEAD_BYTES`, or all of it.
    """
    return name.lower().endswith(_NAMES_OTHERS) or header_leads_elsewhere(name, head)


def is_hdf5(head: bytes) -> bool:
    """Whether it is HDF5, such as a transform: datasets and links of it may be in other files, which is not told here.

    It begins at a power of two (HDF5 file format 2.0, III.A).
    """
    places = [0, *(512 << power for power in range(12))]
    return any(head.startswith(_HDF5, place) for place in places)


def header_leads_elsewhere(name: str, head: bytes) -> bool:
    """The same by what is in it alone. Of a MetaImage, which nothing else marks, the name tells that it is one."""
    if head.startswith(b"\x1f\x8b"):
        head = _unpacked(head)
    if head.startswith(b"NRRD"):
        return _nrrd_leads(head)
    if head.startswith((b"PK", *_WIDE)) or head[344:348] == b"ni1\0":  # NIfTI-1: the values are in a second file
        return True
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)
    return _meta_leads(name, head) or (text.startswith(b"<") and _root_of(text) != "VTKFile")


def _nrrd_leads(head: bytes) -> bool:
    end = _NRRD_END.search(head)
    if end is None and len(head) >= HEAD_BYTES:
        return True
    return _NRRD_OTHER.search(head[: end.start() + 1] if end else head) is not None


def _meta_leads(name: str, head: bytes) -> bool:
    found = list(_META.finditer(head))
    if any(each[1] not in (b"=", b":") or each[2].strip().upper() != b"LOCAL" for each in found):
        return True
    return not found and name.lower().endswith((".mha", ".mhd"))


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return head


class _EnoughError(Exception):
    """The first element is known."""


def _root_of(text: bytes) -> str:
    """The name of the first element; empty where none is to be seen, or a document type comes first."""
    found: list[str] = []

    def begins(tag: str, _attributes: object) -> None:
        found.append(tag)
        raise _EnoughError

    def declares(*_declared: object) -> None:
        raise _EnoughError

    parser = expat.ParserCreate()
    parser.StartElementHandler = begins
    parser.StartDoctypeDeclHandler = declares
    with contextlib.suppress(_EnoughError, expat.ExpatError):
        parser.Parse(text, False)
    return found[0] if found else ""
