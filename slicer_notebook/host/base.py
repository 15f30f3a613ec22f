"""What every host shares: nodes, arrays and geometry, by MRML and VTK alone. A host class inherits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import AmbiguousNameError, ArgumentError, ArrayError, CommandError, NodeNotFoundError
from slicer_notebook.host import arrays, sequences
from slicer_notebook.protocol.values import Array, NodeRef

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Asked

__all__ = ["MrmlHost"]

_classes_of: dict[str, tuple[str, ...]] = {}


class MrmlHost:
    """Mixin over a ``slicer`` module that has a ``mrmlScene``."""

    slicer: Any
    #: Rises with each change of the scene (`host.events.SceneWatcher`). Written on the main thread, read on any.
    scene_generation: int = 0
    #: What `end` calls with seconds: whatever runs the main thread.
    ending: Callable[[float], object] | None = None
    #: What `tell` calls: the agent.
    told: Callable[[str, Any], None] | None = None
    #: What `ask` calls: the agent.
    asked: Callable[[str, dict[str, Any], Callable[[float, str, Any], None] | None], Asked] | None = None
    #: What `listen` calls: the agent.
    listening: Callable[[Callable[[str, Any], None]], Callable[[], None]] | None = None

    def tell(self, kind: str, data: Any) -> None:
        """Tell all notebooks of an event. From any thread."""
        if self.told is not None:
            self.told(kind, data)

    def listen(self, heard: Callable[[str, Any], None]) -> Callable[[], None]:
        """Tell somebody in this process of all events, as `commands.Host.listen`; gives what ends it."""
        assert self.listening is not None, "there is no agent"
        return self.listening(heard)

    def ask(
        self, command: str, args: dict[str, Any], progress: Callable[[float, str, Any], None] | None = None
    ) -> Asked:
        """Begin a command for somebody in this process. From any thread. Raises as `commands.Host.ask`."""
        assert self.asked is not None, "there is no agent"
        return self.asked(command, args, progress)

    def end(self, after: float) -> None:
        """End this Slicer in so many seconds. Raises `CommandError` where it cannot be ended from inside."""
        if self.ending is None:
            raise CommandError("This Slicer cannot be ended from here.", hint="end the process that it runs in")
        self.ending(after)

    # -- nodes ---------------------------------------------------------------------------------------------------

    def node(self, like: Any, class_name: str | None = None) -> Any:
        """The node of a reference, an id or a unique name.

        Raises:
            NodeNotFoundError: no such node, or it is not of ``class_name``.
            AmbiguousNameError: several nodes carry the name.
        """
        scene = self.slicer.mrmlScene
        if hasattr(like, "IsA"):
            found = like
        else:
            key = like.id if isinstance(like, NodeRef) else like
            found = scene.GetNodeByID(key)
            if found is None and not isinstance(like, NodeRef):
                found = self._by_name(key, class_name)
            if found is None:
                self._not_found(like, class_name)
        if class_name is not None and not found.IsA(class_name):
            raise NodeNotFoundError(
                f"Node {found.GetName()!r} is not of the kind that was asked for.",
                expected=class_name,
                got=f"{found.GetClassName()} ({found.GetID()})",
            )
        return found

    def _by_name(self, name: str, class_name: str | None) -> Any:
        nodes = _items(self.slicer.mrmlScene.GetNodesByName(name))
        if class_name is not None:
            nodes = [n for n in nodes if n.IsA(class_name)]
        if len(nodes) > 1:
            raise AmbiguousNameError(
                f"{len(nodes)} nodes are called {name!r}.",
                expected="a unique name or an id",
                got=", ".join(n.GetID() for n in nodes[:8]),
                hint="use the id",
            )
        return nodes[0] if nodes else None

    def _not_found(self, like: Any, class_name: str | None) -> None:
        what = f"{like.id} ({like.name!r})" if isinstance(like, NodeRef) else repr(like)
        seen = [n for n in self.nodes(class_name) if not n.GetHideFromEditors() and not n.GetSingletonTag()]
        there = [n.GetName() or n.GetID() for n in seen]
        raise NodeNotFoundError(
            f"There is no node {what} in the scene.",
            expected="an id or name of a node" + (f" of class {class_name}" if class_name else ""),
            got=what,
            hint="in the scene: "
            + (", ".join(there[:12]) + (", ..." if len(there) > 12 else "") if there else "nothing yet"),
        )

    def nodes(self, class_name: str | None = None) -> list[Any]:
        """Nodes of a class and its subclasses, in scene order; all nodes without one.

        Raises:
            ArgumentError: no MRML class of that name.
        """
        scene = self.slicer.mrmlScene
        if class_name is None:
            return [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]
        if not class_name.startswith("vtkMRML") or not hasattr(self.slicer, class_name):
            raise ArgumentError(
                f"There is no MRML class {class_name!r}.",
                expected="a class such as vtkMRMLScalarVolumeNode",
                got=class_name,
            )
        return _items(scene.GetNodesByClass(class_name))

    def ref(self, node: Any) -> NodeRef:
        """The reference of a node."""
        name = node.GetClassName()
        classes = _classes_of.get(name)
        if classes is None:
            classes = tuple(c.__name__ for c in type(node).__mro__ if c.__name__.startswith("vtkMRML"))
            # A Python subclass of a MRML class may lead the list; the MRML name is what counts.
            classes = _classes_of[name] = (name, *(c for c in classes if c != name))
        return NodeRef(node.GetID() or "", node.GetName() or "", classes)

    # -- volumes -------------------------------------------------------------------------------------------------

    def voxels(self, node: Any) -> Array:
        """`slicer_notebook.host.arrays.voxels`."""
        return arrays.voxels(node)

    def set_voxels(self, node: Any, array: Array) -> None:
        """Give a volume new voxels; the array's memory is adopted, views follow. Raises `ArrayError`."""
        components = 1 if node.IsA("vtkMRMLScalarVolumeNode") and not node.IsA("vtkMRMLVectorVolumeNode") else None
        prepared = arrays.prepare(array, components=components)
        first = node.GetImageData() is None
        arrays.adopt_voxels(node, prepared)
        if first:
            node.CreateDefaultDisplayNodes()

    def affine(self, node: Any) -> Array:
        """IJK → RAS of a volume, or the matrix to parent of a linear transform; 4x4 float64, mm."""
        matrix = _new_matrix()
        if node.IsA("vtkMRMLVolumeNode"):
            node.GetIJKToRASMatrix(matrix)
        elif node.IsA("vtkMRMLTransformNode") and node.IsLinear():
            node.GetMatrixTransformToParent(matrix)
        else:
            raise ArgumentError(
                f"{node.GetClassName()} {node.GetName()!r} has no affine.",
                expected="a volume or a linear transform",
                got=node.GetClassName(),
            )
        return arrays.matrix_to_array(matrix)

    def set_affine(self, node: Any, affine: Any) -> None:
        """The counterpart of `affine`. Raises `ArrayError`."""
        if node.IsA("vtkMRMLVolumeNode"):
            node.SetIJKToRASMatrix(arrays.matrix_from_array(affine))
        elif node.IsA("vtkMRMLTransformNode"):
            node.SetMatrixTransformToParent(arrays.matrix_from_array(affine, "matrix"))
        else:
            raise ArgumentError(
                f"{node.GetClassName()} {node.GetName()!r} has no affine.",
                expected="a volume or a linear transform",
                got=node.GetClassName(),
            )

    def matrix(self, values: Any) -> Any:
        """A vtkMatrix4x4 of a 4x4 affine matrix. Raises `ArrayError`."""
        return arrays.matrix_from_array(values, "matrix")

    def add_volume(
        self,
        array: Array,
        affine: Any,
        name: str,
        *,
        labelmap: bool = False,
        window_level: tuple[float, float] | None = None,
    ) -> Any:
        """A new volume node over the array's memory. Raises `ArrayError`, before anything is added."""
        prepared = arrays.prepare(array, components=1 if labelmap else None)
        if labelmap and prepared.dtype.kind not in "iu":
            raise ArrayError(
                "A label map holds whole numbers.",
                expected="an integer or bool array",
                got=str(prepared.dtype),
                hint="convert it first, for example with (array > 0).astype(np.uint8)",
            )
        matrix = arrays.matrix_from_array(affine)
        class_name = (
            "vtkMRMLLabelMapVolumeNode"
            if labelmap
            else "vtkMRMLVectorVolumeNode"
            if prepared.ndim == 4
            else "vtkMRMLScalarVolumeNode"
        )
        scene = self.slicer.mrmlScene
        node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
        node.SetIJKToRASMatrix(matrix)
        if window_level is not None:
            # Before the display node sees the voxels: it would look through all of them for a window of its own.
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetAutoWindowLevel(0)
            node.GetDisplayNode().SetWindowLevel(*window_level)
        node.SetAndObserveImageData(arrays.new_image(prepared))
        if prepared.ndim == 4:
            sequences.mark_as_colour(node, prepared)
        node.CreateDefaultDisplayNodes()
        return node

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """A block that fails leaves no node and no subject hierarchy item behind that it made."""
        scene = self.slicer.mrmlScene
        nodes = {node.GetID() for node in self.nodes()}
        items = set(_hierarchy_items(scene.GetSubjectHierarchyNode()))
        try:
            yield
        except BaseException:
            made = [node for node in self.nodes() if node.GetID() not in nodes]
            # Browsers first, which make a new proxy for one that is gone; then the newest, which may refer to others.
            made.sort(key=lambda node: node.IsA("vtkMRMLSequenceBrowserNode"))
            for node in reversed(made):
                if node.GetScene() is not None:
                    scene.RemoveNode(node)
            hierarchy = scene.GetSubjectHierarchyNode()
            for item in reversed(_hierarchy_items(hierarchy)):
                if item not in items:
                    hierarchy.RemoveItem(item, False, False)
            raise

    # -- sequences -----------------------------------------------------------------------------------------------

    def new_sequence(self, name: str, **what: Any) -> sequences.SequenceBuilder:
        """`slicer_notebook.host.sequences.SequenceBuilder`: a sequence in the making, outside of the scene."""
        return sequences.SequenceBuilder(self.slicer, name, **what)

    def sequence_item(self, node: Any, number: int) -> Any:
        """The volume node of an item. Raises `ItemNotFoundError`, `ArgumentError`."""
        return sequences.item(node, number)

    def sequence_voxels(self, node: Any) -> Array | list[Array]:
        """`slicer_notebook.host.sequences.joined`: one block, or a view of each item. Raises `ArrayError`."""
        return sequences.joined(node)

    def sequence_browser(self, node: Any) -> Any:
        """The sequence's browser; made when there is none."""
        return sequences.browser_of(self.slicer, node)

    def sequence_proxy(self, node: Any) -> Any:
        """The node that stands for the item that is shown. Raises `ArgumentError` for an empty sequence."""
        return sequences.proxy_of(self.slicer, node)

    def select_item(self, node: Any, number: int) -> None:
        """Show an item in the proxy. Raises `ItemNotFoundError`."""
        sequences.select(self.slicer, node, number)

    def remove_sequence(self, node: Any) -> None:
        """Remove a sequence with its browser and proxy."""
        sequences.remove(self.slicer, node)


def _items(collection: Any) -> list[Any]:
    collection.UnRegister(None)
    return [collection.GetItemAsObject(i) for i in range(collection.GetNumberOfItems())]


def _hierarchy_items(hierarchy: Any) -> list[int]:
    """Ids of all items, parents first."""
    if hierarchy is None:
        return []
    from vtkmodules.vtkCommonCore import vtkIdList

    found = vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    return [found.GetId(index) for index in range(found.GetNumberOfIds())]


def _new_matrix() -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    return vtkMatrix4x4()
