"""The segment editor's panel: what its browser hears and says, what Slicer has then, what a saved notebook keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, JobCancelledError, NodeNotFoundError, ViewNotFoundError
from slicer_notebook.session import Segmentation
from slicer_notebook.widgets import segment_effects
from slicer_notebook.widgets.segment_effects import BY_HAND, EFFECTS
from tests.widgets.fake import Asked
from tests.widgets.waiting import Recorder, wait_until

AFFINE = np.diag([-0.7, -0.8, 2.0, 1.0])
SHAPE = (10, 24, 30)


class Desk:
    """A panel, and what its browser hears and says."""

    def __init__(self, *args: Any, **how: Any) -> None:
        self.panel = sn.SegmentEditorPanel(*args, **how)
        self.panel._greeted = True
        self.heard = Recorder(self.panel)
        self.say("hello", who="me")

    def say(self, message: str, **words: Any) -> None:
        self.panel._handle_custom_msg({"type": message, **words}, [])

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What the editor is told to be when it is so, newest first."""
        return self.heard.wait(lambda message: message["type"] == "editor" and fits(message))

    def forget(self) -> None:
        self.heard.messages.clear()

    def apply(self) -> str:
        """Press the button; what is said afterwards."""
        self.forget()
        self.say("apply")
        found: str = self.heard.wait(lambda message: message["type"] == "said")["text"]
        return found

    def take(self, effect: str, **options: Any) -> None:
        self.panel.effect = effect
        for name, value in options.items():
            self.say("option", effect=effect, name=name, value=value)
        self.until(lambda told: told["effect"] == effect and told["values"][effect].items() >= options.items())


