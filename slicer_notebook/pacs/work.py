"""Work that goes on in a thread: to be waited for, awaited, watched, cancelled. The one code for blocking and async."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Final, Generic, TypeVar

from slicer_notebook.errors import DeadlineError, JobCancelledError
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.threads import thread

__all__ = ["Stream", "Work"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
#: Items of a stream that wait to be taken: a caller that stops taking stops the peer, too.
_AHEAD: Final = 500
#: Seconds of one wait: an interrupt comes through in between, on every system.
_TICK: Final = 0.2
#: Seconds that an interrupted wait gives the work to end in order.
_INTERRUPT_GRACE: Final = 5.0


class Work(Generic[T]):
    """A function that runs on a thread of its own.

    Args:
        function: given what it polls for a cancel, and what it calls when something has changed.
        name: of the thread.
    """

    def __init__(self, function: Callable[[Cancelled, Callable[[], None]], T], name: str) -> None:
        self._function = function
        self._stop = threading.Event()
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Any], object]] = []
        self._watchers: list[Callable[[Any], object]] = []
        self._thread = thread(self._run, f"pacs-{name}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function(self._stop.is_set, self._changed)
        except BaseException as exc:  # noqa: BLE001 - it belongs to whoever waits
            self._error = exc
        with self._lock:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._call(callback)

    def _changed(self) -> None:
        for watcher in list(self._watchers):
            self._call(watcher)

    def _call(self, function: Callable[[Any], object]) -> None:
        try:
            function(self)
        except Exception:  # noqa: BLE001 - a caller's function may raise anything; the work goes on
            _log.exception("A function that watches a transfer failed.")

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._done.is_set()

    def cancel(self) -> None:
        """Ask it to stop, and the peer with it. Does not wait."""
        self._stop.set()

    def result(self, timeout: float | None = None) -> T:
        """Wait for what comes of it.

        Args:
            timeout: seconds; without one as long as it takes (each wait in it has a deadline of its own).

        Raises:
            DeadlineError: not done in time; it goes on.
            JobCancelledError: it was cancelled.
            SlicerNotebookError: whatever went wrong.
            KeyboardInterrupt: the wait was interrupted; the work is cancelled.
        """
        try:
            self._wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            with contextlib.suppress(DeadlineError):
                self._wait(_INTERRUPT_GRACE)
            raise
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def _wait(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        while not self._done.wait(_TICK if until is None else min(_TICK, max(0.0, until - time.monotonic()))):
            if until is not None and time.monotonic() >= until:
                raise DeadlineError("It is not done yet.", expected=f"an end within {timeout} s", got="it goes on")

    def exception(self) -> BaseException | None:
        """What it ended with, if it has ended badly; does not wait."""
        return self._error if self.done else None

    def on_done(self, function: Callable[[Any], object]) -> None:
        """Call ``function(self)`` when it has ended; at once where it has. On any thread."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(function)
                return
        self._call(function)

    def on_progress(self, function: Callable[[Any], object]) -> None:
        """Call ``function(self)`` whenever something has changed. On any thread."""
        self._watchers.append(function)

    def __await__(self) -> Generator[Any, None, T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def set_it() -> None:
            if not future.done():
                future.set_result(None)

        def wake(_work: Work[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(set_it)

        self.on_done(wake)
        try:
            yield from future
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.result(0)


class _Feed(Generic[T]):
    """What a stream shares with the thread that fills it. The thread does not hold the stream itself: one that nobody
    holds any more stops it."""

    def __init__(self, items: Callable[[Cancelled], Iterator[T]]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._over = False
        #: set without a lock, also while Python collects garbage
        self.stopped = False
        #: why not all came
        self.error: BaseException | None = None

    def run(self) -> None:
        """Get the items, until there are no more or nobody wants them."""
        error: BaseException | None = None
        try:
            items = self._items(lambda: self.stopped)
            try:
                for item in items:
                    if not self._put(item):
                        break
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as exc:  # noqa: BLE001 - it belongs to whoever iterates
            error = exc
        if self.stopped and (error is None or isinstance(error, JobCancelledError)):
            error = JobCancelledError("It was stopped before all answers had come.", hint="Ask again for all of them.")
        with self._changed:
            self.error, self._over = error, True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        with self._changed:
            while len(self._waiting) >= _AHEAD:
                if self.stopped:
                    return False
                self._changed.wait(_TICK / 2)
            self._waiting.append(item)
            self._changed.notify_all()
        return True

    def take(self, timeout: float) -> list[T] | None:
        """The next item alone in a list; an empty list when none has come in time; None when no more will come."""
        with self._changed:
            if not self._waiting and not self._over:
                self._changed.wait(timeout)
            if self._waiting:
                self._changed.notify_all()
                return [self._waiting.popleft()]
            return None if self._over else []

    @property
    def ended_early(self) -> bool:
        """Whether it was stopped before all had come."""
        return self.stopped and not (self._over and self.error is None)


class Stream(Generic[T]):
    """Items that a thread gets, one by one: to be iterated over, once, with ``for`` or ``async for``.

    Whoever leaves the loop stops the thread, and the peer with it.

    Args:
        items: makes the iterator of items, given what it polls for a cancel. On a thread of its own.
    """

    def __init__(self, items: Callable[[Cancelled], Iterator[T]]) -> None:
        self._feed: _Feed[T] = _Feed(items)
        self._ended = False
        self._thread = thread(self._feed.run, "pacs-find")
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether all was taken that has come."""
        return self._ended

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop, before all had come."""
        return self._feed.ended_early

    def cancel(self) -> None:
        """Stop, and tell the peer to. What has come already can still be taken."""
        self._feed.stopped = True

    def _take(self, timeout: float = _TICK) -> list[T] | None:
        """As `_Feed.take`. Raises, at the end of what has come, why not all did."""
        found = self._feed.take(timeout)
        if found is None:
            self._ended = True
            if self._feed.error is not None:
                raise self._feed.error
        return found

    def __next__(self) -> T:
        while (found := self._take()) is not None:
            if found:
                return found[0]
        raise StopIteration

    def __iter__(self) -> Iterator[T]:
        """The items.

        Raises:
            JobCancelledError: at the end of what has come: it was cancelled before that was all.
            PacsError: as for whatever gets them.
        """
        try:
            while (found := self._take()) is not None:
                yield from found
        finally:
            if not self._ended:
                self.cancel()

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            while True:
                # What is there already needs no other thread.
                found = self._take(0.0) or await asyncio.to_thread(self._take)
                if found is None:
                    return
                for item in found:
                    yield item
        finally:
            if not self._ended:
                self.cancel()

    def __del__(self) -> None:
        # Nobody iterates any more: the peer need not go on.
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.stopped = True
