"""Values of requests and replies: plain data, numpy arrays and node references, to and from MessagePack.

Beyond what MessagePack knows, an extension type each for arrays and for MRML node references. An array's bytes are
never inside the MessagePack: the extension holds an `ArrayHeader` that says where they are.
"""

from __future__ import annotations

import math
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from slicer_notebook import errors
from slicer_notebook.protocol.messages import Message

Array = np.ndarray[Any, np.dtype[Any]]

#: What encoding a value can raise: a type without a plain form, a dtype, an integer beyond 64 bits, text that is no
#: Unicode (a lone surrogate), a list that holds itself.
UNSENDABLE = (TypeError, ValueError, OverflowError, RecursionError)

EXT_ARRAY = 1
EXT_NODE = 2

#: Arrays from this size on use shared memory on one machine, bytes. Below, a copy through the socket is quicker than
#: the two system calls that a mapping costs.
SHARE_FROM = 64 * 1024

#: Largest piece of an array in one message, bytes (see the design: small messages pass between chunks).
CHUNK_SIZE = 16 * 1024 * 1024


class NodeRef:
    """A MRML node, by reference: its id, its name when last seen, its classes.

    ``classes`` are the MRML class names from the node's own up to ``vtkMRMLNode``, so that the notebook end can choose
    a handle for a class that it never heard of. (Not a struct: msgspec would send a struct as a plain map.)
    """

    __slots__ = ("classes", "id", "name")

    def __init__(self, id: str, name: str = "", classes: tuple[str, ...] = ()) -> None:  # noqa: A002 - MRML's word
        self.id = id
        self.name = name
        self.classes = classes

    @property
    def class_name(self) -> str:
        """The node's MRML class name; empty when only the id is known."""
        return self.classes[0] if self.classes else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeRef) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"NodeRef({self.id!r}, {self.name!r}, {self.class_name!r})"


class SegmentRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a shared-memory segment is: ``name`` is understood by `slicer_notebook.protocol.shm`."""

    pid: int
    segment: int
    name: str
    size: int
    lease: int


class ArrayHeader(msgspec.Struct, frozen=True, array_like=True):
    """dtype, shape and whereabouts of an array's bytes (C order, native or given byte order)."""

    dtype: str
    shape: tuple[int, ...]
    buffer: int = -1
    """Index into the message's buffers, or -1."""
    transfer: int = -1
    """Number of a finished chunked transfer, or -1."""
    segment: SegmentRef | None = None
    offset: int = 0


#: Arrays from this size on are held against the free memory before they are copied, bytes: a copy of what does not
#: fit takes a minute to fail, or the machine with it.
_ASK_MEMORY_FROM = 1 << 32

#: Stores an array's bytes somewhere and says where; gets the buffers of the message under construction.
Store = Callable[[Array, list[Any]], ArrayHeader]
#: Finds the bytes again.
Fetch = Callable[[ArrayHeader, list[Any]], Array]

#: Kinds of numpy dtypes whose bytes mean the same on the other end.
_KINDS = "biufcSU"

_header_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(ArrayHeader)
_node_decoder = msgspec.msgpack.Decoder(tuple[str, str, tuple[str, ...]])
_ext_types = {EXT_ARRAY, EXT_NODE}


def memory_available() -> int:
    """Bytes that can be had without swapping (``MemAvailable`` of Linux); without limit where it cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 1 << 62


def check_array(array: Array) -> None:
    """Refuse what cannot be sent by bytes.

    Raises:
        ArrayError: object or structured dtype, a masked array, whose mask would be lost, or more than fits in memory.
    """
    if array.nbytes >= _ASK_MEMORY_FROM and array.nbytes > (available := memory_available()):
        raise errors.ArrayError(
            "The array is larger than the memory that is free.",
            expected=f"at most {available / 2**30:.1f} GiB",
            got=f"{array.nbytes / 2**30:.1f} GiB, shape {array.shape}, {array.dtype}",
        )
    if isinstance(array, np.ma.MaskedArray):
        raise errors.ArrayError(
            "A masked array cannot be sent: its mask would be lost.",
            expected="a plain array",
            got="numpy.ma.MaskedArray",
            hint="choose a value for what is masked: array.filled(0)",
        )
    if array.dtype.hasobject or array.dtype.kind not in _KINDS:
        raise errors.ArrayError(
            "An array of this dtype cannot be sent to or from Slicer.",
            expected="a numeric, boolean or fixed-width string dtype",
            got=f"dtype {array.dtype}",
            hint="convert it first, for example with array.astype(np.float32)",
        )


def store_in_buffer(array: Array, buffers: list[Any]) -> ArrayHeader:
    """The simplest `Store`: the bytes become one more buffer of the message."""
    check_array(array)
    contiguous = np.ascontiguousarray(array)
    buffers.append(contiguous.reshape(-1).view(np.uint8).data if contiguous.size else b"")
    return ArrayHeader(dtype=array.dtype.str, shape=array.shape, buffer=len(buffers) - 1)


def layout(header: ArrayHeader) -> tuple[np.dtype[Any], int]:
    """The dtype and the number of elements that a header speaks of.

    Raises:
        ValueError, TypeError: no array of bytes is like that.
    """
    dtype = np.dtype(header.dtype)
    if dtype.kind not in _KINDS or dtype.itemsize == 0 or min(header.shape, default=0) < 0:
        raise ValueError(f"an array of dtype {header.dtype!r} and shape {header.shape}")
    return dtype, math.prod(header.shape)


def array_from_bytes(header: ArrayHeader, data: Any) -> Array:
    """An array over ``data`` without a copy; read-only if ``data`` is.

    Raises:
        ProtocolError: they do not fit each other.
    """
    try:
        dtype, count = layout(header)
        size = memoryview(data).nbytes
        if size != count * dtype.itemsize:
            raise ValueError(f"{size} bytes for dtype {header.dtype!r} and shape {header.shape}")
        if count == 0:
            return np.empty(header.shape, dtype=dtype)
        return np.frombuffer(data, dtype=dtype).reshape(header.shape)
    except (ValueError, TypeError, OverflowError) as exc:
        raise errors.ProtocolError("An array does not fit its bytes.", got=str(exc)) from exc


def fetch_from_buffer(header: ArrayHeader, buffers: list[Any]) -> Array:
    """The counterpart of `store_in_buffer`.

    Raises:
        ProtocolError: the header speaks of a buffer that did not come.
    """
    if not 0 <= header.buffer < len(buffers):
        raise errors.ProtocolError(
            "A message speaks of an array that did not come with it.",
            expected=f"buffer {header.buffer}",
            got=f"{len(buffers)} buffers",
        )
    return array_from_bytes(header, buffers[header.buffer]).copy()


def no_array(header: ArrayHeader, _buffers: list[Any]) -> Any:
    """A `Fetch` that looks for nothing: for the rest of a message whose arrays cannot be had. The header."""
    return header


def _plain(value: Any) -> Any:
    """What numpy, pathlib and sets become; TypeError for what has no plain form."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    for plain in (str, int, float):
        # Other libraries' kinds of text and number: pydicom's UID, DSfloat and IS.
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent; plain data, numpy arrays and nodes can")


