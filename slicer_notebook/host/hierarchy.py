"""What happened in the subject hierarchy: items added, removed, changed, in another order.

Observers only note numbers of items; `SceneWatcher` tells them together. Runs on Slicer's main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.commands.hierarchy import shown_volumes

__all__ = ["HierarchyWatcher"]

_CLASS: Final = "vtkMRMLSubjectHierarchyNode"
_COMPOSITE: Final = "vtkMRMLSliceCompositeNode"
#: Events of vtkMRMLSubjectHierarchyNode whose item has changed: itself, not the order of its children.
_CHANGES: Final = (
    "SubjectHierarchyItemAddedEvent",
    "SubjectHierarchyItemModifiedEvent",
    "SubjectHierarchyItemDisplayModifiedEvent",
    "SubjectHierarchyItemReparentedEvent",
)


class HierarchyWatcher:
    """Notes what changes.

    Args:
        slicer: the ``slicer`` module.
        schedule: called when there is something to tell.
    """

    def __init__(self, slicer: Any, schedule: Callable[[], None]) -> None:
        self._slicer = slicer
        self._scene = slicer.mrmlScene
        self._schedule = schedule
        self._changed: dict[int, None] = {}
        self._removed: dict[int, None] = {}
        self._reordered: dict[int, None] = {}
        self._reset = False
        self._layers_changed = False
        self._shown = shown_volumes(self._scene)
        self._tags: dict[str, tuple[Any, list[int]]] = {}
        for class_name in (_CLASS, _COMPOSITE):
            nodes = self._scene.GetNodesByClass(class_name)
            for index in range(nodes.GetNumberOfItems()):
                self._observe(nodes.GetItemAsObject(index))

    def watch(self, node: Any) -> None:
        """Observe a new node of the scene, if it tells something of the hierarchy."""
        self._observe(node)
        if node.IsA(_CLASS):
            self._note_reset()

    def _observe(self, node: Any) -> None:
        if node.IsA(_CLASS):
            self._observe_hierarchy(node)
        elif node.IsA(_COMPOSITE):
            self._tags[node.GetID()] = (node, [node.AddObserver("ModifiedEvent", self._layers)])

    def unwatch(self, node: Any) -> None:
        """The node goes out of the scene."""
        if self._forget(node.GetID()) and node.IsA(_CLASS):
            self._note_reset()

    def _observe_hierarchy(self, node: Any) -> None:
        from vtkmodules.util.misc import calldata_type
        from vtkmodules.vtkCommonCore import VTK_LONG

        @calldata_type(VTK_LONG)
        def changed(_node: Any, _event: str, item: int) -> None:
            self._changed[item] = None
            self._schedule()

        @calldata_type(VTK_LONG)
        def removed(_node: Any, _event: str, item: int) -> None:
            self._changed.pop(item, None)
            self._removed[item] = None
            self._schedule()

        @calldata_type(VTK_LONG)
        def reordered(_node: Any, _event: str, item: int) -> None:
            self._reordered[item] = None
            self._schedule()

        tags = [node.AddObserver(getattr(node, name), changed) for name in _CHANGES]
        tags.append(node.AddObserver(node.SubjectHierarchyItemRemovedEvent, removed))
        tags.append(node.AddObserver(node.SubjectHierarchyItemChildrenReorderedEvent, reordered))
        self._tags[node.GetID()] = (node, tags)

    def _note_reset(self) -> None:
        # Another hierarchy node: its numbers are others'.
        self._reset = True
        self._schedule()

    def _layers(self, _node: Any, _event: str) -> None:
        self._layers_changed = True
        self._schedule()

    def take(self) -> dict[str, Any] | None:
        """What to tell of, and forget it; None if there is nothing.

        Returns:
            ``changed``: items that are new, or of which something is another than before: name, eye, colour, parent;
            ``removed``; ``reordered``: items whose children have another order. ``reset``: all are other ones.
        """
        if self._reset:
            self._changed, self._removed, self._reordered, self._reset = {}, {}, {}, False
            self._layers_changed, self._shown = False, shown_volumes(self._scene)
            return {"changed": [], "removed": [], "reordered": [], "reset": True}
        node = self._scene.GetSubjectHierarchyNode()
        if self._layers_changed:
            self._layers_changed = False
            former, self._shown = self._shown, shown_volumes(self._scene)
            for each in former ^ self._shown:
                volume = self._scene.GetNodeByID(each)
                item = node.GetItemByDataNode(volume) if volume is not None else 0
                if item:
                    self._changed[item] = None
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, {}
        reordered, self._reordered = self._reordered, {}
        # A segmentation tells of the eyes of its segments, too.
        parts = [part for each in changed if node.IsItemVirtualBranchParent(each) for part in _children(node, each)]
        if not (changed or removed or reordered):
            return None
        return {
            "changed": list(changed | dict.fromkeys(parts)),
            "removed": list(removed),
            "reordered": [each for each in reordered if each not in removed],
            "reset": False,
        }

    def _forget(self, node_id: str) -> bool:
        node, tags = self._tags.pop(node_id, (None, []))
        for tag in tags:
            node.RemoveObserver(tag)
        return node is not None

    def close(self) -> None:
        """Take all observers away."""
        for node_id in list(self._tags):
            self._forget(node_id)


def _children(node: Any, item: int) -> list[int]:
    from vtkmodules.vtkCommonCore import vtkIdList

    found = vtkIdList()
    node.GetItemChildren(item, found, False)
    return [found.GetId(index) for index in range(found.GetNumberOfIds())]
