"""Items of the subject hierarchy follow the nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook.host.headless import HeadlessHost


def _tree(slicer: Any, item: int | None = None) -> dict[str, Any]:
    """Names below ``item`` (the scene), each with what is below it."""
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    children = slicer.util.getSubjectHierarchyItemChildren(item)
    return {node.GetItemName(each): _tree(slicer, each) for each in children}


def test_nodes_get_items_of_their_plugins(slicer: Any, volume: Any, ball: Any, points: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert _tree(slicer) == {"MRHead": {}, "ball": {}, "F": {}}
    assert node.GetItemOwnerPluginName(node.GetItemByDataNode(volume)) == "Volumes"
    assert node.GetItemOwnerPluginName(node.GetItemByDataNode(ball)) == "Models"
    assert node.GetItemOwnerPluginName(node.GetItemByDataNode(points)) == "Markups"


def test_views_and_hidden_nodes_get_none(slicer: Any) -> None:
    hidden = slicer.vtkMRMLModelNode()
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(hidden)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
    excluded = slicer.vtkMRMLModelNode()
    excluded.SetAttribute(
        slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyExcludeFromTreeAttributeName(), "1"
    )
    slicer.mrmlScene.AddNode(excluded)
    assert _tree(slicer) == {}


def test_items_are_renamed_and_removed_with_their_nodes(slicer: Any, volume: Any, ball: Any) -> None:
    volume.SetName("renamed")
    slicer.mrmlScene.RemoveNode(ball)
    assert _tree(slicer) == {"renamed": {}}


def test_segments_are_below_their_segmentation(slicer: Any, segmentation: Any) -> None:
    inner = segmentation.GetSegmentation()
    inner.AddEmptySegment("second", "Liver")
    assert _tree(slicer)["Segmentation"] == {"Segment_1": {}, "Liver": {}}
    inner.GetSegment("second").SetName("Spleen")
    inner.RemoveSegment("Segment_1")
    assert _tree(slicer)["Segmentation"] == {"Spleen": {}}


def test_children_of_a_removed_node_stay(slicer: Any, volume: Any, ball: Any) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    node.SetItemParent(node.GetItemByDataNode(ball), node.GetItemByDataNode(volume))
    assert _tree(slicer) == {"MRHead": {"ball": {}}}
    slicer.mrmlScene.RemoveNode(volume)
    assert _tree(slicer) == {"ball": {}}


def test_dicom_series_go_below_patient_and_study(host: HeadlessHost, slicer: Any, volume: Any, array: Any) -> None:
    second = slicer.util.addVolumeFromArray(array, name="second")
    for number, node in enumerate((volume, second)):
        host.application.subject_hierarchy.place_series(
            node,
            patient_id="P1",
            study_uid="1.2",
            series_uid=f"1.2.{number}",
            patient={"PatientName": "Doe^Jane", "PatientID": "P1"},
            study={"StudyDescription": "Head", "StudyDate": "20200102"},
            series={"Modality": "MR"},
        )
    assert _tree(slicer) == {"Doe^Jane (P1)": {"Head (20200102)": {"MRHead": {}, "second": {}}}}
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = node.GetItemByUID("DICOM", "1.2.0")
    assert node.GetItemDataNode(item) is volume
    assert node.GetItemAttribute(item, "DICOM.Modality") == "MR"
    study = node.GetItemParent(item)
    assert node.GetItemLevel(study) == "Study"
    assert node.GetItemLevel(node.GetItemParent(study)) == "Patient"


def test_a_scenes_own_hierarchy_is_kept(
    host: HeadlessHost, slicer: Any, volume: Any, segmentation: Any, tmp_path: Path
) -> None:
    node = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = node.CreateFolderItem(node.GetSceneItemID(), "folder")
    node.SetItemParent(node.GetItemByDataNode(volume), folder)
    before = _tree(slicer)
    assert before == {"Segmentation": {"Segment_1": {}}, "folder": {"MRHead": {}}}
    host.save_scene(str(tmp_path / "scene.mrb"))
    del node
    host.clear()
    assert _tree(slicer) == {}
    host.load(str(tmp_path / "scene.mrb"))
    assert _tree(slicer) == before
    host.load(str(tmp_path / "scene.mrb"), None, {"clear": True})
    assert _tree(slicer) == before
    assert [text for level, text in host.drain_vtk() if level == "error"] == []


def test_nodes_of_a_batch_get_items_too(slicer: Any) -> None:
    scene = slicer.mrmlScene
    scene.StartState(scene.BatchProcessState)
    slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.int16), name="batched")
    scene.EndState(scene.BatchProcessState)
    assert _tree(slicer) == {"batched": {}}
