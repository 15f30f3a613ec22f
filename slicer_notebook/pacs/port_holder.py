"""Who listens on a port of this machine, as far as Linux tells (/proc)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Holder", "holder_of"]

_PROC: Final = Path("/proc")
#: The state of a socket that listens, in /proc/net/tcp.
_LISTENS: Final = "0A"


class Holder(NamedTuple):
    """Who it is.

    Attributes:
        words: such as "process 4711 (orthanc)", "a process of the user 'pacs'".
        pid: None where it is another user's.
        ours: whether it is a storage SCP of this library.
    """

    words: str
    pid: int | None = None
    ours: bool = False


def holder_of(port: int) -> Holder | None:
    """Who listens on a port; None where that cannot be told."""
    sockets = dict(_listening(port))
    if not sockets:
        return None
    links = {f"socket:[{inode}]" for inode in sockets}
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if any(os.readlink(entry.path) in links for entry in os.scandir(process / "fd")):
                return _described(process)
    return Holder(f"a process of the user {_user(next(iter(sockets.values())))!r}")


def _listening(port: int) -> Iterator[tuple[str, int]]:
    """Inodes of sockets that listen there, and ids of their users."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (_PROC / "net" / name).read_text("ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9], int(words[7])


def _described(process: Path) -> Holder:
    # Of the command line only this: it may have secrets in it.
    ours = b"slicer_notebook.pacs.receiver" in (process / "cmdline").read_bytes().split(b"\0")
    name = (process / "comm").read_text("utf-8", "replace").strip()
    return Holder(
        f"process {process.name} ({'a storage SCP of slicer-notebook' if ours else name})", int(process.name), ours
    )


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
