"""Bytes as they come, and the messages in them: no socket, no thread.

A driver asks for `Decoder.room`, receives into it, and says by `Decoder.took` how much came. Large bodies are received
into memory of their own, which the arrays of an IMAGE or NDARRAY then look at: no byte is copied on the way.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.bodies import IMAGE_HEAD_BYTES
from slicer_notebook.igtl.checksum import crc64
from slicer_notebook.igtl.codec import (
    HEADER_BYTES,
    VERSIONS,
    Header,
    content_start,
    decode_body,
    parse_header,
)
from slicer_notebook.igtl.message import Message

__all__ = ["MAX_BODY_BYTES", "Decoder", "Event", "Fault", "Skipped"]

#: Bytes received at once: a thousand TRANSFORMs, and as much as a socket gives in one go.
RECEIVE_BYTES = 128 << 10
#: A body up to this size stays in the receive buffer; a larger one gets memory of its own.
SMALL_BYTES = 32 << 10
#: Bytes of one message: a volume of 1024 x 1024 x 512 int16, its header and metadata.
MAX_BODY_BYTES = (1 << 30) + (2 << 20)
#: A body that is not wanted is read and forgotten up to this size. Who announces more has lost step, or lies.
MAX_SKIPPED_BYTES = 64 << 30
#: Voxels begin at a multiple of this many bytes, so that whoever shares the memory may use vector instructions.
ALIGNMENT = 64


class Fault(NamedTuple):
    """A message that was dropped.

    Attributes:
        error: why.
        type: its type in full, as far as it is known.
        device: its device name, as far as it is known.
        fatal: nothing says where the next message begins: the connection is of no use any more.
    """

    error: OpenIGTLinkError
    type: str = ""
    device: str = ""
    fatal: bool = False


class Skipped(NamedTuple):
    """A message of a type that is not known; its body is passed over."""

    type: str
    device: str
    body_bytes: int


Event: TypeAlias = Message | Fault | Skipped


class Decoder:
    """Messages out of bytes that come in any portions.

    Args:
        max_body: bytes that a message may have after its header.

    What it holds is one buffer of 128 kB, and the body of the message that is coming in; memory for that is touched
    only as far as bytes have come.
    """

    def __init__(self, max_body: int = MAX_BODY_BYTES) -> None:
        self.max_body = max_body
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._start = self._end = 0
        self._header: Header | None = None
        self._own: memoryview | None = None  # the body with memory of its own
        self._filled = 0
        self._skip = 0
        self._lost = False

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._header is not None or self._skip > 0 or self._end > self._start

    @property
    def lost(self) -> bool:
        """Whether a fault was fatal; nothing more is taken."""
        return self._lost

    def room(self) -> memoryview:
        """Where the next bytes go; never empty. Good until `took`."""
        if self._own is not None:
            return self._own[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start:
            # What is left is a piece of a header or of a small body.
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._buffer[self._end :]

    def took(self, count: int) -> list[Event]:
        """``count`` bytes have been put into `room`: the messages that they complete, and the faults."""
        events: list[Event] = []
        if self._lost:
            return events
        if self._own is not None:
            self._filled += count
            if self._filled == len(self._own):
                self._finish(self._own, events)
            return events
        self._end += count
        while not self._lost and self._step(events):
            pass
        return events

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """All events of ``data``, which is copied; for who has the bytes already."""
        events: list[Event] = []
        view = memoryview(data).cast("B")
        while len(view) and not self._lost:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            events += self.took(count)
            view = view[count:]
        return events

    def _step(self, events: list[Event]) -> bool:
        """One step with the bytes in the buffer; whether there may be another."""
        there = self._end - self._start
        if self._skip:
            passed = min(self._skip, there)
            self._skip -= passed
            self._start += passed
            return passed < there
        if self._header is None:
            if there < HEADER_BYTES:
                return False
            self._begin(events)
            return not self._lost
        if self._own is not None or there < self._header.body_bytes:
            return False
        end = self._start + self._header.body_bytes
        body = self._buffer[self._start : end]
        self._start = end
        self._finish(body, events)
        return self._start < self._end

    def _begin(self, events: list[Event]) -> None:
        """Read a header, and decide what becomes of its body."""
        try:
            header = parse_header(self._buffer[self._start : self._start + HEADER_BYTES])
        except OpenIGTLinkError as error:
            self._lose(error, events)
            return
        self._start += HEADER_BYTES
        kind, size = header.kind, header.body_bytes
        if size > MAX_SKIPPED_BYTES:
            told = f"A {kind.type} announces more than any message has."
            self._lose(OpenIGTLinkError(told, got=f"{size} bytes"), events, kind.type, kind.device)
        elif kind.version not in VERSIONS:
            self._refuse(header, "A message of a version that is not known.", "1 or 2", str(kind.version), events)
        elif not kind.known:
            self._skip = size
            events.append(Skipped(kind.type, kind.device, size))
        elif size > self.max_body or (kind.most is not None and size > kind.most):
            most = self.max_body if kind.most is None else min(kind.most, self.max_body)
            self._refuse(header, f"A {kind.type} is too long.", f"at most {most} bytes", str(size), events)
        else:
            self._expect(header, events)

    def _expect(self, header: Header, events: list[Event]) -> None:
        """Get ready for a body that is wanted."""
        if header.body_bytes > SMALL_BYTES or (header.kind.keeps and header.body_bytes):
            try:
                own = _aligned(header.body_bytes, content_start(header.kind.version) + IMAGE_HEAD_BYTES)
            except MemoryError:
                self._refuse(header, "No memory for a message.", "less", f"{header.body_bytes} bytes", events)
                return
            there = min(self._end - self._start, header.body_bytes)
            own[:there] = self._buffer[self._start : self._start + there]
            self._start += there
            self._filled = there
            self._header = header
            if there == header.body_bytes:
                self._finish(own, events)
            else:
                self._own = own
        else:
            self._header = header

    def _finish(self, body: memoryview, events: list[Event]) -> None:
        """A body is whole."""
        header = self._header
        assert header is not None
        self._header = self._own = None
        self._filled = 0
        kind = header.kind
        crc = crc64(body)
        if crc != header.crc:
            error = OpenIGTLinkError(
                f"The checksum of a {kind.type} is wrong: it was damaged on its way, or its sender counts wrong.",
                expected=f"{header.crc:016X}",
                got=f"{crc:016X}",
            )
            events.append(Fault(error, kind.type, kind.device))
            return
        try:
            events.append(decode_body(header, body))
        except OpenIGTLinkError as error:
            events.append(Fault(_bare(error), kind.type, kind.device))

    def _refuse(self, header: Header, message: str, expected: str, got: str, events: list[Event]) -> None:
        """Drop a message whose body can be passed over."""
        self._skip = header.body_bytes
        error = OpenIGTLinkError(message, expected=expected, got=got)
        events.append(Fault(error, header.kind.type, header.kind.device))

    def _lose(self, error: OpenIGTLinkError, events: list[Event], type_: str = "", device: str = "") -> None:
        self._lost = True
        self._header = self._own = None
        self._start = self._end = 0
        events.append(Fault(_bare(error), type_, device, fatal=True))


def _bare(error: OpenIGTLinkError) -> OpenIGTLinkError:
    """The error without tracebacks: their frames would keep the message's body, until garbage is collected."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _aligned(size: int, start: int) -> memoryview:
    """Memory whose byte ``start`` is aligned; the system gives pages only when they are written."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    shift = -(raw.ctypes.data + start) % ALIGNMENT
    return raw.data[shift : shift + size]
