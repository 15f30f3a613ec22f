"""Commands about what markups are beside their points: measurements, curves, planes, ROIs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.markups import kind_of, node_of, real_points
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array

#: Curve and plane types as MRML writes them in files.
_CURVES: Final = ("linear", "spline", "kochanekSpline", "polynomial", "shortestSurfaceDistance")
_PLANES: Final = {"pointNormal": "PlaneTypePointNormal", "threePoints": "PlaneType3Points",
                  "planeFit": "PlaneTypePlaneFit"}  # fmt: skip


# -- measurements ------------------------------------------------------------------------------------------------------


@command("markups.measurements", journal=False)
def measurements(host: Host, node: NodeLike) -> dict[str, dict[str, Any]]:
    """What this kind of markups can measure, by MRML's name: "length", "angle", "area", "curvature mean"...

    Returns:
        For each: ``enabled``; ``value`` in ``unit`` (None where it is not enabled, or points are missing); ``text``:
        as Slicer writes it. In world coordinates.
    """
    found = node_of(host, node)
    return {each.GetName(): _measured(each) for each in _measurements(found)}


def _measurements(node: Any) -> list[Any]:
    return [node.GetNthMeasurement(i) for i in range(node.GetNumberOfMeasurements())]


def _measured(each: Any) -> dict[str, Any]:
    known = each.GetEnabled() and each.GetValueDefined()
    return {
        "enabled": bool(each.GetEnabled()),
        "value": float(each.GetDisplayValue()) if known else None,
        "unit": each.GetUnits() or "",
        "text": each.GetValueWithUnitsAsPrintableString() if known else "",
    }


@command("markups.enable_measurements")
def enable_measurements(
    host: Host, node: NodeLike, names: list[str] | None = None, enabled: bool = True
) -> dict[str, dict[str, Any]]:
    """Have measurements made from now on, and shown in views (or no more); what ``markups.measurements`` then gives.

    Args:
        names: all that there are without it.

    Raises:
        ArgumentError: this kind of markups measures no such thing.
    """
    found = node_of(host, node)
    known = {each.GetName(): each for each in _measurements(found)}
    for name in known if names is None else names:
        if name not in known:
            raise ArgumentError(
                f"Markups of the kind {kind_of(found)!r} do not measure that.",
                expected=", ".join(known) or "nothing: they measure nothing",
                got=repr(name),
            )
        known[name].SetEnabled(enabled)
    found.UpdateAllMeasurements()
    return {name: _measured(each) for name, each in known.items()}


# -- curves ------------------------------------------------------------------------------------------------------------


@command("markups.curve", journal=False)
def curve(host: Host, node: NodeLike, world: bool = True) -> dict[str, Any]:
    """The line that is drawn through the points of a line, angle or curve.

    Returns:
        ``points``: float64 [n, 3], RAS, mm, in world coordinates or the node's own; of a closed curve, the first point
        again at the end; ``length``: mm, in world coordinates; ``closed``; ``type``: of a curve: "linear", "spline",
        "kochanekSpline", "polynomial" or "shortestSurfaceDistance"; ``angle``: of an angle, degrees; None of others.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = node_of(host, node)
    drawn = found.GetCurvePointsWorld() if world else found.GetCurvePoints()
    points = np.array(vtk_to_numpy(drawn.GetData()), dtype=np.float64) if drawn is not None else np.empty((0, 3))
    is_angle = found.IsA("vtkMRMLMarkupsAngleNode") and len(real_points(found)) == 3
    is_curve = found.IsA("vtkMRMLMarkupsCurveNode")
    return {
        "points": points.reshape(-1, 3),
        "length": float(found.GetCurveLengthWorld()) if is_curve else _length(found.GetCurvePointsWorld()),
        "closed": bool(found.GetCurveClosed()),
        "type": found.GetCurveTypeAsString(found.GetCurveType()) if is_curve else None,
        "angle": float(found.GetAngleDegrees()) if is_angle else None,
    }


def _length(drawn: Any) -> float:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if drawn is None or drawn.GetNumberOfPoints() < 2:
        return 0.0
    steps = np.diff(vtk_to_numpy(drawn.GetData()).astype(np.float64), axis=0)
    return float(np.linalg.norm(steps, axis=1).sum())


@command("markups.set_curve_type")
def set_curve_type(host: Host, node: NodeLike, curve_type: str) -> None:
    """How a curve goes from point to point: "linear", "spline", "kochanekSpline" or "polynomial".

    Raises:
        ArgumentError: another word.
    """
    found = node_of(host, node, "curve")
    # The shortest way on a surface needs a surface, and that one more node.
    if curve_type not in _CURVES[:-1]:
        raise ArgumentError("There is no such curve.", expected=", ".join(_CURVES[:-1]), got=repr(curve_type))
    found.SetCurveType(found.GetCurveTypeFromString(curve_type))


