"""What a widget shows that no kernel answers: what was saved, until one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import CELL_TIMEOUT, SHORT, Lab, Notebook, waits_for, write_notebook

#: Seconds for one test: each starts a JupyterLab's kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "slicer.dicom.load(slicer.dicom.series()[0])",
    "sn.SeriesThumbnails(slicer.dicom.studies()[0])",
    "sn.ViewThumbnails(slicer)",
)
#: Code of the cell, the widget's root, what is in it besides the line that says what is wrong, pictures that are saved.
WIDGETS = (
    ("sn.SeriesThumbnails", ".sn-thumbnails", ".sn-series", 1),
    ("sn.ViewThumbnails", ".sn-views", ".sn-views-grid", 4),
)


def test_saved_with_their_state_and_opened_without_their_kernel(page: Page, keeping_lab: Lab) -> None:
    path = write_notebook(keeping_lab, "widgets.ipynb", *CELLS)
    notebook = Notebook(page, keeping_lab, path)
    for text in ("sn.launch()", "fetch()"):
        notebook.run(text)
    for code, root, _living, pictures in WIDGETS:
        widget = notebook.run(code).locator(root)
        expect(widget.locator("img[src]")).to_have_count(pictures, timeout=SHORT)
    notebook.save()
    notebook.shut_down()
    saved: Any = json.loads((keeping_lab.root / path).read_text(encoding="utf-8"))
    states = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert sum("_static_id" in state["state"] for state in states) == len(WIDGETS), "the widgets' state was not saved"

    again = Notebook(page, keeping_lab, path)
    for code, root, living, pictures in WIDGETS:
        cell = again.cell(code)
        expect(cell.locator(f"{root} .sn-banner")).to_contain_text("run the cell again", timeout=SHORT)
        expect(cell.locator("[data-sn-static]")).to_be_visible()
        expect(cell.locator("[data-sn-static] img")).to_have_count(pictures)
        expect(cell.locator(f"{root} {living}")).to_be_attached()
        expect(cell.locator(f"{root} {living}")).to_be_hidden()
    again.shut_down()


def test_what_was_saved_makes_room_for_the_widget_as_soon_as_it_is_answered(
    page: Page, dark_lab: Lab, tmp_path: Path
) -> None:
    """There the kernel hears the browser only when the running cell has ended."""
    gate = tmp_path / "gate"
    code, root, living, pictures = WIDGETS[0]
    path = write_notebook(
        dark_lab,
        "unanswered.ipynb",
        CELLS[0],
        # As for a page that is opened later: what is told unasked is over.
        "import slicer_notebook.widgets.base\nslicer_notebook.widgets.base._TELL_AGAIN = ()",
        *CELLS[1:3],
        waits_for(gate),
    )
    notebook = Notebook(page, dark_lab, path)
    notebook.run_all()
    cell = notebook.cell(code)
    static = cell.locator("[data-sn-static]")
    expect(cell.locator(f"{root} .sn-banner")).to_contain_text(
        "Waiting for the notebook's kernel", timeout=CELL_TIMEOUT
    )
    expect(static.locator("img")).to_have_count(pictures)
    expect(static).to_be_visible()
    expect(cell.locator(f"{root} {living}")).to_be_attached()
    expect(cell.locator(f"{root} {living}")).to_be_hidden()
    gate.touch()
    expect(cell.locator(f"{root} .sn-card img")).to_be_visible(timeout=SHORT)
    expect(static).to_be_hidden()
    expect(cell.locator(f"{root} .sn-banner")).to_be_hidden()
    notebook.shut_down()


def test_what_fills_the_screen_shows_while_the_kernel_cannot_hear(page: Page, dark_lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = write_notebook(dark_lab, "unheard.ipynb", *CELLS, waits_for(gate))
    notebook = Notebook(page, dark_lab, path)
    notebook.run_all()
    for code, root, living, pictures in WIDGETS:
        cell = notebook.cell(code)
        expect(cell.locator(f"{root} {living} img[src]")).to_have_count(pictures, timeout=SHORT)
        expect(cell.locator(f"{root} {living} img[src]").first).to_be_visible()
        expect(cell.locator("[data-sn-static]")).to_be_hidden()
        expect(cell.locator(f"{root} .sn-banner")).to_contain_text("Waiting for the notebook's kernel")
    assert "[*]" in notebook.cell("while not").locator(".jp-InputPrompt").inner_text()
    gate.touch()
    for code, root, _living, _pictures in WIDGETS:
        expect(notebook.cell(code).locator(f"{root} .sn-banner")).to_be_hidden(timeout=SHORT)
    notebook.shut_down()
