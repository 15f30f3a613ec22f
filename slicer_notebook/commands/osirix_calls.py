"""A call of one of OsiriX's methods, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host

__all__ = ["Call", "MethodFunction", "Reply", "refused"]

_UNSET: Final = object()


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        parameters: text, numbers or booleans by name; case counts.
        database: path of the index that it is about; None for the user's own.
        allow: "kill" and "delete", where these are switched on.
        by: who asks, for the queues.
    """

    host: Host
    job: context.JobContext
    parameters: dict[str, Any]
    database: str | None
    allow: tuple[str, ...]
    by: str

    def text(self, *names: str) -> str:
        """The first of these parameters that is there; "" where none is. Numbers are text as well."""
        for name in names:
            value = self.parameters.get(name)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                return str(value)
        return ""

    def yes(self, name: str) -> bool:
        """Whether a parameter says yes: true, 1, or text that begins as ``YES``, ``true`` or ``1`` do."""
        value = self.parameters.get(name)
        if isinstance(value, str):
            # NSString's boolValue: Y, T or a digit other than 0, behind blanks, a sign and zeros.
            return value.lstrip().lstrip("+-").lstrip("0")[:1].lower() in tuple("yt123456789")
        return bool(value) if isinstance(value, bool | int | float) else False


@dataclass
class Reply:
    """An answer.

    Attributes:
        error: OsiriX's error value; None where the answer is nil (KillOsiriX).
        status: of HTTP; other than 200, there is nothing else.
        why: what went wrong, for the log; it names no patient.
        elements: of what was found.
        path: PathToFrontDCM's.
        database: path of the index for further calls (None: the user's own), where that changes.
    """

    error: str | None = "0"
    status: int = 200
    why: str = ""
    elements: list[dict[str, str]] | None = None
    path: str | None = None
    database: Any = field(default=_UNSET)

    def plain(self) -> dict[str, Any]:
        """See ``osirix.call``."""
        found: dict[str, Any] = {"status": self.status, "error": self.error, "why": self.why}
        if self.elements is not None:
            found["elements"] = self.elements
        if self.path is not None:
            found["currentDCMPath"] = self.path
        if self.database is not _UNSET:
            found["database"] = self.database
        return found


MethodFunction = Callable[[Call], Reply]


def refused(status: int, why: str) -> Reply:
    """An HTTP status instead of an answer."""
    return Reply(error=str(status), status=status, why=why)
