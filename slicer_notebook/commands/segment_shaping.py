"""Commands that change the shape of segments: margins, smoothing, islands, one segment with another, seeds and slices.

What `segment_editing` says of its commands is true of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from slicer_notebook.commands import segment_filters as filters
from slicer_notebook.commands.context import current
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_editor import EditMode, SegmentEditor
from slicer_notebook.commands.segment_shapes import on_slice, whole
from slicer_notebook.commands.segment_steps import (
    Labels,
    Segment,
    beside,
    editor_of,
    length,
    numbers,
    one_step,
    segment_read,
    set_all,
    set_mask,
    slice_view,
    visible_labels,
    write,
)
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array

Logical = Literal["copy", "add", "subtract", "intersect", "invert", "clear", "fill"]
_WITH_ANOTHER = ("copy", "add", "subtract", "intersect")
Islands = Literal["keep_largest", "remove_small", "split", "keep_selected", "add_selected", "remove_selected"]
_AT_A_POINT = ("keep_selected", "add_selected", "remove_selected")
Smoothing = Literal["median", "opening", "closing", "gaussian", "joint"]


# -- shape -----------------------------------------------------------------------------------------------------------


def _changed(host: Host, node: NodeLike, segment: str | None, text: str, function: Callable[[Segment], Array]) -> int:
    """One step that makes another mask of a segment's, beside the main thread."""
    work = beside(host, node, segment_read(segment))
    return write(host, node, work.stamp, text, set_mask(work.id, function(work)))


@command("segment_editor.margin", thread="worker")
def margin(host: Host, node: NodeLike, size: float, segment: str | None = None) -> int:
    """Grow a segment by ``size`` mm on all sides, or shrink it where that is below 0 (SegmentEditorMarginEffect).

    Grown, it has all voxels whose centre is within ``size`` of the centre of one of its own; shrunk, it loses all
    within that of one outside. Raises `ArgumentError` for 0.
    """
    length(abs(size), "size")
    return _changed(
        host, node, segment, f"margin of {size:g} mm", lambda work: filters.margin(work.mask, size, work.spacing)
    )


@command("segment_editor.hollow", thread="worker")
def hollow(
    host: Host, node: NodeLike, thickness: float, surface: filters.Shell = "outside", segment: str | None = None
) -> int:
    """Make a shell of a segment (SegmentEditorHollowEffect).

    Args:
        thickness: of the shell, mm.
        surface: which surface of the shell the segment's present one becomes: inside, medial or outside.
    """
    length(thickness, "thickness")
    return _changed(
        host, node, segment, "hollow", lambda work: filters.hollowed(work.mask, thickness, surface, work.spacing)
    )


@command("segment_editor.smooth", thread="worker")
def smooth(
    host: Host, node: NodeLike, method: Smoothing = "median", size: float | None = None, segment: str | None = None
) -> int:
    """Smooth a segment, or all visible ones together (SegmentEditorSmoothingEffect).

    Args:
        method: median (each voxel as most around it), opening (removes what sticks out), closing (fills what reaches
            in), gaussian, or joint (all visible segments; neighbours stay neighbours).
        size: of median, opening and closing: the kernel, mm, 3 without it; of gaussian: the standard deviation, mm,
            3 without it; of joint: how much, 0 to 1, 0.5 without it.

    Raises:
        ArgumentError: a size that does not fit; joint without a visible segment.
    """
    if method == "joint":
        return _smooth_together(host, node, 0.5 if size is None else size)
    reach = length(3.0 if size is None else size, "size")

    def smoothed(work: Segment) -> Array:
        if method == "gaussian":
            return filters.gaussian(work.mask, reach, work.spacing)
        function = {"median": filters.median, "opening": filters.opened, "closing": filters.closed}[method]
        return function(work.mask, filters.odd_size(reach, work.spacing))

    return _changed(host, node, segment, f"smoothing: {method}", smoothed)


def _smooth_together(host: Host, node: NodeLike, factor: float) -> int:
    if not 0 < factor <= 1:
        raise ArgumentError("The strength does not fit.", expected="above 0, to 1", got=repr(factor))
    work = beside(host, node, visible_labels)
    masks = filters.jointly_smoothed(work.labels, len(work.ids), factor)
    return write(host, node, work.stamp, "smoothing: joint", set_all(work, masks))


# -- islands ---------------------------------------------------------------------------------------------------------


