"""OpenIGTLink contents and MRML nodes: one becomes the other. Runs in Slicer, on the main thread.

A node is named as its device (``OpenIGTLink`` where the message names none). What a message carries beside its content
is kept in attributes of the node: each key of its metadata as ``OpenIGTLink.<key>`` (as SlicerOpenIGTLink does), its
device, type and time under names of our own. A message of a device that has a node of the fitting class updates it.

OpenIGTLink's coordinates are taken as RAS, as SlicerOpenIGTLink takes them; IMAGE alone says which it has, and is
believed unless the connection is set to take all as RAS. Nodes are sent in their own coordinates: transforms that they
are under are not applied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from slicer_notebook.commands import igtl_meshes, igtl_points, igtl_tables, igtl_volumes
from slicer_notebook.commands.host import Host
from slicer_notebook.errors import ArgumentError, OpenIGTLinkError
from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import Message, of_content

__all__ = [
    "CLASSES",
    "DEVICE",
    "METADATA",
    "NAMELESS",
    "TIME",
    "TYPE",
    "DeviceNodes",
    "apart",
    "content_of",
    "device_of",
    "fill",
    "message_of",
    "nodes_of",
    "note",
]

#: Attributes of a node: the device that it stands for, the type of its last message, and that message's time (seconds
#: since 1970, UTC).
DEVICE: Final = "slicer_notebook.igtl.device"
TYPE: Final = "slicer_notebook.igtl.type"
TIME: Final = "slicer_notebook.igtl.time"
#: The device whose TDATA the tool is in.
TRACKER: Final = "slicer_notebook.igtl.tracker"
#: What kind of tool a TDATA says that it is (`ToolKind`).
TOOL: Final = "slicer_notebook.igtl.tool"
#: Before each key of the metadata (SlicerOpenIGTLink's).
METADATA: Final = "OpenIGTLink."
#: The name of a node whose message names no device (SlicerOpenIGTLink's).
NAMELESS: Final = "OpenIGTLink"
#: Bytes of a device name in a header.
NAME_BYTES: Final = 20

#: Devices that get a node, so that a peer that makes up names does not fill the scene.
MOST_NODES: Final = 1000

_TRANSFORM: Final = "vtkMRMLLinearTransformNode"
_TEXT: Final = "vtkMRMLTextNode"

#: The class of node that each type is sent from, subclasses included; the first type of a class is its usual one.
CLASSES: Final[dict[str, str]] = {
    "TRANSFORM": "vtkMRMLTransformNode",
    "POSITION": "vtkMRMLTransformNode",
    "TDATA": "vtkMRMLTransformNode",
    "IMAGE": "vtkMRMLScalarVolumeNode",
    "STRING": _TEXT,
    "POINT": "vtkMRMLMarkupsNode",
    "POLYDATA": "vtkMRMLModelNode",
    "SENSOR": "vtkMRMLTableNode",
    "NDARRAY": "vtkMRMLTableNode",
}

#: Gives the node of a class for the device at hand, made if there is none.
Wanted: TypeAlias = Callable[[str], Any]


class DeviceNodes:
    """The nodes that stand for devices, found and filled. On the main thread.

    Args:
        host: the Slicer.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        #: by device and class; an id that is another node's by now is noticed, since that has another `DEVICE`
        self._ids: dict[tuple[str, str], str] = {}
        self._keys: dict[str, frozenset[str]] = {}

    def put(self, message: Message, *, as_ras: bool = False) -> Any:
        """Bring what a message says into the scene; its node.

        A TDATA must come as one message for each tool (`apart`): each of them has a node.

        Args:
            as_ras: take an IMAGE's coordinates as RAS, whatever it says (SlicerOpenIGTLink does so).

        Raises:
            OpenIGTLinkError: a content that no node can have.
        """
        content, device = message.content, message.device or NAMELESS
        if isinstance(content, contents.Tracking):
            device = content.tools[0].name or device
        held: list[tuple[Any, int]] = []

        def wanted(class_name: str) -> Any:
            node = self.find(device, class_name)
            if node is None:
                node = self._make(device, class_name)
            held.append((node, node.StartModify()))
            return node

        try:
            node = fill(self._host, content, wanted, as_ras=as_ras)
            node.SetAttribute(DEVICE, device)
            if isinstance(content, contents.Tracking):
                node.SetAttribute(TRACKER, message.device)
            self._note(node, message)
        finally:
            # One event for all of it.
            for each, former in held:
                each.EndModify(former)
        return node

    def find(self, device: str, class_name: str) -> Any:
        """The node of a device: the one that has stood for it, else one of its name; None without."""
        scene = self._host.slicer.mrmlScene
        known = self._ids.get((device, class_name))
        node = None if known is None else scene.GetNodeByID(known)
        if node is not None and node.GetAttribute(DEVICE) == device and node.GetClassName() == class_name:
            return node
        same_class = [each for each in self._host.nodes(class_name) if each.GetClassName() == class_name]
        fitting = [each for each in same_class if each.GetAttribute(DEVICE) == device] or [
            each for each in same_class if each.GetName() == device and each.GetAttribute(DEVICE) is None
        ]
        if not fitting:
            return None
        self._ids[device, class_name] = fitting[0].GetID()
        return fitting[0]

    def _make(self, device: str, class_name: str) -> Any:
        if len(self._ids) >= MOST_NODES:
            raise OpenIGTLinkError(
                "Too many devices: this one gets no node.", expected=f"at most {MOST_NODES}", got=device
            )
        scene = self._host.slicer.mrmlScene
        node = scene.AddNewNodeByClass(class_name, device)
        node.SetDescription("Received by OpenIGTLink")  # SlicerOpenIGTLink's words
        node.SetAttribute(DEVICE, device)
        self._ids[device, class_name] = node.GetID()
        other = _OTHER.get(class_name)
        if other is not None:
            # A device has one volume: one that turns from grey to colour, or back, needs one of another class.
            former = self.find(device, other)
            if former is not None and former.GetAttribute(DEVICE) == device:
                scene.RemoveNode(former)
        return node

    def _note(self, node: Any, message: Message) -> None:
        keys = frozenset(message.metadata)
        former = self._keys.get(node.GetID(), frozenset())
        for key in former - keys:
            node.SetAttribute(METADATA + key, None)
        note(node, message)
        if keys or former:
            self._keys[node.GetID()] = keys


