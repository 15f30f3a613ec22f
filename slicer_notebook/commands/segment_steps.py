"""How a command edits segments: what it reads on the main thread, works out beside it, and writes as one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from slicer_notebook.commands.context import current
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike
from slicer_notebook.commands.segment_editor import EditMode, SegmentEditor
from slicer_notebook.commands.segment_grids import SEGMENTATION
from slicer_notebook.commands.segment_shapes import Box, Sight, spacing_of, whole
from slicer_notebook.errors import ArgumentError, ArrayError, CommandError
from slicer_notebook.protocol.values import Array

__all__ = [
    "Labels",
    "Segment",
    "beside",
    "editor_of",
    "length",
    "numbers",
    "one_step",
    "segment_read",
    "set_all",
    "set_mask",
    "slice_view",
    "visible_labels",
    "write",
]

T = TypeVar("T")


def editor_of(host: Host, node: NodeLike) -> SegmentEditor:
    """The editor of a segmentation. On the main thread."""
    found: SegmentEditor = host.segment_editor(host.node(node, SEGMENTATION))
    return found


def numbers(value: Any, columns: tuple[int, ...], least: int, what: str) -> Array:
    """Finite numbers [n, columns], at least ``least`` rows; a single row may come as such. Raises `ArrayError`."""
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.ndim == 1 and found.size in columns:
        found = found[None]
    if found.ndim != 2 or found.shape[1] not in columns or len(found) < least or not np.isfinite(found).all():
        raise ArrayError(
            f"The {what} do not fit.",
            expected=f"{least} or more points of {' or '.join(map(str, columns))} finite numbers",
            got=f"shape {found.shape}" if found.size else repr(value)[:80],
        )
    return found


def slice_view(host: Host, editor: SegmentEditor, view: str | None) -> Sight:
    """How a slice view sees the scene. Raises `ArgumentError` for one that shows no slice, and for none."""
    if view is None:
        raise ArgumentError("Pixels are of a view.", expected="a view, or points of 3 numbers", got="no view")
    sight = editor.sight(host.view(view))
    if sight.normal is None:
        raise ArgumentError(f"View {view!r} shows no slice.", expected="a slice view", got=view)
    return sight


def length(value: float, what: str, *, least: float = 0.0, open_end: bool = True) -> float:
    """A length, mm, above ``least``. Raises `ArgumentError`."""
    if not np.isfinite(value) or value < least or (open_end and value == least):
        raise ArgumentError(
            f"The {what} does not fit.", expected=f"a number {'above' if open_end else 'from'} {least}", got=repr(value)
        )
    return float(value)


def one_step(
    editor: SegmentEditor, text: str, segment: str, mode: EditMode, box: Box, *, unmasked: bool = False
) -> int:
    with editor.edit(text) as step:
        editor.modify(box, mode, segment=segment, unmasked=unmasked)
    return step.voxels


class Segment(NamedTuple):
    """A segment that is worked on beside the main thread."""

    id: str
    mask: Array
    spacing: tuple[float, float, float]
    stamp: Any


def beside(host: Host, node: NodeLike, read: Callable[[SegmentEditor], T]) -> T:
    return current().on_main(lambda: read(editor_of(host, node)))


def segment_read(segment: str | None) -> Callable[[SegmentEditor], Segment]:
    def read(editor: SegmentEditor) -> Segment:
        key = editor.resolved(segment)
        mask = editor.mask(key)
        return Segment(key, mask, spacing_of(editor.grid()), editor.stamp())

    return read


def write(host: Host, node: NodeLike, stamp: Any, text: str, change: Callable[[SegmentEditor], None]) -> int:
    """One step with what was computed of the segments as they were at ``stamp``.

    Raises:
        CommandError: they have been changed since.
    """

    def write() -> int:
        editor = editor_of(host, node)
        if editor.stamp() != stamp:
            raise CommandError(
                "The segments were changed while the result was computed.", hint="do it again; nothing was changed"
            )
        with editor.edit(text) as step:
            change(editor)
        return step.voxels

    return current().on_main(write)


def set_mask(key: str, mask: Array) -> Callable[[SegmentEditor], None]:
    return lambda editor: editor.modify(whole(mask), "set", segment=key)


class Labels(NamedTuple):
    """Visible segments, as labels 1, 2, ... in the order of ``ids``; where two overlap, the earlier one's."""

    ids: list[str]
    labels: Array
    stamp: Any


def _visible(editor: SegmentEditor) -> list[str]:
    display = editor.segmentation.GetDisplayNode()
    ids = editor.segmentation.GetSegmentation().GetSegmentIDs()
    return [each for each in ids if display is None or display.GetSegmentVisibility(each)]


def visible_labels(editor: SegmentEditor) -> Labels:
    ids = _visible(editor)
    if not ids:
        raise ArgumentError("No segment is visible.", expected="visible segments", got="none")
    labels = np.zeros(editor.grid().shape, np.uint8 if len(ids) < 256 else np.uint16)
    for number, each in reversed(list(enumerate(ids, 1))):
        labels[editor.mask(each)] = number
    return Labels(ids, labels, editor.stamp())


def set_all(labels: Labels, masks: list[Array]) -> Callable[[SegmentEditor], None]:
    def change(editor: SegmentEditor) -> None:
        for each, mask in zip(labels.ids, masks, strict=True):
            editor.modify(whole(mask), "set", segment=each)

    return change
