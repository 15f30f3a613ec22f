"""The study picker on a real Slicer: what it tells the browser, what it loads, what it says when something is wrong."""

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
from tests.dicom import make
from tests.dicom.make import assert_phantom
from tests.widgets.waiting import Recorder, until_file, wait_until

ADA, BOB = "1.2.826.0.1.1", "1.2.826.0.1.2"
CT, SEG, MR = f"{ADA}.1", f"{ADA}.2", f"{BOB}.1"
GOES_ON = ("waiting", "loading")


@pytest.fixture
def picker(indexed: sn.Session) -> Iterator[sn.StudyPicker]:
    indexed.call("scene.clear")
    found = sn.StudyPicker(indexed)
    yield found
    found.close()
    indexed.call("loads.cancel")
    indexed.call("loads.clear")


@pytest.fixture
def browser(picker: sn.StudyPicker) -> Browser:
    found = Browser(picker)
    found.say("hello")
    found.wait(lambda m: m["type"] == "catalogue" and m["total"] == 2)
    return found


class Browser(Recorder):
    """What a browser hears and says."""

    def __init__(self, picker: Any) -> None:
        super().__init__(picker)
        self._picker = picker

    def say(self, kind: str, **content: Any) -> None:
        self._picker._handle_custom_msg({"type": kind, **content}, [])

    def studies(self) -> list[dict[str, str]]:
        """Lines of the newest catalogue, by field."""
        message = self.of("catalogue")[-1]
        lines = message["text"].split("\n")
        return [dict(zip(message["fields"], line.split("\t"), strict=True)) for line in lines]

    def entries(self) -> dict[int, dict[str, Any]]:
        """The load queue as the browser knows it."""
        known: dict[int, dict[str, Any]] = {}
        for message in self.of("loads"):
            if message["all"]:
                known.clear()
            known.update((entry["id"], entry) for entry in message["entries"])
            for number in message["gone"]:
                known.pop(number, None)
        return known

    def own(self) -> list[dict[str, Any]]:
        """Entries of the picker itself."""
        mine = [message["mine"] for message in self.of("loads")][-1:]
        mine = mine[0] if mine else []
        return [entry for number, entry in self.entries().items() if number in mine]

    def load(self, *series: str) -> dict[str, dict[str, Any]]:
        """Press the button and wait for the end; the entries by series."""
        self.say("load", series=list(series))
        self.until(
            lambda: (
                {e["series"] for e in self.own()} >= set(series) and not any(e["state"] in GOES_ON for e in self.own())
            ),
            "the end of loading",
        )
        return {entry["series"]: entry for entry in self.own()}

    def until(self, condition: Any, what: str) -> None:
        with self._condition:
            if not self._condition.wait_for(condition, 30):
                raise AssertionError(f"{what}; heard: {[m for m, _ in self.messages][-6:]}")


def test_it_shows_a_session_and_nothing_else() -> None:
    with pytest.raises(ArgumentError, match="StudyPicker shows a session"):
        sn.StudyPicker("slicer")


def test_unknown_columns_and_privacy_are_refused(indexed: sn.Session) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)columns.*'weight'"):
        sn.StudyPicker(indexed, columns=["date", "weight"])
    with pytest.raises(ArgumentError, match=r"(?s)columns.*'date'"):
        sn.StudyPicker(indexed, columns="date")
    with pytest.raises(ArgumentError, match=r"(?s)strict.*'secret'"):
        sn.StudyPicker(indexed, privacy="secret")


def test_columns_come_in_the_tables_order_and_can_be_set(picker: sn.StudyPicker, browser: Browser) -> None:
    picker.columns = ["images", "date"]
    assert picker.columns == ["date", "images"]
    with pytest.raises(ArgumentError):
        picker.columns = ["nonsense"]
    browser.say("columns", columns=["accession", "nonsense", "id"])
    wait_until(picker, lambda: picker.columns == ["id", "accession"], "the columns that were chosen")


def test_the_catalogue_has_a_line_for_each_study_and_the_first_is_open(browser: Browser) -> None:
    assert [(s["name"], s["id"], s["modalities"]) for s in browser.studies()] == [
        ("Aalto, Ada", "P1", "CT SEG"),
        ("Builder, Bob<b>", "P2", "MR"),
    ]
    opened = browser.wait(lambda m: m["type"] == "series" and m["study"] == ADA)
    assert opened["study"] == ADA
    assert [(row["number"], row["description"]) for row in opened["rows"]] == [(1, "Axial"), (2, "Chest")]


