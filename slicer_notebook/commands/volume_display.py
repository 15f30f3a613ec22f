"""Commands about how a volume is shown: window presets, threshold, colour table, interpolation, and its inline card."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.volume_pictures import anatomical_axes, axes_in_words, middle_slice, table_colors
from slicer_notebook.commands.volumes import VOLUME, coded_meaning, scalar_range
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array

#: Voxels up to which a card says the range: VTK looks through 4 million in 5 ms (32-bit floating-point numbers: 10 ms).
_RANGE_UP_TO: Final = 4_000_000


def kind_of(volume: Any) -> str:
    """ "label", "colour" (red, green, blue, perhaps alpha), "vector" (other components) or "scalar"."""
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        return "label"
    image = volume.GetImageData()
    components = image.GetNumberOfScalarComponents() if image is not None else 1
    if components == 1:
        return "scalar"
    if hasattr(volume, "GetVoxelVectorType") and volume.GetVoxelVectorType() in (
        volume.VoxelVectorTypeColorRGB,
        volume.VoxelVectorTypeColorRGBA,
    ):
        return "colour"
    # What reads files leaves the type open; bytes in threes and fours are what Slicer shows as colours.
    return "colour" if components in (3, 4) and image.GetScalarTypeAsString() == "unsigned char" else "vector"


def display_of(volume: Any) -> Any:
    """The volume's display node; made when there is none."""
    if volume.GetDisplayNode() is None:
        volume.CreateDefaultDisplayNodes()
    return volume.GetDisplayNode()


def _scalar_display(host: Host, node: NodeLike, what: str) -> Any:
    """The display node of a scalar volume. Raises ArgumentError for another kind."""
    volume = host.node(node, VOLUME)
    kind = kind_of(volume)
    if kind != "scalar":
        raise ArgumentError(
            f"{volume.GetName()!r} has no {what}.", expected="a scalar volume", got=f"a {kind} volume ({_shown(kind)})"
        )
    return display_of(volume)


def _shown(kind: str) -> str:
    return "each label has the colour of its number" if kind == "label" else "its components are its colours"


@command("volume.display", journal=False)
def display(host: Host, node: NodeLike) -> dict[str, Any]:
    """How a volume is shown.

    Returns:
        ``kind``: "scalar", "label", "colour" or "vector"; ``window_level``: (window, level) in the volume's units, None
        for a label map; ``auto``: whether Slicer chooses them; ``threshold``: (low, high), None where all is shown;
        ``interpolate``: between voxels; ``color_table``: its name, "" without one; ``display``: id of the display node;
        ``name``; ``units`` of the values, in words; ``dtype``, "" without voxels; ``changed``: a number that rises when
        the voxels change.
    """
    volume = host.node(node, VOLUME)
    kind, found = kind_of(volume), display_of(volume)
    image = volume.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    windowed = hasattr(found, "GetWindow")
    threshold = kind == "scalar" and bool(found.GetApplyThreshold())
    color = found.GetColorNode() if kind in ("scalar", "label") else None
    return {
        "kind": kind,
        "window_level": (found.GetWindow(), found.GetLevel()) if windowed else None,
        "auto": windowed and bool(found.GetAutoWindowLevel()),
        "threshold": (found.GetLowerThreshold(), found.GetUpperThreshold()) if threshold else None,
        "interpolate": windowed and bool(found.GetInterpolate()),
        "color_table": color.GetName() if color is not None else "",
        "display": found.GetID(),
        "name": volume.GetName() or "",
        "units": coded_meaning(volume, "GetVoxelValueUnits"),
        "dtype": host.voxels(volume).dtype.name if scalars is not None else "",
        "changed": scalars.GetMTime() if scalars is not None else 0,
    }


@command("volume.set_threshold")
def set_threshold(host: Host, node: NodeLike, low: float | None = None, high: float | None = None) -> None:
    """Show only voxels of ``low`` to ``high``, both included; all of them with neither.

    Raises:
        ArgumentError: not a scalar volume, only one of the two, or numbers that do not fit.
    """
    found = _scalar_display(host, node, "threshold")
    if low is None and high is None:
        found.SetApplyThreshold(0)
        return
    if low is None or high is None or not math.isfinite(low) or not math.isfinite(high) or low > high:
        raise ArgumentError(
            "The threshold does not fit.", expected="two finite numbers, the lower one first", got=f"{low}, {high}"
        )
    modified = found.StartModify()
    found.SetAutoThreshold(0)
    found.SetThreshold(low, high)
    found.SetApplyThreshold(1)
    found.EndModify(modified)


@command("volume.set_interpolate")
def set_interpolate(host: Host, node: NodeLike, interpolate: bool) -> None:
    """Show values between voxels, or each voxel as a block.

    Raises:
        ArgumentError: a label map is to be interpolated, where there is nothing between two labels.
    """
    volume = host.node(node, VOLUME)
    found = display_of(volume)
    if hasattr(found, "SetInterpolate"):
        found.SetInterpolate(interpolate)
    elif interpolate:
        raise ArgumentError(
            f"{volume.GetName()!r} cannot be interpolated.",
            expected="a scalar or colour volume",
            got="a label map: nothing is between two labels",
        )


# -- colour tables -----------------------------------------------------------------------------------------------------


@command("color.names", journal=False)
def color_names(host: Host) -> list[str]:
    """Names of the scene's colour tables, Slicer's own ("Grey", "Iron", "PET-Heat"...) and loaded ones."""
    return list(dict.fromkeys(node.GetName() for node in host.nodes("vtkMRMLColorNode") if node.GetName()))


