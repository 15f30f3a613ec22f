"""What a predicate is parsed into: frozen values, equal where they say the same, whose text is a predicate again."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "Aggregate",
    "And",
    "Comparison",
    "Constant",
    "Date",
    "Expression",
    "KeyPath",
    "Modifier",
    "Node",
    "Not",
    "Operator",
    "Or",
    "Truth",
    "comparisons",
]

Operator = Literal[
    "==", "!=", "<", "<=", ">", ">=", "IN", "LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH", "MATCHES", "BETWEEN"
]
#: SOME is ANY.
Modifier = Literal["ANY", "ALL", "NONE"]

#: Seconds from 1970-01-01 to 2001-01-01, UTC: what NSDate counts from.
REFERENCE: Final = 978_307_200


@dataclass(frozen=True, slots=True)
class Date:
    """A moment (NSDate): seconds since 1970-01-01, UTC."""

    seconds: float

    def __str__(self) -> str:
        whole = datetime.datetime.fromtimestamp(self.seconds, datetime.UTC)
        if whole.microsecond:
            return f'CAST({self.seconds - REFERENCE!r}, "NSDate")'
        return f'CAST("{whole:%Y-%m-%d %H:%M:%S} +0000", "NSDate")'


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is written in the predicate."""

    value: str | int | float | bool | Date | None

    def __str__(self) -> str:
        if self.value is None:
            return "nil"
        if isinstance(self.value, bool):
            return "TRUE" if self.value else "FALSE"
        return quoted(self.value) if isinstance(self.value, str) else str(self.value)

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and True are equal for Python, and not the same predicate.
        return isinstance(other, Constant) and (type(self.value), self.value) == (type(other.value), other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class KeyPath:
    """A key, or keys from relation to relation; the last may be ``@count``."""

    keys: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.keys)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A list: ``{1, 2}``."""

    items: tuple[Constant | KeyPath, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.items)) + "}"


Expression = Constant | KeyPath | Aggregate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two expressions compared.

    Attributes:
        modifier: which of the left side's values it must be true of; None: it has one.
        case: case counts.
        marks: diacritical marks count.
    """

    left: Expression
    operator: Operator
    right: Expression
    modifier: Modifier | None = None
    case: bool = True
    marks: bool = True

    def __str__(self) -> str:
        options = ("" if self.case else "c") + ("" if self.marks else "d")
        modifier = f"{self.modifier} " if self.modifier else ""
        return f"{modifier}{self.left} {self.operator}{f'[{options}]' if options else ''} {self.right}"


@dataclass(frozen=True, slots=True)
class And:
    """All of these, two at least."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " AND ".join(_inner(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Or:
    """One of these, two at least."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(_inner(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    item: Node

    def __str__(self) -> str:
        return f"NOT {_inner(self.item)}"


@dataclass(frozen=True, slots=True)
class Truth:
    """TRUEPREDICATE or FALSEPREDICATE."""

    value: bool

    def __str__(self) -> str:
        return "TRUEPREDICATE" if self.value else "FALSEPREDICATE"


Node = And | Or | Not | Truth | Comparison


def _inner(item: Node) -> str:
    return str(item) if isinstance(item, Truth) else f"({item})"


def quoted(text: str) -> str:
    """Text as a literal of a predicate."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in escaped) + '"'


def comparisons(node: Node) -> Iterator[Comparison]:
    """All comparisons of a predicate."""
    if isinstance(node, Comparison):
        yield node
    elif isinstance(node, Not):
        yield from comparisons(node.item)
    elif isinstance(node, And | Or):
        for item in node.items:
            yield from comparisons(item)
