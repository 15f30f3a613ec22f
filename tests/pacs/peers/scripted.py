"""A DIMSE peer that says just what a test wants, byte by byte: units that no library would send."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from slicer_notebook.pacs.dimse.negotiation import MAX_PDU, Requested, accept_unit, read_request
from slicer_notebook.pacs.dimse.transport import RELEASE_RP, RELEASE_RQ

#: Seconds until a test that waits for ever is let go.
PATIENCE = 20.0


def unit(kind: int, body: bytes, *, told: int | None = None) -> bytes:
    """A protocol data unit (PS3.8 9.3); ``told`` is the length that it gives instead of the true one."""
    return struct.pack(">BxI", kind, len(body) if told is None else told) + body


def value(context: int, flags: int, data: bytes, *, told: int | None = None) -> bytes:
    """A presentation data value (PS3.8 9.3.5); flags 1: command, 2: the last one."""
    return struct.pack(">IBB", len(data) + 2 if told is None else told, context, flags) + data


class Conversation:
    """One connection, from the peer's side.

    Attributes:
        units: type and body of what came, in its order.
    """

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self._over = over
        self.units: list[tuple[int, bytes]] = []

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                raise ConnectionError("the client has closed")
            data += got
        return data

    def read(self) -> tuple[int, bytes]:
        """The next unit."""
        kind, length = struct.unpack(">BxI", self._exactly(6))
        self.units.append((kind, self._exactly(length)))
        return self.units[-1]

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def accept(self, *, max_pdu: int = MAX_PDU) -> Requested:
        """Take the association, with the first transfer syntax of each context."""
        _, body = self.read()
        request = read_request(body)
        answer = accept_unit(request, {id_: syntaxes[0] for id_, _, syntaxes in request.contexts})
        longest = b"\x51\x00\x00\x04"
        self.send(answer.replace(longest + struct.pack(">I", MAX_PDU), longest + struct.pack(">I", max_pdu)))
        return request

    def rest(self, seconds: float) -> None:
        """Say nothing, until the test is over at the latest."""
        self._over.wait(seconds)

    def until_closed(self, *, released: bool = True) -> None:
        """Read on to the end, and answer a release, if it is to be ``released``."""
        with contextlib.suppress(OSError):
            while True:
                kind, _ = self.read()
                if kind == RELEASE_RQ and released:
                    self.send(unit(RELEASE_RP, b"\0\0\0\0"))


class Scripted:
    """``with Scripted(script) as peer``: each connection is a `Conversation`, given to the script on a thread."""

    def __init__(self, script: Callable[[Conversation], None]) -> None:
        self._script = script
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        self.url = f"dimse://SCRIPTED@127.0.0.1:{self.port}"
        self.conversations: list[Conversation] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def __enter__(self) -> Scripted:
        thread = threading.Thread(target=self._serve, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._door.accept()
                sock.settimeout(PATIENCE)
                self.conversations.append(Conversation(sock, self._over))
                thread = threading.Thread(target=self._talk, args=[self.conversations[-1]], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _talk(self, conversation: Conversation) -> None:
        try:
            with conversation.sock:
                self._script(conversation)
        except OSError:
            pass  # the client has gone
        except BaseException as exc:  # noqa: BLE001 - the test's thread raises it
            self._failure = exc

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._failure is not None and kind is None:
            raise self._failure
