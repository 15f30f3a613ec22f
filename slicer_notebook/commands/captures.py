"""What pictures of slices have in common that are not what the view shows: other layers, other planes, other shapes.

They go through the view's own pipeline (layers, window and level, colour tables, segmentations, markups, slabs), and
leave it as it was (`View.aside`).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.slice_axes import letters, opposite
from slicer_notebook.commands.views import MAX_EDGE
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array

__all__ = [
    "VOLUME_PLANES", "composite_node", "frame", "look", "measured", "pixel_to_ras", "plane", "shape_of", "slice_logic",
    "slice_view", "turn", "volume_of",
]  # fmt: skip

#: An orientation beside the view's own: the planes in which the volume was acquired.
VOLUME_PLANES: Final = "Volume"
_VOLUME: Final = "vtkMRMLVolumeNode"


def slice_view(host: Host, name: str) -> View:
    """The slice view of a name, also one that the present layout hides.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a 3-D view.
    """
    view = host.hidden_view(name)
    if view.kind != "slice":
        raise ArgumentError(f"View {view.name!r} shows no slices.", expected="a slice view", got=f"a {view.kind} view")
    return view


def slice_logic(host: Host, view: View) -> Any:
    """The vtkMRMLSliceLogic of a slice view."""
    return host.slicer.app.applicationLogic().GetSliceLogic(view.node)


def composite_node(host: Host, view: View) -> Any:
    """The vtkMRMLSliceCompositeNode of a slice view."""
    return slice_logic(host, view).GetSliceCompositeNode()


def look(host: Host, view: View, background: Any, foreground: Any = None, opacity: float = 0.0) -> None:
    """Have a view show these volumes and no others, each as far as it reaches. Inside of `View.aside`."""
    composite = composite_node(host, view)
    before = composite.StartModify()
    composite.SetBackgroundVolumeID(background.GetID())
    composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
    composite.SetLabelVolumeID(None)
    composite.SetForegroundOpacity(opacity)
    composite.SetCompositing(0)  # vtkMRMLSliceCompositeNode::Alpha
    composite.SetClipToBackgroundVolume(0)
    composite.EndModify(before)


def turn(view: View, orientation: str, volume: Any) -> None:
    """Turn a view: to a preset's name in any case, or to the planes of the volume (`VOLUME_PLANES`).

    Raises:
        ArgumentError: the view has no such orientation.
    """
    if orientation.lower() == VOLUME_PLANES.lower():
        if volume is None:
            raise ArgumentError("There is no volume whose planes could be taken.", expected="a volume", got="none")
        view.node.RotateToVolumePlane(volume)
        return
    from vtkmodules.vtkCommonCore import vtkStringArray

    names = vtkStringArray()
    view.node.GetSliceOrientationPresetNames(names)
    known = {names.GetValue(index).lower(): names.GetValue(index) for index in range(names.GetNumberOfValues())}
    if orientation.lower() not in known:
        raise ArgumentError(
            f"View {view.name} has no orientation {orientation!r}.",
            expected=", ".join([*known.values(), VOLUME_PLANES]),
            got=repr(orientation),
        )
    # Not SetOrientation, which has the node remember it as its reference for good.
    preset, plane_of = view.node.GetSliceOrientationPreset(known[orientation.lower()]), view.node.GetSliceToRAS()
    for row in range(3):
        for column in range(3):
            plane_of.SetElement(row, column, preset.GetElement(row, column))
    view.node.UpdateMatrices()


def frame(host: Host, view: View, volume: Any, size: int | tuple[int, int], field: tuple[float, float] | None) -> None:
    """Give a view the shape of a picture. Inside of `View.aside`.

    Args:
        size: (width, height) of the picture, pixels; or its longer edge, and the shape is that of what is seen.
        field: at least so much is seen around the view's middle, mm across and down; all of the volume without it.

    Raises:
        ArgumentError: sizes that do not fit.
    """
    if field is not None and not all(math.isfinite(each) and each > 0 for each in field):
        raise ArgumentError("The field of view does not fit.", expected="mm above 0, across and down", got=str(field))
    if field is None:
        field = _fit(host, view, volume)
    width, height = shape_of(size, field)
    scale = max(field[0] / width, field[1] / height)
    view.size = (width, height)
    node = view.node
    node.SetFieldOfView(scale * width, scale * height, node.GetFieldOfView()[2])
    node.UpdateMatrices()


def shape_of(size: int | tuple[int, int], field: tuple[float, float]) -> tuple[int, int]:
    """(width, height) in pixels of a picture of so many mm. Raises `ArgumentError`."""
    if not all(1 <= edge <= MAX_EDGE for edge in ((size,) if isinstance(size, int) else size)):
        raise ArgumentError("The picture's size does not fit.", expected=f"1 to {MAX_EDGE} pixels", got=str(size))
    if not isinstance(size, int):
        return size
    longer = max(field)
    return max(1, round(size * field[0] / longer)), max(1, round(size * field[1] / longer))


def _fit(host: Host, view: View, volume: Any) -> tuple[float, float]:
    """Move a view's middle to that of the volume; how much of its plane the volume takes, mm across and down."""
    plane_of = _array(view.node.GetSliceToRAS())
    low, high = _in_plane(slice_logic(host, view), volume)
    middle = (low + high) / 2
    middle[2] = float(plane_of[:3, 2] @ plane_of[:3, 3])  # where it is along the normal, it stays
    center = plane_of[:3, :3] @ middle
    matrix = view.node.GetSliceToRAS()
    for axis in range(3):
        matrix.SetElement(axis, 3, center[axis])
    view.node.SetXYZOrigin(0.0, 0.0, 0.0)
    view.node.UpdateMatrices()
    return float(high[0] - low[0]), float(high[1] - low[1])


