"""Segment editors in the headless Slicer: one for each segmentation, work by hand in the views, their end."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicer_notebook.commands.segment_shapes import brushed, whole
from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.headless import HeadlessHost
from tests.session.oblique import oblique_affine

Array = np.ndarray[Any, np.dtype[Any]]

SHAPE = (18, 26, 34)
AFFINE = oblique_affine((0.7, 1.1, 2.5))


@pytest.fixture
def oblique(slicer: Any, host: HeadlessHost) -> Any:
    """A volume at no right angle to the views, which show it."""
    node = host.add_volume(np.random.default_rng(0).integers(0, 300, SHAPE).astype(np.int16), AFFINE, "oblique")
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


@pytest.fixture
def node(slicer: Any) -> Any:
    found = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
    for name in "ab":
        found.GetSegmentation().AddEmptySegment(name, name)
    return found


def voxels(slicer: Any, node: Any, volume: Any, segment: str = "a") -> Array:
    found: Array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
    return found > 0


class Mouse:
    """A mouse in a view; pixels count from the left and the top."""

    def __init__(self, view: Any) -> None:
        self._interactor = view.native.interactor()
        self._height = view.size[1]

    def event(self, name: str, x: int, y: int) -> None:
        self._interactor.SetEventInformation(x, self._height - 1 - y, 0, 0)
        self._interactor.InvokeEvent(name)

    def drag(self, *places: tuple[int, int]) -> None:
        self.event("EnterEvent", *places[0])
        self.event("MouseMoveEvent", *places[0])
        self.event("LeftButtonPressEvent", *places[0])
        for place in places[1:]:
            self.event("MouseMoveEvent", *place)
        self.event("LeftButtonReleaseEvent", *places[-1])


def ras(view: Any, x: float, y: float) -> Array:
    """Where a pixel of a slice view is."""
    return np.array(view.node.GetXYToRAS().MultiplyPoint([x, view.size[1] - 1 - y, 0, 1])[:3])


@pytest.mark.parametrize("view", ["Red", "Green"])
@pytest.mark.parametrize("shape", ["circle", "sphere"])
def test_paint_with_the_mouse(host: HeadlessHost, oblique: Any, node: Any, view: str, shape: str) -> None:
    slicer, editor = host.slicer, host.segment_editor(node, oblique)
    editor.activate("paint", radius=5.0, shape=shape)
    shown = host.view(view)
    places = [(230, 250), (262, 241), (291, 260)]
    Mouse(shown).drag(*places)
    path = np.array([ras(shown, *place) for place in places])
    normal = editor.sight(shown).normal if shape == "circle" else None
    expected = np.zeros(SHAPE, bool)
    box = brushed(editor.grid(), path, 5.0, connect=True, normal=normal)
    expected[box.place] = box.inside
    found = voxels(slicer, node, oblique)
    # The mouse leaves a brush every tenth of its diameter: 0.03 mm less than the whole path at the most.
    assert expected.sum() > 30
    assert not (found & ~expected).any()
    narrow = brushed(editor.grid(), path, 5.0 - 0.04, connect=True, normal=normal)
    assert found[narrow.place][narrow.inside].all()
    assert editor.undo_texts == ("paint", "")
    editor.undo()
    assert not voxels(slicer, node, oblique).any()


def test_erase_with_the_mouse_where_a_mask_allows_it(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    editor = host.segment_editor(node, oblique)
    with editor.edit("fill"):
        editor.modify(whole(np.ones(SHAPE, bool)), "set")
    editor.parameters.SetSourceVolumeIntensityMask(True)
    editor.parameters.SetSourceVolumeIntensityMaskRange(100, 300)
    editor.activate("erase", radius=6.0, shape="sphere")
    Mouse(host.view("Red")).drag((256, 256))
    bright = slicer.util.arrayFromVolume(oblique) >= 100
    box = brushed(editor.grid(), ras(host.view("Red"), 256, 256)[None], 6.0)
    expected = np.ones(SHAPE, bool)
    expected[box.place] &= ~box.inside
    assert (voxels(slicer, node, oblique) == (expected | ~bright)).all()
    assert not voxels(slicer, node, oblique).all()


@pytest.mark.parametrize("effect", ["draw", "scissors"])
def test_draw_and_cut_with_the_mouse(slicer: Any, host: HeadlessHost, oblique: Any, node: Any, effect: str) -> None:
    from slicer_notebook.commands.segment_shapes import Cut, cut, drawn

    editor = host.segment_editor(node, oblique)
    with editor.edit("fill"):
        editor.modify(whole(np.full(SHAPE, effect == "scissors")), "set")
    editor.activate(effect, **({"operation": "erase_outside"} if effect == "scissors" else {}))
    shown = host.view("Yellow")
    places = [(180, 190), (340, 210), (300, 350), (200, 330)]
    Mouse(shown).drag(*places)
    polygon, sight = np.array(places, float), editor.sight(shown)
    if effect == "draw":
        expected = drawn(editor.grid(), sight, polygon).inside
    else:
        outside, mode = cut(editor.grid(), sight, polygon, Cut("erase_outside"))
        assert mode == "remove"
        expected = ~outside.inside
    assert 30 < expected.sum() < expected.size
    assert (voxels(slicer, node, oblique) == expected).all()


def test_cut_with_the_mouse_in_3d(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    from slicer_notebook.commands.segment_shapes import Cut, cut

    editor = host.segment_editor(node, oblique)
    with editor.edit("fill"):
        editor.modify(whole(np.ones(SHAPE, bool)), "set")
    shown = host.view("1")
    camera = shown.native.first_renderer().GetActiveCamera()
    camera.SetFocalPoint(*(AFFINE @ [17, 13, 9, 1])[:3])
    camera.SetPosition(*((AFFINE @ [17, 13, 9, 1])[:3] + np.array([60.0, -90.0, 40.0])))
    editor.activate("scissors", operation="erase_inside")
    places = [(240, 240), (280, 245), (270, 280), (235, 270)]
    Mouse(shown).drag(*places)
    expected = ~cut(editor.grid(), editor.sight(shown), np.array(places, float), Cut("erase_inside"))[0].inside
    assert (~expected).sum() > 100
    assert (voxels(slicer, node, oblique) == expected).all()


def test_nobody_paints_when_the_effect_has_ended(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    editor = host.segment_editor(node, oblique)
    editor.activate("paint", radius=5.0)
    assert editor.active_effect_label == "paint"
    editor.activate(None)
    assert editor.active_effect_label == ""
    Mouse(host.view("Red")).drag((256, 256), (280, 256))
    assert not voxels(slicer, node, oblique).any()


def test_a_threshold_is_seen_where_the_volume_is(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    editor, red = host.segment_editor(node, oblique), host.view("Red")
    node.GetSegmentation().GetSegment("a").SetColor(1, 0, 0)

    def reds() -> int:
        picture = red.image().astype(int)
        return int(((picture[..., 0] - picture[..., 1]) > 60).sum())

    assert reds() == 0
    editor.activate("threshold", lower=150)
    bright = reds()
    editor.activate("threshold", lower=150, upper=200)
    assert 1000 < reds() < bright
    assert editor.active_options == {"lower": 150, "upper": 200}
    other = host.add_volume(np.full((4, 40, 40), 170, np.int16), np.diag([2.0, 2.0, 2.0, 1.0]), "other")
    slicer.util.setSliceViewerLayers(background=other)
    assert reds() == 0, "of another volume than the one that is edited nothing is shown"
    slicer.util.setSliceViewerLayers(background=oblique)
    assert reds() > 1000
    assert not voxels(slicer, node, oblique).any()
    editor.activate(None)
    assert reds() == 0
    with pytest.raises(ArgumentError, match="empty"):
        editor.activate("threshold", lower=3, upper=2)


def test_the_editor_node_tells_who_works_how(host: HeadlessHost, oblique: Any, node: Any) -> None:
    editor, told = host.segment_editor(node, oblique), []
    editor.parameters.AddObserver("ModifiedEvent", lambda *_: told.append(editor.active_effect_label))
    editor.activate("paint", radius=3.0)
    assert told[-1] == "paint"
    assert editor.active_options == {"radius": 3.0, "shape": "circle"}
    before = len(told)
    editor.activate("paint", radius=4.0)
    assert len(told) > before
    editor.activate(None)
    assert told[-1] == ""
    assert editor.active_options == {}


def test_one_editor_takes_the_mouse(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
    other.GetSegmentation().AddEmptySegment("x", "x")
    first, second = host.segment_editor(node, oblique), host.segment_editor(other, oblique)
    first.activate("paint", radius=4.0)
    second.activate("paint", radius=4.0)
    assert first.active_effect_label == ""
    Mouse(host.view("Red")).drag((256, 256))
    assert not voxels(slicer, node, oblique).any()
    assert voxels(slicer, other, oblique, "x").any()
    assert host.segment_editor(node) is first


def test_the_brush_is_hidden_from_lists_and_files(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    before = {each.GetID() for each in host.nodes()}
    editor = host.segment_editor(node, oblique)
    editor.activate("paint")
    new = [each for each in host.nodes() if each.GetID() not in before]
    assert new
    for each in new:
        kept = each is editor.parameters or each.IsA("vtkMRMLSegmentationDisplayNode")
        assert each.GetHideFromEditors(), each.GetName()
        assert each.GetSaveWithScene() == kept, each.GetName()


def test_an_effect_needs_a_segment_and_a_volume(host: HeadlessHost, slicer: Any, oblique: Any) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    editor = host.segment_editor(empty, oblique)
    with pytest.raises(ArgumentError, match="No segment"):
        editor.activate("paint")
    empty.GetSegmentation().AddEmptySegment("x", "x")
    editor.set_active_segment_id("x")
    editor.activate("paint")
    assert editor.active_effect_label == "paint"


def test_an_editor_ends_with_its_segmentation(slicer: Any, host: HeadlessHost, oblique: Any) -> None:
    before = {each.GetID() for each in host.nodes()}
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
    node.GetSegmentation().AddEmptySegment("a", "a")
    host.segment_editor(node, oblique).activate("paint", radius=5.0)
    Mouse(host.view("Red")).drag((256, 256))
    ended: list[str] = []
    node.AddObserver("DeleteEvent", lambda *_: ended.append("node"))
    image = node.GetSegmentation().GetSegment("a").GetRepresentation("Binary labelmap")
    image.AddObserver("DeleteEvent", lambda *_: ended.append("voxels"))
    slicer.mrmlScene.RemoveNode(node)
    assert {each.GetID() for each in host.nodes()} == before
    del node, image
    gc.collect()
    assert sorted(ended) == ["node", "voxels"], "nobody holds what is large"


def test_an_empty_scene_has_no_editor(slicer: Any, host: HeadlessHost, oblique: Any, node: Any) -> None:
    editor = host.segment_editor(node, oblique)
    editor.activate("paint", radius=5.0)
    Mouse(host.view("Red")).drag((256, 256))
    host.clear()
    hidden = [each.GetName() for each in host.nodes() if "trame" in each.GetName() or "editor" in each.GetName()]
    assert hidden == []
    again = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
    again.GetSegmentation().AddEmptySegment("a", "a")
    volume = host.add_volume(np.zeros(SHAPE, np.int16), AFFINE, "v")
    assert host.segment_editor(again, volume) is not editor
    assert host.segment_editor(again).undo_texts == ("", "")


def test_the_state_is_saved_with_the_scene(
    slicer: Any, host: HeadlessHost, oblique: Any, node: Any, tmp_path: Path
) -> None:
    editor = host.segment_editor(node, oblique)
    with editor.edit("fill"):
        editor.modify(whole(np.ones(SHAPE, bool)), "set", segment="a")
    editor.set_active_segment_id("b")
    editor.parameters.SetOverwriteMode(editor.parameters.OverwriteNone)
    editor.parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editor.parameters.SetMaskSegmentID("a")
    host.save_scene(str(tmp_path / "scene.mrb"))
    host.clear()
    host.load(str(tmp_path / "scene.mrb"))
    again = host.segment_editor(host.node("s"))
    assert again.active_segment_id == "b"
    assert again.volume.GetName() == "oblique"
    assert again.parameters.GetOverwriteMode() == again.parameters.OverwriteNone
    assert again.parameters.GetMaskSegmentID() == "a"
    assert len(host.nodes("vtkMRMLSegmentEditorNode")) == 1
    assert again.mask("a").all()


def test_segments_that_are_surfaces_become_label_maps(slicer: Any, host: HeadlessHost, oblique: Any) -> None:
    from vtkmodules.vtkFiltersSources import vtkSphereSource

    centre = (AFFINE @ [17, 13, 9, 1])[:3]
    sphere = vtkSphereSource()
    sphere.SetCenter(*centre)
    sphere.SetRadius(9.0)
    sphere.SetPhiResolution(60)
    sphere.SetThetaResolution(60)
    sphere.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", [1, 0, 0], "ball")
    editor = host.segment_editor(node, oblique)
    assert node.GetSegmentation().GetSourceRepresentationName() == "Closed surface"
    found = editor.mask("ball")
    k, j, i = np.indices(SHAPE)
    distance = np.linalg.norm((np.stack([i, j, k, np.ones(SHAPE)], -1) @ AFFINE.T)[..., :3] - centre, axis=-1)
    grid = editor.grid()
    assert grid.shape == SHAPE
    assert (found == (distance <= 9.0))[np.abs(distance - 9.0) > 0.15].all()
    with editor.edit("more"):
        editor.modify(whole(distance <= 10.0), "add", segment="ball")
    assert node.GetSegmentation().GetSourceRepresentationName() == "Binary labelmap"
    surface = slicer.vtkMRMLSegmentationNode.GetClosedSurfaceInternalRepresentation(node, "ball")
    assert surface is not None, "it is still shown in 3-D"
    assert surface.GetBounds()[1] == pytest.approx(centre[0] + 10.0, abs=1.5)


def test_segments_on_another_grid_come_to_that_of_the_editor(slicer: Any, host: HeadlessHost, oblique: Any) -> None:
    """Each voxel of the grid is what the nearest one of the former grid was."""
    shifted = AFFINE.copy()
    shifted[:3, 3] += AFFINE[:3, :3] @ [3.2, -2.3, 0.9]
    labels = (np.random.default_rng(1).random(SHAPE) < 0.5).astype(np.uint8)
    other = host.add_volume(labels, shifted, "other grid")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "moved")
    node.SetReferenceImageGeometryParameterFromVolumeNode(other)
    node.GetSegmentation().AddEmptySegment("a", "a")
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, node, "a", other)
    node.SetReferenceImageGeometryParameterFromVolumeNode(oblique)
    editor = host.segment_editor(node, oblique)
    with editor.edit("nothing"):
        assert editor.mask("a").any()
    grid = editor.grid()
    k, j, i = np.indices(grid.shape)
    there = np.linalg.inv(shifted) @ grid.affine @ np.stack([i, j, k, np.ones(grid.shape)]).reshape(4, -1)
    near = np.rint(there[:3]).astype(int)
    inside = ((near >= 0) & (near < np.array(SHAPE[::-1])[:, None])).all(axis=0)
    expected = np.zeros(inside.shape, bool)
    expected[inside] = labels[tuple(near[::-1, inside])] > 0
    assert (editor.mask("a").ravel() == expected).all()
    assert expected.sum() > 5000
