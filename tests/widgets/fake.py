"""Jobs that end when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer_notebook.session import Job

__all__ = ["Asked"]


class Asked:
    """Stands in for a Slicer: keeps the jobs that were begun, for the test to end."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, dict[str, Any], Job[Any]]] = []
        self.cancelled: list[int] = []
        self.gone = False

    def __call__(self, command: str, then: Callable[[Job[Any]], None], **args: Any) -> Job[Any] | None:
        if self.gone:
            return None
        number = len(self.jobs)
        job: Job[Any] = Job(command, cancel=lambda: self.cancelled.append(number))
        self.jobs.append((command, args, job))
        job.add_done_callback(then)
        return job

    def answer(self, number: int, result: Any = None, error: BaseException | None = None) -> None:
        """End a job."""
        self.jobs[number][2].deliver(result, error)
