"""Addresses of HTTP servers as links name them: taken apart strictly, and told where they lead by what they say.

Pure: no name is resolved here. What a name resolves to is judged when the connection is made, by `whereabouts` again.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from slicer_notebook.links.masking import HIDDEN, is_secret_key

__all__ = ["Address", "NoAddressError", "Where", "address_of", "host_of", "whereabouts"]

#: "name": a host name that says nothing of where it leads; "nowhere": an address that no server can have.
Where = Literal["loopback", "link-local", "private", "public", "name", "nowhere"]

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.IGNORECASE | re.DOTALL)
_HOST_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5})?)?")
#: RFC 1123 2.1, and the underscore that some intranets have.
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
#: What no address has as it is, whatever parsers do with it.
_NEVER: Final = re.compile(r"[\x00-\x20\x7f\\<>\"^`{|}]")
_LINK_TOKEN: Final = re.compile(r"/+(?:link|view)/+[^/]", re.IGNORECASE)

#: Where cloud machines ask for their own secrets, beside 169.254.169.254: AWS, Alibaba, Azure.
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598
_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")
#: IPv6 addresses with an IPv4 one in them lead there: RFC 6052, and `::a.b.c.d` (RFC 4291 2.5.5.1).
_EMBEDDING: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))


class NoAddressError(Exception):
    """It is no address of an HTTP server. ``scheme``: whether it has another scheme. Never reaches a user."""

    def __init__(self, scheme: str = "") -> None:
        super().__init__()
        self.scheme = scheme


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An http or https URL.

    Attributes:
        scheme: "http" or "https".
        host: in small letters and ASCII (RFC 3490); an IPv4 address in its usual notation; IPv6 without brackets.
        path, query: as they were given.
        user, password: decoded; None where there are none.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None
    user: str | None = None
    password: str | None = None

    @property
    def where(self) -> Where:
        """By what it says."""
        return whereabouts(self.host)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port not in (None, usual) else "")

    @property
    def url(self) -> str:
        """All but user and password."""
        return self.origin + self.path + (f"?{self.query}" if self.query is not None else "")

    @property
    def has_credentials(self) -> bool:
        """Whether there is a user or a password before the host."""
        return self.user is not None

    @property
    def has_token(self) -> bool:
        """Whether there is a token in its path, as of Kheops, or in its query."""
        names = (piece.partition("=")[0] for piece in re.split("[&;]", self.query or ""))
        return _LINK_TOKEN.search(unquote(self.path)) is not None or any(map(is_secret_key, names))

    def __repr__(self) -> str:
        return f"Address({self.origin}/{HIDDEN})"


def address_of(url: str) -> Address:
    """The parts of an http or https URL; stricter than browsers, so that nobody reads it in another way.

    Raises:
        NoAddressError: it is none, or one that parsers disagree about.
    """
    if _NEVER.search(url):
        raise NoAddressError
    found = _URL.fullmatch(url)
    if found is None:
        raise NoAddressError(url.partition(":")[0].lower() if ":" in url else "")
    scheme, authority, path, query = found[1].lower(), found[2], found[3], found[4]
    userinfo, at, host_port = authority.rpartition("@")
    parts = _HOST_PORT.fullmatch(host_port)
    if parts is None or "@" in userinfo:
        raise NoAddressError
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 0 < port < 65536:
        raise NoAddressError
    user, colon, password = userinfo.partition(":")
    return Address(
        scheme=scheme,
        host=host_of(parts[1]),
        port=port,
        path=path,
        query=query,
        user=unquote(user) if at else None,
        password=unquote(password) if at and colon else None,
    )


def host_of(text: str) -> str:
    """A host as it is looked up: names in ASCII, IPv4 addresses in their usual notation, IPv6 without brackets.

    ``127.1``, ``0x7f.1``, ``2130706433`` and ``0177.0.0.1`` are 127.0.0.1, as for every resolver (WHATWG URL 3.5).

    Raises:
        NoAddressError: no host has that name.
    """
    if "%" in text:  # also a zone of IPv6, which means something on one machine only
        raise NoAddressError
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise NoAddressError from None
    name = _ascii(text).lower().removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > 253:
        raise NoAddressError
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return str(_ipv4(labels))
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise NoAddressError
    return name


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")  # with NFKC: digits of other scripts become ours
    except UnicodeError:
        raise NoAddressError from None


def _ipv4(labels: list[str]) -> ipaddress.IPv4Address:
    if len(labels) > 4:
        raise NoAddressError
    numbers = [_number(label) for label in labels]
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise NoAddressError
    value = numbers[-1]
    for place, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - place))
    return ipaddress.IPv4Address(value)


def _number(label: str) -> int:
    # Longer ones are none, and make Python slow.
    if not label or len(label) > 16:
        raise NoAddressError
    try:
        if label.startswith("0x"):
            return int(label[2:] or "0", 16)
        return int(label, 8 if label.startswith("0") and label != "0" else 10)
    except ValueError:
        raise NoAddressError from None


def whereabouts(host: str) -> Where:
    """Where a host leads, by what it says: a name, or an address (also one that a name was resolved to)."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        return "loopback"
    try:
        address = _inner(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return "name"
    return _of_address(address)


def _inner(address: _IP) -> _IP:
    """The IPv4 address that an IPv6 one leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and int(address) > 1 and any(address in network for network in _EMBEDDING):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _of_address(address: _IP) -> Where:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local or address in _METADATA:
        return "link-local"
    this_network = isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK
    if address.is_unspecified or address.is_multicast or this_network or _is_reserved(address):
        return "nowhere"
    shared = isinstance(address, ipaddress.IPv4Address) and address in _SHARED
    return "private" if address.is_private or shared else "public"


def _is_reserved(address: _IP) -> bool:
    """240.0.0.0/4 with the broadcast address (RFC 1112 4); of IPv6, what nobody gives out."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved
    return address.is_reserved and not address.is_private
