"""What a configured PACS must be. No error repeats a value that may be a secret."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.server import (
    AE_TITLE,
    KHEOPS_LINK,
    SECRETS,
    Auth,
    Server,
    dimse_address,
    is_reference,
    shown_url,
)

__all__ = [
    "auth_of",
    "check_files",
    "check_name",
    "check_receivers",
    "check_server",
    "insecure",
    "is_harmless_header",
    "is_loopback",
    "kheops_link",
]

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
#: RFC 9110 5.6.2
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers whose values are no secrets, and so may stand in the configuration as they are.
_HARMLESS: Final = frozenset({"accept", "accept-language", "cache-control", "from", "origin", "referer", "user-agent"})
_SCHEMES: Final = ("dimse", "dimses", "http", "https", "kheops+http", "kheops+https")
_WAYS: Final = ("C-GET", "C-MOVE", "WADO-RS", "WADO-URI")
#: Associations or connections at the same time: more wins nothing, and a PACS takes it for an attack.
_MOST_PARALLEL: Final = 16

# -- names and addresses ---------------------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """Whether a server can have that name, which is part of a section's title, of commands and of files' names.

    Raises:
        ArgumentError: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArgumentError(
            "The name of a PACS.",
            expected="up to 64 letters (A to Z), digits, '-', '_' and '.'; a letter, digit or '_' first",
            got=repr(name),
        )


def kheops_link(url: str) -> tuple[str, str] | None:
    """A Kheops link (``https://host/view/TOKEN``) as the address of the API and the token; None for another URL."""
    scheme, separator, rest = url.partition("://")
    found = KHEOPS_LINK.match(rest)
    plain = scheme.lower().removeprefix("kheops+")
    if not separator or not found or plain not in ("http", "https"):
        return None
    before = found["before"] if found["how"] == "link" else f"{found['before']}/api"
    return f"kheops+{plain}://{before}", found["token"]


def _check_characters(what: str, url: str) -> None:
    # urlsplit drops some of them without a word.
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise ArgumentError(f"{what}: {shown_url(url)!r}.", got="a space, backslash or control character in it")


def _check_http_url(what: str, url: str, *, query: bool = False) -> None:
    """An http or https URL with nothing in it that is, or may be, a secret."""
    _check_characters(what, url)
    problem = ""
    try:
        parts = urlsplit(url)
        problem = _url_problem(parts, query)
    except ValueError:
        # Python's own text repeats parts of the URL.
        problem = "no port from 1 to 65535, or no host"
    if not problem and KHEOPS_LINK.search(url):
        problem = "a Kheops token in it"
    if problem:
        raise ArgumentError(
            f"{what}: {shown_url(url)!r}.",
            expected="a URL such as https://host/dicom-web, without user, password, query and fragment",
            got=problem,
            hint="Users, passwords and tokens have settings of their own: user, password, token.",
        )


def _url_problem(parts: SplitResult, query: bool) -> str:
    if parts.scheme.lower() not in ("http", "https"):
        return f"the scheme {parts.scheme!r}" if parts.scheme else "no scheme"
    if "@" in parts.netloc:
        return "a user or a password in it"
    if not parts.hostname or parts.port == 0:
        return "no host" if not parts.hostname else "port 0"
    if parts.query and not query:
        return "a query"
    return "a fragment" if parts.fragment else ""


def _check_url(url: str) -> None:
    _check_characters("The address", url)
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise ArgumentError(
            f"The address: {shown_url(url)!r}.",
            expected="dimse://CALLED_AE@host:port (dimses:// with TLS), https://host/dicom-web for DICOMweb, "
            "kheops+https://host/api for Kheops",
            got=f"the scheme {scheme!r}" if separator else "no scheme",
        )
    if scheme.lower().startswith("dimse"):
        dimse_address(url)
    else:
        _check_http_url("The address", re.sub(r"(?i)^kheops\+", "", url))


# -- a server --------------------------------------------------------------------------------------------------------


