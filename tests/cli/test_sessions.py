"""``slicer-notebook sessions``: the command sees a Slicer that another process started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import slicer_notebook as sn


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Jupyter runtime folder of its own, so that no other Slicer of this user is seen."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "runtime"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "slicer_notebook.cli", "sessions", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_runs(runtime: Path) -> None:
    done = command()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No Slicer runs. slicer_notebook.launch() in a notebook starts one.\n"
    assert json.loads(command("--json").stdout) == []


def test_running_slicer_is_listed_until_it_is_closed(runtime: Path) -> None:
    with sn.launch() as slicer:
        (record,) = json.loads(command("--json").stdout)
        assert record["name"] == slicer.name
        assert Path(record["connection_file"]).is_file()
        done = command()
        assert done.returncode == 0
        assert slicer.name in done.stdout
        assert str(record["pid"]) in done.stdout
    assert json.loads(command("--json").stdout) == []
