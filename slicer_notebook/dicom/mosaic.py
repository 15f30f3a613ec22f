"""Makers' grids of slices in one image: Siemens' mosaic and UIH's grid (VFRAME). Pure headers; no pixels.

A mosaic of n slices is a square grid of ceil(sqrt(n)) tiles across and down, filled row by row. Its Image Position
(Patient) is that of the first pixel of the whole grid, as if the grid's centre were the centre of the first slice; so
the first tile begins half the difference of the two sizes further. Where the next tiles lie is only in Siemens' own
headers: the slices' positions in the protocol, or the direction of the slices' order in the image header
(SliceNormalVector), which need not be row x column.

A UIH grid of n slices is ceil(sqrt(n)) tiles across and as many down as are needed; a private sequence has an item for
each tile with its position.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from slicer_notebook.dicom.csa import Protocol, csa_entries, csa_numbers, protocol_of
from slicer_notebook.dicom.geometry import Array, Axes, axes_of
from slicer_notebook.dicom.nested import Item, Nested, Wanted, numbers_of, private_value, read_nested
from slicer_notebook.dicom.planes import NotSplitError, Planes
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.tags import ATTRIBUTES
from slicer_notebook.dicom.values import fields_of

__all__ = ["planes_of_siemens_mosaic", "planes_of_uih_grid"]

#: Slices lie along the normal of the image if the two are closer than this (cosine of 8 degrees: a scanner that follows
#: the head turns the image, but not the protocol).
PARALLEL: Final = math.cos(math.radians(8.0))
#: How far (part of the stack's length) the first tile may lie from where the protocol has an outermost slice.
ENDS_WITHIN: Final = 0.25
#: Two statements of the step between slices agree within this part.
STEP_TOLERANCE: Final = 0.02

_CSA_IMAGE, _CSA_SERIES, _CSA_GROUP = 0x10, 0x20, 0x0029
_CSA_NAMES: Final = frozenset(
    {"NumberOfImagesInMosaic", "SliceNormalVector", "B_value", "DiffusionGradientDirection", "DiffusionDirectionality"}
)
_ACQUISITION_MATRIX: Final = 0x00181310
_SIEMENS: Final = Wanted(
    frozenset({_ACQUISITION_MATRIX}),
    {
        0x0019: frozenset({0x0A}),
        0x0021: frozenset({0x19}),
        0x0029: frozenset({_CSA_IMAGE, _CSA_SERIES}),
        0x0051: frozenset({0x0B}),
    },
)
_TILE_FIELDS: Final = ("ImagePositionPatient", "SliceLocation", "AcquisitionDate", "AcquisitionTime",
                       "AcquisitionDateTime")  # fmt: skip
_UIH: Final = Wanted(
    frozenset(tag for tag, attribute in ATTRIBUTES.items() if attribute.keyword in _TILE_FIELDS),
    {0x0065: frozenset({0x50, 0x51})},
)


def _mosaic_error(message: str) -> NotSplitError:
    return NotSplitError(Reason.MOSAIC, message)


class _Grid(NamedTuple):
    """Tiles of one image."""

    across: int
    #: rows and columns of a tile
    rows: int
    columns: int

    def tile(self, number: int) -> tuple[int, int]:
        """First row and column of a tile."""
        down, across = divmod(number, self.across)
        return down * self.rows, across * self.columns


def _grid(instance: Instance, across: int, down: int) -> _Grid:
    rows, columns = instance.Rows or 0, instance.Columns or 0
    if rows <= 0 or columns <= 0 or rows % down or columns % across:
        raise _mosaic_error(f"{rows} x {columns} pixels are no grid of {down} x {across} tiles")
    return _Grid(across, rows // down, columns // across)


class _Siemens(NamedTuple):
    """What Siemens' private attributes say."""

    slices: int | None
    csa: dict[str, list[str]]
    protocol: Protocol | None
    #: sizes that were acquired (the image may be interpolated): they check a number that the header only implies
    matrix: tuple[int, int] | None


