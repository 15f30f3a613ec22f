"""The ``slicer`` module as a script finds it in Slicer, and modules that go by another name there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from slicer_notebook.errors import QtAttributeError

from . import util
from .app import App
from .qt_free import QtModules, qt_required
from .scripted import MODULES as SCRIPTED

__all__ = ["install"]

#: Prefixes of Slicer's and CTK's Qt classes, which hang on the ``slicer`` module in the desktop application.
_QT_PREFIXES: Final = ("qSlicer", "qMRML", "ctk")
_QT_NAMES: Final = {
    "cli": "run command-line modules in a desktop Slicer, or take SimpleITK",
    "dicomDatabase": "use slicer_notebook.dicom: Index, plan, read",
    "progressWindow": "do that in a desktop Slicer",
    "pluginManager": "do that in a desktop Slicer",
}
#: Where desktop Slicer has extension modules under another name ("import vtkSegmentationCorePython").
_SUFFIX: Final = "Python"
_ALIASES: Final = {
    "mrml": "MRMLCore",
    "vtkITK": "vtkITK",
    "vtkTeem": "vtkTeem",
    "vtkSegmentationCore": "vtkSegmentationCore",
}


def _missing(name: str) -> Any:
    if name.startswith(_QT_PREFIXES):
        raise qt_required(f"slicer.{name}", kind=QtAttributeError)
    if name in _QT_NAMES:
        raise qt_required(f"slicer.{name}", _QT_NAMES[name], QtAttributeError)
    raise AttributeError(f"module 'slicer' has no attribute {name!r}")


def _add_aliases() -> None:
    for full_name, module in list(sys.modules.items()):
        package, _, name = full_name.partition(".")
        if package == "slicer_core" and name.startswith(("vtk", "MRML")):
            alias = name if name.endswith(_SUFFIX) else name + _SUFFIX
            sys.modules.setdefault(alias, module)
    for alias, name in _ALIASES.items():
        sys.modules.setdefault(alias, sys.modules[f"slicer_core.{name}"])


class ScriptedModules(MetaPathFinder, Loader):
    """Import finder that answers for the names of Slicer's scripted modules with ours."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in SCRIPTED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return import_module(SCRIPTED[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        """It ran when it was imported under its own name."""

    @classmethod
    def install(cls) -> None:
        """Answer after all other finders: a module of that name that is installed after all is found first."""
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.append(cls())


def install(slicer: ModuleType, application: Any) -> None:
    """Make ``import slicer`` a drop-in: scene, modules, application, util, and errors that name what needs Qt."""
    module: Any = slicer
    module.mrmlScene = application.scene
    module.modules = application.modules
    module.app = App(application)
    module.__getattr__ = _missing
    util.install(slicer)
    _add_aliases()
    ScriptedModules.install()
    QtModules.install()
