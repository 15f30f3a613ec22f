# ruff: noqa: N802, N815 - Slicer's names
"""``sliceWidget``, ``threeDWidget`` and what hangs on them: the methods of Slicer's view widgets that scripts call.

They stand in for qMRMLSliceWidget, qMRMLSliceView, qMRMLSliceControllerWidget, qMRMLThreeDWidget, qMRMLThreeDView and
qMRMLThreeDViewControllerWidget. There is no controller bar to show or hide, so ``setVisible`` on one does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicer_notebook.errors import ArgumentError

from .qt_free import QtFree
from .views import Headless3DView, HeadlessSliceView, HeadlessView

__all__ = ["SliceController", "SliceView", "SliceWidget", "ThreeDController", "ThreeDView", "ThreeDWidget"]


class _Controller(QtFree):
    """A view's controller bar, which a headless view does not draw."""

    def setVisible(self, _visible: bool) -> None:
        """Nothing to show or hide: pictures never contain the bar."""

    def hide(self) -> None:
        self.setVisible(False)

    def show(self) -> None:
        self.setVisible(True)


class _View(QtFree):
    """What slice and 3-D views share (ctkVTKAbstractView)."""

    def __init__(self, view: HeadlessView) -> None:
        self._view = view
        self._path = f"view {view.name}"

    @property
    def width(self) -> int:
        return self._view.size[0]

    @property
    def height(self) -> int:
        return self._view.size[1]

    def resize(self, width: int, height: int) -> None:
        self._view.size = (width, height)

    def renderWindow(self) -> Any:
        """The view's vtkRenderWindow; raises `RenderingError` where there is no OpenGL."""
        self._view.renderer()
        return self._view.render_window

    def renderer(self) -> Any:
        return self._view.native.first_renderer()

    def interactor(self) -> Any:
        return self._view.native.interactor()

    def interactorStyle(self) -> Any:
        return self._view.native._interactor_observer

    def displayableManagerByClassName(self, name: str) -> Any:
        """The view's displayable manager of that class; None if it has none."""
        return self._view.native.get_displayable_manager_by_class(name)

    def forceRender(self) -> None:
        self._view.render()

    def scheduleRender(self) -> None:
        self._view.native.schedule_render()

    def cornerAnnotation(self) -> Any:
        """The view's vtkCornerAnnotation."""
        return self._view.corner_annotation

    def setBackgroundColor(self, color: Sequence[float]) -> None:
        """Colour the background; red, green, blue from 0 to 1 (a QColor is Qt's)."""
        try:
            red, green, blue = (float(part) for part in color)
        except (TypeError, ValueError):
            raise ArgumentError(
                "A background colour is three numbers.", expected="(red, green, blue), each 0 to 1", got=repr(color)
            ) from None
        self._view.set_background((red, green, blue))


class SliceView(_View):
    """qMRMLSliceView."""

    _view: HeadlessSliceView

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def sliceViewInteractorStyle(self) -> Any:
        return self.interactorStyle()

    def overlayRenderer(self) -> Any:
        return self._view.native._overlay_renderer

    def convertDeviceToXYZ(self, position: Sequence[float]) -> list[float]:
        """Window position (origin at the top left, as Qt has it) to XYZ (origin at the bottom left)."""
        return [float(position[0]), float(self.height - 1 - position[1]), 0.0]

    def convertXYZToRAS(self, xyz: Sequence[float]) -> list[float]:
        return list(self._view.node.GetXYToRAS().MultiplyPoint([*xyz[:3], 1.0])[:3])

    def convertRASToXYZ(self, ras: Sequence[float]) -> list[float]:
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        inverse = vtkMatrix4x4()
        vtkMatrix4x4.Invert(self._view.node.GetXYToRAS(), inverse)
        return list(inverse.MultiplyPoint([*ras[:3], 1.0])[:3])


class SliceController(_Controller):
    """qMRMLSliceControllerWidget."""

    def __init__(self, view: HeadlessSliceView) -> None:
        self._view = view
        self._path = f"slice controller {view.name}"

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def setSliceVisible(self, visible: bool) -> None:
        """Show the slice in the 3-D views."""
        self._view.node.SetSliceVisible(int(bool(visible)))

    def setSliceLink(self, linked: bool) -> None:
        """Link all slice views' volumes and offsets."""
        self._view.logic.GetSliceCompositeNode().SetLinkedControl(int(bool(linked)))

    def setSliceOffsetValue(self, offset: float) -> None:
        self._view.offset = offset

    def setSliceOrientation(self, orientation: str) -> None:
        self._view.orientation = orientation

    def setForegroundOpacity(self, opacity: float) -> None:
        self._view.logic.GetSliceCompositeNode().SetForegroundOpacity(float(opacity))

    def setLabelMapOpacity(self, opacity: float) -> None:
        self._view.logic.GetSliceCompositeNode().SetLabelOpacity(float(opacity))

    def fitSliceToBackground(self) -> None:
        self._view.fit()

    def rotateSliceToLowestVolumeAxes(self) -> None:
        self._view.logic.RotateSliceToLowestVolumeAxes()