@command("color.swatch", journal=False)
def swatch(host: Host, name: str, count: int = 64) -> Array:
    """Colours of a table from its first to its last value, evenly taken: uint8 [count, 3], red, green, blue.

    Raises:
        ArgumentError: no such table, or a count that is not 2 to 256.
    """
    if not 2 <= count <= 256:
        raise ArgumentError("The number of colours does not fit.", expected="2 to 256", got=str(count))
    return table_colors(_color(host, name))[np.linspace(0, 255, count).round().astype(int), :3]


def _color(host: Host, name: str) -> Any:
    for node in host.nodes("vtkMRMLColorNode"):
        if node.GetName() == name or node.GetID() == name:
            return node
    raise ArgumentError(f"There is no colour table {name!r}.", expected=", ".join(color_names(host)), got=name)


@command("volume.set_color_table")
def set_color_table(host: Host, node: NodeLike, name: str) -> None:
    """Show a volume in the colours of a table, by its name or id.

    Raises:
        ArgumentError: no such table, or a volume whose components are its colours.
    """
    volume = host.node(node, VOLUME)
    kind = kind_of(volume)
    if kind in ("colour", "vector"):
        raise ArgumentError(
            f"{volume.GetName()!r} has no colour table.",
            expected="a scalar volume or a label map",
            got=f"a {kind} volume ({_shown(kind)})",
        )
    display_of(volume).SetAndObserveColorNodeID(_color(host, name).GetID())


# -- presets of window and level ---------------------------------------------------------------------------------------


@functools.cache
def _presets(folder: str) -> dict[str, dict[str, Any]]:
    """Presets by name, from the file that Slicer's Volumes module reads (VolumeDisplayPresets.json)."""
    text = (Path(folder) / "VolumeDisplayPresets.json").read_text(encoding="utf-8")
    return {str(each["name"]): each for each in json.loads(text)["volumeDisplayPresets"]}


def _known_presets(host: Host) -> dict[str, dict[str, Any]]:
    return _presets(host.slicer.modules.volumes.logic().GetModuleShareDirectory())


@command("volume.window_level_presets", journal=False)
def window_level_presets(host: Host) -> dict[str, tuple[float, float]]:
    """Slicer's presets: name → (window, level), such as ``CT-Bone`` → (1000, 400)."""
    return {name: (float(each["window"]), float(each["level"])) for name, each in _known_presets(host).items()}


@command("volume.set_preset")
def set_preset(host: Host, node: NodeLike, name: str) -> None:
    """Show a volume as one of ``volume.window_level_presets`` says; a scalar volume in the preset's colours, too.

    Args:
        name: in any case.

    Raises:
        ArgumentError: no such preset, or a label map.
    """
    presets = _known_presets(host)
    wanted = next((each for each in presets.values() if each["name"].casefold() == name.casefold()), None)
    if wanted is None:
        raise ArgumentError(
            f"There is no preset {name!r} of window and level.", expected='"auto", ' + ", ".join(presets), got=name
        )
    volume = host.node(node, VOLUME)
    found = display_of(volume)
    if not hasattr(found, "SetWindowLevel"):
        raise ArgumentError(
            f"{volume.GetName()!r} is shown by a colour table, not by window and level.",
            expected="a scalar volume",
            got=volume.GetClassName(),
        )
    if kind_of(volume) == "scalar":
        host.slicer.modules.volumes.logic().ApplyVolumeDisplayPreset(found, wanted["id"])
        return
    found.SetAutoWindowLevel(0)
    found.SetWindowLevel(wanted["window"], wanted["level"])


# -- the card ----------------------------------------------------------------------------------------------------------


@command("volume.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a volume's inline card shows.

    Returns:
        ``name``, ``kind`` (as of ``volume.display``), ``shape`` [k, j, i(, component)] or None without voxels,
        ``dtype``, ``spacing`` (mm along i, j, k), ``axes`` (where i, j, k lead, in words), ``units``, ``quantity``,
        ``range`` (None for volumes so large that looking through them would be felt), ``window_level``,
        ``color_table``, ``threshold``, ``image`` (a picture without a place in the patient), ``description``
        (modality and series description, "" without), ``png``: the middle slice.
    """
    volume = host.node(node, VOLUME)
    shown = display(host, node)
    found: dict[str, Any] = {
        "name": volume.GetName() or "",
        "kind": shown["kind"],
        "shape": None,
        "dtype": "",
        "spacing": volume.GetSpacing(),
        "axes": axes_in_words(host.affine(volume)),
        "units": coded_meaning(volume, "GetVoxelValueUnits"),
        "quantity": coded_meaning(volume, "GetVoxelValueQuantity"),
        "range": None,
        "window_level": shown["window_level"],
        "color_table": shown["color_table"],
        "threshold": shown["threshold"],
        "description": _description(host, volume),
        "image": volume.GetAttribute("slicer_notebook.image") == "1",
        "png": b"",
    }
    image = volume.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return found
    voxels = host.voxels(volume)
    found |= {"shape": voxels.shape, "dtype": voxels.dtype.name}
    if voxels.size <= _RANGE_UP_TO:
        found["range"] = scalar_range(volume, voxels)
    axes = None if found["image"] else anatomical_axes(host.affine(volume))
    found["png"] = middle_slice(voxels, shown, display_of(volume).GetColorNode(), volume.GetSpacing(), axes)
    return found


def _description(host: Host, volume: Any) -> str:
    """Modality and series description, as the subject hierarchy has them."""
    hierarchy = host.slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    words = [volume.GetAttribute("DICOM.Modality") or ""]
    if item:
        words.append(hierarchy.GetItemAttribute(item, "DICOM.SeriesDescription") or "")
    return ", ".join(word for word in words if word)
