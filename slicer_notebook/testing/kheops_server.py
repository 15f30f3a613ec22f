"""A stand-in for Kheops to try things on: its tokens and its DICOMweb, strictly, in front of a real Orthanc."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

from slicer_notebook.errors import ArgumentError, PacsError
from slicer_notebook.testing._kheops_http import Handler
from slicer_notebook.testing._kheops_rules import LIFE, Album, Rules, Token
from slicer_notebook.testing.pacs import Orthanc

__all__ = ["Asked", "KheopsStandIn", "kheops"]

#: Seconds that its thread has to end.
_END: Final = 10.0
_STUDY: Final = "0020000D"


@dataclass
class Asked:
    """A request that came. Its representation has no token in it.

    Attributes:
        path: behind ``{api}``, without a token in it.
        query: parameters.
        how: "bearer", "basic", "path", or empty where there was none.
        token: its value.
        kind: "share", "user", "viewer"; empty where it was not accepted.
        status: of the answer; 0 while there is none.
    """

    method: str
    path: str
    query: list[tuple[str, str]] = field(repr=False)
    how: str = ""
    token: str = field(default="", repr=False)
    kind: str = ""
    status: int = 0


class KheopsStandIn:
    """What plays Kheops; see `kheops`, which makes it.

    Attributes:
        album: the album that it begins with; all that the archive has is in it, if nothing else was said.
        asked: the requests that came, in their order.
        exchanges: the forms of those that reached the token endpoint.
        before: called with each request before it is judged; to have something happen in the middle of a transfer.
    """

    def __init__(self, behind: Orthanc, *, life: float = LIFE, context: ssl.SSLContext | None = None) -> None:
        self.behind = behind
        self.rules = Rules(life)
        self.asked: list[Asked] = []
        self.exchanges: list[list[tuple[str, str]]] = []
        self.before: Callable[[Asked], object] = lambda _asked: None
        self._context = context
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.album: Album = self.rules.add_album("all", None)
        self._own: Token = self.rules.share(self.album, ("read", "write"))

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> KheopsStandIn:
        """Listen on a free port of 127.0.0.1; returns itself."""
        handler = type("OwnHandler", (Handler,), {"kheops": self})
        self._server = server = _Server(("127.0.0.1", 0), handler)
        if self._context is not None:
            # The handshake is each connection's own thread's to do: one that says nothing would stop all others.
            server.socket = self._context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="kheops-stand-in", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it; a second time does nothing."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            assert self._thread is not None
            self._thread.join(_END)

    def __enter__(self) -> KheopsStandIn:
        return self if self._server is not None else self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Kheops stand-in {self.api if self._server is not None else 'stopped'}>"

    # -- addresses ------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Of 127.0.0.1. Raises `PacsError` where it does not run."""
        if self._server is None:
            raise PacsError("This stand-in was not started, or it was stopped.", hint="start() starts it")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http{'s' if self._context is not None else ''}://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """Root of the API, and of DICOMweb."""
        return f"{self.url}/api"

    @property
    def link(self) -> str:
        """The share link of the album that it begins with; its end is a token."""
        return self.link_of(self._own.value)

    @property
    def token(self) -> str:
        """The share token of the album that it begins with, to read and to write."""
        return self._own.value

    def link_of(self, token: str) -> str:
        """The share link of a token."""
        return f"{self.url}/view/{token}"

    # -- albums, people, tokens -----------------------------------------------------------------------------------

    def add_album(self, name: str, studies: Iterable[str] = (), *, users: Iterable[str] = ()) -> Album:
        """One more album.

        Args:
            studies: Study Instance UIDs.
            users: people (`user_token`) who see it.
        """
        return self.rules.add_album(name, studies, users)

    def share(self, album: Album | None = None, *, scopes: Iterable[str] = ("read",), life: float | None = None) -> str:
        """A share token of an album: 22 alphanumerics.

        Args:
            album: the one that it begins with by default.
            scopes: "read", "write".
            life: seconds; None: it does not end.

        Raises:
            ArgumentError: another scope.
        """
        scopes = list(scopes)
        if not set(scopes) <= {"read", "write"}:
            raise ArgumentError("scopes.", expected="read, write", got=", ".join(scopes))
        return self.rules.share(album if album is not None else self.album, scopes, life).value

    def user_token(self, name: str, inbox: Iterable[str] = (), *, life: float | None = None) -> str:
        """An access token of a person, in the form of a JWT.

        Args:
            inbox: studies that are in their inbox, where they are new.
            life: seconds; None: it does not end.
        """
        if name not in self.rules.inboxes:
            self.rules.add_user(name, inbox)
        return self.rules.access(name, life).value

    def advance(self, seconds: float) -> None:
        """Put its clock forward, by which tokens end."""
        self.rules.advance(seconds)

    def revoke(self, token: str) -> None:
        """Have a token end, and what it was exchanged for."""
        self.rules.revoke(token)

    @property
    def secrets(self) -> list[str]:
        """All tokens that were given out, to look for where none should be."""
        return [token.value for token in self.rules.tokens]

    @property
    def viewers(self) -> list[Token]:
        """The viewer tokens that were given out, in their order."""
        return [token for token in self.rules.tokens if token.kind == "viewer"]

    # -- what came ------------------------------------------------------------------------------------------------

    def note(self, method: str, path: str, query: str, how: str, token: str) -> Asked:
        """Write a request down, and tell who waits for it. For its own use."""
        asked = Asked(method, path, parse_qsl(query, keep_blank_values=True), how, token)
        with self._lock:
            self.asked.append(asked)
        self.before(asked)
        return asked

    def studies(self) -> list[str]:
        """Study Instance UIDs of the archive behind it."""
        found: list[Mapping[str, Any]] = self.behind.rest.get("/dicom-web/studies")
        return sorted(str(item[_STUDY]["Value"][0]) for item in found)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that keeps its connection would be waited for

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke, or no TLS: nothing to be printed."""


def kheops(
    orthanc: Orthanc,
    *,
    studies: Iterable[str] | None = None,
    life: float = LIFE,
    context: ssl.SSLContext | None = None,
) -> KheopsStandIn:
    """Start a stand-in for Kheops in front of a running Orthanc, on a free port of 127.0.0.1.

    It is there until the end of ``with``, or `KheopsStandIn.stop`.

    It is strict where Kheops is, and where a mistake of a client would pass unseen: tokens as Bearer, Basic or in the
    path, exchanged for viewer tokens; albums and inboxes; QIDO-RS, WADO-RS, WADO-URI, STOW-RS, ZIP.

    >>> import slicer_notebook as sn
    >>> with sn.testing.orthanc("dicom") as orthanc, sn.testing.kheops(orthanc) as server:  # doctest: +SKIP
    ...     kheops = sn.Kheops(server.link)
    ...     kheops.studies().frame()

    Args:
        orthanc: holds the studies.
        studies: Study Instance UIDs in the album that it begins with; all by default.
        life: seconds that a viewer token lives.
        context: for https.

    Raises:
        PacsError: Orthanc does not run.
    """
    if not orthanc.running:
        raise PacsError("This Orthanc does not run.", hint="orthanc.start() starts it")
    made = KheopsStandIn(orthanc, life=life, context=context)
    made.album.studies = None if studies is None else set(studies)
    return made.start()
