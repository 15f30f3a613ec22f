"""The catalogue: every study of the index as one line of text, ready to be shown, searched and sorted elsewhere.

A list of 100,000 studies that is searched while somebody types cannot be made of 100,000 records each time. Its lines
are written when a study is indexed (`database`, table ``study_lines``): all of them are there as fast as SQLite reads.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.dicom.text import fold

if TYPE_CHECKING:
    from slicer_notebook.dicom.database import Database

__all__ = ["FIELDS", "PART", "Catalogue", "catalogue", "iso_date", "line", "patient_name", "pseudonym", "secret"]

#: What a line is made of, separated by tabs.
#:
#: ``name`` is FAMILY, Given; ``born`` and ``date`` are ISO dates; ``age`` is 60 y; ``time`` is HH:MM; ``modalities``
#: are separated by blanks; ``series`` and ``images`` are numbers. ``more_identity`` and ``more`` are further words to
#: search in, without case and accents: those that tell who somebody is, and those that do not.
FIELDS: Final = (
    # Nobody types these.
    "uid",
    "pseudonym",
    "time",
    "series",
    "images",
    # These tell nothing of who somebody is...
    "date",
    "modalities",
    "sex",
    "age",
    "description",
    "more",
    # ... and these do.
    "name",
    "id",
    "born",
    "accession",
    "referring",
    "institution",
    "more_identity",
)
_NOT_SEARCHED: Final = FIELDS[: FIELDS.index("date")]
#: Between the parts of ``more_identity`` and of ``more``.
PART: Final = "\x1f"
_PSEUDONYM: Final = FIELDS.index("pseudonym")
_SPLITS: Final = _PSEUDONYM + 1
#: Lines of a page.
PAGE: Final = 10_000

#: Attributes of the study that tell who somebody is and have no field of their own.
_IDENTITY: Final = (
    "PatientName",
    "OtherPatientIDs",
    "OtherPatientNames",
    "IssuerOfPatientID",
    "StudyID",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
)
#: The same of its series.
_SERIES_IDENTITY: Final = (
    "PerformingPhysicianName",
    "OperatorsName",
    "PerformedProcedureStepID",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "StationName",
)
_WORDS: Final = ("AdmittingDiagnosesDescription",)
_SERIES_WORDS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "Laterality",
    "PerformedProcedureStepDescription",
    "Manufacturer",
    "ManufacturerModelName",
)
#: A study's words beyond these are not searched here: some have hundreds of series, each described at length.
_MOST_WORDS: Final = 2000

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
#: Base 32 without letters that look like others (Crockford).
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Catalogue(msgspec.Struct, kw_only=True):
    """Lines of studies, by patient's name and ID, the newest study of a patient first.

    Attributes:
        total: studies in the index.
        patients: how many these are of, as `pseudonym` tells them apart; None where not all lines were asked for.
        pages: up to 10,000 lines each, joined by a newline, UTF-8, compressed (zlib).
    """

    total: int
    patients: int | None
    pages: list[bytes]

    def lines(self) -> list[dict[str, str]]:
        """All lines, by field."""
        texts = (zlib.decompress(page).decode("utf-8") for page in self.pages)
        return [dict(zip(FIELDS, row.split("\t"), strict=True)) for text in texts for row in text.split("\n")]


def catalogue(database: Database, first: int | None = None) -> Catalogue:
    """The studies of an index, or the first of them.

    Raises:
        IndexDatabaseError: the index cannot be read.
    """
    with database.snapshot():
        ((total,),) = database.rows("SELECT COUNT(*) FROM studies")
        rows = database.rows(
            "SELECT l.line FROM studies t JOIN study_lines l ON l.id = t.id "
            "ORDER BY t.PatientName, t.PatientID, t.StudyDate DESC, t.StudyTime DESC, t.StudyInstanceUID LIMIT ?",
            [-1 if first is None else first],
        )
    pages = [
        zlib.compress("\n".join(row[0] for row in rows[start : start + PAGE]).encode("utf-8"), 1)
        for start in range(0, len(rows), PAGE)
    ]
    patients = len({row[0].split("\t", _SPLITS)[_PSEUDONYM] for row in rows}) if len(rows) == total else None
    return Catalogue(total=int(total), patients=patients, pages=pages)


def line(study: Study, series: Sequence[Series], key: bytes) -> str:
    """A study's line.

    Args:
        series: the study's series.
        key: the index's secret, of which pseudonyms are made.
    """
    institution = next((each.InstitutionName for each in series if each.InstitutionName), "")
    shown = {
        "uid": study.StudyInstanceUID,
        "pseudonym": pseudonym(study, key),
        "time": _clock(study.StudyTime),
        "series": str(study.NumberOfStudyRelatedSeries),
        "images": str(study.NumberOfStudyRelatedInstances),
        "date": iso_date(study.StudyDate),
        "modalities": " ".join(study.ModalitiesInStudy),
        "sex": study.PatientSex,
        "age": _age(study.PatientAge),
        "description": study.StudyDescription,
        "name": patient_name(study.PatientName),
        "id": study.PatientID,
        "born": iso_date(study.PatientBirthDate),
        "accession": study.AccessionNumber,
        "referring": patient_name(study.ReferringPhysicianName),
        "institution": institution,
    }
    plain = {name: _CONTROL.sub(" ", value or "").strip() for name, value in shown.items()}
    known = [fold(plain[name].replace(", ", " ")) for name in plain if name not in _NOT_SEARCHED and plain[name]]
    identity = _further(known, [study], _IDENTITY) + _further(known, series, _SERIES_IDENTITY)
    words = _further(known, [study], _WORDS) + _further(known, series, _SERIES_WORDS)
    plain.update(more=_joined(words), more_identity=_joined(identity))
    return "\t".join(plain[name] for name in FIELDS)


def _further(known: list[str], records: Iterable[Study | Series], keywords: Iterable[str]) -> list[str]:
    """Folded words of these attributes that nothing in ``known`` holds already."""
    found: dict[str, None] = {}
    for record in records:
        for keyword in keywords:
            for value in _values(getattr(record, keyword)):
                text = _CONTROL.sub(" ", fold(value.replace("^", " ").replace("=", " "))).strip()
                if text and text not in found and not any(text in each for each in known):
                    found[text] = None
    return list(found)


def _values(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in value]
    return [] if value is None else [str(value)]


def _joined(words: list[str]) -> str:
    kept: list[str] = []
    length = 0
    for word in words:
        length += len(word) + 1
        if length > _MOST_WORDS:
            break
        kept.append(word)
    return PART.join(kept)


# -- what people read ----------------------------------------------------------------------------------------------


def iso_date(value: str | None) -> str:
    """A DICOM date (DA, PS3.5 6.2) as 2000-01-31; as it is when it is none."""
    if value and len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value or ""


def _clock(value: str | None) -> str:
    """A DICOM time (TM) as 13:05; nothing when it is none."""
    if value and len(value) >= 4 and value[:4].isdigit():
        return f"{value[:2]}:{value[2:4]}"
    return ""


def _age(value: str | None) -> str:
    """A DICOM age (AS, PS3.5 6.2: 060Y) as 60 y; as it is when it is none."""
    if value and len(value) == 4 and value[:3].isdigit() and value[3] in "DWMY":
        return f"{int(value[:3])} {value[3].lower()}"
    return value or ""


def patient_name(value: str | None) -> str:
    """A DICOM person name (PN, PS3.5 6.2.1) as FAMILY, Given Middle: its first group that says something."""
    for group in (value or "").split("="):
        parts = [part.strip() for part in group.split("^")]
        family, given = parts[0], " ".join(part for part in parts[1:3] if part)
        if family or given:
            return ", ".join(part for part in (family, given) if part)
    return ""


# -- names that tell nothing ---------------------------------------------------------------------------------------


def pseudonym(study: Study, key: bytes) -> str:
    """What a patient is called where names are hidden: ``P-XXXX-XXXX``.

    40 bits of HMAC-SHA256 of who the patient is, under the index's own secret: the same for all studies of a patient in
    one index, another in another index, and of no use to whoever does not have the index.
    """
    who = [study.PatientID, study.IssuerOfPatientID, study.PatientName]
    text = "\x1f".join(each or "" for each in who) if any(who) else f"study\x1f{study.StudyInstanceUID}"
    number = int.from_bytes(hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()[:5], "big")
    letters = "".join(_LETTERS[number >> (5 * place) & 31] for place in range(8))
    return f"P-{letters[:4]}-{letters[4:]}"


def secret(connection: sqlite3.Connection) -> bytes:
    """The index's secret; made when it has none."""
    connection.execute("INSERT OR IGNORE INTO secrets VALUES ('pseudonyms', ?)", (secrets.token_bytes(32),))
    (key,) = connection.execute("SELECT value FROM secrets WHERE name = 'pseudonyms'").fetchone()
    return bytes(key)
