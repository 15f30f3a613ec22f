"""Association negotiation (PS3.8 §7.1, PS3.7 annex D): what is proposed, and what came of it. By pynetdicom's units."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pydicom.uid import UID
from pynetdicom import pdu, pdu_primitives
from pynetdicom.presentation import PresentationContext

from slicer_notebook.errors import PacsAnswerError, PacsRefusedError

__all__ = [
    "IMPLEMENTATION",
    "MAX_PDU",
    "Accepted",
    "Agreement",
    "Identity",
    "Proposal",
    "Requested",
    "accept_unit",
    "agreement_of",
    "read_request",
    "rejected",
    "request_unit",
]

#: Implementation Class UID (PS3.7 D.3.3.2; a UUID-derived UID, PS3.5 B.2) and Version Name.
IMPLEMENTATION: Final = ("2.25.199480235911640297043118461790236917342", "SLICERNOTEBOOK_1")
#: Longest unit (bytes) that we ask for: dcmtk's and Orthanc's own most.
MAX_PDU: Final = 131072
_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
#: Contexts of one association at most: their ids are the odd numbers of a byte (PS3.8 9.3.2.2).
MAX_CONTEXTS: Final = 128


class Proposal(NamedTuple):
    """A presentation context to propose."""

    abstract: str
    transfer: tuple[str, ...]
    #: that we take the SCP's role, too: storage by C-GET
    as_scp: bool = False


class Accepted(NamedTuple):
    """A presentation context that was accepted."""

    id: int
    abstract: str
    transfer: str
    #: we may act as SCU, as SCP
    as_scu: bool
    as_scp: bool


class Agreement(NamedTuple):
    """What an association allows."""

    contexts: dict[int, Accepted]
    #: why contexts were not accepted: abstract syntax -> in words
    refused: dict[str, str]
    #: longest unit (bytes) that the peer takes; 0: any
    max_pdu: int
    #: the peer's Implementation Version Name, or Class UID
    implementation: str
    #: SOP class -> service class application information of the extended negotiation's answer
    extended: dict[str, bytes]

    def context(self, abstract: str) -> Accepted | None:
        """The context of a service, for us as its user."""
        return next((c for c in self.contexts.values() if c.abstract == abstract and c.as_scu), None)


class Identity(NamedTuple):
    """User identity (PS3.7 D.3.3.7): a name, with a passcode or without."""

    user: str
    password: str = ""


def request_unit(
    called: str,
    calling: str,
    proposals: Iterable[Proposal],
    *,
    identity: Identity | None = None,
    extended: Mapping[str, bytes] | None = None,
) -> bytes:
    """An A-ASSOCIATE-RQ unit, whole. The proposals' contexts have the ids 1, 3, 5... in their order."""
    proposals = list(proposals)
    if not 0 < len(proposals) <= MAX_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts")
    primitive = pdu_primitives.A_ASSOCIATE()
    primitive.application_context_name = UID(_APPLICATION_CONTEXT)
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = []
    for number, proposal in enumerate(proposals):
        context = PresentationContext()
        context.context_id = 2 * number + 1
        context.abstract_syntax = UID(proposal.abstract)
        context.transfer_syntax = [UID(uid) for uid in proposal.transfer]
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    information: list[Any] = _ourselves()
    for abstract in dict.fromkeys(proposal.abstract for proposal in proposals if proposal.as_scp):
        information.append(_role(abstract, scu=False, scp=True))
    for abstract, data in (extended or {}).items():
        item = pdu_primitives.SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = UID(abstract), data
        information.append(item)
    if identity is not None:
        information.append(_identity_item(identity))
    primitive.user_information = information
    return bytes(pdu.A_ASSOCIATE_RQ(primitive).encode())


def _ourselves() -> list[Any]:
    longest = pdu_primitives.MaximumLengthNotification()
    longest.maximum_length_received = MAX_PDU
    uid = pdu_primitives.ImplementationClassUIDNotification()
    uid.implementation_class_uid = UID(IMPLEMENTATION[0])
    version = pdu_primitives.ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION[1]
    return [longest, uid, version]


def _role(abstract: str, *, scu: bool, scp: bool) -> Any:
    role = pdu_primitives.SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = UID(abstract), scu, scp
    return role


