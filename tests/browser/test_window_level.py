"""Window and level, and the slider of a sequence, in JupyterLab: by mouse, keys and numbers, also while a cell runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import SHORT, Lab, Notebook, theme, waits_for, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

VOLUME = """\
import numpy as np
k, j, i = np.mgrid[0:30, 0:64, 0:64]
ball = np.hypot(np.hypot(i - 32, j - 32), 2 * k - 30)
values = np.where(ball < 12, 700, np.where(ball < 26, 40, -1000)) + np.random.default_rng(0).normal(0, 60, ball.shape)
volume = slicer.add_volume(values.astype(np.int16), np.diag([-1., -1, 2, 1]), "<i>Chest</i>")
volume.window_level = (400, 40)
"""

SEQUENCE = '''\
slicer.run("""
import numpy as np
from slicer_notebook.host.headless import start
builder = start().new_sequence("<i>beat</i>", index_name="time", index_unit="ms", indices=[40.0 * n for n in range(8)],
    block=np.zeros((8, 4, 5, 6), np.int16))
for number in range(8):
    builder.append(str(number), np.eye(4), {})
_ = builder.finish()
""")
[sequence] = slicer.nodes("vtkMRMLSequenceNode")
slider = sn.SequenceSlider(sequence)
slider'''

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    VOLUME,
    "widget = sn.WindowLevel(volume)\nwidget",
    SEQUENCE,
)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cell runs until there is this file."""
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab, gate: Path) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
    path = write_notebook(lab, "window_level.ipynb", *CELLS, waits_for(gate))
    found = Notebook(context.new_page(), lab, path)
    for text in ("sn.launch()", "np.mgrid", "sn.WindowLevel", "sn.SequenceSlider"):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def widget(notebook: Notebook) -> Locator:
    found = notebook.cell("sn.WindowLevel").locator(".sn-wl")
    notebook.value("setattr(volume, 'window_level', (400, 40)) or setattr(volume, 'threshold', None) or ''")
    expect(found.get_by_label("Window", exact=True)).to_have_value("400", timeout=SHORT)
    return found


@pytest.fixture
def slider(notebook: Notebook) -> Locator:
    return notebook.cell("sn.SequenceSlider").locator(".sn-seq")


def edges(notebook: Notebook) -> tuple[float, float]:
    """Lower and upper end of the window, as Slicer has them."""
    window, level = json.loads(notebook.value("list(volume.window_level)"))
    return level - window / 2, level + window / 2


def drag(page: Page, handle: Locator, dx: float) -> None:
    handle.hover()  # when the page has come to rest
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.down()
    page.mouse.move(x + dx / 2, y)
    page.mouse.move(x + dx, y)
    page.mouse.up()


def test_it_shows_the_histogram_and_what_it_counted(widget: Locator) -> None:
    expect(widget.locator(".sn-wl-curve")).to_have_attribute("d", re.compile("^M0 100L"), timeout=SHORT)
    expect(widget).to_contain_text("122,880 voxels")
    expect(widget.locator(".sn-wl-title strong")).to_have_text("<i>Chest</i>")
    expect(widget.get_by_label("Preset")).to_have_value("")


def test_an_edge_is_dragged_and_the_other_one_stays(notebook: Notebook, widget: Locator) -> None:
    notebook.scroll_to(widget)
    low, high = edges(notebook)
    assert (low, high) == (-160, 240)
    drag(notebook.page, widget.get_by_role("slider", name="Upper edge"), 90)
    expect(widget.get_by_label("Window", exact=True)).not_to_have_value("400")
    notebook.wait(lambda: edges(notebook)[1] > high + 50, "Slicer has it")
    assert edges(notebook)[0] == low


def test_the_body_is_dragged_as_a_whole(notebook: Notebook, widget: Locator) -> None:
    notebook.scroll_to(widget)
    low, high = edges(notebook)
    drag(notebook.page, widget.get_by_role("slider", name="Level"), -60)
    notebook.wait(lambda: edges(notebook)[0] < low - 50, "Slicer has it")
    moved = edges(notebook)
    assert moved[1] - moved[0] == high - low


def test_keys_move_what_has_the_focus(notebook: Notebook, widget: Locator) -> None:
    edge = widget.get_by_role("slider", name="Lower edge")
    edge.focus()
    edge.press("ArrowLeft")
    expect(edge).not_to_have_attribute("aria-valuenow", "-160", timeout=SHORT)
    notebook.wait(lambda: edges(notebook)[0] < -160, "Slicer has it")
    low, high = edges(notebook)
    assert high == 240
    edge.press("Shift+ArrowRight")
    notebook.wait(lambda: edges(notebook)[0] > low, "ten steps to the other side")


