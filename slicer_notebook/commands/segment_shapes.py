"""Which voxels lie in a shape: brushes along a path, and polygons that cut through. numpy alone.

A voxel belongs to a shape when its centre lies in it. Arrays are [k, j, i]; points are mm, RAS, in the scene's
coordinates; a `Grid`'s affine leads there from IJK.
"""

from __future__ import annotations

import itertools
from typing import Final, Literal, NamedTuple, cast, get_args

import numpy as np

from slicer_notebook.commands.segment_sampling import Grid
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array

__all__ = [
    "DEPTHS",
    "OPERATIONS",
    "Box",
    "Cut",
    "Depth",
    "Operation",
    "Plane",
    "Sight",
    "brushed",
    "checked_cut",
    "cut",
    "drawn",
    "flat",
    "inside_polygon",
    "looking_along",
    "on_slice",
    "plane_of",
    "seen",
    "spacing_of",
    "thickness_along",
    "whole",
]

#: Lengths that count as equal, mm: far below what a scanner can tell, far above rounding.
_EPSILON: Final = 1e-6
#: Rows of voxels times corners of a polygon that are worked on at once: some 100 MB.
_AT_ONCE: Final = 2_000_000


class Box(NamedTuple):
    """A part of a grid and the voxels in it that are meant.

    Attributes:
        first: (i, j, k) of its first voxel.
        inside: bool [k, j, i].
    """

    first: tuple[int, int, int]
    inside: Array

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Where it lies in an array [k, j, i] of the grid."""
        i, j, k = self.first
        nk, nj, ni = self.inside.shape
        return slice(k, k + nk), slice(j, j + nj), slice(i, i + ni)


class Plane(NamedTuple):
    """A plane in space.

    Attributes:
        origin: a point of it, mm, RAS.
        normal: of length 1.
    """

    origin: Array
    normal: Array


def whole(inside: Array) -> Box:
    """A mask of the whole grid."""
    return Box((0, 0, 0), inside)


def spacing_of(grid: Grid) -> tuple[float, float, float]:
    """Distance of neighbouring voxels along i, j, k, mm."""
    i, j, k = (float(each) for each in np.linalg.norm(grid.affine[:3, :3], axis=0))
    return i, j, k


def thickness_along(grid: Grid, normal: Array) -> float:
    """Thickness of one slice across ``normal``, mm: the longest step between neighbouring voxels along it."""
    return float(np.abs(normal @ grid.affine[:3, :3]).max())


def _box_around(grid: Grid, points: Array, radius: float) -> tuple[Array, Array]:
    """First and end (i, j, k) of the voxels that lie within ``radius`` mm of the points' bounding box."""
    to_ijk = np.linalg.inv(grid.affine)
    ijk = points @ to_ijk[:3, :3].T + to_ijk[:3, 3]
    # A ball becomes an ellipsoid in IJK: its half widths are the lengths of the rows.
    reach = radius * np.linalg.norm(to_ijk[:3, :3], axis=1) + _EPSILON
    size = np.array(grid.shape[::-1])
    first = np.clip(np.ceil(ijk.min(axis=0) - reach), 0, size).astype(int)
    end = np.clip(np.floor(ijk.max(axis=0) + reach) + 1, 0, size).astype(int)
    return first, np.maximum(first, end)


def _centres(grid: Grid, first: Array, end: Array) -> Array:
    """Centres of the voxels of a box, mm, [k, j, i, 3]."""
    i, j, k = (np.arange(a, b) for a, b in zip(first, end, strict=True))
    a = grid.affine
    found: Array = (
        a[:3, 3]
        + k[:, None, None, None] * a[:3, 2]
        + j[None, :, None, None] * a[:3, 1]
        + i[None, None, :, None] * a[:3, 0]
    )
    return found


def brushed(grid: Grid, points: Array, radius: float, *, connect: bool = False, normal: Array | None = None) -> Box:
    """What a brush covers.

    Args:
        points: [n, 3].
        radius: mm.
        connect: along the straight lines from point to point, too.
        normal: of length 1: the brush is a disc across it, of the thickness of one slice; a ball without it.

    Returns:
        The smallest box that may hold voxels of it.
    """
    pairs = list(itertools.pairwise(points)) if connect and len(points) > 1 else [(p, p) for p in points]
    half = 0.0 if normal is None else thickness_along(grid, normal) / 2
    low, high = _box_around(grid, points, np.hypot(radius, half))
    inside = np.zeros(tuple(np.maximum(high - low, 0))[::-1], bool)
    for start, stop in pairs:
        first, end = _box_around(grid, np.array([start, stop]), float(np.hypot(radius, half)))
        if (end <= first).any():
            continue
        part = Box((*(first - low).tolist(),), np.empty(tuple((end - first)[::-1]), bool))
        inside[part.place] |= _near(_centres(grid, first, end), start, stop, radius, normal, half)
    return Box((int(low[0]), int(low[1]), int(low[2])), inside)


