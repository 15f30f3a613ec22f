"""What a PACS answered: as a stream, a list, a table, and as a record of what was asked."""

from __future__ import annotations

import datetime
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, StorageError
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.matches import Matches
from slicer_notebook.pacs.model import Cancelled, Record
from slicer_notebook.pacs.server import Server

SERVER = Server(name="hospital", url="dimse://PACS@127.0.0.1:4242")
JANE: Record = {
    "PatientName": "Doe^<Jane>",
    "PatientID": "P1",
    "StudyInstanceUID": "1.2.3",
    "ModalitiesInStudy": ["CT", "SR"],
    "NumberOfStudyRelatedInstances": 31,
}


def made(*records: Record, error: Exception | None = None, hold: bool = False, **keys: Any) -> Matches:
    def items(cancelled: Cancelled) -> Iterator[Record]:
        yield from records
        while hold:
            if cancelled():
                raise JobCancelledError("stopped")
            threading.Event().wait(0.005)
        if error is not None:
            raise error

    return Matches(SERVER, build_query("STUDY", keys), keys, items)


def test_iterating_twice_gives_the_same() -> None:
    found = made(JANE, {"PatientID": "P2"})
    assert [each["PatientID"] for each in found] == ["P1", "P2"]
    assert [each["PatientID"] for each in found] == ["P1", "P2"]
    assert len(found) == 2
    assert next(iter(found)) == JANE
    assert found.records() == [JANE, {"PatientID": "P2"}]
    assert not found.cancelled


def test_a_table() -> None:
    frame = made(JANE, {"PatientID": "P2"}).frame()
    assert list(frame["PatientID"]) == ["P1", "P2"]
    assert frame["NumberOfStudyRelatedInstances"][0] == 31


def test_what_was_stopped_is_not_taken_for_all() -> None:
    found = made(JANE, hold=True)
    for _ in found:
        break
    for ask in (found.records, found.frame, found.__len__, lambda: found.save("nowhere.json")):
        with pytest.raises(JobCancelledError):
            ask()
    assert repr(found) == "<1 STUDY answers of 'hospital', stopped>"
    assert "there may be more" in found._repr_html_()
    assert not Path("nowhere.json").exists()


def test_an_error_is_not_the_end() -> None:
    found = made(JANE, error=PacsAnswerError("broken"))
    for _ in range(2):
        with pytest.raises(PacsAnswerError, match="broken"):
            found.records()


def test_a_table_in_a_cell_and_what_a_log_shows() -> None:
    found = made(JANE)
    assert "Doe" not in repr(found)
    shown = found._repr_html_()
    assert "Doe^&lt;Jane&gt;" in shown
    assert "CT, SR" in shown
    assert "… and 10 more" in made(*({"PatientID": str(n)} for n in range(60)))._repr_html_()


def test_a_saved_cohort_can_be_asked_for_again(tmp_path: Path) -> None:
    keys = {
        "PatientName": "Doe*",
        "StudyDate": (datetime.date(2024, 1, 1), None),
        "PatientBirthDate": {datetime.date(1960, 2, 29), datetime.date(1961, 1, 1)},
        "StudyInstanceUID": ["1.2", "1.3"],
        "ProcedureCodeSequence": {"CodeValue": "X"},
        "AccessionNumber": None,
    }
    path = tmp_path / "cohort.json"
    path.write_text("older, and readable for all")
    path.chmod(0o644)
    assert made(JANE, **keys).save(path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert (saved["server"], saved["level"], saved["count"]) == ("hospital", "STUDY", 1)
    assert saved["answers"] == [JANE]
    assert datetime.datetime.fromisoformat(saved["when"]).tzinfo is not None
    assert list(tmp_path.iterdir()) == [path]
    assert build_query("STUDY", saved["keys"]).identifier == build_query("STUDY", keys).identifier


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be saved"):
        made(JANE).save(tmp_path / "nowhere" / "cohort.json")


def test_no_secret_of_an_address_is_kept() -> None:
    server = Server(name="web", url="https://alice:s3cret@pacs.example/dicom-web?token=abc")
    found = Matches(server, build_query("STUDY", {}), {}, lambda _cancelled: iter(()))
    assert "s3cret" not in json.dumps(found.asked)
    assert "abc" not in json.dumps(found.asked)
