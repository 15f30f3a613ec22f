"""The load queue from the notebook's side: waiting, deadlines, cancelling, a Slicer that is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session.loads import Load, Loads
from tests.commands.loading import Busy
from tests.dicom import make

STUDY, SERIES = "1.2.826.0.8", "1.2.826.0.8.1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make.write_series(
        tmp_path / "ct",
        shape=(20, 32, 32),
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        SeriesNumber=1,
        PatientID="P",
    )
    return tmp_path


@pytest.fixture
def session(slicer: sn.Session, folder: Path) -> Iterator[sn.Session]:
    former, slicer.dicom.database = slicer.dicom.database, str(folder / "index.sqlite3")
    slicer.dicom.index(folder / "ct").result(60)
    yield slicer
    slicer.dicom.queue.cancel()
    slicer.dicom.queue.wait(timeout=30)
    slicer.dicom.queue.clear()
    slicer.dicom.database = former


def test_a_wait_has_a_deadline_and_loading_goes_on(session: sn.Session, tmp_path: Path) -> None:
    with Busy(session, tmp_path / "gate"):
        loads = session.dicom.queue.add(SERIES)
        with pytest.raises(errors.DeadlineError, match="not done yet"):
            session.dicom.queue.wait(loads, timeout=0.2)
    [load] = session.dicom.queue.wait(loads, timeout=30)
    assert load.state == "done"
    assert load.value[0].shape == (20, 32, 32)


def test_cancelling_the_wait_cancels_what_is_waited_for(session: sn.Session, tmp_path: Path) -> None:
    with Busy(session, tmp_path / "gate"):
        job = session.dicom.queue.job(session.dicom.queue.add(SERIES))
        assert job.cancel()
        assert [load.state for load in job.result(30)] == ["cancelled"]


def test_what_ended_before_the_wait_is_no_wait(session: sn.Session) -> None:
    loads = session.dicom.queue.add(SERIES)
    session.dicom.queue.wait(loads, timeout=30)
    assert session.dicom.queue.job(loads).result(30)[0].state == "done"


def test_a_cancel_by_entry_or_number(session: sn.Session, tmp_path: Path) -> None:
    with Busy(session, tmp_path / "gate"):
        [load] = session.dicom.queue.add(SERIES)
        assert [each.id for each in session.dicom.queue.cancel(load)] == [load.id]
        assert session.dicom.queue.wait([load], timeout=30)[0].state == "cancelled"
        assert session.dicom.queue.cancel(load.id) == []


def test_one_that_is_forgotten_while_it_is_waited_for_ends_the_wait(session: sn.Session, tmp_path: Path) -> None:
    queue = session.dicom.queue
    with Busy(session, tmp_path / "gate"):
        _, waits = queue.add(SERIES, "9.9.9")
        job = queue.job([waits])
        # At once: the news of both may come in one.
        queue.cancel(waits)
        queue.clear()
        assert [load.state for load in job.result(30)] == ["cancelled"]
        assert waits.id not in [load.id for load in queue.entries()]


def test_a_lost_slicer_ends_the_wait_and_a_new_one_has_a_queue_of_its_own(folder: Path) -> None:
    with sn.launch() as session:
        session.dicom.database = str(folder / "index.sqlite3")
        session.dicom.index(folder / "ct").result(60)
        queue = session.dicom.queue
        Busy(session, folder / "never")
        job = queue.job(queue.add(SERIES))
        os.kill(session._link.hello.pid, signal.SIGKILL)
        with pytest.raises(errors.ConnectionLostError):
            job.result(30)
        with pytest.raises(errors.ConnectionLostError):
            queue.add(SERIES)
        session.restart()
        assert queue.entries() == []
        [load] = queue.wait(queue.add(SERIES), timeout=30)
        assert load.value[0].shape == (20, 32, 32)


def test_a_restart_ends_the_wait(folder: Path) -> None:
    with sn.launch() as session:
        session.dicom.database = str(folder / "index.sqlite3")
        session.dicom.index(folder / "ct").result(60)
        Busy(session, folder / "never")
        job = session.dicom.queue.job(session.dicom.queue.add(SERIES))
        session.restart()
        with pytest.raises(errors.SessionError):
            job.result(30)


def test_they_show_as_a_table_without_markup_of_theirs() -> None:
    loads = Loads([Load(id=1, series="1.2", title="<b>", state="failed", error={"message": "<i>"}, files=(1, 2))])
    page = loads._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "1 of 2" in page
    assert "nothing" in Loads()._repr_html_()
    assert repr(Load(id=2, series="1.2", title="A", state="loading", progress=0.5)) == "<Load 2 'A': loading, 50 %>"
