"""POINT of OpenIGTLink, and point lists (markups). Runs in Slicer, on the main thread.

A point's name, position, group and owner become a control point's label, position (RAS), description and associated
node; points of the group "Unselected" are not selected (SlicerOpenIGTLink). Colour and diameter belong to the whole
list in MRML: the first point's are what is shown, and each point's own are kept in an attribute of the list, so that
the list goes out as it came.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.commands.host import Host
from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.contents import Point, Points

__all__ = ["fill", "read"]

_MARKUPS: Final = "vtkMRMLMarkupsFiducialNode"
#: JSON: by control point's id its colour (r, g, b, a, 0 to 255), diameter (mm), and the owner as it came; under "shown"
#: the colour and diameter that the list was given.
OWN: Final = "slicer_notebook.igtl.points"
#: SlicerOpenIGTLink's word.
UNSELECTED: Final = "Unselected"
#: mm; what POINT says where nobody says how large.
_DIAMETER: Final = 0.0
#: Of a list that is not shown.
_DEFAULT_COLOUR: Final = (255, 255, 0, 255)


def fill(host: Host, points: Points, wanted: Callable[[str], Any], *, dressed: bool = True) -> Any:
    """Bring points into their list; control points are moved where they are, added, or taken away.

    Raises:
        OpenIGTLinkError: a position that is no number.
    """
    for point in points.points:
        if not all(math.isfinite(x) for x in point.position):
            raise OpenIGTLinkError(
                f"The position of point {point.name!r} is none.",
                expected="three finite numbers",
                got=str(point.position),
            )
    node = wanted(_MARKUPS)
    if dressed and node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    for number, point in enumerate(points.points):
        if number < node.GetNumberOfControlPoints():
            node.SetNthControlPointPosition(number, *point.position)
        else:
            node.AddControlPoint(list(point.position), point.name)
        node.SetNthControlPointLabel(number, point.name)
        selected = point.group != UNSELECTED
        node.SetNthControlPointSelected(number, selected)
        node.SetNthControlPointDescription(number, point.group if selected else "")
        owner = _owner(host, point.owner)
        node.SetNthControlPointAssociatedNodeID(number, owner.GetID() if owner is not None else "")
    while node.GetNumberOfControlPoints() > len(points.points):
        node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    _show(node, points.points)
    return node


def _owner(host: Host, name: str) -> Any:
    """The volume of a device; None without."""
    if not name:
        return None
    volumes = host.nodes("vtkMRMLVolumeNode")
    return next((each for each in volumes if each.GetName() == name), None)


def _show(node: Any, points: tuple[Point, ...]) -> None:
    display = node.GetDisplayNode()
    if points and display is not None:
        first = points[0]
        red, green, blue, alpha = (part / 255 for part in first.rgba)
        display.SetSelectedColor(red, green, blue)
        display.SetColor(red, green, blue)
        display.SetOpacity(alpha)
        if first.diameter > 0:
            display.SetUseGlyphScale(False)
            display.SetGlyphSize(first.diameter)
    own: dict[str, Any] = {
        node.GetNthControlPointID(number): [list(point.rgba), point.diameter, point.owner]
        for number, point in enumerate(points)
    }
    own["shown"] = _look(display)
    node.SetAttribute(OWN, json.dumps(own))


def _look(display: Any) -> list[Any]:
    """Colour and diameter that all points of a list are shown with."""
    return [list(_DEFAULT_COLOUR), _DIAMETER] if display is None else [list(_colour(display)), _diameter(display)]


def _colour(display: Any) -> tuple[int, int, int, int]:
    red, green, blue = (round(part * 255) for part in display.GetSelectedColor())
    return red, green, blue, round(display.GetOpacity() * 255)


def _diameter(display: Any) -> float:
    return _DIAMETER if display.GetUseGlyphScale() else float(display.GetGlyphSize())


def read(node: Any) -> Points:
    """Control points that are defined, in the list's own coordinates (RAS).

    The group is a point's description, "Unselected" for one that is not selected.
    """
    display = node.GetDisplayNode()
    look = _look(display)
    own = _own(node)
    if display is not None and own.get("shown") != look:
        own = {}  # somebody has chosen another look since
    found = []
    for number in range(node.GetNumberOfControlPoints()):
        position = [0.0, 0.0, 0.0]
        if node.GetNthControlPointPositionStatus(number) != node.PositionDefined:
            continue
        node.GetNthControlPointPosition(number, position)
        rgba, size, owner = own.get(node.GetNthControlPointID(number), [*look, ""])
        found.append(
            Point(
                _cut(node.GetNthControlPointLabel(number), 64),
                (position[0], position[1], position[2]),
                _cut(node.GetNthControlPointDescription(number), 32)
                if node.GetNthControlPointSelected(number)
                else UNSELECTED,
                tuple(rgba),
                float(size),
                _cut(_owner_name(node, number) or owner, 20),
            )
        )
    return Points(tuple(found))


def _own(node: Any) -> dict[str, Any]:
    try:
        own = json.loads(node.GetAttribute(OWN) or "{}")
    except ValueError:
        return {}
    return own if isinstance(own, dict) else {}


def _owner_name(node: Any, number: int) -> str:
    key = node.GetNthControlPointAssociatedNodeID(number)
    scene = node.GetScene()
    found = scene.GetNodeByID(key) if key and scene is not None else None
    return (found.GetName() or "") if found is not None else ""


def _cut(text: str | None, size: int) -> str:
    """As much of a text as fits into ``size`` bytes of UTF-8."""
    return (text or "").encode()[:size].decode(errors="ignore")
