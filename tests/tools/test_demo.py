"""``make demo``'s own parts, on a small notebook in place of the real one."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest

from tools import demo


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the demo notebook, in a root folder of its own."""
    path = tmp_path / "notebooks" / "small.ipynb"
    path.parent.mkdir()
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "NOTEBOOK", path)
    monkeypatch.setattr(demo, "BUILD", tmp_path / "build")
    monkeypatch.setattr(demo, "KEY", tmp_path / "build" / "small.key")
    return path


def write(path: Path, *sources: str) -> None:
    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(content, path)


def test_executed_notebook_becomes_html_with_its_pictures(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = (
        "import base64; from IPython.display import Image; from pathlib import Path\nImage(Path('p.png').read_bytes())"
    )
    pixel = b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    (notebook.parent / "p.png").write_bytes(base64.b64decode(pixel))  # cells run in the notebook's own folder
    write(notebook, "\n1 + 1", picture)
    assert not demo.executed()
    assert demo.main(["run"]) == 0
    html = (demo.BUILD / "small.html").read_text()
    assert f"data:image/png;base64,{pixel.decode()}" in html
    printed = capsys.readouterr().out
    assert "cell 1 of 2" in printed
    assert ": 1 + 1" in printed
    assert demo.executed()
    write(notebook, "2 + 2")
    assert not demo.executed()


def test_failed_cell_ends_with_exit_code_1(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(notebook, "'before'", "raise ValueError('no study')")
    assert demo.main(["run"]) == 1
    assert "no study" in capsys.readouterr().err
    assert "before" in (demo.BUILD / "small.html").read_text()
    assert not demo.executed()


def test_wrong_word_and_missing_notebook(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["runn"]) == 2
    assert demo.main(["run"]) == 1
    assert "notebooks/small.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize("user", [0, 1000])
def test_lab_opens_on_the_notebook(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int) -> None:
    write(notebook, "1")
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: called.append([program, *command]))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(demo, "executed", lambda: True)
    demo.main(["open"])
    (command,) = called
    assert "--LabApp.default_url=/lab/tree/notebooks/small.ipynb" in command
    # JupyterLab refuses to run as root unless told, and root has no browser.
    assert ("--allow-root" in command, "--no-browser" in command) == (user == 0, user == 0)
    overrides = tmp_path / "venv" / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert json.loads(overrides.read_text())["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
