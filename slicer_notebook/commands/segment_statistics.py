"""Statistics of segments: voxels, volume, and the values of a volume within them.

Counted on a worker thread from copies that are taken on the main thread in one step, so that views go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_grids import (
    SEGMENTATION,
    copied,
    grid_of_volume,
    layers_of,
    segment_id,
    segment_ids,
    to_world,
)
from slicer_notebook.commands.segment_sampling import Grid, Layer, box_in, shape_of, slabs
from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array

__all__ = ["INTENSITIES", "intensities"]

#: What is told of the values within a segment.
INTENSITIES: Final = ("mean", "std", "min", "max", "median")
#: Share of the work that counting voxels is, beside looking values up.
_COUNTING: Final = 0.2


def intensities(values: Array) -> dict[str, float]:
    """``mean``, ``std``, ``min``, ``max``, ``median`` of values; all NaN of none.

    ``std`` is that of a sample (divided by n - 1), as Slicer's Segment Statistics has it; 0 of a single value.
    """
    if not values.size:
        return dict.fromkeys(INTENSITIES, float("nan"))
    exact = values.astype(np.float64, copy=False)
    return {
        "mean": float(exact.mean()),
        "std": float(exact.std(ddof=1)) if len(values) > 1 else 0.0,
        "min": float(values.min()),
        "max": float(values.max()),
        "median": float(np.median(values)),
    }


class _Taken(NamedTuple):
    ids: list[str]
    names: list[str]
    layers: list[Layer]
    world: float
    """By how much the transforms above make volumes larger."""
    grid: Grid | None
    """The part of the volume's grid that `values` is, in the segmentation's own coordinates."""
    values: Array | None


def _look(
    host: Host, node: NodeLike, volume: NodeLike | None, segments: list[str] | None
) -> tuple[_Taken, list[Array], Callable[[], Any]]:
    found = host.node(node, SEGMENTATION)
    ids = segment_ids(found) if segments is None else [segment_id(found, each) for each in segments]
    names = [found.GetSegmentation().GetSegment(each).GetName() or "" for each in ids]
    layers = layers_of(host, found, ids)
    world = float(abs(np.linalg.det(to_world(found)[:3, :3])))
    labels = [layer.labels for layer in layers]
    if volume is None:
        seen = _Taken(ids, names, layers, world, None, None)
        return seen, labels, lambda: [layer.changed() for layer in layers]
    source = host.node(volume, "vtkMRMLVolumeNode")
    values = host.voxels(source)
    if values.ndim != 3:
        raise ArrayError(
            f"Volume {source.GetName()!r} has several values in each voxel.",
            expected="a scalar volume",
            got=f"shape {values.shape}",
        )
    grid = grid_of_volume(host, source, found)
    part, first = _part(layers, grid)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    seen = _Taken(ids, names, layers, world, Grid(shape_of(values[part]), affine), None)
    image = source.GetImageData()
    return seen, [*labels, values[part]], lambda: [image.GetMTime(), *(layer.changed() for layer in layers)]


def _taken(
    job: context.JobContext, host: Host, node: NodeLike, volume: NodeLike | None, segments: list[str] | None
) -> _Taken:
    seen, arrays = copied(job, lambda: _look(host, node, volume, segments))
    layers = [replace(layer, labels=labels) for layer, labels in zip(seen.layers, arrays, strict=False)]
    return seen._replace(layers=layers, values=arrays[-1] if volume is not None else None)


def _part(layers: list[Layer], grid: Grid) -> tuple[tuple[slice, slice, slice], Array]:
    """The part of a grid in which the layers are, and the (i, j, k) of its first voxel."""
    shapes = [Grid((k, j, i), layer.affine) for layer in layers for k, j, i in [layer.labels.shape] if k * j * i]
    boxes = [box_in(each, grid) for each in shapes]
    if not boxes:
        return (slice(0, 0),) * 3, np.zeros(3, int)
    first = np.min([each[0] for each in boxes], axis=0)
    end = np.max([each[1] for each in boxes], axis=0)
    (i0, j0, k0), (i1, j1, k1) = first.tolist(), end.tolist()
    return (slice(k0, k1), slice(j0, j1), slice(i0, i1)), first


@command("segmentation.statistics", thread="worker", journal=False)
def statistics(
    host: Host, node: NodeLike, volume: NodeLike | None = None, segments: list[str] | None = None
) -> dict[str, list[Any]]:
    """Voxels and volumes of segments, and the values of a volume within them.

    A voxel of the volume is within a segment when its centre is: when the segment's voxel that is nearest to it belongs
    to the segment. Voxels without a finite value are left out.

    Args:
        volume: a scalar volume.
        segments: ids or names; all without it.

    Returns:
        A list for each column, in the order of the segments. ``id``, ``name``; ``voxels``: in the segment's own grid;
        ``volume_mm3``, ``volume_cm3``: of these, in the scene (linear transforms above count). With a volume:
        ``sampled``: its voxels within the segment; ``mean``, ``std`` (of a sample: n - 1), ``min``, ``max``,
        ``median`` of their values, NaN of none.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArrayError: the volume has no voxels, or several values in each.
        ArgumentError: a transform above one of the nodes is not linear.
    """
    job = context.current()
    taken = _taken(job, host, node, volume, segments)
    share = _COUNTING if volume is not None else 1.0
    voxels: dict[str, int] = {}
    cubic: dict[str, float] = {}
    for done, layer in enumerate(taken.layers):
        job.progress(share * done / len(taken.layers), "Counting voxels")
        counts = _counts(layer, job.check)
        size = abs(np.linalg.det(layer.affine[:3, :3])) * taken.world
        for each, number in layer.numbers.items():
            voxels[each] = int(counts[number]) if number < len(counts) else 0
            cubic[each] = voxels[each] * float(size)
    found: dict[str, list[Any]] = {
        "id": taken.ids,
        "name": taken.names,
        "voxels": [voxels[each] for each in taken.ids],
        "volume_mm3": [cubic[each] for each in taken.ids],
        "volume_cm3": [cubic[each] / 1000 for each in taken.ids],
    }
    if taken.values is not None and taken.grid is not None:
        within = _within(taken, taken.values, taken.grid, job)
        found["sampled"] = [int(within[each].size) for each in taken.ids]
        described = []
        for each in taken.ids:
            job.check()
            described.append(intensities(within.pop(each)))
        for name in INTENSITIES:
            found[name] = [each[name] for each in described]
    return found


def _counts(layer: Layer, check: Callable[[], None]) -> Array:
    """How often each number is in a layer."""
    most = int(layer.labels.max()) if layer.labels.size else 0
    counts = np.zeros(most + 1, np.int64)
    for plane in layer.labels:
        check()
        counts += np.bincount(np.maximum(plane, 0).reshape(-1), minlength=most + 1)
    return counts


def _within(taken: _Taken, values: Array, grid: Grid, job: context.JobContext) -> dict[str, Array]:
    """The volume's values in each segment."""
    parts: dict[str, list[Array]] = {each: [] for each in taken.ids}
    for done, layer in enumerate(taken.layers):
        ids = list(layer.numbers)
        wanted = {each: place for place, each in enumerate(ids, start=1)}
        compact = layer.renumbered(wanted, np.uint8 if len(ids) < 256 else np.uint16)
        for place, labels in slabs(compact, grid):
            through = place[0].stop / max(1, grid.shape[0])
            job.progress(_COUNTING + (1 - _COUNTING) * (done + through) / len(taken.layers), "Looking values up")
            inside = labels != 0
            here, numbers = values[place][inside], labels[inside]
            if here.dtype.kind == "f":
                finite = np.isfinite(here)
                here, numbers = here[finite], numbers[finite]
            if not numbers.size:
                continue
            if numbers.min() == numbers.max():
                parts[ids[int(numbers[0]) - 1]].append(here)
                continue
            # Sorted by number, which for few different ones takes about as long as to look at them.
            here = here[np.argsort(numbers, kind="stable")]
            ends = np.cumsum(np.bincount(numbers, minlength=len(ids) + 1))
            for number, each in enumerate(ids, start=1):
                if ends[number] > ends[number - 1]:
                    parts[each].append(here[ends[number - 1] : ends[number]])
    return {each: np.concatenate(found) if found else values[:0].reshape(-1) for each, found in parts.items()}
