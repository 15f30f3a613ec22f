"""A storage SCP (PS3.4 annex B): one association that a peer asked us for, from its negotiation to its end.

It takes reports of storage commitment, too (PS3.4 annex J).
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pydicom._uid_dict import UID_dictionary

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError, PacsUnreachableError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer
from slicer_notebook.pacs.dimse.commitment import COMMITMENT, UNKNOWN_TRANSACTION, Report, answer_report
from slicer_notebook.pacs.dimse.contexts import UNCOMPRESSED, choose_syntax
from slicer_notebook.pacs.dimse.find import VERIFICATION
from slicer_notebook.pacs.dimse.incoming import Incoming
from slicer_notebook.pacs.dimse.negotiation import (
    Accepted,
    Agreement,
    Requested,
    accept_unit,
    read_request,
    reject_unit,
)
from slicer_notebook.pacs.dimse.transport import ASSOCIATE_RQ, Transport
from slicer_notebook.pacs.model import Cancelled, Part
from slicer_notebook.pacs.server import DimseAddress

__all__ = ["Opener", "Rejection", "serve_association"]

#: Seconds of silence after which a peer is given up.
IDLE: Final = 120.0
#: Seconds that a peer has to ask for an association, once it is connected (the timer of PS3.8 9.1.5).
_NEGOTIATION: Final = 30.0
#: Seconds that one that was rejected has to close the connection.
_ARTIM: Final = 2.0


class Rejection(NamedTuple):
    """Why an association is rejected (PS3.8 9.3.4)."""

    transient: bool
    source: int
    reason: int


CALLING_UNKNOWN: Final = Rejection(transient=False, source=1, reason=3)
CALLED_UNKNOWN: Final = Rejection(transient=False, source=1, reason=7)
NO_ROOM: Final = Rejection(transient=True, source=3, reason=2)

#: Unrecognized operation (PS3.7 C.5.11).
_UNRECOGNIZED: Final = 0x0211

Opener = Callable[[Requested, m.Command], Part | int]
"""Where an instance goes, by the association and its C-STORE request; or the status that refuses it."""

Reporter = Callable[[Requested, Report], int]
"""Given a report of storage commitment, and of which association; the status of its answer."""


def _nobody(_request: Requested, _report: Report) -> int:
    return UNKNOWN_TRANSACTION


@functools.lru_cache(maxsize=4096)
def _is_storage(abstract: str) -> bool:
    """Whether an abstract syntax stands for instances to be stored; what is unknown may be a private one."""
    known = UID_dictionary.get(abstract)
    if known is None:
        return not abstract.startswith("1.2.840.10008.") or abstract.startswith("1.2.840.10008.5.1.4.1.1.")
    return "Storage" in known[0] and "Commitment" not in known[0]


def _chosen(request: Requested) -> dict[int, str]:
    chosen = {}
    for id_, abstract, offered in request.contexts:
        if abstract == COMMITMENT:
            # The peer's part is the SCP's here (PS3.4 J.3.3). One that says nothing of roles means it so, too.
            _, as_scp = request.roles.get(COMMITMENT, (False, True))
            chosen[id_] = choose_syntax(offered, UNCOMPRESSED) if as_scp else ""
        elif abstract != VERIFICATION and not _is_storage(abstract):
            chosen[id_] = ""
        elif syntax := choose_syntax(offered):
            chosen[id_] = syntax
    return chosen


def serve_association(
    sock: socket.socket,
    address: str,
    *,
    check: Callable[[Requested, str], Rejection | None],
    opener: Opener,
    stopped: Cancelled,
    noted: Callable[[str], None],
    reporter: Reporter = _nobody,
) -> None:
    """Serve one association to its end; never raises for what the peer does.

    Args:
        sock: as accepted (and secured).
        address: the peer's.
        check: says whether the association is rejected, by what was asked for and the peer's address.
        opener: see `Opener`.
        stopped: polled; True aborts the association.
        noted: told, in words without patient data, what went wrong.
        reporter: see `Reporter`.
    """
    transport = Transport(sock, address, IDLE)
    transport.cancelled = stopped
    transport.until = time.monotonic() + _NEGOTIATION
    try:
        kind, body = transport.read()
        if kind != ASSOCIATE_RQ:
            raise PacsAnswerError(f"{address} did not ask for an association.", got=f"a unit of type {kind}")
        request = read_request(bytes(body))
        rejection = check(request, address)
        if rejection is not None:
            noted(f"{address}: an association of {request.calling!r} to {request.called!r} was rejected")
            transport.write(
                reject_unit(transient=rejection.transient, source=rejection.source, reason=rejection.reason)
            )
            _let_hang_up(transport)
            return
        chosen = _chosen(request)
        transport.write(accept_unit(request, chosen, _roles(request, chosen)))
        transport.until = None
        _serve(Association(transport, _agreement(request, chosen), _peer(request, address)), request, opener, reporter)
    except PacsUnreachableError as exc:
        if not exc.details.get("released"):
            noted(f"{address}: {exc.message if exc.details.get('timeout') else exc.got or exc.message}")
    except (PacsError, JobCancelledError) as exc:
        noted(f"{address}: {exc.message}")
        transport.abort()
    finally:
        transport.close()


def _let_hang_up(transport: Transport) -> None:
    """It is the peer's to close the connection (PS3.8 9.2.3, AE-8 and state 13): some hear only that it was closed."""
    transport.timeout, transport.until = _ARTIM, time.monotonic() + _ARTIM
    with contextlib.suppress(PacsError, JobCancelledError):
        while True:
            transport.read()


def _roles(request: Requested, chosen: dict[int, str]) -> dict[str, tuple[bool, bool]]:
    """Of the roles that the peer asks for, those that it gets."""
    accepted = any(abstract == COMMITMENT and chosen.get(id_) for id_, abstract, _ in request.contexts)
    return {COMMITMENT: (False, True)} if accepted and COMMITMENT in request.roles else {}


def _agreement(request: Requested, chosen: dict[int, str]) -> Agreement:
    contexts = {
        id_: Accepted(id_, abstract, chosen[id_], as_scu=abstract == COMMITMENT, as_scp=abstract != COMMITMENT)
        for id_, abstract, _ in request.contexts
        if chosen.get(id_)
    }
    return Agreement(contexts, {}, request.max_pdu, request.implementation, {})


def _peer(request: Requested, address: str) -> Peer:
    # The source of what is written into a file's meta information is the peer.
    return Peer(DimseAddress(request.calling, address, 0, tls=False), request.called, request.calling or address)


def _serve(association: Association, request: Requested, opener: Opener, reporter: Reporter) -> None:
    incoming = Incoming(association, lambda command: opener(request, command))
    try:
        while True:
            context, command, _ = message = incoming.next()
            if command.command == m.C_ECHO_RQ:
                association.send(
                    context,
                    command=m.C_ECHO_RSP,
                    responded_to=command.message_id or 0,
                    sop_class=VERIFICATION,
                    status=m.SUCCESS,
                )
            elif command.command == m.N_EVENT_REPORT_RQ:
                answer_report(association, message, lambda report: reporter(request, report))
            elif command.command != m.C_CANCEL_RQ and not command.command & m.RESPONSE:
                association.send(
                    context,
                    command=command.command | m.RESPONSE,
                    responded_to=command.message_id or 0,
                    status=_UNRECOGNIZED,
                )
    finally:
        incoming.close()
