"""Protocol data units (PS3.8 §9.3) over a TCP or TLS connection, each wait with a deadline and a way out.

pynetdicom makes and reads the units that negotiate; moving data is ours: its association runs each unit through queues
and threads of its own, and decodes what is only to be written to disk.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsUnreachableError
from slicer_notebook.pacs.model import Cancelled, never

__all__ = [
    "ABORT",
    "ASSOCIATE_AC",
    "ASSOCIATE_RJ",
    "ASSOCIATE_RQ",
    "DATA",
    "RELEASE_RP",
    "RELEASE_RQ",
    "Transport",
    "connect",
]

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

#: Seconds between two looks at the clock and at a cancel.
TICK: Final = 0.1
#: Bytes asked of the kernel at once, and of its buffer.
CHUNK: Final = 1 << 20
#: A unit of data longer than this (bytes) is no unit: peers were told a thousandth of it.
MOST_BYTES: Final = 1 << 27
#: Nor is another unit longer than this: 128 contexts with all transfer syntaxes there are have a third of it.
_MOST_OTHER: Final = 1 << 20
_QUICK_ACK: Final = getattr(socket, "TCP_QUICKACK", None)
_HEADER: Final = struct.Struct(">BxI")


class Transport:
    """A connection that units are read from and written to, by one thread.

    Args:
        sock: connected.
        peer: what it is called in errors.
        timeout: seconds of silence after which the peer is given up.
    """

    def __init__(self, sock: socket.socket, peer: str, timeout: float) -> None:
        self.peer = peer
        self.timeout = timeout
        self.cancelled: Cancelled = never
        #: Called at each tick with nothing to read; raises what ends the wait. For what else goes on meanwhile.
        self.on_tick: Callable[[], None] | None = None
        #: When the peer last gave a sign of life (`time.monotonic`); others may move it on.
        self.alive = time.monotonic()
        #: When waiting has to end whatever comes (`time.monotonic`): a peer may go on for ever byte by byte.
        self.until: float | None = None
        #: acknowledge at once what came (Linux): see `_receive`
        self.quick_ack = _QUICK_ACK is not None
        self._sock = sock
        self._buffer = bytearray(CHUNK)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._closed = False
        # Part of something has gone out, and the rest never will.
        self._torn = False
        self._looked = self.alive
        sock.settimeout(TICK)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @property
    def address(self) -> str:
        """The peer's address."""
        with contextlib.suppress(OSError):
            return str(self._sock.getpeername()[0])
        return ""

    def close(self) -> None:
        """End the connection; a second time, nothing."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.close()

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self) -> tuple[int, memoryview]:
        """The next unit's type and its body, which is good until the next call.

        Raises:
            PacsUnreachableError: the connection is lost, or the peer has been silent for too long.
            PacsAnswerError: what comes is no unit.
            JobCancelledError: `cancelled` said so.
        """
        self._fill(6)
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        most = MOST_BYTES if kind == DATA else _MOST_OTHER
        if not ASSOCIATE_RQ <= kind <= ABORT or length > most:
            raise PacsAnswerError(
                f"{self.peer} does not speak DICOM.",
                expected="a protocol data unit (PS3.8 9.3)",
                got=_stranger(bytes(self._view[self._start : self._start + 6])),
                hint="Is this the DICOM port, and not the one for HTTP? Does the port want TLS (dimses://)?",
            )
        self._fill(6 + length)
        body = self._view[self._start + 6 : self._start + 6 + length]
        self._start += 6 + length
        return kind, body

    def _fill(self, count: int) -> None:
        """Have ``count`` bytes in the buffer."""
        have = self._end - self._start
        if have >= count:
            return
        if self._start + max(count, CHUNK // 2) > len(self._buffer):
            self._make_room(count)
        while self._end - self._start < count:
            got = self._receive()
            self._end += got

    def _make_room(self, count: int) -> None:
        rest = bytes(self._view[self._start : self._end])
        if count > len(self._buffer):
            self._buffer = bytearray(count + CHUNK)
            self._view = memoryview(self._buffer)
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _receive(self) -> int:
        began = time.monotonic()
        self._look(began)
        while True:
            try:
                got = self._sock.recv_into(self._view[self._end :])
            except (TimeoutError, ssl.SSLWantReadError):
                self._waited("an answer", began)
                continue
            except OSError as exc:
                raise self._lost(exc) from exc
            if got == 0:
                raise self._lost(None)
            self.alive = time.monotonic()
            if self.quick_ack and _QUICK_ACK is not None:
                # A peer that lets Nagle's algorithm wait for our acknowledgement, which the kernel keeps back for
                # 40 ms, would send twenty instances a second.
                with contextlib.suppress(OSError):
                    self._sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            return got

    def _look(self, now: float) -> None:
        """What is looked at ten times a second, whether something comes or not."""
        if now - self._looked < TICK:
            return
        self._looked = now
        if self.on_tick is not None:
            self.on_tick()
        if self.cancelled():
            raise JobCancelledError("The transfer was cancelled.")
        if self.until is not None and now > self.until:
            raise PacsUnreachableError(
                f"{self.peer} has not come to an end in time.",
                expected="an answer",
                got="part of one, or other things",
                details={"timeout": True},
            )

    def _waited(self, awaited: str, began: float) -> None:
        """Nothing has come for a moment. ``began``: since when that was waited for; before, nobody asked."""
        now = time.monotonic()
        self._look(now)
        silent = now - max(self.alive, began)
        if silent > self.timeout:
            raise PacsUnreachableError(
                f"{self.peer} has been silent for {silent:.0f} seconds.",
                expected=awaited,
                got="nothing",
                hint="Ask again, or give it more time: timeout=... of the PACS's configuration.",
                details={"timeout": True},
            )

    def _lost(self, cause: OSError | None) -> PacsUnreachableError:
        if isinstance(cause, ssl.SSLError):
            # With TLS 1.3 a server that wants our certificate says so only after the handshake.
            return PacsUnreachableError(
                f"The TLS connection to {self.peer} was ended.",
                expected="an answer",
                got=_tls_words(cause),
                hint="Does it want our certificate (cert_file=, key_file=), of an authority that it knows?",
                details={"lost": True, "tls": True},
            )
        how = (cause.strerror or str(cause)) if cause is not None else "the peer closed the connection"
        return PacsUnreachableError(
            f"The connection to {self.peer} was lost.", expected="an answer", got=how, details={"lost": True}
        )

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it. Raises as `read`."""
        if self._torn:
            raise self._lost(None)
        rest = memoryview(data)
        began = time.monotonic()
        try:
            while rest:
                self._look(time.monotonic())
                try:
                    sent = self._sock.send(rest)
                except (TimeoutError, ssl.SSLWantWriteError):
                    # A record of TLS that has begun to go out cannot be taken back.
                    self._torn = self._torn or isinstance(self._sock, ssl.SSLSocket)
                    self._waited("that it takes what is sent", began)
                    continue
                except OSError as exc:
                    raise self._lost(exc) from exc
                self.alive = time.monotonic()
                self._torn = True
                rest = rest[sent:]
        finally:
            self._torn = self._torn and bool(rest)

    def unit(self, kind: int, body: bytes) -> None:
        """Send a unit."""
        self.write(_HEADER.pack(kind, len(body)) + body)

    # -- ending --------------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """A-ABORT (PS3.8 9.3.8), as far as it still goes out, and close."""
        if not self._closed and not self._torn:
            with contextlib.suppress(OSError, ValueError):
                self._sock.settimeout(0.5)
                self._sock.sendall(_HEADER.pack(ABORT, 4) + b"\0\0\0\0")
        self.close()

    def release(self, deadline: float = 3.0) -> None:
        """A-RELEASE (PS3.8 9.3.6): some peers finish a study only then. Never fails: the work is done."""
        if self._closed:
            return
        self.cancelled, self.on_tick = never, None
        self.timeout, self.until = deadline, time.monotonic() + deadline
        try:
            self.unit(RELEASE_RQ, b"\0\0\0\0")
            while True:
                kind, _ = self.read()
                if kind == RELEASE_RQ:  # both want to: a collision
                    self.unit(RELEASE_RP, b"\0\0\0\0")
                if kind in (RELEASE_RP, ABORT):
                    break
        except (PacsUnreachableError, PacsAnswerError):
            pass  # it is to end, and does
        self.close()