def encode(
    message: Message,
    *,
    store: Store = store_in_buffer,
    other: Callable[[Any], Any] | None = None,
) -> list[Any]:
    """The buffers of a comm message: MessagePack first, array bytes behind.

    Args:
        message: one of the structs of `slicer_notebook.protocol.messages`.
        store: where the bytes of arrays go.
        other: turns what is not plain (a VTK node, a handle) into something that is; returns ``None`` for what it
            does not know.

    Raises:
        TypeError: a value that has no plain form.
        ArrayError: an array whose dtype cannot be sent.
    """
    buffers: list[Any] = [b""]

    def hook(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return msgspec.msgpack.Ext(EXT_ARRAY, _header_encoder.encode(store(value, buffers)))
        replaced = value if isinstance(value, NodeRef) or other is None else other(value)
        if isinstance(replaced, NodeRef):
            return msgspec.msgpack.Ext(EXT_NODE, _header_encoder.encode((replaced.id, replaced.name, replaced.classes)))
        if replaced is not None and replaced is not value:
            return replaced
        return _plain(value)

    buffers[0] = msgspec.msgpack.Encoder(enc_hook=hook).encode(message)
    return buffers


class _Decoding(threading.local):
    """A thread's decoder. Making one takes longer (24 us) than all else of a small message's decoding (2 us)."""

    def __init__(self) -> None:
        self.context: tuple[list[Any], Fetch, Callable[[NodeRef], Any] | None] = ([], fetch_from_buffer, None)
        self.decoder = msgspec.msgpack.Decoder(Message, ext_hook=self._ext)

    def _ext(self, code: int, data: memoryview) -> Any:
        buffers, fetch, node = self.context
        if code == EXT_ARRAY:
            return fetch(_header_decoder.decode(data), buffers)
        if code == EXT_NODE:
            ref = NodeRef(*_node_decoder.decode(data))
            return ref if node is None else node(ref)
        raise errors.ProtocolError("An unknown kind of value came.", expected=f"one of {_ext_types}", got=str(code))


_decoding = _Decoding()


def decode(
    buffers: list[Any],
    *,
    fetch: Fetch = fetch_from_buffer,
    node: Callable[[NodeRef], Any] | None = None,
) -> Message:
    """The message in ``buffers``.

    Raises:
        ProtocolError: not a message of this protocol.
    """

    if not buffers:
        raise errors.ProtocolError("An empty message came.", expected="a MessagePack buffer", got="no buffer")
    former = _decoding.context
    _decoding.context = (buffers, fetch, node)
    try:
        message: Message = _decoding.decoder.decode(buffers[0])
    except errors.SlicerNotebookError:
        raise
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError, OverflowError) as exc:
        raise errors.ProtocolError(
            "A message could not be read; the two ends may be of different versions.", got=str(exc)
        ) from exc
    finally:
        _decoding.context = former
    return message


def printable(value: Any) -> Any:
    """A struct, dict, list or text with every lone surrogate written as an escape: an error must always arrive."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: printable(getattr(value, name)) for name in value.__struct_fields__})
    return value


def error_info(error: BaseException, *, traceback: str | None = None) -> dict[str, Any]:
    """The fields of an `ErrorInfo` for ``error``; foreign exceptions become a `CommandError`."""
    if isinstance(error, errors.SlicerNotebookError):
        return {
            "type": type(error).__name__,
            "message": error.message,
            "expected": error.expected,
            "got": error.got,
            "hint": error.hint,
            "details": error.details,
            "traceback": error.remote_traceback or traceback,
            "vtk_errors": error.vtk_errors,
        }
    return {
        "type": "CommandError",
        "message": f"{type(error).__name__}: {error}",
        "details": {"type": type(error).__name__},
        "traceback": traceback,
    }
