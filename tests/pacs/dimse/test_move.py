"""C-MOVE: what it asks for and waits for, with a storage SCP that a test plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from slicer_notebook.errors import JobCancelledError, PacsError, PacsUnreachableError, StorageError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.move import Move
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from slicer_notebook.pacs.server import dimse_address
from slicer_notebook.testing import free_port
from tests.pacs.dimse.test_scp import Served
from tests.pacs.peers.data import Data, DataStudy
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.scripted import Conversation, Scripted, unit, value


class Played:
    """A `Receiver` and what it expects; the test says what has come.

    Attributes:
        problem: raised where it is looked at.
        settled: how often all that has come was waited for.
    """

    def __init__(self, count: int = 0) -> None:
        self.message_id = 77
        self.alive = 0.0
        self.count = count
        self.problem: PacsError | None = None
        self.settled = 0
        self.expected: list[tuple[str, str]] = []
        self.over = False

    @contextmanager
    def expecting(self, study: str, sink: Any, series: str = "") -> Iterator[Played]:
        self.expected.append((study, series))
        try:
            yield self
        finally:
            self.over = True

    def settle(self) -> None:
        self.settled += 1

    def check(self) -> None:
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def thorax(pacs_data: Data) -> DataStudy:
    return pacs_data.study("thorax")


@pytest.fixture
def liar(thorax: DataStudy) -> Iterator[Liar]:
    with Liar(thorax.instances.values(), modalities={"NOBODYHOME": free_port()}) as running:
        yield running


def way(url: str, receiver: Any, timeout: float = 10.0, calling: str = "SLICER") -> Move:
    return Move(Peer(dimse_address(url), calling, "peer", timeout=timeout), receiver)


def response(**more: int) -> bytes:
    values = {"command": m.C_MOVE_RSP, "responded_to": 77, "data_set_type": m.NO_DATA_SET, **more}
    return unit(4, value(1, 3, m.command_bytes(**values)))


def answering(*answers: bytes | float) -> Scripted:
    """A peer that gives these answers to a C-MOVE; numbers are seconds in between."""

    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        for each in answers:
            if isinstance(each, bytes):
                talk.send(each)
            else:
                talk.rest(each)
        talk.until_closed()

    return Scripted(script)


def request_of(there: Scripted) -> m.Command:
    _, body = there.conversations[0].units[1]
    length = int.from_bytes(body[:4], "big")
    return m.parse_command(body[6 : 4 + length])


# -- asked for --------------------------------------------------------------------------------------------------------


def test_the_request_names_us_and_the_number_that_the_receiver_knows() -> None:
    played = Played(count=3)
    with answering(response(status=0, completed=3)) as there:
        assert way(there.url, played).fetch(Fetch(study="1.2", series="3.4"), None, never) == 3  # type: ignore[arg-type]
    asked = request_of(there)
    assert (asked.destination, asked.message_id, asked.command) == ("SLICER", 77, m.C_MOVE_RQ)
    assert played.expected == [("1.2", "3.4")]
    assert played.over
    assert played.settled


def test_what_a_pacs_sends_comes_to_a_storage_scp(thorax: DataStudy) -> None:
    served = Served()
    played = Played()
    with Liar(thorax.instances.values(), modalities={"SLICER": served.port}) as liar:

        def count() -> int:
            return len(served.sink.done)

        type(played).count = property(lambda _self: count(), lambda _self, _value: None)  # type: ignore[assignment]
        try:
            assert way(liar.url, played).fetch(Fetch(study=thorax.uid), None, never) == 31  # type: ignore[arg-type]
        finally:
            del type(played).count
    assert len(served.sink.done) == 31
    # Whose C-MOVE it came of (PS3.7 9.1.1.1).
    assert {(each.originator, each.originator_id) for each in served.commands} == {("SLICER", 77)}
    served.close()


# -- waited for -------------------------------------------------------------------------------------------------------


def test_what_comes_after_the_last_answer_is_waited_for() -> None:
    played = Played(count=1)

    def later() -> None:
        played.alive = time.monotonic()
        played.count = 3

    timer = threading.Timer(0.6, later)
    with answering(response(status=0, completed=3)) as there:
        timer.start()
        began = time.monotonic()
        assert way(there.url, played).fetch(Fetch(study="1.2"), None, never) == 3  # type: ignore[arg-type]
        assert 0.5 < time.monotonic() - began < 5
    assert played.count == 3


def test_what_never_comes_is_not_waited_for_long() -> None:
    played = Played(count=1)
    with answering(response(status=0, completed=3)) as there:
        began = time.monotonic()
        assert way(there.url, played).fetch(Fetch(study="1.2"), None, never) == 3  # type: ignore[arg-type]
        assert time.monotonic() - began < 6


def test_a_pacs_that_counts_nothing() -> None:
    with answering(response(status=0)) as there:
        assert way(there.url, Played(count=2)).fetch(Fetch(study="1.2"), None, never) is None  # type: ignore[arg-type]


def test_silence_there_is_no_silence_while_something_comes_here() -> None:
    played = Played(count=1)

    def arrives() -> None:
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            played.alive = time.monotonic()
            threading.Event().wait(0.05)

    with answering(2.0, response(status=0, completed=1)) as there:
        threading.Thread(target=arrives, daemon=True).start()
        assert way(there.url, played, timeout=0.8).fetch(Fetch(study="1.2"), None, never) == 1  # type: ignore[arg-type]


def test_silence_on_both_sides_ends_it() -> None:
    with answering(30.0) as there:
        began = time.monotonic()
        with pytest.raises(WayFailedError, match="silent") as failed:
            way(there.url, Played(), timeout=0.8).fetch(Fetch(study="1.2"), None, never)  # type: ignore[arg-type]
        assert failed.value.again
        assert time.monotonic() - began < 6


# -- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "count", "again", "words"),
    [
        ({"status": 0xA801}, 0, False, "does not know the destination 'SLICER': its administrator"),
        ({"status": 0xC000}, 0, True, "either it does not know the destination 'SLICER', or it cannot reach it"),
        ({"status": 0xA702, "failed": 5}, 0, True, "5 failed; either it does not know"),
        ({"status": 0xA702, "failed": 5, "completed": 2}, 2, True, "5 failed"),
        ({"status": 0xB000, "failed": 1, "completed": 4}, 4, True, "1 failed"),
        ({"status": 0xA900}, 0, False, "A900"),
    ],
)
def test_failures_in_words(answer: dict[str, int], count: int, again: bool, words: str) -> None:
    with answering(response(**answer)) as there, pytest.raises(WayFailedError) as failed:
        way(there.url, Played(count=count)).fetch(Fetch(study="1.2"), None, never)  # type: ignore[arg-type]
    assert failed.value.again is again
    assert words in failed.value.reason
    assert ("destination" in failed.value.reason) is not count


@pytest.mark.parametrize(
    ("lies", "calling", "words"),
    [
        (Lies(), "NOBODYHOME", "cannot reach it"),
        (Lies(), "STRANGER", "does not know the destination 'STRANGER'"),
        (Lies(without={"move"}), "SLICER", "does not offer C-MOVE"),
        (Lies(abort={"move"}), "SLICER", "in the middle"),
        (Lies(reject=(1, 1, 3)), "SLICER", "not known there"),
    ],
    ids=["nobody listens", "unknown", "no C-MOVE", "abort", "stranger"],
)
def test_peers_that_do_not(liar: Liar, thorax: DataStudy, lies: Lies, calling: str, words: str) -> None:
    liar.lies = lies
    played = Played()
    with pytest.raises(WayFailedError) as failed:
        way(liar.url, played, calling=calling).fetch(Fetch(study=thorax.uid), None, never)  # type: ignore[arg-type]
    assert words in failed.value.reason
    assert played.over


@pytest.mark.parametrize("problem", [StorageError("The disk is full."), PacsUnreachableError("The SCP is gone.")])
def test_what_goes_wrong_at_the_storage_scp_ends_it_at_once(problem: PacsError) -> None:
    played = Played()
    with answering(30.0) as there:
        threading.Timer(0.3, setattr, [played, "problem", problem]).start()
        began = time.monotonic()
        expected = StorageError if isinstance(problem, StorageError) else WayFailedError
        with pytest.raises(expected):
            way(there.url, played, timeout=60).fetch(Fetch(study="1.2"), None, never)  # type: ignore[arg-type]
        assert time.monotonic() - began < 5


def test_a_cancel_is_told_and_what_came_is_settled() -> None:
    played = Played()
    stop: list[bool] = []
    seen: list[m.Command] = []

    def script(talk: Conversation) -> None:
        talk.accept()
        talk.read()
        talk.send(response(status=0xFF00, remaining=5, completed=1))
        stop.append(True)
        kind, body = talk.read()
        while kind == 4:
            length = int.from_bytes(body[:4], "big")
            if body[5] & 1:
                seen.append(m.parse_command(body[6 : 4 + length]))
                if seen[-1].command == m.C_CANCEL_RQ:
                    talk.send(response(status=0xFE00, remaining=4, completed=1))
                    break
            kind, body = talk.read()
        talk.until_closed()

    with Scripted(script) as there, pytest.raises(JobCancelledError):
        way(there.url, played, timeout=60).fetch(Fetch(study="1.2"), None, lambda: bool(stop))  # type: ignore[arg-type]
    assert [(each.command, each.responded_to) for each in seen] == [(m.C_CANCEL_RQ, 77)]
    assert played.settled == 1
