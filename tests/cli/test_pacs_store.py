"""``slicer-notebook pacs store``: exit codes and lines of JSON, with storage commitment and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from slicer_notebook import cli
from slicer_notebook.errors import ArgumentError, SlicerNotebookError
from slicer_notebook.pacs import config
from slicer_notebook.testing import free_port
from tests.pacs.peers.committing import Committing
from tests.pacs.peers.data import Data


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Committing]:
    """A PACS called keeper."""
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "config"))
    with Committing() as made:
        config.add("keeper", made.url, commit_timeout=20.0)
        yield made


def run(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.app, ["pacs", "store", "keeper", *map(str, arguments)])
    if isinstance(done.exception, SlicerNotebookError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def lines(done: Result) -> list[dict[str, Any]]:
    return [json.loads(each) for each in done.stdout.splitlines()]


def test_files_are_sent(keeper: Committing, pacs_data: Data, tmp_path: Path) -> None:
    folder = pacs_data.folder / "follow-up"
    count = len(pacs_data.study("follow-up").instances)
    (tmp_path / "notes.txt").write_text("no DICOM")
    *each, last = lines(run(folder, tmp_path / "notes.txt", "--json", code=1))
    assert [(line["stored"], line["committed"], line["uncommitted"]) for line in each] == [
        *[(True, None, None)] * count,
        (False, None, None),
    ]
    assert each[-1]["error"]["kind"] == "NotDicomError"
    assert last == {"complete": False, "stored": count, "skipped": 0, "committed": 0}
    assert run(folder).stdout == f"{count} of {count} files were taken.\n"
    assert not keeper.asked


def test_files_that_are_committed(keeper: Committing, pacs_data: Data) -> None:
    folder = pacs_data.folder / "follow-up"
    count = len(pacs_data.study("follow-up").instances)
    *each, last = lines(run(folder, "--commit", "--json"))
    assert [(line["stored"], line["committed"], line["uncommitted"]) for line in each] == [(True, True, None)] * count
    assert last == {"complete": True, "stored": count, "skipped": 0, "committed": count}
    done = run(folder, "--commit")
    assert done.stdout == (
        f"{count} of {count} files were taken; the PACS has committed itself to keeping {count} of them.\n"
    )


def test_files_that_are_not_committed(keeper: Committing, pacs_data: Data) -> None:
    folder = pacs_data.folder / "follow-up"
    count = len(pacs_data.study("follow-up").instances)
    keeper.how.fail = 1
    done = run(folder, "--commit", code=1)
    assert f"keeping {count - 1} of them" in done.stdout
    assert "it does not have the instance (0112)" in done.stderr
    *each, last = lines(run(folder, "--commit", "--json", code=1))
    assert (each[0]["stored"], each[0]["committed"]) == (True, False)
    assert each[0]["uncommitted"] == "it does not have the instance (0112)"
    assert (last["complete"], last["stored"], last["committed"]) == (False, count, count - 1)
    keeper.how.where = "never"
    done = run(folder, "--commit", "--commit-timeout", "0.5", code=1)
    assert "no answer, and no port to send one to" in done.stderr


def test_a_pacs_that_cannot_be_asked(keeper: Committing, pacs_data: Data) -> None:
    config.add("keeper", f"http://127.0.0.1:{free_port()}/dicom-web", replace=True)
    with pytest.raises(ArgumentError, match="cannot be asked for storage commitment"):
        run(pacs_data.folder / "follow-up", "--commit")
