"""DIMSE command sets (PS3.7 §9.3, annex E) as bytes and back: implicit VR little endian, always."""

from __future__ import annotations

import functools
import struct
from typing import Any, Final, NamedTuple

from slicer_notebook.errors import PacsAnswerError

__all__ = ["Command", "command_bytes", "file_prefix", "parse_command", "pdv", "pdvs", "piece_length"]

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_GET_RQ, C_GET_RSP = 0x0010, 0x8010
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
C_MOVE_RQ, C_MOVE_RSP = 0x0021, 0x8021
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
C_CANCEL_RQ = 0x0FFF
#: the bit by which an answer's command differs from its request's
RESPONSE: Final = 0x8000
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP = 0x0100, 0x8100
N_ACTION_RQ, N_ACTION_RSP = 0x0130, 0x8130

#: Command Data Set Type: there is none; any other value says that one follows.
NO_DATA_SET: Final = 0x0101
DATA_SET: Final = 0x0001
PENDING: Final = frozenset({0xFF00, 0xFF01})
CANCELLED: Final = 0xFE00
SUCCESS: Final = 0x0000
PARTLY: Final = 0xB000

# Elements of group 0000 (PS3.7 E.1): number -> is it a US, or text
_SHORTS: Final = {
    0x0100: "command",
    0x0110: "message_id",
    0x0120: "responded_to",
    0x0700: "priority",
    0x0800: "data_set_type",
    0x0900: "status",
    0x0903: "error_id",
    0x1002: "event_type",
    0x1008: "action_type",
    0x1020: "remaining",
    0x1021: "completed",
    0x1022: "failed",
    0x1023: "warning",
    0x1031: "originator_id",
}
_TEXTS: Final = {
    0x0002: "sop_class",
    0x0003: "requested_class",
    0x0600: "destination",
    0x0902: "comment",
    0x1000: "sop_instance",
    0x1001: "requested_instance",
    0x1030: "originator",
}
_NUMBERS: Final = {name: number for number, name in [*_SHORTS.items(), *_TEXTS.items()]}
_ELEMENT: Final = struct.Struct("<HHI")
_SHORT_ELEMENT: Final = struct.Struct("<HHIH")


class Command(NamedTuple):
    """A command set: what was in it, None where absent. Names as PS3.7 has them, shortened."""

    command: int = 0
    message_id: int | None = None
    responded_to: int | None = None
    priority: int | None = None
    data_set_type: int = NO_DATA_SET
    status: int | None = None
    error_id: int | None = None
    event_type: int | None = None
    action_type: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    originator_id: int | None = None
    sop_class: str | None = None
    requested_class: str | None = None
    destination: str | None = None
    comment: str | None = None
    sop_instance: str | None = None
    requested_instance: str | None = None
    originator: str | None = None

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return self.data_set_type != NO_DATA_SET


def parse_command(data: bytes | bytearray) -> Command:
    """A command set's values. What is unknown in it is passed over.

    Raises:
        PacsAnswerError: not a command set.
    """
    found: dict[str, Any] = {}
    position, end = 0, len(data)
    try:
        while position < end:
            group, element, length = _ELEMENT.unpack_from(data, position)
            position += 8
            if group != 0 and "command" in found:
                break  # Orthanc's failed C-GET has its list of failed instances here, in place of a data set
            if group != 0 or position + length > end:
                raise PacsAnswerError("A DIMSE message is damaged.", expected="a command set", got=f"group {group:04X}")
            if (name := _SHORTS.get(element)) is not None and length >= 2:
                (found[name],) = struct.unpack_from("<H", data, position)
            elif (name := _TEXTS.get(element)) is not None:
                found[name] = data[position : position + length].decode("ascii", "replace").strip("\0 ")
            position += length
    except struct.error:
        raise PacsAnswerError("A DIMSE message is damaged.", expected="a command set", got="half of one") from None
    return Command(**found)


def command_bytes(**values: int | str) -> bytes:
    """A command set, with its group length; elements in the order of their numbers (PS3.7 6.3.1)."""
    body = b""
    for number, value in sorted((_NUMBERS[name], value) for name, value in values.items()):
        if isinstance(value, int):
            body += _SHORT_ELEMENT.pack(0, number, 2, value)
        else:
            text = value.encode("ascii", "replace")
            if len(text) % 2:
                # UIDs are padded with a zero, AE titles with a space (PS3.5 6.2).
                text += b" " if number in (0x0600, 0x1030) else b"\0"
            body += _ELEMENT.pack(0, number, len(text)) + text
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def pdv(context: int, data: bytes | memoryview, *, command: bool, last: bool) -> bytes:
    """A P-DATA-TF unit with one presentation data value (PS3.8 9.3.5, annex E)."""
    flags = (1 if command else 0) | (2 if last else 0)
    return struct.pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, context, flags) + data


def piece_length(most: int) -> int:
    """Bytes of a message that go into one unit, for a peer that takes units of ``most`` bytes (0: of any length).

    An even number: dcmtk takes no other.
    """
    return max((most or 1 << 17) - 6 & ~1, 2)


def pdvs(context: int, data: bytes | memoryview, most: int, *, command: bool) -> bytes:
    """Units for a whole command or data set, none longer than the peer takes (0: any length)."""
    room = piece_length(most)
    view = memoryview(data)
    pieces = [view[start : start + room] for start in range(0, len(view), room)] or [view]
    return b"".join(
        pdv(context, piece, command=command, last=number == len(pieces)) for number, piece in enumerate(pieces, 1)
    )


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr in (b"SH", b"AE") else b"\0"
    if vr == b"OB":
        return struct.pack("<HH2sHI", 2, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def file_prefix(
    sop_class: str, sop_instance: str, transfer_syntax: str, implementation: tuple[str, str], source: str = ""
) -> bytes:
    """What a DICOM file begins with: preamble and file meta information (PS3.10 §7.1); the data set follows as it came.

    Args:
        implementation: our class UID and version name.
        source: AE title that the instance came from.
    """
    head = _meta_head(sop_class)
    # What a peer sends may be anything.
    instance = _meta_element(3, b"UI", sop_instance.encode("ascii", "replace"))
    tail = _meta_tail(transfer_syntax, implementation, source)
    return _PREAMBLE + struct.pack("<I", len(head) + len(instance) + len(tail)) + head + instance + tail


_PREAMBLE: Final = bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0, b"UL", 4)


@functools.lru_cache(maxsize=256)
def _meta_head(sop_class: str) -> bytes:
    return _meta_element(1, b"OB", b"\0\1") + _meta_element(2, b"UI", sop_class.encode("ascii", "replace"))


@functools.lru_cache(maxsize=256)
def _meta_tail(transfer_syntax: str, implementation: tuple[str, str], source: str) -> bytes:
    texts = [
        (0x10, b"UI", transfer_syntax),
        (0x12, b"UI", implementation[0]),
        (0x13, b"SH", implementation[1]),
        *([(0x16, b"AE", source)] if source else []),
    ]
    return b"".join(_meta_element(element, vr, text.encode("ascii", "replace")) for element, vr, text in texts)
