"""The header of a NRRD file: text in, what the bytes after it mean out.

Source: the definition of the format, https://teem.sourceforge.net/nrrd/format.html (NRRD0001 to NRRD0005).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from slicer_notebook.errors import FileFormatError
from slicer_notebook.protocol.values import Array

__all__ = ["MAX_HEADER", "Axes", "Header", "end_of_header", "parse"]

#: Bytes of a header. One with 1,000 gradient directions of a diffusion scan has 60 kB.
MAX_HEADER: Final = 1024 * 1024
#: Axes that a file may have: components, time and three of space make five; nothing here has more.
MAX_AXES: Final = 5

_MAGIC: Final = re.compile(rb"NRRD000([1-5])\r?\n")
_END: Final = re.compile(rb"\r?\n\r?\n")


def _names(dtype: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, dtype)


#: Section "type: <type>": all names of the types that have a size.
_TYPES: Final = {
    **_names("i1", "signed char", "int8", "int8_t"),
    **_names("u1", "uchar", "unsigned char", "uint8", "uint8_t"),
    **_names("i2", "short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    **_names("u2", "ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    **_names("i4", "int", "signed int", "int32", "int32_t"),
    **_names("u4", "uint", "unsigned int", "uint32", "uint32_t"),
    **_names("i8", "longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
             "int64_t"),
    **_names("u8", "ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    **_names("f4", "float"),
    **_names("f8", "double"),
}  # fmt: skip
#: Section "encoding: <encoding>".
_ENCODINGS: Final = {
    "raw": "raw", "txt": "ascii", "text": "ascii", "ascii": "ascii", "hex": "hex", "gz": "gzip", "gzip": "gzip",
    "bz2": "bzip2", "bzip2": "bzip2",
}  # fmt: skip
#: Section "space: <space>": what turns the axes of each into right, anterior, superior.
_SPACES: Final = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}
#: Spaces that say nothing about the patient, or have time as a fourth axis.
_OTHER_SPACES: Final = frozenset((
    "scanner-xyz", "3d-right-handed", "3d-left-handed", "scanner-xyz-time", "3d-right-handed-time",
    "3d-left-handed-time", "right-anterior-superior-time", "rast", "left-anterior-superior-time", "last",
    "left-posterior-superior-time", "lpst",
))  # fmt: skip
#: Section "kinds": of axes in space, of axes of components with their number, of axes of images.
_DOMAIN: Final = frozenset(("domain", "space"))
_SERIES: Final = frozenset(("list", "time"))
_COMPONENTS: Final[dict[str, int | None]] = {
    "vector": None, "covariant-vector": None, "normal": None, "point": None, "scalar": 1, "stub": 1, "complex": 2,
    "2-vector": 2, "3-color": 3, "rgb-color": 3, "hsv-color": 3, "xyz-color": 3, "4-color": 4, "rgba-color": 4,
    "3-vector": 3, "3-gradient": 3, "3-normal": 3, "4-vector": 4, "quaternion": 4,
}  # fmt: skip
_COLOURS: Final = frozenset(("3-color", "rgb-color", "4-color", "rgba-color"))
#: Fields that are known, of which each may come once; spellings without the space are older ones.
_FIELDS: Final = frozenset((
    "dimension", "type", "block size", "encoding", "endian", "data file", "line skip", "byte skip", "content",
    "number", "min", "max", "old min", "old max", "sample units", "sizes", "spacings", "thicknesses", "axis mins",
    "axis maxs", "centers", "labels", "units", "kinds", "space", "space dimension", "space units", "space origin",
    "space directions", "measurement frame",
))  # fmt: skip
_SPELLINGS: Final = {
    "blocksize": "block size", "datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip",
    "oldmin": "old min", "oldmax": "old max", "axismins": "axis mins", "axismaxs": "axis maxs",
    "centerings": "centers", "sampleunits": "sample units",
}  # fmt: skip


@dataclass(frozen=True)
class Axes:
    """Which axis of the file is which, counted from the fastest.

    Attributes:
        space: the three axes of space: i, j, k.
        components: the one of a voxel's components; None for scalars.
        series: the one of images, such as times; None for one image.
        colour: whether the components are red, green, blue (and opacity).
        dropped: axes of length 1 that mean nothing.
    """

    space: tuple[int, int, int]
    components: int | None = None
    series: int | None = None
    colour: bool = False
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        version: 1 to 5.
        dtype: of a value, in the file's byte order.
        sizes: fastest axis first.
        encoding: "raw", "gzip", "bzip2", "ascii", "hex".
        axes: what each is.
        affine: IJK → RAS, float64 4x4, mm. A file that names no space is taken to be in LPS, as ITK and Slicer do.
        line_skip, byte_skip: lines and bytes before the values; -1 bytes: the values are at the end.
        fields: the fields as they were written, by their names in lower case.
        pairs: the key/value pairs.
    """

    version: int
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    encoding: str
    axes: Axes
    affine: Array
    line_skip: int = 0
    byte_skip: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.sizes) * self.dtype.itemsize

    def arrange(self, values: Array) -> Array:
        """The values of the file as voxels: [k, j, i], and before it t, after it the component, where there are such.

        A view where the order allows it.
        """
        axes = self.axes
        array = values.reshape(self.sizes[::-1])
        last = len(self.sizes) - 1
        order = [last - each for each in axes.space[::-1]]
        if axes.series is not None:
            order.insert(0, last - axes.series)
        if axes.components is not None:
            order.append(last - axes.components)
        dropped = [last - each for each in axes.dropped]
        return array.transpose([*dropped, *order]).reshape([array.shape[each] for each in order])


