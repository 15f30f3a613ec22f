"""Brushes, threshold and polygons, compared with what numpy and SimpleITK say of the same voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from slicer_notebook.commands import segment_editing as editing
from slicer_notebook.errors import ArgumentError
from tests.commands.segment_bench import (
    AFFINE,
    MIDDLE,
    SHAPE,
    Array,
    Bench,
    array,
    at,
    ball,
    blob,
    centres,
    image,
)

# -- brushes -----------------------------------------------------------------------------------------------------------


def to_line(points: Array, start: Array, stop: Array) -> Array:
    """Distance of points from a line, mm, by many points of it."""
    steps = np.linspace(0, 1, 400)[:, None]
    return np.min([np.linalg.norm(points - each, axis=-1) for each in start + steps * (stop - start)], axis=0)


def test_paint_a_ball(bench: Bench) -> None:
    assert bench.do(editing.paint, MIDDLE, 7.0) == ball(MIDDLE, 7.0).sum() > 300
    assert (bench.get() == ball(MIDDLE, 7.0)).all()


def test_paint_several_balls_and_out_of_the_grid(bench: Bench) -> None:
    points = [MIDDLE, at(33, 25, 17), at(-1, -1, -1)]
    bench.do(editing.paint, points, 4.0)
    assert (bench.get() == (ball(points[0], 4) | ball(points[1], 4) | ball(points[2], 4))).all()
    assert bench.do(editing.paint, at(-60, 0, 0), 4.0) == 0


def test_paint_along_a_path(bench: Bench) -> None:
    path = np.array([at(4, 4, 3), at(28, 9, 6), at(20, 22, 14)])
    bench.do(editing.paint, path, 3.0, connect=True)
    distance = np.minimum(to_line(centres(), path[0], path[1]), to_line(centres(), path[1], path[2]))
    found = bench.get()
    # The reference is made of points 0.1 mm apart: off by 1 µm at most at this distance.
    sure = np.abs(distance - 3.0) > 0.001
    assert (found == (distance <= 3.0))[sure].all()
    assert found.sum() > 500


def test_paint_a_disc_in_the_grids_slices(bench: Bench) -> None:
    point = at(16, 12, 8.3)
    bench.do(editing.paint, point, 6.0, "circle")
    expected = np.zeros(SHAPE, bool)
    offset = centres()[8] - at(16, 12, 8)
    expected[8] = np.linalg.norm(offset, axis=-1) <= 6.0
    assert (bench.get() == expected).all()


def test_paint_a_disc_in_a_view(bench: Bench) -> None:
    """The view's plane is oblique to the grid: normal and thickness are compared by hand."""
    bench.host.slicer.util.setSliceViewerLayers(background=bench.volume, fit=True)
    bench.do(editing.paint, MIDDLE, 9.0, "circle", view="Green")
    normal = np.array([0.0, 1.0, 0.0])
    offset = centres() - MIDDLE
    height = offset @ normal
    thickness = np.abs(normal @ AFFINE[:3, :3]).max()
    flat = np.linalg.norm(offset - height[..., None] * normal, axis=-1)
    assert (bench.get() == ((np.abs(height) < thickness / 2) & (flat <= 9.0))).all()
    assert bench.get().sum() > 50


def test_erase(bench: Bench) -> None:
    bench.put(blob())
    gone = bench.do(editing.erase, at(20, 14, 9), 5.0)
    assert (bench.get() == (blob() & ~ball(at(20, 14, 9), 5.0))).all()
    assert gone == (blob() & ball(at(20, 14, 9), 5.0)).sum()


def test_below_a_transform_points_are_where_they_are_seen(bench: Bench) -> None:
    from tests.session.oblique import rigid

    transform = bench.host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(bench.host.matrix(rigid()))
    for node in (bench.node, bench.volume):
        node.SetAndObserveTransformNodeID(transform.GetID())
    bench.do(editing.paint, (rigid() @ np.append(MIDDLE, 1))[:3], 7.0)
    bench.node.SetAndObserveTransformNodeID(None)
    bench.volume.SetAndObserveTransformNodeID(None)
    assert (bench.get() == ball(MIDDLE, 7.0)).all()


# -- threshold ---------------------------------------------------------------------------------------------------------


def test_threshold(bench: Bench) -> None:
    bench.put(blob())
    bench.do(editing.threshold, 99.5, 200)
    expected = array(sitk.BinaryThreshold(image(bench.voxels), 100, 200)) > 0
    assert (bench.get() == expected).all()
    bench.do(editing.threshold, None, 10)
    assert (bench.get() == (bench.voxels <= 10)).all()


@pytest.mark.parametrize(
    ("method", "filter_class"),
    [
        ("otsu", sitk.OtsuThresholdImageFilter),
        ("li", sitk.LiThresholdImageFilter),
        ("yen", sitk.YenThresholdImageFilter),
        ("huang", sitk.HuangThresholdImageFilter),
        ("moments", sitk.MomentsThresholdImageFilter),
    ],
)
def test_auto_threshold(bench: Bench, method: str, filter_class: Any) -> None:
    """Two hills of intensities, whose valley each method finds somewhere in its histogram of 256 or 128 bins."""
    rng = np.random.default_rng(5)
    values = np.where(ball(), rng.normal(220, 15, SHAPE), rng.normal(60, 25, SHAPE)).astype(np.int16)
    bench.host.set_voxels(bench.volume, values)
    wanted = filter_class()
    wanted.SetNumberOfHistogramBins(256)
    wanted.Execute(image(values))
    bins = float(np.ptp(values)) / 256
    assert bench.do(editing.auto_threshold, method) == pytest.approx(wanted.GetThreshold(), abs=3 * bins)


