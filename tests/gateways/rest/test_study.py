"""/slicer/accessDICOMwebStudy and /slicer/open: a study from a real Orthanc that wants a token, fetched and shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import slicer_notebook as sn
from slicer_notebook import testing
from tests.commands.linking import TOKEN, Gate, study_link
from tests.gateways.rest.conftest import Start, refused
from tests.pacs.peers.data import Data, DataStudy


@pytest.fixture
def gate(orthanc: testing.Orthanc) -> Iterator[Gate]:
    found = Gate(orthanc)
    with found:
        yield found


@pytest.fixture
def thorax(pacs_data: Data) -> DataStudy:
    return pacs_data.study("thorax")


@pytest.fixture
def client(serve: Start, tmp_path: Path) -> httpx.Client:
    found = serve(database=str(tmp_path / "index.sqlite"))
    found.timeout = httpx.Timeout(60)
    return found


def shown(slicer: sn.Session) -> str:
    """Series Instance UID of the volume that is shown."""
    return str(
        slicer.call("node.attributes", node=slicer.call("view.background", name="Red"))["DICOM.SeriesInstanceUID"]
    )


def test_a_study_by_json(client: httpx.Client, slicer: sn.Session, gate: Gate, thorax: DataStudy) -> None:
    prefix, _, store = gate.root.rpartition("/")
    body = {"dicomWEBPrefix": prefix, "dicomWEBStore": store, "studyUID": thorax.uid, "accessToken": TOKEN}
    response = client.post("/slicer/accessDICOMwebStudy", json=body)
    assert response.json() == {"success": True}
    assert shown(slicer) == thorax.series[0].uid
    number = client.base_url.port
    (gateway,) = [each for each in slicer.call("gateways.list") if each["port"] == number]
    lines = slicer.call("gateways.lines", id=gateway["id"])
    assert TOKEN not in repr(lines)
    assert thorax.uid in lines[-1]["note"]


@pytest.mark.parametrize("how", ["open", "form", "mrml"])
def test_a_study_by_a_slicer_url(
    client: httpx.Client, slicer: sn.Session, gate: Gate, thorax: DataStudy, how: str
) -> None:
    link = study_link(thorax.uid, gate.root, TOKEN)
    if how == "open":
        response = client.post(f"/slicer/open?url={quote(link, safe='')}")
    elif how == "form":
        response = client.post("/slicer/open", data={"url": link})
    else:
        response = client.post("/slicer/mrml", params={"url": link, "filetype": "VolumeFile"})
    assert response.json() == {"status": "success"}
    assert shown(slicer) == thorax.series[0].uid


def test_a_token_that_is_refused(client: httpx.Client, gate: Gate, thorax: DataStudy) -> None:
    prefix, _, store = gate.root.rpartition("/")
    body = {"dicomWEBPrefix": prefix, "dicomWEBStore": store, "studyUID": thorax.uid, "accessToken": "wrong-token"}
    response = client.post("/slicer/accessDICOMwebStudy", json=body)
    refused(response, "")
    assert "wrong-token" not in response.text


def test_what_has_to_be_asked_about_is_refused(client: httpx.Client) -> None:
    """A token over plain http to another machine: there is no person to ask."""
    body = {"dicomWEBPrefix": "http://pacs.example", "dicomWEBStore": "x", "studyUID": "1.2.3", "accessToken": "s3cret"}
    response = client.post("/slicer/accessDICOMwebStudy", json=body)
    refused(response, "")
    assert "s3cret" not in response.text
