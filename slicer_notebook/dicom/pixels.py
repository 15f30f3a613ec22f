"""One slice's stored pixels: read from the file into memory, bits put right. No rescaling here."""

from __future__ import annotations

import io
import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.decode import DecodeError, decode
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import BIG_ENDIAN, NATIVE
from slicer_notebook.errors import FileFormatError, SeriesRefusedError

__all__ = ["current_instance", "fix_bits", "read_stored", "stored_dtype"]

_KINDS: Final = {0: "u", 1: "i"}

#: What a file that changed after planning must still say for the plan to hold.
_MUST_HOLD: Final = (
    "SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "PhotometricInterpretation",
)  # fmt: skip


def stored_dtype(instance: Instance) -> np.dtype[Any]:
    """The NumPy type of the stored values, native byte order."""
    return np.dtype(f"{_KINDS[instance.PixelRepresentation or 0]}{(instance.BitsAllocated or 0) // 8}")


def read_stored(instance: Instance, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """Stored values of one single-frame grey-value instance.

    Args:
        instance: as planned; its file is looked at again if its size or modification time changed.
        out: where to put the pixels: contiguous, [rows, columns], of `stored_dtype`. A new array if None.

    Returns:
        ``out`` or a new array, [rows, columns], `stored_dtype`, as in the file (bits above BitsStored included).

    Raises:
        FileFormatError: the file is gone, changed or cannot be read.
        SeriesRefusedError: the pixels cannot be decoded, or are fewer than Rows x Columns.
    """
    shape = (instance.Rows or 0, instance.Columns or 0)
    if out is None:
        out = np.empty(shape, stored_dtype(instance))
    try:
        # Unbuffered: the bytes go from the page cache to the volume's memory in one copy, with the GIL released.
        with open(instance.path, "rb", buffering=0) as file:
            current = current_instance(instance, os.fstat(file.fileno()))
            if current.TransferSyntaxUID in NATIVE and current.pixel_offset:
                _read_native(file, current, out)
            else:
                _decode(current, out)
    except OSError as exc:
        raise FileFormatError(
            f"{instance.path!r} cannot be read.",
            got=exc.strerror or str(exc),
            hint="Index the folder again.",
            details={"path": instance.path},
        ) from exc
    return out


def current_instance(instance: Instance, status: os.stat_result | None = None) -> Instance:
    """The instance, its header read again if its file's size or time changed.

    Raises:
        FileFormatError: what the plan rests on changed.
        OSError: the file is gone.
    """
    status = status if status is not None else os.stat(instance.path)
    if (status.st_size, status.st_mtime_ns) == (instance.size, instance.mtime_ns):
        return instance
    got = "a file that is no longer DICOM"
    try:
        current = read_header(instance.path)
    except NotTakenError as exc:
        current, got = None, str(exc)
    if current is not None:
        changed = [name for name in _MUST_HOLD if getattr(current, name) != getattr(instance, name)]
        if not changed:
            return current
        got = f"a change of {', '.join(changed)}"
    raise FileFormatError(
        f"{instance.path!r} changed after it was indexed.",
        expected=f"SOP instance {instance.SOPInstanceUID} as it was",
        got=got,
        hint="Index the folder again, then plan and load.",
        details={"path": instance.path},
    )


def _read_native(file: io.FileIO, instance: Instance, out: npt.NDArray[Any]) -> None:
    view = out.reshape(-1).view(np.uint8).data
    file.seek(instance.pixel_offset)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            missing = len(view) - done
            raise _refused(Reason.TRUNCATED, f"the file ends {missing} bytes before its pixels do", instance)
        done += count
    if instance.TransferSyntaxUID == BIG_ENDIAN:
        _swap_big_endian(instance, out)


def _swap_big_endian(instance: Instance, out: npt.NDArray[Any]) -> None:
    """8-bit pixels of VR OW were swapped in pairs (PS3.5 annex D); pydicom knows when, so it reads those."""
    if out.itemsize > 1:
        out.byteswap(inplace=True)
    else:
        _decode(instance, out)


def _decode(instance: Instance, out: npt.NDArray[Any]) -> None:
    try:
        decoded = decode(instance.path, instance.TransferSyntaxUID)
    except DecodeError as exc:
        raise _refused(Reason.TRANSFER_SYNTAX, f"pixels cannot be decoded: {exc}", instance) from exc
    if decoded.shape != out.shape:
        raise _refused(Reason.PIXEL_FORMAT, f"pixels decoded to {decoded.shape}, not {out.shape}", instance)
    if decoded.dtype.itemsize != out.dtype.itemsize:
        raise _refused(Reason.PIXEL_FORMAT, f"pixels decoded to {decoded.dtype}, not {out.dtype}", instance)
    out[...] = decoded.view(out.dtype) if decoded.dtype != out.dtype else decoded


def _refused(reason: Reason, message: str, instance: Instance) -> SeriesRefusedError:
    return SeriesRefusedError(
        f"{instance.path!r}: {message}.", details={"reason": reason.value, "files": [instance.path]}
    )


def fix_bits(pixels: npt.NDArray[Any], instance: Instance) -> tuple[int, int, bool]:
    """Make stored values what BitsStored, HighBit and PixelRepresentation say (PS3.5 §8.1.1), in place.

    Returns:
        The smallest and the largest value, and whether bits outside those stored had to be dropped.
    """
    low, high = int(pixels.min()), int(pixels.max())
    allocated, stored = instance.BitsAllocated or 0, instance.BitsStored or 0
    top = stored - 1 if instance.HighBit is None else instance.HighBit
    signed = instance.PixelRepresentation == 1
    if top == stored - 1:
        if stored == allocated:
            return low, high, False
        floor, ceiling = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
        if floor <= low and high <= ceiling:
            return low, high, False
    left = allocated - 1 - top
    before = pixels.copy()
    pixels <<= left
    pixels >>= allocated - stored
    # Bits above the sign bit may be zeros where they should repeat it: that loses nothing. Anything else does.
    mask = ((1 << stored) - 1) << (top + 1 - stored)
    outside = before & np.array(~mask & ((1 << allocated) - 1), dtype=f"u{pixels.itemsize}").view(pixels.dtype)
    dropped = bool(np.any((outside != 0) & (before != pixels)))
    return int(pixels.min()), int(pixels.max()), dropped
