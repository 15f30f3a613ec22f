"""What VTK, ITK and MRML report, kept out of the way until it is asked for.

VTK hands every ``vtkErrorMacro``/``vtkWarningMacro`` text to its logger from whichever C++ thread it happened in. A
Python observer there could run without a consistent interpreter state, so nothing of Python listens: the logger (which
takes a lock of its own) writes a private file, and `MessageLog.drain` reads and empties that file on the main thread.

ITK and parts of MRML print to the C library's standard error instead. `MessageLog.capture_standard_error` sends that
to a second file, for a process whose standard error is nobody's business (a kernel's).
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

__all__ = ["MessageLog", "parse", "parse_standard_error"]

_LEVELS: Final = {"ERR": "error", "WARN": "warning", "INFO": "info", "FATL": "error"}
#: One logger line: date, time, (uptime), [thread], file:line, level| text. Lines that do not match continue a message.
_PREFIX: Final = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \([^)]*\) \[[^]]*\]\s*"
    r"\S.*?:\d+\s+(?P<level>\w+)\| ?(?P<text>.*)$"
)
#: The pointer VTK and ITK put after a class name; it says nothing to a person and makes equal messages differ.
_ADDRESS: Final = re.compile(r" ?\(0x[0-9a-f]+\)")
#: How a text on standard error begins that is more than a note: VTK's, ITK's and MRML's words.
_SEVERE: Final = (("warning", "warning"), ("error", "error"), ("exception", "error"), ("failed", "error"))


def parse(text: str) -> list[tuple[str, str]]:
    """Split the logger's ``text`` into ``(level, message)`` pairs, level being "error", "warning" or "info"."""
    messages: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        match = _PREFIX.match(line)
        if match:
            messages.append((_LEVELS.get(match["level"], "info"), [match["text"]]))
        elif messages:
            messages[-1][1].append(line)
    return [(level, _ADDRESS.sub("", "\n".join(lines)).strip()) for level, lines in messages]


def parse_standard_error(text: str) -> list[tuple[str, str]]:
    """Split what was printed to standard error into ``(level, message)``: paragraphs, levelled by their first line."""
    messages = []
    for paragraph in re.split(r"\n\s*\n", text):
        said = _ADDRESS.sub("", paragraph).strip()
        if said:
            first = said.splitlines()[0].lower()
            messages.append((next((level for word, level in _SEVERE if word in first), "info"), said))
    return messages


class _File:
    """A private file that others append to, in C, and that is read and emptied here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o600)

    def take(self) -> str:
        with self.path.open("r+", encoding="utf-8", errors="replace") as file:
            text = file.read()
            if text:
                # The writers have the file open with O_APPEND: they go on at the new end.
                os.ftruncate(file.fileno(), 0)
        return text


class MessageLog:
    """Diverts VTK's messages of this process from standard error into a file that `drain` empties."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slicer-notebook-messages-"))
        self._vtk = _File(self.folder / "vtk.log")
        self._standard_error: _File | None = None
        self._undo: list[Callable[[], object]] = []
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
        vtkLogger.LogToFile(str(self._vtk.path), vtkLogger.APPEND, vtkLogger.VERBOSITY_WARNING)
        window = vtkOutputWindow()
        window.SetDisplayModeToNever()
        vtkOutputWindow.SetInstance(window)
        self.drain()

    def capture_standard_error(self) -> None:
        """Send what C and C++ print to standard error to a file as well; Python's own ``sys.stderr`` stays where it is.

        The file (``stderr.log`` in `folder`) is left behind if the process is killed, and may tell why.
        """
        if self._standard_error is not None:
            return
        original = os.dup(2)
        self._standard_error = _File(self.folder / "stderr.log")
        target = os.open(self._standard_error.path, os.O_WRONLY | os.O_APPEND)
        for name in ("stderr", "__stderr__"):
            stream: Any = getattr(sys, name)
            if stream is not None and _writes_to(stream, 2):
                stream.flush()
                replacement = os.fdopen(os.dup(original), "w", buffering=1, errors="backslashreplace")
                setattr(sys, name, replacement)
                self._undo.append(lambda name=name, stream=stream: setattr(sys, name, stream))  # type: ignore[misc]
        if faulthandler.is_enabled():
            faulthandler.enable(original)
        os.dup2(target, 2)
        os.close(target)
        self._undo.append(lambda: os.dup2(original, 2))

    def drain(self) -> list[tuple[str, str]]:
        """The messages since the last call: VTK's and MRML's, oldest first, then what was printed."""
        printed = parse_standard_error(self._standard_error.take()) if self._standard_error is not None else []
        return parse(self._vtk.take()) + printed

    def close(self) -> None:
        """Stop logging, put standard error back, and remove the files."""
        vtkLogger.EndLogToFile(str(self._vtk.path))
        while self._undo:
            self._undo.pop()()
        for path in self.folder.glob("*.log"):
            path.unlink()
        with contextlib.suppress(OSError):  # not empty: not ours to remove
            self.folder.rmdir()


def _writes_to(stream: Any, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):
        # A notebook kernel's stream, or pytest's: not on a descriptor.
        return False
