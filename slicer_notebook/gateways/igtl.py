"""OpenIGTLink: trackers, PLUS, pyigtl and robots connect to Slicer.

What they send becomes nodes; GET_, STT_ and STP_ are answered from the scene; COMMAND runs commands. All of that is
the hub's (`commands.igtl_hub`), which also has the connections that a notebook makes: this is the server's socket.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, Final

from slicer_notebook.commands.gateway import Context, Line
from slicer_notebook.commands.igtl_connections import Connection
from slicer_notebook.commands.igtl_hubs import PORT, Reception, hub_of
from slicer_notebook.errors import GatewayError, OpenIGTLinkError
from slicer_notebook.igtl.message import Message
from slicer_notebook.pacs.checks import is_loopback

if TYPE_CHECKING:
    from slicer_notebook.igtl.peer import Peer
    from slicer_notebook.igtl.server import Server

__all__ = ["IgtlGateway"]

#: Header version for who has said nothing yet: what all programs read. Who sends version 2 is answered by it.
_VERSION: Final = 1


class IgtlGateway:
    """An OpenIGTLink server. On the loopback interface only: the protocol knows neither passwords nor encryption."""

    kind: ClassVar[str] = "igtl"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._hub: Reception = hub_of(context.host)
        self._server: Server | None = None
        self._connections: dict[Peer, Connection] = {}
        self._lock = threading.Lock()

    def start(self) -> tuple[str, int]:
        """Listen; the address and port.

        Raises:
            GatewayError: an address off the loopback interface, or a port that is taken.
        """
        from slicer_notebook.igtl.server import Server

        options = self._context.options
        if not is_loopback(options.bind):
            raise GatewayError(
                "OpenIGTLink is served on the loopback interface only: it has no token, and whoever reaches the port"
                " could move what is shown and run commands.",
                expected="127.0.0.1",
                got=options.bind,
                hint="from another machine: ssh -L 18944:127.0.0.1:18944 THIS_MACHINE; or connect from here to its"
                " server: slicer.igtl.connect(host)",
            )
        server = Server(
            options.bind,
            PORT if options.port is None else options.port,
            on_message=self._received,
            on_peer=self._peer_changed,
            on_problem=self._problem,
            on_skipped=self._skipped,
            version=_VERSION,
        )
        try:
            address = server.start()
        except OpenIGTLinkError as exc:
            raise GatewayError(exc.message, expected="a free port", got=exc.got, hint=exc.hint) from exc
        self._server = server
        return address

    def stop(self) -> None:
        """End it: connections are closed, the port is free."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    # -- on the server's thread --------------------------------------------------------------------------------------

    def _peer_changed(self, peer: Peer, state: str, why: str) -> None:
        if state == "connected":
            options = self._context.options
            connection = self._hub.adopt(
                peer,
                allow=options.allow,
                files=options.files,
                database=options.database,
                by="gateway",
                note=self._note,
            )
            self._connections[peer] = connection
            self._log(peer, "connects")
        else:
            found = self._connections.pop(peer, None)
            self._log(peer, "disconnects", "" if self._server is None else why)
            if found is None:
                return
            connection = found
        self._context.counts.open = len(self._connections)
        # What we end ourselves is no trouble.
        self._hub.changed(connection, peer, state, "" if self._server is None else why, again=False)

    def _received(self, peer: Peer, message: Message) -> None:
        connection = self._connections.get(peer)
        if connection is not None:
            self._hub.received(connection, message)

    def _problem(self, peer: Peer | None, error: OpenIGTLinkError) -> None:
        connection = None if peer is None else self._connections.get(peer)
        if connection is not None:
            self._hub.problem(connection, error)
        else:
            self._note(Line(what="a connection", status="refused", good=False, note=error.message), False)

    def _skipped(self, peer: Peer, type_: str, device: str) -> None:
        connection = self._connections.get(peer)
        if connection is not None:
            self._hub.skipped(connection, type_, device)

    # -- the log -----------------------------------------------------------------------------------------------------

    def _note(self, line: Line | None, good: bool) -> None:
        """Count a message; control messages have a line, as a tracker's thousand a second would fill the log."""
        with self._lock:
            if line is not None:
                self._context.note(line)
            else:
                self._context.counts.requests += 1
                self._context.counts.failed += not good

    def _log(self, peer: Peer, what: str, note: str = "") -> None:
        with self._lock:
            self._context.note(Line(who=peer.name, what=what, status="ok", note=note))
