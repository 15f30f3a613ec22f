"""One thread that waits for sockets and times, for all connections of a server or client."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from slicer_notebook.errors import OpenIGTLinkError

__all__ = ["READ", "WRITE", "Loop", "Timer"]

_log = logging.getLogger(__name__)
_BUG = "In the thread of an OpenIGTLink connection"

#: What a socket is watched for, and what its handler is told of; an error or the other end's close counts as READ.
READ, WRITE = select.POLLIN, select.POLLOUT

#: Seconds that the end of the thread is waited for; it does nothing that takes long, but a callback might.
STOP_SECONDS = 5.0


class Timer:
    """Something that is done once, later."""

    __slots__ = ("_action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Not to be done any more."""
        self._action = None

    def fire(self) -> None:
        """Do it, unless it was cancelled."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Loop:
    """Handlers of sockets, timers and calls from other threads, all run on one thread.

    A handler that raises is logged, and does not end the loop: it is a bug here, as callbacks of users are guarded
    where they are called.
    """

    def __init__(self, name: str) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._awake = False
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; before that, nothing else may be called."""
        # Not `selectors`: after a pause of a millisecond its code is out of the processor's caches, and takes 12 µs.
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.watch(self._wake_in, READ, self._woken)
        self._thread.start()

    def stop(self, last: Callable[[], None]) -> None:
        """Do ``last`` on the thread and end it; waits, unless called on the thread itself.

        Raises:
            OpenIGTLinkError: it does not end, as a callback does not come back.
        """

        def end() -> None:
            last()
            self._stopping = True

        if not self._thread.is_alive():
            return
        self.call(end)
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise OpenIGTLinkError(
                    "The thread of an OpenIGTLink connection does not end.",
                    hint="A callback does not come back. Callbacks must hand over what takes long.",
                )

    @property
    def inside(self) -> bool:
        """Whether this is the loop's own thread."""
        return threading.current_thread() is self._thread

    def call(self, action: Callable[[], None]) -> None:
        """Have ``action`` done on the thread, soon. From any thread."""
        self._calls.append(action)
        if not self._awake:
            self._awake = True
            with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake; closed: it has ended
                self._wake_out.send(b"\0")

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Have ``action`` done at ``when`` of `time.monotonic`. On the thread only."""
        timer = Timer(when, action)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def watch(self, sock: socket.socket, events: int, handler: Callable[[int], None]) -> None:
        """Call ``handler`` with `READ`, `WRITE` or both whenever the socket is ready. On the thread only."""
        self._handlers[sock.fileno()] = handler
        self._poll.register(sock, events)

    def forget(self, sock: socket.socket) -> None:
        """Watch the socket no more. On the thread only, before it is closed."""
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock)

    def _woken(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(64)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._wake_in.close()
            self._wake_out.close()

    def _turn(self) -> None:
        handlers = self._handlers
        for descriptor, events in self._poll.poll(self._patience()):
            handler = handlers.get(descriptor)
            if handler is None:  # forgotten by the one before
                continue
            try:
                handler(events if events == WRITE else events & WRITE | READ)
            except Exception:  # noqa: BLE001
                _log.exception(_BUG)
        # Cleared before the calls are taken: who adds one from here on wakes the thread again.
        self._awake = False
        for _ in range(len(self._calls)):
            self._guarded(self._calls.popleft())
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._guarded(heapq.heappop(self._timers)[2].fire)

    def _patience(self) -> float | None:
        """Milliseconds until there is something to do; None where only a socket can bring it."""
        if self._calls:
            return 0.0
        if not self._timers:
            return None
        return max(0.0, 1000 * (self._timers[0][0] - time.monotonic()))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001
            _log.exception(_BUG)
