"""Which Slicers run: a small record beside each kernel's connection file, in Jupyter's runtime folder."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from pathlib import Path

import msgspec
from jupyter_core.paths import jupyter_runtime_dir

from slicer_notebook.protocol.shm import machine_id

__all__ = ["SessionRecord", "folder", "read_all", "remove", "write"]


class SessionRecord(msgspec.Struct, kw_only=True):
    """A Slicer that was started for sessions.

    Attributes:
        name: the session's name.
        connection_file: the kernel's connection file (0600).
        pid: the kernel's process.
        owner: process that started it.
        started: seconds since the epoch.
        kept: it goes on when its owner ends.
        machine: the machine, its boot and process namespace (`machine_id`): where ``pid`` means something.
        host: the machine's name, the same after a boot.
    """

    name: str
    connection_file: str
    pid: int
    owner: int
    started: float
    kept: bool = False
    machine: str = ""
    host: str = msgspec.field(default_factory=platform.node)

    @property
    def alive(self) -> bool:
        """Whether its process still runs here."""
        return self.machine == machine_id() and _runs(self.pid) and Path(self.connection_file).exists()

    def __repr__(self) -> str:
        age = time.time() - self.started
        return f"<Slicer {self.name!r}: process {self.pid}, up {age / 60:.0f} min>"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        # A zombie has ended; its parent has just not looked.
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    return True


def folder() -> Path:
    """Where the records are; made if need be, for this user only."""
    path = Path(jupyter_runtime_dir()) / "slicer_notebook"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write(record: SessionRecord) -> None:
    """Remember a Slicer."""
    target = folder() / f"{record.name}.json"
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.replace(target)


def remove(name: str) -> None:
    """Forget a Slicer."""
    with contextlib.suppress(FileNotFoundError):
        (folder() / f"{name}.json").unlink()


def read_all() -> list[SessionRecord]:
    """The Slicers that run on this machine, oldest first; records of ended ones are cleared away.

    Those of other machines are left alone: the folder may be on a network drive.
    """
    found = []
    for path in folder().glob("*.json"):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=SessionRecord)
        except (msgspec.MsgspecError, OSError):
            continue
        if record.alive:
            found.append(record)
        elif record.host == platform.node():
            remove(record.name)
    return sorted(found, key=lambda record: record.started)
