"""Our storage SCP, one association at a time: what real users of it send, and what nobody should."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import AE, build_context

from slicer_notebook.errors import PacsUnreachableError, StorageError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse import scp
from slicer_notebook.pacs.dimse.association import Peer, associate
from slicer_notebook.pacs.dimse.find import SYNTAXES, VERIFICATION
from slicer_notebook.pacs.dimse.incoming import Incoming, NotTakenError
from slicer_notebook.pacs.dimse.negotiation import MAX_PDU, Proposal, Requested, request_unit
from slicer_notebook.pacs.dimse.scp import CALLED_UNKNOWN, CALLING_UNKNOWN, NO_ROOM, Rejection, serve_association
from slicer_notebook.pacs.dimse.store import read_meta, store
from slicer_notebook.pacs.dimse.transport import ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, DATA
from slicer_notebook.pacs.model import never
from slicer_notebook.pacs.server import DimseAddress
from tests.dicom.make import CT, MR, write_series
from tests.pacs.dicomweb.tools import Memory
from tests.pacs.peers.data import Data
from tests.pacs.peers.scripted import Conversation, unit, value
from tests.pacs.retrieving import dataset_bytes, until

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BASELINE, LOSSLESS, DEFLATED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99"


class Served:
    """The SCP on a port, each association on a thread.

    Attributes:
        sink: what has come; ``commands``: C-STORE requests; ``noted``: what went wrong, in words.
        status: given in place of the sink where it is set; ``rejection``: of associations.
    """

    def __init__(self) -> None:
        self.sink = Memory()
        self.commands: list[m.Command] = []
        self.requests: list[Requested] = []
        self.noted: list[str] = []
        self.status: int | None = None
        self.rejection: Rejection | None = None
        self.stopped = False
        self.ended = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, (address, _) = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=[sock, address], daemon=True).start()

    def _one(self, sock: socket.socket, address: str) -> None:
        serve_association(
            sock,
            address,
            check=self._check,
            opener=self._open,
            stopped=lambda: self.stopped,
            noted=self.noted.append,
        )
        self.ended += 1

    def _check(self, request: Requested, address: str) -> Rejection | None:
        assert address == "127.0.0.1"
        self.requests.append(request)
        return self.rejection

    def _open(self, request: Requested, command: m.Command) -> Any:
        self.commands.append(command)
        return self.sink.open() if self.status is None else self.status

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.stopped = True


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def peer(served: Served) -> Peer:
    return Peer(DimseAddress("OURS", "127.0.0.1", served.port, tls=False), "PACS", "ours", timeout=10)


@contextmanager
def by_pynetdicom(served: Served, *contexts: Any) -> Iterator[Any]:
    ae = AE("PACS")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    association = ae.associate("127.0.0.1", served.port, list(contexts), ae_title="OURS")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


@contextmanager
def raw(served: Served, *proposals: Proposal) -> Iterator[Conversation]:
    """A connection with an association, if anything is proposed, on which a test says what it wants."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as sock:
        talk = Conversation(sock, threading.Event())
        if proposals:
            talk.send(request_unit("OURS", "PACS", proposals))
            kind, _ = talk.read()
            assert kind == ASSOCIATE_AC
        yield talk


STORAGE = Proposal(CT, (EXPLICIT,))


def c_store(**more: Any) -> bytes:
    return m.command_bytes(
        **{
            "command": m.C_STORE_RQ, "message_id": 1, "priority": 0, "sop_class": CT, "sop_instance": "1.2.3",
            "data_set_type": m.DATA_SET, **more,
        }
    )  # fmt: skip


# -- by real users ----------------------------------------------------------------------------------------------------


