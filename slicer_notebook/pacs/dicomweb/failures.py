"""What went wrong with a request, as our errors and in words: the one place where httpx's, ssl's and HTTP's are read.

No text here holds more of a URL than the configured root: paths and queries say whom was asked for.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpcore
import httpx

from slicer_notebook.errors import PacsAnswerError, PacsConfigError, PacsError, PacsRefusedError, PacsUnreachableError

__all__ = ["FOREIGN", "Place", "busy", "of_exception", "of_status", "status_of"]

#: What the layers below raise; `of_exception` has words for all of them.
FOREIGN: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    OSError,
)


class Place(NamedTuple):
    """Where requests go.

    Attributes:
        server: what the user calls the PACS.
        root: scheme, host, port and path, nothing secret.
        timeout, connect_timeout: seconds.
    """

    server: str
    root: str
    timeout: float = 30.0
    connect_timeout: float = 10.0

    @property
    def host(self) -> str:
        """Host and port."""
        parts = urlsplit(self.root)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def of_exception(exc: BaseException, place: Place) -> PacsError:
    """The error for an exception of httpx, httpcore, ssl or the operating system."""
    tls = next((cause for cause in _causes(exc) if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        return _tls(tls, place)
    for kinds, words in _WORDS:
        if isinstance(exc, kinds):
            return words(exc, place)
    return _unreachable(place, f"the connection broke ({_system_words(exc)})", "Try again.")


def _proxy(_exc: BaseException, place: Place) -> PacsError:
    return _unreachable(place, "the proxy refused to connect", "Check the proxy's address, user and password.")


def _slow_connection(_exc: BaseException, place: Place) -> PacsError:
    got = f"no connection to {place.host} within {place.connect_timeout:g} s"
    return _unreachable(place, got, "Check the address, the firewall and whether a VPN is needed.")


def _silence(_exc: BaseException, place: Place) -> PacsError:
    got = f"silence for {place.timeout:g} s"
    return _unreachable(place, got, "Try again; raise the timeout for a PACS that is slow.")


def _unwritable(_exc: BaseException, place: Place) -> PacsError:
    return _error(
        PacsConfigError,
        place,
        "The request for {server} cannot be written.",
        got="a header or an address with characters that HTTP does not allow",
        hint="Check its URL and headers; a token that ends in a line break is the usual cause.",
    )


def _no_web(_exc: BaseException, place: Place) -> PacsError:
    return _error(PacsConfigError, place, "{server} has no web address.", expected="http:// or https://")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it; our sockets put that into the arguments, as httpcore drops causes."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        now = waiting.pop()
        if now is None or id(now) in seen:
            continue
        seen.add(id(now))
        yield now
        waiting += [now.__context__, now.__cause__, *(each for each in now.args if isinstance(each, BaseException))]


def _error(
    kind: type[PacsError],
    place: Place,
    message: str,
    *,
    expected: str | None = None,
    got: str | None = None,
    hint: str | None = None,
    status: int | None = None,
) -> PacsError:
    details: dict[str, object] = {"server": place.server}
    if status is not None:
        details["status"] = status
    return kind(
        message.format(server=f"The PACS {place.server!r}"), expected=expected, got=got, hint=hint, details=details
    )


def _unreachable(place: Place, got: str, hint: str) -> PacsError:
    return _error(PacsUnreachableError, place, f"{{server}} cannot be reached at {place.root}.", got=got, hint=hint)


def _not_connected(exc: BaseException, place: Place) -> PacsError:
    system = _system(exc)
    if isinstance(system, socket.gaierror):
        got = f"the name {urlsplit(place.root).hostname!r} is not known"
        hint = "Check the spelling, the network and whether a VPN is needed."
    elif isinstance(system, ConnectionRefusedError):
        got, hint = f"nobody listens at {place.host}", "Check the port, and that the server (and the proxy) runs."
    elif system is not None and system.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        got, hint = f"there is no way to {place.host}", "Check the network and whether a VPN is needed."
    else:
        got, hint = f"no connection to {place.host} ({_system_words(exc)})", "Check the address and the port."
    return _unreachable(place, got, hint)


def _system(exc: BaseException) -> OSError | None:
    return next((cause for cause in _causes(exc) if isinstance(cause, OSError)), None)


def _system_words(exc: BaseException) -> str:
    system = _system(exc)
    if isinstance(system, ConnectionResetError | BrokenPipeError):
        return "reset by the other side"
    return (system.strerror if system is not None else None) or type(exc).__name__


def _not_http(exc: BaseException, place: Place) -> PacsError:
    text = str(exc)
    if "without sending" in text or "incomplete" in text or "disconnected" in text:
        return _unreachable(place, "the connection was closed before the answer was complete", "Try again.")
    return _error(
        PacsAnswerError,
        place,
        f"What answers for {{server}} at {place.root} does not speak HTTP as it should.",
        got="headers without end" if "too long" in text else "something that is not HTTP",
        hint="Check the port: a DIMSE port, or one that wants https://, answers so.",
    )


_WORDS: Final[tuple[tuple[tuple[type[Exception], ...], Callable[[BaseException, Place], PacsError]], ...]] = (
    ((httpcore.ProxyError, httpx.ProxyError), _proxy),
    ((httpcore.ConnectTimeout, httpx.ConnectTimeout), _slow_connection),
    ((httpcore.ConnectError, httpx.ConnectError), _not_connected),
    ((httpcore.TimeoutException, httpx.TimeoutException), _silence),
    ((httpcore.RemoteProtocolError, httpx.RemoteProtocolError), _not_http),
    ((httpcore.LocalProtocolError, httpx.LocalProtocolError, httpx.InvalidURL), _unwritable),
    ((httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol), _no_web),
)


# -- TLS --------------------------------------------------------------------------------------------------------------

#: OpenSSL's verification codes (X509_V_ERR_...) -> what it means, and what to do.
_CERTIFICATE: Final = {
    10: ("its certificate has expired", "Tell the PACS's administrator; check this machine's clock."),
    9: ("its certificate is not valid yet", "Check this machine's clock."),
    18: ("its certificate is signed by itself", "Name the certificate's file as ca_file."),
    19: ("an authority in its certificate's chain is not trusted", "Name the authority's certificate as ca_file."),
    20: ("the authority that signed its certificate is not trusted", "Name the authority's certificate as ca_file."),
    21: ("the authority that signed its certificate is not trusted", "Name the authority's certificate as ca_file."),
    62: ("its certificate is for another host name", "Use the name in the certificate in the URL."),
    64: ("its certificate is for another address", "Use the name in the certificate in the URL, not the number."),
}


def _tls(exc: ssl.SSLError, place: Place) -> PacsError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        got, hint = _CERTIFICATE.get(
            exc.verify_code, (f"its certificate was not accepted: {exc.verify_message}", "See ca_file.")
        )
        return _unreachable(place, f"TLS: {got}", hint)
    reason = (exc.reason or "").upper()
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason or "BAD_CERTIFICATE" in reason:
        return _error(
            PacsRefusedError,
            place,
            f"{{server}} refused the TLS connection to {place.host}.",
            got=f"TLS alert {exc.reason}",
            hint="It may want a client certificate: see cert_file and key_file.",
        )
    if "UNKNOWN_CA" in reason or "CERTIFICATE_UNKNOWN" in reason or "CERTIFICATE_EXPIRED" in reason:
        return _error(
            PacsRefusedError,
            place,
            f"{{server}} did not accept the client certificate at {place.host}.",
            got=f"TLS alert {exc.reason}",
            hint="Check cert_file and key_file with the PACS's administrator.",
        )
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER" in reason:
        return _unreachable(place, "TLS: the port does not speak TLS", "Check the port, or use http:// in its URL.")
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return _unreachable(
            place, "TLS: it offers only versions before 1.2", "They are broken: ask for an update of the server."
        )
    return _unreachable(place, f"TLS: {exc.reason or exc.strerror or 'the handshake failed'}", "Check port and TLS.")


# -- HTTP -------------------------------------------------------------------------------------------------------------


def busy(status: int) -> bool:
    """Whether the same request may succeed a little later (RFC 9110 15.6, RFC 6585 4)."""
    return status in (408, 425, 429, 500, 502, 503, 504)


_REFUSED: Final = {
    401: (
        "it wants to know who asks, or does not accept the user, password or token",
        "Check user and password, or the token: it may have expired.",
    ),
    403: ("the user may not do that", "Ask the PACS's administrator for the right."),
    407: ("the proxy wants a user and a password", "Put them into the proxy's address."),
}
_ANSWERS: Final = {
    400: ("it does not understand the request", "One of the keys may not be supported there."),
    404: ("nothing is there", "Check the path of the URL: the DICOMweb root ends where /studies begins."),
    405: ("it does not do that", None),
    406: ("it does not send what was asked for in a form that we read", None),
    409: ("it could not store anything of it", None),
    410: ("it is no longer there", None),
    413: ("it is too much for it", "Ask for less at a time."),
    414: ("the request is too long for it", "Ask for less at a time."),
    415: ("it does not take that kind of data", None),
    429: ("it was asked too often", "Wait a little, or use fewer connections (parallel)."),
    500: ("an error of the server", "Its log says more."),
    501: ("it does not do that", None),
    502: ("a proxy has no answer of the PACS", "Is the PACS running?"),
    503: ("it is overloaded or being serviced", "Try again later."),
    504: ("a proxy waited for the PACS in vain", "Try again later."),
}


def of_status(status: int, place: Place, what: str) -> PacsError:
    """The error for an HTTP status; ``what`` was asked for, such as ``"QIDO-RS /studies"``."""
    refused = status in _REFUSED
    got, hint = (_REFUSED if refused else _ANSWERS).get(status, ("an answer that does not belong here", None))
    if 500 <= status < 600 and status not in _ANSWERS:
        got = "an error of the server"
    return _error(
        PacsRefusedError if refused else PacsAnswerError,
        place,
        f"{{server}} {'refused' if refused else 'did not answer'} {what} at {place.root}.",
        got=f"HTTP {status}: {got}",
        hint=hint,
        status=status,
    )


def status_of(error: PacsError) -> int | None:
    """The HTTP status behind an error, if there is one."""
    status = error.details.get("status")
    return status if isinstance(status, int) else None
