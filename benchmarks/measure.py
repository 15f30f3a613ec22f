"""Ratios of times. A machine that does other things too makes every time wrong, but a ratio of neighbours less so."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row", "Times", "interleave", "median_of", "timed"]

#: Runs something once and tells how long it took, in seconds; what it sets up and clears away is not counted.
Contender = Callable[[], float]

#: Seconds of each contender, round by round.
Times = dict[str, list[float]]


def timed(function: Callable[[], object]) -> Contender:
    """``function`` as a contender, its result thrown away after the clock has stopped."""

    def run() -> float:
        started = time.perf_counter()
        result = function()
        seconds = time.perf_counter() - started
        del result
        return seconds

    return run


def median_of(count: int, contender: Contender) -> Contender:
    """The median of ``count`` runs as one, for what takes so short that a single time says little."""
    return lambda: statistics.median(contender() for _ in range(count))


def interleave(
    contenders: Mapping[str, Contender],
    rounds: int,
    *,
    warm_up: int = 1,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Times:
    """Run the contenders A B C, A B C, ...; the times of each.

    Args:
        rounds: rounds that count.
        warm_up: rounds before them that do not.
        report: called with (rounds done, all rounds).
    """
    times: Times = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        report(number, warm_up + rounds)
        for name, contender in contenders.items():
            seconds = contender()
            if number >= warm_up:
                times[name].append(seconds)
    report(warm_up + rounds, warm_up + rounds)
    return times


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        group: the benchmark's name.
        what: what the library did.
        peer: what it is compared with.
        ours: seconds of each round, or another `unit`.
        theirs: the same of the peer in the same rounds.
        at_most: the largest ratio that is good; None where there is no target.
        unit: "s", or "MB" for memory.
    """

    group: str
    what: str
    peer: str
    ours: Sequence[float]
    theirs: Sequence[float]
    at_most: float | None = None
    unit: str = "s"

    @property
    def ratios(self) -> list[float]:
        """Ours over the peer's, round by round."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.at_most is None else self.ratio <= self.at_most

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with what was computed."""
        return asdict(self) | {
            "ratio": self.ratio,
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "ours_median": statistics.median(self.ours),
            "theirs_median": statistics.median(self.theirs),
            "met": self.met,
        }
