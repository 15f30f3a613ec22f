"""An index with studies of which one is refused and one has something to warn of."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import slicer_notebook as sn
from tests.dicom import make

ADA, BOB = "Aalto^Ada", "Builder^Bob<b>"


@pytest.fixture(scope="session")
def studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients: Ada with a CT that loads and a segmentation that does not, Bob with an MR of two orientations."""
    folder = tmp_path_factory.mktemp("studies")
    study = {
        "StudyInstanceUID": "1.2.826.0.1.1",
        "StudyDate": "20240203",
        "StudyDescription": "Chest",
        "AccessionNumber": "A7",
    }
    ada = {"PatientName": ADA, "PatientID": "P1", **study}
    make.write_series(
        folder / "ct",
        shape=(12, 32, 32),
        SeriesInstanceUID="1.2.826.0.1.1.1",
        SeriesNumber=1,
        SeriesDescription="Axial",
        Modality="CT",
        **ada,
    )
    segmentation = make.dataset(
        "1.2.840.10008.5.1.4.1.1.66.4", SeriesInstanceUID="1.2.826.0.1.1.2", SeriesNumber=2, Modality="SEG", **ada
    )
    make.save(segmentation, folder / "seg.dcm")
    bob = {"PatientName": BOB, "PatientID": "P2", "StudyInstanceUID": "1.2.826.0.1.2", "StudyDate": "20230101"}
    for prefix, cosines in (("a", make.AXIAL), ("b", make.SAGITTAL)):
        make.write_series(
            folder / "mr",
            cosines=cosines,
            shape=(4, 16, 16),
            prefix=prefix,
            SeriesInstanceUID="1.2.826.0.1.2.1",
            SeriesNumber=5,
            Modality="MR",
            sop_class=make.MR,
            **bob,
        )
    return folder


@pytest.fixture
def indexed(slicer: sn.Session, studies_folder: Path, tmp_path: Path) -> Iterator[sn.Session]:
    """The shared Slicer with an index of its own that holds these studies."""
    former = slicer.dicom.database
    slicer.dicom.database = str(tmp_path / f"{uuid.uuid4().hex}.sqlite3")
    slicer.dicom.index(studies_folder).result()
    yield slicer
    slicer.dicom.database = former
