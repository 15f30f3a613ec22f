"""Storage commitment, against a real Orthanc and SCPs that answer on this association, on another, wrongly or never."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, build_role
from pynetdicom.sop_class import Verification

from slicer_notebook.errors import ArgumentError, JobCancelledError, PacsRefusedError
from slicer_notebook.pacs.dimse import commitment
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer, associate
from slicer_notebook.pacs.dimse.commitment import COMMITMENT, INSTANCE, commit
from slicer_notebook.pacs.dimse.find import SYNTAXES
from slicer_notebook.pacs.dimse.identifiers import encode_identifier
from slicer_notebook.pacs.dimse.negotiation import Accepted, Proposal
from slicer_notebook.pacs.model import never
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.receiver_client import ReceiverClient
from slicer_notebook.pacs.server import DimseAddress, Server
from slicer_notebook.pacs.storing import StoredFile
from slicer_notebook.pacs.transfer import Storing
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.peers.committing import FOREIGN, Committing, How
from tests.pacs.peers.data import Data
from tests.pacs.peers.real import RealPeer
from tests.pacs.retrieving import opened
from tests.pacs.test_receiver import pid_of

DEADLINE = 30.0
NO_PORT = "no answer, and no port to send one to"


@pytest.fixture
def keeper() -> Iterator[Committing]:
    with Committing() as made:
        yield made


@pytest.fixture
def pacs(keeper: Committing, tmp_path: Path) -> Iterator[Callable[..., Pacs]]:
    """Opens the keeper; ``port=True``: with a receiver that it reports to."""
    made: list[Pacs] = []

    def make(*, port: bool = False, **settings: Any) -> Pacs:
        if port:
            keeper.how.port = settings["port"] = free_port()
        made.append(opened(tmp_path, keeper.url, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def files(pacs_data: Data) -> list[Path]:
    return list(pacs_data.study("follow-up").instances.values())


def said(files: list[StoredFile]) -> list[tuple[bool | None, str]]:
    return [(each.committed, each.uncommitted) for each in files]


# -- Orthanc ----------------------------------------------------------------------------------------------------------


def test_orthanc_says_what_it_keeps(fresh_orthanc: Callable[..., Orthanc], pacs_data: Data, tmp_path: Path) -> None:
    """It reports on an association of its own; one instance is deleted before it is asked."""
    orthanc = fresh_orthanc(None)
    study = pacs_data.study("thorax")
    gone = next(iter(study.instances))
    deleted: list[str] = []

    def delete(work: Storing) -> None:
        if len(work.report.files) == work.report.count and not deleted:
            [found] = orthanc.rest.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": gone}})
            orthanc.rest.request("DELETE", f"/instances/{found}")
            deleted.append(found)

    with opened(tmp_path, orthanc.dimse_url, port=orthanc.modalities["SLICER"]) as pacs:
        stored = pacs.store(study.instances[gone].parent.parent, commit=True).result(DEADLINE)
        assert stored.complete
        assert len(stored.committed) == len(study.instances)
        orthanc.rest.request("DELETE", f"/studies/{orthanc.rest.get('/studies')[0]}")
        stored = pacs.store(*study.instances.values(), commit=True, on_progress=delete).result(DEADLINE)
    assert len(stored.taken) == len(study.instances)
    assert not stored.complete
    [lost] = stored.uncommitted
    assert lost.path == str(study.instances[gone])
    assert lost.uncommitted == "it does not have the instance (0112)"
    assert repr(stored).endswith(f"{len(study.instances)} files, {len(study.instances) - 1} committed>")


def test_orthanc_has_no_port_to_report_to(
    fresh_orthanc: Callable[..., Orthanc], files: list[Path], tmp_path: Path
) -> None:
    orthanc = fresh_orthanc(None)
    with opened(tmp_path, orthanc.dimse_url, commit_timeout=1.0) as pacs:
        stored = pacs.store(*files, commit=True).result(DEADLINE)
    assert said(stored.files) == [(False, NO_PORT)] * len(files)
    assert len(stored.taken) == len(files)
    assert not stored.complete


def test_dcmqrscp_does_not_offer_it(dcmqrscp: RealPeer, pacs_data: Data, tmp_path: Path) -> None:
    """Nothing is waited for, and no receiver is started for nothing."""
    client = ReceiverClient(Server(name="peer", url=dcmqrscp.url, port=free_port()), folder=tmp_path / "run")
    peer = Peer(DimseAddress(dcmqrscp.aet, "127.0.0.1", dcmqrscp.port, tls=False), dcmqrscp.calling, "peer", timeout=10)
    instance = ("1.2.840.10008.5.1.4.1.1.2", next(iter(pacs_data.study("thorax").instances)))
    with pytest.raises(PacsRefusedError, match="does not offer storage commitment") as error:
        commit(peer, [instance], lambda *_: None, never, timeout=DEADLINE, receiver=client)
    assert error.value.details["abstract"] == COMMITMENT
    assert not list(tmp_path.glob("run/*"))


def test_another_program_has_the_receivers_port(keeper: Committing, files: list[Path], tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        opened(tmp_path, keeper.url, port=other.getsockname()[1]) as pacs,
    ):
        stored = pacs.store(*files, commit=True).result(DEADLINE)
    assert "cannot listen on 127.0.0.1" in stored.files[0].uncommitted
    assert not stored.complete
    assert not keeper.asked


# -- on the same association ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [False, True])
@pytest.mark.parametrize("where", ["same", "before"])
def test_a_report_on_the_same_association(  # noqa: PLR0917
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], pacs_data: Data, where: Any, port: bool
) -> None:
    keeper.how.where, keeper.how.fail, keeper.how.reason = where, 2, 0x0213
    began = time.monotonic()
    stored = pacs(port=port, commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE)
    assert time.monotonic() - began < 10, "it waited for more than had been asked"
    assert said(stored.files) == [(False, "it is out of resources (0213)")] * 2 + [(True, "")] * (len(files) - 2)
    assert not stored.complete
    [asked] = keeper.asked.values()
    assert [uid for _, uid in asked] == list(pacs_data.study("follow-up").instances)
    if where == "same":
        keeper.wait_for(lambda: keeper.answers)
        assert [status for _, status in keeper.answers] == [0x0000]


def test_plain_sending_asks_for_nothing(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    stored = pacs(port=True).store(*files).result(DEADLINE)
    assert stored.complete
    assert said(stored.files) == [(None, "")] * len(files)
    assert not keeper.asked


def test_where_it_is_offered(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    stored = pacs().store(*files, commit=None).result(DEADLINE)
    assert stored.complete
    assert len(stored.committed) == len(files)
    keeper.how.offered = False
    stored = pacs().store(*files, commit=None).result(DEADLINE)
    assert stored.complete
    assert said(stored.files) == [(None, "")] * len(files)
    stored = pacs().store(*files, commit=True).result(DEADLINE)
    assert not stored.complete
    assert {committed for committed, _ in said(stored.files)} == {False}
    assert "does not offer storage commitment" in stored.files[0].uncommitted
    assert "not supported" in stored.files[0].uncommitted


def test_only_what_was_taken_is_asked_for(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], pacs_data: Data, tmp_path: Path
) -> None:
    """Not what is no DICOM, nor what the PACS has no context for; one instance in two files once."""
    again = tmp_path / "again.dcm"
    again.write_bytes(files[0].read_bytes())
    packed = next(iter(pacs_data.study("packed").instances.values()))
    stored = pacs().store(files[0], again, packed, commit=True).result(DEADLINE)
    assert said(stored.files) == [(True, ""), (True, ""), (None, "")]
    assert [each.path for each in stored.failed] == [str(packed)]
    assert not stored.complete
    [asked] = keeper.asked.values()
    assert len(asked) == 1
    keeper.asked.clear()
    assert not pacs().store(packed, commit=True).result(DEADLINE).complete
    assert not keeper.asked


def test_the_question_is_refused(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    keeper.how.status = 0x0213
    stored = pacs(port=True).store(*files, commit=True).result(DEADLINE)
    assert {committed for committed, _ in said(stored.files)} == {False}
    assert "did not do the N-ACTION" in stored.files[0].uncommitted
    assert "0213" in stored.files[0].uncommitted


def test_instances_that_no_answer_names(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    keeper.how.forget = 1
    stored = pacs().store(*files, commit=True).result(DEADLINE)
    assert said(stored.files)[:2] == [(False, "the PACS's answer does not name it"), (True, "")]


# -- on an association of the PACS's own ------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [True, False])
def test_a_report_on_another_association(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], roles: bool
) -> None:
    """With the roles of PS3.4 J.3.3, and by a PACS that says nothing of them."""
    keeper.how = How(where="other", roles=roles, fail=1, reason=0x0119)
    stored = pacs(port=True, commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE)
    assert said(stored.files)[:2] == [(False, "the SOP Class is not that of the instance there (0119)"), (True, "")]
    assert len(stored.committed) == len(files) - 1
    keeper.wait_for(lambda: keeper.answers)
    assert [status for _, status in keeper.answers] == [0x0000]
    assert keeper.roles == [(False, True) if roles else None]


@pytest.mark.parametrize("end", ["abort", "release"])
def test_the_association_that_asked_is_ended_before(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], end: Any
) -> None:
    keeper.how = How(where="other", end=end)
    stored = pacs(port=True, commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE)
    assert stored.complete
    keeper.how = How(where="never", end=end)
    stored = pacs(commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE)
    assert said(stored.files) == [(False, NO_PORT)] * len(files)


@pytest.mark.parametrize("where", ["same", "other"])
def test_a_foreign_transaction_is_refused(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], where: Any
) -> None:
    keeper.how = How(where=where, foreign=FOREIGN)
    stored = pacs(port=True, commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE)
    assert stored.complete
    keeper.wait_for(lambda: len(keeper.answers) == 2)
    [own] = keeper.asked
    assert keeper.answers == [(FOREIGN, 0x0115), (own, 0x0000)]


@pytest.mark.parametrize("port", [False, True])
def test_a_foreign_transaction_alone_commits_to_nothing(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], port: bool
) -> None:
    keeper.how = How(where="other" if port else "same", foreign=FOREIGN, alone=True)
    stored = pacs(port=port, commit_timeout=1.0).store(*files, commit=True).result(DEADLINE)
    assert keeper.answers == [(FOREIGN, 0x0115)]
    assert not stored.committed
    expected = "no answer within 1 s; noted meanwhile: 127.0.0.1: a report of storage commitment that nobody waits for"
    assert stored.files[0].uncommitted == (f"{expected} was refused" if port else NO_PORT)


def test_a_pacs_that_waits_for_the_end_of_the_association(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment, "_TOGETHER", 0.3)
    keeper.how = How(where="other", late=True)
    assert pacs(port=True, commit_timeout=DEADLINE).store(*files, commit=True).result(DEADLINE).complete


def test_a_report_to_another_title_is_rejected(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]
) -> None:
    keeper.how = How(where="other", title="SOMEBODY")
    stored = pacs(port=True, commit_timeout=1.0).store(*files, commit=True).result(DEADLINE)
    assert said(stored.files)[0][0] is False
    assert stored.files[0].uncommitted.startswith("no answer within 1 s; noted meanwhile: 127.0.0.1: an association")
    assert "'SOMEBODY' was rejected" in stored.files[0].uncommitted
    assert keeper.refused == 1


def test_it_never_answers(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    keeper.how.where = "never"
    stored = pacs(port=True).store(*files, commit=True, commit_timeout=0.5).result(DEADLINE)
    assert said(stored.files) == [(False, "no answer within 0.5 s")] * len(files)
    stored = pacs(commit_timeout=0.5).store(*files, commit=True).result(DEADLINE)
    assert said(stored.files) == [(False, NO_PORT)] * len(files)


@pytest.mark.parametrize("port", [False, True])
def test_a_cancel(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path], port: bool) -> None:
    keeper.how.where, keeper.how.end = "never", "abort" if port else ""
    work = pacs(port=port, commit_timeout=600.0).store(*files, commit=True)
    keeper.wait_for(lambda: keeper.asked)
    assert work.report.awaiting
    assert not work.report.complete
    began = time.monotonic()
    work.cancel()
    with pytest.raises(JobCancelledError):
        work.result(DEADLINE)
    assert time.monotonic() - began < 5
    assert said(work.report.files) == [(False, "it was cancelled before the PACS had answered")] * len(files)
    assert not work.report.awaiting


def test_the_receiver_dies_meanwhile(keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]) -> None:
    keeper.how.where, keeper.how.end = "never", "abort"
    work = pacs(port=True, commit_timeout=600.0).store(*files, commit=True)
    keeper.wait_for(lambda: keeper.asked)
    run = Path(os.environ["SLICER_NOTEBOOK_DATA"]) / "run"
    [file] = run.glob(f"receiver-*-{keeper.how.port}.json")
    os.kill(int(json.loads(file.read_text())["pid"]), signal.SIGKILL)
    stored = work.result(DEADLINE)
    assert "its process has ended" in stored.files[0].uncommitted


def test_the_pacs_is_away_when_it_is_to_be_asked(
    keeper: Committing, pacs: Callable[..., Pacs], files: list[Path]
) -> None:
    def close(work: Storing) -> None:
        if len(work.report.files) == work.report.count:
            keeper.close()

    stored = pacs(connect_timeout=1.0).store(*files, commit=True, on_progress=close).result(DEADLINE)
    assert len(stored.taken) == len(files)
    assert {committed for committed, _ in said(stored.files)} == {False}
    assert stored.files[0].uncommitted


# -- many, and what is no report --------------------------------------------------------------------------------------


@pytest.fixture
def client(keeper: Committing, tmp_path: Path) -> Iterator[ReceiverClient]:
    server = Server(name="peer", url=keeper.url, calling="SLICER", port=free_port())
    made = ReceiverClient(server, folder=tmp_path / "run")
    keeper.how = How(where="other", port=server.port)
    yield made
    made.close()


def peer_of(keeper: Committing) -> Peer:
    return Peer(DimseAddress("KEEPER", "127.0.0.1", keeper.port, tls=False), "SLICER", "peer", timeout=10)


def test_many_are_asked_for_in_several_transactions(keeper: Committing, client: ReceiverClient) -> None:
    keeper.how.fail = 450
    instances = [("1.2.840.10008.5.1.4.1.1.2", f"1.2.826.0.1.3680043.8.498.{'7' * 30}.{n}") for n in range(1201)]
    told: dict[str, str] = {}
    commit(peer_of(keeper), instances, told.__setitem__, never, timeout=DEADLINE, receiver=client)
    assert sorted(len(items) for items in keeper.asked.values()) == [201, 500, 500]
    assert sorted(told) == sorted(uid for _, uid in instances)
    assert sum(not why for why in told.values()) == 100
    keeper.wait_for(lambda: len(keeper.answers) == 3)


def report_of(transaction: str = "", *, broken: bool = False) -> bytes:
    if broken:
        return b"\x08\x00\x99\x11SQ\x00\x00\xff\xff\x00\x00this is no sequence"
    found = Dataset()
    found.TransactionUID = transaction
    found.ReferencedSOPSequence = []
    return encode_identifier(found, SYNTAXES[0])


def reported(association: Association, context: Accepted, data: bytes, **command: Any) -> m.Command:
    """Report something; the answer."""
    words: dict[str, Any] = {"sop_class": COMMITMENT, "sop_instance": INSTANCE, "event_type": 1, **command}
    association.send(context.id, data, command=m.N_EVENT_REPORT_RQ, message_id=association.next_id(), **words)
    return association.message().command


def as_pacs(client: ReceiverClient, proposal: Proposal) -> Any:
    """An association to the receiver, as a PACS opens one."""
    address = DimseAddress("SLICER", "127.0.0.1", client._server.port, tls=False)
    return associate(Peer(address, "KEEPER", "ours", timeout=10), [proposal])


def test_what_is_no_report(client: ReceiverClient) -> None:
    came: list[Any] = []
    with (
        client.awaiting("1.2.3", came.append),
        as_pacs(client, Proposal(COMMITMENT, SYNTAXES[:1], as_scp=True)) as association,
    ):
        [context] = association.agreement.contexts.values()
        assert (context.as_scu, context.as_scp) == (False, True)
        answers = [
            reported(association, context, report_of("1.2.3"), event_type=3),
            reported(association, context, report_of("1.2.3"), sop_instance="1.2.3"),
            reported(association, context, report_of(broken=True)),
            reported(association, context, report_of("1.2.3.4")),
            reported(association, context, report_of("")),
        ]
        assert [answer.status for answer in answers] == [0x0113, 0x0112, 0x0110, 0x0115, 0x0115]
        assert not came
        last = reported(association, context, report_of("1.2.3"))
        assert (last.command, last.status, last.sop_class, last.sop_instance) == (0x8100, 0, COMMITMENT, INSTANCE)
        client.ask(do="sync")
        assert [each.transaction for each in came] == ["1.2.3"]


def test_nobody_asks_the_receiver_to_keep_anything(client: ReceiverClient) -> None:
    """It is no SCP of storage commitment: a peer that wants the user's role has no context."""
    with client.awaiting("1.2.3", lambda _report: None):
        request = Proposal(COMMITMENT, SYNTAXES)
        with as_pacs(client, request) as association:  # nothing is said of roles
            [context] = association.agreement.contexts.values()
            association.send(
                context.id, report_of("1.2.3"), command=m.N_ACTION_RQ, message_id=1, requested_class=COMMITMENT,
                requested_instance=INSTANCE, action_type=1,
            )  # fmt: skip
            assert association.message().command.status == 0x0211


