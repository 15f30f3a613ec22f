"""Where the index and the sample study live."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["data_folder"]


def data_folder() -> Path:
    """SLICER_NOTEBOOK_DATA, or the user's data folder on this system. It need not exist yet."""
    given = os.environ.get("SLICER_NOTEBOOK_DATA")
    return Path(given).expanduser() if given else Path(platformdirs.user_data_dir("slicer-notebook", appauthor=False))
