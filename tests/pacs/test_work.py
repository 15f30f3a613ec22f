"""Work and streams on threads: waited for, awaited, watched, left; and nothing goes on that nobody wants."""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slicer_notebook.errors import DeadlineError, JobCancelledError, PacsAnswerError
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.work import _AHEAD, Stream, Work
from tests.pacs.retrieving import no_thread_left


def until(condition: Callable[[], Any], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.005)


def wait_for_cancel(cancelled: Cancelled, _changed: Callable[[], None]) -> None:
    until(cancelled)
    raise JobCancelledError("stopped")


def started(function: Callable[..., Any]) -> Work[Any]:
    work: Work[Any] = Work(function, "test")
    work.start()
    return work


# -- work -------------------------------------------------------------------------------------------------------------


def test_a_result_is_waited_for_and_awaited() -> None:
    assert started(lambda _cancelled, _changed: 7).result() == 7

    async def awaited() -> int:
        found: int = await started(lambda _cancelled, _changed: 8)
        return found

    assert asyncio.run(awaited()) == 8


def test_an_error_comes_out_where_it_is_waited_for() -> None:
    def fails(_cancelled: Cancelled, _changed: Callable[[], None]) -> None:
        raise PacsAnswerError("no")

    work = started(fails)
    for _ in range(2):
        with pytest.raises(PacsAnswerError, match="no"):
            work.result(5)
    assert isinstance(work.exception(), PacsAnswerError)


def test_a_wait_has_a_deadline_and_the_work_goes_on() -> None:
    go = threading.Event()
    work = started(lambda _cancelled, _changed: go.wait(5))
    for timeout in (0, 0.05):
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            work.result(timeout)
        assert time.monotonic() - began < 0.2 + timeout
    assert work.exception() is None
    go.set()
    assert work.result(5) is True


def test_watchers_and_what_is_called_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    go, seen = threading.Event(), []

    def runs(_cancelled: Cancelled, changed: Callable[[], None]) -> int:
        go.wait(5)
        changed()
        changed()
        return 3

    def bad(_work: Any) -> None:
        raise ValueError("a caller's mistake")

    work = started(runs)
    work.on_progress(bad)
    work.on_progress(lambda w: seen.append(("changed", w.done)))
    work.on_done(lambda w: seen.append(("done", w.result(0))))
    go.set()
    work.result(5)
    until(lambda: len(seen) == 3)
    assert seen == [("changed", False), ("changed", False), ("done", 3)]
    work.on_done(lambda w: seen.append(("late", w.done)))
    assert seen[-1] == ("late", True)
    assert "A function that watches" in caplog.text


def test_a_cancel_ends_it() -> None:
    work = started(wait_for_cancel)
    work.cancel()
    with pytest.raises(JobCancelledError):
        work.result(5)


def test_a_cancelled_task_cancels_the_work_it_awaits() -> None:
    work = started(wait_for_cancel)

    async def awaits() -> None:
        await work

    async def main() -> None:
        task = asyncio.create_task(awaits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: work.done)


def test_a_loop_that_is_gone_is_nobody_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    work = started(lambda _cancelled, _changed: go.wait(5))
    loop = asyncio.new_event_loop()

    async def awaits() -> None:
        await work

    task = loop.create_task(awaits())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    go.set()
    assert work.result(5) is True
    assert not caplog.records
    del task


def test_an_interrupt_comes_through_and_cancels() -> None:
    work = started(wait_for_cancel)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        work.result(10)
    assert work.done


# -- streams ----------------------------------------------------------------------------------------------------------