@command("markups.resample_curve")
def resample_curve(host: Host, node: NodeLike, step: float) -> int:
    """Put control points in even steps along a curve, in place of those that it has; how many.

    Args:
        step: mm along the curve, in world coordinates. The last point of an open curve stays where it was.

    Raises:
        ArgumentError: a step that is not above 0, or longer than the curve.
    """
    found = node_of(host, node, "curve")
    length = found.GetCurveLengthWorld()
    if not 0 < step <= length:
        raise ArgumentError("The step does not fit.", expected=f"above 0, at most {length:.4g} mm", got=f"{step:.4g}")
    found.ResampleCurveWorld(step)
    return int(found.GetNumberOfControlPoints())


# -- planes and ROIs ---------------------------------------------------------------------------------------------------


@command("markups.plane", journal=False)
def plane(host: Host, node: NodeLike) -> dict[str, Any]:
    """A plane in world coordinates.

    Returns:
        ``origin``, ``center``: RAS, mm (the same, unless the plane goes through three points); ``normal``: unit vector;
        ``size``: mm along its x and y; ``matrix``: 4x4, plane → RAS: axes x, y, normal, and the center; ``type``:
        "pointNormal", "threePoints" or "planeFit"; ``valid``: whether its points make a plane.
    """
    found = node_of(host, node, "plane")
    matrix = _new_matrix()
    found.GetObjectToWorldMatrix(matrix)
    return {
        "origin": [float(x) for x in found.GetOriginWorld()],
        "center": [float(x) for x in found.GetCenterWorld()],
        "normal": [float(x) for x in found.GetNormalWorld()],
        "size": [float(x) for x in found.GetSizeWorld()],
        "matrix": _array(matrix),
        "type": found.GetPlaneTypeAsString(found.GetPlaneType()),
        "valid": bool(found.GetIsPlaneValid()),
    }


@command("markups.set_plane")
def set_plane(
    host: Host,
    node: NodeLike,
    origin: tuple[float, float, float] | None = None,
    normal: tuple[float, float, float] | None = None,
    size: tuple[float, float] | None = None,
    matrix: Any = None,
    plane_type: str | None = None,
) -> None:
    """Put a plane somewhere; what is ``None`` stays.

    Args:
        origin: RAS, mm.
        normal: of any length but 0.
        size: mm along its x and y; from then on it is not fitted to the points.
        matrix: 4x4, plane → RAS, mm, a rotation and the center; instead of origin and normal.
        plane_type: what its points mean: "pointNormal", "threePoints", "planeFit".

    Raises:
        ArgumentError: numbers that do not fit, or a matrix of a plane that is fitted to points.
        ArrayError: a matrix that does more than turn and move.
    """
    found = node_of(host, node, "plane")
    if plane_type is not None and plane_type not in _PLANES:
        raise ArgumentError("There is no such plane.", expected=", ".join(_PLANES), got=repr(plane_type))
    _check_numbers("origin", origin, 3)
    _check_numbers("normal", normal, 3)
    if normal is not None and not np.any(normal):
        raise ArgumentError("That is no normal.", expected="a vector that is not 0", got=str(normal))
    _check_size(size)
    turned = _rigid(matrix) if matrix is not None else None
    if plane_type is not None:
        found.SetPlaneType(getattr(found, _PLANES[plane_type]))
    if (turned is not None or origin is not None or normal is not None) and (
        found.GetPlaneType() == found.PlaneTypePlaneFit
    ):
        raise ArgumentError(
            "This plane is fitted to its points.", expected='a plane of the type "pointNormal" or "threePoints"',
            got="planeFit", hint="set the points, or plane_type",
        )  # fmt: skip
    if turned is not None:
        if not found.GetNumberOfControlPoints():
            found.SetOriginWorld(turned[:3, 3].tolist())
        found.SetAxesWorld(*(turned[:3, axis].tolist() for axis in range(3)))
        found.SetCenterWorld(turned[:3, 3].tolist())
    if origin is not None:
        found.SetOriginWorld(origin)
    if normal is not None:
        found.SetNormalWorld(normal)
    if size is not None:
        found.SetSizeMode(found.SizeModeAbsolute)
        found.SetSizeWorld(*size)


