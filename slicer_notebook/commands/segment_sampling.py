"""Labels on grids, by numpy alone: what a layer of segments is, and how it is taken over to another grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array

__all__ = ["Grid", "Layer", "box_in", "cropped_to_content", "own_grid", "sampled", "shape_of", "slabs"]

#: Voxels that are worked on at once: some tens of milliseconds.
_SLAB: Final = 4_000_000
#: What a matrix between two grids may differ from whole voxels by and count as whole.
_ALMOST: Final = 1e-6


def shape_of(array: Array) -> tuple[int, int, int]:
    """(k, j, i) of an array of three axes."""
    k, j, i = array.shape
    return int(k), int(j), int(i)


class Grid(NamedTuple):
    """Voxels somewhere.

    Attributes:
        shape: (k, j, i).
        affine: 4x4, IJK → RAS, mm.
    """

    shape: tuple[int, int, int]
    affine: Array


@dataclass(frozen=True)
class Layer:
    """A label map that segments share.

    Attributes:
        labels: [k, j, i], whole numbers.
        affine: IJK of ``labels`` → RAS, mm, in the segmentation's own coordinates.
        numbers: of each segment's id, its number in ``labels``.
        changed: gives another number when they have changed, where they are a live view.
    """

    labels: Array
    affine: Array
    numbers: dict[str, int]
    changed: Callable[[], int] = lambda: 0

    def renumbered(self, wanted: dict[str, int], dtype: Any) -> Layer:
        """The layer with other numbers; what belongs to no segment that is wanted becomes 0."""
        most = max([int(self.labels.max()) if self.labels.size else 0, *self.numbers.values(), 0])
        table = np.zeros(most + 1, dtype)
        for each, number in self.numbers.items():
            table[number] = wanted.get(each, 0)
        labels = table[np.maximum(self.labels, 0)] if self.labels.dtype.kind == "i" else table[self.labels]
        return Layer(labels, self.affine, {each: wanted[each] for each in self.numbers if each in wanted})


# -- grids and what is filled of them ------------------------------------------------------------------------------


def own_grid(name: str, reference: Grid | None, layers: Sequence[Layer]) -> Grid:
    """The grid of a segmentation: that of its reference, or of its first segment that has voxels. On any thread.

    It is made larger where a segment reaches out of it.

    Args:
        name: the segmentation's, for the error.
        reference: `reference_grid`.
        layers: `layers_of`.

    Raises:
        ArrayError: it has neither a reference nor voxels.
    """
    boxes = [box for box in map(_filled_box, layers) if box is not None]
    grid = reference or next(iter(boxes), None)
    if grid is None:
        raise ArrayError(
            f"Segmentation {name!r} has no grid: neither a reference volume nor voxels.",
            expected="a reference",
            got="none",
            hint="name a volume as the reference",
        )
    low, high = np.zeros(3, int), np.array(grid.shape[::-1])
    for box in boxes:
        first, last = box_in(box, grid, clipped=False)
        low, high = np.minimum(low, first), np.maximum(high, last)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    i, j, k = (int(each) for each in high - low)
    return Grid((k, j, i), affine)


def _filled_box(layer: Layer) -> Grid | None:
    """The smallest grid that holds all labels of a layer."""
    cropped, first = cropped_to_content(layer.labels)
    if not cropped.size:
        return None
    affine = layer.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first[::-1]
    return Grid(shape_of(cropped), affine)


def cropped_to_content(array: Array) -> tuple[Array, Array]:
    """The part of [k, j, i] that holds all that is not 0, not copied, and the [k, j, i] of its first voxel."""
    first = np.zeros(3, int)
    for axis in range(3):
        others = tuple(each for each in range(3) if each != axis)
        there = np.flatnonzero(array.any(axis=others))
        if not there.size:
            return array[:0, :0, :0], np.zeros(3, int)
        first[axis] = there[0]
        array = array[(slice(None),) * axis + (slice(int(there[0]), int(there[-1]) + 1),)]
    return array, first


def box_in(part: Grid, whole: Grid, *, clipped: bool = True) -> tuple[Array, Array]:
    """The voxels of ``whole`` among which those whose centres lie in ``part`` are: first and end, (i, j, k).

    Args:
        clipped: within ``whole``; else as far as ``part`` reaches.
    """
    matrix = np.linalg.inv(whole.affine) @ part.affine
    ends = np.array([[-0.5, size - 0.5] for size in part.shape[::-1]])
    corners = np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
    there = (corners @ matrix.T)[:, :3]
    first = np.ceil(there.min(axis=0) - _ALMOST).astype(int)
    end = np.floor(there.max(axis=0) + _ALMOST).astype(int) + 1
    # A box of whole voxels ends half a voxel behind its last centre: where grids agree, exactly there.
    if clipped:
        size = np.array(whole.shape[::-1])
        first, end = np.clip(first, 0, size), np.clip(end, 0, size)
        end = np.maximum(first, end)
    return first, end


# -- from grid to grid ---------------------------------------------------------------------------------------------


def sampled(layer: Layer, grid: Grid, check: Callable[[], None] | None = None) -> Array:
    """A layer's labels on another grid, by the nearest voxel; 0 where the layer is not. On any thread.

    Args:
        grid: in the same coordinates as the layer's affine.
        check: called now and then; it may raise, to end this.

    Returns:
        [k, j, i], the layer's dtype. A centre in the middle between two voxels takes the one of the higher index.
    """
    out = np.zeros(grid.shape, layer.labels.dtype)
    for place, labels in slabs(layer, grid):
        if check is not None:
            check()
        out[place] = labels
    return out


def slabs(layer: Layer, grid: Grid) -> Iterator[tuple[tuple[slice, slice, slice], Array]]:
    """As `sampled`, a part at a time: (where in the grid, labels there). All labels lie in these parts."""
    box = _filled_box(layer)
    if box is None:
        return
    # Half a voxel of the layer lies around its centres: within it, it is the nearest.
    (i0, j0, k0), (i1, j1, k1) = ((int(x) for x in each) for each in box_in(box, grid))
    if min(i1 - i0, j1 - j0, k1 - k0) <= 0:
        return
    matrix = np.linalg.inv(layer.affine) @ grid.affine
    nearest = _along_axes(layer, matrix) or _across_axes(layer, matrix)
    step = max(1, _SLAB // ((i1 - i0) * (j1 - j0)))
    for k in range(k0, k1, step):
        place = slice(k, min(k + step, k1)), slice(j0, j1), slice(i0, i1)
        yield place, nearest(*(np.arange(each.start, each.stop) for each in place))


def _nearest(position: Array) -> Array:
    # A step of rounding errors below the middle counts as the middle, so that the same grid twice gives the same.
    whole: Array = np.floor(position + (0.5 + 1e-9)).astype(np.int64)
    return whole


def _along_axes(layer: Layer, matrix: Array) -> Callable[[Array, Array, Array], Array] | None:
    """For grids whose axes are parallel: an index for each slice, row and column. None for others."""
    significant = np.abs(matrix[:3, :3]) > _ALMOST / max(1, *layer.labels.shape)
    if not ((significant.sum(axis=0) == 1).all() and (significant.sum(axis=1) == 1).all()):
        return None
    # Which axis (i, j, k) of the grid goes along each axis of the layer.
    along = [int(np.flatnonzero(significant[axis])[0]) for axis in range(3)]

    def nearest(k: Array, j: Array, i: Array) -> Array:
        counts = (i, j, k)
        chosen, inside = [], []
        for axis in range(3):
            index = _nearest(matrix[axis, along[axis]] * counts[along[axis]] + matrix[axis, 3])
            size = layer.labels.shape[2 - axis]
            inside.append((index >= 0) & (index < size))
            chosen.append(np.clip(index, 0, max(size - 1, 0)))
        labels = layer.labels[np.ix_(chosen[2], chosen[1], chosen[0])]
        for axis in range(3):
            if not inside[axis].all():
                shape = [1, 1, 1]
                shape[2 - axis] = -1
                labels = labels * inside[axis].reshape(shape).astype(labels.dtype)
        # Now [k, j, i] of the layer; the grid's axes may be in another order.
        return np.ascontiguousarray(np.transpose(labels, [2 - along.index(axis) for axis in (2, 1, 0)]))

    return nearest


def _across_axes(layer: Layer, matrix: Array) -> Callable[[Array, Array, Array], Array]:
    """For any two grids: an index for each voxel."""
    sizes = layer.labels.shape[::-1]
    flat = np.ascontiguousarray(layer.labels).reshape(-1)
    strides = (1, sizes[0], sizes[0] * sizes[1])

    def nearest(k: Array, j: Array, i: Array) -> Array:
        index = np.zeros((len(k), len(j), len(i)), np.int64)
        inside = np.ones(index.shape, bool)
        for axis in range(3):
            position = (
                (matrix[axis, 2] * k + matrix[axis, 3])[:, None, None]
                + (matrix[axis, 1] * j)[None, :, None]
                + (matrix[axis, 0] * i)[None, None, :]
            )
            whole = _nearest(position)
            inside &= (whole >= 0) & (whole < sizes[axis])
            whole *= strides[axis]
            index += whole
        index[~inside] = 0
        labels = flat[index]
        labels[~inside] = 0
        return labels

    return nearest
