"""Snippets on transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet

_TURN = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def _transform(slicer: Any, matrix: Any) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.asarray(matrix, float)))
    return node


def _translation(slicer: Any, *offset: float) -> Any:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return _transform(slicer, matrix)


@snippet("Transforms", "Get a notification if a transform is modified")
def test_notification(slicer: Any) -> None:
    heard: list[float] = []

    def on_modified(node: Any, _event: str) -> None:
        matrix = vtk.vtkMatrix4x4()
        node.GetMatrixTransformToWorld(matrix)
        heard.append(matrix.GetElement(0, 3))

    node = _translation(slicer, 1, 0, 0)
    node.AddObserver(slicer.vtkMRMLTransformNode.TransformModifiedEvent, on_modified)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 12)
    node.SetMatrixTransformToParent(matrix)
    assert heard[-1] == 12


@snippet("Transforms", "Rotate a node around a specified point")
def test_rotate_around_point(slicer: Any, points: Any) -> None:
    rotation, final = _transform(slicer, _TURN), _translation(slicer, 0, 0, 0)

    def update(_caller: Any = None, _event: str = "") -> None:
        matrix, center = vtk.vtkMatrix4x4(), [0.0, 0.0, 0.0]
        rotation.GetMatrixTransformToParent(matrix)
        points.GetNthControlPointPositionWorld(0, center)
        transform = vtk.vtkTransform()
        transform.Translate(center)
        transform.Concatenate(matrix)
        transform.Translate([-each for each in center])
        final.SetAndObserveMatrixTransformToParent(transform.GetMatrix())

    update()
    points.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, update)
    points.SetNthControlPointPosition(0, 5, 0, 0)
    moved = slicer.util.arrayFromTransformMatrix(final)
    assert (moved @ [5, 0, 0, 1])[:3] == pytest.approx([5, 0, 0])
    assert (moved @ [6, 0, 0, 1])[:3] == pytest.approx([5, 1, 0])


@snippet("Transforms", "Rotate a node around a specified line")
def test_rotate_around_line(slicer: Any) -> None:
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "L")
    line.AddControlPoint([0, 5, 0])
    line.AddControlPoint([0, 5, 10])
    start, end = (np.array(line.GetNthControlPointPositionWorld(index)) for index in (0, 1))
    axis = (end - start) / np.linalg.norm(end - start)
    plane = vtk.vtkPlaneSource()
    plane.SetNormal(axis)
    origin = np.array(plane.GetOrigin())
    to_world = np.eye(4)
    to_world[:3] = np.column_stack(
        (np.array(plane.GetPoint1()) - origin, np.array(plane.GetPoint2()) - origin, axis, start)
    )
    transform = vtk.vtkTransform()
    for matrix in (to_world, _TURN, np.linalg.inv(to_world)):
        transform.Concatenate(slicer.util.vtkMatrixFromArray(matrix))
    assert transform.TransformPoint(0, 5, 3) == pytest.approx((0, 5, 3))
    assert np.linalg.norm(np.array(transform.TransformPoint(2, 5, 3)) - [0, 5, 3]) == pytest.approx(2)
    assert abs(transform.TransformPoint(2, 5, 3)[1] - 5) == pytest.approx(2)


@snippet("Transforms", "Convert between ITK and Slicer linear transforms")
def test_itk_transform(slicer: Any, tmp_path: Path) -> None:
    parameters = np.array([0.0, -1, 0, 1, 0, 0, 0, 0, 1, 10, 20, 30])
    text = "\n".join(
        [
            "#Insight Transform File V1.0",
            "#Transform 0",
            "Transform: AffineTransform_double_3_3",
            f"Parameters: {' '.join(map(str, parameters))}",
            "FixedParameters: 0 0 0",
        ]
    )
    (tmp_path / "LinearTransform.tfm").write_text(text)
    itk = np.eye(4)
    itk[:3, :3] = parameters[:9].reshape(3, 3)
    itk[:3, 3] = parameters[9:]
    lps_to_ras = np.diag([-1.0, -1, 1, 1])
    expected = np.linalg.inv(lps_to_ras @ itk @ lps_to_ras)  # ITK maps output to input: the inverse of Slicer's
    node = slicer.util.loadTransform(str(tmp_path / "LinearTransform.tfm"))
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(node), expected, atol=1e-9)


@snippet("Transforms", "Apply a transform to a transformable node")
def test_apply_transform(host: HeadlessHost, slicer: Any, ball: Any) -> None:
    ball.SetAndObserveTransformNodeID(_translation(slicer, 100, 0, 0).GetID())
    bounds = [0.0] * 6
    ball.GetRASBounds(bounds)
    assert (bounds[0] + bounds[1]) / 2 == pytest.approx(101, abs=0.1)
    assert ball.HardenTransform()
    assert slicer.util.arrayFromModelPoints(ball)[:, 0].mean() == pytest.approx(101, abs=0.5)


@snippet("Transforms", "Set a transformation matrix from a numpy array")
def test_matrix_from_array(slicer: Any) -> None:
    matrix = [[0.92979, -0.26946, -0.25075, 52.64], [0.03835, 0.74845, -0.66209, -46.1], [0.366, 0.606, 0.706, -0.5],
              [0, 0, 0, 1]]  # fmt: skip
    node = _transform(slicer, matrix)
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(node), matrix)


@snippet("Transforms", "Example of moving a volume along a trajectory using a transform")
def test_trajectory(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    node = slicer.vtkMRMLTransformNode()
    slicer.mrmlScene.AddNode(node)
    volume.SetAndObserveTransformNodeID(node.GetID())
    matrix = vtk.vtkMatrix4x4()
    pictures = []
    for position in (-8.0, 0.0, 8.0):
        matrix.SetElement(0, 3, position)
        node.SetMatrixTransformToParent(matrix)
        slicer.app.processEvents()
        pictures.append(host.view("Red").image())
    lit = [np.argwhere(picture[..., 0] > 0)[:, 1].mean() for picture in pictures]
    assert lit[0] > lit[1] > lit[2]  # to the patient's right is to the left in the picture


@snippet("Transforms", "Combine multiple transforms")
def test_combine(slicer: Any, points: Any) -> None:
    first, second = _translation(slicer, 100, 0, 0), _transform(slicer, _TURN)
    second.SetAndObserveTransformNodeID(first.GetID())
    points.SetAndObserveTransformNodeID(second.GetID())
    assert points.GetNthControlPointPositionWorld(0) == pytest.approx((100 - 2, 1, 3))


@snippet("Transforms", "Convert the transform to a grid transform")
def test_to_grid(slicer: Any, volume: Any) -> None:
    node = _translation(slicer, 3, 0, -1)
    grid = slicer.modules.transforms.logic().ConvertToGridTransform(node, volume)
    assert slicer.util.arrayFromGridTransform(grid).shape == (20, 30, 40, 3)
    to_world = vtk.vtkGeneralTransform()
    grid.GetTransformToWorld(to_world)
    assert to_world.TransformPoint(1, 2, 3) == pytest.approx((4, 2, 2), abs=1e-3)


@snippet("Transforms", "Export the displacement magnitude of the transform as a volume")
def test_displacement_magnitude(slicer: Any, volume: Any) -> None:
    logic = slicer.modules.transforms.logic()
    node = logic.CreateDisplacementVolumeFromTransform(_translation(slicer, 3, 0, -4), volume, True)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(node)[2:-2, 2:-2, 2:-2], 5, rtol=1e-5)


@snippet("Transforms", "Visualize the displacement magnitude as a color volume")
def test_displacement_colour(slicer: Any, volume: Any) -> None:
    logic = slicer.modules.transforms.logic()
    node = logic.CreateDisplacementVolumeFromTransform(_translation(slicer, 3, 0, -4), volume, False)
    scalars = vtk.util.numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    np.testing.assert_allclose(scalars.reshape(20, 30, 40, 3)[10, 15, 20], [3, 0, -4], atol=1e-5)
