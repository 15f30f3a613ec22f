"""Commands about how a model is shown: colour, opacity, edges, and the values on it as colours."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.meshes import checked_color, data_arrays
from slicer_notebook.commands.models import MODEL, Where, no_array
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError

Representation = Literal["points", "wireframe", "surface"]

#: By vtkMRMLDisplayNode's RepresentationType.
_REPRESENTATIONS: Final[tuple[Representation, ...]] = ("points", "wireframe", "surface")
#: Table of colours where values are shown and none was chosen.
_DEFAULT_COLORS: Final = "Rainbow"
_POINT_DATA: Final = 0  # vtkAssignAttribute::POINT_DATA
_CELL_DATA: Final = 1  # vtkAssignAttribute::CELL_DATA


def _display(host: Host, node: NodeLike) -> Any:
    found = host.node(node, MODEL)
    if found.GetDisplayNode() is None:
        found.CreateDefaultDisplayNodes()
    return found.GetDisplayNode()


@command("model.display", journal=False)
def display(host: Host, node: NodeLike) -> dict[str, Any]:
    """How a model is shown.

    ``color`` and ``edge_color`` (r, g, b, 0 to 1), ``opacity`` (0 to 1), ``visible``, ``visible_in_slices``
    (intersections), ``slice_thickness`` (pixels), ``edges``, ``representation``, ``line_width`` and ``point_size``
    (pixels), ``scalars`` (name of the values that are shown as colours, or None), ``scalars_of`` ("points" or "cells"),
    ``color_table``, ``scalar_range``, ``scalar_range_auto``.
    """
    found = host.node(node, MODEL).GetDisplayNode()
    if found is None:
        # Reading makes no display node; what a new one would say, hidden.
        found = host.slicer.vtkMRMLModelDisplayNode()
        found.SetVisibility(False)
    colors = found.GetColorNode()
    shown = bool(found.GetScalarVisibility() and found.GetActiveScalarName())
    return {
        "color": found.GetColor(),
        "edge_color": found.GetEdgeColor(),
        "opacity": found.GetOpacity(),
        "visible": bool(found.GetVisibility()),
        "visible_in_slices": bool(found.GetVisibility2D()),
        "slice_thickness": found.GetSliceIntersectionThickness(),
        "edges": bool(found.GetEdgeVisibility()),
        "representation": _REPRESENTATIONS[found.GetRepresentation()],
        "line_width": found.GetLineWidth(),
        "point_size": found.GetPointSize(),
        "scalars": found.GetActiveScalarName() if shown else None,
        "scalars_of": "cells" if found.GetActiveAttributeLocation() == _CELL_DATA else "points",
        "color_table": colors.GetName() if colors is not None else "",
        "scalar_range": found.GetScalarRange(),
        "scalar_range_auto": found.GetScalarRangeFlag() != found.UseManualScalarRange,
    }


def _within(value: float, low: float, high: float, what: str) -> float:
    if not low <= value <= high:
        raise ArgumentError(f"The {what} does not fit.", expected=f"{low:g} to {high:g}", got=repr(value))
    return value


@command("model.set_display")
def set_display(
    host: Host,
    node: NodeLike,
    color: Any = None,
    edge_color: Any = None,
    opacity: float | None = None,
    visible: bool | None = None,
    visible_in_slices: bool | None = None,
    slice_thickness: int | None = None,
    edges: bool | None = None,
    representation: Representation | None = None,
    line_width: float | None = None,
    point_size: float | None = None,
) -> None:
    """Change how a model is shown, as in ``model.display``; what is None stays as it is.

    Raises:
        ArgumentError: a colour, opacity, width or size that cannot be.
    """
    # All is looked at before anything is changed.
    colors = {
        "Color": None if color is None else checked_color(color, "colour"),
        "EdgeColor": None if edge_color is None else checked_color(edge_color, "edges' colour"),
    }
    values = {
        "Opacity": None if opacity is None else _within(opacity, 0, 1, "opacity"),
        "Visibility": visible,
        "Visibility2D": visible_in_slices,
        "SliceIntersectionThickness": None
        if slice_thickness is None
        else int(_within(slice_thickness, 1, 100, "slice thickness")),
        "EdgeVisibility": edges,
        "Representation": None if representation is None else _REPRESENTATIONS.index(representation),
        "LineWidth": None if line_width is None else _within(line_width, 0.1, 100, "line width"),
        "PointSize": None if point_size is None else _within(point_size, 0.1, 100, "point size"),
    }
    found = _display(host, node)
    was = found.StartModify()
    try:
        for name, three in colors.items():
            if three is not None:
                getattr(found, f"Set{name}")(*three)
        for name, value in values.items():
            if value is not None:
                getattr(found, f"Set{name}")(value)
    finally:
        found.EndModify(was)


@command("model.color_by")
def color_by(
    host: Host,
    node: NodeLike,
    name: str | None,
    of: Where | None = None,
    color_table: str | None = None,
    range: Any = "auto",  # noqa: A002 - what it is
) -> None:
    """Show values on a model as colours, or with None its own colour.

    Colours themselves (uint8 [n, 3] or [n, 4]) are shown as they are where there is neither a table nor a range.

    Args:
        name: of the values.
        of: "points" or "cells"; the points first without it.
        color_table: name of a colour table; the present one, or "Rainbow", without it.
        range: (low, high) of the table's ends, or "auto" for the values' own.

    Raises:
        NodeNotFoundError: no values of that name.
        ArgumentError: no such colour table, or a range that does not rise.
    """
    model = host.node(node, MODEL)
    found = _display(host, node)
    if name is None:
        found.SetScalarVisibility(False)
        return
    location, values = _values(model, name, of)
    colors = _color_node(host, color_table) if color_table is not None else found.GetColorNode()
    limits = None if isinstance(range, str) and range == "auto" else _limits(range)
    direct = color_table is None and limits is None and values.ndim == 2 and values.dtype == np.uint8
    was = found.StartModify()
    try:
        found.SetActiveScalar(name, location)
        if colors is None and not direct:
            colors = _color_node(host, _DEFAULT_COLORS)
        if colors is not None:
            found.SetAndObserveColorNodeID(colors.GetID())
        _set_range(found, limits, direct=direct and values.shape[1] in (3, 4))
        found.SetScalarVisibility(True)
    finally:
        found.EndModify(was)


def _values(model: Any, name: str, of: Where | None) -> tuple[int, Any]:
    """Where values are (vtkAssignAttribute's location), and they themselves. Raises `NodeNotFoundError`."""
    mesh = model.GetMesh()
    known: list[str] = []
    for where, location in (("points", _POINT_DATA), ("cells", _CELL_DATA)):
        if mesh is not None and of in (None, where):
            found = data_arrays(mesh.GetPointData() if where == "points" else mesh.GetCellData())
            if name in found:
                return location, found[name]
            known += found
    raise no_array(model, of or "points or cells", name, known)


@command("model.set_scalar_range")
def set_scalar_range(host: Host, node: NodeLike, range: Any = "auto") -> None:  # noqa: A002
    """(low, high) of the values at the ends of the colour table, or "auto". Raises `ArgumentError`."""
    limits = None if isinstance(range, str) and range == "auto" else _limits(range)
    _set_range(_display(host, node), limits)


@command("model.set_color_table")
def set_color_table(host: Host, node: NodeLike, name: str) -> None:
    """The colour table that values are shown by. Raises `ArgumentError` for a name that there is not."""
    _display(host, node).SetAndObserveColorNodeID(_color_node(host, name).GetID())


def _limits(value: Any) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in value)
    except (TypeError, ValueError):
        low = high = float("nan")
    if not low < high or not np.isfinite([low, high]).all():
        raise ArgumentError("The range does not fit.", expected='(low, high) or "auto"', got=repr(value))
    return low, high


def _set_range(found: Any, limits: tuple[float, float] | None, *, direct: bool = False) -> None:
    if direct:
        found.SetScalarRangeFlag(found.UseDirectMapping)
    elif limits is None:
        found.SetScalarRangeFlag(found.UseDataScalarRange)
    else:
        found.SetScalarRangeFlag(found.UseManualScalarRange)
        found.SetScalarRange(*limits)


def _color_node(host: Host, name: str) -> Any:
    nodes = host.nodes("vtkMRMLColorNode")
    for node in nodes:
        if name in (node.GetName(), node.GetID()):
            return node
    raise ArgumentError(
        f"There is no colour table {name!r}.", expected=", ".join(node.GetName() for node in nodes), got=repr(name)
    )
