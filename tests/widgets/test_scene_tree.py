"""The tree of the scene on a real Slicer: what the browser is told, what it asks for, what is selected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import AmbiguousNameError, ArgumentError, ItemNotFoundError, NodeNotFoundError
from tests.commands.test_hierarchy import BALLS, SEGMENTS
from tests.widgets.waiting import Recorder, wait_until

ID, PARENT, NAME, KIND, EYE, COLOR = range(6)


class Browser(Recorder):
    """What a browser knows by all that it was told, and what it says."""

    def __init__(self, tree: sn.SceneTree) -> None:
        super().__init__(tree)
        self.tree = tree
        tree._greeted = True
        self.say("hello")

    def say(self, kind: str, **content: Any) -> None:
        self.tree._handle_custom_msg({"type": kind, **content}, [])

    def _known(self) -> tuple[int, dict[int, list[Any]], dict[int, list[int]]]:
        root, items, order = 0, {}, {}
        for message, _ in self.messages:
            if message["type"] == "all":
                root, items, order = message["root"], {}, {}
            if message["type"] in ("all", "news"):
                for each in message.get("removed", []):
                    items.pop(each, None)
                items |= {line[ID]: line for line in message["items"]}
                order |= dict(message["order"])
        return root, items, order

    def rows(self) -> list[str]:
        """The rows with all open: names, indented by two blanks for each level."""
        root, items, order = self._known()

        def below(parent: int, indent: str) -> list[str]:
            found = []
            for each in order.get(parent, []):
                if each in items and items[each][PARENT] == parent:
                    found += [indent + items[each][NAME], *below(each, f"{indent}  ")]
            return found

        return below(root, "")

    def line(self, name: str) -> list[Any]:
        return next(line for line in self._known()[1].values() if line[NAME] == name)

    def until(self, condition: Any, what: str) -> None:
        """Wait until what was told makes it so."""
        with self._condition:
            assert self._condition.wait_for(condition, 30), (what, self.rows())


@pytest.fixture
def scene(slicer: sn.Session) -> sn.Session:
    slicer.run(BALLS)
    slicer.run(SEGMENTS)
    return slicer


@pytest.fixture
def tree(scene: sn.Session) -> Iterator[sn.SceneTree]:
    found = sn.SceneTree(scene)
    yield found
    found.close()


@pytest.fixture
def browser(tree: sn.SceneTree) -> Browser:
    return Browser(tree)


ROWS = ["left", "right", "Organs", "  Liver", "  Spleen", "  Kidney"]


def test_a_view_is_told_all_of_it(browser: Browser, scene: sn.Session) -> None:
    assert browser.rows() == ROWS
    assert browser.line("Liver")[KIND:] == ["segment", True, "#3366ff"]
    assert browser.line("left")[KIND] == "model"


def test_it_follows(browser: Browser, scene: sn.Session) -> None:
    scene.run("slicer.util.getNode('Organs').GetSegmentation().AddEmptySegment('lung', 'Lung')")
    browser.until(lambda: browser.rows() == [*ROWS, "  Lung"], "a segment more")
    folder = scene.call("hierarchy.add_folder", name="Balls")
    ids = [browser.line(name)[ID] for name in ("left", "right")]
    scene.call("hierarchy.move", ids=ids, parent=folder)
    scene.call("hierarchy.move", ids=[folder], before=browser.line("Organs")[ID])
    browser.until(lambda: browser.rows()[:3] == ["Balls", "  left", "  right"], "moved")
    scene["left"].name = "Left"
    scene.run("slicer.util.getNode('right').GetDisplayNode().SetColor(1, 0, 0)")
    scene.run("slicer.util.getNode('right').GetDisplayNode().SetVisibility(False)")
    browser.until(lambda: "  Left" in browser.rows(), "renamed")
    browser.until(lambda: browser.line("right")[EYE:] == [False, "#ff0000"], "hidden and red")
    scene.run("slicer.util.getNode('Left').SetHideFromEditors(True)")
    browser.until(lambda: browser.rows()[:3] == ["Balls", "  right", "Organs"], "gone from sight")
    scene.run("slicer.util.getNode('Left').SetHideFromEditors(False)")
    browser.until(lambda: browser.rows()[:3] == ["Balls", "  Left", "  right"], "back at its place")
    scene.clear()
    browser.until(lambda: browser.rows() == [], "empty")
    scene.add_volume(np.zeros((2, 3, 4), np.int16), name="CT", show=False)
    browser.until(lambda: browser.rows() == ["CT"], "something new")
    scene["CT"].show()
    browser.until(lambda: browser.line("CT")[EYE], "its eye is open")


def test_only_what_has_changed_is_told(browser: Browser, scene: sn.Session) -> None:
    browser.messages.clear()
    scene["left"].name = "Left"
    news = browser.wait(lambda message: message["type"] == "news")
    assert [line[NAME] for line in news["items"]] == ["Left"]
    assert news["order"] == []


def test_what_a_person_does_is_done(browser: Browser, scene: sn.Session) -> None:
    liver, left, right = (browser.line(name)[ID] for name in ("Liver", "left", "right"))
    browser.say("visible", ids=[liver, left], visible=False)
    browser.until(lambda: not browser.line("Liver")[EYE] and not browser.line("left")[EYE], "both hidden")
    browser.say("folder", parent=None, view="v")
    made = browser.wait(lambda message: message["type"] == "made")
    assert made["view"] == "v"
    browser.until(lambda: "NewFolder" in browser.rows(), "the folder")
    browser.say("rename", id=made["id"], name="Balls")
    browser.say("move", ids=[right, left], parent=made["id"], before=None)
    browser.until(lambda: browser.rows()[-3:] == ["Balls", "  right", "  left"], "moved")
    browser.say("move", ids=[left], parent=browser.wait(lambda m: m["type"] == "all")["root"], before=made["id"])
    browser.until(lambda: browser.rows()[-3:] == ["left", "Balls", "  right"], "moved back")
    browser.say("visible", ids=[made["id"]], visible=False)
    browser.until(lambda: browser.line("Balls")[EYE] is False, "the folder's eye")
    browser.say("show", ids=[right])
    browser.until(lambda: browser.line("Balls")[EYE] is True, "open again, for what is in it")
    browser.say("remove", ids=[made["id"]])
    browser.until(lambda: browser.rows()[-1] == "left", "the branch")
    assert "right" not in scene


def test_what_cannot_be_done_is_said_and_shown_as_it_is(browser: Browser) -> None:
    liver, left = browser.line("Liver")[ID], browser.line("left")[ID]
    browser.messages.clear()
    browser.say("move", ids=[left], parent=liver, before=None)
    assert "segments" in browser.wait(lambda message: message["type"] == "trouble")["message"]
    browser.wait(lambda message: message["type"] == "all")
    assert browser.rows() == ROWS


def test_the_selection_by_handle_id_and_name(tree: sn.SceneTree, browser: Browser, scene: sn.Session) -> None:
    left, right = scene["left"], scene["right"]
    heard: list[Any] = []
    tree.observe(lambda change: heard.append((change["name"], change["new"])), ["selected", "value"])
    tree.selected = ["right", left.id]
    assert (tree.selected, tree.value) == ([right, left], right)
    assert tree.selected_items == [browser.line(name)[ID] for name in ("right", "left")]
    assert browser.of("selected")[-1]["ids"] == tree.selected_items
    tree.value = left
    assert (tree.selected, tree.selected_items) == ([left], [browser.line("left")[ID]])
    tree.value = None
    assert (tree.selected, tree.selected_items) == ([], [])
    assert heard == [
        ("value", right), ("selected", [right, left]), ("selected", [left]), ("value", left),
        ("selected", []), ("value", None),
    ]  # fmt: skip
    liver = browser.line("Liver")[ID]
    tree.selected_items = [liver, browser.line("left")[ID]]
    assert (tree.selected, tree.value) == ([left], left)
    # One that has come this moment.
    tree.value = scene.add_volume(np.zeros((2, 3, 4), np.int16), name="CT", show=False)
    assert tree.selected == [scene["CT"]]


def test_what_is_not_in_the_tree_cannot_be_selected(tree: sn.SceneTree, scene: sn.Session) -> None:
    scene.run("for _ in range(2): slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode').SetName('twice')")
    tree.value = "left"
    for value, error in ((3, ArgumentError), ("nothing", NodeNotFoundError), ("twice", AmbiguousNameError)):
        with pytest.raises(error):
            tree.value = value
        with pytest.raises(error):
            tree.selected = [value]
    with pytest.raises(NodeNotFoundError):
        tree.selected = [scene.eval("slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed')")]
    with pytest.raises(ItemNotFoundError):
        tree.selected_items = [987_654]
    assert tree.selected == [scene["left"]]
    with pytest.raises(ArgumentError, match="height"):
        sn.SceneTree(scene, height=3)


def test_a_person_selects(tree: sn.SceneTree, browser: Browser, scene: sn.Session) -> None:
    left, liver = browser.line("left")[ID], browser.line("Liver")[ID]
    browser.say("select", ids=[liver, left, 987_654], view="v", number=7)
    wait_until(tree, lambda: tree.value is not None, "selected")
    assert (tree.selected_items, tree.selected) == ([liver, left], [scene["left"]])
    # The view that said so knows its own words.
    told = browser.wait(lambda message: message["type"] == "selected" and message["ids"] == [liver, left])
    assert (told["view"], told["number"]) == ("v", 7)
    scene["left"].remove()
    wait_until(tree, lambda: tree.value is None, "it has gone")
    assert tree.selected_items == [liver]
    assert "view" not in browser.wait(lambda message: message.get("ids") == [liver])


def test_a_saved_notebook_keeps_the_tree_and_traits_keep_nothing(tree: sn.SceneTree, scene: sn.Session) -> None:
    scene["left"].name = "Aalto <b>"
    Browser(tree).until(lambda: any(each["name"] == "Aalto <b>" for each in tree._items), "renamed")
    tree.value = "right"
    page = tree._static_html()
    assert "Aalto &lt;b&gt;" in page
    assert page.index("Organs") < page.index("Liver")
    state = repr({key: value for key, value in tree.get_state().items() if key not in ("_esm", "_css")})
    assert "Aalto" not in state
    assert "right" not in state
    strict = sn.SceneTree(scene, privacy="strict")
    assert "Aalto" not in strict._static_html()
    strict.close()
    scene.clear()
    empty = sn.SceneTree(scene)
    assert "empty" in empty._static_html()
    empty.close()
