"""Commands about plots: a chart (vtkMRMLPlotChartNode) of series (vtkMRMLPlotSeriesNode) of columns of tables.

Kinds of a series are MRML's: ``line`` and ``bar`` count rows along x, ``scatter`` and ``scatterbar`` have a column for
x. How charts and series are changed: `plot_changes`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.tables import MISSING, TABLE, column_values
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef

CHART: Final = "vtkMRMLPlotChartNode"
SERIES: Final = "vtkMRMLPlotSeriesNode"

Kind = Literal["line", "bar", "scatter", "scatterbar"]

#: By vtkMRMLPlotSeriesNode's PlotType.
KINDS: Final[tuple[Kind, ...]] = ("line", "bar", "scatter", "scatterbar")
#: Slicer's colours of series. The first one is no colour (black, not to be seen).
_COLORS: Final = "vtkMRMLColorTableNodeFileDarkBrightChartColors.txt"


# -- reading --------------------------------------------------------------------------------------------------------


@command("plot.read", journal=False)
def read(host: Host, node: NodeLike) -> dict[str, Any]:
    """A chart and the values of its series, as they are in their tables now.

    ``title``, ``x_title``, ``y_title``, ``x_range`` and ``y_range`` ((low, high), or None: by the values), ``x_log``,
    ``y_log``, ``grid``, ``legend``; ``title_size``, ``axis_title_size``, ``label_size``, ``legend_size`` (pixels);
    ``series``: as ``plot.series``, each with ``x_values`` (None: rows are counted from 0), ``y_values``,
    ``label_values``, and ``problem`` (why there are no values, or "").
    """
    chart = host.node(node, CHART)
    return {
        "name": chart.GetName() or "",
        "title": (chart.GetTitle() or "") if chart.GetTitleVisibility() else "",
        "x_title": (chart.GetXAxisTitle() or "") if chart.GetXAxisTitleVisibility() else "",
        "y_title": (chart.GetYAxisTitle() or "") if chart.GetYAxisTitleVisibility() else "",
        "x_range": None if chart.GetXAxisRangeAuto() else tuple(chart.GetXAxisRange()),
        "y_range": None if chart.GetYAxisRangeAuto() else tuple(chart.GetYAxisRange()),
        "x_log": bool(chart.GetXAxisLogScale()),
        "y_log": bool(chart.GetYAxisLogScale()),
        "grid": bool(chart.GetGridVisibility()),
        "legend": bool(chart.GetLegendVisibility()),
        "title_size": chart.GetTitleFontSize(),
        "axis_title_size": chart.GetAxisTitleFontSize(),
        "label_size": chart.GetAxisLabelFontSize(),
        "legend_size": chart.GetLegendFontSize(),
        "series": [{**series_info(host, each), **_data(each)} for each in _series_of(chart)],
    }


@command("plot.series", journal=False)
def series(host: Host, node: NodeLike) -> dict[str, Any]:
    """A series: ``node``, ``name``, ``kind``, ``table``, ``x``, ``y``, ``labels`` (names of columns, or ""), ``color``,
    ``opacity``, ``line_style``, ``line_width``, ``marker``, ``marker_size`` (pixels).
    """
    return series_info(host, host.node(node, SERIES))


def series_info(host: Host, found: Any) -> dict[str, Any]:
    """What ``plot.series`` tells of a MRML node."""
    table = found.GetTableNode()
    return {
        "node": host.ref(found),
        "name": found.GetName() or "",
        "kind": KINDS[found.GetPlotType()],
        "table": host.ref(table) if table is not None else None,
        "x": found.GetXColumnName(),
        "y": found.GetYColumnName(),
        "labels": found.GetLabelColumnName(),
        "color": found.GetColor(),
        "opacity": found.GetOpacity(),
        "line_style": found.GetLineStyleAsString(found.GetLineStyle()),
        "line_width": found.GetLineWidth(),
        "marker": found.GetMarkerStyleAsString(found.GetMarkerStyle()),
        "marker_size": found.GetMarkerSize(),
    }


def _series_of(chart: Any) -> list[Any]:
    nodes = (chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes()))
    return [node for node in nodes if node is not None]


def _data(found: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"x_values": None, "y_values": None, "label_values": None, "problem": ""}
    table = found.GetTableNode()
    if table is None:
        return {**values, "problem": "no table"}
    try:
        if found.IsXColumnRequired():
            values["x_values"] = numbers(table, found.GetXColumnName())
        values["y_values"] = numbers(table, found.GetYColumnName())
    except ArgumentError as exc:
        return {**values, "x_values": None, "problem": exc.message}
    labels = found.GetLabelColumnName()
    if labels and table.GetTable().GetColumnByName(labels) is not None:
        values["label_values"] = [str(each) for each in column_values(table.GetTable().GetColumnByName(labels))]
    return values


def numbers(table: Any, name: str) -> Any:
    """A column that can be an axis: numbers, one in a row (qMRMLPlotView takes neither text nor truth values)."""
    found = table.GetTable()
    column = found.GetColumnByName(name) if name else None
    numeric = [
        each.GetName() or ""
        for each in (found.GetColumn(index) for index in range(found.GetNumberOfColumns()))
        if each.IsNumeric() and not each.IsA("vtkBitArray") and each.GetNumberOfComponents() == 1
    ]
    if column is None or name not in numeric:
        raise ArgumentError(
            f"Table {table.GetName()!r} has no column {name!r}."
            if column is None
            else f"Column {name!r} of table {table.GetName()!r} does not hold numbers.",
            expected=", ".join(numeric) or "a table with a column of numbers",
            got=repr(name),
        )
    values = column_values(column)
    null = table.GetColumnNullValue(name) if table.GetColumnProperty(name, MISSING) else ""
    return np.where(values == int(null), np.nan, values) if null else values


# -- making ---------------------------------------------------------------------------------------------------------


@command("plot.add")
def add(
    host: Host,
    table: NodeLike,
    y: list[str],
    x: str | None = None,
    kind: Literal["line", "scatter", "bar"] = "line",
    name: str = "Plot",
    title: str | None = None,
) -> NodeRef:
    """A new chart with a series for each column of ``y``.

    Args:
        table: whose columns they are.
        y: names of columns of numbers.
        x: a column of numbers; of text (not for "scatter"), for the labels of the rows; rows are counted without it.
        kind: lines, points, or bars. With numbers for x, MRML's "scatter" (with and without a line) and "scatterbar".
        name: made unique in the scene.
        title: above the chart; its name without one.

    Raises:
        ArgumentError: no such column, or one that does not hold what it must.
    """
    found = host.node(table, TABLE)
    if not y:
        raise ArgumentError("A plot needs a series.", expected="names of columns for y", got="none")
    for each in y:
        numbers(found, each)
    is_text = _check_x(found, x, kind)
    scene = host.slicer.mrmlScene
    chart = scene.AddNewNodeByClass(CHART, scene.GenerateUniqueName(name))
    chart.SetTitle(chart.GetName() if title is None else title)
    chart.SetXAxisTitle(_axis_title(found, x) if x is not None else "")
    chart.SetYAxisTitle(_axis_title(found, y[0]) if len(y) == 1 else _common_unit(found, y))
    for each in y:
        _add_series(host, chart, found, each, x, kind, is_text)
    return host.ref(chart)


@command("plot.add_series")
def add_series(
    host: Host,
    node: NodeLike,
    table: NodeLike,
    y: str,
    x: str | None = None,
    kind: Literal["line", "scatter", "bar"] = "line",
) -> NodeRef:
    """One more series of a chart. Arguments and errors as of ``plot.add``."""
    found = host.node(table, TABLE)
    chart = host.node(node, CHART)
    numbers(found, y)
    return host.ref(_add_series(host, chart, found, y, x, kind, _check_x(found, x, kind)))


def _check_x(table: Any, x: str | None, kind: str) -> bool:
    """Whether ``x`` is a column of labels. Raises `ArgumentError`."""
    if x is None:
        if kind == "scatter":
            raise ArgumentError("A scatter plot needs x.", expected="the name of a column of numbers", got="none")
        return False
    column = table.GetTable().GetColumnByName(x)
    if column is not None and not column.IsNumeric() and kind != "scatter":
        return True
    numbers(table, x)
    return False


def _add_series(host: Host, chart: Any, table: Any, y: str, x: str | None, kind: str, is_text: bool) -> Any:
    scene = host.slicer.mrmlScene
    made = scene.AddNewNodeByClass(SERIES, table.GetColumnTitle(y) or y)
    made.SetAndObserveTableNodeID(table.GetID())
    made.SetYColumnName(y)
    by_rows = x is None or is_text
    if kind == "bar":
        made.SetPlotType(KINDS.index("bar" if by_rows else "scatterbar"))
    else:
        made.SetPlotType(KINDS.index("line" if by_rows else "scatter"))
        made.SetMarkerStyle(made.MarkerStyleCircle if kind == "scatter" else made.MarkerStyleNone)
        made.SetLineStyle(made.LineStyleNone if kind == "scatter" else made.LineStyleSolid)
    if x is not None:
        (made.SetLabelColumnName if is_text else made.SetXColumnName)(x)
    made.SetColor(*_next_color(host, chart))
    chart.AddAndObservePlotSeriesNodeID(made.GetID())
    return made


def _next_color(host: Host, chart: Any) -> tuple[float, float, float]:
    """Slicer's next colour for a chart: the first that none of its series has."""
    colors = host.slicer.mrmlScene.GetNodeByID(_COLORS)
    if colors is None:
        return 0.0, 0.0, 0.0
    table = colors.GetLookupTable()
    known = [tuple(table.GetTableValue(index)[:3]) for index in range(1, colors.GetNumberOfColors())]
    taken = [each.GetColor() for each in _series_of(chart)]
    free = (color for color in known if not any(np.allclose(color, other, atol=1e-3) for other in taken))
    red, green, blue = next(free, known[len(taken) % len(known)])
    return red, green, blue


