"""``slicer.app``: the parts of qSlicerApplication that need no Qt."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from slicer_notebook.errors import QtRequiredError

from .layout_manager import LayoutManager

if TYPE_CHECKING:
    from .application import Application

__all__ = ["App"]


class App:
    """What scripts reach as ``slicer.app``. What Qt would have to do raises `QtRequiredError`."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._layout_manager = LayoutManager(application)
        self._pauses = 0
        self.applicationName = "Slicer"
        self.applicationVersion = _slicer_version()
        self.temporaryPath = tempfile.gettempdir()
        self.testingEnabled = False
        self.startupWorkingPath = str(Path.cwd())

    def mrmlScene(self) -> Any:  # noqa: N802 - Slicer's name
        return self._application.scene

    def applicationLogic(self) -> Any:  # noqa: N802 - Slicer's name
        return self._application.logic

    def layoutManager(self) -> LayoutManager:  # noqa: N802 - Slicer's name
        return self._layout_manager

    def coreIOManager(self) -> Any:  # noqa: N802 - Slicer's name
        return self._application.io

    ioManager = coreIOManager

    def processEvents(self) -> None:  # noqa: N802 - Slicer's name
        """There is no event loop to run: everything happens when it is asked for."""

    def pauseRender(self) -> None:  # noqa: N802 - Slicer's name
        self._pauses += 1

    def resumeRender(self) -> None:  # noqa: N802 - Slicer's name
        self._pauses = max(0, self._pauses - 1)

    def startupEnvironment(self) -> dict[str, str]:  # noqa: N802 - Slicer's name
        return dict(os.environ)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise QtRequiredError(
            f"slicer.app.{name} needs Qt, which the headless Slicer does not have.",
            hint="connect to a desktop Slicer for that",
            details={"requested": f"slicer.app.{name}"},
        )


def _slicer_version() -> str:
    from importlib.metadata import version

    return ".".join(version("slicer-core").split(".")[:3])
