"""The series of a study as cards, on a real Slicer."""

from __future__ import annotations

from pathlib import Path

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from tests.dicom import make
from tests.widgets.waiting import Recorder

ADA, BOB = "1.2.826.0.1.1", "1.2.826.0.1.2"
CT, SEG = f"{ADA}.1", f"{ADA}.2"


def test_a_study_by_record_by_uid_and_as_a_list_of_series(indexed: sn.Session) -> None:
    study = indexed.dicom.studies()[0]
    for of in (study, ADA, indexed.dicom.series(ADA), indexed.dicom.series(ADA)[0]):
        widget = sn.SeriesThumbnails(of, indexed)
        sent = Recorder(widget)
        widget._handle_custom_msg({"type": "hello"}, [])
        rows = sent.wait(lambda m: m["type"] == "series")["rows"]
        assert [row["uid"] for row in rows] == [CT, SEG][: len(rows)]
        assert widget._settled.wait(30)
        widget.close()


def test_the_session_is_the_one_that_was_begun_last(indexed: sn.Session) -> None:
    with sn.connect(indexed.name) as session:
        widget = sn.SeriesThumbnails(ADA)
        assert widget._session is session
        widget.close()


def test_pictures_and_plans_come_when_in_view_and_for_a_new_view(indexed: sn.Session) -> None:
    widget = sn.SeriesThumbnails(ADA, indexed)
    assert widget._settled.wait(30)
    sent = Recorder(widget)
    widget._handle_custom_msg({"type": "details", "series": [CT]}, [])
    found = sent.wait(lambda m: m["type"] == "details")
    assert found["details"][0]["detail"]["plan"]["volumes"][0]["size"] == "32 \u00d7 32 \u00d7 12"
    sent.messages.clear()
    widget._handle_custom_msg({"type": "hello"}, [])
    assert {d["series"] for d in sent.of("details")[0]["details"]} == {CT, SEG}
    widget.close()


def test_what_was_indexed_meanwhile_shows(indexed: sn.Session, tmp_path: Path) -> None:
    widget = sn.SeriesThumbnails(ADA, indexed)
    sent = Recorder(widget)
    make.write_series(
        tmp_path / "new", shape=(3, 8, 8), PatientID="P1", StudyInstanceUID=ADA, SeriesInstanceUID=f"{ADA}.9"
    )
    indexed.dicom.index(tmp_path / "new").result()
    sent.wait(lambda m: m["type"] == "series" and len(m["rows"]) == 3)
    widget.close()


def test_an_unknown_study_is_said(indexed: sn.Session) -> None:
    widget = sn.SeriesThumbnails("9.9.9", indexed)
    assert widget._settled.wait(30)
    sent = Recorder(widget)
    widget._handle_custom_msg({"type": "hello"}, [])
    assert sent.of("problem")[0]["kind"] == "UidNotFoundError"
    assert "could not be read" in widget._static_html()
    widget.close()


@pytest.mark.parametrize("of", [None, 5, "", ["1.2"], object()])
def test_what_is_no_study_is_refused(indexed: sn.Session, of: object) -> None:
    with pytest.raises(ArgumentError, match="series of a study"):
        sn.SeriesThumbnails(of, indexed)  # type: ignore[arg-type]


def test_a_saved_notebook_has_the_pictures_unless_privacy_is_strict(indexed: sn.Session) -> None:
    widget = sn.SeriesThumbnails(ADA, indexed)
    page = widget._static_html()
    assert page.count("<img") == 2
    assert "Axial" in page
    strict = sn.SeriesThumbnails(ADA, indexed, privacy="strict")
    assert strict._static_html().count("<img") == 0
    assert "2 series" in strict._static_html()
    for each in (widget, strict):
        assert "Axial" not in repr({k: v for k, v in each.get_state().items() if k not in ("_esm", "_css")})
        each.close()
