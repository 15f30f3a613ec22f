"""Values to MessagePack and back: plain data, arrays, node references; refusals."""

from __future__ import annotations

import pathlib
import threading
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.uid import UID
from pydicom.valuerep import IS, DSfloat

from slicer_notebook import errors
from slicer_notebook.protocol import messages, values
from slicer_notebook.protocol.values import Array, ArrayHeader, NodeRef

#: What MessagePack itself knows; integers of 64 bits, text without lone surrogates.
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.byte_string_dtypes(min_len=1, max_len=5),
    hnp.unicode_string_dtypes(min_len=1, max_len=5),
)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
refs = st.builds(NodeRef, st.text(min_size=1), st.text(), st.lists(st.text(), max_size=3).map(tuple))


def there_and_back(value: Any, **options: Any) -> Any:
    message = values.decode(values.encode(messages.Reply(id=1, result=value), **options))
    assert isinstance(message, messages.Reply)
    return message.result


@given(plain)
def test_plain_data_comes_as_it_was(value: Any) -> None:
    assert there_and_back(value) == value


@settings(deadline=None)
@given(arrays)
def test_arrays_come_as_they_were(array: Array) -> None:
    got = there_and_back({"in": [array]})["in"][0]
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert got.tobytes() == array.tobytes()
    assert got.flags.writeable


@given(refs)
def test_node_references_come_as_they_were(ref: NodeRef) -> None:
    got = there_and_back([ref])[0]
    assert (got.id, got.name, got.classes) == (ref.id, ref.name, ref.classes)
    assert got.class_name == (ref.classes[0] if ref.classes else "")
    assert got == ref
    assert hash(got) == hash(ref)
    assert got != ref.id


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (np.float32(1.5), 1.5),
        (np.int16(-3), -3),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        ((1, 2), [1, 2]),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (UID("1.2.3"), "1.2.3"),
        (DSfloat("1.5"), 1.5),
        (IS("7"), 7),
        ({3}, [3]),
        (frozenset({"x"}), ["x"]),
    ],
    ids=repr,
)
def test_what_has_a_plain_form_takes_it(value: Any, becomes: Any) -> None:
    got = there_and_back(value)
    assert got == becomes
    assert type(got) is type(becomes)


@pytest.mark.parametrize("value", [object(), print, 1 + 2j, threading.Lock()], ids=lambda v: type(v).__name__)
def test_what_has_no_plain_form_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        values.encode(messages.Reply(id=1, result={"a": [value]}))


@pytest.mark.parametrize("dtype", [object, [("a", "i4")], "M8[s]", "m8[s]", "V3"], ids=str)
def test_an_array_that_is_no_bytes_is_refused(dtype: Any) -> None:
    with pytest.raises(errors.ArrayError) as caught:
        values.encode(messages.Reply(id=1, result=np.zeros(2, dtype=dtype)))
    assert "dtype" in str(caught.value)
    assert caught.value.hint


def test_other_things_become_what_the_sender_makes_of_them() -> None:
    class Handle:
        ref = NodeRef("id1", "CT", ("vtkMRMLScalarVolumeNode",))

    def other(value: Any) -> Any:
        return Handle.ref if isinstance(value, Handle) else np.eye(2) if value is Ellipsis else None

    got = there_and_back({"node": Handle(), "matrix": ...}, other=other)
    assert got["node"] == Handle.ref
    np.testing.assert_array_equal(got["matrix"], np.eye(2))
    with pytest.raises(TypeError):
        there_and_back(object(), other=other)


def test_the_receiver_makes_of_references_what_it_likes() -> None:
    buffers = values.encode(messages.Reply(id=1, result=[NodeRef("a"), {"b": NodeRef("b")}]))
    message = values.decode(buffers, node=lambda ref: f"<{ref.id}>")
    assert isinstance(message, messages.Reply)
    assert message.result == ["<a>", {"b": "<b>"}]


