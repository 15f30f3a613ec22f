"""Nodes to choose from, and new ones."""

from __future__ import annotations

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError

VOLUME, MODEL, MARKUPS = "vtkMRMLScalarVolumeNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode"


def names(slicer: sn.Session, *classes: str, **how: object) -> list[str]:
    return [node.name for node in slicer.call("scene.choices", class_names=list(classes), **how)]


def test_nodes_of_the_classes_in_scene_order(slicer: sn.Session) -> None:
    slicer.add_markups([[1, 2, 3]], name="points")
    slicer.add_volume(np.zeros((2, 3, 4), np.int16), name="CT")
    slicer.add_markups([[1, 2, 3]], name="more")
    labels = slicer.add_volume(np.zeros((2, 3, 4), np.int16), name="labels", labelmap=True)
    assert names(slicer, VOLUME, MARKUPS) == ["points", "CT", "more", "labels"]
    assert names(slicer, MARKUPS) == ["points", "more"]
    assert names(slicer, VOLUME, ids=[labels.id, "vtkMRMLNothing7", slicer["points"].id]) == ["labels"]
    # Those of the slice views and the colour legends are hidden.
    assert names(slicer, MODEL) == []
    assert slicer.nodes(MODEL) != []


def test_nodes_with_attributes(slicer: sn.Session) -> None:
    for name, value in (("a", "1"), ("b", "2"), ("c", None)):
        slicer.add_markups([[1, 2, 3]], name=name).set_attribute("Stage", value)
    assert names(slicer, MARKUPS, attributes={"Stage": "2"}) == ["b"]
    assert names(slicer, MARKUPS, attributes={"Stage": None}) == ["a", "b"]
    assert names(slicer, MARKUPS, attributes={"Stage": None, "Side": "left"}) == []


def test_a_new_node(slicer: sn.Session) -> None:
    first = slicer.call("scene.add", class_name=MODEL)
    second = slicer.call("scene.add", class_name=MODEL, attributes={"Stage": "1"})
    third = slicer.call("scene.add", class_name=VOLUME, name="Model")
    assert [node.name for node in (first, second, third)] == ["Model", "Model_1", "Model_2"]
    assert second.attributes == {"Stage": "1"}
    assert slicer.eval(f"slicer.mrmlScene.GetNodeByID({first.id!r}).GetDisplayNode() is not None")
    # Nothing holds it but the scene.
    assert slicer.eval(f"slicer.mrmlScene.GetNodeByID({first.id!r})") == first
    first.remove()
    assert names(slicer, MODEL) == ["Model_1"]


@pytest.mark.parametrize("class_name", ["vtkMRMLVolumeNode", "vtkMRMLNothing", "vtkMatrix4x4"])
def test_a_class_of_which_there_are_no_nodes(slicer: sn.Session, class_name: str) -> None:
    with pytest.raises(ArgumentError, match=class_name):
        slicer.call("scene.add", class_name=class_name)
