"""What goes on: a retrieval, and files being sent, each on a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Final

from slicer_notebook.errors import DeadlineError
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.reports import Report
from slicer_notebook.pacs.retrieve import Retrieval
from slicer_notebook.pacs.storing import Sending, Stored
from slicer_notebook.pacs.work import Work

__all__ = ["Storing", "Transfer"]

#: Seconds between two looks at what is sent.
_EVERY: Final = 0.2

Begin = Callable[[Cancelled, threading.Event, Callable[[], None]], Retrieval]
"""Makes a retrieval: what it polls for a cancel, what is not set while it is paused, what it calls."""


class Transfer(Work[Report]):
    """A retrieval that goes on: wait for it (`result`), await it, watch it (`on_progress`), pause, cancel.

    Args:
        begin: makes the retrieval, on the transfer's thread.
        finish: given it at its end.
        server, folder: for the report, until there is one.
    """

    def __init__(
        self, begin: Begin, finish: Callable[[Retrieval], object], *, server: str = "", folder: str = ""
    ) -> None:
        self._retrieval: Retrieval | None = None
        self._last = Report(server=server, folder=folder)
        self._running = threading.Event()
        self._running.set()

        def run(cancelled: Cancelled, changed: Callable[[], None]) -> Report:
            retrieval = self._retrieval = begin(cancelled, self._running, changed)
            try:
                return retrieval.run()
            finally:
                self._last = retrieval.snapshot()
                finish(retrieval)

        super().__init__(run, "retrieve")

    @property
    def report(self) -> Report:
        """How far it is, series by series; at the end what came of it, whatever way it ended."""
        return self._last if self.done or self._retrieval is None else self._retrieval.snapshot()

    def pause(self) -> None:
        """Stop what is under way; `resume` goes on from there."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return not self._running.is_set()

    def __repr__(self) -> str:
        report = self.report
        expected = sum(each.expected or 0 for each in report.series)
        state = "ended" if self.done else "paused" if self.paused else "goes on"
        return f"<Transfer from {report.server!r}: {report.received} of {expected} instances, {state}>"


class Storing(Work[Stored]):
    """Files that are sent: wait for it (`result`), await it, watch it (`on_progress`), cancel."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        super().__init__(sending.run, "store")

    @property
    def report(self) -> Stored:
        """What became of the files so far; at the end of all, whatever way it ended."""
        return self._sending.snapshot()

    def follow(self, told: Callable[[float, str, list[int]], object], cancelled: Cancelled) -> Stored:
        """Wait for its result, and tell how far it is: as a fraction, in words, and [files, of how many].

        Raises:
            JobCancelledError: ``cancelled`` said so.
            SlicerNotebookError: whatever went wrong.
        """
        try:
            while not self.done:
                if cancelled():
                    self.cancel()
                else:
                    told(*self._how_far())
                with contextlib.suppress(DeadlineError):
                    self.result(_EVERY)
        except BaseException:
            self.cancel()
            raise
        return self.result(0)

    def _how_far(self) -> tuple[float, str, list[int]]:
        report = self.report
        done, count = len(report.files), report.count
        waiting = report.awaiting and done == count
        words = "waiting for the PACS to commit itself" if waiting else f"{done} of {count} files"
        return done / max(1, count), words, [done, count]

    def __repr__(self) -> str:
        report = self.report
        return f"<Storing at {report.server!r}: {len(report.files)} of {report.count} files>"
