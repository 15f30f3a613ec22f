"""Commands about PACS on a real Slicer: questions, their answers as they come, cancels, what stays free meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.commands import questions
from slicer_notebook.pacs import config
from slicer_notebook.testing import free_port
from tests.commands.hearing import DEADLINE
from tests.commands.loading import Busy
from tests.commands.transferring import Servers
from tests.pacs.peers.data import Data
from tests.pacs.peers.gated import Gated


class Answers:
    """What a session hears of questions."""

    def __init__(self, slicer: sn.Session) -> None:
        self.slicer = slicer
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self._news = threading.Condition()
        self.subscription = slicer.on("answers", self._take)

    def _take(self, event: dict[str, Any]) -> None:
        with self._news:
            self.events.append(event)
            self.times.append(time.monotonic())
            self._news.notify_all()

    def ask(self, server: str, **how: Any) -> int:
        return int(self.slicer.call("pacs.ask", server=server, **how)["id"])

    def of(self, number: int) -> list[dict[str, Any]]:
        return [event for event in self.events if event["id"] == number]

    def until(self, condition: Any, what: str) -> None:
        with self._news:
            assert self._news.wait_for(condition, DEADLINE), f"{what}; heard: {len(self.events)} events"

    def ended(self, number: int) -> dict[str, Any]:
        self.until(lambda: any(event["state"] != "going" for event in self.of(number)), f"the end of {number}")
        return self.of(number)[-1]


@pytest.fixture
def answers(slicer: sn.Session) -> Iterator[Answers]:
    found = Answers(slicer)
    yield found
    found.subscription.close()


@pytest.fixture
def peer(servers: Servers, pacs_data: Data) -> Gated:
    """A PACS called pacs0."""
    return servers.gated(pacs_data.study("follow-up"), pacs_data.study("bare"))[1]


def test_servers_and_where_their_secrets_are(slicer: sn.Session, servers: Servers) -> None:
    servers.add("https://pacs.example/dicom-web", name="web", auth="basic", user="u", password="env:PASSWORD")
    servers.add("dimse://PACS@127.0.0.1:4242", name="hospital", calling="ME", port=11113)
    web, hospital = slicer.call("pacs.servers")
    assert (web["name"], web["kind"], web["password"]) == ("web", "dicomweb", "env:PASSWORD")
    assert (hospital["name"], hospital["kind"], hospital["calling"], hospital["port"]) == (
        "hospital", "dimse", "ME", 11113,
    )  # fmt: skip


def test_all_answers_to_a_question(slicer: sn.Session, peer: Gated, pacs_data: Data) -> None:
    found = slicer.call("pacs.find", server="pacs0", keys={"PatientName": "*"}, include=["InstitutionName"])
    assert (found["asked"]["server"], found["asked"]["level"]) == ("pacs0", "STUDY")
    assert found["asked"]["keys"] == {"PatientName": "*"}
    assert {each["StudyInstanceUID"] for each in found["records"]} == {
        pacs_data.study(name).uid for name in ("follow-up", "bare")
    }
    assert {each["InstitutionName"] for each in found["records"]} == {"General Hospital"}
    assert len(slicer.call("pacs.find", server="pacs0", limit=1)["records"]) == 1
    series = slicer.call("pacs.find", server="pacs0", level="SERIES", keys={"Modality": "MR"}, counts=True)
    assert [each["NumberOfSeriesRelatedInstances"] for each in series["records"]] == [3]


def test_questions_that_are_none(slicer: sn.Session, peer: Gated) -> None:
    with pytest.raises(errors.PacsNotFoundError, match="nosuch"):
        slicer.call("pacs.find", server="nosuch")
    with pytest.raises(errors.ArgumentError, match="level"):
        slicer.call("pacs.find", server="pacs0", level="ROOM")
    with pytest.raises(errors.ArgumentError, match="Nonsense"):
        slicer.call("pacs.ask", server="pacs0", keys={"Nonsense": "x"})


def test_errors_cross_the_link_with_all_that_they_say(slicer: sn.Session, servers: Servers, peer: Gated) -> None:
    servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", name="closed")
    with pytest.raises(errors.PacsUnreachableError, match="cannot be reached") as unreachable:
        slicer.call("pacs.find", server="closed")
    assert "connection refused" in (unreachable.value.got or "")
    assert unreachable.value.hint
    assert unreachable.value.details["stage"] == "port"
    peer.lies.reject = (1, 1, 3)
    with pytest.raises(errors.PacsRefusedError, match="calling AE title") as refused:
        slicer.call("pacs.find", server="pacs0")
    assert refused.value.details["reason"] == 3
    assert "calling=" in (refused.value.hint or "")
    peer.lies.reject, peer.lies.status = None, {"find": 0xA700}
    with pytest.raises(errors.PacsAnswerError, match="esources"):
        slicer.call("pacs.find", server="pacs0")


def test_a_cancel_is_told_to_the_pacs_and_ends_the_job(slicer: sn.Session, peer: Gated) -> None:
    peer.lies.invented, peer.lies.slow = 5000, 0.02
    job = slicer.submit("pacs.find", server="pacs0", counts=False)
    progressed = threading.Event()
    job.on_progress(lambda _job: progressed.set())
    assert progressed.wait(DEADLINE)
    assert "answer" in job.text
    assert job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    peer.wait_for(lambda: peer.cancelled == 1)


def test_a_cancel_of_a_question_that_nobody_answers(slicer: sn.Session, peer: Gated) -> None:
    peer.lies.hang = {"find"}
    job = slicer.submit("pacs.find", server="pacs0")
    peer.wait_for(lambda: any(asked.service == "find" for asked in peer.asked))
    job.cancel()
    began = time.monotonic()
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    assert time.monotonic() - began < 10, "it waited for the PACS"


def test_answers_are_told_as_they_come(slicer: sn.Session, answers: Answers, peer: Gated) -> None:
    peer.lies.invented = 1000
    number = answers.ask("pacs0", counts=False)
    end = answers.ended(number)
    assert (end["state"], end["count"], end["error"]) == ("done", 1002, {})
    events = answers.of(number)
    assert sum(len(event["records"]) for event in events) == 1002
    told = 0
    for event in events:
        told += len(event["records"])
        assert event["count"] == told
        assert len(event["records"]) <= questions.PAGE
    assert [event["state"] for event in events[:-1]] == ["going"] * (len(events) - 1)


def test_an_answer_does_not_wait_for_the_next_one(slicer: sn.Session, answers: Answers, peer: Gated) -> None:
    peer.lies.slow = 1.0
    number = answers.ask("pacs0", counts=False)
    answers.until(lambda: answers.of(number), "the first answer")
    assert (answers.of(number)[0]["state"], answers.of(number)[0]["count"]) == ("going", 1)
    assert answers.ended(number)["count"] == 2


def test_the_pacs_is_told_to_stop(slicer: sn.Session, answers: Answers, peer: Gated) -> None:
    peer.lies.invented, peer.lies.slow = 5000, 0.02
    number = answers.ask("pacs0", counts=False)
    answers.until(lambda: answers.of(number), "an answer")
    slicer.call("pacs.stop_asking", ids=[number, 98765])
    end = answers.ended(number)
    assert (end["state"], end["error"]) == ("stopped", {})
    assert end["count"] == sum(len(event["records"]) for event in answers.of(number)) < 5000
    peer.wait_for(lambda: peer.cancelled == 1)


def test_what_fails_later_is_told(slicer: sn.Session, servers: Servers, answers: Answers) -> None:
    servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", name="closed")
    end = answers.ended(answers.ask("closed"))
    assert (end["state"], end["count"], end["records"]) == ("failed", 0, [])
    assert end["error"]["kind"] == "PacsUnreachableError"
    assert end["error"]["hint"]


def test_questions_at_a_time_are_limited(slicer: sn.Session, answers: Answers, peer: Gated) -> None:
    peer.lies.hang = {"find"}
    numbers = [answers.ask("pacs0") for _ in range(questions._MOST)]
    with pytest.raises(errors.ArgumentError, match="Too many questions"):
        answers.ask("pacs0")
    slicer.call("pacs.stop_asking", ids=numbers)
    for number in numbers:
        assert answers.ended(number)["state"] == "stopped"
    peer.lies.hang = set()
    assert answers.ended(answers.ask("pacs0"))["state"] == "done"


def test_a_pacs_that_is_silent_keeps_nobody_else_waiting(slicer: sn.Session, peer: Gated, tmp_path: Path) -> None:
    peer.lies.hang = {"find"}
    jobs = [slicer.submit("pacs.find", server="pacs0") for _ in range(6)]
    peer.wait_for(lambda: sum(asked.service == "find" for asked in peer.asked) == 6)
    assert slicer.call("dicom.studies", database=str(tmp_path / "index.sqlite3")) == []
    for job in jobs:
        job.cancel()
    for job in jobs:
        assert isinstance(job.exception(DEADLINE), errors.JobCancelledError)


def test_nothing_waits_for_the_main_thread(
    slicer: sn.Session, answers: Answers, peer: Gated, pacs_data: Data, tmp_path: Path
) -> None:
    bare = pacs_data.study("bare")
    database = str(tmp_path / "index.sqlite3")
    with Busy(slicer, tmp_path / "gate"):
        assert len(slicer.call("pacs.find", server="pacs0")["records"]) == 2
        assert answers.ended(answers.ask("pacs0"))["count"] == 2
        target = {"StudyInstanceUID": bare.uid}
        number = slicer.call("pacs.retrieve", server="pacs0", targets=[target], database=database)["id"]
        job = slicer.transfers.job(number)
        assert job.result(DEADLINE).received == 3
        facts = slicer.call("pacs.here", studies=[bare.uid, bare.uid, "1.2.3"], database=database)
        assert facts == {bare.uid: {bare.series[0].uid: 3}, "1.2.3": {}}
        assert slicer.call("pacs.test", server="pacs0")["server"] == "pacs0"
        series = {"study": bare.uid, "series": bare.series[0].uid}
        assert slicer.call("pacs.thumbnail", server="pacs0", database=database, **series).startswith(b"\x89PNG")
        assert slicer.call("pacs.plan", server="pacs0", **series)["volumes"][0]["shape"] == [3, 16, 16]
    slicer.call("pacs.clear")


def test_what_a_notebook_has_fetched_is_told_to_all_and_loaded(
    slicer: sn.Session, pacs_data: Data, tmp_path: Path
) -> None:
    database = str(tmp_path / "index.sqlite3")
    former, slicer.dicom.database = slicer.dicom.database, database
    told: list[Any] = []
    news = threading.Condition()

    def take(event: Any) -> None:
        with news:
            told.append(event)
            news.notify_all()

    try:
        slicer.dicom.index(*pacs_data.study("latin").instances.values()).result(60)
        uids = [each.uid for each in pacs_data.study("latin").series]
        with sn.connect(slicer.name) as other:
            subscription = other.on("indexed", take)
            ids = slicer.call("pacs.arrived", series=uids[::-1], load=True, database=database, by="me")
            with news:
                assert news.wait_for(lambda: {"database": database} in told, DEADLINE)
            subscription.close()
        [load] = slicer.dicom.queue.wait(slicer.dicom.queue.entries(), timeout=30)
        assert (ids, load.series, load.state, load.show) == ([load.id], uids[0], "done", True)
        assert slicer.call("pacs.arrived", series=uids, database=database) == []
        with pytest.raises(errors.UidNotFoundError):
            slicer.call("pacs.arrived", series=["1.2.3"], load=True, database=database)
    finally:
        slicer.dicom.queue.clear()
        slicer.dicom.database = former


def test_what_was_learned_is_kept(slicer: sn.Session, servers: Servers, peer: Gated) -> None:
    slicer.call("pacs.test", server="pacs0")
    assert config.get("pacs0").learned.ways == ["C-GET"]
