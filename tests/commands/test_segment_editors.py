"""The state of a segmentation's editor: masks, overwriting, undo, for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from slicer_notebook.commands import segment_editing as editing
from slicer_notebook.commands import segment_editors as editors
from slicer_notebook.commands import segment_filters as filters
from slicer_notebook.commands import segment_shaping as shaping
from slicer_notebook.errors import (
    AmbiguousNameError,
    ArgumentError,
    ArrayError,
    CommandError,
    NodeNotFoundError,
    ViewNotFoundError,
)
from tests.commands.segment_bench import AFFINE, MIDDLE, SHAPE, Array, Bench, at, ball, same

FILL = "fill_outside"

#: Each kind of operation with arguments that change the segments of `start`.
OPERATIONS: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
    ("paint", editing.paint, {"points": MIDDLE, "radius": 9.0}),
    ("erase", editing.erase, {"points": MIDDLE, "radius": 4.0}),
    ("threshold", editing.threshold, {"lower": 100, "upper": 250}),
    ("draw", editing.draw, {"points": [at(4, 4, 8), at(30, 6, 8), at(18, 24, 8)]}),
    (
        "scissors",
        editing.scissors,
        {"polygon": [at(4, 4, 8), at(30, 6, 8), at(18, 24, 8)], "operation": "erase_inside"},
    ),
    (
        "fill outside",
        editing.scissors,
        {"polygon": [at(8, 8, 8), at(9, 8, 8), at(8, 9, 8)], "operation": "fill_outside"},
    ),
    ("grow", shaping.margin, {"size": 3.0}),
    ("shrink", shaping.margin, {"size": -2.0}),
    ("hollow", shaping.hollow, {"thickness": 1.5, "surface": "inside"}),
    ("median", shaping.smooth, {"method": "median", "size": 3.0}),
    ("opening", shaping.smooth, {"method": "opening", "size": 5.0}),
    ("closing", shaping.smooth, {"method": "closing", "size": 5.0}),
    ("gaussian", shaping.smooth, {"method": "gaussian", "size": 1.5}),
    ("joint", shaping.smooth, {"method": "joint", "size": 0.5}),
    ("islands", shaping.islands, {"operation": "keep_largest"}),
    ("split", shaping.islands, {"operation": "split"}),
    ("copy", shaping.logical, {"operation": "copy", "other": "b"}),
    ("add", shaping.logical, {"operation": "add", "other": "b"}),
    ("invert", shaping.logical, {"operation": "invert"}),
    ("grow from seeds", shaping.grow_from_seeds, {}),
    ("fill between slices", shaping.fill_between_slices, {}),
]
EACH = pytest.mark.parametrize(("command", "options"), [o[1:] for o in OPERATIONS], ids=[o[0] for o in OPERATIONS])


def start(bench: Bench) -> dict[str, Array]:
    """Rough segments a and b that lie in c in part; a has two islands and a gap of slices."""
    rng = np.random.default_rng(4)
    dust = rng.random(SHAPE) < 0.1
    slices = np.indices(SHAPE)[0]
    a = (ball(radius=7.0) & ~dust) | ball(at(28, 20, 14), 3.0)
    a &= ~np.isin(slices, (9, 11))
    b = ball(at(10, 8, 5), 5.0) & ~a & ~dust
    c = ball(at(20, 14, 9), 5.0) & ~a & ~b
    bench.put_all(a=a, b=b, c=c)
    return bench.everything()


@EACH
def test_one_step_to_undo_and_do_again(bench: Bench, command: Callable[..., Any], options: dict[str, Any]) -> None:
    before = start(bench)
    changed = bench.do(command, **options)
    after = bench.everything()
    assert not same(before, after)
    gone_or_come = sum(int((after[s] ^ before.get(s, np.zeros(SHAPE, bool))).sum()) for s in after)
    assert changed == gone_or_come
    bench.do(editors.undo)
    assert same(bench.everything(), before)
    with pytest.raises(CommandError, match="nothing to undo"):
        bench.do(editors.undo)
    bench.do(editors.redo)
    assert same(bench.everything(), after)
    with pytest.raises(CommandError, match="nothing to redo"):
        bench.do(editors.redo)
    bench.do(editors.undo)
    assert same(bench.everything(), before)


#: Masks, and where they allow a change of a while b is hidden. "Outside" is outside of the others.
MASKS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Array], Array], Array]]] = {
    "inside c": ({"inside": "C"}, lambda s, v: s["c"]),
    "inside all": ({"inside": "all"}, lambda s, v: s["a"] | s["b"] | s["c"]),
    "outside all": ({"outside": "all"}, lambda s, v: ~(s["b"] | s["c"])),
    "inside visible": ({"inside": "visible"}, lambda s, v: s["a"] | s["c"]),
    "outside visible": ({"outside": "visible"}, lambda s, v: ~s["c"]),
    "intensity": ({"intensity": (49.5, 200.0)}, lambda s, v: (v >= 50) & (v <= 200)),
    "both": ({"inside": "all", "intensity": (0, 150)}, lambda s, v: (s["a"] | s["b"] | s["c"]) & (v >= 0) & (v <= 150)),
}


@pytest.mark.parametrize("mask", ["outside visible", "both"])
@EACH
def test_masks_hold(bench: Bench, mask: str, command: Callable[..., Any], options: dict[str, Any]) -> None:
    if mask.startswith("outside") and (command is shaping.grow_from_seeds or options.get("method") == "joint"):
        pytest.skip("it changes all segments, each outside of the others")
    before = start(bench)
    bench.node.GetDisplayNode().SetSegmentVisibility("b", False)
    words, allowed = MASKS[mask]
    bench.do(editors.mask, **words)
    changed = bench.do(command, **options)
    after = bench.everything()
    may = allowed(before, bench.voxels)
    for segment, voxels in after.items():
        assert not (voxels ^ before.get(segment, voxels & False))[~may].any(), segment
    assert changed == sum(int((after[s] ^ before.get(s, after[s] & False)).sum()) for s in after)


@pytest.mark.parametrize("mask", MASKS)
def test_what_a_mask_allows_is_done(bench: Bench, mask: str) -> None:
    before = start(bench)
    bench.node.GetDisplayNode().SetSegmentVisibility("b", False)
    words, allowed = MASKS[mask]
    state = bench.do(editors.mask, **words)
    may = allowed(before, bench.voxels)
    bench.do(editing.paint, MIDDLE, 9.0)
    assert (bench.get("a") == (before["a"] | (ball(radius=9.0) & may))).all()
    bench.do(editors.undo)
    bench.do(editing.threshold, 100)
    assert (bench.get("a") == np.where(may, bench.voxels >= 100, before["a"])).all()
    assert bench.do(editors.state) == {**state, "undo": "threshold"}
    bench.do(editors.mask)
    bench.do(editing.threshold, 100)
    assert (bench.get("a") == (bench.voxels >= 100)).all()


def test_what_is_erased_inside_a_segment_goes_to_it(bench: Bench) -> None:
    """As in Slicer: a segment is split in two by painting and erasing inside of it."""
    whole = ball(radius=8.0)
    bench.put_all(c=whole)
    bench.do(editors.mask, inside="c")
    bench.do(editing.paint, MIDDLE, 6.0)
    assert (bench.get("a") == ball(radius=6.0)).all()
    bench.do(editing.erase, MIDDLE, 3.0)
    assert (bench.get("a") == (ball(radius=6.0) & ~ball(radius=3.0))).all()
    assert (bench.get("c") == (whole & ~bench.get("a"))).all()
    bench.do(editors.undo)
    assert (bench.get("a") == ball(radius=6.0)).all()
    assert (bench.get("c") == (whole & ~ball(radius=6.0))).all()


def test_logical_may_ignore_masks(bench: Bench) -> None:
    before = start(bench)
    bench.do(editors.mask, inside="c", intensity=(0, 1))
    bench.do(shaping.logical, "add", "b", ignore_masks=True)
    assert (bench.get("a") == (before["a"] | before["b"])).all()
    assert (bench.get("b") == before["b"]).all(), "not overwritten either"
    assert bench.do(editors.state)["intensity"] == (0.0, 1.0)


@pytest.mark.parametrize("overwrite", ["all", "visible", "none"])
@pytest.mark.parametrize("layers", ["shared", "own"])
def test_overwriting(bench: Bench, overwrite: str, layers: str) -> None:
    b, c = ball(at(12, 10, 7), 6.0), ball(at(20, 14, 9), 6.0)
    if layers == "shared":
        bench.do(editing.paint, at(20, 14, 9), 6.0, segment="c")
        bench.do(editing.paint, at(12, 10, 7), 6.0, segment="b")
        c &= ~b
    else:
        bench.put_all(b=b, c=c)
    # One for a, which is empty, and b and c; or one for each.
    assert bench.node.GetSegmentation().GetNumberOfLayers() == (1 if layers == "shared" else 3)
    bench.node.GetDisplayNode().SetSegmentVisibility("c", False)
    bench.do(editors.mask, overwrite=overwrite)
    brush = ball(radius=5.0)
    bench.do(editing.paint, MIDDLE, 5.0)
    assert (bench.get("a") == brush).all()
    assert (bench.get("b") == (b if overwrite == "none" else b & ~brush)).all()
    assert (bench.get("c") == (c & ~brush if overwrite == "all" else c)).all()
    assert bench.do(editors.state)["overwrite"] == overwrite
    bench.do(editors.undo)
    assert same(bench.everything(), {"a": brush & False, "b": b, "c": c})
    bench.do(editors.redo)
    assert (bench.get("a") == brush).all()


def test_steps_one_after_the_other(bench: Bench) -> None:
    states = [bench.everything()]
    for point, segment in ((at(8, 8, 5), "a"), (MIDDLE, "b"), (at(12, 10, 7), "a"), (MIDDLE, "c")):
        bench.do(editing.paint, point, 5.0, segment=segment)
        states.append(bench.everything())
    for state in reversed(states[:-1]):
        bench.do(editors.undo)
        assert same(bench.everything(), state)
    for state in states[1:3]:
        bench.do(editors.redo)
        assert same(bench.everything(), state)
    bench.do(editing.erase, MIDDLE, 2.0, segment="b")
    assert bench.do(editors.state)["redo"] is None
    bench.do(editors.undo)
    assert same(bench.everything(), states[2])


def test_undo_leaves_what_others_did(bench: Bench) -> None:
    bench.do(editing.paint, MIDDLE, 5.0)
    other = ball(at(28, 20, 14), 3.0)
    bench.put(other, "b")
    bench.node.GetSegmentation().AddEmptySegment("d", "D")
    bench.do(editors.undo)
    assert not bench.get("a").any()
    assert (bench.get("b") == other).all()
    assert bench.node.GetSegmentation().GetSegment("d") is not None


def test_undo_of_a_segment_that_has_gone(bench: Bench) -> None:
    bench.do(editing.paint, MIDDLE, 5.0, segment="b")
    bench.node.GetSegmentation().RemoveSegment("b")
    bench.do(editors.undo)
    assert list(bench.node.GetSegmentation().GetSegmentIDs()) == ["a", "c"]


@pytest.mark.parametrize(
    ("command", "options", "error"),
    [
        (editing.paint, {"points": MIDDLE, "radius": 0}, ArgumentError),
        (editing.paint, {"points": MIDDLE, "radius": float("nan")}, ArgumentError),
        (editing.paint, {"points": [[1, 2]], "radius": 3.0}, ArrayError),
        (editing.paint, {"points": "here", "radius": 3.0}, ArrayError),
        (editing.paint, {"points": MIDDLE, "radius": 3.0, "segment": "liver"}, NodeNotFoundError),
        (editing.paint, {"points": MIDDLE, "radius": 3.0, "shape": "circle", "view": "1"}, ArgumentError),
        (editing.paint, {"points": MIDDLE, "radius": 3.0, "shape": "circle", "view": "Blue"}, ViewNotFoundError),
        (editing.draw, {"points": [at(1, 1, 1), at(2, 2, 2), at(3, 3, 3)]}, ArrayError),
        (editing.draw, {"points": [[1, 1], [2, 2], [3, 1]]}, ArgumentError),
        (editing.scissors, {"polygon": [MIDDLE, MIDDLE]}, ArrayError),
        (editing.scissors, {"polygon": np.eye(3), "operation": "fold"}, ArgumentError),
        (editing.scissors, {"polygon": np.eye(3), "view": "Red", "direction": [0, 0, 1]}, ArgumentError),
        (editing.threshold, {"lower": 5, "upper": 4}, ArgumentError),
        (shaping.margin, {"size": 0.0}, ArgumentError),
        (shaping.hollow, {"thickness": -1.0}, ArgumentError),
        (shaping.smooth, {"method": "median", "size": -3.0}, ArgumentError),
        (shaping.smooth, {"method": "joint", "size": 1.5}, ArgumentError),
        (editors.mask, {"inside": "a", "outside": "all"}, ArgumentError),
        (editors.mask, {"inside": "nothing"}, NodeNotFoundError),
        (editors.mask, {"intensity": (3, 2)}, ArgumentError),
        (editors.select, {"segment": "liver"}, NodeNotFoundError),
        (editors.activate, {"effect": "magic"}, ArgumentError),
        (editors.activate, {"effect": "paint", "options": {"size": 3}}, ArgumentError),
        (editors.activate, {"effect": "paint", "options": {"radius": -3.0}}, ArgumentError),
    ],
)
def test_what_does_not_fit_changes_nothing(
    bench: Bench, command: Callable[..., Any], options: dict[str, Any], error: type[Exception]
) -> None:
    before, state = start(bench), bench.do(editors.state)
    with pytest.raises(error):
        bench.do(command, **options)
    assert same(bench.everything(), before)
    assert bench.do(editors.state) == state


def test_what_fails_half_way_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = start(bench)
    editor = bench.host.segment_editor(bench.node)
    modify, calls = editor.modify, []

    def third_time_fails(*args: Any, **named: Any) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise CommandError("out of memory")
        modify(*args, **named)

    monkeypatch.setattr(editor, "modify", third_time_fails)
    with pytest.raises(CommandError, match="out of memory"):
        bench.do(shaping.islands, "split")
    assert same(bench.everything(), before)
    assert bench.do(editors.state)["undo"] is None


def test_a_filter_that_fails_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = start(bench)

    def fails(*_: Any) -> Array:
        raise CommandError("no")

    monkeypatch.setattr(filters, "median", fails)
    with pytest.raises(CommandError):
        bench.do(shaping.smooth, "median")
    assert same(bench.everything(), before)


def test_what_a_panel_shows(bench: Bench) -> None:
    bench.do(editors.activate, "scissors", {"depth": "positive"})
    bench.do(editing.paint, MIDDLE, 3.0)
    found = bench.do(editors.panel)
    assert found["editor"] == bench.do(editors.state)
    assert found["editor"]["effect"] == "scissors"
    assert found["editor"]["options"] == {"operation": "erase_inside", "depth": "positive", "thickness": 0.0}
    assert (found["editor"]["undo"], found["editor"]["redo"]) == ("paint", None)
    assert found["intensities"] == (bench.voxels.min(), bench.voxels.max())
    assert [each["id"] for each in found["segments"]] == ["a", "b", "c"]
    bench.do(editors.activate, None)
    assert bench.do(editors.panel)["editor"]["options"] == {}


def test_select(bench: Bench) -> None:
    assert bench.state["segment"] == "a"
    assert bench.do(editors.select, "B") == "b"
    bench.do(editing.paint, MIDDLE, 3.0)
    assert (bench.get("b") == ball(radius=3.0)).all()
    bench.node.GetSegmentation().GetSegment("c").SetName("B")
    with pytest.raises(AmbiguousNameError):
        bench.do(editors.select, "B")
    bench.node.GetSegmentation().RemoveSegment("b")
    assert bench.do(editors.state)["segment"] is None
    with pytest.raises(ArgumentError, match="No segment is selected"):
        bench.do(editing.paint, MIDDLE, 3.0)


def test_open_without_a_volume(bench: Bench) -> None:
    """It takes that on which the segmentation was made; without one, shapes can still be edited."""
    scene = bench.host.slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(ArgumentError, match="no volume to take one from"):
        editors.open_editor(bench.host, node.GetID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(bench.volume)
    node.GetSegmentation().AddEmptySegment("x")
    assert editors.open_editor(bench.host, node.GetID())["volume"].id == bench.volume.GetID()
    scene.RemoveNode(bench.volume)
    assert editors.open_editor(bench.host, node.GetID())["volume"] is None
    assert editing.paint(bench.host, node.GetID(), MIDDLE, 5.0) == ball(radius=5.0).sum()
    with pytest.raises(ArgumentError, match="no source volume"):
        editing.threshold(bench.host, node.GetID(), 1, 2)
    with pytest.raises(ArgumentError, match="no source volume"):
        editors.mask(bench.host, node.GetID(), intensity=(1, 2))


def test_a_colour_volume_has_no_intensities(bench: Bench) -> None:
    colours = bench.host.add_volume(np.zeros((*SHAPE, 3), np.uint8), AFFINE, "rgb")
    with pytest.raises(ArrayError, match="several values"):
        editors.open_editor(bench.host, bench.node.GetID(), colours.GetID())


def test_a_volume_on_another_grid(bench: Bench) -> None:
    """The segmentation keeps its grid: intensities are taken to it, compared with SimpleITK's resampling."""
    coarse = AFFINE @ np.diag([2.0, 1.5, 0.8, 1.0])
    k, j, i = np.indices((22, 18, 18))
    ras = np.stack([i, j, k, np.ones(i.shape)], axis=-1) @ coarse.T
    values = (100 + 2 * ras[..., 0] - 3 * ras[..., 1] + ras[..., 2]).astype(np.float32)
    other = bench.host.add_volume(values, coarse, "coarse")
    editors.open_editor(bench.host, bench.node.GetID(), other.GetID())
    assert bench.host.segment_editor(bench.node).grid().shape == SHAPE
    bench.do(editing.threshold, 100, None)
    k, j, i = np.indices(SHAPE)
    here = np.stack([i, j, k, np.ones(SHAPE)], axis=-1) @ AFFINE.T
    exact = 100 + 2 * here[..., 0] - 3 * here[..., 1] + here[..., 2]
    inner = (slice(1, -1), slice(1, -2), slice(1, -2))
    assert (bench.get() == (exact >= 100))[inner].mean() > 0.999
