"""Snippets on segmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet


@pytest.fixture
def two_segments(slicer: Any, segmentation: Any, volume: Any) -> Any:
    """The segmentation with a second segment "Liver" of 8 voxels."""
    segmentation.GetSegmentation().AddEmptySegment("Liver", "Liver")
    box = np.zeros((20, 30, 40), np.uint8)
    box[10:12, 20:22, 5:7] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(box, segmentation, "Liver", volume)
    return segmentation


@pytest.fixture
def round_segment(slicer: Any, volume: Any, ball: Any) -> Any:
    """A segmentation with the ball (radius 10 mm around (1, 2, 3) mm) as "ball"."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Round")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetPolyData(), "ball", [1.0, 0.0, 0.0], "ball")
    return node


@snippet("Segmentations", "Load a 3D image or model file as segmentation")
def test_load_segmentation(slicer: Any, two_segments: Any, ball: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(two_segments, str(tmp_path / "Segmentation.seg.nrrd"))
    node = slicer.util.loadSegmentation(str(tmp_path / "Segmentation.seg.nrrd"))
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["Segment_1", "Liver"]
    slicer.util.saveNode(ball, str(tmp_path / "Segment_1.stl"))
    node = slicer.util.loadSegmentation(str(tmp_path / "Segment_1.stl"))
    assert node.GetSegmentation().GetNumberOfSegments() == 1


@snippet("Segmentations", "Create a segmentation from a labelmap volume and display in 3D")
def test_from_labelmap(host: HeadlessHost, slicer: Any) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    node = slicer.util.addVolumeFromArray(labels, name="label", nodeClassName="vtkMRMLLabelMapVolumeNode")
    before = host.view("1").image()
    seg = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    seg.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(node, seg)
    seg.CreateClosedSurfaceRepresentation()
    slicer.mrmlScene.RemoveNode(node)
    host.view("1").fit()
    assert (host.view("1").image() != before).any()
    surface = seg.GetClosedSurfaceInternalRepresentation(seg.GetSegmentation().GetNthSegmentID(0))
    assert surface.GetCenter() == pytest.approx((9.5, 9.5, 9.5), abs=0.1)


@snippet("Segmentations", "Create segmentation from a model node")
def test_from_model(slicer: Any, ball: Any) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportModelToSegmentationNode(ball, node)
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "ball"


@snippet("Segmentations", "Export labelmap node from segmentation node")
def test_export_labelmap(slicer: Any, two_segments: Any, volume: Any) -> None:
    logic = slicer.modules.segmentations.logic()
    whole = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic.ExportAllSegmentsToLabelmapNode(two_segments, whole, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    assert slicer.util.arrayFromVolume(whole).shape == (20, 30, 40)
    small = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic.ExportAllSegmentsToLabelmapNode(two_segments, small)
    assert np.bincount(slicer.util.arrayFromVolume(small).ravel())[1:].tolist() == [60, 8]
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(two_segments.GetSegmentation().GetSegmentIdBySegmentName("Liver"))
    logic.ExportSegmentsToLabelmapNode(two_segments, ids, chosen, volume)
    assert (slicer.util.arrayFromVolume(chosen) > 0).sum() == 8


@snippet(
    "Segmentations",
    "Export labelmap node from segmentation node: Export to file by pressing Ctrl+Shift+S",
    "QtImportError",
)
def test_export_shortcut(slicer: Any) -> None:
    import qt

    qt.QShortcut(slicer.util.mainWindow())


@pytest.fixture
def organ_colors(slicer: Any) -> Any:
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.SetTypeToUser()
    node.HideFromEditorsOff()
    slicer.mrmlScene.AddNode(node)
    node.UnRegister(None)
    node.SetNumberOfColors(13)
    node.SetNamesInitialised(True)
    for value, name in ((10, "Segment_1"), (12, "Liver"), (6, "left lung")):
        assert node.SetColor(value, name, value / 12, 0.5, 0.5, 1.0)
    return node


@snippet("Segmentations", "Import/export labelmap node using custom label value mapping: Create color table node")
def test_color_table(organ_colors: Any) -> None:
    assert organ_colors.GetColorName(12) == "Liver"
    assert organ_colors.GetColorIndexByName("left lung") == 6


@snippet("Segmentations", "Export labelmap node from segmentation node using custom label value mapping")
def test_export_with_colors(slicer: Any, two_segments: Any, volume: Any, organ_colors: Any) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ExportSegmentsToLabelmapNode(
        two_segments,
        two_segments.GetSegmentation().GetSegmentIDs(),
        node,
        volume,
        slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY,
        organ_colors,
    )
    counts = np.bincount(slicer.util.arrayFromVolume(node).ravel(), minlength=13)
    assert (counts[10], counts[12]) == (60, 8)


@snippet("Segmentations", "Import labelmap node into segmentation node using custom label value mapping")
def test_import_with_colors(slicer: Any, organ_colors: Any) -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1] = 12
    node = slicer.util.addVolumeFromArray(labels, nodeClassName="vtkMRMLLabelMapVolumeNode")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(organ_colors.GetID())
    seg = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(node, seg)
    segment = seg.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Liver"
    assert segment.GetColor() == pytest.approx((1.0, 0.5, 0.5), abs=0.01)


@snippet("Segmentations", "Export model nodes from segmentation node")
def test_export_models(slicer: Any, two_segments: Any) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Segments")
    slicer.modules.segmentations.logic().ExportAllSegmentsToModels(two_segments, folder)
    children = slicer.util.getSubjectHierarchyItemChildren(folder)
    models = [hierarchy.GetItemDataNode(item) for item in children]
    assert [model.GetName() for model in models] == ["Segment_1", "Liver"]
    bounds = [0.0] * 6
    models[0].GetBounds(bounds)
    assert (bounds[0] + bounds[1]) / 2 == pytest.approx(20 - 22, abs=0.1)


@snippet("Segmentations", "Create a hollow model from boundary of solid segment: Example using VTK filters")
def test_hollow_model(slicer: Any, round_segment: Any) -> None:
    round_segment.CreateClosedSurfaceRepresentation()
    extrude = vtk.vtkLinearExtrusionFilter()
    extrude.SetInputData(round_segment.GetClosedSurfaceInternalRepresentation("ball"))
    extrude.SetExtrusionTypeToNormalExtrusion()
    extrude.SetScaleFactor(3.0)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(extrude.GetOutputPort())
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(triangles.GetOutputPort())
    normals.FlipNormalsOn()
    model = slicer.modules.models.logic().AddModel(normals.GetOutputPort())
    bounds = [0.0] * 6
    model.GetBounds(bounds)
    assert bounds[1] - bounds[0] == pytest.approx(26, abs=0.3)


@snippet("Segmentations", "Show a segmentation in 3D")
def test_show_in_3d(host: HeadlessHost, slicer: Any, segmentation: Any) -> None:
    host.view("1").fit()
    before = host.view("1").image()
    segmentation.CreateClosedSurfaceRepresentation()
    host.view("1").fit()
    assert (host.view("1").image() != before).any()


@snippet("Segmentations", "Modify segmentation display options")
def test_display_options(host: HeadlessHost, slicer: Any, segmentation: Any) -> None:
    display = segmentation.GetDisplayNode()
    display.SetOpacity3D(0.4)
    display.SetSegmentOpacity3D("Segment_1", 0.2)
    segmentation.GetSegmentation().GetSegment("Segment_1").SetColor(1, 0, 0)
    host.view("Red").offset = -10.0  # k = 5: through the box
    red = host.view("Red").image().astype(int)
    assert (red[..., 0] - red[..., 1]).max() > 80
    display.SetSegmentOverrideColor("Segment_1", 0, 0, 1)
    blue = host.view("Red").image().astype(int)
    assert (blue[..., 2] - blue[..., 1]).max() > 80
    assert display.GetSegmentOpacity3D("Segment_1") == 0.2


@snippet("Segmentations", "Get a representation of a segment")
def test_representations(slicer: Any, segmentation: Any) -> None:
    import vtkSegmentationCorePython as vtkSegmentationCore

    image = vtkSegmentationCore.vtkOrientedImageData()
    assert segmentation.GetBinaryLabelmapRepresentation("Segment_1", image)
    assert image.GetDimensions() == (40, 30, 20)
    surface = vtk.vtkPolyData()
    assert not segmentation.GetClosedSurfaceRepresentation("Segment_1", surface)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.GetSegmentClosedSurfaceRepresentation(segmentation, "Segment_1", surface)
    assert surface.GetNumberOfCells() > 10
    logic.GetSegmentBinaryLabelmapRepresentation(segmentation, "Segment_1", image)
    assert image.GetSpacing() == (1, 1, 2)


@snippet("Segmentations", "Convert all segments using default path and conversion parameters")
def test_convert_all(slicer: Any, round_segment: Any) -> None:
    assert round_segment.CreateBinaryLabelmapRepresentation()
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(round_segment, "ball")
    assert (voxels > 0).sum() * 2 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.05)  # voxels of 2 mm³


