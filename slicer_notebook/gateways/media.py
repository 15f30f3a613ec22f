"""What a client accepts, against what can be sent (RFC 9110 12.5.1, PS3.18 8.7); and what it asked for, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["MediaRange", "accepted", "choose", "without_values"]

#: A media range ends at a comma outside of quotes.
_RANGE: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))')
#: Ranges that are looked at: a browser sends eight.
_MOST: Final = 64


class MediaRange(NamedTuple):
    """One range of an Accept header, in lower case, with its weight and its other parameters by lower-case name."""

    type: str
    weight: float
    parameters: dict[str, str]
    #: types that the same header refuses (``q=0``)
    refused: tuple[str, ...] = ()

    def covers(self, kind: str) -> bool:
        """Whether a media type is in it."""
        if kind in self.refused:
            return False
        if self.type == "*/*":
            return True
        main, _, sub = self.type.partition("/")
        return kind == self.type or (sub == "*" and kind.startswith(f"{main}/"))


def accepted(values: Iterable[str]) -> list[MediaRange]:
    """The ranges that a client takes, best first, the more special one first of two; without any, all."""
    found, refused = [], []
    for text in _RANGE.findall(",".join(values))[:_MOST]:
        kind = text.partition(";")[0].strip().lower()
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else bare.strip()
            for name, quoted, bare in reversed(_PARAMETER.findall(text))
        }
        weight = _weight(parameters.pop("q", "1"))
        if kind and weight > 0:
            found.append(MediaRange(kind, weight, parameters))
        elif kind:
            refused.append(kind)
    if not found and not refused:
        return [MediaRange("*/*", 1.0, {})]
    found = [each._replace(refused=tuple(refused)) for each in found]
    return sorted(found, key=lambda each: (-each.weight, each.type.count("*"), -len(each.parameters)))


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def choose(ranges: Sequence[MediaRange], offers: Sequence[str]) -> str | None:
    """The media type that suits best of those that can be sent, which come best first; None if none does."""
    for each in ranges:
        for offer in offers:
            if each.covers(offer):
                return offer
    return None


def without_values(request: Request) -> str:
    """What was asked for, for the log: the path, and names of the query's parameters. Patients are in their values."""
    path = str(request.scope.get("raw_path", b""), "latin-1") or request.url.path
    names = "&".join(dict.fromkeys(request.query_params.keys()))
    return f"{path}?{names}" if names else path
