"""Snippets on sequences, plots, the subject hierarchy, screen capture, batches, DICOM, registration, tractography."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from PIL import Image

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet

# -- sequences ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sequence(slicer: Any, volume: Any, array: Any) -> Any:
    """A loaded 4-D sequence "CTP" of six volumes, `array` + its number each."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "CTP")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    for number in range(6):
        slicer.util.updateVolumeFromArray(volume, array + number)
        node.SetDataNodeAtValue(volume, str(number))
    return node


@snippet("Sequences", "Access voxels of a 4D volume as numpy array")
def test_voxels_of_an_item(slicer: Any, sequence: Any, array: Any) -> None:
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(sequence.GetNthDataNode(5)), array + 5)


@snippet("Sequences", "Get index value")
def test_index_value(sequence: Any) -> None:
    assert (sequence.GetIndexName(), sequence.GetNthIndexValue(3), sequence.GetIndexUnit()) == ("time", "3", "s")


@snippet("Sequences", "Browse a sequence and access currently displayed nodes")
def test_browse(slicer: Any, sequence: Any, array: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(sequence, str(tmp_path / "CTP.seq.nrrd"))
    loaded = slicer.util.loadSequence(str(tmp_path / "CTP.seq.nrrd"))
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(loaded)
    assert browser.GetNumberOfItems() == 6
    assert browser.GetMasterSequenceNode() is loaded
    browser.SetSelectedItemNumber(5)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(browser.GetProxyNode(loaded)), array + 5)


@snippet("Sequences", "Get a volume sequence as a 4D numpy array")
def test_4d_array(slicer: Any, sequence: Any) -> None:
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode")
    count = node.GetNumberOfDataNodes()
    voxels = np.stack([slicer.util.arrayFromVolume(node.GetNthDataNode(item)) for item in range(count)], axis=-1)
    assert voxels.shape == (20, 30, 40, 6)
    assert (np.diff(voxels, axis=-1) == 1).all()


@snippet("Sequences", "Concatenate all sequences in the scene into a new sequence")
def test_concatenate(slicer: Any, sequence: Any, array: Any) -> None:
    merged = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Merged sequence")
    for item in range(sequence.GetNumberOfDataNodes()):
        merged.SetDataNodeAtValue(sequence.GetNthDataNode(item), str(item))
    slicer.mrmlScene.RemoveNode(sequence)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Merged")
    browser.AddSynchronizedSequenceNode(merged)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(merged)
    slicer.util.setSliceViewerLayers(background=proxy)
    browser.SetSelectedItemNumber(2)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(proxy), array + 2)


# -- plots --------------------------------------------------------------------------------------------------------


@snippet("Plots", "Using slicer.util.plot() utility function")
def test_plot(slicer: Any, volume: Any) -> None:
    histogram = np.histogram(slicer.util.arrayFromVolume(volume), bins=50)
    chart = slicer.util.plot(histogram, xColumnIndex=1)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0, 4e5)
    table = slicer.util.dataframeFromTable(chart.GetNthPlotSeriesNode(0).GetTableNode())
    assert table.iloc[:50, 0].sum() == 20 * 30 * 40
    assert chart.GetYAxisRange() == (0, 4e5)


@snippet("Plots", "Using MRML classes only")
def test_plot_of_nodes(slicer: Any, volume: Any) -> None:
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, np.histogram(slicer.util.arrayFromVolume(volume), bins=50))
    table.GetTable().GetColumn(0).SetName("Count")
    table.GetTable().GetColumn(1).SetName("Intensity")
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "MRHead histogram")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("Intensity")
    series.SetYColumnName("Count")
    series.SetPlotType(series.PlotTypeScatterBar)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlotChartID() == chart.GetID()
    layouts = slicer.vtkMRMLLayoutNode
    assert slicer.app.layoutManager().layout == layouts.SlicerLayoutFourUpPlotView


