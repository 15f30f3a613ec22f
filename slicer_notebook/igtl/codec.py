"""Messages as bytes: the header, the extended header of version 2, metadata, and the checksum over all but the header.

Source: the OpenIGTLink protocol, v2_header, v3_header (extended header and metadata), v2_timestamp, CRC.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.bodies import Piece, decode_content, encode_content, keeps_body, largest_content
from slicer_notebook.igtl.checksum import crc64
from slicer_notebook.igtl.contents import Command, Content, Reply, StartStream
from slicer_notebook.igtl.message import CONTENT_TYPES, TYPE_BYTES, Message, Timestamp, full_type, wire_type
from slicer_notebook.igtl.texts import name_bytes, name_of, text_bytes, text_of

__all__ = [
    "DEVICE_BYTES",
    "EXTENDED_BYTES",
    "HEADER_BYTES",
    "Header",
    "Kind",
    "content_start",
    "decode_body",
    "encode",
    "parse_header",
]

_HEADER = struct.Struct(">H12s20sIIQQ")
#: Its two parts: what the message is; when, how long, and the checksum.
_WHAT, _REST = struct.Struct(">H12s20s"), struct.Struct(">IIQQ")
HEADER_BYTES = _HEADER.size
#: Bytes of a device's name.
DEVICE_BYTES = 20

_EXTENDED = struct.Struct(">HHII")
#: Bytes of the extended header as it is today; a message may say that it has a longer one.
EXTENDED_BYTES = _EXTENDED.size
_COUNT = struct.Struct(">H")
_ENTRY = struct.Struct(">HHI")

#: Entries of metadata whose heads fit into the u16 that says their size.
MAX_ENTRIES = (0xFFFF - _COUNT.size) // _ENTRY.size
#: Bytes of metadata, heads not counted. They become attributes of a node, which a scene file holds as text.
MAX_METADATA_BYTES = 1 << 20

#: The header versions that are understood.
VERSIONS = (1, 2)
#: A version that may come to be; the length of the body stands where it always did. What is above is another protocol.
MAX_VERSION = 255


class Kind(NamedTuple):
    """What a message is, by the first 34 bytes of its header.

    Attributes:
        version: 1 or 2 where the message can be understood.
        type: in full ("GET_TRANSFORM", where "GET_TRANSFOR" stands).
        verb, subject: its two parts; the verb is empty for data.
        device: device name.
        known: whether it is understood: a known content, or any query.
        most: bytes that it may have after its header, by its type; None: as many as any message.
        keeps: whether its content looks at the bytes of the body.
    """

    version: int
    type: str
    verb: str
    subject: str
    device: str
    known: bool
    most: int | None
    keeps: bool


class Header(NamedTuple):
    """The first 58 bytes of a message: what it is, when its data were made, how many bytes follow, their CRC-64."""

    kind: Kind
    timestamp: Timestamp
    body_bytes: int
    crc: int


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """The header in the first 58 bytes.

    Raises:
        OpenIGTLinkError: the name of the type is none. Then nothing says where the next message begins.
    """
    seconds, fraction, size, crc = _REST.unpack_from(data, _WHAT.size)
    return Header(_kind(bytes(data[: _WHAT.size])), Timestamp(seconds, fraction), size, crc)


# A tracker says the same of itself a thousand times a second.
@lru_cache(512)
def _kind(start: bytes) -> Kind:
    version, field, device = _WHAT.unpack(start)
    name, _, padding = field.partition(b"\0")
    if (
        not 0 < version <= MAX_VERSION
        or not name
        or not name.isascii()
        or not name.decode("ascii").isprintable()
        or padding.strip(b"\0")
    ):
        raise OpenIGTLinkError(
            "These bytes are no OpenIGTLink message.",
            expected="a version, and the name of a type, padded with zeros",
            got=f"version {version}, type {field!r}",
            hint="Look whether the other program speaks OpenIGTLink on this port.",
        )
    type_ = full_type(name.decode("ascii"))
    verb, subject = _split(type_)
    known = bool(verb) or subject in CONTENT_TYPES
    most = largest_content(verb, subject)
    if most is not None and version > 1:
        most += 0xFFFF + 0xFFFF + MAX_METADATA_BYTES
    return Kind(version, type_, verb, subject, name_of(device), known, most, keeps_body(type_))


def content_start(version: int) -> int:
    """Where the content begins in a body, where the extended header has its usual size."""
    return EXTENDED_BYTES if version > 1 else 0


def encode(message: Message, version: int) -> list[Piece]:
    """The message's bytes, in pieces that go out one after the other; large arrays are views, not copies.

    Args:
        message: what to say. Version 1 has no message id and no metadata; they are left out.
        version: of the header, 1 or 2.

    Raises:
        OpenIGTLinkError: something does not fit into its field.
    """
    if version not in VERSIONS:
        raise OpenIGTLinkError("A header version that there is not.", expected="1 or 2", got=str(version))
    _check_content(message)
    pieces = [] if message.content is None else encode_content(message.content)
    if version > 1:
        pieces = _extended(message, pieces)
    crc = size = 0
    for piece in pieces:
        crc = crc64(piece, crc)
        size += len(piece)
    type_ = name_bytes(wire_type(message.type), TYPE_BYTES, "type")
    device = name_bytes(message.device, DEVICE_BYTES, "device name")
    try:
        head = _HEADER.pack(version, type_, device, *message.timestamp, size, crc)
    except struct.error as error:
        raise OpenIGTLinkError(
            "A time that the header cannot hold.", expected="1970 to 2106", got=str(tuple(message.timestamp))
        ) from error
    if pieces and isinstance(pieces[0], bytes):
        return [head + pieces[0], *pieces[1:]]
    return [head, *pieces]


def decode_body(header: Header, body: memoryview) -> Message:
    """The message of a header and its whole body, whose checksum is right.

    Raises:
        OpenIGTLinkError: the body is none of that type and version.
    """
    kind = header.kind
    size = HEADER_BYTES + len(body)
    if kind.version == 1:
        content = decode_content(kind.verb, kind.subject, body)
        return Message(kind.type, kind.device, content, header.timestamp, 1, wire_bytes=size)
    if len(body) < EXTENDED_BYTES:
        raise _malformed("extended header", f"at least {EXTENDED_BYTES} bytes", str(len(body)))
    start, heads, data, message_id = _EXTENDED.unpack_from(body)
    end = len(body) - heads - data
    if start < EXTENDED_BYTES or start > end:
        raise _malformed(
            "extended header", f"sizes that fit into {len(body)} bytes", f"{start}, metadata of {heads} + {data}"
        )
    metadata = _metadata(body[end:], heads, data)
    content = decode_content(kind.verb, kind.subject, body[start:end])
    return Message(kind.type, kind.device, content, header.timestamp, 2, message_id, metadata, size)


def _split(type_: str) -> tuple[str, str]:
    return (type_[:3], type_[4:]) if type_[:4] in ("GET_", "STT_", "STP_", "RTS_") else ("", type_)


def _check_content(message: Message) -> None:
    content, type_ = message.content, message.type
    if content is None:
        return
    verb, subject = _split(type_)
    wanted: type[Content] | None
    if verb == "RTS":
        wanted = Command if subject == "COMMAND" else Reply
    elif verb == "STT":
        wanted = StartStream
    else:
        wanted = None if verb else CONTENT_TYPES.get(subject)
    if wanted is None or not isinstance(content, wanted):
        raise OpenIGTLinkError(
            f"A {type_} says something else.",
            expected="no content" if wanted is None else wanted.__name__,
            got=type(content).__name__,
        )


def _extended(message: Message, pieces: list[Piece]) -> list[Piece]:
    if len(message.metadata) > MAX_ENTRIES:
        raise OpenIGTLinkError("Too many metadata.", expected=f"at most {MAX_ENTRIES}", got=str(len(message.metadata)))
    heads, data = [_COUNT.pack(len(message.metadata))], []
    for key, value in message.metadata.items():
        name = name_bytes(key, 0xFFFF, "key of metadata")
        encoding, raw = text_bytes(value, None, f"metadata {key!r}")
        heads.append(_ENTRY.pack(len(name), encoding, len(raw)))
        data += [name, raw]
    head, tail = b"".join(heads), b"".join(data)
    if len(tail) > MAX_METADATA_BYTES:
        raise OpenIGTLinkError("Too many metadata.", expected=f"at most {MAX_METADATA_BYTES} bytes", got=str(len(tail)))
    try:
        extended = _EXTENDED.pack(EXTENDED_BYTES, len(head), len(tail), message.message_id)
    except struct.error as error:
        raise OpenIGTLinkError(
            "A message id that does not fit.", expected="0 to 2^32 - 1", got=str(message.message_id)
        ) from error
    if all(isinstance(piece, bytes) for piece in pieces):
        return [b"".join((extended, *pieces, head, tail))]
    first = pieces[0]
    assert isinstance(first, bytes)  # the head of an IMAGE or NDARRAY
    return [extended + first, *pieces[1:], head + tail]


def _metadata(data: memoryview, heads: int, size: int) -> dict[str, str]:
    if not heads and not size:
        return {}
    if heads < _COUNT.size or size > MAX_METADATA_BYTES:
        raise _malformed("metadata", f"a count, and at most {MAX_METADATA_BYTES} bytes", f"{heads} + {size}")
    (count,) = _COUNT.unpack_from(data)
    if heads < _COUNT.size + count * _ENTRY.size:
        raise _malformed("metadata", f"{_COUNT.size + count * _ENTRY.size} bytes of heads", str(heads))
    metadata = {}
    at = heads
    for i in range(count):
        key_bytes, encoding, value_bytes = _ENTRY.unpack_from(data, _COUNT.size + i * _ENTRY.size)
        middle, end = at + key_bytes, at + key_bytes + value_bytes
        if end > len(data):
            raise _malformed("metadata", f"{end} bytes", str(len(data)))
        key = name_of(bytes(data[at:middle]))
        metadata[key] = text_of(bytes(data[middle:end]), encoding, f"metadata {key!r}")[0]
        at = end
    if at != len(data):
        raise _malformed("metadata", f"{at} bytes", str(len(data)))
    return metadata


def _malformed(part: str, expected: str, got: str) -> OpenIGTLinkError:
    return OpenIGTLinkError(f"The {part} of a message makes no sense.", expected=expected, got=got)
