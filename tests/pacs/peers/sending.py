"""What the lying SCP sends: responses, and instances (C-STORE sub-operations) as it is told to send them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from tests.pacs.peers.held import Held
from tests.pacs.peers.lies import Lies

PRIVATE_CLASS = "1.2.826.0.1.3680043.8.498.77777.1"
#: Status for an instance that no presentation context was accepted for; it is not sent.
NO_CONTEXT = -1
UNCOMPRESSED = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
#: Statuses of responses that are not final, or not the end that was asked for (PS3.7 C).
PENDING, CANCELLED = 0xFF00, 0xFE00


@dataclass(frozen=True)
class Parcel:
    """An instance as it will be sent."""

    held: Held
    #: as announced
    sop_class: str
    uid: str
    #: as in the data set
    inside: str
    truncated: bool = False
    fails: bool = False
    syntax: str = field(default="")

    def data(self, syntax: UID) -> bytes:
        """The data set in that transfer syntax."""
        item: Dataset = dcmread(self.held.path)
        item["SOPInstanceUID"] = DataElement(0x00080018, "UI", self.inside, validation_mode=IGNORE)
        encoded = encode(item, syntax.is_implicit_VR, syntax.is_little_endian)
        assert encoded is not None
        return encoded[: len(encoded) // 2] if self.truncated else encoded


def parcels(asked: list[Held], unasked: list[Held], lies: Lies) -> list[Parcel]:
    """What is sent in answer to ``asked``."""
    found = []
    for number, each in enumerate(asked):
        uid = f"../../x{number}" if number < lies.paths else each.uid
        parcel = Parcel(
            each,
            PRIVATE_CLASS if number < lies.private else each.sop_class,
            uid,
            f"{uid[:-1]}{(int(uid[-1]) + 1) % 10}" if number < lies.renamed else uid,
            truncated=number < lies.truncated,
            fails=number < lies.fail,
            syntax=each.syntax,
        )
        found += [parcel] * (2 if number < lies.twice else 1)
    found = found[: math.floor(len(found) * lies.share)]
    return found + [Parcel(each, each.sop_class, each.uid, each.uid, syntax=each.syntax) for each in unasked]


class SubOperations:
    """Sends instances over an association: the one that C-GET came by, or one that was made for C-MOVE."""

    def __init__(self, association: Any, *, originator: str | None = None, id_: int | None = None) -> None:
        self._association = association
        self._originator = originator
        self._id = id_
        self._message = 0
        self._gone = False
        #: whether requests come by the same association (C-GET)
        self.shared = not association.is_requestor
        if association.is_requestor:
            # The answers are for us, not for the thread that waits for requests.
            association._reactor_checkpoint.clear()
            while not association._is_paused:
                association._reactor_checkpoint.wait(0.001)

    def store(self, parcel: Parcel) -> int | None:
        """The status of the peer's answer; `NO_CONTEXT` where it cannot be sent; None: the peer is gone."""
        if self._gone:
            return None
        context = self._context(parcel)
        if context is None:
            return NO_CONTEXT
        self._message = self._message % 65535 + 1
        request = C_STORE()
        request.MessageID = self._message
        request.AffectedSOPClassUID = parcel.sop_class
        request.AffectedSOPInstanceUID = parcel.uid
        request.Priority = 2
        if self._originator is not None:
            request.MoveOriginatorApplicationEntityTitle = self._originator
            request.MoveOriginatorMessageID = self._id
        request.DataSet = BytesIO(parcel.data(context.transfer_syntax[0]))
        self._association.dimse.send_msg(request, context.context_id)
        _, response = self._association.dimse.get_msg(block=True)
        if isinstance(response, C_STORE) and response.Status is not None:
            return int(response.Status)
        self._gone = True
        return None

    def _context(self, parcel: Parcel) -> Any:
        """The presentation context to send on. A class that was not negotiated goes on another one's: that is a lie."""
        accepted = [context for context in self._association._accepted_cx.values() if context.as_scu]
        own = [context for context in accepted if context.abstract_syntax == parcel.sop_class]
        others = [context for context in accepted if context.abstract_syntax == parcel.held.sop_class]
        for context in own or others:
            syntax = str(context.transfer_syntax[0])
            if syntax == parcel.syntax or (syntax in UNCOMPRESSED and parcel.syntax in UNCOMPRESSED):
                return context
        return None

    def release(self) -> None:
        """End an association that was made for C-MOVE."""
        self._association._reactor_checkpoint.set()
        if self._association.is_established and not self._gone:
            self._association.release()


class Answer:
    """Responses to one request."""

    def __init__(self, association: Any, request: Any, context: PresentationContext) -> None:
        self.association = association
        self._request = request
        self._context = context

    @property
    def alive(self) -> bool:
        """Whether the association is there."""
        return bool(
            self.association.is_established
            and self.association.dul.is_alive()
            and not self.association.acse.is_aborted()
        )

    def cancelled(self) -> bool:
        """Whether C-CANCEL has come for this request; each is told of once."""
        return self.association.dimse.cancel_req.pop(self._request.MessageID, None) is not None

    def send(
        self,
        status: int,
        identifier: Dataset | None = None,
        *,
        numbers: tuple[int, int, int, int] | None = None,
        comment: str = "",
    ) -> None:
        """One response.

        Args:
            numbers: sub-operations: remaining, failed, with warnings, completed.
        """
        request = self._request
        response = type(request)()
        response.MessageID = request.MessageID
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        if isinstance(request, C_STORE):
            response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.Status = status
        if comment:
            response.ErrorComment = comment
        if identifier is not None:
            syntax = self._context.transfer_syntax[0]
            data = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian)
            response.Identifier = BytesIO(data or b"")
        if numbers is not None:
            if status in (PENDING, CANCELLED):
                response.NumberOfRemainingSuboperations = numbers[0]
            response.NumberOfFailedSuboperations = numbers[1]
            response.NumberOfWarningSuboperations = numbers[2]
            response.NumberOfCompletedSuboperations = numbers[3]
        self.association.dimse.send_msg(response, self._context.context_id)
