"""Commands for what is drawn around what a view shows (rulers, markers, letters, colours)."""

from __future__ import annotations

from typing import Any, Final, Literal

from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError

Ruler = Literal["none", "thin", "thick"]
Marker = Literal["none", "cube", "human", "axes"]
MarkerSize = Literal["small", "medium", "large"]
Projection = Literal["perspective", "parallel"]

#: vtkMRMLViewNode's render modes.
_MODES: Final[dict[str, str]] = {"perspective": "Perspective", "parallel": "Orthographic"}


@command("view.looks", journal=False)
def looks(host: Host, name: str) -> dict[str, Any]:
    """What is drawn around what a view shows.

    Returns:
        ``ruler``, ``orientation_marker``, ``orientation_marker_size``; ``background``: two colours, [r, g, b] of 0 to
        1, below and above; ``axis_labels``: the letters for left, right, posterior, anterior, inferior, superior; of a
        3-D view also ``box`` and ``labels`` (whether they are seen) and ``projection``: "perspective" or "parallel".
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
        mode = node.GetRenderModeAsString(node.GetRenderMode())
        found |= {
            "box": bool(node.GetBoxVisible()),
            "labels": bool(node.GetAxisLabelsVisible()),
            "projection": next((name for name, its in _MODES.items() if its == mode), "perspective"),
        }
    return found


@command("view.set_looks")
def set_looks(
    host: Host,
    name: str,
    ruler: Ruler | None = None,
    orientation_marker: Marker | None = None,
    orientation_marker_size: MarkerSize | None = None,
    background: list[list[float]] | None = None,
    axis_labels: list[str] | None = None,
    box: bool | None = None,
    labels: bool | None = None,
    projection: Projection | None = None,
) -> dict[str, Any]:
    """Change what is drawn around what a view shows; what is None stays. Arguments and result: as ``view.looks``.

    Args:
        background: the colour below and the one above.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: colours or letters that do not fit; a box or a projection of a slice view.
    """
    view = host.view(name)
    node = view.node
    if view.kind != "3d" and (box, labels, projection) != (None, None, None):
        raise ArgumentError(
            f"View {view.name!r} has neither box nor projection.", expected="a 3-D view", got=f"a {view.kind} view"
        )
    if background is not None:
        _check_colors(background)
    if axis_labels is not None and len(axis_labels) != 6:
        raise ArgumentError("The letters do not fit.", expected="six, from left to superior", got=str(axis_labels))
    before = node.StartModify()
    try:
        _set(
            node,
            RulerType=node.GetRulerTypeFromString(ruler) if ruler else None,
            OrientationMarkerType=node.GetOrientationMarkerTypeFromString(orientation_marker)
            if orientation_marker
            else None,
            OrientationMarkerSize=node.GetOrientationMarkerSizeFromString(orientation_marker_size)
            if orientation_marker_size
            else None,
            BoxVisible=box,
            AxisLabelsVisible=labels,
            RenderMode=node.GetRenderModeFromString(_MODES[projection]) if projection else None,
        )
        if background is not None:
            node.SetBackgroundColor(*background[0])
            node.SetBackgroundColor2(*background[1])
        for index, letter in enumerate(axis_labels or ()):
            node.SetAxisLabel(index, letter)
    finally:
        node.EndModify(before)
    return _looks(view)


def _set(node: Any, **values: int | None) -> None:
    """``Set...`` of a view node, by what is to be set; what is None stays."""
    for name, value in values.items():
        if value is not None:
            getattr(node, f"Set{name}")(int(value))


def _check_colors(background: list[list[float]]) -> None:
    if len(background) != 2 or not all(len(each) == 3 and all(0 <= part <= 1 for part in each) for each in background):
        raise ArgumentError(
            "The background's colours do not fit.", expected="two of (red, green, blue), 0 to 1", got=str(background)
        )
