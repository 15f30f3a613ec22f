"""Facts about file names and storage nodes that readers and writers share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["PICTURES", "UNSAVEABLE", "base_name", "known_extension"]

#: Picture files, which are read by Pillow and not by ITK.
PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
#: A scene with such a storage node cannot be read back (it loses its table's name; with slicer-core 5.11.0.6 reading
#: it ends the process), so none is left in a scene: the table gets its default storage node when the scene is saved.
UNSAVEABLE: Final = "vtkMRMLTableSQLiteStorageNode"


def known_extension(path: str, extensions: tuple[str, ...]) -> str:
    """The longest of ``extensions`` that ``path`` ends with (without regard to case), or an empty string."""
    lower = path.lower()
    return max((each for each in extensions if lower.endswith(each)), key=len, default="")


def base_name(path: str, extensions: tuple[str, ...]) -> str:
    """The file's name without folder and known extension."""
    name = Path(path).name
    extension = known_extension(path, extensions)
    return name[: -len(extension)] if extension else Path(name).stem
