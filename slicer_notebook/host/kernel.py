"""The agent on an ipykernel: the kernel application of the headless Slicer, and the comm to each notebook."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Final

from slicer_notebook.errors import ProtocolError, SlicerNotInstalledError
from slicer_notebook.host.agent import Agent, Connection
from slicer_notebook.protocol.messages import TARGET_NAME

__all__ = ["launch", "open_comm"]

#: Name of the session, for the kernel's own record; set by the launcher.
NAME_VARIABLE: Final = "SLICER_NOTEBOOK_NAME"


#: Between a message's identities and the message (Jupyter messaging, "The Wire Protocol").
DELIM: Final = b"<IDS|MSG>"


def _kernel() -> Any:
    from ipykernel.kernelbase import Kernel

    if not Kernel.initialized():
        raise ProtocolError(
            "The agent needs a Jupyter kernel in this process.",
            expected="an ipykernel",
            got="none",
        )
    return Kernel.instance()


def make_agent() -> Agent:
    """The agent of this process, made at the first call. On the main thread."""
    if Agent.current is not None:
        return Agent.current
    from tornado.ioloop import IOLoop

    kernel = _kernel()
    loop = IOLoop.current()
    host = _host()
    # As at the end of a shutdown_request (ipykernel's kernelbase): the loop's end is the process's.
    host.ending = lambda after: loop.call_later(after, loop.stop)
    return Agent(
        host,
        loop.add_callback,
        loop.call_later,
        reads_control=_read_control(kernel),
        name=os.environ.get(NAME_VARIABLE, "slicer"),
    )


def _host() -> Any:
    headless = sys.modules.get("slicer_notebook.host.headless")
    if headless is not None:
        return headless.start()
    raise SlicerNotInstalledError(
        "This kernel is not a Slicer.",
        expected="the kernel 'Slicer (headless)', or one inside the Slicer application",
        got=f"Python {sys.version.split()[0]} at {sys.executable}",
        hint="use sn.launch(), or install the kernelspec with 'slicer-notebook kernelspec install'",
    )


def _read_control(kernel: Any) -> bool:
    """Let cancel messages come on the control channel. ipykernel handles no comm message there by itself."""
    handlers = getattr(kernel, "control_handlers", None)
    if handlers is None:
        return False

    def comm_msg(_stream: Any, _ident: Any, message: Any) -> None:
        agent = Agent.current
        connection = agent.connections.get(message["content"].get("comm_id", "")) if agent else None
        if connection is not None:
            connection.receive(_buffers(message))

    handlers["comm_msg"] = comm_msg
    return True


def _buffers(message: Any) -> list[Any]:
    return [getattr(b, "buffer", b) for b in message.get("buffers", [])]


class _Comm:
    """One comm to one notebook."""

    def __init__(self, agent: Agent, token: str) -> None:
        import comm

        self._agent = agent
        self._kernel = _kernel()
        self.comm_id = uuid.uuid4().hex
        self._topic = f"comm-{self.comm_id}".encode()
        self.connection: Connection = agent.connect(self.comm_id, self._transmit)
        #: The client's Jupyter session, of the request that opens the comm: another front end's comm_close may come
        #: before the client's first message.
        self._client: str | None = self._kernel.get_parent().get("header", {}).get("session")
        self._comm = comm.create_comm(
            target_name=TARGET_NAME,
            data={},
            buffers=self.connection.hello(token),
            comm_id=self.comm_id,
        )
        self._comm.on_msg(self._on_msg)
        self._comm.on_close(self._on_close)
        # A kernel that is being deleted must not send comm_close from a finalizer.
        self._main = threading.get_ident()

    def _transmit(self, buffers: list[Any]) -> None:
        kernel = self._kernel
        # What Comm.send does, without cleaning the (empty) JSON; session.send copies nothing above 64 KiB.
        kernel.session.send(
            kernel.iopub_socket,
            "comm_msg",
            {"comm_id": self.comm_id, "data": {}},
            parent=kernel.get_parent() if threading.get_ident() == self._main else None,
            ident=self._topic,
            buffers=buffers,
        )

    def _on_msg(self, message: Any) -> None:
        self.connection.receive(_buffers(message))

    def _on_close(self, message: Any) -> None:
        if message["header"].get("session") != self._client:
            # Another front end of this kernel (JupyterLab) refuses comms whose target it does not know; that must not
            # end ours.
            import comm

            self._comm._closed = False
            comm.get_comm_manager().register_comm(self._comm)
            return
        self._agent.disconnect(self.comm_id)


_comms: dict[str, _Comm] = {}


def open_comm(token: str) -> None:
    """Open a comm whose first message carries ``token``."""
    link = _Comm(make_agent(), token)
    _comms[link.comm_id] = link
    for gone in [key for key in _comms if key not in link._agent.connections]:
        del _comms[gone]


def _kernel_class() -> type[Any]:
    """ipykernel's kernel, with a shorter way for the messages of the link."""
    import inspect

    from ipykernel.ipkernel import IPythonKernel

    class SlicerKernel(IPythonKernel):
        """Around each message ipykernel publishes "busy" and "idle", which wakes its IOPub thread while the answer is
        being made. For a comm message it can do without, and does so itself while an ``async`` cell waits; here it
        always does (1.43 ms instead of 1.62 ms for a command that does nothing).
        """

        async def shell_main(self, subshell_id: str | None, msg: Any) -> None:
            lock = self._main_asyncio_lock
            if subshell_id is None and lock is not None and not lock.locked() and _is_link_message(msg):
                await self.dispatch_shell(msg, subshell_id=subshell_id, concurrent=True)
            else:
                await super().shell_main(subshell_id, msg)

    # ipykernel 7.3 and later
    fits = hasattr(IPythonKernel, "shell_main") and (
        "concurrent" in inspect.signature(IPythonKernel.dispatch_shell).parameters
    )
    return SlicerKernel if fits else IPythonKernel


