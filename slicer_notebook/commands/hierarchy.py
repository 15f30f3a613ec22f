"""Commands about the subject hierarchy (vtkMRMLSubjectHierarchyNode): folders, patients, studies, what is in them.

Items have numbers. Those of a scene that was closed mean nothing in the next one. What a module's plugin does for its
items in Slicer, the eye of a volume or of a folder, is done here as the plugin does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.node_kinds import kind_of
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.scene import show as show_node
from slicer_notebook.errors import ArgumentError, ItemNotFoundError

__all__ = ["add_folder", "items", "move", "remove", "rename", "set_visible", "show"]

#: Item attribute that names the segment of a segment's item (vtkMRMLSegmentationNode::GetSegmentIDAttributeName).
_SEGMENT: Final = "segmentID"
#: Removing so many items is one batch for the views: a node takes 5 ms then, instead of 43 ms (500 models, four views).
_BATCH_FROM: Final = 5
#: Kinds of items whose colour is worth a sign beside the name.
_COLORED: Final = ("segmentation", "roi", "markups", "model")


@command("hierarchy.items", journal=False)
def items(host: Host, ids: list[int] | None = None, parents: list[int] | None = None) -> dict[str, Any]:
    """Items as a person sees them: nothing that Slicer hides from its lists, and nothing below such.

    Args:
        ids: only these; those that are not there or hidden are left out.
        parents: without ``ids`` no use; further items whose children's order is wanted.

    Returns:
        ``root``: the number of the scene's own item. ``items``: a list; each has ``id``, ``parent``, ``name``, ``kind``
        (``folder``, ``patient``, ``study``, ``segment``, ``volume``, ``labelmap``, ``segmentation``, ``markups``,
        ``roi``, ``model``, ``transform``, ``table``, ``text``, ``plot``, ``sequence``, ``camera``, ``other``), ``node``
        (None for folders, patients, studies and segments), ``segment`` (its id; ""), ``visible`` (True, False; None for
        what cannot be shown) and ``color`` (``#rrggbb`` or ""). ``order``: of the parents of these items, and of
        ``parents``: [parent, children in their order].
    """
    tree = _Tree(host)
    wanted = tree.below(tree.root) if ids is None else [each for each in ids if tree.has(each)]
    seen = [each for each in wanted if not tree.hidden(each)]
    found = [tree.item(each) for each in seen]
    of = dict.fromkeys([each["parent"] for each in found])
    of |= dict.fromkeys(each for each in parents or [] if each == tree.root or tree.has(each))
    order = [[parent, tree.children(parent)] for parent in of]
    return {"root": tree.root, "items": found, "order": order}


@command("hierarchy.set_visible")
def set_visible(host: Host, ids: list[int], visible: bool) -> None:
    """Show or hide items, as the eye of Slicer's Data module does.

    A volume comes into the background of all slice views, or goes out of all their layers. Of a folder, a patient and a
    study it is an eye of its own: what is inside is seen where both are open.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: one that cannot be shown.
    """
    tree = _Tree(host)
    for each in tree.checked(ids):
        tree.set_visible(each, visible)


@command("hierarchy.show")
def show(host: Host, ids: list[int]) -> None:
    """Show items, and open the eyes of the folders that they are in.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: one that cannot be shown.
    """
    tree = _Tree(host)
    for each in tree.checked(ids):
        tree.set_visible(each, True)
        for above in tree.above(each):
            if tree.visible(above) is False:
                tree.set_visible(above, True)


@command("hierarchy.rename")
def rename(host: Host, id: int, name: str) -> None:  # noqa: A002 - the item's number is its id
    """Give an item another name, and so its node, or its segment.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: a name of nothing.
    """
    tree = _Tree(host)
    tree.checked([id])
    if not name.strip():
        raise ArgumentError("An item needs a name.", expected="text", got=repr(name))
    segment = tree.segment(id)
    if segment is not None:
        segment.SetName(name)
    else:
        tree.node.SetItemName(id, name)


@command("hierarchy.move")
def move(host: Host, ids: list[int], parent: int | None = None, before: int | None = None) -> None:
    """Put items into another one, or elsewhere in it. Nothing is transformed by it.

    Args:
        ids: they come one after the other, in this order.
        parent: a folder, patient, study or node; the scene itself without it.
        before: the child of ``parent`` before which they come; at its end without it.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: an item into what is inside of it, a segment out of its segmentation, or something between
            segments; nothing is moved.
    """
    tree = _Tree(host)
    moved = tree.checked(ids)
    target = tree.root if parent is None else parent
    if target != tree.root:
        tree.checked([target])
    if before is not None and (not tree.has(before) or tree.parent(before) != target):
        raise ItemNotFoundError(f"Item {before} is not in item {target}.", expected="one of its children")
    for each in moved:
        tree.check_move(each, target)
    before = tree.first_that_stays(target, before, moved)
    for each in moved:
        if tree.parent(each) != target:
            tree.node.SetItemParent(each, target)
        tree.node.MoveItem(each, 0 if before is None else before)


@command("hierarchy.remove")
def remove(host: Host, ids: list[int]) -> int:
    """Remove items with their nodes, and all that is in them; how many items went.

    Raises:
        ItemNotFoundError: no such item.
    """
    tree = _Tree(host)
    asked = set(tree.checked(ids))
    outermost = [each for each in dict.fromkeys(ids) if not asked.intersection(tree.above(each))]
    count = sum(1 + len(tree.below(each)) for each in outermost)
    scene = host.slicer.mrmlScene
    if count >= _BATCH_FROM:
        scene.StartState(scene.BatchProcessState)
    try:
        for each in outermost:
            tree.remove(each)
    finally:
        if count >= _BATCH_FROM:
            scene.EndState(scene.BatchProcessState)
    return count


@command("hierarchy.add_folder")
def add_folder(host: Host, name: str = "", parent: int | None = None) -> int:
    """A new folder; its number.

    Args:
        name: made unique; "NewFolder" without it, as in Slicer.
        parent: an item; the scene itself without it.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: a folder among segments.
    """
    tree = _Tree(host)
    target = tree.root if parent is None else parent
    if target != tree.root:
        tree.checked([target])
    if tree.is_virtual(target) or tree.segment_id(target):
        raise ArgumentError("Among segments there are no folders.", expected="a folder, patient, study or node")
    wanted = name.strip() or "NewFolder"
    return int(tree.node.CreateFolderItem(target, tree.node.GenerateUniqueItemName(wanted)))


class _Tree:
    """The subject hierarchy of the scene, as long as one command takes.

    Args:
        host: the Slicer.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.node: Any = host.slicer.mrmlScene.GetSubjectHierarchyNode()
        self.root = int(self.node.GetSceneItemID())
        constants = host.slicer.vtkMRMLSubjectHierarchyConstants
        self._excluded = constants.GetSubjectHierarchyExcludeFromTreeAttributeName()
        self._virtual = constants.GetSubjectHierarchyVirtualBranchAttributeName()
        self._shown = shown_volumes(host.slicer.mrmlScene)
        self._hidden: dict[int, bool] = {self.root: False}
        self._known: set[int] | None = None

    # -- what there is -------------------------------------------------------------------------------------------

    def children(self, item: int) -> list[int]:
        """Direct children in their order."""
        return self._ids(item, recursive=False)

    def below(self, item: int) -> list[int]:
        """All that is in an item, parents before children."""
        return self._ids(item, recursive=True)

    def _ids(self, item: int, *, recursive: bool) -> list[int]:
        from vtkmodules.vtkCommonCore import vtkIdList

        found = vtkIdList()
        self.node.GetItemChildren(item, found, recursive)
        return [found.GetId(index) for index in range(found.GetNumberOfIds())]

    def has(self, item: int) -> bool:
        """Whether there is such an item; the scene's own is none."""
        # Slicer reports an error for each question about one that is not there, so it is not asked.
        if self._known is None:
            self._known = set(self.below(self.root))
        return item in self._known

    def checked(self, ids: Iterable[int]) -> list[int]:
        """``ids``, each once. Raises ItemNotFoundError for one that is not there."""
        found = list(dict.fromkeys(ids))
        for each in found:
            if not self.has(each):
                raise ItemNotFoundError(
                    f"The subject hierarchy has no item {each}.",
                    expected="an item of hierarchy.items",
                    hint="it may have been removed, or the scene closed",
                )
        return found

    def parent(self, item: int) -> int:
        return int(self.node.GetItemParent(item))

    def above(self, item: int) -> list[int]:
        """The items that it is in, from the innermost on."""
        found = []
        item = self.parent(item)
        while item not in (self.root, 0):
            found.append(item)
            item = self.parent(item)
        return found

    def data(self, item: int) -> Any:
        """The MRML node, also a folder's display node; None where there is none."""
        return self.node.GetItemDataNode(item)

    def segment_id(self, item: int) -> str:
        return str(self.node.GetItemAttribute(item, _SEGMENT)) if item != self.root else ""

    def segment(self, item: int) -> Any:
        """The vtkSegment of a segment's item, else None."""
        segment_id = self.segment_id(item)
        return self.data(self.parent(item)).GetSegmentation().GetSegment(segment_id) if segment_id else None

    def is_virtual(self, item: int) -> bool:
        """Whether its children are parts of it: of a segmentation."""
        return item != self.root and str(self.node.GetItemAttribute(item, self._virtual)) == "1"

    def hidden(self, item: int) -> bool:
        """Whether Slicer keeps it, or what it is in, out of its lists."""
        known = self._hidden.get(item)
        if known is None:
            known = self._hidden[item] = self._is_hidden(self.data(item)) or self.hidden(self.parent(item))
        return known

    def _is_hidden(self, node: Any) -> bool:
        if node is None or node.IsA("vtkMRMLFolderDisplayNode"):
            return False
        return bool(node.GetHideFromEditors()) or bool(node.GetAttribute(self._excluded))

    # -- what is told --------------------------------------------------------------------------------------------

    def item(self, item: int) -> dict[str, Any]:
        """See `items`."""
        node, segment = self.data(item), self.segment_id(item)
        own = None if node is None or node.IsA("vtkMRMLDisplayNode") else self._host.ref(node)
        kind = "segment" if segment else kind_of(own.classes) if own is not None else self._level(item)
        return {
            "id": item,
            "parent": self.parent(item),
            "name": self.node.GetItemName(item),
            "kind": kind,
            "node": own,
            "segment": segment,
            "visible": self.visible(item),
            "color": self._color(item, kind, node),
        }

    def _level(self, item: int) -> str:
        level = str(self.node.GetItemLevel(item)).lower()
        return level if level in ("patient", "study") else "folder"

    def _color(self, item: int, kind: str, node: Any) -> str:
        if kind == "segment":
            segment = self.segment(item)
            color = segment.GetColor() if segment is not None else None
        else:
            display = node.GetDisplayNode() if kind in _COLORED else None
            # A segmentation's segments have colours, itself none.
            color = display.GetColor() if display is not None and kind != "segmentation" else None
        if color is None:
            return ""
        red, green, blue = (min(255, max(0, round(255 * each))) for each in color)
        return f"#{red:02x}{green:02x}{blue:02x}"

    # -- eyes ----------------------------------------------------------------------------------------------------

    def visible(self, item: int) -> bool | None:
        """Whether its own eye is open; None without one."""
        segment_id = self.segment_id(item)
        if segment_id:
            display = self.data(self.parent(item)).GetDisplayNode()
            return bool(display.GetSegmentVisibility(segment_id)) if display is not None else False
        node = self.data(item)
        if node is None:
            return True  # a folder whose eye was never touched
        if node.IsA("vtkMRMLDisplayNode"):
            return bool(node.GetVisibility())
        if node.IsA("vtkMRMLVolumeNode"):
            return node.GetID() in self._shown
        if not node.IsA("vtkMRMLDisplayableNode") or node.IsA("vtkMRMLTableNode"):
            return None
        return bool(self.node.GetItemDisplayVisibility(item) > 0)

    def set_visible(self, item: int, visible: bool) -> None:
        segment_id = self.segment_id(item)
        if segment_id:
            node = self.data(self.parent(item))
            if node.GetDisplayNode() is None:
                node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSegmentVisibility(segment_id, visible)
            return
        node = self.data(item)
        if node is None or node.IsA("vtkMRMLDisplayNode"):
            self._folder_display(item).SetVisibility(visible)
        elif self.visible(item) is None:
            raise ArgumentError(
                f"{node.GetClassName()} {node.GetName()!r} cannot be shown in a view.", expected="a displayable node"
            )
        else:
            show_node(self._host, self._host.ref(node), visible=visible)
            self._shown = shown_volumes(self._host.slicer.mrmlScene)

    def _folder_display(self, item: int) -> Any:
        """The display node that is a folder's eye; made as qSlicerSubjectHierarchyFolderPlugin does."""
        node = self.data(item)
        if node is None:
            node = self._host.slicer.vtkMRMLFolderDisplayNode()
            node.SetName(self.node.GetItemName(item))
            # Not hidden, or the folder would be; and without an item of its own.
            node.SetHideFromEditors(False)
            node.SetAttribute(self._excluded, "1")
            self._host.slicer.mrmlScene.AddNode(node)
            self.node.SetItemDataNode(item, node)
        return node

    # -- taking away and moving --------------------------------------------------------------------------------------

    def remove(self, item: int) -> None:
        segment = self.segment_id(item)
        if segment:
            # The item follows; see SubjectHierarchyItems.
            self.data(self.parent(item)).GetSegmentation().RemoveSegment(segment)
        else:
            self.node.RemoveItem(item, True, True)

    def check_move(self, item: int, target: int) -> None:
        """Raises ArgumentError if it cannot go there."""
        name = self.node.GetItemName(item)
        if item == target or item in (self.above(target) if target != self.root else []):
            raise ArgumentError(f"{name!r} cannot be put into itself.", expected="an item that is not inside of it")
        if self.segment_id(item) and target != self.parent(item):
            raise ArgumentError(
                f"Segment {name!r} stays in its segmentation.", expected="the segmentation that it is in"
            )
        if not self.segment_id(item) and (self.is_virtual(target) or self.segment_id(target)):
            raise ArgumentError(f"{name!r} cannot be put among segments.", expected="a folder, patient, study or node")

    def first_that_stays(self, target: int, before: int | None, moved: list[int]) -> int | None:
        """``before``, or the child after it that is not itself moved."""
        if before is None or before not in moved:
            return before
        children = self.children(target)
        after = children[children.index(before) :]
        return next((each for each in after if each not in moved), None)


def shown_volumes(scene: Any) -> set[str]:
    """ids of the volumes that a slice view has in one of its layers."""
    nodes = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    found: set[str] = set()
    for index in range(nodes.GetNumberOfItems()):
        each = nodes.GetItemAsObject(index)
        found |= {each.GetBackgroundVolumeID(), each.GetForegroundVolumeID(), each.GetLabelVolumeID()} - {None}
    return found
