"""The storage SCP of this machine: one process for all, who gets what, what is refused, what becomes of killed ones."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import PacsError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs import receiver, receiver_client
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.store import read_meta, store
from slicer_notebook.pacs.receiver_client import ReceiverClient
from slicer_notebook.pacs.receiver_clients import Expectation
from slicer_notebook.pacs.server import DimseAddress, Server
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.peers.data import Data, write_series_of
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import assert_whole, instances, opened, reasons, until

PACS = "HOSPITAL"


class Kept:
    """A sink that notes what comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []

    def open(self) -> Any:
        raise AssertionError("what comes is another process's")

    def folder_aside(self) -> Path:
        return self.folder

    def adopt(self, path: Path, size: int, instance: Any = None) -> None:
        assert path.stat().st_size == size
        self.files.append(path)

    def flush(self) -> None:
        raise AssertionError("nothing is kept that was not asked for")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ReceiverClient]:
    server = Server(name="peer", url=f"dimse://{PACS}@127.0.0.1:104", calling="OURS", port=free_port())
    made = ReceiverClient(server, folder=tmp_path / "run")
    yield made
    made.close()


def pid_of(folder: Path) -> int:
    (file,) = folder.glob("receiver-*.json")
    return int(json.loads(file.read_text())["pid"])


def sent(port: int, path: Path, *, calling: str = PACS, called: str = "OURS") -> list[Any]:
    """Send a file to the storage SCP as a PACS does; what was said of it."""
    said: list[Any] = []
    peer = Peer(DimseAddress(called, "127.0.0.1", port, tls=False), calling, "ours", timeout=5)
    store(peer, [read_meta(str(path))], lambda _path, problem: said.append(problem), lambda: False)
    return said


