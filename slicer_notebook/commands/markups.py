"""Commands about the control points of markups: points, lines, angles, curves, planes, ROIs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError, ItemNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef

__all__ = ["KINDS", "kind_of", "node_of", "point_index", "positions_of", "real_points"]

#: Kinds by the word for them, and their MRML classes.
KINDS: Final = {
    "points": "vtkMRMLMarkupsFiducialNode",
    "line": "vtkMRMLMarkupsLineNode",
    "angle": "vtkMRMLMarkupsAngleNode",
    "curve": "vtkMRMLMarkupsCurveNode",
    "closed curve": "vtkMRMLMarkupsClosedCurveNode",
    "plane": "vtkMRMLMarkupsPlaneNode",
    "roi": "vtkMRMLMarkupsROINode",
}
_MARKUPS: Final = "vtkMRMLMarkupsNode"
#: vtkMRMLMarkupsNode's position status: one that follows the mouse, and is no point yet; one that has a position.
_PREVIEW: Final = 1
_DEFINED: Final = 2
#: Yes or no of each point, by the word for it and in vtkMRMLMarkupsNode.
_FLAGS: Final = {"selected": "Selected", "visible": "Visibility", "locked": "Locked"}
#: What `set_table` takes beside positions.
_COLUMNS: Final = ("labels", "descriptions", "orientations", "defined", *_FLAGS)


def node_of(host: Host, node: NodeLike, kind: str | None = None) -> Any:
    """The markups node. Raises `NodeNotFoundError`, also for one of another kind than `KINDS` says."""
    return host.node(node, KINDS[kind] if kind is not None else _MARKUPS)


def kind_of(node: Any) -> str:
    """The word of `KINDS` for a node; "markups" for a class that is not among them."""
    return next((kind for kind, name in KINDS.items() if node.GetClassName() == name), "markups")


def real_points(node: Any) -> list[int]:
    """Indices of the points: all but the one that follows the mouse while points are placed."""
    return [i for i in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(i) != _PREVIEW]


def positions_of(node: Any, world: bool) -> Array:
    """Positions of the points, float64 [n, 3], RAS, mm; NaN where one has none."""
    found = np.full((node.GetNumberOfControlPoints(), 3), np.nan)
    chosen = real_points(node)
    read = node.GetNthControlPointPositionWorld if world else node.GetNthControlPointPosition
    for index in chosen:
        if node.GetNthControlPointPositionStatus(index) == _DEFINED:
            read(index, found[index])
    return found[chosen]


def point_index(node: Any, point: int | str) -> int:
    """Index of a point by its index (from the end below 0) or its MRML id. Raises `ItemNotFoundError`."""
    count = len(real_points(node))
    if isinstance(point, str):
        index = node.GetNthControlPointIndexByID(point)
        if 0 <= index < node.GetNumberOfControlPoints():
            return int(index)
    elif -count <= point < count:
        return point % count
    raise ItemNotFoundError(
        f"{node.GetName()!r} has no such point.",
        expected=f"{-count} to {count - 1}, or the id of a point" if count else "points",
        got=repr(point),
    )


def _points(values: Any) -> Array:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.shape == (0,) and np.size(values) == 0:
        points = np.empty((0, 3))
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ArrayError(
            "These are not points.",
            expected="finite numbers of shape (n, 3), RAS, mm",
            got=f"shape {points.shape}" if points.size else f"{values!r:.60}",
        )
    return points


def _limit(node: Any) -> int:
    """How many points it takes at most; -1 for any number."""
    if node.IsA("vtkMRMLMarkupsROINode") and node.GetROIType() == node.ROITypeBox:
        return 1
    return int(node.GetMaximumNumberOfControlPoints())


def _check_number(node: Any, number: int) -> None:
    most = _limit(node)
    if 0 <= most < number:
        hints = {
            "plane": "plane_type says what its points mean: one, three, or any number to fit a plane to",
            "roi": "the point of a ROI is its center; center, size and matrix say where it is",
        }
        raise ArrayError(
            f"A markup of the kind {kind_of(node)!r} has no place for so many points.",
            expected=f"{most} at most",
            got=str(number),
            hint=hints.get(kind_of(node)),
        )


def _put(host: Host, node: Any, points: Array, world: bool) -> None:
    _check_number(node, len(points))
    before = node.StartModify()
    try:
        _drop_preview(node)
        if len(points):
            host.slicer.util.updateMarkupsControlPointsFromArray(node, points, world)
        else:
            node.RemoveAllControlPoints()
    finally:
        node.EndModify(before)


def _drop_preview(node: Any) -> None:
    for index in reversed(range(node.GetNumberOfControlPoints())):
        if node.GetNthControlPointPositionStatus(index) == _PREVIEW:
            node.RemoveNthControlPoint(index)


@command("markups.points", journal=False)
def markups_points(host: Host, node: NodeLike, world: bool = True) -> Array:
    """Control points, float64 [n, 3], RAS, mm; in world coordinates or the node's own. NaN: a missing position."""
    return positions_of(node_of(host, node), world)


