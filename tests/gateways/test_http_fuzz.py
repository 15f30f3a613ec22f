"""Requests that nobody would send: the server answers or hangs up, keeps nothing of them, and serves the next one."""

from __future__ import annotations

import gc
import random
import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicer_notebook.commands.gateway import Options
from tests.gateways.serving import SILENCE, Served, ask, parts, served

TOKEN = "a-token-of-24-characters"
#: Requests of one run of the mutating fuzzer.
ROUNDS = 600
#: What a run may leave in memory, bytes: the log's lines are the test's own, and dropped.
GROWTH = 2_000_000

SEEDS = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slicer-Token: a-token-of-24-characters\r\n\r\n",
    b"POST /echo?a=%20 HTTP/1.1\r\nHost: localhost:2016\r\nContent-Length: 5\r\nAuthorization: Bearer a\r\n\r\nabcde",
    b"POST /echo HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://a\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    b"GET http://127.0.0.1/echo HTTP/1.0\r\nReferer: http://127.0.0.1/\r\nSec-Fetch-Site: none\r\n\r\n",
    b"PUT /deaf HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-encoding: x\r\ncontent-length:9\r\n\r\n",
)
TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b" ",
    b"\t",
    b":",
    b";",
    b"%",
    b"%00",
    b"%ff",
    b"/../..",
    b"//etc",
    b"Host:",
    b"a" * 70000,
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Connection: close\r\n",
    b"Host: evil.example\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(Options(port=0, token=TOKEN, origins=("https://a",)), max_body=1000) as running:
        yield running


def send(server: Served, data: bytes) -> bytes:
    """All of it, the end, and what comes back: the server ends it, too."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), SILENCE) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(1 << 16):
                answer += more
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def still_serves(server: Served) -> bool:
    request = f"GET /echo HTTP/1.1\r\n{server.host}\r\nX-Slicer-Token: {TOKEN}\r\n\r\n"
    return parts(ask(server.port, request))[0] == 200


def mutated(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place:place] = chance.choice(TOKENS)
            case 1:
                del data[place : place + chance.randint(1, 12)]
            case 2 if place < len(data):
                data[place] = chance.randrange(256)
            case 3:
                data[place:place] = data[chance.randrange(len(data) + 1) :][:40]
            case _:
                data += chance.choice(SEEDS)
    return bytes(data)


def test_mutated_requests(server: Served) -> None:
    chance = random.Random(20261129)
    for _ in range(50):  # what is made once
        send(server, mutated(chance))
    server.lines.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(ROUNDS):
            answer = send(server, mutated(chance))
            assert answer == b"" or answer.startswith(b"HTTP/1."), answer[:200]
            assert TOKEN.encode() not in answer
        server.lines.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < GROWTH
    assert still_serves(server)
    assert server.context.counts.open <= 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(codec="latin-1"), max_size=60),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "host",
                    "origin",
                    "referer",
                    "sec-fetch-site",
                    "authorization",
                    "content-length",
                    "x-slicer-token",
                    "expect",
                ]
            ),
            st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40),
        ),
        max_size=5,
    ),
)
def test_headers_of_any_text(server: Served, path: str, headers: list[tuple[str, str]]) -> None:
    lines = [f"GET /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    answer = send(server, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    # Without the token nothing is answered but refusals; there is no way around it.
    statuses = {int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")}
    assert not statuses & {200, 404, 500}


def test_after_all_that_it_serves(server: Served) -> None:
    assert still_serves(server)
