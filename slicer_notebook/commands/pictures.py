"""Commands that move a view and take its picture in one step, and the picture of the whole layout."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.views import MAX_EDGE
from slicer_notebook.errors import ArgumentError, RenderingError, ViewNotFoundError
from slicer_notebook.protocol.values import Array

Mode = Literal["start", "drag", "end"]

#: What cannot be drawn without Qt (tables, plots) is a surface of this grey.
_GREY: Final = 60
#: (width, height) of the layout's picture when nobody says: the four views of the usual layout in their own size.
LAYOUT_SIZE: Final = (1024, 1024)
#: vtkMRMLCameraNode's names of where one looks from, by their first letters.
_FROM: Final = {
    "L": "Left", "R": "Right", "A": "Anterior", "P": "Posterior", "I": "Inferior", "S": "Superior",
}  # fmt: skip

#: Where a drag began: the offset of a slice view (mm), the camera of a 3-D view; by the view's name.
_begun: dict[str, Any] = {}


def _finite(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ArgumentError(f"{name} does not fit.", expected="a finite number", got=str(value))


def _sized(view: View, size: int | None) -> tuple[int, int] | None:
    """The view's shape with its longer edge of ``size`` pixels."""
    if size is None:
        return None
    if not 1 <= size <= MAX_EDGE:
        raise ArgumentError("The picture's size does not fit.", expected=f"1 to {MAX_EDGE} pixels", got=str(size))
    width, height = view.size
    longer = max(width, height)
    return max(1, round(width * size / longer)), max(1, round(height * size / longer))


def _slice_view(host: Host, name: str) -> View:
    view = host.hidden_view(name)
    if view.kind != "slice":
        raise ArgumentError(f"View {view.name!r} shows no slices.", expected="a slice view", got=f"a {view.kind} view")
    return view


@command("view.slice_image", journal=False)
def slice_image(
    host: Host,
    view: str = "Red",
    offset: float | None = None,
    scroll_to: float | None = None,
    orientation: str | None = None,
    size: int | None = None,
    mode: Mode | None = None,
    copy_geometry_from: str | None = None,
) -> Array:
    """Move a slice view, and take its picture: uint8 [height, width, 3]. What is None stays.

    Geometry is copied first, then the view is turned, then moved.

    Args:
        view: also one that the present layout hides.
        offset: mm along the view's normal; with a mode, mm from where the drag began.
        scroll_to: 0 the first slice of the volume in the background, 1 the last.
        orientation: Axial, Sagittal or Coronal, in any case; the view is fitted to its volume when it changes.
        size: pixels of the picture's longer edge; the view's own size without it.
        mode: "start" begins a drag.
        copy_geometry_from: another slice view, whose plane and field of view are taken.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a 3-D view, or an argument that does not fit.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    found = _slice_view(host, view)
    _finite(offset=offset, scroll_to=scroll_to)
    if scroll_to is not None and not 0 <= scroll_to <= 1:
        raise ArgumentError("scroll_to does not fit.", expected="0 to 1", got=str(scroll_to))
    shape = _sized(found, size)
    if copy_geometry_from is not None:
        _copy_geometry(_slice_view(host, copy_geometry_from).node, found.node)
    if orientation is not None:
        before = found.orientation
        found.orientation = orientation.capitalize()
        if found.orientation != before:
            found.fit()
    if scroll_to is not None:
        low, high = found.offset_range
        found.offset = low + scroll_to * (high - low)
    if mode == "start":
        _begun[found.name] = found.offset
    if offset is not None:
        found.offset = offset + (_begun.setdefault(found.name, found.offset) if mode is not None else 0.0)
    if mode == "end":
        _begun.pop(found.name, None)
    return found.image(shape)


def _copy_geometry(source: Any, target: Any) -> None:
    """As linked views do (vtkMRMLSliceLinkLogic): the same plane and width, the target's own shape."""
    before = target.StartModify()
    target.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
    width, height, depth = target.GetFieldOfView()
    new = source.GetFieldOfView()[0]
    target.SetFieldOfView(new, new * height / width, depth)
    target.UpdateMatrices()
    target.EndModify(before)


def _three_d_view(host: Host, name: str | None) -> View:
    """By name or label in any case; the layout's first one without a name, or the one that there usually is."""
    views = [view for view in map(host.view, host.view_names()) if view.kind == "3d"]
    if name is None:
        return views[0] if views else host.hidden_view("1")
    for view in views:
        if name.lower() in (view.name.lower(), (view.node.GetName() or "").lower(), view.node.GetLayoutLabel().lower()):
            return view
    found = host.hidden_view(name)
    if found.kind != "3d":
        raise ViewNotFoundError(
            f"View {found.name!r} is not in 3-D.", expected=", ".join(view.name for view in views), got=repr(name)
        )
    return found


