"""The examples of docs/pacs.md run as they stand, but for addresses: against an Orthanc that has what they ask for."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import slicer_notebook as sn
from slicer_notebook import testing
from slicer_notebook.pacs.pacs import Pacs
from tests.dicom.make import write_series

pytestmark = [
    pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc-dicomweb)"),
    pytest.mark.filterwarnings("ignore::slicer_notebook.DicomWarning"),
]

#: Study of each patient that the page asks for: patient, name, UID.
_PATIENTS: Final = (
    ("P1", "Doe^Jane", "1.2.840.1.2.3"),
    ("LIDC-IDRI-0001", "", "1.2.840.1.2.4"),
    ("4711", "Doe^John", "1.2.840.1.2.5"),
)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.Orthanc]:
    folder = tmp_path_factory.mktemp("hospital")
    for patient, name, study in _PATIENTS:
        write_series(
            folder / patient,
            shape=(4, 16, 16),
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.1",
            PatientID=patient,
            PatientName=name,
            StudyDate="20240105",
        )
    with testing.orthanc(folder) as running:
        yield running


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: the storage SCP of a test may still be there for the next one, which finds it by this folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def own_folder(hospital: testing.Orthanc, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(data_folder))
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "pacs.toml"))
    monkeypatch.setenv("PACS_PASSWORD", hospital.password)
    monkeypatch.setenv("HOME", str(tmp_path))
    write_series(tmp_path / "export", shape=(2, 8, 8), StudyInstanceUID="1.2.840.9", SeriesInstanceUID="1.2.840.9.1")
    return tmp_path


@pytest.fixture
def album(
    hospital: testing.Orthanc, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[testing.KheopsStandIn]:
    """All of the hospital, as a Kheops shares it. The page's own is filled from a folder beside."""
    monkeypatch.chdir(own_folder)
    with testing.kheops(hospital) as running:
        yield running


def blocks(root: Path, kind: str) -> list[str]:
    text = (root / "docs" / "pacs.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def at(hospital: testing.Orthanc, text: str, **more: str) -> str:
    """An example with the addresses of an Orthanc in place of a hospital's."""
    changes = {
        **more,
        "dimse://PACS@pacs.example:11112": hospital.dimse_url,
        "https://pacs.example/dicom-web": hospital.dicomweb_url,
        "NOTEBOOK": "SLICER",
        "11113": str(hospital.modalities["SLICER"]),
        "alice": hospital.user,
        "timeout=3600": "timeout=0.1",
    }
    for former, new in changes.items():
        text = text.replace(former, new)
    return text


def test_python(hospital: testing.Orthanc, own_folder: Path, root: Path, album: testing.KheopsStandIn) -> None:
    kheops = {"https://demo.kheops.online/view/TOKEN": album.link, '"1.2.3"': '"1.2.840.1.2.3"', '"dicom"': '"export"'}
    names: dict[str, Any] = {}
    examples = blocks(root, "python")
    assert len(examples) >= 9
    opened: list[Pacs] = []
    try:
        for example in examples:
            if "pacs.retrieve" in example and "slicer.pacs" not in example:
                names["pacs"] = sn.pacs.open("hospital")
                opened.append(names["pacs"])
            exec(compile(ast.parse(at(hospital, example, **kheops)), "docs/pacs.md", "exec"), names)
        assert {each["PatientName"] for each in names["answers"]} == {"Doe^Jane", "Doe^John"}
        assert len(names["volumes"]) == 2
        assert names["chest"][0]["NumberOfSeriesRelatedInstances"] == 4
        assert names["picture"][:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0")
        assert (names["report"].complete, names["report"].received) == (True, 4)
        assert (names["stored"].complete, len(names["stored"].taken)) == (True, 6)
        assert (names["kept"].complete, [file.committed for file in names["kept"].taken]) == (True, [True, True])
        assert names["transfer"].complete
    finally:
        for pacs in opened:
            pacs.close()
        if "slicer" in names:
            names["slicer"].close()


def run(command: str, expected: int = 0) -> str:
    words = shlex.split(command.partition(" | ")[0])
    assert words[0] == "slicer-notebook"
    done = subprocess.run(
        [sys.executable, "-m", "slicer_notebook.cli", *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    return done.stdout


def test_commands(hospital: testing.Orthanc, own_folder: Path, root: Path) -> None:
    (setup,) = (block for block in blocks(root, "sh") if "pacs add" in block)
    for line in setup.splitlines():
        run(at(hospital, line))
    lines = [line.removeprefix("$ ") for block in blocks(root, "console") for line in block.splitlines()]
    printed = {line.split()[2]: run(line) for line in lines}
    assert set(printed) == {"test", "find", "get"}
    assert "Nothing to do" in printed["test"]
    found = [json.loads(line) for line in printed["find"].splitlines()]
    assert sorted(each["StudyInstanceUID"] for each in found) == ["1.2.840.1.2.3", "1.2.840.1.2.5"]
    *series, last = (json.loads(line) for line in printed["get"].splitlines())
    assert [(each["expected"], each["received"], each["complete"]) for each in series] == [(4, 4, True)]
    assert last["complete"] is True


def test_the_fields_of_the_lines_are_those_that_the_page_has(
    hospital: testing.Orthanc, own_folder: Path, root: Path
) -> None:
    page = (root / "docs" / "pacs.md").read_text(encoding="utf-8")
    _, of_series, of_all = (
        part.partition("\n\n")[0] for part in re.split(r"^\| of (?:a series|all)", page, flags=re.M)
    )
    run(at(hospital, "slicer-notebook pacs add hospital dimse://PACS@pacs.example:11112"))
    *series, last = map(json.loads, run("slicer-notebook pacs get hospital PatientID=4711 --json").splitlines())
    assert set(named(of_series)) == set(series[0])
    assert set(named(of_all)) == {*last, "error"}
    failed = json.loads(run("slicer-notebook pacs get hospital PatientID=nobody --json", 1).splitlines()[-1])
    assert {*failed} == {*last, "error"}
    assert {*failed["error"]} == {"message", "hint", "kind"}


def named(table: str) -> list[str]:
    """The fields in the first column of a table."""
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
