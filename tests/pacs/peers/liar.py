"""A DIMSE archive on pynetdicom that tells the truth unless it is told to lie: faults that no real archive has."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.pacs.peers.held import Held, entities, hold, invented, matches
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.sending import (
    CANCELLED,
    NO_CONTEXT,
    PENDING,
    UNCOMPRESSED,
    Answer,
    Parcel,
    SubOperations,
    parcels,
)

FIND = (PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind)
GET = (PatientRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelGet)
MOVE = (PatientRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelMove)
CT = "1.2.840.10008.5.1.4.1.1.2"

#: Statuses of final responses (PS3.4 C.4, PS3.7 C).
SUCCESS, PARTLY, NO_SUB_OPERATIONS, UNKNOWN_DESTINATION, UNABLE = 0x0000, 0xB000, 0xA702, 0xA801, 0xC000

_SERVICES: dict[type[Any], str] = {C_ECHO: "echo", C_FIND: "find", C_GET: "get", C_MOVE: "move", C_STORE: "store"}


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    service: str
    level: str
    identifier: Dataset | None = field(repr=False)
    calling: str


class Liar:
    """The SCP, on a free port of 127.0.0.1.

    ::

        with Liar(data.instances.values(), modalities={"SLICER": port}) as liar:
            client(liar.url)
            liar.lies.truncated = 2
            liar.wait_for(lambda: liar.cancelled)

    Attributes:
        lies: the switches.
        asked: requests, in their order.
        sent: SOP Instance UIDs of instances that were sent, as announced; ``stored``: that were received by C-STORE.
        cancelled: C-CANCEL requests that came. associations, most: how many there were, and at a time.
        contexts: how many presentation contexts each association proposed.
        ended: how those that were up have ended: "released", "aborted" (or the connection was lost).
    """

    def __init__(
        self,
        files: Iterable[Path] = (),
        *,
        aet: str = "LIAR",
        modalities: Mapping[str, int] | None = None,
        lies: Lies | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.lies = lies or Lies()
        self.aet = aet
        self.modalities = dict(modalities or {})
        self.held: list[Held] = hold(files)
        self.asked: list[Asked] = []
        self.sent: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.associations = self.most = self.cancelled = 0
        self.contexts: list[int] = []
        self.ended: list[str] = []
        self._operations = 0
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._ae = AE(ae_title=aet)
        self._ae.maximum_pdu_size = 131072
        self._ae.maximum_associations = 1000
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = 60
        self._server: Any = self._ae.make_server(
            ("127.0.0.1", 0),
            ssl_context=tls,
            contexts=[build_context(Verification)],
            evt_handlers=[
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_SOP_EXTENDED, self._extended),
                (evt.EVT_USER_ID, self._identified),
                (evt.EVT_RELEASED, self._over, ["released"]),
                (evt.EVT_ABORTED, self._over, ["aborted"]),
            ],
        )
        self._ae._servers.append(self._server)  # as `start_server` does, which looks only twice a second for its end
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, name="liar", daemon=True).start()
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"{'dimses' if tls else 'dimse'}://{aet}@127.0.0.1:{self.port}"

    def close(self) -> None:
        """Abort all associations and end."""
        self._ended.set()
        for association in self._ae.active_associations:
            if association.is_established:  # one that was rejected just now ends by itself
                association.abort()
        self._server.shutdown()

    def __enter__(self) -> Liar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def wait_for(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        """Until the condition holds; looked at whenever something was asked, sent or cancelled.

        Raises:
            TimeoutError: it did not in time.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                kinds = [asked.service for asked in self.asked]
                raise TimeoutError(f"not within {timeout} s: asked {kinds}, sent {len(self.sent)} instances")

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    # -- associations -------------------------------------------------------------------------------------------------

    def _requested(self, event: evt.Event) -> None:
        association = event.assoc
        raw = association.dul.socket.socket
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not self.lies.nagle)
        there = [each for each in self._ae.active_associations if each.is_acceptor and each.is_established]
        with self._change():
            self.associations += 1
            self.most = max(self.most, len(there) + 1)
            called = association.requestor.primitive.called_ae_title
            self.contexts.append(len(association.requestor.primitive.presentation_context_definition_list))
            self.asked.append(Asked("associate", "", None, str(association.requestor.primitive.calling_ae_title)))
        reason = self.lies.reject
        if reason is None and called != self.aet:
            reason = (1, 1, 7)
        if reason is None and self.lies.most_associations is not None and len(there) >= self.lies.most_associations:
            reason = (2, 3, 2)
        if "associate" in self.lies.hang:
            self._hang(association)
        if "associate" in self.lies.abort or "associate" in self.lies.hang:
            association.acse.send_abort(0)
            association.kill()  # waits until it has gone out
        elif reason is not None:
            association.acse.send_reject(*reason)
            association.kill()
        else:
            association.acceptor.supported_contexts = self._contexts() if self.lies.contexts else []
            association._serve_request = lambda message, context: self._serve(association, message, context)

    def _contexts(self) -> list[PresentationContext]:
        """What is accepted now."""
        without = self.lies.without
        found = [build_context(Verification, UNCOMPRESSED)] if "echo" not in without else []
        for service, classes in (("find", FIND), ("get", GET), ("move", MOVE)):
            if service not in without:
                found += [build_context(each, UNCOMPRESSED) for each in classes]
        if "store" in without:
            return found
        syntaxes: dict[str, set[str]] = {CT: set()}
        for each in self.held:
            syntaxes.setdefault(each.sop_class, set()).add(each.syntax)
        for sop_class, there in syntaxes.items():
            # What is compressed is preferred where it is offered: nothing here is transcoded.
            context = build_context(sop_class, [*sorted(there - set(UNCOMPRESSED)), *UNCOMPRESSED])
            if self.lies.roles:
                context.scu_role = context.scp_role = True
            found.append(context)
        return found

    def _extended(self, event: evt.Event) -> dict[str, bytes]:
        if self.lies.extended is None:
            return {}
        return {uid: self.lies.extended for uid in event.app_info if uid in FIND}

    def _identified(self, event: evt.Event) -> tuple[bool, bytes | None]:
        if self.lies.user is None:
            return True, None
        given = (event.primary_field, event.secondary_field)
        return given == tuple(each.encode() for each in self.lies.user), None

    def _over(self, _event: evt.Event, how: str) -> None:
        with self._change():
            self.ended.append(how)

    def _hang(self, association: Any) -> None:
        """Until the peer gives up, or this SCP ends."""
        while association.dul.socket is not None and not association.acse.is_aborted():
            if self._ended.wait(0.02) or not association.dul.is_alive():
                return

    # -- services -----------------------------------------------------------------------------------------------------

    def _serve(self, association: Any, message: Any, context_id: int) -> None:
        service = _SERVICES.get(type(message))
        if service is None or not message.is_valid_request:
            return
        context = association._accepted_cx[context_id]
        identifier = None
        if service in ("find", "get", "move"):
            syntax = context.transfer_syntax[0]
            identifier = decode(message.Identifier, syntax.is_implicit_VR, syntax.is_little_endian)
        level = str(identifier.get("QueryRetrieveLevel", "")) if identifier is not None else ""
        with self._change():
            self.asked.append(Asked(service, level, identifier, str(association.requestor.ae_title)))
        association.dimse.cancel_req = {}
        answer = Answer(association, message, context)
        if service in self.lies.hang:
            self._hang(association)
        elif service in self.lies.abort:
            association.abort()
        elif service in self.lies.status:
            answer.send(self.lies.status[service], comment=self.lies.comment)
        elif service == "echo":
            answer.send(SUCCESS)
        elif service == "store":
            self._store(answer, message)
        elif service == "find":
            self._find(answer, identifier, level)
        else:
            self._retrieve(answer, message, identifier, service)

    def _store(self, answer: Answer, message: Any) -> None:
        with self._change():
            self.stored[str(message.AffectedSOPInstanceUID)] = message.DataSet.getvalue()
        answer.send(SUCCESS)

    def _found(self, identifier: Dataset, level: str) -> Iterator[Dataset]:
        lies = self.lies
        if level not in lies.levels:
            return
        candidates = list(entities(self.held, level))
        if level == "STUDY":
            candidates += invented(lies.invented)
        for entity in candidates:
            if not lies.ignore_keys and not matches(entity, identifier, lies.ignore):
                continue
            for _ in range(lies.repeat):
                yield self._answer_of(entity, identifier, level)

    def _answer_of(self, entity: Dataset, identifier: Dataset, level: str) -> Dataset:
        lies = self.lies
        found = Dataset()
        charset = lies.charset if lies.charset is not None else entity.get("SpecificCharacterSet")
        if charset:
            found.SpecificCharacterSet = charset
        found.QueryRetrieveLevel = level
        found.RetrieveAETitle = self.aet
        for element in identifier:
            name = keyword_for_tag(element.tag)
            if name in ("QueryRetrieveLevel", "SpecificCharacterSet") or name in lies.leave_out or element.VR == "SQ":
                continue
            value = entity.get(name)
            if value is not None and name.startswith("NumberOf"):
                value = int(value) + lies.miscount
            setattr(found, name, value)
        return found

    def _find(self, answer: Answer, identifier: Dataset, level: str) -> None:
        for found in self._found(identifier, level):
            if self._was_cancelled(answer):
                answer.send(CANCELLED)
                return
            if not self._paused(answer):
                return
            answer.send(PENDING, found)
        answer.send(SUCCESS)

    def _was_cancelled(self, answer: Answer) -> bool:
        if not answer.cancelled():
            return False
        with self._change():
            self.cancelled += 1
        return not self.lies.ignore_cancel

    def _paused(self, answer: Answer) -> bool:
        """Wait as long as ``slow`` says; False: the peer is gone."""
        if self.lies.slow:
            self._ended.wait(self.lies.slow)
        return answer.alive and not self._ended.is_set()

    # -- C-GET and C-MOVE ---------------------------------------------------------------------------------------------

    def _retrieve(self, answer: Answer, message: Any, identifier: Dataset, service: str) -> None:
        lies = self.lies
        if lies.operations is not None and self._operations >= lies.operations:
            lies = Lies(slow=lies.slow, ignore_cancel=lies.ignore_cancel)
        self._operations += 1
        asked = [each for each in self.held if lies.ignore_keys or matches(each.header, identifier)]
        sending = parcels(asked, hold(lies.unasked), lies)
        said = len(asked)
        if service == "get":
            self._send_all(answer, SubOperations(answer.association), sending, said, lies)
            return
        port = self.modalities.get(str(message.MoveDestination).strip())
        if port is None:
            answer.send(UNKNOWN_DESTINATION)
            return
        destination = str(message.MoveDestination).strip()
        outward = self._ae.associate("127.0.0.1", port, proposed(sending), ae_title=destination)
        if not outward.is_established:
            answer.send(NO_SUB_OPERATIONS, numbers=(0, said, 0, 0))
            return
        operations = SubOperations(outward, originator=answer.association.requestor.ae_title, id_=message.MessageID)
        try:
            self._send_all(answer, operations, sending, said, lies)
        finally:
            operations.release()

    def _send_all(
        self, answer: Answer, operations: SubOperations, sending: list[Parcel], said: int, lies: Lies
    ) -> None:
        failed: list[str] = [parcel.uid for parcel in sending if parcel.fails]
        done = len(failed)
        for number, parcel in enumerate(parcel for parcel in sending if not parcel.fails):
            if self._was_cancelled(answer):
                answer.send(CANCELLED, numbers=(max(0, said - done), len(failed), 0, done - len(failed)))
                return
            if lies.abort_after is not None and number >= lies.abort_after:
                answer.association.abort()
                return
            if lies.idle:
                self._ended.wait(lies.idle)
            if not self._paused(answer):
                return
            status = operations.store(parcel)
            if status is None and operations.shared:
                return  # the peer is gone; for C-MOVE it is only the receiver
            if status == NO_CONTEXT and lies.stops:
                answer.send(UNABLE)
                return
            if status not in (NO_CONTEXT, None):
                with self._change():
                    self.sent.append(parcel.uid)
            if status != SUCCESS:
                failed.append(parcel.uid)
            done += 1
            if not lies.quiet:
                answer.send(PENDING, numbers=(max(0, said - done), len(failed), 0, done - len(failed)))
        numbers = (0, len(failed), 0, max(0, said - len(failed)))
        if not failed:
            answer.send(SUCCESS, numbers=numbers)
            return
        missing = Dataset()
        missing.FailedSOPInstanceUIDList = failed
        answer.send(PARTLY if len(failed) < said else NO_SUB_OPERATIONS, missing, numbers=numbers)


def proposed(sending: list[Parcel]) -> list[PresentationContext]:
    """Presentation contexts for what C-MOVE sends, each class in each transfer syntax that it is there in."""
    pairs = {
        (sop_class, parcel.syntax) for parcel in sending for sop_class in (parcel.sop_class, parcel.held.sop_class)
    }
    return [
        build_context(sop_class, UNCOMPRESSED if syntax in UNCOMPRESSED else [syntax])
        for sop_class, syntax in sorted(pairs or {(CT, UNCOMPRESSED[0])})
    ]
