"""Messages of the link: round trips, other versions, and what is not a message."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook import errors
from slicer_notebook.protocol import messages, values
from tests.protocol.test_values import plain

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
leases = st.lists(numbers, max_size=4)
arguments = st.dictionaries(text, plain, max_size=3)
infos = st.builds(
    messages.ErrorInfo,
    type=text,
    message=text,
    expected=st.none() | text,
    got=st.none() | text,
    hint=st.none() | text,
    details=arguments,
    traceback=st.none() | text,
    vtk_errors=st.lists(text, max_size=2),
)
floats = st.floats(allow_nan=False)
spots = st.sampled_from((None, msgspec.UNSET)) | st.builds(
    messages.Spot,
    ras=st.tuples(floats, floats, floats),
    volumes=st.lists(st.builds(messages.SpotVolume, layer=text, name=text, value=text, unit=text), max_size=2),
    segments=st.lists(
        st.builds(messages.SpotSegment, name=text, color=st.tuples(floats, floats, floats), segmentation=text),
        max_size=2,
    ),
)
version = st.tuples(numbers, numbers)
each: dict[Any, dict[str, Any]] = {
    messages.Hello: {
        "protocol": version,
        "package": text,
        "token": text,
        "pid": numbers,
        "machine": text,
        "control": st.booleans(),
        "probe": plain,
        "info": arguments,
    },
    messages.Attach: {
        "protocol": version,
        "package": text,
        "pid": numbers,
        "client": text,
        "shared_memory": st.booleans(),
        "probe": plain,
    },
    messages.Request: {"id": numbers, "command": text, "args": arguments, "releases": leases},
    messages.Reply: {
        "id": numbers,
        "result": plain,
        "error": st.none() | infos,
        "seconds": st.floats(allow_nan=False),
        "releases": leases,
    },
    messages.Progress: {"id": numbers, "done": st.floats(allow_nan=False), "text": text, "data": plain},
    messages.Event: {"kind": text, "data": plain},
    messages.LogRecord: {"level": numbers, "text": text, "source": text},
    messages.Cancel: {"id": numbers, "interrupt": st.booleans()},
    messages.Chunk: {"transfer": numbers, "offset": numbers, "total": numbers, "request": numbers},
    messages.Release: {"leases": leases},
    messages.Watch: {
        "stream": numbers,
        "view": text,
        "size": st.none() | st.tuples(numbers, numbers),
        "paused": st.booleans(),
        "again": st.booleans(),
    },
    messages.Input: {
        "stream": numbers,
        "number": numbers,
        "events": st.lists(arguments, max_size=3),
        "seen": numbers,
    },
    messages.Seen: {"stream": numbers, "index": numbers},
    messages.Unwatch: {"stream": numbers},
    messages.Frame: {
        "stream": numbers,
        "index": numbers,
        "size": st.tuples(numbers, numbers),
        "mime": text,
        "lossless": st.booleans(),
        "data": st.binary(max_size=40),
        "input": numbers,
        "spot": spots,
    },
    messages.Took: {"stream": numbers, "number": numbers, "cursor": text, "error": text, "spot": spots},
    messages.Unwatched: {"stream": numbers, "error": infos},
}
every_message = st.one_of(*(st.builds(kind, **fields) for kind, fields in each.items()))


@settings(max_examples=300)
@given(every_message)
def test_every_message_comes_as_it_was(message: messages.Message) -> None:
    got = values.decode(values.encode(message))
    assert type(got) is type(message)
    assert got == message


def test_every_kind_is_tested() -> None:
    assert set(each) == set(messages.Message.__args__)
    assert all(set(fields) == set(kind.__struct_fields__) for kind, fields in each.items())


@given(every_message)
def test_fields_of_a_newer_version_are_ignored(message: messages.Message) -> None:
    raw = msgspec.msgpack.decode(values.encode(message)[0])
    raw["a field of tomorrow"] = {"what": ["ever"]}
    assert values.decode([msgspec.msgpack.encode(raw)]) == message


@settings(max_examples=300)
@given(every_message, st.data())
def test_a_truncated_message_gives_a_protocol_error(message: messages.Message, data: st.DataObject) -> None:
    whole = bytes(values.encode(message)[0])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(errors.ProtocolError):
        values.decode([whole[:cut]])


@settings(max_examples=500)
@given(every_message, st.data())
def test_a_garbled_message_gives_a_message_or_a_protocol_error(message: messages.Message, data: st.DataObject) -> None:
    whole = bytearray(values.encode(message)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(errors.ProtocolError):
        assert isinstance(values.decode([bytes(whole)]), messages.Message)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_noise_gives_a_protocol_error(noise: bytes) -> None:
    # No message is that short and random: each names its kind in full.
    with pytest.raises(errors.ProtocolError):
        values.decode([noise])


@pytest.mark.parametrize(
    "raw",
    [
        {},
        [],
        None,
        {"type": "unheard-of"},
        {"type": "request"},
        {"type": "request", "id": "one", "command": "x"},
        {"type": "reply", "id": 1, "releases": 3},
        {"type": "reply", "id": 1, "result": msgspec.msgpack.Ext(77, b"")},
        {"type": "reply", "id": 1, "result": msgspec.msgpack.Ext(values.EXT_ARRAY, b"\xff")},
        {"type": "reply", "id": 1, "result": msgspec.msgpack.Ext(values.EXT_NODE, b"\x01")},
        {"type": "chunk", "transfer": 1, "offset": 0.5, "total": 1},
    ],
)
def test_what_is_no_message_gives_a_protocol_error(raw: Any) -> None:
    with pytest.raises(errors.ProtocolError) as caught:
        values.decode([msgspec.msgpack.encode(raw)])
    assert caught.value.message


def test_no_buffer_gives_a_protocol_error() -> None:
    with pytest.raises(errors.ProtocolError, match="empty"):
        values.decode([])


def test_an_error_that_a_fetch_raises_comes_through_as_it_is() -> None:
    import numpy as np

    def fetch(_header: values.ArrayHeader, _buffers: list[Any]) -> values.Array:
        raise errors.ArrayError("not this one")

    with pytest.raises(errors.ArrayError, match="not this one"):
        values.decode(values.encode(messages.Event(kind="x", data=np.zeros(1))), fetch=fetch)


def test_the_protocol_is_two_numbers_and_the_target_has_a_name() -> None:
    major, minor = messages.PROTOCOL_VERSION
    assert major >= 1
    assert minor >= 0
    assert messages.TARGET_NAME == "slicer_notebook"
