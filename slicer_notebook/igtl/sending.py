"""What waits to be sent to one peer, bounded; no socket."""

from __future__ import annotations

from collections import deque

from slicer_notebook.igtl.bodies import Piece

__all__ = ["Outbox"]

#: Messages that wait for one peer: a second of a fast tracker.
MAX_WAITING = 1_000
#: Bytes that wait for one peer; a single message may be larger if it is alone.
MAX_WAITING_BYTES = 64 << 20


class _Waiting:
    __slots__ = ("data", "key")

    def __init__(self, key: tuple[str, str] | None, data: memoryview) -> None:
        self.key = key
        self.data = data


class Outbox:
    """Messages that wait until the socket takes them, in order.

    Of a stream only the newest of a device waits: it takes the place of the one before. Everything else waits as long
    as there is room; who reads so slowly that there is none is to be disconnected.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._streams: dict[tuple[str, str], _Waiting] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, pieces: list[Piece], key: tuple[str, str] | None, sent: int = 0) -> str:
        """Put a message at the end; its bytes are copied, so that the sender's array is free again.

        Args:
            key: (type, device) of a stream; None for what must not be left out.
            sent: bytes of it that have gone already.

        Returns:
            "waits", "replaced" (it took an older one's place), or "full" (it was not taken).
        """
        old = self._streams.get(key) if key is not None and not sent else None
        size = sum(len(piece) for piece in pieces) - sent
        if (
            old is None
            and self._waiting
            and (len(self._waiting) >= MAX_WAITING or self.bytes + size > MAX_WAITING_BYTES)
        ):
            return "full"
        data = memoryview(b"".join(pieces))[sent:]
        if old is not None:
            self.bytes += len(data) - len(old.data)
            old.data = data
            return "replaced"
        waiting = _Waiting(key, data)
        self._waiting.append(waiting)
        self.bytes += len(data)
        if key is not None and not sent:
            self._streams[key] = waiting
        return "waits"

    def next(self, count: int) -> list[memoryview]:
        """The bytes to send next, of up to ``count`` messages."""
        chosen = []
        for waiting in self._waiting:
            chosen.append(waiting.data)
            if len(chosen) == count:
                break
        return chosen

    def sent(self, count: int) -> None:
        """``count`` bytes of `next` have gone."""
        self.bytes -= count
        while count:
            first = self._waiting[0]
            # What has begun to go can be replaced no more.
            if first.key is not None and self._streams.get(first.key) is first:
                del self._streams[first.key]
            if count < len(first.data):
                first.data = first.data[count:]
                return
            count -= len(first.data)
            self._waiting.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._streams.clear()
        self.bytes = 0
