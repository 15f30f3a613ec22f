"""Runs of commands: threads, cancels, interrupts, VTK's reports. Pure, with a host that is none."""

from __future__ import annotations

import inspect
import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slicer_notebook import errors
from slicer_notebook.commands import context
from slicer_notebook.commands.registry import Command, Thread
from slicer_notebook.host.executor import EARLY_CANCELS, WORKERS, Executor, Key, Outcome, Run
from slicer_notebook.host.main_thread import MainThread

#: Seconds that anything here may take on a slow machine.
DEADLINE = 10.0


class FakeHost:
    """As much of a host as the executor needs: what VTK reported."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str]] = []

    def drain_vtk(self) -> list[tuple[str, str]]:
        found, self.reports = self.reports, []
        return found


class Bench:
    """An executor on this thread, and what came of its runs."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.logged: list[tuple[int, str]] = []
        self.progress: list[tuple[float, str, Any]] = []
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.main = MainThread(lambda _: None)
        self.executor = Executor(
            self.host,  # type: ignore[arg-type]
            self.main,
            lambda level, text: self.logged.append((level, text)),
        )
        self.count = 0

    def run(
        self,
        function: Callable[..., Any],
        thread: Thread = "main",
        key: Key | None = None,
        **args: Any,
    ) -> Key:
        """Start a run of ``function(host, **args)``."""
        self.count += 1
        key = key or ("notebook", self.count)
        self.executor.start(
            Run(key, command(function, thread), args, lambda *told: self.progress.append(told), self._ended)
        )
        return key

    def _ended(self, outcome: Outcome) -> None:
        self.outcomes.put(outcome)
        self.main.pending.set()  # wakes `main_outcome`

    def outcome(self) -> Outcome:
        """The next run to end."""
        return self.outcomes.get(timeout=DEADLINE)

    def main_outcome(self) -> Outcome:
        """The next run to end, while this thread does the main thread's work."""
        while True:
            try:
                return self.outcomes.get_nowait()
            except queue.Empty:
                assert self.main.pending.wait(DEADLINE)
                self.main.drain()


def command(function: Callable[..., Any], thread: Thread) -> Command:
    return Command("test.it", function, thread, inspect.signature(function), {}, journal=False)


@pytest.fixture
def bench() -> Iterator[Bench]:
    former = signal.getsignal(signal.SIGINT)
    made = Bench()
    yield made
    made.executor.close()
    assert signal.getsignal(signal.SIGINT) is former


def test_a_main_command_runs_here_at_once(bench: Bench) -> None:
    bench.run(lambda host, a, b: (host, threading.get_ident(), a + b), a=2, b=3)
    outcome = bench.outcomes.get_nowait()
    assert outcome.result == (bench.host, bench.main.ident, 5)
    assert outcome.error is None
    assert outcome.traceback is None
    assert 0 <= outcome.seconds < DEADLINE


def test_a_main_command_asked_for_elsewhere_runs_here(bench: Bench) -> None:
    asking = threading.Thread(target=lambda: bench.run(lambda host: threading.get_ident()))
    asking.start()
    asking.join(DEADLINE)
    with pytest.raises(queue.Empty):
        bench.outcomes.get_nowait()
    bench.main.drain()
    assert bench.outcomes.get_nowait().result == bench.main.ident


def test_a_worker_command_runs_elsewhere_and_hops_here(bench: Bench) -> None:
    bench.run(lambda host: (threading.get_ident(), context.current().on_main(threading.get_ident)), thread="worker")
    worker, main = bench.main_outcome().result
    assert worker != bench.main.ident
    assert main == bench.main.ident


@pytest.mark.parametrize("thread", ["main", "worker"])
@pytest.mark.parametrize("kind", [ValueError, errors.ArrayError, SystemExit])
def test_whatever_is_raised_goes_to_the_one_who_asked(bench: Bench, kind: type[BaseException], thread: Thread) -> None:
    def fails(host: Any) -> None:
        raise kind("no good")

    bench.run(fails, thread)
    outcome = bench.outcome()
    assert type(outcome.error) is kind
    assert outcome.traceback is not None
    assert "in fails" in outcome.traceback
    bench.run(lambda host: "goes on", thread)
    assert bench.outcome().result == "goes on"


def test_progress_is_reported(bench: Bench) -> None:
    def works(host: Any) -> None:
        context.progress(0.5, "half")
        context.current().progress(1.0, "whole", [2, 2])

    bench.run(works)
    assert bench.progress == [(0.5, "half", None), (1.0, "whole", [2, 2])]
    context.progress(0.1, "outside of a command nobody is told")
    assert len(bench.progress) == 2


def test_a_cancel_sets_the_flag_of_a_worker(bench: Bench) -> None:
    def works(host: Any) -> None:
        context.progress(0.0, "begun")
        assert context.current().cancelled.wait(DEADLINE)
        context.current().check()

    key = bench.run(works, "worker")
    bench.executor.cancel(key)
    assert isinstance(bench.outcome().error, errors.JobCancelledError)


def test_what_is_quick_waits_for_no_worker(bench: Bench) -> None:
    go = threading.Event()
    for _ in range(WORKERS + 1):
        bench.run(lambda host: go.wait(DEADLINE), "worker")
    bench.run(lambda host: "quick", "quick")
    assert bench.outcome().result == "quick"
    go.set()
    assert [bench.outcome().result for _ in range(WORKERS + 1)] == [True] * (WORKERS + 1)


