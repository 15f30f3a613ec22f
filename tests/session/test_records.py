"""Records of running Slicers, in a runtime folder of the test's own. No Slicer, no Jupyter kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.protocol.shm import machine_id
from slicer_notebook.session import records
from slicer_notebook.session.records import SessionRecord


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's runtime folder."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "runtime"


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes records; of this very process, which runs, unless told otherwise."""

    def make(name: str, **fields: Any) -> SessionRecord:
        file = tmp_path / f"kernel-{name}.json"
        file.write_text("{}")
        defaults = {"pid": os.getpid(), "owner": 1, "started": time.time(), "machine": machine_id()}
        return SessionRecord(**{"name": name, "connection_file": str(file), **defaults, **fields})

    return make


def ended_process() -> int:
    """The id of a process that has just ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def names() -> list[str]:
    return [record.name for record in records.read_all()]


def test_there_are_none_at_first(runtime: Path) -> None:
    assert records.read_all() == []
    # Connection files hold the kernel's key: what lies beside them is for this user only, too.
    assert (runtime / "slicer_notebook").stat().st_mode & 0o777 == 0o700


def test_a_record_is_kept_until_it_is_removed(make: Any) -> None:
    record = make("one", kept=True)
    assert record.alive
    records.write(record)
    assert records.read_all() == [record]
    records.write(make("one", owner=2))
    assert [r.owner for r in records.read_all()] == [2]
    records.remove("one")
    assert records.read_all() == []
    records.remove("one")


def test_writing_leaves_nothing_else_behind(make: Any) -> None:
    records.write(make("one"))
    assert [path.name for path in records.folder().iterdir()] == ["one.json"]


def test_the_oldest_comes_first(make: Any) -> None:
    for name, started in (("b", 20.0), ("a", 30.0), ("c", 10.0)):
        records.write(make(name, started=started))
    assert names() == ["c", "b", "a"]


def test_the_record_of_an_ended_process_is_cleared_away(make: Any) -> None:
    records.write(make("dead", pid=ended_process()))
    records.write(make("alive"))
    assert names() == ["alive"]
    assert [path.name for path in records.folder().iterdir()] == ["alive.json"]


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")
def test_a_zombie_has_ended(make: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not make("zombie", pid=process.pid).alive


def test_a_record_without_its_connection_file_is_cleared_away(make: Any) -> None:
    record = make("gone")
    records.write(record)
    Path(record.connection_file).unlink()
    assert names() == []
    assert list(records.folder().iterdir()) == []


def test_a_slicer_of_another_machine_is_none_of_ours_to_list_or_to_forget(make: Any) -> None:
    """The folder may be on a network drive that several machines share."""
    record = make("theirs", machine="another", host="another.example")
    assert not record.alive
    records.write(record)
    assert names() == []
    assert [path.name for path in records.folder().iterdir()] == ["theirs.json"]


def test_what_an_earlier_boot_left_is_cleared_away(make: Any) -> None:
    records.write(make("before the reboot", machine="another boot"))
    assert names() == []
    assert list(records.folder().iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"name": 3}', b"\xff\xfe"])
def test_a_file_that_is_no_record_is_passed_over(make: Any, text: bytes) -> None:
    (records.folder() / "broken.json").write_bytes(text)
    records.write(make("fine"))
    assert names() == ["fine"]


def test_fields_of_a_newer_version_are_passed_over(make: Any) -> None:
    import msgspec

    record = make("newer")
    data = msgspec.to_builtins(record) | {"later": 1}
    (records.folder() / "newer.json").write_bytes(msgspec.json.encode(data))
    assert records.read_all() == [record]


def test_repr_tells_process_and_age(make: Any) -> None:
    record = make("one", started=time.time() - 600)
    assert repr(record) == f"<Slicer 'one': process {os.getpid()}, up 10 min>"