def connect(
    host: str, port: int, *, timeout: float, tls: ssl.SSLContext | None, peer: str, cancelled: Cancelled
) -> socket.socket:
    """A connection, with TLS where there is a context (its checks are made against ``host``).

    Args:
        timeout: seconds that name, connection and TLS handshake may take together.

    Raises:
        PacsUnreachableError: in words, what failed.
        JobCancelledError: ``cancelled`` said so.
    """
    until = time.monotonic() + timeout
    failure: OSError | None = None
    stage = "port"
    addresses = _resolved(host, port, until, peer, cancelled)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        # One address that nobody answers at (IPv6, often) leaves time for the others.
        share = (until - time.monotonic()) / (len(addresses) - number)
        sock: socket.socket | None = None
        stage = "port"
        try:
            sock = socket.socket(family, kind, protocol)
            _connected(sock, address, time.monotonic() + share, cancelled)
            if tls is None:
                return sock
            stage = "tls"
            sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            _shake_hands(sock, until, cancelled)
            return sock
        except BaseException as exc:
            if sock is not None:
                sock.close()
            if not isinstance(exc, OSError):
                raise
            failure = exc
    raise _unreachable(peer, host, port, failure, stage) from failure


def _resolved(host: str, port: int, until: float, peer: str, cancelled: Cancelled) -> list[Any]:
    """Addresses of a name. On a thread of its own: a name server that does not answer can only be left alone."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            answers.put(exc)

    threading.Thread(target=ask, name="pacs-name", daemon=True).start()
    found: Any = None
    while found is None:
        if cancelled():
            raise JobCancelledError("The transfer was cancelled.")
        if time.monotonic() > until:
            found = TimeoutError("the name server does not answer")
            break
        with contextlib.suppress(queue.Empty):
            found = answers.get(timeout=TICK)
    if isinstance(found, Exception):
        raise PacsUnreachableError(
            f"The name {host!r} of {peer} is not known here.",
            expected="a host that this machine can find",
            got=str(found),
            hint="Check the name, the VPN and the DNS; an IP address does as well.",
            details={"stage": "name"},
        ) from found
    return list(found)


def _connected(sock: socket.socket, address: Any, until: float, cancelled: Cancelled) -> None:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
        return
    _wait(sock, selectors.EVENT_WRITE, until, cancelled)
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _shake_hands(sock: ssl.SSLSocket, until: float, cancelled: Cancelled) -> None:
    """The TLS handshake."""
    while True:
        try:
            sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            _wait(sock, selectors.EVENT_READ, until, cancelled)
        except ssl.SSLWantWriteError:
            _wait(sock, selectors.EVENT_WRITE, until, cancelled)


def _wait(sock: socket.socket, event: int, until: float, cancelled: Cancelled) -> None:
    """Until the socket can be read from, or written to."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        while not selector.select(TICK):
            if cancelled():
                raise JobCancelledError("The transfer was cancelled.")
            if time.monotonic() > until:
                raise TimeoutError("no answer")


