"""What the mouse and the keys do in Slicer's views, by the events that a browser sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.interaction import Interaction, cursor_of


def event(kind: str, x: float = 0.5, y: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"type": kind, "x": x, "y": y, "buttons": [], "modifiers": [], **more}


@pytest.fixture
def red(host: HeadlessHost, volume: Any) -> Iterator[Any]:
    view = host.view("Red")
    view.image()
    yield view
    mode = host.application.logic.GetInteractionNode()
    mode.SetCurrentInteractionMode(mode.ViewTransform)


@pytest.fixture
def hand(red: Any) -> Interaction:
    return Interaction(red.native.interactor(), lambda: red.size)


def drag(hand: Interaction, button: int, start: tuple[float, float], end: tuple[float, float]) -> None:
    hand.apply(event("pointer_move", *start))
    hand.apply(event("pointer_down", *start, button=button, buttons=[button]))
    for part in (0.5, 1.0):
        place = [a + part * (b - a) for a, b in zip(start, end, strict=True)]
        hand.apply(event("pointer_move", *place, button=button, buttons=[button]))
    hand.apply(event("pointer_up", *end, button=button))


@pytest.mark.parametrize(("notches", "slices"), [(1, -1), (-2, 2), (0.4, 0)])
def test_a_notch_of_the_wheel_is_a_slice(red: Any, hand: Interaction, notches: float, slices: int) -> None:
    before = red.offset
    hand.apply(event("wheel", notches=notches))
    assert red.offset == pytest.approx(before + slices * red.offset_step)


def test_parts_of_a_notch_add_up(red: Any, hand: Interaction) -> None:
    before = red.offset
    for _ in range(4):
        hand.apply(event("wheel", notches=-0.25))
    assert red.offset == pytest.approx(before + red.offset_step)


def test_the_pointer_is_where_the_browser_has_it(host: HeadlessHost, red: Any, hand: Interaction) -> None:
    crosshair = host.nodes("vtkMRMLCrosshairNode")[0]
    hand.apply(event("pointer_move", 0.25, 0.125))
    found = [0.0, 0.0, 0.0]
    crosshair.GetCursorPositionRAS(found)
    width, height = red.size
    expected = red.node.GetXYToRAS().MultiplyPoint((0.25 * width, 0.875 * height, 0, 1))[:3]
    pixel = red.node.GetFieldOfView()[0] / width
    assert np.allclose(found, expected, atol=1.01 * pixel)


def test_a_drag_that_ends_with_the_release_goes_all_the_way(red: Any, hand: Interaction) -> None:
    # A browser may tell of the release before the last move.
    hand.apply(event("pointer_down", 0.5, 0.5, button=3, buttons=[3]))
    hand.apply(event("pointer_up", 0.6, 0.5, button=3))
    assert abs(red.node.GetXYZOrigin()[0]) == pytest.approx(0.1 * red.node.GetFieldOfView()[0], rel=0.05)


def test_what_is_pressed_is_let_go_of_when_nobody_is_there(red: Any, hand: Interaction) -> None:
    hand.apply(event("pointer_down", 0.5, 0.5, button=2, buttons=[2]))
    assert hand.pressed
    hand.release()
    assert not hand.pressed
    field = red.node.GetFieldOfView()
    hand.apply(event("pointer_move", 0.5, 0.9))
    assert red.node.GetFieldOfView() == field


def test_a_release_of_what_was_not_pressed_here_is_nothing(red: Any, hand: Interaction) -> None:
    field = red.node.GetFieldOfView()
    hand.apply(event("pointer_up", 0.5, 0.9, button=2))
    assert red.node.GetFieldOfView() == field


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "wheel", "x": 0.5, "y": 0.5},
        event("wheel", notches=float("nan")),
        event("pointer_move", float("inf"), 0.5),
        event("pointer_down", button="left"),
        event("pointer_down"),
        {"type": "key_down"},
    ],
)
def test_what_is_no_event_is_refused(hand: Interaction, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="no event of a view"):
        hand.apply(wrong)


def test_unknown_events_and_far_places_do_no_harm(red: Any, hand: Interaction) -> None:
    before = red.offset
    hand.apply({"type": "telepathy"})
    hand.apply(event("pointer_move", 1e9, -1e9))
    hand.apply(event("pointer_down", button=5))
    hand.apply(event("wheel", notches=1e12))
    assert red.offset <= before


def test_keys_have_xs_names(red: Any, hand: Interaction) -> None:
    heard: list[tuple[str, str]] = []
    interactor = red.native.interactor()

    def hear(*_: Any) -> None:
        heard.append((interactor.GetKeySym(), interactor.GetKeyCode()))

    # Before Slicer's own, which keeps some for itself.
    tag = interactor.AddObserver("KeyPressEvent", hear, 100.0)
    for key in ("f", "ArrowUp", "Delete", " ", "F2"):
        hand.apply({"type": "key_down", "key": key, "modifiers": []})
        hand.apply({"type": "key_up", "key": key, "modifiers": []})
    interactor.RemoveObserver(tag)
    assert [sym for sym, _ in heard] == ["f", "Up", "Delete", "space", "F2"]
    assert [code for _, code in heard][:1] == ["f"]


def test_a_markups_point_changes_the_pointer_and_is_dragged(slicer: Any, red: Any, hand: Interaction) -> None:
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.CreateDefaultDisplayNodes()
    to_ras = red.node.GetXYToRAS()
    points.AddControlPoint(*to_ras.MultiplyPoint((200, 300, 0, 1))[:3])
    red.image()
    width, height = red.size
    start, end = (200.5 / width, 1 - 300.5 / height), (250.5 / width, 1 - 320.5 / height)
    hand.apply(event("pointer_move", *start))
    hand.apply(event("pointer_move", *start))
    assert cursor_of(red.render_window) == "pointer"
    drag(hand, 1, start, end)
    found = [0.0, 0.0, 0.0]
    points.GetNthControlPointPosition(0, found)
    assert np.allclose(found, to_ras.MultiplyPoint((250, 320, 0, 1))[:3], atol=0.5)


def test_the_pointers_place_is_a_pixel_of_the_view_or_none(red: Any, hand: Interaction) -> None:
    assert hand.place is None
    hand.apply(event("pointer_move", 0.25, 0.125))
    width, height = red.size
    assert hand.place == (width // 4, height - height // 8 - 1)
    hand.apply({"type": "key_down", "key": "F2", "modifiers": []})
    assert hand.place is not None
    red.size = (width // 2, height // 2)
    assert hand.place == (width // 8, height // 2 - height // 16 - 1)
    hand.apply(event("pointer_move", 1.25, 0.5))
    assert hand.place is None, "a drag out of the view"
    hand.apply(event("pointer_move", 0.5, 0.5))
    hand.apply(event("pointer_leave", 0.0, 0.5))
    assert hand.place is None


def click(hand: Interaction, x: float, y: float, button: int = 1, press: str = "pointer_down") -> None:
    hand.apply(event("pointer_move", x, y))
    hand.apply(event(press, x, y, button=button, buttons=[button]))
    hand.apply(event("pointer_up", x, y, button=button))


def test_a_click_on_a_point_shows_its_place_in_the_other_views(
    host: HeadlessHost, slicer: Any, red: Any, hand: Interaction
) -> None:
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.CreateDefaultDisplayNodes()
    width, height = red.size
    ras = red.node.GetXYToRAS().MultiplyPoint((100, 300, 0, 1))[:3]
    points.AddControlPoint(*ras)
    red.image()
    hand.apply(event("pointer_move", 100.5 / width, 1 - 300.5 / height))
    click(hand, 100.5 / width, 1 - 300.5 / height)
    assert host.view("Green").offset == pytest.approx(ras[1])
    found = [0.0, 0.0, 0.0]
    points.GetNthControlPointPosition(0, found)
    assert found == pytest.approx(ras), "and the point has not moved"


@pytest.mark.parametrize("ending", [(1, "double_click"), (2, "pointer_down")])
def test_a_curve_ends_with_a_double_or_a_right_click(
    host: HeadlessHost, slicer: Any, red: Any, hand: Interaction, ending: tuple[int, str]
) -> None:
    curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode")
    curve.CreateDefaultDisplayNodes()
    logic = host.application.logic
    logic.GetSelectionNode().SetReferenceActivePlaceNodeClassName(curve.GetClassName())
    logic.GetSelectionNode().SetActivePlaceNodeID(curve.GetID())
    mode = logic.GetInteractionNode()
    mode.SetPlaceModePersistence(0)
    mode.SetCurrentInteractionMode(mode.Place)
    for place in ((0.3, 0.3), (0.5, 0.35), (0.6, 0.6)):
        click(hand, *place)
    assert mode.GetCurrentInteractionMode() == mode.Place
    click(hand, 0.6, 0.6, *ending)
    assert mode.GetCurrentInteractionMode() == mode.ViewTransform
    hand.apply(event("pointer_move", 0.8, 0.8))
    assert curve.GetNumberOfControlPoints() == curve.GetNumberOfDefinedControlPoints() == 3, "no point twice"
    assert not hand.pressed
