"""GET for links: each address judged, redirections followed one by one, sizes and times limited, nothing secret told.

Tokens and passwords travel past httpx as an extension of the request (`dicomweb.transport`), as do paths.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, urljoin

import httpx
import msgspec

from slicer_notebook.errors import (
    LinkError,
    PacsAnswerError,
    PacsConfigError,
    PacsError,
    PacsRefusedError,
    SlicerNotebookError,
    StorageError,
)
from slicer_notebook.links.hosts import Address, NoAddressError, address_of
from slicer_notebook.links.masking import masked_url
from slicer_notebook.pacs.dicomweb import failures
from slicer_notebook.pacs.dicomweb.auth import basic_header
from slicer_notebook.pacs.dicomweb.client import Answer
from slicer_notebook.pacs.dicomweb.failures import FOREIGN, Place
from slicer_notebook.pacs.dicomweb.network import calling, check_cancelled
from slicer_notebook.pacs.dicomweb.transport import EXTENSION, Applied, Sending, Transport, proxy_for
from slicer_notebook.pacs.links.judging import Judge
from slicer_notebook.pacs.model import Cancelled, never
from slicer_notebook.pacs.server import Server
from slicer_notebook.pacs.tls import client_context

__all__ = ["Body", "Fetcher", "Limits"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Headers that belong to the server that they were meant for.
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "x-auth-token", "x-api-key"})
_WHAT: Final = "the file"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a download may take.

    Attributes:
        most_bytes: of all bodies together, unpacked. 32 GiB: a long 4-D study has a few.
        seconds: for all of it. Half a day: 32 GiB over a slow line (6 Mbit/s).
        silence: seconds without a byte.
        connect: seconds until a connection is there.
        slowest: bytes a second that must come on average after `slow_for` seconds: one that drips keeps nothing busy.
        redirects: for one request.
        instances: in one archive or multipart body.
        ratio: of a ZIP member's size to what it takes in the archive: deflate cannot exceed 1032, and images stay below
            200 but for empty ones, which `small` bytes are let through.
    """

    most_bytes: int = 32 << 30
    seconds: float = 43_200.0
    silence: float = 30.0
    connect: float = 10.0
    slowest: float = 256.0
    slow_for: float = 120.0
    redirects: int = 5
    instances: int = 200_000
    ratio: int = 200
    small: int = 64 << 20


class Body:
    """An answer of status 200, whose body is still to come.

    Attributes:
        address: where it came from, at last.
        kind: its media type in small letters; empty where the server says none.
        boundary: of a multipart body.
        size: bytes, where the server says so and nothing is packed.
        disposition: its Content-Disposition.
    """

    def __init__(self, answer: Answer, address: Address, fetcher: Fetcher) -> None:
        self.address = address
        self.kind, parameters = answer.content_type
        self.boundary = parameters.get("boundary")
        length = answer.headers.get("content-length", "")
        packed = answer.headers.get("content-encoding", "identity").lower() != "identity"
        self.size = int(length) if length.isdigit() and len(length) < 16 and not packed else None
        self.disposition = answer.headers.get("content-disposition", "")
        self._answer = answer
        self._fetcher = fetcher
        self._first = b""
        self._chunks: Iterator[bytes] | None = None

    def beginning(self, count: int = 1024) -> bytes:
        """Its first bytes, which come again from `chunks`."""
        pieces = self._pieces()
        while len(self._first) < count and (piece := next(pieces, None)) is not None:
            self._first += piece
        return self._first[:count]

    def chunks(self) -> Iterator[bytes]:
        """All of it, as it comes.

        Raises:
            LinkError: it broke off, is too large or too slow, or badly packed.
            JobCancelledError: somebody has said so.
        """
        pieces = self._pieces()
        if self._first:
            first, self._first = self._first, b""
            yield first
        yield from pieces

    def read(self, most: int) -> bytes:
        """All of it, if it has no more than ``most`` bytes. Raises as `chunks`."""
        pieces, size = [], 0
        for piece in self.chunks():
            size += len(piece)
            if size > most:
                raise self._fetcher.too_much(f"more than {most >> 20} MiB")
            pieces.append(piece)
        return b"".join(pieces)

    def _pieces(self) -> Iterator[bytes]:
        if self._chunks is None:
            self._chunks = self._fetcher.counted(self._answer.chunks())
        return self._chunks


