"""A job as a bar: how far it is, what it is at, a button that cancels it."""

from __future__ import annotations

import contextlib
import html
import threading
import time
import uuid
from typing import Any, Literal

import traitlets as t

from slicer_notebook.errors import DeadlineError, JobCancelledError
from slicer_notebook.session import Job
from slicer_notebook.session.output import Output, in_notebook, show
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import HeardWidget, error_in_words

__all__ = ["JobProgress"]

#: Seconds between two messages to the browser, at least.
_EVERY = 0.1

#: Seconds that the display waits for the end: what is done sooner is shown as done, in a saved notebook too.
_SETTLE = 0.2

#: The bar without a script, looking like job_progress.css makes it.
_STATIC = """\
<div class="sn-job-static" data-state="{state}" style="padding:6px 0;font-size:13px;line-height:1.45">
<div style="display:flex;gap:12px;align-items:center;min-height:30px">
<div style="flex:1 1 120px;max-width:260px;height:6px;border-radius:3px;overflow:hidden;background:#8884">
<div style="height:100%;width:{width}%;border-radius:3px;background:{color}"></div></div>
<span>{text}</span><span style="opacity:.7">{facts}</span></div>{said}</div>"""

_COLORS = {
    "running": "var(--jp-brand-color1, #1976d2)",
    "done": "var(--jp-success-color1, #388e3c)",
    "cancelled": "var(--jp-border-color1, #bdbdbd)",
    "failed": "var(--jp-error-color1, #d32f2f)",
}


class JobProgress(HeardWidget):
    """A job's progress. ``job`` as the last expression of a cell shows one.

    Args:
        job: the job.
    """

    _esm = assets.esm("job_progress", "sign_in")
    _css = assets.css("job_progress", "sign_in")

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
            "sign_in": job.sign_in,
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
            # Whoever is to sign in waits for this one.
            if now - self._last < _EVERY and job.sign_in == self._job["sign_in"]:
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
        return {**data, **self._static()}, metadata

    def _static(self) -> dict[str, str]:
        """The job as it is, without a script: ``text/plain`` and ``text/html``."""
        words = self._words(self.job)
        said = words["error"].get("message") or (words["text"] if words["state"] == "running" else "")
        facts = f"{words['command']} \u00b7 {words['seconds']:.1f} s"
        page = _STATIC.format(
            width=round(100 * max(0.0, words["progress"])),
            color=_COLORS[words["state"]],
            state=words["state"],
            text=html.escape(words["state"].capitalize()),
            facts=html.escape(facts),
            said=f'<div style="margin-top:4px">{html.escape(said)} {html.escape(words["error"].get("hint", ""))}</div>'
            if said
            else "",
        )
        return {"text/plain": repr(self.job), "text/html": page}

    def _ipython_display_(self) -> None:
        """Show the bar; when the job is done, a picture of it takes its place, which a saved notebook keeps."""
        if not in_notebook():
            print(repr(self.job))  # noqa: T201 - a terminal shows no widget
            return
        with contextlib.suppress(DeadlineError):
            self.job.exception(_SETTLE)
        display_id = uuid.uuid4().hex
        if self.job.done:
            self._publish("display_data", display_id, (self._static(), {}))
            return
        self._publish("display_data", display_id, self._repr_mimebundle_())
        self.job.add_done_callback(lambda _job: self._publish("update_display_data", display_id, (self._static(), {})))

    @staticmethod
    def _publish(kind: Literal["display_data", "update_display_data"], display_id: str, bundle: Any) -> None:
        data, metadata = bundle
        show(Output(kind, {"data": data, "metadata": metadata, "transient": {"display_id": display_id}}))

    def __repr__(self) -> str:
        return f"<JobProgress of {self.job!r}>"
