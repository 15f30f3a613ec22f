"""One plane's stored pixels: read from the file into memory, bits put right, colours made RGB. No rescaling here."""

from __future__ import annotations

import os
import threading
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.archives import needs_care, status
from slicer_notebook.dicom.codecs import rgb_of
from slicer_notebook.dicom.colour import PaletteError, apply_palette, read_palette
from slicer_notebook.dicom.decode import DecodeError, decode
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.modality_lut import ModalityLut, ModalityLutError, read_modality_lut
from slicer_notebook.dicom.reasons import Reason, length_problem
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.sources import open_pixels
from slicer_notebook.dicom.syntaxes import BIG_ENDIAN, DEFLATED, JPEG, JPEG_2000, JPEG_LS, JPEG_XL, NATIVE
from slicer_notebook.dicom.unpack import Layout, LayoutError, frame_bits, layout_of, unpack
from slicer_notebook.errors import FileFormatError, SeriesRefusedError

__all__ = ["current_instance", "fix_bits", "modality_lut", "read_stored", "stored_dtype"]

Array = npt.NDArray[Any]

_FLOATS: Final[dict[str, np.dtype[Any]]] = {
    "FloatPixelData": np.dtype(np.float32),
    "DoubleFloatPixelData": np.dtype(np.float64),
}
_KINDS: Final[dict[tuple[int, int], np.dtype[Any]]] = {
    (bits, sign): np.dtype(f"{'ui'[sign]}{max(bits, 8) // 8}") for bits in (1, 8, 16, 32, 64) for sign in (0, 1)
}

_CODESTREAMS: Final = JPEG | JPEG_LS | JPEG_2000 | JPEG_XL

