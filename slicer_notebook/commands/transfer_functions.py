"""Transfer functions of volume rendering: arrays in and out, moved along the values, recognized as a preset's.

A function is kept as its *nodes*, as VTK has them: opacity [n, 4] (value, opacity, midpoint, sharpness), colour [n, 6]
(value, red, green, blue, midpoint, sharpness). What a user sees are its *points*: the same without midpoint and
sharpness, which are 0.5 and 0 (straight lines) in all of Slicer's presets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array

__all__ = ["Base", "Functions", "Kind", "base_of", "checked", "points_of", "put", "read", "remember", "shifted"]

Kind = Literal["opacity", "color", "gradient opacity"]

#: Points of a function, at most: a label map's colour table has some hundred.
MOST_POINTS: Final = 4096
#: Columns of points: what they are called in an error.
_COLUMNS: Final[dict[Kind, str]] = {
    "opacity": "value, opacity",
    "color": "value, red, green, blue",
    "gradient opacity": "gradient magnitude, opacity",
}
#: What a straight line between two points has in VTK.
_MIDPOINT, _SHARPNESS = 0.5, 0.0
#: The attribute of a volume property node that says what `Base` says.
_ATTRIBUTE: Final = "slicer_notebook.rendering"
#: Two functions are the same if they differ by less than this part of their width: scene files have seven digits.
_SAME: Final = 1e-6


class Functions(NamedTuple):
    """Opacity [n, 4] and colour [m, 6] over the values, as nodes."""

    opacity: Array
    color: Array


class Base(NamedTuple):
    """What the present functions are, moved along the values.

    Attributes:
        preset: whose they are; None if they were edited.
        functions: the unmoved ones.
        at: the shift at which ``functions`` are as they are: 0 for a preset; where it was edited, else.
        shift: how far they are moved now, in the volume's units.
    """

    preset: str | None
    functions: Functions
    at: float
    shift: float


def checked(kind: Kind, points: Any) -> Array:
    """Points as nodes.

    Raises:
        ArrayError: another shape, numbers that are not finite, values that do not rise, or anything outside 0 to 1.
    """
    columns = _COLUMNS[kind].split(", ")
    try:
        found = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    fits = found.ndim == 2 and found.shape[1] == len(columns) and 1 <= len(found) <= MOST_POINTS
    if not fits or not np.isfinite(found).all():
        raise ArrayError(
            f"These are not the points of {kind}.",
            expected=f"finite numbers of shape (n, {len(columns)}): {_COLUMNS[kind]}; n from 1 to {MOST_POINTS}",
            got=f"shape {found.shape}" if found.size else f"{points!r:.60}",
        )
    if (np.diff(found[:, 0]) <= 0).any():
        at = int(np.flatnonzero(np.diff(found[:, 0]) <= 0)[0])
        raise ArrayError(
            f"The values of {kind} do not rise.",
            expected=f"each {columns[0]} above the one before",
            got=f"{found[at, 0]:g}, then {found[at + 1, 0]:g}",
            hint="a step is two points that are a little apart",
        )
    if ((found[:, 1:] < 0) | (found[:, 1:] > 1)).any():
        outside = found[:, 1:][(found[:, 1:] < 0) | (found[:, 1:] > 1)]
        raise ArrayError(
            f"The {' and '.join(columns[1:])} of a point do not fit.", expected="0 to 1", got=f"{outside[0]:g}"
        )
    straight = np.tile([_MIDPOINT, _SHARPNESS], (len(found), 1))
    return np.hstack([found, straight])


def points_of(nodes: Array) -> Array:
    """Nodes without midpoint and sharpness."""
    return np.ascontiguousarray(nodes[:, :-2])


def shifted(nodes: Array, by: float) -> Array:
    """Nodes moved along the values; they still rise where numbers are too large for what was between them."""
    if by == 0:
        return nodes
    moved = nodes.copy()
    moved[:, 0] += by
    for n in range(1, len(moved)):
        if moved[n, 0] <= moved[n - 1, 0]:
            moved[n, 0] = np.nextafter(moved[n - 1, 0], np.inf)
    return moved


# -- VTK -------------------------------------------------------------------------------------------------------------


def _nodes(function: Any, width: int) -> Array:
    """Nodes of a vtkPiecewiseFunction (width 4) or vtkColorTransferFunction (6)."""
    found = np.empty((function.GetSize(), width))
    row = [0.0] * width
    for n in range(len(found)):
        function.GetNodeValue(n, row)
        found[n] = row
    return found


def read(property_node: Any, kind: Kind) -> Array:
    """Nodes of a vtkMRMLVolumePropertyNode's function."""
    if kind == "color":
        return _nodes(property_node.GetColor(), 6)
    return _nodes(property_node.GetScalarOpacity() if kind == "opacity" else property_node.GetGradientOpacity(), 4)


