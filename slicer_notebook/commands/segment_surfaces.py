"""Commands about the surfaces of segments: in the 3-D view, as points and triangles, as models, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.segment_grids import SEGMENTATION, SURFACE, segment_id, segment_ids
from slicer_notebook.commands.segment_masks import to_volume
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array, NodeRef

#: vtkBinaryLabelmapToClosedSurfaceConversionRule's parameter.
_SMOOTHING: Final = "Smoothing factor"
#: What is written as a surface, and as a label map.
_MESHES: Final = (".stl", ".obj", ".ply", ".vtk", ".vtp")
_LABEL_MAPS: Final = (".nii", ".nii.gz", ".mha", ".mhd")


@command("segmentation.show_3d")
def show_3d(host: Host, node: NodeLike, visible: bool = True, smoothing: float | None = None) -> None:
    """Show the segments' surfaces in 3-D views, or hide them there.

    Args:
        smoothing: 0 (the voxels' faces, cut at an angle) to 1; Slicer's 0.5, or what was set before, without it. Other
            surfaces of this segmentation are made with it from then on.

    Raises:
        ArgumentError: another smoothing.
        ArrayError: no surface can be made.
    """
    found = host.node(node, SEGMENTATION)
    segmentation = found.GetSegmentation()
    if found.GetDisplayNode() is None:
        found.CreateDefaultDisplayNodes()
    display = found.GetDisplayNode()
    if not visible:
        display.SetVisibility3D(False)
        return
    again = _set_smoothing(segmentation, smoothing)
    if (again or not segmentation.ContainsRepresentation(SURFACE)) and not segmentation.CreateRepresentation(
        SURFACE, again
    ):
        raise _no_surface(found)
    display.SetPreferredDisplayRepresentationName3D(SURFACE)
    display.SetVisibility(True)
    appears = not display.GetVisibility3D()
    display.SetVisibility3D(True)
    if appears:
        for name in host.view_names():
            if host.view(name).kind == "3d":
                host.view(name).fit()


def _set_smoothing(segmentation: Any, smoothing: float | None) -> bool:
    """Whether surfaces have to be made anew for it."""
    if smoothing is None:
        return False
    if not 0 <= smoothing <= 1:
        raise ArgumentError("That is no smoothing.", expected="0 (none) to 1", got=str(smoothing))
    same = float(segmentation.GetConversionParameter(_SMOOTHING) or "nan") == smoothing
    segmentation.SetConversionParameter(_SMOOTHING, str(smoothing))
    return not same and segmentation.GetSourceRepresentationName() != SURFACE


def _no_surface(node: Any) -> ArrayError:
    return ArrayError(
        f"The segments of {node.GetName()!r} cannot become surfaces.",
        expected="label maps or closed surfaces",
        got=node.GetSegmentation().GetSourceRepresentationName(),
    )


def _surfaces(host: Host, node: Any, ids: Sequence[str], smoothing: float | None) -> list[Any]:
    """Surfaces of segments, vtkPolyData in the segmentation's own coordinates; the segmentation stays as it is."""
    segmentation = node.GetSegmentation()
    copy = host.slicer.vtkSegmentation()
    copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
    copy.CopyConversionParameters(segmentation)
    again = _set_smoothing(copy, smoothing)
    if not again and all(segmentation.GetSegment(each).GetRepresentation(SURFACE) is not None for each in ids):
        return [segmentation.GetSegment(each).GetRepresentation(SURFACE) for each in ids]
    for each in ids:
        copy.CopySegmentFromSegmentation(segmentation, each)
    if ids and not copy.CreateRepresentation(SURFACE, True):
        raise _no_surface(node)
    return [copy.GetSegment(each).GetRepresentation(SURFACE) for each in ids]


@command("segmentation.surface", journal=False)
def surface(host: Host, node: NodeLike, segment: str, smoothing: float | None = None) -> tuple[Array, Array]:
    """The surface of a segment.

    Args:
        segment: id or name.
        smoothing: 0 to 1; as the segmentation has it (Slicer's 0.5) without it.

    Returns:
        (points float32 or float64 [n, 3], RAS, mm, in the segmentation's own coordinates, without transforms above it;
        triangles int64 [n, 3], indices into the points). Both are empty for an empty segment.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        ArgumentError: another smoothing.
        ArrayError: no surface can be made.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    found = host.node(node, SEGMENTATION)
    [mesh] = _surfaces(host, found, [segment_id(found, segment)], smoothing)
    if mesh is None or mesh.GetNumberOfPoints() == 0:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int64)
    triangles = vtkTriangleFilter()
    triangles.SetInputData(mesh)
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    output = triangles.GetOutput()
    corners: Array = vtk_to_numpy(output.GetPolys().GetConnectivityArray())
    return np.array(vtk_to_numpy(output.GetPoints().GetData())), corners.astype(np.int64).reshape(-1, 3)


@command("segmentation.to_models")
def to_models(
    host: Host, node: NodeLike, segments: list[str] | None = None, smoothing: float | None = None
) -> list[NodeRef]:
    """A new model of each segment's surface, with its name, colour and opacity, below the segmentation's transform.

    Args:
        segments: ids or names; all without it.
        smoothing: as of ``segmentation.surface``.

    Raises:
        As ``segmentation.surface``.
    """
    found = host.node(node, SEGMENTATION)
    ids = segment_ids(found) if segments is None else [segment_id(found, each) for each in segments]
    made = []
    with host.all_or_nothing():
        for each, mesh in zip(ids, _surfaces(host, found, ids, smoothing), strict=True):
            made.append(host.ref(_model(host, found, each, mesh)))
    return made


def _model(host: Host, node: Any, key: str, mesh: Any) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    segment, own = node.GetSegmentation().GetSegment(key), node.GetDisplayNode()
    copy = vtkPolyData()
    if mesh is not None:
        copy.DeepCopy(mesh)
    model = host.slicer.modules.models.logic().AddModel(copy)
    model.SetName(host.slicer.mrmlScene.GenerateUniqueName(segment.GetName() or key))
    model.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    model.GetDisplayNode().SetColor(*segment.GetColor())
    if own is not None:
        model.GetDisplayNode().SetOpacity(own.GetOpacity3D() * own.GetSegmentOpacity3D(key))
    return model


# -- files ---------------------------------------------------------------------------------------------------------


@command("segmentation.save", thread="worker")
def save(host: Host, node: NodeLike, path: str, segments: list[str] | None = None) -> None:
    """Write segments, in their own coordinates, without the transforms above the segmentation.

    Args:
        path: ``.seg.nrrd`` (all, with names, colours and codes) as Slicer writes segmentations; ``.nii``, ``.nii.gz``,
            ``.mha``, ``.mhd``: a label map 1, 2, ..., without names; ``.stl``, ``.obj``, ``.ply``, ``.vtk``, ``.vtp``:
            their surfaces as one mesh, LPS, mm.
        segments: ids or names; all without it. Not of ``.seg.nrrd``.

    Raises:
        PathNotFoundError: no such folder.
        FileFormatError: another extension.
        ArrayError: segments overlap, which a label map cannot hold; or nothing is segmented.
        NodeNotFoundError, AmbiguousNameError: no such segment, or several.
    """
    job = context.current()
    name = Path(path).name.lower()
    if name.endswith(_LABEL_MAPS):
        volume = to_volume(host, node, None, segments)
        job.on_main(lambda: _save_and_remove(host, volume, path))
    elif name.endswith(_MESHES):
        job.on_main(lambda: _save_surfaces(host, node, path, segments))
    elif segments is None:
        job.on_main(lambda: host.save(host.node(node, SEGMENTATION), path, {}))
    else:
        raise ArgumentError(
            "Some segments alone are not written so.",
            expected=" ".join((*_LABEL_MAPS, *_MESHES)),
            got=Path(path).name,
            hint="save the whole segmentation, or leave segments out",
        )


def _save_and_remove(host: Host, volume: NodeRef, path: str) -> None:
    scene, node = host.slicer.mrmlScene, host.node(volume)
    table = node.GetDisplayNode().GetColorNode()
    try:
        host.save(node, path, {})
    finally:
        _remove(scene, node.GetStorageNode(), node, table)


def _save_surfaces(host: Host, node: NodeLike, path: str, segments: list[str] | None) -> None:
    from vtkmodules.vtkFiltersCore import vtkAppendPolyData

    found = host.node(node, SEGMENTATION)
    ids = segment_ids(found) if segments is None else [segment_id(found, each) for each in segments]
    together = vtkAppendPolyData()
    for mesh in _surfaces(host, found, ids, None):
        if mesh is not None and mesh.GetNumberOfPoints():
            together.AddInputData(mesh)
    if together.GetNumberOfInputConnections(0) == 0:
        raise ArrayError(f"Nothing of {found.GetName()!r} is segmented.", expected="a surface", got="none")
    together.Update()
    scene = host.slicer.mrmlScene
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(found.GetName()))
    try:
        model.SetAndObservePolyData(together.GetOutput())
        host.save(model, path, {})
    finally:
        _remove(scene, model.GetStorageNode(), model)


def _remove(scene: Any, *nodes: Any) -> None:
    for node in nodes:
        if node is not None:
            scene.RemoveNode(node)