def bad(what: str, expected: str | None = None, got: object = None) -> FileFormatError:
    """The error for a NRRD that is not read."""
    return FileFormatError(
        f"This NRRD cannot be read: {what}", expected=expected, got=None if got is None else f"{got!s:.120}"
    )


def end_of_header(data: bytes | bytearray) -> int | None:
    """Bytes of the header with the blank line that ends it; None while that has not come.

    Raises:
        FileFormatError: no NRRD, or a header that is too long.
    """
    if not data.startswith(b"NRRD"[: len(data)]):
        raise bad("it does not begin like one.", "NRRD0001 to NRRD0005", bytes(data[:8]))
    if (len(data) >= 10 or b"\n" in data) and _MAGIC.match(data) is None:
        raise bad("its version is not known.", "NRRD0001 to NRRD0005", bytes(data[:10]))
    found = _END.search(data, 0, MAX_HEADER)
    if found is not None:
        return found.end()
    if len(data) > MAX_HEADER:
        raise bad("no blank line ends its header.", f"one within {MAX_HEADER} bytes")
    return None


def parse(data: bytes | bytearray) -> Header:
    """Read a header.

    Args:
        data: from the first byte to the blank line.

    Raises:
        FileFormatError: it is damaged, or of a kind that is no volume; the message names what.
    """
    magic = _MAGIC.match(data)
    if magic is None:
        raise bad("it does not begin like one.", "NRRD0001 to NRRD0005", bytes(data[:8]))
    fields, pairs = _lines(bytes(data[magic.end() :]))
    if "data file" in fields:
        raise bad("its values are in another file.", "a header with the values after it", "data file")
    dtype = _dtype(fields)
    encoding = _one_of(fields, "encoding", _ENCODINGS)
    sizes = _sizes(fields)
    axes = _axes(fields, sizes)
    return Header(
        version=int(magic[1]),
        dtype=dtype if encoding != "ascii" else dtype.newbyteorder("="),
        sizes=sizes,
        encoding=encoding,
        axes=axes,
        affine=_affine(fields, axes, len(sizes)),
        line_skip=_skip(fields, "line skip", 0),
        byte_skip=_skip(fields, "byte skip", -1 if encoding == "raw" else 0),
        fields=fields,
        pairs=pairs,
    )


def _lines(text: bytes) -> tuple[dict[str, str], dict[str, str]]:
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for raw in text.split(b"\n"):
        # ASCII by definition; values such as units are Latin-1 in the field.
        line = raw.removesuffix(b"\r").decode("latin-1")
        if not line or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if colon and value.startswith("="):
            pairs[_unescaped(key)] = _unescaped(value[1:])
            continue
        name = key.strip().lower()
        name = _SPELLINGS.get(name, name)
        if not colon or name not in _FIELDS:
            raise bad("a line of its header is no field.", "field: value, or key:=value", repr(line))
        if name in fields:
            raise bad(f"{name!r} is there twice.")
        fields[name] = value.strip()
    return fields, pairs


def _unescaped(text: str) -> str:
    return re.sub(r"\\([n\\])", lambda found: "\n" if found[1] == "n" else "\\", text)


