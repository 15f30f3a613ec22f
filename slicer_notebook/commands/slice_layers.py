"""Commands for all that the bar above a slice view has: layers, links, planes, slabs, and the crosshair.

What is linked follows as in Slicer: the changes are made as an interaction with the view, which vtkMRMLSliceLinkLogic
hands on to the linked views of its group (at once with hot links, else at the interaction's end).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from slicer_notebook.commands import captures
from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.slice_axes import letters
from slicer_notebook.commands.views import followed
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef

Layer = Literal["background", "foreground", "label"]
SlabMode = Literal["max", "min", "mean", "sum"]

#: What takes a volume out of a layer.
NOTHING: Final = ""
#: VTK_IMAGE_SLAB_MIN and so on (vtkImageSlabReslice.h), which vtkMRMLSliceNode::SetSlabReconstructionType takes.
_SLABS: Final[dict[str, int]] = {"min": 0, "max": 1, "mean": 2, "sum": 3}
_CROSSHAIR_MODES: Final = {
    "none": "NoCrosshair",
    "basic": "ShowBasic",
    "intersection": "ShowIntersection",
    "hashmarks": "ShowHashmarks",
    "all": "ShowAll",
    "small basic": "ShowSmallBasic",
    "small intersection": "ShowSmallIntersection",
}
CrosshairMode = Literal[
    "none", "basic", "intersection", "hashmarks", "all", "small basic", "small intersection"
]  # fmt: skip


@contextmanager
def _followed_layers(host: Host, view: View, flag: str) -> Iterator[Any]:
    """As `followed`, for a flag of vtkMRMLSliceCompositeNode; the node."""
    logic = captures.slice_logic(host, view)
    logic.StartSliceCompositeNodeInteraction(getattr(host.slicer.vtkMRMLSliceCompositeNode, flag))
    try:
        yield logic.GetSliceCompositeNode()
    finally:
        logic.EndSliceCompositeNodeInteraction()


def _slice(host: Host, name: str) -> View:
    view = host.view(name)
    if view.kind != "slice":
        raise ArgumentError(f"View {view.name!r} shows no slices.", expected="a slice view", got=f"a {view.kind} view")
    return view


# -- all at once ----------------------------------------------------------------------------------------------------


@command("view.controller", journal=False)
def controller(host: Host, name: str) -> dict[str, Any]:
    """All that the bar of a slice view shows.

    Returns:
        ``name``; ``node`` and ``composite_node`` (ids); ``group`` (of linked views); ``label`` (a letter) and ``color``
        (``#rrggbb``); ``offset``, ``offset_range``, ``offset_step`` (mm); ``orientation`` and ``orientations`` (all
        there are); ``normal`` (letters of where rising offsets lead); ``background``, ``foreground``, ``label_map``
        (node or None); ``foreground_opacity``, ``label_opacity``; ``label_outline``; ``linked``, ``hot_linked``;
        ``visible_in_3d``; ``field_of_view`` (mm across, down); ``center`` (RAS, mm); ``slab`` (mm thick; None: none),
        ``slab_mode``.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a 3-D view.
    """
    return _controller(host, _slice(host, name))


def _controller(host: Host, view: View) -> dict[str, Any]:
    node, composite = view.node, captures.composite_node(host, view)
    scene = host.slicer.mrmlScene
    matrix, field = node.GetXYToRAS(), node.GetFieldOfView()
    dimensions = node.GetDimensions()

    def volume(layer: str) -> NodeRef | None:
        found = scene.GetNodeByID(getattr(composite, f"Get{layer}VolumeID")() or "")
        return host.ref(found) if found is not None else None

    axes = node.GetSliceToRAS()
    middle = matrix.MultiplyPoint([dimensions[0] / 2, dimensions[1] / 2, 0.0, 1.0])
    return {
        "name": view.name,
        "node": node.GetID(),
        "composite_node": composite.GetID(),
        "group": node.GetViewGroup(),
        "label": node.GetLayoutLabel() or "",
        "color": "#{:02x}{:02x}{:02x}".format(*(round(255 * each) for each in node.GetLayoutColor())),
        "offset": view.offset,
        "offset_range": list(view.offset_range),
        "offset_step": view.offset_step,
        "orientation": view.orientation,
        "orientations": _presets(node),
        "normal": letters([axes.GetElement(axis, 2) for axis in range(3)]),
        "background": volume("Background"),
        "foreground": volume("Foreground"),
        "label_map": volume("Label"),
        "foreground_opacity": composite.GetForegroundOpacity(),
        "label_opacity": composite.GetLabelOpacity(),
        "label_outline": bool(node.GetUseLabelOutline()),
        "linked": bool(composite.GetLinkedControl()),
        "hot_linked": bool(composite.GetHotLinkedControl()),
        "visible_in_3d": bool(node.GetSliceVisible()),
        "field_of_view": [float(field[0]), float(field[1])],
        "center": [float(each) for each in middle[:3]],
        "slab": float(node.GetSlabReconstructionThickness()) if node.GetSlabReconstructionEnabled() else None,
        "slab_mode": next(
            (mode for mode, number in _SLABS.items() if number == node.GetSlabReconstructionType()), "max"
        ),
    }


@command("view.volumes", journal=False)
def volumes(host: Host) -> dict[str, list[NodeRef]]:
    """What the layers of slice views can show: ``volumes`` (all but label maps) and ``label_maps``, in scene order."""
    found: dict[str, list[NodeRef]] = {"volumes": [], "label_maps": []}
    for node in host.nodes("vtkMRMLVolumeNode"):
        if not node.GetHideFromEditors():
            found["label_maps" if node.IsA("vtkMRMLLabelMapVolumeNode") else "volumes"].append(host.ref(node))
    return found


def _presets(node: Any) -> list[str]:
    """Names of a slice node's orientations."""
    from vtkmodules.vtkCommonCore import vtkStringArray

    names = vtkStringArray()
    node.GetSliceOrientationPresetNames(names)
    return [names.GetValue(index) for index in range(names.GetNumberOfValues())]


