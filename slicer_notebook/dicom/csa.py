"""Siemens' own headers: the CSA header, and the protocol text in it.

The CSA header is a list of named entries of strings, in (0029,xx10) for the image and in (0029,xx20) for the series
(creator SIEMENS CSA HEADER). Two layouts are in use: CSA2 begins with ``SV10``; CSA1, of older software, with the
number of entries. Siemens documents neither. Layout of an entry: name (64 bytes), VM, VR (4 bytes), type, number of
items, and a mark (all 32-bit, little endian); of an item: four 32-bit numbers, of which one gives its length, and a
string that fills whole words.

The series' entry MrPhoenixProtocol (older: MrProtocol) is a text with lines ``key = value`` between marks. Where there
is no CSA header any more (Numaris X), (0021,xx19) of creator SIEMENS MR SDS 01 holds that text.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["Protocol", "csa_entries", "csa_numbers", "protocol_of"]

_ENTRY: Final = struct.Struct("<64si4s3i")
_ITEM: Final = struct.Struct("<4i")
_MARKS: Final = (77, 205)
#: Known headers hold some hundred entries.
MAX_ENTRIES: Final = 2000
#: Mosaics of more slices than this are no sane protocol.
MAX_SLICES: Final = 4096

_BEGIN: Final = re.compile(rb"### ASCCONV BEGIN[^\n]*\n")
_END: Final = b"### ASCCONV END ###"
_SLICE: Final = re.compile(rb"^sSliceArray\.asSlice\[(\d+)\]\.(sPosition|sNormal)\.d(Sag|Cor|Tra)\s*=\s*(\S+)", re.M)
_SCALAR: Final = re.compile(rb"^(sSliceArray\.lSize|sKSpace\.ucDimension|sKSpace\.lImagesPerSlab)\s*=\s*(\S+)", re.M)
#: Sagittal, coronal and transversal axes of Siemens are DICOM's x, y and z.
_AXES: Final = {b"Sag": 0, b"Cor": 1, b"Tra": 2}
_THREE_DIMENSIONAL: Final = 4

Vector = tuple[float, float, float]


def csa_entries(raw: bytes, names: Collection[str] | None = None) -> dict[str, list[str]] | None:
    """Name -> values of a CSA header of either kind, of all entries or of those named; None when it is none."""
    newer = raw.startswith(b"SV10")
    # In CSA1 lengths are too large by the number of items of the first entry; tools differ on it, so both are tried.
    for length_of in _LENGTHS[1:] if newer else _LENGTHS:
        try:
            return _entries(raw, 8 if newer else 0, length_of, names)
        except (struct.error, ValueError):
            continue
    return None


Length = Callable[[tuple[int, ...], int], int]
"""An item's four numbers, and the number of items of the header's first entry -> bytes of the item's string."""
_LENGTHS: Final[tuple[Length, Length]] = (lambda item, first: item[0] - first, lambda item, _: item[1])


def _entries(raw: bytes, pos: int, length_of: Length, names: Collection[str] | None) -> dict[str, list[str]]:
    """The entries; struct.error or ValueError where it is no header."""
    (count,) = struct.unpack_from("<i", raw, pos)
    pos += 8
    if not 0 < count <= MAX_ENTRIES:
        raise ValueError(count)
    entries: dict[str, list[str]] = {}
    first: int | None = None
    for _ in range(count):
        title, _, _, _, items, mark = _ENTRY.unpack_from(raw, pos)
        pos += _ENTRY.size
        if mark not in _MARKS:
            raise ValueError(mark)
        first = items if first is None else first
        name = title.split(b"\0")[0].decode("latin-1")
        wanted = names is None or name in names
        values = []
        for _ in range(items):
            length = length_of(_ITEM.unpack_from(raw, pos), first)
            pos += _ITEM.size
            if not 0 <= length <= len(raw) - pos:
                raise ValueError(length)
            if wanted and length:
                value = raw[pos : pos + length].split(b"\0")[0].strip()
                if value:
                    values.append(value.decode("latin-1"))
            pos += (length + 3) // 4 * 4
        if wanted:
            entries[name] = values
    return entries


def csa_numbers(entries: dict[str, list[str]], name: str, count: int) -> list[float] | None:
    """An entry's first ``count`` values as numbers; None when there are fewer, or they are no numbers."""
    try:
        values = [float(value) for value in entries.get(name, [])[:count]]
    except ValueError:
        return None
    return values if len(values) == count else None


class Protocol(NamedTuple):
    """What a protocol text says of the slices; patient coordinates (LPS), mm."""

    #: centres, in the protocol's order; of slabs where it is ``three_dimensional``
    positions: list[Vector]
    normals: list[Vector]
    three_dimensional: bool
    images_per_slab: int | None


def protocol_of(text: bytes) -> Protocol | None:
    """The slices of a protocol text; None when it holds none."""
    begin = _BEGIN.search(text)
    if begin is None:
        return None
    end = text.find(_END, begin.end())
    return _protocol(text[begin.end() : end if end > 0 else len(text)])


# All files of a series have the same protocol.
@lru_cache(maxsize=4)
def _protocol(text: bytes) -> Protocol | None:
    scalars = {name.decode(): _number(value) for name, value in _SCALAR.findall(text)}
    count = int(scalars.get("sSliceArray.lSize") or 0)
    if not 0 < count <= MAX_SLICES:
        return None
    # What is zero has no line.
    vectors = {b"sPosition": [[0.0] * 3 for _ in range(count)], b"sNormal": [[0.0] * 3 for _ in range(count)]}
    for index, kind, axis, value in _SLICE.findall(text):
        number = _number(value)
        if number is None:
            return None
        if int(index) < count:
            vectors[kind][int(index)][_AXES[axis]] = number
    slab = scalars.get("sKSpace.lImagesPerSlab")
    return Protocol(
        positions=[(x, y, z) for x, y, z in vectors[b"sPosition"]],
        normals=[(x, y, z) for x, y, z in vectors[b"sNormal"]],
        three_dimensional=scalars.get("sKSpace.ucDimension") == _THREE_DIMENSIONAL,
        images_per_slab=None if slab is None else int(slab),
    )


def _number(text: bytes) -> float | None:
    """A decimal number, or a hexadecimal one such as 0x2."""
    try:
        return float(int(text, 16)) if text[:2].lower() == b"0x" else float(text)
    except ValueError:
        return None
