"""The index as OsiriX's database: its tables, keys and relations, asked by predicates. For programs written for OsiriX.

`find` answers a predicate about a table; `element` says of an answer what OsiriX's XML-RPC says. The keys are those of
OsiriX's and Horos' database (`entities`), what a predicate may be is in `slicer_notebook.dicom.nspredicate`.
"""

from __future__ import annotations

from slicer_notebook.dicom.osirix.elements import element
from slicer_notebook.dicom.osirix.query import MOST, TABLES, Table, find

__all__ = ["MOST", "TABLES", "Table", "element", "find"]
