"""What editing changed in a segmentation, as steps that can be undone.

A step keeps what became different, segment by segment, in bits: an undone step puts back just that, whatever else has
been done to the segmentation meanwhile, and costs little memory. (trame-slicer's commands keep two copies of the whole
segmentation each; vtkSegmentationHistory one.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from undo_stack import UndoCommand  # type: ignore[import-untyped]
from vtkmodules.util.numpy_support import vtk_to_numpy

from slicer_notebook.protocol.values import Array

__all__ = ["BINARY", "Change", "Segments", "Step", "changes", "labels_of", "remember"]

#: Name of the representation that is edited (vtkSegmentationConverter).
BINARY = "Binary labelmap"

Extent = tuple[int, int, int, int, int, int]


class Layer(NamedTuple):
    """A label map as it was."""

    image: Any
    """The vtkOrientedImageData that it was, kept so that no other one can have its address."""
    time: int
    """When that was last changed (VTK's counter)."""
    extent: Extent
    labels: Array
    """[k, j, i], a copy."""


@dataclass(frozen=True)
class Segments:
    """All segments as they were at one time.

    Attributes:
        layers: label maps by the address of their image.
        places: of each segment's id, the address of its label map (None: it has none), and its number there.
        kept: of each segment's id, a vtkSegment with its name, colour and tags.
    """

    layers: dict[str, Layer] = field(default_factory=dict)
    places: dict[str, tuple[str | None, int]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


def labels_of(image: Any) -> tuple[Extent, Array]:
    """Extent and voxels [k, j, i] of an image; no copy."""
    scalars = image.GetPointData().GetScalars()
    i, j, k = image.GetDimensions()
    if scalars is None or 0 in (i, j, k):
        return (0, -1, 0, -1, 0, -1), np.zeros((0, 0, 0), np.uint8)
    return image.GetExtent(), vtk_to_numpy(scalars).reshape(k, j, i)


def remember(slicer: Any, node: Any, former: Segments) -> Segments:
    """A segmentation's segments now; what has not changed since ``former`` is not copied again."""
    segmentation = node.GetSegmentation()
    found = Segments()
    for each in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(each)
        image = segment.GetRepresentation(BINARY)
        key = None if image is None else image.GetAddressAsString("")
        if key is not None and key not in found.layers:
            old = former.layers.get(key)
            time = max(image.GetMTime(), image.GetPointData().GetMTime())
            if old is not None and old.time == time:
                found.layers[key] = old
            else:
                extent, labels = labels_of(image)
                found.layers[key] = Layer(image, time, extent, labels.copy())
        found.places[each] = key, segment.GetLabelValue()
        found.kept[each] = slicer.vtkSegment()
        found.kept[each].DeepCopyMetadata(segment)
    return found


class Change(NamedTuple):
    """What became different in one segment.

    Attributes:
        segment: its id.
        extent: a box around the voxels that changed.
        before, after: which voxels of the box belonged to it: bits of [k, j, i].
        new: a vtkSegment with its name, colour and tags where the step made it.
    """

    segment: str
    extent: Extent
    before: Array
    after: Array
    new: Any = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """[k, j, i] of the box."""
        e = self.extent
        return e[5] - e[4] + 1, e[3] - e[2] + 1, e[1] - e[0] + 1

    def mask(self, bits: Array) -> Array:
        """`before` or `after` as bool [k, j, i]."""
        return np.unpackbits(bits, count=int(np.prod(self.shape))).reshape(self.shape).astype(bool)

    @property
    def voxels(self) -> int:
        """How many voxels came or went."""
        return int((self.mask(self.before) != self.mask(self.after)).sum())


def changes(before: Segments, after: Segments) -> list[Change]:
    """Which segments are different; all of their voxels lie on one grid. Segments that have gone are not among them."""
    found = []
    pairs: dict[tuple[str | None, str | None], list[str]] = {}
    for each in after.places:
        pairs.setdefault((before.places.get(each, (None, 0))[0], after.places[each][0]), []).append(each)
    for (old_key, new_key), segments in pairs.items():
        old = before.layers[old_key] if old_key is not None else None
        new = after.layers[new_key] if new_key is not None else None
        numbers = [
            (s, before.places.get(s, (None, 0))[1], after.places[s][1], s not in before.places) for s in segments
        ]
        if old is new and not any(a != b or made for _, a, b, made in numbers):
            continue
        found += _between(old, new, numbers, after)
    return found


def _between(
    old: Layer | None, new: Layer | None, numbers: list[tuple[str, int, int, bool]], after: Segments
) -> list[Change]:
    extent = _union(old, new)
    a, b = _within(old, extent), _within(new, extent)
    if any(was != now for _, was, now, _ in numbers):
        place: tuple[slice, slice, slice] = (slice(None),) * 3
        touched = None
    else:
        different = a != b
        place = _box(different)
        touched = set(np.unique(a[place][different[place]])) | set(np.unique(b[place][different[place]]))
    found = []
    for segment, was, now, made in numbers:
        if touched is not None and now not in touched and not made:
            continue
        before = a[place] == was if old is not None else np.zeros(a[place].shape, bool)
        now_there = b[place] == now if new is not None else np.zeros(b[place].shape, bool)
        inner = _box(before != now_there)
        if made or before[inner].size:
            new_segment = after.kept[segment] if made else None
            box = _extent_of(extent, place, inner, a.shape)
            bits = np.packbits(before[inner].ravel()), np.packbits(now_there[inner].ravel())
            found.append(Change(segment, box, *bits, new_segment))
    return found


def _union(*layers: Layer | None) -> Extent:
    extents = [each.extent for each in layers if each is not None and each.labels.size]
    if not extents:
        return (0, -1, 0, -1, 0, -1)
    ends = [(min if n % 2 == 0 else max)(each[n] for each in extents) for n in range(6)]
    return ends[0], ends[1], ends[2], ends[3], ends[4], ends[5]


def _within(layer: Layer | None, extent: Extent) -> Array:
    """A layer's labels in a larger extent."""
    if layer is not None and layer.extent == extent:
        return layer.labels
    shape = tuple(extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    found = np.zeros(shape, layer.labels.dtype if layer is not None else np.uint8)
    if layer is not None and layer.labels.size:
        first = [layer.extent[2 * axis] - extent[2 * axis] for axis in (2, 1, 0)]
        found[tuple(slice(a, a + n) for a, n in zip(first, layer.labels.shape, strict=True))] = layer.labels
    return found


def _box(mask: Array) -> tuple[slice, slice, slice]:
    """The smallest box that holds all of a mask; an empty one where there is nothing."""
    ends = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(each for each in range(3) if each != axis)))
        ends.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0))
    return ends[0], ends[1], ends[2]


def _extent_of(extent: Extent, outer: Any, inner: Any, shape: tuple[int, ...]) -> Extent:
    """The extent of a box in a box [k, j, i] of an extent."""
    found = []
    for axis in (2, 1, 0):
        first = (outer[axis].indices(shape[axis])[0]) + inner[axis].start + extent[2 * (2 - axis)]
        found += [first, first + inner[axis].stop - inner[axis].start - 1]
    return found[0], found[1], found[2], found[3], found[4], found[5]


class Step(UndoCommand):
    """A step that can be undone.

    Args:
        text: what was done.
        parts: what became different.
        put_back: called with (parts, whether to undo).
    """

    def __init__(self, text: str, parts: list[Change], put_back: Callable[[list[Change], bool], None]) -> None:
        super().__init__()
        self._text = text
        self._parts = parts
        self._put_back = put_back

    def undo(self) -> None:
        self._put_back(self._parts, True)

    def redo(self) -> None:
        self._put_back(self._parts, False)