@snippet("Segmentations", "Convert all segments using custom path or conversion parameters")
def test_conversion_parameters(slicer: Any, round_segment: Any) -> None:
    geometry = slicer.vtkOrientedImageData()
    geometry.SetSpacing(0.5, 0.5, 0.5)
    geometry.SetExtent(-40, 40, -40, 40, -40, 40)
    converter = slicer.vtkSegmentationConverter
    segmentation = round_segment.GetSegmentation()
    segmentation.SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(geometry)
    )
    round_segment.CreateBinaryLabelmapRepresentation()
    image = slicer.vtkOrientedImageData()
    round_segment.GetBinaryLabelmapRepresentation("ball", image)
    assert image.GetSpacing() == (0.5, 0.5, 0.5)


@snippet("Segmentations", "Re-convert using a modified conversion parameter")
def test_reconvert(slicer: Any, segmentation: Any) -> None:
    inner = segmentation.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    volumes = []
    for smoothing in ("0.5", "0.0"):
        inner.SetConversionParameter("Smoothing factor", smoothing)
        inner.RemoveRepresentation(name)
        assert inner.CreateRepresentation(name)
        mass = vtk.vtkMassProperties()
        mass.SetInputData(segmentation.GetClosedSurfaceInternalRepresentation("Segment_1"))
        volumes.append(mass.GetVolume())
    assert volumes[1] == pytest.approx(120, rel=0.25)
    assert volumes[0] < volumes[1]


