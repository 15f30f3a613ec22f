"""The catalogue: a line for each study, in order, kept up to date; pseudonyms that tell nothing."""

from __future__ import annotations

import re
import sqlite3

import pytest

from slicer_notebook.dicom import Index
from slicer_notebook.dicom.catalogue import FIELDS, PAGE, PART, patient_name
from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.rows import row_of
from tests.dicom.make import MR, write_series


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "dicom.sqlite3")
    yield found
    found.close()


def put(path, *instances):
    """Index instances of which there are no files."""
    database = Database(path)
    rows = []
    for number, values in enumerate(instances):
        study = values.get("StudyInstanceUID", "1")
        series = values.get("SeriesInstanceUID", f"{study}.1")
        own = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": f"{series}.{number}"}
        rows.append(row_of(Instance(**{**own, **values}, path=f"/made/up/{number}", size=1, mtime_ns=1)))
    database.write(rows)
    database.close()


def test_a_study_s_line(index, tmp_path):
    write_series(
        tmp_path / "ct", SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Özgür^Can^Dr=山田^太郎", PatientID="Q7",
        PatientBirthDate="19500131", PatientSex="F", PatientAge="070Y", StudyTime="143000.5", AccessionNumber="A7",
        ReferringPhysicianName="Roth^Ada", InstitutionName="A Hospital", OperatorsName="Ott",
        ProtocolName="Thorax spät", BodyPartExamined="CHEST", ManufacturerModelName="Scan 64",
        OtherPatientIDs=["K1", "K2"], IssuerOfPatientID="The Clinic",
    )  # fmt: skip
    write_series(
        tmp_path / "mr", shape=(3, 4, 4), sop_class=MR, SeriesNumber=4, SeriesInstanceUID="1.2.3.4.9",
        SeriesDescription="T1 größer",
    )  # fmt: skip
    index.add(tmp_path / "ct", tmp_path / "mr")
    found = index.catalogue()
    (line,) = found.lines()
    further, words = line.pop("more_identity"), line.pop("more")
    assert re.fullmatch(r"P-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", line.pop("pseudonym"))
    assert line == {
        "uid": "1.2.3.4",
        "name": "Müller, Özgür Can",
        "id": "Q7",
        "born": "1950-01-31",
        "sex": "F",
        "age": "70 y",
        "date": "2020-01-02",
        "time": "14:30",
        "accession": "A7",
        "description": "Thorax",
        "modalities": "CT MR",
        "series": "2",
        "images": "8",
        "referring": "Roth, Ada",
        "institution": "A Hospital",
    }
    assert set(FIELDS) == {*line, "pseudonym", "more_identity", "more"}
    assert {"k1", "k2", "the clinic", "ott"} <= set(further.split(PART))
    assert any("山田 太郎" in part for part in further.split(PART))
    assert {"chest", "thorax spat", "scan 64", "t1 grosser"} <= set(words.split(PART))
    # What a field says already is not said again.
    assert "a hospital" not in further
    assert "thorax" not in words.split(PART)
    assert (found.total, found.patients) == (1, 1)


def test_what_is_absent_is_empty(index):
    put(index.path, {"StudyDate": "unknown"})
    (line,) = index.catalogue().lines()
    assert {name for name, value in line.items() if value} == {"uid", "pseudonym", "date", "series", "images"}
    assert line["date"] == "unknown"


def test_nothing_breaks_the_lines_apart(index):
    put(
        index.path,
        {"StudyDescription": "a\tb\nc\x1fd", "PatientName": "A\r\nB^C\t", "PatientID": "\x00i\x0bd"},
        {"StudyDescription": "a\tb\nc\x1fd", "SeriesInstanceUID": "1.2", "SeriesDescription": "x\ty\x1fz"},
    )
    (line,) = index.catalogue().lines()
    assert (line["description"], line["name"], line["id"]) == ("a b c d", "A B, C", "i d")
    assert line["more"].split(PART) == ["x y z"]


