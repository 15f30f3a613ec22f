"""What upstream's server does wrong on the wire, byte by byte: ours does it right."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.protocol import nrrd
from tests.gateways.rest.conftest import AFFINE, Start, refused

_SECONDS = 20.0


class Wire:
    """A connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._kept = b""

    def send(self, *pieces: bytes) -> None:
        """Each piece in a packet of its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of the next answer."""
        while b"\r\n\r\n" not in self._kept:
            self._more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"]) if body else 0
        while len(self._kept) < length:
            self._more()
        content, self._kept = self._kept[:length], self._kept[length:]
        return int(status.split()[1]), headers, content

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._kept += data

    def closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        return self._kept == b"" and self.socket.recv(1) == b""


@pytest.fixture
def wire(rest: httpx.Client) -> Iterator[Wire]:
    assert rest.base_url.port is not None
    found = Wire(rest.base_url.port)
    yield found
    found.socket.close()


HOST = b"Host: 127.0.0.1\r\n"
EXEC = b"POST /slicer/exec HTTP/1.1\r\n" + HOST
CODE = b"__execResult = 'whole'"


def test_head(wire: Wire) -> None:
    wire.send(b"GET /slicer/mrml/names HTTP/1.1\r\n" + HOST + b"\r\n")
    _, whole, body = wire.answer()
    wire.send(b"HEAD /slicer/mrml/names HTTP/1.1\r\n" + HOST + b"\r\n")
    status, headers, _ = wire.answer(body=False)
    assert status == 200
    assert headers["content-length"] == whole["content-length"] == str(len(body))
    # No body came: the next answer begins at once.
    wire.send(b"GET /slicer/system/version HTTP/1.1\r\n" + HOST + b"\r\n")
    assert "applicationName" in json.loads(wire.answer()[2])


def test_http_1_0(wire: Wire) -> None:
    wire.send(b"GET /slicer/system/version HTTP/1.0\r\n\r\n")
    status, headers, body = wire.answer()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert "applicationName" in json.loads(body)
    assert wire.closed()


