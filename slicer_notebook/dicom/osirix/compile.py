"""A predicate made ready for the rows of a table: a function that says whether it is true of one.

Nothing of the predicate becomes code: each comparison is a closure over its values.

A key that is absent is nil: equal to nil only, in no order with anything, and different from all else. ``NOT`` is
true where its predicate is not.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slicer_notebook.dicom.nspredicate.matching import COMPARE, comparing, folding
from slicer_notebook.dicom.nspredicate.parse import date_of, number_of
from slicer_notebook.dicom.nspredicate.tree import (
    Aggregate,
    And,
    Comparison,
    Constant,
    Date,
    Expression,
    KeyPath,
    Node,
    Not,
    Operator,
    Or,
    Truth,
)
from slicer_notebook.dicom.osirix.entities import ENTITIES, Attribute, Entity
from slicer_notebook.dicom.osirix.rows import person
from slicer_notebook.errors import ArgumentError

__all__ = ["Needs", "Path", "Predicate", "compiled", "path_of", "sides"]

Predicate = Callable[[Any], bool]
#: Whether a comparison is true of a value of the left side, in a row.
Test = Callable[[Any, Any], bool]

_MIRRORED: Final[dict[str, Operator]] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERED: Final = frozenset(_MIRRORED)


@dataclass
class Needs:
    """What has to be loaded for a predicate, or for what is said of its answers.

    Attributes:
        fields: of the records of each table that is looked at.
        series: all series of the studies.
        images: all images of the series.
        written, first: see `entities.Need`.
    """

    fields: dict[str, set[str]] = field(default_factory=dict)
    series: bool = False
    images: bool = False
    written: bool = False
    first: set[str] = field(default_factory=set)

    def attribute(self, entity: Entity, attribute: Attribute) -> None:
        """This one is looked at."""
        self.fields.setdefault(entity.name, set()).update(attribute.fields)
        if attribute.need == "series":
            self.series = True
            self.fields.setdefault("Series", set()).update(attribute.further)
        elif attribute.need == "written":
            self.written = True
        elif attribute.need == "first":
            self.first.update(attribute.further)


@dataclass(frozen=True)
class Path:
    """A key path, resolved.

    Attributes:
        entities: tables on the way, the one that is asked about first.
        many: it has any number of values: `get` gives a list.
        attribute: its last key; None for ``@count``.
    """

    entities: tuple[Entity, ...]
    many: bool
    attribute: Attribute | None
    get: Callable[[Any], Any]

    @property
    def kind(self) -> str:
        """Kind of its values."""
        return self.attribute.kind if self.attribute is not None else "number"


def _unknown(key: str, entity: Entity) -> ArgumentError:
    known = [*entity.attributes, *entity.relations]
    close = difflib.get_close_matches(key, known, n=1)
    return ArgumentError(
        # Without it: what was to be a value in quotes may name a patient, and this goes into logs.
        f"The table {entity.name} has no such key.",
        expected="one of " + ", ".join(known),
        got=key,
        hint=f"Did you mean {close[0]!r}?" if close else "Case counts.",
    )


def path_of(path: KeyPath, entity: Entity, needs: Needs | None = None) -> Path:
    """What a key path is in a table.

    Raises:
        ArgumentError: no such key; a relation without a key behind it, or a key with one.
    """
    needs = needs if needs is not None else Needs()
    entities, steps, here = [entity], [], entity
    for key in path.keys[:-1]:
        relation = here.relations.get(key)
        if relation is None:
            raise _unknown(key, here)
        here = ENTITIES[relation.to]
        steps.append(relation)
        entities.append(here)
        needs.fields.setdefault(here.name, set())
        needs.series |= relation.to == "Series" and relation.many
        needs.images |= relation.to == "Image"
    last = path.keys[-1]
    if last == "@count":
        if not steps or not steps[-1].many:
            raise ArgumentError(
                "Only what there may be several of is counted.", expected="series.@count", got=str(path)
            )
        return Path(
            tuple(entities), any(s.many for s in steps[:-1]), None, _getter([*steps[:-1]], _count(steps[-1].get))
        )
    attribute = here.attributes.get(last)
    if attribute is None:
        if last in here.relations:
            raise ArgumentError(f"The relation {last!r} needs a key.", expected=f"{last}.KEY", got=str(path))
        raise _unknown(last, here)
    needs.attribute(here, attribute)
    return Path(tuple(entities), any(step.many for step in steps), attribute, _getter(steps, attribute.get))


def _count(of: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda row: len(of(row))


def _getter(steps: list[Any], last: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if not steps:
        return last
    first, rest = steps[0], _getter(steps[1:], last)
    if not first.many:
        return lambda row: rest(first.get(row))
    if any(step.many for step in steps[1:]):
        return lambda row: [value for other in first.get(row) for value in rest(other)]
    return lambda row: [rest(other) for other in first.get(row)]


# -- predicates ----------------------------------------------------------------------------------------------------


def compiled(node: Node, entity: Entity, needs: Needs) -> Predicate:
    """Whether a predicate is true of a row of a table; ``needs`` learns what of it has to be loaded.

    Raises:
        ArgumentError: an unknown key; a comparison that is none for these values.
    """
    if isinstance(node, Truth):
        value = node.value
        return lambda _row: value
    if isinstance(node, Not):
        inner = compiled(node.item, entity, needs)
        return lambda row: not inner(row)
    if isinstance(node, And | Or):
        parts = [compiled(item, entity, needs) for item in node.items]
        if isinstance(node, And):
            return lambda row: all(part(row) for part in parts)
        return lambda row: any(part(row) for part in parts)
    return _comparison(sides(node, entity), entity, needs)


def sides(node: Comparison, entity: Entity) -> Comparison:
    """The same comparison with its key on the left, where it has one, and collections asked by ANY."""
    if isinstance(node.left, Constant) and isinstance(node.right, KeyPath) and node.modifier is None:
        mirrored = _MIRRORED.get(node.operator)
        if mirrored is not None:
            return Comparison(node.right, mirrored, node.left, None, node.case, node.marks)
        if node.operator == "IN":
            many = path_of(node.right, entity).many
            operator: Operator = "==" if many else "CONTAINS"
            return Comparison(node.right, operator, node.left, "ANY" if many else None, node.case, node.marks)
    if isinstance(node.left, Aggregate):  # {1, 2} CONTAINS key
        if not isinstance(node.right, Constant | KeyPath):
            raise ArgumentError("A list contains a value.", expected="{...} CONTAINS key", got=str(node.right))
        return Comparison(node.right, "IN", node.left, None, node.case, node.marks)
    contains = node.operator == "CONTAINS" and node.modifier is None and isinstance(node.left, KeyPath)
    if contains and path_of(node.left, entity).many:  # type: ignore[arg-type]
        return Comparison(node.left, "==", node.right, "ANY", node.case, node.marks)
    return node


def _comparison(node: Comparison, entity: Entity, needs: Needs) -> Predicate:
    if isinstance(node.left, Aggregate):
        raise ArgumentError("A list cannot be compared.", expected="a key or a value", got="a list")
    kind, many, get = _side(node.left, entity, needs)
    test = _test(node, kind, node.right, entity, needs)
    if many:
        return _of_many(node, get, test)
    if node.modifier is not None:
        raise ArgumentError(
            f"{node.modifier} is for what there may be several of.",
            expected="a relation to many, such as ANY series.modality",
            got=str(node.left),
        )
    return lambda row: test(get(row), row)


def _of_many(node: Comparison, get: Callable[[Any], Any], test: Test) -> Predicate:
    if node.modifier == "ANY":
        return lambda row: any(test(value, row) for value in get(row))
    if node.modifier == "ALL":
        return lambda row: all(test(value, row) for value in get(row))
    if node.modifier == "NONE":
        return lambda row: not any(test(value, row) for value in get(row))
    raise ArgumentError(
        f"There may be several {node.left}.", expected="ANY, ALL or NONE before it", got=f"{node.left} {node.operator}"
    )


def _side(side: Constant | KeyPath, entity: Entity, needs: Needs) -> tuple[str, bool, Callable[[Any], Any]]:
    """Kind, whether it has several values, and how to get it."""
    if isinstance(side, KeyPath):
        path = path_of(side, entity, needs)
        return path.kind, path.many, path.get
    value: Any = side.value
    if isinstance(value, Date):
        seconds = value.seconds
        return "date", False, lambda _row: seconds
    kind = "text" if isinstance(value, str) else "number"
    if isinstance(value, bool):
        value = int(value)
    return kind, False, lambda _row: value


def _test(node: Comparison, kind: str, right: Expression, entity: Entity, needs: Needs) -> Test:
    operator = node.operator
    if isinstance(right, Aggregate):
        return _list_test(node, kind, right, entity, needs)
    if operator == "IN" and isinstance(right, Constant) and not isinstance(right.value, str):
        raise ArgumentError("IN needs a list.", expected="{...}, or text to look in", got=str(right))
    if isinstance(right, KeyPath):
        return _key_test(node, kind, right, entity, needs)
    return _constant_test(operator, kind, right, node.case, node.marks)


def _list_test(node: Comparison, kind: str, right: Aggregate, entity: Entity, needs: Needs) -> Test:
    def each(operator: Operator, item: Constant | KeyPath) -> Test:
        return _test(Comparison(node.left, operator, item, None, node.case, node.marks), kind, item, entity, needs)

    if node.operator == "BETWEEN":
        first, last = each(">=", right.items[0]), each("<=", right.items[1])
        return lambda value, row: first(value, row) and last(value, row)
    if kind == "text" and all(isinstance(item, Constant) and isinstance(item.value, str) for item in right.items):
        fold = folding(node.case, node.marks)
        known = frozenset(fold(str(item.value)) for item in right.items if isinstance(item, Constant))
        return lambda value, _row: value is not None and fold(value) in known
    tests = [each("==", item) for item in right.items]
    return lambda value, row: any(test(value, row) for test in tests)


# -- comparisons with a value --------------------------------------------------------------------------------------

_NIL: Final[dict[str, Test]] = {
    "==": lambda value, _row: value is None,
    "!=": lambda value, _row: value is not None,
}


def _constant_test(operator: Operator, kind: str, right: Constant, case: bool, marks: bool) -> Test:
    if right.value is None:
        return _NIL.get(operator, lambda _value, _row: False)
    if kind in ("text", "name"):
        return _text_test(operator, kind, right.value, case, marks)
    if operator not in _ORDERED:
        raise ArgumentError(
            f"{operator} compares text.", expected="==, !=, <, <=, >, >=, IN or BETWEEN", got=f"a {kind}"
        )
    wanted = _as_date(right.value) if kind == "date" else _as_number(right.value)
    if wanted is None:  # text that is no number: equal to none
        return lambda _value, _row: operator == "!="
    compare: Callable[[Any, Any], bool] = COMPARE[operator]
    if operator == "!=":
        return lambda value, _row: value is None or compare(value, wanted)
    return lambda value, _row: value is not None and compare(value, wanted)


def _as_date(value: object) -> float:
    date = value if isinstance(value, Date) else date_of(value) if isinstance(value, str) else None
    if date is None:
        raise ArgumentError(
            "A date is compared with what is none.",
            expected='CAST("2010-05-12 14:22:11 +0000", "NSDate"), or that text',
            got=type(value).__name__,
        )
    return date.seconds


def _as_number(value: object) -> int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    return number_of(value) if isinstance(value, str) else None


def _text_test(operator: Operator, kind: str, value: object, case: bool, marks: bool) -> Test:
    text = _as_text(value)
    if operator == "!=":
        equal = _text_test("==", kind, text, case, marks)
        return lambda value, row: not equal(value, row)
    fold = folding(case, marks)
    test = comparing(operator, text, case, marks)
    if kind == "name":
        return lambda value, _row: value is not None and any(test(fold(spelled)) for spelled in _spelled(value))
    return lambda value, _row: value is not None and test(fold(value))


def _as_text(value: object) -> str:
    if isinstance(value, Date | bool):
        raise ArgumentError("Text is compared with what is none.", expected="text", got=type(value).__name__)
    return str(value)


def _spelled(name: str) -> tuple[str, ...]:
    """A name as DICOM writes it and as OsiriX does."""
    other = person(name)
    return (name,) if other == name else (name, other)


# -- comparisons with a key ----------------------------------------------------------------------------------------


def _key_test(node: Comparison, kind: str, right: KeyPath, entity: Entity, needs: Needs) -> Test:
    other_kind, many, get = _side(right, entity, needs)
    operator = node.operator
    if many:
        raise ArgumentError(
            f"There may be several {right}.", expected="a value, or a key of which there is one", got=""
        )
    if operator in ("LIKE", "MATCHES"):
        raise ArgumentError(f"{operator} needs a pattern.", expected="text", got=f"the key {right}")
    texts = kind in ("text", "name"), other_kind in ("text", "name")
    if texts == (True, True):
        fold, compare = folding(node.case, node.marks), COMPARE[operator]
        return _both_present(operator, lambda value, other: compare(fold(value), fold(other)), get)
    if operator not in _ORDERED or kind != other_kind:
        raise ArgumentError(
            f"{node.left} and {right} cannot be compared by {operator}.",
            expected="two keys of one kind",
            got=f"{kind} and {other_kind}",
        )
    return _both_present(operator, COMPARE[operator], get)


def _both_present(operator: Operator, compare: Callable[[Any, Any], bool], get: Callable[[Any], Any]) -> Test:
    def test(value: Any, row: Any) -> bool:
        other = get(row)
        if value is None or other is None:
            return (value is other) if operator == "==" else (value is not other) if operator == "!=" else False
        return compare(value, other)

    return test
