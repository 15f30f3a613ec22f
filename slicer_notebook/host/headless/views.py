"""The slice and 3-D views: trame-slicer's displayable-manager views, rendered when a picture is asked for.

A change of the scene only marks a view as out of date (`LazyRender`) and tells whoever listens; nothing is drawn until
`image` is called. Pictures are read from the render window's frame buffer, so cameras are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from trame_slicer.views.render_scheduler import ScheduledRenderStrategy
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkStringArray, vtkUnsignedCharArray

from slicer_notebook.errors import ArgumentError, RenderingError
from slicer_notebook.host.arrays import matrix_to_array

from .backend import Renderer, probe
from .native import NativeSliceView, NativeThreeDView
from .unmoved import keep_camera, keep_composite, keep_slice

__all__ = ["DEFAULT_SIZE", "AnyView", "Headless3DView", "HeadlessSliceView", "HeadlessView", "LazyRender", "Quiet"]

#: Width and height in pixels of a view that nobody resized.
DEFAULT_SIZE: Final = (512, 512)
#: Largest side of a picture in pixels: what OpenGL implementations guarantee for a texture (GL 4.1: 16384).
MAX_SIDE: Final = 16384
#: Axes of a slice view whose scalar product is above this are at no right angle: 0.006 degrees.
_SKEW: Final = 1e-4
#: vtkMRMLCameraNode's directions in the order of their numbers.
_DIRECTIONS: Final = ("Right", "Left", "Anterior", "Posterior", "Superior", "Inferior")
#: The directions in the order of a view node's axis labels (vtkMRMLAbstractViewNode: L, R, P, A, I, S).
_LABELLED: Final = ("Left", "Right", "Posterior", "Anterior", "Inferior", "Superior")


class Quiet:
    """Shared by all views of a layout: whether a picture is being taken for which a view is changed and put back.

    One view's change reaches the others (they draw where it cuts them), hence it is one for all.
    """

    def __init__(self) -> None:
        self._depth = 0

    def __bool__(self) -> bool:
        return self._depth > 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """No view reports anything inside this block."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


class LazyRender(ScheduledRenderStrategy):
    """Renders nothing: reports that a view's picture is out of date, once after each picture that was taken."""

    def __init__(self, on_dirty: Callable[[], None], quiet: Quiet) -> None:
        super().__init__()
        self._on_dirty = on_dirty
        self.quiet = quiet
        self._paused = 0
        self._changed = self._reported = False

    def schedule_render(self) -> None:
        """Something of the view changed."""
        if not self.quiet:
            self._changed = True
            self._report()

    def did_render(self) -> None:
        """A picture was taken, of whatever size: the next change is news again."""
        self._changed = self._reported = False

    def _report(self) -> None:
        if self._changed and not self._reported and not self._paused:
            self._reported = True
            self._on_dirty()

    def pause(self) -> None:
        """Report nothing until `resume`; calls nest."""
        self._paused += 1

    def resume(self) -> None:
        self._paused = max(0, self._paused - 1)
        self._report()


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """``size`` as two integers of pixels.

    Raises:
        ArgumentError: it is not a pair of integers of 1 to `MAX_SIDE`.
    """
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError):
        width = height = 0
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ArgumentError(
            "The size of a picture is (width, height) in pixels.",
            expected=f"two integers from 1 to {MAX_SIDE}",
            got=repr(size),
        )
    return width, height


