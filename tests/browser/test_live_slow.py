"""A browser with a slow network beside a quick one, both at a Slicer's live views."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

import slicer_notebook as sn
from slicer_notebook.host.live import UNSEEN
from slicer_notebook.widgets.live import BEHIND
from tests.browser.hand import Hand, shown
from tests.browser.lab import SHORT, Lab, Notebook, write_notebook
from tests.browser.slow import SlowNetwork

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

VIEW = "red = slicer.view('Red').show(width=400, height=400)\nred"
CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "volume = slicer.dicom.load(slicer.dicom.series()[0])[0]",
    VIEW,
)
#: Bytes a second: of a frame without loss it takes some two seconds.
SLOW = 60_000
#: Of each who looks, in the order in which they came: frames on their way, and how coarse moving frames are.
WATCHERS = (
    "[(len(each.unseen), each.level) for each in "
    "__import__('slicer_notebook.host.agent').host.agent.Agent.current.live._watchers.values()]"
)


@pytest.fixture(scope="module")
def quick(browser: Any, lab: Lab) -> Iterator[Notebook]:
    """A notebook with a live view of a chest CT, on this machine."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "quick.ipynb", *CELLS))
    for text in ("sn.launch()", "fetch()", "red = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture(scope="module")
def slicer(quick: Notebook) -> Iterator[sn.Session]:
    """A session of the tests' own with the notebook's Slicer."""
    record = "next(each for each in sn.sessions() if each.name == slicer.name)"
    with sn.connect(quick.value(f"print({record}.connection_file)")) as found:
        yield found


@pytest.fixture
def network(lab: Lab) -> Iterator[SlowNetwork]:
    with SlowNetwork(lab) as found:
        yield found


def canvas_of(notebook: Notebook) -> Locator:
    """The live view, with its still picture; it counts its frames from now on."""
    found = notebook.cell("red = ").locator(".sn-live-canvas")
    found.scroll_into_view_if_needed()
    expect(found).to_have_attribute("data-lossless", "true", timeout=SHORT)
    found.evaluate("canvas => { canvas.shown = 0; canvas.addEventListener('sn-frame', () => (canvas.shown += 1)); }")
    return found


@dataclass
class Seen:
    """What was seen while somebody turned the wheel."""

    #: Frames a second of each browser.
    rates: list[float]
    #: Of all watchers, at several moments: frames on their way, and how coarse moving frames are.
    unseen: list[list[int]]
    levels: list[list[int]]
    #: Most frames that the first browser was ahead of the last.
    ahead: int


def turn(canvases: list[Locator], slicer: sn.Session, seconds: float) -> Seen:
    """Go up and down through the slices in the first view, for so long."""

    def numbers(what: str) -> list[int]:
        return [int(canvas.evaluate(f"canvas => {what}")) for canvas in canvases]

    found = Seen([], [], [], 0)
    before = numbers("canvas.shown")
    hand = Hand(canvases[0])
    hand.to(0.5, 0.5)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < seconds:
        hand.turn(1 if count % 20 < 10 else -1)
        count += 1
        if count % 10 == 0:
            unseen, levels = zip(*slicer.eval(WATCHERS), strict=True)
            found.unseen.append(list(unseen))
            found.levels.append(list(levels))
            first, *_, last = numbers("Number(canvas.dataset.frame)") * 2
            found.ahead = max(found.ahead, first - last)
    took = time.monotonic() - began
    found.rates = [(after - former) / took for after, former in zip(numbers("canvas.shown"), before, strict=True)]
    return found


def same_as_slicers(canvas: Locator, slicer: sn.Session) -> bool:
    if canvas.get_attribute("data-lossless") != "true":
        return False
    return bool(np.array_equal(shown(canvas), slicer.view("Red").image().array))


def test_who_is_slow_gets_less_and_slows_no_other_notebook(
    browser: Any, lab: Lab, quick: Notebook, slicer: sn.Session, network: SlowNetwork
) -> None:
    first = canvas_of(quick)
    path = write_notebook(lab, "slow.ipynb", "import slicer_notebook as sn\nslicer = sn.connect()", VIEW)
    context = browser.new_context(viewport={"width": 1200, "height": 900}, device_scale_factor=1)
    slow = Notebook(context.new_page(), network, path)
    slow.run("sn.connect")
    slow.run("red = ")
    second = canvas_of(slow)
    equal = turn([first, second], slicer, 4)
    network.rate = SLOW
    found = turn([first, second], slicer, 8)
    assert found.rates[0] > 0.6 * equal.rates[0], "the quick one goes on as before"
    assert found.rates[1] > 0
    assert max(max(each) for each in found.unseen) <= UNSEEN, "nothing piles up"
    assert found.levels[-1][1] >= 3, "their frames are small"
    # What the slow one sees in the end is what is so.
    slow.wait(lambda: same_as_slicers(second, slicer), "the picture without loss", 30)
    quick.wait(lambda: same_as_slicers(first, slicer), "the picture without loss")
    network.rate = None
    better = turn([first, second], slicer, 8)
    assert better.rates[1] > 0.6 * better.rates[0], "all of them come when the network is better"
    context.close()


def test_a_slow_browser_of_the_same_notebook_is_never_far_behind(
    browser: Any, quick: Notebook, slicer: sn.Session, network: SlowNetwork
) -> None:
    first = canvas_of(quick)
    quick.save()
    context = browser.new_context(viewport={"width": 1200, "height": 900}, device_scale_factor=1)
    same = Notebook(context.new_page(), network, "quick.ipynb")
    second = canvas_of(same)
    network.rate = SLOW
    found = turn([first, second], slicer, 10)
    assert found.rates[0] >= found.rates[1] > 0
    assert found.ahead <= BEHIND + UNSEEN
    assert max(max(each) for each in found.unseen) <= UNSEEN
    same.wait(lambda: same_as_slicers(second, slicer), "the picture without loss, after all those before", 60)
    context.close()
