"""Real programs that speak OpenIGTLink (the C++ library's examples, pyigtl), and what collects what comes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError

HERE = Path(__file__).parent
EXAMPLES = Path("/usr/share/doc/openigtlink-examples/examples")
HEADERS = Path("/usr/include/openigtlink")

#: Seconds that anything is waited for; a busy machine takes long, a broken one for ever.
PATIENCE = 30.0

_T = TypeVar("_T")


class Heard:
    """Callbacks that keep what they were told, for a test to wait for."""

    def __init__(self) -> None:
        self.messages: list[igtl.Message] = []
        self.problems: list[OpenIGTLinkError] = []
        self.states: list[tuple[str, str]] = []
        self.skipped: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    @property
    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_message": lambda peer, message: self._add(self.messages, message),
            "on_problem": lambda peer, error: self._add(self.problems, error),
            "on_peer": lambda peer, state, reason: self._add(self.states, (state, reason)),
            "on_skipped": lambda peer, type_, device: self._add(self.skipped, (type_, device)),
        }

    def wait(self, until: Callable[[], _T], seconds: float = PATIENCE) -> _T:
        """Wait until something is true of what was heard; what it was."""
        end = time.monotonic() + seconds
        with self._changed:
            while not (found := until()):
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    found = until()
                    assert found, f"not in {seconds} s: {self.states} {self.problems} {len(self.messages)} messages"
                    break
        return found

    def message(self, fits: Callable[[igtl.Message], bool] = lambda _: True) -> igtl.Message:
        """Wait for a message."""
        return self.wait(lambda: [m for m in self.messages if fits(m)])[0]

    def of_type(self, type_: str, count: int = 1) -> list[igtl.Message]:
        """Wait for so many messages of a type."""
        return self.wait(lambda: found if len(found := [m for m in self.messages if m.type == type_]) >= count else [])

    def problem(self) -> OpenIGTLinkError:
        """Wait for a problem."""
        return self.wait(lambda: self.problems)[0]

    def _add(self, to: list[Any], what: Any) -> None:
        with self._changed:
            to.append(what)
            self._changed.notify_all()


def free_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Program:
    """A running program, with what it has written so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, fits: Callable[[str], bool] | str, seconds: float = PATIENCE) -> str:
        """Wait until what it has written fits, or has that text in it; all of it."""
        fitting = (lambda text: fits in text) if isinstance(fits, str) else fits
        end = time.monotonic() + seconds
        with self._changed:
            while not fitting(self.text):
                left = end - time.monotonic()
                assert left > 0, f"not written in {seconds} s: {fits}\n{self.text}"
                assert self._reader.is_alive(), f"ended without: {fits}\n{self.text}"
                self._changed.wait(min(left, 1.0))
        return self.text

    def say(self, line: str) -> None:
        """Write a line to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()


@contextmanager
def running(*command: str, env: dict[str, str] | None = None) -> Iterator[Program]:
    """A program, ended afterwards."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Cpp:
    """Programs made with Debian's OpenIGTLink library, compiled once for each run of the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, *names: str) -> None:
        """Compile the examples of those names ("Tracker/TrackerServer"), and the peers beside this file ("echo")."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._compile, [*names, "loopback"]))

    @contextmanager
    def run(self, name: str, *arguments: object) -> Iterator[Program]:
        """One of them, running; servers listen on the loopback interface only."""
        preload = str(self._folder / "loopback")
        with running(str(self._folder / Path(name).name), *map(str, arguments), env={"LD_PRELOAD": preload}) as program:
            yield program

    def _compile(self, name: str) -> None:
        target = self._folder / Path(name).name
        if name == "loopback":
            command = ["g++", "-x", "c", "-shared", "-fPIC", str(HERE / "loopback.c"), "-o", str(target), "-ldl"]
        else:
            source = EXAMPLES / f"{name}.cxx" if "/" in name else HERE / f"{name}.cxx"
            command = ["g++", "-w", f"-I{HEADERS}", str(source), "-o", str(target), "-lOpenIGTLink", "-lpthread"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert made.returncode == 0, made.stderr


def needs_cpp() -> None:
    """Skip where Debian's packages are not there, and say which."""
    missing = [
        package
        for package, there in (
            ("g++", shutil.which("g++")),
            ("libopenigtlink-dev", HEADERS.is_dir()),
            ("openigtlink-examples", EXAMPLES.is_dir()),
        )
        if not there
    ]
    if missing:
        pytest.skip(f"The C++ peers need the Debian packages {' '.join(missing)}.")


def python(script: str, *arguments: object) -> tuple[str, ...]:
    """The command that runs a script of this folder."""
    return (sys.executable, "-u", str(HERE / script), *map(str, arguments))
