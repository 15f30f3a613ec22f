"""The ``slicer-notebook`` command itself."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slicer_notebook import cli, sample_data
from slicer_notebook.errors import SessionNotFoundError


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("slicer-notebook")
    return subprocess.run([str(command), *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_version_names_what_a_report_needs() -> None:
    done = script("version")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "slicer-core 5.11.0.6" in lines
    assert lines[-1].startswith(f"Python {platform.python_version()} on ")


def test_help_names_every_command() -> None:
    done = script("--help")
    assert done.returncode == 0
    for name in ("doctor", "kernelspec", "sample-data", "sessions", "version"):
        assert name in done.stdout


def test_unknown_command_is_wrong_usage() -> None:
    done = script("dcotor")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_our_errors_are_told_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise SessionNotFoundError("No Slicer of the name [x] runs.", hint="start one: slicer_notebook.launch()")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "slicer-notebook: No Slicer of the name [x] runs.\n  what to do: start one: slicer_notebook.launch()\n"
    )


def test_sample_data_prints_the_folder_and_its_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(dest: Path | None, progress: Callable[[int, int, str], None]) -> Path:
        assert dest == tmp_path / "study"
        for done in (0, 50, 100):
            progress(done, 100, "Fetching [it]")
        progress(3, 4, "Unpacking")
        return dest

    monkeypatch.setattr(sample_data, "fetch", fetch)
    result = CliRunner().invoke(cli.app, ["sample-data", str(tmp_path / "study")])
    assert result.exit_code == 0
    assert result.stdout == f"sample study: {tmp_path / 'study'}\n"
    # A pipe gets a line for each new text, and then one every few seconds.
    assert result.stderr == "Fetching [it]: 0 %\nUnpacking: 75 %\n"


def test_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    done = script("sample-data", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "what to do:" in done.stderr
