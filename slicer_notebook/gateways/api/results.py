"""Results as they go out: JSON, arrays as ``.npy`` or raw bytes, pictures and files as they are."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import numpy as np
from starlette.responses import Response, StreamingResponse

from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.api.failures import HttpError
from slicer_notebook.gateways.media import MediaRange, choose
from slicer_notebook.protocol.values import Array, NodeRef, check_array, printable

__all__ = ["JSON", "NPY", "OCTETS", "answer", "json_of", "media_of", "nbytes_of", "settled"]

JSON: Final = "application/json"
NPY: Final = "application/x-npy"
OCTETS: Final = "application/octet-stream"
#: Values of arrays in one JSON answer: 20 MB of text, which takes a second to make.
MOST_VALUES: Final = 1_000_000
#: Bytes of an array that go out at once.
CHUNK: Final = 1 << 20
#: Longer lists hold plain records, and no arrays.
_SETTLED: Final = 1000
#: Parts of a list that are looked at for its size.
_LOOKED_AT: Final = 20
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_MAGIC: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


def media_of(data: bytes) -> str:
    """The media type of bytes that are a picture or a DICOM file."""
    if data[128:132] == b"DICM":
        return "application/dicom"
    return next((media for magic, media in _MAGIC if data.startswith(magic)), OCTETS)


def nbytes_of(value: Any) -> int:
    """Bytes that a result takes, about: of what is long, by its first parts."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, bytes | bytearray | str):
        return 64 + len(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple) and value:
        return sum(map(nbytes_of, value[:_LOOKED_AT])) * len(value) // min(len(value), _LOOKED_AT)
    return 64


def settled(value: Any, ref: Callable[[Any], NodeRef]) -> Any:
    """A result that stays as it is: voxels that are the volume's own are whole, MRML nodes (of code) become references.

    On the thread that has run the command: nothing can change in between.

    Args:
        ref: gives the reference of a MRML node.
    """
    if isinstance(value, np.ndarray):
        return value if value.flags.owndata and value.flags.c_contiguous else np.array(value, order="C")
    if isinstance(value, dict) and len(value) <= _SETTLED:
        return {key: settled(each, ref) for key, each in value.items()}
    if isinstance(value, list | tuple) and len(value) <= _SETTLED:
        return [settled(each, ref) for each in value]
    if hasattr(value, "IsA") and value.IsA("vtkMRMLNode"):
        return ref(value)
    return value


class _Encoding:
    """One JSON answer."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def plain(self, value: Any) -> Any:
        """What msgspec does not know. Raises `TypeError` for what has no plain form."""
        if isinstance(value, NodeRef):
            return {"id": value.id, "name": value.name, "classes": list(value.classes)}
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, complex):
            return [value.real, value.imag]
        for kind in (str, int, float):
            # Other libraries' kinds of text and number.
            if isinstance(value, kind):
                return kind(value)
        if hasattr(value, "__fspath__"):
            return str(value)
        raise TypeError(f"a {type(value).__name__}")

    def _array(self, array: Array) -> dict[str, Any]:
        self.left -= array.size
        if self.left < 0:
            raise HttpError(
                406,
                "The result is too large for JSON.",
                expected=f"arrays of {MOST_VALUES} values at most",
                hint=f"ask for it with Accept: {NPY}",
            )
        check_array(array)
        values = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
        return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values.tolist()}


def json_of(value: Any) -> bytes:
    """A result as JSON: node references as objects, arrays as ``{"dtype", "shape", "values"}``, bytes as
    ``{"base64"}``; numbers that are not finite as null.

    Raises:
        ArgumentError: a value that has no such form.
        HttpError: arrays that are too large for it.
    """
    try:
        return msgspec.json.encode(_with_bytes(value), enc_hook=_Encoding().plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(printable(_with_bytes(value)), enc_hook=_Encoding().plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise ArgumentError(
            "The result cannot be sent.", expected="plain data, arrays, nodes", got=str(exc) or type(exc).__name__
        ) from None


def _with_bytes(value: Any) -> Any:
    """Bytes as an object that says so: msgspec would make plain text of them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {key: _with_bytes(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_bytes(each) for each in value]
    return value


def answer(value: Any, ranges: list[MediaRange], status: int = 200) -> Response:
    """The answer in the form that the client takes; called on a thread, for it may take a while.

    An array is `NPY` unless JSON or raw bytes are asked for, bytes are themselves, all else is JSON.

    Raises:
        HttpError: no form that the client takes (406).
        ArgumentError: a value that cannot be sent.
    """
    if isinstance(value, np.ndarray):
        return _array(value, ranges, status)
    if isinstance(value, bytes):
        media = media_of(value)
        chosen = choose(ranges, (media, OCTETS, JSON))
        if chosen in (media, OCTETS):
            return Response(value, status, _HEADERS, media_type=chosen)
    else:
        chosen = choose(ranges, (JSON,))
    if chosen is None:
        raise HttpError(406, "The result has no such form.", expected=JSON)
    return Response(json_of(value), status, _HEADERS, media_type=JSON)


def _array(array: Array, ranges: list[MediaRange], status: int) -> Response:
    chosen = choose(ranges, (NPY, JSON, OCTETS))
    if chosen is None:
        raise HttpError(406, "An array has no such form.", expected=f"{NPY}, {OCTETS} or {JSON}")
    if chosen == JSON:
        return Response(json_of(array), status, _HEADERS, media_type=JSON)
    check_array(array)
    whole = np.ascontiguousarray(array)
    head = io.BytesIO()
    headers = dict(_HEADERS)
    if chosen == NPY:
        np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(whole))
    else:
        headers |= {"X-Dtype": whole.dtype.str, "X-Shape": ",".join(map(str, whole.shape))}
    headers["Content-Length"] = str(len(head.getvalue()) + whole.nbytes)
    return StreamingResponse(_pieces(head.getvalue(), whole), status, headers, media_type=chosen)


async def _pieces(head: bytes, array: Array) -> Any:
    if head:
        yield head
    for piece in _views(array):
        yield piece


def _views(array: Array) -> Iterator[memoryview]:
    if array.size:
        flat = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(flat), CHUNK):
            yield flat[start : start + CHUNK]
