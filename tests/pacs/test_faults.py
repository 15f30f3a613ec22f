"""Faults of a PACS, of the line and of this program, with real processes: in the end all is here, and nothing is lost.

docs/pacs_faults.md has a row for each.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import PacsError
from slicer_notebook.pacs import config
from slicer_notebook.pacs.reports import Report
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.dicomweb.fake_kheops import SHARE, FakeKheops
from tests.pacs.dicomweb.faulty import Faulty, Reply, Request
from tests.pacs.peers.data import Data, write_series_of
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import (
    assert_nothing_broken,
    assert_whole,
    files_below,
    instances,
    opened,
    reasons,
    until,
)


@pytest.fixture
def port() -> int:
    """Of our storage SCP."""
    return free_port()


@pytest.fixture
def liar(pacs_data: Data, port: int) -> Iterator[Liar]:
    with Liar(pacs_data.study("thorax").instances.values(), modalities={"SLICER": port}) as running:
        yield running


def retrieved(folder: Path, url: str, study: str, seconds: float = 60, **settings: Any) -> Report:
    with opened(folder, url, **settings) as pacs:
        return pacs.retrieve(study).result(seconds)


#: What the PACS does once, or always, in a transfer that is complete all the same; what is said of it.
HARMLESS: list[tuple[str, dict[str, Any], str]] = [
    ("half is sent and success is said", {"share": 0.5, "operations": 1}, ""),
    ("data sets break off", {"truncated": 2, "operations": 1}, "not whole"),
    ("another UID inside than announced", {"renamed": 1, "operations": 1}, "another than was announced"),
    ("UIDs that are paths", {"paths": 1, "operations": 1}, "its SOP Instance UID is none"),
    ("some fail, as the answer says", {"fail": 2, "operations": 1}, "failed"),
    ("an abort in the middle", {"abort_after": 10, "operations": 1}, ""),
    ("instances come twice", {"twice": 3}, ""),
    ("a private SOP class", {"private": 1, "operations": 1}, ""),
    ("answers come twice", {"repeat": 2}, ""),
    ("counts that are too high", {"miscount": 2}, "counts"),
    ("counts that are too low", {"miscount": -2}, ""),
    ("no counts", {"leave_out": {"NumberOfSeriesRelatedInstances"}}, ""),
    ("no SOP classes", {"leave_out": {"SOPClassUID"}}, ""),
    ("no answers at the level of images", {"levels": ("PATIENT", "STUDY", "SERIES")}, ""),
    ("one association at a time", {"most_associations": 1}, ""),
]


@pytest.mark.parametrize(("lies", "said"), [row[1:] for row in HARMLESS], ids=[row[0] for row in HARMLESS])
def test_all_arrives_in_the_end(liar: Liar, pacs_data: Data, tmp_path: Path, lies: dict[str, Any], said: str) -> None:
    liar.lies = Lies(**lies)
    study = pacs_data.study("thorax")
    report = retrieved(tmp_path, liar.url, study.uid)
    assert report.complete, reasons(report)
    assert_whole(tmp_path / "index.sqlite3", instances(study))
    told = "\n".join(
        [reasons(report), *(why for _, why in report.dropped), *(w for s in report.series for w in s.warnings)]
    )
    assert said in told
    assert {path.relative_to(tmp_path).parts[0] for path in files_below(tmp_path)} <= {
        "index-files", "index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm",
    }  # fmt: skip


@pytest.mark.parametrize(
    "lies",
    [{"share": 0.5}, {"truncated": 2}, {"renamed": 1}, {"fail": 2}],
    ids=["half is sent", "data sets break off", "another UID", "some fail"],
)
def test_what_never_arrives_is_missed(liar: Liar, pacs_data: Data, tmp_path: Path, lies: dict[str, Any]) -> None:
    liar.lies = Lies(**lies)
    study = pacs_data.study("thorax")
    report = retrieved(tmp_path, liar.url, study.uid)
    assert not report.complete
    assert sum(each.missing for each in report.series) > 0
    assert_nothing_broken(tmp_path / "index.sqlite3", instances(study))
    # The PACS mends its ways, and the next retrieval fetches what is missing only.
    before = report.received
    liar.lies = Lies()
    again = retrieved(tmp_path, liar.url, study.uid)
    assert again.complete
    assert sum(each.here for each in again.series) == before
    assert_whole(tmp_path / "index.sqlite3", instances(study))


def test_what_nobody_asked_for_is_not_kept(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    study, stranger = pacs_data.study("thorax"), next(iter(pacs_data.study("latin").instances.items()))
    liar.lies = Lies(unasked=(stranger[1],))
    report = retrieved(tmp_path, liar.url, study.uid)
    assert report.complete
    assert_whole(tmp_path / "index.sqlite3", instances(study))


@pytest.mark.parametrize(
    ("lies", "ways", "said"),
    [
        ({"roles": False}, ["C-GET", "C-MOVE"], "role"),
        ({"without": {"get"}}, ["C-GET", "C-MOVE"], "C-GET"),
        ({"status": {"move": 0xA801}}, ["C-MOVE", "C-GET"], "does not know the destination"),
        ({"status": {"move": 0xC000}}, ["C-MOVE", "C-GET"], "either it does not know the destination"),
        ({"hang": {"get"}}, ["C-GET", "C-MOVE"], "silent"),
        ({"abort": {"get"}}, ["C-GET", "C-MOVE"], "abort"),
    ],
    ids=["role refused", "no C-GET", "destination unknown", "cannot move", "C-GET hangs", "C-GET aborts"],
)
def test_another_way_is_taken_and_why_is_said(  # noqa: PLR0917
    liar: Liar, pacs_data: Data, tmp_path: Path, port: int, lies: dict[str, Any], ways: list[str], said: str
) -> None:
    liar.lies = Lies(**lies)
    study = pacs_data.study("thorax")
    report = retrieved(tmp_path, liar.url, study.uid, port=port, ways=ways, timeout=1.5)
    assert report.complete, reasons(report)
    assert said in reasons(report)
    assert ways[1] in reasons(report)
    assert all(each.ways[-1] == ways[1] for each in report.series)
    assert_whole(tmp_path / "index.sqlite3", instances(study))


def test_an_instance_without_a_byte(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
    kheops = FakeKheops(behind=(orthanc.dicomweb_url, {"Authorization": f"Basic {basic}"}))
    monkeypatch.setenv("FAULTS_TOKEN", SHARE)

    def handler(request: Request) -> Reply:
        reply = kheops(request)
        kind = reply.headers.get("Content-Type", "")
        if kind.startswith("multipart"):
            boundary = kind.partition("boundary=")[2].partition(";")[0].strip('"').encode()
            empty = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\nContent-Length: 0\r\n\r\n\r\n"
            reply.body = empty + bytes(reply.body)
        return reply

    study = pacs_data.study("follow-up")
    with Faulty(handler) as server:
        report = retrieved(tmp_path, f"kheops+{server.url}", study.uid, token="env:FAULTS_TOKEN", ways=["WADO-RS"])
    assert report.complete, reasons(report)
    assert_whole(tmp_path / "index.sqlite3", instances(study))
    assert report.dropped


def test_a_patient_s_name_in_an_error_comment_is_not_told(
    liar: Liar, pacs_data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    liar.lies = Lies(status={"get": 0xC001}, comment="Doe^Jane is locked")
    study = pacs_data.study("thorax")
    try:
        told = reasons(retrieved(tmp_path, liar.url, study.uid))
    except PacsError as exc:
        told = str(exc)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("slicer_notebook")]
    assert "Doe" not in told + "\n".join(ours)
    assert "C001" in told


# -- the line ---------------------------------------------------------------------------------------------------------

LINE: list[tuple[str, Callable[[Proxy], None]]] = [
    ("reset once", lambda line: line.cut_after(300_000)),
    ("closed three times", lambda line: line.cut_after(200_000, times=3, reset=False)),
    ("silent, and then there again", lambda line: (line.stall_after(300_000), threading.Timer(3, line.resume).start())),
]


@pytest.mark.parametrize("way", ["C-GET", "WADO-RS"])
@pytest.mark.parametrize("fault", [fault for _, fault in LINE], ids=[name for name, _ in LINE])
def test_the_line_breaks(
    large: tuple[Orthanc, dict[str, Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    fault: Callable[[Proxy], object],
) -> None:
    orthanc, wanted, study = large
    monkeypatch.setenv("FAULTS_PASSWORD", orthanc.password)
    web = way == "WADO-RS"
    access = {"auth": "basic", "user": orthanc.user, "password": "env:FAULTS_PASSWORD"} if web else {}
    with Proxy(orthanc.http_port if web else orthanc.dicom_port) as line:
        url = line.url(orthanc.dicomweb_url if web else orthanc.dimse_url)
        fault(line)
        report = retrieved(tmp_path, url, study, timeout=1.5, **access)
    assert report.complete, reasons(report)
    assert_whole(tmp_path / "index.sqlite3", wanted)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, dict[str, Path], str]]:
    """An archive with a series of 40 instances of 130 kB."""
    from slicer_notebook import testing

    if testing.orthanc_program() is None:
        pytest.skip("Orthanc is not installed (Debian: orthanc and orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("large")
    made = write_series_of(folder, 40, size=256)
    with testing.orthanc(folder, calling={"SLICER": 0}) as running:
        yield running, made.instances, made.uid


def test_the_pacs_is_killed_and_started_again(fresh_orthanc: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    made = write_series_of(folder, 40, size=256)
    orthanc = fresh_orthanc(folder)
    with Proxy(orthanc.dicom_port) as line, opened(tmp_path, line.url(orthanc.dimse_url), timeout=5) as pacs:
        line.limit(4_000_000)
        transfer = pacs.retrieve(made.uid)
        until(lambda: transfer.report.received >= 3, 30)
        orthanc.kill()
        orthanc.start()
        line.heal()
        report = transfer.result(60)
    assert report.complete, reasons(report)
    assert_whole(tmp_path / "index.sqlite3", made.instances)


# -- this program -----------------------------------------------------------------------------------------------------


def command(folder: Path, study: str) -> list[str]:
    return [
        sys.executable, "-m", "slicer_notebook.cli", "pacs", "get", "peer", f"StudyInstanceUID={study}", "--json",
        "--database", str(folder / "index.sqlite3"), "--config", str(folder / "pacs.toml"),
    ]  # fmt: skip


def test_kill_9_at_any_moment(large: tuple[Orthanc, dict[str, Path], str], tmp_path: Path) -> None:
    orthanc, wanted, study = large
    moments = random.Random(7)
    with Proxy(orthanc.dicom_port) as line:
        config.add("peer", line.url(orthanc.dimse_url), path=tmp_path / "pacs.toml")
        line.limit(3_000_000)
        for _ in range(5):
            before = line.from_server
            process = subprocess.Popen(command(tmp_path, study), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            amount = moments.randrange(20_000, 900_000)
            line.wait_for(
                lambda begun=before, more=amount, child=process: (  # type: ignore[misc]
                    line.from_server > begun + more or child.poll() is not None
                ),
                30,
            )
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert_nothing_broken(tmp_path / "index.sqlite3", wanted)
        line.heal()
        done = subprocess.run(command(tmp_path, study), capture_output=True, text=True, timeout=60, check=False)
    rows = [json.loads(text) for text in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert rows[-1]["complete"] is True
    assert [(row["expected"], row["received"], row["missing"]) for row in rows[:-1]] == [(40, 40, 0)]
    assert {"SeriesInstanceUID", "expected", "received", "missing", "retried", "seconds", "ways"} <= rows[0].keys()
    assert_whole(tmp_path / "index.sqlite3", wanted)
    aside = tmp_path / "index-files" / ".arriving"
    assert [path for path in aside.rglob("*") if path.is_file()] == []


def test_an_interrupt_ends_in_order(large: tuple[Orthanc, dict[str, Path], str], tmp_path: Path) -> None:
    orthanc, wanted, study = large
    with Proxy(orthanc.dicom_port) as line:
        config.add("peer", line.url(orthanc.dimse_url), path=tmp_path / "pacs.toml")
        line.limit(1_000_000)
        process = subprocess.Popen(
            command(tmp_path, study), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        line.wait_for(lambda: line.from_server > 800_000, 30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    last = json.loads(out.splitlines()[-1])
    assert last["complete"] is False
    assert last["error"]["kind"] == "JobCancelledError"
    assert "Traceback" not in err
    assert_nothing_broken(tmp_path / "index.sqlite3", wanted)


def test_a_study_that_is_not_there(orthanc: Orthanc, tmp_path: Path) -> None:
    config.add("peer", orthanc.dimse_url, path=tmp_path / "pacs.toml")
    done = subprocess.run(command(tmp_path, "1.2.3.404"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["complete"] is False
    assert "Traceback" not in done.stderr