def put(property_node: Any, kind: Kind, nodes: Array) -> None:
    """Give a vtkMRMLVolumePropertyNode a function; how colours are mixed between points stays."""
    former = {
        "opacity": property_node.GetScalarOpacity,
        "color": property_node.GetColor,
        "gradient opacity": property_node.GetGradientOpacity,
    }[kind]()
    made = former.NewInstance()
    made.DeepCopy(former)
    made.RemoveAllPoints()
    add = made.AddRGBPoint if kind == "color" else made.AddPoint
    for node in nodes.tolist():
        add(*node)
    {
        "opacity": property_node.SetScalarOpacity,
        "color": property_node.SetColor,
        "gradient opacity": property_node.SetGradientOpacity,
    }[kind](made, 0)


def functions_of(property_node: Any) -> Functions:
    """Opacity and colour as they are now."""
    return Functions(read(property_node, "opacity"), read(property_node, "color"))


# -- presets and shift -----------------------------------------------------------------------------------------------


def remember(property_node: Any, base: Base) -> None:
    """Note at the node what its functions are. `base_of` believes it only as long as it is true."""
    kept: dict[str, Any] = {"preset": base.preset, "at": base.at, "shift": base.shift}
    if base.preset is None:
        kept |= {"opacity": base.functions.opacity.tolist(), "color": base.functions.color.tolist()}
    property_node.SetAttribute(_ATTRIBUTE, json.dumps(kept))


def base_of(property_node: Any, presets: Iterable[Any]) -> Base:
    """What the present functions are: as it was noted, else by comparison with the presets, else themselves.

    Others change functions, too (Slicer's own slider, a scene that is loaded); whatever they did, the answer is true.
    """
    now = functions_of(property_node)
    known = {preset.GetName(): preset for preset in presets}
    noted = _noted(property_node, known)
    if noted is not None and _equal(_moved(noted.functions, noted.shift - noted.at), now):
        return noted
    # Slicer gives the node of a preset its name: that one first, where several have the same functions.
    own_name = property_node.GetName()
    for name in sorted(known, key=lambda each: each != own_name):
        theirs = functions_of(known[name])
        shift = _distance(theirs, now)
        if shift is not None:
            return Base(name, theirs, 0.0, shift)
    return Base(None, now, 0.0, 0.0)


def _noted(property_node: Any, presets: dict[str, Any]) -> Base | None:
    try:
        kept = json.loads(property_node.GetAttribute(_ATTRIBUTE) or "")
        name = kept["preset"]
        if name is not None:
            functions = functions_of(presets[name])
        else:
            functions = Functions(np.array(kept["opacity"], float), np.array(kept["color"], float))
        return Base(name, functions, float(kept["at"]), float(kept["shift"]))
    except (ValueError, KeyError, TypeError):
        return None  # nothing noted, by another version, or of a preset that is no more


def _moved(functions: Functions, by: float) -> Functions:
    return Functions(shifted(functions.opacity, by), shifted(functions.color, by))


def _equal(one: Functions, other: Functions) -> bool:
    return np.array_equal(one.opacity, other.opacity) and np.array_equal(one.color, other.color)


def _distance(theirs: Functions, now: Functions) -> float | None:
    """How far the functions are moved against a preset's; None if they are others."""
    if theirs.opacity.shape != now.opacity.shape or theirs.color.shape != now.color.shape or not len(now.opacity):
        return None
    # The preset is near 0 and small where it is exact: the last point is the most exact one of both.
    by = float(now.opacity[-1, 0] - theirs.opacity[-1, 0])
    least = _SAME * max(1.0, float(np.ptp(theirs.opacity[:, 0])), abs(by))
    for mine, other in zip(now, theirs, strict=True):
        if np.abs(mine[:, 0] - by - other[:, 0]).max() > least or np.abs(mine[:, 1:] - other[:, 1:]).max() > _SAME:
            return None
    return 0.0 if abs(by) <= least else by
