"""Commands about cameras of 3-D views."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef

Point = tuple[float, float, float]

_CAMERA: Final = "vtkMRMLCameraNode"
#: Where a camera can look from, in the words of vtkMRMLCameraNode.
SIDES: Final = ("right", "left", "posterior", "anterior", "inferior", "superior")


def _node(host: Host, node: NodeLike) -> Any:
    return host.node(node, _CAMERA)


@command("camera.of_view", journal=False)
def of_view(host: Host, name: str) -> NodeRef:
    """The camera of a 3-D view.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a slice view.
    """
    view = host.view(name)
    if view.kind != "3d":
        raise ArgumentError(f"View {view.name!r} has no camera.", expected="a 3-D view", got=f"a {view.kind} view")
    camera = host.slicer.modules.cameras.logic().GetViewActiveCameraNode(view.node)
    if camera is None:
        raise ArgumentError(f"View {view.name!r} has no camera yet.", expected="a 3-D view with a camera", got="none")
    return host.ref(camera)


@command("camera.info", journal=False)
def info(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a camera looks at.

    Returns:
        ``name``; ``position`` and ``focal_point``: RAS, mm, in the world; ``view_up``: unit vector; ``view_angle``:
        degrees, from the bottom to the top of the picture; ``parallel``: whether parallel lines stay parallel;
        ``parallel_scale``: half the picture's height then, mm; ``view``: name of the 3-D view, "" when it has none.
    """
    found = _node(host, node)
    return {
        "name": found.GetName() or "",
        "position": [float(x) for x in found.GetPosition()],
        "focal_point": [float(x) for x in found.GetFocalPoint()],
        "view_up": [float(x) for x in found.GetViewUp()],
        "view_angle": float(found.GetViewAngle()),
        "parallel": bool(found.GetParallelProjection()),
        "parallel_scale": float(found.GetParallelScale()),
        "view": found.GetLayoutName() or "",
    }


@command("camera.set")
def set_camera(
    host: Host,
    node: NodeLike,
    position: Point | None = None,
    focal_point: Point | None = None,
    view_up: Point | None = None,
    view_angle: float | None = None,
    parallel: bool | None = None,
    parallel_scale: float | None = None,
) -> None:
    """Move a camera; what is ``None`` stays. What it all means: ``camera.info``.

    Args:
        view_up: of any length but 0.
        view_angle: degrees, above 0, below 180.
        parallel_scale: mm, above 0.

    Raises:
        ArgumentError: numbers that do not fit; the camera would be where it looks to, or look along ``view_up``.
    """
    found = _node(host, node)
    for what, values in (("position", position), ("focal_point", focal_point), ("view_up", view_up)):
        if values is not None and not np.isfinite(values).all():
            raise ArgumentError(f"That is no {what}.", expected="three finite numbers", got=str(values))
    if view_angle is not None and not 0 < view_angle < 180:
        raise ArgumentError("The view angle does not fit.", expected="degrees, 0 to 180", got=str(view_angle))
    if parallel_scale is not None and not 0 < parallel_scale < np.inf:
        raise ArgumentError("The parallel scale does not fit.", expected="mm, above 0", got=str(parallel_scale))
    _check(
        np.array(found.GetPosition() if position is None else position),
        np.array(found.GetFocalPoint() if focal_point is None else focal_point),
        np.array(found.GetViewUp() if view_up is None else view_up),
    )
    before = found.StartModify()
    try:
        for setter, value in (
            (found.SetPosition, position),
            (found.SetFocalPoint, focal_point),
            (found.SetViewUp, view_up),
            (found.SetViewAngle, view_angle),
            (found.SetParallelProjection, parallel),
            (found.SetParallelScale, parallel_scale),
        ):
            if value is not None:
                setter(value)
    finally:
        found.EndModify(before)
    # What the camera sees from there may be outside of what it drew before.
    found.ResetClippingRange()


def _check(position: Any, focal_point: Any, view_up: Any) -> None:
    along = focal_point - position
    if not np.linalg.norm(along) > 1e-9:
        raise ArgumentError(
            "The camera would be where it looks to.",
            expected="another position than focal_point",
            got=str(position.tolist()),
        )
    if not np.linalg.norm(view_up) > 1e-9:
        raise ArgumentError("That is no direction.", expected="a view_up that is not 0", got=str(view_up.tolist()))
    sine = np.linalg.norm(np.cross(along, view_up)) / (np.linalg.norm(along) * np.linalg.norm(view_up))
    if sine < 1e-6:
        raise ArgumentError(
            "The camera would look along view_up.",
            expected="a view_up that is not along the line of sight",
            got=str(view_up.tolist()),
            hint="set view_up, too: slicer.call('camera.set', ...) sets all at once, as camera.set() does",
        )


@command("camera.look_from")
def look_from(host: Host, node: NodeLike, side: str) -> None:
    """Move a camera around its focal point, at the same distance, to a side of the patient.

    Args:
        side: "right", "left", "posterior", "anterior", "inferior" or "superior".

    Raises:
        ArgumentError: another word.
    """
    found = _node(host, node)
    if side.lower() not in SIDES:
        raise ArgumentError("There is no such side.", expected=", ".join(SIDES), got=repr(side))
    found.RotateTo(getattr(found, side.capitalize()))
    found.ResetClippingRange()
