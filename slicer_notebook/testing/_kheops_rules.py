"""Who may see and store what at the stand-in for Kheops, and how tokens are exchanged. No socket.

Facts of Kheops' public sources (its authorization server): who a token is, what a viewer token is good for, which
requests are refused. Where Kheops would let a mistake of a client pass, the stand-in refuses it.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["LIFE", "Album", "RefusedError", "Rules", "Token", "Visible"]

#: Seconds that a viewer token lives.
LIFE: Final = 18000
GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # the name of a type, no secret
_NEEDED: Final = ("grant_type", "subject_token", "subject_token_type", "scope", "studyUID")
_KNOWN: Final = (*_NEEDED, "source_type", "source_id")
#: PS3.5 9.1
UID: Final = r"[0-9]+(?:\.[0-9]+)*"
_UID: Final = re.compile(rf"(?=.{{1,64}}$){UID}")
#: RFC 6749 3.3
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")
_SCOPES: Final = frozenset({"viewer", "read", "write"})
#: Characters of an album's share token.
_SHARE: Final = 22

Visible = frozenset[str] | None
"""Study Instance UIDs that somebody sees; None for all that the archive has."""


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        error: code of OAuth 2 (RFC 6749 5.2) at the token endpoint; empty elsewhere.
    """

    def __init__(self, status: int, words: str, error: str = "") -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.error = error


@dataclass(eq=False)
class Token:
    """A token, and who it is. Its value is in no representation.

    Attributes:
        kind: "share" (of an album), "user" (a person's access token) or "viewer" (good for one study).
        album: the album's identifier, for a share token.
        user: the person's name, for theirs.
        scopes: of "read" and "write".
        ends: on the stand-in's clock; None: never.
        study, subject, source: of a viewer token: its study, what it was exchanged for, and "inbox", an album's
            identifier, or empty.
    """

    value: str = field(repr=False)
    kind: Literal["share", "user", "viewer"]
    scopes: frozenset[str]
    album: str = ""
    user: str = ""
    ends: float | None = None
    study: str = ""
    subject: Token | None = None
    source: str = ""


@dataclass(eq=False)
class Album:
    """An album.

    Attributes:
        id: its identifier, for ``album=`` and ``source_id=``.
        studies: Study Instance UIDs in it; None: all that the archive has.
        users: people who may see it, and store into it.
    """

    id: str
    name: str
    studies: set[str] | None
    users: set[str] = field(default_factory=set)

    @property
    def visible(self) -> Visible:
        """What is in it."""
        return None if self.studies is None else frozenset(self.studies)


