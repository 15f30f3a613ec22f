"""A plot of the scene: a chart of series, drawn by matplotlib in the notebook."""

from __future__ import annotations

import html
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slicer_notebook.session.cards import Card
from slicer_notebook.session.charts import draw_chart, figure_of, png_of
from slicer_notebook.session.handles import Node
from slicer_notebook.session.privacy import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slicer_notebook.session.tables import Table

__all__ = ["Plot", "PlotSeries"]

Kind = Literal["line", "scatter", "bar"]
Limits = tuple[float, float] | Literal["auto"]
#: Series that a card names at most.
_SHOWN = 8


class PlotSeries(Node):
    """A series of a plot: columns of a table, and how they are drawn. Its name is in the plot's legend."""

    mrml_class = "vtkMRMLPlotSeriesNode"
    _summary = "plot.series"

    def _info(self, what: str) -> Any:
        return self._session.call("plot.series", node=self)[what]

    def _set(self, **what: Any) -> None:
        self._session.call("plot.set_series", node=self, **what)

    @property
    def kind(self) -> Literal["line", "bar", "scatter", "scatterbar"]:
        """MRML's: "line" and "bar" count rows along x, "scatter" and "scatterbar" have a column for x. Settable.

        A line over a column is a "scatter" with a `line_style`.
        """
        found: Literal["line", "bar", "scatter", "scatterbar"] = self._info("kind")
        return found

    @kind.setter
    def kind(self, value: Literal["line", "bar", "scatter", "scatterbar"]) -> None:
        self._set(kind=value)

    @property
    def table(self) -> Table | None:
        """The table that its columns are of. Settable."""
        found: Table | None = self._info("table")
        return found

    @table.setter
    def table(self, value: Table) -> None:
        self._set(table=value)

    @property
    def x(self) -> str:
        """Name of the column along x; "" for none. Settable. Raises `ArgumentError`."""
        return str(self._info("x"))

    @x.setter
    def x(self, value: str) -> None:
        self._set(x=value)

    @property
    def y(self) -> str:
        """Name of the column along y. Settable. Raises `ArgumentError`."""
        return str(self._info("y"))

    @y.setter
    def y(self, value: str) -> None:
        self._set(y=value)

    @property
    def labels(self) -> str:
        """Name of the column that labels the rows; "" for none. Settable. Raises `ArgumentError`."""
        return str(self._info("labels"))

    @labels.setter
    def labels(self, value: str) -> None:
        self._set(labels=value)

    @property
    def color(self) -> tuple[float, float, float]:
        """(red, green, blue), 0 to 1. Settable. Raises `ArgumentError`."""
        red, green, blue = self._info("color")
        return red, green, blue

    @color.setter
    def color(self, value: tuple[float, float, float]) -> None:
        self._set(color=value)

    @property
    def opacity(self) -> float:
        """0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._info("opacity"))

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._set(opacity=value)

    @property
    def line_style(self) -> str:
        """ "none", "solid", "dash", "dot", "dash-dot" or "dash-dot-dot". Settable. Raises `ArgumentError`."""
        return str(self._info("line_style"))

    @line_style.setter
    def line_style(self, value: str) -> None:
        self._set(line_style=value)

    @property
    def line_width(self) -> float:
        """Pixels. Settable. Raises `ArgumentError`."""
        return float(self._info("line_width"))

    @line_width.setter
    def line_width(self, value: float) -> None:
        self._set(line_width=value)

    @property
    def marker(self) -> str:
        """ "none", "cross", "plus", "square", "circle" or "diamond". Settable. Raises `ArgumentError`."""
        return str(self._info("marker"))

    @marker.setter
    def marker(self, value: str) -> None:
        self._set(marker=value)

    @property
    def marker_size(self) -> float:
        """Pixels. Settable. Raises `ArgumentError`."""
        return float(self._info("marker_size"))

    @marker_size.setter
    def marker_size(self, value: float) -> None:
        self._set(marker_size=value)

    def _card(self, summary: dict[str, Any]) -> Card:
        table = summary["table"]
        facts = [("kind", summary["kind"]), ("y", summary["y"])]
        facts += [(key, summary[key]) for key in ("x", "labels") if summary[key]]
        if table is not None:
            facts.append(("table", table._ref.name))
        return Card(facts, color=summary["color"])


class Plot(Node):
    """A chart. It follows the tables of its series: each drawing is of what they hold at that moment.

    A headless Slicer has no plot views (they need Qt), so that the drawing is matplotlib's, in the notebook, with the
    titles, ranges, colours, lines and markers that the scene has.
    """

    mrml_class = "vtkMRMLPlotChartNode"
    _summary = "plot.read"

    def _info(self, what: str) -> Any:
        return self._session.call("plot.read", node=self)[what]

    def _set(self, **what: Any) -> None:
        self._session.call("plot.set", node=self, **what)

    # -- drawing -------------------------------------------------------------------------------------------------

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw it into a matplotlib axes; into that of a new figure without one. The axes.

        A series whose columns are not there is named in the legend, with the reason.
        """
        chart = self._session.call("plot.read", node=self)
        if ax is None:
            ax = figure_of().add_subplot()
        draw_chart(chart, ax)
        return ax

    def figure(self, size: tuple[float, float] = (6.4, 4.0)) -> Figure:
        """A matplotlib figure of it, as it is now. ``size``: (width, height), inches. Raises `ArgumentError`."""
        figure = figure_of(size)
        draw_chart(self._session.call("plot.read", node=self), figure.add_subplot())
        return figure

    def show(self, visible: bool = True) -> Figure:  # type: ignore[override]
        """As `figure`: Slicer has no view that would show it, and nothing that could be hidden."""
        del visible
        return self.figure()

    def save(self, path: str | Path, size: tuple[float, float] = (6.4, 4.0)) -> Path:
        """Write the figure as PNG, PDF or SVG, where the notebook runs; the path.

        Slicer writes charts with the scene only (``slicer.save``).

        Raises:
            ArgumentError: another ending.
            PathNotFoundError: no such folder.
        """
        from slicer_notebook.session.sheets import save_sheet

        return save_sheet(self.figure(size), path, {"Title": self.title or self._ref.name})

    def remove(self) -> None:
        """Remove the plot from the scene, and its series where no other plot has them. Tables stay."""
        self._session.call("plot.remove", node=self)

    # -- series --------------------------------------------------------------------------------------------------

    @property
    def series(self) -> list[PlotSeries]:
        """What is drawn, in this order."""
        return [each["node"] for each in self._info("series")]

    def add_series(self, table: Table, y: str, x: str | None = None, kind: Kind = "line") -> PlotSeries:
        """One more series: columns of a table, as in `Session.add_plot`.

        Raises:
            ArgumentError: no such column, or one that does not hold what it must.
        """
        found: PlotSeries = self._session.call("plot.add_series", node=self, table=table, y=y, x=x, kind=kind)
        return found

    def remove_series(self, series: PlotSeries) -> None:
        """Take a series out of the plot, and out of the scene where no other plot has it. Raises `ArgumentError`."""
        self._session.call("plot.remove_series", node=self, series=series)

    # -- the chart -----------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """Above it. Settable."""
        return str(self._info("title"))

    @title.setter
    def title(self, value: str) -> None:
        self._set(title=value)

    @property
    def x_title(self) -> str:
        """Below the x axis. Settable."""
        return str(self._info("x_title"))

    @x_title.setter
    def x_title(self, value: str) -> None:
        self._set(x_title=value)

    @property
    def y_title(self) -> str:
        """Beside the y axis. Settable."""
        return str(self._info("y_title"))

    @y_title.setter
    def y_title(self, value: str) -> None:
        self._set(y_title=value)

    @property
    def x_range(self) -> Limits:
        """(low, high) of the x axis, or "auto": as the values need it. Settable. Raises `ArgumentError`."""
        return _limits(self._info("x_range"))

    @x_range.setter
    def x_range(self, value: Limits) -> None:
        self._set(x_range=value)

    @property
    def y_range(self) -> Limits:
        """(low, high) of the y axis, or "auto". Settable. Raises `ArgumentError`."""
        return _limits(self._info("y_range"))

    @y_range.setter
    def y_range(self, value: Limits) -> None:
        self._set(y_range=value)

    @property
    def x_log(self) -> bool:
        """Whether the x axis is logarithmic. Settable."""
        return bool(self._info("x_log"))

    @x_log.setter
    def x_log(self, value: bool) -> None:
        self._set(x_log=value)

    @property
    def y_log(self) -> bool:
        """Whether the y axis is logarithmic. Settable."""
        return bool(self._info("y_log"))

    @y_log.setter
    def y_log(self, value: bool) -> None:
        self._set(y_log=value)

    @property
    def grid(self) -> bool:
        """Whether there are lines behind it. Settable."""
        return bool(self._info("grid"))

    @grid.setter
    def grid(self, value: bool) -> None:
        self._set(grid=value)

    @property
    def legend(self) -> bool:
        """Whether the series are named. Settable."""
        return bool(self._info("legend"))

    @legend.setter
    def legend(self, value: bool) -> None:
        self._set(legend=value)

    # -- display -------------------------------------------------------------------------------------------------

    def _repr_png_(self) -> bytes | None:
        """The drawing; None where privacy is strict, since titles and names may tell who a patient is."""
        return None if checked(None) == "strict" else png_of(self.figure())

    def _card(self, summary: dict[str, Any]) -> Card:
        series = summary["series"]
        return Card(
            items=[(each["name"], each["color"]) for each in series[:_SHOWN]], more=max(0, len(series) - _SHOWN)
        )

    def _below(self, summary: dict[str, Any]) -> str:
        figure = figure_of()
        draw_chart(summary, figure.add_subplot())
        picture = b64encode(png_of(figure)).decode("ascii")
        return (
            f'<img alt="Plot {html.escape(summary["name"])}" style="max-width:100%;background:white" '
            f'src="data:image/png;base64,{picture}">'
        )


def _limits(found: Any) -> Limits:
    return "auto" if found is None else (float(found[0]), float(found[1]))