def _csa_blob(root: Item, element: int) -> bytes | None:
    found = private_value(root, _CSA_GROUP, "SIEMENS CSA HEADER", element)
    if isinstance(found, bytes):
        return found
    # Some software removes the creators; a CSA2 header is known by its first bytes.
    for tag, value in root.items():
        marked = isinstance(value, bytes) and value.startswith(b"SV10")
        if marked and tag >> 16 == _CSA_GROUP and tag & 0xFF == element and tag & 0xFFFF >= 0x1000:
            return value if isinstance(value, bytes) else None
    return None


def _protocol(root: Item) -> Protocol | None:
    # The text is looked for in the header's bytes: to read the header's entries takes far longer.
    for text in (_csa_blob(root, _CSA_SERIES), private_value(root, 0x0021, "SIEMENS MR SDS 01", 0x19)):
        found = protocol_of(text) if isinstance(text, bytes) else None
        if found is not None:
            return found
    return None


def _matrix(nested: Nested) -> tuple[int, int] | None:
    """The two sizes that were acquired, the smaller first.

    AcquisitionMatrixText, such as ``128p*128``, has them in an order that depends on the phase direction, as has
    Acquisition Matrix: rows and columns of the frequency and of the phase direction, two of which are 0.
    """
    for tag, value in nested.root.items():
        if tag >> 16 == 0x0051 and tag & 0xFF == 0x0B and tag & 0xFFFF >= 0x1000 and isinstance(value, bytes):
            sizes = ["".join(c for c in part if c.isdigit()) for part in value.decode("ascii", "replace").split("*")]
            if len(sizes) == 2 and all(sizes):
                return min(map(int, sizes)), max(map(int, sizes))
    raw = nested.root.get(_ACQUISITION_MATRIX)
    numbers = numbers_of(raw, "US", nested.order) if isinstance(raw, bytes) else None
    acquired = sorted(int(number) for number in numbers or [] if number)
    return (acquired[0], acquired[1]) if len(acquired) == 2 else None


