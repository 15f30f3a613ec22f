"""The widgets of the scene in JupyterLab, with the mouse and the keyboard; what is in Slicer's scene afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import slicer_notebook as sn
from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook
from tests.commands.test_hierarchy import BALLS, SEGMENTS, children, tree

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

Looking = Callable[[Page, str], list[str]]

CELLS = (
    "import slicer_notebook as sn\nslicer = sn.launch()",
    'classes = ["vtkMRMLModelNode", "vtkMRMLSegmentationNode"]\n'
    'selector = sn.NodeSelector(slicer, classes, label="Input", editable=True)\nselector',
    'layouts = sn.LayoutSelector(slicer, label="Layout")\nlayouts',
    # The last one: it grows with the scene, and what is below it would go out of the window.
    "tree = sn.SceneTree(slicer)\ntree",
)


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "scene.ipynb", *CELLS))
    for text in ("sn.launch()", "selector = ", "layouts = ", "tree = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture(scope="module")
def joined(notebook: Notebook) -> Iterator[sn.Session]:
    """Another session on the notebook's Slicer, from the tests' process."""
    with sn.connect(notebook.value("print(slicer._launched.connection_file)")) as found:
        yield found


@pytest.fixture
def slicer(joined: sn.Session) -> sn.Session:
    joined.clear()
    joined.layout = "FourUp"
    joined.run(BALLS)
    joined.run(SEGMENTS)
    return joined


class Rows:
    """The tree's rows."""

    def __init__(self, widget: Locator) -> None:
        self.widget = widget

    def of(self, name: str) -> Locator:
        return self.widget.locator(".sn-st-row", has=self.widget.page.locator(f".sn-st-name[title='{name}']"))

    def are(self, *names: str) -> None:
        """Wait until the rows are these."""
        expect(self.widget.locator(".sn-st-name")).to_have_text(list(names), timeout=SHORT)

    def eye(self, name: str) -> Locator:
        return self.of(name).locator(".sn-st-eye")


@pytest.fixture
def rows(notebook: Notebook, slicer: sn.Session) -> Rows:
    widget = notebook.cell("tree = ").locator(".sn-st")
    notebook.scroll_to(widget)
    found = Rows(widget)
    found.are("left", "right", "Organs")
    return found


def test_the_tree_with_the_mouse(notebook: Notebook, slicer: sn.Session, rows: Rows) -> None:
    rows.of("Organs").locator(".sn-st-toggle").click()
    rows.are("left", "right", "Organs", "Liver", "Spleen", "Kidney")
    # Eyes: of a segment, and by a double click.
    rows.eye("Spleen").click()
    notebook.wait(lambda: tree(slicer)["Spleen"]["visible"] is False, "the spleen is hidden")
    expect(rows.eye("Spleen")).to_have_attribute("aria-pressed", "false")
    rows.of("Spleen").locator(".sn-st-name").dblclick()
    notebook.wait(lambda: tree(slicer)["Spleen"]["visible"] is True, "and shown")
    # A new folder is named at once; what is selected is in the trait.
    rows.of("right").click()
    rows.widget.get_by_role("button", name="New folder").click()
    editor = rows.widget.locator(".sn-st-editor")
    editor.fill("Balls")
    editor.press("Enter")
    rows.are("left", "right", "Organs", "Liver", "Spleen", "Kidney", "Balls")
    # Two are dragged into it, one before another one.
    rows.of("left").click()
    rows.of("right").click(modifiers=["Control"])
    assert notebook.value("[node.name for node in tree.selected]") == "['left', 'right']"
    rows.of("right").drag_to(rows.of("Balls"))
    rows.are("Organs", "Liver", "Spleen", "Kidney", "Balls", "left", "right")
    assert children(slicer, "Balls") == ["left", "right"]
    rows.of("right").click()
    rows.of("right").drag_to(rows.of("left"), target_position={"x": 80, "y": 3})
    notebook.wait(lambda: children(slicer, "Balls") == ["right", "left"], "the order")
    # Nothing goes among segments.
    rows.of("left").drag_to(rows.of("Spleen"))
    assert children(slicer, "Organs") == ["Liver", "Spleen", "Kidney"]
    # The folder's eye dims what is in it, whose own eyes stay.
    rows.eye("Balls").click()
    expect(rows.of("left")).to_have_class(re.compile("sn-st-dim"))
    notebook.wait(lambda: tree(slicer)["Balls"]["visible"] is False, "the folder's eye")
    assert tree(slicer)["left"]["visible"] is True
    # A branch goes after a question.
    rows.of("Balls").click()
    rows.widget.get_by_role("button", name="Remove (Delete)").click()
    question = rows.widget.locator(".sn-st-asking")
    expect(question).to_contain_text("Remove “Balls” and 2 items in it")
    question.get_by_role("button", name="Remove", exact=True).click()
    rows.are("Organs", "Liver", "Spleen", "Kidney")
    assert slicer.call("scene.choices", class_names=["vtkMRMLModelNode"]) == []


