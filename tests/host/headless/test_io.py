# ruff: noqa: PLR0917 - fixtures
"""Files of every kind that the headless Slicer reads and writes."""

from __future__ import annotations

import json
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slicer_notebook.errors import CommandError, FileFormatError
from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.headless.io.readers import READERS

from .conftest import AFFINE


def _affine(slicer: Any, node: Any) -> np.ndarray[Any, Any]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.asarray(slicer.util.arrayFromVTKMatrix(matrix))


@pytest.mark.parametrize("extension", [".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz"])
def test_volumes(host: HeadlessHost, slicer: Any, volume: Any, array: Any, tmp_path: Path, extension: str) -> None:
    path = str(tmp_path / f"head{extension}")
    host.save(volume, path)
    (loaded,) = host.load(path)
    assert loaded.GetName() == "head"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), array)
    np.testing.assert_allclose(_affine(slicer, loaded), AFFINE)
    assert loaded.GetStorageNode().GetFileName() == path


def test_a_volumes_properties(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "head.nrrd")
    host.save(volume, path)
    (labels,) = host.load(path, "VolumeFile", {"labelmap": True, "name": "mask", "show": False})
    assert labels.GetClassName() == "vtkMRMLLabelMapVolumeNode"
    assert labels.GetName() == "mask"
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").GetLabelVolumeID() is None
    (centred,) = host.load(path, None, {"center": True})
    bounds = [0.0] * 6
    centred.GetRASBounds(bounds)
    assert bounds[0] == pytest.approx(-bounds[1])
    (coloured,) = host.load(path, None, {"colorNodeID": "vtkMRMLColorTableNodeRainbow"})
    assert coloured.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeRainbow"


def test_compression_is_a_property(host: HeadlessHost, slicer: Any, tmp_path: Path) -> None:
    node = slicer.util.addVolumeFromArray(np.zeros((30, 30, 30), np.int16))
    host.save(node, str(tmp_path / "small.nrrd"), {"useCompression": True})
    host.save(node, str(tmp_path / "large.nrrd"), {"useCompression": False})
    assert (tmp_path / "large.nrrd").stat().st_size > 30**3 * 2
    assert (tmp_path / "small.nrrd").stat().st_size < 2000


@pytest.mark.parametrize("extension", [".stl", ".obj", ".ply", ".vtk", ".vtp"])
def test_models(host: HeadlessHost, ball: Any, tmp_path: Path, extension: str) -> None:
    path = str(tmp_path / f"ball{extension}")
    host.save(ball, path)
    (loaded,) = host.load(path)
    assert loaded.GetClassName() == "vtkMRMLModelNode"
    bounds, expected = [0.0] * 6, [0.0] * 6
    loaded.GetBounds(bounds)
    ball.GetBounds(expected)
    assert bounds == pytest.approx(expected, abs=1e-3)  # LPS in the file, RAS in the scene, both ways
    assert loaded.GetDisplayNode() is not None


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nrrd", ".seg.vtm"])
def test_segmentations(
    host: HeadlessHost, slicer: Any, segmentation: Any, volume: Any, tmp_path: Path, extension: str
) -> None:
    path = str(tmp_path / f"seg{extension}")
    if extension == ".seg.vtm":
        segmentation.CreateClosedSurfaceRepresentation()
        segmentation.SetSourceRepresentationToClosedSurface()
    host.save(segmentation, path)
    (loaded,) = host.load(path, "SegmentationFile")
    assert list(loaded.GetSegmentation().GetSegmentIDs()) == ["Segment_1"]
    if extension == ".seg.vtm":
        import vtk

        surface = vtk.vtkPolyData()
        loaded.GetClosedSurfaceRepresentation("Segment_1", surface)
        # The box is 5 x 4 x 3 voxels of 1 x 1 x 2 mm, and smoothed.
        assert surface.GetCenter() == pytest.approx((20 - 22, 15 - 11.5, -20 + 10), abs=0.2)
    else:
        assert slicer.util.arrayFromSegmentBinaryLabelmap(loaded, "Segment_1", volume).sum() == 60


def test_a_segmentation_from_a_model_file(host: HeadlessHost, slicer: Any, ball: Any, tmp_path: Path) -> None:
    host.save(ball, str(tmp_path / "ball.stl"))
    models = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    (loaded,) = host.load(str(tmp_path / "ball.stl"), "SegmentationFile")
    assert loaded.GetName() == "ball"
    assert loaded.GetSegmentation().GetNumberOfSegments() == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == models


