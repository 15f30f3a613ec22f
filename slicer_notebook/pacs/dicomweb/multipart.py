"""``multipart/related`` as a stream: bytes in, events out (RFC 2046 5.1, RFC 2387, PS3.18 8.6.1.2).

A part that says its length is passed on by counting, others by looking for the boundary. No byte is looked at twice,
and no more is held back than a boundary is long. What servers do otherwise than the standard says is taken: no line end
before the first boundary, LF alone, text before the first and behind the last boundary, spaces behind a boundary, a
boundary that the header names with its two hyphens or not at all, a length that counts the line end too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "BodyEnds",
    "ContentType",
    "Event",
    "LengthError",
    "MultipartError",
    "Parser",
    "PartBegins",
    "PartData",
    "PartEnds",
    "TruncatedError",
    "parse_content_type",
]

#: Bytes; a part has three header lines or four.
_MOST_HEADERS: Final = 64 * 1024
#: Bytes looked at for a first boundary line that nothing names; a boundary has 70 characters at most (RFC 2046 5.1.1).
_MOST_FIRST_LINE: Final = 1024
#: Bytes of headers taken at once, so that no part's data are copied with them.
_HEADERS_AT_ONCE: Final = 4096
_CR: Final = 13
#: Spaces and tabs that may stand between a boundary and its line end.
_MOST_PADDING: Final = 64


class MultipartError(Exception):
    """The body is not what its headers say. Never reaches a user: whoever parses translates it."""


class TruncatedError(MultipartError):
    """The body ended before its closing boundary."""


class LengthError(MultipartError):
    """Where a part's Content-Length says that it ends there is no boundary. Looking for boundaries alone will do."""


class PartBegins(NamedTuple):
    """A part, with its headers by lower-case name."""

    headers: dict[str, str]


class PartData(NamedTuple):
    """Bytes of the part; a view of what was fed, valid until the next feeding."""

    data: memoryview


class PartEnds(NamedTuple):
    """The part is complete."""


class BodyEnds(NamedTuple):
    """The closing boundary; what follows is ignored."""


Event: TypeAlias = PartBegins | PartData | PartEnds | BodyEnds


class ContentType(NamedTuple):
    """A media type, in lower case, and its parameters by lower-case name."""

    type: str
    parameters: dict[str, str]


_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))', re.DOTALL)


def parse_content_type(text: str) -> ContentType:
    """A Content-Type header (RFC 9110 8.3.1); also with characters that should be quoted and are not."""
    kind, _, _ = text.partition(";")
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(text):
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else bare.strip())
    return ContentType(kind.strip().lower(), parameters)


#: What a state says of bytes: events as they are found and, at last, how many of the bytes it took.
_Taking: TypeAlias = Generator[Event, None, int]

