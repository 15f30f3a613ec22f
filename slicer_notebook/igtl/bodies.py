"""Contents of messages as bytes, and back: one pair of functions for each type.

All numbers are big-endian, but for the voxels of IMAGE, which say themselves which end comes first. Matrices of 12
numbers are column by column, the translation last.

Source: the pages of the OpenIGTLink protocol, named at each function.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.contents import (
    Capability,
    Command,
    Content,
    Frame,
    Image,
    Matrix,
    NDArray,
    Point,
    Points,
    PolyData,
    Position,
    Reply,
    Sensor,
    StartStream,
    Status,
    String,
    Tool,
    Tracking,
    Transform,
)
from slicer_notebook.igtl.message import TYPE_BYTES
from slicer_notebook.igtl.polydata import decode_polydata, encode_polydata
from slicer_notebook.igtl.texts import name_bytes, name_of, text_bytes, text_of

__all__ = ["IMAGE_HEAD_BYTES", "Piece", "decode_content", "encode_content", "keeps_body", "largest_content"]

#: Something whose bytes go out as they are.
Piece: TypeAlias = bytes | memoryview

#: The types of numbers on the wire (v2_image, v2_ndarray), in the machine's byte order.
_SCALARS: dict[int, np.dtype[Any]] = {
    2: np.dtype(np.int8),
    3: np.dtype(np.uint8),
    4: np.dtype(np.int16),
    5: np.dtype(np.uint16),
    6: np.dtype(np.int32),
    7: np.dtype(np.uint32),
    10: np.dtype(np.float32),
    11: np.dtype(np.float64),
    13: np.dtype(np.complex128),
}
_SCALAR_OF = {dtype: code for code, dtype in _SCALARS.items()}
_COMPLEX = 13

_BIG, _LITTLE = 1, 2
_NATIVE = _LITTLE if sys.byteorder == "little" else _BIG
_FRAMES: dict[int, Frame] = {1: "RAS", 2: "LPS"}

_MATRIX = struct.Struct(">12f")
_ROWS = struct.Struct("=16d")
_IMAGE = struct.Struct(">HBBBB3H12f6H")
IMAGE_HEAD_BYTES = _IMAGE.size
_STRING = struct.Struct(">HH")
_STATUS = struct.Struct(">Hq20s")
_POINT = struct.Struct(">64s32s4B3ff20s")
_TOOL = struct.Struct(">20sBx12f")
_START = struct.Struct(">I32s")
_SENSOR = struct.Struct(">BBQ")
_COMMAND = struct.Struct(">I128sHI")

_NAME_BYTES = 20
_U8, _U16, _U32 = 0xFF, 0xFFFF, 0xFFFFFFFF

#: numpy has up to 64 dimensions, before 2.0 up to 32.
_MOST_DIMENSIONS = 32

#: Bytes of text in a COMMAND. They are read by people and programs, not stored; a macro of 100,000 lines is smaller.
MAX_COMMAND_BYTES = 8 << 20
#: Bytes of text in a STATUS.
MAX_STATUS_BYTES = 1 << 20
#: Points of one POINT: each becomes an object of Python of about 1 kB, and a control point with observers in Slicer.
MAX_POINTS = 100_000
#: Tools of one TDATA; trackers have tens.
MAX_TOOLS = 10_000
#: Types of one CAPABILITY; the protocol has about 25, each with its queries.
MAX_TYPES = 1_000
#: Bytes of a POLYDATA: about 9 million triangles. Cells of different sizes are counted one by one (about 50 ns each).
MAX_POLYDATA_BYTES = 256 << 20
#: Bytes that a query may bring along, which are nearly always none.
MAX_QUERY_BYTES = 1 << 12


# TRANSFORM and POSITION (v2_transform, v2_position)


def _pack_matrix(matrix: Matrix) -> Sequence[float]:
    return matrix[:3].T.ravel().tolist()


def _unpack_matrix(numbers: Sequence[float]) -> Matrix:
    """Read-only. A tracker sends thousands a second: this takes a third of what slices of arrays take."""
    a, b, c, d, e, f, g, h, i, x, y, z = numbers
    rows = _ROWS.pack(a, d, g, x, b, e, h, y, c, f, i, z, 0.0, 0.0, 0.0, 1.0)
    return np.frombuffer(rows, np.float64).reshape(4, 4)


def _encode_transform(content: Transform) -> list[Piece]:
    return [_packed(_MATRIX, *_pack_matrix(content.matrix))]


def _decode_transform(body: memoryview) -> Transform:
    _exactly(body, "TRANSFORM", _MATRIX.size)
    return Transform(_unpack_matrix(_MATRIX.unpack(body)))


def _encode_position(content: Position) -> list[Piece]:
    return [_packed(struct.Struct(">7f"), *content.position, *content.quaternion)]


def _decode_position(body: memoryview) -> Position:
    _exactly(body, "POSITION", 28, 24, 12)
    numbers = struct.unpack(f">{len(body) // 4}f", body)
    x, y, z = numbers[:3]
    if len(numbers) == 3:
        return Position((x, y, z))
    i, j, k = numbers[3:6]
    w = numbers[6] if len(numbers) == 7 else max(0.0, 1.0 - i * i - j * j - k * k) ** 0.5
    return Position((x, y, z), (i, j, k, w))


# IMAGE (v2_image)


def _encode_image(content: Image) -> list[Piece]:
    voxels = content.voxels
    code = _scalar_code(voxels, "an IMAGE")
    if code == _COMPLEX or content.components > _U8 or max(content.whole_size) > _U16:
        raise OpenIGTLinkError(
            "These voxels do not fit into an IMAGE.",
            expected="real numbers, at most 255 components and 65535 voxels on a side",
            got=f"{voxels.dtype} {voxels.shape}",
        )
    if content.frame not in _FRAMES.values():
        raise OpenIGTLinkError("An IMAGE is in one of two frames.", expected="RAS or LPS", got=repr(content.frame))
    swapped = not voxels.dtype.isnative
    centre = content.matrix[:3, :3] @ ((np.array(content.whole_size) - 1) / 2) + content.matrix[:3, 3]
    head = _packed(
        _IMAGE,
        1,
        content.components,
        code,
        _BIG + _LITTLE - _NATIVE if swapped else _NATIVE,
        1 if content.frame == "RAS" else 2,
        *content.whole_size,
        *content.matrix[:3, :3].T.ravel().tolist(),
        *centre.tolist(),
        *content.offset,
        *content.part_size,
    )
    return [head, _bytes_of(voxels)]


def _decode_image(body: memoryview) -> Image:
    if len(body) < IMAGE_HEAD_BYTES:
        raise _wrong_size("IMAGE", f"at least {IMAGE_HEAD_BYTES}", body)
    version, components, code, endian, coordinates, *rest = _IMAGE.unpack_from(body)
    size, numbers, offset, part = rest[:3], rest[3:15], rest[15:18], rest[18:21]
    dtype = _SCALARS.get(code)
    if version != 1 or not components or dtype is None or code == _COMPLEX or endian not in (_BIG, _LITTLE):
        raise OpenIGTLinkError(
            "An IMAGE of a kind that there is not.",
            expected="version 1, at least one component, a type of numbers, endian 1 or 2",
            got=f"version {version}, {components} components, type {code}, endian {endian}",
        )
    if coordinates not in _FRAMES:
        raise OpenIGTLinkError(
            "The coordinates of an IMAGE are in no frame.", expected="1 (RAS) or 2 (LPS)", got=str(coordinates)
        )
    count = part[0] * part[1] * part[2] * components
    _exactly(body, "IMAGE", IMAGE_HEAD_BYTES + count * dtype.itemsize)
    voxels = _array(body[IMAGE_HEAD_BYTES:], dtype, endian)
    shape = (part[2], part[1], part[0], components) if components > 1 else (part[2], part[1], part[0])
    matrix = _unpack_matrix(numbers).copy()
    # The message has the centre of the whole image; the matrix wants the centre of its first voxel.
    matrix[:3, 3] -= matrix[:3, :3] @ ((np.array(size) - 1) / 2)
    return Image(
        voxels.reshape(shape),
        matrix,
        _FRAMES[coordinates],
        (size[0], size[1], size[2]),
        (offset[0], offset[1], offset[2]),
    )


# NDARRAY (v2_ndarray)


def _encode_ndarray(content: NDArray) -> list[Piece]:
    array = content.array
    code = _scalar_code(array, "an NDARRAY")
    if array.ndim > _U8 or any(size > _U16 for size in array.shape):
        raise OpenIGTLinkError(
            "This array does not fit into an NDARRAY.", expected="at most 65535 on a side", got=str(array.shape)
        )
    head = struct.pack(f">BB{array.ndim}H", code, array.ndim, *array.shape)
    return [head, _bytes_of(array.astype(array.dtype.newbyteorder(">"), copy=False))]


def _decode_ndarray(body: memoryview) -> NDArray:
    if len(body) < 2:
        raise _wrong_size("NDARRAY", "at least 2", body)
    code, dimensions = body[0], body[1]
    dtype = _SCALARS.get(code)
    if dtype is None or dimensions > _MOST_DIMENSIONS:
        raise OpenIGTLinkError(
            "An NDARRAY of a kind that there is not.",
            expected=f"a type of numbers, at most {_MOST_DIMENSIONS} dimensions",
            got=f"type {code}, {dimensions} dimensions",
        )
    start = 2 + 2 * dimensions
    if len(body) < start:
        raise _wrong_size("NDARRAY", f"at least {start}", body)
    shape = struct.unpack_from(f">{dimensions}H", body, 2)
    count = 1
    for size in shape:
        count *= size
    _exactly(body, "NDARRAY", start + count * dtype.itemsize)
    return NDArray(_array(body[start:], dtype, _BIG).reshape(shape))


# STRING and STATUS (v2_string, v2_status)


def _encode_string(content: String) -> list[Piece]:
    encoding, raw = text_bytes(content.text, content.encoding, "text of a STRING")
    if len(raw) > _U16:
        raise OpenIGTLinkError(
            "The text of a STRING is too long.",
            expected="at most 65535 bytes",
            got=str(len(raw)),
            hint="Send it in parts, or as a COMMAND.",
        )
    return [_STRING.pack(encoding, len(raw)) + raw]


def _decode_string(body: memoryview) -> String:
    if len(body) < _STRING.size:
        raise _wrong_size("STRING", f"at least {_STRING.size}", body)
    encoding, length = _STRING.unpack_from(body)
    _exactly(body, "STRING", _STRING.size + length)
    return String(*text_of(bytes(body[_STRING.size :]), encoding, "text of a STRING"))


def _encode_status(content: Status) -> list[Piece]:
    name = name_bytes(content.name, _NAME_BYTES, "name of a STATUS")
    text = name_bytes(content.text, MAX_STATUS_BYTES - 1, "text of a STATUS")
    # The C++ library reads the text up to a zero.
    return [_packed(_STATUS, content.code, content.subcode, name) + text + b"\0"]


def _decode_status(body: memoryview) -> Status:
    if len(body) < _STATUS.size:
        raise _wrong_size("STATUS", f"at least {_STATUS.size}", body)
    code, subcode, name = _STATUS.unpack_from(body)
    return Status(code, subcode, name_of(name), name_of(bytes(body[_STATUS.size :])))


# POINT and TDATA (v2_point, v2_tdata)


def _encode_points(content: Points) -> list[Piece]:
    _at_most(len(content.points), MAX_POINTS, "points of a POINT")
    return [b"".join(_encode_point(point) for point in content.points)]


def _encode_point(point: Point) -> bytes:
    return _packed(
        _POINT,
        name_bytes(point.name, 64, "name of a point"),
        name_bytes(point.group, 32, "group of a point"),
        *point.rgba,
        *point.position,
        point.diameter,
        name_bytes(point.owner, _NAME_BYTES, "owner of a point"),
    )


def _decode_points(body: memoryview) -> Points:
    _whole(body, "POINT", _POINT.size, MAX_POINTS)
    return Points(
        tuple(
            Point(name_of(name), (x, y, z), name_of(group), (r, g, b, a), diameter, name_of(owner))
            for name, group, r, g, b, a, x, y, z, diameter, owner in _POINT.iter_unpack(body)
        )
    )


def _encode_tracking(content: Tracking) -> list[Piece]:
    _at_most(len(content.tools), MAX_TOOLS, "tools of a TDATA")
    return [
        b"".join(
            _packed(_TOOL, name_bytes(tool.name, _NAME_BYTES, "name of a tool"), tool.kind, *_pack_matrix(tool.matrix))
            for tool in content.tools
        )
    ]


def _decode_tracking(body: memoryview) -> Tracking:
    _whole(body, "TDATA", _TOOL.size, MAX_TOOLS)
    return Tracking(
        tuple(Tool(name_of(name), _unpack_matrix(numbers), kind) for name, kind, *numbers in _TOOL.iter_unpack(body))
    )


# SENSOR, COMMAND, CAPABILITY (v2_sensor, v3_command, v2_capability)


def _encode_sensor(content: Sensor) -> list[Piece]:
    _at_most(len(content.values), _U8, "values of a SENSOR")
    return [
        _packed(_SENSOR, len(content.values), content.status, content.unit) + content.values.astype(">f8").tobytes()
    ]


def _decode_sensor(body: memoryview) -> Sensor:
    if len(body) < _SENSOR.size:
        raise _wrong_size("SENSOR", f"at least {_SENSOR.size}", body)
    count, status, unit = _SENSOR.unpack_from(body)
    _exactly(body, "SENSOR", _SENSOR.size + 8 * count)
    return Sensor(np.frombuffer(body, ">f8", count, _SENSOR.size).astype(np.float64), unit, status)


def _encode_command(content: Command) -> list[Piece]:
    encoding, raw = text_bytes(content.text, content.encoding, "text of a COMMAND")
    _at_most(len(raw), MAX_COMMAND_BYTES, "bytes of a COMMAND")
    return [_packed(_COMMAND, content.id, name_bytes(content.name, 128, "name of a COMMAND"), encoding, len(raw)) + raw]


def _decode_command(body: memoryview) -> Command:
    if len(body) < _COMMAND.size:
        raise _wrong_size("COMMAND", f"at least {_COMMAND.size}", body)
    number, name, encoding, length = _COMMAND.unpack_from(body)
    _exactly(body, "COMMAND", _COMMAND.size + length)
    return Command(number, name_of(name), *text_of(bytes(body[_COMMAND.size :]), encoding, "text of a COMMAND"))


def _encode_capability(content: Capability) -> list[Piece]:
    _at_most(len(content.types), MAX_TYPES, "types of a CAPABILITY")
    return [b"".join(name_bytes(name, TYPE_BYTES, "type").ljust(TYPE_BYTES, b"\0") for name in content.types)]


def _decode_capability(body: memoryview) -> Capability:
    _whole(body, "CAPABILITY", TYPE_BYTES, MAX_TYPES)
    return Capability(tuple(name_of(bytes(body[at : at + TYPE_BYTES])) for at in range(0, len(body), TYPE_BYTES)))


# Queries and what answers them


def _encode_start(content: StartStream) -> list[Piece]:
    return [_packed(_START, content.interval, name_bytes(content.coordinates, 32, "coordinate system"))]


def _encode_reply(content: Reply) -> list[Piece]:
    return [_packed(struct.Struct(">B"), content.status)]


def _decode_query(verb: str, subject: str, body: memoryview) -> Content | None:
    if verb == "RTS":
        if subject == "COMMAND":
            return _decode_command(body)
        _exactly(body, f"RTS_{subject}", 1)
        return Reply(body[0])
    if verb == "STT" and len(body) == _START.size:
        interval, coordinates = _START.unpack(body)
        return StartStream(interval, name_of(coordinates))
    if verb == "STT" and subject == "TDATA" and len(body):
        raise _wrong_size("STT_TDATA", str(_START.size), body)
    return None  # what other queries bring along says nothing of where the answer goes


_ENCODERS: dict[type, Callable[[Any], list[Piece]]] = {
    Capability: _encode_capability,
    Command: _encode_command,
    Image: _encode_image,
    NDArray: _encode_ndarray,
    Points: _encode_points,
    PolyData: lambda content: [encode_polydata(content)],
    Position: _encode_position,
    Reply: _encode_reply,
    Sensor: _encode_sensor,
    StartStream: _encode_start,
    Status: _encode_status,
    String: _encode_string,
    Tracking: _encode_tracking,
    Transform: _encode_transform,
}

_DECODERS: dict[str, Callable[[memoryview], Content]] = {
    "CAPABILITY": _decode_capability,
    "COMMAND": _decode_command,
    "IMAGE": _decode_image,
    "NDARRAY": _decode_ndarray,
    "POINT": _decode_points,
    "POLYDATA": decode_polydata,
    "POSITION": _decode_position,
    "SENSOR": _decode_sensor,
    "STATUS": _decode_status,
    "STRING": _decode_string,
    "TDATA": _decode_tracking,
    "TRANSFORM": _decode_transform,
}

#: Bytes of content that a type has at most; types that are not here are limited by the whole message alone.
_LARGEST = {
    "CAPABILITY": MAX_TYPES * TYPE_BYTES,
    "COMMAND": _COMMAND.size + MAX_COMMAND_BYTES,
    "POINT": MAX_POINTS * _POINT.size,
    "POLYDATA": MAX_POLYDATA_BYTES,
    "POSITION": 28,
    "SENSOR": _SENSOR.size + 8 * _U8,
    "STATUS": _STATUS.size + MAX_STATUS_BYTES,
    "STRING": _STRING.size + _U16,
    "TDATA": MAX_TOOLS * _TOOL.size,
    "TRANSFORM": _MATRIX.size,
}


def encode_content(content: Content) -> list[Piece]:
    """The content's bytes in pieces; voxels and big-endian arrays are views of what they are, not copies.

    Raises:
        OpenIGTLinkError: something does not fit into the type's fields.
    """
    return _ENCODERS[type(content)](content)


def decode_content(verb: str, subject: str, body: memoryview) -> Content | None:
    """What the bytes of a content say; None where there are none, and in a query.

    Args:
        verb: "GET", "STT", "STP", "RTS" or "".
        subject: the type without its verb, in full; one of `slicer_notebook.igtl.message.TYPES` where there is no verb.
        body: the content. Arrays of IMAGE and NDARRAY are views of it (`keeps_body`), their bytes turned around in
            place where their order is not the machine's; everything else is copied.

    Raises:
        OpenIGTLinkError: they are no content of that type.
    """
    if verb:
        return _decode_query(verb, subject, body)
    return _DECODERS[subject](body) if len(body) else None


def keeps_body(subject: str) -> bool:
    """Whether a decoded content of that type looks at the bytes it was made of, and may change them."""
    return subject in ("IMAGE", "NDARRAY")


def largest_content(verb: str, subject: str) -> int | None:
    """The most bytes that a content of that type may have; None: as many as a message."""
    if verb and not (verb == "RTS" and subject == "COMMAND"):
        return MAX_QUERY_BYTES
    return _LARGEST.get(subject)


def _packed(form: struct.Struct, *values: Any) -> bytes:
    try:
        return form.pack(*values)
    except (struct.error, OverflowError, TypeError) as error:
        raise OpenIGTLinkError("A number does not fit into its field.", got=str(error)) from error


def _scalar_code(array: npt.NDArray[Any], what: str) -> int:
    code = _SCALAR_OF.get(array.dtype.newbyteorder("="))
    if code is None:
        raise OpenIGTLinkError(
            f"Numbers of this type do not go into {what}.",
            expected=", ".join(str(dtype) for dtype in _SCALARS.values()),
            got=str(array.dtype),
            hint="Convert the array with .astype(...).",
        )
    return code


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data if flat.size else memoryview(b"")


def _array(body: memoryview, dtype: np.dtype[Any], endian: int) -> npt.NDArray[Any]:
    array = np.frombuffer(body, dtype)
    if endian != _NATIVE and dtype.itemsize > 1:
        if array.flags.writeable:
            array.byteswap(inplace=True)
        else:
            array = array.byteswap()
    return array


def _exactly(body: memoryview, type_: str, *sizes: int) -> None:
    if len(body) not in sizes:
        raise _wrong_size(type_, " or ".join(str(size) for size in sizes), body)


def _whole(body: memoryview, type_: str, size: int, most: int) -> None:
    if len(body) % size:
        raise _wrong_size(type_, f"a multiple of {size}", body)
    _at_most(len(body) // size, most, f"parts of a {type_}")


def _at_most(count: int, most: int, what: str) -> None:
    if count > most:
        raise OpenIGTLinkError(f"Too many {what}.", expected=f"at most {most}", got=str(count))


def _wrong_size(type_: str, expected: str, body: memoryview) -> OpenIGTLinkError:
    return OpenIGTLinkError(
        f"The content of a {type_} has the wrong size.", expected=f"{expected} bytes", got=str(len(body))
    )
