"""Who may ask: names, web pages, tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slicer_notebook.commands.gateway import Options
from slicer_notebook.gateways.guard import is_own_name
from tests.gateways.serving import Served, ask, parts, served

PAGE = "https://viewer.example"
TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    with served() as server:
        yield server


@pytest.fixture(scope="module")
def secret() -> Iterator[Served]:
    with served(Options(port=0, token=TOKEN)) as server:
        yield server


def _status(server: Served, *headers: str, host: str | None = None, method: str = "GET") -> int:
    lines = [f"{method} /echo HTTP/1.1", server.host if host is None else f"Host: {host}", *headers]
    return parts(ask(server.port, "\r\n".join(lines) + "\r\n\r\n"))[0]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "127.0.0.1:2016", "[::1]:2016", "127.8.8.8"])
def test_loopback_names_are_ours(host: str, plain: Served) -> None:
    assert _status(plain, host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:2016", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "10.0.0.1",
     "evil@localhost.example", "127.0.0.1,evil.example", "evil.example@localhost", "localhost/.evil.example",
     "localhost#.evil.example", "localhost?.evil.example", "localhost:evil.example", "[::1].evil.example",
     "[::1]evil.example", "localhost .evil.example", "[localhost]", "::1"],
)  # fmt: skip
def test_other_names_point_here_by_no_will_of_ours(host: str, plain: Served) -> None:
    """DNS rebinding."""
    assert _status(plain, host=host) == 403


def test_no_host_is_for_old_http_only() -> None:
    with served() as server:
        assert parts(ask(server.port, "GET /echo HTTP/1.1\r\n\r\n"))[0] == 400
        assert parts(ask(server.port, "GET /echo HTTP/1.0\r\n\r\n"))[0] == 200
        assert parts(ask(server.port, f"GET /echo HTTP/1.1\r\n{server.host}\r\n{server.host}\r\n\r\n"))[0] == 400


def test_names_that_were_given_and_the_address_that_the_connection_came_to() -> None:
    with served(Options(port=0, names=("slicer.lab",))) as server:
        assert _status(server, host="SLICER.lab:2016") == 200
    assert is_own_name("192.0.2.1:2016", set(), ("192.0.2.1", 2016))
    assert not is_own_name("192.0.2.2:2016", set(), ("192.0.2.1", 2016))


@pytest.mark.parametrize(
    "header",
    [
        f"Origin: {PAGE}",
        "Origin: null",
        "Origin: http://localhost:8888",
        "Origin: http://127.0.0.1",
        f"Referer: {PAGE}/a/page",
        "Referer: file:///tmp/page.html",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: nonsense",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_web_page_reaches_it_by_surprise(header: str, method: str, plain: Served) -> None:
    assert _status(plain, header, method=method) == 403


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none"),
        ("Referer: https://evil.example/", "Referer: http://127.0.0.1/"),
        ("Origin: null", "Origin: http://127.0.0.1"),
        ("Content-Encoding: gzip", "Content-Encoding: identity"),
        ("X-Slicer-Token: a", "X-Slicer-Token: b"),
    ],
)
def test_what_decides_comes_once(headers: tuple[str, str], plain: Served) -> None:
    assert _status(plain, *headers) == 400
    assert _status(plain, *reversed(headers)) == 400


def test_its_own_pages_what_is_typed_and_programs_may() -> None:
    with served() as server:
        own = f"http://127.0.0.1:{server.port}"
        assert _status(server, f"Origin: {own}", "Sec-Fetch-Site: same-origin", f"Referer: {own}/a") == 200
        assert _status(server, "Sec-Fetch-Site: none") == 200
        assert _status(server) == 200


def test_a_page_that_was_named_may_and_is_told_so() -> None:
    with served(Options(port=0, origins=(PAGE,))) as server:
        request = f"GET /echo HTTP/1.1\r\n{server.host}\r\nOrigin: {PAGE}\r\nSec-Fetch-Site: cross-site\r\n\r\n"
        status, headers, _ = parts(ask(server.port, request))
        assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, PAGE, "origin")
        assert _status(server, f"Origin: {PAGE}.evil.example") == 403
        assert _status(server, "Origin: http://viewer.example") == 403


def test_preflight_of_a_page_that_was_named_needs_no_token_and_what_follows_does() -> None:
    with served(Options(port=0, origins=(PAGE,), token=TOKEN)) as server:
        asked = (
            f"Origin: {PAGE}",
            "Access-Control-Request-Method: DELETE",
            "Access-Control-Request-Private-Network: true",
        )
        request = "\r\n".join(("OPTIONS /echo HTTP/1.1", server.host, *asked)) + "\r\n\r\n"
        answer = ask(server.port, request.replace("HTTP/1.1", "HTTP/1.0"))
        status, headers, body = parts(answer)
        assert (status, body) == (204, b"")
        assert headers["access-control-allow-origin"] == PAGE
        assert "DELETE" in headers["access-control-allow-methods"]
        assert "x-slicer-token" in headers["access-control-allow-headers"]
        assert headers["access-control-allow-private-network"] == "true"
        assert _status(server, f"Origin: {PAGE}") == 401
        # No preflight: the application would be asked.
        assert _status(server, f"Origin: {PAGE}", method="OPTIONS") == 401
        assert _status(server, f"Origin: {PAGE}", f"Authorization: Bearer {TOKEN}") == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        (f"Authorization: Bearer {TOKEN}", 200),
        (f"authorization: bearer {TOKEN}", 200),
        (f"X-Slicer-Token: {TOKEN}", 200),
        (f"Authorization: Basic {TOKEN}", 401),
        (f"Authorization: Bearer {TOKEN}x", 401),
        (f"Authorization: Bearer {TOKEN[:-1]}", 401),
        ("Authorization: Bearer ", 401),
        (f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer x", 400),
    ],
)
def test_the_token(header: str, status: int, secret: Served) -> None:
    request = "\r\n".join(filter(None, ("GET /echo HTTP/1.1", secret.host, header))) + "\r\n\r\n"
    answer = ask(secret.port, request)
    assert parts(answer)[0] == status
    if status == 401:
        assert parts(answer)[1]["www-authenticate"] == "Bearer"
    assert TOKEN not in repr(secret.lines) + answer.decode()


def test_bodies_are_not_unpacked_here() -> None:
    with served() as server:
        assert _status(server, "Content-Encoding: gzip", "Content-Length: 0", method="POST") == 415
        assert _status(server, "Content-Encoding: identity", "Content-Length: 0", method="POST") == 200
