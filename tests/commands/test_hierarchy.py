"""The subject hierarchy by commands and events: what Slicer's own node says before and after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, ItemNotFoundError
from slicer_notebook.protocol.values import Array

Item = dict[str, Any]

#: Two balls of 20 mm, 80 mm apart, in 3-D; one on the left half of the picture, one on the right.
BALLS = """
import slicer
from vtkmodules.vtkFiltersSources import vtkSphereSource
for name, x in (("left", -40), ("right", 40)):
    source = vtkSphereSource()
    source.SetCenter(x, 0, 0)
    source.SetRadius(20)
    source.Update()
    slicer.modules.models.logic().AddModel(source.GetOutput()).SetName(name)
"""
SEGMENTS = """
import slicer
node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs")
node.CreateDefaultDisplayNodes()
for name in ("liver", "spleen", "kidney"):
    node.GetSegmentation().AddEmptySegment(name, name.title(), (0.2, 0.4, 1.0))
"""


def tree(slicer: sn.Session) -> dict[str, Item]:
    """The items by name."""
    return {each["name"]: each for each in slicer.call("hierarchy.items")["items"]}


def ids(slicer: sn.Session, *names: str) -> list[int]:
    found = tree(slicer)
    return [found[name]["id"] for name in names]


def children(slicer: sn.Session, name: str | None = None) -> list[str]:
    """Names of an item's children in their order; of the scene's without a name."""
    found = slicer.call("hierarchy.items")
    names = {each["id"]: each["name"] for each in found["items"]}
    parent = found["root"] if name is None else next(number for number, each in names.items() if each == name)
    return [names[each] for each in dict(map(tuple, found["order"])).get(parent, [])]


def own(slicer: sn.Session, item: int, what: str) -> Any:
    """What Slicer's node says of an item."""
    return slicer.eval(f"slicer.mrmlScene.GetSubjectHierarchyNode().{what}({item})")


@pytest.fixture
def balls(slicer: sn.Session) -> sn.Session:
    slicer.run(BALLS)
    return slicer


@pytest.fixture
def organs(slicer: sn.Session) -> sn.Session:
    slicer.run(SEGMENTS)
    return slicer


class Events:
    """What is told of the hierarchy."""

    def __init__(self, slicer: sn.Session) -> None:
        self.heard: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._subscription = slicer.on("hierarchy", self._take)

    def _take(self, event: dict[str, Any]) -> None:
        with self._news:
            self.heard.append(event)
            self._news.notify_all()

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that fits; those until then are forgotten."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(fits, self.heard)), 30), self.heard
            found = next(filter(fits, self.heard))
            del self.heard[: self.heard.index(found) + 1]
            return found

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def events(slicer: sn.Session) -> Iterator[Events]:
    # What earlier tests did is told before this is.
    found = Events(slicer)
    last = slicer.call("hierarchy.add_folder", name="last")
    found.until(lambda event: last in event["changed"] or event["reset"])
    slicer.call("hierarchy.remove", ids=[last])
    found.until(lambda event: last in event["removed"] or event["reset"])
    yield found
    found.close()


def test_items_are_what_a_person_sees(organs: sn.Session) -> None:
    organs.run(
        "hidden = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLModelNode', 'hidden')\n"
        "text = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'note')\n"
        "tree = slicer.mrmlScene.GetSubjectHierarchyNode()\n"
        "tree.SetItemParent(tree.GetItemByDataNode(text), tree.GetItemByDataNode(hidden))\n"
        "hidden.SetHideFromEditors(True)"
    )
    volume = organs.add_volume(np.zeros((3, 4, 5), np.int16), name="CT", show=False)
    found = tree(organs)
    assert list(found) == ["Organs", "Liver", "Spleen", "Kidney", "CT"]
    assert found["CT"]["node"] == volume
    assert (found["CT"]["kind"], found["CT"]["visible"]) == ("volume", False)
    assert (found["Organs"]["kind"], found["Organs"]["node"].name) == ("segmentation", "Organs")
    liver = found["Liver"]
    assert (liver["kind"], liver["segment"], liver["node"], liver["color"]) == ("segment", "liver", None, "#3366ff")
    assert liver["parent"] == found["Organs"]["id"]


