"""HTTP for gateways: uvicorn on a thread of Slicer's process, behind a guard.

The guard is what the originals lack: a request is answered only when it comes by a name of this machine (against DNS
rebinding), from no web page that was not named, with the token where there is one, and within limits. Clients that are
slow, silent or half open are hung up on.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slicer_notebook.errors import GatewayError
from slicer_notebook.gateways.guard import Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from slicer_notebook.commands.gateway import Context, Counts

__all__ = ["CONNECTIONS", "HttpServer"]

#: Connections at the same time. One more takes the place of the one that has said nothing for longest.
CONNECTIONS: Final = 256
#: Seconds that a request's head may take, from its first byte, or from the connection's beginning.
HEAD_SECONDS: Final = 10.0
#: Bytes of a request's line and headers together; a Kheops URL has some 700.
HEAD_BYTES: Final = 64 * 1024
#: Seconds that a connection may stay open between two requests.
IDLE_SECONDS: Final = 30
#: A body may take this many seconds, and one more for each `BODY_RATE` bytes of it that have come.
BODY_SECONDS: Final = 20.0
BODY_RATE: Final = 16 * 1024
#: Seconds of a body after which it may have to make room, where all places are taken.
GRACE_SECONDS: Final = 2.0
#: Seconds that a client may take nothing of an answer.
WRITE_SECONDS: Final = 30.0
#: Bytes of a request's body: a CT of 1,000 slices as NRRD is 512 MiB.
MAX_BODY: Final = 2 * 1024**3
#: Bytes of a body that are taken, and dropped, when the answer has gone out: hanging up at once could cost the answer.
UNREAD_BYTES: Final = 64 * 1024**2
#: Seconds that open requests may take when the server is stopped.
STOP_SECONDS: Final = 1
#: Seconds that the thread may take to begin, and to end after `STOP_SECONDS`.
_THREAD_SECONDS: Final = 10.0
#: Ports that are tried when the protocol's usual one is taken.
_NEXT_PORTS: Final = 100
#: Connections that may wait to be accepted.
_BACKLOG: Final = 128

_TOO_LONG: Final = "The request's head is too long."
_log = logging.getLogger("slicer_notebook.gateways")


class _Protocol(HttpToolsProtocol):
    """One connection, with deadlines. What it is at is looked at once a second by `_Server`."""

    counts: ClassVar[Counts]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._at = "head"  # head, body, answer, idle
        self._since = self.loop.time()
        self._stalled: float | None = None
        self._head = self._parsed = self._came = 0
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > CONNECTIONS:
            self._make_room()
        self.counts.open = len(self.connections)

    def _make_room(self) -> None:
        """Hang up on who keeps a place for the least: who asks nothing, whose body nobody wants any more, who sends
        the slowest; all others have been asked to do something.
        """
        others = [each for each in self.connections if isinstance(each, _Protocol) and each is not self]
        now = self.loop.time()
        quiet = [each for each in others if each._at in ("head", "idle")]
        late = [each for each in others if each._at == "body" and now - each._since > GRACE_SECONDS]
        unwanted = [each for each in late if each.cycle is None or each.cycle.response_complete]
        if quiet:
            victim = min(quiet, key=lambda each: each._since)
        elif unwanted or late:
            victim = min(unwanted or late, key=lambda each: each._came / (now - each._since))
        else:
            victim = self
        victim.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.counts.open = len(self.connections)

    def data_received(self, data: bytes) -> None:
        in_head = self._at in ("head", "idle")
        if in_head:
            self._head += len(data)
        else:
            self._came += len(data)
        super().data_received(data)
        if in_head and self._at == "head" and self._head > HEAD_BYTES:
            self._answer(431, _TOO_LONG)

    def on_message_begin(self) -> None:
        self._at, self._since, self._parsed = "head", self.loop.time(), 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._parsed += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._at, self._since, self._head, self._came = "body", self.loop.time(), 0, 0
        if self._parsed > HEAD_BYTES:
            self._answer(431, _TOO_LONG)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle is None:
            return
        if self.cycle.response_complete and self._came > UNREAD_BYTES:
            # It was answered long ago, such as that it is too long.
            self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._at = "answer"
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._at == "answer":
            self._at, self._since = "idle", self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if self._at == "head" and self._head > HEAD_BYTES:
            self._answer(431, _TOO_LONG)
        else:
            self._answer(400, msg)

    def _answer(self, status: int, text: str) -> None:
        body = text.encode("ascii")
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %d Refused\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, len(body), body)
            )
            self.transport.close()
            # What has been written goes out within a second, or never.
            self.loop.call_later(1.0, self.transport.abort)

    def look(self, now: float) -> None:
        """Hang up if it takes too long."""
        spent = now - self._since
        late = (
            (self._at == "head" and spent > HEAD_SECONDS)
            or (
                self._at == "body"
                and not self.flow.read_paused
                and spent > BODY_SECONDS + self._came / BODY_RATE
            )
            or (self._stalled is not None and now - self._stalled > WRITE_SECONDS)
        )  # fmt: skip
        if late:
            self.transport.abort()


class _Server(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # a tick is a tenth of a second
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Protocol):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class HttpServer:
    """Serves an ASGI application for a gateway.

    Args:
        app: it.
        context: the gateway's.
        kind: names the gateway in messages.
        usual_port: where it listens when the options name none.
        next_free: of the ports that follow, the first free one is taken when that is not.
        refusal: the protocol's own form of an answer, from a status and words, for what the guard refuses.
        max_body: bytes of a request's body.
        hang_up: the connection closes after each answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        context: Context,
        *,
        kind: str,
        usual_port: int,
        refusal: Callable[[int, str], Response],
        next_free: bool = False,
        max_body: int = MAX_BODY,
        hang_up: bool = False,
    ) -> None:
        self._kind = kind
        self._context = context
        self._usual_port = usual_port
        self._next_free = next_free
        guard = Guard(app, context, refusal=refusal, max_body=max_body, hang_up=hang_up)
        protocol = type("_Protocol", (_Protocol,), {"counts": context.counts})
        self._config = uvicorn.Config(
            guard,
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> tuple[str, int]:
        """Listen; the address and port, when requests are answered.

        Raises:
            GatewayError: the port is taken, or the address is none of this machine.
        """
        listener = self._listen()
        address = listener.getsockname()[:2]
        server = self._server = _Server(self._config)
        begun = threading.Event()

        async def serve() -> None:
            asyncio.get_running_loop().call_soon(begun.set)
            await server.serve(sockets=[listener])

        def run() -> None:
            try:
                asyncio.run(serve())
            except Exception:  # noqa: BLE001 - the thread's end; who asks it hears that it is gone
                _log.exception("The server for %s has ended.", self._kind)
            finally:
                listener.close()
                begun.set()

        self._thread = threading.Thread(target=run, name=f"slicer-notebook-{self._kind}", daemon=True)
        self._thread.start()
        # The socket listens already: what comes before the loop runs is answered a moment later.
        if not begun.wait(_THREAD_SECONDS) or not self._thread.is_alive():
            raise GatewayError(f"The server for {self._kind} did not start.")
        return str(address[0]), int(address[1])

    def stop(self) -> None:
        """End it."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_SECONDS + _THREAD_SECONDS)

    def _listen(self) -> socket.socket:
        options = self._context.options
        first = self._usual_port if options.port is None else options.port
        ports = range(first, min(first + _NEXT_PORTS, 65536)) if self._next_free and options.port is None else (first,)
        return listener(self._kind, options.bind, ports)


def listener(kind: str, bind: str, ports: range | tuple[int, ...]) -> socket.socket:
    """A socket that listens on the first of these ports that is free.

    Raises:
        GatewayError: none is, or the address is none of this machine.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(bind, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise GatewayError(
            f"The server for {kind} cannot be started: no such address.",
            expected="an address of this machine",
            got=bind,
        ) from None  # fmt: skip
    for port in ports:
        # With its protocol named, asyncio sets TCP_NODELAY: without, an answer in two parts waits 40 ms.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            # Without it a port is taken for a minute after its last server has closed a connection.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((where[0], port))
            sock.listen(_BACKLOG)
        except OSError as exc:
            sock.close()
            if exc.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            taken = exc.errno == errno.EADDRINUSE
            raise GatewayError(
                f"The server for {kind} cannot be started: "
                + ("the port is taken." if taken else f"{exc.strerror}."),
                expected="a free port" if taken else "an address of this machine and a port that may be used",
                got=f"{bind}, port {port}",
                hint="port 0 takes a free one" if taken else None,
            ) from None  # fmt: skip
        except (OverflowError, TypeError):
            sock.close()
            raise GatewayError(
                f"The server for {kind} cannot be started.", expected="a port, 0 to 65535", got=repr(port)
            ) from None
        sock.setblocking(False)
        return sock
    raise GatewayError(f"The server for {kind} cannot be started: no port was given.")