def test_storescu_sends_a_study(served: Served, pacs_data: Data) -> None:
    if shutil.which("storescu") is None:
        pytest.skip("storescu is not installed (Debian: dcmtk)")
    study = pacs_data.study("thorax")
    files = [str(path) for path in study.series[0].instances.values()]
    command = ["storescu", "-R", "-aet", "PACS", "-aec", "OURS", "127.0.0.1", str(served.port), *files]
    subprocess.run(command, check=True, timeout=60)
    assert len(served.sink.done) == len(files)
    stored = {read_meta(path).sop_instance: dataset_bytes(path) for path in files}
    for command_set, data in zip(served.commands, served.sink.done, strict=True):
        assert data[128:132] == b"DICM"
        assert data.endswith(stored[command_set.sop_instance or ""])
    assert served.noted == []


def test_our_own_user_sends_every_kind_as_it_is(served: Served, pacs_data: Data, tmp_path: Path) -> None:
    paths = [str(path) for path in pacs_data.instances.values()]
    said: list[object] = []
    store(peer(served), [read_meta(path) for path in paths], lambda _path, problem: said.append(problem), never)
    assert said == [None] * len(paths)
    wanted = {read_meta(path).sop_instance: path for path in paths}
    for number, data in enumerate(served.sink.done):
        (tmp_path / str(number)).write_bytes(data)
        meta = read_meta(str(tmp_path / str(number)))
        stored = read_meta(wanted[meta.sop_instance])
        assert (meta.sop_class, meta.transfer_syntax) == (stored.sop_class, stored.transfer_syntax)
        assert dataset_bytes(tmp_path / str(number)) == dataset_bytes(wanted[meta.sop_instance])
        # Where it came from (PS3.10 7.1).
        assert dcmread(tmp_path / str(number)).file_meta.SourceApplicationEntityTitle == "PACS"
    assert len({read_meta(str(tmp_path / str(n))).sop_instance for n in range(len(paths))}) == len(paths)


def test_pynetdicom_echoes_stores_and_asks_for_what_is_not_there(served: Served, pacs_data: Data) -> None:
    path = next(iter(pacs_data.study("follow-up").instances.values()))
    with by_pynetdicom(served, build_context(VERIFICATION), build_context(CT, [EXPLICIT])) as association:
        assert association.is_established
        assert association.acceptor.maximum_length == MAX_PDU

        def ready() -> Any:
            # What answers sooner than it listens again is not heard: two of its threads may take an answer.
            until(lambda: not association._is_paused)
            return association

        assert ready().send_c_echo().Status == 0
        assert ready().send_c_store(dcmread(path)).Status == 0
        served.status = 0xA700
        assert ready().send_c_store(dcmread(path)).Status == 0xA700
        # Unrecognized operation (PS3.7 C.5.11), without a data set and with one.
        for information in (None, dcmread(path, stop_before_pixels=True)):
            status, _ = ready().send_n_action(information, 1, CT, "1.2.3")
            assert status.Status == 0x0211
        assert ready().send_c_echo().Status == 0
    assert len(served.sink.done) == 1
    assert served.requests[0].calling == "PACS"


# -- negotiated -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abstract", "offered", "taken"),
    [
        (CT, [IMPLICIT, EXPLICIT], EXPLICIT),
        (CT, [BASELINE, LOSSLESS], LOSSLESS),
        (CT, [LOSSLESS, IMPLICIT], IMPLICIT),
        (CT, [BASELINE], BASELINE),
        (CT, [DEFLATED], DEFLATED),
        (CT, ["1.2.3.4.5"], None),
        (CT, ["1.2.3.4.5", IMPLICIT], IMPLICIT),
        (VERIFICATION, [IMPLICIT], IMPLICIT),
        ("1.2.826.0.1.3680043.8.498.1", [EXPLICIT], EXPLICIT),  # a private class: it may be one of storage
        ("1.2.840.10008.5.1.4.1.1.999", [EXPLICIT], EXPLICIT),  # one that is newer than this program
        ("1.2.840.10008.5.1.4.1.2.2.1", [EXPLICIT], None),  # C-FIND
        ("1.2.840.10008.5.1.4.31", [EXPLICIT], None),  # a worklist
    ],
)
def test_what_is_taken_of_what_is_offered(served: Served, abstract: str, offered: list[str], taken: str | None) -> None:
    with associate(peer(served), [Proposal(abstract, tuple(offered))]) as association:
        found = association.agreement.contexts.get(1)
        assert (found.transfer if found else None) == taken
        if found is None:
            assert abstract in association.agreement.refused


