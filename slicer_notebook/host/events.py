"""What happened in the scene, coalesced: node added, removed, modified; items of the subject hierarchy; views.

Observers only note ids; what they noted goes out together a moment later, so that a thousand changes in one command are
one message. Runs on Slicer's main thread.

The host's ``scene_generation`` rises with each of these events, at once and before anything else can run on the main
thread: what was learned of the scene is true as long as it stays the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from slicer_notebook.commands.host import Host
from slicer_notebook.host.hierarchy import HierarchyWatcher

__all__ = ["FLUSH_AFTER", "SceneWatcher"]

#: Seconds between two messages, at least: what changes meanwhile is told together.
FLUSH_AFTER = 0.05
#: Seconds between the first change after a quiet time and its message. Of what one action does, most comes in one go,
#: before anything can be sent.
FIRST_AFTER = 0.01
#: Events of a vtkSegmentation that its node passes on.
_SEGMENTS = (
    "SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified", "SourceRepresentationModified",
)  # fmt: skip


class SceneWatcher:
    """Observes a scene and sends events.

    Args:
        host: the Slicer.
        send: called with (kind, data) for each event; kinds are ``"scene"``, ``"hierarchy"`` and ``"views"``.
        later: ``later(seconds, function)`` calls back on the main thread.
    """

    def __init__(
        self, host: Host, send: Callable[[str, Any], None], later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._host = host
        self._send = send
        self._later = later
        self._added: dict[str, None] = {}
        self._removed: dict[str, Any] = {}
        self._modified: dict[str, None] = {}
        self._views: dict[str, None] = {}
        self._scheduled = False
        self._last = -FLUSH_AFTER
        self._tags: list[tuple[Any, int]] = []
        self._node_tags: dict[str, tuple[Any, list[int]]] = {}
        self._hierarchy = HierarchyWatcher(host.slicer, self._schedule)
        self._observe()

    def _observe(self) -> None:
        from vtkmodules.util.misc import calldata_type
        from vtkmodules.vtkCommonCore import VTK_OBJECT

        scene = self._host.slicer.mrmlScene

        @calldata_type(VTK_OBJECT)
        def added(_scene: Any, _event: str, node: Any) -> None:
            self._host.scene_generation += 1
            self._watch(node)
            self._hierarchy.watch(node)
            self._added[node.GetID()] = None
            self._schedule()

        @calldata_type(VTK_OBJECT)
        def removed(_scene: Any, _event: str, node: Any) -> None:
            self._host.scene_generation += 1
            self._unwatch(node)
            self._hierarchy.unwatch(node)
            node_id = node.GetID()
            self._modified.pop(node_id, None)
            # Also if nobody was told that it had come: who asked meanwhile knows it.
            self._added.pop(node_id, None)
            self._removed[node_id] = self._host.ref(node)
            self._schedule()

        self._tags.append((scene, scene.AddObserver(scene.NodeAddedEvent, added)))
        self._tags.append((scene, scene.AddObserver(scene.NodeAboutToBeRemovedEvent, removed)))
        for index in range(scene.GetNumberOfNodes()):
            self._watch(scene.GetNthNode(index))
        on_dirty = getattr(self._host, "on_view_dirty", None)
        if on_dirty is not None:
            on_dirty(self.view_changed)

    def _watch(self, node: Any) -> None:
        node_id = node.GetID()
        if node_id is None or node_id in self._node_tags:
            return

        def modified(_node: Any, _event: str) -> None:
            self._host.scene_generation += 1
            # A picture of another size changes the view node for a moment: nothing that anyone should hear of.
            if getattr(self._host, "capturing", False):
                return
            if node_id not in self._added:
                self._modified[node_id] = None
            self._schedule()

        events = ["ModifiedEvent"]
        for name in (
            "ImageDataModifiedEvent",
            "TransformModifiedEvent",
            "PointModifiedEvent",
            "PointRemovedEvent",
            "MeshModifiedEvent",
        ):
            if hasattr(node, name):
                events.append(getattr(node, name))
        if node.IsA("vtkMRMLSegmentationNode"):
            # A segment's name, colour, place or voxels change, and the node says so by these alone.
            events += [getattr(self._host.slicer.vtkSegmentation, name) for name in _SEGMENTS]
        self._node_tags[node_id] = (node, [node.AddObserver(event, modified) for event in events])

    def _unwatch(self, node: Any) -> None:
        _, tags = self._node_tags.pop(node.GetID(), (node, []))
        for tag in tags:
            node.RemoveObserver(tag)

    def view_changed(self, name: str) -> None:
        """A view's picture went out of date."""
        self._views[name] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            quiet = time.monotonic() - self._last
            self._later(max(FIRST_AFTER, FLUSH_AFTER - quiet), self.flush)

    def flush(self) -> None:
        """Send what was noted."""
        self._scheduled = False
        self._last = time.monotonic()
        scene = self._host.slicer.mrmlScene
        added, self._added = self._added, {}
        modified, self._modified = self._modified, {}
        removed, self._removed = self._removed, {}
        views, self._views = self._views, {}

        def refs(ids: dict[str, None]) -> list[Any]:
            found = (scene.GetNodeByID(i) for i in ids)
            return [self._host.ref(n) for n in found if n is not None]

        if added or modified or removed:
            data = {"added": refs(added), "modified": refs(modified), "removed": list(removed.values())}
            if any(data.values()):
                self._send("scene", data)
        items = self._hierarchy.take()
        if items:
            self._send("hierarchy", items)
        if views:
            self._send("views", {"names": list(views)})

    def close(self) -> None:
        """Take all observers away."""
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        for node, tags in self._node_tags.values():
            for tag in tags:
                node.RemoveObserver(tag)
        self._hierarchy.close()
        self._tags.clear()
        self._node_tags.clear()
