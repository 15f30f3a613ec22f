"""Commands that make segments of arrays, and segmentations of label maps.

Explicit affines are in the segmentation's own coordinates; an array in the grid of a reference volume goes by way of
the scene's coordinates (`segment_masks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from slicer_notebook.commands import context, segment_terms
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_grids import (
    BINARY,
    SEGMENTATION,
    SURFACE,
    grid_of_volume,
    layers_of,
    oriented_image,
    reference_grid,
    segment_id,
    segment_ids,
    set_reference_grid,
)
from slicer_notebook.commands.segment_sampling import Grid, own_grid, shape_of
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array, NodeRef

VOLUME: Final = "vtkMRMLVolumeNode"


def _mask(mask: Array) -> Array:
    if mask.ndim != 3 or mask.dtype.kind not in "bui":
        raise ArrayError(
            "The mask does not fit.",
            expected="bool or whole numbers, [k, j, i]",
            got=f"{mask.dtype}, shape {mask.shape}",
            hint="mask > 0.5 makes a mask of numbers" if mask.ndim == 3 else None,
        )
    return np.not_equal(mask, 0).view(np.uint8)


def _grid_of_mask(host: Host, node: Any, mask: Array, reference: Any, affine: Any) -> Grid:
    """Where a mask lies, in the segmentation's own coordinates."""
    if reference is not None and affine is not None:
        raise ArgumentError("Where is the mask?", expected="a reference or an affine", got="both")
    if affine is not None:
        return Grid(shape_of(mask), _matrix_values(host, affine))
    grid = (
        grid_of_volume(host, reference, node)
        if reference is not None
        else own_grid(node.GetName(), reference_grid(host, node), layers_of(host, node))
    )
    if grid.shape != mask.shape:
        raise ArrayError(
            "The mask does not have the shape of its grid.",
            expected=f"shape {grid.shape} of {(reference or node).GetName()!r}",
            got=f"shape {mask.shape}",
            hint="give reference= the volume, or affine= the matrix, that the mask belongs to",
        )
    return grid


def _matrix_values(host: Host, affine: Any) -> Array:
    matrix = host.matrix(affine)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _need_label_maps(node: Any) -> None:
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 0:
        node.SetSourceRepresentationToBinaryLabelmap()
    elif segmentation.GetSourceRepresentationName() != BINARY:
        raise ArgumentError(
            f"The segments of {node.GetName()!r} are no label maps.",
            expected="segments made of voxels",
            got=segmentation.GetSourceRepresentationName(),
            hint="add it to another segmentation: slicer.add_segmentation(...)",
        )


@command("segmentation.add_segment")
def add_segment(
    host: Host,
    node: NodeLike,
    name: str = "Segment",
    mask: Array | None = None,
    reference: NodeLike | None = None,
    affine: Any = None,
    color: tuple[float, float, float] | None = None,
    terminology: dict[str, Any] | str | None = None,
) -> str:
    """A new segment; its id.

    Args:
        name: made unique in the segmentation.
        mask: bool or whole numbers [k, j, i], inside is not 0; an empty segment without it.
        reference: the volume in whose grid the mask is.
        affine: IJK → RAS of the mask, 4x4, mm, in the segmentation's own coordinates, in place of a reference; with
            neither, the mask is in the grid of ``segmentation.grid``.
        color: r, g, b, 0 to 1; without it the one that the terminology recommends, or Slicer's next.
        terminology: as in ``segmentation.change_segment``.

    Raises:
        ArrayError: a mask or an affine that does not fit.
        ArgumentError: both a reference and an affine; a colour or terminology that there is not; segments of this
            segmentation are no label maps; a transform that is not linear.
    """
    found = host.node(node, SEGMENTATION)
    volume = None if reference is None else host.node(reference, VOLUME)
    _need_label_maps(found)
    entry = None if terminology is None else segment_terms.entry_of(host, terminology)
    chosen = color if color is not None else entry.color if entry is not None else None
    if chosen is not None:
        check_color(chosen)
    image, grid = None, None
    if mask is not None:
        labels = _mask(mask)
        grid = _grid_of_mask(host, found, labels, volume, affine)
        image = oriented_image(host, labels, grid.affine)
    elif volume is not None:
        grid = grid_of_volume(host, volume, found)
    if found.GetDisplayNode() is None:
        found.CreateDefaultDisplayNodes()
    if grid is not None and reference_grid(host, found) is None:
        set_reference_grid(host, found, grid, volume)
    segmentation = found.GetSegmentation()
    called = _unique_name(found, name)
    if image is None:
        # Without an id of ours, Slicer makes one up that no name will ever be.
        added: str = segmentation.AddEmptySegment("", called)
    else:
        segment = host.slicer.vtkSegment()
        segment.SetName(called)
        segment.SetLabelValue(1)
        segment.AddRepresentation(BINARY, image)
        segmentation.AddSegment(segment)
        added = segmentation.GetSegmentIdBySegment(segment)
    segment = segmentation.GetSegment(added)
    segment.SetNameAutoGenerated(False)
    if entry is not None:
        segment.SetTerminology(entry.text)
    if chosen is not None:
        segment.SetColor(*chosen)
        segment.SetColorAutoGenerated(False)
    return added


