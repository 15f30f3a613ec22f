"""Charts as MRML describes them, drawn by matplotlib.

What Slicer's own plot view (qMRMLPlotView, vtkChartXY) does with the properties is done here: sizes are pixels, series
that count rows begin at 0, bars of several series stand side by side.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.sheets import figure_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_chart", "figure_of", "png_of"]

#: MRML's names -> matplotlib's.
_LINES: Final[dict[str, Any]] = {
    "none": "none",
    "solid": "solid",
    "dash": "dashed",
    "dot": "dotted",
    "dash-dot": "dashdot",
    "dash-dot-dot": (0, (3, 1.5, 1, 1.5, 1, 1.5)),
}
_MARKERS: Final = {"none": "none", "cross": "x", "plus": "+", "square": "s", "circle": "o", "diamond": "D"}
#: Pixels of an inch, for the sizes that MRML has in pixels.
_DPI: Final = 100
#: Part of the room between two bars' places that bars fill.
_FILLED: Final = 0.8
#: Labels of rows that fit below an axis.
_MOST_LABELS: Final = 30


def figure_of(size: tuple[float, float] = (6.4, 4.0)) -> Figure:
    """An empty figure that shows itself; ``size``: (width, height), inches. Raises `ArgumentError`."""
    try:
        width, height = (float(part) for part in size)
    except (TypeError, ValueError):
        width = height = float("nan")
    if not (0 < width <= 100 and 0 < height <= 100):
        raise ArgumentError("The size does not fit.", expected="(width, height), inches, up to 100", got=repr(size))
    return figure_class()(figsize=(width, height), dpi=_DPI, layout="constrained")


def png_of(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _points(pixels: float) -> float:
    """Typographic points of so many pixels."""
    return pixels * 72 / _DPI


def draw_chart(chart: Mapping[str, Any], ax: Axes) -> None:
    """Draw what ``plot.read`` gave into an axes. Names and titles are text, not formulas."""
    drawn = [each for each in chart["series"] if not each["problem"]]
    bars = [each for each in drawn if each["kind"] in ("bar", "scatterbar")]
    width = _bar_width(bars)
    for series in drawn:
        if series in bars:
            _draw_bars(ax, series, bars.index(series), len(bars), width)
        else:
            _draw_line(ax, series)
    for series in chart["series"]:
        if series["problem"]:
            ax.plot([], [], linestyle="none", label=_plain(f"{series['name']} ({series['problem']})"))
    _label_rows(ax, drawn)
    _dress(ax, chart)


def _places(series: Mapping[str, Any]) -> Any:
    """x of each value: its column, or the number of the row."""
    return np.arange(len(series["y_values"])) if series["x_values"] is None else np.asarray(series["x_values"])


def _draw_line(ax: Axes, series: Mapping[str, Any]) -> None:
    ax.plot(
        _places(series),
        series["y_values"],
        color=series["color"],
        alpha=series["opacity"],
        linestyle=_LINES[series["line_style"]],
        linewidth=_points(series["line_width"]),
        marker=_MARKERS[series["marker"]],
        markersize=_points(series["marker_size"]),
        label=_plain(series["name"]),
    )


def _bar_width(bars: Sequence[Mapping[str, Any]]) -> float:
    """Of one series' bars: their part of the least distance of two places."""
    places = [np.unique(_places(each)) for each in bars]
    places = [each[np.isfinite(each)] for each in places]
    steps = [float(np.diff(each).min()) for each in places if len(each) > 1]
    return _FILLED * (min(steps) if steps else 1.0) / max(1, len(bars))


def _draw_bars(ax: Axes, series: Mapping[str, Any], number: int, count: int, width: float) -> None:
    shift = (number - (count - 1) / 2) * width
    ax.bar(
        _places(series) + shift,
        series["y_values"],
        width=width,
        color=series["color"],
        alpha=series["opacity"],
        label=_plain(series["name"]),
    )


def _label_rows(ax: Axes, drawn: Sequence[Mapping[str, Any]]) -> None:
    """Text below the axis where all series count rows, and one labels them."""
    if any(each["x_values"] is not None for each in drawn):
        return
    labels = next((each["label_values"] for each in drawn if each["label_values"]), None)
    if not labels:
        return
    step = -(-len(labels) // _MOST_LABELS)
    shown = range(0, len(labels), step)
    crowded = sum(len(labels[place]) for place in shown) > 60
    ax.set_xticks(
        list(shown),
        [_plain(labels[place]) for place in shown],
        rotation=45 if crowded else 0,
        ha="right" if crowded else "center",
    )


def _dress(ax: Axes, chart: Mapping[str, Any]) -> None:
    if chart["x_log"]:
        ax.set_xscale("log", nonpositive="mask")
    if chart["y_log"]:
        ax.set_yscale("log", nonpositive="mask")
    if chart["x_range"] is not None:
        ax.set_xlim(*chart["x_range"])
    if chart["y_range"] is not None:
        ax.set_ylim(*chart["y_range"])
    if chart["title"]:
        ax.set_title(chart["title"], fontsize=_points(chart["title_size"]), parse_math=False)
    ax.set_xlabel(chart["x_title"], fontsize=_points(chart["axis_title_size"]), parse_math=False)
    ax.set_ylabel(chart["y_title"], fontsize=_points(chart["axis_title_size"]), parse_math=False)
    ax.tick_params(labelsize=_points(chart["label_size"]))
    ax.set_axisbelow(True)
    ax.grid(False)
    if chart["grid"]:
        ax.grid(True, alpha=0.4)
    if chart["legend"] and chart["series"]:
        ax.legend(fontsize=_points(chart["legend_size"]))


def _plain(text: str) -> str:
    """Text without formulas, and not hidden from the legend, as matplotlib hides what begins with an underscore."""
    escaped = text.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{escaped}" if escaped.startswith("_") else escaped
