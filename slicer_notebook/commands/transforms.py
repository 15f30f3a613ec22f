"""Commands about transforms: linear ones, grids of displacements, B-splines, and what is under them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array, NodeRef

_TRANSFORM: Final = "vtkMRMLTransformNode"
#: VTK's classes of transforms by the word for them.
_KINDS: Final = (
    ("linear", "vtkLinearTransform"),
    ("grid", "vtkGridTransform"),
    ("grid", "vtkOrientedGridTransform"),
    ("b-spline", "vtkBSplineTransform"),
    ("b-spline", "vtkOrientedBSplineTransform"),
    ("thin-plate spline", "vtkThinPlateSplineTransform"),
    ("composite", "vtkGeneralTransform"),
)
#: Axes of a grid whose scalar product is above this are at no right angle: files of transforms cannot say so.
_SKEW: Final = 1e-4


def _node(host: Host, node: NodeLike) -> Any:
    return host.node(node, _TRANSFORM)


def _kind(node: Any) -> str:
    if node.IsLinear():
        return "linear"
    made = node.GetTransformFromParent()
    return next((kind for kind, name in _KINDS if made.IsA(name)), "other")


def _points(values: Any) -> Array:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ArrayError(
            "These are not points.", expected="finite numbers of shape (n, 3), RAS, mm", got=f"shape {points.shape}"
        )
    return points


def _applied(transform: Any, points: Array) -> Array:
    """What a VTK transform makes of points, float64 [n, 3]."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints

    if not len(points):
        return np.empty((0, 3))
    given, made = vtkPoints(), vtkPoints()
    given.SetDataTypeToDouble()
    made.SetDataTypeToDouble()
    given.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    transform.TransformPoints(given, made)
    return np.array(vtk_to_numpy(made.GetData()), dtype=np.float64)


# -- what is under a transform -----------------------------------------------------------------------------------------


@command("transform.set_on")
def set_transform(host: Host, node: NodeLike, transform: NodeLike | None) -> None:
    """Put a node under a transform; ``None`` takes it out.

    Raises:
        ArgumentError: the transform is that node, or under it.
    """
    found = host.node(node, "vtkMRMLTransformableNode")
    above = None if transform is None else _node(host, transform)
    each: Any = above
    while each is not None:
        if each.GetID() == found.GetID():
            raise ArgumentError(
                "A transform cannot be under itself.",
                expected=f"a transform that is not under {found.GetName()!r}",
                got=repr(transform),
            )
        each = each.GetParentTransformNode()
    found.SetAndObserveTransformNodeID(None if above is None else above.GetID())


@command("transform.take_out")
def take_out(host: Host, node: NodeLike, transform: NodeLike) -> None:
    """Take a node out of a transform. Raises `ArgumentError`: it is not under that one."""
    found, above = host.node(node, "vtkMRMLTransformableNode"), _node(host, transform)
    if found.GetTransformNodeID() != above.GetID():
        raise ArgumentError(
            f"{found.GetName()!r} is not under {above.GetName()!r}.",
            expected="a node right under it",
            got=_parent_name(found),
        )
    found.SetAndObserveTransformNodeID(None)


def _parent_name(node: Any) -> str:
    above = node.GetParentTransformNode()
    return "one that is under no transform" if above is None else f"one under {above.GetName()!r}"


@command("transform.harden")
def harden(host: Host, node: NodeLike) -> None:
    """Apply the transforms above a node to its data and take it out of them.

    Raises:
        ArgumentError: they are not linear, and that node cannot take such ones.
    """
    found = host.node(node, "vtkMRMLTransformableNode")
    above = found.GetParentTransformNode()
    if above is not None and not above.IsTransformToWorldLinear() and not found.CanApplyNonLinearTransforms():
        raise ArgumentError(
            f"{found.GetName()!r} can only take linear transforms.", expected="a linear transform", got=_kind(above)
        )
    found.HardenTransform()


@command("transform.harden_on")
def harden_on(host: Host, node: NodeLike, transform: NodeLike) -> None:
    """Apply a transform to a node's data for good, with those that the transform itself is under.

    Raises:
        ArgumentError: the node is under another transform; or it cannot take one that is not linear.
    """
    found, above = host.node(node, "vtkMRMLTransformableNode"), _node(host, transform)
    before = found.GetTransformNodeID()
    if before not in (None, above.GetID()):
        raise ArgumentError(
            f"{found.GetName()!r} is under another transform.",
            expected=f"a node under {above.GetName()!r}, or under none",
            got=_parent_name(found),
        )
    set_transform(host, host.ref(found), host.ref(above))
    try:
        harden(host, host.ref(found))
    except ArgumentError:
        found.SetAndObserveTransformNodeID(before)
        raise


# -- what a transform is -----------------------------------------------------------------------------------------------