def eventually(condition: Callable[[], bool], deadline: float = 20.0) -> None:
    """Wait until it is so in Slicer, which is asked."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not in {deadline:.0f} s"
        threading.Event().wait(0.02)


@pytest.fixture
def voxels() -> Any:
    return np.random.default_rng(4).integers(-50, 300, SHAPE).astype(np.int16)


@pytest.fixture
def volume(slicer: sn.Session, voxels: Any) -> sn.Volume:
    return slicer.add_volume(voxels, AFFINE, "ct")


@pytest.fixture
def cube() -> Any:
    found = np.zeros(SHAPE, bool)
    found[3:7, 8:16, 10:20] = True
    return found


@pytest.fixture
def segmentation(slicer: sn.Session, volume: sn.Volume, cube: Any) -> Segmentation:
    slicer.layout = "FourUp"
    found = slicer.add_segmentation(reference=volume, name="<b>organs</b>")
    found.add("liver", cube, volume)
    found.add("spleen", np.roll(cube, 5, axis=2), volume)
    return found


@pytest.fixture
def ids(segmentation: Segmentation) -> list[str]:
    return [each.id for each in segmentation.segments]


@pytest.fixture
def desk(segmentation: Segmentation, volume: sn.Volume) -> Iterator[Desk]:
    found = Desk(segmentation, volume)
    yield found
    found.panel.close()


def test_a_new_view_is_told_all_of_it(desk: Desk, ids: list[str], voxels: Any) -> None:
    effects = desk.heard.of("effects")[0]["effects"]
    assert [each["name"] for each in effects] == [each.name for each in EFFECTS]
    assert [view["name"] for view in desk.heard.of("views")[0]["views"]] == ["Red", "1", "Green", "Yellow"]
    told = desk.heard.of("editor")[0]
    assert (told["effect"], told["segment"], told["undo"], told["redo"]) == (None, ids[0], None, None)
    assert (told["area"], told["intensity"], told["overwrite"]) == ("everywhere", None, "all")
    low, high = int(voxels.min()), int(voxels.max())
    assert list(told["intensities"]) == [low, high]
    threshold = told["values"]["threshold"]
    assert (threshold["lower"], threshold["upper"]) == (pytest.approx(low + (high - low) / 4, abs=0.01), high)
    assert desk.heard.of("all")[0]["order"] == ids
    assert (desk.panel.effect, desk.panel.segment, desk.panel.view) == (None, ids[0], "Red")
    # Nothing of a patient is in a trait, which the notebook would save.
    state = {key: value for key, value in desk.panel.get_state().items() if key not in ("_esm", "_css")}
    assert "liver" not in repr(state)
    assert "organs" not in repr(state)


def test_it_is_the_editor_that_all_share(desk: Desk, segmentation: Segmentation, ids: list[str]) -> None:
    seen: list[tuple[str, Any]] = []
    desk.panel.observe(lambda change: seen.append((change["name"], change["new"])), names=["effect", "segment"])
    other = segmentation.editor()
    other.segment = "spleen"
    desk.until(lambda told: told["segment"] == ids[1])
    wait_until(desk.panel, lambda: desk.panel.segment == ids[1], "the segment of the other one")
    other.activate("erase", radius=7.0, shape="sphere")
    told = desk.until(lambda told: told["effect"] == "erase")
    assert told["values"]["erase"] == {"radius": 7.0, "shape": "sphere"}
    assert told["values"]["paint"]["radius"] == 5.0
    other.activate("erase", radius=8.0)
    desk.until(lambda told: told["values"]["erase"] == {"radius": 8.0, "shape": "circle"})
    other.margin(1.0)
    assert desk.until(lambda told: told["undo"] is not None)["undo"] == "margin of 1 mm"
    other.undo()
    assert desk.until(lambda told: told["redo"] is not None)["undo"] is None
    other.mask(inside="liver", intensity=(3, 20), overwrite="none")
    told = desk.until(lambda told: told["area"] == f"inside:{ids[0]}")
    assert (list(told["intensity"]), told["overwrite"]) == ([3, 20], "none")
    desk.forget()
    other.activate(None)
    desk.until(lambda told: told["effect"] is None)
    wait_until(desk.panel, lambda: desk.panel.effect is None, "the end of it")
    assert seen == [("segment", ids[1]), ("effect", "erase"), ("effect", None)]
    # Who has not begun it does not end it.
    other.activate("paint")
    wait_until(desk.panel, lambda: desk.panel.effect == "paint", "the other one's brush")
    desk.panel.close()
    assert other.effect == "paint"
    other.activate(None)


def test_effects_are_chosen(desk: Desk, segmentation: Segmentation) -> None:
    editor = segmentation.editor()
    desk.say("choose", effect="paint")
    wait_until(desk.panel, lambda: desk.panel.effect == "paint", "the choice")
    desk.say("option", effect="paint", name="radius", value=12.5)
    desk.say("option", effect="paint", name="shape", value="sphere")
    wanted = {"radius": 12.5, "shape": "sphere"}
    desk.until(lambda told: told["values"]["paint"] == wanted)
    state = desk.panel._session.call
    eventually(lambda: state("segment_editor.state", node=segmentation)["options"] == wanted)
    desk.panel.effect = "margin"
    desk.until(lambda told: told["effect"] == "margin")
    eventually(lambda: editor.effect is None)
    # Once more, and it is put down.
    desk.say("choose", effect="margin")
    wait_until(desk.panel, lambda: desk.panel.effect is None, "nothing chosen")
    desk.panel.effect = "scissors"
    eventually(lambda: editor.effect == "scissors")
    desk.panel.close()
    assert segmentation.editor().effect is None, "the mouse is for what it was before"


def test_a_threshold_shows_itself(desk: Desk, segmentation: Segmentation, voxels: Any, volume: sn.Volume) -> None:
    desk.take("threshold", lower=100.5)
    options = {"lower": 100.5, "upper": float(voxels.max())}
    state = desk.panel._session.call
    eventually(lambda: state("segment_editor.state", node=segmentation)["options"] == options)
    # The ends stay in their order.
    desk.say("option", effect="threshold", name="upper", value=50)
    desk.until(lambda told: told["values"]["threshold"]["lower"] == 50)
    desk.forget()
    desk.say("option", effect="threshold", name="lower", value=100.5)
    assert (
        desk.until(lambda told: told["values"]["threshold"]["lower"] == 100.5)["values"]["threshold"]["upper"] == 100.5
    )
    desk.forget()
    desk.say("auto")
    otsu = segmentation.editor().auto_threshold("otsu")
    assert desk.heard.wait(lambda message: message["type"] == "said")["text"] == f"Threshold: {otsu:g}"
    desk.until(lambda told: told["values"]["threshold"]["lower"] == otsu)
    desk.say("option", effect="threshold", name="side", value="below")
    desk.say("auto")
    desk.until(lambda told: told["values"]["threshold"]["upper"] == otsu)
    number = int((voxels <= otsu).sum())
    desk.apply()
    assert (segmentation.mask("liver", volume) == (voxels <= otsu)).all()
    assert number


@pytest.mark.parametrize(
    "case",
    [
        ("margin", {"size": 1.5}, lambda editor: editor.margin(1.5)),
        ("margin", {"way": "shrink", "size": 1.5}, lambda editor: editor.margin(-1.5)),
        ("hollow", {"thickness": 2.0, "surface": "inside"}, lambda editor: editor.hollow(2.0, "inside")),
        ("smooth", {"method": "opening", "kernel": 6.0}, lambda editor: editor.smooth("opening", kernel=6.0)),
        ("smooth", {"method": "gaussian", "sigma": 2.0}, lambda editor: editor.smooth("gaussian", sigma=2.0)),
        ("smooth", {"method": "joint", "strength": 0.9}, lambda editor: editor.smooth("joint", strength=0.9)),
        ("islands", {"operation": "keep_largest"}, lambda editor: editor.islands("keep_largest")),
        (
            "islands", {"operation": "remove_small", "minimum": 20.0},
            lambda editor: editor.islands("remove_small", minimum=20.0),
        ),
        ("logical", {"operation": "invert"}, lambda editor: editor.logical("invert")),
        ("grow_from_seeds", {"locality": 1.0}, lambda editor: editor.grow_from_seeds(locality=1.0)),
        ("fill_between_slices", {}, lambda editor: editor.fill_between_slices()),
    ],
)  # fmt: skip
def test_effects_are_the_commands(
    desk: Desk, segmentation: Segmentation, volume: sn.Volume, cube: Any, case: tuple[str, dict[str, Any], Any]
) -> None:
    effect, options, same = case
    dust = cube.copy()
    dust[8, ::5, ::5] = True
    if effect == "fill_between_slices":
        dust = cube & (np.arange(SHAPE[0]) % 3 == 0)[:, None, None]
    segmentation["liver"].set_mask(dust, volume)
    twin = volume._session.add_segmentation(reference=volume)
    for name in ("liver", "spleen"):
        twin.add(name, segmentation.mask(name, volume), volume)
    number = same(twin.editor(volume))
    desk.take(effect, **options)
    assert number
    assert desk.apply() == f"{next(each.title for each in EFFECTS if each.name == effect)}: {number:,} voxels changed"
    for name in ("liver", "spleen"):
        assert (segmentation.mask(name, volume) == twin.mask(name, volume)).all()
    desk.until(lambda told: told["undo"] is not None)
    desk.say("undo")
    desk.until(lambda told: told["redo"] is not None)
    assert (segmentation.mask("liver", volume) == dust).all()


def test_another_segment(desk: Desk, segmentation: Segmentation, volume: sn.Volume, cube: Any, ids: list[str]) -> None:
    desk.take("logical", operation="subtract")
    desk.say("apply")
    assert "not chosen" in desk.heard.wait(lambda message: message["type"] == "trouble")["message"]
    desk.say("mask", area="everywhere", intensity=None, overwrite="none")
    desk.until(lambda told: told["overwrite"] == "none")
    segmentation["spleen"].set_mask(np.roll(cube, 5, axis=2), volume)
    desk.take("logical", other=ids[1])
    desk.apply()
    assert (segmentation.mask("liver", volume) == (cube & ~np.roll(cube, 5, axis=2))).all()


def test_an_island_is_clicked(desk: Desk, segmentation: Segmentation, volume: sn.Volume, cube: Any) -> None:
    other = np.zeros(SHAPE, bool)
    other[4:6, 18:22, 24:28] = True
    segmentation["spleen"].set_mask(np.zeros(SHAPE, bool), volume)
    segmentation["liver"].set_mask(cube | other, volume)
    red = volume._session.view("Red")
    red.offset = 10.0
    k = 5
    to_xy = np.linalg.inv(
        volume._session.eval(
            "slicer.util.arrayFromVTKMatrix(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetXYToRAS())"
        )
    )
    x, y = (to_xy @ AFFINE @ [25.5, 19.5, k, 1])[:2]
    height = volume._session.eval("slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetDimensions()[1]")
    desk.take("islands", operation="keep_selected")
    assert desk.until(lambda told: told["picks"])
    desk.forget()
    desk.say("pick", view="Red", x=round(x), y=round(height - 1 - y))
    assert desk.heard.wait(lambda message: message["type"] == "said")["text"] == f"Islands: {cube.sum()} voxels changed"
    assert (segmentation.mask("liver", volume) == other).all()
    desk.forget()
    desk.say("pick", view="Red", x=2, y=2)
    assert desk.heard.wait(lambda message: message["type"] == "trouble")["message"]


def test_masks_and_steps(
    desk: Desk, segmentation: Segmentation, volume: sn.Volume, voxels: Any, ids: list[str]
) -> None:
    spleen = segmentation.mask("spleen", volume) > 0
    desk.say("mask", area=f"inside:{ids[1]}", intensity=[100, 200], overwrite="none")
    desk.until(lambda told: told["area"] == f"inside:{ids[1]}" and list(told["intensity"]) == [100, 200])
    segmentation["liver"].set_mask(np.zeros(SHAPE, bool), volume)
    desk.take("logical", operation="fill")
    desk.apply()
    allowed = spleen & (voxels >= 100) & (voxels <= 200)
    assert (segmentation.mask("liver", volume) == allowed).all()
    desk.say("mask", area="outside:all", intensity=None, overwrite="all")
    desk.until(lambda told: told["area"] == "outside:all" and told["intensity"] is None)
    desk.apply()
    assert (segmentation.mask("liver", volume) == (allowed | ~spleen)).all()
    # Two steps back are two, however quickly they come.
    desk.forget()
    desk.say("undo")
    desk.say("undo")
    desk.until(lambda told: told["undo"] is None)
    assert not segmentation.mask("liver", volume).any()
    desk.say("redo")
    desk.until(lambda told: told["undo"] is not None)
    assert (segmentation.mask("liver", volume) == allowed).all()


def test_segments(desk: Desk, segmentation: Segmentation, ids: list[str]) -> None:
    desk.panel.segment = "spleen"
    assert desk.panel.segment == ids[1]
    desk.until(lambda told: told["segment"] == ids[1])
    desk.say("add")
    wait_until(desk.panel, lambda: desk.panel.segment not in ids, "the new one is selected")
    new = segmentation.segments[2].id
    assert desk.panel.segment == new
    desk.say("select", id=ids[0])
    wait_until(desk.panel, lambda: desk.panel.segment == ids[0], "the person's choice")
    desk.say("remove", id=ids[0])
    wait_until(desk.panel, lambda: desk.panel.segment == ids[1], "its neighbour, as it has gone")
    for wrong in ("nobody", ids[0]):
        with pytest.raises(NodeNotFoundError, match="no one segment"):
            desk.panel.segment = wrong
    desk.say("rename", id="no such segment", name="x")
    assert "no such segment" in desk.heard.wait(lambda message: message["type"] == "trouble")["message"]
    assert desk.heard.of("gone") == []
    desk.panel._session.clear()
    desk.heard.wait(lambda message: message["type"] == "gone" and "view" not in message)


def test_what_does_not_fit_is_said(desk: Desk) -> None:
    for words in (
        {"message": "option", "effect": "paint", "name": "radius", "value": 0},
        {"message": "option", "effect": "smooth", "name": "method", "value": "magic"},
        {"message": "option", "effect": "threshold", "name": "lower", "value": "nan"},
        {"message": "choose", "effect": "magic"},
        {"message": "mask", "area": "everywhere", "intensity": [3, 2], "overwrite": "all"},
        {"message": "undo"},
    ):
        desk.forget()
        desk.say(**words)
        assert desk.heard.wait(lambda told: told["type"] == "trouble")["message"]
    assert desk.panel._values == {**segment_effects.defaults(), "threshold": desk.panel._values["threshold"]}
    desk.take("grow_from_seeds")
    desk.panel.editor.logical("clear")
    desk.forget()
    desk.say("apply")
    trouble = desk.heard.wait(lambda told: told["type"] == "trouble")
    assert trouble["message"].startswith("There are too few seeds.")
    assert trouble["hint"] == "another segment as background"


def test_work_is_told_and_cancelled(desk: Desk) -> None:
    asked = desk.panel._ask = Asked()  # type: ignore[method-assign]
    desk.panel._tool = "grow_from_seeds"
    desk.say("apply")
    command, _, job = asked.jobs[0]
    assert command == "segment_editor.grow_from_seeds"
    assert desk.heard.of("work")[-1]["work"]["title"] == "Grow from seeds"
    desk.say("apply")
    assert "still at work" in desk.heard.of("trouble")[-1]["message"]
    assert len(asked.jobs) == 1
    desk.say("cancel")
    assert asked.cancelled == [0]
    asked.answer(0, error=JobCancelledError("cancelled"))
    assert desk.heard.of("work")[-1]["work"] is None
    assert "nothing was changed" in desk.heard.of("said")[-1]["text"]
    assert job.done
    desk.say("apply")
    asked.answer(1, 0)
    assert desk.heard.of("said")[-1]["text"] == "Grow from seeds: nothing changed"


def test_another_view(desk: Desk, slicer: sn.Session) -> None:
    desk.say("show_view", name="1")
    wait_until(desk.panel, lambda: desk.panel.view == "1", "the 3-D view")
    assert list(desk.panel._live) == ["1"]
    assert list(desk.panel._bars) == []
    desk.panel.view = "Green"
    assert list(desk.panel._bars) == ["Green"]
    with pytest.raises(ArgumentError, match="no view"):
        desk.panel.view = "Blue"
    desk.forget()
    slicer.layout = "OneUpRedSlice"
    # The one that is shown stays among the choices.
    desk.heard.wait(
        lambda told: told["type"] == "views" and [each["name"] for each in told["views"]] == ["Green", "Red"]
    )
    slicer.layout = "FourUp"


def test_a_saved_notebook(desk: Desk, segmentation: Segmentation, volume: sn.Volume) -> None:
    page = desk.panel._static_html()
    for text in ("&lt;b&gt;organs&lt;/b&gt;", "liver", "spleen", "data:image/png"):
        assert text in page
    strict = sn.SegmentEditorPanel(segmentation, volume, privacy="strict")
    page = strict._static_html()
    assert "2 segments" in page
    for text in ("organs", "liver", "data:image"):
        assert text not in page
    strict.close()


def test_what_is_refused(slicer: sn.Session, segmentation: Segmentation, volume: sn.Volume) -> None:
    for args, how, error in (
        ((volume,), {}, ArgumentError),
        ((segmentation, segmentation), {}, ArgumentError),
        ((segmentation, volume), {"view": "Blue"}, ViewNotFoundError),
        ((segmentation, volume), {"height": "tall"}, ArgumentError),
        ((segmentation, volume), {"privacy": "some"}, ArgumentError),
        ((slicer.add_segmentation(name="nothing"),), {}, ArgumentError),
    ):
        with pytest.raises(error):
            sn.SegmentEditorPanel(*args, **how)


def test_the_handle_shows_it(segmentation: Segmentation, volume: sn.Volume, slicer: sn.Session) -> None:
    panel = segmentation.edit(volume, view=slicer.view("Yellow"), width=900, height="40em")
    assert isinstance(panel, sn.SegmentEditorPanel)
    assert (panel.view, panel._width, panel._height) == ("Yellow", "900px", "40em")
    assert panel.editor.volume == volume
    panel.close()


def test_the_effects_by_hand_are_slicers() -> None:
    from slicer_notebook.host.headless.segment_effects import EFFECTS as HOSTS

    assert set(HOSTS) == BY_HAND
    for name, kind in HOSTS.items():
        values = segment_effects.defaults()[name]
        assert set(segment_effects.hand_options(name, values)) == set(kind.defaults)
