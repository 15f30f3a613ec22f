"""The configured PACS as a form shows them, and what the doctor says of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from slicer_notebook.errors import JobCancelledError, error_in_words
from slicer_notebook.pacs.server import shown_url
from slicer_notebook.session import Job

__all__ = ["Servers"]


class Servers:
    """The PACS that can be asked from where Slicer runs.

    Args:
        ask: begins a command.
        changed: told when they are known anew, or could not be read; on any thread.
        examined: told what the doctor is at, or has found, as the browser shows it; on any thread.
    """

    def __init__(
        self,
        ask: Callable[..., Job[Any] | None],
        changed: Callable[[], None],
        examined: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ask = ask
        self._changed = changed
        self._examined = examined
        self._lock = threading.RLock()
        self._jobs: dict[str, Job[Any]] = {}
        self._last: dict[str, dict[str, Any]] = {}
        #: Whether they were read; ``names`` in the configuration's order; why they could not be, in words.
        self.read = False
        self.names: list[str] = []
        self.problem: dict[str, str] = {}
        self._shown: list[dict[str, str]] = []

    def look(self) -> None:
        """Read the configuration."""
        self._ask("pacs.servers", self._came)

    def words(self) -> dict[str, Any]:
        """What the browser shows: of a server its name and address, nothing that is secret."""
        with self._lock:
            return {"read": self.read, "servers": list(self._shown), "problem": self.problem}

    def again(self) -> list[dict[str, Any]]:
        """What the doctor has said last, to a new view."""
        with self._lock:
            return list(self._last.values())

    def examine(self, server: str) -> None:
        """Send the doctor, unless it is there."""
        with self._lock:
            if server in self._jobs:
                return
        self._say(server, "running", text="Looking…")
        job = self._ask("pacs.test", lambda done: self._ended(server, done), server=server)
        if job is None:
            self._say(server, "failed", error={"message": "There is no Slicer to ask.", "hint": ""})
            return
        with self._lock:
            if not job.done:
                self._jobs[server] = job
        job.on_progress(lambda now: self._say(server, "running", text=now.text) if not now.done else None)

    def stop(self, server: str) -> None:
        """Call the doctor back."""
        with self._lock:
            job = self._jobs.get(server)
        if job is not None:
            job.cancel()

    def away(self, server: str) -> None:
        """What it said was read."""
        with self._lock:
            self._last.pop(server, None)

    def lost(self) -> None:
        """There is no Slicer any more."""
        with self._lock:
            self._jobs, self._last = {}, {}

    def _came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        with self._lock:
            self.read = True
            self.problem = error_in_words(error) if error is not None else {}
            if error is None:
                found = job.result(0)
                self.names = [each["name"] for each in found]
                self._shown = [{"name": each["name"], "url": shown_url(each["url"])} for each in found]
        self._changed()

    def _ended(self, server: str, job: Job[Any]) -> None:
        with self._lock:
            self._jobs.pop(server, None)
        error = job.exception(0)
        if error is None:
            self._say(server, "done", steps=job.result(0)["steps"])
        elif isinstance(error, JobCancelledError):
            self.away(server)
            self._examined({"server": server, "state": "stopped"})
        else:
            self._say(server, "failed", error=error_in_words(error))

    def _say(self, server: str, state: str, **words: Any) -> None:
        message = {"server": server, "state": state, **words}
        with self._lock:
            self._last[server] = message
        self._examined(message)
