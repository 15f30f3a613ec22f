"""Bodies of requests: JSON, forms, arrays; nothing that comes makes a crash."""

from __future__ import annotations

import base64
import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from slicer_notebook.commands.registry import get
from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.api.arguments import array_of_npy, converted, from_json, lax, read_array
from slicer_notebook.gateways.api.failures import HttpError


def npy(array: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_no_arguments(body: bytes) -> None:
    assert from_json(body) == {}


@pytest.mark.parametrize(
    "body",
    [b"x", b"[]", b"1", b"null", b'"a"', b"{", b'{"a":}', b'{"a":1,}', b"{'a':1}", b'{"a":NaN}', b"\xff",
    b"[" * 100_000, b'{"a":' * 100_000],
)  # fmt: skip
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        from_json(body)
    assert caught.value.status == 400


def test_depth_is_limited() -> None:
    assert from_json(b'{"a":' + b"[" * 60 + b"]" * 60 + b"}")
    with pytest.raises(HttpError, match="too deep"):
        from_json(b'{"a":' + b"[" * 70 + b"]" * 70 + b"}")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_numbers_that_nothing_holds(value: int) -> None:
    for body in (f'{{"a":{value}}}', f'{{"a":[1,[{value}]]}}'):
        with pytest.raises(HttpError) as caught:
            from_json(body.encode())
        assert caught.value.status == 422
    assert from_json(f'{{"a":{2**63 - 1}}}'.encode()) == {"a": 2**63 - 1}


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(HttpError):
        assert isinstance(from_json(body), dict)


@given(
    npst.arrays(
        st.sampled_from(["<u1", "<i2", ">i2", "<f4", "<f8", "<c8", "|b1"]),
        npst.array_shapes(min_dims=0, max_dims=4, max_side=4),
    )
)
def test_npy_there_and_back(array: Any) -> None:
    for data in (npy(array), bytearray(npy(array.copy(order="F")))):
        found = array_of_npy(data)
        assert found.shape == array.shape
        assert found.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, array)


def test_npy_is_not_copied() -> None:
    data = bytearray(npy(np.arange(10, dtype="<i2")))
    found = array_of_npy(data)
    assert found.flags.writeable
    data[-2:] = b"\x07\0"
    assert found[-1] == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 100,
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x09" + bytes(100),
        npy(np.arange(10))[:-1],
        npy(np.arange(10)) + b"x",
        npy(np.array(["a"])),
        npy(np.array([{}], dtype=object), allow_pickle=True),
        npy(np.zeros(2, dtype=[("a", "<i2")])),
        npy(np.arange(3)).replace(b"(3,)", b"(-3,)"[:4]),
        npy(np.arange(3)).replace(b"'shape': (3,)", b"'shape': 9**9"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100),
    ],
)
def test_what_is_no_npy(data: bytes) -> None:
    with pytest.raises(ArgumentError, match="no array"):
        array_of_npy(data)


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 9))
def test_damaged_npy_is_refused_or_read(noise: bytes, at: int, length: int) -> None:
    data = bytearray(npy(np.arange(8, dtype="<i2")))
    data[at : at + length] = noise[:length]
    with contextlib.suppress(ArgumentError):
        array_of_npy(data)


def test_arrays_in_json() -> None:
    for values, dtype in (
        ([[1, 2], [3, 4]], np.int16),
        ([1, -40000], np.int32),
        ([2**40], np.int64),
        ([], np.float64),
    ):
        assert read_array("a", values).dtype == dtype
    assert read_array("a", [[1, 2.5]]).dtype == np.float64
    made = read_array("a", {"dtype": "<i2", "shape": [2, 2], "values": [[1, 2], [3, 4]]})
    assert made.dtype == np.int16
    raw = base64.b64encode(np.arange(4, dtype=">f4").tobytes()).decode()
    made = read_array("a", {"dtype": ">f4", "shape": [4], "base64": raw})
    assert made.dtype.isnative
    assert made.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        1, "x", None, [["a"]], [[1], [2, 3]], [{}], [2**70], {"dtype": "O", "shape": [1], "values": [1]},
        {"dtype": "<i2"},
        {"dtype": "<i2", "shape": [3], "values": [1]}, {"dtype": "<i2", "shape": [1], "base64": "?"},
        {"dtype": "<i2", "shape": [-1], "base64": ""}, {"dtype": "x", "shape": [1], "values": [1]},
        {"dtype": "<i2", "shape": [1.5], "values": [1]}, {"dtype": "<i2", "shape": [10**9, 10**9], "base64": "AAAA"},
        {"dtype": "<u1", "shape": [1], "values": [300]}, {"dtype": "V9999999", "shape": [1], "base64": ""},
    ],
)  # fmt: skip
def test_what_is_no_array(value: Any) -> None:
    with pytest.raises(ArgumentError, match="no array"):
        read_array("points", value)


def test_nodes_and_arrays_by_the_commands_types() -> None:
    found = converted(get("volume.set_array"), {"node": {"id": "n1", "name": "x"}, "array": [[[1]]]})
    assert found["node"] == "n1"
    assert isinstance(found["array"], np.ndarray)
    found = converted(get("transform.add"), {"matrix": [[1]]})
    assert found["matrix"] == [[1]]  # Any: the command makes of it what it likes
    with pytest.raises(ArgumentError):
        converted(get("node.rename"), {"node": {"name": "x"}})
    assert converted(get("transform.set_on"), {"transform": None}) == {"transform": None}


@pytest.mark.parametrize(
    ("command", "name", "text", "value"),
    [
        ("scene.nodes", "hidden", "true", True),
        ("scene.nodes", "hidden", "1", True),
        ("scene.nodes", "class_name", "1", "1"),
        ("volume.histogram", "bins", "16", 16),
        ("volume.histogram", "bins", "many", "many"),
        ("view.set", "offset", "1.5", 1.5),
        ("markups.add", "points", "[[1,2,3]]", [[1, 2, 3]]),
        ("dicom.thumbnail", "size", "x" * 10, "x" * 10),
    ],
)
def test_text_as_the_command_wants_it(command: str, name: str, text: str, value: Any) -> None:
    assert lax(get(command), name, text) == value
