"""Searches that are kept by name: the file, its rights, two writers at a time, and a file that is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slicer_notebook.errors import ArgumentError, PacsConfigError
from slicer_notebook.widgets.pacs_form import Form, Tag
from slicer_notebook.widgets.saved_searches import Searches

FORM = Form(servers=["hospital"], name="Müller", when="week", tags=[Tag(keyword="StudyID", value="5")])


@pytest.fixture
def searches(tmp_path: Path) -> Searches:
    return Searches(tmp_path / "new" / "pacs_searches.json")


def test_they_are_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path))
    assert Searches().path == tmp_path / "pacs_searches.json"


def test_what_is_saved_is_there_for_another_by_name_and_for_this_user_alone(searches: Searches) -> None:
    assert searches.all() == {}
    searches.save("  my   chest CTs ", FORM)
    searches.save("A", Form())
    assert Searches(searches.path).all() == {"A": Form(), "my chest CTs": FORM}
    assert searches.path.stat().st_mode & 0o777 == 0o600
    assert "Müller" in searches.path.read_text(encoding="utf-8")
    searches.save("A", FORM)
    assert searches.all()["A"] == FORM


def test_rename_and_delete(searches: Searches) -> None:
    searches.save("a", FORM)
    searches.save("b", Form())
    with pytest.raises(ArgumentError, match="There is a saved search of that name"):
        searches.rename("a", "b")
    with pytest.raises(ArgumentError, match="not there any more"):
        searches.rename("gone", "c")
    searches.rename("a", "c")
    searches.rename("c", "c")
    assert searches.all() == {"b": Form(), "c": FORM}
    searches.delete("c")
    searches.delete("c")
    assert list(searches.all()) == ["b"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_name_is_needed(searches: Searches, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)needs a name.*1 to 80"):
        searches.save(name, FORM)
    assert not searches.path.exists()


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"searches": [{"name": 3}]}', '{"version": 2}'])
def test_a_file_that_is_none_is_said_and_left_alone(searches: Searches, text: str) -> None:
    searches.path.parent.mkdir()
    searches.path.write_text(text, encoding="utf-8")
    with pytest.raises(PacsConfigError, match="pacs_searches"):
        searches.all()
    with pytest.raises(PacsConfigError, match="pacs_searches"):
        searches.save("a", FORM)
    assert searches.path.read_text(encoding="utf-8") == text


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PacsConfigError, match=r"(?s)cannot be written.*SLICER_NOTEBOOK_DATA"):
        Searches(tmp_path / "file" / "x.json").save("a", FORM)


def test_processes_that_save_at_the_same_time_lose_nothing(searches: Searches) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from slicer_notebook.widgets.pacs_form import Form\n"
        "from slicer_notebook.widgets.saved_searches import Searches\n"
        "for number in range(20): Searches(Path(sys.argv[1])).save(f'{sys.argv[2]} {number}', Form())"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(searches.path), name]) for name in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(searches.all()) == 40
    assert len(json.loads(searches.path.read_text(encoding="utf-8"))["searches"]) == 40
    assert [path.name for path in searches.path.parent.iterdir() if path.name.endswith(".new")] == []