@snippet(
    "Segmentations",
    "Create keyboard shortcut for toggling sphere brush for paint and erase effects",
    "QtAttributeError",
)
def test_sphere_brush(slicer: Any) -> None:
    slicer.modules.segmenteditor.widgetRepresentation()


@snippet("Segmentations", "Create keyboard shortcut for toggling visibility of a set of segments")
def test_toggle_visibility(slicer: Any, two_segments: Any) -> None:
    # The page binds this to a key; what it does needs none.
    inner = two_segments.GetSegmentation()
    inner.GetSegment("Liver").SetTag("Segmentation.Status", "completed")
    for index in range(inner.GetNumberOfSegments()):
        segment_id = inner.GetNthSegmentID(index)
        status = vtk.mutable("")
        if inner.GetSegment(segment_id).GetTag("Segmentation.Status", status) and str(status) == "completed":
            two_segments.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    display = two_segments.GetDisplayNode()
    assert display.GetSegmentVisibility("Segment_1")
    assert not display.GetSegmentVisibility("Liver")


@snippet("Segmentations", "Customize list of displayed Segment editor effects", "QtAttributeError")
def test_effects(slicer: Any) -> None:
    slicer.modules.segmenteditor.widgetRepresentation().self()


@snippet("Segmentations", "Read and write a segment as a numpy array")
def test_segment_array(slicer: Any, segmentation: Any, volume: Any, array: Any) -> None:
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName("Segment_1")
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
    assert voxels.sum() == 60
    voxels[:] = 0
    voxels[array > 1000] = 1
    voxels[2:8, 4:9, 3:7] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, segmentation, segment_id, volume)
    again = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
    assert (again > 0).sum() == (array > 1000).sum() + 6 * 5 * 4
    values = slicer.util.arrayFromVolume(volume)
    values[again > 0] *= 4
    slicer.util.arrayFromVolumeModified(volume)
    assert values.max() == 4 * array.max()


