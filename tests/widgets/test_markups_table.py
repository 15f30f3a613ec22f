"""The table of markups: what the browser is told, and when; what it asks for; what a saved notebook keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, ItemNotFoundError
from slicer_notebook.session import Markups
from tests.widgets.waiting import Recorder, wait_until

POINTS = np.array([[1.0, 2.0, 3.5], [-40.0, 5.25, 6.0], [7.0, -80.0, 9.0]])


class Browser:
    """A table, and what its browser hears and says."""

    def __init__(self, markups: Markups, **how: Any) -> None:
        self.table = sn.MarkupsTable(markups, **how)
        self.table._greeted = True
        self.heard = Recorder(self.table)
        self.say("hello")
        [self.first] = self.heard.of("all")

    def say(self, message: str, **words: Any) -> None:
        self.table._handle_custom_msg({"type": message, **words}, [])

    def row(self, index: int, fits: Any) -> list[Any]:
        """A row when it is so; waits for it."""

        def find(message: dict[str, Any]) -> list[Any] | None:
            if message["type"] == "all":
                return next((row for i, row in enumerate(message["rows"]) if i == index and fits(row)), None)
            if message["type"] == "news":
                return next((row for i, row in message["rows"] if i == index and fits(row)), None)
            return None

        found = find(self.heard.wait(lambda message: find(message) is not None))
        assert found is not None
        return found

    def head(self, fits: Any) -> dict[str, Any]:
        return self.heard.wait(lambda message: message["type"] in ("all", "news") and fits(message["head"]))["head"]


@pytest.fixture
def points(slicer: sn.Session) -> Markups:
    return slicer.add_markups(POINTS, "landmarks", ["nose", "ear", "<b>chin</b>"])


@pytest.fixture
def browser(points: Markups) -> Iterator[Browser]:
    found = Browser(points)
    yield found
    found.table.close()
    points.end_place()


def test_a_new_view_is_told_all_of_it(browser: Browser, points: Markups) -> None:
    rows = browser.first["rows"]
    assert [row[1] for row in rows] == ["nose", "ear", "<b>chin</b>"]
    np.testing.assert_allclose([row[2] for row in rows], POINTS)
    assert [row[4:] for row in rows] == [[True, False]] * 3
    head = browser.first["head"]
    assert (head["name"], head["kind"], head["count"], head["most"]) == ("landmarks", "points", 3, -1)
    # Nothing of it is in a trait, which the notebook would save.
    state = {key: value for key, value in browser.table.get_state().items() if key not in ("_esm", "_css")}
    assert "nose" not in repr(state)
    assert "landmarks" not in repr(state)


def test_what_is_changed_elsewhere_is_told_row_by_row(browser: Browser, points: Markups) -> None:
    points.edit(1, position=(9, 8, 7))
    assert browser.row(1, lambda row: row[2] == [9, 8, 7])
    [news] = [each for each in browser.heard.of("news") if each["rows"]]
    assert [index for index, _ in news["rows"]] == [1]
    points.edit(0, label="tip", locked=True, visible=False)
    assert browser.row(0, lambda row: row[1] == "tip")[4:] == [False, True]
    points.remove_point(0)
    browser.row(0, lambda row: row[1] == "ear")
    points.add((0, 0, 1), "new")
    browser.row(2, lambda row: row[1] == "new")


def test_a_transform_above_moves_the_rows(browser: Browser, points: Markups, slicer: sn.Session) -> None:
    shift = np.eye(4)
    transform = slicer.add_transform(shift)
    transform.apply(points)
    shift[:3, 3] = (100, 0, 0)
    transform.matrix = shift
    browser.row(0, lambda row: row[2] == [101, 2, 3.5])


def test_it_follows_soon_and_a_burst_is_no_flood(browser: Browser, points: Markups, slicer: sn.Session) -> None:
    """Of 240 moves, the last is told soon, and not each of the others."""
    browser.heard.messages.clear()
    slicer.run(
        "import time\n"
        f"node = slicer.mrmlScene.GetNodeByID({points.id!r})\n"
        "for n in range(200):\n"
        "    node.SetNthControlPointPosition(0, n, 0, 0)\n"
    )
    for n in range(40):
        points.edit(0, position=(1000 + n, 0, 0))
    began = time.monotonic()
    browser.row(0, lambda row: row[2] == [1039, 0, 0])
    # It takes 80 ms on a quiet machine, of which 50 are the event's own.
    assert time.monotonic() - began < 2.0
    assert len(browser.heard.messages) < 60


def test_edits_reach_slicer(browser: Browser, points: Markups) -> None:
    ids = [row[0] for row in browser.first["rows"]]
    browser.say("edit", id=ids[1], axis=2, value=-12.5)
    browser.row(1, lambda row: row[2] == [-40, 5.25, -12.5])
    browser.say("edit", id=ids[1], label="left ear")
    browser.row(1, lambda row: row[1] == "left ear")
    browser.say("edit", id=ids[2], visible=False)
    browser.row(2, lambda row: row[4] is False)
    browser.say("edit", id=ids[2], locked=True)
    browser.row(2, lambda row: row[5] is True)
    browser.say("remove", id=ids[0])
    browser.row(0, lambda row: row[1] == "left ear")
    frame = points.to_dataframe()
    assert frame.label.tolist() == ["left ear", "<b>chin</b>"]
    assert frame.s.tolist() == [-12.5, 9]
    assert (frame.visible.tolist(), frame.locked.tolist()) == ([True, False], [False, True])


def test_what_cannot_be_done_is_told(browser: Browser, points: Markups) -> None:
    browser.say("edit", id="no such", label="x")
    trouble = browser.heard.wait(lambda message: message["type"] == "trouble")
    assert "no such point" in trouble["message"]
    browser.say("edit", id=browser.first["rows"][0][0], axis=0, value="wide")
    browser.heard.wait(lambda message: message["type"] == "trouble" and message is not trouble)
    np.testing.assert_allclose(points.points, POINTS)


def test_a_jump_moves_the_slices(browser: Browser, slicer: sn.Session) -> None:
    browser.say("jump", id=browser.first["rows"][2][0])
    browser.say("edit", id=browser.first["rows"][2][0], label="seen")
    browser.row(2, lambda row: row[1] == "seen")  # one wish after the other
    assert slicer.view("Red").offset == 9
    assert slicer.view("Green").offset == -80


def test_placing_is_toggled_and_followed(browser: Browser, points: Markups) -> None:
    assert browser.table.placing is False
    browser.say("place", on=True)
    wait_until(browser.table, lambda: browser.table.placing, "placing")
    assert points.placing
    browser.head(lambda head: head["placing"])
    browser.heard.messages.clear()
    points.end_place()
    browser.head(lambda head: not head["placing"])
    wait_until(browser.table, lambda: not browser.table.placing, "no more placing")
    browser.heard.messages.clear()
    points.place()
    browser.head(lambda head: head["placing"])
    browser.say("place", on=False)
    wait_until(browser.table, lambda: not browser.table.placing, "no more placing")
    assert not points.placing


def test_all_of_it_is_hidden_locked_measured(browser: Browser, points: Markups, slicer: sn.Session) -> None:
    browser.say("display", visible=False)
    browser.head(lambda head: not head["visible"])
    browser.say("display", locked=True)
    browser.head(lambda head: head["locked"])
    assert (points.visible, points.locked) == (False, True)
    curve = Browser(slicer.add_curve(POINTS))
    assert (curve.first["head"]["measurements"], curve.first["head"]["measures_more"]) == ([], True)
    curve.say("measure")
    head = curve.head(lambda head: head["measurements"])
    assert "length" in dict(head["measurements"])
    assert head["measures_more"] is False
    curve.table.close()


def test_the_selected_row(browser: Browser, points: Markups) -> None:
    table = browser.table
    browser.say("select", index=2)
    wait_until(table, lambda: table.selected == 2, "selected")
    # The same point, wherever it is.
    points.remove_point(0)
    wait_until(table, lambda: table.selected == 1, "the point's new row")
    table.selected = 0
    assert browser.heard.of("select")[-1]["index"] == 0
    with pytest.raises(ItemNotFoundError, match="0 to 1"):
        table.selected = 2
    assert table.selected == 0
    points.remove_point(0)
    wait_until(table, lambda: table.selected is None, "nothing selected")


def test_markups_that_go(browser: Browser, points: Markups) -> None:
    points.remove()
    browser.heard.wait(lambda message: message["type"] == "gone")
    browser.heard.messages.clear()
    browser.say("hello")
    browser.heard.wait(lambda message: message["type"] == "gone")


def test_a_thousand_points_are_told_at_once(slicer: sn.Session) -> None:
    positions = np.random.default_rng(2).uniform(-100, 100, (1000, 3))
    points = slicer.add_markups(positions, "many")
    began = time.monotonic()
    many = Browser(points)
    assert time.monotonic() - began < 1.0
    assert len(many.first["rows"]) == 1000
    many.heard.messages.clear()
    points.edit(500, position=(1, 2, 3))
    many.row(500, lambda row: row[2] == [1, 2, 3])
    assert sum(len(each["rows"]) for each in many.heard.of("news")) == 1
    many.table.close()


def test_a_saved_notebook_keeps_a_table(browser: Browser, points: Markups) -> None:
    page = browser.table._repr_mimebundle_()[0]["text/html"]
    assert "&lt;b&gt;chin&lt;/b&gt;" in page
    assert "-80.00" in page
    strict = Browser(points, privacy="strict")
    page = strict.table._repr_mimebundle_()[0]["text/html"]
    assert "nose" not in page
    assert "landmarks" not in page
    assert "-80.00" in page
    strict.table.close()


def test_what_is_no_markup_is_refused(slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="control points"):
        sn.MarkupsTable(slicer)  # type: ignore[arg-type]
