"""Measured slices onto the even, right-angled grid of a volume: linear interpolation, and nothing else is changed."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.plans import Resampling

__all__ = ["resampled"]

Array = npt.NDArray[Any]

#: Nearer than this (in slices or pixels) a place of the grid is a measured one, whose values stay as they are.
_EXACT = 1e-3


def resampled(measured: Array, resampling: Resampling, shape: tuple[int, int, int], pool: Executor) -> Array:
    """The volume of ``shape`` [k, j, i(, samples)] from the slices that were measured.

    Between two slices values are interpolated linearly, along the line through them; integers are rounded. Outside the
    slices (`Resampling.shift`) lies the smallest value that was measured.

    Args:
        measured: [slice, row, column(, samples)], one for each of ``resampling.k``.
    """
    out = np.empty((*shape, *measured.shape[3:]), measured.dtype)
    outside = measured.min()
    places = np.array(resampling.k)

    def fill(k: int) -> None:
        after = int(np.clip(np.searchsorted(places, k), 1, len(places) - 1))
        part = float(np.clip((k - places[after - 1]) / (places[after] - places[after - 1]), 0.0, 1.0))
        if part <= _EXACT:
            out[k] = _placed(measured, after - 1, resampling, shape, outside)
        elif part >= 1.0 - _EXACT:
            out[k] = _placed(measured, after, resampling, shape, outside)
        else:
            lower = _placed(measured, after - 1, resampling, shape, outside).astype(np.float64)
            upper = _placed(measured, after, resampling, shape, outside)
            both = _covered(measured, (after - 1, after), resampling)
            out[k] = outside
            out[k][both] = _as(lower[both] + part * (upper[both] - lower[both]), out.dtype)

    for _ in pool.map(fill, range(shape[0])):
        pass
    return out


def _covered(measured: Array, indices: tuple[int, int], resampling: Resampling) -> tuple[slice, slice]:
    """The rows and columns of the volume that both slices reach."""
    if resampling.shift is None:
        return slice(None), slice(None)
    shifts = np.array([resampling.shift[index] for index in indices])
    first = np.ceil(shifts.max(axis=0) - _EXACT).astype(int)
    last = np.floor(shifts.min(axis=0) + _EXACT).astype(int)
    rows, columns = measured.shape[1:3]
    return slice(first[1], max(first[1], last[1] + rows)), slice(first[0], max(first[0], last[0] + columns))


def _as(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> Array:
    rounded: Array = np.rint(values) if dtype.kind in "iu" else values
    return rounded.astype(dtype)


def _placed(measured: Array, index: int, resampling: Resampling, shape: tuple[int, int, int], outside: Any) -> Array:
    """A measured slice in the volume's rows and columns."""
    moved: Array = measured[index]
    if resampling.shift is None:
        return moved
    # Columns (axis 1) by i, then rows (axis 0) by j: the order does not matter, as both are linear.
    for axis, by, size in ((1, resampling.shift[index][0], shape[2]), (0, resampling.shift[index][1], shape[1])):
        moved = _moved(moved, axis, by, size, outside)
    return moved


def _moved(values: Array, axis: int, by: float, size: int, outside: Any) -> Array:
    """Values moved by ``by`` >= 0 places along an axis, into ``size`` places."""
    whole = int(np.floor(by + _EXACT))
    part = by - whole
    out_shape = list(values.shape)
    out_shape[axis] = size
    count = values.shape[axis]
    out = np.full(out_shape, outside, values.dtype)
    if part <= _EXACT:
        _along(out, axis, whole, whole + count)[...] = values
        return out
    # Place p of the result lies between p - whole - 1 and p - whole of the slice; its first and last lie half outside.
    lower = _along(values, axis, 0, count - 1).astype(np.float64)
    upper = _along(values, axis, 1, count)
    _along(out, axis, whole + 1, whole + count)[...] = _as(upper + part * (lower - upper), out.dtype)
    return out


def _along(values: Array, axis: int, start: int, stop: int) -> Array:
    index: list[slice] = [slice(None)] * values.ndim
    index[axis] = slice(start, stop)
    part: Array = values[tuple(index)]
    return part
