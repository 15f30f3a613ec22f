"""Surfaces between numpy and VTK, without a Slicer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh

from slicer_notebook import errors
from slicer_notebook.commands import meshes

CORNERS = np.array([[x, y, z] for x in (0.0, 2) for y in (0.0, 3) for z in (0.0, 5)])
#: A box as quadrilaterals, seen from outside.
BOX = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def triangles_of(quads: list[list[int]]) -> np.ndarray[Any, Any]:
    return np.array([part for a, b, c, d in quads for part in ([a, b, c], [a, c, d])])


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ([3, 0, 1, 2, 3, 2, 1, 3], [[0, 1, 2], [2, 1, 3]]),
        ([3, 0, 1, 2, 4, 2, 1, 3, 0], [[0, 1, 2], [2, 1, 3, 0]]),
        # As if all had three points, but they have not: the first numbers agree by chance of position.
        ([3, 0, 1, 2, 7, 0, 1, 2, 3, 4, 5, 6], [[0, 1, 2], [0, 1, 2, 3, 4, 5, 6]]),
    ],
)
def test_rows_of_cells_come_back_as_they_were(row: list[int], cells: list[list[int]]) -> None:
    mesh = meshes.surface(np.random.default_rng(1).random((8, 3)), {"faces": np.array(row)})
    assert meshes.cells_of(mesh, "Polys").tolist() == row
    assert mesh.GetNumberOfCells() == len(cells)
    for number, cell in enumerate(cells):
        ids = mesh.GetCell(number).GetPointIds()
        assert [ids.GetId(place) for place in range(ids.GetNumberOfIds())] == cell


@pytest.mark.parametrize(
    ("faces", "word"),
    [
        ([[0, 1, 8]], "8"),
        ([[0, 1, -1]], "-1"),
        ([[0, 1]], "shape (1, 2)"),
        ([3, 0, 1], "3 at place 0 of 3"),
        ([3, 0, 1, 2, 2, 0, 1], "2 at place 4"),
        ([3, 0, 1, 2, 0], "0 at place 4"),
        ([-1, 0, 1, 2], "-1 at place 0"),
        ([[0.0, 1, 2]], "float64"),
        ([[[0, 1, 2]]], "(1, 1, 3)"),
        ([[2**64 - 1, 0, 1]], "-1"),
    ],
)
def test_cells_that_are_none_are_refused(faces: Any, word: str) -> None:
    array = np.array(faces, dtype=np.uint64) if faces == [[2**64 - 1, 0, 1]] else np.array(faces)
    with pytest.raises(errors.ArrayError) as caught:
        meshes.surface(np.zeros((8, 3)), {"faces": array})
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "points",
    [np.zeros((3, 2)), np.zeros(3), [[0, 0, np.nan]], [[0, 0, np.inf]], [["a", "b", "c"]], np.zeros((3, 3), "?")],
)
def test_points_that_are_none_are_refused(points: Any) -> None:
    with pytest.raises(errors.ArrayError, match=r"\(n, 3\)"):
        meshes.surface(points, {})


def test_single_precision_stays_and_everything_else_becomes_double() -> None:
    for dtype, kept in (("f4", "f4"), ("f8", "f8"), ("i2", "f8"), (">f4", "f4")):
        assert meshes.checked_points(np.ones((2, 3), dtype=dtype)).dtype == np.dtype(kept)


def test_cells_are_numbered_vertices_first_then_lines_faces_strips() -> None:
    mesh = meshes.surface(
        CORNERS, {"strips": [4, 0, 1, 2, 3], "faces": BOX[:2], "lines": [2, 0, 7], "vertices": [[5], [6]]}
    )
    triangles, cells = meshes.triangulated(mesh)
    assert cells.tolist() == [3, 3, 4, 4, 5, 5]
    assert {tuple(sorted(each)) for each in triangles[4:].tolist()} == {(0, 1, 2), (1, 2, 3)}
    only = meshes.surface(CORNERS, {"lines": [2, 0, 7], "faces": triangles_of(BOX)})
    triangles, cells = meshes.triangulated(only)
    assert np.array_equal(triangles, triangles_of(BOX))
    assert cells.tolist() == list(range(1, 13))
    assert meshes.triangulated(meshes.surface(CORNERS, {}))[0].shape == (0, 3)


def test_a_box_measures_what_it_is() -> None:
    area, volume, closed = meshes.measured(CORNERS + 1e5, triangles_of(BOX))
    assert (area, volume, closed) == (pytest.approx(62), pytest.approx(30), True)
    inside_out = triangles_of(BOX)[:, ::-1]
    assert meshes.measured(CORNERS, inside_out)[1] == pytest.approx(30)
    _, volume, closed = meshes.measured(CORNERS, triangles_of(BOX)[:-1])
    assert not closed
    assert np.isnan(volume)
    one_turned = triangles_of(BOX)
    one_turned[0] = one_turned[0, ::-1]
    assert not meshes.measured(CORNERS, one_turned)[2]
    assert meshes.measured(CORNERS, np.empty((0, 3), np.int64))[0] == 0


def test_a_box_with_points_for_each_triangle_is_closed_as_well() -> None:
    triangles = triangles_of(BOX)
    points = CORNERS[triangles].reshape(-1, 3)
    assert meshes.measured(points, np.arange(len(points)).reshape(-1, 3)) == (
        pytest.approx(62),
        pytest.approx(30),
        True,
    )


def test_a_hollow_is_no_part_of_the_volume() -> None:
    inner = CORNERS * 0.5 + 0.4
    triangles = np.concatenate([triangles_of(BOX), triangles_of(BOX)[:, ::-1] + 8])
    _, volume, closed = meshes.measured(np.concatenate([CORNERS, inner]), triangles)
    assert closed
    assert volume == pytest.approx(30 - 30 / 8)


def test_measures_of_an_irregular_surface_are_those_of_trimesh() -> None:
    knot = trimesh.creation.icosphere(4, 17.0)
    knot.vertices[:, 0] *= 1 + 0.3 * np.sin(knot.vertices[:, 2])
    area, volume, closed = meshes.measured(knot.vertices + np.array([120, -80, 33]), knot.faces)
    assert closed
    assert area == pytest.approx(knot.area, rel=1e-9)
    assert volume == pytest.approx(abs(knot.volume), rel=1e-9)


def test_normals_point_outwards_and_leave_points_and_faces_alone() -> None:
    ball = trimesh.creation.icosphere(3, 10.0)
    quads = np.array(BOX)
    for points, faces, of_a_ball in ((ball.vertices, ball.faces, True), (CORNERS, quads, False)):
        mesh = meshes.surface(points, {"faces": faces})
        before = meshes.cells_of(mesh, "Polys")
        meshes.compute_normals(mesh)
        normals = meshes.data_arrays(mesh.GetPointData())["Normals"]
        assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        if of_a_ball:
            assert np.allclose(normals, points / 10, atol=0.02)
        else:
            assert (normals * (points - points.mean(0)) > 0).all()
        assert np.array_equal(meshes.cells_of(mesh, "Polys"), before)
        assert mesh.GetNumberOfPoints() == len(points)
