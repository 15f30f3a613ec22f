"""A message of OpenIGTLink: who says what when, and the names of types on the wire."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.contents import (
    Capability,
    Command,
    Content,
    Image,
    NDArray,
    Points,
    PolyData,
    Position,
    Sensor,
    Status,
    String,
    Tracking,
    Transform,
)

__all__ = [
    "CONTENT_TYPES",
    "TYPES",
    "Message",
    "Timestamp",
    "Verb",
    "answer_command",
    "full_type",
    "of_content",
    "wire_type",
]

Verb: TypeAlias = Literal["", "GET", "STT", "STP", "RTS"]

#: The class of content that each type has.
CONTENT_TYPES: dict[str, type[Content]] = {
    "CAPABILITY": Capability,
    "COMMAND": Command,
    "IMAGE": Image,
    "NDARRAY": NDArray,
    "POINT": Points,
    "POLYDATA": PolyData,
    "POSITION": Position,
    "SENSOR": Sensor,
    "STATUS": Status,
    "STRING": String,
    "TDATA": Tracking,
    "TRANSFORM": Transform,
}

#: The types that are understood, by the names they have on the wire.
TYPES = tuple(CONTENT_TYPES)

_TYPE_OF: dict[type[Content], str] = {content: name for name, content in CONTENT_TYPES.items()}

#: Bytes of a type's name in the header.
TYPE_BYTES = 12

_VERBS: tuple[Verb, ...] = ("GET", "STT", "STP", "RTS")

#: Queries whose name does not fit, by what stands in the header. The C++ library cuts CAPABILITY one letter early.
_SHORTENED = {"CAPABILITY": "CAPABIL"}
_FULL = (
    {
        f"{verb}_{cut}": f"{verb}_{name}"
        for verb in _VERBS
        for name in TYPES
        for cut in (name[: TYPE_BYTES - 4], _SHORTENED.get(name, name))
    }
    | {"QTRANS": "POSITION"}
    | {f"{verb}_QTRANS": f"{verb}_POSITION" for verb in _VERBS}
)

_FRACTIONS = 1 << 32


class Timestamp(NamedTuple):
    """When something was so: seconds since 1970 (UTC) and 2^-32 fractions of a second, as in the header.

    A float holds about 2^-22 s of today's time, so a message keeps the two integers. 0, 0 means that none was given.
    """

    seconds: int = 0
    fraction: int = 0

    @classmethod
    def now(cls) -> Timestamp:
        """The machine's clock."""
        return cls.from_ns(time.time_ns())

    @classmethod
    def from_ns(cls, nanoseconds: int) -> Timestamp:
        """Of nanoseconds since 1970."""
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        return cls(seconds, (rest << 32) // 1_000_000_000)

    @classmethod
    def from_time(cls, seconds: float) -> Timestamp:
        """Of seconds since 1970, as `time.time` gives them."""
        whole = int(seconds // 1)
        return cls(whole, int((seconds - whole) * _FRACTIONS))

    @property
    def time(self) -> float:
        """Seconds since 1970."""
        return self.seconds + self.fraction / _FRACTIONS

    @property
    def ns(self) -> int:
        """Nanoseconds since 1970, rounded up, so that `from_ns` gives the same again."""
        return self.seconds * 1_000_000_000 + -(-self.fraction * 1_000_000_000 >> 32)


class Message(msgspec.Struct, frozen=True):
    """A message.

    Attributes:
        type: its name in full ("TRANSFORM", "GET_TRANSFORM", "RTS_COMMAND"); on the wire it is cut at 12 characters.
        device: device name, at most 20 bytes; a query without one asks for any.
        content: what it says; None in a query, and in an answer that there is none.
        timestamp: when the data were made.
        version: header version that it came with: 1 (protocol 1 and 2) or 2 (protocol 3). With which one a message is
            sent is up to the connection, which knows the peer.
        message_id: of the sender; version 2 only.
        metadata: keys and values; version 2 only.
        wire_bytes: bytes that it had on the wire, where it came from there.
    """

    type: str
    device: str = ""
    content: Content | None = None
    timestamp: Timestamp = msgspec.field(default_factory=Timestamp.now)
    version: int = 2
    message_id: int = 0
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    wire_bytes: int = 0

    @property
    def verb(self) -> Verb:
        """ "GET", "STT", "STP" or "RTS" of a query or its answer; empty for data."""
        head, separator, _ = self.type.partition("_")
        for verb in _VERBS:
            if separator and head == verb:
                return verb
        return ""

    @property
    def subject(self) -> str:
        """The type without its verb: "TRANSFORM" of "GET_TRANSFORM"."""
        return self.type[4:] if self.verb else self.type


def of_content(
    content: Content,
    device: str = "",
    *,
    timestamp: Timestamp | None = None,
    metadata: dict[str, str] | None = None,
    message_id: int = 0,
) -> Message:
    """The message that says ``content``, its type by the content's class; ``timestamp`` None is now."""
    try:
        type_ = _TYPE_OF[type(content)]
    except KeyError:
        raise OpenIGTLinkError(
            f"{type(content).__name__} is part of an answer or a query, whose type must be told.",
            expected=", ".join(kind.__name__ for kind in _TYPE_OF),
            got=type(content).__name__,
            hint='Make it as Message("RTS_TDATA", device, content).',
        ) from None
    return Message(
        type_, device, content, Timestamp.now() if timestamp is None else timestamp, 2, message_id, dict(metadata or {})
    )


def answer_command(query: Message, text: str = "", *, error: str | None = None) -> Message:
    """The RTS_COMMAND to a COMMAND: same device, id and name; its metadata say how it went.

    Args:
        query: the COMMAND.
        text: the result.
        error: what failed; None for success.

    Raises:
        OpenIGTLinkError: ``query`` is no COMMAND.
    """
    content = query.content
    if not isinstance(content, Command):
        raise OpenIGTLinkError("Only a COMMAND is answered so.", expected="COMMAND", got=query.type)
    metadata = {"Status": "SUCCESS"} if error is None else {"Status": "FAIL", "ErrorMessage": error}
    return Message("RTS_COMMAND", query.device, Command(content.id, content.name, text), metadata=metadata)


def wire_type(type_: str) -> str:
    """A type's name as the header has it: "GET_TRANSFOR", "GET_CAPABIL"."""
    if len(type_) <= TYPE_BYTES:
        return type_
    verb, _, subject = type_.partition("_")
    if verb in _VERBS:
        return f"{verb}_{_SHORTENED.get(subject, subject)}"[:TYPE_BYTES]
    raise OpenIGTLinkError(
        "The type of a message is too long.", expected=f"at most {TYPE_BYTES} characters", got=repr(type_)
    )


def full_type(name: str) -> str:
    """The type that a name in a header stands for: "GET_TRANSFORM" for "GET_TRANSFOR"; others as they are."""
    return _FULL.get(name, name)
