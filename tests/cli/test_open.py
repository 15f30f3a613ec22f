"""``slicer-notebook open``: what it says of a link, whom it asks, and the Slicer that it goes to."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

import slicer_notebook as sn
from slicer_notebook import testing
from slicer_notebook.cli import app
from slicer_notebook.session import records
from slicer_notebook.session.records import SessionRecord
from tests.cli.linking import BARE, PROGRAM, run
from tests.commands.linking import TOKEN, Gate, study_link
from tests.links.test_parse import REFUSED
from tests.links.test_policy import ASKED, OPENED
from tests.pacs.dicomweb.faulty import Faulty, Reply
from tests.pacs.peers.data import Data

HTTPS = study_link("1.2.3", "https://pacs.example/dicom-web", TOKEN)
ASKING = "slicer://viewer/?download=https%3A%2F%2Fhost.example%2Fx.nrrd"
DEADLINE = 60.0


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Where no Slicer runs, and nothing is configured."""
    return {
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "SLICER_NOTEBOOK_CONFIG": str(tmp_path / "config"),
        "SLICER_NOTEBOOK_DATA": str(tmp_path / "data"),
    }


def configure(elsewhere: dict[str, str], text: str) -> None:
    folder = Path(elsewhere["SLICER_NOTEBOOK_CONFIG"])
    folder.mkdir(exist_ok=True)
    (folder / "links.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def gate(orthanc: testing.Orthanc) -> Iterator[Gate]:
    with Gate(orthanc) as found:
        yield found


# -- --dry-run --------------------------------------------------------------------------------------------------------


def judged(*arguments: str, **environment: str) -> dict[str, Any]:
    """What ``open --dry-run --json`` prints, in this process."""
    done = CliRunner(env={**BARE, **environment}).invoke(app, ["open", "--dry-run", "--json", *arguments])
    assert done.exit_code == 0, (arguments, done.output)
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == {"action", "why", "parsed"}
    assert found["why"].isprintable()
    return found


@pytest.mark.parametrize(
    ("url", "action"), [(HTTPS, "open"), ("--session", "refuse"), (b"slicer://viewer/?\xff\xfe", "refuse")]
)
def test_a_dry_run_prints_one_object_and_ends_well(url: str | bytes, action: str) -> None:
    done = run("open", "--dry-run", "--json", url)
    assert (done.code, done.err) == (0, "")
    assert done.objects[0]["action"] == action
    assert TOKEN not in done.out


@pytest.mark.parametrize(
    "text", ["--help", "--yes", "-x", "", "--", "x" * 100_000, "slicer://viewer/?a=\x1b[31m", "\udcff", "a\0b", "%"]
)
def test_whatever_comes_it_is_judged(text: str) -> None:
    found = judged(text)
    assert found["action"] == "refuse"
    assert judged("--", text)["action"] == "refuse"


@pytest.mark.parametrize("kind", ["open", "ask", "refuse"])
def test_known_links(kind: str, elsewhere: dict[str, str]) -> None:
    known = {"open": OPENED, "ask": ASKED, "refuse": REFUSED}[kind]
    for what, (url, _) in list(known.items())[::4]:
        if what not in ("a retrieve", "a move"):  # of a PACS that is not configured here
            assert judged("--", url, **elsewhere)["action"] == kind, what


def test_a_retrieve_from_a_pacs_that_is_configured(elsewhere: dict[str, str]) -> None:
    link = "osirix://?methodName=Retrieve&serverName=hospital&filterKey=PatientID&filterValue=1"
    assert judged(link, **elsewhere)["action"] == "refuse"
    folder = Path(elsewhere["SLICER_NOTEBOOK_CONFIG"])
    folder.mkdir()
    (folder / "pacs.toml").write_text('[servers.hospital]\nurl = "dimse://PACS@127.0.0.1:104"\n', encoding="utf-8")
    assert judged(link, **elsewhere)["action"] == "open"


def test_several_urls_are_none() -> None:
    assert judged(HTTPS, HTTPS)["action"] == "refuse"
    assert judged()["action"] == "refuse"


def test_in_words() -> None:
    lines = CliRunner(env=BARE).invoke(app, ["open", "--dry-run", HTTPS]).output.splitlines()
    assert lines[0] == "open: a study from an https endpoint"
    assert "  access_token: ***" in lines


def test_the_policy_file(elsewhere: dict[str, str]) -> None:
    configure(elsewhere, '[policy]\nstudy-https = "ask"\n')
    assert judged(HTTPS, **elsewhere)["action"] == "ask"
    configure(elsewhere, "[policy\n")
    done = run("open", "--dry-run", "--json", HTTPS, environment=elsewhere)
    assert (done.code, done.objects[0]["action"]) == (0, "refuse")
    assert "links.toml" in done.err


def test_help_is_told_where_it_is_asked_for_alone() -> None:
    done = CliRunner(env=BARE).invoke(app, ["open", "--help"])
    assert done.exit_code == 0
    assert "--dry-run" in done.output


# -- asking a person --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [ASKING, "osirix://?methodName=KillOsiriX"])
def test_without_a_terminal_or_a_display_nothing_is_opened_that_must_be_asked(
    url: str, elsewhere: dict[str, str]
) -> None:
    done = run("open", url, environment=elsewhere)
    assert done.code == 1
    assert "This link is not opened" in done.err
    assert not list(Path(elsewhere["JUPYTER_RUNTIME_DIR"]).rglob("*.json"))  # no Slicer was started


def on_terminal(arguments: list[str], typed: str, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code, and what a terminal has shown, on which somebody types once they are asked."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdin=side, stdout=side, stderr=side, env={**os.environ, **BARE, **environment},
        start_new_session=True,
    )  # fmt: skip
    os.close(side)
    shown = b""
    typing = threading.Event()
    with contextlib.suppress(OSError):  # the end of a terminal's other side
        while piece := os.read(main, 4096):
            shown += piece
            if not typing.is_set() and (b"[y/N]" in shown or b"Number or name" in shown):
                typing.set()
                os.write(main, typed.encode() + b"\n")
    os.close(main)
    return process.wait(DEADLINE), shown.decode()


def test_a_person_at_a_terminal_does_not_agree(elsewhere: dict[str, str]) -> None:
    configure(elsewhere, 'start = "never"\n')
    for typed in ("", "yess"):
        code, shown = on_terminal(["open", ASKING], typed, elsewhere)
        assert code == 1
        assert "it downloads a data file" in shown
        assert "you did not agree" in shown
    code, shown = on_terminal(["open", ASKING], "y", elsewhere)
    assert code == 1
    assert "No Slicer runs" in shown  # what comes next


class Dialogs:
    """Programs of a desktop that write down what they are shown, and answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.log = folder / "shown.txt"

    def has(self, name: str, code: int = 0, out: str = "") -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name}" "$@" >> "{self.log}"\nprintf "%s" "{out}"\nexit {code}\n')
        path.chmod(0o755)

    @property
    def shown(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def environment(self, elsewhere: dict[str, str]) -> dict[str, str]:
        return {**elsewhere, "DISPLAY": ":77", "PATH": f"{self.folder}:/usr/bin:/bin"}


@pytest.mark.parametrize("program", ["zenity", "kdialog", "xmessage"])
def test_a_dialog_asks(program: str, elsewhere: dict[str, str], tmp_path: Path) -> None:
    configure(elsewhere, 'start = "never"\n')
    dialogs = Dialogs(tmp_path)
    dialogs.has("notify-send")
    link = study_link("1.2.3", "http://pacs.example/x", TOKEN)
    for code, expected in ((1, "you did not agree"), (0, "No Slicer runs")):
        dialogs.has(program, code)
        done = run("open", link, environment=dialogs.environment(elsewhere))
        assert done.code == 1
        assert expected in done.err
    assert "a token would go over plain http" in dialogs.shown
    assert "The link was not opened" in dialogs.shown
    assert TOKEN not in dialogs.shown + done.out + done.err


def test_a_dialog_that_can_show_nothing_is_no_answer(elsewhere: dict[str, str], tmp_path: Path) -> None:
    dialogs = Dialogs(tmp_path)
    dialogs.has("zenity", 255)
    dialogs.has("kdialog", 134)
    done = run("open", ASKING, environment=dialogs.environment(elsewhere))
    assert done.code == 1
    assert "--yes" in done.err


# -- which Slicer -----------------------------------------------------------------------------------------------------


@pytest.fixture
def two(elsewhere: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two Slicers that seem to run, and do not answer."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", elsewhere["JUPYTER_RUNTIME_DIR"])
    for name in ("first", "second"):
        file = tmp_path / f"kernel-{name}.json"
        file.write_text("{}")
        records.write(
            SessionRecord(
                name=name, connection_file=str(file), pid=os.getpid(), owner=os.getpid(), started=time.time(),
                machine=records.machine_id(),
            )
        )  # fmt: skip
    return elsewhere


def test_one_of_several_has_to_be_named(two: dict[str, str], tmp_path: Path) -> None:
    done = run("open", HTTPS, environment=two)
    assert done.code == 1
    assert "first, second" in done.err
    assert "--session NAME" in done.err
    code, shown = on_terminal(["open", HTTPS], "3", two)
    assert code == 1
    assert "1: first" in shown
    assert "first, second" in shown
    dialogs = Dialogs(tmp_path)
    dialogs.has("zenity", 1)
    assert "first, second" in run("open", HTTPS, environment=dialogs.environment(two)).err
    assert "--list" in dialogs.shown


def test_no_slicer_of_that_name(two: dict[str, str]) -> None:
    done = run("open", "--session", "third", HTTPS, environment=two)
    assert done.code == 1
    assert "No Slicer called 'third'" in done.err


@pytest.mark.parametrize(
    ("start", "said"), [("never", "links start none"), ("desktop", "cannot be started by links yet")]
)
def test_none_is_started(elsewhere: dict[str, str], start: str, said: str) -> None:
    configure(elsewhere, f'start = "{start}"\ndesktop = "/opt/Slicer/Slicer"\n')
    done = run("open", HTTPS, environment=elsewhere)
    assert done.code == 1
    assert said in done.err


# -- opening ----------------------------------------------------------------------------------------------------------


def test_into_a_slicer_that_runs(slicer: sn.Session, gate: Gate, pacs_data: Data) -> None:
    study = pacs_data.study("thorax")
    link = study_link(study.uid, gate.root, TOKEN)
    done = run("open", "--json", "--session", slicer.name, link)
    assert done.code == 0, done.err
    [found] = done.objects
    assert found["session"] == slicer.name
    assert found["studies"] == [study.uid]
    assert found["instances"] == len(study.instances)
    assert [node.name for node in slicer.nodes("vtkMRMLScalarVolumeNode")] == found["nodes"]
    assert TOKEN not in done.out + done.err
    # The only one that runs is taken without being named; on a terminal there is a bar.
    code, shown = on_terminal(["open", link], "", {})
    assert code == 0, shown
    assert f"{slicer.name}: {len(study.instances)} instances" in shown
    assert TOKEN not in shown


def test_a_failure_is_told_without_the_token(slicer: sn.Session, gate: Gate) -> None:
    done = run("open", study_link("1.2.3.4", gate.root, TOKEN))
    assert done.code == 1
    assert "has nothing of what was asked for" in done.err
    done = run("open", study_link("1.2.3.4", gate.root, "an.other_Token-that=is+wrong"))
    assert done.code == 1
    assert "401" in done.err
    assert "an.other_Token" not in done.out + done.err


def test_yes_agrees(slicer: sn.Session) -> None:
    with Faulty(lambda _request: Reply(404)) as server:
        url = f"slicer://viewer/?download={quote(server.url + '/x.nrrd', safe='')}"
        assert run("open", url).code == 1
        assert server.requests == []
        done = run("open", "--yes", url)
        assert "HTTP 404" in done.err
        assert len(server.requests) == 1


def command_lines() -> str:
    """Those of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(found)


def test_a_new_one_is_started_and_stays(elsewhere: dict[str, str], gate: Gate, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    usual, lines = gate.handler, []

    def look(request: object) -> Reply:
        lines.append(command_lines())
        return usual(request)  # type: ignore[arg-type]

    gate.handler = look
    link = study_link(study.uid, gate.root, TOKEN)
    done = run("open", "--json", link, environment=elsewhere)
    assert done.code == 0, done.err
    [file] = (Path(elsewhere["JUPYTER_RUNTIME_DIR"]) / "slicer_notebook").glob("*.json")
    record = json.loads(file.read_text())
    try:
        assert record["kept"] is True
        assert done.objects[0]["session"] == record["name"]
        os.kill(record["pid"], 0)  # it is there
        # No process has it in its command line by then, not even the one that was given the link.
        assert any("slicer_notebook.cli open --json ***" in each for each in lines)
        assert not any(each in "".join(lines) for each in (TOKEN, quote(TOKEN, safe="")))
        environment = Path(f"/proc/{record['pid']}/environ").read_bytes()
        assert quote(TOKEN, safe="").encode() not in environment
    finally:
        os.kill(record["pid"], signal.SIGKILL)
