"""The client: connects, again and again, and says what is wrong."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable

import pytest

from slicer_notebook import igtl
from slicer_notebook.errors import DeadlineError, OpenIGTLinkError
from slicer_notebook.igtl import client as client_module
from tests.igtl.examples import MATRIX, wire
from tests.igtl.peers import PATIENCE, Heard, free_port

Serve = Callable[..., tuple[igtl.Server, Heard]]
Connect = Callable[..., tuple[igtl.Client, Heard]]

TRANSFORM = igtl.of_content(igtl.Transform(MATRIX), "Needle")


def test_it_connects_when_the_server_comes(connect: Connect) -> None:
    port = free_port()
    client, heard = connect(("127.0.0.1", port), wait=False)
    assert "No connection" in heard.problem().message
    assert "refused" in str(client.failure)
    assert not client.connected
    with pytest.raises(OpenIGTLinkError, match="There is no connection"):
        client.send(TRANSFORM)
    with pytest.raises(DeadlineError, match="No connection"):
        client.wait_connected(0.01)
    with igtl.Server(port=port) as server:
        assert client.wait_connected(PATIENCE).name == f"127.0.0.1:{port}"
        assert client.failure is None
        assert server.address[1] == port
    assert len(heard.problems) == 1  # told once, not at each try


def test_it_connects_again_when_the_server_has_gone(connect: Connect) -> None:
    port = free_port()
    with igtl.Server(port=port):
        client, heard = connect(("127.0.0.1", port))
    # Closed in order, or broken off where the server had not read all.
    heard.wait(lambda: [state for state, _ in heard.states][-1:] == ["closed"])
    there = Heard()
    with igtl.Server(port=port, **there.callbacks):
        client.wait_connected(PATIENCE)
        client.send(TRANSFORM)
        there.of_type("TRANSFORM")
    assert [state for state, _ in heard.states][:3] == ["connected", "closed", "connected"]


def test_a_server_that_ends_each_connection_is_asked_less_and_less(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connect(listener.getsockname(), wait=False)
        times = []
        for _ in range(4):
            sock, _ = listener.accept()
            times.append(time.monotonic())
            sock.close()
    first, second, third = (b - a for a, b in itertools.pairwise(times))
    assert first >= 0.1
    assert second >= 0.2
    assert third >= 0.4


def test_without_reconnecting_it_says_that_it_is_over(serve: Serve, connect: Connect) -> None:
    server, _ = serve()
    client, heard = connect(server.address, reconnect=False)
    server.stop()
    heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])
    with pytest.raises(OpenIGTLinkError, match="has ended"):
        client.wait_connected(PATIENCE)
    other, _ = connect(("127.0.0.1", free_port()), reconnect=False, wait=False)
    with pytest.raises(OpenIGTLinkError, match="No connection"):
        other.wait_connected(PATIENCE)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.2)
    # A full backlog: the kernel answers no further SYN.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        full = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            full.append(sock)
        client, heard = connect(listener.getsockname(), wait=False)
        assert "no answer" in str(heard.problem())
        assert not client.connected
        for sock in full:
            sock.close()


def test_a_name_that_there_is_not(connect: Connect) -> None:
    _, heard = connect(("no-such-host.invalid", 18944), wait=False)
    assert "No connection to no-such-host.invalid:18944" in heard.problem().message


def test_a_name_of_several_addresses(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """As "localhost" is ::1 and 127.0.0.1, and nobody listens on the first."""
    server, there = serve()
    nobody = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port()))
    there_it_is = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.address)
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **named: object) -> object:
        return [nobody, there_it_is] if host == "two.example" else real(host, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client, heard = connect(("two.example", 1))
    client.send(TRANSFORM)
    there.of_type("TRANSFORM")
    assert heard.problems == []


def test_a_server_on_localhost_is_reached_by_who_knows_ipv4_only(connect: Connect) -> None:
    with igtl.Server("localhost", 0) as server:
        connect(("127.0.0.1", server.address[1]))


def test_it_ends_while_it_tries_and_leaves_no_thread(connect: Connect) -> None:
    client, heard = connect(("127.0.0.1", free_port()), wait=False)
    heard.problem()
    client.stop()
    client.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "OpenIGTLink client"]
    with pytest.raises(OpenIGTLinkError, match=r"not running|No connection"):
        client.wait_connected(PATIENCE)
    with pytest.raises(OpenIGTLinkError, match="started before"):
        client.start()


def test_it_does_not_speak_with_itself(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    """TCP may connect a socket with itself, where it is given the port that it calls as its own."""
    port = free_port()
    real = socket.socket.connect_ex

    class Bound(socket.socket):
        def connect_ex(self, address: tuple[str, int]) -> int:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind(("127.0.0.1", port))
            return real(self, address)

    monkeypatch.setattr(client_module.socket, "socket", Bound)
    client, heard = connect(("127.0.0.1", port), wait=False)
    assert "refused" in str(heard.problem())
    assert not client.connected
    assert heard.states == []


def test_all_that_was_sent_has_gone_after_a_flush(serve: Serve, connect: Connect) -> None:
    import numpy as np

    server, there = serve()
    client, _ = connect(server.address)
    voxels = np.random.default_rng(0).integers(0, 255, (20, 1000, 1000), dtype=np.uint8)
    client.send(igtl.of_content(igtl.Image(voxels, MATRIX), "CT"))
    voxels[:] = 0  # what was sent is what was there
    assert client.flush(PATIENCE)
    client.stop()
    content = there.of_type("IMAGE")[0].content
    assert isinstance(content, igtl.Image)
    assert content.voxels.any()


def test_it_answers_queries_as_a_server_does(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    client, _ = connect(server.address, provide=lambda type_, device: TRANSFORM if type_ == "TRANSFORM" else None)
    there.wait(lambda: server.peers)
    assert server.get("TRANSFORM", "Needle", seconds=PATIENCE).content == TRANSFORM.content
    assert server.get("IMAGE", seconds=PATIENCE).content is None
    assert client.connected


def test_who_waits_for_an_answer_is_told_when_it_ends(serve: Serve, connect: Connect) -> None:
    server, there = serve()
    client, _ = connect(server.address)
    failed: list[Exception] = []

    def ask() -> None:
        try:
            client.get("IMAGE", seconds=PATIENCE)
        except OpenIGTLinkError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    there.of_type("GET_IMAGE")
    began = time.monotonic()
    client.stop()
    asking.join(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    assert "ended before" in str(failed[0])


def test_a_header_that_comes_in_pieces(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, heard = connect(listener.getsockname(), wait=False)
        sock, _ = listener.accept()
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in wire(TRANSFORM, 1):
                sock.sendall(bytes([byte]))
            assert heard.of_type("TRANSFORM")[0].content == TRANSFORM.content
