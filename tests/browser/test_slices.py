"""The bar of a slice view and the comparison of two volumes in JupyterLab, with mouse and keyboard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import SHORT, Lab, Notebook, decoded, theme, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    """\
import numpy as np
k, j, i = np.mgrid[0:20, 0:60, 0:50]
affine = np.diag([-2.0, -2.0, 5.0, 1.0])
a = slicer.add_volume((10 * k + i).astype(np.int16), affine, "<b>A</b>")
b = slicer.add_volume((300 - 2 * j).astype(np.int16), affine, "B", show=False)
labels = slicer.add_volume((i > 25).astype(np.uint8), affine, "Mask", labelmap=True, show=False)
red = slicer.view("Red")""",
    "bar = sn.SliceController(red)\nbar",
    'compare = sn.Compare(a, b, orientation="Axial")\ncompare',
    # Ends when Slicer is where the hand has moved it; the kernel does nothing else meanwhile.
    """\
import time
end = time.monotonic() + 20
while red.offset != 95.0 and time.monotonic() < end:
    time.sleep(0.02)
'moved' if red.offset == 95.0 else 'not moved'""",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 1100}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "slices.ipynb", *CELLS))
    for text in ("sn.launch()", "mgrid", "SliceController", "sn.Compare"):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def bar(notebook: Notebook) -> Locator:
    return notebook.cell("SliceController").locator(".sn-slice")


@pytest.fixture
def compare(notebook: Notebook) -> Locator:
    return notebook.cell("sn.Compare").locator(".sn-compare")


def test_keys_move_the_slice_and_what_moves_it_elsewhere_is_seen(notebook: Notebook, bar: Locator) -> None:
    slider = bar.get_by_label("Slice offset", exact=True)
    number = bar.get_by_label("Slice offset, mm")
    notebook.value("setattr(red, 'offset', 10.0) or ''")
    expect(number).to_have_value("10.0", timeout=SHORT)
    slider.focus()
    slider.press("ArrowRight")
    expect(number).to_have_value("15.0")
    notebook.wait(lambda: notebook.value("red.offset") == "15.0", "the next slice")
    number.fill("42.5")
    number.press("Enter")
    notebook.wait(lambda: notebook.value("(red.offset, bar.offset)") == "(42.5, 42.5)", "an offset between slices")
    expect(slider).to_have_attribute("aria-valuetext", "42.5 mm S")


def test_the_mouse_drags_the_slider_while_a_cell_runs(notebook: Notebook, bar: Locator) -> None:
    slider = bar.get_by_label("Slice offset", exact=True)
    cell = notebook.start("time.monotonic")
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[*]:")
    notebook.scroll_to(bar)
    box = slider.bounding_box()
    assert box is not None
    mouse, height = notebook.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + 0.3 * box["width"], height)
    mouse.down()
    mouse.move(box["x"] + box["width"] - 1, height, steps=20)
    mouse.up()
    expect(bar.get_by_label("Slice offset, mm")).to_have_value("95.0")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("'moved'", timeout=SHORT)
    notebook.wait(lambda: notebook.value("(red.offset, bar.offset)") == "(95.0, 95.0)", "the last slice")


def test_layers_links_and_orientation_are_chosen(notebook: Notebook, bar: Locator) -> None:
    bar.get_by_label("Layers").click()
    bar.get_by_label("Foreground", exact=True).select_option(label="B")
    notebook.wait(lambda: notebook.value("red.foreground == b") == "True", "the foreground")
    opacity = bar.get_by_label("Foreground: opacity")
    opacity.focus()
    opacity.press("End")
    notebook.wait(lambda: notebook.value("red.foreground_opacity") == "1.0", "its opacity")
    bar.get_by_label("Label map", exact=True).select_option(label="Mask")
    bar.get_by_label("Label maps as outlines").click()
    notebook.wait(lambda: notebook.value("(red.label_map == labels, red.label_outline)") == "(True, True)", "outlines")
    bar.get_by_label("Background", exact=True).select_option(label="<b>A</b>")
    for title, attribute in (("Shown in 3-D", "visible_in_3d"), ("Linked: views of this group follow", "linked")):
        button = bar.get_by_label(title)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        notebook.wait(lambda attribute=attribute: notebook.value(f"red.{attribute}") == "True", title)  # type: ignore[misc]
    bar.get_by_label("Orientation").select_option(label="Coronal")
    notebook.wait(lambda: notebook.value("(red.orientation, bar.orientation)") == "('Coronal', 'Coronal')", "the turn")
    bar.get_by_label("Fit to the volume").click()
    notebook.value("setattr(red, 'linked', False) or setattr(red, 'foreground', None) or ''")
    expect(bar.get_by_label("Foreground", exact=True)).to_have_value("", timeout=SHORT)
    expect(bar.get_by_label("Linked: views of this group follow")).to_have_attribute("aria-pressed", "false")


def drawn(canvas: Locator) -> Any:
    """The pixels of a canvas: [height, width, 3]."""
    data = canvas.evaluate("(canvas) => [...atob(canvas.toDataURL().split(',')[1])].map((c) => c.charCodeAt(0))")
    return decoded(bytes(data))[..., :3].astype(int)


def test_the_comparison_draws_what_slicer_draws(notebook: Notebook, compare: Locator, lab: Lab) -> None:
    canvas = compare.locator("canvas")
    expect(canvas).to_have_attribute("aria-label", "blend of <b>A</b> and B, 50.0 mm", timeout=SHORT)
    for mode in ("Blend", "Checkerboard", "Swipe", "Side by side"):
        compare.get_by_label("Mode").select_option(label=mode)
        expect(canvas).to_have_attribute("aria-label", f"{mode.lower()} of <b>A</b> and B, 50.0 mm")
        notebook.wait(lambda mode=mode: notebook.value("compare.mode") == repr(mode.lower()), mode)  # type: ignore[misc]
        notebook.value("compare.image().save('compare.png') and ''")
        theirs = decoded((lab.root / "compare.png").read_bytes())[..., :3].astype(int)
        np.testing.assert_allclose(drawn(canvas), theirs, atol=2)


def test_the_border_is_dragged_and_slices_scrolled(notebook: Notebook, compare: Locator) -> None:
    canvas = compare.locator("canvas")
    compare.get_by_label("Mode").select_option(label="Swipe")
    notebook.scroll_to(compare)
    box = canvas.bounding_box()
    assert box is not None
    page = notebook.page
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50, steps=8)
    page.mouse.up()
    notebook.wait(lambda: abs(float(notebook.value("compare.position")) - 0.25) < 0.02, "the border")
    canvas.focus()
    canvas.press("ArrowUp")
    canvas.press("ArrowUp")
    expect(compare.locator(".sn-compare-where")).to_have_text("60.0 mm S", timeout=SHORT)
    notebook.wait(lambda: notebook.value("compare.offset") == "60.0", "the slice")


def test_looks_and_accessibility(
    notebook: Notebook, bar: Locator, compare: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    page = notebook.page
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(bar)
            assert axe(page, ".sn-slice") == []
            assert axe(page, ".sn-compare") == []
            page.screenshot(path=screenshots / f"slices_{name.lower()}.png")


def test_the_saved_notebook_has_the_pictures(notebook: Notebook, lab: Lab) -> None:
    notebook.save()
    saved = json.loads((lab.root / "slices.ipynb").read_text(encoding="utf-8"))
    assert "mm" in json.dumps(saved["cells"][2]["outputs"])
    assert "data:image/png" in json.dumps(saved["cells"][3]["outputs"])
