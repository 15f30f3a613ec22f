"""OsiriX's tables Study, Series and Image: their keys, what these are in the index, and how the tables hang together.

Keys are those of OsiriX's database, with its case. What OsiriX has and the index has not (comments, reports, when a
study was opened) is always absent. Kinds: text; name: text that is compared as DICOM and as OsiriX writes it
(``DOE^JOHN`` and ``DOE JOHN``); number; date: seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slicer_notebook.dicom.osirix.rows import ImageRow, SeriesRow, StudyRow, day, moment, person

__all__ = ["ENTITIES", "IMAGE", "SERIES", "STUDY", "Attribute", "Entity", "Kind", "Relation"]

Kind = Literal["text", "name", "number", "date"]
#: What has to be loaded beside an object's own record: a study's series, the time its newest file was written, the
#: record of a series' first instance.
Need = Literal["", "series", "written", "first"]
#: How the index keeps what a key is made of: folded; as it is; a name, folded, between ``=``; a day, YYYYMMDD; values,
#: folded, in a list that the key's value is one of.
Kept = Literal["folded", "raw", "name", "day", "among"]


@dataclass(frozen=True)
class Attribute:
    """A key of a table.

    Attributes:
        get: its value; None where it is absent.
        fields: of the record that ``get`` looks at.
        need: what has to be loaded besides, and ``further``: which fields of that.
        column: of the index's table, and ``kept``: how it is there. A condition on it finds all that a comparison may
            be true of.
        shown: it is among an answer's elements.
    """

    key: str
    kind: Kind
    get: Callable[[Any], Any]
    fields: tuple[str, ...] = ()
    need: Need = ""
    further: tuple[str, ...] = ()
    column: str = ""
    kept: Kept = "folded"
    shown: bool = True


@dataclass(frozen=True)
class Relation:
    """From one table to another."""

    to: Literal["Study", "Series", "Image"]
    many: bool
    get: Callable[[Any], Any]


@dataclass(frozen=True)
class Entity:
    """A table."""

    name: Literal["Study", "Series", "Image"]
    attributes: dict[str, Attribute]
    relations: dict[str, Relation] = field(default_factory=dict)


def _of(keyword: str) -> Callable[[Any], Any]:
    return lambda row: getattr(row.record, keyword) or None


def _number_of(keyword: str) -> Callable[[Any], Any]:
    return lambda row: getattr(row.record, keyword)


def _plain(key: str, keyword: str, kind: Kind = "text", kept: Kept = "folded") -> Attribute:
    """A key that is a DICOM attribute of the table's own records."""
    return Attribute(key, kind, _of(keyword), (keyword,), column=keyword, kept=kept)


def _absent(key: str, kind: Kind = "text") -> Attribute:
    return Attribute(key, kind, lambda _row: None)


def _always(key: str, value: int | str, kind: Kind = "number") -> Attribute:
    return Attribute(key, kind, lambda _row: value)


# -- studies -------------------------------------------------------------------------------------------------------

#: Modalities of series that are about others: a study is not called by them where it has others. PS3.3 C.7.3.1.1.1.
_ABOUT_OTHERS: Final = frozenset(
    {"SR", "PR", "KO", "SEG", "REG", "OT", "DOC", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "RTIMAGE", "RWV", "FID"}
)


def _study_modality(study: StudyRow) -> str | None:
    """That of the first series that holds images; of the first one where none does."""
    found = [series.record.Modality for series in study.series if series.record.Modality]
    return next((modality for modality in found if modality not in _ABOUT_OTHERS), found[0] if found else None)


def _institution(study: StudyRow) -> str | None:
    return next((series.record.InstitutionName for series in study.series if series.record.InstitutionName), None)


def _performing(study: StudyRow) -> str | None:
    names = next((s.record.PerformingPhysicianName for s in study.series if s.record.PerformingPhysicianName), None)
    return "\\".join(names) if names else None


def _patient_uid(study: StudyRow) -> str | None:
    """What OsiriX tells patients apart by: name, ID and date of birth, in capitals."""
    record = study.record
    if not (record.PatientName or record.PatientID):
        return None
    parts = (person(record.PatientName or ""), record.PatientID or "", record.PatientBirthDate or "")
    return "-".join(parts).upper()


def _keyed(*attributes: Attribute) -> dict[str, Attribute]:
    return {attribute.key: attribute for attribute in attributes}


