"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import slicer_notebook as sn
from tests.commands.loading import STUDY, Queue, uid
from tests.dicom import make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make.write_series(
            tmp_path / str(number),
            shape=(20, 64, 64),
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=uid(number),
            SeriesNumber=number,
            SeriesDescription=f"Axial {number}",
            PatientID="P1",
        )
    return tmp_path


@pytest.fixture
def queue(slicer: sn.Session, folder: Path) -> Iterator[Queue]:
    former, slicer.dicom.database = slicer.dicom.database, str(folder / "index.sqlite3")
    slicer.dicom.index(folder).result(60)
    found = Queue(slicer)
    yield found
    slicer.call("loads.cancel")
    found.ended()
    slicer.call("loads.clear")
    found.subscription.close()
    slicer.dicom.database = former
