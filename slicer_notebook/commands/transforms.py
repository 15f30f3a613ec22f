"""Commands about transforms."""

from __future__ import annotations

from typing import Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.protocol.values import NodeRef


@command("transform.set_on")
def set_transform(host: Host, node: NodeLike, transform: NodeLike | None) -> None:
    """Put a node under a transform; ``None`` takes it out."""
    found = host.node(node, "vtkMRMLTransformableNode")
    found.SetAndObserveTransformNodeID(
        None if transform is None else host.node(transform, "vtkMRMLTransformNode").GetID()
    )


@command("transform.harden")
def harden(host: Host, node: NodeLike) -> None:
    """Apply the transforms above a node to its data and take it out of them."""
    found = host.node(node, "vtkMRMLTransformableNode")
    found.HardenTransform()


@command("transform.add")
def add_transform(host: Host, matrix: Any = None, name: str = "Transform") -> NodeRef:
    """A new linear transform; ``matrix`` is 4x4, to parent, RAS, mm; identity without one.

    Raises:
        ArrayError: not a regular affine 4x4 matrix.
    """
    to_parent = None if matrix is None else host.matrix(matrix)
    node = host.slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLLinearTransformNode", host.slicer.mrmlScene.GenerateUniqueName(name)
    )
    if to_parent is not None:
        node.SetMatrixTransformToParent(to_parent)
    return host.ref(node)
