"""Commands that edit the segments of a segmentation, as Slicer's Segment Editor does.

Each is one step that can be undone, and holds to the editor's masks and overwrite mode; one that fails leaves the
segments as they were. Points are RAS of the scene, lengths mm. What takes long is computed beside the main thread. All
give how many voxels came to a segment or went from one.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from slicer_notebook.commands import segment_filters as filters
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_editor import EditMode, SegmentEditor
from slicer_notebook.commands.segment_shapes import (
    Depth,
    Operation,
    Sight,
    brushed,
    checked_cut,
    cut,
    drawn,
    looking_along,
    plane_of,
    seen,
    whole,
)
from slicer_notebook.commands.segment_steps import beside, editor_of, length, numbers, one_step, slice_view
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array

# -- threshold -------------------------------------------------------------------------------------------------------


@command("segment_editor.auto_threshold", thread="worker", journal=False)
def auto_threshold(host: Host, node: NodeLike, method: str = "otsu") -> float:
    """The threshold that a method finds in the source volume's histogram; changes nothing.

    Args:
        method: as in vtkITKImageThresholdCalculator: huang, intermodes, isodata, kittler_illingworth, li,
            maximum_entropy, moments, otsu, renyi_entropy, shanbhag, triangle, yen.

    Raises:
        ArgumentError: no such method, or no source volume.
    """
    if method not in filters.AUTO_METHODS:
        raise ArgumentError(
            f"There is no method {method!r}.", expected=", ".join(filters.AUTO_METHODS), got=repr(method)
        )
    return filters.threshold_of(beside(host, node, lambda editor: editor.source()), method)


@command("segment_editor.threshold")
def threshold(
    host: Host, node: NodeLike, lower: float | None = None, upper: float | None = None, segment: str | None = None
) -> int:
    """The segment becomes all voxels whose intensity is from ``lower`` to ``upper``, both included.

    Args:
        lower, upper: None: no bound.
        segment: id or name; the selected one without it.

    Raises:
        ArgumentError: no source volume, or a range that is empty.
    """
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    if not low <= high:
        raise ArgumentError("The range is empty.", expected="lower <= upper", got=f"{lower}, {upper}")
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    source = editor.source()
    return one_step(editor, "threshold", key, "set", whole((source >= low) & (source <= high)))


# -- brushes, polygons -------------------------------------------------------------------------------------------------


def _across(host: Host, editor: SegmentEditor, view: str | None) -> Array:
    """The normal of a slice view, or of the slices of the grid."""
    if view is None:
        affine = editor.grid().affine
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        found: Array = normal / np.linalg.norm(normal)
        return found
    sight = slice_view(host, editor, view)
    assert sight.normal is not None
    return sight.normal


def _brush(
    host: Host,
    node: NodeLike,
    what: tuple[str, EditMode],
    points: Any,
    radius: float,
    shape: str,
    connect: bool,
    view: str | None,
    segment: str | None,
) -> int:
    path = numbers(points, (3,), 1, "points")
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    normal = _across(host, editor, view) if shape == "circle" else None
    box = brushed(editor.grid(), path, length(radius, "radius"), connect=connect, normal=normal)
    return one_step(editor, what[0], key, what[1], box)


@command("segment_editor.paint")
def paint(
    host: Host,
    node: NodeLike,
    points: Any,
    radius: float,
    shape: Literal["sphere", "circle"] = "sphere",
    connect: bool = False,
    view: str | None = None,
    segment: str | None = None,
) -> int:
    """Add all voxels whose centre is within ``radius`` of a point.

    Args:
        points: [n, 3], mm, RAS.
        radius: mm.
        shape: a ball, or a disc one slice thick.
        connect: along the lines from point to point, too.
        view: the slice view that a disc lies in; the grid's own slices (k) without it.
        segment: id or name; the selected one without it.

    Raises:
        ArrayError: no such points.
        ArgumentError: a radius that is not above 0.
        ViewNotFoundError: no such view.
    """
    return _brush(host, node, ("paint", "add"), points, radius, shape, connect, view, segment)


@command("segment_editor.erase")
def erase(
    host: Host,
    node: NodeLike,
    points: Any,
    radius: float,
    shape: Literal["sphere", "circle"] = "sphere",
    connect: bool = False,
    view: str | None = None,
    segment: str | None = None,
) -> int:
    """Remove what `paint` with the same arguments would add. Raises as `paint`.

    Where only the inside of one segment may be changed, that segment gets what is erased, as in Slicer.
    """
    return _brush(host, node, ("erase", "remove"), points, radius, shape, connect, view, segment)


def _polygon(sight: Sight, points: Array) -> Array:
    """A polygon in the picture of ``sight``: of pixels, or of points. Raises `ArrayError`."""
    if points.shape[1] == 2:
        return points
    polygon = seen(sight, points)
    if np.isnan(polygon).any():
        raise ArrayError("The polygon is in part behind the eye.", expected="points in front of the view", got="others")
    return polygon


@command("segment_editor.draw")
def draw(host: Host, node: NodeLike, points: Any, view: str | None = None, segment: str | None = None) -> int:
    """Fill a closed polygon on a slice, one slice thick.

    Args:
        points: corners, mm, RAS, [n, 3]; or pixels of the view's picture, [n, 2], from its left and top. The last is
            joined to the first.
        view: the slice view on whose slice it lies; the polygon's own plane without it.
        segment: id or name; the selected one without it.

    Raises:
        ArrayError: no such points, or no area between them.
        ArgumentError: pixels without a view, or of a view that shows no slice.
        ViewNotFoundError: no such view.
    """
    corners = numbers(points, (2, 3), 3, "corners")
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    sight = _own_plane(corners) if view is None else slice_view(host, editor, view)
    return one_step(editor, "draw", key, "add", drawn(editor.grid(), sight, _polygon(sight, corners)))


def _own_plane(corners: Array) -> Sight:
    if corners.shape[1] == 2:
        raise ArgumentError("Pixels are of a view.", expected="a view, or points of 3 numbers", got="no view")
    plane = plane_of(corners)
    if plane is None:
        raise ArrayError("The polygon has no area.", expected="corners that are not on a line", got="a line")
    return looking_along(plane.normal, plane.origin)


@command("segment_editor.scissors")
def scissors(
    host: Host,
    node: NodeLike,
    polygon: Any,
    operation: Operation = "erase_inside",
    view: str | None = None,
    direction: Any = None,
    depth: Depth = "unlimited",
    thickness: float = 0.0,
    segment: str | None = None,
) -> int:
    """Cut with a polygon, straight through (qSlicerSegmentEditorScissorsEffect).

    Args:
        polygon: corners: pixels of the view's picture from its left and top, [n, 2], or mm, RAS, [n, 3].
        operation: erase_inside, erase_outside, fill_inside, fill_outside.
        view: the view in which the polygon is seen: a slice, or 3-D (as its camera sees it now).
        direction: along which it is seen where no view is named, [3], RAS; across its own plane without it.
        depth: unlimited; or from the slice (the polygon's plane) on along its normal (positive), against it
            (negative), or both ways (symmetric). The slice itself is always cut. Has no meaning in a 3-D view.
        thickness: of symmetric, in all, mm; one slice at least.
        segment: id or name; the selected one without it.

    Raises:
        ArrayError: no such polygon.
        ArgumentError: both a view and a direction, or pixels without a view.
        ViewNotFoundError: no such view.
    """
    how = checked_cut(operation, depth, thickness)
    corners = numbers(polygon, (2, 3), 3, "corners")
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    if view is not None:
        if direction is not None:
            raise ArgumentError("A view has a direction of its own.", expected="a view or a direction", got="both")
        sight = editor.sight(host.view(view))
    elif direction is not None and corners.shape[1] == 3:
        along = numbers(direction, (3,), 1, "direction")[0]
        length(float(np.linalg.norm(along)), "length of the direction")
        sight = looking_along(along, corners.mean(axis=0))
    else:
        sight = _own_plane(corners)
    box, mode = cut(editor.grid(), sight, _polygon(sight, corners), how)
    return one_step(editor, f"scissors: {operation}", key, mode, box)
