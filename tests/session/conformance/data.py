"""Models, tables, plots and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import AFFINE, case, refused

#: Large enough to go through shared memory where there is some.
_SIDE = 120


def sheet() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A bent sheet: points [n, 3] in an oblique place, triangles [m, 3]."""
    i, j = np.mgrid[0:_SIDE, 0:_SIDE]
    flat = np.stack([i, j, np.sin(i / 9) * 4], axis=-1).reshape(-1, 3)
    first = (i * _SIDE + j)[:-1, :-1].ravel()
    triangles = np.concatenate([np.stack([first, first + 1, first + _SIDE], 1), first[:, None] + [1, _SIDE + 1, _SIDE]])
    return flat @ AFFINE[:3, :3].T + AFFINE[:3, 3], triangles


@case
def models_both_ways(slicer: Any, _: Path) -> None:
    points, triangles = sheet()
    model = slicer.add_model(points, triangles, "sheet")
    assert np.array_equal(model.points, points)
    assert np.array_equal(model.triangles, triangles)
    values = model.point_data["height"] = points[:, 2].copy()
    values[:] = 0
    assert np.array_equal(model.point_data["height"], points[:, 2]), "a copy, not what the caller changes later"
    mine = model.points
    mine += 1
    assert np.array_equal(model.points, points)
    model.points = mine
    mine[:] = 0
    assert np.allclose(model.points, points + 1)
    mesh = model.to_pyvista()
    assert np.allclose(mesh.points, points + 1)
    assert mesh.n_cells == len(triangles)
    mesh.points[:] = 0
    assert np.allclose(model.points, points + 1)
    assert not model.closed
    with refused(errors.ArrayError, "set_mesh"):
        model.points = points[:3]


@case
def tables_and_plots_both_ways(slicer: Any, _: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "text": ["a", None], "x": [0.5, float("nan")]})
    frame.attrs = {"units": {"x": "mm"}}
    table = slicer.add_table(frame, "t")
    found = table.dataframe
    pd.testing.assert_frame_equal(found, frame)
    assert found.attrs == frame.attrs
    plot = slicer.add_plot(table, "n", "x")
    (line,) = plot.figure().axes[0].lines
    assert line.get_ydata()[0] == 0.5
    assert plot.series[0].table == table


@case
def texts_both_ways(slicer: Any, _: Path) -> None:
    text = slicer.add_text("one")
    text.text = "zwei \N{SNOWMAN}"
    assert slicer["Text"].text == "zwei \N{SNOWMAN}"
    assert "SNOWMAN" not in text._repr_html_()
    assert "zwei" in text._repr_html_()
