"""Answers as plain values, the same from a data set and from the DICOM JSON model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from slicer_notebook.pacs.records import name_of, record_of_dataset, record_of_json


def study() -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.StudyDate = "20200131"
    found.StudyTime = "101112.5"
    found.AccessionNumber = ""
    found.ModalitiesInStudy = ["CT", "MR"]
    found.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    found.PatientID = "Q[2]"
    found.PatientWeight = "70.5"
    found.OtherPatientNames = "Doe^Jane"
    found.StudyInstanceUID = "1.2.3"
    found.NumberOfStudyRelatedSeries = 2
    found.NumberOfStudyRelatedInstances = "133"
    found.ImageOrientationPatient = [1, 0, 0, 0, 1, 0.5]
    found.PixelSpacing = ["0.5", "0.25"]
    item = Dataset()
    item.CodeValue = "T-D1100"
    item.CodeMeaning = "Schädel"
    found.ProcedureCodeSequence = Sequence([item])
    found.ReferencedStudySequence = Sequence([])
    return found


EXPECTED: dict[str, Any] = {
    "StudyDate": "20200131",
    "StudyTime": "101112.5",
    "AccessionNumber": None,
    "ModalitiesInStudy": ["CT", "MR"],
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientID": "Q[2]",
    "PatientWeight": 70.5,
    "OtherPatientNames": ["Doe^Jane"],
    "StudyInstanceUID": "1.2.3",
    "NumberOfStudyRelatedSeries": 2,
    "NumberOfStudyRelatedInstances": 133,
    "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.5],
    "PixelSpacing": [0.5, 0.25],
    "ProcedureCodeSequence": [{"CodeValue": "T-D1100", "CodeMeaning": "Schädel"}],
}


def test_a_data_set_as_a_record() -> None:
    found = record_of_dataset(study())
    assert {key: found[key] for key in EXPECTED} == EXPECTED
    assert found["ReferencedStudySequence"] in ([], None)
    for key in ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"):
        assert type(found[key]) is int
    json.dumps(found)


def test_the_json_model_as_a_record() -> None:
    found = record_of_json(json.loads(study().to_json()))
    assert {key: found[key] for key in EXPECTED} == EXPECTED
    assert found["ReferencedStudySequence"] in ([], None)


def test_a_single_value_of_an_attribute_with_several_is_a_list() -> None:
    data = Dataset()
    data.ModalitiesInStudy = "CT"
    data.SOPClassesInStudy = "1.2.840.10008.5.1.4.1.1.2"
    expected = {"ModalitiesInStudy": ["CT"], "SOPClassesInStudy": ["1.2.840.10008.5.1.4.1.1.2"]}
    assert record_of_dataset(data) == expected
    assert record_of_json(json.loads(data.to_json())) == expected


@pytest.mark.parametrize(("tag", "name", "several"), [
    (0x00100020, "PatientID", False),
    (0x00080061, "ModalitiesInStudy", True),
    (0x00111001, "00111001", False),
    (0x00280030, "PixelSpacing", True),
])  # fmt: skip
def test_names(tag: int, name: str, several: bool) -> None:
    assert name_of(tag) == (name, several)


def test_private_and_unknown_attributes_are_named_by_number() -> None:
    data = Dataset()
    data.add(DataElement(0x00111001, "LO", "private"))
    assert record_of_dataset(data) == {"00111001": "private"}
    assert record_of_json(json.loads(data.to_json())) == {"00111001": "private"}


@pytest.mark.parametrize(("keyword", "vr", "raw"), [
    ("NumberOfStudyRelatedSeries", "IS", b"two "),
    ("PatientWeight", "DS", b"heavy "),
    ("ImageOrientationPatient", "DS", b"1\\x\\3 "),
])  # fmt: skip
def test_values_that_are_not_as_their_vr_says_are_text(keyword: str, vr: str, raw: bytes) -> None:
    from pydicom.datadict import tag_for_keyword

    tag = Tag(tag_for_keyword(keyword) or 0)
    data = Dataset({tag: RawDataElement(tag, vr, len(raw), raw, 0, False, True)})
    found = record_of_dataset(data)[keyword]
    text = raw.decode().strip()
    # Several values may come one by one, or as the text they were; nothing of them is gone.
    assert (found if isinstance(found, str) else "\\".join(map(str, found))).split("\\") == text.split("\\")


# -- what servers answer that is not quite the standard's ----------------------------------------------------------


@pytest.mark.parametrize(("element", "value"), [
    ({"vr": "IS", "Value": ["12"]}, 12),
    ({"vr": "IS", "Value": [12.0]}, 12),
    ({"vr": "IS", "Value": ["twelve"]}, "twelve"),
    ({"vr": "IS", "Value": [float("inf")]}, "inf"),
    ({"vr": "IS", "Value": [None]}, None),
    ({"vr": "IS", "Value": []}, None),
    ({"vr": "IS"}, None),
    ({"vr": "IS", "Value": "12"}, None),
    ({}, None),
    ("12", None),
    (None, None),
])  # fmt: skip
def test_numbers_of_the_json_model(element: Any, value: Any) -> None:
    assert record_of_json({"00201206": element}) == {"NumberOfStudyRelatedSeries": value}


@pytest.mark.parametrize(("value", "name"), [
    ({"Alphabetic": "Doe^Jane"}, "Doe^Jane"),
    ({"Alphabetic": "A", "Phonetic": "C"}, "A==C"),
    ({"Ideographic": "B"}, "=B"),
    ({"Alphabetic": None}, None),
    ({}, None),
    ({"Alphabetic": 5}, "5"),
    ("Doe^Jane", "Doe^Jane"),  # as text, against PS3.18 F.2.2
])  # fmt: skip
def test_names_of_the_json_model(value: Any, name: str | None) -> None:
    assert record_of_json({"00100010": {"vr": "PN", "Value": [value]}}) == {"PatientName": name}


def test_numbers_that_json_does_not_have_are_text() -> None:
    answer = json.loads('{"00101030": {"vr": "DS", "Value": [1e999]}, "00101020": {"vr": "DS", "Value": ["nan"]}}')
    assert record_of_json(answer) == {"PatientWeight": "inf", "PatientSize": "nan"}


def test_sequences_and_bulk_data_of_the_json_model() -> None:
    answer = {
        "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}, "no item"]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "https://host/bulk"},
        **{key: {"vr": "LO", "Value": ["x"]} for key in ["no tag", "-0100020", "0x100020", "00_10_20", "FFFFFFFFFF"]},
    }
    assert record_of_json(answer) == {"ProcedureCodeSequence": [{"CodeValue": "X"}], "PixelData": None}
