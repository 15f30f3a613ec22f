"""The agent: the Slicer end of the link. One in a process, a connection for each notebook.

The kernel opens the comm (a client-opened one fails on xeus-python 0.19). Requests come as ``comm_msg`` on the shell
channel and are answered on IOPub; a cancel may come on the control channel, which ipykernel reads on a thread of its
own while a command runs (Jupyter messaging protocol 5.3).
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from slicer_notebook import __version__, errors
from slicer_notebook.commands import registry
from slicer_notebook.commands.dicom import import_dicom
from slicer_notebook.commands.host import Asked, Host
from slicer_notebook.host.events import SceneWatcher
from slicer_notebook.host.executor import Executor, Outcome, Run
from slicer_notebook.host.live import LiveViews
from slicer_notebook.host.main_thread import MainThread
from slicer_notebook.host.playing import Player
from slicer_notebook.protocol import messages, shm, transfers, values
from slicer_notebook.protocol.values import UNSENDABLE

__all__ = ["Agent", "Connection", "serve"]

_log = logging.getLogger("slicer_notebook.agent")

#: Least time between two progress messages of one run, seconds: a bar needs no more.
_PROGRESS_EVERY = 0.05


#: Seconds between two looks for notebooks that were killed.
_LOOK_EVERY = 2.0


#: Seconds after the first notebook has joined: its first commands come before.
_WARM_UP_AFTER = 1.0


class Connection:
    """One notebook.

    Args:
        agent: the agent.
        name: names it, unique in this process.
        transmit: sends the buffers of one message; called on any thread.
    """

    def __init__(self, agent: Agent, name: str, transmit: Callable[[list[Any]], None]) -> None:
        self.agent = agent
        self.name = name
        self.client = ""
        self._transmit = transmit
        #: Where arrays go and come from; a link within the process puts its own here.
        self.store: values.Store = self._store
        self.fetch: values.Fetch = self._fetch
        self._released: collections.deque[int] = collections.deque()
        self._pool = shm.SegmentPool()
        self._reader = shm.SegmentReader(self._released.append)
        self._shared = False
        self._pidfd = -1
        self._probe = shm.probe_array()
        self._incoming = transfers.Incoming()
        self._next_transfer = 0
        self._lock = threading.Lock()
        self._last_progress: dict[int, float] = {}

    # -- out -----------------------------------------------------------------------------------------------------

    def hello(self, token: str) -> list[Any]:
        """The buffers of the first message."""
        try:
            return values.encode(self._hello(token, self._probe), store=lambda array, _: self._pool.store(array))
        except OSError:  # out of shared memory: arrays go through the socket
            return values.encode(self._hello(token, None))

    def _hello(self, token: str, probe: Any) -> messages.Hello:
        return messages.Hello(
            protocol=messages.PROTOCOL_VERSION,
            package=__version__,
            token=token,
            pid=os.getpid(),
            machine=shm.machine_id(),
            control=self.agent.reads_control,
            probe=probe,
            info={"kind": self.agent.host.kind, "python": sys.version.split()[0], "name": self.agent.name},
        )

    def send(self, message: messages.Message) -> None:
        """Send one message. Thread-safe."""
        self._transmit(values.encode(message, store=self.store, other=self._other))

    def _store(self, array: values.Array, buffers: list[Any]) -> values.ArrayHeader:
        values.check_array(array)
        if self._shared and array.nbytes >= values.SHARE_FROM:
            # Out of shared memory (a container's limit): the socket still works.
            with contextlib.suppress(OSError):
                return self._pool.store(array)
        if array.nbytes <= values.CHUNK_SIZE:
            # The bytes leave on another thread, after the volume may have changed: copy.
            return values.store_in_buffer(array.copy(), buffers)
        return self._in_chunks(array)

    def _in_chunks(self, array: values.Array) -> values.ArrayHeader:
        with self._lock:
            self._next_transfer += 1
            transfer = self._next_transfer
        # The bytes leave on another thread, after the volume may have changed: copy.
        for buffers in transfers.outgoing(array.copy(order="C"), transfer):
            self._transmit(buffers)
        return values.ArrayHeader(dtype=array.dtype.str, shape=array.shape, transfer=transfer)

    def _other(self, value: Any) -> Any:
        if hasattr(value, "IsA") and value.IsA("vtkMRMLNode"):
            return self.agent.host.ref(value)
        if hasattr(value, "IsA") and value.IsA("vtkMatrix4x4"):
            return self.agent.host.slicer.util.arrayFromVTKMatrix(value)
        return None

    # -- in ------------------------------------------------------------------------------------------------------

    def receive(self, buffers: list[Any]) -> None:
        """Handle one message from the notebook."""
        try:
            message = values.decode(buffers, fetch=self.fetch)
            if isinstance(message, messages.Chunk):
                self._incoming.add(message, buffers)
        except errors.SlicerNotebookError as exc:
            self._refuse(buffers, exc)
            return
        if isinstance(message, messages.Request):
            for lease in message.releases:
                self._pool.release(lease)
            self._request(message)
        elif isinstance(message, messages.Cancel):
            self.agent.executor.cancel((self.name, message.id), message.interrupt)
        elif isinstance(message, messages.Release):
            for lease in message.leases:
                self._pool.release(lease)
        elif isinstance(message, messages.Attach):
            self._attach(message)
        elif isinstance(message, messages.Watch | messages.Input | messages.Seen | messages.Unwatch):
            self.agent.main.hand_over(lambda: self._look(message))

    def _look(self, message: messages.Watch | messages.Input | messages.Seen | messages.Unwatch) -> None:
        live = self.agent.live
        if isinstance(message, messages.Watch):
            live.watch(self, message)
        elif isinstance(message, messages.Input):
            live.input(self, message)
        elif isinstance(message, messages.Seen):
            live.seen(self, message)
        else:
            live.unwatch(self, message)

    def _refuse(self, buffers: list[Any], error: errors.SlicerNotebookError) -> None:
        """Answer a request that could not be read in full, so that nobody waits for ever; log what is no request."""
        with contextlib.suppress(errors.SlicerNotebookError):
            message = values.decode(buffers, fetch=values.no_array)
            if isinstance(message, messages.Request):
                self._reply(message.id, Outcome(None, error, None, 0.0))
                return
        _log.error("A message from %s could not be read: %s", self.client or self.name, error)

    def _fetch(self, header: values.ArrayHeader, buffers: list[Any]) -> values.Array:
        if header.segment is not None:
            return self._reader.fetch(header)
        if header.transfer >= 0:
            return self._incoming.take(header)
        return values.fetch_from_buffer(header, buffers)

    def _attach(self, message: messages.Attach) -> None:
        self.client = message.client
        self.agent.warm_up()
        self._shared = message.shared_memory
        if message.shared_memory and hasattr(os, "pidfd_open"):
            # The same machine: its death can be seen, even one that says no goodbye.
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(message.pid)
                self.agent.look_after_clients()

    @property
    def watched(self) -> bool:
        """Whether the death of the notebook's process would be noticed."""
        return self._pidfd >= 0

    @property
    def gone(self) -> bool:
        """Whether the notebook's process is known to have ended."""
        return self._pidfd >= 0 and bool(select.select([self._pidfd], [], [], 0)[0])

    def _request(self, request: messages.Request) -> None:
        try:
            command = registry.get(request.command)
            args = command.bind(request.args)
        except errors.SlicerNotebookError as exc:
            self._reply(request.id, Outcome(None, exc, None, 0.0))
            return
        self.agent.executor.start(
            Run(
                (self.name, request.id),
                command,
                args,
                lambda done, text, data: self._progress(request.id, done, text, data),
                lambda outcome: self._reply(request.id, outcome),
            )
        )

    def _progress(self, request: int, done: float, text: str, data: Any) -> None:
        now = time.monotonic()
        if done < 1 and now - self._last_progress.get(request, 0.0) < _PROGRESS_EVERY:
            return
        self._last_progress[request] = now
        self.send(messages.Progress(id=request, done=done, text=text, data=data))

    def _reply(self, request: int, outcome: Outcome) -> None:
        self._last_progress.pop(request, None)
        # What was printed leaves before the reply, so that it is shown before the call returns.
        # ipykernel's flush waits for another thread (0.2 ms): not when there is nothing to flush. What that thread is
        # just sending leaves before the reply, which it sends too.
        for stream in (sys.stdout, sys.stderr):
            if getattr(stream, "_flush_pending", True):
                with contextlib.suppress(AttributeError, ValueError):
                    stream.flush()
        releases = self.take_released()
        if outcome.error is None:
            try:
                self.send(messages.Reply(id=request, result=outcome.result, seconds=outcome.seconds, releases=releases))
            except UNSENDABLE as exc:
                outcome = Outcome(None, _unsendable(outcome.result, exc), None, outcome.seconds)
            else:
                return
        assert outcome.error is not None
        info = values.printable(messages.ErrorInfo(**values.error_info(outcome.error, traceback=outcome.traceback)))
        self.send(messages.Reply(id=request, error=info, seconds=outcome.seconds, releases=releases))

    def trim(self) -> None:
        """Give back shared memory that has been idle for a while."""
        self._pool.trim()
        self._reader.trim()

    def take_released(self) -> list[int]:
        """Leases of the notebook's segments that nothing here looks at any more."""
        return shm.take_all(self._released)

    def close(self) -> None:
        """The notebook is gone."""
        self.agent.live.gone(self)
        self.agent.executor.cancel_all(self.name)
        self._pool.close()
        self._reader.close()
        self._incoming.clear()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _unheard(_done: float, _text: str, _data: Any) -> None:
    """Progress that nobody asked for."""


