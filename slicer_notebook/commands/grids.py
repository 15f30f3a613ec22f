"""Commands that take or give values on a grid together with where the grid is: volumes, grid transforms, segments."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.selection import first
from slicer_notebook.commands.transforms import displacements
from slicer_notebook.errors import ArgumentError, ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef

Kind = Literal["scalar", "vector", "colour"]

_SCALAR: Final = ("vtkMRMLScalarVolumeNode", "vtkMRMLLabelMapVolumeNode")
_VOLUMES: Final = (*_SCALAR, "vtkMRMLVectorVolumeNode", "vtkMRMLDiffusionWeightedVolumeNode")
_SEQUENCE: Final = "vtkMRMLSequenceNode"
#: What a volume is called that nobody names.
_NAME: Final = "Volume"


@command("volume.list", journal=False)
def listing(host: Host) -> list[NodeRef]:
    """Scalar volumes, then label maps, in scene order."""
    return [host.ref(node) for kind in _SCALAR for node in host.nodes() if node.GetClassName() == kind]


@command("volume.grid", journal=False)
def volume_grid(host: Host, key: NodeLike | None = None) -> dict[str, Any]:
    """A volume as it is at this moment.

    Args:
        key: id, name, or a pattern of ``*`` and ``?`` of either; the first scalar volume without it.

    Returns:
        ``id``, ``name``; ``array``: the voxels themselves, not copied, [k, j, i] or [k, j, i, component]; ``affine``:
        IJK → RAS, mm, without transforms above the volume; ``kind``: "scalar", "vector" or "colour".

    Raises:
        NodeNotFoundError: no such volume.
        ArrayError: it has no voxels.
    """
    node = first(host, key, *(_VOLUMES if key is not None else _SCALAR[:1]))
    array = host.voxels(node)
    return {
        "id": node.GetID(),
        "name": node.GetName(),
        "array": array,
        "affine": host.affine(node),
        "kind": _kind(node, array),
    }


def _kind(node: Any, array: Array) -> Kind:
    if array.ndim == 3:
        return "scalar"
    colour = getattr(node, "VoxelVectorTypeColorRGB", None), getattr(node, "VoxelVectorTypeColorRGBA", None)
    return "colour" if node.GetVoxelVectorType() in colour and array.shape[3] in (3, 4) else "vector"


@command("volume.put")
def put(
    host: Host, array: Array, affine: Any, key: str | None = None, series: bool = False, show: bool = True
) -> NodeRef:
    """Give a volume new voxels and a new place; make it when there is none of that id, name or pattern.

    Args:
        array: [k, j, i], or [k, j, i, component]; of a series with the image before. It becomes the volume's memory.
        affine: IJK → RAS, 4x4, mm.
        key: the first scalar volume without it; a new one is called so.
        series: the first axis is one of images: a sequence is made of them, and one of that name is replaced.
        show: in the slice views.

    Raises:
        ArrayError: a shape, dtype or affine that such a volume cannot have; then nothing is changed.
    """
    if series:
        node = _put_series(host, array, affine, key)
        shown = host.sequence_proxy(node)
    else:
        shown = node = _put_volume(host, array, affine, key)
    if show:
        host.show_volume(shown)
    return host.ref(node)


def _put_volume(host: Host, array: Array, affine: Any, key: str | None) -> Any:
    classes = _SCALAR[:1] if key is None and array.ndim == 3 else _VOLUMES
    try:
        node = first(host, key, *classes) if key is not None or array.ndim == 3 else None
    except NodeNotFoundError:
        node = None
    if node is None:
        return host.add_volume(array, affine, key or _NAME)
    if (array.ndim == 3) != (node.GetClassName() in _SCALAR):
        raise ArrayError(
            f"{node.GetName()!r} is of another kind.",
            expected=f"voxels as of a {node.GetClassName()}",
            got=f"shape {array.shape}",
            hint="take another id, or remove the volume",
        )
    if node.GetClassName() == "vtkMRMLLabelMapVolumeNode" and array.dtype.kind not in "iub":
        raise ArrayError("A label map holds whole numbers.", expected="an integer array", got=str(array.dtype))
    matrix = host.matrix(affine)
    before = node.StartModify()
    try:
        host.set_voxels(node, array)
        node.SetIJKToRASMatrix(matrix)
    finally:
        node.EndModify(before)
    return node


def _put_series(host: Host, array: Array, affine: Any, key: str | None) -> Any:
    try:
        former = first(host, key, _SEQUENCE) if key is not None else None
    except NodeNotFoundError:
        former = None
    if former is None and key is not None and any(node.GetID() == key for node in host.nodes()):
        raise ArgumentError(
            "Several images are no one volume.", expected="a sequence's id, or a new name", got=repr(key)
        )
    name = former.GetName() if former is not None else key or _NAME
    with host.all_or_nothing():
        builder = host.new_sequence(
            name, index_name="image", index_unit="", indices=[float(index) for index in range(len(array))], block=array
        )
        while builder.left:
            builder.append(name, affine, {})
        if former is not None:
            host.remove_sequence(former)
        sequence, _, _ = builder.finish()
        if former is not None:
            # MRML gives no name a second time by itself.
            sequence.SetName(name)
    return sequence


@command("volume.cycle")
def cycle(host: Host, step: int = 1) -> NodeRef:
    """Show the volume that comes so many after the one that is shown, in scene order, from the last on to the first.

    Raises:
        NodeNotFoundError: there is none.
    """
    volumes = host.nodes("vtkMRMLVolumeNode")
    if not volumes:
        raise NodeNotFoundError("There is no volume in the scene.", expected="a volume", got="none")
    ids = [node.GetID() for node in volumes]
    present = host.slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    # Before the first one when none is shown, and for a step back, after the last one.
    start = ids.index(present) if present in ids else (-1 if step > 0 else 0)
    chosen = volumes[(start + step) % len(volumes)]
    host.show_volume(chosen, fit=False)
    return host.ref(chosen)


@command("transform.grids", journal=False)
def grid_transforms(host: Host) -> list[NodeRef]:
    """Grid transforms (displacement fields), in scene order."""
    return [host.ref(node) for node in host.nodes() if node.GetClassName() == "vtkMRMLGridTransformNode"]


@command("transform.grid", journal=False)
def grid_transform(host: Host, key: NodeLike | None = None) -> dict[str, Any]:
    """The displacements of a grid transform, from parent, as files of transforms have them.

    Args:
        key: id, name or pattern; the first grid transform without it.

    Returns:
        ``id``, ``name``; ``array``: float32 [k, j, i, 3], mm, RAS; ``affine``: IJK → RAS of the grid, mm.

    Raises:
        NodeNotFoundError: no such transform.
        ArrayError: it has no grid.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    node = first(host, key, "vtkMRMLGridTransformNode")
    transform = node.GetTransformFromParent()
    # Of an inverse, VTK says only then that it is one, and of what.
    transform.Update()
    # A node without displacements has a transform that is none of a grid.
    image: Any = transform.GetDisplacementGrid() if hasattr(transform, "GetDisplacementGrid") else None
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None or scalars.GetNumberOfComponents() != 3:
        raise ArrayError(f"{node.GetName()!r} has no grid.", expected="displacements", got="none")
    i, j, k = image.GetDimensions()
    values = vtk_to_numpy(scalars).reshape(k, j, i, 3)
    array = np.asarray(values * transform.GetDisplacementScale() + transform.GetDisplacementShift(), dtype=np.float32)
    directions = np.eye(3)
    oriented = transform.GetGridDirectionMatrix() if hasattr(transform, "GetGridDirectionMatrix") else None
    if oriented is not None:
        directions = np.array([[oriented.GetElement(row, column) for column in range(3)] for row in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    if transform.GetInverseFlag():
        # What the grid holds leads the other way.
        array = displacements(host, host.ref(node), affine, (k, j, i))
    return {"id": node.GetID(), "name": node.GetName(), "array": array, "affine": affine}


@command("segmentation.list", journal=False)
def segmentations(host: Host) -> dict[str, dict[str, Any]]:
    """Name and ids of the segments of each segmentation, by its id."""
    return {
        node.GetID(): {"name": node.GetName(), "segmentIDs": list(node.GetSegmentation().GetSegmentIDs())}
        for node in host.nodes("vtkMRMLSegmentationNode")
    }


@command("segmentation.labelmap", journal=False)
def labelmap(host: Host, key: NodeLike | None = None, segment: str | None = None) -> dict[str, Any]:
    """A segmentation on its own grid.

    Args:
        key: id, name or pattern; the first segmentation without it.
        segment: id or name of the only one; all of them without it.

    Returns:
        ``id``, ``name``; ``array``: uint8 [k, j, i] (uint16 above 255 segments): 0 outside, the number of the segment
        in ``segments``, counted from 1, where several overlap the last one's; ``affine``: IJK → RAS, mm, without
        transforms above the segmentation; ``segments``: their ids.

    Raises:
        NodeNotFoundError: no such segmentation or segment.
        ArrayError: nothing is segmented.
    """
    node = first(host, key, "vtkMRMLSegmentationNode")
    segmentation = node.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs())
    if segment is not None:
        chosen = segment if segment in ids else segmentation.GetSegmentIdBySegmentName(segment)
        if chosen not in ids:
            raise NodeNotFoundError(
                f"Segmentation {node.GetName()!r} has no segment {segment!r}.",
                expected="a segment's id or name",
                got=repr(segment),
                hint="there are: " + ", ".join(ids),
            )
        ids = [chosen]
    if not ids or not segmentation.CreateRepresentation("Binary labelmap"):
        raise ArrayError(f"Segmentation {node.GetName()!r} has no voxels.", expected="segments", got="none")
    merged, affine = _merged(host, node, ids)
    return {"id": node.GetID(), "name": node.GetName(), "array": merged, "affine": affine, "segments": ids}


def _merged(host: Host, node: Any, ids: list[str]) -> tuple[Array, Array]:
    """Segments by their numbers on one grid, the smallest that holds them all."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkIntArray, vtkStringArray
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    slicer = host.slicer
    wanted, numbers = vtkStringArray(), vtkIntArray()
    for number, each in enumerate(ids, start=1):
        wanted.InsertNextValue(each)
        numbers.InsertNextValue(number)
    image = slicer.vtkOrientedImageData()
    extent_mode = slicer.vtkSegmentation.EXTENT_UNION_OF_SEGMENTS
    if not node.GenerateMergedLabelmapForAllSegments(image, extent_mode, None, wanted, numbers):
        raise ArrayError(f"Segmentation {node.GetName()!r} has no voxels.", expected="segments", got="none")
    i, j, k = image.GetDimensions()
    if 0 in (i, j, k):
        raise ArrayError(f"Segmentation {node.GetName()!r} is empty.", expected="voxels in a segment", got="none")
    labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    # The extent begins anywhere; an array begins at 0.
    extent = image.GetExtent()
    affine[:3, 3] += affine[:3, :3] @ np.array([extent[0], extent[2], extent[4]])
    return labels.astype(np.uint8 if len(ids) < 256 else np.uint16), affine
