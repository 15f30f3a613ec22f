"""An association that we ask for (PS3.8 §7), and DIMSE messages on it (PS3.7)."""

from __future__ import annotations

import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from slicer_notebook.errors import PacsAnswerError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.dimse.messages import Command, command_bytes, parse_command, pdvs
from slicer_notebook.pacs.dimse.negotiation import Agreement, Identity, Proposal, agreement_of, rejected, request_unit
from slicer_notebook.pacs.dimse.transport import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Transport,
    connect,
)
from slicer_notebook.pacs.model import Cancelled, never
from slicer_notebook.pacs.server import DimseAddress

__all__ = ["Association", "Message", "Peer", "associate", "fragments"]

#: Bytes of one command set at most, and of a data set that is kept in memory (an identifier, not an image).
_MOST_COMMAND, _MOST_IDENTIFIER = 1 << 16, 1 << 24


class Peer(NamedTuple):
    """Whom to associate with, and how."""

    address: DimseAddress
    calling: str
    name: str
    #: seconds of silence, and until the connection is there
    timeout: float = 30.0
    connect_timeout: float = 10.0
    tls: ssl.SSLContext | None = None
    identity: Identity | None = None


class Message(NamedTuple):
    """A DIMSE message with the data set, if it has one, in memory."""

    context: int
    command: Command
    data: bytes = b""


def fragments(unit: memoryview, peer: str) -> Iterator[tuple[int, int, memoryview]]:
    """Values of a P-DATA-TF unit's body (PS3.8 9.3.5): context id, flags (1 command, 2 last), data."""
    position, end = 0, len(unit)
    while position < end:
        if position + 6 > end:
            raise _damaged(peer)
        length, context, flags = struct.unpack_from(">IBB", unit, position)
        position += 4
        if length < 2 or position + length > end:
            raise _damaged(peer)
        yield context, flags, unit[position + 2 : position + length]
        position += length


def _damaged(peer: str) -> PacsAnswerError:
    return PacsAnswerError(
        f"{peer} sent a damaged unit.", expected="presentation data values (PS3.8 9.3.5)", got="less"
    )


class Association:
    """An association that is up. For one thread. From `associate`.

    Attributes:
        agreement: what was negotiated.
    """

    def __init__(self, transport: Transport, agreement: Agreement, peer: Peer) -> None:
        self.transport = transport
        self.agreement = agreement
        self.peer = peer
        self._last_id = 0
        self._ready: deque[Message] = deque()
        # A message that is not whole yet.
        self._command, self._data = bytearray(), bytearray()
        self._parsed: Command | None = None

    def next_id(self) -> int:
        """A Message ID that was not used on this association."""
        self._last_id = self._last_id % 0xFFFF + 1
        return self._last_id

    def send(self, context: int, data: bytes | memoryview | None = None, /, **command: int | str) -> None:
        """Send a message: the command set and, if there is one, the data set. Raises as `Transport.write`."""
        most = self.agreement.max_pdu
        kind = 0x0101 if data is None else 0x0001
        units = pdvs(context, command_bytes(data_set_type=kind, **command), most, command=True)
        if data is not None:
            units += pdvs(context, data, most, command=False)
        self.transport.write(units)

    def message(self) -> Message:
        """The next message, whole. Raises as `Transport.read`, and `PacsAnswerError` on what is none."""
        while not self._ready:
            self._take(self.unit())
        return self._ready.popleft()

    def _take(self, unit: memoryview) -> None:
        """Put a unit's values where they belong; what is whole then is ready."""
        for context, flags, piece in fragments(unit, self.peer.name):
            if bool(flags & 1) == (self._parsed is not None):
                raise PacsAnswerError(
                    f"{self.peer.name} sent a message in disorder.",
                    expected="a data set" if self._parsed is not None else "a command",
                    got="a command" if flags & 1 else "a data set",
                )
            target = self._command if flags & 1 else self._data
            target += piece
            if len(self._command) > _MOST_COMMAND or len(self._data) > _MOST_IDENTIFIER:
                raise PacsAnswerError(
                    f"{self.peer.name} sent a message that is too long.",
                    expected=f"an identifier of at most {_MOST_IDENTIFIER} bytes",
                    got=f"{len(self._data)} bytes so far",
                )
            if not flags & 2:
                continue
            if flags & 1:
                self._parsed = parse_command(self._command)
                if self._parsed.has_data_set:
                    continue
            assert self._parsed is not None
            self._ready.append(Message(context, self._parsed, bytes(self._data)))
            self._command, self._data, self._parsed = bytearray(), bytearray(), None

    def unit(self) -> memoryview:
        """The body of the next P-DATA-TF unit.

        Raises:
            PacsUnreachableError: the peer ended the association instead.
        """
        kind, body = self.transport.read()
        if kind == DATA:
            return body
        if kind == RELEASE_RQ:
            self.transport.unit(RELEASE_RP, b"\0\0\0\0")
        how = {ABORT: _abort_words(body), RELEASE_RQ: "it released it"}.get(kind, f"it sent a unit of type {kind}")
        raise PacsUnreachableError(
            f"{self.peer.name} ended the association in the middle of it.",
            expected="an answer",
            got=how,
            details={"lost": True, "released": kind == RELEASE_RQ},
        )


