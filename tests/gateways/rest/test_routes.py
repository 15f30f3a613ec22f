"""The routes of /slicer, one by one, as docs/rest.md lists them."""

from __future__ import annotations

import itertools
import json
import os
import select
import struct
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.protocol import nrrd
from slicer_notebook.protocol.values import Array
from tests.gateways.rest.conftest import Start, picture, refused

VERSION = (
    "applicationName", "applicationDisplayName", "applicationVersion", "releaseType", "repositoryUrl",
    "repositoryBranch", "revision", "majorVersion", "minorVersion", "arch", "os", "isCustomMainApplication",
    "mainApplicationName",
)  # fmt: skip


def said(response: httpx.Response) -> Any:
    """The JSON of an answer that went well."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-cache"
    assert int(response.headers["content-length"]) == len(response.content)
    return response.json()


def words(response: httpx.Response) -> str:
    """The text of an answer that went well."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain"
    return response.text


# -- /exec, /open, /system ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["post", "get"])
def test_exec_answers_with_the_json_of_what_the_code_stored(rest: httpx.Client, way: str) -> None:
    code = "__execResult = {'nodes': slicer.mrmlScene.GetNumberOfNodes() > 0, 'é': [1, 2.5, None]}"
    if way == "post":
        response = rest.post("/slicer/exec", content=code.encode(), headers={"Content-Type": "text/plain"})
    else:
        response = rest.get("/slicer/exec", params={"source": code})
    assert said(response) == {"nodes": True, "é": [1, 2.5, None]}


def test_exec_without_a_result_is_an_empty_object_and_names_last(rest: httpx.Client) -> None:
    assert said(rest.post("/slicer/exec", content=b"kept = 41")) == {}
    assert said(rest.post("/slicer/exec", content=b"__execResult = kept + 1")) == 42
    assert said(rest.post("/slicer/exec", content=b"__execResult = [vtk.VTK_SHORT, numpy.pi > 3]")) == [4, True]


def test_exec_that_fails(rest: httpx.Client) -> None:
    refused(rest.post("/slicer/exec", content=b"1 / 0"), "ZeroDivisionError")
    refused(rest.post("/slicer/exec", content=b"nothing_of_that_name"), "name 'nothing_of_that_name' is not defined")
    refused(rest.post("/slicer/exec", content=b"__execResult = slicer.mrmlScene"), "not JSON")
    refused(rest.post("/slicer/exec", content=b"raise SystemExit"), "SystemExit")
    refused(rest.post("/slicer/exec", content=b"this is no code"), "SyntaxError")
    refused(rest.get("/slicer/exec"), "'source' is missing")


def test_exec_is_off_by_default(closed: httpx.Client, slicer: sn.Session) -> None:
    code = "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'made')"
    refused(closed.post("/slicer/exec", content=code.encode()), "Running code is off")
    refused(closed.get("/slicer/exec", params={"source": code}), "Running code is off")
    assert slicer.call("scene.select", name="made") == []


def test_open_takes_slicer_urls_only(rest: httpx.Client) -> None:
    refused(rest.post("/slicer/open", params={"url": "file:///etc/passwd"}), "not opened here")
    refused(rest.post("/slicer/open", params={"url": "https://example.invalid/"}), "not opened here")
    refused(rest.post("/slicer/open"), "'url' is missing")


def test_version(rest: httpx.Client, slicer: sn.Session) -> None:
    found = said(rest.get("/slicer/system/version"))
    assert set(VERSION) <= set(found)
    assert {
        name for name in found if name.startswith("mainApplication")
    } >= {"mainApplicationMajorVersion", "mainApplicationRepositoryUrl", "mainApplicationRevision"}  # fmt: skip
    assert found["applicationName"] == "Slicer"
    assert found["applicationVersion"] == slicer.version
    assert [found["majorVersion"], found["minorVersion"]] == [int(part) for part in slicer.version.split(".")[:2]]
    assert found["isCustomMainApplication"] is False


