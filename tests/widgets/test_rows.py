"""Records as what a person reads."""

from __future__ import annotations

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.widgets import rows


def test_a_date_is_written_with_dashes_and_what_is_none_as_it_is() -> None:
    assert rows.date("20240131") == "2024-01-31"
    assert rows.date("2024.01.31") == "2024.01.31"
    assert rows.date(None) == ""


def test_a_name_is_family_comma_given_from_the_first_group_that_says_something() -> None:
    assert rows.patient_name("Lovelace^Ada^King^Dr") == "Lovelace, Ada King"
    assert rows.patient_name("^Ada") == "Ada"
    assert rows.patient_name("=山田^太郎=やまだ^たろう") == "山田, 太郎"
    assert rows.patient_name("^^^^") == ""
    assert rows.patient_name(None) == ""


def test_a_study_row_has_what_is_searched() -> None:
    study = Study(
        StudyInstanceUID="1.2",
        PatientName="Lovelace^Ada",
        PatientID="P1",
        StudyDate="20240203",
        AccessionNumber="A7",
        ModalitiesInStudy=["CT", "SEG"],
        NumberOfStudyRelatedSeries=2,
        NumberOfStudyRelatedInstances=13,
    )
    row = rows.study_row(study)
    assert (row["name"], row["id"], row["date"], row["accession"]) == ("Lovelace, Ada", "P1", "2024-02-03", "A7")
    assert (row["modalities"], row["series"], row["images"], row["description"]) == (["CT", "SEG"], 2, 13, "")


def test_a_series_without_description_is_called_by_its_protocol_and_its_body_part_is_no_shout() -> None:
    row = rows.series_row(Series(SeriesInstanceUID="1.2.3", ProtocolName="T2 TSE", BodyPartExamined="CHEST"))
    assert (row["description"], row["body"], row["number"]) == ("T2 TSE", "Chest", None)


def test_a_plan_in_words() -> None:
    volume = {
        "name": "1: Axial",
        "files": 12,
        "shape": [12, 32, 30],
        "spacing": [0.703125, 0.703125, 2.5],
        "orientation": "axial",
        "warnings": ["tilted", "both"],
    }
    facts = rows.plan_facts(
        {
            "volumes": [volume],
            "warnings": ["both"],
            "refused": [{"reason": "segmentation", "message": "A segmentation.", "files": 1}],
        }
    )
    assert facts["volumes"] == [
        {
            "name": "1: Axial",
            "size": "30 \u00d7 32 \u00d7 12",
            "spacing": "0.703 \u00d7 0.703 \u00d7 2.5 mm",
            "orientation": "axial",
        }
    ]
    assert facts["warnings"] == ["both", "tilted"]
    assert facts["refused"] == [{"reason": "segmentation", "message": "A segmentation.", "files": 1}]


def test_sequences_and_images_are_told_with_the_volumes() -> None:
    shared = {"files": 1, "shape": [1, 600, 800], "spacing": [1, 1, 1], "orientation": "projection", "warnings": []}
    facts = rows.plan_facts(
        {
            "volumes": [],
            "sequences": [
                {
                    **shared,
                    "name": "4: fMRI",
                    "shape": [20, 64, 64],
                    "spacing": [3, 3, 4],
                    "orientation": "axial",
                    "axis": {"name": "time", "values": [0.0, 2.0, 4.0]},
                    "warnings": ["a gap"],
                }
            ],
            "images": [{**shared, "name": "5: US", "image": True, "calibrated": False}],
            "warnings": [],
            "refused": [],
        }
    )
    assert [(each["size"], each["spacing"], each["orientation"]) for each in facts["volumes"]] == [
        ("3 over time, 64 \u00d7 64 \u00d7 20", "3 \u00d7 3 \u00d7 4 mm", "axial"),
        ("800 \u00d7 600", "of unknown size", "image"),
    ]
    assert facts["warnings"] == ["a gap"]


def test_the_static_table_escapes_and_tells_what_it_leaves_out() -> None:
    studies = [Study(StudyInstanceUID=str(k), PatientName="<b>Ada</b>", PatientID=str(k)) for k in range(60)]
    series = {"0": [rows.series_row(Series(SeriesInstanceUID="s", SeriesDescription="<i>", Modality="CT"))]}
    page = rows.static_table(studies, series, {"s": b"\x89PNG"})
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;Ada&lt;/b&gt;" in page
    assert "data:image/png;base64,iVBORw==" in page
    assert "10 further studies" in page
    assert page.count("<tr") == 1 + 50 + 1


def test_an_empty_index_has_words() -> None:
    assert "no study" in rows.static_table([], {}, {})