def test_all_methods_of_auto_threshold_answer(bench: Bench) -> None:
    from slicer_notebook.commands.segment_filters import AUTO_METHODS

    found = [bench.do(editing.auto_threshold, method) for method in AUTO_METHODS]
    assert all(bench.voxels.min() <= each <= bench.voxels.max() for each in found)
    with pytest.raises(ArgumentError, match="no method"):
        bench.do(editing.auto_threshold, "best")


# -- polygons ----------------------------------------------------------------------------------------------------------


def even_odd(x: Array, y: Array, polygon: Array) -> Array:
    """Point in polygon, edge by edge."""
    inside = np.zeros(x.shape, bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        if y1 != y2:
            inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


STAR = np.array([[8.2, 4.1], [28.3, 10.2], [9.4, 16.3], [22.5, 3.4], [20.6, 21.7]])  # i, j: it crosses itself


def corners(polygon: Array = STAR, k: float = 8.0) -> Array:
    return np.array([at(i, j, k) for i, j in polygon])


def in_star() -> Array:
    """Bool [j, i]."""
    j, i = np.indices(SHAPE[1:])
    return even_odd(i.astype(float), j.astype(float), STAR)


def test_draw_in_its_own_plane(bench: Bench) -> None:
    bench.do(editing.draw, corners(k=8.2))
    expected = np.zeros(SHAPE, bool)
    expected[8] = in_star()
    assert expected.sum() > 50
    assert (bench.get() == expected).all()


def test_scissors_along_a_direction(bench: Bench) -> None:
    through = np.broadcast_to(in_star(), SHAPE)
    for operation, expected in (
        ("erase_inside", blob() & ~through),
        ("erase_outside", blob() & through),
        ("fill_inside", blob() | through),
        ("fill_outside", blob() | ~through),
    ):
        bench.put(blob())
        bench.do(editing.scissors, corners(), operation, direction=AFFINE[:3, 2])
        assert (bench.get() == expected).all(), operation


@pytest.mark.parametrize(
    ("depth", "thickness", "slices"),
    [
        ("positive", 0, range(8, 18)),
        ("negative", 0, range(9)),
        ("symmetric", 0, [8]),
        ("symmetric", 12.0, range(6, 11)),
    ],
)
def test_scissors_of_some_depth(bench: Bench, depth: str, thickness: float, slices: Any) -> None:
    bench.put(np.ones(SHAPE, bool))
    bench.do(editing.scissors, corners(), "erase_outside", direction=AFFINE[:3, 2], depth=depth, thickness=thickness)
    expected = np.zeros(SHAPE, bool)
    expected[list(slices)] = in_star()
    assert (bench.get() == expected).all()


def picture_of(bench: Bench, view: str) -> tuple[Array, Array]:
    """Column and row of each voxel's centre in a view, by VTK's own vtkCoordinate (3-D) or XYToRAS (slice)."""
    from vtkmodules.vtkRenderingCore import vtkCoordinate

    shown = bench.host.view(view)
    height = shown.size[1]
    if shown.kind == "slice":
        matrix = shown.node.GetXYToRAS()
        to_ras = np.array([[matrix.GetElement(a, b) for b in range(4)] for a in range(4)])
        points = np.concatenate([centres(), np.ones((*SHAPE, 1))], axis=-1) @ np.linalg.inv(to_ras).T
        return points[..., 0], height - 1 - points[..., 1]
    coordinate, renderer = vtkCoordinate(), shown.native.first_renderer()
    coordinate.SetCoordinateSystemToWorld()
    found = []
    for point in centres().reshape(-1, 3):
        coordinate.SetValue(*point)
        found.append(coordinate.GetComputedDoubleDisplayValue(renderer)[:2])
    x, y = np.array(found).reshape(*SHAPE, 2).transpose(3, 0, 1, 2)
    return x, height - 1 - y


@pytest.mark.parametrize("view", ["Red", "Green", "1"])
def test_scissors_in_a_view(bench: Bench, view: str) -> None:
    bench.host.slicer.util.setSliceViewerLayers(background=bench.volume, fit=True)
    if view == "1":
        shown = bench.host.view("1")
        camera = shown.native.first_renderer().GetActiveCamera()
        camera.SetFocalPoint(*MIDDLE)
        camera.SetPosition(*(MIDDLE + np.array([90, -40, 60])))
        camera.SetViewUp(0, 0.3, 1)
    bench.put(np.ones(SHAPE, bool))
    x, y = picture_of(bench, view)
    middle = np.array([np.median(x), np.median(y)])
    polygon = middle + np.array([[-61.3, -44.2], [70.4, -12.7], [9.1, 3.3], [31.7, 80.2]])
    bench.do(editing.scissors, polygon, "erase_inside", view=view)
    inside = even_odd(x, y, polygon)
    assert inside.sum() > 300
    assert (bench.get() == ~inside).all()


def test_draw_in_a_view_by_pixels(bench: Bench) -> None:
    bench.host.slicer.util.setSliceViewerLayers(background=bench.volume, fit=True)
    x, y = picture_of(bench, "Yellow")
    polygon = np.array([[150.2, 140.1], [380.4, 180.3], [260.6, 390.7]])
    bench.do(editing.draw, polygon, view="Yellow")
    matrix = bench.host.view("Yellow").node.GetSliceToRAS()
    normal = np.array([matrix.GetElement(a, 2) for a in range(3)])
    origin = np.array([matrix.GetElement(a, 3) for a in range(3)])
    height = (centres() - origin) @ normal
    half = np.abs(normal @ AFFINE[:3, :3]).max() / 2
    expected = even_odd(x, y, polygon) & (np.abs(height) < half)
    assert expected.sum() > 50
    assert (bench.get() == expected).all()
