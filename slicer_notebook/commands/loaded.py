"""Series of DICOM that are in the scene already, and whether all of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.dicom import SeriesPlan


@command("loads.loaded", journal=False)
def loaded(host: Host) -> dict[str, list[NodeRef]]:
    """Volumes and sequences in the scene that came from DICOM, by Series Instance UID."""
    return {uid: [host.ref(node) for node in nodes] for uid, nodes in _nodes(host).items()}


def whole(host: Host, planned: SeriesPlan) -> dict[str, list[NodeRef]] | None:
    """What loading a series has made before: ``volumes``, ``sequences``, ``images``; None unless all of it is there.

    What has come since is not there: instances are compared, not counted. Main thread.
    """
    plans = [*planned.volumes, *planned.images, *(each for found in planned.sequences for each in found.volumes)]
    wanted = {plane.SOPInstanceUID for volume in plans for plane in volume.instances}
    nodes = _nodes(host).get(planned.SeriesInstanceUID, [])
    there = {uid for node in nodes for uid in _instances(node)}
    if not wanted or not wanted <= there:
        return None
    kinds: dict[str, list[NodeRef]] = {"volumes": [], "sequences": [], "images": []}
    for node in nodes:
        if node.IsA("vtkMRMLSequenceNode"):
            kinds["sequences"].append(host.ref(node))
        else:
            kinds["images" if node.GetAttribute("slicer_notebook.image") == "1" else "volumes"].append(host.ref(node))
    return kinds


def show(host: Host, node: Any) -> None:
    """A volume, or the item of a sequence that is chosen, in the slice views. Main thread."""
    host.show_volume(host.sequence_proxy(node) if node.IsA("vtkMRMLSequenceNode") else node)


def _nodes(host: Host) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    sequences = host.nodes("vtkMRMLSequenceNode")
    for node in [*sequences, *host.nodes("vtkMRMLVolumeNode")]:
        uid = node.GetAttribute("DICOM.SeriesInstanceUID")
        if not uid:
            continue
        known = found.setdefault(uid, [])
        # A sequence's proxy volume stands for it.
        if known and not node.IsA("vtkMRMLSequenceNode") and known[0].IsA("vtkMRMLSequenceNode"):
            continue
        known.append(node)
    return found


def _instances(node: Any) -> list[str]:
    nodes = [node]
    if node.IsA("vtkMRMLSequenceNode"):
        nodes = [node.GetNthDataNode(number) for number in range(node.GetNumberOfDataNodes())]
    return [uid for each in nodes for uid in (each.GetAttribute("DICOM.instanceUIDs") or "").split()]
