"""The panel of volume rendering in JupyterLab: mouse and keyboard, and what Slicer has afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    """\
import json
import threading
import time
import numpy as np
import slicer_notebook as sn
slicer = sn.launch()
def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.05)
    return condition()""",
    """\
k, j, i = np.mgrid[:32, :32, :32] - 15.5
volume = slicer.add_volume((400 - 60 * np.sqrt(i**2 + j**2 + k**2)).astype(np.int16), name="<b>Cone</b>")
seen = []
panel = sn.VolumeRenderingPanel(volume, preset="CT-Fat")
panel.observe(lambda change: seen.append((change.name, change.new)))
panel""",
    "until(lambda: volume.rendering.shift == 33, 60) and print('let go')",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 1100}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "rendering.ipynb", *CELLS))
    for text in ("sn.launch()", "panel = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    found = notebook.cell("panel = ").locator(".sn-render")
    notebook.scroll_to(found)
    return found


def value(notebook: Notebook, code: str) -> Any:
    """What an expression is in the notebook, through JSON."""
    return json.loads(notebook.value(f"print(json.dumps({code}))"))


def until(notebook: Notebook, code: str) -> None:
    """Wait until an expression is true in the notebook. A cell runs meanwhile: the panel works nevertheless."""
    assert notebook.value(f"bool(until(lambda: {code}))") == "True", code


def test_a_click_takes_a_preset_and_shows_the_volume(notebook: Notebook, panel: Locator) -> None:
    expect(panel.locator(".sn-render-head strong")).to_have_text("<b>Cone</b>", timeout=SHORT)
    presets = panel.get_by_role("radio")
    expect(presets).to_have_count(31)
    loaded = panel.locator(".sn-render-preset img").evaluate_all("all => all.every(each => each.naturalWidth === 128)")
    assert loaded
    panel.get_by_role("radio", name="CT-Bone", exact=True).click()
    until(notebook, "volume.rendering.preset == 'CT-Bone' and volume.rendering.visible")
    expect(panel.get_by_role("button", name="Hide in the 3-D views")).to_have_attribute("aria-pressed", "true")
    panel.get_by_role("radio", name="CT-Bone", exact=True).press("ArrowRight")
    expect(panel.get_by_role("radio", name="CT-Bones")).to_be_focused()
    until(notebook, "volume.rendering.preset == 'CT-Bones'")
    assert value(notebook, "panel.preset") == "CT-Bones"
    assert ["preset", "CT-Bones"] in value(notebook, "seen")


def test_what_changes_elsewhere_is_seen(notebook: Notebook, panel: Locator) -> None:
    notebook.value("setattr(volume.rendering, 'preset', 'MR-Default') or ''")
    expect(panel.get_by_role("radio", name="MR-Default")).to_have_attribute("aria-checked", "true", timeout=SHORT)
    notebook.value("setattr(volume.rendering, 'visible', False) or ''")
    expect(panel.get_by_role("button", name="Show in the 3-D views")).to_be_visible(timeout=SHORT)


def test_the_shift_is_dragged_and_reset(notebook: Notebook, panel: Locator) -> None:
    shift = panel.get_by_role("slider", name="Shift")
    before = value(notebook, "volume.rendering.opacity.tolist()")
    place = shift.bounding_box()
    assert place
    mouse = notebook.page.mouse
    mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    mouse.down()
    mouse.move(place["x"] + place["width"] * 0.7, place["y"] + place["height"] / 2, steps=8)
    mouse.up()
    shown = float(shift.input_value())
    assert shown > 50
    until(notebook, f"volume.rendering.shift == {shown}")
    assert value(notebook, "panel.shift") == shown
    after = value(notebook, "volume.rendering.opacity.tolist()")
    assert after[1][0] == pytest.approx(before[1][0] + shown)
    panel.get_by_role("button", name="Reset").click()
    until(notebook, "volume.rendering.shift == 0")
    assert value(notebook, "volume.rendering.opacity.tolist()") == before


def test_points_are_added_dragged_moved_by_keys_and_removed(notebook: Notebook, panel: Locator) -> None:
    notebook.value("setattr(volume.rendering, 'opacity', [[-500, 0], [0, 0.2], [300, 1]]) or ''")
    dots = panel.locator(".sn-render-dot-opacity")
    expect(dots).to_have_count(3, timeout=SHORT)
    expect(dots.nth(1)).to_have_attribute("aria-label", re.compile("value 0, opacity 0.20"), timeout=SHORT)
    place = panel.locator(".sn-render-box").bounding_box()
    low, high = value(notebook, "volume.range")
    assert place

    def x_of(at: float) -> float:
        return float(place["x"] + (at - low) / (high - low) * place["width"])

    def y_of(opacity: float) -> float:
        return float(place["y"] + (1 - opacity) * place["height"])

    mouse = notebook.page.mouse
    mouse.move(x_of(0), y_of(0.2))
    mouse.down()
    mouse.move(x_of(100), y_of(0.6), steps=6)
    mouse.up()
    until(notebook, "abs(volume.rendering.opacity[1] - [100, 0.6]).max() < 8")
    [_, dragged, _] = value(notebook, "volume.rendering.opacity.tolist()")
    assert dragged == pytest.approx([100, 0.6], abs=8)
    assert dragged[1] == pytest.approx(0.6, abs=0.03)
    # Not past its neighbour.
    mouse.move(x_of(dragged[0]), y_of(dragged[1]))
    mouse.down()
    mouse.move(x_of(390), y_of(0.5), steps=6)
    mouse.up()
    until(notebook, "299 < volume.rendering.opacity[1, 0] < 300")
    mouse.dblclick(x_of(-200), y_of(0.4))
    expect(dots.nth(1)).to_be_focused()
    until(notebook, "len(volume.rendering.opacity) == 4")
    added = value(notebook, "volume.rendering.opacity.tolist()")[1]
    assert added[0] == pytest.approx(-200, abs=8)
    assert added[1] == pytest.approx(0.4, abs=0.03)
    dots.nth(1).press("Shift+ArrowUp")
    until(notebook, f"abs(volume.rendering.opacity[1, 1] - {added[1] + 0.1}) < 1e-6")
    panel.get_by_label("Value of the point").fill("-150")
    panel.get_by_label("Value of the point").press("Enter")
    until(notebook, "volume.rendering.opacity[1, 0] == -150")
    dots.nth(1).press("Delete")
    until(notebook, "len(volume.rendering.opacity) == 3")
    expect(panel.get_by_role("status").filter(has_text="edited")).to_be_visible()


def test_colours_are_chosen(notebook: Notebook, panel: Locator) -> None:
    notebook.value("setattr(volume.rendering, 'color', [[-500, 0, 0, 1], [300, 1, 1, 0]]) or ''")
    dots = panel.locator(".sn-render-dot-color")
    expect(dots).to_have_count(2, timeout=SHORT)
    dots.nth(1).focus()
    panel.get_by_label("Colour of the point").fill("#00ff00")
    until(notebook, "volume.rendering.color.tolist()[1] == [300, 0, 1, 0]")
    panel.get_by_role("button", name="Add colour").click()
    until(notebook, "len(volume.rendering.color) == 3")


def test_box_and_light(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_label("Crop", exact=True).check()
    panel.get_by_label("Show box").check()
    until(notebook, "volume.rendering.cropped and volume.rendering._state()['roi_visible']")
    panel.get_by_label("Quality", exact=True).select_option("maximum")
    until(notebook, "volume.rendering.quality == 'maximum'")
    panel.locator("summary").click()
    panel.get_by_label("Shaded", exact=True).uncheck()
    until(notebook, "not volume.rendering.shading.on")
    panel.get_by_label("Shaded", exact=True).check()
    number = panel.get_by_label("Ambient, number")
    number.fill("0.5")
    number.press("Enter")
    until(notebook, "volume.rendering.shading.ambient == 0.5")


def test_looks_and_accessibility(
    notebook: Notebook, panel: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    notebook.value("setattr(volume.rendering, 'preset', 'CT-Chest-Contrast-Enhanced') or ''")
    chosen = panel.get_by_role("radio", name="CT-Chest-Contrast")
    expect(chosen).to_have_attribute("aria-checked", "true", timeout=SHORT)
    page = notebook.page
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(panel)
            assert axe(page, ".sn-render") == []
            panel.screenshot(path=screenshots / f"volume_rendering_{name.lower()}.png")


def test_it_works_while_a_cell_runs(notebook: Notebook, panel: Locator) -> None:
    cell = notebook.start("== 33, 60)")
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[*]:")
    number = panel.get_by_label("Shift, number")
    number.fill("33")
    number.press("Enter")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("let go", timeout=SHORT)


def test_the_saved_notebook_has_preset_and_functions(notebook: Notebook, panel: Locator, lab: Lab) -> None:
    notebook.save()
    saved = json.loads((lab.root / "rendering.ipynb").read_text(encoding="utf-8"))
    outputs = json.dumps(saved["cells"][1]["outputs"])
    assert "Transfer functions" in outputs
    assert "&lt;b&gt;Cone" in outputs
    assert "CT-Fat" in outputs
