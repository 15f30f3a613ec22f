"""What a session adds to the scene: models, tables, plots, texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from slicer_notebook.session.models import Model
    from slicer_notebook.session.plots import Plot
    from slicer_notebook.session.tables import Table
    from slicer_notebook.session.texts import Text

__all__ = ["AddingData"]


class AddingData:
    """Mixin of `Session`: ``add_model``, ``add_table``, ``add_plot``, ``add_text``."""

    if TYPE_CHECKING:

        def call(self, command: str, /, **args: Any) -> Any:
            """`Session.call`."""

    def add_model(
        self,
        mesh: Any,
        faces: Any = None,
        name: str = "Model",
        *,
        lines: Any = None,
        normals: Any = None,
        color: tuple[float, float, float] | None = None,
        show: bool = True,
    ) -> Model:
        """A new model.

        Args:
            mesh: points [n, 3], or a pyvista.PolyData, or a trimesh.Trimesh with all values on it. RAS, mm: coordinates
                are taken as they are.
            faces: of points: triangles [n, 3], polygons [n, k], lists of indices, or a row that says before each
                polygon how many points it has (as pyvista's ``faces``).
            name: made unique in the scene.
            lines: likewise.
            normals: [n, 3], "compute", "keep" or "none"; without it the mesh's own, or computed.
            color: (red, green, blue), 0 to 1; colours that a mesh brings (trimesh) are shown without it.
            show: show it in the 3-D views.

        Raises:
            ArrayError: arrays that are no mesh.
            ArgumentError: another kind of mesh, or a colour that is none.
        """
        from slicer_notebook.session.meshes import COLORS, mesh_arguments
        from slicer_notebook.session.models import with_normals

        arguments = with_normals(mesh_arguments(mesh, faces, lines), normals)
        found: Model = self.call("model.add", **arguments, name=name, show=show, color=color)
        if color is None and COLORS in {**arguments.get("point_data", {}), **arguments.get("cell_data", {})}:
            found.color_by(COLORS)
        return found

    def add_table(self, data: Any = None, name: str = "Table") -> Table:
        """A new table.

        Args:
            data: a pandas DataFrame, or what pandas makes one of (a dict of columns, a list of dicts...). A named
                index becomes the first column, with labels of the rows. ``frame.attrs`` may have "units", "titles" and
                "descriptions", dicts of text by column.
            name: made unique in the scene.

        Raises:
            ArrayError: two columns of one name, or a column of what a table cannot have; the message names it.
            ArgumentError: levels of names or of the index.
        """
        from slicer_notebook.session.tables import table_arguments

        found: Table = self.call("table.add", **table_arguments(data), name=name)
        return found

    def add_plot(
        self,
        data: Any,
        x: str | None = None,
        y: str | Sequence[str] | None = None,
        kind: Literal["line", "scatter", "bar"] = "line",
        name: str = "Plot",
        *,
        title: str | None = None,
    ) -> Plot:
        """A new plot of a table's columns; it follows the table.

        Args:
            data: a `Table`, or what `add_table` makes one of.
            x: name of the column along x: numbers, or text for the labels of the rows (not for "scatter"). The rows
                are counted without it.
            y: names of columns of numbers; all but x without it.
            kind: lines, points or bars.
            name: made unique in the scene.
            title: above the plot; its name without one.

        Raises:
            ArgumentError: no such column, or one that does not hold what it must.
            ArrayError: as `add_table`.
        """
        from slicer_notebook.session.tables import Table

        table = data if isinstance(data, Table) else self.add_table(data, name=f"{name} table")
        if y is None:
            y = table.plottable(besides=x)
        try:
            found: Plot = self.call(
                "plot.add",
                table=table,
                y=[y] if isinstance(y, str) else list(y),
                x=x,
                kind=kind,
                name=name,
                title=title,
            )
        except BaseException:
            if table is not data:
                table.remove()
            raise
        return found

    def add_text(self, text: str, name: str = "Text", encoding: str | None = None) -> Text:
        """A new text node.

        Args:
            text: what it holds.
            name: made unique in the scene.
            encoding: of its file, such as "UTF-8" or "ISO-8859-1"; ASCII, or UTF-8 where that is not enough, without.

        Raises:
            ArgumentError: no such encoding, or one that lacks a character.
        """
        found: Text = self.call("text.add", text=text, name=name, encoding=encoding)
        return found
