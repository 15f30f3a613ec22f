"""Meshes of other libraries and of numpy, as the commands about models take them; and back.

Coordinates stay as they are, RAS in mm, on both ways: neither pyvista nor trimesh has a frame of its own. (Files are
another matter: those that Slicer writes are LPS.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.extra import need

if TYPE_CHECKING:
    import pyvista
    import trimesh

__all__ = ["cell_indices", "mesh_arguments", "pyvista_mesh", "trimesh_mesh"]

#: Values of a trimesh's vertices or faces that are its colours.
COLORS: Final = "RGBA"


def cell_indices(values: Any, what: str) -> Array | None:
    """Cells as the commands take them: [n, k], or a row that says before each cell how many points it has.

    Args:
        values: such an array; lists of indices, of different lengths as well; None for none.

    Raises:
        ArrayError: what is neither.
    """
    if values is None:
        return None
    if isinstance(values, Sequence) and values and all(np.ndim(cell) == 1 for cell in values):
        sizes = {len(cell) for cell in values}
        if len(sizes) > 1:
            values = np.concatenate([np.concatenate([[len(cell)], np.asarray(cell)]) for cell in values])
    try:
        found = np.asarray(values)
    except ValueError as exc:
        raise ArrayError(f"The {what} are no cells.", expected="indices, [n, k]", got=str(exc)) from None
    if found.size == 0:
        return None
    if found.dtype.kind not in "iu":
        raise ArrayError(f"The {what} are not indices.", expected="integers, [n, k]", got=str(found.dtype))
    return found


def mesh_arguments(mesh: Any, faces: Any = None, lines: Any = None) -> dict[str, Any]:
    """The arguments of ``model.add`` for a mesh.

    Args:
        mesh: points [n, 3], or a pyvista.PolyData (any vtkPolyData), or a trimesh.Trimesh.
        faces, lines: cells, for points only.

    Raises:
        ArgumentError: another kind of mesh, or a mesh with further cells.
        PackageNotInstalledError: a vtkPolyData where there is no pyvista.
    """
    if isinstance(mesh, np.ndarray):
        # Before all: the arrays of those libraries are theirs, too.
        return {"points": _points(mesh), "faces": cell_indices(faces, "faces"), "lines": cell_indices(lines, "lines")}
    kinds = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(mesh).__mro__]
    names = {name for _, name in kinds}
    library = next((package for package, _ in kinds if package in ("pyvista", "trimesh")), None)
    if library is None and "vtkPolyData" in names:
        mesh, library = need("pyvista").wrap(mesh), "pyvista"
    if library is None and not names & {"vtkDataObject"}:
        return {"points": _points(mesh), "faces": cell_indices(faces, "faces"), "lines": cell_indices(lines, "lines")}
    if faces is not None or lines is not None:
        raise ArgumentError(
            "A mesh has its own faces and lines.",
            expected="a mesh, or points with faces",
            got=f"{type(mesh).__name__} and more",
        )
    if library == "pyvista" and "PolyData" in names:
        return _of_pyvista(mesh)
    if library == "trimesh" and "Trimesh" in names:
        return _of_trimesh(mesh)
    hints = {"pyvista": "mesh.extract_surface() makes one", "trimesh": "scene.to_mesh() makes one"}
    raise ArgumentError(
        "This cannot become a model.",
        expected="points [n, 3], a pyvista.PolyData or a trimesh.Trimesh",
        got=f"{type(mesh).__module__}.{type(mesh).__name__}",
        hint=hints.get(library or ""),
    )


def _points(values: Any) -> Array:
    try:
        found = np.asarray(values)
    except ValueError as exc:
        raise ArrayError("These are not points.", expected="numbers of shape (n, 3)", got=str(exc)) from None
    if found.dtype.kind not in "iuf":
        raise ArrayError("These are not points.", expected="numbers of shape (n, 3), or a mesh", got=f"{values!r:.60}")
    return found


def _numeric(arrays: Any) -> dict[str, Array]:
    """Those of some arrays by name that a model can hold."""
    found = {str(name): np.asarray(array) for name, array in arrays.items()}
    return {name: array for name, array in found.items() if array.dtype.kind in "iufb" and array.ndim in (1, 2)}


def _of_pyvista(mesh: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "points": np.asarray(mesh.points),
        "point_data": _numeric(mesh.point_data),
        "cell_data": _numeric(mesh.cell_data),
    }
    for ours, theirs in (("vertices", "verts"), ("lines", "lines"), ("faces", "faces"), ("strips", "strips")):
        cells = np.asarray(getattr(mesh, theirs))
        found[ours] = cells if cells.size else None
    normals = mesh.point_data.active_normals_name
    if normals is not None and normals != "Normals":
        found["normals"] = found["point_data"].pop(normals)
    return found


def _of_trimesh(mesh: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "points": np.asarray(mesh.vertices),
        "faces": cell_indices(np.asarray(mesh.faces), "faces"),
        "point_data": _numeric(mesh.vertex_attributes),
        "cell_data": _numeric(mesh.face_attributes),
    }
    if mesh.visual.kind == "vertex":
        found["point_data"][COLORS] = np.asarray(mesh.visual.vertex_colors, dtype=np.uint8)
    elif mesh.visual.kind == "face":
        found["cell_data"][COLORS] = np.asarray(mesh.visual.face_colors, dtype=np.uint8)
    if "vertex_normals" in getattr(mesh, "_cache", ()):
        # Given, or computed before. Asking for others would compute them, and Slicer does that faster.
        found["normals"] = np.array(mesh.vertex_normals)
    return found


def pyvista_mesh(found: dict[str, Any]) -> pyvista.PolyData:
    """A pyvista.PolyData of what ``model.mesh`` gave. Raises `PackageNotInstalledError`."""
    pv = need("pyvista")
    cells = {
        ours: found[theirs]
        for ours, theirs in (("verts", "vertices"), ("lines", "lines"), ("faces", "faces"), ("strips", "strips"))
        if len(found[theirs])
    }
    mesh: pyvista.PolyData
    if not cells and len(found["points"]):
        # pyvista makes a vertex of each point where it is told of no cells; this model has none.
        mesh = pv.PolyData()
        mesh.points = found["points"]
    else:
        mesh = pv.PolyData(found["points"], **cells)
    for name, array in found["point_data"].items():
        mesh.point_data.set_array(array, name)
    for name, array in found["cell_data"].items():
        mesh.cell_data.set_array(array, name)
    if found["normals"]:
        mesh.point_data.active_normals_name = found["normals"]
    return mesh


def trimesh_mesh(found: dict[str, Any], name: str) -> trimesh.Trimesh:
    """A trimesh.Trimesh of what ``model.triangulated`` gave. Raises `PackageNotInstalledError`."""
    tm = need("trimesh")
    points, cells = dict(found["point_data"]), dict(found["cell_data"])
    normals = points.pop(found["normals"], None) if found["normals"] else None
    colors: dict[str, Array] = {}
    for kind, arrays in (("vertex_colors", points), ("face_colors", cells)):
        array = arrays.get(COLORS)
        if array is not None and array.ndim == 2 and array.shape[1] in (3, 4) and array.dtype == np.uint8:
            colors[kind] = arrays.pop(COLORS)
    if "face_colors" in colors:
        colors["face_colors"] = colors["face_colors"][found["cells"]]
    made: trimesh.Trimesh = tm.Trimesh(
        vertices=found["points"],
        faces=found["triangles"],
        vertex_normals=normals,
        vertex_attributes=points,
        face_attributes={key: array[found["cells"]] for key, array in cells.items()},
        process=False,
        metadata={"name": name, "coordinate_system": "RAS", "units": "mm"},
        **colors,
    )
    return made
