"""NRRD, the format that volumes have on SlicerWeb's ``/volume``: bytes in, voxels out, and back. No file is opened.

A reader takes the bytes as they come and puts them straight into the voxels' own memory. It takes raw, gzip, bzip2,
ascii and hex values of either byte order; what it refuses is in `nrrd_header`.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from slicer_notebook.errors import FileFormatError
from slicer_notebook.protocol.nrrd_header import MAX_HEADER, Header, bad, end_of_header, parse
from slicer_notebook.protocol.values import Array

__all__ = ["MAX_BYTES", "Nrrd", "Reader", "chunks", "header", "read"]

#: Bytes of a file's values: 4 GiB is a CT of 8,000 slices.
MAX_BYTES: Final = 4 * 1024**3
#: Bytes of a file's values per byte that came, at most: deflate makes 1,032 out of one, and bzip2 more only of blanks.
MAX_EXPANSION: Final = 1100
#: Bytes that are decompressed, or handed out, at a time.
_PIECE: Final = 1024 * 1024
_SMALL_PIECE: Final = 4096
#: Characters that a number in an ascii file has, with its blank.
_MAX_WORD: Final = 64
#: Lines and bytes that may be skipped before the values.
_MAX_SKIP: Final = MAX_HEADER

Kind = Literal["scalar", "vector", "colour"]


@dataclass(frozen=True)
class Nrrd:
    """A volume, or a series of volumes.

    Attributes:
        voxels: [k, j, i], with the component as last axis for vectors and colours, the image as first axis for a
            series; native byte order, contiguous, writable.
        affine: IJK → RAS, float64 4x4, mm.
        kind: "scalar", "vector", "colour" (red, green, blue, and opacity).
        series: whether the first axis is one of images.
        header: all that the header says.
    """

    voxels: Array
    affine: Array
    kind: Kind
    series: bool
    header: Header


class _Filler:
    """The memory of the values, filled from the front."""

    def __init__(self, size: int) -> None:
        #: Touched as it is filled: a header that promises what does not come costs nothing.
        self.memory = np.empty(size, dtype=np.uint8)
        self._view = self.memory.data
        self.filled = 0

    def add(self, data: bytes | memoryview) -> None:
        """Append. Raises `FileFormatError` when more comes than there is room for."""
        end = self.filled + len(data)
        if end > len(self._view):
            raise bad("more values come than its sizes say.", f"{len(self._view)} bytes", f"{end} or more")
        self._view[self.filled : end] = data
        self.filled = end


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: Any, max_length: int, /) -> bytes: ...


class _Decoder:
    """Encoded bytes in, values out, into a `_Filler`."""

    def __init__(self, head: Header) -> None:
        self.head = head
        self.out = _Filler(head.nbytes)

    def add(self, data: memoryview) -> None:
        raise NotImplementedError

    def close(self) -> Array:
        """The values. Raises `FileFormatError` when some are missing."""
        if self.out.filled != self.head.nbytes:
            raise bad("it ends too early.", f"{self.head.nbytes} bytes of values", self.out.filled)
        return self.out.memory.view(self.head.dtype)


class _Raw(_Decoder):
    def __init__(self, head: Header) -> None:
        super().__init__(head)
        self._skip = head.byte_skip

    def add(self, data: memoryview) -> None:
        if self._skip > 0:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        self.out.add(data)


class _RawAtEnd(_Decoder):
    """``byte skip: -1``: whatever comes first, the values come last (NRRD, "byte skip")."""

    def __init__(self, head: Header) -> None:
        super().__init__(head)
        self._kept = bytearray()

    def add(self, data: memoryview) -> None:
        self._kept += data
        if len(self._kept) > self.head.nbytes + _MAX_SKIP:
            raise bad("too much comes before its values.", f"{_MAX_SKIP} bytes")

    def close(self) -> Array:
        surplus = len(self._kept) - self.head.nbytes
        if surplus >= 0:
            self.out.add(memoryview(self._kept)[surplus:])
        return super().close()


class _Compressed(_Decoder):
    """gzip or bzip2, a piece at a time, and never more than the header promised."""

    def __init__(self, head: Header) -> None:
        super().__init__(head)
        self._skip = head.byte_skip
        self._stream = self._new()
        self._streams = 1
        self._ended = False

    def _new(self) -> Any:
        return bz2.BZ2Decompressor() if self.head.encoding == "bzip2" else zlib.decompressobj(31)

    def _pieces(self, data: memoryview) -> Iterator[bytes]:
        rest: Any = data
        while True:
            try:
                piece = self._stream.decompress(rest, _PIECE)
            except (zlib.error, OSError, ValueError, EOFError) as exc:
                raise bad(f"its {self.head.encoding} is damaged.", got=exc) from None
            yield piece
            if self._stream.eof:
                return
            if isinstance(self._stream, bz2.BZ2Decompressor):
                rest = b""
                if self._stream.needs_input:
                    return
            else:
                rest = self._stream.unconsumed_tail
                # Output that is still inside comes out when the input is used up, too.
                if not rest and len(piece) < _PIECE:
                    return

    def add(self, data: memoryview) -> None:
        # What follows a stream is copied out of its input: in a file of many small ones the pieces are small.
        rest: Any = data
        while len(rest):
            size = _PIECE if self._streams == 1 else _SMALL_PIECE
            piece, rest = rest[:size], rest[size:]
            if self._ended:
                # A file may consist of several streams one after another (RFC 1952 2.2); zeros may pad the end.
                piece = bytes(piece).lstrip(b"\0")
                if not piece:
                    continue
                self._stream, self._ended = self._new(), False
                self._streams += 1
            self._decompress(memoryview(piece))
            if self._stream.eof:
                self._ended = True
                if self._stream.unused_data:
                    rest = data[len(data) - len(rest) - len(self._stream.unused_data) :]

    def _decompress(self, data: memoryview) -> None:
        for piece in self._pieces(data):
            part = memoryview(piece)
            if self._skip > 0:
                dropped = min(self._skip, len(part))
                self._skip -= dropped
                part = part[dropped:]
            self.out.add(part)

    def close(self) -> Array:
        if not self._ended and self.out.filled == self.head.nbytes:
            raise bad(f"its {self.head.encoding} ends too early.", "the end of the compressed stream", "none")
        return super().close()


class _Hex(_Decoder):
    def __init__(self, head: Header) -> None:
        super().__init__(head)
        self._odd = b""

    def add(self, data: memoryview) -> None:
        digits = self._odd + b"".join(bytes(data).split())
        whole = len(digits) & ~1
        self._odd = digits[whole:]
        try:
            self.out.add(bytes.fromhex(digits[:whole].decode("ascii")))
        except ValueError:  # UnicodeDecodeError too
            raise bad("its values are not hexadecimal.") from None

    def close(self) -> Array:
        if self._odd:
            raise bad("its values end in the middle of a byte.")
        return super().close()


class _Ascii(_Decoder):
    """Numbers in words. They are read a piece at a time, so that the words need no memory beside the values."""

    def __init__(self, head: Header) -> None:
        super().__init__(head)
        self._tail = b""

    def add(self, data: memoryview) -> None:
        text = self._tail + bytes(data)
        cut = max(text.rfind(blank) for blank in (b" ", b"\n", b"\t", b"\r", b","))
        if len(text) - cut > _MAX_WORD:
            raise bad("a value is too long a word.", f"{_MAX_WORD} characters", text[cut + 1 : cut + 33])
        self._tail = text[cut + 1 :]
        self._numbers(text[: cut + 1])

    def _numbers(self, text: bytes) -> None:
        words = text.replace(b",", b" ").split()
        if not words:
            return
        try:
            values = self._parsed(words)
        except (ValueError, OverflowError):
            raise bad("its values are no numbers of their type.", self.head.dtype.name, words[0]) from None
        self.out.add(values.tobytes())

    def _parsed(self, words: list[bytes]) -> Array:
        dtype = self.head.dtype
        if any(b"_" in word for word in words):  # Python's own spelling of numbers
            raise ValueError
        if dtype.kind == "f":
            with np.errstate(over="ignore"):  # what is too large for a float is infinite
                return np.array([float(word) for word in words], dtype=dtype)
        numbers = [int(word) for word in words]
        limits = np.iinfo(dtype)
        if min(numbers) < limits.min or max(numbers) > limits.max:
            raise OverflowError
        return np.array(numbers, dtype=dtype)

    def close(self) -> Array:
        self._numbers(self._tail)
        return super().close()


_DECODERS: Final[dict[str, type[_Decoder]]] = {
    "raw": _Raw, "gzip": _Compressed, "bzip2": _Compressed, "hex": _Hex, "ascii": _Ascii,
}  # fmt: skip


class Reader:
    """Reads a NRRD as its bytes come.

    Args:
        length: bytes of the whole file, where that is known: what promises more than can be in it is refused at once.
        max_bytes: bytes that the values may have.
    """

    def __init__(self, length: int | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._length = length
        self._max_bytes = max_bytes
        self._text = bytearray()
        self._lines = 0
        self._decoder: _Decoder | None = None
        self._skipped = 0
        #: What the header says, once it has come.
        self.header: Header | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises `FileFormatError`."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self._feed(view[start : start + _PIECE])

    def _feed(self, view: memoryview) -> None:
        if self._decoder is None:
            self._text += view
            end = end_of_header(self._text)
            if end is None:
                return
            self._begin(end)
            view = memoryview(bytes(self._text[end:]))
            self._text = bytearray()
        if self._lines:
            view = self._without_lines(view)
        if len(view):
            assert self._decoder is not None
            self._decoder.add(view)

    def _begin(self, end: int) -> None:
        head = self.header = parse(self._text[:end])
        if head.nbytes > self._max_bytes:
            raise bad("it is too large.", f"at most {self._max_bytes} bytes of values", head.nbytes)
        if max(head.line_skip, head.byte_skip) > _MAX_SKIP:
            raise bad("too much comes before its values.", f"at most {_MAX_SKIP} lines and bytes")
        if self._length is not None:
            most = (self._length - end) * (MAX_EXPANSION if head.encoding in ("gzip", "bzip2") else 1)
            if head.encoding == "bzip2":
                # Blanks shrink to nearly nothing there; the bound of memory is the one of all values.
                most = max(most, self._max_bytes)
            elif head.encoding == "ascii":
                most = (self._length - end + 1) // 2 * head.dtype.itemsize
            if head.nbytes > most:
                raise bad(
                    "it is shorter than its sizes say.", f"{head.nbytes} bytes of values", f"{self._length - end} bytes"
                )
        self._lines = head.line_skip
        self._decoder = (_RawAtEnd if head.byte_skip < 0 else _DECODERS[head.encoding])(head)

    def _without_lines(self, view: memoryview) -> memoryview:
        data = bytes(view)
        while self._lines:
            end = data.find(b"\n")
            self._skipped += len(data) if end < 0 else end + 1
            if self._skipped > _MAX_SKIP:
                raise bad("too much comes before its values.", f"at most {_MAX_SKIP} bytes")
            if end < 0:
                return memoryview(b"")
            data = data[end + 1 :]
            self._lines -= 1
        return memoryview(data)

    def close(self) -> Nrrd:
        """What was read. Raises `FileFormatError` when some of it is missing."""
        if self._decoder is None or self.header is None:
            raise bad("its header is not complete.", "a blank line after it", f"{len(self._text)} bytes")
        head = self.header
        voxels = head.arrange(self._decoder.close())
        if not voxels.dtype.isnative:
            if voxels.flags.c_contiguous:
                voxels.byteswap(inplace=True)
                voxels = voxels.view(voxels.dtype.newbyteorder("="))
            else:
                voxels = voxels.astype(voxels.dtype.newbyteorder("="))
        kind: Kind = "scalar" if head.axes.components is None else "colour" if head.axes.colour else "vector"
        return Nrrd(np.ascontiguousarray(voxels), head.affine, kind, head.axes.series is not None, head)


def read(data: bytes | bytearray | memoryview, max_bytes: int = MAX_BYTES) -> Nrrd:
    """Read a whole NRRD.

    Raises:
        FileFormatError: damaged, or not a volume, or longer or shorter than it says; the message names what.
    """
    reader = Reader(len(data), max_bytes)
    reader.feed(data)
    return reader.close()


# -- writing --------------------------------------------------------------------------------------------------------

_WRITTEN: Final = {
    "i1": "signed char", "u1": "unsigned char", "i2": "short", "u2": "unsigned short", "i4": "int",
    "u4": "unsigned int", "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double",
}  # fmt: skip


def header(voxels: Array, affine: Any, kind: Kind = "scalar") -> bytes:
    """The header of a NRRD of these voxels: NRRD0004, LPS, little endian, raw.

    Args:
        voxels: [k, j, i], or [k, j, i, component] for vectors and colours.
        affine: 4x4, IJK → RAS, mm.

    Raises:
        FileFormatError: a shape or dtype that it cannot have.
    """
    name = _WRITTEN.get(f"{voxels.dtype.kind}{voxels.dtype.itemsize}")
    if name is None or voxels.ndim != (3 if kind == "scalar" else 4):
        raise FileFormatError(
            "That cannot be written as NRRD.",
            expected="[k, j, i], or [k, j, i, component], of integers or floats",
            got=f"{voxels.dtype} of shape {voxels.shape}",
        )
    # RAS to LPS; adding 0 makes no -0 of it.
    lps = np.asarray(affine, dtype=np.float64)[:3] * np.array([[-1.0], [-1.0], [1.0]]) + 0.0
    directions = [_written(lps[:, column]) for column in range(3)]
    kinds = ["domain"] * 3
    if kind != "scalar":
        directions.insert(0, "none")
        colours = {3: "RGB-color", 4: "RGBA-color"} if kind == "colour" else {}
        kinds.insert(0, colours.get(voxels.shape[3], "vector"))
    lines = [
        "NRRD0004",
        f"type: {name}",
        f"dimension: {voxels.ndim}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(size) for size in voxels.shape[::-1]),
        "space directions: " + " ".join(directions),
        "kinds: " + " ".join(kinds),
        "endian: little",
        "encoding: raw",
        f"space origin: {_written(lps[:, 3])}",
        "",
        "",
    ]
    # The component is the fastest axis of both; reversing the shape puts it first.
    return "\n".join(lines).encode("ascii")


def _written(vector: Array) -> str:
    return "(" + ",".join(repr(float(value)) for value in vector) + ")"


def values(voxels: Array) -> memoryview:
    """The voxels as the bytes after a header; the array's own memory where it is contiguous and little endian."""
    return np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("<")).data.cast("B")


def chunks(voxels: Array, affine: Any, kind: Kind = "scalar", piece: int = _PIECE) -> Iterator[bytes | memoryview]:
    """A NRRD in pieces: the header, then views of the voxels' memory, at most ``piece`` bytes each.

    Raises:
        FileFormatError: as `header`.
    """
    yield header(voxels, affine, kind)
    body = values(voxels)
    for start in range(0, len(body), piece):
        yield body[start : start + piece]
