"""A job: one command that runs in Slicer, seen from the notebook."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from slicer_notebook.errors import DeadlineError, JobCancelledError
from slicer_notebook.pacs.prompts import Card
from slicer_notebook.session import output
from slicer_notebook.session.output import Output, in_notebook, in_this_cell, report

__all__ = ["Job"]

T = TypeVar("T")

#: Seconds that an interrupted call waits for Slicer to confirm that the command has stopped.
_INTERRUPT_GRACE = 5.0
#: Seconds: who waits no longer only looks.
_A_LOOK = 1.0


class Job(Generic[T]):
    """One command that runs in Slicer. From `Session.submit`; awaitable; shows itself as a progress bar.

    Callbacks run on the session's callback thread, one at a time; they may ask the session.

    Attributes:
        progress: 0 to 1; below 0 while unknown.
        text: what it is at, in words.
        data: further facts about the progress, such as [files done, files].
        seconds: time the command took in Slicer, once it is done.
    """

    #: Makes the rich display of a job; set by `slicer_notebook.widgets`, which this layer does not import.
    display: Callable[[Job[Any]], Any] | None = None

    def __init__(
        self,
        command: str,
        *,
        cancel: Callable[[], None],
        convert: Callable[[Any], T] | None = None,
        show: Callable[[Output], None] | None = None,
        pump: Callable[[float | None], bool] | None = None,
        post: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.command = command
        self.progress: float = -1.0
        self.text = ""
        self.data: Any = None
        self.seconds = 0.0
        #: Id of the Jupyter message that asked for it; what it prints carries it.
        self.message_id = ""
        self._cancel = cancel
        self._convert = convert
        self._show = show
        self._pump = pump
        self._post = post
        self._condition = threading.Condition()
        self._outputs: collections.deque[Output] = collections.deque()
        self._finished = False
        self._cancelling = False
        self._raw: Any = None
        self._error: BaseException | None = None
        self._converted: Any = None
        self._is_converted = False
        self._callbacks: list[Callable[[Job[T]], Any]] = []
        self._progress_callbacks: list[Callable[[Job[T]], Any]] = []
        #: who waits for the end, and what they are asked meanwhile
        self._waiting = 0
        self._card: Card | None = None
        self._show_here: Callable[[Output], None] = output.show

    # -- for the user --------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._finished

    @property
    def sign_in(self) -> dict[str, Any]:
        """Where a person is to sign in so that it goes on: ``link``, ``user_code``, ``seconds``; empty otherwise."""
        found = self.data.get("sign_in") if isinstance(self.data, dict) and not self._finished else None
        return found if isinstance(found, dict) else {}

    @property
    def cancelled(self) -> bool:
        """Whether it ended by a cancel."""
        return isinstance(self._error, JobCancelledError)

    def cancel(self) -> bool:
        """Ask Slicer to stop it: at its next look at the flag, or by an interrupt if it is running on the main thread.

        Returns False when it is done already. Does not wait.
        """
        if self._finished:
            return False
        self._cancelling = True
        self._cancel()
        return True

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result; what the command prints is shown meanwhile.

        Args:
            timeout: seconds; without one as long as it takes (a lost Slicer ends the wait with an error).

        Raises:
            DeadlineError: not done in time; the job goes on.
            JobCancelledError: it was cancelled.
            SlicerNotebookError: whatever the command raised.
            KeyboardInterrupt: the wait was interrupted; the command in Slicer is interrupted too.
        """
        self._wait(timeout)
        if self._error is not None:
            raise self._error
        if not self._is_converted:
            self._converted = self._convert(self._raw) if self._convert else self._raw
            self._is_converted = True
            self._raw = None
        result: T = self._converted
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait; the error it ended with, or None. Raises `DeadlineError` when not done in time."""
        self._wait(timeout)
        return self._error

    def add_done_callback(self, function: Callable[[Job[T]], Any]) -> None:
        """Call ``function(job)`` when it is done; at once when it is."""
        with self._condition:
            if not self._finished:
                self._callbacks.append(function)
                return
        self._run(function)

    def on_progress(self, function: Callable[[Job[T]], Any]) -> None:
        """Call ``function(job)`` whenever `progress` or `text` changes."""
        self._progress_callbacks.append(function)

    def __await__(self) -> Generator[Any, None, T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake(_job: Job[T]) -> None:
            def settle() -> None:
                if not future.done():
                    future.set_result(None)

            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(settle)

        self.add_done_callback(wake)
        try:
            yield from future
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.result(0)

    def __repr__(self) -> str:
        if self._finished:
            state = "cancelled" if self.cancelled else "failed" if self._error is not None else "done"
        else:
            state = "cancelling" if self._cancelling else "running"
            if self.progress >= 0:
                state += f" {self.progress:.0%}"
        return f"<Job {self.command}: {state}>"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if Job.display is None and in_notebook():
            # By name: the widgets are a floor above, and whoever has no ipywidgets does without.
            with contextlib.suppress(ImportError):
                importlib.import_module("slicer_notebook.widgets")
        shown = Job.display(self) if Job.display is not None else None
        if shown is None:
            print(repr(self))  # noqa: T201 - the plain display of a notebook without widgets
        else:
            display(shown)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _wait(self, timeout: float | None) -> None:
        if self._finished and not self._outputs:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        waits = timeout is None or timeout > _A_LOOK
        if waits:
            self._show_here = in_this_cell(output.show)
        self._waiting += waits
        self._show_card()
        try:
            self._wait_until(deadline)
        except KeyboardInterrupt:
            if self.cancel():
                with contextlib.suppress(DeadlineError):
                    self._wait_until(time.monotonic() + _INTERRUPT_GRACE)
            raise
        finally:
            self._waiting -= waits

    def _wait_until(self, deadline: float | None) -> None:
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if self._pump is not None and not self._finished:
                # In Slicer itself: this thread must do the main thread's work while it waits.
                if not self._pump(left) and left is not None and left <= 0 and not self._finished:
                    self._late()
                self._flush_outputs()
                if self._finished:
                    return
                continue
            with self._condition:
                while not self._finished and not self._outputs:
                    if not self._condition.wait(left):
                        self._late()
                    left = None if deadline is None else deadline - time.monotonic()
            self._flush_outputs()
            if self._finished:
                self._flush_outputs()
                return

    def _late(self) -> None:
        raise DeadlineError(
            f"{self.command} is not done yet.",
            hint="the job goes on: wait again with .result(), or stop it with .cancel()",
        )

    def _flush_outputs(self) -> None:
        while self._outputs:
            output = self._outputs.popleft()
            if self._show is not None:
                self._show(output)

    # -- for the link --------------------------------------------------------------------------------------------

    def deliver_output(self, output: Output) -> None:
        """Something that the command printed or displayed."""
        with self._condition:
            self._outputs.append(output)
            self._condition.notify_all()

    def deliver_progress(self, progress: float, text: str, data: Any) -> None:
        """How far it is."""
        self.progress, self.text, self.data = progress, text, data
        if self.sign_in:
            self._show_card()
        else:
            self._end_card()
        self._call_back(self._progress_callbacks)

    def _show_card(self) -> None:
        """Show where to sign in to whoever waits, once."""
        words = self.sign_in
        with self._condition:
            if words and self._waiting and self._card is None:
                self._card = Card(words, self._publish)

    def _publish(self, bundle: dict[str, str], display_id: str, update: bool) -> None:
        """A card belongs into the cell that waits, wherever else the job's prints go."""
        content = {"data": bundle, "metadata": {}, "transient": {"display_id": display_id}}
        self._show_here(Output("update_display_data" if update else "display_data", content))

    def _end_card(self, error: BaseException | None = None) -> None:
        with self._condition:
            card, self._card = self._card, None
        if card is not None:
            card.end(error)

    def deliver(self, raw: Any, error: BaseException | None, seconds: float = 0.0) -> None:
        """The end. A second one is ignored."""
        self._end_card(error)
        with self._condition:
            if self._finished:
                return
            self._raw, self._error, self.seconds = raw, error, seconds
            if error is None and self.progress >= 0:
                self.progress = 1.0
            self._finished = True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        self._call_back([*callbacks, *self._progress_callbacks])

    def _call_back(self, functions: list[Callable[[Job[T]], Any]]) -> None:
        for function in list(functions):
            if self._post is None:
                self._run(function)
            else:
                self._post(lambda function=function: self._run(function))  # type: ignore[misc]

    def _run(self, function: Callable[[Job[T]], Any]) -> None:
        try:
            function(self)
        except Exception:  # noqa: BLE001 - the user's callback may raise anything; the others still have to run
            report(f"A callback of {self!r} failed.")