@pytest.mark.parametrize("path", ["/system", "/slicer/system"])
def test_quit_is_off_by_default(closed: httpx.Client, slicer: sn.Session, path: str) -> None:
    refused(closed.delete(path), "Ending Slicer is off")
    refused(closed.get(path), "not done with the system")
    assert slicer.alive


def test_quit_ends_slicer_a_second_later() -> None:
    with sn.launch() as session:
        url = session.call("gateways.start", kind="rest", port=0, allow=["quit"])["url"]
        ended = os.pidfd_open(session.info["pid"])
        asked = time.monotonic()
        assert httpx.delete(f"{url}/system", trust_env=False).json() == {"success": True}
        try:
            assert select.select([ended], [], [], 30)[0]
        finally:
            os.close(ended)
        assert time.monotonic() - asked > 0.9


# -- /mrml ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/slicer/mrml", "/slicer/mrml/names"])
def test_names_of_all_nodes(rest: httpx.Client, slicer: sn.Session, path: str) -> None:
    slicer.add_markups([[1, 2, 3]], name="F")
    found = said(rest.get(path))
    assert found == [node.name for node in slicer.call("scene.select")]
    assert {"F", "Red", "Selection"} <= set(found)


def test_nodes_by_selectors(rest: httpx.Client, phantom: sn.Volume, slicer: sn.Session) -> None:
    slicer.add_markups([[1, 2, 3]]).name = "MRHead"
    assert said(rest.get("/slicer/mrml/ids", params={"id": phantom.id})) == [phantom.id]
    assert said(rest.get("/slicer/mrml/names", params={"id": phantom.id})) == ["MRHead"]
    # With subclasses.
    assert said(rest.get("/slicer/mrml/ids", params={"class": "vtkMRMLVolumeNode"})) == [phantom.id]
    assert len(said(rest.get("/slicer/mrml/ids", params={"name": "MRHead"}))) == 2
    both = {"class": "vtkMRMLVolumeNode", "name": "MRHead"}
    assert said(rest.get("/slicer/mrml/ids", params=both)) == [phantom.id]
    for none in ({"id": "no"}, {"name": "MRHea"}, {"class": "vtkMRMLNoSuchNode"}, {"class": "os.system"}):
        assert said(rest.get("/slicer/mrml/ids", params=none)) == []
        assert said(rest.get("/slicer/mrml/names", params=none)) == []


def test_properties(rest: httpx.Client, phantom: sn.Volume) -> None:
    found = said(rest.get("/slicer/mrml/properties", params={"name": "MRHead"}))
    assert list(found) == [phantom.id]
    node = found[phantom.id]
    assert node["ID"] == phantom.id
    assert node["Name"] == "MRHead"
    assert node["ClassName"] == "vtkMRMLScalarVolumeNode"
    assert node["HideFromEditors"] is False
    assert node["Spacing"] == [2, 2, 4]
    assert node["Origin"] == [63, 63, -62]
    assert node["ImageData"]["Dimensions"] == [64, 64, 32]
    assert "Description" not in node  # "(none)"
    refused(rest.get("/slicer/mrml/properties", params={"name": "nobody"}), "No node")


def test_properties_of_all_nodes(rest: httpx.Client) -> None:
    found = said(rest.get("/slicer/mrml/properties"))
    assert set(found) == set(said(rest.get("/slicer/mrml/ids")))


def test_a_node_is_saved(rest: httpx.Client, phantom: sn.Volume, voxels: Array, folder: Path) -> None:
    for number, where in enumerate(("localfile", "url")):
        path = folder / f"saved {number}.nrrd"
        given = str(path) if where == "localfile" else path.as_uri()
        asked = {where: given, "id": phantom.id, "useCompression": "false"}
        assert said(rest.get("/slicer/mrml/file", params=asked)) == {"success": True}
        np.testing.assert_array_equal(nrrd.read(path.read_bytes()).voxels, voxels)
    asked = {"localfile": str(folder / "packed.nrrd"), "name": "MRHead", "useCompression": "True"}
    assert said(rest.get("/slicer/mrml/file", params=asked)) == {"success": True}
    assert b"encoding: gzip" in (folder / "packed.nrrd").read_bytes()


