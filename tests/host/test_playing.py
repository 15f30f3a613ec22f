"""Items of sequences come at their browser's rate: by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from slicer_notebook.host.headless import HeadlessHost, start
from slicer_notebook.host.playing import Player


class Clock:
    """Time that passes when the test says so, and what is to happen then."""

    def __init__(self) -> None:
        self.now = 100.0
        self.plans: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self.plans.append((self.now + seconds, function))

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass; ``each`` after all that happens."""
        end = self.now + seconds
        while self.plans and min(at for at, _ in self.plans) <= end:
            plan = min(self.plans, key=lambda plan: plan[0])
            self.plans.remove(plan)
            self.now = max(self.now, plan[0])
            plan[1]()
            each()
        self.now = end


@pytest.fixture
def host() -> Iterator[HeadlessHost]:
    found = start()
    found.clear()
    yield found
    found.clear()


def browser_of(host: HeadlessHost, count: int = 5) -> Any:
    builder = host.new_sequence(
        "series", index_name="time", index_unit="s", indices=[float(n) for n in range(count)],
        block=np.zeros((count, 2, 3, 4), np.int16),
    )  # fmt: skip
    for number in range(count):
        builder.append(str(number), np.eye(4), {})
    return builder.finish()[1]


def shown(clock: Clock, browser: Any, seconds: float) -> list[tuple[float, int]]:
    """(seconds, item) of each change."""
    found: list[tuple[float, int]] = []
    first = clock.now

    def look() -> None:
        item = browser.GetSelectedItemNumber()
        if not found or found[-1][1] != item:
            found.append((round(clock.now - first, 3), item))

    look()
    clock.run(seconds, look)
    return found


def test_items_come_at_the_rate(host: HeadlessHost) -> None:
    clock = Clock()
    Player(host, clock.later, lambda: clock.now)
    browser = browser_of(host)
    assert clock.plans == []  # nothing plays: no timer
    browser.SetPlaybackRateFps(4)
    browser.SetPlaybackActive(True)
    assert shown(clock, browser, 1.6) == [(0, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4), (1.25, 0), (1.5, 1)]
    browser.SetPlaybackRateFps(20)
    # Seen at the next look, 20 ms later at most.
    assert [item for _, item in shown(clock, browser, 0.29)] == [1, 2, 3, 4, 0, 1]
    browser.SetPlaybackActive(False)
    clock.run(1)
    assert clock.plans == []
    browser.SetPlaybackActive(True)
    assert len(clock.plans) == 1


def test_what_is_late_is_left_out_or_not(host: HeadlessHost) -> None:
    clock = Clock()
    Player(host, clock.later, lambda: clock.now)
    browser = browser_of(host, 9)
    browser.SetPlaybackRateFps(10)
    browser.SetPlaybackActive(True)
    clock.now += 0.45  # the main thread was at something else
    assert shown(clock, browser, 0.16) == [(0, 0), (0, 4), (0.05, 5), (0.15, 6)]
    browser.SetPlaybackItemSkippingEnabled(False)
    clock.now += 0.45
    assert shown(clock, browser, 0.25) == [(0, 6), (0, 7), (0.1, 8), (0.2, 0)]


def test_without_a_loop_it_stops_at_the_first_one_as_in_slicer(host: HeadlessHost) -> None:
    clock = Clock()
    Player(host, clock.later, lambda: clock.now)
    browser = browser_of(host, 3)
    browser.SetPlaybackRateFps(4)
    browser.SetPlaybackLooped(False)
    browser.SetPlaybackActive(True)
    assert shown(clock, browser, 2) == [(0, 0), (0.25, 1), (0.5, 2), (0.75, 0)]
    assert not browser.GetPlaybackActive()
    assert clock.plans == []


def test_two_play_at_rates_of_their_own(host: HeadlessHost) -> None:
    clock = Clock()
    Player(host, clock.later, lambda: clock.now)
    slow, fast = browser_of(host, 100), browser_of(host, 100)
    for browser, rate in ((slow, 2), (fast, 30)):
        browser.SetPlaybackRateFps(rate)
        browser.SetPlaybackActive(True)
    clock.run(2.01)
    assert slow.GetSelectedItemNumber() == 4
    assert fast.GetSelectedItemNumber() in (59, 60)  # it began at a look, up to 20 ms later
    slow.SetPlaybackRateFps(0)
    host.slicer.mrmlScene.RemoveNode(fast)
    clock.run(1)
    assert clock.plans == []
