"""Live views in JupyterLab: what the mouse and the keys do in Slicer, and what is seen of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import slicer_notebook as sn
from tests.browser.hand import Hand, shown
from tests.browser.lab import SHORT, Lab, Notebook, decoded, waits_for, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "volume = slicer.dicom.load(slicer.dicom.series()[0])[0]",
    "red = slicer.view('Red').show(width=400, height=400)\nred",
    "whole = slicer.show(height=560)\nwhole",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    """A notebook with a live view of a chest CT; one for all tests."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "live.ipynb", *CELLS))
    for text in ("sn.launch()", "fetch()", "red = ", "whole = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def page(notebook: Notebook) -> Page:
    return notebook.page


@pytest.fixture(scope="module")
def slicer(notebook: Notebook) -> Iterator[sn.Session]:
    """A session of the tests' own with the notebook's Slicer."""
    record = "next(each for each in sn.sessions() if each.name == slicer.name)"
    with sn.connect(notebook.value(f"print({record}.connection_file)")) as found:
        yield found


@pytest.fixture
def canvas(notebook: Notebook) -> Locator:
    found = notebook.cell("red = ").locator(".sn-live-canvas")
    # Out of sight it gets no frames: what it showed last may have been a moving one's.
    found.scroll_into_view_if_needed()
    expect(found).to_have_attribute("data-lossless", "true", timeout=SHORT)
    return found


@pytest.fixture
def cell_of(notebook: Notebook) -> Callable[[str], Locator]:
    """The canvas of a view in the whole layout."""
    whole = notebook.cell("whole = ")
    whole.scroll_into_view_if_needed()

    def find(name: str) -> Locator:
        found = whole.locator(f".sn-live-canvas[data-view='{name}']")
        found.scroll_into_view_if_needed()
        expect(found).to_have_attribute("data-lossless", "true", timeout=SHORT)
        return found

    return find


RED = "slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed')"


def same_as_slicers(notebook: Notebook, canvas: Locator, view: sn.View) -> bool:
    if canvas.get_attribute("data-lossless") != "true":
        return False
    seen, drawn = shown(canvas), view.image().array
    return seen.shape == drawn.shape and bool(np.array_equal(seen, drawn))


def in_shape(canvas: Locator) -> bool:
    """Whether the picture has the canvas's own size, which may end within a pixel."""
    width, height = canvas.evaluate("canvas => [canvas.clientWidth, canvas.clientHeight]")
    across, down = map(int, str(canvas.get_attribute("data-size")).split("x"))
    return abs(across - width) <= 1 and abs(down - height) <= 1


def test_the_wheel_goes_through_the_slices_and_the_still_picture_is_slicers_own(
    notebook: Notebook, canvas: Locator, slicer: sn.Session
) -> None:
    red = slicer.view("Red")
    before = red.offset
    hand = Hand(canvas)
    hand.to(0.5, 0.5)
    hand.turn(-3)
    notebook.wait(lambda: red.offset == before + 3 * red.offset_step, "three slices up")
    hand.turn(1)
    notebook.wait(lambda: red.offset == before + 2 * red.offset_step, "one down")
    notebook.wait(lambda: same_as_slicers(notebook, canvas, red), "the picture without loss")


def test_drags_window_zoom_and_pan(notebook: Notebook, canvas: Locator, slicer: sn.Session) -> None:
    volume = slicer.nodes("vtkMRMLScalarVolumeNode")[0]
    window, level = volume.window_level
    hand = Hand(canvas)
    hand.drag("left", (0.3, 0.3), (0.5, 0.4))
    notebook.wait(lambda: volume.window_level[0] > window and volume.window_level[1] != level, "another window")
    changed = volume.window_level

    field = slicer.eval(f"{RED}.GetFieldOfView()")
    hand.drag("right", (0.5, 0.5), (0.5, 0.7))
    notebook.wait(lambda: slicer.eval(f"{RED}.GetFieldOfView()")[0] < field[0], "nearer")

    origin = slicer.eval(f"{RED}.GetXYZOrigin()")
    hand.drag("middle", (0.5, 0.5), (0.6, 0.7))
    notebook.wait(lambda: slicer.eval(f"{RED}.GetXYZOrigin()") != origin, "another place")
    assert volume.window_level == changed, "only the left button changes the window"
    mode = "slicer.app.applicationLogic().GetInteractionNode().GetCurrentInteractionMode()"
    assert slicer.eval(f"{mode} == slicer.vtkMRMLInteractionNode.ViewTransform"), "the mouse is for what it was before"
    slicer.view("Red").fit()


def test_shift_and_a_move_show_the_place_in_all_views(notebook: Notebook, canvas: Locator, slicer: sn.Session) -> None:
    green = slicer.view("Green")
    before = green.offset
    hand = Hand(canvas)
    hand.to(0.4, 0.5)
    canvas.page.keyboard.down("Shift")
    hand.to(0.3, 0.3, steps=8)
    canvas.page.keyboard.up("Shift")
    notebook.wait(lambda: green.offset != before, "the green view at the place of the pointer")


def test_keys_are_slicers(notebook: Notebook, canvas: Locator, slicer: sn.Session) -> None:
    red = slicer.view("Red")
    Hand(canvas).to(0.5, 0.5)
    canvas.focus()
    before = red.offset
    canvas.page.keyboard.press("f")
    notebook.wait(lambda: red.offset == before + red.offset_step, "one slice forward")
    canvas.page.keyboard.press("b")
    notebook.wait(lambda: red.offset == before, "one slice back")


def test_markups_are_placed_and_dragged(notebook: Notebook, canvas: Locator, slicer: sn.Session) -> None:
    slicer.run(
        "points = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLMarkupsFiducialNode', 'Placed')\n"
        "points.CreateDefaultDisplayNodes()\n"
        "logic = slicer.app.applicationLogic()\n"
        "logic.GetSelectionNode().SetReferenceActivePlaceNodeClassName('vtkMRMLMarkupsFiducialNode')\n"
        "logic.GetSelectionNode().SetActivePlaceNodeID(points.GetID())\n"
        "logic.GetInteractionNode().SetPlaceModePersistence(0)\n"
        "logic.GetInteractionNode().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)\n"
    )
    points = slicer["Placed"]
    hand = Hand(canvas)
    hand.to(0.25, 0.25)
    canvas.page.mouse.down()
    canvas.page.mouse.up()
    notebook.wait(
        lambda: len(points.points) == 1 and slicer.eval("points.GetNumberOfDefinedControlPoints()") == 1, "a point"
    )
    first = points.points[0]
    to_ras = np.array(slicer.eval(f"slicer.util.arrayFromVTKMatrix({RED}.GetXYToRAS())"))
    width, height = slicer.eval(f"{RED}.GetDimensions()[:2]")
    expected = to_ras @ [0.25 * width, 0.75 * height, 0, 1]
    pixel = np.linalg.norm(to_ras[:3, 0])
    assert np.abs(first - expected[:3]).max() < 1.5 * pixel, "where the pointer was, to a pixel"

    window = slicer.nodes("vtkMRMLScalarVolumeNode")[0].window_level
    hand.to(0.4, 0.6)
    hand.drag("left", (0.25, 0.25), (0.35, 0.25))
    moved = first - 0.1 * width * pixel * np.array([1, 0, 0])  # to the right of the picture is the patient's left
    notebook.wait(lambda: np.abs(points.points[0] - moved).max() < 2 * pixel, "the point where it was dragged")
    assert slicer.nodes("vtkMRMLScalarVolumeNode")[0].window_level == window
    points.remove()


def test_the_3d_view_rotates_zooms_and_pans(
    notebook: Notebook, cell_of: Callable[[str], Locator], slicer: sn.Session
) -> None:
    canvas = cell_of("1")
    camera = "slicer.modules.cameras.logic().GetViewActiveCameraNode(slicer.util.getNode('vtkMRMLViewNode1'))"

    def state() -> Any:
        return np.array(slicer.eval(f"[{camera}.GetPosition(), {camera}.GetFocalPoint()]"))

    def distance(found: Any) -> float:
        return float(np.linalg.norm(found[0] - found[1]))

    hand = Hand(canvas)
    before = state()
    hand.drag("left", (0.5, 0.5), (0.7, 0.5))
    notebook.wait(lambda: not np.allclose(state()[0], before[0]), "a rotation")
    turned = state()
    assert np.allclose(turned[1], before[1])
    assert distance(turned) == pytest.approx(distance(before))
    hand.drag("right", (0.5, 0.4), (0.5, 0.6))
    notebook.wait(lambda: distance(state()) < 0.99 * distance(turned), "nearer")
    near = state()
    hand.drag("middle", (0.5, 0.5), (0.6, 0.6))
    notebook.wait(lambda: not np.allclose(state()[1], near[1]), "another focal point")
    notebook.wait(lambda: same_as_slicers(notebook, canvas, slicer.view("3D")), "the picture without loss")


def test_the_whole_layout_follows_slicers(
    notebook: Notebook, cell_of: Callable[[str], Locator], slicer: sn.Session, screenshots: Path
) -> None:
    for name in ("Red", "Yellow", "Green", "1"):
        notebook.wait(partial(in_shape, cell_of(name)), f"{name} in its own shape")
    notebook.page.screenshot(path=screenshots / "live_layout.png")
    slicer.layout = "OneUpRedSlice"
    whole = notebook.cell("whole = ")
    expect(whole.locator(".sn-layout-cell")).to_have_count(1, timeout=SHORT)
    red = cell_of("Red")
    notebook.wait(lambda: same_as_slicers(notebook, red, slicer.view("Red")), "the red view, large")
    slicer.layout = "FourUp"
    expect(whole.locator(".sn-layout-cell")).to_have_count(4, timeout=SHORT)
    for name in ("Red", "Yellow", "Green", "1"):
        cell_of(name)


def test_a_second_notebook_on_a_screen_with_small_pixels_sees_the_same(
    browser: Any, lab: Lab, notebook: Notebook, canvas: Locator, slicer: sn.Session
) -> None:
    red = slicer.view("Red")
    path = write_notebook(lab, "second.ipynb", "import slicer_notebook as sn\nslicer = sn.connect()", CELLS[2])
    context = browser.new_context(viewport={"width": 1000, "height": 800}, device_scale_factor=2)
    other = Notebook(context.new_page(), lab, path)
    other.run("sn.connect")
    other.run("red = ")
    second = other.cell("red = ").locator(".sn-live-canvas")
    # 400 pixels less the border, in the screen's own.
    expect(second).to_have_attribute("data-size", "796x796", timeout=SHORT)
    other.wait(lambda: same_as_slicers(other, second, red), "the picture in the screen's pixels")
    # What is done here is seen there; both have the size of the one that is used.
    before = red.offset
    hand = Hand(second)
    hand.to(0.5, 0.5)
    hand.turn(-1)
    notebook.wait(lambda: red.offset == before + red.offset_step, "the next slice")
    notebook.wait(lambda: same_as_slicers(notebook, canvas, red), "the same picture in the first notebook")
    context.close()
    hand = Hand(canvas)
    hand.to(0.5, 0.5)
    hand.turn(1)
    notebook.wait(lambda: same_as_slicers(notebook, canvas, red) and shown(canvas).shape[0] == 398, "its own size")


def test_a_busy_slicer_says_so_and_nothing_is_lost(
    notebook: Notebook, canvas: Locator, slicer: sn.Session, tmp_path: Path
) -> None:
    red = slicer.view("Red")
    before, step = red.offset, red.offset_step
    hand = Hand(canvas)
    hand.to(0.5, 0.5)
    gate = tmp_path / "gate"
    job = slicer.submit("code.run", code=waits_for(gate))
    for _ in range(20):
        hand.turn(-1)
    busy = notebook.cell("red = ").locator(".sn-live-busy")
    expect(busy).to_be_visible(timeout=SHORT)
    gate.touch()
    job.result(30)
    notebook.wait(lambda: red.offset == before + 20 * step, "all the turns of the wheel")
    expect(busy).to_be_hidden(timeout=SHORT)
    red.offset = before


def test_a_saved_notebook_has_the_last_picture_and_a_closed_slicer_says_so(
    notebook: Notebook, canvas: Locator, slicer: sn.Session, lab: Lab
) -> None:
    picture = slicer.view("Red").image().array

    def saved() -> str:
        notebook.save()
        cell = next(
            each
            for each in json.loads((lab.root / "live.ipynb").read_text())["cells"]
            if "red = " in "".join(each["source"])
        )
        return "".join("".join(each.get("data", {}).get("text/html", "")) for each in cell["outputs"])

    def in_it() -> bool:
        found = re.search(r'src="data:image/png;base64,([^"]+)"', saved())
        return found is not None and np.array_equal(decoded(base64.b64decode(found[1])), picture)

    notebook.wait(in_it, "the picture that was last seen, in the file")
    notebook.value("slicer.close()")
    expect(notebook.cell("red = ").locator(".sn-banner")).to_contain_text("closed", timeout=SHORT)
    notebook.wait(lambda: "was closed" in saved() and in_it(), "a line that says so, below the picture")
