"""``slicer.pacs()`` and ``slicer.transfers`` from the notebook's side, against an SCP that waits where a test says."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import re
import signal
import socket
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.store import read_meta, store
from slicer_notebook.pacs.server import DimseAddress
from slicer_notebook.session.pacs import Answers, plain_targets, title_of
from slicer_notebook.session.transfers import Transfer, Transfers
from slicer_notebook.testing import free_port
from tests.commands.conftest import servers  # noqa: F401 - a fixture
from tests.commands.hearing import DEADLINE
from tests.commands.loading import Busy
from tests.commands.transferring import Servers
from tests.pacs.peers.committing import Committing
from tests.pacs.peers.data import NAMES, Data
from tests.pacs.peers.gated import Gated
from tests.pacs.retrieving import until


@pytest.fixture
def session(slicer: sn.Session, tmp_path: Path) -> Iterator[sn.Session]:
    """The shared Slicer with an index of the test's own."""
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "index.sqlite3")
    yield slicer
    slicer.transfers.cancel()
    for entry in slicer.transfers.entries():
        slicer.transfers.job(entry).exception(DEADLINE)
    slicer.transfers.clear()
    slicer.dicom.queue.cancel()
    slicer.dicom.queue.wait(timeout=DEADLINE)
    slicer.dicom.queue.clear()
    slicer.dicom.database = former


@pytest.fixture
def peer(servers: Servers, pacs_data: Data) -> Gated:  # noqa: F811 - the fixture
    """A PACS called pacs0 with a CT of two series, an MR, and a CT with a segmentation."""
    return servers.gated(*(pacs_data.study(name) for name in ("follow-up", "bare", "latin")))[1]


