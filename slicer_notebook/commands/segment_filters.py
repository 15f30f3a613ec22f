"""What the operations of Slicer's Segment Editor compute: masks and labels in, masks and labels out.

They are the filters of Slicer's own effects (the modules ``SegmentEditor...Effect`` of its source), as VTK and vtkITK
have them, on plain arrays [k, j, i]; spacings are mm along i, j, k. None touches the scene, so all may run on any
thread: VTK lets other threads go on while a filter works, and a job that is cancelled does not wait for its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands.context import current
from slicer_notebook.commands.segment_sampling import cropped_to_content
from slicer_notebook.errors import CommandError
from slicer_notebook.protocol.values import Array

__all__ = [
    "AUTO_METHODS",
    "Shell",
    "between_slices",
    "closed",
    "gaussian",
    "grown",
    "hollowed",
    "islands",
    "jointly_smoothed",
    "margin",
    "median",
    "odd_size",
    "opened",
    "threshold_of",
]

Spacing = tuple[float, float, float]
Shell = Literal["inside", "medial", "outside"]

#: Methods of vtkITKImageThresholdCalculator, as its ``SetMethodTo...`` are called.
AUTO_METHODS: Final = {
    "huang": "Huang",
    "intermodes": "Intermodes",
    "isodata": "IsoData",
    "kittler_illingworth": "KittlerIllingworth",
    "li": "Li",
    "maximum_entropy": "MaximumEntropy",
    "moments": "Moments",
    "otsu": "Otsu",
    "renyi_entropy": "RenyiEntropy",
    "shanbhag": "Shanbhag",
    "triangle": "Triangle",
    "yen": "Yen",
}
#: Seconds between two looks for a cancel while a filter works.
_LOOK_EVERY: Final = 0.05
#: Radius of a Gaussian in standard deviations, as SegmentEditorSmoothingEffect has it.
_GAUSSIAN_RADIUS: Final = 4.0
#: Part of a voxel that counts as no distance.
_ALMOST: Final = 1e-4
#: Rounds of Taubin smoothing, as SegmentEditorSmoothingEffect has them.
_TAUBIN_ROUNDS: Final = 100


# -- arrays and filters ----------------------------------------------------------------------------------------------


def _image(array: Array, spacing: Spacing = (1.0, 1.0, 1.0)) -> Any:
    """A vtkImageData over an array; a bool one becomes bytes."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.SetSpacing(*spacing)
    plain = np.ascontiguousarray(array, np.uint8 if array.dtype == bool else array.dtype)
    image.GetPointData().SetScalars(numpy_to_vtk(plain.reshape(-1), deep=True))
    return image


