"""URLs as they may be shown and logged: without what is secret in them, and without characters that do something.

Pure, and total: whatever text comes, there is an answer. Rather too much is hidden than too little.
"""

from __future__ import annotations

import re
import urllib.parse

__all__ = ["HIDDEN", "is_secret_key", "masked_url", "printable"]

#: What stands where something secret stood.
HIDDEN = "***"

# Characters. No URL that anybody means is as long (ours are refused over 8 kB). Of a longer text only the scheme is
# told: what is cut off in its middle can no longer be seen to be a secret.
MOST = 32_768

# Levels that are looked through: a URL in a URL in a URL has three percent-encodings. What is wrapped deeper is hidden.
DEPTH = 6

# Parts of names, in small letters and without "-", "_", ".", whose values are secrets, wherever they stand in the name.
_PARTS = (
    "token", "passw", "passphrase", "pwd", "secret", "apikey", "accesskey", "privatekey", "auth", "signature",
    "credential", "jwt", "bearer", "session", "ticket", "cookie", "assertion", "saml", "hmac", "capability",
)  # fmt: skip

# Names that are secret as they are, but not as a part of others (filterKey is none).
_WHOLE = frozenset({"key", "sig", "sid", "code", "pass", "pw", "pin", "otp", "sas", "login"})

# Kheops (DICOMweb with a token in the path): {api}/link/<token>/studies, https://host/view/<token>.
_PATH_TOKEN = re.compile(r"([/\\](?:link|view)[/\\]+)([^/\\?#&'\"\s]+)", re.IGNORECASE)

# A JSON web token (RFC 7519) is known by its looks: "eyJ" is '{"' in base64url.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")

# What stands before a host (RFC 3986 3.2), as loosely as browsers read it: slashes of any kind, none after "https:".
_BEFORE_HOST = re.compile(r"[/\\]{2,}|https?:[/\\]*", re.IGNORECASE)
_HOST_END = re.compile(r"[/\\?#]|$")
_PORT = re.compile(r"\d{0,5}['\"]?")

# A name with its value; a value in quotes goes up to the closing one, since OsiriX's values may hold "&".
_PAIR = re.compile(r"(?:(?<=[?&;#])|^)([^=&?;#]*)=('[^']*'|\"[^\"]*\"|%27.*?%27|[^&]*)")

_PIECE = re.compile(r"[^?&#]+")


def masked_url(url: str) -> str:
    """``url`` with ``***`` for each secret in it, in characters that can be printed.

    Hidden are user names and passwords before a host, the values of names that look like secrets (``access_token``,
    ``password``, ``X-Amz-Signature``, ``code``), tokens in a path of Kheops (``/link/<token>/``, ``/view/<token>``) and
    JSON web tokens; also in a URL that is the value of another one's parameter, percent-encoded or not. Control
    characters, unpaired surrogates and characters that change the direction of text become U+FFFD. Never raises.
    """
    if len(url) > MOST:
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:", url)
        return f"{scheme[0] if scheme else ''}{HIDDEN} ({len(url)} characters)"
    return _masked(printable(url), DEPTH)


def is_secret_key(name: str) -> bool:
    """Whether a parameter of that name holds a secret, as far as one can tell by the name."""
    plain = re.sub(r"[^a-z0-9]", "", _decoded(name).lower())
    return plain in _WHOLE or any(part in plain for part in _PARTS)


def printable(text: str) -> str:
    """``text`` with U+FFFD for each character that is no picture: controls, formats, surrogates, line separators."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def _masked(text: str, depth: int) -> str:
    text = _without_userinfo(text)
    text = _PATH_TOKEN.sub(rf"\1{HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    text = _PAIR.sub(lambda pair: _masked_pair(pair, depth), text)
    return _PIECE.sub(lambda piece: _masked_piece(piece[0], depth), text) if "%" in text else text


def _without_userinfo(text: str) -> str:
    last = text.rfind("@")
    parts, done = [], 0
    for before in _BEFORE_HOST.finditer(text):
        if before.end() < done or before.end() > last:
            continue
        end = _HOST_END.search(text, before.end())
        host = text[before.end() : end.start() if end else len(text)]
        at = before.end() + host.rfind("@") if "@" in host else -1
        # "https://user:pa/ss@host": no port is "pa", so that all up to the last "@" is taken for a password.
        if at < 0 and ":" in host and not host.startswith("[") and not _PORT.fullmatch(host.split(":", 1)[1]):
            at = last
        if at >= 0:
            parts += [text[done : before.end()], HIDDEN]
            done = at
    return "".join(parts) + text[done:]


def _masked_pair(pair: re.Match[str], depth: int) -> str:
    name, value = pair.groups()
    if value and is_secret_key(name):
        return f"{name}={HIDDEN}"
    # The value may be a URL with a query of its own, which did not end at "?" here.
    if not re.search(r"[?;#=]", value):
        return pair[0]
    return f"{name}={_masked(value, depth - 1) if depth else HIDDEN}"


def _masked_piece(piece: str, depth: int) -> str:
    """A part of the text that has no "?", "&" or "#" in it, looked at again as it reads when it is decoded."""
    plain = printable(urllib.parse.unquote(piece, errors="replace"))
    if plain == piece:
        return piece
    if not depth:
        return HIDDEN
    masked = _masked(plain, depth - 1)
    return piece if masked == plain else urllib.parse.quote(masked, safe="/:?&=#*@'+,;!$()[]~ ")


def _decoded(text: str) -> str:
    for _ in range(DEPTH):
        plain = urllib.parse.unquote(text, errors="replace")
        if plain == text:
            break
        text = plain
    return text
