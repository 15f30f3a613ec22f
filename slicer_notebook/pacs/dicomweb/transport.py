"""From httpx to httpcore: our sockets, TLS, proxies; what is secret is put into a request here, at the last moment.

httpx's own requests hold neither path nor credentials: its log, and what a traceback shows of its objects, cannot tell.
"""

from __future__ import annotations

import base64
import re
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore
import httpx

from slicer_notebook.errors import PacsConfigError
from slicer_notebook.pacs.dicomweb.network import READ, Backend, Stream, keep_out_of_logs

__all__ = ["Applied", "Sending", "Transport", "proxy_for", "split_root"]

#: Seconds that an idle connection is kept; servers close theirs after 5 to 75 s, and httpcore notices when they did.
_KEPT_ALIVE: Final = 30.0
_MOST_IDLE: Final = 8
#: Bytes of a body from which on a new connection for the next request costs less than h11.
_LARGE: Final = 4 * 1024 * 1024
_MOST_CHUNK_LINE: Final = 4096
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")


class Applied(NamedTuple):
    """Credentials of one request."""

    headers: tuple[tuple[str, str], ...] = ()
    #: Put between the root and the path (Kheops' path tokens), such as ``/link/TOKEN``.
    prefix: str = ""

    def __repr__(self) -> str:
        return "Applied(...)"  # never in a log or a traceback


class Sending(NamedTuple):
    """What a request is about; travels past httpx as an extension of its request."""

    #: path of the configured root
    root: str
    #: path and query behind it
    target: str
    applied: Applied
    #: whether many megabytes are expected
    large: bool = False

    def __repr__(self) -> str:
        return "Sending(...)"


#: Name of the extension of httpx's requests that holds a `Sending`.
EXTENSION: Final = "slicer_notebook"


class Transport(httpx.BaseTransport):
    """Connections to whatever hosts are asked for, some kept open. Used by several threads at a time.

    Args:
        context: for https://.
        proxy: URL of an HTTP or SOCKS5 proxy; empty for none.
        judge: see `network.Backend`; not used behind a proxy, which resolves names itself.

    Raises:
        PacsConfigError: the proxy's URL is none.
    """

    def __init__(self, context: ssl.SSLContext, proxy: str = "", judge: Callable[[str], None] | None = None) -> None:
        keep_out_of_logs()
        # Unbounded: how many requests run at once is up to the threads that ask, which must not wait here unheard.
        options: dict[str, Any] = {
            "ssl_context": context,
            "max_connections": None,
            "max_keepalive_connections": _MOST_IDLE,
            "keepalive_expiry": _KEPT_ALIVE,
            "network_backend": Backend(None if proxy else judge),
        }
        self._pool = _proxied(proxy, context, options) if proxy else httpcore.ConnectionPool(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send; httpcore's exceptions pass."""
        sending = request.extensions[EXTENSION]
        headers = [*request.headers.raw, *((name.encode(), value.encode()) for name, value in sending.applied.headers)]
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=(sending.root + sending.applied.prefix + sending.target).encode("ascii"),
                ),
                headers=headers,
                content=request.stream,
                extensions={"timeout": request.extensions["timeout"]},
            )
        )
        body = _Body(answer, sending.large, request.extensions["timeout"]["read"])
        return httpx.Response(answer.status, headers=answer.headers, stream=body)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """A body: h11's, or where that is slower and no connection is worth keeping, straight from the connection."""

    def __init__(self, answer: httpcore.Response, large: bool, timeout: float | None) -> None:
        self._answer = answer
        self._timeout = timeout
        self._stream = answer.extensions.get("network_stream")
        self._length, self._chunked, self._direct = None, False, False
        if isinstance(self._stream, Stream) and answer.status == 200:
            headers = {name.lower(): value for name, value in answer.headers}
            self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
            length = headers.get(b"content-length", b"")
            self._length = int(length) if length.isdigit() and not self._chunked else None
            if self._chunked:
                self._direct = large
            elif self._length is not None:
                self._direct = self._length >= _LARGE
            else:
                self._direct = b"transfer-encoding" not in headers and not length  # to the connection's end

    def __iter__(self) -> Iterator[bytes]:
        stream = self._answer.stream
        if not isinstance(stream, Iterable):  # an asynchronous one: there is none from our pool
            raise TypeError(type(stream).__name__)
        if not self._direct:
            return iter(stream)
        pieces = self._pieces()
        return unchunked(pieces) if self._chunked else pieces

    def _pieces(self) -> Iterator[bytes]:
        assert isinstance(self._stream, Stream)
        left = self._length
        while left is None or left:
            piece = self._stream.take(READ if left is None else min(READ, left), self._timeout)
            if not piece:
                if left is None:
                    return
                raise httpcore.RemoteProtocolError("incomplete: the connection was closed")
            left = None if left is None else left - len(piece)
            yield piece

    def close(self) -> None:
        # h11 has not seen the end of a body that went past it: httpcore closes the connection then.
        self._answer.close()


def unchunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A chunked body (RFC 9112 7.1) without its framing; chunk extensions and trailers are dropped.

    Raises:
        httpcore.RemoteProtocolError: it is none, or ends before its last chunk.
    """
    left = 0  # bytes of the chunk that are still to come
    line = b""  # what has come of a line: a chunk's size, or the end of the one before
    for piece in pieces:
        at = 0
        while at < len(piece):
            if left:
                taken = min(left, len(piece) - at)
                yield piece if taken == len(piece) else piece[at : at + taken]
                at, left = at + taken, left - taken
                continue
            end = piece.find(b"\n", at)
            line += piece[at : end + 1] if end >= 0 else piece[at:]
            if len(line) > _MOST_CHUNK_LINE:
                raise httpcore.RemoteProtocolError("no chunk")
            if end < 0:
                break
            at = end + 1
            size, line = line.partition(b";")[0].strip(), b""
            if not size:
                continue  # the line end behind a chunk
            if not _HEXADECIMAL.fullmatch(size):
                raise httpcore.RemoteProtocolError("no chunk")
            left = int(size, 16)
            if not left:
                return
    raise httpcore.RemoteProtocolError("incomplete: the connection was closed between chunks")


# -- proxies ----------------------------------------------------------------------------------------------------------


def proxy_for(root: str, configured: str) -> str:
    """The proxy's URL for ``root``: the configured one, or the environment's (never for this machine), or none.

    ``direct`` as the configured one means none.
    """
    if configured:
        return "" if configured.lower() == "direct" else configured
    parts = urlsplit(root)
    host = parts.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    found = urllib.request.getproxies().get(parts.scheme, "")
    if not found or urllib.request.proxy_bypass(host):
        return ""
    return found if "://" in found else f"http://{found}"


def _proxied(url: str, context: ssl.SSLContext, options: dict[str, Any]) -> httpcore.HTTPProxy | httpcore.SOCKSProxy:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        raise _no_proxy(url) from None
    if scheme not in ("http", "https", "socks5", "socks5h") or not host:
        raise _no_proxy(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    address = httpcore.URL(scheme=scheme.encode(), host=host.encode("idna"), port=port, target=b"/")
    if scheme.startswith("socks"):
        auth = (user.encode(), password.encode()) if user else None
        return httpcore.SOCKSProxy(address, proxy_auth=auth, **options)
    headers = []
    if user:
        headers.append(("Proxy-Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()))
    proxy_context = context if scheme == "https" else None
    return httpcore.HTTPProxy(address, proxy_headers=headers, proxy_ssl_context=proxy_context, **options)


def _no_proxy(url: str) -> PacsConfigError:
    return PacsConfigError(
        "The proxy's address cannot be used.",
        expected="http://host:port, https://host:port or socks5://host:port",
        got=re.sub(r"//[^@/]*@", "//...@", url),
    )


def split_root(url: str) -> SplitResult:
    """The parts of a DICOMweb root.

    Raises:
        PacsConfigError: no http or https URL, or one with a password, which does not belong into it.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError where it is no number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise PacsConfigError(
            "The address of a DICOMweb server cannot be used.",
            expected="https://host:port/path, without a user and password",
            got=re.sub(r"//[^@/]*@", "//...@", url.partition("?")[0]),
        )
    return parts
