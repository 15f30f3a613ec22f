"""What OsiriX's XML-RPC says of a study, a series or an image: a struct of text, key by key."""

from __future__ import annotations

import datetime
from typing import Any, Final

from slicer_notebook.dicom.osirix.entities import IMAGE, SERIES, STUDY
from slicer_notebook.dicom.osirix.rows import ImageRow, Row, SeriesRow, StudyRow

__all__ = ["element", "text_of"]

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ENTITY: Final = {StudyRow: STUDY, SeriesRow: SERIES, ImageRow: IMAGE}


def element(row: Row) -> dict[str, str]:
    """Key to text, as OsiriX writes it: dates ``2010-05-12 14:22:11 +0000``; what is absent has no key."""
    found: dict[str, str] = {}
    for attribute in _ENTITY[type(row)].attributes.values():
        value = attribute.get(row) if attribute.shown else None
        if value is not None and value != "":
            found[attribute.key] = text_of(value, attribute.kind)
    return found


def text_of(value: Any, kind: str) -> str:
    """A key's value as text."""
    if kind == "date":
        # Before 1970, too, which fromtimestamp does not know everywhere.
        return f"{_EPOCH + datetime.timedelta(seconds=value):%Y-%m-%d %H:%M:%S} +0000"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)
