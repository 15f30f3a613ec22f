"""Commands about sequences: volumes over time, echoes, b-values..., and which of them is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.series_nodes import AXIS, B_VALUE, GRADIENT, VALUE
from slicer_notebook.commands.volumes import coded_meaning
from slicer_notebook.protocol.values import Array, NodeRef

SEQUENCE = "vtkMRMLSequenceNode"


@command("sequence.info", journal=False)
def info(host: Host, node: NodeLike) -> dict[str, Any]:
    """What the items are, and what changes from one to the next.

    Returns:
        ``count``; ``index_name``, ``unit``, ``keyword`` (DICOM's, "" when not known), ``values`` (numbers or text);
        ``b_values`` (s/mm2; None without) and ``gradients`` (unit vectors in LPS, None for each without one);
        of the first item ``class_name``, and if it is a volume ``shape`` [k, j, i(, component)], ``dtype``, ``spacing``
        (mm along i, j, k), ``affine`` (IJK to RAS, mm), ``units``; ``instance``: the first SOP Instance UID, or "".
    """
    found = host.node(node, SEQUENCE)
    count = found.GetNumberOfDataNodes()
    numeric = found.GetIndexType() == found.NumericIndex
    items = [found.GetNthDataNode(n) for n in range(count)]
    values: list[float | str] = []
    for n, item in enumerate(items):
        stated = item.GetAttribute(VALUE)
        text = found.GetNthIndexValue(n) if stated is None else stated
        values.append(_number(text) if numeric or stated is not None else text)
    b_values = [item.GetAttribute(B_VALUE) for item in items]
    gradients = [item.GetAttribute(GRADIENT) for item in items]
    diffusion = bool(items) and all(b is not None for b in b_values)
    facts: dict[str, Any] = {
        "count": count,
        "index_name": found.GetIndexName() or "",
        "unit": found.GetIndexUnit() or "",
        "keyword": found.GetAttribute(AXIS) or "",
        "values": values,
        "b_values": [float(b) for b in b_values] if diffusion else None,
        "gradients": [[float(x) for x in g.split()] if g else None for g in gradients] if diffusion else None,
        "class_name": items[0].GetClassName() if items else "",
    }
    if items and items[0].IsA("vtkMRMLVolumeNode"):
        facts |= _volume_facts(host, host.sequence_item(found, 0))
    return facts


def _volume_facts(host: Host, first: Any) -> dict[str, Any]:
    voxels = host.voxels(first)
    return {
        "shape": voxels.shape,
        "dtype": voxels.dtype.name,
        "spacing": first.GetSpacing(),
        "affine": host.affine(first),
        "units": coded_meaning(first, "GetVoxelValueUnits"),
        "instance": ((first.GetAttribute("DICOM.instanceUIDs") or "").split() or [""])[0],
    }


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@command("sequence.array", thread="worker", journal=False)
def array(host: Host, node: NodeLike) -> Array:
    """The voxels of all items, [t, k, j, i] or [t, k, j, i, component].

    Raises:
        ArgumentError: the items are no volumes.
        ArrayError: items of different shapes or dtypes.
    """
    found = context.current().on_main(lambda: host.sequence_voxels(host.node(node, SEQUENCE)))
    return np.stack(found) if isinstance(found, list) else found


@command("sequence.item", journal=False)
def item(host: Host, node: NodeLike, number: int) -> Array:
    """The voxels of one item, [k, j, i] or [k, j, i, component]; ``number`` counts from 0.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: it is no volume.
    """
    return host.voxels(host.sequence_item(host.node(node, SEQUENCE), number))


@command("sequence.index", journal=False)
def index(host: Host, node: NodeLike) -> int:
    """Number of the item that the proxy shows, from 0."""
    selected: int = host.sequence_browser(host.node(node, SEQUENCE)).GetSelectedItemNumber()
    return selected


@command("sequence.select")
def select(host: Host, node: NodeLike, number: int) -> None:
    """Show an item in the proxy, and so in the views; ``number`` counts from 0.

    Raises:
        ItemNotFoundError: no such item.
    """
    host.select_item(host.node(node, SEQUENCE), number)


@command("sequence.proxy")
def proxy(host: Host, node: NodeLike) -> NodeRef:
    """The node of the scene that stands for the item that is shown; made when there is none.

    Raises:
        ArgumentError: the sequence is empty.
    """
    return host.ref(host.sequence_proxy(host.node(node, SEQUENCE)))


@command("sequence.remove")
def remove(host: Host, node: NodeLike) -> None:
    """Remove a sequence with its proxy and its browser."""
    host.remove_sequence(host.node(node, SEQUENCE))
