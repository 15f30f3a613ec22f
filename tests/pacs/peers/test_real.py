"""The archives hold what they were given, and dcmtk's clients get it out of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pydicom
import pytest

from slicer_notebook.testing import Orthanc
from tests.pacs.peers.data import NAMES, Data, uid, write_series_of
from tests.pacs.peers.real import RealPeer

CLIENT = {"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"}


def run(peer: RealPeer, program: str, *arguments: str) -> str:
    command = [program, "-S", "-aet", peer.calling, "-aec", peer.aet, "127.0.0.1", str(peer.port), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=CLIENT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_orthanc_has_all_of_the_data(orthanc: Orthanc, pacs_data: Data) -> None:
    assert orthanc.counts() == pacs_data.counts()
    names = {found["PatientMainDicomTags"]["PatientName"] for found in orthanc.rest.get("/studies?expand")}
    assert names == {name for _, name in NAMES.values()}


def test_findscu_finds_every_study(archive: RealPeer, tmp_path: Path) -> None:
    run(archive, "findscu", "-X", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")
    found = {str(pydicom.dcmread(path, force=True).StudyInstanceUID) for path in tmp_path.iterdir()}
    assert found == {study.uid for study in archive.data.studies.values()}


def test_getscu_gets_a_study(archive: RealPeer, tmp_path: Path) -> None:
    study = archive.data.study("follow-up")
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]
    run(archive, "getscu", "-od", str(tmp_path), *keys)
    assert {str(pydicom.dcmread(path).SOPInstanceUID) for path in tmp_path.iterdir()} == set(study.instances)


def test_movescu_moves_a_study_to_our_port(archive: RealPeer, tmp_path: Path) -> None:
    study = archive.data.study("latin")
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]
    receiver = ["-aem", archive.calling, "+P", str(archive.modalities[archive.calling]), "-od", str(tmp_path)]
    run(archive, "movescu", *receiver, *keys)
    assert {str(pydicom.dcmread(path).SOPInstanceUID) for path in tmp_path.iterdir()} == set(study.instances)


def test_a_stranger_is_rejected_by_orthanc(orthanc_peer: RealPeer) -> None:
    command = ["echoscu", "-aet", "STRANGER", "-aec", orthanc_peer.aet, "127.0.0.1", str(orthanc_peer.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=CLIENT, check=False)
    assert "Calling AE Title Not Recognized" in done.stderr


def test_a_program_runs_inside_the_network(archive: RealPeer) -> None:
    if not archive.prefix:
        pytest.skip("no network namespace here")
    command = [*archive.prefix, "echoscu", "-aet", archive.calling, "-aec", archive.aet, "127.0.0.1", str(archive.port)]
    assert subprocess.run(command, timeout=60, env={**CLIENT}, check=False).returncode == 0
    interfaces = subprocess.run(
        [*archive.prefix, "cat", "/proc/net/dev"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]


def test_the_data_is_the_same_in_every_run(pacs_data: Data, tmp_path: Path) -> None:
    assert pacs_data.study("thorax").uid == uid("thorax")
    assert len(pacs_data.study("thorax").series[0].instances) == 30
    large = write_series_of(tmp_path, 2, size=64)
    assert len(large.instances) == 2
    assert large.uid == uid("large")
