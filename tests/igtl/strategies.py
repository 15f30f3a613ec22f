"""Any message, for hypothesis: every type with every field over its whole range."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slicer_notebook import igtl

#: Numbers that float32 holds exactly, so that they come back the same.
f32 = st.floats(-(2.0**40), 2.0**40, width=32, allow_nan=False)
u8 = st.integers(0, 255)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 2**64 - 1)

SCALARS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]


def texts(room: int) -> st.SearchStrategy[str]:
    """Text without zeros, in at most ``room`` bytes of UTF-8."""
    alphabet = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
    return st.text(alphabet, max_size=room).map(lambda text: igtl.cut(text, room))


@st.composite
def matrices(draw: Any) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] = np.array(draw(st.lists(f32, min_size=12, max_size=12))).reshape(3, 4)
    return matrix


def arrays(dtypes: list[type], shape: Any) -> st.SearchStrategy[np.ndarray]:
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(dtype, shape))


@st.composite
def images(draw: Any) -> igtl.Image:
    dimensions = draw(st.sampled_from([3, 4]))
    shape = draw(hnp.array_shapes(min_dims=dimensions, max_dims=dimensions, max_side=5))
    voxels = draw(arrays(SCALARS, shape))
    # Small whole numbers: the centre, too, is exact in float32.
    numbers = draw(st.lists(st.integers(-1000, 1000), min_size=12, max_size=12))
    matrix = np.eye(4)
    matrix[:3] = np.array(numbers, float).reshape(3, 4)
    frame = draw(st.sampled_from(["RAS", "LPS"]))
    offset = tuple(draw(st.lists(st.integers(0, 9), min_size=3, max_size=3)))
    beyond = draw(st.lists(st.integers(0, 9), min_size=3, max_size=3))
    part = shape[2], shape[1], shape[0]
    size = tuple(o + n + b for o, n, b in zip(offset, part, beyond, strict=True))
    return igtl.Image(voxels, matrix, frame, size, offset)


@st.composite
def polydata(draw: Any) -> igtl.PolyData:
    count = draw(st.integers(1, 12))
    points = draw(hnp.arrays(np.float32, (count, 3), elements=f32))
    index = st.integers(0, count - 1)
    groups = [igtl.Cells.of(draw(st.lists(st.lists(index, max_size=5), max_size=5))) for _ in range(4)]
    owners = {"points": count, "cells": sum(cells.count for cells in groups)}
    widths = {"vectors": 3, "normals": 3, "tensors": 9, "rgba": 4}

    def attribute(kind: str, of: str, width: int, name: str) -> igtl.Attribute:
        values = np.arange(owners[of] * widths.get(kind, width), dtype=np.float32)
        return igtl.Attribute(name, values.reshape(owners[of], -1) if owners[of] else np.empty((0, 3)), kind, of)

    kinds = st.sampled_from(["scalars", "vectors", "normals", "tensors", "rgba"])
    attributes = st.builds(attribute, kinds, st.sampled_from(["points", "cells"]), st.integers(1, 6), texts(20))
    found = [a for a in draw(st.lists(attributes, max_size=3)) if len(a.values)]
    return igtl.PolyData(points, *groups, tuple(found))


vectors = st.tuples(f32, f32, f32)
points = st.builds(igtl.Point, texts(64), vectors, texts(32), st.tuples(u8, u8, u8, u8), f32, texts(20))
tools = st.builds(igtl.Tool, texts(20), matrices(), u8)
long_texts = texts(500)

#: A content for each type, by its name.
CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "CAPABILITY": st.builds(igtl.Capability, st.lists(texts(12), min_size=1, max_size=5).map(tuple)),
    "COMMAND": st.builds(igtl.Command, u32, texts(128), long_texts),
    "RTS_COMMAND": st.builds(igtl.Command, u32, texts(128), long_texts),
    "IMAGE": images(),
    "NDARRAY": arrays([*SCALARS, np.complex128], hnp.array_shapes(max_dims=5, max_side=4)).map(igtl.NDArray),
    "POINT": st.lists(points, min_size=1, max_size=4).map(tuple).map(igtl.Points),
    "POLYDATA": polydata(),
    "POSITION": st.builds(igtl.Position, vectors, st.tuples(f32, f32, f32, f32)),
    "SENSOR": st.builds(igtl.Sensor, hnp.arrays(np.float64, st.integers(0, 255)), u64, u8),
    "STATUS": st.builds(igtl.Status, u16, st.integers(-(2**63), 2**63 - 1), texts(20), long_texts),
    "STRING": st.builds(igtl.String, long_texts),
    "TDATA": st.lists(tools, min_size=1, max_size=4).map(tuple).map(igtl.Tracking),
    "TRANSFORM": st.builds(igtl.Transform, matrices()),
    "STT_TDATA": st.builds(igtl.StartStream, u32, texts(32)),
    "RTS_TDATA": st.builds(igtl.Reply, u8),
}

QUERIES = [f"{verb}_{name}" for verb in ("GET", "STT", "STP") for name in igtl.TYPES]

timestamps = st.builds(igtl.Timestamp, u32, u32)
metadata = st.dictionaries(texts(30), texts(60), max_size=4)


def messages(type_: str) -> st.SearchStrategy[igtl.Message]:
    """Any message of one type."""
    contents = CONTENTS.get(type_, st.none())
    return st.builds(
        igtl.Message,
        st.just(type_),
        texts(20),
        contents,
        timestamps,
        st.just(2),
        u32,
        metadata,
    )


any_message = st.sampled_from([*CONTENTS, *QUERIES]).flatmap(messages)
