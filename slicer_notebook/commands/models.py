"""Commands about models: surfaces, the values on them, their files. How they are shown: `model_display`."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.mesh_pictures import picture
from slicer_notebook.commands.meshes import (
    CELLS,
    cells_of,
    checked_color,
    checked_points,
    compute_normals,
    data_arrays,
    measured,
    set_array,
    surface,
    triangulated,
    value_array,
)
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef

MODEL: Final = "vtkMRMLModelNode"

Where = Literal["points", "cells"]
Normals = Literal["auto", "compute", "keep", "none"]
"""``auto``: kept where they fit the points, else computed; ``keep``: as they are; ``none``: taken away."""
System = Literal["LPS", "RAS"]


# -- reading --------------------------------------------------------------------------------------------------------


@command("model.points", journal=False)
def model_points(host: Host, node: NodeLike, world: bool = False) -> Array:
    """The model's points, float [n, 3], RAS, mm, in the node's own coordinates.

    Args:
        world: in world coordinates instead, the transforms above it applied.

    Raises:
        ArrayError: the model has no points.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found: Array = vtk_to_numpy(_mesh(host, node, world).GetPoints().GetData())
    return found


@command("model.triangles", journal=False)
def model_triangles(host: Host, node: NodeLike) -> Array:
    """The surface's triangles, int64 [n, 3], indices into ``model.points``.

    Strips and polygons are cut into triangles.
    """
    return triangulated(_surface(host, node))[0]


@command("model.cells", journal=False)
def model_cells(host: Host, node: NodeLike, kind: Literal["vertices", "lines", "faces", "strips"]) -> Array:
    """Cells as they are: an int64 row that says before each cell how many points it has; indices into the points.

    ``[3, 0, 1, 2, 4, 2, 1, 5, 6]`` are a triangle and a quadrilateral.
    """
    theirs = next(theirs for ours, theirs, _ in CELLS if ours == kind)
    return cells_of(_surface(host, node), theirs)


@command("model.mesh", journal=False)
def model_mesh(host: Host, node: NodeLike, world: bool = False) -> dict[str, Any]:
    """All of a surface: ``points``, ``vertices``, ``lines``, ``faces``, ``strips`` (as ``model.cells``),
    ``point_data`` and ``cell_data`` (arrays by name), ``normals`` (name of the one that is, or "").

    Args:
        world: in world coordinates, the transforms above it applied, to its normals and vectors as well.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    mesh = _surface(host, node, world)
    normals = mesh.GetPointData().GetNormals()
    return {
        "points": vtk_to_numpy(mesh.GetPoints().GetData()),
        **{ours: cells_of(mesh, theirs) for ours, theirs, _ in CELLS},
        "point_data": data_arrays(mesh.GetPointData()),
        "cell_data": data_arrays(mesh.GetCellData()),
        "normals": (normals.GetName() or "") if normals is not None else "",
    }


@command("model.triangulated", journal=False)
def model_triangulated(host: Host, node: NodeLike, world: bool = False) -> dict[str, Any]:
    """A surface of triangles only: ``points``, ``triangles`` [n, 3], ``cells`` [n] (the cell that each is a part of),
    ``point_data``, ``cell_data``, ``normals`` as in ``model.mesh``.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    mesh = _surface(host, node, world)
    triangles, cells = triangulated(mesh)
    normals = mesh.GetPointData().GetNormals()
    return {
        "points": vtk_to_numpy(mesh.GetPoints().GetData()),
        "triangles": triangles,
        "cells": cells,
        "point_data": data_arrays(mesh.GetPointData()),
        "cell_data": data_arrays(mesh.GetCellData()),
        "normals": (normals.GetName() or "") if normals is not None else "",
    }