def test_a_node_is_saved_with_its_transforms(rest: httpx.Client, slicer: sn.Session, folder: Path) -> None:
    points = slicer.add_markups([[1, 2, 3]], name="F")
    moved = np.eye(4)
    moved[:3, 3] = (10, 20, 30)
    slicer.call("transform.set_on", node=points, transform=slicer.call("transform.add", matrix=moved))
    where = {}
    for apply in ("false", "true"):
        path = folder / f"{apply}.mrk.json"
        asked = {"localfile": str(path), "name": "F", "applytransforms": apply}
        assert said(rest.get("/slicer/mrml/file", params=asked)) == {"success": True}
        where[apply] = json.loads(path.read_text())["markups"][0]["controlPoints"][0]["position"]
    # Files of markups are in LPS.
    assert where == {"false": [-1, -2, 3], "true": [-11, -22, 33]}


def test_saving_wants_one_node_and_a_file(rest: httpx.Client, phantom: sn.Volume, folder: Path) -> None:
    path = str(folder / "no.nrrd")
    refused(rest.get("/slicer/mrml/file", params={"localfile": path, "name": "nobody"}), "No node")
    refused(rest.get("/slicer/mrml/file", params={"localfile": path}), "Only a single node")
    refused(rest.get("/slicer/mrml/file", params={"name": "MRHead"}), "'url' or 'localfile'")
    refused(
        rest.get("/slicer/mrml/file", params={"name": "MRHead", "localfile": f"{path}.xyz"}), "could not be written"
    )
    refused(
        rest.get("/slicer/mrml/file", params={"name": "MRHead", "url": "https://example.invalid/x"}), "this machine"
    )
    assert list(folder.iterdir()) == []


def test_saving_is_off_by_default(closed: httpx.Client, phantom: sn.Volume, folder: Path) -> None:
    asked = {"localfile": str(folder / "no.nrrd"), "name": "MRHead"}
    refused(closed.get("/slicer/mrml/file", params=asked), "Writing files is off")
    assert list(folder.iterdir()) == []


@pytest.fixture
def files(folder: Path, voxels: Array) -> Path:
    """The folder with a volume's file in it."""
    affine = np.diag([2.0, 2, 4, 1])
    (folder / "volume file.nrrd").write_bytes(b"".join(nrrd.chunks(voxels, affine)))
    return folder


@pytest.mark.parametrize("path", ["/slicer/mrml", "/slicer/mrml/file"])
@pytest.mark.parametrize("where", ["localfile", "url"])
def test_a_file_is_loaded(rest: httpx.Client, slicer: sn.Session, files: Path, path: str, where: str) -> None:
    file = files / "volume file.nrrd"
    asked = {where: str(file) if where == "localfile" else file.as_uri(), "filetype": "VolumeFile", "name": "Loaded"}
    found = said(rest.post(path, params=asked))
    assert found["success"] is True
    (identifier,) = found["loadedNodeIDs"]
    volume = slicer[identifier]
    assert isinstance(volume, sn.Volume)
    assert volume.name == "Loaded"
    assert volume.shape == (32, 64, 64)
    assert slicer.call("view.background", name="Red").id == identifier


def test_properties_of_readers_are_passed_on(rest: httpx.Client, slicer: sn.Session, files: Path) -> None:
    asked = {"localfile": str(files / "volume file.nrrd"), "filetype": "VolumeFile"}
    (identifier,) = said(rest.post("/slicer/mrml", params={**asked, "labelmap": "True"}))["loadedNodeIDs"]
    assert slicer[identifier].class_name == "vtkMRMLLabelMapVolumeNode"
    (identifier,) = said(rest.post("/slicer/mrml", params={**asked, "show": "False"}))["loadedNodeIDs"]
    assert slicer.call("view.background", name="Red") is None


