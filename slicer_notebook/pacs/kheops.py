"""Kheops by a link or a token: ``sn.Kheops("https://host/view/TOKEN")``; nothing has to be configured."""

from __future__ import annotations

import os
import re
import ssl
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import ArgumentError, PacsConfigError
from slicer_notebook.pacs import secrets
from slicer_notebook.pacs.checks import check_server, insecure, kheops_link
from slicer_notebook.pacs.extra import need
from slicer_notebook.pacs.matches import Matches
from slicer_notebook.pacs.model import Cancelled, Source, never
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.secrets import Hidden
from slicer_notebook.pacs.server import Form, Server, is_reference, shown_url
from slicer_notebook.pacs.targets import targets_of
from slicer_notebook.pacs.tls import client_context

if TYPE_CHECKING:
    from slicer_notebook.pacs.transfer import Transfer

__all__ = ["Kheops", "ViewerLink", "ViewerToken"]

#: Settings of `Server` that can be given.
_SETTINGS: Final = (
    "timeout", "connect_timeout", "parallel", "ca_file", "cert_file", "key_file", "verify", "proxy", "ways",
)  # fmt: skip
#: What a configuration would have in place of a token that is no reference.
_SOMETHING: Final = "env:KHEOPS_TOKEN"
_WAYS: Final = ("bearer", "basic", "path")
_KEYRING: Final = re.compile(r"keyring(?::(?P<entry>.+))?")
#: Characters that `encodeURIComponent` leaves as they are, beside letters, digits and ``_.-~`` (ECMA-262 19.2.6.4).
_AS_THEY_ARE: Final = "!*'()"

TokenGiver = str | Callable[[], str] | None
"""A token: itself, ``env:NAME``, ``keyring`` or ``keyring:ENTRY``, or what gives it whenever a new one is needed."""


class ViewerToken(NamedTuple):
    """A token that is good for one study. Its value is in no representation.

    Attributes:
        value: the token.
        study: Study Instance UID.
        seconds: that it has left.
    """

    value: str
    study: str
    seconds: float

    def __repr__(self) -> str:
        return f"ViewerToken(study={self.study!r}, seconds={self.seconds:.0f})"


