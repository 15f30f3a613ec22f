"""Colour: luminance and chrominance made red, green and blue (PS3.3 C.7.6.3.1.2), and palettes (C.7.6.3.1.5, C.7.9)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from slicer_notebook.dicom.archives import open_binary

__all__ = ["Palette", "PaletteError", "apply_palette", "expand_segments", "read_palette", "rgb_of_ybr"]

Array = npt.NDArray[Any]

_PRIMARIES: Final = ("Red", "Green", "Blue")
#: A palette has 2^16 entries at most (its descriptor's first value, where 0 stands for that).
MAX_ENTRIES: Final = 1 << 16
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


class PaletteError(Exception):
    """A palette that is absent or contradicts itself. Never reaches a user: callers make a refusal of it."""


class Palette(NamedTuple):
    """Colours that pixel values stand for."""

    #: the value that the first entry stands for; values below it have its colour, values above the last the last's
    first: int
    #: [entries, 3] red, green, blue: uint8 or uint16
    entries: Array


def rgb_of_ybr(ybr: Array, bits: int) -> Array:
    """YBR_FULL as RGB, rounded to the nearest.

    Args:
        ybr: [..., 3] luminance, blue and red chrominance; unsigned.
        bits: of a sample; chrominance's middle is 2^(bits - 1).

    Returns:
        [..., 3], the same type.
    """
    top, middle = (1 << bits) - 1, 1 << (bits - 1)
    values: Array = ybr.astype(np.float32 if bits <= 8 else np.float64)
    luminance: Array = values[..., 0]
    blue: Array = values[..., 1] - middle
    red: Array = values[..., 2] - middle
    # The inverse of the matrix in C.7.6.3.1.2, from its luminance weights 0.299, 0.587 and 0.114.
    rgb = np.empty_like(values)
    rgb[..., 0] = luminance + 1.402 * red
    rgb[..., 1] = luminance - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    rgb[..., 2] = luminance + 1.772 * blue
    np.rint(rgb, out=rgb)
    np.clip(rgb, 0, top, out=rgb)
    return rgb.astype(ybr.dtype)


def apply_palette(indices: Array, palette: Palette) -> Array:
    """The colours of pixel values: [rows, columns] to [rows, columns, 3]."""
    places = np.clip(indices.astype(np.int64) - palette.first, 0, len(palette.entries) - 1)
    colours: Array = palette.entries[places]
    return colours


@lru_cache(maxsize=32)
def read_palette(path: str, size: int, mtime_ns: int) -> Palette:  # noqa: ARG001 - they are the cache's key
    """A file's palette.

    Args:
        path: of the file, or of a member of an archive.
        size: the file's, in bytes.
        mtime_ns: the file's, in nanoseconds: a file that changed is read again.

    Raises:
        PaletteError: there is none, or it contradicts itself.
        OSError: the file cannot be read.
    """
    with warnings.catch_warnings(), open_binary(path) as file:
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            return _palette_of(dataset)
        except (PaletteError, OSError):
            raise
        # pydicom raises many kinds of error on damaged values, none of a common class of its own.
        except Exception as exc:
            raise PaletteError(f"{type(exc).__name__}: {exc}") from exc


def _palette_of(dataset: Dataset) -> Palette:
    order = ">" if dataset.original_encoding[1] is False else "<"
    signed = dataset.get("PixelRepresentation") == 1
    descriptors, tables = [], []
    for primary in _PRIMARIES:
        descriptor = dataset.get(f"{primary}PaletteColorLookupTableDescriptor")
        if descriptor is None or not isinstance(descriptor, Sequence) or len(descriptor) != 3:
            raise PaletteError(f"no {primary}PaletteColorLookupTableDescriptor of three values")
        count, first, bits = (int(value) for value in descriptor)
        # US or SS as PixelRepresentation says; files that mix them up are common (pydicom reads what is written).
        first = (first + 0x8000) % 0x10000 - 0x8000 if signed else first % 0x10000
        count = count % 0x10000 or MAX_ENTRIES
        if bits not in (8, 16):
            raise PaletteError(f"palette entries of {bits} bits: 8 or 16 are due")
        descriptors.append((count, first, bits))
        tables.append(_table(dataset, primary, count, bits, order))
    if len({first for _, first, _ in descriptors}) > 1 or len({len(table) for table in tables}) > 1:
        raise PaletteError(f"the palette's descriptors differ: {descriptors}")
    entries = np.stack(tables, axis=1)
    bits = max(bits for _, _, bits in descriptors)
    # Eight bits declared as sixteen: values of one byte all through would be all but black.
    narrow = bits == 8 or int(entries.max()) < 0x100
    return Palette(descriptors[0][1], entries.astype(np.uint8 if narrow else np.uint16))


def _table(dataset: Dataset, primary: str, count: int, bits: int, order: str) -> Array:
    raw = _bytes(dataset, f"{primary}PaletteColorLookupTableData", order)
    if raw is None:
        raw = _bytes(dataset, f"Segmented{primary}PaletteColorLookupTableData", order)
        if raw is None:
            raise PaletteError(f"no {primary}PaletteColorLookupTableData")
        table = expand_segments(raw, bits, order)
        if len(table) != count:
            raise PaletteError(f"{primary} has {len(table)} entries of {count}")
        return table
    if len(raw) >= 2 * count:
        # Sixteen-bit words also where the entries have eight bits: some files keep one entry in each.
        table = np.frombuffer(raw[: 2 * count], f"{order}u2").astype(np.uint16)
        if bits == 8 and int(table.max()) >= 0x100:
            # ... in the word's upper byte.
            table = table >> 8
        return table
    if bits == 8 and len(raw) >= count:
        # Two entries to a word, the first in the lower byte (C.7.6.3.1.6); in big endian the bytes change places.
        packed = np.frombuffer(raw, np.uint8)
        if order == ">" and len(packed) % 2 == 0:
            packed = packed.view(np.uint16).byteswap().view(np.uint8)
        return packed[:count].astype(np.uint16)
    raise PaletteError(f"{primary} has {len(raw)} bytes for {count} entries of {bits} bits")


def _bytes(dataset: Dataset, keyword: str, order: str) -> bytes | None:
    value = dataset.get(keyword)
    if value is None or isinstance(value, bytes):
        return value or None
    # Written as US instead of OW: numbers already.
    return np.atleast_1d(np.asarray(value, dtype=np.int64)).astype(f"{order}u2").tobytes()


def expand_segments(raw: bytes, bits: int, order: str) -> Array:
    """A segmented palette's entries (PS3.3 C.7.9.2).

    Args:
        raw: segments, made of units of ``bits``.
        bits: 8 or 16.
        order: ``<`` or ``>``.

    Returns:
        [entries], uint16.

    Raises:
        PaletteError: segments that are none, or make more than 2^16 entries.
    """
    if bits == 8:
        data = np.frombuffer(raw, np.uint8)
        if order == ">" and len(data) % 2 == 0:
            data = data.view(np.uint16).byteswap().view(np.uint8)
    else:
        data = np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2")
    out: list[int] = []
    _expand(data.tolist(), 0, None, 8 if bits == 8 else 16, out, inside=False)
    return np.array(out, dtype=np.uint16)


def _expand(units: list[int], at: int, most: int | None, bits: int, out: list[int], *, inside: bool) -> None:
    """Append the entries of up to ``most`` segments that begin at unit ``at``."""
    done = 0
    # A single unit at the end pads to an even length.
    while at + 1 < len(units) and (most is None or done < most):
        opcode, length = units[at], units[at + 1]
        at += 2
        try:
            if opcode == _DISCRETE:
                if at + length > len(units):
                    raise PaletteError("a segment of the palette goes beyond its end")
                out.extend(units[at : at + length])
                at += length
            elif opcode == _LINEAR:
                if not out or not length:
                    raise PaletteError("a linear segment of the palette has no beginning")
                start, end = out[-1], units[at]
                out.extend(round(start + (end - start) * step / length) for step in range(1, length + 1))
                at += 1
            elif opcode == _INDIRECT and not inside:
                # The offset is in bytes, of two words, the lower first.
                if bits == 8:
                    offset = units[at] | units[at + 1] << 8 | units[at + 2] << 16 | units[at + 3] << 24
                    at += 4
                else:
                    offset = (units[at] | units[at + 1] << 16) // 2
                    at += 2
                _expand(units, offset, length, bits, out, inside=True)
            else:
                raise PaletteError(f"a segment of the palette has the opcode {opcode}")
        except IndexError as exc:
            raise PaletteError("a segment of the palette goes beyond its end") from exc
        if len(out) > MAX_ENTRIES:
            raise PaletteError(f"the palette's segments make more than {MAX_ENTRIES} entries")
        done += 1
    if most is not None and done < most:
        raise PaletteError("a segment of the palette goes beyond its end")