class Source:
    """Numbers, and what becomes of who gives them."""

    def __init__(self, count: int | None = None, *, heed: bool = True, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self._count = count
        self._heed = heed
        self._error = error

    def __call__(self, cancelled: Cancelled) -> Iterator[int]:
        try:
            for number in itertools.count() if self._count is None else range(self._count):
                while not self.go.wait(0.01):
                    if cancelled():
                        raise JobCancelledError("stopped")
                if self._heed and cancelled():
                    raise JobCancelledError("stopped")
                self.given += 1
                yield number
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()


def taken(stream: Stream[int]) -> tuple[list[int], Exception | None]:
    """What a loop over it gets, and the error that ends it."""
    items = []
    try:
        for item in stream:
            items.append(item)
    except (JobCancelledError, PacsAnswerError) as exc:
        return items, exc
    return items, None


def test_items_come_in_order_for_everyone_who_asks() -> None:
    assert list(Stream(Source(1200))) == list(range(1200))

    async def gathered() -> list[int]:
        return [item async for item in Stream(Source(1200))]

    assert asyncio.run(gathered()) == list(range(1200))


def test_the_thread_gets_only_so_far_ahead() -> None:
    source = Source()
    stream = Stream(source)
    until(lambda: source.given > _AHEAD)
    threading.Event().wait(0.05)
    assert source.given == _AHEAD + 1
    stream.cancel()
    assert source.closed.wait(5)


def test_who_leaves_the_loop_stops_the_thread() -> None:
    source = Source()
    with no_thread_left("pacs-find"):
        stream = Stream(source)
        for item in stream:
            if item == 3:
                break
        assert source.closed.wait(5)
        assert stream.cancelled
    for _ in range(2):
        assert "before all" in str(taken(stream)[1])  # not silently fewer
    assert stream.ended


def test_who_leaves_an_async_loop_stops_the_thread() -> None:
    source = Source()

    async def leaves() -> None:
        async for item in Stream(source):
            if item == 3:
                break

    asyncio.run(leaves())
    assert source.closed.wait(5)


def test_an_error_in_the_loop_stops_the_thread() -> None:
    source = Source()

    def loop() -> None:
        for item in Stream(source):
            1 / (item - 2)

    with pytest.raises(ZeroDivisionError):
        loop()
    assert source.closed.wait(5)


def test_a_stream_that_nobody_holds_stops_the_thread() -> None:
    source = Source()
    stream = Stream(source)
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None
    assert source.closed.wait(5)


def test_all_that_came_can_be_taken_after_a_cancel_and_then_it_is_said() -> None:
    source = Source()
    stream = Stream(source)
    until(lambda: source.given > 20)
    source.go.clear()
    stream.cancel()
    assert source.closed.wait(5)
    items, error = taken(stream)
    assert isinstance(error, JobCancelledError)
    assert items == list(range(source.given))[: len(items)]
    assert len(items) > 20


def test_a_cancel_after_the_end_takes_nothing_back() -> None:
    source = Source(5)
    with no_thread_left("pacs-find"):
        stream = Stream(source)
        assert source.closed.wait(5)
    stream.cancel()
    assert not stream.cancelled
    assert list(stream) == [0, 1, 2, 3, 4]


def test_a_source_that_ends_quietly_when_it_is_cancelled_is_not_complete() -> None:
    def quiet(cancelled: Cancelled) -> Iterator[int]:
        yield 1
        until(cancelled)

    stream = Stream(quiet)
    assert next(stream) == 1
    stream.cancel()
    with pytest.raises(JobCancelledError):
        next(stream)


def test_a_source_that_ignores_a_cancel_is_left() -> None:
    source = Source(heed=False)
    stream = Stream(source)
    stream.cancel()
    assert source.closed.wait(5)


def test_errors_come_out_at_the_iterating_side_after_what_came_before() -> None:
    stream = Stream(Source(3, error=PacsAnswerError("broken")))
    items, error = taken(stream)
    assert (items, str(error)) == ([0, 1, 2], "broken")
    with pytest.raises(PacsAnswerError, match="broken"):
        next(stream)  # and again: not an end

    def at_once(_cancelled: Cancelled) -> Iterator[int]:
        raise PacsAnswerError("at once")

    with pytest.raises(PacsAnswerError, match="at once"):
        list(Stream(at_once))


class ClosesBadly:
    """An iterator whose end fails."""

    def __iter__(self) -> ClosesBadly:
        return self

    def __next__(self) -> int:
        raise StopIteration

    def close(self) -> None:
        raise PacsAnswerError("at the end")


def test_a_failure_at_the_end_is_no_end() -> None:
    with pytest.raises(PacsAnswerError, match="at the end"):
        list(Stream(lambda _cancelled: ClosesBadly()))


def test_an_interrupt_comes_through_a_loop_that_waits() -> None:
    source = Source()
    source.go.clear()
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        for _ in Stream(source):
            pass
    assert source.closed.wait(5)


def test_no_thread_is_left() -> None:
    with no_thread_left():
        for _ in range(50):
            list(Stream(Source(3)))
            for _item in Stream(Source()):
                break
            started(lambda _cancelled, _changed: None).result(5)
