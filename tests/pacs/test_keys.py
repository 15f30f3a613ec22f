"""Keys of queries: each kind of value, what is refused and in which words, and answers that contradict them."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pydicom
import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.dimse.identifiers import character_set, decode_identifier, encode_identifier
from slicer_notebook.pacs.keys import (
    RETURNED,
    UNIQUE,
    alternatives,
    build_query,
    exact_values,
    is_wild,
    level_of,
    lowest_level,
    matches,
    names_something,
    normal_level,
    only_wild,
)
from slicer_notebook.pacs.model import LEVELS


def asked(level: str = "STUDY", **keys: Any) -> pydicom.Dataset:
    return build_query(level, {name.replace("__", "."): value for name, value in keys.items()}).identifier


def test_what_is_returned_unasked_and_what_is_asked_for_besides() -> None:
    for level in LEVELS:
        query = build_query(level, {}, include=["InstitutionName"], limit=7, fuzzy=True, relational=True)
        assert [each.keyword for each in query.identifier] == sorted(
            {*RETURNED[level], "InstitutionName"}, key=pydicom.tag.Tag
        )
        assert all(not exact_values(each) for each in query.identifier)
        assert UNIQUE[level] in query.identifier
        assert (query.level, query.limit, query.fuzzy, query.relational) == (level, 7, True, True)


@pytest.mark.parametrize(
    ("given", "normal"),
    [("study", "STUDY"), (" Studies ", "STUDY"), ("IMAGE", "IMAGE"), ("instances", "IMAGE"), ("patient", "PATIENT")],
)
def test_names_of_levels(given: str, normal: str) -> None:
    assert normal_level(given) == normal


def test_no_level() -> None:
    with pytest.raises(ArgumentError, match="'FRAME'") as error:
        normal_level("FRAME")
    assert "PATIENT, STUDY, SERIES, IMAGE" in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("PatientName", "Doe*", "Doe*"),
        ("PatientName", "Müller^J?rgen", "Müller^J?rgen"),
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "*洪*", "*洪*"),
        ("PatientName", pydicom.valuerep.PersonName("Doe^Jane"), "Doe^Jane"),
        ("PatientID", 4711, "4711"),
        ("PatientID", " 4711 ", "4711"),
        ("PatientID", "*", "*"),
        ("Modality", "ct", "CT"),
        ("SeriesNumber", 3, 3),
        ("SeriesNumber", "3", 3),
        ("SeriesNumber", np.int64(3), 3),
        ("Rows", "512", 512),
        ("EchoTime", 1.25, "1.25"),
        ("EchoTime", "1.250", "1.250"),
        ("SliceThickness", 1 / 3, "0.33333333333333"),
        ("ImagingFrequency", np.float32(0.5), "0.5"),
        ("RealWorldValueSlope", "0.5", 0.5),
        ("FrameIncrementPointer", "PatientName", 0x00100010),
        ("0019,100C", "private", "private"),
        ("(0010,0020)", "4711", "4711"),
        ("StudyInstanceUID", "1.2.3", "1.2.3"),
    ],
)
def test_single_values(name: str, value: Any, sent: Any) -> None:
    query = build_query("STUDY", {name: value})
    found = query.identifier[pydicom.tag.Tag(name.strip("()").replace(",", "")) if "," in name else name]
    assert str(found.value) == (str(sent) if found.VR != "AT" else str(pydicom.tag.Tag(sent)))
    transfer = "1.2.840.10008.1.2.1"
    data = encode_identifier(query.identifier, transfer, character_set(query.identifier))
    back = decode_identifier(data, transfer, "peer")
    assert str(back[found.tag].value) == str(found.value)


@pytest.mark.parametrize("name", ["PatientName", "StudyDate", "SeriesNumber", "StudyInstanceUID", "PixelSpacing"])
def test_nothing_asks_for_the_attribute_itself(name: str) -> None:
    for value in (None, "", "  "):
        assert exact_values(asked(**{name: value})[name]) == []
    # A wild card is for texts; where it is not, it is the same as nothing.
    assert exact_values(asked(**{name: "*"})[name]) == (["*"] if name == "PatientName" else [])


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("StudyDate", "20240131", "20240131"),
        ("StudyDate", "2024-01-31", "20240131"),
        ("StudyDate", "2024.01.31", "2024.01.31"),
        ("StudyDate", datetime.date(2024, 1, 31), "20240131"),
        ("StudyDate", datetime.datetime(2024, 1, 31, 10), "20240131"),
        ("StudyDate", "20240101-20240131", "20240101-20240131"),
        ("StudyDate", "2024-01-01-2024-01-31", "20240101-20240131"),
        ("StudyDate", "2024-01-01..2024-01-31", "20240101-20240131"),
        ("StudyDate", "20240101-", "20240101-"),
        ("StudyDate", "-2024-01-31", "-20240131"),
        ("StudyDate", ("2024-01-01", datetime.date(2024, 1, 31)), "20240101-20240131"),
        ("StudyDate", ["20240101", None], "20240101-"),
        ("StudyDate", (None, "20240131"), "-20240131"),
        ("StudyDate", "202401*", "202401*"),
        ("StudyTime", "10:15", "1015"),
        ("StudyTime", "101530.5", "101530.5"),
        ("StudyTime", datetime.time(10, 15, 30), "101530"),
        ("StudyTime", ("08:00", "12"), "0800-12"),
        ("StudyTime", "0800-1200", "0800-1200"),
        ("StudyTime", datetime.datetime(2024, 1, 31, 10), "100000"),
        ("AcquisitionDateTime", "2024-01-31T10:15:30", "20240131101530"),
        ("AcquisitionDateTime", "2024-01-31 10:15", "202401311015"),
        ("AcquisitionDateTime", datetime.datetime(2024, 1, 31, 10, tzinfo=datetime.UTC), "20240131100000+0000"),
        ("AcquisitionDateTime", "20240131100000-0500-20240131120000-0500", "20240131100000-0500-20240131120000-0500"),
        ("AcquisitionDateTime", "2024-2025", "2024-2025"),
        ("AcquisitionDateTime", (datetime.date(2024, 1, 1), None), "20240101-"),
    ],
)
def test_dates_and_times(name: str, value: Any, sent: str) -> None:
    assert exact_values(asked(**{name: value})[name]) == [sent]


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("StudyDate", "31.01.2024", "text of 10 characters"),
        ("StudyDate", "2024", "text of 4 characters"),
        ("StudyDate", "20240231", "a day that there is not"),
        ("StudyDate", "20240131-20240101", "the other way round"),
        ("StudyDate", 20240131, "int"),
        ("StudyDate", (None, ""), "two open ends"),
        ("StudyDate", ("20240101", "20240102", "20240103"), "3 values"),
        ("StudyDate", "-", "text of 1 characters"),
        ("StudyTime", "25:00", "text of 5 characters"),
        ("StudyTime", datetime.date(2024, 1, 1), "date"),
        ("AcquisitionDateTime", "noon", "text of 4 characters"),
    ],
)
def test_no_dates_and_times(name: str, value: Any, got: str) -> None:
    with pytest.raises(ArgumentError, match=f"The key {name}") as error:
        asked(**{name: value})
    assert error.value.got == got
    assert error.value.expected


def test_several_values_are_any_of_them() -> None:
    uids = [f"1.2.{number}" for number in range(3)]
    for value in (uids, tuple(uids), set(uids), "\\".join(uids)):
        assert list(asked(StudyInstanceUID=value).StudyInstanceUID) == uids
    assert asked(StudyInstanceUID=["1.2.1", "1.2.1"]).StudyInstanceUID == "1.2.1"
    assert list(asked(PatientID={"b", "a"}).PatientID) == ["a", "b"]
    # Of dates a list is a range, and a set is none.
    assert asked(StudyDate=["20240101", "20240131"]).StudyDate == "20240101-20240131"
    assert list(asked(StudyDate={"20240131", "20240101"}).StudyDate) == ["20240101", "20240131"]
    assert list(asked(StudyDate="20240101\\20240131").StudyDate) == ["20240101", "20240131"]


def test_lists_become_questions_that_every_pacs_understands() -> None:
    uids = [f"1.2.{number}" for number in range(310)]
    query = build_query("STUDY", {"StudyInstanceUID": uids, "PatientID": ["a", "b"], "StudyDate": "20240101-"}, limit=5)
    parts = list(alternatives(query))
    assert len(parts) == 6
    assert {part.identifier.PatientID for part in parts} == {"a", "b"}
    of_a = [part.identifier.StudyInstanceUID for part in parts if part.identifier.PatientID == "a"]
    assert [len(part) for part in of_a] == [150, 150, 10]
    assert [uid for part in of_a for uid in part] == uids
    assert {(part.limit, part.identifier.StudyDate) for part in parts} == {(5, "20240101-")}
    plain = build_query("STUDY", {"StudyInstanceUID": uids[:150]})
    assert list(alternatives(plain)) == [plain]
    with pytest.raises(ArgumentError, match="Too many values"):
        asked(PatientID=[str(n) for n in range(40)], AccessionNumber=[str(n) for n in range(40)])


def test_sequences() -> None:
    as_mapping = asked(
        "SERIES", RequestAttributesSequence={"ScheduledProcedureStepID": "7", "RequestedProcedureID": None}
    )
    one_by_one = asked(
        "SERIES",
        RequestAttributesSequence__ScheduledProcedureStepID="7",
        RequestAttributesSequence__RequestedProcedureID=None,
    )
    assert as_mapping == one_by_one
    (item,) = as_mapping.RequestAttributesSequence
    assert item.ScheduledProcedureStepID == "7"
    assert exact_values(item["RequestedProcedureID"]) == []
    deep = asked(ProcedureCodeSequence={"CodeValue": "X", "EquivalentCodeSequence": {"CodeValue": "Y"}})
    assert deep.ProcedureCodeSequence[0].EquivalentCodeSequence[0].CodeValue == "Y"
    for nothing in (None, "", {}):
        assert len(asked(ProcedureCodeSequence=nothing).ProcedureCodeSequence) == 0


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"PatentName": "x"}, "Did you mean 'PatientName'"),
        ({"PatientName": b"x"}, "expected: text or a number\n  got: bytes"),
        ({"PatientName": True}, "got: bool"),
        ({"PatientName": float("nan")}, "got: float"),
        ({"PatientName": "a\nb"}, "without control characters"),
        ({"PatientName": []}, "an empty list"),
        ({"PatientID": ["a", None]}, "an empty value"),
        ({"StudyInstanceUID": ["1.2", " "]}, "an empty value"),
        ({"SeriesNumber": "three"}, "expected: a whole number\n  got: text of 5 characters"),
        ({"SeriesNumber": 1.5}, "a whole number"),
        ({"EchoTime": "long"}, "expected: a number"),
        ({"EchoTime": float("inf")}, "expected: a number"),
        ({"PixelData": None}, "PixelData is no key"),
        ({"TransferSyntaxUID": "1.2"}, "TransferSyntaxUID is no key"),
        ({"QueryRetrieveLevel": "STUDY"}, "level=... says it"),
        ({"SpecificCharacterSet": "ISO_IR 192"}, "charset="),
        ({"PatientName.Modality": "x"}, "PatientName is no sequence"),
        ({"PatientName": {"a": "b"}}, "PatientName is no sequence"),
        ({"ProcedureCodeSequence": "X"}, "expected: a mapping"),
        ({"ProcedureCodeSequence.CodeValue": ["X", "Y"]}, "one value in a sequence"),
        ({"ProcedureCodeSequence.Nonsense": "X"}, "no DICOM attribute 'Nonsense'"),
        ({"EncapsulatedDocument": "x"}, "cannot be matched"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as error:
        build_query("STUDY", keys)
    assert words in str(error.value)
    assert "Doe" not in str(error.value)


def test_no_value_of_a_patient_is_repeated_in_an_error() -> None:
    for keys in ({"PatientName": "Planted\x01"}, {"PatientBirthDate": "Planted"}, {"PatientWeight": "Planted"}):
        with pytest.raises(ArgumentError) as error:
            build_query("STUDY", keys)
        assert "Planted" not in str(error.value)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "3"])
def test_no_limit(limit: Any) -> None:
    with pytest.raises(ArgumentError, match="limit"):
        build_query("STUDY", {}, limit=limit)


def test_wild_cards_alone() -> None:
    assert all(is_wild(value) for value in (None, "", "*", "**", " ?* "))
    assert not any(is_wild(value) for value in ("D*", 0, "20240101-"))
    assert only_wild(build_query("STUDY", {}))
    assert only_wild(build_query("STUDY", {"PatientName": "*", "ProcedureCodeSequence": {"CodeValue": "*"}}))
    assert not only_wild(build_query("STUDY", {"PatientName": "D*"}))
    assert not only_wild(build_query("STUDY", {"SeriesNumber": 0}))
    assert not only_wild(build_query("STUDY", {"ProcedureCodeSequence": {"CodeValue": "X"}}))
    assert not names_something({})
    assert not names_something({"PatientID": None, "StudyDate": "", "ProcedureCodeSequence": {}})
    assert names_something({"PatientID": "*"})


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({"PatientID": "1"}, "STUDY"),
        ({"StudyDate": "2024", "AccessionNumber": "A", "ModalitiesInStudy": "CT"}, "STUDY"),
        ({"Modality": "CT"}, "SERIES"),
        ({"0008,0060": "CT"}, "SERIES"),
        ({"Modality": None, "SeriesNumber": "*"}, "STUDY"),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "7"}, "SERIES"),
        ({"Modality": "CT", "InstanceNumber": 1}, "IMAGE"),
        ({"SOPInstanceUID": "1.2"}, "IMAGE"),
    ],
)
def test_the_level_that_all_keys_have(keys: dict[str, Any], level: str) -> None:
    assert lowest_level(keys) == level


def test_levels_of_attributes() -> None:
    assert level_of("PatientName") == level_of("NumberOfPatientRelatedStudies") == "PATIENT"
    assert level_of("StudyInstanceUID") == level_of("NumberOfStudyRelatedInstances") == "STUDY"
    assert level_of("SeriesInstanceUID") == level_of("NumberOfSeriesRelatedInstances") == "SERIES"
    assert level_of("SOPInstanceUID") is level_of("0019100C") is None


@pytest.mark.parametrize(
    ("keys", "record", "may_be"),
    [
        ({"PatientID": "A1"}, {"PatientID": "a1 "}, True),
        ({"PatientID": "A1"}, {"PatientID": "A11"}, False),
        ({"PatientID": "A*"}, {"PatientID": "B"}, True),  # what a wild card matches is the PACS's to say
        ({"PatientID": "A1"}, {}, True),
        ({"PatientID": "A1"}, {"PatientID": None}, True),
        ({"StudyInstanceUID": ["1.2", "1.3"]}, {"StudyInstanceUID": "1.3"}, True),
        ({"StudyInstanceUID": ["1.2", "1.3"]}, {"StudyInstanceUID": "1.4"}, False),
        ({"ModalitiesInStudy": "CT"}, {"ModalitiesInStudy": ["MR", "CT"]}, True),
        ({"ModalitiesInStudy": "CT"}, {"ModalitiesInStudy": ["MR"]}, False),
        ({"StudyDate": "20240101-20240131"}, {"StudyDate": "20240115"}, True),
        ({"StudyDate": "20240101-20240131"}, {"StudyDate": "2024.02.01"}, False),
        ({"StudyDate": "20240101-"}, {"StudyDate": "20231231"}, False),
        ({"StudyDate": "-20240131"}, {"StudyDate": "20240201"}, False),
        ({"StudyDate": "20240115"}, {"StudyDate": "20240116"}, False),
        ({"StudyDate": "20240115"}, {"StudyDate": "unknown"}, True),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "Roe^Richard"}, True),  # another script, perhaps
    ],
)
def test_answers_that_contradict_the_question(keys: dict[str, Any], record: dict[str, Any], may_be: bool) -> None:
    assert matches(build_query("STUDY", keys), record) is may_be
