"""Filters of the index: from keywords and values to SQL. Matching is as in PS3.4 C.2.2.2, without case and accents."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from typing import Any, Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.database import SERIES_KEYWORDS, STUDY_KEYWORDS
from slicer_notebook.dicom.text import fold
from slicer_notebook.errors import ArgumentError

__all__ = ["series_where", "studies_where"]

_TEXT: Final = "text"


def _vr(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return dictionary_VR(tag) if tag is not None else ""


def _glob(text: str) -> str:
    """A DICOM wild card (``*``, ``?``) as SQLite's GLOB, where ``[`` is special as well."""
    return text.replace("[", "[[]")


def _date_text(value: datetime.date) -> str:
    return value.strftime("%Y%m%d")


def _one(keyword: str, value: Any, column: str) -> tuple[str, list[Any]]:
    """SQL and parameters for one value of one attribute."""
    if value is None or value == "":
        return f"{column} IS NULL", []
    if isinstance(value, datetime.date):
        value = _date_text(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ArgumentError(
            f"The filter {keyword}.",
            expected="text (with * and ?), a number, a date, or a list of those",
            got=f"{type(value).__name__} {value!r}",
        )
    text = f"{value:g}" if isinstance(value, float) else str(value)
    vr = _vr(keyword)
    if text.strip("*") == "":
        return "1", []  # universal matching, PS3.4 C.2.2.2.3: also where there is no value
    if not isinstance(value, str) and vr not in ("IS", "DS", "US", "UL", "FL", "FD"):
        raise ArgumentError(
            f"The filter {keyword}.", expected="text (with * and ?)", got=f"{type(value).__name__} {value!r}"
        )
    if vr in ("DA", "TM") and "-" in text:
        return _range(keyword, text, column, vr)
    if vr == "DA" and not _is_date(text.strip()):
        raise ArgumentError(f"The filter {keyword}.", expected=_DATES, got=repr(text))
    return _matching(keyword, vr, fold(text.strip()), column)


def _matching(keyword: str, vr: str, folded: str, column: str) -> tuple[str, list[Any]]:
    """Single value and wild card matching (PS3.4 C.2.2.2.1 and .4)."""
    if vr == "PN":
        return f"{column} GLOB ?", [f"*[=\\]{_glob(folded)}[=\\]*"]
    if keyword in _LISTS:
        return f"('\\' || {column} || '\\') GLOB ?", [f"*\\{_glob(folded)}\\*"]
    if "*" in folded or "?" in folded:
        return f"{column} GLOB ?", [_glob(folded)]
    return f"{column} = ?", [folded]


#: Attributes with several values: a filter matches any one of them.
_LISTS: Final = frozenset({"ModalitiesInStudy", "OtherPatientIDs", "AdmittingDiagnosesDescription"})


def _range(keyword: str, text: str, column: str, vr: str) -> tuple[str, list[Any]]:
    """``20100101-20101231``, open at either end; ISO dates (``2010-01-01``) are dates, not ranges."""
    iso = _iso_date(text) if vr == "DA" else None
    if iso is not None:
        return f"{column} = ?", [iso]
    first, _, last = text.partition("-")
    ends = [end.strip() for end in (first, last)]
    if not any(ends) or any(end and not end.replace(".", "").isdigit() for end in ends):
        raise ArgumentError(
            f"The filter {keyword}.",
            expected="a value or a range such as 20100101-20101231, 20100101- or -20101231",
            got=repr(text),
        )
    days = [end for end in ends if end]
    if vr == "DA" and (not all(map(_is_date, days)) or days != sorted(days)):
        raise ArgumentError(f"The filter {keyword}.", expected=_DATES, got=repr(text))
    conditions, parameters = [], []
    if ends[0]:
        conditions.append(f"{column} >= ?")
        parameters.append(ends[0])
    if ends[1]:
        # "\x7f" sorts after every digit: a range that ends at "12" takes in all times of that hour.
        conditions.append(f"{column} <= ?")
        parameters.append(ends[1] + "\x7f")
    return " AND ".join(conditions), parameters


def _iso_date(text: str) -> str | None:
    try:
        return _date_text(datetime.date.fromisoformat(text))
    except ValueError:
        return None


_DATES: Final = "a date (20100131 or 2010-01-31), or a range of dates, the earlier first"


def _is_date(text: str) -> bool:
    """A whole date that there is, or a part of one: with wild cards, or 2010 or 201001 as the end of a range."""
    if "*" in text or "?" in text:
        return True
    if not text.isdigit() or len(text) not in (4, 6, 8):
        return False
    try:
        datetime.date(int(text[:4]), int(text[4:6] or 1), int(text[6:8] or 1))
    except ValueError:
        return False
    return True


def _condition(keyword: str, value: Any, column: str) -> tuple[str, list[Any]]:
    if isinstance(value, list | tuple | set | frozenset):
        if not value:
            return "0", []
        parts = [_one(keyword, item, column) for item in value]
        return "(" + " OR ".join(sql for sql, _ in parts) + ")", [p for _, parameters in parts for p in parameters]
    sql, parameters = _one(keyword, value, column)
    return f"({sql})", parameters


def _words(value: Any) -> list[str]:
    if not isinstance(value, str):
        raise ArgumentError("The filter text.", expected="words to look for", got=type(value).__name__)
    return fold(value).split()


def _unknown(keyword: str) -> ArgumentError:
    known = [*sorted({*STUDY_KEYWORDS, *SERIES_KEYWORDS}), _TEXT]
    close = difflib.get_close_matches(keyword, known, n=1)
    return ArgumentError(
        f"There is no filter {keyword!r}.",
        expected="one of " + ", ".join(known),
        got=keyword,
        hint=f"Did you mean {close[0]!r}?" if close else "Use DICOM keywords, or text= for any word.",
        details={"known": known},
    )


def studies_where(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The WHERE clause over ``studies`` (aliased ``t``) for these filters; series attributes match any series.

    Raises:
        ArgumentError: an unknown keyword, or a value that is no filter.
    """
    conditions, parameters = ["1"], []
    in_series, series_parameters = [], []
    for keyword, value in filters.items():
        if keyword == _TEXT:
            for word in _words(value):
                conditions.append("t.id IN (SELECT id FROM study_texts WHERE instr(text, ?) > 0)")
                parameters.append(word)
        elif keyword in STUDY_KEYWORDS:
            sql, values = _condition(keyword, value, f't."{keyword}"')
            conditions.append(sql)
            parameters += values
        elif keyword in SERIES_KEYWORDS:
            sql, values = _condition(keyword, value, f's."{keyword}"')
            in_series.append(sql)
            series_parameters += values
        else:
            raise _unknown(keyword)
    if in_series:
        conditions.append(
            "EXISTS (SELECT 1 FROM series s WHERE s.study_uid = t.StudyInstanceUID AND " + " AND ".join(in_series) + ")"
        )
    return " AND ".join(conditions), parameters + series_parameters


def series_where(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The WHERE clause over ``series`` (``s``) joined with ``studies`` (``t``).

    Raises:
        ArgumentError: an unknown keyword, or a value that is no filter.
    """
    conditions, parameters = ["1"], []
    for keyword, value in filters.items():
        if keyword == _TEXT:
            for word in _words(value):
                conditions.append("instr(s.text, ?) > 0")
                parameters.append(word)
            continue
        if keyword not in STUDY_KEYWORDS and keyword not in SERIES_KEYWORDS:
            raise _unknown(keyword)
        table = "t" if keyword in STUDY_KEYWORDS else "s"
        sql, values = _condition(keyword, value, f'{table}."{keyword}"')
        conditions.append(sql)
        parameters += values
    return " AND ".join(conditions), parameters
