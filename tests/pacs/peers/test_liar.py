"""The lying SCP tells the truth by default, and each lie as it is told to; seen with pynetdicom as the client."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation

from slicer_notebook.testing import free_port
from tests.pacs.peers.data import COMPREHENSIVE_SR, SEG, Data
from tests.pacs.peers.liar import CT, FIND, GET, MOVE, UNCOMPRESSED, Liar, Lies
from tests.pacs.peers.sending import PRIVATE_CLASS

MR = "1.2.840.10008.5.1.4.1.1.4"
SC = "1.2.840.10008.5.1.4.1.1.7"
COMPRESSED_SYNTAXES = [f"1.2.840.10008.1.2.{tail}" for tail in ("4.50", "4.70", "4.80", "4.90", "5")]


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.instances.values(), modalities={"SLICER": free_port()}) as made:
        yield made


class Client:
    """pynetdicom as SCU, and as SCP for C-MOVE."""

    def __init__(self, liar: Liar) -> None:
        self.liar = liar
        self.received: list[tuple[str, str, bytes]] = []
        self._server: Any = None
        self.ae = AE(ae_title="SLICER")
        self.ae.connection_timeout = self.ae.acse_timeout = self.ae.dimse_timeout = self.ae.network_timeout = 10

    def associate(
        self, *, roles: bool = True, negotiation: Any = (), syntaxes: Any = None, called: str = "LIAR", **more: Any
    ) -> Any:
        storage = [CT, MR, SEG, SC, COMPREHENSIVE_SR]
        contexts = [build_context(each, UNCOMPRESSED) for each in ("1.2.840.10008.1.1", *FIND, *GET, *MOVE)]
        contexts += [build_context(each, syntaxes or UNCOMPRESSED) for each in storage]
        items = [*([build_role(each, scp_role=True) for each in storage] if roles else []), *negotiation]
        handlers = [(evt.EVT_C_STORE, self._stored)]
        return self.ae.associate(
            "127.0.0.1", self.liar.port, contexts, ae_title=called, ext_neg=items, evt_handlers=handlers, **more
        )

    def _stored(self, event: evt.Event) -> int:
        request = event.request
        data = request.DataSet.getvalue()
        self.received.append((str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID), data))
        return 0x0000

    @property
    def uids(self) -> list[str]:
        return [uid for _, uid, _ in self.received]

    def find(self, level: str = "STUDY", **keys: Any) -> tuple[int, list[Dataset]]:
        association = self.associate()
        answers = list(association.send_c_find(asked(level, **keys), FIND[1]))
        association.release()
        found = [identifier for status, identifier in answers if status and status.Status == 0xFF00]
        return answers[-1][0].get("Status"), found

    def get(self, study: str, **options: Any) -> tuple[int | None, Dataset | None, Dataset]:
        association = self.associate(**options)
        assert association.is_established
        answers = list(association.send_c_get(asked("STUDY", StudyInstanceUID=study), GET[1]))
        association.release()
        return answers[-1][0].get("Status"), answers[-1][1], answers[-1][0]

    def _receive(self) -> None:
        if self._server is None:
            receiver = AE(ae_title="SLICER")
            for each in (CT, MR, SEG, SC, COMPREHENSIVE_SR):
                receiver.add_supported_context(each, [*UNCOMPRESSED, *COMPRESSED_SYNTAXES])
            address = ("127.0.0.1", self.liar.modalities["SLICER"])
            handlers = [(evt.EVT_C_STORE, self._stored)]
            self._server = receiver.start_server(address, block=False, evt_handlers=handlers)

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()

    def move(self, study: str, destination: str = "SLICER") -> int | None:
        self._receive()
        association = self.associate()
        answers = list(association.send_c_move(asked("STUDY", StudyInstanceUID=study), destination, MOVE[1]))
        association.release()
        status: int | None = answers[-1][0].get("Status")
        return status


def asked(level: str, **keys: Any) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


@pytest.fixture
def client(liar: Liar) -> Iterator[Client]:
    made = Client(liar)
    yield made
    made.close()


# -- the truth --------------------------------------------------------------------------------------------------------


def test_finds_what_matches(client: Client, pacs_data: Data) -> None:
    status, found = client.find(StudyInstanceUID="", PatientName="doe*", NumberOfStudyRelatedInstances="")
    assert status == 0x0000
    assert {str(each.StudyInstanceUID): each.NumberOfStudyRelatedInstances for each in found} == {
        pacs_data.study("thorax").uid: 31,
        pacs_data.study("follow-up").uid: 7,
    }


def test_finds_by_date_range_list_of_uids_and_name_in_any_character_set(client: Client, pacs_data: Data) -> None:
    assert len(client.find(StudyDate="20240301-20240304", StudyInstanceUID="")[1]) == 4
    uids = [pacs_data.study(name).uid for name in ("japan", "korea")]
    _, found = client.find(StudyInstanceUID=uids, PatientName="")
    assert {str(each.PatientName) for each in found} == {pacs_data.study(name).name for name in ("japan", "korea")}
    _, found = client.find(SpecificCharacterSet="ISO_IR 192", PatientName="Müller*", StudyInstanceUID="")
    assert [str(each.StudyInstanceUID) for each in found] == [pacs_data.study("latin").uid]


@pytest.mark.parametrize(("level", "count"), [("PATIENT", 8), ("STUDY", 9), ("SERIES", 16), ("IMAGE", 59)])
def test_finds_at_every_level(client: Client, level: str, count: int) -> None:
    _, found = client.find(level, PatientID="", StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="")
    assert len(found) == count


def test_gets_a_study_whole(client: Client, pacs_data: Data) -> None:
    study = pacs_data.study("latin")
    status, _, answer = client.get(study.uid)
    assert (status, answer.NumberOfCompletedSuboperations) == (0x0000, 5)
    assert sorted(client.uids) == sorted(study.instances)
    for _, uid, data in client.received:
        assert dcmread(BytesIO(data), force=True).SOPInstanceUID == uid


def test_gets_compressed_instances_as_they_are(client: Client, pacs_data: Data) -> None:
    study = pacs_data.study("packed")
    packed = {series.sop_class: [] for series in study.series}  # type: ignore[var-annotated]
    for series in study.series:
        packed[series.sop_class].append(series.syntax)
    status, _, _ = client.get(study.uid, syntaxes=[packed[SC][0], packed[MR][0]])
    assert status == 0xB000  # one of each class has that transfer syntax, the others another
    assert len(client.uids) == 2


def test_moves_a_study_whole(client: Client, pacs_data: Data) -> None:
    assert client.move(pacs_data.study("packed").uid) == 0x0000
    assert sorted(client.uids) == sorted(pacs_data.study("packed").instances)


def test_a_destination_it_does_not_know(client: Client, pacs_data: Data) -> None:
    assert client.move(pacs_data.study("bare").uid, "STRANGER") == 0xA801


def test_a_destination_that_does_not_listen(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.modalities["DEAF"] = free_port()
    assert client.move(pacs_data.study("bare").uid, "DEAF") == 0xA702


def test_takes_what_is_stored(liar: Liar, client: Client, pacs_data: Data) -> None:
    association = client.associate(roles=False)
    uid, path = next(iter(pacs_data.study("bare").instances.items()))
    assert association.send_c_store(path).Status == 0x0000
    assert association.send_c_echo().Status == 0x0000
    association.release()
    assert list(liar.stored) == [uid]
    assert [each.service for each in liar.asked] == ["associate", "store", "echo"]


def test_cancel_ends_find_and_get(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.slow = 0.02
    liar.lies.invented = 300
    association = client.associate()
    answers = association.send_c_find(asked("STUDY", StudyInstanceUID=""), FIND[1], msg_id=7)
    next(answers)
    association.send_c_cancel(7, query_model=FIND[1])
    last = list(answers)[-1][0]
    assert last.Status == 0xFE00
    assert liar.cancelled == 1

    answers = association.send_c_get(asked("STUDY", StudyInstanceUID=pacs_data.study("thorax").uid), GET[1], msg_id=8)
    next(answers)
    association.send_c_cancel(8, query_model=GET[1])
    assert list(answers)[-1][0].Status == 0xFE00
    association.release()
    assert 0 < len(client.received) < 31
    assert liar.cancelled == 2


# -- associations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", [(1, 1, 1), (1, 1, 3), (1, 1, 7), (2, 1, 1), (2, 2, 1), (1, 2, 2), (2, 3, 1), (2, 3, 2)]
)
def test_rejects(liar: Liar, client: Client, reason: tuple[int, int, int]) -> None:
    liar.lies.reject = reason
    association = client.associate()
    assert association.is_rejected
    primitive = association.acceptor.primitive
    assert (primitive.result, primitive.result_source, primitive.diagnostic) == reason


def test_another_called_title_is_rejected(client: Client) -> None:
    association = client.associate(called="OTHER")
    assert association.is_rejected
    assert association.acceptor.primitive.diagnostic == 7


def test_no_contexts(liar: Liar, client: Client) -> None:
    liar.lies.contexts = False
    association = client.associate()
    assert association.accepted_contexts == []
    assert len(association.rejected_contexts) == 12


def test_without_get(liar: Liar, client: Client) -> None:
    liar.lies.without = {"get"}
    association = client.associate()
    assert {str(each.abstract_syntax) for each in association.rejected_contexts} == set(map(str, GET))
    association.release()


def test_refused_role_fails_all_sub_operations(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.roles = False
    association = client.associate()
    assert not any(each.as_scp for each in association.accepted_contexts)
    association.release()
    study = pacs_data.study("bare")
    status, missing, _ = client.get(study.uid)
    assert status == 0xA702
    assert missing is not None
    assert set(missing.FailedSOPInstanceUIDList) == set(study.instances)
    assert client.received == []


def test_most_associations(liar: Liar, client: Client) -> None:
    liar.lies.most_associations = 1
    first = client.associate()
    second = client.associate()
    assert second.is_rejected
    assert second.acceptor.primitive.diagnostic == 2
    first.release()
    third = client.associate()
    assert third.is_established
    third.release()
    assert (liar.associations, liar.most) == (3, 2)


@pytest.mark.parametrize("service", ["associate", "echo", "find", "get", "move", "store"])
def test_never_answers_until_the_client_goes(liar: Liar, client: Client, pacs_data: Data, service: str) -> None:
    liar.lies.hang = {service}
    client.ae.acse_timeout = client.ae.dimse_timeout = 0.3
    started = time.monotonic()
    assert ask(client, service, pacs_data) is None
    assert 0.25 < time.monotonic() - started < 8
    liar.wait_for(lambda: liar.asked[-1].service == service)


@pytest.mark.parametrize("service", ["associate", "echo", "find", "get", "move", "store"])
def test_aborts(liar: Liar, client: Client, pacs_data: Data, service: str) -> None:
    liar.lies.abort = {service}
    assert ask(client, service, pacs_data) is None
    assert liar.asked[-1].service == service


@pytest.mark.parametrize("service", ["echo", "find", "get", "move", "store"])
def test_status_and_comment_at_once(liar: Liar, client: Client, pacs_data: Data, service: str) -> None:
    liar.lies.status = {service: 0xA700}
    liar.lies.comment = "Doe^Jane is not here"
    answer = ask(client, service, pacs_data)
    assert answer is not None
    assert (answer.Status, answer.ErrorComment) == (0xA700, "Doe^Jane is not here")


def ask(client: Client, service: str, data: Data) -> Dataset | None:
    """The last status of one request; None when there was none."""
    association = client.associate(roles=service == "get")
    if not association.is_established:
        return None
    identifier = asked("STUDY", StudyInstanceUID=data.study("bare").uid)
    last: Dataset
    if service == "echo":
        last = association.send_c_echo()
    elif service == "store":
        last = association.send_c_store(next(iter(data.study("bare").instances.values())))
    elif service == "find":
        last = list(association.send_c_find(identifier, FIND[1]))[-1][0]
    elif service == "get":
        last = list(association.send_c_get(identifier, GET[1]))[-1][0]
    else:
        last = list(association.send_c_move(identifier, "SLICER", MOVE[1]))[-1][0]
    if association.is_established:
        association.release()
    return last if "Status" in last else None


def test_extended_negotiation(liar: Liar, client: Client) -> None:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = FIND[1]
    item.service_class_application_information = b"\x01\x01\x01"
    association = client.associate(negotiation=[item])
    assert association.acceptor.sop_class_extended == {}
    association.release()
    liar.lies.extended = b"\x01\x00\x00"
    association = client.associate(negotiation=[item])
    assert association.acceptor.sop_class_extended == {FIND[1]: b"\x01\x00\x00"}
    association.release()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_tls(tmp_path: Path, pacs_data: Data) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)
    with Liar(pacs_data.study("bare").instances.values(), tls=context) as liar:
        assert liar.url == f"dimses://LIAR@127.0.0.1:{liar.port}"
        client = Client(liar)
        association = client.associate(tls_args=(trusting, "localhost"))
        assert association.send_c_echo().Status == 0x0000
        association.release()
        assert not client.associate().is_established


def test_user_identity(liar: Liar, client: Client) -> None:
    liar.lies.user = ("alice", "right")
    for passcode, accepted in ((b"wrong", False), (b"right", True)):
        item = UserIdentityNegotiation()
        item.user_identity_type = 2
        item.primary_field, item.secondary_field = b"alice", passcode
        association = client.associate(negotiation=[item])
        assert association.is_established is accepted
        if accepted:
            association.release()


# -- C-FIND -----------------------------------------------------------------------------------------------------------


def test_leaves_out_levels_keys_and_miscounts(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.leave_out = {"SOPClassUID"}
    liar.lies.levels = ("STUDY", "SERIES")
    liar.lies.miscount = -2
    study = pacs_data.study("thorax")
    _, found = client.find(
        "SERIES", StudyInstanceUID=study.uid, SeriesInstanceUID="", NumberOfSeriesRelatedInstances=""
    )
    assert sorted(each.NumberOfSeriesRelatedInstances for each in found) == [-1, 28]
    assert client.find("IMAGE", StudyInstanceUID=study.uid, SOPInstanceUID="") == (0x0000, [])
    liar.lies.levels = ("IMAGE",)
    _, found = client.find("IMAGE", StudyInstanceUID=study.uid, SOPInstanceUID="", SOPClassUID="")
    assert len(found) == 31
    assert not any("SOPClassUID" in each for each in found)


def test_ignores_keys_repeats_and_invents(liar: Liar, client: Client) -> None:
    liar.lies.ignore_keys = True
    liar.lies.repeat = 2
    assert len(client.find(StudyInstanceUID="", PatientID="NOBODY")[1]) == 18
    liar.lies = Lies(invented=300)
    _, found = client.find(StudyInstanceUID="", PatientID="MANY*")
    assert len({str(each.StudyInstanceUID) for each in found}) == 300


def test_answers_in_another_character_set(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.charset = "ISO_IR 100"
    _, found = client.find(
        SpecificCharacterSet="ISO_IR 192", StudyInstanceUID=pacs_data.study("latin").uid, PatientName=""
    )
    assert found[0].SpecificCharacterSet == "ISO_IR 100"
    assert str(found[0].PatientName) == "Müller^Jürgen"


def test_ignores_cancel(liar: Liar, client: Client) -> None:
    liar.lies.ignore_cancel = True
    liar.lies.slow = 0.02
    association = client.associate()
    answers = association.send_c_find(asked("STUDY", StudyInstanceUID=""), FIND[1], msg_id=7)
    next(answers)
    association.send_c_cancel(7, query_model=FIND[1])
    rest = [status.Status for status, _ in answers]
    association.release()
    assert rest == [0xFF00] * 8 + [0x0000]
    assert liar.cancelled == 1


def test_slow_answers_come_one_by_one(liar: Liar, client: Client) -> None:
    liar.lies.slow = 0.05
    started = time.monotonic()
    assert len(client.find(StudyInstanceUID="")[1]) == 9
    assert time.monotonic() - started > 0.4


# -- C-GET and C-MOVE -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["get", "move"])
def test_success_though_part_or_nothing_was_sent(liar: Liar, client: Client, pacs_data: Data, service: str) -> None:
    study = pacs_data.study("thorax")
    for share, count in ((0.0, 0), (0.5, 15)):
        client.received.clear()
        liar.lies.share = share
        status = client.get(study.uid)[0] if service == "get" else client.move(study.uid)
        assert status == 0x0000
        assert len(client.received) == count


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("service", ["get", "move"])
def test_each_lie_about_instances(liar: Liar, client: Client, pacs_data: Data, service: str) -> None:
    study = pacs_data.study("follow-up")

    def fetched(**lies: Any) -> list[tuple[str, str, bytes]]:
        client.received.clear()
        liar.lies = Lies(**lies)
        (client.get if service == "get" else client.move)(study.uid)
        return client.received

    def inside(data: bytes) -> str:
        return str(dcmread(BytesIO(data), force=True).SOPInstanceUID)

    sizes = [len(data) for _, _, data in fetched()]
    assert [len(data) for _, _, data in fetched(truncated=2)] == [sizes[0] // 2, sizes[1] // 2, *sizes[2:]]
    assert [inside(data) == uid for _, uid, data in fetched(renamed=1)] == [False] + [True] * 6
    assert [uid for _, uid, _ in fetched(paths=2)][:2] == ["../../x0", "../../x1"]
    assert inside(client.received[0][2]) == "../../x0"
    # pynetdicom refuses such a one as SCU, and aborts as SCP.
    assert len(fetched(private=1)) == (6 if service == "get" else 0)
    stranger = next(iter(pacs_data.study("korea").instances.items()))
    assert [uid for _, uid, _ in fetched(unasked=(stranger[1],))][-1] == stranger[0]
    assert len(fetched(twice=3)) == 10
    assert len(fetched(abort_after=3)) == 3
    assert len(fetched(fail=2)) == 5
    assert len(fetched(share=0.5, operations=0)) == 7


def test_a_private_class_is_announced(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.private = 1
    study = pacs_data.study("bare")
    association = client.associate()
    classes: list[str] = []
    association.bind(
        evt.EVT_DIMSE_RECV, lambda event: classes.append(str(event.message.command_set.AffectedSOPClassUID))
    )
    list(association.send_c_get(asked("STUDY", StudyInstanceUID=study.uid), GET[1]))
    association.release()
    assert [each for each in classes if each not in GET] == [PRIVATE_CLASS, MR, MR]


def test_what_failed_is_said(liar: Liar, client: Client, pacs_data: Data) -> None:
    liar.lies.fail = 2
    liar.lies.operations = 1
    study = pacs_data.study("follow-up")
    status, missing, answer = client.get(study.uid)
    assert (status, answer.NumberOfFailedSuboperations, answer.NumberOfCompletedSuboperations) == (0xB000, 2, 5)
    assert missing is not None
    assert set(missing.FailedSOPInstanceUIDList) == set(study.instances) - set(client.uids)
    assert client.get(study.uid)[0] == 0x0000  # the second operation tells the truth


def test_waits_for_what_happens(liar: Liar, client: Client, pacs_data: Data) -> None:
    with pytest.raises(TimeoutError, match="sent 0 instances"):
        liar.wait_for(lambda: liar.sent, timeout=0.05)
    thread = threading.Thread(target=client.get, args=(pacs_data.study("thorax").uid,))
    thread.start()
    liar.wait_for(lambda: len(liar.sent) > 3)
    thread.join(10)
    assert len(liar.sent) == 31
