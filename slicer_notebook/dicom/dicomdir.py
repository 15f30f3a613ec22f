"""DICOMDIR: the directory of a DICOM medium, and the files that it names (PS3.10 §8, PS3.3 annex F)."""

from __future__ import annotations

import io
import os
import warnings
from typing import Final

import pydicom
from pydicom.multival import MultiValue

from slicer_notebook.dicom.archives import file_path, shown_path
from slicer_notebook.dicom.scan import scan

__all__ = ["BrokenDirectoryError", "named_files"]

#: What a directory of a medium may be lost in: pydicom raises errors of many kinds on damaged files.
_NO_DIRECTORY: Final = "its directory cannot be read"


class BrokenDirectoryError(Exception):
    """A DICOMDIR that cannot be read; the message says why. Never reaches a user as it is."""


def named_files(path: str) -> tuple[list[str], list[str]]:
    """The files that a DICOMDIR names: those that are there, and those that are not.

    Names are upper case in the directory (PS3.10 §8.2, §8.5), and often lower case or with a version (``;1``) on the
    disk they were copied to: a file of the same name but for those is taken.

    Raises:
        BrokenDirectoryError: no DICOMDIR, or damaged.
    """
    folder = os.path.dirname(file_path(path))
    names = _Folders()
    there: dict[str, None] = {}
    missing: dict[str, None] = {}
    for parts in _referenced(file_path(path)):
        found = names.find(folder, parts)
        if found is None:
            missing[shown_path(os.path.join(folder, *parts))] = None
        else:
            there[shown_path(found)] = None
    return list(there), list(missing)


def _referenced(path: str) -> list[list[str]]:
    """Referenced File ID (0004,1500) of all records, each as the names of folders and file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open(path, "rb") as file:
                data = file.read()
            # pydicom makes do with the records before the end of a file that ends too soon; those after it would be
            # missing without a word.
            scan(lambda count, offset: data[offset : offset + count], len(data), data)
            records = pydicom.dcmread(io.BytesIO(data)).DirectoryRecordSequence
            values = [record.get("ReferencedFileID") for record in records]
        # pydicom raises errors of no common class on damaged files.
        except Exception as exc:
            raise BrokenDirectoryError(f"{_NO_DIRECTORY}: {type(exc).__name__}: {exc}") from exc
    found = []
    for value in values:
        parts = [str(part) for part in value] if isinstance(value, MultiValue | list) else [str(value or "")]
        # Some writers put the whole path in one value.
        parts = [name for part in parts for name in part.replace("/", "\\").split("\\") if name.strip()]
        # A medium's directory names what is below it, nothing else.
        if parts and ".." not in parts:
            found.append(parts)
    return found


class _Folders:
    """Names in folders, whatever their case; each folder is listed once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def find(self, folder: str, parts: list[str]) -> str | None:
        path = folder
        for part in parts:
            name = self._names(path).get(_plain(part))
            if name is None:
                return None
            path = os.path.join(path, name)
        return path

    def _names(self, folder: str) -> dict[str, str]:
        known = self._known.get(folder)
        if known is None:
            try:
                listed = sorted(os.listdir(folder), reverse=True)
            except OSError:
                listed = []
            # Where several names are alike, the first in order counts, upper case before lower.
            known = self._known[folder] = {_plain(name): name for name in listed}
        return known


def _plain(name: str) -> str:
    """Without case, version and the dot of an empty extension (ISO 9660)."""
    return name.strip().upper().split(";")[0].rstrip(".")
