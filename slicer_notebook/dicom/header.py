"""One file's header as an `Instance`: the fast scanner first, pydicom where the scanner gives up."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from slicer_notebook.dicom.private import private_facts
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.scan import CHUNK, Scan, Unscannable, looks_like_dicom, scan
from slicer_notebook.dicom.tags import (
    ATTRIBUTES,
    MODALITY_LUT_SEQUENCE,
    PER_FRAME_FUNCTIONAL_GROUPS,
    PIXEL_TAGS,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
    is_private_wanted,
)
from slicer_notebook.dicom.values import fields_of

__all__ = ["NotTakenError", "read_header"]

_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"


class NotTakenError(Exception):
    """A file that does not become an `Instance`; the message is the reason for `Skipped`. Never reaches a user.

    Attributes:
        is_dicom: False when the file is not DICOM at all.
    """

    def __init__(self, reason: str, *, is_dicom: bool) -> None:
        super().__init__(reason)
        self.is_dicom = is_dicom


def _instance(found: Scan, path: str, status: os.stat_result) -> Instance:
    order = ">" if found.big_endian else "<"
    if found.media_class == _MEDIA_DIRECTORY:
        raise NotTakenError("DICOMDIR: its files are found by themselves", is_dicom=True)
    values = fields_of(found.elements, found.other_vrs, order)
    missing = [name for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID") if not values.get(name)]
    if missing:
        raise NotTakenError(f"DICOM without {', '.join(missing)}", is_dicom=True)
    values.update(private_facts(found.elements, values, order))
    return Instance(
        **values,
        TransferSyntaxUID=found.transfer_syntax,
        path=path,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        pixel_keyword=PIXEL_TAGS.get(found.pixel_tag),
        pixel_offset=found.pixel_offset,
        pixel_length=found.pixel_length,
        has_modality_lut=MODALITY_LUT_SEQUENCE in found.seen or MODALITY_LUT_SEQUENCE in found.elements,
        has_functional_groups=bool(found.seen & {SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS}),
    )


def _scan_with_pydicom(path: str) -> Scan:
    """The same as `scan` for files it does not know: no prefix, no meta information, VRs that are not as declared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=False, defer_size=1 << 16, force=True)
            return _scan_of_dataset(dataset)
        except NotTakenError:
            raise
        except (InvalidDicomError, EOFError, OSError) as exc:
            raise NotTakenError(f"not readable as DICOM: {exc}", is_dicom=False) from exc
        # pydicom raises many kinds of error on damaged files, none of a common class of its own.
        except Exception as exc:
            raise NotTakenError(f"corrupt: {type(exc).__name__}: {exc}", is_dicom=True) from exc


def _scan_of_dataset(dataset: pydicom.Dataset) -> Scan:
    meta = getattr(dataset, "file_meta", None) or pydicom.Dataset()
    syntax = str(meta.get("TransferSyntaxUID", ""))
    little = bool(dataset.original_encoding[1]) if dataset.original_encoding[1] is not None else True
    if "SOPClassUID" not in dataset and "SOPInstanceUID" not in dataset and "MediaStorageSOPClassUID" not in meta:
        raise NotTakenError("not DICOM", is_dicom=False)
    if not syntax:
        implicit = dataset.original_encoding[0]
        syntax = "1.2.840.10008.1.2" if implicit or implicit is None else "1.2.840.10008.1.2.1"
        if not little:
            syntax = "1.2.840.10008.1.2.2"
    elements: dict[int, bytes] = {}
    seen: set[int] = set()
    pixel_tag = pixel_length = 0
    for key in list(dataset.keys()):
        tag = int(key)
        raw = dataset.get_item(key)
        if tag in PIXEL_TAGS:
            pixel_tag = tag
            pixel_length = -1 if getattr(raw, "is_undefined_length", False) else int(getattr(raw, "length", 0) or 0)
            continue
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
            if len(raw.value) <= 1 << 16 and raw.VR != "SQ":
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
    return Scan(syntax, media, kept, {}, seen, pixel_tag, 0, pixel_length, not little)


def read_header(path: str | Path) -> Instance:
    """Read one file's header.

    Returns:
        The instance, with ``path`` as given and the place of its pixels in the file.

    Raises:
        NotTakenError: not DICOM, corrupt, without UIDs, a DICOMDIR, or not readable; the message says which.
    """
    name = os.fspath(path)
    try:
        # Before it is opened: opening a pipe waits for somebody to write into it.
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise NotTakenError("not a regular file", is_dicom=False)
        # Unbuffered: each read below is one system call for exactly what is needed.
        with open(name, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            head = file.read(CHUNK)
            if not head:
                raise NotTakenError("empty file", is_dicom=False)
            if not looks_like_dicom(head[:132]):
                reason = "a ZIP archive: unpack it first" if head.startswith(b"PK\3\4") else "not DICOM"
                raise NotTakenError(reason, is_dicom=False)

            def read(count: int, offset: int) -> bytes:
                file.seek(offset)
                return file.read(count)

            try:
                found = scan(read, status.st_size, head)
            except Unscannable:
                found = _scan_with_pydicom(name)
    except OSError as exc:
        raise NotTakenError(f"not readable: {exc.strerror or exc}", is_dicom=False) from exc
    return _instance(found, name, status)
