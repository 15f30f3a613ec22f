"""A table of the scene."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.cards import Card
from slicer_notebook.session.frames import ATTRS, columns_of, frame_of
from slicer_notebook.session.handles import Node

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table"]


class Table(Node):
    """A table: columns of numbers, truth values or text, with titles, units and descriptions."""

    mrml_class = "vtkMRMLTableNode"
    _summary = "table.summary"

    def to_dataframe(self) -> pd.DataFrame:
        """The table as it is now: columns under their names, with their dtypes.

        Missing values come back as such where a frame brought them. Labels of rows are the index, under their column's
        name. Columns of several components are one for each (``vector_0``). Units, titles and descriptions, where
        there are, are dicts in ``frame.attrs``.
        """
        return frame_of(self._session.call("table.read", node=self))

    @property
    def dataframe(self) -> pd.DataFrame:
        """As `to_dataframe`: a copy of your own. Set it to replace all of the table.

        Raises:
            ArrayError: two columns of one name, or a column of what a table cannot have; the message names it.
            ArgumentError: levels of names or of the index.
        """
        return self.to_dataframe()

    @dataframe.setter
    def dataframe(self, value: Any) -> None:
        self._session.call("table.write", node=self, **table_arguments(value))

    @property
    def columns(self) -> list[str]:
        """Names of the columns, that of the labels of the rows among them."""
        return [name for name, _ in self._session.call("table.columns", node=self)]

    @property
    def array(self) -> Array:
        """The columns side by side, [row, column]; without labels of the rows."""
        return np.asarray(self.to_dataframe().to_numpy())

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), labels of the rows among the columns."""
        found = self._session.call("table.summary", node=self)
        return int(found["rows"]), int(found["columns"])

    def plottable(self, besides: str | None = None) -> list[str]:
        """Names of the columns of numbers, one in a row, that a plot can have along y; without ``besides``."""
        return [
            name
            for name, values in self._session.call("table.columns", node=self)
            if name != besides and isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype != np.bool_
        ]

    def save(self, path: str | Path) -> Path:
        """Write it where Slicer runs: ``.tsv``, ``.csv``, ``.txt``, with a schema file beside it. The path.

        Slicer writes six digits of numbers that are not whole, and no line ends, tabs and quotation marks in text that
        it could read back. ``table.dataframe.to_csv(path)`` writes all of it, in the notebook.

        Raises:
            PathNotFoundError: no such folder.
            FileFormatError: another ending.
        """
        return super().save(path)

    # -- properties of columns -----------------------------------------------------------------------------------

    def _texts(self, attr: str) -> dict[str, str]:
        key = ATTRS[attr]
        found = self._session.call("table.read", node=self)["properties"]
        return {name: texts[key] for name, texts in found.items() if texts.get(key)}

    def _set_texts(self, attr: str, texts: Mapping[str, str]) -> None:
        self._session.call("table.set_properties", node=self, key=ATTRS[attr], texts=dict(texts))

    @property
    def units(self) -> dict[str, str]:
        """Units by column, such as ``{"volume": "mm3"}``. Settable, all at once. Raises `NodeNotFoundError`."""
        return self._texts("units")

    @units.setter
    def units(self, value: Mapping[str, str]) -> None:
        self._set_texts("units", value)

    @property
    def titles(self) -> dict[str, str]:
        """What a person reads above a column, where it is not its name. Settable. Raises `NodeNotFoundError`."""
        return self._texts("titles")

    @titles.setter
    def titles(self, value: Mapping[str, str]) -> None:
        self._set_texts("titles", value)

    @property
    def descriptions(self) -> dict[str, str]:
        """What the columns mean. Settable. Raises `NodeNotFoundError`."""
        return self._texts("descriptions")

    @descriptions.setter
    def descriptions(self, value: Mapping[str, str]) -> None:
        self._set_texts("descriptions", value)

    @property
    def row_labels(self) -> bool:
        """Whether the first column holds labels of the rows (a frame's index). Settable."""
        return bool(self._session.call("table.summary", node=self)["row_labels"])

    @row_labels.setter
    def row_labels(self, value: bool) -> None:
        self._session.call("table.set_row_labels", node=self, on=value)

    # -- display -------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        return Card([("size", f"{summary['rows']:,} rows x {summary['columns']:,} columns")])

    def _below(self, summary: dict[str, Any]) -> str:
        if not summary["names"]:
            return ""
        cell = "padding:1px 10px 1px 0;border:none"
        sides = ["right" if number else "left" for number in summary["numeric"]]
        heads = "".join(
            f'<th style="{cell};text-align:{side}">{html.escape(name)}'
            + (f' <span style="opacity:.7;font-weight:normal">({html.escape(unit)})</span>' if unit else "")
            + "</th>"
            for name, unit, side in zip(summary["names"], summary["units"], sides, strict=True)
        )
        rows = "".join(
            '<tr style="background:none">'
            + "".join(
                f'<td style="{cell};text-align:{side}'
                + (";font-weight:bold" if summary["row_labels"] and place == 0 else "")
                + f'">{html.escape(text)}</td>'
                for place, (text, side) in enumerate(zip(row, sides, strict=True))
            )
            + "</tr>"
            for row in summary["head"]
        )
        more = []
        if summary["rows"] > len(summary["head"]):
            more.append(f"{summary['rows'] - len(summary['head']):,} more rows")
        if summary["columns"] > len(summary["names"]):
            more.append(f"{summary['columns'] - len(summary['names']):,} more columns")
        note = f'<div style="opacity:.7;font-size:12px">{", ".join(more)}</div>' if more else ""
        table = f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        return f'<table style="font-size:12px;border:none">{table}</table>{note}'


def table_arguments(data: Any) -> dict[str, Any]:
    """The arguments of ``table.add`` for a frame, or for what pandas makes one of."""
    import pandas as pd

    found = columns_of(data if isinstance(data, pd.DataFrame) else pd.DataFrame(data))
    return {"columns": found.columns, "properties": found.properties, "row_labels": found.row_labels}
