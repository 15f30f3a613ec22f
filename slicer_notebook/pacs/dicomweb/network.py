"""Sockets for httpx: reads that are big enough to be fast, waits that can be cancelled, TLS, and no log of what we ask.

httpcore's own sockets read 64 KiB at a time and cannot be interrupted while they wait.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import httpcore

from slicer_notebook.errors import JobCancelledError
from slicer_notebook.pacs.model import Cancelled, never

__all__ = ["READ", "Backend", "Stream", "calling", "check_cancelled", "keep_out_of_logs"]

#: Bytes at once. Above it loopback streams get no faster; 64 KiB costs up to half as much processor time again.
READ: Final = 256 * 1024
#: httpcore's own size of reads, at which more is welcome: what is read for a proxy's greeting must not be exceeded.
_HTTPCORE_READ: Final = 64 * 1024
#: Seconds between two looks at ``cancelled``.
_SLICE: Final = 0.08


class _Call(threading.local):
    """What this thread is doing on the network just now."""

    def __init__(self) -> None:
        self.cancelled: Cancelled = never
        self.depth = 0


_call: Final = _Call()


class calling:  # noqa: N801  # a context manager, entered for each piece of a body: one made of a generator costs more
    """While this is open, this thread's waits on the network end when ``cancelled`` says so, and nothing is logged."""

    __slots__ = ("_cancelled", "_former")

    def __init__(self, cancelled: Cancelled) -> None:
        self._cancelled = cancelled
        self._former: Cancelled = never

    def __enter__(self) -> None:
        self._former, _call.cancelled = _call.cancelled, self._cancelled
        _call.depth += 1

    def __exit__(self, *_error: object) -> None:
        _call.cancelled = self._former
        _call.depth -= 1


def check_cancelled(cancelled: Cancelled) -> None:
    """Raise `JobCancelledError` if ``cancelled`` says so."""
    if cancelled():
        raise JobCancelledError("The request was cancelled.")


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _call.depth


def keep_out_of_logs() -> None:
    """httpx and httpcore log no request of ours: its URL says whom was asked for, its headers who asks."""
    names = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
    for name in names:
        logger = logging.getLogger(name)
        if _not_ours not in logger.filters:
            logger.addFilter(_not_ours)


class _Deadline:
    """A wait's end, and the person's word before it."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float:
        """Seconds to wait before looking again; 0 when the time is up. Raises `JobCancelledError`."""
        check_cancelled(_call.cancelled)
        return _SLICE if self._end is None else max(0.0, min(_SLICE, self._end - time.monotonic()))


class Backend(httpcore.NetworkBackend):
    """TCP connections for httpcore.

    Args:
        judge: told of each address that a host stands for, before anything is connected: what it raises (one
            of our errors) ends the connection.
    """

    def __init__(self, judge: Callable[[str], None] | None = None) -> None:
        self._judge = judge

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002  # httpcore's interface; we give it neither
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's addresses that answers; each has its share of the time."""
        end = None if timeout is None else time.monotonic() + timeout
        addresses = _addresses(host, port, timeout)
        if self._judge is not None:
            for _, address in addresses:
                self._judge(str(address[0]))
        problem: OSError | None = None
        for number, (family, address) in enumerate(addresses):
            share = None if end is None else (end - time.monotonic()) / (len(addresses) - number)
            try:
                return _SocketStream(_connected(family, address, share))
            except OSError as exc:
                problem = exc
        if isinstance(problem, TimeoutError):
            raise httpcore.ConnectTimeout(problem) from problem
        # As an argument, too: httpcore raises what it gets anew, without its cause.
        raise httpcore.ConnectError(problem) from problem


_Address = tuple[Any, ...]


def _addresses(host: str, port: int, timeout: float | None) -> list[tuple[int, _Address]]:
    """What the name stands for. The system's resolver cannot be interrupted: it has a thread of its own."""
    with contextlib.suppress(socket.gaierror, UnicodeError):
        return _resolved(host, port, socket.AI_NUMERICHOST)
    found: list[tuple[int, _Address]] = []
    problems: list[OSError] = []
    over = threading.Event()

    def resolve() -> None:
        try:
            found.extend(_resolved(host, port, 0))
        except OSError as exc:
            problems.append(exc)
        except UnicodeError:
            problems.append(socket.gaierror(socket.EAI_NONAME, "not a host name"))
        finally:
            over.set()

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    deadline = _Deadline(timeout)
    while not over.is_set():
        left = deadline.left()
        if not left:
            raise httpcore.ConnectTimeout("the name was not resolved in time")
        over.wait(left)
    if problems:
        raise httpcore.ConnectError(problems[0]) from problems[0]
    return found


def _resolved(host: str, port: int, flags: int) -> list[tuple[int, _Address]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))


def _connected(family: int, address: _Address, timeout: float | None) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        state = connection.connect_ex(address)
        if state in (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)):
            _wait_until_writable(connection, _Deadline(timeout))
            state = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state:
            raise OSError(state, errno.errorcode.get(state, "unknown"))  # becomes ConnectionRefusedError and the like
    except BaseException:
        connection.close()
        raise
    return connection


def _wait_until_writable(connection: socket.socket, deadline: _Deadline) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while left := deadline.left():
            if selector.select(left):
                return
    raise TimeoutError("no connection in time")


#: The end of an HTTP header, as h11 sees it.
_HEADER_END: Final = re.compile(rb"\n\r?\n")
#: Bytes of a header, after which it is h11's to complain.
_MOST_HEADER: Final = 128 * 1024