@pytest.mark.parametrize("extension", [".mrk.json", ".json", ".fcsv"])
def test_point_lists(host: HeadlessHost, slicer: Any, points: Any, tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"F{extension}"
    host.save(points, str(path))
    (loaded,) = host.load(str(path))
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(loaded)[1], [11, 2, 3])
    if extension != ".fcsv":
        assert json.loads(path.read_text())["markups"][0]["coordinateSystem"] == "LPS"


@pytest.mark.parametrize("kind", ["Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI"])
def test_other_markups(host: HeadlessHost, slicer: Any, tmp_path: Path, kind: str) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", kind)
    path = str(tmp_path / f"{kind}.mrk.json")
    host.save(node, path)
    (loaded,) = host.load(path)
    assert loaded.GetClassName() == node.GetClassName()


@pytest.mark.parametrize("extension", [".tfm", ".h5", ".mat", ".txt"])
def test_transforms(host: HeadlessHost, slicer: Any, tmp_path: Path, extension: str) -> None:
    matrix = np.array([[0.0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T")
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    path = str(tmp_path / f"T{extension}")
    host.save(node, path)
    (loaded,) = host.load(path, "TransformFile")
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(loaded), matrix, atol=1e-9)


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".db"])
def test_tables(host: HeadlessHost, slicer: Any, tmp_path: Path, extension: str) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "numbers")
    slicer.util.updateTableFromArray(node, [np.arange(3.0), np.arange(3) * 2], ["a", "b"])
    path = str(tmp_path / f"numbers{extension}")
    host.save(node, path)
    (loaded,) = host.load(path)
    assert slicer.util.dataframeFromTable(loaded).to_dict("list") == {"a": [0.0, 1.0, 2.0], "b": [0, 2, 4]}


@pytest.mark.parametrize("extension", [".txt", ".xml", ".json"])
def test_texts(host: HeadlessHost, slicer: Any, tmp_path: Path, extension: str) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "note")
    node.SetText("zwölf\nlines")
    path = str(tmp_path / f"note{extension}")
    host.save(node, path)
    (loaded,) = host.load(path, "TextFile")
    assert loaded.GetText() == "zwölf\nlines"


@pytest.mark.parametrize("extension", [".ctbl", ".txt", ".csv"])
def test_colour_tables(host: HeadlessHost, slicer: Any, tmp_path: Path, extension: str) -> None:
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetNumberOfColors(3)
    for index, name in enumerate(("none", "liver", "spleen")):
        node.SetColor(index, name, index / 2, 0.5, 0.25, 1.0)
    slicer.mrmlScene.AddNode(node)
    path = str(tmp_path / f"organs{extension}")
    host.save(node, path)
    (loaded,) = host.load(path, "ColorTableFile")
    assert loaded.GetColorName(2) == "spleen"
    color = [0.0] * 4
    loaded.GetColor(2, color)
    assert color == pytest.approx([1.0, 0.5, 0.25, 1.0], abs=0.01)


@pytest.mark.parametrize("extension", [".vp", ".vp.json"])
def test_volume_properties(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path, extension: str) -> None:
    logic = slicer.modules.volumerendering.logic()
    node = logic.CreateDefaultVolumeRenderingNodes(volume).GetVolumePropertyNode()
    node.Copy(logic.GetPresetByName("CT-Bone"))
    path = str(tmp_path / f"bone{extension}")
    host.save(node, path)
    (loaded,) = host.load(path)
    assert loaded.GetScalarOpacity().GetSize() == node.GetScalarOpacity().GetSize() > 2


@pytest.mark.parametrize("extension", [".seg.nrrd", ".seq.nrrd", ".seq.mrb"])
def test_sequences(host: HeadlessHost, slicer: Any, volume: Any, array: Any, tmp_path: Path, extension: str) -> None:
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "beat")
    for step in range(3):
        slicer.util.updateVolumeFromArray(volume, array + step)
        sequence.SetDataNodeAtValue(volume, str(step))
    path = str(tmp_path / f"beat{extension}")
    if extension == ".seg.nrrd":
        host.save(sequence, path)  # ends in .nrrd: any NRRD name will do for a sequence
        path_to_load, file_type = path, "SequenceFile"
    else:
        host.save(sequence, path)
        path_to_load, file_type = path, None
    (loaded,) = host.load(path_to_load, file_type)
    assert loaded.GetNumberOfDataNodes() == 3
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(loaded)
    proxy = browser.GetProxyNode(loaded)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(proxy), array)
    browser.SetSelectedItemNumber(2)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(proxy), array + 2)
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").GetBackgroundVolumeID() == proxy.GetID()


