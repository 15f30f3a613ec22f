"""Arguments as they come: a JSON object, or ``multipart/form-data`` with arrays as ``.npy`` parts."""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import numpy as np

from slicer_notebook.commands.registry import Command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.api.failures import HttpError
from slicer_notebook.gateways.api.results import JSON, NPY
from slicer_notebook.pacs.dicomweb.multipart import (
    MultipartError,
    Parser,
    PartBegins,
    PartData,
    PartEnds,
    parse_content_type,
)
from slicer_notebook.protocol.values import Array, NodeRef, memory_available

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = [
    "FORM",
    "MOST_JSON",
    "array_of_npy",
    "converted",
    "from_json",
    "lax",
    "read_array",
    "read_body",
    "read_whole",
]

FORM: Final = "multipart/form-data"
#: Bytes of JSON in one request: a hundred thousand points with 15 digits each are 6 MB.
MOST_JSON: Final = 16 << 20
#: Arrays and objects inside one another; nothing that a command takes has ten.
DEEPEST: Final = 64
#: Bytes of an array from which on it is held against the free memory.
_ASK_MEMORY_FROM: Final = 1 << 28
#: Whole numbers are below it, and not below its negative.
_LARGEST: Final = 1 << 63
#: Parts of a form: more than a command has arguments.
_MOST_PARTS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MAGIC: Final = b"\x93NUMPY"
#: Bytes of a .npy header: a dtype, a flag, a shape.
_MOST_HEADER: Final = 4096
#: Kinds of NumPy's types that a volume or a list of points can have.
_KINDS: Final = "biufc"


# -- bodies -----------------------------------------------------------------------------------------------------------


async def read_body(request: Request, command: Command) -> dict[str, Any]:
    """The arguments of a request, not yet checked against the command's types.

    Raises:
        HttpError: another media type (415), too large (413), or what is no JSON, no form (400).
        ArgumentError: an array that is none.
    """
    kind, parameters = parse_content_type(request.headers.get("content-type", ""))
    if kind == JSON or kind.endswith("+json"):
        return from_json(await _limited(request, MOST_JSON))
    if kind == FORM:
        return await _form(request, parameters.get("boundary"), command)
    body = await _limited(request, 0)
    if not body and not kind:
        return {}
    raise HttpError(
        415, "The arguments are of no type that is known.", expected=f"{JSON} or {FORM}", got=kind or "none"
    )


async def _limited(request: Request, most: int) -> bytes:
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > most:
            if most == 0:
                return bytes(held)
            raise HttpError(
                413,
                "The arguments are too long for JSON.",
                expected=f"{most} bytes at most",
                hint=f"send arrays as {FORM}",
            )
    return bytes(held)


def from_json(body: bytes) -> dict[str, Any]:
    """An object of arguments; {} of an empty body.

    Raises:
        HttpError: not an object in JSON.
    """
    if not body.strip():
        return {}
    value = _decoded(body)
    if not isinstance(value, dict):
        raise HttpError(400, "The arguments are no JSON object.", expected="{...}", got=type(value).__name__)
    return value


