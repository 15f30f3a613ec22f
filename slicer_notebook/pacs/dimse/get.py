"""C-GET (PS3.4 C.4.3): the PACS sends on the association that asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom import Dataset

from slicer_notebook.errors import (
    JobCancelledError,
    PacsAnswerError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
    StorageError,
)
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer, associate
from slicer_notebook.pacs.dimse.contexts import likely_classes, storage_batches, storage_classes
from slicer_notebook.pacs.dimse.find import STUDY_ROOT, SYNTAXES, hurry, needed
from slicer_notebook.pacs.dimse.identifiers import encode_identifier
from slicer_notebook.pacs.dimse.incoming import Incoming
from slicer_notebook.pacs.dimse.negotiation import Accepted, Proposal
from slicer_notebook.pacs.dimse.status import NEVER_AGAIN, status_words
from slicer_notebook.pacs.model import Cancelled, Fetch, Sink, WayFailedError

__all__ = ["GET", "Get", "failed_way", "identifier_of", "suboperations"]

GET: Final = f"{STUDY_ROOT}3"


def identifier_of(wanted: Fetch) -> Dataset:
    """The identifier that asks for these (PS3.4 C.4.2.1.4, C.4.3.1.3): unique keys of the level and those above."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE" if wanted.instances else "SERIES" if wanted.series else "STUDY"
    identifier.StudyInstanceUID = wanted.study
    if wanted.series:
        identifier.SeriesInstanceUID = wanted.series
    if wanted.instances:
        identifier.SOPInstanceUID = list(wanted.instances)
    return identifier


def failed_way(error: PacsError) -> WayFailedError:
    """What a failure means for the way: whether it may work when it is tried again."""
    if isinstance(error, PacsUnreachableError):
        again = error.details.get("stage") not in ("name", "tls")
    elif isinstance(error, PacsRefusedError):
        again = bool(error.details.get("again"))
    else:
        again = error.details.get("status") not in NEVER_AGAIN
    reason = error.message + (f" ({error.got})" if error.got else "")
    return WayFailedError(reason, again=again, error=error)


def suboperations(service: str, answer: m.Command, peer: str) -> None:
    """Look at the final answer of a C-GET or C-MOVE.

    Raises:
        WayFailedError: it does not say that all sub-operations were successful.
    """
    status = answer.status if answer.status is not None else 0xC000
    failed = answer.failed or 0
    # "Sub-operations complete, one or more failures or warnings": with warnings only, all of them were sent.
    if (status == m.SUCCESS and not failed) or (status == m.PARTLY and answer.failed == 0):
        return
    words = status_words(service, status)
    counts = f", {failed} failed" if failed else ""
    error = PacsAnswerError(
        f"{peer} did not do all of the {service}: {words}{counts}.", details={"status": status, "failed": failed}
    )
    raise WayFailedError(f"{service} ended with {words}{counts}", again=status not in NEVER_AGAIN, error=error)


class Get:
    """The way C-GET.

    Args:
        peer: the PACS.
        parallel: associations at most at the same time.
        quick_ack: acknowledge what comes at once; without, a peer's delays are seen (`doctor`).
    """

    name = "C-GET"

    def __init__(self, peer: Peer, parallel: int = 2, *, quick_ack: bool = True) -> None:
        self._peer = peer
        self._quick_ack = quick_ack
        self.parallel = parallel

    def fetch(self, wanted: Fetch, sink: Sink, cancelled: Cancelled) -> int | None:
        """See `Way.fetch`."""
        came, ended_well = 0, False
        failure: WayFailedError | None = None
        for proposals in self._batches(wanted):
            try:
                came += self._fetch(wanted, proposals, sink, cancelled)
                ended_well = True
            except WayFailedError as exc:
                # Where several associations are needed, each alone cannot send what only the others have contexts for.
                if not _may_be_elsewhere(exc.error):
                    raise
                failure = failure or exc
            if wanted.expected is not None and came >= wanted.expected:
                return came
        if failure is not None and not ended_well:
            raise failure
        return came

    def _batches(self, wanted: Fetch) -> Sequence[list[Proposal]]:
        if wanted.sop_classes:
            return storage_batches(sorted(wanted.sop_classes))
        # Nobody knows what will come: first what mostly does, then all there is.
        likely = likely_classes(wanted.modality) or tuple(storage_classes()[:3])
        rest = [uid for uid in storage_classes() if uid not in likely]
        return [*storage_batches(likely), *_plain_batches(rest)]

    def _fetch(self, wanted: Fetch, proposals: list[Proposal], sink: Sink, cancelled: Cancelled) -> int:
        peer = self._peer
        try:
            with associate(peer, [Proposal(GET, SYNTAXES), *proposals], cancelled=cancelled) as association:
                context = needed(association, GET, "C-GET")
                association.transport.quick_ack &= self._quick_ack
                _check_roles(association, proposals, wanted)
                return _receive(association, context, wanted, sink)
        except StorageError:
            raise
        except PacsError as error:
            raise failed_way(error) from error


