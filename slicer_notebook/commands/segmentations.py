"""Commands about segmentations: their segments, what they are, how they are shown, their surfaces and files."""

from __future__ import annotations

from typing import Any, Final

from slicer_notebook.commands import segment_terms
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_adding import check_color
from slicer_notebook.commands.segment_grids import (
    BINARY,
    SEGMENTATION,
    describe_grid,
    reference_grid,
    segment_id,
    segment_ids,
)
from slicer_notebook.errors import ArgumentError

#: Segments that a summary names.
_ITEMS: Final = 12
#: Names of opacities here, and in vtkMRMLSegmentationDisplayNode's methods; they multiply.
_OPACITIES: Final = {"opacity_fill": "2DFill", "opacity_outline": "2DOutline", "opacity_3d": "3D"}


@command("segmentation.segments", journal=False)
def segments(host: Host, node: NodeLike) -> list[dict[str, Any]]:
    """All segments, in their order: as ``segmentation.segment``."""
    found = host.node(node, SEGMENTATION)
    return [_facts(found, each) for each in segment_ids(found)]


@command("segmentation.table", journal=False)
def table(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a table of segments shows, in one step.

    Returns:
        ``name`` of the segmentation, ``display``: as ``segmentation.display``, ``segments``: as
        ``segmentation.segment``, each with ``voxels_changed``: another number when its voxels, or those of a segment
        that shares its label map, have changed.
    """
    found = host.node(node, SEGMENTATION)
    segmentation = found.GetSegmentation()
    source = segmentation.GetSourceRepresentationName()
    rows = []
    for each in segment_ids(found):
        made_of = segmentation.GetSegment(each).GetRepresentation(source)
        rows.append(_facts(found, each) | {"voxels_changed": made_of.GetMTime() if made_of is not None else 0})
    return {"name": found.GetName() or "", "display": display_facts(host, found.GetID()), "segments": rows}


@command("segmentation.segment", journal=False)
def segment_facts(host: Host, node: NodeLike, segment: str) -> dict[str, Any]:
    """A segment by id or name.

    Returns:
        ``id``, ``name``; ``color``: r, g, b, 0 to 1; ``terminology``: Slicer's text; ``codes``: (coding scheme, value,
        meaning) of its category, type, type_modifier, region, region_modifier, as far as they are there; ``visible``;
        ``opacity_fill``, ``opacity_outline``, ``opacity_3d``: of the fill and the outline in slice views, and of the
        surface, 0 to 1.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
    """
    found = host.node(node, SEGMENTATION)
    return _facts(found, segment_id(found, segment))


def _facts(node: Any, key: str) -> dict[str, Any]:
    segment, display = node.GetSegmentation().GetSegment(key), node.GetDisplayNode()
    terminology = segment.GetTerminology() or ""
    return {
        "id": key,
        "name": segment.GetName() or "",
        "color": segment.GetColor(),
        "terminology": terminology,
        "codes": segment_terms.codes_of(terminology),
        "visible": bool(display.GetSegmentVisibility(key)) if display is not None else True,
        **{
            name: float(getattr(display, f"GetSegmentOpacity{method}")(key)) if display is not None else 1.0
            for name, method in _OPACITIES.items()
        },
    }


@command("segmentation.change_segment")
def change_segment(
    host: Host,
    node: NodeLike,
    segment: str,
    name: str | None = None,
    color: tuple[float, float, float] | None = None,
    visible: bool | None = None,
    opacity: float | None = None,
    opacity_fill: float | None = None,
    opacity_outline: float | None = None,
    opacity_3d: float | None = None,
    terminology: dict[str, Any] | str | None = None,
) -> None:
    """Change what a segment is called, and how it is shown.

    Args:
        segment: id or name.
        color: r, g, b, 0 to 1.
        opacity: of fill, outline and surface at once, 0 to 1; they are multiplied by the segmentation's own.
        terminology: the meaning of a type that Slicer knows ("Liver"); codes, each (coding scheme, value, meaning), by
            "category", "type", "type_modifier", "region", "region_modifier"; or Slicer's own text.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArgumentError: a value that does not fit; then nothing is changed.
    """
    found = host.node(node, SEGMENTATION)
    key = segment_id(found, segment)
    changed = found.GetSegmentation().GetSegment(key)
    entry = None if terminology is None else segment_terms.entry_of(host, terminology)
    opacities = {"opacity_fill": opacity_fill, "opacity_outline": opacity_outline, "opacity_3d": opacity_3d}
    opacities = {each: opacity if value is None else value for each, value in opacities.items()}
    for value in opacities.values():
        _check_opacity(value)
    if color is not None:
        check_color(color)
    if name is not None:
        if not name.strip():
            raise ArgumentError("A segment needs a name.", expected="text", got=repr(name))
        changed.SetName(name)
        changed.SetNameAutoGenerated(False)
    if color is not None:
        changed.SetColor(*color)
        changed.SetColorAutoGenerated(False)
    if entry is not None:
        changed.SetTerminology(entry.text)
    if visible is not None:
        _display(found).SetSegmentVisibility(key, visible)
    for each, value in opacities.items():
        if value is not None:
            getattr(_display(found), f"SetSegmentOpacity{_OPACITIES[each]}")(key, value)


def _check_opacity(value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ArgumentError("That is no opacity.", expected="0 (not seen) to 1", got=str(value))


def _display(node: Any) -> Any:
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node.GetDisplayNode()


@command("segmentation.remove_segment")
def remove_segment(host: Host, node: NodeLike, segment: str) -> None:
    """Remove a segment, by id or name.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
    """
    found = host.node(node, SEGMENTATION)
    found.GetSegmentation().RemoveSegment(segment_id(found, segment))


@command("segmentation.move_segment")
def move_segment(host: Host, node: NodeLike, segment: str, index: int) -> None:
    """Give a segment another place in the order, from 0; where segments overlap, the later one is drawn on top.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArgumentError: no such place.
    """
    found = host.node(node, SEGMENTATION)
    number = found.GetSegmentation().GetNumberOfSegments()
    if not 0 <= index < number:
        raise ArgumentError("There is no such place.", expected=f"0 to {number - 1}", got=str(index))
    found.GetSegmentation().SetSegmentIndex(segment_id(found, segment), index)


# -- the whole -----------------------------------------------------------------------------------------------------


@command("segmentation.display", journal=False)
def display_facts(host: Host, node: NodeLike) -> dict[str, Any]:
    """How a segmentation is shown: ``visible``, ``visible_3d``, ``opacity`` (of all), ``opacity_fill``,
    ``opacity_outline``, ``opacity_3d`` (0 to 1), ``node``: id of the display node, "" without one.
    """  # fmt: skip
    display = host.node(node, SEGMENTATION).GetDisplayNode()
    if display is None:
        return {"visible": False, "visible_3d": False, "opacity": 1.0, **dict.fromkeys(_OPACITIES, 1.0), "node": ""}
    return {
        "visible": bool(display.GetVisibility()),
        "visible_3d": bool(display.GetVisibility3D()),
        "opacity": float(display.GetOpacity()),
        **{name: float(getattr(display, f"GetOpacity{method}")()) for name, method in _OPACITIES.items()},
        "node": display.GetID(),
    }


@command("segmentation.set_display")
def set_display(
    host: Host,
    node: NodeLike,
    visible: bool | None = None,
    opacity: float | None = None,
    opacity_fill: float | None = None,
    opacity_outline: float | None = None,
    opacity_3d: float | None = None,
) -> None:
    """Change how all segments of a segmentation are shown: each one's opacity is multiplied by these, 0 to 1.

    Raises:
        ArgumentError: no opacity.
    """
    found = host.node(node, SEGMENTATION)
    opacities = {"opacity_fill": opacity_fill, "opacity_outline": opacity_outline, "opacity_3d": opacity_3d}
    for value in (opacity, *opacities.values()):
        _check_opacity(value)
    display = _display(found)
    if visible is not None:
        display.SetVisibility(visible)
    if opacity is not None:
        display.SetOpacity(opacity)
    for each, value in opacities.items():
        if value is not None:
            getattr(display, f"SetOpacity{_OPACITIES[each]}")(value)


@command("segmentation.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a segmentation's inline card shows.

    Returns:
        ``name``; ``count`` of segments; ``representation`` they are made of; ``reference``: the volume's name, or "";
        ``grid``: its shape and spacing, or None; ``transform`` above it, or ""; ``segments``: (name, colour) of the
        first ones.
    """
    found = host.node(node, SEGMENTATION)
    segmentation = found.GetSegmentation()
    grid = reference_grid(host, found)
    volume = found.GetNodeReference(found.GetReferenceImageGeometryReferenceRole())
    above = found.GetParentTransformNode()
    ids = segment_ids(found)
    return {
        "name": found.GetName() or "",
        "count": len(ids),
        "representation": segmentation.GetSourceRepresentationName() or BINARY,
        "reference": (volume.GetName() or "") if volume is not None else "",
        "grid": None if grid is None else describe_grid(grid),
        "transform": (above.GetName() or "") if above is not None else "",
        "segments": [
            (segmentation.GetSegment(each).GetName() or "", segmentation.GetSegment(each).GetColor())
            for each in ids[:_ITEMS]
        ],
    }
