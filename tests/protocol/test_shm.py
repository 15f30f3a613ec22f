"""Shared memory: what is read is what was written, and no segment is used again while someone looks at it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slicer_notebook import errors
from slicer_notebook.protocol import shm
from slicer_notebook.protocol.shm import HUGE, SegmentPool, SegmentReader
from slicer_notebook.protocol.values import Array, ArrayHeader, SegmentRef


class Pair:
    """A writer and a reader, in one process; what the reader lets go of is told to the writer at `settle`."""

    def __init__(self) -> None:
        self.released: list[int] = []
        self.pool = SegmentPool()
        self.reader = SegmentReader(self.released.append)

    def send(self, array: Array) -> Array:
        return self.reader.fetch(self.pool.store(array))

    def settle(self) -> None:
        while self.released:
            self.pool.release(self.released.pop())

    def close(self) -> None:
        self.reader.close()
        self.pool.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    hnp.byte_string_dtypes(min_len=1, max_len=8),
    hnp.unicode_string_dtypes(min_len=1, max_len=8),
)
_shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)
arrays = _dtypes.flatmap(lambda dtype: hnp.arrays(dtype, _shapes))


@settings(max_examples=200, deadline=None)
@given(arrays)
def test_every_array_comes_as_it_was(array: Array) -> None:
    pair = Pair()
    got = pair.send(array)
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert got.tobytes() == array.tobytes()
    assert got.flags.writeable
    pair.close()


@pytest.mark.parametrize("mib", [1, 2, 7, 8, 20])
@pytest.mark.parametrize("how", ["contiguous", "strided", "transposed", "reversed"])
def test_large_arrays_come_as_they_were_new_and_reused(pair: Pair, mib: int, how: str) -> None:
    # Around the sizes where segments and pages change; an odd number of elements, so that nothing ends on a page.
    generator = np.random.default_rng(mib)
    whole = generator.integers(-30000, 30000, (2, mib * 2**20 // 8 + 3, 3), dtype=np.int16)
    array = {
        "contiguous": whole,
        "strided": whole[:, ::2],
        "transposed": whole.transpose(2, 0, 1),
        "reversed": whole[::-1, ::-1],
    }[how]
    for _ in range(3):
        got = pair.send(array)
        np.testing.assert_array_equal(got, array)
        del got
        pair.settle()


def test_the_reader_sees_the_writers_memory_and_not_a_copy(pair: Pair) -> None:
    header = pair.pool.store(np.zeros(HUGE, dtype=np.uint8))
    one, other = pair.reader.fetch(header), pair.reader.fetch(header)
    one[5] = 7
    assert other[5] == 7


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[10:20],
        lambda a: a[::3].reshape(-1)[1:],
        lambda a: a.view(np.uint8)[3:],
        lambda a: memoryview(a)[4:],
        lambda a: np.asarray(memoryview(a)),
        lambda a: a.reshape(2, -1).T,
        lambda a: np.frombuffer(a, dtype=np.uint8),
    ],
    ids=["itself", "slice", "slice of slice", "other dtype", "memoryview", "array of it", "transposed", "buffer"],
)
def test_no_segment_is_used_again_while_a_view_is_alive(pair: Pair, view: object) -> None:
    kept = view(pair.send(np.full(1000, 1, dtype=np.int16)))  # type: ignore[operator]
    before = bytes(kept)
    for value in range(2, 6):
        pair.settle()
        pair.send(np.full(1000, value, dtype=np.int16))
    assert bytes(kept) == before
    assert pair.pool.leased >= 1
    del kept
    pair.settle()
    assert pair.pool.leased == 0


def test_a_segment_that_nobody_looks_at_is_used_again(pair: Pair) -> None:
    first = pair.pool.store(np.ones(1000))
    del_me = pair.reader.fetch(first)
    del del_me
    pair.settle()
    second = pair.pool.store(np.ones(900))
    assert first.segment is not None
    assert second.segment is not None
    assert second.segment.segment == first.segment.segment
    assert second.segment.lease != first.segment.lease


def test_a_small_array_does_not_take_a_large_segment(pair: Pair) -> None:
    pair.send(np.ones(16 * HUGE, dtype=np.uint8))
    pair.settle()
    header = pair.pool.store(np.ones(100, dtype=np.uint8))
    assert header.segment is not None
    assert header.segment.size < 16 * HUGE


def test_a_lease_ends_once(pair: Pair) -> None:
    header = pair.pool.store(np.ones(10))
    assert header.segment is not None
    pair.pool.release(header.segment.lease)
    again = pair.pool.store(np.ones(10))
    # The first release, told a second time, must not free the segment under its new lease.
    pair.pool.release(header.segment.lease)
    pair.pool.release(987654)
    third = pair.pool.store(np.ones(10))
    assert again.segment is not None
    assert third.segment is not None
    assert again.segment.segment == header.segment.segment
    assert third.segment.segment != again.segment.segment
    assert pair.pool.leased == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3 * HUGE)), max_size=25))
def test_whatever_is_held_keeps_its_values(steps: list[tuple[int, int]]) -> None:
    """Arrays are sent, held and let go of in any order; each held one stays what it was."""
    pair = Pair()
    held: dict[int, tuple[int, Array]] = {}
    for number, (place, size) in enumerate(steps):
        if place == 3 and held:
            held.pop(next(iter(held)))
        else:
            held[place] = (number, pair.send(np.full(size, number, dtype=np.uint8)))
        pair.settle()
        assert pair.pool.leased == len(held)
        assert all((array == value).all() for value, array in held.values())
    held.clear()
    pair.close()


@pytest.mark.parametrize("dtype", [object, [("a", "i4"), ("b", "f8")], "M8[ns]"])
def test_what_cannot_be_sent_is_refused_and_leases_nothing(pair: Pair, dtype: object) -> None:
    with pytest.raises(errors.ArrayError, match="dtype"):
        pair.pool.store(np.zeros(4, dtype=dtype))  # type: ignore[call-overload]
    assert pair.pool.leased == 0


def _bent(header: ArrayHeader, **changes: object) -> ArrayHeader:
    """``header`` with other fields, of its segment or its own."""
    assert header.segment is not None
    own = {key: value for key, value in changes.items() if key in ("dtype", "shape", "offset")}
    segment = msgspec.structs.replace(header.segment, **{k: v for k, v in changes.items() if k not in own})
    return msgspec.structs.replace(header, segment=segment, **own)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (10**12,)},
        {"shape": (-1,)},
        {"shape": (2**62, 2**62)},
        {"dtype": "O"},
        {"dtype": "nonsense"},
        {"dtype": "f8", "offset": 3 * HUGE},
        {"offset": -8},
        {"size": 10**9},
        {"size": -1},
        {"size": 0},
        {"size": 2**70},
        {"name": "memfd:1000000"},
        {"name": "memfd:../../etc"},
        {"name": "file:/nonexistent/segment"},
        {"name": "pipe:3"},
        {"name": ""},
        {"pid": 2**22 + 1},
    ],
    ids=str,
)
def test_a_header_that_lies_gives_a_protocol_error(pair: Pair, changes: dict[str, object]) -> None:
    header = _bent(pair.pool.store(np.ones(1000)), **changes)
    with pytest.raises(errors.ProtocolError):
        pair.reader.fetch(header)


def test_an_array_without_a_segment_is_refused(pair: Pair) -> None:
    with pytest.raises(errors.ProtocolError):
        pair.reader.fetch(ArrayHeader(dtype="f8", shape=(1,)))


@settings(max_examples=100, deadline=None)
@given(
    dtype=st.sampled_from(["i2", "<f8", "|b1", "U3", "O", "x", "M8"]),
    shape=st.lists(st.integers(-3, 2**40), max_size=4),
    offset=st.integers(-HUGE, 8 * HUGE),
    size=st.integers(-5, 10 * HUGE),
)
def test_any_header_gives_an_array_inside_the_segment_or_a_protocol_error(
    dtype: str, shape: list[int], offset: int, size: int
) -> None:
    pair = Pair()
    true = pair.pool.store(np.ones(HUGE, dtype=np.uint8))
    assert true.segment is not None
    ref = SegmentRef(true.segment.pid, true.segment.segment, true.segment.name, size, true.segment.lease)
    try:
        got = pair.reader.fetch(ArrayHeader(dtype=dtype, shape=tuple(shape), segment=ref, offset=offset))
    except errors.ProtocolError:
        pass
    else:
        # Every byte can be read: a view beyond the file's end would end the process by SIGBUS.
        assert len(got.tobytes()) == got.nbytes <= true.segment.size
    pair.close()


def test_views_outlive_reader_and_pool(pair: Pair) -> None:
    got = pair.send(np.arange(1000))
    pair.close()
    np.testing.assert_array_equal(got, np.arange(1000))
    late = pair.pool.store(np.ones(3))
    assert late.segment is not None
    pair.pool.release(late.segment.lease)
    assert pair.pool.leased == 0


def test_a_reader_keeps_no_more_memory_mapped_than_it_may(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shm, "KEEP_FREE", 20 * HUGE)
    held = [pair.send(np.full(HUGE, n, dtype=np.uint8)) for n in range(20)]
    assert sum(m.size for m in pair.reader._maps.values()) <= 20 * HUGE
    # Those whose map is forgotten keep it themselves.
    assert [int(array[-1]) for array in held] == list(range(20))
    # One that is forgotten can be read again.
    held.clear()
    pair.settle()
    assert pair.send(np.full(HUGE, 99, dtype=np.uint8))[7] == 99


def test_a_pool_keeps_no_more_free_memory_than_it_may(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shm, "KEEP_FREE", 5 * HUGE)
    held = [pair.send(np.full(HUGE, n, dtype=np.uint8)) for n in range(10)]
    before = _descriptors()
    held.clear()
    pair.settle()
    assert sum(s.size for s in pair.pool._free) <= 5 * HUGE
    assert _descriptors() < before


def test_idle_memory_goes_back_to_the_machine_and_views_stay(pair: Pair) -> None:
    held = pair.send(np.full(HUGE, 7, dtype=np.uint8))
    gone = pair.send(np.full(HUGE, 8, dtype=np.uint8))
    del gone
    pair.settle()
    pair.pool.trim()  # free for less than half a minute
    assert len(pair.pool._free) == 1
    pair.pool.trim(-1.0)
    pair.reader.trim(-1.0)
    assert pair.pool._free == []
    assert pair.reader._maps == {}
    assert (held == 7).all()
    assert pair.pool.leased == 1
    assert (pair.send(np.full(HUGE, 9, dtype=np.uint8)) == 9).all()
    assert (held == 7).all()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_closing_gives_all_descriptors_back() -> None:
    gc.collect()  # what other tests left
    before = _descriptors()
    pair = Pair()
    for size in (1, HUGE, 5 * HUGE):
        pair.send(np.ones(size, dtype=np.uint8))
    assert _descriptors() > before
    pair.settle()
    pair.close()
    gc.collect()
    assert _descriptors() == before


def test_without_huge_pages_all_is_the_same(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shm._HugePages, "available", False)
    array = np.random.default_rng(0).integers(0, 255, 12 * HUGE + 5, dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(pair.send(array), array)
        pair.settle()


def test_without_memfd_segments_are_files_that_go_away(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shm, "_HAS_MEMFD", False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.random.default_rng(0).integers(0, 255, 5 * HUGE + 5, dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(pair.send(array), array)
        pair.settle()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    pair.close()
    assert list(tmp_path.iterdir()) == []


_CHILD = """
import sys
import tempfile
import numpy as np, msgspec
from slicer_notebook.protocol.shm import SegmentPool
pool = SegmentPool()
print(msgspec.msgpack.encode(pool.store(np.arange(300_000, dtype=np.int64))).hex(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memfd")
def test_what_a_killed_writer_sent_can_still_be_read_and_nothing_is_left() -> None:
    shared_before = sorted(os.listdir("/dev/shm"))
    released: list[int] = []
    reader = SegmentReader(released.append)
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        header = msgspec.msgpack.decode(bytes.fromhex(child.stdout.readline().decode()), type=ArrayHeader)
        array = reader.fetch(header)
        child.send_signal(signal.SIGKILL)
    np.testing.assert_array_equal(array, np.arange(300_000))
    with pytest.raises(errors.ProtocolError):
        SegmentReader(released.append).fetch(header)
    assert sorted(os.listdir("/dev/shm")) == shared_before


def test_probe_arrays_are_told_apart() -> None:
    one, other = shm.probe_array(), shm.probe_array()
    assert shm.same(one, one.copy())
    assert not shm.same(one, other)
    assert not shm.same(one, None)
    assert shm.machine_id() == shm.machine_id() != ""
