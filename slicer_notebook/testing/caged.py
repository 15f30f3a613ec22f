"""Starting a server for a test so that nobody but this machine reaches it, whatever addresses it binds.

Where the kernel allows it the server runs in a network namespace that has a loopback interface and nothing else;
sockets that listen on the host's 127.0.0.1 pass connections on to it, and sockets in there pass on what it sends out.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from slicer_notebook.dicom.processes import can_start
from slicer_notebook.errors import DeadlineError, PacsError

__all__ = ["Caged", "NoNamespaceError", "free_port"]

_KEEPER: Final = Path(__file__).with_name("_keeper.py")
#: Below what the kernel gives to outgoing connections, and above what services have.
_PORTS: Final = range(20000, 32000)
#: Lines of the server's output shown when it does not start.
_LAST_LINES: Final = 15
#: Seconds that the keeper has for what takes milliseconds.
_PATIENCE: Final = 30.0

_given_lately: set[int] = set()
_running: weakref.WeakSet[Caged] = weakref.WeakSet()


class NoNamespaceError(PacsError):
    """The kernel allows no network namespace here."""


def free_port(*, besides: Iterable[int] = ()) -> int:
    """A TCP port of the loopback interface that nobody listens on; never one that was given out here before."""
    with _bound_door(set(besides)) as door:
        return int(door.getsockname()[1])


def _bound_door(besides: set[int]) -> socket.socket:
    """A socket bound to a free port by its number: such a one keeps it also while it does not listen."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in besides or port in _given_lately:
            continue
        door = socket.socket()
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            door.close()
            continue
        _given_lately.add(port)
        return door
    raise PacsError("No TCP port is free.", expected=f"a port between {_PORTS.start} and {_PORTS.stop}")