def test_a_cancel_interrupts_the_main_thread(bench: Bench) -> None:
    begun = threading.Event()

    def endless(host: Any) -> None:
        begun.set()
        while True:
            pass

    key: Key = ("notebook", 77)
    canceller = threading.Thread(target=lambda: (begun.wait(DEADLINE), bench.executor.cancel(key)))
    canceller.start()
    bench.run(endless, key=key)
    assert isinstance(bench.outcome().error, errors.JobCancelledError)
    canceller.join(DEADLINE)
    bench.run(lambda host: "goes on")
    assert bench.outcome().result == "goes on"


def test_a_cancel_without_interrupt_only_sets_the_flag(bench: Bench) -> None:
    begun = threading.Event()

    def looks(host: Any) -> str:
        begun.set()
        assert context.current().cancelled.wait(DEADLINE)
        return "its own decision"

    key: Key = ("notebook", 78)
    canceller = threading.Thread(target=lambda: (begun.wait(DEADLINE), bench.executor.cancel(key, interrupt=False)))
    canceller.start()
    bench.run(looks, key=key)
    assert bench.outcome().result == "its own decision"
    canceller.join(DEADLINE)


def test_a_cancel_that_comes_early_waits_for_its_run(bench: Bench) -> None:
    ran: list[Any] = []
    bench.executor.cancel(("notebook", 5))
    bench.run(ran.append, key=("notebook", 5))
    assert isinstance(bench.outcome().error, errors.JobCancelledError)
    bench.run(ran.append, key=("notebook", 5))
    assert bench.outcome().error is None
    assert ran == [bench.host]


def test_only_so_many_early_cancels_are_remembered(bench: Bench) -> None:
    for number in range(EARLY_CANCELS + 1):
        bench.executor.cancel(("notebook", number))
    bench.run(lambda host: "forgotten", key=("notebook", 0))
    assert bench.outcome().result == "forgotten"
    bench.run(lambda host: None, key=("notebook", 1))
    assert isinstance(bench.outcome().error, errors.JobCancelledError)


def test_an_interrupt_that_comes_while_a_run_ends_hits_nothing(bench: Bench) -> None:
    """The signal arrives when the command has returned and the executor is cleaning up."""
    key: Key = ("notebook", 79)
    executor = bench.executor

    class Late:
        """The executor's lock; the first to take it after the command has returned meets the signal."""

        def __init__(self, lock: Any) -> None:
            self.lock = lock
            self.armed = False

        def __enter__(self) -> None:
            self.lock.acquire()
            if self.armed:
                self.armed = False
                executor._target = key
                signal.raise_signal(signal.SIGINT)

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    late = Late(executor._lock)
    executor._lock = late  # type: ignore[assignment]

    def returns(host: Any) -> str:
        late.armed = True
        return "not lost"

    bench.run(returns, key=key)
    assert bench.outcome().result == "not lost"
    assert not late.armed
    bench.run(lambda host: "goes on")
    assert bench.outcome().result == "goes on"


def test_a_user_s_interrupt_stops_the_command(bench: Bench) -> None:
    bench.run(lambda host: signal.raise_signal(signal.SIGINT))
    assert isinstance(bench.outcome().error, errors.JobCancelledError)


def test_a_command_may_run_another(bench: Bench) -> None:
    inner: list[Outcome] = []

    def outer(host: Any) -> str:
        bench.run(lambda host: "inner")
        inner.append(bench.outcomes.get_nowait())
        bench.run(lambda host: signal.raise_signal(signal.SIGINT))
        inner.append(bench.outcomes.get_nowait())
        context.current().check()
        return "outer"

    bench.run(outer)
    assert bench.outcome().result == "outer"
    assert inner[0].result == "inner"
    assert isinstance(inner[1].error, errors.JobCancelledError)


def test_a_connection_that_is_gone_cancels_its_own_only(bench: Bench) -> None:
    release = threading.Event()

    def waits(host: Any) -> None:
        assert context.current().cancelled.wait(DEADLINE)
        context.current().check()

    def stays(host: Any) -> str:
        assert release.wait(DEADLINE)
        context.current().check()
        return "kept"

    bench.run(stays, "worker", key=("other", 1))
    bench.run(waits, "worker", key=("gone", 1))
    bench.executor.cancel_all("gone")
    assert isinstance(bench.outcome().error, errors.JobCancelledError)
    release.set()
    assert bench.outcome().result == "kept"


def test_vtk_errors_belong_to_the_command_that_failed(bench: Bench) -> None:
    def fails(host: FakeHost) -> None:
        host.reports += [("error", "cannot read"), ("error", "cannot read"), ("warning", "odd header")]
        raise errors.FileFormatError("No.")

    bench.run(fails)
    error = bench.outcome().error
    assert isinstance(error, errors.FileFormatError)
    assert error.vtk_errors == ["cannot read"]
    assert bench.logged == [(logging.WARNING, "odd header")]


def test_other_vtk_reports_are_logged(bench: Bench) -> None:
    def works(host: FakeHost) -> str:
        host.reports += [("error", "e"), ("warning", "w"), ("info", "i")]
        return "fine"

    bench.run(works)
    assert bench.outcome().result == "fine"
    assert bench.logged == [(logging.ERROR, "e"), (logging.WARNING, "w"), (logging.INFO, "i")]


def test_a_worker_leaves_vtk_s_reports_to_the_main_thread(bench: Bench) -> None:
    bench.host.reports.append(("error", "somebody else's"))
    bench.run(lambda host: None, "worker")
    assert bench.outcome().error is None
    assert bench.logged == []
    assert bench.host.reports


def test_close_cancels_what_runs(bench: Bench) -> None:
    def works(host: Any) -> None:
        assert context.current().cancelled.wait(DEADLINE)
        context.current().check()

    bench.run(works, "worker")
    bench.executor.close()
    assert isinstance(bench.outcome().error, errors.JobCancelledError)
