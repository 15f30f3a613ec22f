"""``slicer-notebook index``, ``studies``, ``series`` and ``info``."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner, Result

from slicer_notebook import cli, cli_dicom
from slicer_notebook.errors import EmptyFolderError, IndexDatabaseError, SlicerNotebookError, UidNotFoundError
from tests.dicom.make import MR, write_series


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_series(folder / "ct", SeriesInstanceUID="1.1.1", StudyInstanceUID="1.1")
    write_series(
        folder / "mr", SeriesInstanceUID="1.2.1", StudyInstanceUID="1.2", shape=(3, 4, 4), sop_class=MR,
        PatientName="Müller^Özgür", SpecificCharacterSet="ISO_IR 192", StudyDate="20210615",
        SeriesDescription="T1 [a]",
    )  # fmt: skip
    (folder / "notes.txt").write_text("x")
    return folder


class Command:
    """The program with an index of its own."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def __call__(self, name: str, *arguments: str | Path, code: int = 0) -> Result:
        extra = [] if name == "info" else ["--database", str(self.database)]
        done = CliRunner().invoke(cli.app, [name, *map(str, arguments), *extra])
        if isinstance(done.exception, SlicerNotebookError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    def json(self, name: str, *arguments: str | Path, code: int = 0) -> Any:
        return json.loads(self(name, *arguments, "--json", code=code).stdout)


@pytest.fixture
def run(tmp_path: Path) -> Command:
    return Command(tmp_path / "index.sqlite3")


def test_an_index_is_filled_and_listed(run: Command, data: Path) -> None:
    done = run("index", data)
    lines = dict(line.rsplit(None, 1) for line in done.stdout.splitlines()[:11])
    assert (lines["Studies"], lines["Series"], lines["Instances"]) == ("2", "2", "8")
    assert "passed over 1 x not DICOM" in done.stdout
    assert "notes.txt" not in done.stdout
    assert "Indexed: 100 %" in done.stderr
    assert "notes.txt" in run("index", data, "--verbose").stdout
    listed = run("studies").stdout.splitlines()
    assert listed[0].split()[:4] == ["Patient", "ID", "Date", "Description"]
    assert "Doe^Jane" in listed[1]
    assert "2020-01-02" in listed[1]
    assert listed[2].rstrip().endswith("1.2")
    assert "T1 [a]" in run("series", "1.2").stdout


def test_json_is_the_records(run: Command, data: Path) -> None:
    summary = run.json("index", data)
    assert (summary["instances"], summary["added"], len(summary["skipped"])) == (8, 9, 1)
    assert run.json("index", data)["unchanged"] == 9
    assert [study["PatientName"] for study in run.json("studies")] == ["Doe^Jane", "Müller^Özgür"]
    (series,) = run.json("series", "1.1")
    assert (series["SeriesInstanceUID"], series["NumberOfSeriesRelatedInstances"]) == ("1.1.1", 5)
    assert len(run.json("series")) == 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["muller"], ["1.2"]),
        (["t1", "MULLER"], ["1.2"]),
        (["--filter", "PatientName=Doe*"], ["1.1"]),
        (["--filter", "StudyDate=20210101-"], ["1.2"]),
        (["--filter", "Modality=CT", "--filter", "Modality=MR"], ["1.1", "1.2"]),
        (["--filter", "AccessionNumber="], ["1.1", "1.2"]),
        (["--filter", "Modality=MR", "doe"], []),
        (["--limit", "1"], ["1.1"]),
        (["--limit", "0"], ["1.1", "1.2"]),
    ],
)
def test_filters(run: Command, data: Path, arguments: list[str], found: list[str]) -> None:
    run("index", data)
    assert [study["StudyInstanceUID"] for study in run.json("studies", *arguments)] == found


def test_filters_of_series(run: Command, data: Path) -> None:
    run("index", data)
    assert [one["Modality"] for one in run.json("series", "--filter", "Modality=MR")] == ["MR"]
    assert [one["Modality"] for one in run.json("series", "--text", "t1")] == ["MR"]


def test_nothing_found(run: Command, data: Path) -> None:
    assert "The index is empty" in run("studies").stderr
    run("index", data)
    assert "Nothing matches." in run("studies", "nobody").stderr
    with pytest.raises(UidNotFoundError):
        run("series", "9.9")


def test_more_than_a_table_shows(run: Command, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", data)
    monkeypatch.setattr(cli_dicom, "MOST_ROWS", 1)
    done = run("studies")
    assert len(done.stdout.splitlines()) == 2
    assert "These are the first 1" in done.stderr


def test_wrong_usage(run: Command, data: Path) -> None:
    run("index", code=2)
    run("index", data, "--refresh", code=2)
    run("studies", "--filter", "PatientName", code=2)
    run("studies", "--limit", "-1", code=2)
    with pytest.raises(SlicerNotebookError, match="Did you mean 'PatientName'"):
        run("studies", "--filter", "PatientNme=x")


def test_what_cannot_be_indexed(run: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyFolderError):
        run("index", tmp_path / "empty")
    (tmp_path / "other").write_bytes(b"no database " * 100)
    with pytest.raises(IndexDatabaseError):
        Command(tmp_path / "other")("studies")


def test_refresh(run: Command, data: Path) -> None:
    run("index", data)
    shutil.rmtree(data / "mr")
    assert run.json("index", "--refresh")["removed"] == 3
    assert len(run.json("studies")) == 1


def test_conflicts_are_named(run: Command, data: Path) -> None:
    path = next((data / "ct").iterdir())
    clash = pydicom.dcmread(path)
    clash.SeriesInstanceUID = "1.1.9"
    clash.save_as(data / "clash.dcm")
    done = run("index", data)
    assert f"SOP Instance UID {clash.SOPInstanceUID} has several SeriesInstanceUID" in done.stdout
    assert str(data / "clash.dcm") in done.stdout


def test_info_tells_what_files_become(run: Command, data: Path, tmp_path: Path) -> None:
    done = run("info", data)
    assert "3: Chest (CT), 5 instances, 1.1.1" in done.stdout
    assert "  volume 3: Chest: 6 x 7 x 5, 3 x 2 x 4 mm, axial" in done.stdout
    assert "notes.txt: not DICOM" in done.stdout
    assert not run.database.exists()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (data / "ct").iterdir():
            archive.write(path, path.name)
    (found,) = run.json("info", tmp_path / "a.zip")["series"]
    (volume,) = found["volumes"]
    assert (volume["shape"], volume["spacing"], volume["orientation"]) == ([5, 7, 6], [3.0, 2.0, 4.0], "axial")


def test_info_tells_refusals_and_their_reasons(run: Command, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "d", shape=(3, 4, 4), ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    done = run("info", *paths, code=1)
    assert "refused (bad-orientation), 3 files" in done.stdout
    found = run.json("info", *paths, code=1)
    assert found["series"][0]["refused"][0]["reason"] == "bad-orientation"


def test_info_strict(run: Command, tmp_path: Path) -> None:
    write_series(tmp_path / "d", offsets=[0, 4, 8, 16, 20])
    assert run.json("info", tmp_path / "d")["series"][0]["refused"] == []
    found = run.json("info", tmp_path / "d", "--strict", code=1)
    assert found["series"][0]["refused"][0]["reason"] == "missing-slices"


def test_info_header(run: Command, data: Path) -> None:
    done = run("info", "--header", data / "ct")
    assert "(0010,0010) Patient's Name" in done.stdout
    assert "Pixel Data" not in done.stdout
