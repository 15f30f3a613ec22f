"""Indexing a folder from a widget: how far it is, a cancel, what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from slicer_notebook.dicom.records import IndexSummary
from slicer_notebook.errors import JobCancelledError, SlicerNotebookError, error_in_words
from slicer_notebook.session import Job, Session

__all__ = ["Indexing"]


class Indexing:
    """One folder at a time.

    Args:
        session: where the folder is and Slicer runs.
        ask: begins a command about the index.
        tell: told of each change, on any thread: ``state`` is running, done, cancelled or failed; ``progress`` 0 to 1,
            below 0 while unknown; ``text`` what it is at, or what came of it; ``hint`` what to do.
    """

    def __init__(
        self, session: Session, ask: Callable[..., Job[Any] | None], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._session = session
        self._ask = ask
        self._tell = tell
        self._lock = threading.Lock()
        self._job: Job[Any] | None = None
        self._last: dict[str, Any] = {}

    def start(self, folder: str) -> None:
        """Begin, unless a folder is being indexed."""
        with self._lock:
            if self._job is not None and not self._job.done:
                return
        try:
            path = self._session.path(folder.strip())
        except SlicerNotebookError as exc:
            self._say("failed", -1.0, **_words(exc))
            return
        self._say("running", -1.0, f"Looking through {path}")
        job = self._ask("dicom.index", self._ended, paths=[path])
        with self._lock:
            self._job = job
        if job is not None:
            job.on_progress(self._progress)

    def cancel(self) -> None:
        """Stop. What was read until then is in the index."""
        with self._lock:
            job = self._job
        if job is not None:
            job.cancel()

    def again(self) -> None:
        """Tell the last state: a view is new."""
        if self._last.get("state") == "running":
            self._tell(self._last)

    def _progress(self, job: Job[Any]) -> None:
        if not job.done:
            self._say("running", job.progress, job.text)

    def _ended(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is None:
            self._say("done", 1.0, summary_in_words(msgspec.convert(job.result(0), IndexSummary)))
        elif isinstance(error, JobCancelledError):
            self._say("cancelled", -1.0, "Stopped. What was read until then is in the index.")
        else:
            self._say("failed", -1.0, **_words(error))

    def _say(self, state: str, progress: float, text: str, hint: str = "") -> None:
        self._last = {"type": "indexing", "state": state, "progress": progress, "text": text, "hint": hint}
        self._tell(self._last)


def _words(error: BaseException) -> dict[str, str]:
    words = error_in_words(error)
    return {"text": words["message"], "hint": words["hint"]}


def summary_in_words(summary: IndexSummary) -> str:
    """What was found, in a line."""

    def count(number: int, one: str, many: str) -> str:
        return f"{number:,} {one if number == 1 else many}"

    found = [
        count(summary.studies, "study", "studies"),
        f"{summary.series:,} series",
        count(summary.instances, "image", "images"),
    ]
    left = f"; {count(len(summary.skipped), 'file', 'files')} passed over" if summary.skipped else ""
    news = "" if summary.added else "; nothing new"
    return f"Found {', '.join(found)}{left}{news}."
