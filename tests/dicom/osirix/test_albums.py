"""Albums: those that are there, one's own, and files that are none."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import pytest

from slicer_notebook.dicom import Index, Instance
from slicer_notebook.dicom.nspredicate import parse
from slicer_notebook.dicom.osirix import find
from slicer_notebook.dicom.osirix.albums import album, names
from slicer_notebook.errors import ArgumentError, FileFormatError


def test_the_usual_ones_find_what_they_say(tmp_path: Path) -> None:
    now = datetime.datetime.now()
    index = Index(tmp_path / "index.sqlite3")

    def put(uid: str, days: int, modality: str, age: float) -> None:
        day = f"{now - datetime.timedelta(days=days):%Y%m%d}"
        index.put(
            [
                Instance(
                    StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", SOPInstanceUID=f"{uid}.1.1", StudyDate=day,
                    StudyTime="000100", Modality=modality, path=f"/{uid}", mtime_ns=int((time.time() - age) * 1e9),
                )
            ]
        )  # fmt: skip

    put("1.1", 0, "CT", 60)
    put("1.2", 0, "MR", 7200)
    put("1.3", 1, "CT", 7200)
    put("1.4", 9, "MR", 90000)

    def found(name: str) -> list[str]:
        wanted = album(name, tmp_path / "none.toml")
        assert wanted is not None
        return sorted(each.study for each in find(index, "Study", wanted))

    assert found("Database") == ["1.1", "1.2", "1.3", "1.4"]
    assert found("Just Added (last hour)") == ["1.1"]
    # Around midnight the day may change between the two looks at the clock.
    if datetime.datetime.now().date() == now.date():
        assert found("Today") == ["1.1", "1.2"]
        assert (found("Today CT"), found("Today MR")) == (["1.1"], ["1.2"])
        assert (found("Yesterday"), found("Yesterday CT"), found("Yesterday MR")) == (["1.3"], ["1.3"], [])
    index.close()


def test_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "albums.toml"
    assert album("Chest", file) is None
    file.write_text("[albums]\nChest = 'modality == \"CT\"'\nToday = 'name == \"x\"'\nBroken = 'name =='\n")
    assert album("Chest", file) == parse('modality == "CT"')
    assert album("chest", file) is None, "case counts"
    assert album("Today", file) == parse('name == "x"'), "one's own comes first"
    assert names(file)[-2:] == ["Chest", "Broken"]
    with pytest.raises(ArgumentError, match="expected here"):
        album("Broken", file)


@pytest.mark.parametrize("text", ["[albums\n", "albums = 3\n", "[albums]\nx = 3\n", "\x00", "#" + "x" * (1 << 20)])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "albums.toml"
    file.write_text(text)
    with pytest.raises(FileFormatError, match="cannot be read"):
        album("x", file)


def test_the_file_is_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path))
    (tmp_path / "albums.toml").write_text("[albums]\nMine = 'name == \"x\"'\n")
    assert album("Mine") == parse('name == "x"')