def test_the_tree_with_the_keyboard(notebook: Notebook, slicer: sn.Session, rows: Rows) -> None:
    page = notebook.page
    slicer.call("hierarchy.add_folder", name="Folder")
    rows.widget.get_by_role("searchbox").fill("fold")
    rows.are("Folder")
    rows.widget.get_by_role("searchbox").press("Escape")
    rows.of("left").click()
    # Name, eye, order.
    page.keyboard.press("F2")
    page.keyboard.type("Left one")
    page.keyboard.press("Enter")
    rows.are("Left one", "right", "Organs", "Folder")
    page.keyboard.press("Space")
    notebook.wait(lambda: tree(slicer).get("Left one", {}).get("visible") is False, "renamed and hidden")
    page.keyboard.press("Enter")
    notebook.wait(lambda: tree(slicer)["Left one"]["visible"] is True, "shown")
    page.keyboard.press("Alt+ArrowDown")
    rows.are("right", "Left one", "Organs", "Folder")
    page.keyboard.press("Alt+ArrowUp")
    rows.are("Left one", "right", "Organs", "Folder")
    # Cut and put in; out again by an arrow.
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+x")
    page.keyboard.press("End")
    page.keyboard.press("Control+v")
    rows.are("Organs", "Folder", "Left one", "right")
    assert children(slicer, "Folder") == ["Left one", "right"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+ArrowLeft")
    rows.are("Organs", "Folder", "right", "Left one")
    assert children(slicer) == ["Organs", "Folder", "Left one"]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    rows.are("Organs", "Folder", "Left one")
    page.keyboard.press("Delete")
    rows.widget.locator(".sn-st-asking").get_by_role("button", name="Remove", exact=True).press("Enter")
    rows.are("Organs", "Left one")
    assert children(slicer) == ["Organs", "Left one"]
    # Set in Python, seen in the browser: also what is folded away.
    liver = tree(slicer)["Liver"]["id"]
    notebook.value(f"tree.selected_items = [{liver}]\n''")
    expect(rows.of("Liver")).to_have_attribute("aria-selected", "true", timeout=SHORT)


def test_the_menu_of_nodes(notebook: Notebook, slicer: sn.Session, screenshots: Path, axe: Looking) -> None:
    page = notebook.page
    menu = notebook.cell("selector = ").locator(".sn-ns")
    notebook.scroll_to(menu)
    button = menu.locator(".sn-sp-chooser")
    expect(button).to_have_text("None")
    button.click()
    expect(menu.get_by_role("option")).to_have_text(["None", "left", "right", "Organs"])
    assert axe(page, ".sn-ns") == []
    page.screenshot(path=screenshots / "node_selector.png")
    menu.get_by_role("option", name="right").click()
    expect(button).to_have_text("right")
    assert notebook.value("selector.value.name") == "'right'"
    # By the keyboard: what begins with an o, and what is searched among many.
    notebook.scroll_to(menu)
    button.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    expect(button).to_have_text("Organs")
    slicer.run("for n in range(20): slicer.mrmlScene.AddNewNodeByClass('vtkMRMLModelNode', f'Größe {n}')")
    button.click()
    menu.get_by_role("combobox").fill("GROßE 17")
    expect(menu.get_by_role("option")).to_have_text(["Größe 17"])
    page.keyboard.press("Enter")
    expect(button).to_have_text("Größe 17")
    # New, renamed, removed.
    button.click()
    menu.get_by_role("button", name="New Model…").click()
    menu.get_by_role("textbox").fill("Mine")
    page.keyboard.press("Enter")
    expect(button).to_have_text("Mine", timeout=SHORT)
    button.click()
    menu.get_by_role("button", name="Rename…").click()
    menu.get_by_role("textbox").fill("Ours")
    page.keyboard.press("Enter")
    expect(button).to_have_text("Ours", timeout=SHORT)
    button.click()
    menu.get_by_role("button", name="Remove…").click()
    menu.get_by_role("button", name="Remove", exact=True).click()
    expect(button).to_have_text("None", timeout=SHORT)
    assert "Ours" not in slicer


def test_the_menu_of_layouts_and_looks(
    notebook: Notebook, slicer: sn.Session, rows: Rows, screenshots: Path, axe: Looking
) -> None:
    page = notebook.page
    menu = notebook.cell("layouts = ").locator(".sn-ls")
    notebook.scroll_to(menu)
    button = menu.locator(".sn-sp-chooser")
    expect(button).to_have_text("Four-up")
    # Its drawing has the colours of its views, in two rows of two.
    boxes = button.locator(".sn-ls-drawing path").evaluate_all(
        "nodes => nodes.map(node => [node.getAttribute('fill'), node.getBBox().x, node.getBBox().y])"
    )
    assert [color for color, _, _ in boxes] == ["#f34a33", "#7483e9", "#6eb04b", "#edd54c"]
    assert [(x > 20, y > 10) for _, x, y in boxes] == [(False, False), (True, False), (False, True), (True, True)]
    button.click()
    assert axe(page, ".sn-ls") == []
    page.screenshot(path=screenshots / "layout_selector.png")
    menu.get_by_role("option", name="Side by side").click()
    notebook.wait(lambda: slicer.layout == "SideBySide", "the layout")
    button.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("t")  # what begins with it, and the next ones
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    notebook.wait(lambda: slicer.layout == "Conventional", "the layout by keys")
    slicer.layout = "OneUp3D"
    expect(button).to_have_text("3D only", timeout=SHORT)

    for name in ("Light", "Dark"):
        with theme(page, name):
            notebook.scroll_to(rows.widget)
            rows.widget.locator(".sn-st-list").focus()
            assert axe(page, ".sn-st") == []
            page.screenshot(path=screenshots / f"scene_tree_{name.lower()}.png")
