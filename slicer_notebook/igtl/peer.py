"""The other end of a connection: its socket, what it sends, what waits for it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.bodies import Piece
from slicer_notebook.igtl.codec import encode
from slicer_notebook.igtl.counts import DeviceCounts, DeviceLine
from slicer_notebook.igtl.decoder import Decoder, Event
from slicer_notebook.igtl.loop import READ, WRITE, Loop
from slicer_notebook.igtl.message import Message
from slicer_notebook.igtl.sending import Outbox

__all__ = ["Encoded", "Peer", "tune"]

#: Reads of one peer before the next one has its turn.
READS_PER_TURN = 4
#: Waiting messages that go to the socket in one call; Linux takes up to 1024 pieces.
SENDS_PER_CALL = 64
#: A peer is given up after so many seconds without a byte in the middle of a message, or in which it read nothing of
#: what waits for it.
STALL_SECONDS = 30.0
#: TCP asks a silent peer's machine after so many seconds whether it is still there, and gives up after so many
#: questions: a cable that was pulled is noticed within half a minute.
KEEPALIVE_AFTER, KEEPALIVE_EVERY, KEEPALIVE_COUNT = 10, 5, 4


def tune(sock: socket.socket) -> None:
    """Small messages go at once; a peer whose machine is gone is noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_AFTER),
        ("TCP_KEEPINTVL", KEEPALIVE_EVERY),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", int(STALL_SECONDS * 1000)),
    ):
        if hasattr(socket, name):  # some systems lack some of them
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Encoded:
    """A message, encoded once for each version however many peers it goes to."""

    def __init__(self, message: Message, *, stream: bool) -> None:
        self.message = message
        self.key = (message.type, message.device) if stream else None
        self._versions: dict[int, list[Piece]] = {}

    def pieces(self, version: int) -> list[Piece]:
        """The bytes for a peer of that version."""
        pieces = self._versions.get(version)
        if pieces is None:
            pieces = self._versions[version] = encode(self.message, version)
        return pieces


