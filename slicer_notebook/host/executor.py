"""Runs commands in Slicer: on the main thread or a worker, interruptible, with VTK's errors gathered."""

from __future__ import annotations

import collections
import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from slicer_notebook import errors
from slicer_notebook.commands import registry
from slicer_notebook.commands.context import JobContext, running
from slicer_notebook.commands.host import Host
from slicer_notebook.host.main_thread import MainThread

__all__ = ["Executor", "Outcome", "Run"]

#: Worker threads for disk and decoding. Each may use further threads of its own for a series.
WORKERS = 4
#: Threads that wait for other machines.
WAITING = 8

#: Cancels that are remembered for commands that have not come yet (most are for ones that are done already).
EARLY_CANCELS = 256

Key = tuple[str, int]
"""(connection, request id): names one run."""


class Outcome:
    """How a run ended."""

    def __init__(self, result: Any, error: BaseException | None, trace: str | None, seconds: float) -> None:
        self.result = result
        self.error = error
        self.traceback = trace
        self.seconds = seconds


class Run:
    """One run of one command.

    Args:
        key: names it.
        command: what is run.
        args: checked arguments.
        report: told of progress.
        done: called once with the `Outcome`, on the thread that ran it.
    """

    def __init__(
        self,
        key: Key,
        command: registry.Command,
        args: dict[str, Any],
        report: Callable[[float, str, Any], None],
        done: Callable[[Outcome], None],
    ) -> None:
        self.key = key
        self.command = command
        self.args = args
        self.report = report
        self.done = done
        self.context: JobContext | None = None


class Executor:
    """Runs commands on one host.

    Args:
        host: the Slicer.
        main: its main thread.
        log: called with (level, text) for what VTK reported outside of a failing command.
    """

    def __init__(self, host: Host, main: MainThread, log: Callable[[int, str], None]) -> None:
        self.host = host
        self.main = main
        self._log = log
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="slicer-notebook")
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="slicer-notebook-quick")
        self._network = ThreadPoolExecutor(WAITING, thread_name_prefix="slicer-notebook-network")
        self._runs: dict[Key, Run] = {}
        self._lock = threading.Lock()
        # The run on the main thread, and the one that an interrupt is meant for. An interrupt that comes late, when
        # its run has ended, must not hit the next one.
        self._current: Key | None = None
        self._target: Key | None = None
        # Cancelled before they came: cancel goes by the control channel, which is quicker than the shell channel.
        self._early: collections.OrderedDict[Key, None] = collections.OrderedDict()

    def start(self, run: Run) -> None:
        """Begin a run. A main-thread command runs at once when this is the main thread."""
        run.context = JobContext(run.report, self.main.hand_over)
        with self._lock:
            self._runs[run.key] = run
            if run.key in self._early:
                del self._early[run.key]
                run.context.cancelled.set()
        if run.command.thread != "main":
            pools = {"quick": self._quick, "network": self._network, "worker": self._workers}
            pools[run.command.thread].submit(self._on_worker, run)
        elif threading.get_ident() == self.main.ident:
            self._on_main(run)
        else:
            self.main.submit(lambda: self._on_main(run))

    def on_worker(self, function: Callable[[], None]) -> None:
        """Have a worker do something that nobody waits for; what it raises is dropped."""
        self._workers.submit(function)

    def cancel(self, key: Key, interrupt: bool = True) -> None:
        """Set the flag of a run; interrupt it if it is what the main thread is at. From any thread."""
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.context is None:
                self._early[key] = None
                while len(self._early) > EARLY_CANCELS:
                    self._early.popitem(last=False)
                return
            run.context.cancelled.set()
            if interrupt and self._current == key and threading.get_ident() != self.main.ident:
                self._target = key
                signal.pthread_kill(self.main.ident, signal.SIGINT)

    def cancel_all(self, connection: str) -> None:
        """Cancel what a connection asked for (it is gone)."""
        with self._lock:
            keys = [key for key in self._runs if key[0] == connection]
        for key in keys:
            self.cancel(key)

    def _on_interrupt(self, _number: int, _frame: Any) -> None:
        with_target, self._target = self._target, None
        if with_target is not None and with_target != self._current:
            return
        if self._current is not None:
            raise KeyboardInterrupt

    def _interruptibly(self, run: Run, context: JobContext) -> Any:
        """Run the command; meanwhile ours is the SIGINT handler. Reentrant, for a command that runs another."""
        outer = self._current
        former = signal.getsignal(signal.SIGINT)
        if outer is None:
            signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            self._current = run.key
            context.check()  # a cancel from just before found nothing to interrupt
            return run.command.function(self.host, **run.args)
        finally:
            # First, and without a call, at which Python would look for signals: an interrupt that comes late finds
            # that its run is over, and neither it nor what follows here is lost.
            self._current = outer
            with self._lock:  # a cancel that is just about to send its signal
                self._target = None
            if outer is None:
                signal.signal(signal.SIGINT, former)

    def _on_main(self, run: Run) -> None:
        assert run.context is not None
        started = time.perf_counter()
        try:
            if run.context.cancelled.is_set():
                raise errors.JobCancelledError("The job was cancelled before it began.")
            with running(run.context) as context:
                result = self._interruptibly(run, context)
        except KeyboardInterrupt:
            self._end(run, None, errors.JobCancelledError("The command was interrupted in Slicer."), started)
        except BaseException as exc:  # noqa: BLE001 - it belongs to the one who asked, and ends no Slicer
            self._end(run, None, exc, started)
        else:
            self._end(run, result, None, started)

    def _on_worker(self, run: Run) -> None:
        assert run.context is not None
        started = time.perf_counter()
        try:
            run.context.check()
            with running(run.context):
                result = run.command.function(self.host, **run.args)
        except BaseException as exc:  # noqa: BLE001 - it belongs to the one who asked
            self._end(run, None, exc, started)
        else:
            self._end(run, result, None, started)

    def _end(self, run: Run, result: Any, error: BaseException | None, started: float) -> None:
        with self._lock:
            self._runs.pop(run.key, None)
        trace = None
        if error is not None:
            trace = "".join(traceback.format_exception(error))
        self._gather_vtk(error)
        run.done(Outcome(result, error, trace, time.perf_counter() - started))

    def _gather_vtk(self, error: BaseException | None) -> None:
        if threading.get_ident() != self.main.ident:
            return
        for level, text in self.host.drain_vtk():
            if level == "error" and isinstance(error, errors.SlicerNotebookError):
                if text not in error.vtk_errors:
                    error.vtk_errors.append(text)
            else:
                self._log({"error": logging.ERROR, "warning": logging.WARNING}.get(level, logging.INFO), text)

    def close(self) -> None:
        """Cancel everything."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            if run.context is not None:
                run.context.cancelled.set()
        for pool in (self._workers, self._quick, self._network):
            pool.shutdown(wait=False, cancel_futures=True)
