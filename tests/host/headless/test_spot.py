"""What lies under the pointer in a slice view, against the arrays that were put there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.spot import spot_at
from slicer_notebook.protocol import messages
from tests.host.headless.conftest import AFFINE


@pytest.fixture
def red(host: HeadlessHost, volume: Any) -> Any:
    view = host.view("Red")
    view.size = (400, 300)
    view.offset = 0.0
    view.image()
    return view


def pixel_of(view: Any, ras: Any) -> tuple[int, int]:
    inverse = view.node.GetXYToRAS().__class__()
    inverse.DeepCopy(view.node.GetXYToRAS())
    inverse.Invert()
    x, y = inverse.MultiplyPoint((*ras, 1.0))[:2]
    return round(x), round(y)


def at(view: Any, ras: Any) -> messages.Spot:
    found = spot_at(view, pixel_of(view, ras))
    assert found is not None
    return found


def ras_of(*ijk: float) -> Any:
    return (AFFINE @ [*ijk, 1])[:3]


@pytest.mark.parametrize("ijk", [(0, 0, 10), (39, 29, 10), (7, 22, 10)])
def test_place_and_value_of_a_voxel(red: Any, array: Any, ijk: tuple[int, int, int]) -> None:
    found = at(red, ras_of(*ijk))
    assert np.allclose(
        found.ras, ras_of(*ijk), atol=0.6 * np.linalg.norm(red.node.GetXYToRAS().MultiplyPoint((1, 0, 0, 0)))
    )
    i, j, k = ijk
    (value,) = found.volumes
    assert (value.layer, value.name, value.value, value.unit) == ("background", "MRHead", str(array[k, j, i]), "")


def test_every_pixel_has_the_voxel_that_is_nearest(red: Any, array: Any) -> None:
    to_ras = np.array([red.node.GetXYToRAS().GetElement(n // 4, n % 4) for n in range(16)]).reshape(4, 4)
    to_ijk = np.linalg.inv(AFFINE) @ to_ras
    seen = 0
    for x, y in np.random.default_rng(1).integers(0, (400, 300), (200, 2)).tolist():
        i, j, k = np.floor((to_ijk @ [x, y, 0, 1])[:3] + 0.5).astype(int)
        inside = 0 <= i < 40 and 0 <= j < 30
        found = spot_at(red, (x, y))
        assert found is not None
        assert [each.value for each in found.volumes] == ([str(array[k, j, i])] if inside else [])
        seen += inside
    assert 50 < seen < 200


def test_the_unit_and_parts_of_a_whole(slicer: Any, red: Any) -> None:
    pet = slicer.util.addVolumeFromArray(np.full((20, 30, 40), 2.5, np.float32), ijkToRAS=AFFINE, name="PET")
    labels = slicer.util.addVolumeFromArray(
        np.full((20, 30, 40), 2, np.uint8), ijkToRAS=AFFINE, name="Labels", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    ct = slicer.mrmlScene.GetFirstNodeByName("MRHead")
    for node, code in ((ct, "[hnsf'U]"), (pet, "g/ml{SUVbw}")):
        entry = slicer.vtkCodedEntry()
        entry.SetValueSchemeMeaning(code, "UCUM", "in words")
        node.SetVoxelValueUnits(entry)
    slicer.util.setSliceViewerLayers(foreground=pet, label=labels)
    found = at(red, ras_of(3, 4, 10))
    color = labels.GetDisplayNode().GetColorNode().GetColorName(2)
    assert [(each.layer, each.name, each.value, each.unit) for each in found.volumes] == [
        ("label", "Labels", f"{color} (2)", ""),
        ("foreground", "PET", "2.5", "g/ml{SUVbw}"),
        ("background", "MRHead", str(3 + 40 * 4 + 3 * 10), "HU"),
    ]


def test_a_colour_image_and_one_of_many_components(slicer: Any, red: Any) -> None:
    colours = slicer.util.addVolumeFromArray(
        np.tile(np.array([1, 2, 3], np.uint8), (20, 30, 40, 1)),
        ijkToRAS=AFFINE,
        nodeClassName="vtkMRMLVectorVolumeNode",
    )
    many = slicer.util.addVolumeFromArray(
        np.zeros((20, 30, 40, 5), np.uint8), ijkToRAS=AFFINE, nodeClassName="vtkMRMLVectorVolumeNode"
    )
    for node, text in ((colours, "1, 2, 3"), (many, "5 components")):
        slicer.util.setSliceViewerLayers(background=node)
        assert [each.value for each in at(red, ras_of(3, 4, 10)).volumes] == [text]


def test_segments_that_are_seen_there(slicer: Any, volume: Any, red: Any) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, columns in (("liver", slice(5, 15)), ("<b>tumour</b>", slice(12, 20))):
        node.GetSegmentation().AddEmptySegment(name, name)
        mask = np.zeros((20, 30, 40), np.uint8)
        mask[:, :, columns] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, name, volume)
    node.GetSegmentation().GetSegment("liver").SetColor(0.25, 0.5, 0.75)
    red.image()

    def names(i: int) -> list[str]:
        return [each.name for each in at(red, ras_of(i, 8, 10)).segments]

    assert [names(i) for i in (2, 8, 13, 18)] == [[], ["liver"], ["liver", "<b>tumour</b>"], ["<b>tumour</b>"]]
    (liver,) = at(red, ras_of(8, 8, 10)).segments
    assert (liver.color, liver.segmentation) == ((0.25, 0.5, 0.75), "Organs")
    node.GetDisplayNode().SetSegmentVisibility("liver", False)
    assert names(13) == ["<b>tumour</b>"]
    node.GetDisplayNode().SetVisibility(False)
    assert names(13) == []


def test_a_moved_volume_is_read_where_it_is_seen(slicer: Any, volume: Any, red: Any, array: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 5.0
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    red.image()
    found = at(red, ras_of(7, 22, 10))
    assert [each.value for each in found.volumes] == [str(array[10, 22, 12])]


def test_without_a_volume_there_is_the_place_and_in_3d_nothing(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    slicer.mrmlScene.RemoveNode(volume)
    view = host.view("Red")
    view.image()
    found = spot_at(view, (10, 10))
    assert found is not None
    assert (found.volumes, found.segments) == ([], [])
    assert spot_at(host.view("1"), (10, 10)) is None
