"""Commands about markups: points, lines, angles, curves, planes, ROIs."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array, NodeRef


def _points(values: Any) -> Array:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if isinstance(values, list | tuple) and not values:
        points = np.empty((0, 3))
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ArrayError(
            "These are not points.",
            expected="finite numbers of shape (n, 3), RAS, mm",
            got=f"shape {points.shape}" if points.size else f"{values!r:.60}",
        )
    return points


@command("markups.points", journal=False)
def markups_points(host: Host, node: NodeLike, world: bool = True) -> Array:
    """Control points, float64 [n, 3], RAS, mm; in world coordinates or the node's own."""
    return np.array(host.slicer.util.arrayFromMarkupsControlPoints(host.node(node, "vtkMRMLMarkupsNode"), world))


@command("markups.labels", journal=False)
def markups_labels(host: Host, node: NodeLike) -> list[str]:
    """Labels of the control points."""
    found = host.node(node, "vtkMRMLMarkupsNode")
    return [found.GetNthControlPointLabel(i) for i in range(found.GetNumberOfControlPoints())]


@command("markups.set_points")
def set_markups_points(host: Host, node: NodeLike, points: Any, world: bool = True) -> None:
    """Replace the control points' positions, [n, 3], RAS, mm; points are added or removed to match.

    Raises:
        ArrayError: not [n, 3] finite numbers.
    """
    found = host.node(node, "vtkMRMLMarkupsNode")
    host.slicer.util.updateMarkupsControlPointsFromArray(found, _points(points), world)


@command("markups.add")
def add_markups(
    host: Host,
    points: Any,
    name: str = "Points",
    labels: list[str] | None = None,
    class_name: str = "vtkMRMLMarkupsFiducialNode",
) -> NodeRef:
    """New markups of [n, 3] points, RAS, mm.

    Raises:
        ArrayError: not [n, 3] finite numbers, or another number of labels.
        ArgumentError: no such markups class.
    """
    positions = _points(points)
    if labels is not None and len(labels) != len(positions):
        raise ArrayError(
            "There must be a label for each point.", expected=f"{len(positions)} labels", got=str(len(labels))
        )
    host.nodes(class_name)  # refuses an unknown class by name
    node = host.slicer.mrmlScene.AddNewNodeByClass(class_name, host.slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    host.slicer.util.updateMarkupsControlPointsFromArray(node, positions, True)
    for index, label in enumerate(labels or []):
        node.SetNthControlPointLabel(index, label)
    return host.ref(node)
