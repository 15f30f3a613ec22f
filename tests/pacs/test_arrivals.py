"""What arrives becomes files and lines of the index, each once and whole, whatever becomes of disk, folder, process."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import StorageError
from slicer_notebook.pacs import arrivals as module
from slicer_notebook.pacs import disk
from slicer_notebook.pacs.arrivals import Arrivals, free_bytes, instance_path, study_folder
from slicer_notebook.pacs.whole import looked_at
from tests.dicom.make import CT, write_series
from tests.pacs.peers.data import Data, DataStudy, uid
from tests.pacs.retrieving import assert_nothing_broken, assert_whole, files_below, rows, until


class Place:
    """Arrivals in a folder of a test's own, and what they tell.

    Attributes:
        arrived, dropped: what was told.
        refuse: why an instance is not wanted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.database = folder / "index.sqlite3"
        self.index = Index(self.database)
        self.arrived: list[str] = []
        self.dropped: list[tuple[str, str]] = []
        self.refuse: Callable[[Instance], str | None] = lambda _instance: None

    def open(self) -> Arrivals:
        return Arrivals(
            self.folder,
            self.index,
            refused=lambda instance: self.refuse(instance),  # noqa: PLW0108 - it is set later
            arrived=lambda instances: self.arrived.extend(each.SOPInstanceUID for each in instances),
            dropped=lambda sop, why: self.dropped.append((sop, why)),
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def study(pacs_data: Data) -> DataStudy:
    return pacs_data.study("follow-up")


@pytest.fixture
def opened(place: Place) -> Iterator[Arrivals]:
    made = place.open()
    yield made
    made.close()


def put(arrivals: Arrivals, data: bytes, size: int = 1 << 16) -> None:
    part = arrivals.open()
    for start in range(0, len(data), size):
        part.write(memoryview(data)[start : start + size])
    part.done()


def put_all(arrivals: Arrivals, study: DataStudy) -> None:
    for path in study.instances.values():
        put(arrivals, path.read_bytes())


# -- kept -------------------------------------------------------------------------------------------------------------


def test_what_arrives_is_there_and_in_the_index(place: Place, study: DataStudy) -> None:
    arrivals = place.open()
    put_all(arrivals, study)
    arrivals.flush()
    # It need not be closed for that.
    assert_whole(place.database, study.instances)
    assert sorted(place.arrived) == sorted(study.instances)
    arrivals.close()
    arrivals.close()
    assert place.dropped == []
    files = files_below(place.folder)
    assert len(files) == len(study.instances)
    for file in files:
        assert file.read_bytes() == study.instances[file.stem].read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.parent.parent.parent == place.folder
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert study_folder(place.folder, study.uid).is_dir()
    assert not list((place.folder / ".arriving").iterdir())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=4), spill=st.sampled_from([1, 100, 5000, 1 << 23]))
def test_in_any_pieces_in_memory_or_not(
    sizes: list[int], spill: int, tmp_path_factory: pytest.TempPathFactory, study: DataStudy
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SPILL", spill)
        place = Place(tmp_path_factory.mktemp("pieces"))
        arrivals = place.open()
        for path in study.instances.values():
            part, data = arrivals.open(), path.read_bytes()
            lengths = itertools.cycle(sizes)
            while data:
                length = next(lengths)
                part.write(data[:length])
                data = data[length:]
            part.done()
        arrivals.close()
        assert_whole(place.database, study.instances)
        place.index.close()


@pytest.mark.parametrize("how", list(itertools.product([False, True], repeat=2)))
def test_files_of_another_process_are_taken_over(
    place: Place, opened: Arrivals, study: DataStudy, monkeypatch: pytest.MonkeyPatch, how: tuple[bool, bool]
) -> None:
    read, many = how
    looks: list[int] = []
    monkeypatch.setattr(module, "looked_at", lambda *given: looks.append(1) or looked_at(*given))
    monkeypatch.setattr(disk, "_MANY", 1 if many else 1000)
    for number, path in enumerate(study.instances.values()):
        given = opened.folder_aside() / f"from-{number}"
        shutil.copy(path, given)
        size, mtime_ns = given.stat().st_size, given.stat().st_mtime_ns
        instance, problem = looked_at("", given.read_bytes(), size, mtime_ns)
        assert problem is None
        opened.adopt(given, size, instance if read else None)
    opened.flush()
    assert bool(looks) is not read
    assert_whole(place.database, study.instances)
    assert not list(opened.folder_aside().rglob("from-*"))


def test_the_same_instance_twice_is_one(place: Place, study: DataStudy) -> None:
    for _ in range(2):  # at once, and later again
        arrivals = place.open()
        for _ in range(3):
            put_all(arrivals, study)
        arrivals.close()
        assert_whole(place.database, study.instances)
    assert len(files_below(place.folder)) == len(study.instances)


def test_many_threads_at_once(place: Place, opened: Arrivals, pacs_data: Data) -> None:
    thorax = pacs_data.study("thorax")
    files = iter(thorax.instances.values())
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                path = next(files, None)
            if path is None:
                return
            put(opened, path.read_bytes(), 500)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    opened.flush()
    assert_whole(place.database, thorax.instances)


# -- not kept ---------------------------------------------------------------------------------------------------------


def test_what_breaks_off_leaves_nothing(place: Place, study: DataStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPILL", 600)
    arrivals = place.open()
    for path in study.instances.values():
        part = arrivals.open()
        part.write(path.read_bytes()[:-10])
        part.discard()
        part.discard()
    put(arrivals, next(iter(study.instances.values())).read_bytes())
    arrivals.close()
    assert [sop for sop, _ in rows(place.database)] == list(study.instances)[:1]
    assert place.dropped == []
    assert len(list(place.folder.rglob("*.dcm"))) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda whole: whole[:-9], "not whole"),
        (lambda whole: whole[:200], ""),
        (lambda whole: b"", ""),
        (lambda whole: b"no DICOM at all" * 50, ""),
        (lambda whole: whole + b"\x01" * 50, ""),
    ],
    ids=["short", "meta only", "empty", "text", "long"],
)
def test_what_is_not_whole_is_dropped_and_said(
    place: Place, study: DataStudy, data: Callable[[bytes], bytes], words: str
) -> None:
    first, second = list(study.instances.values())[:2]
    arrivals = place.open()
    put(arrivals, data(first.read_bytes()))
    put(arrivals, second.read_bytes())
    arrivals.close()
    assert len(place.dropped) == 1
    assert place.dropped[0][1]
    assert words in place.dropped[0][1]
    assert_whole(place.database, {sop: path for sop, path in study.instances.items() if path == second})
    assert len(files_below(place.folder)) == 1


