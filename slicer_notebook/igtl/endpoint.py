"""What a server and a client have in common: callbacks, peers, queries, waiting for an answer."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Literal, TypeAlias

from slicer_notebook.errors import DeadlineError, OpenIGTLinkError
from slicer_notebook.igtl.checksum import crc64
from slicer_notebook.igtl.contents import Command, StartStream
from slicer_notebook.igtl.counts import DeviceLine
from slicer_notebook.igtl.decoder import MAX_BODY_BYTES, Event, Fault, Skipped
from slicer_notebook.igtl.loop import Loop, Timer
from slicer_notebook.igtl.message import Message
from slicer_notebook.igtl.peer import Encoded, Peer, tune
from slicer_notebook.igtl.queries import Provide, Queries, Stream

__all__ = ["DEFAULT_PORT", "Endpoint", "OnMessage", "OnPeer", "OnProblem", "PeerState"]

_log = logging.getLogger(__name__)

#: The port of OpenIGTLink.
DEFAULT_PORT = 18944
#: Seconds between two looks for peers that have stopped in the middle of something.
CHECK_SECONDS = 5.0
#: Seconds that an answer is waited for, where nothing else is said.
ANSWER_SECONDS = 5.0

PeerState: TypeAlias = Literal["connected", "closed"]
OnMessage: TypeAlias = Callable[[Peer, Message], None]
OnPeer: TypeAlias = Callable[[Peer, PeerState, str], None]
OnProblem: TypeAlias = Callable[[Peer | None, OpenIGTLinkError], None]


class _Waiter:
    def __init__(self, fits: Callable[[Message], bool]) -> None:
        self.fits = fits
        self.future: Future[Message] = Future()


class Endpoint:
    """Base of `slicer_notebook.igtl.Server` and `slicer_notebook.igtl.Client`.

    Args:
        on_message: called with (peer, message) for all that is not a query answered here. Like all callbacks on the
            connections' own thread, which reads nothing meanwhile: hand over what takes long.
        on_peer: called with (peer, "connected" or "closed", why it closed).
        on_problem: called with (peer or None, error) for what was dropped, refused or failed; without it, it is logged.
        on_skipped: called with (peer, type, device) for a message of a type that is not known.
        provide: answers GET_: see `slicer_notebook.igtl.queries.Provide`.
        stream: answers STT_ and STP_: see `slicer_notebook.igtl.queries.Stream`.
        version: header version (1 or 2) for a peer that has said nothing yet. A program of protocol 1 or 2 would take
            the extended header of version 2 for content, so 1 is what everybody reads.
        max_body: bytes of a message after its header that are taken.
    """

    def __init__(
        self,
        *,
        on_message: OnMessage | None = None,
        on_peer: OnPeer | None = None,
        on_problem: OnProblem | None = None,
        on_skipped: Callable[[Peer, str, str], None] | None = None,
        provide: Provide | None = None,
        stream: Stream | None = None,
        version: int = 1,
        max_body: int = MAX_BODY_BYTES,
    ) -> None:
        crc64(b"")  # the package it needs is missing here, not on the thread
        self._on_message = on_message
        self._on_peer = on_peer
        self._on_problem = on_problem
        self._on_skipped = on_skipped
        self._provide = provide
        self._stream = stream
        self._version = version
        self._max_body = max_body
        self._loop = Loop(f"OpenIGTLink {type(self).__name__.lower()}")
        self._queries: dict[Peer, Queries] = {}
        self._waiters: list[_Waiter] = []
        self._waiters_lock = threading.Lock()
        self._command_ids = itertools.count(1)
        self._check: Timer | None = None
        self._state: Literal["new", "running", "stopped"] = "new"

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who is connected."""
        return tuple(self._queries)

    def devices(self) -> list[DeviceLine]:
        """What came and went, for each peer, type and device."""
        return [line for peer in self.peers for line in peer.devices()]

    def send(self, message: Message, *, stream: bool = False) -> int:
        """Send a message to all who are connected, as `Peer.send`; to how many it went.

        A peer that has gone or does not read costs the others nothing; it is told of by ``on_problem``.

        Raises:
            OpenIGTLinkError: the message cannot be said.
        """
        encoded = Encoded(message, stream=stream)
        count = 0
        for peer in self.peers:
            encoded.pieces(peer.version_for(message))
            try:
                count += peer.send_encoded(encoded)
            except OpenIGTLinkError as error:
                self.problem(peer, error)
        return count

    def flush(self, seconds: float = ANSWER_SECONDS) -> bool:
        """Wait until all that was sent has gone to the sockets, at most ``seconds``; whether it has."""
        end = time.monotonic() + seconds
        return all(peer.flush(max(0.0, end - time.monotonic())) for peer in self.peers)

    def get(self, type_: str, device: str = "", *, seconds: float = ANSWER_SECONDS) -> Message:
        """Ask for the data of a device by GET_, and wait for them; an answer without content says that there are none.

        Args:
            type_: without the verb: "TRANSFORM".
            device: "" for any.

        Raises:
            DeadlineError: no answer came.
            OpenIGTLinkError: nobody is connected.
        """
        query = Message(f"GET_{type_}", device)
        return self._asked(query, lambda m: m.type == type_ and device in ("", m.device), seconds)

    def start_stream(
        self, type_: str, device: str = "", *, interval: int = 0, coordinates: str = "", seconds: float = ANSWER_SECONDS
    ) -> Message:
        """Ask for a stream by STT_, and wait for the answer RTS_; its content says whether it was granted.

        Args:
            interval: milliseconds between two messages at least. Officially, only TDATA has a place for it, and for
                ``coordinates``.

        Raises:
            DeadlineError: no answer came; many programs stream without one.
            OpenIGTLinkError: nobody is connected.
        """
        wish = StartStream(interval, coordinates) if type_ == "TDATA" or interval or coordinates else None
        query = Message(f"STT_{type_}", device, wish)
        return self._asked(query, lambda m: m.type == f"RTS_{type_}", seconds)

    def stop_stream(self, type_: str, device: str = "", *, seconds: float = ANSWER_SECONDS) -> Message:
        """End a stream by STP_, and wait for the answer RTS_; raises as `start_stream`."""
        return self._asked(Message(f"STP_{type_}", device), lambda m: m.type == f"RTS_{type_}", seconds)

    def command(self, name: str, text: str = "", device: str = "", *, seconds: float = ANSWER_SECONDS) -> Message:
        """Send a COMMAND and wait for its RTS_COMMAND, whose metadata say how it went; raises as `get`."""
        number = next(self._command_ids)

        def fits(message: Message) -> bool:
            content = message.content
            return message.type == "RTS_COMMAND" and isinstance(content, Command) and content.id == number

        return self._asked(Message("COMMAND", device, Command(number, name, text)), fits, seconds)

    def problem(self, peer: Peer | None, error: OpenIGTLinkError) -> None:
        """Tell of something that went wrong."""
        if self._on_problem is None:
            _log.warning("OpenIGTLink%s: %s", f", {peer.name}" if peer else "", error.message)
            return
        try:
            self._on_problem(peer, error)
        except Exception:  # noqa: BLE001
            _log.exception("on_problem of OpenIGTLink raised")

    # On the loop's thread

    def _adopt(self, sock: socket.socket, name: str) -> Peer:
        """A socket has been connected."""
        tune(sock)
        peer = Peer(
            sock,
            name,
            self._loop,
            version=self._version,
            max_body=self._max_body,
            on_events=self._events,
            on_closed=self._peer_closed,
        )
        self._queries[peer] = Queries(peer, self._loop, self._provide, self._stream, self.problem)
        peer.begin()
        if self._check is None:
            self._check_later()
        if self._on_peer is not None:
            self._guarded(peer, lambda: self._on_peer(peer, "connected", ""))  # type: ignore[misc]
        return peer

    def _events(self, peer: Peer, events: list[Event]) -> None:
        for event in events:
            if peer.closed:  # a callback has closed it
                return
            if isinstance(event, Message):
                self._message(peer, event)
            elif isinstance(event, Fault):
                self.problem(peer, event.error)
                if event.fatal:
                    peer.close(event.error.message)
            else:
                self._skipped(peer, event)

    def _message(self, peer: Peer, message: Message) -> None:
        peer.count(message)
        if self._waiters:
            self._tell_waiters(message)
        queries = self._queries.get(peer)
        if queries is not None and queries.take(message):
            return
        if self._on_message is not None:
            on_message = self._on_message
            try:
                on_message(peer, message)
            except Exception as error:  # noqa: BLE001
                self._raised(peer, error)

    def _skipped(self, peer: Peer, skipped: Skipped) -> None:
        if self._on_skipped is not None:
            self._guarded(peer, lambda: self._on_skipped(peer, skipped.type, skipped.device))  # type: ignore[misc]

    def _peer_closed(self, peer: Peer, reason: str) -> None:
        queries = self._queries.pop(peer, None)
        if queries is not None:
            queries.end()
        if self._on_peer is not None:
            self._guarded(peer, lambda: self._on_peer(peer, "closed", reason))  # type: ignore[misc]

    def _check_later(self) -> None:
        def check() -> None:
            now = time.monotonic()
            for peer in self.peers:
                peer.check(now)
            self._check = None
            if self._queries:
                self._check_later()

        self._check = self._loop.at(time.monotonic() + CHECK_SECONDS, check)

    def _close_all(self) -> None:
        for peer in self.peers:
            peer.close("ended here")
            peer.finish()
        with self._waiters_lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.future.cancel()

    # Answers

    def _asked(self, query: Message, fits: Callable[[Message], bool], seconds: float) -> Message:
        if self._loop.inside:
            raise OpenIGTLinkError(
                "An answer cannot be waited for in a callback: the same thread would have to receive it.",
                hint="Ask from another thread.",
            )
        waiter = _Waiter(fits)
        with self._waiters_lock:
            self._waiters = [*self._waiters, waiter]
        try:
            if not self.send(query):
                raise OpenIGTLinkError("Nobody is connected.", hint="Wait until the connection is there.")
            return waiter.future.result(seconds)
        except TimeoutError as error:
            raise DeadlineError(f"No answer to {query.type} came.", expected=f"within {seconds:g} s") from error
        except CancelledError:
            raise OpenIGTLinkError(f"The connection was ended before {query.type} was answered.") from None
        finally:
            with self._waiters_lock:
                self._waiters = [other for other in self._waiters if other is not waiter]

    def _tell_waiters(self, message: Message) -> None:
        for waiter in self._waiters:
            if not waiter.future.done() and waiter.fits(message):
                waiter.future.set_result(message)

    # Callbacks

    def _guarded(self, peer: Peer, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001
            self._raised(peer, error)

    def _raised(self, peer: Peer, error: Exception) -> None:
        _log.error("A callback of OpenIGTLink raised (%s)", peer, exc_info=error)
        told = OpenIGTLinkError("A callback raised; what it was called with counts as received.", got=repr(error))
        self.problem(peer, told)