def check_server(server: Server) -> None:
    """Everything about a server that its own settings show, without a look at the machine.

    Raises:
        ArgumentError: what is wrong, and where.
    """
    check_name(server.name)
    _check_url(server.url)
    for what in ("web", "wado"):
        if getattr(server, what):
            _check_http_url(what, getattr(server, what))
    for what in ("token_url", "device_url"):
        if getattr(server, what):
            _check_http_url(what, getattr(server, what), query=True)  # RFC 6749 3.2
    if server.web and server.kind != "dimse":
        raise ArgumentError("web is a further address of a DIMSE server.", got=f"web, and the address {server.url}")
    _check_dimse(server)
    _check_proxy(server.proxy)
    _check_headers(server.headers)
    _check_numbers(server)
    _check_ways(server)
    _check_references(server)
    _check_auth(server)
    _check_certificate(server)


def _check_dimse(server: Server) -> None:
    if not AE_TITLE.fullmatch(server.calling):
        raise ArgumentError(
            "calling, our AE title.",
            expected="1 to 16 ASCII characters without backslash, not only spaces (PS3.5 6.2)",
            got=repr(server.calling),
        )
    try:
        ipaddress.ip_address(server.bind)
    except ValueError:
        raise ArgumentError(
            "bind, the address that the receiver listens on.",
            expected="an IP address of this machine, such as 127.0.0.1; 0.0.0.0 for all of them",
            got=repr(server.bind),
        ) from None


def _check_proxy(proxy: str) -> None:
    if not proxy:
        return
    try:
        parts = urlsplit(proxy)
        good = parts.scheme.lower() in ("http", "https", "socks5", "socks5h") and parts.hostname and parts.port != 0
        extra = "@" in parts.netloc or parts.query or parts.fragment or parts.path.strip("/")
    except ValueError:
        good, extra = None, ""
    if not good or extra:
        raise ArgumentError(
            f"proxy: {shown_url(proxy)!r}.",
            expected="http://host:port or socks5://host:port, without user and password",
            hint="A proxy that wants a password needs one on this machine in between, such as cntlm or px.",
        )


def is_harmless_header(name: str) -> bool:
    """Whether the value of a header is never a secret."""
    return name.lower() in _HARMLESS


