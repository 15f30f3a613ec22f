"""Transfers on a real Slicer, from a PACS that waits where the test says: order, pauses, cancels, what is told."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.commands import transfers as module
from slicer_notebook.commands.entries import KEPT
from slicer_notebook.dicom import Index
from slicer_notebook.pacs.reports import Report, SeriesReport
from slicer_notebook.testing import free_port
from tests.commands.transferring import Servers, Transfers
from tests.pacs.peers.data import NAMES, Data
from tests.pacs.peers.proxy import Proxy


def held(transfers: Transfers) -> int:
    """Instances in the index."""
    found = Index(Path(transfers.slicer.dicom.database or ""))
    try:
        return sum(study.NumberOfStudyRelatedInstances for study in found.studies())
    finally:
        found.close()


def test_one_from_its_beginning_to_its_end(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    thorax = pacs_data.study("thorax")
    server, _ = servers.gated(thorax)
    began = time.monotonic()
    number = transfers.add(server, thorax, title="CT Thorax", by="a test")
    end = transfers.ended(number)
    assert (end["state"], end["received"], end["expected"], end["error"]) == ("done", 31, 31, {})
    assert (end["server"], end["title"], end["by"], end["load"]) == (server, "CT Thorax", "a test", False)
    assert (end["rate"], end["seconds_left"]) == (0, None)
    assert end["bytes"] == sum(Path(path).stat().st_size for path in Path(end["folder"]).rglob("*.dcm"))
    assert end["seconds"] > 0
    assert [(each["Modality"], each["received"], each["state"]) for each in end["series"]] == [
        ("CT", 30, "complete"),
        ("SR", 1, "complete"),
    ]
    assert [line.partition(" ")[2] for line in end["log"]] == [f"from {server}", "all is here"]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in end["log"])
    # Whole entries, in the order of their states, not more than five events a second.
    states = [entry["state"] for entry in transfers.history if entry["id"] == number]
    order = ("waiting", "going", "done")
    assert states == sorted(states, key=order.index)
    assert all(entry.keys() == end.keys() for entry in transfers.history)
    assert len(transfers.times) <= 2 + (time.monotonic() - began) / module.EVERY
    assert transfers.slicer.call("pacs.transfers")[-1] == end
    assert held(transfers) == 31


def test_what_came_unasked_and_is_kept_is_in_the_log(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    study, stranger = pacs_data.study("follow-up"), next(iter(pacs_data.study("latin").instances.values()))
    _, peer = servers.gated(study)
    server = servers.add(peer.url, unasked="keep")
    peer.lies.unasked = (stranger,)
    number = transfers.add(server, study)
    end = transfers.ended(number)
    assert end["state"] == "done"
    assert [line.partition(" ")[2] for line in end["log"]][1:] == [
        "Chest: not asked for, and kept",
        "all is here",
    ]
    assert held(transfers) == len(study.instances) + 1


def test_the_same_is_not_fetched_twice(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    server, peer = servers.gated(study, allowed=0)
    first, second = ({"StudyInstanceUID": study.uid, "SeriesInstanceUID": each.uid} for each in study.series)
    number = transfers.add(server, first, second)
    assert transfers.add(server, second, first) == number
    assert transfers.add(server, first) != number
    elsewhere = str(Path(transfers.slicer.dicom.database or "").with_name("other.sqlite3"))
    assert transfers.add(server, first, second, database=elsewhere) != number
    peer.allow(None)
    transfers.ended(number)
    again = transfers.add(server, first, second)
    assert again != number
    assert transfers.ended(again)["state"] == "done"


def test_two_at_a_time_and_a_paused_one_keeps_nobody_waiting(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    names = ("thorax", "follow-up", "bare", "latin")
    server, peer = servers.gated(*map(pacs_data.study, names), allowed=0)
    a, b, c, d = (transfers.add(server, pacs_data.study(name)) for name in names)
    for number in (a, b):
        transfers.until_state(number, "going")
    states = {entry["id"]: entry["state"] for entry in transfers.slicer.call("pacs.transfers")}
    assert [states[each] for each in (a, b, c, d)] == ["going", "going", "waiting", "waiting"]
    transfers.call("pause", a, c)
    transfers.until_state(d, "going")
    # Neither has a place: what goes on waits like the others.
    transfers.call("pause", a, on=False)
    assert transfers.until_state(a, "waiting", "going")["state"] == "waiting"
    peer.allow(None)
    for number, count in ((a, 31), (b, 7), (d, 5)):
        end = transfers.ended(number)
        assert (end["state"], end["received"]) == ("done", count)
    assert transfers.known[c]["state"] == "paused"
    transfers.call("pause", c, on=False)
    assert transfers.ended(c)["state"] == "done"


def test_a_pause_is_no_failure_and_goes_on_from_where_it_was(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    thorax = pacs_data.study("thorax")
    server, peer = servers.gated(thorax, allowed=10)
    number = transfers.add(server, thorax)
    transfers.until_received(number, 10)
    transfers.call("pause", number)
    peer.wait_for(lambda: peer.cancelled == 1)
    paused = transfers.until_state(number, "paused")
    assert (paused["error"], paused["rate"]) == ({}, 0)
    before = len(peer.sent)
    peer.allow(None)
    assert len(peer.sent) == before
    transfers.call("pause", number, on=False)
    end = transfers.ended(number)
    assert (end["state"], end["received"]) == ("done", 31)
    assert not {entry["state"] for entry in transfers.history} & {"failed", "incomplete", "cancelled"}
    twice = len(peer.sent) - len(set(peer.sent))
    assert twice <= 1, f"{twice} instances were sent twice"
    assert [line.partition(" ")[2] for line in end["log"]] == [f"from {server}", "paused", "goes on", "all is here"]


def test_what_is_asked_for_again_while_it_is_paused_goes_on(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    server, peer = servers.gated(pacs_data.study("bare"), allowed=0)
    number = transfers.add(server, pacs_data.study("bare"))
    transfers.until_state(number, "going")
    transfers.call("pause", number)
    transfers.until_state(number, "paused")
    peer.allow(None)
    assert transfers.add(server, pacs_data.study("bare")) == number
    assert transfers.ended(number)["state"] == "done"


def test_a_cancel_of_one_that_waits_goes_or_is_paused(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    names = ("thorax", "follow-up", "bare")
    server, peer = servers.gated(*map(pacs_data.study, names), allowed=10)
    going = transfers.add(server, pacs_data.study(names[0]))
    transfers.until_received(going, 10)
    paused, waiting = (transfers.add(server, pacs_data.study(name)) for name in names[1:])
    transfers.until_state(paused, "going")
    transfers.call("pause", paused)
    transfers.until_state(waiting, "going")
    last = transfers.add(server, pacs_data.study("thorax"), database=None)
    assert transfers.until_state(last, "waiting", "going")["state"] == "waiting"
    stopped = transfers.call("cancel", last, paused, going)
    assert {entry["id"] for entry in stopped} == {last, paused, going}
    for number in (last, paused, going):
        end = transfers.ended(number)
        assert (end["state"], end["error"]) == ("cancelled", {})
    # What has arrived is kept.
    assert transfers.known[going]["received"] >= 10
    assert held(transfers) >= 10
    assert peer.cancelled >= 1
    # All that go on, without ids.
    assert [entry["id"] for entry in transfers.slicer.call("pacs.cancel")] == [waiting]
    assert transfers.ended(waiting)["state"] == "cancelled"
    assert transfers.slicer.call("pacs.cancel") == []


def test_a_cancel_before_the_first_answer(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    server, peer = servers.gated(pacs_data.study("bare"))
    peer.lies.hang = {"find"}
    number = transfers.add(server, pacs_data.study("bare"))
    peer.wait_for(lambda: any(asked.service == "find" for asked in peer.asked))
    transfers.call("cancel", number)
    end = transfers.ended(number)
    assert (end["state"], end["received"]) == ("cancelled", 0)


def test_retry_after_a_cancel_an_end_without_all_and_a_failure(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    thorax = pacs_data.study("thorax")
    _, peer = servers.gated(thorax, allowed=5)
    with Proxy(peer.port) as line:
        server = servers.add(line.url(peer.url), timeout=1.0)
        number = transfers.add(server, thorax)
        transfers.until_received(number, 5)
        transfers.call("cancel", number)
        assert transfers.ended(number)["state"] == "cancelled"

        peer.lies.fail = 2
        peer.allow(None)
        incomplete = transfers.retry(number)
        assert incomplete["state"] == "incomplete"
        assert incomplete["error"]["kind"] == "RetrieveIncompleteError"
        assert "missing" in incomplete["error"]["message"]
        assert "Retrieve again" in incomplete["error"]["hint"]

        line.refuse()
        failed = transfers.retry(number)
        assert (failed["state"], failed["error"]["kind"]) == ("failed", "PacsUnreachableError")
        assert "connection refused" in failed["error"]["message"]
        assert failed["error"]["hint"]
        assert failed["error"]["details"]["stage"] == "port"

        line.accept()
        peer.lies.fail, before = 0, len(peer.sent)
        done = transfers.retry(number)
    assert (done["state"], done["received"], done["error"]) == ("done", 31, {})
    assert [line.partition(" ")[2] for line in done["log"] if "again" in line].count("tried again") == 3
    assert len(peer.sent) - before == 31 - incomplete["received"], "what was here was fetched again"
    assert transfers.call("retry", 123456) == []


def test_those_that_ended_are_forgotten_when_asked_and_the_last_fifty_are_kept(
    transfers: Transfers, servers: Servers, pacs_data: Data, tmp_path: Path
) -> None:
    server, peer = servers.gated(pacs_data.study("bare"), allowed=0)
    going = transfers.add(server, pacs_data.study("bare"))
    nowhere = servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", timeout=0.1)
    ids = [transfers.add(nowhere, f"1.2.3.{number}") for number in range(KEPT + 6)]
    last = transfers.ended(ids[-1])
    assert (last["state"], last["error"]["kind"]) == ("failed", "PacsUnreachableError")
    transfers.until(lambda: len(transfers.known) == KEPT + 1, "the last fifty, and the one that goes on")
    assert [entry["id"] for entry in transfers.slicer.call("pacs.transfers")] == [going, *ids[-KEPT:]]
    # Each one's end was told, also of those that are forgotten.
    assert {entry["id"] for entry in transfers.history if entry["state"] == "failed"} == set(ids)
    assert transfers.call("clear", ids[-1], going) == [ids[-1]]
    transfers.until(lambda: ids[-1] not in transfers.known, "the news")
    transfers.slicer.call("pacs.clear")
    transfers.until(lambda: set(transfers.known) == {going}, "only what goes on")
    # Those that wait count, too, once they were cancelled.
    other = transfers.add(server, pacs_data.study("bare"), database=str(tmp_path / "another.sqlite3"))
    waiting = [transfers.add(server, f"1.2.4.{number}") for number in range(KEPT + 2)]
    transfers.until_state(other, "going")
    transfers.call("cancel", *waiting)
    transfers.until(lambda: len(transfers.known) <= KEPT + 2, "the last fifty")
    peer.allow(None)


def test_why_another_way_was_taken_is_in_the_log(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    port = free_port()
    server, peer = servers.gated(pacs_data.study("bare"), port=port, modalities={"SLICER": port})
    peer.lies.without = {"get"}
    end = transfers.ended(transfers.add(server, pacs_data.study("bare")))
    assert end["state"] == "done"
    text = "\n".join(end["log"])
    assert "C-MOVE instead of C-GET" in text
    assert "does not offer C-GET" in text
    assert end["series"][0]["ways"] == ["C-GET", "C-MOVE"]


def test_no_patient_is_named(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    studies = [pacs_data.study(name) for name in ("latin", "japan")]
    server, peer = servers.gated(*studies)
    peer.lies.fail = 1
    for number in [transfers.add(server, study) for study in studies]:
        end = transfers.ended(number)
        assert end["state"] == "incomplete"
        said = repr({key: end[key] for key in ("log", "title", "error", "series")})
        for charset_and_name in NAMES.values():
            for part in re.split(r"[\^=]", charset_and_name[1]):
                assert part not in said


def test_each_series_is_loaded_when_it_is_here_and_the_first_one_shown(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    study = pacs_data.study("follow-up")
    first, second = study.series
    server, peer = servers.gated(study, allowed=len(first.instances))
    number = transfers.add(server, study, load=True, by="a test")
    transfers.until(lambda: transfers.known.get(number, {}).get("loads"), "the first one in the load queue")
    slicer = transfers.slicer
    [load] = slicer.dicom.queue.wait(slicer.dicom.queue.entries(), timeout=30)
    assert (load.series, load.state, load.show, load.by) == (first.uid, "done", True, "a test")
    # Its picture is on the screen while the second has not begun to come.
    assert transfers.known[number]["state"] == "going"
    assert transfers.known[number]["received"] == len(first.instances)
    [volume] = load.value
    assert slicer.eval("slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLSliceCompositeNode').GetBackgroundVolumeID()") == (
        volume.id
    )
    peer.allow(None)
    end = transfers.ended(number)
    loads = slicer.dicom.queue.wait(slicer.dicom.queue.entries(), timeout=30)
    assert [(each.series, each.state, each.show) for each in loads] == [
        (first.uid, "done", True),
        (second.uid, "done", False),
    ]
    assert end["loads"] == [each.id for each in loads]


def test_what_is_no_image_is_fetched_and_not_loaded(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    names = ("thorax", "latin")
    server, _ = servers.gated(*map(pacs_data.study, names))
    ends = [transfers.ended(transfers.add(server, pacs_data.study(name), load=True)) for name in names]
    loads = transfers.slicer.dicom.queue.wait(transfers.slicer.dicom.queue.entries(), timeout=30)
    assert [(each.modality, each.state) for each in loads] == [("CT", "done"), ("CT", "done")]
    assert [(end["state"], end["received"], len(end["loads"])) for end in ends] == [("done", 31, 1), ("done", 5, 1)]
    assert not [line for end in ends for line in end["log"] if "not loaded" in line]


def test_what_is_to_be_loaded_after_all_is_loaded(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    server, peer = servers.gated(study, allowed=len(study.series[0].instances))
    number = transfers.add(server, study)
    transfers.until(
        lambda: [each["state"] for each in transfers.known.get(number, {}).get("series", [])][:1] == ["complete"],
        "the first series",
    )
    assert transfers.add(server, study, load=True) == number
    transfers.until(lambda: len(transfers.known[number]["loads"]) == 1, "the first series in the load queue")
    peer.allow(None)
    assert len(transfers.ended(number)["loads"]) == 2


def test_a_series_that_cannot_be_loaded_keeps_no_other_from_it(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    study = pacs_data.study("follow-up")
    server, _ = servers.gated(study)
    slicer = transfers.slicer
    slicer.run(
        "import slicer_notebook.commands.pacs as _pacs\n"
        "_planned = _pacs._plan\n"
        "def _broken(uid, database):\n"
        f"    if uid == {study.series[0].uid!r}: raise RuntimeError('broken on purpose')\n"
        "    return _planned(uid, database)\n"
        "_pacs._plan = _broken\n"
    )
    try:
        end = transfers.ended(transfers.add(server, study, load=True))
    finally:
        slicer.run("_pacs._plan = _planned")
    assert end["state"] == "done"
    assert any("not loaded: broken on purpose" in line for line in end["log"])
    [load] = slicer.dicom.queue.wait(slicer.dicom.queue.entries(), timeout=30)
    assert (load.series, load.state, load.show) == (study.series[1].uid, "done", True)


def test_rate_and_seconds_left_while_it_goes_on(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    thorax = pacs_data.study("thorax")
    server, peer = servers.gated(thorax)
    peer.lies.slow = 0.06
    number = transfers.add(server, thorax)
    transfers.ended(number)
    told = [entry for entry in transfers.history if entry["state"] == "going" and entry["seconds_left"] is not None]
    assert told, "nothing was said of the time left"
    size = transfers.known[number]["bytes"] / 31
    for entry in told:
        assert 0 < entry["rate"] < 3 * size / 0.06
        assert 0 <= entry["seconds_left"] < 60
    received = [entry["received"] for entry in transfers.history]
    assert received == sorted(received)


def entry_of(*series: SeriesReport, state: str = "going", **fields: Any) -> module.Entry:
    entry = module.Entry(1, "a", "b", [], "", False, True, None, state=state, **fields)
    entry.report = Report(server="a", series=list(series))
    return entry


def test_a_rate_is_of_the_last_seconds_and_of_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    entry = entry_of(SeriesReport(StudyInstanceUID="1", SeriesInstanceUID="2", expected=10, received=5, bytes=5000))
    entry.samples = [(now - 2, 1000), (now, 5000)]
    assert entry.rate == 2000
    assert entry.plain()["seconds_left"] == 2.5
    now += 1.2  # nothing has come since
    assert round(entry.rate) == 1250
    now += 1.0
    assert entry.rate == 0
    entry.samples = [(now - 1, 1000), (now, 5000)]
    entry.state = "paused"
    assert (entry.rate, entry.plain()["seconds_left"]) == (0, None)


def test_only_the_last_lines_of_the_log_are_kept() -> None:
    entry = entry_of()
    for number in range(100):
        entry.note(f"line {number}")
    assert len(entry.log) == 60
    assert entry.log[-1].endswith("line 99")


def test_how_many_instances_is_unknown_where_one_series_does_not_say() -> None:
    known = SeriesReport(StudyInstanceUID="1", SeriesInstanceUID="2", expected=10, received=5)
    assert entry_of(known).plain()["expected"] == 10
    assert entry_of(known, SeriesReport(StudyInstanceUID="1", SeriesInstanceUID="3")).plain()["expected"] is None
    assert entry_of().plain()["expected"] is None


def test_a_second_notebook_sees_the_same(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    server, peer = servers.gated(pacs_data.study("thorax"), allowed=3)
    with sn.connect(transfers.slicer.name) as other:
        seen = Transfers(other)
        number = transfers.add(server, pacs_data.study("thorax"))
        seen.until_received(number, 3)
        seen.call("pause", number)
        transfers.until_state(number, "paused")
        peer.allow(None)
        seen.call("pause", number, on=False)
        assert seen.ended(number) == transfers.ended(number)
        assert other.call("pacs.transfers") == transfers.slicer.call("pacs.transfers")


_ASKING = """
import sys
import slicer_notebook as sn
session = sn.connect(sys.argv[1])
session.dicom.database = sys.argv[2]
session.pacs(sys.argv[3]).retrieve(study=sys.argv[4])
print("asked", flush=True)
sys.stdin.read()
"""


def test_it_goes_on_when_the_notebook_that_asked_is_killed(
    transfers: Transfers, servers: Servers, pacs_data: Data
) -> None:
    thorax = pacs_data.study("thorax")
    server, peer = servers.gated(thorax, allowed=3)
    arguments = [transfers.slicer.name, transfers.slicer.dicom.database or "", server, thorax.uid]
    with subprocess.Popen(
        [sys.executable, "-c", _ASKING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "asked\n"
        transfers.until(lambda: any(each["received"] >= 3 for each in transfers.known.values()), "three instances")
        notebook.send_signal(signal.SIGKILL)
        notebook.wait(30)
    peer.allow(None)
    [number] = transfers.known
    end = transfers.ended(number)
    assert (end["state"], end["received"]) == ("done", 31)


def test_each_index_gets_its_own_and_all_notebooks_hear_of_it(
    transfers: Transfers, servers: Servers, pacs_data: Data, tmp_path: Path
) -> None:
    server, _ = servers.gated(pacs_data.study("bare"))
    told: list[Any] = []
    news = threading.Condition()

    def take(event: Any) -> None:
        with news:
            told.append(event)
            news.notify_all()

    other = str(tmp_path / "other" / "mine.sqlite3")
    with sn.connect(transfers.slicer.name) as second:
        subscription = second.on("indexed", take)
        end = transfers.ended(transfers.add(server, pacs_data.study("bare"), database=other))
        with news:
            assert news.wait_for(lambda: {"database": other} in told, 30)
        subscription.close()
    assert end["folder"] == str(tmp_path / "other" / "mine-files")
    here = transfers.slicer.call("pacs.here", studies=[pacs_data.study("bare").uid], database=other)
    assert list(here.values()) == [{pacs_data.study("bare").series[0].uid: 3}]
    assert held(transfers) == 0


def test_what_cannot_be_retrieved_is_refused_at_once(transfers: Transfers, servers: Servers, pacs_data: Data) -> None:
    server, _ = servers.gated(pacs_data.study("bare"))
    call = transfers.slicer.call
    with pytest.raises(errors.PacsNotFoundError, match="nosuch"):
        call("pacs.retrieve", server="nosuch", targets=[{"StudyInstanceUID": "1.2"}])
    with pytest.raises(errors.ArgumentError, match="Retrieve what"):
        call("pacs.retrieve", server=server, targets=[])
    with pytest.raises(errors.ArgumentError, match="names no study"):
        call("pacs.retrieve", server=server, targets=[{"SeriesInstanceUID": "1.2"}])
    assert call("pacs.transfers") == []