def test_loading_wants_a_file_and_its_type(rest: httpx.Client, files: Path) -> None:
    path = str(files / "volume file.nrrd")
    refused(rest.post("/slicer/mrml", params={"localfile": path}), "'filetype' is missing")
    refused(rest.post("/slicer/mrml", params={"filetype": "VolumeFile"}), "'url' or 'localfile'")
    refused(rest.post("/slicer/mrml", params={"localfile": path, "filetype": "NoFile"}), "no file type")
    missing = {"localfile": f"{path}.gone", "filetype": "VolumeFile"}
    refused(rest.post("/slicer/mrml", params=missing), "no such file")
    broken = files / "broken.nrrd"
    broken.write_bytes(b"NRRD0004\n")
    refused(rest.post("/slicer/mrml", params={"localfile": str(broken), "filetype": "VolumeFile"}), "could not read")


def test_nodes_are_reloaded(rest: httpx.Client, slicer: sn.Session, files: Path, voxels: Array) -> None:
    path = files / "volume file.nrrd"
    asked = {"localfile": str(path), "filetype": "VolumeFile", "name": "Loaded"}
    (identifier,) = said(rest.post("/slicer/mrml", params=asked))["loadedNodeIDs"]
    path.write_bytes(b"".join(nrrd.chunks(voxels + 1, np.eye(4))))
    found = said(rest.put("/slicer/mrml", params={"name": "Loaded"}))
    assert found == {"success": True, "reloadedNodeIDs": [identifier]}
    np.testing.assert_array_equal(slicer.call("volume.array", node=identifier), voxels + 1)


def test_what_came_from_no_file_is_not_reloaded(rest: httpx.Client, phantom: sn.Volume) -> None:
    assert said(rest.put("/slicer/mrml", params={"id": phantom.id})) == {"success": False}
    refused(rest.put("/slicer/mrml", params={"id": "nobody"}), "No node")


def test_nodes_are_removed(rest: httpx.Client, slicer: sn.Session) -> None:
    for name in ("one", "two", "two", "three"):
        slicer.add_markups([[0, 0, 0]], name="x").name = name
    assert said(rest.delete("/slicer/mrml", params={"name": "two"})) == {"success": True}
    assert {node.name for node in slicer.call("scene.nodes", class_name="vtkMRMLMarkupsFiducialNode")} == {
        "one",
        "three",
    }
    (one,) = slicer.call("scene.select", name="one")
    assert said(rest.delete("/slicer/mrml", params={"id": one.id})) == {"success": True}
    assert said(rest.delete("/slicer/mrml", params={"class": "vtkMRMLMarkupsNode"})) == {"success": True}
    assert slicer.call("scene.nodes", class_name="vtkMRMLMarkupsNode") == []
    refused(rest.delete("/slicer/mrml", params={"name": "two"}), "No node")


def test_views_are_not_removed(rest: httpx.Client, slicer: sn.Session) -> None:
    refused(rest.delete("/slicer/mrml", params={"class": "vtkMRMLSliceNode"}), "singletons")
    assert slicer.view("Red").image().png


def test_the_scene_is_cleared(rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume) -> None:
    assert said(rest.delete("/slicer/mrml")) == {"success": True}
    assert slicer.call("scene.nodes", class_name="vtkMRMLVolumeNode") == []
    picture(rest.get("/slicer/slice"))


def test_other_methods_of_mrml(rest: httpx.Client) -> None:
    refused(rest.request("PATCH", "/slicer/mrml"), "not done with nodes")
    refused(rest.get("/slicer/mrml/nothing"), "no such route")


# -- /gui -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "layout"),
    [
        ("fourup", "FourUp"),
        ("oneup3d", "OneUp3D"),
        ("OneUpRedSlice", "OneUpRedSlice"),
        ("CONVENTIONAL", "Conventional"),
    ],
)
def test_layouts_in_any_case(rest: httpx.Client, slicer: sn.Session, given: str, layout: str) -> None:
    assert said(rest.get("/slicer/gui", params={"contents": "viewers", "viewersLayout": given})) == {"success": True}
    assert slicer.layout == layout


