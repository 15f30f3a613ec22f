"""Points placed by clicks in the views, through Slicer's own widgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slicer_notebook.commands.markups import add_markups, markups_points
from slicer_notebook.commands.markups_display import end_place, place, placing, summary
from slicer_notebook.errors import ArrayError
from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.interaction import Interaction
from slicer_notebook.protocol.values import NodeRef


class Mouse:
    """The mouse over a slice view."""

    def __init__(self, host: HeadlessHost, name: str) -> None:
        self.view = host.view(name)
        self.view.image()  # what nobody has drawn has no place
        self._does = Interaction(self.view.render_window.GetInteractor(), lambda: self.view.size)

    def move(self, x: float, y: float) -> None:
        self._does.apply({"type": "pointer_move", "x": x, "y": y})

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        for kind in ("pointer_down", "pointer_up"):
            self._does.apply({"type": kind, "x": x, "y": y, "button": 1})

    def double_click(self, x: float, y: float) -> None:
        self.click(x, y)
        self._does.apply({"type": "double_click", "x": x, "y": y, "button": 1})

    def ras(self, x: float, y: float) -> Any:
        """RAS, mm, of a part of the picture's width and height, from the upper left."""
        width, height = self.view.size
        matrix = self.view.node.GetXYToRAS()
        point = matrix.MultiplyPoint((x * width, height - 1 - y * height, 0, 1))
        return np.array(point[:3])


@pytest.fixture
def mouse(host: HeadlessHost, volume: Any) -> Any:
    yield Mouse(host, "Red")
    end_place(host)


def new(host: HeadlessHost, kind: str) -> NodeRef:
    return add_markups(host, [], kind, kind=kind)


def test_clicks_place_points_until_it_is_ended(host: HeadlessHost, mouse: Mouse) -> None:
    points = new(host, "points")
    place(host, points)
    assert placing(host) == points
    spots = [(0.4, 0.4), (0.6, 0.45), (0.5, 0.7)]
    for spot in spots:
        mouse.click(*spot)
    found = markups_points(host, points)
    pixel = mouse.view.node.GetFieldOfView()[0] / mouse.view.size[0]
    np.testing.assert_allclose(found, [mouse.ras(*spot) for spot in spots], atol=1.5 * pixel)
    assert placing(host) == points
    end_place(host)
    assert placing(host) is None
    mouse.click(0.2, 0.2)
    assert len(markups_points(host, points)) == 3


def test_a_point_that_follows_the_mouse_is_none_yet(host: HeadlessHost, mouse: Mouse) -> None:
    points = new(host, "points")
    place(host, points)
    mouse.click(0.4, 0.4)
    mouse.move(0.6, 0.6)
    node = host.node(points)
    assert node.GetNumberOfControlPoints() == 2
    assert len(markups_points(host, points)) == 1
    assert summary(host, points)["count"] == 1


def test_a_single_one_ends_it(host: HeadlessHost, mouse: Mouse) -> None:
    points = new(host, "points")
    place(host, points, persistent=False)
    mouse.click(0.4, 0.4)
    assert placing(host) is None
    mouse.click(0.6, 0.6)
    assert len(markups_points(host, points)) == 1


def test_a_line_has_all_its_points(host: HeadlessHost, mouse: Mouse) -> None:
    line = new(host, "line")
    place(host, line, persistent=False)
    mouse.click(0.4, 0.4)
    assert placing(host) == line
    mouse.click(0.6, 0.6)
    assert placing(host) is None
    ends = markups_points(host, line)
    assert summary(host, line)["measurements"]["length"] == f"{np.linalg.norm(ends[1] - ends[0]):.2f}mm"
    with pytest.raises(ArrayError, match="all its points"):
        place(host, line)


def test_a_double_click_ends_a_curve(host: HeadlessHost, mouse: Mouse) -> None:
    curve = new(host, "curve")
    place(host, curve, persistent=False)
    for spot in ((0.3, 0.3), (0.5, 0.35), (0.6, 0.6)):
        mouse.click(*spot)
    assert placing(host) == curve
    mouse.double_click(0.4, 0.7)
    assert placing(host) is None
    assert len(markups_points(host, curve)) == 4


def test_rois_and_planes_are_placed_too(host: HeadlessHost, mouse: Mouse) -> None:
    for kind, clicks in (("roi", 2), ("plane", 1)):
        markups = new(host, kind)
        place(host, markups, persistent=False)
        for spot in ((0.4, 0.4), (0.6, 0.65))[:clicks]:
            mouse.click(*spot)
        assert placing(host) is None
        assert len(markups_points(host, markups)) == 1
