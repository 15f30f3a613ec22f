"""An OpenIGTLink connection as a Slicer keeps it: what it may do, what it has said, what was wrong with it.

An entry is a dictionary: ``id``; ``kind``: "client" (we connected) or "server" (it connected to us); ``peer``: address
and port; ``state``: "connecting", "open", "lost" (it is tried again) or "closed"; ``version``: the header version it
has shown to know, None before it said anything; ``take_all_as_ras``; ``allow``: what its COMMANDs may do beside what is
safe; ``by``: who asked; ``received``, ``sent``: messages; ``rate``: received a second, lately; ``capability``: types
that it says it knows; ``status``: its last STATUS in words; ``problems``: the latest lines of what was wrong, each a
dictionary of ``at`` (seconds since the epoch), ``text`` and ``times``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from slicer_notebook.commands.gateway import Allowed, Line
from slicer_notebook.igtl.message import Message

__all__ = ["Connection", "Link"]

#: Lines of problems that are kept.
_PROBLEMS: Final = 50


class Link(Protocol):
    """What the messages of a connection go through (`slicer_notebook.igtl`)."""

    @property
    def version(self) -> int | None:
        """Header version that the peer has shown to know."""

    def send(self, message: Message, *, stream: bool = False) -> bool:
        """Send a message, without waiting. Raises `OpenIGTLinkError`."""

    def close(self) -> None:
        """End it."""


@dataclass(eq=False)
class Connection:
    """One connection. Counted on its thread."""

    id: int
    kind: Literal["client", "server"]
    peer: str
    as_ras: bool = False
    #: the peer's COMMANDs are run, as far as `allow` goes
    obeys: bool = True
    allow: tuple[Allowed, ...] = ()
    files: tuple[str, ...] | None = None
    #: path of the DICOM index that its commands use; None for the user's own
    database: str | None = None
    by: str = ""
    state: Literal["connecting", "open", "lost", "closed"] = "connecting"
    link: Link | None = None
    received: int = 0
    sent: int = 0
    capability: tuple[str, ...] = ()
    status: str = ""
    #: commands that run for it
    commands: int = 0
    #: data that it has asked for and that were not looked for yet
    asked: int = 0
    #: told of each control message (and None for one of data: True if it was of use); of a gateway
    note: Callable[[Line | None, bool], None] | None = None
    problems: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_PROBLEMS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def trouble(self, text: str) -> None:
        """Something was wrong; the same again is counted, not told again."""
        with self._lock:
            if self.problems and self.problems[-1]["text"] == text:
                self.problems[-1] = {"at": time.time(), "text": text, "times": self.problems[-1]["times"] + 1}
            else:
                self.problems.append({"at": time.time(), "text": text, "times": 1})

    def noted(self, line: Line | None = None, good: bool = True) -> None:
        """Count a message for the gateway that it came by: a control message with its line, or one of data."""
        if self.note is not None:
            with self._lock:
                self.note(line, good)

    def plain(self, rate: float) -> dict[str, Any]:
        """What notebooks are told."""
        with self._lock:
            problems = list(self.problems)
        return {
            "id": self.id,
            "kind": self.kind,
            "peer": self.peer,
            "state": self.state,
            "version": self.link.version if self.link is not None else None,
            "take_all_as_ras": self.as_ras,
            "allow": list(self.allow),
            "by": self.by,
            "received": self.received,
            "sent": self.sent,
            "rate": round(rate, 2),
            "capability": list(self.capability),
            "status": self.status,
            "problems": problems,
        }
