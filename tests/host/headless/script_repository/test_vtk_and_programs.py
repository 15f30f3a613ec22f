"""Snippets on VTK's classes behind the views, gestures, other programs and extensions (the page's GUI part)."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import vtk

from slicer_notebook.host.headless import HeadlessHost

from .snippets import snippet


@snippet("Access VTK rendering classes", "Access VTK views, renderers, and cameras")
def test_vtk_views(slicer: Any, volume: Any) -> None:
    manager = slicer.app.layoutManager()
    for index in range(manager.threeDViewCount):
        view = manager.threeDWidget(index).threeDView()
        camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(view.mrmlViewNode())
        renderer = view.renderWindow().GetRenderers().GetItemAsObject(0)
        assert renderer.GetActiveCamera() is camera.GetCamera()
    for name in manager.sliceViewNames():
        node = manager.sliceWidget(name).sliceView().mrmlSliceNode()
        logic = slicer.app.applicationLogic().GetSliceLogic(node)
        assert logic.GetSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()


@snippet("Access VTK rendering classes", "Get displayable manager of a certain type for a certain view")
def test_displayable_manager(slicer: Any, ball: Any) -> None:
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    manager = view.displayableManagerByClassName("vtkMRMLModelDisplayableManager")
    assert manager.IsA("vtkMRMLModelDisplayableManager")
    assert manager.GetActorByID(ball.GetDisplayNode().GetID()) is not None
    assert view.displayableManagerByClassName("vtkMRMLNoSuchDisplayableManager") is None


@snippet("Access VTK rendering classes", "Access VTK actor properties")
def test_actor_properties(host: HeadlessHost, slicer: Any, ball: Any) -> None:
    host.view("1").fit()
    before = host.view("1").image()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    manager = view.displayableManagerByClassName("vtkMRMLModelDisplayableManager")
    shape = manager.GetActorByID(ball.GetDisplayNode().GetID()).GetProperty()
    shape.SetInterpolationToPBR()
    shape.SetMetallic(0.5)
    shape.SetRoughness(0.5)
    shape.SetColor(0.5, 0.5, 0.9)
    slicer.util.forceRenderAllViews()
    assert (host.view("1").image() != before).any()


@snippet("Keyboard shortcuts and mouse gestures", "Customize keyboard shortcuts", "QtImportError")
def test_shortcuts(slicer: Any) -> None:
    import qt

    qt.QShortcut(slicer.util.mainWindow())


@snippet("Keyboard shortcuts and mouse gestures", "Make the 3D view rotate using right-click-and-drag")
def test_gestures(slicer: Any) -> None:
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    widget = view.displayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraWidget()
    before = widget.GetNumberOfEventTranslations() if hasattr(widget, "GetNumberOfEventTranslations") else None
    widget.SetEventTranslationClickAndDrag(
        widget.WidgetStateIdle,
        vtk.vtkCommand.RightButtonPressEvent,
        vtk.vtkEvent.NoModifier,
        widget.WidgetStateRotate,
        widget.WidgetEventRotateStart,
        widget.WidgetEventRotateEnd,
    )
    assert before is None or widget.GetNumberOfEventTranslations() >= before
    assert widget.GetCameraNode() is view.cameraNode()


@snippet("Keyboard shortcuts and mouse gestures", "Add shortcut to adjust window/level in any mouse mode")
def test_window_gesture(slicer: Any) -> None:
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    widget = view.displayableManagerByClassName("vtkMRMLScalarBarDisplayableManager").GetWindowLevelWidget()
    widget.SetEventTranslationClickAndDrag(
        widget.WidgetStateIdle,
        vtk.vtkCommand.RightButtonPressEvent,
        vtk.vtkEvent.ControlModifier,
        widget.WidgetStateAdjustWindowLevel,
        widget.WidgetEventAlwaysOnAdjustWindowLevelStart,
        widget.WidgetEventAlwaysOnAdjustWindowLevelEnd,
    )
    assert widget.GetSliceNode() is view.mrmlSliceNode()


@snippet("Keyboard shortcuts and mouse gestures", "Disable certain user interactions in slice views")
def test_disable_interactions(slicer: Any) -> None:
    style = slicer.app.layoutManager().sliceWidget("Red").sliceView().sliceViewInteractorStyle()
    assert style.GetActionEnabled(style.BrowseSlice)
    style.SetActionEnabled(style.BrowseSlice, False)
    assert not style.GetActionEnabled(style.BrowseSlice)
    style.SetActionEnabled(style.BrowseSlice, True)


@snippet("Keyboard shortcuts and mouse gestures", "Add keyboard shortcut to jump to center or world coordinate system")
def test_jump_to_center(slicer: Any, volume: Any) -> None:
    # The page binds this to a key; what it does needs none.
    slicer.modules.markups.logic().JumpSlicesToLocation(1, 2, 4, True)
    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames():
        matrix = slicer.util.arrayFromVTKMatrix(manager.sliceWidget(name).mrmlSliceNode().GetSliceToRAS())
        assert matrix[:3, 2] @ (matrix[:3, 3] - [1, 2, 4]) == pytest.approx(0)  # the point lies in the slice


@snippet("Launch external applications", "Launch external process in startup environment")
def test_external_process(slicer: Any) -> None:
    output = subprocess.check_output(["/bin/sh", "-c", "echo hola"], env=slicer.util.startupEnvironment())
    assert output == b"hola\n"


@snippet("Manage extensions", "Download and install extension", "QtAttributeError")
def test_extensions(slicer: Any) -> None:
    slicer.app.extensionsManagerModel()


@snippet("Manage extensions", "Install a Python package", "QtRequiredError")
def test_ask_before_installing(slicer: Any) -> None:
    slicer.util.confirmOkCancelDisplay("This module requires a Python package.")