_BLANK_LINE: Final = re.compile(rb"(?:\A|\n)\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
#: What may follow a boundary: the two hyphens of the closing one, or a line end.
_AFTER: Final = re.compile(rb"(--)|[ \t]{0,%d}\r?\n" % _MOST_PADDING)
#: The beginning of that, as far as bytes have come.
_AFTER_SO_FAR: Final = re.compile(rb"-?|[ \t]{0,%d}\r?" % _MOST_PADDING)


class Parser:
    """One body.

    Args:
        boundary: as in the Content-Type header; None to take the body's first line.
        trust_lengths: False to look for boundaries although the parts say their lengths.
    """

    def __init__(self, boundary: str | None, *, trust_lengths: bool = True) -> None:
        self._declared = boundary
        self._trust = trust_lengths
        self._mark = b""  # two hyphens and the boundary
        self._lf_alone = False  # how the line of the last boundary ended
        self._held = bytearray()  # bytes that nothing can be said of yet
        self._unsent = 0  # how many of these, at the beginning, were never sent
        self._left = 0  # bytes of a part that come before its last two
        self._last = 0  # how many these last two are
        self._state: Callable[[memoryview], _Taking] = self._first_line
        if boundary is not None and not boundary.startswith("--"):
            self._look_for(boundary)

    @property
    def ended(self) -> bool:
        """Whether the closing boundary was there."""
        return self._state == self._epilogue

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Event]:
        """What these bytes bring. To be consumed to its end before the next call.

        Raises:
            LengthError: a part's Content-Length is wrong.
            MultipartError: headers without end, or no boundary where one must be.
        """
        view = memoryview(data)
        while view:
            taken = yield from self._state(view)
            view = view[taken:]

    def close(self) -> None:
        """No more bytes will come.

        Raises:
            TruncatedError: the closing boundary has not come.
        """
        if self._state in (self._first_line, self._preamble):
            raise TruncatedError("there is no boundary in it")
        if not self.ended:
            raise TruncatedError("it ends before its closing boundary")

    # -- states -------------------------------------------------------------------------------------------------------

    def _first_line(self, view: memoryview) -> _Taking:
        """The boundary is not known for certain: the first line that is not empty may be it."""
        taken = min(len(view), _MOST_FIRST_LINE - len(self._held))
        self._held += view[:taken]
        line, end, _ = bytes(self._held).lstrip(b"\r\n").partition(b"\n")
        if not end and len(self._held) < _MOST_FIRST_LINE:
            return taken
        found = line.strip().decode("latin-1")
        so_far = bytes(self._held)
        if self._declared is not None:
            # Some name the boundary together with the hyphens that belong in front of it.
            self._look_for(self._declared.removeprefix("--") if found == self._declared else self._declared)
        elif end and found.startswith("--"):
            self._look_for(found.removeprefix("--"))
        else:
            raise MultipartError("its headers name no boundary, and it does not begin with one")
        yield from self.feed(so_far)
        return taken

    def _look_for(self, boundary: str) -> None:
        self._mark = b"--" + boundary.encode("latin-1", "replace")
        self._at_line_start(self._preamble)

    def _at_line_start(self, state: Callable[[memoryview], _Taking]) -> None:
        """Go on to ``state``, which looks for a line end and a boundary, as if a line end had just come."""
        self._held[:] = b"\n"
        self._unsent = 1
        self._state = state

    def _preamble(self, view: memoryview) -> _Taking:
        """Text before the first boundary."""
        _, taken, closing = self._searched(view)
        if closing is not None:
            yield from self._behind_boundary(closing)
        return taken

    def _searched_part(self, view: memoryview) -> _Taking:
        """A part of unknown length."""
        data, taken, closing = self._searched(view)
        if data:
            yield PartData(data)
        if closing is not None:
            yield PartEnds()
            yield from self._behind_boundary(closing)
        return taken

    def _searched(self, view: memoryview) -> tuple[memoryview, int, bool | None]:
        """What comes before a boundary, the bytes taken, whether the boundary is the closing one (None: none came)."""
        text = b"".join((self._held, view))
        needle = b"\n" + self._mark
        at = text.find(needle)
        while at >= 0:
            after = _AFTER.match(text, at + len(needle))
            if after is not None:
                end = at - 1 if at and text[at - 1] == _CR and not self._lf_alone else at
                data = memoryview(text)[self._unsent : max(end, self._unsent)]
                taken = after.end() - len(self._held)
                self._note_line_end(after)
                return data, taken, after[1] is not None
            if _AFTER_SO_FAR.fullmatch(text, at + len(needle)):
                break  # the next bytes will tell
            at = text.find(needle, at + 1)
        # As long as a boundary with all that belongs to it may be: what has come of one stays.
        kept = min(len(text), 1 + len(needle) + _MOST_PADDING + 2)
        data = memoryview(text)[self._unsent : max(len(text) - kept, self._unsent)]
        self._unsent = max(0, self._unsent - (len(text) - kept))
        self._held[:] = text[-kept:]
        return data, len(view), None

    def _behind_boundary(self, closing: bool) -> Iterator[Event]:
        self._held.clear()
        self._unsent = 0
        if closing:
            yield BodyEnds()
        self._state = self._epilogue if closing else self._headers

    def _note_line_end(self, after: re.Match[bytes]) -> None:
        """Where lines end with LF alone, a CR in front of one is data."""
        if after[1] is None:
            self._lf_alone = not after[0].endswith(b"\r\n")

    def _headers(self, view: memoryview) -> _Taking:
        piece = view[:_HEADERS_AT_ONCE]
        searched = max(0, len(self._held) - 3)
        self._held += piece
        blank = _BLANK_LINE.search(self._held, searched)
        if (len(self._held) if blank is None else blank.end()) > _MOST_HEADERS:
            raise MultipartError(f"the headers of a part are longer than {_MOST_HEADERS // 1024} KiB")
        if blank is None:
            return len(piece)
        taken = len(piece) - (len(self._held) - blank.end())
        headers = _parse_headers(bytes(self._held[: blank.start()]))
        yield PartBegins(headers)
        length = headers.get("content-length", "")
        if self._trust and length.isascii() and length.isdigit():
            self._held.clear()
            self._last = min(2, int(length))
            self._left = int(length) - self._last
            self._state = self._counted_part if self._left else self._counted_end
        else:
            self._at_line_start(self._searched_part)
        return taken

    def _counted_part(self, view: memoryview) -> _Taking:
        """A part that says its length, all but its last two bytes."""
        taken = min(self._left, len(view))
        yield PartData(view[:taken])
        self._left -= taken
        if not self._left:
            self._state = self._counted_end
        return taken

    def _counted_end(self, view: memoryview) -> _Taking:
        """The last two bytes of a part that says its length, and the boundary that must follow."""
        piece = view[: self._last + 2 + len(self._mark) + _MOST_PADDING + 2 - len(self._held)]
        self._held += piece
        held, data = bytes(self._held), bytes(self._held[: self._last])
        for line_end in self._line_ends():
            begin = self._last + len(line_end) + len(self._mark)
            after = _AFTER.match(held, begin)
            if after is None or held[self._last : begin] != line_end + self._mark:
                continue
            # Without a line end, but the part's last two bytes are one: then its length counts it.
            if data and (line_end or data != b"\r\n"):
                yield PartData(memoryview(data))
            yield PartEnds()
            self._note_line_end(after)
            taken = len(piece) - (len(held) - after.end())
            yield from self._behind_boundary(after[1] is not None)
            return taken
        if not self._boundary_may_come(held[self._last :]):
            raise LengthError("the Content-Length of a part is wrong: no boundary follows")
        return len(piece)

    def _line_ends(self) -> tuple[bytes, ...]:
        """What may stand in front of a boundary where a part ends by its length."""
        return (b"\r\n", b"\n", b"") if self._lf_alone else (b"\r\n", b"")

    def _boundary_may_come(self, so_far: bytes) -> bool:
        for line_end in self._line_ends():
            whole = line_end + self._mark
            if whole.startswith(so_far) or (
                so_far.startswith(whole) and _AFTER_SO_FAR.fullmatch(so_far, len(whole)) is not None
            ):
                return True
        return False

    def _epilogue(self, view: memoryview) -> _Taking:
        """Text behind the closing boundary."""
        yield from ()
        return len(view)


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in _LINE_END.split(block):
        text = line.decode("latin-1")
        if text[:1] in (" ", "\t") and name:
            headers[name] += " " + text.strip()  # a folded line
            continue
        name, _, value = text.partition(":")
        name = name.strip().lower()
        if name:
            headers.setdefault(name, value.strip())
    return headers
