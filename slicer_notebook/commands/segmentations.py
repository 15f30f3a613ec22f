"""Commands about segmentations."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import NodeNotFoundError
from slicer_notebook.protocol.values import Array


@command("segmentation.segments", journal=False)
def segments(host: Host, node: NodeLike) -> list[dict[str, Any]]:
    """Segments: id, name, colour (r, g, b in 0..1), terminology entry as text."""
    segmentation = host.node(node, "vtkMRMLSegmentationNode").GetSegmentation()
    found = []
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        found.append(
            {
                "id": segmentation.GetNthSegmentID(index),
                "name": segment.GetName(),
                "color": segment.GetColor(),
                "terminology": segment.GetTerminology().GetAsString()
                if hasattr(segment, "GetTerminology") and hasattr(segment.GetTerminology(), "GetAsString")
                else "",
            }
        )
    return found


@command("segmentation.mask", journal=False)
def segment_mask(host: Host, node: NodeLike, segment: str, reference: NodeLike) -> Array:
    """A segment as a mask, uint8 [k, j, i] in the voxel grid of the volume ``reference``: 1 inside, 0 outside.

    Raises:
        NodeNotFoundError: no such segment (by id or name).
    """
    found = host.node(node, "vtkMRMLSegmentationNode")
    volume = host.node(reference, "vtkMRMLVolumeNode")
    segmentation = found.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    key = segment if segment in ids else segmentation.GetSegmentIdBySegmentName(segment)
    if key not in ids:
        raise NodeNotFoundError(
            f"Segmentation {found.GetName()!r} has no segment {segment!r}.",
            expected="a segment's id or name",
            got=segment,
            hint="there are: " + ", ".join(segmentation.GetSegment(i).GetName() for i in ids),
        )
    return np.array(host.slicer.util.arrayFromSegmentBinaryLabelmap(found, key, volume) > 0, dtype=np.uint8)
