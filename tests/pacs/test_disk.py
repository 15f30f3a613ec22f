"""Files are on the disk by the call that fits, and what could not be written is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook.pacs import disk as module
from slicer_notebook.pacs.disk import Disk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the calls are those of Linux")


class Calls:
    """What the system was asked for."""

    def __init__(self) -> None:
        self.each: list[int] = []
        self.all = 0
        self.takes = 0.0
        self.fails = False


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made, now = Calls(), [1000.0]

    def syncfs(handle: int) -> None:
        assert os.fstat(handle)
        made.all += 1
        now[0] += made.takes
        if made.fails:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "_syncfs", syncfs)
    monkeypatch.setattr(module.os, "fsync", made.each.append)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_syncs_all", lambda _folder: True)
    return made


@pytest.fixture
def disk(tmp_path: Path, calls: Calls) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.close()


def sync(disk: Disk, files: list[int], size: int) -> None:
    """As the arrivals do."""
    if disk.all_at_once(len(files), size):
        disk.sync_all()
    else:
        disk.sync(files)


def test_many_small_files_are_synced_together(disk: Disk, calls: Calls) -> None:
    sync(disk, list(range(64)), 64 * 12_000)
    assert (calls.all, calls.each) == (1, [])


@pytest.mark.parametrize(("count", "size"), [(3, 12_000), (64, 600_000), (0, 0)])
def test_few_and_large_ones_each(disk: Disk, calls: Calls, count: int, size: int) -> None:
    sync(disk, list(range(count)), count * size)
    assert (calls.all, calls.each) == (0, list(range(count)))


def test_where_others_write_much_each_for_a_while(disk: Disk, calls: Calls) -> None:
    calls.takes = 3.0
    sync(disk, list(range(64)), 64)
    sync(disk, list(range(64)), 64)
    assert (calls.all, len(calls.each)) == (1, 64)


def test_what_could_not_be_written_is_said(disk: Disk, calls: Calls) -> None:
    calls.fails = True
    with pytest.raises(OSError, match="Input/output"):
        sync(disk, list(range(64)), 64)


@pytest.mark.parametrize(
    ("release", "kind", "all_at_once"),
    [
        ("6.1.0-13-amd64", "ext4", True),
        ("5.8.0", "xfs", True),
        ("5.7.19", "ext4", False),  # does not say what could not be written
        ("6.1.0", "nfs4", False),
        ("6.1.0", "fuse.sshfs", False),
        ("6.1.0", "", False),
        ("unknown", "ext4", False),
    ],
)
def test_only_where_the_system_says_what_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, kind: str, all_at_once: bool
) -> None:
    system = os.uname()
    monkeypatch.setattr(module.os, "uname", lambda: os.uname_result((system[0], system[1], release, *system[3:])))
    monkeypatch.setattr(module, "_kind", lambda _folder: kind)
    assert module._syncs_all(tmp_path) is all_at_once


def test_the_file_system_of_a_folder_is_known(tmp_path: Path) -> None:
    lines = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    assert module._kind(tmp_path) in {line.split()[2] for line in lines}
    assert module._kind(Path("/proc")) == "proc"


def test_the_real_calls_work(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    files = [os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY) for number in range(20)]
    for file in files:
        os.write(file, b"x" * 1000)
        disk.begin(file, 1 << 20)
    sync(disk, files, 20_000)
    module._syncfs(files[0])
    with pytest.raises(OSError, match="Bad file descriptor"):
        module._syncfs(99_999)
    disk.close()
    disk.close()
    for file in files:
        os.close(file)