@command("segment_editor.islands", thread="worker")
def islands(
    host: Host,
    node: NodeLike,
    operation: Islands = "keep_largest",
    minimum: float | None = None,
    point: Any = None,
    segment: str | None = None,
    view: str | None = None,
) -> int:
    """Do something with the islands of a segment: voxels that touch by their faces (SegmentEditorIslandsEffect).

    Args:
        operation: keep_largest; remove_small; split (the largest stays, each other one becomes a segment of its own,
            "name_2" and so on); keep_selected, remove_selected: that at ``point``; add_selected: what is there of the
            visible segments as they overlie each other, or of the empty space between them.
        minimum: of remove_small and split: islands of a smaller volume than this, mm³, are removed.
        point: [3], mm, RAS; or a pixel of a view's picture, [2], from its left and top.
        view: the slice view that the pixel is of.

    Raises:
        ArgumentError: a minimum or point that is missing, or has no meaning here; a pixel without a slice view.
        ArrayError: a point outside of the grid, or not in the segment.
        ViewNotFoundError: no such view.
    """
    if (point is not None) != (operation in _AT_A_POINT):
        raise ArgumentError(
            f"Islands: {operation} " + ("needs a point." if point is None else "knows no point."),
            expected="a point for " + ", ".join(_AT_A_POINT),
            got=repr(point),
        )
    if minimum is not None and operation not in ("remove_small", "split"):
        raise ArgumentError(f"Islands: {operation} knows no minimum.", expected="none", got=repr(minimum))
    if operation == "remove_small" and minimum is None:
        raise ArgumentError("Islands: remove_small needs a minimum.", expected="a volume in mm³", got="None")
    if minimum is not None:
        length(minimum, "minimum", open_end=False)
    if operation in _AT_A_POINT:
        return _islands_at(host, node, operation, numbers(point, (2, 3), 1, "point")[0], view, segment)
    work = beside(host, node, segment_read(segment))
    found = filters.islands(work.mask)
    sizes = np.bincount(found.ravel())[1:] * float(np.prod(work.spacing))
    kept = 1 if operation == "keep_largest" else int((sizes >= (minimum or 0.0)).sum())
    if operation != "split":
        return write(host, node, work.stamp, f"islands: {operation}", set_mask(work.id, (found > 0) & (found <= kept)))

    def split(editor: SegmentEditor) -> None:
        editor.modify(whole(found == 1 if kept else np.zeros(found.shape, bool)), "set", segment=work.id)
        name = editor.segmentation.GetSegmentation().GetSegment(work.id).GetName()
        for number in range(2, kept + 1):
            new = editor.add_segment(work.id, f"{name}_{number}")
            editor.modify(whole(found == number), "add", segment=new)

    return write(host, node, work.stamp, "islands: split", split)


def _islands_at(host: Host, node: NodeLike, operation: str, point: Array, view: str | None, segment: str | None) -> int:
    def read(editor: SegmentEditor) -> tuple[Segment, tuple[int, ...], Array]:
        work = segment_read(segment)(editor)
        grid = editor.grid()
        place = point if len(point) == 3 else on_slice(slice_view(host, editor, view), point)
        at = tuple(int(x) for x in np.rint(np.linalg.solve(grid.affine, np.append(place, 1.0))[:3])[::-1])
        if any(not 0 <= a < n for a, n in zip(at, grid.shape, strict=True)):
            raise ArrayError("The point is outside of the grid.", expected="a point in it", got=str(point.tolist()))
        if operation == "add_selected":
            labels = visible_labels(editor).labels
            return work, at, labels == labels[at]
        if not work.mask[at]:
            raise ArrayError("The segment is not at that point.", expected="a point in it", got=str(point.tolist()))
        return work, at, work.mask

    work, at, mask = beside(host, node, read)
    found = filters.islands(mask)
    island = whole(found == found[at])
    mode: dict[str, EditMode] = {"keep_selected": "set", "add_selected": "add", "remove_selected": "remove"}
    return write(
        host,
        node,
        work.stamp,
        f"islands: {operation}",
        lambda editor: editor.modify(island, mode[operation], segment=work.id),
    )


# -- segments and segments ---------------------------------------------------------------------------------------------


