"""The kept answers of /mrml/names: as old as the scene, and never older."""

from __future__ import annotations

import threading

import httpx
import pytest

import slicer_notebook as sn

_CHANGES = [
    ("added", "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'new')"),
    ("renamed", "slicer.util.getNode('F').SetName('G')"),
    ("removed", "slicer.mrmlScene.RemoveNode(slicer.util.getNode('F'))"),
    ("cleared", "slicer.mrmlScene.Clear(0)"),
    ("renamed in a batch",
     "n = slicer.util.getNode('F'); m = n.StartModify(); n.SetName('G'); n.SetAttribute('a', 'b'); n.EndModify(m)"),
    ("added in a batch",
     "slicer.mrmlScene.StartState(slicer.mrmlScene.BatchProcessState)\n"
     "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'new')\n"
     "slicer.mrmlScene.EndState(slicer.mrmlScene.BatchProcessState)"),
    ("copied", "n = slicer.vtkMRMLMarkupsFiducialNode(); n.SetName('H'); slicer.util.getNode('F').Copy(n)"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "code"), _CHANGES, ids=[name for name, _ in _CHANGES])
@pytest.mark.parametrize("path", ["/slicer/mrml/names", "/slicer/mrml/ids", "/slicer/mrml"])
def test_a_change_is_in_the_very_next_answer(
    rest: httpx.Client, slicer: sn.Session, what: str, code: str, path: str
) -> None:
    slicer.add_markups([[0, 0, 0]], name="F")
    former = rest.get(path).json()
    assert rest.get(path).json() == former
    slicer.run(code)
    attribute = "id" if path.endswith("ids") else "name"
    expected = [getattr(node, attribute) for node in slicer.call("scene.select")]
    assert rest.get(path).json() == expected
    if not (path.endswith("ids") and "renamed" in what) and what != "copied":
        assert expected != former


def test_answers_of_other_selectors_are_others(rest: httpx.Client, slicer: sn.Session) -> None:
    points = slicer.add_markups([[0, 0, 0]], name="F")
    asked = [{}, {"id": points.id}, {"name": "F"}, {"name": "G"}, {"class": "vtkMRMLSliceNode"}]
    views = [node.name for node in slicer.call("scene.select", class_name="vtkMRMLSliceNode")]
    assert {"Red", "Green", "Yellow"} <= set(views)
    for _ in range(3):
        answers = [rest.get("/slicer/mrml/names", params=each).json() for each in asked]
        assert answers[1:] == [["F"], ["F"], [], views]
        assert len(answers[0]) > 20


def test_many_selectors_are_answered(rest: httpx.Client, slicer: sn.Session) -> None:
    slicer.add_markups([[0, 0, 0]], name="F")
    for number in range(150):
        assert rest.get("/slicer/mrml/names", params={"name": f"{number}"}).json() == []
    assert rest.get("/slicer/mrml/names", params={"name": "F"}).json() == ["F"]


def test_no_answer_is_older_than_a_change_that_was_made_before_it_was_asked(
    rest: httpx.Client, slicer: sn.Session
) -> None:
    """One client renames over and over, others read: whoever reads after a rename has that name or a later one."""
    points = slicer.add_markups([[0, 0, 0]], name="0")
    done = 0
    stop = threading.Event()
    wrong: list[tuple[int, list[str]]] = []

    def read() -> None:
        with httpx.Client(base_url=rest.base_url, trust_env=False, timeout=30) as client:
            while not stop.is_set():
                least = done
                names = client.get("/slicer/mrml/names", params={"id": points.id}).json()
                if len(names) != 1 or int(names[0]) < least:
                    wrong.append((least, names))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 150):
        points.name = str(number)
        done = number
    stop.set()
    for reader in readers:
        reader.join(30)
    assert wrong == []
