"""One file's header as an `Instance`: the fast scanner first, pydicom where the scanner gives up."""

from __future__ import annotations

import os
import stat
import struct
import warnings
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from slicer_notebook.dicom.archives import ArchiveError, archive_of, file_path, needs_care, open_binary, status
from slicer_notebook.dicom.attributes import plain_value
from slicer_notebook.dicom.private import private_facts
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.scan import (
    CHUNK,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    MAX_VALUE,
    Reader,
    Scan,
    Unscannable,
    looks_like_dicom,
    scan,
)
from slicer_notebook.dicom.tags import (
    ATTRIBUTES,
    MODALITY_LUT_SEQUENCE,
    PER_FRAME_FUNCTIONAL_GROUPS,
    PIXEL_TAGS,
    REAL_WORLD_VALUE_MAPPING_SEQUENCE,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
    WANTED,
    is_private_wanted,
)
from slicer_notebook.dicom.values import CRITICAL, fields_of

__all__ = ["DirectoryFileError", "NotTakenError", "read_header", "read_header_in_hand"]

_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_ARCHIVE: Final = "a ZIP archive inside another, or whose name does not end in .zip: unpack it first, or name it"


class NotTakenError(Exception):
    """A file that does not become an `Instance`; the message is the reason for `Skipped`. Never reaches a user.

    Attributes:
        is_dicom: False when the file is not DICOM at all.
    """

    def __init__(self, reason: str, *, is_dicom: bool) -> None:
        super().__init__(reason)
        self.is_dicom = is_dicom


class DirectoryFileError(NotTakenError):
    """A DICOMDIR: DICOM, and no instance."""

    def __init__(self) -> None:
        super().__init__("DICOMDIR", is_dicom=True)


def _instance(found: Scan, path: str, state: tuple[int, int]) -> Instance:
    order = ">" if found.big_endian else "<"
    if found.media_class == _MEDIA_DIRECTORY:
        raise DirectoryFileError
    implicit = found.transfer_syntax == IMPLICIT_LITTLE
    values = fields_of(found.elements, found.other_vrs, order, implicit=implicit) | found.items
    missing = [name for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID") if not values.get(name)]
    if missing:
        raise NotTakenError(f"DICOM without {', '.join(missing)}", is_dicom=True)
    values.update(private_facts(found.elements, values, order))
    too_long = [ATTRIBUTES[tag].keyword for tag in found.seen if tag in ATTRIBUTES]
    if too_long and (lost := [keyword for keyword in too_long if keyword in CRITICAL]):
        values["unreadable"] = [*values.get("unreadable", ()), *lost]
    return Instance(
        **values,
        TransferSyntaxUID=found.transfer_syntax,
        path=path,
        size=state[0],
        mtime_ns=state[1],
        pixel_keyword=PIXEL_TAGS.get(found.pixel_tag),
        pixel_offset=found.pixel_offset,
        pixel_length=found.pixel_length,
        has_modality_lut=MODALITY_LUT_SEQUENCE in found.seen,
        has_real_world_values=REAL_WORLD_VALUE_MAPPING_SEQUENCE in found.seen,
        has_functional_groups=bool(found.seen & {SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS}),
    )


def _scan_with_pydicom(path: str) -> Scan:
    """The same as `scan` for files it does not know: no prefix, no meta information, VRs that are not as declared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if needs_care(path):
                with open_binary(path) as file:
                    return _scan_of_dataset(pydicom.dcmread(file, force=True))
            return _scan_of_dataset(pydicom.dcmread(path, defer_size=1 << 16, force=True))
        except NotTakenError:
            raise
        except (InvalidDicomError, EOFError, OSError) as exc:
            raise NotTakenError(f"not readable as DICOM: {exc}", is_dicom=False) from exc
        # pydicom raises many kinds of error on damaged files, none of a common class of its own.
        except Exception as exc:
            raise NotTakenError(f"corrupt: {type(exc).__name__}: {exc}", is_dicom=True) from exc


def _items_of(dataset: pydicom.Dataset) -> dict[str, list[dict[str, Any]]]:
    """Keyword -> items of the wanted sequences. To be asked last: pydicom decodes other elements with a sequence."""
    names = [attribute.keyword for attribute in ATTRIBUTES.values() if attribute.kind == "items"]
    values = {name: plain_value(dataset[name]) for name in names if name in dataset}
    return {name: value for name, value in values.items() if isinstance(value, list) and value}


def _length_of(element: Any) -> int:
    """Bytes of a pixel data element's value; -1 when encapsulated. pydicom may have made a value of it already."""
    if getattr(element, "is_undefined_length", False):
        return -1
    length = getattr(element, "length", None)
    return int(length) if length is not None else len(element.value or b"")


def _scan_of_dataset(dataset: pydicom.Dataset) -> Scan:
    meta = getattr(dataset, "file_meta", None) or pydicom.Dataset()
    syntax = str(meta.get("TransferSyntaxUID", ""))
    little = bool(dataset.original_encoding[1]) if dataset.original_encoding[1] is not None else True
    if "SOPClassUID" not in dataset and "SOPInstanceUID" not in dataset and "MediaStorageSOPClassUID" not in meta:
        raise NotTakenError("not DICOM", is_dicom=False)
    if not little:
        syntax = EXPLICIT_BIG  # whatever it says: so the data set was read, and so are its pixels
    elif not syntax:
        implicit = dataset.original_encoding[0]
        syntax = "1.2.840.10008.1.2" if implicit or implicit is None else "1.2.840.10008.1.2.1"
    elements: dict[int, bytes] = {}
    seen: set[int] = set()
    pixel_tag = pixel_length = 0
    for key in list(dataset.keys()):
        tag = int(key)
        raw = dataset.get_item(key)
        if tag in PIXEL_TAGS:
            pixel_tag = tag
            pixel_length = _length_of(raw)
            continue
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
            if len(raw.value) <= MAX_VALUE and WANTED.get(tag) != b"SQ" and raw.VR != "SQ":
                elements[tag] = raw.value
            else:
                seen.add(tag)
        else:
            seen.add(tag)
    if SPECIFIC_CHARACTER_SET in seen:
        # pydicom reads this element at once, to know how to decode the rest.
        value = dataset.get("SpecificCharacterSet") or ""
        terms = list(value) if isinstance(value, MultiValue) else [value]
        elements[SPECIFIC_CHARACTER_SET] = "\\".join(str(term) for term in terms).encode("ascii", "replace")
    kept = {
        tag: value
        for tag, value in elements.items()
        if tag in ATTRIBUTES or tag == SPECIFIC_CHARACTER_SET or is_private_wanted(tag >> 16, tag & 0xFFFF)
    }
    media = str(meta.get("MediaStorageSOPClassUID", ""))
    return Scan(syntax, media, kept, {}, seen, pixel_tag, 0, pixel_length, not little, _items_of(dataset))


def read_header(path: str | Path) -> Instance:
    """Read one file's header; also a member's of a ZIP archive, by its virtual path (`archives`).

    Returns:
        The instance, with ``path`` as given and the place of its pixels in the file.

    Raises:
        NotTakenError: not DICOM, corrupt, without UIDs, a DICOMDIR, or not readable; the message says which.
    """
    name = os.fspath(path)
    try:
        if needs_care(name):
            return _read_through_archives(name)
        # Not blocking: opening a pipe would wait for somebody to write into it.
        handle = os.open(name, _OPEN_FLAGS)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise NotTakenError("not a regular file", is_dicom=False)

            def read(count: int, offset: int) -> bytes:
                os.lseek(handle, offset, os.SEEK_SET)
                return os.read(handle, count)

            # One system call for each piece that is needed.
            return _read(name, (state.st_size, state.st_mtime_ns), os.read(handle, CHUNK), read)
        finally:
            os.close(handle)
    except OSError as exc:
        raise NotTakenError(f"not readable: {exc.strerror or exc}", is_dicom=False) from exc


#: Windows has no blocking pipes in its file system, and text files instead.
_OPEN_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
)


