"""What has come and gone, for each device and in all, with rates."""

from __future__ import annotations

import time

import msgspec

from slicer_notebook.igtl.message import Message, Timestamp

__all__ = ["DeviceCounts", "DeviceLine"]

#: Names that a peer is believed to have; what comes under further ones is counted together, so that names cannot fill
#: the memory.
MAX_DEVICES = 1_000

#: Seconds over which a rate is taken.
RATE_SECONDS = 1.0


class Rate:
    """Events a second over the last second or so; falls to 0 two seconds after the last one."""

    __slots__ = ("_before", "_began", "_now")

    def __init__(self) -> None:
        self._began = 0.0
        self._now = 0
        self._before = 0

    def add(self, at: float) -> None:
        """One more, at ``at`` of `time.monotonic`."""
        self._turn(at)
        self._now += 1

    def value(self, at: float) -> float:
        """Events a second at ``at``."""
        self._turn(at)
        rest = 1.0 - (at - self._began) / RATE_SECONDS
        return (self._now + self._before * rest) / RATE_SECONDS

    def _turn(self, at: float) -> None:
        passed = at - self._began
        if passed >= RATE_SECONDS:
            whole = passed < 2 * RATE_SECONDS
            self._before = self._now if whole else 0
            self._began = self._began + RATE_SECONDS if whole else at
            self._now = 0


class DeviceLine(msgspec.Struct, frozen=True):
    """A device as it is at one moment.

    Attributes:
        type: of its messages, in full.
        device: its name.
        peer: address of who it is at.
        received, received_bytes: messages that came, and bytes of their bodies' content as counted on the wire.
        sent, sent_bytes: messages that went.
        dropped: messages that were not sent, as a newer one of the device came before there was room.
        rate: messages a second that came lately.
        age: seconds since the last one came; None if none has.
        timestamp: what the last one that came says of when it was made.
    """

    type: str
    device: str
    peer: str = ""
    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    dropped: int = 0
    rate: float = 0.0
    age: float | None = None
    timestamp: Timestamp | None = None


class _Count:
    __slots__ = ("dropped", "last", "rate", "received", "received_bytes", "sent", "sent_bytes", "timestamp")

    def __init__(self) -> None:
        self.received = self.received_bytes = self.sent = self.sent_bytes = self.dropped = 0
        self.rate = Rate()
        self.last: float | None = None
        self.timestamp: Timestamp | None = None


class DeviceCounts:
    """Counts of one peer, for each type and device. Messages that came are counted by one thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}

    def came(self, message: Message, size: int, at: float) -> None:
        """A message of ``size`` bytes has come."""
        count = self._of(message.type, message.device)
        count.received += 1
        count.received_bytes += size
        count.rate.add(at)
        count.last = at
        count.timestamp = message.timestamp

    def went(self, type_: str, device: str, size: int) -> None:
        """A message of ``size`` bytes was given to the socket, or waits for it."""
        count = self._of(type_, device)
        count.sent += 1
        count.sent_bytes += size

    def dropped(self, type_: str, device: str) -> None:
        """A message that waited gave way to a newer one; it is not counted as sent."""
        count = self._of(type_, device)
        count.sent -= 1
        count.dropped += 1

    def lines(self, peer: str) -> list[DeviceLine]:
        """All devices, in the order in which they were first seen."""
        now = time.monotonic()
        return [
            DeviceLine(
                type_,
                device,
                peer,
                count.received,
                count.received_bytes,
                count.sent,
                count.sent_bytes,
                count.dropped,
                round(count.rate.value(now), 2),
                None if count.last is None else now - count.last,
                count.timestamp,
            )
            for (type_, device), count in list(self._counts.items())
        ]

    def _of(self, type_: str, device: str) -> _Count:
        count = self._counts.get((type_, device))
        if count is None:
            if len(self._counts) >= MAX_DEVICES:
                type_ = device = "(further devices)"
            count = self._counts.setdefault((type_, device), _Count())
        return count
