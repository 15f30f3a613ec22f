"""Rows of series and studies, made from their files' headers. `database` keeps them; queries are in `query`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom import catalogue
from slicer_notebook.dicom.records import Instance, Series, SeriesAttributes, Study, StudyAttributes
from slicer_notebook.dicom.text import fold

__all__ = [
    "IN_TEXT",
    "SERIES_KEYWORDS",
    "STUDY_KEYWORDS",
    "decode_instance",
    "decode_series",
    "decode_study",
    "refresh",
    "searched",
    "trigrams",
]

STUDY_KEYWORDS: Final = (
    *StudyAttributes.__struct_fields__,
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "AnatomicRegionsInStudyCodeSequence",
)
#: a series' own; those of its study are in the study's row
SERIES_KEYWORDS: Final = tuple(
    name for name in SeriesAttributes.__struct_fields__ if name not in StudyAttributes.__struct_fields__
)
#: What free text is looked for in: a study's own attributes, and the words of its series' (no UIDs, dates, numbers).
_WORDS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "SQ", "ST", "UC", "UT"})


def _vr(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return dictionary_VR(tag) if tag is not None else ""


IN_TEXT: Final = (*StudyAttributes.__struct_fields__, *(name for name in SERIES_KEYWORDS if _vr(name) in _WORDS))
_NAMES: Final = frozenset(name for name in (*STUDY_KEYWORDS, *SERIES_KEYWORDS) if _vr(name) == "PN")

_encode: Final = msgspec.msgpack.Encoder().encode
decode_instance: Final = msgspec.msgpack.Decoder(Instance).decode
decode_series: Final = msgspec.msgpack.Decoder(Series).decode
decode_study: Final = msgspec.msgpack.Decoder(Study).decode


def searched(keyword: str, value: Any) -> str | None:
    """An attribute as searched in: folded, values of a list joined by a backslash, a name's groups between ``=``."""
    if value is None:
        return None
    text = "\\".join(_words(value))
    folded = fold(text)
    return f"={folded}=" if keyword in _NAMES else folded


def _words(value: Any) -> list[str]:
    """An attribute's values, and those in a sequence's items, as text."""
    if isinstance(value, list):
        return [word for part in value for word in _words(part)]
    if isinstance(value, dict):
        return [word for part in value.values() for word in _words(part)]
    return [] if value is None else [str(value)]


def trigrams(text: str) -> list[str]:
    """All pieces of three characters: what the text index of studies is made of."""
    return list(dict.fromkeys(text[at : at + 3] for at in range(len(text) - 2)))


def refresh(connection: sqlite3.Connection, touched: set[int]) -> None:
    """Bring series (by number) and their studies up to date with the files there are."""
    studies: set[int] = set()
    for number in touched:
        studies.add(_refresh_series(connection, number))
    key = catalogue.secret(connection) if studies else b""
    for number in studies:
        _refresh_study(connection, number, key)


def _refresh_series(connection: sqlite3.Connection, number: int) -> int:
    """Gives the study's number."""
    (study,) = connection.execute("SELECT study_id FROM series WHERE id = ?", (number,)).fetchone()
    (count,) = connection.execute("SELECT COUNT(DISTINCT sop_uid) FROM files WHERE series_id = ?", (number,)).fetchone()
    if not count:
        for table in ("series_records", "series"):
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
        return int(study)
    (blob,) = connection.execute(
        "SELECT record FROM records WHERE id = "
        "(SELECT id FROM files WHERE series_id = ? ORDER BY sop_uid, path LIMIT 1)",
        (number,),
    ).fetchone()
    first = decode_instance(blob)
    values = {name: getattr(first, name) for name in SeriesAttributes.__struct_fields__}
    record = Series(**values, NumberOfSeriesRelatedInstances=count)
    row = {
        "number": record.SeriesNumber,
        **{name: searched(name, values[name]) for name in SERIES_KEYWORDS if name != "SeriesInstanceUID"},
    }
    _update(connection, "series", number, row)
    text = _text(record)
    connection.execute("INSERT OR REPLACE INTO series_records VALUES (?, ?, ?)", (number, _encode(record), text))
    return int(study)


def _refresh_study(connection: sqlite3.Connection, number: int, key: bytes) -> None:
    members = [
        decode_series(blob)
        for (blob,) in connection.execute(
            "SELECT r.record FROM series s JOIN series_records r ON r.id = s.id WHERE s.study_id = ? "
            "ORDER BY s.number, s.SeriesInstanceUID",
            (number,),
        )
    ]
    if not members:
        _write_text(connection, number, None)
        for table in ("study_lines", "study_records", "studies"):
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
        return
    values = {name: getattr(members[0], name) for name in StudyAttributes.__struct_fields__}
    record = Study(
        **values,
        ModalitiesInStudy=sorted({member.Modality for member in members if member.Modality}),
        SOPClassesInStudy=sorted(
            uid
            for (uid,) in connection.execute(
                "SELECT DISTINCT f.sop_class FROM series s JOIN files f ON f.series_id = s.id WHERE s.study_id = ?",
                (number,),
            )
        ),
        AnatomicRegionsInStudyCodeSequence=_distinct(
            item for member in members for item in member.AnatomicRegionSequence or []
        ),
        NumberOfStudyRelatedSeries=len(members),
        NumberOfStudyRelatedInstances=sum(member.NumberOfSeriesRelatedInstances for member in members),
    )
    row = {name: searched(name, getattr(record, name)) for name in STUDY_KEYWORDS if name != "StudyInstanceUID"}
    _update(connection, "studies", number, row)
    connection.execute("INSERT OR REPLACE INTO study_records VALUES (?, ?)", (number, _encode(record)))
    row_text = catalogue.line(record, members, key)
    connection.execute("INSERT OR REPLACE INTO study_lines VALUES (?, ?)", (number, row_text))
    # Between backslashes, so that a modality of two letters is a piece of three.
    lines = {"\\" + "\\".join(fold(modality) for modality in record.ModalitiesInStudy) + "\\": None}
    for member in members:
        lines.update(dict.fromkeys(_text(member).split("\n")))
    _write_text(connection, number, "\n".join(lines))


def _distinct(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _write_text(connection: sqlite3.Connection, number: int, text: str | None) -> None:
    """A study's text and its index, which has to be told the former text."""
    former = connection.execute("SELECT text FROM study_texts WHERE id = ?", (number,)).fetchone()
    if former is not None:
        if former[0] == text:
            return
        connection.execute(
            "INSERT INTO study_index (study_index, rowid, text) VALUES ('delete', ?, ?)", (number, former[0])
        )
        connection.execute("DELETE FROM study_texts WHERE id = ?", (number,))
    if text is not None:
        connection.execute("INSERT INTO study_texts VALUES (?, ?)", (number, text))
        connection.execute("INSERT INTO study_index (rowid, text) VALUES (?, ?)", (number, text))


def _text(series: Series) -> str:
    """What the free-text filter looks through."""
    found: dict[str, None] = {}
    for keyword in IN_TEXT:
        text = searched(keyword, getattr(series, keyword))
        if text:
            # Names of a list: each between its own signs.
            found[text.replace("\\", "=") if keyword in _NAMES else text] = None
    return "\n".join(found)


def _update(connection: sqlite3.Connection, table: str, number: int, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}" = ?' for name in row)
    connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*row.values(), number))