def _identity_item(identity: Identity) -> Any:
    item = pdu_primitives.UserIdentityNegotiation()
    item.user_identity_type = 2 if identity.password else 1
    item.primary_field = identity.user.encode("utf-8")
    if identity.password:
        item.secondary_field = identity.password.encode("utf-8")
    return item


_RESULTS: Final = {
    1: "rejected by its user",
    2: "rejected without a reason",
    3: "the abstract syntax (service) is not supported",
    4: "none of the transfer syntaxes is supported",
}


def agreement_of(body: bytes, proposals: Iterable[Proposal], peer: str) -> Agreement:
    """What an A-ASSOCIATE-AC unit's body says of the proposals.

    Raises:
        PacsAnswerError: it cannot be read.
    """
    unit = pdu.A_ASSOCIATE_AC()
    try:
        unit.decode(struct.pack(">BxI", 2, len(body)) + body)
        results = {item.context_id: item for item in unit.to_primitive().presentation_context_definition_results_list}
        information = unit.user_information.user_data if unit.user_information is not None else []
    # pynetdicom raises errors of no common class on what is no unit.
    except Exception as exc:
        raise PacsAnswerError(
            f"{peer} answered the association with something that is none.",
            expected="A-ASSOCIATE-AC (PS3.8 9.3.3)",
            got=f"{len(body)} bytes: {type(exc).__name__}",
        ) from exc
    facts = _facts(information)
    contexts: dict[int, Accepted] = {}
    refused: dict[str, str] = {}
    for number, proposal in enumerate(proposals):
        id_ = 2 * number + 1
        result = results.get(id_)
        if result is None or result.result != 0:
            code = 2 if result is None else int(result.result or 0)
            refused.setdefault(proposal.abstract, _RESULTS.get(code, f"result {code}"))
            continue
        transfer = str(result.transfer_syntax[0]) if result.transfer_syntax else ""
        if transfer not in proposal.transfer:
            refused.setdefault(proposal.abstract, f"accepted with {transfer!r}, which was not proposed")
            continue
        scu, scp = facts.roles.get(proposal.abstract, (True, False)) if proposal.as_scp else (True, False)
        contexts[id_] = Accepted(id_, proposal.abstract, transfer, scu or not proposal.as_scp, scp)
    for context in contexts.values():
        refused.pop(context.abstract, None)
    return Agreement(contexts, refused, facts.max_pdu, facts.implementation, facts.extended)


class _Facts(NamedTuple):
    max_pdu: int
    implementation: str
    #: SOP class -> (requestor may be SCU, requestor may be SCP)
    roles: dict[str, tuple[bool, bool]]
    extended: dict[str, bytes]


def _facts(items: Iterable[Any]) -> _Facts:
    longest, class_uid, version = 0, "", ""
    roles: dict[str, tuple[bool, bool]] = {}
    extended: dict[str, bytes] = {}
    for item in items:
        kind = type(item).__name__
        if kind == "MaximumLengthSubItem":
            longest = int(item.maximum_length_received or 0)
        elif kind == "ImplementationClassUIDSubItem":
            class_uid = str(item.implementation_class_uid or "")
        elif kind == "ImplementationVersionNameSubItem":
            version = str(item.implementation_version_name or "").strip()
        elif kind == "SCP_SCU_RoleSelectionSubItem":
            roles[str(item.sop_class_uid)] = (bool(item.scu_role), bool(item.scp_role))
        elif kind == "SOPClassExtendedNegotiationSubItem":
            extended[str(item.sop_class_uid)] = bytes(item.service_class_application_information or b"")
    return _Facts(longest, version or class_uid, roles, extended)


#: (source, reason) -> in words, what to do (PS3.8 table 9-21).
_REJECTIONS: Final = {
    (1, 1): ("it gave no reason", "Ask its administrator whether our AE title and this machine's address are allowed."),
    (1, 2): ("the application context is not supported", ""),
    (1, 3): (
        "the calling AE title {calling!r} is not known there",
        "Have the PACS's administrator add our AE title with this machine's address, or give the one that is known: "
        "calling=...",
    ),
    (1, 7): (
        "the called AE title {called!r} is not its own",
        "Give the PACS's AE title as it has it; some tell capitals from small letters.",
    ),
    (2, 1): ("it gave no reason", "A user identity that is not accepted is refused like this, too."),
    (2, 2): ("the protocol version is not supported", ""),
    (3, 1): ("temporary congestion", "Try again later."),
    (3, 2): ("it has no room for a further association", "Try again later, or with fewer: parallel=1."),
}


