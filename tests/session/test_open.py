"""``slicer.open(url)``: a link pasted in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import slicer_notebook as sn
from slicer_notebook import errors, testing
from tests.commands.linking import TOKEN, Gate, study_link
from tests.pacs.dicomweb.faulty import Faulty, Reply
from tests.pacs.links.getting import zipped
from tests.pacs.peers.data import Data


@pytest.fixture(autouse=True)
def _own_index(slicer: sn.Session, tmp_path: Path) -> Iterator[None]:
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "index.sqlite3")
    yield
    slicer.dicom.database = former


def test_a_study(slicer: sn.Session, orthanc: testing.Orthanc, pacs_data: Data) -> None:
    study = pacs_data.study("thorax")
    with Gate(orthanc) as gate:
        found = slicer.open(study_link(study.uid, gate.root, TOKEN))
    assert found.studies == [study.uid]
    assert found.instances == len(study.instances)
    assert found.node is not None
    assert found.node.array.shape[0] == 30  # type: ignore[attr-defined]
    assert found.node in found.nodes
    assert found.parsed["access_token"] == "***"
    assert repr(found).startswith("<Opened study: 31 instances; <Volume")
    assert TOKEN not in repr(found)
    assert [each.StudyInstanceUID for each in slicer.dicom.studies()] == [study.uid]


def test_what_has_to_be_asked(slicer: sn.Session, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    with Faulty(lambda _request: Reply(200, zipped(study.instances.values()))) as server:
        link = f"osirix://?methodName=downloadURL&URL='{quote(server.url + '/x.zip', safe='')}'"
        with pytest.raises(errors.LinkRefusedError) as caught:
            slicer.open(link)
        assert "slicer.open(url, agreed=True)" in str(caught.value)
        assert "it downloads a ZIP archive" in str(caught.value)
        assert server.requests == []
        found = slicer.open(link, agreed=True)
    assert found.instances == len(study.instances)
    assert len(found.nodes) == 1


def test_what_is_refused(slicer: sn.Session) -> None:
    for link in (
        "osirix://?methodName=KillOsiriX",
        "slicer://viewer/?studyUID=1.2&access_token=S3cr3t",
        "file:///x",
        "",
    ):
        with pytest.raises(errors.LinkRefusedError) as caught:
            slicer.open(link, agreed=True)
        assert caught.value.details["action"] == "refuse"
        assert "agreed=True" not in str(caught.value)
        assert "S3cr3t" not in str(caught.value)


def test_arguments(slicer: sn.Session) -> None:
    with pytest.raises(errors.ArgumentError):
        slicer.open(7)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError):
        slicer.open("slicer://x", agreed="yes")  # type: ignore[arg-type]
