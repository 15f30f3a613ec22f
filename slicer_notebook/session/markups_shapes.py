"""Markups with a shape: lines, angles, curves, planes, ROIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node, floats
from slicer_notebook.session.markups import Markups

__all__ = [
    "MarkupsAngle",
    "MarkupsClosedCurve",
    "MarkupsCurve",
    "MarkupsLine",
    "MarkupsPlane",
    "MarkupsROI",
]

CurveType = Literal["linear", "spline", "kochanekSpline", "polynomial"]
PlaneType = Literal["pointNormal", "threePoints", "planeFit"]


def _drawn(markups: Markups) -> dict[str, Any]:
    """The line that is drawn through the points; see ``markups.curve``."""
    found: dict[str, Any] = markups._session.call("markups.curve", node=markups)
    return found


class MarkupsLine(Markups):
    """A line between two points."""

    mrml_class = "vtkMRMLMarkupsLineNode"

    @property
    def length(self) -> float:
        """mm, in the world; 0 with less than two points."""
        return float(_drawn(self)["length"])


class MarkupsAngle(Markups):
    """An angle of three points; the second one is its vertex."""

    mrml_class = "vtkMRMLMarkupsAngleNode"

    @property
    def angle(self) -> float:
        """Degrees, in the world; NaN with less than three points."""
        found: float | None = _drawn(self)["angle"]
        return float("nan") if found is None else found


class MarkupsCurve(Markups):
    """An open curve through points."""

    mrml_class = "vtkMRMLMarkupsCurveNode"

    @property
    def points_on_curve(self) -> Array:
        """Points along the curve as it is drawn, float64 [n, 3], RAS, mm, in the world.

        Of a closed curve, the first point comes again at the end.
        """
        found: Array = _drawn(self)["points"]
        return found

    @property
    def length(self) -> float:
        """mm along the curve, in the world; all around a closed one."""
        return float(_drawn(self)["length"])

    @property
    def closed(self) -> bool:
        """Whether the last point is joined to the first."""
        return bool(_drawn(self)["closed"])

    @property
    def curve_type(self) -> CurveType:
        """How it goes from point to point: "linear", "spline", "kochanekSpline", "polynomial". Settable."""
        found: CurveType = _drawn(self)["type"]
        return found

    @curve_type.setter
    def curve_type(self, value: CurveType) -> None:
        self._session.call("markups.set_curve_type", node=self, curve_type=value)

    def resample(self, step: float) -> int:
        """Put control points in steps of so many mm along the curve, in place of those that it has; how many.

        Raises:
            ArgumentError: a step that is not above 0, or longer than the curve.
        """
        return int(self._session.call("markups.resample_curve", node=self, step=step))


class MarkupsClosedCurve(MarkupsCurve):
    """A closed curve through points."""

    mrml_class = "vtkMRMLMarkupsClosedCurveNode"


class MarkupsPlane(Markups):
    """A plane: a rectangle in space."""

    mrml_class = "vtkMRMLMarkupsPlaneNode"

    def _plane(self, what: str) -> Any:
        return self._session.call("markups.plane", node=self)[what]

    def _set(self, **values: Any) -> None:
        self._session.call("markups.set_plane", node=self, **values)

    @property
    def origin(self) -> Array:
        """float64 [3], RAS, mm, in the world. Settable."""
        return np.array(self._plane("origin"))

    @origin.setter
    def origin(self, value: Sequence[float]) -> None:
        self._set(origin=tuple(floats(value, "origin").tolist()))

    @property
    def normal(self) -> Array:
        """Unit vector, float64 [3], RAS, in the world. Settable, of any length but 0. Raises `ArgumentError`."""
        return np.array(self._plane("normal"))

    @normal.setter
    def normal(self, value: Sequence[float]) -> None:
        self._set(normal=tuple(floats(value, "normal").tolist()))

    @property
    def size(self) -> tuple[float, float]:
        """mm along the plane's x and y. Settable; from then on it is not fitted to the points."""
        x, y = self._plane("size")
        return float(x), float(y)

    @size.setter
    def size(self, value: Sequence[float]) -> None:
        self._set(size=tuple(floats(value, "size").tolist()))

    @property
    def matrix(self) -> Array:
        """4x4 float64, plane → RAS, mm: axes x, y and normal, and the center of the rectangle, in the world.

        Settable to a rotation with a place. Raises `ArrayError`.
        """
        found: Array = self._plane("matrix")
        return found

    @matrix.setter
    def matrix(self, value: Any) -> None:
        self._set(matrix=floats(value, "matrix"))

    @property
    def plane_type(self) -> PlaneType:
        """What its points mean: "pointNormal" (one), "threePoints", or "planeFit" (any number). Settable."""
        found: PlaneType = self._plane("type")
        return found

    @plane_type.setter
    def plane_type(self, value: PlaneType) -> None:
        self._set(plane_type=value)

    def distances(self, points: Any) -> Array:
        """Distances of points, [n, 3], RAS, mm, from the plane, float64 [n], mm; above 0 on the normal's side."""
        plane = self._session.call("markups.plane", node=self)
        offsets = floats(points, "points").reshape(-1, 3) - np.array(plane["origin"])
        found: Array = offsets @ np.array(plane["normal"])
        return found


class MarkupsROI(Markups):
    """A region of interest: a box."""

    mrml_class = "vtkMRMLMarkupsROINode"

    def _roi(self, what: str) -> Any:
        return self._session.call("markups.roi", node=self)[what]

    def _set(self, **values: Any) -> None:
        self._session.call("markups.set_roi", node=self, **values)

    @property
    def center(self) -> Array:
        """float64 [3], RAS, mm, in the world. Settable."""
        return np.array(self._roi("center"))

    @center.setter
    def center(self, value: Sequence[float]) -> None:
        self._set(center=tuple(floats(value, "center").tolist()))

    @property
    def size(self) -> tuple[float, float, float]:
        """mm along the box's own axes. Settable."""
        x, y, z = self._roi("size")
        return float(x), float(y), float(z)

    @size.setter
    def size(self, value: Sequence[float]) -> None:
        self._set(size=tuple(floats(value, "size").tolist()))

    @property
    def matrix(self) -> Array:
        """4x4 float64, box → RAS, mm: its axes and its center, in the world. Settable to a rotation with a place.

        Raises `ArrayError` for another matrix.
        """
        found: Array = self._roi("matrix")
        return found

    @matrix.setter
    def matrix(self, value: Any) -> None:
        self._set(matrix=floats(value, "matrix"))

    @property
    def bounds(self) -> Array:
        """First and last R, A, S, mm, of the box along R, A, S around it, float64 [6], in the world.

        Settable: then the ROI is that box.
        """
        return np.array(self._roi("bounds"))

    @bounds.setter
    def bounds(self, value: Sequence[float]) -> None:
        low, high = floats(value, "bounds").reshape(3, 2).T
        matrix = np.eye(4)
        matrix[:3, 3] = (low + high) / 2
        self._set(matrix=matrix, size=tuple((high - low).tolist()))

    def fit(self, node: Node) -> None:
        """Put the box around a node, along R, A, S. Raises `ArgumentError` for one that takes up no place."""
        self._session.call("markups.fit_roi", node=self, around=node)

    def contains(self, points: Any) -> Array:
        """Which of these points, [n, 3], RAS, mm, are in it; bool [n]."""
        found: Array = self._session.call("markups.in_roi", node=self, points=floats(points, "points"))
        return found
