"""The process that keeps a server under test: in a network of its own, reached through relays, ended with its owner.

Run as a script by `caged`, with the standard library only. It reads commands from stdin, a JSON object a line, and
answers on stdout in the same way. Two processes: this one goes into a network namespace that has a loopback interface
and nothing else, starts the server there and passes on what comes in; a child stays outside and passes on what the
server sends out. When stdin ends, however the owner ended, the server is ended and the folder removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slicer_notebook.testing._relay import Relay, tune
else:  # a script, which its folder is enough for: importing the package would take longer than the rest
    sys.path.insert(0, str(Path(__file__).parent))
    from _relay import Relay, tune

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
#: Seconds between two looks whether the server listens.
_LOOK: Final = 0.01
#: Seconds that a server has to end when its owner is gone: what an orderly end would save is removed anyway.
_GRACE_ORPHANED: Final = 0.0

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_own_network() -> str:
    """Go into a new network namespace and bring its loopback interface up; the options that nsenter needs to follow.

    Raises:
        OSError: the kernel does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET), "unshare")
        # The same user inside, so that files belong to whom they did.
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        entered = "-U -n --preserve-credentials"
    except OSError:
        if user != 0:
            raise
        _checked(_libc.unshare(_CLONE_NEWNET), "unshare")  # root may, also where user namespaces are switched off
        entered = "-n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    return entered


def serve_outside(link: socket.socket) -> None:
    """Outside the namespace: pass on what comes to the sockets that were made inside, until the other end is gone."""
    relay = Relay()

    def doors_come() -> None:
        data, descriptors, _, _ = socket.recv_fds(link, 65536, 128)
        if not data:
            os._exit(0)
        for descriptor, port in zip(descriptors, json.loads(data), strict=True):
            relay.open(socket.socket(fileno=descriptor), port)
        link.send(b"1")

    relay.watch(link.fileno(), doors_come)
    while True:
        relay.once(-1)


class Keeper:
    """One server and what belongs to it."""

    def __init__(self) -> None:
        self._relay = Relay()
        self._input = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._doors: list[tuple[socket.socket, int]] = []
        self._ports: list[int] = []
        self._ready = True
        self._kill_at: float | None = None
        self._folder: str | None = None
        self._ending = False
        self._caged = False
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # what wakes us is the pipe
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._relay.watch(0, self._commands)
        self._wakes = read
        self._relay.watch(read, self._woken)

    def run(self) -> None:
        """Until the owner is gone and the server has ended."""
        while not (self._ending and self._process is None):
            self._relay.once(self._timeout())
            self._look_after()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._say(ended=True)

    def _woken(self) -> None:
        os.read(self._wakes, 4096)

    def _timeout(self) -> float:
        if not self._ready:
            return _LOOK
        return -1 if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def _look_after(self) -> None:
        if self._process is None:
            return
        code = self._process.poll()
        if code is not None:
            self._process, self._kill_at, self._ready = None, None, True
            self._relay.shut()
            self._say(exited=code)
        elif self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._process.kill()
        elif not self._ready and all(_listens(port) for port in self._ports):
            self._ready = True
            for door, port in self._doors:
                self._relay.open(door, port)
            self._say(ready=True)

    def _commands(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            self._relay.forget(0)
            self._end()
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, "do_" + command.pop("do"))(**command)

    def _end(self) -> None:
        self._ending = True
        if self._process is not None:
            self.do_end(_GRACE_ORPHANED)

    def do_set_up(self, doors: list[list[int]], outward: list[int], namespace: bool, folder: str | None) -> None:
        """``doors``: descriptors of bound sockets of the host and ports inside; ``outward``: ports inside and out."""
        self._folder = folder
        if not namespace:
            self._say(prefix=[], why="")
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            for descriptor in (0, 1, ours.fileno(), *(door[0] for door in doors)):
                os.close(descriptor)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve_outside(theirs)
        theirs.close()
        self._link = ours
        try:
            options = enter_own_network().split()
            if outward:
                inside = [_bound(port) for port in outward]
                socket.send_fds(ours, [json.dumps(outward).encode()], [door.fileno() for door in inside])
                ours.recv(1)
                for door in inside:
                    door.close()
        except OSError as exc:
            ours.close()
            self._say(prefix=None, why=exc.strerror or str(exc))
            return
        self._caged = True
        self._doors = [(socket.socket(fileno=descriptor), port) for descriptor, port in doors]
        self._say(prefix=["nsenter", "-t", str(os.getpid()), *options, "--"], why="")

    def do_start(self, argv: list[str], env: dict[str, str], log: str, ports: list[int]) -> None:
        """Start the server; it is ready when it listens at all ``ports``."""
        try:
            with Path(log).open("ab") as output:
                self._process = subprocess.Popen(
                    argv,
                    env={**os.environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._folder,
                    preexec_fn=_die_with_us,  # noqa: PLW1509 - this process has one thread
                )
        except OSError as exc:
            self._say(failed=exc.strerror or str(exc))
            return
        self._ports, self._ready = ports, False
        self._say(pid=self._process.pid)

    def do_end(self, grace: float) -> None:
        """Ask the server to end; after ``grace`` seconds it is killed."""
        if self._process is not None:
            if grace > 0:
                self._process.terminate()
            self._ready = True
            self._kill_at = time.monotonic() + grace
        else:
            self._say(exited=None)

    @staticmethod
    def _say(**answer: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(1, json.dumps(answer).encode() + b"\n")


def _die_with_us() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _bound(port: int) -> socket.socket:
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", port))
    return door


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        tune(trial)
        trial.setblocking(True)
        trial.settimeout(1.0)
        return trial.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    # The server's own writing to a closed pipe must not end us.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Keeper().run()