def test_what_is_not_wanted_is_dropped_and_said(place: Place, study: DataStudy) -> None:
    stranger = study.series[1].uid
    place.refuse = lambda instance: "nobody asked" if instance.SeriesInstanceUID == stranger else None
    arrivals = place.open()
    put_all(arrivals, study)
    arrivals.close()
    assert_whole(place.database, study.series[0].instances)
    assert sorted(place.dropped) == sorted((sop, "nobody asked") for sop in study.series[1].instances)


def test_an_error_in_one_does_not_lose_the_others(place: Place, study: DataStudy) -> None:
    bad = list(study.instances)[2]

    def refuse(instance: Instance) -> str | None:
        if instance.SOPInstanceUID == bad:
            raise ZeroDivisionError
        return None

    place.refuse = refuse
    arrivals = place.open()
    put_all(arrivals, study)
    arrivals.close()
    assert_whole(place.database, {sop: path for sop, path in study.instances.items() if sop != bad})
    assert len(place.dropped) == 1


@pytest.mark.parametrize("sop", ["../../x", "/etc/passwd", "..", "1.2/3", "x" * 200, "C:\\x"])
def test_no_file_is_outside_of_the_folder(place: Place, tmp_path: Path, sop: str) -> None:
    made = Instance(SOPInstanceUID=sop, SeriesInstanceUID=sop, StudyInstanceUID=sop, path="")
    path = instance_path(place.folder, made)
    assert place.folder in path.resolve().parents
    assert len(path.relative_to(place.folder).parts) == 3
    assert instance_path(place.folder, made) == path


# -- the disk and the folder ------------------------------------------------------------------------------------------


def test_a_disk_without_room_is_told_before_anything_comes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVE", free_bytes(place.folder) * 2)
    with pytest.raises(StorageError, match="cannot be kept") as error:
        place.open()
    assert "MiB are free" in str(error.value)


