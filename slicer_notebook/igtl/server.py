"""An OpenIGTLink server: listens, and speaks with all who connect."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.decoder import MAX_BODY_BYTES
from slicer_notebook.igtl.endpoint import DEFAULT_PORT, Endpoint, OnMessage, OnPeer, OnProblem
from slicer_notebook.igtl.loop import READ
from slicer_notebook.igtl.peer import Peer
from slicer_notebook.igtl.queries import Provide, Stream

__all__ = ["Server"]

#: Peers at once. Each may bring one message of the largest size.
MAX_PEERS = 32
#: Connections that wait to be accepted.
BACKLOG = 16
#: Seconds until the next try to accept, where the process has no file descriptor left.
ACCEPT_AGAIN_SECONDS = 0.5


class Server(Endpoint):
    """Listens for OpenIGTLink peers; parameters as in `Endpoint`.

    Args:
        host: address to listen on; the loopback interface, unless told otherwise. OpenIGTLink has neither passwords nor
            encryption: whoever reaches the port may send.
        port: 0 for a free one.
        max_peers: more are turned away.

    ::

        with Server(on_message=print) as server:
            server.send(of_content(Transform(matrix), "Needle"), stream=True)
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
        max_peers: int = MAX_PEERS,
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
        self._max_peers = max_peers
        self._listener: socket.socket | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """The address and port that it listens on."""
        return self._address

    def start(self) -> tuple[str, int]:
        """Listen; the address and port. Once only.

        Raises:
            OpenIGTLinkError: the port is taken, or the address is not this machine's.
        """
        if self._state != "new":
            raise OpenIGTLinkError("This server has been started before.", hint="Make a new one.")
        host, port = self._address
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # The C++ library knows IPv4 only: of a name with both, such as "localhost", that is taken.
            family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
            listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        except OSError as error:
            hint = "Choose another port, or 0 for a free one." if error.errno == errno.EADDRINUSE else None
            raise OpenIGTLinkError(
                f"No server at {host}:{port}.", got=error.strerror or str(error), hint=hint
            ) from error
        listener.setblocking(False)
        self._listener = listener
        self._address = (host, listener.getsockname()[1])
        self._state = "running"
        self._loop.start()
        self._loop.call(self._listen)
        return self._address

    def stop(self) -> None:
        """End: all connections are closed, the port is free. Waits for the thread, unless called in a callback."""
        if self._state != "running":
            self._state = "stopped"
            return
        self._state = "stopped"
        self._loop.stop(self._end)

    def _listen(self) -> None:
        if self._listener is not None:
            self._loop.watch(self._listener, READ, self._accept)

    def _accept(self, _events: int) -> None:
        listener = self._listener
        if listener is None:
            return
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            # No descriptor left: the connection stays in the queue, and would wake the thread at once, again and again.
            self._loop.forget(listener)
            self._loop.at(time.monotonic() + ACCEPT_AGAIN_SECONDS, self._listen)
            self.problem(None, OpenIGTLinkError("A connection could not be accepted.", got=error.strerror))
            return
        name = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
        if len(self.peers) >= self._max_peers:
            with contextlib.suppress(OSError):
                sock.close()
            told = f"{name} was turned away: {self._max_peers} are connected."
            self.problem(None, OpenIGTLinkError(told, expected=f"at most {self._max_peers} peers"))
            return
        self._adopt(sock, name)

    def _end(self) -> None:
        if self._listener is not None:
            self._loop.forget(self._listener)
            self._listener.close()
            self._listener = None
        self._close_all()
