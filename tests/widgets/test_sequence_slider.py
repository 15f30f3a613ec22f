"""A slider over a sequence: what the browser is told, what it asks for, and the traits, both ways."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from tests.session.test_sequences import made
from tests.widgets.waiting import Recorder, wait_until


class View:
    """A slider, and what its browser hears and says."""

    def __init__(self, sequence: sn.VolumeSequence, **how: Any) -> None:
        self.widget = sn.SequenceSlider(sequence, **how)
        self.widget._greeted = True
        self.heard = Recorder(self.widget)
        self.say("hello")

    def say(self, message: str, **words: Any) -> None:
        self.widget._handle_custom_msg({"type": message, **words}, [])

    def state(self, fits: Any) -> dict[str, Any]:
        return self.heard.wait(lambda message: message["type"] == "state" and fits(message))


@pytest.fixture
def sequence(slicer: sn.Session) -> sn.VolumeSequence:
    added = threading.Event()
    subscription = slicer.on("scene", lambda event: added.set() if event["added"] else None)
    found = made(slicer, [0.0, 12.5, 30.0], unit="ms", axis="echo time")
    assert added.wait(30)  # of what is removed before, nobody hears
    subscription.close()
    return found


@pytest.fixture
def view(sequence: sn.VolumeSequence) -> Iterator[View]:
    found = View(sequence)
    yield found
    found.widget.close()


def test_the_browser_is_told_the_axis_and_the_place(view: View) -> None:
    axis = view.heard.wait(lambda each: each["type"] == "axis")
    assert axis == {
        "type": "axis", "name": "series", "index_name": "echo time", "unit": "ms", "values": [0, 12.5, 30],
    }  # fmt: skip
    state = view.state(lambda each: True)
    assert (state["index"], state["count"], state["playing"], state["loop"]) == (0, 3, False, True)


def test_the_slider_moves_the_sequence(view: View, sequence: sn.VolumeSequence) -> None:
    view.say("index", index=2)
    view.state(lambda each: each["index"] == 2)
    assert sequence.index == 2
    wait_until(view.widget, lambda: view.widget.index == 2, "the trait follows")
    view.widget.index = 1
    view.state(lambda each: each["index"] == 1)
    assert sequence.index == 1
    with pytest.raises(ArgumentError, match="0 to 2"):
        view.widget.index = 3
    sequence.index = -1
    wait_until(view.widget, lambda: view.widget.index == 2, "it follows what others do")


def test_it_plays_and_stops(view: View, sequence: sn.VolumeSequence) -> None:
    view.say("play", rate=20)
    view.state(lambda each: each["rate"] == 20)
    assert not sequence.playing  # how fast is not whether
    view.say("play", playing=True)
    view.state(lambda each: each["playing"])
    seen: set[int] = set()
    view.widget.observe(lambda change: seen.add(change["new"]), names="index")
    wait_until(view.widget, lambda: len(seen) >= 2, "it moves")
    assert view.widget.playing
    view.widget.playing = False
    wait_until(view.widget, lambda: not view.widget.playing, "it stops")
    view.state(lambda each: not each["playing"] and each["rate"] == 20)
    assert not sequence.playing


def test_what_does_not_work_is_told(view: View, sequence: sn.VolumeSequence) -> None:
    view.say("play", rate=1000)
    assert "rate" in view.heard.wait(lambda each: each["type"] == "trouble")["message"]
    view.say("index", index=7)
    view.heard.wait(lambda each: each["type"] == "trouble" and "item 7" in each["message"])
    sequence.remove()
    view.heard.wait(lambda each: each["type"] == "gone")


def test_the_saved_page_says_what_is_shown(view: View, sequence: sn.VolumeSequence) -> None:
    view.say("index", index=1)
    view.state(lambda each: each["index"] == 1)
    view.heard.wait(lambda each: each["type"] == "axis")
    assert "volume 2 of 3: echo time 12.5 ms" in view.widget._static_html()
    assert "series" in view.widget._static_html()
    strict = sn.SequenceSlider(sequence, privacy="strict")
    assert "series" not in strict._static_html()
    strict.close()
    with pytest.raises(ArgumentError, match="no sequence"):
        sn.SequenceSlider(sequence.volume)  # type: ignore[arg-type]
