"""The process that writes what comes: the same files and headers as without it, and nothing lost when it is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from slicer_notebook.dicom.header import read_header, read_header_in_hand
from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs import disk
from slicer_notebook.pacs import writer as module
from slicer_notebook.pacs.arrivals import Arrivals
from slicer_notebook.pacs.batches import BATCH
from slicer_notebook.pacs.writer import Writer, Written
from tests.dicom.make import write_series
from tests.pacs.retrieving import no_thread_left, rows, until

COUNT = 12 * BATCH
#: an element of the header, at the end of a file
BEHIND = b"\x08\0\x3e\x10LO\x04\0late"
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
    yield made
    made.close()
    module._SPARE.end()


def process_of(writer: Writer) -> int:
    assert writer._process is not None
    return writer._process._process.pid


def written(writer: Writer, data: Sequence[bytes | bytearray], *, read: bool = False) -> list[Written]:
    assert writer.ready()
    if read:
        until(lambda: writer.write([]) is not None and writer.reads, 20)
    files = writer.write(data, read=read)
    assert files is not None
    return files


def test_files_are_what_was_given(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    files = [*written(writer, sent[:30]), *written(writer, [bytearray(sent[30]), b""])]
    assert [Path(each.path).read_bytes() for each in files] == [*sent[:31], b""]
    assert [os.stat(each.path).st_mtime_ns for each in files] == [each.mtime_ns for each in files]
    assert {os.stat(each.path).st_mode & 0o777 for each in files} == {0o600}
    assert len({each.path for each in files}) == 32
    assert all(tmp_path in Path(each.path).parents for each in files)
    assert {each.instance for each in files} == {None}


def test_headers_are_read_once_that_is_loaded(writer: Writer, sent: list[bytes]) -> None:
    odd = sent[1] + BEHIND
    files = written(writer, [sent[0], odd, sent[2][:-3], b"nothing"], read=True)
    assert [each.instance for each in files[:2]] == [read_header(each.path) for each in files[:2]]
    assert [each.problem is None for each in files] == [True, True, False, False]
    assert "it is not whole" in str(files[2].problem)
    assert files[3].instance is None


def test_names(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    files = written(writer, sent[:3])
    there = tmp_path / "there"
    there.mkdir()
    (there / "0").write_text("former")
    wanted = [there / "0", tmp_path / "not there" / "1", there / "2"]
    names = [(each.path, str(new)) for each, new in zip(files, wanted, strict=True)]
    assert writer.rename(names) == [True, False, True]
    assert [(there / name).read_bytes() for name in ("0", "2")] == [sent[0], sent[2]]
    assert Path(files[1].path).read_bytes() == sent[1]


def test_it_is_begun_when_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch, writer: Writer) -> None:
    monkeypatch.setattr(module, "_AFTER", 3)
    assert [writer.ready() for _ in range(5)] == [False, False, False, True, True]


def test_it_stays_for_the_next_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[bytes]) -> None:
    first, second, third = (Writer(tmp_path / name) for name in "abc")
    written(first, sent[:2], read=True)
    process = process_of(first)
    first.close()
    monkeypatch.setattr(module, "_AFTER", 3)
    assert second.ready()
    assert not third.ready()
    assert second.reads
    assert process_of(second) == process
    files = second.write(sent[:2], read=True)
    assert files is not None
    assert all(tmp_path / "b" in Path(each.path).parents for each in files)
    monkeypatch.setattr(module, "_IDLE", 0.05)
    second.close()
    until(lambda: not Path(f"/proc/{process}").exists())  # it was waited for
    assert not third.ready()


def test_a_spare_one_that_has_ended_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[bytes]) -> None:
    first, second = Writer(tmp_path), Writer(tmp_path)
    written(first, sent[:2], read=True)
    process = process_of(first)
    first.close()
    os.kill(process, signal.SIGKILL)
    monkeypatch.setattr(module, "_AFTER", 3)
    until(lambda: not module._SPARE._process or not module._SPARE._process.alive)
    assert not second.ready()


@pytest.mark.parametrize("missing", ["cores", "interpreter"])
def test_where_there_is_none_others_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[bytes], missing: str
) -> None:
    if missing == "cores":
        monkeypatch.setattr(module, "cores", lambda: 1)
    else:
        monkeypatch.setattr(sys, "executable", "/opt/Slicer/SlicerApp-real")
    writer = Writer(tmp_path)
    assert not writer.ready()
    assert writer.write(sent[:2]) is None
    assert writer.rename([("a", "b")]) == [False]


def test_a_process_that_does_not_begin(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    monkeypatch.setattr(module._writing, "__file__", "/nothing/of/that/name.py")
    assert writer.ready()
    assert writer.write(sent[:2]) is None
    assert not writer.ready()


def test_one_that_cannot_load_what_reads_writes_all_the_same(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]
) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert len(written(writer, sent[:2])) == 2
    assert not writer.reads


def test_a_process_that_is_killed(writer: Writer, sent: list[bytes]) -> None:
    files = written(writer, sent[:2])
    os.kill(process_of(writer), signal.SIGKILL)
    assert writer.rename([(each.path, f"{each.path}-new") for each in files]) == [False, False]
    assert writer.write(sent[:2]) is None
    assert not writer.ready()


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    assert written(writer, sent[:2])
    os.kill(process_of(writer), signal.SIGSTOP)
    monkeypatch.setattr(module, "_LONGEST", 0.2)
    assert writer.write(sent) is None


def test_what_cannot_be_written_is_an_error(writer: Writer, sent: list[bytes]) -> None:
    files = written(writer, sent[:2])
    folder = Path(files[0].path).parent
    for each in files:
        os.unlink(each.path)
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(FileExistsError):
        writer.write(sent[:2])
    folder.unlink()
    assert writer.write(sent[:2])  # it goes on


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    import resource

    if not hasattr(resource, "prlimit"):
        pytest.skip("no prlimit here")
    assert written(writer, sent[:1])
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
        #: instances that the process wrote, and of which it read the headers
        self.elsewhere = self.read = 0
        #: when which signal goes to it, once it has something to do
        self.killing: tuple[str, signal.Signals] | None = None
        self.after = 0
        if sys.platform != "linux":
            pytest.skip("files are synced together on Linux only")
        monkeypatch.setattr(disk, "_syncs_all", lambda _folder: True)
        write, rename = Writer.write, Writer.rename

        def seen(writer: Writer, data: Sequence[bytes], *, read: bool = False) -> list[Written] | None:
            self._hit("write", writer)
            files = write(writer, data, read=read)
            self.elsewhere += len(files or ())
            self.read += len(files or ()) if read else 0
            return files

        def named(writer: Writer, names: list[tuple[str, str]]) -> list[bool]:
            self._hit("rename", writer)
            done = rename(writer, names)
            # Killed when it has done it, before it can say so.
            return [False] * len(done) if self._hit("renamed", writer) else done

        monkeypatch.setattr(Writer, "write", seen)
        monkeypatch.setattr(Writer, "rename", named)

    def _hit(self, what: str, writer: Writer) -> bool:
        if self.killing is None or self.killing[0] != what or self.elsewhere < self.after:
            return False
        os.kill(process_of(writer), self.killing[1])
        self.killing = None
        return True

    def take(self, sent: list[bytes], *, read: bool = False) -> None:
        """All of it; ``read``: when the process has loaded what reads headers."""
        unwanted = read_header_in_hand("", sent[UNWANTED], 0).SOPInstanceUID
        with no_thread_left():
            arrivals = Arrivals(
                self.folder,
                self.index,
                refused=lambda instance: "no" if instance.SOPInstanceUID == unwanted else None,
                arrived=lambda instances: self.arrived.extend(each.SOPInstanceUID for each in instances),
                dropped=lambda _sop, why: self.dropped.append(why),
            )
            try:
                for number, data in enumerate(sent):
                    if read and number == 4 * BATCH:
                        until(lambda: arrivals._writer._process is not None and arrivals._writer.write([]) is not None)
                        until(lambda: arrivals._writer.write([]) is not None and arrivals._writer.reads, 20)
                    part = arrivals.open()
                    part.write(data)
                    part.done()
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


@pytest.mark.parametrize("read", [False, True])
def test_arrivals_give_it_what_is_small_and_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes], read: bool
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    spy.take(sent, read=read)
    assert spy.elsewhere >= COUNT - 1
    assert spy.read >= 4 * BATCH if read else True
    check(spy, sent)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize(
    "killing",
    [("write", signal.SIGKILL), ("write", signal.SIGTERM), ("rename", signal.SIGKILL), ("renamed", signal.SIGKILL)],
)
def test_arrivals_lose_nothing_with_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: list[bytes],
    killing: tuple[str, signal.Signals],
    read: bool,
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    spy.killing = killing
    spy.after = (6 if read else 2) * BATCH
    spy.take(sent, read=read)
    assert spy.killing is None
    check(spy, sent)


@pytest.mark.parametrize("read", [False, True])
def test_files_of_odd_forms_and_such_as_are_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes], read: bool
) -> None:
    # An element that belongs before the pixels: pydicom reads that, from a file.
    odd = list(sent)
    for number in (5, COUNT - 5):
        odd[number] += BEHIND
    broken = [*odd, sent[1][:-3], b"nothing"]
    spy = Spy(tmp_path, monkeypatch)
    spy.take(broken, read=read)
    assert [each for each in spy.dropped if "not whole" in each or "not DICOM" in each] != []
    spy.dropped = [each for each in spy.dropped if each == "no"]
    check(spy, odd)
