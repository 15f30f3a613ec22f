"""Commands that change plots: a chart's titles and axes, how a series is drawn and of which columns."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.meshes import checked_color
from slicer_notebook.commands.plots import CHART, KINDS, SERIES, Kind, numbers
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.tables import TABLE
from slicer_notebook.errors import ArgumentError

LineStyle = Literal["none", "solid", "dash", "dot", "dash-dot", "dash-dot-dot"]
Marker = Literal["none", "cross", "plus", "square", "circle", "diamond"]


def _range(value: Any, what: str) -> tuple[float, float] | None:
    """(low, high), or None for "auto". Raises `ArgumentError`."""
    if isinstance(value, str) and value == "auto":
        return None
    try:
        low, high = (float(part) for part in value)
    except (TypeError, ValueError):
        low = high = float("nan")
    if not low < high or not np.isfinite([low, high]).all():
        raise ArgumentError(f"The range of {what} does not fit.", expected='(low, high) or "auto"', got=repr(value))
    return low, high


@command("plot.set")
def change(
    host: Host,
    node: NodeLike,
    title: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
    x_range: Any = None,
    y_range: Any = None,
    x_log: bool | None = None,
    y_log: bool | None = None,
    grid: bool | None = None,
    legend: bool | None = None,
) -> None:
    """Change a chart; what is None stays as it is.

    Args:
        x_range, y_range: (low, high), or "auto" for what the values need.

    Raises:
        ArgumentError: a range that does not rise.
    """
    chart = host.node(node, CHART)
    ranges = {
        axis: _range(value, axis.lower()) for axis, value in (("X", x_range), ("Y", y_range)) if value is not None
    }
    was = chart.StartModify()
    try:
        for setter, text in (("Title", title), ("XAxisTitle", x_title), ("YAxisTitle", y_title)):
            if text is not None:
                getattr(chart, f"Set{setter}")(text)
                getattr(chart, f"Set{setter}Visibility")(True)
        for axis, limits in ranges.items():
            getattr(chart, f"Set{axis}AxisRangeAuto")(limits is None)
            if limits is not None:
                getattr(chart, f"Set{axis}AxisRange")(*limits)
        for setter, on in (
            ("XAxisLogScale", x_log),
            ("YAxisLogScale", y_log),
            ("GridVisibility", grid),
            ("LegendVisibility", legend),
        ):
            if on is not None:
                getattr(chart, f"Set{setter}")(on)
    finally:
        chart.EndModify(was)


@command("plot.set_series")
def change_series(
    host: Host,
    node: NodeLike,
    kind: Kind | None = None,
    table: NodeLike | None = None,
    x: str | None = None,
    y: str | None = None,
    labels: str | None = None,
    color: Any = None,
    opacity: float | None = None,
    line_style: LineStyle | None = None,
    line_width: float | None = None,
    marker: Marker | None = None,
    marker_size: float | None = None,
) -> None:
    """Change a series, as in ``plot.series``; what is None stays as it is. ``labels=""`` takes the labels away.

    Raises:
        ArgumentError: a column that is not there or holds no numbers, a colour, opacity or size that cannot be.
    """
    found = host.node(node, SERIES)
    source = found.GetTableNode() if table is None else host.node(table, TABLE)
    _check_columns(found, source, (x, y), labels)
    # MRML's setters with their arguments; all is looked at before anything is changed.
    values: dict[str, tuple[Any, ...] | None] = {
        "AndObserveTableNodeID": None if table is None else (source.GetID(),),
        "PlotType": None if kind is None else (KINDS.index(kind),),
        "XColumnName": None if x is None else (x,),
        "YColumnName": None if y is None else (y,),
        "LabelColumnName": None if labels is None else (labels,),
        "Color": None if color is None else checked_color(color),
        "Opacity": None if opacity is None else (_within(opacity, 1, "opacity"),),
        "LineStyle": None if line_style is None else (found.GetLineStyleFromString(line_style),),
        "LineWidth": None if line_width is None else (_within(line_width, 100, "line width"),),
        "MarkerStyle": None if marker is None else (found.GetMarkerStyleFromString(marker),),
        "MarkerSize": None if marker_size is None else (_within(marker_size, 100, "marker size"),),
    }
    was = found.StartModify()
    try:
        for name, arguments in values.items():
            if arguments is not None:
                getattr(found, f"Set{name}")(*arguments)
    finally:
        found.EndModify(was)


def _check_columns(series: Any, table: Any, axes: tuple[str | None, ...], labels: str | None) -> None:
    names = [name for name in (*axes, labels) if name]
    if names and table is None:
        raise ArgumentError(
            f"Series {series.GetName()!r} has no table.", expected="table= with its columns", got="none"
        )
    for name in axes:
        if name is not None:
            numbers(table, name)
    if labels and table.GetTable().GetColumnByName(labels) is None:
        raise ArgumentError(f"Table {table.GetName()!r} has no column {labels!r}.", got=repr(labels))


def _within(value: float, high: float, what: str) -> float:
    if not 0 <= value <= high:
        raise ArgumentError(f"The {what} does not fit.", expected=f"0 to {high:g}", got=repr(value))
    return value
