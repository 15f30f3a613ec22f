"""Where widgets' code runs, and how often."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from slicer_notebook.widgets.threads import Home, Pacer


def test_requests_during_the_work_are_one_further_call_which_begins_after_its_end() -> None:
    calls: list[float] = []
    called = threading.Semaphore(0)

    def work() -> None:
        calls.append(time.monotonic())
        called.release()

    pacer = Pacer(work, interval=0.0)
    pacer.request()
    assert called.acquire(timeout=10)
    for _ in range(50):
        pacer.request()
    assert not called.acquire(timeout=0.2), "called while the work was under way"
    pacer.finished()
    assert called.acquire(timeout=10)
    pacer.finished()
    assert not called.acquire(timeout=0.2), "called without a request"
    assert len(calls) == 2


def test_calls_are_at_least_the_interval_apart() -> None:
    calls: list[float] = []
    enough = threading.Event()

    def work() -> None:
        calls.append(pacer._last)
        pacer.finished()
        pacer.request()
        if len(calls) == 4:
            enough.set()

    pacer = Pacer(work, interval=0.1)
    pacer.request()
    assert enough.wait(10)
    pacer.close()
    assert all(b - a >= 0.1 for a, b in pairwise(calls))


def test_nothing_is_called_after_close() -> None:
    called = threading.Event()
    pacer = Pacer(called.set, interval=60.0)
    pacer.request()
    assert called.wait(10)
    pacer.finished()
    called.clear()
    pacer.request()
    pacer.close()
    pacer.request()
    assert not called.wait(0.2)


def test_a_failure_of_the_work_is_logged_and_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    failures = iter([True, False])

    def work() -> None:
        if next(failures):
            pacer.request()
            raise RuntimeError("no picture today")
        done.set()

    pacer = Pacer(work, interval=0.0)
    pacer.request()
    assert done.wait(10)
    assert "no picture today" in caplog.text


def test_home_is_the_thread_of_the_loop_in_which_it_was_made() -> None:
    async def main() -> tuple[list[int], list[int]]:
        home = Home()
        threads: list[int] = []
        order: list[int] = []
        done = asyncio.Event()

        def ask() -> None:
            for number in range(5):
                home.call(lambda number=number: (order.append(number), threads.append(threading.get_ident())))  # type: ignore[misc]
            home.call(done.set)

        threading.Thread(target=ask).start()
        await asyncio.wait_for(done.wait(), 10)
        return threads, order

    threads, order = asyncio.run(main())
    assert set(threads) == {threading.get_ident()}
    assert order == list(range(5))


def test_without_a_loop_home_is_another_thread_and_a_failure_there_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    home = Home()
    threads: list[int] = []
    done = threading.Event()

    def fail() -> None:
        raise RuntimeError("an observer's fault")

    home.call(fail)
    home.call(lambda: threads.append(threading.get_ident()))
    home.call(done.set)
    assert done.wait(10)
    assert threads != [threading.get_ident()]
    assert "an observer's fault" in caplog.text
