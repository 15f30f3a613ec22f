"""A push: what nobody asked for is kept or refused by policy; dcmtk's storescu sends, real processes are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import ArgumentError, PacsError, PacsRefusedError, StorageError
from slicer_notebook.pacs import config
from slicer_notebook.pacs import listening as module
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.store import read_meta, store
from slicer_notebook.pacs.listening import Listening
from slicer_notebook.pacs.port_holder import holder_of
from slicer_notebook.pacs.receiver_client import ReceiverClient
from slicer_notebook.pacs.reports import SeriesKept
from slicer_notebook.pacs.server import DimseAddress, Server
from slicer_notebook.testing import free_port
from tests.pacs.dicomweb.certificates import Authority
from tests.pacs.peers.data import Data, DataStudy, write_series_of
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import (
    assert_nothing_broken,
    assert_whole,
    files_below,
    instances,
    numbers,
    opened,
    rows,
    until,
)

PACS = "HOSPITAL"
URL = f"dimse://{PACS}@127.0.0.1:104"
#: A series has settled after so many seconds.
QUIET = 0.3

pytestmark = pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed (Debian: dcmtk)")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """Somebody listens, at a free port."""
    with opened(tmp_path, URL) as pacs, pacs.listen(quiet=QUIET) as running:
        yield running


def pushing(port: int, *what: Path, calling: str = PACS, called: str = "SLICER", more: Iterable[str] = ()) -> Any:
    """storescu, which sends files and folders."""
    command = ["storescu", "-R", "+sd", "+r", *more, "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.Popen(
        [*command, *map(str, what)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


def pushed(port: int, *what: Path, **options: Any) -> tuple[bool, str]:
    """Push files and folders; whether the peer says that all is stored, and what storescu printed."""
    process = pushing(port, *what, **options)
    said, _ = process.communicate(timeout=60)
    return process.returncode == 0, said


def folder_of(study: DataStudy) -> Path:
    return next(iter(study.instances.values())).parents[1]


def counts(series: Iterable[SeriesKept]) -> dict[str, int]:
    return {each.SeriesInstanceUID: each.count for each in series}


def sizes(study: DataStudy) -> dict[str, int]:
    return {each.uid: len(each.instances) for each in study.series}


# -- what is pushed is here --------------------------------------------------------------------------------------------


def test_a_push_is_here(listening: Listening, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    well, said = pushed(listening.port, folder_of(study))
    assert well, said
    # The peer was told that it is stored, so it is: nobody waits.
    assert_whole(tmp_path / "index.sqlite3", study.instances)
    found: list[SeriesKept] = []
    until(lambda: found.extend(listening.arrived(0.5)) or counts(found) == sizes(study))
    assert {each.Modality for each in found} == {"CT", "SR"}
    assert all(each.senders == [PACS] and each.settled for each in found)
    assert sum(each.bytes for each in found) == sum(
        path.stat().st_size for path in files_below(tmp_path / "index-files")
    )
    report = listening.report
    assert (report.listening, report.port, report.calling, report.count) == (True, listening.port, "SLICER", 31)
    assert f"'SLICER' at 127.0.0.1:{listening.port} listens, 31 instances of 2 series" in repr(listening)
    assert listening.arrived(0.3) == []
    last = listening.stop()
    assert (last.listening, last.count, last.error, last.dropped) == (False, 31, {}, [])
    with pytest.raises(PacsRefusedError):
        sent(listening.port, next(iter(study.instances.values())))


def test_what_grows_is_told_again_and_what_comes_twice_is_counted_once(
    listening: Listening, pacs_data: Data, tmp_path: Path
) -> None:
    files = list(pacs_data.study("bare").instances.values())
    heard: list[int] = []
    listening.on_progress(lambda work: heard.append(work.report.count))
    for count in (2, 3):
        assert pushed(listening.port, *files[:count])[0]
        assert [each.count for each in listening.arrived(10)] == [count]
    assert pushed(listening.port, *files)[0]
    until(lambda: listening.report.series[0].settled)
    assert listening.arrived(0.5) == []
    assert listening.report.count == 3
    assert heard[-1] == 3
    assert_whole(tmp_path / "index.sqlite3", pacs_data.study("bare").instances)


def test_two_push_at_once(listening: Listening, pacs_data: Data, tmp_path: Path) -> None:
    studies = [pacs_data.study(name) for name in ("thorax", "follow-up")]
    processes = [pushing(listening.port, folder_of(study)) for study in studies]
    for process in processes:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert_whole(tmp_path / "index.sqlite3", instances(*studies))
    until(lambda: counts(listening.report.series) == {uid: n for study in studies for uid, n in sizes(study).items()})


def test_without_a_port_of_the_configuration_and_with_one(tmp_path: Path) -> None:
    port = free_port()
    with opened(tmp_path, URL, port=port) as pacs:
        with pacs.listen() as configured:
            assert configured.port == port
        with pacs.listen(port=0) as free:
            assert free.port not in (0, port)
        with pytest.raises(ArgumentError, match="port"):
            pacs.listen(port=70000)
    with opened(tmp_path, "https://pacs.example/dicom-web") as web, pytest.raises(ArgumentError, match="DIMSE"):
        web.listen()


# -- who may push ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calling", "called", "why"),
    [("SOMEBODY", "SLICER", "Calling AE Title Not Recognized"), (PACS, "OTHER", "Called AE Title Not Recognized")],
)
def test_a_wrong_title_is_rejected(  # noqa: PLR0917
    listening: Listening, pacs_data: Data, tmp_path: Path, calling: str, called: str, why: str
) -> None:
    well, said = pushed(listening.port, folder_of(pacs_data.study("bare")), calling=calling, called=called)
    assert not well
    assert why in said
    assert rows_of(tmp_path) == []
    until(lambda: listening.report.notes)
    assert f"an association of '{calling}' to '{called}' was rejected" in listening.report.notes[0]


def test_a_wrong_address_is_rejected(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("bare")
    with opened(tmp_path, URL, send_addresses=["127.0.0.2"]) as pacs, pacs.listen() as running:
        well, said = pushed(running.port, folder_of(study))
        assert not well
        assert "Calling AE Title Not Recognized" in said
        assert rows_of(tmp_path) == []


def test_a_workstation_that_is_configured_may_push(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("bare")
    with opened(tmp_path, URL, senders=["WORKSTATION"]) as pacs, pacs.listen() as running:
        assert running.report.senders == [PACS, "WORKSTATION"]
        assert pushed(running.port, folder_of(study), calling="WORKSTATION")[0]
        assert running.stop().series[0].senders == ["WORKSTATION"]
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def test_with_tls(pacs_data: Data, tmp_path: Path) -> None:
    """With `ca_file` the PACS must show a certificate of that authority, too."""
    study, authority = pacs_data.study("bare"), Authority(tmp_path)
    cert, key = authority.issue("receiver", "127.0.0.1")
    theirs, their_key = authority.issue("pacs")
    settings = {"cert_file": str(cert), "key_file": str(key), "ca_file": str(authority.file), "tls_receiver": True}
    trust = ["+cf", str(authority.file)]
    with opened(tmp_path, URL, **settings) as pacs, pacs.listen() as running:
        assert running.report.tls
        assert " with TLS listens" in repr(running)
        for options in ([], ["+tla", *trust]):
            well, said = pushed(running.port, folder_of(study), more=options)
            assert not well, said
        assert rows_of(tmp_path) == []
        until(lambda: any("TLS handshake failed" in note for note in running.report.notes))
        well, said = pushed(running.port, folder_of(study), more=["+tls", str(their_key), str(theirs), *trust])
        assert well, said
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def rows_of(folder: Path) -> list[tuple[str, str]]:
    database = folder / "index.sqlite3"
    return rows(database) if database.exists() else []


# -- in a retrieval ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
@pytest.mark.parametrize("unasked", ["refuse", "keep"])
def test_what_a_retrieval_brings_unasked(pacs_data: Data, tmp_path: Path, way: str, unasked: str) -> None:
    study, stranger = pacs_data.study("thorax"), pacs_data.study("latin")
    uid, path = next(iter(stranger.instances.items()))
    port = free_port()
    lies = Lies(unasked=(path,))
    with (
        Liar(study.instances.values(), modalities={"SLICER": port}, lies=lies) as liar,
        opened(tmp_path, liar.url, port=port, unasked=unasked) as pacs,
    ):
        report = pacs.retrieve(study.uid, ways=[way]).result(60)
    assert report.complete
    assert numbers(report) == [(30, 30, 0), (1, 1, 0)]
    if unasked == "keep":
        (kept,) = report.kept
        assert (kept.StudyInstanceUID, kept.count, kept.senders) == (stranger.uid, 1, ["LIAR"])
        assert report.dropped == []
        assert_whole(tmp_path / "index.sqlite3", {**study.instances, uid: path})
    else:
        assert report.kept == []
        assert_whole(tmp_path / "index.sqlite3", study.instances)


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_what_comes_unasked_does_not_stand_for_what_is_missing(pacs_data: Data, tmp_path: Path, way: str) -> None:
    """The PACS neither counts nor lists: its word and the number that came are all that is known."""
    study, stranger = pacs_data.study("bare"), next(iter(pacs_data.study("japan").instances.values()))
    port = free_port()
    lies = Lies(
        unasked=(stranger,), share=0.7, leave_out={"NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances"},
        levels=("STUDY", "SERIES"),
    )  # fmt: skip
    with (
        Liar(study.instances.values(), modalities={"SLICER": port}, lies=lies) as liar,
        opened(tmp_path, liar.url, port=port, unasked="keep") as pacs,
    ):
        report = pacs.retrieve(study.uid, ways=[way]).result(60)
    assert not report.complete
    assert [each.count for each in report.kept] == [1]


@pytest.mark.parametrize("keep", [False, True])
def test_a_push_while_something_else_is_expected(pacs_data: Data, tmp_path: Path, keep: bool) -> None:
    port = free_port()
    server = Server(name="peer", url=URL, port=port, unasked="keep" if keep else "refuse")
    client, sink = ReceiverClient(server, folder=tmp_path / "run"), Sink(tmp_path)
    path = next(iter(pacs_data.study("bare").instances.values()))
    with client.expecting("1.2.3", sink):
        well, said = pushed(port, path, more=["-v"])
    client.close()
    assert well is keep
    if keep:
        assert (len(sink.files), sink.flushed) == (1, 1)
    else:
        assert sink.files == []
        assert re.search(r"0x0?124|NotAuthorized", said)


def test_listening_takes_nothing_that_a_retrieval_expects(pacs_data: Data, tmp_path: Path) -> None:
    study, other = pacs_data.study("thorax"), pacs_data.study("bare")
    port = free_port()
    (tmp_path / "listener").mkdir()
    with (
        Liar(study.instances.values(), aet=PACS, modalities={"SLICER": port}) as liar,
        opened(tmp_path / "listener", liar.url, port=port) as listener,
        listener.listen() as running,
        opened(tmp_path, liar.url, port=port) as pacs,
    ):
        transfer = pacs.retrieve(study.uid, ways=["C-MOVE"])
        assert pushed(port, folder_of(other))[0]
        assert transfer.result(60).complete
        assert running.stop().count == len(other.instances)
    assert_whole(tmp_path / "index.sqlite3", study.instances)
    assert_whole(tmp_path / "listener" / "index.sqlite3", other.instances)


class Sink:
    """Takes files of the receiver, and keeps them unless it is told not to."""

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        self.folder = folder
        self.full = full
        self.files: list[Path] = []
        self.flushed = 0

    def open(self) -> Any:
        raise AssertionError("what comes is another process's")

    def folder_aside(self) -> Path:
        return self.folder

    def adopt(self, path: Path, size: int, instance: Any = None) -> None:
        assert path.stat().st_size == size
        self.files.append(path)

    def flush(self) -> None:
        self.flushed += 1
        if self.full:
            raise StorageError("The disk is full.")


# -- faults ------------------------------------------------------------------------------------------------------------


def sent(port: int, *files: Path, told: Any = None) -> list[PacsError | None]:
    """Send files as a PACS does; what the peer said of each."""
    said: list[PacsError | None] = []
    peer = Peer(DimseAddress("SLICER", "127.0.0.1", port, tls=False), PACS, "ours", timeout=20)

    def tell(path: str, problem: PacsError | None) -> None:
        said.append(problem)
        if told is not None:
            told(path, problem)

    store(peer, [read_meta(str(path)) for path in files], tell, lambda: False)
    return said


def test_storescu_is_killed_in_the_middle(listening: Listening, tmp_path: Path) -> None:
    """Nothing half is in the index, and nothing of it on the disk; what was answered is here, the next one works."""
    made = tmp_path / "made"
    made.mkdir()
    study = write_series_of(made, 40, size=256)
    with Proxy(listening.port) as line:
        process = pushing(line.port, made)
        until(lambda: len(rows_of(tmp_path)) >= 5)
        line.stall()  # somewhere in the middle of an instance
        until(lambda: settled_rows(tmp_path))
        process.kill()
        process.wait(10)
        line.cut()
    until(lambda: listening.report.series and listening.report.series[0].settled)
    assert_nothing_broken(tmp_path / "index.sqlite3", study.instances)
    here = rows_of(tmp_path)
    assert 5 <= len(here) < 40
    assert {str(path) for path in files_below(tmp_path / "index-files")} == {path for _, path in here}
    until(lambda: not list((tmp_path / "index-files" / ".arriving").rglob("from-*/*")))
    assert listening.report.count == len(here)
    assert pushed(listening.port, made)[0]
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def settled_rows(folder: Path) -> bool:
    """Whether no more come."""
    before = len(rows_of(folder))
    return not threading.Event().wait(0.3) and len(rows_of(folder)) == before


def test_an_instance_that_breaks_off_is_refused_and_the_next_one_is_not(
    listening: Listening, pacs_data: Data, tmp_path: Path
) -> None:
    (uid, path), (_, other), *_ = pacs_data.study("thorax").series[0].instances.items()
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(other.read_bytes()[:-100])
    problem, fine = sent(listening.port, broken, path)
    assert problem is not None
    assert problem.details["status"] == 0xC000
    assert fine is None
    assert_whole(tmp_path / "index.sqlite3", {uid: path})
    until(lambda: any("it is not whole" in note for note in listening.report.notes))


def test_what_cannot_be_kept_is_not_said_to_be(pacs_data: Data, tmp_path: Path) -> None:
    port = free_port()
    client = ReceiverClient(Server(name="peer", url=URL, port=port), folder=tmp_path / "run")
    path = next(iter(pacs_data.study("bare").instances.values()))
    with client.expecting("", Sink(tmp_path, full=True)):
        (problem,) = sent(port, path)
    client.close()
    assert problem is not None
    assert problem.details["status"] == 0xA700


LISTENER = """
import sys
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server
pacs = Pacs(Server(name="peer", url=sys.argv[1]), index=sys.argv[2] + "/index.sqlite3")
listening = pacs.listen(port=int(sys.argv[3]))
print(listening.port, flush=True)
sys.stdin.read()
print(listening.stop().count, flush=True)
"""


def listener(folder: Path, port: int) -> Any:
    """A process that listens; at the end of its standard input it says how many came."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", LISTENER, URL, str(folder), str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == str(port)
    return process