def test_studies_by_code_are_records(picker: sn.StudyPicker) -> None:
    assert [study.PatientID for study in picker.studies] == ["P1", "P2"]


def test_plans_and_pictures_come_before_anybody_clicks(picker: sn.StudyPicker) -> None:
    assert picker._settled.wait(30)
    assert picker._ahead[CT]["png"].startswith(b"\x89PNG")
    assert picker._ahead[CT]["plan"]["volumes"][0]["size"] == "32 \u00d7 32 \u00d7 12"
    plan = picker._ahead[SEG]["plan"]
    assert plan["volumes"] == []
    assert plan["refused"][0]["reason"] == "segmentation"


def test_opening_a_study_brings_its_series_and_their_details_when_in_view(browser: Browser) -> None:
    browser.say("open", study=BOB, ask="q1")
    assert browser.of("ack") == [{"type": "ack", "ask": "q1"}]
    browser.wait(lambda m: m["type"] == "series" and m["study"] == BOB)
    browser.say("details", series=[MR])
    found = browser.wait(lambda m: m["type"] == "details" and any(d["series"] == MR for d in m["details"]))
    [detail] = [each for each in found["details"] if each["series"] == MR]
    assert len(detail["detail"]["plan"]["volumes"]) == 2
    [buffers] = [buffers for content, buffers in browser.messages if content is found]
    assert buffers[detail["png"]].startswith(b"\x89PNG")


def test_an_unknown_study_is_said_in_its_place(browser: Browser) -> None:
    browser.say("open", study="9.9")
    assert browser.wait(lambda m: m["type"] == "series-error")["kind"] == "UidNotFoundError"


def test_a_new_view_is_told_everything_anew(picker: sn.StudyPicker, browser: Browser) -> None:
    assert picker._settled.wait(30)
    picker.selected = [CT]
    browser.messages.clear()
    browser.say("hello")
    kinds = [message["type"] for message, _ in browser.messages]
    assert kinds == ["catalogue", "series", "series", "details", "selected", "loaded", "loads"]


def test_without_a_hello_it_is_told_again(indexed: sn.Session) -> None:
    """In older JupyterLabs a running cell keeps the browser's words from the kernel, but not the kernel's."""
    picker = sn.StudyPicker(indexed)
    sent = Recorder(picker)
    again = [sent.wait(lambda m, n=n: m["type"] == "loaded" and len(sent.of("loaded")) > n) for n in (0, 1)]  # type: ignore[misc]
    assert len(again) == 2
    picker.close()


def test_what_was_indexed_by_any_session_shows_by_itself(
    picker: sn.StudyPicker, browser: Browser, indexed: sn.Session, tmp_path: Path
) -> None:
    make.write_series(
        tmp_path / "new", shape=(3, 8, 8), PatientID="P3", StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"
    )
    with sn.connect(indexed.name) as other:
        other.dicom.database = indexed.dicom.database
        other.dicom.index(tmp_path / "new").result()
    message = browser.wait(lambda m: m["type"] == "catalogue" and m["total"] == 3)
    assert message["changed"], "what is known of the series may be wrong now"


def test_a_folder_is_indexed_from_the_picker(browser: Browser, tmp_path: Path) -> None:
    make.write_series(
        tmp_path / "new", shape=(3, 8, 8), PatientID="P3", StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"
    )
    (tmp_path / "new" / "notes.txt").write_text("not DICOM", encoding="utf-8")
    browser.say("index", folder=f" {tmp_path / 'new'} ")
    assert browser.of("indexing")[0]["state"] == "running"
    done = browser.wait(lambda m: m["type"] == "indexing" and m["state"] == "done")
    assert done["text"] == "Found 1 study, 1 series, 3 images; 1 file passed over."
    browser.wait(lambda m: m["type"] == "catalogue" and m["total"] == 3)
    browser.say("index", folder=str(tmp_path / "new"))
    browser.wait(lambda m: m["type"] == "indexing" and "nothing new" in m["text"])


