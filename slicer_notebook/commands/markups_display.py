"""Commands about how markups look, how they are placed in views, and where the views go for them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.markups import _limit, kind_of, node_of, point_index, positions_of, real_points, table
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import NodeRef

Color = tuple[float, float, float]

#: Points that a card shows.
_FIRST: Final = 5


def _display(node: Any) -> Any:
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node.GetDisplayNode()


@command("markups.display", journal=False)
def display(host: Host, node: NodeLike) -> dict[str, Any]:
    """How markups look.

    Returns:
        ``selected_color``: r, g, b, 0 to 1, of selected points, as new ones are; ``unselected_color``; ``opacity``: 0
        to 1; ``glyph_scale``: size of the glyphs, percent of the view, None where it is fixed; ``glyph_size``: mm, None
        where it is not; ``text_scale``: size of the labels, percent of the view; ``visible``; ``visible_2d``,
        ``visible_3d``: in slice views and in 3-D views, where it is visible at all; ``labels_visible``: the points'
        labels; ``locked``: nothing of it can be dragged.
    """
    found = node_of(host, node)
    shown = found.GetDisplayNode()
    if shown is None:
        return {"locked": bool(found.GetLocked()), "visible": False}
    relative = bool(shown.GetUseGlyphScale())
    return {
        "selected_color": list(shown.GetSelectedColor()),
        "unselected_color": list(shown.GetColor()),
        "opacity": float(shown.GetOpacity()),
        "glyph_scale": float(shown.GetGlyphScale()) if relative else None,
        "glyph_size": None if relative else float(shown.GetGlyphSize()),
        "text_scale": float(shown.GetTextScale()),
        "visible": bool(shown.GetVisibility()),
        "visible_2d": bool(shown.GetVisibility2D()),
        "visible_3d": bool(shown.GetVisibility3D()),
        "labels_visible": bool(shown.GetPointLabelsVisibility()),
        "locked": bool(found.GetLocked()),
    }


@command("markups.set_display")
def set_display(
    host: Host,
    node: NodeLike,
    selected_color: Color | None = None,
    unselected_color: Color | None = None,
    opacity: float | None = None,
    glyph_scale: float | None = None,
    glyph_size: float | None = None,
    text_scale: float | None = None,
    visible: bool | None = None,
    visible_2d: bool | None = None,
    visible_3d: bool | None = None,
    labels_visible: bool | None = None,
    locked: bool | None = None,
) -> None:
    """Change how markups look; what is ``None`` stays. What it all means: ``markups.display``.

    Raises:
        ArgumentError: colours or an opacity outside 0 to 1, sizes that are not above 0.
    """
    found = node_of(host, node)
    for color in (selected_color, unselected_color):
        if color is not None and not all(0 <= part <= 1 for part in color):
            raise ArgumentError("That is no colour.", expected="red, green, blue, 0 to 1", got=str(color))
    if opacity is not None and not 0 <= opacity <= 1:
        raise ArgumentError("The opacity does not fit.", expected="0 to 1", got=str(opacity))
    for size in (glyph_scale, glyph_size):
        if size is not None and not 0 < size < np.inf:
            raise ArgumentError("The size does not fit.", expected="above 0", got=str(size))
    if text_scale is not None and not 0 <= text_scale < np.inf:
        raise ArgumentError("The size of the text does not fit.", expected="at least 0", got=str(text_scale))
    shown = _display(found)
    before = shown.StartModify()
    try:
        for setter, value in (
            (shown.SetSelectedColor, selected_color),
            (shown.SetColor, unselected_color),
            (shown.SetOpacity, opacity),
            (shown.SetTextScale, text_scale),
            (shown.SetVisibility, visible),
            (shown.SetVisibility2D, visible_2d),
            (shown.SetVisibility3D, visible_3d),
            (shown.SetPointLabelsVisibility, labels_visible),
        ):
            if value is not None:
                setter(value)
        if glyph_scale is not None:
            shown.SetUseGlyphScale(True)
            shown.SetGlyphScale(glyph_scale)
        if glyph_size is not None:
            shown.SetUseGlyphScale(False)
            shown.SetGlyphSize(glyph_size)
    finally:
        shown.EndModify(before)
    if locked is not None:
        found.SetLocked(locked)


@command("markups.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What the inline card shows: ``name``, ``kind``, ``color``, ``count``; ``points``: label and position (RAS, mm) of
    the first few; ``measurements``: texts by name; ``locked``, ``visible``.
    """
    found = node_of(host, node)
    shown = found.GetDisplayNode()
    chosen = real_points(found)
    positions = positions_of(found, True)[:_FIRST]
    measured = (found.GetNthMeasurement(i) for i in range(found.GetNumberOfMeasurements()))
    return {
        "name": found.GetName() or "",
        "kind": kind_of(found),
        "color": list(shown.GetSelectedColor()) if shown is not None else None,
        "count": len(chosen),
        "most": _limit(found),
        "points": [
            [found.GetNthControlPointLabel(index), [float(x) for x in position]]
            for index, position in zip(chosen, positions, strict=False)
        ],
        "measurements": {
            each.GetName(): each.GetValueWithUnitsAsPrintableString()
            for each in measured
            if each.GetEnabled() and each.GetValueDefined()
        },
        "locked": bool(found.GetLocked()),
        "visible": bool(shown is not None and shown.GetVisibility()),
        "placing": _placing(host, found),
    }


