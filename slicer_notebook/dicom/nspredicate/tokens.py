"""The words of a predicate."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from slicer_notebook.errors import ArgumentError

__all__ = ["Token", "problem", "tokens"]

Kind = Literal["word", "path", "string", "number", "sign", "options", "end"]


class Token(NamedTuple):
    """A piece of a predicate.

    Attributes:
        text: as it is compared: words and signs in capitals and in their usual spelling, a string without its quotes
            and escapes, a path as it is.
        at: index of its first character.
    """

    kind: Kind
    text: str
    at: int


def problem(message: str, predicate: str, at: int, *, expected: str, hint: str | None = None) -> ArgumentError:
    """What is wrong with a predicate, and where. Its message quotes nothing: it may go into a log."""
    got = predicate[at : at + 24] or "its end"
    return ArgumentError(
        f"The predicate is not understood at character {at + 1}: {message}",
        expected=expected,
        got=got + ("..." if at + 24 < len(predicate) else ""),
        hint=hint,
        details={"position": at},
    )


#: Words with a meaning. Case does not count; a ``#`` in front makes a key of one.
WORDS: Final = frozenset(
    {
        "AND", "OR", "NOT", "ANY", "SOME", "ALL", "NONE", "IN", "LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH", "MATCHES",
        "BETWEEN", "TRUEPREDICATE", "FALSEPREDICATE", "TRUE", "YES", "FALSE", "NO", "NIL", "NULL", "CAST", "NOW",
        "SELF", "SUBQUERY", "FUNCTION", "TERNARY", "FIRST", "LAST", "SIZE", "ANYKEY", "FETCH", "UTI-CONFORMS-TO",
        "UTI-EQUALS",
    }
)  # fmt: skip
_SAME: Final = {
    "=": "==", "<>": "!=", "=<": "<=", "=>": ">=", "&&": "AND", "||": "OR", "!": "NOT", "SOME": "ANY", "NULL": "NIL",
    "YES": "TRUE", "NO": "FALSE",
}  # fmt: skip
_BLANK: Final = re.compile(r"\s+")
_STEP: Final = r"(?:@[A-Za-z]+|#?[A-Za-z_][A-Za-z0-9_]*)"
_PATH: Final = re.compile(rf"UTI-[A-Za-z]+(?:-[A-Za-z]+)?|{_STEP}(?:\.{_STEP})*")
_NUMBER: Final = re.compile(
    r"-?(?:0[xX][0-9A-Fa-f]+|0[oO][0-7]+|0[bB][01]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z0-9_])",
    re.ASCII,
)
_SIGN: Final = re.compile(r"==|!=|<>|<=|=<|>=|=>|&&|\|\||[=<>!(){},]")
_OPTIONS: Final = re.compile(r"\[\s*([A-Za-z]*)\s*\]")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_CODE: Final = re.compile(r"u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})")


def tokens(predicate: str) -> list[Token]:
    """All pieces, and the end.

    Raises:
        ArgumentError: a character that begins no piece, or a string without its end.
    """
    found: list[Token] = []
    at = 0
    while True:
        blank = _BLANK.match(predicate, at)
        at = blank.end() if blank else at
        if at == len(predicate):
            found.append(Token("end", "", at))
            return found
        token, at = _next(predicate, at)
        found.append(token)


def _next(predicate: str, at: int) -> tuple[Token, int]:
    if predicate[at] in "'\"":
        return _string(predicate, at)
    for kind, pattern in (("number", _NUMBER), ("path", _PATH), ("sign", _SIGN), ("options", _OPTIONS)):
        match = pattern.match(predicate, at)
        if match is None:
            continue
        text = match[1].lower() if kind == "options" else match[0]
        if kind == "path" and text.upper() in WORDS:
            return Token("word", _SAME.get(text.upper(), text.upper()), at), match.end()
        text = text.replace("#", "") if kind == "path" else _SAME.get(text, text)
        if kind == "sign" and text.isalpha():
            return Token("word", text, at), match.end()
        return Token(kind, text, at), match.end()  # type: ignore[arg-type]
    hint = None
    if predicate[at] in "%$":
        hint = "Write values into the predicate: nobody gives those of %@, %K or $NAME."
    raise problem(
        "no word, number or sign begins here.", predicate, at, expected="a key, a value or an operator", hint=hint
    )


def _string(predicate: str, at: int) -> tuple[Token, int]:
    quote, i = predicate[at], at + 1
    pieces: list[str] = []
    while i < len(predicate):
        char = predicate[i]
        if char == quote:
            return Token("string", "".join(pieces), at), i + 1
        if char != "\\":
            # In one piece up to what means something.
            end = i
            while end < len(predicate) and predicate[end] not in (quote, "\\"):
                end += 1
            pieces.append(predicate[i:end])
            i = end
            continue
        text, i = _escape(predicate, i + 1)
        pieces.append(text)
    raise problem("this text does not end.", predicate, at, expected=f"a closing {quote}")


def _escape(predicate: str, at: int) -> tuple[str, int]:
    """What a backslash before ``at`` means. One that escapes nothing stays: patterns of MATCHES and LIKE have some."""
    if at == len(predicate):
        return "", at  # the string has no end, which is said
    code = _CODE.match(predicate, at)
    if code is not None:
        number = int(code[1] or code[2] or code[3], 16)
        if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
            return chr(number), code.end()
        raise problem("there is no such character.", predicate, at - 1, expected="a code of Unicode")
    char = predicate[at]
    return _ESCAPES.get(char, "\\" + char), at + 1