def test_only_the_items_that_are_asked_for(balls: sn.Session) -> None:
    [left, right] = ids(balls, "left", "right")
    found = balls.call("hierarchy.items", ids=[right, 987_654])
    assert [each["name"] for each in found["items"]] == ["right"]
    assert found["order"] == [[found["root"], [left, right]]]


def test_a_series_is_below_patient_and_study(slicer: sn.Session) -> None:
    slicer.run(
        "tree = slicer.mrmlScene.GetSubjectHierarchyNode()\n"
        "patient = tree.CreateSubjectItem(tree.GetSceneItemID(), 'Aalto')\n"
        "tree.CreateStudyItem(patient, 'Chest')"
    )
    found = tree(slicer)
    assert [found[name]["kind"] for name in ("Aalto", "Chest")] == ["patient", "study"]
    assert found["Chest"]["parent"] == found["Aalto"]["id"]


def halves(slicer: sn.Session) -> list[bool]:
    """Whether there is something in the left half of the 3-D view's picture, and in the right half."""
    picture: Array = slicer.call("view.image", name="1", size=(200, 200)).astype(float)
    # The balls are grey and the background is not; the cube and the axes' labels are off.
    return [bool((np.ptp(half, axis=2) < 3).mean() > 0.02) for half in (picture[:, :100], picture[:, 100:])]


def test_the_eye_of_a_folder_hides_what_is_in_it(balls: sn.Session) -> None:
    balls.run(
        "view = slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLViewNode')\n"
        "view.SetBoxVisible(0); view.SetAxisLabelsVisible(0)\n"
        "for node in slicer.util.getNodesByClass('vtkMRMLModelNode'):\n"
        "    node.GetDisplayNode().SetColor(.7, .7, .7)"
    )
    [left] = ids(balls, "left")
    inner = balls.call("hierarchy.add_folder", name="inner")
    outer = balls.call("hierarchy.add_folder", name="outer")
    balls.call("hierarchy.move", ids=[left], parent=inner)
    balls.call("hierarchy.move", ids=[inner], parent=outer)
    balls.view("1").fit()
    shown = halves(balls)
    assert shown == [True, True]
    balls.call("hierarchy.set_visible", ids=[outer], visible=False)
    hidden = halves(balls)
    assert sorted(hidden) == [False, True]
    found = tree(balls)
    assert [found[name]["visible"] for name in ("outer", "inner", "left", "right")] == [False, True, True, True]
    # Its own eye is as it was, so it is back with the folder.
    balls.call("hierarchy.set_visible", ids=[outer], visible=True)
    assert halves(balls) == [True, True]
    balls.call("hierarchy.set_visible", ids=[outer, left], visible=False)
    balls.call("hierarchy.show", ids=[left])
    assert halves(balls) == [True, True]
    assert tree(balls)["outer"]["visible"]
    assert balls.nodes("vtkMRMLFolderDisplayNode")  # the folders' eyes
    assert list(tree(balls)) == ["right", "outer", "inner", "left"]  # which are no items


def test_the_eye_of_a_volume_is_the_slice_views(slicer: sn.Session) -> None:
    volumes = [slicer.add_volume(np.zeros((3, 4, 5), np.int16), name=name, show=False) for name in ("one", "two")]
    labels = slicer.add_volume(np.zeros((3, 4, 5), np.uint8), name="labels", labelmap=True, show=False)
    assert [tree(slicer)[name]["visible"] for name in ("one", "two", "labels")] == [False] * 3
    slicer.call("hierarchy.set_visible", ids=ids(slicer, "two", "labels"), visible=True)
    assert [tree(slicer)[name]["visible"] for name in ("one", "two", "labels")] == [False, True, True]
    layers = (
        "[(each.GetBackgroundVolumeID(), each.GetLabelVolumeID())"
        " for each in slicer.util.getNodesByClass('vtkMRMLSliceCompositeNode')]"
    )
    assert set(map(tuple, slicer.eval(layers))) == {(volumes[1].id, labels.id)}
    slicer.call("hierarchy.set_visible", ids=ids(slicer, "two", "labels"), visible=False)
    assert set(map(tuple, slicer.eval(layers))) == {(None, None)}


