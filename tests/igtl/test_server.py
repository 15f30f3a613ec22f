"""The server with several clients: whole, slow, half-open, hostile; queries and streams."""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

from slicer_notebook import igtl
from slicer_notebook.errors import DeadlineError, OpenIGTLinkError
from slicer_notebook.igtl import endpoint, peer, queries, server
from tests.igtl.examples import CONTENTS, MATRIX, MESSAGES, TIME, wire
from tests.igtl.peers import PATIENCE, Heard

Serve = Callable[..., tuple[igtl.Server, Heard]]
Connect = Callable[..., tuple[igtl.Client, Heard]]

TRANSFORM = igtl.Message("TRANSFORM", "Needle", igtl.Transform(MATRIX), TIME)


@contextmanager
def raw(address: tuple[str, int]) -> Iterator[socket.socket]:
    """A bare socket."""
    with socket.create_connection(address, PATIENCE) as sock:
        yield sock


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other end closes."""
    data = b""
    while chunk := sock.recv(1 << 16):
        data += chunk
    return data


def receive(sock: socket.socket, decoder: igtl.Decoder | None = None) -> igtl.Message:
    """The next message on a bare socket."""
    decoder = decoder or igtl.Decoder()
    while True:
        data = sock.recv(1)
        assert data, "closed"
        for event in decoder.feed(data):
            assert isinstance(event, igtl.Message), event
            return event


# Both directions, several peers


def test_all_messages_between_two_of_ours(serve: Serve, connect: Connect) -> None:
    server, there = serve(version=2)
    client, here = connect(server.address, version=2)
    there.wait(lambda: there.states)
    for message in MESSAGES:
        client.send(message)
        server.send(message)
    for heard in (there, here):
        heard.wait(lambda heard=heard: len(heard.messages) == len(MESSAGES))  # type: ignore[misc]
        for got, sent in zip(heard.messages, MESSAGES, strict=True):
            assert (got.type, got.device, got.metadata, got.timestamp) == (
                sent.type,
                sent.device,
                sent.metadata,
                sent.timestamp,
            )
        assert heard.problems == []


def test_a_server_sends_to_all_and_hears_all(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    clients = [connect(server.address) for _ in range(3)]
    there.wait(lambda: len(server.peers) == 3)
    assert server.send(TRANSFORM) == 3
    for i, (client, heard) in enumerate(clients):
        assert heard.of_type("TRANSFORM")[0].content == TRANSFORM.content
        client.send(igtl.of_content(igtl.String(str(i)), f"client {i}"))
    texts = {message.content.text for message in there.of_type("STRING", 3)}  # type: ignore[union-attr]
    assert texts == {"0", "1", "2"}
    assert len({line.peer for line in server.devices()}) == 3


def test_a_peer_that_leaves_is_told_of(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    client, _ = connect(server.address)
    there.wait(lambda: there.states)
    client.stop()
    there.wait(lambda: there.states == [("connected", ""), ("closed", "")])
    assert server.peers == ()
    assert server.send(TRANSFORM) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_peer_is_answered_in_its_version(serve: Serve, version: int) -> None:
    server, there = serve()
    message = igtl.of_content(igtl.Transform(MATRIX), "a", metadata={"k": "v"})
    with raw(server.address) as sock:
        sock.sendall(wire(TRANSFORM, version))
        there.of_type("TRANSFORM")
        server.send(message)
        answer = receive(sock)
        assert answer.version == version
        assert answer.metadata == ({"k": "v"} if version == 2 else {})


def test_a_peer_that_has_said_nothing_hears_what_everybody_reads(serve: Serve) -> None:
    server, there = serve()
    with raw(server.address) as sock:
        there.wait(lambda: there.states)
        server.send(igtl.of_content(igtl.Transform(MATRIX), "a", metadata={"k": "v"}))
        server.send(igtl.Message("COMMAND", "", igtl.Command(1, "a")))
        decoder = igtl.Decoder()
        assert [receive(sock, decoder).version, receive(sock, decoder).version] == [1, 2]


# Faults


def test_a_wrong_checksum_keeps_the_connection(serve: Serve) -> None:
    server, there = serve()
    damaged = bytearray(wire(TRANSFORM))
    damaged[70] ^= 0xFF
    with raw(server.address) as sock:
        sock.sendall(bytes(damaged) + wire(TRANSFORM))
        assert there.of_type("TRANSFORM")[0].content == TRANSFORM.content
        assert "checksum" in there.problem().message
        assert len(there.problems) == len(there.messages) == 1
        assert len(server.peers) == 1


def test_nonsense_ends_that_connection_alone(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    client, heard = connect(server.address)
    with raw(server.address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n")
        assert read_all(sock) == b""
    assert "announces" in there.problem().message or "no OpenIGTLink" in there.problem().message
    client.send(TRANSFORM)
    there.of_type("TRANSFORM")
    assert heard.states == [("connected", "")]


def test_a_type_that_is_not_known_is_told_of_and_passed_over(serve: Serve) -> None:
    server, there = serve()
    with raw(server.address) as sock:
        sock.sendall(struct.pack(">H12s20sIIQQ", 1, b"VIDEO", b"Cam", 0, 0, 10, 0) + bytes(10) + wire(TRANSFORM))
        there.of_type("TRANSFORM")
    assert there.skipped == [("VIDEO", "Cam")]


def test_a_callback_that_raises_does_not_end_the_connection(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    got: list[igtl.Message] = []

    def on_message(peer: igtl.Peer, message: igtl.Message) -> None:
        got.append(message)
        if len(got) == 1:
            raise ValueError("mine")
        peer.send(message)

    server, there = serve(on_message=on_message)
    with raw(server.address) as sock:
        sock.sendall(2 * wire(TRANSFORM))
        assert receive(sock).content == TRANSFORM.content
    assert "ValueError('mine')" in str(there.problem())
    assert "mine" in caplog.text


def test_a_callback_may_end_the_connection(serve: Serve) -> None:
    got: list[igtl.Peer] = []

    def on_message(peer: igtl.Peer, message: igtl.Message) -> None:
        got.append(peer)
        peer.close("enough")

    server, there = serve(on_message=on_message)
    with raw(server.address) as sock:
        sock.sendall(3 * wire(TRANSFORM))
        there.wait(lambda: there.states[-1:] == [("closed", "enough")])
    assert len(got) == 1
    assert got[0].closed
    assert server.peers == ()
    with pytest.raises(OpenIGTLinkError, match="not connected any more"):
        got[0].send(TRANSFORM)


def test_an_on_problem_that_raises_does_not_end_the_connection(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def on_problem(peer: igtl.Peer | None, error: OpenIGTLinkError) -> None:
        raise ValueError("mine")

    server, there = serve(on_problem=on_problem)
    with raw(server.address) as sock:
        sock.sendall(wire(TRANSFORM)[:-1] + b"\xff" + wire(TRANSFORM))
        there.of_type("TRANSFORM")
    assert "on_problem of OpenIGTLink raised" in caplog.text


def test_an_unsayable_message_is_refused_before_anybody_is_told(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    connect(server.address)
    there.wait(lambda: server.peers)
    with pytest.raises(OpenIGTLinkError, match="too long"):
        server.send(igtl.of_content(igtl.String("a"), "x" * 21))
    assert len(server.peers) == 1


def test_more_peers_than_wanted_are_turned_away(serve: Serve, connect: Connect) -> None:
    server, there = serve(max_peers=1)
    connect(server.address)
    there.wait(lambda: server.peers)
    with raw(server.address) as sock:
        assert read_all(sock) == b""
    assert "turned away" in there.problem().message
    assert len(server.peers) == 1


def test_a_port_that_is_taken(serve: Serve) -> None:
    server, _ = serve()
    with pytest.raises(OpenIGTLinkError, match="No server at"):
        igtl.Server(*server.address).start()
    with pytest.raises(OpenIGTLinkError, match="started before"):
        server.start()


def test_the_port_is_free_when_it_has_stopped_and_nothing_is_left(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    _, heard = connect(server.address, reconnect=False)
    there.wait(lambda: server.peers)
    server.stop()
    heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])
    again = igtl.Server(*server.address)
    again.start()
    again.stop()
    again.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "OpenIGTLink server"]


def test_the_server_listens_on_the_loopback_interface_only() -> None:
    assert igtl.Server()._address == ("127.0.0.1", 18944)


# Slow and silent peers


def test_a_peer_that_does_not_read_is_sent_the_newest_of_each_device_and_costs_the_others_nothing(
    serve: Serve, connect: Connect
) -> None:
    server, there = serve()
    _, heard = connect(server.address)
    voxels = np.zeros((1, 1000, 1000), np.uint8)
    with raw(server.address) as sock:
        there.wait(lambda: len(server.peers) == 2)
        for i in range(60):
            voxels[0, 0, 0] = i  # may be changed as soon as send has returned
            server.send(igtl.of_content(igtl.Image(voxels, MATRIX), "Camera"), stream=True)
            heard.wait(lambda i=i: heard.messages and heard.messages[-1].content.voxels[0, 0, 0] == i)  # type: ignore[union-attr, misc]
        slow = next(peer for peer in server.peers if peer.waiting)
        assert slow.waiting <= 2
        (line,) = slow.devices()
        assert line.dropped > 0
        assert line.sent + line.dropped == 60
        # Now it reads: what the socket held, and the newest.
        decoder, got = igtl.Decoder(), []
        while not got or got[-1] != 59:
            for event in decoder.feed(sock.recv(1 << 20)):
                assert isinstance(event, igtl.Message), event
                assert isinstance(event.content, igtl.Image)
                got.append(int(event.content.voxels[0, 0, 0]))
        assert got == sorted(got)
        assert len(got) == line.sent


def test_a_peer_that_lets_too_much_wait_is_disconnected(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    _, heard = connect(server.address)
    message = igtl.of_content(igtl.Image(np.zeros((1, 2000, 2000), np.uint8), MATRIX), "CT")
    with raw(server.address):
        there.wait(lambda: len(server.peers) == 2)
        for i in range(100):
            server.send(message)
            heard.of_type("IMAGE", i + 1)  # the other one gets each
            if there.problems:
                break
    assert "too slowly" in there.problem().message
    there.wait(lambda: [state for state in there.states if "too slowly" in state[1]])
    assert len(server.peers) == 1


def test_a_peer_that_stops_in_the_middle_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(peer, "STALL_SECONDS", 0.2)
    server, there = serve()
    with raw(server.address) as silent, raw(server.address) as half:
        half.sendall(wire(TRANSFORM)[:70])
        assert half.recv(1) == b""
        there.wait(lambda: [state for state in there.states if "middle of a message" in state[1]])
        # Who says nothing at all may do so.
        assert len(server.peers) == 1
        silent.sendall(wire(TRANSFORM))
        there.of_type("TRANSFORM")


def test_a_peer_that_never_reads_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(peer, "STALL_SECONDS", 0.5)
    server, there = serve()
    message = igtl.of_content(igtl.Image(np.zeros((4, 2000, 2000), np.uint8), MATRIX), "CT")
    with raw(server.address):
        there.wait(lambda: server.peers)
        server.send(message)
        there.wait(lambda: [state for state in there.states if "does not read" in state[1]])


def test_a_peer_that_is_cut_off_in_the_middle_is_told_of(serve: Serve) -> None:
    server, there = serve()
    with raw(server.address) as sock:
        sock.sendall(wire(TRANSFORM)[:70])
    there.wait(lambda: [state for state in there.states if "middle" in state[1]])


def test_a_machine_that_is_gone_is_noticed_by_tcp(serve: Serve) -> None:
    server, there = serve()
    with raw(server.address):
        there.wait(lambda: server.peers)
        sock = server.peers[0]._socket
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == peer.KEEPALIVE_AFTER
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == peer.KEEPALIVE_EVERY
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == peer.KEEPALIVE_COUNT
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * peer.STALL_SECONDS
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_without_file_descriptors_it_waits_instead_of_spinning(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ACCEPT_AGAIN_SECONDS", 0.05)
    started, there = serve()
    listener = started._listener
    tries = []

    class Exhausted:
        def accept(self) -> tuple[socket.socket, tuple[str, int]]:
            tries.append(time.monotonic())
            if len(tries) < 3:
                raise OSError(24, "Too many open files")
            assert listener is not None
            return listener.accept()

        def fileno(self) -> int:
            assert listener is not None
            return listener.fileno()

        def close(self) -> None:
            assert listener is not None
            listener.close()

    exhausted = Exhausted()

    swapped = threading.Event()

    def swap() -> None:
        started._loop.forget(listener)  # type: ignore[arg-type]
        started._listener = exhausted  # type: ignore[assignment]
        started._listen()
        swapped.set()

    started._loop.call(swap)
    assert swapped.wait(PATIENCE)
    with raw(started.address):
        there.wait(lambda: started.peers)
    assert tries[2] - tries[0] >= 0.09
    assert "could not be accepted" in there.problem().message


# Queries and streams


def test_get_is_answered_with_the_query_s_device_or_with_nothing(serve: Serve, connect: Connect) -> None:
    asked: list[tuple[str, str]] = []

    def provide(type_: str, device: str) -> igtl.Message | None:
        asked.append((type_, device))
        return igtl.of_content(CONTENTS[type_], "CT") if device in ("", "CT", "ct") else None

    server, there = serve(provide=provide)
    client, _ = connect(server.address, version=2)
    for name in igtl.TYPES:
        answer = client.get(name, "CT", seconds=PATIENCE)
        assert (answer.type, answer.device) == (name, "CT")
        assert answer.content is not None
        assert answer.version == 2
    assert client.get("IMAGE", "ct", seconds=PATIENCE).device == "ct"
    assert client.get("IMAGE", seconds=PATIENCE).device == "CT"
    none = client.get("IMAGE", "MR", seconds=PATIENCE)
    assert (none.device, none.content) == ("MR", None)
    assert asked[-3:] == [("IMAGE", "ct"), ("IMAGE", ""), ("IMAGE", "MR")]
    assert there.messages == []  # they are not handed on as well


def test_get_may_be_answered_later(serve: Serve, connect: Connect) -> None:
    asked: queue.Queue[Future[igtl.Message | None]] = queue.Queue()

    def provide(type_: str, device: str) -> Future[igtl.Message | None]:
        promise: Future[igtl.Message | None] = Future()
        asked.put(promise)
        return promise

    server, there = serve(provide=provide)
    client, heard = connect(server.address)
    for device in ("a", "b", "c", "d"):
        client.send(igtl.Message("GET_STRING", device))
    promises = [asked.get(timeout=PATIENCE) for _ in range(4)]
    promises[1].set_result(igtl.of_content(igtl.String("b"), "b"))
    promises[0].set_exception(ValueError("no"))
    promises[2].cancel()
    promises[3].set_result(igtl.of_content(CONTENTS["IMAGE"], "d"))  # of another type
    answers = {message.device: message.content for message in heard.of_type("STRING", 3)}
    assert answers == {"a": None, "b": igtl.String("b", 3), "c": None}
    there.wait(lambda: len(there.problems) == 2)
    assert {problem.message for problem in there.problems} == {
        "The answer to a query failed.",
        "A query was answered by another type.",
    }


def test_a_peer_that_asks_without_end_is_answered_with_nothing(serve: Serve) -> None:
    promises: list[Future[igtl.Message | None]] = []

    def provide(type_: str, device: str) -> Future[igtl.Message | None]:
        promises.append(Future())
        return promises[-1]

    server, there = serve(provide=provide)
    with raw(server.address) as sock:
        sock.sendall(wire(igtl.Message("GET_STRING", "a")) * (queries.MAX_OWED + 10))
        decoder = igtl.Decoder()
        assert [receive(sock, decoder).content for _ in range(10)] == [None] * 10
        assert len(promises) == queries.MAX_OWED
        assert "Too many queries" in there.problem().message
        promises[0].set_result(igtl.of_content(igtl.String("b"), "a"))
        assert receive(sock, decoder).content == igtl.String("b", 3)
        sock.sendall(wire(igtl.Message("GET_STRING", "a")))
        promises[1].set_result(igtl.of_content(igtl.String("c"), "a"))
        assert receive(sock, decoder).content == igtl.String("c", 3)


def test_get_that_fails_is_answered_with_nothing(serve: Serve, connect: Connect) -> None:
    def provide(type_: str, device: str) -> igtl.Message:
        raise RuntimeError("broken")

    server, there = serve(provide=provide)
    client, _ = connect(server.address)
    assert client.get("IMAGE", "a", seconds=PATIENCE).content is None
    assert "RuntimeError: broken" in str(there.problem())


def test_capability_is_answered_by_what_the_server_can(serve: Serve, connect: Connect) -> None:
    server, _ = serve(provide=lambda type_, device: None, stream=lambda type_, device, wish: None)
    client, _ = connect(server.address)
    content = client.get("CAPABILITY", seconds=PATIENCE).content
    assert isinstance(content, igtl.Capability)
    assert {*igtl.TYPES, "GET_TRANSFOR", "GET_CAPABIL", "STT_TDATA", "STP_POLYDATA"} <= set(content.types)
    assert max(len(name) for name in content.types) == 12


def test_queries_without_anybody_to_answer_are_handed_on(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    client, _ = connect(server.address)
    for verb in ("GET", "STT", "STP"):
        client.send(igtl.Message(f"{verb}_TRANSFORM", "a"))
    there.wait(lambda: len(there.messages) == 3)
    assert [message.verb for message in there.messages] == ["GET", "STT", "STP"]


def test_a_stream_comes_at_its_interval_and_stops(serve: Serve, connect: Connect) -> None:
    wishes: list[igtl.StartStream] = []

    def stream(type_: str, device: str, wish: igtl.StartStream) -> igtl.Source | None:
        wishes.append(wish)
        if type_ != "TDATA":
            return None
        return lambda: igtl.of_content(igtl.Tracking((igtl.Tool("Needle", MATRIX),)), device)

    server, _ = serve(stream=stream)
    client, heard = connect(server.address)
    assert client.start_stream("IMAGE", "Camera", seconds=PATIENCE).content == igtl.Reply(1)
    began = time.monotonic()
    assert client.start_stream(
        "TDATA", "T", interval=20, coordinates="Patient", seconds=PATIENCE
    ).content == igtl.Reply(0)
    assert wishes[-1] == igtl.StartStream(20, "Patient")
    heard.of_type("TDATA", 10)
    assert time.monotonic() - began > 9 * 0.02 * 0.9  # never faster than asked for
    assert client.stop_stream("TDATA", "other", seconds=PATIENCE).content == igtl.Reply(1)
    assert client.stop_stream("TDATA", "T", seconds=PATIENCE).content == igtl.Reply(0)
    assert client.stop_stream("TDATA", "T", seconds=PATIENCE).content == igtl.Reply(1)
    count = len(heard.of_type("TDATA"))
    assert client.stop_stream("TDATA", "T", seconds=PATIENCE).content == igtl.Reply(1)
    assert len(heard.of_type("TDATA")) == count  # what was sent before that answer has come before it


def test_a_stream_says_only_what_is_new(serve: Serve, connect: Connect) -> None:
    current = [igtl.of_content(igtl.String("0"), "S", timestamp=igtl.Timestamp(1, 0))]
    calls = []

    def source() -> igtl.Message | None:
        calls.append(1)
        if len(calls) % 5 == 0:
            current[0] = igtl.of_content(igtl.String(str(len(calls))), "S", timestamp=igtl.Timestamp(len(calls), 0))
        return current[0] if len(calls) % 2 else None

    server, _ = serve(stream=lambda *_: source)
    client, heard = connect(server.address)
    client.start_stream("STRING", "S", seconds=PATIENCE)
    messages = heard.of_type("STRING", 5)
    texts = [message.content.text for message in messages]  # type: ignore[union-attr]
    assert len(set(texts)) == len(texts)
    assert texts[0] == "0"


def test_streams_end_with_their_peer_and_a_failing_source_is_told_of(serve: Serve, connect: Connect) -> None:
    calls: list[float] = []

    def source() -> igtl.Message | None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            raise RuntimeError("lost")
        return igtl.of_content(igtl.String(str(len(calls))), "S")

    server, there = serve(stream=lambda *_: source)
    client, heard = connect(server.address)
    client.start_stream("STRING", "S", seconds=PATIENCE)
    heard.of_type("STRING", 3)
    assert "RuntimeError: lost" in str(there.problem())
    client.stop()
    there.wait(lambda: [state for state in there.states if state[0] == "closed"])
    count = len(calls)
    other, _ = connect(server.address)  # the loop goes round
    other.send(TRANSFORM)
    there.of_type("TRANSFORM")
    assert len(calls) == count


def test_a_command_is_answered(serve: Serve, connect: Connect) -> None:
    def on_message(peer: igtl.Peer, message: igtl.Message) -> None:
        assert isinstance(message.content, igtl.Command)
        failed = None if message.content.name == "good" else "there is no such thing"
        peer.send(igtl.answer_command(message, message.content.text.upper(), error=failed))

    server, _ = serve(on_message=on_message)
    client, _ = connect(server.address)
    answer = client.command("good", "text", "dev", seconds=PATIENCE)
    assert isinstance(answer.content, igtl.Command)
    assert (answer.content.name, answer.content.text, answer.device) == ("good", "TEXT", "dev")
    assert answer.metadata == {"Status": "SUCCESS"}
    assert client.command("bad", seconds=PATIENCE).metadata == {
        "Status": "FAIL",
        "ErrorMessage": "there is no such thing",
    }


def test_an_answer_that_does_not_come(serve: Serve, connect: Connect) -> None:
    server, _ = serve()
    client, _ = connect(server.address)
    with pytest.raises(DeadlineError, match="No answer to GET_IMAGE"):
        client.get("IMAGE", seconds=0.05)


def test_a_callback_cannot_wait_for_an_answer(serve: Serve, connect: Connect) -> None:
    caught: Future[Exception] = Future()

    def on_message(peer: igtl.Peer, message: igtl.Message) -> None:
        try:
            client.get("IMAGE")
        except OpenIGTLinkError as error:
            caught.set_result(error)

    server, there = serve()
    client, _ = connect(server.address, on_message=on_message)
    there.wait(lambda: server.peers)
    server.send(TRANSFORM)
    assert "callback" in str(caught.result(PATIENCE))