def test_contents(rest: httpx.Client, slicer: sn.Session) -> None:
    for given in ("full", "viewers", "Full"):
        assert said(rest.get("/slicer/gui", params={"contents": given})) == {"success": True}
    refused(rest.get("/slicer/gui", params={"contents": "half"}), "viewers or full")
    refused(rest.get("/slicer/gui", params={"viewersLayout": "fiveup"}), "no layout")
    assert slicer.layout == "FourUp"


# -- /timeimage, /tracking, /sampledata -----------------------------------------------------------------------------


def test_timeimage(rest: httpx.Client) -> None:
    response = rest.get("/slicer/timeimage", params={"color": "ff0000"})
    found = picture(response)
    assert found.shape == (32, 128, 3)
    assert struct.unpack(">IIBB", response.content[16:26]) == (128, 32, 8, 6)  # RGBA
    assert (found == (255, 0, 0)).all(axis=2).sum() > 100
    default = picture(rest.get("/slicer/timeimage"))
    assert (default == (0x33, 0x33, 0)).all(axis=2).sum() > 100
    # The seconds are in it, which change.
    deadline = time.monotonic() + 10
    while np.array_equal(default, picture(rest.get("/slicer/timeimage"))):
        assert time.monotonic() < deadline
    refused(rest.get("/slicer/timeimage", params={"color": "no"}), "hexadecimal")


def affine_of(slicer: sn.Session, name: str) -> Array:
    (node,) = slicer.call("scene.select", name=name)
    found: Array = slicer.call("volume.affine", node=node)
    return found


