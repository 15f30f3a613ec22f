"""The first notebook and the widgets in a real JupyterLab, as a person uses them."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import slicer_notebook as sn
from tests.browser.lab import SHORT, Lab, Notebook, picture_of, waits_for, write_notebook

#: Seconds for one test: each starts a JupyterLab's kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)


def joined(notebook: Notebook) -> sn.Session:
    """A second session on the notebook's own Slicer, from this process."""
    return sn.connect(notebook.value("print(slicer._launched.connection_file)"))


def test_the_first_look_by_clicking(page: Page, lab: Lab, screenshots: Path) -> None:
    notebook = Notebook(page, lab, "notebooks/01_first_look.ipynb")
    for text in ("sn.launch()", "slicer.info"):
        notebook.run(text)
    bar = notebook.run("slicer.dicom.index")
    expect(bar.locator("[data-state=done]")).to_be_visible(timeout=SHORT)
    notebook.run("job.result()")
    notebook.run("slicer.dicom.studies()")
    picker = pick(notebook, screenshots)

    # What was clicked is what the next cells go on with.
    assert "Volume" in notebook.text(notebook.run("volumes = picker.value or"))
    red = notebook.picture(notebook.run('slicer.view("Red")'))
    with joined(notebook) as slicer:
        assert len(slicer.nodes("vtkMRMLScalarVolumeNode")) == 1, "loaded once: by the click"
        np.testing.assert_array_equal(red, slicer.view("Red").image().array)
        views = notebook.run("sn.ViewThumbnails").locator(".sn-views")
        compare_views(notebook, views, slicer, screenshots)
        compare_bones(notebook, views, slicer, screenshots)

    notebook.run("slicer.close()")
    expect(views.locator(".sn-banner")).to_contain_text("The session was closed")
    expect(picker.locator(".sn-banner")).to_contain_text("The session was closed")
    expect(picker.get_by_role("button", name="Load")).to_be_disabled()
    expect(views.locator("figure[data-view] img")).to_have_count(4)
    notebook.shut_down()


def pick(notebook: Notebook, screenshots: Path) -> Locator:
    """Type, see what is left, choose, load; the picker."""
    picker = notebook.run("picker = sn.StudyPicker").locator(".sn-picker")
    expect(picker.locator(".sn-card")).to_have_count(1, timeout=SHORT)
    expect(picker.locator(".sn-thumb img")).to_have_js_property("complete", True, timeout=SHORT)
    search = picker.get_by_role("searchbox")
    search.press_sequentially("no such patient")
    expect(picker.locator(".sn-study-row")).to_have_count(0)
    expect(picker.get_by_text("No study matches")).to_be_visible()
    search.fill("")
    search.press_sequentially("lidc 2000-01 ct")
    expect(picker.locator(".sn-study-row")).to_have_count(1)
    expect(picker.locator("mark")).to_have_text(["LIDC", "2000-01", "CT"])
    button = picker.get_by_role("button", name="Load")
    expect(button).to_be_disabled()
    card = picker.get_by_role("option", name="Chest")
    expect(card).to_contain_text("512 \u00d7 512 \u00d7 133")
    card.click()
    expect(card).to_have_attribute("aria-selected", "true")
    expect(picker.locator(".sn-note")).to_contain_text("1 series chosen, 133 images")
    button.click()
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded", timeout=SHORT)
    notebook.scroll_to(picker)
    notebook.page.screenshot(path=screenshots / "study_picker.png")
    return picker


