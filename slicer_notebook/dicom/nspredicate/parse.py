"""From the text of a predicate to its tree: recursive descent, in bounds."""

from __future__ import annotations

import datetime
import math
import re
import time
from typing import Final, cast

from slicer_notebook.dicom.nspredicate.tokens import Token, problem, tokens
from slicer_notebook.dicom.nspredicate.tree import (
    REFERENCE,
    Aggregate,
    And,
    Comparison,
    Constant,
    Date,
    Expression,
    KeyPath,
    Modifier,
    Node,
    Not,
    Operator,
    Or,
    Truth,
)
from slicer_notebook.errors import ArgumentError

__all__ = ["MAX_COMPARISONS", "MAX_DEPTH", "MAX_LENGTH", "date_of", "parse"]

#: Characters of a predicate: a list of 900 UIDs.
MAX_LENGTH: Final = 65_536
#: Parentheses, lists and NOTs in one another: Python's own stack bears ten times as many.
MAX_DEPTH: Final = 64
#: Comparisons of a predicate: each is made for each row of the index.
MAX_COMPARISONS: Final = 500

_ORDERED: Final = ("==", "!=", "<", "<=", ">", ">=")
_OF_TEXT: Final = ("LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH", "MATCHES")
_OPERATORS: Final = frozenset({*_ORDERED, *_OF_TEXT, "IN", "BETWEEN"})
_MODIFIERS: Final = frozenset({"ANY", "ALL", "NONE"})
_REFUSED: Final = {
    "SELF": "there is no SELF to compare",
    "SUBQUERY": "SUBQUERY is not known; ANY, ALL and NONE are",
    "FUNCTION": "functions are not called",
    "TERNARY": "TERNARY is not known",
    "FETCH": "FETCH is not known",
}


def parse(predicate: str) -> Node:
    """The tree of a predicate.

    Words are taken in any case, keys as they are written. Dates come as ``CAST("2010-05-12 14:22:11 +0000", "NSDate")``
    or ``CAST(seconds since 2001, "NSDate")``; a date's key may also be compared with the bare text (see `date_of`).

    Raises:
        ArgumentError: it is none, or goes beyond a limit. ``details["position"]`` is the index of the character.
    """
    if len(predicate) > MAX_LENGTH:
        raise ArgumentError(
            "The predicate is too long.", expected=f"at most {MAX_LENGTH} characters", got=f"{len(predicate)}"
        )
    return _Parser(predicate).all()


