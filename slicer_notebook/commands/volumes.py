"""Commands about volumes: voxels, geometry, display."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array, NodeRef

VOLUME = "vtkMRMLVolumeNode"


@command("volume.array", journal=False)
def array(host: Host, node: NodeLike) -> Array:
    """The voxels, [k, j, i] or [k, j, i, component], in the volume's own dtype.

    Raises:
        ArrayError: the volume has no voxels.
    """
    return host.voxels(host.node(node, VOLUME))


@command("volume.set_array")
def set_array(host: Host, node: NodeLike, array: Array) -> None:
    """Give the volume new voxels, [k, j, i] or [k, j, i, component]; the views follow.

    Raises:
        ArrayError: a shape or dtype that a volume cannot hold.
    """
    host.set_voxels(host.node(node, VOLUME), array)


@command("volume.add")
def add(
    host: Host, array: Array, affine: Any = None, name: str = "Volume", labelmap: bool = False, show: bool = True
) -> NodeRef:
    """A new volume of ``array``.

    Args:
        array: [k, j, i], or [k, j, i, component] for a vector volume.
        affine: 4x4 IJK → RAS, mm; without one, spacing 1 mm, axes along R, A, S.
        name: made unique in the scene.
        labelmap: a label map instead of a scalar volume.
        show: show it in the slice views.

    Raises:
        ArrayError: a shape, dtype or affine that a volume cannot have.
    """
    node = host.add_volume(array, np.eye(4) if affine is None else affine, name, labelmap=labelmap)
    if show and not labelmap:
        host.show_volume(node)
    return host.ref(node)


@command("volume.info", journal=False)
def info(host: Host, node: NodeLike, with_range: bool = True) -> dict[str, Any]:
    """Shape [k, j, i], dtype, spacing and origin (mm), value range, window and level, units and quantity, marks.

    ``image``: a picture without a place in the patient; ``calibrated``: the size of its pixels is known.

    Args:
        with_range: without it ``range`` is None; of voxels that have changed, it takes a look at all of them.
    """
    found = host.node(node, VOLUME)
    voxels = host.voxels(found)
    display = found.GetDisplayNode()
    return {
        "shape": voxels.shape,
        "dtype": voxels.dtype.name,
        "spacing": found.GetSpacing(),
        "origin": found.GetOrigin(),
        "range": scalar_range(found, voxels) if with_range else None,
        "window_level": (display.GetWindow(), display.GetLevel())
        if display and hasattr(display, "GetWindow")
        else None,
        "units": coded_meaning(found, "GetVoxelValueUnits"),
        "quantity": coded_meaning(found, "GetVoxelValueQuantity"),
        "image": found.GetAttribute("slicer_notebook.image") == "1",
        "calibrated": found.GetAttribute("slicer_notebook.calibrated") != "0",
    }


def coded_meaning(node: Any, getter: str) -> str:
    """What a coded entry of a node means, in words; "" without one."""
    entry = getattr(node, getter)() if hasattr(node, getter) else None
    return (entry.GetCodeMeaning() or entry.GetCodeValue() or "") if entry is not None else ""


def scalar_range(volume: Any, voxels: Array) -> tuple[float, float]:
    """Smallest and largest finite value; (nan, nan) without any."""
    scalars = volume.GetImageData().GetPointData().GetScalars()
    if voxels.dtype.kind != "f":
        low, high = scalars.GetRange()
        return float(low), float(high)
    low, high = scalars.GetFiniteRange()
    return (float(low), float(high)) if low <= high else (float("nan"), float("nan"))


@command("volume.affine", journal=False)
def affine(host: Host, node: NodeLike) -> Array:
    """IJK → RAS of a volume, or matrix to parent of a linear transform; 4x4 float64, mm."""
    return host.affine(host.node(node))


@command("volume.set_affine")
def set_affine(host: Host, node: NodeLike, affine: Array) -> None:
    """The counterpart of ``volume.affine``.

    Raises:
        ArrayError: not a regular affine 4x4 matrix.
    """
    host.set_affine(host.node(node), affine)


def _display(host: Host, node: NodeLike) -> Any:
    found = host.node(node, "vtkMRMLScalarVolumeNode")
    if found.GetDisplayNode() is None:
        found.CreateDefaultDisplayNodes()
    display = found.GetDisplayNode()
    if not hasattr(display, "SetWindowLevel"):
        raise ArgumentError(
            f"{found.GetName()!r} is shown by a colour table, not by window and level.",
            expected="a scalar volume",
            got=found.GetClassName(),
        )
    return display


@command("volume.window_level", journal=False)
def window_level(host: Host, node: NodeLike) -> tuple[float, float]:
    """(window, level) of the volume's display, in its units."""
    display = _display(host, node)
    return display.GetWindow(), display.GetLevel()


@command("volume.set_window_level")
def set_window_level(host: Host, node: NodeLike, window: float | None = None, level: float | None = None) -> None:
    """Set window and level; with neither, Slicer's automatic ones.

    Raises:
        ArgumentError: only one of the two, or a window that is not above 0.
    """
    display = _display(host, node)
    if window is None and level is None:
        display.SetAutoWindowLevel(1)
        return
    if window is None or level is None or not window > 0 or not np.isfinite([window, level]).all():
        raise ArgumentError(
            "Window and level do not fit.", expected="two finite numbers, window above 0", got=f"{window}, {level}"
        )
    display.SetAutoWindowLevel(0)
    display.SetWindowLevel(window, level)


@command("volume.render_presets", journal=False)
def render_presets(host: Host) -> list[str]:
    """Names of Slicer's volume rendering presets, such as ``CT-Chest-Contrast-Enhanced`` or ``MR-Default``."""
    presets = host.slicer.modules.volumerendering.logic().GetPresetsScene()
    nodes = (presets.GetNthNode(i) for i in range(presets.GetNumberOfNodes()))
    return [node.GetName() for node in nodes if node.IsA("vtkMRMLVolumePropertyNode")]


@command("volume.render")
def render(host: Host, node: NodeLike, preset: str | None = None, visible: bool = True) -> None:
    """Show a volume in the 3-D view by volume rendering, or hide it there.

    Args:
        preset: one of ``volume.render_presets``; without one Slicer's default, or what was set before.

    Raises:
        ArgumentError: no such preset.
    """
    volume = host.node(node, "vtkMRMLScalarVolumeNode")
    logic = host.slicer.modules.volumerendering.logic()
    chosen = logic.GetPresetByName(preset) if preset is not None else None
    if preset is not None and chosen is None:
        raise ArgumentError(
            f"There is no volume rendering preset {preset!r}.", expected=", ".join(render_presets(host)), got=preset
        )
    display = logic.GetFirstVolumeRenderingDisplayNode(volume)
    if display is None:
        if not visible:
            return
        display = logic.CreateDefaultVolumeRenderingNodes(volume)
    if chosen is not None:
        display.GetVolumePropertyNode().Copy(chosen)
    display.SetVisibility(visible)
    if visible:
        for name in host.view_names():
            if host.view(name).kind == "3d":
                host.view(name).fit()