def check_color(color: Sequence[float]) -> None:
    """Raises `ArgumentError` for what is no colour."""
    if len(color) != 3 or not all(0 <= float(part) <= 1 for part in color):
        raise ArgumentError("That is no colour.", expected="r, g, b, 0 to 1", got=str(tuple(color)))


def _unique_name(node: Any, name: str) -> str:
    segmentation = node.GetSegmentation()
    taken = {segmentation.GetSegment(each).GetName() for each in segment_ids(node)}
    called, number = name, 0
    while called in taken:
        number += 1
        called = f"{name}_{number}"
    return called


@command("segmentation.set_mask")
def set_mask(
    host: Host,
    node: NodeLike,
    segment: str,
    mask: Array,
    reference: NodeLike | None = None,
    affine: Any = None,
) -> None:
    """Give a segment new voxels; the other segments keep theirs, also where they overlap with it.

    Args:
        segment: id or name.
        mask, reference, affine: as of ``segmentation.add_segment``.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArrayError, ArgumentError: as ``segmentation.add_segment``.
    """
    found = host.node(node, SEGMENTATION)
    volume = None if reference is None else host.node(reference, VOLUME)
    _need_label_maps(found)
    key = segment_id(found, segment)
    labels = _mask(mask)
    grid = _grid_of_mask(host, found, labels, volume, affine)
    image = oriented_image(host, labels, grid.affine)
    segmentation = found.GetSegmentation()
    with_surface = segmentation.ContainsRepresentation(SURFACE)
    if reference_grid(host, found) is None:
        set_reference_grid(host, found, grid, volume)
    # Out of the layer that it shares with others, then a layer of its own.
    segmentation.SeparateSegmentLabelmap(key)
    target = segmentation.GetSegment(key)
    target.SetLabelValue(1)
    target.GetRepresentation(BINARY).DeepCopy(image)
    target.Modified()
    if with_surface:
        segmentation.CreateRepresentation(SURFACE, True)
    found.InvokeEvent(host.slicer.vtkSegmentation.SourceRepresentationModified)


@command("segmentation.add", thread="worker")
def add(
    host: Host,
    array: Array | None = None,
    volume: NodeLike | None = None,
    affine: Any = None,
    reference: NodeLike | None = None,
    names: list[tuple[int, str]] | None = None,
    colors: list[tuple[int, tuple[float, float, float]]] | None = None,
    name: str = "Segmentation",
) -> NodeRef:
    """A new segmentation of a label map: a segment for each number in it; or one without segments.

    Args:
        array: whole numbers [k, j, i], 0 outside.
        volume: a volume of whole numbers in place of the array; names and colours are those of its colour table.
        affine: IJK → RAS of the array, 4x4, mm.
        reference: a volume: the array is in its grid, and the segmentation gets below the same transform. With
            ``volume`` or ``affine``, it is noted only as what was segmented.
        names: (number, name); numbers without a name are called Segment_<number>.
        colors: (number, (r, g, b)), 0 to 1; Slicer's next ones without it.
        name: made unique in the scene.

    Raises:
        ArrayError: no label map, or a shape or affine that does not fit.
        ArgumentError: both an array and a volume; no colour.
    """
    job = context.current()
    if array is not None and volume is not None:
        raise ArgumentError("What is the label map?", expected="an array or a volume", got="both")
    labelled = _Labelled(dict(names or ()), dict(colors or ()))
    for color in labelled.colors.values():
        check_color(color)
    array, placed = job.on_main(lambda: _placed(host, array, volume, affine, reference, labelled))
    present: list[tuple[int, int]] = []
    if array is not None:
        array, present = _compact(array)
    job.check()
    return job.on_main(lambda: _make(host, array, present, placed, reference, labelled, name))


class _Labelled(NamedTuple):
    names: dict[int, str]
    colors: dict[int, tuple[float, float, float]]


class _Placed(NamedTuple):
    affine: Array | None
    transform: str | None


