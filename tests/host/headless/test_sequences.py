"""Sequences of volumes in the scene: one block of memory, a proxy, and nothing left of one that failed."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from slicer_notebook.errors import ArgumentError, ArrayError, ItemNotFoundError
from slicer_notebook.host import sequences
from slicer_notebook.host.headless import HeadlessHost

AFFINE = np.array([[-1.0, 0, 0, 20], [0, -1, 0, 15], [0, 0, 2, -20], [0, 0, 0, 1]])


@pytest.fixture
def block() -> np.ndarray[Any, Any]:
    """int16 [4, 3, 5, 6] (t, k, j, i), every voxel different."""
    return np.arange(4 * 3 * 5 * 6, dtype=np.int16).reshape(4, 3, 5, 6)


def make(
    host: HeadlessHost, block: np.ndarray[Any, Any], indices: Any = (0.0, 2.5, 5.0, 7.5), name: str = "beat"
) -> tuple[Any, Any, Any]:
    builder = host.new_sequence(name, index_name="time", index_unit="s", indices=list(indices), block=block)
    while builder.left:
        builder.append(f"{name} {builder.left}", AFFINE, {"left": str(builder.left)})
    return builder.finish()


def test_items_are_parts_of_the_block_without_a_copy(host: HeadlessHost, slicer: Any, block: Any) -> None:
    sequence, browser, proxy = make(host, block)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit(), sequence.GetIndexTypeAsString()) == (
        "time",
        "s",
        "numeric",
    )
    assert [sequence.GetNthIndexValue(n) for n in range(4)] == ["0", "2.5", "5", "7.5"]
    for n in range(4):
        voxels = host.voxels(sequence.GetNthDataNode(n))
        assert voxels.ctypes.data == block[n].ctypes.data
        np.testing.assert_array_equal(voxels, block[n])
        np.testing.assert_array_equal(host.affine(sequence.GetNthDataNode(n)), AFFINE)
    assert host.sequence_voxels(sequence).ctypes.data == block.ctypes.data
    assert (sequence.GetName(), browser.GetName(), proxy.GetName()) == ("beat", "beat browser", "beat")
    assert proxy.GetAttribute("left") == "4"
    np.testing.assert_array_equal(host.voxels(proxy), block[0])


def test_the_block_lives_as_long_as_the_sequence(host: HeadlessHost, slicer: Any, block: Any) -> None:
    owner = np.arange(block.size, dtype=np.int16)
    alive = weakref.ref(owner)
    sequence = make(host, owner.reshape(block.shape))[0]
    del owner
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(host.sequence_voxels(sequence), block)
    host.remove_sequence(sequence)
    del sequence
    gc.collect()
    # VTK clears away what Python hung on a dead object when the next such object goes.
    slicer.mrmlScene.RemoveNode(host.add_volume(np.zeros((2, 2, 2)), np.eye(4), "next"))
    assert alive() is None


def test_items_that_were_given_other_voxels_are_not_read_from_the_block(
    host: HeadlessHost, slicer: Any, block: Any
) -> None:
    sequence = make(host, block)[0]
    host.set_voxels(sequence.GetNthDataNode(2), np.zeros((3, 5, 6), np.int16))
    views = host.sequence_voxels(sequence)
    assert isinstance(views, list)
    assert not views[2].any()
    host.set_voxels(sequence.GetNthDataNode(2), np.zeros((2, 2, 2), np.int16))
    with pytest.raises(ArrayError, match=r"\(2, 2, 2\)"):
        host.sequence_voxels(sequence)


def test_colour_is_marked_as_colour(host: HeadlessHost, slicer: Any) -> None:
    block = np.zeros((2, 1, 4, 5, 3), np.uint8)
    sequence, _, proxy = make(host, block, (0.0, 1.0))
    assert proxy.IsA("vtkMRMLVectorVolumeNode")
    item = sequence.GetNthDataNode(1)
    assert item.GetVoxelVectorType() == item.VoxelVectorTypeColorRGB
    assert host.sequence_voxels(sequence).shape == block.shape


def test_close_indices_stay_apart(host: HeadlessHost, slicer: Any, block: Any) -> None:
    sequence = make(host, block, (0.0, 1e-5, 2e-5, 1.0))[0]
    assert sequence.GetNumberOfDataNodes() == 4
    assert sequence.GetItemNumberFromIndexValue("2e-05") == 2


def test_text_indices_keep_their_order(host: HeadlessHost, slicer: Any, block: Any) -> None:
    sequence = make(host, block, ("b", "a", "10", "9"))[0]
    assert sequence.GetIndexTypeAsString() == "text"
    assert [sequence.GetNthIndexValue(n) for n in range(4)] == ["b", "a", "10", "9"]
    np.testing.assert_array_equal(host.voxels(sequence.GetNthDataNode(2)), block[2])


@pytest.mark.parametrize(
    ("indices", "error"),
    [((0.0, 1.0, 1.0, 2.0), ArrayError), ((0.0, 1.0, 2.0), ArrayError), ((3.0, 2.0, 1.0, 0.0), ArgumentError)],
)
def test_indices_that_would_lose_or_sort_items_are_refused(
    host: HeadlessHost, slicer: Any, block: Any, indices: Any, error: type[Exception]
) -> None:
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(error):
        make(host, block, indices)
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_stepping_changes_the_proxy_and_keeps_its_window(host: HeadlessHost, slicer: Any, block: Any) -> None:
    sequence, _, proxy = make(host, block)
    proxy.GetDisplayNode().SetAutoWindowLevel(0)
    proxy.GetDisplayNode().SetWindowLevel(50, 20)
    host.select_item(sequence, 2)
    np.testing.assert_array_equal(host.voxels(proxy), block[2])
    assert (proxy.GetDisplayNode().GetWindow(), proxy.GetDisplayNode().GetLevel()) == (50, 20)
    for number in (-1, 4):
        with pytest.raises(ItemNotFoundError, match="0 to 3"):
            host.select_item(sequence, number)


def test_units_are_on_items_and_proxy_and_stay_there(host: HeadlessHost, slicer: Any, block: Any) -> None:
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    builder = host.new_sequence("ct", index_name="time", index_unit="s", indices=[0.0, 1.0, 2.0, 3.0], block=block)
    builder.template.SetVoxelValueUnits(units)
    while builder.left:
        builder.append("ct", AFFINE, {})
    sequence, _, proxy = builder.finish()
    for number in (0, 3, 1):
        host.select_item(sequence, number)
        assert sequence.GetNthDataNode(number).GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"
        assert proxy.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"
    assert proxy.GetVoxelValueQuantity() is None


def test_a_sequence_of_another_maker_gets_a_browser_when_it_needs_one(
    host: HeadlessHost, slicer: Any, volume: Any, array: Any
) -> None:
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "own")
    with pytest.raises(ArgumentError, match="empty"):
        host.sequence_proxy(sequence)
    for n in range(3):
        sequence.SetDataNodeAtValue(volume, str(n))
    assert host.sequence_proxy(sequence).IsA("vtkMRMLScalarVolumeNode")
    assert len(host.nodes("vtkMRMLSequenceBrowserNode")) == 1
    views = host.sequence_voxels(sequence)
    assert isinstance(views, list)
    np.testing.assert_array_equal(np.stack(views), np.stack([array] * 3))


def test_a_sequence_of_transforms_has_no_voxels(host: HeadlessHost, slicer: Any) -> None:
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "moves")
    sequence.SetDataNodeAtValue(slicer.vtkMRMLLinearTransformNode(), "0")
    with pytest.raises(ArgumentError, match="volumes"):
        host.sequence_voxels(sequence)
    assert host.sequence_proxy(sequence).IsA("vtkMRMLLinearTransformNode")


def test_removing_takes_proxy_and_browser_along_but_not_what_others_use(
    host: HeadlessHost, slicer: Any, block: Any
) -> None:
    before = [node.GetID() for node in host.nodes()]
    first = make(host, block, name="first")[0]
    second, browser, _ = make(host, block + 1, name="second")
    host.remove_sequence(first)
    assert [node.GetName() for node in host.nodes("vtkMRMLVolumeNode")] == ["second"]
    third = make(host, block + 2, name="third")[0]
    browser.AddSynchronizedSequenceNode(third)
    host.remove_sequence(second)
    assert browser.GetScene() is not None
    host.remove_sequence(third)
    assert [node.GetID() for node in host.nodes()] == before


def test_a_block_that_fails_leaves_nothing_behind(host: HeadlessHost, slicer: Any, block: Any) -> None:
    before = [node.GetID() for node in host.nodes()]

    def fail() -> None:
        with host.all_or_nothing():
            sequence, browser, proxy = make(host, block)
            volume = host.add_volume(block[0], AFFINE, "one")
            for node, beside in ((volume, []), (sequence, [browser, proxy])):
                host.place_series(
                    node,
                    patient_id="P",
                    study_uid="1.2",
                    series_uid="1.2.3",
                    patient={},
                    study={},
                    series={},
                    beside=beside,
                )
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [node.GetID() for node in host.nodes()] == before
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemByUID("DICOM", "1.2") == hierarchy.GetInvalidItemID()
    assert hierarchy.GetItemByUID("DICOM", "P") == hierarchy.GetInvalidItemID()


def test_what_was_there_survives_a_block_that_fails(host: HeadlessHost, slicer: Any, block: Any, volume: Any) -> None:
    where = {"patient_id": "P", "study_uid": "1.2", "series_uid": "1.2.3", "patient": {}, "study": {}, "series": {}}
    host.place_series(volume, **where)

    def fail() -> None:
        with host.all_or_nothing():
            host.place_series(host.add_volume(block[0], AFFINE, "one"), **where)
            host.add_volume(block[1], AFFINE[:3], "bad")

    with pytest.raises(ArrayError):
        fail()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert host.nodes("vtkMRMLScalarVolumeNode") == [volume]
    study = hierarchy.GetItemByUID("DICOM", "1.2")
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume)) == study


def test_several_nodes_of_one_series_are_all_below_its_study(host: HeadlessHost, slicer: Any, block: Any) -> None:
    where = {"patient_id": "P", "study_uid": "1.2", "series_uid": "1.2.3", "patient": {}, "study": {}, "series": {}}
    nodes = [host.add_volume(block[n], AFFINE, f"v{n}") for n in range(3)]
    sequence, browser, proxy = make(host, block)
    for node in nodes:
        host.place_series(node, **where)
    host.place_series(sequence, **where, beside=[browser, proxy])
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.GetItemByUID("DICOM", "1.2")
    for node in (*nodes, sequence, browser, proxy):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study, node.GetName()


def test_many_items_are_looked_up_by_number(host: HeadlessHost, slicer: Any, block: Any) -> None:
    sequence = make(host, block)[0]
    assert sequences.item(sequence, 3) is sequence.GetNthDataNode(3)
    with pytest.raises(ItemNotFoundError):
        sequences.item(sequence, 4)
