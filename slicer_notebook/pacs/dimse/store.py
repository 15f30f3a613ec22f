"""C-STORE as its user (PS3.4 annex B): files go out as they are, data sets never decoded."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Final, NamedTuple

from slicer_notebook.errors import NotDicomError, PacsError, PacsRefusedError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Peer, associate
from slicer_notebook.pacs.dimse.negotiation import MAX_CONTEXTS, Proposal
from slicer_notebook.pacs.dimse.status import failure
from slicer_notebook.pacs.model import Cancelled

__all__ = ["ToStore", "read_meta", "sender_of", "store"]

#: Bytes of a data set that are sent at once.
_CHUNK: Final = 1 << 20
#: Statuses that say it was stored, though not quite as sent (PS3.4 B.2.3): coercion, elements discarded, no match.
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})

Told = Callable[[str, PacsError | None], None]
"""Told of each file when it is done: its path, and why it was not taken (None if it was)."""


class ToStore(NamedTuple):
    """A file to be sent."""

    path: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    #: where the data set begins
    offset: int


def read_meta(path: str) -> ToStore:
    """What a file's meta information says (PS3.10 7.1).

    Raises:
        NotDicomError: it has none.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as exc:
        raise NotDicomError(f"{path!r} cannot be read.", got=exc.strerror or str(exc)) from exc
    found, position = _meta(head)
    uids = found.get(2, ""), found.get(3, ""), found.get(0x10, "")
    if not all(uids):
        raise NotDicomError(
            f"{path!r} cannot be sent.",
            expected="a DICOM file with its meta information (PS3.10 7.1)",
            got="none, or without SOP Class, SOP Instance or Transfer Syntax UID",
        )
    return ToStore(path, *uids, position)


def _meta(head: bytes) -> tuple[dict[int, str], int]:
    """Elements of the meta information by their number in group 2, and where the data set begins."""
    found: dict[int, str] = {}
    position = 132
    if head[128:132] == b"DICM":
        while position + 8 <= len(head) and head[position : position + 2] == b"\2\0":
            element, vr, length = struct.unpack_from("<H2sH", head, position + 2)
            position += 8
            if vr in (b"OB", b"UN"):
                (length,) = struct.unpack_from("<I", head, position)
                position += 4
            found[element] = head[position : position + length].decode("ascii", "replace").strip("\0 ")
            position += length
    return found, position


def sender_of(path: str) -> str:
    """The AE title that a file came from (0002,0016); "" where it does not say, or cannot be read."""
    try:
        with open(path, "rb") as file:
            return _meta(file.read(1024))[0].get(0x16, "")
    except OSError:
        return ""


def store(peer: Peer, files: Iterable[ToStore], told: Told, cancelled: Cancelled) -> None:
    """Send files; one association for as many kinds of them as it has contexts for.

    Raises:
        PacsUnreachableError, PacsRefusedError, PacsAnswerError: nothing (more) can be sent. Files that were told of are
            done.
        JobCancelledError: ``cancelled`` said so.
    """
    kinds: dict[tuple[str, str], list[ToStore]] = {}
    for file in files:
        kinds.setdefault((file.sop_class, file.transfer_syntax), []).append(file)
    pairs = list(kinds)
    for start in range(0, len(pairs), MAX_CONTEXTS):
        _store_kinds(peer, {pair: kinds[pair] for pair in pairs[start : start + MAX_CONTEXTS]}, told, cancelled)


def _store_kinds(peer: Peer, kinds: dict[tuple[str, str], list[ToStore]], told: Told, cancelled: Cancelled) -> None:
    proposals: Sequence[Proposal] = [Proposal(abstract, (syntax,)) for abstract, syntax in kinds]
    with associate(peer, proposals, cancelled=cancelled) as association:
        contexts = {(c.abstract, c.transfer): c.id for c in association.agreement.contexts.values()}
        for pair, files in kinds.items():
            for file in files:
                told(file.path, _send(association, contexts.get(pair), file))


def _send(association: Association, context: int | None, file: ToStore) -> PacsError | None:
    """Send one file; why it was not taken, if it was not."""
    name = association.peer.name
    if context is None:
        why = association.agreement.refused.get(file.sop_class, "the transfer syntax is not supported")
        return PacsRefusedError(
            f"{name} takes no instances of this kind.",
            expected="an accepted presentation context",
            got=why,
            details={"sop_class": file.sop_class, "transfer_syntax": file.transfer_syntax},
        )
    try:
        opened = open(file.path, "rb")  # noqa: SIM115 - closed below
    except OSError as exc:
        return PacsError("A file to be sent is gone.", got=exc.strerror or str(exc))
    with opened:
        size = os.fstat(opened.fileno()).st_size - file.offset
        opened.seek(file.offset)
        most = association.agreement.max_pdu
        command = m.command_bytes(
            command=m.C_STORE_RQ,
            message_id=association.next_id(),
            priority=0,
            sop_class=file.sop_class,
            sop_instance=file.sop_instance,
            data_set_type=m.DATA_SET,
        )
        association.transport.write(m.pdvs(context, command, most, command=True))
        _send_data(association, context, opened, size)
    answer = association.message().command
    status = answer.status if answer.status is not None else 0xC000
    if status == m.SUCCESS or status in _WARNINGS:
        return None
    return failure("C-STORE", answer, name)


def _send_data(association: Association, context: int, file: BinaryIO, size: int) -> None:
    room = m.piece_length(association.agreement.max_pdu)
    sent = 0
    while sent < size or size == 0:
        block = file.read(max(room, _CHUNK // room * room))
        if not block and size:
            raise PacsError("A file became shorter while it was sent.")
        view = memoryview(block)
        out = bytearray()
        for start in range(0, len(view) or 1, room):
            piece = view[start : start + room]
            sent += len(piece)
            out += m.pdv(context, piece, command=False, last=sent >= size)
        association.transport.write(out)
        if size == 0:
            return
