"""An HTTP server that is told what to do wrong, and writes down what it is asked."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

#: Seconds until a test that waits for ever is let go.
PATIENCE = 20.0


@dataclass
class Request:
    """What came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)


@dataclass
class Reply:
    """What goes out.

    Attributes:
        framing: how the end of the body is told.
        then: "keep" the connection, "close" it, "reset" it, or "hang": say nothing more.
        told: Content-Length that is told instead of the true one.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close"] = "length"
    then: Literal["keep", "close", "reset", "hang"] = "keep"
    told: int | None = None
    raw: bytes | None = None  # instead of all of the above


Handler = Callable[[Request], Reply]


def as_json(value: Any, status: int = 200, kind: str = "application/dicom+json", **options: Any) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": kind}, **options)


class Faulty:
    """The server: ``with Faulty(handler) as server: server.url``."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self._tls = tls
        self._stopped = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port = int(self._socket.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/dicom-web"

    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    def __enter__(self) -> Faulty:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # A thread that waits in accept() is woken by a connection, not by close().
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._thread.join(PATIENCE)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            connection, _ = self._socket.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                self.connections += 1
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.add(connection)
            stream = connection.makefile("rb")
            while (request := self._read(stream, number)) is not None:
                if request.method == "TLS":
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                    break
                self.requests.append(request)
                if not self._answer(connection, request):
                    break
        with self._lock:
            self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.close()

    def _read(self, stream: Any, number: int) -> Request | None:
        if self._tls is None and stream.peek(1)[:1] == b"\x16":
            return Request("TLS", "", {}, b"", number)
        line = stream.readline()
        if not line.strip():
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body, number)

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Whether the connection is kept."""
        reply = self.handler(request)
        if reply.raw is not None:
            connection.sendall(reply.raw)
        else:
            self._send(connection, reply)
        if reply.then == "hang":
            self._stopped.wait(PATIENCE)
        elif reply.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif reply.then == "keep" and reply.framing != "close":
            return True
        return False

    def _send(self, connection: socket.socket, reply: Reply) -> None:
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        headers = {"Server": "Faulty/1.0", **reply.headers}
        if reply.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif reply.framing == "length" and reply.status != 204:
            pieces = list(pieces)
            headers["Content-Length"] = str(sum(map(len, pieces)) if reply.told is None else reply.told)
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(head.encode("latin-1") + b"\r\n")
        for piece in pieces:
            if reply.framing == "chunked" and piece:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                connection.sendall(piece)
        if reply.framing == "chunked" and reply.then == "keep":
            connection.sendall(b"0\r\n\r\n")


@contextlib.contextmanager
def several() -> Iterator[Callable[[Handler | Reply], Faulty]]:
    """Begins servers, by what each answers; all end with the block."""
    with contextlib.ExitStack() as stack:

        def begin(handler: Handler | Reply) -> Faulty:
            return stack.enter_context(Faulty(handler if callable(handler) else lambda _request: handler))

        yield begin


# -- bodies -----------------------------------------------------------------------------------------------------------


def study_item(number: int, **more: Any) -> dict[str, Any]:
    """A study in the DICOM JSON model."""
    return {
        "00080020": {"vr": "DA", "Value": ["20200101"]},
        "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
        "00081190": {"vr": "UR", "Value": [f"http://127.0.0.1/dicom-web/studies/1.2.{number}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Müller^Patient{number}"}]},
        "00100020": {"vr": "LO", "Value": [f"P{number}"]},
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00201206": {"vr": "IS", "Value": [2]},
        **more,
    }


def multipart(
    parts: Iterable[bytes], *, boundary: str = "b0undary", kind: str = "application/dicom", lengths: bool = True
) -> bytes:
    """A multipart body."""
    body = b""
    for part in parts:
        length = f"Content-Length: {len(part)}\r\n" if lengths else ""
        body += f"--{boundary}\r\nContent-Type: {kind}\r\n{length}\r\n".encode() + part + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def multipart_reply(body: bytes, *, boundary: str = "b0undary", **options: Any) -> Reply:
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return Reply(200, body, {"Content-Type": kind}, **options)


class Archive:
    """QIDO-RS over numbered studies, with faults.

    Args:
        count: studies that there are.
        limit, offset: whether these are honoured.
        cap: answers to one request at most, whatever the limit.
        overlap: by how many answers each page begins too early.
        endless: whether there are always more.
    """

    def __init__(
        self,
        count: int,
        *,
        limit: bool = True,
        offset: bool = True,
        cap: int | None = None,
        overlap: int = 0,
        endless: bool = False,
    ) -> None:
        self.count = count
        self.limit, self.offset, self.cap, self.overlap, self.endless = limit, offset, cap, overlap, endless

    def __call__(self, request: Request) -> Reply:
        query = request.query
        start = int(query.get("offset", "0")) if self.offset else 0
        start = max(0, start - self.overlap) if start else 0
        number = int(query.get("limit", str(self.count))) if self.limit else self.count
        if self.cap is not None:
            number = min(number, self.cap)
        stop = start + number if self.endless else min(self.count, start + number)
        return as_json([study_item(i) for i in range(start, stop)])
