"""Optional packages of the notebook's side: imported when they are needed, and named when they are not there."""

from __future__ import annotations

import importlib
from types import ModuleType

from slicer_notebook.errors import PackageNotInstalledError

__all__ = ["need"]


def need(module: str, install: str | None = None) -> ModuleType:
    """A module of an optional package.

    Args:
        module: its name, such as ``nibabel``.
        install: what pip calls the package; the module's name without it.

    Raises:
        PackageNotInstalledError: it is not installed, or cannot be loaded.
    """
    package = install or module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        raise PackageNotInstalledError(
            f"The package {package} is not installed here.",
            expected=f"the module {module}",
            got=f"no module {exc.name or module}",
            hint=f"pip install {package}",
        ) from exc
    except ImportError as exc:
        raise PackageNotInstalledError(
            f"The package {package} cannot be loaded.", got=str(exc), hint=f"pip install --force-reinstall {package}"
        ) from exc
