"""Live views in JupyterLab: what is under the pointer, places on surfaces, and what is built with several clicks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

import slicer_notebook as sn
from tests.browser.hand import Hand
from tests.browser.lab import SHORT, Lab, Notebook, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "volume = slicer.dicom.load(slicer.dicom.series()[0])[0]",
    "red = slicer.view('Red').show(width=400, height=400)\nred",
    "three = slicer.view('3D').show(width=400, height=400)\nthree",
    "whole = slicer.show(height=560)\nwhole",
    "import ipywidgets\n"
    "views = ipywidgets.HBox([slicer.view(name).show(width=300, height=250) for name in ('Red', '3D')])\n"
    "scene = ipywidgets.VBox([sn.NodeSelector(slicer), sn.SceneTree(slicer)])\n"
    "ipywidgets.VBox([views, ipywidgets.Tab([scene, slicer.show(height=400)], titles=['Scene', 'Views'])])",
)
RED = "slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed')"


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    """A notebook with live views of a chest CT; one for all tests."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "more.ipynb", *CELLS))
    for text in ("sn.launch()", "fetch()", "red = ", "three = ", "whole = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture(scope="module")
def slicer(notebook: Notebook) -> Iterator[sn.Session]:
    """A session of the tests' own with the notebook's Slicer."""
    record = "next(each for each in sn.sessions() if each.name == slicer.name)"
    with sn.connect(notebook.value(f"print({record}.connection_file)")) as found:
        yield found


@pytest.fixture(scope="module")
def organs(slicer: sn.Session) -> Any:
    """Two segments of the CT that overlap: the right half and the front half of the body."""
    volume = slicer.nodes("vtkMRMLScalarVolumeNode")[0]
    k, j, i = volume.shape
    found = slicer.add_segmentation(reference=volume, name="Halves")
    for name, where in (("right", np.s_[:, :, : i // 2]), ("<i>front</i>", np.s_[:, : j // 2])):
        mask = np.zeros((k, j, i), np.uint8)
        mask[where] = 1
        found.add(name, mask, volume)
    return found


@pytest.fixture
def seen(notebook: Notebook) -> Callable[[str], Locator]:
    """The canvas in the cell with this text, with its still picture."""

    def find(text: str) -> Locator:
        found = notebook.cell(text).locator(".sn-live-canvas")
        # Out of sight it gets no frames: what it showed last may have been a moving one's.
        found.scroll_into_view_if_needed()
        expect(found).to_have_attribute("data-lossless", "true", timeout=SHORT)
        return found

    return find


def spot(notebook: Notebook, text: str) -> Locator:
    """The line below a view that tells what is under the pointer."""
    return notebook.cell(text).locator(".sn-live-spot")


def ras_of(slicer: sn.Session, canvas: Locator, x: float, y: float) -> Any:
    """RAS of the pixel of the red view that a hand is on, mm. Parts of the canvas's width and height."""
    to_ras = np.array(slicer.eval(f"slicer.util.arrayFromVTKMatrix({RED}.GetXYToRAS())"))
    width, height = slicer.eval(f"{RED}.GetDimensions()[:2]")
    box = canvas.bounding_box()
    assert box is not None
    # Without the border, of one pixel.
    across, down = (x * box["width"] - 1) / (box["width"] - 2), (y * box["height"] - 1) / (box["height"] - 2)
    return (to_ras @ [np.floor(across * width), np.ceil((1 - down) * height) - 1, 0, 1])[:3]


def in_words(volume: Any, ras: Any) -> str:
    """What the line says of a place in the CT, of its first lines' halves too."""
    letters = " ".join(
        f"{pair[int(value < 0)]} {abs(value):.1f}" for pair, value in zip(("RL", "AP", "SI"), ras, strict=True)
    )
    i, j, k = np.floor((np.linalg.inv(volume.affine) @ [*ras, 1])[:3] + 0.5).astype(int)
    segments = [
        name
        for name, inside in (("right", i < volume.shape[2] // 2), ("<i>front</i>", j < volume.shape[1] // 2))
        if inside
    ]
    return " ".join([letters, f"{volume.name} {volume.array[k, j, i]} HU", *segments])


def test_what_is_under_the_pointer_is_told_below_the_view(
    notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session, organs: Any, screenshots: Path
) -> None:
    canvas, line = seen("red = "), spot(notebook, "red = ")
    volume = slicer.nodes("vtkMRMLScalarVolumeNode")[0]
    expect(line).to_have_text("")
    box = canvas.bounding_box()
    hand = Hand(canvas)
    for place in ((0.4, 0.4), (0.3, 0.3), (0.7, 0.3), (0.3, 0.7), (0.7, 0.7)):
        hand.to(*place)
        words = in_words(volume, ras_of(slicer, canvas, *place))
        expect(line).to_have_text(words, use_inner_text=True, timeout=SHORT)
    notebook.scroll_to(line)
    hand = Hand(canvas)
    hand.to(0.3, 0.3)
    expect(line).to_contain_text("front", timeout=SHORT)
    notebook.page.screenshot(path=screenshots / "live_spot.png")
    assert canvas.bounding_box()["height"] == box["height"], "the view has not moved"
    # Another slice under a pointer at rest, by somebody else: what was said is no more true, and is said anew.
    red = slicer.view("Red")
    red.offset += 3 * red.offset_step
    words = in_words(volume, ras_of(slicer, canvas, 0.3, 0.3))
    expect(line).to_have_text(words, use_inner_text=True, timeout=SHORT)
    red.offset -= 3 * red.offset_step
    notebook.page.mouse.move(1, 1)
    expect(line).to_have_text("", timeout=SHORT)


def test_a_layout_tells_of_the_view_under_the_pointer(
    notebook: Notebook, slicer: sn.Session, organs: Any, screenshots: Path
) -> None:
    whole, line = notebook.cell("whole = "), spot(notebook, "whole = ")
    whole.scroll_into_view_if_needed()
    for name in ("Red", "Green"):
        canvas = whole.locator(f".sn-live-canvas[data-view='{name}']")
        expect(canvas).to_have_attribute("data-lossless", "true", timeout=SHORT)
        Hand(canvas).to(0.4, 0.4)
        expect(line.locator("b").first).to_have_text(name, timeout=SHORT)
        expect(line).to_contain_text("HU")
    notebook.page.screenshot(path=screenshots / "live_spot_layout.png")
    Hand(whole.locator(".sn-live-canvas[data-view='1']")).to(0.5, 0.5)
    expect(line).to_have_text("", timeout=SHORT)


@pytest.fixture
def placed(slicer: sn.Session) -> Iterator[Callable[..., Any]]:
    """New markups of a kind, for whose points the mouse is. They are taken away afterwards."""
    made: list[Any] = []

    def begin(kind: str) -> Any:
        found = slicer.call("markups.add", points=np.zeros((0, 3)), name=kind, kind=kind)
        found.place(persistent=False)
        made.append(found)
        return found

    yield begin
    for each in made:
        each.end_place()
        each.remove()


def click(hand: Hand, x: float, y: float, button: Any = "left") -> None:
    hand.to(x, y)
    hand.press(button)


def test_lines_and_angles_are_placed_with_as_many_clicks_as_they_have_points(
    notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session, placed: Callable[..., Any]
) -> None:
    canvas = seen("red = ")
    hand = Hand(canvas)
    spots = [(0.3, 0.3), (0.6, 0.35), (0.5, 0.6)]
    for kind, count in (("line", 2), ("angle", 3)):
        markups = placed(kind)
        for spot in spots[:count]:
            assert markups.placing
            click(hand, *spot)
            expected = ras_of(slicer, canvas, *spot)
            notebook.wait(lambda m=markups, e=expected: len(m.points) and np.allclose(m.points[-1], e), "a point")
        notebook.wait(lambda m=markups: not m.placing, f"the end of the {kind}")
        assert np.allclose(markups.points, [ras_of(slicer, canvas, *spot) for spot in spots[:count]])


@pytest.mark.parametrize("ending", ["double", "right"])
def test_a_curve_ends_with_a_double_or_a_right_click(
    notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session, placed: Callable[..., Any], ending: str
) -> None:
    canvas = seen("red = ")
    hand = Hand(canvas)
    curve = placed("curve")
    spots = [(0.25, 0.3), (0.4, 0.2), (0.6, 0.3)]
    for spot in spots:
        click(hand, *spot)
    hand.to(0.7, 0.5)
    if ending == "double":
        hand.double()
        spots.append((0.7, 0.5))
    else:
        hand.press("right")
    notebook.wait(lambda: not curve.placing, "the end of the curve")
    hand.to(0.75, 0.6)
    notebook.wait(lambda: len(curve.points) == len(spots), "its points")
    assert np.allclose(curve.points, [ras_of(slicer, canvas, *spot) for spot in spots])


def test_a_boxs_side_is_dragged(notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session) -> None:
    canvas = seen("red = ")
    middle = ras_of(slicer, canvas, 0.5, 0.5)
    millimetre = 1 / np.linalg.norm(ras_of(slicer, canvas, 0.6, 0.5) - ras_of(slicer, canvas, 0.5, 0.5)) * 0.1
    roi = slicer.add_roi(middle, (80.0, 60.0, 40.0))
    slicer.run(f"slicer.mrmlScene.GetNodeByID('{roi.id}').GetDisplayNode().SetHandlesInteractive(True)")
    canvas = seen("red = ")
    hand = Hand(canvas)
    # The right side of the picture is the patient's left: x gets less.
    side = 0.5 + 40 * millimetre
    hand.to(side - 0.02, 0.5)
    hand.to(side, 0.5)
    notebook.wait(lambda: canvas.evaluate("canvas => canvas.style.cursor") not in ("", "default"), "another pointer")
    hand.drag("left", (side, 0.5), (side + 20 * millimetre, 0.5))
    notebook.wait(lambda: roi.size[0] > 95, "a larger box")
    assert roi.size == pytest.approx((100, 60, 40), abs=2.5)
    assert roi.center == pytest.approx((middle[0] - 10, *middle[1:]), abs=1.5)
    roi.remove()


#: Of the ball, RAS, mm.
CENTER, RADIUS = np.array([10.0, -20.0, -150.0]), 60.0


@pytest.fixture
def ball(slicer: sn.Session) -> Iterator[Any]:
    """A ball of many triangles, alone in the 3-D view."""
    slicer.run(
        "import vtk\n"
        "source = vtk.vtkSphereSource()\n"
        f"source.SetCenter({CENTER.tolist()})\n"
        f"source.SetRadius({RADIUS})\n"
        "source.SetPhiResolution(200)\n"
        "source.SetThetaResolution(200)\n"
        "source.Update()\n"
        "slicer.modules.models.logic().AddModel(source.GetOutput()).SetName('Ball')\n"
    )
    found = slicer["Ball"]
    slicer.view("3D").fit()
    yield found
    found.remove()


def seen_of_ball(slicer: sn.Session, canvas: Locator, x: float, y: float) -> tuple[Any, float]:
    """Where the ray through a place of the 3-D view enters the ball, RAS, and how large a pixel is there, mm."""
    camera = (
        "slicer.modules.cameras.logic().GetViewActiveCameraNode(slicer.util.getNode('vtkMRMLViewNode1')).GetCamera()"
    )
    box = canvas.bounding_box()
    assert box is not None
    width, height = box["width"] - 2, box["height"] - 2
    pixel = np.floor(x * box["width"] - 1), np.floor(y * box["height"] - 1)
    eye, focus, up = (np.array(slicer.eval(f"{camera}.Get{name}()")) for name in ("Position", "FocalPoint", "ViewUp"))
    angle = np.radians(slicer.eval(f"{camera}.GetViewAngle()"))
    ahead = (focus - eye) / np.linalg.norm(focus - eye)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    per_pixel = 2 * np.tan(angle / 2) / height
    ray = ahead + per_pixel * (
        (pixel[0] + 0.5 - width / 2) * right - (pixel[1] + 0.5 - height / 2) * np.cross(right, ahead)
    )
    ray /= np.linalg.norm(ray)
    along = (CENTER - eye) @ ray
    depth = along - np.sqrt(along**2 - (CENTER - eye) @ (CENTER - eye) + RADIUS**2)
    return eye + depth * ray, float(depth * per_pixel)


def test_a_point_lands_on_the_surface_in_3d_and_is_dragged_along_it(
    notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session, ball: Any, placed: Callable[..., Any]
) -> None:
    canvas = seen("three = ")
    points = placed("points")
    hand = Hand(canvas)
    click(hand, 0.45, 0.4)
    notebook.wait(lambda: len(points.points) == 1, "a point")
    expected, pixel = seen_of_ball(slicer, canvas, 0.45, 0.4)
    # The surface is oblique there: a pixel across is more along it.
    assert np.linalg.norm(points.points[0] - expected) < 2 * pixel
    assert np.linalg.norm(points.points[0] - CENTER) == pytest.approx(RADIUS, abs=0.1)

    hand.to(0.7, 0.8)
    hand.drag("left", (0.45, 0.4), (0.55, 0.55))
    expected, pixel = seen_of_ball(slicer, canvas, 0.55, 0.55)
    notebook.wait(lambda: np.linalg.norm(points.points[0] - expected) < 2 * pixel, "the point where it was dragged")
    assert np.linalg.norm(points.points[0] - CENTER) == pytest.approx(RADIUS, abs=0.1)


def test_shift_and_a_move_in_3d_show_the_place_of_the_surface_in_the_slices(
    notebook: Notebook, seen: Callable[[str], Locator], slicer: sn.Session, ball: Any
) -> None:
    canvas = seen("three = ")
    hand = Hand(canvas)
    hand.to(0.6, 0.6)
    canvas.page.keyboard.down("Shift")
    hand.to(0.45, 0.4)
    canvas.page.keyboard.up("Shift")
    expected, pixel = seen_of_ball(slicer, canvas, 0.45, 0.4)
    for name, place in zip(("Yellow", "Green", "Red"), np.abs(expected), strict=True):
        view = slicer.view(name)
        notebook.wait(lambda v=view, p=place: abs(abs(v.offset) - p) < 2 * pixel, name)


def test_in_boxes_and_tabs_views_are_as_large_as_they_are_asked_for(
    notebook: Notebook, slicer: sn.Session, screenshots: Path
) -> None:
    boxes = notebook.cell("HBox")
    notebook.run("HBox")
    for name in ("Red", "1"):
        canvas = boxes.locator(f".sn-live-canvas[data-view='{name}']").first
        canvas.scroll_into_view_if_needed()
        expect(canvas).to_have_attribute("data-lossless", "true", timeout=SHORT)
        assert canvas.evaluate("canvas => [canvas.clientWidth, canvas.clientHeight]") == [298, 248]
    notebook.page.screenshot(path=screenshots / "live_boxes.png")
    expect(boxes.get_by_role("treeitem").filter(has_text="3000566: CT").last).to_be_visible()
    hidden = boxes.locator(".sn-layout .sn-live-canvas[data-view='Green']")
    expect(hidden).to_be_hidden()
    boxes.get_by_role("tab", name="Views").click()
    expect(hidden).to_be_visible()
    hidden.scroll_into_view_if_needed()
    expect(hidden).to_have_attribute("data-lossless", "true", timeout=SHORT)
    green = slicer.view("Green")
    before = green.offset
    hand = Hand(hidden)
    hand.to(0.5, 0.5)
    hand.turn(-1)
    notebook.wait(lambda: green.offset != before, "another slice, in a tab")
    notebook.page.screenshot(path=screenshots / "live_tab.png")


def test_a_finger_does_what_the_left_button_does(
    browser: Any, lab: Lab, notebook: Notebook, slicer: sn.Session
) -> None:
    path = write_notebook(lab, "touch.ipynb", "import slicer_notebook as sn\nslicer = sn.connect()", CELLS[2])
    context = browser.new_context(viewport={"width": 1000, "height": 800}, has_touch=True)
    tablet = Notebook(context.new_page(), lab, path)
    tablet.run("sn.connect")
    tablet.run("red = ")
    canvas = tablet.cell("red = ").locator(".sn-live-canvas")
    canvas.scroll_into_view_if_needed()
    expect(canvas).to_have_attribute("data-lossless", "true", timeout=SHORT)
    volume = slicer.nodes("vtkMRMLScalarVolumeNode")[0]
    window, _ = volume.window_level
    box = canvas.bounding_box()
    assert box is not None
    finger = context.new_cdp_session(tablet.page)
    places = [{"x": box["x"] + box["width"] * part, "y": box["y"] + box["height"] * 0.5} for part in (0.3, 0.4, 0.5)]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
    for place in places[1:]:
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tablet.wait(lambda: volume.window_level[0] > window, "a wider window")
    context.close()
