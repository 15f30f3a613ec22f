"""The doctor of a connection: what fails is named, with what to do; what is learned is kept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook.pacs import config
from slicer_notebook.pacs.doctor import Examination
from slicer_notebook.pacs.named import test as examine  # not collected under this name
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.study("thorax").instances.values()) as running:
        yield running


def examined(folder: Path, url: str, **settings: object) -> Examination:
    config.add("peer", url, path=folder / "pacs.toml", **settings)
    return examine("peer", path=folder / "pacs.toml")


def failed(found: Examination) -> tuple[str, str, str]:
    (step,) = [step for step in found.steps if step.status == "fail"]
    return step.name, step.found, step.fix


def test_all_works_by_dimse(orthanc: Orthanc, tmp_path: Path) -> None:
    found = examined(tmp_path, orthanc.dimse_url, port=orthanc.modalities["SLICER"])
    assert found.ok, str(found)
    statuses = {step.name: step.status for step in found.steps}
    assert statuses["C-GET"] == statuses["C-MOVE"] == statuses["AE titles (C-ECHO)"] == "ok"
    [services] = [step for step in found.steps if step.name == "Services"]
    assert services.found.endswith("storage commitment")
    kept = config.get("peer", tmp_path / "pacs.toml").learned
    assert kept.ways == ["C-GET", "C-MOVE"]
    assert kept.implementation.startswith("OFFIS_DCMTK")
    assert kept.when


def test_all_works_by_dicomweb(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_PASSWORD", orthanc.password)
    access = {"auth": "basic", "user": orthanc.user, "password": "env:DOCTOR_PASSWORD"}
    found = examined(tmp_path, orthanc.dicomweb_url, **access)
    assert found.ok, str(found)
    assert orthanc.password not in str(found) + found._repr_html_()
    kept = config.get("peer", tmp_path / "pacs.toml").learned
    assert kept.ways == ["WADO-RS"]
    assert kept.rendered is True


def test_the_wrong_password(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_PASSWORD", "not-it-at-all")
    found = examined(tmp_path, orthanc.dicomweb_url, auth="basic", user=orthanc.user, password="env:DOCTOR_PASSWORD")
    name, said, _ = failed(found)
    assert name == "Query (QIDO-RS)"
    assert "401" in said
    assert "not-it-at-all" not in str(found)


def test_nobody_listens(tmp_path: Path) -> None:
    name, said, fix = failed(examined(tmp_path, f"dimse://X@127.0.0.1:{free_port()}"))
    assert name == "Name and port"
    assert "connection refused" in said
    assert "firewall" in fix


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    name, said, fix = failed(examined(tmp_path, "dimse://X@nowhere.invalid:104"))
    assert name == "Name and port"
    assert "nowhere.invalid" in said
    assert "DNS" in fix


def test_no_dicom_at_that_port(orthanc: Orthanc, tmp_path: Path) -> None:
    name, said, fix = failed(examined(tmp_path, f"dimse://TESTPACS@127.0.0.1:{orthanc.http_port}", timeout=3.0))
    assert name == "AE titles (C-ECHO)"
    assert said
    assert fix


def test_a_silent_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name, said, fix = failed(examined(tmp_path, f"dimse://X@127.0.0.1:{silent.getsockname()[1]}", timeout=0.5))
    assert name == "AE titles (C-ECHO)"
    assert "silent" in said
    assert fix


@pytest.mark.parametrize(
    ("url", "calling", "said", "fix"),
    [
        ("{aet}X", "SLICER", "is not its own", "AE title"),
        ("{aet}", "STRANGER", "'STRANGER' is not known", "administrator"),
    ],
    ids=["called", "calling"],
)
def test_ae_titles(  # noqa: PLR0917
    orthanc: Orthanc, tmp_path: Path, url: str, calling: str, said: str, fix: str
) -> None:
    called = url.format(aet=orthanc.aet)
    found = examined(tmp_path, f"dimse://{called}@127.0.0.1:{orthanc.dicom_port}", calling=calling)
    name, words, todo = failed(found)
    assert name == "AE titles (C-ECHO)"
    assert said in words
    assert fix in todo


@pytest.mark.parametrize(
    ("lies", "step", "said"),
    [
        (Lies(without={"get"}), "C-GET", "not supported"),
        (Lies(roles=False), "C-GET", "role"),
        (Lies(without={"find"}), "Query (C-FIND)", "does not offer C-FIND"),
        (Lies(reject=(2, 3, 1)), "AE titles (C-ECHO)", "congestion"),
        (Lies(abort={"associate"}), "AE titles (C-ECHO)", "abort"),
    ],
    ids=["no C-GET", "role refused", "no C-FIND", "congestion", "aborted"],
)
def test_what_a_peer_refuses(liar: Liar, tmp_path: Path, lies: Lies, step: str, said: str) -> None:
    liar.lies = lies
    found = examined(tmp_path, liar.url)
    words = {each.name: each for each in found.steps}
    assert words[step].status != "ok"
    assert said in words[step].found


def test_a_destination_that_nobody_listens_at(orthanc: Orthanc, tmp_path: Path) -> None:
    # The PACS sends to another port than ours.
    found = examined(tmp_path, orthanc.dimse_url, calling="NOBODYHOME", port=free_port())
    (step,) = [step for step in found.steps if step.name == "C-MOVE"]
    assert step.status == "warn"
    assert "'NOBODYHOME'" in step.fix


def test_the_port_of_our_own_is_taken(orthanc: Orthanc, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = examined(tmp_path, orthanc.dimse_url, port=other.getsockname()[1])
    (step,) = [step for step in found.steps if step.name == "C-MOVE"]
    assert step.status == "warn"
    assert "cannot listen" in step.found