def test_the_order_is_by_patient_and_newest_first(index):
    put(
        index.path,
        {"StudyInstanceUID": "1", "PatientName": "Zoe", "StudyDate": "20240101"},
        {"StudyInstanceUID": "2", "PatientName": "ada", "PatientID": "2", "StudyDate": "20200101"},
        {
            "StudyInstanceUID": "3",
            "PatientName": "Ada",
            "PatientID": "1",
            "StudyDate": "20200101",
            "StudyTime": "080000",
        },
        {
            "StudyInstanceUID": "4",
            "PatientName": "Ada",
            "PatientID": "1",
            "StudyDate": "20200101",
            "StudyTime": "090000",
        },
        {"StudyInstanceUID": "5", "PatientName": "Ada", "PatientID": "1", "StudyDate": "20210101"},
        {"StudyInstanceUID": "6", "PatientName": "Ada", "PatientID": "1"},
    )
    found = index.catalogue()
    assert [line["uid"] for line in found.lines()] == ["5", "4", "3", "6", "2", "1"]
    assert (found.total, found.patients) == (6, 3)


def test_the_first_of_them(index):
    put(index.path, *({"StudyInstanceUID": str(n), "PatientName": f"A{n}"} for n in range(5)))
    some = index.catalogue(2)
    assert (some.total, some.patients, [line["name"] for line in some.lines()]) == (5, None, ["A0", "A1"])
    assert index.catalogue(9).patients == 5


def test_pages(index):
    count = PAGE + 3
    put(index.path, *({"StudyInstanceUID": str(n), "PatientName": f"A{n:06d}"} for n in range(count)))
    found = index.catalogue()
    assert len(found.pages) == 2
    assert [line["uid"] for line in found.lines()] == [str(n) for n in range(count)]


def test_an_empty_index(index):
    found = index.catalogue()
    assert (found.total, found.patients, found.pages, found.lines()) == (0, 0, [], [])


def test_lines_follow_the_files(index, tmp_path):
    files = write_series(tmp_path / "a", shape=(3, 4, 4))
    index.add(tmp_path / "a")
    files[0].unlink()
    index.add(tmp_path / "a")
    assert [line["images"] for line in index.catalogue().lines()] == ["2"]
    index.remove(study="1.2.3.4")
    assert index.catalogue().lines() == []
    with sqlite3.connect(index.path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM study_lines").fetchone() == (0,)


def test_words_without_end_are_cut(index):
    put(
        index.path,
        *(
            {"SeriesInstanceUID": f"1.{n}", "SeriesNumber": n, "SeriesDescription": f"{n:04d} " + "x" * 50}
            for n in range(200)
        ),
    )
    (line,) = index.catalogue().lines()
    assert 1500 < len(line["more"]) < 2100
    assert line["more"].startswith("0000 ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("", ""),
        ("Doe^Jane^Mary^Dr^MD", "Doe, Jane Mary"),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("=山田^太郎=やまだ^たろう", "山田, 太郎"),
        ("^^^Dr", ""),
    ],
)
def test_names_as_people_read_them(value, shown):
    assert patient_name(value) == shown


def test_a_patient_has_one_pseudonym_in_an_index_and_another_elsewhere(index, tmp_path):
    studies = [
        {"StudyInstanceUID": "1", "PatientName": "Doe^Jane", "PatientID": "7"},
        {"StudyInstanceUID": "2", "PatientName": "Doe^Jane", "PatientID": "7"},
        {"StudyInstanceUID": "3", "PatientName": "Doe^Jane", "PatientID": "8"},
        {"StudyInstanceUID": "4", "PatientName": "Doe^Jane", "PatientID": "7", "IssuerOfPatientID": "B"},
        {"StudyInstanceUID": "5"},
        {"StudyInstanceUID": "6"},
    ]
    put(index.path, *studies)
    first = {line["uid"]: line["pseudonym"] for line in index.catalogue().lines()}
    assert first["1"] == first["2"]
    assert len(set(first.values())) == 5
    other = Index(tmp_path / "other.sqlite3")
    put(other.path, *studies)
    assert not set(first.values()) & {line["pseudonym"] for line in other.catalogue().lines()}
    other.close()
    # The same when studies are indexed again.
    index.remove("/made/up")
    assert index.catalogue().total == 0
    put(index.path, *studies)
    assert {line["uid"]: line["pseudonym"] for line in index.catalogue().lines()} == first


def test_pseudonyms_outlive_a_change_of_the_index_s_version(index):
    study = {"StudyInstanceUID": "1", "PatientName": "Doe^Jane", "PatientID": "7"}
    put(index.path, study)
    before = index.catalogue().lines()
    index.close()
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA user_version = 8")
    again = Index(index.path)
    assert again.catalogue().total == 0
    put(index.path, study)
    assert again.catalogue().lines() == before
    again.close()