def _read_through_archives(name: str) -> Instance:
    if archive_of(name) is None and not stat.S_ISREG(os.stat(file_path(name)).st_mode):
        raise NotTakenError("not a regular file", is_dicom=False)
    state = status(name)
    try:
        with open_binary(name) as file:

            def read(count: int, offset: int) -> bytes:
                file.seek(offset)
                return file.read(count)

            return _read(name, state, file.read(CHUNK), read)
    except ArchiveError as exc:
        raise NotTakenError(exc.reason, is_dicom=False) from exc


def read_header_in_hand(path: str, data: bytes | bytearray, mtime_ns: int) -> Instance:
    """As `read_header`, of a file whose bytes are in memory as well.

    Raises:
        NotTakenError: as `read_header`.
    """
    view = memoryview(data)
    return _read(path, (len(data), mtime_ns), bytes(view[:CHUNK]), lambda count, at: bytes(view[at : at + count]))


def _check_end(found: Scan, size: int, read: Reader) -> None:
    """Elements behind the pixels that belong before them (PS3.5 §7.1): pydicom takes them in any order.

    Raises:
        Unscannable: there are some.
    """
    end = found.pixel_offset + found.pixel_length
    if not found.pixel_offset or found.pixel_length < 0 or end + 8 > size:
        return
    tag = read(4, end)
    group, element = struct.unpack(">HH" if found.big_endian else "<HH", tag) if len(tag) == 4 else (0xFFFF, 0)
    if (group << 16 | element) <= found.pixel_tag:
        raise Unscannable("elements out of order")


def _read(name: str, state: tuple[int, int], head: bytes, read: Reader) -> Instance:
    if not head:
        raise NotTakenError("empty file", is_dicom=False)
    if not looks_like_dicom(head[:132]):
        raise NotTakenError(_ARCHIVE if head.startswith(b"PK\3\4") else "not DICOM", is_dicom=False)
    try:
        found = scan(read, state[0], head)
        _check_end(found, state[0], read)
    except Unscannable:
        found = _scan_with_pydicom(name)
    return _instance(found, name, state)