def _may_be_elsewhere(error: Exception | None) -> bool:
    """Whether what failed may come on an association with contexts for other classes."""
    if isinstance(error, PacsAnswerError):
        return "status" in error.details
    return isinstance(error, PacsRefusedError) and bool(error.details.get("storage"))


def _plain_batches(classes: Sequence[str]) -> Iterator[list[Proposal]]:
    """One context for each class, uncompressed: what is left when nobody knows what a series holds."""
    for start in range(0, len(classes), 120):
        yield [Proposal(uid, SYNTAXES, as_scp=True) for uid in classes[start : start + 120]]


def _check_roles(association: Association, proposals: Sequence[Proposal], wanted: Fetch) -> None:
    """Without the SCP's role all sub-operations would fail, one by one.

    Raises:
        PacsRefusedError: the peer has not given it to us.
    """
    agreed = [c for c in association.agreement.contexts.values() if c.abstract != GET]
    usable = {c.abstract for c in agreed if c.as_scp}
    if not agreed:
        why = next(iter(association.agreement.refused.values()), "not accepted")
        raise PacsRefusedError(
            f"{association.peer.name} accepted no storage context for C-GET.",
            got=why,
            details={"context": True, "storage": True, "again": False},
        )
    if not usable:
        raise PacsRefusedError(
            f"{association.peer.name} refused us the role of the storage SCP, which C-GET needs.",
            hint="C-MOVE does without: set port=... where the PACS can send to.",
            details={"role": True, "again": False},
        )
    lacking = sorted(wanted.sop_classes & {p.abstract for p in proposals} - usable)
    if lacking and not wanted.sop_classes & usable:
        raise PacsRefusedError(
            f"{association.peer.name} accepted no context for what is to come.",
            got=", ".join(lacking),
            details={"context": True, "storage": True, "again": False},
        )


def _receive(association: Association, context: Accepted, wanted: Fetch, sink: Sink) -> int:
    message_id = association.next_id()
    incoming = Incoming(association, lambda _request: sink.open())
    try:
        association.send(
            context.id,
            encode_identifier(identifier_of(wanted), context.transfer),
            command=m.C_GET_RQ,
            message_id=message_id,
            priority=0,
            sop_class=GET,
        )
        while True:
            answer = incoming.next().command
            if answer.command == m.C_GET_RSP and answer.status not in m.PENDING:
                suboperations("C-GET", answer, association.peer.name)
                # What it says, be it less or more than what came.
                return (answer.completed or 0) + (answer.warning or 0) or incoming.count
    except JobCancelledError:
        _cancel(association, context.id, message_id, incoming)
        raise
    finally:
        incoming.close()


def _cancel(association: Association, context: int, message_id: int, incoming: Incoming) -> None:
    """C-CANCEL; what is under way is taken to its end, until the peer has stopped or the time is up."""
    hurry(association.transport)
    with contextlib.suppress(PacsError):
        association.send(context, command=m.C_CANCEL_RQ, responded_to=message_id)
        while True:
            answer = incoming.next().command
            if answer.command == m.C_GET_RSP and answer.status not in m.PENDING:
                association.transport.release()
                return
    association.transport.abort()
