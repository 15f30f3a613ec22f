"""Contents byte by byte: each expected one is put together here, from the text of the protocol."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.bodies import MAX_POINTS, decode_content, encode_content
from tests.igtl.examples import CONTENTS, MATRIX, MESSAGES
from tests.igtl.strategies import messages

#: MATRIX column by column, the translation last.
COLUMNS = struct.pack(">12f", 0, 1, 0, -2, 0, 0, 0, 0, 3, 10.5, -20.25, 30)


def polydata_bytes() -> bytes:
    head = struct.pack(">10I", 4, 0, 0, 1, 3 * 4, 2, 9 * 4, 0, 0, 2)
    points = struct.pack(">12f", 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0)
    cells = struct.pack(">3I", 2, 0, 1) + struct.pack(">9I", 3, 0, 1, 2, 4, 0, 1, 2, 3)
    attributes = struct.pack(">BBI", 0x00, 1, 4) + struct.pack(">BBI", 0x12, 3, 3)
    names = b"heat\0n\0" + b"\0"  # 7 bytes: one more makes them even
    return head + points + cells + attributes + names + struct.pack(">4f", 0, 1, 2, 3) + struct.pack(">9f", *[1] * 9)


# The centre of 4 x 3 x 2 voxels is 1.5, 1, 0.5 from the corner: x 10.5 - 2 * 1, y -20.25 + 1.5, z 30 + 3 * 0.5.
IMAGE_HEAD = (
    struct.pack(">HBBBB3H", 1, 1, 4, 2, 2, 4, 3, 2)
    + struct.pack(">12f", 0, 1, 0, -2, 0, 0, 0, 0, 3, 8.5, -18.75, 31.5)
    + struct.pack(">6H", 0, 0, 0, 4, 3, 2)
)

EXPECTED = {
    "CAPABILITY": b"TRANSFORM\0\0\0GET_CAPABIL\0",
    "COMMAND": struct.pack(">I128sHI", 77, b"Record", 3, 5) + b"<on/>",
    "IMAGE": IMAGE_HEAD + struct.pack("<24h", *range(24)),
    "NDARRAY": struct.pack(">BB2H6f", 10, 2, 2, 3, *range(6)),
    "POINT": struct.pack(">64s32s4B3ff20s", b"tip", b"Unselected", 1, 2, 3, 4, 1.5, -2, 3, 5, b"CT"),
    "POLYDATA": polydata_bytes(),
    "POSITION": struct.pack(">7f", 1, 2, 3, 0.5, -0.5, 0.5, 0.5),
    "SENSOR": struct.pack(">BBQ2d", 2, 3, 0xB << 60 | (0x0B << 4 | 1) << 50, 1.5, -2.5),
    "STATUS": struct.pack(">Hq20s", 6, -5, b"Busy") + b"wait\0",
    "STRING": struct.pack(">HH", 106, 7) + b"Gr\xc3\xbc\xc3\x9fe",
    "TDATA": struct.pack(">20sBB", b"Needle", 4, 0)
    + COLUMNS
    + struct.pack(">20sBB12f", b"Probe", 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0),
    "TRANSFORM": COLUMNS,
}


def decode(type_: str, data: bytes, verb: str = "") -> igtl.Content | None:
    return decode_content(verb, type_, memoryview(bytearray(data)))


def test_each_type_has_its_bytes() -> None:
    assert EXPECTED.keys() == CONTENTS.keys() == set(igtl.TYPES)
    for name, content in CONTENTS.items():
        assert b"".join(encode_content(content)) == EXPECTED[name], name


@pytest.mark.parametrize("name", EXPECTED)
def test_the_bytes_of_each_type_are_read(name: str) -> None:
    content = decode(name, EXPECTED[name])
    expected = CONTENTS[name]
    if isinstance(expected, igtl.String | igtl.Command):
        assert isinstance(content, igtl.String | igtl.Command)
        assert content.text == expected.text
        assert content.encoding == (3 if name == "COMMAND" else 106)
    else:
        assert content == expected


@pytest.mark.parametrize("type_", sorted({message.type for message in MESSAGES}))
def test_any_content_comes_back(type_: str) -> None:
    @given(messages(type_))
    def comes_back(message: igtl.Message) -> None:
        if message.content is None:
            return
        data = b"".join(encode_content(message.content))
        content = decode_content(message.verb, message.subject, memoryview(bytearray(data)))
        sent = message.content
        if isinstance(sent, igtl.String | igtl.Command):  # they come with the encoding that was chosen
            sent = sent.__class__(
                *(getattr(sent, f) for f in sent.__struct_fields__[:-1]), 3 if sent.text.isascii() else 106
            )
        assert content == sent

    comes_back()


def test_the_queries_that_say_something() -> None:
    start = struct.pack(">I32s", 50, b"Patient")
    assert b"".join(encode_content(igtl.StartStream(50, "Patient"))) == start
    assert decode("TDATA", start, "STT") == igtl.StartStream(50, "Patient")
    assert decode("TRANSFORM", start, "STT") == igtl.StartStream(50, "Patient")
    assert decode("TDATA", b"", "STT") is None
    assert decode("IMAGE", b"\1", "RTS") == igtl.Reply(1)
    assert decode("COMMAND", EXPECTED["COMMAND"], "RTS") == igtl.Command(77, "Record", "<on/>", 3)


@pytest.mark.parametrize("name", igtl.TYPES)
def test_an_empty_body_says_that_there_is_none(name: str) -> None:
    assert decode(name, b"") is None


# POSITION


def test_a_position_may_be_short() -> None:
    assert decode("POSITION", struct.pack(">3f", 1, 2, 3)) == igtl.Position((1, 2, 3), (0, 0, 0, 1))
    made = decode("POSITION", struct.pack(">6f", 1, 2, 3, 0.5, 0.5, 0.5))
    assert made == igtl.Position((1, 2, 3), (0.5, 0.5, 0.5, 0.5))
    # Not a unit quaternion, by rounding: w is 0, not a root of a negative number.
    assert decode("POSITION", struct.pack(">6f", 0, 0, 0, 1, 0.001, 0)).quaternion[3] == 0  # type: ignore[union-attr]


# IMAGE


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("endian", [1, 2])
def test_voxels_of_either_byte_order_are_read(dtype: str, endian: int) -> None:
    code = {"i1": 2, "u1": 3, "i2": 4, "u2": 5, "i4": 6, "u4": 7, "f4": 10, "f8": 11}[dtype]
    voxels = np.arange(12).reshape(1, 2, 3, 2)
    head = struct.pack(">HBBBB3H12f6H", 1, 2, code, endian, 1, 3, 2, 1, *[0] * 12, 0, 0, 0, 3, 2, 1)
    content = decode("IMAGE", head + voxels.astype({1: ">", 2: "<"}[endian] + dtype).tobytes())
    assert isinstance(content, igtl.Image)
    assert content.voxels.dtype == np.dtype(dtype)
    assert content.voxels.dtype.isnative
    np.testing.assert_array_equal(content.voxels, voxels)


def test_big_endian_voxels_are_sent_as_they_are() -> None:
    voxels = np.arange(8, dtype=">i2").reshape(2, 2, 2)
    head, data = encode_content(igtl.Image(voxels, np.eye(4)))
    assert head[4] == 1
    assert bytes(data) == voxels.tobytes()
    assert np.shares_memory(np.frombuffer(data, np.uint8), voxels)


def test_voxels_that_lie_in_strides_are_put_together() -> None:
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::2, ::-1]
    _, data = encode_content(igtl.Image(voxels, np.eye(4)))
    assert bytes(data) == voxels.tobytes()


def test_voxels_are_neither_copied_to_be_sent_nor_when_they_come() -> None:
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    head, data = encode_content(igtl.Image(voxels, np.eye(4)))
    assert np.shares_memory(np.frombuffer(data, np.uint8), voxels)
    body = np.frombuffer(bytearray(bytes(head) + bytes(data)), np.uint8)
    content = decode_content("", "IMAGE", body.data)
    assert isinstance(content, igtl.Image)
    assert np.shares_memory(content.voxels, body)


def test_the_matrix_of_a_part_is_that_of_the_whole_image() -> None:
    head = struct.pack(">HBBBB3H", 1, 1, 3, 2, 1, 10, 20, 30)
    head += struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 100, 200, 300) + struct.pack(">6H", 2, 3, 4, 1, 1, 2)
    content = decode("IMAGE", head + b"\7\10")
    assert isinstance(content, igtl.Image)
    assert content.matrix[:3, 3].tolist() == [100 - 4.5, 200 - 9.5, 300 - 14.5]
    assert content.offset == (2, 3, 4)
    assert content.size == (10, 20, 30)
    assert content.voxels.tolist() == [[[7]], [[8]]]
    assert b"".join(encode_content(content)) == head + b"\7\10"


def image_with(at: int, byte: int) -> bytes:
    data = bytearray(EXPECTED["IMAGE"])
    data[at] = byte
    return bytes(data)


@pytest.mark.parametrize(
    ("at", "byte"),
    [
        (1, 2),
        (2, 0),
        (2, 2),
        (3, 1),
        (3, 13),
        (4, 0),
        (4, 3),
        (5, 0),
        (5, 3),
        (7, 3),
        (61, 1),
        (67, 0),
        (67, 3),
        (66, 255),
    ],
)
def test_an_image_that_makes_no_sense_is_refused(at: int, byte: int) -> None:
    with pytest.raises(OpenIGTLinkError):
        decode("IMAGE", image_with(at, byte))


# NDARRAY


def test_an_ndarray_is_big_endian_and_native_afterwards() -> None:
    data = struct.pack(">BB2H", 5, 2, 2, 3) + struct.pack(">6H", *range(6))
    content = decode("NDARRAY", data)
    assert isinstance(content, igtl.NDArray)
    assert content.array.dtype == np.uint16
    assert content.array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_ndarray_of_complex_numbers() -> None:
    content = decode("NDARRAY", struct.pack(">BBH4d", 13, 1, 2, 1, 2, 3, -4))
    assert isinstance(content, igtl.NDArray)
    assert content.array.tolist() == [1 + 2j, 3 - 4j]


def test_an_ndarray_whose_sizes_multiply_to_more_than_there_is_is_refused() -> None:
    for data in (
        struct.pack(">BB4H", 3, 4, *[0xFFFF] * 4),
        bytes([3, 255]) + b"\xff\xff" * 255,
        bytes([3]),
        bytes([9, 1, 0, 0]),
    ):
        with pytest.raises(OpenIGTLinkError):
            decode("NDARRAY", data)


def test_an_ndarray_without_numbers() -> None:
    content = decode("NDARRAY", struct.pack(">BB2H", 3, 2, 0, 5))
    assert isinstance(content, igtl.NDArray)
    assert content.array.shape == (0, 5)


# Texts


def test_a_text_called_ascii_that_is_utf_8_is_taken_as_such() -> None:
    assert decode("STRING", struct.pack(">HH", 3, 2) + "ü".encode()) == igtl.String("ü", 106)


def test_a_text_of_another_character_set() -> None:
    assert decode("STRING", struct.pack(">HH", 17, 4) + "患者".encode("shift_jis")) == igtl.String("患者", 17)
    assert b"".join(encode_content(igtl.String("患者", 17)))[4:] == "患者".encode("shift_jis")


def test_a_character_set_that_is_not_known() -> None:
    assert decode("STRING", struct.pack(">HH", 9999, 2) + b"ab") == igtl.String("ab", 3)
    with pytest.raises(OpenIGTLinkError, match="not known"):
        decode("STRING", struct.pack(">HH", 9999, 1) + b"\xff")
    with pytest.raises(OpenIGTLinkError, match="not in the character set"):
        decode("STRING", struct.pack(">HH", 106, 1) + b"\xff")
    with pytest.raises(OpenIGTLinkError, match="cannot be written"):
        encode_content(igtl.String("ü", 3))


def test_a_status_ends_at_a_zero_or_at_the_end() -> None:
    head = struct.pack(">Hq20s", 1, 0, b"12345678901234567890")
    assert decode("STATUS", head + b"fine") == igtl.Status(1, 0, "12345678901234567890", "fine")
    assert decode("STATUS", head + b"fine\0") == igtl.Status(1, 0, "12345678901234567890", "fine")
    assert decode("STATUS", head) == igtl.Status(1, 0, "12345678901234567890", "")
    assert igtl.Status(1).ok
    assert not igtl.Status(2).ok


def test_names_in_latin_1_are_read_too() -> None:
    data = struct.pack(">20sBx12f", "Gerät".encode("latin-1"), 2, *[0] * 12)
    content = decode("TDATA", data)
    assert isinstance(content, igtl.Tracking)
    assert content.tools[0].name == "Gerät"


# What does not fit


@pytest.mark.parametrize(
    "content",
    [
        igtl.String("x" * 65536),
        igtl.Status(name="x" * 21),
        igtl.Status(code=-1),
        igtl.Status(text="a\0b"),
        igtl.Points((igtl.Point("x" * 65, (0, 0, 0)),)),
        igtl.Points((igtl.Point("x", (0, 0, 0), rgba=(256, 0, 0, 0)),)),
        igtl.Points((igtl.Point("x", (0, 0, 0)),) * (MAX_POINTS + 1)),
        igtl.Tracking((igtl.Tool("é" * 11, MATRIX),)),
        igtl.Sensor(np.zeros(256)),
        igtl.NDArray(np.zeros(3, np.int64)),
        igtl.NDArray(np.zeros(70000, np.uint8)),
        igtl.Image(np.zeros((1, 1, 1), bool), MATRIX),
        igtl.Image(np.zeros((1, 1, 1), np.complex128), MATRIX),
        igtl.Image(np.zeros((1, 1, 70000), np.uint8), MATRIX),
        igtl.Image(np.zeros((1, 1, 1, 256), np.uint8), MATRIX),
        igtl.Image(np.zeros((1, 1, 1), np.uint8), MATRIX, "XYZ"),  # type: ignore[arg-type]
        igtl.Transform(np.full((4, 4), 1e300)),
        igtl.Command(-1, "a"),
        igtl.Command(1, "x" * 129),
        igtl.Capability(("x" * 13,)),
        igtl.StartStream(-1),
        igtl.PolyData(np.zeros((2, 3)), attributes=(igtl.Attribute("a", np.zeros(3)),)),
        igtl.PolyData(np.zeros((2, 3)), attributes=(igtl.Attribute("a", np.zeros((2, 2)), "normals"),)),
        igtl.PolyData(np.zeros((2, 3)), attributes=(igtl.Attribute("a" * 256, np.zeros(2)),)),
    ],
    ids=lambda content: type(content).__name__,
)
def test_what_does_not_fit_is_refused(content: igtl.Content) -> None:
    with pytest.raises(OpenIGTLinkError):
        encode_content(content)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "STATUS"])
def test_a_body_that_is_cut_or_too_long_is_refused(name: str) -> None:
    data = EXPECTED[name]
    short: Callable[[int], bool] = lambda size: name == "POSITION" and size in (12, 24)  # noqa: E731
    parts = {"CAPABILITY": 12, "TDATA": 70}.get(name, len(data))
    for size in range(1, len(data)):
        if not short(size) and size % parts:
            with pytest.raises(OpenIGTLinkError):
                decode(name, data[:size])
    with pytest.raises(OpenIGTLinkError):
        decode(name, data + b"\0")


@pytest.mark.parametrize(
    ("at", "word"),
    [
        (0, 5),
        (0, 0xFFFFFFFF),
        (12, 2),
        (16, 11),
        (16, 8),
        (20, 3),
        (36, 3),
        (36, 0xFFFFFFFF),
        (88 + 4, 4),
        (88 + 8, 0xFFFFFFFF),
    ],
)
def test_a_polydata_that_makes_no_sense_is_refused(at: int, word: int) -> None:
    data = bytearray(EXPECTED["POLYDATA"])
    data[at : at + 4] = struct.pack(">I", word)
    with pytest.raises(OpenIGTLinkError):
        decode("POLYDATA", bytes(data))


@pytest.mark.parametrize(("at", "byte"), [(136, 5), (136, 0x20), (137, 0), (142, 0x05)])
def test_a_polydata_with_attributes_that_make_no_sense_is_refused(at: int, byte: int) -> None:
    data = bytearray(EXPECTED["POLYDATA"])
    data[at] = byte
    with pytest.raises(OpenIGTLinkError):
        decode("POLYDATA", bytes(data))