@pytest.mark.parametrize("rejection", [CALLING_UNKNOWN, CALLED_UNKNOWN, NO_ROOM])
def test_rejections_are_read_by_others(served: Served, rejection: Rejection) -> None:
    served.rejection = rejection
    with by_pynetdicom(served, build_context(VERIFICATION)) as association:
        until(lambda: association.is_rejected)  # `associate` may return just before that is set
        answer = association.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (
            2 if rejection.transient else 1, rejection.source, rejection.reason,
        )  # fmt: skip
    until(lambda: served.noted)
    assert served.noted == ["127.0.0.1: an association of 'PACS' to 'OURS' was rejected"]


def test_who_is_rejected_hangs_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.rejection = CALLING_UNKNOWN
    with raw(served) as talk:
        talk.send(request_unit("OURS", "PACS", [STORAGE]))
        assert talk.read()[0] == ASSOCIATE_RJ
        assert served.ended == 0
    until(lambda: served.ended == 1)
    monkeypatch.setattr(scp, "_ARTIM", 0.2)
    with raw(served) as talk:
        talk.send(request_unit("OURS", "PACS", [STORAGE]))
        assert talk.read()[0] == ASSOCIATE_RJ
        until(lambda: served.ended == 2)  # one that does not is not waited for any longer


def test_contexts_of_all_ids(served: Served) -> None:
    proposals = [Proposal(CT, SYNTAXES)] * 127 + [Proposal(VERIFICATION, SYNTAXES)]
    with associate(peer(served), proposals) as association:
        assert list(association.agreement.contexts) == list(range(1, 256, 2))


# -- what nobody should send ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "does not speak DICOM"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "does not speak DICOM"),
        (unit(1, b"", told=1 << 30), "does not speak DICOM"),
        (unit(1, bytes(68)), "cannot be"),
        (unit(1, b"\0\1\0\0" + bytes(range(200))), "cannot be"),
        (unit(DATA, value(1, 3, c_store())), "did not ask for an association"),
        (unit(ABORT, b"\0\0\0\0"), "did not ask for an association"),
        (b"\1\0\0", "closed the connection"),
        (b"", "closed the connection"),
    ],
    ids=["HTTP", "TLS", "huge", "zeros", "garbage", "data", "abort", "half a header", "nothing"],
)
def test_what_is_no_request(served: Served, sent: bytes, words: str) -> None:
    with raw(served) as talk:
        talk.send(sent)
        talk.sock.shutdown(socket.SHUT_WR)
        until(lambda: served.ended)
    assert len(served.noted) == 1
    assert words in served.noted[0]
    assert served.sink.done == []
    with associate(peer(served), [Proposal(VERIFICATION, SYNTAXES)]):
        pass  # the next one is served


@pytest.mark.parametrize(
    "sent",
    [
        unit(DATA, value(1, 3, c_store()) + value(1, 3, c_store())),
        unit(DATA, value(1, 3, c_store()) + value(3, 2, b"\0\0")),
        unit(DATA, value(1, 2, b"\0\0")),
        unit(DATA, value(1, 3, c_store(), told=5000)),
        unit(DATA, value(1, 1, bytes(60000)) + value(1, 1, bytes(60000))),
        unit(DATA, value(1, 3, b"garbage that is no command")),
        unit(DATA, value(1, 3, c_store()) + value(1, 0, b"part of it")) + unit(7, b"\0\0\0\0"),
    ],
    ids=["two commands", "another context", "data first", "damaged", "endless command", "no command", "an abort"],
)
def test_disorder_ends_the_association_and_keeps_nothing(served: Served, sent: bytes) -> None:
    with raw(served, STORAGE, Proposal(MR, (EXPLICIT,))) as talk:
        talk.send(sent)
        talk.until_closed()
        until(lambda: served.ended)
    assert served.sink.done == []
    assert len(served.sink.discarded) == len(served.commands)
    assert len(served.noted) == 1