def _need(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise bad(f"its header has no {name!r}.")
    return fields[name]


def _one_of(fields: dict[str, str], name: str, known: dict[str, str]) -> str:
    value = _need(fields, name)
    found = known.get(" ".join(value.lower().split()))
    if found is None:
        raise bad(f"its {name} is not known.", ", ".join(known), value)
    return found


def _dtype(fields: dict[str, str]) -> np.dtype[Any]:
    dtype = np.dtype(_one_of(fields, "type", _TYPES))
    endian = fields.get("endian", "").lower()
    if endian not in ("", "little", "big"):
        raise bad("its endian is not known.", "little or big", endian)
    if not endian and dtype.itemsize > 1 and _one_of(fields, "encoding", _ENCODINGS) != "ascii":
        raise bad("it does not say in which order the bytes of a value come.", "endian: little, or big")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _integers(text: str, what: str, least: int) -> list[int]:
    words = text.split()
    if not all(re.fullmatch(r"[+-]?\d{1,15}", word) for word in words):
        raise bad(f"{what} are not whole numbers.", got=text)
    values = [int(word) for word in words]
    if any(value < least for value in values):
        raise bad(f"{what} are too small.", f"{least} or more", text)
    return values


def _skip(fields: dict[str, str], name: str, least: int) -> int:
    values = _integers(fields.get(name, "0"), f"The number of {name}", least)
    if len(values) != 1:
        raise bad(f"{name} is no number.", got=fields.get(name))
    return values[0]


def _sizes(fields: dict[str, str]) -> tuple[int, ...]:
    dimension = _integers(_need(fields, "dimension"), "its dimension", 1)
    if len(dimension) != 1 or not 3 <= dimension[0] <= MAX_AXES:
        raise bad("it is no volume.", f"dimension 3 to {MAX_AXES}", fields["dimension"])
    sizes = _integers(_need(fields, "sizes"), "its sizes", 1)
    if len(sizes) != dimension[0]:
        raise bad("its sizes do not fit its dimension.", f"{dimension[0]} numbers", fields["sizes"])
    return tuple(sizes)


def _per_axis(fields: dict[str, str], name: str, count: int) -> list[str]:
    words = fields[name].split()
    if len(words) != count:
        raise bad(f"its {name} do not fit its dimension.", f"{count} words", fields[name])
    return words


# -- axes -----------------------------------------------------------------------------------------------------------


def _axes(fields: dict[str, str], sizes: tuple[int, ...]) -> Axes:
    count = len(sizes)
    kinds = [each.lower() for each in _per_axis(fields, "kinds", count)] if "kinds" in fields else ["???"] * count
    directions = _directions(fields, count)
    if directions is not None:
        space = [index for index, each in enumerate(directions) if each is not None]
    elif count == 3:
        space = [0, 1, 2]
    else:
        space = [index for index, kind in enumerate(kinds) if kind in _DOMAIN]
    if len(space) != 3:
        raise bad(
            "which of its axes are in space is not said.",
            "three space directions, or three kinds of 'domain' or 'space'",
            fields.get("space directions", fields.get("kinds", "neither")),
        )
    components: int | None = None
    series: int | None = None
    colour = False
    dropped = []
    for index in set(range(count)) - set(space):
        kind = kinds[index]
        if kind in ("stub", "scalar") and sizes[index] == 1:
            dropped.append(index)
        elif kind in _COMPONENTS and components is None:
            wanted = _COMPONENTS[kind]
            if wanted is not None and wanted != sizes[index]:
                raise bad(f"An axis of kind {kind} has another length.", str(wanted), sizes[index])
            components, colour = index, kind in _COLOURS
        elif (kind in _SERIES or kind in ("???", "none", *_DOMAIN)) and series is None:
            series = index
        else:
            raise bad("its values are no scalars, vectors or colours.", "kinds that a volume can have", kind)
    if any(kinds[index] not in ("???", "none", *_DOMAIN) for index in space):
        raise bad(
            "kinds and space directions contradict one another.", "domain", " ".join(kinds[index] for index in space)
        )
    return Axes((space[0], space[1], space[2]), components, series, colour, tuple(dropped))


_VECTOR: Final = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)


def _vectors(text: str, what: str) -> list[Array | None]:
    found: list[Array | None] = []
    position = 0
    for match in _VECTOR.finditer(text):
        if text[position : match.start()].strip():
            break
        position = match.end()
        found.append(None if match[1] is None else _vector(match[1], what))
    if text[position:].strip() or not found:
        raise bad(f"{what} cannot be read.", "(x,y,z) for each axis in space, 'none' for others", text)
    return found


