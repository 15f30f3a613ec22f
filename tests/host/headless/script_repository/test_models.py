"""Snippets on models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from PIL import Image

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet


@snippet("Models", "Show a simple surface mesh as a model node")
def test_show_mesh(host: HeadlessHost, slicer: Any) -> None:
    box = vtk.vtkCubeSource()
    box.SetXLength(30)
    box.SetYLength(20)
    box.SetZLength(15)
    box.SetCenter(10, 20, 5)
    node = slicer.modules.models.logic().AddModel(box.GetOutputPort())
    node.GetDisplayNode().SetColor(1, 0, 0)
    node.GetDisplayNode().SetOpacity(0.8)
    bounds = [0.0] * 6
    node.GetBounds(bounds)
    assert bounds == [-5, 25, 10, 30, -2.5, 12.5]
    host.view("1").fit()
    picture = host.view("1").image()[256, 256].astype(int)
    assert picture[0] > picture[2] + 20


@snippet("Models", "Measure distance of points from surface")
def test_distance_from_surface(slicer: Any, ball: Any, points: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = np.eye(4)
    moved[0, 3] = 5
    slicer.util.updateTransformMatrixFromArray(transform, moved)
    ball.SetAndObserveTransformNodeID(transform.GetID())
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(ball.GetParentTransformNode(), None, to_world)
    world = vtk.vtkTransformPolyDataFilter()
    world.SetTransform(to_world)
    world.SetInputData(ball.GetPolyData())
    world.Update()
    distance = vtk.vtkImplicitPolyDataDistance()
    distance.SetInput(world.GetOutput())
    column = vtk.vtkDoubleArray()
    column.SetName("Distance")
    for point in slicer.util.arrayFromMarkupsControlPoints(points, world=True):
        closest = [0.0, 0.0, 0.0]
        column.InsertNextValue(distance.EvaluateFunctionAndGetClosestPoint(point, closest))
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Points from surface distance")
    table.AddColumn(column)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    slicer.app.applicationLogic().GetSelectionNode().SetReferenceActiveTableID(table.GetID())
    slicer.app.applicationLogic().PropagateTableSelection()
    # The sphere's centre is at (6, 2, 3) now.
    expected = [-5, -5, np.sqrt(125) - 10]
    assert slicer.util.dataframeFromTable(table)["Distance"].tolist() == pytest.approx(expected, abs=0.1)


@snippet("Models", "Add a texture mapped plane to the scene as a model")
def test_textured_plane(host: HeadlessHost, slicer: Any) -> None:
    plane = vtk.vtkPlaneSource()
    plane.SetOrigin(-50.0, 0.0, -50.0)
    plane.SetPoint1(50.0, 0.0, -50.0)
    plane.SetPoint2(-50.0, 0.0, 50.0)
    model = slicer.modules.models.logic().AddModel(plane.GetOutputPort())
    display = model.GetDisplayNode()
    display.SetBackfaceCulling(0)
    host.view("1").fit()
    plain = host.view("1").image()
    ellipsoid = vtk.vtkImageEllipsoidSource()
    ellipsoid.SetWholeExtent(0, 19, 0, 19, 0, 0)
    ellipsoid.SetCenter(10, 10, 0)
    ellipsoid.SetRadius(5, 5, 5)
    display.SetTextureImageDataConnection(ellipsoid.GetOutputPort())
    assert (host.view("1").image() != plain).any()


@snippet("Models", "Get scalar values at surface of a model")
def test_values_at_a_position(slicer: Any, ball: Any) -> None:
    normals = ball.GetPolyData().GetPointData().GetArray("Normals")
    locator = vtk.vtkPointLocator()
    locator.SetDataSet(ball.GetPolyData())
    locator.BuildLocator()
    heard: list[Any] = []
    crosshair = slicer.util.getNode("Crosshair")

    def on_moved(_observer: Any, _event: str) -> None:
        ras = [0.0, 0.0, 0.0]
        crosshair.GetCursorPositionRAS(ras)
        heard.append(normals.GetTuple(locator.FindClosestPoint(ras)))

    tag = crosshair.AddObserver(slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent, on_moved)
    crosshair.SetCursorPositionRAS([1.0, 2.0, 40.0])
    crosshair.RemoveObserver(tag)
    assert heard[-1] == pytest.approx((0, 0, 1), abs=1e-6)


@snippet("Models", "Apply VTK filter on a model node")
def test_curvature(slicer: Any, ball: Any) -> None:
    curvatures = vtk.vtkCurvatures()
    curvatures.SetInputData(ball.GetPolyData())
    ball.SetPolyDataConnection(curvatures.GetOutputPort())
    display = ball.GetDisplayNode()
    display.SetActiveScalar("Gauss_Curvature", vtk.vtkAssignAttribute.POINT_DATA)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    display.SetScalarVisibility(True)
    values = slicer.util.arrayFromModelPointData(ball, "Gauss_Curvature")
    assert np.median(values) == pytest.approx(1 / 10**2, rel=0.1)


@snippet("Models", "Select cells of a model using markups point list")
def test_select_cells(slicer: Any, ball: Any, points: Any) -> None:
    selection = vtk.vtkIntArray()
    selection.SetName("selection")
    selection.SetNumberOfValues(ball.GetMesh().GetNumberOfCells())
    selection.Fill(0)
    ball.GetMesh().GetCellData().AddArray(selection)
    ball.GetDisplayNode().SetActiveScalar("selection", vtk.vtkAssignAttribute.CELL_DATA)
    locator = vtk.vtkCellLocator()
    locator.SetDataSet(ball.GetMesh())
    locator.BuildLocator()
    closest, cell = [0.0] * 3, vtk.vtkGenericCell()
    cell_id, sub_id, distance = vtk.mutable(0), vtk.mutable(0), vtk.mutable(0.0)
    for point in slicer.util.arrayFromMarkupsControlPoints(points)[1:]:
        locator.FindClosestPoint(point, closest, cell, cell_id, sub_id, distance)
        selection.SetValue(cell_id.get(), 100)
    slicer.util.arrayFromModelCellDataModified(ball, "selection")
    assert (slicer.util.arrayFromModelCellData(ball, "selection") == 100).sum() == 2


@snippet("Models", "Export entire scene as glTF")
def test_gltf(host: HeadlessHost, slicer: Any, ball: Any, tmp_path: Path) -> None:
    host.view("1").image()
    exporter = vtk.vtkGLTFExporter()
    exporter.SetRenderWindow(slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow())
    exporter.SetFileName(str(tmp_path / "mymodel.gltf"))
    exporter.Write()
    content = json.loads((tmp_path / "mymodel.gltf").read_text())
    counts = [accessor["count"] for accessor in content["accessors"]]
    assert ball.GetPolyData().GetNumberOfPoints() in counts


@snippet("Models", "Export entire scene as VRML")
def test_vrml(host: HeadlessHost, slicer: Any, ball: Any, tmp_path: Path) -> None:
    host.view("1").image()
    exporter = vtk.vtkVRMLExporter()
    exporter.SetRenderWindow(slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow())
    exporter.SetFileName(str(tmp_path / "something.wrl"))
    exporter.Write()
    text = (tmp_path / "something.wrl").read_text()
    assert text.startswith("#VRML")
    assert "IndexedFaceSet" in text


@snippet("Models", "Export model to Blender, including color by scalar")
def test_coloured_ply(slicer: Any, ball: Any, tmp_path: Path) -> None:
    elevation = vtk.vtkElevationFilter()
    elevation.SetInputData(ball.GetPolyData())
    elevation.SetLowPoint(0, 0, -7)
    elevation.SetHighPoint(0, 0, 13)
    ball.SetPolyDataConnection(elevation.GetOutputPort())
    display = ball.GetDisplayNode()
    display.SetActiveScalar("Elevation", vtk.vtkAssignAttribute.POINT_DATA)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    display.SetScalarVisibility(True)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(display.GetOutputPolyDataConnection())
    table = vtk.vtkLookupTable()
    table.DeepCopy(display.GetColorNode().GetLookupTable())
    table.SetRange(0, 1)
    writer = vtk.vtkPLYWriter()
    writer.SetInputConnection(triangles.GetOutputPort())
    writer.SetLookupTable(table)
    writer.SetArrayName("Elevation")
    writer.SetFileName(str(tmp_path / "model.ply"))
    writer.Write()
    reader = vtk.vtkPLYReader()
    reader.SetFileName(str(tmp_path / "model.ply"))
    reader.Update()
    colors = vtk.util.numpy_support.vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    assert len(np.unique(colors, axis=0)) > 10


@snippet("Models", "Show comparison view of all model files a folder")
def test_comparison_views(host: HeadlessHost, slicer: Any, tmp_path: Path) -> None:
    for name, radius in (("small.stl", 5), ("large.stl", 20)):
        sphere = vtk.vtkSphereSource()
        sphere.SetRadius(radius)
        writer = vtk.vtkSTLWriter()
        writer.SetFileName(str(tmp_path / name))
        writer.SetInputConnection(sphere.GetOutputPort())
        writer.Write()
    files = sorted(path.name for path in tmp_path.glob("*.stl"))
    views = "".join(
        f'<item><view class="vtkMRMLViewNode" singletontag="{name}"><property name="viewlabel" action="default">{name}'
        "</property></view></item>"
        for name in files
    )
    slicer.app.setRenderPaused(True)
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    layout = f'<layout type="horizontal">{views}</layout>'
    if not node.SetLayoutDescription(567, layout):
        node.AddLayoutDescription(567, layout)
    slicer.app.layoutManager().setLayout(567)
    for name in files:
        view_node = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLViewNode")
        view_node.LinkedControlOn()
        model = slicer.util.loadModel(str(tmp_path / name))
        model.GetDisplayNode().AddViewNodeID(view_node.GetID())
    slicer.app.setRenderPaused(False)
    slicer.app.layoutManager().resetThreeDViews()
    assert host.view_names() == files
    assert slicer.app.layoutManager().threeDViewCount == 2
    centers = [host.view(name).image()[256, 256] for name in files]
    assert all(each.sum() > 0 for each in centers)
    assert {host.view(name).node.GetLayoutLabel() for name in files} == set(files)


@snippet("Models", "Rasterize a model and save it to a series of image files")
def test_rasterize(slicer: Any, ball: Any, tmp_path: Path) -> None:
    bounds = np.zeros(6)
    ball.GetBounds(bounds)
    size = [int(bounds[2 * axis + 1] - bounds[2 * axis] + 4) for axis in range(3)]
    image = vtk.vtkImageData()
    image.SetDimensions(size)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(0)
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    reference.SetOrigin([bounds[2 * axis] - 2 for axis in range(3)])
    reference.SetAndObserveImageData(image)
    reference.CreateDefaultDisplayNodes()
    seg = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    seg.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    logic = slicer.modules.segmentations.logic()
    logic.ImportModelToSegmentationNode(ball, seg)
    seg.CreateBinaryLabelmapRepresentation()
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic.ExportVisibleSegmentsToLabelmapNode(seg, labels, reference)
    voxels = (slicer.util.arrayFromVolume(labels) * 100).astype(np.uint8)
    for index, plane in enumerate(voxels):
        Image.fromarray(plane).save(tmp_path / f"image_{index:03}.tiff")
    files = sorted(tmp_path.glob("*.tiff"))
    assert len(files) == size[2]
    assert sum((np.asarray(Image.open(file)) == 100).sum() for file in files) == pytest.approx(4189, rel=0.05)