def test_an_instance_that_breaks_off_is_thrown_away(served: Served) -> None:
    with raw(served, STORAGE) as talk:
        talk.send(unit(DATA, value(1, 3, c_store())) + unit(DATA, value(1, 0, bytes(1000))))
        until(lambda: served.commands)
    until(lambda: served.ended)
    assert (served.sink.done, len(served.sink.discarded)) == ([], 1)
    assert served.noted == ["127.0.0.1: the peer closed the connection"]


def statuses(talk: Conversation, count: int) -> list[int | None]:
    found: list[int | None] = []
    while len(found) < count:
        kind, body = talk.read()
        assert kind == DATA
        (length,) = struct.unpack_from(">I", body)
        answer = m.parse_command(body[6 : 4 + length])
        assert answer.command == m.C_STORE_RSP
        found.append(answer.status)
    return found


def test_each_instance_has_its_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(part: Any) -> None:
        if b"refuse me" in bytes(part._data):
            raise NotTakenError(0xA900)

    monkeypatch.setattr(type(served.sink.open()), "judge", judge, raising=False)
    with raw(served, STORAGE) as talk:
        for data in (b"\1\2", b"refuse me!", b"\3\4"):
            talk.send(unit(DATA, value(1, 3, c_store()) + value(1, 2, data)))
        # Without a data set; and on a context that was not accepted.
        talk.send(unit(DATA, value(1, 3, c_store(data_set_type=m.NO_DATA_SET))))
        talk.send(unit(DATA, value(9, 3, c_store()) + value(9, 2, b"\5\6")))
        assert statuses(talk, 5) == [0, 0xA900, 0, 0xC000, 0x0122]
    assert [data[-2:] for data in served.sink.done] == [b"\1\2", b"\3\4"]


def test_a_request_without_uids_is_answered(served: Served) -> None:
    with raw(served, STORAGE) as talk:
        command = m.command_bytes(command=m.C_STORE_RQ, data_set_type=m.DATA_SET)
        talk.send(unit(DATA, value(1, 3, command) + value(1, 2, b"\1\2")))
        assert len(statuses(talk, 1)) == 1  # what is to be done with it, the sink knows


def test_a_cancel_that_belongs_to_nothing_is_passed_over(served: Served) -> None:
    with raw(served, STORAGE) as talk:
        cancel = m.command_bytes(command=m.C_CANCEL_RQ, responded_to=5, data_set_type=m.NO_DATA_SET)
        talk.send(unit(DATA, value(1, 3, cancel)))
        talk.send(unit(DATA, value(1, 3, c_store()) + value(1, 2, b"\1\2")))
        assert statuses(talk, 1) == [0]


@pytest.mark.parametrize("when", ["before the request", "in an instance"])
def test_a_peer_that_is_silent_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    monkeypatch.setattr(scp, "IDLE", 0.5)
    monkeypatch.setattr(scp, "_NEGOTIATION", 0.5)
    with raw(served, *([STORAGE] if when == "in an instance" else [])) as talk:
        if when == "in an instance":
            talk.send(unit(DATA, value(1, 3, c_store())))
        until(lambda: served.ended, 10)
    assert len(served.noted) == 1
    assert len(served.sink.discarded) == len(served.commands)


def test_a_peer_that_asks_byte_by_byte_for_ever_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scp, "_NEGOTIATION", 0.5)
    with raw(served) as talk:
        talk.send(unit(1, b"", told=5000))
        began = time.monotonic()
        while not served.ended:
            assert time.monotonic() - began < 10
            try:
                talk.send(b"\0")
            except OSError:
                break
            threading.Event().wait(0.05)
    until(lambda: served.ended)
    assert "not come to an end in time" in served.noted[0]