@pytest.fixture(params=["slicer", "notebook"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


def asked(peer: Gated, level: str = "STUDY") -> Any:
    """The last identifier that was asked for."""
    return [each.identifier for each in peer.asked if each.service == "find" and each.level == level][-1]


# -- which PACS -------------------------------------------------------------------------------------------------------


def test_which_pacs(session: sn.Session, servers: Servers, run: Any) -> None:  # noqa: F811
    with pytest.raises(errors.ArgumentError, match="Which PACS") as none:
        session.pacs(run=run)
    assert "sn.pacs.add" in (none.value.hint or "")
    servers.add("dimse://A@127.0.0.1:4242", name="one")
    assert session.pacs(run=run).name == "one"
    servers.add("dimse://B@127.0.0.1:4242", name="two")
    with pytest.raises(errors.ArgumentError, match="one of one, two"):
        session.pacs(run=run)
    assert repr(session.pacs("two", run=run)) == (
        f"<PACS 'two', asked from {'Slicer' if run == 'slicer' else 'the notebook'}>"
    )
    job = session.pacs("nosuch", run=run).find()
    with pytest.raises(errors.PacsNotFoundError, match="nosuch"):
        job.result(DEADLINE)
    with pytest.raises(errors.PacsNotFoundError, match="nosuch"):
        session.pacs("nosuch", run=run).retrieve(study="1.2.3")
    with pytest.raises(errors.ArgumentError, match="Where is the PACS asked from"):
        session.pacs("one", run="elsewhere")  # type: ignore[arg-type]


# -- questions --------------------------------------------------------------------------------------------------------


def test_answers(session: sn.Session, peer: Gated, pacs_data: Data, run: Any, tmp_path: Path) -> None:
    job = session.pacs("pacs0", run=run).find(PatientName="*", PatientID="ASCII")
    answers = job.result(DEADLINE)
    assert isinstance(answers, Answers)
    [answer] = answers
    study = pacs_data.study("follow-up")
    assert (answer["StudyInstanceUID"], answer["NumberOfStudyRelatedInstances"]) == (study.uid, 7)
    assert answer.server == answers.asked["server"] == "pacs0"
    assert answers.asked["keys"] == {"PatientName": "*", "PatientID": "ASCII"}
    assert datetime.datetime.fromisoformat(answers.asked["when"]).tzinfo is not None
    frame = answers.frame()
    assert frame.StudyInstanceUID.tolist() == [study.uid]
    assert frame.attrs["asked"] == answers.asked
    path = answers.save(tmp_path / "cohort.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert (saved["server"], saved["count"], saved["answers"]) == ("pacs0", 1, [dict(answer)])
    assert "1 answer of pacs0" in answers._repr_html_()


def test_answers_show_without_markup_of_theirs() -> None:
    many = [{"PatientName": "<b>", "ModalitiesInStudy": ["CT", "SEG"], "StudyDate": None}] * 60
    page = Answers(many, {"server": "<i>", "level": "STUDY", "when": "now"})._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "CT, SEG" in page
    assert page.count("<tr>") == 51
    assert "60 answers" in page


def test_keys_mean_the_same_from_both_machines(session: sn.Session, peer: Gated, run: Any) -> None:
    pacs = session.pacs("pacs0", run=run)
    date, moment = datetime.date(2024, 2, 12), datetime.datetime(2024, 2, 12, 10, 15, 30)
    for given, sent in (
        (date, "20240212"),
        (moment, "20240212"),
        (pandas.Timestamp(moment), "20240212"),
        ((date, None), "20240212-"),
        ([datetime.date(2024, 1, 1), moment], "20240101-20240212"),
        ("2024-01-01..2024-02-12", "20240101-20240212"),
    ):
        found = pacs.find(StudyDate=given).result(DEADLINE)
        assert asked(peer).StudyDate == sent
        assert found
    pacs.find(StudyTime=moment.time(), SeriesNumber=pandas.Series([1])[0]).result(DEADLINE)
    assert (asked(peer).StudyTime, asked(peer).SeriesNumber) == ("101530", 1)
    pacs.find("SERIES", RequestAttributesSequence__ScheduledProcedureStepID="7", StudyInstanceUID="1.2").result(
        DEADLINE
    )
    assert asked(peer, "SERIES").RequestAttributesSequence[0].ScheduledProcedureStepID == "7"
    # A set of two dates is none but these two; a pair is a range.
    days = {each["StudyDate"] for each in pacs.find(StudyDate={"20240212", "20240505"}).result(DEADLINE)}
    assert days == {"20240212", "20240505"}
    with pytest.raises(errors.ArgumentError, match="StudyDate"):
        pacs.find(StudyDate="yesterday").result(DEADLINE)


def test_a_question_can_be_watched_awaited_and_cancelled(session: sn.Session, peer: Gated, run: Any) -> None:
    pacs = session.pacs("pacs0", run=run)

    async def ask() -> Answers:
        return await pacs.find(limit=2)

    assert len(asyncio.run(ask())) == 2
    peer.lies.invented, peer.lies.slow = 5000, 0.02
    job = pacs.find(counts=False)
    told = threading.Event()
    job.on_progress(lambda _job: told.set())
    assert told.wait(DEADLINE)
    assert re.match(r"\d+ answers?", job.text)
    before = peer.cancelled
    assert job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    assert job.cancelled
    peer.wait_for(lambda: peer.cancelled == before + 1)


def test_errors_say_all_that_they_know(session: sn.Session, servers: Servers, peer: Gated, run: Any) -> None:  # noqa: F811
    servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", name="closed", timeout=0.2)
    for job in (session.pacs("closed", run=run).find(), session.pacs("closed", run=run).retrieve(study="1.2.3")):
        with pytest.raises(errors.PacsUnreachableError, match="cannot be reached") as unreachable:
            job.result(DEADLINE)
        assert "connection refused" in str(unreachable.value)
        assert unreachable.value.hint
        assert unreachable.value.details["stage"] == "port"
    peer.lies.reject = (1, 1, 3)
    with pytest.raises(errors.PacsRefusedError, match="calling AE title"):
        session.pacs("pacs0", run=run).retrieve(study="1.2.3").result(DEADLINE)


# -- retrieving -------------------------------------------------------------------------------------------------------


def test_what_can_be_retrieved(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    pacs, study = session.pacs("pacs0", run=run), pacs_data.study("follow-up")
    first, second = study.series
    studies = pacs.find(PatientID="ASCII").result(DEADLINE)
    series = pacs.find("SERIES", StudyInstanceUID=study.uid).result(DEADLINE)
    image = pacs.find("IMAGE", StudyInstanceUID=study.uid, SeriesInstanceUID=second.uid).result(DEADLINE)
    for what, how, count in (
        (image[0], {}, 1),
        (image.frame().iloc[1], {}, 1),
        (None, {"study": study.uid, "series": second.uid, "instances": [image[2]["SOPInstanceUID"]]}, 1),
        (series[:1], {}, 4),
        (series.frame(), {}, 7),
        (studies, {}, 7),
        (studies.frame().iloc[0], {}, 7),
        (study.uid, {}, 7),
        ([study.uid, pacs_data.study("bare").uid], {}, 10),
        (None, {"study": study.uid, "series": first.uid}, 4),
    ):
        transfer = pacs.retrieve(what, **how).result(DEADLINE)
        assert isinstance(transfer, Transfer)
        assert (transfer.state, transfer.complete, transfer.received) == ("done", True, count), (what, how)
    # Records of the index name what they are of, too.
    [study_here, *_] = session.dicom.studies(PatientID="ASCII")
    assert pacs.retrieve(study_here).result(DEADLINE).received == 7
    assert pacs.retrieve(session.dicom.series(study_here)[0]).result(DEADLINE).series[0]["here"] in (3, 4)
    for nothing in (None, [], pandas.DataFrame()):
        with pytest.raises(errors.ArgumentError, match="Retrieve what"):
            pacs.retrieve(nothing)
    with pytest.raises(errors.ArgumentError, match="names no study"):
        pacs.retrieve(series=first.uid)


def test_titles_name_no_patient(pacs_data: Data) -> None:
    answer = {
        "StudyInstanceUID": "1.2",
        "PatientName": "Doe^Jane",
        "PatientID": "ASCII",
        "StudyDescription": "CT Thorax",
    }
    series = {**answer, "SeriesInstanceUID": "1.2.3", "SeriesDescription": float("nan"), "Modality": "CT"}
    image = {**series, "SOPInstanceUID": "1.2.3.4", "StudyDescription": None, "Modality": None}

    def title(what: Any, **how: Any) -> str:
        given: dict[str, Any] = {"study": None, "series": None, "instances": [], **how}
        return title_of(what, plain_targets(what, **given))

    assert title(answer) == title([answer]) == title(pandas.DataFrame([answer])) == "CT Thorax"
    assert title(pandas.DataFrame([answer]).iloc[0]) == "CT Thorax"
    assert title([answer, {**answer, "StudyInstanceUID": "1.3"}]) == "2 studies"
    assert title({"StudyInstanceUID": "1.2", "PatientName": "Doe^Jane"}) == title("1.2") == "a study"
    assert title(series) == "CT Thorax"
    assert title([series, {**series, "SeriesInstanceUID": "1.2.4"}]) == "2 series"
    assert title(None, study="1.2", series="1.2.3") == "a series"
    assert title(image) == "an instance"
    assert title([image, {**image, "SOPInstanceUID": "1.2.3.5"}]) == "2 instances of a series"


def test_how_a_retrieval_is_watched(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    peer.allow(2)
    job = session.pacs("pacs0", run=run).retrieve(pacs_data.study("follow-up").uid)
    told = threading.Event()
    job.on_progress(lambda job: told.set() if job.data and job.data[0] == 2 else None)
    assert told.wait(DEADLINE)
    assert 0.2 < job.progress < 0.4
    assert job.text.startswith("2 of 7 instances")
    assert job.data == [2, 7]
    with pytest.raises(errors.DeadlineError):
        job.result(0.05)
    peer.allow(None)
    end = job.result(DEADLINE)
    assert (end.received, end.expected, end.goes_on) == (7, 7, False)
    assert end.title == "a study"
    assert end.by == session.name
    assert {Path(each.path).parts[-3] for each in indexed(session)} == {pacs_data.study("follow-up").uid}


def indexed(session: sn.Session) -> list[Any]:
    from slicer_notebook.dicom import Index

    index = Index(Path(session.dicom.database or ""))
    try:
        return [each for series in index.series() for each in index.instances(series.SeriesInstanceUID)]
    finally:
        index.close()


def test_a_retrieval_that_brings_not_all(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    peer.lies.fail = 1
    job = session.pacs("pacs0", run=run).retrieve(pacs_data.study("bare").uid)
    with pytest.raises(errors.RetrieveIncompleteError, match="1 instance is missing") as caught:
        job.result(DEADLINE)
    error = caught.value
    assert (error.expected, error.got) == ("3 instances", "2")
    assert "Retrieve again to go on from there" in (error.hint or "")
    assert error.details["server"] == "pacs0"
    [series] = error.details["series"]
    assert (series["expected"], series["received"], series["missing"]) == (3, 2, 1)
    assert series["reasons"]
    for _, name in NAMES.values():
        assert name.partition("^")[0] not in str(error)
    peer.lies.fail = 0
    assert session.pacs("pacs0", run=run).retrieve(pacs_data.study("bare").uid).result(DEADLINE).complete


def test_a_retrieval_that_is_cancelled(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    peer.allow(2)
    job = session.pacs("pacs0", run=run).retrieve(pacs_data.study("follow-up").uid)
    told = threading.Event()
    job.on_progress(lambda job: told.set() if job.data and job.data[0] == 2 else None)
    assert told.wait(DEADLINE)
    assert job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    assert job.cancelled
    peer.wait_for(lambda: peer.cancelled == 1)
    assert len(indexed(session)) >= 2


def test_what_a_pacs_has_nothing_of(session: sn.Session, peer: Gated, run: Any) -> None:
    with pytest.raises(errors.UidNotFoundError, match="nothing of what was asked for"):
        session.pacs("pacs0", run=run).retrieve(study="1.2.3").result(DEADLINE)


def test_series_are_loaded_as_they_come(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    latin = pacs_data.study("latin")  # a CT and a segmentation
    transfer = session.pacs("pacs0", run=run).retrieve(latin.uid, load=True).result(DEADLINE)
    [load] = session.dicom.queue.wait(session.dicom.queue.entries(), timeout=DEADLINE)
    assert (load.series, load.state, load.show, load.error) == (latin.series[0].uid, "done", True, {})
    assert (transfer.received, transfer.loads) == (5, [load.id])


# -- the transfers of Slicer ------------------------------------------------------------------------------------------


def test_transfers_are_stopped_and_go_on(session: sn.Session, peer: Gated, pacs_data: Data) -> None:
    peer.allow(2)
    job = session.pacs("pacs0").retrieve(pacs_data.study("follow-up").uid)
    [entry] = session.transfers.entries()
    assert entry.goes_on
    told = threading.Event()
    job.on_progress(lambda job: told.set() if "paused" in job.text else None)
    [paused] = session.transfers.pause(entry)
    assert paused.state == "paused"
    assert told.wait(DEADLINE)
    with pytest.raises(errors.DeadlineError):
        job.result(0.1)
    assert "paused" in session.transfers._repr_html_()
    peer.allow(None)
    session.transfers.resume(entry.id)
    assert job.result(DEADLINE).complete
    # One that has ended is a job, too.
    assert session.transfers.job(entry).result(DEADLINE).complete
    peer.allow(0)
    other = session.pacs("pacs0").retrieve(pacs_data.study("bare").uid)
    [stopped] = session.transfers.cancel()
    assert isinstance(other.exception(DEADLINE), errors.JobCancelledError)
    with pytest.raises(errors.JobCancelledError):
        session.transfers.job(stopped).result(DEADLINE)
    peer.allow(None)
    session.transfers.retry(stopped)
    assert session.transfers.job(stopped).result(DEADLINE).complete
    session.transfers.clear()
    assert session.transfers.entries() == []
    with pytest.raises(errors.UidNotFoundError, match="not there any more"):
        session.transfers.job(stopped).result(DEADLINE)
    for wrong in ("1", None, True):
        with pytest.raises(errors.ArgumentError, match="Which transfer"):
            session.transfers.pause(wrong)  # type: ignore[arg-type]


def test_transfers_show_as_a_table_without_markup_of_theirs() -> None:
    page = Transfers(
        [Transfer(id=1, server="<b>", title="<i>", state="failed", error={"message": "<u>"})]
    )._repr_html_()
    for markup in ("<b>", "<i>", "<u>"):
        assert markup not in page
    assert "0 of ?" in page
    assert "nothing" in Transfers()._repr_html_()
    shown = repr(Transfer(id=3, server="a", title="CT", state="going", received=2, expected=5))
    assert shown == "<Transfer 3 'CT' from 'a': going, 2 of 5 instances>"


def test_a_notebook_that_connects_later_follows_what_goes_on(session: sn.Session, peer: Gated, pacs_data: Data) -> None:
    peer.allow(2)
    session.pacs("pacs0").retrieve(pacs_data.study("bare").uid)
    with sn.connect(session.name) as other:
        [entry] = other.transfers.entries()
        job = other.transfers.job(entry)
        peer.allow(None)
        assert job.result(DEADLINE).complete


def test_a_lost_slicer_ends_what_waits(servers: Servers, pacs_data: Data, tmp_path: Path) -> None:  # noqa: F811
    _, peer = servers.gated(pacs_data.study("bare"), allowed=1)
    with sn.launch() as own:
        own.dicom.database = str(tmp_path / "index.sqlite3")
        retrieval = own.pacs("pacs0").retrieve(pacs_data.study("bare").uid)
        peer.wait_for(lambda: peer.sent)
        peer.lies.hang = {"find"}
        question = own.pacs("pacs0").find()
        peer.wait_for(lambda: sum(each.service == "find" for each in peer.asked) >= 2)
        os.kill(own._link.hello.pid, signal.SIGKILL)
        for job in (retrieval, question):
            with pytest.raises(errors.ConnectionLostError):
                job.result(DEADLINE)
        with pytest.raises(errors.ConnectionLostError):
            own.pacs("pacs0").retrieve(study="1.2")
        peer.lies.hang = set()
        peer.allow(None)
        own.restart()
        assert own.transfers.entries() == []
        # What had come by then is not fetched again.
        end = own.pacs("pacs0").retrieve(pacs_data.study("bare").uid).result(DEADLINE)
        assert end.complete


def test_a_busy_slicer_asks_and_fetches(session: sn.Session, peer: Gated, pacs_data: Data, tmp_path: Path) -> None:
    with Busy(session, tmp_path / "gate"):
        answers = session.pacs("pacs0").find(PatientID="BARE").result(DEADLINE)
        assert session.pacs("pacs0").retrieve(answers).result(DEADLINE).received == 3


# -- into the scene in one go -----------------------------------------------------------------------------------------


def test_the_first_series_is_shown_while_others_still_arrive(session: sn.Session, peer: Gated, pacs_data: Data) -> None:
    first, second = pacs_data.study("follow-up").series
    peer.allow(len(first.instances))
    answers = session.pacs("pacs0").find(PatientID="ASCII").result(DEADLINE)
    events: list[str] = []
    news = threading.Condition()

    def note(event: str) -> None:
        with news:
            events.append(event)
            news.notify_all()

    def heard(event: dict[str, Any]) -> None:
        for entry in event["entries"]:
            if entry["state"] == "done":
                note(f"loaded {entry['series']}, {'shown' if entry['show'] else 'not shown'}")

    loads = session.on("loads", heard)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(session.dicom.load(retrieve=answers)))
    thread.start()
    with news:
        assert news.wait_for(lambda: events, DEADLINE)
    shown = "slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLSliceCompositeNode').GetBackgroundVolumeID()"
    background = session.eval(shown)
    note("the rest may come")
    peer.allow(None)
    thread.join(DEADLINE)
    assert not thread.is_alive()
    with news:
        assert news.wait_for(lambda: len(events) == 3, DEADLINE)
    loads.close()
    assert events == [
        f"loaded {first.uid}, shown", "the rest may come", f"loaded {second.uid}, not shown",
    ]  # fmt: skip
    assert [volume.shape for volume in found] == [(4, 16, 16), (3, 16, 16)]
    assert found[0].id == background == session.eval(shown)


def test_what_is_here_already_is_loaded(session: sn.Session, peer: Gated, pacs_data: Data) -> None:
    answers = session.pacs("pacs0").find("SERIES", StudyInstanceUID=pacs_data.study("latin").uid).result(DEADLINE)
    [volume] = session.dicom.load(retrieve=answers)
    assert volume.shape == (4, 16, 16)
    [again] = session.dicom.load(retrieve=answers[0], show=False)
    assert again.id != volume.id


def test_what_cannot_be_loaded_in_one_go(session: sn.Session, peer: Gated, pacs_data: Data) -> None:
    pacs = session.pacs("pacs0")
    answers = pacs.find(PatientID="ASCII").result(DEADLINE)
    for wrong in ([], [dict(answers[0])], [answers[0], Answers([answers[0]], {"server": "other"})[0]]):
        with pytest.raises(errors.ArgumentError, match="Retrieve what"):
            session.dicom.load(retrieve=wrong)
    with pytest.raises(errors.ArgumentError, match="as it is"):
        session.dicom.load(retrieve=answers, strict=True)
    with pytest.raises(errors.ArgumentError, match="not a series"):
        session.dicom.load()
    # What has come whole is loaded, and then the error says what has not.
    peer.lies.without = {"get"}
    with pytest.raises(errors.RetrieveIncompleteError) as caught:
        session.dicom.load(retrieve=answers)
    assert "does not offer C-GET" in (caught.value.hint or "")
    peer.lies.without = set()
    peer.lies.fail = 1
    with pytest.raises(errors.RetrieveIncompleteError):
        session.dicom.load(retrieve=answers)
    peer.lies.fail = 0
    assert len(session.dicom.load(retrieve=answers)) == 2


def test_warnings_of_what_is_loaded_are_the_callers(session: sn.Session, servers: Servers, tmp_path: Path) -> None:  # noqa: F811
    from tests.dicom import make

    uids = {"StudyInstanceUID": "1.2.826.0.9", "SeriesInstanceUID": "1.2.826.0.9.1"}
    make.write_series(tmp_path / "gap", offsets=[0, 4, 8, 16, 20], **uids)
    with Gated(sorted((tmp_path / "gap").iterdir())) as peer:
        answers = session.pacs(servers.add(peer.url)).find().result(DEADLINE)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            session.dicom.load(retrieve=answers)
    told = [each for each in caught if issubclass(each.category, sn.DicomWarning)]
    assert told
    assert {Path(each.filename).name for each in told} == {"test_pacs.py"}


# -- sending ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def keeper(servers: Servers) -> Iterator[Committing]:  # noqa: F811 - the fixture
    """A PACS called pacs0 that takes what it is sent, and says whether it will keep it."""
    with Committing() as made:
        servers.add(made.url, commit_timeout=DEADLINE)
        yield made


def test_sending(session: sn.Session, keeper: Committing, pacs_data: Data, run: Any, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    folder, count = pacs_data.folder / "follow-up", len(study.instances)
    pacs = session.pacs("pacs0", run=run)
    job = pacs.store(folder)
    stored = job.result(DEADLINE)
    assert stored.complete
    assert [each.committed for each in stored.files] == [None] * count
    assert sorted(keeper.stored) == sorted(study.instances)
    keeper.how.fail = 1
    stored = pacs.store(*study.instances.values(), commit=True).result(DEADLINE)
    assert not stored.complete
    assert [(each.path, each.uncommitted) for each in stored.uncommitted] == [
        (str(next(iter(study.instances.values()))), "it does not have the instance (0112)")
    ]
    assert len(stored.committed) == count - 1
    session.dicom.index(folder).result(DEADLINE)
    keeper.stored.clear()
    assert pacs.store(study.uid).result(DEADLINE).complete
    assert sorted(keeper.stored) == sorted(study.instances)
    with pytest.raises(errors.PathNotFoundError):
        pacs.store(tmp_path / "nothing").result(DEADLINE)
    with pytest.raises(errors.UidNotFoundError):
        pacs.store("1.2.3.4").result(DEADLINE)


def test_sending_is_cancelled(session: sn.Session, keeper: Committing, pacs_data: Data, run: Any) -> None:
    keeper.how.where = "never"
    job = session.pacs("pacs0", run=run).store(pacs_data.folder / "follow-up", commit=True)
    waiting = threading.Event()
    job.on_progress(lambda job: waiting.set() if "commit" in job.text else None)
    assert waiting.wait(DEADLINE)
    count = len(pacs_data.study("follow-up").instances)
    assert (job.progress, job.data) == (1.0, [count, count])
    job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(10)


# -- before anything is fetched ---------------------------------------------------------------------------------------


def test_plan_and_picture_and_test(session: sn.Session, peer: Gated, pacs_data: Data, run: Any) -> None:
    pacs, study = session.pacs("pacs0", run=run), pacs_data.study("follow-up")
    first = pacs.find("SERIES", StudyInstanceUID=study.uid).result(DEADLINE)[0]
    planned = pacs.plan(first)
    [volume] = planned.volumes
    assert (volume.shape, volume.files) == ((4, 16, 16), 4)
    assert pacs.thumbnail(first, 64).startswith(b"\x89PNG")
    assert indexed(session) == []
    for wrong in ({"StudyInstanceUID": study.uid}, study.uid, 5):
        with pytest.raises(errors.ArgumentError, match="Which series"):
            pacs.plan(wrong)  # type: ignore[arg-type]
        with pytest.raises(errors.ArgumentError, match="Which series"):
            pacs.thumbnail(wrong)  # type: ignore[arg-type]
    job = pacs.test()
    told = threading.Event()
    job.on_progress(lambda _job: told.set())
    report = job.result(DEADLINE)
    assert report.ok
    assert told.is_set()
    assert "C-GET" in str(report)
    assert "<table>" in report._repr_html_()
    # Records of the index do as well.
    pacs.retrieve(first).result(DEADLINE)
    [record] = session.dicom.series()
    assert pacs.plan(record) == planned
    assert pacs.thumbnail(record, 64).startswith(b"\x89PNG")
    peer.lies.leave_out = {"Rows"}
    with pytest.raises(errors.PacsAnswerError, match="too little"):
        pacs.plan(record)


# -- pushes -----------------------------------------------------------------------------------------------------------


def test_a_push_is_in_the_index_of_all(
    session: sn.Session,
    servers: Servers,  # noqa: F811
    pacs_data: Data,
    run: Any,
) -> None:
    """As for C-MOVE, but nobody has asked: the notebooks are told that the index has more."""
    study = pacs_data.study("follow-up")
    servers.add("dimse://HOSPITAL@127.0.0.1:104", name="hospital")
    told, heard = threading.Event(), []
    subscriptions = [session.on("indexed", lambda _event: told.set()), session.on("listening", heard.append)]
    with session.pacs("hospital", run=run).listen() as listening:
        assert listening.report.listening
        peer = Peer(DimseAddress("SLICER", "127.0.0.1", listening.port, tls=False), "HOSPITAL", "ours", timeout=20)
        said: list[Any] = []
        files = [read_meta(str(path)) for path in study.instances.values()]
        store(peer, files, lambda _path, problem: said.append(problem), lambda: False)
        assert said == [None] * 7
        assert told.wait(DEADLINE)
        assert sum(each.NumberOfSeriesRelatedInstances for each in session.dicom.series(study=study.uid)) == 7
        assert f"'SLICER' at 127.0.0.1:{listening.port} listens, 7 instances of 2 series" in repr(listening)
        assert "HOSPITAL" in listening._repr_html_()
    last = listening.report
    assert (last.listening, last.count, [each.senders for each in last.series]) == (False, 7, [["HOSPITAL"]] * 2)
    if run == "slicer":
        until(lambda: heard and heard[-1]["gone"])
        assert heard[-1]["entries"][0]["count"] == 7
    for subscription in subscriptions:
        subscription.close()
    assert session.call("pacs.listening") == []


def test_listening_again_is_the_same(session: sn.Session, servers: Servers) -> None:  # noqa: F811
    servers.add("dimse://HOSPITAL@127.0.0.1:104", name="hospital", port=free_port())
    pacs = session.pacs("hospital")
    first, again, other = pacs.listen(), pacs.listen(), pacs.listen(port="free")
    assert first.port == again.port != other.port
    assert len(session.call("pacs.listening")) == 2
    assert not again.stop().listening
    assert not first.report.listening
    other.stop()


def test_listening_that_cannot_be(session: sn.Session, servers: Servers, run: Any) -> None:  # noqa: F811
    servers.add("https://pacs.example/dicom-web", name="web")
    with pytest.raises(errors.ArgumentError, match="DIMSE"):
        session.pacs("web", run=run).listen()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        servers.add("dimse://HOSPITAL@127.0.0.1:104", name="hospital", port=taken.getsockname()[1])
        with pytest.raises(errors.PacsError, match="cannot listen") as error:
            session.pacs("hospital", run=run).listen()
    assert f"process {os.getpid()}" in (error.value.got or "")
