"""What came from each OpenIGTLink device and went to it: counted, with rates, in words.

An entry of a device is a dictionary: ``id``; ``connection``: id of the connection; ``peer``: its address; ``device``,
``type`` and ``direction`` ("in" or "out"); ``count``: messages; ``shown``: of them, those that became the node (the
others were overtaken by newer ones); ``rate``: messages a second, lately; ``last``: the last message in words; ``at``:
when it was there, seconds since the epoch; ``delay``: milliseconds from the socket to the node, the median of the last
ones, None without any; ``node``: a reference, None without one; ``problem``: what was wrong the last time, "" if
nothing was; ``problems``: how often something was.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slicer_notebook.commands.igtl_words import in_words
from slicer_notebook.igtl.message import Message
from slicer_notebook.protocol.values import NodeRef

__all__ = ["DeviceEntry"]

#: Seconds over which a rate is taken.
_RATE_OVER: Final = 2.0
#: and at least: the first message of a device makes no rate of thousands.
_RATE_OVER_LEAST: Final = 0.2
#: Delays of which the median is told.
_DELAYS: Final = 1000


@dataclass
class DeviceEntry:
    """One type of message of one device, in one direction. Counted on the connection's threads."""

    id: int
    connection: int
    peer: str
    device: str
    type: str
    direction: Literal["in", "out"]
    count: int = 0
    shown: int = 0
    #: the last message, until it is told of: it may hold a whole volume
    last: Message | None = None
    words: str = ""
    at: float = 0.0
    node: NodeRef | None = None
    problem: str = ""
    problems: int = 0
    #: nanoseconds; written on the main thread
    delays: deque[int] = field(default_factory=lambda: deque(maxlen=_DELAYS))
    #: (moment, count)
    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque([(time.monotonic(), 0)]))

    def counted(self, message: Message) -> None:
        """A message came, or went."""
        self.count += 1
        self.last = message
        self.at = time.time()

    def failed(self, problem: str) -> None:
        """A message was of no use."""
        self.problem = problem
        self.problems += 1

    def became(self, node: NodeRef, nanoseconds: int) -> None:
        """The latest message is in the scene."""
        if node != self.node:
            self.node = node
        self.shown += 1
        self.problem = ""
        self.delays.append(nanoseconds)

    def sample(self) -> bool:
        """Look how many there are now, for the rate; whether anything has changed lately. On one thread only."""
        now = time.monotonic()
        self._samples.append((now, self.count))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_OVER:
            self._samples.popleft()
        return self.rate > 0

    @property
    def rate(self) -> float:
        """Messages a second, lately."""
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return (last - first) / max(ended - began, _RATE_OVER_LEAST)

    def plain(self) -> dict[str, Any]:
        """What notebooks are told."""
        delays = self.delays.copy()
        last, self.last = self.last, None
        if last is not None:
            self.words = in_words(last)
        return {
            "id": self.id,
            "connection": self.connection,
            "peer": self.peer,
            "device": self.device,
            "type": self.type,
            "direction": self.direction,
            "count": self.count,
            "shown": self.shown,
            "rate": round(self.rate, 2),
            "last": self.words,
            "at": self.at,
            "delay": round(statistics.median(delays) / 1e6, 3) if delays else None,
            "node": self.node,
            "problem": self.problem,
            "problems": self.problems,
        }
