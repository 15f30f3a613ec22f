"""What lies under the pointer in a slice view: what Slicer's data probe (the module DataProbe) tells of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from slicer_notebook.protocol import messages, values

__all__ = ["spot_at"]

#: The layers of a slice view, the uppermost first.
_LAYERS: Final = ("label", "foreground", "background")
#: Units (UCUM) that people write in another way; others are written as they are.
_UNITS: Final = {"[hnsf'U]": "HU", "1": ""}
#: A voxel of more components is no value to read.
_MOST_COMPONENTS: Final = 3
_DISPLAY: Final = "vtkMRMLSegmentationDisplayNode"


def spot_at(view: Any, place: tuple[int, int]) -> messages.Spot | None:
    """What is seen at a pixel.

    Args:
        view: a view of the host.
        place: (x, y), pixels from the view's lower left corner.

    Returns:
        None in a view that shows no slice.
    """
    if view.kind != "slice":
        return None
    x, y = place
    ras = view.node.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))[:3]
    found = messages.Spot(ras=ras, volumes=list(_volumes(view, place)), segments=list(_segments(view, ras)))
    spot: messages.Spot = values.printable(found)
    return spot


def _volumes(view: Any, place: tuple[int, int]) -> Iterator[messages.SpotVolume]:
    for name in _LAYERS:
        layer = getattr(view.logic, f"Get{name.capitalize()}Layer")()
        volume = layer.GetVolumeNode() if layer is not None else None
        if volume is None:
            continue
        image = volume.GetImageData()
        if image is None or image.GetPointData().GetScalars() is None:
            continue
        # The nearest voxel, as Slicer takes it: what is drawn may be interpolated between several.
        ijk = [math.floor(index + 0.5) for index in layer.GetXYToIJKTransform().TransformPoint(*place, 0.0)]
        low, high = image.GetExtent()[::2], image.GetExtent()[1::2]
        if all(first <= index <= last for first, index, last in zip(low, ijk, high, strict=True)):
            value = _value(volume, image, ijk)
            yield messages.SpotVolume(layer=name, name=volume.GetName() or "", value=value, unit=_unit(volume))


def _value(volume: Any, image: Any, ijk: list[int]) -> str:
    count = image.GetNumberOfScalarComponents()
    if count > _MOST_COMPONENTS:
        return f"{count} components"
    found = [image.GetScalarComponentAsDouble(*ijk, component) for component in range(count)]
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        display = volume.GetDisplayNode()
        colors = display.GetColorNode() if display is not None else None
        label = int(found[0])
        return f"{colors.GetColorName(label) if colors is not None else 'unknown'} ({label})"
    # Whole numbers as such, whatever their type; of others what single precision has.
    return ", ".join(f"{each:.0f}" if each.is_integer() else f"{each:.6g}" for each in found)


def _unit(volume: Any) -> str:
    entry = volume.GetVoxelValueUnits() if hasattr(volume, "GetVoxelValueUnits") else None
    code = (entry.GetCodeValue() or "") if entry is not None else ""
    return _UNITS.get(code, code)


def _segments(view: Any, ras: tuple[float, float, float]) -> Iterator[messages.SpotSegment]:
    from vtkmodules.vtkCommonCore import vtkStringArray

    manager = view.native.get_displayable_manager_by_class("vtkMRMLSegmentationsDisplayableManager2D")
    scene = view.node.GetScene()
    nodes = [scene.GetNthNodeByClass(n, _DISPLAY) for n in range(scene.GetNumberOfNodesByClass(_DISPLAY))]
    for display in nodes:
        ids = vtkStringArray()
        manager.GetVisibleSegmentsForPosition(ras, display, ids)
        node = display.GetDisplayableNode()
        segmentation = node.GetSegmentation()
        found = [ids.GetValue(n) for n in range(ids.GetNumberOfValues())]
        for segment in sorted(found, key=segmentation.GetSegmentIndex):
            name = segmentation.GetSegment(segment).GetName() or segment
            red, green, blue = display.GetSegmentColor(segment)
            yield messages.SpotSegment(name=name, color=(red, green, blue), segmentation=node.GetName() or "")