@command("model.measure", journal=False)
def measure(host: Host, node: NodeLike, world: bool = False) -> dict[str, Any]:
    """``area`` (mm²), ``volume`` (mm³; nan where the surface is open), ``closed``, ``bounds`` [2, 3] (RAS, mm: lowest,
    highest corner).

    Closed: each edge is gone along as often in one direction as in the other, points at one place taken as one.

    Args:
        world: of the model where it is in the world, the transforms above it applied.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    mesh = _surface(host, node, world)
    area, volume, closed = measured(vtk_to_numpy(mesh.GetPoints().GetData()), triangulated(mesh)[0])
    return {"area": area, "volume": volume, "closed": closed, "bounds": _bounds(mesh)}


@command("model.bounds", journal=False)
def bounds(host: Host, node: NodeLike, world: bool = False) -> Array:
    """The lowest and the highest corner, float64 [2, 3], RAS, mm."""
    return _bounds(_mesh(host, node, world))


def _bounds(mesh: Any) -> Array:
    return np.array(mesh.GetBounds()).reshape(3, 2).T.copy()


def _mesh(host: Host, node: NodeLike, world: bool = False) -> Any:
    """The mesh of a model, of faces or of volume cells; with ``world`` a copy in world coordinates."""
    found = host.node(node, MODEL)
    mesh = found.GetMesh()
    if mesh is None or mesh.GetPoints() is None:
        raise ArrayError(f"Model {found.GetName()!r} has no surface.", expected="a model with points", got="none")
    parent = found.GetParentTransformNode()
    if not world or parent is None:
        return mesh
    from vtkmodules.vtkCommonTransforms import vtkGeneralTransform
    from vtkmodules.vtkFiltersGeneral import vtkTransformFilter

    transform = vtkGeneralTransform()
    parent.GetTransformToWorld(transform)
    moved = vtkTransformFilter()
    moved.SetInputData(mesh)
    moved.SetTransform(transform)
    moved.Update()
    return moved.GetOutput()


def _surface(host: Host, node: NodeLike, world: bool = False) -> Any:
    mesh = _mesh(host, node, world)
    if not mesh.IsA("vtkPolyData"):
        raise ArrayError(
            f"Model {host.node(node).GetName()!r} has no surface.",
            expected="a surface (vtkPolyData)",
            got=f"volume cells ({mesh.GetClassName()})",
            hint="points and values on it can be had; vtkGeometryFilter in Slicer makes its surface",
        )
    return mesh


# -- writing --------------------------------------------------------------------------------------------------------


@command("model.add")
def add(
    host: Host,
    points: Any,
    faces: Any = None,
    lines: Any = None,
    vertices: Any = None,
    strips: Any = None,
    point_data: dict[str, Any] | None = None,
    cell_data: dict[str, Any] | None = None,
    normals: Any = "auto",
    name: str = "Model",
    color: Any = None,
    show: bool = True,
) -> NodeRef:
    """A new model.

    Args:
        points: [n, 3], RAS, mm.
        faces: triangles [n, 3], polygons [n, k], or a row as in ``model.cells``; lines and vertices likewise.
        strips: triangle strips, a row as in ``model.cells``.
        point_data: values for each point by name, [n] or [n, components].
        cell_data: values for each cell (vertices, then lines, faces, strips).
        normals: [n, 3], or "auto" (computed where there are faces and no normals among the point data), "compute",
            "keep", "none".
        name: made unique in the scene.
        color: (red, green, blue), 0 to 1.
        show: in the 3-D views.

    Raises:
        ArrayError: arrays that are no mesh, or do not fit each other.
        ArgumentError: a colour or word that is none.
    """
    rgb = None if color is None else checked_color(color)
    mesh = _built(points, (faces, lines, vertices, strips), point_data, cell_data, normals)
    scene = host.slicer.mrmlScene
    node = scene.AddNewNodeByClass(MODEL, scene.GenerateUniqueName(name))
    node.SetAndObservePolyData(mesh)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetVisibility(show)
    if rgb is not None:
        node.GetDisplayNode().SetColor(*rgb)
    return host.ref(node)


@command("model.set_mesh")
def set_mesh(
    host: Host,
    node: NodeLike,
    points: Any,
    faces: Any = None,
    lines: Any = None,
    vertices: Any = None,
    strips: Any = None,
    point_data: dict[str, Any] | None = None,
    cell_data: dict[str, Any] | None = None,
    normals: Any = "auto",
) -> None:
    """Give a model another mesh; it is shown as before. Arguments and errors as of ``model.add``."""
    found = host.node(node, MODEL)
    found.SetAndObservePolyData(_built(points, (faces, lines, vertices, strips), point_data, cell_data, normals))


def _built(
    points: Any,
    cells: tuple[Any, Any, Any, Any],
    point_data: dict[str, Any] | None,
    cell_data: dict[str, Any] | None,
    normals: Any,
) -> Any:
    mesh = surface(points, dict(zip(("faces", "lines", "vertices", "strips"), cells, strict=True)))
    for name, values in (point_data or {}).items():
        set_array(mesh, "points", name, values)
    for name, values in (cell_data or {}).items():
        set_array(mesh, "cells", name, values)
    given = mesh.GetPointData().GetArray("Normals")
    if given is not None and given.GetNumberOfComponents() == 3:
        mesh.GetPointData().SetActiveNormals("Normals")
    _apply_normals(mesh, normals)
    return mesh


def _apply_normals(mesh: Any, normals: Any, *, moved: bool = False) -> None:
    """Do what ``normals`` says, an array or a word; ``moved``: the points are others than those of the normals."""
    data = mesh.GetPointData()
    if not isinstance(normals, str):
        array = value_array("Normals", normals, mesh.GetNumberOfPoints(), "points")
        if array.GetNumberOfComponents() != 3:
            raise ArrayError("These are not normals.", expected="[n, 3]", got=str(np.shape(normals)))
        data.SetNormals(array)
    elif normals not in ("auto", "compute", "keep", "none"):
        raise ArgumentError(
            "The normals do not fit.", expected='"auto", "compute", "keep", "none" or [n, 3]', got=repr(normals)
        )
    elif normals == "none":
        if data.GetNormals() is not None:
            data.RemoveArray(data.GetNormals().GetName())
    elif normals == "compute" or (normals == "auto" and (moved == (data.GetNormals() is not None))):
        # New points need new normals where there were some; a new mesh, where there are none.
        compute_normals(mesh)


@command("model.set_points")
def set_points(host: Host, node: NodeLike, points: Array, normals: Any = "auto") -> None:
    """Move the points, [n, 3], RAS, mm, in the node's own coordinates; cells and values on them stay.

    Args:
        normals: "auto" and "compute" compute them anew ("auto" only where there were some), "keep" leaves them, "none"
            takes them away; or [n, 3].

    Raises:
        ArrayError: another number of points than before; ``model.set_mesh`` changes all.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints

    mesh = _mesh(host, node)
    moved = vtkPoints()
    moved.SetData(numpy_to_vtk(checked_points(points, mesh.GetNumberOfPoints()), deep=True))
    mesh.SetPoints(moved)
    if mesh.IsA("vtkPolyData"):
        _apply_normals(mesh, normals, moved=True)
    mesh.Modified()


