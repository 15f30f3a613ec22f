"""A surface's small picture: where is what, what hides what, and how long it takes."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pyvista as pv
import trimesh
from PIL import Image

from slicer_notebook.commands.mesh_pictures import picture


def box(centre: tuple[float, float, float], size: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    mesh = trimesh.creation.box((size, size, size))
    return mesh.vertices + np.array(centre), mesh.faces


def together(*meshes: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]) -> tuple[Any, Any]:
    points, triangles, count = [], [], 0
    for one, faces in meshes:
        points.append(one)
        triangles.append(faces + count)
        count += len(one)
    return np.concatenate(points), np.concatenate(triangles)


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_right_is_at_the_left_and_superior_at_the_top() -> None:
    # Right and superior; left and inferior.
    found = pixels(picture(*together(box((40, 0, 40), 20), box((-40, 0, -40), 20)), (1, 0.5, 0)))
    assert found.shape == (240, 240, 4)
    shown = found[..., 3] == 255
    assert shown[10:40, 10:40].all()
    assert shown[200:230, 200:230].all()
    assert not shown[10:100, 140:230].any()
    assert not shown[140:230, 10:100].any()
    red, green, blue = found[shown][:, :3].astype(int).T
    assert np.abs(red - 2 * green).max() <= 2
    assert blue.max() == 0


def test_what_is_before_hides_what_is_behind() -> None:
    flat = np.array([[-50.0, 0, -50], [50, 0, -50], [50, 0, 50], [-50, 0, 50]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    tilted = flat * 0.5 + np.array([0, 30, 0])
    tilted[:, 1] += tilted[:, 2]  # darker, since it looks up
    alone = pixels(picture(flat, faces, (1, 1, 1)))[120, 120, 0]
    before = pixels(picture(*together((flat, faces), (tilted, faces)), (1, 1, 1)))
    behind = pixels(picture(*together((flat, faces), (tilted - [0, 100, 0], faces)), (1, 1, 1)))
    # Places are random (of a fixed seed): a pixel of some thousand may have none of the nearer surface.
    assert (behind[70:170, 70:170, 0] == alone).mean() > 0.995
    assert (before[80:160, 80:160, 0] != alone).mean() > 0.995
    assert before[20, 20, 0] == alone


def test_a_surface_has_no_holes_and_takes_no_time() -> None:
    mesh = pv.Sphere(radius=50, theta_resolution=709, phi_resolution=707)
    points, triangles = np.asarray(mesh.points), mesh.regular_faces
    took = []
    for _ in range(3):
        began = time.perf_counter()
        png = picture(points, triangles, (1, 1, 1))
        took.append(time.perf_counter() - began)
    assert min(took) < 1, took  # 0.1 s on a quiet machine
    row, column = np.mgrid[0:240, 0:240] - 119.5
    inside = np.hypot(row, column) < 108
    assert (pixels(png)[..., 3][inside] == 255).all()
    assert (pixels(png)[..., 3][np.hypot(row, column) > 117] == 0).all()


def test_nothing_to_be_seen_is_no_picture() -> None:
    assert picture(np.zeros((3, 3)), np.empty((0, 3), np.int64), (1, 1, 1)) == b""
    assert picture(np.zeros((3, 3)), np.array([[0, 1, 2]]), (1, 1, 1)) == b""
    line = np.array([[0.0, 0, 0], [0, 0, 10], [0, 0, 20]])
    assert pixels(picture(line, np.array([[0, 1, 2]]), (1, 1, 1)))[..., 3].any()
