"""NSPredicate format strings (Apple, Predicate Programming Guide, "Predicate Format String Syntax"): text to a tree.

Pure: nothing of DICOM, no database. `parse` makes the tree (`tree`), `matching` has the comparisons of text, `regex`
what MATCHES does. What the keys mean is up to whoever evaluates the tree (`slicer_notebook.dicom.osirix`).
"""

from __future__ import annotations

from slicer_notebook.dicom.nspredicate.parse import MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, parse

__all__ = ["MAX_COMPARISONS", "MAX_DEPTH", "MAX_LENGTH", "parse"]
