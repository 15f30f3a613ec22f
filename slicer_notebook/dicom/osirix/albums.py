"""Albums: predicates about studies, by name. Those that OsiriX comes with, as far as the index can tell, and one's own.

A person's are in ``albums.toml`` in the data folder (`folders.data_folder`)::

    [albums]
    "Chest" = 'modality == "CT" AND studyName CONTAINS[c] "chest"'
"""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Final

from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.dicom.nspredicate import parse
from slicer_notebook.dicom.nspredicate.tree import And, Comparison, Constant, Date, KeyPath, Node, Truth
from slicer_notebook.errors import FileFormatError

__all__ = ["FILE", "album", "names"]

FILE: Final = "albums.toml"
#: Bytes of the file.
_MOST: Final = 1 << 20
_HOUR: Final = 3600.0


def names(path: Path | None = None) -> list[str]:
    """All albums that there are. Raises as `album`."""
    return [*_usual(), *(name for name in _own(path) if name not in _usual())]


def album(name: str, path: Path | None = None) -> Node | None:
    """The predicate of an album, about the table Study; None: there is none of that name (case counts).

    Args:
        path: the file of a person's albums, if it is not in the data folder.

    Raises:
        FileFormatError: the file cannot be read, or holds something else than albums.
        ArgumentError: its predicate is none.
    """
    own = _own(path).get(name)
    return parse(own) if own is not None else _usual().get(name)


def _own(path: Path | None) -> dict[str, str]:
    file = path if path is not None else data_folder() / FILE
    try:
        if not file.exists():
            return {}
        if file.stat().st_size > _MOST:
            raise ValueError(f"more than {_MOST} bytes")
        found = tomllib.loads(file.read_text("utf-8")).get("albums", {})
    except (OSError, ValueError) as exc:
        raise FileFormatError(
            f"The albums in {str(file)!r} cannot be read.", expected="TOML with a table [albums]", got=str(exc)
        ) from exc
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise FileFormatError(
            f"The albums in {str(file)!r} cannot be read.",
            expected='"Name" = "predicate" in [albums]',
            got="other values",
        )
    return found


def _usual() -> dict[str, Node]:
    """OsiriX's own. "Interesting Cases" and "Cases with comments" are not among them: nobody keeps that here."""
    now = datetime.datetime.now().astimezone()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = (today - datetime.timedelta(hours=12)).replace(hour=0)

    def since(key: str, moment: datetime.datetime) -> Node:
        return Comparison(KeyPath((key,)), ">=", Constant(Date(moment.timestamp())))

    def of(modality: str, *parts: Node) -> Node:
        return And((Comparison(KeyPath(("modality",)), "==", Constant(modality)), *parts))

    before = Comparison(KeyPath(("date",)), "<", Constant(Date(today.timestamp())))
    return {
        "Database": Truth(True),
        "Just Added (last hour)": since("dateAdded", now - datetime.timedelta(seconds=_HOUR)),
        "Today": since("date", today),
        "Today CT": of("CT", since("date", today)),
        "Today MR": of("MR", since("date", today)),
        "Yesterday": And((since("date", yesterday), before)),
        "Yesterday CT": of("CT", since("date", yesterday), before),
        "Yesterday MR": of("MR", since("date", yesterday), before),
    }