def _decoded(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise HttpError(400, "That is no JSON.", got=str(exc)[:200]) from None
    _check_values(value)
    return value


def _check_values(value: Any) -> None:
    """Raises `HttpError` for what is nested too deep, and for whole numbers that neither Slicer nor SQLite can hold."""
    level = [value]
    for _ in range(DEEPEST):
        inside = [
            inner
            for each in level
            if isinstance(each, list | dict)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if any(type(each) is int and not -_LARGEST <= each < _LARGEST for each in inside):
            raise HttpError(422, "A number is too large.", expected="whole numbers of 64 bits")
        level = [each for each in inside if isinstance(each, list | dict)]
        if not level:
            return
    raise HttpError(400, "The arguments are nested too deep.", expected=f"{DEEPEST} levels at most")


async def _form(request: Request, boundary: str | None, command: Command) -> dict[str, Any]:
    if not boundary:
        raise HttpError(400, "The form names no boundary.")
    parser, found = Parser(boundary, trust_lengths=False), _Form(command)
    try:
        async for chunk in request.stream():
            for event in parser.feed(chunk):
                if isinstance(event, PartBegins):
                    found.begin(event.headers)
                elif isinstance(event, PartData):
                    found.data(event.data)
                elif isinstance(event, PartEnds):
                    found.end()
        parser.close()
    except MultipartError as exc:
        raise HttpError(400, "That is no form.", got=str(exc)) from None
    return found.arguments


async def read_whole(request: Request) -> Any:
    """A body that is one argument: a ``.npy`` file, or JSON.

    Raises:
        HttpError: another media type (415), too large (413), or no JSON (400).
        ArgumentError: an array that is none.
    """
    kind = parse_content_type(request.headers.get("content-type", "")).type
    if kind == JSON:
        return _decoded(await _limited(request, MOST_JSON))
    if kind not in (NPY, "application/octet-stream"):
        raise HttpError(415, "The body is of no type that is known.", expected=f"{NPY} or {JSON}", got=kind or "none")
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        _check_room(held)
    return array_of_npy(held)


def _check_room(held: bytearray) -> None:
    if len(held) > _ASK_MEMORY_FROM and 2 * len(held) > memory_available():
        raise HttpError(413, "The array is larger than the memory that is free.")


class _Form:
    """A form as its parts come."""

    def __init__(self, command: Command) -> None:
        self.arguments: dict[str, Any] = {}
        self._command = command
        self._name = ""
        self._kind = ""
        self._held = bytearray()
        self._parts = 0

    def begin(self, headers: dict[str, str]) -> None:
        disposition = parse_content_type(headers.get("content-disposition", "")).parameters
        self._name = disposition.get("name", "")
        self._parts += 1
        if not _NAME.fullmatch(self._name) or self._parts > _MOST_PARTS:
            raise HttpError(400, "A part of the form is no argument.", expected="parts named as the arguments")
        kind = parse_content_type(headers.get("content-type", "text/plain")).type
        is_file = disposition.get("filename", "").lower().endswith(".npy") or kind in ("application/octet-stream", NPY)
        self._kind = NPY if is_file else kind
        self._held = bytearray()

    def data(self, data: memoryview) -> None:
        if self._kind != NPY and len(self._held) + len(data) > MOST_JSON:
            raise HttpError(413, "A part of the form is too long.", expected=f"{MOST_JSON} bytes, or an array as .npy")
        self._held += data
        _check_room(self._held)

    def end(self) -> None:
        if self._kind == NPY:
            self._put(self._name, array_of_npy(self._held))
        elif self._name == "arguments" and self._kind == JSON:
            for name, value in from_json(bytes(self._held)).items():
                self._put(name, value)
        elif self._kind == JSON:
            self._put(self._name, _decoded(bytes(self._held)))
        else:
            try:
                text = self._held.decode("utf-8")
            except UnicodeDecodeError:
                raise HttpError(400, "A part of the form is no UTF-8.", got=self._name) from None
            self._put(self._name, lax(self._command, self._name, text))
        self._held = bytearray()

    def _put(self, name: str, value: Any) -> None:
        if name in self.arguments:
            raise HttpError(400, "An argument comes twice.", got=name)
        self.arguments[name] = value


# -- arrays -----------------------------------------------------------------------------------------------------------


def array_of_npy(data: bytes | bytearray) -> Array:
    """The array of a ``.npy`` file (NumPy format 1.0 to 3.0) over its own bytes; it can be written to if these can.

    Raises:
        ArgumentError: no such file, objects in it, or bytes that lack.
    """
    if bytes(data[:6]) != _MAGIC:
        raise ArgumentError("That is no array.", expected="a .npy file", got="other bytes")
    head = io.BytesIO(bytes(data[: _MOST_HEADER + 16]))
    try:
        version = np.lib.format.read_magic(head)
        reader = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
        shape, fortran, dtype = reader(head, max_header_size=_MOST_HEADER)
        if dtype.kind not in _KINDS or dtype.hasobject or any(edge < 0 for edge in shape):
            raise ValueError(f"dtype {dtype}")
        count = math.prod(shape)
        if len(data) - head.tell() != count * dtype.itemsize:
            raise ValueError(f"{len(data) - head.tell()} bytes for shape {shape}, {dtype}")
        flat = np.frombuffer(data, dtype, count, head.tell()) if count else np.empty(0, dtype)
        array = flat.reshape(shape, order="F" if fortran else "C")
    # A damaged header raises whatever Python's parser and NumPy make of it.
    except Exception as exc:  # noqa: BLE001
        raise ArgumentError("That is no array.", expected="a .npy file of numbers", got=str(exc)[:200]) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def read_array(name: str, value: Any) -> Array:
    """An array from JSON: nested lists of numbers, or ``{"dtype", "shape", "values" or "base64"}``.

    Whole numbers in lists become the smallest of int16, int32 and int64 that holds them all: Slicer can neither reslice
    nor write volumes of int64.

    Raises:
        ArgumentError: neither.
    """
    expected = 'nested lists of numbers, or {"dtype", "shape", "values" or "base64"}'
    try:
        if isinstance(value, Mapping):
            return _described(value)
        if not isinstance(value, list):
            raise TypeError(type(value).__name__)
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"values of {array.dtype}")
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError, binascii.Error) as exc:
        raise ArgumentError(f"The argument {name!r} is no array.", expected=expected, got=str(exc)[:200]) from None
    return _narrow(array) if array.dtype.kind in "iu" and array.size else array


