"""Surfaces between numpy and VTK: points, cells, values on them, measures. Runs in Slicer, on the main thread.

Cells are integers, indices into the points: [n, k] for cells of k points each, or one row that says before each cell
how many points it has (``[3, 0, 1, 2, 4, 2, 1, 5, 6]``), as in VTK's older files and in pyvista's ``faces``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array

__all__ = [
    "CELLS",
    "balanced",
    "cells_of",
    "checked_color",
    "checked_points",
    "compute_normals",
    "data_arrays",
    "measured",
    "set_array",
    "surface",
    "triangulated",
    "value_array",
]

#: Lists of cells of a vtkPolyData, in the order in which it numbers its cells: our name, VTK's, points of the smallest.
CELLS: Final = (("vertices", "Verts", 1), ("lines", "Lines", 2), ("faces", "Polys", 3), ("strips", "Strips", 3))
#: dtypes that VTK has a scalar type for (vtkType.h).
_VTK_DTYPES: Final = frozenset(np.dtype(name) for name in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))
_TRIANGLE: Final = 3


def checked_color(value: Any, what: str = "colour") -> tuple[float, float, float]:
    """(red, green, blue), each 0 to 1. Raises `ArgumentError`."""
    try:
        red, green, blue = (float(part) for part in value)
    except (TypeError, ValueError):
        red = green = blue = float("nan")
    if not all(0 <= part <= 1 for part in (red, green, blue)):
        raise ArgumentError(f"The {what} does not fit.", expected="(red, green, blue), each 0 to 1", got=repr(value))
    return red, green, blue


# -- from numpy to VTK ----------------------------------------------------------------------------------------------


def checked_points(values: Any, count: int | None = None) -> Array:
    """Points as VTK holds them: [n, 3] float32 as it is, everything else as float64.

    Args:
        count: how many there must be.

    Raises:
        ArrayError: another shape or number, or numbers that are not finite.
    """
    array = np.asarray(values)
    array = array.reshape(0, 3) if array.size == 0 else array
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise ArrayError(
            "These are not points.",
            expected="finite numbers of shape (n, 3), RAS, mm",
            got=f"shape {array.shape}, {array.dtype}",
        )
    if count is not None and len(array) != count:
        raise ArrayError(
            "The number of points is another than before.",
            expected=f"({count}, 3)",
            got=str(array.shape),
            hint="set_mesh gives a model new points together with new faces",
        )
    return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64)


def surface(points: Any, cells: Mapping[str, Any]) -> Any:
    """A vtkPolyData of points, [n, 3], and cells by `CELLS`' names; None or an empty list for none of a kind.

    Raises:
        ArrayError: no points or cells, or cells of points that there are not.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    array = checked_points(points)
    mesh = vtkPolyData()
    vtk_points = vtkPoints()
    vtk_points.SetData(numpy_to_vtk(array, deep=True))
    mesh.SetPoints(vtk_points)
    for ours, theirs, least in CELLS:
        given = cells.get(ours)
        if given is not None and np.size(given):
            getattr(mesh, f"Set{theirs}")(_cell_array(given, len(array), ours, least))
    return mesh


def _cell_array(values: Any, points: int, what: str, least: int) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ArrayError(f"The {what} are not indices.", expected="integers", got=str(array.dtype))
    array = np.ascontiguousarray(array, dtype=np.int64)
    if array.ndim == 2 and array.shape[1] >= least:
        offsets = np.arange(0, array.size + 1, array.shape[1], dtype=np.int64)
        connectivity = array.reshape(-1)
    elif array.ndim == 1:
        offsets, connectivity = _unpadded(array, what, least)
    else:
        raise ArrayError(
            f"The {what} do not have the shape of cells.",
            expected=f"(n, k) with k from {least}, or a row that begins each cell with its number of points",
            got=f"shape {array.shape}",
        )
    # VTK does not look: an index too large would read what is not ours.
    low, high = int(connectivity.min()), int(connectivity.max())
    if low < 0 or high >= points:
        raise ArrayError(
            f"The {what} have a point that there is not.",
            expected=f"0 to {points - 1}" if points else "no cells where there are no points",
            got=str(low if low < 0 else high),
        )
    cells = vtkCellArray()
    cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True))
    return cells