def fill(
    host: Host, content: Any, wanted: Wanted, *, as_ras: bool = False, dressed: bool = True, before: Any = None
) -> Any:
    """Bring a content into a node; the node.

    Args:
        wanted: gives the node of a class.
        as_ras: as of `DeviceNodes.put`.
        dressed: with display nodes, which an item of a sequence has not.
        before: the volume of which a part is new, where the node itself has no voxels yet.

    Raises:
        OpenIGTLinkError: a content that no node can have.
    """
    match content:
        case contents.Transform() | contents.Position():
            node = _fill_transform(content.matrix, wanted)
        case contents.Tracking():
            [tool] = content.tools
            node = _fill_transform(tool.matrix, wanted)
            node.SetAttribute(TOOL, str(int(tool.kind)))
        case contents.Image():
            node = igtl_volumes.fill_from_image(host, content, wanted, as_ras=as_ras, dressed=dressed, before=before)
        case contents.NDArray() if content.array.ndim in (3, 4):
            node = igtl_volumes.fill_from_array(host, content.array, wanted, dressed=dressed)
        case contents.NDArray():
            node = igtl_tables.fill_from_array(content.array, wanted)
        case contents.Sensor():
            node = igtl_tables.fill_from_sensor(content, wanted)
        case contents.String():
            node = wanted(_TEXT)
            node.SetText(content.text)
        case contents.Points():
            node = igtl_points.fill(host, content, wanted, dressed=dressed)
        case contents.PolyData():
            node = igtl_meshes.fill(content, wanted, dressed=dressed)
        case _:
            raise OpenIGTLinkError(
                "A message of this type becomes no node.", expected=", ".join(CLASSES), got=type(content).__name__
            )
    return node


def _fill_transform(matrix: Any, wanted: Wanted) -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    numbers = matrix.ravel().tolist()
    found = vtkMatrix4x4()
    found.DeepCopy(numbers)
    # Checked before a node is looked for: a device that never says anything usable gets none.
    if not math.isfinite(sum(numbers)) or abs(found.Determinant()) < _SINGULAR:
        raise OpenIGTLinkError(
            "The matrix of a transform is none.",
            expected="finite numbers, three independent axes",
            got=str(matrix[:3].tolist()),
        )
    node = wanted(_TRANSFORM)
    node.SetMatrixTransformToParent(found)
    return node


def note(node: Any, message: Message) -> None:
    """Keep what a message says beside its content: type, time, metadata."""
    node.SetAttribute(TYPE, message.type)
    node.SetAttribute(TIME, f"{message.timestamp.time:.9f}" if any(message.timestamp) else None)
    for key, value in message.metadata.items():
        node.SetAttribute(METADATA + key, value)


#: Determinant of a 3 x 3 of axes that lie in one plane, as far as float32 tells.
_SINGULAR: Final = 1e-12
#: Classes of which a device has only one.
_OTHER: Final = {
    "vtkMRMLScalarVolumeNode": "vtkMRMLVectorVolumeNode",
    "vtkMRMLVectorVolumeNode": "vtkMRMLScalarVolumeNode",
}


def apart(message: Message) -> list[Message]:
    """A TDATA as one message for each of its tools; any other message as it is."""
    content = message.content
    if not isinstance(content, contents.Tracking):
        return [message]
    return [
        Message(
            message.type, message.device, contents.Tracking((tool,)), message.timestamp, message.version,
            message.message_id, message.metadata,
        )
        for tool in content.tools
    ]  # fmt: skip


