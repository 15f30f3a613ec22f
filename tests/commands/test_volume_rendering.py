"""Volume rendering on a real scene: MRML's state, and what the 3-D view shows of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from slicer_notebook.commands import transfer_functions
from slicer_notebook.commands import volume_rendering as rendering
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.host.headless import HeadlessHost, start
from slicer_notebook.host.headless.views import DEFAULT_SIZE

SIZE = (200, 200)
SIDE = 64


def oblique() -> np.ndarray[Any, Any]:
    """IJK → RAS, mm: turned by 25° and 17°, 1 x 1.25 x 1.5 mm."""
    a, b = np.deg2rad([25, 17])
    turned = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turned = turned @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag([1, 1.25, 1.5])
    affine[:3, 3] = [-30, 10, 5]
    return affine


def ball(inside: float = 300, outside: float = -1000) -> np.ndarray[Any, Any]:
    """int16 [k, j, i]: a ball of radius 20 voxels in the middle."""
    k, j, i = np.mgrid[:SIDE, :SIDE, :SIDE] - (SIDE - 1) / 2
    return np.where(i**2 + j**2 + k**2 < 20**2, inside, outside).astype(np.int16)


@pytest.fixture
def host() -> Iterator[HeadlessHost]:
    """The Slicer of this process: an empty scene, a bare 3-D view of 200 x 200 that looks from the front."""
    found = start()
    found.clear()
    found.layout = "OneUp3D"
    view = found.view("1")
    view.size = SIZE
    background = view.node.GetBackgroundColor(), view.node.GetBackgroundColor2()
    quality = view.node.GetVolumeRenderingQuality()
    view.node.SetBoxVisible(False)
    view.node.SetAxisLabelsVisible(False)
    view.set_background((0, 0, 0))
    view.rotate_to_axis("A")
    found.drain_vtk()
    yield found
    view.node.SetBoxVisible(True)
    view.node.SetAxisLabelsVisible(True)
    view.set_background(background[0])
    view.node.SetBackgroundColor2(*background[1])
    view.node.SetVolumeRenderingQuality(quality)
    view.size = DEFAULT_SIZE
    # What VTK complains of during a test is that test's fault.
    assert [text for level, text in found.drain_vtk() if level == "error"] == []


@pytest.fixture
def slicer(host: HeadlessHost) -> Any:
    return host.slicer


@pytest.fixture
def volume(host: HeadlessHost, slicer: Any) -> Any:
    return host.add_volume(ball(), oblique(), "Ball")


Change = Callable[..., dict[str, Any]]


@pytest.fixture
def change(host: HeadlessHost, volume: Any) -> Change:
    """Changes how the ball is rendered."""
    return lambda **what: rendering.set_rendering(host, volume.GetID(), **what)


def picture(host: HeadlessHost) -> np.ndarray[Any, Any]:
    """float [y, x, 3] of the 3-D view."""
    return host.view("1").image(SIZE).astype(float)


def drawn(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bool [y, x]: where something is before the black background."""
    return image.max(axis=2) > 12


def display_of(slicer: Any, volume: Any) -> Any:
    return slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volume)


# -- visible, presets ------------------------------------------------------------------------------------------------


