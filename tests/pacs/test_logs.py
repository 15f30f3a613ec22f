"""What goes into logs, at their most talkative: nothing that tells who a patient is, and no secret."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import PacsError
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server
from slicer_notebook.testing import Orthanc
from tests.pacs.peers.data import Data
from tests.pacs.peers.real import RealPeer


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger of this process says all that it has to say."""
    caplog.set_level(logging.DEBUG)
    for name in ("slicer_notebook", "pynetdicom", "pydicom", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def everything(pacs: Pacs, data: Data) -> list[str]:
    """Ask, fetch, send, fail; what must not be logged."""
    study = data.study("bare")
    words = [study.patient_id, *(word for word in study.name.replace("=", "^").split("^") if len(word) > 2)]
    assert words
    records = pacs.find(PatientName=f"{words[1]}*", PatientID=study.patient_id, counts=True).records()
    assert study.uid in [each["StudyInstanceUID"] for each in records]
    pacs.find("SERIES", StudyInstanceUID=study.uid, PatientID=study.patient_id).records()
    assert pacs.retrieve(PatientID=study.patient_id).result(60).complete
    assert pacs.store(next(iter(study.instances.values()))).result(60).complete  # it is there already
    pacs.test()
    logging.getLogger("a.user").info("a line, so that the test knows that lines are kept")
    return words


def test_dimse(archive: RealPeer, pacs_data: Data, tmp_path: Path, all_logs: pytest.LogCaptureFixture) -> None:
    server = Server(name="peer", url=archive.url, calling=archive.calling, port=archive.modalities[archive.calling])
    with Pacs(server, index=tmp_path / "index.sqlite3") as pacs:
        words = everything(pacs, pacs_data)
    assert "a line, so that" in all_logs.text
    assert not [word for word in words if word in all_logs.text]


def test_dicomweb(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, all_logs: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ORTHANC_PASSWORD", orthanc.password)
    access: dict[str, Any] = {"auth": "basic", "user": orthanc.user, "password": "env:ORTHANC_PASSWORD"}
    with Pacs(Server(name="web", url=orthanc.dicomweb_url, **access), index=tmp_path / "index.sqlite3") as pacs:
        words = everything(pacs, pacs_data)
    assert "a line, so that" in all_logs.text
    assert not [word for word in [*words, orthanc.password] if word in all_logs.text]


def test_what_fails(archive: RealPeer, pacs_data: Data, all_logs: pytest.LogCaptureFixture) -> None:
    study = pacs_data.study("thorax")
    with Pacs(Server(name="peer", url=f"dimse://NOBODY@127.0.0.1:{archive.port}")) as pacs:
        with pytest.raises(PacsError) as error:
            pacs.find(PatientID=study.patient_id, PatientName=study.name).records()
        logging.getLogger("a.user").error("it failed", exc_info=error.value)
    text = all_logs.text + str(error.value) + repr(error.value.details)
    assert "it failed" in text
    assert study.patient_id not in text
    assert study.name.partition("^")[0] not in text
