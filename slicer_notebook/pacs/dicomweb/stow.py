"""STOW-RS (PS3.18 10.5): one file, sent as it is read, and what the server says became of it."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from slicer_notebook.errors import NotDicomError, PacsAnswerError, PathNotFoundError
from slicer_notebook.pacs.dicomweb.client import Answer, Client
from slicer_notebook.pacs.dicomweb.items import ItemsError, items_of
from slicer_notebook.pacs.dicomweb.qido import JSON
from slicer_notebook.pacs.model import Cancelled, Record
from slicer_notebook.pacs.records import record_of_json

__all__ = ["store"]

_log = logging.getLogger(__name__)

#: Bytes read and sent at once.
_AT_ONCE: Final = 1024 * 1024
#: Bytes of the preamble, which "DICM" follows (PS3.10 7.1).
_PREAMBLE: Final = 128

#: HTTP statuses whose body may say what became of the file.
_WITH_RESULTS: Final = frozenset({200, 201, 202, 400, 409, 422})
#: Failure reasons, the first bits of them (PS3.18 table I.2-1, PS3.4 table B.2-1) -> what it means, what to do.
_REASONS: Final[tuple[tuple[int, int, str, str | None], ...]] = (
    (0xFFFF, 0x0110, "an error in processing it", "The PACS's log says more."),
    (0xFFFF, 0x0111, "it has that SOP Instance UID already", None),
    (0xFFFF, 0x0112, "it knows no such instance", None),
    (0xFFFF, 0x0117, "its SOP Instance UID is none", "The file is damaged, or made wrongly."),
    (0xFFFF, 0x0119, "the SOP Class and the SOP Instance contradict each other", None),
    (0xFFFF, 0x0122, "it does not take that SOP Class", "Its conformance statement says which."),
    (0xFFFF, 0x0124, "the user may not store", "Ask the PACS's administrator for the right."),
    (0xFFFF, 0x0131, "the transfer would be too often or too much at a time", "Try again later."),
    (0xFFFF, 0xA900, "the data set does not match its SOP Class", "Attributes that the class needs are missing."),
    (0xFFFF, 0xC122, "it does not take that transfer syntax", "Store it decompressed."),
    (0xFFFF, 0xC409, "another instance there has that SOP Instance UID", None),
    (0xFF00, 0xA700, "it is out of resources", "Its disk may be full."),
    (0xFF00, 0xA900, "the data set does not match its SOP Class", "Attributes that the class needs are missing."),
    (0xF000, 0xC000, "it does not understand the file", "Is the file whole, and in a transfer syntax that it knows?"),
)
#: Warning reasons (PS3.18 table I.2-2).
_WARNINGS: Final = {
    0xB000: "attributes were changed",
    0xB006: "attributes were left out",
    0xB007: "the data set does not match its SOP Class",
}


def store(client: Client, path: str, cancelled: Cancelled, *, album: str = "") -> None:
    """Send one DICOM file; never more of it in memory than a piece.

    Args:
        album: of Kheops, that it is stored into.

    Raises:
        PathNotFoundError: there is no such file, or it cannot be read.
        NotDicomError: it is not DICOM (PS3.10).
        PacsAnswerError: the server did not take it; its reason is in ``got``.
        PacsRefusedError, PacsUnreachableError: no right, no connection.
        JobCancelledError: ``cancelled`` said so.
    """
    size = _checked_size(path)
    boundary = f"slicer-notebook-{secrets.token_hex(16)}"
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {size}\r\n\r\n".encode("ascii")
    tail = f"\r\n--{boundary}--\r\n".encode("ascii")
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"',
        "Content-Length": str(len(head) + size + len(tail)),
    }
    with client.stream(
        "/studies",
        query=f"album={quote(album, safe='')}" if album else "",
        method="POST",
        what="STOW-RS",
        accept=JSON,
        headers=headers,
        body=lambda: _body(path, head, size, tail),
        packed=True,
        cancelled=cancelled,
    ) as answer:
        _judge(answer, client.place.server)


def _checked_size(path: str) -> int:
    try:
        with open(path, "rb") as file:
            beginning = file.read(_PREAMBLE + 4)
            size = os.fstat(file.fileno()).st_size
    except OSError as exc:
        raise _unreadable(exc) from exc
    if beginning[_PREAMBLE:] != b"DICM":
        raise NotDicomError("That is no DICOM file.", expected="a file of PS3.10, with DICM at byte 128", got=path)
    return size


def _unreadable(exc: OSError) -> PathNotFoundError:
    return PathNotFoundError("The file to be stored cannot be read.", got=exc.strerror or type(exc).__name__)


def _body(path: str, head: bytes, size: int, tail: bytes) -> Iterator[bytes]:
    yield head
    left = size
    try:
        with open(path, "rb") as file:
            while left:
                piece = file.read(min(_AT_ONCE, left))
                if not piece:
                    raise PathNotFoundError("The file to be stored became shorter while it was sent.")
                left -= len(piece)
                yield piece
    except OSError as exc:
        if isinstance(exc, PathNotFoundError):
            raise
        raise _unreadable(exc) from exc
    yield tail


def _judge(answer: Answer, server: str) -> None:
    """Nothing, if the answer says that the file was taken."""
    record = _record_of(answer) if answer.status in _WITH_RESULTS else {}
    failed = _items(record, "FailedSOPSequence") + _items(record, "OtherFailuresSequence")
    if failed:
        reason = failed[0].get("FailureReason")
        got, hint = _in_words(reason if isinstance(reason, int) else None)
        raise PacsAnswerError(
            f"The PACS {server!r} did not take the file.",
            got=got,
            hint=hint,
            details={"server": server, "status": answer.status, "reason": reason},
        )
    answer.check()
    for stored in _items(record, "ReferencedSOPSequence"):
        warning = stored.get("WarningReason")
        if isinstance(warning, int) and warning:
            _log.warning("A file was stored with a warning: %s.", _WARNINGS.get(warning, f"{warning:04X}H"))


def _record_of(answer: Answer) -> Record:
    """The answer's data set; empty where there is none that we can read: then the status says it all."""
    kind = answer.content_type.type
    if not (kind.endswith("+json") or kind == "application/json"):
        return {}
    try:
        found = [item for items in items_of(answer.chunks()) for item in items]
    except ItemsError:
        return {}
    return record_of_json(found[0]) if found else {}


def _items(record: Record, name: str) -> list[dict[str, Any]]:
    value = record.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _in_words(reason: int | None) -> tuple[str, str | None]:
    if reason is None:
        return "a failure without a reason", "The PACS's log may say more."
    for mask, value, words, hint in _REASONS:
        if reason & mask == value:
            return f"failure reason {reason:04X}H: {words}", hint
    return f"failure reason {reason:04X}H", "The PACS's log may say more."
