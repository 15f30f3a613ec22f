"""Commands for choosing a node among those of some classes, as qMRMLNodeComboBox does."""

from __future__ import annotations

from typing import Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef

__all__ = ["add", "choices"]


@command("scene.choices", journal=False)
def choices(
    host: Host,
    class_names: list[str],
    attributes: dict[str, str | None] | None = None,
    ids: list[str] | None = None,
) -> list[NodeRef]:
    """Nodes of some MRML classes and their subclasses, in scene order; none that Slicer hides from its lists.

    Args:
        class_names: such as ``["vtkMRMLScalarVolumeNode"]``.
        attributes: MRML attributes that a node must have, with this value, or with any where it is None.
        ids: only these, where they are still there.

    Raises:
        ArgumentError: no such MRML class.
    """
    for name in class_names:
        _check_class(host, name)
    if ids is None:
        nodes = {node.GetID(): node for name in class_names for node in host.nodes(name)}
        if len(class_names) > 1:
            nodes = {node.GetID(): node for node in host.nodes() if node.GetID() in nodes}
    else:
        found = [host.slicer.mrmlScene.GetNodeByID(each) for each in ids]
        nodes = {n.GetID(): n for n in found if n is not None and any(n.IsA(name) for name in class_names)}
    return [host.ref(node) for node in nodes.values() if _fits(node, attributes or {})]


def _check_class(host: Host, name: str) -> None:
    # To list a thousand nodes takes 18 ms, to look for the class none.
    if not name.startswith("vtkMRML") or not hasattr(host.slicer, name):
        host.nodes(name)  # raises


def _fits(node: Any, attributes: dict[str, str | None]) -> bool:
    if node.GetHideFromEditors():
        return False
    return all(
        node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
        for name, value in attributes.items()
    )


@command("scene.add")
def add(host: Host, class_name: str, name: str = "", attributes: dict[str, str | None] | None = None) -> NodeRef:
    """A new node of a MRML class, with what it needs to be shown; no data.

    Args:
        name: made unique; the class's own name ("Model") without it.
        attributes: MRML attributes that it gets; None is an empty text.

    Raises:
        ArgumentError: no such MRML class, or one of which there are only subclasses.
    """
    _check_class(host, class_name)
    scene = host.slicer.mrmlScene
    node = scene.CreateNodeByClass(class_name)
    if node is None:
        raise ArgumentError(
            f"There are no nodes of {class_name} itself.",
            expected="a MRML class of which nodes are made",
            got=class_name,
        )
    node.UnRegister(None)
    node.SetName(scene.GenerateUniqueName(name.strip() or node.GetNodeTagName()))
    for key, value in (attributes or {}).items():
        node.SetAttribute(key, value or "")
    scene.AddNode(node)
    if node.IsA("vtkMRMLDisplayableNode"):
        node.CreateDefaultDisplayNodes()
    return host.ref(node)
