"""Saying by name what would need Qt: one base class for the stand-ins, and ``import qt`` that fails with a reason."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final, NoReturn

from slicer_notebook.errors import QtAttributeError, QtImportError, QtRequiredError

__all__ = ["QT_MODULES", "QtFree", "QtModules", "qt_required"]

#: Modules of a desktop Slicer's Python that are Qt's, CTK's, or made of them.
QT_MODULES: Final = (
    "qt", "ctk", "PythonQt", "slicer.ScriptedLoadableModule", "slicer.parameterNodeWrapper", "DICOMLib",
    "JupyterNotebooksLib", "SubjectHierarchyPlugins", "SegmentEditorEffects",
)  # fmt: skip


_HINT: Final = "do that in a desktop Slicer"


def qt_required(what: str, hint: str = _HINT, kind: type[QtRequiredError] = QtRequiredError) -> QtRequiredError:
    """The error that says that ``what`` needs Qt."""
    return kind(
        f"{what} needs Qt, which the headless Slicer does not have.",
        hint=hint,
        details={"requested": what},
    )


class QtFree:
    """Base of what stands in for a Qt class of Slicer: attributes that are missing raise `QtRequiredError`.

    ``_path`` is how a script reaches the object ("slicer.app"), for the message.
    """

    _path = ""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            # Not Slicer's: Python's own protocols (copy, pickle, IPython's display) look for such names.
            raise AttributeError(name)
        raise qt_required(f"{self._path}.{name}", kind=QtAttributeError)

    def __repr__(self) -> str:
        return f"<{self._path} (headless)>"


class QtModules(MetaPathFinder):
    """Import finder that answers for Qt's modules with `QtImportError`, so that the reason is named."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in QT_MODULES:
            raise qt_required(f"import {fullname}", kind=QtImportError)
        return None

    @classmethod
    def install(cls) -> None:
        """Answer after all other finders: a module that is installed after all is still found."""
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.append(cls())
