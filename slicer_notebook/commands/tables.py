"""Commands about tables: columns with their names, units and descriptions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef

TABLE: Final = "vtkMRMLTableNode"

#: dtypes that a column has a VTK type for (vtkType.h).
_VTK_DTYPES: Final = frozenset(np.dtype(name) for name in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))
#: Property of a column: values that equal its ``nullValue`` are missing, since a pandas frame brought it with gaps.
MISSING: Final = "pandas.missing"
#: Rows, columns and characters that a card shows at most.
_ROWS: Final = 5
_COLUMNS: Final = 8
_CHARACTERS: Final = 40


@command("table.columns", journal=False)
def table_columns(host: Host, node: NodeLike) -> list[tuple[str, Any]]:
    """Columns as (name, values): numeric columns as arrays ([row], or [row, component]), truth values as bool, others
    as lists of text.
    """
    return _columns(host.node(node, TABLE))


def _columns(node: Any) -> list[tuple[str, Any]]:
    table = node.GetTable()
    count = table.GetNumberOfColumns() if table is not None else 0
    return [
        (table.GetColumn(index).GetName() or f"Column {index + 1}", column_values(table.GetColumn(index)))
        for index in range(count)
    ]


def column_values(column: Any) -> Any:
    """A column's values as ``table.columns`` has them."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if not column.IsNumeric():
        return [_text(column.GetValue(index)) for index in range(column.GetNumberOfValues())]
    array: Array = np.array(vtk_to_numpy(column))
    return array.astype(bool) if column.IsA("vtkBitArray") else array


