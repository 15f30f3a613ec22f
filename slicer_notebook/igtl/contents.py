"""What OpenIGTLink messages say: one class for each content type, with numpy arrays.

All coordinates are millimetres in the frame that the sender uses; OpenIGTLink says of IMAGE alone which one it is.
Matrices are 4 x 4 float64, column vectors; on the wire their numbers are float32. Those that came may be read-only.
Arrays are of the machine's own byte order.

Source: the OpenIGTLink protocol, versions 1 to 3 (its pages v2_transform, v2_image, v2_polydata and so on, v3_command).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.errors import OpenIGTLinkError

__all__ = [
    "Attribute",
    "Capability",
    "Cells",
    "Command",
    "Content",
    "Frame",
    "Image",
    "NDArray",
    "Point",
    "Points",
    "PolyData",
    "Position",
    "Reply",
    "Sensor",
    "StartStream",
    "Status",
    "StatusCode",
    "String",
    "Tool",
    "ToolKind",
    "Tracking",
    "Transform",
]

Matrix: TypeAlias = npt.NDArray[np.float64]
Frame: TypeAlias = Literal["RAS", "LPS"]

#: From LPS to RAS, or back: the first two axes point the other way (as DICOM's do from Slicer's).
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])

#: A quaternion shorter than this is no rotation (float32 has 7 digits).
_SHORTEST_QUATERNION = 1e-6


def _matrix(value: Any, what: str) -> Matrix:
    """A copy, unless nobody can write to it."""
    if type(value) is np.ndarray and not value.flags.writeable and value.shape == (4, 4) and value.dtype == np.float64:
        return value
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise OpenIGTLinkError(f"The matrix of {what} has the wrong shape.", expected="4 x 4", got=str(matrix.shape))
    return matrix


class _Content(msgspec.Struct, frozen=True, eq=False):
    """A frozen record; two are compared by what they hold, arrays included."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def _set(self, name: str, value: object) -> None:
        if getattr(self, name) is not value:
            msgspec.structs.force_setattr(self, name, value)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return (
            one.shape == other.shape
            and one.dtype == other.dtype
            and bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
        )
    return bool(one == other)


class Transform(_Content, frozen=True, eq=False):
    """TRANSFORM. ``matrix``: 4 x 4 float64, translation in millimetres; the last row is 0 0 0 1."""

    matrix: Matrix

    def __post_init__(self) -> None:
        self._set("matrix", _matrix(self.matrix, "a TRANSFORM"))


