"""Series of DICOM that are in the scene already, and whether all of them is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.series_nodes import instance_uids, sequence_items
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.dicom import SeriesPlan

#: How nodes were when they had just been loaded, by id, of each host.
_remembered: dict[int, dict[str, tuple[Any, ...]]] = {}


@command("loads.loaded", journal=False)
def loaded(host: Host) -> dict[str, list[NodeRef]]:
    """Volumes and sequences in the scene that came from DICOM, by Series Instance UID."""
    return {uid: [host.ref(node) for node in nodes] for uid, nodes in _nodes(host).items()}


def whole(host: Host, planned: SeriesPlan) -> dict[str, list[NodeRef]] | None:
    """What loading a series has made before: ``volumes``, ``sequences``, ``images``; None unless all of it is there.

    What has come since is not there: instances are compared, not counted. Nor is what was changed since it was loaded,
    in voxels or place: whoever asks for the series wants it as it is. Main thread.
    """
    wanted = {plane.SOPInstanceUID for volume in planned.all_volumes for plane in volume.instances}
    known = _remembered.get(id(host), {})
    nodes = _nodes(host).get(planned.SeriesInstanceUID, [])
    nodes = [node for node in nodes if known.get(node.GetID()) == _state(host, node)]
    there = {uid for node in nodes for each in _volumes(node) for uid in instance_uids(each)}
    if not wanted or not wanted <= there:
        return None
    kinds: dict[str, list[NodeRef]] = {"volumes": [], "sequences": [], "images": []}
    for node in nodes:
        if node.IsA("vtkMRMLSequenceNode"):
            kinds["sequences"].append(host.ref(node))
        else:
            kinds["images" if node.GetAttribute("slicer_notebook.image") == "1" else "volumes"].append(host.ref(node))
    return kinds


def remember(host: Host, nodes: Iterable[Any]) -> None:
    """These were just loaded, and are as their files are. Main thread."""
    known = _remembered.setdefault(id(host), {})
    for gone in [number for number in known if host.slicer.mrmlScene.GetNodeByID(number) is None]:
        del known[gone]
    known.update((node.GetID(), _state(host, node)) for node in nodes)


def _state(host: Host, node: Any) -> tuple[Any, ...]:
    """What is another one after any change of voxels or place."""
    parent = node.GetTransformNodeID() if node.IsA("vtkMRMLTransformableNode") else None
    return parent, *((_modified(each), host.affine(each).tobytes()) for each in _volumes(node))


def _modified(node: Any) -> int | None:
    """When its voxels were changed: VTK's times are numbers of one counter, and no two changes have the same."""
    image = node.GetImageData()
    return None if image is None else int(image.GetMTime())


def show(host: Host, found: dict[str, list[NodeRef]]) -> None:
    """The first of ``volumes``, ``sequences`` (its chosen item), ``images`` in the slice views. Main thread.

    Raises:
        NodeNotFoundError: it was removed.
    """
    node = host.node([*found["volumes"], *found["sequences"], *found["images"]][0])
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


def _volumes(node: Any) -> list[Any]:
    """A volume itself, or a sequence's items."""
    return sequence_items(node) if node.IsA("vtkMRMLSequenceNode") else [node]
