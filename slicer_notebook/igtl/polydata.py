"""The content of POLYDATA as bytes (OpenIGTLink, v2_polydata).

Ten u32 (points; number and bytes of vertices, lines, polygons, strips; attributes), points as float32, cells as u32,
then attributes: all their headers (type, components, count), all names (each ends in a zero; one more where the sum is
odd), all values as float32. All big-endian.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.contents import Attribute, Cells, PolyData

__all__ = ["decode_polydata", "encode_polydata"]

_HEAD = struct.Struct(">10I")
_ATTRIBUTE = struct.Struct(">BBI")
_WORD = 4

#: Bytes of an attribute's name, without its zero.
_NAME_BYTES = 255

_Kind = Literal["scalars", "vectors", "normals", "tensors", "rgba"]
_KINDS: tuple[_Kind, ...] = ("scalars", "vectors", "normals", "tensors", "rgba")
#: Components that a kind always has.
_FIXED = {"vectors": 3, "normals": 3, "tensors": 9}
#: Added to the kind's number where the attribute belongs to cells.
_OF_CELLS = 0x10


def encode_polydata(content: PolyData) -> bytes:
    """The content's bytes.

    Raises:
        OpenIGTLinkError: an attribute whose components or length do not fit, or a name that is too long.
    """
    groups = (content.vertices, content.lines, content.polygons, content.strips)
    counts = [number for cells in groups for number in (cells.count, len(cells.flat) * _WORD)]
    parts = [
        _HEAD.pack(len(content.points), *counts, len(content.attributes)),
        content.points.astype(">f4").tobytes(),
        *(np.asarray(cells.flat).astype(">u4").tobytes() for cells in groups),
    ]
    owners = {"points": len(content.points), "cells": sum(cells.count for cells in groups)}
    names = b""
    for attribute in content.attributes:
        _check(attribute, owners[attribute.of])
        code = _KINDS.index(attribute.kind) + (_OF_CELLS if attribute.of == "cells" else 0)
        count, components = attribute.values.shape
        parts.append(_ATTRIBUTE.pack(code, components, count))
        name = attribute.name.encode("utf-8", "replace")
        if len(name) > _NAME_BYTES or b"\0" in name:
            raise OpenIGTLinkError(
                "An attribute's name does not fit.", expected=f"at most {_NAME_BYTES} bytes", got=repr(attribute.name)
            )
        names += name + b"\0"
    parts.append(names + b"\0" * (len(names) % 2))
    parts += [attribute.values.astype(">f4").tobytes() for attribute in content.attributes]
    return b"".join(parts)


def decode_polydata(body: memoryview) -> PolyData:
    """What the bytes say; nothing of them is kept.

    Raises:
        OpenIGTLinkError: sizes that do not add up, cells that do not fill their list, or indices of points that are
            not there.
    """
    if len(body) < _HEAD.size:
        raise _short("its ten numbers", _HEAD.size, len(body))
    count, *groups, attributes = _HEAD.unpack_from(body)
    at = _HEAD.size
    points, at = _numbers(body, at, ">f4", 3 * count, "points")
    cells = []
    for name, (number, size) in zip(
        ("vertices", "lines", "polygons", "strips"), zip(groups[::2], groups[1::2], strict=True), strict=True
    ):
        if size % _WORD:
            raise OpenIGTLinkError(
                f"The {name} of a POLYDATA are no whole numbers.", expected="a multiple of 4 bytes", got=str(size)
            )
        flat, at = _numbers(body, at, ">u4", size // _WORD, name)
        cells.append(_cells(flat.astype(np.uint32), number, count, name))
    owners = {"points": count, "cells": sum(made.count for made in cells)}
    found, at = _attributes(body, at, attributes, owners)
    if at != len(body):
        raise OpenIGTLinkError("A POLYDATA is longer than it says.", expected=f"{at} bytes", got=str(len(body)))
    vertices, lines, polygons, strips = cells
    return PolyData(points.astype(np.float32).reshape(-1, 3), vertices, lines, polygons, strips, found)


def _numbers(body: memoryview, at: int, dtype: str, count: int, what: str) -> tuple[npt.NDArray[Any], int]:
    end = at + count * _WORD
    if end > len(body):
        raise _short(what, end, len(body))
    return np.frombuffer(body, dtype, count, at), end


def _cells(flat: npt.NDArray[np.uint32], count: int, points: int, what: str) -> Cells:
    cells = Cells(flat, count)
    connectivity = cells.connectivity  # also finds out whether the list is filled
    if len(connectivity) and int(connectivity.max()) >= points:
        raise OpenIGTLinkError(
            f"The {what} of a POLYDATA name points that it does not have.",
            expected=f"indices below {points}",
            got=str(int(connectivity.max())),
        )
    return cells


def _attributes(body: memoryview, at: int, count: int, owners: dict[str, int]) -> tuple[tuple[Attribute, ...], int]:
    # The count is believed only as far as there are bytes for so many headers.
    if at + count * _ATTRIBUTE.size > len(body):
        raise _short("attributes", at + count * _ATTRIBUTE.size, len(body))
    heads = [_ATTRIBUTE.unpack_from(body, at + i * _ATTRIBUTE.size) for i in range(count)]
    at += count * _ATTRIBUTE.size
    names, at = _names(body, at, count)
    found = []
    for (code, components, length), name in zip(heads, names, strict=True):
        number = code & ~_OF_CELLS
        if number >= len(_KINDS) or code > _OF_CELLS + len(_KINDS):
            raise OpenIGTLinkError("An attribute of a POLYDATA has a type that there is not.", got=f"0x{code:02x}")
        kind = _KINDS[number]
        width = _FIXED.get(kind, components)
        values, at = _numbers(body, at, ">f4", length * width, f"attribute {name!r}")
        if length and not width:
            raise OpenIGTLinkError(f"The attribute {name!r} of a POLYDATA has no components.")
        shaped = values.astype(np.float32).reshape(length, width)
        attribute = Attribute(name, shaped, kind, "cells" if code & _OF_CELLS else "points")
        _check(attribute, owners[attribute.of])
        found.append(attribute)
    return tuple(found), at


def _names(body: memoryview, at: int, count: int) -> tuple[list[str], int]:
    names, start = [], at
    for _ in range(count):
        field = bytes(body[at : at + _NAME_BYTES + 1])
        length = field.find(b"\0")
        if length < 0:
            raise OpenIGTLinkError(
                "An attribute's name does not end.", expected=f"a zero within {_NAME_BYTES + 1} bytes"
            )
        names.append(field[:length].decode("utf-8", "replace"))
        at += length + 1
    return names, at + (at - start) % 2


def _check(attribute: Attribute, owners: int) -> None:
    count, components = attribute.values.shape
    expected = _FIXED.get(attribute.kind, components)
    if count != owners or components != expected or not 0 < components < 256:
        raise OpenIGTLinkError(
            f"The attribute {attribute.name!r} of a POLYDATA does not fit.",
            expected=f"{owners} of {attribute.of} with {expected if expected else '1 to 255'} components",
            got=f"{count} with {components}",
        )


def _short(what: str, needed: int, there: int) -> OpenIGTLinkError:
    return OpenIGTLinkError(f"A POLYDATA ends in its {what}.", expected=f"{needed} bytes", got=str(there))