def test_tracking(rest: httpx.Client, slicer: sn.Session) -> None:
    response = rest.get("/slicer/tracking", params={"m": "0,-1,0,1,0,0,0,0,1", "p": "10,20,30"})
    assert words(response) == "Set matrix"
    expected = np.array([[0.0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]])
    np.testing.assert_allclose(affine_of(slicer, "tracker"), expected)
    # A rotation alone leaves the position; w, x, y, z: a quarter turn around x.
    words(rest.get("/slicer/tracking", params={"q": "0.7071067811865476,0.7071067811865476,0,0"}))
    expected[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    np.testing.assert_allclose(affine_of(slicer, "tracker"), expected, atol=1e-12)
    words(rest.get("/slicer/tracking", params={"p": "0,0,0.5"}))
    expected[:3, 3] = (0, 0, 0.5)
    np.testing.assert_allclose(affine_of(slicer, "tracker"), expected, atol=1e-12)
    (device,) = slicer.call("scene.select", name="trackingDevice")
    assert device.class_name == "vtkMRMLModelNode"
    assert len(slicer.call("scene.select", name="tracker")) == 1


@pytest.mark.parametrize("given", [{"m": "1,2,3"}, {"q": "0,0,0,0"}, {"q": "1,0,0"}, {"p": "1,2,x"}, {"p": "1,2,inf"},
                                   {"m": "0,0,0,0,0,0,0,0,0"}])  # fmt: skip
def test_tracking_with_other_numbers(rest: httpx.Client, given: dict[str, str]) -> None:
    refused(rest.get("/slicer/tracking", params=given), "")


def test_sample_data_that_there_is_not(rest: httpx.Client) -> None:
    refused(rest.get("/slicer/sampledata", params={"name": "NoSuchData"}), "no sample data 'NoSuchData'")
    refused(rest.get("/slicer/sampledata"), "'name' is missing")


# -- volumes --------------------------------------------------------------------------------------------------------


def test_volumes(rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume) -> None:
    labels = slicer.call("volume.add", array=np.ones((2, 3, 4), np.uint8), name="labels", labelmap=True)
    slicer.call("volume.add", array=np.ones((2, 3, 4, 3), np.uint8), name="colours")
    expected = [{"name": "MRHead", "id": phantom.id}, {"name": "labels", "id": labels.id}]
    assert said(rest.get("/slicer/volumes")) == expected


def test_volume_selection_goes_round(rest: httpx.Client, slicer: sn.Session) -> None:
    volumes = [slicer.call("volume.add", array=np.ones((2, 3, 4), np.int16), name=f"v{n}").id for n in range(3)]

    def shown() -> str:
        return str(slicer.call("view.background", name="Red").id)

    assert shown() == volumes[2]
    for command, expected in (("next", 0), ("next", 1), ("previous", 0), ("previous", 2), ("", 0)):
        response = rest.get("/slicer/volumeSelection", params={"cmd": command} if command else {})
        assert words(response) == "Volume selected"
        assert shown() == volumes[expected]
    refused(rest.get("/slicer/volumeSelection", params={"cmd": "sideways"}), "next or previous")


def test_volume_selection_without_volumes(rest: httpx.Client) -> None:
    refused(rest.get("/slicer/volumeSelection"), "no volume")


# -- points, segments, transforms -----------------------------------------------------------------------------------


def test_fiducials(rest: httpx.Client, slicer: sn.Session) -> None:
    points = slicer.add_markups([[1, 2, 3], [4, 5, 6]], name="F", labels=["a", "b"])
    found = said(rest.get("/slicer/fiducials"))
    assert list(found) == [points.id]
    node = found[points.id]
    assert node["name"] == "F"
    assert len(node["color"]) == 3
    assert node["scale"] > 0
    assert node["markups"] == [{"label": "a", "position": [1, 2, 3]}, {"label": "b", "position": [4, 5, 6]}]


def test_a_point_that_is_nowhere_is_null(rest: httpx.Client, slicer: sn.Session) -> None:
    points = slicer.add_markups([[1, 2, 3]], name="F")
    slicer.run("slicer.util.getNode('F').SetNthControlPointPosition(0, float('nan'), float('inf'), 1)")
    (point,) = said(rest.get("/slicer/fiducials"))[points.id]["markups"]
    assert point["position"] == [None, None, 1]


def test_fiducial(rest: httpx.Client, slicer: sn.Session) -> None:
    points = slicer.add_markups([[1, 2, 3], [4, 5, 6]], name="F")
    asked: dict[str, Any] = {"id": points.id, "index": 1, "r": 7, "a": -8.5, "s": 9}
    assert said(rest.get("/slicer/fiducial", params=asked)) == {"success": True}
    np.testing.assert_allclose(points.points, np.array([[1, 2, 3], [7, -8.5, 9]]))
    # Each coordinate that is not given is 0; the first point of the first list.
    assert said(rest.get("/slicer/fiducial", params={"a": 5})) == {"success": True}
    np.testing.assert_allclose(points.points, np.array([[0, 5, 0], [7, -8.5, 9]]))
    refused(rest.get("/slicer/fiducial", params={"index": 2}), "no such point")
    refused(rest.get("/slicer/fiducial", params={"index": "x"}), "index does not fit")
    refused(rest.get("/slicer/fiducial", params={"r": "x"}), "r does not fit")
    refused(rest.get("/slicer/fiducial", params={"id": "nobody"}), "no such node")


_SEGMENTS = """
import numpy as np, slicer
volume = slicer.util.getNode("MRHead")
node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
for name, part in (("one", np.s_[2:5, 10:20, 3:9]), ("two", np.s_[8:10, 12:14, 30:33])):
    mask = np.zeros((32, 64, 64), np.uint8)
    mask[part] = 1
    identifier = node.GetSegmentation().AddEmptySegment(name, name.upper())
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, identifier, volume)
"""


def test_segmentations(rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume) -> None:
    slicer.run(_SEGMENTS)
    (node,) = slicer.call("scene.select", name="S")
    assert said(rest.get("/slicer/segmentations")) == {node.id: {"name": "S", "segmentIDs": ["one", "two"]}}


@pytest.mark.parametrize("key", ["segmentationID", "id"])
@pytest.mark.parametrize("segment", ["one", "TWO", None])
def test_segmentation(
    rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume, key: str, segment: str | None
) -> None:
    slicer.run(_SEGMENTS)
    response = rest.get("/slicer/segmentation", params={key: "S", **({"segmentID": segment} if segment else {})})
    assert response.headers["content-type"] == "application/octet-stream"
    found = nrrd.read(response.content)
    expected = np.zeros((32, 64, 64), np.uint8)
    if segment != "TWO":
        expected[2:5, 10:20, 3:9] = 1
    if segment != "one":
        expected[8:10, 12:14, 30:33] = 2 if segment is None else 1
    # On whatever part of the grid it is: each voxel at its place in the volume.
    to_volume = np.linalg.inv(phantom.affine) @ found.affine
    np.testing.assert_allclose(to_volume[:3, :3], np.eye(3), atol=1e-9)
    i, j, k = np.rint(to_volume[:3, 3]).astype(int)
    whole = np.zeros_like(expected)
    depth, height, width = found.voxels.shape
    whole[k : k + depth, j : j + height, i : i + width] = found.voxels
    np.testing.assert_array_equal(whole, expected)


def test_segmentation_that_there_is_not(rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume) -> None:
    refused(rest.get("/slicer/segmentation"), "no such node")
    slicer.run(_SEGMENTS)
    refused(rest.get("/slicer/segmentation", params={"segmentID": "three"}), "no segment 'three'")
    refused(rest.get("/slicer/segmentation", params={"format": "glTF"}), "no such format")


_GRID = """
import numpy as np, slicer, vtk
from vtk.util.numpy_support import numpy_to_vtk
values = np.arange(4 * 3 * 2 * 3, dtype=np.float64).reshape(2, 3, 4, 3)
image = vtk.vtkImageData()
image.SetDimensions(4, 3, 2)
image.SetSpacing(2, 3, 5)
image.SetOrigin(10, 20, 30)
image.GetPointData().SetScalars(numpy_to_vtk(values.reshape(-1, 3), deep=True))
grid = slicer.vtkOrientedGridTransform()
grid.SetDisplacementGridData(image)
directions = vtk.vtkMatrix4x4()
for row, values in enumerate(((0, -1, 0), (1, 0, 0), (0, 0, 1))):
    for column, value in enumerate(values):
        directions.SetElement(row, column, value)
grid.SetGridDirectionMatrix(directions)
node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "G")
node.SetAndObserveTransformFromParent(grid)
slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "L")
"""


def test_grid_transforms(rest: httpx.Client, slicer: sn.Session) -> None:
    assert said(rest.get("/slicer/gridTransforms")) == []
    slicer.run(_GRID)
    (node,) = slicer.call("scene.select", name="G")
    assert said(rest.get("/slicer/gridTransforms")) == [{"name": "G", "id": node.id}]


@pytest.mark.parametrize("asked", [{}, {"id": "G"}, {"id": "vtkMRMLGridTransformNode*"}])
def test_grid_transform(rest: httpx.Client, slicer: sn.Session, asked: dict[str, str]) -> None:
    slicer.run(_GRID)
    response = rest.get("/slicer/gridTransform", params=asked)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"
    assert b"type: float\ndimension: 4\nspace: left-posterior-superior\nsizes: 3 4 3 2\n" in response.content
    found = nrrd.read(response.content)
    expected = np.arange(72, dtype=np.float32).reshape(2, 3, 4, 3) * np.array([-1, -1, 1], np.float32)
    np.testing.assert_array_equal(found.voxels, expected)  # vectors in LPS
    np.testing.assert_allclose(found.affine, [[0, -3, 0, 10], [2, 0, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1]])


def test_grid_transform_that_there_is_not(rest: httpx.Client, slicer: sn.Session) -> None:
    refused(rest.get("/slicer/gridTransform"), "no such node")
    slicer.run(_GRID)
    refused(rest.get("/slicer/gridTransform", params={"id": "L"}), "no such node")


# -- /accessDICOMwebStudy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b"[" * 5000,
        json.dumps({"dicomWEBPrefix": "https://x", "dicomWEBStore": "y"}).encode(),
        json.dumps({"dicomWEBPrefix": 1, "dicomWEBStore": "y", "studyUID": "1.2"}).encode(),
    ],
)
def test_a_study_needs_its_names(rest: httpx.Client, body: bytes) -> None:
    refused(rest.post("/slicer/accessDICOMwebStudy", content=body), "cannot be read")


