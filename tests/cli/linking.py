"""What tests of ``slicer-notebook open`` share: the program as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.cli.commands import Done

PROGRAM = [sys.executable, "-m", "slicer_notebook.cli"]
#: Neither a terminal nor a display, and no other program's folders.
BARE = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": "", "XDG_CURRENT_DESKTOP": "", "DBUS_SESSION_BUS_ADDRESS": ""}


def run(*arguments: str | bytes, environment: Mapping[str, str] | None = None, **options: Any) -> Done:
    """Run the program; what it has printed has no traceback in it."""
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, timeout=100, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **BARE, **(environment or {})}, **options,
    )  # fmt: skip
    found = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in found.err, found.err
    return found
