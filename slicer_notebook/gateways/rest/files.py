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
#: The line of a NRRD's header that names other files; it is read as NRRD whatever its name ends in.
_NRRD_OTHER: Final = re.compile(rb"^[ \t]*data ?file[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NRRD_END: Final = re.compile(rb"\r?\n\r?\n")
#: The line of a MetaImage's header that says where the values are.
_META: Final = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
#: Bytes of a file in which its header has to end.
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
    if path.name.lower().endswith(_NAMES_OTHERS) or (path.is_file() and _leads(path)):
        raise LinkRefusedError(
            "Where files are limited to folders, none is read that names others.",
            expected="a file that holds all of its data, such as .nrrd, .mha, .nii.gz, .vtp, .seg.nrrd",
            got=path.name,
            details={"action": "refuse"},
        )


def _leads(path: Path) -> bool:
    """Whether it may lead to other files by what is in it; one whose header has no end in sight may."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"NRRD"):
        end = _NRRD_END.search(head)
        return end is None or _NRRD_OTHER.search(head[: end.start()]) is not None
    if path.name.lower().endswith(".mha"):
        where = _META.search(head)
        return where is None or where[1].strip().lower() != b"local"
    return False