def _axis_title(table: Any, name: str) -> str:
    unit = table.GetColumnUnitLabel(name)
    return (table.GetColumnTitle(name) or name) + (f" ({unit})" if unit else "")


def _common_unit(table: Any, names: list[str]) -> str:
    units = {table.GetColumnUnitLabel(name) for name in names}
    return units.pop() if len(units) == 1 else ""


@command("plot.remove_series")
def remove_series(host: Host, node: NodeLike, series: NodeLike) -> None:
    """Take a series out of a chart, and out of the scene where no other chart has it. Raises `ArgumentError`."""
    chart, found = host.node(node, CHART), host.node(series, SERIES)
    if not chart.HasPlotSeriesNodeID(found.GetID()):
        raise ArgumentError(
            f"Plot {chart.GetName()!r} has no series {found.GetName()!r}.",
            expected=", ".join(each.GetName() for each in _series_of(chart)) or "none are there",
            got=found.GetID(),
        )
    chart.RemovePlotSeriesNodeID(found.GetID())
    _remove_unused(host, [found])


@command("plot.remove")
def remove(host: Host, node: NodeLike) -> None:
    """Remove a chart, and its series where no other chart has them; tables stay."""
    chart = host.node(node, CHART)
    of_it = _series_of(chart)
    host.slicer.mrmlScene.RemoveNode(chart)
    _remove_unused(host, of_it)


def _remove_unused(host: Host, found: list[Any]) -> None:
    charts = host.nodes(CHART)
    for each in found:
        if not any(chart.HasPlotSeriesNodeID(each.GetID()) for chart in charts):
            host.slicer.mrmlScene.RemoveNode(each)