def _unpadded(row: Array, what: str, least: int) -> tuple[Array, Array]:
    """(offsets, connectivity) of a row that begins each cell with its number of points."""
    size = int(row[0])
    if size >= least and len(row) % (size + 1) == 0:
        table = row.reshape(-1, size + 1)
        if (table[:, 0] == size).all():
            return np.arange(0, len(table) * size + 1, size, dtype=np.int64), np.ascontiguousarray(
                table[:, 1:]
            ).reshape(-1)
    values = row.tolist()
    starts = []
    at = 0
    while at < len(values):
        size = values[at]
        if size < least or at + size >= len(values):
            raise ArrayError(
                f"The {what} are not a row of cells.",
                expected=f"before each cell its number of points, at least {least}, then so many indices",
                got=f"{size} at place {at} of {len(values)}",
            )
        starts.append(at)
        at += size + 1
    is_index = np.ones(len(row), dtype=bool)
    is_index[starts] = False
    return np.concatenate([[0], np.cumsum(row[starts])]), np.ascontiguousarray(row[is_index])


def value_array(name: str, values: Any, count: int, what: str) -> Any:
    """A VTK array of that name with a value, or a row of components, for each of ``count`` points or cells.

    Truth values become 0 and 1 (uint8), for VTK's meshes have none.

    Raises:
        ArrayError: no name, another number of values, or a dtype that VTK has not.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk

    if not name:
        raise ArrayError("Values on a model need a name.", expected="text", got="''")
    array = np.asarray(values)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    native = array.dtype.newbyteorder("=")
    if native not in _VTK_DTYPES:
        raise ArrayError(
            f"The values {name!r} have a dtype that a model cannot hold.",
            expected=", ".join(sorted(dtype.name for dtype in _VTK_DTYPES)) + " or bool",
            got=str(array.dtype),
        )
    if array.ndim not in (1, 2) or len(array) != count or 0 in array.shape[1:]:
        raise ArrayError(
            f"The values {name!r} do not fit the model.",
            expected=f"({count},) or ({count}, components): one for each of the {what}",
            got=f"shape {array.shape}",
        )
    found = numpy_to_vtk(np.ascontiguousarray(array, dtype=native), deep=True)
    found.SetName(name)
    return found


def set_array(mesh: Any, where: str, name: str, values: Any) -> None:
    """Put values on a mesh's points or cells ("points", "cells"); those of the name before go. Raises `ArrayError`."""
    if where == "points":
        data, count = mesh.GetPointData(), mesh.GetNumberOfPoints()
    else:
        data, count = mesh.GetCellData(), mesh.GetNumberOfCells()
    data.AddArray(value_array(name, values, count, where))


def compute_normals(mesh: Any) -> None:
    """Give a mesh's points normals, by its faces; points and faces stay as they are. Nothing without faces."""
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals, vtkTriangleMeshPointNormals

    if mesh.GetPolys().GetNumberOfCells() + mesh.GetStrips().GetNumberOfCells() == 0:
        return
    only_triangles = (
        mesh.GetPolys().IsHomogeneous() == _TRIANGLE and mesh.GetPolys().GetNumberOfCells() == mesh.GetNumberOfCells()
    )
    if only_triangles:
        # A tenth of the time of the general one (1,000,000 triangles: 0.03 s).
        filter_: Any = vtkTriangleMeshPointNormals()
    else:
        filter_ = vtkPolyDataNormals()
        filter_.SplittingOff()
        filter_.ConsistencyOff()
    filter_.SetInputData(mesh)
    filter_.Update()
    normals = filter_.GetOutput().GetPointData().GetNormals()
    if normals is not None and normals.GetNumberOfTuples() == mesh.GetNumberOfPoints():
        normals.SetName("Normals")
        mesh.GetPointData().SetNormals(normals)


# -- from VTK to numpy ----------------------------------------------------------------------------------------------