def test_keep_alive(wire: Wire) -> None:
    for _ in range(5):
        wire.send(b"GET /slicer/volumes HTTP/1.1\r\n" + HOST + b"\r\n")
        assert wire.answer()[2] == b"[]"
    wire.send(b"GET /slicer/volumes HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert wire.answer()[2] == b"[]"
    assert wire.closed()


def test_requests_one_after_another_in_one_packet(wire: Wire) -> None:
    one = b"GET /slicer/volumes HTTP/1.1\r\n" + HOST + b"\r\n"
    other = b"GET /slicer/nothing HTTP/1.1\r\n" + HOST + b"\r\n"
    wire.send(one + other + one)
    assert [wire.answer()[0] for _ in range(3)] == [200, 500, 200]


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh"])
def test_the_length_in_any_case(wire: Wire, name: bytes) -> None:
    wire.send(EXEC + name + b": %d\r\n\r\n" % len(CODE) + CODE)
    assert wire.answer()[2] == b'"whole"'


def test_the_head_over_several_packets(wire: Wire) -> None:
    whole = EXEC + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(CODE)
    wire.send(*(whole[start : start + 7] for start in range(0, len(whole), 7)), CODE)
    assert wire.answer()[2] == b'"whole"'


def test_the_head_in_one_packet_and_the_body_later(wire: Wire) -> None:
    wire.send(EXEC + b"Content-Length: %d\r\n\r\n" % len(CODE))
    wire.send(CODE[:5])
    wire.send(CODE[5:])
    assert wire.answer()[2] == b'"whole"'


def test_a_body_of_many_packets(wire: Wire, slicer: sn.Session) -> None:
    voxels = np.arange(40 * 30 * 20, dtype=np.float32).reshape(20, 30, 40)
    body = b"".join(nrrd.chunks(voxels, AFFINE))
    wire.send(b"POST /slicer/volume?id=pieces HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body))
    wire.send(*(body[start : start + 997] for start in range(0, len(body), 997)))
    assert json.loads(wire.answer()[2]) == {"status": "success"}
    (node,) = slicer.call("scene.select", name="pieces")
    np.testing.assert_array_equal(slicer.call("volume.array", node=node), voxels)


_SURPLUS = b"\x00\x01 more of it\r\n\r\n"


def test_a_body_that_is_longer_than_it_says_is_cut(wire: Wire) -> None:
    """What is beyond it is the next request, and none that anybody understands."""
    wire.send(EXEC + b"Content-Length: %d\r\n\r\n" % len(CODE) + CODE)
    assert wire.answer()[2] == b'"whole"'
    wire.send(_SURPLUS)
    assert wire.answer()[0] == 400


def test_a_longer_body_in_one_packet_is_no_longer_one(wire: Wire) -> None:
    """Whichever of the two is answered first, the code that ran is what the length says."""
    wire.send(EXEC + b"Content-Length: %d\r\n\r\n" % len(CODE) + CODE + _SURPLUS)
    status, _, body = wire.answer()
    assert (status, body) == (200, b'"whole"') or status == 400


def test_a_line_end_after_the_body_is_passed_over(wire: Wire) -> None:
    for _ in range(2):
        wire.send(EXEC + b"Content-Length: %d\r\n\r\n" % len(CODE) + CODE + b"\r\n")
        assert wire.answer()[2] == b'"whole"'


def test_a_body_that_is_shorter_than_it_says_is_no_request(wire: Wire, slicer: sn.Session) -> None:
    code = b"slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'half')"
    wire.send(EXEC + b"Content-Length: %d\r\n\r\n" % (len(code) + 10) + code)
    wire.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionResetError):
        wire.answer()
    assert slicer.call("scene.select", name="half") == []


def test_a_volume_that_breaks_off_is_none(wire: Wire, slicer: sn.Session) -> None:
    body = b"".join(nrrd.chunks(np.zeros((20, 30, 40), np.int16), AFFINE))
    wire.send(
        b"POST /slicer/volume?id=half HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body[:9999]
    )
    wire.socket.close()
    with httpx.Client(trust_env=False) as other:
        url = next(each["url"] for each in slicer.call("gateways.list") if "exec" in each["allow"])
        assert other.get(f"{url}/slicer/mrml/names", params={"name": "half"}).json() == []


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET /slicer/slice HTTP/9.9\r\n\r\n",
        b"GET /slicer/volumes HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"GET /slicer/volumes HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n",
        b"GET /slicer/volumes HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_at_once(wire: Wire, head: bytes) -> None:
    wire.send(head + b"\r\n\r\n")
    assert wire.answer()[0] == 400


def test_expect_100_continue(wire: Wire) -> None:
    wire.send(EXEC + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(CODE))
    assert wire.answer(body=False)[0] == 100
    wire.send(CODE)
    assert wire.answer()[2] == b'"whole"'


# -- web pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "rebound.example:2016"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/slicer/exec?source=made%3D1"), ("POST", "/slicer/exec"), ("GET", "/slicer/slice?offset=7"),
     ("DELETE", "/slicer/mrml"), ("GET", "/slicer/mrml/names")],
)  # fmt: skip
def test_no_page_reaches_it(
    rest: httpx.Client, slicer: sn.Session, headers: dict[str, str], method: str, path: str
) -> None:
    before = slicer.view("Red").offset
    points = slicer.add_markups([[0, 0, 0]], name="F")
    refused(rest.request(method, path, headers=headers), "", 403)
    assert slicer.view("Red").offset == before
    assert slicer.call("scene.select", name="F")[0].id == points.id


def test_cors_is_off_by_default(rest: httpx.Client) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    response = rest.options("/slicer/volumes", headers=asked)
    refused(response, "", 403)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_cors_for_pages_that_were_named(serve: Start) -> None:
    client = serve(origins=["https://app.example"])
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type, authorization",
    }
    response = client.options("/slicer/volume", headers=asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert {"PUT", "DELETE", "POST", "GET"} <= set(response.headers["access-control-allow-methods"].split(", "))
    assert {"content-type", "authorization"} <= set(response.headers["access-control-allow-headers"].split(", "))
    response = client.get("/slicer/volumes", headers={"Origin": "https://app.example"})
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert response.json() == []
    refused(client.get("/slicer/volumes", headers={"Origin": "https://other.example"}), "", 403)


def test_a_token_where_there_is_one(serve: Start) -> None:
    token = "a-token-of-twenty-characters"
    client = serve(token=token)
    refused(client.get("/slicer/volumes"), "token", 401)
    refused(client.get("/slicer/volumes", headers={"Authorization": "Bearer other"}), "token", 401)
    assert client.get("/slicer/volumes", headers={"Authorization": f"Bearer {token}"}).json() == []
    assert client.get("/slicer/volumes", headers={"X-Slicer-Token": token}).json() == []


def test_loopback_only(launched: sn.Session, rest: httpx.Client) -> None:
    number = rest.base_url.port
    assert next(each for each in launched.call("gateways.list") if each["port"] == number)["bind"] == "127.0.0.1"
