"""Files that ``/mrml`` may read and write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slicer_notebook.errors import ArgumentError, LinkRefusedError
from slicer_notebook.gateways.paths import of_file_url, readable

if TYPE_CHECKING:
    from slicer_notebook.commands.gateway import Context

__all__ = ["local_path", "to_read"]

#: Files whose values are, or may be, in others that they name: scenes, headers of volumes, surfaces in parts.
_NAMES_OTHERS: Final = (".mrml", ".mrb", ".nhdr", ".mhd", ".hdr", ".img", ".vtm", ".pvtp", ".pvtu", ".xml")
#: Such a line in the header of a NRRD or MetaImage file whose name says that it has none.
_OTHER_FILE: Final = re.compile(
    rb"^\s*(data ?file\s*:|ElementDataFile\s*=\s*(?!LOCAL\s*$))", re.IGNORECASE | re.MULTILINE
)
#: Bytes of a file in which such a line is looked for: its header.
_HEAD: Final = 1024 * 1024


def local_path(url: str | None, path: str | None) -> str | None:
    """The path in a ``file:`` URL or as it is; None when the URL is another one.

    Raises:
        ArgumentError: neither is given.
    """
    if url is None and path is None:
        raise ArgumentError("The parameter 'url' or 'localfile' is missing.")
    if url is None:
        return path
    return of_file_url(url) if url.lower().startswith("file:") else None


def to_read(context: Context, path: str) -> str:
    """A file that may be read, and that leads to no other one where files are limited to folders.

    Raises:
        LinkRefusedError: it may not.
        PathNotFoundError: there is none.
    """
    found = readable(context, path)
    if context.options.files is not None:
        _check_whole(found)
    return str(found)


def _check_whole(path: Path) -> None:
    leads = path.name.lower().endswith(_NAMES_OTHERS)
    if not leads and path.name.lower().endswith((".nrrd", ".mha")):
        with path.open("rb") as file:
            head = file.read(_HEAD)
        end = re.search(rb"\r?\n\r?\n", head)
        leads = _OTHER_FILE.search(head[: end.start()] if end and head.startswith(b"NRRD") else head) is not None
    if leads:
        raise LinkRefusedError(
            "Where files are limited to folders, none is read that names others.",
            expected="a file that holds all of its data, such as .nrrd, .mha, .nii.gz, .vtp, .seg.nrrd",
            got=path.name,
            details={"action": "refuse"},
        )