def test_a_disk_that_fills_up_keeps_what_was_there(
    place: Place, study: DataStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system of a container is not filled for a test: writing fails as it would then."""
    arrivals = place.open()
    first = next(iter(study.instances.items()))
    put(arrivals, first[1].read_bytes())
    arrivals.flush()
    full = OSError(28, "No space left on device")
    write = os.write

    def failing(file: int, data: Any) -> int:
        write(file, memoryview(data)[:100])
        raise full

    monkeypatch.setattr(os, "write", failing)
    put(arrivals, list(study.instances.values())[1].read_bytes())
    with pytest.raises(StorageError, match="cannot be kept") as error:
        arrivals.flush()
    assert error.value.got == "No space left on device"
    monkeypatch.setattr(os, "write", write)
    # Everyone gets it from now on, even if there were room again.
    with pytest.raises(StorageError):
        arrivals.open()
    with pytest.raises(StorageError):
        arrivals.adopt(arrivals.folder_aside() / "x", 5)
    arrivals.close()
    assert_whole(place.database, dict([first]))
    assert len(files_below(place.folder)) == 1
    # The next one goes on.
    again = place.open()
    put_all(again, study)
    again.close()
    assert_whole(place.database, study.instances)


def test_a_large_instance_notices_a_full_disk_while_it_comes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = place.open()
    monkeypatch.setattr(module, "RESERVE", free_bytes(place.folder) * 2)
    part = arrivals.open()
    for _ in range(40):
        with contextlib.suppress(StorageError):
            part.write(bytes(4 << 20))
    with pytest.raises(StorageError, match="cannot be kept"):
        arrivals.check()
    part.discard()
    arrivals.close()
    assert files_below(place.folder) == []


def test_a_failing_fsync_keeps_nothing_in_the_index(
    place: Place, study: DataStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = place.open()

    def failing(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        put_all_until_it_fails(arrivals, study)
        with pytest.raises(StorageError, match="cannot be kept"):
            arrivals.flush()
    arrivals.close()
    assert rows(place.database) == []
    assert place.arrived == []
    assert files_below(place.folder) == []


def put_all_until_it_fails(arrivals: Arrivals, study: DataStudy) -> None:
    with contextlib.suppress(StorageError):
        put_all(arrivals, study)


def test_a_folder_that_is_removed_meanwhile_is_made_again(place: Place, study: DataStudy) -> None:
    arrivals = place.open()
    first, *rest = study.series[0].instances.items()
    put(arrivals, first[1].read_bytes())
    arrivals.flush()
    shutil.rmtree(study_folder(place.folder, study.uid))
    for _, path in rest:
        put(arrivals, path.read_bytes())
    arrivals.close()
    there = dict(rest)
    assert {path.stem for path in files_below(place.folder)} == set(there)
    assert_nothing_broken_but(place, there)


def assert_nothing_broken_but(place: Place, there: dict[str, Path]) -> None:
    for sop, path in rows(place.database):
        assert (sop in there) is Path(path).exists()


def test_the_whole_place_is_removed_meanwhile(place: Place, study: DataStudy) -> None:
    arrivals = place.open()
    shutil.rmtree(place.folder)
    put_all_until_it_fails(arrivals, study)
    # Either it is all there in the end, or everyone is told.
    try:
        arrivals.flush()
    except StorageError as exc:
        assert exc.got  # noqa: PT017
        assert files_below(place.folder) == [] or rows(place.database) == []
    else:
        assert_whole(place.database, study.instances)
    arrivals.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file")
    with pytest.raises(StorageError, match="cannot be kept"):
        Place(tmp_path).open()


def test_an_index_that_cannot_be_written_ends_it_and_the_files_are_there(place: Place, study: DataStudy) -> None:
    arrivals = place.open()
    place.index.put = failing_index  # type: ignore[method-assign]
    put_all_until_it_fails(arrivals, study)
    with pytest.raises(StorageError, match="cannot be kept"):
        arrivals.flush()
    arrivals.close()
    assert place.arrived == []
    assert {path.stem for path in files_below(place.folder)} <= set(study.instances)


def failing_index(_rows: list[Instance]) -> None:
    from slicer_notebook.errors import IndexDatabaseError

    raise IndexDatabaseError("The index is locked.")


# -- killed -----------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs.arrivals import Arrivals
folder = Path(sys.argv[1])
arrivals = Arrivals(folder / "files", Index(folder / "index.sqlite3"), refused=lambda i: None,
                    arrived=lambda rows: None, dropped=lambda sop, why: None)
files = sorted(Path(sys.argv[2]).rglob("*.dcm"))
print("ready", flush=True)
for number, path in enumerate(files):
    data = path.read_bytes()
    part = arrivals.open()
    part.write(data[:1000])
    part.write(data[1000:])
    part.done()
    print(number, flush=True)
arrivals.close()
print("closed", flush=True)
"""


@pytest.mark.parametrize("after", ["ready", "0", "20", "59", "closed"])
def test_killed_at_any_moment(tmp_path: Path, after: str) -> None:
    made = write_series(
        tmp_path / "made", shape=(60, 64, 64), sop_class=CT, StudyInstanceUID=uid("killed"),
        SeriesInstanceUID=uid("killed", 1), each=lambda k: {"SOPInstanceUID": uid("killed", 1, k)},
    )  # fmt: skip
    wanted = {uid("killed", 1, k): path for k, path in enumerate(made)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(tmp_path / "made")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == after:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert_nothing_broken(tmp_path / "index.sqlite3", wanted)
    # A file by its own name is whole, whether it is in the index already or not.
    for path in (tmp_path / "files").rglob("*.dcm"):
        assert path.read_bytes() == wanted[path.stem].read_bytes()
    if after == "closed":
        assert_whole(tmp_path / "index.sqlite3", wanted)
    place = Place(tmp_path)
    arrivals = place.open()
    for path in made:
        put(arrivals, path.read_bytes())
    arrivals.close()
    assert_whole(place.database, wanted)
    assert not list((place.folder / ".arriving").iterdir())


def test_no_thread_is_left(place: Place, study: DataStudy) -> None:
    arrivals = place.open()
    put_all(arrivals, study)
    arrivals.close()
    until(lambda: not [each for each in threading.enumerate() if each.name in ("pacs-write", "pacs-index")])
