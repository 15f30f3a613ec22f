"""Files that other programs may have read and written: in the folders that were given, and nothing that leads out."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.protocol import nrrd
from slicer_notebook.protocol.values import Array
from tests.gateways.rest.conftest import AFFINE, Start, refused


@pytest.fixture
def outside(tmp_path: Path, voxels: Array) -> Path:
    """A volume's file outside of the folder."""
    path = tmp_path / "outside.nrrd"
    path.write_bytes(b"".join(nrrd.chunks(voxels, AFFINE)))
    return path


@pytest.fixture
def limited(serve: Start, folder: Path) -> httpx.Client:
    """A client of a gateway that is limited to the folder."""
    return serve(files=[str(folder)], allow=["write"])


def load(client: httpx.Client, path: object, filetype: str = "VolumeFile") -> httpx.Response:
    return client.post("/slicer/mrml", params={"localfile": str(path), "filetype": filetype})


def test_files_in_the_folder_are_read(limited: httpx.Client, folder: Path, outside: Path) -> None:
    inside = folder / "inside.nrrd"
    inside.write_bytes(outside.read_bytes())
    assert load(limited, inside).json()["success"] is True
    assert limited.put("/slicer/mrml", params={"class": "vtkMRMLVolumeNode"}).json()["success"] is True


def test_files_outside_are_not(limited: httpx.Client, slicer: sn.Session, folder: Path, outside: Path) -> None:
    link = folder / "link.nrrd"
    link.symlink_to(outside)
    ways = [
        outside,
        link,
        folder / ".." / "outside.nrrd",
        "/etc/hostname",
        outside.parent / "nothing.nrrd",
        "relative.nrrd",
    ]
    for path in ways:
        response = load(limited, path)
        refused(response, "")
        assert "no such file" not in response.text  # whether it is there is nobody's business
    refused(limited.post("/slicer/mrml", params={"url": outside.as_uri(), "filetype": "VolumeFile"}), "in no folder")
    assert slicer.call("scene.nodes", class_name="vtkMRMLVolumeNode") == []


