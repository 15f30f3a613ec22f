"""Bytes in any portions, damaged, endless, or nonsense."""

from __future__ import annotations

import random
import resource
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.checksum import crc64
from slicer_notebook.igtl.decoder import MAX_SKIPPED_BYTES, RECEIVE_BYTES, SMALL_BYTES
from tests.igtl.examples import MESSAGES, TIME, only, wire
from tests.igtl.strategies import any_message

ALL = b"".join(wire(message, version) for message in MESSAGES for version in (1, 2))


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """Bytes of memory that what is inside may hold at any time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


def same(one: list[igtl.Event], other: list[igtl.Event]) -> bool:
    """Whether two decoders found the same."""
    return [str(event) for event in one] == [str(event) for event in other]


def test_all_at_once() -> None:
    events = igtl.Decoder().feed(ALL)
    assert [event.type for event in events] == [message.type for message in MESSAGES for _ in (1, 2)]  # type: ignore[union-attr]
    assert all(isinstance(event, igtl.Message) for event in events)


def test_byte_by_byte() -> None:
    decoder = igtl.Decoder()
    events = [event for i in range(len(ALL)) for event in decoder.feed(ALL[i : i + 1])]
    assert same(events, igtl.Decoder().feed(ALL))
    assert not decoder.in_message


def test_split_at_every_byte() -> None:
    for message in MESSAGES:
        data = wire(message) + wire(MESSAGES[0])
        whole = igtl.Decoder().feed(data)
        for at in range(1, len(data)):
            decoder = igtl.Decoder()
            assert same(decoder.feed(data[:at]) + decoder.feed(data[at:]), whole)


@given(st.lists(any_message, max_size=6), st.lists(st.integers(1, 5000), max_size=40))
@settings(max_examples=50)
def test_any_messages_in_any_portions(messages: list[igtl.Message], portions: list[int]) -> None:
    data = b"".join(wire(message) for message in messages)
    decoder, events, at = igtl.Decoder(), [], 0
    for portion in [*portions, len(data)]:
        events += decoder.feed(data[at : at + portion])
        at += portion
    assert same(events, igtl.Decoder().feed(data))
    assert len(events) == len(messages)


def test_large_bodies_between_small_ones_in_portions_of_any_size() -> None:
    rng = random.Random(1)
    voxels = np.random.default_rng(1).integers(0, 255, (3, 200, 300), dtype=np.uint8)
    large = igtl.of_content(igtl.Image(voxels, np.eye(4)), "large")
    polydata = igtl.of_content(igtl.PolyData(np.ones((SMALL_BYTES // 12 + 5, 3))), "poly")
    messages = [
        large if rng.random() < 0.2 else polydata if rng.random() < 0.2 else rng.choice(MESSAGES) for _ in range(60)
    ]
    data = b"".join(wire(message) for message in messages)
    for _ in range(5):
        decoder, events, at = igtl.Decoder(), [], 0
        while at < len(data):
            portion = rng.choice([1, 58, 1000, 70_000, RECEIVE_BYTES, 500_000])
            events += decoder.feed(data[at : at + portion])
            at += portion
        assert [event.type for event in events] == [message.type for message in messages]
        found = [event.content for event in events if event.device == "large"]
        assert all(content == large.content for content in found)


def test_a_driver_receives_into_the_message_s_own_memory() -> None:
    voxels = np.arange(RECEIVE_BYTES * 2, dtype=np.uint8).reshape(1, 2, -1)[:, :, :60000]
    data = wire(igtl.of_content(igtl.Image(voxels, np.eye(4))))
    decoder, at, events, rooms = igtl.Decoder(), 0, [], []
    while at < len(data):
        room = decoder.room()
        rooms.append(room)
        count = min(len(room), len(data) - at, 40_000)
        room[:count] = data[at : at + count]
        at += count
        events += decoder.took(count)
    content = only(events).content
    assert isinstance(content, igtl.Image)
    np.testing.assert_array_equal(content.voxels, voxels)
    assert np.shares_memory(content.voxels, np.frombuffer(rooms[-1], np.uint8))


def test_arrays_stay_as_they_are_when_more_comes() -> None:
    decoder = igtl.Decoder()
    first = only(decoder.feed(wire(MESSAGES[2])))
    assert isinstance(first.content, igtl.Image)
    before = first.content.voxels.copy()
    decoder.feed(b"".join(wire(message) for message in MESSAGES))
    np.testing.assert_array_equal(first.content.voxels, before)


# What is dropped


@pytest.mark.parametrize("version", [1, 2])
def test_a_wrong_checksum_drops_that_message_alone(version: int) -> None:
    for message in MESSAGES:
        data = bytearray(wire(message, version))
        if len(data) == 58:
            continue
        data[-1] ^= 1
        fault, after = igtl.Decoder().feed(bytes(data) + wire(MESSAGES[1]))
        assert isinstance(fault, igtl.Fault)
        assert not fault.fatal
        assert "checksum" in fault.error.message
        assert (fault.type, fault.device) == (message.type, message.device)
        assert isinstance(after, igtl.Message)


def test_a_type_that_is_not_known_is_passed_over() -> None:
    body = bytes(1_000_000)
    unknown = struct.pack(">H12s20sIIQQ", 1, b"VIDEO", b"Cam", 0, 0, len(body), crc64(body)) + body
    empty = struct.pack(">H12s20sIIQQ", 2, b"MYTYPE", b"", 0, 0, 0, 0)
    decoder = igtl.Decoder()
    events = []
    with at_most(100_000):
        for at in range(0, len(unknown), 1000):
            events += decoder.feed(unknown[at : at + 1000])
    events += decoder.feed(empty + wire(MESSAGES[0]))
    assert events[0] == igtl.Skipped("VIDEO", "Cam", 1_000_000)
    assert events[1] == igtl.Skipped("MYTYPE", "", 0)
    assert isinstance(events[2], igtl.Message)
    assert len(events) == 3


@pytest.mark.parametrize(
    ("type_", "size"),
    [
        (b"TRANSFORM", 1 << 21),
        (b"STRING", 1 << 21),
        (b"SENSOR", 1 << 21),
        (b"GET_IMAGE", 1 << 21),
        (b"IMAGE", 1 << 31),
        (b"POLYDATA", 1 << 30),
    ],
)
def test_a_message_that_is_too_long_takes_no_memory(type_: bytes, size: int) -> None:
    decoder = igtl.Decoder()
    with at_most(100_000):
        (fault,) = decoder.feed(struct.pack(">H12s20sIIQQ", 2, type_, b"d", 0, 0, size, 0))
        assert isinstance(fault, igtl.Fault)
        assert not fault.fatal
        assert "too long" in fault.error.message
        if size == 1 << 21:
            for _ in range(size // 4096):
                assert decoder.feed(bytes(4096)) == []
            assert isinstance(decoder.feed(wire(MESSAGES[0]))[0], igtl.Message)


def test_the_limit_is_the_caller_s() -> None:
    data = wire(MESSAGES[2])
    size = len(data) - 58
    assert isinstance(igtl.Decoder(size).feed(data)[0], igtl.Message)
    assert isinstance(igtl.Decoder(size - 1).feed(data)[0], igtl.Fault)


def test_what_is_announced_is_not_touched_before_it_comes() -> None:
    """A peer that announces a gigabyte costs what it sends."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    decoder = igtl.Decoder()
    before = resident()
    decoder.feed(struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"d", 0, 0, 1 << 30, 0) + bytes(1000))
    assert decoder.in_message
    assert resident() - before < 50_000_000


