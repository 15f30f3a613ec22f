"""Kinds of nodes as people name them, by their MRML classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["kind_of"]

#: MRML class → kind; the first that a node is.
_KINDS: Final = (
    ("vtkMRMLLabelMapVolumeNode", "labelmap"),
    ("vtkMRMLVolumeNode", "volume"),
    ("vtkMRMLSegmentationNode", "segmentation"),
    ("vtkMRMLMarkupsROINode", "roi"),
    ("vtkMRMLMarkupsNode", "markups"),
    ("vtkMRMLModelNode", "model"),
    ("vtkMRMLTransformNode", "transform"),
    ("vtkMRMLTableNode", "table"),
    ("vtkMRMLTextNode", "text"),
    ("vtkMRMLPlotChartNode", "plot"),
    ("vtkMRMLPlotSeriesNode", "plot"),
    ("vtkMRMLSequenceBrowserNode", "sequence"),
    ("vtkMRMLSequenceNode", "sequence"),
    ("vtkMRMLCameraNode", "camera"),
)


def kind_of(classes: Sequence[str]) -> str:
    """The kind of a node, by its MRML classes (`NodeRef.classes`): "volume", "model"...; "other" for any else."""
    return next((kind for name, kind in _KINDS if name in classes), "other")
