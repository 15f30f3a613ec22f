"""What a session needs of a link to a Slicer, and the part that all links share."""

from __future__ import annotations

import abc
import collections
import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slicer_notebook import errors
from slicer_notebook.protocol import messages, shm
from slicer_notebook.protocol.values import UNSENDABLE
from slicer_notebook.session.job import Job
from slicer_notebook.session.output import Output, report, show

__all__ = ["Link"]

_slicer_log = logging.getLogger("slicer_notebook.slicer")


#: Lines of Slicer's log that a session keeps.
LOG_LINES = 1000


class LogLine(NamedTuple):
    """One line of Slicer's log.

    Attributes:
        time: seconds since the epoch.
        level: as in Python's ``logging``.
        source: ``vtk``, ``stdout`` or ``stderr``.
        text: what was reported.
    """

    time: float
    level: int
    source: str
    text: str

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        return f"{clock} {logging.getLevelName(self.level)} [{self.source}] {self.text}"


class Link(abc.ABC):
    """A connection to one agent. Subclasses carry the messages.

    Attributes:
        hello: what the agent said of itself.
        on_event: called with (kind, data) on the callback thread.
        on_lost: called once with the reason when the Slicer is gone.
        wrap: makes handles of the node references in a result.
    """

    hello: messages.Hello

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._jobs: dict[int, Job[Any]] = {}
        self._by_message: dict[str, Job[Any]] = {}
        self._lock = threading.Lock()
        self._error: errors.SessionError | None = None
        self._released: collections.deque[int] = collections.deque()
        #: What Slicer printed or reported outside the user's own code, the latest last.
        self.log: collections.deque[LogLine] = collections.deque(maxlen=LOG_LINES)
        self._callbacks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._callback_thread: threading.Thread | None = None
        #: Who is told of frames, by the number of their stream; on the thread that receives.
        self.streams: dict[int, Callable[[Any], None]] = {}
        self.on_event: Callable[[str, Any], None] = lambda _kind, _data: None
        self.on_lost: Callable[[errors.SessionError], None] = lambda _error: None

    # -- to be carried -------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _send(self, message: messages.Message) -> str:
        """Send one message; its Jupyter message id."""

    @abc.abstractmethod
    def _send_cancel(self, message: messages.Cancel) -> None:
        """Send a cancel by the quickest way."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the connection; the Slicer goes on."""

    # -- requests ------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether requests can be made."""
        return self._error is None

    def request(
        self,
        command: str,
        args: dict[str, Any],
        *,
        convert: Callable[[Any], Any] | None = None,
        shows: bool = False,
    ) -> Job[Any]:
        """Ask Slicer to run a command.

        Args:
            convert: makes the result of what came.
            shows: what the command prints belongs into the cell; else into the log.

        Raises:
            SessionClosedError, ConnectionLostError: nothing can be asked any more.
            ArgumentError, ArrayError: an argument cannot be sent.
        """
        if self._error is not None:
            raise self._fresh_error()
        number = next(self._ids)
        job: Job[Any] = Job(
            command,
            cancel=lambda: self._cancel(number),
            convert=convert,
            show=show if shows else self._to_log,
            pump=self._pump(),
            post=self.post,
        )
        self._jobs[number] = job
        request = messages.Request(id=number, command=command, args=args, releases=self.take_released())
        try:
            self._dispatch(request, job)
        except BaseException as exc:
            self._jobs.pop(number, None)
            if isinstance(exc, UNSENDABLE) and not isinstance(exc, errors.SlicerNotebookError):
                raise errors.ArgumentError(
                    f"An argument of {command} cannot be sent to Slicer.",
                    expected="plain data, numpy arrays, node handles, or lists and dicts of them",
                    got=str(exc),
                ) from None
            raise
        if self._error is not None:
            # Lost between the look above and the entry in the table.
            job.deliver(None, self._fresh_error())
        return job

    @abc.abstractmethod
    def _dispatch(self, request: messages.Request, job: Job[Any]) -> None:
        """Send a request, with ``job.message_id`` known before anything can come back."""

    def _pump(self) -> Callable[[float | None], bool] | None:
        """How a waiting caller does the main thread's work; None when that is another process's business."""
        return None

    def _cancel(self, number: int) -> None:
        with contextlib.suppress(errors.SessionError):
            self._send_cancel(messages.Cancel(id=number))

    def take_released(self) -> list[int]:
        """Leases of the agent's segments that nothing here looks at any more."""
        return shm.take_all(self._released)

    # -- callbacks -----------------------------------------------------------------------------------------------

    def post(self, function: Callable[[], None]) -> None:
        """Run ``function`` where callbacks run: a thread of their own, so that they may ask the session and wait."""
        with self._lock:
            if self._callback_thread is None:
                self._callback_thread = threading.Thread(
                    target=self._run_callbacks, name="slicer-notebook-callbacks", daemon=True
                )
                self._callback_thread.start()
            self._callbacks.put(function)

    def _run_callbacks(self) -> None:
        while (function := self._callbacks.get()) is not None:
            try:
                function()
            except Exception:  # noqa: BLE001 - the user's callback may raise anything; the thread has to go on
                report("A callback failed.")

    def _end_callbacks(self) -> None:
        """Let the callback thread end when it has done what is waiting."""
        with self._lock:
            if self._callback_thread is not None:
                self._callbacks.put(None)
                self._callback_thread = None

    # -- messages ------------------------------------------------------------------------------------------------

    def _handle(self, message: messages.Message) -> None:
        if isinstance(message, messages.Reply):
            job = self._jobs.pop(message.id, None)
            if job is not None:
                # What it printed was sent before the reply.
                self._by_message.pop(job.message_id, None)
                error = rebuild(message.error) if message.error is not None else None
                job.deliver(message.result, error, message.seconds)
        elif isinstance(message, messages.Progress):
            job = self._jobs.get(message.id)
            if job is not None:
                job.deliver_progress(message.done, message.text, message.data)
        elif isinstance(message, messages.Event):
            kind, data = message.kind, message.data
            self.post(lambda: self.on_event(kind, data))
        elif isinstance(message, messages.LogRecord):
            self._log(message.level, message.text, message.source)
        elif isinstance(message, messages.Frame | messages.Took | messages.Unwatched):
            stream = self.streams.get(message.stream)
            if stream is not None:
                stream(message)

    def say(self, message: messages.Message) -> None:
        """Send a message that nobody answers.

        Raises:
            SessionClosedError, ConnectionLostError: nothing can be said any more.
        """
        if self._error is not None:
            raise self._fresh_error()
        self._send(message)

    def shutdown(self) -> None:
        """End the Slicer too, where that is this link's to do."""
        self.close()

    def _handle_output(self, output: Output, parent: str | None, ours: bool) -> None:
        job = self._by_message.get(parent or "")
        if job is not None:
            job.deliver_output(output)
        elif ours:
            self._to_log(output)

    def _to_log(self, output: Output) -> None:
        if output.kind == "stream":
            name = output.content.get("name", "stdout")
            for line in output.content.get("text", "").splitlines():
                if line.strip():
                    self._log(logging.WARNING if name == "stderr" else logging.INFO, line, name)

    def _log(self, level: int, text: str, source: str) -> None:
        self.log.append(LogLine(time.time(), level, source, text))
        _slicer_log.log(level, "%s", text)

    def _lost(self, error: errors.SessionError) -> None:
        """The Slicer is gone: every waiting call fails."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.deliver(None, self._fresh_error())
        self._by_message.clear()
        self.post(lambda: self.on_lost(error))

    def _fresh_error(self) -> errors.SessionError:
        """A new copy: an exception object that is raised twice gathers both tracebacks."""
        found = self._error
        assert found is not None
        return type(found)(
            found.message, expected=found.expected, got=found.got, hint=found.hint, details=dict(found.details)
        )


def rebuild(info: messages.ErrorInfo) -> errors.SlicerNotebookError:
    """The exception of an `ErrorInfo`."""
    error = errors.by_name(info.type)(
        info.message, expected=info.expected, got=info.got, hint=info.hint, details=info.details
    )
    # Of an error of ours only the message matters; the traceback is for what nobody foresaw.
    interrupted = type(error) is errors.JobCancelledError and "File" in (info.traceback or "")
    if isinstance(error, errors.CommandError) or interrupted:
        error.remote_traceback = info.traceback
    error.vtk_errors = list(info.vtk_errors)
    return error
