"""Jobs: progress, result, errors, await."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import slicer_notebook as sn
from slicer_notebook import errors
from tests.session.conformance.cases import case, refused


@case
def jobs_report_progress_and_result(slicer: Any, _: Path) -> None:
    def work(n: int) -> int:
        import time

        for i in range(n):
            progress(i / n, f"step {i}")  # type: ignore[name-defined]  # noqa: F821 - given there
            time.sleep(0.06)
        return n * n

    seen: list[float] = []
    function = slicer.function(work)
    job = function.submit(3) if "slicer_core" not in sys.modules else slicer.submit(function, 3)
    whole = threading.Event()

    def note(j: sn.Job[Any]) -> None:
        seen.append(j.progress)
        if j.progress == 1.0:
            whole.set()

    job.on_progress(note)
    assert job.result(20) == 9
    assert job.done
    assert not job.cancelled
    assert job.exception() is None
    assert "done" in repr(job)
    if "slicer_core" not in sys.modules:
        # Callbacks have a thread of their own, which may come later than the result.
        assert whole.wait(20)
        assert seen == sorted(seen)


@case
def jobs_fail_with_their_error(slicer: Any, _: Path) -> None:
    def bad() -> None:
        raise ValueError("no good")

    job = slicer.submit(bad)
    assert isinstance(job.exception(20), errors.RemoteError)
    with refused(errors.RemoteError, "no good"):
        job.result(20)
    called: list[Any] = []
    job.add_done_callback(called.append)
    assert called == [job]


@case
def jobs_are_awaitable(slicer: Any, _: Path) -> None:
    import asyncio
    import threading

    answers: list[Any] = []

    async def both() -> list[Any]:
        return list(await asyncio.gather(slicer.submit("session.info"), slicer.submit("view.names")))

    # A loop of its own thread: in Slicer itself this thread has one already.
    def on_thread() -> None:
        answers.extend(asyncio.run(both()))

    thread = threading.Thread(target=on_thread)
    thread.start()
    while thread.is_alive():
        slicer.call("session.ping")
        thread.join(0.01)
    assert answers[0]["python"]
    assert "Red" in answers[1]


@case
def submit_refuses_nonsense(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "cannot be submitted"):
        slicer.submit(3)
    with refused(errors.ArgumentError, "positional"):
        slicer.submit("session.ping", 1)
