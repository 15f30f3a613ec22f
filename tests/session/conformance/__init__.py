"""What every session must do, whatever carries it: cases as plain functions of a session and a folder.

`test_conformance.py` runs them over each kind of session. A case is self-contained: it runs in the notebook's process,
and for the in-process session inside Slicer's own, without pytest. The scene is empty when it begins.
"""

from __future__ import annotations

from pathlib import Path

import slicer_notebook as sn
from tests.session.conformance import (  # noqa: F401 - the cases
    basics,
    code,
    data,
    dicom,
    files,
    headers,
    jobs,
    loads,
    nodes,
    sequences,
    views,
    volumes,
)
from tests.session.conformance.cases import CASES

__all__ = ["CASES", "run_in_process"]


def run_in_process(name: str, folder: str) -> None:
    """Run a case on this process's own Slicer; called there."""
    session = sn.connect()
    session.clear()
    session.layout = "FourUp"
    for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        session.view(view).orientation = orientation
    try:
        CASES[name](session, Path(folder))
    finally:
        session.close()
