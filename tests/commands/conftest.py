"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import slicer_notebook as sn
from slicer_notebook.host.headless import start
from tests.commands.loading import STUDY, Queue, uid
from tests.commands.segment_bench import Bench
from tests.commands.transferring import ENDED, Servers, Transfers
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


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Makes PACS that Slicer knows."""
    found = Servers()
    yield found
    found.close()


@pytest.fixture
def transfers(slicer: sn.Session, servers: Servers, tmp_path: Path) -> Iterator[Transfers]:
    """The transfers of Slicer, with an index of the test's own."""
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "index.sqlite3")
    found = Transfers(slicer)
    yield found
    slicer.call("pacs.cancel")
    found.until(lambda: all(entry["state"] in ENDED for entry in found.known.values()), "the end of all")
    slicer.call("pacs.clear")
    slicer.call("loads.cancel")
    slicer.dicom.queue.wait(timeout=30)
    slicer.call("loads.clear")
    found.subscription.close()
    slicer.dicom.database = former


@pytest.fixture
def bench() -> Bench:
    """A segmentation to edit, in a Slicer in this process."""
    return Bench(start())
