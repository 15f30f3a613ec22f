"""A transform of the scene."""

from __future__ import annotations

from typing import Any

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node, floats

__all__ = ["Transform"]


class Transform(Node):
    """A transform."""

    mrml_class = "vtkMRMLTransformNode"

    @property
    def matrix(self) -> Array:
        """4x4 float64, to parent, RAS, mm; of a linear transform. Settable. Raises `ArrayError`."""
        found: Array = self._session.call("volume.affine", node=self)
        return found

    @matrix.setter
    def matrix(self, value: Any) -> None:
        self._session.call("volume.set_affine", node=self, affine=floats(value, "matrix"))

    affine = matrix
    array = matrix
