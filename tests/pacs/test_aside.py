"""The folder in which files are until they are whole: one's own, and what others have left goes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from slicer_notebook.pacs.aside import Aside

HOLDER = """
import sys, time
from pathlib import Path
from slicer_notebook.pacs.aside import Aside
aside = Aside(Path(sys.argv[1]))
path, handle = aside.new()
print(path, flush=True)
time.sleep(60)
"""


def started(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_files_are_new_and_for_their_owner_only(tmp_path: Path) -> None:
    aside = Aside(tmp_path)
    made = [aside.new() for _ in range(20)]
    assert len({path for path, _ in made}) == 20
    for path, handle in made:
        os.write(handle, b"x")
        os.close(handle)
        assert Path(path).read_bytes() == b"x"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        # Neither an index nor a person that looks for files finds it by chance.
        assert any(part.startswith(".") for part in Path(path).relative_to(tmp_path).parts)
    assert stat.S_IMODE(aside.path.stat().st_mode) == 0o700
    aside.close()
    assert not aside.path.exists()
    aside.close()


def test_threads_have_folders_of_their_own(tmp_path: Path) -> None:
    aside = Aside(tmp_path)
    found: list[str] = []
    ready = threading.Barrier(8)

    def make() -> None:
        ready.wait(10)
        for _ in range(20):
            path, handle = aside.new()
            os.close(handle)
            found.append(path)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(found)) == 160
    assert len({Path(path).parent for path in found}) == 8
    aside.close()
    assert list((tmp_path / ".arriving").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    killed, left = started(tmp_path)
    living, held = started(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert left.exists()
        aside = Aside(tmp_path)
        assert not left.exists()
        assert held.exists()
        aside.close()
        assert held.exists()
    finally:
        living.kill()
        living.wait(10)


def test_two_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    first, second = Aside(tmp_path), Aside(tmp_path)
    assert first.path.exists()
    assert first.path != second.path
    first.close()
    assert second.path.exists()
    second.close()


def test_one_that_is_being_made_is_left_alone_for_a_while(tmp_path: Path) -> None:
    new, old = tmp_path / ".arriving" / "new-1", tmp_path / ".arriving" / "new-2"
    for folder, age in ((new, 1), (old, 3600)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age, time.time() - age))
    Aside(tmp_path).close()
    assert new.exists()
    assert not old.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Aside(tmp_path / "file")


def test_many_processes_begin_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        paths = [Path(process.stdout.readline().strip()) for process in processes if process.stdout]
        assert all(path.exists() for path in paths)
        assert len({path.parent for path in paths}) == 4
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
    Aside(tmp_path).close()
    assert list((tmp_path / ".arriving").iterdir()) == []