def test_a_read_makes_nothing(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    before = slicer.mrmlScene.GetNumberOfNodes()
    state = rendering.state(host, volume.GetID())
    assert (state["exists"], state["visible"], state["preset"]) == (False, False, None)
    rendering.set_rendering(host, volume.GetID(), visible=False)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_it_is_seen_hidden_and_seen_again(host: HeadlessHost, slicer: Any, volume: Any, change: Change) -> None:
    assert not drawn(picture(host)).any()
    state = change(preset="CT-AAA")
    assert (state["exists"], state["visible"], state["preset"]) == (True, False, "CT-AAA")
    assert not drawn(picture(host)).any()
    change(visible=True)
    host.view("1").fit()
    seen = drawn(picture(host))
    assert seen.sum() > 1000
    camera = host.view("1").camera_node.GetPosition()
    change(visible=False)
    assert not drawn(picture(host)).any()
    change(visible=True)
    assert np.array_equal(drawn(picture(host)), seen)
    assert host.view("1").camera_node.GetPosition() == camera


def test_the_first_time_the_views_show_all_of_it(host: HeadlessHost, volume: Any, change: Change) -> None:
    host.view("1").camera_node.SetPosition(5000, 5000, 5000)
    change(preset="CT-AAA", visible=True)
    seen = drawn(picture(host))
    assert seen.sum() > 1000
    assert not seen[0].any()
    assert not seen[:, 0].any()


def test_all_presets_are_there_with_their_icons(host: HeadlessHost, slicer: Any) -> None:
    names = rendering.presets(host)
    assert {"CT-Chest-Contrast-Enhanced", "MR-Default", "US-Fetal"} < set(names)
    assert len(names) == len(set(names)) == 31
    icons = rendering.icons(host)
    assert list(icons) == names
    for name, png in icons.items():
        assert png is not None, name
        assert PilImage.open(io.BytesIO(png)).size == (128, 100)
    assert len(set(icons.values())) > 25


def test_a_preset_of_somebody_else_has_no_icon(host: HeadlessHost, slicer: Any) -> None:
    logic = slicer.modules.volumerendering.logic()
    added = slicer.vtkMRMLVolumePropertyNode()
    added.Copy(logic.GetPresetByName("CT-Bone"))
    added.SetName("../2d/PET")
    logic.AddPreset(added)
    try:
        node = logic.GetPresetByName("../2d/PET")
        assert rendering.icons(host)["../2d/PET"] is None
    finally:
        logic.RemovePreset(node)


def test_a_preset_sets_what_slicer_has_in_it_and_changes_the_colours(
    host: HeadlessHost,
    slicer: Any,
    volume: Any,
    change: Change,
) -> None:
    pictures = {}
    for name in ("CT-AAA", "CT-Cardiac3"):
        state = change(preset=name, visible=True)
        theirs = slicer.modules.volumerendering.logic().GetPresetByName(name)
        ours = display_of(slicer, volume).GetVolumePropertyNode()
        for kind in ("opacity", "color", "gradient opacity"):
            assert np.array_equal(transfer_functions.read(theirs, kind), transfer_functions.read(ours, kind))
        assert (state["shade"], state["power"]) == (
            bool(theirs.GetVolumeProperty().GetShade()), theirs.GetVolumeProperty().GetSpecularPower(),
        )  # fmt: skip
        pictures[name] = picture(host)
    seen = drawn(pictures["CT-AAA"]) & drawn(pictures["CT-Cardiac3"])
    pale, red = (pictures[name][seen].mean(axis=0) for name in ("CT-AAA", "CT-Cardiac3"))
    assert red[0] / red[2] > 1.5 * pale[0] / pale[2]


def test_no_such_preset_is_said_and_changes_nothing(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change
) -> None:
    with pytest.raises(ArgumentError, match="CT-AAA2"):
        change(preset="CT-Nonsense", visible=True)
    assert display_of(slicer, volume) is None


# -- shift -----------------------------------------------------------------------------------------------------------


def test_a_shift_is_undone_exactly_for_every_preset(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change
) -> None:
    for name in rendering.presets(host):
        before = change(preset=name)
        for shift in (100.0, -3.3, 1e6):
            state = change(shift=shift)
            assert (state["preset"], state["shift"]) == (name, shift)
            assert np.allclose(state["opacity"][:, 0], before["opacity"][:, 0] + shift)
            assert np.allclose(state["color"][:, 0], before["color"][:, 0] + shift)
        after = change(shift=0.0)
        assert (after["preset"], after["shift"]) == (name, 0.0)
        for what in ("opacity", "color", "gradient_opacity"):
            assert np.array_equal(after[what], before[what]), (name, what)


def test_a_shift_of_somebody_else_is_seen(host: HeadlessHost, slicer: Any, volume: Any, change: Change) -> None:
    """Slicer's own slider moves the points; a scene file has seven digits of them."""
    for name in rendering.presets(host):
        change(preset=name, shift=77.0)
        node = display_of(slicer, volume).GetVolumePropertyNode()
        node.SetAttribute("slicer_notebook.rendering", None)
        text = node.GetPiecewiseFunctionString(node.GetScalarOpacity())
        node.GetPiecewiseFunctionFromString(text, node.GetScalarOpacity())
        state = rendering.state(host, volume.GetID())
        assert state["preset"] == name
        assert state["shift"] == pytest.approx(77, rel=1e-6)
    # Another preset, by Slicer's own way: what was noted of the former one is no more.
    node.Copy(slicer.modules.volumerendering.logic().GetPresetByName("MR-MIP"))
    state = rendering.state(host, volume.GetID())
    assert (state["preset"], state["shift"]) == ("MR-MIP", 0.0)
    node.GetScalarOpacity().AddPoint(1000, 0.123)
    assert rendering.state(host, volume.GetID())["preset"] is None


def test_a_shift_is_seen_in_the_picture(host: HeadlessHost, volume: Any, change: Change) -> None:
    change(preset="CT-AAA", visible=True)
    seen = picture(host)
    change(shift=500.0)  # the ball, 300, is below what is opaque now
    assert drawn(picture(host)).sum() < 0.05 * drawn(seen).sum()
    change(shift=0.0)
    assert np.array_equal(picture(host), seen)


def test_functions_that_were_set_are_moved_and_come_back(host: HeadlessHost, volume: Any, change: Change) -> None:
    change(preset="CT-AAA", shift=20.0)
    points = np.array([[0, 0], [200.1, 0.5], [300, 1]])
    state = change(opacity=points)
    assert (state["preset"], state["shift"]) == (None, 20.0)
    assert np.array_equal(state["opacity"], points)
    state = change(shift=0.0)
    assert np.allclose(state["opacity"], points - [20, 0], atol=1e-12)
    state = change(shift=20.0)
    assert np.array_equal(state["opacity"], points)
    state = change(preset="CT-AAA")
    assert (state["preset"], state["shift"]) == ("CT-AAA", 0.0)


# -- functions -------------------------------------------------------------------------------------------------------


def test_functions_are_what_was_set(host: HeadlessHost, slicer: Any, volume: Any, change: Change) -> None:
    opacity = np.array([[-1000, 0], [100.25, 0.0], [200, 1]])
    color = np.array([[-1000, 0, 0, 1], [299.5, 0, 1, 0], [400, 1, 0, 0]])
    gradient = np.array([[0, 0.25], [500, 1]])
    state = change(opacity=opacity, color=color, gradient_opacity=gradient)
    assert np.array_equal(state["opacity"], opacity)
    assert np.array_equal(state["color"], color)
    assert np.array_equal(state["gradient_opacity"], gradient)
    node = display_of(slicer, volume).GetVolumePropertyNode()
    assert node.GetScalarOpacity().GetValue(150.125) == pytest.approx(0.5)
    assert node.GetGradientOpacity().GetValue(250) == pytest.approx(0.625)
    assert node.GetColor().GetColor(299.5) == (0, 1, 0)


def test_colours_and_opacity_are_seen(host: HeadlessHost, volume: Any, change: Change) -> None:
    change(visible=True, shade=False, opacity=[[0, 0], [200, 1]], color=[[0, 0, 0, 1], [300, 0, 1, 0]])
    green = picture(host)
    middle = green[SIZE[1] // 2, SIZE[0] // 2]
    assert middle[1] > 180
    assert middle[0] < 30
    change(color=[[0, 0, 0, 1], [300, 1, 0, 0]])
    middle = picture(host)[SIZE[1] // 2, SIZE[0] // 2]
    assert middle[0] > 180
    assert middle[1] < 30
    change(opacity=[[0, 0], [500, 0.0]])
    assert not drawn(picture(host)).any()


@pytest.mark.parametrize(
    "wrong",
    [
        ("opacity", [[0, 0], [0, 1]], "do not rise"),
        ("opacity", [[10, 0], [0, 1]], "10, then 0"),
        ("opacity", [[0, 0], [1, 1.5]], "0 to 1"),
        ("opacity", [[0, 0], [1, np.nan]], "finite"),
        ("opacity", [[0, 0, 0]], r"shape \(1, 3\)"),
        ("opacity", [], "n from 1"),
        ("opacity", "much", "much"),
        ("color", [[0, 0], [1, 1]], "value, red, green, blue"),
        ("color", [[0, 0, 0, -0.1]], "-0.1"),
        ("gradient_opacity", [[0, 2]], "0 to 1"),
    ],
)
def test_functions_that_are_none_are_refused_and_change_nothing(
    host: HeadlessHost,
    volume: Any,
    change: Change,
    wrong: tuple[str, Any, str],
) -> None:
    what, points, words = wrong
    before = change(preset="CT-AAA")
    with pytest.raises(ArrayError, match=words):
        change(preset="CT-Bone", shade=False, **{what: points})
    after = rendering.state(host, volume.GetID())
    assert (after["preset"], after["shade"]) == ("CT-AAA", True)
    assert np.array_equal(before["opacity"], after["opacity"])


def test_moved_points_rise_where_numbers_have_no_digits_left() -> None:
    nodes = transfer_functions.checked("opacity", [[0, 0], [1e-12, 1], [2e-12, 0]])
    moved = transfer_functions.shifted(nodes, 1e6)
    assert (np.diff(moved[:, 0]) > 0).all()
    assert transfer_functions.shifted(nodes, 0) is nodes


# -- looks -----------------------------------------------------------------------------------------------------------


def test_shading_interpolation_quality(host: HeadlessHost, slicer: Any, volume: Any, change: Change) -> None:
    state = change(
        preset="CT-AAA", visible=True, ambient=0.5, diffuse=0.25, specular=0.75, power=20, interpolation="nearest",
        quality="maximum",
    )  # fmt: skip
    assert [state[name] for name in ("shade", "ambient", "diffuse", "specular", "power")] == [True, 0.5, 0.25, 0.75, 20]
    assert (state["interpolation"], state["quality"], state["preset"]) == ("nearest", "maximum", "CT-AAA")
    looks = display_of(slicer, volume).GetVolumePropertyNode().GetVolumeProperty()
    assert (looks.GetAmbient(), looks.GetInterpolationType()) == (0.5, 0)
    assert host.view("1").node.GetVolumeRenderingQuality() == 2
    change(quality="normal", specular=0.0, diffuse=1.0, ambient=0.0)
    lit = picture(host)
    change(shade=False)
    flat = picture(host)
    seen = drawn(lit) & drawn(flat)
    assert flat[seen].std() < 0.8 * lit[seen].std()
    for wrong in ({"ambient": 1.5}, {"power": 0.5}, {"shift": float("inf")}):
        with pytest.raises(ArgumentError, match="does not fit"):
            change(**wrong)


def test_both_methods_draw_the_same_and_keep_all_else(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change
) -> None:
    state = change(preset="CT-AAA", visible=True)
    # There is no graphics card where tests run.
    expected = "cpu" if "llvmpipe" in str(host.info()["renderer"]) else "gpu"
    assert state["method"] == expected
    rendering.crop(host, volume.GetID(), bounds=[-500, 500, -500, 500, -500, 500])
    change(shift=5.0)
    masks = {}
    for method in ("gpu", "cpu"):
        state = change(method=method)
        assert (state["method"], state["preset"], state["shift"]) == (method, "CT-AAA", 5.0)
        assert state["visible"]
        assert state["cropped"]
        masks[method] = drawn(picture(host))
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeRenderingDisplayNode") == 1
    assert (masks["gpu"] != masks["cpu"]).sum() < 0.05 * masks["gpu"].sum()


# -- cropping --------------------------------------------------------------------------------------------------------


def world_of(volume: Any, host: HeadlessHost) -> np.ndarray[Any, Any]:
    """IJK → world, 4x4, of a volume below a linear transform, by hand."""
    affine = np.array(host.affine(volume))
    parent = volume.GetParentTransformNode()
    return np.array(host.affine(parent)) @ affine if parent is not None else affine


def corners(roi: Any) -> np.ndarray[Any, Any]:
    """[8, 3] in the world, sorted."""
    matrix = roi.GetObjectToWorldMatrix()
    to_world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    half = np.array(roi.GetSize()) / 2
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, 8).T
    return np.array(sorted((signs * half @ to_world[:3, :3].T + to_world[:3, 3]).tolist()))


@pytest.mark.parametrize("moved", [False, True])
def test_the_roi_is_the_volumes_own_box(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change, moved: bool
) -> None:
    if moved:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = oblique()
        matrix[:3, :3] /= np.linalg.norm(matrix[:3, :3], axis=0)
        host.set_affine(transform, matrix)
        volume.SetAndObserveTransformNodeID(transform.GetID())
    state = change(cropped=True)
    roi = host.node(state["roi"])
    ends = np.array(np.meshgrid(*[[-0.5, SIDE - 0.5]] * 3)).reshape(3, 8).T
    to_world = world_of(volume, host)
    expected = np.array(sorted((ends @ to_world[:3, :3].T + to_world[:3, 3]).tolist()))
    assert np.allclose(corners(roi), expected, atol=1e-3)
    assert not state["roi_visible"]
    # It comes back to that.
    roi.SetSize(1, 2, 3)
    assert rendering.fit_roi(host, volume.GetID()) == state["roi"]
    assert np.allclose(corners(roi), expected, atol=1e-3)


def test_half_of_it_is_cropped_away_in_the_world(host: HeadlessHost, slicer: Any, volume: Any, change: Change) -> None:
    change(preset="CT-AAA", visible=True)
    whole = drawn(picture(host))
    center = (np.array(host.affine(volume)) @ [*[(SIDE - 1) / 2] * 3, 1])[:3]
    # Seen from the front, the patient's left (low R) is at the right.
    ref = rendering.crop(host, volume.GetID(), bounds=[[-500, center[0]], [-500, 500], [-500, 500]])
    low = drawn(picture(host))
    middle = round(np.nonzero(whole)[1].mean())
    at_left, at_right = slice(0, middle - 3), slice(middle + 3, None)
    assert low[:, at_left].sum() < 0.02 * whole.sum()
    assert low[:, at_right].sum() > 0.9 * whole[:, at_right].sum()
    # The same box, the other side.
    assert rendering.crop(host, volume.GetID(), bounds=[center[0], 500, -500, 500, -500, 500]) == ref
    high = drawn(picture(host))
    assert high[:, at_right].sum() < 0.02 * whole.sum()
    assert high[:, at_left].sum() > 0.9 * whole[:, at_left].sum()
    bounds = [0.0] * 6
    host.node(ref).GetRASBounds(bounds)
    assert np.allclose(bounds, [center[0], 500, -500, 500, -500, 500])
    change(cropped=False)
    assert np.array_equal(drawn(picture(host)), whole)
    assert rendering.state(host, volume.GetID())["roi"] == ref


def test_a_roi_of_somebody_else_crops_and_is_not_changed(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change
) -> None:
    change(preset="CT-AAA", visible=True)
    whole = drawn(picture(host)).sum()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Theirs")
    roi.CreateDefaultDisplayNodes()
    roi.SetDisplayVisibility(False)
    center = (np.array(host.affine(volume)) @ [*[(SIDE - 1) / 2] * 3, 1])[:3]
    roi.SetCenter(*center)
    roi.SetSize(10, 100, 10)
    assert rendering.crop(host, volume.GetID(), roi=roi.GetID()).id == roi.GetID()
    assert 0 < drawn(picture(host)).sum() < 0.3 * whole
    other = rendering.crop(host, volume.GetID(), bounds=[-9, 9, -9, 9, -9, 9])
    assert other.id != roi.GetID()
    assert roi.GetSize() == (10, 100, 10)


@pytest.mark.parametrize("bounds", [[0, 1, 0, 1, 1, 0], [0, 1, 0, 1], "all", [[0, 1], [0, 1], [0, np.inf]]])
def test_bounds_that_enclose_nothing_are_refused(host: HeadlessHost, volume: Any, bounds: Any) -> None:
    with pytest.raises(ArrayError, match="enclose nothing"):
        rendering.crop(host, volume.GetID(), bounds=bounds)
    with pytest.raises(ArgumentError, match="by a ROI or by bounds"):
        rendering.crop(host, volume.GetID())


def test_the_box_is_seen_and_the_volume_within(host: HeadlessHost, volume: Any, change: Change) -> None:
    """The inside of a ROI is translucent: a volume drawn on the CPU must not become noise beside it."""
    change(visible=True, shade=False, opacity=[[0, 0], [200, 1]], color=[[0, 0, 1, 0], [300, 0, 1, 0]], method="cpu")
    alone = picture(host)
    state = change(cropped=True, roi_visible=True)
    assert state["roi_visible"]
    host.node(state["roi"]).GetDisplayNode().SetHandlesInteractive(False)
    both = picture(host)
    assert drawn(both).sum() > 1.2 * drawn(alone).sum()
    ball = alone[..., 1] > 200
    assert np.median(both[ball][:, 1]) > 150
    assert (both[ball][:, 2] < 100).mean() > 0.9
    state = change(roi_visible=False)
    assert np.array_equal(picture(host), alone)


# -- transforms, other kinds of volumes ------------------------------------------------------------------------------


def centre(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array([axis.mean() for axis in np.nonzero(mask)])


def test_a_volume_below_a_transform_is_drawn_where_it_is(
    host: HeadlessHost, slicer: Any, volume: Any, change: Change
) -> None:
    """The picture is that of the volume with the transform hardened."""
    change(preset="CT-AAA", visible=True)
    host.view("1").camera_node.SetPosition(0, 400, 60)
    host.view("1").camera_node.SetFocalPoint(0, 40, 60)
    unmoved = drawn(picture(host))
    linear = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = [15, 0, 20]
    host.set_affine(linear, matrix)
    volume.SetAndObserveTransformNodeID(linear.GetID())
    moved = drawn(picture(host))
    step = centre(moved) - centre(unmoved)
    # From the front, R goes left in the picture (the x axis is reversed), S goes up.
    assert step[0] < -5
    assert step[1] < -4
    volume.HardenTransform()
    assert (drawn(picture(host)) != moved).sum() < 0.01 * moved.sum()


def test_a_volume_below_a_bent_transform_is_drawn_where_it_is(host: HeadlessHost, slicer: Any) -> None:
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform

    affine = oblique() @ np.diag([2, 2, 2, 1])
    volume = host.add_volume(np.ascontiguousarray(ball()[::2, ::2, ::2]), affine, "Small")
    rendering.set_rendering(host, volume.GetID(), preset="CT-AAA", visible=True)
    straight = drawn(picture(host))
    center = (affine @ [*[(SIDE / 2 - 1) / 2] * 3, 1])[:3]
    landmarks = vtkPoints(), vtkPoints()
    for offset in np.array(np.meshgrid(*[[-40.0, 40]] * 3)).reshape(3, -1).T:
        landmarks[0].InsertNextPoint(*(center + offset))
        # Raised where R is high, and the more so where S is high.
        landmarks[1].InsertNextPoint(*(center + offset + [0, 0, max(0.0, offset[0]) * (1.5 if offset[2] > 0 else 0.5)]))
    spline = vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(landmarks[0])
    spline.SetTargetLandmarks(landmarks[1])
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    bent.SetAndObserveTransformToParent(spline)
    volume.SetAndObserveTransformNodeID(bent.GetID())
    seen = drawn(picture(host))
    assert (seen != straight).sum() > 0.15 * straight.sum()
    volume.HardenTransform()
    assert (drawn(picture(host)) != seen).sum() < 0.08 * seen.sum()


def test_a_label_map_has_its_own_colours(host: HeadlessHost, slicer: Any) -> None:
    labels = (ball(2, 0)).astype(np.uint8)
    node = host.add_volume(labels, oblique(), "Labels", labelmap=True)
    state = rendering.set_rendering(host, node.GetID(), visible=True, shade=False)
    assert (state["preset"], state["interpolation"]) == (None, "nearest")
    color = [0.0] * 4
    node.GetDisplayNode().GetColorNode().GetColor(2, color)
    image = picture(host)
    seen = image[drawn(image)]
    assert len(seen) > 1000
    assert np.allclose(np.median(seen, axis=0) / 255, color[:3], atol=0.1)


@pytest.mark.parametrize("components", [3, 4])
def test_a_colour_volume_has_its_voxels_colours(host: HeadlessHost, slicer: Any, components: int) -> None:
    inside = ball(1, 0).astype(bool)
    voxels = np.zeros((SIDE, SIDE, SIDE, components), np.uint8)
    voxels[inside] = [255, 40, 0, 255][:components]
    # VTK takes the brightest voxel for 255 when it looks opacities up.
    voxels[SIDE // 2, SIDE // 2, SIDE // 2] = 255
    node = host.add_volume(voxels, oblique(), "Colours")
    state = rendering.set_rendering(
        host, node.GetID(), visible=True, shade=False, opacity=[[0, 0], [90, 0], [95, 1], [255, 1]]
    )
    assert state["colored"]
    image = picture(host)
    seen = np.median(image[drawn(image)], axis=0)
    assert drawn(image).sum() > 1000
    assert seen[0] > 100
    assert seen[1] < seen[0] / 4
    assert seen[2] < 12
    with pytest.raises(ArgumentError, match="voxels'"):
        rendering.set_rendering(host, node.GetID(), color=[[0, 0, 0, 0]])


def test_the_volume_of_a_sequence_is_rendered_as_the_item_that_is_shown(host: HeadlessHost, slicer: Any) -> None:
    k, j, i = np.mgrid[:32, :32, :32] - 15.5
    radius = np.sqrt(i**2 + j**2 + k**2)
    block = np.stack([np.where(radius < size, 300, -1000) for size in (5, 14)]).astype(np.int16)
    builder = host.new_sequence("Beat", index_name="time", index_unit="s", indices=[0.0, 1.0], block=block)
    for n in range(2):
        builder.append(f"Beat {n}", np.eye(4), {})
    sequence, _, proxy = builder.finish()
    rendering.set_rendering(host, proxy.GetID(), preset="CT-AAA", visible=True)
    small = drawn(picture(host)).sum()
    host.select_item(sequence, 1)
    large = drawn(picture(host)).sum()
    assert large > 4 * small > 0
    assert rendering.state(host, host.sequence_proxy(sequence).GetID())["preset"] == "CT-AAA"


def test_what_cannot_be_rendered_is_refused_by_name(host: HeadlessHost, slicer: Any) -> None:
    def add(array: np.ndarray[Any, Any]) -> str:
        found: str = host.add_volume(array, np.eye(4), "Odd").GetID()
        return found

    small = np.zeros((4, 4, 4), np.float32)
    infinite = small.copy()
    infinite[1, 2, 3] = -np.inf
    diffusion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", "DWI").GetID()
    cases = (
        (add(small[:1]), ArgumentError, "no more than a plane"),
        (add(np.zeros((4, 4, 4, 2), np.uint8)), ArgumentError, "2 values of uint8"),
        (add(np.zeros((4, 4, 4, 3), np.float32)), ArgumentError, "3 values of float32"),
        (add(infinite), ArrayError, "1 infinite"),
        (diffusion, ArgumentError, "each direction"),
    )
    for node, error, words in cases:
        with pytest.raises(error, match=words):
            rendering.set_rendering(host, node, visible=True)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeRenderingDisplayNode") == 0


def test_voxels_that_are_no_numbers_are_not_drawn(host: HeadlessHost, slicer: Any) -> None:
    voxels = ball().astype(np.float32)
    voxels[:5] = np.nan
    node = host.add_volume(voxels, oblique(), "Holes")
    rendering.set_rendering(host, node.GetID(), preset="CT-AAA", visible=True, method="cpu")
    with_holes = drawn(picture(host))
    host.set_voxels(node, ball().astype(np.float32))
    assert np.array_equal(drawn(picture(host)), with_holes)