def test_pictures_become_volumes(host: HeadlessHost, slicer: Any, tmp_path: Path) -> None:
    grey = (np.arange(12).reshape(3, 4) * 20).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey + 1).save(tmp_path / "grey2.png")
    Image.fromarray(np.full((3, 4, 3), 7, np.uint8)).save(tmp_path / "colour.bmp")
    (loaded,) = host.load(str(tmp_path / "grey.png"))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), grey[np.newaxis])
    np.testing.assert_allclose(_affine(slicer, loaded), np.diag([-1.0, -1.0, 1.0, 1.0]))
    stack = [str(tmp_path / "grey.png"), str(tmp_path / "grey2.png")]
    (loaded,) = host.load(stack[0], None, {"fileNames": stack})
    assert slicer.util.arrayFromVolume(loaded)[:, 0, 0].tolist() == [0, 1]
    (loaded,) = host.load(str(tmp_path / "colour.bmp"))
    assert loaded.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert slicer.util.arrayFromVolume(loaded).shape == (1, 3, 4, 3)
    with pytest.raises(FileFormatError, match="label map"):
        host.load(str(tmp_path / "colour.bmp"), None, {"labelmap": True})
    with pytest.raises(FileFormatError, match="one size"):
        host.load(stack[0], None, {"fileNames": [stack[0], str(tmp_path / "colour.bmp")]})


def test_scenes(
    host: HeadlessHost, slicer: Any, volume: Any, ball: Any, points: Any, segmentation: Any, array: Any, tmp_path: Path
) -> None:
    host.save_scene(str(tmp_path / "scene.mrb"))
    host.clear()
    loaded = {node.GetName(): node for node in host.load(str(tmp_path / "scene.mrb"))}
    assert {"MRHead", "ball", "F", "Segmentation"} <= set(loaded)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded["MRHead"]), array)
    assert loaded["Segmentation"].GetSegmentation().GetNumberOfSegments() == 1
    assert host.view("Red").image().max() > 0
    again = host.load(str(tmp_path / "scene.mrb"))  # into the scene that is there: everything twice
    assert len([node for node in again if node.GetName() == "MRHead"]) == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
    host.load(str(tmp_path / "scene.mrb"), None, {"clear": True})
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert [text for level, text in host.drain_vtk() if level == "error"] == []


