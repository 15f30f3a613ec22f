"""Live views between Slicer and several browsers: sizes, who looks, what has been seen, what is saved."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol import messages
from slicer_notebook.widgets import live
from tests.session.test_live import VIEWS_AS_BEFORE


class Stream:
    """Stands in for the stream of a view: keeps what it is told."""

    size: tuple[int, int] | None = None
    busy_for = 0.0

    def __init__(self) -> None:
        self.watched: list[dict[str, Any]] = []
        self.seen_frames: list[int] = []
        self.inputs: list[tuple[list[dict[str, Any]], int]] = []

    def watch(self, **how: Any) -> None:
        self.size = how.get("size") or self.size
        self.watched.append(how)

    def seen(self, index: int) -> None:
        self.seen_frames.append(index)

    def input(self, events: list[dict[str, Any]], seen: int = 0) -> None:
        self.inputs.append((events, seen))


@pytest.fixture
def view() -> Any:
    found = live._View(SimpleNamespace(_session=None, send=lambda *_args, **_kwargs: None), "Red")  # type: ignore[arg-type]
    found.stream = Stream()  # type: ignore[assignment]
    return found


def test_a_size_that_was_told_out_of_sight_counts_when_it_is_seen(view: Any) -> None:
    view.look("a", (300, 200), visible=False, again=False)
    assert view.stream.watched == [{"paused": True}]
    view.look("a", (300, 200), visible=True, again=False)
    assert view.stream.watched[-1] == {"size": (300, 200), "paused": False, "again": True}
    # To be seen again is no wish for a size: others may have had theirs meanwhile.
    view.look("a", (300, 200), visible=False, again=False)
    view.look("a", (300, 200), visible=True, again=False)
    assert view.stream.watched[-1] == {"size": None, "paused": False, "again": True}


def test_nothing_is_streamed_while_no_browser_shows_it(view: Any) -> None:
    view.look("a", (300, 200), visible=True, again=False)
    view.look("b", (100, 100), visible=True, again=False)
    view.look("a", None, visible=False, again=False)
    assert not view.stream.watched[-1].get("paused")
    view.look("b", None, visible=False, again=False)
    assert view.stream.watched[-1] == {"paused": True}


def test_who_uses_it_has_their_size(view: Any) -> None:
    view.look("a", (300, 200), visible=True, again=False)
    view.look("b", (100, 100), visible=True, again=False)
    assert view.stream.size == (100, 100)
    view.input("a", [{"type": "pointer_move"}], 0)
    assert view.stream.size == (300, 200)
    view.input("a", [{"type": "pointer_move"}], 0)
    assert len(view.stream.watched) == 3


def test_the_quickest_browser_confirms_but_is_not_far_ahead(view: Any) -> None:
    for who in ("quick", "slow"):
        view.look(who, (100, 100), visible=True, again=False)
    view.seen("quick", 1)
    view.seen("slow", 1)
    for index in range(2, live.BEHIND + 20):
        view.seen("quick", index)
    assert view.stream.seen_frames[-1] == 1 + live.BEHIND
    view.seen("slow", 40)
    assert view.stream.seen_frames[-1] == live.BEHIND + 19
    # One that shows it no more is not waited for.
    view.look("slow", None, visible=False, again=False)
    view.seen("quick", 500)
    assert view.stream.seen_frames[-1] == 500


def test_what_was_seen_goes_with_what_is_done(view: Any) -> None:
    view.look("a", (100, 100), visible=True, again=False)
    view.input("a", [{"type": "wheel"}], 7)
    view.input("a", [{"type": "wheel"}], 7)
    assert [seen for _, seen in view.stream.inputs] == [7, 0]
    assert view.stream.seen_frames == []


def test_what_is_under_the_pointer_is_for_the_one_whose_it_is(view: Any) -> None:
    said: list[dict[str, Any]] = []
    view.widget.send = lambda words, **_: said.append(words)
    view.stream.number = 5
    spot = messages.Spot(
        ras=(1.0, 2.0, 3.0), segments=[messages.SpotSegment(name="a", color=(1, 0, 0), segmentation="S")]
    )
    view.input("a", [{"type": "pointer_move"}], 0)
    view._took(messages.Took(stream=5, number=1, spot=spot))
    assert (said[-1]["who"], said[-1]["stream"], said[-1]["input"]) == ("a", 5, 1)
    assert said[-1]["spot"]["segments"] == [{"name": "a", "color": (1, 0, 0), "segmentation": "S"}]
    json.dumps(said[-1])
    # What was said is not said again: to another one it is news.
    view._took(messages.Took(stream=5, number=2, spot=spot))
    view._took(messages.Took(stream=5, number=2))
    assert len(said) == 1
    view.input("b", [{"type": "pointer_move"}], 0)
    view._took(messages.Took(stream=5, number=3, spot=spot))
    assert said[-1]["who"] == "b"
    # An agent of before says nothing of it.
    frame = messages.Frame(stream=5, index=1, size=(1, 1), mime="image/png", lossless=False, data=b"")
    view._frame(frame)
    assert "spot" not in said[-1]
    frame.spot = None
    view._frame(frame)
    assert (said[-1]["spot"], said[-1]["who"]) == (None, "b")


class Browser:
    """Hears what a widget says."""

    def __init__(self, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._came = threading.Condition()
        self.messages: list[tuple[dict[str, Any], Any]] = []
        monkeypatch.setattr(widget, "send", self._take)
        self._widget = widget

    def _take(self, content: dict[str, Any], buffers: Any = None) -> None:
        with self._came:
            self.messages.append((content, buffers))
            self._came.notify_all()

    def say(self, kind: str, **content: Any) -> None:
        self._widget._on_message(self._widget, {"type": kind, "who": "me", **content}, [])

    def wait(self, right: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any], Any]:
        def found() -> Any:
            return next((each for each in self.messages if right(each[0])), None)

        with self._came:
            assert self._came.wait_for(lambda: found() is not None, 20)
            return found()


@pytest.fixture
def shown(slicer: sn.Session) -> Iterator[Any]:
    k, j, i = np.mgrid[0:10, 0:20, 0:20]
    slicer.add_volume((i + 5 * j + 20 * k).astype(np.int16), name="ramp")
    widget = slicer.view("Red").show(width=200, height="50%")
    yield widget
    widget.close()
    slicer.run(VIEWS_AS_BEFORE)


def test_a_frame_comes_and_the_bar(shown: Any, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(shown, monkeypatch)
    browser.say("look", view="Red", size=[120, 80], visible=True)
    _, (png,) = browser.wait(lambda m: m["type"] == "frame" and m["lossless"] and m["size"] == (120, 80))
    assert png == slicer.call("view.png", name="Red")
    assert browser.wait(lambda m: m["type"] == "slice")[0]["state"]["name"] == "Red"
    before = slicer.view("Red").offset
    browser.say("slice", view="Red", offset=before + 1)
    browser.wait(lambda m: m["type"] == "slice" and m["state"]["offset"] == before + 1)


def test_the_saved_page_has_the_last_picture(shown: Any, slicer: sn.Session) -> None:
    page = shown._static_html()
    assert base64.b64encode(slicer.call("view.png", name="Red")).decode() in page
    assert "<script" not in page


def test_strict_privacy_saves_no_picture(slicer: sn.Session) -> None:
    widget = slicer.view("Red").show(privacy="strict")
    assert "<img" not in widget._static_html()
    widget.close()


@pytest.mark.parametrize(
    ("how", "what"), [({"width": 0}, "size"), ({"height": "tall"}, "size"), ({"width": True}, "size")]
)
def test_what_is_no_size_is_refused(slicer: sn.Session, how: dict[str, Any], what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        slicer.view("Red").show(**how)


def test_what_is_no_view_is_refused() -> None:
    with pytest.raises(ArgumentError, match="shows a view"):
        sn.LiveView("Red")  # type: ignore[arg-type]


def test_a_layout_shows_its_views_and_follows(slicer: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = slicer.show("FourUp", height=300)
    assert sorted(widget._live) == ["1", "Green", "Red", "Yellow"]
    assert sorted(widget._bars) == ["Green", "Red", "Yellow"]
    changed = threading.Event()
    widget.observe(lambda _change: changed.set(), names=["_arrangement"])
    slicer.layout = "OneUpRedSlice"
    assert changed.wait(20)
    assert list(widget._live) == ["Red"]
    widget.close()
    slicer.layout = "FourUp"
