"""The voxels of a segmentation that is edited, as arrays: segments, intensities and masks on one grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from slicer_notebook.commands.segment_grids import BINARY, SURFACE, Grid, layers_of, to_world
from slicer_notebook.commands.segment_sampling import sampled
from slicer_notebook.commands.segment_shapes import Box, whole
from slicer_notebook.errors import ArgumentError, CommandError
from slicer_notebook.host.arrays import matrix_to_array
from slicer_notebook.protocol.values import Array

from .segment_history import Extent, labels_of

__all__ = ["SegmentVoxels"]


class SegmentVoxels:
    """What a segment editor reads and what it makes images of.

    Args:
        host: where the scene is.
        node: the ``vtkMRMLSegmentationNode``.
        logic: the editor's ``vtkSlicerSegmentEditorLogic``; its grid holds all segments.
    """

    def __init__(self, host: Any, node: Any, logic: Any) -> None:
        self._host = host
        self._slicer = host.slicer
        self._node = node
        self._logic = logic

    @property
    def _parameters(self) -> Any:
        return self._logic.GetSegmentEditorNode()

    @property
    def _volume(self) -> Any:
        return self._parameters.GetSourceVolumeNode()

    def _reference(self) -> tuple[Extent, Any]:
        """Extent and matrix (IJK → the segmentation's coordinates) of the grid that is edited."""
        self._logic.UpdateReferenceGeometryImage()
        image = self._logic.GetReferenceGeometryImage()
        extent, matrix = image.GetExtent(), vtkMatrix4x4()
        if extent[0] > extent[1] or extent[2] > extent[3] or extent[4] > extent[5]:
            raise CommandError(
                f"Segmentation {self._node.GetName()!r} has no grid.", hint="editor(volume) gives it one"
            )
        image.GetImageToWorldMatrix(matrix)
        return extent, matrix

    def grid(self) -> Grid:
        """Where the voxels lie that are edited; the affine leads to RAS of the scene."""
        extent, matrix = self._reference()
        affine = matrix_to_array(matrix)
        affine[:3, 3] += affine[:3, :3] @ np.array(extent[::2])
        i, j, k = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3))
        return Grid((k, j, i), to_world(self._node) @ affine)

    def mask(self, segment: str) -> Array:
        """A segment (its id) on the grid: bool [k, j, i]."""
        self.ready()
        extent, _ = self._reference()
        shape = tuple(extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
        found = np.zeros(shape, bool)
        item = self._node.GetSegmentation().GetSegment(segment)
        image = item.GetRepresentation(BINARY)
        if image is None:
            return found
        own, labels = labels_of(image)
        # The logic's grid holds all segments: none reaches out of it.
        first = [own[2 * axis] - extent[2 * axis] for axis in (2, 1, 0)]
        place = tuple(slice(a, a + n) for a, n in zip(first, labels.shape, strict=True))
        if labels.size:
            found[place] = labels == item.GetLabelValue()
        return found

    def source(self) -> Array:
        """The source volume's intensities on the grid: [k, j, i].

        Raises:
            ArgumentError: there is no source volume.
        """
        if self._volume is None:
            raise ArgumentError(
                "This needs intensities, and the editor has no source volume.",
                expected="a source volume",
                got="None",
                hint="segmentation.editor(volume)",
            )
        self.ready()
        if not self._logic.UpdateAlignedSourceVolume():
            raise CommandError(f"{self._volume.GetName()!r} cannot be brought onto the segmentation's grid.")
        _, array = labels_of(self._logic.GetAlignedSourceVolume())
        return array.copy()

    def blocked(self) -> Array | None:
        """Where the masks allow no change: bool [k, j, i]; None where there are no masks."""
        parameters = self._parameters
        by_intensity = bool(parameters.GetSourceVolumeIntensityMask())
        if parameters.GetMaskMode() == self._slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere and not by_intensity:
            return None
        self.ready()
        self._reference()
        source = self.source() if by_intensity else None
        image = self._slicer.vtkOrientedImageData()
        if not self._node.GenerateEditMask(
            image,
            parameters.GetMaskMode(),
            self._logic.GetReferenceGeometryImage(),
            "",
            parameters.GetMaskSegmentID() or "",
        ):
            raise CommandError("Slicer could not tell where the masks allow a change.")
        _, array = labels_of(image)
        found: Array = array != 0
        if source is not None:
            low, high = parameters.GetSourceVolumeIntensityMaskRange()
            found |= (source < low) | (source > high)
        return found

    def image(self, box: Box, dtype: Any = np.uint8) -> Any:
        """A vtkOrientedImageData of a box of the grid."""
        extent, matrix = self._reference()
        image = self._slicer.vtkOrientedImageData()
        k, j, i = box.inside.shape
        first = [a + b for a, b in zip(box.first, extent[::2], strict=True)]
        image.SetExtent(first[0], first[0] + i - 1, first[1], first[1] + j - 1, first[2], first[2] + k - 1)
        scalars = numpy_to_vtk(np.ascontiguousarray(box.inside, dtype).reshape(-1), deep=True)
        image.GetPointData().SetScalars(scalars)
        image.SetGeometryFromImageToWorldMatrix(matrix)
        return image

    def ready(self) -> None:
        """Make all segments label maps on the grid: the first edit of a segmentation that is something else does."""
        segmentation = self._node.GetSegmentation()
        if segmentation.GetSourceRepresentationName() != BINARY:
            shown = segmentation.ContainsRepresentation(SURFACE)
            if segmentation.GetNumberOfSegments() and not self._node.CreateBinaryLabelmapRepresentation():
                raise CommandError(f"The segments of {self._node.GetName()!r} cannot become label maps.")
            self._node.SetSourceRepresentationToBinaryLabelmap()
            if shown and segmentation.GetNumberOfSegments():
                self._node.CreateClosedSurfaceRepresentation()
        _, matrix = self._reference()
        wanted = matrix_to_array(matrix)
        if any(not np.allclose(a, wanted, atol=1e-6) for a in self._layer_matrices()):
            self._regrid()

    def _layer_matrices(self) -> Iterator[Array]:
        segmentation = self._node.GetSegmentation()
        for each in segmentation.GetSegmentIDs():
            image = segmentation.GetSegment(each).GetRepresentation(BINARY)
            if image is not None and 0 not in image.GetDimensions():
                matrix = vtkMatrix4x4()
                image.GetImageToWorldMatrix(matrix)
                yield matrix_to_array(matrix)

    def _regrid(self) -> None:
        """Bring segments that lie on another grid onto the one that is edited, each voxel from the nearest."""
        extent, matrix = self._reference()
        i, j, k = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3))
        affine = matrix_to_array(matrix)
        affine[:3, 3] += affine[:3, :3] @ np.array(extent[::2])
        segmentation = self._node.GetSegmentation()
        for layer in layers_of(self._host, self._node):
            labels = sampled(layer, Grid((k, j, i), affine))
            image = self.image(whole(labels), labels.dtype)
            for each in layer.numbers:
                segmentation.GetSegment(each).AddRepresentation(BINARY, image)
        segmentation.Modified()

    def image_at(self, extent: Extent, mask: Array) -> Any:
        """As `image`, of a mask whose place is an extent."""
        reference, _ = self._reference()
        first = tuple(a - b for a, b in zip(extent[::2], reference[::2], strict=True))
        return self.image(Box((first[0], first[1], first[2]), mask))
