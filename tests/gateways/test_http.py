"""The HTTP server by itself: limits, deadlines, odd clients. Who may ask: test_guard.py."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from slicer_notebook.commands.gateway import Options
from slicer_notebook.errors import GatewayError
from slicer_notebook.gateways import http
from tests.gateways.serving import SILENCE, ask, parts, read_answer, served


@pytest.mark.parametrize(
    "head",
    [
        "POST /echo HTTP/1.1\r\n{host}\r\ncontent-length: 5\r\n\r\n",
        "POST /echo HTTP/1.1\r\n{host}\r\nCONTENT-LENGTH: 5\r\n\r\n",
        "POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
        "POST /echo HTTP/1.1\r\n{host}\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
    ],
    ids=["lower case", "upper case", "HTTP/1.0", "expects 100"],
)
def test_a_body_is_read_however_it_is_announced(head: str) -> None:
    with served() as server:
        answer = ask(server.port, head.format(host=server.host), "12345")
        if answer.startswith(b"HTTP/1.1 100"):
            answer = answer.partition(b"\r\n\r\n")[2]
        assert parts(answer)[0] == 200
        assert parts(answer)[2] == b"5"


def test_a_request_may_come_a_byte_at_a_time() -> None:
    with served() as server:
        whole = f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 3\r\n\r\nabc"
        assert parts(ask(server.port, *whole))[2] == b"3"


def test_head_with_the_body_s_first_part_and_the_rest_later() -> None:
    with served() as server:
        answer = ask(server.port, f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 6\r\n\r\nabc", "def")
        assert parts(answer)[2] == b"6"


def test_one_connection_serves_many_requests_also_when_they_come_together() -> None:
    with served() as server, socket.create_connection(("127.0.0.1", server.port), SILENCE) as sock:
        request = f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 2\r\n\r\nab".encode()
        sock.sendall(request * 2)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2 or not answers.endswith(b"2"):
            answers += sock.recv(65536)
        sock.sendall(request)
        assert parts(read_answer(sock))[0] == 200


def test_head_has_the_length_and_no_body() -> None:
    with served() as server:
        status, headers, body = parts(
            ask(server.port, f"HEAD /echo HTTP/1.1\r\n{server.host}\r\nConnection: close\r\n\r\n")
        )
        assert (status, headers["content-length"], body) == (200, "1", b"")


def test_hang_up_closes_after_each_answer() -> None:
    with served(hang_up=True) as server:
        assert parts(ask(server.port, f"GET /echo HTTP/1.1\r\n{server.host}\r\n\r\n"))[1]["connection"] == "close"


def test_what_is_no_http_is_answered_and_hung_up_on() -> None:
    with served() as server:
        assert parts(ask(server.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9))[0] == 400


def test_too_long_a_head() -> None:
    with served() as server:
        long = "x" * (http.HEAD_BYTES + 10)
        assert parts(ask(server.port, f"GET /echo?{long} HTTP/1.1\r\n{server.host}\r\n\r\n"))[0] == 431
        assert parts(ask(server.port, "GET /echo HTTP/1.1\r\n", f"x: {long}", long))[0] == 431


def test_too_long_a_body_declared_or_not() -> None:
    with served(max_body=10) as server:
        declared = ask(server.port, f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 11\r\n\r\n01234567890")
        assert parts(declared)[0] == 413
        chunked = (
            f"POST /echo HTTP/1.1\r\n{server.host}\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"
        )
        assert parts(ask(server.port, chunked))[0] == 413
    assert [line.note for line in server.lines] == ["The body is longer than 10 bytes."] * 2


def test_a_body_that_nobody_reads_does_not_cost_the_answer() -> None:
    with served() as server:
        body = bytes(8 * 1024**2)
        head = f"POST /deaf HTTP/1.1\r\n{server.host}\r\nContent-Length: {len(body)}\r\n\r\n"
        assert parts(ask(server.port, head, body))[2] == b"not listening"


def test_a_body_that_does_not_end_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "UNREAD_BYTES", 1024**2)
    with served(max_body=10) as server, socket.create_connection(("127.0.0.1", server.port), SILENCE) as sock:
        sock.sendall(f"POST /echo HTTP/1.1\r\n{server.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        with pytest.raises(OSError, match=r"reset|Broken pipe|aborted"):
            sock.sendall(chunk * 1000)


def test_a_failure_says_where_and_nothing_of_what(caplog: pytest.LogCaptureFixture) -> None:
    with served() as server:
        assert parts(ask(server.port, f"GET /broken HTTP/1.1\r\n{server.host}\r\n\r\n"))[0] == 500
    assert "_broken" in caplog.text
    assert "SECRET-IN-AN-ERROR" not in caplog.text + repr(server.lines)


@pytest.mark.parametrize(
    "sent", ["", "GET /echo HTTP/1.1\r\nHost: 127.0", "BODY"], ids=["nothing", "half a head", "half a body"]
)
def test_who_says_no_more_is_hung_up_on(sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(http, "BODY_SECONDS", 0.3)
    with served() as server, socket.create_connection(("127.0.0.1", server.port), SILENCE) as sock:
        if sent == "BODY":
            sent = f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 100\r\n\r\nabc"
        sock.sendall(sent.encode())
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""


def test_who_takes_nothing_of_the_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.3)
    with served() as server, socket.create_connection(("127.0.0.1", server.port), SILENCE) as sock:
        sock.sendall(f"GET /large HTTP/1.1\r\n{server.host}\r\n\r\n".encode())
        deadline = threading.Event()
        while server.context.counts.open == 0 and not deadline.wait(0.01):
            pass
        while server.context.counts.open and not deadline.wait(0.01):
            pass
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(1 << 20):
                got += len(more)
        assert got < 64 * 1024**2


def test_silent_connections_make_room_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 4)
    with served() as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), SILENCE) for _ in range(12)]
        try:
            assert parts(ask(server.port, f"GET /echo HTTP/1.1\r\n{server.host}\r\n\r\n"))[0] == 200
        finally:
            for sock in silent:
                sock.close()


@pytest.mark.parametrize("path", ["/echo", "/deaf"], ids=["bodies that drip", "bodies that nobody wants"])
def test_slow_bodies_make_room_for_who_asks(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 4)
    monkeypatch.setattr(http, "GRACE_SECONDS", 0.0)
    with served() as server:
        head = f"POST {path} HTTP/1.1\r\n{server.host}\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
        slow = [socket.create_connection(("127.0.0.1", server.port), SILENCE) for _ in range(4)]
        try:
            for sock in slow:
                sock.sendall(head.encode() + b"x")
                assert sock.recv(12) in (b"HTTP/1.1 100", b"HTTP/1.1 200")  # it waits for the body now
            for _ in range(3):
                assert parts(ask(server.port, f"GET /echo HTTP/1.1\r\n{server.host}\r\n\r\n"))[0] == 200
        finally:
            for sock in slow:
                sock.close()


def test_stop_frees_the_port_whatever_clients_do() -> None:
    with served() as server:
        sock = socket.create_connection(("127.0.0.1", server.port), SILENCE)
        sock.sendall(f"POST /echo HTTP/1.1\r\n{server.host}\r\nContent-Length: 100\r\n\r\nabc".encode())
    with sock, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), SILENCE)
    with served(Options(port=server.port)) as again:
        assert again.port == server.port
    assert not [each for each in threading.enumerate() if each.name == "slicer-notebook-test"]


def test_a_taken_port_is_said_and_the_next_one_is_taken_where_none_was_asked_for() -> None:
    with served() as server:
        with pytest.raises(GatewayError, match="the port is taken"), served(Options(port=server.port)):
            pass
        with served(Options(), usual_port=server.port, next_free=True) as next_one:
            assert server.port < next_one.port < server.port + 100


@pytest.mark.parametrize("bind", ["203.0.113.7", "no such name"])
def test_an_address_that_is_not_ours(bind: str) -> None:
    with pytest.raises(GatewayError, match="cannot be started"), served(Options(bind=bind, port=0)):
        pass


def test_each_request_has_a_line() -> None:
    with served() as server:
        ask(server.port, f"GET /noted?access_token=TOPSECRET&x=1 HTTP/1.1\r\n{server.host}\r\n\r\n")
        ask(server.port, f"GET /nowhere%0Aforged HTTP/1.1\r\n{server.host}\r\n\r\n")
    first, second = server.lines
    assert (first.status, first.note, first.good) == ("error -1", "a note", False)
    assert "TOPSECRET" not in first.what
    assert "x=1" in first.what
    assert (second.status, second.what, second.good) == ("404", "GET /nowhere%0Aforged", False)
    assert first.who.startswith("127.0.0.1:")
    assert (server.context.counts.requests, server.context.counts.failed) == (2, 2)