@command("markups.labels", journal=False)
def markups_labels(host: Host, node: NodeLike) -> list[str]:
    """Labels of the control points."""
    found = node_of(host, node)
    return [found.GetNthControlPointLabel(i) for i in real_points(found)]


@command("markups.set_points")
def set_markups_points(host: Host, node: NodeLike, points: Any, world: bool = True) -> None:
    """Replace the control points' positions, [n, 3], RAS, mm; points are added or removed to match.

    Labels and the like of the points that stay are as they were.

    Raises:
        ArrayError: not [n, 3] finite numbers, or more than this kind of markups has (2 of a line, 3 of an angle).
    """
    _put(host, node_of(host, node), _points(points), world)


@command("markups.table", journal=False)
def table(host: Host, node: NodeLike, world: bool = True) -> dict[str, Any]:
    """All about the control points, a value for each.

    Returns:
        ``ids``: MRML's, which stay when others are removed; ``labels``, ``descriptions``; ``positions``: float64
        [n, 3], RAS, mm, in world coordinates or the node's own, NaN where there is none; ``orientations``: float64
        [n, 3, 3], of each point its axes x, y, z as columns, RAS; ``selected``, ``visible``, ``locked``; ``defined``:
        whether it has a position.
    """
    found = node_of(host, node)
    chosen = real_points(found)
    columns: dict[str, Any] = {
        "ids": [found.GetNthControlPointID(i) for i in chosen],
        "labels": [found.GetNthControlPointLabel(i) for i in chosen],
        "descriptions": [found.GetNthControlPointDescription(i) for i in chosen],
        "positions": positions_of(found, world),
        "orientations": _orientations(found, chosen, world),
        "defined": [found.GetNthControlPointPositionStatus(i) == _DEFINED for i in chosen],
    }
    for word, name in _FLAGS.items():
        read = getattr(found, f"GetNthControlPoint{name}")
        columns[word] = [bool(read(i)) for i in chosen]
    return columns


def _orientations(node: Any, indices: list[int], world: bool) -> Array:
    found = np.empty((len(indices), 3, 3))
    for place, index in enumerate(indices):
        matrix = [0.0] * 9
        if world:
            node.GetNthControlPointOrientationMatrixWorld(index, matrix)
        else:
            matrix = node.GetNthControlPointOrientationMatrix(index)
        found[place] = np.reshape(matrix, (3, 3))
    return found


@command("markups.set_table")
def set_table(host: Host, node: NodeLike, positions: Any, columns: dict[str, Any], world: bool = True) -> None:
    """Replace the control points and what is known of them; points are added or removed to match.

    Args:
        positions: [n, 3], RAS, mm; where ``defined`` says that there is none, anything.
        columns: what else is to be set, with a value for each point: ``labels``, ``descriptions``, ``selected``,
            ``visible``, ``locked``, ``orientations`` ([n, 3, 3], axes as columns, RAS), ``defined``.
        world: positions and orientations are in world coordinates, not the node's own.

    Raises:
        ArrayError: not finite numbers, too many points, axes that are not unit vectors at right angles.
        ArgumentError: an unknown column, or another number of values than of points.
    """
    found = node_of(host, node)
    if unknown := columns.keys() - set(_COLUMNS):
        raise ArgumentError("There is no such column.", expected=", ".join(_COLUMNS), got=", ".join(sorted(unknown)))
    values = np.array(positions, dtype=np.float64).reshape(-1, 3)
    for name, column in columns.items():
        if len(column) != len(values):
            raise ArgumentError(
                f"The column {name!r} does not fit.", expected=f"{len(values)} values", got=str(len(column))
            )
    defined = np.array(columns.get("defined", [True] * len(values)), dtype=bool)
    points = _points(np.where(defined[:, None], values, 0.0))
    orientations = _axes(columns["orientations"]) if "orientations" in columns else None
    before = found.StartModify()
    try:
        _put(host, found, points, world)
        for index in range(len(points)):
            _set_point(found, index, {name: columns[name][index] for name in columns if name != "orientations"})
            if orientations is not None:
                _set_orientation(found, index, orientations[index], world)
    finally:
        found.EndModify(before)


def _axes(values: Any) -> Array:
    axes = np.asarray(values, dtype=np.float64).reshape(-1, 3, 3)
    if not np.allclose(axes @ axes.transpose(0, 2, 1), np.eye(3), atol=1e-4):
        raise ArrayError(
            "These are no orientations.", expected="unit vectors at right angles, [n, 3, 3]", got="other vectors"
        )
    return axes


def _set_point(node: Any, index: int, values: dict[str, Any]) -> None:
    if "labels" in values:
        node.SetNthControlPointLabel(index, str(values["labels"]))
    if "descriptions" in values:
        node.SetNthControlPointDescription(index, str(values["descriptions"]))
    for word, name in _FLAGS.items():
        if word in values:
            getattr(node, f"SetNthControlPoint{name}")(index, bool(values[word]))
    if not values.get("defined", True):
        node.SetNthControlPointPositionMissing(index)