@snippet("Segmentations", "Get centroid of a segment in world (RAS) coordinates")
def test_centroid(slicer: Any, segmentation: Any) -> None:
    voxels = slicer.util.arrayFromSegment(segmentation, "Segment_1")
    mean_kji = [coordinates.mean() for coordinates in np.nonzero(voxels)]
    image = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation("Segment_1", image)
    extent = image.GetExtent()
    ijk = [mean_kji[2] + extent[0], mean_kji[1] + extent[2], mean_kji[0] + extent[4]]
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ras = matrix.MultiplyPoint([*ijk, 1.0])[:3]
    assert ras == pytest.approx((20 - 22, 15 - 11.5, -20 + 2 * 5))
    slicer.modules.markups.logic().JumpSlicesToLocation(*ras, True)
    red = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    assert red.GetSliceOffset() == pytest.approx(-10)


@snippet("Segmentations", "Get histogram of a segmented region")
def test_histogram(slicer: Any, segmentation: Any, volume: Any, array: Any) -> None:
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Segment_1", volume)
    histogram = np.histogram(slicer.util.arrayFromVolume(volume)[mask != 0], bins=5)
    assert histogram[0].sum() == 60
    chart = slicer.util.plot(histogram, xColumnIndex=1)
    table = chart.GetNthPlotSeriesNode(0).GetTableNode()
    assert slicer.util.dataframeFromTable(table).iloc[:5, 0].sum() == 60


@snippet("Segmentations", "Get segments visible at a selected position")
def test_segments_at_a_position(host: HeadlessHost, slicer: Any, two_segments: Any) -> None:
    host.view("Red").offset = -10.0
    host.view("Red").image()
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    manager = view.displayableManagerByClassName("vtkMRMLSegmentationsDisplayableManager2D")
    ids = vtk.vtkStringArray()
    manager.GetVisibleSegmentsForPosition([-2.0, 4.0, -10.0], two_segments.GetDisplayNode(), ids)
    assert [ids.GetValue(index) for index in range(ids.GetNumberOfValues())] == ["Segment_1"]


@snippet("Segmentations", "Set default segmentation options")
def test_default_options(slicer: Any) -> None:
    default = slicer.vtkMRMLSegmentEditorNode()
    default.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    slicer.mrmlScene.AddDefaultNode(default)
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
    node.UnRegister(None)
    assert node.GetOverwriteMode() == slicer.vtkMRMLSegmentEditorNode.OverwriteNone
    slicer.mrmlScene.AddDefaultNode(slicer.vtkMRMLSegmentEditorNode())  # as it was, for the tests that follow


@snippet(
    "Segmentations",
    "How to run segment editor effects from a script: Use Segment editor effects from script",
    "QtAttributeError",
)
def test_segment_editor_widget(slicer: Any) -> None:
    slicer.qMRMLSegmentEditorWidget()