class _Parser:
    def __init__(self, predicate: str) -> None:
        self._text = predicate
        self._tokens = tokens(predicate)
        self._at = 0
        self._depth = 0
        self._comparisons = 0

    # -- tokens --------------------------------------------------------------------------------------------------

    @property
    def _ended(self) -> bool:
        return self._here.kind == "end"

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    def _is(self, text: str) -> bool:
        """Whether this word or sign is next; it is taken then."""
        here = self._here
        if here.kind in ("word", "sign") and here.text == text:
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._is(sign):
            raise self._problem("something is missing.", self._here, expected=f"'{sign}'")

    def _problem(self, message: str, token: Token, *, expected: str, hint: str | None = None) -> ArgumentError:
        return problem(message, self._text, token.at, expected=expected, hint=hint)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._problem("too much in one another.", self._here, expected=f"at most {MAX_DEPTH} levels")

    # -- predicates ----------------------------------------------------------------------------------------------
    # What is in parentheses may be either: so these give both, and `_node` and `_expression` say what is wanted.

    def all(self) -> Node:
        """The whole predicate."""
        if self._ended:
            raise self._problem("it is empty.", self._here, expected="a comparison")
        found = self._node(self._any_of(), self._tokens[0])
        if not self._ended:
            raise self._problem("nothing more is expected here.", self._here, expected="AND, OR or the end")
        return found

    def _any_of(self) -> Node | Expression:
        start = self._here
        found = self._all_of()
        if not self._next_is("OR"):
            return found
        items = [self._node(found, start)]
        while self._is("OR"):
            start = self._here
            items.append(self._node(self._all_of(), start))
        return Or(tuple(items))

    def _all_of(self) -> Node | Expression:
        start = self._here
        found = self._not()
        if not self._next_is("AND"):
            return found
        items = [self._node(found, start)]
        while self._is("AND"):
            start = self._here
            items.append(self._node(self._not(), start))
        return And(tuple(items))

    def _next_is(self, word: str) -> bool:
        return self._here.kind == "word" and self._here.text == word

    def _not(self) -> Node | Expression:
        if not self._is("NOT"):
            return self._comparison()
        self._deeper()
        start = self._here
        found = Not(self._node(self._not(), start))
        self._depth -= 1
        return found

    def _comparison(self) -> Node | Expression:
        start = self._here
        modifier: Modifier | None = None
        if start.kind == "word" and start.text in _MODIFIERS:
            modifier = cast("Modifier", self._take().text)
        left_at = self._here
        left = self._operand()
        here = self._here
        if here.kind not in ("word", "sign") or here.text not in _OPERATORS:
            if modifier is not None:
                raise self._problem(f"{modifier} is followed by no comparison.", here, expected="an operator")
            return left
        return self._compared(modifier, self._expression(left, left_at))

    def _compared(self, modifier: Modifier | None, left: Expression) -> Comparison:
        token = self._take()
        operator = cast("Operator", token.text)
        case, marks = self._options(token)
        right_at = self._here
        if operator in ("IN", "BETWEEN") and self._is("("):
            right: Expression = self._list(")")
        else:
            right = self._expression(self._operand(), right_at)
        self._check(operator, left, right, token, right_at)
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise self._problem(
                "too many comparisons.", token, expected=f"at most {MAX_COMPARISONS}", hint="IN {...} is one."
            )
        return Comparison(left, operator, right, modifier, case, marks)

    def _check(self, operator: Operator, left: Expression, right: Expression, token: Token, right_at: Token) -> None:
        if operator == "BETWEEN" and (not isinstance(right, Aggregate) or len(right.items) != 2):
            raise self._problem("BETWEEN needs two values.", right_at, expected="{first, last}")
        if operator in (*_ORDERED, *_OF_TEXT) and isinstance(right, Aggregate):
            raise self._problem(
                f"{operator} is no comparison with a list.", right_at, expected="a key or a value", hint="IN"
            )
        if isinstance(left, Aggregate) and operator != "CONTAINS":
            raise self._problem("a list cannot stand there.", token, expected="a key or a value before the operator")

    def _options(self, operator: Token) -> tuple[bool, bool]:
        """Whether case and marks count."""
        if self._here.kind != "options":
            return True, True
        token = self._take()
        if not token.text or set(token.text) - set("cdn"):
            hint = "[l] (of a locale) is not known." if "l" in token.text else None
            raise self._problem("these are no options.", token, expected="[c], [d] or [cd]", hint=hint)
        if operator.text == "BETWEEN":
            raise self._problem("BETWEEN has no options.", token, expected="{first, last}")
        return "c" not in token.text, "d" not in token.text

    def _node(self, found: Node | Expression, start: Token) -> Node:
        if isinstance(found, Constant | KeyPath | Aggregate):
            raise self._problem("this is not compared with anything.", start, expected="a comparison")
        return found

    def _expression(self, found: Node | Expression, start: Token) -> Expression:
        if not isinstance(found, Constant | KeyPath | Aggregate):
            raise self._problem("a predicate cannot be compared.", start, expected="a key or a value")
        return found

    # -- expressions ---------------------------------------------------------------------------------------------

    def _operand(self) -> Node | Expression:
        token = self._take()
        if token.kind == "string":
            return Constant(token.text)
        if token.kind == "number":
            return Constant(self._number(token))
        if token.kind == "path":
            return self._path(token)
        if token.kind == "sign" and token.text == "{":
            return self._list("}")
        if token.kind == "sign" and token.text == "(":
            self._deeper()
            found = self._any_of()
            self._need(")")
            self._depth -= 1
            return found
        if token.kind == "word":
            return self._word(token)
        raise self._problem("a key or a value is expected here.", token, expected="a key, a value or a comparison")

    def _word(self, token: Token) -> Node | Expression:
        if token.text in ("TRUEPREDICATE", "FALSEPREDICATE"):
            return Truth(token.text == "TRUEPREDICATE")
        if token.text in ("TRUE", "FALSE"):
            return Constant(token.text == "TRUE")
        if token.text == "NIL":
            return Constant(None)
        if token.text == "CAST":
            return self._cast()
        if token.text == "NOW":
            self._need("(")
            self._need(")")
            return Constant(Date(time.time()))
        refused = _REFUSED.get(token.text)
        if refused is not None:
            raise self._problem(f"{refused}.", token, expected="a key or a value")
        raise self._problem(
            "this word has a meaning of its own.", token, expected="a key or a value", hint="#word for a key"
        )

    def _path(self, token: Token) -> KeyPath:
        keys = tuple(token.text.split("."))
        if self._here.kind == "sign" and self._here.text == "(":
            raise self._problem("functions are not called.", token, expected="a key or a value")
        if any(key.startswith("@") and key != "@count" for key in keys) or "@count" in keys[:-1] or keys[0][0] == "@":
            raise self._problem("of aggregates, only @count is known.", token, expected="relation.@count")
        return KeyPath(keys)

    def _number(self, token: Token) -> int | float:
        text = token.text.lower()
        digits = text.lstrip("-")
        try:
            if digits[:2] in ("0x", "0o", "0b"):
                return int(text, 0)
            if digits.isdigit() and len(digits) <= 18:  # what 64 bits hold for certain
                return int(text)
            value = float(text)
        except ValueError:
            value = math.inf
        if not math.isfinite(value):
            raise self._problem("this number is too large.", token, expected="a number that a double holds")
        return value

    def _list(self, closing: str) -> Aggregate:
        self._deeper()
        items: list[Constant | KeyPath] = []
        while not self._is(closing):
            if items:
                self._need(",")
            at = self._here
            item = self._expression(self._operand(), at)
            if isinstance(item, Aggregate):
                raise self._problem("a list of lists is compared with nothing.", at, expected="a key or a value")
            items.append(item)
        self._depth -= 1
        return Aggregate(tuple(items))

    def _cast(self) -> Constant:
        self._need("(")
        at = self._here
        value = self._expression(self._operand(), at)
        if not isinstance(value, Constant):
            raise self._problem("only values are cast, no keys.", at, expected="text or a number")
        self._need(",")
        kind = self._take()
        self._need(")")
        if kind.kind != "string":
            raise self._problem("the type is missing.", kind, expected='"NSDate"')
        return Constant(self._casted(value.value, kind, at))

    def _casted(self, value: object, kind: Token, at: Token) -> str | int | float | Date | None:
        if kind.text == "NSDate":
            date = _as_date(value)
            if date is None:
                expected = '"2010-05-12 14:22:11 +0000", or seconds since 2001-01-01 00:00:00 UTC'
                raise self._problem("this is no date.", at, expected=expected)
            return date
        if kind.text in ("NSNumber", "NSDecimalNumber"):
            number = _as_number(value)
            if number is None:
                raise self._problem("this is no number.", at, expected="a number")
            return number
        if kind.text == "NSString" and isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        raise self._problem("nothing is cast to that.", kind, expected='"NSDate", "NSNumber" or "NSString"')


