"""The link for code that runs in Slicer itself: the same commands, the same copies, no socket.

The notebook on the kernel "Slicer (headless)" uses it. What it prints appears in the cell by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer_notebook import errors
from slicer_notebook.protocol import messages, values
from slicer_notebook.session.job import Job
from slicer_notebook.session.kernel_link import as_reference
from slicer_notebook.session.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["InProcessLink", "agent_here"]


def agent_here() -> Any:
    """The agent of this process, or None when this is not a Slicer.

    The agent's module is in ``sys.modules`` only where a Slicer runs; this layer does not import it.
    """
    module = sys.modules.get("slicer_notebook.host.agent")
    return module.Agent.current if module is not None else None


class InProcessLink(Link):
    """Speaks with the agent of this process.

    Args:
        agent: the agent.
    """

    _count = 0

    def __init__(self, agent: Any) -> None:
        super().__init__()
        self._agent = agent
        InProcessLink._count += 1
        self._name = f"in-process-{InProcessLink._count}"
        self._connection = agent.connect(self._name, self._receive)
        # Arrays are copied once and handed over; nothing is shared, since a result must not change under the user.
        self._connection.store = _hand_over
        self._connection.fetch = _take_over
        self._receive_hello()

    def _receive_hello(self) -> None:
        hello = values.decode(self._connection.hello(""), fetch=_no_probe)
        assert isinstance(hello, messages.Hello)
        self.hello = hello

    def _receive(self, buffers: list[Any]) -> None:
        self._handle(values.decode(buffers, fetch=_take_over))

    def _send(self, message: messages.Message) -> str:
        self._connection.receive(values.encode(message, store=_hand_over, other=as_reference))
        return ""

    def _dispatch(self, request: messages.Request, job: Job[Any]) -> None:  # noqa: ARG002 - here no message has an id
        main = self._agent.main
        if threading.get_ident() == main.ident:
            # What other threads asked for before has its turn before; a cell that calls in a loop must not starve them.
            main.drain()
        self._send(request)

    def _send_cancel(self, message: messages.Cancel) -> None:
        self._send(message)

    def _pump(self) -> Callable[[float | None], bool] | None:
        if threading.get_ident() != self._agent.main.ident:
            return None
        main = self._agent.main

        def pump(left: float | None) -> bool:
            """Do the main thread's work for a moment; False when nothing was to do."""
            wait = 0.02 if left is None else max(0.0, min(0.02, left))
            if main.pending.wait(wait):
                main.drain()
                return True
            return False

        return pump

    def post(self, function: Callable[[], None]) -> None:
        """Callbacks run at once: a thread of their own would have to wait for this one to ask Slicer anything."""
        function()

    def close(self) -> None:
        """End the connection; the Slicer (this process) goes on."""
        self._lost(errors.SessionClosedError("The session was closed.", hint="sn.connect() gives a new one"))
        self._agent.disconnect(self._name)


_handed: dict[int, values.Array] = {}
_handed_lock = threading.Lock()
_numbers: Iterator[int] = iter(range(1, sys.maxsize))


def _no_probe(header: values.ArrayHeader, _buffers: list[Any]) -> Any:
    """The hello's probe of shared memory is not looked at: nothing is shared here."""
    return header


def _hand_over(array: values.Array, _buffers: list[Any]) -> values.ArrayHeader:
    values.check_array(array)
    with _handed_lock:
        number = next(_numbers)
        _handed[number] = array.copy(order="C")
    return values.ArrayHeader(dtype=array.dtype.str, shape=array.shape, transfer=number)


def _take_over(header: values.ArrayHeader, _buffers: list[Any]) -> values.Array:
    with _handed_lock:
        return _handed.pop(header.transfer)
