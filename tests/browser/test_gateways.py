"""Servers for other programs in JupyterLab: switches, what is asked, what another program does to the views, looks."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import SHORT, Lab, Notebook, picture_of, theme, write_notebook
from tests.gateways.plugin import write

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()\nslicer.layout = 'FourUp'",
    "panel = sn.GatewaysPanel(slicer)\npanel",
    "views = sn.ViewThumbnails(slicer, size=(160, 160), columns=4)\nviews",
)


#: A cube of 8 mm.
NRRD = (
    b"NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 8 8\n"
    b"space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n\n"
    + bytes(range(256))
    * 2
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook with the panel and the views; one for all tests."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
    # One that takes a free port when it is switched on: the usual ones may be another test's.
    plugin = write(tmp_path_factory.mktemp("plugin"))
    path = f"import sys; sys.path.insert(0, {str(plugin)!r})"
    cells = (f"{CELLS[0]}\nslicer.run({path!r})", *CELLS[1:])
    found = Notebook(context.new_page(), lab, write_notebook(lab, "gateways.ipynb", *cells))
    for text in ("sn.launch()", "panel = ", "views = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture
def page(notebook: Notebook) -> Page:
    return notebook.page


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    return notebook.cell("panel = ").locator(".sn-gateways")


@pytest.fixture
def rest(notebook: Notebook) -> str:
    """Where REST is served, started in the notebook."""
    code = (
        "print(next((each.url for each in slicer.gateways if each.kind == 'rest'), None) or "
        "slicer.gateways.start('rest', port=0).url)"
    )
    return notebook.value(code)


def ask(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=SHORT / 1000) as answer:
        data: bytes = answer.read()
        return data


def test_a_switch_starts_one_and_ends_it(panel: Locator, page: Page) -> None:
    switch = panel.get_by_role("switch", name="echo")
    expect(switch).to_have_attribute("aria-checked", "false", timeout=SHORT)
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true", timeout=SHORT)
    row = panel.locator(".sn-gateway-row", has_text="echo")
    expect(row.locator("code")).to_have_text(re.compile(r"http://127\.0\.0\.1:\d+"))
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false", timeout=SHORT)


def test_what_another_program_asks_and_does_is_seen(
    notebook: Notebook, panel: Locator, rest: str, page: Page, screenshots: Path
) -> None:
    red = notebook.cell("views = ").locator("[data-view=Red] img[src]")
    expect(red).to_have_count(1, timeout=SHORT)
    empty = picture_of(red)
    ask(f"{rest}/slicer/volume?id=Outside", NRRD)
    notebook.wait(lambda: (picture_of(red) != empty).mean() > 0.05, "the picture of the volume that came")
    with pytest.raises(urllib.error.HTTPError):
        ask(f"{rest}/slicer/exec?source=1&access_token=TOPSECRET")
    log = panel.get_by_role("log")
    expect(log).to_contain_text("POST /slicer/volume?id=Outside", timeout=SHORT)
    expect(log).to_contain_text("Running code is off", timeout=SHORT)
    expect(log).not_to_contain_text("TOPSECRET")
    row = panel.locator(".sn-gateway-row", has_text="SlicerWeb REST")
    expect(row).to_contain_text("2 requests", timeout=SHORT)
    expect(row).to_contain_text("1 failed")
    notebook.scroll_to(panel)
    page.screenshot(path=screenshots / "gateways.png")


def test_looks_and_accessibility(
    notebook: Notebook, panel: Locator, screenshots: Path, axe: Callable[[Page, str], list[str]]
) -> None:
    page = notebook.page
    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(panel)
            assert axe(page, ".sn-gateways") == []
            if name == "Dark":
                page.screenshot(path=screenshots / "gateways_dark.png")


def test_the_saved_notebook_has_the_table_and_no_request(notebook: Notebook, rest: str, lab: Lab) -> None:
    ask(f"{rest}/dicom/studies?PatientID=Aalto")
    notebook.save()
    saved = json.loads((lab.root / "gateways.ipynb").read_text(encoding="utf-8"))
    outputs = json.dumps(saved["cells"][1]["outputs"])
    assert rest in outputs
    assert "Aalto" not in json.dumps(saved)
