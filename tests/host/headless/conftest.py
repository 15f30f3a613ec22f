"""The headless Slicer of the test process, and things to put into its scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slicer_notebook.host.headless import HeadlessHost, start
from slicer_notebook.host.headless.views import DEFAULT_SIZE

#: IJK→RAS of the fixture volume, mm: axes of a scanner (LPS), 1 x 1 x 2 mm.
AFFINE = np.array([[-1.0, 0, 0, 20], [0, -1, 0, 15], [0, 0, 2, -20], [0, 0, 0, 1]])


@pytest.fixture(scope="session")
def host() -> HeadlessHost:
    return start()


@pytest.fixture
def slicer(host: HeadlessHost) -> Any:
    """The ``slicer`` module with an empty scene in the four-up layout."""
    host.clear()
    host.layout = "FourUp"
    for view in host.application.layout.all_views():
        view.size = DEFAULT_SIZE
    host.drain_vtk()
    return host.slicer


@pytest.fixture
def array() -> np.ndarray[Any, Any]:
    """int16 [20, 30, 40] (k, j, i) whose value tells the voxel: i + 40 j + 3 k."""
    k, j, i = np.mgrid[0:20, 0:30, 0:40]
    return (i + 40 * j + 3 * k).astype(np.int16)


@pytest.fixture
def volume(slicer: Any, array: np.ndarray[Any, Any]) -> Any:
    """A scalar volume "MRHead" with `array` and `AFFINE`, shown in the slice views."""
    node = slicer.util.addVolumeFromArray(array, ijkToRAS=AFFINE, name="MRHead")
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


@pytest.fixture
def ball(slicer: Any) -> Any:
    """A model "ball": a sphere of radius 10 mm around (1, 2, 3) mm RAS."""
    import vtk

    source = vtk.vtkSphereSource()
    source.SetCenter(1, 2, 3)
    source.SetRadius(10)
    source.SetPhiResolution(40)
    source.SetThetaResolution(40)
    source.Update()
    node = slicer.modules.models.logic().AddModel(source.GetOutput())
    node.SetName("ball")
    return node


@pytest.fixture
def points(slicer: Any) -> Any:
    """A point list "F" of three points, mm RAS."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    slicer.util.updateMarkupsControlPointsFromArray(node, np.array([[1.0, 2, 3], [11, 2, 3], [1, 12, 3]]))
    return node


@pytest.fixture
def segmentation(slicer: Any, volume: Any) -> Any:
    """A segmentation "Segmentation" on the volume's grid: "Segment_1" is a box of 3 x 4 x 5 voxels (k, j, i)."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("Segment_1", "Segment_1")
    box = np.zeros((20, 30, 40), np.uint8)
    box[4:7, 10:14, 20:25] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(box, node, "Segment_1", volume)
    return node
