"""Snippets on markups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet


def _line(slicer: Any, name: str, *ends: tuple[float, float, float]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
    for end in ends:
        node.AddControlPoint(end)
    return node


def _plane(slicer: Any, name: str, normal: tuple[float, float, float]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", name)
    node.SetCenter(0, 0, 5)
    node.SetNormal(normal)
    return node


@snippet("Markups", "Load markups point list from file")
def test_load_points(slicer: Any, points: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(points, str(tmp_path / "F.fcsv"))
    node = slicer.util.loadMarkups(str(tmp_path / "F.fcsv"))
    assert node.GetNthControlPointPosition(2) == pytest.approx((1, 12, 3))


@snippet("Markups", "Adding control points Programmatically")
def test_add_control_points(slicer: Any) -> None:
    logic = slicer.modules.markups.logic()
    logic.AddControlPoint()
    logic.AddControlPoint(1.0, -2.0, 3.3)
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(node), [[0, 0, 0], [1, -2, 3.3]])


@snippet("Markups", "How to draw a curve using control points stored in a numpy array")
def test_curve(slicer: Any) -> None:
    angles = np.linspace(0, np.pi, 15)
    half_circle = np.column_stack([30 * np.cos(angles), 30 * np.sin(angles), np.zeros(15)])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode")
    slicer.util.updateMarkupsControlPointsFromArray(node, half_circle)
    assert node.GetCurveLengthWorld() == pytest.approx(30 * np.pi, rel=0.01)
    assert len(slicer.util.arrayFromMarkupsCurvePoints(node)) > 100


@snippet("Markups", "Add a button to module GUI to activate control point placement", "QtAttributeError")
def test_place_button(slicer: Any) -> None:
    slicer.qSlicerMarkupsPlaceWidget()


@snippet("Markups", "Adding control points via mouse clicks")
def test_place_mode(slicer: Any) -> None:
    slicer.modules.markups.logic().StartPlaceMode(1)
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert interaction.GetPlaceModePersistence() == 1
    interaction.SwitchToViewTransformMode()
    interaction.SetPlaceModePersistence(0)
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


@snippet("Markups", "Access to markups point list Properties")
def test_properties(slicer: Any, points: Any) -> None:
    index = points.AddControlPoint([4.0, 5.5, -6.0])
    assert points.GetNthControlPointID(index)
    points.SetNthControlPointPosition(index, 6.0, 7.0, 8.0)
    points.SetNthControlPointLabel(index, "New label")
    points.SetNthControlPointSelected(index, True)
    points.SetNthControlPointVisibility(index, False)
    position = vtk.vtkVector3d(0, 0, 0)
    points.GetNthControlPointPosition(index, position)
    assert (position[0], position[1], position[2]) == (6, 7, 8)
    assert points.GetNthControlPointLabel(index) == "New label"
    assert not points.GetNthControlPointVisibility(index)


@snippet("Markups", "Define/edit a circular region of interest in a slice viewer")
def test_sphere_follows_points(slicer: Any, points: Any) -> None:
    sphere = vtk.vtkSphereSource()
    sphere.SetPhiResolution(30)
    sphere.SetThetaResolution(30)

    def update(_caller: Any = None, _event: str = "") -> None:
        center, edge = slicer.util.arrayFromMarkupsControlPoints(points)[:2]
        sphere.SetCenter(center)
        sphere.SetRadius(float(np.linalg.norm(edge - center)))
        sphere.Update()

    update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutputPort())
    model.GetDisplayNode().SetVisibility2D(True)
    model.GetDisplayNode().SetColor(1, 1, 0)
    points.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, update, 2)
    points.SetNthControlPointPosition(1, 21, 2, 3)
    bounds = [0.0] * 6
    model.GetBounds(bounds)
    assert bounds[1] - bounds[0] == pytest.approx(40, abs=0.5)


@snippet("Markups", "Specify a sphere by multiple control points")
def test_fit_sphere(slicer: Any) -> None:
    # The page fits with SciPy; the same least squares, linear in the centre and r² - |c|², need only numpy.
    directions = np.random.default_rng(0).normal(size=(12, 3))
    surface = np.array([3.0, 4, 5]) + 7 * directions / np.linalg.norm(directions, axis=1)[:, np.newaxis]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    slicer.util.updateMarkupsControlPointsFromArray(node, surface)
    points = slicer.util.arrayFromMarkupsControlPoints(node)
    matrix = np.column_stack([2 * points, np.ones(len(points))])
    (x, y, z, constant), *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(x, y, z)
    sphere.SetRadius(np.sqrt(constant + x**2 + y**2 + z**2))
    sphere.Update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    assert sphere.GetRadius() == pytest.approx(7)
    assert sphere.GetCenter() == pytest.approx((3, 4, 5))
    assert model.GetDisplayNode().GetVisibility()


@snippet("Markups", "Fit markups plane to model")
def test_fit_plane(slicer: Any) -> None:
    source = vtk.vtkPlaneSource()
    source.SetResolution(5, 5)
    source.SetNormal(0, 1, 1)
    source.SetCenter(1, 2, 3)
    source.Update()
    model = slicer.modules.models.logic().AddModel(source.GetOutput())
    center, normal = [0.0] * 3, [0.0, 0.0, 1.0]
    vtk.vtkPlane.ComputeBestFittingPlane(model.GetPolyData().GetPoints(), center, normal)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode")
    node.SetCenter(center)
    node.SetNormal(normal)
    assert node.GetCenter() == pytest.approx((1, 2, 3))
    assert np.abs(node.GetNormal()) == pytest.approx(np.sqrt([0, 0.5, 0.5]), abs=1e-6)


@snippet("Markups", "Measure angle between two markup planes")
def test_angle_of_planes(slicer: Any) -> None:
    normals = []
    for name, normal in (("P", (0, 0, 1)), ("P_1", (0, 1, 1))):
        _plane(slicer, name, normal)
        node = slicer.util.getFirstNodeByClassByName("vtkMRMLMarkupsPlaneNode", name)
        vector = [0.0, 0.0, 0.0]
        node.GetNormalWorld(vector)
        normals.append(vector)
    angle = vtk.vtkMath.DegreesFromRadians(vtk.vtkMath.AngleBetweenVectors(*normals))
    assert angle == pytest.approx(45)


@snippet("Markups", "Measure angle between two markup lines")
def test_angle_of_lines(slicer: Any) -> None:
    lines = [_line(slicer, "L", (0, 0, 0), (10, 0, 0)), _line(slicer, "L_1", (0, 0, 0), (0, 5, 0))]
    angles: list[float] = []

    def show_angle(_caller: Any = None, _event: str = "") -> None:
        directions = []
        for line in lines:
            start, end = np.zeros(3), np.zeros(3)
            line.GetNthControlPointPositionWorld(0, start)
            line.GetNthControlPointPositionWorld(1, end)
            directions.append(end - start)
        angles.append(np.degrees(vtk.vtkMath.AngleBetweenVectors(*directions)))

    for line in lines:
        line.AddObserver(slicer.vtkMRMLMarkupsLineNode.PointModifiedEvent, show_angle)
    show_angle()
    lines[1].SetNthControlPointPosition(1, 5, 5, 0)
    assert angles[0] == pytest.approx(90)
    assert angles[-1] == pytest.approx(45)


@snippet("Markups", "Project a line to a plane")
def test_project_line(slicer: Any) -> None:
    line = _line(slicer, "L", (1, 2, 30), (4, 5, -7))
    plane = _plane(slicer, "P", (0, 0, 1))
    to_world = vtk.vtkMatrix4x4()
    plane.GetObjectToWorldMatrix(to_world)
    to_plane = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(to_world, to_plane)
    projected = slicer.mrmlScene.AddNewNodeByClass(line.GetClassName(), f"{line.GetName()} projected")
    for index in range(2):
        x, y, _, _ = to_plane.MultiplyPoint([*line.GetNthControlPointPositionWorld(index), 1.0])
        projected.AddControlPoint(to_world.MultiplyPoint([x, y, 0.0, 1.0])[:3])
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(projected), [[1, 2, 5], [4, 5, 5]], atol=1e-9)


@snippet("Markups", "Measure distances of points from a line")
def test_distance_from_line(slicer: Any, points: Any) -> None:
    line = slicer.util.arrayFromMarkupsControlPoints(_line(slicer, "L", (0, 0, 0), (0, 0, 10)))
    along = (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
    found = [np.linalg.norm(np.cross(along, p - line[0])) for p in slicer.util.arrayFromMarkupsControlPoints(points)]
    assert found == pytest.approx([np.sqrt(5), np.sqrt(125), np.sqrt(145)])


@snippet("Markups", "Set slice position and orientation from 3 markups control points")
def test_slice_follows_points(slicer: Any, points: Any, volume: Any) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()

    def update(_caller: Any = None, _event: str = "") -> None:
        corners = slicer.util.arrayFromMarkupsControlPoints(points)
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        node.SetSliceToRASByNTP(*normal, *(corners[1] - corners[0]), *corners.mean(axis=0), 0)

    tag = points.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, update, 2)
    points.SetNthControlPointPosition(2, 1, 2, 13)
    points.RemoveObserver(tag)
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    assert abs(matrix[1, 2]) == pytest.approx(1)  # the normal: the points lie in a coronal plane now
    assert matrix[1, 3] == pytest.approx(2)


@snippet("Markups", "Switching to markups control point placement mode")
def test_placement_of_a_list(slicer: Any) -> None:
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(node.GetID())
    interaction.SetCurrentInteractionMode(interaction.Place)
    assert selection.GetActivePlaceNodeID() == node.GetID()
    interaction.SwitchToViewTransformMode()


@snippet("Markups", "Change markup point list display properties")
def test_display_properties(host: HeadlessHost, slicer: Any, points: Any, volume: Any) -> None:
    display = points.GetDisplayNode()
    display.SetSelectedColor(1, 1, 0)
    host.view("Red").offset = 3.0
    shown = host.view("Red").image()
    assert ((shown[..., 0] > 200) & (shown[..., 1] > 200) & (shown[..., 2] < 60)).sum() > 20
    display.SetVisibility(False)
    hidden = host.view("Red").image()
    assert not ((hidden[..., 0] > 200) & (hidden[..., 2] < 60)).any()
    display.SetVisibility(True)
    display.SetViewNodeIDs(["vtkMRMLSliceNodeYellow", "vtkMRMLViewNode1"])
    np.testing.assert_array_equal(host.view("Red").image(), hidden)


@snippet("Markups", "Get a notification if a markup control point position is modified")
def test_notification(slicer: Any, points: Any) -> None:
    heard: list[Any] = []
    points.AddObserver(
        slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
        lambda caller, _event: heard.append(caller.GetNthControlPointPosition(0)),
    )
    points.SetNthControlPointPosition(0, 7, 8, 9)
    assert heard == [(7, 8, 9)]


@snippet("Markups", "Write markup control point positions to JSON file")
def test_points_to_json(slicer: Any, points: Any, tmp_path: Path) -> None:
    data = [
        {"label": points.GetNthControlPointLabel(index), "position": points.GetNthControlPointPosition(index)}
        for index in range(points.GetNumberOfControlPoints())
    ]
    (tmp_path / "test.json").write_text(json.dumps(data))
    assert json.loads((tmp_path / "test.json").read_text())[1] == {"label": "F-2", "position": [11, 2, 3]}


@snippet("Markups", "Write annotation ROI to JSON file")
def test_roi_to_json(slicer: Any, tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLAnnotationROINode", "R")
    node.SetXYZ(1, 2, 3)
    node.SetRadiusXYZ(4, 5, 6)
    center, radius = [0.0] * 3, [0.0] * 3
    node.GetXYZ(center)
    node.GetRadiusXYZ(radius)
    (tmp_path / "test.json").write_text(json.dumps({"center": center, "radius": radius}))
    assert json.loads((tmp_path / "test.json").read_text()) == {"center": [1, 2, 3], "radius": [4, 5, 6]}


@snippet("Markups", "Fit slice plane to markup control points")
def test_fit_slice(slicer: Any, points: Any) -> None:
    p1, p2, p3 = slicer.util.arrayFromMarkupsControlPoints(slicer.mrmlScene.GetFirstNodeByName("F"))
    normal = np.cross(p2 - p1, p2 - p3) + np.array([0, 0.01, 0])
    normal /= np.linalg.norm(normal)
    across = np.cross([0.0, 0.0, 1.0], normal)
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    node.SetSliceToRASByNTP(*normal, *(across / np.linalg.norm(across)), *p1, 0)
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    assert abs(matrix[2, 2]) == pytest.approx(1, abs=1e-3)


@snippet("Markups", "Change color of a markups node")
def test_color(host: HeadlessHost, slicer: Any, points: Any) -> None:
    points.GetDisplayNode().SetSelectedColor(0, 0, 1)
    assert points.GetDisplayNode().GetSelectedColor() == (0, 0, 1)
    host.view("1").fit()
    picture = host.view("1").image().astype(int)
    assert ((picture[..., 2] > 150) & (picture[..., 0] < 60)).any()


@snippet("Markups", "Display list of control points in my module's GUI", "QtAttributeError")
def test_points_widget(slicer: Any) -> None:
    slicer.qSlicerSimpleMarkupsWidget()


@snippet("Markups", "Pre-populate the scene with measurements")
def test_measurements(slicer: Any) -> None:
    # The page binds this to a key; what it does needs none.
    for name in ("A", "B"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetGlyphTypeFromString("CrossDot2D")
        node.GetMeasurement("length").SetEnabled(False)
    lines = slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")
    assert [line.GetName() for line in lines] == ["A", "B"]
    assert lines[0].GetDisplayNode().GetGlyphTypeAsString() == "CrossDot2D"
    assert not lines[0].GetMeasurement("length").GetEnabled()


@snippet("Markups", "Copy all measurements in the scene to Excel", "QtAttributeError")
def test_measurements_to_the_clipboard(slicer: Any) -> None:
    line = _line(slicer, "A", (0, 0, 0), (3, 4, 0))
    assert line.GetMeasurement("length").GetValue() == pytest.approx(5)
    slicer.app.clipboard().setText("5")


@snippet(
    "Markups", "Use markups json files in Python - outside Slicer: Get a table of control point labels and positions"
)
def test_json_table(slicer: Any, points: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(points, str(tmp_path / "F.mrk.json"))
    table = pd.DataFrame(pd.read_json(tmp_path / "F.mrk.json")["markups"][0]["controlPoints"])
    assert table["label"].tolist() == ["F-1", "F-2", "F-3"]
    assert table["position"][1] == [-11, -2, 3]  # LPS


@snippet("Markups", "Use markups json files in Python - outside Slicer: Write control points to a csv file")
def test_json_to_csv(slicer: Any, points: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(points, str(tmp_path / "F.mrk.json"))
    table = pd.DataFrame(pd.read_json(tmp_path / "F.mrk.json")["markups"][0]["controlPoints"])
    table[["x", "y", "z"]] = pd.DataFrame(table["position"].to_list())
    table[["label", "x", "y", "z"]].to_csv(tmp_path / "F.csv")
    assert pd.read_csv(tmp_path / "F.csv")["y"].tolist() == [-2, -2, -12]


@snippet("Markups", "Assign custom actions to markups")
def test_custom_actions(host: HeadlessHost, slicer: Any, points: Any) -> None:
    host.view("1").image()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    manager = view.displayableManagerByClassName("vtkMRMLMarkupsDisplayableManager")
    display = points.GetDisplayNode()
    widget = manager.GetWidget(display)
    widget.SetKeyboardEventTranslation(
        widget.WidgetStateOnWidget, vtk.vtkEvent.NoModifier, "\0", 0, "q", widget.WidgetEventCustomAction1
    )
    before = display.GetGlyphScale()
    display.AddObserver(display.CustomActionEvent1, lambda node, _event: node.SetGlyphScale(node.GetGlyphScale() / 2))
    display.InvokeEvent(display.CustomActionEvent1)
    assert display.GetGlyphScale() == pytest.approx(before / 2)
