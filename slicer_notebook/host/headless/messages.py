"""What VTK, ITK filters and MRML report, kept out of the way until it is asked for.

VTK hands every ``vtkErrorMacro``/``vtkWarningMacro`` text to its logger from whichever C++ thread it happened in. A
Python observer there could run without a consistent interpreter state, so nothing of Python listens: the logger (which
takes a lock of its own) writes a private file, and `MessageLog.drain` reads and empties that file on the main thread.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Final

from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

__all__ = ["MessageLog", "parse"]

_LEVELS: Final = {"ERR": "error", "WARN": "warning", "INFO": "info", "FATL": "error"}
#: One logger line: date, time, (uptime), [thread], file:line, level| text. Lines that do not match continue a message.
_PREFIX: Final = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \([^)]*\) \[[^]]*\]\s*(?P<where>\S.*?):(?P<line>\d+)\s+(?P<level>\w+)\| ?(?P<text>.*)$"
)
#: The pointer VTK puts after a class name; it says nothing to a person and makes equal messages differ.
_ADDRESS: Final = re.compile(r" \(0x[0-9a-f]+\)")


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


class MessageLog:
    """Diverts VTK's messages of this process from standard error into a file that `drain` empties."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="slicer-notebook-"))
        self._path = folder / "vtk.log"
        self._path.touch(mode=0o600)
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
        # APPEND matters: with O_APPEND the writer goes on at the new end after `drain` cut the file.
        vtkLogger.LogToFile(str(self._path), vtkLogger.APPEND, vtkLogger.VERBOSITY_WARNING)
        window = vtkOutputWindow()
        window.SetDisplayModeToNever()
        vtkOutputWindow.SetInstance(window)
        self.drain()

    def drain(self) -> list[tuple[str, str]]:
        """The messages since the last call, oldest first."""
        with self._path.open("r+", encoding="utf-8", errors="replace") as file:
            text = file.read()
            if text:
                os.ftruncate(file.fileno(), 0)
        return parse(text)

    def close(self) -> None:
        """Stop logging and remove the file."""
        vtkLogger.EndLogToFile(str(self._path))
        self._path.unlink(missing_ok=True)
        self._path.parent.rmdir()