@pytest.mark.parametrize("folder", ["/no/such/folder", "   "])
def test_a_folder_that_is_none_is_said_in_its_place(browser: Browser, folder: str) -> None:
    browser.say("index", folder=folder)
    failed = browser.wait(lambda m: m["type"] == "indexing" and m["state"] == "failed")
    assert "folder" in failed["text"].lower() or "path" in failed["text"].lower()


def test_a_refresh_that_finds_nothing_new_changes_nothing(picker: sn.StudyPicker, browser: Browser) -> None:
    before = len(browser.of("catalogue"))
    browser.say("refresh")
    picker._session.call("dicom.catalogue", database=picker._session.dicom.database)
    assert len(browser.of("catalogue")) == before


def test_loading_fills_value_with_volumes_that_are_right(picker: sn.StudyPicker, browser: Browser) -> None:
    threads: list[int] = []
    picker.observe(lambda _change: threads.append(threading.get_ident()), "value")
    entry = browser.load(CT)[CT]
    wait_until(picker, lambda: bool(picker.value), "value")
    (volume,) = picker.value
    assert_phantom(volume.array, volume.affine)
    assert (entry["title"], entry["state"], entry["progress"], entry["error"]) == ("1: Axial", "done", 1.0, {})
    assert entry["files"] == [12, 12]
    assert threads
    assert threads[0] not in (t.ident for t in threading.enumerate() if t.name == "slicer-notebook-link")
    browser.wait(lambda m: m["type"] == "loaded" and m["series"] == [CT])


def test_an_observer_of_value_may_ask_slicer(picker: sn.StudyPicker, browser: Browser) -> None:
    shapes: list[Any] = []
    done = threading.Event()

    def look(change: Any) -> None:
        shapes.append([volume.array.shape for volume in change.new])
        done.set()

    picker.observe(look, "value")
    browser.load(MR)
    assert done.wait(30), "an observer that waits for Slicer must not wait for ever"
    assert shapes == [[(4, 16, 16), (4, 16, 16)]]


def test_what_goes_wrong_is_in_its_place_and_the_rest_is_loaded(picker: sn.StudyPicker, browser: Browser) -> None:
    entries = browser.load(SEG, "9.9.9", CT)
    assert entries[SEG]["error"]["kind"] == "SeriesRefusedError"
    assert "egmentation" in entries[SEG]["error"]["message"]
    assert entries["9.9.9"]["error"]["kind"] == "UidNotFoundError"
    wait_until(picker, lambda: len(picker.value) == 1, "the other one")


def test_an_error_that_was_read_is_put_away(browser: Browser) -> None:
    [entry] = browser.load(SEG).values()
    browser.say("away", ids=[entry["id"]])
    browser.messages.clear()
    browser.say("hello")
    assert browser.of("loads")[-1]["mine"] == []


def test_cancel_ends_loading_and_leaves_nothing_half_loaded(
    picker: sn.StudyPicker, browser: Browser, indexed: sn.Session, tmp_path: Path
) -> None:
    # Slicer's main thread is kept busy, so that the volume cannot get into the scene before the cancel is there.
    before = len(indexed.nodes("vtkMRMLVolumeNode"))
    begun = tmp_path / "begun"
    code = f"import time\nopen({str(begun)!r}, 'w').close()\nwhile True: time.sleep(0.01)"
    busy = indexed.submit("code.run", code=code)
    # An urgent command would overtake it.
    until_file(begun)
    browser.say("load", series=[CT, MR])
    browser.until(lambda: len(browser.own()) == 2, "the queue")
    browser.say("cancel")
    browser.until(lambda: {e["state"] for e in browser.own()} == {"cancelled"}, "the cancel, while Slicer is busy")
    busy.cancel()
    assert len(indexed.nodes("vtkMRMLVolumeNode")) == before
    assert picker.value == []


def test_two_presses_at_once_are_one(picker: sn.StudyPicker, browser: Browser, indexed: sn.Session) -> None:
    browser.say("load", series=[CT])
    browser.load(CT)
    wait_until(picker, lambda: bool(picker.value), "value")
    assert len(indexed.nodes("vtkMRMLScalarVolumeNode")) == 1


def test_a_second_picker_sees_the_queue_and_the_scene_but_not_the_value(
    picker: sn.StudyPicker, browser: Browser, indexed: sn.Session
) -> None:
    with sn.connect(indexed.name) as session:
        session.dicom.database = indexed.dicom.database
        other = sn.StudyPicker(session)
        there = Browser(other)
        browser.load(CT)
        there.until(lambda: [e["state"] for e in there.entries().values()] == ["done"], "the news")
        there.wait(lambda m: m["type"] == "loaded" and m["series"] == [CT])
        assert there.own() == []
        assert other.value == []
        other.close()


