"""Records as what a person reads."""

from __future__ import annotations

from slicer_notebook.dicom.catalogue import FIELDS
from slicer_notebook.dicom.records import Series
from slicer_notebook.widgets import rows


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


def study(number: int, **more: str) -> dict[str, str]:
    return {
        **dict.fromkeys(FIELDS, ""),
        "uid": str(number),
        "name": "<b>Ada</b>",
        "id": f"ID{number}",
        "pseudonym": "P-0000-0000",
        "images": "3",
        **more,
    }


SERIES = {"0": [rows.series_row(Series(SeriesInstanceUID="s", SeriesDescription="<i>", Modality="CT"))]}


def test_the_static_table_escapes_and_tells_what_it_leaves_out() -> None:
    page = rows.static_table([study(k) for k in range(60)], 1234, SERIES, {"s": b"\x89PNG"})
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;Ada&lt;/b&gt;" in page
    assert "data:image/png;base64,iVBORw==" in page
    assert "1,184 further studies" in page
    assert page.count("<tr") == 1 + 50 + 1


def test_hidden_names_are_pseudonyms() -> None:
    page = rows.static_table([study(0)], 1, SERIES, {}, hide_names=True)
    assert "P-0000-0000" in page
    assert "Ada" not in page
    assert "ID0" not in page


def test_an_empty_index_has_words() -> None:
    assert "no study" in rows.static_table([], 0, {}, {})


def test_static_cards_escape() -> None:
    page = rows.static_cards(SERIES["0"], {"s": b"\x89PNG"})
    assert "&lt;i&gt;" in page
    assert "iVBORw==" in page
    assert "0 images" in page