def test_a_version_to_come_is_passed_over() -> None:
    data = bytearray(wire(MESSAGES[0]))
    data[:2] = b"\0\3"
    fault, after = igtl.Decoder().feed(bytes(data) + wire(MESSAGES[1]))
    assert isinstance(fault, igtl.Fault)
    assert "version" in fault.error.message
    assert isinstance(after, igtl.Message)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: localhost:18944\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(100)),
        b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5 and so on, and so on, and so on\r\n",
        bytes(58),
        b"\xff" * 58,
        struct.pack(">H12s20sIIQQ", 1, b"A\0B", b"", 0, 0, 0, 0),
        struct.pack(">H12s20sIIQQ", 1, b"TRANSFORM", b"", 0, 0, MAX_SKIPPED_BYTES + 1, 0),
    ],
)
def test_what_is_no_message_ends_the_stream(nonsense: bytes) -> None:
    decoder = igtl.Decoder()
    first, fault = decoder.feed(wire(MESSAGES[0]) + nonsense + wire(MESSAGES[0]))
    assert isinstance(first, igtl.Message)
    assert isinstance(fault, igtl.Fault)
    assert fault.fatal
    assert isinstance(fault.error, OpenIGTLinkError)
    assert decoder.lost
    assert decoder.feed(wire(MESSAGES[0])) == []


