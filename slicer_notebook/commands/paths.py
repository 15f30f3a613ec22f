"""Files that other programs may name: in the folders that were given, or anywhere when none were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from slicer_notebook.errors import ArgumentError, LinkRefusedError, PathNotFoundError
from slicer_notebook.links.whole import HEAD_BYTES, is_hdf5, leads_elsewhere

if TYPE_CHECKING:
    from slicer_notebook.commands.gateway import Options

__all__ = ["NAMING_FILES", "of_file_url", "readable", "self_contained", "writable"]

#: Options of readers and writers that name further files, which nobody has looked at.
NAMING_FILES: Final = frozenset(
    {"fileName", "fileNames", "fileNamesList", "filename", "filenames", "path", "url", "uri", "directory"}
)


def readable(options: Options, path: str) -> Path:
    """An existing file or folder that may be read; its real path, links resolved.

    Raises:
        LinkRefusedError: it is not in a folder that was given.
        PathNotFoundError: there is none.
        ArgumentError: no absolute path.
    """
    # Whether it exists is nobody's business who may not read it.
    real = _allowed(options, path)
    if not real.exists():
        raise PathNotFoundError("There is no such file where Slicer runs.", got=path)
    return real


def self_contained(options: Options, path: str) -> Path:
    """As `readable`; and where files are limited to folders, a file that leads to no other one.

    Raises:
        LinkRefusedError: it is not in a folder that was given, or it leads to other files.
        PathNotFoundError: there is none.
        ArgumentError: no absolute path.
    """
    real = readable(options, path)
    head = _head(real) if options.files is not None else b""
    if options.files is not None and (leads_elsewhere(real.name, head) or is_hdf5(head)):
        raise LinkRefusedError(
            "Where files are limited to folders, none is read that names others.",
            expected="a file that holds all of its data, such as .nrrd, .mha, .nii.gz, .vtp, .tfm",
            got=real.name,
            details={"action": "refuse"},
        )
    return real


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def writable(options: Options, path: str) -> Path:
    """Where a file may be written; its real path, links of its folders resolved. Whether files may be written at all is
    ``options.allow``.

    Raises:
        LinkRefusedError: it is not in a folder that was given, or writing is off.
        PathNotFoundError: its folder does not exist.
        ArgumentError: no absolute path.
    """
    if "write" not in options.allow:
        raise LinkRefusedError(
            "Writing files is off.",
            hint="slicer-notebook serve --allow write, or gateways.start(..., allow=['write'])",
            details={"action": "refuse"},
        )
    real = _allowed(options, path)
    if not real.parent.is_dir():
        raise PathNotFoundError("There is no such folder where Slicer runs.", got=str(Path(path).parent))
    return real


def of_file_url(url: str) -> str:
    """The path that a ``file:`` URL names on this machine (RFC 8089).

    Raises:
        ArgumentError: another scheme, or another machine's.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() != "file" or parts.netloc.lower() not in ("", "localhost") or parts.query:
        raise ArgumentError("That names no file of this machine.", expected="file:///...", got=parts.scheme or "a path")
    return unquote(parts.path, errors="strict")


def _allowed(options: Options, path: str) -> Path:
    if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):
        raise ArgumentError("That is no path.", expected="an absolute path where Slicer runs", got=repr(path)[:200])
    real = Path(os.path.realpath(path))
    folders = options.files
    if folders is not None and not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        raise LinkRefusedError(
            "That file is in no folder that other programs may use.",
            hint="slicer-notebook serve --files FOLDER names one",
            details={"action": "refuse"},
        )
    return real
