"""A question to the person at this machine: on the terminal, or where there is none by a dialog of the desktop.

Dialogs are programs of the system (zenity, kdialog, xmessage), as nothing of this package draws windows. Texts that
they show hold no secret: whoever calls has masked them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from slicer_notebook.links.masking import printable

__all__ = ["ask", "choose", "on_terminal", "tell"]

#: Seconds that a dialog waits for somebody: longer ones nobody has seen.
_PATIENCE: Final = 600.0
#: Seconds for a notification, which waits for nobody.
_NOTIFY: Final = 5.0
#: Characters of a text.
_MOST: Final = 1000
_TITLE: Final = "Slicer"


def on_terminal() -> bool:
    """Whether a person can be asked on a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform.startswith("linux")


def _shown(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())[:_MOST]


def ask(text: str, question: str) -> bool | None:
    """Yes or no; None where nobody can be asked."""
    if on_terminal():
        _say(_shown(text))
        return _typed(f"{question} [y/N] ").lower() in ("y", "yes")
    if not _has_display():
        return None
    whole = f"{_shown(text)}\n\n{question}"
    for program, arguments in (
        ("zenity", ["--question", f"--title={_TITLE}", "--no-markup", f"--text={whole}", "--default-cancel"]),
        ("kdialog", ["--title", _TITLE, "--warningyesno", whole]),
        ("xmessage", ["-center", "-title", _TITLE, "-buttons", "No:1,Yes:0", "-default", "No", whole]),
    ):
        found = _dialog(program, arguments)
        if found is not None:
            return found.returncode == 0
    return None


def choose(text: str, names: Sequence[str]) -> str | None:
    """One of the names; None where nobody can be asked, or nobody has chosen."""
    if on_terminal():
        return _chosen_on_terminal(text, names)
    if not _has_display():
        return None
    options = [part for name in names for part in (name, name)]
    for program, arguments in (
        ("zenity", ["--list", f"--title={_TITLE}", f"--text={_shown(text)}", "--column=", *names]),
        ("kdialog", ["--title", _TITLE, "--menu", _shown(text), *options]),
    ):
        found = _dialog(program, arguments)
        if found is not None:
            name = found.stdout.decode("utf-8", "replace").strip()
            return name if found.returncode == 0 and name in names else None
    return None


def _chosen_on_terminal(text: str, names: Sequence[str]) -> str | None:
    _say(_shown(text))
    for number, name in enumerate(names, 1):
        _say(f"  {number}: {name}")
    answer = _typed("Number or name: ")
    if answer in names:
        return answer
    return names[int(answer) - 1] if answer.isdecimal() and 0 < int(answer) <= len(names) else None


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


def _typed(question: str) -> str:
    _say(question, end="")
    return sys.stdin.readline().strip()


def _dialog(program: str, arguments: list[str]) -> subprocess.CompletedProcess[bytes] | None:
    """How it ended; None where there is no such program, or it can show nothing."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([path], 1, b"", b"")
    except OSError:
        return None
    # 0 and 1 are answers; whatever else is said about the display, not about the question.
    return done if done.returncode in (0, 1) and b"open display" not in done.stderr else None


def tell(title: str, text: str) -> None:
    """A notification of the desktop, where there is one and no terminal; else nothing."""
    path = shutil.which("notify-send")
    if on_terminal() or path is None or not _has_display():
        return
    try:
        subprocess.run(
            [path, "--app-name=Slicer", "--", _shown(title), _shown(text)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_NOTIFY, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return  # nobody is told; the link is opened all the same
