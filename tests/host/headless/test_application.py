"""``slicer.app``, ``slicer.modules``, the layout manager, ``slicer.util``: what scripts reach."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.headless import HeadlessHost, colors
from slicer_notebook.host.headless.modules import MODULES


@pytest.mark.parametrize("entry", MODULES, ids=lambda entry: entry.name)
def test_every_module_has_its_logic_on_the_scene(host: HeadlessHost, slicer: Any, entry: Any) -> None:
    module = getattr(slicer.modules, entry.name.lower())
    assert module.name == entry.name
    logic = module.logic()
    assert logic.IsA(entry.logic)
    assert logic.GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.applicationLogic().GetModuleLogic(entry.name) is logic
    assert slicer.util.getModuleLogic(entry.name) is logic
    assert slicer.app.moduleManager().module(entry.name) is module


def test_module_names_are_slicers(slicer: Any) -> None:
    assert {"CropVolume", "SubjectHierarchy", "VolumeRendering", "Markups"} <= set(slicer.util.moduleNames())
    assert "cropvolume" in dir(slicer.modules)
    with pytest.raises(RuntimeError, match="BRAINSFit"):
        slicer.util.getModule("BRAINSFit")


def test_the_application_says_what_it_is(host: HeadlessHost, slicer: Any) -> None:
    app = slicer.app
    assert app.applicationName == "Slicer"
    assert (app.majorVersion, app.minorVersion) == tuple(int(part) for part in app.applicationVersion.split(".")[:2])
    assert Path(app.temporaryPath).is_dir()
    assert Path(app.slicerHome).is_dir()
    assert app.mrmlScene() is slicer.mrmlScene
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert app.applicationLogic().GetInteractionNode() is interaction
    assert app.moduleLogic("Volumes").GetClassName() == "vtkSlicerVolumesLogic"
    assert not app.testingEnabled()
    assert slicer.util.startupEnvironment()["PATH"]


def test_settings_last_as_long_as_the_process(slicer: Any) -> None:
    settings = slicer.app.userSettings()
    assert slicer.util.settingsValue("Tests/number", 3) == 3
    settings.setValue("Tests/number", "4")
    assert slicer.util.settingsValue("Tests/number", 3, converter=int) == 4
    assert "Tests/number" in settings.allKeys()
    settings.remove("Tests")
    assert not settings.contains("Tests/number")


def test_scene_and_presets_come_with_the_application(slicer: Any) -> None:
    scene = slicer.mrmlScene
    assert scene.GetNodeByID("vtkMRMLCrosshairNodedefault") is not None
    assert slicer.modules.volumerendering.logic().GetPresetByName("CT-Bone") is not None


def test_terminologies_are_loaded(slicer: Any) -> None:
    names: list[str] = []
    slicer.modules.terminologies.logic().GetLoadedTerminologyNames(names)
    assert any("Segmentation category" in name for name in names)


def test_default_colours(slicer: Any) -> None:
    for name in ("GenericColors.txt", "GenericAnatomyColors.txt", "DarkBrightChartColors.txt"):
        node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLColorTableNodeFile{name}")
        assert node is not None, name
        color = [0.0] * 4
        node.GetColor(2, color)
        assert color[:3] == pytest.approx([part / 255 for part in colors.label_color(2)])
    anatomy = slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeFileGenericAnatomyColors.txt")
    assert anatomy.GetColorName(2) == "bone"
    background = [1.0] * 4
    anatomy.GetColor(0, background)
    assert background[3] == 0


def test_the_colour_files_are_what_the_code_makes() -> None:
    folder = colors.HOME / colors.SHARE / "ColorFiles"
    assert {path.name: path.read_text() for path in folder.iterdir()} == colors.tables()


def test_neighbouring_labels_are_told_apart() -> None:
    table = np.array([colors.label_color(label) for label in range(1, 256)], float)
    assert np.linalg.norm(np.diff(table, axis=0), axis=1).min() > 60
    assert len({tuple(row) for row in table}) > 240


def test_the_layout_manager(slicer: Any) -> None:
    manager = slicer.app.layoutManager()
    assert set(manager.sliceViewNames()) == {"Red", "Yellow", "Green"}
    assert manager.threeDViewCount == 1
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    assert manager.sliceViewNames() == ()
    assert manager.sliceWidget("Red") is not None  # it exists, shown or not
    assert manager.sliceWidget("Purple") is None
    assert manager.threeDWidget(3) is None
    assert manager.activeMRMLThreeDViewNode().GetID() == "vtkMRMLViewNode1"


def test_the_application_logic_knows_the_views(slicer: Any) -> None:
    logic = slicer.app.applicationLogic()
    red, view = (slicer.mrmlScene.GetNodeByID(f"vtkMRML{name}") for name in ("SliceNodeRed", "ViewNode1"))
    assert logic.GetSliceLogic(red).GetSliceNode() is red
    assert logic.GetSliceLogicByLayoutName("Red") is logic.GetSliceLogic(red)
    assert logic.GetViewLogic(view).GetViewNode() is view
    assert logic.GetViewLogicByLayoutName("1") is logic.GetViewLogic(view)
    manager = logic.GetViewDisplayableManagerByClassName(view, "vtkMRMLModelDisplayableManager")
    assert manager.IsA("vtkMRMLModelDisplayableManager")


def test_views_have_the_layouts_colours(slicer: Any) -> None:
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    assert red.GetLayoutColor() == pytest.approx((0xF3 / 255, 0x4A / 255, 0x33 / 255))
    assert red.GetLayoutLabel() == "R"


def test_a_slice_widget(slicer: Any, volume: Any) -> None:
    widget = slicer.app.layoutManager().sliceWidget("Red")
    assert widget.mrmlSliceNode() is widget.sliceView().mrmlSliceNode() is widget.sliceLogic().GetSliceNode()
    assert widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
    assert widget.sliceOrientation == "Axial"
    widget.sliceController().setSliceOrientation("Sagittal")
    assert widget.sliceOrientation == "Sagittal"
    widget.setSliceOrientation("Axial")
    widget.sliceController().setSliceOffsetValue(4)
    assert widget.sliceLogic().GetSliceOffset() == 4
    widget.sliceController().setSliceVisible(True)
    assert widget.mrmlSliceNode().GetSliceVisible()
    view = widget.sliceView()
    ras = view.convertXYZToRAS([255.5, 255.5, 0])
    assert view.convertRASToXYZ(ras)[:2] == pytest.approx([255.5, 255.5])
    assert view.convertDeviceToXYZ([10, 0]) == [10, 511, 0]
    assert view.displayableManagerByClassName("vtkMRMLCrosshairDisplayableManager") is not None
    assert view.renderWindow().GetSize() == (512, 512)


def test_a_3d_widget(host: HeadlessHost, slicer: Any, ball: Any) -> None:
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    camera = view.cameraNode()
    assert camera.GetFocalPoint() == pytest.approx((1, 2, 3), abs=0.5)
    view.rotateToViewAxis(0)
    assert camera.GetPosition()[0] > 100
    view.rotateToViewAxis("S")
    assert camera.GetPosition()[2] > 100
    with pytest.raises(ArgumentError, match="0 to 5"):
        view.rotateToViewAxis(9)
    before = host.view("1").image()
    view.yaw()
    assert (host.view("1").image() != before).any()
    position = np.array(camera.GetPosition())
    view.zoomIn()
    focal_point = np.array(camera.GetFocalPoint())
    assert np.linalg.norm(camera.GetPosition() - focal_point) < np.linalg.norm(position - focal_point)
    view.setBackgroundColor((0, 0, 0))
    assert host.view("1").image()[0, 0].tolist() == [0, 0, 0]
    assert view.mrmlViewNode().GetBackgroundColor() == (0, 0, 0)
    with pytest.raises(ArgumentError, match="three numbers"):
        view.setBackgroundColor("black")


def test_linked_views_follow_each_other(slicer: Any, volume: Any) -> None:
    for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node.SetLinkedControl(True)
    slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().SetForegroundOpacity(0.25)
    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    logic.StartSliceCompositeNodeInteraction(slicer.vtkMRMLSliceCompositeNode.ForegroundVolumeFlag)
    logic.GetSliceCompositeNode().SetForegroundVolumeID(volume.GetID())
    logic.EndSliceCompositeNodeInteraction()
    yellow = slicer.app.layoutManager().sliceWidget("Yellow").mrmlSliceCompositeNode()
    assert yellow.GetForegroundVolumeID() == volume.GetID()


def test_messages_for_a_person_are_logged(slicer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        slicer.util.infoDisplay("done")
        slicer.util.errorDisplay("broken", detailedText="line 3")
        with slicer.util.WaitCursor(), slicer.util.MessageDialog("working"):
            pass
        with pytest.raises(ZeroDivisionError), slicer.util.tryWithErrorDisplay("It failed."):
            1 / 0  # noqa: B018 - the error is the test
    assert ("slicer", logging.INFO, "done") in caplog.record_tuples
    assert ("slicer", logging.ERROR, "broken\nline 3") in caplog.record_tuples
    assert any("working" in record.message for record in caplog.records)
    assert any("It failed." in record.message for record in caplog.records)


def test_folders_and_programs(slicer: Any, tmp_path: Path) -> None:
    first, second = slicer.util.tempDirectory(tempDir=str(tmp_path)), slicer.util.tempDirectory(tempDir=str(tmp_path))
    assert first != second
    assert Path(first).is_dir()
    assert slicer.util.tempDirectory("fixed", str(tmp_path), includeDateTime=False) == str(tmp_path / "fixed")
    assert slicer.util.longPath("/a/b") == "/a/b"
    with pytest.raises(SystemExit) as caught:
        slicer.util.exit(3)
    assert caught.value.code == 3
    process = slicer.util.launchConsoleProcess(["/bin/sh", "-c", "echo hello"])
    assert process.stdout.read().strip() == "hello"
    process.stdout.close()
    assert process.wait(timeout=10) == 0


def test_modules_go_by_their_desktop_names_too(slicer: Any) -> None:
    import mrml
    import vtkSegmentationCorePython
    import vtkSlicerVolumeRenderingModuleLogicPython

    assert vtkSegmentationCorePython.vtkSegment is slicer.vtkSegment
    logic = slicer.modules.volumerendering.logic()
    assert isinstance(logic, vtkSlicerVolumeRenderingModuleLogicPython.vtkSlicerVolumeRenderingLogic)
    assert mrml.vtkMRMLScene is slicer.vtkMRMLScene


def test_playing_sequences_step_with_the_events(slicer: Any, volume: Any, array: Any) -> None:
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "beat")
    for step in range(3):
        slicer.util.updateVolumeFromArray(volume, array + step)
        sequence.SetDataNodeAtValue(volume, str(step))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    browser.SetPlaybackRateFps(1000)
    browser.SetPlaybackActive(True)
    seen: set[int] = set()
    deadline = time.monotonic() + 20
    while not seen >= {0, 1, 2} and time.monotonic() < deadline:
        slicer.app.processEvents()
        seen.add(browser.GetSelectedItemNumber())
    browser.SetPlaybackActive(False)
    assert seen >= {0, 1, 2}