def _is_link_message(frames: list[Any]) -> bool:
    """Whether these frames look like a message of one of our comms; its signature is checked by who handles it."""
    # Jupyter's wire protocol: identities, delimiter, signature, header, parent header, metadata, content, buffers.
    for index, frame in enumerate(frames):
        if frame.bytes == DELIM:
            rest = frames[index + 1 :]
            return (
                len(rest) > 4
                and b'"comm_msg"' in rest[1].bytes
                and any(key.encode() in rest[4].bytes for key in _comms)
            )
    return False


@contextlib.contextmanager
def _without_debugger() -> Iterator[None]:
    """Hide debugpy from ipykernel: importing it takes 0.1 s of a start, and a launched Slicer is driven by a session,
    not debugged by JupyterLab. Users' code can import it afterwards.
    """
    hidden = {"debugpy": None} if "debugpy" not in sys.modules else {}
    # None makes the import fail (Python's reference, "The import system", 5.3.1).
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _refuse_exit() -> None:
    raise SystemExit("exit() does not end a Slicer that a session drives; slicer.close() does")


def launch() -> None:
    """Run the kernel "Slicer (headless)" until it is shut down. The command line is ipykernel's (``-f FILE``)."""
    from slicer_notebook.host import headless

    host = headless.start()
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance(kernel_class=_kernel_class())
    with _without_debugger() if NAME_VARIABLE in os.environ else contextlib.nullcontext():
        app.initialize(sys.argv[1:])
    # From here on what C++ prints is for the log. (Before, the launcher shows it if the start fails.)
    host.application.messages.capture_standard_error()
    slicer = host.slicer
    assert app.shell is not None
    app.shell.user_ns.update(slicer=slicer, mrmlScene=slicer.mrmlScene)
    app.shell.user_ns_hidden.update(slicer=None, mrmlScene=None)
    if NAME_VARIABLE in os.environ:
        # A script that ends in exit() must not take the scene with it: the session ends its Slicer.
        app.shell.ask_exit = _refuse_exit
    make_agent()
    app.start()
