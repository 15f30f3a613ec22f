"""SENSOR and NDARRAY of OpenIGTLink, and tables. Runs in Slicer, on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from slicer_notebook.errors import ArrayError, OpenIGTLinkError
from slicer_notebook.igtl.contents import NDArray, Sensor
from slicer_notebook.igtl.units import unit_text
from slicer_notebook.protocol.values import Array

__all__ = ["fill_from_array", "fill_from_sensor", "to_array", "to_sensor"]

_TABLE: Final = "vtkMRMLTableNode"
#: The column of a SENSOR's values.
VALUE: Final = "Value"
#: Attributes of a SENSOR's table: the 64 bits of its unit, and its status byte.
UNIT: Final = "slicer_notebook.igtl.unit"
STATUS: Final = "slicer_notebook.igtl.status"
#: Values that a SENSOR can have at most (u8).
_MOST_VALUES: Final = 255
#: Columns that a table gets at most: each is an object of VTK's.
_MOST_COLUMNS: Final = 10_000
#: Whether the columns are real and imaginary parts in turn.
COMPLEX: Final = "slicer_notebook.igtl.complex"
#: Whether an array has one axis only.
AXES: Final = "slicer_notebook.igtl.axes"


def _set(node: Any, columns: dict[str, Array]) -> None:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkTable

    table = vtkTable()
    for name, values in columns.items():
        column = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    node.SetAndObserveTable(table)


def fill_from_sensor(sensor: Sensor, wanted: Callable[[str], Any]) -> Any:
    """Bring a sensor's values into a table: one column, "Value", with its unit."""
    node = wanted(_TABLE)
    _set(node, {VALUE: sensor.values})
    node.SetAttribute(UNIT, str(sensor.unit))
    node.SetAttribute(STATUS, str(sensor.status))
    node.SetColumnUnitLabel(VALUE, unit_text(sensor.unit))
    return node


def fill_from_array(array: Array, wanted: Callable[[str], Any]) -> Any:
    """Bring an array of one or two axes into a table: [row], or [row, column]; columns are numbered from 0.

    Complex numbers become two columns each, "0 real" and "0 imaginary".

    Raises:
        OpenIGTLinkError: an array of no axis or more than four, or of too many columns.
    """
    if array.ndim not in (1, 2):
        raise OpenIGTLinkError(
            "This NDARRAY becomes no node.",
            expected="1 or 2 axes (a table), 3 or 4 (a volume)",
            got=f"shape {array.shape}",
        )
    columns = array.reshape(len(array), -1) if array.size else array.reshape(len(array), *array.shape[1:], 1)[..., 0]
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.shape[1] > _MOST_COLUMNS:
        raise OpenIGTLinkError(
            "This NDARRAY is too wide for a table.", expected=f"at most {_MOST_COLUMNS} columns", got=str(array.shape)
        )
    named: dict[str, Array] = {}
    for number in range(columns.shape[1]):
        values = columns[:, number]
        if values.dtype.kind == "c":
            named |= {f"{number} real": values.real, f"{number} imaginary": values.imag}
        else:
            named[str(number)] = values
    node = wanted(_TABLE)
    _set(node, named)
    node.SetAttribute(COMPLEX, "1" if array.dtype.kind == "c" else None)
    node.SetAttribute(AXES, str(array.ndim))
    for attribute in (UNIT, STATUS):
        node.SetAttribute(attribute, None)
    return node


def _columns(node: Any) -> list[Array]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    table = node.GetTable()
    found = [table.GetColumn(number) for number in range(table.GetNumberOfColumns())]
    texts = [column.GetName() or "" for column in found if not column.IsNumeric()]
    if texts or not found:
        raise ArrayError(
            f"Table {node.GetName()!r} does not consist of numbers.",
            expected="columns of numbers",
            got="text in " + ", ".join(texts) if texts else "no column",
        )
    return [np.array(vtk_to_numpy(column)) for column in found]


def to_sensor(node: Any) -> Sensor:
    """A table's first column as a SENSOR.

    Raises:
        ArrayError: a table of text, or of more than 255 rows.
    """
    values = _columns(node)[0].astype(np.float64)
    if values.ndim != 1 or len(values) > _MOST_VALUES:
        raise ArrayError(
            f"Table {node.GetName()!r} does not fit into a SENSOR.",
            expected=f"at most {_MOST_VALUES} rows",
            got=str(values.shape),
            hint='send it as type="NDARRAY"',
        )
    return Sensor(values, int(node.GetAttribute(UNIT) or 0), int(node.GetAttribute(STATUS) or 0))


def to_array(node: Any) -> NDArray:
    """A table's columns side by side as a NDARRAY [row, column], in the dtype that holds them all.

    Raises:
        ArrayError: a table of text.
    """
    array = np.column_stack(_columns(node))
    if node.GetAttribute(COMPLEX):
        array = array[:, 0::2] + 1j * array[:, 1::2]
    elif array.dtype in (np.int64, np.uint64):
        array = array.astype(np.float64)  # the widest that the message knows
    if node.GetAttribute(AXES) == "1" and array.shape[1] == 1:
        array = array[:, 0]
    return NDArray(array)
