"""The header, the extended header, metadata, names of types, times and the checksum, byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.checksum import crc64
from slicer_notebook.igtl.codec import MAX_METADATA_BYTES
from slicer_notebook.igtl.message import full_type, wire_type
from tests.igtl.examples import MATRIX, MESSAGES, TIME, only, wire
from tests.igtl.strategies import any_message
from tests.igtl.test_bodies import COLUMNS, EXPECTED


def slow_crc(data: bytes) -> int:
    """The checksum bit by bit, as its definition reads."""
    value = 0
    for byte in data:
        value ^= byte << 56
        for _ in range(8):
            value = (value << 1 ^ 0x42F0E1EBA9EA3693 if value >> 63 else value << 1) & 0xFFFFFFFFFFFFFFFF
    return value


def header(version: int, type_: bytes, device: bytes, body: bytes) -> bytes:
    return struct.pack(">H12s20sIIQQ", version, type_, device, TIME.seconds, TIME.fraction, len(body), slow_crc(body))


def packet(version: int, type_: bytes, device: bytes, body: bytes) -> bytes:
    return header(version, type_, device, body) + body


def test_the_checksum_has_its_check_value() -> None:
    assert crc64(b"123456789") == 0x6C40DF5F0B497347
    assert crc64(b"") == 0


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_the_checksum_is_that_of_its_definition_and_goes_on(one: bytes, other: bytes) -> None:
    assert crc64(one + other) == slow_crc(one + other) == crc64(memoryview(other), crc64(one))


def test_a_transform_of_version_1_has_its_bytes() -> None:
    message = igtl.Message("TRANSFORM", "Tracker", igtl.Transform(MATRIX), TIME, 1, 5, {"a": "b"})
    data = packet(1, b"TRANSFORM", b"Tracker", COLUMNS)
    assert wire(message, 1) == data
    assert len(data) == 58 + 48
    read = only(igtl.Decoder().feed(data))
    assert read.content == message.content
    assert (read.type, read.device, read.timestamp, read.version) == ("TRANSFORM", "Tracker", TIME, 1)
    assert (read.message_id, read.metadata, read.wire_bytes) == (0, {}, 106)


def test_a_transform_of_version_2_has_its_bytes() -> None:
    message = igtl.Message("TRANSFORM", "Tracker", igtl.Transform(MATRIX), TIME, 2, 5, {"Unit": "mm", "Größe": "µm"})
    heads = struct.pack(">H", 2) + struct.pack(">HHI", 4, 3, 2) + struct.pack(">HHI", 7, 106, 3)
    data = b"Unitmm" + "Größeµm".encode()
    body = struct.pack(">HHII", 12, 18, 16, 5) + COLUMNS + heads + data
    assert wire(message, 2) == packet(2, b"TRANSFORM", b"Tracker", body)
    read = only(igtl.Decoder().feed(packet(2, b"TRANSFORM", b"Tracker", body)))
    assert read.content == message.content
    assert (read.version, read.message_id, read.metadata) == (2, 5, message.metadata)


def test_a_longer_extended_header_is_passed_over() -> None:
    body = struct.pack(">HHII", 20, 2, 0, 7) + b"newstuff" + COLUMNS + b"\0\0"
    read = only(igtl.Decoder().feed(packet(2, b"TRANSFORM", b"T", body)))
    assert read.content == igtl.Transform(MATRIX)
    assert read.message_id == 7


def test_an_image_behind_an_extended_header_is_aligned_and_not_copied() -> None:
    voxels = np.arange(4 * 4 * 4, dtype=np.float64).reshape(4, 4, 4)
    message = igtl.of_content(igtl.Image(voxels, MATRIX), metadata={"a": "b"})
    for version in (1, 2):
        read = only(igtl.Decoder().feed(wire(message, version)))
        assert isinstance(read.content, igtl.Image)
        assert read.content.voxels.ctypes.data % 64 == 0
        assert read.content.voxels.flags.aligned
        assert read.content == message.content
    pieces = igtl.encode(message, 2)
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), voxels) for piece in pieces)


def test_a_message_without_metadata_may_have_no_heads_at_all() -> None:
    body = struct.pack(">HHII", 12, 0, 0, 0) + COLUMNS
    assert only(igtl.Decoder().feed(packet(2, b"TRANSFORM", b"T", body))).metadata == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        struct.pack(">HHI", 12, 2, 0),
        struct.pack(">HHII", 11, 2, 0, 0) + COLUMNS + b"\0\0",
        struct.pack(">HHII", 200, 2, 0, 0) + COLUMNS + b"\0\0",
        struct.pack(">HHII", 12, 1, 0, 0) + COLUMNS + b"\0",
        struct.pack(">HHII", 12, 2, 0xFFFFFFFF, 0) + COLUMNS + b"\0\0",
        struct.pack(">HHII", 12, 2, 0, 0) + COLUMNS + b"\0\1",  # one entry, no head
        struct.pack(">HHII", 12, 10, 0, 0) + COLUMNS + struct.pack(">HHHI", 1, 3, 3, 0),  # a key that is not there
        struct.pack(">HHII", 12, 10, 4, 0) + COLUMNS + struct.pack(">HHHI", 1, 1, 3, 1) + b"abcd",  # two bytes too many
        struct.pack(">HHII", 12, 10, 2, 0) + COLUMNS + struct.pack(">HHHI", 1, 1, 106, 1) + b"a\xff",
        struct.pack(">HHII", 12, 0, 4, 0) + COLUMNS + b"abcd",
    ],
)
def test_an_extended_header_or_metadata_that_make_no_sense_drop_the_message_only(body: bytes) -> None:
    good = wire(MESSAGES[0])
    fault, after = igtl.Decoder().feed(packet(2, b"TRANSFORM", b"T", body) + good)
    assert isinstance(fault, igtl.Fault)
    assert (fault.type, fault.device, fault.fatal) == ("TRANSFORM", "T", False)
    assert isinstance(after, igtl.Message)


def test_names_that_fill_their_fields_have_no_zero_at_the_end() -> None:
    message = igtl.Message("GET_POLYDATA", "12345678901234567890", None, TIME)
    data = wire(message, 1)
    assert data[2:34] == b"GET_POLYDATA12345678901234567890"
    assert only(igtl.Decoder().feed(data)).device == "12345678901234567890"
    assert only(igtl.Decoder().feed(data)).type == "GET_POLYDATA"


@pytest.mark.parametrize(
    ("full", "cut"),
    [
        ("GET_TRANSFORM", "GET_TRANSFOR"),
        ("STT_TRANSFORM", "STT_TRANSFOR"),
        ("STP_TRANSFORM", "STP_TRANSFOR"),
        ("RTS_TRANSFORM", "RTS_TRANSFOR"),
        ("GET_CAPABILITY", "GET_CAPABIL"),
        ("GET_POLYDATA", "GET_POLYDATA"),
        ("RTS_COMMAND", "RTS_COMMAND"),
        ("TRANSFORM", "TRANSFORM"),
        ("CAPABILITY", "CAPABILITY"),
    ],
)
def test_queries_are_cut_at_twelve_characters(full: str, cut: str) -> None:
    assert wire_type(full) == cut
    assert full_type(cut) == full


def test_other_names_for_the_same_type() -> None:
    assert full_type("GET_CAPABILI") == "GET_CAPABILITY"
    assert full_type("QTRANS") == "POSITION"
    assert full_type("GET_QTRANS") == "GET_POSITION"
    assert full_type("VIDEO") == "VIDEO"
    with pytest.raises(OpenIGTLinkError, match="too long"):
        wire_type("SOMETHING_LONG")


def test_a_message_knows_its_verb() -> None:
    assert igtl.Message("GET_TRANSFORM").verb == "GET"
    assert igtl.Message("GET_TRANSFORM").subject == "TRANSFORM"
    assert igtl.Message("TRANSFORM").verb == ""
    assert igtl.Message("GETTER").subject == "GETTER"


@given(any_message)
def test_any_message_comes_back(message: igtl.Message) -> None:
    for version in (1, 2):
        read = only(igtl.Decoder().feed(wire(message, version)))
        assert (read.type, read.device, read.timestamp) == (message.type, message.device, message.timestamp)
        assert type(read.content) is type(message.content)
        assert read.version == version
        assert read.metadata == (message.metadata if version == 2 else {})
        assert read.message_id == (message.message_id if version == 2 else 0)
        # and is the same when it is said again
        assert wire(read, version) == wire(message, version)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_times_keep_every_bit(seconds: int, fraction: int) -> None:
    stamp = igtl.Timestamp(seconds, fraction)
    read = only(igtl.Decoder().feed(wire(igtl.Message("GET_STATUS", "", None, stamp))))
    assert read.timestamp == stamp
    assert abs(stamp.time - (seconds + fraction / 2**32)) < 1e-6


@given(st.integers(0, 2**32 * 10**9 - 1))
def test_nanoseconds_come_back(nanoseconds: int) -> None:
    assert igtl.Timestamp.from_ns(nanoseconds).ns == nanoseconds
    assert igtl.Timestamp.from_time(nanoseconds / 1e9).time == pytest.approx(nanoseconds / 1e9, abs=1e-6)


@pytest.mark.parametrize(
    "message",
    [
        igtl.Message("TRANSFORM", "x" * 21),
        igtl.Message("TRANSFORM", "a\0b"),
        igtl.Message("TRANSFORM", "\ud800"),
        igtl.Message("TRANSFORM", "", None, igtl.Timestamp(-1, 0)),
        igtl.Message("TRANSFORM", "", None, igtl.Timestamp(2**32, 0)),
        igtl.Message("TRANSFORM", "", None, TIME, 2, 2**32),
        igtl.Message("TRANSFORM", "", None, TIME, 2, 0, {"a": "x" * MAX_METADATA_BYTES}),
        igtl.Message("TRANSFORM", "", None, TIME, 2, 0, {str(i): "" for i in range(9000)}),
        igtl.Message("TRANSFORM", "", igtl.String("a")),
        igtl.Message("GET_STRING", "", igtl.String("a")),
        igtl.Message("VIDEO", "", igtl.String("a")),
        igtl.Message("RTS_COMMAND", "", igtl.Reply(0)),
    ],
)
def test_a_message_that_cannot_be_said_is_refused(message: igtl.Message) -> None:
    with pytest.raises(OpenIGTLinkError):
        igtl.encode(message, 2)


def test_a_version_that_there_is_not_is_refused() -> None:
    with pytest.raises(OpenIGTLinkError, match="version"):
        igtl.encode(MESSAGES[0], 3)


def test_the_type_of_a_message_follows_from_its_content() -> None:
    assert igtl.of_content(igtl.Tracking(())).type == "TDATA"
    with pytest.raises(OpenIGTLinkError, match="must be told"):
        igtl.of_content(igtl.Reply(0))


def test_a_command_is_answered_with_its_number() -> None:
    query = igtl.Message("COMMAND", "dev", igtl.Command(7, "Do", "it"))
    good, bad = igtl.answer_command(query, "42"), igtl.answer_command(query, error="no")
    assert good.content == igtl.Command(7, "Do", "42")
    assert (good.type, good.device, good.metadata) == ("RTS_COMMAND", "dev", {"Status": "SUCCESS"})
    assert bad.metadata == {"Status": "FAIL", "ErrorMessage": "no"}
    with pytest.raises(OpenIGTLinkError):
        igtl.answer_command(good.__class__("TRANSFORM"))


def test_every_type_is_read_in_both_versions_from_bytes_made_here() -> None:
    for name, body in EXPECTED.items():
        first = only(igtl.Decoder().feed(packet(1, name.encode(), b"d", body)))
        second = only(
            igtl.Decoder().feed(packet(2, name.encode(), b"d", struct.pack(">HHII", 12, 2, 0, 3) + body + b"\0\0"))
        )
        assert first.content == second.content
        assert first.content is not None
