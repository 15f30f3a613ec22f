# ruff: noqa: N802, N803, A001 - Slicer's names
"""Functions of ``slicer.util`` that use Qt, replaced by ones that need none or that refuse by name.

slicer-core ships Slicer's own ``slicer.util``; most of it only needs ``slicer.app``, ``slicer.mrmlScene`` and
``slicer.modules``. The functions here take the place of the others. Messages for a person are logged; questions to a
person, windows and dialogs raise `QtRequiredError`.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from .qt_free import qt_required

__all__ = ["REFUSED", "REPLACED", "install"]

_log = logging.getLogger("slicer")

#: What shows windows, asks a person, or finds widgets.
REFUSED: Final = (
    "childWidgetVariables", "clickAndDrag", "confirmOkCancelDisplay", "confirmRetryCloseDisplay", "confirmYesNoDisplay",
    "createProgressDialog", "displayPythonShell", "findChild", "findChildren", "getModuleGui", "getModuleWidget",
    "getNewModuleGui", "getNewModuleWidget", "loadUI", "lookupTopLevelWidget", "mainWindow", "messageBox",
    "moduleSelector", "openAddColorTableDialog", "openAddDataDialog",
    "openAddFiberBundleDialog", "openAddFiducialDialog", "openAddMarkupsDialog", "openAddModelDialog",
    "openAddScalarOverlayDialog", "openAddSegmentationDialog", "openAddShaderPropertyDialog", "openAddTransformDialog",
    "openAddVolumeDialog", "openSaveDataDialog", "pythonShell", "reloadScriptedModule", "restart", "selectModule",
    "selectedModule", "setApplicationLogoVisible", "setDataProbeVisible", "setErrorLogVisible", "setMenuBarsVisible",
    "setModuleHelpSectionVisible", "setModulePanelTitleVisible", "setPythonConsoleVisible", "setStatusBarVisible",
    "setToolbarsVisible", "startQtDesigner",
)  # fmt: skip


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise qt_required(f"slicer.util.{name}()")

    refuse.__name__ = name
    refuse.__doc__ = "Needs Qt: raises `QtRequiredError`."
    return refuse


def _message(name: str, level: int) -> Callable[..., bool]:
    def show(text: str, *_args: Any, **kwargs: Any) -> bool:
        details = kwargs.get("detailedText")
        _log.log(level, "%s%s", text, f"\n{details}" if details else "")
        return True

    show.__name__ = name
    show.__doc__ = "Log the text: there is nobody in front of a window to show it to."
    return show


def exit(status: int = 0) -> NoReturn:
    """End this Slicer: raises SystemExit, which a kernel or a script's interpreter acts on."""
    raise SystemExit(status)


def quit() -> NoReturn:
    """End this Slicer."""
    exit(0)


def tempDirectory(key: str = "__SlicerTemp__", tempDir: str | None = None, includeDateTime: bool = True) -> str:
    """Make a new folder in ``tempDir`` (or the application's) and return its path. It is not removed by itself."""
    import slicer

    folder = Path(tempDir or slicer.app.temporaryPath)
    if not includeDateTime:
        target = folder / key
        target.mkdir(parents=True, exist_ok=True)
        return str(target)
    stamp = datetime.now().strftime("%Y-%m-%d_%H+%M+%S.%f")[:-3]
    return tempfile.mkdtemp(prefix=f"{key}{stamp}-", dir=folder)


def settingsValue(
    key: str, default: Any, converter: Callable[[Any], Any] = lambda value: value, settings: Any = None
) -> Any:
    """The setting ``key`` put through ``converter``, or ``default`` as it is."""
    import slicer

    settings = slicer.app.userSettings() if settings is None else settings
    return converter(settings.value(key)) if settings.contains(key) else default


def longPath(path: str) -> str:
    r"""``path`` with the prefix \\?\ on Windows, where paths may otherwise have 260 characters at most."""
    if sys.platform != "win32" or not Path(path).is_absolute() or path.startswith("\\\\?\\"):
        return path
    return "\\\\?\\" + path.replace("/", "\\")


@contextmanager
def WaitCursor(show: bool = True) -> Iterator[None]:  # noqa: ARG001 - Slicer's signature
    """There is no mouse pointer to change."""
    yield


@contextmanager
def MessageDialog(  # Slicer's signature
    message: str,
    show: bool = True,  # noqa: ARG001
    logLevel: int = logging.INFO,
) -> Iterator[None]:
    """Log ``message`` while the block runs."""
    _log.log(logLevel, "%s", message)
    yield


def getModuleLogic(module: Any) -> Any:
    """Logic of a module, by name or module object. Raises RuntimeError where there is none."""
    import slicer

    found = slicer.util.getModule(module) if isinstance(module, str) else module
    return found.logic()


def _execute_python_module(module: str, args: Sequence[str]) -> None:
    """Run ``python -m module args`` in this Python, output to the log. Raises CalledProcessError where that fails."""
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            _log.info("%s", line.rstrip())
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, shlex.join(command))


#: What works here without Qt.
REPLACED: Final[dict[str, Callable[..., Any]]] = {
    "exit": exit,
    "quit": quit,
    "tempDirectory": tempDirectory,
    "settingsValue": settingsValue,
    "longPath": longPath,
    "WaitCursor": WaitCursor,
    "MessageDialog": MessageDialog,
    "getModuleLogic": getModuleLogic,
    "_executePythonModule": _execute_python_module,
    "infoDisplay": _message("infoDisplay", logging.INFO),
    "warningDisplay": _message("warningDisplay", logging.WARNING),
    "errorDisplay": _message("errorDisplay", logging.ERROR),
    "delayDisplay": _message("delayDisplay", logging.INFO),
    "showStatusMessage": _message("showStatusMessage", logging.INFO),
}


def install(slicer: ModuleType) -> None:
    """Put the replacements into ``slicer.util`` and, where it repeats them, into ``slicer``."""
    util: Any = slicer.util
    functions = {**REPLACED, **{name: _refusal(name) for name in REFUSED}}
    for name, function in functions.items():
        original = getattr(util, name, None)
        if original is None:
            continue
        setattr(util, name, function)
        if getattr(slicer, name, None) is original:
            setattr(slicer, name, function)
