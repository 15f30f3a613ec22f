"""The table of markups in JupyterLab: edited by mouse and by keyboard alone; it follows Slicer; looks; 1,000 points."""

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
    "import numpy as np\nimport slicer_notebook as sn\nslicer = sn.launch()",
    "points = slicer.add_markups([[1, 2, 3], [-40, 5.25, 6], [7, -80, 9]])\n"
    "points.name, points.labels = 'landmarks', ['nose', 'ear', '<b>chin</b>']\n"
    "table = sn.MarkupsTable(points)\ntable",
    "many = slicer.add_markups(np.random.default_rng(0).uniform(-99, 99, (1000, 3)), 'many')\nsn.MarkupsTable(many)",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "markups.ipynb", *CELLS))
    for text in ("sn.launch()", "points = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def table(notebook: Notebook) -> Locator:
    found = notebook.cell("points = ").locator(".sn-markups")
    expect(row(found, 0)).to_be_visible(timeout=SHORT)
    return found


def row(table: Locator, index: int) -> Locator:
    return table.locator(f".sn-markups-row[data-row='{index}']")


def cell(table: Locator, index: int, column: str) -> Locator:
    number = ["label", "r", "a", "s", "visible", "locked", "jump", "remove"].index(column)
    return row(table, index).locator(f"[data-column='{number}']")


def test_looks_and_accessibility(
    notebook: Notebook, table: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    page = notebook.page
    expect(cell(table, 2, "label")).to_have_text("<b>chin</b>")
    cell(table, 1, "label").click()
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(table)
            assert axe(page, ".sn-markups") == []
            table.screenshot(path=screenshots / f"markups_{name.lower()}.png")


def test_the_mouse_edits_hides_and_shows_the_way(notebook: Notebook, table: Locator) -> None:
    cell(table, 0, "r").dblclick()
    field = table.get_by_role("textbox")
    expect(field).to_have_value("1")
    field.fill("12,5")
    field.press("Enter")
    expect(cell(table, 0, "r")).to_have_text("12.50")
    assert notebook.value("points.points[0].tolist()") == "[12.5, 2.0, 3.0]"
    cell(table, 0, "label").dblclick()
    field.fill("tip")
    cell(table, 1, "a").click()
    expect(cell(table, 0, "label")).to_have_text("tip")
    cell(table, 2, "visible").click()
    expect(row(table, 2)).to_have_class(re.compile("sn-markups-hidden"), timeout=SHORT)
    cell(table, 2, "jump").click()
    cell(table, 2, "locked").click()
    expect(cell(table, 2, "locked")).to_contain_text("Unlock", timeout=SHORT)
    assert notebook.value("slicer.view('Green').offset") == "-80.0"
    assert notebook.value("(points.points_visible.tolist(), points.points_locked.tolist())") == (
        "([True, True, False], [False, False, True])"
    )
    assert notebook.value("table.selected") == "2"


def test_what_is_no_number_is_not_taken(notebook: Notebook, table: Locator) -> None:
    before = cell(table, 1, "s").inner_text()
    cell(table, 1, "s").dblclick()
    field = table.get_by_role("textbox")
    field.fill("deep")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.press("Escape")
    expect(cell(table, 1, "s")).to_have_text(before)


def test_the_keyboard_does_it_all(notebook: Notebook, table: Locator) -> None:
    page = notebook.page
    cell(table, 0, "label").click()
    page.keyboard.press("ArrowDown")
    expect(row(table, 1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.keyboard.type("left ear")
    # From one to the next, as in any table.
    page.keyboard.press("Tab")
    page.keyboard.type("-41.25")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("8.5")
    page.keyboard.press("Enter")
    expect(row(table, 2)).to_have_attribute("aria-selected", "true")
    notebook.wait(lambda: notebook.value("points.points[1].tolist()") == "[-41.25, 5.25, 8.5]", "the new place")
    assert notebook.value("points.labels[1]") == "'left ear'"
    page.keyboard.press("Shift+Tab")
    notebook.scroll_to(table)
    cell(table, 1, "label").click()
    page.keyboard.press(" ")
    notebook.wait(lambda: notebook.value("slicer.view('Red').offset") == "8.5", "the slice")


def test_it_follows_what_others_do(notebook: Notebook, table: Locator) -> None:
    notebook.value("points.edit(0, position=(100, 101, 102), label='moved') or ''")
    expect(cell(table, 0, "s")).to_have_text("102.00", timeout=SHORT)
    expect(cell(table, 0, "label")).to_have_text("moved")
    notebook.value("points.add((5, 5, 5), 'new') and ''")
    expect(cell(table, 3, "label")).to_have_text("new", timeout=SHORT)
    notebook.value("setattr(table, 'selected', 3) or ''")
    expect(row(table, 3)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    cell(table, 3, "remove").click()
    expect(row(table, 3)).to_have_count(0, timeout=SHORT)
    assert notebook.value("len(points)") == "3"
    assert notebook.value("table.selected is None") == "True"


def test_the_button_places_points(notebook: Notebook, table: Locator) -> None:
    button = table.get_by_role("button", name="Place points")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true", timeout=SHORT)
    assert notebook.value("(points.placing, table.placing)") == "(True, True)"
    notebook.value("points.end_place() or ''")
    expect(button).to_have_attribute("aria-pressed", "false", timeout=SHORT)


def test_a_thousand_points_have_few_rows_in_the_page(notebook: Notebook) -> None:
    notebook.run("many = ")
    table = notebook.cell("many = ").locator(".sn-markups")
    expect(table.locator(".sn-hint").first).to_have_text("1,000 points", timeout=SHORT)
    notebook.scroll_to(table)
    rows = table.locator(".sn-markups-row[data-row]")
    assert rows.count() < 60
    cell(table, 0, "label").click()
    notebook.page.keyboard.press("End")
    expect(row(table, 999)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    notebook.value("many.edit(999, position=(1, 2, 3)) or ''")
    expect(cell(table, 999, "a")).to_have_text("2.00", timeout=SHORT)
    assert rows.count() < 60


def test_the_saved_notebook_has_the_table(notebook: Notebook, table: Locator, lab: Lab) -> None:
    notebook.save()
    outputs = json.loads((lab.root / "markups.ipynb").read_text(encoding="utf-8"))["cells"][1]["outputs"]
    assert "102.00" in json.dumps(outputs)


def test_markups_that_are_gone_are_said(notebook: Notebook, table: Locator) -> None:
    notebook.value("points.remove() or ''")
    expect(table.locator(".sn-banner")).to_contain_text("no more in the scene", timeout=SHORT)
    expect(table.get_by_role("button", name="Place points")).to_be_disabled()
