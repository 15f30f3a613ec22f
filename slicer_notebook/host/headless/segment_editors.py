"""The segment editors of a Slicer: one for each segmentation that is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT

from .segment_editor import SegmentEditor

if TYPE_CHECKING:
    from .host import HeadlessHost

__all__ = ["SegmentEditors"]


class SegmentEditors:
    """The editors of all segmentations that are edited, one for each.

    Args:
        host: where the scene is.
    """

    def __init__(self, host: HeadlessHost) -> None:
        self._host = host
        self._editors: dict[str, SegmentEditor] = {}
        scene = host.slicer.mrmlScene
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._removed)
        scene.AddObserver(scene.EndCloseEvent, self._closed)

    def get(self, node: Any, volume: Any = None) -> SegmentEditor:
        """The editor of a segmentation, made when there is none; `SegmentEditor.open` with the volume."""
        found = self._editors.get(node.GetID())
        made = found is None
        if found is None:
            found = self._editors[node.GetID()] = SegmentEditor(self._host, node)
        try:
            found.open(volume)
        except Exception:
            if made:
                self._editors.pop(node.GetID()).close()
            raise
        return found

    def deactivate_others(self, one: SegmentEditor) -> None:
        """Only one editor takes what a person does in the views."""
        for editor in self._editors.values():
            if editor is not one:
                editor.deactivate_effect()

    @calldata_type(VTK_OBJECT)
    def _removed(self, _scene: Any, _event: str, node: Any) -> None:
        if node is not None and node.IsA("vtkMRMLSegmentationNode"):
            editor = self._editors.pop(node.GetID(), None)
            if editor is not None:
                editor.close()

    def _closed(self, _scene: Any, _event: str) -> None:
        editors = list(self._editors.values())
        self._editors.clear()
        for editor in editors:
            editor.close()
