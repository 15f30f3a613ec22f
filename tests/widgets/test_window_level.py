"""Window and level over a histogram: what the browser is told, what it asks for, and the traits, both ways."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from tests.widgets.waiting import Recorder, wait_until


def volume_of(slicer: sn.Session, dtype: str = "int16") -> sn.Volume:
    """[20, 30, 40], 0 to 999 evenly, one voxel far outside."""
    array = (np.arange(24000) % 1000).reshape(20, 30, 40).astype(dtype)
    array[0, 0, 0] = 30000
    added = threading.Event()
    subscription = slicer.on("scene", lambda event: added.set() if event["added"] else None)
    volume = slicer.add_volume(array, None, "Chest <b>")
    volume.window_level = (400, 200)
    assert added.wait(30)  # of what is removed before, nobody hears
    subscription.close()
    return volume


class View:
    """A widget, and what its browser hears and says."""

    def __init__(self, volume: sn.Volume, **how: Any) -> None:
        self.widget = sn.WindowLevel(volume, **how)
        self.widget._greeted = True
        self.heard = Recorder(self.widget)
        self.say("hello")

    def say(self, message: str, **words: Any) -> None:
        self.widget._handle_custom_msg({"type": message, **words}, [])

    def state(self, fits: Any) -> dict[str, Any]:
        return self.heard.wait(lambda message: message["type"] == "state" and fits(message))


@pytest.fixture
def volume(slicer: sn.Session) -> sn.Volume:
    return volume_of(slicer)


@pytest.fixture
def view(volume: sn.Volume) -> Iterator[View]:
    found = View(volume)
    yield found
    found.widget.close()


def test_a_new_widget_knows_the_volume(volume: sn.Volume) -> None:
    widget = sn.WindowLevel(volume)
    assert (widget.window, widget.level, widget.threshold) == (400, 200, None)
    widget.close()
    assert volume.window_level == (400, 200)


def test_the_browser_is_told_all_of_it(view: View) -> None:
    state = view.state(lambda each: True)
    assert (state["window"], state["level"], state["threshold"], state["auto"]) == (400, 200, None, False)
    assert (state["name"], state["kind"], state["whole"], state["color_table"]) == ("Chest <b>", "scalar", True, "Grey")
    choices = view.heard.wait(lambda each: each["type"] == "choices" and "presets" in each and "tables" in each)
    assert choices["presets"]["CT-Bone"] == [1000, 400]
    assert "Iron" in choices["tables"]
    swatch = view.heard.wait(lambda each: each["type"] == "swatch" and each.get("colors"))
    assert (swatch["colors"][0], swatch["colors"][-1]) == ("#000000", "#ffffff")
    histogram = view.heard.wait(lambda each: each["type"] == "histogram")
    assert (histogram["low"], histogram["high"]) == (0, 30000)
    assert histogram["counted"] == histogram["total"] == sum(histogram["counts"]) == 24000
    # The one voxel far outside leaves the others their room.
    assert 990 < histogram["usual"][1] < 1030


def test_how_many_voxels_were_counted_is_told(slicer: sn.Session) -> None:
    volume = slicer.add_volume(np.zeros((200, 200, 201), np.float32), None, "large", show=False)
    view = View(volume)
    histogram = view.heard.wait(lambda each: each["type"] == "histogram")
    assert (histogram["counted"], histogram["total"]) == (100 * 100 * 101, 200 * 200 * 201)
    view.widget.close()


def test_what_the_person_does_is_done_in_slicer(view: View, volume: sn.Volume) -> None:
    view.say("window", window=300, level=150)
    view.state(lambda each: (each["window"], each["level"]) == (300, 150))
    assert volume.window_level == (300, 150)
    wait_until(view.widget, lambda: view.widget.window == 300, "the trait follows")
    view.say("preset", name="CT-Bone")
    view.state(lambda each: (each["window"], each["level"]) == (1000, 400))
    view.say("threshold", low=100, high=500)
    view.state(lambda each: each["threshold"] == [100, 500] or each["threshold"] == (100, 500))
    assert volume.threshold == (100, 500)
    view.say("table", name="Iron")
    view.state(lambda each: each["color_table"] == "Iron")
    view.heard.wait(lambda each: each["type"] == "swatch" and each["name"] == "Iron" and each.get("colors"))
    view.say("threshold", low=None, high=None)
    view.state(lambda each: each["threshold"] is None and each["color_table"] == "Iron")
    view.say("auto")
    view.state(lambda each: each["auto"])
    assert volume.threshold is None


def test_of_many_wishes_the_newest_wins(view: View, volume: sn.Volume) -> None:
    sent: list[str] = []
    real = view.widget._ask
    view.widget._ask = lambda command, then, **args: (sent.append(command), real(command, then, **args))[1]
    for number in range(200):
        view.say("window", window=100 + number, level=number)
    view.state(lambda each: (each["window"], each["level"]) == (299, 199))
    assert volume.window_level == (299, 199)
    # One under way and one that waits, not two hundred.
    assert sent.count("volume.set_window_level") < 150


def test_traits_may_be_set(view: View, volume: sn.Volume) -> None:
    view.widget.window = 250
    view.widget.level = 77
    view.widget.threshold = (10, 20)
    view.state(lambda each: (each["window"], each["level"]) == (250, 77) and each["threshold"] is not None)
    assert (volume.window_level, volume.threshold) == ((250, 77), (10, 20))
    view.widget.threshold = None
    view.state(lambda each: each["threshold"] is None and each["window"] == 250)
    for name, wrong in (("window", 0), ("window", -1), ("level", float("nan")), ("threshold", (2, 1))):
        with pytest.raises(ArgumentError, match="does not fit"):
            setattr(view.widget, name, wrong)
    assert (view.widget.window, view.widget.level) == (250, 77)


def test_it_follows_what_others_do_within_a_tenth_of_a_second(view: View, volume: sn.Volume) -> None:
    seen: list[tuple[Any, Any]] = []
    view.widget.observe(lambda _change: seen.append((view.widget.window, view.widget.level)), names=["window", "level"])
    took = []
    for number in range(5):
        began = time.monotonic()
        volume.window_level = (500 + number, 50 + number)
        view.state(lambda each, number=number: each["window"] == 500 + number)
        took.append(time.monotonic() - began)
    wait_until(view.widget, lambda: view.widget.window == 504, "the trait")
    # Both at once: nobody sees the new window with the former level.
    assert {level - window for window, level in seen} == {-450}
    assert sorted(took)[1] < 0.1, took


def test_new_voxels_are_counted_anew(view: View, volume: sn.Volume) -> None:
    view.heard.wait(lambda each: each["type"] == "histogram")
    volume.array = np.full((2, 3, 4), 7, np.int16)
    histogram = view.heard.wait(lambda each: each["type"] == "histogram" and each["total"] == 24)
    assert histogram["low"] < 7 < histogram["high"]


def test_what_does_not_work_is_told_and_what_is_stays(view: View, volume: sn.Volume) -> None:
    view.say("preset", name="nonsense")
    assert "nonsense" in view.heard.wait(lambda each: each["type"] == "trouble")["message"]
    view.say("window", window="wide", level=1)
    view.heard.wait(lambda each: each["type"] == "trouble" and "wide" in each["message"])
    assert volume.window_level == (400, 200)
    volume.remove()
    view.heard.wait(lambda each: each["type"] == "gone")
    view.say("window", window=10, level=1)  # nothing to be done, and nothing that breaks


def test_a_colour_volume_has_no_threshold(slicer: sn.Session) -> None:
    volume = slicer.add_volume(np.full((2, 4, 5, 3), 100, np.uint8), None, "colours")
    view = View(volume)
    assert view.state(lambda each: True)["kind"] == "colour"
    view.say("window", window=80, level=90)
    view.state(lambda each: each["window"] == 80)
    view.say("threshold", low=1, high=2)
    assert "threshold" in view.heard.wait(lambda each: each["type"] == "trouble")["message"]
    view.widget.close()


def test_what_has_none_is_refused(slicer: sn.Session) -> None:
    labels = slicer.add_volume(np.ones((2, 3, 4), np.uint8), None, "labels", labelmap=True)
    for wrong, words in ((labels, "label map"), (7, "int")):
        with pytest.raises(ArgumentError, match=words):
            sn.WindowLevel(wrong)


def test_the_saved_page_has_numbers_and_a_picture(view: View, volume: sn.Volume) -> None:
    view.heard.wait(lambda each: each["type"] == "histogram")
    page = view.widget._static_html()
    assert "Chest &lt;b&gt;" in page
    assert "window 400, level 200" in page
    assert "<svg" in page
    strict = sn.WindowLevel(volume, privacy="strict")
    assert "Chest" not in strict._static_html()
    strict.close()
    # Nothing of the volume is in what a notebook saves of widgets.
    assert "Chest" not in str(view.widget.get_state())


def test_a_closed_widget_asks_for_nothing(view: View, volume: sn.Volume) -> None:
    view.widget.close()
    asked = threading.Event()
    view.widget._ask = lambda *_args, **_how: asked.set()
    volume.window_level = (11, 12)
    other = View(volume)
    other.state(lambda each: each["window"] == 11)
    other.widget.close()
    assert not asked.is_set()
