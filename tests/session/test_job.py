"""Jobs: delivery, callbacks, waiting, awaiting. Pure, without Slicer."""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from slicer_notebook import errors
from slicer_notebook.session.job import Job
from slicer_notebook.session.output import Output

#: Seconds that anything here may take on a slow machine.
DEADLINE = 10.0


def make(**options: Any) -> Job[Any]:
    """A job that nobody works on; a cancel does nothing."""
    return Job("test.it", **{"cancel": lambda: None, **options})


def elsewhere(function: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


# -- the end -----------------------------------------------------------------------------------------------------


def test_a_result_is_delivered() -> None:
    job = make()
    assert not job.done
    job.deliver({"a": 1}, None, seconds=0.25)
    assert job.done
    assert not job.cancelled
    assert job.result() == {"a": 1}
    assert job.exception() is None
    assert job.seconds == 0.25


def test_an_error_is_delivered() -> None:
    job = make()
    error = errors.NodeNotFoundError("No such node.")
    job.deliver(None, error)
    with pytest.raises(errors.NodeNotFoundError, match="No such node"):
        job.result()
    assert job.exception() is error
    assert not job.cancelled


def test_a_second_end_is_ignored() -> None:
    job = make()
    ends: list[Job[Any]] = []
    job.add_done_callback(ends.append)
    job.deliver("first", None)
    job.deliver("second", errors.ConnectionLostError("gone"))
    assert job.result() == "first"
    assert ends == [job]


def test_the_result_is_converted_once_and_where_it_is_asked_for() -> None:
    threads: list[int] = []

    def convert(raw: int) -> list[int]:
        threads.append(threading.get_ident())
        return [raw]

    job = make(convert=convert)
    elsewhere(lambda: job.deliver(3, None)).join(DEADLINE)
    assert threads == []
    first = job.result()
    assert first == [3]
    assert job.result() is first
    assert threads == [threading.get_ident()]


def test_an_error_is_not_converted() -> None:
    converted: list[Any] = []
    job = make(convert=converted.append)
    job.deliver(None, errors.CommandError("failed"))
    assert job.exception() is not None
    assert converted == []


def test_a_waiting_thread_wakes_at_the_end() -> None:
    job = make()
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting = [elsewhere(lambda: found.put(job.result(DEADLINE))) for _ in range(3)]
    job.deliver(5, None)
    assert [found.get(timeout=DEADLINE) for _ in waiting] == [5, 5, 5]


@pytest.mark.parametrize("wait", [Job.result, Job.exception])
def test_a_wait_has_a_deadline(wait: Callable[[Job[Any], float], Any]) -> None:
    job = make()
    for timeout in (0.0, 0.01, -1.0):
        with pytest.raises(errors.DeadlineError, match=r"test\.it is not done") as caught:
            wait(job, timeout)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.hint is not None
    assert ".cancel()" in caught.value.hint
    job.deliver(1, None)
    assert job.result(0) == 1


# -- cancel ------------------------------------------------------------------------------------------------------


def test_a_cancel_asks_slicer_and_does_not_wait() -> None:
    asked: list[str] = []
    job = make(cancel=lambda: asked.append("cancel"))
    assert job.cancel()
    assert asked == ["cancel"]
    assert not job.done
    assert not job.cancelled
    job.deliver(None, errors.JobCancelledError("The job was cancelled."))
    assert job.cancelled
    with pytest.raises(errors.JobCancelledError):
        job.result()
    assert not job.cancel()
    assert asked == ["cancel"]


def test_a_cancel_that_comes_late_changes_nothing() -> None:
    job = make(cancel=lambda: pytest.fail("nothing is left to cancel"))
    job.deliver("done", None)
    assert not job.cancel()
    assert job.result() == "done"


def test_interrupting_the_wait_cancels() -> None:
    # Slicer confirms at once; without that the wait would go on for its grace.
    job = make(cancel=lambda: job.deliver(None, errors.JobCancelledError("interrupted")))
    output = Output("stream", {"name": "stdout", "text": ""})
    interrupting = make(show=lambda _: signal.raise_signal(signal.SIGINT), cancel=job.cancel)
    job.add_done_callback(lambda done: interrupting.deliver(None, done.exception()))
    interrupting.deliver_output(output)
    with pytest.raises(KeyboardInterrupt):
        interrupting.result(DEADLINE)
    assert interrupting.cancelled


# -- callbacks ---------------------------------------------------------------------------------------------------


def test_done_callbacks_are_called_once_in_order() -> None:
    called: list[str] = []
    job = make()
    job.add_done_callback(lambda j: called.append(f"first {j.result()}"))
    job.add_done_callback(lambda j: called.append(f"second {j.result()}"))
    assert called == []
    job.deliver(7, None)
    assert called == ["first 7", "second 7"]
    job.add_done_callback(lambda j: called.append("late"))
    assert called[2:] == ["late"]


def test_progress_callbacks_see_each_step_and_the_end() -> None:
    seen: list[tuple[float, str, Any, bool]] = []
    job = make()
    job.on_progress(lambda j: seen.append((j.progress, j.text, j.data, j.done)))
    job.deliver_progress(0.25, "one of four", [1, 4])
    job.deliver_progress(0.5, "two of four", [2, 4])
    job.deliver(None, None)
    assert seen[:2] == [(0.25, "one of four", [1, 4], False), (0.5, "two of four", [2, 4], False)]
    assert seen[-1] == (1.0, "two of four", [2, 4], True)


def test_progress_that_was_never_told_stays_unknown() -> None:
    job = make()
    job.deliver(None, None)
    assert job.progress == -1.0


def test_a_failed_job_s_progress_stays_where_it_was() -> None:
    job = make()
    job.deliver_progress(0.5, "half", None)
    job.deliver(None, errors.CommandError("failed"))
    assert job.progress == 0.5


def test_a_callback_that_fails_is_logged_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    called: list[Job[Any]] = []
    job = make()
    job.add_done_callback(lambda _: 1 / 0)
    job.add_done_callback(called.append)
    with caplog.at_level(logging.ERROR, "slicer_notebook"):
        job.deliver(None, None)
    assert called == [job]
    assert "ZeroDivisionError" in caplog.text
    assert "test.it" in caplog.text


def test_callbacks_are_posted_where_the_link_wants_them() -> None:
    posted: list[Callable[[], None]] = []
    called: list[str] = []
    job = make(post=posted.append)
    job.add_done_callback(lambda _: called.append("done"))
    job.on_progress(lambda _: called.append("progress"))
    job.deliver_progress(0.1, "", None)
    job.deliver(None, None)
    assert called == []
    for function in posted:
        function()
    assert called[0] == "progress"
    assert "done" in called[1:]


# -- output ------------------------------------------------------------------------------------------------------


def test_output_is_shown_by_the_thread_that_waits() -> None:
    shown: list[tuple[str, int]] = []
    job = make(show=lambda output: shown.append((output.content["text"], threading.get_ident())))

    def work() -> None:
        for text in "abc":
            job.deliver_output(Output("stream", {"text": text}))
        job.deliver(None, None)

    thread = elsewhere(work)
    job.result(DEADLINE)
    thread.join(DEADLINE)
    assert shown == [(text, threading.get_ident()) for text in "abc"]


def test_output_before_an_error_is_shown() -> None:
    shown: list[Output] = []
    job = make(show=shown.append)
    output = Output("stream", {"text": "last words"})
    job.deliver_output(output)
    job.deliver(None, errors.CommandError("failed"))
    with pytest.raises(errors.CommandError):
        job.result()
    assert shown == [output]
    with pytest.raises(errors.CommandError):
        job.result()
    assert shown == [output]


# -- waiting in Slicer itself ------------------------------------------------------------------------------------


def test_a_waiting_main_thread_does_the_main_thread_s_work() -> None:
    left: list[float | None] = []

    def pump(seconds: float | None) -> bool:
        left.append(seconds)
        if len(left) == 3:
            job.deliver("pumped", None)
        return True

    job = make(pump=pump)
    assert job.result() == "pumped"
    assert left == [None, None, None]


def test_a_pumping_wait_has_a_deadline_too() -> None:
    job = make(pump=lambda _: False)
    with pytest.raises(errors.DeadlineError):
        job.result(0.01)


# -- await -------------------------------------------------------------------------------------------------------


async def _deadline(job: Job[Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await job


def test_a_job_can_be_awaited() -> None:
    async def main() -> list[Any]:
        jobs = [make(convert=lambda raw: raw * 2) for _ in range(3)]
        threads = [elsewhere(lambda i=i, j=j: j.deliver(i, None)) for i, j in enumerate(jobs)]  # type: ignore[misc]
        found = await asyncio.gather(*map(_deadline, jobs))
        for thread in threads:
            thread.join(DEADLINE)
        return list(found)

    assert asyncio.run(main()) == [0, 2, 4]


def test_awaiting_a_job_that_is_done_gives_its_result() -> None:
    job = make()
    job.deliver("done", None)
    assert asyncio.run(_deadline(job)) == "done"


def test_awaiting_raises_the_error() -> None:
    job = make()
    job.deliver(None, errors.RenderingError("No OpenGL."))
    with pytest.raises(errors.RenderingError):
        asyncio.run(_deadline(job))


def test_cancelling_the_task_cancels_the_job() -> None:
    asked: list[str] = []
    job = make(cancel=lambda: asked.append("cancel"))

    async def main() -> None:
        task = asyncio.ensure_future(_deadline(job))
        await asyncio.sleep(0)  # one turn of the loop: the task has begun to wait
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert asked == ["cancel"]
    # The answer comes when nobody waits any more, and the loop is closed.
    job.deliver(None, errors.JobCancelledError("cancelled"))
    assert job.cancelled


# -- repr --------------------------------------------------------------------------------------------------------


def test_repr_tells_the_state() -> None:
    job = make()
    assert repr(job) == "<Job test.it: running>"
    job.deliver_progress(0.256, "", None)
    assert repr(job) == "<Job test.it: running 26%>"
    job.cancel()
    assert repr(job) == "<Job test.it: cancelling 26%>"
    job.deliver(None, errors.JobCancelledError())
    assert repr(job) == "<Job test.it: cancelled>"


@pytest.mark.parametrize(("error", "state"), [(None, "done"), (errors.CommandError("no"), "failed")])
def test_repr_tells_the_end(error: errors.CommandError | None, state: str) -> None:
    job = make()
    job.deliver(1, error)
    assert repr(job) == f"<Job test.it: {state}>"


def test_the_plain_display_is_the_repr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "display", None)
    make()._ipython_display_()
    assert capsys.readouterr().out == "<Job test.it: running>\n"
