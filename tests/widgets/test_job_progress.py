"""A job's bar."""

from __future__ import annotations

import threading
from typing import Any

import slicer_notebook as sn
from slicer_notebook.errors import JobCancelledError, SeriesRefusedError
from slicer_notebook.session import Job
from slicer_notebook.widgets import JobProgress
from tests.widgets.waiting import wait_until


def job(**kwargs: Any) -> Job[Any]:
    return Job("dicom.index", cancel=kwargs.pop("cancel", lambda: None), **kwargs)


def test_it_follows_the_progress_to_the_end() -> None:
    running = job()
    bar = JobProgress(running)
    assert (bar._job["state"], bar._job["progress"]) == ("running", -1.0)
    running.deliver_progress(0.25, "10 of 40 files", None)
    assert (bar._job["progress"], bar._job["text"]) == (0.25, "10 of 40 files")
    running.deliver("what came", None, seconds=1.5)
    assert (bar._job["state"], bar._job["progress"], bar._job["seconds"]) == ("done", 1.0, 1.5)


def test_a_stream_of_progress_is_a_few_messages_and_the_end_is_never_left_out() -> None:
    running = job()
    bar = JobProgress(running)
    seen: list[Any] = []
    bar.observe(lambda change: seen.append(change.new), "_job")
    for step in range(1000):
        running.deliver_progress(step / 1000, f"{step}", None)
    running.deliver(None, None)
    assert len(seen) < 50
    assert seen[-1]["state"] == "done"


def test_cancel_is_told_at_once_and_its_end_when_it_comes() -> None:
    asked = threading.Event()
    running = job(cancel=asked.set)
    bar = JobProgress(running)
    bar._handle_custom_msg({"type": "cancel"}, [])
    assert asked.is_set()
    assert bar._job["state"] == "cancelling"
    running.deliver_progress(0.5, "still at it", None)
    assert bar._job["state"] == "cancelling"
    running.deliver(None, JobCancelledError("stopped"))
    assert bar._job["state"] == "cancelled"
    bar._handle_custom_msg({"type": "cancel"}, [])
    assert bar._job["state"] == "cancelled"


def test_a_failure_is_said_with_what_to_do() -> None:
    running = job()
    bar = JobProgress(running)
    running.deliver(None, SeriesRefusedError("No volume.", got="a report", hint="choose another"))
    assert bar._job["state"] == "failed"
    assert bar._job["error"] == {
        "message": "No volume. (a report)",
        "hint": "choose another",
        "kind": "SeriesRefusedError",
    }
    assert "No volume." in bar._repr_mimebundle_()[0]["text/html"]


def test_a_job_that_is_done_already_shows_its_end() -> None:
    ended = job()
    ended.deliver(3, None, seconds=0.5)
    assert JobProgress(ended)._job["state"] == "done"


def test_cancelling_a_real_command_stops_it(slicer: sn.Session) -> None:
    running = slicer.submit("code.run", code="import time\nwhile True: time.sleep(0.01)")
    bar = JobProgress(running)
    bar._handle_custom_msg({"type": "cancel"}, [])
    wait_until(bar, lambda: bar._job["state"] == "cancelled", "the end")
    assert slicer.eval("2 + 2") == 4
