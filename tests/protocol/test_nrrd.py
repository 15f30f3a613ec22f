"""NRRD against ITK, both ways: the same bytes give the same voxels at the same place."""

from __future__ import annotations

import bz2
import gzip
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.errors import FileFormatError
from slicer_notebook.protocol import nrrd
from slicer_notebook.protocol.values import Array

#: Oblique, of three different spacings, left-handed: no axis and no sign can be mistaken.
AFFINE = np.array([[0.0, -2.0, 0.3, 5], [1.5, 0.1, 0, -6], [0.2, 0.1, 3, 7.25], [0, 0, 0, 1]])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def numbers(dtype: str, shape: tuple[int, ...] = (2, 3, 4)) -> Array:
    """Values up to both ends of the type, all different enough to tell the order."""
    if dtype[0] == "f":
        values = np.linspace(-1.5e5, 2.5e5, int(np.prod(shape)))
    else:
        limits = np.iinfo(dtype)
        values = np.linspace(float(limits.min), float(limits.max) * 0.999, int(np.prod(shape)))
    return values.astype(dtype).reshape(shape)


def itk(path: Path) -> tuple[Array, Array]:
    """What SimpleITK reads: voxels, and IJK → RAS."""
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), LPS @ affine


def text(*lines: str, magic: str = "NRRD0004", end: str = "\n") -> bytes:
    return end.join([magic, *lines, "", ""]).encode("latin-1")


def scalar(encoding: str = "raw", *more: str, dtype: str = "short", sizes: str = "4 3 2") -> tuple[str, ...]:
    return (
        f"type: {dtype}", f"dimension: {len(sizes.split())}", f"sizes: {sizes}", "endian: little",
        f"encoding: {encoding}", *more,
    )  # fmt: skip


GEOMETRY = ("space: RAS", "space directions: (0,1.5,0.2) (-2,0.1,0.1) (0.3,0,3)", "space origin: (5,-6,7.25)")


# -- written by ours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_itk_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    voxels = numbers(dtype)
    path = tmp_path / "v.nrrd"
    path.write_bytes(b"".join(nrrd.chunks(voxels, AFFINE)))
    found, affine = itk(path)
    np.testing.assert_array_equal(found, voxels)
    assert found.dtype == voxels.dtype
    np.testing.assert_allclose(affine, AFFINE, atol=1e-9)


def test_the_header_is_slicerwebs() -> None:
    head = nrrd.header(
        np.zeros((2, 3, 4), np.int16), np.array([[2, 0, 0, 1], [0, -3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]])
    )
    assert head.decode("ascii") == (
        "NRRD0004\n"
        "type: short\n"
        "dimension: 3\n"
        "space: left-posterior-superior\n"
        "sizes: 4 3 2\n"
        "space directions: (-2.0,0.0,0.0) (0.0,3.0,0.0) (0.0,0.0,4.0)\n"
        "kinds: domain domain domain\n"
        "endian: little\n"
        "encoding: raw\n"
        "space origin: (-1.0,-2.0,3.0)\n"
        "\n"
    )


@pytest.mark.parametrize(("kind", "components"), [("vector", 2), ("vector", 3), ("colour", 3), ("colour", 4)])
def test_itk_reads_vectors_that_are_written(kind: nrrd.Kind, components: int, tmp_path: Path) -> None:
    voxels = numbers("u1", (2, 3, 4, components))
    path = tmp_path / "v.nrrd"
    path.write_bytes(b"".join(nrrd.chunks(voxels, AFFINE, kind)))
    found, affine = itk(path)
    np.testing.assert_array_equal(found, voxels)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-9)
    assert nrrd.read(path.read_bytes()).kind == kind


def test_the_pieces_are_the_voxels_own_memory() -> None:
    voxels = numbers("i2", (8, 16, 16))
    pieces = list(nrrd.chunks(voxels, AFFINE, piece=1000))
    assert max(len(piece) for piece in pieces[1:]) == 1000
    assert all(np.shares_memory(np.frombuffer(piece, np.uint8), voxels) for piece in pieces[1:])


