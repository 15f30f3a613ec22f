"""Layouts as trees: what Slicer's own description and its own views say."""

from __future__ import annotations

import re
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError

Tree = dict[str, Any]


def views(tree: Tree) -> list[dict[str, Any]]:
    """The views of a tree, in its order."""
    return [tree["view"]] if tree["kind"] == "view" else [view for part in tree["children"] for view in views(part)]


def shape(tree: Tree) -> Any:
    """What is beside and above what."""
    if tree["kind"] == "view":
        return tree["view"]["name"]
    return tree["kind"], [shape(part) for part in tree["children"]]


def test_the_standard_layouts_have_the_views_of_slicers_own_descriptions(slicer: sn.Session) -> None:
    descriptions = slicer.eval(
        "{name: slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLLayoutNode').GetLayoutDescription(number)"
        " for name, number in ((each[12:-4], getattr(slicer.vtkMRMLLayoutNode, each))"
        " for each in dir(slicer.vtkMRMLLayoutNode) if each.startswith('SlicerLayout') and each.endswith('View'))}"
    )
    found = slicer.call("view.layouts")
    assert {name for name, text in descriptions.items() if text} - {"Initial", "Default"} == set(found)
    for name, entry in found.items():
        if name == "TabbedSlice":
            continue  # names no view
        assert [view["name"] for view in views(entry["arrangement"])] == re.findall(
            r'<view [^>]*singletontag="([^"]*)"', descriptions[name]
        ), name
    assert len({entry["title"] for entry in found.values()}) == len(found)


@pytest.mark.parametrize("name", ["FourUp", "ConventionalWidescreen", "OneUp3D", "SideBySide", "TabbedSlice"])
def test_the_present_arrangement_has_the_views_that_are_there(slicer: sn.Session, name: str) -> None:
    shown = slicer.call("view.set_layout", name=name)
    tree = slicer.call("view.arrangement")
    assert [view["name"] for view in views(tree)] == shown
    assert tree == slicer.call("view.arrangement", name=name.lower())
    for view in shown:
        slicer.view(view)  # each of them can be drawn


def test_rows_columns_and_shares(slicer: sn.Session) -> None:
    found = slicer.call("view.layouts")
    assert shape(found["FourUp"]["arrangement"]) == (
        "vertical", [("horizontal", ["Red", "1"]), ("horizontal", ["Green", "Yellow"])],
    )  # fmt: skip
    wide = found["ConventionalWidescreen"]["arrangement"]
    assert shape(wide) == ("horizontal", ["1", ("vertical", ["Red", "Green", "Yellow"])])
    assert (wide["split"], [part["weight"] for part in wide["children"]]) == (True, [500.0, 300.0])
    two = found["DualMonitorFourUp"]["arrangement"]
    assert (two["kind"], [part["label"] for part in two["children"]]) == ("viewports", ["", "Views+"])
    assert {view["kind"] for view in views(found["FourUpPlotTable"]["arrangement"])} == {"slice", "plot", "table"}


def test_a_view_has_its_own_colour_and_label(slicer: sn.Session) -> None:
    red = views(slicer.call("view.arrangement"))[0]
    assert (red["label"], red["color"], red["orientation"], red["kind"]) == ("R", "#f34a33", "Axial", "slice")
    slicer.run("slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').SetLayoutColor(0, 0.2, 1)")
    slicer.view("Red").orientation = "Coronal"
    try:
        red = views(slicer.call("view.arrangement"))[0]
        assert (red["color"], red["orientation"]) == ("#0033ff", "Coronal")
    finally:
        slicer.run("slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').SetLayoutColor(0xf3/255, 0x4a/255, 0x33/255)")


def test_a_layout_of_the_users_own(slicer: sn.Session) -> None:
    slicer.run(
        "node = slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLLayoutNode')\n"
        'grid = \'<layout type="grid"><item row="0" column="0" colspan="2"><view class="vtkMRMLSliceNode" \'\n'
        'grid += \'singletontag="Red"/></item><item row="1" column="1"><view class="vtkMRMLViewNode" \'\n'
        "grid += 'singletontag=\"1\"/></item></layout>'\n"
        "node.IsLayoutDescription(733) or node.AddLayoutDescription(733, grid)\n"
        "node.SetViewArrangement(733)"
    )
    tree = slicer.call("view.arrangement")
    assert tree["kind"] == "grid"
    assert [(p["row"], p["column"], p["rows"], p["columns"]) for p in tree["children"]] == [(0, 0, 1, 2), (1, 1, 1, 1)]
    assert [view["name"] for view in views(tree)] == ["Red", "1"]


def test_another_name_is_refused(slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="SevenUp"):
        slicer.call("view.arrangement", name="SevenUp")
