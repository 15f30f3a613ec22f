"""Plots: charts and series of MRML, drawn by matplotlib."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session import Plot

TIMES = np.array([0.0, 0.5, 2.0, 3.0])


def curves() -> pd.DataFrame:
    found = pd.DataFrame(
        {"time": TIMES, "lesion": [1.0, 8, 5, 2], "vessel": [10, 90, 40, 30], "phase": ["none", "art", "ven", "late"]}
    )
    found["wash"] = [True, False, True, False]
    found.attrs = {"units": {"time": "s", "lesion": "HU", "vessel": "HU"}, "titles": {"lesion": "Lesion"}}
    return found


def axes(plot: Plot) -> Axes:
    found: Axes = plot.figure().axes[0]
    return found


def test_lines_over_a_column(slicer: sn.Session) -> None:
    table = slicer.add_table(curves())
    plot = slicer.add_plot(table, "time", ["lesion", "vessel"], name="curve", title="Contrast")
    ax = axes(plot)
    assert [line.get_label() for line in ax.lines] == ["Lesion", "vessel"]
    for line, name in zip(ax.lines, ("lesion", "vessel"), strict=True):
        assert np.array_equal(line.get_xdata(), TIMES)
        assert np.array_equal(line.get_ydata(), curves()[name])
        assert line.get_linestyle() == "-"
        assert line.get_marker() in ("none", "None")
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("Contrast", "time (s)", "HU")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Lesion", "vessel"]
    assert [series.kind for series in plot.series] == ["scatter", "scatter"], "MRML's lines have no x"
    colors = [series.color for series in plot.series]
    assert len(set(colors)) == 2
    assert (0, 0, 0) not in colors
    assert [to_rgb(line.get_color()) for line in ax.lines] == [pytest.approx(color) for color in colors]
    assert [series.table for series in plot.series] == [table, table]
    assert (plot.name, plot.title) == ("curve", "Contrast")


def test_it_follows_the_table(slicer: sn.Session) -> None:
    table = slicer.add_table(curves())
    plot = slicer.add_plot(table, "time", "lesion")
    changed = curves()
    changed["lesion"] *= 2
    table.dataframe = changed
    assert axes(plot).lines[0].get_ydata()[1] == 16
    table.dataframe = changed.drop(columns="lesion")
    ax = axes(plot)
    assert "no column 'lesion'" in ax.get_legend().get_texts()[0].get_text()
    table.remove()
    assert "no table" in axes(plot).get_legend().get_texts()[0].get_text()


def test_what_is_missing_is_not_drawn(slicer: sn.Session) -> None:
    gaps = pd.DataFrame(
        {"few": pd.array([1, None, 3], dtype="Int64"), "large": pd.array([2**60, None, 5], dtype="Int64")}
    )
    for line in axes(slicer.add_plot(gaps)).lines:
        assert np.isnan(line.get_ydata()).tolist() == [False, True, False]


def test_points_have_markers_and_no_line(slicer: sn.Session) -> None:
    plot = slicer.add_plot(curves(), "time", "vessel", kind="scatter")
    (line,) = axes(plot).lines
    assert (line.get_linestyle(), line.get_marker()) == ("None", "o")
    assert np.array_equal(line.get_xdata(), TIMES)


def test_rows_are_counted_without_x_and_labelled_by_text(slicer: sn.Session) -> None:
    (line,) = axes(slicer.add_plot(curves(), y="lesion")).lines
    assert line.get_xdata().tolist() == [0, 1, 2, 3]
    plot = slicer.add_plot(curves(), "phase", "lesion")
    assert (plot.series[0].kind, plot.series[0].labels) == ("line", "phase")
    assert [text.get_text() for text in axes(plot).get_xticklabels()] == ["none", "art", "ven", "late"]


def test_bars_stand_side_by_side(slicer: sn.Session) -> None:
    plot = slicer.add_plot(curves(), "phase", ["lesion", "vessel"], kind="bar")
    assert [series.kind for series in plot.series] == ["bar", "bar"]
    bars = axes(plot).patches
    lesion, vessel = bars[:4], bars[4:]
    assert [bar.get_height() for bar in lesion] == curves()["lesion"].tolist()
    for place, (one, two) in enumerate(zip(lesion, vessel, strict=True)):
        assert one.get_x() + one.get_width() == pytest.approx(two.get_x())
        assert (one.get_x() + two.get_x() + two.get_width()) / 2 == pytest.approx(place)
    at = slicer.add_plot(curves(), "time", "lesion", kind="bar")
    assert at.series[0].kind == "scatterbar"
    bars = axes(at).patches
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(TIMES.tolist())
    assert max(bar.get_width() for bar in bars) < 0.5, "the nearest two do not touch"


def test_all_columns_of_numbers_without_y(slicer: sn.Session) -> None:
    plot = slicer.add_plot(curves(), "time")
    assert [series.y for series in plot.series] == ["lesion", "vessel"]


def test_a_chart_is_drawn_as_mrml_has_it(slicer: sn.Session) -> None:
    plot = slicer.add_plot(curves(), "time", "lesion")
    slicer.run(
        f"chart = slicer.mrmlScene.GetNodeByID({plot.id!r})\n"
        "chart.SetTitle('$5 a $'); chart.SetXAxisTitle('x'); chart.SetYAxisTitle('y_1')\n"
        "chart.SetXAxisRangeAuto(False); chart.SetXAxisRange(-1, 7)\n"
        "chart.SetYAxisLogScale(True); chart.SetGridVisibility(False); chart.SetLegendVisibility(False)\n"
        "series = chart.GetNthPlotSeriesNode(0)\n"
        "series.SetColor(0.25, 0.5, 0.75); series.SetOpacity(0.5); series.SetLineWidth(4); series.SetMarkerSize(10)\n"
        "series.SetLineStyle(series.LineStyleDashDotDot); series.SetMarkerStyle(series.MarkerStyleDiamond)\n"
    )
    ax = axes(plot)
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("$5 a $", "x", "y_1")
    assert ax.get_xlim() == (-1, 7)
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert ax.get_legend() is None
    assert not any(line.get_visible() for line in ax.get_xgridlines())
    (line,) = ax.lines
    assert to_rgb(line.get_color()) == (0.25, 0.5, 0.75)
    assert (line.get_alpha(), line.get_marker()) == (0.5, "D")
    # MRML's sizes are pixels; the figure has 100 of them in an inch of 72 points.
    assert (line.get_linewidth(), line.get_markersize()) == pytest.approx((2.88, 7.2))
    assert (plot.x_range, plot.y_range) == ((-1, 7), "auto")
    assert (plot.x_log, plot.y_log, plot.grid, plot.legend) == (False, True, False, False)
    plot.figure()._repr_png_()  # type: ignore[attr-defined] - the dollars are no formula
    series = plot.series[0]
    assert (series.line_style, series.marker, series.line_width, series.marker_size) == (
        "dash-dot-dot",
        "diamond",
        4,
        10,
    )


def test_charts_and_series_are_edited(slicer: sn.Session) -> None:
    table = slicer.add_table(curves())
    plot = slicer.add_plot(table, "time", "lesion")
    plot.title, plot.x_title, plot.y_title = "T", "X", "Y"
    plot.y_range = (0, 12)
    plot.x_log = plot.grid = plot.legend = True
    plot.x_range = "auto"
    ax = axes(plot)
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim()) == ("T", "X", "Y", (0, 12))
    assert ax.get_xscale() == "log"
    series = plot.series[0]
    series.name = "Läsion"
    series.color, series.opacity, series.line_width, series.marker_size = (1, 0, 0), 0.5, 3, 5
    series.line_style, series.marker = "dash", "cross"
    series.y = "vessel"
    (line,) = axes(plot).lines
    assert (line.get_label(), to_rgb(line.get_color()), line.get_linestyle()) == ("Läsion", (1, 0, 0), "--")
    assert line.get_marker() == "x"
    assert line.get_ydata().tolist() == [10, 90, 40, 30]
    series.kind = "line"
    series.labels = "phase"
    assert axes(plot).lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    other = slicer.add_table({"v": [5, 6]})
    added = plot.add_series(other, "v", kind="bar")
    assert [each.name for each in plot.series] == ["Läsion", "v"]
    plot.remove_series(added)
    assert added not in slicer.nodes("vtkMRMLPlotSeriesNode")
    with pytest.raises(errors.NodeNotFoundError):
        plot.remove_series(added)
    plot.remove()
    assert slicer.nodes("vtkMRMLPlotSeriesNode") == []
    assert table in slicer.nodes("vtkMRMLTableNode"), "tables stay"


def test_a_series_of_two_charts_stays_with_the_other(slicer: sn.Session) -> None:
    one = slicer.add_plot(curves(), "time", "lesion")
    two = slicer.add_plot(curves(), "time", "vessel")
    (shared,) = one.series
    slicer.run(f"slicer.mrmlScene.GetNodeByID({two.id!r}).AddAndObservePlotSeriesNodeID({shared.id!r})")
    one.remove()
    assert [series.y for series in two.series] == ["vessel", "lesion"]
    with pytest.raises(errors.ArgumentError, match="no series"):
        slicer.add_plot(curves(), "time", "vessel").remove_series(shared)


def test_a_column_of_another_name_is_refused_whatever_way_it_is_given(slicer: sn.Session) -> None:
    for arguments, word in (
        ({"y": "liver"}, "liver"),
        ({"y": "phase"}, "does not hold numbers"),
        ({"y": "wash"}, "does not hold numbers"),
        ({"x": "place", "y": "lesion"}, "place"),
        ({"x": "phase", "y": "lesion", "kind": "scatter"}, "phase"),
        ({"y": "lesion", "kind": "scatter"}, "needs x"),
        ({"y": []}, "series"),
        ({"y": "lesion", "kind": "pie"}, "pie"),
    ):
        with pytest.raises(errors.ArgumentError, match=word):
            slicer.add_plot(curves(), **arguments)  # type: ignore[arg-type]
    assert slicer.nodes("vtkMRMLTableNode") == slicer.nodes("vtkMRMLPlotChartNode") == []
    plot = slicer.add_plot(curves(), "time", "lesion")
    (series,) = plot.series
    wrong: list[tuple[Any, str, Any]] = [
        (plot, "x_range", (3, 1)), (plot, "y_range", "all"), (series, "y", "phase"), (series, "x", "place"),
        (series, "labels", "place"), (series, "color", "red"), (series, "opacity", 2), (series, "marker_size", -1),
        (series, "line_style", "wave"), (series, "marker", "star"), (series, "kind", "pie"),
    ]  # fmt: skip
    for handle, name, value in wrong:
        with pytest.raises(errors.ArgumentError):
            setattr(handle, name, value)
    assert (series.y, series.x, series.opacity) == ("lesion", "time", 1)


def test_it_shows_itself_as_a_picture(slicer: sn.Session, tmp_path: Path) -> None:
    plot = slicer.add_plot(curves(), "time", "lesion", name="<b>")
    png = plot._repr_png_()
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (640, 400)
        colors = {color for _, color in picture.convert("RGB").getcolors(100_000) or []}
    wanted = tuple(round(255 * part) for part in plot.series[0].color)
    assert min(max(abs(a - b) for a, b in zip(color, wanted, strict=True)) for color in colors) <= 2, (
        "the line is there"
    )
    card = plot._repr_html_()
    assert "data:image/png;base64," in card
    assert "&lt;b&gt;" in card
    assert "<b>Plot" not in card
    assert isinstance(plot.show(), Figure)
    ax = Figure().add_subplot()
    assert plot.draw(ax) is ax
    assert len(ax.lines) == 1
    assert len(plot.draw().lines) == 1
    for ending, begins in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        assert plot.save(tmp_path / f"plot.{ending}").read_bytes().startswith(begins)
    with pytest.raises(errors.ArgumentError, match="inches"):
        plot.figure((0, 3))


def test_a_strict_notebook_gets_no_picture_unasked(slicer: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = slicer.add_plot(curves(), "time", "lesion", name="Doe")
    monkeypatch.setenv("SLICER_NOTEBOOK_PRIVACY", "strict")
    assert plot._repr_png_() is None
    card = plot._repr_html_()
    assert "Doe" not in card
    assert "image/png" not in card
    assert "Doe" not in plot.series[0]._repr_html_()


def test_a_scene_that_is_saved_has_all_of_it(slicer: sn.Session, tmp_path: Path) -> None:
    table = slicer.add_table(curves(), "curves")
    plot = slicer.add_plot(table, "time", ["lesion", "vessel"], name="contrast")
    plot.y_log, plot.series[1].line_style = True, "dash"
    slicer.add_text("Grüße", "note")
    slicer.save(tmp_path / "scene.mrb")
    slicer.clear()
    slicer.load(tmp_path / "scene.mrb")
    found = slicer["curves"].dataframe
    pd.testing.assert_frame_equal(found, curves())
    assert found.attrs == curves().attrs
    ax = axes(slicer["contrast"])
    assert [line.get_ydata().tolist() for line in ax.lines] == [
        curves()[name].tolist() for name in ("lesion", "vessel")
    ]
    assert (ax.get_yscale(), ax.lines[1].get_linestyle()) == ("log", "--")
    assert slicer["note"].text == "Grüße"
