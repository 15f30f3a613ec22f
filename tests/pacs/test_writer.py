"""The process that writes what comes: the same files and headers as without it, and nothing lost when it is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook.dicom.header import read_header, read_header_in_hand
from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs import disk
from slicer_notebook.pacs import writer as module
from slicer_notebook.pacs.arrivals import Arrivals
from slicer_notebook.pacs.batches import BATCH
from slicer_notebook.pacs.writer import Writer
from tests.dicom.make import write_series
from tests.pacs.retrieving import no_thread_left, rows

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
    yield made
    made.close()


def process_of(writer: Writer) -> int:
    assert writer._process is not None
    return writer._process._process.pid


def test_files_are_what_was_given(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    assert writer.ready
    batches = [writer.write(sent[:30]), writer.write([bytearray(sent[30]), b""])]
    files = [file for batch in batches if batch is not None for file in batch]
    assert [Path(path).read_bytes() for path, _ in files] == [*sent[:31], b""]
    assert [os.stat(path).st_mtime_ns for path, _ in files] == [mtime for _, mtime in files]
    assert {os.stat(path).st_mode & 0o777 for path, _ in files} == {0o600}
    assert len({path for path, _ in files}) == 32
    assert all(tmp_path in Path(path).parents for path, _ in files)


def test_names(writer: Writer, sent: list[bytes], tmp_path: Path) -> None:
    assert writer.ready
    files = writer.write(sent[:3])
    assert files is not None
    there = tmp_path / "there"
    there.mkdir()
    (there / "0").write_text("former")
    wanted = [there / "0", tmp_path / "not there" / "1", there / "2"]
    assert writer.rename([(path, str(new)) for (path, _), new in zip(files, wanted, strict=True)]) == [
        True,
        False,
        True,
    ]
    assert [(there / name).read_bytes() for name in ("0", "2")] == [sent[0], sent[2]]
    assert Path(files[1][0]).read_bytes() == sent[1]


def test_two_do_not_meet(tmp_path: Path, sent: list[bytes]) -> None:
    writers = [Writer(tmp_path), Writer(tmp_path)]
    try:
        assert all(writer.ready for writer in writers)
        written = [writer.write(sent[:5]) for writer in writers]
        assert len({path for files in written if files is not None for path, _ in files}) == 10
    finally:
        for writer in writers:
            writer.close()


def test_it_is_begun_when_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch, writer: Writer) -> None:
    monkeypatch.setattr(module, "_AFTER", 3)
    assert [writer.ready for _ in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize("missing", ["cores", "interpreter"])
def test_where_there_is_none_others_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[bytes], missing: str
) -> None:
    if missing == "cores":
        monkeypatch.setattr(module, "cores", lambda: 1)
    else:
        monkeypatch.setattr(sys, "executable", "/opt/Slicer/SlicerApp-real")
    writer = Writer(tmp_path)
    assert not writer.ready
    assert writer.write(sent[:2]) is None
    assert writer.rename([("a", "b")]) == [False]


def test_a_process_that_does_not_begin(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    monkeypatch.setattr(module._writing, "__file__", "/nothing/of/that/name.py")
    assert writer.ready
    assert writer.write(sent[:2]) is None
    assert not writer.ready


def test_a_process_that_is_killed(writer: Writer, sent: list[bytes]) -> None:
    assert writer.ready
    files = writer.write(sent[:2])
    assert files is not None
    os.kill(process_of(writer), signal.SIGKILL)
    assert writer.rename([(path, f"{path}-new") for path, _ in files]) == [False, False]
    assert writer.write(sent[:2]) is None
    assert not writer.ready


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, writer: Writer, sent: list[bytes]) -> None:
    assert writer.ready
    assert writer.write(sent[:2])
    os.kill(process_of(writer), signal.SIGSTOP)
    monkeypatch.setattr(module, "_LONGEST", 0.2)
    assert writer.write(sent) is None


def test_what_cannot_be_written_is_an_error(writer: Writer, sent: list[bytes]) -> None:
    assert writer.ready
    files = writer.write(sent[:2])
    assert files is not None
    folder = Path(files[0][0]).parent
    for path, _ in files:
        os.unlink(path)
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
    assert writer.ready
    assert writer.write(sent[:1])
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
        #: when which signal goes to it, once it has something to do
        self.killing: tuple[str, signal.Signals] | None = None
        if sys.platform != "linux":
            pytest.skip("files are synced together on Linux only")
        monkeypatch.setattr(disk, "_syncs_all", lambda _folder: True)
        write, rename = Writer.write, Writer.rename

        def seen(writer: Writer, data: list[bytes]) -> list[tuple[str, int]] | None:
            self._hit("write", writer)
            files = write(writer, data)
            self.elsewhere += len(files or ())
            return files

        def named(writer: Writer, names: list[tuple[str, str]]) -> list[bool]:
            self._hit("rename", writer)
            return rename(writer, names)

        monkeypatch.setattr(Writer, "write", seen)
        monkeypatch.setattr(Writer, "rename", named)

    def _hit(self, what: str, writer: Writer) -> None:
        if self.killing is not None and self.killing[0] == what and self.elsewhere >= 3 * BATCH:
            os.kill(process_of(writer), self.killing[1])
            self.killing = None

    def take(self, sent: list[bytes]) -> None:
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
                for data in sent:
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


def test_arrivals_give_it_what_is_small_and_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes]
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    spy.take(sent)
    assert spy.elsewhere == COUNT - 1
    check(spy, sent)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
@pytest.mark.parametrize("when", ["write", "rename"])
def test_arrivals_lose_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes], when: str, number: signal.Signals
) -> None:
    spy = Spy(tmp_path, monkeypatch)
    spy.killing = when, number
    spy.take(sent)
    assert spy.killing is None
    check(spy, sent)


def test_a_file_that_has_to_be_there_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[bytes]
) -> None:
    # An element that belongs before the pixels: pydicom reads that, from a file.
    odd = [*sent[:5], sent[5] + b"\x08\0\x3e\x10LO\x04\0late", *sent[6:]]
    spy = Spy(tmp_path, monkeypatch)
    spy.take(odd)
    assert spy.elsewhere == COUNT - 2
    check(spy, odd)