def test_what_is_expected_comes(client: ReceiverClient, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    uid, path = next(iter(study.instances.items()))
    sink = Kept(tmp_path)
    with client.expecting(study.uid, sink) as expected:
        assert sent(client._server.port, path) == [None]
        expected.settle()
        assert expected.count == 1
    assert read_meta(str(sink.files[0])).sop_instance == uid
    for file in (tmp_path / "run").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_all_that_was_answered_is_told_of_before_it_is_settled(
    client: ReceiverClient, pacs_data: Data, tmp_path: Path
) -> None:
    study = pacs_data.study("thorax")
    files = [read_meta(str(path)) for path in study.instances.values()]
    peer = Peer(DimseAddress("OURS", "127.0.0.1", client._server.port, tls=False), PACS, "ours", timeout=5)
    sink = Kept(tmp_path)
    with client.expecting(study.uid, sink) as expected:
        for count in range(1, 21):
            store(peer, files, lambda _path, problem: pytest.fail(problem) if problem else None, lambda: False)
            expected.settle()
            assert expected.count == count * len(files)
    assert len(sink.files) == 20 * len(files)


@pytest.mark.parametrize("do", ["sync", "forget"])
def test_what_is_written_after_the_answer_is_waited_for(tmp_path: Path, do: str) -> None:
    said: list[dict[str, Any]] = []
    client = SimpleNamespace(tell=lambda **words: said.append(words))
    words = {"id": 1, "called": "OURS", "callers": [], "addresses": [], "study": "1.2", "series": "", "keep": False}
    server = receiver._Server(receiver.Settings(bind="127.0.0.1", port=0, key=""))
    server._do(client, {"do": "expect", **words, "aside": str(tmp_path)})  # type: ignore[arg-type]
    expectation = server._expectations[id(client), 1]
    assert isinstance(expectation, Expectation)
    server.begin([expectation])
    asking = threading.Thread(target=server._do, args=(client, {"do": do, "id": 1}), daemon=True)
    asking.start()
    asking.join(0.1)
    assert asking.is_alive()
    expectation.tell("came")
    server.end([expectation])
    asking.join(10)
    assert not asking.is_alive()
    assert [each["event"] for each in said] == ["answer", "came", "answer"]


@pytest.mark.parametrize(
    ("calling", "called", "said"),
    [("SOMEBODY", "OURS", "calling AE title"), (PACS, "THEIRS", "not its own")],
    ids=["calling", "called"],
)
def test_strangers_are_rejected(  # noqa: PLR0917
    client: ReceiverClient, pacs_data: Data, tmp_path: Path, calling: str, called: str, said: str
) -> None:
    study = pacs_data.study("thorax")
    with client.expecting(study.uid, Kept(tmp_path)), pytest.raises(PacsRefusedError, match=said):
        sent(client._server.port, next(iter(study.instances.values())), calling=calling, called=called)


def test_nobody_expects_anything(client: ReceiverClient, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    with client.expecting(study.uid, Kept(tmp_path)):
        pass
    with pytest.raises(PacsRefusedError):
        sent(client._server.port, next(iter(study.instances.values())))


def test_an_instance_of_another_study_is_refused(client: ReceiverClient, pacs_data: Data, tmp_path: Path) -> None:
    sink = Kept(tmp_path)
    stranger = next(iter(pacs_data.study("latin").instances.values()))
    with client.expecting(pacs_data.study("thorax").uid, sink):
        (problem,) = sent(client._server.port, stranger)
    assert problem is not None
    assert sink.files == []


def test_another_program_has_the_port(pacs_data: Data, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        client = ReceiverClient(
            Server(name="peer", url=f"dimse://{PACS}@127.0.0.1:104", port=port), folder=tmp_path / "run"
        )
        with (
            pytest.raises(PacsError, match=f"cannot listen on 127.0.0.1:{port}") as error,
            client.expecting("1.2.3", Kept(tmp_path)),
        ):
            pass
    assert "Another program" in str(error.value)


def test_one_that_was_killed_is_noticed_and_started_anew(
    client: ReceiverClient, pacs_data: Data, tmp_path: Path
) -> None:
    study = pacs_data.study("thorax")
    with client.expecting(study.uid, Kept(tmp_path)) as expected:
        os.kill(pid_of(tmp_path / "run"), signal.SIGKILL)

        def lost() -> bool:
            try:
                expected.check()
            except PacsUnreachableError:
                return True
            return False

        until(lost, 5)
    sink = Kept(tmp_path)
    with client.expecting(study.uid, sink) as again:
        sent(client._server.port, next(iter(study.instances.values())))
        again.settle()
    assert len(sink.files) == 1


def test_it_ends_when_nobody_needs_it(tmp_path: Path) -> None:
    """Its own idle time is too long for a test: it is asked for a short one."""
    settings = {"bind": "127.0.0.1", "port": free_port(), "key": "00" * 32, "idle": 0.3}
    process = subprocess.Popen(
        [sys.executable, "-m", "slicer_notebook.pacs.receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    process.stdin.flush()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    assert process.returncode == 0


CLIENT = """
import sys
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server
url, port, folder, study = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
pacs = Pacs(Server(name="peer", url=url, port=port), index=folder + "/index.sqlite3")
report = pacs.retrieve(study, ways=["C-MOVE"]).result(60)
print(report.complete, report.received, flush=True)
pacs.close()
"""


def test_two_processes_at_one_port(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    """Both fetch by C-MOVE at the same time, to the same title and port; each gets its own."""
    studies = [pacs_data.study("thorax"), pacs_data.study("follow-up")]
    processes = []
    for number, study in enumerate(studies):
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = [orthanc.dimse_url, str(orthanc.modalities["SLICER"]), str(folder), study.uid]
        processes.append(
            subprocess.Popen([sys.executable, "-c", CLIENT, *arguments], stdout=subprocess.PIPE, text=True)
        )
    for number, (process, study) in enumerate(zip(processes, studies, strict=True)):
        out, _ = process.communicate(timeout=60)
        assert out.split() == ["True", str(len(study.instances))]
        assert_whole(tmp_path / str(number) / "index.sqlite3", instances(study))


def test_a_client_that_is_killed_hinders_nobody(fresh_orthanc: Any, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    study = write_series_of(made, 40, size=256)
    port = free_port()
    orthanc = fresh_orthanc(made, calling={"SLICER": port})
    with Proxy(orthanc.dicom_port) as line:
        url = line.url(orthanc.dimse_url)
        folder = tmp_path / "killed"
        folder.mkdir()
        killed = subprocess.Popen(
            [sys.executable, "-c", CLIENT, url, str(port), str(folder), study.uid], stdout=subprocess.PIPE
        )
        until(lambda: list(folder.rglob("*.dcm")) or killed.poll() is not None, 30)
        killed.kill()
        killed.wait(10)
        began = time.monotonic()
        with opened(tmp_path, url, port=port) as pacs:
            report = pacs.retrieve(study.uid, ways=["C-MOVE"]).result(60)
        assert report.complete, reasons(report)
        assert time.monotonic() - began < 40
    assert_whole(tmp_path / "index.sqlite3", study.instances)


def test_a_header_that_cannot_be_read_is_read_from_the_file() -> None:
    given = Instance(SOPInstanceUID="1.2", SeriesInstanceUID="1.3", PixelSpacing=[0.5, 0.5], path="x", size=3)
    assert receiver_client._instance(msgspec.json.encode(given).decode()) == given
    for header in (None, "", "{", "[]", '{"size": "much"}'):
        assert receiver_client._instance(header) is None