@command("markups.sheet", journal=False)
def sheet(host: Host, node: NodeLike) -> dict[str, Any]:
    """All that a table of the control points shows, at one moment.

    Returns:
        as ``markups.summary`` (without ``points``), and of ``markups.table`` what it shows, in world coordinates, as
        lists; ``display``: the MRML id of the display node, or ""; ``measures_more``: whether there are measurements
        that are not enabled.
    """
    found = node_of(host, node)
    told = {name: value for name, value in summary(host, node).items() if name != "points"}
    points = table(host, node)
    measured = (found.GetNthMeasurement(i) for i in range(found.GetNumberOfMeasurements()))
    return {
        **told,
        **{name: points[name] for name in ("ids", "labels", "descriptions")},
        "positions": points["positions"].tolist(),
        "points_visible": points["visible"],
        "points_locked": points["locked"],
        "display": found.GetDisplayNodeID() or "",
        "measures_more": any(not each.GetEnabled() for each in measured),
    }


@command("markups.jump")
def jump(host: Host, node: NodeLike, point: int | str, centered: bool = True) -> None:
    """Move the slices of all slice views to a control point.

    Args:
        point: its index, from the end below 0; or its MRML id.
        centered: the views are moved along their planes, too, so that it is in their middle.

    Raises:
        ItemNotFoundError: no such point.
        ArgumentError: it has no position.
    """
    found = node_of(host, node)
    index = point_index(found, point)
    position = positions_of(found, True)[index]
    if not np.isfinite(position).all():
        raise ArgumentError("This point has no position.", expected="a point that was placed", got=repr(point))
    host.slicer.modules.markups.logic().JumpSlicesToLocation(*position.tolist(), centered)


# -- placing -----------------------------------------------------------------------------------------------------------


def _modes(host: Host) -> tuple[Any, Any]:
    """The interaction node and the selection node."""
    logic = host.slicer.app.applicationLogic()
    return logic.GetInteractionNode(), logic.GetSelectionNode()


def _placing(host: Host, node: Any) -> bool:
    interaction, selection = _modes(host)
    places = interaction.GetCurrentInteractionMode() == interaction.Place
    return bool(places and selection.GetActivePlaceNodeID() == node.GetID())


@command("markups.place")
def place(host: Host, node: NodeLike, persistent: bool = True) -> None:
    """Have clicks in the views place points of these markups, as Slicer's toolbar does.

    Args:
        persistent: until ``markups.end_place``; else until one is placed (of a curve: until a double click ends it).

    Raises:
        ArrayError: they have all points that they can have.
    """
    found = node_of(host, node)
    most = _limit(found)
    if 0 <= most <= len(real_points(found)):
        raise ArrayError(
            f"{found.GetName()!r} has all its points.", expected=f"less than {most} points",
            got=str(len(real_points(found))), hint="remove one, or add other markups",
        )  # fmt: skip
    _display(found)
    interaction, selection = _modes(host)
    selection.SetReferenceActivePlaceNodeClassName(found.GetClassName())
    selection.SetActivePlaceNodeID(found.GetID())
    if persistent:
        interaction.SwitchToPersistentPlaceMode()
    else:
        interaction.SwitchToSinglePlaceMode()


@command("markups.end_place")
def end_place(host: Host, node: NodeLike | None = None) -> None:
    """Have clicks in the views place nothing any more.

    Args:
        node: only if it is points of these markups that they place.
    """
    if node is None or _placing(host, node_of(host, node)):
        interaction, _ = _modes(host)
        interaction.SwitchToViewTransformMode()


@command("markups.placing", journal=False)
def placing(host: Host) -> NodeRef | None:
    """The node whose points clicks in the views place; None when they place nothing."""
    interaction, selection = _modes(host)
    node = host.slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID() or "")
    if interaction.GetCurrentInteractionMode() != interaction.Place or node is None:
        return None
    return host.ref(node)
