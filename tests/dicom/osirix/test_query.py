"""Predicates asked of an index: what each table and key means, relations, and that narrowing loses nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom import Index, Instance
from slicer_notebook.dicom.osirix import find, query
from slicer_notebook.dicom.osirix.narrow import narrowed
from slicer_notebook.errors import ArgumentError, DeadlineError, JobCancelledError

CT, MR, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.11"
_numbers = itertools.count(1)


def instance(study: str, series: str, number: int, **more: Any) -> Instance:
    sop = more.pop("SOPInstanceUID", f"{series}.{number}")
    values = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": sop,
        "InstanceNumber": number,
        "SOPClassUID": CT,
        "path": f"/data/{sop}.{next(_numbers)}.dcm",
        "mtime_ns": 1_600_000_000_500_000_000,
        **more,
    }
    return Instance(**values)


DOE = {
    "PatientName": "DOE^JANE",
    "PatientID": "P-1",
    "PatientBirthDate": "19610207",
    "PatientSex": "F",
    "StudyDate": "20100512",
    "StudyTime": "142211.75",
    "StudyDescription": "Chest & Abdomen",
    "StudyID": "A100",
    "AccessionNumber": "ACC-7",
    "ReferringPhysicianName": "HOUSE^GREG",
}
MULLER = {
    "PatientName": "Müller^Jörg^^Dr.",
    "PatientID": "p-2",
    "StudyDate": "20240131",
    "StudyTime": "080000",
    "StudyDescription": "Schädel",
    "AccessionNumber": "123",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    found = Index(tmp_path_factory.mktemp("osirix") / "index.sqlite3")
    chest = {
        **DOE,
        "Modality": "CT",
        "SeriesDescription": "Thorax 1.0",
        "SeriesNumber": 2,
        "SeriesDate": "20100512",
        "SeriesTime": "143000",
        "InstitutionName": "General",
        "PerformingPhysicianName": ["A^B", "C^D"],
        "WindowCenter": [40.0, 50.0],
        "WindowWidth": [400.5],
        "Rows": 512,
        "Columns": 256,
    }
    report = {**DOE, "Modality": "SR", "SeriesDescription": "Report", "SeriesNumber": 1, "SOPClassUID": SR}
    head = {**MULLER, "Modality": "MR", "SeriesDescription": "T1", "SeriesNumber": 1, "SOPClassUID": MR}
    found.put(
        [
            *(
                instance(
                    "1.1",
                    "1.1.2",
                    n,
                    **chest,
                    SliceLocation=-5.5 + n,
                    AcquisitionDate="20100512",
                    AcquisitionTime=f"1430{n:02d}",
                )
                for n in (1, 2, 3)
            ),
            instance("1.1", "1.1.1", 1, **report),
            # The same instance in a second file.
            instance("1.2", "1.2.1", 1, **head),
            instance("1.2", "1.2.1", 1, **head, mtime_ns=1_700_000_000_000_000_000),
            instance("1.3", "1.3.1", 1, StudyDate="unknown"),
        ]
    )
    yield found
    found.close()


def uids(index: Index, table: str, predicate: str) -> list[str]:
    return [each.instance or each.series or each.study for each in find(index, table, predicate)]


@pytest.mark.parametrize(
    ("predicate", "studies"),
    [
        ("TRUEPREDICATE", "23 1"),
        ("FALSEPREDICATE", ""),
        ("NOT FALSEPREDICATE", "231"),
        ("patientID == 'P-1'", "1"),
        ("patientID == 'p-1'", ""),
        ("patientID ==[c] 'p-1'", "1"),
        ("'P-1' == patientID", "1"),
        ('patientID = "P-1"', "1"),
        ("patientID != 'P-1'", "23"),
        ("name == 'DOE^JANE'", "1"),
        ("name == 'DOE JANE'", "1"),
        ("name == 'Doe Jane'", ""),
        ("name LIKE '*OE^J*'", "1"),
        ("(name LIKE '*OE J*')", "1"),
        ("name LIKE[c] 'doe*'", "1"),
        ("name LIKE 'DOE'", ""),
        ("name LIKE 'D?E JANE'", "1"),
        ("name CONTAINS[cd] 'muller'", "2"),
        ("name CONTAINS 'Müller'", "2"),
        ("name CONTAINS 'Muller'", ""),
        ("name BEGINSWITH[d] 'Muller Jorg'", "2"),
        ("name ENDSWITH 'JANE'", "1"),
        ("name MATCHES '.*[JL]A.*'", "1"),
        ("name MATCHES[cd] 'mull.*dr\\.'", "2"),
        ("name IN {'x', 'DOE JANE'}", "1"),
        ("name == nil", "3"),
        ("name != nil", "21"),
        ("nil == name", "3"),
        ("name > 'E'", "2"),
        ("NOT (name > 'E')", "31"),
        ("name == ''", ""),
        ("patientUID == 'DOE JANE-P-1-19610207'", "1"),
        ("patientSex == 'F'", "1"),
        ("id == 'A100'", "1"),
        ("accessionNumber == '123'", "2"),
        ("accessionNumber == 123", "2"),
        ("accessionNumber IN {123, 'ACC-7'}", "21"),
        ("accessionNumber BETWEEN {'100', '200'}", "2"),
        ("studyName CONTAINS '&'", "1"),
        ("studyName ==[cd] 'schadel'", "2"),
        ("studyInstanceUID == '1.1'", "1"),
        ("studyInstanceUID LIKE '1.?'", "231"),
        ("studyInstanceUID IN {'1.1', '1.3', 'x'}", "31"),
        ("studyInstanceUID BEGINSWITH '1.'", "231"),
        # An SR comes first by its number, and is not what the study is called by.
        ("modality == 'CT'", "1"),
        ("modality == 'SR'", ""),
        ("ANY series.modality == 'SR'", "1"),
        ("modality IN {'CT', 'MR'}", "21"),
        ("modality != 'CT'", "23"),
        ("modality == nil", "3"),
        ("'SR' IN series.modality", "1"),
        ("series.modality CONTAINS 'SR'", "1"),
        ("ALL series.modality == 'MR'", "2"),
        ("NONE series.modality == 'CT'", "23"),
        ("ANY series.modality IN {'SR', 'MR'}", "21"),
        ("ALL series.modality != nil", "21"),
        ("series.@count == 2", "1"),
        ("series.@count BETWEEN {1, 1}", "23"),
        ("2 == series.@count", "1"),
        ("ANY series.images.@count == 3", "1"),
        ("ANY series.images.sliceLocation == -3.5", "1"),
        ("ANY series.images.sopInstanceUID == '1.1.2.2'", "1"),
        ("ANY series.seriesDICOMUID == '1.1.2'", "1"),
        ("ANY series.study.patientID == 'P-1'", "1"),
        ("numberOfImages == 4", "1"),
        ("numberOfImages > 1", "1"),
        ("numberOfImages < '2'", "23"),
        ("numberOfImages == 'many'", ""),
        ("numberOfImages != 'many'", "231"),
        ("numberOfImages IN {4, 9}", "1"),
        ("institutionName == 'General'", "1"),
        ("referringPhysician LIKE 'HOUSE*'", "1"),
        ("performingPhysician CONTAINS 'C^D'", "1"),
        ("stateText == 0 AND lockedStudy == NO AND hasDICOM == YES", "231"),
        ("comment == nil", "231"),
        ("comment LIKE '*'", ""),
        ("dateOpened == nil", "231"),
        ("reportURL != nil", ""),
        ("name == 'DOE JANE' AND modality == 'MR'", ""),
        ("name == 'DOE JANE' OR modality == 'MR'", "21"),
        ("NOT (name == 'DOE JANE' OR modality == 'MR')", "3"),
        ("studyInstanceUID == patientID", ""),
        ("name != patientID", "21"),
        ("{'P-1', 'x'} CONTAINS patientID", "1"),
        ("studyName IN 'A Chest & Abdomen'", "1"),
        ("1 == 1", "231"),
        ("'a' == 'b'", ""),
        ("'a' IN {'a', patientID}", "231"),
        ("'P-1' IN {patientID}", "1"),
    ],
)
def test_studies(index: Index, predicate: str, studies: str) -> None:
    expected = sorted(f"1.{number}" for number in studies.replace(" ", ""))
    assert sorted(uids(index, "Study", predicate)) == expected


LOCAL = "2010-05-12 14:22:11"
UTC = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(time.mktime((2010, 5, 12, 14, 22, 11, 0, 0, -1))))


@pytest.mark.parametrize(
    ("predicate", "studies"),
    [
        (f"date == CAST('{UTC}', 'NSDate')", "1"),
        (f"date == '{UTC}'", "1"),
        (f"date == '{LOCAL}'", "1"),
        (f"date IN {{'{UTC}'}}", "1"),
        (f"date != '{UTC}'", "32"),
        (f"date > '{UTC}'", "2"),
        (f"date >= '{UTC}'", "12"),
        (f"date < '{UTC}'", ""),
        (f"date <= '{UTC}'", "1"),
        (f"'{UTC}' <= date", "12"),
        ("date BETWEEN {'2010-05-12', '2010-05-13'}", "1"),
        ("date BETWEEN {'2024-01-31', '2024-01-31'}", ""),
        ("date > CAST(295000000, 'NSDate') AND date < CAST(296000000, 'NSDate')", "1"),
        ("date == nil", "3"),
        ("date > '0001-01-01'", "12"),
        ("date < '9999-12-31'", "12"),
        ("dateOfBirth == '1961-02-07 00:00:00 +0000'", "1"),
        ("dateOfBirth < CAST(0, 'NSDate')", "1"),
        # When the newest of its files was written.
        ("dateAdded == '2020-09-13 12:26:40 +0000'", "13"),
        ("dateAdded > '2023-01-01'", "2"),
        ("date > now()", ""),
        ("NOT (date > now())", "123"),
    ],
)
def test_dates(index: Index, predicate: str, studies: str) -> None:
    assert sorted(uids(index, "Study", predicate)) == sorted(f"1.{number}" for number in studies)


@pytest.mark.parametrize(
    ("predicate", "series"),
    [
        ("seriesDICOMUID == '1.1.2'", ["1.1.2"]),
        ("seriesInstanceUID == '1.1.2'", ["1.1.2"]),
        ("study.patientID == 'P-1'", ["1.1.1", "1.1.2"]),
        ("study.patientID == 'P-1' AND name == 'Thorax 1.0'", ["1.1.2"]),
        ("seriesDescription BEGINSWITH 'T'", ["1.2.1", "1.1.2"]),
        ("id == 2", ["1.1.2"]),
        ("id == '2'", ["1.1.2"]),
        ("id == 'A100'", []),
        ("id == nil", ["1.3.1"]),
        ("modality == 'MR'", ["1.2.1"]),
        ("numberOfImages == 3", ["1.1.2"]),
        ("numberOfKeyImages == 0", ["1.3.1", "1.1.1", "1.1.2", "1.2.1"]),
        ("windowLevel == 40", ["1.1.2"]),
        ("windowWidth > 400", ["1.1.2"]),
        ("windowWidth == nil AND id == 1", ["1.1.1", "1.2.1"]),
        (f"seriesSOPClassUID == '{SR}'", ["1.1.1"]),
        ("ANY images.instanceNumber == 3", ["1.1.2"]),
        ("images.@count == 1 AND study.series.@count == 2", ["1.1.1"]),
        ("study.name == 'DOE JANE'", ["1.1.1", "1.1.2"]),
        ("ANY study.series.modality == 'SR'", ["1.1.1", "1.1.2"]),
        ("study.modality == modality", ["1.3.1", "1.1.2", "1.2.1"]),
        ("study.institutionName == 'General'", ["1.1.1", "1.1.2"]),
        ("date == '2010-05-12 14:30:00'", ["1.1.2"]),
        ("study.dateAdded < '2021-01-01' AND modality != nil", ["1.1.1", "1.1.2"]),
    ],
)
def test_series(index: Index, predicate: str, series: list[str]) -> None:
    assert sorted(uids(index, "Series", predicate)) == sorted(series)


@pytest.mark.parametrize(
    ("predicate", "images"),
    [
        ("series.study.patientID == 'P-1' AND instanceNumber == 2", ["1.1.2.2"]),
        ("series.seriesDICOMUID == '1.1.2'", ["1.1.2.1", "1.1.2.2", "1.1.2.3"]),
        ("sliceLocation BETWEEN {-4, -3}", ["1.1.2.2"]),
        ("storedWidth == 256 AND storedHeight == 512", ["1.1.2.1", "1.1.2.2", "1.1.2.3"]),
        ("storedFileType == 'DICOM' AND series.modality == 'MR'", ["1.2.1.1"]),
        ("sopInstanceUID == '1.1.2.3'", ["1.1.2.3"]),
        ("pathString LIKE '/data/1.2.1.1*.dcm'", ["1.2.1.1"]),
        ("pathString CONTAINS '1.1.2.2'", ["1.1.2.2"]),
        ("series.study.name LIKE '*JANE' AND series.name == 'Report'", ["1.1.1.1"]),
        ("date == '2010-05-12 14:30:02'", ["1.1.2.2"]),
        ("series.study.date == nil", ["1.3.1.1"]),
        ("series.study.series.@count == 2 AND series.images.@count == 1", ["1.1.1.1"]),
        (
            "numberOfFrames == nil AND series.windowLevel == 40 AND series.study.id == 'A100' AND instanceNumber = 1",
            ["1.1.2.1"],
        ),
    ],
)
def test_images(index: Index, predicate: str, images: list[str]) -> None:
    assert uids(index, "Image", predicate) == images


def test_order(index: Index) -> None:
    assert uids(index, "Study", "TRUEPREDICATE") == ["1.3", "1.1", "1.2"]
    assert uids(index, "Series", "TRUEPREDICATE") == ["1.3.1", "1.1.1", "1.1.2", "1.2.1"]
    assert uids(index, "Image", "TRUEPREDICATE") == ["1.3.1.1", "1.1.1.1", "1.1.2.1", "1.1.2.2", "1.1.2.3", "1.2.1.1"]


@pytest.mark.parametrize(
    ("table", "predicate", "words"),
    [
        ("Patient", "TRUEPREDICATE", "no such table"),
        ("study", "TRUEPREDICATE", "no such table"),
        ("Study", "patientid == 'x'", "no such key"),
        ("Study", "foo == 1", "no such key"),
        ("Study", "series == 1", "needs a key"),
        ("Study", "name.x == 1", "no such key"),
        ("Study", "images.@count > 1", "no such key"),
        ("Study", "study.patientID == 1", "no such key"),
        ("Series", "study.@count == 1", "counted"),
        ("Study", "series.modality == 'CT'", "several"),
        ("Study", "ANY name == 'x'", "several"),
        ("Study", "date > 'yesterday'", "is none"),
        ("Study", "date > 5", "is none"),
        ("Study", "date LIKE '2010*'", "compares text"),
        ("Study", "numberOfImages CONTAINS 1", "compares text"),
        ("Study", "name == CAST(0, 'NSDate')", "is none"),
        ("Study", "name == TRUE", "is none"),
        ("Study", "name LIKE patientID", "needs a pattern"),
        ("Study", "name == date", "cannot be compared"),
        ("Study", "name == series.modality", "several"),
        ("Study", "name IN 5", "needs a list"),
        ("Study", "name MATCHES '(a)\\\\1'", "back references"),
        ("Study", "ANY series.images.@count.x == 1", "@count"),
        ("Study", "name == 'x' OR foo == 1", "no such key"),
        ("Study", "", "empty"),
    ],
)
def test_what_is_refused(index: Index, table: str, predicate: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        find(index, table, predicate)


def test_more_answers_than_are_wanted(index: Index) -> None:
    assert len(find(index, "Study", "TRUEPREDICATE", limit=3)) == 3
    with pytest.raises(ArgumentError, match="too much"):
        find(index, "Study", "TRUEPREDICATE", limit=2)


def test_a_cancel_and_a_deadline(index: Index) -> None:
    with pytest.raises(JobCancelledError):
        find(index, "Study", "TRUEPREDICATE", cancelled=lambda: True)
    with patch.object(query, "DEADLINE", -1.0), pytest.raises(DeadlineError, match="too long"):
        find(index, "Study", "TRUEPREDICATE")
    # Nothing is left open: the index can be written.
    index.remove(study="none")


def test_values_never_become_sql(index: Index) -> None:
    for value in ("x' OR '1'='1", 'x" OR 1=1 --', "%", "_", "[a-z]", "*", "?"):
        for operator in ("==", "CONTAINS", "BEGINSWITH", "IN"):
            right = f"{{{value!r}}}" if operator == "IN" else repr(value)
            assert uids(index, "Study", f"patientID {operator} {right}") == []


@pytest.mark.parametrize(
    ("table", "predicate", "column"),
    [
        ("Study", "patientID == 'P-1'", '"PatientID"'),
        ("Study", "name LIKE '*DOE*'", '"PatientName"'),
        ("Study", "date > '2020-01-01'", '"StudyDate"'),
        ("Study", "modality == 'CT'", '"ModalitiesInStudy"'),
        ("Series", "seriesDICOMUID == '1.2'", '"SeriesInstanceUID"'),
        ("Image", "series.study.patientID == 'x'", '"PatientID"'),
        ("Study", "ANY series.seriesDICOMUID == '1'", "SELECT s.study_id"),
    ],
)
def test_columns_rule_out_most(table: str, predicate: str, column: str) -> None:
    from slicer_notebook.dicom.nspredicate import parse
    from slicer_notebook.dicom.osirix.entities import ENTITIES

    found = narrowed(parse(predicate), ENTITIES[table])  # type: ignore[index]
    assert found is not None
    assert column in found.sql
    assert "P-1" not in found.sql


# -- narrowing loses nothing, whatever the text --------------------------------------------------------------------

_LETTERS = "aAbBéÉeİiıßsSKkﬁfίͅ ^,.-*?\\'\"漢"  # noqa: RUF001
_TEXTS = st.text(_LETTERS, max_size=5)
_KEYS = st.sampled_from(["name", "studyName", "patientID", "studyInstanceUID", "modality", "referringPhysician"])


@st.composite
def _comparison(draw: st.DrawFn) -> str:
    operator = draw(st.sampled_from(["==", "!=", "LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH", "IN", "<", ">="]))
    options = draw(st.sampled_from(["", "[c]", "[d]", "[cd]"]))
    quoted = [
        '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in draw(st.lists(_TEXTS, min_size=1, max_size=3))
    ]
    right = "{" + ", ".join(quoted) + "}" if operator == "IN" else quoted[0]
    return f"{draw(_KEYS)} {operator}{options} {right}"


@st.composite
def _predicate(draw: st.DrawFn) -> str:
    parts = draw(st.lists(_comparison(), min_size=1, max_size=3))
    word = draw(st.sampled_from([" AND ", " OR "]))
    return draw(st.sampled_from(["({})", "NOT ({})"])).format(word.join(parts))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(predicates=st.lists(_predicate(), min_size=4, max_size=8), values=st.lists(_TEXTS, min_size=6, max_size=12))
def test_narrowing_loses_nothing(tmp_path: Path, predicates: list[str], values: list[str]) -> None:
    index = Index(tmp_path / f"{next(_numbers)}.sqlite3")
    around = itertools.cycle(values)
    for number in range(4):
        words = {
            name: next(around) or None
            for name in ("PatientName", "StudyDescription", "PatientID", "Modality", "ReferringPhysicianName")
        }
        index.put([instance(f"{next(around)}{number}", f"1.{number}", 1, **words)])
    try:
        for predicate in predicates:
            narrow = uids(index, "Study", predicate)
            with patch.object(query, "narrowed", lambda _node, _entity: None):
                assert narrow == uids(index, "Study", predicate), predicate
    finally:
        index.close()
