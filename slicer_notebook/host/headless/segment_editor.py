"""One segment editor for each segmentation that is edited: trame-slicer's SegmentationEditor, in a headless Slicer.

Its state (source volume, selected segment, masks, overwrite mode) is a vtkMRMLSegmentEditorNode of the scene. All
modification goes through one modifier and Slicer's vtkSlicerSegmentEditorLogic, whether a command asks for it or a
person paints in a view: masks, overwrite mode and undo hold for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from trame_slicer.core.segmentation_editor import SegmentationEditor
from trame_slicer.segmentation import Segmentation, SegmentationEffectNoTool, SegmentModifier
from trame_slicer.segmentation.segment_modifier import ModificationMode
from undo_stack import UndoStack  # type: ignore[import-untyped]

from slicer_notebook.commands.segment_editor import Edit, EditMode
from slicer_notebook.commands.segment_grids import Grid, reference_grid, segment_id
from slicer_notebook.commands.segment_shapes import Box, Sight, whole
from slicer_notebook.errors import ArgumentError, ArrayError, CommandError
from slicer_notebook.host.arrays import voxels
from slicer_notebook.protocol.values import Array

from .segment_effects import EFFECTS, Brushing, sight_of
from .segment_history import BINARY, Change, Segments, Step, changes, remember
from .segment_voxels import SegmentVoxels

if TYPE_CHECKING:
    from .host import HeadlessHost

__all__ = ["SegmentEditor"]

#: Steps that can be undone: each keeps some bits for every voxel of the boxes that changed.
_MOST_STEPS: Final = 100
_MODES: Final = {"set": ModificationMode.Set, "add": ModificationMode.Add, "remove": ModificationMode.Remove}


class _Views:
    """What trame-slicer's editor needs of a view manager: the view of a view node."""

    def __init__(self, host: HeadlessHost) -> None:
        self._host = host

    def get_view(self, node: Any) -> Any:
        """trame-slicer's view of a view node; None for one that has no view."""
        for view in self._host.application.layout.all_views():
            if view.node.GetID() == node.GetID():
                return view.native
        return None


class _Modifier(SegmentModifier):
    """All changes of a segmentation pass here, each as a step of the editor's history."""

    def __init__(self, segmentation: Any, editor: SegmentEditor) -> None:
        self._notebook_editor = editor
        super().__init__(segmentation)

    @property
    def active_segment_id(self) -> str:
        """The selected segment: the editor node's."""
        selected = self.segment_editor_node.GetSelectedSegmentID() if self.segment_editor_node else None
        return str(selected) if selected in self._segmentation.get_segment_ids() else ""

    @active_segment_id.setter
    def active_segment_id(self, segment: str) -> None:
        known = segment in self._segmentation.get_segment_ids()
        self.segment_editor_node.SetSelectedSegmentID(segment if known else None)

    # trame-slicer's constructor and its callbacks set the private name.
    @property
    def _active_segment_id(self) -> str:
        return self.active_segment_id

    @_active_segment_id.setter
    def _active_segment_id(self, segment: str) -> None:
        if not self.active_segment_id:
            self.active_segment_id = segment

    def apply_labelmap(self, modifier_labelmap: Any, **how: Any) -> None:
        with self._notebook_editor.edit(self._notebook_editor.active_effect_label or "edit"):
            self._modify_active_segment_by_labelmap(modifier_labelmap, **how)
            self.trigger_active_segment_modified()

    def group_undo_commands(self, text: str = "") -> Any:
        return self._notebook_editor.edit(text)