def test_big_endian_and_strided_voxels_are_written_as_little_endian_ones() -> None:
    voxels = numbers("i2", (4, 6, 8))[::2, :, ::2]
    for each in (voxels, voxels.astype(">i2")):
        np.testing.assert_array_equal(nrrd.read(b"".join(nrrd.chunks(each, AFFINE))).voxels, voxels)


@pytest.mark.parametrize(
    "voxels", [np.zeros((2, 2), np.int16), np.zeros((1, 1, 1), complex), np.zeros((1, 1, 1), "f2")]
)
def test_what_nrrd_has_not_is_refused(voxels: Array) -> None:
    with pytest.raises(FileFormatError, match="cannot be written"):
        nrrd.header(voxels, np.eye(4))


# -- written by ITK -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("compressed", [False, True])
def test_what_itk_writes_is_read(dtype: str, compressed: bool, tmp_path: Path) -> None:
    voxels = numbers(dtype)
    image = SimpleITK.GetImageFromArray(voxels)
    lps = LPS @ AFFINE
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    # ITK takes axes at right angles only.
    axes, _ = np.linalg.qr(lps[:3, :3] / spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(axes.reshape(-1).tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    path = tmp_path / "v.nrrd"
    SimpleITK.WriteImage(image, str(path), compressed)
    found = nrrd.read(path.read_bytes())
    assert (found.header.encoding == "gzip") is compressed
    expected, affine = itk(path)
    np.testing.assert_array_equal(found.voxels, expected)
    assert found.voxels.dtype == voxels.dtype
    assert found.voxels.dtype.isnative
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)


@pytest.mark.parametrize("components", [2, 3, 4])
def test_vectors_that_itk_writes_are_read(components: int, tmp_path: Path) -> None:
    voxels = numbers("f4", (2, 3, 4, components))
    path = tmp_path / "v.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels, isVector=True), str(path))
    found = nrrd.read(path.read_bytes())
    np.testing.assert_array_equal(found.voxels, voxels)
    assert found.kind == "vector"
    assert not found.series


# -- the same bytes -------------------------------------------------------------------------------------------------


def encoded(values: Array, encoding: str, order: str) -> bytes:
    raw = values.astype(values.dtype.newbyteorder(">" if order == "big" else "<")).tobytes()
    return {
        "raw": raw,
        "gzip": gzip.compress(raw),
        "bzip2": bz2.compress(raw),
        "hex": raw.hex().encode() + b"\n",
        "ascii": " ".join(repr(value) for value in values.reshape(-1).tolist()).encode() + b"\n",
    }[encoding]


@pytest.mark.parametrize(
    ("encoding", "order"), list(itertools.product(["raw", "gzip", "hex", "ascii"], ["little", "big"]))
)
@pytest.mark.parametrize(
    ("name", "dtype"), [("short", "i2"), ("unsigned char", "u1"), ("double", "f8"), ("uint32", "u4")]
)
def test_encodings_and_byte_orders(encoding: str, order: str, name: str, dtype: str, tmp_path: Path) -> None:
    voxels = numbers(dtype)
    head = text(f"type: {name}", "dimension: 3", "sizes: 4 3 2", f"endian: {order}", f"encoding: {encoding}", *GEOMETRY)
    path = tmp_path / "v.nrrd"
    path.write_bytes(head + encoded(voxels, encoding, order))
    found = nrrd.read(path.read_bytes())
    expected, affine = itk(path)
    np.testing.assert_array_equal(found.voxels, expected)
    np.testing.assert_array_equal(found.voxels, voxels)
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)


def test_bzip2_is_read() -> None:
    voxels = numbers("i2")
    np.testing.assert_array_equal(nrrd.read(text(*scalar("bz2")) + encoded(voxels, "bzip2", "little")).voxels, voxels)