@command("transform.info", journal=False)
def info(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a transform is.

    Returns:
        ``name``; ``kind``: "linear", "grid", "b-spline", "thin-plate spline", "composite" or "other"; ``matrix``: of a
        linear one, 4x4, to parent, RAS, mm, else None; ``parent``: the transform that it is under, or None; ``nodes``:
        what is right under it; ``inverted``: whether it is the inverse of what its grid or its splines say.
    """
    found = _node(host, node)
    above = found.GetParentTransformNode()
    kind = _kind(found)
    return {
        "name": found.GetName() or "",
        "kind": kind,
        "matrix": host.affine(found) if kind == "linear" else None,
        "parent": host.ref(above) if above is not None else None,
        "nodes": [
            host.ref(each)
            for each in host.nodes("vtkMRMLTransformableNode")
            if each.GetTransformNodeID() == found.GetID()
        ],
        "inverted": _inverted(found.GetTransformFromParent()),
    }


def _inverted(transform: Any) -> bool:
    """Whether a VTK transform is computed from the inverse of what it holds."""
    transform.Update()  # of an inverse, VTK sets the flag when it is first used
    return bool(hasattr(transform, "GetInverseFlag") and transform.GetInverseFlag())


@command("transform.points", journal=False)
def transformed(
    host: Host,
    node: NodeLike,
    points: Any,
    inverse: bool = False,
    to_parent: bool = False,
    to: NodeLike | None = None,
) -> Array:
    """What becomes of points, float64 [n, 3], RAS, mm: from coordinates under the transform to the world.

    Args:
        points: [n, 3], RAS, mm.
        inverse: the other way.
        to_parent: to the coordinates of the transform's parent, not of the world.
        to: to coordinates under this other transform.

    Raises:
        ArrayError: not [n, 3] finite numbers.
    """
    from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

    source = _node(host, node)
    target = _node(host, to) if to is not None else (source.GetParentTransformNode() if to_parent else None)
    whole = vtkGeneralTransform()
    ends = (target, source) if inverse else (source, target)
    host.slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*ends, whole)
    return _applied(whole, _points(points))


@command("transform.matrix_to", journal=False)
def matrix_to(host: Host, node: NodeLike, to: NodeLike | None = None) -> Array:
    """The matrix from coordinates under a transform to those under another one, or to the world; 4x4, RAS, mm.

    Raises:
        ArgumentError: something between them is not linear.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    source, target = _node(host, node), _node(host, to) if to is not None else None
    if not source.IsTransformToNodeLinear(target):
        raise ArgumentError(
            f"There is no matrix from {source.GetName()!r} to {target.GetName()!r}."
            if target is not None
            else f"There is no matrix from {source.GetName()!r} to the world.",
            expected="linear transforms",
            got="one that is not",
            hint="points() goes through any transform",
        )
    matrix = vtkMatrix4x4()
    host.slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


@command("transform.invert")
def invert(host: Host, node: NodeLike) -> None:
    """Make a transform its own inverse. A second time brings it back; a grid stays as it is, and is used backwards."""
    _node(host, node).Inverse()


@command("transform.inverse")
def inverse_of(host: Host, node: NodeLike, name: str | None = None) -> NodeRef:
    """A new transform: the inverse of another one, under the same parent.

    Args:
        name: the other's and " inverse" without it.
    """
    found = _node(host, node)
    scene = host.slicer.mrmlScene
    made = scene.AddNewNodeByClass(
        found.GetClassName(), scene.GenerateUniqueName(name if name is not None else f"{found.GetName()} inverse")
    )
    made.CopyContent(found)
    made.Inverse()
    made.SetAndObserveTransformNodeID(found.GetTransformNodeID())
    return host.ref(made)


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


# -- grids of displacements --------------------------------------------------------------------------------------------


@command("transform.add_grid")
def add_grid(host: Host, array: Array, affine: Any, name: str = "Transform") -> NodeRef:
    """A new grid transform of displacements; see ``transform.set_grid``."""
    made = _grid(host, array, affine)
    node = host.slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLGridTransformNode", host.slicer.mrmlScene.GenerateUniqueName(name)
    )
    node.SetAndObserveTransformFromParent(made)
    return host.ref(node)


@command("transform.set_grid")
def set_grid(host: Host, node: NodeLike, array: Array, affine: Any) -> None:
    """Give a grid transform other displacements.

    Args:
        array: [k, j, i, 3], mm along R, A, S: from a point of the parent's coordinates to where it is under the
            transform, as files of transforms have them (the way in which volumes are resampled).
        affine: 4x4, IJK → RAS of the grid, mm, axes at right angles.

    Raises:
        ArgumentError: a transform of another kind.
        ArrayError: a shape or an affine that a grid cannot have, numbers that are not finite.
    """
    found = host.node(node, _TRANSFORM)
    if found.GetClassName() != "vtkMRMLGridTransformNode":
        raise ArgumentError(
            f"{found.GetName()!r} has no displacements.", expected="a grid transform", got=found.GetClassName()
        )
    found.SetAndObserveTransformFromParent(_grid(host, array, affine))