def _placed(
    host: Host, array: Array | None, volume: NodeLike | None, affine: Any, reference: NodeLike | None, known: _Labelled
) -> tuple[Array | None, _Placed]:
    """The label map and where it is; names and colours of a volume's colour table become known."""
    source = None if volume is None else host.node(volume, VOLUME)
    against = None if reference is None else host.node(reference, VOLUME)
    if source is not None:
        if affine is not None:
            raise ArgumentError("Where is the label map?", expected="no affine beside a volume", got="an affine")
        _read_colours(source, known)
        return np.array(host.voxels(source)), _Placed(host.affine(source), source.GetTransformNodeID())
    if affine is not None:
        return array, _Placed(_matrix_values(host, affine), None)
    if against is None:
        if array is not None:
            raise ArgumentError("Where is the label map?", expected="a reference or an affine", got="neither")
        return None, _Placed(None, None)
    shape = host.voxels(against).shape[:3]
    if array is not None and array.shape != shape:
        raise ArrayError(
            "The label map does not have the shape of its reference.",
            expected=f"shape {shape} of {against.GetName()!r}",
            got=f"shape {array.shape}",
        )
    return array, _Placed(host.affine(against), against.GetTransformNodeID())


def _read_colours(volume: Any, known: _Labelled) -> None:
    table = volume.GetDisplayNode().GetColorNode() if volume.GetDisplayNode() is not None else None
    if table is None or not volume.IsA("vtkMRMLLabelMapVolumeNode"):
        return
    rgba = [0.0] * 4
    # A table that nobody made for this volume names what its numbers mean no more than a box of paints does.
    means = table.GetTypeAsString() in ("UserDefined", "File")
    for number in range(1, table.GetNumberOfColors()):
        if table.GetColor(number, rgba):
            known.colors.setdefault(number, (rgba[0], rgba[1], rgba[2]))
            if means and table.GetColorName(number):
                known.names.setdefault(number, table.GetColorName(number))


def _compact(array: Array) -> tuple[Array, list[tuple[int, int]]]:
    """A label map as uint8 or uint16, and (number in the original, number in it) of all that is there."""
    if array.ndim != 3 or array.dtype.kind not in "bui" or 0 in array.shape:
        raise ArrayError(
            "That is no label map.",
            expected="whole numbers, [k, j, i], no axis empty",
            got=f"{array.dtype}, shape {array.shape}",
            hint="array.round().astype(np.uint16) makes whole numbers of others" if array.dtype.kind == "f" else None,
        )
    array = array.view(np.uint8) if array.dtype.kind == "b" else array
    low, most = int(array.min()), int(array.max())
    if low < 0:
        raise ArrayError("A label map has no negative numbers.", expected="0 and more", got=str(low))
    if most >= 65536:
        values, inverse = np.unique(array, return_inverse=True)
        first = 0 if values[0] == 0 else 1
        if len(values) + first > 65536:
            raise ArrayError("The label map has too many numbers.", expected="65535 at most", got=str(len(values)))
        compact = (inverse.reshape(array.shape) + first).astype(np.uint16)
        return compact, [(int(value), place + first) for place, value in enumerate(values) if value != 0]
    array = array.astype(np.uint8 if most < 256 else np.uint16, copy=False)
    counts = np.zeros(most + 1, np.int64)
    for plane in array:
        counts += np.bincount(plane.reshape(-1), minlength=most + 1)
    return array, [(int(number), int(number)) for number in np.flatnonzero(counts) if number != 0]


def _make(
    host: Host,
    array: Array | None,
    present: list[tuple[int, int]],
    placed: _Placed,
    reference: NodeLike | None,
    known: _Labelled,
    name: str,
) -> NodeRef:
    scene = host.slicer.mrmlScene
    image = oriented_image(host, array, placed.affine) if array is not None and placed.affine is not None else None
    against = None if reference is None else host.node(reference, VOLUME)
    with host.all_or_nothing():
        node = scene.AddNewNodeByClass(SEGMENTATION, scene.GenerateUniqueName(name))
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(placed.transform)
        if placed.affine is not None:
            shape = array.shape if array is not None else host.voxels(against).shape[:3]
            set_reference_grid(host, node, Grid((shape[0], shape[1], shape[2]), placed.affine), against)
        segmentation = node.GetSegmentation()
        before = node.StartModify()
        try:
            for number, inside in present:
                segment = host.slicer.vtkSegment()
                segment.SetName(known.names.get(number, f"Segment_{number}"))
                segment.SetNameAutoGenerated(False)
                segment.SetLabelValue(inside)
                # All share one label map: as much memory as the array, and edits do not overlap.
                segment.AddRepresentation(BINARY, image)
                if number in known.colors:
                    segment.SetColor(*known.colors[number])
                    segment.SetColorAutoGenerated(False)
                segmentation.AddSegment(segment)
        finally:
            node.EndModify(before)
    return host.ref(node)
