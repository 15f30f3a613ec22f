"""The live table of OpenIGTLink devices: what the browser is told, and what a saved notebook keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.errors import ArgumentError
from tests.commands.connecting import Program, program
from tests.igtl.examples import MATRIX
from tests.widgets.waiting import Recorder


@pytest.fixture
def other(slicer: sn.Session) -> Iterator[Program]:
    with program(slicer) as made:
        yield made


class View:
    """A table, and what its browser hears and says."""

    def __init__(self, *args: Any, **how: Any) -> None:
        self.table = sn.IgtlDevices(*args, **how)
        self.table._greeted = True
        self.heard = Recorder(self.table)
        self.say("hello")

    def say(self, message: str, **words: Any) -> None:
        self.table._handle_custom_msg({"type": message, **words}, [])

    def device(self, name: str, fits: Any = lambda _: True) -> dict[str, Any]:
        """A device when it is so; waits for it."""

        def find(message: dict[str, Any]) -> dict[str, Any] | None:
            rows = message.get("devices", [])
            return next((row for row in rows if row["device"] == name and fits(row)), None)

        found = find(self.heard.wait(lambda message: find(message) is not None))
        assert found is not None
        return found

    def connection(self, fits: Any) -> dict[str, Any]:
        def find(message: dict[str, Any]) -> dict[str, Any] | None:
            return next((row for row in message.get("connections", []) if fits(row)), None)

        found = find(self.heard.wait(lambda message: find(message) is not None))
        assert found is not None
        return found


@pytest.fixture
def view(other: Program, slicer: sn.Session) -> Iterator[View]:
    found = View(slicer, other.connection)
    yield found
    found.table.close()


def test_a_device_is_told_with_its_rate_and_node(view: View, other: Program) -> None:
    for x in range(20):
        matrix = np.eye(4)
        matrix[0, 3] = x
        other.server.send(igtl.of_content(igtl.Transform(matrix), "Needle"))
    row = view.device("Needle", lambda each: each["count"] == 20 and each["node"])
    assert (row["type"], row["direction"], row["node"], row["last"]) == (
        "TRANSFORM", "in", "Needle", "at 19.0, 0.0, 0.0 mm",
    )  # fmt: skip
    assert view.device("Needle", lambda each: each["rate"] > 0)["rate"] > 0
    # It stands still at last.
    view.device("Needle", lambda each: each["rate"] == 0 and each["count"] == 20)


def test_problems_are_told_of_the_device_and_of_the_connection(view: View, other: Program) -> None:
    other.server.send(igtl.of_content(igtl.Transform(np.zeros((4, 4))), "Broken"))
    assert "matrix" in view.device("Broken", lambda each: each["problems"])["problem"]
    told = view.connection(lambda each: each["problems"])
    assert "Broken" in told["problems"][-1]["text"]


def test_a_new_view_is_told_all_of_it(view: View, other: Program) -> None:
    other.server.send(igtl.of_content(igtl.Transform(MATRIX), "Needle"))
    view.device("Needle")
    view.heard.messages.clear()
    view.say("hello")
    [message] = view.heard.of("all")
    assert [row["device"] for row in message["devices"]] == ["Needle"]
    assert [row["id"] for row in message["connections"]] == [other.connection.id]


def test_it_shows_one_connection_or_all(view: View, other: Program, slicer: sn.Session) -> None:
    with program(slicer) as second:
        everything = View(slicer)
        second.server.send(igtl.of_content(igtl.Transform(MATRIX), "Elsewhere"))
        everything.device("Elsewhere")
        other.server.send(igtl.of_content(igtl.Transform(MATRIX), "Here"))
        everything.device("Here")
        view.device("Here")
        assert not any(r["device"] == "Elsewhere" for m, _ in view.heard.messages for r in m.get("devices", []))
        everything.table.close()


def test_the_person_ends_a_connection(view: View, other: Program) -> None:
    view.say("disconnect", id=other.connection.id)
    view.connection(lambda each: each["state"] == "closed")
    assert other.connection.state == "closed"


def test_a_saved_notebook_keeps_a_table(view: View, other: Program, slicer: sn.Session) -> None:
    other.server.send(igtl.of_content(igtl.String("Anna <b> is well"), "Text"))
    view.device("Text", lambda each: each["node"])
    page = view.table._repr_mimebundle_()[0]["text/html"]
    assert "Anna &lt;b&gt; is well" in page
    assert other.connection.peer in page
    # Nothing of it is in a trait, which the notebook would save.
    state = {key: value for key, value in view.table.get_state().items() if key not in ("_esm", "_css")}
    assert "Anna" not in repr(state)
    strict = View(slicer, other.connection.id, privacy="strict")
    strict.device("Text", lambda each: each["node"])
    page = strict.table._repr_mimebundle_()[0]["text/html"]
    assert "Anna" not in page
    assert "Text" in page
    strict.table.close()


def test_nobody_there_is_said(slicer: sn.Session) -> None:
    table = sn.IgtlDevices(slicer, 10_000)
    assert "Nobody was connected" in table._repr_mimebundle_()[0]["text/html"]
    table.close()
    with pytest.raises(ArgumentError, match="privacy"):
        sn.IgtlDevices(slicer, privacy="some")
