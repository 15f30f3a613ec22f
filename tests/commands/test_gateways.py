"""Gateways of a Slicer: begun, counted, told of, ended; by one that another package brings."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, CommandError, GatewayError
from tests.gateways.plugin import install, write

#: Seconds that an event, or an answer, may take.
DEADLINE = 30.0


@pytest.fixture
def host(slicer: sn.Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sn.Session]:
    install(slicer, write(tmp_path_factory.mktemp("plugin", numbered=True)))
    yield slicer
    slicer.gateways.stop()


class News:
    """Events "gateways", waited for."""

    def __init__(self, slicer: sn.Session) -> None:
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.all: list[dict[str, Any]] = []
        self._subscription = slicer.on("gateways", self._queue.put)

    def until(self, condition: Any) -> dict[str, Any]:
        while True:
            event = self._queue.get(timeout=DEADLINE)
            self.all.append(event)
            if condition(event):
                return event

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def news(host: sn.Session) -> Iterator[News]:
    found = News(host)
    yield found
    found.close()


def get(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=DEADLINE) as answer:
        text: str = answer.read().decode()
        return text


def test_one_that_another_package_brings_asks_slicer(host: sn.Session) -> None:
    host.add_transform(name="Here before")
    with host.gateways.start("echo", port=0) as echo:
        assert "Here before" in get(f"{echo.url}/nodes")
        assert (echo.host, echo.token, echo.running) == ("127.0.0.1", "", True)
        assert echo.counts["requests"] == 1
        assert [each.kind for each in host.gateways] == ["echo"]
        assert "1 requests" in repr(echo)
    assert not echo.running
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((echo.host, echo.port), DEADLINE)


def test_what_another_program_does_is_an_event_in_the_notebook(host: sn.Session) -> None:
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    subscription = host.on("scene", lambda event: [names.put(node.name) for node in event["added"]])
    with host.gateways.start("echo", port=0) as echo:
        get(f"{echo.url}/add")
    while names.get(timeout=DEADLINE) != "Made outside":
        pass
    subscription.close()


def test_events_tell_of_counts_lines_and_the_end(host: sn.Session, news: News) -> None:
    echo = host.gateways.start("echo", port=0)
    with pytest.raises(urllib.error.HTTPError):
        get(f"{echo.url}/fail?token=TOPSECRET")
    event = news.until(lambda each: each["lines"])
    (line,) = next(iter(event["lines"].values()))
    assert (line["number"], line["status"], line["note"], line["good"]) == (1, "500", "as it should", False)
    assert line["what"].startswith("GET /fail")
    assert (event["entries"][0]["requests"], event["entries"][0]["failed"]) == (1, 1)
    echo.stop()
    assert news.until(lambda each: each["gone"])["entries"][0]["running"] is False
    assert "TOPSECRET" not in repr(news.all)


def test_the_log_keeps_lines_and_shows_them(host: sn.Session) -> None:
    with host.gateways.start("echo", port=0) as echo:
        get(f"{echo.url}/nodes?a=%3Cb%3E")
        get(f"{echo.url}/nodes")
        with pytest.raises(urllib.error.HTTPError):
            get(f"{echo.url}/nowhere")
        # A line is written when its answer has left.
        while len(log := echo.log) < 3:
            pass
    assert [each["status"] for each in log] == ["200", "200", "404"]
    assert "GET /nodes?a=%3Cb%3E" in log._repr_html_()
    assert str(log).count("\n") == 2


def test_off_the_loopback_interface_there_is_a_token(host: sn.Session, news: News) -> None:
    with host.gateways.start("echo", port=0, bind="0.0.0.0") as echo:
        assert len(echo.token) >= 30
        local = f"http://127.0.0.1:{echo.port}/nodes"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(local)
        assert get(local, Authorization=f"Bearer {echo.token}") == '["SubjectHierarchy"]'
        assert echo.token not in repr(echo) + repr(host.gateways.entries()._repr_html_()) + repr(echo._entry)
        assert host.gateways["echo"].token == ""
        news.until(lambda each: each["lines"])
    assert echo.token not in repr(news.all)


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ({"bind": "0.0.0.0", "token": ""}, GatewayError, "loopback"),
        ({"token": "short"}, ArgumentError, "no token"),
        ({"token": "has a space in its middle"}, ArgumentError, "no token"),
        ({"port": 70000}, ArgumentError, "no port"),
        ({"allow": ["everything"]}, ArgumentError, "exec or quit"),
        ({"files": ["/no/such/folder"]}, ArgumentError, "no folder"),
        ({"origins": ["*"]}, ArgumentError, "no origin"),
        ({"origins": ["https://a/b"]}, ArgumentError, "no origin"),
        ({"bind": "203.0.113.9", "token": "x" * 20}, GatewayError, "cannot be started"),
    ],
)
def test_what_is_not_safe_or_does_not_fit_is_refused(
    how: dict[str, Any], kind: type[Exception], text: str, host: sn.Session
) -> None:
    with pytest.raises(kind, match=text) as caught:
        host.gateways.start("echo", **{"port": 0, **how})
    assert how.get("token", "-") not in str(caught.value) or how.get("token") == ""
    assert host.gateways.entries() == []


def test_kinds_that_there_are_not_that_lack_a_package_and_that_fail(host: sn.Session) -> None:
    assert {"rest", "osirix", "igtl", "echo"} <= set(host.gateways.kinds)
    with pytest.raises(ArgumentError, match="echo"):
        host.gateways.start("gopher")
    with pytest.raises(GatewayError, match="pip install"):
        host.gateways.start("lacking")
    with pytest.raises(CommandError, match="it cannot"):
        host.gateways.start("broken")
    assert host.gateways.entries() == []


def test_a_taken_port(host: sn.Session) -> None:
    with host.gateways.start("echo", port=0) as echo, pytest.raises(GatewayError, match="port is taken"):
        host.gateways.start("echo", port=echo.port)


def test_one_ends_with_its_owner(host: sn.Session, news: News) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    entry = host.call("gateways.start", kind="echo", port=0, owner=owner.pid)
    owner.communicate(b"\n", timeout=DEADLINE)
    news.until(lambda each: entry["id"] in each["gone"])
    assert host.gateways.entries() == []
    with pytest.raises(GatewayError, match="process"):
        host.call("gateways.start", kind="echo", port=0, owner=owner.pid)


def test_another_notebook_sees_it_and_may_end_it(host: sn.Session) -> None:
    echo = host.gateways.start("echo", port=0)
    record = next(each for each in sn.sessions() if each.name == host.name)
    with sn.connect(record.name) as other:
        assert other.gateways["echo"].url == echo.url
        other.gateways.stop("echo")
    assert not echo.running
    with pytest.raises(ArgumentError, match="No such gateway runs"):
        host.gateways["echo"]


def test_folders_are_taken_from_where_the_notebook_is(host: sn.Session, tmp_path: Path) -> None:
    with host.gateways.start("echo", port=0, files=[str(tmp_path)], allow=["write"]) as echo:
        assert echo._entry["files"] == [str(tmp_path)]
        assert "allows write" in repr(echo)