def test_the_eye_of_a_segment(organs: sn.Session) -> None:
    organs.call("hierarchy.set_visible", ids=ids(organs, "Spleen"), visible=False)
    assert [tree(organs)[name]["visible"] for name in ("Organs", "Liver", "Spleen")] == [True, True, False]
    display = "slicer.util.getNode('Organs').GetDisplayNode().GetSegmentVisibility"
    assert [bool(organs.eval(f"{display}({name!r})")) for name in ("liver", "spleen")] == [True, False]


def test_what_cannot_be_shown_has_no_eye(slicer: sn.Session) -> None:
    slicer.run("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'note')")
    assert tree(slicer)["note"]["visible"] is None
    with pytest.raises(ArgumentError, match="note"):
        slicer.call("hierarchy.set_visible", ids=ids(slicer, "note"), visible=True)


def test_names(organs: sn.Session) -> None:
    folder = organs.call("hierarchy.add_folder")
    assert own(organs, folder, "GetItemName") == "NewFolder"
    assert own(organs, organs.call("hierarchy.add_folder"), "GetItemName") != "NewFolder"
    found = tree(organs)
    organs.call("hierarchy.rename", id=folder, name="Mine")
    organs.call("hierarchy.rename", id=found["Organs"]["id"], name="Abdomen")
    organs.call("hierarchy.rename", id=found["Liver"]["id"], name="Hepar")
    assert {"Mine", "Abdomen", "Hepar"} <= tree(organs).keys()
    assert found["Organs"]["node"].name == "Abdomen"
    assert organs.eval("slicer.util.getNode('Abdomen').GetSegmentation().GetSegment('liver').GetName()") == "Hepar"
    with pytest.raises(ArgumentError, match="name"):
        organs.call("hierarchy.rename", id=folder, name="  ")


def test_moving_keeps_the_order_that_is_asked_for(slicer: sn.Session) -> None:
    for name in "abcde":
        slicer.call("hierarchy.add_folder", name=name)
    a, b, c, d, e = ids(slicer, *"abcde")
    slicer.call("hierarchy.move", ids=[e, a], before=c)
    assert children(slicer) == ["b", "e", "a", "c", "d"]
    slicer.call("hierarchy.move", ids=[b])
    assert children(slicer) == ["e", "a", "c", "d", "b"]
    slicer.call("hierarchy.move", ids=[c, d], before=c)  # before itself: before what comes after both
    assert children(slicer) == ["e", "a", "c", "d", "b"]
    slicer.call("hierarchy.move", ids=[b, e], parent=a)
    slicer.call("hierarchy.move", ids=[d, c], parent=a, before=e)
    assert (children(slicer), children(slicer, "a")) == (["a"], ["b", "d", "c", "e"])
    assert own(slicer, e, "GetItemParent") == a
    with pytest.raises(ItemNotFoundError, match="not in item"):
        slicer.call("hierarchy.move", ids=[b], before=e)


def test_what_cannot_be_moved_stays(organs: sn.Session) -> None:
    outer = organs.call("hierarchy.add_folder", name="outer")
    inner = organs.call("hierarchy.add_folder", name="inner", parent=outer)
    found = tree(organs)
    liver, segmentation = found["Liver"]["id"], found["Organs"]["id"]
    for moved, parent in ((outer, inner), (outer, outer), (liver, outer), (outer, segmentation), (inner, liver)):
        with pytest.raises(ArgumentError):
            organs.call("hierarchy.move", ids=[moved], parent=parent)
    with pytest.raises(ArgumentError, match="Among segments"):
        organs.call("hierarchy.add_folder", parent=segmentation)
    # One that cannot keeps the others from going.
    with pytest.raises(ArgumentError):
        organs.call("hierarchy.move", ids=[segmentation, liver], parent=outer)
    assert tree(organs) == found


