"""Commands about point lists as a whole, and about a tracker that moves one transform."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.selection import first
from slicer_notebook.errors import ArgumentError, ItemNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef

_LIST: Final = "vtkMRMLMarkupsFiducialNode"
#: The model that shows where the tracker is, and its transform (SlicerWeb's names).
_DEVICE: Final = "trackingDevice"
_TRACKER: Final = "tracker"
#: Its edges, mm.
_DEVICE_SIZE: Final = (30.0, 70.0, 5.0)


@command("markups.list", journal=False)
def listing(host: Host) -> dict[str, dict[str, Any]]:
    """The point lists, by id: ``name``; ``color``: r, g, b, 0 to 1; ``scale``: size of the glyphs, percent of the view;
    ``markups``: of each point its ``label`` and ``position``, RAS, mm, in the node's own coordinates.
    """
    return {node.GetID(): _described(node) for node in host.nodes(_LIST)}


def _described(node: Any) -> dict[str, Any]:
    display = node.GetDisplayNode()
    return {
        "name": node.GetName(),
        "color": list(display.GetSelectedColor()) if display is not None else [1.0, 0.5, 0.5],
        "scale": display.GetGlyphScale() if display is not None else 1.0,
        "markups": [
            {"label": node.GetNthControlPointLabel(index), "position": list(node.GetNthControlPointPosition(index))}
            for index in range(node.GetNumberOfControlPoints())
        ],
    }


@command("markups.move_point")
def move_point(host: Host, position: tuple[float, float, float], index: int = 0, key: NodeLike | None = None) -> None:
    """Move one point of a point list.

    Args:
        position: RAS, mm, in the node's own coordinates.
        index: of the point, from 0.
        key: id, name or pattern; the first point list without it.

    Raises:
        NodeNotFoundError: no such list.
        ItemNotFoundError: no such point.
        ArgumentError: numbers that are not finite.
    """
    node = first(host, key, _LIST)
    if not 0 <= index < node.GetNumberOfControlPoints():
        raise ItemNotFoundError(
            f"{node.GetName()!r} has no such point.",
            expected=f"0 to {node.GetNumberOfControlPoints() - 1}" if node.GetNumberOfControlPoints() else "points",
            got=str(index),
        )
    if not np.isfinite(position).all():
        raise ArgumentError("That is no position.", expected="three finite numbers, RAS, mm", got=str(position))
    node.SetNthControlPointPosition(index, *position)


@command("transform.track")
def track(
    host: Host,
    matrix: list[float] | None = None,
    position: list[float] | None = None,
    quaternion: list[float] | None = None,
) -> NodeRef:
    """Move the transform "tracker", which carries the model "trackingDevice"; both are made when they are not there.

    Args:
        matrix: nine numbers, the upper left of the matrix to parent, row by row.
        position: x, y, z; RAS, mm.
        quaternion: w, x, y, z of the rotation, of any length; it comes before the matrix.

    Raises:
        ArgumentError, ArrayError: other numbers.
    """
    rotation = _rotation(quaternion) if quaternion is not None else _nine(matrix)
    if position is not None and (len(position) != 3 or not np.isfinite(position).all()):
        raise ArgumentError("That is no position.", expected="three finite numbers, RAS, mm", got=str(position))
    node = _tracker(host)
    whole = host.affine(node)
    if rotation is not None:
        whole[:3, :3] = rotation
    if position is not None:
        whole[:3, 3] = position
    node.SetMatrixTransformToParent(host.matrix(whole))
    return host.ref(node)


def _nine(matrix: list[float] | None) -> Array | None:
    if matrix is None:
        return None
    if len(matrix) != 9 or not np.isfinite(matrix).all():
        raise ArgumentError("That is no matrix.", expected="nine finite numbers, row by row", got=str(matrix))
    return np.array(matrix, dtype=np.float64).reshape(3, 3)


def _rotation(quaternion: list[float]) -> Array:
    if len(quaternion) != 4 or not np.isfinite(quaternion).all() or not any(quaternion):
        raise ArgumentError("That is no quaternion.", expected="w, x, y, z, not all 0", got=str(quaternion))
    # Divided by the largest first: the square of a small number may be 0.
    whole = np.array(quaternion, dtype=np.float64) / np.abs(quaternion).max()
    w, x, y, z = whole / np.linalg.norm(whole)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _tracker(host: Host) -> Any:
    """The transform; with the model below it."""
    scene = host.slicer.mrmlScene
    named = [node for node in host.nodes("vtkMRMLLinearTransformNode") if node.GetName() == _TRACKER]
    node = named[0] if named else scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", _TRACKER)
    if not any(model.GetName() == _DEVICE for model in host.nodes("vtkMRMLModelNode")):
        from vtkmodules.vtkFiltersSources import vtkCubeSource

        cube = vtkCubeSource()
        cube.SetXLength(_DEVICE_SIZE[0])
        cube.SetYLength(_DEVICE_SIZE[1])
        cube.SetZLength(_DEVICE_SIZE[2])
        cube.Update()
        model = scene.AddNewNodeByClass("vtkMRMLModelNode", _DEVICE)
        model.SetAndObservePolyData(cube.GetOutput())
        model.CreateDefaultDisplayNodes()
        model.GetDisplayNode().SetColor(1.0, 1.0, 0.0)
        model.SetAndObserveTransformNodeID(node.GetID())
    return node
