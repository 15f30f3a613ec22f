"""DICOM dates and times as seconds."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

__all__ = ["seconds_of_datetime"]

#: DT, PS3.5 table 6.2-1: YYYYMMDDHHMMSS.FFFFFF&ZZXX, cut off anywhere after the year.
_DATETIME: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d{1,6})?\s*([+-]\d{4})?", re.ASCII)


def seconds_of_datetime(text: str | None) -> float | None:
    """Seconds of a DT value since the year 1, UTC where it says its offset; None when it has no seconds."""
    found = _DATETIME.fullmatch((text or "").strip("\0 "))
    if found is None or found[6] is None:
        return None
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])).toordinal()
    except ValueError:
        return None
    seconds = day * 86400 + int(found[4]) * 3600 + int(found[5]) * 60 + int(found[6]) + float(found[7] or 0)
    if found[8] is not None:
        hours, minutes = divmod(int(found[8][1:]), 100)
        seconds -= (hours * 3600 + minutes * 60) * (-1 if found[8][0] == "-" else 1)
    return seconds