def _output(algorithm: Any, shape: tuple[int, ...]) -> Array:
    """Run a filter to its end; its output as an array of its own, [k, j, i].

    Raises:
        JobCancelledError: the job was cancelled. A filter that cannot be stopped ends by itself; nobody waits for it.
        CommandError: it failed.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    job = current()
    job.check()
    working = threading.Thread(target=algorithm.Update, name="segment-filter", daemon=True)
    working.start()
    while working.is_alive():
        working.join(_LOOK_EVERY)
        if job.cancelled.is_set():
            algorithm.SetAbortExecute(1)
            job.check()
    scalars = algorithm.GetOutput().GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() != int(np.prod(shape)):
        raise CommandError(f"{algorithm.GetClassName()} gave no result.", hint="slicer.messages tells what it reported")
    found: Array = vtk_to_numpy(scalars).reshape(shape).copy()
    return found


def _near_content(mask: Array, pad: Sequence[int], function: Callable[[Array], Array]) -> Array:
    """What ``function`` makes of the part of a mask that is not empty and ``pad`` (i, j, k) voxels around it.

    For what leaves voxels outside that are further from the mask.
    """
    found = np.zeros(mask.shape, bool)
    content, first = cropped_to_content(mask)
    if content.size:
        around = np.array(pad)[::-1]
        low = np.maximum(first - around, 0)
        high = np.minimum(first + content.shape + around, mask.shape)
        place = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        found[place] = function(mask[place])
    return found


def odd_size(size: float, spacing: Spacing) -> tuple[int, int, int]:
    """A kernel of ``size`` mm in voxels (i, j, k): the nearest odd numbers (SegmentEditorSmoothingEffect)."""
    i, j, k = (max(1, round((size / each + 1) / 2) * 2 - 1) for each in spacing)
    return i, j, k


# -- smoothing -------------------------------------------------------------------------------------------------------


def median(mask: Array, size: tuple[int, int, int]) -> Array:
    """Each voxel as most of those in a box of ``size`` (i, j, k) around it are; fewer at the edges.

    What vtkImageMedian3D gives for a mask (SegmentEditorSmoothingEffect), by sums, which are as fast for any size.
    """

    def smoothed(part: Array) -> Array:
        inside = part.astype(np.int32)
        there = np.ones(1, np.int32)
        for axis, width in enumerate(size[::-1]):
            current().check()
            inside = _box_sum(inside, width, axis)
            counts = _box_sum(np.ones(part.shape[axis], np.int32), width, 0)
            there = there[..., None] * counts if axis else counts
        found: Array = 2 * inside > there
        return found

    return _near_content(mask, size, smoothed)


def _box_sum(array: Array, width: int, axis: int) -> Array:
    """Sums of ``width`` neighbours along an axis, those there are."""
    count, half = array.shape[axis], width // 2
    padding = [(0, 0)] * array.ndim
    padding[axis] = (1, 0)
    sums = np.cumsum(np.pad(array, padding), axis=axis)
    here = np.arange(count)
    high, low = np.minimum(here + half + 1, count), np.maximum(here - half, 0)
    found: Array = np.take(sums, high, axis=axis) - np.take(sums, low, axis=axis)
    return found


def opened(mask: Array, size: tuple[int, int, int]) -> Array:
    """Eroded, then dilated, by an ellipsoid of ``size`` (i, j, k) (vtkImageOpenClose3D)."""
    return _near_content(mask, size, lambda part: _open_close(part, size, opening=True))


def closed(mask: Array, size: tuple[int, int, int]) -> Array:
    """Dilated, then eroded, by an ellipsoid of ``size`` (i, j, k) (vtkImageOpenClose3D)."""
    return _near_content(mask, size, lambda part: _open_close(part, size, opening=False))


def _open_close(mask: Array, size: tuple[int, int, int], *, opening: bool) -> Array:
    from vtkmodules.vtkImagingMorphological import vtkImageOpenClose3D

    morphology = vtkImageOpenClose3D()
    morphology.SetInputData(_image(mask))
    morphology.SetOpenValue(1 if opening else 0)
    morphology.SetCloseValue(0 if opening else 1)
    morphology.SetKernelSize(*size)
    return _output(morphology, mask.shape) > 0


def gaussian(mask: Array, sigma: float, spacing: Spacing) -> Array:
    """Where a mask that is blurred by a Gaussian of ``sigma`` mm is at least one half (vtkImageGaussianSmooth)."""
    from vtkmodules.vtkImagingGeneral import vtkImageGaussianSmooth

    voxels = [sigma / each for each in spacing]

    def blurred(part: Array) -> Array:
        smooth = vtkImageGaussianSmooth()
        smooth.SetInputData(_image(part.astype(np.float32)))
        smooth.SetStandardDeviation(*voxels)
        smooth.SetRadiusFactor(_GAUSSIAN_RADIUS)
        # Rounding must not take a plane that is exactly half inside.
        return _output(smooth, part.shape) >= 0.5 - 1e-6

    return _near_content(mask, [int(_GAUSSIAN_RADIUS * each) + 1 for each in voxels], blurred)


def jointly_smoothed(labels: Array, count: int, factor: float) -> list[Array]:
    """Segments smoothed together, so that neighbours stay neighbours: their common surface, by Taubin's low pass.

    SegmentEditorSmoothingEffect.smoothMultipleSegments.

    Args:
        labels: [k, j, i], 1 to ``count``.
        factor: 0 to 1.

    Returns:
        A mask for each label.
    """
    from vtkmodules.vtkFiltersCore import vtkThreshold, vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteMarchingCubes
    from vtkmodules.vtkFiltersGeometry import vtkGeometryFilter
    from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

    # A rim of background closes surfaces at the edge of the grid.
    padded = np.pad(labels, 1)
    # Not vtkDiscreteFlyingEdges3D: its regions share no points, and would drift apart.
    surfaces = vtkDiscreteMarchingCubes()
    surfaces.SetInputData(_image(padded.astype(np.int32)))
    surfaces.GenerateValues(count, 1, count)
    low_pass = vtkWindowedSincPolyDataFilter()
    low_pass.SetInputConnection(surfaces.GetOutputPort())
    low_pass.SetNumberOfIterations(_TAUBIN_ROUNDS)
    low_pass.BoundarySmoothingOff()
    low_pass.FeatureEdgeSmoothingOff()
    low_pass.SetFeatureAngle(90.0)
    low_pass.SetPassBand(10.0 ** (-4.0 * factor))
    low_pass.NonManifoldSmoothingOn()
    low_pass.NormalizeCoordinatesOn()
    one = vtkThreshold()
    one.SetInputConnection(low_pass.GetOutputPort())
    one.SetThresholdFunction(vtkThreshold.THRESHOLD_BETWEEN)
    surface = vtkGeometryFilter()
    surface.SetInputConnection(one.GetOutputPort())
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputConnection(surface.GetOutputPort())
    k, j, i = padded.shape
    stencil.SetOutputWholeExtent(0, i - 1, 0, j - 1, 0, k - 1)
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    found = []
    for label in range(1, count + 1):
        if not (labels == label).any():
            found.append(np.zeros(labels.shape, bool))
            continue
        one.SetLowerThreshold(label)
        one.SetUpperThreshold(label)
        found.append(_output(image, padded.shape)[1:-1, 1:-1, 1:-1] > 0)
    return found


# -- distances -------------------------------------------------------------------------------------------------------


def margin(mask: Array, size: float, spacing: Spacing) -> Array:
    """A mask grown by ``size`` mm, or shrunk where it is negative (SegmentEditorMarginEffect, vtkITKImageMargin).

    Grown, it has all voxels whose centre is no further from the centre of one of its own; shrunk, it loses all whose
    centre is no further from the centre of one outside. What is outside of the grid does not count.
    """
    if size < 0:
        # Distances begin at the voxels of the border: growing the outside is exact, an inner margin is not.
        return mask & ~_with_margin(~mask, -size, spacing)
    pad = [int(np.ceil(size / each)) + 1 for each in spacing]
    return _near_content(mask, pad, lambda part: _with_margin(part, size, spacing))


def _with_margin(mask: Array, outer: float, spacing: Spacing, inner: float | None = None) -> Array:
    from slicer import vtkITKImageMargin  # type: ignore[import-not-found, unused-ignore]

    grow = vtkITKImageMargin()
    grow.SetInputData(_image(mask, spacing))
    grow.CalculateMarginInMMOn()
    # Distances are single precision: one that equals the margin is within it.
    grow.SetOuterMarginMM(outer + _ALMOST * min(spacing))
    if inner is not None:
        grow.SetInnerMarginMM(inner)
    return _output(grow, mask.shape) > 0 if mask.any() else np.zeros(mask.shape, bool)


def hollowed(mask: Array, thickness: float, surface: Shell, spacing: Spacing) -> Array:
    """A shell of ``thickness`` mm in place of a mask (SegmentEditorHollowEffect).

    Args:
        surface: which surface of the shell the present one becomes: its "inside" (the shell lies around it), the
            middle ("medial"), or its "outside" (the shell lies within).
    """
    voxel = min(spacing)
    outer, inner = {
        "inside": (thickness + 0.1 * voxel, 0.1 * voxel),
        "medial": (0.5 * thickness, -0.5 * thickness + 0.5 * voxel),
        "outside": (0.0, -thickness + voxel),
    }[surface]
    pad = [int(np.ceil(thickness / each)) + 2 for each in spacing]
    return _near_content(mask, pad, lambda part: _with_margin(part, outer, spacing, inner))


# -- islands ---------------------------------------------------------------------------------------------------------


def islands(mask: Array) -> Array:
    """Islands: voxels that touch by their faces; uint32 [k, j, i], 1 the largest, 2 the next (vtkITKIslandMath)."""
    from slicer import vtkITKIslandMath

    found = np.zeros(mask.shape, np.uint32)
    content, first = cropped_to_content(mask)
    if content.size:
        split = vtkITKIslandMath()
        split.SetInputData(_image(content.astype(np.uint32)))
        split.SetFullyConnected(False)
        split.SetMinimumSize(0)
        k, j, i = (slice(int(a), int(a) + n) for a, n in zip(first, content.shape, strict=True))
        found[k, j, i] = _output(split, content.shape)
    return found


# -- from seeds and slices -------------------------------------------------------------------------------------------


def grown(source: Array, seeds: Array, blocked: Array | None, locality: float) -> Array:
    """Seeds grown to where the source changes abruptly, all of the grid (SegmentEditorGrowFromSeedsEffect).

    Fast grow-cut (vtkImageGrowCutSegment; Zhu et al., IMIC 2014). It cannot be stopped: a job that is cancelled leaves
    it to itself.

    Args:
        source: intensities.
        seeds: labels, 0 where none is.
        blocked: where nothing may grow; None: nowhere.
        locality: what a distance of one voxel counts in units of intensity.
    """
    from slicer import vtkImageGrowCutSegment

    cut = vtkImageGrowCutSegment()
    cut.SetIntensityVolume(_image(source))
    cut.SetSeedLabelVolume(_image(seeds))
    if blocked is not None:
        cut.SetMaskVolume(_image(blocked))
    cut.SetDistancePenalty(locality)
    return _output(cut, source.shape)


def between_slices(labels: Array) -> Array:
    """Labels with the gaps between their slices filled (SegmentEditorFillBetweenSlicesEffect).

    Morphological contour interpolation (vtkITKMorphologicalContourInterpolator; Zukic et al., Insight Journal 2016), in
    the direction in which slices are missing.
    """
    from slicer import vtkITKMorphologicalContourInterpolator

    interpolate = vtkITKMorphologicalContourInterpolator()
    interpolate.SetInputData(_image(labels))
    return _output(interpolate, labels.shape)


def threshold_of(source: Array, method: str) -> float:
    """The threshold that a method of `AUTO_METHODS` finds in a histogram (vtkITKImageThresholdCalculator)."""
    from slicer import vtkITKImageThresholdCalculator

    calculator = vtkITKImageThresholdCalculator()
    getattr(calculator, f"SetMethodTo{AUTO_METHODS[method]}")()
    calculator.SetInputData(_image(source))
    calculator.Update()
    return float(calculator.GetThreshold())
