"""MATCHES: regular expressions that cannot hang.

ICU's syntax, as far as an automaton goes: literal characters, ``.``, classes with ranges, ``\\d \\w \\s`` and their
contraries, ``\\p{Lu}`` (general categories), groups, ``|``, ``* + ? {n} {n,} {n,m}`` (a ``?`` behind them changes
nothing: the whole text has to match), ``^`` and ``$``, ``(?i)`` and ``(?s)`` at the beginning. Refused, with a reason:
back references, looking ahead and behind, atomic groups and possessive quantifiers, ``\\b``, set operations.

What an `automaton` cannot do is not there; so no pattern hangs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from slicer_notebook.dicom.nspredicate.automaton import BEGIN, END, Automaton, Builder, CharTest, Fragment, State
from slicer_notebook.dicom.nspredicate.tree import quoted
from slicer_notebook.errors import ArgumentError

__all__ = ["MAX_DEPTH", "MAX_PATTERN", "compiled", "of_pieces"]

#: Characters of a pattern.
MAX_PATTERN: Final = 1000
#: Groups in one another.
MAX_DEPTH: Final = 50
_LINE_ENDS: Final = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "a": "\a", "e": "\x1b"}
_HEX: Final = "0123456789abcdefABCDEF"


def compiled(pattern: str, *, case: bool = True, marks: bool = True) -> Callable[[str], bool]:
    """Whether a pattern matches a whole text (which is folded as ``case`` and ``marks`` say).

    Raises:
        ArgumentError: no pattern, or one that is refused. The test raises it too, where it becomes too much work.
    """
    if len(pattern) > MAX_PATTERN:
        raise ArgumentError(
            "The pattern of MATCHES is too long.", expected=f"at most {MAX_PATTERN} characters", got=f"{len(pattern)}"
        )
    return Automaton(_Parser(pattern, case, marks).all()).matches


def of_pieces(pieces: Sequence[str | int]) -> Callable[[str], bool]:
    """Whether a text is these pieces (folded): literal text, 0 for any text, 1 for any character."""
    builder = Builder()
    parts: list[Fragment] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts += [builder.char(_literal(char)) for char in piece]
        else:
            any_char = builder.char(_anything)
            parts.append(builder.star(any_char) if piece == 0 else any_char)
    return Automaton(builder.finished(builder.sequence(parts))).matches


# -- characters ----------------------------------------------------------------------------------------------------


def _literal(char: str) -> CharTest:
    return lambda other: other == char


def _anything(_char: str) -> bool:
    return True


def _in_line(char: str) -> bool:
    return char not in _LINE_ENDS


def _digit(char: str) -> bool:
    return unicodedata.category(char) == "Nd"


def _word(char: str) -> bool:
    return char == "_" or char.isalnum() or unicodedata.category(char) in ("Mn", "Mc", "Me", "Pc")


def _blank(char: str) -> bool:
    return char.isspace() and not "\x1c" <= char <= "\x1f"


_CLASSES: Final[dict[str, CharTest]] = {"d": _digit, "w": _word, "s": _blank}


def _contrary(test: CharTest) -> CharTest:
    return lambda char: not test(char)


def _of_category(name: str) -> CharTest:
    return lambda char: unicodedata.category(char).startswith(name)


def _one_of(tests: list[CharTest], singles: frozenset[str], ranges: list[tuple[str, str]]) -> CharTest:
    def test(char: str) -> bool:
        if char in singles or any(first <= char <= last for first, last in ranges):
            return True
        return any(each(char) for each in tests)

    return test


# -- patterns ------------------------------------------------------------------------------------------------------


class _Parser:
    """A pattern to its automaton.

    Args:
        case, marks: whether these count; the text comes without them, so the pattern's characters lose them, too.
    """

    def __init__(self, pattern: str, case: bool, marks: bool) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._case = case
        self._marks = marks
        self._text_has_case = case
        self._dot: CharTest = _in_line
        self._builder = Builder()

    def all(self) -> tuple[list[State], int]:
        self._flags()
        whole = self._either()
        if self._at < len(self._pattern):
            raise self._problem("a ) without its (")
        return self._builder.finished(whole)

    def _problem(self, message: str, hint: str | None = None) -> ArgumentError:
        return ArgumentError(
            f"The pattern of MATCHES is not understood at character {self._at + 1}: {message}.",
            expected="a regular expression without back references and looking around",
            got=quoted(self._pattern[self._at : self._at + 24]),
            hint=hint,
        )

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _flags(self) -> None:
        if not self._pattern.startswith("(?") or ")" not in self._pattern:
            return
        flags = self._pattern[2 : self._pattern.index(")")]
        if not flags or set(flags) - set("is"):
            return  # a group of another kind, or flags that are refused where they are met
        self._at = len(flags) + 3
        if "i" in flags:
            self._case = False
        if "s" in flags:
            self._dot = _anything

    def _either(self) -> Fragment:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return self._builder.either(parts)

    def _sequence(self) -> Fragment:
        parts: list[Fragment] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated())
        return self._builder.sequence(parts)

    def _repeated(self) -> Fragment:
        start = self._at
        part = self._atom()
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return part
        if self._quantified():
            raise self._problem("a quantifier of a quantifier")
        end = self._at
        # Copies are parsed anew: each needs states of its own. The first one is there.
        builder = self._builder
        copies = [part] if most != 0 else []
        wanted = max(least, 1) if most is None else most
        while len(copies) < wanted:
            self._at = start
            copies.append(self._atom())
        self._at = end
        parts = copies[:least]
        if most is None:
            parts = [*copies[: least - 1], builder.at_least_once(copies[-1])] if least else [builder.star(copies[0])]
        else:
            inner: Fragment | None = None
            for copy in reversed(copies[least:]):
                inner = builder.maybe(copy if inner is None else builder.sequence([copy, inner]))
            parts += [inner] if inner is not None else []
        return builder.sequence(parts)

    def _quantified(self) -> bool:
        return self._next() in ("*", "+", "?") or self._counted() is not None

    def _quantifier(self) -> tuple[int, int | None]:
        found: tuple[int, int | None] = (1, 1)
        if self._take("*"):
            found = (0, None)
        elif self._take("+"):
            found = (1, None)
        elif self._take("?"):
            found = (0, 1)
        else:
            counted = self._counted()
            if counted is None:
                return found
            found, self._at = counted
        if self._take("+"):
            raise self._problem("possessive quantifiers are refused")
        self._take("?")  # as few as can be: the whole text has to match all the same
        return found

    def _counted(self) -> tuple[tuple[int, int | None], int] | None:
        """What ``{n,m}`` here says, and where it ends; None where there is none."""
        if self._next() != "{":
            return None
        end = self._pattern.find("}", self._at)
        first, comma, last = self._pattern[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        numbers = [text for text in (first, last) if text]
        if not first or any(not (text.isascii() and text.isdigit() and len(text) <= 4) for text in numbers):
            raise self._problem("a { that begins no {n}, {n,} or {n,m}", hint="\\\\{ for the character")
        least = int(first)
        most = (int(last) if last else None) if comma else least
        if most is not None and most < least:
            raise self._problem("more at least than at most")
        return (least, most), end + 1

    def _atom(self) -> Fragment:
        char = self._next()
        if char == "(":
            return self._group()
        if char in "*+?":
            raise self._problem("nothing to repeat")
        if char == "{":
            self._counted()
            raise self._problem("nothing to repeat")
        self._at += 1
        if char == ".":
            return self._builder.char(self._dot)
        if char in "^$":
            return self._builder.mark(BEGIN if char == "^" else END)
        if char == "[":
            return self._builder.char(self._class())
        if char == "\\":
            return self._escaped()
        return self._text(char)

    def _text(self, char: str) -> Fragment:
        return self._builder.sequence([self._builder.char(self._single(each)) for each in self._folded(char)])

    def _folded(self, char: str) -> str:
        """A character of the pattern as the text has it: several, one or none."""
        from slicer_notebook.dicom.nspredicate.matching import folding

        return folding(self._text_has_case, self._marks)(char)

    def _single(self, char: str) -> CharTest:
        return self._in_any_case(_literal(char), frozenset(char))

    def _in_any_case(self, test: CharTest, singles: frozenset[str]) -> CharTest:
        """With ``(?i)`` or [c]: also what the character is in another case."""
        if self._case:
            return test
        if singles:
            known = frozenset(form for char in singles for form in (char, char.lower(), char.upper(), char.casefold()))
            return lambda char: char in known or char.lower() in known or char.upper() in known
        return lambda char: test(char) or test(char.lower()) or test(char.upper())

    def _group(self) -> Fragment:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._problem("too many groups in one another")
        self._at += 1
        if self._take("?") and not self._take(":"):
            kind = self._next()
            names = {"=": "looking ahead is", "!": "looking ahead is", "<": "looking behind and names are"}
            names |= {">": "atomic groups are", "#": "comments are"}
            self._at -= 2
            raise self._problem(f"{names.get(kind, 'flags other than (?i) and (?s) at the beginning are')} refused")
        found = self._either()
        if not self._take(")"):
            raise self._problem("a group that does not end")
        self._depth -= 1
        return found

    def _escaped(self) -> Fragment:
        char = self._next()
        if not char:
            raise self._problem("a backslash at the end")
        if char in "AzZ":
            self._at += 1
            return self._builder.mark(BEGIN if char == "A" else END)
        test = self._class_escape()
        return self._builder.char(test) if test is not None else self._text(self._character())

    def _class_escape(self) -> CharTest | None:
        """The class that an escape here (behind the backslash) stands for; None where it is a character."""
        char = self._next()
        if char.lower() in _CLASSES:
            self._at += 1
            test = _CLASSES[char.lower()]
            return test if char.islower() else _contrary(test)
        if char not in ("p", "P"):
            return None
        end = self._pattern.find("}", self._at)
        name = (
            self._pattern[self._at + 2 : end] if self._pattern[self._at + 1 : self._at + 2] == "{" and end > 0 else ""
        )
        if name[:1] not in tuple("LMNPSZC") or len(name) > 2:
            raise self._problem("an unknown property", hint="\\\\p{L}, \\\\p{Lu}, \\\\p{Nd}...: general categories")
        self._at = end + 1
        category = self._in_any_case(_of_category(name), frozenset())
        return category if char == "p" else _contrary(category)

    def _character(self) -> str:
        """The character that an escape here stands for."""
        char = self._next()
        self._at += 1
        if char in _CONTROL:
            return _CONTROL[char]
        if char in "xu":
            return self._code(char)
        if char.isalnum():
            self._at -= 1
            what = "back references are" if char.isdigit() else "this escape is"
            raise self._problem(f"{what} refused")
        return char

    def _code(self, kind: str) -> str:
        if kind == "x" and self._take("{"):
            end = self._pattern.find("}", self._at)
            digits, after = self._pattern[self._at : max(end, self._at)], end + 1
            whole = 1 <= len(digits) <= 6
        else:
            length = 2 if kind == "x" else 4
            after = self._at + length
            digits = self._pattern[self._at : after]
            whole = len(digits) == length
        if not whole or any(digit not in _HEX for digit in digits) or int(digits, 16) > 0x10FFFF:
            raise self._problem("no code of a character")
        self._at = after
        return chr(int(digits, 16))

    def _class(self) -> CharTest:
        negated = self._take("^")
        tests: list[CharTest] = []
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        first = True
        while first or self._next() != "]":
            if not self._next() or (first and self._next() == "]"):
                raise self._problem("a [ that does not end, or is empty")
            first = False
            if self._next() == "[" or self._pattern.startswith(("&&", "--"), self._at):
                raise self._problem("sets in sets are refused", hint="\\\\[ for the character")
            low = self._member(tests)
            if low is None:
                continue
            if self._next() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._member(tests)
                if high is None or high < low:
                    raise self._problem("a range that does not rise")
                ranges.append((low, high))
            else:
                singles |= set(self._folded(low)) if len(self._folded(low)) == 1 else {low}
        self._at += 1
        found = self._in_any_case(_one_of(tests, frozenset(singles), ranges), frozenset())
        return _contrary(found) if negated else found

    def _member(self, tests: list[CharTest]) -> str | None:
        """A character of a class; None where it was a class itself, which is in ``tests`` then."""
        char = self._next()
        self._at += 1
        if char != "\\":
            return char
        if not self._next():
            raise self._problem("a backslash at the end")
        test = self._class_escape()
        if test is not None:
            tests.append(test)
            return None
        return self._character()
