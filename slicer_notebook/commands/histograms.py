"""The histogram of a volume, counted on a worker."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.volumes import VOLUME
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array

#: Voxels that are counted in one go: some 10 ms.
_SLAB: Final = 4_000_000


@command("volume.histogram", thread="worker", journal=False)
def histogram(host: Host, node: NodeLike, bins: int = 256, most: int | None = None) -> tuple[Array, Array]:
    """(counts int64 [bins], edges float64 [bins + 1]) over all finite voxels, or over some.

    Args:
        most: at most about so many voxels are looked at, evenly taken along all axes; 16-bit and smaller integers are
            counted whole, which takes less time than that.

    Raises:
        ArgumentError: fewer than 1 or more than 65536 bins, or no voxel to look at.
    """
    if not 1 <= bins <= 65536:
        raise ArgumentError("The number of bins does not fit.", expected="1 to 65536", got=str(bins))
    if most is not None and most < 1:
        raise ArgumentError("The number of voxels does not fit.", expected="1 or more", got=str(most))

    voxels = context.current().on_main(lambda: host.voxels(host.node(node, VOLUME)))
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= 2:
        values, each = _count_values(voxels)
        return np.histogram(values, bins=bins, range=(values[0], values[-1]), weights=each)
    step = 1 if most is None else max(1, math.ceil((voxels.size / most) ** (1 / 3)))
    some = voxels[::step, ::step, ::step]
    finite = some if voxels.dtype.kind in "iu" else some[np.isfinite(some)]
    return np.histogram(finite, bins=bins)


def _count_values(voxels: Array) -> tuple[Array, Array]:
    """(values from the smallest to the largest, how often each occurs), int64; of integers of 8 or 16 bits.

    By VTK, which takes a quarter of numpy's time, and a slab at a time: while it counts no other thread runs.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkImagingStatistics import vtkImageHistogram

    limits = np.iinfo(voxels.dtype)
    counts = np.zeros(int(limits.max) - int(limits.min) + 1, np.int64)
    flat = voxels.reshape(-1)
    for first in range(0, flat.size, _SLAB):
        context.current().check()
        slab = flat[first : first + _SLAB]
        image = vtkImageData()
        image.SetDimensions(slab.size, 1, 1)
        image.GetPointData().SetScalars(numpy_to_vtk(slab, deep=False))
        counter = vtkImageHistogram()
        counter.SetInputData(image)
        counter.AutomaticBinningOff()
        counter.SetNumberOfBins(counts.size)
        counter.SetBinOrigin(int(limits.min))
        counter.SetBinSpacing(1)
        counter.GenerateHistogramImageOff()
        counter.Update()
        counts += vtk_to_numpy(counter.GetHistogram())
    there = np.flatnonzero(counts)
    chosen = slice(there[0], there[-1] + 1)
    return np.arange(int(limits.min), int(limits.max) + 1)[chosen], counts[chosen]