def test_files_that_lead_out_are_not_read(limited: httpx.Client, folder: Path, outside: Path) -> None:
    header = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 64 64 32\nendian: little\nencoding: raw\n"
    for name in ("leads.nhdr", "leads.nrrd", "leads.nii", "leads.vtk"):
        (folder / name).write_bytes(header + f"data file: {outside}\n\n".encode())
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 64 64 32\nElementType = MET_SHORT\nElementDataFile = "
    for name in ("leads.mhd", "leads.mha"):
        (folder / name).write_text(meta + f"{outside}\n")
    (folder / "leads.mrml").write_text(f'<MRML><Text id="vtkMRMLTextNode1" fileName="{outside}"></Text></MRML>')
    (folder / "endless.nrrd").write_bytes(header + b"# x\n" * 500_000 + f"data file: {outside}\n\n".encode())
    (folder / "colon.mha").write_text(meta.replace("ElementDataFile =", "ElementDataFile:") + f"{outside}\n")
    for name in (
        "leads.nhdr",
        "leads.nrrd",
        "leads.nii",
        "leads.vtk",
        "leads.mhd",
        "leads.mha",
        "endless.nrrd",
        "colon.mha",
    ):
        refused(load(limited, folder / name), "none is read that names others")
    refused(load(limited, folder / "leads.mrml", "SceneFile"), "none is read that names others")
    refused(load(limited, folder / "leads.mrml", "TextFile"), "none is read that names others")
    # Datasets of HDF5 may be stored in other files, and links lead there.
    (folder / "leads.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / "leads.tfm").write_bytes(bytes(2048) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / "scene.txt").write_text("<?xml version='1.0'?><MRML/>")
    for name, kind in (("leads.h5", "TransformFile"), ("leads.tfm", "TransformFile"), ("scene.txt", "SceneFile")):
        refused(load(limited, folder / name, kind), "none is read that names others")
    (folder / "whole.mha").write_bytes(meta.encode() + b"LOCAL\n" + bytes(64 * 64 * 32 * 2))
    assert load(limited, folder / "whole.mha").json()["success"] is True


def test_files_are_written_in_the_folder_only(limited: httpx.Client, phantom: sn.Volume, folder: Path) -> None:
    inside = {"localfile": str(folder / "a.nrrd"), "id": phantom.id}
    assert limited.get("/slicer/mrml/file", params=inside).json() == {"success": True}
    (folder / "link").symlink_to(folder.parent)
    for path in (folder.parent / "b.nrrd", folder / "link" / "b.nrrd", folder / ".." / "b.nrrd"):
        refused(limited.get("/slicer/mrml/file", params={"localfile": str(path), "id": phantom.id}), "in no folder")
    missing = {"localfile": str(folder / "no" / "a.nrrd"), "id": phantom.id}
    refused(limited.get("/slicer/mrml/file", params=missing), "no such folder")
    assert not (folder.parent / "b.nrrd").exists()


@pytest.mark.parametrize("name", ["fileName", "fileNames", "directory"])
def test_no_further_file_is_named(rest: httpx.Client, outside: Path, name: str) -> None:
    asked = {"localfile": str(outside), "filetype": "VolumeFile", name: "/etc/passwd"}
    refused(rest.post("/slicer/mrml", params=asked), "further file")


def test_a_node_from_outside_is_not_reloaded(limited: httpx.Client, slicer: sn.Session, outside: Path) -> None:
    slicer.load(outside)
    refused(limited.put("/slicer/mrml", params={"class": "vtkMRMLVolumeNode"}), "in no folder")


@pytest.mark.parametrize(
    "path",
    [
        "//etc/hostname",
        "/../../etc/hostname",
        "/%2e%2e/%2e%2e/etc/hostname",
        "/etc/passwd",
        "/slicer/../../etc/hostname",
        "/..%2f..%2fetc/hostname",
        "/~root/.profile",
    ],
)
def test_no_path_reads_a_file(rest: httpx.Client, path: str) -> None:
    # httpx would tidy the path up.
    url = rest.base_url.copy_with(raw_path=path.encode())
    response = rest.get(url)
    assert response.status_code in (404, 500)
    assert response.json()["success"] is False


# -- by URL ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(voxels: Array) -> Iterator[str]:
    """A server with a volume at /a%20volume.nrrd?token=s3cret; /away leads there, /round in a circle."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"".join(nrrd.chunks(voxels, AFFINE))
            goes = {"/away": "/a%20volume.nrrd?token=s3cret", "/round": "/round", "/meta": "http://169.254.169.254/x.nrrd",
                    "/file": "file:///etc/passwd"}.get(self.path)  # fmt: skip
            if goes is not None:
                self.send_response(302)
                self.send_header("Location", goes)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.path.startswith(("/a%20volume.nrrd", "/a.exe", "/Slicer", "/leads.nrrd")):
                if self.path == "/leads.nrrd":
                    body = body.replace(b"encoding: raw", b"data file: /etc/passwd")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            else:
                self.send_error(404)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.parametrize("path", ["/a%20volume.nrrd?token=s3cret", "/away"])
def test_a_file_by_url(rest: httpx.Client, slicer: sn.Session, shop: str, voxels: Array, path: str) -> None:
    found = rest.post("/slicer/mrml", params={"url": shop + path, "filetype": "VolumeFile"})
    assert found.status_code == 200, found.text
    (identifier,) = found.json()["loadedNodeIDs"]
    np.testing.assert_array_equal(slicer.call("volume.array", node=identifier), voxels)
    assert slicer[identifier].name == "a_volume"
    # It may be reloaded: the file stays.
    assert rest.put("/slicer/mrml", params={"id": identifier}).json()["success"] is True


def test_urls_that_are_not_fetched(rest: httpx.Client, shop: str) -> None:
    for url, words in (
        (f"{shop}/missing?token=s3cret", "404"),
        (f"{shop}/round", "redirections"),
        (f"{shop}/meta", "may not be fetched"),
        (f"{shop}/file", "cannot be fetched"),
        (f"{shop}/a.exe", "no file that Slicer loads"),
        (f"{shop}/leads.nrrd", "names other files"),
        ("http://169.254.169.254/latest/x.nrrd", "link-local"),
        ("ftp://127.0.0.1/x.nrrd", "no URL"),
        ("http://127.0.0.1:1/x.nrrd?token=s3cret", "cannot be reached"),
    ):
        response = rest.post("/slicer/mrml", params={"url": url, "filetype": "VolumeFile"})
        refused(response, words)
        assert "s3cret" not in response.text


@pytest.mark.parametrize("kind", ["SceneFile", "SequenceFile", "TransformFile", "VolumeFile"])
def test_nothing_by_url_where_files_are_limited(limited: httpx.Client, shop: str, kind: str) -> None:
    response = limited.post("/slicer/mrml", params={"url": f"{shop}/x.mrb", "filetype": kind})
    refused(response, "nothing is fetched by URL")


_SAMPLE = """
import hashlib
from slicer_notebook.commands import remote_files as files
former = files.STORE, dict(files.SAMPLES)
files.STORE = {store!r}
files.SAMPLES["Ours"] = (files._File({digest!r}, "ours.nrrd", "OurSample"),)
files.SAMPLES["Other"] = (files._File("0" * 64, "other.nrrd", "Other"),)
"""


def test_sample_data_is_fetched_checked_and_loaded(
    rest: httpx.Client, slicer: sn.Session, shop: str, voxels: Array
) -> None:
    """The store is one of our own: the names of Slicer's are there, their files are on the Internet."""
    digest = hashlib.sha256(b"".join(nrrd.chunks(voxels, AFFINE))).hexdigest()
    slicer.run(_SAMPLE.format(store=f"{shop}/Slicer", digest=digest))
    try:
        response = rest.get("/slicer/sampledata", params={"name": "Ours"})
        assert (response.status_code, response.text) == (200, "Sample data Ours loaded")
        assert response.headers["content-type"] == "text/plain"
        (node,) = slicer.call("scene.select", name="OurSample")
        np.testing.assert_array_equal(slicer.call("volume.array", node=node), voxels)
        assert slicer.call("view.background", name="Red").id == node.id
        refused(rest.get("/slicer/sampledata", params={"name": "Other"}), "not the file that was expected")
        assert slicer.call("scene.select", name="Other") == []
    finally:
        slicer.run("files.STORE = former[0]; files.SAMPLES.clear(); files.SAMPLES.update(former[1])")
    assert {"MRHead", "CTChest", "LIDC-IDRI-0001"} <= set(slicer.call("sample.names"))
