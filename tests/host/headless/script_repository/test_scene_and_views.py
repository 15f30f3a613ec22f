"""Snippets on the scene, on views and on VTK's classes behind them (the page's GUI part)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet

_LAYOUT = """
<layout type="vertical" split="true">
  <item><view class="vtkMRMLViewNode" singletontag="1">
    <property name="viewlabel" action="default">1</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Red"><property name="orientation" action="default">Axial</property>
    <property name="viewlabel" action="default">R</property></view></item>
</layout>
"""


@snippet("MRML scene", "Get MRML node from the scene")
def test_get_node(slicer: Any, volume: Any, points: Any) -> None:
    slicer.util.getNode("F").RemoveNthControlPoint(0)
    assert points.GetNumberOfControlPoints() == 2
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(100, 200)
    assert volume.GetDisplayNode().GetWindow() == 100
    with pytest.raises(slicer.util.MRMLNodeNotFoundException):
        slicer.util.getNode("nothing of that name")


@snippet("MRML scene", "Clone a node")
def test_clone_node(slicer: Any, points: Any) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    logic = slicer.modules.subjecthierarchy.logic()
    item = logic.CloneSubjectHierarchyItem(hierarchy, hierarchy.GetItemByDataNode(points))
    clone = hierarchy.GetItemDataNode(item)
    assert clone is not points
    assert clone.GetName() == "F Copy"
    assert clone.GetNumberOfControlPoints() == 3


@snippet("MRML scene", "Save a node to file")
def test_save_node(slicer: Any, tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LinearTransform_3")
    storage = node.CreateDefaultStorageNode()
    storage.SetFileName(str(tmp_path / "something.tfm"))
    assert storage.WriteData(node)
    assert (tmp_path / "something.tfm").read_text().startswith("#Insight Transform File")


@snippet("MRML scene", "Save the scene into a single MRB file")
def test_save_bundle(slicer: Any, volume: Any, tmp_path: Path) -> None:
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    with zipfile.ZipFile(tmp_path / "scene.mrb") as archive:
        assert any(name.endswith("MRHead.nrrd") for name in archive.namelist())


@snippet("MRML scene", "Save the scene into a new directory")
def test_save_directory(slicer: Any, volume: Any, tmp_path: Path) -> None:
    folder = tmp_path / "saved-scene"
    folder.mkdir()
    assert slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(str(folder), None)
    assert (folder / "Data" / "MRHead.nrrd").is_file()
    assert list(folder.glob("*.mrml"))


@snippet("MRML scene", "Override default scene save dialog", "QtAttributeError")
def test_save_dialog(slicer: Any) -> None:
    slicer.qSlicerFileDialog.Write  # noqa: B018 - the page's class needs it


@snippet("MRML scene", "Override application close behavior", "QtImportError")
def test_close_behavior(slicer: Any) -> None:
    import qt

    class CloseApplicationEventFilter(qt.QWidget):
        pass


@snippet("MRML scene", "Change default output file type for new nodes")
def test_default_file_type(slicer: Any, ball: Any) -> None:
    default = slicer.vtkMRMLModelStorageNode()
    default.SetDefaultWriteFileExtension("ply")
    slicer.mrmlScene.AddDefaultNode(default)
    ball.AddDefaultStorageNode()
    assert ball.GetStorageNode().GetDefaultWriteFileExtension() == "ply"
    slicer.mrmlScene.AddDefaultNode(slicer.vtkMRMLModelStorageNode())  # as it was, for the tests that follow


@snippet("MRML scene", "Change file type for saving for existing nodes")
def test_existing_file_types(slicer: Any, volume: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(volume, str(tmp_path / "head.nrrd"))
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        storage = node.GetStorageNode()
        storage.SetFileName(storage.GetFileName().replace(".nrrd", ".mha"))
        assert storage.WriteData(node)
    assert (tmp_path / "head.mha").is_file()
    default = slicer.vtkMRMLVolumeArchetypeStorageNode()
    default.SetUseCompression(0)
    slicer.mrmlScene.AddDefaultNode(default)
    fresh = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    fresh.AddDefaultStorageNode()
    assert fresh.GetStorageNode().GetUseCompression() == 0
    slicer.mrmlScene.AddDefaultNode(slicer.vtkMRMLVolumeArchetypeStorageNode())


@snippet("Module selection", "Switch to a different module", "QtRequiredError")
def test_select_module(slicer: Any) -> None:
    slicer.util.selectModule("DICOM")


@snippet("Module selection", "Set a new default module at startup", "QtImportError")
def test_home_module(slicer: Any) -> None:
    import qt

    qt.QSettings().setValue("Modules/HomeModule", "Data")


@snippet("Views", "Display text in a 3D view or slice view")
def test_corner_text(host: HeadlessHost, slicer: Any) -> None:
    manager = slicer.app.layoutManager()
    views = (("1", manager.threeDWidget(0).threeDView()), ("Red", manager.sliceWidget("Red").sliceView()))
    for name, view in views:
        before = host.view(name).image()
        view.cornerAnnotation().SetText(vtk.vtkCornerAnnotation.UpperRight, "Something")
        view.cornerAnnotation().GetTextProperty().SetColor(1, 0, 0)
        view.forceRender()
        changed = np.argwhere((host.view(name).image() != before).any(axis=2))
        assert len(changed) > 50
        assert changed[:, 0].max() < 256 < changed[:, 1].max()
        view.cornerAnnotation().ClearAllTexts()


@snippet("Views", "Show orientation marker in all views")
def test_orientation_marker(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    before = host.view("Red").image()
    nodes = slicer.util.getNodesByClass("vtkMRMLAbstractViewNode")
    for node in nodes:
        node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes)
    changed = np.argwhere((host.view("Red").image() != before).any(axis=2))
    assert changed[:, 0].min() > 256  # bottom
    assert changed[:, 1].min() > 256  # right
    for node in nodes:
        node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeNone)


@snippet("Views", "Change view axis labels")
def test_axis_labels(slicer: Any) -> None:
    node = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    former = [node.GetAxisLabel(index) for index in range(6)]
    for index, label in enumerate(("x", "X", "y", "Y", "z", "Z")):
        node.SetAxisLabel(index, label)
    slicer.app.layoutManager().threeDWidget(0).threeDView().rotateToViewAxis("Z")
    camera = slicer.app.layoutManager().threeDWidget(0).threeDView().cameraNode()
    assert camera.GetPosition()[2] > 100
    for index, label in enumerate(former):
        node.SetAxisLabel(index, label)


@snippet("Views", "Hide view controller bars")
def test_hide_controllers(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    manager = slicer.app.layoutManager()
    before = host.view("Red").image()
    manager.threeDWidget(0).threeDController().setVisible(False)
    manager.sliceWidget("Red").sliceController().setVisible(False)
    slicer.util.setViewControllersVisible(False)
    np.testing.assert_array_equal(host.view("Red").image(), before)  # pictures never show the bars


@snippet("Views", "Hide Slicer logo from main window", "QtRequiredError")
def test_hide_logo(slicer: Any) -> None:
    slicer.util.findChild(slicer.util.mainWindow(), "LogoLabel")


@snippet("Views", "Customize widgets in view controller bars", "QtAttributeError")
def test_customize_controllers(slicer: Any) -> None:
    slicer.app.layoutManager().sliceWidget("Red").sliceController().pinButton()


@snippet("Views", "Get current mouse coordinates in a slice view")
def test_mouse_coordinates(slicer: Any) -> None:
    heard: list[Any] = []
    crosshair = slicer.util.getNode("Crosshair")

    def on_moved(_observer: Any, _event: str) -> None:
        ras = [0.0, 0.0, 0.0]
        crosshair.GetCursorPositionRAS(ras)
        heard.append(ras)

    tag = crosshair.AddObserver(slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent, on_moved)
    crosshair.SetCursorPositionRAS([1.0, 2.0, 3.0])
    crosshair.RemoveObserver(tag)
    assert heard == [[1, 2, 3]]


@snippet("Views", "Display crosshair at a 3D position")
def test_crosshair(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    position = [2.0, 1.0, 4.0]
    crosshair = slicer.util.getNode("Crosshair")
    crosshair.SetCrosshairRAS(position)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *position, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    without = host.view("Red").image()
    crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowBasic)
    changed = np.argwhere((host.view("Red").image() != without).any(axis=2))
    crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.NoCrosshair)
    assert host.view("Red").offset == 4
    assert np.median(changed, axis=0) == pytest.approx([256, 256], abs=130)
    assert 255 in changed[:, 0] or 256 in changed[:, 0]


@snippet("Views", "Display mouse pointer coordinates in alternative coordinate system")
def test_other_coordinates(slicer: Any, caplog: pytest.LogCaptureFixture) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LinearTransform_3")
    matrix = np.eye(4)
    matrix[0, 3] = 10
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    to_world = vtk.vtkGeneralTransform()
    transform.GetTransformToWorld(to_world)
    with caplog.at_level("INFO"):
        slicer.util.showStatusMessage(f"MNI={to_world.TransformPoint([1.0, 2.0, 3.0])}")
    assert "MNI=(11.0, 2.0, 3.0)" in caplog.text  # there is no status bar: the log has it


@snippet("Views", "Get DataProbe text", "QtAttributeError")
def test_data_probe(slicer: Any) -> None:
    slicer.modules.DataProbeInstance.infoWidget  # noqa: B018 - asking is the test


@snippet("Views", "Create custom color table")
def test_custom_colors(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    node.SetName("InvertedOcean")
    for index in range(256):
        node.SetColor(index, 0.0, 1 - index / 255, 1.0, 1.0)
    slicer.mrmlScene.AddNode(node)
    volume.GetDisplayNode().SetAndObserveColorNodeID(node.GetID())
    picture = host.view("Red").image()[256, 256]
    assert (picture[0], picture[2]) == (0, 255)


@snippet("Views", "Show color legend for a volume node")
def test_color_legend(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    before = host.view("Red").image()
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(volume)
    assert legend.GetTitleText() == "MRHead"
    assert (host.view("Red").image() != before).any()


@snippet("Views", "Create custom color map and display color legend")
def test_color_map(host: HeadlessHost, slicer: Any, ball: Any) -> None:
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLProceduralColorNode")
    node.UnRegister(None)
    node.SetName(slicer.mrmlScene.GenerateUniqueName("MyColormap"))
    node.SetHideFromEditors(False)
    slicer.mrmlScene.AddNode(node)
    colors = node.GetColorTransferFunction()
    colors.RemoveAllPoints()
    for value, color in ((0.0, (0, 0, 1)), (20.0, (1, 1, 0)), (40.0, (1, 0, 0))):
        colors.AddRGBPoint(value, *color)
    ball.GetDisplayNode().SetAndObserveColorNodeID(node.GetID())
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(ball)
    legend.SetTitleText("Radial\nCompression")
    legend.SetLabelFormat("%4.1f mm")
    assert slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(ball) is legend
    assert colors.GetColor(10) == (0.5, 0.5, 0.5)


@snippet("Views", "Customize view layout")
def test_custom_layout(host: HeadlessHost, slicer: Any) -> None:
    manager = slicer.app.layoutManager()
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(501, _LAYOUT)
    manager.setLayout(501)
    assert host.view_names() == ["1", "Red"]
    assert manager.sliceViewNames() == ("Red",)
    assert manager.layout == 501


@snippet("Views", "Turn on slice intersections")
def test_slice_intersections(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    before = host.view("Red").image()
    # The page sets the slice display nodes; since Slicer 5 the application logic does, and updates the views.
    logic = slicer.app.applicationLogic()
    logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesVisibility, True)
    assert all(n.GetIntersectingSlicesVisibility() for n in slicer.util.getNodesByClass("vtkMRMLSliceDisplayNode"))
    changed = (host.view("Red").image() != before).any(axis=2)
    assert changed.any(axis=0).sum() > 400  # a line from side to side: the coronal slice
    logic.SetIntersectingSlicesEnabled(logic.IntersectingSlicesVisibility, False)


@snippet("Views", "Hide slice view annotations", "QtAttributeError")
def test_hide_annotations(slicer: Any) -> None:
    slicer.modules.DataProbeInstance.infoWidget  # noqa: B018 - asking is the test


@snippet("Views", "Change slice offset")
def test_slice_offset(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    logic.SetSliceOffset(8)
    assert logic.GetSliceOffset() == 8
    assert host.view("Red").offset == 8


@snippet("Views", "Change slice orientation")
def test_slice_orientation(slicer: Any) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    transform = vtk.vtkTransform()
    transform.SetMatrix(node.GetSliceToRAS())
    transform.RotateX(20)
    node.GetSliceToRAS().DeepCopy(transform.GetMatrix())
    node.UpdateMatrices()
    assert node.GetOrientation() == "Reformat"
    assert node.GetSliceToRAS().GetElement(2, 2) == pytest.approx(np.cos(np.radians(20)))
    node.SetOrientation("Axial")


@snippet("Views", "Measure angle between two slice planes")
def test_angle_of_slices(slicer: Any) -> None:
    angles: list[float] = []
    nodes = [slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}") for name in ("Red", "Yellow")]

    def show_angle(_caller: Any = None, _event: str = "") -> None:
        normals = [[node.GetSliceToRAS().GetElement(row, 2) for row in range(3)] for node in nodes]
        angles.append(vtk.vtkMath.DegreesFromRadians(vtk.vtkMath.AngleBetweenVectors(*normals)))

    tag = nodes[0].AddObserver(vtk.vtkCommand.ModifiedEvent, show_angle)
    show_angle()
    nodes[0].SetOrientation("Sagittal")
    nodes[0].RemoveObserver(tag)
    nodes[0].SetOrientation("Axial")
    assert angles[0] == pytest.approx(90)
    assert angles[-1] == pytest.approx(0)


@snippet("Views", "Set slice position and orientation from a normal vector and position")
def test_slice_pose(slicer: Any) -> None:
    node = slicer.util.getNode("vtkMRMLSliceNodeRed")
    normal, up = np.array([1.0, 1.0, 0.0]) / np.sqrt(2), [0, 0, 1]
    node.SetSliceToRASByNTP(*normal, *np.cross(up, normal), 5, 6, 7, 0)
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    assert abs(matrix[:3, 2] @ normal) == pytest.approx(1)
    assert matrix[:3, 3] == pytest.approx([5, 6, 7])
    assert abs(matrix[2, 1]) == pytest.approx(1)  # up in the picture is up
    node.SetOrientation("Axial")


@snippet("Views", "Show slice views in 3D window")
def test_slices_in_3d(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    manager = slicer.app.layoutManager()
    before = host.view("1").image()
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).sliceController().setSliceVisible(True)
    host.view("1").fit()
    assert (host.view("1").image() != before).any()
    models = [node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if node.GetDisplayNode().GetVisibility()]
    assert len(models) == 3
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).sliceController().setSliceVisible(False)


@snippet("Views", "Change default slice view orientation")
def test_default_orientation(slicer: Any) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    former, flipped = vtk.vtkMatrix3x3(), vtk.vtkMatrix3x3()
    former.DeepCopy(node.GetSliceOrientationPreset("Axial"))
    for matrix in (flipped, former):
        node.RemoveSliceOrientationPreset("Axial")
        node.AddSliceOrientationPreset("Axial", matrix)
        node.SetOrientation("Axial")
        assert node.GetSliceToRAS().GetElement(0, 0) == matrix.GetElement(0, 0)
    assert (flipped.GetElement(0, 0), former.GetElement(0, 0)) == (1, -1)


@snippet("Views", "Set all slice views linked by default")
def test_linked_by_default(slicer: Any) -> None:
    default = slicer.mrmlScene.GetDefaultNodeByClass("vtkMRMLSliceCompositeNode")
    if not default:
        default = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceCompositeNode")
        default.UnRegister(None)
        slicer.mrmlScene.AddDefaultNode(default)
    default.SetLinkedControl(True)
    slicer.mrmlScene.Clear(0)
    assert all(node.GetLinkedControl() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))
    default.SetLinkedControl(False)


@snippet("Views", "Set crosshair jump mode to centered by default")
def test_jump_mode(slicer: Any) -> None:
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairBehavior(crosshair.CenteredJumpSlice)
    assert crosshair.GetCrosshairBehavior() == crosshair.CenteredJumpSlice


@snippet("Views", "Set up custom units in slice view ruler")
def test_ruler_units(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetRulerType(red.RulerTypeThick)
    before = host.view("Red").image()
    for name in slicer.app.layoutManager().sliceViewNames():
        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        manager = view.displayableManagerByClassName("vtkMRMLRulerDisplayableManager")
        manager.RemoveAllRulerScalePresets()
        manager.AddRulerScalePreset(1.0, 5, 2, "um", 1.0)
        manager.AddRulerScalePreset(1000.0, 5, 2, "mm", 0.001)
        slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}").Modified()
    changed = np.argwhere((host.view("Red").image() != before).any(axis=2))
    assert changed[:, 0].min() > 400  # the ruler's text at the bottom reads um now
    red.SetRulerType(red.RulerTypeNone)


@snippet("Views", "Center the 3D view on the scene")
def test_center_3d(slicer: Any, ball: Any) -> None:
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    assert view.cameraNode().GetFocalPoint() == pytest.approx((1, 2, 3), abs=0.1)


@snippet("Views", "Rotate the 3D View")
def test_rotate_3d(slicer: Any) -> None:
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    before = np.array(view.cameraNode().GetPosition()) - view.cameraNode().GetFocalPoint()
    view.yaw()
    after = np.array(view.cameraNode().GetPosition()) - view.cameraNode().GetFocalPoint()
    angle = np.degrees(np.arccos(before @ after / np.linalg.norm(before) / np.linalg.norm(after)))
    assert angle == pytest.approx(5)


@snippet("Views", "Change 3D view background color")
def test_background(host: HeadlessHost, slicer: Any) -> None:
    node = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    former = node.GetBackgroundColor(), node.GetBackgroundColor2()
    node.SetBackgroundColor(1, 0, 0)
    node.SetBackgroundColor2(1, 0, 0)
    assert host.view("1").image()[0, 0].tolist() == [255, 0, 0]
    node.SetBackgroundColor(*former[0])
    node.SetBackgroundColor2(*former[1])


@snippet("Views", "Show a slice view outside the view layout", "QtAttributeError")
def test_slice_view_outside(slicer: Any) -> None:
    slicer.qMRMLSliceWidget()


@snippet("Views", "Show a 3D view outside the view layout", "QtAttributeError")
def test_3d_view_outside(slicer: Any) -> None:
    slicer.qMRMLThreeDWidget()