def _vector(text: str, what: str) -> Array:
    try:
        vector = np.array([float(word) for word in text.split(",")])
    except ValueError:
        raise bad(f"{what} cannot be read.", "(x,y,z)", text) from None
    if vector.shape != (3,):
        raise bad(f"{what} are not of three numbers.", "(x,y,z)", text)
    if not np.isfinite(vector).all():
        raise bad(f"{what} are not finite.", "numbers", text)
    return vector


def _directions(fields: dict[str, str], count: int) -> list[Array | None] | None:
    if "space directions" not in fields:
        return None
    found = _vectors(fields["space directions"], "The space directions")
    if len(found) != count:
        raise bad("its space directions do not fit its dimension.", f"{count} of them", fields["space directions"])
    return found


# -- geometry -------------------------------------------------------------------------------------------------------


def _to_ras(fields: dict[str, str]) -> Array:
    """What turns the file's axes into right, anterior, superior."""
    space = fields.get("space", "").lower()
    if space and "space dimension" in fields:
        raise bad("it has both a space and a space dimension.")
    if space in _SPACES:
        return np.array(_SPACES[space], dtype=np.float64)
    if space:
        what = "says not where the patient lies" if space in _OTHER_SPACES else "is not known"
        raise bad(f"its space {what}.", "one of " + ", ".join(list(_SPACES)[::2]), fields["space"])
    if "space dimension" in fields and _integers(fields["space dimension"], "Its space dimension", 1) != [3]:
        raise bad("its space does not have three dimensions.", "3", fields["space dimension"])
    return np.array(_SPACES["lps"], dtype=np.float64)


def _affine(fields: dict[str, str], axes: Axes, count: int) -> Array:
    flip = _to_ras(fields)
    named = "space" in fields or "space dimension" in fields
    directions = _directions(fields, count)
    columns: list[Array]
    if directions is not None:
        if not named:
            raise bad("it has space directions, but no space.", "space, or space dimension: 3")
        columns = [vector for index in axes.space if (vector := directions[index]) is not None]
        origin = np.zeros(3)
    else:
        if named and "spacings" in fields:
            raise bad("it has spacings in a space, which do not say where the axes point.", "space directions")
        spacing = _spacings(fields, axes, count)
        columns = list(np.diag(spacing))
        origin = _from_mins(fields, axes, count, spacing)
    if "space origin" in fields:
        found = _vectors(fields["space origin"], "The space origin")
        if len(found) != 1 or found[0] is None or not named:
            raise bad("its space origin cannot be read.", "(x,y,z) in a space", fields["space origin"])
        origin = found[0]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(columns) * flip[:, None]
    affine[:3, 3] = origin * flip
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise bad("an axis has no length.", "space directions of finite length", fields.get("space directions"))
    if abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-9:
        raise bad("its axes lie in one plane.", "three independent directions", fields.get("space directions"))
    return affine


def _numbers(fields: dict[str, str], name: str, axes: Axes, count: int) -> Array:
    words = _per_axis(fields, name, count)
    try:
        return np.array([float(words[index]) for index in axes.space])
    except ValueError:
        raise bad(f"its {name} are no numbers.", got=fields[name]) from None


def _spacings(fields: dict[str, str], axes: Axes, count: int) -> Array:
    """mm from voxel to voxel; 1 where none is given, as ITK has it."""
    if "spacings" not in fields:
        if "axis maxs" in fields:
            # By the format's definition they give the spacing; ITK takes 1 for it, and half a voxel of the other.
            raise bad("its axis maxs stand for spacings, which programs do not agree about.", "spacings")
        return np.ones(3)
    spacing = _numbers(fields, "spacings", axes, count)
    spacing = np.where(np.isnan(spacing), 1.0, spacing)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise bad("its spacings are not above 0.", "mm", fields["spacings"])
    return spacing


def _from_mins(fields: dict[str, str], axes: Axes, count: int, spacing: Array) -> Array:
    """The first voxel's centre: half a voxel from where a cell begins, where a node is (NRRD, "centers")."""
    if "axis mins" not in fields or "spacings" not in fields:  # without spacings half a voxel is nothing known
        return np.zeros(3)
    lowest = _numbers(fields, "axis mins", axes, count)
    if not np.isfinite(lowest).all():
        return np.zeros(3)
    centres = _per_axis(fields, "centers", count) if "centers" in fields else ["cell"] * count
    half = np.array([0.0 if centres[index].lower() == "node" else 0.5 for index in axes.space])
    origin: Array = lowest + half * spacing
    return origin