@command("model.set_normals")
def set_normals(host: Host, node: NodeLike, normals: Any = "compute") -> None:
    """Normals of the points: "compute" by the faces (points and faces stay as they are), "none", or [n, 3]."""
    mesh = _surface(host, node)
    _apply_normals(mesh, normals)
    mesh.Modified()


# -- values on points and cells -------------------------------------------------------------------------------------


@command("model.arrays", journal=False)
def arrays(host: Host, node: NodeLike) -> list[dict[str, Any]]:
    """The numeric arrays on a model: ``of`` ("points" or "cells"), ``name``, ``components``, ``dtype``."""
    mesh = _mesh(host, node)
    return [
        {
            "of": of,
            "name": name,
            "components": 1 if array.ndim == 1 else array.shape[1],
            "dtype": array.dtype.name,
        }
        for of, data in (("points", mesh.GetPointData()), ("cells", mesh.GetCellData()))
        for name, array in data_arrays(data).items()
    ]


@command("model.array", journal=False)
def array(host: Host, node: NodeLike, of: Where, name: str) -> Array:
    """Values on the points or cells, [n] or [n, components].

    Raises:
        NodeNotFoundError: none of that name.
    """
    mesh = _mesh(host, node)
    found = data_arrays(mesh.GetPointData() if of == "points" else mesh.GetCellData())
    if name not in found:
        raise no_array(host.node(node), of, name, list(found))
    return found[name]