def _text(value: Any) -> str:
    """A cell's text; VTK gives bytes for what is no UTF-8."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@command("table.read", journal=False)
def read(host: Host, node: NodeLike) -> dict[str, Any]:
    """All of a table: ``columns`` as ``table.columns``, ``components`` (of columns with several: their names),
    ``properties`` (of columns: name → property → text; Slicer's are ``title``, ``unitLabel``, ``description``,
    ``nullValue``), ``row_labels`` (whether the first column holds labels of rows).
    """
    found = host.node(node, TABLE)
    columns = _columns(found)
    names = _property_names(found)
    properties = {}
    for name, _ in columns:
        texts = {key: text for key in names if (text := found.GetColumnProperty(name, key))}
        if texts:
            properties[name] = texts
    return {
        "columns": columns,
        "components": {
            name: list(found.GetComponentNames(name)) for name, values in columns if getattr(values, "ndim", 1) == 2
        },
        "properties": properties,
        "row_labels": bool(found.GetUseFirstColumnAsRowHeader()),
    }


def _property_names(node: Any) -> list[str]:
    from vtkmodules.vtkCommonCore import vtkStringArray

    names = vtkStringArray()
    node.GetAllColumnPropertyNames(names)
    return [names.GetValue(index) for index in range(names.GetNumberOfValues())]


@command("table.add")
def add(
    host: Host,
    columns: list[tuple[str, Any]],
    properties: dict[str, dict[str, str]] | None = None,
    row_labels: bool = False,
    name: str = "Table",
) -> NodeRef:
    """A new table.

    Args:
        columns: (name, values) of each; values are numbers, truth values or a list of text, all of one length.
        properties: of columns, name → property → text, as in ``table.read``.
        row_labels: the first column holds labels of the rows.
        name: made unique in the scene.

    Raises:
        ArrayError: a column that a table cannot have, or two of one name.
    """
    table = _built(columns)
    scene = host.slicer.mrmlScene
    node = scene.AddNewNodeByClass(TABLE, scene.GenerateUniqueName(name))
    _fill(node, table, properties or {}, row_labels)
    return host.ref(node)


@command("table.write")
def write(
    host: Host,
    node: NodeLike,
    columns: list[tuple[str, Any]],
    properties: dict[str, dict[str, str]] | None = None,
    row_labels: bool = False,
) -> None:
    """Replace all of a table. Arguments and errors as of ``table.add``."""
    found = host.node(node, TABLE)
    _fill(found, _built(columns), properties or {}, row_labels)


def _built(columns: list[tuple[str, Any]]) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkTable

    table = vtkTable()
    length: int | None = None
    seen: set[str] = set()
    for name, values in columns:
        if not name or name in seen:
            raise ArrayError(
                f"Two columns are called {name!r}." if name else "A column has no name.",
                expected="a name of its own for each column",
                got=", ".join(repr(each) for each, _ in columns),
            )
        seen.add(name)
        column = _column(name, values)
        rows = column.GetNumberOfTuples()
        if length is not None and rows != length:
            raise ArrayError(f"Column {name!r} is of another length.", expected=f"{length} rows", got=str(rows))
        length = rows
        table.AddColumn(column)
    return table


def _column(name: str, values: Any) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkBitArray, vtkStringArray

    if isinstance(values, list | tuple) and all(isinstance(each, str) for each in values):
        texts = vtkStringArray()
        texts.SetNumberOfValues(len(values))
        for index, each in enumerate(values):
            texts.SetValue(index, each)
        texts.SetName(name)
        return texts
    array = np.asarray(values)
    if array.dtype.kind == "U" and array.ndim == 1:
        return _column(name, array.tolist())
    if array.dtype == np.bool_ and array.ndim == 1:
        bits = vtkBitArray()
        bits.SetNumberOfValues(len(array))
        for index, each in enumerate(array.tolist()):
            bits.SetValue(index, int(each))
        bits.SetName(name)
        return bits
    native = array.dtype.newbyteorder("=")
    if native not in _VTK_DTYPES or array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise ArrayError(
            f"Column {name!r} cannot be one of a table.",
            expected="numbers or truth values, [row], or [row, component], or a list of text",
            got=f"{array.dtype}, shape {array.shape}",
        )
    column = numpy_to_vtk(np.ascontiguousarray(array, dtype=native), deep=True)
    column.SetName(name)
    return column


def _fill(node: Any, table: Any, properties: dict[str, dict[str, str]], row_labels: bool) -> None:
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    unknown = [name for name in properties if name not in names]
    if unknown:
        raise ArgumentError(
            "There are properties of columns that there are not.", expected=", ".join(names), got=", ".join(unknown)
        )
    was = node.StartModify()
    try:
        node.SetAndObserveSchema(None)
        node.SetAndObserveTable(table)
        for name, texts in properties.items():
            for key, text in texts.items():
                node.SetColumnProperty(name, key, text)
        node.SetUseFirstColumnAsRowHeader(row_labels)
        node.Modified()
    finally:
        node.EndModify(was)


@command("table.set_properties")
def set_properties(host: Host, node: NodeLike, key: str, texts: dict[str, str]) -> None:
    """Set a property of columns, such as ``unitLabel``, ``title``, ``description``; columns that are not named lose it.

    Raises:
        NodeNotFoundError: no such column.
        ArgumentError: no key.
    """
    found = host.node(node, TABLE)
    names = [name for name, _ in _columns(found)]
    if not key:
        raise ArgumentError("A property needs a name.", expected="text", got="''")
    for name in texts:
        if name not in names:
            raise NodeNotFoundError(
                f"Table {found.GetName()!r} has no column {name!r}.",
                expected=", ".join(names) or "none",
                got=repr(name),
            )
    was = found.StartModify()
    try:
        for name in names:
            text = texts.get(name, "")
            if text != found.GetColumnProperty(name, key):
                found.SetColumnProperty(name, key, text)
        found.Modified()
    finally:
        found.EndModify(was)


@command("table.set_row_labels")
def set_row_labels(host: Host, node: NodeLike, on: bool) -> None:
    """Whether the first column holds labels of the rows."""
    host.node(node, TABLE).SetUseFirstColumnAsRowHeader(on)


@command("table.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a table's inline card shows: ``name``, ``rows``, ``columns`` (how many), ``names``, ``units``, ``types`` and
    ``head`` (first rows, as text) of the first columns, ``row_labels``.
    """
    found = host.node(node, TABLE)
    table = found.GetTable()
    count = table.GetNumberOfColumns() if table is not None else 0
    columns = [table.GetColumn(index) for index in range(min(count, _COLUMNS))]
    names = [column.GetName() or f"Column {index + 1}" for index, column in enumerate(columns)]
    rows = table.GetNumberOfRows() if table is not None else 0
    nulls = [found.GetColumnNullValue(name) if found.GetColumnProperty(name, MISSING) else None for name in names]
    return {
        "name": found.GetName() or "",
        "rows": rows,
        "columns": count,
        "names": names,
        "units": [found.GetColumnUnitLabel(name) for name in names],
        "types": [found.GetValueTypeAsString(column.GetDataType()) for column in columns],
        "numeric": [bool(column.IsNumeric()) for column in columns],
        "head": [
            [_cell(column, row, null) for column, null in zip(columns, nulls, strict=True)]
            for row in range(min(rows, _ROWS))
        ],
        "row_labels": bool(found.GetUseFirstColumnAsRowHeader()),
    }


def _cell(column: Any, row: int, null: str | None) -> str:
    """A cell in a few characters; "" for what is missing."""
    if null is not None and str(column.GetValue(row)) == null:
        return ""
    if column.IsA("vtkBitArray"):
        return str(bool(column.GetValue(row)))
    if column.IsNumeric():
        return ", ".join(f"{part:.6g}" for part in column.GetTuple(row))
    text = _text(column.GetValue(row))
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
