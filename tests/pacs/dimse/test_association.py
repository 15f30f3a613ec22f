"""Associations that we ask for: negotiated, rejected, aborted, damaged; by real peers and by one that says anything."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer, associate
from slicer_notebook.pacs.dimse.find import SYNTAXES, VERIFICATION, echo
from slicer_notebook.pacs.dimse.negotiation import MAX_CONTEXTS, MAX_PDU, Identity, Proposal, reject_unit, request_unit
from slicer_notebook.pacs.dimse.store import read_meta, store
from slicer_notebook.pacs.dimse.transport import ABORT, DATA, MOST_BYTES, RELEASE_RP, RELEASE_RQ
from slicer_notebook.pacs.model import never
from slicer_notebook.pacs.server import dimse_address
from tests.dicom.make import CT, write_series
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.real import RealPeer
from tests.pacs.peers.scripted import Conversation, Scripted, unit, value

ECHO = Proposal(VERIFICATION, SYNTAXES)
#: An answer to C-ECHO: whole, as a command set.
ECHOED = m.command_bytes(
    command=m.C_ECHO_RSP, responded_to=1, status=0, sop_class=VERIFICATION, data_set_type=m.NO_DATA_SET
)


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar() as running:
        yield running


def peer(url: str, timeout: float = 10.0, **more: object) -> Peer:
    return Peer(dimse_address(url), "SLICER", "peer", timeout=timeout, **more)  # type: ignore[arg-type]


# -- negotiated -------------------------------------------------------------------------------------------------------


def test_what_real_archives_agree_to(archive: RealPeer) -> None:
    unknown, deflated = "1.2.826.0.1.3680043.8.498.1", "1.2.840.10008.1.2.1.99"
    proposals = [
        ECHO,
        Proposal(unknown, SYNTAXES),
        Proposal(VERIFICATION, (deflated,)),
        Proposal(CT, SYNTAXES, as_scp=True),
    ]
    with associate(peer(archive.url), proposals) as association:
        agreed = association.agreement
        first = agreed.contexts[1]
        assert (first.abstract, first.as_scu, first.as_scp) == (VERIFICATION, True, False)
        assert first.transfer in SYNTAXES
        if archive.name == "dcmqrscp":  # Orthanc takes classes that it does not know
            assert 3 not in agreed.contexts
            assert "abstract syntax" in agreed.refused[unknown]
            assert agreed.context(unknown) is None
        # One of its two contexts was taken: it is not refused.
        assert VERIFICATION not in agreed.refused
        assert agreed.context(VERIFICATION) == first
        assert agreed.max_pdu >= 16384
        assert agreed.implementation
        association.send(first.id, command=m.C_ECHO_RQ, message_id=association.next_id(), sop_class=VERIFICATION)
        assert association.message().command.status == m.SUCCESS


def test_the_role_of_the_scp_is_had_where_it_is_given(liar: Liar, pacs_data: Data) -> None:
    for roles in (True, False):
        liar.lies = Lies(roles=roles)
        with associate(peer(liar.url), [Proposal(CT, SYNTAXES, as_scp=True)]) as association:
            assert association.agreement.contexts[1].as_scp is roles


def test_message_ids_start_again_after_the_last_one(liar: Liar) -> None:
    with associate(peer(liar.url), [ECHO]) as association:
        found = [association.next_id() for _ in range(0xFFFF + 2)]
    assert found[:2] == [1, 2]
    assert found[-2:] == [1, 2]
    assert max(found) == 0xFFFF
    assert min(found) == 1


def test_a_user_s_identity(liar: Liar) -> None:
    liar.lies = Lies(user=("jane", "s3cret"))
    assert echo(peer(liar.url, identity=Identity("jane", "s3cret"))).contexts
    with pytest.raises(PacsRefusedError) as error:
        echo(peer(liar.url, identity=Identity("jane", "wr0ng")))
    assert "wr0ng" not in str(error.value) + repr(error.value.details)


# -- rejected, aborted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "words", "again"),
    [
        ((1, 1, 1), "it gave no reason", False),
        ((1, 1, 2), "application context", False),
        ((1, 1, 3), "calling AE title 'SLICER' is not known", False),
        ((1, 1, 7), "called AE title 'LIAR' is not its own", False),
        ((1, 2, 1), "it gave no reason", False),
        ((1, 2, 2), "protocol version", False),
        ((2, 3, 1), "temporary congestion", True),
        ((1, 3, 1), "temporary congestion", True),
        ((2, 3, 2), "no room for a further association", True),
        ((2, 1, 1), "it gave no reason", True),
    ],
    ids=str,
)
def test_each_reason_of_a_rejection_in_words(liar: Liar, reason: tuple[int, int, int], words: str, again: bool) -> None:
    liar.lies = Lies(reject=reason)
    with pytest.raises(PacsRefusedError, match="refused the association") as error:
        echo(peer(liar.url))
    assert words in error.value.message
    details = error.value.details
    assert [details[name] for name in ("result", "source", "reason", "again")] == [*reason, again]


def test_a_reason_that_the_standard_does_not_have() -> None:
    def script(talk: Conversation) -> None:
        talk.read()
        talk.send(reject_unit(transient=False, source=2, reason=99))

    with Scripted(script) as there, pytest.raises(PacsRefusedError, match="source 2, reason 99"):
        echo(peer(there.url))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\0\0\2\1", "unrecognized unit"),
        (b"\0\0\2\6", "invalid parameter"),
        (b"\0\0\0\0", "it aborted it"),
        (b"", "it aborted it"),
    ],
)
def test_aborts_in_place_of_an_answer_and_later(body: bytes, words: str) -> None:
    def at_once(talk: Conversation) -> None:
        talk.read()
        talk.send(unit(ABORT, body))

    def later(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        talk.send(unit(ABORT, body))

    with Scripted(at_once) as there, pytest.raises(PacsRefusedError, match="aborted the association") as refused:
        echo(peer(there.url))
    assert words in str(refused.value.got)
    assert refused.value.details["again"]
    with Scripted(later) as there, pytest.raises(PacsUnreachableError, match="in the middle") as lost:
        echo(peer(there.url))
    assert words in str(lost.value.got)
    assert lost.value.details == {"lost": True, "released": False}


def test_a_peer_that_releases_in_the_middle_is_answered() -> None:
    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        talk.send(unit(RELEASE_RQ, b"\0\0\0\0"))
        talk.until_closed()

    with Scripted(script) as there, pytest.raises(PacsUnreachableError) as error:
        echo(peer(there.url))
    assert error.value.details["released"]
    assert [kind for kind, _ in there.conversations[0].units][2] == RELEASE_RP


def test_released_at_the_end_and_aborted_where_the_block_fails(liar: Liar) -> None:
    with associate(peer(liar.url), [ECHO]):
        pass
    liar.wait_for(lambda: liar.ended == ["released"])
    with pytest.raises(ZeroDivisionError), associate(peer(liar.url), [ECHO]):
        raise ZeroDivisionError
    liar.wait_for(lambda: liar.ended == ["released", "aborted"])


def test_both_want_to_release() -> None:
    def script(talk: Conversation) -> None:
        talk.accept()
        kind, _ = talk.read()
        assert kind == RELEASE_RQ
        talk.send(unit(RELEASE_RQ, b"\0\0\0\0"))
        kind, _ = talk.read()
        assert kind == RELEASE_RP
        talk.send(unit(RELEASE_RP, b"\0\0\0\0"))

    with Scripted(script) as there:
        began = time.monotonic()
        with associate(peer(there.url), [ECHO]):
            pass
        assert time.monotonic() - began < 2


def test_a_peer_that_never_answers_the_release_is_left() -> None:
    def script(talk: Conversation) -> None:
        talk.accept()
        talk.until_closed(released=False)

    with Scripted(script) as there:
        began = time.monotonic()
        with associate(peer(there.url, 60), [ECHO]):
            pass
        assert time.monotonic() - began < 10


# -- what is no association -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", PacsAnswerError, "an HTTP answer"),
        (b"\x15\x03\x03\x00\x02\x02\x28", PacsAnswerError, "a TLS alert"),
        (b"220 mail.example ESMTP\r\n", PacsAnswerError, "does not speak DICOM"),
        (unit(2, b"", told=1 << 24), PacsAnswerError, "does not speak DICOM"),
        (unit(2, bytes(200)), PacsAnswerError, "something that is none"),
        (unit(2, b"\0\1"), PacsRefusedError, "does not offer C-ECHO"),
        (unit(DATA, value(1, 3, ECHOED)), PacsAnswerError, "does not answer an association"),
        (b"", PacsRefusedError, "closed the connection"),
        (b"\2\0\0", PacsRefusedError, "closed the connection"),
        (unit(2, b"\0\1\0\0", told=200), PacsRefusedError, "closed the connection"),
    ],
    ids=["HTTP", "TLS", "SMTP", "too long", "zeros", "short", "data", "closed", "half a header", "half a unit"],
)
def test_what_comes_instead_of_an_answer(answer: bytes, error: type[Exception], words: str) -> None:
    def script(talk: Conversation) -> None:
        talk.read()
        talk.send(answer)

    with Scripted(script) as there, pytest.raises(error) as found:
        echo(peer(there.url))
    assert words in str(found.value)


def test_a_peer_that_answers_byte_by_byte_for_ever_is_given_up() -> None:
    def script(talk: Conversation) -> None:
        talk.read()
        talk.send(b"\2\0\0\0\x40\0")
        while True:
            talk.send(b"\0")
            time.sleep(0.05)

    with Scripted(script) as there:
        began = time.monotonic()
        with pytest.raises(PacsUnreachableError, match="not come to an end"):
            echo(peer(there.url, 1.0))
        assert time.monotonic() - began < 8


def test_a_cancel_in_place_of_an_answer() -> None:
    stop: list[bool] = []

    def script(talk: Conversation) -> None:
        talk.read()
        stop.append(True)
        talk.until_closed()

    with Scripted(script) as there, pytest.raises(JobCancelledError):
        echo(peer(there.url, 60), lambda: bool(stop))


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (unit(DATA, value(1, 3, ECHOED, told=9999)), "damaged unit"),
        (unit(DATA, value(1, 3, ECHOED, told=1)), "damaged unit"),
        (unit(DATA, b"\0\0\0"), "damaged unit"),
        (unit(DATA, value(1, 2, b"data")), "disorder"),
        (unit(DATA, value(1, 3, m.command_bytes(command=m.C_FIND_RSP, data_set_type=1)) * 2), "disorder"),
        (unit(DATA, value(1, 3, b"no command set")), "damaged"),
        (unit(DATA, value(1, 1, bytes(1 << 15)) * 3), "too long"),
        (unit(DATA, b"", told=MOST_BYTES + 1), "does not speak DICOM"),
        (unit(9, b"\0\0\0\0"), "does not speak DICOM"),
        (unit(RELEASE_RP, b"\0\0\0\0"), "ended the association"),
    ],
    ids=[
        "value too long", "value too short", "half a value", "data first", "two commands", "no command",
        "endless command", "huge unit", "unknown unit", "a release nobody asked for",
    ],
)  # fmt: skip
def test_damaged_messages_are_errors_at_once(sent: bytes, words: str) -> None:
    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        talk.send(sent)
        talk.until_closed()

    with Scripted(script) as there:
        began = time.monotonic()
        with pytest.raises((PacsAnswerError, PacsUnreachableError)) as error:
            echo(peer(there.url, 30))
        assert time.monotonic() - began < 5
    assert words in str(error.value)
    # The peer is told that it is over.
    assert there.conversations[0].units[-1][0] == ABORT


def test_a_message_in_any_pieces() -> None:
    pieces = [ECHOED[:5], ECHOED[5:6], ECHOED[6:]]

    def several_units(talk: Conversation) -> None:
        for number, piece in enumerate(pieces):
            talk.send(unit(DATA, value(1, 3 if number == 2 else 1, piece)))

    def one_unit(talk: Conversation) -> None:
        talk.send(unit(DATA, b"".join(value(1, 3 if n == 2 else 1, piece) for n, piece in enumerate(pieces))))

    def byte_by_byte(talk: Conversation) -> None:
        for byte in unit(DATA, value(1, 3, ECHOED)):
            talk.send(bytes([byte]))

    def nothing_between(talk: Conversation) -> None:
        talk.send(unit(DATA, b"") + unit(DATA, value(1, 1, b"")) + unit(DATA, value(1, 3, ECHOED)))

    for how in (several_units, one_unit, byte_by_byte, nothing_between):

        def script(talk: Conversation, how: Callable[[Conversation], None] = how) -> None:
            talk.accept()
            talk.read()
            how(talk)
            talk.until_closed()

        with Scripted(script) as there:
            assert echo(peer(there.url)).contexts


# -- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [0, 4096, 16382, MAX_PDU, 1 << 30])
def test_no_unit_is_longer_than_the_peer_takes(tmp_path: Path, longest: int) -> None:
    (path,) = write_series(tmp_path, shape=(1, 400, 401))
    lengths: list[int] = []
    came: list[bytes] = []

    def script(talk: Conversation) -> None:
        request = talk.accept(max_pdu=longest)
        assert request.max_pdu == MAX_PDU
        while True:
            kind, body = talk.read()
            if kind != DATA:
                break
            lengths.append(len(body))
            length, context, flags = struct.unpack_from(">IBB", body)
            assert length == len(body) - 4  # one value a unit
            if not flags & 1:
                came.append(body[6:])
                if flags & 2:
                    talk.send(
                        unit(
                            DATA,
                            value(context, 3, m.command_bytes(command=m.C_STORE_RSP, status=0, data_set_type=0x101)),
                        )
                    )
        talk.send(unit(RELEASE_RP, b"\0\0\0\0"))

    said: list[object] = []
    file = read_meta(str(path))
    with Scripted(script) as there:
        store(peer(there.url), [file], lambda _path, problem: said.append(problem), never)
    assert said == [None]
    assert b"".join(came) == path.read_bytes()[file.offset :]
    assert max(lengths) <= (longest or 1 << 17)
    assert max(lengths) > 0.99 * min(longest or 1 << 17, 1 << 17)  # and it is used


@pytest.mark.parametrize("length", [MAX_PDU - 6, MAX_PDU * 8])
def test_long_units_are_read_even_longer_ones_than_we_asked_for(length: int) -> None:
    data = bytes(range(256)) * (length // 256)

    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        answer = m.command_bytes(command=m.C_FIND_RSP, status=0xFF00, data_set_type=1)
        talk.send(unit(DATA, value(1, 3, answer)) + unit(DATA, value(1, 2, data)))
        talk.until_closed()

    with Scripted(script) as there, associate(peer(there.url), [ECHO]) as association:
        association.send(1, command=m.C_ECHO_RQ, message_id=1, sop_class=VERIFICATION)
        assert association.message().data == data


def test_an_identifier_without_end_is_an_error() -> None:
    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        talk.send(unit(DATA, value(1, 3, m.command_bytes(command=m.C_FIND_RSP, status=0xFF00, data_set_type=1))))
        while True:
            talk.send(unit(DATA, value(1, 0, bytes(1 << 20))))

    with Scripted(script) as there, associate(peer(there.url), [ECHO]) as association:
        association.send(1, command=m.C_ECHO_RQ, message_id=1, sop_class=VERIFICATION)
        with pytest.raises(PacsAnswerError, match="too long"):
            association.message()
        association.transport.abort()


# -- more than 128 contexts -------------------------------------------------------------------------------------------


def test_an_association_has_no_more_contexts_than_there_are_ids() -> None:
    assert request_unit("A", "B", [ECHO] * MAX_CONTEXTS)
    for count in (0, MAX_CONTEXTS + 1):
        with pytest.raises(ValueError, match=f"{count} presentation contexts"):
            request_unit("A", "B", [ECHO] * count)


def test_more_kinds_than_contexts_are_sent_on_several_associations(tmp_path: Path) -> None:
    paths = [
        path
        for number in range(MAX_CONTEXTS + 3)
        for path in write_series(
            tmp_path / str(number), shape=(1, 2, 2), sop_class=f"1.2.826.0.1.3680043.8.498.{number + 1}"
        )
    ]
    said: dict[str, object] = {}
    with Liar(paths) as liar:
        store(peer(liar.url), [read_meta(str(path)) for path in paths], said.__setitem__, never)
        assert liar.contexts == [MAX_CONTEXTS, 3]
        assert len(liar.stored) == len(paths)
    assert said == dict.fromkeys(map(str, paths))


def test_an_association_is_what_it_says(liar: Liar) -> None:
    with associate(peer(liar.url), [ECHO]) as association:
        assert isinstance(association, Association)
        assert association.transport.address == "127.0.0.1"
        assert association.peer.name == "peer"
