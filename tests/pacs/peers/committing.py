"""An SCP of storage commitment (PS3.4 annex J) on pynetdicom that answers where, when and what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Any, Literal

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from tests.pacs.peers.data import COMPREHENSIVE_SR, MR, SEG
from tests.pacs.peers.liar import CT
from tests.pacs.peers.sending import UNCOMPRESSED

FOREIGN = "1.2.3.4.5"


@dataclass
class How:
    """How it answers; the defaults are those of a PACS that commits itself to all, on the association that asked."""

    #: "same": on the association that asked; "before": there, before the answer to N-ACTION; "other": on one of its
    #: own; "never"
    where: Literal["same", "before", "other", "never"] = "same"
    #: for "other": our AE title, and the port of 127.0.0.1 that it reports to
    title: str = "SLICER"
    port: int = 0
    #: whether it asks for the SCP's role there (PS3.4 J.3.3)
    roles: bool = True
    #: reports of this Transaction UID come first, or alone
    foreign: str = ""
    alone: bool = False
    #: so many instances of each question are not kept, for this reason
    fail: int = 0
    reason: int = 0x0112
    #: so many instances are not named in the answer
    forget: int = 0
    #: status of the answer to N-ACTION
    status: int = 0x0000
    #: whether it accepts presentation contexts of storage commitment
    offered: bool = True
    #: what ends the association, once it has answered N-ACTION
    end: Literal["", "abort", "release"] = ""
    #: it reports only when the association that asked is released
    late: bool = False


class Committing:
    """The SCP, on a free port of 127.0.0.1.

    Attributes:
        how: may be changed while it runs.
        stored: SOP Instance UIDs that came by C-STORE.
        asked: Transaction UID -> (SOP Class UID, SOP Instance UID) of each instance that N-ACTION named.
        answers: (Transaction UID, status) of each answer to a report, None where none came.
        roles: (SCU, SCP) that it got on associations of its own; None where nothing was said of them.
        refused: how many associations of its own were.
    """

    def __init__(self, how: How | None = None) -> None:
        self.how = how or How()
        self.stored: list[str] = []
        self.asked: dict[str, list[tuple[str, str]]] = {}
        self.answers: list[tuple[str, int | None]] = []
        self.roles: list[tuple[bool, bool] | None] = []
        self.refused = 0
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        #: associations whose N-ACTION is to be answered: set, once that has gone out
        self._answering: dict[Any, threading.Event] = {}
        self._released: dict[Any, threading.Event] = {}
        self._closed = False
        self._ae = AE(ae_title="KEEPER")
        self._ae.maximum_pdu_size = 131072
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = 60
        self._server: Any = self._ae.make_server(
            ("127.0.0.1", 0),
            contexts=[build_context(Verification)],
            evt_handlers=[
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._act),
                (evt.EVT_PDU_SENT, self._sent),
                (evt.EVT_RELEASED, lambda event: self._released.get(event.assoc, threading.Event()).set()),
            ],
        )
        self._ae._servers.append(self._server)
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, name="keeper", daemon=True).start()
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"dimse://KEEPER@127.0.0.1:{self.port}"

    def close(self) -> None:
        """Abort all associations and end."""
        if self._closed:
            return
        self._closed = True
        for association in self._ae.active_associations:
            association.abort()
        for thread in self._threads:
            thread.join(10)
        self._server.shutdown()

    def __enter__(self) -> Committing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def wait_for(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        """Until the condition holds. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"asked {len(self.asked)}, answers {self.answers}, roles {self.roles}")

    def _note(self, function: Callable[[], Any]) -> None:
        with self._changed:
            function()
            self._changed.notify_all()

    def _requested(self, event: evt.Event) -> None:
        found = [build_context(each, UNCOMPRESSED) for each in (Verification, CT, MR, SEG, COMPREHENSIVE_SR)]
        if self.how.offered:
            found.append(build_context(StorageCommitmentPushModel, UNCOMPRESSED))
        event.assoc.acceptor.supported_contexts = found

    def _store(self, event: evt.Event) -> int:
        self._note(lambda: self.stored.append(str(event.request.AffectedSOPInstanceUID)))
        return 0x0000

    def _act(self, event: evt.Event) -> tuple[int, None]:
        asked, how = event.action_information, self.how
        transaction = str(asked.TransactionUID)
        assert event.action_type == 1
        assert event.request.RequestedSOPInstanceUID == StorageCommitmentPushModelInstance
        items = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in asked.ReferencedSOPSequence
        ]
        self._answering[event.assoc], self._released[event.assoc] = threading.Event(), threading.Event()
        self._note(lambda: self.asked.update({transaction: items}))
        if how.status == 0x0000:
            if how.where == "before":
                self._send_now(event, transaction, items)
            else:
                thread = threading.Thread(target=self._answer, args=(event.assoc, transaction, items), daemon=True)
                self._threads.append(thread)
                thread.start()
        return how.status, None

    def _report(self, transaction: str, items: list[tuple[str, str]]) -> tuple[Dataset, int]:
        how, found = self.how, Dataset()
        found.TransactionUID = transaction
        found.ReferencedSOPSequence = [_item(each) for each in items[how.fail + how.forget :]]
        if how.fail:
            found.FailedSOPSequence = [_item(each, how.reason) for each in items[: how.fail]]
        return found, 2 if how.fail else 1

    def _send_now(self, event: evt.Event, transaction: str, items: list[tuple[str, str]]) -> None:
        """A report, without waiting for its answer."""
        report, kind = self._report(transaction, items)
        request = N_EVENT_REPORT()
        request.MessageID, request.EventTypeID = 77, kind
        request.AffectedSOPClassUID = UID(StorageCommitmentPushModel)
        request.AffectedSOPInstanceUID = UID(StorageCommitmentPushModelInstance)
        syntax = event.context.transfer_syntax
        request.EventInformation = BytesIO(encode(report, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        event.assoc.dimse.send_msg(request, event.context.context_id)

    def _answer(self, association: Any, transaction: str, items: list[tuple[str, str]]) -> None:
        how = self.how
        if how.end:
            assert self._answering[association].wait(10)
            getattr(association, how.end)()
        if how.late:
            assert self._released[association].wait(20)
        if how.where == "same":
            self._send(association, transaction, items)
        elif how.where == "other":
            self._answer_elsewhere(transaction, items)

    def _sent(self, event: evt.Event) -> None:
        if isinstance(event.pdu, P_DATA_TF) and event.assoc in self._answering:
            self._answering[event.assoc].set()

    def _answer_elsewhere(self, transaction: str, items: list[tuple[str, str]]) -> None:
        how, ae = self.how, AE(ae_title="KEEPER")
        ae.requested_contexts = [build_context(StorageCommitmentPushModel, UNCOMPRESSED)]
        role = [build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)] if how.roles else []
        association = ae.associate("127.0.0.1", how.port, ae_title=how.title, ext_neg=role)
        if not association.is_established:
            self._note(lambda: setattr(self, "refused", self.refused + 1))
            return
        answered = association.acceptor.role_selection.get(StorageCommitmentPushModel)
        self._note(lambda: self.roles.append(answered and (answered.scu_role, answered.scp_role)))
        self._send(association, transaction, items)
        association.release()

    def _send(self, association: Any, transaction: str, items: list[tuple[str, str]]) -> None:
        foreign = [self.how.foreign] if self.how.foreign else []
        for uid in foreign if self.how.alone else [*foreign, transaction]:
            report, kind = self._report(uid, items)
            try:
                status, _ = association.send_n_event_report(
                    report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
            except RuntimeError:  # the association is no more
                status = Dataset()
            code = int(status.Status) if "Status" in status else None
            self._note(lambda uid=uid, code=code: self.answers.append((uid, code)))  # type: ignore[misc]


def _item(instance: tuple[str, str], reason: int | None = None) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID, found.ReferencedSOPInstanceUID = instance
    if reason is not None:
        found.FailureReason = reason
    return found