class SliceWidget(QtFree):
    """qMRMLSliceWidget."""

    def __init__(self, view: HeadlessSliceView) -> None:
        self._view = view
        self._path = f"slice widget {view.name}"

    @property
    def sliceViewName(self) -> str:
        return self._view.name

    @property
    def sliceOrientation(self) -> str:
        return self._view.orientation

    def setSliceOrientation(self, orientation: str) -> None:
        self._view.orientation = orientation

    def sliceLogic(self) -> Any:
        return self._view.logic

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.logic.GetSliceCompositeNode()

    def sliceView(self) -> SliceView:
        return SliceView(self._view)

    def sliceController(self) -> SliceController:
        return SliceController(self._view)

    def interactorStyle(self) -> Any:
        return self.sliceView().interactorStyle()

    def fitSliceToBackground(self) -> None:
        self._view.fit()


class ThreeDView(_View):
    """qMRMLThreeDView."""

    _view: Headless3DView

    #: Step of `pitch`, `roll` and `yaw`, degrees (ctkVTKRenderView's default).
    pitchRollYawIncrement = 5.0
    #: Step of `zoomIn` and `zoomOut` (ctkVTKRenderView's default).
    zoomFactor = 0.05

    def mrmlViewNode(self) -> Any:
        return self._view.node

    def cameraNode(self) -> Any:
        return self._view.camera_node

    def resetFocalPoint(self) -> None:
        self._view.native.reset_focal_point()

    def resetCamera(self) -> None:
        self._view.reset_camera()

    def setFocalPoint(self, x: float, y: float, z: float) -> None:
        self._view.native.set_focal_point(x, y, z)

    def rotateToViewAxis(self, axis: int | str) -> None:
        """Look from an axis: its number (0 right, 1 left, 2 anterior, 3 posterior, 4 superior, 5 inferior) or label."""
        self._view.rotate_to_axis(axis)

    def zoomIn(self) -> None:
        self._view.native.zoom(self.zoomFactor)

    def zoomOut(self) -> None:
        self._view.native.zoom(-self.zoomFactor)

    def _turn(self, method: str) -> None:
        camera = self.renderer().GetActiveCamera()
        getattr(camera, method)(self.pitchRollYawIncrement)
        camera.OrthogonalizeViewUp()
        self.renderer().UpdateLightsGeometryToFollowCamera()
        self.scheduleRender()

    def yaw(self) -> None:
        """Turn the camera around the view's vertical axis by `pitchRollYawIncrement`."""
        self._turn("Azimuth")

    def pitch(self) -> None:
        self._turn("Elevation")

    def roll(self) -> None:
        self._turn("Roll")


class ThreeDController(_Controller):
    """qMRMLThreeDViewControllerWidget."""

    def __init__(self, view: Headless3DView) -> None:
        self._view = view
        self._path = f"3-D controller {view.name}"

    def mrmlThreeDViewNode(self) -> Any:
        return self._view.node

    def resetFocalPoint(self) -> None:
        self._view.native.reset_focal_point()

    def lookFromAxis(self, axis: int | str) -> None:
        self._view.rotate_to_axis(axis)

    def setOrthographicModeEnabled(self, enabled: bool) -> None:
        node = self._view.node
        node.SetRenderMode(node.Orthographic if enabled else node.Perspective)

    def set3DAxisVisible(self, visible: bool) -> None:
        self._view.node.SetBoxVisible(int(bool(visible)))

    def set3DAxisLabelVisible(self, visible: bool) -> None:
        self._view.node.SetAxisLabelsVisible(int(bool(visible)))

    def setBlackBackground(self) -> None:
        self._view.set_background((0.0, 0.0, 0.0))

    def setWhiteBackground(self) -> None:
        self._view.set_background((1.0, 1.0, 1.0))


class ThreeDWidget(QtFree):
    """qMRMLThreeDWidget."""

    def __init__(self, view: Headless3DView) -> None:
        self._view = view
        self._path = f"3-D widget {view.name}"

    def threeDView(self) -> ThreeDView:
        return ThreeDView(self._view)

    def threeDController(self) -> ThreeDController:
        return ThreeDController(self._view)

    def mrmlViewNode(self) -> Any:
        return self._view.node

    @property
    def viewLabel(self) -> str:
        return str(self._view.node.GetLayoutLabel())