class Fetcher:
    """All requests of one link. Used by several threads at a time; `close` it.

    Args:
        judge: of addresses.
        limits: of all together.
        cancelled: polled.
        name: of whom is asked, for errors; nothing secret.
    """

    def __init__(self, judge: Judge, limits: Limits, cancelled: Cancelled = never, name: str = "") -> None:
        self._judge = judge
        self.limits = limits
        self._cancelled = cancelled
        self._name = name
        self._clients: dict[str, httpx.Client] = {}
        self._began = time.monotonic()
        #: bytes that have come
        self.bytes = 0

    def close(self) -> None:
        """Let connections go."""
        for client in self._clients.values():
            client.close()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def get(
        self, address: Address, accept: str, headers: Mapping[str, str] | None = None, *, led: bool = False
    ) -> Iterator[Body]:
        """Ask; inside ``with``, the answer's body.

        Args:
            led: whether the address came from a server, as that of a redirection does.

        Raises:
            LinkRefusedError: the address, or where it is redirected to, may not be asked.
            LinkError: there is no good answer.
            JobCancelledError: somebody has said so.
        """
        with _translated(self._name):
            response, at, place = self._answered(address, accept, dict(headers or {}), led)
            try:
                answer = Answer(response, place, _WHAT, self._cancelled).check()
                yield Body(answer, at, self)
            finally:
                with calling(never):
                    response.close()

    def _answered(
        self, address: Address, accept: str, headers: dict[str, str], led: bool
    ) -> tuple[httpx.Response, Address, Place]:
        own = headers
        for hop in range(self.limits.redirects + 1):
            secret = any(name.lower() in _SECRET_HEADERS for name in own)
            self._judge.begin(address, led=led or hop > 0, secret=secret)
            place = Place(self._name, address.origin, self.limits.silence, self.limits.connect)
            try:
                with calling(self._cancelled):
                    response = self._client(address).send(self._request(address, accept, own), stream=True)
            except SlicerNotebookError:
                raise
            except FOREIGN as exc:
                raise failures.of_exception(exc, place) from None
            if response.status_code not in _REDIRECTS:
                return response, address, place
            response.close()
            there = _redirected(address, response.headers.get("location", ""))
            if there.origin != address.origin:
                own = {name: value for name, value in own.items() if name.lower() not in _SECRET_HEADERS}
            address = there
        raise self.too_much(f"more than {self.limits.redirects} redirections")

    def _client(self, address: Address) -> httpx.Client:
        found = self._clients.get(address.origin)
        if found is None:
            context = client_context(Server(name=self._name, url=address.origin), "")
            transport = Transport(context, proxy_for(address.origin, ""), self._judge.resolved)
            found = self._clients[address.origin] = httpx.Client(transport=transport, trust_env=False)
        return found

    def _request(self, address: Address, accept: str, headers: Mapping[str, str]) -> httpx.Request:
        given = dict(headers)
        if address.has_credentials and not any(name.lower() == "authorization" for name in given):
            given |= dict([basic_header(address.user or "", address.password or "")])
        path = quote(address.path or "/", safe="/%:@!$&'()*+,;=~")
        query = "" if address.query is None else "?" + quote(address.query, safe="/%:@!$&'()*+,;=~?")
        timeouts = {"read": self.limits.silence, "write": self.limits.silence, "pool": self.limits.silence}
        return self._client(address).build_request(
            "GET",
            address.origin,
            headers={"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "slicer-notebook"},
            extensions={
                EXTENSION: Sending("", path + query, Applied(tuple(given.items())), large=False),
                "timeout": {"connect": self.limits.connect, **timeouts},
            },
        )

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Chunks, as long as they are within the limits."""
        limits, began, got = self.limits, time.monotonic(), 0
        with _translated(self._name):
            for chunk in chunks:
                check_cancelled(self._cancelled)
                got += len(chunk)
                self.bytes += len(chunk)
                now = time.monotonic()
                if self.bytes > limits.most_bytes:
                    raise self.too_much(f"more than {limits.most_bytes} bytes")
                if now - self._began > limits.seconds:
                    raise self.too_much(f"more than {limits.seconds:g} s")
                if now - began > limits.slow_for and got < limits.slowest * (now - began):
                    raise self.too_much(f"less than {limits.slowest:g} bytes a second")
                yield chunk

    def too_much(self, got: str) -> LinkError:
        """The error for what exceeds a limit."""
        return LinkError(f"What {self._name!r} sends is not taken.", expected="a download within the limits", got=got)


def _redirected(address: Address, location: str) -> Address:
    try:
        # What is no text of a header's, no resolver and no parser is asked about.
        return address_of(urljoin(address.url, location.strip()))
    except (NoAddressError, ValueError):
        raise LinkError(
            "The link is redirected to what cannot be fetched.", expected="an http or https address", got="another one"
        ) from None


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Errors about a PACS as such about a link: who reads them has configured none."""
    try:
        yield
    except (StorageError, LinkError):
        raise
    except (PacsRefusedError, PacsAnswerError, PacsConfigError, PacsError) as exc:
        message = exc.message.replace(f"The PACS {name!r}", repr(name)).replace(f"the PACS {name!r}", repr(name))
        got = masked_url(exc.got) if exc.got else None
        hint = "Its link may have expired: ask for a new one." if exc.details.get("status") in (401, 403) else None
        raise LinkError(masked_url(message), expected=exc.expected, got=got, hint=hint, details=exc.details) from None