# -- all ------------------------------------------------------------------------------------------------------------

GET_ROUTES = (
    "/slicer/mrml", "/slicer/mrml/names", "/slicer/mrml/ids", "/slicer/mrml/properties", "/slicer/system/version",
    "/slicer/screenshot", "/slicer/slice", "/slicer/threeD", "/slicer/threeDGraphics", "/slicer/timeimage",
    "/slicer/volumes", "/slicer/volume", "/slicer/gridTransforms", "/slicer/fiducials", "/slicer/segmentations",
)  # fmt: skip


@pytest.mark.parametrize("path", GET_ROUTES)
def test_head_and_get_tell_the_same(rest: httpx.Client, phantom: sn.Volume, path: str) -> None:
    whole, head = rest.get(path), rest.head(path)
    assert whole.status_code == head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    if path != "/slicer/timeimage":
        assert int(head.headers["content-length"]) == len(whole.content)


@pytest.mark.parametrize("path", ["/slicer/exec", "/slicer/gui", "/slicer/mrml/file", "/slicer/tracking",
                                  "/slicer/volumeSelection", "/slicer/sampledata"])  # fmt: skip
def test_head_changes_nothing(rest: httpx.Client, path: str) -> None:
    assert rest.head(path).status_code == 500


@pytest.mark.parametrize("path", ["/slicer", "/slicer/", "/slicer/nothing", "/slicer/mrml/a/b", "/slicer/Volume"])
def test_an_unknown_route(rest: httpx.Client, path: str) -> None:
    refused(rest.get(path), "no such route")
    refused(rest.post(path, content=b"x"), "no such route")