def _near(centres: Array, start: Array, stop: Array, radius: float, normal: Array | None, half: float) -> Array:
    """Which centres lie within ``radius`` of a line; with a normal, of its shadow across it and ``half`` off it."""
    along = stop - start
    offset = centres - start
    flat_along = along if normal is None else along - (along @ normal) * normal
    length = float(flat_along @ flat_along)
    t = np.clip(offset @ flat_along / length, 0, 1) if length > _EPSILON**2 else np.zeros(centres.shape[:-1])
    offset = offset - t[..., None] * along
    if normal is None:
        found: Array = np.einsum("...x,...x", offset, offset) <= (radius + _EPSILON) ** 2
        return found
    height = offset @ normal
    offset = offset - height[..., None] * normal
    # A plane in the middle between two slices is in one of them: the upper one.
    slab: Array = (height >= -half - _EPSILON) & (height < half - _EPSILON)
    slab &= np.einsum("...x,...x", offset, offset) <= (radius + _EPSILON) ** 2
    return slab


def plane_of(points: Array) -> Plane | None:
    """The plane that fits a closed polygon [n, 3] best (Newell's normal); None for a polygon without an area."""
    centre = points.mean(axis=0)
    rays = points - centre
    normal = np.cross(rays, np.roll(rays, -1, axis=0)).sum(axis=0)
    length = float(np.linalg.norm(normal))
    if length < _EPSILON * max(float(np.abs(rays).max()), _EPSILON):
        return None
    return Plane(centre, normal / length)


def flat(plane: Plane) -> Array:
    """3x4, RAS (homogeneous) → two coordinates in a plane (homogeneous), mm: seen along the normal."""
    least = np.eye(3)[np.abs(plane.normal).argmin()]
    right = np.cross(plane.normal, least)
    right /= np.linalg.norm(right)
    up = np.cross(plane.normal, right)
    matrix = np.zeros((3, 4))
    matrix[0, :3], matrix[1, :3], matrix[2, 3] = right, up, 1.0
    matrix[:2, 3] = -(matrix[:2, :3] @ plane.origin)
    return matrix


