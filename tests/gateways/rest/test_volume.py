"""/slicer/volume: NRRD out and in, all types, all forms that upstream refuses or spoils."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook.protocol import nrrd
from slicer_notebook.protocol.values import Array
from tests.gateways.rest.conftest import AFFINE, picture, refused

TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def made(dtype: str, shape: tuple[int, ...] = (3, 4, 5)) -> Array:
    """Values that no other type can hold."""
    if dtype[0] == "f":
        return (np.arange(np.prod(shape)) * 0.37 - 5).astype(dtype).reshape(shape)
    limits = np.iinfo(dtype)
    return np.linspace(float(limits.min), float(limits.max) * 0.999, int(np.prod(shape))).astype(dtype).reshape(shape)


def sent(rest: httpx.Client, body: bytes, **asked: str) -> None:
    response = rest.post("/slicer/volume", params=asked, content=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"status": "success"}


def volume(slicer: sn.Session, name: str) -> sn.Volume:
    (node,) = slicer.call("scene.select", name=name)
    found = slicer[node.id]
    assert isinstance(found, sn.Volume)
    return found


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_goes_out_and_comes_in_as_it_is(rest: httpx.Client, slicer: sn.Session, dtype: str) -> None:
    voxels = made(dtype)
    slicer.add_volume(voxels, affine=AFFINE, name="out")
    response = rest.get("/slicer/volume", params={"id": "out"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"
    assert int(response.headers["content-length"]) == len(response.content)
    found = nrrd.read(response.content)
    np.testing.assert_array_equal(found.voxels, voxels)
    assert found.voxels.dtype == voxels.dtype
    np.testing.assert_array_equal(found.affine, AFFINE)
    sent(rest, response.content, id="in")
    back = volume(slicer, "in")
    np.testing.assert_array_equal(back.array, voxels)
    assert back.array.dtype == voxels.dtype
    np.testing.assert_array_equal(back.affine, AFFINE)


def test_the_header_is_slicerwebs(rest: httpx.Client, phantom: sn.Volume) -> None:
    head, _, body = rest.get("/slicer/volume", params={"id": phantom.id}).content.partition(b"\n\n")
    assert head.decode("ascii").split("\n") == [
        "NRRD0004",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: 64 64 32",
        "space directions: (2.0,0.0,0.0) (0.0,2.0,0.0) (0.0,0.0,4.0)",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        "space origin: (-63.0,-63.0,-62.0)",
    ]
    assert len(body) == 2 * 64 * 64 * 32


def test_itk_reads_what_goes_out(rest: httpx.Client, phantom: sn.Volume, tmp_path: Path, voxels: Array) -> None:
    path = tmp_path / "v.nrrd"
    path.write_bytes(rest.get("/slicer/volume", params={"id": phantom.id}).content)
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), voxels)
    assert image.GetSpacing() == (2, 2, 4)
    assert image.GetOrigin() == (-63, -63, -62)


@pytest.mark.parametrize(
    "asked", [None, "MRHead", "vtkMRMLScalarVolumeNode1", "vtkMRMLScalarVolumeNode*", "MR*", "?RHead"]
)
def test_volumes_by_id_name_and_pattern(
    rest: httpx.Client, phantom: sn.Volume, voxels: Array, asked: str | None
) -> None:
    if asked == "vtkMRMLScalarVolumeNode1":
        asked = phantom.id
    found = rest.get("/slicer/volume", params={"id": asked} if asked else {})
    np.testing.assert_array_equal(nrrd.read(found.content).voxels, voxels)


def test_volumes_that_there_are_not(rest: httpx.Client, slicer: sn.Session) -> None:
    refused(rest.get("/slicer/volume"), "no such node")
    slicer.call("volume.add", array=np.ones((2, 3, 4), np.uint8), name="labels", labelmap=True)
    slicer.add_markups([[0, 0, 0]], name="F")
    refused(rest.get("/slicer/volume"), "no such node")  # the first scalar volume, which a label map is none
    refused(rest.get("/slicer/volume", params={"id": "F"}), "no such node")
    assert nrrd.read(rest.get("/slicer/volume", params={"id": "labels"}).content).voxels.dtype == np.uint8


def test_a_new_volume_is_named_and_shown(rest: httpx.Client, slicer: sn.Session, voxels: Array) -> None:
    sent(rest, b"".join(nrrd.chunks(voxels, AFFINE)), id="From outside")
    found = volume(slicer, "From outside")
    assert slicer.call("view.background", name="Red").id == found.id
    assert len(np.unique(picture(rest.get("/slicer/slice", params={"orientation": "axial", "offset": 30})))) > 3


def test_an_existing_volume_is_updated(
    rest: httpx.Client, slicer: sn.Session, phantom: sn.Volume, voxels: Array
) -> None:
    before = picture(rest.get("/slicer/slice", params={"offset": 30}))
    moved = AFFINE.copy()
    moved[0, 3] += 20
    for key, values in (("MRHead", voxels[::-1]), (phantom.id, made("f4"))):
        sent(rest, b"".join(nrrd.chunks(values, moved)), id=key)
        np.testing.assert_array_equal(phantom.array, values)
        np.testing.assert_array_equal(phantom.affine, moved)
    sent(rest, b"".join(nrrd.chunks(voxels[::-1], AFFINE)))  # the first scalar volume
    assert [node.id for node in slicer.call("volume.list")] == [phantom.id]
    assert not np.array_equal(picture(rest.get("/slicer/slice", params={"offset": 30})), before)


def test_without_id_and_volume_a_new_one_is_made(rest: httpx.Client, slicer: sn.Session, voxels: Array) -> None:
    sent(rest, b"".join(nrrd.chunks(voxels, AFFINE)))
    np.testing.assert_array_equal(volume(slicer, "Volume").array, voxels)


def test_put_and_chunked_bodies_are_the_same(rest: httpx.Client, slicer: sn.Session, voxels: Array) -> None:
    response = rest.put("/slicer/volume", params={"id": "put"}, content=b"".join(nrrd.chunks(voxels, AFFINE)))
    assert response.json() == {"status": "success"}
    np.testing.assert_array_equal(volume(slicer, "put").array, voxels)
    pieces = (bytes(piece) for piece in nrrd.chunks(voxels, AFFINE, piece=10_000))
    response = rest.post("/slicer/volume", params={"id": "chunked"}, content=pieces)
    assert response.json() == {"status": "success"}
    np.testing.assert_array_equal(volume(slicer, "chunked").array, voxels)


def test_a_chunked_body_without_anything_is_none(rest: httpx.Client, phantom: sn.Volume, voxels: Array) -> None:
    response = rest.post("/slicer/volume", params={"id": phantom.id}, content=iter([b""]))
    np.testing.assert_array_equal(nrrd.read(response.content).voxels, voxels)


_DIRECTIONS = "space directions: (1,0,0) (0,2,0) (0,0,3)"


def text(*lines: str, end: str = "\n") -> bytes:
    return end.join(["NRRD0004", "type: short", "dimension: 3", "sizes: 5 4 3", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("body", "ras"),
    [
        (text("space: LPS", _DIRECTIONS, "endian: big", "encoding: raw") + made("i2").astype(">i2").tobytes(),
         (-1, -2, 3)),
        (text("space: LPS", _DIRECTIONS, "endian: little", "encoding: gzip") + gzip.compress(made("i2").tobytes()),
         (-1, -2, 3)),
        (text("space: right-anterior-superior", _DIRECTIONS, "endian: little", "encoding: raw") + made("i2").tobytes(),
         (1, 2, 3)),
        (text("space: LAS", _DIRECTIONS, "endian: little", "encoding: raw") + made("i2").tobytes(), (-1, 2, 3)),
        (text("space: LPS", _DIRECTIONS, "endian: little", "encoding: raw", end="\r\n") + made("i2").tobytes(),
         (-1, -2, 3)),
        (text("# a: comment", "space: LPS", "#", _DIRECTIONS, "endian: little", "encoding: raw") + made("i2").tobytes(),
         (-1, -2, 3)),
    ],
    ids=["big endian", "gzip", "RAS", "LAS", "CRLF", "comments"],
)  # fmt: skip
def test_forms_that_upstream_refuses(
    rest: httpx.Client, slicer: sn.Session, body: bytes, ras: tuple[float, float, float]
) -> None:
    sent(rest, body, id="form")
    found = volume(slicer, "form")
    np.testing.assert_array_equal(found.array, made("i2"))
    np.testing.assert_array_equal(found.affine, np.diag([*ras, 1]))


@pytest.mark.parametrize("kind", ["list", "time"])
def test_4d_becomes_a_sequence(rest: httpx.Client, slicer: sn.Session, kind: str) -> None:
    values = made("i2", (6, 3, 4, 5))
    head = (
        "NRRD0004\ntype: short\ndimension: 4\nspace: LPS\nsizes: 5 4 3 6\nendian: little\nencoding: raw\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1) none\nkinds: domain domain domain {kind}\n\n"
    )
    sent(rest, head.encode() + values.tobytes(), id="4D")
    (node,) = slicer.call("scene.nodes", class_name="vtkMRMLSequenceNode")
    assert node.name == "4D"
    np.testing.assert_array_equal(np.asarray(slicer.call("sequence.array", node=node)), values)
    assert slicer.call("view.background", name="Red") is not None
    # Again: it takes the place of the first one.
    sent(rest, head.encode() + (values + 1).tobytes(), id="4D")
    (node,) = slicer.call("scene.nodes", class_name="vtkMRMLSequenceNode")
    assert node.name == "4D"
    np.testing.assert_array_equal(np.asarray(slicer.call("sequence.array", node=node)), values + 1)


def test_colours_become_a_vector_volume(rest: httpx.Client, slicer: sn.Session) -> None:
    values = made("u1", (3, 4, 5, 3))
    sent(rest, b"".join(nrrd.chunks(values, AFFINE, "colour")), id="colours")
    (node,) = slicer.call("scene.select", name="colours")
    assert node.class_name == "vtkMRMLVectorVolumeNode"
    np.testing.assert_array_equal(slicer.call("volume.array", node=node), values)
    found = nrrd.read(rest.get("/slicer/volume", params={"id": "colours"}).content)
    np.testing.assert_array_equal(found.voxels, values)
    assert found.kind == "colour"


def test_label_maps_keep_their_class(rest: httpx.Client, slicer: sn.Session) -> None:
    labels = slicer.call("volume.add", array=np.ones((3, 4, 5), np.uint8), name="labels", labelmap=True)
    sent(rest, b"".join(nrrd.chunks(made("u2"), AFFINE)), id="labels")
    np.testing.assert_array_equal(slicer.call("volume.array", node=labels), made("u2"))
    refused(
        rest.post("/slicer/volume", params={"id": "labels"}, content=b"".join(nrrd.chunks(made("f4"), AFFINE))), "whole"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no nrrd", "does not begin"),
        (b"NRRD0004\n", "header is not complete"),
        (text("encoding: raw", "endian: little") + b"short", "shorter"),
        (text("encoding: raw", "endian: little", "data file: /etc/passwd"), "another file"),
        (text("encoding: raw", "endian: little").replace(b"5 4 3", b"9999 9999 9999"), "too large"),
        (text("encoding: gzip", "endian: little") + gzip.compress(bytes(50_000_000)), "more values"),
    ],
    ids=["no NRRD", "no header", "too short", "another file", "too large", "bomb"],
)
def test_what_cannot_be_read_changes_nothing(
    rest: httpx.Client, phantom: sn.Volume, voxels: Array, body: bytes, words: str
) -> None:
    refused(rest.post("/slicer/volume", params={"id": "MRHead"}, content=body), words)
    refused(rest.post("/slicer/volume", params={"id": "new"}, content=body), words)
    np.testing.assert_array_equal(phantom.array, voxels)
    assert [each["name"] for each in rest.get("/slicer/volumes").json()] == ["MRHead"]


def test_another_kind_of_volume_is_not_overwritten(rest: httpx.Client, phantom: sn.Volume, voxels: Array) -> None:
    colours = b"".join(nrrd.chunks(made("u1", (3, 4, 5, 3)), AFFINE, "colour"))
    refused(rest.post("/slicer/volume", params={"id": phantom.id}, content=colours), "another kind")
    np.testing.assert_array_equal(phantom.array, voxels)


def test_what_goes_out_stays_what_it_was_when_the_volume_changes(rest: httpx.Client, slicer: sn.Session) -> None:
    """The answer is the volume's own memory, which an update replaces and does not overwrite."""
    voxels = np.zeros((64, 512, 512), np.int16)
    slicer.add_volume(voxels, name="big")
    with rest.stream("GET", "/slicer/volume", params={"id": "big"}) as response:
        pieces = response.iter_raw(100_000)
        first = next(pieces)
        other = httpx.Client(base_url=rest.base_url, trust_env=False, timeout=30)
        sent(other, b"".join(nrrd.chunks(voxels + 1, np.eye(4))), id="big")
        other.close()
        whole = io.BytesIO()
        whole.write(first)
        for piece in pieces:
            whole.write(piece)
    assert not nrrd.read(whole.getvalue()).voxels.any()
    assert volume(slicer, "big").array.all()
