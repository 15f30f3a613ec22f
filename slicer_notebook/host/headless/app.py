# ruff: noqa: N802, N815 - Slicer's names
"""``slicer.app``: the parts of qSlicerApplication that need no Qt."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .layout_manager import LayoutManager
from .qt_free import QtFree
from .settings import Settings

if TYPE_CHECKING:
    from .application import Application

__all__ = ["App", "Environment", "slicer_version"]


def slicer_version() -> str:
    """Version of the Slicer whose libraries these are: the first three numbers of slicer-core's version."""
    return ".".join(version("slicer-core").split(".")[:3])


class Environment(dict[str, str]):
    """A process environment, also with QProcessEnvironment's ``value``, which slicer.util uses."""

    def value(self, name: str, default: str = "") -> str:
        return self.get(name, default)


class _ModuleManager(QtFree):
    """``slicer.app.moduleManager()``."""

    _path = "slicer.app.moduleManager()"

    def __init__(self, application: Application) -> None:
        self._application = application

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self._application.modules.names())

    #: qSlicerModuleFactoryManager's name for the same; `factoryManager` returns this object.
    loadedModuleNames = modulesNames

    def factoryManager(self) -> _ModuleManager:
        return self

    def module(self, name: str) -> Any:
        """The module called ``name``; None if the headless Slicer has none."""
        return self._application.modules.get(name)


class _CommandOptions:
    """``slicer.app.commandOptions()``: no option was given."""

    noMainWindow = True
    runPythonAndExit = False
    testingEnabled = False
    ignoreSlicerRC = True


class App(QtFree):
    """What scripts reach as ``slicer.app``. What Qt would have to do raises `QtRequiredError`."""

    _path = "slicer.app"
    _VERSION: Final = slicer_version()

    def __init__(self, application: Application) -> None:
        self._application = application
        self._layout_manager = LayoutManager(application)
        self._settings = Settings()
        self.applicationName = "Slicer"
        self.applicationDisplayName = "3D Slicer (headless)"
        self.mainApplicationName = "Slicer"
        self.applicationVersion = self._VERSION
        self.majorVersion, self.minorVersion = (int(part) for part in self._VERSION.split(".")[:2])
        self.revision = version("slicer-core")
        self.releaseType = "headless"
        self.arch = platform.machine()
        self.os = platform.system().lower()
        self.platform = f"{self.os}-{self.arch}"
        self.slicerHome = str(_package_folder("slicer_core"))
        self.slicerSharePath = application.logic.GetHomeDirectory() + "/share"
        self.temporaryPath = tempfile.gettempdir()
        self.startupWorkingPath = str(Path.cwd())
        self.isInstalled = True

    # -- the application's parts --------------------------------------------------------------------------------

    def mrmlScene(self) -> Any:
        return self._application.scene

    def applicationLogic(self) -> Any:
        return self._application.logic

    def layoutManager(self) -> LayoutManager:
        return self._layout_manager

    def coreIOManager(self) -> Any:
        return self._application.io

    ioManager = coreIOManager

    def moduleManager(self) -> _ModuleManager:
        return _ModuleManager(self._application)

    def moduleLogic(self, name: str) -> Any:
        """Logic of the module called ``name``; None if there is no such module."""
        module = self._application.modules.get(name)
        return None if module is None else module.logic()

    def userSettings(self) -> Settings:
        return self._settings

    revisionUserSettings = userSettings
    settings = userSettings

    def commandOptions(self) -> _CommandOptions:
        return _CommandOptions()

    def startupEnvironment(self) -> Environment:
        return Environment(os.environ)

    def testingEnabled(self) -> bool:
        return False

    # -- events and rendering -----------------------------------------------------------------------------------

    def processEvents(self) -> None:
        """Do what Slicer's timers do: step the sequences that play. There is no event loop to run."""
        self._application.process_events()

    def pauseRender(self) -> None:
        """Report no view as out of date until `resumeRender`; calls nest."""
        self._application.layout.pause()

    def resumeRender(self) -> None:
        self._application.layout.resume()

    def setRenderPaused(self, paused: bool) -> None:
        (self.pauseRender if paused else self.resumeRender)()

    def setOverrideCursor(self, _cursor: Any = None) -> None:
        """There is no mouse pointer."""

    def restoreOverrideCursor(self) -> None:
        """There is no mouse pointer."""


def _package_folder(name: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