#: What a file that changed after planning must still say for the plan to hold.
_MUST_HOLD: Final = (
    "SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "PixelAspectRatio", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "PhotometricInterpretation",
)  # fmt: skip
#: The same for a copy of a file of several planes, whose own geometry and rescale were compared as a header.
_MUST_HOLD_OF_FILE: Final = (
    "SOPInstanceUID", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip


def stored_dtype(instance: Instance) -> np.dtype[Any]:
    """The NumPy type of the plane's values as `read_stored` gives them, native byte order."""
    floating = _FLOATS.get(instance.pixel_keyword or "")
    if floating is not None:
        return floating
    if instance.PhotometricInterpretation == "PALETTE COLOR":
        try:
            palette = read_palette(instance.path, instance.size, instance.mtime_ns)
        except PaletteError as exc:
            raise _refused(Reason.PALETTE_COLOUR, str(exc), instance) from exc
        except OSError as exc:
            raise _unreadable(instance, exc) from exc
        dtype: np.dtype[Any] = palette.entries.dtype
        return dtype
    # Colours and single bits have no sign (PS3.3 C.7.6.3.1.1).
    plain = (instance.SamplesPerPixel or 1) > 1 or instance.BitsAllocated == 1
    return _KINDS[instance.BitsAllocated or 0, 0 if plain else instance.PixelRepresentation or 0]


def read_stored(instance: Instance, out: Array | None = None, notes: list[str] | None = None) -> Array:
    """Stored values of one plane: an image, a frame of one, or a tile of a frame.

    Args:
        instance: as planned; its file is looked at again if its size or modification time changed.
        out: where to put the pixels: contiguous, [rows, columns] (colour: [rows, columns, 3]), of `stored_dtype`. A new
            array if None.
        notes: where to put what a user should be told of the decoding.

    Returns:
        ``out`` or a new array, `stored_dtype`, as in the file (bits above BitsStored included); colours as RGB.

    Raises:
        FileFormatError: the file is gone, changed or cannot be read.
        SeriesRefusedError: the pixels cannot be decoded, or are fewer than Rows x Columns.
    """
    if out is None:
        colour = (instance.SamplesPerPixel or 1) > 1 or instance.PhotometricInterpretation == "PALETTE COLOR"
        shape = (instance.Rows or 0, instance.Columns or 0, *([3] if colour else []))
        out = np.empty(shape, stored_dtype(instance))
    try:
        if _is_plain(instance):
            # Unbuffered: the bytes go from the page cache to the volume's memory in one copy, with the GIL released.
            with open(instance.path, "rb", buffering=0) as file:
                current = current_instance(instance, _seen(file))
                if _is_plain(current):
                    _read_straight(file, current, out)
                    return out
        else:
            current = current_instance(instance)
        _read_frame(current, out, [] if notes is None else notes)
    except OSError as exc:
        raise _unreadable(instance, exc) from exc
    return out


def _seen(file: BinaryIO | Any) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _is_plain(instance: Instance) -> bool:
    """Whether the plane's bytes lie in the file as they lie in memory, but for their order."""
    return bool(
        instance.pixel_offset
        and instance.pixel_length >= 0
        and instance.tile is None
        and instance.TransferSyntaxUID in NATIVE
        and instance.TransferSyntaxUID != DEFLATED
        and (instance.BitsAllocated or 0) >= 8
        # 8-bit pixels in words were swapped in pairs, if they were words (PS3.5 annex D).
        and (instance.TransferSyntaxUID != BIG_ENDIAN or (instance.BitsAllocated or 0) > 8)
        and (instance.SamplesPerPixel or 1) == 1
        and instance.PhotometricInterpretation != "PALETTE COLOR"
        and not needs_care(instance.path)
    )


def current_instance(instance: Instance, seen: tuple[int, int] | None = None) -> Instance:
    """The instance, its header read again if its file's size or time changed.

    Args:
        seen: the file's size and modification time (ns) now; looked up if None.

    Raises:
        FileFormatError: what the plan rests on changed.
        SeriesRefusedError: it has fewer pixels now.
        OSError: the file is gone.
    """
    seen = seen if seen is not None else status(instance.path)
    if seen == (instance.size, instance.mtime_ns):
        return instance
    got = "a file that is no longer DICOM"
    try:
        current = read_header(instance.path)
    except NotTakenError as exc:
        current, got = None, str(exc)
    if current is not None:
        of_file = instance.tile is not None or instance.has_functional_groups or (instance.NumberOfFrames or 1) > 1
        # A file of several planes that was written anew may have other planes; a copy (of no size) was compared.
        changed = ["the file"] if of_file and instance.size >= 0 else []
        changed += [
            name
            for name in (_MUST_HOLD_OF_FILE if of_file else _MUST_HOLD)
            if getattr(current, name) != getattr(instance, name)
        ]
        if not changed:
            current = current if not of_file else _of_file(instance, current)
            if (problem := length_problem(current)) is not None:
                raise _refused(Reason.TRUNCATED, problem, current)
            return current
        got = f"a change of {', '.join(changed)}"
    raise FileFormatError(
        f"{instance.path!r} changed after it was indexed.",
        expected=f"SOP instance {instance.SOPInstanceUID} as it was",
        got=got,
        hint="Index the folder again, then plan and load.",
        details={"path": instance.path},
    )


def _of_file(plane: Instance, current: Instance) -> Instance:
    """The plane, with the pixels' place and kind as another file has them."""
    return msgspec.structs.replace(
        plane,
        path=current.path,
        size=current.size,
        mtime_ns=current.mtime_ns,
        TransferSyntaxUID=current.TransferSyntaxUID,
        PhotometricInterpretation=current.PhotometricInterpretation,
        PlanarConfiguration=current.PlanarConfiguration,
        pixel_offset=current.pixel_offset,
        pixel_length=current.pixel_length,
    )


def _read_straight(file: Any, instance: Instance, out: Array) -> None:
    view = out.reshape(-1).view(np.uint8).data
    file.seek(instance.pixel_offset + instance.frame * len(view))
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            missing = len(view) - done
            raise _refused(Reason.TRUNCATED, f"the file ends {missing} bytes before its pixels do", instance)
        done += count
    if instance.TransferSyntaxUID == BIG_ENDIAN and out.itemsize > 1:
        out.byteswap(inplace=True)


def _read_frame(instance: Instance, out: Array, notes: list[str]) -> None:
    """Any other plane: the frame is made first, then its tile is taken, its palette looked up."""
    frame = _frame_of(instance, notes)
    if instance.tile is not None:
        row, column = instance.tile
        frame = frame[row : row + (instance.Rows or 0), column : column + (instance.Columns or 0)]
    if instance.PhotometricInterpretation == "PALETTE COLOR":
        try:
            frame = apply_palette(frame, read_palette(instance.path, instance.size, instance.mtime_ns))
        except PaletteError as exc:
            raise _refused(Reason.PALETTE_COLOUR, str(exc), instance) from exc
    if frame.shape != out.shape:
        raise _refused(Reason.PIXEL_FORMAT, f"pixels decoded to {frame.shape}, not {out.shape}", instance)
    if frame.dtype.itemsize != out.dtype.itemsize or (frame.dtype.kind == "f") != (out.dtype.kind == "f"):
        raise _refused(Reason.PIXEL_FORMAT, f"pixels decoded to {frame.dtype}, not {out.dtype}", instance)
    native = frame.astype(frame.dtype.newbyteorder("="), copy=False)
    out[...] = native.view(out.dtype) if native.dtype != out.dtype and native.flags.c_contiguous else native


_LAST: Final = threading.local()


def _frame_of(instance: Instance, notes: list[str]) -> Array:
    """A whole frame; the last one of each thread is kept while its tiles are read."""
    layout = layout_of(instance)
    key = (layout.path, layout.size, layout.mtime_ns, instance.frame)
    if instance.tile is not None and getattr(_LAST, "key", None) == key:
        kept: Array = _LAST.frame
        return kept
    try:
        if layout.transfer_syntax in NATIVE:
            frame = _native_frame(layout, instance.frame, instance)
        else:
            decoded = decode(layout, instance.frame)
            frame = decoded.array
            if decoded.note:
                notes.append(decoded.note)
    except LayoutError as exc:
        raise _refused(Reason.PIXEL_FORMAT, str(exc), instance) from exc
    except DecodeError as exc:
        reason = Reason.TRUNCATED if exc.truncated else Reason.TRANSFER_SYNTAX
        raise _refused(reason, f"pixels cannot be decoded: {exc}", instance) from exc
    if instance.tile is not None:
        _LAST.key, _LAST.frame = key, frame
    return frame


def _native_frame(layout: Layout, frame: int, instance: Instance) -> Array:
    bits = frame_bits(layout)
    begin, skip = divmod(frame * bits, 8)
    count = (skip + bits + 7) // 8
    swapped = layout.transfer_syntax == BIG_ENDIAN and layout.allocated <= 8
    with open_pixels(layout) as source:
        # Pairs of bytes change places: what is read begins at an even one.
        odd = begin % 2 if swapped else 0
        source.file.seek(source.offset + begin - odd)
        raw = source.file.read(count + odd + (swapped and (count + odd) % 2))
        words = swapped and (source.vr or _vr_before(source.file, source.offset)) == "OW"
    if len(raw) < count + odd:
        missing = count + odd - len(raw)
        raise _refused(Reason.TRUNCATED, f"the file ends {missing} bytes before its pixels do", instance)
    if words and len(raw) % 2 == 0:
        raw = np.frombuffer(raw, np.uint16).byteswap().tobytes()
    return rgb_of(unpack(raw[odd : odd + count], layout, skip), layout)


def _vr_before(file: BinaryIO, offset: int) -> str:
    """The VR of an element whose value begins at ``offset``, in explicit VR with a long length (PS3.5 §7.1.2)."""
    file.seek(max(offset - 8, 0))
    return file.read(2).decode("ascii", "replace")


def modality_lut(instance: Instance) -> ModalityLut | None:
    """The plane's Modality LUT (PS3.3 C.11.1): stored values in, values out; None when there is none.

    Raises:
        SeriesRefusedError: it contradicts itself.
        FileFormatError: the file cannot be read.
    """
    if not instance.has_modality_lut:
        return None
    try:
        return read_modality_lut(instance.path, instance.size, instance.mtime_ns)
    except ModalityLutError as exc:
        raise _refused(Reason.MODALITY_LUT, str(exc), instance) from exc
    except OSError as exc:
        raise _unreadable(instance, exc) from exc


def _refused(reason: Reason, message: str, instance: Instance) -> SeriesRefusedError:
    return SeriesRefusedError(
        f"{instance.path!r}: {message}.", details={"reason": reason.value, "files": [instance.path]}
    )


def _unreadable(instance: Instance, exc: OSError) -> FileFormatError:
    return FileFormatError(
        f"{instance.path!r} cannot be read.",
        got=exc.strerror or str(exc),
        hint="Index the folder again.",
        details={"path": instance.path},
    )


def fix_bits(pixels: Array, instance: Instance) -> tuple[int, int, bool]:
    """Make stored values what BitsStored, HighBit and PixelRepresentation say (PS3.5 §8.1.1), in place.

    Returns:
        The smallest and the largest value, and whether bits outside those stored had to be dropped.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if instance.TransferSyntaxUID in _CODESTREAMS:
        return low, high, False  # decoders give samples, not the words that they were stored in
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
