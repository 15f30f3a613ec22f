"""A segmentation of the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node

if TYPE_CHECKING:
    from slicer_notebook.session.volumes import Volume

__all__ = ["Segmentation"]


class Segmentation(Node):
    """A segmentation."""

    mrml_class = "vtkMRMLSegmentationNode"

    @property
    def segments(self) -> list[dict[str, Any]]:
        """A dict for each segment: id, name, color (r, g, b in 0..1), terminology."""
        found: list[dict[str, Any]] = self._session.call("segmentation.segments", node=self)
        return found

    def mask(self, segment: str, reference: Volume) -> Array:
        """A segment (by id or name) as uint8 [k, j, i] in the grid of ``reference``: 1 inside, 0 outside."""
        found: Array = self._session.call("segmentation.mask", node=self, segment=segment, reference=reference)
        return found