def test_a_series_in_the_scene_is_shown_not_loaded_again(
    picker: sn.StudyPicker, browser: Browser, indexed: sn.Session
) -> None:
    browser.load(CT)
    browser.wait(lambda m: m["type"] == "loaded" and m["series"] == [CT])
    picker.value = []
    browser.say("show", series=CT)
    wait_until(picker, lambda: len(picker.value) == 1, "its handle")
    assert len(indexed.nodes("vtkMRMLScalarVolumeNode")) == 1


def test_a_volume_that_left_the_scene_is_not_said_to_be_there(
    picker: sn.StudyPicker, browser: Browser, indexed: sn.Session
) -> None:
    browser.load(CT)
    browser.wait(lambda m: m["type"] == "loaded" and m["series"] == [CT])
    browser.messages.clear()
    indexed.clear()
    browser.wait(lambda m: m["type"] == "loaded" and m["series"] == [])


def test_selected_goes_both_ways_and_is_not_echoed(picker: sn.StudyPicker, browser: Browser) -> None:
    browser.messages.clear()
    seen: list[list[str]] = []
    picker.observe(lambda change: seen.append(change.new), "selected")
    browser.say("select", series=[CT])
    wait_until(picker, lambda: picker.selected == [CT], "what was chosen")
    assert browser.of("selected") == []
    picker.selected = [CT, MR]
    assert browser.of("selected") == [{"type": "selected", "series": [CT, MR]}]
    assert seen == [[CT], [CT, MR]]


def test_load_by_code_takes_what_is_chosen(picker: sn.StudyPicker) -> None:
    with pytest.raises(UidNotFoundError, match="No series is chosen"):
        picker.load()
    picker.selected = [CT]
    volumes = picker.load()
    assert picker.value == volumes
    assert volumes[0].shape == (12, 32, 32)


