"""The editor of a segmentation as commands see it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from slicer_notebook.commands.host import View
from slicer_notebook.commands.segment_grids import Grid
from slicer_notebook.commands.segment_shapes import Box, Sight
from slicer_notebook.protocol.values import Array

__all__ = ["Edit", "EditMode", "SegmentEditor"]

EditMode = Literal["set", "add", "remove"]


@dataclass
class Edit:
    """One step of editing segments.

    Attributes:
        text: what it is.
        voxels: how many voxels came to a segment or went from one; known when the step has ended.
    """

    text: str
    voxels: int = 0


class SegmentEditor(Protocol):
    """The editor of one segmentation. All of it on the main thread; arrays are [k, j, i] of `grid`."""

    segmentation: Any
    """The ``vtkMRMLSegmentationNode``."""
    parameters: Any
    """The ``vtkMRMLSegmentEditorNode``: masks, overwrite mode."""
    volume: Any
    """The source volume, or None."""
    active_segment_id: str
    """The selected segment; "" for none."""
    active_effect_label: str
    """What a person works with in the views; "" for nothing."""
    active_options: dict[str, Any]
    """How that effect works; empty for nothing."""
    undo_texts: tuple[str, str]
    """What `undo` and `redo` would do; "" for nothing."""

    def resolved(self, segment: str | None) -> str:
        """The id of a segment by id or name, or of the selected one. Raises as `segment_grids.segment_id`."""
        ...

    def set_active_segment_id(self, segment: str) -> None:
        """Select a segment by its id."""
        ...

    def grid(self) -> Grid:
        """Where the voxels lie; the affine leads to RAS of the scene, mm."""
        ...

    def mask(self, segment: str) -> Array:
        """A segment (its id): bool."""
        ...

    def source(self) -> Array:
        """The source volume's intensities. Raises `ArgumentError` where there is none."""
        ...

    def blocked(self) -> Array | None:
        """Where the masks allow no change: bool; None where there are no masks."""
        ...

    def sight(self, view: View) -> Sight:
        """How a view sees the scene; its picture counts pixels from the left and the top."""
        ...

    def edit(self, text: str) -> AbstractContextManager[Edit]:
        """A block that is one step to undo, and that changes nothing when it fails."""
        ...

    def modify(self, box: Box, mode: EditMode, *, segment: str | None = None, unmasked: bool = False) -> None:
        """Change a segment (its id; the selected one without it) by a mask, in a block of `edit`.

        Args:
            box: all of the grid for "set".
            unmasked: neither masks nor overwrite mode count.
        """
        ...

    def add_segment(self, like: str, name: str) -> str:
        """A new, empty segment, in a block of `edit`; its id, which is made of ``like``."""
        ...

    def stamp(self) -> tuple[Any, ...]:
        """Something that is another when any segment has been changed."""
        ...

    def undo(self) -> str:
        """Undo the last step; what it was. Raises `CommandError` where there is none."""
        ...

    def redo(self) -> str:
        """Do the step again that was undone last; what it is. Raises `CommandError` where there is none."""
        ...

    def activate(self, effect: str | None, **options: Any) -> None:
        """Let a person work in the views with an effect; None ends that. Raises `ArgumentError`."""
        ...
