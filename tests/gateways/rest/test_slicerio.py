"""slicerio.server, unchanged, over the wire: each of its calls."""

from __future__ import annotations

import urllib.request  # noqa: F401 - slicerio uses it without importing it
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.protocol import nrrd
from slicer_notebook.protocol.values import Array
from tests.gateways.rest.conftest import AFFINE, Start

server: Any = pytest.importorskip("slicerio.server")


@pytest.fixture
def slicerio(rest: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    """slicerio.server, told the port in the way that it documents."""
    monkeypatch.setattr(server, "SERVER_PORT", rest.base_url.port)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return server


@pytest.fixture
def file(folder: Path, voxels: Array) -> Path:
    path = folder / "CT & more.nrrd"
    path.write_bytes(b"".join(nrrd.chunks(voxels, AFFINE)))
    return path


def test_it_finds_the_server(slicerio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slicerio.is_server_running()
    monkeypatch.setattr(server, "SERVER_PORT", 1)
    assert not slicerio.is_server_running()


def test_a_file_is_loaded_and_its_ids_come_back(slicerio: Any, slicer: sn.Session, file: Path, voxels: Array) -> None:
    (identifier,) = slicerio.file_load(file, auto_start=False)
    np.testing.assert_array_equal(slicer.call("volume.array", node=identifier), voxels)
    (named,) = slicerio.file_load(str(file), "VolumeFile", {"name": "My volume", "show": False}, auto_start=False)
    assert slicer[named].name == "My volume"
    assert slicer.call("view.background", name="Red").id == identifier  # show=False was heard


def test_labels_and_points_are_loaded(slicerio: Any, slicer: sn.Session, folder: Path) -> None:
    path = folder / "labels.nrrd"
    path.write_bytes(b"".join(nrrd.chunks(np.ones((3, 4, 5), np.uint8), AFFINE)))
    (identifier,) = slicerio.file_load(path, "SegmentationFile", auto_start=False)
    assert slicer[identifier].class_name == "vtkMRMLSegmentationNode"
    points = slicer.add_markups([[1, 2, 3]], name="P")
    slicer.call("node.save", node=points, path=str(folder / "p.mrk.json"))
    (identifier,) = slicerio.file_load(folder / "p.mrk.json", "MarkupsFile", {"name": "again"}, auto_start=False)
    np.testing.assert_allclose(slicer.call("markups.points", node=identifier), [[1, 2, 3]])


def test_a_node_is_saved(slicerio: Any, phantom: sn.Volume, folder: Path, voxels: Array) -> None:
    slicerio.file_save(folder / "by name.nrrd", name="MRHead", properties={"useCompression": False})
    slicerio.file_save(folder / "by id.nrrd", id=phantom.id, properties={"useCompression": True})
    for name in ("by name.nrrd", "by id.nrrd"):
        np.testing.assert_array_equal(nrrd.read((folder / name).read_bytes()).voxels, voxels)


def test_names_ids_and_properties(slicerio: Any, phantom: sn.Volume) -> None:
    assert slicerio.node_names(class_name="vtkMRMLVolumeNode") == ["MRHead"]
    assert slicerio.node_ids(name="MRHead") == [phantom.id]
    assert phantom.id in slicerio.node_ids()
    assert slicerio.node_names(id="no such") == []
    (properties,) = slicerio.node_properties(id=phantom.id)
    assert properties["Name"] == "MRHead"
    assert properties["ImageData"]["Dimensions"] == [64, 64, 32]


def test_a_node_is_reloaded(slicerio: Any, slicer: sn.Session, file: Path, voxels: Array) -> None:
    (identifier,) = slicerio.file_load(file, auto_start=False)
    file.write_bytes(b"".join(nrrd.chunks(voxels + 1, AFFINE)))
    slicerio.node_reload(id=identifier)
    np.testing.assert_array_equal(slicer.call("volume.array", node=identifier), voxels + 1)


def test_nodes_are_removed(slicerio: Any, slicer: sn.Session) -> None:
    slicer.add_markups([[1, 2, 3]], name="P")
    slicer.add_markups([[1, 2, 3]], name="Q")
    slicerio.node_remove(name="P")
    assert slicerio.node_names(class_name="vtkMRMLMarkupsNode") == ["Q"]
    slicerio.node_remove()
    assert slicerio.node_names(class_name="vtkMRMLMarkupsNode") == []


def test_failures_are_raised_with_their_words(slicerio: Any, folder: Path) -> None:
    with pytest.raises(RuntimeError, match="Server error: There is no such file"):
        slicerio.file_load(folder / "missing.nrrd", auto_start=False)
    with pytest.raises(RuntimeError, match="Server error: No node"):
        slicerio.node_remove(name="nobody")
    with pytest.raises(RuntimeError, match="Server error: No node"):
        slicerio.node_properties(name="nobody")
    with pytest.raises(RuntimeError, match="Server error: No node"):
        slicerio.file_save(folder / "x.nrrd", name="nobody")


def test_a_slicer_url_is_opened_under_the_policy(slicerio: Any) -> None:
    """It goes to ``/open``; what is refused is said, and no token is repeated."""
    url = "slicer://viewer/?studyUID=no-uid&dicomweb_endpoint=http%3A%2F%2F127.0.0.1%3A1&access_token=s3cret-token"
    with pytest.raises(RuntimeError, match="Server error: ") as caught:
        slicerio.file_load(url, auto_start=False)
    assert "s3cret" not in str(caught.value)
    assert "Something failed that should not" not in str(caught.value)


def test_it_stops_the_server_only_where_that_is_allowed(slicerio: Any, slicer: sn.Session) -> None:
    assert slicerio.stop_server()["success"] is False
    assert slicer.alive


def test_it_finds_a_server_on_the_usual_port(serve: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(port=None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if client.base_url.port == server.SERVER_PORT:  # else another program has it
        assert server.is_server_running()
    monkeypatch.setattr(server, "SERVER_PORT", client.base_url.port)
    assert server.is_server_running()
