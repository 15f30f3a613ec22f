"""The link to an agent in a Jupyter kernel, over ZeroMQ.

Callers send on a socket of their own under a lock; one background thread receives. (One thread for both would add a
hand-over and a wake-up to each call: 0.2 ms of 1.)
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import threading
import time
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from slicer_notebook import __version__, errors
from slicer_notebook.commands import registry
from slicer_notebook.protocol import messages, shm, transfers, values
from slicer_notebook.session.link import Link
from slicer_notebook.session.output import Output

__all__ = ["KernelLink"]

_log = logging.getLogger("slicer_notebook")

#: Runs in the kernel. Nothing of it stays in the user's namespace.
_BOOTSTRAP = """\
def _slicer_notebook_bootstrap():
    from slicer_notebook.host.agent import serve
    serve({token!r})
try:
    _slicer_notebook_bootstrap()
finally:
    del _slicer_notebook_bootstrap
"""

#: Milliseconds between two tries to reach a kernel that is just starting (ZeroMQ's default: 100).
_RECONNECT = 20

#: Seconds until a starting kernel is asked once more, should the question have been lost. It answers each: not often.
_ASK_AGAIN = 5.0

#: Seconds between two looks at the process and at released leases, when nothing comes.
_TICK = 0.2

#: Seconds without an answer of the kernel's heartbeat thread after which a Slicer on another machine counts as lost.
_HEARTBEAT_LIMIT = 10.0

_OUTPUTS = ("stream", "display_data", "update_display_data", "execute_result", "clear_output")


class KernelLink(Link):
    """Speaks with the agent in one kernel.

    Args:
        connection_file: the kernel's connection file.
        process_exited: tells whether the kernel's process is known to have ended (a launcher knows).
        shared_memory: whether arrays may go through shared memory when the machine is the same.
    """

    def __init__(
        self,
        connection_file: str,
        *,
        process_exited: Any = None,
        shared_memory: bool = True,
    ) -> None:
        super().__init__()
        self._client = BlockingKernelClient(connection_file=connection_file, context=zmq.Context.instance())
        self._client.load_connection_file()
        self._session = self._client.session
        self._process_exited = process_exited
        self._want_shared = shared_memory
        self._shared = False
        self._pool = shm.SegmentPool()
        self._reader = shm.SegmentReader(self._released.append)
        self._incoming = transfers.Incoming()
        self._transfer_numbers = itertools.count(1)
        self._tx_lock = threading.Lock()
        self._control_lock = threading.Lock()
        self._comm_id: str | None = None
        self._topic = b""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pidfd = -1
        self._heard = time.monotonic()

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, timeout: float) -> None:
        """Connect, start the agent, agree on a protocol.

        Raises:
            LaunchError: the kernel's process ended.
            DeadlineError: no answer in time.
            SlicerNotInstalledError: the kernel has no Slicer.
            ProtocolError: the two ends do not understand each other.
        """
        deadline = time.monotonic() + timeout
        context = self._client.context
        context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
        self._iopub = self._client.connect_iopub()
        self._shell_rx = self._client.connect_shell()
        self._shell_tx = self._client.connect_shell()
        self._control = self._client.connect_control()
        self._heartbeat = context.socket(zmq.REQ)
        for socket in (self._iopub, self._shell_rx, self._shell_tx, self._control, self._heartbeat):
            socket.linger = 0
        # IOPub must not lose the parts of a large array: no high-water mark on our end.
        self._iopub.set_hwm(0)
        try:
            self._await_iopub(deadline)
            self._await_hello(deadline)
        except BaseException:
            self._close_sockets()
            raise
        self._thread = threading.Thread(target=self._run, name="slicer-notebook-link", daemon=True)
        self._thread.start()

    def _await_iopub(self, deadline: float) -> None:
        """Until a message came on IOPub: the kernel runs, and the subscription (which takes a moment) is in force."""
        poller = zmq.Poller()
        poller.register(self._iopub, zmq.POLLIN)
        poller.register(self._shell_rx, zmq.POLLIN)
        ask_at = 0.0
        while True:
            if time.monotonic() >= ask_at:
                self._session.send(self._shell_rx, "kernel_info_request", {})
                ask_at = time.monotonic() + _ASK_AGAIN
            ready = dict(poller.poll(20))
            if self._iopub in ready:
                return
            if self._shell_rx in ready:
                # The kernel answered, but what it published meanwhile came too early for the subscription: again.
                self._shell_rx.recv_multipart()
                if self._iopub.poll(20):
                    return
                ask_at = 0.0
            self._check_opening(deadline)

    def _check_opening(self, deadline: float) -> None:
        if self._process_exited is not None and self._process_exited():
            raise errors.LaunchError("Slicer ended before it was ready.")
        if time.monotonic() > deadline:
            raise errors.DeadlineError(
                "Slicer did not answer in time.",
                hint="is the kernel busy or gone? try a longer timeout=, or sn.sessions() to see what runs",
            )

    def _await_hello(self, deadline: float) -> None:
        token = os.urandom(16).hex()
        request = self._session.send(
            self._shell_rx,
            "execute_request",
            {
                "code": _BOOTSTRAP.format(token=token),
                "silent": True,
                "store_history": False,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": False,
            },
        )
        poller = zmq.Poller()
        poller.register(self._iopub, zmq.POLLIN)
        poller.register(self._shell_rx, zmq.POLLIN)
        while self._comm_id is None:
            for socket, _ in poller.poll(50):
                _, message = self._session.recv(socket, zmq.NOBLOCK, copy=True)
                if message is None:
                    continue
                if message["msg_type"] == "comm_open" and message["content"].get("target_name") == messages.TARGET_NAME:
                    self._consider(message, token)
                elif (
                    message["msg_type"] == "execute_reply"
                    and message["parent_header"].get("msg_id") == request["header"]["msg_id"]
                ):
                    _raise_bootstrap(message["content"])
            self._check_opening(deadline)

    def _consider(self, message: Any, token: str) -> None:
        buffers = message["buffers"]
        readable = True

        def fetch(header: values.ArrayHeader, parts: list[Any]) -> Any:
            nonlocal readable
            if header.segment is None:
                return values.fetch_from_buffer(header, parts)
            try:
                return self._reader.fetch(header)
            except (errors.ProtocolError, ValueError):
                readable = False
                return None

        hello = values.decode(buffers, fetch=fetch)
        if not isinstance(hello, messages.Hello) or hello.token != token:
            return
        if hello.protocol[0] != messages.PROTOCOL_VERSION[0]:
            raise errors.ProtocolError(
                "The slicer_notebook in Slicer speaks another version of the protocol.",
                expected=f"protocol {messages.PROTOCOL_VERSION[0]} (slicer_notebook {__version__})",
                got=f"protocol {hello.protocol[0]} (slicer_notebook {hello.package})",
                hint="install the same version on both ends",
            )
        same_machine = hello.machine == shm.machine_id() and hello.probe is not None and readable
        self._shared = same_machine and self._want_shared
        self.local_pid = hello.pid if hello.machine == shm.machine_id() else None
        hello.probe = None
        self.hello = hello
        self._comm_id = message["content"]["comm_id"]
        self._topic = f"comm-{self._comm_id}".encode()
        self._send(
            messages.Attach(
                protocol=messages.PROTOCOL_VERSION,
                package=__version__,
                pid=os.getpid(),
                client=f"pid {os.getpid()}",
                shared_memory=self._shared,
            )
        )

    # -- out -----------------------------------------------------------------------------------------------------

    def _store(self, array: values.Array, buffers: list[Any]) -> values.ArrayHeader:
        values.check_array(array)
        if self._shared and array.nbytes >= values.SHARE_FROM:
            # Out of shared memory (a container's limit): the socket still works.
            with contextlib.suppress(OSError):
                return self._pool.store(array)
        # ZeroMQ sends from this memory later, when the caller may have changed it: copy.
        own = array.copy(order="C")
        if array.nbytes <= values.CHUNK_SIZE:
            return values.store_in_buffer(own, buffers)
        return self._in_chunks(own)

    def _in_chunks(self, array: values.Array) -> values.ArrayHeader:
        transfer = next(self._transfer_numbers)
        for buffers in transfers.outgoing(array, transfer):
            self._transmit(buffers)
        return values.ArrayHeader(dtype=array.dtype.str, shape=array.shape, transfer=transfer)

    def _transmit(self, buffers: list[Any], message: Any = None) -> str:
        with self._tx_lock:
            if self._closing.is_set():
                raise self._fresh_error() if self._error else errors.SessionClosedError("The session is closed.")
            sent = self._session.send(self._shell_tx, message or self._comm_message(), buffers=buffers)
        found: str = sent["header"]["msg_id"]
        return found

    def _comm_message(self) -> Any:
        return self._session.msg("comm_msg", {"comm_id": self._comm_id, "data": {}})

    def _send(self, message: messages.Message) -> str:
        return self._transmit(values.encode(message, store=self._store, other=as_reference))

    def _dispatch(self, request: messages.Request, job: Any) -> None:
        buffers = values.encode(request, store=self._store, other=as_reference)
        message = self._comm_message()
        # Known before it is sent: the first output may come before send returns.
        job.message_id = message["header"]["msg_id"]
        self._by_message[job.message_id] = job
        if self.hello.control and registry.get(request.command).urgent:
            self._by_control(buffers, message)
        else:
            self._transmit(buffers, message)

    def _send_cancel(self, message: messages.Cancel) -> None:
        if not self.hello.control:
            self._send(message)
        elif not self._closing.is_set():
            self._by_control(values.encode(message), self._comm_message())

    def _by_control(self, buffers: list[Any], message: Any) -> None:
        """Over the channel that the kernel reads while its main thread is at something else."""
        with self._control_lock:
            if self._closing.is_set():
                raise self._fresh_error() if self._error else errors.SessionClosedError("The session is closed.")
            self._session.send(self._control, message, buffers=buffers)

    # -- in ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._iopub, zmq.POLLIN)
        self._watch_process(poller)
        try:
            while not self._closing.is_set():
                ready = dict(poller.poll(int(_TICK * 1000)))
                if self._pidfd >= 0 and self._pidfd in ready:
                    # The last words first: a reply may have come just before the end.
                    self._drain()
                    self._lost(self._died())
                    return
                if self._iopub in ready:
                    self._drain()
                else:
                    self._tick()
        except (zmq.ZMQError, OSError) as exc:
            if not self._closing.is_set():
                self._lost(errors.ConnectionLostError("The connection to Slicer broke.", got=str(exc)))
        finally:
            self._close_sockets()

    def _watch_process(self, poller: zmq.Poller) -> None:
        if self.local_pid is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self.local_pid)
                poller.register(self._pidfd, zmq.POLLIN)
        if self._pidfd < 0:
            serverkey = getattr(self._client, "curve_publickey", None)
            if serverkey is not None:
                self._heartbeat.curve_secretkey = self._client.curve_secretkey
                self._heartbeat.curve_publickey = self._heartbeat.curve_serverkey = serverkey
            self._heartbeat.connect(self._client._make_url("hb"))
            self._heartbeat.send(b"ping")
            poller.register(self._heartbeat, zmq.POLLIN)

    def _tick(self) -> None:
        leases = self.take_released()
        if leases:
            with contextlib.suppress(errors.SessionError):  # closed meanwhile: then all leases are over
                self._send(messages.Release(leases=leases))
        self._pool.trim()
        self._reader.trim()
        if self._pidfd >= 0:
            return
        if self._heartbeat.poll(0):
            self._heartbeat.recv()
            self._heartbeat.send(b"ping")
            self._heard = time.monotonic()
        if (self._process_exited is not None and self._process_exited()) or (
            time.monotonic() - self._heard > _HEARTBEAT_LIMIT
        ):
            self._lost(self._died())

    def _died(self) -> errors.ConnectionLostError:
        return errors.ConnectionLostError(
            f"The Slicer of this session (process {self.hello.pid}) has ended.",
            hint="slicer.restart() starts a clean one; what was in its scene is gone",
            details={"pid": self.hello.pid},
        )

    def _drain(self) -> None:
        while True:
            try:
                frames = self._iopub.recv_multipart(zmq.NOBLOCK, copy=True)
            except zmq.Again:
                return
            # Other notebooks' comms and busy/idle, before the work of checking and parsing them.
            if (frames[0].startswith(b"comm-") and frames[0] != self._topic) or frames[0].endswith(b".status"):
                continue
            self._receive(frames)

    def _receive(self, frames: list[bytes]) -> None:
        _, parts = self._session.feed_identities(frames, copy=True)
        try:
            message = self._session.deserialize(parts)
        except ValueError:
            return  # not signed with this kernel's key, or seen before: not ours to act on
        kind = message["msg_type"]
        parent = message["parent_header"].get("msg_id")
        if kind == "comm_msg":
            if message["content"].get("comm_id") == self._comm_id:
                self._receive_ours(message["buffers"])
        elif kind == "comm_close":
            if message["content"].get("comm_id") == self._comm_id:
                self._lost(errors.ConnectionLostError("Slicer closed the connection.", hint="connect again"))
        elif kind in _OUTPUTS:
            ours = message["parent_header"].get("session") in (None, self._session.session)
            self._handle_output(
                Output("display_data" if kind == "execute_result" else kind, message["content"]), parent, ours
            )

    def _receive_ours(self, buffers: list[Any]) -> None:
        try:
            message = values.decode(buffers, fetch=self._fetch)
            if isinstance(message, messages.Chunk):
                self._incoming.add(message, buffers)
                return
        except errors.SlicerNotebookError as exc:
            self._refuse(buffers, exc)
            return
        if isinstance(message, messages.Reply):
            self._take_releases(message.releases)
        elif isinstance(message, messages.Release):
            self._take_releases(message.leases)
        self._handle(message)

    def _take_releases(self, leases: list[int]) -> None:
        for lease in leases:
            self._pool.release(lease)

    def _refuse(self, buffers: list[Any], error: errors.SlicerNotebookError) -> None:
        """Fail the call whose reply could not be read in full; log what is no reply."""
        with contextlib.suppress(errors.SlicerNotebookError):
            message = values.decode(buffers, fetch=values.no_array)
            if isinstance(message, messages.Reply):
                self._take_releases(message.releases)
                self._handle(messages.Reply(id=message.id, error=messages.ErrorInfo(**values.error_info(error))))
                return
        _log.error("A message from Slicer could not be read: %s", error)

    def _fetch(self, header: values.ArrayHeader, buffers: list[Any]) -> values.Array:
        if header.segment is not None:
            return self._reader.fetch(header)
        if header.transfer >= 0:
            return self._incoming.take(header)
        return values.fetch_from_buffer(header, buffers)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the connection; waiting calls fail, the Slicer goes on."""
        if self._closing.is_set():
            return
        if self.alive:
            # What nobody will wait for any more must not keep Slicer from the others.
            with contextlib.suppress(zmq.ZMQError):
                for number in list(self._jobs):
                    self._cancel(number)
                self._control.linger = 500
            with contextlib.suppress(errors.SessionError, zmq.ZMQError), self._tx_lock:
                self._session.send(self._shell_tx, "comm_close", {"comm_id": self._comm_id, "data": {}})
                # The closing message must leave before the socket does.
                self._shell_tx.linger = 500
        self._lost(
            errors.SessionClosedError("The session was closed.", hint="sn.connect() or sn.launch() gives a new one")
        )
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        self._end_callbacks()
        self._pool.close()
        self._reader.close()

    def shutdown(self) -> None:
        """Ask the kernel to end, and close."""
        if self.alive:
            with contextlib.suppress(zmq.ZMQError), self._control_lock:
                self._session.send(self._control, "shutdown_request", {"restart": False})
                self._control.linger = 500
        self.close()

    def _close_sockets(self) -> None:
        self._closing.set()
        with self._tx_lock, self._control_lock:
            for socket in (self._iopub, self._shell_rx, self._shell_tx, self._control, self._heartbeat):
                socket.close()
        if self._pidfd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._pidfd)
            self._pidfd = -1


def as_reference(value: Any) -> Any:
    """The reference of a node handle; None for anything else."""
    return getattr(value, "_slicer_notebook_ref", None)


def _raise_bootstrap(content: dict[str, Any]) -> None:
    if content.get("status") == "ok":
        return
    name, text = content.get("ename", ""), content.get("evalue", "")
    if name in ("ModuleNotFoundError", "ImportError") and "slicer_notebook" in text:
        raise errors.SlicerNotInstalledError(
            "The kernel's Python has no slicer_notebook.",
            expected=f"slicer_notebook {__version__}",
            got=text,
            hint="in that Slicer: slicer.util.pip_install('slicer-notebook')",
        )
    found = errors.by_name(name)
    if found is errors.CommandError:
        raise errors.ProtocolError("The agent could not start in the kernel.", got=f"{name}: {text}")
    first, *rest = text.splitlines()
    fields = dict(line.strip().partition(": ")[::2] for line in rest if ": " in line)
    raise found(first, expected=fields.get("expected"), got=fields.get("got"), hint=fields.get("what to do"))


if sys.platform == "win32":  # pragma: no cover - ZeroMQ's poller takes no process handle there
    _TICK = 0.5
