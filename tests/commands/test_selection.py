"""What MRML prints of a node as data; nodes chosen by id, class and name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slicer_notebook as sn
from slicer_notebook.commands.selection import printed

TEXT = """\
vtkMRMLScalarVolumeNode (0x55be641d2d20)
  ID: vtkMRMLScalarVolumeNode1
  Description: (none)
  HideFromEditors: false
  Debug: Off
  MTime: 95925
  Scale: 1.5e-05
  Low: -inf
  High: 1e999
  Spacing: (1, 2.5, -3)
  Sizes: [4, 5, 6]
  Plain: 1 2 3
  One: (7)
  Version: 1.2.3
  Dash: -
  Time: 10:30:00
  Empty:
  Node references:
    display [displayNodeRef]: (none)
    storage [storageNodeRef]: vtkMRMLStorageNode1
  IJKToRASDirections:
    1 0 0
  ImageData:
    Dimensions: (4, 5, 6)
    Point Data:
      Scalars:
        Name: ImageScalars
    Extent: (0, 3, 0, 4, 0, 5)
  After: yes
 Indented by one: 5
"""


def test_what_is_printed_as_data() -> None:
    assert printed(TEXT) == {
        "ID": "vtkMRMLScalarVolumeNode1",
        "HideFromEditors": False,
        "Debug": False,
        "MTime": 95925,
        "Scale": 1.5e-05,
        "Low": "-inf",
        "High": "1e999",
        "Spacing": [1.0, 2.5, -3.0],
        "Sizes": [4, 5, 6],
        "Plain": [1, 2, 3],
        "One": [7],
        "Version": "1.2.3",
        "Dash": "-",
        "Time": "10:30:00",
        "Empty": "",
        "Node references": {"storage [storageNodeRef]": "vtkMRMLStorageNode1"},
        "IJKToRASDirections": {},
        "ImageData": {
            "Dimensions": [4, 5, 6],
            "Point Data": {"Scalars": {"Name": "ImageScalars"}},
            "Extent": [0, 3, 0, 4, 0, 5],
        },
        "After": "yes",
        "Indented by one": 5,
    }


@given(
    st.lists(st.tuples(st.integers(0, 6), st.text(st.characters(exclude_characters="\r\n"), max_size=20)), max_size=30)
)
def test_whatever_is_printed_gives_data(lines: list[tuple[int, str]]) -> None:
    found = printed("\n".join(" " * indent + text for indent, text in lines))
    assert isinstance(found, dict)
    json.dumps(found, allow_nan=False)


def test_all_nodes_print_as_json_that_is_strict(slicer: sn.Session) -> None:
    slicer.add_markups([[1, 2, 3]], name="F")
    found = slicer.call("scene.properties")
    assert set(found) == {node.id for node in slicer.call("scene.select")}
    json.dumps(found, allow_nan=False)


def test_nodes_are_chosen(slicer: sn.Session) -> None:
    points = slicer.add_markups([[1, 2, 3]], name="F")
    assert [node.id for node in slicer.call("scene.select", id=points.id)] == [points.id]
    assert [node.id for node in slicer.call("scene.select", class_name="vtkMRMLMarkupsNode", name="F")] == [points.id]
    assert slicer.call("scene.select", class_name="vtkMRMLMarkupsNode", name="G") == []
    assert slicer.call("scene.select", class_name="NoClass") == []


def test_removing_wants_a_choice(slicer: sn.Session) -> None:
    with pytest.raises(sn.errors.ArgumentError, match="What is to be removed"):
        slicer.call("scene.remove")
    with pytest.raises(sn.errors.NodeNotFoundError):
        slicer.call("scene.remove", name="nobody")
    points = slicer.add_markups([[1, 2, 3]], name="F")
    assert slicer.call("scene.remove", id=points.id) == [points.id]


def test_sources_and_reload(slicer: sn.Session, tmp_path: Path) -> None:
    points = slicer.add_markups([[1, 2, 3]], name="F")
    assert slicer.call("scene.sources", id=points.id) == {}
    path = tmp_path / "f.mrk.json"
    slicer.call("node.save", node=points, path=str(path))
    assert slicer.call("scene.sources", id=points.id) == {points.id: str(path)}
    slicer.call("markups.move_point", position=(9.0, 9.0, 9.0))
    assert slicer.call("scene.reload", ids=[points.id]) == [points.id]
    np.testing.assert_allclose(slicer.call("markups.points", node=points), [[1, 2, 3]])
    path.unlink()
    assert slicer.call("scene.reload", ids=[points.id]) == []


def test_an_export_is_not_remembered(slicer: sn.Session, tmp_path: Path) -> None:
    points = slicer.add_markups([[1, 2, 3]], name="F")
    slicer.call("node.export", node=points, path=str(tmp_path / "f.mrk.json"))
    assert (tmp_path / "f.mrk.json").exists()
    assert slicer.call("scene.sources", id=points.id) == {}
    with pytest.raises(sn.errors.CommandError, match="could not be written"):
        slicer.call("node.export", node=points, path=str(tmp_path / "f.xyz"))


def test_the_number_of_the_scene_rises_with_each_change(slicer: sn.Session) -> None:
    code = "__import__('slicer_notebook.host.agent', fromlist=['x']).Agent.current.host.scene_generation"

    def now() -> int:
        return int(slicer.eval(code))

    def rises(change: Any) -> bool:
        before = now()
        change()
        return now() > before

    assert rises(lambda: slicer.add_markups([[0, 0, 0]], name="F"))
    (node,) = slicer.call("scene.select", name="F")
    assert rises(lambda: slicer.call("node.rename", node=node, name="G"))
    assert rises(lambda: slicer.call("node.set_attribute", node=node, name="a", value="b"))
    assert rises(lambda: slicer.call("markups.move_point", position=(1.0, 2.0, 3.0)))
    assert rises(lambda: slicer.call("node.remove", node=node))
    before = now()
    slicer.call("scene.select")
    slicer.call("view.state", name="Red")
    assert now() == before
