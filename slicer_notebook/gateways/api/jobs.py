"""Commands that go on while their client does something else: what they are at, and what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Literal

from slicer_notebook.errors import JobCancelledError, SlicerNotebookError
from slicer_notebook.gateways.api.failures import HttpError, described
from slicer_notebook.gateways.api.results import json_of, nbytes_of

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Asked

__all__ = ["Job", "Jobs", "State"]

State = Literal["running", "done", "failed", "cancelled"]

#: Commands at a time, of all clients: each may hold the arguments and the result of one volume.
MOST_RUNNING: Final = 32
#: Jobs that have ended and are kept, and for how long, seconds.
MOST_ENDED: Final = 100
KEPT_SECONDS: Final = 900.0
#: Bytes of results that are kept; the oldest are given up first.
MOST_BYTES: Final = 1 << 30


class Job:
    """One command that somebody asked for. Touched on the server's thread only, but for `progress`."""

    def __init__(self, command: str, loop: asyncio.AbstractEventLoop) -> None:
        self.id = secrets.token_urlsafe(12)
        self.command = command
        self.state: State = "running"
        self.progress_made: dict[str, Any] = {"fraction": None, "text": "", "data": None}
        self.result: Any = None
        self.nbytes = 0
        #: whether the result is still here
        self.kept = True
        self.error: BaseException | None = None
        self.created = time.time()
        self.ended: float | None = None
        #: counts what happened to it
        self.version = 0
        self.asked: Asked | None = None
        self.over = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = loop
        self._latest: tuple[float, str, Any] | None = None
        self._lock = threading.Lock()

    def progress(self, fraction: float, text: str, data: Any) -> None:
        """How far the command is; on its own thread. Of several before the server looks, the latest counts."""
        with self._lock:
            waiting, self._latest = self._latest is not None, (fraction, text, data)
        if not waiting:
            with contextlib.suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._take_progress)

    def _take_progress(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None and self.ended is None:
            fraction, text, data = latest
            try:
                json_of(data)
            except (SlicerNotebookError, HttpError):
                data = None  # how far it is can be told without
            self.progress_made = {"fraction": fraction if 0 <= fraction <= 1 else None, "text": text, "data": data}
            self._tell()

    def end(self, result: Any, error: BaseException | None) -> None:
        """It is over."""
        self.result, self.error, self.ended = result, error, time.time()
        self.nbytes = nbytes_of(result)
        cancelled = isinstance(error, JobCancelledError)
        self.state = "cancelled" if cancelled else "done" if error is None else "failed"
        self.over.set()
        self._tell()

    def stop(self) -> None:
        """Cancel it, if it runs: it ends soon."""
        if self.asked is not None and self.ended is None:
            self.asked.stop()

    def _tell(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def plain(self, root: str) -> dict[str, Any]:
        """What a client is told of it; ``root``: of the API."""
        url = f"{root}/jobs/{self.id}"
        return {
            "id": self.id,
            "command": self.command,
            "state": self.state,
            "progress": self.progress_made,
            "error": described(self.error) if self.error is not None else None,
            "created": self.created,
            "ended": self.ended,
            "url": url,
            "events": f"{url}/events",
            "result": f"{url}/result" if self.state == "done" and self.kept else None,
        }

    async def changes(self, seen: int, heartbeat: float) -> AsyncIterator[bool]:
        """True for each change after the one of a number, several together as one; False when nothing happens for a
        while. Ends with the job."""
        while True:
            changed = self._changed
            if self.version != seen:
                seen = self.version
                yield True
                continue
            if self.ended is not None:
                return
            try:
                await asyncio.wait_for(changed.wait(), heartbeat)
            except TimeoutError:
                yield False


class Jobs:
    """All of one server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Keep it from now on.

        Raises:
            HttpError: there are too many at a time.
        """
        self.tidy()
        if sum(each.ended is None for each in self._jobs.values()) >= MOST_RUNNING:
            raise HttpError(429, "Too many commands run at this moment.", expected=f"{MOST_RUNNING} at most")
        self._jobs[job.id] = job

    def get(self, number: str) -> Job:
        """One by its id. Raises `HttpError` for one that is not there (any more)."""
        self.tidy()
        job = self._jobs.get(number)
        if job is None:
            raise HttpError(404, "There is no such job, or it ended long ago.", expected="an id of GET /api/v1/jobs")
        return job

    def forget(self, job: Job) -> None:
        """Nobody will ask for it."""
        self._jobs.pop(job.id, None)

    def all(self) -> list[Job]:
        """Oldest first."""
        self.tidy()
        return list(self._jobs.values())

    def tidy(self) -> None:
        """Forget what ended long ago, and results where they are too much."""
        ended = [job for job in self._jobs.values() if job.ended is not None]
        ended.sort(key=lambda job: job.ended or 0.0)
        now = time.time()
        for number, job in enumerate(ended):
            if len(ended) - number > MOST_ENDED or now - (job.ended or 0.0) > KEPT_SECONDS:
                self.forget(job)
        left = MOST_BYTES
        for job in reversed(ended):
            left -= job.nbytes
            if left < 0 and job is not ended[-1]:
                job.result, job.kept, job.nbytes = None, False, 0

    def close(self) -> None:
        """Cancel what runs."""
        for job in list(self._jobs.values()):
            job.stop()