class Position(_Content, frozen=True, eq=False):
    """POSITION (also called QTRANS): a place and a rotation.

    Attributes:
        position: x, y, z in millimetres.
        quaternion: x, y, z, w; w last. The two short forms of the message have none, or x, y, z only.
    """

    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    @property
    def matrix(self) -> Matrix:
        """The same as a 4 x 4 matrix; the quaternion is made a unit one first."""
        q = np.array(self.quaternion, dtype=np.float64)
        length = float(np.linalg.norm(q))
        if not np.isfinite(length) or length < _SHORTEST_QUATERNION:
            raise OpenIGTLinkError(
                "The quaternion of a POSITION is no rotation.",
                expected="x, y, z, w of length 1",
                got=str(self.quaternion),
            )
        x, y, z, w = q / length
        matrix = np.eye(4)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, 3] = self.position
        return matrix

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> Position:
        """The position and rotation of a rigid 4 x 4 matrix; w is not negative."""
        m = _matrix(matrix, "a POSITION")
        rotation = m[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
            raise OpenIGTLinkError(
                "A POSITION holds a rotation only.",
                expected="a rigid matrix",
                got="one that scales, shears or mirrors",
                hint="Send it as a TRANSFORM.",
            )
        # The largest of the four is found from the diagonal, the others from it: no division by a small number.
        squares = (
            np.array([1 + 2 * rotation[i, i] - np.trace(rotation) for i in range(3)] + [1 + np.trace(rotation)]) / 4
        )
        largest = int(np.argmax(squares))
        root = float(np.sqrt(squares[largest]))
        q = np.empty(4)
        q[largest] = root
        if largest == 3:
            q[:3] = np.array(
                [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
            ) / (4 * root)
        else:
            j, k = (largest + 1) % 3, (largest + 2) % 3
            q[j] = (rotation[j, largest] + rotation[largest, j]) / (4 * root)
            q[k] = (rotation[k, largest] + rotation[largest, k]) / (4 * root)
            q[3] = (rotation[k, j] - rotation[j, k]) / (4 * root)
        if q[3] < 0:
            q = -q
        x, y, z = (float(value) for value in m[:3, 3])
        return cls((x, y, z), (float(q[0]), float(q[1]), float(q[2]), float(q[3])))


class Image(_Content, frozen=True, eq=False):
    """IMAGE: voxels and where they are.

    Attributes:
        voxels: [k, j, i], or [k, j, i, component] with 2 to 255 components; int8 to uint32, float32 or float64.
        matrix: 4 x 4, from the index (i, j, k) of the *whole* image to millimetres in ``frame``; its translation is the
            centre of the first voxel, the *corner* of the image (the message itself has the image's centre).
        frame: what the sender calls its coordinates. SlicerOpenIGTLink does not look at it and takes all as RAS.
        size: (i, j, k) of the whole image, where ``voxels`` are only a part of it; None: they are all.
        offset: index (i, j, k) of the part's first voxel.
    """

    voxels: npt.NDArray[Any]
    matrix: Matrix
    frame: Frame = "RAS"
    size: tuple[int, int, int] | None = None
    offset: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        self._set("matrix", _matrix(self.matrix, "an IMAGE"))
        voxels = np.asarray(self.voxels)
        if voxels.ndim not in (3, 4) or voxels.size == 0:
            raise OpenIGTLinkError(
                "The voxels of an IMAGE have the wrong shape.",
                expected="[k, j, i] or [k, j, i, component], none of them 0",
                got=str(voxels.shape),
            )
        self._set("voxels", voxels[..., 0] if voxels.ndim == 4 and voxels.shape[3] == 1 else voxels)
        part = self.part_size
        if self.size is not None:
            self._set("size", None if tuple(self.size) == part and not any(self.offset) else tuple(self.size))
        if any(o < 0 or o + n > whole for o, n, whole in zip(self.offset, part, self.whole_size, strict=True)):
            raise OpenIGTLinkError(
                "The part of an IMAGE does not lie in it.",
                expected=f"inside of {self.whole_size} (i, j, k)",
                got=f"{part} from {tuple(self.offset)}",
            )

    @property
    def part_size(self) -> tuple[int, int, int]:
        """(i, j, k) of ``voxels``."""
        k, j, i = self.voxels.shape[:3]
        return i, j, k

    @property
    def whole_size(self) -> tuple[int, int, int]:
        """(i, j, k) of the whole image."""
        return self.part_size if self.size is None else self.size

    @property
    def components(self) -> int:
        """How many numbers a voxel has."""
        return int(self.voxels.shape[3]) if self.voxels.ndim == 4 else 1

    @property
    def ijk_to_ras(self) -> Matrix:
        """From an index (i, j, k) of the whole image to RAS, honouring ``frame``."""
        return _FLIP @ self.matrix if self.frame == "LPS" else self.matrix.copy()

    @property
    def part_to_ras(self) -> Matrix:
        """From an index (i, j, k) of ``voxels`` to RAS: as `ijk_to_ras`, with the part's offset."""
        shift = np.eye(4)
        shift[:3, 3] = self.offset
        result: Matrix = self.ijk_to_ras @ shift
        return result


class String(_Content, frozen=True, eq=False):
    """STRING. ``encoding``: IANA MIBenum (3 ASCII, 106 UTF-8); None takes ASCII if that does, else UTF-8."""

    text: str
    encoding: int | None = None


class StatusCode(IntEnum):
    """The codes of STATUS (v2_status)."""

    INVALID = 0
    OK = 1
    UNKNOWN_ERROR = 2
    PANIC_MODE = 3
    NOT_FOUND = 4
    ACCESS_DENIED = 5
    BUSY = 6
    TIME_OUT = 7
    OVERFLOW = 8
    CHECKSUM_ERROR = 9
    CONFIGURATION_ERROR = 10
    NOT_ENOUGH_RESOURCE = 11
    ILLEGAL_INSTRUCTION = 12
    NOT_READY = 13
    MANUAL_MODE = 14
    DEVICE_DISABLED = 15
    DEVICE_NOT_PRESENT = 16
    UNKNOWN_DEVICE_VERSION = 17
    HARDWARE_FAILURE = 18
    SHUTTING_DOWN = 19


class Status(_Content, frozen=True, eq=False):
    """STATUS.

    Attributes:
        code: 1 is OK, 2 to 19 are errors (`StatusCode`).
        subcode: the device's own number.
        name: of the error, at most 20 bytes.
        text: for a person.
    """

    code: int = StatusCode.OK
    subcode: int = 0
    name: str = ""
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.code == StatusCode.OK


class Point(_Content, frozen=True, eq=False):
    """One point of POINT.

    Attributes:
        name: at most 64 bytes.
        group: at most 32 bytes; "Unselected" makes an unselected control point in Slicer.
        rgba: 0 to 255 each.
        position: millimetres.
        diameter: millimetres, may be 0.
        owner: device name of the image that it belongs to, at most 20 bytes.
    """

    name: str
    position: tuple[float, float, float]
    group: str = ""
    rgba: tuple[int, int, int, int] = (255, 255, 0, 255)
    diameter: float = 0.0
    owner: str = ""


class Points(_Content, frozen=True, eq=False):
    """POINT: a list of points. An empty one cannot be told from "there is none" on the wire."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        self._set("points", tuple(self.points))

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """[n, 3], millimetres."""
        return np.array([point.position for point in self.points], dtype=np.float64).reshape(-1, 3)


class ToolKind(IntEnum):
    """The types of a tracked tool (v2_tdata)."""

    TRACKER = 1
    SIX_D = 2
    THREE_D = 3
    FIVE_D = 4


class Tool(_Content, frozen=True, eq=False):
    """One tool of TDATA. ``name``: at most 20 bytes; ``kind``: 1 to 4 (`ToolKind`); ``matrix``: 4 x 4, millimetres."""

    name: str
    matrix: Matrix
    kind: int = ToolKind.SIX_D

    def __post_init__(self) -> None:
        self._set("matrix", _matrix(self.matrix, "a TDATA"))


class Tracking(_Content, frozen=True, eq=False):
    """TDATA: where a tracker's tools are, all at one time."""

    tools: tuple[Tool, ...]

    def __post_init__(self) -> None:
        self._set("tools", tuple(self.tools))


class StartStream(_Content, frozen=True, eq=False):
    """STT_TDATA, and any STT_ that has the same form.

    Attributes:
        interval: milliseconds between two messages at least; 0 is as fast as there is something new.
        coordinates: name of the coordinate system that is wanted, at most 32 bytes.
    """

    interval: int = 0
    coordinates: str = ""


class Reply(_Content, frozen=True, eq=False):
    """RTS_: how a query was taken. ``status``: 0 success, 1 error."""

    status: int = 0

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status == 0


class Sensor(_Content, frozen=True, eq=False):
    """SENSOR.

    Attributes:
        values: float64 [n], at most 255.
        unit: OpenIGTLink's 64 bits for a unit (`slicer_notebook.igtl.units`); 0 is none.
        status: reserved.
    """

    values: npt.NDArray[np.float64]
    unit: int = 0
    status: int = 0

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.ndim != 1:
            raise OpenIGTLinkError(
                "The values of a SENSOR have the wrong shape.", expected="[n]", got=str(values.shape)
            )
        self._set("values", values)


class Cells(_Content, frozen=True, eq=False):
    """Cells of a POLYDATA, as they are on the wire and in VTK's legacy files.

    Attributes:
        flat: uint32: the number of points of a cell, their indices, the same for the next cell, and so on.
        count: how many cells there are.
    """

    flat: npt.NDArray[np.uint32]
    count: int

    @classmethod
    def none(cls) -> Cells:
        """No cell."""
        return cls(np.empty(0, np.uint32), 0)

    @classmethod
    def of(cls, cells: Iterable[Sequence[int]] | npt.NDArray[Any]) -> Cells:
        """Of a list of point indices for each cell, or of an array [cell, point] of cells of one size."""
        if isinstance(cells, np.ndarray) and cells.ndim == 2:
            sizes = np.full((len(cells), 1), cells.shape[1], np.uint32)
            return cls(np.hstack([sizes, cells.astype(np.uint32)]).ravel(), len(cells))
        listed = [list(cell) for cell in cells]
        return cls(np.array([n for cell in listed for n in (len(cell), *cell)], np.uint32), len(listed))

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """[count + 1]: where each cell begins in `connectivity`, as in vtkCellArray."""
        starts = self._starts()
        return np.append(starts - np.arange(len(starts)), len(self.flat) - len(starts))

    @property
    def connectivity(self) -> npt.NDArray[np.int64]:
        """The indices of all cells, one cell after the other, as in vtkCellArray."""
        return np.delete(self.flat, self._starts()).astype(np.int64)

    def __len__(self) -> int:
        return self.count

    def _starts(self) -> npt.NDArray[np.int64]:
        """Where the sizes are in ``flat``; raises OpenIGTLinkError where ``flat`` and ``count`` disagree."""
        flat, length = self.flat, len(self.flat)
        if self.count and length:
            stride = int(flat[0]) + 1
            if stride * self.count == length and bool((flat[::stride] == flat[0]).all()):
                return np.arange(0, length, stride, dtype=np.int64)
        starts, at = [], 0
        sizes = flat.tolist()
        while at < length:
            starts.append(at)
            at += sizes[at] + 1
        if at != length or len(starts) != self.count:
            raise OpenIGTLinkError(
                "The cells of a POLYDATA do not fill their list.",
                expected=f"{self.count} cells in {length} numbers",
                got=f"{len(starts)} cells in {at} numbers",
            )
        return np.array(starts, dtype=np.int64)


class Attribute(_Content, frozen=True, eq=False):
    """Numbers of each point or cell of a POLYDATA.

    Attributes:
        name: at most 255 bytes.
        values: float32 [n, components]; 3 components for vectors and normals, 9 for tensors, 4 for colours.
        kind: what they are.
        of: what they belong to.
    """

    name: str
    values: npt.NDArray[np.float32]
    kind: Literal["scalars", "vectors", "normals", "tensors", "rgba"] = "scalars"
    of: Literal["points", "cells"] = "points"

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, dtype=np.float32)
        values = values.reshape(-1, 1) if values.ndim == 1 else values
        if values.ndim != 2:
            raise OpenIGTLinkError(
                "An attribute of a POLYDATA has the wrong shape.", expected="[n, components]", got=str(values.shape)
            )
        self._set("values", values)


class PolyData(_Content, frozen=True, eq=False):
    """POLYDATA: a surface. ``points``: float32 [n, 3], millimetres."""

    points: npt.NDArray[np.float32]
    vertices: Cells = msgspec.field(default_factory=Cells.none)
    lines: Cells = msgspec.field(default_factory=Cells.none)
    polygons: Cells = msgspec.field(default_factory=Cells.none)
    strips: Cells = msgspec.field(default_factory=Cells.none)
    attributes: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        points = np.ascontiguousarray(self.points, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 3:
            raise OpenIGTLinkError(
                "The points of a POLYDATA have the wrong shape.", expected="[n, 3]", got=str(points.shape)
            )
        self._set("points", points)
        self._set("attributes", tuple(self.attributes))


class NDArray(_Content, frozen=True, eq=False):
    """NDARRAY: numbers of any shape, the last index fastest; int8 to uint32, float32, float64 or complex128."""

    array: npt.NDArray[Any]

    def __post_init__(self) -> None:
        self._set("array", np.asarray(self.array))


class Command(_Content, frozen=True, eq=False):
    """COMMAND and RTS_COMMAND (protocol 3).

    Attributes:
        id: the sender's number; the answer has the same.
        name: at most 128 bytes; the answer has the same.
        text: what to do (often XML); in the answer, the result.
        encoding: as in `String`.

    The answer's metadata say how it went: Status = SUCCESS or FAIL, and ErrorMessage.
    """

    id: int
    name: str
    text: str = ""
    encoding: int | None = None


class Capability(_Content, frozen=True, eq=False):
    """CAPABILITY: the types that the sender knows."""

    types: tuple[str, ...]

    def __post_init__(self) -> None:
        self._set("types", tuple(self.types))


Content: TypeAlias = (
    Transform | Position | Image | String | Status | Points | Tracking | StartStream | Reply | Sensor | PolyData
    | NDArray | Command | Capability
)  # fmt: skip
