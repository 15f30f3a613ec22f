"""Arrays of the DICOM JSON model (PS3.18 F.2) while they arrive: complete objects as soon as they are there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from slicer_notebook.pacs.records import JsonElement

__all__ = ["Item", "ItemsError", "items_of"]

Item = dict[str, Any]
"""One object of the array: tag (``ggggeeee``) -> ``{"vr": ..., "Value": [...]}``, or a `JsonElement` of that."""

#: Bytes that are waited for before objects are read: the more at once, the faster; the fewer, the sooner.
_FIRST: Final = 32 * 1024
_AT_ONCE: Final = 128 * 1024
#: Bytes of one object, or of what no object can be found in.
_MOST: Final = 256 * 1024 * 1024
#: Bytes at the end in which the last complete object's end is looked for, and how often it may be mistaken.
_LOOKED_AT: Final = 64 * 1024
_TRIES: Final = 6

_BETWEEN: Final = rb"\}\s*,\s*(?=\{\s*%s)"
_ANY_BETWEEN: Final = re.compile(_BETWEEN % b"")
_FIRST_KEY: Final = re.compile(rb'\s*\{\s*("[0-9A-Fa-f]{8}")')
_SPACE: Final = b" \t\r\n"

_Decode = Callable[[bytes], list[Item]]
_decode_plain: Final[_Decode] = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_elements: Final = msgspec.json.Decoder(list[dict[str, JsonElement]]).decode


def _decode_fast(text: bytes) -> list[Item]:
    try:
        return cast(list[Item], _decode_elements(text))
    except msgspec.ValidationError:
        return _decode_plain(text)  # valid JSON, but not all values are as they should be


class ItemsError(Exception):
    """Not an array of objects in JSON. Never reaches a user: whoever reads translates it."""


def items_of(chunks: Iterable[bytes], *, plain: bool = False) -> Iterator[list[Item]]:
    """The objects of a JSON array, as many at a time as have come; an array of none, and nothing at all, give none.

    Args:
        plain: whether to make dictionaries of the attributes, too; the default, `JsonElement`, is much faster.

    Raises:
        ItemsError: it is not such an array, or breaks off.
    """
    decode = _decode_plain if plain else _decode_fast
    buffer = bytearray()
    inside, wanted = False, _FIRST
    for chunk in chunks:
        buffer += chunk
        if not inside:
            inside = _entered(buffer)
        if not inside or len(buffer) < wanted:
            continue
        found, used = _complete(buffer, decode)
        if used:
            del buffer[:used]
            wanted = _AT_ONCE
            yield found
        elif len(buffer) > _MOST:
            raise ItemsError(f"an object of more than {_MOST // 1024 // 1024} MiB")
        else:
            wanted = 2 * len(buffer)  # so that a large object is not tried again and again
    if inside:
        found = _decoded(b"[" + buffer, decode)
        if found:
            yield found
    elif buffer.strip(_SPACE):
        yield _single(bytes(buffer), decode)


def _entered(buffer: bytearray) -> bool:
    """Drop what comes before the array's first object; whether that much has come."""
    del buffer[: len(buffer) - len(buffer.lstrip(_SPACE))]
    if buffer[:3] == b"\xef\xbb\xbf":  # a byte order mark
        del buffer[:3]
        return _entered(buffer)
    if buffer[:1] == b"[":
        del buffer[0]
        return True
    if bytes(buffer[:1]) not in (b"", b"{", b"\xef"):
        raise ItemsError("something that is no JSON array")
    return False


def _single(text: bytes, decode: _Decode) -> list[Item]:
    """Some send an object where an array of one is due."""
    if not text.startswith(b"{"):
        raise ItemsError("something that is no JSON array")
    return _decoded(b"[" + text + b"]", decode)


def _decoded(text: bytes, decode: _Decode) -> list[Item]:
    try:
        return decode(text)
    except msgspec.ValidationError as exc:
        raise ItemsError("a JSON array of other things than objects") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ItemsError(_why(text)) from exc


def _why(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "text that is not UTF-8, which JSON must be"
    return "JSON that breaks off or is damaged"


def _complete(buffer: bytearray, decode: _Decode) -> tuple[list[Item], int]:
    """The objects that are complete, and the bytes that they and the commas behind them take.

    Where an object of the array ends is guessed, and known when what comes before it is valid: a cut inside an object
    or a text never is.
    """
    start = max(0, len(buffer) - _LOOKED_AT)
    key = _FIRST_KEY.match(buffer)
    # Objects of one array begin with the same attribute, mostly; items of a sequence in them seldom do.
    patterns = [_ANY_BETWEEN] if key is None else [re.compile(_BETWEEN % re.escape(key[1])), _ANY_BETWEEN]
    for pattern in patterns:
        cuts = [match.span() for match in pattern.finditer(buffer, start)][-_TRIES:]
        for brace, behind in reversed(cuts):
            try:
                return decode(b"[" + buffer[: brace + 1] + b"]"), behind
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
    return _one_by_one(buffer)


def _one_by_one(buffer: bytearray) -> tuple[list[Item], int]:
    """As `_complete`, without guessing."""
    try:
        text = buffer.decode("utf-8", "surrogateescape")
    except UnicodeDecodeError:
        return [], 0
    decoder = json.JSONDecoder()
    found: list[Item] = []
    at = used = 0
    while True:
        try:
            item, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        comma = re.compile(r"\s*,\s*").match(text, at)
        if comma is None or not isinstance(item, dict):
            break
        found.append(item)
        at = used = comma.end()
    return found, len(text[:used].encode("utf-8", "surrogateescape"))
