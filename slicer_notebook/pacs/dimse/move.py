"""C-MOVE (PS3.4 C.4.2): the PACS sends to our storage SCP, on associations of its own."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Final, Protocol

from slicer_notebook.errors import JobCancelledError, PacsError, StorageError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer, associate
from slicer_notebook.pacs.dimse.find import STUDY_ROOT, SYNTAXES, cancel, needed
from slicer_notebook.pacs.dimse.get import failed_way, identifier_of, suboperations
from slicer_notebook.pacs.dimse.identifiers import encode_identifier
from slicer_notebook.pacs.dimse.negotiation import Accepted, Proposal
from slicer_notebook.pacs.dimse.transport import Transport
from slicer_notebook.pacs.model import Cancelled, Fetch, FolderSink, WayFailedError

__all__ = ["MOVE", "Expectation", "Move", "Receiver"]

MOVE: Final = f"{STUDY_ROOT}2"
#: Seconds without a further instance after which what the PACS says it has sent is no longer awaited.
_STRAGGLERS: Final = 1.5


class Expectation(Protocol):
    """Instances that a C-MOVE is to bring to the storage SCP."""

    #: for the C-MOVE, so that what comes of it can be told from what comes of others
    message_id: int
    #: `time.monotonic` when the last one came, or began to
    alive: float
    #: how many came
    count: int

    def settle(self) -> None:
        """Wait until all that has come so far is the sink's. Raises `StorageError`, `PacsError`."""

    def check(self) -> None:
        """Raises what ends the transfer: the sink takes no more, the storage SCP is gone."""


class Receiver(Protocol):
    """A storage SCP that a PACS can send to."""

    def expecting(self, study: str, sink: FolderSink, series: str = "") -> AbstractContextManager[Expectation]:
        """What comes of a study, or of a series of it, goes into the sink, for a block."""


class Move:
    """The way C-MOVE.

    Args:
        peer: the PACS; our AE title is the destination.
        receiver: where it sends to.
        parallel: transfers at most at the same time.
    """

    name = "C-MOVE"

    def __init__(self, peer: Peer, receiver: Receiver, parallel: int = 2) -> None:
        self._peer = peer
        self._receiver = receiver
        self.parallel = parallel

    def fetch(self, wanted: Fetch, sink: FolderSink, cancelled: Cancelled) -> int | None:
        """See `Way.fetch`."""
        try:
            with (
                self._receiver.expecting(wanted.study, sink, wanted.series or "") as expectation,
                associate(self._peer, [Proposal(MOVE, SYNTAXES)], cancelled=cancelled) as association,
            ):
                context = needed(association, MOVE, "C-MOVE")
                return self._move(association, context, wanted, expectation)
        except StorageError:
            raise
        except PacsError as error:
            raise failed_way(error) from error

    def _move(self, association: Association, context: Accepted, wanted: Fetch, expectation: Expectation) -> int | None:
        transport = association.transport

        def look() -> None:
            # The PACS may be silent here for as long as it sends there.
            transport.alive = max(transport.alive, expectation.alive)
            expectation.check()

        transport.on_tick = look
        message_id = expectation.message_id or association.next_id()
        association.send(
            context.id,
            encode_identifier(identifier_of(wanted), context.transfer),
            command=m.C_MOVE_RQ,
            message_id=message_id,
            priority=0,
            sop_class=MOVE,
            destination=self._peer.calling,
        )
        try:
            while True:
                answer = association.message().command
                if answer.command == m.C_MOVE_RSP and answer.status not in m.PENDING:
                    break
        except JobCancelledError:
            cancel(association, context.id, message_id)
            expectation.settle()
            raise
        said = (answer.completed or 0) + (answer.warning or 0)
        _await_stragglers(transport, expectation, said)
        try:
            suboperations("C-MOVE", answer, association.peer.name)
        except WayFailedError as exc:
            raise _explained(exc, answer, self._peer, expectation) from exc
        return said or None


def _await_stragglers(transport: Transport, expectation: Expectation, said: int) -> None:
    """Some archives answer before they have sent all: wait while something still comes."""
    answered = time.monotonic()
    while True:
        expectation.settle()
        quiet = time.monotonic() - max(answered, expectation.alive)
        if expectation.count >= said or quiet > _STRAGGLERS:
            return
        if transport.cancelled():
            raise JobCancelledError("The transfer was cancelled.")
        time.sleep(0.05)


def _explained(failure: WayFailedError, answer: m.Command, peer: Peer, expectation: Expectation) -> WayFailedError:
    """Many a PACS says only that it could not: the two usual causes are named."""
    if expectation.count:
        return failure
    causes = (
        f"either it does not know the destination {peer.calling!r}, or it cannot reach it: host, port or firewall"
        if answer.status != 0xA801
        else f"it does not know the destination {peer.calling!r}: its administrator can add it with host and port"
    )
    return WayFailedError(f"{failure.reason}; {causes}", again=failure.again, error=failure.error)
