"""Storage Commitment Push Model (PS3.4 annex J) as its user: will the PACS keep what it has taken?

It is asked by N-ACTION and answers by N-EVENT-REPORT: on the association that asked, or on one of its own to the
storage SCP of this machine, where the roles are turned round (PS3.4 J.3.3, PS3.7 D.3.3.4).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Final, NamedTuple, Protocol

from pydicom import Dataset
from pydicom.uid import generate_uid

from slicer_notebook.errors import PacsError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Message, Peer, associate
from slicer_notebook.pacs.dimse.find import SYNTAXES, needed
from slicer_notebook.pacs.dimse.identifiers import decode_identifier, encode_identifier
from slicer_notebook.pacs.dimse.negotiation import Accepted, Proposal
from slicer_notebook.pacs.dimse.status import failure
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.patience import rest, silent

__all__ = ["COMMITMENT", "INSTANCE", "UNKNOWN_TRANSACTION", "Awaited", "Report", "answer_report", "commit"]

#: SOP class and its one well-known instance (PS3.4 J.3.5).
COMMITMENT, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
#: Request Storage Commitment (PS3.4 table J.3.2-1); the events: all is kept, failures exist (table J.3.3-1).
_ACTION: Final = 1
_EVENTS: Final = frozenset({1, 2})
#: Statuses of an answer to a report (PS3.7 C.4, C.5): it cannot be read; no such instance; no such event; a Transaction
#: UID that nobody waits for (invalid argument value).
_UNREADABLE, _NO_INSTANCE, _NO_EVENT, UNKNOWN_TRANSACTION = 0x0110, 0x0112, 0x0113, 0x0115
#: Instances of one transaction.
_MOST: Final = 500
#: Seconds that the association is kept for the answer where it may come on another one, too: some wait for its end.
_TOGETHER: Final = 5.0
#: Failure Reasons (PS3.3 C.14.1.1).
_REASONS: Final = {
    0x0110: "an error in processing it",
    0x0112: "it does not have the instance",
    0x0119: "the SOP Class is not that of the instance there",
    0x0122: "it does not commit itself for that SOP Class",
    0x0131: "it takes the question for one that was asked before (duplicate Transaction UID)",
    0x0213: "it is out of resources",
}
_UNNAMED: Final = "the PACS's answer does not name it"
_NO_PORT: Final = "no answer, and no port to send one to"

Instance = tuple[str, str]
"""SOP Class UID, SOP Instance UID."""

Told = Callable[[str, str], None]
"""Told of each instance when it is known: its UID, and why it is not committed; "" if it is."""


class Report(NamedTuple):
    """What an N-EVENT-REPORT says."""

    transaction: str
    #: SOP Instance UIDs
    committed: list[str]
    #: SOP Instance UID -> Failure Reason
    failed: dict[str, int]


class Awaited(Protocol):
    """A report that may come to the storage SCP."""

    def check(self) -> None:
        """Raises `PacsError`: the storage SCP is gone."""


class Receiver(Protocol):
    """A storage SCP that a PACS can send reports to."""

    #: what it has noted last: rejected associations, failed handshakes
    notes: list[str]

    def awaiting(self, transaction: str, take: Callable[[Report], object]) -> AbstractContextManager[Awaited]:
        """A report of this transaction is taken, for a block. Raises `PacsError`: it does not start."""


class _NoReportError(Exception):
    """What came is none; ``status`` says so."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:04X}")
        self.status = status


class _AnsweredError(Exception):
    """All answers have come while one was awaited here."""


# -- a report --------------------------------------------------------------------------------------------------------


def answer_report(association: Association, message: Message, take: Callable[[Report], int]) -> int:
    """Answer an N-EVENT-REPORT (PS3.7 10.1.1) that has come on an association; the status that was answered.

    Args:
        take: given the report; the status to answer.
    """
    command = message.command
    try:
        status = take(_read_report(association, message))
    except _NoReportError as exc:
        status = exc.status
    association.send(
        message.context,
        command=m.N_EVENT_REPORT_RSP,
        responded_to=command.message_id or 0,
        status=status,
        sop_class=COMMITMENT,
        sop_instance=INSTANCE,
        event_type=command.event_type or 0,
    )
    return status


def _read_report(association: Association, message: Message) -> Report:
    context, command = association.agreement.contexts.get(message.context), message.command
    if context is None or context.abstract != COMMITMENT or command.sop_instance not in (INSTANCE, None):
        raise _NoReportError(_NO_INSTANCE)
    if command.event_type not in _EVENTS:
        raise _NoReportError(_NO_EVENT)
    try:
        found = decode_identifier(message.data, context.transfer, association.peer.name)
        committed = [str(item.ReferencedSOPInstanceUID) for item in found.get("ReferencedSOPSequence") or ()]
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or _UNREADABLE)
            for item in found.get("FailedSOPSequence") or ()
        }
        return Report(str(found.get("TransactionUID") or ""), committed, failed)
    # What is no report may be anything.
    except Exception as exc:
        raise _NoReportError(_UNREADABLE) from exc


