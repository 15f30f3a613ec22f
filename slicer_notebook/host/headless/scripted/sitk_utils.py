# ruff: noqa: N802, N803 - Slicer's names
"""``sitkUtils``: volumes to SimpleITK images and back. SimpleITK is LPS, Slicer RAS."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone uses
import slicer
import vtk

__all__ = ["PullVolumeFromSlicer", "PushVolumeToSlicer"]

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def PullVolumeFromSlicer(nodeObjectOrName: Any) -> sitk.Image:
    """The volume node (or the node of that name or id) as a SimpleITK image, voxels copied."""
    node = slicer.util.getNode(nodeObjectOrName) if isinstance(nodeObjectOrName, str) else nodeObjectOrName
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = _RAS_FROM_LPS @ slicer.util.arrayFromVTKMatrix(matrix)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node), isVector=node.IsA("vtkMRMLVectorVolumeNode"))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def PushVolumeToSlicer(
    sitkimage: sitk.Image, targetNode: Any = None, name: str | None = None, className: str = "vtkMRMLScalarVolumeNode"
) -> Any:
    """Put a SimpleITK image into ``targetNode``, or into a new node of ``className`` called ``name``; the node."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(sitkimage.GetDirection(), (3, 3)) * np.asarray(sitkimage.GetSpacing())
    affine[:3, 3] = sitkimage.GetOrigin()
    affine = _RAS_FROM_LPS @ affine
    array = sitk.GetArrayFromImage(sitkimage)
    if targetNode is None:
        return slicer.util.addVolumeFromArray(
            array, ijkToRAS=affine, name=name or slicer.mrmlScene.GenerateUniqueName("Volume"), nodeClassName=className
        )
    slicer.util.updateVolumeFromArray(targetNode, array)
    targetNode.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    return targetNode
