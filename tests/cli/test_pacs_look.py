"""``slicer-notebook pacs test`` and ``thumbnails`` as processes: what programs may rely on."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from slicer_notebook import testing
from tests.cli.commands import Commands, both
from tests.pacs.peers.data import Data
from tests.pacs.peers.gated import Gated
from tests.pacs.retrieving import files_below


@pytest.fixture
def run(orthanc: testing.Orthanc, tmp_path: Path) -> Commands:
    return both(orthanc, Commands(tmp_path, orthanc.password))


@pytest.fixture
def gated(pacs_data: Data, run: Commands) -> Iterator[Gated]:
    """The PACS "gated", which has one study and sends as many instances as it is allowed to."""
    with Gated(pacs_data.study("follow-up").instances.values()) as peer:
        run.knows("gated", peer.url)
        yield peer


# -- thumbnails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hospital", "web"])
def test_a_picture_of_each_series(run: Commands, pacs_data: Data, name: str) -> None:
    study = pacs_data.study("follow-up")
    done = run("thumbnails", name, f"StudyInstanceUID={study.uid}", "--folder", "pictures", "--size", "64", "--json")
    assert {row["SeriesInstanceUID"] for row in done.objects} == {each.uid for each in study.series}
    for row in done.objects:
        assert row.keys() == {"SeriesInstanceUID", "path", "error"}
        assert row["error"] is None
        path = run.folder / row["path"]
        picture = Image.open(io.BytesIO(path.read_bytes()))
        assert path.name == f"{row['SeriesInstanceUID']}.{'png' if picture.format == 'PNG' else 'jpg'}"
        assert max(picture.size) <= 64
    # What they were made of is not kept.
    assert not [path for path in files_below(run.folder) if path.suffix == ".dcm"]


def test_paths_for_people_a_limit_and_nothing_that_matches(run: Commands, pacs_data: Data) -> None:
    done = run("thumbnails", "hospital", "PatientID=ASCII", "Modality=CT", "--limit", "2")
    assert {run.folder / path for path in done.lines} == set((run.folder / "thumbnails").iterdir())
    assert len(done.lines) == 2
    assert done.err == ""
    nothing = run("thumbnails", "hospital", "PatientID=NOBODY", "--folder", "none")
    assert (nothing.out, nothing.err) == ("", "Nothing matches.\n")
    assert not (run.folder / "none").exists()


def test_series_without_a_picture_are_told_and_do_not_stop_the_others(run: Commands, gated: Gated) -> None:
    gated.lies.share = 0.0
    done = run("thumbnails", "gated", "PatientID=ASCII", "--json", code=1)
    assert len(done.objects) == 2
    for row in done.objects:
        assert row["path"] is None
        assert row["error"].keys() >= {"message", "hint", "kind"}


def test_ctrl_c_ends_and_keeps_the_pictures(run: Commands, gated: Gated) -> None:
    gated.allow(1)
    process = run.begin("thumbnails", "gated", "PatientID=ASCII", "--folder", "pictures")
    assert process.stdout is not None
    first = Path(process.stdout.readline().decode().strip())
    process.send_signal(signal.SIGINT)
    gated.allow(None)
    done = run.end(process)
    assert done.code == 1
    assert Image.open(run.folder / first).format in ("PNG", "JPEG")


# -- test -------------------------------------------------------------------------------------------------------------


def test_the_doctor_has_one_object(run: Commands) -> None:
    (found,) = run("test", "hospital", "--json").objects
    assert found.keys() == {"server", "ok", "steps"}
    assert (found["server"], found["ok"]) == ("hospital", True)
    for step in found["steps"]:
        assert step.keys() == {"name", "status", "found", "fix", "seconds"}
        assert step["status"] in ("ok", "warn", "fail")
    done = run("test", "hospital")
    assert done.lines[0].split() == ["What", "Found"]
    assert "Nothing to do." in done.out
    assert done.err == ""


def test_a_doctor_of_what_is_not_there_says_what_to_do(run: Commands) -> None:
    run.knows("nowhere", f"dimse://A@127.0.0.1:{testing.free_port()}", timeout=1)
    (found,) = run("test", "nowhere", "--json", code=1).objects
    assert found["ok"] is False
    failed = [step for step in found["steps"] if step["status"] == "fail"]
    assert failed
    assert failed[0]["fix"]
    assert "What to do:" in run("test", "nowhere", code=1).out