class Caged:
    """A server process on loopback ports of its own, with a folder of its own; both are gone after `close`.

    The ports that it listens on are the same inside and outside. Connections are refused while it does not run.

    Args:
        ports: how many TCP ports it listens on.
        outward: ports of the host's loopback interface that it connects to.
        namespace: False: without a network namespace, on whatever addresses the server binds itself.

    Raises:
        NoNamespaceError: the kernel allows none.
    """

    def __init__(self, name: str, *, ports: int, outward: Sequence[int] = (), namespace: bool = True) -> None:
        self.name = name
        self.namespace = namespace
        self.folder = Path(tempfile.mkdtemp(prefix=f"slicer-notebook-{name}-"))
        self.ports: list[int] = []
        self.outward = list(outward)
        #: Starts a program inside the namespace, in front of its own arguments; empty without one.
        self.command_prefix: list[str] = []
        self.pid: int | None = None
        self.owner = os.getpid()
        self._lock = threading.RLock()
        self._answers = b""
        self._log = ""
        self._keeper: subprocess.Popen[bytes] | None = None
        doors = [_bound_door(set(outward)) for _ in range(ports)]
        try:
            self.ports = [door.getsockname()[1] for door in doors]
            self._start_keeper(doors)
        except BaseException:
            self.close(grace=0)
            raise
        finally:
            for door in doors:
                door.close()

    def _start_keeper(self, doors: list[socket.socket]) -> None:
        descriptors = [door.fileno() for door in doors] if self.namespace else []
        self._keeper = subprocess.Popen(
            [_interpreter(), "-I", "-S", str(_KEEPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,  # an interrupt at the terminal is ours to handle
        )
        _running.add(self)
        self._say(
            do="set_up",
            doors=list(zip(descriptors, self.ports, strict=False)),
            outward=self.outward,
            namespace=self.namespace,
            folder=str(self.folder),
        )
        answer = self._hear({"prefix"}, time.monotonic() + _PATIENCE)
        if answer["prefix"] is None:
            raise NoNamespaceError(
                f"{self.name} cannot be shut off from the network.",
                expected="a kernel that lets a user make network namespaces",
                got=str(answer["why"]),
                hint="namespace=False starts it without; it may then listen on all interfaces",
            )
        self.command_prefix = answer["prefix"]

    def start(self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout: float = 30) -> None:
        """Start the server and wait until it listens on its ports.

        Raises:
            PacsError: it could not be started, or it ended at once.
            DeadlineError: it does not listen after ``timeout`` seconds.
        """
        with self._lock:
            if self.running:
                raise PacsError(f"{self.name} runs already.")
            self._say(
                do="start", argv=list(argv), env=dict(environment or {}), log=str(self._log_file), ports=self.ports
            )
            answer = self._hear({"pid", "failed"}, time.monotonic() + _PATIENCE)
            if "failed" in answer:
                raise PacsError(f"{self.name} could not be started.", got=f"{argv[0]}: {answer['failed']}")
            try:
                answer = self._hear({"ready", "exited"}, time.monotonic() + timeout)
            except DeadlineError as exc:
                self.end(grace=0)
                raise DeadlineError(
                    f"{self.name} did not listen after {timeout:g} s.", got=self._last_words() or "no output"
                ) from exc
            if "exited" in answer:
                raise PacsError(
                    f"{self.name} ended when it was started.",
                    got=f"exit code {answer['exited']}; its last words:\n{self._last_words()}",
                )

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        with self._lock:
            self._drain()
            return self.pid is not None

    def end(self, grace: float = 10.0) -> None:
        """End the server and wait for that; it is killed after ``grace`` seconds. `start` starts it again."""
        with self._lock:
            if not self.running:
                return
            self._say(do="end", grace=grace)
            self._hear({"exited"}, time.monotonic() + grace + _PATIENCE)

    def close(self, grace: float = 10.0) -> None:
        """End the server and everything that belongs to it, and remove the folder; a second time does nothing."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
            if keeper is not None:
                self._keeper = keeper
                with contextlib.suppress(PacsError):
                    self.end(grace)
                self._log = self.log
                self._keeper, self.pid = None, None
                for pipe in (keeper.stdin, keeper.stdout):
                    if pipe is not None:
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()
                try:
                    keeper.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    keeper.kill()  # the server dies with it
                    keeper.wait()
            _running.discard(self)
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the server has printed."""
        try:
            return self._log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return self._log

    @property
    def _log_file(self) -> Path:
        return self.folder / "log.txt"

    def _last_words(self) -> str:
        return "\n".join(self.log.splitlines()[-_LAST_LINES:])

    # -- the keeper's pipes -------------------------------------------------------------------------------------------

    def _say(self, **command: Any) -> None:
        try:
            if self._keeper is None or self._keeper.stdin is None:
                raise PacsError(f"{self.name} was closed.", hint="make another one")
            self._drain()
            self._keeper.stdin.write(json.dumps(command).encode() + b"\n")
            self._keeper.stdin.flush()
        except (OSError, ValueError) as exc:
            raise self._gone() from exc

    def _hear(self, wanted: set[str], deadline: float) -> dict[str, Any]:
        """The next answer that has one of the names ``wanted``."""
        while True:
            answer = self._next(deadline)
            if answer is None:
                raise DeadlineError(f"{self.name}: no answer of its keeper.", expected=" or ".join(sorted(wanted)))
            if wanted & set(answer):
                return answer

    def _drain(self) -> None:
        """Take note of what was said meanwhile: the server may have ended by itself."""
        while self._keeper is not None and self._next(0.0) is not None:
            continue

    def _next(self, deadline: float) -> dict[str, Any] | None:
        """The next answer; None when there was none until ``deadline``."""
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        pipe = self._keeper.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while b"\n" not in self._answers:
            if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
                return None
            data = os.read(pipe, 1 << 16)
            if not data:
                self.pid = None
                if deadline:
                    raise self._gone()
                return None
            self._answers += data
        line, _, self._answers = self._answers.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "pid" in answer:
            self.pid = answer["pid"]
        elif "exited" in answer:
            self.pid = None
        return answer

    def _gone(self) -> PacsError:
        return PacsError(f"The process that looks after {self.name} has ended.", hint="make another one")


def _interpreter() -> str:
    """A Python: in a program with Python inside, ``sys.executable`` may be that program."""
    found = sys.executable if can_start() else shutil.which("python3")
    if not found:
        raise PacsError("There is no Python to start a server with.", expected="python3 on the PATH")
    return found


@atexit.register
def _close_all() -> None:
    for caged in list(_running):
        if caged.owner == os.getpid():  # not in a process that was forked from it
            caged.close(grace=0)