class HeadlessView:
    """What slice and 3-D views have in common (the ``View`` protocol of the commands).

    Args:
        view: trame-slicer's view, which owns render window, displayable managers and MRML logic.
        lazy: the view's render strategy.
    """

    kind: Literal["slice", "3d"]

    def __init__(self, name: str, view: Any, lazy: LazyRender) -> None:
        self.name = name
        self._view = view
        self._renderer: Renderer | None = None
        self._corner_annotation: Any = None
        self.lazy = lazy
        window = view.render_window()
        # 8 samples per pixel cost 122 ms instead of 27 ms for 512 x 512 with Mesa on a CPU.
        window.SetMultiSamples(0)
        # For pictures with a transparent background; it has to be asked for before the OpenGL context is made.
        window.SetAlphaBitPlanes(1)
        view.update_size(*DEFAULT_SIZE)

    @property
    def node(self) -> Any:
        """The view's ``vtkMRMLSliceNode`` or ``vtkMRMLViewNode``."""
        return self._view.get_view_node()

    @property
    def render_window(self) -> Any:
        return self._view.render_window()

    @property
    def native(self) -> Any:
        """trame-slicer's own view object."""
        return self._view

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the view in pixels."""
        width, height = self.render_window.GetSize()
        return int(width), int(height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._view.update_size(*checked_size(size))
        self._view.schedule_render()

    def renderer(self) -> Renderer:
        """What draws this view; makes the OpenGL context. Raises `RenderingError` where there is none."""
        if self._renderer is None:
            self._renderer = probe(self.render_window)
            # VTK's own vtkWindowToImageFilter renders through the interactor.
            self._view.interactor().EnableRenderOn()
        return self._renderer

    def render(self) -> None:
        """Draw the view now. Raises `RenderingError` where nothing can be drawn."""
        self.renderer()
        self.render_window.Render()
        self.lazy.did_render()

    @property
    def corner_annotation(self) -> Any:
        """The view's vtkCornerAnnotation, made when first asked for."""
        if self._corner_annotation is None:
            from vtkmodules.vtkRenderingAnnotation import vtkCornerAnnotation

            self._corner_annotation = vtkCornerAnnotation()
            self._view.first_renderer().AddViewProp(self._corner_annotation)
        return self._corner_annotation

    def set_background(self, color: tuple[float, float, float]) -> None:
        """Colour the background (red, green, blue, 0 to 1)."""
        self.node.SetBackgroundColor(*color)
        self.node.SetBackgroundColor2(*color)
        renderer = self._view.first_renderer()
        renderer.SetBackground(*color)
        renderer.SetBackground2(*color)
        self._view.schedule_render()

    def image(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """A picture of the view: uint8 ``[height, width, 3]`` (RGB), row 0 at the top.

        Args:
            size: (width, height) in pixels; the view's own size if not given. A slice picture of another shape shows
                at least the field of view the view has. View, camera, field of view and offset stay as they were.

        Raises:
            ArgumentError: the size is no pair of positive integers.
            RenderingError: nothing can be rendered on this machine.
        """
        if size is None or checked_size(size) == self.size:
            self.render()
            return self._pixels()
        with self.lazy.quiet(), self._resized(checked_size(size)):
            self.render()
            return self._pixels()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Whatever is done to the view in this block nobody hears of, and it is undone at its end."""
        size = self.size
        with self.lazy.quiet():
            put_back = self._keep()
            try:
                yield
            finally:
                if self.size != size:
                    self._view.update_size(*size)
                for each in put_back:
                    each()

    def _keep(self) -> list[Callable[[], None]]:
        """What puts back what a picture may change; in this order."""
        raise NotImplementedError

    @contextmanager
    def _resized(self, size: tuple[int, int]) -> Iterator[None]:
        before = self.size
        self._view.update_size(*size)
        try:
            yield
        finally:
            self._view.update_size(*before)

    def _pixels(self) -> npt.NDArray[np.uint8]:
        width, height = self.size
        pixels = vtkUnsignedCharArray()
        if not self.render_window.GetPixelData(0, 0, width - 1, height - 1, 1, pixels, 0):
            raise RenderingError(
                "The picture could not be read from OpenGL's frame buffer.",
                expected=f"{width} x {height} pixels",
                hint="see slicer-notebook doctor for the rendering back end",
            )
        bottom_up = vtk_to_numpy(pixels).reshape(height, width, 3)
        return np.ascontiguousarray(bottom_up[::-1])


class HeadlessSliceView(HeadlessView):
    """A slice view: Red, Yellow, Green..."""

    kind = "slice"
    _view: NativeSliceView

    def __init__(self, name: str, view: Any, lazy: LazyRender) -> None:
        super().__init__(name, view, lazy)
        # qMRMLSliceView does it in Slicer; of 3-D views, a displayable manager does.
        self.node.AddObserver("ModifiedEvent", self._follow_background)

    def _follow_background(self, node: Any, _event: str) -> None:
        color, renderer = node.GetBackgroundColor(), self._view.first_renderer()
        if color != renderer.GetBackground():
            renderer.SetBackground(*color)
            self._view.schedule_render()

    @property
    def logic(self) -> Any:
        """The view's ``vtkMRMLSliceLogic``."""
        return self._view._logic

    def _keep(self) -> list[Callable[[], None]]:
        # The layers first: with them, MRML may adapt the node to the volume.
        return [keep_composite(self.logic.GetSliceCompositeNode()), keep_slice(self.node)]

    def fit(self) -> None:
        """Fit the slice to its background volume, as the view's own button does."""
        self.logic.FitSliceToBackground()

    def straighten(self) -> None:
        """Back to the view's own orientation if its axes are at no right angle, where everything looks out of shape.

        MRML turns a view into the planes of the volume that it shows, and those of a tilted stack are skewed.
        """
        matrix = matrix_to_array(self.node.GetSliceToRAS())[:3, :3]
        if not np.allclose(matrix.T @ matrix, np.eye(3), atol=_SKEW):
            self.node.SetOrientationToDefault()
            self.fit()

    @property
    def offset(self) -> float:
        """Where the slice is along its normal, mm."""
        return float(self.logic.GetSliceOffset())

    @offset.setter
    def offset(self, value: float) -> None:
        self.logic.SetSliceOffset(float(value))

    @property
    def offset_range(self) -> tuple[float, float]:
        """Lowest and highest offset that show the volumes of this view, mm."""
        low, high = self._view.get_slice_range()
        return float(low), float(high)

    @property
    def offset_step(self) -> float:
        """Distance from one slice of the background volume to the next, mm."""
        return float(self._view.get_slice_step())

    @property
    def orientation(self) -> str:
        """Name of the orientation preset ("Axial", "Sagittal", "Coronal") or "Reformat"."""
        return str(self.node.GetOrientation())

    @orientation.setter
    def orientation(self, name: str) -> None:
        names = vtkStringArray()
        self.node.GetSliceOrientationPresetNames(names)
        known = [names.GetValue(index) for index in range(names.GetNumberOfValues())]
        if name not in known:
            raise ArgumentError(
                f"View {self.name} has no orientation {name!r}.", expected=", ".join(known), got=repr(name)
            )
        self.node.SetOrientation(name)

    @contextmanager
    def _resized(self, size: tuple[int, int]) -> Iterator[None]:
        node = self.node
        width, height, depth = node.GetFieldOfView()
        put_back = keep_slice(node)
        # One scale for both axes that keeps all of the present field of view in the picture, mm per pixel.
        scale = max(width / size[0], height / size[1])
        try:
            with super()._resized(size):
                node.SetFieldOfView(scale * size[0], scale * size[1], depth)
                yield
        finally:
            put_back()


class Headless3DView(HeadlessView):
    """The 3-D view."""

    kind = "3d"
    _view: NativeThreeDView

    @property
    def logic(self) -> Any:
        """The view's ``vtkMRMLViewLogic``."""
        return self._view._logic

    @property
    def camera_node(self) -> Any:
        return self._view.get_camera_node()

    def _keep(self) -> list[Callable[[], None]]:
        return [keep_camera(self.node, self._view.first_renderer().GetActiveCamera())]

    def fit(self) -> None:
        """Put the focal point and the camera so that everything visible is in the picture, the direction kept."""
        self._view.reset_focal_point()
        self.reset_camera()

    def reset_camera(self) -> None:
        """Move the camera along its direction until everything visible is in the picture, its box aside."""
        renderer = self._view.first_renderer()
        bounds = [0.0] * 6
        with self._without_box():
            renderer.ComputeVisiblePropBounds(bounds)
        if bounds[0] <= bounds[1]:
            renderer.ResetCamera(bounds)
        else:
            # Nothing but the box is there: VTK's bounds are inside out then.
            renderer.ResetCamera()
        self._view.schedule_render()

    @contextmanager
    def _without_box(self) -> Iterator[None]:
        """The view's box and axis labels hidden: they say where the view is, and are no content."""
        node = self.node
        box, labels = node.GetBoxVisible(), node.GetAxisLabelsVisible()
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        try:
            yield
        finally:
            node.SetBoxVisible(box)
            node.SetAxisLabelsVisible(labels)

    def rotate_to_axis(self, axis: int | str) -> None:
        """Look along an axis: a number of vtkMRMLCameraNode's ``Direction`` or the axis' label in this view.

        Raises:
            ArgumentError: there is no such axis.
        """
        labels = [self.node.GetAxisLabel(index) for index in range(6)]
        name: str | None
        if isinstance(axis, str):
            name = dict(zip(labels, _LABELLED, strict=True)).get(axis)
        else:
            name = _DIRECTIONS[axis] if 0 <= axis < len(_DIRECTIONS) else None
        if name is None:
            raise ArgumentError(f"There is no axis {axis!r}.", expected=f"0 to 5, or one of {labels}", got=repr(axis))
        camera = self.camera_node
        camera.RotateTo(getattr(camera, name))

    def _slices_only(self, what: str) -> ArgumentError:
        return ArgumentError(
            f"The 3-D view {self.name} has no {what}.", expected="a slice view", got=f"{self.name} (3-D)"
        )

    @property
    def offset(self) -> float:
        raise self._slices_only("offset")

    @offset.setter
    def offset(self, _value: float) -> None:
        raise self._slices_only("offset")

    @property
    def offset_range(self) -> tuple[float, float]:
        raise self._slices_only("offset range")

    @property
    def offset_step(self) -> float:
        raise self._slices_only("offset step")

    @property
    def orientation(self) -> str:
        raise self._slices_only("orientation")

    @orientation.setter
    def orientation(self, _name: str) -> None:
        raise self._slices_only("orientation")


#: A view of either kind.
AnyView = HeadlessSliceView | Headless3DView