STUDY: Final = Entity(
    "Study",
    _keyed(
        _plain("studyInstanceUID", "StudyInstanceUID", kept="raw"),
        _plain("patientID", "PatientID"),
        Attribute("patientUID", "text", _patient_uid, ("PatientName", "PatientID", "PatientBirthDate")),
        _plain("patientSex", "PatientSex"),
        _plain("name", "PatientName", "name", "name"),
        Attribute(
            "dateOfBirth", "date", lambda s: day(s.record.PatientBirthDate), ("PatientBirthDate",),
            column="PatientBirthDate", kept="day",
        ),
        _plain("id", "StudyID"),
        _plain("accessionNumber", "AccessionNumber"),
        _plain("studyName", "StudyDescription"),
        Attribute(
            "modality", "text", _study_modality, need="series", further=("Modality",), column="ModalitiesInStudy",
            kept="among",
        ),
        Attribute(
            "date", "date", lambda s: moment(s.record.StudyDate, s.record.StudyTime), ("StudyDate", "StudyTime"),
            column="StudyDate", kept="day",
        ),
        Attribute("dateAdded", "date", lambda s: s.written, need="written"),
        _absent("dateOpened", "date"),
        Attribute(
            "numberOfImages", "number", _number_of("NumberOfStudyRelatedInstances"), ("NumberOfStudyRelatedInstances",)
        ),
        Attribute("institutionName", "text", _institution, need="series", further=("InstitutionName",)),
        _plain("referringPhysician", "ReferringPhysicianName", "name", "name"),
        Attribute("performingPhysician", "name", _performing, need="series", further=("PerformingPhysicianName",)),
        _absent("reportURL"),
        _absent("comment"),
        _absent("comment2"),
        _absent("comment3"),
        _absent("comment4"),
        _always("stateText", 0),
        _always("lockedStudy", 0),
        _always("hasDICOM", 1),
    ),
    {"series": Relation("Series", True, lambda study: study.series)},
)  # fmt: skip

# -- series --------------------------------------------------------------------------------------------------------


def _series_date(series: SeriesRow) -> float | None:
    record = series.record
    return moment(record.SeriesDate, record.SeriesTime) or moment(record.StudyDate, record.StudyTime)


def _first_window(keyword: str) -> Callable[[SeriesRow], float | None]:
    def get(series: SeriesRow) -> float | None:
        values = getattr(series.first, keyword) if series.first is not None else None
        return values[0] if values else None

    return get


SERIES: Final = Entity(
    "Series",
    _keyed(
        _plain("seriesDICOMUID", "SeriesInstanceUID", kept="raw"),
        # OsiriX makes a key of its own of it; whoever takes it for the DICOM UID is right here.
        _plain("seriesInstanceUID", "SeriesInstanceUID", kept="raw"),
        Attribute(
            "seriesSOPClassUID", "text", lambda s: (s.first.SOPClassUID or None) if s.first is not None else None,
            need="first", further=("SOPClassUID",),
        ),
        _plain("seriesDescription", "SeriesDescription"),
        _plain("name", "SeriesDescription"),
        Attribute("id", "number", _number_of("SeriesNumber"), ("SeriesNumber",)),
        _plain("modality", "Modality"),
        Attribute("date", "date", _series_date, ("SeriesDate", "SeriesTime", "StudyDate", "StudyTime")),
        Attribute(
            "numberOfImages", "number", _number_of("NumberOfSeriesRelatedInstances"),
            ("NumberOfSeriesRelatedInstances",),
        ),
        _always("numberOfKeyImages", 0),
        Attribute("windowLevel", "number", _first_window("WindowCenter"), need="first", further=("WindowCenter",)),
        Attribute("windowWidth", "number", _first_window("WindowWidth"), need="first", further=("WindowWidth",)),
    ),
    {
        "study": Relation("Study", False, lambda series: series.study),
        "images": Relation("Image", True, lambda series: series.images),
    },
)  # fmt: skip

# -- images --------------------------------------------------------------------------------------------------------

_IMAGE_DATES: Final = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


def _image_date(image: ImageRow) -> float | None:
    found = (moment(getattr(image.record, date), getattr(image.record, time)) for date, time in _IMAGE_DATES)
    return next((value for value in found if value is not None), None)


IMAGE: Final = Entity(
    "Image",
    _keyed(
        Attribute("instanceNumber", "number", _number_of("InstanceNumber"), ("InstanceNumber",)),
        Attribute("sliceLocation", "number", _number_of("SliceLocation"), ("SliceLocation",)),
        Attribute("pathString", "text", _of("path"), ("path",), column="path", kept="raw"),
        Attribute("date", "date", _image_date, tuple(name for pair in _IMAGE_DATES for name in pair)),
        _always("storedFileType", "DICOM", "text"),
        Attribute("storedWidth", "number", _number_of("Columns"), ("Columns",)),
        Attribute("storedHeight", "number", _number_of("Rows"), ("Rows",)),
        # OsiriX keeps it compressed, and so does not tell it.
        Attribute(
            "sopInstanceUID", "text", _of("SOPInstanceUID"), ("SOPInstanceUID",), column="sop_uid", kept="raw",
            shown=False,
        ),
        Attribute("numberOfFrames", "number", _number_of("NumberOfFrames"), ("NumberOfFrames",), shown=False),
    ),
    {"series": Relation("Series", False, lambda image: image.series)},
)  # fmt: skip

ENTITIES: Final = {entity.name: entity for entity in (STUDY, SERIES, IMAGE)}