@pytest.mark.parametrize("path", ["/", "/browse", "/index.html", "/slicerx", "/favicon.ico"])
def test_there_are_no_pages(rest: httpx.Client, path: str) -> None:
    refused(rest.get(path), "no files are served", 404)


@pytest.mark.parametrize("path", GET_ROUTES)
def test_the_method_is_not_looked_at_elsewhere(rest: httpx.Client, phantom: sn.Volume, path: str) -> None:
    if not path.startswith("/slicer/mrml"):
        assert rest.post(path).status_code == 200
        refused(rest.request("DELETE", path), "not done here")


@pytest.mark.parametrize(
    "query", ["name=%ff%fe", "name=a%00", "&".join(f"a{n}=1" for n in range(300)), "name=%", "name=+", "=&=&=", "name"]
)
def test_odd_queries_are_answered(rest: httpx.Client, query: str) -> None:
    for path in ("/slicer/mrml/names", "/slicer/slice", "/slicer/volume"):
        response = rest.get(f"{path}?{query}")
        assert response.status_code in (200, 500)
        assert response.headers["content-type"] in ("application/json", "image/png")


def test_the_usual_port_and_the_next_one(serve: Start) -> None:
    ports = [serve(port=None).base_url.port for _ in range(2)]
    assert ports[0] is not None
    assert ports[1] is not None
    assert 2016 <= ports[0] < ports[1] <= 2116


def test_a_port_that_was_given_and_is_taken(serve: Start) -> None:
    taken = serve().base_url.port
    with pytest.raises(sn.errors.GatewayError, match="taken"):
        serve(port=taken)


def test_requests_are_in_the_log(rest: httpx.Client, slicer: sn.Session) -> None:
    rest.get("/slicer/nothing-of-that-name", params={"access_token": "s3cret"})
    number = next(each["id"] for each in slicer.call("gateways.list") if each["port"] == rest.base_url.port)
    lines = itertools.dropwhile(
        lambda line: "nothing-of-that-name" not in line["what"], slicer.call("gateways.lines", id=number)
    )
    line = next(lines)
    assert line["what"].startswith("GET /slicer/nothing-of-that-name")
    assert "s3cret" not in json.dumps(line)
    assert (line["status"], line["good"]) == ("500", False)
    assert "no such route" in line["note"]
