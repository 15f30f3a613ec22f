"""The table of `slicer-notebook pacs find`: on a terminal the columns that fit, in a pipe all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slicer_notebook.terminal import err, out

__all__ = ["print_answers"]

Record = Mapping[str, Any]

#: Columns of a table that no terminal shows.
_PIPE_WIDTH: Final = 320
#: Columns of a text on a terminal, at most, before it is broken.
_WIDEST: Final = 32
#: Blanks between two columns.
_GAP: Final = 2

#: What a terminal shows first, as far as there is room: keyword -> heading.
_FIRST: Final = {
    "PatientName": "Patient",
    "PatientID": "ID",
    "StudyDate": "Date",
    "ModalitiesInStudy": "Modality",
    "SeriesNumber": "No.",
    "Modality": "Modality",
    "SeriesDescription": "Description",
    "InstanceNumber": "No.",
    "NumberOfPatientRelatedStudies": "Studies",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfStudyRelatedInstances": "Images",
    "NumberOfSeriesRelatedInstances": "Images",
    "StudyDescription": "Description",
    "AccessionNumber": "Accession",
    "BodyPartExamined": "Body part",
}
#: Of no use to a person.
_NEVER: Final = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle", "RetrieveURL"})


def print_answers(records: Sequence[Record], level: str, asked: Collection[str]) -> None:
    """Print answers as a table.

    Args:
        level: of the question.
        asked: attributes that were asked for by their names: they are shown first, and where they are empty, too.
    """
    names = [
        name
        for name in dict.fromkeys(name for record in records for name in record)
        if name not in _NEVER and (name in asked or any(record.get(name) is not None for record in records))
    ]
    console = out()
    if console.is_terminal:
        _print_fitting(console, records, names, level, asked)
    else:
        console.width = _PIPE_WIDTH
        _print(console, records, {name: name for name in names})


def _print_fitting(
    console: Console, records: Sequence[Record], names: Sequence[str], level: str, asked: Collection[str]
) -> None:
    own = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}.get(level, "")
    order = dict.fromkeys([*asked, *_FIRST, own, *names])
    headings: dict[str, str] = {}
    left = console.width
    for name in (each for each in order if each in names):
        heading = _FIRST.get(name, name)
        heading = name if heading in headings.values() else heading
        width = max(cell_len(heading), min(max(cell_len(_shown(record.get(name))) for record in records), _most(name)))
        if not headings or width + _GAP <= left:
            headings[name] = heading
            left -= width + _GAP
    _print(console, records, headings)
    if len(headings) < len(names):
        words = f"{len(names) - len(headings)} further attributes do not fit; --json has all."
        err().print(words, markup=False, style="dim")


def _most(name: str) -> int:
    # A UID that is broken cannot be copied.
    return 64 if name.endswith("UID") else _WIDEST


def _print(console: Console, records: Sequence[Record], headings: Mapping[str, str]) -> None:
    table = Table(box=None, pad_edge=False)
    for name, heading in headings.items():
        number = all(isinstance(record.get(name), int | float | None) for record in records)
        most = _most(name) if console.is_terminal else None
        table.add_column(heading, overflow="fold", max_width=most, justify="right" if number else "left")
    for record in records:
        table.add_row(*(Text(_shown(record.get(name))) for name in headings))
    console.print(table)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)