# Fuzz


@given(st.binary(max_size=300), st.sampled_from(sorted({m.type for m in MESSAGES})), st.integers(1, 2))
@settings(max_examples=300)
def test_any_body_with_a_right_checksum_is_read_or_refused(body: bytes, type_: str, version: int) -> None:
    head = struct.pack(">H12s20sIIQQ", version, type_.encode()[:12], b"d", 0, 0, len(body), crc64(body))
    first, after = igtl.Decoder().feed(head + body + wire(MESSAGES[0]))
    assert isinstance(first, igtl.Message | igtl.Fault)
    assert isinstance(after, igtl.Message)


@given(st.binary(max_size=2000))
def test_any_bytes_do_not_crash(data: bytes) -> None:
    igtl.Decoder().feed(data)


#: Changed messages that are tried; about 60 µs each.
MUTATIONS = 10_000


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A message with a few bytes changed, taken out, doubled or cut off, its length and checksum set right again."""
    head, body = bytearray(data[:58]), bytearray(data[58:])
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(6)
        at = rng.randrange(len(body)) if body else 0
        if kind == 0 and body:
            body[at] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 1 and body:
            body[at : at + 4] = struct.pack(
                ">I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(body), rng.randrange(1 << 32)])
            )
        elif kind == 2:
            del body[at : at + rng.randint(1, 30)]
        elif kind == 3:
            body[at:at] = body[at : at + rng.randint(1, 60)]
        elif kind == 4:
            body[at:at] = rng.randbytes(rng.randint(1, 20))
        else:
            head[rng.choice([0, 1, *range(2, 34)])] = rng.randrange(256)
    head[42:58] = struct.pack(">QQ", len(body), crc64(bytes(body)))
    return bytes(head + body)


def test_thousands_of_damaged_messages_neither_crash_nor_hang_nor_fill_the_memory() -> None:
    rng = random.Random(20_240_229)
    originals = [wire(message, version) for message in MESSAGES for version in (1, 2)]
    good = wire(MESSAGES[0])
    kinds: dict[str, int] = {}
    slowest = 0.0
    with at_most(5_000_000):
        for _ in range(MUTATIONS):
            data = mutated(rng, rng.choice(originals))
            decoder = igtl.Decoder()
            began = time.perf_counter()
            events = decoder.feed(data + good)
            slowest = max(slowest, time.perf_counter() - began)
            for event in events:
                kinds[type(event).__name__] = kinds.get(type(event).__name__, 0) + 1
            if not decoder.lost:
                # The connection goes on: what comes after is read.
                assert isinstance(events[-1], igtl.Message)
                assert len(events) == 2
    # Both what is refused and what is still a message was met, many times.
    assert min(kinds["Message"], kinds["Fault"], kinds["Skipped"]) > MUTATIONS // 100, kinds
    assert slowest < 2.0  # a machine may be busy; the work itself takes microseconds


def test_a_polydata_of_cells_of_unlike_sizes_is_read_in_time() -> None:
    count = 200_000
    flat = np.zeros((count, 2, 4), np.uint32)
    flat[:, 0, 0], flat[:, 0, 1:] = 3, 0
    cells = np.concatenate([np.array([3, 0, 0, 0, 1, 0], np.uint32)] * count)
    content = igtl.PolyData(np.zeros((1, 3)), polygons=igtl.Cells(cells, 2 * count))
    data = wire(igtl.of_content(content))
    began = time.perf_counter()
    read = only(igtl.Decoder().feed(data))
    assert read.content == content
    assert time.perf_counter() - began < 10


def test_a_time_stamp_of_none() -> None:
    message = igtl.Message("GET_STATUS", "", None, igtl.Timestamp())
    assert only(igtl.Decoder().feed(wire(message))).timestamp == (0, 0)
    assert TIME.seconds
