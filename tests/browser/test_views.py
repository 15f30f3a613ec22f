"""The grid of views in JupyterLab: enlarging, the camera, what is saved, rest while nobody looks, keys, looks."""

from __future__ import annotations

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
from tests.browser.lab import SHORT, Lab, Notebook, picture_of, theme, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "volume = slicer.dicom.load(slicer.dicom.series()[0])[0]",
    "views = sn.ViewThumbnails(slicer)\nviews",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    """A notebook that shows the grid of a chest CT; one for all tests."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "views.ipynb", *CELLS))
    for text in ("sn.launch()", "fetch()", "views = "):
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
def grid(notebook: Notebook) -> Locator:
    found = notebook.cell("views = ").locator(".sn-views")
    expect(found.locator(".sn-view img[src]")).to_have_count(4, timeout=SHORT)
    return found


def is_shown(image: Locator, expected: Any) -> bool:
    shown = picture_of(image)
    return shown.shape == expected.shape and bool(np.array_equal(shown, expected))


def test_each_view_has_its_name_orientation_offset_and_volume(grid: Locator) -> None:
    red = grid.locator("[data-view=Red]")
    expect(red.locator(".sn-view-name")).to_have_text("Red")
    expect(red.locator(".sn-view-facts")).to_have_text(re.compile(r"Axial · -?\d+\.\d mm"))
    expect(red.locator(".sn-view-second")).to_contain_text("W 1600 L -600 HU")
    expect(grid.locator("[data-view='1'] .sn-view-name")).to_have_text("3-D view")


def test_an_enlarged_view_is_worked_in(
    notebook: Notebook, grid: Locator, slicer: sn.Session, page: Page, axe: Callable[..., list[str]]
) -> None:
    red = slicer.view("Red")
    before = red.offset
    grid.locator("[data-view=Red] .sn-view-open").click()
    dialog = page.locator("dialog.sn-large")
    dialog.get_by_role("button", name="Work in the view").click()
    canvas = dialog.locator(".sn-live-canvas")
    expect(canvas).to_have_attribute("data-lossless", "true", timeout=SHORT)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -100)
    notebook.wait(lambda: red.offset == before + red.offset_step, "the next slice")
    # The arrows are Slicer's while the view is worked in, and the dialog's again afterwards.
    expect(canvas).to_be_focused()
    page.keyboard.press("ArrowLeft")
    notebook.wait(lambda: red.offset != before + red.offset_step, "another slice")
    assert axe(page, ".sn-large") == []
    dialog.get_by_role("button", name="Work in the view").click()
    expect(dialog.locator("img.sn-large-image")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    red.offset = before


def test_a_click_enlarges_arrows_go_on_and_escape_comes_back(  # noqa: PLR0917 - fixtures
    notebook: Notebook,
    grid: Locator,
    slicer: sn.Session,
    page: Page,
    screenshots: Path,
    axe: Callable[[Page, str], list[str]],
) -> None:
    opener = grid.locator("[data-view=Red] .sn-view-open")
    opener.click()
    dialog = grid.locator("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator(".sn-large-title")).to_contain_text("Red · Axial")
    large = dialog.locator("img")
    notebook.wait(lambda: picture_of(large).shape[0] > 400, "the large picture")
    slicer.view("Red").offset = -150.0
    expect(dialog.locator(".sn-large-title")).to_contain_text("-150.0 mm", timeout=SHORT)
    side = picture_of(large).shape[0]
    expected = slicer.view("Red").image((side, side)).array
    notebook.wait(partial(is_shown, large, expected), "the picture of the new offset")
    assert axe(page, ".sn-large") == []
    page.screenshot(path=screenshots / "view_enlarged.png")
    dialog.locator(".sn-view-camera").click()
    expect(dialog.get_by_role("status")).to_contain_text("The picture of Red is in the notebook.", timeout=SHORT)
    page.keyboard.press("ArrowRight")
    expect(dialog.locator(".sn-large-title")).to_have_text("3-D view")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(grid.locator("[data-view='1'] .sn-view-open")).to_be_focused()


def test_by_keys_alone(grid: Locator, page: Page) -> None:
    grid.locator("[data-view=Red] .sn-view-open").focus()
    page.keyboard.press("Enter")
    expect(grid.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(grid.locator("[data-view=Red] .sn-view-camera")).to_be_focused()
    page.keyboard.press("Enter")
    expect(grid.locator(".sn-views-said")).to_contain_text("The picture of Red is in the notebook.", timeout=SHORT)


def test_nothing_is_asked_for_while_the_grid_is_out_of_sight(
    notebook: Notebook, grid: Locator, slicer: sn.Session
) -> None:
    red = grid.locator("[data-view=Red] img")
    before = picture_of(red)
    # The notebook's end, where the next cells run, is far below.
    grid.evaluate("node => { node.style.marginBottom = '9000px'; }")
    notebook.wait(lambda: notebook.value("print(views.paused)") == "True", "the pause")
    # Another one, which is in no page and so does not rest, shows when this one would have followed.
    notebook.value("other = sn.ViewThumbnails(slicer)")
    seen = "print([view.get('facts', {}).get('offset') for view in (%s._views or [{}])][0])"
    slicer.view("Red").offset = -100.0
    notebook.wait(lambda: notebook.value(seen % "other") == "-100.0", "the one that does not rest")
    assert notebook.value(seen % "views") != "-100.0"
    notebook.value("other.close()")
    assert np.array_equal(picture_of(red), before)
    grid.evaluate("node => { node.style.marginBottom = ''; }")
    notebook.scroll_to(grid)
    expected = slicer.view("Red").image((320, 320)).array
    notebook.wait(partial(is_shown, red, expected), "the present picture")


def test_looks_and_accessibility(
    notebook: Notebook, grid: Locator, page: Page, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(grid)
            assert axe(page, ".sn-views") == []
            page.screenshot(path=screenshots / f"views_{name.lower()}.png")


def test_the_camera_puts_pictures_into_the_notebook_and_its_file(
    notebook: Notebook, grid: Locator, page: Page, lab: Lab, screenshots: Path
) -> None:
    cell = notebook.cell("views = ")
    taken = cell.locator(".jp-OutputArea-output figure:has(figcaption strong)")
    before = taken.count()
    for count, name in enumerate(("Red", "Green"), before + 1):
        grid.locator(f"[data-view={name}] .sn-view-camera").click()
        expect(taken).to_have_count(count, timeout=SHORT)
        expect(taken.nth(count - 1)).to_contain_text(re.compile(rf"{name} · \w+ · -?\d+\.\d mm"))
    expect(taken.last).to_contain_text("W 1600 L -600 HU")
    notebook.scroll_to(taken.last)
    page.screenshot(path=screenshots / "view_taken.png")
    notebook.save()
    saved = json.loads((lab.root / "views.ipynb").read_text(encoding="utf-8"))
    [found] = [
        output["metadata"]["slicer_notebook"]
        for output in saved["cells"][2]["outputs"]
        if "slicer_notebook" in output.get("metadata", {})
    ]
    assert [each["view"] for each in found[before:]] == ["Red", "Green"]
    assert found[0]["series"] == notebook.value("print(volume.attributes['DICOM.SeriesInstanceUID'])")
    assert (found[0]["window"], found[0]["level"]) == (1600.0, -600.0)
    # A reloaded page cannot change that output: the widget shows what is taken.
    again = Notebook(page, lab, "views.ipynb")
    strip = again.cell("views = ").locator(".sn-views-strip figure")
    expect(strip).to_have_count(before + 2, timeout=SHORT)
    again.cell("views = ").locator("[data-view=Yellow] .sn-view-camera").click()
    expect(strip).to_have_count(before + 3, timeout=SHORT)
