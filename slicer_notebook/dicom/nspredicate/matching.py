"""Comparisons of text, as NSPredicate makes them: with or without case ([c]) and diacritical marks ([d]).

Text that means the same to Unicode (a letter with its mark in one character or in two) is the same here.
"""

from __future__ import annotations

import operator as operators
import unicodedata
from collections.abc import Callable
from typing import Final

from slicer_notebook.dicom.nspredicate import regex
from slicer_notebook.dicom.nspredicate.tree import Operator

__all__ = ["COMPARE", "Fold", "Test", "comparing", "folding", "like_pieces"]

Fold = Callable[[str], str]
Test = Callable[[str], bool]
"""Whether a comparison is true of a text. The text is folded already."""


def folding(case: bool, marks: bool) -> Fold:
    """What makes two texts one where they differ only in what does not count."""
    return _FOLDS[case, marks]


def _as_it_is(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _without_case(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare)


def _without_both(text: str) -> str:
    return text.lower() if text.isascii() else _without_marks(text.casefold())


_FOLDS: Final[dict[tuple[bool, bool], Fold]] = {
    (True, True): _as_it_is,
    (False, True): _without_case,
    (True, False): _without_marks,
    (False, False): _without_both,
}

#: Two texts that are folded; IN: the first is a part of the second.
COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "CONTAINS": lambda text, wanted: wanted in text,
    "BEGINSWITH": str.startswith,
    "ENDSWITH": str.endswith,
    "IN": lambda text, wanted: text in wanted,
}


def comparing(operator: Operator, pattern: str, case: bool = True, marks: bool = True) -> Test:
    """A comparison with a text that is written in the predicate, made ready.

    Raises:
        ArgumentError: MATCHES with what is no pattern, or one that is refused (see `regex`).
    """
    if operator == "MATCHES":
        return regex.compiled(pattern, case=case, marks=marks)
    fold = folding(case, marks)
    if operator == "LIKE":
        return _like(pattern, fold)
    wanted = fold(pattern)
    compare = COMPARE[operator]
    return lambda text: compare(text, wanted)


#: What stands for any text, and for any character, between the pieces of a LIKE.
ANY_TEXT: Final = 0
ANY_CHARACTER: Final = 1


def like_pieces(pattern: str) -> list[str | int]:
    """A LIKE's pattern: literal text, `ANY_TEXT` for ``*``, `ANY_CHARACTER` for ``?``; a backslash takes both away."""
    found: list[str | int] = []
    literal: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and pattern[at + 1 : at + 2] in ("*", "?", "\\"):
            at += 1
            literal.append(pattern[at])
        elif char in "*?":
            if literal:
                found.append("".join(literal))
                literal = []
            wild = ANY_TEXT if char == "*" else ANY_CHARACTER
            if wild != ANY_TEXT or found[-1:] != [ANY_TEXT]:
                found.append(wild)
        else:
            literal.append(char)
        at += 1
    if literal:
        found.append("".join(literal))
    return found


def _like(pattern: str, fold: Fold) -> Test:
    pieces = [fold(piece) if isinstance(piece, str) else piece for piece in like_pieces(pattern)]
    if ANY_CHARACTER in pieces:
        return regex.of_pieces(pieces)
    literals = [piece for piece in pieces if isinstance(piece, str)]
    if pieces == literals:
        wanted = "".join(literals)
        return lambda text: text == wanted
    first = literals.pop(0) if isinstance(pieces[0], str) else ""
    last = literals.pop() if isinstance(pieces[-1], str) else ""

    def matches(text: str) -> bool:
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for literal in literals:
            # The first place is as good as any: what follows begins behind it.
            at = text.find(literal, at, end)
            if at < 0:
                return False
            at += len(literal)
        return True

    return matches