def test_decoding_within_decoding_keeps_its_own_buffers() -> None:
    inner = values.encode(messages.Reply(id=2, result=np.arange(3)))
    outer = values.encode(messages.Reply(id=1, result=[np.arange(5), np.arange(7)]))

    def fetch(header: ArrayHeader, buffers: list[Any]) -> Array:
        message = values.decode(inner)
        assert isinstance(message, messages.Reply)
        np.testing.assert_array_equal(message.result, np.arange(3))
        return values.fetch_from_buffer(header, buffers)

    message = values.decode(outer, fetch=fetch)
    assert isinstance(message, messages.Reply)
    assert [len(a) for a in message.result] == [5, 7]


def test_threads_decode_at_the_same_time() -> None:
    wrong: list[int] = []

    def work(n: int) -> None:
        buffers = values.encode(messages.Reply(id=n, result=np.full(50, n)))
        for _ in range(300):
            message = values.decode(buffers)
            assert isinstance(message, messages.Reply)
            if not (message.result == n).all():
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_large_array_is_not_copied_into_the_message() -> None:
    array = np.zeros(10**6)
    buffers = values.encode(messages.Reply(id=1, result=array))
    assert len(buffers[0]) < 200
    assert np.shares_memory(np.frombuffer(buffers[1]), array)


def test_a_received_array_is_not_the_messages_memory() -> None:
    buffers = values.encode(messages.Reply(id=1, result=np.zeros(10)))
    message = values.decode(buffers)
    assert isinstance(message, messages.Reply)
    assert not np.shares_memory(message.result, np.frombuffer(buffers[1]))


def test_an_array_that_cannot_be_had_leaves_the_rest_readable() -> None:
    buffers = values.encode(messages.Reply(id=7, result={"a": np.zeros(3)}, releases=[1]))
    message = values.decode(buffers[:1], fetch=values.no_array)
    assert isinstance(message, messages.Reply)
    assert (message.id, message.releases) == (7, [1])
    assert isinstance(message.result["a"], ArrayHeader)


@given(
    st.sampled_from(["f8", "<i2", "nonsense", "O", "", "U"]),
    st.lists(st.integers(-2, 2**64 - 1), max_size=4),
    st.binary(),
)
def test_a_header_that_lies_gives_a_protocol_error(dtype: str, shape: list[int], data: bytes) -> None:
    header = {"dtype": dtype, "shape": shape, "buffer": 1}
    encoded = msgspec.msgpack.encode([dtype, shape, 1])
    extension = msgspec.msgpack.Ext(values.EXT_ARRAY, encoded)
    buffers = [msgspec.msgpack.encode({"type": "reply", "id": 1, "result": extension}), data]
    try:
        message = values.decode(buffers)
    except errors.ProtocolError:
        return
    assert isinstance(message, messages.Reply)
    assert message.result.nbytes == len(data), header
    assert list(message.result.shape) == shape


def test_errors_become_data_and_foreign_ones_command_errors() -> None:
    ours = errors.NodeNotFoundError("No node.", expected="a name", got="'x'", hint="look", details={"n": 1})
    ours.vtk_errors.append("vtkFoo")
    info = messages.ErrorInfo(**values.error_info(ours, traceback="text"))
    assert (info.type, info.message, info.expected, info.got, info.hint) == (
        "NodeNotFoundError", "No node.", "a name", "'x'", "look",
    )  # fmt: skip
    assert (info.details, info.traceback, info.vtk_errors) == ({"n": 1}, "text", ["vtkFoo"])
    foreign = messages.ErrorInfo(**values.error_info(ZeroDivisionError("by zero"), traceback="text"))
    assert foreign.type == "CommandError"
    assert foreign.message == "ZeroDivisionError: by zero"
    assert foreign.details == {"type": "ZeroDivisionError"}


def test_an_array_that_does_not_fit_in_memory_is_refused_before_it_is_copied() -> None:
    endless = np.broadcast_to(np.int16(3), (1 << 20, 1 << 20, 16))
    with pytest.raises(errors.ArrayError, match=r"GiB, shape \(1048576, 1048576, 16\), int16"):
        values.check_array(endless)
    assert values.memory_available() > 0