@pytest.mark.parametrize(
    "lines",
    [
        ("space: right-anterior-superior", *GEOMETRY[1:]),
        ("space: left-anterior-superior", *GEOMETRY[1:]),
        ("space: left-posterior-superior", *GEOMETRY[1:]),
        ("space: LAS", *GEOMETRY[1:]),
        ("space dimension: 3", *GEOMETRY[1:]),
        ("space: RAS", "space directions: (1,0,0) (0,0,2) (0,-3,0)"),
        ("spacings: 1 2 3",),
        ("spacings: 1 nan 3",),
        ("spacings: 1 2 3", "axis mins: 5 6 7"),
        ("spacings: 1 2 3", "axis mins: 5 6 7", "centers: node node node"),
        ("spacings: 1 2 3", "axismins: 5 6 7", "centerings: cell node cell"),
        ("spacings: 1 2 3", "axis mins: 5 6 7", "axis maxs: 9 12 13"),
        ("axis mins: 5 6 7",),
        (),
    ],
)
def test_spaces_are_taken_as_itk_takes_them(lines: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    path.write_bytes(text(*scalar("raw", *lines)) + numbers("i2").tobytes())
    found = nrrd.read(path.read_bytes())
    expected, affine = itk(path)
    np.testing.assert_array_equal(found.voxels, expected)
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)


def test_ras_is_as_it_is_written() -> None:
    found = nrrd.read(text(*scalar("raw", *GEOMETRY)) + numbers("i2").tobytes())
    np.testing.assert_allclose(found.affine, AFFINE)


@pytest.mark.parametrize(
    ("magic", "end", "more"),
    [
        ("NRRD0001", "\n", ()),
        ("NRRD0005", "\n", ()),
        ("NRRD0004", "\r\n", ()),
        ("NRRD0004", "\n", ("# a comment: with a colon", "#")),
        ("NRRD0004", "\r\n", ("# a comment", "a key:=a value\\nof two lines \\\\", "content: a: b")),
        ("NRRD0004", "\n", ('units: "mm" "mm" "mm"', 'labels: "x" "y" "z"', "thicknesses: NaN NaN 3", "old min: 0")),
        (
            "NRRD0004",
            "\n",
            (GEOMETRY[0], 'space units: "mm" "mm" "mm"', "measurement frame: (1,0,0) (0,1,0) (0,0,1)", *GEOMETRY[1:]),
        ),
    ],
)
def test_versions_line_ends_comments_and_other_fields(
    magic: str, end: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "v.nrrd"
    path.write_bytes(text(*scalar("raw", *more), magic=magic, end=end) + numbers("i2").tobytes())
    found = nrrd.read(path.read_bytes())
    expected, affine = itk(path)
    np.testing.assert_array_equal(found.voxels, expected)
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)
    if "a key:=a value\\nof two lines \\\\" in more:
        assert found.header.pairs == {"a key": "a value\nof two lines \\"}


def test_names_are_read_in_any_case() -> None:
    head = text("TYPE: Short", "Dimension: 3", "sizes:4 3 2", "ENDIAN: Little", "Encoding: RAW", "SPACE: lps")
    np.testing.assert_array_equal(nrrd.read(head + numbers("i2").tobytes()).voxels, numbers("i2"))


@pytest.mark.parametrize(("skip", "junk"), [("byte skip: 3", b"abc"), ("byte skip: -1", b"anything"),
                                            ("line skip: 2", b"one\ntwo\n")])  # fmt: skip
