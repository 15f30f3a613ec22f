"""XML-RPC as OsiriX and Horos speak it: a request's bytes to a method and its parameters, an answer to bytes.

Pure. Of the specification (xmlrpc.com/spec.md) OsiriX knows one parameter, a struct, and answers with untyped values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

__all__ = ["MAX_BODY", "MAX_DEPTH", "MAX_ELEMENTS", "RequestError", "nil", "of_query", "request", "response"]

#: Bytes of a request: a predicate of the greatest length, each character escaped.
MAX_BODY: Final = 1 << 20
#: Elements in one another; a request has nine.
MAX_DEPTH: Final = 32
#: Elements; a request with all parameters that there are has a hundred.
MAX_ELEMENTS: Final = 10_000

#: What XML 1.0 has no characters for; a carriage return would be read as a line feed.
_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RETURN: Final = {"\r": "&#13;"}


class RequestError(Exception):
    """A request that is none. Never reaches a user: its ``status`` goes out.

    Attributes:
        status: 400 for broken XML and values that are none, 500 for XML that calls no method.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class _Bounded(TreeBuilder):
    """A tree of so many elements at most."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise RequestError(400, "too many elements, or too many in one another")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def request(body: bytes) -> tuple[str, dict[str, Any]]:
    """The method and its parameters: text, numbers and booleans; structs and arrays in them are dicts and lists.

    No parameter at all, or one that is no struct, is an empty struct.

    Raises:
        RequestError: broken XML, or one with entities or a document type; no or several methods; a value that is none.
    """
    if not body.strip():
        raise RequestError(500, "no methodCall")
    try:
        parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
        parser.feed(body)
        root = parser.close()
    except ParseError:
        raise RequestError(400, "broken XML") from None
    except DefusedXmlException:
        raise RequestError(400, "XML with a document type or entities") from None
    except (ValueError, LookupError):  # an encoding that there is not
        raise RequestError(400, "XML in an unknown encoding") from None
    names = root.findall("methodName") if root.tag == "methodCall" else []
    if len(names) != 1:
        raise RequestError(500, "not exactly one methodCall with one methodName")
    values = root.findall("params/param/value")
    struct = values[0].find("struct") if values else None
    return (names[0].text or "").strip(), {} if struct is None else _struct(struct)


def _struct(struct: Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in struct.findall("member"):
        name, value = member.find("name"), member.find("value")
        if name is None or value is None:
            raise RequestError(400, "a member without a name or a value")
        found[name.text or ""] = _value(value)
    return found


def _value(value: Element) -> Any:
    typed = next(iter(value), None)
    if typed is None:
        return value.text or ""
    if typed.tag == "struct":
        return _struct(typed)
    if typed.tag == "array":
        return [_value(each) for each in typed.findall("data/value")]
    reader = _READERS.get(typed.tag)
    text = typed.text or ""
    if reader is None:
        return None if typed.tag == "nil" else text
    try:
        return reader(text.strip().lower())
    except (ValueError, KeyError):
        raise RequestError(400, f"no {typed.tag}") from None


def _integer(text: str) -> int:
    if len(text) > 40:  # 64 bits have twenty digits
        raise ValueError
    return int(text)


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("int", "i1", "i2", "i4", "i8"), _integer),
    "double": float,
    "boolean": {"0": False, "1": True, "false": False, "true": True}.__getitem__,
}


# -- GET -----------------------------------------------------------------------------------------------------------

_QUOTE: Final = re.compile("'|%27")


def of_query(query: str) -> tuple[str, dict[str, Any]]:
    """The method and its parameters in a URL's query: ``methodName=DisplayStudy&PatientID=1100697``.

    As OsiriX's manual promises it: values may stand in quotes, within which ``&`` separates nothing. A plus is a blank,
    as HTTP clients write one, unless blanks are written as ``%20``.

    Raises:
        RequestError: no or several methods; percent codes that are no UTF-8.
    """
    plus = "%20" in query
    pairs = [_pair(piece, plus) for piece in _pieces(query) if piece]
    names = [value for name, value in pairs if name == "methodName"]
    if len(names) != 1:
        raise RequestError(500, "not exactly one methodName")
    return names[0].strip(), {name: value for name, value in pairs if name != "methodName"}


def _pieces(query: str) -> list[str]:
    found, piece, quoted = [], "", False
    for part in query.split("&"):
        piece = f"{piece}&{part}" if quoted else part
        quoted ^= len(_QUOTE.findall(part)) % 2 == 1
        if not quoted:
            found.append(piece)
    # A quote that nothing closes quotes nothing.
    return [*found, *piece.split("&")] if quoted else found


def _pair(piece: str, plus: bool) -> tuple[str, str]:
    name, _, value = (piece if plus else piece.replace("+", " ")).partition("=")
    try:
        name, value = (unquote_to_bytes(part).decode("utf-8") for part in (name, value))
    except UnicodeDecodeError:
        raise RequestError(400, "a query that is no UTF-8") from None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name, value


# -- answers -------------------------------------------------------------------------------------------------------


def response(members: dict[str, str | list[dict[str, str]]]) -> bytes:
    """An answer: one struct of text, with arrays of structs of text; all values untyped, all text escaped once."""
    return _enclosed(f"<struct>{''.join(_members(members))}</struct>")


def nil() -> bytes:
    """The answer of a method that has none."""
    return _enclosed("<nil/>")


def _enclosed(value: str) -> bytes:
    text = (
        f'<?xml version="1.0"?><methodResponse><params><param><value>{value}</value></param></params></methodResponse>'
    )
    return text.encode("utf-8")


def _members(members: dict[str, str | list[dict[str, str]]]) -> Iterable[str]:
    for name, value in members.items():
        if isinstance(value, str):
            yield _member(name, _text(value))
        else:
            structs = "".join(f"<value><struct>{_plain(each)}</struct></value>" for each in value)
            yield _member(name, f"<array><data>{structs}</data></array>")


def _plain(struct: dict[str, str]) -> str:
    return "".join(_member(name, _text(value)) for name, value in struct.items())


def _member(name: str, value: str) -> str:
    return f"<member><name>{_text(name)}</name><value>{value}</value></member>"


def _text(text: str) -> str:
    return escape(_NO_CHARACTER.sub("\ufffd", text), _RETURN)