class Rules:
    """Albums, people and tokens. Used by several threads at a time.

    Args:
        life: seconds that a viewer token lives.
    """

    def __init__(self, life: float = LIFE) -> None:
        self.life = life
        self.albums: dict[str, Album] = {}
        self.inboxes: dict[str, set[str]] = {}
        self._tokens: dict[str, Token] = {}
        self._lock = threading.RLock()
        self._ahead = 0.0

    # -- time -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds on its clock."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        with self._lock:
            self._ahead += seconds

    # -- making ---------------------------------------------------------------------------------------------------

    def add_album(self, name: str, studies: Iterable[str] | None, users: Iterable[str] = ()) -> Album:
        """An album; ``studies`` None: of all that the archive has."""
        album = Album(secrets.token_hex(8), name, None if studies is None else set(studies), set(users))
        with self._lock:
            self.albums[album.id] = album
        return album

    def add_user(self, name: str, inbox: Iterable[str]) -> None:
        """A person, with what is in their inbox."""
        with self._lock:
            self.inboxes[name] = set(inbox)

    def share(self, album: Album, scopes: Iterable[str], life: float | None = None) -> Token:
        """A share token of an album: 22 alphanumerics."""
        value = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SHARE))
        return self._kept(Token(value, "share", frozenset(scopes), album=album.id, ends=self._end(life)))

    def access(self, user: str, life: float | None = None) -> Token:
        """A person's access token, in the form of a JWT (RFC 7519): three parts of base64url."""
        value = ".".join(_part(size) for size in (40, 200, 256))
        return self._kept(Token(value, "user", frozenset({"read", "write"}), user=user, ends=self._end(life)))

    def _end(self, life: float | None) -> float | None:
        return None if life is None else self.now + life

    def _kept(self, token: Token) -> Token:
        with self._lock:
            self._tokens[token.value] = token
        return token

    def revoke(self, value: str) -> None:
        """Have a token end now, and with it what it was exchanged for."""
        with self._lock:
            self._tokens[value].ends = self.now

    @property
    def tokens(self) -> list[Token]:
        """All that were ever given out."""
        with self._lock:
            return list(self._tokens.values())

    # -- judging --------------------------------------------------------------------------------------------------

    def token(self, value: str) -> Token:
        """The token of a value, which is good. Raises `RefusedError`: 401."""
        with self._lock:
            token = found = self._tokens.get(value)
            while token is not None:
                if token.ends is not None and self.now >= token.ends:
                    raise RefusedError(401, "the token has ended")
                token = token.subject
        if found is None:
            raise RefusedError(401, "no such token")
        return found

    def visible(self, token: Token, album: str = "", inbox: bool = False) -> Visible:
        """What a token lets its bearer see, of an album or of the inbox or of all. Raises `RefusedError`: 403."""
        if "read" not in token.scopes:
            raise RefusedError(403, "the token is not one to read with")
        with self._lock:
            if token.kind == "viewer":
                return self._of_viewer(token, album, inbox)
            if album:
                return self._album(token, album).visible
            if inbox:
                if token.kind != "user":
                    raise RefusedError(403, "this authorization is not available for access to the inbox")
                return frozenset(self.inboxes[token.user])
            if token.kind == "share":
                return self.albums[token.album].visible
            return self._all_of(token.user)

    def _of_viewer(self, token: Token, album: str, inbox: bool) -> Visible:
        assert token.subject is not None
        if inbox and token.source != "inbox":
            raise RefusedError(403, "this authorization is not available for access to the inbox")
        if album and token.source not in ("", album):
            raise RefusedError(403, "this authorization is not available for access to this album")
        source = "" if token.source == "inbox" else token.source
        seen = self.visible(token.subject, album or source, token.source == "inbox")
        return frozenset({token.study}) if seen is None or token.study in seen else frozenset()

    def _album(self, token: Token, album: str) -> Album:
        found = self.albums.get(album)
        member = found is not None and (token.album == album if token.kind == "share" else token.user in found.users)
        if found is None or not member:
            raise RefusedError(403, "this authorization is not available for access to this album")
        return found

    def _all_of(self, user: str) -> Visible:
        seen = set(self.inboxes[user])
        for album in self.albums.values():
            if user in album.users:
                if album.studies is None:
                    return None
                seen |= album.studies
        return frozenset(seen)

    def may_store(self, token: Token, album: str, study: str) -> None:
        """Whether it may store, into an album or where it belongs. Raises `RefusedError`: 403."""
        if "write" not in token.scopes:
            raise RefusedError(403, "authorization is not valid for posting")
        if token.kind == "viewer" and token.study != study:
            raise RefusedError(403, "this authorization is for another study")
        if album:
            root = token.subject if token.kind == "viewer" and token.subject is not None else token
            self._album(root, album)

    def stored(self, token: Token, album: str, studies: Iterable[str]) -> None:
        """Studies were stored: where they are seen from now on."""
        root = token.subject if token.subject is not None else token
        with self._lock:
            into = self.albums.get(album or root.album)
            if into is None:
                self.inboxes[root.user].update(studies)
            elif into.studies is not None:
                into.studies.update(studies)

    # -- exchange -------------------------------------------------------------------------------------------------

    def exchanged(self, form: Sequence[tuple[str, str]]) -> dict[str, object]:
        """The answer to ``POST {api}/token`` (RFC 8693).

        Unknown parameters and scopes are refused, though RFC 6749 3.1 has them ignored: they are a client's mistake.

        Raises:
            RefusedError: 400, with a code of RFC 6749 5.2.
        """
        given = _checked(form)
        try:
            subject = self.token(given["subject_token"])
        except RefusedError:
            # RFC 8693 2.2.2
            raise RefusedError(400, "bad subject_token", "invalid_request") from None
        if subject.kind == "viewer":
            raise RefusedError(400, "a viewer token is not exchanged for another", "invalid_grant")
        source = given.get("source_id") or ("inbox" if given.get("source_type") == "inbox" else "")
        try:
            self.visible(subject, "" if source == "inbox" else source, source == "inbox")
        except RefusedError as exc:
            raise RefusedError(400, exc.words, "invalid_grant") from None
        viewer = Token(
            ".".join(_part(size) for size in (64, 40, 16, 240, 16)),  # a JWE (RFC 7516): five parts
            "viewer",
            frozenset(given["scope"].split(" ")) & subject.scopes,
            ends=self.now + self.life,
            study=given["studyUID"],
            subject=subject,
            source=source,
        )
        self._kept(viewer)
        life = int(self.life) if float(self.life).is_integer() else self.life
        return {"access_token": viewer.value, "token_type": "bearer", "expires_in": life}


def _part(size: int) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(size)).rstrip(b"=").decode("ascii")


def _checked(form: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The form's fields, each of which is there at most once and as it must be. Raises `RefusedError`."""
    names = [name for name, _ in form]
    given = dict(form)
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            raise RefusedError(
                400, f"must not have multiple {name}" if name in _KNOWN else "repeated", "invalid_request"
            )
        if name not in _KNOWN:
            raise RefusedError(400, "a parameter that there is not", "invalid_request")
    if "grant_type" in given and given["grant_type"] != GRANT:
        raise RefusedError(400, "another grant_type", "unsupported_grant_type")
    for name in _NEEDED:
        if not given.get(name):
            raise RefusedError(400, f"must have a single {name}", "invalid_request")
    if given["subject_token_type"] != ACCESS_TOKEN:
        raise RefusedError(400, "unknown subject_token_type", "invalid_request")
    if not _UID.fullmatch(given["studyUID"]):
        raise RefusedError(400, "bad studyUID", "invalid_request")
    words = given["scope"].split(" ")
    if not _SCOPE.fullmatch(given["scope"]) or "viewer" not in words or not set(words) <= _SCOPES:
        raise RefusedError(400, "scope must have viewer, and may have read and write", "invalid_scope")
    source = given.get("source_type")
    if source not in (None, "album", "inbox"):
        raise RefusedError(400, "source_type must be either album or inbox", "invalid_request")
    if source == "album" and not given.get("source_id"):
        raise RefusedError(400, "must have a single source_id", "invalid_request")
    if source != "album" and "source_id" in given:
        raise RefusedError(400, "source_id is for albums", "invalid_request")
    return given
