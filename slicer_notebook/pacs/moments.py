"""Dates and times as keys of a query (PS3.4 C.2.2.2.5): as a person writes them, as DICOM has them, and compared."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final

from slicer_notebook.errors import ArgumentError

__all__ = ["MOMENTS", "in_range", "moment", "moments"]

#: VRs with range matching.
MOMENTS: Final = frozenset({"DA", "TM", "DT"})
_EXAMPLES: Final = {
    "DA": "a date or a range: 20200131, 2020-01-31, 20200101-20201231, 20200101-",
    "TM": "a time or a range: 1015, 10:15:30, 0800-1200, -1200",
    "DT": "a date and time or a range: 20200131101530, 2020-01-31T10:15:30, 20200131-",
}
_ISO_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
#: One moment, as the standard has it (PS3.5 6.2): wild cards are not for these, but some PACS take them.
_ONE: Final = {
    "DA": re.compile(r"\d{8}|\d{4}\.\d{2}\.\d{2}|[\d*?]{1,8}(?<=[*?])|[*?]+\d{1,7}"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?)?(\.\d{1,6})?|[\d*?]{1,6}(?<=[*?])"),
    "DT": re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-](0\d|1[0-4])\d{2})?|[\d*?]{1,14}(?<=[*?])"),
}
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4])\d{2}$")


def moments(keyword: str, vr: str, value: Sequence[Any]) -> str:
    """A range: from and to, either of them None for an open end.

    Raises:
        ArgumentError: not two, both open, or none of dates and times.
    """
    ends = [None if each in (None, "") else each for each in value]
    if len(ends) != 2 or ends == [None, None]:
        raise ArgumentError(
            f"The key {keyword}.",
            expected="a pair: from, to; None for an open end; a set for any of several",
            got=f"{len(ends)} values" if len(ends) != 2 else "two open ends",
        )
    first, last = ("" if each is None else _one(keyword, vr, each) for each in ends)
    return _ordered(keyword, first, last)


def moment(keyword: str, vr: str, value: Any) -> str:
    """A date, a time, or both; also a range in one text.

    Raises:
        ArgumentError: none of these.
    """
    if not isinstance(value, str):
        return _one(keyword, vr, value)
    text = _plain(vr, value)
    if _ONE[vr].fullmatch(text):
        return _one(keyword, vr, value)
    first, dash, last = _split(vr, text)
    if not dash or not (first or last):
        raise _no(keyword, vr, value)
    return _ordered(keyword, *(each and _one(keyword, vr, each) for each in (first, last)))


def _split(vr: str, text: str) -> tuple[str, str, str]:
    """The ends of a range. Of date-times the first may have an offset from UTC, with a dash of its own."""
    dashes = [found.start() for found in re.finditer("-", text)]
    for at in dashes:
        first, last = text[:at], text[at + 1 :]
        if all(not each or _ONE[vr].fullmatch(each) for each in (first, last)):
            return first, "-", last
    return text, "", ""


def _plain(vr: str, text: str) -> str:
    """Without what ISO 8601 puts between: 2020-01-31T10:15:30 as 20200131101530."""
    text = _ISO_DATE.sub(r"\1\2\3", text.strip()).replace("..", "-")
    if vr == "TM":
        return text.replace(":", "")
    return re.sub(r"(?<=\d{8})[T ](?=\d)", "", text).replace(":", "") if vr == "DT" else text


def _one(keyword: str, vr: str, value: Any) -> str:
    if isinstance(value, datetime.datetime):
        offset = value.strftime("%z")[:5] if vr == "DT" else ""
        return value.strftime({"DA": "%Y%m%d", "TM": "%H%M%S"}.get(vr, "%Y%m%d%H%M%S")) + offset
    if isinstance(value, datetime.date) and vr != "TM":
        return value.strftime("%Y%m%d")
    if isinstance(value, datetime.time) and vr == "TM":
        return value.strftime("%H%M%S")
    text = _plain(vr, value) if isinstance(value, str) else ""
    if not _ONE[vr].fullmatch(text):
        raise _no(keyword, vr, value)
    if vr != "TM" and re.match(r"\d{8}", text):
        try:
            datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        except ValueError:
            raise _no(keyword, vr, value, "a day that there is not") from None
    return text


def _ordered(keyword: str, first: str, last: str) -> str:
    if first and last and _digits(first) > _digits(last, "9"):
        raise ArgumentError(f"The key {keyword}.", expected="a range from earlier to later", got="the other way round")
    return f"{first}-{last}"


def _digits(text: str, fill: str = "0") -> str:
    return re.sub(r"\D", "", _OFFSET.sub("", text)).ljust(14, fill)


def _no(keyword: str, vr: str, value: Any, got: str = "") -> ArgumentError:
    # Not the value itself: it may be a birth date.
    kind = f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__
    return ArgumentError(f"The key {keyword}.", expected=_EXAMPLES[vr], got=got or kind)


def in_range(wanted: str, value: str) -> bool:
    """Whether a date can be one that a key asks for; also where it cannot be read."""
    date = value.replace(".", "")
    if not re.fullmatch(r"\d{8}", date):
        return True
    first, dash, last = wanted.replace(".", "").partition("-")
    if not dash:
        return date == first
    return (not first or first <= date) and (not last or date <= last)
