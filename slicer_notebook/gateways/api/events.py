"""Server-Sent Events (WHATWG HTML 9.2): what happens in the session, and how far a job is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from slicer_notebook.errors import SlicerNotebookError
from slicer_notebook.gateways.api.failures import HttpError
from slicer_notebook.gateways.api.results import json_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["HEARTBEAT", "Hub", "Streams", "frame", "stream"]

_log = logging.getLogger("slicer_notebook.gateways")

#: Seconds of silence after which a comment is sent: proxies give up a connection after some 60.
HEARTBEAT: Final = 15.0
#: Streams at a time, of all clients.
MOST_STREAMS: Final = 32
#: Events that are kept for whoever comes back, and that wait for a slow reader.
KEPT: Final = 256
#: What is between a person and their PACS, and not for other programs.
_PRIVATE: Final = frozenset({"sign_in"})
#: Milliseconds after which a client is to come back.
_RETRY: Final = b"retry: 2000\n\n"
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}

Heard = Callable[[str, Any], None]


def frame(kind: str, data: Any, number: str = "") -> bytes:
    """One event as bytes. Its data is JSON in one line."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {kind}\n".encode() + b"data: " + json_of(data) + b"\n\n"


class Streams:
    """How many there are."""

    def __init__(self) -> None:
        self.open = 0

    def take(self) -> None:
        """A place for one more, to be given back. Raises `HttpError` when there is none."""
        if self.open >= MOST_STREAMS:
            raise HttpError(503, "Too many clients listen at this moment.", expected=f"{MOST_STREAMS} at most")
        self.open += 1


class _Stream(StreamingResponse):
    """An answer that holds a place until it has ended."""

    def __init__(self, streams: Streams, body: AsyncIterator[bytes]) -> None:
        super().__init__(body, headers=_HEADERS, media_type="text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


def stream(streams: Streams, frames: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer that goes on; it has to be sent. Raises `HttpError` when there are too many.

    Its place is taken here: of many that come at the same moment, none has begun when the next one is looked at.
    """

    async def body() -> AsyncIterator[bytes]:
        yield _RETRY
        async for each in frames:
            yield each

    streams.take()
    return _Stream(streams, body())


class _Event:
    """Something that happened; its bytes are made when somebody wants them, once."""

    def __init__(self, number: int, kind: str, data: Any) -> None:
        self.number = number
        self.kind = kind
        self._data = data
        self._bytes: bytes | None = None

    def bytes_for(self, epoch: str) -> bytes:
        if self._bytes is None:
            try:
                self._bytes = frame(self.kind, self._data, f"{epoch}-{self.number}")
            except (SlicerNotebookError, HttpError):
                _log.warning("An event %s cannot be sent as JSON.", self.kind)
                self._bytes = frame("gap", {"missed": 1}, f"{epoch}-{self.number}")
            self._data = None
        return self._bytes


class _Reader:
    """What waits for one client."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self.waiting: deque[_Event] = deque()
        self.lost = 0
        self.came = asyncio.Event()

    def give(self, event: _Event) -> None:
        if self.kinds and event.kind not in self.kinds:
            return
        if len(self.waiting) >= KEPT:
            # A slow reader is told how much it missed, and costs no more than this.
            self.waiting.popleft()
            self.lost += 1
        self.waiting.append(event)
        self.came.set()


class Hub:
    """Events of the session, for any number of clients. Made on the server's loop; `close` from any thread.

    Args:
        listen: has a function called with (kind, data) for each event, on any thread; gives what ends that.
    """

    def __init__(self, listen: Callable[[Heard], Callable[[], None]]) -> None:
        self._loop = asyncio.get_running_loop()
        #: tells numbers of this server from those of one before it
        self._epoch = secrets.token_hex(4)
        self._count = 0
        self._kept: deque[_Event] = deque(maxlen=KEPT)
        self._readers: set[_Reader] = set()
        self._closed = False
        self._stop = listen(self._heard)

    def _heard(self, kind: str, data: Any) -> None:
        """On the thread where it happened."""
        if kind in _PRIVATE:
            return
        if kind == "gateways" and isinstance(data, dict):
            # What others have asked is theirs.
            data = {name: each for name, each in data.items() if name != "lines"}
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._take, kind, data)

    def _take(self, kind: str, data: Any) -> None:
        self._count += 1
        event = _Event(self._count, kind, data)
        self._kept.append(event)
        for reader in self._readers:
            reader.give(event)

    async def frames(self, last: str, kinds: frozenset[str], heartbeat: float) -> AsyncIterator[bytes]:
        """Events from now on, after those that a client that comes back has not had.

        Args:
            last: id of the last event that the client has; "" for none.
            kinds: only these; all if empty.
        """
        reader = _Reader(kinds)
        missed = self._missed(last, reader)
        self._readers.add(reader)
        try:
            # At once, so that a client knows that it listens, and from where on.
            yield frame("hello", {"missed": missed}, f"{self._epoch}-{self._number(last)}")
            while not self._closed:
                while reader.waiting:
                    if reader.lost:
                        lost, reader.lost = reader.lost, 0
                        yield frame("gap", {"missed": lost})
                    yield reader.waiting.popleft().bytes_for(self._epoch)
                reader.came.clear()
                if self._closed:
                    break
                try:
                    await asyncio.wait_for(reader.came.wait(), heartbeat)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._readers.discard(reader)

    def _number(self, last: str) -> int:
        """Where a client stands: what it had, or what there has been."""
        epoch, _, number = last.partition("-")
        if epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 16:
            return min(int(number), self._count)
        return self._count

    def _missed(self, last: str, reader: _Reader) -> int | None:
        """Give what is kept of what came since; how many are not kept any more, None where nobody can tell."""
        if not last:
            return 0
        if not last.startswith(f"{self._epoch}-"):
            return None
        had = self._number(last)
        for event in self._kept:
            if event.number > had:
                reader.give(event)
        first = self._kept[0].number if self._kept else self._count + 1
        return max(0, first - had - 1)

    def close(self) -> None:
        """End all streams; listen no more."""
        self._stop()

        def wake() -> None:
            self._closed = True
            for reader in self._readers:
                reader.came.set()

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(wake)
