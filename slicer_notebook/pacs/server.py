"""A PACS as it is configured: addresses, names and where its secrets are; never a secret itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from slicer_notebook.errors import ArgumentError

__all__ = [
    "AE_TITLE",
    "KHEOPS_LINK",
    "SECRETS",
    "Auth",
    "DimseAddress",
    "Form",
    "Learned",
    "Server",
    "dimse_address",
    "is_reference",
    "shown_url",
]

#: PS3.5 6.2: up to 16 characters of the default repertoire without backslash and control characters; not only spaces.
AE_TITLE: Final = re.compile(r"(?=.*[^ ])[ !-\[\]-~]{1,16}")

#: Fields of `Server` that only ever hold a reference to a secret; values of `Server.headers` are beside them.
SECRETS: Final = ("password", "token", "client_secret", "key_password")
#: A Kheops token in a path: ``/view/TOKEN`` (what a person is sent) and ``/api/link/TOKEN`` (what programs may use). A
#: share token has 22 characters, a viewer's more.
KHEOPS_LINK: Final = re.compile(r"(?P<before>.*?)/(?P<how>view|link)/(?P<token>[A-Za-z0-9.+=_-]{22,})(?=[/?#]|$)")
_REFERENCE: Final = re.compile(r"keyring|env:[A-Za-z_][A-Za-z0-9_]*")

Auth = Literal["", "basic", "bearer", "client_credentials", "device_code"]

Form = Literal["", "bearer", "basic", "path"]
"""How a Kheops token is given; empty: as Bearer, and in the path where that is refused."""


class DimseAddress(NamedTuple):
    """Where a DIMSE peer listens."""

    called: str
    host: str
    port: int
    tls: bool


class Learned(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was found out about a server; kept with it, so that it is not found out again."""

    #: ways that worked, best first: "WADO-RS", "C-GET", "C-MOVE", "WADO-URI"
    ways: list[str] = []
    #: ways that this server does not have -> why
    refused: dict[str, str] = {}
    #: whether QIDO-RS answers honour ``limit`` and ``offset``; None: not known
    paging: bool | None = None
    #: whether ``/rendered`` and ``/thumbnail`` are there; None: not known
    rendered: bool | None = None
    thumbnail: bool | None = None
    #: whether the peer accepted relational queries and fuzzy matching (extended negotiation); None: not known
    relational: bool | None = None
    fuzzy: bool | None = None
    #: name and version that the peer gave of itself (Implementation Version Name, or the HTTP Server header)
    implementation: str = ""
    #: ISO 8601
    when: str = ""


