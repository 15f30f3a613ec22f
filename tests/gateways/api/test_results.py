"""Results as they go out."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as npst

from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.api import results
from slicer_notebook.gateways.api.failures import HttpError
from slicer_notebook.gateways.media import accepted
from slicer_notebook.protocol.values import NodeRef


def body_of(response: Any) -> bytes:
    async def gather() -> bytes:
        return b"".join([chunk async for chunk in response.body_iterator])

    return bytes(response.body) if hasattr(response, "body") else asyncio.run(gather())


def test_values_in_json() -> None:
    value = {
        "node": NodeRef("n1", "x", ("vtkMRMLNode",)),
        "array": np.array([[1.5, np.nan]], dtype=np.float32),
        "number": np.int16(3),
        "complex": np.array([1 + 2j]),
        "path": Path("/a"),
        "tuple": (1, 2),
        "bytes": b"\0\1",
        "infinite": float("inf"),
        "set": {1},
        3: None,
    }
    assert json.loads(results.json_of(value)) == {
        "node": {"id": "n1", "name": "x", "classes": ["vtkMRMLNode"]},
        "array": {"dtype": "<f4", "shape": [1, 2], "values": [[1.5, None]]},
        "number": 3,
        "complex": {"dtype": "<c16", "shape": [1], "values": [[1.0, 2.0]]},
        "path": "/a",
        "tuple": [1, 2],
        "bytes": {"base64": base64.b64encode(b"\0\1").decode()},
        "infinite": None,
        "set": [1],
        "3": None,
    }
    assert json.loads(results.json_of("lone \udcff")) == "lone \\udcff"


@pytest.mark.parametrize("value", [object(), {"a": object()}, [lambda: 0], {(1, 2): 3}, np.array([{}], dtype=object)])
def test_what_has_no_form(value: Any) -> None:
    with pytest.raises((ArgumentError, Exception), match=r"cannot be sent"):
        results.json_of(value)


def test_what_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ArgumentError):
        results.json_of(value)


def test_arrays_that_are_too_large_for_json() -> None:
    with pytest.raises(HttpError, match="too large") as caught:
        results.json_of([np.zeros(results.MOST_VALUES), np.zeros(1)])
    assert caught.value.status == 406
    assert results.NPY in str(caught.value.words["hint"])


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_side=5)))
def test_arrays_as_npy(array: Any) -> None:
    if array.dtype.kind not in "biufcSU" or array.dtype.itemsize == 0:
        with pytest.raises(Exception, match="cannot be sent"):
            results.answer(array, accepted([]))
        return
    response = results.answer(array, accepted([]))
    body = body_of(response)
    assert response.headers["content-length"] == str(len(body))
    found = np.load(io.BytesIO(body), allow_pickle=False)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_arrays_in_pieces_and_as_raw_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "CHUNK", 7)
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)[:, ::2]
    response = results.answer(array, accepted([]))
    np.testing.assert_array_equal(np.load(io.BytesIO(body_of(response))), array)
    raw = results.answer(array, accepted(["application/octet-stream"]))
    assert (raw.headers["x-dtype"], raw.headers["x-shape"]) == ("<i2", "3,2,5")
    assert body_of(raw) == array.tobytes()


def test_a_result_is_as_it_was_when_the_command_ended() -> None:
    class Node:
        def IsA(self, name: str) -> bool:  # noqa: N802 - VTK's
            return name == "vtkMRMLNode"

    def ref(node: Any) -> NodeRef:
        return NodeRef("n1")

    voxels = np.zeros((4, 4), dtype=np.int16)
    own = np.zeros(3)
    found = results.settled({"live": (voxels[:2], voxels.T), "own": own, "nodes": [Node()], "n": 1}, ref)
    voxels[:] = 1
    assert all(each.sum() == 0 and each.flags.c_contiguous for each in found["live"])
    assert found["own"] is own
    assert found["nodes"] == [NodeRef("n1")]
    many = [voxels[:1]] * 2000
    assert results.settled(many, ref) is many


@pytest.mark.parametrize(
    ("value", "accept", "media"),
    [
        (b"\x89PNG\r\n\x1a\n...", "", "image/png"),
        (b"\x89PNG\r\n\x1a\n...", "image/*", "image/png"),
        (b"\xff\xd8\xff...", "*/*", "image/jpeg"),
        (bytes(128) + b"DICM", "", "application/dicom"),
        (b"other", "", "application/octet-stream"),
        (b"\x89PNG\r\n\x1a\n...", "application/json", "application/json"),
        ([1], "", "application/json"),
        ([1], "text/html, */*;q=0.1", "application/json"),
        (np.zeros(1), "application/json", "application/json"),
        (np.zeros(1), "*/*", "application/x-npy"),
    ],
)
def test_forms(value: Any, accept: str, media: str) -> None:
    assert results.answer(value, accepted([accept] if accept else [])).headers["content-type"] == media


@pytest.mark.parametrize("value", [[1], b"x", np.zeros(1)])
def test_no_form_that_is_acceptable(value: Any) -> None:
    with pytest.raises(HttpError) as caught:
        results.answer(value, accepted(["text/html"]))
    assert caught.value.status == 406


def test_sizes() -> None:
    assert results.nbytes_of({"a": [np.zeros(1000), b"x" * 500]}) >= 8500
    assert 64_000 <= results.nbytes_of([1] * 1000) <= 65_000
    assert results.nbytes_of([]) > 0
