"""Arrays in pieces: what one machine sends another when there is no shared memory.

Pieces are small enough that other messages pass between them (see the design), and carry where they belong, so that
nothing depends on their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from slicer_notebook import errors
from slicer_notebook.protocol import values
from slicer_notebook.protocol.messages import Chunk
from slicer_notebook.protocol.values import CHUNK_SIZE, Array, ArrayHeader

__all__ = ["MOST_AT_ONCE", "Incoming", "outgoing"]

#: Transfers that may be under way at one time; a peer that begins more does not finish them.
MOST_AT_ONCE: Final = 64


def outgoing(array: Array, transfer: int, request: int = 0) -> Iterator[list[Any]]:
    """The buffers of the messages that carry ``array``. They use its memory: it must not change until they are sent."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for offset in range(0, len(data), CHUNK_SIZE):
        chunk = Chunk(transfer=transfer, offset=offset, total=len(data), request=request)
        yield [*values.encode(chunk), data[offset : offset + CHUNK_SIZE]]


class _Transfer:
    def __init__(self, total: int) -> None:
        # Not zeroed, unlike a bytearray: pages come as they are written.
        self.data: Array = np.empty(total, dtype=np.uint8)
        self.missing = total


class Incoming:
    """Puts the pieces together."""

    def __init__(self) -> None:
        self._transfers: dict[int, _Transfer] = {}

    def add(self, chunk: Chunk, buffers: list[Any]) -> None:
        """Take one piece; ``buffers`` are those of its message.

        Raises:
            ProtocolError: it does not fit what came before, or itself.
        """
        data = memoryview(buffers[1]).cast("B") if len(buffers) == 2 else memoryview(b"")
        transfer = self._transfers.get(chunk.transfer)
        if transfer is None:
            transfer = self._begin(chunk)
        if not data or not 0 <= chunk.offset <= chunk.total - len(data) or chunk.total != len(transfer.data):
            self._transfers.pop(chunk.transfer, None)
            raise errors.ProtocolError(
                "A piece of an array does not fit.",
                expected=f"one buffer within {len(transfer.data)} bytes",
                got=f"{len(data)} bytes at {chunk.offset} of {chunk.total}",
            )
        transfer.data[chunk.offset : chunk.offset + len(data)] = np.frombuffer(data, dtype=np.uint8)
        transfer.missing -= len(data)

    def _begin(self, chunk: Chunk) -> _Transfer:
        try:
            if len(self._transfers) >= MOST_AT_ONCE or chunk.total < 0:
                raise ValueError(f"{len(self._transfers)} transfers under way, {chunk.total} bytes")
            transfer = self._transfers[chunk.transfer] = _Transfer(chunk.total)
        except (ValueError, MemoryError) as exc:
            raise errors.ProtocolError(
                "An array in pieces cannot be taken.",
                expected=f"at most {MOST_AT_ONCE} transfers, each fitting into memory",
                got=str(exc),
            ) from exc
        return transfer

    def take(self, header: ArrayHeader) -> Array:
        """The array of a finished transfer; it is the caller's own.

        Raises:
            ProtocolError: no such transfer, or parts of it did not come.
        """
        transfer = self._transfers.pop(header.transfer, None)
        if transfer is None or transfer.missing:
            raise errors.ProtocolError(
                "An array's parts did not all come.",
                expected=f"transfer {header.transfer}, whole",
                got="nothing of it" if transfer is None else f"{transfer.missing} bytes short",
            )
        return values.array_from_bytes(header, transfer.data)

    def clear(self) -> None:
        """Forget what is under way."""
        self._transfers.clear()
