"""Modality LUTs: tables from stored values to what they mean (PS3.3 C.11.1)."""

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

__all__ = ["ModalityLut", "ModalityLutError", "read_modality_lut"]

Array = npt.NDArray[Any]
MAX_ENTRIES: Final = 1 << 16


class ModalityLutError(Exception):
    """A table that contradicts itself. Never reaches a user: callers make a refusal of it."""


class ModalityLut(NamedTuple):
    """A table of values."""

    #: the stored value that the first entry is for; values below it have the first, those above the last entry's
    first: int
    #: [entries], uint16
    entries: Array
    #: ModalityLUTType: "HU", "OD", ...; "" when it is not said or not specified (US)
    units: str

    def __call__(self, stored: Array) -> Array:
        """Values of stored ones: the same shape, uint16."""
        places = np.clip(stored.astype(np.int64) - self.first, 0, len(self.entries) - 1)
        values: Array = self.entries[places]
        return values


@lru_cache(maxsize=32)
def read_modality_lut(path: str, size: int, mtime_ns: int) -> ModalityLut:  # noqa: ARG001 - they are the cache's key
    """A file's Modality LUT.

    Args:
        path: of the file, or of a member of an archive.
        size: the file's, in bytes.
        mtime_ns: the file's, in nanoseconds: a file that changed is read again.

    Raises:
        ModalityLutError: it contradicts itself.
        OSError: the file cannot be read.
    """
    with warnings.catch_warnings(), open_binary(path) as file:
        warnings.simplefilter("ignore")
        try:
            return _lut_of(pydicom.dcmread(file, stop_before_pixels=True, force=True))
        except (ModalityLutError, OSError):
            raise
        # pydicom raises many kinds of error on damaged values, none of a common class of its own.
        except Exception as exc:
            raise ModalityLutError(f"its Modality LUT cannot be read ({type(exc).__name__}: {exc})") from exc


def _lut_of(dataset: Dataset) -> ModalityLut:
    items = dataset.get("ModalityLUTSequence") or []
    if len(items) != 1:
        raise ModalityLutError(f"a Modality LUT Sequence of {len(items)} items: one is due")
    item = items[0]
    descriptor = item.get("LUTDescriptor")
    if not isinstance(descriptor, Sequence) or len(descriptor) != 3:
        raise ModalityLutError(f"a LUTDescriptor of {descriptor}: three values are due")
    count, first, bits = (int(value) for value in descriptor)
    count = count % 0x10000 or MAX_ENTRIES
    signed = dataset.get("PixelRepresentation") == 1
    # US or SS as PixelRepresentation says; what was written under the other VR is the same bits.
    first = (first + 0x8000) % 0x10000 - 0x8000 if signed else first % 0x10000
    if not 8 <= bits <= 16:
        raise ModalityLutError(f"LUT entries of {bits} bits: 8 to 16 are due")
    entries = _entries(item, count, bits, "<" if dataset.original_encoding[1] is not False else ">")
    if int(entries.max()) >> bits:
        raise ModalityLutError(f"a LUT entry of {int(entries.max())}, which {bits} bits do not hold")
    kind = str(item.get("ModalityLUTType", "") or "")
    return ModalityLut(first, entries, "" if kind == "US" else kind)


def _entries(item: Dataset, count: int, bits: int, order: str) -> Array:
    data = item.get("LUTData")
    if data is None:
        raise ModalityLutError("a Modality LUT without LUTData")
    if not isinstance(data, bytes):
        values = np.atleast_1d(np.asarray(data, dtype=np.int64)) % 0x10000
        if len(values) == count:
            return values.astype(np.uint16)
        data = values.astype(f"{order}u2").tobytes()
    if len(data) >= 2 * count:
        return np.frombuffer(data[: 2 * count], f"{order}u2").astype(np.uint16)
    if bits == 8 and len(data) >= count:
        # C.11.1.1.1: eight-bit entries two to a word, the first in its lower byte.
        packed = np.frombuffer(data, np.uint8)
        if order == ">" and len(packed) % 2 == 0:
            packed = packed.view(np.uint16).byteswap().view(np.uint8)
        return packed[:count].astype(np.uint16)
    raise ModalityLutError(f"{len(data)} bytes of LUTData for {count} entries of {bits} bits")
