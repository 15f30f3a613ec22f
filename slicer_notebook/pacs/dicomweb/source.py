"""DICOMweb and Kheops as a `Source`: what a configured server is spoken to with."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from pydicom import Dataset
from pydicom.dataelem import DataElement

from slicer_notebook.errors import PacsConfigError, PacsRefusedError
from slicer_notebook.pacs.checks import auth_of
from slicer_notebook.pacs.dicomweb import stow
from slicer_notebook.pacs.dicomweb.auth import (
    Basic,
    Bearer,
    Credentials,
    FormPost,
    Keeper,
    Nobody,
    OAuth,
    Token,
    TokenKeeper,
)
from slicer_notebook.pacs.dicomweb.client import Client, post_form
from slicer_notebook.pacs.dicomweb.failures import Place, status_of
from slicer_notebook.pacs.dicomweb.items import Item
from slicer_notebook.pacs.dicomweb.kheops import KheopsTokens, Selection, ViewerTokens, without_tokens
from slicer_notebook.pacs.dicomweb.qido import Qido
from slicer_notebook.pacs.dicomweb.qido_keys import Parameter
from slicer_notebook.pacs.dicomweb.resources import Blob, Resources
from slicer_notebook.pacs.dicomweb.transport import Transport, proxy_for
from slicer_notebook.pacs.dicomweb.wado import WadoRs, WadoUri
from slicer_notebook.pacs.model import Cancelled, Fetch, Query, Record, Source, Way, never
from slicer_notebook.pacs.server import Form, Learned, Server, is_reference
from slicer_notebook.pacs.signing import PersonKeeper, Prompt, account_of
from slicer_notebook.pacs.tls import client_context

__all__ = ["DicomWebSource", "KheopsSource", "Secrets", "WadoUriSource", "further_sources", "web_source"]


#: HTTP status of a refusal to store -> what it means at Kheops, and what to do.
_TO_STORE: Final = {
    401: ("does not accept the token", "It may have ended, or been revoked: ask for a new one."),
    403: ("lets this token store nothing there", "Ask who shares the album for a token with the right to write."),
}


class Secrets(Protocol):
    """What a reference to a secret stands for."""

    def __call__(self, server_name: str, field: str, reference: str, /) -> str:
        """``field`` is "password", "token", "client_secret", "key_password" or "headers.NAME".

        Raises:
            PacsConfigError: it stands for nothing.
        """


class _Web:
    """What all have: connections, credentials, what is learned."""

    def __init__(
        self,
        server: Server,
        secrets: Secrets,
        *,
        prompt: Prompt | None = None,
        kept: Callable[[], str] | None = None,
        saved: Callable[[str], None] | None = None,
    ) -> None:
        self.server = server
        #: told of what is found out; the configuration's own, which its owner saves, unless that is about DIMSE
        self.learned = server.learned if server.kind != "dimse" else Learned()
        self._secrets = secrets
        self._prompt = prompt
        self._kept = kept
        self._saved = saved
        self._oauth_keeper: Keeper | None = None
        self._clients: list[Client] = []
        self._headers = {
            name: self._secret(f"headers.{name}", value) if is_reference(value) else value
            for name, value in server.headers.items()
        }
        self._context = self._tls_context()

    def _secret(self, field: str, reference: str) -> str:
        return self._secrets(self.server.name, field, reference) if reference else ""

    def _tls_context(self) -> ssl.SSLContext:
        server = self.server
        urls = (server.url, server.web, server.wado, server.token_url, server.device_url, server.proxy)
        if any("https:" in url.lower() for url in urls) or server.ca_file or server.cert_file:
            return client_context(server, self._secret("key_password", server.key_password))
        # It is not used, and trusts nobody; reading the system's authorities takes a while.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def _place(self, root: str) -> Place:
        return Place(self.server.name, root, self.server.timeout, self.server.connect_timeout)

    def _transport(self, root: str) -> Transport:
        return Transport(self._context, proxy_for(root, self.server.proxy))

    def _client(self, root: str, credentials: Credentials) -> Client:
        client = Client(self._place(root), self._transport(root), credentials, self.learned)
        self._clients.append(client)
        return client

    def _post(self, url: str) -> FormPost:
        """What asks an authorisation server, which may be behind another proxy than the PACS."""
        place = self._place(url)
        client = Client(place, transport := self._transport(url))
        self._clients.append(client)
        return post_form(place, transport)

    def _credentials(self) -> Credentials:
        server = self.server
        auth = auth_of(server)
        if auth == "basic":
            return Basic(server.user, self._secret("password", server.password), self._headers)
        if auth in ("client_credentials", "device_code"):
            return Bearer(self._oauth(auth), self._headers)
        if auth == "bearer":
            return Bearer(self._configured("token", server.token), self._headers)
        return Nobody(self._headers)

    def _configured(self, field: str, reference: str) -> TokenKeeper:
        """A token that the configuration names; asked for again when it is refused, as it may have been replaced."""
        keeper = TokenKeeper(lambda _former, _cancelled: Token(self._secret(field, reference)))
        keeper.token(never)  # an error now rather than at the first request
        return keeper

    def _oauth(self, auth: str) -> Keeper:
        if self._oauth_keeper is not None:
            return self._oauth_keeper
        server = self.server
        oauth = OAuth(
            server.name,
            self._post(server.token_url or server.device_url),
            token_url=server.token_url,
            device_url=server.device_url,
            client_id=server.client_id,
            client_secret=self._secret("client_secret", server.client_secret),
            scope=server.scope,
            kept=self._kept,
            saved=self._saved,
        )
        self._oauth_keeper = (
            PersonKeeper(account_of(server), oauth.device, self._prompt)
            if auth == "device_code"
            else TokenKeeper(oauth.client_credentials)
        )
        return self._oauth_keeper

    def signed_in(self, cancelled: Cancelled = never) -> bool:
        """Get a token now where OAuth 2 gives them; whether it does.

        Raises:
            PacsError: there is no token to be had.
            JobCancelledError: ``cancelled`` said so.
        """
        if self._oauth_keeper is None:
            return False
        self._oauth_keeper.token(cancelled)
        return True

    def ask_anew(self) -> None:
        """A person has asked for something new: who did not sign in then may be asked to again."""
        if isinstance(self._oauth_keeper, PersonKeeper):
            self._oauth_keeper.ask_anew()

    def close(self) -> None:
        """Let connections go."""
        for client in self._clients:
            client.close()


class DicomWebSource(_Web):
    """A DICOMweb server: QIDO-RS, WADO-RS, STOW-RS, and WADO-URI where its address is configured.

    Args:
        server: its `web` is the root where its `url` is that of DIMSE.
        secrets: asked for what the configuration names.
        prompt: shows a person a code, for OAuth2's device code.
        kept: the refresh token that was kept; empty where there is none.
        saved: told of each refresh token, to be kept like a password.

    Raises:
        PacsConfigError: a secret or certificate is not there, or an address is none.
    """

    def __init__(
        self,
        server: Server,
        secrets: Secrets,
        **signing: Any,
    ) -> None:
        super().__init__(server, secrets, **signing)
        root = server.web if server.kind == "dimse" else re.sub(r"(?i)^kheops\+", "", server.url)
        if not root:
            raise PacsConfigError(
                f"The PACS {server.name!r} has no DICOMweb address.", expected="web, or an https:// url"
            )
        credentials = self._own_credentials(root)
        client = self._client(root, credentials)
        self._http = client
        self._qido = Qido(client, self._of_searches())
        self._resources = Resources(client)
        self._ways: list[Way] = [WadoRs(client, server.parallel)]
        self._ways += self._further_ways(client, credentials)

    def _own_credentials(self, root: str) -> Credentials:  # noqa: ARG002  # Kheops asks the root for tokens
        return self._credentials()

    def _of_searches(self) -> tuple[Parameter, ...]:
        return ()

    def _further_ways(self, client: Client, credentials: Credentials) -> list[Way]:  # noqa: ARG002  # Kheops has it below
        if not self.server.wado:
            return []
        return [WadoUri(self._client(self.server.wado, credentials), self.server.parallel, self._instances)]

    @property
    def http(self) -> Client:
        """What requests go through."""
        return self._http

    @property
    def relational(self) -> bool:
        """Whether searches below studies that name none are known to work."""
        return self.learned.relational is True

    def find(self, query: Query, cancelled: Cancelled = never) -> Iterator[Record]:
        """See `Source.find`. Raises as `Qido.find`."""
        return self._qido.find(query, cancelled)

    def ways(self) -> Sequence[Way]:
        """WADO-RS, and WADO-URI where it is configured."""
        return list(self._ways)

    def store(self, path: str, cancelled: Cancelled = never) -> None:
        """Send one file by STOW-RS. Raises as `stow.store`."""
        stow.store(self._http, path, cancelled)

    def _instances(self, wanted: Fetch, cancelled: Cancelled) -> Iterator[tuple[str, str]]:
        """Series and SOP Instance UIDs of what is wanted."""
        identifier = Dataset()
        identifier.StudyInstanceUID = wanted.study
        if wanted.series is not None:
            identifier.SeriesInstanceUID = wanted.series
        for name in ("SeriesInstanceUID", "SOPInstanceUID"):
            if name not in identifier:
                identifier[name] = DataElement(name, "UI", None)
        for record in self.find(Query(level="IMAGE", identifier=identifier), cancelled):
            series, instance = record.get("SeriesInstanceUID") or wanted.series, record.get("SOPInstanceUID")
            if series and instance:
                yield str(series), str(instance)

    # -- what DICOMweb has beside -------------------------------------------------------------------------------------

    def metadata(
        self, study: str, series: str | None = None, instance: str | None = None, cancelled: Cancelled = never
    ) -> Iterator[Dataset]:
        """Data sets of instances without bulk data, as they come. Raises `PacsError`."""
        return self._resources.metadata(study, series, instance, cancelled)

    def metadata_items(
        self, study: str, series: str | None = None, instance: str | None = None, cancelled: Cancelled = never
    ) -> Iterator[Item]:
        """The same in the DICOM JSON model. Raises `PacsError`."""
        return self._resources.metadata_items(study, series, instance, cancelled)

    def rendered(self, study: str, series: str | None = None, instance: str | None = None, **options: Any) -> bytes:
        """A picture, PNG or JPEG: ``size=(width, height)``, ``cancelled``. See `Resources.rendered`."""
        return self._resources.rendered(study, series, instance, **options)

    def thumbnail(self, study: str, series: str | None = None, instance: str | None = None, **options: Any) -> bytes:
        """A small picture, PNG or JPEG: ``size=128`` pixels, ``cancelled``. See `Resources.thumbnail`."""
        return self._resources.thumbnail(study, series, instance, **options)

    def frames(
        self, study: str, series: str, instance: str, numbers: Sequence[int], cancelled: Cancelled = never
    ) -> list[Blob]:
        """Frames of an instance, numbered from 1. See `Resources.frames`."""
        return self._resources.frames(study, series, instance, numbers, cancelled)

    def bulk(self, uri: str, cancelled: Cancelled = never) -> Blob:
        """What a BulkDataURI stands for, asked for at the configured root. See `Resources.bulk`."""
        return self._resources.bulk(uri, cancelled)


class KheopsSource(DicomWebSource):
    """A Kheops server.

    Args:
        album: its identifier: only what is in it. An album's own token needs none.
        inbox: only what is in the person's inbox.
        form: how tokens are given; empty: as Bearer, and in the path where that is refused.
        tokens: instead of what the configuration names.
    """

    def __init__(
        self,
        server: Server,
        secrets: Secrets,
        *,
        album: str = "",
        inbox: bool = False,
        form: Form = "",
        tokens: ViewerTokens | None = None,
        **options: Any,
    ) -> None:
        self._selection = Selection(album, inbox)
        self._form: Form = form
        self._tokens = tokens
        super().__init__(server, secrets, **options)
        if self.learned.relational is None:
            self.learned.relational = False  # there are no searches for series and instances outside of a study

    def _own_credentials(self, root: str) -> Credentials:
        tokens = self._tokens
        if tokens is None:
            tokens = ViewerTokens(
                self.server.name,
                self._base(),
                self._post(root),
                root,
                selection=self._selection,
                headers=self._headers,
            )
        return KheopsTokens(tokens, self._form, self._headers)

    def _base(self) -> Keeper:
        server = self.server
        if server.auth in ("client_credentials", "device_code"):
            return self._oauth(server.auth)
        if server.auth == "basic":
            return self._configured("password", server.password)  # Kheops takes a token for a password
        return self._configured("token", server.token)

    def _of_searches(self) -> tuple[Parameter, ...]:
        return self._selection.of_searches

    def _further_ways(self, client: Client, credentials: Credentials) -> list[Way]:
        if self.server.wado:
            return super()._further_ways(client, credentials)
        return [WadoUri(client, self.server.parallel, self._instances, path="/wado")]

    def find(self, query: Query, cancelled: Cancelled = never) -> Iterator[Record]:
        """See `Source.find`; addresses in answers have no token in them."""
        for record in super().find(query, cancelled):
            yield without_tokens(record)

    def metadata_items(
        self, study: str, series: str | None = None, instance: str | None = None, cancelled: Cancelled = never
    ) -> Iterator[Item]:
        """Data sets of instances in the DICOM JSON model; addresses have no token in them. Raises `PacsError`."""
        for item in super().metadata_items(study, series, instance, cancelled):
            yield without_tokens(item)

    def bulk(self, uri: str, cancelled: Cancelled = never) -> Blob:
        """What a BulkDataURI stands for, also one with a token in it."""
        return super().bulk(without_tokens(uri), cancelled)

    def store(self, path: str, cancelled: Cancelled = never) -> None:
        """Send one file by STOW-RS: into the album that is chosen, or that the token is of, or into the inbox.

        Raises as `stow.store`.
        """
        try:
            stow.store(self._http, path, cancelled, album=self._selection.album)
        except PacsRefusedError as exc:
            words = _TO_STORE.get(status_of(exc) or 0)
            if words is None:
                raise
            raise PacsRefusedError(
                f"{self.server.name!r} {words[0]}.", got=exc.got, hint=words[1], details=dict(exc.details)
            ) from exc


class WadoUriSource(_Web):
    """WADO-URI alone, of an archive that is searched by DIMSE: it fetches instances that are named.

    Args:
        server: its `wado` is the endpoint.
    """

    def __init__(self, server: Server, secrets: Secrets, **signing: Any) -> None:
        super().__init__(server, secrets, **signing)
        self._way = WadoUri(self._client(server.wado, self._credentials()), server.parallel)

    def find(self, query: Query, cancelled: Cancelled = never) -> Iterator[Record]:  # noqa: ARG002
        """Nothing can be asked here. Raises `PacsConfigError`."""
        raise self._cannot("be searched")

    def ways(self) -> Sequence[Way]:
        """WADO-URI."""
        return [self._way]

    def store(self, path: str, cancelled: Cancelled = never) -> None:  # noqa: ARG002
        """Nothing can be sent here. Raises `PacsConfigError`."""
        raise self._cannot("be sent anything")

    def _cannot(self, what: str) -> PacsConfigError:
        return PacsConfigError(
            f"The PACS {self.server.name!r} cannot {what} by WADO-URI.",
            hint="That is for its other addresses to do.",
            details={"server": self.server.name},
        )


def web_source(server: Server, secrets: Secrets, **options: Any) -> Source:
    """What speaks to a server whose `url` is one of DICOMweb or Kheops; ``options`` as of these classes.

    Raises:
        PacsConfigError: a secret or certificate is not there, or an address is none.
    """
    return (
        KheopsSource(server, secrets, **options)
        if server.kind == "kheops"
        else DicomWebSource(server, secrets, **options)
    )


def further_sources(server: Server, secrets: Secrets, **options: Any) -> list[Source]:
    """What speaks to the HTTP addresses of a server whose `url` is one of DIMSE: `web` and `wado`.

    Raises:
        PacsConfigError: a secret or certificate is not there, or an address is none.
    """
    if server.web:
        return [DicomWebSource(server, secrets, **options)]
    return [WadoUriSource(server, secrets, **options)] if server.wado else []
