"""The notebook about PACS in a real JupyterLab: by a person who uses its form, and by nobody."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from slicer_notebook import testing
from tests.browser.lab import CELL_TIMEOUT, SHORT, Lab, Notebook

pytestmark = [
    pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc-dicomweb)"),
    # Each starts a JupyterLab's kernel, an Orthanc and a Slicer.
    pytest.mark.timeout(300),
]

PATH = "notebooks/03_pacs.ipynb"
#: The cells before the form, and those behind it, by what is in them.
BEFORE = ("orthanc.counts()", 'os.environ["DEMO_PASSWORD"]', 'sn.pacs.add("demo"', 'sn.pacs.test("demo")')
BEHIND = (
    "answers = pacs.find",
    "cohort.groupby",
    "pacs.plan(chest[0])",
    "pacs.thumbnail",
    "job = pacs.retrieve",
    "transfer = job.result()",
    "pd.DataFrame(transfer.series)",
    "again = pacs.retrieve",
)


def test_from_form_to_figure_by_a_person(page: Page, lab: Lab, screenshots: Path) -> None:
    notebook = Notebook(page, lab, PATH)
    for text in BEFORE[:-1]:
        notebook.run(text)
    examination = notebook.run(BEFORE[-1])
    expect(examination).to_contain_text("instances came to 127.0.0.1")
    expect(examination).not_to_contain_text("fail")
    form = notebook.run("query = sn.PacsQuery").locator(".sn-pacs")
    retrieve_and_show(form)
    notebook.wait(lambda: notebook.value("print(len(query.volumes))") == "1", "the loaded volume in query.volumes")
    notebook.scroll_to(form)
    page.screenshot(path=screenshots / "pacs_notebook.png")
    for text in BEHIND:
        notebook.run(text)

    # What the form has fetched and loaded is what the next cells go on with; nothing is fetched twice.
    assert "3000566: CT" in notebook.text(notebook.run("volumes = query.volumes or"))
    views = notebook.run("sn.ViewThumbnails").locator(".sn-views")
    expect(views.locator("figure[data-view] img")).to_have_count(4, timeout=SHORT)
    figure = notebook.picture(notebook.run("plt.subplots"))
    assert figure[:, : figure.shape[1] // 3].std() > 50
    transfers = notebook.run("slicer.transfers").locator("tbody tr")
    expect(transfers).to_have_count(3)
    expect(transfers.first).to_contain_text("133 of 133")
    assert notebook.text(notebook.run("with sn.pacs.open")) == "(True, 3)"
    assert notebook.text(notebook.run("command = ")) == "(0, 3, True)"
    notebook.run("web = slicer.pacs")
    assert notebook.text(notebook.run("web.retrieve")) == "[('Routine Brain', 4, ['WADO-RS'])]"
    assert "env:DEMO_PASSWORD" in notebook.text(notebook.run("print((own"))
    notebook.run("slicer.close()")
    expect(form.locator(".sn-banner")).to_contain_text("The session was closed")
    expect(form.get_by_role("button", name="Retrieve", exact=True)).to_be_disabled()
    notebook.shut_down()


def retrieve_and_show(form: Locator) -> None:
    """Type, press Enter, choose, retrieve and show: until it is in the scene."""
    search = form.get_by_label("Patient ID")
    search.fill("LIDC*")
    search.press("Enter")
    row = form.get_by_role("row").filter(has_text="LIDC-IDRI-0001")
    expect(row).to_have_count(1, timeout=SHORT)
    expect(row).to_contain_text("133")
    row.locator("[data-hit=choose]").click()
    expect(row).to_have_attribute("aria-selected", "true")
    form.get_by_role("button", name="Retrieve and show").click()
    transfer = form.locator(".sn-q-transfer")
    expect(transfer).to_have_attribute("data-state", "loaded", timeout=CELL_TIMEOUT)
    expect(transfer).to_contain_text("133")


def test_run_all(page: Page, lab: Lab) -> None:
    """Nobody touches the form: the cells do without."""
    notebook = Notebook(page, lab, PATH)
    notebook.run_all()
    last = notebook.cell("shutil.rmtree(own)").locator(".jp-InputPrompt")
    expect(last).to_have_text(re.compile(r"^\[\d+\]:"), timeout=CELL_TIMEOUT)
    errors = notebook.panel.locator("[data-mime-type='application/vnd.jupyter.error'], [data-mime-type$='stderr']")
    assert errors.all_inner_texts() == []
    plan = notebook.cell("pacs.plan(chest[0])")
    plan.scroll_into_view_if_needed()
    expect(plan).to_contain_text("512 \u00d7 512 \u00d7 133", timeout=SHORT)
    red = notebook.picture(notebook.cell("plt.subplots"))
    assert np.ptp(red) == 255
    notebook.shut_down()
