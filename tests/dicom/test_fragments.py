"""Which fragments are which frame: PS3.5 annex A.4, with tables that lie and files that end early."""

from __future__ import annotations

import io
import itertools
import struct

import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from slicer_notebook.dicom.fragments import FragmentError, fragments_of_frames, read_frame

END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
#: JPEG's and JPEG 2000's beginnings and ends, of several lengths
FRAMES = [
    b"\xff\xd8\xff" + bytes([number + 1] * length) + b"\xff\xd9" for number, length in enumerate((40, 7, 101, 21))
]


def item(data, length=None):
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data) if length is None else length) + data


def padded(data):
    return data + b"\0" * (len(data) % 2)


def pieces(frame, size=16):
    frame = padded(frame)
    return [frame[at : at + size] for at in range(0, len(frame), size)]


def frames_of(data, count, offset=0):
    file = io.BytesIO(data)
    return [read_frame(file, fragments) for fragments in fragments_of_frames(file, offset, count)]


@pytest.mark.parametrize("has_bot", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_as_pydicom_writes_and_reads(fragments, has_bot):
    data = encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=has_bot) + END
    expected = list(generate_frames(data, number_of_frames=len(FRAMES)))
    assert frames_of(b"12345678" + data, len(FRAMES), offset=8) == expected
    assert [frame.rstrip(b"\0") for frame in expected] == FRAMES


def test_an_extended_offset_table():
    data, offsets, lengths = encapsulate_extended(FRAMES)
    expected = list(generate_frames(data, number_of_frames=4, extended_offsets=(offsets, lengths)))
    assert frames_of(data + END, 4) == expected


def test_one_frame_of_many_fragments():
    data = item(b"") + b"".join(map(item, pieces(FRAMES[2]))) + END
    assert frames_of(data, 1) == [padded(FRAMES[2])]


def test_one_frame_that_begins_like_none():
    """RLE in several fragments, which the standard forbids and writers make."""
    parts = [struct.pack("<16I", 1, 64, *[0] * 14), b"\x05\1\2\3\4\5\6\0"]
    assert frames_of(item(b"") + b"".join(map(item, parts)) + END, 1) == [b"".join(parts)]


@pytest.mark.parametrize("table", [
    [0, 0, 0, 0], [0, 8, 16, 24], [4, 60, 80, 200], [0, 2**31, 5, 7], [200, 100, 50, 0],
])  # fmt: skip
def test_an_offset_table_that_lies(table):
    """One fragment a frame: nobody asks it. Several: frames are told by where they begin and end."""
    for split in (lambda frame: [padded(frame)], pieces):
        data = item(struct.pack("<4I", *table)) + b"".join(item(p) for frame in FRAMES for p in split(frame)) + END
        assert frames_of(data, 4) == [padded(frame) for frame in FRAMES]


def test_fragments_that_nothing_tells_apart():
    data = item(b"") + b"".join(item(bytes([number]) * 10) for number in range(6)) + END
    with pytest.raises(FragmentError, match="nothing that says"):
        frames_of(data, 4)


def test_two_frames_where_one_is_due():
    data = item(b"") + item(padded(FRAMES[0])) + item(padded(FRAMES[1])) + END
    with pytest.raises(FragmentError):
        frames_of(data, 1)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_an_offset_table_that_leaves_frames_out(frames):
    """It names fragments that are there, but the last frame would be of several whole images."""
    fragments = [padded(frame) for frame in FRAMES]
    starts = [0, *itertools.accumulate(8 + len(fragment) for fragment in fragments)][:frames]
    data = item(struct.pack(f"<{frames}I", *starts)) + b"".join(map(item, fragments)) + END
    with pytest.raises(FragmentError, match="nothing that says"):
        frames_of(data, frames)


def test_a_delimiter_among_the_bytes_of_a_fragment():
    """Only the fragments' lengths say where one ends."""
    frame = FRAMES[0][:10] + END + FRAMES[0][10:]
    assert frames_of(item(b"") + item(padded(frame)) + item(padded(FRAMES[1])) + END, 2) == [
        padded(frame), padded(FRAMES[1]),
    ]  # fmt: skip


def test_fewer_than_frames():
    data = encapsulate(FRAMES[:3]) + END
    with pytest.raises(FragmentError, match="3 fragments of pixels for 4 frames"):
        frames_of(data, 4)


def test_no_delimiter_at_the_end():
    assert frames_of(encapsulate(FRAMES), 4) == [padded(frame) for frame in FRAMES]


def test_every_place_where_a_file_may_end():
    """The frames are whole, or it is said."""
    data = encapsulate(FRAMES)
    whole = [padded(frame) for frame in FRAMES]
    for end in range(len(data)):
        with pytest.raises(FragmentError):
            frames_of(data[:end], 4)
    assert frames_of(data, 4) == whole


def test_what_is_no_item():
    for data in (b"", b"\0" * 40, item(b"", length=0xFFFFFFFF), item(b"") + item(b"abcd", length=0x7FFFFFFF)):
        with pytest.raises(FragmentError):
            frames_of(data, 1)


@pytest.mark.parametrize("lost", [2, 4, 8, 10])
def test_bytes_lost_inside_the_last_fragment(lost):
    """The fragment's length then reaches into what ends the pixels, or, with 8 bytes, exactly behind it."""
    data = item(b"") + item(b"\1" * 40) + END
    with pytest.raises(FragmentError, match="ends inside fragment 1"):
        frames_of(data[:30] + data[30 + lost :], 1)