@command("view.three_d_image", journal=False)
def three_d_image(
    host: Host,
    view: str | None = None,
    look_from: str | None = None,
    size: int | None = None,
    mode: Mode | None = None,
    roll: float | None = None,
    pan_x: float | None = None,
    pan_y: float | None = None,
    orbit_x: float | None = None,
    orbit_y: float | None = None,
) -> Array:
    """Move the camera of a 3-D view, and take its picture: uint8 [height, width, 3]. What is None stays.

    Args:
        view: name or label; the layout's first 3-D view without it.
        look_from: Left, Right, Anterior, Posterior, Inferior or Superior, or the first letter, in any case.
        size: pixels of the picture's longer edge; the view's own size without it.
        mode: "start" begins a drag; as long as it lasts, all other movements are from where it began.
        roll: degrees around the line of sight.
        pan_x, pan_y: how far the camera goes to the left and up, in parts of its distance from the focal point.
        orbit_x, orbit_y: the same around the focal point, which stays in the middle, at the same distance.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: an argument that does not fit.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    found = _three_d_view(host, view)
    _finite(roll=roll, pan_x=pan_x, pan_y=pan_y, orbit_x=orbit_x, orbit_y=orbit_y)
    shape = _sized(found, size)
    camera_node = host.slicer.modules.cameras.logic().GetViewActiveCameraNode(found.node)
    if camera_node is None:
        raise RenderingError(f"The 3-D view {found.name!r} has no camera.")
    if look_from is not None:
        direction = _FROM.get(look_from[:1].upper())
        if direction is None:
            raise ArgumentError("One cannot look from there.", expected="L, R, A, P, I or S", got=repr(look_from))
        camera_node.RotateTo(getattr(camera_node, direction))
    moved = (roll or 0.0, pan_x or 0.0, pan_y or 0.0, orbit_x or 0.0, orbit_y or 0.0)
    # A picture of the view as it is leaves the camera's clipping range alone, too.
    if look_from is not None or mode is not None or any(moved):
        _move(camera_node, found.name, mode, moved)
    return found.image(shape)


def _move(camera_node: Any, name: str, mode: Mode | None, moved: tuple[float, float, float, float, float]) -> None:
    from vtkmodules.vtkRenderingCore import vtkCamera

    camera = camera_node.GetCamera()
    if mode == "start" or (mode is not None and name not in _begun):
        start = vtkCamera()
        start.DeepCopy(camera)
        _begun[name] = start
    if mode is not None:
        start = _begun[name]
        camera.SetPosition(start.GetPosition())
        camera.SetFocalPoint(start.GetFocalPoint())
        camera.SetViewUp(start.GetViewUp())
    if mode == "end":
        _begun.pop(name, None)
    if any(moved):
        roll, pan_x, pan_y, orbit_x, orbit_y = moved
        camera.Roll(roll)
        position, focus = np.array(camera.GetPosition()), np.array(camera.GetFocalPoint())
        up = np.array(camera.GetViewUp())
        right = np.cross(up, np.array(camera.GetViewPlaneNormal()))
        distance = float(np.linalg.norm(position - focus))
        pan = distance * (pan_y * up - pan_x * right)
        around = position - focus + distance * (orbit_y * up - orbit_x * right)
        camera.SetFocalPoint(*(focus + pan))
        camera.SetPosition(*(focus + pan + around * (distance / np.linalg.norm(around))))
        camera.OrthogonalizeViewUp()
    camera_node.ResetClippingRange()


# -- the layout -----------------------------------------------------------------------------------------------------

_Box = tuple[int, int, int, int]


@command("view.layout_image", journal=False)
def layout_image(host: Host, size: tuple[int, int] | None = None) -> Array:
    """The picture of all views of the layout, each where it is: uint8 [height, width, 3]. Nothing is moved.

    Args:
        size: (width, height), pixels; 1024 x 1024 without it.

    Raises:
        ArgumentError: a size that does not fit.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    width, height = LAYOUT_SIZE if size is None else size
    if not (1 <= width <= MAX_EDGE and 1 <= height <= MAX_EDGE):
        raise ArgumentError(
            "The picture's size does not fit.", expected=f"(width, height), 1 to {MAX_EDGE} pixels", got=str(size)
        )
    picture = np.full((height, width, 3), _GREY, dtype=np.uint8)
    for name, (left, top, right, bottom) in places(host, (0, 0, width, height)).items():
        if right > left and bottom > top:
            picture[top:bottom, left:right] = host.view(name).image((right - left, bottom - top))
    return picture


