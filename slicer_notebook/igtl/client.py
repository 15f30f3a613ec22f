"""An OpenIGTLink client: connects to a server, again and again where that is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from slicer_notebook.errors import DeadlineError, OpenIGTLinkError
from slicer_notebook.igtl.decoder import MAX_BODY_BYTES
from slicer_notebook.igtl.endpoint import DEFAULT_PORT, Endpoint, OnMessage, OnPeer, OnProblem
from slicer_notebook.igtl.loop import WRITE, Timer
from slicer_notebook.igtl.message import Message
from slicer_notebook.igtl.peer import Peer
from slicer_notebook.igtl.queries import Provide, Stream

__all__ = ["Client"]

#: Seconds that a connection may take to be made.
CONNECT_SECONDS = 5.0
#: Seconds until the next try: the first, and the longest after several that failed.
RETRY_FIRST, RETRY_LONGEST = 0.1, 5.0


#: family, and what `socket.connect` takes
_Address: TypeAlias = tuple[socket.AddressFamily, Any]


class Client(Endpoint):
    """Connects to an OpenIGTLink server; parameters as in `Endpoint`.

    Args:
        host: name or address.
        port: of the server.
        reconnect: try again when there is no connection, or none any more.

    ::

        with Client("tracker", on_message=print) as client:
            client.wait_connected()
            client.send(of_content(String("hello"), "Notebook"))
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        on_message: OnMessage | None = None,
        on_peer: OnPeer | None = None,
        on_problem: OnProblem | None = None,
        on_skipped: Callable[[Peer, str, str], None] | None = None,
        provide: Provide | None = None,
        stream: Stream | None = None,
        version: int = 1,
        max_body: int = MAX_BODY_BYTES,
        reconnect: bool = True,
    ) -> None:
        super().__init__(
            on_message=on_message,
            on_peer=on_peer,
            on_problem=on_problem,
            on_skipped=on_skipped,
            provide=provide,
            stream=stream,
            version=version,
            max_body=max_body,
        )
        self._address = (host, port)
        self._reconnect = reconnect
        self._retry = RETRY_FIRST
        self._since = 0.0  # when the connection was made, by time.monotonic
        self._trying: socket.socket | None = None
        #: the name's other addresses, of which "localhost" often has two
        self._further: list[_Address] = []
        self._deadline: Timer | None = None
        self._changed = threading.Condition()
        self._failure: OpenIGTLinkError | None = None

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """The server's name and port."""
        return self._address

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self.peers)

    @property
    def failure(self) -> OpenIGTLinkError | None:
        """Why the last try to connect failed; None while connected."""
        return self._failure

    def start(self) -> None:
        """Begin to connect; returns at once. Once only."""
        if self._state != "new":
            raise OpenIGTLinkError("This client has been started before.", hint="Make a new one.")
        self._state = "running"
        self._loop.start()
        self._loop.call(self._try)

    def wait_connected(self, seconds: float = CONNECT_SECONDS) -> Peer:
        """Wait for the connection; the server as a peer.

        Raises:
            DeadlineError: there is none in time; says why the last try failed.
            OpenIGTLinkError: there will be none, as the client was not started, was ended, or does not try again.
        """
        end = time.monotonic() + seconds
        host, port = self._address
        with self._changed:
            while True:
                peers = self.peers
                if peers:
                    return peers[0]
                if self._state != "running" or (self._failure is not None and not self._reconnect):
                    raise self._failure or OpenIGTLinkError(f"The client of {host}:{port} is not running.")
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
        raise DeadlineError(
            f"No connection to {host}:{port}.",
            expected=f"within {seconds:g} s",
            got=self._failure.got if self._failure else "no answer",
            hint="Is the server running, and does it listen on that port?",
        )

    def send(self, message: Message, *, stream: bool = False) -> int:
        """Send a message to the server, as `Peer.send`: 1, or 0 where it found no room.

        Raises:
            OpenIGTLinkError: there is no connection, the server reads too slowly, or the message cannot be said.
        """
        peers = self.peers
        if not peers:
            host, port = self._address
            raise OpenIGTLinkError(f"There is no connection to {host}:{port}.", hint="wait_connected() waits for it.")
        return int(peers[0].send(message, stream=stream))

    def stop(self) -> None:
        """End; what still waits is not sent (`flush`). Waits for the thread, unless called in a callback."""
        running = self._state == "running"
        self._state = "stopped"
        if running:
            self._loop.stop(self._end)

    # On the loop's thread

    def _try(self) -> None:
        if self._state != "running":
            return
        host, port = self._address
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._further = [(family, address) for family, _, _, _, address in found]
        self._try_next()

    def _try_next(self) -> None:
        family, address = self._further.pop(0)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._trying = sock
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            self._give_up(os.strerror(code))
            return
        self._deadline = self._loop.at(time.monotonic() + CONNECT_SECONDS, lambda: self._give_up("no answer"))
        self._loop.watch(sock, WRITE, self._answered)

    def _answered(self, _events: int) -> None:
        sock = self._trying
        if sock is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # With nobody listening on a free port, TCP may connect a socket with itself.
        if not code and sock.getsockname() == sock.getpeername():
            code = errno.ECONNREFUSED
        if code:
            self._give_up(os.strerror(code))
            return
        self._settle()
        self._failure = None
        self._since = time.monotonic()
        host, port = self._address
        self._adopt(sock, f"{host}:{port}")
        with self._changed:
            self._changed.notify_all()

    def _settle(self) -> None:
        self._trying = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, why: str) -> None:
        sock = self._trying
        self._settle()
        if sock is not None:
            self._loop.forget(sock)
            sock.close()
        self._failed(why)

    def _failed(self, why: str) -> None:
        if self._further and self._state == "running":
            self._try_next()
            return
        host, port = self._address
        first = self._failure is None
        self._failure = OpenIGTLinkError(f"No connection to {host}:{port}.", got=why)
        if first:
            self.problem(None, self._failure)
        with self._changed:
            self._changed.notify_all()
        self._again()

    def _again(self) -> None:
        if self._reconnect and self._state == "running":
            self._loop.at(time.monotonic() + self._retry, self._try)
            self._retry = min(2 * self._retry, RETRY_LONGEST)

    def _peer_closed(self, peer: Peer, reason: str) -> None:
        super()._peer_closed(peer, reason)
        if not self._reconnect:
            host, port = self._address
            self._failure = OpenIGTLinkError(
                f"The connection to {host}:{port} has ended.", got=reason or "closed there"
            )
        with self._changed:
            self._changed.notify_all()
        # A server that takes connections and ends them at once, as a full one does, is not asked ten times a second.
        if time.monotonic() - self._since > RETRY_LONGEST:
            self._retry = RETRY_FIRST
        self._again()

    def _end(self) -> None:
        sock = self._trying
        self._settle()
        if sock is not None:
            self._loop.forget(sock)
            with contextlib.suppress(OSError):
                sock.close()
        self._close_all()
        with self._changed:
            self._changed.notify_all()
