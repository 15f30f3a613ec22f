"""A progress bar for a call that waits, in the cell.

Plain HTML, so that it needs no widget and no second thread's luck.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slicer_notebook.session.job import Job
from slicer_notebook.session.output import in_notebook, in_this_cell

__all__ = ["shown"]

#: Seconds before a bar appears: what is done sooner needs none.
_AFTER = 0.5
#: Seconds between two pictures of the bar.
_EVERY = 0.2


@contextmanager
def shown(job: Job[Any]) -> Iterator[None]:
    """Show a bar while the block waits for ``job``, in a notebook; nothing elsewhere. It is gone afterwards."""
    if not in_notebook():
        yield
        return
    from IPython.display import HTML, display

    started = time.monotonic()
    state: dict[str, Any] = {"handle": None, "last": 0.0, "ended": False}
    lock = threading.Lock()

    def update(running: Job[Any]) -> None:
        now = time.monotonic()
        with lock:
            if state["ended"] or now - started < _AFTER or now - state["last"] < _EVERY or running.done:
                return
            state["last"] = now
            picture = HTML(_bar(running))
            if state["handle"] is None:
                state["handle"] = display(picture, display_id=True)
            else:
                state["handle"].update(picture)

    job.on_progress(in_this_cell(update))
    try:
        yield
    finally:
        with lock:
            state["ended"] = True
            if state["handle"] is not None:
                state["handle"].update(HTML(""))


def _bar(job: Job[Any]) -> str:
    value = f'value="{max(0.0, min(1.0, job.progress)):.3f}"' if job.progress >= 0 else ""
    return (
        '<div style="font:12px sans-serif;display:flex;gap:8px;align-items:center">'
        f'<progress max="1" {value} style="width:240px"></progress><span>{html.escape(job.text[-100:])}</span></div>'
    )