@snippet("Plots", "Save a plot as vector graphics (.svg)", "QtRequiredError")
def test_plot_to_svg(slicer: Any) -> None:
    slicer.app.layoutManager().plotWidget(0).plotView()


@snippet("Plots", "Using matplotlib: Non-interactive plot", "QtImportError")
def test_matplotlib_in_qt(slicer: Any) -> None:
    import qt

    qt.QPixmap("MatplotlibExample.png")


@snippet("Plots", "Using matplotlib: Plot in Slicer Jupyter notebook")
def test_matplotlib_in_a_notebook(slicer: Any, volume: Any, tmp_path: Path) -> None:
    # The page shows the figure through JupyterNotebooksLib; in a notebook of ours matplotlib shows it by itself.
    import matplotlib.figure

    figure = matplotlib.figure.Figure()
    axes = figure.subplots()
    counts, _, _ = axes.hist(slicer.util.arrayFromVolume(volume).ravel(), bins=10)
    figure.savefig(tmp_path / "histogram.png")
    assert counts.sum() == 24000
    with Image.open(tmp_path / "histogram.png") as picture:
        assert picture.size == (640, 480)


# -- subject hierarchy --------------------------------------------------------------------------------------------


@snippet("Subject hierarchy", "Get the pseudo-singleton subject hierarchy node")
def test_hierarchy_node(slicer: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene) is node


