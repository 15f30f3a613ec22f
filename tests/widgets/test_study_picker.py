"""The study picker on a real Slicer: what it shows, what it loads, what it says when something is wrong."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, UidNotFoundError
from tests.dicom.make import assert_phantom
from tests.widgets.waiting import Recorder, wait_until

ADA, BOB = "1.2.826.0.1.1", "1.2.826.0.1.2"
CT, SEG, MR = f"{ADA}.1", f"{ADA}.2", f"{BOB}.1"


@pytest.fixture
def picker(indexed: sn.Session) -> Iterator[sn.StudyPicker]:
    found = sn.StudyPicker(indexed)
    wait_until(
        found, lambda: len(found.studies) == 2 and len(found._ahead) == 2, "the studies and what is fetched ahead"
    )
    yield found
    found.close()


def say(picker: sn.StudyPicker, kind: str, **content: Any) -> None:
    """What the browser would send."""
    picker._handle_custom_msg({"type": kind, **content}, [])


def load(picker: sn.StudyPicker, *series: str) -> dict[str, Any]:
    """Press the button and wait for the end."""
    say(picker, "load", series=list(series))
    wait_until(picker, lambda: picker._loading.get("busy") is False, "the end of loading")
    return picker._loading


def test_it_shows_a_session_and_nothing_else() -> None:
    with pytest.raises(ArgumentError, match="StudyPicker shows a session"):
        sn.StudyPicker("slicer")


def test_studies_are_records_by_patient_and_the_first_is_open(picker: sn.StudyPicker) -> None:
    assert [study.PatientID for study in picker.studies] == ["P1", "P2"]
    assert [row["name"] for row in picker._studies] == ["Aalto, Ada", "Builder, Bob<b>"]
    assert list(picker._series) == [ADA]
    assert [(row["number"], row["description"]) for row in picker._series[ADA]] == [(1, "Axial"), (2, "Chest")]


def test_plans_and_pictures_come_before_anybody_clicks(picker: sn.StudyPicker) -> None:
    wait_until(picker, lambda: all(len(detail) == 2 for detail in picker._ahead.values()), "both parts of both")
    assert picker._ahead[CT]["png"].startswith(b"\x89PNG")
    assert picker._ahead[CT]["plan"]["volumes"][0]["size"] == "32 \u00d7 32 \u00d7 12"
    plan = picker._ahead[SEG]["plan"]
    assert plan["volumes"] == []
    assert plan["refused"][0]["reason"] == "segmentation"


def test_opening_a_study_brings_its_series_and_their_details_when_in_view(picker: sn.StudyPicker) -> None:
    sent = Recorder(picker)
    say(picker, "open", study=BOB, ask="q1")
    assert sent.of("ack") == [{"type": "ack", "ask": "q1"}]
    wait_until(picker, lambda: BOB in picker._series, "Bob's series")
    assert len(picker._series) == 2
    picker._ahead = {str(number): {} for number in range(12)}
    say(picker, "details", series=[MR])
    plan = sent.wait(lambda m: m["type"] == "detail" and "plan" in m["detail"])
    assert len(plan["detail"]["plan"]["volumes"]) == 2
    sent.wait(lambda m: m["type"] == "detail" and m["series"] == MR and "plan" not in m["detail"])
    picture = next(buffers for content, buffers in sent.messages if content.get("series") == MR and buffers)
    assert picture[0].startswith(b"\x89PNG")


def test_a_new_index_shows_by_itself(picker: sn.StudyPicker, indexed: sn.Session, tmp_path: Path) -> None:
    from tests.dicom import make

    make.write_series(
        tmp_path / "new", shape=(3, 8, 8), PatientID="P3", StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"
    )
    indexed.dicom.index(tmp_path / "new").result()
    wait_until(picker, lambda: len(picker.studies) == 3, "the third study")


def test_loading_fills_value_with_volumes_that_are_right(picker: sn.StudyPicker) -> None:
    threads: list[int] = []
    picker.observe(lambda _change: threads.append(threading.get_ident()), "value")
    state = load(picker, CT)
    wait_until(picker, lambda: bool(picker.value), "value")
    (volume,) = picker.value
    assert_phantom(volume.array, volume.affine)
    assert state["loaded"] == ["1: Axial"]
    assert (state["errors"], state["cancelled"], state["progress"]) == ({}, False, 1.0)
    assert threads
    assert threads[0] not in (t.ident for t in threading.enumerate() if t.name == "slicer-notebook-link")


def test_an_observer_of_value_may_ask_slicer(picker: sn.StudyPicker) -> None:
    shapes: list[Any] = []
    done = threading.Event()

    def look(change: Any) -> None:
        shapes.append([volume.array.shape for volume in change.new])
        done.set()

    picker.observe(look, "value")
    load(picker, MR)
    assert done.wait(30), "an observer that waits for Slicer must not wait for ever"
    assert shapes == [[(4, 16, 16), (4, 16, 16)]]


def test_a_refused_series_is_an_error_in_its_place_and_the_rest_is_loaded(picker: sn.StudyPicker) -> None:
    state = load(picker, SEG, CT)
    assert list(state["errors"]) == [SEG]
    assert state["errors"][SEG]["kind"] == "SeriesRefusedError"
    assert "egmentation" in state["errors"][SEG]["message"]
    wait_until(picker, lambda: len(picker.value) == 1, "the other one")


def test_a_series_that_left_the_index_is_an_error_in_its_place(picker: sn.StudyPicker) -> None:
    state = load(picker, "9.9.9")
    assert state["errors"]["9.9.9"]["kind"] == "UidNotFoundError"
    assert picker.value == []


def test_cancel_ends_loading_and_leaves_nothing_half_loaded(
    picker: sn.StudyPicker, indexed: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Slicer's main thread is kept busy, so that the volume cannot get into the scene before the cancel is there.
    before = len(indexed.nodes("vtkMRMLVolumeNode"))
    busy = indexed.submit("code.run", code="import time\nwhile True: time.sleep(0.01)")
    say(picker, "load", series=[CT, MR])
    say(picker, "cancel")
    busy.cancel()
    wait_until(picker, lambda: picker._loading.get("busy") is False, "the end of loading")
    assert picker._loading["cancelled"] or picker._loading["loaded"] == ["1: Axial"]
    loaded = len(picker._loading["loaded"])
    assert len(indexed.nodes("vtkMRMLVolumeNode")) == before + loaded
    assert loaded < 3, "the second series was begun after the cancel"


def test_two_presses_at_once_are_one(picker: sn.StudyPicker, indexed: sn.Session) -> None:
    say(picker, "load", series=[CT])
    say(picker, "load", series=[CT])
    wait_until(picker, lambda: bool(picker.value), "value")
    assert len(indexed.nodes("vtkMRMLScalarVolumeNode")) == 1


def test_selected_goes_both_ways_and_is_not_echoed(picker: sn.StudyPicker) -> None:
    sent = Recorder(picker)
    seen: list[list[str]] = []
    picker.observe(lambda change: seen.append(change.new), "selected")
    say(picker, "select", series=[CT])
    wait_until(picker, lambda: picker.selected == [CT], "what was chosen")
    assert sent.of("selected") == []
    picker.selected = [CT, MR]
    assert sent.of("selected") == [{"type": "selected", "series": [CT, MR]}]
    assert seen == [[CT], [CT, MR]]
    say(picker, "hello")
    assert len(sent.of("selected")) == 2, "a new view is told what is chosen"


def test_load_by_code_takes_what_is_chosen(picker: sn.StudyPicker) -> None:
    with pytest.raises(UidNotFoundError, match="No series is chosen"):
        picker.load()
    picker.selected = [CT]
    volumes = picker.load()
    assert picker.value == volumes
    assert volumes[0].shape == (12, 32, 32)


def test_a_message_that_is_not_known_is_logged_and_harms_nothing(
    picker: sn.StudyPicker, caplog: pytest.LogCaptureFixture
) -> None:
    say(picker, "explode")
    assert "does not know: 'explode'" in caplog.text


def test_a_saved_notebook_has_the_table_with_pictures(indexed: sn.Session) -> None:
    picker = sn.StudyPicker(indexed)
    data, _ = picker._repr_mimebundle_()
    page = data["text/html"]
    assert "Aalto, Ada" in page
    assert "Builder, Bob&lt;b&gt;" in page
    assert page.count("<img") == 2
    assert "application/vnd.jupyter.widget-view+json" in data
    picker.close()


def test_an_empty_index_is_said(slicer: sn.Session, tmp_path: Path) -> None:
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "empty.sqlite3")
    try:
        picker = sn.StudyPicker(slicer)
        wait_until(picker, lambda: picker._studies == [], "the answer")
        assert "no study" in picker._repr_mimebundle_()[0]["text/html"]
    finally:
        slicer.dicom.database = former


def test_an_index_that_cannot_be_read_is_said(slicer: sn.Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database, " * 500)
    former, slicer.dicom.database = slicer.dicom.database, str(broken)
    try:
        picker = sn.StudyPicker(slicer)
        wait_until(picker, lambda: bool(picker._problem), "the problem")
        assert picker._problem["kind"] == "IndexDatabaseError"
        assert "could not be read" in picker._repr_mimebundle_()[0]["text/html"]
    finally:
        slicer.dicom.database = former


def test_closing_it_ends_no_slicer(picker: sn.StudyPicker, indexed: sn.Session) -> None:
    picker.close()
    assert indexed.eval("1 + 1") == 2


def test_a_lost_slicer_is_said_and_a_restarted_one_is_taken(studies_folder: Path, tmp_path: Path) -> None:
    with sn.launch() as session:
        session.dicom.database = str(tmp_path / "index.sqlite3")
        session.dicom.index(studies_folder).result()
        picker, views = sn.StudyPicker(session), sn.ViewThumbnails(session)
        wait_until(picker, lambda: len(picker.studies) == 2, "the studies")
        wait_until(views, lambda: len(views._pictures) == 4, "the pictures")
        empty = views._pictures["Red"]
        load(picker, CT)
        wait_until(picker, lambda: bool(picker.value), "value")
        wait_until(views, lambda: views._pictures["Red"] != empty, "the volume's picture")
        os.kill(session.info["pid"], signal.SIGKILL)
        for widget in (picker, views):
            wait_until(widget, lambda widget=widget: widget._status["state"] == "lost", "that it is lost")  # type: ignore[misc]
            assert "has ended" in widget._status["message"]
            assert "restart" in widget._status["hint"]
        pictures = views._pictures
        assert len(pictures) == 4, "the last pictures stay"
        say(picker, "load", series=[CT])
        say(picker, "refresh")
        session.restart()
        for widget in (picker, views):
            wait_until(widget, lambda widget=widget: widget._status["state"] == "live", "that it is back")  # type: ignore[misc]
        wait_until(picker, lambda: picker.value == [], "handles of the former Slicer are gone")
        wait_until(views, lambda: views._pictures != pictures, "pictures of the new Slicer")
        assert load(picker, CT)["loaded"] == ["1: Axial"]
    assert picker._status["state"] == views._status["state"] == "closed"
    assert "closed" in picker._repr_mimebundle_()[0]["text/html"]
    assert views._repr_mimebundle_()[0]["text/html"].count("<img") == 4