@command("markups.roi", journal=False)
def roi(host: Host, node: NodeLike) -> dict[str, Any]:
    """A ROI in world coordinates.

    Returns:
        ``center``: RAS, mm; ``size``: mm along its own axes; ``matrix``: 4x4, ROI → RAS: its axes and the center;
        ``bounds``: of the box along R, A, S around it: first and last R, A, S, mm.
    """
    found = node_of(host, node, "roi")
    bounds, size = [0.0] * 6, [0.0] * 3
    found.GetSizeWorld(size)
    found.GetRASBounds(bounds)
    return {
        "center": [float(x) for x in found.GetCenterWorld()],
        "size": size,
        "matrix": _array(found.GetObjectToWorldMatrix()),
        "bounds": bounds,
    }


@command("markups.set_roi")
def set_roi(
    host: Host,
    node: NodeLike,
    center: tuple[float, float, float] | None = None,
    size: tuple[float, float, float] | None = None,
    matrix: Any = None,
) -> None:
    """Put a ROI somewhere; what is ``None`` stays.

    Args:
        center: RAS, mm.
        size: mm along its own axes.
        matrix: 4x4, ROI → RAS, mm: a rotation and the center.

    Raises:
        ArgumentError: numbers that do not fit.
        ArrayError: a matrix that does more than turn and move; or a ROI under a transform that does.
    """
    found = node_of(host, node, "roi")
    _check_numbers("center", center, 3)
    _check_size(size)
    if matrix is not None:
        turned = _rigid(matrix)
        above = found.GetParentTransformNode()
        if above is not None:
            turned = _rigid(np.linalg.inv(_to_world(above)) @ turned)
        found.SetAndObserveObjectToNodeMatrix(host.matrix(turned))
        if not found.GetNumberOfControlPoints():
            found.SetCenter(turned[:3, 3].tolist())
    if center is not None:
        found.SetCenterWorld(center)
    if size is not None:
        found.SetSizeWorld(*size)


@command("markups.fit_roi")
def fit_roi(host: Host, node: NodeLike, around: NodeLike) -> None:
    """Put a ROI around a node: the box along R, A, S that holds it, in world coordinates.

    Raises:
        ArgumentError: a node that is nowhere, such as an empty volume.
    """
    found, target = node_of(host, node, "roi"), host.node(around, "vtkMRMLDisplayableNode")
    bounds = [0.0, -1.0] * 3
    target.GetRASBounds(bounds)
    low, high = np.array(bounds[0::2]), np.array(bounds[1::2])
    if (high < low).any():
        raise ArgumentError(f"{target.GetName()!r} takes up no place.", expected="a node with voxels or points")
    turned = np.eye(4)
    turned[:3, 3] = (low + high) / 2
    set_roi(host, host.ref(found), matrix=turned, size=tuple((high - low).tolist()))


@command("markups.in_roi", journal=False)
def in_roi(host: Host, node: NodeLike, points: Any) -> Array:
    """Which of these points, [n, 3], RAS, mm, in world coordinates, are in a ROI; bool [n]. Raises `ArrayError`."""
    from slicer_notebook.commands.markups import _points

    found = node_of(host, node, "roi")
    return np.array([bool(found.IsPointInROIWorld(each)) for each in _points(points).tolist()], dtype=bool)


def _check_numbers(what: str, values: tuple[float, ...] | None, count: int) -> None:
    if values is not None and not np.isfinite(values).all():
        raise ArgumentError(f"That is no {what}.", expected=f"{count} finite numbers", got=str(values))


def _check_size(size: tuple[float, ...] | None) -> None:
    if size is not None and not (np.isfinite(size).all() and min(size) >= 0):
        raise ArgumentError("The size does not fit.", expected="finite numbers of at least 0, mm", got=str(size))


def _rigid(values: Any) -> Array:
    """A 4x4 matrix that turns and moves, as float64. Raises `ArrayError`."""
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    fits = matrix.shape == (4, 4) and np.isfinite(matrix).all() and np.allclose(matrix[3], (0, 0, 0, 1))
    if (
        not fits
        or not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-4)
        or (np.linalg.det(matrix[:3, :3]) < 0)
    ):
        raise ArrayError(
            "This matrix does not only turn and move.",
            expected="4x4: axes of length 1 at right angles, right-handed, and a place, RAS, mm",
            got=f"shape {matrix.shape}" if matrix.shape != (4, 4) else str(matrix.tolist()),
            hint="the size is set apart",
        )
    return matrix


def _to_world(transform: Any) -> Array:
    matrix = _new_matrix()
    if not transform.GetMatrixTransformToWorld(matrix):
        raise ArrayError("The transform above the node is not linear.", expected="a linear transform", got="another")
    return _array(matrix)


def _new_matrix() -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    return vtkMatrix4x4()


def _array(matrix: Any) -> Array:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
