"""Commands that give segments as arrays and as label map volumes.

Explicit affines are in the segmentation's own coordinates, as `Volume.affine` is in the volume's own. What is between
two nodes (a mask in the grid of a reference volume) goes by way of the scene's coordinates: the transforms above both
count, and one that is not linear is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_grids import (
    SEGMENTATION,
    copied,
    grid_of_volume,
    layers_of,
    reference_grid,
    segment_id,
    segment_ids,
)
from slicer_notebook.commands.segment_sampling import Grid, Layer, own_grid, sampled, slabs
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array, NodeRef

VOLUME: Final = "vtkMRMLVolumeNode"

Overlap = Literal["refuse", "last", "layers"]


class _Segments(NamedTuple):
    """Segments as they were at one moment, for any thread."""

    node_name: str
    ids: list[str]
    names: dict[str, str]
    layers: list[Layer]
    reference: Grid | None
    """The grid that was asked for, in the segmentation's own coordinates; the segmentation's own without one."""
    affine: Array | None
    """The own affine of the volume whose grid was asked for."""


def _look(
    host: Host, node: NodeLike, segments: Sequence[str] | None, reference: NodeLike | None
) -> tuple[_Segments, list[Array], Callable[[], Any]]:
    found = host.node(node, SEGMENTATION)
    volume = None if reference is None else host.node(reference, VOLUME)
    ids = segment_ids(found) if segments is None else [segment_id(found, each) for each in segments]
    grid = grid_of_volume(host, volume, found) if volume is not None else reference_grid(host, found)
    names = {each: found.GetSegmentation().GetSegment(each).GetName() or "" for each in ids}
    affine = None if volume is None else host.affine(volume)
    layers = layers_of(host, found, ids, grid)
    seen = _Segments(found.GetName() or "", ids, names, layers, grid, affine)
    return seen, [layer.labels for layer in layers], lambda: [layer.changed() for layer in layers]


def _taken(
    job: context.JobContext,
    host: Host,
    node: NodeLike,
    segments: Sequence[str] | None = None,
    reference: NodeLike | None = None,
) -> _Segments:
    seen, arrays = copied(job, lambda: _look(host, node, segments, reference))
    layers = [replace(layer, labels=labels) for layer, labels in zip(seen.layers, arrays, strict=True)]
    return seen._replace(layers=layers)


def _grid(taken: _Segments) -> Grid:
    if taken.affine is not None:
        assert taken.reference is not None
        return taken.reference
    return own_grid(taken.node_name, taken.reference, taken.layers)


# -- segments as arrays --------------------------------------------------------------------------------------------


@command("segmentation.mask", thread="worker", journal=False)
def segment_mask(host: Host, node: NodeLike, segment: str, reference: NodeLike | None = None) -> Array:
    """A segment as a mask, uint8 [k, j, i]: 1 inside, 0 outside.

    Args:
        segment: id or name.
        reference: the volume in whose voxel grid it is (the nearest voxel of the segment's own grid counts); without
            it, in the grid of ``segmentation.grid``.

    Raises:
        NodeNotFoundError: no such segment.
        AmbiguousNameError: several are called so.
        ArrayError: there is no grid: no reference, and nothing is segmented.
        ArgumentError: a transform above one of the nodes is not linear.
    """
    job = context.current()
    # In its own grid, which is the whole segmentation's, the masks of its segments lie on one another.
    key = job.on_main(lambda: segment_id(host.node(node, SEGMENTATION), segment))
    taken = _taken(job, host, node, None if reference is None else [key], reference)
    layer = next(each for each in taken.layers if key in each.numbers)
    return sampled(layer.renumbered({key: 1}, np.uint8), _grid(taken), job.check)


@command("segmentation.grid", thread="worker", journal=False)
def segmentation_grid(host: Host, node: NodeLike) -> tuple[tuple[int, int, int], Array]:
    """The grid of a segmentation: (shape (k, j, i); affine IJK → RAS, mm, without the transforms above it).

    It is that of the reference volume, or of the first segment that has voxels, and larger where a segment reaches out
    of it.

    Raises:
        ArrayError: it has neither a reference nor voxels.
    """
    taken = _taken(context.current(), host, node)
    grid = _grid(taken)
    return grid.shape, grid.affine


@command("segmentation.labels", thread="worker", journal=False)
def labels(
    host: Host,
    node: NodeLike,
    reference: NodeLike | None = None,
    segments: list[str] | None = None,
    numbers: list[int] | None = None,
    overlap: Overlap = "refuse",
) -> dict[str, Any]:
    """Segments as one label map.

    Args:
        reference: the volume in whose voxel grid it is; without it, the grid of ``segmentation.grid``.
        segments: ids or names; all without it.
        numbers: of each of ``segments``, its number in the label map; 1, 2, ... without it.
        overlap: where segments overlap: "refuse" it, the "last" one counts, or "layers": as many label maps as are
            needed that no two segments of one overlap.

    Returns:
        ``array``: uint8 [k, j, i] (uint16 or uint32 for larger numbers), 0 outside; [layer, k, j, i] for "layers".
        ``affine``: IJK → RAS, mm, of the reference, or of the segmentation, without transforms above it. ``ids``,
        ``names``, ``numbers`` of the segments.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArrayError: segments overlap; or there is no grid.
        ArgumentError: a transform above one of the nodes is not linear; numbers that do not fit.
    """
    job = context.current()
    taken = _taken(job, host, node, segments, reference)
    numbers = _checked_numbers(numbers, taken.ids)
    grid = _grid(taken)
    found = _merged(taken, grid, overlap, job.check)
    most = max(numbers, default=0)
    dtype = np.uint8 if most < 256 else np.uint16 if most < 65536 else np.uint32
    if numbers != list(range(1, len(numbers) + 1)):
        found = np.array([0, *numbers], dtype)[found]
    return {
        "array": found.astype(dtype, copy=False),
        "affine": grid.affine if taken.affine is None else taken.affine,
        "ids": taken.ids,
        "names": [taken.names[each] for each in taken.ids],
        "numbers": numbers,
    }


def _checked_numbers(numbers: list[int] | None, ids: list[str]) -> list[int]:
    if numbers is None:
        return list(range(1, len(ids) + 1))
    if len(numbers) != len(ids) or len(set(numbers)) < len(numbers) or not all(0 < each < 2**32 for each in numbers):
        raise ArgumentError(
            "The numbers of the segments do not fit.",
            expected=f"{len(ids)} different whole numbers above 0",
            got=", ".join(map(str, numbers[:12])),
        )
    return numbers


def _merged(taken: _Segments, grid: Grid, overlap: Overlap, check: Callable[[], None]) -> Array:
    """Segments by their place in ``taken.ids``, from 1; the later one is on top."""
    places = {each: place for place, each in enumerate(taken.ids, start=1)}
    dtype = np.uint8 if len(places) < 256 else np.uint16
    found = [np.zeros(grid.shape, dtype)]
    for layer in taken.layers:
        check()
        parts = list(slabs(layer.renumbered(places, dtype), grid))
        into = 0
        while overlap != "last" and (pair := _first_overlap(found[into], parts)) is not None:
            if overlap == "refuse":
                raise _overlap_error(taken, *pair)
            into += 1
            if into == len(found):
                found.append(np.zeros(grid.shape, dtype))
        for place, part in parts:
            np.maximum(found[into][place], part, out=found[into][place])
    return np.stack(found) if overlap == "layers" else found[0]


def _first_overlap(array: Array, parts: list[tuple[Any, Array]]) -> tuple[int, int] | None:
    for place, part in parts:
        both = (array[place] != 0) & (part != 0)
        if both.any():
            first = np.unravel_index(int(both.argmax()), both.shape)
            return int(array[place][first]), int(part[first])
    return None


def _overlap_error(taken: _Segments, one: int, other: int) -> ArrayError:
    first, second = (taken.names[taken.ids[each - 1]] for each in (one, other))
    return ArrayError(
        f"Segments {first!r} and {second!r} of {taken.node_name!r} overlap, which one label map cannot hold.",
        expected="segments that do not overlap",
        got=f"{first}, {second}",
        hint='overlap="layers" gives several label maps, overlap="last" lets the later segment win',
    )


# -- label map volumes ---------------------------------------------------------------------------------------------


@command("segmentation.to_volume", thread="worker")
def to_volume(
    host: Host,
    node: NodeLike,
    reference: NodeLike | None = None,
    segments: list[str] | None = None,
    overlap: Literal["refuse", "last"] = "refuse",
    name: str | None = None,
) -> NodeRef:
    """A new label map volume of segments, with a colour table of their names and colours.

    It gets below the transform that the reference is below, or the segmentation.

    Args:
        reference, segments, overlap: as of ``segmentation.labels``; numbers are 1, 2, ...
        name: made unique in the scene; the segmentation's without it.

    Raises:
        As ``segmentation.labels``.
    """
    found = labels(host, node, reference, segments, None, overlap)
    return context.current().on_main(lambda: host.ref(_label_map_node(host, node, reference, found, name)))


def _label_map_node(
    host: Host, node: NodeLike, reference: NodeLike | None, found: dict[str, Any], name: str | None
) -> Any:
    source = host.node(node, SEGMENTATION)
    above = source if reference is None else host.node(reference, VOLUME)
    segmentation = source.GetSegmentation()
    with host.all_or_nothing():
        called = name or source.GetName() or "Segmentation"
        volume = host.add_volume(found["array"], found["affine"], called, labelmap=True)
        volume.SetAndObserveTransformNodeID(above.GetTransformNodeID())
        table = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", f"{volume.GetName()} colours")
        table.SetTypeToUser()
        table.SetHideFromEditors(True)
        table.SetNumberOfColors(len(found["ids"]) + 1)
        table.SetColor(0, "Background", 0.0, 0.0, 0.0, 0.0)
        for number, each, text in zip(found["numbers"], found["ids"], found["names"], strict=True):
            segment = segmentation.GetSegment(each)
            table.SetColor(number, text, *(segment.GetColor() if segment is not None else (0.5, 0.5, 0.5)), 1.0)
        volume.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    return volume