def _check_headers(headers: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise ArgumentError(f"The header {name!r}.", expected="a name of letters, digits and '-' (RFC 9110 5.6.2)")
        if name.lower() in seen:
            raise ArgumentError(f"The header {name} is there twice, in different case.")
        seen.add(name.lower())
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise ArgumentError(f"The value of the header {name}.", got="a control character in it")


def _check_numbers(server: Server) -> None:
    if server.port != "free" and not 0 <= server.port <= 65535:
        raise ArgumentError(
            "port, where our receiver listens.", expected="1 to 65535, 'free', or 0 for none", got=str(server.port)
        )
    if not 1 <= server.parallel <= _MOST_PARALLEL:
        raise ArgumentError("parallel.", expected=f"1 to {_MOST_PARALLEL}", got=str(server.parallel))
    for what in ("timeout", "connect_timeout", "commit_timeout"):
        value = getattr(server, what)
        if not (math.isfinite(value) and value > 0):
            raise ArgumentError(f"{what}, in seconds.", expected="more than 0", got=f"{value:g}")


def _check_ways(server: Server) -> None:
    if len(set(server.ways)) < len(server.ways):
        raise ArgumentError("ways.", expected="each once", got=", ".join(server.ways))
    dimse = server.kind == "dimse"
    for way in server.ways:
        if way not in _WAYS:
            raise ArgumentError("ways.", expected=", ".join(_WAYS), got=repr(way))
        if way in ("C-GET", "C-MOVE") and not dimse:
            raise ArgumentError(f"ways: {way} is a way of DIMSE servers.", got=f"the address {server.url}")
        if way == "C-MOVE" and not server.port:
            raise ArgumentError(
                "ways: C-MOVE needs a receiver.",
                expected="port, where it listens, which the PACS must know",
                got="no port",
            )
        if way == "WADO-RS" and dimse and not server.web:
            raise ArgumentError("ways: WADO-RS needs web, the root of the server's DICOMweb.", got="no web")
        if way == "WADO-URI" and dimse and not server.wado:
            raise ArgumentError("ways: WADO-URI needs wado, the server's address of it.", got="no wado")


def _check_references(server: Server) -> None:
    values = {field: getattr(server, field) for field in SECRETS}
    values |= {f"headers.{name}": value for name, value in server.headers.items() if not is_harmless_header(name)}
    for field, value in values.items():
        if value and not is_reference(value):
            raise ArgumentError(
                f"{field} must not stand in the configuration itself.",
                expected="env:VARIABLE, or keyring",
                hint="Put it into an environment variable, or let pacs.add put it into the keyring.",
            )


# -- who we are ------------------------------------------------------------------------------------------------------


class _Means(NamedTuple):
    needs: tuple[str, ...]
    may: tuple[str, ...] = ()


_AUTH: Final[dict[str, _Means]] = {
    "basic": _Means(("user", "password")),
    "bearer": _Means(("token",)),
    "client_credentials": _Means(("token_url", "client_id", "client_secret"), ("scope",)),
    "device_code": _Means(("device_url", "token_url", "client_id"), ("client_secret", "scope")),
}
_CREDENTIALS: Final = tuple(dict.fromkeys(name for means in _AUTH.values() for name in (*means.needs, *means.may)))
#: What a person gives that means one kind of authorisation, the most telling first.
_TELLING: Final[dict[str, Auth]] = {
    "device_url": "device_code",
    "token_url": "client_credentials",
    "token": "bearer",
    "user": "basic",
    "password": "basic",
}


def auth_of(server: Server) -> Auth:
    """The kind of authorisation that a server's settings mean where none is said; empty where they mean none."""
    if server.auth or server.kind == "kheops" or not (server.kind == "dicomweb" or server.web or server.wado):
        return server.auth
    return next((auth for field, auth in _TELLING.items() if getattr(server, field)), "")


def _check_auth(server: Server) -> None:
    given = [name for name in _CREDENTIALS if getattr(server, name)]
    http = server.kind != "dimse" or bool(server.web or server.wado)
    if not http and (server.auth or [name for name in given if name not in ("user", "password")]):
        wrong = ["auth"] * bool(server.auth) + [name for name in given if name not in ("user", "password")]
        raise ArgumentError(
            f"{', '.join(wrong)}: a DIMSE server has no use for it.",
            expected="user and password (user identity, PS3.7 D.3.3.7); dimses:// for TLS",
        )
    if server.password and not server.user:
        raise ArgumentError("password without user.", expected="both")
    if server.auth == "basic" and ":" in server.user:
        raise ArgumentError("user.", expected="no colon in it (RFC 7617 2)", got=repr(server.user))
    if re.search(r"[\x00-\x1f\x7f]", server.user):
        raise ArgumentError("user.", got="a control character in it")
    if not server.auth:
        _check_no_auth(server, given)
        return
    means = _AUTH[server.auth]
    missing = [name for name in means.needs if name not in given]
    if missing:
        raise ArgumentError(f"auth={server.auth!r} needs {', '.join(means.needs)}.", got=f"no {', no '.join(missing)}")
    # A DIMSE server with an HTTP address has its user identity beside.
    allowed = {*means.needs, *means.may} | ({"user", "password"} if server.kind == "dimse" else set())
    if server.kind == "kheops":
        allowed.add("token")  # exchanged by those who have an access token
    unused = [name for name in given if name not in allowed]
    if unused:
        raise ArgumentError(f"auth={server.auth!r} has no use for {', '.join(unused)}.", got=", ".join(given))


def _check_no_auth(server: Server, given: list[str]) -> None:
    if server.kind == "kheops":
        unused = [name for name in given if name != "token"]
        if unused:
            raise ArgumentError(
                f"A Kheops server has no use for {', '.join(unused)}.", expected="token, or auth= and what it needs"
            )
        if not given:
            raise ArgumentError(
                "A Kheops server needs a token.",
                expected="token, of an album's link https://host/view/TOKEN or of a person",
                hint="token='env:VARIABLE' names the environment variable that holds it.",
            )
    elif [name for name in given if name not in ("user", "password")] or (given and server.kind == "dicomweb"):
        raise ArgumentError(
            f"{', '.join(given)}: which kind of authorisation is meant?",
            expected="auth=" + ", ".join(repr(name) for name in _AUTH),
        )


def _check_certificate(server: Server) -> None:
    if server.key_file and not server.cert_file:
        raise ArgumentError("key_file without cert_file.", expected="both, or a cert_file that holds the key, too")
    if server.key_password and not server.cert_file:
        raise ArgumentError("key_password without a key.", expected="cert_file, and key_file")
    if server.tls_receiver and not server.cert_file:
        # Without one it could only listen without TLS.
        raise ArgumentError("tls_receiver without a certificate.", expected="cert_file, and key_file")


# -- beside others, and on this machine ------------------------------------------------------------------------------


def check_files(server: Server) -> None:
    """Whether the files that are named can be read.

    Raises:
        ArgumentError: one is not there, is empty, or is no file.
    """
    for what in ("ca_file", "cert_file", "key_file"):
        named = getattr(server, what)
        if not named:
            continue
        try:
            with Path(named).open("rb") as source:
                found = source.read(1)
        except OSError as exc:
            raise ArgumentError(f"{what} cannot be read: {named}.", got=exc.strerror or type(exc).__name__) from exc
        if not found:
            raise ArgumentError(f"{what} is empty: {named}.", expected="a file in PEM")


def check_receivers(server: Server, others: Mapping[str, Server]) -> None:
    """Whether one receiver on ``server.port`` can serve it and the others that have the same port.

    It serves several AE titles. It cannot listen on two addresses, with TLS and without, or with two certificates; and
    what is done with what arrives unasked, is the AE title's.

    Raises:
        ArgumentError: it cannot.
    """
    # Of free ports, each address and each kind of certificate has one of its own.
    if server.port in (0, "free") or server.kind != "dimse":
        return
    for other in others.values():
        if other.name == server.name or other.port != server.port or other.kind != "dimse":
            continue
        for what, ours, theirs in (
            ("bind", server.bind, other.bind),
            ("TLS", _tls(server), _tls(other)),
            ("certificate", _certificate(server), _certificate(other)),
            ("unasked", server.unasked, other.unasked if other.calling == server.calling else server.unasked),
        ):
            if ours != theirs:
                raise ArgumentError(
                    f"port {server.port} is the receiver of {other.name!r}, too, with another {what}.",
                    expected=f"{what} as there ({theirs or 'none'}), or another port",
                    got=ours or "none",
                )


def _tls(server: Server) -> str:
    return "on" if server.tls_receiver else "off"


def _certificate(server: Server) -> str:
    """What the receiver shows, and what it wants to see."""
    files = (server.cert_file, server.key_file, server.ca_file)
    return " ".join(filter(None, files)) if server.tls_receiver else ""


def insecure(server: Server) -> str:
    """An address of a server to which secrets are sent so that whoever listens can read them; empty if none."""
    sent = (server.password, server.token, server.client_secret)
    tokens = server.auth in ("client_credentials", "device_code")
    if not any(sent) and not tokens and not any(map(is_reference, server.headers.values())):
        return ""
    for url in (server.url, server.web, server.wado, server.token_url, server.device_url):
        parts = urlsplit(url)
        dimse = parts.scheme.lower() == "dimse"
        if dimse and not server.password:
            continue
        if (dimse or parts.scheme.lower().removeprefix("kheops+") == "http") and not is_loopback(parts.hostname or ""):
            return url
    return ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other one reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