def _in_plane(logic: Any, volume: Any) -> tuple[Array, Array]:
    """Lowest and highest coordinate of a volume's voxels, edges included, along a view's axes and normal, mm."""
    bounds = [0.0] * 6
    logic.GetVolumeSliceBounds(volume, bounds)
    return np.array(bounds[0::2]), np.array(bounds[1::2])


def _array(matrix: Any) -> Array:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def plane(view: View) -> Array:
    """Slice to RAS of a slice view: 4x4 float64, mm; columns are right, up, the normal and the middle."""
    return _array(view.node.GetSliceToRAS())


def pixel_to_ras(view: View) -> Array:
    """Where a pixel's value is from: (column, row, 0, 1), row 0 at the top, to RAS in mm; 4x4 float64.

    vtkMRMLSliceNode's XYToRAS, whose rows count from the bottom.
    """
    from_bottom = np.eye(4)
    from_bottom[1, 1], from_bottom[1, 3] = -1.0, view.size[1] - 1.0
    found: Array = _array(view.node.GetXYToRAS()) @ from_bottom
    return found


def measured(view: View) -> dict[str, Any]:
    """What is to be known of a slice's picture.

    Returns:
        ``orientation``; ``offset`` (mm); ``extent``: left, right, bottom and top edge of the picture in mm along the
        view's axes, 0 where RAS has its origin (as offsets are counted along the normal); ``letters``: where its
        ``left``, ``right``, ``top`` and ``bottom`` lead, and the ``normal``; ``pixel_to_ras`` (see `pixel_to_ras`).
    """
    to_ras, axes = pixel_to_ras(view), plane(view)
    width, height = view.size
    corners = [to_ras @ [column, row, 0.0, 1.0] for column, row in ((-0.5, height - 0.5), (width - 0.5, -0.5))]
    right, up, normal = (axes[:3, index] for index in range(3))
    across, upward = letters(right), letters(up)
    return {
        "orientation": view.orientation,
        "offset": view.offset,
        "extent": [
            float(right @ corners[0][:3]), float(right @ corners[1][:3]),
            float(up @ corners[0][:3]), float(up @ corners[1][:3]),
        ],
        "letters": {
            "left": opposite(across), "right": across, "top": upward, "bottom": opposite(upward),
            "normal": letters(normal),
        },
        "pixel_to_ras": to_ras,
    }  # fmt: skip


def volume_of(host: Host, view: View, like: Any) -> Any:
    """The volume of a reference, id or name; what is in the view's background without one.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such volume, or several.
        ArgumentError: there is none in the background.
    """
    if like is not None:
        return host.node(like, _VOLUME)
    found = slice_logic(host, view).GetBackgroundLayer().GetVolumeNode()
    if found is None:
        raise ArgumentError(f"View {view.name!r} shows no volume.", expected="a volume in its background", got="none")
    return found
