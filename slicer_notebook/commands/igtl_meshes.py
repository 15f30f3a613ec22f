"""POLYDATA of OpenIGTLink, and models. Runs in Slicer, on the main thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from slicer_notebook.errors import ArrayError, OpenIGTLinkError
from slicer_notebook.igtl.contents import Attribute, Cells, PolyData
from slicer_notebook.protocol.values import Array

__all__ = ["fill", "read"]

_MODEL: Final = "vtkMRMLModelNode"
_Kind: TypeAlias = Literal["scalars", "vectors", "normals", "tensors", "rgba"]
#: The lists of cells of both, in the order in which both number their cells.
_LISTS: Final = (("vertices", "Verts"), ("lines", "Lines"), ("polygons", "Polys"), ("strips", "Strips"))
#: Components that an attribute can have at most (u8).
_COMPONENTS: Final = 255


def fill(mesh: PolyData, wanted: Callable[[str], Any], *, dressed: bool = True) -> Any:
    """Bring a surface into its model, in RAS.

    Raises:
        OpenIGTLinkError: points that are no numbers, cells of points that there are not, attributes of another length.
    """
    surface = _surface(mesh)
    node = wanted(_MODEL)
    node.SetAndObservePolyData(surface)
    if dressed and node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def _surface(mesh: PolyData) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    if not np.isfinite(mesh.points).all():
        raise OpenIGTLinkError("A POLYDATA has points that are none.", expected="finite numbers", got="nan or infinity")
    surface = vtkPolyData()
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.points), deep=True))
    surface.SetPoints(points)
    for ours, theirs in _LISTS:
        cells = getattr(mesh, ours)
        if len(cells):
            getattr(surface, f"Set{theirs}")(_cell_array(cells, len(mesh.points), ours))
    counts = {"points": len(mesh.points), "cells": sum(len(getattr(mesh, ours)) for ours, _ in _LISTS)}
    for attribute in mesh.attributes:
        if len(attribute.values) != counts[attribute.of]:
            raise OpenIGTLinkError(
                f"Attribute {attribute.name!r} of a POLYDATA does not fit.",
                expected=f"a value for each of {counts[attribute.of]} {attribute.of}",
                got=str(len(attribute.values)),
            )
        _add(surface.GetPointData() if attribute.of == "points" else surface.GetCellData(), attribute)
    return surface


def _cell_array(cells: Cells, points: int, what: str) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    connectivity = cells.connectivity
    # VTK does not look: an index too large would read what is not ours.
    if len(connectivity) and int(connectivity.max()) >= points:
        raise OpenIGTLinkError(
            f"The {what} of a POLYDATA have a point that there is not.",
            expected=f"0 to {points - 1}",
            got=str(int(connectivity.max())),
        )
    found = vtkCellArray()
    found.SetData(
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(cells.offsets, dtype=np.int64), deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity, dtype=np.int64), deep=True),
    )
    return found


def _add(data: Any, attribute: Attribute) -> None:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    array = numpy_to_vtk(np.ascontiguousarray(attribute.values), deep=True)
    array.SetName(attribute.name)
    components = attribute.values.shape[1]
    data.AddArray(array)
    if attribute.kind == "normals" and components == 3:
        data.SetActiveNormals(attribute.name)
    elif attribute.kind == "vectors" and components == 3:
        data.SetActiveVectors(attribute.name)
    elif attribute.kind == "tensors" and components == 9:
        data.SetActiveTensors(attribute.name)
    elif attribute.kind == "rgba" or data.GetScalars() is None:
        data.SetActiveScalars(attribute.name)


def read(node: Any) -> PolyData:
    """A model's surface, in its own coordinates (RAS), as float32.

    Raises:
        ArrayError: it has no surface (but perhaps a mesh of volume cells).
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    surface = node.GetPolyData()
    if surface is None or surface.GetPoints() is None:
        raise ArrayError(f"Model {node.GetName()!r} has no surface.", expected="a model with points", got="none")
    cells = {ours: _cells(getattr(surface, f"Get{theirs}")()) for ours, theirs in _LISTS}
    points = np.array(vtk_to_numpy(surface.GetPoints().GetData()), dtype=np.float32)
    attributes = (*_attributes(surface.GetPointData(), "points"), *_attributes(surface.GetCellData(), "cells"))
    return PolyData(points, attributes=attributes, **cells)


def _cells(cells: Any) -> Cells:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    count = cells.GetNumberOfCells() if cells is not None else 0
    if not count:
        return Cells.none()
    offsets: Array = vtk_to_numpy(cells.GetOffsetsArray()).astype(np.int64)
    connectivity: Array = vtk_to_numpy(cells.GetConnectivityArray())
    flat = np.insert(connectivity.astype(np.uint32), offsets[:-1], np.diff(offsets).astype(np.uint32))
    return Cells(flat, count)


def _attributes(data: Any, of: Literal["points", "cells"]) -> Iterator[Attribute]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    for number in range(data.GetNumberOfArrays()):
        array = data.GetArray(number)  # None for text
        if array is None or not 1 <= array.GetNumberOfComponents() <= _COMPONENTS:
            continue
        values = np.array(vtk_to_numpy(array), dtype=np.float32).reshape(-1, array.GetNumberOfComponents())
        yield Attribute(array.GetName() or f"Array {number + 1}", values, _kind(data, array), of)


def _kind(data: Any, array: Any) -> _Kind:
    components = array.GetNumberOfComponents()
    if array is data.GetNormals():
        return "normals"
    if array is data.GetVectors():
        return "vectors"
    if array is data.GetTensors() and components == 9:
        return "tensors"
    if array is data.GetScalars() and components == 4:
        return "rgba"
    return "scalars"
