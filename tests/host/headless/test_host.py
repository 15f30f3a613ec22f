"""The Host interface of the headless Slicer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicer_notebook.errors import (
    ArgumentError,
    FileFormatError,
    PathNotFoundError,
    ViewNotFoundError,
)
from slicer_notebook.host.headless import HeadlessHost, start


def test_there_is_one_host_in_a_process(host: HeadlessHost) -> None:
    assert start() is host


def test_info_names_versions_and_what_draws(host: HeadlessHost) -> None:
    info = host.info()
    assert info["slicer_core"].startswith(info["slicer"])
    assert {"trame_slicer", "vtk", "python"} <= set(info)
    assert info["renderer"]["backend"] in ("EGL", "OSMesa")
    assert info["renderer"]["version"]


def test_four_up_has_three_slice_views_and_a_3d_view(host: HeadlessHost, slicer: Any) -> None:
    assert sorted(host.view_names()) == ["1", "Green", "Red", "Yellow"]
    assert [host.view(name).node.GetID() for name in ("Red", "Yellow", "Green", "1")] == [
        "vtkMRMLSliceNodeRed",
        "vtkMRMLSliceNodeYellow",
        "vtkMRMLSliceNodeGreen",
        "vtkMRMLViewNode1",
    ]
    assert [host.view(name).orientation for name in ("Red", "Yellow", "Green")] == ["Axial", "Sagittal", "Coronal"]
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed") is not None


@pytest.mark.parametrize("name", ["1", "3D", "ThreeD", "View1", "vtkMRMLViewNode1"])
def test_the_3d_view_answers_to_several_names(host: HeadlessHost, slicer: Any, name: str) -> None:
    assert host.view(name).kind == "3d"


def test_an_unknown_view_is_refused_with_the_names_there_are(host: HeadlessHost, slicer: Any) -> None:
    with pytest.raises(ViewNotFoundError, match="Red") as caught:
        host.view("Blue")
    assert "'Blue'" in str(caught.value)


def test_the_layout_is_set_by_name(host: HeadlessHost, slicer: Any) -> None:
    host.layout = "OneUpRedSlice"
    assert host.layout == "OneUpRedSlice"
    assert host.view_names() == ["Red"]
    host.layout = "dual3d"
    assert host.layout == "Dual3D"
    assert [host.view(name).kind for name in host.view_names()].count("3d") == 2
    with pytest.raises(ArgumentError, match="FourUp"):
        host.layout = "SevenUp"


def test_slice_views_have_offset_range_and_step(host: HeadlessHost, volume: Any) -> None:
    red = host.view("Red")
    assert red.offset_step == 2.0
    assert red.offset_range == (-20.0, 18.0)
    red.offset = 4.0
    assert red.offset == 4.0
    red.orientation = "Coronal"
    assert red.orientation == "Coronal"
    assert red.offset_step == 1.0
    red.orientation = "Axial"
    with pytest.raises(ArgumentError, match="Sagittal"):
        red.orientation = "Upside down"


@pytest.mark.parametrize("attribute", ["offset", "offset_range", "offset_step", "orientation"])
def test_the_3d_view_has_no_slice(host: HeadlessHost, slicer: Any, attribute: str) -> None:
    with pytest.raises(ArgumentError, match="slice view"):
        getattr(host.view("1"), attribute)


def test_load_and_save(host: HeadlessHost, slicer: Any, volume: Any, array: Any, tmp_path: Path) -> None:
    host.save(volume, str(tmp_path / "head.nrrd"))
    (loaded,) = host.load(str(tmp_path / "head.nrrd"))
    assert loaded.GetName() == "head"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), array)
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").GetBackgroundVolumeID() == loaded.GetID()


def test_paths_that_do_not_exist_are_refused(host: HeadlessHost, volume: Any, tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"nothing\.nrrd"):
        host.load(str(tmp_path / "nothing.nrrd"))
    with pytest.raises(PathNotFoundError, match="nowhere"):
        host.save(volume, str(tmp_path / "nowhere" / "head.nrrd"))
    with pytest.raises(PathNotFoundError, match="nowhere"):
        host.save_scene(str(tmp_path / "nowhere" / "scene.mrb"))
    with pytest.raises(FileFormatError, match="mrb"):
        host.save_scene(str(tmp_path / "scene.zip"))


def test_show_volume_puts_it_into_all_slice_views(host: HeadlessHost, slicer: Any, array: Any) -> None:
    node = slicer.util.addVolumeFromArray(array, name="shown")
    host.show_volume(node)
    for name in ("Red", "Yellow", "Green"):
        composite = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}")
        assert composite.GetBackgroundVolumeID() == node.GetID()
        assert host.view(name).image().max() > 0


def test_a_label_map_goes_to_the_label_layer(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    labels = slicer.util.addVolumeFromArray(
        np.ones((20, 30, 40), np.uint8), name="labels", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    host.show_volume(labels)
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetLabelVolumeID() == labels.GetID()
    assert composite.GetBackgroundVolumeID() == volume.GetID()


def test_clear_leaves_views_and_layout(host: HeadlessHost, slicer: Any, volume: Any, ball: Any) -> None:
    before = {name: host.view(name).node for name in host.view_names()}
    host.clear()
    assert {name: host.view(name).node for name in host.view_names()} == before
    assert host.layout == "FourUp"
    assert [host.view(name).orientation for name in ("Red", "Yellow", "Green")] == ["Axial", "Sagittal", "Coronal"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert host.view("Red").image().max() == 0
    again = slicer.util.addVolumeFromArray(np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10))
    host.show_volume(again)
    assert host.view("Red").image().max() > 0
    assert host.view("1").image().std() > 0
    assert host.view("1").camera_node.GetScene() is slicer.mrmlScene


def test_colours_and_display_are_slicers(slicer: Any, volume: Any) -> None:
    display = volume.GetDisplayNode()
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    assert display.GetAutoWindowLevel()
    low, high = slicer.util.arrayFromVolume(volume).min(), slicer.util.arrayFromVolume(volume).max()
    assert low <= display.GetLevel() <= high
    assert 0.9 * (high - low) <= display.GetWindow() <= high - low
