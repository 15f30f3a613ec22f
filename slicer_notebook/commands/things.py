"""Commands about what is not a volume: markups, models, segmentations, tables, transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArrayError, NodeNotFoundError
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


@command("model.points", journal=False)
def model_points(host: Host, node: NodeLike) -> Array:
    """The surface's points, float [n, 3], RAS, mm, in the node's own coordinates."""
    found = host.node(node, "vtkMRMLModelNode")
    _need_mesh(found)
    return np.array(host.slicer.util.arrayFromModelPoints(found))


@command("model.triangles", journal=False)
def model_triangles(host: Host, node: NodeLike) -> Array:
    """The surface's triangles, int64 [n, 3], indices into ``model.points``.

    Strips and polygons are cut into triangles.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    found = host.node(node, "vtkMRMLModelNode")
    _need_mesh(found)
    triangles = vtkTriangleFilter()
    triangles.SetInputData(found.GetPolyData())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    polygons = triangles.GetOutput().GetPolys()
    found_indices: Array = vtk_to_numpy(polygons.GetConnectivityArray())
    return found_indices.astype(np.int64).reshape(-1, 3)


def _need_mesh(node: Any) -> None:
    if node.GetPolyData() is None or node.GetPolyData().GetPoints() is None:
        raise ArrayError(f"Model {node.GetName()!r} has no surface.", expected="a model with points", got="none")


@command("segmentation.segments", journal=False)
def segments(host: Host, node: NodeLike) -> list[dict[str, Any]]:
    """Segments: id, name, colour (r, g, b in 0..1), terminology entry as text."""
    segmentation = host.node(node, "vtkMRMLSegmentationNode").GetSegmentation()
    found = []
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        found.append(
            {
                "id": segmentation.GetNthSegmentID(index),
                "name": segment.GetName(),
                "color": segment.GetColor(),
                "terminology": segment.GetTerminology().GetAsString()
                if hasattr(segment, "GetTerminology") and hasattr(segment.GetTerminology(), "GetAsString")
                else "",
            }
        )
    return found


@command("segmentation.mask", journal=False)
def segment_mask(host: Host, node: NodeLike, segment: str, reference: NodeLike) -> Array:
    """A segment as a mask, uint8 [k, j, i] in the voxel grid of the volume ``reference``: 1 inside, 0 outside.

    Raises:
        NodeNotFoundError: no such segment (by id or name).
    """
    found = host.node(node, "vtkMRMLSegmentationNode")
    volume = host.node(reference, "vtkMRMLVolumeNode")
    segmentation = found.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    key = segment if segment in ids else segmentation.GetSegmentIdBySegmentName(segment)
    if key not in ids:
        raise NodeNotFoundError(
            f"Segmentation {found.GetName()!r} has no segment {segment!r}.",
            expected="a segment's id or name",
            got=segment,
            hint="there are: " + ", ".join(segmentation.GetSegment(i).GetName() for i in ids),
        )
    return np.array(host.slicer.util.arrayFromSegmentBinaryLabelmap(found, key, volume) > 0, dtype=np.uint8)


@command("table.columns", journal=False)
def table_columns(host: Host, node: NodeLike) -> list[tuple[str, Any]]:
    """Columns as (name, values): numeric columns as arrays, others as lists of text."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    table = host.node(node, "vtkMRMLTableNode").GetTable()
    columns: list[tuple[str, Any]] = []
    for index in range(table.GetNumberOfColumns()):
        column = table.GetColumn(index)
        if column.IsNumeric():
            values: Any = np.array(vtk_to_numpy(column))
        else:
            values = [column.GetValue(i) for i in range(column.GetNumberOfValues())]
        columns.append((column.GetName() or f"Column {index + 1}", values))
    return columns


@command("transform.set_on")
def set_transform(host: Host, node: NodeLike, transform: NodeLike | None) -> None:
    """Put a node under a transform; ``None`` takes it out."""
    found = host.node(node, "vtkMRMLTransformableNode")
    found.SetAndObserveTransformNodeID(
        None if transform is None else host.node(transform, "vtkMRMLTransformNode").GetID()
    )


@command("transform.harden")
def harden(host: Host, node: NodeLike) -> None:
    """Apply the transforms above a node to its data and take it out of them."""
    found = host.node(node, "vtkMRMLTransformableNode")
    found.HardenTransform()


@command("transform.add")
def add_transform(host: Host, matrix: Any = None, name: str = "Transform") -> NodeRef:
    """A new linear transform; ``matrix`` is 4x4, to parent, RAS, mm; identity without one.

    Raises:
        ArrayError: not a regular affine 4x4 matrix.
    """
    to_parent = None if matrix is None else host.matrix(matrix)
    node = host.slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLLinearTransformNode", host.slicer.mrmlScene.GenerateUniqueName(name)
    )
    if to_parent is not None:
        node.SetMatrixTransformToParent(to_parent)
    return host.ref(node)