def _siemens(instance: Instance) -> _Siemens:
    nested = read_nested(instance, _SIEMENS)
    root = nested.root
    image = _csa_blob(root, _CSA_IMAGE)
    csa = (csa_entries(image, _CSA_NAMES) if image is not None else None) or {}
    protocol = _protocol(root)
    said = set()
    raw = private_value(root, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(raw, bytes) and len(raw) == 2:
        said.add(int.from_bytes(raw, "little" if nested.order == "<" else "big"))
    number = csa_numbers(csa, "NumberOfImagesInMosaic", 1)
    if number is not None:
        said.add(int(number[0]))
    said.discard(0)
    if len(said) > 1:
        raise _mosaic_error(f"its headers say {' and '.join(map(str, sorted(said)))} slices")
    count = said.pop() if said else None
    matrix = _matrix(nested) if count is None else None
    if matrix is not None and matrix == tuple(sorted((instance.Rows or 0, instance.Columns or 0))):
        count = 1  # a slice of a series that was unpacked, and kept its ImageType
    if count is None and protocol is not None:
        slices = len(protocol.positions)
        count = slices * (protocol.images_per_slab or 0) if protocol.three_dimensional else slices
    return _Siemens(count or None, csa, protocol, matrix)


def _axes(instance: Instance) -> Axes:
    axes = axes_of(instance.ImageOrientationPatient or [])
    if axes is None:
        raise NotSplitError(Reason.NO_POSITION, "a mosaic without a usable ImageOrientationPatient")
    return axes


def planes_of_siemens_mosaic(instance: Instance) -> Planes:
    """The slices of a Siemens mosaic, in the order of its tiles.

    Raises:
        NotSplitError: their number, order or distance is not in the header, or it contradicts itself.
        UnreadableError: the file is gone.
    """
    said = _siemens(instance)
    if said.slices is None:
        raise _mosaic_error("how many slices it holds is not in its header")
    if said.slices == 1:
        return Planes([msgspec.structs.replace(instance, mosaic=None)])
    across = math.isqrt(said.slices - 1) + 1
    grid = _grid(instance, across, across)
    _check_tile(grid, said)
    axes = _axes(instance)
    spacing, corner = instance.PixelSpacing, instance.ImagePositionPatient
    if corner is None or len(corner) != 3:
        raise NotSplitError(Reason.NO_POSITION, "a mosaic without ImagePositionPatient")
    if spacing is None or len(spacing) != 2 or min(spacing) <= 0:
        raise NotSplitError(Reason.NO_SPACING, "a mosaic without PixelSpacing")
    first = (
        np.array(corner)
        + axes.row * spacing[1] * ((instance.Columns or 0) - grid.columns) / 2
        + axes.column * spacing[0] * ((instance.Rows or 0) - grid.rows) / 2
    )
    centre = first + axes.row * spacing[1] * grid.columns / 2 + axes.column * spacing[0] * grid.rows / 2
    offsets = _offsets(said, said.slices, axes, centre, instance.SpacingBetweenSlices)
    diffusion = _diffusion(instance, said.csa)
    step = float(np.median(np.abs(np.diff(offsets))))
    return Planes(
        msgspec.structs.replace(
            instance,
            ImagePositionPatient=(first + axes.normal * offset).tolist(),
            SliceLocation=None,
            SpacingBetweenSlices=step,
            Rows=grid.rows,
            Columns=grid.columns,
            tile=grid.tile(number),
            mosaic_shape=(instance.Rows or 0, instance.Columns or 0),
            **diffusion,
        )
        for number, offset in enumerate(offsets.tolist())
    )


def _check_tile(grid: _Grid, said: _Siemens) -> None:
    """The tile is what was acquired, interpolated or not, at least along one side: the phase may be cut short."""
    if said.matrix is None:
        return
    largest = said.matrix[1]
    if max(grid.rows, grid.columns) not in (largest, 2 * largest):
        raise _mosaic_error(
            f"tiles of {grid.rows} x {grid.columns} pixels for {said.slices} slices do not fit what was acquired, "
            f"{said.matrix[0]} x {said.matrix[1]}"
        )


def _offsets(said: _Siemens, count: int, axes: Axes, centre: Array, between: float | None) -> Array:
    """Where the tiles lie along row x column, mm from the first."""
    along = _protocol_offsets(said.protocol, count, axes)
    step = float(np.median(np.diff(along))) if along is not None else None
    stated = abs(between) if between else None
    if step is not None and stated is not None and abs(step - stated) > STEP_TOLERANCE * stated:
        raise _mosaic_error(f"its slices are {step:.4g} mm apart by the protocol, {stated:.4g} by SpacingBetweenSlices")
    if step is None and stated is None:
        raise _mosaic_error("how far apart its slices are is not in its header")
    signs = {sign for sign in (_csa_sign(said, axes), _protocol_sign(said, count, axes, centre, stated)) if sign}
    if not signs:
        raise _mosaic_error("in which direction its slices follow each other is not in its header")
    if len(signs) > 1:
        raise _mosaic_error("its headers contradict each other on the direction in which its slices follow each other")
    sign = signs.pop()
    if along is None:
        along = (stated or 0.0) * np.arange(count, dtype=np.float64)
    # Rising from the lowest slice, or falling from the highest.
    offsets: Array = along - along[0] if sign > 0 else along[::-1] - along[-1]
    return offsets


def _protocol_offsets(protocol: Protocol | None, count: int, axes: Axes) -> Array | None:
    """Slices' places along their normal (made to point as row x column), rising; None if there is none for each."""
    if protocol is None or protocol.three_dimensional or len(protocol.positions) != count:
        return None
    positions, normals = np.array(protocol.positions), np.array(protocol.normals)
    if float(np.min(normals @ axes.normal * np.sign(normals[0] @ axes.normal))) < PARALLEL:
        raise _mosaic_error("the slices of its protocol are not parallel to the image")
    along = np.sort(positions @ (normals[0] * np.sign(normals[0] @ axes.normal)))
    if float(np.diff(along).min()) <= 0:
        raise _mosaic_error("slices of its protocol lie at one place")
    result: Array = along
    return result


def _csa_sign(said: _Siemens, axes: Axes) -> int | None:
    vector = csa_numbers(said.csa, "SliceNormalVector", 3)
    if vector is None or not any(vector):
        return None
    cosine = float(np.array(vector) @ axes.normal) / float(np.linalg.norm(vector))
    if abs(cosine) < PARALLEL:
        raise _mosaic_error("the SliceNormalVector of its CSA header is not along the image's normal")
    return 1 if cosine > 0 else -1


def _protocol_sign(said: _Siemens, count: int, axes: Axes, centre: Array, stated: float | None) -> int | None:
    """The first tile is one end of the stack; the protocol says where its middle is."""
    if said.protocol is None:
        return None
    positions = np.array(said.protocol.positions)
    if said.protocol.three_dimensional:
        if len(positions) != 1 or stated is None:
            return None
        length = stated * (count - 1)
    else:
        if len(positions) != count:
            return None
        length = float(np.ptp(positions @ axes.normal))
    towards = float((positions.mean(axis=0) - centre) @ axes.normal)
    if abs(abs(towards) - length / 2) > ENDS_WITHIN * length:
        return None  # the table moved, or the image was made later from another stack
    return 1 if towards > 0 else -1


def _diffusion(instance: Instance, csa: dict[str, list[str]]) -> dict[str, Any]:
    """What the CSA header says of diffusion where the attributes do not."""
    found: dict[str, Any] = {}
    value = csa_numbers(csa, "B_value", 1)
    if instance.DiffusionBValue is None and value is not None:
        found["DiffusionBValue"] = value[0]
    direction = csa_numbers(csa, "DiffusionGradientDirection", 3)
    if instance.DiffusionGradientOrientation is None and direction is not None and any(direction):
        found["DiffusionGradientOrientation"] = direction
    directionality = (csa.get("DiffusionDirectionality") or [""])[0].upper()
    if instance.DiffusionDirectionality is None and directionality in {"DIRECTIONAL", "ISOTROPIC", "BMATRIX", "NONE"}:
        found["DiffusionDirectionality"] = directionality
    return found


def planes_of_uih_grid(instance: Instance) -> Planes:
    """The slices of a UIH grid, in the order of its tiles.

    Raises:
        NotSplitError: their number or positions are not in the header.
        UnreadableError: the file is gone.
    """
    nested = read_nested(instance, _UIH)
    raw = private_value(nested.root, 0x0065, "Image Private Header", 0x50)
    items = private_value(nested.root, 0x0065, "Image Private Header", 0x51)
    try:
        count = int(float(raw.decode("ascii"))) if isinstance(raw, bytes) else 0
    except ValueError:
        count = 0
    if count < 1:
        raise _mosaic_error("how many slices the grid holds is not in its header")
    if count == 1 and instance.ImagePositionPatient is not None:
        return Planes([msgspec.structs.replace(instance, mosaic=None)])
    if not isinstance(items, list) or len(items) != count:
        held = len(items) if isinstance(items, list) else 0
        raise _mosaic_error(f"positions of {held} slices, where the grid holds {count}")
    across = math.isqrt(count - 1) + 1
    grid = _grid(instance, across, -(-count // across))
    planes = []
    for number, item in enumerate(items):
        values = fields_of({tag: v for tag, v in item.items() if isinstance(v, bytes)}, nested.other_vrs, nested.order)
        position = values.get("ImagePositionPatient")
        if position is None or len(position) != 3:
            raise _mosaic_error(f"slice {number + 1} of the grid has no ImagePositionPatient")
        planes.append(
            msgspec.structs.replace(
                instance,
                Rows=grid.rows,
                Columns=grid.columns,
                tile=grid.tile(number),
                mosaic_shape=(instance.Rows or 0, instance.Columns or 0),
                **{field: values.get(field) for field in _TILE_FIELDS},
            )
        )
    return Planes(planes)
