"""Slicer's scripted modules that scripts import by name and that need no window, written anew on the same calls.

They live here under Python's names; `MODULES` says what a script imports.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MODULES"]

#: Name in Slicer -> module here.
MODULES: Final = {
    "sitkUtils": "slicer_notebook.host.headless.scripted.sitk_utils",
    "ScreenCapture": "slicer_notebook.host.headless.scripted.screen_capture",
    "SegmentStatistics": "slicer_notebook.host.headless.scripted.segment_statistics",
}