def no_array(node: Any, of: str, name: str, known: list[str]) -> NodeNotFoundError:
    """The error about values that are not there."""
    return NodeNotFoundError(
        f"Model {node.GetName()!r} has no values {name!r} on its {of}.",
        expected=", ".join(known) or "none are there",
        got=repr(name),
    )


@command("model.set_array")
def set_values(host: Host, node: NodeLike, of: Where, name: str, values: Array) -> None:
    """Put values on the points or cells, [n] or [n, components]; those of the name before go.

    Truth values become uint8.

    Raises:
        ArrayError: another number than of points or cells, or a dtype that VTK has not.
    """
    mesh = _mesh(host, node)
    set_array(mesh, of, name, values)
    mesh.Modified()


@command("model.remove_array")
def remove_array(host: Host, node: NodeLike, of: Where, name: str) -> None:
    """Take values away. Raises `NodeNotFoundError`."""
    mesh = _mesh(host, node)
    data = mesh.GetPointData() if of == "points" else mesh.GetCellData()
    known = data_arrays(data)
    if name not in known:
        raise no_array(host.node(node), of, name, list(known))
    data.RemoveArray(name)
    mesh.Modified()


# -- files and the card ---------------------------------------------------------------------------------------------


@command("model.save")
def save(host: Host, node: NodeLike, path: str, coordinate_system: System = "LPS") -> None:
    """Write a model in its own coordinates: ``.vtk``, ``.vtp``, ``.stl``, ``.ply``, ``.obj``.

    Args:
        coordinate_system: of the file. Slicer's is LPS, and what it writes says so in the file, where the format has a
            place for it (vtkMRMLModelStorageNode).

    Raises:
        PathNotFoundError: no such folder.
        FileFormatError: another extension.
    """
    found = host.node(node, MODEL)
    if found.GetStorageNode() is None and not found.AddDefaultStorageNode():
        raise ArgumentError(f"Model {found.GetName()!r} cannot be written.", expected="a model with a mesh")
    storage = found.GetStorageNode()
    storage.SetCoordinateSystem(storage.GetCoordinateSystemFromString(coordinate_system))
    host.save(found, path, {})


#: Names of values on a model that its card shows at most.
_SHOWN: Final = 8
#: Cells of the largest surface that a card has a picture of: a tenth of a second for a million.
_PICTURED: Final = 3_000_000


@command("model.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a model's inline card shows: ``name``, ``points``, ``cells`` by kind, ``bounds``, ``arrays``, ``color``,
    ``visible``, ``transform``, ``png`` (its surface from before the patient, in its own frame, or b"").
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = host.node(node, MODEL)
    mesh, display, parent = found.GetMesh(), found.GetDisplayNode(), found.GetParentTransformNode()
    kinds: dict[str, int] = {}
    names: list[str] = []
    if mesh is not None:
        names = [*data_arrays(mesh.GetPointData()), *data_arrays(mesh.GetCellData())]
        if mesh.IsA("vtkPolyData"):
            counts = {ours: getattr(mesh, f"Get{theirs}")().GetNumberOfCells() for ours, theirs, _ in CELLS}
            kinds = {kind: count for kind, count in counts.items() if count}
        else:
            kinds = {"volume cells": mesh.GetNumberOfCells()}
    points = mesh.GetNumberOfPoints() if mesh is not None else 0
    color = display.GetColor() if display is not None else (0.9, 0.9, 0.9)
    png = b""
    if points and mesh.IsA("vtkPolyData") and mesh.GetNumberOfCells() <= _PICTURED:
        png = picture(vtk_to_numpy(mesh.GetPoints().GetData()), triangulated(mesh)[0], color)
    return {
        "name": found.GetName() or "",
        "points": points,
        "cells": kinds,
        "bounds": _bounds(mesh).tolist() if mesh is not None and points else None,
        "arrays": names[:_SHOWN],
        "more_arrays": max(0, len(names) - _SHOWN),
        "color": display.GetColor() if display is not None else None,
        "visible": bool(display is not None and display.GetVisibility()),
        "transform": parent.GetName() if parent is not None else "",
        "png": png,
    }