def _as_date(value: object) -> Date | None:
    if isinstance(value, str):
        return date_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FURTHEST:
        return Date(float(value) + REFERENCE)
    return value if isinstance(value, Date) else None


def _as_number(value: object) -> int | float | None:
    if isinstance(value, str):
        return number_of(value)
    if isinstance(value, Date):
        return value.seconds - REFERENCE
    return value if isinstance(value, int | float) else None


#: Seconds from 2001 to where Python's calendar ends, or begins.
_FURTHEST: Final = 62_000_000_000
_NSDATE: Final = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?\s*",
    re.ASCII,
)


def date_of(text: str) -> Date | None:
    """``2010-05-12 14:22:11 +0000`` and ISO 8601, down to a day; without a zone in this machine's. None: no date."""
    match = _NSDATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    zone: datetime.tzinfo | None = None
    if match[8] is not None:
        offset = match[8].replace(":", "") if match[8][0] in "+-" else "+0000"
        sign = -1 if offset[0] == "-" else 1
        minutes = sign * (int(offset[1:3]) * 60 + int(offset[3:]))
        if abs(minutes) >= 24 * 60:
            return None
        zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    return Date(_seconds(moment) + float(match[7] or 0))


def _seconds(moment: datetime.datetime) -> float:
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        # A local time at either end of the calendar, where nobody knows the zone.
        return moment.replace(tzinfo=datetime.UTC).timestamp()


_DECIMAL: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def number_of(text: str) -> int | float | None:
    """The number that a text is, as JSON would write it; None: none."""
    stripped = text.strip()
    if not _DECIMAL.fullmatch(stripped) or len(stripped) > 40:
        return None
    value = float(stripped)
    return (int(stripped) if stripped.lstrip("+-").isdigit() else value) if math.isfinite(value) else None