def _unsendable(result: Any, exc: Exception) -> errors.ArgumentError:
    return errors.ArgumentError(
        "The result cannot be sent to the notebook.",
        expected="plain data, numpy arrays, MRML nodes, or lists and dicts of them",
        got=f"{type(result).__name__} ({exc})",
        hint="return the numbers or the node that you need of it",
    )


class Agent:
    """The Slicer end. Made on the main thread.

    Args:
        host: the Slicer.
        wake: thread-safe ``wake(function)``: the main thread calls ``function`` soon.
        later: ``later(seconds, function)`` on the main thread.
        reads_control: cancel messages on the control channel reach `Connection.receive` while a command runs.
        name: the session's name.
    """

    current: Agent | None = None

    def __init__(
        self,
        host: Host,
        wake: Callable[[Callable[[], None]], None],
        later: Callable[[float, Callable[[], None]], object],
        *,
        reads_control: bool = False,
        name: str = "slicer",
    ) -> None:
        self.host = host
        self.name = name
        self.reads_control = reads_control
        self.main = MainThread(wake)
        self.executor = Executor(host, self.main, self._vtk_log)
        self.connections: dict[str, Connection] = {}
        self._later = later
        self._looking = False
        self._warm = False
        self._listeners: tuple[Callable[[str, Any], None], ...] = ()
        self._listening = threading.Lock()
        host.told = self._event
        host.asked = self.ask
        host.listening = self.listen
        self._asked = itertools.count(1)
        self.watcher = SceneWatcher(host, self._event, later)
        self.player = Player(host, later)
        self.live = LiveViews(host, later)
        Agent.current = self

    def connect(self, name: str, transmit: Callable[[list[Any]], None]) -> Connection:
        """A new connection."""
        connection = self.connections[name] = Connection(self, name, transmit)
        return connection

    def disconnect(self, name: str) -> None:
        """A notebook went away; the Slicer stays."""
        connection = self.connections.pop(name, None)
        if connection is not None:
            connection.close()

    def ask(self, name: str, args: dict[str, Any], progress: Callable[[float, str, Any], None] | None = None) -> Asked:
        """Begin a command for somebody in this process. From any thread; on the main one it runs at once.

        Raises:
            CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
        """
        command = registry.get(name)
        asked, key = Asked(), ("in this process", next(self._asked))
        asked.stop = lambda: self.executor.cancel(key)
        # `cancel` of the future, as asyncio calls it for whoever no longer waits, would leave no place for the outcome.
        asked.set_running_or_notify_cancel()

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                asked.set_exception(outcome.error)
            else:
                asked.set_result(outcome.result)

        self.executor.start(Run(key, command, command.bind(args), progress or _unheard, done))
        return asked

    def look_after_clients(self) -> None:
        """Look every few seconds whether a notebook was killed: its arrays' memory comes back. On the main thread."""
        if self._looking:
            return
        self._looking = True

        def look() -> None:
            for name, connection in list(self.connections.items()):
                if connection.gone:
                    _log.info("%s is gone.", connection.client)
                    self.disconnect(name)
                else:
                    connection.trim()
            self._looking = any(connection.watched for connection in self.connections.values())
            if self._looking:
                self._later(_LOOK_EVERY, look)

        self._later(_LOOK_EVERY, look)

    def warm_up(self) -> None:
        """Soon, on a worker: import what the first look at the index needs, a quarter of a second. Once."""
        if not self._warm:
            self._warm = True
            self._later(_WARM_UP_AFTER, lambda: self.executor.on_worker(import_dicom))

    def listen(self, heard: Callable[[str, Any], None]) -> Callable[[], None]:
        """What `Host.listen` does."""

        def stop() -> None:
            with self._listening:
                self._listeners = tuple(each for each in self._listeners if each is not heard)

        with self._listening:
            self._listeners = (*self._listeners, heard)
        return stop

    def _event(self, kind: str, data: Any) -> None:
        for heard in self._listeners:
            try:
                heard(kind, data)
            except Exception:  # noqa: BLE001 - the others hear of it all the same
                _log.exception("A listener failed at the event %s.", kind)
        for connection in list(self.connections.values()):
            connection.send(messages.Event(kind=kind, data=data))
            leases = connection.take_released()
            if leases:
                connection.send(messages.Release(leases=leases))

    def _vtk_log(self, level: int, text: str) -> None:
        for connection in list(self.connections.values()):
            connection.send(messages.LogRecord(level=level, text=text))


def serve(token: str) -> None:
    """Open a comm to the notebook that sent ``token``. Called by the link's bootstrap, in the kernel.

    Raises:
        SlicerNotInstalledError: this kernel has no Slicer.
    """
    from slicer_notebook.host import kernel

    kernel.open_comm(token)