def inside_polygon(grid: Grid, projection: Array, polygon: Array) -> Array:
    """Which voxels are seen inside of a polygon: bool [k, j, i], by the even-odd rule.

    Args:
        projection: 3x4, RAS (homogeneous) → picture (homogeneous): parallel or in perspective.
        polygon: [n, 2], in the picture; its last corner is joined to the first.

    Voxels behind the eye of a perspective are not seen. A row of voxels is a straight line in the picture: each edge of
    the polygon that it crosses turns the rest of the row from outside to inside or back.
    """
    to_picture = projection @ grid.affine
    # The axis with the longest steps in the picture becomes the row; one along the line of sight would be a point.
    middle = np.append((np.array(grid.shape[::-1]) - 1) / 2, 1.0)
    x, y, w = to_picture @ middle
    steps = to_picture[:2, :3] * w - np.outer([x, y], to_picture[2, :3])
    axis = int(np.linalg.norm(steps, axis=0).argmax())
    others = [each for each in range(3) if each != axis]
    count = grid.shape[2 - axis]
    rows_shape = tuple(grid.shape[2 - each] for each in others)
    rows = np.array(np.meshgrid(*(np.arange(n) for n in rows_shape), indexing="ij")).reshape(2, -1)
    starts = (
        to_picture[:, 3] + rows[0, :, None] * to_picture[:, others[0]] + rows[1, :, None] * to_picture[:, others[1]]
    )
    inside = np.empty((len(starts), count), bool)
    chunk = max(1, _AT_ONCE // len(polygon))
    for first in range(0, len(starts), chunk):
        inside[first : first + chunk] = _rows_inside(starts[first : first + chunk], to_picture[:, axis], count, polygon)
    found = inside.reshape(*rows_shape, count)
    return np.ascontiguousarray(np.moveaxis(found, range(3), [2 - others[0], 2 - others[1], 2 - axis]))


def _rows_inside(starts: Array, step: Array, count: int, polygon: Array) -> Array:
    """`inside_polygon` of rows: starts [r, 3] and step [3] in the picture, homogeneous; bool [r, count]."""
    corners = np.column_stack([polygon, np.ones(len(polygon))])
    lines = np.cross(starts, step)
    # On which side of a row's line each corner is; one upon it counts to the same side for both of its edges.
    above = lines @ corners.T >= 0
    row, corner = np.nonzero(above != np.roll(above, -1, axis=1))
    edges = np.cross(corners, np.roll(corners, -1, axis=0))[corner]
    at_start = np.einsum("rx,rx->r", edges, starts[row])
    t = -at_start / (edges @ step)
    seen = starts[row, 2] + t * step[2] > 0
    row, t = row[seen], t[seen]
    turns = np.zeros((len(starts), count + 1), bool)
    np.logical_xor.at(turns, (row, np.clip(np.floor(t) + 1, 0, count).astype(int)), True)
    if step[2] < 0:
        # The row comes from the vanishing point; what is outside for certain is its other end, at the eye.
        turns[:, 0] ^= np.bincount(row, minlength=len(starts)) % 2 == 1
    inside: Array = np.logical_xor.accumulate(turns[:, :count], axis=1)
    ends = starts[:, 2], starts[:, 2] + (count - 1) * step[2]
    if min(each.min() for each in ends) <= 0:
        inside &= starts[:, 2, None] + np.arange(count) * step[2] > 0
    return inside


# -- cutting and drawing in a view -----------------------------------------------------------------------------------


class Sight(NamedTuple):
    """How a view, or any eye, sees the scene.

    Attributes:
        projection: 3x4, RAS (homogeneous) → picture (homogeneous).
        origin, normal: of the slice that the view shows, mm, RAS; None for one that shows no slice.
    """

    projection: Array
    origin: Array | None
    normal: Array | None


Operation = Literal["erase_inside", "erase_outside", "fill_inside", "fill_outside"]
Depth = Literal["unlimited", "positive", "negative", "symmetric"]
OPERATIONS: Final = get_args(Operation)
DEPTHS: Final = get_args(Depth)


class Cut(NamedTuple):
    """What scissors do (qSlicerSegmentEditorScissorsEffect).

    Attributes:
        operation: inside or outside of what is cut out.
        depth: how far it goes from the slice, along its normal ("positive"), against it, or both ways ("symmetric").
        thickness: of "symmetric", mm; at least one slice.
    """

    operation: Operation
    depth: Depth = "unlimited"
    thickness: float = 0.0


def checked_cut(operation: str, depth: str, thickness: float) -> Cut:
    """A `Cut` of words.

    Raises:
        ArgumentError: they are none of those there are, or the thickness is below 0.
    """
    if operation not in OPERATIONS or depth not in DEPTHS or not thickness >= 0:
        raise ArgumentError(
            "The cut does not fit.",
            expected=f"{', '.join(OPERATIONS)}; {', '.join(DEPTHS)}; a thickness in mm, not below 0",
            got=f"{operation}, {depth}, {thickness}",
        )
    return Cut(cast(Operation, operation), cast(Depth, depth), float(thickness))


def looking_along(direction: Array, origin: Array) -> Sight:
    """A parallel view of the plane through ``origin`` across ``direction`` (of any length)."""
    plane = Plane(origin, direction / np.linalg.norm(direction))
    return Sight(flat(plane), plane.origin, plane.normal)


def seen(sight: Sight, points: Array) -> Array:
    """Points [n, 3] in the picture, [n, 2]. Those behind the eye come out as NaN."""
    x, y, w = sight.projection @ np.column_stack([points, np.ones(len(points))]).T
    w = np.where(w > 0, w, np.nan)
    return np.column_stack([x / w, y / w])


def on_slice(sight: Sight, pixel: Array) -> Array:
    """The point, [3], RAS, of a slice that a pixel, [2], of its picture shows."""
    assert sight.origin is not None
    assert sight.normal is not None
    # A line through the slice goes to one pixel: so it is two planes, and the slice is the third.
    planes = np.vstack([sight.projection[:2] - np.outer(pixel, sight.projection[2]), np.append(sight.normal, 0.0)])
    found: Array = np.linalg.solve(planes[:, :3], np.append(-planes[:2, 3], sight.normal @ sight.origin))
    return found


def _between(grid: Grid, sight: Sight, low: float, high: float) -> Array:
    """Which centres are from ``low`` to below ``high`` mm off the slice, along its normal; bool [k, j, i]."""
    assert sight.origin is not None
    assert sight.normal is not None
    steps = sight.normal @ grid.affine[:3, :3]
    i, j, k = (np.arange(n) * step for n, step in zip(grid.shape[::-1], steps, strict=True))
    height = sight.normal @ (grid.affine[:3, 3] - sight.origin) + k[:, None, None] + j[:, None] + i
    found: Array = (height >= low - _EPSILON) & (height < high - _EPSILON)
    return found


def cut(grid: Grid, sight: Sight, polygon: Array, how: Cut) -> tuple[Box, Literal["add", "remove"]]:
    """What scissors change: the voxels, and whether they come or go.

    Args:
        polygon: [n, 2], in the picture of ``sight``.

    What is cut out is the polygon, as deep as `Cut` says; half a slice more where it begins or ends at the slice, so
    that the slice itself is in it. "Outside" is all else.
    """
    inside = inside_polygon(grid, sight.projection, polygon)
    if how.depth != "unlimited" and sight.normal is not None:
        half = thickness_along(grid, sight.normal) / 2
        reach = max(half, how.thickness / 2)
        low, high = {"positive": (-half, np.inf), "negative": (-np.inf, half), "symmetric": (-reach, reach)}[how.depth]
        inside &= _between(grid, sight, low, high)
    if how.operation.endswith("outside"):
        inside = ~inside
    return whole(inside), "remove" if how.operation.startswith("erase") else "add"


def drawn(grid: Grid, sight: Sight, polygon: Array) -> Box:
    """A polygon on the slice of ``sight``, one slice thick."""
    box, _ = cut(grid, sight, polygon, Cut("fill_inside", "symmetric"))
    return box
