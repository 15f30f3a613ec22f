"""A study that a link names, as a PACS of its own: one DICOMweb root, with the link's token.

What is written down of it (`Server`) holds no secret, and its root no token: that of Kheops's ``/link/TOKEN`` goes into
each request at the last moment, as Bearer tokens do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from slicer_notebook.errors import PacsConfigError
from slicer_notebook.links.hosts import Address
from slicer_notebook.links.parse import Study
from slicer_notebook.pacs.dicomweb.auth import Credentials, Nobody, basic_header, bearer_header
from slicer_notebook.pacs.dicomweb.source import DicomWebSource
from slicer_notebook.pacs.dicomweb.transport import Applied, Transport, proxy_for
from slicer_notebook.pacs.links.judging import Judge
from slicer_notebook.pacs.model import Cancelled, Fetch, FolderSink, Source, Way, WayFailedError
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.secrets import remember
from slicer_notebook.pacs.server import Server

if TYPE_CHECKING:
    from slicer_notebook.dicom.index import Index

__all__ = ["LinkPacs", "LinkSource"]

#: {api}/link/<token>, and what may follow it.
_LINK: Final = re.compile(r"(.*?)(/+link/+)([^/]+)(.*)", re.IGNORECASE | re.DOTALL)


class _Root(NamedTuple):
    """An endpoint, without what is secret in it."""

    url: str
    #: put between the root and the path of each request
    prefix: str = ""

    def __repr__(self) -> str:
        return f"_Root({self.url!r})"


def _root_of(address: Address) -> _Root:
    found = _LINK.fullmatch(address.path.rstrip("/"))
    if found is None:
        return _Root(address.origin + address.path.rstrip("/"))
    remember(found[3])
    return _Root(address.origin + found[1], found[2] + found[3] + found[4])


class _LinkCredentials(Nobody):
    """What the link brings: a Bearer token, or else a user and password, and a token in the path."""

    def __init__(self, study: Study, prefix: str) -> None:
        super().__init__()
        headers: tuple[tuple[str, str], ...] = ()
        if study.token:
            headers = (bearer_header(study.token),)
        elif study.endpoint.has_credentials:
            headers = (basic_header(study.endpoint.user or "", study.endpoint.password or ""),)
        self._applied = Applied(headers, prefix)


class LinkSource(DicomWebSource):
    """The link's DICOMweb root.

    Args:
        server: holds no secret.
        judge: of addresses that the host's name stands for.
    """

    def __init__(self, server: Server, study: Study, prefix: str, judge: Judge) -> None:
        self._study = study
        self._judge = judge
        self._prefix = prefix
        super().__init__(server, _no_secrets)

    def _own_credentials(self, root: str) -> Credentials:  # noqa: ARG002 - they go to this root alone
        return _LinkCredentials(self._study, self._prefix)

    def _transport(self, root: str) -> Transport:
        return Transport(self._context, proxy_for(root, self.server.proxy), self._judge.resolved)

    def ways(self) -> list[Way]:
        """As of `DicomWebSource`; instance by instance where the link says ``bulk_retrieve=0``."""
        ways = list(super().ways())
        if self._study.bulk is not False:
            return ways
        return [_OneByOne(way, self._instances) for way in ways]


def _no_secrets(server_name: str, field: str, reference: str) -> str:  # noqa: ARG001 - see `source.Secrets`
    raise PacsConfigError(f"{server_name!r} has no {field}.")


class _OneByOne:
    """A way that asks for each instance by itself."""

    def __init__(self, way: Way, instances: Callable[[Fetch, Cancelled], Iterator[tuple[str, str]]]) -> None:
        self.name = way.name
        self.parallel = way.parallel
        self._way = way
        self._instances = instances

    def fetch(self, wanted: Fetch, sink: FolderSink, cancelled: Cancelled) -> int | None:
        """See `Way.fetch`."""
        if wanted.instances:
            return self._way.fetch(wanted, sink, cancelled)
        by_series: dict[str, list[str]] = {}
        for series, instance in self._instances(wanted, cancelled):
            by_series.setdefault(series, []).append(instance)
        if not by_series:
            raise WayFailedError("the server lists no instances", again=False)
        counts = [
            self._way.fetch(
                Fetch(study=wanted.study, series=series, instances=tuple(instances), modality=wanted.modality),
                sink,
                cancelled,
            )
            for series, instances in by_series.items()
        ]
        return sum(count or 0 for count in counts)


class LinkPacs(Pacs):
    """The PACS that a study's link names.

    Args:
        study: the link.
        judge: of addresses.
        name: what it is called where transfers are listed.
        index: what is fetched goes into.
    """

    def __init__(self, study: Study, judge: Judge, *, name: str, index: Index) -> None:
        if study.token:
            remember(study.token)
        if study.endpoint.password:
            remember(study.endpoint.password)
        self._study = study
        self._judge = judge
        root = _root_of(study.endpoint)
        self._prefix = root.prefix
        wado = study.wado.url if study.wado is not None and not root.prefix else ""
        super().__init__(Server(name=name, url=root.url, wado=wado), index=index, prompt=None)

    def sources(self) -> list[Source]:
        """The link's own root."""
        with self._lock:
            if not self._sources:
                self._sources = [LinkSource(self.server, self._study, self._prefix, self._judge)]
            return self._sources
