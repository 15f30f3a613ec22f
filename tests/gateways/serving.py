"""A small application behind the guard, and raw sockets to ask it by."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from slicer_notebook.commands.gateway import Context, Line, Options
from slicer_notebook.gateways.http import HttpServer

__all__ = ["SILENCE", "Served", "ask", "parts", "served"]

#: Seconds that a test waits for an answer.
SILENCE = 20.0


async def _echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _deaf(request: Request) -> Response:
    return PlainTextResponse("not listening")


async def _broken(request: Request) -> Response:
    raise RuntimeError("-".join(("SECRET", "IN", "AN", "ERROR")))


async def _noted(request: Request) -> Response:
    request.state.note, request.state.status, request.state.good = "a note", "error -1", False
    return PlainTextResponse("noted")


async def _large(request: Request) -> Response:
    return Response(bytes(64 * 1024**2))


def _refusal(status: int, words: str) -> Response:
    return PlainTextResponse(f"refused: {words}", status)


class Served:
    """A running server. ``lines``: of its log."""

    def __init__(self, context: Context, lines: list[Line], port: int) -> None:
        self.context, self.lines, self.port = context, lines, port
        self.host = f"Host: 127.0.0.1:{port}"


@contextlib.contextmanager
def served(options: Options | None = None, **how: Any) -> Iterator[Served]:
    """Serve ``/echo``, ``/deaf``, ``/broken``, ``/noted``, ``/large``."""
    lines: list[Line] = []
    context = Context(None, options or Options(port=0), lines.append)  # type: ignore[arg-type] - it asks no Slicer
    methods = ["GET", "POST", "PUT", "DELETE"]
    routes = [
        Route(f"/{name}", endpoint, methods=methods)
        for name, endpoint in (
            ("echo", _echo), ("deaf", _deaf), ("broken", _broken), ("noted", _noted), ("large", _large)
        )
    ]  # fmt: skip
    server = HttpServer(
        Starlette(routes=routes), context, **{"kind": "test", "usual_port": 0, "refusal": _refusal, **how}
    )
    _, port = server.start()
    try:
        yield Served(context, lines, port)
    finally:
        server.stop()


def ask(port: int, *pieces: bytes | str, address: str = "127.0.0.1") -> bytes:
    """Send these pieces, each by itself; what comes until the server hangs up, or has answered whole."""
    with socket.create_connection((address, port), SILENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece.encode() if isinstance(piece, str) else piece)
        return read_answer(sock)


def read_answer(sock: socket.socket) -> bytes:
    """One answer with a Content-Length, or all until the end."""
    sock.settimeout(SILENCE)
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), None)
        if found and length is not None and len(body) >= length:
            return data
        more = sock.recv(1 << 20)
        if not more:
            return data
        data += more


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case), body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return int(first.split()[1]), headers, body
