"""The process that writes what comes: the same files and headers as without it, and nothing lost when it is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slicer_notebook.dicom.header import read_header, read_header_in_hand
from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs import disk
from slicer_notebook.pacs import writer as module
from slicer_notebook.pacs.arrivals import Arrivals
from slicer_notebook.pacs.batches import BATCH
from slicer_notebook.pacs.writer import Looked, Writer
from tests.dicom.make import write_series
from tests.pacs.retrieving import no_thread_left, rows, until

COUNT = 12 * BATCH
#: which of them is refused
UNWANTED = 300


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin at once, also on one core."""
    monkeypatch.setattr(module, "_AFTER", 0)
    monkeypatch.setattr(module, "cores", lambda: 2)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [path.read_bytes() for path in write_series(tmp_path_factory.mktemp("sent"), shape=(COUNT, 4, 3))]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    with no_thread_left():
        yield made
        made.close()


def process_of(writer: Writer) -> int:
    assert writer._process is not None
    return writer._process._process.pid


def written(writer: Writer, data: list[bytes]) -> list[Looked]:
    """By the process, once it is there."""
    found: list[list[Looked]] = []

    def done() -> bool:
        looked = writer.write(data)
        if looked is not None:
            found.append(looked)
        return bool(found)

    until(done, 20)
    return found[0]


def test_files_and_headers_are_the_same(writer: Writer, sent: list[bytes]) -> None:
    batch = sent[:30]
    looked = written(writer, batch)
    assert [Path(each.path).read_bytes() for each in looked] == batch
    assert [each.problem for each in looked] == [None] * 30
    assert [each.instance for each in looked] == [read_header(each.path) for each in looked]
    assert {os.stat(each.path).st_mode & 0o777 for each in looked} == {0o600}
    again = writer.write(batch)
    assert again is not None
    assert not {each.path for each in looked} & {each.path for each in again}


def test_what_is_wrong_with_one_is_said_of_that_one(writer: Writer, sent: list[bytes]) -> None:
    looked = written(writer, [sent[0], sent[1][:-3], b"nothing", sent[2]])
    assert [each.problem is None for each in looked] == [True, False, False, True]
    assert "it is not whole" in str(looked[1].problem)
    assert looked[2].instance is None


def test_it_is_begun_when_there_is_enough_to_do(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]
) -> None:
    monkeypatch.setattr(module, "_AFTER", 3)
    assert [writer.write(sent[:2]) for _ in range(3)] == [None] * 3
    assert writer._starting is None
    assert written(writer, sent[:2])


@pytest.mark.parametrize("missing", ["cores", "interpreter"])
def test_where_there_is_none_others_write(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes], missing: str
) -> None:
    if missing == "cores":
        monkeypatch.setattr(module, "cores", lambda: 1)
    else:
        monkeypatch.setattr(sys, "executable", "/opt/Slicer/SlicerApp-real")
    assert [writer.write(sent[:2]) for _ in range(5)] == [None] * 5
    assert writer._starting is None


def test_a_process_that_does_not_begin(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    monkeypatch.setattr(module, "_SERVE", "slicer_notebook.pacs.writer:nothing_of_that_name")
    assert writer.write(sent[:2]) is None
    until(lambda: writer._lost, 20)
    assert writer.write(sent[:2]) is None


def test_a_process_that_is_killed(writer: Writer, sent: list[bytes]) -> None:
    written(writer, sent[:2])
    os.kill(process_of(writer), signal.SIGKILL)
    assert [writer.write(sent[:2]) for _ in range(3)] == [None] * 3


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    written(writer, sent[:2])
    os.kill(process_of(writer), signal.SIGSTOP)
    monkeypatch.setattr(module, "_LONGEST", 0.2)
    assert writer.write(sent[:2]) is None


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(
    writer: Writer, sent: list[bytes], tmp_path: Path
) -> None:
    written(writer, sent[:2])
    for each in (tmp_path / "of-another").iterdir():
        each.unlink()
    (tmp_path / "of-another").rmdir()
    (tmp_path / "of-another").write_text("in the way")
    with pytest.raises(FileExistsError):
        writer.write(sent[:2])
    (tmp_path / "of-another").unlink()
    assert writer.write(sent[:2])  # it goes on


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    import resource

    if not hasattr(resource, "prlimit"):
        pytest.skip("no prlimit here")
    written(writer, sent[:1])
    before = sorted(tmp_path.rglob("*"))
    large = sent[1] + bytes(100_000)
    resource.prlimit(process_of(writer), resource.RLIMIT_FSIZE, (50_000, 50_000))
    with pytest.raises(OSError, match="too large"):
        writer.write([sent[0], large, sent[2]])
    assert sorted(tmp_path.rglob("*")) == before


# -- as the arrivals use it --------------------------------------------------------------------------------------------


class Spy:
    """Arrivals whose batches are all synced at once; what the process wrote of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.database = folder / "files", folder / "index.sqlite3"
        self.index = Index(self.database)
        self.arrived: list[str] = []
        self.dropped: list[str] = []
        self.elsewhere = 0
        self.at: dict[int, Callable[[Writer], None]] = {}
        if sys.platform != "linux":
            pytest.skip("files are synced together on Linux only")
        monkeypatch.setattr(disk, "_syncs_all", lambda _folder: True)
        write = Writer.write

        def seen(writer: Writer, data: list[bytes]) -> list[Looked] | None:
            looked = write(writer, data)
            self.elsewhere += len(looked or ())
            for count in [count for count in self.at if self.elsewhere >= count]:
                self.at.pop(count)(writer)
            return looked

        monkeypatch.setattr(Writer, "write", seen)

    def take(self, sent: list[bytes]) -> None:
        """All of it; from the third batch on, the process is there."""
        unwanted = read_header_in_hand("", sent[UNWANTED], 0).SOPInstanceUID
        arrivals = Arrivals(
            self.folder,
            self.index,
            refused=lambda instance: "no" if instance.SOPInstanceUID == unwanted else None,
            arrived=lambda instances: self.arrived.extend(each.SOPInstanceUID for each in instances),
            dropped=lambda _sop, why: self.dropped.append(why),
        )
        with no_thread_left():
            try:
                for number, data in enumerate(sent):
                    part = arrivals.open()
                    part.write(data)
                    part.done()
                    if number == 2 * BATCH:
                        until(lambda: arrivals._writer._ready, 20)
                arrivals.flush()
            finally:
                arrivals.close()


def check(spy: Spy, sent: list[bytes]) -> None:
    """All is there but what is not wanted, once, as it was sent; nothing is aside."""
    files = sorted(spy.folder.rglob("*.dcm"))
    headers = [read_header(path) for path in files]
    assert len(files) == COUNT - 1
    assert {path.read_bytes() for path in files} == set(sent) - {sent[UNWANTED]}
    assert sorted(spy.arrived) == sorted(each.SOPInstanceUID for each in headers)
    assert spy.dropped == ["no"]
    assert {path for _, path in rows(spy.database)} == {str(path) for path in files}
    assert list((spy.folder / ".arriving").iterdir()) == []


def test_arrivals_give_it_what_is_small_and_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes]
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    spy.take(sent)
    assert spy.elsewhere > COUNT / 2
    check(spy, sent)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_arrivals_lose_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes], number: signal.Signals
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    hit = threading.Event()

    def kill(writer: Writer) -> None:
        os.kill(process_of(writer), number)
        hit.set()

    spy.at[3 * BATCH] = kill
    spy.take(sent)
    assert hit.is_set()
    assert spy.elsewhere < COUNT - 2 * BATCH
    check(spy, sent)
