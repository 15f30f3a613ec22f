"""The faulty line does what it says, and nothing else to the bytes."""

from __future__ import annotations

import hashlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.pacs.peers.proxy import Proxy

BLOCK = os.urandom(1 << 20)


class Answers(socketserver.BaseRequestHandler):
    """Reads a number until the client's end of stream, and answers with that many bytes."""

    def handle(self) -> None:
        asked = b""
        try:
            while data := self.request.recv(1024):
                asked += data
            self.request.sendall((BLOCK * 4)[: int(asked or b"0")])
        except OSError:
            return


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_address[1]
        listening.shutdown()


@pytest.fixture
def line(server: int) -> Iterator[Proxy]:
    with Proxy(server) as made:
        yield made


def connected(line: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=10)


def asked(line: Proxy, count: int) -> socket.socket:
    client = connected(line)
    client.sendall(str(count).encode())
    client.shutdown(socket.SHUT_WR)
    return client


def received(client: socket.socket) -> tuple[bytes, bool]:
    """What came, and whether it ended with a reset."""
    parts = []
    try:
        while data := client.recv(1 << 16):
            parts.append(data)
    except ConnectionResetError:
        return b"".join(parts), True
    finally:
        client.close()
    return b"".join(parts), False


def test_without_faults_every_byte_goes_on_and_half_a_close_stays_half(line: Proxy) -> None:
    data, reset = received(asked(line, 3_000_000))
    assert not reset
    assert hashlib.sha1(data).digest() == hashlib.sha1((BLOCK * 4)[:3_000_000]).digest()
    line.wait_for(lambda: line.open == 0)
    assert (line.connections, line.from_server, line.from_client) == (1, 3_000_000, 7)


@pytest.mark.parametrize("reset", [True, False])
def test_cut_after_so_many_bytes_once(line: Proxy, reset: bool) -> None:
    line.cut_after(100_000, reset=reset)
    data, was_reset = received(asked(line, 500_000))
    assert was_reset is reset
    assert data == BLOCK[:100_000]
    assert line.cuts == 1
    assert len(received(asked(line, 500_000))[0]) == 500_000


def test_cut_after_several_times(line: Proxy) -> None:
    line.cut_after(1000, times=2)
    assert [len(received(asked(line, 5000))[0]) for _ in range(3)] == [1000, 1000, 5000]
    assert line.cuts == 2


def test_cut_now_cuts_all(line: Proxy) -> None:
    clients = [connected(line), connected(line)]
    line.wait_for(lambda: line.open == 2)
    line.cut()
    assert [received(client) for client in clients] == [(b"", True), (b"", True)]


def test_stall_keeps_the_connection_and_nothing_goes_on_until_resumed(line: Proxy) -> None:
    line.stall_after(1000)
    client = asked(line, 5000)
    line.wait_for(lambda: line.stalled)
    assert client.recv(1000, socket.MSG_WAITALL) == BLOCK[:1000]
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert line.open == 1
    other = asked(line, 10)  # connected, and silent
    other.settimeout(0.1)
    with pytest.raises(TimeoutError):
        other.recv(1)
    line.resume()
    for end in (client, other):
        end.settimeout(10)
    assert received(client) == (BLOCK[1000:5000], False)
    assert received(other) == (BLOCK[:10], False)


def test_refused_connections_and_accepted_again(line: Proxy) -> None:
    there = connected(line)
    line.wait_for(lambda: line.open == 1)
    line.refuse()
    with pytest.raises(ConnectionRefusedError):
        connected(line)
    there.sendall(b"5")
    there.shutdown(socket.SHUT_WR)
    assert received(there) == (BLOCK[:5], False)
    line.accept()
    assert received(asked(line, 5)) == (BLOCK[:5], False)


def test_delay(line: Proxy) -> None:
    line.delay(0.1)
    start = time.monotonic()
    assert received(asked(line, 5)) == (BLOCK[:5], False)
    assert 0.2 <= time.monotonic() - start < 5


def test_rate(line: Proxy) -> None:
    line.limit(1_000_000)
    start = time.monotonic()
    assert received(asked(line, 300_000)) == (BLOCK[:300_000], False)
    assert 0.2 <= time.monotonic() - start < 5


def test_heal_ends_all_faults(line: Proxy) -> None:
    line.refuse()
    line.stall()
    line.limit(1.0)
    line.delay(60.0)
    line.cut_after(1)
    line.heal()
    assert received(asked(line, 5)) == (BLOCK[:5], False)


def test_a_dead_server_resets(server: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Proxy(unused.getsockname()[1]) as line:
            try:
                client = connected(line)
            except ConnectionResetError:
                return  # reset before `connect` returned
            assert received(client) == (b"", True)


def test_waiting_for_what_does_not_happen_says_what_did(line: Proxy) -> None:
    with pytest.raises(TimeoutError, match="0 connections, 0 open"):
        line.wait_for(lambda: line.connections, timeout=0.05)


def test_urls_by_way_of_the_line(line: Proxy) -> None:
    assert line.url("dimse://TESTPACS@127.0.0.1:4242") == f"dimse://TESTPACS@127.0.0.1:{line.port}"
    assert line.url("http://127.0.0.1:8042/dicom-web") == f"http://127.0.0.1:{line.port}/dicom-web"
