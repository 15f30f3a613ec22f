"""C-ECHO and C-FIND (PS3.4 annexes A and C) as their user."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from pydicom import Dataset

from slicer_notebook.errors import PacsAnswerError, PacsError, PacsRefusedError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.answers import record_of_answer
from slicer_notebook.pacs.dimse.association import Association, Message, Peer, associate
from slicer_notebook.pacs.dimse.identifiers import character_set, encode_identifier
from slicer_notebook.pacs.dimse.negotiation import Accepted, Agreement, Proposal
from slicer_notebook.pacs.dimse.status import failure
from slicer_notebook.pacs.dimse.transport import Transport
from slicer_notebook.pacs.model import Cancelled, Query, Record, never

__all__ = ["PATIENT_ROOT", "STUDY_ROOT", "VERIFICATION", "cancel", "echo", "find", "hurry", "model"]

VERIFICATION: Final = "1.2.840.10008.1.1"
#: Information models (PS3.4 C.6): + 1 FIND, 2 MOVE, 3 GET.
PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1.", "1.2.840.10008.5.1.4.1.2.2."
SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
#: Seconds that a peer has to end what was cancelled; some never do.
CANCEL_DEADLINE: Final = 3.0
#: Matching reached the peer's own limit: there are more (PS3.4 C.4.1.1.4).
_LIMITED: Final = 0xB001


def model(level: str, service: int) -> str:
    """The SOP class for a level: Patient Root for patients, Study Root below."""
    return f"{PATIENT_ROOT if level == 'PATIENT' else STUDY_ROOT}{service}"


def echo(peer: Peer, cancelled: Cancelled = never) -> Agreement:
    """C-ECHO: does the peer answer, and does it know us? What was negotiated.

    Raises:
        PacsUnreachableError, PacsRefusedError, PacsAnswerError: what failed, in words.
    """
    with associate(peer, [Proposal(VERIFICATION, SYNTAXES)], cancelled=cancelled) as association:
        context = needed(association, VERIFICATION, "C-ECHO")
        association.send(context.id, command=m.C_ECHO_RQ, message_id=association.next_id(), sop_class=VERIFICATION)
        answer = association.message().command
        if answer.status != m.SUCCESS:
            raise failure("C-ECHO", answer, peer.name)
        return association.agreement


def needed(association: Association, abstract: str, service: str) -> Accepted:
    """The context of a service.

    Raises:
        PacsRefusedError: the peer has not accepted it.
    """
    context = association.agreement.context(abstract)
    if context is None:
        why = association.agreement.refused.get(abstract, "not accepted")
        raise PacsRefusedError(
            f"{association.peer.name} does not offer {service}.",
            expected="an accepted presentation context",
            got=why,
            hint="Ask its administrator whether our AE title is allowed to do this there.",
            details={"context": True, "again": False, "abstract": abstract},
        )
    return context


def extended_negotiation(query: Query) -> bytes | None:
    """Service class application information for a query (PS3.4 C.5.1.1): relational, date-time, fuzzy."""
    if not (query.relational or query.fuzzy):
        return None
    return bytes([query.relational, False, query.fuzzy])


def find(peer: Peer, query: Query, cancelled: Cancelled, charset: str = "") -> Iterator[Record]:
    """Answers of a C-FIND as they come; the association is there until the iterator ends or is closed.

    Raises:
        PacsUnreachableError, PacsRefusedError, PacsAnswerError: what failed, in words.
            Also where fuzzy or relational was asked for and the peer has not negotiated it (``details["extended"]``).
            And where the peer has more answers than it gives (``details["limited"]``), after those that it gave.
        JobCancelledError: ``cancelled`` said so; the peer was sent a C-CANCEL.
    """
    abstract = model(query.level, 1)
    asked = extended_negotiation(query)
    with associate(
        peer,
        [Proposal(abstract, SYNTAXES)],
        extended={abstract: asked} if asked else None,
        cancelled=cancelled,
    ) as association:
        context = needed(association, abstract, "C-FIND")
        if asked:
            _check_extended(association, abstract, query)
        identifier = Dataset()
        identifier.update(query.identifier)
        identifier.QueryRetrieveLevel = query.level
        term = character_set(identifier, charset)
        yield from _ask(association, context, identifier, query.limit, term)


def _ask(
    association: Association, context: Accepted, identifier: Dataset, limit: int | None, charset: str
) -> Iterator[Record]:
    message_id = association.next_id()
    association.send(
        context.id,
        encode_identifier(identifier, context.transfer, charset),
        command=m.C_FIND_RQ,
        message_id=message_id,
        priority=0,
        sop_class=context.abstract,
    )
    yield from _answers(association, context, message_id, limit, charset)


def _check_extended(association: Association, abstract: str, query: Query) -> None:
    answer = association.agreement.extended.get(abstract, b"")
    got = (bool(answer[0:1].strip(b"\0")), bool(answer[2:3].strip(b"\0")))
    for wanted, given, what in (
        (query.relational, got[0], "relational queries"),
        (query.fuzzy, got[1], "fuzzy matching of names"),
    ):
        if wanted and not given:
            raise PacsRefusedError(
                f"{association.peer.name} does not do {what}.",
                expected="the option in its answer to the extended negotiation (PS3.4 C.5.1.1)",
                got="not there",
                details={"extended": what, "again": False},
            )


def _answers(
    association: Association, context: Accepted, message_id: int, limit: int | None, asked: str
) -> Iterator[Record]:
    count, ended = 0, False
    try:
        while True:
            if limit is not None and count >= limit:
                return
            answer = association.message()
            status = answer.command.status
            if answer.command.command != m.C_FIND_RSP or answer.command.responded_to not in (message_id, None):
                continue
            if status not in m.PENDING:
                ended = True
                if status in (m.SUCCESS, m.CANCELLED):
                    return
                if status == _LIMITED:
                    raise PacsAnswerError(
                        f"{association.peer.name} has more answers than it gives to one question.",
                        expected="all of them",
                        got=f"the first {count}",
                        hint="Ask for less at a time: a range of dates, a modality, a patient.",
                        details={"status": status, "limited": True},
                    )
                raise failure("C-FIND", answer.command, association.peer.name)
            count += 1
            yield record_of_answer(answer.data, context.transfer, association.peer.name, asked)
    except PacsError:
        ended = True
        raise
    finally:
        # Enough answers, a cancel, or a caller that went away: the peer is to stop, and the association ends in order.
        if not ended:
            cancel(association, context.id, message_id)


def hurry(transport: Transport) -> None:
    """What is cancelled has to end soon, however the peer goes on."""
    transport.cancelled, transport.on_tick = never, None
    transport.timeout, transport.until = CANCEL_DEADLINE, time.monotonic() + CANCEL_DEADLINE


def cancel(association: Association, context: int, message_id: int) -> Message | None:
    """C-CANCEL (PS3.7 9.3.2.3), and the last answer, if it comes soon; then the association is released.

    What is still answered meanwhile is read and thrown away.
    """
    transport = association.transport
    hurry(transport)
    last: Message | None = None
    with contextlib.suppress(PacsError):
        association.send(context, command=m.C_CANCEL_RQ, responded_to=message_id)
        while True:
            last = association.message()
            if last.command.status not in m.PENDING:
                transport.release()
                return last
    transport.abort()
    return None