@pytest.mark.parametrize(("scu", "scp", "accepted"), [(True, False, False), (True, True, True)])
def test_the_roles_that_a_pacs_asks_for(client: ReceiverClient, scu: bool, scp: bool, accepted: bool) -> None:
    ae = AE(ae_title="KEEPER")
    ae.requested_contexts = [build_context(COMMITMENT), build_context(Verification)]
    with client.awaiting("1.2.3", lambda _report: None):
        role = build_role(COMMITMENT, scu_role=scu, scp_role=scp)
        association = ae.associate("127.0.0.1", client._server.port, ae_title="SLICER", ext_neg=[role])
        assert association.is_established
        assert (COMMITMENT in [each.abstract_syntax for each in association.accepted_contexts]) == accepted
        roles = [(each.scu_role, each.scp_role) for each in association.acceptor.role_selection.values()]
        assert roles == ([(False, True)] if accepted else [])
        association.release()


def test_a_report_that_comes_twice() -> None:
    """A PACS that has lost our answer reports again: it is answered again, and the first one holds."""
    told: dict[str, str] = {}
    transactions = commitment._Transactions([("1.2", "1.2.3"), ("1.2", "1.2.4")], told.__setitem__)
    [uid] = transactions.parts
    assert transactions.take(commitment.Report(uid, ["1.2.3"], {"1.2.4": 0x0112})) == 0x0000
    first = dict(told)
    assert transactions.take(commitment.Report(uid, ["1.2.3", "1.2.4"], {})) == 0x0000
    assert told == first == {"1.2.3": "", "1.2.4": "it does not have the instance (0112)"}


def test_reports_are_rejected_when_nobody_waits(client: ReceiverClient, tmp_path: Path) -> None:
    with client.awaiting("1.2.3", lambda _report: None):
        assert pid_of(tmp_path / "run")
    with (
        pytest.raises(PacsRefusedError, match="AE title"),
        as_pacs(client, Proposal(COMMITMENT, SYNTAXES, as_scp=True)),
    ):
        pass


# -- what is no question ----------------------------------------------------------------------------------------------


def test_a_pacs_that_cannot_be_asked(tmp_path: Path, files: list[Path]) -> None:
    with opened(tmp_path, f"http://127.0.0.1:{free_port()}/dicom-web") as web:
        with pytest.raises(ArgumentError, match="cannot be asked for storage commitment") as error:
            web.store(*files, commit=True)
        assert "DICOMweb" in str(error.value)
        assert "commit=None" in (error.value.hint or "")
        with pytest.raises(ArgumentError, match="commit_timeout"):
            web.store(*files, commit_timeout=0)