@command("segment_editor.logical")
def logical(
    host: Host,
    node: NodeLike,
    operation: Logical,
    other: str | None = None,
    segment: str | None = None,
    ignore_masks: bool = False,
) -> int:
    """Combine a segment with another one (SegmentEditorLogicalEffect).

    Args:
        operation: copy, add, subtract, intersect: with ``other``; invert, clear, fill: alone.
        other: id or name.
        ignore_masks: neither masks nor overwrite mode count (Slicer's "bypass masking").

    Raises:
        ArgumentError: another segment that is missing, or has no meaning here.
        NodeNotFoundError: no such segment.
    """
    if (other is not None) != (operation in _WITH_ANOTHER):
        raise ArgumentError(
            f"Logical: {operation} " + ("needs another segment." if other is None else "knows no other segment."),
            expected="another segment for " + ", ".join(_WITH_ANOTHER),
            got=repr(other),
        )
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    if other is not None:
        theirs = editor.mask(editor.resolved(other))
        mode: EditMode = {"copy": "set", "add": "add", "subtract": "remove"}.get(operation, "set")  # type: ignore[assignment]
        mask = theirs & editor.mask(key) if operation == "intersect" else theirs
    else:
        own = editor.mask(key)
        mode = "set"
        mask = {"invert": ~own, "clear": np.zeros_like(own), "fill": np.ones_like(own)}[operation]
    return one_step(editor, f"logical: {operation}", key, mode, whole(mask), unmasked=ignore_masks)


# -- from seeds and slices ---------------------------------------------------------------------------------------------


class _Seeds(NamedTuple):
    labels: Labels
    source: Array
    blocked: Array | None


@command("segment_editor.grow_from_seeds", thread="worker")
def grow_from_seeds(host: Host, node: NodeLike, locality: float = 0.0) -> int:
    """Grow all visible segments until they meet, where the intensities change (SegmentEditorGrowFromSeedsEffect).

    They grow in a box around the seeds that is a fifth larger on each side (half, where masks are set). Fast grow-cut
    takes some 2 µs for a voxel of it; a cancel is heard at once, but what computes goes on to its end, unheard.

    Args:
        locality: how much a distance of one voxel counts, in units of intensity: more keeps segments near their seeds.

    Raises:
        ArgumentError: no source volume; fewer than two visible segments (one, where masks are set) that have voxels.
    """
    length(locality, "locality", open_end=False)

    def read(editor: SegmentEditor) -> _Seeds:
        blocked = editor.blocked()
        labels = visible_labels(editor)
        there = len(np.unique(labels.labels[labels.labels > 0]))
        least = 1 if blocked is not None else 2
        if there < least:
            raise ArgumentError(
                "There are too few seeds.",
                expected=f"voxels in {least} or more visible segments",
                got=f"in {there}",
                hint="another segment as background" if least == 2 else None,
            )
        return _Seeds(labels, editor.source(), blocked)

    work = beside(host, node, read)
    place = _around(work.labels.labels, 0.2 if work.blocked is None else 0.5)
    current().progress(-1, "growing from seeds")
    found = np.zeros_like(work.labels.labels)
    found[place] = filters.grown(
        work.source[place],
        work.labels.labels[place],
        None if work.blocked is None else work.blocked[place],
        locality,
    )
    masks = [found == number for number in range(1, len(work.labels.ids) + 1)]
    return write(host, node, work.labels.stamp, "grow from seeds", set_all(work.labels, masks))


def _around(labels: Array, ratio: float) -> tuple[slice, ...]:
    """The box that holds all labels, larger by a part of its size on each side, and by 3 voxels at least."""
    place = []
    for axis, count in enumerate(labels.shape):
        there = np.flatnonzero(labels.any(axis=tuple(each for each in range(3) if each != axis)))
        first, last = int(there[0]), int(there[-1])
        more = max(3, int(ratio * (last - first)))
        place.append(slice(max(0, first - more), min(count, last + more + 1)))
    return tuple(place)


@command("segment_editor.fill_between_slices", thread="worker")
def fill_between_slices(host: Host, node: NodeLike) -> int:
    """Fill the gaps of all visible segments between the slices they are drawn on.

    Morphological contour interpolation (SegmentEditorFillBetweenSlicesEffect). A slice is only filled where neither of
    its neighbours was drawn on. Masks count for the result.

    Raises:
        ArgumentError: no visible segment has voxels.
    """

    def read(editor: SegmentEditor) -> Labels:
        labels = visible_labels(editor)
        if not labels.labels.any():
            raise ArgumentError("All visible segments are empty.", expected="drawn slices", got="none")
        return labels

    work = beside(host, node, read)
    place = _around(work.labels, 0.0)
    found = np.zeros_like(work.labels)
    found[place] = filters.between_slices(work.labels[place])
    masks = [found == number for number in range(1, len(work.ids) + 1)]
    return write(host, node, work.stamp, "fill between slices", set_all(work, masks))
