"""The program `slicer-notebook pacs` as real processes, with a configuration and an index of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from slicer_notebook.pacs import config
from slicer_notebook.testing import Orthanc
from tests.pacs.peers.data import DataStudy

__all__ = ["SECRET", "Commands", "Done", "both", "identity"]

#: Environment variable of the password.
SECRET = "CLI_TEST_PASSWORD"
_DATABASE = frozenset({"get", "store", "watch"})


class Done:
    """What a process has printed, and how it ended.

    Attributes:
        lines: of standard output. objects: the same, as JSON.
    """

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Commands:
    """Calls the program.

    Args:
        folder: for configuration, index and files.
        password: of the environment variable `SECRET`; it must never be printed.
    """

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder = folder
        self.database = folder / "index.sqlite3"
        self.password = password
        self.environment = {
            **os.environ,
            "SLICER_NOTEBOOK_CONFIG": str(folder / "config"),
            "SLICER_NOTEBOOK_DATA": str(folder / "data"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            **({SECRET: password} if password else {}),
        }

    def knows(self, name: str, url: str, **settings: Any) -> None:
        """Configure a PACS."""
        config.add(name, url, path=self.folder / "config" / "pacs.toml", **settings)

    def line(self, command: str, *arguments: str | Path) -> list[str]:
        """The command line, with the index where the command has one."""
        database = ["--database", str(self.database)] if command in _DATABASE else []
        program = [sys.executable, "-m", "slicer_notebook.cli", "pacs", command]
        return [*program, *database, *map(str, arguments)]

    def __call__(self, command: str, *arguments: str | Path, code: int = 0) -> Done:
        """Run it; it must end with that exit code."""
        done = subprocess.run(
            self.line(command, *arguments), capture_output=True, timeout=60, check=False,
            env=self.environment, cwd=self.folder,
        )  # fmt: skip
        found = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert found.code == code, found.err
        return self.looked_at(found)

    def begin(self, command: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start it, and do not wait."""
        return subprocess.Popen(
            self.line(command, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment, cwd=self.folder,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[bytes]) -> Done:
        """Wait for the end of what was begun."""
        out, err = process.communicate(timeout=60)
        return self.looked_at(Done(process.returncode, out.decode(), err.decode()))

    def looked_at(self, done: Done) -> Done:
        """Neither a traceback nor a secret is in it."""
        assert "Traceback" not in done.err
        assert not self.password or self.password not in done.out + done.err
        return done


def identity(*studies: DataStudy) -> set[str]:
    """What tells who these patients are."""
    names = {part for study in studies for part in study.name.replace("=", "^").split("^") if len(part) > 2}
    return names | {study.patient_id for study in studies} | {study.accession for study in studies}


def both(orthanc: Orthanc, commands: Commands) -> Commands:
    """An archive as the PACS "hospital" (DIMSE) and "web" (DICOMweb)."""
    commands.knows("hospital", orthanc.dimse_url)
    commands.knows("web", orthanc.dicomweb_url, user=orthanc.user, password=f"env:{SECRET}")
    return commands