def _tls_words(cause: ssl.SSLError) -> str:
    """What OpenSSL says, without the place in its source."""
    return (cause.reason or cause.strerror or str(cause)).replace("_", " ").lower()


def _stranger(head: bytes) -> str:
    """What a peer's first bytes are, where they are no unit's."""
    if head[:5] == b"HTTP/":
        return "an HTTP answer"
    if head[:2] == b"\x15\x03":
        return "a TLS alert"
    kind, length = _HEADER.unpack(head)
    return f"type {kind} of {length} bytes"


def _unreachable(peer: str, host: str, port: int, cause: OSError | None, stage: str) -> PacsUnreachableError:
    hint = "Check host and port; is the PACS running, does a firewall let this machine through?"
    if stage == "tls":
        hint = (
            "Does this port speak TLS? Without it the address is dimse://. Does it want our certificate (cert_file=)?"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        got = f"the certificate was not accepted: {cause.verify_message}"
        hint = "Give the authority's certificate (ca_file=), and the host's name as the certificate has it."
    elif isinstance(cause, ssl.SSLError):
        got = f"the TLS handshake failed: {_tls_words(cause)}"
    elif isinstance(cause, ConnectionRefusedError):
        got = "nobody listens there (connection refused)"
    elif isinstance(cause, TimeoutError):
        got = "no answer" if stage == "port" else "no answer to the TLS handshake"
    else:
        got = (cause.strerror or str(cause)) if cause is not None else "no address"
        got = got if stage == "port" else f"the TLS handshake failed: {got}"
    return PacsUnreachableError(
        f"{peer} cannot be reached at {host}:{port}.",
        expected="a connection",
        got=got,
        hint=hint,
        details={"stage": stage},
    )