def cells_of(mesh: Any, theirs: str) -> Array:
    """Cells of a list ("Polys"...) as a row that begins each cell with its number of points, int64."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkIdTypeArray

    cells = getattr(mesh, f"Get{theirs}")()
    if cells is None or cells.GetNumberOfCells() == 0:
        return np.empty(0, dtype=np.int64)
    row = vtkIdTypeArray()
    cells.ExportLegacyFormat(row)
    found: Array = vtk_to_numpy(row)
    return found.astype(np.int64, copy=False)


def triangulated(mesh: Any) -> tuple[Array, Array]:
    """Faces and strips cut into triangles: (int64 [n, 3], indices into the points; int64 [n], the cell of each)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    before = mesh.GetVerts().GetNumberOfCells() + mesh.GetLines().GetNumberOfCells()
    faces = mesh.GetPolys()
    if mesh.GetStrips().GetNumberOfCells() == 0 and (
        faces.GetNumberOfCells() == 0 or faces.IsHomogeneous() == _TRIANGLE
    ):
        count = faces.GetNumberOfCells()
        indices: Array = vtk_to_numpy(faces.GetConnectivityArray()) if count else np.empty(0, dtype=np.int64)
        return indices.astype(np.int64, copy=False).reshape(-1, 3), np.arange(before, before + count)
    numbered = vtkPolyData()
    numbered.CopyStructure(mesh)
    numbers = numpy_to_vtk(np.arange(mesh.GetNumberOfCells(), dtype=np.int64), deep=True)
    numbers.SetName("cell")
    numbered.GetCellData().AddArray(numbers)
    filter_ = vtkTriangleFilter()
    filter_.SetInputData(numbered)
    filter_.PassLinesOff()
    filter_.PassVertsOff()
    filter_.Update()
    done = filter_.GetOutput()
    connectivity: Array = vtk_to_numpy(done.GetPolys().GetConnectivityArray())
    cells: Array = vtk_to_numpy(done.GetCellData().GetArray("cell"))
    return connectivity.astype(np.int64).reshape(-1, 3), np.array(cells)


def data_arrays(data: Any) -> dict[str, Array]:
    """The numeric arrays of a vtkDataSetAttributes by name, [n] or [n, components], live; text is left out."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = {}
    for number in range(data.GetNumberOfArrays()):
        array = data.GetArray(number)  # None for text
        if array is not None:
            found[array.GetName() or f"Array {number + 1}"] = vtk_to_numpy(array)
    return found


# -- measures -------------------------------------------------------------------------------------------------------


def balanced(triangles: Array, points: int) -> bool:
    """Whether each edge is gone along as often in one direction as in the other: the triangles enclose a volume."""
    if len(triangles) == 0:
        return False
    start = np.concatenate([triangles[:, 0], triangles[:, 1], triangles[:, 2]])
    end = np.concatenate([triangles[:, 1], triangles[:, 2], triangles[:, 0]])
    real = start != end
    start, end = start[real], end[real]
    there = start * points + end
    back = end * points + start
    there.sort()
    back.sort()
    return bool(np.array_equal(there, back))


def measured(points: Array, triangles: Array) -> tuple[float, float, bool]:
    """(area, mm²; volume, mm³; whether the surface is closed) of triangles; the volume is nan where it is open.

    The volume is the sum of the tetrahedra between the triangles and one point (the divergence theorem), exact for what
    the triangles enclose; a hollow inside counts as such where its triangles look into it.
    """
    if len(triangles) == 0:
        return 0.0, float("nan"), False
    own = np.asarray(points, dtype=np.float64)
    # Beside the origin, large coordinates would cost digits.
    own = own - own[triangles[0, 0]]
    first = own[triangles[:, 0]]
    one = own[triangles[:, 1]] - first
    two = own[triangles[:, 2]] - first
    x = one[:, 1] * two[:, 2] - one[:, 2] * two[:, 1]
    y = one[:, 2] * two[:, 0] - one[:, 0] * two[:, 2]
    z = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    area = float(np.sqrt(x * x + y * y + z * z).sum() / 2)
    closed = balanced(triangles, len(own)) or balanced(*_merged(own, triangles))
    if not closed:
        return area, float("nan"), False
    return area, abs(float(first[:, 0] @ x + first[:, 1] @ y + first[:, 2] @ z)) / 6, True


def _merged(points: Array, triangles: Array) -> tuple[Array, int]:
    """The triangles of points where those at one place are one: files often have some for each triangle."""
    unique, number = np.unique(points, axis=0, return_inverse=True)
    return number.reshape(-1)[triangles], len(unique)
