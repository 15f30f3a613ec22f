"""Effects that a person works with in the views: trame-slicer's, on the same shapes as the commands.

What the mouse draws ends in `SegmentEditor.modify` as a command does, so that a stroke of the brush covers the same
voxels as ``editor.paint`` along it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
from slicer import vtkMRMLSliceNode, vtkMRMLViewNode
from trame_slicer.segmentation import (
    BrushDiameterMode,
    SegmentationEffect,
    SegmentationEffectErase,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
    SegmentationEffectThreshold,
    SegmentationPaintPipeline2D,
    SegmentationPaintPipeline3D,
    SegmentationScissorsPipeline,
    SegmentationThresholdPipeline2D,
)
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_DOUBLE, VTK_FLOAT

from slicer_notebook.commands.segment_shapes import Cut, Depth, Operation, Sight, brushed, checked_cut, cut, drawn
from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.arrays import matrix_to_array
from slicer_notebook.protocol.values import Array

__all__ = ["EFFECTS", "Brushing", "sight_of"]

#: Larger than any intensity; an infinity does not come through the text of a node's parameter.
_ALL: Final = 1e300


def sight_of(view: Any) -> Sight:
    """How a view sees the scene.

    Args:
        view: trame-slicer's view of a slice or of 3-D.
    """
    node = view.get_view_node()
    width, height = view.render_window().GetSize()
    from_bottom = np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]])
    if isinstance(node, vtkMRMLSliceNode):
        to_xy = np.linalg.inv(matrix_to_array(node.GetXYToRAS()))[[0, 1, 3]]
        plane = matrix_to_array(node.GetSliceToRAS())
        return Sight(from_bottom @ to_xy, plane[:3, 3], plane[:3, 2] / np.linalg.norm(plane[:3, 2]))
    renderer = view.first_renderer()
    camera = renderer.GetActiveCamera()
    seen = matrix_to_array(camera.GetCompositeProjectionTransformMatrix(width / height, -1, 1))[[0, 1, 3]]
    to_pixels = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    return Sight(from_bottom @ to_pixels @ seen, None, None)


def _points(points: Any) -> Array:
    found: Array = vtk_to_numpy(points.GetData()).astype(float)
    return found


class _Painting2D(SegmentationPaintPipeline2D):
    def OnPaintInteractionStopped(self) -> None:  # noqa: N802 - trame-slicer's name
        try:
            self._effect.stroke(_points(self.widget._paint_coordinates_world), sight_of(self._view))
        finally:
            self.widget.clear()


class _Painting3D(SegmentationPaintPipeline3D):
    def OnPaintInteractionStopped(self) -> None:  # noqa: N802 - trame-slicer's name
        try:
            self._effect.stroke(_points(self.widget._paint_coordinates_world), None)
        finally:
            self.widget.clear()


class _ByHand:
    """What all effects have in common. Mixin of a trame-slicer effect."""

    #: What `set_options` knows, with what holds where nobody says anything.
    defaults: ClassVar[dict[str, Any]] = {}
    #: What `set_options` was told last, and `defaults` for the rest.
    options: Mapping[str, Any] = MappingProxyType({})

    def nodes(self) -> list[Any]:
        """The effect's nodes in the scene."""
        return [self._param_node] if self._param_node is not None else []  # type: ignore[attr-defined]

    def set_options(self, **options: Any) -> None:
        """Say how the effect works; what is not said is as in `defaults`.

        Raises:
            ArgumentError: the effect has no such option, or not with that value.
        """
        unknown = sorted(set(options) - set(self.defaults))
        if unknown:
            raise ArgumentError(
                "The effect has no such option.", expected=", ".join(self.defaults) or "none", got=", ".join(unknown)
            )
        told = {**self.defaults, **options}
        self._use(**told)
        self.options = told

    def _use(self) -> None:
        """Take over options, all of them."""


class Brushing(_ByHand):
    """A brush. Mixin of trame-slicer's brush effects."""

    def _create_pipeline(self, view_node: Any, _parameter: Any) -> Any:
        if isinstance(view_node, vtkMRMLSliceNode):
            return _Painting2D()
        return _Painting3D() if isinstance(view_node, vtkMRMLViewNode) else None

    def _refresh_model_nodes(self) -> None:
        # trame-slicer makes them also when the effect ends because the scene is emptied.
        if self.is_active or self._get_paint_parameters().brush_model_node is not None:  # type: ignore[attr-defined]
            super()._refresh_model_nodes()  # type: ignore[misc]

    def nodes(self) -> list[Any]:
        if self._param_node is None:  # type: ignore[attr-defined]
            return []
        parameters = self._get_paint_parameters()  # type: ignore[attr-defined]
        models = [parameters.brush_model_node, parameters.paint_feedback_model_node]
        found = [each for each in models if each is not None]
        return [*super().nodes(), *found, *(each.GetDisplayNode() for each in found)]

    def keep_out_of_files(self) -> None:
        """The brush is no part of a saved scene."""
        for node in self.nodes():
            node.SetSaveWithScene(False)

    #: ``radius``, mm; ``shape``: "circle" (on the slice) or "sphere".
    defaults: ClassVar[dict[str, Any]] = {"radius": 5.0, "shape": "circle"}

    def _use(self, radius: float, shape: str) -> None:  # type: ignore[override]
        if not radius > 0 or shape not in ("circle", "sphere"):
            raise ArgumentError(
                "The brush does not fit.", expected="a radius above 0 mm, circle or sphere", got=f"{radius}, {shape}"
            )
        self.set_brush_diameter(2 * radius, BrushDiameterMode.Absolute)  # type: ignore[attr-defined]
        self.set_use_sphere_brush(shape == "sphere")  # type: ignore[attr-defined]

    def stroke(self, points: Array, sight: Sight | None) -> None:
        """Paint along points, [n, 3] RAS, mm; in a slice view across its plane, in 3-D with a ball."""
        editor = self.editor  # type: ignore[attr-defined]
        radius = self.get_brush_diameter() / 2  # type: ignore[attr-defined]
        normal = None if sight is None or self.is_sphere_brush() else sight.normal  # type: ignore[attr-defined]
        name = editor.active_effect_label
        with editor.edit(name):
            box = brushed(editor.grid(), points, radius, normal=normal)
            editor.modify(box, "remove" if name == "erase" else "add")