def test_a_message_that_is_not_known_is_logged_and_harms_nothing(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    browser.say("explode")
    assert "does not know: 'explode'" in caplog.text


# -- what is saved with the notebook -------------------------------------------------------------------------------


def words_of_the_studies() -> list[str]:
    names = ["Aalto", "Builder", "Ada", "Bob", "P1", "P2", "A7", "Chest", "Axial", "1.2.826"]
    return [*names, "2024-02-03", "20240203", "2023-01-01", "20230101"]


def test_no_trait_that_is_saved_has_anything_of_a_patient(picker: sn.StudyPicker, browser: Browser) -> None:
    browser.load(CT)
    picker.selected = [MR]
    state = repr(picker.get_state())
    assert [word for word in words_of_the_studies() if word in state.replace(repr(picker._esm), "")] == []


def test_a_saved_notebook_has_the_table_with_pictures(indexed: sn.Session) -> None:
    picker = sn.StudyPicker(indexed)
    data, _ = picker._repr_mimebundle_()
    page = data["text/html"]
    assert "Aalto, Ada" in page
    assert "Builder, Bob&lt;b&gt;" in page
    assert page.count("<img") == 3
    assert "application/vnd.jupyter.widget-view+json" in data
    picker.close()


def test_hidden_names_are_pseudonyms_in_a_saved_notebook_too(indexed: sn.Session) -> None:
    picker = sn.StudyPicker(indexed, hide_names=True)
    page = picker._repr_mimebundle_()[0]["text/html"]
    assert [word for word in ("Aalto", "Builder", "P1", "P2", "A7") if f">{word}" in page] == []
    assert page.count(">P-") == 2
    assert "Chest" in page
    assert page.count("<img") == 3
    picker.close()


def test_names_are_hidden_by_a_click_and_by_code(picker: sn.StudyPicker, browser: Browser) -> None:
    browser.say("hide", on=True)
    wait_until(picker, lambda: picker.hide_names, "the switch")
    picker.hide_names = False
    assert not picker.hide_names


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_strict_privacy_saves_nothing_of_a_patient(
    indexed: sn.Session, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "environment":
        monkeypatch.setenv("SLICER_NOTEBOOK_PRIVACY", "strict")
    picker = sn.StudyPicker(indexed, **({"privacy": "strict"} if by == "argument" else {}))
    data, _ = picker._repr_mimebundle_()
    page = "\n".join(str(value) for value in data.values())
    assert "2 studies" in page
    assert "<img" not in page
    assert [word for word in words_of_the_studies() if word in page] == []
    picker.close()


# -- when something is wrong ---------------------------------------------------------------------------------------


def test_an_empty_index_is_said(slicer: sn.Session, tmp_path: Path) -> None:
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "empty.sqlite3")
    try:
        picker = sn.StudyPicker(slicer)
        browser = Browser(picker)
        browser.say("hello")
        assert browser.wait(lambda m: m["type"] == "catalogue")["total"] == 0
        assert "no study" in picker._repr_mimebundle_()[0]["text/html"]
        picker.close()
    finally:
        slicer.dicom.database = former


@pytest.mark.parametrize("privacy", ["normal", "strict"])
def test_an_index_that_cannot_be_read_is_said(slicer: sn.Session, tmp_path: Path, privacy: str) -> None:
    broken = tmp_path / "Aalto-broken.sqlite3"
    broken.write_bytes(b"this is no database, " * 500)
    former, slicer.dicom.database = slicer.dicom.database, str(broken)
    try:
        picker = sn.StudyPicker(slicer, privacy=privacy)
        browser = Browser(picker)
        browser.say("hello")
        assert browser.wait(lambda m: m["type"] == "problem")["kind"] == "IndexDatabaseError"
        page = picker._repr_mimebundle_()[0]["text/html"]
        assert "could not be read" in page
        assert ("Aalto" in page) is (privacy == "normal")
        picker.close()
    finally:
        slicer.dicom.database = former


def test_closing_it_ends_no_slicer(picker: sn.StudyPicker, indexed: sn.Session) -> None:
    picker.close()
    assert indexed.eval("1 + 1") == 2


def test_a_lost_slicer_is_said_and_a_restarted_one_is_taken(studies_folder: Path, tmp_path: Path) -> None:
    with sn.launch() as session:
        session.dicom.database = str(tmp_path / "index.sqlite3")
        session.dicom.index(studies_folder).result()
        picker = sn.StudyPicker(session)
        browser = Browser(picker)
        browser.load(CT)
        wait_until(picker, lambda: bool(picker.value), "value")
        os.kill(session.info["pid"], signal.SIGKILL)
        wait_until(picker, lambda: picker._status["state"] == "lost", "that it is lost")
        assert "has ended" in picker._status["message"]
        assert "restart" in picker._status["hint"]
        browser.until(lambda: browser.entries() == {}, "that the queue is gone")
        browser.say("load", series=[CT])
        browser.say("refresh")
        session.restart()
        wait_until(picker, lambda: picker._status["state"] == "live", "that it is back")
        wait_until(picker, lambda: picker.value == [], "handles of the former Slicer are gone")
        assert browser.load(CT)[CT]["state"] == "done"
        wait_until(picker, lambda: len(picker.value) == 1, "value")
    assert picker._status["state"] == "closed"
    assert "closed" in picker._repr_mimebundle_()[0]["text/html"]


def test_another_program_says_what_is_listed(picker: sn.StudyPicker, browser: Browser, indexed: sn.Session) -> None:
    def call(method: str, **params: str) -> None:
        indexed.call("osirix.call", method=method, params=params, database=indexed.dicom.database)

    call("DisplayStudyListByPatientName", PatientName="DOE^JANE")
    assert browser.wait(lambda m: m["type"] == "list")["search"] == "DOE JANE"
    call("SelectAlbum", name="Database")
    found = browser.wait(lambda m: m["type"] == "list" and m["title"])
    assert (found["title"], found["search"]) == ("Database", "")
    assert set(found["studies"]) == {study["uid"] for study in browser.studies()}
    # Not of another index, and no name where names are hidden: events come in their order.
    indexed.call("osirix.call", method="DisplayStudyListByPatientId", params={"PatientID": "elsewhere"})
    picker.hide_names = True
    call("DisplayStudyListByPatientName", PatientName="HIDDEN")
    call("SelectAlbum", name="Today")
    browser.wait(lambda m: m["type"] == "list" and m["title"] == "Today")
    assert [m["search"] for m in browser.of("list")] == ["DOE JANE", "", ""]