def _narrow(array: Array) -> Array:
    low, high = int(array.min()), int(array.max())
    fitting = (np.iinfo(kind) for kind in (np.int16, np.int32, np.int64))
    return array.astype(next((each.dtype for each in fitting if each.min <= low and high <= each.max), array.dtype))


def _described(value: Mapping[str, Any]) -> Array:
    dtype, shape = np.dtype(str(value["dtype"])), value["shape"]
    if dtype.kind not in _KINDS or dtype.itemsize > 16:
        raise TypeError(f"values of {dtype}")
    if (
        not isinstance(shape, list)
        or len(shape) > 8
        or not all(type(edge) is int and 0 <= edge < 1 << 40 for edge in shape)
    ):
        raise ValueError("the shape")
    if "base64" in value:
        data = bytearray(base64.b64decode(str(value["base64"]), validate=True))
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for this shape")
        array = np.frombuffer(data, dtype)
    else:
        array = np.asarray(value["values"], dtype).reshape(-1)
        if array.size != math.prod(shape):
            raise ValueError(f"{array.size} values for this shape")
    array = array.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


# -- types ------------------------------------------------------------------------------------------------------------


def converted(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with arrays and nodes in place of what stands for them in JSON; the rest is checked by the command.

    Raises:
        ArgumentError: an array or a node that is none.
    """
    return {name: _converted(command.types.get(name, Any), name, value) for name, value in given.items()}


def _converted(wanted: Any, name: str, value: Any) -> Any:
    kinds = _kinds_of(wanted)
    if np.ndarray in kinds and value is not None and not isinstance(value, np.ndarray):
        return read_array(name, value)
    if NodeRef in kinds and isinstance(value, Mapping):
        node = value.get("id")
        if not isinstance(node, str):
            raise ArgumentError(f"The argument {name!r} is no node.", expected='an id or name, or {"id": ...}')
        return node
    if wanted is Any and isinstance(value, Mapping) and {"dtype", "shape"} <= value.keys():
        return read_array(name, value)
    return value


def _kinds_of(wanted: Any) -> set[Any]:
    """The classes that a type allows: of a union, all of them."""
    found = set()
    for each in get_args(wanted) or (wanted,):
        found.add(getattr(each, "__origin__", None) or each)
    return found | {getattr(wanted, "__origin__", None) or wanted}


def lax(command: Command, name: str, text: str) -> Any:
    """An argument from a URL's query or a form's field: text, read as the type that the command wants.

    Raises:
        ArgumentError: it cannot be.
    """
    wanted = command.types.get(name, Any)
    if wanted is Any or np.ndarray in _kinds_of(wanted):
        return _decoded_or_text(text)
    if str in _kinds_of(wanted):
        return text
    try:
        return msgspec.convert(text, wanted, strict=False)
    except (msgspec.ValidationError, TypeError):
        return _decoded_or_text(text)


def _decoded_or_text(text: str) -> Any:
    try:
        return _decoded(text.encode())
    except HttpError:
        return text
