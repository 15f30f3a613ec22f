"""Helper processes: plain Python interpreters spoken to over pipes, in messages of a length and that many bytes.

They read headers on other cores (`rows`) and run decoders that may take their process down with them (`decode`). A
``multiprocessing`` pool would not do: it would fork a process that holds VTK and a Jupyter kernel's threads, or
(spawned) run the user's script again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

__all__ = ["HelperProcess", "can_start", "cores", "receive", "send", "serving_pipes"]

#: Bytes of a message's length, little endian.
_PREFIX: Final = 8


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_start() -> bool:
    """Whether ``sys.executable`` is an interpreter: in a program with Python inside, it may be that program."""
    return "python" in Path(sys.executable or "").name.lower()


def send(sink: IO[bytes], message: bytes) -> None:
    """Write one message."""
    sink.write(len(message).to_bytes(_PREFIX, "little"))
    sink.write(message)
    sink.flush()


def receive(source: IO[bytes]) -> bytes:
    """Read one message.

    Raises:
        EOFError: the other end is gone.
    """
    prefix = source.read(_PREFIX)
    size = int.from_bytes(prefix, "little")
    message = source.read(size) if len(prefix) == _PREFIX else b""
    if len(prefix) < _PREFIX or len(message) < size:
        raise EOFError
    return message


def serving_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """In a helper: where messages come from and go to. What libraries print, C libraries too, goes to stderr."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, sink


class HelperProcess:
    """A Python process that runs one function of this package, or a script, which serves messages from stdin to stdout.

    It ends when this process does, however that ends: its input is then at its end.

    Args:
        function: ``module:function`` to run.
        script: a file to run in its place, with what ``site`` would load left out: it begins sooner.
        pipe_size: bytes that each pipe holds, where the system lets them be set (Linux); -1: its own choice.
    """

    def __init__(self, function: str = "", *, script: str = "", pipe_size: int = -1) -> None:
        module, _, name = function.partition(":")
        what = ["-S", script] if script else ["-c", f"from {module} import {name}; {name}()"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", *what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            pipesize=pipe_size,
            # An interrupt at the terminal is the parent's to handle.
            start_new_session=True,
        )

    def ask(self, message: bytes) -> bytes:
        """Send a message and wait for the answer.

        Raises:
            EOFError: the process is gone.
        """
        sink, source = self._process.stdin, self._process.stdout
        if sink is None or source is None:
            raise EOFError
        try:
            send(sink, message)
            return receive(source)
        except (OSError, ValueError) as exc:  # a broken or a closed pipe
            raise EOFError from exc

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once; a thread that waits in `ask` gets an EOFError."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free its pipes; no thread may be in `ask`."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._process.wait()
