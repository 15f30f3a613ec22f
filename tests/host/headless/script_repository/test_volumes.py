"""Snippets on volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone uses
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet


@snippet("Volumes", "Load volume from file")
def test_load_volume(slicer: Any, volume: Any, array: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(volume, str(tmp_path / "MRHead.nrrd"))
    node = slicer.util.loadVolume(str(tmp_path / "MRHead.nrrd"), {"name": "again", "singleFile": True})
    assert node.GetName() == "again"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), array)


@snippet("Volumes", "Save volume to file")
def test_save_volume(slicer: Any, volume: Any, array: Any, tmp_path: Path) -> None:
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    path = str(tmp_path / "test.nrrd")
    assert slicer.util.saveNode(node, path, {"useCompression": 0})
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), array)


@snippet("Volumes", "Load volume from .vti file")
def test_load_vti(slicer: Any, tmp_path: Path) -> None:
    source = vtk.vtkImageEllipsoidSource()
    source.SetWholeExtent(0, 9, 0, 9, 0, 9)
    writer = vtk.vtkXMLImageDataWriter()
    writer.SetFileName(str(tmp_path / "file.vti"))
    writer.SetInputConnection(source.GetOutputPort())
    writer.Write()
    reader = vtk.vtkXMLImageDataReader()
    reader.SetFileName(str(tmp_path / "file.vti"))
    reader.Update()
    image = reader.GetOutput()
    image.SetSpacing(1, 1, 1)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.SetAndObserveImageData(image)
    node.SetSpacing(2, 2, 2)
    slicer.util.setSliceViewerLayers(node, fit=True)
    assert slicer.util.arrayFromVolume(node).shape == (10, 10, 10)
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert red.GetFieldOfView()[0] == pytest.approx(20)


@snippet("Volumes", "Load volume from a remote server: Simple download")
def test_download_from_a_file_url(slicer: Any, volume: Any, array: Any, tmp_path: Path) -> None:
    # The page downloads through SampleData; the function below it works without it and without a network.
    source = tmp_path / "source.nrrd"
    slicer.util.saveNode(volume, str(source))
    checksum = f"SHA256:{slicer.util.computeChecksum('SHA256', str(source))}"
    target = str(tmp_path / "cache.nrrd")
    assert slicer.util.downloadFile(source.as_uri(), target, checksum=checksum)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(slicer.util.loadVolume(target)), array)


@snippet(
    "Volumes", "Load volume from a remote server: Download with interruptible progress reporting", "QtRequiredError"
)
def test_download_with_progress(slicer: Any) -> None:
    slicer.util.createProgressDialog()


@snippet("Volumes", "Show volume rendering automatically when a volume is loaded")
def test_volume_rendering_when_loaded(slicer: Any, array: Any) -> None:
    shown: list[str] = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def on_node_added(_caller: Any, _event: str, node: Any) -> None:
        if isinstance(node, slicer.vtkMRMLVolumeNode):
            shown.append(node.GetName())

    tag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, on_node_added)
    node = slicer.util.addVolumeFromArray(array, name="CT")
    slicer.mrmlScene.RemoveObserver(tag)
    assert shown == ["CT"]
    logic = slicer.modules.volumerendering.logic()
    display = logic.CreateDefaultVolumeRenderingNodes(node)
    display.SetVisibility(True)
    display.GetVolumePropertyNode().Copy(logic.GetPresetByName("MR-Default"))
    assert logic.GetFirstVolumeRenderingDisplayNode(node) is display
    assert display.GetVolumePropertyNode().GetScalarOpacity().GetSize() > 2


@snippet("Volumes", "Show volume rendering using maximum intensity projection")
def test_mip(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    host.view("1").fit()
    without = host.view("1").image()
    logic = slicer.modules.volumerendering.logic()
    display = logic.CreateDefaultVolumeRenderingNodes(volume)
    logic.CopyDisplayToVolumeRenderingDisplayNode(display)
    for view in slicer.util.getNodesByClass("vtkMRMLViewNode"):
        view.SetRaycastTechnique(slicer.vtkMRMLViewNode.MaximumIntensityProjection)
    display.SetVisibility(True)
    assert (host.view("1").image() != without).any()
    for view in slicer.util.getNodesByClass("vtkMRMLViewNode"):
        view.SetRaycastTechnique(slicer.vtkMRMLViewNode.Composite)


@snippet("Volumes", "Show volume rendering making soft tissues transparent")
def test_transparent_rendering(slicer: Any, volume: Any) -> None:
    display = slicer.modules.volumerendering.logic().CreateDefaultVolumeRenderingNodes(volume)
    function = display.GetVolumePropertyNode().GetVolumeProperty().GetGradientOpacity()
    function.RemoveAllPoints()
    for value, opacity in ((0, 0.0), (29, 0.0), (31, 0.2)):
        function.AddPoint(value, opacity)
    assert function.GetValue(100) == pytest.approx(0.2)
    assert function.GetValue(10) == 0


@snippet("Volumes", "Automatically load volumes that are copied into a folder", "QtImportError")
def test_watch_a_folder(slicer: Any) -> None:
    import qt  # the page starts a timer

    qt.QTimer.singleShot(3000, print)


@snippet("Volumes", "Extract randomly oriented slabs of given shape from a volume")
def test_random_slabs(slicer: Any, volume: Any) -> None:
    widget = slicer.app.layoutManager().sliceWidget("Red")
    node = widget.mrmlSliceNode()
    node.SetDimensions(24, 16, 1)
    node.SetFieldOfView(24, 16, 1)
    node.SetSliceToRASByNTP(0, 0, 1, 1, 0, 0, 0, 0, 0, 0)
    reslice = widget.sliceLogic().GetBackgroundLayer().GetReslice()
    reslice.Update()
    slab = vtk.util.numpy_support.vtk_to_numpy(reslice.GetOutputDataObject(0).GetPointData().GetScalars())
    assert slab.shape == (24 * 16,)
    assert len(np.unique(slab)) > 100


@snippet("Volumes", "Clone a volume")
def test_clone_volume(slicer: Any, volume: Any, array: Any) -> None:
    clone = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, slicer.util.getNode("MRHead"), "Cloned volume")
    slicer.util.arrayFromVolume(clone)[:] = 0
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), array)
    assert clone.GetName() == "Cloned volume"


@snippet("Volumes", "Create a new volume")
def test_create_volume(slicer: Any) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(6, 5, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(7)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MyNewVolume")
    node.SetOrigin(1, 2, 3)
    node.SetSpacing(0.5, 0.5, 2)
    node.SetIJKToRASDirections([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    node.CreateDefaultStorageNode()
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    assert bounds == pytest.approx([0.75, 3.75, 1.75, 4.25, 2, 10])
    assert (slicer.util.arrayFromVolume(node) == 7).all()


@snippet("Volumes", "Get value of a volume at specific voxel coordinates")
def test_voxel_value(slicer: Any, volume: Any) -> None:
    i, j, k = 20, 10, 5
    assert slicer.util.arrayFromVolume(volume)[k, j, i] == 20 + 40 * 10 + 3 * 5


@snippet("Volumes", "Modify voxels in a volume")
def test_modify_voxels(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    before = host.view("Red").image()
    voxels = slicer.util.array("MRHead")
    voxels[voxels < 700] = 0
    slicer.util.getNode("MRHead").Modified()
    slicer.util.arrayFromVolumeModified(volume)
    assert (host.view("Red").image() != before).any()
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    r, _, _, _ = matrix.MultiplyPoint([3, 2, 1, 1])
    volume.GetImageData().SetScalarComponentFromDouble(3, 2, 1, 0, r)
    assert slicer.util.arrayFromVolume(volume)[1, 2, 3] == 17


@snippet("Volumes", "Get volume voxel coordinates from markup control point RAS coordinates")
def test_voxel_of_a_point(slicer: Any, volume: Any, points: Any) -> None:
    world = [0.0, 0.0, 0.0]
    points.GetNthControlPointPositionWorld(0, world)
    to_volume = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, volume.GetParentTransformNode(), to_volume)
    to_ijk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(to_ijk)
    ijk = [round(each) for each in to_ijk.MultiplyPoint([*to_volume.TransformPoint(world), 1.0])[:3]]
    assert ijk == [19, 13, 12]  # (1, 2, 3) mm; i = 20 - R, j = 15 - A, k = (S + 20) / 2, rounded to even


@snippet("Volumes", "Get markup control point RAS coordinates from volume voxel coordinates")
def test_point_of_a_voxel(slicer: Any, volume: Any, points: Any) -> None:
    voxels = slicer.util.arrayFromVolume(volume)
    k, j, i = np.unravel_index(voxels.argmax(), voxels.shape)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint([float(i), float(j), float(k), 1.0])[:3]
    points.AddControlPoint(ras, "max")
    assert points.GetNthControlPointPosition(3) == (-19, -14, 18)
    assert points.GetNthControlPointLabel(3) == "max"


@snippet("Volumes", "Get the values of all voxels for a label value")
def test_values_of_a_label(slicer: Any, volume: Any, array: Any) -> None:
    labels = np.zeros(array.shape, np.uint8)
    labels[2:4, 3:5, 4:6] = 1
    slicer.util.addVolumeFromArray(labels, name="MRHead-label", nodeClassName="vtkMRMLLabelMapVolumeNode")
    values = slicer.util.array("MRHead")[np.where(slicer.util.array("MRHead-label") == 1)]
    assert values.mean() == array[2:4, 3:5, 4:6].mean()


@snippet("Volumes", "Access values in a DTI tensor volume")
def test_tensors(slicer: Any) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(2, 3, 4)
    tensors = vtk.vtkFloatArray()
    tensors.SetNumberOfComponents(9)
    tensors.SetNumberOfTuples(24)
    tensors.FillComponent(0, 5.0)
    image.GetPointData().SetTensors(tensors)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode", "DTI")
    node.SetAndObserveImageData(image)
    assert slicer.util.arrayFromVolume(node).shape == (4, 3, 2, 3, 3)
    assert node.GetImageData().GetPointData().GetTensors().GetTuple9(7)[0] == 5.0


@snippet("Volumes", "Change window/level (brightness/contrast) or colormap of a volume")
def test_window_and_colour(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    display = slicer.util.getNode("MRHead").GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindow(50)
    display.SetLevel(100)
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (75, 125)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    display.SetWindowLevel(2000, 600)
    picture = host.view("Red").image()[256, 256].astype(int)
    assert np.ptp(picture) > 50  # coloured


@snippet("Volumes", "Make mouse left-click and drag on the image adjust window/level")
def test_mouse_mode(slicer: Any) -> None:
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
    assert interaction.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.AdjustWindowLevel
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)


@snippet("Volumes", "Reset field of view to show background volume maximized")
def test_reset_slice_views(slicer: Any, volume: Any) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.SetFieldOfView(500, 500, 1)
    slicer.util.resetSliceViews()
    assert node.GetFieldOfView()[:2] == (40, 40)


@snippet("Volumes", "Rotate slice views to volume plane")
def test_rotate_to_volume_plane(slicer: Any, volume: Any) -> None:
    angle = np.radians(20)
    directions = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    volume.SetIJKToRASDirections(directions)
    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).mrmlSliceNode().RotateToVolumePlane(volume)
    matrix = slicer.util.arrayFromVTKMatrix(manager.sliceWidget("Red").mrmlSliceNode().GetSliceToRAS())
    assert abs(matrix[:3, 0] @ np.array(directions)[:, 0]) == pytest.approx(1)


@snippet("Volumes", "Iterate over current visible slice views, and set foreground and background images")
def test_foreground_and_background(slicer: Any, volume: Any, array: Any) -> None:
    other = slicer.util.addVolumeFromArray(array, name="CT")
    slicer.util.setSliceViewerLayers(background=volume, foreground=other, foregroundOpacity=0.3)
    manager = slicer.app.layoutManager()
    composites = [manager.sliceWidget(name).sliceLogic().GetSliceCompositeNode() for name in manager.sliceViewNames()]
    assert len(composites) == 3
    assert {each.GetForegroundVolumeID() for each in composites} == {other.GetID()}
    assert {each.GetForegroundOpacity() for each in composites} == {0.3}


@snippet("Volumes", "Show a volume in slice views")
def test_show_volume(slicer: Any, volume: Any, array: Any) -> None:
    other = slicer.util.addVolumeFromArray(array, name="YourVolumeNode")
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetSecondaryVolumeID(other.GetID())
    slicer.app.applicationLogic().PropagateForegroundVolumeSelection(0)
    for color in ("Red", "Yellow", "Green"):
        composite = slicer.app.layoutManager().sliceWidget(color).sliceLogic().GetSliceCompositeNode()
        assert composite.GetForegroundVolumeID() == other.GetID()
        assert composite.GetBackgroundVolumeID() == volume.GetID()


@snippet("Volumes", "Change opacity of foreground volume in slice views")
def test_foreground_opacity(host: HeadlessHost, slicer: Any, volume: Any, array: Any) -> None:
    other = slicer.util.addVolumeFromArray(array[::-1].copy(), name="CT")
    slicer.util.setSliceViewerLayers(foreground=other, foregroundOpacity=0.0)
    background = host.view("Red").image()
    slicer.util.setSliceViewerLayers(foregroundOpacity=0.4)
    assert (host.view("Red").image() != background).any()


@snippet("Volumes", "Turning off interpolation")
def test_no_interpolation(slicer: Any, array: Any) -> None:
    def no_interpolation(_caller: Any, _event: str) -> None:
        for node in slicer.util.getNodes("*").values():
            if node.IsA("vtkMRMLScalarVolumeDisplayNode"):
                node.SetInterpolate(0)

    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, no_interpolation)
    node = slicer.util.addVolumeFromArray(array)
    slicer.mrmlScene.RemoveObserver(tag)
    assert node.GetDisplayNode().GetInterpolate() == 0


@snippet("Volumes", "Running an ITK filter in Python using SimpleITK")
def test_simpleitk_filter(slicer: Any, volume: Any, array: Any) -> None:
    import sitkUtils

    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MRHeadFiltered")
    image = sitkUtils.PullVolumeFromSlicer(volume)
    assert image.GetOrigin() == (-20, -15, -20)  # LPS of the first voxel
    sitkUtils.PushVolumeToSlicer(sitk.BinaryThreshold(image, 500, 30000, 1, 0), output)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(output), array >= 500)
    assert output.GetOrigin() == volume.GetOrigin()
    assert output.GetSpacing() == pytest.approx(volume.GetSpacing())


@snippet("Volumes", "Get axial slice as numpy array")
def test_axial_slice(slicer: Any, volume: Any, array: Any) -> None:
    assert slicer.util.arrayFromVolume(volume)[12, :].tolist() == array[12].tolist()


@snippet("Volumes", "Get reformatted image from a slice viewer as numpy array")
def test_reformatted_image(slicer: Any, volume: Any, array: Any) -> None:
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    logic = slicer.app.applicationLogic().GetSliceLogic(node)
    logic.SetSliceOffset(0)
    reslice = logic.GetBackgroundLayer().GetReslice()
    reslice.Update()
    image = vtk.vtkImageData()
    image.DeepCopy(reslice.GetOutput())
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    result.SetIJKToRASMatrix(node.GetXYToRAS())
    result.SetAndObserveImageData(image)
    result.CreateDefaultDisplayNodes()
    voxels = slicer.util.arrayFromVolume(result)
    assert voxels.shape == (1, 512, 512)
    assert abs(int(voxels[0, 256, 256]) - int(array[10, 15, 20])) <= 40  # half a voxel off the middle


@snippet("Volumes", "Combine multiple volumes into one")
def test_combine_volumes(slicer: Any, volume: Any, array: Any) -> None:
    other = slicer.util.addVolumeFromArray(array * 2, name="other")
    difference = slicer.util.arrayFromVolume(other) - slicer.util.arrayFromVolume(volume)
    node = slicer.modules.volumes.logic().CloneVolume(volume, "Difference")
    slicer.util.updateVolumeFromArray(node, difference)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), array)


@snippet("Volumes", "Add noise to image")
def test_add_noise(slicer: Any, volume: Any, array: Any) -> None:
    voxels = slicer.util.arrayFromVolume(volume)
    voxels[:] = voxels + np.random.default_rng(0).normal(0, 20, voxels.shape)
    slicer.util.arrayFromVolumeModified(volume)
    assert (slicer.util.arrayFromVolume(volume) - array).std() == pytest.approx(20, rel=0.1)


@snippet("Volumes", "Mask volume using segmentation")
def test_mask_volume(slicer: Any, volume: Any, segmentation: Any, array: Any) -> None:
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.modules.segmentations.logic()
    assert logic.ExportVisibleSegmentsToLabelmapNode(segmentation, labels, volume)
    masked = np.where(slicer.util.arrayFromVolume(labels) == 0, 0, slicer.util.arrayFromVolume(volume))
    node = slicer.modules.volumes.logic().CloneVolume(volume, "Masked")
    slicer.util.updateVolumeFromArray(node, masked.astype(np.int16))
    assert (slicer.util.arrayFromVolume(node) > 0).sum() == 60
    assert slicer.util.arrayFromVolume(node)[5, 11, 22] == array[5, 11, 22]


@snippet("Volumes", "Apply random deformations to image")
def test_deform_volume(slicer: Any, volume: Any) -> None:
    grid = np.array([[x, y, z] for x in (-15.0, 15) for y in (-10.0, 10) for z in (-15.0, 15)])
    moved = grid + np.random.default_rng(1).normal(0, 2, grid.shape)
    transform = vtk.vtkThinPlateSplineTransform()
    transform.SetBasisToR()
    for setter, coordinates in ((transform.SetSourceLandmarks, grid), (transform.SetTargetLandmarks, moved)):
        landmarks = vtk.vtkPoints()
        for point in coordinates:
            landmarks.InsertNextPoint(point)
        setter(landmarks)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(transform)
    before = slicer.util.arrayFromVolume(volume).copy()
    volume.SetAndObserveTransformNodeID(node.GetID())
    assert volume.HardenTransform()
    after = slicer.util.arrayFromVolume(volume)
    assert (after != before).mean() > 0.3 if after.shape == before.shape else after.size > 0


@snippet("Volumes", "Thick slab reconstruction and maximum/minimum intensity volume projections")
def test_thick_slab(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    voxels = slicer.util.arrayFromVolume(volume)
    voxels[:] = 0
    voxels[17] = 1000
    slicer.util.arrayFromVolumeModified(volume)
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    logic = slicer.app.applicationLogic().GetSliceLogic(node)
    logic.SetSliceOffset(0)
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0, 1000)
    assert host.view("Red").image().max() == 0
    # The page sets the reslice filter; in this version of Slicer the slice node keeps these settings.
    node.SetSlabReconstructionEnabled(True)
    node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
    node.SetSlabReconstructionThickness(40)
    assert host.view("Red").image().max() == 255
    node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MEAN)
    assert 0 < host.view("Red").image().max() < 100
    node.SetSlabReconstructionEnabled(False)


@snippet("Volumes", "Display volume using volume rendering")
def test_display_volume_rendering(slicer: Any, volume: Any) -> None:
    logic = slicer.modules.volumerendering.logic()
    display = logic.CreateVolumeRenderingDisplayNode()
    display.UnRegister(logic)
    slicer.mrmlScene.AddNode(display)
    volume.AddAndObserveDisplayNodeID(display.GetID())
    logic.UpdateDisplayNodeFromVolumeNode(display, volume)
    assert display.GetVolumeNode() is volume
    assert display.GetVolumePropertyNode() is not None


@snippet("Volumes", "Apply a custom volume rendering color/opacity transfer function")
def test_custom_transfer_function(slicer: Any, volume: Any) -> None:
    display = slicer.modules.volumerendering.logic().CreateDefaultVolumeRenderingNodes(volume)
    colors = vtk.vtkColorTransferFunction()
    colors.AddRGBPoint(0, 1, 0, 0)
    colors.AddRGBPoint(1000, 0, 0, 1)
    opacities = vtk.vtkPiecewiseFunction()
    opacities.AddPoint(0, 0.0)
    opacities.AddPoint(1000, 0.5)
    node = display.GetVolumePropertyNode()
    node.SetColor(colors)
    node.SetScalarOpacity(opacities)
    assert node.GetVolumeProperty().GetScalarOpacity().GetValue(500) == pytest.approx(0.25)
    assert node.GetColor().GetColor(0) == (1, 0, 0)


@snippet("Volumes", "Limit volume rendering to a specific region of the volume")
def test_volume_rendering_roi(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    logic = slicer.modules.volumerendering.logic()
    display = logic.CreateDefaultVolumeRenderingNodes(volume)
    display.GetVolumePropertyNode().Copy(logic.GetPresetByName("MR-MIP"))
    display.SetVisibility(True)
    host.view("1").fit()
    whole = host.view("1").image()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetDisplayVisibility(False)
    roi.SetSize(6, 6, 6)
    display.SetAndObserveROINodeID(roi.GetID())
    display.SetCroppingEnabled(True)
    assert (host.view("1").image() != whole).any()
    assert display.GetROINode() is roi


@snippet("Volumes", "Register custom volume rendering presets")
def test_custom_presets(slicer: Any, tmp_path: Path) -> None:
    (tmp_path / "MyPresets.mrml").write_text(
        '<MRML version="Slicer4.4.0"><VolumeProperty id="vtkMRMLVolumeProperty1" name="MyPreset1" interpolation="1" '
        'shade="1" scalarOpacity="4 0 0 100 1" gradientOpacity="4 0 1 160 1" '
        'colorTransfer="8 0 0 0 0 641 1 1 1"/></MRML>'
    )
    scene = slicer.vtkMRMLScene()
    scene.RegisterNodeClass(slicer.vtkMRMLVolumePropertyNode())
    scene.SetURL(str(tmp_path / "MyPresets.mrml"))
    scene.Connect()
    logic = slicer.modules.volumerendering.logic()
    nodes = scene.GetNodesByClass("vtkMRMLVolumePropertyNode")
    nodes.UnRegister(None)
    for index in range(nodes.GetNumberOfItems()):
        logic.AddPreset(nodes.GetItemAsObject(index))
    preset = logic.GetPresetByName("MyPreset1")
    assert preset.GetScalarOpacity().GetValue(50) == pytest.approx(0.5)
    logic.RemovePreset(preset)
