"""A picture leaves everything as it was: every node of the scene, every camera and window, the pictures of all views.

What is compared: the scene as MRML's own XML; what each view, slice, composite, camera, layout, crosshair, interaction
and selection node prints of itself; cameras and windows of VTK; the pixels of all views. And nobody is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from slicer_notebook.commands import registry
from slicer_notebook.host.events import SceneWatcher
from slicer_notebook.host.headless import HeadlessHost

#: An oblique grid, 1 x 1.5 x 2.5 mm.
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.array([[-0.936, 0.289, 0.2], [-0.275, -0.956, 0.1], [0.219, 0.039, 0.975]]) * (1, 1.5, 2.5)
OBLIQUE[:3, 3] = 12, 18, -20
#: Nodes that say what a person looks at.
LOOKED_AT = (
    "AbstractView", "SliceComposite", "Camera", "Layout", "Crosshair", "Interaction", "Selection",
    "ScalarVolumeDisplay", "SliceDisplay", "SegmentationDisplay", "MarkupsDisplay", "ModelDisplay", "LinearTransform",
)  # fmt: skip
#: Pixels of a 3-D view that may differ: where two things are at one depth, the clipping range decides which is seen.
_SAME_DEPTH = 8
#: What a node prints that says nothing: when it changed, and where it is in memory.
_TIMES = re.compile(r"^\s*(MTime|Modified Time|Compute Time|Reference Count|UpdateTime):.*$|0x[0-9a-f]+", re.M)


@pytest.fixture
def scene(slicer: Any, host: HeadlessHost, segmentation: Any, points: Any, ball: Any) -> Any:
    """Two volumes (the second oblique), a label map, a segmentation, markups, a model; all of them seen."""
    voxels = np.random.default_rng(8).integers(0, 900, (16, 24, 30)).astype(np.int16)
    other = host.add_volume(voxels, OBLIQUE, "other")
    labels = host.add_volume((voxels > 500).astype(np.uint8), OBLIQUE, "labels", labelmap=True)
    slicer.util.setSliceViewerLayers(
        background=slicer.util.getNode("MRHead"),
        foreground=other,
        label=labels,
        foregroundOpacity=0.4,
        labelOpacity=0.5,
    )
    segmentation.CreateClosedSurfaceRepresentation()
    return slicer


# -- states ---------------------------------------------------------------------------------------------------------


def as_it_comes(_host: HeadlessHost) -> None:
    pass


def zoomed_and_panned(host: HeadlessHost) -> None:
    for name in ("Red", "Yellow"):
        node = host.view(name).node
        node.SetFieldOfView(37.0, 37.0, node.GetFieldOfView()[2])
        node.SetXYZOrigin(3.0, -2.0, 0.0)
        node.UpdateMatrices()
    host.view("Red").size = (400, 300)
    camera = host.view("1").camera_node
    camera.SetPosition(120, -340, 90)
    camera.SetFocalPoint(4, 5, 6)
    camera.SetViewUp(0.1, 0.2, 0.95)


def oblique_and_thick(host: HeadlessHost) -> None:
    for name in ("Red", "Green"):
        host.view(name).node.RotateToVolumePlane(host.node("other"))
    red = host.view("Red")
    red.node.SetSlabReconstructionEnabled(True)
    red.node.SetSlabReconstructionThickness(6)
    red.node.SetUseLabelOutline(True)
    red.node.SetRulerType(1)
    red.offset = 3.7
    host.view("1").node.SetRenderMode(1)


def linked_and_in_3d(host: HeadlessHost) -> None:
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        composite.SetLinkedControl(1)
        composite.SetHotLinkedControl(1)
    host.view("Green").orientation = "Axial"
    host.view("Red").node.SetSliceVisible(1)
    crosshair = host.nodes("vtkMRMLCrosshairNode")[0]
    crosshair.SetCrosshairMode(1)
    crosshair.SetCrosshairRAS(1, 2, 3)
    for display in host.nodes("vtkMRMLSliceDisplayNode"):
        display.SetIntersectingSlicesVisibility(1)
    for name in ("Red", "Yellow", "Green"):
        # Slicer draws these lines when a slice moves, and not yet when they are switched on.
        host.view(name).offset += 1.0


STATES = [
    ("FourUp", as_it_comes),
    ("FourUp", zoomed_and_panned),
    ("FourUp", oblique_and_thick),
    ("FourUp", linked_and_in_3d),
    ("OneUpYellowSlice", as_it_comes),
    ("OneUp3D", as_it_comes),
]


@pytest.fixture
def put_back(host: HeadlessHost) -> Iterator[None]:
    """Other tests get views as they know them."""
    yield
    host.layout = "FourUp"
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        composite.SetLinkedControl(0)
        composite.SetHotLinkedControl(0)
        composite.SetForegroundOpacity(0)
        composite.SetLabelOpacity(1)
    for display in host.nodes("vtkMRMLSliceDisplayNode"):
        display.SetIntersectingSlicesVisibility(0)
    host.nodes("vtkMRMLCrosshairNode")[0].SetCrosshairMode(0)
    for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        view = host.view(name)
        view.orientation = orientation
        view.node.SetSliceVisible(0)
        view.node.SetSlabReconstructionEnabled(False)
        view.node.SetUseLabelOutline(False)
        view.node.SetRulerType(0)
        view.node.SetXYZOrigin(0, 0, 0)
        view.node.UpdateMatrices()
    host.view("1").node.SetRenderMode(0)


# -- captures -------------------------------------------------------------------------------------------------------


def ask(host: HeadlessHost, command: str, /, **args: Any) -> Any:
    found = registry.get(command)
    return found.function(host, **found.bind(args))


def slice_names(host: HeadlessHost) -> list[str]:
    return [name for name in host.view_names() if host.view(name).kind == "slice"]


def images(host: HeadlessHost) -> None:
    for name in host.view_names():
        for size in (None, (60, 90), (512, 512), (301, 77)):
            ask(host, "view.image", name=name, size=size)


def pngs(host: HeadlessHost) -> None:
    for name in host.view_names():
        for size in (None, (64, 48)):
            assert ask(host, "view.png", name=name, size=size)


def pictures(host: HeadlessHost) -> None:
    """What thumbnails are made of, too."""
    for name in host.view_names():
        for size in ((320, 320), (256, 256), (90, 200)):
            assert ask(host, "view.picture", name=name, size=size)["png"]


def slice_images(host: HeadlessHost) -> None:
    """What does not say where to goes nowhere."""
    for name in ("Red", "Yellow", "Green"):
        ask(host, "view.slice_image", view=name, size=200)


def three_d_image(host: HeadlessHost) -> None:
    ask(host, "view.three_d_image", size=150)


def layout_images(host: HeadlessHost) -> None:
    for size in (None, (300, 200)):
        ask(host, "view.layout_image", size=size)


def gltf(host: HeadlessHost) -> None:
    if "1" in host.view_names():
        for box in (False, True):
            assert '"meshes"' in ask(host, "view.gltf", box=box)


def lightboxes(host: HeadlessHost) -> None:
    for args in (
        {"volume": "other", "orientation": "volume"},
        {"volume": "MRHead", "orientation": "Sagittal", "size": (70, 50)},
        {"field_of_view": (30.0, 30.0), "offsets": [1.0, -3.0]},
        {"view": "Yellow", "volume": "other"},
    ):
        ask(host, "view.lightbox", **{"count": 3, "size": 64, **args})


def comparisons(host: HeadlessHost) -> None:
    for mode in ("blend", "checkerboard", "swipe", "side by side"):
        ask(host, "view.compare", a="MRHead", b="other", mode=mode, size=80)
    ask(host, "view.compare_layers", a="other", b="MRHead", view="Green", orientation="Coronal", offset=2.0, size=80)


def captures_that_fail(host: HeadlessHost) -> None:
    from slicer_notebook.errors import ArgumentError

    for args in ({"size": 0}, {"orientation": "Sideways"}, {"offsets": [float("nan")]}, {"field_of_view": (0.0, 1.0)}):
        with pytest.raises(ArgumentError):
            ask(host, "view.lightbox", volume="other", **args)


CAPTURES: list[Callable[[HeadlessHost], None]] = [
    images, pngs, pictures, slice_images, three_d_image, layout_images, gltf, lightboxes, comparisons,
    captures_that_fail,
]  # fmt: skip


# -- what is as before ----------------------------------------------------------------------------------------------


def everything(host: HeadlessHost) -> dict[str, Any]:
    """All that a picture must leave as it is, by what it is."""
    scene = host.slicer.mrmlScene
    scene.SetSaveToXMLString(1)
    scene.Commit()
    found: dict[str, Any] = {"the scene as XML": scene.GetSceneXMLString()}
    scene.SetSaveToXMLString(0)
    for kind in LOOKED_AT:
        for node in host.nodes(f"vtkMRML{kind}Node"):
            found[f"{node.GetID()} as printed"] = _TIMES.sub("", str(node))
    for view in host.application.layout.all_views():
        camera = view.native.first_renderer().GetActiveCamera()
        # Not the clipping range: Slicer adapts it whenever window or camera change, to what was drawn last.
        found[f"{view.name}'s camera"] = [
            camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp(), camera.GetViewAngle(),
            camera.GetParallelScale(), camera.GetParallelProjection(),
        ]  # fmt: skip
        found[f"{view.name}'s window"] = view.size
    found["the layout"] = host.layout
    return found


def pixels(host: HeadlessHost) -> dict[str, Any]:
    """What all views show."""
    return {name: host.view(name).image().copy() for name in host.view_names()}


@contextmanager
def nobody_is_told(host: HeadlessHost) -> Iterator[None]:
    """No notebook hears of a change of the scene or of a view."""
    told: list[Any] = []
    watcher = SceneWatcher(host, lambda kind, data: told.append((kind, data)), lambda _seconds, _function: None)
    try:
        watcher.flush()
        told.clear()
        yield
        watcher.flush()
    finally:
        host.application.dirty_callbacks.remove(watcher.view_changed)
        watcher.close()
    assert told == [], f"notebooks were told of {told}"


@pytest.mark.parametrize(("layout", "state"), STATES, ids=[f"{layout}-{state.__name__}" for layout, state in STATES])
@pytest.mark.usefixtures("scene", "put_back")
def test_no_picture_moves_anything(host: HeadlessHost, layout: str, state: Callable[[HeadlessHost], None]) -> None:
    host.layout = layout
    state(host)
    shown = pixels(host)
    before = everything(host)
    for capture in CAPTURES:
        with nobody_is_told(host):
            capture(host)
        after = everything(host)
        moved = [what for what in before if after.get(what) != before[what]]
        assert (moved, sorted(after)) == ([], sorted(before)), f"{capture.__name__} moved {moved}"
    for name, picture in pixels(host).items():
        differ = int((picture != shown[name]).any(axis=-1).sum())
        assert differ <= (_SAME_DEPTH if host.view(name).kind == "3d" else 0), f"{differ} pixels of {name} differ"


@pytest.mark.usefixtures("scene", "put_back")
def test_the_comparison_sees_what_moves(host: HeadlessHost) -> None:
    """Each thing that a picture could move is in `everything`: else the test above would say nothing."""
    pixels(host)
    red, view = host.view("Red").node, host.view("1").node
    camera = host.view("1").camera_node
    composite = host.view("Red").logic.GetSliceCompositeNode()
    for move in (
        lambda: red.SetSliceOffset(red.GetSliceOffset() + 0.25),
        lambda: red.SetFieldOfView(100, 100, 1),
        lambda: red.SetXYZOrigin(1, 0, 0),
        lambda: red.SetSliceVisible(1),
        lambda: composite.SetForegroundVolumeID(None),
        lambda: composite.SetClipToBackgroundVolume(not composite.GetClipToBackgroundVolume()),
        lambda: camera.SetPosition(1, 2, 3),
        lambda: view.SetBoxVisible(not view.GetBoxVisible()),
        lambda: host.nodes("vtkMRMLCrosshairNode")[0].SetCrosshairRAS(9, 9, 9),
        lambda: setattr(host.view("Green"), "size", (99, 98)),
        lambda: setattr(host, "layout", "OneUp3D"),
    ):
        before = everything(host)
        move()
        after = everything(host)
        assert before != after
    composite.SetClipToBackgroundVolume(1)
    view.SetBoxVisible(1)
