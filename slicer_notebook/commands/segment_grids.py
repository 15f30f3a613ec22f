"""What segmentations hold, as labels on grids: where each grid is, and labels taken over from one grid to another.

A segmentation's segments lie in layers: a layer is one label map, in which each of its segments has a number of its
own. Layers may lie on different grids. What is here reads them on Slicer's main thread (`layers_of`), and copies them
(`copied`) for whatever goes on with them on any thread (`segment_sampling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from slicer_notebook.commands.context import JobContext
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.segment_sampling import Grid, Layer, cropped_to_content
from slicer_notebook.errors import AmbiguousNameError, ArgumentError, ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array

__all__ = [
    "BINARY",
    "REFERENCE",
    "SEGMENTATION",
    "SURFACE",
    "Grid",
    "Layer",
    "copied",
    "cropped_to_content",
    "describe_grid",
    "grid_of_volume",
    "layers_of",
    "oriented_image",
    "reference_grid",
    "segment_id",
    "segment_ids",
    "serialized",
    "set_reference_grid",
    "to_world",
]

SEGMENTATION: Final = "vtkMRMLSegmentationNode"
#: Names of representations and of a conversion parameter (vtkSegmentationConverter).
BINARY: Final = "Binary labelmap"
SURFACE: Final = "Closed surface"
REFERENCE: Final = "Reference image geometry"
#: Bytes that are copied on the main thread in one step: some milliseconds.
_PIECE: Final = 8_000_000

T = TypeVar("T")


# -- segments ------------------------------------------------------------------------------------------------------


def segment_ids(node: Any) -> list[str]:
    """Ids of a segmentation's segments, in their order."""
    return list(node.GetSegmentation().GetSegmentIDs())


def segment_id(node: Any, segment: str) -> str:
    """The id of a segment.

    Args:
        segment: its id, or a name that only one has.

    Raises:
        NodeNotFoundError: no such segment.
        AmbiguousNameError: several are called so.
    """
    segmentation = node.GetSegmentation()
    ids = segment_ids(node)
    if segment in ids:
        return segment
    found = [each for each in ids if segmentation.GetSegment(each).GetName() == segment]
    if len(found) > 1:
        raise AmbiguousNameError(
            f"{len(found)} segments of {node.GetName()!r} are called {segment!r}.",
            expected="a unique name or an id",
            got=", ".join(found[:8]),
            hint="use the id",
        )
    if not found:
        names = [segmentation.GetSegment(each).GetName() for each in ids]
        raise NodeNotFoundError(
            f"Segmentation {node.GetName()!r} has no segment {segment!r}.",
            expected="a segment's id or name",
            got=repr(segment),
            hint="there are: " + (", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "none"),
        )
    return found[0]


# -- where things are ----------------------------------------------------------------------------------------------


def to_world(node: Any) -> Array:
    """4x4, a node's own coordinates → the scene's, mm, RAS: all transforms above it.

    Raises:
        ArgumentError: one of them is not linear.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    above = node.GetParentTransformNode()
    if above is None:
        return np.eye(4)
    if not above.IsTransformToWorldLinear():
        raise ArgumentError(
            f"{node.GetName()!r} is below a transform that is not linear.",
            expected="linear transforms above it, or none",
            got=f"{above.GetName()!r}",
            hint="harden it first, or take the node out from below it",
        )
    matrix = vtkMatrix4x4()
    above.GetMatrixTransformToWorld(matrix)
    return _array(matrix)


def grid_of_volume(host: Host, volume: Any, node: Any) -> Grid:
    """A volume's voxels in the own coordinates of the segmentation ``node``: both nodes' transforms count.

    Raises:
        ArrayError: the volume has no voxels.
        ArgumentError: a transform above one of them is not linear.
    """
    if volume.GetImageData() is None or 0 in volume.GetImageData().GetDimensions():
        raise ArrayError(f"Volume {volume.GetName()!r} has no voxels.", expected="a volume with voxels", got="none")
    i, j, k = volume.GetImageData().GetDimensions()
    return Grid((k, j, i), np.linalg.inv(to_world(node)) @ to_world(volume) @ host.affine(volume))


def reference_grid(host: Host, node: Any) -> Grid | None:
    """Where a segmentation says that its voxels lie, in its own coordinates; None where it does not."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    text = node.GetSegmentation().GetConversionParameter(REFERENCE)
    matrix, extent = vtkMatrix4x4(), [0] * 6
    if not text or not host.slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, matrix, extent):
        return None
    i, j, k = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3))
    affine = _array(matrix)
    affine[:3, 3] += affine[:3, :3] @ np.array(extent[::2])
    return Grid((k, j, i), affine) if min(i, j, k) > 0 else None


def describe_grid(grid: Grid) -> dict[str, Any]:
    """``shape`` (k, j, i), ``spacing`` (i, j, k), mm, and ``affine``."""
    return {
        "shape": grid.shape,
        "spacing": tuple(float(each) for each in np.linalg.norm(grid.affine[:3, :3], axis=0)),
        "affine": grid.affine,
    }


# -- reading -------------------------------------------------------------------------------------------------------


