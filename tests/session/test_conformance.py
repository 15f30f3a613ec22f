"""The conformance suite over each kind of session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from tests.session import conformance

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["launched", "sockets only", "connected"])
def session(request: pytest.FixtureRequest, launched: sn.Session) -> Iterator[sn.Session]:
    if request.param == "launched":
        yield launched
        return
    with sn.connect(launched.name, shared_memory=request.param == "connected") as other:
        yield other


@pytest.mark.parametrize("name", conformance.CASES)
def test_session(session: sn.Session, name: str, tmp_path: Path) -> None:
    reset(session)
    conformance.CASES[name](session, tmp_path)


@pytest.mark.parametrize("name", conformance.CASES)
def test_in_process(launched: sn.Session, name: str, tmp_path: Path) -> None:
    launched.run(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.session import conformance\n"
        f"conformance.run_in_process({name!r}, {str(tmp_path)!r})"
    )


def reset(session: Any) -> None:
    session.clear()
    session.layout = "FourUp"
    for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        session.view(view).orientation = orientation
