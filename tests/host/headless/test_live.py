"""Live views at Slicer's end: who gets which frames, and when."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from slicer_notebook.host import live
from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.live import UNSEEN, LiveViews
from slicer_notebook.host.spot import spot_at
from slicer_notebook.protocol import messages


class Loop:
    """Stands in for the main thread's loop and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self._waiting.append((self.now + seconds, function))

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass, with all that is due in it."""
        end = self.now + seconds
        while True:
            due = min(self._waiting, key=lambda each: each[0], default=None)
            if due is None or due[0] > end:
                break
            self._waiting.remove(due)
            self.now = max(self.now, due[0])
            due[1]()
        self.now = end


class Looker:
    """Stands in for a notebook's connection."""

    def __init__(self, name: str, views: LiveViews) -> None:
        self.name = name
        self._views = views
        self._came = threading.Condition()
        self.frames: list[messages.Frame] = []
        self.others: list[Any] = []
        self._inputs = 0

    def send(self, message: Any) -> None:
        with self._came:
            (self.frames if isinstance(message, messages.Frame) else self.others).append(message)
            self._came.notify_all()

    def wait(self, index: int) -> messages.Frame:
        """The frame of this number. Two threads make them: a later one may come first."""

        def found() -> messages.Frame | None:
            return next((frame for frame in self.frames if frame.index == index), None)

        with self._came:
            assert self._came.wait_for(lambda: found() is not None, 20), f"{len(self.frames)} frames"
            frame = found()
        assert frame is not None
        return frame

    def newest(self) -> messages.Frame:
        """The last frame that was sent."""
        return self.wait(self._views._watchers[self.name, 1].index)

    def until_still(self, loop: Loop) -> messages.Frame:
        """The picture without loss, all before it confirmed."""
        for _ in range(10):
            loop.run(1)
            frame = self.newest()
            self.seen(frame)
            if frame.lossless:
                return frame
        raise AssertionError("It never came.")

    def watch(self, view: str = "Red", **how: Any) -> None:
        self._views.watch(self, messages.Watch(stream=1, view=view, **how))  # type: ignore[arg-type]

    def seen(self, frame: messages.Frame) -> None:
        self._views.seen(self, messages.Seen(stream=1, index=frame.index))  # type: ignore[arg-type]

    def input(self, **event: Any) -> None:
        self._inputs += 1
        event = {"x": 0.5, "y": 0.5, "buttons": [], "modifiers": [], **event}
        self._views.input(self, messages.Input(stream=1, number=self._inputs, events=[event]))  # type: ignore[arg-type]


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    found = Loop()
    monkeypatch.setattr(live.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def views(host: HeadlessHost, volume: Any, loop: Loop) -> Iterator[LiveViews]:
    before = list(host.application.dirty_callbacks)
    yield LiveViews(host, loop.later)
    host.application.dirty_callbacks[:] = before


def pixels(frame: messages.Frame) -> Any:
    return np.asarray(Image.open(io.BytesIO(frame.data)).convert("RGB"))


def test_the_first_frame_is_the_views_picture_without_loss(host: HeadlessHost, views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch(size=(200, 150))
    loop.run()
    frame = looker.wait(1)
    assert (frame.lossless, frame.mime, frame.size) == (True, "image/png", (200, 150))
    assert np.array_equal(pixels(frame), host.view("Red").image())


def test_nothing_is_sent_while_nothing_changes(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.seen(looker.wait(1))
    loop.run(60)
    assert len(looker.frames) == 1


def test_while_it_moves_frames_are_small_and_then_the_still_one_follows(
    host: HeadlessHost, views: LiveViews, loop: Loop
) -> None:
    looker = Looker("a", views)
    looker.watch(size=(256, 256))
    loop.run()
    looker.seen(looker.wait(1))
    loop.run(5)
    for number in range(3):
        looker.input(type="wheel", notches=-1)
        loop.run(0.02)
        moving = looker.wait(2 + number)
        assert (moving.lossless, moving.mime, moving.input) == (False, "image/jpeg", number + 1)
        looker.seen(moving)
    assert np.abs(pixels(moving).astype(int) - host.view("Red").image()).mean() < 4
    loop.run(1)
    still = looker.wait(5)
    assert still.lossless
    assert np.array_equal(pixels(still), host.view("Red").image())
    looker.seen(still)
    loop.run(5)
    assert len(looker.frames) == 5


def test_no_more_than_two_are_on_their_way_and_the_newest_state_wins(
    host: HeadlessHost, views: LiveViews, loop: Loop
) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.seen(looker.wait(1))
    loop.run(5)
    for _ in range(10):
        looker.input(type="wheel", notches=-1)
        loop.run(0.02)
    looker.seen(looker.wait(1 + UNSEEN))
    assert len(looker.frames) == 1 + UNSEEN
    loop.run(0.02)
    # The state of now, not the eight that nobody had time for.
    assert looker.wait(4).input == 10
    looker.seen(looker.frames[-1])
    loop.run(1)
    assert np.array_equal(pixels(looker.wait(5)), host.view("Red").image())


def test_each_input_is_answered_at_once_also_when_nothing_is_seen_of_it(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    looker.input(type="pointer_move")
    looker.input(type="nonsense")
    looker.input(type="wheel")
    took = looker.others
    assert [each.number for each in took] == [1, 2, 3]
    assert [bool(each.error) for each in took] == [False, False, True]


def test_somebody_slow_slows_nobody_else(views: LiveViews, loop: Loop) -> None:
    quick, slow = Looker("quick", views), Looker("slow", views)
    quick.watch()
    slow.watch()
    loop.run()
    quick.seen(quick.wait(1))
    slow.wait(1)
    loop.run(1)
    for number in range(20):
        quick.input(type="wheel", notches=-1 if number % 2 else 1)
        loop.run(0.02)
        quick.seen(quick.wait(2 + number))
    assert slow.wait(UNSEEN)
    assert len(slow.frames) == UNSEEN
    # When it speaks again, it has what is so now, and then both have it without loss.
    slow.seen(slow.frames[-1])
    assert slow.until_still(loop).data == quick.until_still(loop).data


def test_what_several_look_at_is_drawn_once(
    host: HeadlessHost, views: LiveViews, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookers = [Looker(str(number), views) for number in range(3)]
    for looker in lookers:
        looker.watch()
    view = host.view("Red")
    drawn, image = [], view.image
    monkeypatch.setattr(view, "image", lambda *size: drawn.append(1) or image(*size))
    loop.run()
    assert len({looker.wait(1).data for looker in lookers}) == 1
    assert len(drawn) == 1


def test_frames_that_were_lost_are_sent_again_but_not_to_nobody(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.wait(1)
    loop.run(1)
    looker.input(type="wheel", notches=1)
    loop.run(0.02)
    looker.wait(2)
    loop.run(live.LOST_AFTER + 0.1)
    looker.wait(3)
    loop.run(60)
    sent = len(looker.frames)
    assert sent < 10
    for _ in range(5):
        views._dirty("Red")
        loop.run(20)
    assert len(looker.frames) == sent, "nobody is there"
    looker.watch(again=True)
    loop.run(0.02)
    assert looker.wait(sent + 1).lossless


def test_who_has_seen_all_may_be_silent_for_long(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.seen(looker.wait(1))
    loop.run(3600)
    views._dirty("Red")
    loop.run()
    looker.wait(2)


def test_a_slow_link_gets_smaller_frames_and_a_quick_one_large_ones_again(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch(size=(256, 256))
    loop.run()
    looker.seen(looker.wait(1))

    def move(seconds: float) -> messages.Frame:
        looker.input(type="wheel", notches=-1 if len(looker.frames) % 2 else 1)
        loop.run(0.01)
        frame = looker.wait(len(looker.frames) + (0 if looker.frames[-1].input == looker._inputs else 1))
        loop.run(seconds)
        looker.seen(frame)
        return frame

    loop.run(1)
    first = move(0.2)
    for _ in range(8):
        last = move(0.2)
    assert len(last.data) < len(first.data) / 3
    assert pixels(last).shape[0] < 256
    assert last.size == (256, 256)
    for _ in range(100):
        last = move(0.01)
    assert pixels(last).shape[0] == 256


def test_a_link_so_slow_that_frames_count_as_lost_gets_smaller_ones_too(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.seen(looker.wait(1))
    loop.run(1)
    for arrived in range(2, 8):
        # It moves all the time; a frame is on its way for longer than what counts as lost.
        for number in range(30):
            looker.input(type="wheel", notches=-1 if number % 2 else 1)
            loop.run(live.LOST_AFTER / 20)
        looker.seen(looker.wait(arrived))
    assert views._watchers["a", 1].level == len(live._LEVELS) - 1


def test_a_paused_one_gets_nothing_until_it_looks_again(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    loop.run()
    looker.seen(looker.wait(1))
    looker.watch(paused=True)
    views._dirty("Red")
    loop.run(5)
    assert len(looker.frames) == 1
    looker.watch(paused=False)
    loop.run()
    looker.wait(2)


def test_the_view_is_as_large_as_for_the_one_who_uses_it(host: HeadlessHost, views: LiveViews, loop: Loop) -> None:
    large, small = Looker("large", views), Looker("small", views)
    large.watch(size=(400, 300))
    small.watch(size=(100, 100))
    assert host.view("Red").size == (100, 100)
    large.input(type="pointer_move")
    assert host.view("Red").size == (400, 300)
    small.watch(size=(2, 10**6))
    assert host.view("Red").size == (live.MIN_EDGE, live.MAX_EDGE)


def test_a_view_that_is_not_there_is_refused_by_name(views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch(view="Purple")
    (refused,) = looker.others
    assert isinstance(refused, messages.Unwatched)
    assert refused.error.type == "ViewNotFoundError"
    assert "Purple" in refused.error.message


def test_a_layout_without_the_view_ends_its_stream(host: HeadlessHost, views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch(view="Green")
    loop.run()
    looker.seen(looker.wait(1))
    host.layout = "OneUpRedSlice"
    views._dirty("Green")
    loop.run(1)
    assert [type(each) for each in looker.others] == [messages.Unwatched]
    host.layout = "FourUp"
    # A new stream, which counts anew.
    looker.frames.clear()
    looker.watch(view="Green")
    loop.run(1)
    looker.wait(1)


def test_who_is_gone_lets_go_of_the_mouse(host: HeadlessHost, views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    mode = host.application.logic.GetInteractionNode()
    looker.input(type="pointer_down", button=1, buttons=[1])
    assert mode.GetCurrentInteractionMode() == mode.AdjustWindowLevel
    views.gone(looker)  # type: ignore[arg-type]
    assert mode.GetCurrentInteractionMode() == mode.ViewTransform
    sent = len(looker.frames)
    views._dirty("Red")
    loop.run(5)
    assert len(looker.frames) == sent


def test_place_mode_is_not_turned_into_windowing(host: HeadlessHost, views: LiveViews, loop: Loop) -> None:
    looker = Looker("a", views)
    looker.watch()
    mode = host.application.logic.GetInteractionNode()
    mode.SetCurrentInteractionMode(mode.Place)
    looker.input(type="pointer_down", button=1, buttons=[1])
    assert mode.GetCurrentInteractionMode() == mode.Place
    looker.input(type="pointer_up", button=1)
    mode.SetCurrentInteractionMode(mode.ViewTransform)


def test_what_is_under_the_pointer_comes_with_the_picture_or_else_with_the_answer(
    host: HeadlessHost, views: LiveViews, loop: Loop, array: Any
) -> None:
    looker, other = Looker("a", views), Looker("b", views)
    looker.watch(size=(200, 200))
    other.watch()
    loop.run()
    assert looker.wait(1).spot is None
    looker.until_still(loop)
    other.until_still(loop)
    looker.input(type="pointer_move", x=0.4, y=0.5)
    said = looker.others[-1].spot
    assert said == spot_at(host.view("Red"), (80, 99))
    assert said.volumes[0].value
    # Another slice, by whomever: what was said is true no more, and the picture tells anew.
    host.view("Red").offset += 4
    loop.run(0.02)
    now = looker.newest().spot
    assert now.ras[2] == said.ras[2] + 4
    assert int(now.volumes[0].value) == int(said.volumes[0].value) + 2 * 3
    assert other.newest().spot is None, "their pointer is elsewhere"
    # A turn of the wheel changes the picture: the answer says nothing of it.
    looker.until_still(loop)
    looker.input(type="wheel", x=0.4, y=0.5, notches=-1)
    assert looker.others[-1].spot is msgspec.UNSET
    loop.run(0.02)
    assert looker.newest().spot.ras[2] == now.ras[2] + 2
    looker.until_still(loop)
    looker.input(type="pointer_leave", x=0.0, y=0.5)
    assert looker.others[-1].spot is None