def test_numbers_presets_and_auto(notebook: Notebook, widget: Locator) -> None:
    window = widget.get_by_label("Window", exact=True)
    window.fill("321")
    window.press("Enter")
    expect(widget.get_by_role("slider", name="Upper edge")).to_have_attribute("aria-valuenow", "200.5", timeout=SHORT)
    notebook.wait(lambda: edges(notebook) == (-120.5, 200.5), "Slicer has it")
    widget.get_by_label("Preset").select_option("CT-Lung")
    expect(window).to_have_value("1400", timeout=SHORT)
    assert notebook.value("volume.window_level") == "(1400.0, -500.0)"
    widget.get_by_role("button", name="Auto").click()
    expect(widget.get_by_role("button", name="Auto")).to_have_attribute("aria-pressed", "true", timeout=SHORT)
    expect(widget.get_by_label("Preset")).to_have_value("")


def test_threshold_and_colours(notebook: Notebook, widget: Locator) -> None:
    widget.get_by_role("checkbox", name="Threshold").check()
    expect(widget.get_by_label("Threshold from")).to_have_value("-160", timeout=SHORT)
    widget.get_by_label("Threshold to").fill("900")
    widget.get_by_label("Threshold to").press("Enter")
    expect(widget.locator(".sn-wl-outside").first).to_be_visible()
    notebook.wait(lambda: notebook.value("volume.threshold") == "(-160.0, 900.0)", "Slicer has it")
    expect(widget.get_by_label("Threshold to")).to_have_value("900")
    widget.get_by_label("Colours").select_option("Iron")
    expect(widget.locator(".sn-wl-colors")).to_have_attribute("style", re.compile(r"rgb\(255, 0, 0\)"), timeout=SHORT)
    assert notebook.value("volume.color_table") == "'Iron'"
    notebook.value("setattr(volume, 'color_table', 'Grey') or ''")
    expect(widget.get_by_label("Colours")).to_have_value("Grey", timeout=SHORT)


def test_the_slider_shows_moves_and_plays(notebook: Notebook, slider: Locator) -> None:
    notebook.scroll_to(slider)
    expect(slider).to_contain_text("<i>beat</i>", timeout=SHORT)
    expect(slider).to_contain_text("1 of 8")
    bar = slider.get_by_role("slider", name="Volume")
    bar.focus()
    bar.press("ArrowRight")
    bar.press("ArrowRight")
    expect(slider).to_contain_text("time 80 ms")
    expect(slider).to_contain_text("3 of 8")
    notebook.wait(lambda: notebook.value("sequence.index") == "2", "Slicer has it")
    slider.get_by_role("button", name="Play").click()
    stop = slider.get_by_role("button", name="Stop")
    expect(stop).to_be_visible(timeout=SHORT)
    expect(slider).not_to_contain_text("3 of 8", timeout=SHORT)
    stop.click()
    expect(slider.get_by_role("button", name="Play")).to_be_visible(timeout=SHORT)
    assert notebook.value("sequence.playing") == "False"
    notebook.value("setattr(sequence, 'index', 7) or ''")
    expect(slider).to_contain_text("8 of 8", timeout=SHORT)


def test_it_works_while_a_cell_runs(notebook: Notebook, widget: Locator, gate: Path) -> None:
    running = notebook.start("os.path.exists")
    expect(running.locator(".jp-InputPrompt")).to_have_text("[*]:", timeout=SHORT)
    notebook.scroll_to(widget)
    widget.get_by_label("Preset").select_option("CT-Bone")
    # Slicer has done it, and said so: the browser shows what Slicer tells.
    expect(widget.get_by_label("Window", exact=True)).to_have_value("1000", timeout=SHORT)
    expect(running.locator(".jp-InputPrompt")).to_have_text("[*]:")
    gate.touch()
    assert notebook.value("volume.window_level") == "(1000.0, 400.0)"


def test_looks_and_accessibility(
    notebook: Notebook, widget: Locator, slider: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    page = notebook.page
    notebook.value("setattr(volume, 'threshold', (-300, 700)) or ''")
    expect(widget.locator(".sn-wl-outside").first).to_be_visible(timeout=SHORT)
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(widget)
            assert axe(page, ".sn-wl") == []
            assert axe(page, ".sn-seq") == []
            page.screenshot(path=screenshots / f"window_level_{name.lower()}.png")


def test_a_volume_that_is_removed_is_told(notebook: Notebook, widget: Locator) -> None:
    notebook.value("volume.remove() or ''")
    expect(widget).to_contain_text("no longer in the scene", timeout=SHORT)
    expect(widget.get_by_label("Window", exact=True)).to_be_disabled()
