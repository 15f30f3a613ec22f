"""Cameras of 3-D views: what they see is what is set, and what does not fit is refused."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, ViewNotFoundError
from slicer_notebook.session import Camera
from slicer_notebook.session.cameras import camera_of

DEADLINE = 30.0


@pytest.fixture
def camera(slicer: sn.Session) -> Camera:
    found = camera_of(slicer, "3D")
    found.set(position=(0, 500, 0), focal_point=(0, 0, 0), view_up=(0, 0, 1), view_angle=30, parallel=False)
    return found


def green(slicer: sn.Session) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Rows and columns of green pixels in the 3-D view's picture, 200 x 200."""
    picture = slicer.view("3D").image((200, 200)).array.astype(int)
    return np.argwhere((picture[..., 1] > 100) & (picture[..., 0] < 80) & (picture[..., 2] < 80))


def test_a_view_has_a_camera(slicer: sn.Session, camera: Camera) -> None:
    assert isinstance(camera, Camera)
    assert camera.view == "1"
    assert camera_of(slicer, "1") == camera
    assert camera.view_angle == 30
    with pytest.raises(ArgumentError, match="a 3-D view"):
        camera_of(slicer, "Red")
    with pytest.raises(ViewNotFoundError):
        camera_of(slicer, "Blue")


def test_it_can_be_set(camera: Camera) -> None:
    camera.position = (10, -20, 400)
    camera.focal_point = (1, 2, 3)
    camera.view_up = (0, 2, 0)
    camera.view_angle = 45
    camera.parallel, camera.parallel_scale = True, 75.0
    np.testing.assert_allclose(camera.position, (10, -20, 400))
    np.testing.assert_allclose(camera.focal_point, (1, 2, 3))
    np.testing.assert_allclose(camera.view_up, (0, 1, 0))
    assert (camera.view_angle, camera.parallel, camera.parallel_scale) == (45, True, 75)


def test_it_sees_what_is_set(slicer: sn.Session, camera: Camera) -> None:
    """A point to the patient's right is at the left, seen from the front; parallel, so many pixels for a mm."""
    point = slicer.add_markups([[30, 0, 40]], "p", [""])
    point.glyph_size, point.color = 10, (0, 1, 0)
    camera.set(parallel=True, parallel_scale=100)
    row, column = green(slicer).mean(axis=0)
    assert row == pytest.approx(100 - 40, abs=2)
    assert column == pytest.approx(100 - 30, abs=2)
    camera.look_from("posterior")
    assert green(slicer).mean(axis=0)[1] == pytest.approx(100 + 30, abs=2)
    # Far away, it is not cut off.
    camera.set(position=(0, 50_000, 0), focal_point=(0, 0, 0))
    assert green(slicer).mean(axis=0)[1] == pytest.approx(100 - 30, abs=2)


@pytest.mark.parametrize(
    ("side", "direction"),
    [
        ("right", (1, 0, 0)), ("left", (-1, 0, 0)), ("anterior", (0, 1, 0)), ("posterior", (0, -1, 0)),
        ("superior", (0, 0, 1)), ("inferior", (0, 0, -1)),
    ],
)  # fmt: skip
def test_it_looks_from_a_side(camera: Camera, side: str, direction: tuple[int, int, int]) -> None:
    camera.set(position=(5, 305, 7), focal_point=(5, 5, 7))
    camera.look_from(side)  # type: ignore[arg-type]
    np.testing.assert_allclose(camera.position, np.array([5, 5, 7]) + 300 * np.array(direction), atol=1e-6)
    np.testing.assert_allclose(camera.focal_point, (5, 5, 7))


def test_what_does_not_fit_is_refused(camera: Camera) -> None:
    for values, words in (
        ({"position": (0, 0, 0)}, "where it looks to"),
        ({"view_up": (0, 1, 0)}, "along view_up"),
        ({"view_up": (0, 0, 0)}, "no direction"),
        ({"view_angle": 180}, "view angle"),
        ({"parallel_scale": 0}, "parallel scale"),
        ({"focal_point": (0, float("nan"), 0)}, "focal_point"),
    ):
        with pytest.raises(ArgumentError, match=words):
            camera.set(**values)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="superior"):
        camera.look_from("above")  # type: ignore[arg-type]
    np.testing.assert_allclose(camera.position, (0, 500, 0))
    # All at once, what one after the other would not be.
    camera.set(position=(0, 0, 100), view_up=(0, 1, 0))
    np.testing.assert_allclose(camera.view_up, (0, 1, 0))


def test_moves_are_told(camera: Camera) -> None:
    heard = threading.Event()
    subscription = camera.on("modified", lambda _: heard.set())
    camera.position = (1, 300, 2)
    assert heard.wait(DEADLINE)
    subscription.close()


def test_the_card_says_what_matters(camera: Camera) -> None:
    card = camera._repr_html_()
    assert "R 0.0, A 500.0, S 0.0 mm" in card
    assert "500.0 mm away" in card
    assert "perspective, 30.0" in card
    camera.set(parallel=True, parallel_scale=60)
    assert "parallel, 120.0 mm high" in camera._repr_html_()
