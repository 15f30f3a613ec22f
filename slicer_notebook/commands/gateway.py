"""What a gateway is: another program's protocol, spoken in Slicer's process, written against the commands.

Gateways are found by the entry points of the group ``slicer_notebook.gateways`` (name → class), so that this floor of
the house knows none of them, and other packages can bring their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

import msgspec

from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Asked, Host

__all__ = ["ALLOWABLE", "Allowed", "Context", "Counts", "Gateway", "Line", "Options"]

#: What is off unless it is switched on: code from outside (``/slicer/exec``), the end of the program (``DELETE
#: /system``), OsiriX's KillOsiriX, deleting what is in the index (OsiriX's ``execute=Delete``), writing files.
Allowed = Literal["exec", "quit", "kill", "delete", "write"]
ALLOWABLE: Final[tuple[Allowed, ...]] = ("exec", "quit", "kill", "delete", "write")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway serves.

    Attributes:
        bind: address that it listens on.
        port: 0 for a free one; None for the protocol's usual one.
        token: without it nobody gets in; "" only on the loopback interface.
        allow: what is off unless it is named here.
        files: folders that files may be read from and written to; None for all that Slicer's user may.
        origins: web pages that may ask, as ``https://host[:port]``.
        names: further names of this machine that a request's Host may have.
        database: path of the DICOM index; None for the user's own.
    """

    bind: str = "127.0.0.1"
    port: int | None = None
    token: str = ""
    allow: tuple[Allowed, ...] = ()
    files: tuple[str, ...] | None = None
    origins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    database: str | None = None


class Line(msgspec.Struct, kw_only=True):
    """What one request or message came to. No secret is in it: whoever makes it masks them.

    Attributes:
        at: seconds since the epoch.
        who: address of who asked.
        what: what they asked for, in a line.
        status: the protocol's own word for how it ended ("200", "error -1", "ok").
        good: whether that is no failure.
        ms: milliseconds that it took.
        note: more about it, such as why it was refused.
    """

    at: float = msgspec.field(default_factory=time.time)
    who: str = ""
    what: str = ""
    status: str = ""
    good: bool = True
    ms: float = 0.0
    note: str = ""


class Counts:
    """What a gateway has done. Written by its own thread alone."""

    __slots__ = ("failed", "open", "requests")

    def __init__(self) -> None:
        #: answered, whatever the answer
        self.requests = 0
        #: of them, refused or failed
        self.failed = 0
        #: connections at this moment
        self.open = 0


class Context:
    """What a gateway has to work with.

    Attributes:
        host: the Slicer of this process. What touches MRML goes through `ask`.
        options: how it serves.
        counts: for it to count in.
    """

    def __init__(self, host: Host, options: Options, note: Callable[[Line], None]) -> None:
        self.host = host
        self.options = options
        self.counts = Counts()
        self._note = note

    def ask(self, command: str, /, *, progress: Callable[[float, str, Any], None] | None = None, **args: Any) -> Asked:
        """Begin a command; a `concurrent.futures.Future` of its result. From any thread.

        The result is the command's own: node references as `NodeRef`, arrays not copied. What it raises is raised by
        the future. ``stop()`` of the future cancels the command.

        Args:
            progress: called with (fraction 0 to 1 or below 0, text, data), on the thread that runs the command.

        Raises:
            CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
        """
        return self.host.ask(command, args, progress)

    def allows(self, what: Allowed) -> bool:
        """Whether that has been switched on."""
        return what in self.options.allow

    def note(self, line: Line) -> None:
        """Count a request and keep its line for the log. Cheap; from the gateway's own thread."""
        self.counts.requests += 1
        self.counts.failed += not line.good
        self._note(line)


class Gateway(Protocol):
    """One server for one protocol. Made, started and stopped on any thread."""

    #: the entry point's name, such as "rest"
    kind: ClassVar[str]

    def __init__(self, context: Context) -> None: ...

    def start(self) -> tuple[str, int]:
        """Listen; the address and port, when requests are answered.

        Raises:
            GatewayError: it cannot, such as for a port that is taken.
        """
        ...

    def stop(self) -> None:
        """End it: connections are closed, the port is free when this returns. Within seconds, whatever clients do."""
        ...


def check_allowed(names: list[str]) -> tuple[Allowed, ...]:
    """The names as `Options.allow` has them.

    Raises:
        ArgumentError: one that there is not.
    """
    for name in names:
        if name not in ALLOWABLE:
            raise ArgumentError(
                "That cannot be switched on.", expected=" or ".join(ALLOWABLE), got=repr(name)
            )  # fmt: skip
    return tuple(name for name in ALLOWABLE if name in names)
