"""A predicate asked of the index: `narrow` says which rows come into question, `compile` looks at each of them."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.nspredicate import parse
from slicer_notebook.dicom.nspredicate.tree import Node
from slicer_notebook.dicom.osirix.compile import Needs, compiled
from slicer_notebook.dicom.osirix.elements import element
from slicer_notebook.dicom.osirix.entities import ENTITIES, Entity
from slicer_notebook.dicom.osirix.narrow import Condition, narrowed
from slicer_notebook.dicom.osirix.rows import ImageRow, Row, SeriesRow, StudyRow
from slicer_notebook.dicom.records import Instance, Series, Study
from slicer_notebook.errors import ArgumentError, DeadlineError, JobCancelledError

__all__ = ["MOST", "TABLES", "Found", "Table", "find"]

Table = Literal["Study", "Series", "Image"]
TABLES: Final[tuple[Table, ...]] = ("Study", "Series", "Image")
#: Answers to one predicate: twice the largest index that we measure; their elements are some 300 MB.
MOST: Final = 200_000
#: Seconds that a predicate may take: a look at each of a million images takes some fifteen.
DEADLINE: Final = 60.0
#: Rows that are loaded at once.
BATCH: Final = 500


@dataclass(frozen=True)
class Found:
    """An answer.

    Attributes:
        study, series, instance: its UIDs; "" below its level.
        element: what OsiriX says of it (`elements`).
    """

    study: str
    series: str
    instance: str
    element: dict[str, str]


def find(
    index: Index,
    table: str,
    predicate: str | Node,
    *,
    limit: int = MOST,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Found]:
    """All of a table that a predicate is true of: studies by name, ID and date, series and images by number in them.

    Raises:
        ArgumentError: no such table; a predicate that is not understood, or that has more than ``limit`` answers.
        DeadlineError: it takes more than `DEADLINE`.
        JobCancelledError: ``cancelled`` said so.
        IndexDatabaseError: the index cannot be read.
    """
    entity = ENTITIES.get(table)  # type: ignore[call-overload]
    if entity is None:
        raise ArgumentError("There is no such table.", expected="Study, Series or Image", got=repr(table)[:80])
    node = parse(predicate) if isinstance(predicate, str) else predicate
    needs = Needs()
    true_of = compiled(node, entity, needs)
    database = index._database
    watch = _Watch(cancelled)
    with database.snapshot():
        numbers = _candidates(database, entity, narrowed(node, entity))
        loader = _Loader(database, needs)
        matching: list[int] = []
        for rows in loader.batches(entity, numbers):
            matching += [row.id for row in rows if true_of(row)]
            watch.look()
            if len(matching) > limit:
                raise ArgumentError(
                    "The predicate is true of too much.", expected=f"at most {limit} answers", got="more"
                )
        return list(_told(database, entity, matching, watch))


class _Watch:
    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._until = time.monotonic() + DEADLINE

    def look(self) -> None:
        if self._cancelled():
            raise JobCancelledError("The request was cancelled.")
        if time.monotonic() > self._until:
            raise DeadlineError(
                "The predicate takes too long.", expected=f"an answer within {DEADLINE:g} s", got="none",
                hint="Add a comparison with a UID, a patient's ID or name, or a date.",
            )  # fmt: skip


_ORDER: Final = 't."PatientName", t."PatientID", t."StudyDate", t."StudyTime", t."StudyInstanceUID"'
_FROM: Final = {
    "Study": f"SELECT t.id FROM studies t WHERE {{}} ORDER BY {_ORDER}",
    "Series": (
        "SELECT s.id FROM series s JOIN studies t ON t.id = s.study_id "
        f'WHERE {{}} ORDER BY {_ORDER}, s.number, s."SeriesInstanceUID"'
    ),
    # Files that hold the same instance: the first one, by path, stands for it.
    "Image": (
        "SELECT f.id FROM files f JOIN series s ON s.id = f.series_id JOIN studies t ON t.id = s.study_id "
        f'WHERE {{}} ORDER BY {_ORDER}, s.number, s."SeriesInstanceUID", f.path'
    ),
}


def _candidates(database: Database, entity: Entity, condition: Condition | None) -> list[int]:
    sql, parameters = condition if condition is not None else ("1", [])
    return [number for (number,) in database.rows(_FROM[entity.name].format(sql), parameters)]


def _told(database: Database, entity: Entity, numbers: list[int], watch: _Watch) -> Iterator[Found]:
    """What is said of these rows."""
    needs = Needs()
    for attribute in entity.attributes.values():
        if attribute.shown:
            needs.attribute(entity, attribute)
    uids = {"Study": _STUDY_UID, "Series": _SERIES_UIDS, "Image": _IMAGE_UIDS}[entity.name]
    needs.fields.setdefault(entity.name, set()).update(uids)
    loader = _Loader(database, needs)
    images: list[ImageRow] = []
    seen: set[tuple[int, str]] = set()
    for rows in loader.batches(entity, numbers):
        watch.look()
        for row in rows:
            if not isinstance(row, ImageRow):
                yield _found(row)
            elif (row.series_id, row.record.SOPInstanceUID) not in seen:
                seen.add((row.series_id, row.record.SOPInstanceUID))
                if images and images[-1].series_id != row.series_id:
                    yield from _in_order(images)
                    images = []
                images.append(row)
    yield from _in_order(images)


def _in_order(images: list[ImageRow]) -> Iterator[Found]:
    def place(row: ImageRow) -> tuple[bool, int]:
        number = row.record.InstanceNumber
        return number is None, number or 0

    return map(_found, sorted(images, key=place))


_STUDY_UID: Final = ("StudyInstanceUID",)
_SERIES_UIDS: Final = (*_STUDY_UID, "SeriesInstanceUID")
_IMAGE_UIDS: Final = (*_SERIES_UIDS, "SOPInstanceUID", "InstanceNumber")


def _found(row: Row) -> Found:
    record = row.record
    series = "" if isinstance(row, StudyRow) else record.SeriesInstanceUID
    instance = record.SOPInstanceUID if isinstance(row, ImageRow) else ""
    return Found(record.StudyInstanceUID, series, instance, element(row))


# -- loading -------------------------------------------------------------------------------------------------------

_RECORDS: Final[dict[str, type[msgspec.Struct]]] = {"Study": Study, "Series": Series, "Image": Instance}


@functools.lru_cache(maxsize=256)
def _decoder(table: str, fields: frozenset[str]) -> Callable[[bytes], Any]:
    """Reads these fields of a record and passes over the others: a third of the time of the whole."""
    whole = _RECORDS[table]
    known = [each for each in msgspec.structs.fields(whole) if each.name in fields]
    definitions: list[Any] = []
    for each in known:
        factory = each.default_factory
        default = msgspec.field(default_factory=factory) if factory is not msgspec.NODEFAULT else each.default
        definitions.append((each.name, each.type, default))
    part: type[msgspec.Struct] = msgspec.defstruct(f"Part{table}", definitions, kw_only=True)
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(part).decode
    return decode


class _Loader:
    """Loads rows of the index, with those that they belong to and that belong to them, as far as is needed."""

    def __init__(self, database: Database, needs: Needs) -> None:
        self._database = database
        self._needs = needs
        self._decode = {
            table: _decoder(table, frozenset(needs.fields.get(table, ()))) for table in ("Study", "Series", "Image")
        }
        self._first = _decoder("Image", frozenset(needs.first))

    def batches(self, entity: Entity, numbers: list[int]) -> Iterator[list[Row]]:
        """The rows of these numbers, in this order, some at a time."""
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            rows = self._rows(entity.name, some)
            self._complete(rows)
            yield rows

    def _rows(self, table: str, numbers: list[int]) -> list[Row]:
        found: list[Row]
        if table == "Study":
            found = [*self._studies(numbers)]
        elif table == "Series":
            found = [*self._series("s.id", numbers)]
        else:
            found = [*self._images("f.id", numbers)]
        by_number = {row.id: row for row in found}
        return [by_number[number] for number in numbers if number in by_number]

    def _complete(self, rows: list[Row]) -> None:
        """Load what is above and below, one level after the other."""
        needs = self._needs
        images = [row for row in rows if isinstance(row, ImageRow)]
        series = [row for row in rows if isinstance(row, SeriesRow)]
        studies = [row for row in rows if isinstance(row, StudyRow)]
        if images and ("Series" in needs.fields or "Study" in needs.fields):
            series = self._series("s.id", _distinct(image.series_id for image in images))
            above = {row.id: row for row in series}
            for image in images:
                image.series = above[image.series_id]
        if series and "Study" in needs.fields:
            studies = self._studies(_distinct(row.study_id for row in series))
            owners = {row.id: row for row in studies}
            for row in series:
                row.study = owners[row.study_id]
        if studies and needs.series:
            series = [*series, *self._all_series(studies)]
        if series and needs.images:
            self._all_images(series)
        if series and needs.first:
            self._add_first(series)
        if studies and needs.written:
            self._add_written(studies)

    def _all_series(self, studies: list[StudyRow]) -> list[SeriesRow]:
        owners = {study.id: study for study in studies}
        found = self._series("s.study_id", list(owners))
        for row in found:
            row.study = owners[row.study_id]
            row.study.series.append(row)
        return found

    def _all_images(self, series: list[SeriesRow]) -> None:
        found: dict[int, list[ImageRow]] = {}
        for image in self._images("f.series_id", _distinct(row.id for row in series), once=True):
            found.setdefault(image.series_id, []).append(image)
        for row in series:
            row.images = found.get(row.id, [])
            for image in row.images:
                image.series = row

    def _add_first(self, series: list[SeriesRow]) -> None:
        rows = self._database.rows(
            "SELECT s.id, r.record FROM series s JOIN records r ON r.id = (SELECT f.id FROM files f "
            "WHERE f.series_id = s.id ORDER BY f.sop_uid, f.path LIMIT 1) "
            "WHERE s.id IN (SELECT value FROM json_each(?))",
            [json.dumps(_distinct(row.id for row in series))],
        )
        first = {number: self._first(blob) for number, blob in rows}
        for row in series:
            row.first = first.get(row.id)

    def _add_written(self, studies: list[StudyRow]) -> None:
        rows = self._database.rows(
            "SELECT s.study_id, MAX(f.mtime_ns) FROM series s JOIN files f ON f.series_id = s.id "
            "WHERE s.study_id IN (SELECT value FROM json_each(?)) GROUP BY s.study_id",
            [json.dumps([study.id for study in studies])],
        )
        written = {number: float(nanoseconds // 1_000_000_000) for number, nanoseconds in rows}
        for study in studies:
            study.written = written.get(study.id)

    def _studies(self, numbers: list[int]) -> list[StudyRow]:
        rows = self._database.rows(
            "SELECT id, record FROM study_records WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(numbers)]
        )
        decode = self._decode["Study"]
        return [StudyRow(number, decode(blob)) for number, blob in rows]

    def _series(self, column: str, numbers: list[int]) -> list[SeriesRow]:
        rows = self._database.rows(
            "SELECT s.id, s.study_id, r.record FROM series s JOIN series_records r ON r.id = s.id "
            f'WHERE {column} IN (SELECT value FROM json_each(?)) ORDER BY s.study_id, s.number, s."SeriesInstanceUID"',
            [json.dumps(numbers)],
        )
        decode = self._decode["Series"]
        return [SeriesRow(number, study, decode(blob)) for number, study, blob in rows]

    def _images(self, column: str, numbers: list[int], *, once: bool = False) -> list[ImageRow]:
        """``once``: of the files that hold the same instance, only the first one by its path."""
        # SQLite takes the other columns from the row that MIN is of.
        first, group = (", MIN(f.path)", "GROUP BY f.series_id, f.sop_uid") if once else ("", "")
        rows = self._database.rows(
            f"SELECT f.id, f.series_id, r.record{first} FROM files f JOIN records r ON r.id = f.id "
            f"WHERE {column} IN (SELECT value FROM json_each(?)) {group}",
            [json.dumps(numbers)],
        )
        decode = self._decode["Image"]
        return [ImageRow(row[0], row[1], decode(row[2])) for row in rows]


def _distinct(numbers: Any) -> list[int]:
    return list(dict.fromkeys(numbers))