def test_who_listens_is_killed_and_what_was_said_to_be_stored_is(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    study = write_series_of(made, 30, size=64)
    port, stored = free_port(), []
    process = listener(tmp_path / "here", port)
    try:

        def told(path: str, problem: PacsError | None) -> None:
            if problem is None:
                stored.append(path)
            if len(stored) == 10:
                process.kill()

        sent(port, *study.instances.values(), told=told)
    finally:
        process.kill()
        process.wait(10)
    assert 10 <= len(stored) < 30
    found = dict(rows(tmp_path / "here" / "index.sqlite3"))
    uids = {str(path): uid for uid, path in study.instances.items()}
    assert {uids[path] for path in stored} <= set(found)
    assert_nothing_broken(tmp_path / "here" / "index.sqlite3", study.instances)


def test_two_sessions_listen_and_one_is_killed(pacs_data: Data, tmp_path: Path) -> None:
    """Both have what is pushed; then the other one has it alone."""
    port, first, second = free_port(), pacs_data.study("thorax"), pacs_data.study("bare")
    processes = [listener(tmp_path / name, port) for name in ("one", "two")]
    try:
        well, said = pushed(port, folder_of(first))
        assert well, said
        for name in ("one", "two"):
            assert_whole(tmp_path / name / "index.sqlite3", first.instances)
        processes[0].kill()
        processes[0].wait(10)
        well, said = pushed(port, folder_of(second))
        assert well, said
        out, _ = processes[1].communicate("", timeout=30)
        assert int(out) == 34
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
    assert_whole(tmp_path / "one" / "index.sqlite3", first.instances)
    assert_whole(tmp_path / "two" / "index.sqlite3", instances(first, second))


def test_two_sessions_with_one_index(pacs_data: Data, tmp_path: Path) -> None:
    """Both write the same files; the index says of each what it is."""
    port, study = free_port(), pacs_data.study("thorax")
    processes = [listener(tmp_path / "both", port) for _ in range(2)]
    try:
        well, said = pushed(port, folder_of(study))
        assert well, said
        for process in processes:
            out, _ = process.communicate("", timeout=30)
            assert int(out) == 31
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
    assert_whole(tmp_path / "both" / "index.sqlite3", study.instances)
    summary = Index(tmp_path / "both" / "index.sqlite3").refresh()
    assert (summary.unchanged, summary.added) == (31, 0)


def test_the_receiver_is_killed_and_is_there_again_at_its_port(
    listening: Listening, pacs_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.1)
    held, port = holder_of(listening.port), listening.port
    assert held is not None
    assert held.pid is not None
    os.kill(held.pid, signal.SIGKILL)

    def another() -> bool:
        found = holder_of(port)
        return found is not None and found.pid not in (None, held.pid) and listening.report.listening

    until(another, 20)
    assert listening.port == port
    assert listening.report.error == {}
    study = pacs_data.study("bare")
    well, said = pushed(port, folder_of(study))
    assert well, said
    assert_whole(tmp_path / "index.sqlite3", study.instances)


# -- ports -------------------------------------------------------------------------------------------------------------


def test_a_free_port_is_one_for_all_and_can_be_told_to_the_pacs(pacs_data: Data, tmp_path: Path) -> None:
    """C-MOVE to a port that the PACS is told of when it is known."""
    study = pacs_data.study("bare")
    with (
        Liar(study.instances.values()) as liar,
        opened(tmp_path, liar.url, port="free") as pacs,
        pacs.listen() as running,
    ):
        assert pacs.receiver_port() == running.port
        liar.modalities["SLICER"] = running.port
        report = pacs.retrieve(study.uid, ways=["C-MOVE"]).result(60)
        assert report.complete
        assert running.stop().count == 0
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def test_no_receiver_no_port(tmp_path: Path) -> None:
    with opened(tmp_path, URL) as pacs, pytest.raises(ArgumentError, match="port"):
        pacs.receiver_port()


def test_who_has_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        with opened(tmp_path, URL, port=port) as pacs, pytest.raises(PacsError, match="cannot listen") as error:
            pacs.listen()
    assert f"process {os.getpid()} ({name})" in (error.value.got or "")
    assert error.value.details == {"port": port, "pid": os.getpid()}
    assert holder_of(port) is None


def test_one_of_ours_that_cannot_be_joined_has_the_port(tmp_path: Path) -> None:
    port = free_port()
    other = ReceiverClient(Server(name="peer", url=URL, port=port), folder=tmp_path / "another data folder")
    with opened(tmp_path, URL, port=port) as pacs, pacs.listen(), pytest.raises(PacsError) as error:
        other.port()
    assert "a storage SCP of slicer-notebook" in (error.value.got or "")
    assert "bind=" in (error.value.hint or "")


# -- the command -------------------------------------------------------------------------------------------------------


class Command:
    """`slicer-notebook pacs listen --json`, with a configuration and an index of its own."""

    def __init__(self, folder: Path, *options: str, **settings: Any) -> None:
        config.add("hospital", URL, path=folder / "pacs.toml", **settings)
        command = [
            sys.executable, "-m", "slicer_notebook.cli", "pacs", "listen", "hospital",
            "--config", folder / "pacs.toml", "--database", folder / "index.sqlite3", "--quiet", str(QUIET), *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self) -> dict[str, Any]:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def ended(self) -> tuple[int, str]:
        """Exit code and what it wrote to standard error, at its end."""
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


def test_the_command(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    command = Command(tmp_path, "--json", "--port", "free")
    where = command.line()
    assert (where["listening"], where["calling"], where["bind"], where["tls"]) == (True, "SLICER", "127.0.0.1", False)
    assert (where["server"], where["senders"]) == ("hospital", [PACS])
    assert not pushed(where["port"], folder_of(study), calling="SOMEBODY")[0]
    assert pushed(where["port"], folder_of(study))[0]
    series = [command.line(), command.line()]
    assert {each["SeriesInstanceUID"]: each["count"] for each in series} == sizes(study)
    assert all(each["senders"] == [PACS] and each["StudyInstanceUID"] == study.uid for each in series)
    command.process.send_signal(signal.SIGTERM)
    last = command.line()
    assert (last["listening"], last["count"], last["series"], last["dropped"]) == (False, 31, 2, [])
    code, errors = command.ended()
    assert code == 0
    assert "'SOMEBODY' to 'SLICER' was rejected" in errors
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def test_the_command_once(pacs_data: Data, tmp_path: Path) -> None:
    port, study = free_port(), pacs_data.study("bare")
    command = Command(tmp_path, "--once", port=port)
    assert command.process.stdout is not None
    assert command.process.stdout.readline() == f"SLICER listens at 127.0.0.1, port {port}, for {PACS}\n"
    assert pushed(port, folder_of(study))[0]
    out, errors = command.process.communicate(timeout=30)
    assert (command.process.returncode, errors) == (0, "")
    assert out.splitlines() == [
        f"{study.series[0].uid}: 3 instances, MR, from {PACS}",
        f"3 instances were kept, in {tmp_path / 'index-files'}",
    ]


def test_the_command_and_a_port_that_another_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, errors = Command(tmp_path, "--json", "--port", str(other.getsockname()[1])).ended()
    assert code == 1
    assert f"process {os.getpid()}" in errors
    code, errors = Command(tmp_path / "x", "--port", "anywhere").ended()
    assert code == 2
    assert "'anywhere' is neither a number nor 'free'" in errors
