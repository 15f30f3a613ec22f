"""The table of segments: what its browser hears and says, what Slicer has then, what a saved notebook keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Segmentation
from tests.widgets.waiting import Recorder, wait_until

AFFINE = np.diag([-0.7, -0.8, 2.0, 1.0])


class View:
    """A table, and what its browser hears and says."""

    def __init__(self, *args: Any, **how: Any) -> None:
        self.table = sn.SegmentTable(*args, **how)
        self.table._greeted = True
        self.heard = Recorder(self.table)
        self.say("hello")

    def say(self, message: str, **words: Any) -> None:
        self.table._handle_custom_msg({"type": message, **words}, [])

    def row(self, key: str, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """A segment's row when it is so; waits for it."""

        def find(message: dict[str, Any]) -> dict[str, Any] | None:
            rows = message.get("rows", [])
            return next((row for row in rows if row["id"] == key and fits(row)), None)

        found = find(self.heard.wait(lambda message: find(message) is not None))
        assert found is not None
        return found

    def until(self, order: list[str]) -> dict[str, Any]:
        return self.heard.wait(lambda message: message.get("order") == order)


@pytest.fixture
def volume(slicer: sn.Session) -> sn.Volume:
    k, j, i = np.mgrid[:6, :10, :12]
    return slicer.add_volume((i + 10 * j + 100 * k).astype(np.int16), AFFINE, "ct")


@pytest.fixture
def segmentation(slicer: sn.Session, volume: sn.Volume) -> Segmentation:
    labels = np.zeros((6, 10, 12), np.uint8)
    labels[1:3, 2:5, 3:6] = 1
    labels[4:, 6:] = 2
    return slicer.add_segmentation(
        labels, reference=volume, names=["liver", "<b>spleen</b>"], colors={1: (1, 0.5, 0)}, name="organs"
    )


@pytest.fixture
def view(segmentation: Segmentation) -> Iterator[View]:
    found = View(segmentation)
    yield found
    found.table.close()


@pytest.fixture
def ids(segmentation: Segmentation) -> list[str]:
    return [each.id for each in segmentation.segments]


