"""Cropping, which Slicer hands to a command-line module when it interpolates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slicer_notebook.host.headless import HeadlessHost

from .conftest import AFFINE


@pytest.fixture
def parameters(slicer: Any, volume: Any) -> Any:
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenter(0, 0, 0)
    roi.SetSize(10, 8, 12)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode")
    node.SetInputVolumeNodeID(volume.GetID())
    node.SetROINodeID(roi.GetID())
    return node


def _ijk_to_ras(slicer: Any, node: Any) -> np.ndarray[Any, Any]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.asarray(slicer.util.arrayFromVTKMatrix(matrix))


def _expected(ras: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The fixture volume's value, linear in the voxel's indices, at points ``[..., 4]``."""
    i, j, k, _ = np.moveaxis(ras @ np.linalg.inv(AFFINE).T, -1, 0)
    return np.asarray(i + 40 * j + 3 * k)


@pytest.mark.parametrize("voxel_based", [True, False])
def test_cropped_voxels_are_the_inputs_at_the_same_place(
    host: HeadlessHost, slicer: Any, parameters: Any, voxel_based: bool
) -> None:
    parameters.SetVoxelBased(voxel_based)
    assert slicer.modules.cropvolume.logic().Apply(parameters) == 0
    output = parameters.GetOutputVolumeNode()
    array = slicer.util.arrayFromVolume(output)
    k, j, i = np.indices(array.shape)
    ras = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ _ijk_to_ras(slicer, output).T
    np.testing.assert_allclose(array, _expected(ras), atol=0.51)  # int16 rounds an interpolated value
    assert np.abs(ras[..., 0]).max() <= 5.5
    assert output.GetDisplayNode() is not None
    assert [text for level, text in host.drain_vtk() if level == "error"] == []


def test_isotropic_spacing_takes_the_smallest(slicer: Any, parameters: Any) -> None:
    parameters.SetVoxelBased(False)
    parameters.SetIsotropicResampling(True)
    parameters.SetSpacingScalingConst(0.5)
    slicer.modules.cropvolume.logic().Apply(parameters)
    output = parameters.GetOutputVolumeNode()
    assert output.GetSpacing() == pytest.approx((0.5, 0.5, 0.5))
    assert slicer.util.arrayFromVolume(output).shape == pytest.approx((24, 16, 20), abs=1)


def test_a_transformed_volume_is_cropped_where_it_is_shown(slicer: Any, volume: Any, parameters: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = np.eye(4)
    moved[:3, 3] = (3, -2, 4)
    slicer.util.updateTransformMatrixFromArray(transform, moved)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    parameters.SetVoxelBased(False)
    slicer.modules.cropvolume.logic().Apply(parameters)
    output = parameters.GetOutputVolumeNode()
    array = slicer.util.arrayFromVolume(output)
    k, j, i = np.indices(array.shape)
    ras = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ _ijk_to_ras(slicer, output).T
    np.testing.assert_allclose(array, _expected(ras @ np.linalg.inv(moved).T), atol=0.51)


def test_without_input_it_fails_as_in_slicer(slicer: Any, parameters: Any) -> None:
    parameters.SetVoxelBased(False)
    parameters.SetInputVolumeNodeID(None)
    assert slicer.modules.cropvolume.logic().Apply(parameters) != 0
