"""Which rows a predicate may be true of, as a condition on the index's columns.

The index keeps text folded (`text.fold`), so a column cannot decide most comparisons; it rules out nearly all rows that
have no chance, and `compile` decides about the rest. A condition is true wherever the predicate is. Values are
parameters, never text of SQL.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, Final, NamedTuple

from slicer_notebook.dicom.nspredicate.matching import like_pieces
from slicer_notebook.dicom.nspredicate.parse import date_of
from slicer_notebook.dicom.nspredicate.tree import (
    Aggregate,
    And,
    Comparison,
    Constant,
    Date,
    Expression,
    KeyPath,
    Node,
    Or,
    Truth,
)
from slicer_notebook.dicom.osirix.compile import path_of, sides
from slicer_notebook.dicom.osirix.entities import Attribute, Entity
from slicer_notebook.dicom.text import fold

__all__ = ["Condition", "narrowed"]


class Condition(NamedTuple):
    """SQL and its parameters."""

    sql: str
    parameters: list[Any]


#: Aliases of the tables.
_ALIAS: Final = {"Study": "t", "Series": "s", "Image": "f"}
#: Ways of key paths from the table that is asked about; the condition on the last one goes in. Others narrow nothing.
_WAYS: Final = {
    ("Study",): "{}",
    ("Series",): "{}",
    ("Image",): "{}",
    ("Series", "Study"): "{}",
    ("Image", "Series"): "{}",
    ("Image", "Series", "Study"): "{}",
    ("Study", "Series"): "t.id IN (SELECT s.study_id FROM series s WHERE {})",
    ("Series", "Image"): "s.id IN (SELECT f.series_id FROM files f WHERE {})",
    ("Study", "Series", "Image"): (
        "t.id IN (SELECT s.study_id FROM series s JOIN files f ON f.series_id = s.id WHERE {})"
    ),
}
_NARROWING: Final = ("==", "IN", "LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH")
_DAY: Final = 86_400.0
#: Words of a name that are looked for: more rule out no more.
_MOST_WORDS: Final = 6


def narrowed(node: Node, entity: Entity) -> Condition | None:
    """The condition; None where the columns rule nothing out.

    Raises:
        ArgumentError: an unknown key.
    """
    if isinstance(node, Truth):
        return Condition("1" if node.value else "0", [])
    if isinstance(node, And):
        found = [part for item in node.items if (part := narrowed(item, entity)) is not None]
        return _joined(" AND ", found) if found else None
    if isinstance(node, Or):
        parts = [narrowed(item, entity) for item in node.items]
        known = [part for part in parts if part is not None]
        return _joined(" OR ", known) if len(known) == len(parts) else None
    return _comparison(sides(node, entity), entity) if isinstance(node, Comparison) else None


def _joined(word: str, parts: list[Condition]) -> Condition:
    sql = "(" + word.join(part.sql for part in parts) + ")"
    return Condition(sql, [parameter for part in parts for parameter in part.parameters])


def _comparison(node: Comparison, entity: Entity) -> Condition | None:
    if not isinstance(node.left, KeyPath) or node.modifier not in (None, "ANY"):
        return None
    path = path_of(node.left, entity)
    way = _WAYS.get(tuple(each.name for each in path.entities))
    if path.attribute is None or not path.attribute.column or way is None:
        return None
    column = f'{_ALIAS[path.entities[-1].name]}."{path.attribute.column}"'
    found = _on_column(node, path.attribute, column)
    return None if found is None else Condition(way.format(found.sql), found.parameters)


def _on_column(node: Comparison, attribute: Attribute, column: str) -> Condition | None:
    if attribute.kept == "day":
        return _days(node, column)
    in_text = node.operator == "IN" and not isinstance(node.right, Aggregate)
    texts = _texts(node.right) if node.operator in _NARROWING and not in_text else None
    if texts is None:
        return None
    whole = node.operator in ("==", "IN")
    # What folding makes of other text may depend on what is beside it.
    if not all(text.isascii() for text in texts):
        return None
    if attribute.kept == "raw":
        return _raw(node, column, texts, whole)
    if whole and attribute.kept == "folded":
        return Condition(f"{column} IN (SELECT value FROM json_each(?))", [json.dumps([fold(text) for text in texts])])
    each = [_pieces(node, attribute, column, text) for text in texts]
    found = [part for part in each if part is not None]
    return _joined(" OR ", found) if found and len(found) == len(each) else None


def _raw(node: Comparison, column: str, texts: list[str], whole: bool) -> Condition | None:
    if not (node.case and node.marks):
        return None
    if whole:
        return Condition(f"{column} IN (SELECT value FROM json_each(?))", [json.dumps(texts)])
    pieces = _literals(node, texts[0])
    return _joined(" AND ", [Condition(f"instr({column}, ?) > 0", [piece]) for piece in pieces]) if pieces else None


def _pieces(node: Comparison, attribute: Attribute, column: str, text: str) -> Condition | None:
    """The column has all pieces of the text in it."""
    pieces = [fold(piece) for piece in _literals(node, text)]
    if attribute.kept == "name":  # it may be spelled with blanks or with carets
        pieces = [word for piece in pieces for word in piece.replace("^", " ").replace(",", " ").split()][:_MOST_WORDS]
    pieces = [piece for piece in pieces if piece]
    return _joined(" AND ", [Condition(f"instr({column}, ?) > 0", [piece]) for piece in pieces]) if pieces else None


def _literals(node: Comparison, text: str) -> list[str]:
    """What must be in a value for it to match."""
    if node.operator != "LIKE":
        return [text] if text else []
    return [piece for piece in like_pieces(text) if isinstance(piece, str)]


def _texts(right: Expression) -> list[str] | None:
    """The texts that a key is compared with; None where there are others."""
    items = right.items if isinstance(right, Aggregate) else (right,)
    found: list[str] = []
    for item in items:
        value = item.value if isinstance(item, Constant) else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        found.append(str(value))
    return found


def _days(node: Comparison, column: str) -> Condition | None:
    """A range of days, one wider at both ends: nobody knows here how far from UTC the day is meant."""
    if node.operator == "BETWEEN" and isinstance(node.right, Aggregate):
        first, last = (_seconds(item) for item in node.right.items)
        return None if first is None or last is None else _between(column, first, last)
    seconds = _seconds(node.right)
    if seconds is None:
        return None
    if node.operator == "==":
        return _between(column, seconds, seconds)
    if node.operator in (">", ">="):
        return Condition(f"{column} >= ?", [_day_text(seconds - _DAY)])
    if node.operator in ("<", "<="):
        return Condition(f"{column} <= ?", [_day_text(seconds + _DAY)])
    return None


def _between(column: str, first: float, last: float) -> Condition:
    return Condition(f"{column} BETWEEN ? AND ?", [_day_text(first - _DAY), _day_text(last + _DAY)])


def _seconds(item: Expression) -> float | None:
    value = item.value if isinstance(item, Constant) else None
    date = value if isinstance(value, Date) else date_of(value) if isinstance(value, str) else None
    return None if date is None else date.seconds


def _day_text(seconds: float) -> str:
    try:
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return "00000000" if seconds < 0 else "99999999"
    return f"{moment.year:04d}{moment:%m%d}"
