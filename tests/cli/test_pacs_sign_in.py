"""``slicer-notebook pacs`` where somebody signs in by a code: real processes, with a terminal and without."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.pacs import config
from slicer_notebook.testing import Orthanc
from tests.pacs.dicomweb.signing import DEADLINE, Door, behind

#: Seconds until a program must have ended.
PATIENCE = 60.0


class Program:
    """A run of the command; its standard error may be a terminal."""

    def __init__(self, where: Path, *args: str, terminal: bool = True, keyring: bool = False) -> None:
        environment = {**os.environ, "SLICER_NOTEBOOK_CONFIG": str(where), "PYTHONPATH": str(Path(__file__).parents[2])}
        if keyring:
            environment["PYTHON_KEYRING_BACKEND"] = "tests.pacs.filed_keyring.Filed"
            environment["FILED_KEYRING"] = str(where / "keyring.json")
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slicer_notebook.cli", "pacs", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave if terminal else subprocess.PIPE,
            env=environment,
        )
        os.close(slave)
        self._said: list[bytes] = []
        self._new = threading.Condition()
        stream = os.fdopen(master, "rb", 0) if terminal else self.process.stderr
        if not terminal:
            os.close(master)
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: Any) -> None:
        while True:
            try:
                found = stream.read(1024) if not isinstance(stream, int) else b""
            except OSError:  # a terminal whose other end is gone
                break
            if not found:
                break
            with self._new:
                self._said.append(found)
                self._new.notify_all()

    @property
    def said(self) -> str:
        """What came on standard error."""
        return b"".join(self._said).decode()

    def until(self, text: str) -> None:
        with self._new:
            assert self._new.wait_for(lambda: text in self.said, PATIENCE), self.said

    def end(self) -> tuple[int, list[Any]]:
        """Its exit code, and what its lines of JSON say."""
        out, _ = self.process.communicate(timeout=PATIENCE) if self.process.stderr is None else (self._out(), None)
        self._reader.join(DEADLINE)
        return self.process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]

    def _out(self) -> bytes:
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.wait(PATIENCE)
        return out


@pytest.fixture
def door(orthanc: Orthanc, tmp_path: Path) -> Iterator[Door]:
    with Door(behind(orthanc)) as running:
        config.add("web", running.url, path=tmp_path / "pacs.toml", **running.settings)
        yield running


def test_the_code_is_on_standard_error_and_the_answers_on_standard_output(door: Door, tmp_path: Path) -> None:
    program = Program(tmp_path, "find", "web", "PatientID=*", "--json")
    program.until("ABCD-0001")
    assert f"{door.root}/device?user_code=ABCD-0001" in program.said
    assert re.search(r"Waiting \(\d+ s left\)", program.said)
    door.answer()
    code, answers = program.end()
    assert code == 0
    assert all("StudyInstanceUID" in each for each in answers)
    assert len(answers) > 3
    assert "Signed in" in program.said
    assert not [secret for secret in door.secrets if secret in program.said + json.dumps(answers)]


@pytest.mark.parametrize(("state", "words"), [("denied", "was denied"), ("expired", "Nobody signed in")])
def test_a_no_is_exit_code_1(door: Door, tmp_path: Path, state: str, words: str) -> None:
    program = Program(tmp_path, "find", "web", "PatientID=*", "--json")
    door.answer(state)
    code, answers = program.end()
    assert (code, answers) == (1, [])
    assert words in program.said
    assert "what to do" in program.said


def test_get_says_it_in_its_last_line(door: Door, tmp_path: Path) -> None:
    program = Program(
        tmp_path, "get", "web", "PatientID=X", "--json", "--database", str(tmp_path / "index.sqlite3")
    )  # fmt: skip
    door.answer("denied")
    code, lines = program.end()
    assert code == 1
    assert lines[-1]["complete"] is False
    assert "was denied" in lines[-1]["error"]["message"]


def test_without_a_terminal_it_ends_at_once_and_says_how(door: Door, tmp_path: Path) -> None:
    program = Program(tmp_path, "find", "web", "PatientID=*", "--json", terminal=False)
    code, answers = program.end()
    assert (code, answers) == (1, [])
    assert "Somebody must sign in at the PACS 'web'" in program.said
    assert "slicer-notebook pacs sign-in web" in program.said
    assert door.forms == []


def test_interrupted_while_it_waits(door: Door, tmp_path: Path) -> None:
    program = Program(tmp_path, "find", "web", "PatientID=*", "--json")
    program.until("ABCD-0001")
    program.process.send_signal(signal.SIGINT)
    code, answers = program.end()
    assert (code, answers) == (1, [])
    assert "Traceback" not in program.said


def test_sign_in_is_kept_for_a_job_at_night_until_sign_out(door: Door, tmp_path: Path) -> None:
    program = Program(tmp_path, "sign-in", "web", keyring=True, terminal=False)
    door.answer()
    assert program.end()[0] == 0, program.said
    assert "ABCD-0001" in program.said
    kept = (tmp_path / "keyring.json").read_text()
    assert door.refresh in kept
    night = Program(tmp_path, "find", "web", "PatientID=*", "--json", keyring=True, terminal=False)
    code, answers = night.end()
    assert code == 0, night.said
    assert answers
    assert door.asked == 1
    assert Program(tmp_path, "test", "web", keyring=True, terminal=False).end()[0] == 0
    assert Program(tmp_path, "sign-out", "web", keyring=True, terminal=False).end()[0] == 0
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}
    assert Program(tmp_path, "find", "web", keyring=True, terminal=False).end()[0] == 1


def test_sign_in_without_a_keyring_asks_nobody(door: Door, tmp_path: Path) -> None:
    program = Program(tmp_path, "sign-in", "web", terminal=False)
    assert program.end()[0] == 1
    assert "no keyring" in program.said
    assert door.forms == []


def test_sign_in_that_cannot_be_kept(door: Door, tmp_path: Path) -> None:
    door.refreshes = False
    program = Program(tmp_path, "sign-in", "web", keyring=True, terminal=False)
    door.answer()
    assert program.end()[0] == 1
    assert "could not be kept" in program.said
