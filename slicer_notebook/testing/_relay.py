"""Passes TCP connections on between two network namespaces, by ``splice(2)``: no byte comes up into Python.

Standard library only, and imported by file: `_keeper` runs apart from the package.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

__all__ = ["Relay", "tune"]

#: Bytes that one direction of a connection may hold. Unprivileged users have 64 MiB of pipes in all.
PIPE_SIZE: Final = 1 << 18
#: Turns of one connection before others have theirs.
TURNS: Final = 64
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if hasattr(os, "SPLICE_F_MOVE") else 0
_EVENTS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_WAITING: Final = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN)


def tune(connection: socket.socket) -> None:
    """No waiting for the other side's acknowledgement before a small last packet (Nagle's algorithm)."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Direction:
    """What goes one way: from one socket through a pipe into another."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source.fileno(), target
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self.room: int = fcntl.fcntl(self.into, fcntl.F_GETPIPE_SZ)
        self.held = 0
        self.at_end = False
        self.finished = False

    def turn(self) -> bool:
        """Move what can be moved now; whether anything was. Raises OSError where a connection is broken."""
        moved = False
        if not self.at_end and self.held < self.room:
            try:
                count = os.splice(self.source, self.into, self.room - self.held, flags=_FLAGS)
                self.held += count
                self.at_end = count == 0
                moved = True
            except BlockingIOError:
                pass  # nothing has come, or the pipe has no page left: what is below goes on with it
        if self.held:
            try:
                self.held -= os.splice(self.out, self.target.fileno(), self.held, flags=_FLAGS)
                moved = True
            except BlockingIOError:
                pass  # the reader is slow: the event that it has room again wakes us
        if self.at_end and not self.held and not self.finished:
            self.finished = True
            self.target.shutdown(socket.SHUT_WR)  # half a close stays half a close
        return moved and not self.finished

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


class _Connection:
    """Two sockets, and what goes between them."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.connected = False
        self.directions: list[_Direction] = []

    def work(self) -> bool:
        """Whether there is more to do at once. Raises OSError where a connection is broken."""
        if not self.connected:
            problem = self.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                raise OSError(problem, os.strerror(problem))
            try:
                self.far.getpeername()
            except OSError:
                return False  # not yet
            self.connected = True
            self.directions = [_Direction(self.near, self.far), _Direction(self.far, self.near)]
        there, back = self.directions
        for _ in range(TURNS):
            moved = there.turn()
            if not back.turn() and not moved:
                return False
        return True

    @property
    def finished(self) -> bool:
        return bool(self.directions) and all(direction.finished for direction in self.directions)

    def close(self, *, reset: bool) -> None:
        """Close both; ``reset``: so that the peers see that it broke off."""
        for direction in self.directions:
            direction.close()
        for end in (self.near, self.far):
            if reset:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()


class Relay:
    """Listening sockets, each with the loopback port that its connections go on to, and everything in between.

    One thread; other file descriptors can be waited for beside.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._doors: dict[int, tuple[socket.socket, int]] = {}
        self._connections: dict[int, _Connection] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._unfinished: set[_Connection] = set()

    def watch(self, descriptor: int, called: Callable[[], None]) -> None:
        """``called`` when there is something to read."""
        self._others[descriptor] = called
        self._epoll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Wait for it no more."""
        self._epoll.unregister(descriptor)
        del self._others[descriptor]

    def open(self, door: socket.socket, port: int) -> None:
        """Listen, and pass on to ``port`` of the loopback interface of this namespace."""
        door.setblocking(False)
        # So that it can listen again (after `shut`) while connections from before are still half open.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.listen(128)
        self._doors[door.fileno()] = (door, port)
        self._epoll.register(door.fileno(), select.EPOLLIN)

    def shut(self) -> None:
        """Listen no more: whoever comes is refused. The sockets keep their ports."""
        for descriptor, (door, _) in self._doors.items():
            self._epoll.unregister(descriptor)
            door.shutdown(socket.SHUT_RD)
        self._doors.clear()

    def once(self, timeout: float) -> None:
        """Wait for something to happen, for ``timeout`` seconds at most (-1: without end), and do it."""
        for descriptor, _ in self._epoll.poll(0 if self._unfinished else timeout):
            if descriptor in self._others:
                self._others[descriptor]()
            elif descriptor in self._doors:
                self._accept(*self._doors[descriptor])
            elif descriptor in self._connections:
                self._unfinished.add(self._connections[descriptor])
        for connection in list(self._unfinished):
            self._work(connection)

    def _accept(self, door: socket.socket, port: int) -> None:
        while True:
            try:
                near, _ = door.accept()
            except OSError:
                return  # no more, or no file descriptors left: the next round tries again
            far = socket.socket()
            tune(near)
            tune(far)
            connection = _Connection(near, far)
            if far.connect_ex(("127.0.0.1", port)) not in (0, *_WAITING):
                connection.close(reset=True)
                continue
            for end in (near, far):
                self._connections[end.fileno()] = connection
                self._epoll.register(end.fileno(), _EVENTS)

    def _work(self, connection: _Connection) -> None:
        self._unfinished.discard(connection)
        try:
            if connection.work():
                self._unfinished.add(connection)
            if not connection.finished:
                return
            reset = False
        except OSError:
            reset = True
        self._unfinished.discard(connection)
        for end in (connection.near, connection.far):
            self._connections.pop(end.fileno(), None)
        connection.close(reset=reset)  # closing takes them out of the epoll set
