"""Studies, series and images of the index while a predicate is looked at: a record, and who belongs to it."""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

__all__ = ["ImageRow", "Row", "SeriesRow", "StudyRow", "day", "moment", "person"]


class StudyRow:
    """A study.

    Attributes:
        record: its `records.Study`, or as many of its fields as are needed.
        series: in the index's order; filled where they are needed.
        written: when the newest of its files was written, seconds since 1970; filled where it is needed.
    """

    __slots__ = ("id", "record", "series", "written")

    def __init__(self, number: int, record: Any) -> None:
        self.id = number
        self.record = record
        self.series: list[SeriesRow] = []
        self.written: float | None = None


class SeriesRow:
    """A series; ``first`` is the record of its first instance, filled, as ``study`` and ``images``, where needed."""

    __slots__ = ("first", "id", "images", "record", "study", "study_id")

    def __init__(self, number: int, study_id: int, record: Any) -> None:
        self.id = number
        self.study_id = study_id
        self.record = record
        self.study: StudyRow | None = None
        self.images: list[ImageRow] = []
        self.first: Any = None


class ImageRow:
    """An instance: the first of the files that hold it."""

    __slots__ = ("id", "record", "series", "series_id")

    def __init__(self, number: int, series_id: int, record: Any) -> None:
        self.id = number
        self.series_id = series_id
        self.record = record
        self.series: SeriesRow | None = None


Row = StudyRow | SeriesRow | ImageRow

_TIME: Final = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.\d*)?")


def moment(date: str | None, time: str | None) -> float | None:
    """A DICOM date and time (DA and TM, PS3.5 6.2) as seconds since 1970; None where there is no date.

    They are taken as this machine's local time, as OsiriX takes them. Whole seconds; without a time, midnight.
    """
    if not date or len(date) != 8 or not date.isdigit():
        return None
    clock = _TIME.fullmatch(time.strip()) if time else None
    hour, minute, second = (int(part or 0) for part in clock.groups()) if clock else (0, 0, 0)
    try:
        # 60 is a leap second, which Python does not know.
        whole = datetime.datetime(int(date[:4]), int(date[4:6]), int(date[6:]), hour, minute, min(second, 59))
        return whole.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def day(date: str | None) -> float | None:
    """A DICOM date without a time, as a date of birth: midnight UTC, so that it reads as that day everywhere."""
    if not date or len(date) != 8 or not date.isdigit():
        return None
    try:
        return datetime.datetime(int(date[:4]), int(date[4:6]), int(date[6:]), tzinfo=datetime.UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def person(name: str) -> str:
    """A DICOM name (``DOE^JOHN``) as OsiriX keeps it: blanks for the carets."""
    return " ".join(name.replace("^", " ").replace(",", " ").split())