def test_a_stop_ends_what_goes_on(served: Served) -> None:
    with raw(served, STORAGE) as talk:
        talk.send(unit(DATA, value(1, 3, c_store())))
        until(lambda: served.commands)
        served.stopped = True
        talk.until_closed()
        assert talk.units[-1][0] == ABORT
    assert len(served.sink.discarded) == 1


def test_nothing_of_a_patient_is_noted(served: Served, tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, shape=(1, 4, 4), PatientName="Doe^Jane", PatientID="SECRET1")
    file = read_meta(str(path))
    with raw(served, STORAGE) as talk:
        talk.send(unit(DATA, value(1, 3, c_store()) + value(1, 0, dataset_bytes(path))))
        until(lambda: served.commands)
    until(lambda: served.ended)
    assert served.noted
    assert not any(text in said for said in served.noted for text in ("Doe", "SECRET1", file.sop_instance))


# -- when it is answered -----------------------------------------------------------------------------------------------


class Order:
    """A part that notes when it is asked what."""

    def __init__(self, said: list[str], judges: bool, fails: bool) -> None:
        self._said, self._fails = said, fails
        if judges:
            self.judge = lambda: said.append("judge")

    def write(self, data: Any) -> None:
        del data

    def done(self) -> None:
        self._said.append("done")
        if self._fails:
            raise StorageError("no room")

    def discard(self) -> None:
        self._said.append("discard")


@pytest.mark.parametrize("judges", [False, True])
def test_the_answer_goes_out_before_it_is_put_away(judges: bool) -> None:
    said: list[str] = []
    incoming = of_one_instance(said, Order(said, judges, fails=False))
    with pytest.raises(PacsUnreachableError):
        incoming.next()
    assert said == [*(["judge"] if judges else []), "answer 0000", "done"]
    assert incoming.count == 1


def test_what_has_come_whole_is_kept_also_where_its_sender_is_gone() -> None:
    said: list[str] = []
    incoming = of_one_instance(said, Order(said, judges=False, fails=False), hears=False)
    with pytest.raises(PacsUnreachableError):
        incoming.next()
    assert said == ["done"]
    assert incoming.count == 1


def test_an_instance_that_cannot_be_put_away_ends_it() -> None:
    said: list[str] = []
    incoming = of_one_instance(said, Order(said, judges=True, fails=True))
    with pytest.raises(StorageError):
        incoming.next()
    incoming.close()
    assert said == ["judge", "answer 0000", "done"]
    assert incoming.count == 0


def of_one_instance(said: list[str], part: Order, *, hears: bool = True) -> Incoming:
    """One instance comes, and then the connection is lost. ``hears``: the peer hears the answer."""
    command = m.command_bytes(command=m.C_STORE_RQ, message_id=1, data_set_type=1, sop_class=CT, sop_instance="1.2.3")
    units = [m.pdv(1, command, command=True, last=True)[6:], m.pdv(1, b"data", command=False, last=True)[6:]]

    def unit_of() -> memoryview:
        if not units:
            raise PacsUnreachableError("lost")
        return memoryview(units.pop(0))

    def write(data: bytes) -> None:
        if not hears:
            raise PacsUnreachableError("lost")
        said.append(f"answer {m.parse_command(data[12:]).status:04X}")

    association = SimpleNamespace(
        unit=unit_of,
        peer=Peer(DimseAddress("PACS", "127.0.0.1", 104, tls=False), "OURS", "peer"),
        agreement=SimpleNamespace(contexts={1: SimpleNamespace(as_scp=True, transfer=EXPLICIT)}),
        transport=SimpleNamespace(write=write),
    )
    return Incoming(association, lambda _command: part)  # type: ignore[arg-type]