def _set_orientation(node: Any, index: int, axes: Array, world: bool) -> None:
    if world:
        node.SetNthControlPointOrientationMatrixWorld(index, axes.ravel().tolist())
    else:
        node.SetNthControlPointOrientationMatrix(index, axes.ravel().tolist())


@command("markups.edit_point")
def edit_point(
    host: Host,
    node: NodeLike,
    point: int | str,
    position: tuple[float | None, float | None, float | None] | None = None,
    label: str | None = None,
    description: str | None = None,
    selected: bool | None = None,
    visible: bool | None = None,
    locked: bool | None = None,
    world: bool = True,
) -> None:
    """Change one control point; what is ``None`` stays.

    Args:
        point: its index, from the end below 0; or its MRML id.
        position: RAS, mm; in world coordinates, or the node's own. Of the three, too, what is ``None`` stays.
        selected: selected points are drawn in the selected colour, and are meant by what works on "all selected".
        locked: it cannot be dragged in views.

    Raises:
        ItemNotFoundError: no such point.
        ArgumentError: numbers that are not finite.
    """
    found = node_of(host, node)
    index = point_index(found, point)
    place = None if position is None else _changed(found, index, position, world)
    values = {"labels": label, "descriptions": description, "selected": selected, "visible": visible, "locked": locked}
    _set_point(found, index, {name: value for name, value in values.items() if value is not None})
    if place is not None:
        if world:
            found.SetNthControlPointPositionWorld(index, *place)
        else:
            found.SetNthControlPointPosition(index, *place)


def _changed(node: Any, index: int, position: tuple[float | None, ...], world: bool) -> list[float]:
    """The position of a point with these numbers in it. Raises `ArgumentError`."""
    now = positions_of(node, world)[index].tolist()
    place = [old if new is None else new for old, new in zip(now, position, strict=True)]
    if not np.isfinite(place).all():
        raise ArgumentError("That is no position.", expected="three finite numbers, RAS, mm", got=str(place))
    return place


@command("markups.append")
def append(host: Host, node: NodeLike, points: Any, labels: list[str] | None = None, world: bool = True) -> list[int]:
    """Add control points at the end, [n, 3], RAS, mm; their indices.

    Raises:
        ArrayError: not [n, 3] finite numbers, another number of labels, or more than this kind of markups has.
    """
    found = node_of(host, node)
    positions = _points(points)
    _check_labels(labels, positions)
    first = len(real_points(found))
    _check_number(found, first + len(positions))
    before = found.StartModify()
    try:
        _drop_preview(found)
        for number, position in enumerate(positions):
            words = [] if labels is None else [labels[number]]
            (found.AddControlPointWorld if world else found.AddControlPoint)(position, *words)
    finally:
        found.EndModify(before)
    return list(range(first, first + len(positions)))


@command("markups.remove_point")
def remove_point(host: Host, node: NodeLike, point: int | str) -> None:
    """Remove one control point, by its index or its MRML id. Raises `ItemNotFoundError`."""
    found = node_of(host, node)
    found.RemoveNthControlPoint(point_index(found, point))


def _check_labels(labels: list[str] | None, points: Array) -> None:
    if labels is not None and len(labels) != len(points):
        raise ArrayError(
            "There must be a label for each point.", expected=f"{len(points)} labels", got=str(len(labels))
        )


@command("markups.add")
def add_markups(
    host: Host,
    points: Any,
    name: str = "Points",
    labels: list[str] | None = None,
    class_name: str = "vtkMRMLMarkupsFiducialNode",
    kind: str | None = None,
) -> NodeRef:
    """New markups of [n, 3] points, RAS, mm.

    Args:
        points: none at all for markups whose points are to be placed in a view.
        class_name: the MRML class, where ``kind`` does not say it.
        kind: "points", "line", "angle", "curve", "closed curve", "plane" or "roi". A plane of one point has the
            normal (0, 0, 1); of three, goes through them; of more, is fitted to them.

    Raises:
        ArrayError: not [n, 3] finite numbers, another number of labels, or more points than that kind has.
        ArgumentError: no such kind or markups class.
    """
    positions = _points(points)
    _check_labels(labels, positions)
    if kind is not None and kind not in KINDS:
        raise ArgumentError("There are no such markups.", expected=", ".join(KINDS), got=repr(kind))
    class_name = KINDS[kind] if kind is not None else class_name
    host.nodes(class_name)  # refuses an unknown class by name
    with host.all_or_nothing():
        node = host.slicer.mrmlScene.AddNewNodeByClass(class_name, host.slicer.mrmlScene.GenerateUniqueName(name))
        if not node.IsA(_MARKUPS):
            raise ArgumentError("That is no class of markups.", expected="a vtkMRMLMarkups...Node", got=class_name)
        node.CreateDefaultDisplayNodes()
        if node.IsA("vtkMRMLMarkupsPlaneNode") and len(positions) > 1:
            node.SetPlaneType(node.PlaneType3Points if len(positions) <= 3 else node.PlaneTypePlaneFit)
        _put(host, node, positions, True)
        for index, label in enumerate(labels or []):
            node.SetNthControlPointLabel(index, label)
    return host.ref(node)
