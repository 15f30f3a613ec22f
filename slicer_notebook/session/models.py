"""A model of the scene: a surface."""

from __future__ import annotations

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node

__all__ = ["Model"]


class Model(Node):
    """A surface."""

    mrml_class = "vtkMRMLModelNode"

    @property
    def points(self) -> Array:
        """[n, 3], RAS, mm."""
        found: Array = self._session.call("model.points", node=self)
        return found

    array = points

    @property
    def triangles(self) -> Array:
        """int64 [n, 3], indices into `points`."""
        found: Array = self._session.call("model.triangles", node=self)
        return found