def compare_views(notebook: Notebook, views: Locator, slicer: sn.Session, screenshots: Path) -> None:
    """The grid shows what the views show, and follows the next cells."""
    expect(views.locator("figure")).to_have_count(4)
    notebook.run("red.offset = first")
    notebook.run("volume.window_level")
    state = slicer.call("view.state", name="Red")
    tile = views.locator("[data-view=Red]")
    expect(tile).to_contain_text(f"Axial \u00b7 {state['offset']:.1f} mm", timeout=SHORT)
    for name in slicer.view_names:
        expected = slicer.view(name).image((320, 320)).array
        image = views.locator(f"[data-view='{name}'] img")
        notebook.wait(partial(shows, image, expected), f"the grid's picture of {name}")
    notebook.scroll_to(views)
    notebook.page.screenshot(path=screenshots / "view_thumbnails.png")


def shows(image: Locator, expected: Any) -> bool:
    """Whether an <img> shows exactly these pixels."""
    return np.array_equal(picture_of(image), expected)


def compare_bones(notebook: Notebook, views: Locator, slicer: sn.Session, screenshots: Path) -> None:
    """Voxels to numpy and back, code in Slicer, a surface in the 3-D view."""
    for text in (
        "array = volume.array",
        "np.round",
        "volume.histogram",
        "np.where",
        "volume.array = array",
        "dense = ",
    ):
        notebook.run(text)
    notebook.run("%%slicer")
    bones = notebook.picture(notebook.run('slicer.view("3D")'))
    np.testing.assert_array_equal(bones, slicer.view("3D").image().array)
    assert "1983 ml are above 150 HU" in notebook.text(notebook.run("@slicer.function"))
    expected = slicer.view("1").image((320, 320)).array
    # Out of the window the grid rests.
    notebook.scroll_to(views)
    notebook.wait(partial(shows, views.locator("[data-view='1'] img"), expected), "the grid's picture of the bones")
    notebook.scroll_to(views)
    notebook.page.screenshot(path=screenshots / "first_look.png")


CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    "picker = sn.StudyPicker(slicer)\npicker",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()",
    "sn.ViewThumbnails(slicer)",
    "import os, signal\nos.kill(slicer.info['pid'], signal.SIGKILL)",
    "slicer.restart()",
)


