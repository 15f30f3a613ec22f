"""Answers of PACS as rows: what a person reads of studies, series and instances, and the page of a saved notebook."""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from slicer_notebook.dicom.catalogue import iso_date, patient_name, pseudonym
from slicer_notebook.dicom.records import Study
from slicer_notebook.session.privacy import Privacy

__all__ = [
    "STATIC_ROWS",
    "STUDY_ATTRIBUTES",
    "complete_here",
    "instance_row",
    "key_of",
    "series_row",
    "static_page",
    "study_row",
]

Record = dict[str, Any]

#: Rows of the static page: a saved notebook is to be read, not to hold an archive.
STATIC_ROWS: Final = 50

#: What the row of a study shows: asked for along with series, where the question is at their level.
STUDY_ATTRIBUTES: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)

#: Of which pseudonyms are made: they are the same in all forms of a notebook's kernel, and mean nothing outside of it.
_KEY: Final = secrets.token_bytes(32)

_LEFT = "style='text-align:left'"


def key_of(server: str, record: Mapping[str, Any]) -> str:
    """Names an answer: the PACS, the study and, where it is one of a series, the series."""
    uids = (str(record.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID"))
    return " ".join(filter(None, (server, *uids)))


def study_row(server: str, record: Record) -> dict[str, Any]:
    """What the browser shows of a study."""
    return {
        "key": f"{server} {record['StudyInstanceUID']}",
        "server": server,
        "study": record["StudyInstanceUID"],
        "pseudonym": _pseudonym(record),
        "name": patient_name(_text(record, "PatientName")),
        "id": _text(record, "PatientID"),
        "born": iso_date(_text(record, "PatientBirthDate")),
        "sex": _text(record, "PatientSex"),
        "date": iso_date(_text(record, "StudyDate")),
        "modalities": " ".join(_list(record, "ModalitiesInStudy")),
        "description": _text(record, "StudyDescription"),
        "accession": _text(record, "AccessionNumber"),
        "referring": patient_name(_text(record, "ReferringPhysicianName")),
        "series": _number(record, "NumberOfStudyRelatedSeries"),
        "images": _number(record, "NumberOfStudyRelatedInstances"),
    }


def series_row(server: str, record: Record) -> dict[str, Any]:
    """What the browser shows of a series."""
    return {
        "key": f"{server} {record['StudyInstanceUID']} {record['SeriesInstanceUID']}",
        "series": record["SeriesInstanceUID"],
        "number": _number(record, "SeriesNumber"),
        "modality": _text(record, "Modality"),
        "description": _text(record, "SeriesDescription") or _text(record, "ProtocolName"),
        "body": _text(record, "BodyPartExamined").capitalize(),
        "images": _number(record, "NumberOfSeriesRelatedInstances"),
    }


def instance_row(record: Record) -> dict[str, Any]:
    """What the browser shows of an instance."""
    return {
        "uid": _text(record, "SOPInstanceUID"),
        "number": _number(record, "InstanceNumber"),
        "class": _class_name(_text(record, "SOPClassUID")),
    }


def _class_name(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name.removesuffix(" Storage") if uid else ""


def _text(record: Record, keyword: str) -> str:
    value = record.get(keyword)
    if isinstance(value, list):
        value = next((each for each in value if each is not None), None)
    return "" if value is None else str(value).strip()


def _list(record: Record, keyword: str) -> list[str]:
    value = record.get(keyword)
    values = value if isinstance(value, list) else [] if value is None else str(value).split("\\")
    return [str(each) for each in values if each]


def _number(record: Record, keyword: str) -> int | None:
    try:
        return int(record[keyword])
    except (KeyError, TypeError, ValueError):
        return None  # it is not told, or is no number


def _pseudonym(record: Record) -> str:
    who = Study(
        StudyInstanceUID=_text(record, "StudyInstanceUID"),
        PatientID=_text(record, "PatientID"),
        IssuerOfPatientID=_text(record, "IssuerOfPatientID"),
        PatientName=_text(record, "PatientName"),
    )
    return pseudonym(who, _KEY)


def complete_here(record: Record, here: Mapping[str, int]) -> bool:
    """Whether all that the PACS has of a study or series is here, as far as it tells its number of instances.

    Args:
        here: Series Instance UID -> instances in the index, of the study.
    """
    series = record.get("SeriesInstanceUID")
    if series:
        count, found = _number(record, "NumberOfSeriesRelatedInstances"), here.get(str(series), 0)
    else:
        count, found = _number(record, "NumberOfStudyRelatedInstances"), sum(here.values())
    return count is not None and 0 < count <= found


# -- without a script --------------------------------------------------------------------------------------------------

_COLUMNS: Final = {
    "Patient": "name",
    "ID": "id",
    "Date": "date",
    "Modality": "modalities",
    "Description": "description",
    "Accession": "accession",
    "Series": "series",
    "Images": "images",
    "PACS": "server",
}
_IDENTITY: Final = ("id", "accession")


def static_page(
    rows: Sequence[Mapping[str, Any]],
    servers: Iterable[str],
    when: str,
    *,
    privacy: Privacy,
    hide_names: bool,
) -> str:
    """What a saved notebook shows of a search, as HTML without a script.

    Args:
        rows: of `study_row`, all of them.
        servers: that were asked.
        when: that was.
    """
    names = list(servers)
    total = f"{len(rows):,} {'study' if len(rows) == 1 else 'studies'}"
    if privacy == "strict":
        return f"<p style='font-size:12px'>The form showed {total} of {len(names)} PACS; privacy: strict.</p>"
    columns = {title: field for title, field in _COLUMNS.items() if not (hide_names and field in _IDENTITY)}
    head = "".join(f"<th {_LEFT}>{title}</th>" for title in columns)
    body = "".join(f"<tr>{_cells(row, columns.values(), hide_names)}</tr>" for row in rows[:STATIC_ROWS])
    left_out = len(rows) - STATIC_ROWS
    more = f"<p>{left_out:,} further studies are not shown here.</p>" if left_out > 0 else ""
    note = f"<p style='font-size:12px'>{total} of {html.escape(', '.join(names))}, {html.escape(when)}</p>"
    table = f'<table style="font-size:12px"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return note + (table if rows else "") + more


def _cells(row: Mapping[str, Any], fields: Iterable[str], hide_names: bool) -> str:
    shown = {**row, "name": row["pseudonym"]} if hide_names else row
    values = ("" if shown[field] is None else str(shown[field]) for field in fields)
    return "".join(f"<td {_LEFT}>{html.escape(value)}</td>" for value in values)