class ViewerLink(str):
    """A link that opens a study, with a token in it: a text, but shown without the token, as cells are saved."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"(access_token=)[^&]*", r"\1***", str(self)))


class Kheops(Pacs):
    """A Kheops server: what an album's link, a viewer's or a person's token opens. It is a `Pacs` in all else.

    >>> import slicer_notebook as sn
    >>> kheops = sn.Kheops("https://demo.kheops.online/view/TOKEN")  # doctest: +SKIP
    >>> kheops.studies(PatientID="4711").frame()  # doctest: +SKIP
    >>> kheops.retrieve(study="1.2.3").result().complete  # doctest: +SKIP
    True
    >>> kheops.load(slicer, "1.2.3")  # doctest: +SKIP

    What is inside a study is asked for with a viewer token, which is good for that study alone; it is exchanged
    (RFC 8693) when it is needed first, before it ends, and when it is refused.

    Args:
        url: ``https://host``, ``https://host/api``; or with a token in it, ``https://host/view/TOKEN`` (a share link)
            or ``https://host/api/link/TOKEN``.
        token: where the link has none: the token itself (better not: a notebook is saved), ``env:NAME`` (an environment
            variable), ``keyring`` or ``keyring:ENTRY`` (service ``slicer-notebook``, user ``ENTRY/token``), or a
            function that gives it, called again when what it gave was refused.
        album: a person's token: only this album, by its identifier.
        inbox: a person's token: only the inbox.
        way: how tokens are given: "bearer", "basic" (as a password) or "path" (in the address: servers on the way write
            it into their logs).
        name: what errors and tables call it, and the keyring's entry.
        index, folder: as of `Pacs`.
        clock: seconds, by which tokens end.
        settings: ``timeout``, ``connect_timeout``, ``parallel``, ``ca_file``, ``cert_file``, ``key_file``, ``verify``,
            ``proxy``, ``ways`` of `Server`.

    Raises:
        ArgumentError: no such address, no token or two, a setting that there is not.
        PacsConfigError: the token that is named is not there; a certificate cannot be used.

    Warns:
        UserWarning: the token will be sent over the network in the clear.
    """

    def __init__(
        self,
        url: str,
        token: TokenGiver = None,
        *,
        album: str = "",
        inbox: bool = False,
        way: Form = "bearer",
        name: str = "kheops",
        index: Index | str | Path | None = None,
        folder: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        **settings: Any,
    ) -> None:
        # What shows the variables of these frames shows no token.
        url, token = Hidden(url), Hidden(token) if isinstance(token, str) else token
        try:
            api, token = _address(url, token)
            server = _server(api, name, token, settings)
        except ArgumentError as exc:
            raise exc.with_traceback(None) from None  # further frames have parts of the address
        if album and inbox:
            raise ArgumentError("album and inbox.", expected="one of them", got="both")
        _check_way(way)
        super().__init__(server, index=index, folder=folder)
        need("httpx")
        from slicer_notebook.pacs.dicomweb.auth import Token, TokenKeeper
        from slicer_notebook.pacs.dicomweb.kheops import Selection, ViewerTokens

        self._selection = Selection(album, inbox)
        self._form: Form = way
        self._clock = clock
        self._tls: ssl.SSLContext | None = None
        base = TokenKeeper(lambda _former, _cancelled: Token(_given(token, name)))
        base.token(never)  # an error now rather than at the first request
        self._tokens = ViewerTokens(name, base, self._post, self.api, selection=self._selection, clock=clock)

    def __repr__(self) -> str:
        if not hasattr(self, "_selection"):
            return "<Kheops>"  # being made: what shows variables shows it when that fails
        which = f", album {self._selection.album!r}" if self._selection.album else ""
        which = ", inbox" if self._selection.inbox else which
        return f"<Kheops {self.name!r}: {self.api}{which}>"

    @property
    def api(self) -> str:
        """Root of the API, and of DICOMweb."""
        return self.server.url.removeprefix("kheops+")

    # -- parts ----------------------------------------------------------------------------------------------------

    def sources(self) -> list[Source]:
        """What speaks to it."""
        from slicer_notebook.pacs.dicomweb.source import KheopsSource

        with self._lock:
            if not self._sources:
                self._sources = [
                    KheopsSource(
                        self.server,
                        secrets.resolve,
                        album=self._selection.album,
                        inbox=self._selection.inbox,
                        form=self._form,
                        tokens=self._tokens,
                    )
                ]
            return self._sources

    def into(self, index: Index | str | Path | None, folder: str | Path | None = None) -> Kheops:
        """As `Pacs.into`; viewer tokens are those of this one."""
        return self._like(index=index, folder=folder if folder is not None else self._folder)

    def given_by(self, way: Form) -> Kheops:
        """The same with tokens given in another way; connections are its own, viewer tokens those of this one.

        Raises:
            ArgumentError: no such way.
        """
        _check_way(way)
        return self._like(index=self._index or self._index_path, folder=self._folder, way=way)

    def _like(self, *, index: Any, folder: Any, way: Form | None = None) -> Kheops:
        made = Kheops.__new__(Kheops)
        Pacs.__init__(made, self.server, index=index, folder=folder)
        made._selection, made._clock, made._tls, made._tokens = self._selection, self._clock, self._tls, self._tokens
        made._form = self._form if way is None else way
        return made

    def _post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str], cancelled: Cancelled
    ) -> tuple[int, dict[str, Any]]:
        """Send a form, on a connection of its own: it outlives those that this is asked for by."""
        from slicer_notebook.pacs.dicomweb.client import post_form
        from slicer_notebook.pacs.dicomweb.failures import Place
        from slicer_notebook.pacs.dicomweb.transport import Transport, proxy_for

        server = self.server
        if self._tls is None:
            secure = server.url.startswith("kheops+https")
            self._tls = client_context(server) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = Transport(self._tls, proxy_for(url, server.proxy))
        try:
            place = Place(server.name, url, server.timeout, server.connect_timeout)
            return post_form(place, transport)(url, form, headers, cancelled)
        finally:
            transport.close()

    # -- asking ---------------------------------------------------------------------------------------------------

    def studies(self, **keys: Any) -> Matches:
        """The studies of the album, of the inbox, or all that the token opens; arguments as of `find`."""
        return self.find("STUDY", **keys)

    def exchange(self, study: Any, cancelled: Cancelled = never) -> ViewerToken:
        """The viewer token of a study: the one that there is, or a new one where it is about to end.

        Args:
            study: Study Instance UID, or an answer of `studies`.

        Raises:
            ArgumentError: no study, or several.
            PacsRefusedError: the server gives none; a viewer token is not exchanged for another.
            PacsError: it cannot be asked.
        """
        uid = _study_of(study)
        token = self._tokens.of(uid, cancelled)
        return ViewerToken(Hidden(token.value), uid, self._tokens.left(token))

    def viewer_link(self, study: Any, cancelled: Cancelled = never) -> ViewerLink:
        """The link that Kheops' own page has for Slicer, ``slicer://viewer?studyUID=...``, with a viewer token.

        `str` of it is the link; as a cell's result it is shown without the token. ``slicer.open(link)`` opens it.
        Raises as `exchange`.
        """
        token = self.exchange(study, cancelled)
        fields = {
            "studyUID": token.study,
            "access_token": token.value,
            "dicomweb_endpoint": self.api,
            "dicomweb_uri_endpoint": f"{self.api}/wado",
        }
        query = "&".join(f"{name}={quote(value, safe=_AS_THEY_ARE)}" for name, value in fields.items())
        return ViewerLink(f"slicer://viewer?{query}")

    # -- fetching -------------------------------------------------------------------------------------------------

    def retrieve(self, what: Any = None, *, way: Form | None = None, **options: Any) -> Transfer:
        """Fetch studies, series or instances into the index; arguments, result and errors as of `Pacs.retrieve`.

        Args:
            way: how tokens are given this time: "bearer", "basic", "path".
        """
        if way is None or way == self._form:
            return super().retrieve(what, **options)
        other = self.given_by(way)
        transfer = other.retrieve(what, **options)
        transfer.on_done(lambda _transfer: other.close())
        return transfer

    def load(self, slicer: Any, what: Any = None, *, show: bool = True, **named: Any) -> list[Any]:
        """Fetch studies or series from this process into Slicer's index, and load each series as soon as it is here.

        Waits, with a bar in the cell; ``slicer.pacs(kheops).retrieve(..., load=True)`` does not wait.

        Args:
            slicer: the session. Its index must be a file that this machine has, too.
            what: as of `retrieve`.
            show: show the first of them in the slice views.
            named: ``study=``, ``series=``, ``instances=`` instead.

        Returns:
            The volumes and sequences, as ``slicer.dicom.load`` gives them.

        Raises:
            RetrieveIncompleteError, PacsError, StorageError: not all could be fetched; what was, is loaded.
            SeriesRefusedError: a series would not become a correct volume.
        """
        loaded: list[Any] = slicer.pacs(self).load(what, show=show, **named)
        return loaded


def _check_way(way: str) -> None:
    if way not in _WAYS:
        raise ArgumentError("way.", expected=", ".join(map(repr, _WAYS)), got=repr(way))


def _study_of(study: Any) -> str:
    uids = {target.study for target in targets_of(study)}
    if len(uids) != 1:
        raise ArgumentError("Which study?", expected="a Study Instance UID, or an answer", got=f"{len(uids)} studies")
    return uids.pop()


# -- what is given ----------------------------------------------------------------------------------------------------


def _address(url: str, token: TokenGiver) -> tuple[Hidden, TokenGiver]:
    """Root of the API, and the token. Raises `ArgumentError`."""
    plain = url.strip()
    if re.match(r"(?i)kheops\+", plain):
        plain = Hidden(plain[len("kheops+") :])
    path = plain.partition("://")[2].partition("/")[2]
    if re.search(r"(^|/)(view|link)/", path):
        link = kheops_link(plain)
        if link is None:
            raise ArgumentError("That is no Kheops link.", expected="https://host/view/TOKEN", got="another address")
        if token is not None:
            raise ArgumentError("Which token?", expected="the link's, or token=", got="both")
        return Hidden(link[0].removeprefix("kheops+")), Hidden(link[1])
    if token is None or token == "":
        raise ArgumentError(
            "Kheops needs a token.",
            expected="a share link https://host/view/TOKEN, or token=",
            got=f"{shown_url(url)}, and no token",
            hint="token='env:NAME' names the environment variable that holds it.",
        )
    root = plain.rstrip("/")
    return Hidden(root if root.lower().endswith("/api") else f"{root}/api"), token


def _server(api: str, name: str, token: TokenGiver, settings: Mapping[str, Any]) -> Server:
    """Its configuration, without the token. Raises `ArgumentError`."""
    unknown = [key for key in settings if key not in _SETTINGS]
    if unknown:
        raise ArgumentError(f"Kheops has no setting {unknown[0]!r}.", expected=", ".join(_SETTINGS))
    given = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in settings.items()}
    server = Server(name=name, url=f"kheops+{api}", token=_SOMETHING, **given)
    check_server(server)
    if address := insecure(server):
        warnings.warn(
            f"{address} is not encrypted: whoever listens on the way can read the token that is sent there.",
            UserWarning,
            stacklevel=3,
        )
    reference = token if isinstance(token, str) and is_reference(token) else ""
    return msgspec.structs.replace(server, token=reference)


def _given(token: TokenGiver, name: str) -> str:
    """The token itself. Raises `PacsConfigError`, `ArgumentError`."""
    if callable(token):
        value = Hidden(_called(token))
    else:
        assert token is not None
        found = _KEYRING.fullmatch(token)
        if found is not None:
            value = Hidden(secrets.resolve(found["entry"] or name, "token", "keyring"))
        elif token.startswith("env:"):
            value = Hidden(secrets.resolve(name, "token", str(token)))
        else:
            value = Hidden(token)
    value = Hidden(value.strip())
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ArgumentError(
            "That is no token.", expected="printable ASCII characters without spaces", got="something else"
        )
    secrets.remember(str(value))
    return value


def _called(token: Callable[[], str]) -> str:
    try:
        value: Any = token()
    # It is somebody's own function; what it raises is the reason.
    except Exception as exc:
        raise PacsConfigError(
            f"The function that gives the token failed: {type(exc).__name__}.", expected="a token"
        ) from exc
    if not isinstance(value, str):
        raise PacsConfigError(
            "The function that gives the token gave none.", expected="a text", got=type(value).__name__
        )
    return value