def test_the_picker_by_keyboard_and_through_a_lost_slicer(page: Page, dark_lab: Lab, screenshots: Path) -> None:
    """In the dark theme; from an empty index of its own."""
    first = f"import tempfile\n{CELLS[0]}\nslicer.dicom.database = tempfile.mkdtemp() + '/index.sqlite3'"
    path = write_notebook(dark_lab, "keyboard.ipynb", first, *CELLS[1:])
    notebook = Notebook(page, dark_lab, path)
    notebook.run("sn.launch()")
    picker = notebook.run("picker = ").locator(".sn-picker")
    expect(picker.get_by_text("The index holds no study yet.")).to_be_visible()
    notebook.run("fetch()")
    # It saw the new index by itself.
    expect(picker.locator(".sn-study-row")).to_have_count(1, timeout=SHORT)
    picker.get_by_role("searchbox").focus()
    page.keyboard.press("ArrowDown")
    expect(picker.locator(".sn-table:focus")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    card = picker.locator(".sn-card:focus")
    expect(card).to_have_count(1, timeout=SHORT)
    cells = notebook.panel.locator(".jp-CodeCell").count()
    # JupyterLab's own keys (a cell above, a cell below, delete twice) are off in the widget.
    for key in "abdd":
        page.keyboard.press(key)
    assert notebook.panel.locator(".jp-CodeCell").count() == cells
    page.keyboard.press("Space")
    expect(card).to_have_attribute("aria-selected", "true")
    assert picker.evaluate("node => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    expect(picker.locator(".sn-thumb img")).to_be_visible(timeout=SHORT)
    notebook.scroll_to(picker)
    page.screenshot(path=screenshots / "study_picker_dark.png")
    page.keyboard.press("Enter")
    expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
    assert notebook.value("print(len(picker.value))") == "1"

    views = notebook.run("sn.ViewThumbnails").locator(".sn-views")
    expect(views.locator("figure")).to_have_count(4)
    notebook.run("os.kill")
    for widget in (picker, views):
        expect(widget.locator(".sn-banner")).to_contain_text("has ended")
    page.screenshot(path=screenshots / "lost_dark.png")
    notebook.run("slicer.restart()")
    for widget in (picker, views):
        expect(widget.locator(".sn-banner")).to_be_hidden(timeout=SHORT)
    expect(picker.locator(".sn-study-row")).to_have_count(1, timeout=SHORT)
    notebook.shut_down()


@pytest.mark.parametrize("which", ["lab", "dark_lab"])
def test_a_click_while_a_cell_runs(which: str, page: Page, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It is done at once where JupyterLab and the kernel can; else the picker says that it waits, and does it then."""
    lab: Lab = request.getfixturevalue(which)
    gate = tmp_path / "gate"
    path = write_notebook(
        lab,
        "busy.ipynb",
        CELLS[0],
        "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()",
        "picker = sn.StudyPicker(slicer)\npicker",
        waits_for(gate),
    )
    notebook = Notebook(page, lab, path)
    notebook.run("sn.launch()")
    notebook.run("fetch()")
    picker = notebook.run("picker = ").locator(".sn-picker")
    expect(picker.locator(".sn-card")).to_have_count(1, timeout=SHORT)
    notebook.start("while not")
    picker.locator(".sn-card").click()
    picker.get_by_role("button", name="Load").click()
    done, waits = picker.locator(".sn-note-good"), picker.locator(".sn-banner")
    if which == "lab":
        expect(done).to_be_visible(timeout=SHORT)
    else:
        expect(waits).to_contain_text("Waiting for the notebook's kernel")
    assert "[*]" in notebook.cell("while not").locator(".jp-InputPrompt").inner_text()
    gate.touch()
    expect(done).to_be_visible(timeout=SHORT)
    expect(picker.locator(".sn-banner")).to_be_hidden()
    assert notebook.value("print(len(picker.value), len(picker.selected))") == "1 0"
    notebook.shut_down()


def test_run_all_shows_the_widgets_before_the_last_cell_has_ended(page: Page, lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = write_notebook(
        lab,
        "all.ipynb",
        CELLS[0],
        "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()",
        "picker = sn.StudyPicker(slicer)\npicker",
        "slicer.add_volume(__import__('numpy').arange(8000).reshape(20, 20, 20).astype('int16'))",
        "sn.ViewThumbnails(slicer)",
        waits_for(gate),
    )
    notebook = Notebook(page, lab, path)
    notebook.run_all()
    picker = notebook.cell("picker = ").locator(".sn-picker")
    views = notebook.cell("sn.ViewThumbnails").locator(".sn-views")
    expect(picker.locator(".sn-thumb img")).to_have_count(1, timeout=SHORT)
    expect(views.locator("img[src]")).to_have_count(4, timeout=SHORT)
    assert "[*]" in notebook.cell("while not").locator(".jp-InputPrompt").inner_text()
    gate.touch()
    expect(notebook.cell("while not").locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=SHORT)
    notebook.shut_down()


def test_a_saved_notebook_holds_the_pictures_and_a_reloaded_page_the_widgets(
    page: Page, lab: Lab, screenshots: Path
) -> None:
    path = write_notebook(
        lab,
        "saved.ipynb",
        CELLS[0],
        "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()",
        "picker = sn.StudyPicker(slicer)\npicker",
        "slicer.dicom.load(slicer.dicom.series()[0])\nsn.ViewThumbnails(slicer)",
    )
    notebook = Notebook(page, lab, path)
    for text in ("sn.launch()", "fetch()", "picker = ", "sn.ViewThumbnails"):
        notebook.run(text)
    expect(notebook.cell("picker = ").locator(".sn-card")).to_have_count(1, timeout=SHORT)
    notebook.save()
    saved: Any = json.loads((lab.root / path).read_text(encoding="utf-8"))
    outputs = [cell["outputs"] for cell in saved["cells"][2:4]]
    pages = ["".join(output[0]["data"]["text/html"]) for output in outputs]
    assert "LIDC-IDRI-0001" in pages[0]
    assert pages[1].count("data:image/png;base64,") == 4
    static = notebook.panel.locator("[data-sn-static]")
    expect(static).to_have_count(2)
    for number in range(2):
        expect(static.nth(number)).to_be_hidden()

    again = Notebook(page, lab, path)
    picker: Locator = again.cell("picker = ").locator(".sn-picker")
    expect(picker.locator(".sn-card")).to_have_count(1, timeout=SHORT)
    expect(again.cell("sn.ViewThumbnails").locator(".sn-views img[src]")).to_have_count(4, timeout=SHORT)
    picker.locator(".sn-card").click()
    picker.get_by_role("button", name="Load").click()
    expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
    again.shut_down()

    # The kernel is gone: the table and the pictures are there, and no complaint about a widget.
    last = Notebook(page, lab, path)
    static = last.panel.locator("[data-sn-static]")
    expect(static.nth(0)).to_contain_text("LIDC-IDRI-0001")
    expect(static.nth(0).locator("img")).to_be_visible()
    expect(static.nth(1).locator("img")).to_have_count(4)
    expect(last.panel.get_by_text("Error displaying widget").first).to_be_attached(timeout=SHORT)
    for complaint in last.panel.get_by_text("Error displaying widget").all():
        expect(complaint).to_be_hidden()
    page.screenshot(path=screenshots / "reopened.png")
    last.shut_down()


def test_a_lab_on_the_slicer_kernel_leaves_another_process_connected(page: Page, lab: Lab, screenshots: Path) -> None:
    """JupyterLab answers a comm that it does not know with comm_close; ours goes on."""
    notebook = Notebook(page, lab, "notebooks/04_slicer_kernel.ipynb")
    notebook.run("import slicer\n")
    notebook.run("sn.connect()")
    file = notebook.value("from ipykernel import get_connection_file; print(get_connection_file())")
    with sn.connect(file) as slicer:
        assert slicer.eval("6 * 7") == 42
        volume = slicer.add_volume(np.arange(8000, dtype=np.int16).reshape(20, 20, 20), name="From outside")
        # A round through the browser: what Lab had to say to the kernel about our comm, it has said.
        assert notebook.value("print(slicer.util.getNode('From outside').GetName())") == "From outside"
        assert slicer.alive
        np.testing.assert_array_equal(volume.array, np.arange(8000, dtype=np.int16).reshape(20, 20, 20))
        events: list[Any] = []
        slicer.on("scene", events.append)
        notebook.value("node = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLModelNode', 'From the notebook')")
        added = slicer["From the notebook"]
        notebook.wait(lambda: any(node == added for event in events for node in event["added"]), "the event")

        # The same widgets, in the Slicer itself.
        notebook.run("session.dicom.index")
        picker = notebook.run("picker = ").locator(".sn-picker")
        expect(picker.locator(".sn-card")).to_have_count(1, timeout=SHORT)
        picker.locator(".sn-card").click()
        picker.get_by_role("button", name="Load").click()
        expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
        notebook.run("volumes = ")
        assert len(slicer.nodes("vtkMRMLScalarVolumeNode")) == 2
        notebook.run("arrayFromVolume")
        views = notebook.run("sn.ViewThumbnails").locator(".sn-views")
        expect(views.locator("img[src]")).to_have_count(4, timeout=SHORT)
        notebook.run("SetWindowLevel")
        notebook.run("SetSliceOffset")
        expected = slicer.view("Red").image((320, 320)).array
        red = views.locator("[data-view=Red] img")
        notebook.scroll_to(views)
        notebook.wait(partial(shows, red, expected), "the grid's picture of Red")
        notebook.scroll_to(views)
        page.screenshot(path=screenshots / "slicer_kernel.png")
    notebook.shut_down()