def rejected(body: bytes, called: str, calling: str, peer: str) -> PacsRefusedError:
    """What an A-ASSOCIATE-RJ unit's body says (PS3.8 9.3.4). ``details["again"]``: whether trying again may help."""
    result, source, reason = (body[1], body[2], body[3]) if len(body) >= 4 else (1, 0, 0)
    words, hint = _REJECTIONS.get((source, reason), (f"source {source}, reason {reason}", ""))
    return PacsRefusedError(
        f"{peer} refused the association: {words.format(called=called, calling=calling)}.",
        hint=hint or None,
        details={"result": result, "source": source, "reason": reason, "again": result == 2 or source == 3},
    )


# -- as the acceptor --------------------------------------------------------------------------------------------------


class Requested(NamedTuple):
    """What a peer asks for in an A-ASSOCIATE-RQ."""

    called: str
    calling: str
    #: id, abstract syntax, transfer syntaxes
    contexts: list[tuple[int, str, tuple[str, ...]]]
    max_pdu: int
    #: SOP class -> (the requestor wants to be SCU, SCP)
    roles: dict[str, tuple[bool, bool]]
    implementation: str


def read_request(body: bytes) -> Requested:
    """What an A-ASSOCIATE-RQ unit's body asks for.

    Raises:
        PacsAnswerError: it cannot be read.
    """
    unit = pdu.A_ASSOCIATE_RQ()
    try:
        unit.decode(struct.pack(">BxI", 1, len(body)) + body)
        contexts = [
            (int(item.presentation_context_id or 0), str(item.abstract_syntax), tuple(map(str, item.transfer_syntax)))
            for item in unit.presentation_context
        ]
        facts = _facts(unit.user_information.user_data if unit.user_information is not None else [])
        called, calling = str(unit.called_ae_title).strip(), str(unit.calling_ae_title).strip()
    # As in `agreement_of`.
    except Exception as exc:
        raise PacsAnswerError(
            "A peer asked for an association in a way that cannot be read.",
            expected="A-ASSOCIATE-RQ (PS3.8 9.3.2)",
            got=f"{len(body)} bytes: {type(exc).__name__}",
        ) from exc
    return Requested(called, calling, contexts, facts.max_pdu, facts.roles, facts.implementation)


def accept_unit(
    request: Requested, chosen: Mapping[int, str], roles: Mapping[str, tuple[bool, bool]] | None = None
) -> bytes:
    """An A-ASSOCIATE-AC unit, whole.

    Args:
        chosen: context id -> transfer syntax that is accepted; "" where the abstract syntax is not supported; contexts
            that are absent are refused for their transfer syntaxes.
        roles: SOP class -> (the requestor is SCU, SCP), of those that it has asked for.

    Raises:
        PacsAnswerError: what was asked for is such that it cannot be answered.
    """
    try:
        return _accept_unit(request, chosen, roles or {})
    # As in `agreement_of`.
    except Exception as exc:
        raise PacsAnswerError(
            "A peer asked for an association that cannot be answered.", got=type(exc).__name__
        ) from exc


def _accept_unit(request: Requested, chosen: Mapping[int, str], roles: Mapping[str, tuple[bool, bool]]) -> bytes:
    primitive = pdu_primitives.A_ASSOCIATE()
    primitive.application_context_name = UID(_APPLICATION_CONTEXT)
    primitive.calling_ae_title, primitive.called_ae_title = request.calling, request.called
    primitive.result = 0
    results = []
    for id_, abstract, transfer in request.contexts:
        context = PresentationContext()
        context.context_id = id_
        context.abstract_syntax = UID(abstract)
        syntax = chosen.get(id_)
        context.result = 4 if syntax is None else 0 if syntax else 3
        context.transfer_syntax = [UID(syntax or (transfer[0] if transfer else "1.2.840.10008.1.2"))]
        results.append(context)
    primitive.presentation_context_definition_results_list = results
    primitive.user_information = [
        *_ourselves(),
        *(_role(abstract, scu=scu, scp=scp) for abstract, (scu, scp) in roles.items()),
    ]
    return bytes(pdu.A_ASSOCIATE_AC(primitive).encode())


def reject_unit(*, transient: bool, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ unit, whole (PS3.8 9.3.4)."""
    return struct.pack(">BxIxBBB", 3, 4, 2 if transient else 1, source, reason)
