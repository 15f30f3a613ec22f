"""The layering of ARCHITECTURE.md holds: in the sources (import-linter) and when the packages are really imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: "About 500 lines" is the rule; this is where a module has to be split.
MOST_LINES = 550


def test_import_contracts_are_kept() -> None:
    # The console script beside this Python, so that a PATH without the environment does as well.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("slicer_notebook", "vtk vtkmodules slicer trame_slicer"),
        ("slicer_notebook.protocol", "vtk vtkmodules slicer trame_slicer zmq"),
        ("slicer_notebook.dicom", "vtk vtkmodules slicer trame_slicer"),
        ("slicer_notebook.session", "vtk vtkmodules slicer trame_slicer"),
        ("slicer_notebook.widgets", "vtk vtkmodules slicer trame_slicer"),
        ("slicer_notebook.cli", "vtk vtkmodules slicer trame_slicer"),
        ("slicer_notebook", "ipywidgets anywidget pandas matplotlib"),
        ("slicer_notebook.host", "ipywidgets anywidget"),
        ("slicer_notebook.host.agent", "ipywidgets anywidget"),
    ],
)
def test_import_leaves_foreign_modules_out(module: str, foreign: str) -> None:
    code = f"import sys, {module}; print(sorted(set({foreign.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_modules_are_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("slicer_notebook", "tools", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
