"""Filters of the index: from keywords and values to SQL. Matching is as in PS3.4 C.2.2.2, without case and accents."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.levels import IN_TEXT, SERIES_KEYWORDS, STUDY_KEYWORDS, trigrams
from slicer_notebook.dicom.text import fold
from slicer_notebook.errors import ArgumentError

__all__ = ["Where", "series_where", "studies_where"]

_TEXT: Final = "text"
_WILD: Final = re.compile(r"[*?]")


class Where(NamedTuple):
    """What is asked for, in SQL.

    Attributes:
        sql: the whole condition.
        candidates: queries for the numbers of studies, each with its parameters; the answer of each holds all studies
            that the condition is true of, or in which it is true of a series.
    """

    sql: str
    parameters: list[Any]
    candidates: list[tuple[str, list[Any]]]


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
    if keyword in _LISTS or vr == "SQ":
        return f"('\\' || {column} || '\\') GLOB ?", [f"*\\{_glob(folded)}\\*"]
    if "*" in folded or "?" in folded:
        return f"{column} GLOB ?", [_glob(folded)]
    return f"{column} = ?", [folded]


#: Attributes with several values: a filter matches any one of them.
_LISTS: Final = frozenset(
    {"ModalitiesInStudy", "SOPClassesInStudy", "OtherPatientIDs", "AdmittingDiagnosesDescription"}
)


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


def studies_where(filters: Mapping[str, Any]) -> Where:
    """The condition on ``studies`` (aliased ``t``) for these filters; series attributes match any series.

    Raises:
        ArgumentError: an unknown keyword, or a value that is no filter.
    """
    of_study, of_series = _conditions(filters)
    for word in _words(filters.get(_TEXT, "")):
        of_study[word] = ("EXISTS (SELECT 1 FROM study_texts x WHERE x.id = t.id AND instr(x.text, ?) > 0)", [word])
    sql, parameters = _all(of_study)
    if of_series:
        series_sql, series_parameters = _all(of_series)
        sql += f" AND EXISTS (SELECT 1 FROM series s WHERE s.study_id = t.id AND {series_sql})"
        parameters += series_parameters
    return Where(sql, parameters, _candidates(filters))


def series_where(filters: Mapping[str, Any]) -> Where:
    """The condition on ``series`` (``s``) joined with ``studies`` (``t``).

    Raises:
        ArgumentError: an unknown keyword, or a value that is no filter.
    """
    of_study, of_series = _conditions(filters)
    for word in _words(filters.get(_TEXT, "")):
        of_series[word] = ("EXISTS (SELECT 1 FROM series_records x WHERE x.id = s.id AND instr(x.text, ?) > 0)", [word])
    return Where(*_all({**of_study, **of_series}), _candidates(filters))


_Condition = tuple[str, list[Any]]


def _conditions(filters: Mapping[str, Any]) -> tuple[dict[str, _Condition], dict[str, _Condition]]:
    """By keyword: those on the study's columns, and those on the series'."""
    of_study, of_series = {}, {}
    for keyword, value in filters.items():
        if keyword in STUDY_KEYWORDS:
            of_study[keyword] = _condition(keyword, value, f't."{keyword}"')
        elif keyword in SERIES_KEYWORDS:
            of_series[keyword] = _condition(keyword, value, f's."{keyword}"')
        elif keyword != _TEXT:
            raise _unknown(keyword)
    return of_study, of_series


def _all(conditions: Mapping[str, _Condition]) -> _Condition:
    sql = " AND ".join(sql for sql, _ in conditions.values()) or "1"
    return sql, [parameter for _, parameters in conditions.values() for parameter in parameters]


def _candidates(filters: Mapping[str, Any]) -> list[_Condition]:
    """What the text index finds, and for what it cannot find, the tables."""
    of_study, of_series = _conditions(filters)
    found, matches = [], []
    for keyword in [*of_study, *of_series]:
        match = _match(keyword, filters[keyword])
        if match is not None:
            matches.append(match)
            of_study.pop(keyword, None)
            of_series.pop(keyword, None)
    texts = {}
    for word in _words(filters.get(_TEXT, "")):
        match = _pieces(word)
        if match is not None:
            matches.append(match)
        else:
            texts[word] = ("instr(text, ?) > 0", [word])
    if matches:
        found.append(("SELECT rowid FROM study_index WHERE study_index MATCH ?", [" AND ".join(matches)]))
    for conditions, query in (
        (of_study, "SELECT t.id FROM studies t WHERE {}"),
        (of_series, "SELECT DISTINCT s.study_id FROM series s WHERE {}"),
        (texts, "SELECT id FROM study_texts WHERE {}"),
    ):
        if conditions:
            sql, parameters = _all(conditions)
            found.append((query.format(sql), parameters))
    return found


#: An index of their own finds exact values of these sooner.
_INDEXED: Final = frozenset({"PatientID", "AccessionNumber"})
#: Pieces looked up for one value: more make the answer no smaller.
_MOST_PIECES: Final = 12


def _match(keyword: str, value: Any) -> str | None:
    """A query of ``study_index`` whose answer holds every study that the filter matches; None if there is none."""
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    found = [_pieces_of(keyword, each) for each in values]
    # Any of the values will do: one that cannot be looked up leaves all studies in.
    if not found or None in found:
        return None
    return "(" + " OR ".join(str(part) for part in found) + ")"


def _pieces_of(keyword: str, value: Any) -> str | None:
    in_text = keyword in IN_TEXT or keyword == "ModalitiesInStudy"
    if not in_text or not isinstance(value, str) or _vr(keyword) in ("DA", "TM", "UI"):
        return None
    folded = fold(value.strip())
    if keyword in _INDEXED and not _WILD.search(folded):
        return None
    # As the texts have them, see `levels`.
    around = {"Modality": "\\", "ModalitiesInStudy": "\\"}.get(keyword, "=" if _vr(keyword) == "PN" else "")
    return _pieces(f"{around}{folded}{around}") if folded.strip("*") else None


def _pieces(text: str) -> str | None:
    found = [piece for part in _WILD.split(text) for piece in trigrams(part) if "\0" not in piece]
    quoted = ['"' + piece.replace('"', '""') + '"' for piece in found[:_MOST_PIECES]]
    return "(" + " AND ".join(quoted) + ")" if quoted else None
