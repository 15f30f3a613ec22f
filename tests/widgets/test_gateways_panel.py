"""The panel of gateways: switches, counts, log, what a saved notebook keeps."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import slicer_notebook as sn
from tests.gateways.plugin import install, write
from tests.widgets.waiting import DEADLINE, Recorder, wait_until


@pytest.fixture
def host(slicer: sn.Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sn.Session]:
    install(slicer, write(tmp_path_factory.mktemp("plugin", numbered=True)))
    yield slicer
    slicer.gateways.stop()


class View:
    """A panel, and what its browser hears and says."""

    def __init__(self, slicer: sn.Session) -> None:
        self.panel = sn.GatewaysPanel(slicer)
        self.heard = Recorder(self.panel)
        self.say("hello")

    def say(self, message: str, **words: Any) -> None:
        self.panel._handle_custom_msg({"type": message, **words}, [])

    def row(self, kind: str, *, on: bool, trouble: bool = False) -> dict[str, Any]:
        """The row of a kind when it is so; waits for it."""

        def find(message: dict[str, Any]) -> dict[str, Any] | None:
            rows = message.get("rows", [])
            fits = (r for r in rows if r["kind"] == kind and bool(r["entry"]) is on and bool(r["trouble"]) is trouble)
            return next(fits, None)

        found = find(self.heard.wait(lambda message: find(message) is not None))
        assert found is not None
        return found


@pytest.fixture
def view(host: sn.Session) -> Iterator[View]:
    found = View(host)
    yield found
    found.panel.close()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        data: bytes = answer.read()
        return data


def test_a_row_for_each_kind_the_known_ones_first(view: View) -> None:
    view.row("echo", on=False)
    rows = view.heard.of("gateways")[-1]["rows"]
    kinds = [row["kind"] for row in rows]
    assert kinds[:3] == ["rest", "osirix", "igtl"]
    assert rows[0]["title"] == "SlicerWeb REST"
    assert rows[0]["usual"] == 2016


def test_the_switch_starts_and_ends_one(view: View, host: sn.Session) -> None:
    view.say("switch", kind="echo", on=True, port=0)
    entry = view.row("echo", on=True)["entry"]
    wait_until(view.panel, lambda: [each["kind"] for each in view.panel.running] == ["echo"], "the trait")
    assert get(f"{entry['url']}/nodes")
    (line,) = view.heard.wait(lambda message: message["type"] == "lines" and message["lines"])["lines"]
    assert (line["kind"], line["status"], line["what"]) == ("echo", "200", "GET /nodes")
    view.say("switch", kind="echo", on=False, id=entry["id"])
    wait_until(view.panel, lambda: view.panel.running == [], "the end")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((entry["bind"], entry["port"]), DEADLINE)


def test_what_does_not_start_says_why_until_it_does(view: View) -> None:
    view.say("switch", kind="broken", on=True, port=0)
    assert "it cannot" in view.row("broken", on=False, trouble=True)["trouble"]["message"]
    view.say("switch", kind="lacking", on=True, port=0)
    assert "pip install" in view.row("lacking", on=False, trouble=True)["trouble"]["hint"]


def test_one_that_was_there_before_is_shown_with_its_log(host: sn.Session) -> None:
    echo = host.gateways.start("echo", port=0)
    with pytest.raises(urllib.error.HTTPError):
        get(f"{echo.url}/fail")
    while not echo.log:
        pass
    view = View(host)
    assert view.row("echo", on=True)["entry"]["url"] == echo.url
    lines = view.heard.wait(lambda message: message["type"] == "lines" and message["lines"])["lines"]
    assert [line["note"] for line in lines] == ["as it should"]
    view.panel.close()


def test_a_saved_notebook_has_the_table_and_not_the_log(view: View, host: sn.Session) -> None:
    assert "No other program was served." in view.panel._static_html()
    with host.gateways.start("echo", port=0) as echo:
        get(f"{echo.url}/nodes?PatientID=Aalto")
        view.heard.wait(lambda message: message["type"] == "lines" and message["lines"])
        page = view.panel._static_html()
    assert echo.url in page
    assert "Aalto" not in page + repr(view.panel.get_state())
    assert "Aalto" not in repr(view.panel.running)


def test_without_a_slicer_nothing_is_said_to_run(host: sn.Session) -> None:
    with sn.launch() as other:
        view = View(other)
        view.row("rest", on=False)
        other._link.shutdown()
        wait_until(view.panel, lambda: view.panel._status["state"] != "live", "the end of Slicer")
    assert view.panel.running == []
    view.panel.close()