class _Transactions:
    """Questions, and what has come of them. Reports may come on several threads."""

    def __init__(self, instances: Sequence[Instance], told: Told) -> None:
        # UUID-derived UIDs (PS3.5 B.2): nobody else has them.
        self.parts = {
            str(generate_uid(prefix=None)): list(instances[start : start + _MOST])
            for start in range(0, len(instances), _MOST)
        }
        #: those that the PACS has said it will answer
        self.asked: set[str] = set()
        self._told = told
        self._open = dict.fromkeys(self.parts)
        # Held while told: whoever sees that it is done, sees what has come of it.
        self._lock = threading.RLock()

    @property
    def done(self) -> bool:
        """Whether nothing is awaited any more."""
        with self._lock:
            return not self._open

    def take(self, report: Report) -> int:
        """What a report says; the status of its answer. A second one of the same changes nothing."""
        if report.transaction not in self.parts:
            return UNKNOWN_TRANSACTION
        committed = set(report.committed)

        def why(uid: str) -> str:
            if uid in report.failed:
                reason = report.failed[uid]
                return f"{_REASONS.get(reason, 'the PACS gave a reason of its own')} ({reason:04X})"
            return "" if uid in committed else _UNNAMED

        self._close(report.transaction, why)
        return m.SUCCESS

    def give_up(self, why: str, *, all_of_them: bool = True) -> None:
        """Nothing more will come of those that are not answered; or of those that were not even asked."""
        for transaction in list(self.parts):
            if all_of_them or transaction not in self.asked:
                self.end(transaction, why)

    def end(self, transaction: str, why: str) -> None:
        """Nothing will come of one."""
        self._close(transaction, lambda _uid: why)

    def _close(self, transaction: str, why: Callable[[str], str]) -> None:
        with self._lock:
            if transaction in self._open:
                for _, uid in self.parts[transaction]:
                    self._told(uid, why(uid))
                del self._open[transaction]


# -- asking ----------------------------------------------------------------------------------------------------------


def commit(
    peer: Peer,
    instances: Sequence[Instance],
    told: Told,
    cancelled: Cancelled,
    *,
    timeout: float,
    receiver: Receiver | None = None,
) -> None:
    """Ask a PACS to commit itself to keeping instances, and wait for its answers. All are told of at the end.

    Args:
        timeout: seconds to wait for the answers, once all is asked.
        receiver: where they can come to, beside the association that asks.

    Raises:
        PacsUnreachableError, PacsRefusedError, PacsAnswerError: nothing was asked, and none is told of. Where the PACS
            does not offer it, ``details["abstract"]`` is there.
        PacsError: the receiver does not start.
        JobCancelledError: ``cancelled`` said so.
    """
    transactions = _Transactions(instances, told)
    with ExitStack() as stack:
        awaited: list[Awaited] = []
        noted = list(receiver.notes) if receiver is not None else []
        until = None
        try:
            with associate(peer, [Proposal(COMMITMENT, SYNTAXES)], cancelled=cancelled) as association:
                context = needed(association, COMMITMENT, "storage commitment")
                if receiver is not None:
                    ways = (receiver.awaiting(uid, transactions.take) for uid in transactions.parts)
                    awaited += [stack.enter_context(way) for way in ways]
                for transaction, part in transactions.parts.items():
                    _ask(association, context, transaction, part, transactions)
                until = time.monotonic() + timeout
                _listen(association, transactions, timeout if receiver is None else min(timeout, _TOGETHER))
        except PacsError as exc:
            if not transactions.asked:
                raise
            # What was asked may still be answered elsewhere.
            transactions.give_up(exc.message, all_of_them=False)
        if receiver is None:
            transactions.give_up(_NO_PORT)
            return
        until = until or time.monotonic() + timeout
        try:
            while not transactions.done and time.monotonic() < until:
                for each in awaited:
                    each.check()
                rest(0.05, cancelled)
        except PacsError as exc:
            transactions.give_up(exc.message)
        new = [note for note in receiver.notes if note not in noted]
        transactions.give_up(f"no answer within {timeout:g} s" + (f"; noted meanwhile: {new[-1]}" if new else ""))


def _ask(
    association: Association,
    context: Accepted,
    transaction: str,
    part: Sequence[Instance],
    transactions: _Transactions,
) -> None:
    """N-ACTION (PS3.4 J.3.2); a report may come before its answer."""
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for sop_class, uid in part:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    association.send(
        context.id,
        encode_identifier(asked, context.transfer),
        command=m.N_ACTION_RQ,
        message_id=association.next_id(),
        requested_class=COMMITMENT,
        requested_instance=INSTANCE,
        action_type=_ACTION,
    )
    while (message := association.message()).command.command != m.N_ACTION_RSP:
        if message.command.command == m.N_EVENT_REPORT_RQ:
            answer_report(association, message, transactions.take)
    if message.command.status == m.SUCCESS:
        transactions.asked.add(transaction)
    else:
        refused = failure("N-ACTION", message.command, association.peer.name)
        transactions.asked.add(transaction)
        transactions.end(transaction, f"{refused.message} ({refused.got})")


def _listen(association: Association, transactions: _Transactions, seconds: float) -> None:
    """Take reports on the association that asked, until all have come or the time is up.

    Raises:
        PacsUnreachableError: the peer has ended the association.
    """

    def look() -> None:
        if transactions.done:
            raise _AnsweredError

    transport = association.transport
    transport.timeout, transport.until = seconds, time.monotonic() + seconds
    try:
        while not transactions.done:
            transport.on_tick = look
            message = association.message()
            transport.on_tick = None  # else the last report would end this before it is answered
            if message.command.command == m.N_EVENT_REPORT_RQ:
                answer_report(association, message, transactions.take)
    except _AnsweredError:
        pass
    except PacsError as exc:
        if not silent(exc):
            raise
