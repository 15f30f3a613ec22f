"""Loading several series one after the other, without anybody who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from slicer_notebook.errors import JobCancelledError
from slicer_notebook.session import Job, Volume, VolumeSequence
from slicer_notebook.session.dicom import handles_of

__all__ = ["Loading", "LoadingState"]

#: Begins to load a series; calls back when it is done. None when there is no Slicer to ask.
Ask = Callable[[str, Callable[[Job[Any]], None]], "Job[Any] | None"]


@dataclass
class LoadingState:
    """How far it is.

    Attributes:
        series: UID of the series under way; "" when none is.
        position: which one it is, from 0.
        total: how many there are.
        progress: of this series, 0 to 1; below 0 while unknown.
        text: what it is at, in words.
        cancelling: a cancel was asked for.
        volumes: what was loaded: volumes, sequences, images.
        errors: by series: what went wrong.
        warnings: what is not as one would think, in words.
        done: nothing more will come.
        cancelled: it ended by a cancel.
    """

    series: str = ""
    position: int = 0
    total: int = 0
    progress: float = -1.0
    text: str = ""
    cancelling: bool = False
    volumes: list[Volume | VolumeSequence] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    done: bool = False
    cancelled: bool = False


class Loading:
    """One press of the button.

    Args:
        series: UIDs, in the order in which they are loaded.
        ask: begins one.
        changed: told of each change, on any thread.
    """

    def __init__(self, series: Sequence[str], ask: Ask, changed: Callable[[LoadingState], None]) -> None:
        self._series = list(series)
        self._ask = ask
        self._changed = changed
        self._lock = threading.RLock()
        self._job: Job[Any] | None = None
        self.state = LoadingState(total=len(self._series))

    def start(self) -> None:
        """Begin with the first."""
        self._next(0)

    def cancel(self) -> None:
        """Stop the one under way, and load no further one. What is in the scene stays."""
        with self._lock:
            if self.state.done or self.state.cancelling:
                return
            self.state.cancelling = True
            job = self._job
        self._changed(self.state)
        if job is not None:
            job.cancel()

    def lost(self) -> None:
        """There is no Slicer any more; the job under way tells it by its own error."""
        with self._lock:
            self.state.cancelling = True

    def _next(self, position: int) -> None:
        with self._lock:
            state = self.state
            if position >= len(self._series) or state.cancelling:
                state.done, state.series, state.position = True, "", position
                state.cancelled = state.cancelling and position < len(self._series)
                self._job = None
            else:
                state.series, state.position, state.progress, state.text = self._series[position], position, -1.0, ""
        self._changed(self.state)
        if self.state.done:
            return
        uid = self._series[position]
        job = self._ask(uid, lambda finished: self._finished(position, uid, finished))
        if job is None:
            with self._lock:
                self.state.cancelling = True
            self._next(position)
            return
        with self._lock:
            self._job = job
            late_cancel = self.state.cancelling
        if late_cancel:
            job.cancel()
        job.on_progress(lambda running: self._progress(uid, running))

    def _progress(self, uid: str, job: Job[Any]) -> None:
        with self._lock:
            if job.done or self.state.series != uid:
                return
            self.state.progress, self.state.text = job.progress, job.text
        self._changed(self.state)

    def _finished(self, position: int, uid: str, job: Job[Any]) -> None:
        error = job.exception(0)
        with self._lock:
            if error is None:
                found = job.result(0)
                self.state.volumes += handles_of(found)
                self.state.warnings += found["warnings"]
            elif isinstance(error, JobCancelledError):
                self.state.cancelling = True
            else:
                self.state.errors[uid] = error
        self._next(position if isinstance(error, JobCancelledError) else position + 1)
