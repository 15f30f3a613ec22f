"""What a command body can ask about its own run: report progress, notice a cancel, hop to the main thread."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from slicer_notebook import errors

T = TypeVar("T")

#: Seconds between two looks for a cancel while the main thread is at something else.
_LOOK_EVERY: Final = 0.1


class JobContext:
    """One run of one command.

    Args:
        report: called with (fraction 0..1 or below 0, text, data).
        submit: has a callable run on Slicer's main thread; the future of its result.
    """

    def __init__(
        self,
        report: Callable[[float, str, Any], None] | None = None,
        submit: Callable[[Callable[[], Any]], Future[Any]] | None = None,
    ) -> None:
        self.cancelled = threading.Event()
        self._report = report
        self._submit = submit

    def another(self, report: Callable[[float, str, Any], None]) -> JobContext:
        """A context for work of its own that goes on when this run has ended."""
        return JobContext(report, self._submit)

    @property
    def to_main(self) -> Callable[[Callable[[], Any]], Future[Any]] | None:
        """Has something run on Slicer's main thread, soon, and gives its future; None outside of a Slicer.

        From any thread, also when this run has ended: for what goes on by itself, and is not to wait.
        """
        return self._submit

    def progress(self, fraction: float, text: str = "", data: Any = None) -> None:
        """Tell how far the run is; raises when it was cancelled.

        Args:
            fraction: 0 to 1, or below 0 when unknown.

        Raises:
            JobCancelledError: the run was cancelled.
        """
        self.check()
        if self._report is not None:
            self._report(fraction, text, data)

    def check(self) -> None:
        """Raises `JobCancelledError` when the run was cancelled."""
        if self.cancelled.is_set():
            raise errors.JobCancelledError("The job was cancelled.")

    def on_main(self, function: Callable[[], T]) -> T:
        """Run ``function`` on Slicer's main thread (MRML, VTK and Qt are touched there only).

        Raises:
            JobCancelledError: the run was cancelled while the main thread was at something else.
        """
        if self._submit is None:
            return function()
        result: T = self._when_free(self._submit, function)
        return result

    def _when_free(self, submit: Callable[[Callable[[], Any]], Future[Any]], function: Callable[[], Any]) -> Any:
        # A busy main thread keeps what it was given: not the function, which holds the voxels of a whole series.
        given = [function]
        del function

        def take_and_run() -> Any:
            return given.pop()()

        future = submit(take_and_run)
        while not future.done():
            wait([future], timeout=_LOOK_EVERY)
            # What has begun there is left to end: nobody knows what half of it would leave behind.
            if self.cancelled.is_set() and future.cancel():
                given.clear()
                self.check()
        return future.result()


_current: contextvars.ContextVar[JobContext | None] = contextvars.ContextVar("slicer_notebook_job", default=None)
_idle = JobContext()


def current() -> JobContext:
    """The context of the command that runs on this thread; a mute one outside any command."""
    return _current.get() or _idle


def progress(fraction: float, text: str = "") -> None:
    """`JobContext.progress` of the running command. For functions that run in Slicer."""
    current().progress(fraction, text)


@contextmanager
def running(context: JobContext) -> Iterator[JobContext]:
    """Make ``context`` the current one for a block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