#: Reasons of a service provider's abort (PS3.8 9.3.8).
_ABORTS = {
    1: "unrecognized unit",
    2: "unexpected unit",
    4: "unrecognized parameter",
    5: "unexpected parameter",
    6: "invalid parameter",
}


def _abort_words(body: memoryview) -> str:
    source, reason = (body[2], body[3]) if len(body) >= 4 else (0, 0)
    return "it aborted it" + (f" ({_ABORTS[reason]})" if source == 2 and reason in _ABORTS else "")


@contextmanager
def associate(
    peer: Peer,
    proposals: Sequence[Proposal],
    *,
    extended: Mapping[str, bytes] | None = None,
    cancelled: Cancelled = never,
    on_tick: Callable[[], None] | None = None,
) -> Iterator[Association]:
    """An association for a block: released at its end, aborted when the block fails.

    Raises:
        PacsUnreachableError: no connection, or it was lost.
        PacsRefusedError: the association was rejected; ``details["again"]`` says whether it may be accepted later.
        PacsAnswerError: the peer does not speak DICOM.
        JobCancelledError: ``cancelled`` said so.
    """
    address = peer.address
    sock = connect(
        address.host, address.port, timeout=peer.connect_timeout, tls=peer.tls, peer=peer.name, cancelled=cancelled
    )
    transport = Transport(sock, peer.name, peer.timeout)
    transport.cancelled, transport.on_tick = cancelled, on_tick
    try:
        association = Association(transport, _negotiated(transport, peer, proposals, extended), peer)
    except BaseException:
        transport.abort()
        raise
    try:
        yield association
    except BaseException:
        transport.abort()
        raise
    transport.release()


def _negotiated(
    transport: Transport, peer: Peer, proposals: Sequence[Proposal], extended: Mapping[str, bytes] | None
) -> Agreement:
    called = peer.address.called
    request = request_unit(called, peer.calling, proposals, identity=peer.identity, extended=extended)
    # Silence is noticed before: this is for a peer that says something else, byte by byte.
    transport.until = time.monotonic() + peer.timeout + 1
    try:
        transport.write(request)
        kind, body = transport.read()
    except PacsUnreachableError as exc:
        if exc.details.get("tls"):
            exc.details["stage"] = "tls"
        if exc.details.get("tls") or not exc.details.get("lost"):
            raise
        raise PacsRefusedError(
            f"{peer.name} closed the connection instead of answering the association.",
            hint="Some do so with AE titles or addresses that they do not know, and where TLS is due (dimses://).",
            details={"again": True, "closed": True},
        ) from exc
    transport.until = None
    if kind == ASSOCIATE_RJ:
        raise rejected(bytes(body), called, peer.calling, peer.name)
    if kind == ABORT:
        raise PacsRefusedError(
            f"{peer.name} aborted the association instead of answering it.",
            got=_abort_words(body),
            hint="Some do so with AE titles or addresses that they do not know.",
            details={"again": True},
        )
    if kind != ASSOCIATE_AC:
        raise PacsAnswerError(
            f"{peer.name} does not answer an association.", expected="A-ASSOCIATE-AC", got=f"a unit of type {kind}"
        )
    return agreement_of(bytes(body), proposals, peer.name)