class Painting(Brushing, SegmentationEffectPaint):
    """Paint with the mouse."""


class Erasing(Brushing, SegmentationEffectErase):
    """Erase with the mouse."""


class Cutting(_ByHand, SegmentationEffectScissors):
    """Cut with a polygon that is drawn in any view."""

    _cut = Cut("erase_inside", "unlimited", 0.0)

    #: `segment_shapes.Cut`.
    defaults: ClassVar[dict[str, Any]] = {"operation": "erase_inside", "depth": "unlimited", "thickness": 0.0}

    def _use(self, operation: Operation, depth: Depth, thickness: float) -> None:  # type: ignore[override]
        self._cut = checked_cut(operation, depth, thickness)

    def apply_points_display_coordinates(self, points_display: Any, view: Any) -> None:
        """Cut along points in VTK's display coordinates, which count from the bottom."""
        polygon = _points(points_display)[:, :2]
        polygon[:, 1] = view.render_window().GetSize()[1] - 1 - polygon[:, 1]
        if len(polygon) >= 3:
            self._apply(polygon, sight_of(view))

    def _apply(self, polygon: Array, sight: Sight) -> None:
        editor = self.editor
        with editor.edit("scissors"):
            box, mode = cut(editor.grid(), sight, polygon, self._cut)
            editor.modify(box, mode)


class Drawing(Cutting):
    """Fill a polygon that is drawn on a slice."""

    def _create_pipeline(self, view_node: Any, _parameter: Any) -> Any:
        return SegmentationScissorsPipeline() if isinstance(view_node, vtkMRMLSliceNode) else None

    defaults: ClassVar[dict[str, Any]] = {}

    def _use(self) -> None:  # type: ignore[override]
        """There are no options."""

    def _apply(self, polygon: Array, sight: Sight) -> None:
        editor = self.editor
        with editor.edit("draw"):
            editor.modify(drawn(editor.grid(), sight, polygon), "add")


class _Preview(SegmentationThresholdPipeline2D):
    """trame-slicer's, where the view shows the volume: in another view it would be of whatever that shows."""

    def _shows_it(self) -> bool:
        volume, view = self._ActiveVolumeNode, self._view
        if volume is None or view is None or not self.IsActive():
            return False
        return volume.GetID() in (view.get_background_volume_id(), view.get_foreground_volume_id())

    def OnViewModified(self, *_: Any) -> None:  # noqa: N802 - trame-slicer's name
        shown = self._shows_it()
        if shown:
            super().OnViewModified()
        self.actor.SetVisibility(shown and self._GetActiveColor() is not None)

    def _UpdateThreshold(self) -> None:  # noqa: N802 - trame-slicer's name
        if self._shows_it():
            super()._UpdateThreshold()
        else:
            self.actor.VisibilityOff()
            self.RequestRender()


class Thresholding(_ByHand, SegmentationEffectThreshold):
    """Show in the slice views what a threshold would take. The mouse is for what it was before; nothing is changed."""

    #: ``lower``, ``upper``: intensities, both included; None: no bound.
    defaults: ClassVar[dict[str, Any]] = {"lower": None, "upper": None}

    def _create_pipeline(self, view_node: Any, _parameter: Any) -> Any:
        return _Preview() if isinstance(view_node, vtkMRMLSliceNode) else None

    def set_active(self, is_active: bool) -> None:
        """Show the preview, or end it. (trame-slicer's pulses: five pictures a second for all who look.)"""
        if is_active == self.is_active:
            return
        SegmentationEffect.set_active(self, is_active)
        self.get_param_proxy().is_visible = is_active

    def _use(self, lower: float | None, upper: float | None) -> None:  # type: ignore[override]
        low, high = -_ALL if lower is None else float(lower), _ALL if upper is None else float(upper)
        if not low <= high:
            raise ArgumentError("The range is empty.", expected="lower <= upper", got=f"{lower}, {upper}")
        image = self.editor.volume.GetImageData()
        if image.GetScalarType() not in (VTK_FLOAT, VTK_DOUBLE):
            # vtkImageThreshold cuts the ends of a range off where voxels are whole numbers: 99.5 would show 99.
            low, high = float(np.ceil(low)), float(np.floor(high))
        self.set_threshold_min_max_values((low, high))


#: By the names that commands give them.
EFFECTS: Final[dict[str, Any]] = {
    "paint": Painting,
    "erase": Erasing,
    "draw": Drawing,
    "scissors": Cutting,
    "threshold": Thresholding,
}
