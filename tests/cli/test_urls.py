"""``slicer-notebook register-urls``: really tried with the desktop's own tools, in folders of the test's own."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import slicer_notebook as sn
from slicer_notebook import cli_urls, testing
from slicer_notebook.cli import app
from slicer_notebook.cli_urls import NAME, desktop_entry, windows_values
from tests.cli.linking import BARE, PROGRAM, run
from tests.commands.linking import TOKEN, Gate, study_link
from tests.pacs.peers.data import Data

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux")


def _need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: xdg-utils, desktop-file-utils)")


@pytest.fixture
def desktop(tmp_path: Path) -> dict[str, str]:
    """A user who has registered nothing."""
    return {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_DIRS": "/usr/share",
        **BARE,
    }


def register(desktop: dict[str, str], *arguments: str) -> int:
    """Exit code of ``register-urls``, in this process."""
    return CliRunner(env=desktop).invoke(app, ["register-urls", *arguments]).exit_code


def default_of(scheme: str, desktop: dict[str, str]) -> str:
    done = subprocess.run(
        ["xdg-mime", "query", "default", f"x-scheme-handler/{scheme}"], capture_output=True, text=True, timeout=20,
        check=False, env={**os.environ, **desktop},
    )  # fmt: skip
    return done.stdout.strip()


@LINUX
def test_schemes_are_registered_and_taken_back(desktop: dict[str, str]) -> None:
    _need("xdg-mime", "update-desktop-database", "desktop-file-validate")
    assert run("register-urls", environment=desktop).code == 0
    file = Path(desktop["XDG_DATA_HOME"]) / "applications" / NAME
    validated = subprocess.run(["desktop-file-validate", file], capture_output=True, text=True, timeout=20, check=False)
    assert (validated.returncode, validated.stdout) == (0, "")
    assert [default_of(scheme, desktop) for scheme in ("slicer", "osirix", "horos")] == [NAME] * 3
    assert register(desktop) == 0  # a second time changes nothing
    assert register(desktop, "--remove", "--scheme", "horos") == 0
    assert default_of("slicer", desktop) == NAME
    assert default_of("horos", desktop) != NAME
    assert "horos" not in file.read_text()
    assert register(desktop, "--remove") == 0
    assert not file.exists()
    assert [default_of(scheme, desktop) for scheme in ("slicer", "osirix", "horos")] == [""] * 3


@LINUX
def test_only_some_schemes_and_other_associations_stay(desktop: dict[str, str]) -> None:
    _need("xdg-mime", "update-desktop-database")
    lists = Path(desktop["XDG_CONFIG_HOME"]) / "mimeapps.list"
    lists.parent.mkdir()
    lists.write_text("[Default Applications]\nx-scheme-handler/osirix=other.desktop\ntext/plain=editor.desktop\n")
    assert register(desktop, "--scheme", "slicer", "--scheme", "HOROS://") == 0
    text = lists.read_text()
    assert "x-scheme-handler/osirix=other.desktop" in text
    assert f"x-scheme-handler/slicer={NAME}" in text
    assert register(desktop, "--remove") == 0
    text = lists.read_text()
    assert "x-scheme-handler/osirix=other.desktop" in text
    assert "text/plain=editor.desktop" in text
    assert NAME not in text
    assert register(desktop, "--scheme", "https") == 2


@LINUX
def test_without_the_desktops_tools_it_says_what_to_install(desktop: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("register-urls", environment={**desktop, "PATH": str(tmp_path / "empty")})
    assert done.code == 1
    assert "xdg-utils" in done.err


@pytest.fixture
def gate(orthanc: testing.Orthanc) -> Iterator[Gate]:
    with Gate(orthanc) as found:
        yield found


@LINUX
def test_xdg_open_leads_to_the_study_in_a_running_slicer(
    slicer: sn.Session, gate: Gate, pacs_data: Data, desktop: dict[str, str]
) -> None:
    _need("xdg-open", "xdg-mime", "update-desktop-database")
    assert register(desktop) == 0
    study = pacs_data.study("bare")
    link = study_link(study.uid, gate.root, TOKEN)
    desktop["DISPLAY"] = ":77"  # without one, xdg-open looks for browsers of a terminal only
    done = subprocess.run(
        ["xdg-open", link], capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **desktop},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    background = slicer.eval(
        "slicer.mrmlScene.GetNodeByID(slicer.app.layoutManager().sliceWidget('Red').sliceLogic()"
        ".GetSliceCompositeNode().GetBackgroundVolumeID()).GetAttribute('DICOM.StudyInstanceUID')"
    )
    assert background == study.uid
    # One link is one argument, whatever is in it: nothing of it is a command.
    evil = Path(desktop["HOME"]) / "evil"
    bad = f"slicer://viewer/?$(touch {evil})`touch {evil}`;touch {evil}|touch {evil}&'\" --yes %u"
    done = subprocess.run(
        ["xdg-open", bad], capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **desktop},
    )  # fmt: skip
    assert done.returncode != 0
    assert not evil.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["/usr/bin/slicer-notebook", "open"],
        ["/opt/my env/bin/slicer-notebook", "open"],
        ['/a "b" $c `d` \\e 100%/x', "open"],
    ],
)
def test_the_command_of_a_desktop_entry(command: list[str]) -> None:
    """Read back by the rules of the specification: the value is unescaped, then taken apart in quotes."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(desktop_entry(command, ["slicer"]))
    value = parser["Desktop Entry"]["Exec"].replace("\\\\", "\\")
    found = re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', value)
    *words, last = [re.sub(r"\\(.)", r"\1", quoted) or bare for quoted, bare in found]
    assert last == "%u"
    assert [word.replace("%%", "%") for word in words] == command
    assert parser["Desktop Entry"]["MimeType"] == "x-scheme-handler/slicer;"


def test_what_windows_is_told() -> None:
    """As Slicer's own installer writes it; not run."""
    found = windows_values("slicer", [r"C:\Program Files\Python\Scripts\slicer-notebook.exe", "open"])
    key = r"Software\Classes\Slicer"
    assert found[key, "URL Protocol"] == ""
    command = found[rf"{key}\shell\open\command", ""]
    assert command == r'"C:\Program Files\Python\Scripts\slicer-notebook.exe" "open" "%1"'


def test_a_system_that_is_none_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_urls.sys, "platform", "darwin")
    with pytest.raises(sn.errors.LinkError, match="bundle"):
        cli_urls.register_urls(scheme=None, remove=False)
    assert PROGRAM
