# ruff: noqa: N802 - VTK's names
"""Crop volume without the command-line module that Slicer runs for interpolated cropping.

vtkSlicerCropVolumeLogic computes the output's geometry itself and crops voxel-based itself; for interpolated cropping
it hands the resampling to the CLI module ResampleScalarVectorDWIVolume, which slicer-core has not. VTK's reslice filter
does it here, on the same geometry.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from slicer import vtkSlicerCropVolumeLogic
from slicer.util import arrayFromVTKMatrix, vtkMatrixFromArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform, vtkTransform
from vtkmodules.vtkImagingCore import vtkImageReslice

__all__ = ["CropVolumeLogic"]

#: vtkMRMLCropVolumeParametersNode's modes (nearest, linear, windowed sinc, B-spline) -> the nearest of VTK's.
_INTERPOLATION: Final = {
    1: "SetInterpolationModeToNearestNeighbor",
    2: "SetInterpolationModeToLinear",
    3: "SetInterpolationModeToCubic",
    4: "SetInterpolationModeToCubic",
}


class CropVolumeLogic(vtkSlicerCropVolumeLogic):
    """vtkSlicerCropVolumeLogic whose interpolated cropping runs in this process.

    Windowed sinc and B-spline interpolation are both done by VTK's cubic interpolation.
    """

    def Apply(self, parameters: Any) -> int:
        """Crop as vtkMRMLCropVolumeParametersNode ``parameters`` says; 0 is success, as in Slicer."""
        if parameters is None or parameters.GetVoxelBased():
            return int(super().Apply(parameters))
        volume, roi = parameters.GetInputVolumeNode(), parameters.GetROINode()
        if volume is None or roi is None or volume.GetImageData() is None:
            return -1
        output = parameters.GetOutputVolumeNode()
        if output is None:
            scene = self.GetMRMLScene()
            output = scene.AddNewNodeByClass(
                volume.GetClassName(), scene.GenerateUniqueName(f"{volume.GetName()} cropped")
            )
            parameters.SetOutputVolumeNodeID(output.GetID())
        return self.CropInterpolated(
            roi,
            volume,
            output,
            parameters.GetIsotropicResampling(),
            parameters.GetSpacingScalingConst(),
            parameters.GetInterpolationMode(),
            parameters.GetFillValue(),
        )

    def CropInterpolated(  # noqa: PLR0917 - Slicer's signature
        self,
        roi: Any,
        volume: Any,
        output: Any,
        isotropic: bool,
        spacing_scale: float,
        interpolation: int,
        fill_value: float,
    ) -> int:
        """Resample ``volume`` into ``output`` on a grid along the ROI's axes; 0 is success.

        The spacing is the input's, times ``spacing_scale``, or its smallest everywhere if ``isotropic``.
        """
        extent = [0] * 6
        spacing = [0.0] * 3
        # A static method in C++; it fails where the ROI is outside the volume.
        if not self.GetInterpolatedCropOutputGeometry(roi, volume, bool(isotropic), spacing_scale, extent, spacing):
            return -2
        image = self._resampled(roi, volume, extent, np.asarray(spacing), interpolation, fill_value)
        output.CopyOrientation(volume)
        output.SetAndObserveTransformNodeID(None)
        output.SetIJKToRASMatrix(self._ijk_to_ras(roi, extent, np.asarray(spacing)))
        output.SetAndObserveImageData(image)
        output.SetVoxelValueUnits(volume.GetVoxelValueUnits())
        output.SetVoxelValueQuantity(volume.GetVoxelValueQuantity())
        self._copy_display(volume, output)
        return 0

    @staticmethod
    def _ijk_to_ras(roi: Any, extent: list[int], spacing: npt.NDArray[np.float64]) -> Any:
        """IJK→RAS of the output: along the ROI's axes, centred in the ROI."""
        steps = np.array([extent[1] - extent[0], extent[3] - extent[2], extent[5] - extent[4]])
        local = np.diag([*spacing, 1.0])
        local[:3, 3] = -steps / 2 * spacing
        return vtkMatrixFromArray(arrayFromVTKMatrix(roi.GetObjectToWorldMatrix()) @ local)

    def _resampled(  # noqa: PLR0917
        self,
        roi: Any,
        volume: Any,
        extent: list[int],
        spacing: npt.NDArray[np.float64],
        interpolation: int,
        fill: float,
    ) -> Any:
        from_world = vtkGeneralTransform()
        if volume.GetParentTransformNode() is not None:
            volume.GetParentTransformNode().GetTransformFromWorld(from_world)
        ras_to_ijk = vtkMatrix4x4()
        volume.GetRASToIJKMatrix(ras_to_ijk)
        chain = vtkGeneralTransform()
        chain.PostMultiply()
        output_to_world = vtkTransform()
        output_to_world.SetMatrix(self._ijk_to_ras(roi, extent, spacing))
        chain.Concatenate(output_to_world)
        chain.Concatenate(from_world)
        chain.Concatenate(ras_to_ijk)
        # The image data of a volume node has unit spacing and no origin: its coordinates are IJK.
        reslice = vtkImageReslice()
        reslice.SetInputData(volume.GetImageData())
        reslice.SetResliceTransform(chain)
        reslice.SetOutputSpacing(1.0, 1.0, 1.0)
        reslice.SetOutputOrigin(0.0, 0.0, 0.0)
        reslice.SetOutputExtent(0, extent[1] - extent[0], 0, extent[3] - extent[2], 0, extent[5] - extent[4])
        reslice.SetBackgroundLevel(fill)
        getattr(reslice, _INTERPOLATION.get(interpolation, "SetInterpolationModeToLinear"))()
        reslice.Update()
        image = vtkImageData()
        image.DeepCopy(reslice.GetOutput())
        return image

    def _copy_display(self, volume: Any, output: Any) -> None:
        source = volume.GetDisplayNode()
        if source is None:
            return
        if output.GetDisplayNode() is None:
            output.CreateDefaultDisplayNodes()
        output.GetDisplayNode().CopyContent(source)