def layers_of(host: Host, node: Any, ids: Sequence[str] | None = None, reference: Grid | None = None) -> list[Layer]:
    """Segments as label maps, layer after layer: live views of them. On the main thread; changes nothing.

    Args:
        ids: the segments; all of them without it.
        reference: the grid on which segments that are no label maps (surfaces) become some; the segmentation's own
            reference without it, or a grid that Slicer chooses.

    Raises:
        ArrayError: a segment has no representation that could become a label map.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    ids = segment_ids(node) if ids is None else list(ids)
    segmentation = _with_label_maps(host, node, ids, reference)
    found: dict[str, Layer] = {}
    for each in ids:
        segment = segmentation.GetSegment(each)
        image = segment.GetRepresentation(BINARY)
        key = image.GetAddressAsString("")
        if key not in found:
            scalars = image.GetPointData().GetScalars()
            i, j, k = image.GetDimensions()
            empty = scalars is None or 0 in (i, j, k)
            labels = np.zeros((0, 0, 0), np.uint8) if empty else vtk_to_numpy(scalars).reshape(k, j, i)
            if labels.dtype.kind == "f":
                labels = np.rint(labels).astype(np.int32)
            matrix, extent = vtkMatrix4x4(), image.GetExtent()
            image.GetImageToWorldMatrix(matrix)
            affine = _array(matrix)
            if not empty:
                # An extent begins anywhere; an array begins at 0.
                affine[:3, 3] += affine[:3, :3] @ np.array(extent[::2])
            found[key] = Layer(labels, affine, {}, image.GetMTime)
        found[key].numbers[each] = segment.GetLabelValue()
    return list(found.values())


def copied(job: JobContext, look: Callable[[], tuple[T, list[Array], Callable[[], Any]]]) -> tuple[T, list[Array]]:
    """What there is on Slicer's main thread, its arrays copied a piece at a time: the main thread goes on in between.

    Args:
        look: called on the main thread: (anything, live views, what tells whether these are still as they were).

    Returns:
        (anything, copies of the views, all of one moment).
    """

    def first_look() -> tuple[T, list[Array], Callable[[], Any], Any]:
        found, views, stamp = look()
        small = sum(view.nbytes for view in views) <= _PIECE
        return found, [view.copy() for view in views] if small else views, stamp, None if small else stamp()

    def all_at_once() -> tuple[T, list[Array]]:
        found, views, _ = look()
        return found, [view.copy() for view in views]

    found, views, stamp, before = job.on_main(first_look)
    if before is None:
        return found, views
    copies = []
    for view in views:
        copy = np.empty(view.shape, view.dtype)
        # The memory is the process's from here on, and not first while the main thread waits for it.
        copy.fill(0)
        step = max(1, _PIECE // max(1, view[:1].nbytes))
        for start in range(0, len(view), step):
            piece = slice(start, start + step)
            if not job.on_main(lambda copy=copy, view=view, piece=piece: _copy(copy, view, piece, stamp() == before)):  # type: ignore[misc]
                return job.on_main(all_at_once)
        copies.append(copy)
    return found, copies


def _copy(copy: Array, view: Array, piece: slice, same: bool) -> bool:
    if same:
        copy[piece] = view[piece]
    return same


def _with_label_maps(host: Host, node: Any, ids: list[str], reference: Grid | None) -> Any:
    """The node's segmentation, or a copy in which segments that are something else have become label maps."""
    segmentation = node.GetSegmentation()
    if all(segmentation.GetSegment(each).GetRepresentation(BINARY) is not None for each in ids):
        return segmentation
    copy = host.slicer.vtkSegmentation()
    copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
    copy.CopyConversionParameters(segmentation)
    if reference is not None:
        copy.SetConversionParameter(REFERENCE, serialized(host, reference))
    for each in ids:
        copy.CopySegmentFromSegmentation(segmentation, each)
    if not copy.CreateRepresentation(BINARY) or any(copy.GetSegment(i).GetRepresentation(BINARY) is None for i in ids):
        raise ArrayError(
            f"The segments of {node.GetName()!r} cannot become label maps.",
            expected="label maps or closed surfaces",
            got=segmentation.GetSourceRepresentationName(),
        )
    return copy


def serialized(host: Host, grid: Grid) -> str:
    """A grid as Slicer's conversion parameters have it."""
    k, j, i = grid.shape
    text: str = host.slicer.vtkSegmentationConverter.SerializeImageGeometry(
        host.matrix(grid.affine), [0, i - 1, 0, j - 1, 0, k - 1]
    )
    return text


def set_reference_grid(host: Host, node: Any, grid: Grid, volume: Any = None) -> None:
    """Say where a segmentation's voxels lie that are still to come; ``volume``: whose grid that is."""
    node.GetSegmentation().SetConversionParameter(REFERENCE, serialized(host, grid))
    if volume is not None:
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), volume.GetID())


def oriented_image(host: Host, labels: Array, affine: Array) -> Any:
    """A vtkOrientedImageData of labels [k, j, i], no larger than what is not 0; a copy.

    Raises:
        ArrayError: the axes of ``affine`` do not stand upright on one another.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk

    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise ArrayError(
            "The axes of the grid are sheared, which a segment's grid cannot be.",
            expected="axes at right angles",
            got=np.array2string(affine, precision=4),
            hint="resample the array first",
        )
    image = host.slicer.vtkOrientedImageData()
    content, first = cropped_to_content(labels)
    if content.size:
        k, j, i = content.shape
        low = first[::-1].tolist()
        image.SetExtent(low[0], low[0] + i - 1, low[1], low[1] + j - 1, low[2], low[2] + k - 1)
        image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(content).reshape(-1), deep=True))
    else:
        from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR

        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(VTK_UNSIGNED_CHAR, 1)
    image.SetGeometryFromImageToWorldMatrix(host.matrix(affine))
    return image


def _array(matrix: Any) -> Array:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
