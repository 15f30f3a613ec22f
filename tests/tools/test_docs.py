"""The API reference can be built: every module imports, and every public one has its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import docs

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(300)  # a page for each of 520 modules: 70 s on a quiet machine
def test_every_module_has_a_page(tmp_path: Path) -> None:
    # In its own process: pdoc imports the host's modules, and with them VTK.
    command = [sys.executable, "-m", "tools.docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    # SWIG's modules (GDCM's, SimpleITK's) say something of themselves while Python ends, past all filters of warnings.
    said = [line for line in done.stderr.splitlines() if "builtin type swigvarlink" not in line]
    assert (done.returncode, said) == (0, [])
    modules = docs.modules()
    assert "slicer_notebook.dicom" in modules
    assert not any(part.startswith("_") for name in modules for part in name.split("."))
    missing = [name for name in modules if not (tmp_path / (name.replace(".", "/") + ".html")).is_file()]
    assert missing == []
    assert "SlicerNotebookError" in (tmp_path / "slicer_notebook" / "errors.html").read_text(encoding="utf-8")
