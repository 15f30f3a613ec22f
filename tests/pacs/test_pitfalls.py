"""Pitfalls that PACS have for their clients, each with a peer that has it: the table in docs/pacs_faults.md names the
tests, these and others."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from slicer_notebook import testing
from slicer_notebook.errors import JobCancelledError, PacsUnreachableError, SlicerNotebookError
from slicer_notebook.pacs import config
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.get import Get
from slicer_notebook.pacs.model import Fetch, never
from slicer_notebook.pacs.server import dimse_address
from slicer_notebook.testing import Orthanc, free_port
from tests.dicom.make import CT, MR, write_series
from tests.pacs.dicomweb.faulty import Archive, Faulty, Request
from tests.pacs.dicomweb.tools import Memory
from tests.pacs.peers.data import Data, DataStudy, uid, write_series_of
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import assert_whole, instances, opened, reasons, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> int:
    """Of our storage SCP."""
    return free_port()


@pytest.fixture
def liar(pacs_data: Data, port: int) -> Iterator[Liar]:
    with Liar(pacs_data.study("thorax").instances.values(), modalities={"SLICER": port}) as running:
        yield running


def services(liar: Liar) -> list[str]:
    return [asked.service for asked in liar.asked]


# -- C-GET ------------------------------------------------------------------------------------------------------------


def test_a_refused_role_is_noticed_before_anything_is_asked_for(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    liar.lies.roles = False
    with opened(tmp_path, liar.url) as pacs:
        report = pacs.retrieve(pacs_data.study("thorax").uid).result(60)
    assert not report.complete
    assert "role of the storage SCP" in reasons(report)
    assert "get" not in services(liar)


def test_more_contexts_than_an_association_has(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    liar.lies.leave_out = {"SOPClassUID", "SOPClassesInStudy", "Modality", "ModalitiesInStudy"}
    study = pacs_data.study("thorax")
    with opened(tmp_path, liar.url) as pacs:
        report = pacs.retrieve(study.uid).result(60)
        assert report.complete, reasons(report)
        assert_whole(pacs.index.path, study.instances)
    # The document's class is far behind in the list of all there are.
    assert max(liar.contexts) in range(100, 129)
    assert sum(liar.contexts) > 200


@pytest.mark.parametrize("first", ["CT", "MR"])
def test_a_class_without_a_context_that_ends_all(tmp_path: Path, first: str) -> None:
    # The series says CT, and has an MR image in it; the PACS does not tell classes, and stops at what it cannot send.
    common = {"StudyInstanceUID": uid("mixed"), "SeriesInstanceUID": uid("mixed", 1), "PatientID": "MIXED"}
    files = {
        name: write_series(
            tmp_path / name, shape=(count, 8, 8), sop_class=sop_class, **common, Modality="CT",
            each=lambda k, name=name: {"SOPInstanceUID": uid("mixed", name, k)},
        )
        for name, count, sop_class in (("CT", 5, CT), ("MR", 1, MR))
    }  # fmt: skip
    order = [*files[first], *(path for paths in files.values() for path in paths if path not in files[first])]
    lies = Lies(leave_out={"SOPClassUID", "SOPClassesInStudy"}, stops=True)
    with Liar(order, lies=lies) as liar, opened(tmp_path, liar.url) as pacs:
        report = pacs.retrieve(uid("mixed")).result(60)
        assert report.complete, reasons(report)
        wanted = {uid("mixed", name, k): path for name, paths in files.items() for k, path in enumerate(paths)}
        assert_whole(pacs.index.path, wanted)


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_a_long_transfer_without_any_answer_is_not_given_up(
    liar: Liar, pacs_data: Data, tmp_path: Path, port: int, way: str
) -> None:
    liar.lies = Lies(quiet=True, idle=0.2)  # six seconds, and two of silence are borne
    study = pacs_data.study("thorax")
    with opened(tmp_path, liar.url, port=port, timeout=2.0) as pacs:
        report = pacs.retrieve(study.uid, ways=[way]).result(60)
        assert report.complete
        assert_whole(pacs.index.path, study.instances)
    assert reasons(report) == ""
    assert services(liar).count(way[2:].lower()) == 2  # one for each series


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_a_cancel_ends_a_transfer_that_hangs(liar: Liar, pacs_data: Data, tmp_path: Path, port: int, way: str) -> None:
    liar.lies.hang = {way[2:].lower()}
    with opened(tmp_path, liar.url, port=port, timeout=60) as pacs:
        transfer = pacs.retrieve(pacs_data.study("thorax").uid, ways=[way])
        liar.wait_for(lambda: way[2:].lower() in services(liar))
        began = time.monotonic()
        transfer.cancel()
        with pytest.raises(JobCancelledError):
            transfer.result(30)
        assert time.monotonic() - began < 10


def test_a_cancel_that_is_not_heeded_ends_all_the_same(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    liar.lies = Lies(ignore_cancel=True, idle=0.5)  # fifteen seconds
    study = pacs_data.study("thorax")
    with opened(tmp_path, liar.url, parallel=1) as pacs:
        transfer = pacs.retrieve(study.uid)
        liar.wait_for(lambda: len(liar.sent) >= 2)
        began = time.monotonic()
        transfer.cancel()
        with pytest.raises(JobCancelledError):
            transfer.result(30)
        assert time.monotonic() - began < 10
    assert liar.cancelled
    assert len(liar.sent) < len(study.instances)


# -- C-MOVE -----------------------------------------------------------------------------------------------------------


def test_an_abort_because_of_the_destination(liar: Liar, pacs_data: Data, tmp_path: Path, port: int) -> None:
    liar.lies.abort = {"move"}
    study = pacs_data.study("thorax")
    with opened(tmp_path, liar.url, port=port) as pacs:
        report = pacs.retrieve(study.uid, ways=["C-MOVE", "C-GET"]).result(60)
        assert report.complete, reasons(report)
        assert_whole(pacs.index.path, study.instances)
    assert "abort" in reasons(report)


def test_a_real_pacs_that_cannot_reach_the_destination(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    # It knows NOBODYHOME by another port than the one that we listen at.
    study = pacs_data.study("bare")
    with opened(tmp_path, orthanc.dimse_url, calling="NOBODYHOME", port=free_port()) as pacs:
        report = pacs.retrieve(study.uid, ways=["C-MOVE", "C-GET"]).result(60)
        assert report.complete, reasons(report)
        assert_whole(pacs.index.path, study.instances)
    assert "either it does not know the destination 'NOBODYHOME', or it cannot reach it" in reasons(report)


# -- associations -----------------------------------------------------------------------------------------------------


def test_a_dead_host_is_given_up_after_the_time_for_connections(tmp_path: Path) -> None:
    # A backlog that is full: further connections are neither accepted nor refused.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as dead:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(dead.getsockname())
        url = f"dimse://DEAD@127.0.0.1:{dead.getsockname()[1]}"
        with opened(tmp_path, url, connect_timeout=0.5, timeout=60) as pacs:
            began = time.monotonic()
            with pytest.raises(PacsUnreachableError, match="no answer"):
                pacs.find().records()
            assert time.monotonic() - began < 10
        for each in waiting:
            each.close()


def test_associations_are_released_and_none_is_left_idle(
    liar: Liar, pacs_data: Data, tmp_path: Path, port: int
) -> None:
    study = pacs_data.study("thorax")
    with Proxy(liar.port) as line, opened(tmp_path, line.url(liar.url), port=port) as pacs:
        assert len(pacs.find().records()) == 1
        until(lambda: not line.open)
        for way in ("C-GET", "C-MOVE"):
            assert pacs.retrieve(study.uid, to=tmp_path / way, ways=[way]).result(60).complete
            until(lambda: not line.open)
        assert pacs.store(*study.instances.values()).result(60).complete
        until(lambda: not line.open)
        assert line.connections == liar.associations
    liar.wait_for(lambda: len(liar.ended) == liar.associations)
    assert set(liar.ended) == {"released"}
    # By no means one for each instance.
    assert liar.associations < 20


#: Runs a command, and says how much memory its process has had at most.
_MEASURED = (
    "import atexit, sys; atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read()));"
    "from slicer_notebook.cli import main; main()"
)


# -- speed and size ---------------------------------------------------------------------------------------------------


def test_a_peer_with_nagle_s_algorithm_is_not_waited_for(tmp_path: Path) -> None:
    study = write_series_of(tmp_path, 40, size=16)
    wanted = Fetch(study=study.uid, sop_classes=frozenset({CT}))
    with Liar(study.instances.values(), lies=Lies(nagle=True)) as liar:

        def seconds(*, quick_ack: bool) -> float:
            began = time.monotonic()
            came = Get(Peer(dimse_address(liar.url), "SLICER", "peer"), quick_ack=quick_ack).fetch(
                wanted, Memory(), never
            )
            assert came == 40
            return time.monotonic() - began

        # 40 ms for each instance, were they acknowledged as the kernel does it.
        assert seconds(quick_ack=True) < seconds(quick_ack=False) / 2


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, DataStudy, DataStudy]]:
    """An archive with an instance of 75 MB and one of next to nothing."""
    if testing.orthanc_program() is None:
        pytest.skip("Orthanc is not installed (Debian: orthanc and orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("uneven")
    large, small = (write_series_of(folder, 1, size=16, key=key) for key in ("large", "small"))
    (path,) = large.instances.values()
    item = dcmread(path)
    item.Rows = item.Columns = 6144
    item.PixelData = bytes(2 * 6144 * 6144)
    item.save_as(path)
    with testing.orthanc(folder, calling={"SLICER": 0}) as running:
        yield running, large, small


@pytest.mark.parametrize("way", ["C-GET", "WADO-RS"])
def test_an_instance_is_never_in_memory(
    uneven: tuple[Orthanc, DataStudy, DataStudy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    orthanc, large, small = uneven
    monkeypatch.setenv("PITFALLS_PASSWORD", orthanc.password)
    access = {"auth": "basic", "user": orthanc.user, "password": "env:PITFALLS_PASSWORD"}
    url = orthanc.dimse_url if way == "C-GET" else orthanc.dicomweb_url
    config.add("peer", url, path=tmp_path / "pacs.toml", **({} if way == "C-GET" else access))

    def most_memory(study: str) -> int:
        """Bytes, at most at a time, of a process that retrieves it."""
        command = [
            sys.executable, "-c", _MEASURED, "pacs", "get", "peer", f"StudyInstanceUID={study}", "--json",
            "--database", str(tmp_path / "index.sqlite3"), "--config", str(tmp_path / "pacs.toml"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return int(re.findall(r"VmHWM:\s*(\d+) kB", done.stderr)[0]) * 1024

    base = most_memory(small.uid)
    assert most_memory(large.uid) - base < 40_000_000
    assert_whole(tmp_path / "index.sqlite3", instances(small, large))


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
def test_a_limit_is_full_of_answers_that_match(tmp_path: Path, kind: str) -> None:
    # The PACS ignores the key, and the only match is behind the limit.
    if kind == "dimse":
        with Liar(lies=Lies(invented=60, ignore_keys=True)) as liar, opened(tmp_path, liar.url) as pacs:
            found = pacs.find(PatientID="MANY00050", limit=3, counts=False).records()
            assert [each["PatientID"] for each in found] == ["MANY00050"]
        return
    with Faulty(Archive(60)) as server, opened(tmp_path, server.url) as pacs:
        found = pacs.find(PatientID="P50", limit=3, counts=False).records()
        assert [each["PatientID"] for each in found] == ["P50"]


def test_another_server_s_url_gets_no_request(tmp_path: Path) -> None:
    def elsewhere(request: Request) -> Any:
        reply = Archive(3)(request)
        reply.body = bytes(reply.body).replace(b"http://127.0.0.1/", f"http://127.0.0.1:{other.port}/".encode())
        return reply

    with Faulty(Archive(0)) as other, Faulty(elsewhere) as server, opened(tmp_path, server.url) as pacs:
        records = pacs.find(counts=False).records()
        assert len(records) == 3
        with pytest.raises(SlicerNotebookError):
            pacs.retrieve(records[0]).result(60)
        assert any("/studies/1.2.0" in target for target in server.targets())
        assert other.requests == []


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_pitfall_has_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "pacs_faults.md").read_text(encoding="utf-8")
    table = text.partition("## Pitfalls")[2]
    rows = re.findall(r"^\| (\d+) \|[^|]+\|([^|]+)\|$", table, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 23))
    for number, tests in rows:
        named = re.findall(r"`(\w[\w/]*\.py)::(test_\w+)`", tests)
        assert named, number
        for file, test in named:
            tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
            there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert test in there, f"pitfall {number}: {file} has no {test}"
