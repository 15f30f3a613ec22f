"""A model of the scene: a surface, the values on it, how it is shown."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from slicer_notebook.errors import NodeNotFoundError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.cards import Card
from slicer_notebook.session.handles import Node
from slicer_notebook.session.meshes import mesh_arguments, pyvista_mesh, trimesh_mesh

if TYPE_CHECKING:
    import pyvista
    import trimesh

__all__ = ["Measures", "Model", "ModelData"]

Normals = Literal["auto", "compute", "keep", "none"]


class Measures(NamedTuple):
    """What a surface measures.

    Attributes:
        area: mm².
        volume: mm³ that it encloses; nan where it is open.
        closed: each edge is gone along as often in one direction as in the other, points at one place taken as one.
        bounds: float64 [2, 3], RAS, mm: lowest and highest corner.
    """

    area: float
    volume: float
    closed: bool
    bounds: Array


class ModelData(MutableMapping[str, Array]):
    """The numeric values on a model's points or cells by name: [n] or [n, components] each.

    Reading gives a copy of your own; assigning puts values into the scene. Raises `NodeNotFoundError` (a
    LookupError) for a name that there is not, `ArrayError` for what does not fit.
    """

    def __init__(self, model: Model, of: Literal["points", "cells"]) -> None:
        self._model = model
        self._of = of

    def _arrays(self) -> list[dict[str, Any]]:
        found = self._model._session.call("model.arrays", node=self._model)
        return [each for each in found if each["of"] == self._of]

    def __getitem__(self, name: str) -> Array:
        found: Array = self._model._session.call("model.array", node=self._model, of=self._of, name=name)
        return found

    def __setitem__(self, name: str, values: Any) -> None:
        self._model._session.call(
            "model.set_array", node=self._model, of=self._of, name=name, values=np.asanyarray(values)
        )

    def __delitem__(self, name: str) -> None:
        self._model._session.call("model.remove_array", node=self._model, of=self._of, name=name)

    def __iter__(self) -> Iterator[str]:
        return iter([each["name"] for each in self._arrays()])

    def __len__(self) -> int:
        return len(self._arrays())

    def __contains__(self, name: object) -> bool:
        return any(each["name"] == name for each in self._arrays())

    def get(self, name: str, default: Any = None) -> Any:
        """The values of that name, or ``default``."""
        try:
            return self[name]
        except NodeNotFoundError:
            return default

    def __repr__(self) -> str:
        names = ", ".join(
            f"{each['name']!r} ({each['dtype']}" + (f" x {each['components']})" if each["components"] > 1 else ")")
            for each in self._arrays()
        )
        return f"<values on the {self._of} of {self._model.name!r}: {names or 'none'}>"


class Model(Node):
    """A surface (or lines, or points) of the scene.

    Coordinates are RAS, mm, in the model's own frame; where it is under a transform, ``world`` says where it is.
    """

    mrml_class = "vtkMRMLModelNode"
    _summary = "model.summary"

    # -- the mesh ------------------------------------------------------------------------------------------------

    @property
    def points(self) -> Array:
        """[n, 3], RAS, mm, in the model's own frame: a copy of your own.

        Set it to move the points; faces and values stay, and normals, where there were some, are computed anew. Raises
        `ArrayError` for another number of points (`set_mesh` changes all).
        """
        found: Array = self._session.call("model.points", node=self)
        return found

    @points.setter
    def points(self, value: Any) -> None:
        self._session.call("model.set_points", node=self, points=np.asarray(value))

    array = points

    @property
    def world_points(self) -> Array:
        """[n, 3], RAS, mm, where they are in the world: the transforms above the model applied."""
        found: Array = self._session.call("model.points", node=self, world=True)
        return found

    @property
    def triangles(self) -> Array:
        """int64 [n, 3], indices into `points`; polygons and strips cut into triangles."""
        found: Array = self._session.call("model.triangles", node=self)
        return found

    def _cells(self, kind: str) -> Array:
        found: Array = self._session.call("model.cells", node=self, kind=kind)
        return found

    @property
    def faces(self) -> Array:
        """The polygons as they are: an int64 row with the number of points before each one's indices, as in pyvista.

        ``[3, 0, 1, 2, 4, 2, 1, 5, 6]`` are a triangle and a quadrilateral.
        """
        return self._cells("faces")

    @property
    def lines(self) -> Array:
        """The lines, in the form of `faces`."""
        return self._cells("lines")

    @property
    def vertices(self) -> Array:
        """The cells that are points, in the form of `faces`."""
        return self._cells("vertices")

    def set_mesh(
        self, mesh: Any, faces: Any = None, *, lines: Any = None, normals: Normals | Array | None = None
    ) -> None:
        """Give the model another mesh; it is shown as before.

        Args:
            mesh: points [n, 3], RAS, mm, or a pyvista.PolyData, or a trimesh.Trimesh (with the values on it).
            faces: triangles [n, 3], polygons [n, k], lists of indices, or the form of `faces`.
            lines: likewise.
            normals: [n, 3], "compute", "keep" or "none"; without it the mesh's own, or computed.

        Raises:
            ArrayError: arrays that are no mesh.
            ArgumentError: another kind of mesh.
        """
        self._session.call("model.set_mesh", node=self, **with_normals(mesh_arguments(mesh, faces, lines), normals))

    @property
    def normals(self) -> Array | None:
        """[n, 3] at the points, or None. Set it to an array, "compute" (by the faces) or "none"."""
        found = self._session.call("model.mesh", node=self)
        return found["point_data"][found["normals"]] if found["normals"] else None

    @normals.setter
    def normals(self, value: Any) -> None:
        normals = value if isinstance(value, str) else np.asarray(value)
        self._session.call("model.set_normals", node=self, normals="none" if value is None else normals)

    # -- values on it --------------------------------------------------------------------------------------------

    @property
    def point_data(self) -> ModelData:
        """Values on the points by name: ``model.point_data["thickness"] = t``."""
        return ModelData(self, "points")

    @property
    def cell_data(self) -> ModelData:
        """Values on the cells by name; cells are the vertices, then the lines, then the faces."""
        return ModelData(self, "cells")

    def color_by(
        self,
        name: str | None,
        *,
        of: Literal["points", "cells"] | None = None,
        color_table: str | None = None,
        range: tuple[float, float] | Literal["auto"] = "auto",  # noqa: A002 - what it is
    ) -> None:
        """Show values as colours; None for the model's own colour.

        Colours themselves (uint8 [n, 3] or [n, 4]) are shown as they are where there is neither a table nor a range.

        Args:
            name: of the values.
            of: where they are; the points first without it.
            color_table: Slicer's name of one, such as "Grey" or "Rainbow".
            range: values at the table's ends, or "auto".

        Raises:
            NodeNotFoundError: no values of that name.
            ArgumentError: no such colour table (the message lists them), or a range that does not rise.
        """
        self._session.call("model.color_by", node=self, name=name, of=of, color_table=color_table, range=range)

    def _display(self, what: str) -> Any:
        return self._session.call("model.display", node=self)[what]

    def _set_display(self, **what: Any) -> None:
        self._session.call("model.set_display", node=self, **what)

    @property
    def scalars(self) -> str | None:
        """Name of the values that are shown as colours; None for the model's own colour. Settable, as by `color_by`."""
        name: str | None = self._display("scalars")
        return name

    @scalars.setter
    def scalars(self, value: str | None) -> None:
        self.color_by(value)

    @property
    def color_table(self) -> str:
        """The colour table of the values; "" when none was chosen. Settable. Raises `ArgumentError`."""
        return str(self._display("color_table"))

    @color_table.setter
    def color_table(self, value: str) -> None:
        self._session.call("model.set_color_table", node=self, name=value)

    @property
    def scalar_range(self) -> tuple[float, float]:
        """Values at the ends of the colour table. Set it to (low, high) or "auto". Raises `ArgumentError`."""
        low, high = self._display("scalar_range")
        return float(low), float(high)

    @scalar_range.setter
    def scalar_range(self, value: tuple[float, float] | Literal["auto"]) -> None:
        self._session.call("model.set_scalar_range", node=self, range=value)

    # -- how it is shown -----------------------------------------------------------------------------------------

    @property
    def color(self) -> tuple[float, float, float]:
        """(red, green, blue), 0 to 1. Settable. Raises `ArgumentError`."""
        red, green, blue = self._display("color")
        return red, green, blue

    @color.setter
    def color(self, value: tuple[float, float, float]) -> None:
        self._set_display(color=value)

    @property
    def opacity(self) -> float:
        """0 (not to be seen) to 1. Settable. Raises `ArgumentError`."""
        return float(self._display("opacity"))

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._set_display(opacity=value)

    @property
    def visible(self) -> bool:
        """Whether it is shown at all. Settable."""
        return bool(self._display("visible"))

    @visible.setter
    def visible(self, value: bool) -> None:
        self._set_display(visible=value)

    @property
    def visible_in_slices(self) -> bool:
        """Whether slice views show where they cut it. Settable."""
        return bool(self._display("visible_in_slices"))

    @visible_in_slices.setter
    def visible_in_slices(self, value: bool) -> None:
        self._set_display(visible_in_slices=value)

    @property
    def edges(self) -> bool:
        """Whether the edges of its faces are drawn. Settable."""
        return bool(self._display("edges"))

    @edges.setter
    def edges(self, value: bool) -> None:
        self._set_display(edges=value)

    @property
    def representation(self) -> Literal["points", "wireframe", "surface"]:
        """ "points", "wireframe" or "surface". Settable. Raises `ArgumentError`."""
        found: Literal["points", "wireframe", "surface"] = self._display("representation")
        return found

    @representation.setter
    def representation(self, value: Literal["points", "wireframe", "surface"]) -> None:
        self._set_display(representation=value)

    @property
    def line_width(self) -> float:
        """Of lines and edges, pixels. Settable. Raises `ArgumentError`."""
        return float(self._display("line_width"))

    @line_width.setter
    def line_width(self, value: float) -> None:
        self._set_display(line_width=value)

    @property
    def point_size(self) -> float:
        """Of points, pixels. Settable. Raises `ArgumentError`."""
        return float(self._display("point_size"))

    @point_size.setter
    def point_size(self, value: float) -> None:
        self._set_display(point_size=value)

    # -- what it measures ----------------------------------------------------------------------------------------

    def measure(self, world: bool = False) -> Measures:
        """Area, volume, whether it is closed, bounds; with ``world`` of the model where the transforms above put it."""
        found = self._session.call("model.measure", node=self, world=world)
        return Measures(found["area"], found["volume"], found["closed"], found["bounds"])

    @property
    def area(self) -> float:
        """Of the surface, mm²."""
        return self.measure().area

    @property
    def volume(self) -> float:
        """mm³ that the surface encloses; nan where it is open."""
        return self.measure().volume

    @property
    def closed(self) -> bool:
        """Whether the surface encloses a volume: see `Measures`."""
        return self.measure().closed

    @property
    def bounds(self) -> Array:
        """float64 [2, 3], RAS, mm: lowest and highest corner, in the model's own frame."""
        found: Array = self._session.call("model.bounds", node=self)
        return found

    # -- other libraries and files -------------------------------------------------------------------------------

    def to_pyvista(self, world: bool = False) -> pyvista.PolyData:
        """A copy as a pyvista.PolyData: points, cells, values, normals. Its coordinates are RAS, mm.

        Args:
            world: where it is in the world: the transforms above it applied.

        Raises:
            PackageNotInstalledError: no pyvista here.
            ArrayError: a model without a surface.
        """
        return pyvista_mesh(self._session.call("model.mesh", node=self, world=world))

    def to_trimesh(self, world: bool = False) -> trimesh.Trimesh:
        """A copy as a trimesh.Trimesh, faces cut into triangles; values are vertex and face attributes. RAS, mm.

        Arguments and errors as of `to_pyvista`. Lines and vertices are left out.
        """
        return trimesh_mesh(self._session.call("model.triangulated", node=self, world=world), self._ref.name)

    def save(self, path: str | Path, coordinate_system: Literal["LPS", "RAS"] = "LPS") -> Path:
        """Write it where Slicer runs, in its own frame: ``.vtk``, ``.vtp``, ``.stl``, ``.ply``, ``.obj``. The path.

        Args:
            coordinate_system: of the file. Slicer writes LPS: R and A are negated, and other programs read them so.
                Slicer reads either back right where the format has a place to say which (all but OBJ).

        Raises:
            PathNotFoundError: no such folder.
            FileFormatError: another extension.
        """
        target = self._session.path(path)
        self._session.call("model.save", node=self, path=target, coordinate_system=coordinate_system)
        return Path(target)

    # -- display -------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        cells = ", ".join(f"{count:,} {kind}" for kind, count in summary["cells"].items())
        facts = [("points", f"{summary['points']:,}")]
        if cells:
            facts.append(("cells", cells))
        if summary["bounds"]:
            low, high = summary["bounds"]
            size = " x ".join(f"{b - a:.1f}" for a, b in zip(low, high, strict=True))
            facts.append(("size", f"{size} mm (R, A, S)"))
        if summary["arrays"]:
            more = f" and {summary['more_arrays']} more" if summary["more_arrays"] else ""
            facts.append(("values", ", ".join(summary["arrays"]) + more))
        if summary["transform"]:
            facts.append(("transform", summary["transform"]))
        if not summary["visible"]:
            facts.append(("shown", "no"))
        return Card(facts, png=summary["png"], color=summary["color"])


def with_normals(arguments: dict[str, Any], normals: Normals | Array | None) -> dict[str, Any]:
    """A mesh's arguments with these normals, where there are some."""
    if normals is None:
        return arguments
    return {**arguments, "normals": normals if isinstance(normals, str) else np.asarray(normals)}