def test_a_scene_file_keeps_paths_of_its_data(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    host.save(volume, str(tmp_path / "head.nrrd"))
    host.save_scene(str(tmp_path / "scene.mrml"))
    host.clear()
    loaded = host.load(str(tmp_path / "scene.mrml"))
    (node,) = [each for each in loaded if each.GetName() == "MRHead"]
    assert slicer.util.arrayFromVolume(node).shape == (20, 30, 40)


def test_a_bad_scene_does_not_spoil_the_next(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    host.save_scene(str(tmp_path / "good.mrb"))
    with zipfile.ZipFile(tmp_path / "empty.mrb", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with zipfile.ZipFile(tmp_path / "evil.mrb", "w") as archive:
        archive.writestr("../../evil.mrml", "<MRML/>")
    (tmp_path / "other.mrml").write_text("<html/>")
    for name in ("empty.mrb", "evil.mrb", "other.mrml"):
        with pytest.raises(FileFormatError, match=name):
            host.load(str(tmp_path / name))
    assert "MRHead" in {node.GetName() for node in host.load(str(tmp_path / "good.mrb"))}


@pytest.mark.parametrize("file_type", ["SceneFile", "SequenceFile", None])
def test_a_bundle_unpacks_into_its_own_folder(host: HeadlessHost, tmp_path: Path, file_type: str | None) -> None:
    """Slicer's unpacker follows names and links out of it; several readers use it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    link = zipfile.ZipInfo("b/Data")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.mrb", "w") as archive:
        archive.writestr("b/b.mrml", "<MRML/>")
        archive.writestr(link, str(outside))
        archive.writestr("b/Data/evil.txt", "evil")
    with zipfile.ZipFile(tmp_path / "path.mrb", "w") as archive:
        archive.writestr("b/b.mrml", "<MRML/>")
        archive.writestr(str(outside / "evil.txt"), "evil")
    with tarfile.open(tmp_path / "tar.mrb", "w") as archive_of_tar:
        (tmp_path / "evil.txt").write_text("evil")
        archive_of_tar.add(tmp_path / "evil.txt", str(outside / "evil.txt"))
    for name in ("link.mrb", "path.mrb", "tar.mrb"):
        with pytest.raises(FileFormatError, match=name):
            host.load(str(tmp_path / name), file_type)
    assert not list(outside.iterdir())


def test_a_scene_whose_data_is_gone_says_which(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    host.save(volume, str(tmp_path / "head.nrrd"))
    host.save_scene(str(tmp_path / "scene.mrml"))
    (tmp_path / "head.nrrd").unlink()
    with pytest.raises(FileFormatError, match="MRHead"):
        host.load(str(tmp_path / "scene.mrml"))


def test_a_table_from_a_database_does_not_spoil_the_scene(host: HeadlessHost, slicer: Any, tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "numbers")
    slicer.util.updateTableFromArray(node, [np.arange(3.0)], ["a"])
    host.save(node, str(tmp_path / "numbers.db"))
    host.load(str(tmp_path / "numbers.db"))
    host.save_scene(str(tmp_path / "scene.mrb"))
    assert len([each for each in host.load(str(tmp_path / "scene.mrb")) if each.IsA("vtkMRMLTableNode")]) == 2


def test_export_leaves_the_node_alone(host: HeadlessHost, slicer: Any, points: Any, tmp_path: Path) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 100
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    points.SetAndObserveTransformNodeID(transform.GetID())
    host.save(points, str(tmp_path / "mine.mrk.json"))
    assert slicer.util.exportNode(points, str(tmp_path / "world.mrk.json"), {}, world=True)
    assert points.GetStorageNode().GetFileName() == str(tmp_path / "mine.mrk.json")
    assert points.GetNthControlPointPosition(0) == (1, 2, 3)
    (loaded,) = host.load(str(tmp_path / "world.mrk.json"))
    assert loaded.GetNthControlPointPosition(0) == pytest.approx((101, 2, 3))


@pytest.mark.parametrize(
    "name",
    ["bad.nrrd", "bad.nii.gz", "bad.stl", "bad.obj", "bad.vtk", "bad.vtp", "bad.mrk.json", "bad.seg.nrrd", "bad.tfm",
     "bad.h5", "bad.seq.nrrd", "bad.mrb", "bad.mrml", "bad.png", "bad.dcm"],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says_is_refused(
    host: HeadlessHost, slicer: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("neither this nor that")
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(FileFormatError, match="bad"):
        host.load(str(tmp_path / name))
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_an_unknown_extension_or_type_is_refused_with_what_there_is(
    host: HeadlessHost, slicer: Any, tmp_path: Path
) -> None:
    (tmp_path / "what.xyz").write_text("")
    with pytest.raises(FileFormatError, match=r"\.nrrd"):
        host.load(str(tmp_path / "what.xyz"))
    with pytest.raises(FileFormatError, match="VolumeFile"):
        host.load(str(tmp_path / "what.xyz"), "ImageFile")


def test_what_cannot_be_written_is_refused(
    host: HeadlessHost, slicer: Any, volume: Any, segmentation: Any, tmp_path: Path
) -> None:
    with pytest.raises(FileFormatError, match=r"\.nrrd"):
        host.save(volume, str(tmp_path / "head.dcm"))  # slicer-core would crash
    with pytest.raises(FileFormatError, match="export the segments"):
        host.save(segmentation, str(tmp_path / "seg.stl"))
    with pytest.raises(FileFormatError, match="data of its own"):
        host.save(slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed"), str(tmp_path / "red.nrrd"))
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(CommandError, match="no voxels"):
        host.save(empty, str(tmp_path / "empty.nrrd"))


def test_the_io_manager_has_slicers_methods(host: HeadlessHost, slicer: Any, volume: Any, tmp_path: Path) -> None:
    manager = slicer.app.coreIOManager()
    assert manager is slicer.app.ioManager()
    assert manager.fileType("a/b/head.nii.gz") == "VolumeFile"
    assert manager.fileType("seg.seg.nrrd") == "SegmentationFile"
    assert manager.fileType("ball.STL") == "ModelFile"
    assert manager.fileType("what.xyz") == "NoFile"
    assert "SegmentationFile" in manager.fileTypes("ball.stl")
    assert manager.fileWriterFileType(volume) == "VolumeFile"
    assert "NRRD (.nrrd)" in manager.fileWriterExtensions(volume)
    assert manager.extractKnownExtension("x/head.nii.gz", volume) == ".nii.gz"
    assert manager.forceFileNameValidCharacters("a/b:c*d|e.nrrd") == "abcde.nrrd"
    assert manager.completeSlicerWritableFileNameSuffix(volume) == ".nrrd"
    assert ".mrb" in manager.allReadableFileExtensions()
    assert not manager.loadNodes("VolumeFile", {"fileName": str(tmp_path / "none.nrrd")})
    manager.addDefaultStorageNodes()
    assert volume.GetStorageNode() is not None


def test_file_types_are_named_once() -> None:
    names = [reader.file_type for reader in READERS]
    assert len(names) == len(set(names))
    extensions = [extension for reader in READERS for extension in reader.extensions]
    assert all(extension.startswith(".") and extension.islower() for extension in extensions)