# -- layers ---------------------------------------------------------------------------------------------------------


@command("view.set_layers")
def set_layers(
    host: Host,
    name: str,
    background: NodeLike | None = None,
    foreground: NodeLike | None = None,
    label_map: NodeLike | None = None,
    foreground_opacity: float | None = None,
    label_opacity: float | None = None,
    label_outline: bool | None = None,
) -> dict[str, Any]:
    """Choose the volumes of a slice view's layers, and how they are drawn; what is None stays. Linked views follow.

    Args:
        background, foreground: volumes; "" for none.
        label_map: a label map; "" for none.
        foreground_opacity, label_opacity: 0 to 1.
        label_outline: label maps as outlines.

    Returns:
        ``view.controller``.

    Raises:
        ViewNotFoundError, NodeNotFoundError: no such view or volume.
        ArgumentError: a 3-D view, an opacity outside 0 to 1.
    """
    view = _slice(host, name)
    opacities = {"ForegroundOpacity": foreground_opacity, "LabelOpacity": label_opacity}
    for what, opacity in opacities.items():
        if opacity is not None and not 0 <= opacity <= 1:
            raise ArgumentError(f"{what} does not fit.", expected="0 to 1", got=str(opacity))
    chosen = {
        "Background": (background, "vtkMRMLVolumeNode"),
        "Foreground": (foreground, "vtkMRMLVolumeNode"),
        "Label": (label_map, "vtkMRMLLabelMapVolumeNode"),
    }
    # All of them are looked up before anything changes.
    volumes = {
        layer: host.node(like, class_name).GetID() if like != NOTHING else None
        for layer, (like, class_name) in chosen.items()
        if like is not None
    }
    for layer, number in volumes.items():
        with _followed_layers(host, view, f"{layer}VolumeFlag") as composite:
            getattr(composite, f"Set{layer}VolumeID")(number)
    for what, opacity in opacities.items():
        if opacity is not None:
            with _followed_layers(host, view, f"{what}Flag") as composite:
                getattr(composite, f"Set{what}")(opacity)
    if label_outline is not None:
        with followed(host, view, "LabelOutlineFlag"):
            view.node.SetUseLabelOutline(label_outline)
    return _controller(host, view)


# -- links, planes, slabs -------------------------------------------------------------------------------------------


@command("view.set_slice")
def set_slice(
    host: Host,
    name: str,
    linked: bool | None = None,
    hot_linked: bool | None = None,
    visible_in_3d: bool | None = None,
    field_of_view: float | tuple[float, float] | None = None,
    center: tuple[float, float, float] | None = None,
    slab: float | None = None,
    slab_mode: SlabMode | None = None,
) -> dict[str, Any]:
    """Change how a slice view cuts and what it is linked with; what is None stays. Linked views follow.

    Args:
        linked: whether the views of its group do what is done to one of them: a property of all of them, as in Slicer.
        hot_linked: whether they do so already during a drag.
        visible_in_3d: whether 3-D views show the slice.
        field_of_view: mm across; or across and down, of which at least so much is seen, at one scale.
        center: the view's middle, RAS, mm: moves in the plane, and along the normal.
        slab: thickness, mm, of what is put together in one slice; 0 for none.
        slab_mode: of each pixel the "max", "min", "mean" or "sum" through the slab.

    Returns:
        ``view.controller``.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a 3-D view, or numbers that do not fit.
    """
    view = _slice(host, name)
    across = _across(view, field_of_view)
    if slab is not None and not 0 <= slab < math.inf:
        raise ArgumentError("The slab's thickness does not fit.", expected="mm, 0 or more", got=str(slab))
    if center is not None and not all(map(math.isfinite, center)):
        raise ArgumentError("The point does not fit.", expected="R, A, S in mm", got=str(center))
    for setter, value in (("SetLinkedControl", linked), ("SetHotLinkedControl", hot_linked)):
        if value is not None:
            for composite in _group(host, view):
                getattr(composite, setter)(int(value))
    node = view.node
    if across is not None:
        with followed(host, view, "FieldOfViewFlag"):
            width, height, _ = node.GetDimensions()
            node.SetFieldOfView(across, across * height / width, node.GetFieldOfView()[2])
            node.UpdateMatrices()
    if center is not None:
        with followed(host, view, "SliceToRASFlag"):
            node.SetXYZOrigin(0.0, 0.0, 0.0)
            node.JumpSliceByCentering(*center)
    if visible_in_3d is not None:
        with followed(host, view, "SliceVisibleFlag"):
            node.SetSliceVisible(int(visible_in_3d))
    if slab is not None:
        node.SetSlabReconstructionEnabled(slab > 0)
        if slab > 0:
            with followed(host, view, "UpdateSlabReconstructionThicknessFlag"):
                node.SetSlabReconstructionThickness(slab)
    if slab_mode is not None:
        node.SetSlabReconstructionType(_SLABS[slab_mode])
    return _controller(host, view)