class Server(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One PACS. Secrets are references: ``env:NAME`` (an environment variable) or ``keyring`` (the system's keyring).

    Attributes:
        name: what the user calls it.
        url: ``dimse://CALLED@host:11112`` (``dimses://`` with TLS), ``https://host/dicom-web`` (DICOMweb),
            ``kheops+https://host/api`` or a Kheops link ``https://host/view/TOKEN``'s server.
        web: DICOMweb root of the same archive, as a further way where ``url`` is DIMSE.
        wado: WADO-URI endpoint of the same archive, as a further way.
        calling: our AE title.
        port: where our storage SCP listens for C-MOVE (a PACS must know the port); "free": wherever there is room, for
            a PACS that is told when it is known; 0: no C-MOVE.
        bind: address that the storage SCP listens on; the loopback address unless told otherwise.
        user, password: for HTTP Basic, OAuth2 or DIMSE user identity.
        token: a bearer token; for Kheops an album's share token or a viewer's.
    """

    name: str
    url: str
    web: str = ""
    wado: str = ""
    calling: str = "SLICER"
    port: int | Literal["free"] = 0
    bind: str = "127.0.0.1"
    user: str = ""
    password: str = ""
    token: str = ""
    auth: Auth = ""
    #: OAuth2
    token_url: str = ""
    device_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""
    #: further HTTP headers; values may be references
    headers: dict[str, str] = {}
    proxy: str = ""
    #: PEM files: authorities to trust beside or instead of the system's, and our certificate and key
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password: str = ""
    #: what certificates are checked for; False only ever by the user's own word
    verify: bool = True
    #: seconds until an answer must have begun, or gone on
    timeout: float = 30.0
    #: seconds until a connection must be there
    connect_timeout: float = 10.0
    #: seconds to wait for the answers when storage commitment was asked for
    commit_timeout: float = 60.0
    #: associations or connections at most at the same time
    parallel: int = 2
    #: ways to fetch, in this order, instead of what was learned
    ways: list[str] = []
    #: character set (PS3.3 C.12.1.1.2) of keys that are not ASCII, where a peer does not know the usual ones
    charset: str = ""
    #: further AE titles that the PACS sends as, and the addresses it sends from, where they are not its own
    senders: list[str] = []
    send_addresses: list[str] = []
    #: whether our storage SCP wants TLS (with ``cert_file`` and ``key_file``)
    tls_receiver: bool = False
    #: what a PACS sends in a retrieval that nobody asked for: refused (what arrived already is dropped), or kept
    unasked: Literal["refuse", "keep"] = "refuse"
    learned: Learned = msgspec.field(default_factory=Learned)

    @property
    def kind(self) -> Literal["dimse", "dicomweb", "kheops"]:
        """The protocol of `url`."""
        scheme = self.url.partition(":")[0].lower()
        if scheme in ("dimse", "dimses"):
            return "dimse"
        return "kheops" if scheme.startswith("kheops+") else "dicomweb"

    def __repr__(self) -> str:
        """What is set; of a secret its reference, and nothing of what is none."""
        return f"Server({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> Any:
        yield from self._shown()

    def _shown(self) -> Iterator[tuple[str, Any]]:
        for name, default in msgspec.structs.asdict(Server(name="", url="")).items():
            value = getattr(self, name)
            if value == default:
                continue
            if name in SECRETS:
                value = _shown_reference(value)
            elif name == "headers":
                value = {header: _shown_reference(each) for header, each in value.items()}
            elif name in ("url", "web", "wado", "token_url", "device_url", "proxy"):
                value = shown_url(value)
            yield name, value


def is_reference(value: str) -> bool:
    """Whether a value says where a secret is (``env:NAME``, ``keyring``)."""
    return _REFERENCE.fullmatch(value) is not None


def _shown_reference(value: str) -> str:
    return value if is_reference(value) else "***"


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: password, token, query, fragment. For errors; any text will do."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    user, at, host = rest.rpartition("@")
    # A DIMSE address has the peer's AE title there, which is no secret.
    if at and (":" in user or scheme.lower() not in ("dimse", "dimses")):
        rest = f"***@{host}"
    rest = KHEOPS_LINK.sub(r"\g<before>/\g<how>/***", rest)
    return scheme + separator + re.sub(r"[?#].*", "?...", rest, flags=re.DOTALL)


def dimse_address(url: str) -> DimseAddress:
    """The parts of ``dimse://CALLED@host:port``.

    Raises:
        ArgumentError: not such a URL, or no AE title (PS3.5 6.2).
    """
    problem = ""
    try:
        parts = urlsplit(url)
        port, host, called = parts.port, parts.hostname, parts.username
    except ValueError:
        # Python's own text repeats parts of the URL, a password among them where that has a slash in it.
        raise _no_address(url, "no port from 1 to 65535, or no host") from None
    if parts.scheme.lower() not in ("dimse", "dimses"):
        problem = f"the scheme {parts.scheme!r}"
    elif not called or not AE_TITLE.fullmatch(unquote(called)):
        problem = f"the AE title {unquote(called or '')!r}"
    elif not host:
        problem = "no host"
    elif not port:
        problem = "no port"
    elif parts.password is not None:
        problem = "a password, which does not belong into a URL"
    elif parts.path.strip("/") or parts.query or parts.fragment:
        problem = "something behind the port"
    if problem:
        raise _no_address(url, problem)
    return DimseAddress(unquote(called or ""), host or "", port or 0, parts.scheme.lower() == "dimses")


def _no_address(url: str, problem: str) -> ArgumentError:
    return ArgumentError(
        f"{shown_url(url)!r} is no address of a DIMSE peer.",
        expected="dimse://CALLED_AE@host:port, such as dimse://ORTHANC@127.0.0.1:4242 (dimses:// with TLS)",
        got=problem,
    )
