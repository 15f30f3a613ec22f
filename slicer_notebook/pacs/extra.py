"""The packages that only ``slicer_notebook.pacs`` needs, and what to say where they are not installed."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

from slicer_notebook.errors import PacsError

__all__ = ["INSTALL", "need"]

#: What to type for them.
INSTALL: Final = "pip install 'slicer-notebook[pacs]'"


def need(module: str) -> ModuleType:
    """A module of a package of the ``[pacs]`` extra (httpx, keyring, pynetdicom, tomlkit).

    Raises:
        PacsError: it is not installed, or cannot be loaded.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        missing = exc.name or package
        what = package if missing.partition(".")[0] == package else f"{package} (which needs {missing})"
        raise PacsError(f"The package {what} is not installed.", hint=INSTALL) from exc
    except ImportError as exc:
        raise PacsError(f"The package {package} cannot be loaded.", got=str(exc), hint=INSTALL) from exc
