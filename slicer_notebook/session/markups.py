"""Markups of the scene: points, lines, angles, curves, planes, ROIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node, floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Markups"]


class Markups(Node):
    """Points, lines, curves, planes, ROIs."""

    mrml_class = "vtkMRMLMarkupsNode"

    @property
    def points(self) -> Array:
        """Control points, float64 [n, 3], RAS, mm, in the world. Settable. Raises `ArrayError`."""
        found: Array = self._session.call("markups.points", node=self)
        return found

    @points.setter
    def points(self, value: Any) -> None:
        self._session.call("markups.set_points", node=self, points=floats(value, "points"))

    array = points

    @property
    def labels(self) -> list[str]:
        """Labels of the control points."""
        found: list[str] = self._session.call("markups.labels", node=self)
        return found

    def to_dataframe(self) -> pd.DataFrame:
        """Columns label, r, a, s (mm)."""
        import pandas as pd

        points = self.points
        return pd.DataFrame({"label": self.labels, "r": points[:, 0], "a": points[:, 1], "s": points[:, 2]})