class SegmentEditor(SegmentationEditor):
    """The editor of one segmentation (the ``SegmentEditor`` protocol of the commands).

    Args:
        host: where the scene and the views are.
        node: the ``vtkMRMLSegmentationNode``.
    """

    def __init__(self, host: HeadlessHost, node: Any) -> None:
        self._host: Any = host
        self._slicer = host.slicer
        self._node = node
        self._deleted = False
        self._memory = Segments()
        self._editing: Edit | None = None
        effects = [SegmentationEffectNoTool, *EFFECTS.values()]
        self._active_modifier: Any = None
        super().__init__(
            host.slicer.mrmlScene, host.slicer.modules.segmentations.logic(), _Views(host), builtin_effects=effects
        )
        self._voxels = SegmentVoxels(host, node, self._editor_logic)
        self._undo_stack = UndoStack(undo_limit=_MOST_STEPS)
        # Neither masks nor overwriting: for what is put back, and where masks shall not count.
        self._plain = host.slicer.vtkSlicerSegmentEditorLogic()
        self._plain.SetSegmentEditorNode(host.slicer.vtkMRMLSegmentEditorNode())
        self._plain.SetSegmentationHistory(None)
        self._plain.GetSegmentEditorNode().SetOverwriteMode(host.slicer.vtkMRMLSegmentEditorNode.OverwriteNone)

    def _create_editor_node(self) -> Any:
        # trame-slicer's own is a singleton without a tag, of which a scene keeps only one.
        node = self._former_editor_node()
        if node is None:
            node = self._scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode", f"{self._node.GetName()} editor")
            node.SetAndObserveSegmentationNode(self._node)
        node.SetHideFromEditors(True)
        self._observed = [
            node.AddObserver(
                self._slicer.vtkMRMLSegmentEditorNode.EffectParameterModified, lambda *_: self.parameter_changed()
            ),
            node.AddObserver("ModifiedEvent", lambda *_: self.editor_node_modified()),
        ]
        return node

    def _former_editor_node(self) -> Any:
        """The editor node that came with a saved scene."""
        for node in self._host.nodes("vtkMRMLSegmentEditorNode"):
            if node.GetSegmentationNode() is self._node and not node.GetSingletonTag():
                return node
        return None

    # -- what is edited ----------------------------------------------------------------------------------------------

    @property
    def segmentation(self) -> Any:
        """The ``vtkMRMLSegmentationNode``."""
        return self._node

    @property
    def parameters(self) -> Any:
        """The ``vtkMRMLSegmentEditorNode``."""
        return self.editor_node

    @property
    def volume(self) -> Any:
        """The source volume, or None."""
        return self.editor_node.GetSourceVolumeNode()

    def open(self, volume: Any) -> None:
        """Edit with a source volume; None keeps the present one, or takes the volume the segmentation was made on.

        A segmentation that has no grid yet takes the volume's; else the volume is resampled to the segmentation's grid
        where intensities are needed, as in Slicer.

        Raises:
            ArgumentError: no volume is known, and the segmentation has no grid either.
            ArrayError: the volume has no voxels, or more than one component.
        """
        volume = volume or self.volume or self._reference_volume()
        if volume is not None and voxels(volume).ndim != 3:
            raise ArrayError(
                f"{volume.GetName()!r} has several values in each voxel.", expected="a scalar volume", got="colours"
            )
        if self._node.GetDisplayNode() is None:
            self._node.CreateDefaultDisplayNodes()
        if reference_grid(self._host, self._node) is None:
            if volume is None and not self._node.GetSegmentation().GetNumberOfSegments():
                raise ArgumentError(
                    f"Segmentation {self._node.GetName()!r} has no grid, and no volume to take one from.",
                    expected="a volume",
                    got="None",
                    hint="segmentation.editor(volume)",
                )
            if volume is not None:
                self._node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        if self._active_modifier is None or volume is not self.volume:
            self._set_up(volume)

    def _reference_volume(self) -> Any:
        role = self._node.GetReferenceImageGeometryReferenceRole()
        found = self._node.GetNodeReference(role)
        return found if found is not None and found.IsA("vtkMRMLScalarVolumeNode") else None

    def _release(self) -> None:
        """Let go of trame-slicer's Segmentation: its observer of the node would keep both for ever."""
        if self._active_modifier is not None:
            self._node.RemoveObserver(self._active_modifier.segmentation._node_obs)
            self._active_modifier = None

    def _set_up(self, volume: Any) -> None:
        self._release()
        selected = self.editor_node.GetSelectedSegmentID()
        segmentation = Segmentation(self._node, volume, editor_logic=self._editor_logic)
        self._active_modifier = _Modifier(segmentation, self)
        self._active_modifier.segmentation_modified.connect(self.segmentation_modified)
        self._active_modifier.active_segment_id = selected or self.get_nth_segment_id(0)
        self.deactivate_effect()
        self.trigger_all_signals()

    def set_active_segmentation(self, segmentation_node: Any, volume_node: Any) -> Any:
        """trame-slicer's name of `open`; an editor has one segmentation."""
        if segmentation_node is not self._node:
            raise ArgumentError("This editor has another segmentation.", expected=self._node.GetID(), got="another")
        self.open(volume_node)
        return self.active_segmentation

    def resolved(self, segment: str | None) -> str:
        """The id of a segment by id or name; of the selected one without it.

        Raises:
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
            ArgumentError: none is selected.
        """
        if segment is not None:
            return segment_id(self._node, segment)
        selected = self.active_segment_id
        if not selected:
            raise ArgumentError(
                "No segment is selected.", expected="a segment", got="None", hint='editor.segment = "name"'
            )
        return str(selected)

    # -- grids and arrays ----------------------------------------------------------------------------------------------

    def grid(self) -> Grid:
        """Where the voxels lie that are edited; the affine leads to RAS of the scene."""
        return self._voxels.grid()

    def mask(self, segment: str) -> Array:
        """A segment (its id) on the grid: bool [k, j, i]."""
        return self._voxels.mask(segment)

    def source(self) -> Array:
        """The source volume's intensities on the grid, [k, j, i]. Raises `ArgumentError` where there is none."""
        return self._voxels.source()

    def blocked(self) -> Array | None:
        """Where the masks allow no change: bool [k, j, i]; None where there are no masks."""
        return self._voxels.blocked()

    # -- editing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def edit(self, text: str) -> Iterator[Edit]:
        """A block that is one step to undo, with what it does to any segment; a block in a block belongs to it.

        What fails leaves the segments as they were. After the block, `Edit.voxels` tells how much it changed.
        """
        if self._editing is not None:
            yield self._editing
            return
        self._voxels.ready()
        before = self._memory = remember(self._slicer, self._node, self._memory)
        self._editing = edit = Edit(text)
        try:
            yield edit
        except BaseException:
            self._put_back(changes(before, remember(self._slicer, self._node, before)), True)
            raise
        finally:
            self._editing = None
        self._memory = remember(self._slicer, self._node, before)
        parts = changes(before, self._memory)
        edit.voxels = sum(each.voxels for each in parts)
        if parts:
            self._undo_stack.push(Step(text, parts, self._put_back))
            self.active_segmentation.trigger_modified()

    def modify(self, box: Box, mode: EditMode, *, segment: str | None = None, unmasked: bool = False) -> None:
        """Change a segment by a mask, as masks and overwrite mode allow; in a block of `edit`.

        Args:
            box: the mask; all of the grid for "set".
            mode: what becomes of the segment: the mask ("set"), or its voxels are added or removed.
            segment: its id; the selected one without it.
            unmasked: neither masks nor overwrite mode count.
        """
        if not box.inside.size:
            return
        target = segment or self.active_segment_id
        if unmasked:
            self._modify_plainly(target, self._voxels.image(box), _MODES[mode])
            return
        if self.editor_node.GetSourceVolumeIntensityMask():
            # The logic compares with the source volume voxel by voxel, and wants the same grid.
            full = np.zeros(self.grid().shape, bool)
            full[box.place] = box.inside
            box = whole(full)
        with self._selected(target):
            self._active_modifier.apply_labelmap(
                self._voxels.image(box), segment_id=target, modification_mode=_MODES[mode]
            )

    @contextmanager
    def _selected(self, segment: str) -> Iterator[None]:
        """A block in which a segment is the selected one, for nobody but the logic: a mask is outside of all others."""
        node = self.editor_node
        former, quiet = node.GetSelectedSegmentID(), node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        node.SetSelectedSegmentID(segment)
        try:
            yield
        finally:
            node.SetSelectedSegmentID(former)
            node.SetDisableModifiedEvent(quiet)

    def _modify_plainly(self, segment: str, image: Any, mode: ModificationMode) -> None:
        logic = self._plain
        modes = {
            ModificationMode.Set: logic.ModificationModeSet,
            ModificationMode.Add: logic.ModificationModeAdd,
            ModificationMode.Remove: logic.ModificationModeRemove,
        }
        logic.ModifySegmentByLabelmap(self._node, segment, image, modes[mode], True, True)

    def sight(self, view: Any) -> Sight:
        """How a view sees the scene: `segment_effects.sight_of`."""
        return sight_of(view.native)

    def add_segment(self, like: str, name: str) -> str:
        """A new segment, empty, in a block of `edit`; its id."""
        segmentation = self._node.GetSegmentation()
        found: str = segmentation.AddEmptySegment(segmentation.GenerateUniqueSegmentID(like), name)
        return found

    def stamp(self) -> tuple[Any, ...]:
        """Something that is another when any segment has been changed."""
        segmentation = self._node.GetSegmentation()
        found = []
        for each in segmentation.GetSegmentIDs():
            image = segmentation.GetSegment(each).GetRepresentation(BINARY)
            found.append((each, None if image is None else (image.GetAddressAsString(""), image.GetMTime())))
        return tuple(found)

    def _ensure_active_segmentation_surface_repr_consistency(self) -> None:
        """Surfaces are there when the segmentation has them; Slicer's logic makes them anew after each change.

        (trame-slicer's editor has a switch of its own, off at first, and takes them away.)
        """

    # -- undo --------------------------------------------------------------------------------------------------------

    def _put_back(self, parts: Sequence[Change], undo: bool) -> None:
        """Give segments back what they had before a step, or after it."""
        segmentation = self._node.GetSegmentation()
        if undo:
            for part in parts:
                if part.new is not None:
                    segmentation.RemoveSegment(part.segment)
        else:
            for part in parts:
                if part.new is not None and segmentation.GetSegment(part.segment) is None:
                    again = self._slicer.vtkSegment()
                    again.DeepCopyMetadata(part.new)
                    segmentation.AddSegment(again, part.segment)
        known = [part for part in parts if segmentation.GetSegment(part.segment) is not None and 0 not in part.shape]
        # First all that goes, then all that comes: so no segments overlap on the way, which would split layers.
        for mode in (ModificationMode.Remove, ModificationMode.Add):
            for part in known:
                wanted, other = part.mask(part.before), part.mask(part.after)
                if not undo:
                    wanted, other = other, wanted
                moved = wanted & ~other if mode is ModificationMode.Add else other & ~wanted
                if moved.any():
                    self._modify_plainly(part.segment, self._voxels.image_at(part.extent, moved), mode)
        self.active_segmentation.trigger_modified()

    @property
    def undo_texts(self) -> tuple[str, str]:
        """What `undo` and `redo` would do; "" for nothing."""
        return self._undo_stack.undo_text(), self._undo_stack.redo_text()

    def undo(self) -> str:
        """Undo the last step; what it was.

        Raises:
            CommandError: there is none.
        """
        return self._go(self._undo_stack.can_undo(), self._undo_stack.undo_text(), self._undo_stack.undo, "undo")

    def redo(self) -> str:
        """Do the step again that was undone last; what it is.

        Raises:
            CommandError: there is none.
        """
        return self._go(self._undo_stack.can_redo(), self._undo_stack.redo_text(), self._undo_stack.redo, "redo")

    @staticmethod
    def _go(can: bool, text: str, go: Any, what: str) -> str:
        if not can:
            raise CommandError(f"There is nothing to {what} in this segmentation's editor.")
        go()
        return text

    # -- by hand -----------------------------------------------------------------------------------------------------

    @property
    def active_effect_label(self) -> str:
        """Which of `EFFECTS` a person works with in the views; "" for none."""
        return next((name for name, kind in EFFECTS.items() if type(self.active_effect) is kind), "")

    @property
    def active_options(self) -> dict[str, Any]:
        """How that effect works, with what `activate` was not told."""
        return dict(self.active_effect.options) if self.active_effect_label else {}

    def set_active_effect(self, effect: Any) -> Any:
        """As trame-slicer's; the editor node tells of it, as all of the editor's state."""
        former = self.active_effect
        found = super().set_active_effect(effect)
        if found is not former and not self._deleted:
            self.editor_node.Modified()
        return found

    def deactivate_effect(self) -> None:
        """End what a person does in the views. (trame-slicer makes an effect that does nothing active, with a node.)"""
        self.set_active_effect(None)

    def activate(self, effect: str | None, **options: Any) -> None:
        """Let a person work in the views with an effect; None ends that. In one editor at a time.

        Args:
            effect: one of `EFFECTS`.
            options: of brushes, ``radius`` (mm) and ``shape`` ("sphere" or "circle"); of scissors, ``operation``,
                ``depth``, ``thickness``; of threshold, which shows what it would take, ``lower`` and ``upper``.

        Raises:
            ArgumentError: no such effect.
        """
        if effect is None:
            self.deactivate_effect()
            return
        if effect not in EFFECTS:
            raise ArgumentError(f"There is no effect {effect!r}.", expected=", ".join(EFFECTS), got=repr(effect))
        if self.volume is None:
            raise ArgumentError("Work in the views needs a source volume.", expected="a source volume", got="None")
        self.resolved(None)
        chosen = self._effects[EFFECTS[effect].get_effect_name()]
        former = dict(chosen.options)
        chosen.set_options(**options)
        self._host.segment_editors.deactivate_others(self)
        self._voxels.ready()
        self.set_active_effect(chosen)
        if chosen.options != former:
            self.editor_node.Modified()
        if isinstance(chosen, Brushing):
            chosen.keep_out_of_files()

    def close(self) -> None:
        """End this editor: its nodes leave the scene, unless that has been emptied already."""
        if self._deleted:
            return
        self._deleted = True
        self.deactivate_effect()
        for tag in self._observed:
            self.editor_node.RemoveObserver(tag)
        self._slicer.vtkMRMLLayerDMPipelineFactory.GetInstance().RemovePipelineCreator(self._pipeline_creator)
        nodes = [self.editor_node]
        for kind in EFFECTS.values():
            nodes += self._effects[kind.get_effect_name()].nodes()
        for node in nodes:
            if node.GetScene() is self._scene:
                self._scene.RemoveNode(node)
        self._forget()

    def _forget(self) -> None:
        """Let go of all that is large. trame-slicer's observers of the scene keep the editor itself alive."""
        for effect in self._effects.values():
            effect.set_scene(None)
        self._undo_stack.clear()
        self._memory = Segments()
        self._release()
        self._effect_parameters.clear()
        for logic in (self._editor_logic, self._plain):
            # The logic observes the segmentation, and holds it.
            logic.SetSegmentationNode(None)
            logic.SetSegmentEditorNode(None)
            logic.SetMRMLScene(None)
        self._editor_node = self._node = None
        del self._voxels

    def _on_scene_close(self, *_: Any) -> None:
        """`SegmentEditors` ends all editors when the scene is emptied."""
