"""Voxels, points and matrices between VTK and numpy. Runs in Slicer, on the main thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array

__all__ = ["adopt_voxels", "matrix_from_array", "matrix_to_array", "new_image", "voxels"]

#: numpy kinds and sizes that VTK has a scalar type for (vtkType.h).
_VTK_DTYPES = {np.dtype(t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")}


def voxels(node: Any) -> Array:
    """A live view of a volume node's voxels, [k, j, i] or [k, j, i, component]; no copy.

    Raises:
        ArrayError: the volume has no voxels.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None:
        raise ArrayError(
            f"Volume {node.GetName()!r} has no voxels.",
            expected="a volume with image data",
            got="none",
            hint="set v.array = ... first",
        )
    i, j, k = image.GetDimensions()
    components = scalars.GetNumberOfComponents()
    array: Array = vtk_to_numpy(scalars)
    return array.reshape((k, j, i) if components == 1 else (k, j, i, components))


def prepare(array: Array, *, components: int | None = None) -> Array:
    """``array`` as VTK can hold it: three axes (or four: components), a scalar type of VTK, native order, contiguous.

    Args:
        components: number of components that the node needs; None takes what comes.

    Raises:
        ArrayError: the shape or dtype does not fit.
    """
    shapes = (
        "(k, j, i)"
        if components == 1
        else "(k, j, i, components)"
        if components
        else "(k, j, i) or (k, j, i, components)"
    )
    if array.ndim not in (3, 4) or 0 in array.shape or (components == 1 and array.ndim == 4):
        raise ArrayError(
            "The array does not have the shape of a volume.",
            expected=f"{shapes}, no axis empty",
            got=f"shape {array.shape}",
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    native = array.dtype.newbyteorder("=")
    if native not in _VTK_DTYPES:
        raise ArrayError(
            "A volume cannot hold this dtype.",
            expected=", ".join(sorted(t.name for t in _VTK_DTYPES)) + " or bool",
            got=str(array.dtype),
            hint="convert it first, for example with array.astype(np.float32)",
        )
    return np.ascontiguousarray(array, dtype=native)


def _to_vtk(array: Array) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    flat = array.reshape(-1) if array.ndim == 3 else array.reshape(-1, array.shape[3])
    # deep=False: VTK uses the array's own memory and keeps the array alive.
    return numpy_to_vtk(flat, deep=False)


def new_image(array: Array) -> Any:
    """A vtkImageData of spacing 1 over the memory of ``array`` (as from `prepare`); no copy."""
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    k, j, i = array.shape[:3]
    image.SetDimensions(i, j, k)
    image.GetPointData().SetScalars(_to_vtk(array))
    return image


def adopt_voxels(node: Any, array: Array) -> None:
    """Make ``array`` (as from `prepare`) the voxels of ``node`` without a copy; views follow.

    The memory becomes the volume's own: writing to ``array`` afterwards changes the volume. A numpy view that someone
    took of the former voxels keeps those.
    """
    k, j, i = array.shape[:3]
    image = node.GetImageData()
    if image is not None and image.GetDimensions() == (i, j, k):
        image.GetPointData().SetScalars(_to_vtk(array))
        image.Modified()
        node.Modified()
    else:
        node.SetAndObserveImageData(new_image(array))


def matrix_to_array(matrix: Any) -> Array:
    """4x4 float64 of a vtkMatrix4x4."""
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)], dtype=np.float64)


def matrix_from_array(array: Any, what: str = "affine") -> Any:
    """A vtkMatrix4x4 of a 4x4 array.

    Raises:
        ArrayError: not 4x4, not finite, singular, or a last row other than 0 0 0 1.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    try:
        values = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ArrayError(f"The {what} is not a matrix.", expected="4x4 numbers", got=str(exc)) from None
    if values.shape != (4, 4):
        raise ArrayError(f"The {what} has the wrong shape.", expected="(4, 4)", got=str(values.shape))
    if not np.isfinite(values).all() or not np.allclose(values[3], (0, 0, 0, 1)):
        raise ArrayError(
            f"The {what} is not affine.", expected="finite values, last row 0 0 0 1", got=str(values.tolist())
        )
    if abs(np.linalg.det(values[:3, :3])) < 1e-12:
        raise ArrayError(f"The {what} is singular.", expected="three independent columns", got=str(values.tolist()))
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(values.reshape(-1).tolist())
    return matrix
