"""The panel of volume rendering on a real Slicer: traits, what the browser says and hears, changes elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from tests.widgets.waiting import Recorder, wait_until


@pytest.fixture
def volume(slicer: sn.Session) -> Any:
    """A ball of 300 in -1000, 32³."""
    k, j, i = np.mgrid[:32, :32, :32] - 15.5
    return slicer.add_volume(np.where(i**2 + j**2 + k**2 < 100, 300, -1000).astype(np.int16), name="Ball <b>")


class Browser:
    """What a browser's view of a panel hears and says."""

    def __init__(self, volume: Any, **how: Any) -> None:
        self.panel = sn.VolumeRenderingPanel(volume, **how)
        self.panel._greeted = True
        self.heard = Recorder(self.panel)
        self.said = 0
        self.say("hello")

    def say(self, kind: str, **words: Any) -> None:
        self.panel._handle_custom_msg({"type": kind, **words}, [])

    def change(self, **changes: Any) -> None:
        self.said += 1
        self.say("set", view="v", number=self.said, changes=changes)

    def fit(self) -> None:
        self.said += 1
        self.say("fit", view="v", number=self.said)

    def state(self, fits: Any = lambda _: True) -> dict[str, Any]:
        """The first state after which nothing that was said is on its way, and that fits."""
        found: dict[str, Any] = self.heard.wait(
            lambda message: (
                message["type"] == "state" and message["done"].get("v", 0) >= self.said and fits(message["state"])
            )
        )
        state: dict[str, Any] = found["state"]
        return state


@pytest.fixture
def browser(volume: Any) -> Iterator[Browser]:
    found = Browser(volume)
    yield found
    found.panel.close()


def test_only_a_volume_has_one(slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="shows a volume"):
        sn.VolumeRenderingPanel(slicer)
    points: Any = slicer.add_markups([[0, 0, 0]])
    with pytest.raises(ArgumentError, match="shows a volume"):
        sn.VolumeRenderingPanel(points)


def test_a_view_is_told_presets_with_pictures_histogram_and_state(browser: Browser, volume: Any) -> None:
    assert browser.state()["exists"] is False
    presets = browser.heard.wait(lambda message: message["type"] == "presets")
    assert presets["names"] == presets["pictures"] == volume.rendering.presets
    [buffers] = [buffers for content, buffers in browser.heard.messages if content is presets]
    assert buffers == list(volume.rendering.icons().values())
    histogram = browser.heard.wait(lambda message: message["type"] == "histogram")
    assert histogram["range"] == [-1000, 300]
    assert len(histogram["heights"]) == 256
    assert histogram["heights"][0] == 1
    assert 0 < histogram["heights"][-1] < 1
    assert sum(height > 0 for height in histogram["heights"]) == 2
    # A view that comes later is told all of it again.
    browser.heard.messages.clear()
    browser.say("hello")
    assert {content["type"] for content, _ in browser.heard.messages} == {"presets", "histogram", "state"}


def test_what_the_browser_changes_is_changed(browser: Browser, volume: Any) -> None:
    browser.change(preset="CT-Bone", shift=0, visible=True)
    state = browser.state()
    assert (state["preset"], state["visible"], state["exists"]) == ("CT-Bone", True, True)
    rendering = volume.rendering
    assert (rendering.preset, rendering.visible) == ("CT-Bone", True)
    wait_until(browser.panel, lambda: (browser.panel.preset, browser.panel.visible) == ("CT-Bone", True), "the traits")
    browser.change(shift=40)
    assert browser.state()["shift"] == 40
    assert rendering.shift == 40
    browser.change(opacity=[[0, 0], [100, 0.5], [200, 1]], color=[[0, 1, 0, 0], [200, 0, 0, 1]])
    assert browser.state()["preset"] is None
    assert np.array_equal(rendering.opacity, [[0, 0], [100, 0.5], [200, 1]])
    assert np.array_equal(rendering.color, [[0, 1, 0, 0], [200, 0, 0, 1]])
    wait_until(browser.panel, lambda: browser.panel.preset is None, "no preset")
    browser.change(cropped=True, roi_visible=True, quality="maximum", shade=False, ambient=0.5)
    state = browser.state()
    assert (state["cropped"], state["roi_visible"], state["quality"]) == (True, True, "maximum")
    assert (state["shade"], state["ambient"]) == (False, 0.5)
    roi = rendering.roi
    assert roi is not None
    volume._session.run(f"slicer.mrmlScene.GetNodeByID({roi.id!r}).SetSize(1, 2, 3)")
    browser.fit()
    browser.state()
    assert volume._session.eval(f"slicer.mrmlScene.GetNodeByID({roi.id!r}).GetSize()") == pytest.approx((32, 32, 32))
    rendering.quality = "normal"


def test_traits_are_set_and_follow(browser: Browser, volume: Any) -> None:
    panel = browser.panel
    panel.visible = True
    panel.preset = "CT-AAA"
    panel.shift = -7.5
    browser.state(lambda state: (state["preset"], state["shift"], state["visible"]) == ("CT-AAA", -7.5, True))
    rendering = volume.rendering
    assert (rendering.preset, rendering.shift, rendering.visible) == ("CT-AAA", -7.5, True)
    rendering.preset = "MR-Default"
    wait_until(panel, lambda: (panel.preset, panel.shift) == ("MR-Default", 0), "what was changed elsewhere")
    volume._session.run(
        "logic = slicer.modules.volumerendering.logic()\n"
        f"node = logic.GetFirstVolumeRenderingDisplayNode(slicer.mrmlScene.GetNodeByID({volume.id!r}))\n"
        "node.SetVisibility(False)\n"
        "node.GetVolumePropertyNode().GetScalarOpacity().AddPoint(77, 0.25)\n"
    )
    wait_until(panel, lambda: not panel.visible and panel.preset is None, "what Slicer changed")
    browser.state(lambda state: [77, 0.25] in state["opacity"])


