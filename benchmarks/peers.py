"""What the library is compared with: a bare comm, ``execute``, ipyparallel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient

__all__ = ["BareComm", "engine"]

_COMM = "5c0ffee5"

#: Runs in the kernel: a comm that answers each message with an empty one, or with the array that it is asked for.
_ECHO = """
def _bench_opened(comm, _message):
    def answer(message):
        wanted = message["content"]["data"].get("array")
        comm.send({}, buffers=[memoryview(globals()[wanted]).cast("B")] if wanted else None)
    comm.on_msg(answer)
get_ipython().kernel.comm_manager.register_target("bench_echo", _bench_opened)
"""

#: Seconds that a kernel may take to answer.
_PATIENCE = 60.0


class BareComm:
    """jupyter_client's blocking client and a comm, with nothing around it; a context manager."""

    def __init__(self, connection_file: str) -> None:
        self._client = BlockingKernelClient(connection_file=connection_file)
        self._client.load_connection_file()
        self._client.start_channels(hb=False, stdin=False)
        self._client.wait_for_ready(timeout=_PATIENCE)
        self.run(_ECHO)
        self._send("comm_open", {"comm_id": _COMM, "target_name": "bench_echo", "data": {}})
        self.echo()

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        self._client.session.send(self._client.shell_channel.socket, kind, content)

    def run(self, code: str) -> None:
        """Execute code in the kernel; it must not fail."""
        reply = self._client.execute(code, silent=True, store_history=False, reply=True, timeout=_PATIENCE)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"])

    def execute(self, silent: bool = False) -> None:
        """The round trip of a cell that does nothing; ``silent`` is the kernel's quickest way, without history."""
        self._client.execute("pass", silent=silent, reply=True, timeout=_PATIENCE)

    def echo(self, **data: Any) -> list[Any]:
        """The round trip of a comm message; the answer's buffers."""
        self._send("comm_msg", {"comm_id": _COMM, "data": data})
        while True:
            message = self._client.get_iopub_msg(timeout=_PATIENCE)
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == _COMM:
                buffers: list[Any] = message["buffers"]
                return buffers

    def drain(self) -> None:
        """Throw away what other clients' requests made the kernel publish."""
        socket = self._client.iopub_channel.socket
        while socket.poll(0):
            socket.recv_multipart(zmq.NOBLOCK)

    def __enter__(self) -> BareComm:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.stop_channels()


@contextmanager
def engine() -> Iterator[Any]:
    """An ipyparallel view of one engine on this machine, or None where ipyparallel is not installed."""
    try:
        import ipyparallel  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        yield None
        return
    import logging

    with ipyparallel.Cluster(n=1, log_level=logging.WARNING) as client:
        yield client[0]
