"""Geometry of slices: directions, order along the normal, and the affine. Pure numbers, no files.

DICOM positions and directions are in the patient coordinate system LPS (x to the left, y to posterior, z to superior),
millimetres (PS3.3 C.7.6.2.1.1). Everything leaves this module in RAS, as Slicer and NIfTI have it: `LPS_TO_RAS` is
applied in `ijk_to_ras` and nowhere else in the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "LPS_TO_RAS",
    "Axes",
    "Grid",
    "Line",
    "axes_of",
    "even_grid",
    "fit_line",
    "ijk_to_ras",
    "orientation_name",
    "pieces",
    "same_position_bins",
    "same_position_tolerance",
]

Array = npt.NDArray[np.float64]

LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Direction cosines may be off unit length, and the two off a right angle, by this much (they are decimal strings).
COSINE_TOLERANCE: Final = 1e-3
#: Slices closer than this (mm) lie at one position.
SAME_POSITION: Final = 1e-2
#: Positions may leave the straight, even line by this much: millimetres (but no more than `ROUNDED_PART` of a step that
#: is smaller still), or a part of the step, whichever is more.
EVEN_MM: Final = 0.01
EVEN_PART: Final = 0.01
#: Up to this part of the step uneven positions are accepted with a warning (positions rounded when written).
ROUNDED_PART: Final = 0.1
#: An even grid over uneven slices has at most this many times as many slices.
FINEST: Final = 4
#: Gaps longer than this many usual ones part a stack: nothing is made up for so wide a space.
FAR: Final = 4.5
#: A step that leans further from the normal than this (degrees) is no stack of slices.
MAX_TILT: Final = 75.0


class Axes(NamedTuple):
    """Unit vectors in LPS: along a row (i grows), down a column (j grows), and their cross product."""

    row: Array
    column: Array
    normal: Array


class Line(NamedTuple):
    """A stack of n slices in order: position of slice k = first + k * step, up to ``deviation``."""

    #: indices into the given positions, in k order
    order: list[int]
    #: LPS, mm
    first: Array
    #: LPS, mm; not along the normal where the gantry was tilted
    step: Array
    #: distances between neighbours along the normal, mm, n-1 of them
    gaps: Array
    #: how far the farthest position lies from the even line, mm
    deviation: float

    @property
    def spacing(self) -> float:
        """Length of the step, mm."""
        return float(np.linalg.norm(self.step))

    def tilt(self, axes: Axes) -> float:
        """Angle between step and normal, degrees."""
        cosine = float(self.step @ axes.normal) / max(self.spacing, np.finfo(float).tiny)
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

    def is_even(self, part: float = EVEN_PART) -> bool:
        """Whether all positions lie on the line, up to ``part`` of the step."""
        return self.deviation <= max(min(EVEN_MM, ROUNDED_PART * self.spacing), part * self.spacing)


def axes_of(orientation: Sequence[float]) -> Axes | None:
    """Axes for an Image Orientation (Patient); None unless it is two unit vectors at a right angle.

    What is within `COSINE_TOLERANCE` is made exactly orthonormal: the row keeps its direction.
    """
    if len(orientation) != 6:
        return None
    row, column = np.array(orientation[:3], dtype=np.float64), np.array(orientation[3:], dtype=np.float64)
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if not all(abs(length - 1.0) <= COSINE_TOLERANCE for length in lengths):
        return None
    if abs(float(row @ column)) > COSINE_TOLERANCE:
        return None
    row /= lengths[0]
    column -= (column @ row) * row
    column /= np.linalg.norm(column)
    return Axes(row, column, np.cross(row, column))


def fit_line(positions: Array, axes: Axes) -> Line:
    """Sort positions along the normal and lay an even line through them.

    k grows along row x column, so that i, j, k are right-handed, as in Slicer's scalar volumes.

    Args:
        positions: n x 3, LPS, mm; n at least 2, no two the same.
    """
    along = positions @ axes.normal
    order = np.argsort(along, kind="stable")
    ordered = positions[order]
    count = len(ordered)
    step = (ordered[-1] - ordered[0]) / (count - 1)
    ideal = ordered[0] + np.arange(count)[:, None] * step
    deviation = float(np.max(np.linalg.norm(ordered - ideal, axis=1)))
    return Line(order.tolist(), ordered[0], step, np.diff(along[order]), deviation)


class Grid(NamedTuple):
    """An even stack of slices over the places where slices were measured."""

    #: LPS, mm
    first: Array
    #: LPS, mm
    step: Array
    #: how many
    slices: int
    #: where the measured slices lie, in steps from the first; rising
    k: list[float]
    #: slices are missing: all were measured at places of the grid, most of them one step apart
    missing: bool


def even_grid(positions: Array, axes: Axes) -> Grid | None:
    """An even grid over unevenly spaced slices, which lie on one straight line, fine enough to lose none of them.

    Where the gaps are whole multiples of the smallest, the measured slices lie on the grid.

    Args:
        positions: n x 3, LPS, mm, in order along the normal.

    Returns:
        None where the positions do not lie on a line through the first and the last.
    """
    along = (positions - positions[0]) @ axes.normal
    gaps = np.diff(along)
    if float(gaps.min()) <= 0:
        return None
    direction = (positions[-1] - positions[0]) / along[-1]
    beside = np.linalg.norm(positions - positions[0] - along[:, None] * direction, axis=1)
    median = float(np.median(gaps))
    if float(beside.max()) > max(EVEN_MM, ROUNDED_PART * median):
        return None
    length, measured = float(along[-1]), len(along)
    whole = np.round(along / gaps.min())
    # The smallest gap is itself rounded: the step that fits all of them best.
    step = float(along @ whole / (whole @ whole))
    on_grid = bool(np.all(np.diff(whole) >= 1)) and float(np.abs(along - step * whole).max()) <= ROUNDED_PART * step
    if on_grid and whole[-1] + 1 <= FINEST * measured:
        count = int(whole[-1]) + 1
        missing = float(np.median(np.diff(whole))) == 1.0
        k = whole.tolist()
    else:
        step = max(float(gaps.min()), length / (FINEST * measured - 1))
        count = round(length / step) + 1
        missing = False
        k = (along * ((count - 1) / length)).tolist()
    return Grid(positions[0], direction * (length / (count - 1)), count, k, missing)


def pieces(positions: Array, axes: Axes) -> list[list[int]]:
    """Indices of positions, in order along the normal, cut where the gap is far longer than most (`FAR`)."""
    along = positions @ axes.normal
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    cuts = np.flatnonzero(gaps > FAR * usual) + 1
    return [part.tolist() for part in np.split(order, cuts)]


def same_position_bins(positions: Array, axes: Axes, tolerance: float) -> list[list[int]]:
    """Indices of positions that are the same place, in order along the normal.

    Args:
        positions: n x 3, LPS, mm.
        tolerance: places closer than this are the same, mm.
    """
    along = positions @ axes.normal
    bins: list[list[int]] = []
    for index in np.argsort(along, kind="stable").tolist():
        # Places beside each other at one height come in any order: look at all bins at this height.
        for known in reversed(bins):
            if along[index] - along[known[0]] >= tolerance:
                bins.append([index])
                break
            if float(np.linalg.norm(positions[index] - positions[known[0]])) < tolerance:
                known.append(index)
                break
        else:
            bins.append([index])
    return bins


def same_position_tolerance(pixel_spacing: Sequence[float]) -> float:
    """How near two positions are the same, mm: `SAME_POSITION`, or less where pixels are smaller than that."""
    return min(SAME_POSITION, 0.1 * min(pixel_spacing))


def ijk_to_ras(first: Array, axes: Axes, pixel_spacing: Sequence[float], step: Array) -> Array:
    """The 4x4 matrix from voxel indices (i = column, j = row, k = slice) to RAS, mm.

    Args:
        first: LPS position of the centre of voxel (0, 0, 0), mm.
        pixel_spacing: mm between rows, then between columns, in DICOM's order (PS3.3 10.7.1.3).
        step: LPS vector from one slice to the next, mm; need not be along the normal.
    """
    between_rows, between_columns = pixel_spacing
    lps = np.eye(4)
    lps[:3, 0] = axes.row * between_columns
    lps[:3, 1] = axes.column * between_rows
    lps[:3, 2] = step
    lps[:3, 3] = first
    # Adding 0.0 turns -0.0 into 0.0: a matrix that a person reads should not show signs of nothing.
    result: Array = LPS_TO_RAS @ lps + 0.0
    return result


def orientation_name(normal: Array) -> str:
    """``axial``, ``sagittal`` or ``coronal`` by the normal's largest part; ``oblique ...`` if over 10 degrees off."""
    largest = int(np.argmax(np.abs(normal)))
    name = ("sagittal", "coronal", "axial")[largest]
    return name if abs(float(normal[largest])) >= np.cos(np.radians(10.0)) else f"oblique {name}"