def _across(view: View, field: float | tuple[float, float] | None) -> float | None:
    """The field of view across, mm, that has all of what is asked for."""
    if field is None:
        return None
    both = (field,) if isinstance(field, (int, float)) else field
    if not all(math.isfinite(each) and each > 0 for each in both):
        raise ArgumentError("The field of view does not fit.", expected="mm above 0", got=str(field))
    width, height = view.size
    return float(max(both[0], both[-1] * width / height if len(both) > 1 else 0.0))


def _group(host: Host, view: View) -> list[Any]:
    """The composite nodes of all slice views of a view's group."""
    names = {
        node.GetLayoutName()
        for node in host.nodes("vtkMRMLSliceNode")
        if node.GetViewGroup() == view.node.GetViewGroup()
    }
    return [node for node in host.nodes("vtkMRMLSliceCompositeNode") if node.GetLayoutName() in names]


@command("view.jump_to")
def jump_to(host: Host, point: tuple[float, float, float], name: str | None = None, centered: bool = False) -> None:
    """Have slice views cut through a point, as a click on a control point does in Slicer.

    Args:
        point: RAS, mm.
        name: this view only; all slice views of the present layout without it.
        centered: put it into the middle as well.

    Raises:
        ViewNotFoundError: no such view.
        ArgumentError: a 3-D view, or a point that is none.
    """
    if not all(map(math.isfinite, point)):
        raise ArgumentError("The point does not fit.", expected="R, A, S in mm", got=str(point))
    views = [host.view(each) for each in host.view_names()] if name is None else [_slice(host, name)]
    for view in views:
        if view.kind == "slice":
            with followed(host, view, "SliceToRASFlag"):
                jump: Callable[..., None] = (
                    view.node.JumpSliceByCentering if centered else view.node.JumpSliceByOffsetting
                )
                jump(*point)


# -- the crosshair --------------------------------------------------------------------------------------------------


def _crosshair_node(host: Host) -> Any:
    return host.nodes("vtkMRMLCrosshairNode")[0]


@command("view.crosshair", journal=False)
def crosshair(host: Host) -> dict[str, Any]:
    """The crosshair of all views: ``position`` (RAS, mm), ``mode``, ``cursor`` (where the mouse is; or None)."""
    node = _crosshair_node(host)
    cursor = [0.0] * 3
    known = bool(node.GetCursorPositionRAS(cursor))
    named = node.GetCrosshairModeAsString(node.GetCrosshairMode())
    return {
        "position": [float(each) for each in node.GetCrosshairRAS()],
        "mode": next((name for name, its in _CROSSHAIR_MODES.items() if its == named), "none"),
        "cursor": [float(each) for each in cursor] if known else None,
    }


@command("view.set_crosshair")
def set_crosshair(
    host: Host,
    position: tuple[float, float, float] | None = None,
    mode: CrosshairMode | None = None,
    jump: bool = False,
) -> dict[str, Any]:
    """Put the crosshair somewhere, and choose how it looks; what is None stays.

    Args:
        position: RAS, mm.
        mode: "none" hides it; "basic" are lines with a gap, "intersection" lines that cross, "small basic"...
        jump: have all slice views cut through it.

    Returns:
        ``view.crosshair``.

    Raises:
        ArgumentError: a point that is none.
    """
    if position is not None and not all(map(math.isfinite, position)):
        raise ArgumentError("The point does not fit.", expected="R, A, S in mm", got=str(position))
    node = _crosshair_node(host)
    if mode is not None:
        node.SetCrosshairMode(node.GetCrosshairModeFromString(_CROSSHAIR_MODES[mode]))
    if position is not None:
        node.SetCrosshairRAS(*position)
    if jump:
        jump_to(host, tuple(node.GetCrosshairRAS()))
    return crosshair(host)
