"""Commands about the state of a segmentation's editor: source volume, selected segment, masks, undo, work by hand."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_editor import SegmentEditor
from slicer_notebook.commands.segment_grids import SEGMENTATION, segment_ids
from slicer_notebook.commands.segment_steps import editor_of
from slicer_notebook.commands.segmentations import table
from slicer_notebook.errors import ArgumentError

Overwrite = Literal["all", "visible", "none"]

#: Names of vtkMRMLSegmentEditorNode's overwrite modes.
_OVERWRITE = {"all": "OverwriteAllSegments", "visible": "OverwriteVisibleSegments", "none": "OverwriteNone"}
#: Names of vtkMRMLSegmentationNode's editable areas, by the words for them.
_AREAS = {
    ("inside", "all"): "EditAllowedInsideAllSegments",
    ("inside", "visible"): "EditAllowedInsideVisibleSegments",
    ("outside", "all"): "EditAllowedOutsideAllSegments",
    ("outside", "visible"): "EditAllowedOutsideVisibleSegments",
}


def _state(host: Host, editor: SegmentEditor) -> dict[str, Any]:
    parameters, kind = editor.parameters, host.slicer.vtkMRMLSegmentationNode
    mode = parameters.GetMaskMode()
    words: dict[str, str | None] = {"inside": None, "outside": None}
    if mode == kind.EditAllowedInsideSingleSegment:
        words["inside"] = parameters.GetMaskSegmentID()
    for (where, which), name in _AREAS.items():
        if mode == getattr(kind, name):
            words[where] = which
    numbers = {getattr(parameters, name): word for word, name in _OVERWRITE.items()}
    by_intensity = bool(parameters.GetSourceVolumeIntensityMask())
    undo, redo = editor.undo_texts
    return {
        "segment": editor.active_segment_id or None,
        "volume": None if editor.volume is None else host.ref(editor.volume),
        "parameters": host.ref(parameters),
        **words,
        "intensity": tuple(map(float, parameters.GetSourceVolumeIntensityMaskRange())) if by_intensity else None,
        "overwrite": numbers[parameters.GetOverwriteMode()],
        "undo": undo or None,
        "redo": redo or None,
        "effect": editor.active_effect_label or None,
        "options": editor.active_options,
    }


@command("segment_editor.open")
def open_editor(host: Host, node: NodeLike, volume: NodeLike | None = None) -> dict[str, Any]:
    """Edit a segmentation, with the intensities of a volume.

    A segmentation without a grid takes the volume's. One that has a grid keeps it: intensities are then resampled to it
    where they are needed. Segments that are surfaces become label maps with the first edit, as in Slicer.

    Args:
        volume: a scalar volume. Without it: the one that was used last, or that the segmentation was made on.

    Returns:
        As `state`.

    Raises:
        ArgumentError: no volume and no grid.
        ArrayError: the volume has no voxels, or several values in each.
    """
    found = host.node(node, SEGMENTATION)
    source = None if volume is None else host.node(volume, "vtkMRMLScalarVolumeNode")
    return _state(host, host.segment_editor(found, source))


@command("segment_editor.state", journal=False)
def state(host: Host, node: NodeLike) -> dict[str, Any]:
    """The state of a segmentation's editor.

    Returns:
        ``segment`` (the selected one's id), ``volume`` and ``parameters`` (the vtkMRMLSegmentEditorNode); masks:
        ``inside`` (a segment's id, "all" or "visible"), ``outside`` ("all" or "visible"), ``intensity`` (low, high);
        ``overwrite``; ``undo``, ``redo``: what they would do; ``effect``: what a person works with in the views, and
        ``options`` of it. None for what there is not.
    """
    return _state(host, editor_of(host, node))


@command("segment_editor.panel", journal=False)
def panel(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a panel of the editor shows, in one step.

    Returns:
        As ``segmentation.table``, with ``editor``: as `state`, and ``intensities``: the lowest and the highest of the
        source volume; None without one.
    """
    editor = editor_of(host, node)
    volume = editor.volume
    span = None if volume is None or volume.GetImageData() is None else volume.GetImageData().GetScalarRange()
    return {
        **table(host, node),
        "editor": _state(host, editor),
        "intensities": None if span is None else tuple(map(float, span)),
    }


@command("segment_editor.select")
def select(host: Host, node: NodeLike, segment: str) -> str:
    """Select the segment that is edited, by id or name; its id.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
    """
    editor = editor_of(host, node)
    key = editor.resolved(segment)
    editor.set_active_segment_id(key)
    return key


@command("segment_editor.mask")
def mask(
    host: Host,
    node: NodeLike,
    inside: str | None = None,
    outside: Literal["all", "visible"] | None = None,
    intensity: tuple[float, float] | None = None,
    overwrite: Overwrite | None = None,
) -> dict[str, Any]:
    """Say where editing may change something, and whether it may take voxels from other segments.

    Args:
        inside: only inside of a segment (id or name), or of "all" or the "visible" ones (where none is called so).
        outside: only outside of all, or of the visible segments. Neither: everywhere.
        intensity: only where the source volume's intensity is in this range, both ends included; None: whatever it is.
        overwrite: voxels that a segment gets are taken from all other segments, from visible ones, or from none, which
            lets segments overlap; None leaves it as it is ("all" at first).

    Returns:
        As `state`.

    Raises:
        ArgumentError: both inside and outside; a range that is empty; a range without a source volume.
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
    """
    editor = editor_of(host, node)
    kind = host.slicer.vtkMRMLSegmentationNode
    if inside is not None and outside is not None:
        raise ArgumentError("It is either inside or outside.", expected="one of them", got="both")
    area, single = kind.EditAllowedEverywhere, None
    if inside is not None and (inside not in ("all", "visible") or _is_segment(editor, inside)):
        area, single = kind.EditAllowedInsideSingleSegment, editor.resolved(inside)
    elif inside is not None or outside is not None:
        words = ("inside", str(inside)) if inside is not None else ("outside", str(outside))
        area = getattr(kind, _AREAS[words])
    span = None if intensity is None else _range(editor, intensity)
    parameters = editor.parameters
    parameters.SetMaskMode(area)
    parameters.SetMaskSegmentID(single)
    parameters.SetSourceVolumeIntensityMask(span is not None)
    if span is not None:
        parameters.SetSourceVolumeIntensityMaskRange(*span)
    if overwrite is not None:
        parameters.SetOverwriteMode(getattr(parameters, _OVERWRITE[overwrite]))
    return _state(host, editor)


def _is_segment(editor: SegmentEditor, word: str) -> bool:
    segmentation = editor.segmentation.GetSegmentation()
    ids = segment_ids(editor.segmentation)
    return word in ids or any(segmentation.GetSegment(each).GetName() == word for each in ids)


def _range(editor: SegmentEditor, intensity: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, intensity)
    if not low <= high:
        raise ArgumentError("The range is empty.", expected="low <= high", got=f"{low}, {high}")
    if editor.source().dtype.kind in "iu":
        # vtkImageThreshold cuts the ends of a range off where voxels are whole numbers: 99.5 would let 99 in.
        low, high = float(np.ceil(low)), float(np.floor(high))
    return low, high


@command("segment_editor.undo")
def undo(host: Host, node: NodeLike) -> str:
    """Undo the last step; what it was. Raises `CommandError` where there is none."""
    return editor_of(host, node).undo()


@command("segment_editor.redo")
def redo(host: Host, node: NodeLike) -> str:
    """Do the step again that was undone last; what it is. Raises `CommandError` where there is none."""
    return editor_of(host, node).redo()


@command("segment_editor.activate")
def activate(host: Host, node: NodeLike, effect: str | None, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Let a person work on the selected segment in the views, with the mouse; None ends that.

    Args:
        effect: paint, erase, draw (a polygon on a slice), scissors; threshold shows in slice views of the source volume
            what that would take, and takes nothing.
        options: of paint and erase: ``radius``, mm, and ``shape``, circle or sphere; of scissors: ``operation``,
            ``depth`` and ``thickness``, as in ``segment_editor.scissors``; of threshold: ``lower``, ``upper``.

    Returns:
        As `state`.

    Raises:
        ArgumentError: no such effect or option; no segment is selected; no source volume.
    """
    editor = editor_of(host, node)
    editor.activate(effect, **(options or {}))
    return _state(host, editor)
