"""A job as a bar: how far it is, what it is at, a button that cancels it."""

from __future__ import annotations

import contextlib
import html
import threading
import time
import uuid
from typing import Any, Literal

import anywidget
import traitlets as t

from slicer_notebook.errors import DeadlineError, JobCancelledError
from slicer_notebook.session import Job
from slicer_notebook.session.output import Output, in_notebook, show
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import error_in_words

__all__ = ["JobProgress"]

#: Seconds between two messages to the browser, at least.
_EVERY = 0.1

#: Seconds that the display waits for the end: what is done sooner is shown as done, in a saved notebook too.
_SETTLE = 0.2


class JobProgress(anywidget.AnyWidget):
    """A job's progress. ``job`` as the last expression of a cell shows one.

    Args:
        job: the job.
    """

    _esm = assets.esm("job_progress")
    _css = assets.css("job_progress")

    #: ``state`` is running, cancelling, done, cancelled or failed; ``progress`` 0 to 1, below 0 while unknown.
    _job = t.Dict().tag(sync=True)

    def __init__(self, job: Job[Any], **kwargs: Any) -> None:
        self.job = job
        self._lock = threading.Lock()
        self._last = -float("inf")
        self._began = time.monotonic()
        super().__init__(_job=self._words(job), **kwargs)
        self.on_msg(self._on_message)
        job.on_progress(self._progressed)
        job.add_done_callback(self._show)

    def _words(self, job: Job[Any]) -> dict[str, Any]:
        words: dict[str, Any] = {
            "command": job.command,
            "progress": job.progress,
            "text": job.text,
            "seconds": round(job.seconds or time.monotonic() - self._began, 1),
            "error": {},
        }
        if not job.done:
            return {**words, "state": "running"}
        error = job.exception(0)
        if error is None:
            return {**words, "state": "done", "progress": 1.0}
        if isinstance(error, JobCancelledError):
            return {**words, "state": "cancelled"}
        return {**words, "state": "failed", "error": error_in_words(error)}

    def _progressed(self, job: Job[Any]) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._last < _EVERY:
                return
            self._last = now
        self._show(job)

    def _show(self, job: Job[Any]) -> None:
        with self._lock:
            words = self._words(job)
            if words["state"] == "running" and self._job["state"] == "cancelling":
                words["state"] = "cancelling"
            self._job = words

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if "ask" in content:
            self.send({"type": "ack", "ask": content["ask"]})
        if content.get("type") == "cancel" and self.job.cancel():
            with self._lock:
                if self._job["state"] == "running":
                    self._job = {**self._job, "state": "cancelling"}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found = super()._repr_mimebundle_(**kwargs)
        if found is None:
            return None
        data, metadata = found
        words = self._words(self.job)
        said = words["error"].get("message") or (words["text"] if words["state"] == "running" else "")
        text = f"{words['command']}: {words['state']}{f', {said}' if said else ''} ({words['seconds']:.1f} s)"
        value = f' value="{max(0.0, words["progress"]):.3f}"' if words["progress"] >= 0 else ""
        page = f'<div style="font-size:12px"><progress max="1"{value}></progress> {html.escape(text)}</div>'
        return {**data, "text/plain": repr(self.job), "text/html": page}, metadata

    def _ipython_display_(self) -> None:
        if not in_notebook():
            print(repr(self.job))  # noqa: T201 - a terminal shows no widget
            return
        with contextlib.suppress(DeadlineError):
            self.job.exception(_SETTLE)
        display_id = uuid.uuid4().hex
        was_done = self.job.done
        self._publish("display_data", display_id)
        if not was_done:
            # The saved notebook says how it ended.
            self.job.add_done_callback(lambda _job: self._publish("update_display_data", display_id))

    def _publish(self, kind: Literal["display_data", "update_display_data"], display_id: str) -> None:
        data, metadata = self._repr_mimebundle_()
        show(Output(kind, {"data": data, "metadata": metadata, "transient": {"display_id": display_id}}))

    def __repr__(self) -> str:
        return f"<JobProgress of {self.job!r}>"