def test_what_comes_before_the_values_is_skipped(skip: str, junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    path.write_bytes(text(*scalar("raw", skip)) + junk + numbers("i2").tobytes())
    np.testing.assert_array_equal(nrrd.read(path.read_bytes()).voxels, itk(path)[0])


# -- axes -----------------------------------------------------------------------------------------------------------

_THREE = "(1,0,0) (0,1,0) (0,0,1)"


@pytest.mark.parametrize(
    ("kinds", "sizes", "directions"),
    [
        ("vector domain domain domain", "2 4 3 2", f"none {_THREE}"),
        ("domain domain domain vector", "4 3 2 2", f"{_THREE} none"),
        ("3-vector domain domain domain", "3 4 3 2", f"none {_THREE}"),
        ("RGB-color space space space", "3 4 3 2", f"none {_THREE}"),
        ("RGBA-color domain domain domain", "4 4 3 2", f"none {_THREE}"),
    ],
)
def test_vectors_wherever_their_axis_is(kinds: str, sizes: str, directions: str, tmp_path: Path) -> None:
    values = np.arange(np.prod([int(size) for size in sizes.split()]), dtype=np.int16)
    path = tmp_path / "v.nrrd"
    lines = scalar("raw", "space: RAS", f"space directions: {directions}", f"kinds: {kinds}", sizes=sizes)
    path.write_bytes(text(*lines) + values.tobytes())
    found = nrrd.read(path.read_bytes())
    np.testing.assert_array_equal(found.voxels, itk(path)[0])
    assert found.voxels.flags.c_contiguous
    assert found.kind == ("colour" if "color" in kinds else "vector")


@pytest.mark.parametrize(
    ("kinds", "sizes", "directions", "axis"),
    [
        ("list domain domain domain", "5 4 3 2", f"none {_THREE}", 0),
        ("domain domain domain list", "4 3 2 5", f"{_THREE} none", 3),
        ("domain domain domain time", "4 3 2 5", f"{_THREE} none", 3),
        ("??? ??? ??? ???", "4 3 2 5", f"{_THREE} none", 3),
        ("none domain domain domain", "5 4 3 2", f"none {_THREE}", 0),
    ],
)
def test_a_series_has_its_images_first(kinds: str, sizes: str, directions: str, axis: int) -> None:
    shape = [int(size) for size in sizes.split()]
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape[::-1])
    lines = scalar("raw", "space: RAS", f"space directions: {directions}", f"kinds: {kinds}", sizes=sizes)
    found = nrrd.read(text(*lines) + values.tobytes())
    assert found.series
    assert found.kind == "scalar"
    np.testing.assert_array_equal(found.voxels, np.moveaxis(values, 3 - axis, 0))


def test_a_series_of_colours() -> None:
    values = np.arange(5 * 2 * 3 * 4 * 3, dtype=np.int16).reshape(5, 2, 3, 4, 3)
    lines = ("space: RAS", f"space directions: none {_THREE} none", "kinds: RGB-color domain domain domain time")
    found = nrrd.read(text(*scalar("raw", *lines, sizes="3 4 3 2 5")) + values.tobytes())
    assert (found.series, found.kind) == (True, "colour")
    np.testing.assert_array_equal(found.voxels, values)


def test_an_axis_of_one_that_means_nothing_is_dropped() -> None:
    lines = ("space: RAS", f"space directions: none {_THREE}", "kinds: scalar domain domain domain")
    found = nrrd.read(text(*scalar("raw", *lines, sizes="1 4 3 2")) + numbers("i2").tobytes())
    np.testing.assert_array_equal(found.voxels, numbers("i2"))
    assert not found.series


# -- refused, by name -----------------------------------------------------------------------------------------------

