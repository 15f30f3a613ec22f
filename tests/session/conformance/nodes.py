"""Nodes by name, and those that are no volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import AFFINE, block, case, phantom, refused


@case
def nodes_by_class_name_and_id(slicer: Any, _: Path) -> None:
    one = slicer.add_volume(phantom(), None, "one")
    two = slicer.add_volume(phantom(), None, "two")
    assert slicer["one"] == one
    assert slicer[two.id] == two
    assert [n.name for n in slicer.nodes("vtkMRMLScalarVolumeNode")] == ["one", "two"]
    assert {n.id for n in slicer.nodes()} >= {one.id, two.id}
    assert "one" in slicer
    assert "three" not in slicer
    with refused(errors.NodeNotFoundError, "three", "one, two"):
        slicer["three"]
    with refused(errors.ArgumentError, "vtkMRMLNonsense"):
        slicer.nodes("vtkMRMLNonsense")
    two.name = "one"
    with refused(errors.AmbiguousNameError, one.id, two.id):
        slicer["one"]
    assert slicer[two.id] == two
    with refused(errors.ArgumentError, "int"):
        slicer[0]


@case
def names_attributes_and_removal(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "first")
    volume.name = "second"
    assert volume.name == "second"
    volume.set_attribute("key", "value")
    assert volume.attributes["key"] == "value"
    volume.set_attribute("key", None)
    assert "key" not in volume.attributes
    volume.remove()
    with refused(errors.NodeNotFoundError, volume.id):
        volume.array  # noqa: B018
    with refused(errors.NodeNotFoundError):
        volume.remove()


@case
def clear_leaves_the_views(slicer: Any, _: Path) -> None:
    slicer.add_volume(phantom(), None, "gone")
    slicer.clear()
    assert slicer.nodes("vtkMRMLVolumeNode") == []
    assert set(slicer.view_names) == {"Red", "Yellow", "Green", "1"}
    assert slicer.view("Red").image(size=(64, 64)).array.max() >= 0
    slicer.add_volume(block(), None, "again").window_level = (255, 127.5)
    assert slicer.view("Green").image(size=(64, 64)).array.max() == 200


@case
def markups_as_points_and_table(slicer: Any, _: Path) -> None:
    points = np.array([[1.0, 2, 3], [-4, 5, 6.5]])
    markups = slicer.add_markups(points, "landmarks", ["nose", "ear"])
    assert np.allclose(markups.points, points)
    assert markups.labels == ["nose", "ear"]
    frame = markups.to_dataframe()
    assert frame.label.tolist() == ["nose", "ear"]
    assert frame.s.tolist() == [3, 6.5]
    markups.points = [[0, 0, 1]]
    assert markups.array.tolist() == [[0, 0, 1]]
    with refused(errors.ArrayError, "(n, 3)"):
        markups.points = [[1, 2]]
    with refused(errors.ArrayError, "label"):
        slicer.add_markups(points, labels=["only one"])


@case
def transforms_move_and_harden(slicer: Any, _: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (10, -5, 2)
    transform = slicer.add_transform(shift, "shift")
    assert np.allclose(transform.matrix, shift)
    volume = slicer.add_volume(phantom(), AFFINE, "moved")
    slicer.call("transform.set_on", node=volume, transform=transform)
    slicer.call("transform.harden", node=volume)
    assert np.allclose(volume.affine, shift @ AFFINE)
    with refused(errors.ArrayError, "matrix"):
        transform.matrix = np.ones((3, 3))


@case
def tables_become_dataframes(slicer: Any, _: Path) -> None:
    slicer.run(
        "import vtk, numpy as np\n"
        "table = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode', 'numbers')\n"
        "slicer.util.updateTableFromArray(table, [np.array([1.5, 2.5]), np.array([3.0, 4.0])], ['a', 'b'])\n"
    )
    frame = slicer["numbers"].to_dataframe()
    assert list(frame.columns) == ["a", "b"]
    assert frame.a.tolist() == [1.5, 2.5]
    assert slicer["numbers"].array.tolist() == [[1.5, 3.0], [2.5, 4.0]]


@case
def segmentations_become_masks(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(block(), AFFINE, "ct")
    slicer.run(
        "label = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLLabelMapVolumeNode', 'label')\n"
        f"source = slicer.mrmlScene.GetNodeByID({volume.id!r})\n"
        "slicer.util.updateVolumeFromArray(label, (slicer.util.arrayFromVolume(source) > 100).astype('uint8'))\n"
        "label.CopyOrientation(source)\n"
        "seg = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLSegmentationNode', 'seg')\n"
        "seg.SetReferenceImageGeometryParameterFromVolumeNode(source)\n"
        "slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label, seg)\n"
    )
    segmentation = slicer["seg"]
    assert len(segmentation.segments) == 1
    mask = segmentation.mask(segmentation.segments[0]["id"], volume)
    assert np.array_equal(mask, (block() > 100).astype(np.uint8))
    assert np.array_equal(segmentation.mask(segmentation.segments[0]["name"], volume), mask)
    with refused(errors.NodeNotFoundError, "no segment", "liver"):
        segmentation.mask("liver", volume)


@case
def models_give_points_and_triangles(slicer: Any, _: Path) -> None:
    slicer.run(
        "import vtk\nsphere = vtk.vtkSphereSource(); sphere.SetRadius(10); sphere.SetCenter(1, 2, 3); sphere.Update()\n"
        "model = slicer.modules.models.logic().AddModel(sphere.GetOutput()); model.SetName('ball')\n"
    )
    model = slicer["ball"]
    points = model.points
    assert np.allclose(np.linalg.norm(points - (1, 2, 3), axis=1), 10, atol=1e-4)
    triangles = model.triangles
    assert triangles.shape[1] == 3
    assert triangles.max() == len(points) - 1
    model.show(False)
    assert slicer.eval("model.GetDisplayVisibility()") == 0
