"""NRRD of whatever bytes: an answer or a `FileFormatError`, within time and memory."""

from __future__ import annotations

import bz2
import gzip
import random
import tracemalloc

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicer_notebook.errors import FileFormatError
from slicer_notebook.protocol import nrrd
from tests.protocol.test_nrrd import GEOMETRY, VALUES, numbers, scalar, text

_SEEDS = [
    text(*scalar("raw", *GEOMETRY)) + VALUES,
    text(*scalar("gzip", *GEOMETRY)) + gzip.compress(VALUES),
    text(*scalar("bzip2")) + bz2.compress(VALUES),
    text(*scalar("hex", "line skip: 1")) + b"x\n" + VALUES.hex().encode(),
    text(*scalar("ascii", "spacings: 1 2 3", "axis mins: 0 0 0")) + b"1 " * 24,
    text(*scalar("raw", "space: LAS", "space directions: none (1,0,0) (0,1,0) (0,0,1)",
                 "kinds: RGB-color domain domain domain", "key:=value", sizes="3 2 2 2"), end="\r\n") + bytes(48),
    b"".join(nrrd.chunks(numbers("f8"), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),
]  # fmt: skip
#: What fields are made of, to be put anywhere.
_WORDS = [
    b"(", b")", b"none", b"nan", b"inf", b"-1", b"0", b"99999999999", b"1e308", b":", b":=", b"\n", b"\r\n", b"\n\n",
    b"#", b"sizes: ", b"dimension: 5\n", b"kinds: ", b"list ", b"vector ", b"encoding: gzip\n", b"byte skip: -1\n",
    b"line skip: 1000\n", b"space: RAS\n", b"data file: x\n", b"\xff", b"\0",
]  # fmt: skip


def attempt(data: bytes, pieces: int = 1) -> None:
    """Read it; only our error may come."""
    reader = nrrd.Reader(len(data), max_bytes=1_000_000)
    step = max(1, len(data) // pieces)
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
        found = reader.close()
    except FileFormatError:
        return
    assert found.voxels.nbytes == found.header.nbytes <= 1_000_000
    assert found.affine.shape == (4, 4)


def mutated(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(_SEEDS))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at:at] = chance.choice(_WORDS)
        elif kind == 1:
            del data[at : at + chance.randint(1, 12)]
        elif kind == 2 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 3:
            other = chance.choice(_SEEDS)
            start = chance.randrange(len(other))
            data[at : at + 20] = other[start : start + chance.randint(1, 60)]
        else:
            data[at:at] = data[at : at + chance.randint(1, 80)]
    return bytes(data)


def test_damaged_files_are_refused_or_read_and_memory_stays() -> None:
    chance = random.Random(7)
    for _ in range(200):
        attempt(mutated(chance), chance.randint(1, 5))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(6000):
            attempt(mutated(chance), chance.randint(1, 5))
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current - before < 300_000
    assert peak - before < 30_000_000


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400), st.sampled_from(_SEEDS), st.integers(0, 400))
def test_any_bytes(data: bytes, seed: bytes, at: int) -> None:
    attempt(data)
    attempt(b"NRRD0004\n" + data)
    attempt(seed[:at] + data + seed[at:], 3)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=12))
def test_any_header(lines: list[str]) -> None:
    attempt(text(*lines) + VALUES)
    attempt(text(*scalar("raw"), *lines) + VALUES)
    for name in ("space directions", "space origin", "kinds", "sizes", "spacings", "axis mins", "byte skip", "space"):
        attempt(text(*scalar("raw", "space: RAS"), *(f"{name}: {line}" for line in lines)) + VALUES)
