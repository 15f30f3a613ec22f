"""Commands about tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command


@command("table.columns", journal=False)
def table_columns(host: Host, node: NodeLike) -> list[tuple[str, Any]]:
    """Columns as (name, values): numeric columns as arrays, others as lists of text."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    table = host.node(node, "vtkMRMLTableNode").GetTable()
    columns: list[tuple[str, Any]] = []
    for index in range(table.GetNumberOfColumns()):
        column = table.GetColumn(index)
        if column.IsNumeric():
            values: Any = np.array(vtk_to_numpy(column))
        else:
            values = [column.GetValue(i) for i in range(column.GetNumberOfValues())]
        columns.append((column.GetName() or f"Column {index + 1}", values))
    return columns