def test_a_branch_goes_with_its_nodes(organs: sn.Session) -> None:
    organs.run(BALLS)
    folder = organs.call("hierarchy.add_folder", name="F")
    [left, liver, segmentation] = ids(organs, "left", "Liver", "Organs")
    organs.call("hierarchy.move", ids=[left, segmentation], parent=folder)
    assert organs.call("hierarchy.remove", ids=[liver]) == 1
    assert organs.eval("list(slicer.util.getNode('Organs').GetSegmentation().GetSegmentIDs())") == ["spleen", "kidney"]
    # Both the folder and something in it: it goes once.
    assert organs.call("hierarchy.remove", ids=[left, folder]) == 5
    assert list(tree(organs)) == ["right"]
    assert [node.name for node in organs.nodes("vtkMRMLModelNode") if node.name in ("left", "right")] == ["right"]
    assert organs.nodes("vtkMRMLSegmentationNode") == []
    with pytest.raises(ItemNotFoundError, match="no item"):
        organs.call("hierarchy.remove", ids=[folder])


def test_changes_are_told(organs: sn.Session, events: Events) -> None:
    found = tree(organs)
    liver, segmentation = found["Liver"]["id"], found["Organs"]["id"]
    folder = organs.call("hierarchy.add_folder", name="F")
    assert events.until(lambda event: folder in event["changed"])["reset"] is False
    organs.call("hierarchy.move", ids=[segmentation], parent=folder)
    events.until(lambda event: segmentation in event["changed"])
    organs.run("slicer.util.getNode('Organs').GetDisplayNode().SetSegmentVisibility('liver', False)")
    events.until(lambda event: liver in event["changed"])
    organs.run("slicer.util.getNode('Organs').GetSegmentation().GetSegment('liver').SetColor(1, 0, 0)")
    events.until(lambda event: liver in event["changed"])
    assert tree(organs)["Liver"]["color"] == "#ff0000"
    organs["Organs"].name = "O"
    events.until(lambda event: segmentation in event["changed"])
    other = organs.call("hierarchy.add_folder", name="G")
    organs.call("hierarchy.move", ids=[other], before=folder)
    root = organs.call("hierarchy.items", ids=[])["root"]
    events.until(lambda event: root in event["reordered"])
    organs.call("hierarchy.remove", ids=[folder])
    assert {folder, segmentation, liver} <= set(events.until(lambda event: folder in event["removed"])["removed"])


def test_a_volume_that_is_shown_and_one_that_is_not_any_more_are_told(slicer: sn.Session, events: Events) -> None:
    for name in ("one", "two"):
        slicer.add_volume(np.zeros((3, 4, 5), np.int16), name=name, show=False)
    [one, two] = ids(slicer, "one", "two")
    slicer["one"].show()
    events.until(lambda event: one in event["changed"] and tree(slicer)["one"]["visible"])
    slicer["two"].show()
    events.until(lambda event: {one, two} <= set(event["changed"]))
    assert [tree(slicer)[name]["visible"] for name in ("one", "two")] == [False, True]


def test_another_scene_is_told(balls: sn.Session, events: Events) -> None:
    balls.clear()
    events.until(lambda event: bool(event["reset"]))
    assert balls.call("hierarchy.items")["items"] == []
    balls.run(BALLS)
    events.until(lambda event: bool(event["changed"]) or bool(event["reset"]))
    assert list(tree(balls)) == ["left", "right"]
    [left] = ids(balls, "left")
    balls.call("hierarchy.rename", id=left, name="L")
    events.until(lambda event: left in event["changed"])
