"""Commands for what is drawn around what a view shows (rulers, markers, letters, colours), and for cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, RenderingError

Ruler = Literal["none", "thin", "thick"]
Marker = Literal["none", "cube", "human", "axes"]
MarkerSize = Literal["small", "medium", "large"]
Projection = Literal["perspective", "parallel"]

#: vtkMRMLViewNode's render modes.
_MODES: Final[dict[str, str]] = {"perspective": "Perspective", "parallel": "Orthographic"}
#: vtkMRMLCameraNode's names of what a camera has.
_SETTERS: Final = {
    "position": "Position",
    "focal_point": "FocalPoint",
    "view_up": "ViewUp",
    "view_angle": "ViewAngle",
    "parallel_scale": "ParallelScale",
}
#: vtkMRMLCameraNode's names of where one looks from, by their first letters.
_FROM: Final = {
    "L": "Left", "R": "Right", "A": "Anterior", "P": "Posterior", "I": "Inferior", "S": "Superior",
}  # fmt: skip


@command("view.looks", journal=False)
def looks(host: Host, name: str) -> dict[str, Any]:
    """What is drawn around what a view shows.

    Returns:
        ``ruler``, ``orientation_marker``, ``orientation_marker_size``; ``background``: two colours, [r, g, b] of 0 to
        1, below and above; ``axis_labels``: the letters for left, right, posterior, anterior, inferior, superior; of a
        3-D view also ``box`` and ``labels`` (whether they are seen).
    """
    return _looks(host.view(name))


def _looks(view: View) -> dict[str, Any]:
    node = view.node
    found: dict[str, Any] = {
        "ruler": node.GetRulerTypeAsString(node.GetRulerType()),
        "orientation_marker": node.GetOrientationMarkerTypeAsString(node.GetOrientationMarkerType()),
        "orientation_marker_size": node.GetOrientationMarkerSizeAsString(node.GetOrientationMarkerSize()),
        "background": [list(node.GetBackgroundColor()), list(node.GetBackgroundColor2())],
        "axis_labels": [node.GetAxisLabel(index) for index in range(6)],
    }
    if view.kind == "3d":
        found |= {"box": bool(node.GetBoxVisible()), "labels": bool(node.GetAxisLabelsVisible())}
    return found


@command("view.set_looks")
def set_looks(
    host: Host,
    name: str,
    ruler: Ruler | None = None,
    orientation_marker: Marker | None = None,
    orientation_marker_size: MarkerSize | None = None,
    background: list[float] | list[list[float]] | None = None,
    axis_labels: list[str] | None = None,
    box: bool | None = None,
    labels: bool | None = None,
) -> dict[str, Any]:
    """Change what is drawn around what a view shows; what is None stays. Arguments and result: as ``view.looks``.

    Args:
        background: one colour, or the one below and the one above.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: colours or letters that do not fit; a box of a slice view.
    """
    view = host.view(name)
    node = view.node
    if view.kind != "3d" and (box is not None or labels is not None):
        raise ArgumentError(f"View {view.name!r} has no box.", expected="a 3-D view", got=f"a {view.kind} view")
    colors = _colors(background) if background is not None else None
    if axis_labels is not None and len(axis_labels) != 6:
        raise ArgumentError("The letters do not fit.", expected="six, from left to superior", got=str(axis_labels))
    before = node.StartModify()
    try:
        if ruler is not None:
            node.SetRulerType(node.GetRulerTypeFromString(ruler))
        if orientation_marker is not None:
            node.SetOrientationMarkerType(node.GetOrientationMarkerTypeFromString(orientation_marker))
        if orientation_marker_size is not None:
            node.SetOrientationMarkerSize(node.GetOrientationMarkerSizeFromString(orientation_marker_size))
        if colors is not None:
            node.SetBackgroundColor(*colors[0])
            node.SetBackgroundColor2(*colors[1])
        for index, letter in enumerate(axis_labels or ()):
            node.SetAxisLabel(index, letter)
        if box is not None:
            node.SetBoxVisible(int(box))
        if labels is not None:
            node.SetAxisLabelsVisible(int(labels))
    finally:
        node.EndModify(before)
    return _looks(view)


def _colors(background: Sequence[Any]) -> list[list[float]]:
    try:
        one = not any(isinstance(each, Sequence) for each in background)
        found = [[float(each) for each in color] for color in ([background] * 2 if one else background)]
    except (TypeError, ValueError):
        found = []
    if len(found) != 2 or not all(len(each) == 3 and all(0 <= part <= 1 for part in each) for each in found):
        raise ArgumentError(
            "The background's colour does not fit.",
            expected="(red, green, blue), 0 to 1, or two of them",
            got=str(background),
        )
    return found


# -- cameras --------------------------------------------------------------------------------------------------------


def _camera_node(host: Host, name: str) -> tuple[View, Any]:
    view = host.view(name)
    if view.kind != "3d":
        raise ArgumentError(f"View {view.name!r} has no camera.", expected="a 3-D view", got=f"a {view.kind} view")
    node = host.slicer.modules.cameras.logic().GetViewActiveCameraNode(view.node)
    if node is None:
        raise RenderingError(f"The 3-D view {view.name!r} has no camera.")
    return view, node


@command("view.camera", journal=False)
def camera(host: Host, name: str) -> dict[str, Any]:
    """A 3-D view's camera.

    Returns:
        ``position``, ``focal_point`` (RAS, mm), ``view_up`` (unit vector), ``view_angle`` (degrees), ``projection``,
        ``parallel_scale`` (mm: half the height of what a parallel projection shows), and ``node`` (its id).

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a slice view.
    """
    return _camera(*_camera_node(host, name))


def _camera(view: View, node: Any) -> dict[str, Any]:
    mode = view.node.GetRenderModeAsString(view.node.GetRenderMode())
    return {
        "position": list(node.GetPosition()),
        "focal_point": list(node.GetFocalPoint()),
        "view_up": list(node.GetViewUp()),
        "view_angle": node.GetViewAngle(),
        "projection": next((name for name, its in _MODES.items() if its == mode), "perspective"),
        "parallel_scale": node.GetParallelScale(),
        "node": node.GetID(),
    }


@command("view.set_camera")
def set_camera(
    host: Host,
    name: str,
    look_from: str | None = None,
    position: tuple[float, float, float] | None = None,
    focal_point: tuple[float, float, float] | None = None,
    view_up: tuple[float, float, float] | None = None,
    view_angle: float | None = None,
    projection: Projection | None = None,
    parallel_scale: float | None = None,
) -> dict[str, Any]:
    """Change a 3-D view's camera; what is None stays.

    Args:
        look_from: Left, Right, Anterior, Posterior, Inferior or Superior, or the first letter, in any case: at the
            focal point, from as far as before. Done first.
        position, focal_point, view_up, view_angle, projection, parallel_scale: as ``view.camera``.

    Returns:
        ``view.camera``.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a slice view, or arguments that do not fit.
    """
    view, node = _camera_node(host, name)
    vectors = {"position": position, "focal_point": focal_point, "view_up": view_up}
    numbers = {"view_angle": (view_angle, 180.0), "parallel_scale": (parallel_scale, math.inf)}
    _check(vectors, numbers)
    if look_from is not None:
        direction = _FROM.get(look_from[:1].upper())
        if direction is None:
            raise ArgumentError("One cannot look from there.", expected="L, R, A, P, I or S", got=repr(look_from))
        node.RotateTo(getattr(node, direction))
    before = node.StartModify()
    try:
        for what, vector in vectors.items():
            if vector is not None:
                getattr(node, f"Set{_SETTERS[what]}")(*vector)
        for what, (number, _) in numbers.items():
            if number is not None:
                getattr(node, f"Set{_SETTERS[what]}")(number)
    finally:
        node.EndModify(before)
    if projection is not None:
        view.node.SetRenderMode(view.node.GetRenderModeFromString(_MODES[projection]))
    node.ResetClippingRange()
    return _camera(view, node)


def _check(
    vectors: dict[str, tuple[float, float, float] | None], numbers: dict[str, tuple[float | None, float]]
) -> None:
    for what, vector in vectors.items():
        if vector is not None and (not all(map(math.isfinite, vector)) or (what == "view_up" and not any(vector))):
            raise ArgumentError(f"{what} does not fit.", expected="three finite numbers", got=str(vector))
    for what, (number, most) in numbers.items():
        if number is not None and not 0 < number < most:
            raise ArgumentError(f"{what} does not fit.", expected=f"above 0 and below {most:g}", got=str(number))
