"""Names and texts in OpenIGTLink messages: fixed fields padded with zeros, and texts with an IANA MIBenum.

Names should be ASCII; as many senders do, we read and write UTF-8, which is the same for ASCII.
"""

from __future__ import annotations

from slicer_notebook.errors import OpenIGTLinkError

__all__ = ["ASCII", "UTF8", "cut", "name_bytes", "name_of", "text_bytes", "text_of"]

#: IANA MIBenum of US-ASCII, which most senders name.
ASCII = 3
#: IANA MIBenum of UTF-8.
UTF8 = 106

#: Python's codec for the character sets that medical devices and their languages use, by IANA MIBenum.
_CODECS = {
    ASCII: "ascii",
    4: "iso8859-1",
    5: "iso8859-2",
    8: "iso8859-5",
    10: "iso8859-7",
    17: "shift_jis",
    18: "euc_jp",
    38: "euc_kr",
    UTF8: "utf-8",
    111: "iso8859-15",
    113: "gbk",
    114: "gb18030",
    1013: "utf-16-be",
    1014: "utf-16-le",
    1015: "utf-16",
    2025: "gb2312",
    2026: "big5",
    2252: "cp1252",
}


def cut(name: str, room: int) -> str:
    """As much of ``name`` as fits into ``room`` bytes of UTF-8, without half a character."""
    return name.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")


def name_bytes(name: str, room: int, what: str) -> bytes:
    """A name for a field of ``room`` bytes, not yet padded.

    Raises:
        OpenIGTLinkError: it is too long (`cut` makes it fit), or has a zero in it.
    """
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OpenIGTLinkError(f"The {what} {name!r} is not valid text.", hint="Take out lone surrogates.") from error
    if len(encoded) > room:
        raise OpenIGTLinkError(
            f"The {what} {name!r} is too long.",
            expected=f"at most {room} bytes of UTF-8",
            got=str(len(encoded)),
            hint="Take a shorter name; slicer_notebook.igtl.cut cuts one.",
        )
    if b"\0" in encoded:
        raise OpenIGTLinkError(f"The {what} {name!r} has a zero character in it.")
    return encoded


def name_of(field: bytes) -> str:
    """The name in a fixed field: up to the first zero, or all of it when it is full. Never fails."""
    raw = field.partition(b"\0")[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text_bytes(text: str, encoding: int | None, what: str) -> tuple[int, bytes]:
    """(MIBenum, bytes) of a text; None takes ASCII if that does, else UTF-8.

    Raises:
        OpenIGTLinkError: the character set is not known, or cannot hold the text.
    """
    if encoding is None:
        encoding = ASCII if text.isascii() else UTF8
    try:
        return encoding, text.encode(_codec(encoding, what))
    except UnicodeEncodeError as error:
        raise OpenIGTLinkError(
            f"The {what} cannot be written in {_CODECS[encoding]}.",
            got=repr(text[error.start : error.end][:20]),
            hint="Leave the encoding out: UTF-8 is taken where it is needed.",
        ) from error


def text_of(raw: bytes, encoding: int, what: str) -> tuple[str, int]:
    """(text, MIBenum) of bytes. What is called ASCII and is UTF-8 (several senders do that) is taken as UTF-8.

    Raises:
        OpenIGTLinkError: the character set is not known, or the bytes are not of it.
    """
    if encoding == ASCII and not raw.isascii():
        encoding = UTF8
    if encoding not in _CODECS and raw.isascii():
        return raw.decode("ascii"), ASCII
    try:
        return raw.decode(_codec(encoding, what)), encoding
    except UnicodeDecodeError as error:
        raise OpenIGTLinkError(
            f"The {what} is not in the character set that it names.",
            expected=_CODECS[encoding],
            got=f"byte 0x{raw[error.start]:02x} at {error.start}",
        ) from error


def _codec(encoding: int, what: str) -> str:
    try:
        return _CODECS[encoding]
    except KeyError:
        raise OpenIGTLinkError(
            f"The character set of the {what} is not known.",
            expected="an IANA MIBenum such as 3 (ASCII) or 106 (UTF-8)",
            got=str(encoding),
        ) from None