class Stream(httpcore.NetworkStream):
    """A connection whose answers can be read past h11: it gets the header and no byte more (`read`), and what is behind
    is there for who knows how long the body is (`take`). h11 copies each byte five times.
    """

    def __init__(self) -> None:
        self._held = b""
        self._header: bytearray | None = None

    def _receive(self, size: int, timeout: float | None) -> bytes:
        """Bytes as they come; none at the end."""
        raise NotImplementedError

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self.take(READ if max_bytes >= _HTTPCORE_READ else max_bytes, timeout)
        return data if self._header is None else self._up_to_header_end(self._header, data)

    def take(self, size: int, timeout: float | None) -> bytes:
        """Bytes as they come, first those behind the header that has been read; none at the end."""
        if self._held:
            data, self._held = self._held[:size], self._held[size:]
            return data
        return self._receive(size, timeout)

    def request_goes_out(self) -> None:
        """What comes next is an answer's header."""
        self._header = bytearray()

    def _up_to_header_end(self, header: bytearray, data: bytes) -> bytes:
        searched = max(0, len(header) - 2)
        header += data
        end = _HEADER_END.search(header, searched)
        if end is None:
            if len(header) > _MOST_HEADER:
                self._header = None
            return data
        own = len(data) - (len(header) - end.end())
        self._held = data[own:] + self._held
        # Behind an interim answer (100 Continue, 103) comes the header of another one.
        self._header = bytearray() if header[9:10] == b"1" else None
        return data[:own]


class _SocketStream(Stream):
    """Plain TCP."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        connection.settimeout(_SLICE)
        self._socket = connection

    def _receive(self, size: int, timeout: float | None) -> bytes:
        deadline = _Deadline(timeout)
        while deadline.left():
            try:
                return self._socket.recv(size)
            except TimeoutError:
                continue
            except OSError as exc:
                raise httpcore.ReadError(exc) from exc
        raise httpcore.ReadTimeout("silence")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.request_goes_out()
        left = memoryview(buffer)
        deadline = _Deadline(timeout)
        while left:
            if not deadline.left():
                raise httpcore.WriteTimeout("nothing more is taken")
            try:
                sent = self._socket.send(left)
            except TimeoutError:
                continue
            except OSError as exc:
                raise httpcore.WriteError(exc) from exc
            left = left[sent:]
            deadline = _Deadline(timeout)  # it goes on

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TlsStream(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._is_readable()
        if info == "socket":
            return self._socket
        return None

    def _is_readable(self) -> bool:
        """Something has come on an idle connection: its end, or what was not asked for."""
        if self._socket.fileno() < 0 or self._held:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return bool(selector.select(0))


class _TlsStream(Stream):
    """TLS over another stream, which may be TLS itself (to a proxy).

    OpenSSL reads and writes memory, never a socket: many records (16 KiB each) come with one read of the socket.
    """

    def __init__(self, inner: Stream, context: ssl.SSLContext, hostname: str | None, timeout: float | None) -> None:
        super().__init__()
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._plain = memoryview(bytearray(READ))
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
            self._shake_hands(timeout)
        # A name that can be in no certificate is a ValueError.
        except (ssl.SSLError, ValueError) as exc:
            self._send_alert()
            inner.close()
            raise httpcore.ConnectError(exc) from exc
        except httpcore.ReadError as exc:
            inner.close()
            raise httpcore.ConnectError(exc) from exc
        except httpcore.ReadTimeout as exc:
            inner.close()
            raise httpcore.ConnectTimeout("silence in the TLS handshake") from exc
        except BaseException:
            inner.close()
            raise

    def _shake_hands(self, timeout: float | None) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(timeout)
                self._fill(timeout)
                continue
            self._flush(timeout)
            return

    def _flush(self, timeout: float | None) -> None:
        if self._outgoing.pending:
            self._inner.write(self._outgoing.read(), timeout)

    def _fill(self, timeout: float | None) -> None:
        data = self._inner.take(READ, timeout)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _send_alert(self) -> None:
        """Tell the peer why its certificate was refused, if it still listens."""
        with contextlib.suppress(httpcore.WriteError, httpcore.WriteTimeout):
            self._flush(1.0)

    def _receive(self, size: int, timeout: float | None) -> bytes:
        size = min(size, READ)
        while True:
            got, ended = self._decrypt(size)
            if got or ended:
                return bytes(self._plain[:got])
            self._flush(timeout)
            self._fill(timeout)

    def _decrypt(self, size: int) -> tuple[int, bool]:
        """Bytes that are in ``_plain`` now, and whether the peer has ended the stream."""
        got = 0
        while got < size:
            try:
                # With a buffer it returns a count; typeshed says bytes.
                read = cast(int, self._tls.read(size - got, self._plain[got:size]))
            except ssl.SSLWantReadError:
                return got, False
            # Without a farewell, too: that a body is whole is seen by its length or its closing boundary.
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return got, True
            except ssl.SSLError as exc:
                if got:
                    return got, False
                raise httpcore.ReadError(exc) from exc
            if not read:
                return got, True
            got += read
        return got, False

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.request_goes_out()
        try:
            self._tls.write(buffer)
        except ssl.SSLError as exc:
            raise httpcore.WriteError(exc) from exc
        self._flush(timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TlsStream(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._held:
            return True
        return self._tls if info == "ssl_object" else self._inner.get_extra_info(info)