@snippet("Segmentations", "Process segment using a VTK filter")
def test_dilate(slicer: Any, segmentation: Any, volume: Any) -> None:
    ids = vtk.vtkStringArray()
    ids.InsertNextValue("Segment_1")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.modules.segmentations.logic()
    logic.ExportSegmentsToLabelmapNode(segmentation, ids, node, volume)
    dilate = vtk.vtkImageDilateErode3D()
    dilate.SetInputData(node.GetImageData())
    dilate.SetDilateValue(1)
    dilate.SetErodeValue(0)
    dilate.SetKernelSize(3, 1, 5)
    dilate.Update()
    node.GetImageData().DeepCopy(dilate.GetOutput())
    logic.ImportLabelmapToSegmentationNode(node, segmentation, ids)
    slicer.mrmlScene.RemoveNode(node.GetDisplayNode().GetColorNode())
    slicer.mrmlScene.RemoveNode(node)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Segment_1", volume)
    # Segment_1 was voxels 4-6, 10-13, 20-24; the kernel is an ellipsoid.
    assert [(int(each.min()), int(each.max())) for each in np.nonzero(voxels)] == [(2, 8), (10, 13), (19, 25)]
    assert 60 < (voxels > 0).sum() < 7 * 4 * 7


@snippet("Segmentations", "Clone a segment")
def test_clone_segment(slicer: Any, segmentation: Any) -> None:
    inner = segmentation.GetSegmentation()
    assert inner.CopySegmentFromSegmentation(inner, inner.GetSegmentIdBySegmentName("Segment_1"))
    assert inner.GetNumberOfSegments() == 2
    assert slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, inner.GetNthSegmentID(1)).sum() >= 60


@pytest.fixture
def statistics(slicer: Any, segmentation: Any) -> Any:
    import SegmentStatistics

    logic = SegmentStatistics.SegmentStatisticsLogic()
    logic.getParameterNode().SetParameter("Segmentation", segmentation.GetID())
    return logic


@snippet("Segmentations", "Quantifying segments: Get volume of each segment")
def test_segment_volume(slicer: Any, statistics: Any, volume: Any, array: Any) -> None:
    statistics.getParameterNode().SetParameter("ScalarVolume", volume.GetID())
    statistics.computeStatistics()
    stats = statistics.getStatistics()
    assert stats["SegmentIDs"] == ["Segment_1"]
    assert stats["Segment_1", "LabelmapSegmentStatisticsPlugin.volume_cm3"] == pytest.approx(0.12)
    mean = stats["Segment_1", "ScalarVolumeSegmentStatisticsPlugin.mean"]
    assert mean == pytest.approx(array[4:7, 10:14, 20:25].mean())


@snippet("Segmentations", "Quantifying segments: Get centroid of each segment")
def test_segment_centroid(slicer: Any, statistics: Any) -> None:
    statistics.getParameterNode().SetParameter("LabelmapSegmentStatisticsPlugin.centroid_ras.enabled", str(True))
    statistics.computeStatistics()
    centroid = statistics.getStatistics()["Segment_1", "LabelmapSegmentStatisticsPlugin.centroid_ras"]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint(centroid, "Segment_1")
    assert node.GetNthControlPointPosition(0) == pytest.approx((-2, 3.5, -10))


@snippet("Segmentations", "Quantifying segments: Get size, position, and orientation of each segment: Markups ROI")
def test_segment_box(slicer: Any, statistics: Any) -> None:
    keys = ("origin_ras", "diameter_mm", "direction_ras_x", "direction_ras_y", "direction_ras_z")
    for key in keys:
        statistics.getParameterNode().SetParameter(f"LabelmapSegmentStatisticsPlugin.obb_{key}.enabled", str(True))
    statistics.computeStatistics()
    stats = statistics.getStatistics()
    origin, size, x, y, z = (np.array(stats["Segment_1", f"LabelmapSegmentStatisticsPlugin.obb_{key}"]) for key in keys)
    assert sorted(size) == pytest.approx([4, 5, 6])
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetSize(size)
    center = origin + 0.5 * (size[0] * x + size[1] * y + size[2] * z)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack((x, y, z, center))
    roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    bounds = [0.0] * 6
    roi.GetBounds(bounds)
    assert bounds == pytest.approx([-4.5, 0.5, 1.5, 5.5, -13, -7])