def places(host: Host, box: _Box) -> dict[str, _Box]:
    """Where the layout's views are in a box (left, top, right, bottom), by their names."""
    names = host.view_names()
    root = host.slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetLayoutRootElement()
    found: dict[str, _Box] = {}
    if root is not None:
        _place(root, box, found)
    if {*found, *_behind(root)} >= set(names):
        return {name: found[name] for name in names if name in found}
    # A layout that makes its views by number (several of one kind) says not where: in tabs the first is in front, else
    # they are side by side, in rows.
    if root is not None and root.GetAttribute("type") == "tab":
        return {names[0]: box}
    across = math.ceil(math.sqrt(len(names)))
    down = math.ceil(len(names) / across)
    return {name: _cell(box, (index % across, index // across), (across, down)) for index, name in enumerate(names)}


def _children(element: Any, name: str) -> list[Any]:
    nested = (element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements()))
    return [each for each in nested if each.GetName() == name]


def _behind(element: Any) -> set[str]:
    """Names of the views in tabs that are not in front."""
    if element is None:
        return set()
    nested = [element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements())]
    if element.GetName() == "layout" and element.GetAttribute("type") == "tab":
        front: dict[str, _Box] = {}
        _place(element, (0, 0, 1, 1), front)
        return set().union(*map(_names, nested)) - set(front)
    return set().union(*map(_behind, nested))


def _names(element: Any) -> set[str]:
    nested = [element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements())]
    own = {element.GetAttribute("singletontag") or ""} if element.GetName() == "view" else set()
    return own.union(*map(_names, nested))


def _place(element: Any, box: _Box, found: dict[str, _Box]) -> None:
    """Lay out an element of a layout's description (vtkMRMLLayoutNode): layouts of items, items of views."""
    name = element.GetName()
    if name == "view":
        if element.GetAttribute("multiple") != "true":
            found[element.GetAttribute("singletontag") or ""] = box
        return
    if name != "layout":
        # "item" holds one of either; "viewports" a layout for each window.
        parts = [each for kind in ("layout", "view") for each in _children(element, kind)]
        for part, each in zip(parts, _split(box, [1.0] * len(parts), across=True), strict=True):
            _place(part, each, found)
        return
    items, kind = _children(element, "item"), element.GetAttribute("type") or "horizontal"
    if kind == "tab":
        # One tab is in front.
        for item in items[:1]:
            _place(item, box, found)
    elif kind == "grid":
        _place_grid(items, box, found)
    else:
        weights = [float(item.GetAttribute("splitSize") or 0) for item in items]
        if not all(weights):
            weights = [1.0] * len(items)
        for item, each in zip(items, _split(box, weights, across=kind == "horizontal"), strict=True):
            _place(item, each, found)


def _split(box: _Box, weights: list[float], *, across: bool) -> list[_Box]:
    left, top, right, bottom = box
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    start, length = (left, right - left) if across else (top, bottom - top)
    at = [start + round(length * float(edge / edges[-1])) for edge in edges] if weights else []
    pairs = itertools.pairwise(at)
    return [(a, top, b, bottom) if across else (left, a, right, b) for a, b in pairs]


def _cell(box: _Box, place: tuple[int, int], cells: tuple[int, int], span: tuple[int, int] = (1, 1)) -> _Box:
    columns, rows = (
        _split(box, [1.0] * cells[0], across=True),
        _split(box, [1.0] * cells[1], across=False),
    )
    last = min(place[0] + span[0], cells[0]) - 1, min(place[1] + span[1], cells[1]) - 1
    return columns[place[0]][0], rows[place[1]][1], columns[last[0]][2], rows[last[1]][3]


def _place_grid(items: list[Any], box: _Box, found: dict[str, _Box]) -> None:
    def number(item: Any, name: str, default: int) -> int:
        return int(item.GetAttribute(name) or default)

    spots = [
        (
            (number(item, "column", 0), number(item, "row", 0)),
            (number(item, "colspan", 1), number(item, "rowspan", 1)),
        )
        for item in items
    ]
    across = max((place[0] + span[0] for place, span in spots), default=1)
    down = max((place[1] + span[1] for place, span in spots), default=1)
    for item, (place, span) in zip(items, spots, strict=True):
        _place(item, _cell(box, place, (across, down), span), found)
