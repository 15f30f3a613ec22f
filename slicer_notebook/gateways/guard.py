"""Who may ask: an ASGI layer around a gateway's application.

A browser tells by headers which page asks (Fetch standard: ``Origin``; W3C Fetch Metadata: ``Sec-Fetch-Site``); a page
cannot leave them out. Programs other than browsers send none of them.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import socket
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from slicer_notebook.commands.gateway import Line
from slicer_notebook.links.masking import masked_url
from slicer_notebook.pacs.checks import is_loopback

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from slicer_notebook.commands.gateway import Context

__all__ = ["Guard", "is_own_name"]

#: What a page of another origin may send, where that origin was named.
_CORS: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"accept, authorization, content-type, last-event-id, x-slicer-token"),
    (b"access-control-max-age", b"600"),
)
#: Headers of which two would say two things.
_ONCE: Final = frozenset((
    b"host", b"origin", b"referer", b"sec-fetch-site", b"authorization", b"x-slicer-token", b"content-length",
    b"content-encoding", b"transfer-encoding",
))  # fmt: skip
#: A host and perhaps a port (RFC 9110 7.2), and nothing that a parser of URLs would cut off.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][/?#@\\:\s]+)(?::[0-9]*)?")
#: Digits of a Content-Length: 10^18 bytes are an exabyte.
_DIGITS: Final = 18
#: Bytes of what was asked that are kept for the log.
_SHOWN: Final = 500

_log = logging.getLogger("slicer_notebook.gateways")


class _TooLongError(Exception):
    """The body is longer than its limit."""


class _BrokenOffError(Exception):
    """An answer that cannot be ended: the connection is."""


class _Exchange:
    """A request's body, counted, and its answer, with the headers that the guard adds."""

    __slots__ = ("_length", "_max_body", "_more", "_receive", "_send", "status", "too_long", "whole")

    def __init__(self, receive: Receive, send: Send, more: list[tuple[bytes, bytes]], max_body: int) -> None:
        self._receive, self._send, self._more, self._max_body = receive, send, more, max_body
        self._length = 0
        self.status = 0
        self.whole = self.too_long = False

    async def limited(self) -> Message:
        message = await self._receive()
        self._length += len(message.get("body", b""))
        if self._length > self._max_body:
            self.too_long = True
            raise _TooLongError
        return message

    async def answer(self, message: Message) -> None:
        if self.too_long and not self.status:
            return  # what the application says of it; 413 says more
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._more:
                message = {**message, "headers": [*message.get("headers", ()), *self._more]}
        else:
            self.whole = not message.get("more_body", False)
        await self._send(message)


