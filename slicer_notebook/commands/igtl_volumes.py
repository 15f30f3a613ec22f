"""IMAGE and NDARRAY of OpenIGTLink, and volumes. Runs in Slicer, on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.errors import ArrayError, OpenIGTLinkError
from slicer_notebook.igtl.contents import Image, NDArray
from slicer_notebook.protocol.values import Array

__all__ = ["SCALAR", "VECTOR", "fill_from_array", "fill_from_image", "to_array", "to_image"]

SCALAR: Final = "vtkMRMLScalarVolumeNode"
VECTOR: Final = "vtkMRMLVectorVolumeNode"

#: What IMAGE and NDARRAY can carry: scalar types 2 to 7, 10 and 11.
_DTYPES: Final = frozenset(np.dtype(each) for each in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"))
#: Voxels at most along an axis (u16).
_LONGEST: Final = 65535
#: Two matrices of one image differ by less: they come as float32.
_SAME: Final = 1e-3


def _check_geometry(affine: Array) -> None:
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise OpenIGTLinkError(
            "The matrix of an IMAGE is none.",
            expected="finite numbers, three independent axes",
            got=str(affine[:3].tolist()),
        )


def fill_from_image(
    host: Host,
    image: Image,
    wanted: Callable[[str], Any],
    *,
    as_ras: bool = False,
    dressed: bool = True,
    before: Any = None,
) -> Any:
    """Bring an IMAGE into its volume: the whole, or a part of what is there.

    A part (a subvolume) of an image of another size, place or type than what the volume holds begins a new one, whose
    other voxels are 0: that is what the message's own size and matrix say.

    Args:
        wanted: gives the device's node of a class.
        as_ras: its coordinates are RAS whatever it says.
        dressed: with a display node.
        before: the volume that the part belongs to, where the node has no voxels yet.

    Raises:
        OpenIGTLinkError: a matrix or voxels that no volume can have.
    """
    affine = np.asarray(image.matrix if as_ras else image.ijk_to_ras)
    _check_geometry(affine)
    voxels = image.voxels
    node = wanted(SCALAR if voxels.ndim == 3 else VECTOR)
    if image.size is None:
        _set(host, node, voxels, affine, dressed)
        return node
    i, j, k = image.size
    shape = (k, j, i, *voxels.shape[3:])
    first = image.offset[::-1]
    place = tuple(slice(at, at + length) for at, length in zip(first, voxels.shape[:3], strict=True))
    present = _present(host, node, shape, voxels.dtype, affine)
    if present is not None and present.flags.writeable:
        present[place] = voxels
        node.GetImageData().GetPointData().GetScalars().Modified()
        node.GetImageData().Modified()
        return node
    if present is None and before is not None:
        present = _present(host, before, shape, voxels.dtype, affine)
    whole = np.zeros(shape, dtype=voxels.dtype) if present is None else present.copy()
    whole[place] = voxels
    _set(host, node, whole, affine, dressed)
    return node


def _present(host: Host, node: Any, shape: tuple[int, ...], dtype: Any, affine: Array) -> Array | None:
    """The volume's voxels, if this image is what it holds."""
    if node.GetImageData() is None or node.GetImageData().GetPointData().GetScalars() is None:
        return None
    voxels = host.voxels(node)
    same = voxels.shape == shape and voxels.dtype == dtype and np.allclose(host.affine(node), affine, atol=_SAME)
    return voxels if same else None


def _set(host: Host, node: Any, voxels: Array, affine: Array, dressed: bool) -> None:
    """Make the array the volume's own memory, or a copy if it is not of the machine's order."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    try:
        node.SetIJKToRASMatrix(host.matrix(affine))
    except ArrayError as exc:
        raise OpenIGTLinkError(exc.message, expected=exc.expected, got=exc.got) from exc
    native = np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("="))
    k, j, i = native.shape[:3]
    scalars = numpy_to_vtk(native.reshape(-1) if native.ndim == 3 else native.reshape(-1, native.shape[3]), deep=False)
    image = node.GetImageData()
    if image is not None and image.GetDimensions() == (i, j, k):
        image.GetPointData().SetScalars(scalars)
        image.Modified()
    else:
        image = vtkImageData()
        image.SetDimensions(i, j, k)
        image.GetPointData().SetScalars(scalars)
        node.SetAndObserveImageData(image)
    if node.IsA(VECTOR) and native.shape[3] == 3:
        node.SetVoxelVectorType(node.VoxelVectorTypeColorRGB)
    if dressed and node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()


def fill_from_array(host: Host, array: Array, wanted: Callable[[str], Any], *, dressed: bool = True) -> Any:
    """Bring a NDARRAY [k, j, i] or [k, j, i, component] into a volume; it says no place: 1 mm along R, A and S.

    A volume that is there already keeps its place.

    Raises:
        OpenIGTLinkError: numbers that no volume can have (complex ones).
    """
    if array.dtype not in _DTYPES or 0 in array.shape:
        raise OpenIGTLinkError(
            "This NDARRAY becomes no volume.",
            expected="real numbers, no axis empty",
            got=f"{array.dtype}, shape {array.shape}",
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    node = wanted(SCALAR if array.ndim == 3 else VECTOR)
    _set(host, node, array, host.affine(node), dressed)
    return node


def _copied(host: Host, node: Any) -> Array:
    voxels = host.voxels(node)
    if voxels.dtype not in _DTYPES or max(voxels.shape[:3]) > _LONGEST or (voxels.ndim == 4 and voxels.shape[3] > 255):
        raise ArrayError(
            f"Volume {node.GetName()!r} does not fit into a message.",
            expected=f"8 to 32 bit integers or floats, at most {_LONGEST} voxels along an axis and 255 components",
            got=f"{voxels.dtype}, shape {voxels.shape}",
        )
    # The message leaves on another thread, after the volume may have changed.
    return np.array(voxels, order="C")


def to_image(host: Host, node: Any) -> Image:
    """A volume as an IMAGE, in RAS.

    Raises:
        ArrayError: it has no voxels, or such as a message cannot carry.
    """
    return Image(_copied(host, node), host.affine(node), "RAS")


def to_array(host: Host, node: Any) -> NDArray:
    """A volume's voxels as a NDARRAY, [k, j, i] or [k, j, i, component]. Raises as `to_image`."""
    return NDArray(_copied(host, node))
