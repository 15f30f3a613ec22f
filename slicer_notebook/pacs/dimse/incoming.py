"""Instances that come in by C-STORE (PS3.4 annex B): passed on as bytes, never decoded."""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol, runtime_checkable

from slicer_notebook.errors import PacsAnswerError, PacsError, StorageError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Association, Message, fragments
from slicer_notebook.pacs.dimse.negotiation import IMPLEMENTATION
from slicer_notebook.pacs.model import Part

__all__ = ["Incoming", "JudgedPart", "NotTakenError"]

#: Refused: out of resources; cannot understand (PS3.4 B.2.3).
OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0xA700, 0xC000
#: SOP class not supported (PS3.7 C.5.6).
_NO_CONTEXT: Final = 0x0122
#: Bytes of one command, and of an answer's data set, at most.
_MOST_COMMAND, _MOST_IDENTIFIER = 1 << 16, 1 << 24


class NotTakenError(Exception):
    """`JudgedPart.judge` raises it where an instance is not taken; its sender is told so. Never reaches a user.

    Attributes:
        status: of the answer (PS3.4 B.2.3).
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:04X}")
        self.status = status


@runtime_checkable
class JudgedPart(Part, Protocol):
    """One that may not be taken in the end."""

    def judge(self) -> None:
        """It has come whole, and its sender waits for the answer. What can be done afterwards, is `done`'s.

        Raises:
            NotTakenError: it is not taken; it is discarded then.
            StorageError: nothing more can be kept.
        """


class Incoming:
    """What comes on one association: C-STOREs go into a sink, each answered; other messages are given to the caller.

    Args:
        association: whose accepted contexts with the SCP's role (or any, as an acceptor) are taken.
        opener: gives where an instance goes, by its C-STORE request; or the status that refuses it.
    """

    def __init__(self, association: Association, opener: Callable[[m.Command], Part | int]) -> None:
        self._association = association
        self._opener = opener
        self._command = bytearray()
        self._identifier = bytearray()
        self._ready: deque[Message] = deque()
        #: an instance that is coming: the context, and its request; where it goes, or the status that refuses it
        self._store: tuple[int, m.Command] | None = None
        self._part: Part | None = None
        self._refusal = 0
        #: another message, whose data set is coming
        self._other: tuple[int, m.Command] | None = None
        #: instances that were taken
        self.count = 0
        #: bytes of data sets
        self.bytes = 0
        self._syntaxes = {
            id_: context.transfer for id_, context in association.agreement.contexts.items() if context.as_scp
        }

    def next(self) -> Message:
        """Take instances in until another message comes, which is returned.

        Raises:
            PacsUnreachableError, PacsAnswerError: as `Association.unit`.
            StorageError: the sink takes no more; the peer was told.
            JobCancelledError: the transfer was cancelled.
        """
        while not self._ready:
            for context, flags, data in fragments(self._association.unit(), self._name):
                if not flags & 1:
                    self._data(context, data, bool(flags & 2))
                    continue
                self._command += data
                if len(self._command) > _MOST_COMMAND:
                    raise self._wrong("a command", f"{len(self._command)} bytes")
                if flags & 2:
                    command = m.parse_command(self._command)
                    self._command.clear()
                    self._begin(context, command)
        return self._ready.popleft()

    @property
    def _name(self) -> str:
        return self._association.peer.name

    def _wrong(self, expected: str, got: str) -> PacsAnswerError:
        return PacsAnswerError(f"{self._name} sent a message in disorder.", expected=expected, got=got)

    def _begin(self, context: int, command: m.Command) -> None:
        if self._store is not None or self._other is not None:
            raise self._wrong("a data set", "a command")
        if command.command != m.C_STORE_RQ:
            if command.has_data_set:
                self._other = context, command
            else:
                self._ready.append(Message(context, command))
            return
        if not command.has_data_set:
            self._answer(context, command, _CANNOT_UNDERSTAND)
            return
        self._store, self._refusal = (context, command), _NO_CONTEXT
        if context not in self._syntaxes:
            return
        with self._telling():
            opened = self._opener(command)
            if isinstance(opened, int):
                self._refusal = opened
                return
            self._part = opened
            self._part.write(
                m.file_prefix(
                    command.sop_class or "",
                    command.sop_instance or "",
                    self._syntaxes[context],
                    IMPLEMENTATION,
                    self._association.peer.address.called,
                )
            )

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Where nothing more can be kept, the peer is told before all ends."""
        try:
            yield
        except StorageError:
            self.close()
            with contextlib.suppress(PacsError):
                if self._store is not None:
                    self._answer(*self._store, OUT_OF_RESOURCES)
            raise

    def _data(self, context: int, data: memoryview, last: bool) -> None:
        coming = self._store or self._other
        if coming is None or coming[0] != context:
            raise self._wrong("a command" if coming is None else f"context {coming[0]}", f"a data set of {context}")
        if self._other is not None:
            self._answer_data(*self._other, data, last)
            return
        self.bytes += len(data)
        if self._part is not None:
            with self._telling():
                self._part.write(data)
                if last:
                    self._judge(self._part)
        if last:
            self._store = None
            part, self._part = self._part, None
            try:
                # First of all: the peer sends the next one meanwhile.
                self._answer(*coming, self._refusal)
            finally:
                if part is not None:
                    part.done()
                    self.count += 1

    def _judge(self, part: Part) -> None:
        """Whether what has come whole is taken, where that is not known before."""
        self._refusal = m.SUCCESS
        if isinstance(part, JudgedPart):
            try:
                part.judge()
            except NotTakenError as exc:
                self._refusal = exc.status
                self.close()

    def _answer_data(self, context: int, command: m.Command, data: memoryview, last: bool) -> None:
        self._identifier += data
        if len(self._identifier) > _MOST_IDENTIFIER:
            raise self._wrong("a short data set", f"{len(self._identifier)} bytes")
        if last:
            self._other = None
            self._ready.append(Message(context, command, bytes(self._identifier)))
            self._identifier.clear()

    def _answer(self, context: int, command: m.Command, status: int) -> None:
        self._association.transport.write(_store_answer(context, command, status))

    def close(self) -> None:
        """What has not come whole is thrown away."""
        if self._part is not None:
            self._part.discard()
            self._part = None


def _store_answer(context: int, command: m.Command, status: int) -> bytes:
    """A C-STORE-RSP unit; made by hand, for one goes out for each instance."""
    sop_class = _padded(command.sop_class or "")
    instance = _padded(command.sop_instance or "")
    body = (
        struct.pack("<HHI", 0, 0x0002, len(sop_class)) + sop_class
        + struct.pack("<HHIH", 0, 0x0100, 2, m.C_STORE_RSP)
        + struct.pack("<HHIH", 0, 0x0120, 2, command.message_id or 0)
        + struct.pack("<HHIH", 0, 0x0800, 2, m.NO_DATA_SET)
        + struct.pack("<HHIH", 0, 0x0900, 2, status)
        + struct.pack("<HHI", 0, 0x1000, len(instance)) + instance
    )  # fmt: skip
    return m.pdv(context, struct.pack("<HHII", 0, 0, 4, len(body)) + body, command=True, last=True)


def _padded(uid: str) -> bytes:
    raw = uid.encode("ascii", "replace")
    return raw + b"\0" if len(raw) % 2 else raw
