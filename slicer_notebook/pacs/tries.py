"""Which way to try next for one series, in which form, and how long to go on. Pure: no clock of its own, no waiting.

A way is left for the next one when it cannot do it, or after some tries in a row that brought nothing. While the PACS
is away all ways are kept, in turn, for as long as patience lasts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, NamedTuple

from slicer_notebook.pacs.model import Way, WayFailedError
from slicer_notebook.pacs.patience import PAUSES, away, hopeless, silent

__all__ = ["TRIES", "Form", "Next", "Tries"]

Form = Literal["whole", "instances"]
"""A series as a whole, or its instances by their UIDs."""

#: Tries in a row that bring nothing, before a way is left.
TRIES: Final = 3
#: The same where each of them waited for an answer that did not come.
_SILENT_TRIES: Final = 2
#: Tries that count as progress though nobody knows how much is missing: a peer may send new things for ever.
_BLIND_TRIES: Final = 50


class Next(NamedTuple):
    """What comes of a try."""

    #: seconds to wait before the next one
    pause: float
    #: to be said
    reasons: list[str]
    #: the way that was left for good because it never will do
    refused: Way | None = None
    #: whether the last way was given up because the PACS is away
    gone: bool = False


class _Left:
    """A way that is not given up."""

    def __init__(self, way: Way) -> None:
        self.way = way
        #: tries in a row that brought nothing
        self.vain = 0
        #: forms that it cannot do
        self.unfit: set[Form] = set()


class Tries:
    """See the module.

    Args:
        ways: the one to try first in front.
        patience: seconds that the PACS may be away.
        clock: seconds.
    """

    def __init__(
        self, ways: Sequence[Way], patience: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ways = deque(_Left(way) for way in ways)
        self._patience = patience
        self._clock = clock
        #: since when it is away; None: it is not, or nobody knows
        self._since: float | None = None
        self._pauses = 0
        self._blind = 0

    @property
    def way(self) -> Way | None:
        """The way to try next; None when all are given up."""
        return self._ways[0].way if self._ways else None

    def form(self, wanted: Form, possible: Collection[Form]) -> Form | None:
        """How to ask: as wanted, unless this way cannot, or has just tried so in vain. None: it can neither."""
        current = self._ways[0]
        usable = [each for each in sorted(possible, key=lambda each: each != wanted) if each not in current.unfit]
        return usable[current.vain % len(usable)] if usable else None

    def unfit(self, why: str) -> Next:
        """The present way can do nothing that is wanted."""
        return self._leave([f"{self._ways[0].way.name}: {why}"] if why else [])

    def counts_as_progress(self, lacking: tuple[int | None, int | None], here: tuple[int, int]) -> bool:
        """Whether a try brought something: numbers of instances that are missing (None: unknown), and that are here.

        Args:
            lacking, here: before and after.
        """
        if None not in lacking and lacking[0]:
            return (lacking[1] or 0) < lacking[0]
        if here[1] <= here[0]:
            return False
        self._blind += 1
        return self._blind <= _BLIND_TRIES

    def ended(self, form: Form, *, progress: bool, failure: WayFailedError | None) -> Next:
        """A try has ended: well, or with a failure."""
        current = self._ways[0]
        reasons = [f"{current.way.name}: {failure.reason}"] if failure is not None else []
        if progress:
            current.vain, self._since, self._pauses = 0, None, 0
            return Next(0.0, reasons)
        if failure is not None and not failure.again:
            if hopeless(failure.error):
                return self._leave(reasons, refused=True)
            current.unfit.add(form)
            return Next(0.0, reasons)
        if failure is not None and away(failure.error):
            return self._away(reasons)
        current.vain += 1
        if current.vain >= (_SILENT_TRIES if failure is not None and silent(failure.error) else TRIES):
            return self._leave(reasons or [f"{current.way.name}: it says that all was sent, and not all came"])
        return Next(PAUSES[min(current.vain, len(PAUSES)) - 1], reasons)

    def _away(self, reasons: list[str]) -> Next:
        now = self._clock()
        if self._since is None:
            self._since = now
        if now - self._since >= self._patience:
            return self._leave(reasons)._replace(gone=not self._ways)
        self._pauses += 1
        if self._pauses % TRIES == 0 and len(self._ways) > 1:
            former = self._ways[0].way.name
            self._ways.rotate(-1)
            reasons = [*reasons, f"{self._ways[0].way.name} instead of {former}"]
        return Next(PAUSES[min(self._pauses, len(PAUSES)) - 1], reasons)

    def _leave(self, reasons: list[str], *, refused: bool = False) -> Next:
        left = self._ways.popleft().way
        if self._ways:
            reasons = [*reasons, f"{self._ways[0].way.name} instead of {left.name}"]
        return Next(0.0, reasons, left if refused else None)
