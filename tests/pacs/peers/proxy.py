"""A line between a client and any TCP server that can be cut, held up and slowed down; it alters no byte."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

#: Bytes read at once, and bytes of one direction that may wait here.
CHUNK = 1 << 16
QUEUE = 1 << 18


class _Way:
    """What goes one way on one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, *, from_server: bool) -> None:
        self.source, self.target = source, target
        self.from_server = from_server
        #: when it may go on, and what; None: the source has ended
        self.queue: deque[tuple[float, bytes | None]] = deque()
        self.waiting = 0
        self.at_end = False
        self.finished = False


@dataclass
class _Rule:
    """What happens when so many bytes more have come from the server."""

    left: int
    action: str
    times: int
    every: int


class Proxy:
    """A listening port of 127.0.0.1 whose connections go on to ``port``.

    ::

        with Proxy(orthanc.dicom_port) as line:
            line.cut_after(100_000)             # then all connections are reset, once; new ones work
            client(line.url(orthanc.dimse_url))
            line.wait_for(lambda: line.cuts == 1)

    Attributes:
        connections: how many there were; ``open`` are there now.
        from_server, from_client: bytes that were read.
        cuts: how often all connections were cut; ``stalled``: nothing goes on, though all stays connected.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1") -> None:
        self.connections = self.from_server = self.from_client = self.cuts = 0
        self.stalled = False
        self._address = (host, port)
        self._delay = 0.0
        self._rate: float | None = None
        self._paid_until = 0.0
        self._rule: _Rule | None = None
        self._listening = True
        self._ended = False
        self._changed = threading.Condition()
        self._ways: list[_Way] = []
        self._door = self._new_door()
        self.port: int = self._door.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="faulty-line", daemon=True)
        self._thread.start()

    @staticmethod
    def _new_door() -> socket.socket:
        from slicer_notebook.testing import free_port

        door = socket.socket()
        # Connections that have just ended keep the port for a minute: `accept` must do all the same.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound by number, so that the port stays ours while it does not listen.
        door.bind(("127.0.0.1", free_port()))
        door.listen(64)
        door.setblocking(False)
        return door

    def url(self, url: str) -> str:
        """The same URL, by way of this line."""
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    # -- faults -------------------------------------------------------------------------------------------------------

    def cut(self, *, reset: bool = True) -> None:
        """All connections now: reset (RST), or closed as if at the end (FIN)."""
        with self._change():
            self.cuts += 1
            self._cut_all(reset)

    def cut_after(self, count: int, *, times: int = 1, reset: bool = True) -> None:
        """Cut all connections when ``count`` more bytes have come from the server and gone on; ``times`` in turn."""
        with self._change():
            self._rule = _Rule(count, "reset" if reset else "close", times, count)

    def stall(self) -> None:
        """Nothing goes on in either direction from now; connections stay, new ones are accepted and stay silent."""
        with self._change():
            self.stalled = True

    def stall_after(self, count: int) -> None:
        """`stall` when ``count`` more bytes have come from the server and gone on."""
        with self._change():
            self._rule = _Rule(count, "stall", 1, count)

    def resume(self) -> None:
        """The end of `stall`."""
        with self._change():
            self.stalled = False

    def delay(self, seconds: float) -> None:
        """Everything arrives that much later, in both directions."""
        with self._change():
            self._delay = seconds

    def limit(self, rate: float | None) -> None:
        """At most that many bytes/s from the server; None: no limit."""
        with self._change():
            self._rate = rate
            self._paid_until = time.monotonic()

    def refuse(self) -> None:
        """New connections are refused (ECONNREFUSED); those that are there go on."""
        with self._change():
            if self._listening:
                self._listening = False
                with contextlib.suppress(KeyError):
                    self._selector.unregister(self._door)
                self._door.shutdown(socket.SHUT_RD)

    def accept(self) -> None:
        """The end of `refuse`."""
        with self._change():
            if not self._listening:
                self._listening = True
                self._door.listen(64)

    def heal(self) -> None:
        """The end of all faults."""
        self.accept()
        with self._change():
            self._rule, self._rate, self._delay, self.stalled = None, None, 0.0, False

    # -- what was seen ------------------------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """Connections that are there."""
        with self._changed:
            return len(self._ways) // 2

    def wait_for(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        """Until the condition holds; it is looked at whenever something happens on the line.

        Raises:
            TimeoutError: it did not in time.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(
                    f"not within {timeout} s: {self.connections} connections, {self.open} open, {self.cuts} cuts, "
                    f"{self.from_server} bytes from the server, {self.from_client} from the client"
                )

    def close(self) -> None:
        """Reset all connections and end."""
        with self._change():
            self._ended = True
        self._thread.join(10)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- the thread ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()
        with contextlib.suppress(OSError):  # the thread has ended
            self._button.send(b".")

    def _run(self) -> None:
        self._selector.register(self._bell, selectors.EVENT_READ)
        while True:
            with self._changed:
                if self._ended:
                    break
                timeout = self._arrange()
            ready = {key.fileobj: mask for key, mask in self._selector.select(timeout)}
            with self._changed:
                self._serve(ready)
                self._changed.notify_all()
        with self._changed:
            self._cut_all(reset=True)
            for end in (self._door, self._bell, self._button):
                end.close()
            self._selector.close()

    def _arrange(self) -> float | None:
        """Set what is waited for; the seconds until something is due."""
        now = time.monotonic()
        wanted: dict[socket.socket, int] = {self._door: selectors.EVENT_READ} if self._listening else {}
        due: list[float] = []
        for way in self._ways:
            if self.stalled:
                break
            if not way.at_end and way.waiting < QUEUE:
                if way.from_server and self._rate is not None and self._paid_until > now:
                    due.append(self._paid_until)
                elif not (way.from_server and self._rule is not None and self._rule.left == 0):
                    wanted[way.source] = wanted.get(way.source, 0) | selectors.EVENT_READ
            if way.queue:
                if way.queue[0][0] > now:
                    due.append(way.queue[0][0])
                else:
                    wanted[way.target] = wanted.get(way.target, 0) | selectors.EVENT_WRITE
        registered = {key.fileobj for key in self._selector.get_map().values()} - {self._bell}
        for gone in registered - set(wanted):
            self._selector.unregister(gone)
        for end, mask in wanted.items():
            if end in registered:
                self._selector.modify(end, mask)
            else:
                self._selector.register(end, mask)
        return max(0.0, min(due) - now) if due else None

    def _serve(self, ready: dict[Any, int]) -> None:
        if self._bell in ready:
            self._bell.recv(4096)
        if self._door in ready and self._listening:
            self._connect()
        for way in list(self._ways):
            try:
                if ready.get(way.source, 0) & selectors.EVENT_READ and way in self._ways and not self.stalled:
                    self._read(way)
                if ready.get(way.target, 0) & selectors.EVENT_WRITE and way in self._ways and not self.stalled:
                    self._write(way)
            except BlockingIOError:
                continue
            except OSError:
                self._drop(way, reset=True)

    def _connect(self) -> None:
        try:
            near, _ = self._door.accept()
        except BlockingIOError:
            return
        try:
            far = socket.create_connection(self._address, timeout=5)
        except OSError:
            _close(near, reset=True)
            return
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways += [_Way(near, far, from_server=False), _Way(far, near, from_server=True)]
        self.connections += 1

    def _read(self, way: _Way) -> None:
        if way.at_end or way.waiting >= QUEUE:
            return
        room = CHUNK
        if way.from_server and self._rule is not None:
            room = min(room, self._rule.left)
        if way.from_server and self._rate is not None:
            room = min(room, max(1, int(self._rate / 20)))
        if room == 0:
            return
        data = way.source.recv(room)
        now = time.monotonic()
        way.queue.append((now + self._delay, data or None))
        way.waiting += len(data)
        way.at_end = not data
        if not way.from_server:
            self.from_client += len(data)
            return
        self.from_server += len(data)
        if self._rate is not None:
            self._paid_until = max(now, self._paid_until) + len(data) / self._rate
        if self._rule is not None:
            self._rule.left -= len(data)

    def _write(self, way: _Way) -> None:
        now = time.monotonic()
        while way.queue and way.queue[0][0] <= now:
            due, data = way.queue[0]
            if data is None:
                way.target.shutdown(socket.SHUT_WR)
                way.queue.popleft()
                way.finished = True
            else:
                sent = way.target.send(data)
                way.waiting -= sent
                if sent < len(data):
                    way.queue[0] = (due, data[sent:])
                    return
                way.queue.popleft()
        if all(each.finished for each in self._both(way)):
            self._drop(way, reset=False)
        self._look_at_rule()

    def _look_at_rule(self) -> None:
        """A rule comes true when what it lets through has gone on."""
        rule = self._rule
        if rule is None or rule.left > 0 or any(way.waiting for way in self._ways if way.from_server):
            return
        if rule.action == "stall":
            self._rule, self.stalled = None, True
            return
        rule.times, rule.left = rule.times - 1, rule.every
        if not rule.times:
            self._rule = None
        self.cuts += 1
        self._cut_all(reset=rule.action == "reset")

    def _both(self, way: _Way) -> list[_Way]:
        return [each for each in self._ways if each.source in (way.source, way.target)]

    def _drop(self, way: _Way, *, reset: bool) -> None:
        both = self._both(way)
        self._ways = [each for each in self._ways if each not in both]
        for each in both:
            self._forget(each.source, reset)

    def _cut_all(self, reset: bool) -> None:
        for way in self._ways:
            self._forget(way.source, reset)
        self._ways = []

    def _forget(self, end: socket.socket, reset: bool) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)
        _close(end, reset=reset)


def _close(end: socket.socket, *, reset: bool) -> None:
    if reset:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
