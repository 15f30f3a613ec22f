"""Benchmarks of the scene's widgets in a real JupyterLab, with 1,000 nodes in the scene, measured in the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import Browser, sync_playwright

import slicer_notebook as sn
from benchmarks.measure import Row
from tests.browser.lab import CHROMIUM, CHROMIUM_ARGUMENTS, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["scene_widgets"]

#: Nodes of each kind.
EACH: Final = 250
#: Targets, seconds: until a widget is there; from a change in Slicer to the frame that shows it.
OPEN, FOLLOW = 1.0, 0.100
#: Milliseconds for a step to come about.
PATIENCE: Final = 60_000
#: Changes that are followed in a round.
CHANGES: Final = 5

#: Makes the scene: in one batch, as a scene's file is read.
SCENE: Final = f"""
import numpy as np
import slicer
slicer.mrmlScene.StartState(slicer.mrmlScene.BatchProcessState)
for number in range({EACH}):
    for name in ("ScalarVolume", "Model", "Text", "LinearTransform"):
        slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{{name}}Node", f"{{name}} {{number}}")
slicer.util.getNode("Model 0").CreateDefaultDisplayNodes()
slicer.mrmlScene.EndState(slicer.mrmlScene.BatchProcessState)
"""
CELLS: Final = {
    "SceneTree": ("sn.SceneTree(slicer)", ".sn-st-row:nth-child(10)"),
    "NodeSelector": (
        'sn.NodeSelector(slicer, [f"vtkMRML{k}Node" for k in ("Volume", "Model", "Text", "Transform")], none=False)',
        ".sn-ns .sn-sp-chooser-name[title='ScalarVolume 0']",
    ),
    "LayoutSelector": ("sn.LayoutSelector(slicer)", ".sn-ls .sn-ls-sign path"),
}
_SCRIPT: Final = Path(__file__).with_name("scene_widgets.js")


def scene_widgets(bench: Bench) -> list[Row]:
    """1,000 nodes; each round is a new page with new widgets."""
    if not Path(CHROMIUM).exists():
        print("[bench] scene_widgets: left out, there is no Chromium (apt-get install chromium)", file=sys.stderr)
        return []
    home, work = bench.folder / "scene-home", bench.folder / "scene-work"
    home.mkdir()
    work.mkdir()
    count = bench.rounds(4)
    rounds: list[dict[str, list[float]]] = []
    environment = {"SLICER_NOTEBOOK_DATA": str(bench.folder / "lab-data"), "IPYTHONDIR": str(home / "ipython")}
    with Lab(home, work, environment=environment) as lab, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        # The first one does not count: it fills caches of files, of the server and of Python.
        for number in range(count + 1):
            bench.say("scene_widgets", number, count + 1)
            with _notebook(browser, lab) as notebook:
                rounds.append(_round(notebook))
        bench.say("scene_widgets", count + 1, count + 1)
        browser.close()
    return _rows(rounds[1:])


def _rows(rounds: list[dict[str, list[float]]]) -> list[Row]:
    def row(what: str, name: str, peer: str, limit: float) -> Row:
        values = [value for each in rounds for value in each[name]]
        return Row("scene_widgets", what, peer, values, [limit] * len(values), 1.0, "s")

    rows = [row(f"{name}: from the run of the cell to its rows", name, "1 s", OPEN) for name in CELLS]
    rows.append(row("NodeSelector: from a click to its list", "list", "1 s", OPEN))
    for name, what in (
        ("tree", "SceneTree: a node's new name"),
        ("eye", "SceneTree: a node hidden"),
        ("added", "SceneTree: a new folder, counted"),
        ("selector", "NodeSelector: the chosen node's new name"),
        ("layout", "LayoutSelector: another layout"),
    ):
        rows.append(row(f"{what}, from Slicer to the frame", name, "100 ms", FOLLOW))
    return rows


@contextmanager
def _notebook(browser: Browser, lab: Lab) -> Iterator[Notebook]:
    cells = [cell for cell, _ in CELLS.values()]
    path = write_notebook(lab, "scene.ipynb", "import slicer_notebook as sn\nslicer = sn.launch()", *cells)
    context = browser.new_context(viewport={"width": 1440, "height": 1200}, device_scale_factor=1)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    notebook = Notebook(page, lab, path)
    page.evaluate(_SCRIPT.read_text("utf-8"))
    notebook.run("sn.launch()")
    yield notebook
    notebook.shut_down()
    context.close()


def _round(notebook: Notebook) -> dict[str, list[float]]:
    page = notebook.page
    found: dict[str, list[float]] = {}
    with sn.connect(notebook.value("print(slicer._launched.connection_file)")) as slicer:
        slicer.run(SCENE)
        assert len(slicer.call("hierarchy.items")["items"]) == 4 * EACH
        for name, (cell, selector) in CELLS.items():
            prompt = notebook.cell(cell).locator(".jp-InputPrompt")
            prompt.scroll_into_view_if_needed()
            prompt.click()
            found[name] = [page.evaluate("(selector) => sceneMeasure.open(selector)", selector) / 1000]
        button, option = ".sn-ns .sn-sp-chooser", ".sn-ns-option:nth-child(10)"
        found["list"] = [
            page.evaluate("([button, option]) => sceneMeasure.click(button, option)", [button, option]) / 1000
        ]
        page.keyboard.press("Escape")
        notebook.scroll_to(notebook.panel.locator(".sn-st"))
        first = "slicer.mrmlScene.GetNodeByID('vtkMRMLScalarVolumeNode1')"
        for number in range(CHANGES):
            for what, place in (("tree", ".sn-st-name"), ("selector", ".sn-ns .sn-sp-chooser-name")):
                name = f"{what} {number}"
                change = f"{first}.SetName({name!r})"
                found.setdefault(what, []).append(_followed(notebook, slicer, change, place, name))
            hide = f"slicer.mrmlScene.GetFirstNodeByName('Model 0').GetDisplayNode().SetVisibility({number % 2})"
            pressed = "true" if number % 2 else "false"
            eyes = f".sn-st-row[aria-label^='Model 0, '] .sn-st-eye[aria-pressed='{pressed}']"
            found.setdefault("eye", []).append(_followed(notebook, slicer, hide, eyes, ""))
            tree = "slicer.mrmlScene.GetSubjectHierarchyNode()"
            add = f"{tree}.CreateFolderItem({tree}.GetSceneItemID(), 'folder')"
            tally = f"{4 * EACH + number + 1:,} items"
            found.setdefault("added", []).append(_followed(notebook, slicer, add, ".sn-st-tally", tally))
            layout, title = (("OneUp3D", "3D only"), ("FourUp", "Four-up"))[number % 2]
            number_of = f"slicer.vtkMRMLLayoutNode.SlicerLayout{layout}View"
            change = f"slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLLayoutNode').SetViewArrangement({number_of})"
            shown = ".sn-ls .sn-sp-chooser-name"
            found.setdefault("layout", []).append(_followed(notebook, slicer, change, shown, title))
    return found


def _followed(notebook: Notebook, slicer: sn.Session, change: str, selector: str, text: str) -> float:
    """Seconds from a change in Slicer until the page shows it, both by this machine's clock."""
    page = notebook.page
    page.evaluate("([selector, text]) => sceneMeasure.watch(selector, text)", [selector, text])
    at: float = slicer.eval(f"({change}, __import__('time').time())[1]")
    page.wait_for_function("window.sceneMeasure.seen !== null")
    seen: float = page.evaluate("window.sceneMeasure.seen")
    return seen / 1000 - at
