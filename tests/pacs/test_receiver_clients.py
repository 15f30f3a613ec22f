"""What the storage SCP says to its clients: all of it, in order; what is waited for at once, the rest together."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from slicer_notebook.pacs import receiver_clients as module
from slicer_notebook.pacs.dimse.control import Line
from slicer_notebook.pacs.receiver_clients import Client, Receipt
from tests.pacs.retrieving import no_thread_left, until


class Saying:
    """A client whose line notes what is said together."""

    def __init__(self) -> None:
        self.said: list[list[Any]] = []
        self.hurried = False
        self.closed = threading.Event()
        self.lost = False

    def say_all(self, several: list[dict[str, Any]]) -> None:
        if self.lost:
            raise OSError("gone")
        self.said.append([words.get("number") for words in several])

    def hurry(self) -> None:
        self.hurried = True

    def close(self) -> None:
        self.closed.set()

    def release(self) -> None:
        pass


@pytest.fixture
def line() -> Saying:
    return Saying()


@pytest.fixture
def client(line: Saying) -> Iterator[Client]:
    with no_thread_left("pacs-tell"):
        made = Client(line)  # type: ignore[arg-type]
        yield made
        made.close()


def test_what_comes_goes_out_together(client: Client, line: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER", 60.0)
    for number in range(2 * module._AT_ONCE):
        client.tell(event="came", number=number)
    until(lambda: sum(map(len, line.said)) >= module._AT_ONCE)
    client.tell(event="note", number=-1)
    until(lambda: line.said[-1][-1] == -1)
    assert [number for several in line.said for number in several] == [*range(2 * module._AT_ONCE), -1]
    assert len(line.said) <= 3
    assert not line.hurried


def test_it_waits_for_a_moment_only(client: Client, line: Saying) -> None:
    client.tell(event="came", number=1)
    until(lambda: line.said == [[1]])


@pytest.mark.parametrize("event", ["answer", "failed", "note", "reported"])
def test_what_is_waited_for_goes_out_at_once(
    client: Client, line: Saying, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    monkeypatch.setattr(module, "_GATHER", 60.0)
    client.tell(event="came", number=1)
    client.tell(event=event, number=2)
    until(lambda: line.said and line.said[-1][-1] == 2)
    assert [number for several in line.said for number in several] == [1, 2]


def test_a_receipt_is_waited_for(client: Client, line: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER", 60.0)
    client.tell(event="came", number=1, receipt=7)
    until(lambda: line.said == [[1]])
    assert line.hurried


def test_one_that_hears_nothing_is_given_up(client: Client, line: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_UNHEARD", 10)
    monkeypatch.setattr(module, "_GATHER", 60.0)
    for number in range(12):
        client.tell(event="came", number=number)
    assert line.closed.is_set()


def test_one_that_is_gone_ends_who_speaks_to_it(client: Client, line: Saying) -> None:
    line.lost = True
    client.tell(event="answer", number=1)  # the fixture waits for the end of its thread


def test_words_of_all_kinds_over_a_real_line() -> None:
    ours, theirs = socket.socketpair()
    client, ear = Client(Line(ours)), Line(theirs)
    words = {"event": "came", "id": 3, "path": '/tmp/Ünï "x"\n', "size": 1 << 40, "header": '{"a":[1.5,null]}'}
    client.tell(**words)
    client.tell(event="answer", id=4, move_id=0)
    assert [ear.hear(), ear.hear()] == [words, {"event": "answer", "id": 4, "move_id": 0}]
    client.close()
    with pytest.raises(EOFError):
        ear.hear()
    ear.close()
    ear.release()


@pytest.mark.parametrize("text", [b"[1]\n", b"{\n", b"\xff\n", b"1", b'"x"\n'])
def test_what_is_no_object_is_said_to_be_none(text: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(text)
        ours.shutdown(socket.SHUT_WR)
        line = Line(theirs)
        with pytest.raises(ValueError, match=r"no object|half a line"):
            line.hear()
        line.close()
        line.release()


def test_a_receipt_that_nobody_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RECEIPT", 0.05)
    receipt = Receipt(None)  # type: ignore[arg-type]
    assert receipt.wait() == module.OUT_OF_RESOURCES
    receipt.give(0)
    assert receipt.wait() == 0
