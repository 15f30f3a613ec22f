# ruff: noqa: N802 - Slicer's names
"""``SegmentStatistics``: volumes, centroids, oriented boxes and intensities of segments.

The parameter and result names are those of Slicer's Segment Statistics module. Boxes lie along the principal axes of a
segment's voxels, as ITK's label statistics have them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from slicer_notebook.commands.segment_statistics import intensities
from slicer_notebook.errors import NodeNotFoundError

__all__ = ["SegmentStatisticsLogic"]

_LABELMAP: Final = "LabelmapSegmentStatisticsPlugin"
_SCALAR: Final = "ScalarVolumeSegmentStatisticsPlugin"
_SURFACE: Final = "ClosedSurfaceSegmentStatisticsPlugin"
#: Keys of each plugin, and whether they are computed unless a parameter says otherwise.
_KEYS: Final = {
    _LABELMAP: {
        "voxel_count": True, "volume_mm3": True, "volume_cm3": True, "centroid_ras": False, "obb_origin_ras": False,
        "obb_diameter_mm": False, "obb_direction_ras_x": False, "obb_direction_ras_y": False,
        "obb_direction_ras_z": False, "principal_moments": False,
    },
    _SCALAR: {
        "voxel_count": True, "volume_mm3": True, "volume_cm3": True, "min": True, "max": True, "mean": True,
        "median": True, "stdev": True,
    },
    _SURFACE: {"surface_mm2": True, "volume_mm3": True, "volume_cm3": True},
}  # fmt: skip
#: Slicer's names of what `intensities` calls otherwise.
_NAMES: Final = {"std": "stdev"}


class SegmentStatisticsLogic:
    """Computes statistics of the segments of the segmentation that the parameter node names."""

    def __init__(self) -> None:
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetAttribute("ModuleName", "SegmentStatistics")
        for plugin, keys in _KEYS.items():
            node.SetParameter(f"{plugin}.enabled", str(True))
            for key, default in keys.items():
                node.SetParameter(f"{plugin}.{key}.enabled", str(default))
        self._parameters = node
        self._statistics: dict[Any, Any] = {"SegmentIDs": []}

    def getParameterNode(self) -> Any:
        """Parameters "Segmentation" and "ScalarVolume" (node ids), and "<plugin>.<key>.enabled" ("True"/"False")."""
        return self._parameters

    def getStatistics(self) -> dict[Any, Any]:
        """``(segment id, "<plugin>.<key>")`` -> value, and "SegmentIDs" -> ids. Lengths in mm, places in RAS."""
        return self._statistics

    def _enabled(self, name: str) -> bool:
        return str(self._parameters.GetParameter(f"{name}.enabled")) == "True"

    def computeStatistics(self) -> None:
        """Compute what is enabled for all segments.

        Raises:
            NodeNotFoundError: the parameter "Segmentation" names no segmentation of the scene.
        """
        node = slicer.mrmlScene.GetNodeByID(self._parameters.GetParameter("Segmentation") or "none")
        if node is None or not node.IsA("vtkMRMLSegmentationNode"):
            raise NodeNotFoundError(
                "There is no segmentation to measure.",
                expected="the id of a segmentation in parameter 'Segmentation'",
                got=repr(self._parameters.GetParameter("Segmentation")),
            )
        volume = slicer.mrmlScene.GetNodeByID(self._parameters.GetParameter("ScalarVolume") or "none")
        ids = list(node.GetSegmentation().GetSegmentIDs())
        self._statistics = {"SegmentIDs": ids}
        for segment_id in ids:
            self._statistics[segment_id, "Segment"] = node.GetSegmentation().GetSegment(segment_id).GetName()
            for plugin, values in (
                (_LABELMAP, self._of_labelmap(node, segment_id)),
                (_SCALAR, self._of_volume(node, segment_id, volume)),
                (_SURFACE, self._of_surface(node, segment_id)),
            ):
                if self._enabled(plugin):
                    for key, value in values.items():
                        if self._enabled(f"{plugin}.{key}"):
                            self._statistics[segment_id, f"{plugin}.{key}"] = value

    @staticmethod
    def _of_labelmap(node: Any, segment_id: str) -> dict[str, Any]:
        image = slicer.vtkOrientedImageData()
        # The module logic's counterpart would give the whole label map, where segments share one.
        if not node.GetBinaryLabelmapRepresentation(segment_id, image) or image.IsEmpty():
            return {"voxel_count": 0, "volume_mm3": 0.0, "volume_cm3": 0.0}
        slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(node, image)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        to_ras = slicer.util.arrayFromVTKMatrix(matrix)
        scalars = vtk_to_numpy(image.GetPointData().GetScalars())
        extent = image.GetExtent()
        voxels = scalars.reshape(extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
        kji = np.argwhere(voxels > 0)
        volume = len(kji) * abs(np.linalg.det(to_ras[:3, :3]))
        values: dict[str, Any] = {"voxel_count": len(kji), "volume_mm3": volume, "volume_cm3": volume / 1000}
        if len(kji):
            ijk = kji[:, ::-1] + (extent[0], extent[2], extent[4])
            values |= _box(ijk @ to_ras[:3, :3].T + to_ras[:3, 3], np.linalg.norm(to_ras[:3, :3], axis=0))
        return values

    @staticmethod
    def _of_volume(node: Any, segment_id: str, volume: Any) -> dict[str, Any]:
        if volume is None:
            return {}
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume) > 0
        values = slicer.util.arrayFromVolume(volume)[mask]
        cubic = len(values) * float(np.prod(volume.GetSpacing()))
        found: dict[str, Any] = {"voxel_count": len(values), "volume_mm3": cubic, "volume_cm3": cubic / 1000}
        if len(values):
            found |= {_NAMES.get(name, name): value for name, value in intensities(values).items()}
        return found

    @staticmethod
    def _of_surface(node: Any, segment_id: str) -> dict[str, Any]:
        surface = vtk.vtkPolyData()
        slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentClosedSurfaceRepresentation(node, segment_id, surface)
        if surface.GetNumberOfPoints() == 0:
            return {}
        triangles = vtk.vtkTriangleFilter()
        triangles.SetInputData(surface)
        triangles.SetPassLines(0)
        mass = vtk.vtkMassProperties()
        mass.SetInputConnection(triangles.GetOutputPort())
        mass.Update()
        volume = mass.GetVolume()
        return {"surface_mm2": mass.GetSurfaceArea(), "volume_mm3": volume, "volume_cm3": volume / 1000}


def _box(ras: npt.NDArray[np.float64], spacing: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Centroid, and the box along the principal axes, of voxel centres ``ras`` ``[n, 3]`` (mm)."""
    centroid = ras.mean(axis=0)
    centred = ras - centroid
    moments, axes = np.linalg.eigh(centred.T @ centred / len(ras) + np.diag(spacing**2 / 12))
    if np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    along = centred @ axes
    # Voxels have an extent: half a voxel, seen along each axis, on either side of the outermost centres.
    half = np.abs(axes.T) @ spacing / 2
    low, high = along.min(axis=0) - half, along.max(axis=0) + half
    return {
        "centroid_ras": centroid.tolist(),
        "obb_origin_ras": (centroid + axes @ low).tolist(),
        "obb_diameter_mm": (high - low).tolist(),
        "obb_direction_ras_x": axes[:, 0].tolist(),
        "obb_direction_ras_y": axes[:, 1].tolist(),
        "obb_direction_ras_z": axes[:, 2].tolist(),
        "principal_moments": moments.tolist(),
    }