def device_of(node: Any) -> str:
    """The device name that a node is sent under without another one: what it stands for, or its name.

    Raises:
        ArgumentError: it has more than 20 bytes, which no message can carry.
    """
    name: str = node.GetAttribute(DEVICE) or node.GetName() or ""
    if len(name.encode()) > NAME_BYTES:
        raise ArgumentError(
            f"The name of node {name!r} is too long for a device.",
            expected=f"at most {NAME_BYTES} bytes",
            got=str(len(name.encode())),
            hint="name another one: device=...",
        )
    return name


def content_of(host: Host, node: Any, as_type: str | None = None) -> contents.Content:
    """What a node is in OpenIGTLink; arrays are copies.

    Args:
        as_type: as which type; without one as it came, or by its class.

    Raises:
        ArgumentError: a node that cannot be sent as that.
        ArrayError, OpenIGTLinkError: numbers that the type cannot carry.
    """
    chosen = as_type or _usual_type(node)
    if chosen is None or not any(node.IsA(each) for each in _senders(chosen)):
        raise ArgumentError(
            f"{node.GetClassName()} {node.GetName()!r} cannot be sent" + (f" as {as_type}." if as_type else "."),
            expected=" or ".join(_senders(chosen or "")) or ", ".join(sorted(set(CLASSES.values()))),
            got=node.GetClassName(),
        )
    if node.IsA("vtkMRMLTransformNode"):
        content = _transform_content(host, node, chosen)
    elif node.IsA("vtkMRMLVolumeNode"):
        content = igtl_volumes.to_image(host, node) if chosen == "IMAGE" else igtl_volumes.to_array(host, node)
    elif node.IsA("vtkMRMLMarkupsNode"):
        content = igtl_points.read(node)
    elif node.IsA("vtkMRMLModelNode"):
        content = igtl_meshes.read(node)
    elif node.IsA("vtkMRMLTableNode"):
        content = igtl_tables.to_sensor(node) if chosen == "SENSOR" else igtl_tables.to_array(node)
    else:
        content = contents.String(node.GetText() or "")
    return content


def _senders(type_: str) -> tuple[str, ...]:
    if type_ == "NDARRAY":
        return (CLASSES["NDARRAY"], CLASSES["IMAGE"])
    return (CLASSES[type_],) if type_ in CLASSES else ()


def _usual_type(node: Any) -> str | None:
    came = node.GetAttribute(TYPE)
    if came in CLASSES and any(node.IsA(each) for each in _senders(came)):
        # A tool is one of several in its TDATA; alone it goes as what any receiver knows.
        return "TRANSFORM" if came == "TDATA" else str(came)
    if node.IsA("vtkMRMLTableNode"):
        return "NDARRAY"
    return next((type_ for type_, class_name in CLASSES.items() if node.IsA(class_name)), None)


def _transform_content(host: Host, node: Any, type_: str) -> contents.Content:
    matrix = host.affine(node)
    if type_ == "POSITION":
        return contents.Position.from_matrix(matrix)
    if type_ == "TDATA":
        kind = int(node.GetAttribute(TOOL) or contents.ToolKind.SIX_D)
        return contents.Tracking((contents.Tool(node.GetName() or "", matrix, kind),))
    return contents.Transform(matrix)


def message_of(host: Host, node: Any, as_type: str | None = None, device: str | None = None) -> Message:
    """A node as a message of now: its content, its device name, its metadata.

    Raises:
        ArgumentError, ArrayError, OpenIGTLinkError: as `content_of` and `device_of`.
    """
    names = node.GetAttributeNames()
    metadata = {name.removeprefix(METADATA): node.GetAttribute(name) for name in names if name.startswith(METADATA)}
    name = device_of(node) if device is None else device
    return of_content(content_of(host, node, as_type), name, metadata=metadata)


def nodes_of(host: Host, type_: str, device: str) -> list[Any]:
    """The nodes that a query for a type and device name means, in scene order; "" is any device.

    A TDATA is asked for by its tracker's name; without one, all transforms are its tools.
    """
    found = []
    for class_name in _senders(type_):
        for node in host.nodes(class_name):
            seen = not node.GetHideFromEditors() and (not node.IsA("vtkMRMLTransformNode") or node.IsLinear())
            if seen and (not device or _is_called(node, type_, device)):
                found.append(node)
    return found


def _is_called(node: Any, type_: str, device: str) -> bool:
    names = [node.GetAttribute(DEVICE), node.GetName()]
    if type_ == "TDATA":
        names.append(node.GetAttribute(TRACKER))
    # A query has room for 20 bytes only.
    return any(name == device or (name or "").encode()[:NAME_BYTES] == device.encode() for name in names)