VALUES = numbers("i2").tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "header is not complete"),
        (b"NRR", "header is not complete"),
        (b"PNG", "does not begin"),
        (text(*scalar(), magic="NRRD0006") + VALUES, "version"),
        (text(*scalar(), magic="NRRD0004")[:-1], "header is not complete"),
        (text(*scalar("raw", "data file: /etc/passwd")) + VALUES, "another file"),
        (text(*scalar("raw", "datafile: LIST")) + VALUES, "another file"),
        (text(*scalar("raw", "type: short")) + VALUES, "twice"),
        (text(*scalar("raw", "no field")) + VALUES, "no field"),
        (text(*scalar("raw", "what: ever")) + VALUES, "no field"),
        (text(*scalar(dtype="block")) + VALUES, "type is not known"),
        (text(*scalar("zip")) + VALUES, "encoding is not known"),
        (text("type: short", "dimension: 3", "sizes: 4 3 2", "encoding: raw") + VALUES, "order the bytes"),
        (text("type: short", "dimension: 3", "sizes: 4 3 2", "encoding: raw", "endian: middle") + VALUES, "endian"),
        (text("dimension: 3", "sizes: 4 3 2", "encoding: raw") + VALUES, "'type'|'encoding'|no 'type'"),
        (text(*scalar(sizes="4 6")) + VALUES, "no volume"),
        (text(*scalar(sizes="4 3 0")) + VALUES, "too small"),
        (text(*scalar(sizes="4 3 x")) + VALUES, "whole numbers"),
        (text("type: short", "dimension: 3", "sizes: 4 3", "endian: little", "encoding: raw") + VALUES, "do not fit"),
        (text(*scalar(sizes="2 2 1 1 1 6")) + VALUES, "no volume"),
        (text(*scalar()) + VALUES[:-1], "shorter|too early"),
        (text(*scalar()) + VALUES + b"x", "more values"),
        (text(*scalar("ascii")) + b"1 2 x", "shorter|no numbers"),
        (text(*scalar("ascii")) + b"1 " * 23 + b"99999", "no numbers"),
        (text(*scalar("ascii")) + b"1 " * 23 + b"1_0", "no numbers"),
        (text(*scalar("ascii")) + b"1 " * 24 + b"7", "more values"),
        (text(*scalar("ascii")) + b"1" * 200, "too long a word"),
        (text(*scalar("hex")) + VALUES.hex().encode()[:-1] + b"g", "hexadecimal"),
        (text(*scalar("hex")) + VALUES.hex().encode() + b"a", "middle of a byte"),
        (text(*scalar("gzip")) + b"no gzip at all, but long enough", "damaged"),
        (text(*scalar("gzip")) + gzip.compress(VALUES)[:-9], "too early"),
        (text(*scalar("gzip")) + gzip.compress(VALUES) + b"trailing", "damaged"),
        (text(*scalar("bzip2")) + bz2.compress(VALUES)[:-9], "too early"),
        (text(*scalar("raw", "space: scanner-xyz")) + VALUES, "not where the patient"),
        (text(*scalar("raw", "space: 3D-right-handed")) + VALUES, "not where the patient"),
        (text(*scalar("raw", "space: RAST")) + VALUES, "not where the patient"),
        (text(*scalar("raw", "space: moon")) + VALUES, "space is not known"),
        (text(*scalar("raw", "space: RAS", "space dimension: 3")) + VALUES, "both"),
        (text(*scalar("raw", "space dimension: 2")) + VALUES, "three dimensions"),
        (text(*scalar("raw", "space: RAS", "spacings: 1 1 1")) + VALUES, "spacings in a space"),
        (text(*scalar("raw", f"space directions: {_THREE}")) + VALUES, "no space"),
        (text(*scalar("raw", "space: RAS", "space directions: (1,0,0) (2,0,0) (0,0,1)")) + VALUES, "one plane"),
        (text(*scalar("raw", "space: RAS", "space directions: (1,0,0) (0,0,0) (0,0,1)")) + VALUES, "no length"),
        (text(*scalar("raw", "space: RAS", "space directions: (1,0,0) (0,nan,0) (0,0,1)")) + VALUES, "not finite"),
        (text(*scalar("raw", "space: RAS", "space directions: (1,0) (0,1) (1,1)")) + VALUES, "three numbers"),
        (text(*scalar("raw", "space: RAS", "space directions: (1,0,0) none (0,0,1)")) + VALUES, "which of its axes"),
        (text(*scalar("raw", "space: RAS", "space directions: what")) + VALUES, "cannot be read"),
        (text(*scalar("raw", "space origin: (1,2,3)")) + VALUES, "space origin"),
        (text(*scalar("raw", "axis mins: 5 6 7", "axis maxs: 8 9 10")) + VALUES, "axis maxs"),
        (text(*scalar("raw", "spacings: 1 0 1")) + VALUES, "above 0"),
        (text(*scalar("raw", "spacings: 1 -1 1")) + VALUES, "above 0"),
        (text(*scalar("raw", "kinds: domain domain vector")) + VALUES, "contradict"),
        (text(*scalar("raw", "byte skip: 2000000000")) + VALUES, "too much"),
        (text(*scalar("raw", "byte skip: -2")) + VALUES, "too small"),
        (text(*scalar("raw", "line skip: 99")) + VALUES, "too early|shorter"),
        (text(*scalar("raw", "space: RAS", f"space directions: none {_THREE}",
                      "kinds: 3D-masked-symmetric-matrix domain domain domain", sizes="7 2 2 1"))
         + bytes(56), "no scalars, vectors or colours"),
        (text(*scalar("raw", "space: RAS", f"space directions: none {_THREE}",
                      "kinds: RGB-color domain domain domain", sizes="2 2 2 1")) + bytes(16), "another length"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(FileFormatError, match=words):
        nrrd.read(data)


def test_values_beyond_the_limit_are_refused_before_memory_is_taken() -> None:
    with pytest.raises(FileFormatError, match="too large"):
        nrrd.Reader(max_bytes=1000).feed(text(*scalar(sizes="1000 1000 1000")))


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(FileFormatError, match="no blank line"):
        nrrd.Reader().feed(b"NRRD0004\n" + (b"# " + b"x" * 1000 + b"\n") * 2000)


def test_a_bomb_is_refused_when_it_goes_beyond_its_sizes() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    reader = nrrd.Reader()
    reader.feed(text(*scalar("gzip", sizes="100 100 100")))
    with pytest.raises(FileFormatError, match="more values"):
        reader.feed(bomb)
    decoder = reader._decoder
    assert decoder is not None
    assert decoder.out.filled <= 2_000_000


def test_a_gzip_that_cannot_hold_its_sizes_is_refused_at_once() -> None:
    with pytest.raises(FileFormatError, match="shorter"):
        nrrd.read(text(*scalar("gzip", sizes="1000 1000 1000")) + gzip.compress(VALUES))


def test_gzip_of_several_members_is_read_and_zeros_may_follow() -> None:
    parts = [gzip.compress(VALUES[start : start + 5]) for start in range(0, len(VALUES), 5)]
    data = text(*scalar("gzip")) + b"".join(parts) + bytes(512)
    np.testing.assert_array_equal(nrrd.read(data).voxels, numbers("i2"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_does_not_matter_how_the_bytes_come(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(["raw", "gzip", "bzip2", "hex", "ascii"]))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    skip = data.draw(st.sampled_from([(), ("byte skip: 3",), ("line skip: 1",)]))
    voxels = numbers("i2")
    if encoding in ("gzip", "bzip2") and skip == ("byte skip: 3",):
        pack: Any = gzip.compress if encoding == "gzip" else bz2.compress
        body = pack(b"abc" + voxels.tobytes())
    else:
        body = encoded(voxels, encoding, "little")
        body = {(): b"", ("byte skip: 3",): b"abc" if encoding == "raw" else b"", ("line skip: 1",): b"x y\n"}[
            skip
        ] + body
    if skip == ("byte skip: 3",) and encoding in ("hex", "ascii"):
        skip = ()
    whole = text(*scalar(encoding, *skip), end=end) + body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    reader = nrrd.Reader(len(whole))
    for start, stop in itertools.pairwise([0, *cuts, len(whole)]):
        reader.feed(whole[start:stop])
    np.testing.assert_array_equal(reader.close().voxels, voxels)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.tuples(*[st.integers(1, 5)] * 3),
    st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=12),
)
def test_what_is_written_is_read_back(dtype: str, shape: tuple[int, int, int], values: list[float]) -> None:
    affine = np.vstack([np.array(values).reshape(3, 4), [0, 0, 0, 1]])
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not lengths.all() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        affine[:3, :3] = np.eye(3)
    voxels = numbers(dtype, shape)
    found = nrrd.read(b"".join(nrrd.chunks(voxels, affine)))
    np.testing.assert_array_equal(found.voxels, voxels)
    np.testing.assert_array_equal(found.affine, affine)  # to the last digit