def test_a_rendering_that_is_begun_elsewhere_is_seen(browser: Browser, volume: Any) -> None:
    assert browser.state()["exists"] is False
    volume.rendering.preset = "CT-Lung"
    wait_until(browser.panel, lambda: browser.panel.preset == "CT-Lung", "the preset")
    assert not browser.panel.visible


def test_it_begins_as_it_is_told(volume: Any) -> None:
    browser = Browser(volume, preset="CT-Fat", visible=True)
    browser.state(lambda state: (state["preset"], state["visible"]) == ("CT-Fat", True))
    assert (browser.panel.preset, browser.panel.visible) == ("CT-Fat", True)
    browser.panel.close()


def test_a_preset_that_is_none_is_refused(browser: Browser) -> None:
    browser.heard.wait(lambda message: message["type"] == "presets")
    browser.panel.preset = "CT-Bone"
    browser.state(lambda state: state["preset"] == "CT-Bone")
    for value in ("CT-Nonsense", None):
        with pytest.raises(ArgumentError, match="preset"):
            browser.panel.preset = value
        assert browser.panel.preset == "CT-Bone"
    with pytest.raises(ArgumentError, match="finite"):
        browser.panel.shift = float("nan")


def test_what_slicer_refuses_is_said_and_undone(browser: Browser, volume: Any) -> None:
    browser.change(preset="CT-Bone")
    browser.state()
    browser.change(opacity=[[5, 0], [5, 1]])
    problem = browser.heard.wait(lambda message: message["type"] == "problem" and "message" in message)
    assert "do not rise" in problem["message"]
    assert browser.state()["preset"] == "CT-Bone"
    # The next change that is made takes the words away.
    browser.change(shift=1)
    browser.state(lambda state: state["shift"] == 1)
    assert browser.heard.of("problem")[-1] == {"type": "problem"}


def test_while_something_is_dragged_one_change_is_under_way_and_the_newest_wins(
    browser: Browser, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.change(preset="CT-AAA")
    browser.state()
    asked: list[dict[str, Any]] = []
    under_way = 0
    most = 0
    lock = threading.Lock()
    former = browser.panel._ask

    def counted(command: str, then: Any, **args: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if command == "rendering.set":
                asked.append(args)

        def done(job: Any) -> None:
            nonlocal under_way
            with lock:
                under_way -= 1
            then(job)

        return former(command, done, **args)

    monkeypatch.setattr(browser.panel, "_ask", counted)
    for shift in range(1, 201):
        browser.change(shift=shift)
    state = browser.state(lambda each: each["shift"] == 200)
    assert state["preset"] == "CT-AAA"
    assert volume.rendering.shift == 200
    assert most == 1
    assert 1 <= len(asked) < 100
    assert [args["shift"] for args in asked] == sorted(args["shift"] for args in asked)


def test_changes_that_wait_keep_their_order(volume: Any) -> None:
    panel = sn.VolumeRenderingPanel(volume)
    panel._pacer.close()  # nothing is sent
    panel._pending = []
    panel._want({"opacity": [[0, 0]]})
    panel._want({"shade": False})
    panel._want({"shift": 3})
    panel._want({"shift": 4})
    panel._want({"fit": True})
    panel._want({"cropped": True})
    assert panel._pending == [{"opacity": [[0, 0]], "shade": False}, {"shift": 4}, {"fit": True}, {"cropped": True}]
    # A preset is all of it, but what is no preset's.
    panel._want({"preset": "CT-AAA"})
    assert panel._pending == [{"fit": True}, {"cropped": True, "preset": "CT-AAA"}]
    panel.close()


def test_new_voxels_are_counted(browser: Browser, volume: Any) -> None:
    browser.heard.wait(lambda message: message["type"] == "histogram")
    volume.array = np.full((8, 8, 8), 7, np.int16) + np.arange(8, dtype=np.int16)
    browser.heard.wait(lambda message: message["type"] == "histogram" and message["range"] == [7, 14])


def test_a_volume_that_is_gone_is_said(browser: Browser, volume: Any) -> None:
    browser.state()
    volume.remove()
    problem = browser.heard.wait(lambda message: message["type"] == "problem")
    assert "Ball" in problem["message"] or "no node" in problem["message"].lower()


def test_a_saved_notebook_has_preset_and_functions(volume: Any) -> None:
    volume.rendering.preset = "CT-Bone"
    volume.rendering.shift = 5
    panel = sn.VolumeRenderingPanel(volume)
    page = panel._repr_mimebundle_()[0]["text/html"]
    assert "Ball &lt;b&gt;: CT-Bone, shift 5" in page
    assert "data:image/png;base64," in page
    state = {key: value for key, value in panel.get_state().items() if key not in ("_esm", "_css")}
    assert "Ball" not in repr(state)
    panel.close()
    strict = sn.VolumeRenderingPanel(volume, privacy="strict")
    page = strict._repr_mimebundle_()[0]["text/html"]
    assert "Ball" not in page
    assert "CT-Bone" in page
    strict.close()
