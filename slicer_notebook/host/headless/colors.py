"""Slicer's default colours, from slicer-core where it has them and from files of our own where it has not.

slicer-core has the colour logic but not the files of Slicer's share folder. vtkSlicerColorLogic looks for them under
the application's home directory, so that is set to this package, whose ``share`` folder holds tables of the same names
(label maps and segmentations refer to them by node id) with colours made by `label_color`.
"""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Final

__all__ = ["ANATOMY", "HOME", "SHARE", "label_color", "tables"]

#: Home directory of the application, and its share directory relative to that.
HOME: Final = Path(__file__).parent
SHARE: Final = "share"

#: Names of GenericAnatomyColors' first labels, as segment editors use them.
ANATOMY: Final = (
    "tissue", "bone", "skin", "connective tissue", "blood", "organ", "mass", "muscle", "foreign object", "waste",
    "teeth", "fat", "gray matter", "white matter", "nerve", "vein", "artery", "capillary", "ligament", "tendon",
    "cartilage", "meniscus", "lymph node", "lymphatic vessel", "cerebro-spinal fluid", "bile", "urine", "feces", "gas",
    "fluid", "edema", "bleeding", "necrosis", "clot", "embolism",
)  # fmt: skip
_GOLDEN_RATIO: Final = 0.618033988749895


def label_color(label: int) -> tuple[int, int, int]:
    """The colour of ``label`` (from 1): hues a golden ratio apart stay far from their neighbours. 0 to 255 each."""
    hue = (0.33 + (label - 1) * _GOLDEN_RATIO) % 1.0
    saturation = (0.45, 0.65, 0.85)[(label - 1) % 3]
    value = (0.90, 0.75)[(label - 1) // 3 % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _table(names: list[str]) -> str:
    lines = ["# label name R G B A", "0 Background 0 0 0 0"]
    for label, name in enumerate(names, start=1):
        red, green, blue = label_color(label)
        lines.append(f"{label} {name.replace(' ', '_')} {red} {green} {blue} 255")
    return "\n".join(lines) + "\n"


def tables() -> dict[str, str]:
    """Text of the colour files by file name; a test compares them with what is in the package."""
    chart = [f"series_{index}" for index in range(1, 17)]
    return {
        "GenericColors.txt": _table([f"Label {label}" for label in range(1, 256)]),
        "GenericAnatomyColors.txt": _table(list(ANATOMY)),
        "DarkBrightChartColors.txt": _table(chart),
    }