@snippet("Subject hierarchy", "Create subject hierarchy item")
def test_create_items(slicer: Any, volume: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    subject = node.CreateSubjectItem(node.GetSceneItemID(), "Subject_1")
    folder = node.CreateFolderItem(subject, "Folder")
    virtual = node.CreateHierarchyItem(folder, "virtual", "Study")
    item = node.CreateItem(folder, volume)
    assert node.GetItemLevel(subject) == "Patient"
    assert node.GetItemLevel(virtual) == "Study"
    assert node.GetItemParent(item) == folder


@snippet("Subject hierarchy", "Get subject hierarchy item")
def test_get_items(slicer: Any, volume: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    subject = node.CreateSubjectItem(node.GetSceneItemID(), "Subject_1")
    item = node.GetItemByDataNode(volume)
    node.SetItemUID(item, slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMUIDName(), "1.2.3")
    assert node.GetItemChildWithName(node.GetSceneItemID(), "Subject_1") == subject
    assert node.GetItemByUID("DICOM", "1.2.3") == item
    assert node.GetItemByUID("DICOM", "9.9") == slicer.vtkMRMLSubjectHierarchyNode.GetInvalidItemID()


@snippet("Subject hierarchy", "Traverse children of a subject hierarchy item")
def test_traverse(slicer: Any, volume: Any, ball: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    node.SetItemParent(node.GetItemByDataNode(ball), node.GetItemByDataNode(volume))
    direct, recursive = vtk.vtkIdList(), vtk.vtkIdList()
    node.GetItemChildren(node.GetSceneItemID(), direct)
    node.GetItemChildren(node.GetSceneItemID(), recursive, True)
    assert (direct.GetNumberOfIds(), recursive.GetNumberOfIds()) == (1, 2)


@snippet("Subject hierarchy", "Manipulate subject hierarchy item")
def test_manipulate(slicer: Any, ball: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = node.GetItemByDataNode(ball)
    folder = node.CreateFolderItem(node.GetSceneItemID(), "folder")
    node.SetItemName(item, "NewName")
    node.SetItemParent(item, folder)
    node.SetItemDisplayVisibility(item, 0)
    assert ball.GetName() == "NewName"
    assert node.GetItemParent(item) == folder
    assert not ball.GetDisplayNode().GetVisibility()


@snippet("Subject hierarchy", "Manipulate subject hierarchy item: folder plugin", "QtAttributeError")
def test_folder_plugin(slicer: Any) -> None:
    slicer.qSlicerSubjectHierarchyPluginHandler().instance()


@snippet("Subject hierarchy", "Filter items in TreeView or ComboBox", "QtAttributeError")
def test_tree_view(slicer: Any) -> None:
    slicer.qMRMLSubjectHierarchyTreeView()


@snippet("Subject hierarchy", "Listen to subject hierarchy item events")
def test_listen(slicer: Any, volume: Any) -> None:
    heard: list[int] = []

    class Listener(slicer.util.VTKObservationMixin):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            slicer.util.VTKObservationMixin.__init__(self)
            node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
            self.addObserver(node, node.SubjectHierarchyItemModifiedEvent, self.on_modified)

        @vtk.calldata_type(vtk.VTK_LONG)
        def on_modified(self, _caller: Any, _event: str, item: int) -> None:
            heard.append(item)

    listener = Listener()
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = node.GetItemByDataNode(volume)
    node.SetItemName(item, "other")
    listener.removeObservers()
    assert item in heard


@snippet("Subject hierarchy", "Subject hierarchy plugin offering view context menu action", "QtImportError")
def test_hierarchy_plugin(slicer: Any) -> None:
    import SubjectHierarchyPlugins  # noqa: F401 - importing is the test


@snippet("Subject hierarchy", "Use whitelist to customize view menu", "QtAttributeError")
def test_view_menu(slicer: Any) -> None:
    slicer.qSlicerSubjectHierarchyPluginHandler.instance().pluginLogic()


# -- screen capture -----------------------------------------------------------------------------------------------


@snippet("Screen Capture", "Capture the full Slicer screen and save it into a file", "QtImportError")
def test_capture_screen(slicer: Any) -> None:
    import qt

    qt.QPixmap.grabWidget(slicer.util.mainWindow())


@snippet("Screen Capture", "Capture all the views save it into a file")
def test_capture_all(slicer: Any, volume: Any, tmp_path: Path) -> None:
    import ScreenCapture

    capture = ScreenCapture.ScreenCaptureLogic()
    capture.showViewControllers(False)
    capture.captureImageFromView(None, str(tmp_path / "test.png"))
    capture.showViewControllers(True)
    picture = np.asarray(Image.open(tmp_path / "test.png"))
    assert picture.shape == (1024, 1024, 3)
    assert all(picture[row : row + 512, column : column + 512].max() > 0 for row in (0, 512) for column in (0, 512))


@snippet("Screen Capture", "Capture a single view")
def test_capture_one(host: HeadlessHost, slicer: Any, ball: Any, tmp_path: Path) -> None:
    import ScreenCapture

    capture = ScreenCapture.ScreenCaptureLogic()
    view = capture.viewFromNode(slicer.mrmlScene.GetNodeByID("vtkMRMLViewNode1"))
    capture.captureImageFromView(view, str(tmp_path / "test.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "test.png")), host.view("1").image())


@snippet("Screen Capture", "Capture a slice view sweep into a series of PNG files")
def test_capture_sweep(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    import ScreenCapture

    host.view("Red").offset = 2.0
    node = slicer.util.getNode("vtkMRMLSliceNodeRed")
    logic = ScreenCapture.ScreenCaptureLogic()
    logic.captureSliceSweep(node, -20.0, 18.0, 5, str(tmp_path / "sweep"), "image_%05d.png")
    files = sorted((tmp_path / "sweep").iterdir())
    assert [file.name for file in files] == [f"image_{index:05d}.png" for index in range(5)]
    assert len({file.read_bytes() for file in files}) == 5
    assert host.view("Red").offset == 2.0


@snippet("Screen Capture", "Capture 3D view into PNG file with transparent background")
def test_capture_transparent(host: HeadlessHost, slicer: Any, ball: Any, tmp_path: Path) -> None:
    host.view("1").fit()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    node = view.mrmlViewNode()
    former = node.GetBackgroundColor(), node.GetBackgroundColor2(), node.GetBoxVisible()
    node.SetBackgroundColor(0, 0, 0)
    node.SetBackgroundColor2(0, 0, 0)
    node.SetBoxVisible(False)
    window = view.renderWindow()
    window.SetAlphaBitPlanes(1)
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInputBufferTypeToRGBA()
    reader.SetInput(window)
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(tmp_path / "screenshot.png"))
    writer.SetInputConnection(reader.GetOutputPort())
    writer.Write()
    picture = np.asarray(Image.open(tmp_path / "screenshot.png"))
    assert picture.shape == (512, 512, 4)
    assert (picture[0, 0, 3], picture[256, 256, 3]) == (0, 255)
    node.SetBackgroundColor(*former[0])
    node.SetBackgroundColor2(*former[1])
    node.SetBoxVisible(former[2])


@snippet("Screen Capture", "Capture slice view into PNG file with white background")
def test_capture_white(slicer: Any, tmp_path: Path) -> None:
    import ScreenCapture

    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    view.setBackgroundColor((1, 1, 1))  # a QColor on the page
    view.forceRender()
    ScreenCapture.ScreenCaptureLogic().captureImageFromView(view, str(tmp_path / "screenshot.png"))
    assert (np.asarray(Image.open(tmp_path / "screenshot.png"))[5, 5] == 255).all()
    view.setBackgroundColor((0, 0, 0))


@snippet("Screen Capture", "Save a series of images from a slice view", "QtImportError")
def test_save_series(slicer: Any, volume: Any) -> None:
    logic = slicer.app.layoutManager().sliceWidget("Green").sliceLogic()
    bounds = [0.0] * 6
    logic.GetSliceBounds(bounds)
    logic.SetSliceOffset(bounds[4])
    import qt

    qt.QPixmap.grabWidget(slicer.app.layoutManager().sliceWidget("Green").sliceView())


# -- batches ------------------------------------------------------------------------------------------------------


@snippet("Batch processing", "Iterate through dicom series", "QtAttributeError")
def test_dicom_database(slicer: Any) -> None:
    slicer.dicomDatabase.patients()


@snippet("Batch processing", "Extracting volume patches around segments")
def test_patches(slicer: Any, segmentation: Any, volume: Any, array: Any, tmp_path: Path) -> None:
    import SegmentStatistics

    statistics = SegmentStatistics.SegmentStatisticsLogic()
    statistics.getParameterNode().SetParameter("Segmentation", segmentation.GetID())
    statistics.getParameterNode().SetParameter("LabelmapSegmentStatisticsPlugin.centroid_ras.enabled", str(True))
    statistics.computeStatistics()
    center = statistics.getStatistics()["Segment_1", "LabelmapSegmentStatisticsPlugin.centroid_ras"]
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetSize(10, 8, 12)
    roi.SetCenter(center)
    parameters = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode")
    parameters.SetInputVolumeNodeID(volume.GetID())
    parameters.SetROINodeID(roi.GetID())
    slicer.modules.cropvolume.logic().Apply(parameters)
    cropped = parameters.GetOutputVolumeNode()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(cropped)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(
        segmentation, labels, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    assert slicer.util.arrayFromVolume(labels).shape == slicer.util.arrayFromVolume(cropped).shape
    assert slicer.util.saveNode(cropped, str(tmp_path / "crop.nii.gz"))
    assert slicer.util.saveNode(labels, str(tmp_path / "label.nii.gz"))
    again = slicer.util.arrayFromVolume(slicer.util.loadVolume(str(tmp_path / "crop.nii.gz")))
    assert again.shape[0] < array.shape[0]


# -- what needs the desktop application --------------------------------------------------------------------------


@snippet("DICOM", "Load DICOM files into the scene from a folder", "QtImportError")
def test_dicom_utils(slicer: Any) -> None:
    from DICOMLib import DICOMUtils

    DICOMUtils.TemporaryDICOMDatabase()


@snippet("DICOM", "Import DICOM files into the application's DICOM database", "QtRequiredError")
def test_dicom_browser(slicer: Any) -> None:
    slicer.util.selectModule("DICOM")


@snippet("DICOM", "Import DICOM files using DICOMweb", "QtRequiredError")
def test_dicomweb(slicer: Any) -> None:
    slicer.util.selectModule("DICOM")


@snippet("DICOM", "Access top level tags of DICOM images imported into Slicer", "QtAttributeError")
def test_dicom_tags(slicer: Any) -> None:
    slicer.dicomDatabase.fileValue("file", "0020,0032")


@snippet("DICOM", "Access tag of an item in the Subject Hierarchy tree")
def test_series_of_an_item(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    host.application.subject_hierarchy.place_series(
        volume, patient_id="P1", study_uid="1.2", series_uid="1.2.3", patient={"PatientName": "Doe^Jane"}
    )
    node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert node.GetItemUID(node.GetItemByDataNode(volume), "DICOM") == "1.2.3"


@snippet("DICOM", "Get path and filename of a scalar volume node loaded from DICOM")
def test_path_of_a_node(slicer: Any, volume: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(volume, str(tmp_path / "head.nrrd"))
    node = slicer.util.loadVolume(str(tmp_path / "head.nrrd"))
    assert node.GetStorageNode().GetFullNameFromFileName() == str(tmp_path / "head.nrrd")


@snippet("DICOM", "Query and retrieve data from a PACS using classic DIMSE DICOM networking", "QtImportError")
def test_dimse(slicer: Any) -> None:
    import ctk

    ctk.ctkDICOMQuery()


@snippet("DICOM", "Customize table columns in DICOM browser", "QtAttributeError")
def test_browser_columns(slicer: Any) -> None:
    slicer.modules.dicom.widgetRepresentation()


@snippet("Registration", "Register two images with BRAINSFit", "QtAttributeError")
def test_brainsfit(slicer: Any) -> None:
    slicer.cli.run(slicer.modules.brainsfit, None, {}, wait_for_completion=True)


@snippet("Tractography", "Export a tract (FiberBundle) to Blender, including color")
def test_tubes(slicer: Any, tmp_path: Path) -> None:
    line = vtk.vtkLineSource()
    line.SetPoint1(0, 0, 0)
    line.SetPoint2(0, 0, 50)
    line.SetResolution(20)
    elevation = vtk.vtkElevationFilter()
    elevation.SetInputConnection(line.GetOutputPort())
    elevation.SetHighPoint(0, 0, 50)
    tuber = vtk.vtkTubeFilter()
    tuber.SetInputConnection(elevation.GetOutputPort())
    tuber.SetRadius(1)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(tuber.GetOutputPort())
    table = vtk.vtkLookupTable()
    table.DeepCopy(slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeRainbow").GetLookupTable())
    table.SetTableRange(0, 1)
    writer = vtk.vtkPLYWriter()
    writer.SetInputConnection(triangles.GetOutputPort())
    writer.SetLookupTable(table)
    writer.SetArrayName("Elevation")
    writer.SetFileName(str(tmp_path / "fibers.ply"))
    writer.Write()
    loaded = slicer.util.loadModel(str(tmp_path / "fibers.ply"), False)
    assert loaded.GetPolyData().GetNumberOfCells() > 50


@snippet("Tractography", "Iterate over tract (FiberBundle) streamline points")
def test_streamlines(slicer: Any) -> None:
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for start in (0, 10):
        lines.InsertNextCell(3)
        for step in range(3):
            lines.InsertCellPoint(points.InsertNextPoint(start + step, 0, 0))
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetLines(lines)
    node = slicer.modules.models.logic().AddModel(data)
    coordinates = slicer.util.arrayFromModelPoints(node)
    # The page walks the legacy cell array; VTK 9.6 has offsets and connectivity instead.
    cells = node.GetPolyData().GetLines()
    offsets = vtk.util.numpy_support.vtk_to_numpy(cells.GetOffsetsArray())
    ids = vtk.util.numpy_support.vtk_to_numpy(cells.GetConnectivityArray())
    found = [coordinates[ids[start:end], 0].tolist() for start, end in pairwise(offsets)]
    assert found == [[0, 1, 2], [10, 11, 12]]
