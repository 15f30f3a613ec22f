"""Any attribute of an indexed file, read when it is asked for: data sets without pixels, and plain values of them."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable
from typing import Any, Final

import pydicom
from pydicom.datadict import keyword_dict, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import IS, DSdecimal, DSfloat, PersonName

from slicer_notebook.dicom.archives import open_binary
from slicer_notebook.errors import ArgumentError, FileFormatError

__all__ = ["plain_value", "plain_values", "read_dataset", "tag_of"]

_TAG: Final = re.compile(r"\(?([0-9a-fA-F]{4}),? ?([0-9a-fA-F]{4})\)?")


def read_dataset(path: str, tags: Iterable[int] | None = None) -> pydicom.Dataset:
    """A file's data set, without pixels.

    Args:
        path: of a file, or of a member of an archive.
        tags: of the elements to read; all if None.

    Raises:
        FileFormatError: the file is gone or cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_binary(path) as file:
                return pydicom.dcmread(
                    file,
                    stop_before_pixels=True,
                    force=True,
                    specific_tags=None if tags is None else list(tags),
                )
        except OSError as exc:
            got = exc.strerror or str(exc)
            raise _unreadable(path, got) from exc
        # pydicom raises errors of no common class on damaged files.
        except Exception as exc:
            raise _unreadable(path, f"{type(exc).__name__}: {exc}") from exc


def _unreadable(path: str, got: str) -> FileFormatError:
    return FileFormatError(
        f"The header of {path!r} cannot be read.",
        expected="the DICOM file that was indexed",
        got=got,
        hint="Index the folder again.",
        details={"path": path},
    )


def tag_of(name: str) -> int:
    """The tag that a DICOM keyword, or a tag in hexadecimal digits (``0019,100C``), stands for.

    Raises:
        ArgumentError: neither.
    """
    tag = tag_for_keyword(name)
    if tag is not None:
        return tag
    written = _TAG.fullmatch(name.strip())
    if written is not None:
        return int(written[1] + written[2], 16)
    close = difflib.get_close_matches(name, keyword_dict, n=1)
    raise ArgumentError(
        f"There is no DICOM attribute {name!r}.",
        expected="a keyword such as 'SliceThickness', or a tag such as '0018,0050'",
        got=name,
        hint=f"Did you mean {close[0]!r}?" if close else "See PS3.6 for the keywords.",
    )


def plain_values(dataset: pydicom.Dataset, names: Iterable[str]) -> dict[str, Any]:
    """Name -> value of some attributes at the top level; None where it is absent or empty."""
    found = {}
    for name in names:
        element = dataset.get(tag_of(name))
        found[name] = None if element is None else plain_value(element)
    return found


def plain_value(element: DataElement) -> Any:
    """An element's value as ``str``, ``int``, ``float``, ``bytes``, a list of those, or None when empty.

    A sequence is a list of dictionaries, by keyword (by ``ggggeeee`` where there is none).
    """
    value = element.value
    if isinstance(value, Sequence):
        return [
            {keyword_for_tag(inner.tag) or f"{int(inner.tag):08X}": plain_value(inner) for inner in item}
            for item in value
        ]
    if isinstance(value, MultiValue | list | tuple):
        return [_plain(part) for part in value] or None
    plain = _plain(value)
    return None if plain in ("", b"") else plain


def _plain(value: Any) -> Any:
    if isinstance(value, DSfloat | DSdecimal):
        return float(value)
    if isinstance(value, IS):
        return int(value)
    if isinstance(value, PersonName):
        return str(value)
    if isinstance(value, str):
        return str(value).strip("\0 ")
    return value