class Peer:
    """Another program that is connected.

    Attributes:
        name: its address and port.
        version: header version that it has shown to know; None as long as it has said nothing.
    """

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        loop: Loop,
        *,
        version: int,
        max_body: int,
        on_events: Callable[[Peer, list[Event]], None],
        on_closed: Callable[[Peer, str], None],
    ) -> None:
        self.name: Final = name
        self.version: int | None = None
        self._first_version = version
        self._socket = sock
        self._loop = loop
        self._on_events = on_events
        self._on_closed = on_closed
        self._decoder = Decoder(max_body)
        self._counts = DeviceCounts()
        self._lock = threading.Lock()
        self._outbox = Outbox()
        self._empty = threading.Event()
        self._empty.set()
        self._closed = False
        self._close_reason: str | None = None
        self._heard = self._drained = time.monotonic()

    def __repr__(self) -> str:
        return f"<OpenIGTLink peer {self.name}{' (closed)' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Messages that wait until the peer reads."""
        return len(self._outbox)

    def devices(self) -> list[DeviceLine]:
        """What came from it and went to it, for each type and device."""
        return self._counts.lines(self.name)

    def send(self, message: Message, *, stream: bool = False) -> bool:
        """Send a message; from any thread, without waiting. Arrays may be changed again when this returns.

        It goes in the version that the peer has shown to know; until it has said anything, in the version that the
        server or client was made with, but for a COMMAND, which only programs of version 2 know. Version 1 carries no
        metadata.

        Args:
            stream: the newest of a device is what counts: where the peer reads slowly, it takes the place of one that
                waits. Otherwise nothing is left out, and a peer that lets too much wait is disconnected.

        Returns:
            Whether it was taken; False for a message of a stream that found no room.

        Raises:
            OpenIGTLinkError: the connection has ended (or ends now, as too much waits), or the message cannot be said.
        """
        return self.send_encoded(Encoded(message, stream=stream))

    def send_encoded(self, encoded: Encoded) -> bool:
        """As `send`, for a message that goes to several peers."""
        message = encoded.message
        pieces = encoded.pieces(self.version_for(message))
        size = sum(len(piece) for piece in pieces)
        with self._lock:
            if self._closed or self._close_reason is not None:
                raise OpenIGTLinkError(f"{self.name} is not connected any more.")
            sent = 0 if len(self._outbox) else self._try_send(pieces)
            result = "waits" if sent == size else self._outbox.add(pieces, encoded.key, sent)
            if result != "full":
                self._counts.went(message.type, message.device, size)
            if result == "replaced":
                self._counts.dropped(message.type, message.device)
            waits = sent < size
            if waits:
                self._empty.clear()
        if result == "full":
            if encoded.key is not None:
                return False
            self.close("it reads too slowly: too much waits for it")
            raise OpenIGTLinkError(
                f"{self.name} reads too slowly; it is disconnected.",
                hint="Send what may be left out with stream=True.",
            )
        if waits:
            self._loop.call(self._watch)
        return True

    def version_for(self, message: Message) -> int:
        """The header version that a message to it would have now; see `send`."""
        if self.version is not None:
            return self.version
        return 2 if message.type == "COMMAND" else self._first_version

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits to be sent, at most ``seconds``; whether all has gone to the socket."""
        return self._empty.wait(seconds) and not self._closed

    def close(self, reason: str = "") -> None:
        """End the connection; from any thread. What waits is not sent."""
        with self._lock:
            if self._close_reason is not None:
                return
            self._close_reason = reason
        if self._loop.inside:
            self.finish()
        else:
            self._loop.call(self.finish)

    # On the loop's thread

    def begin(self) -> None:
        """Watch the socket."""
        self._watch()

    def finish(self) -> None:
        """Close the socket, once, and tell."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._close_reason is None:
                self._close_reason = ""
            self._outbox.clear()
            self._empty.set()
        self._loop.forget(self._socket)
        with contextlib.suppress(OSError):
            self._socket.close()
        self._on_closed(self, self._close_reason)

    def check(self, now: float) -> None:
        """Give up a peer that has stopped in the middle of something."""
        if self._decoder.in_message and now - self._heard > STALL_SECONDS:
            self.close("it stopped in the middle of a message")
        elif len(self._outbox) and now - self._drained > STALL_SECONDS:
            self.close("it does not read")

    def count(self, message: Message) -> None:
        """A message has come."""
        if self.version is None or message.version > self.version:
            self.version = message.version
        self._counts.came(message, message.wire_bytes, self._heard)

    def _try_send(self, pieces: list[Piece]) -> int:
        """How much the socket takes at once; an error shows up where it is read."""
        try:
            count = self._socket.sendmsg(pieces)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return 0
        self._drained = time.monotonic()
        return count

    def _watch(self) -> None:
        if self._closed:
            return
        waits = WRITE if len(self._outbox) else 0
        self._loop.watch(self._socket, READ | waits, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE and not self._closed:
            self._write()
        if events & READ and not self._closed:
            self._read()

    def _read(self) -> None:
        for _ in range(READS_PER_TURN):
            room = self._decoder.room()
            try:
                count = self._socket.recv_into(room)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.close(f"the connection broke: {error.strerror or error}")
                return
            if not count:
                self.close("cut off in the middle of a message" if self._decoder.in_message else "")
                return
            self._heard = time.monotonic()
            events = self._decoder.took(count)
            if events:
                self._on_events(self, events)
            if self._closed or count < len(room):
                return

    def _write(self) -> None:
        reason: str | None = None
        done = False
        with self._lock:
            try:
                self._outbox.sent(self._socket.sendmsg(self._outbox.next(SENDS_PER_CALL)))
                self._drained = time.monotonic()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                reason = f"the connection broke: {error.strerror or error}"
            else:
                done = not len(self._outbox)
                if done:
                    self._empty.set()
        if reason is not None:
            self.close(reason)
        elif done:
            self._watch()
