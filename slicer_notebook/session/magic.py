"""``%%slicer``: a cell that runs in Slicer, with its output and pictures here."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import SessionNotFoundError

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["latest", "register", "register_here", "use"]

_sessions: dict[str, Session] = {}
_latest: str | None = None


def use(session: Session) -> None:
    """Make ``session`` the one that a bare ``%%slicer`` speaks to."""
    global _latest  # noqa: PLW0603 - the magic has no other place to remember it
    _sessions[session.name] = session
    _latest = session.name
    register_here()


def _choose(name: str | None, none: str = "There is no session for %%slicer.") -> Session:
    wanted = name or _latest
    session = _sessions.get(wanted or "")
    if session is None:
        raise SessionNotFoundError(
            none if name is None else f"There is no session {name!r}.",
            expected="a session of this notebook",
            got=", ".join(_sessions) or "none yet",
            hint="slicer = sn.launch() or sn.connect(...)",
        )
    return session


def latest() -> Session:
    """The session that was begun last. Raises `SessionNotFoundError` when there is none."""
    return _choose(None, "There is no session.")


def slicer_magic(line: str, cell: str | None = None) -> Any:
    """``%%slicer [session]`` runs the cell in Slicer; ``%slicer CODE`` runs a line there."""
    if cell is None:
        return _choose(None).run(line)
    words = shlex.split(line)
    return _choose(words[0] if words else None).run(cell)


def register(shell: Any) -> None:
    """Add the magic to an IPython shell."""
    shell.register_magic_function(slicer_magic, "line_cell", "slicer")


def register_here() -> None:
    """Add the magic where this runs in IPython; nothing elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        register(shell)