def test_a_new_view_is_told_all_of_it(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    segmentation["liver"].terminology = "Liver"
    message = view.heard.of("all")[0]
    assert (message["name"], message["visible"], message["order"], message["selected"]) == ("organs", True, ids, None)
    assert message["rows"][0] == {
        "id": ids[0], "name": "liver", "color": "#ff8000", "visible": True, "opacity": 1.0, "term": "Tissue",
    }  # fmt: skip
    assert message["rows"][1]["name"] == "<b>spleen</b>"
    assert view.row(ids[0], lambda row: row["term"] == "Liver")
    # Nothing of it is in a trait, which the notebook would save.
    state = {key: value for key, value in view.table.get_state().items() if key not in ("_esm", "_css")}
    assert "liver" not in repr(state)


def test_it_follows_whoever_changes_segments(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    liver, spleen = segmentation.segments
    liver.name = "Leber"
    assert view.row(ids[0], lambda row: row["name"] == "Leber")
    liver.color = (0, 0, 1)
    assert view.row(ids[0], lambda row: row["color"] == "#0000ff")
    spleen.visible = False
    assert view.row(ids[1], lambda row: not row["visible"])
    spleen.opacity = 0.5
    assert view.row(ids[1], lambda row: row["opacity"] == 0.5)
    spleen.move(0)
    view.until(ids[::-1])
    new = segmentation.add("new")
    assert view.until([*ids[::-1], new.id])
    assert view.row(new.id)["name"] == "new"
    liver.remove()
    view.until([ids[1], new.id])
    segmentation.visible = False
    view.heard.wait(lambda message: message.get("visible") is False and message["type"] == "news")
    view.table._session.clear()
    view.heard.wait(lambda message: message["type"] == "gone")


def test_only_rows_that_are_others_are_told(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    view.heard.messages.clear()
    segmentation["liver"].name = "other"
    view.row(ids[0], lambda row: row["name"] == "other")
    assert all(row["id"] == ids[0] for message in view.heard.of("news") for row in message["rows"])


def test_the_person_changes_segments(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    view.say("visible", id=ids[0], visible=False)
    view.say("color", id=ids[0], color="#00ff00")
    view.say("opacity", id=ids[0], opacity=0.25)
    view.say("rename", id=ids[0], name="  & liver")
    assert view.row(
        ids[0],
        lambda row: (
            (row["name"], row["color"], row["opacity"], row["visible"]) == ("  & liver", "#00ff00", 0.25, False)
        ),
    )
    liver = segmentation.segments[0]
    assert (liver.color, liver.opacity_3d, liver.visible) == ((0, 1, 0), 0.25, False)
    view.say("move", id=ids[0], index=1)
    view.until(ids[::-1])
    assert [each.id for each in segmentation.segments] == ids[::-1]
    view.say("show_all", visible=False)
    view.heard.wait(lambda message: message["type"] == "news" and message["visible"] is False)
    assert not segmentation.visible
    view.say("remove", id=ids[1])
    view.until([ids[0]])
    assert len(segmentation.segments) == 1


def test_of_many_wishes_the_newest_counts(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    asked: list[float] = []
    ask = view.table._ask

    def counting(command: str, then: Any, **args: Any) -> Any:
        if command == "segmentation.change_segment":
            asked.append(args["opacity"])
        return ask(command, then, **args)

    view.table._ask = counting  # type: ignore[method-assign]
    for percent in range(1, 101):
        view.say("opacity", id=ids[0], opacity=percent / 200)
    view.row(ids[0], lambda row: row["opacity"] == 0.5)
    assert segmentation.segments[0].opacity == 0.5
    assert asked[-1] == 0.5
    assert len(asked) < 100


def test_what_does_not_fit_is_said(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    for message in (
        {"message": "color", "color": "red"},
        {"message": "rename", "name": " "},
        {"message": "opacity", "opacity": 2},
        {"message": "move", "index": 9},
    ):
        view.heard.messages.clear()
        view.say(**message, id=ids[0])
        assert view.heard.wait(lambda told: told["type"] == "trouble")["message"]
    # After a refusal all is told again: what the browser shows already was not done.
    assert view.row(ids[0])["name"] == "liver"
    view.say("rename", id="no such segment", name="x")
    view.heard.wait(lambda told: told["type"] == "gone" or "no such segment" in str(told.get("message")))
    assert segmentation.segments.names == ["liver", "<b>spleen</b>"]


def test_a_segment_is_chosen(view: View, segmentation: Segmentation, ids: list[str]) -> None:
    seen: list[str | None] = []
    view.table.observe(lambda change: seen.append(change["new"]), names=["selected"])
    view.say("select", id=ids[1])
    wait_until(view.table, lambda: view.table.selected == ids[1], "the person's choice")
    view.table.selected = ids[0]
    assert view.heard.wait(lambda message: message["type"] == "selected" and message["id"] == ids[0])
    segmentation.segments[0].remove()
    wait_until(view.table, lambda: view.table.selected is None, "the end of what was chosen")
    view.say("add")
    wait_until(view.table, lambda: view.table.selected is not None, "the choice of the new one")
    assert view.table.selected == segmentation.segments[-1].id
    assert segmentation.segments.names == ["<b>spleen</b>", "Segment"]
    assert seen == [ids[1], ids[0], None, segmentation.segments[-1].id]


def test_voxels_and_volumes_until_voxels_change(segmentation: Segmentation, volume: sn.Volume, ids: list[str]) -> None:
    view = View(segmentation, volume)
    view.say("measure")
    values = view.heard.wait(lambda message: bool(message["type"] == "measures" and message["values"]))["values"]
    assert values[ids[0]]["voxels"] == values[ids[0]]["sampled"] == 18
    assert np.isclose(values[ids[0]]["volume_mm3"], 18 * 0.7 * 0.8 * 2)
    assert values[ids[0]]["mean"] == 4 + 10 * 3 + 100 * 1.5
    assert [message["now"] for message in view.heard.of("measuring")] == [True, False]
    page = view.table._static_html()
    assert "18" in page
    assert "&lt;b&gt;spleen" in page
    # A name says nothing of voxels.
    segmentation["liver"].name = "other"
    view.row(ids[0], lambda row: row["name"] == "other")
    assert view.table._measures.keys() == set(ids)
    view.heard.messages.clear()
    segmentation["other"].set_mask(np.ones((6, 10, 12), bool))
    gone = view.heard.wait(lambda message: message["type"] == "measures")
    assert gone["values"][ids[0]] is None
    empty = segmentation.add("nothing")
    view.say("measure")
    last = view.heard.wait(lambda message: message["type"] == "measures" and empty.id in message["values"])
    assert last["values"][empty.id]["mean"] is None
    view.table.close()


def test_a_saved_notebook_keeps_the_table(view: View, segmentation: Segmentation) -> None:
    page = view.table._static_html()
    for text in ("organs", "liver", "&lt;b&gt;spleen&lt;/b&gt;", "#ff8000", "Tissue"):
        assert text in page
    strict = sn.SegmentTable(segmentation, privacy="strict")
    page = strict._static_html()
    assert "2 segments" in page
    assert "liver" not in page
    strict.close()


def test_two_hundred_segments(slicer: sn.Session, volume: sn.Volume) -> None:
    labels = np.zeros((6, 10, 12), np.uint8)
    labels.reshape(-1)[:200] = np.arange(1, 201)
    segmentation = slicer.add_segmentation(labels, reference=volume)
    before = time.monotonic()
    view = View(segmentation)
    assert len(view.heard.of("all")[0]["rows"]) == 200
    assert time.monotonic() - before < 1.0
    last = segmentation.segments[199]
    times = []
    for number in range(10):
        name = f"name {number}"
        begin = time.monotonic()
        last.name = name
        view.row(last.id, lambda row, name=name: row["name"] == name)  # type: ignore[misc]
        times.append(time.monotonic() - begin)
    # 50 ms until the event is sent, and at most 100 from there; on a machine that has other things to do, half of them.
    assert sorted(times)[5] < 0.15, times
    view.table.close()


def test_other_things_are_refused(slicer: sn.Session, segmentation: Segmentation, volume: sn.Volume) -> None:
    with pytest.raises(ArgumentError, match="no segments"):
        sn.SegmentTable(volume)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no voxels"):
        sn.SegmentTable(segmentation, segmentation)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="privacy"):
        sn.SegmentTable(segmentation, privacy="some")