def _grid(host: Host, array: Any, affine: Any) -> Any:
    """A vtkOrientedGridTransform. Raises `ArrayError`."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    values = np.asarray(array)
    if values.ndim != 4 or values.shape[3] != 3 or 0 in values.shape or values.dtype.kind not in "fiu":
        raise ArrayError("These are no displacements.", expected="[k, j, i, 3], mm", got=f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise ArrayError("The displacements are not all numbers.", expected="finite numbers, mm", got="nan or inf")
    directions, spacing, origin = _axes(host, affine)
    image = vtkImageData()
    image.SetDimensions(*values.shape[2::-1])
    image.SetSpacing(*spacing)
    image.SetOrigin(*origin)
    flat = np.ascontiguousarray(values.reshape(-1, 3), dtype=np.float64)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    made = host.slicer.vtkOrientedGridTransform()
    turned = np.eye(4)
    turned[:3, :3] = directions
    made.SetGridDirectionMatrix(host.matrix(turned))
    made.SetDisplacementGridData(image)
    # What Slicer sets where it reads a grid from a file.
    made.SetInterpolationModeToCubic()
    return made


def _axes(host: Host, affine: Any) -> tuple[Array, Array, Array]:
    """Directions [3, 3] (columns), spacing and origin of a grid. Raises `ArrayError`."""
    host.matrix(affine)  # refuses what is no regular affine matrix
    matrix = np.asarray(affine, dtype=np.float64)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = matrix[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > _SKEW:
        raise ArrayError(
            "The axes of the grid are at no right angles.", expected="orthogonal columns", got=str(matrix.tolist())
        )
    return directions, spacing, matrix[:3, 3]


@command("transform.displacements", journal=False)
def displacements(
    host: Host, node: NodeLike, affine: Any, shape: tuple[int, int, int], to_parent: bool = False
) -> Array:
    """What a transform of any kind does at each point of a grid, float32 [k, j, i, 3], mm along R, A, S.

    Args:
        affine: 4x4, IJK → RAS of the grid, mm.
        shape: (k, j, i).
        to_parent: from coordinates under the transform to the parent's; else from the parent's to those under it, as
            files of transforms have them.

    Raises:
        ArrayError: an affine that is none.
        ArgumentError: a shape without points.
    """
    found = _node(host, node)
    if min(shape) < 1:
        raise ArgumentError("The shape does not fit.", expected="(k, j, i), at least 1", got=str(shape))
    host.matrix(affine)
    matrix = np.asarray(affine, dtype=np.float64)
    transform = found.GetTransformToParent() if to_parent else found.GetTransformFromParent()
    made = np.empty((*shape, 3), dtype=np.float32)
    j, i = np.mgrid[0 : shape[1], 0 : shape[2]]
    # A slice at a time: the points of a whole volume would take 24 bytes for each voxel, several times.
    for k in range(shape[0]):
        ijk = np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1)
        points = ijk @ matrix[:3, :3].T + matrix[:3, 3]
        made[k] = (_applied(transform, points) - points).reshape(shape[1], shape[2], 3)
    return made


# -- files of transforms, as bytes -------------------------------------------------------------------------------------


@command("transform.file", journal=False)
def as_file(host: Host, node: NodeLike) -> bytes:
    """A transform as Slicer writes it to an .h5 file: ITK's, LPS, from the parent's coordinates to those under it.

    Raises:
        CommandError: it cannot be written.
    """
    found = _node(host, node)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transform.h5"
        copy = host.slicer.mrmlScene.CreateNodeByClass(found.GetClassName())
        copy.UnRegister(None)
        # A node of its own: writing gives a node a storage node with the file's name.
        copy.SetName(found.GetName())
        copy.SetAndObserveTransformFromParent(found.GetTransformFromParent())
        host.slicer.mrmlScene.AddNode(copy)
        try:
            host.save(copy, str(path), {})
            return path.read_bytes()
        finally:
            host.slicer.mrmlScene.RemoveNode(copy)


@command("transform.add_file")
def add_file(host: Host, data: bytes, name: str = "Transform") -> NodeRef:
    """A new transform of what is in an .h5 file, as ITK writes it. Raises `FileFormatError`."""
    with tempfile.TemporaryDirectory() as folder, host.all_or_nothing():
        path = Path(folder) / "transform.h5"
        path.write_bytes(data)
        nodes = [each for each in host.load(str(path), "TransformFile", {}) if each.IsA(_TRANSFORM)]
        node = nodes[0]
        # The file is gone in a moment: nothing should point to it.
        storage = node.GetStorageNode()
        if storage is not None:
            node.SetAndObserveStorageNodeID(None)
            host.slicer.mrmlScene.RemoveNode(storage)
        node.SetName(host.slicer.mrmlScene.GenerateUniqueName(name))
    return host.ref(node)
