"""A PACS that is spoken to by DIMSE: C-FIND, C-GET, C-MOVE, C-STORE, C-ECHO, storage commitment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from slicer_notebook.errors import PacsRefusedError
from slicer_notebook.pacs.dimse import commitment
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.find import echo, find
from slicer_notebook.pacs.dimse.get import Get
from slicer_notebook.pacs.dimse.move import Move
from slicer_notebook.pacs.dimse.negotiation import Agreement, Identity
from slicer_notebook.pacs.dimse.store import Told, read_meta, store
from slicer_notebook.pacs.model import Cancelled, Query, Record, Way, never
from slicer_notebook.pacs.receiver_client import ReceiverClient
from slicer_notebook.pacs.server import Learned, Server, dimse_address
from slicer_notebook.pacs.tls import client_context

__all__ = ["DimseSource"]

Secret = Callable[[str, str, str], str]
"""``secret(server's name, field, reference)``."""


class DimseSource:
    """See `model.Source`.

    Args:
        server: its `url` is a ``dimse://`` or ``dimses://`` address.
        secret: resolves references to secrets.

    Attributes:
        learned: what was found out about the server.

    Raises:
        ArgumentError: no such address.
        PacsConfigError: a certificate cannot be used, a secret is not there.
    """

    def __init__(self, server: Server, secret: Secret) -> None:
        address = dimse_address(server.url)
        self.server = server
        self.learned: Learned = server.learned
        key_password = secret(server.name, "key_password", server.key_password) if server.key_password else ""
        identity = None
        if server.user:
            password = secret(server.name, "password", server.password) if server.password else ""
            identity = Identity(server.user, password)
        self.peer = Peer(
            address,
            server.calling,
            server.name,
            timeout=server.timeout,
            connect_timeout=server.connect_timeout,
            tls=client_context(server, key_password) if address.tls else None,
            identity=identity,
        )
        self._key_password = key_password
        self._receiver: ReceiverClient | None = None
        self._lock = threading.Lock()

    def find(self, query: Query, cancelled: Cancelled) -> Iterator[Record]:
        """See `Source.find`. Fuzzy or relational matching that the peer does not negotiate is left out."""
        try:
            yield from find(self.peer, query, cancelled, self.server.charset)
            return
        except PacsRefusedError as exc:
            if not exc.details.get("extended"):
                raise
            what = str(exc.details["extended"])
        if what.startswith("relational"):
            self.learned.relational = False
        else:
            self.learned.fuzzy = False
        plain = Query(level=query.level, identifier=query.identifier, limit=query.limit)
        yield from find(self.peer, plain, cancelled, self.server.charset)

    def ways(self) -> Sequence[Way]:
        """C-GET, and C-MOVE where there is a port that the PACS can send to."""
        ways: list[Way] = [Get(self.peer, self.server.parallel)]
        if self.server.port:
            ways.append(Move(self.peer, self.receiver(), self.server.parallel))
        return ways

    def receiver(self) -> ReceiverClient:
        """The way to this machine's storage SCP."""
        with self._lock:
            if self._receiver is None:
                self._receiver = ReceiverClient(self.server, self._key_password)
            return self._receiver

    def echo(self, cancelled: Cancelled = never) -> Agreement:
        """C-ECHO. Raises `PacsError`."""
        return echo(self.peer, cancelled)

    def store(self, path: str, cancelled: Cancelled) -> None:
        """See `Source.store`."""
        problems: list[Exception] = []
        self.store_many([path], lambda _path, problem: problems.append(problem) if problem else None, cancelled)
        if problems:
            raise problems[0]

    def store_many(self, paths: Iterable[str], told: Told, cancelled: Cancelled) -> None:
        """Send files on as few associations as do. See `store.store`."""
        store(self.peer, [read_meta(path) for path in paths], told, cancelled)

    def commit(
        self, instances: Sequence[commitment.Instance], told: commitment.Told, cancelled: Cancelled, timeout: float
    ) -> None:
        """Ask for storage commitment. See `commitment.commit`."""
        receiver = self.receiver() if self.server.port else None
        commitment.commit(self.peer, instances, told, cancelled, timeout=timeout, receiver=receiver)

    def close(self) -> None:
        """Let the storage SCP go."""
        with self._lock:
            receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
