"""What speaks to a configured PACS: one source for each of its addresses, and all of them as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import PacsConfigError, PacsError
from slicer_notebook.pacs import signing
from slicer_notebook.pacs.model import Cancelled, Query, Record, Source, Way, never
from slicer_notebook.pacs.secrets import resolve
from slicer_notebook.pacs.server import Learned, Server

if TYPE_CHECKING:
    from slicer_notebook.pacs.signing import Prompt

__all__ = ["Together", "source_of", "sources_of"]


def source_of(server: Server, prompt: Prompt | None = None) -> Source:
    """What speaks a server's protocol.

    Args:
        prompt: shows a person a code, where they sign in by one; what renews the token is kept in the keyring.

    Raises:
        PacsConfigError: a secret or certificate that it names is not there.
    """
    if server.kind == "dimse":
        from slicer_notebook.pacs.dimse.source import DimseSource

        return DimseSource(server, resolve)
    from slicer_notebook.pacs.dicomweb.source import web_source

    return web_source(server, resolve, **_signing(server, prompt))


def _signing(server: Server, prompt: Prompt | None) -> dict[str, Any]:
    return {"prompt": prompt, "kept": partial(signing.kept, server), "saved": partial(signing.keep, server)}


def sources_of(server: Server, prompt: Prompt | None = None) -> list[Source]:
    """What speaks to a server: by its `url` first, then by its further addresses. Raises as `source_of`."""
    found = [source_of(server, prompt)]
    if server.kind == "dimse" and (server.web or server.wado):
        from slicer_notebook.pacs.dicomweb.source import further_sources

        found += further_sources(server, resolve, **_signing(server, prompt))
    return found


class Together:
    """Several sources of one archive as one to ask: the next one where one cannot answer."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    @property
    def relational(self) -> bool:
        """Whether the first one answers below studies without a study."""
        return bool(getattr(self._sources[0], "relational", False))

    @property
    def learned(self) -> Learned | None:
        """What the first one has found out."""
        found: Learned | None = getattr(self._sources[0], "learned", None)
        return found

    def find(self, query: Query, cancelled: Cancelled = never) -> Iterator[Record]:
        """See `Source.find`."""
        failure: PacsError | None = None
        for source in self._sources:
            answered = False
            try:
                for record in source.find(query, cancelled):
                    answered = True
                    yield record
                return
            except PacsError as exc:
                if answered or (isinstance(exc, PacsConfigError) and failure is None):
                    raise
                # The first one says best what is wrong: others may not even be for asking.
                failure = failure or exc
        if failure is not None:
            raise failure

    def ways(self) -> Sequence[Way]:
        """See `Source.ways`."""
        return [way for source in self._sources for way in source.ways()]

    def store(self, path: str, cancelled: Cancelled) -> None:
        """See `Source.store`."""
        self._sources[0].store(path, cancelled)

    def close(self) -> None:
        """See `Source.close`."""
        for source in self._sources:
            source.close()
