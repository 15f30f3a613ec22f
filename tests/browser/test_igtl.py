"""OpenIGTLink devices in JupyterLab: the table goes on, a connection is ended by its button, looks, what is saved."""

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

#: A tracker in the notebook's kernel, which sends while it is told to.
TRACKER = """\
import threading
import numpy as np
from slicer_notebook import igtl
tracker = igtl.Server(port=0, version=2)
tracker.start()
moving = threading.Event()
moving.set()
def move():
    x = 0
    while True:
        moving.wait()
        matrix = np.eye(4)
        matrix[0, 3] = x = x + 1
        tracker.send(igtl.of_content(igtl.Transform(matrix), "Needle"), stream=True)
        threading.Event().wait(0.02)
threading.Thread(target=move, daemon=True).start()"""

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    TRACKER,
    "connection = slicer.igtl.connect(*tracker.address)\nslicer.igtl.devices",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "igtl.ipynb", *CELLS))
    for text in ("sn.launch()", "threading", "connection = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def table(notebook: Notebook) -> Locator:
    return notebook.cell("connection = ").locator(".sn-igtl")


def test_counts_and_rates_go_on(notebook: Notebook, table: Locator) -> None:
    row = table.locator("tbody tr", has_text="Needle")
    expect(row).to_contain_text("TRANSFORM", timeout=SHORT)
    expect(row.locator(".sn-igtl-rate")).to_have_text(re.compile(r"^\d.* /s$"), timeout=SHORT)
    count = row.locator(".sn-igtl-count")
    before = count.inner_text()
    expect(count).not_to_have_text(before, timeout=SHORT)
    expect(row.locator(".sn-igtl-node")).to_have_text("Needle")
    expect(row.locator("path")).to_have_attribute("d", re.compile("^M"))
    notebook.value("moving.clear() or ''")
    expect(row).to_have_class(re.compile("sn-igtl-still"), timeout=SHORT)


def test_what_is_wrong_is_seen(notebook: Notebook, table: Locator) -> None:
    notebook.value("tracker.send(igtl.of_content(igtl.Transform(np.zeros((4, 4))), '<b>Broken</b>')) and ''")
    row = table.locator("tbody tr", has_text="<b>Broken</b>")
    expect(row.locator(".sn-warn")).to_contain_text("matrix", timeout=SHORT)
    expect(table.locator(".sn-igtl-link .sn-warn")).to_contain_text("Broken")


def test_looks_and_accessibility(
    notebook: Notebook, table: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    page = notebook.page
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(table)
            assert axe(page, ".sn-igtl") == []
            page.screenshot(path=screenshots / f"igtl_{name.lower()}.png")


def test_the_saved_notebook_has_the_table(notebook: Notebook, table: Locator, lab: Lab) -> None:
    notebook.save()
    saved = json.loads((lab.root / "igtl.ipynb").read_text(encoding="utf-8"))
    assert "127.0.0.1:" in json.dumps(saved["cells"][2]["outputs"])


def test_the_button_ends_the_connection(notebook: Notebook, table: Locator) -> None:
    button = table.get_by_role("button", name=re.compile("^End the connection"))
    button.click()
    expect(table.locator(".sn-igtl-link")).to_have_attribute("data-state", "closed", timeout=SHORT)
    expect(button).to_have_count(0)
    assert notebook.value("connection.state") == "'closed'"
