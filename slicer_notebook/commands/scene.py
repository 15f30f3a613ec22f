"""Commands about the session, the scene, its nodes and files."""

from __future__ import annotations

from typing import Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef


@command("session.ping", journal=False)
def ping(host: Host) -> None:
    """Do nothing; the round trip of the link."""


@command("session.info", journal=False)
def info(host: Host) -> dict[str, Any]:
    """Versions of Slicer, VTK and Python there, and what renders."""
    return host.info()


@command("scene.nodes", journal=False)
def nodes(host: Host, class_name: str | None = None, hidden: bool = False) -> list[NodeRef]:
    """References of the nodes of a MRML class and its subclasses, in scene order.

    Args:
        class_name: a MRML class such as ``vtkMRMLScalarVolumeNode``; all nodes that a user would see without one.
        hidden: also those that Slicer hides from its lists (``GetHideFromEditors``), and singletons such as view nodes.

    Raises:
        ArgumentError: no such MRML class.
    """
    found = host.nodes(class_name)
    if class_name is None and not hidden:
        found = [n for n in found if not n.GetHideFromEditors() and not n.GetSingletonTag()]
    return [host.ref(n) for n in found]


@command("scene.node", journal=False)
def node(host: Host, key: NodeLike) -> NodeRef:
    """The reference of the node of an id or unique name.

    Raises:
        NodeNotFoundError: no such node.
        AmbiguousNameError: several nodes carry the name.
    """
    return host.ref(host.node(key))


@command("scene.clear")
def clear(host: Host) -> None:
    """Empty the scene; views and singleton nodes stay."""
    host.clear()


@command("scene.save")
def save_scene(host: Host, path: str) -> None:
    """Write the scene as ``.mrb`` (with its data) or ``.mrml``.

    Raises:
        PathNotFoundError: no such folder.
        FileFormatError: another extension.
    """
    host.save_scene(path)


@command("scene.load")
def load(host: Host, path: str, filetype: str | None = None, properties: dict[str, Any] | None = None) -> list[NodeRef]:
    """Load a file by the readers of Slicer; what it became.

    Args:
        path: where Slicer runs.
        filetype: Slicer's name of the kind of file (``VolumeFile``, ``SegmentationFile``...); by the extension
            without it.
        properties: further reader options, such as ``{"name": ..., "labelmap": True}``.

    Raises:
        PathNotFoundError: no such file.
        FileFormatError: no reader takes it.
    """
    loaded = host.load(path, filetype, properties or {})
    volumes = [n for n in loaded if n.IsA("vtkMRMLScalarVolumeNode") and not n.IsA("vtkMRMLLabelMapVolumeNode")]
    if volumes and (properties or {}).get("show", True):
        host.show_volume(volumes[0])
    return [host.ref(n) for n in loaded]


@command("node.save")
def save_node(host: Host, node: NodeLike, path: str, properties: dict[str, Any] | None = None) -> None:
    """Write a node; the extension chooses the format.

    Raises:
        PathNotFoundError: no such folder.
        FileFormatError: the node cannot be written as that.
    """
    host.save(host.node(node), path, properties or {})


@command("node.remove")
def remove(host: Host, node: NodeLike) -> None:
    """Remove a node from the scene."""
    host.slicer.mrmlScene.RemoveNode(host.node(node))


@command("node.rename")
def rename(host: Host, node: NodeLike, name: str) -> NodeRef:
    """Give a node another name."""
    found = host.node(node)
    found.SetName(name)
    return host.ref(found)


@command("node.attributes", journal=False)
def attributes(host: Host, node: NodeLike) -> dict[str, str]:
    """The node's attributes (name → text), as MRML stores them."""
    found = host.node(node)
    return {name: found.GetAttribute(name) for name in found.GetAttributeNames()}


@command("node.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a node's inline card shows: ``name``, ``class``, ``attributes``."""
    found = host.node(node)
    names = found.GetAttributeNames()
    return {
        "name": found.GetName() or "",
        "class": found.GetClassName(),
        "attributes": {name: found.GetAttribute(name) for name in names},
    }


@command("node.set_attribute")
def set_attribute(host: Host, node: NodeLike, name: str, value: str | None) -> None:
    """Set a node's attribute; ``None`` removes it."""
    if not name:
        raise ArgumentError("An attribute needs a name.", expected="text", got="''")
    host.node(node).SetAttribute(name, value)


@command("node.show")
def show(host: Host, node: NodeLike, visible: bool = True, fit: bool = True) -> None:
    """Show a node: a volume in the slice views, anything else by its display nodes' visibility."""
    found = host.node(node)
    if found.IsA("vtkMRMLVolumeNode"):
        if visible:
            host.show_volume(found, fit)
        else:
            _hide_volume(host, found)
        return
    if not found.IsA("vtkMRMLDisplayableNode"):
        raise ArgumentError(
            f"{found.GetClassName()} {found.GetName()!r} cannot be shown in a view.",
            expected="a displayable node",
            got=found.GetClassName(),
        )
    if found.GetDisplayNode() is None:
        found.CreateDefaultDisplayNodes()
    found.SetDisplayVisibility(visible)


def _hide_volume(host: Host, volume: Any) -> None:
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() == volume.GetID():
            composite.SetBackgroundVolumeID(None)
        if composite.GetForegroundVolumeID() == volume.GetID():
            composite.SetForegroundVolumeID(None)
        if composite.GetLabelVolumeID() == volume.GetID():
            composite.SetLabelVolumeID(None)