class Guard:
    """Asks the application only what may be asked; keeps a line of each request.

    Args:
        app: it.
        context: the gateway's.
        refusal: an answer from a status and words.
        max_body: bytes of a request's body.
        hang_up: the connection closes after each answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        context: Context,
        *,
        refusal: Callable[[int, str], Response],
        max_body: int,
        hang_up: bool,
    ) -> None:
        self._app = app
        self._context = context
        self._refusal = refusal
        self._max_body = max_body
        self._hang_up = hang_up
        options = context.options
        self._token = options.token.encode()
        self._origins = {origin.rstrip("/").lower() for origin in options.origins}
        self._names = {name.lower() for name in (*options.names, options.bind)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers: dict[bytes, bytes] = {}
        twice = False
        for name, value in scope["headers"]:
            twice = twice or (name in headers and name in _ONCE)
            headers[name] = value
        scope.setdefault("state", {})
        named = headers.get(b"origin", b"").decode("latin-1").lower() in self._origins
        more = [(b"connection", b"close")] if self._hang_up else []
        if named:
            more += [(b"access-control-allow-origin", headers[b"origin"]), (b"vary", b"origin")]
        exchange = _Exchange(receive, send, more, self._max_body)
        refused = (400, "A header comes twice.") if twice else self._refused(scope, headers, named)
        try:
            if refused is not None:
                await self._refuse(scope, exchange.answer, *refused)
            elif named and _is_preflight(scope, headers):
                await _preflight(exchange.answer, headers)
            else:
                has_body = b"content-length" in headers or b"transfer-encoding" in headers
                await self._ask(scope, exchange, exchange.limited if has_body else receive)
        finally:
            self._note(scope, refused, exchange.status, began)

    async def _ask(self, scope: Scope, exchange: _Exchange, receive: Receive) -> None:
        try:
            await self._app(scope, receive, exchange.answer)
        except _TooLongError:
            exchange.too_long = False
            if not exchange.status:
                await self._refuse(scope, exchange.answer, 413, self._too_long())
        except Exception as exc:  # noqa: BLE001 - one request; the others go on
            # Where, but not its words: whatever was asked for, secrets included, may be in them.
            where = "".join(traceback.format_tb(exc.__traceback__))
            _log.error("A request ended in %s.\n%s", type(exc).__name__, where)
            scope["state"]["note"] = f"failed: {type(exc).__name__}"
            if not exchange.status:
                await self._refuse(scope, exchange.answer, 500, "Something failed that should not.")
            elif not exchange.whole:
                raise _BrokenOffError from None

    def _refused(self, scope: Scope, headers: dict[bytes, bytes], named: bool) -> tuple[int, str] | None:
        host, declared = headers.get(b"host"), headers.get(b"content-length", b"0")
        refused: tuple[int, str] | None = None
        if host is None and scope["http_version"] != "1.0":
            refused = 400, "There is no Host header."
        elif host is not None and not is_own_name(host.decode("latin-1"), self._names, scope.get("server")):
            refused = 403, "This machine has no such name. (--name NAME of slicer-notebook serve adds one.)"
        elif not named and not _is_no_page(headers):
            refused = 403, "A web page asks that was not named. (--origin ORIGIN of slicer-notebook serve names one.)"
        elif self._token and not (named and _is_preflight(scope, headers)) and not self._knows_token(headers):
            refused = 401, "The token is missing or wrong. (Authorization: Bearer TOKEN, or X-Slicer-Token: TOKEN)"
        elif headers.get(b"content-encoding", b"identity").lower() != b"identity":
            refused = 415, "A compressed body is not taken."
        elif not declared.isdigit():
            refused = 400, "The Content-Length is no number."
        elif len(declared) > _DIGITS or int(declared) > self._max_body:
            refused = 413, self._too_long()
        return refused

    def _too_long(self) -> str:
        return f"The body is longer than {self._max_body} bytes."

    def _knows_token(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
        given = value.strip() if scheme.lower() == b"bearer" else headers.get(b"x-slicer-token", b"")
        return hmac.compare_digest(given, self._token)

    async def _refuse(self, scope: Scope, send: Send, status: int, words: str) -> None:
        scope["state"].setdefault("note", words)
        response = self._refusal(status, words)
        if status == 401:
            response.headers["www-authenticate"] = "Bearer"
        if any(name == b"expect" for name, _ in scope["headers"]):
            # The body has not been sent, and whether it still comes is not said (RFC 9110 10.1.1).
            response.headers["connection"] = "close"
        await response(scope, _nothing_more, send)

    def _note(self, scope: Scope, refused: tuple[int, str] | None, status: int, began: float) -> None:
        state: dict[str, Any] = scope["state"]
        # The path as it was sent: decoded, it could end the line.
        what = scope.get("raw_path", b"").decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        if query or "/link/" in what or "/view/" in what:
            what = masked_url(f"{what}?{query}" if query else what)
        client = scope.get("client") or ("", 0)
        words = str(state.get("status", "")) or (str(status) if status else "hung up")
        self._context.note(
            Line(
                who=f"{client[0]}:{client[1]}",
                what=f"{scope['method']} {state.get('what', '') or what}"[:_SHOWN],
                status=words,
                good=refused is None and 0 < status < 400 and bool(state.get("good", True)),
                ms=round((time.perf_counter() - began) * 1000, 2),
                note=str(state.get("note", ""))[:_SHOWN],
            )
        )


def _is_preflight(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a browser asks what a page may send (Fetch standard): answered here, and without a token, which it does
    not send then. An OPTIONS that is none of these goes to the application like any request.
    """
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


def _is_no_page(headers: dict[bytes, bytes]) -> bool:
    """Whether no page of another origin asks: a program, or what a person typed, or a page of this very server."""
    site = headers.get(b"sec-fetch-site")
    if site is not None and site not in (b"none", b"same-origin"):
        return False
    host = headers.get(b"host", b"").lower()
    for name in (b"origin", b"referer"):
        value = headers.get(name)
        if value is None:
            continue
        try:
            asks = urlsplit(value.decode("latin-1").lower())
        except ValueError:
            return False
        if asks.scheme not in ("http", "https") or asks.netloc.encode("latin-1") != host:
            return False
    return True


def is_own_name(host: str, names: set[str], server: tuple[str, int | None] | None) -> bool:
    """Whether a Host header (RFC 9110 7.2) names this machine: loopback, the address that the connection came to, or
    one of ``names``. A page whose name was made to point here (DNS rebinding) brings that name.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    if name == "localhost" or name in names:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        own, outside = socket.gethostname().lower(), server is None or not is_loopback(server[0])
        return outside and name in (own, f"{own}.local")
    return address.is_loopback or (server is not None and name == server[0].lower())


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


async def _preflight(send: Send, headers: dict[bytes, bytes]) -> None:
    """Fetch standard, CORS-preflight; W3C Private Network Access."""
    more = list(_CORS)
    if headers.get(b"access-control-request-private-network") == b"true":
        more.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": more})
    await send({"type": "http.response.body", "body": b""})
