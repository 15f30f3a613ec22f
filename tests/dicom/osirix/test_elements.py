"""What is said of an answer: keys, text, dates, and what has no key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook.dicom import Index, Instance
from slicer_notebook.dicom.osirix import find
from slicer_notebook.dicom.osirix.elements import text_of

CT = "1.2.840.10008.5.1.4.1.1.2"

#: Keys of the tables as OsiriX has them: an answer has no others.
STUDY = [
    "studyInstanceUID", "patientID", "patientUID", "patientSex", "name", "dateOfBirth", "id", "accessionNumber",
    "studyName", "modality", "date", "dateAdded", "dateOpened", "numberOfImages", "institutionName",
    "referringPhysician", "performingPhysician", "reportURL", "comment", "comment2", "comment3", "comment4",
    "stateText", "lockedStudy", "hasDICOM",
]  # fmt: skip
SERIES = [
    "seriesDICOMUID", "seriesInstanceUID", "seriesSOPClassUID", "seriesDescription", "name", "id", "modality", "date",
    "numberOfImages", "numberOfKeyImages", "windowLevel", "windowWidth",
]  # fmt: skip
IMAGE = ["instanceNumber", "sliceLocation", "pathString", "date", "storedFileType", "storedWidth", "storedHeight"]


@pytest.fixture
def zurich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours before UTC in May."""
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    found = Index(tmp_path / "index.sqlite3")
    whole = Instance(
        StudyInstanceUID="1.1", SeriesInstanceUID="1.1.2", SOPInstanceUID="1.1.2.1", SOPClassUID=CT, InstanceNumber=1,
        PatientName="DOE^JANE", PatientID="P-1", PatientBirthDate="19610207", PatientSex="F", StudyDate="20100512",
        StudyTime="162211.5", StudyDescription="Chest <&> \"Abdomen\"", StudyID="A100", AccessionNumber="ACC-7",
        ReferringPhysicianName="HOUSE^GREG", Modality="CT", SeriesDescription="Thorax", SeriesNumber=2,
        SeriesDate="20100512", SeriesTime="163000", InstitutionName="General", PerformingPhysicianName=["A^B", "C^D"],
        WindowCenter=[40.0], WindowWidth=[400.5], Rows=512, Columns=256, SliceLocation=-4.5, path="/data/1.dcm",
        mtime_ns=1_600_000_000_500_000_000,
    )  # fmt: skip
    bare = Instance(StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1", path="/data/2.dcm")
    found.put([whole, bare])
    yield found
    found.close()


def one(index: Index, table: str, key: str, uid: str) -> dict[str, str]:
    (found,) = find(index, table, f"{key} == '{uid}'")
    return found.element


@pytest.mark.usefixtures("zurich")
def test_a_study(index: Index) -> None:
    found = one(index, "Study", "studyInstanceUID", "1.1")
    assert found == {
        "studyInstanceUID": "1.1", "patientID": "P-1", "patientUID": "DOE JANE-P-1-19610207", "patientSex": "F",
        "name": "DOE^JANE", "dateOfBirth": "1961-02-07 00:00:00 +0000", "id": "A100", "accessionNumber": "ACC-7",
        "studyName": 'Chest <&> "Abdomen"', "modality": "CT", "date": "2010-05-12 14:22:11 +0000",
        "dateAdded": "2020-09-13 12:26:40 +0000", "numberOfImages": "1", "institutionName": "General",
        "referringPhysician": "HOUSE^GREG", "performingPhysician": "A^B\\C^D", "stateText": "0", "lockedStudy": "0",
        "hasDICOM": "1",
    }  # fmt: skip
    assert [key for key in STUDY if key in found] == list(found)


@pytest.mark.usefixtures("zurich")
def test_a_series(index: Index) -> None:
    found = one(index, "Series", "seriesDICOMUID", "1.1.2")
    assert found == {
        "seriesDICOMUID": "1.1.2", "seriesInstanceUID": "1.1.2", "seriesSOPClassUID": CT,
        "seriesDescription": "Thorax", "name": "Thorax", "id": "2", "modality": "CT",
        "date": "2010-05-12 14:30:00 +0000", "numberOfImages": "1", "numberOfKeyImages": "0", "windowLevel": "40",
        "windowWidth": "400.5",
    }  # fmt: skip
    assert list(found) == SERIES


@pytest.mark.usefixtures("zurich")
def test_an_image(index: Index) -> None:
    found = one(index, "Image", "sopInstanceUID", "1.1.2.1")
    assert found == {
        "instanceNumber": "1", "sliceLocation": "-4.5", "pathString": "/data/1.dcm",
        "date": "2010-05-12 14:30:00 +0000", "storedFileType": "DICOM", "storedWidth": "256", "storedHeight": "512",
    }  # fmt: skip
    assert list(found) == IMAGE


def test_what_is_absent_has_no_key(index: Index) -> None:
    assert one(index, "Study", "studyInstanceUID", "1.2") == {
        "studyInstanceUID": "1.2", "dateAdded": "1970-01-01 00:00:00 +0000", "numberOfImages": "1", "stateText": "0",
        "lockedStudy": "0", "hasDICOM": "1",
    }  # fmt: skip
    assert one(index, "Series", "seriesDICOMUID", "1.2.1") == {
        "seriesDICOMUID": "1.2.1", "seriesInstanceUID": "1.2.1", "numberOfImages": "1", "numberOfKeyImages": "0",
    }  # fmt: skip
    assert one(index, "Image", "sopInstanceUID", "1.2.1.1") == {"pathString": "/data/2.dcm", "storedFileType": "DICOM"}


def test_an_element_s_own_text_finds_it_again(index: Index) -> None:
    """A client that sends back what it was told."""
    for table, key in (("Study", "studyInstanceUID"), ("Series", "seriesDICOMUID"), ("Image", "pathString")):
        for each in find(index, table, "TRUEPREDICATE"):
            for name, text in each.element.items():
                quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
                again = [other.element[key] for other in find(index, table, f"{name} == {quoted}")]
                assert each.element[key] in again, (table, name, text)


def test_text_of_numbers_and_dates() -> None:
    assert [text_of(value, "number") for value in (5, -3, 2.0, 0.1, -4.5, 1e20, 1e-7)] == [
        "5", "-3", "2", "0.1", "-4.5", "1e+20", "1e-07",
    ]  # fmt: skip
    assert text_of(-1.0, "date") == "1969-12-31 23:59:59 +0000"
