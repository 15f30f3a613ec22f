"""What OpenIGTLink peers ask of a Slicer: data of its nodes, streams of them, commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import igtl_nodes, igtl_remote
from slicer_notebook.commands.gateway import Line
from slicer_notebook.commands.igtl_streams import Stream, tracking_message
from slicer_notebook.commands.igtl_waiters import Answer
from slicer_notebook.commands.igtl_words import in_words
from slicer_notebook.errors import GatewayError, OpenIGTLinkError, SlicerNotebookError, error_in_words
from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import TYPES, Message, wire_type

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Asked
    from slicer_notebook.commands.igtl_connections import Connection
    from slicer_notebook.commands.igtl_hub import Hub

__all__ = ["Questions"]

#: What is understood and answered, by the names of the wire.
_CAPABILITY: Final = (
    *TYPES,
    *(wire_type(f"GET_{name}") for name in (*igtl_nodes.CLASSES, "STATUS", "CAPABILITY")),
    *(wire_type(f"{verb}_{name}") for verb in ("STT", "STP") for name in igtl_nodes.CLASSES),
)

#: Commands of one peer that run at the same time; further ones are refused.
AT_ONCE: Final = 8
#: Data that one peer has asked for and not got yet, each perhaps a whole volume; further questions are refused.
MOST_ASKED: Final = 64
#: Streams that one STT_ for any device begins at most.
_STREAMS: Final = 64


class Questions:
    """Answers them.

    Args:
        hub: the connections.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def take(self, connection: Connection, message: Message) -> None:
        """A question, or an answer to one of ours. On the connection's thread."""
        if message.type == "COMMAND":
            self._command(connection, message)
        elif message.verb == "GET":
            self._get(connection, message)
        elif message.verb in ("STT", "STP"):
            began = time.perf_counter()
            change = self._start if message.verb == "STT" else self._stop
            if self._hub.busy:
                self._reply(connection, message, began, "Slicer is too busy", done=False)
            else:
                self._hub.later(lambda: self._stream(connection, message, change, began))
        else:
            connection.noted(_line(connection, message))
            self._hub.waiters.settle(connection.id, Answer(message))

    # -- GET_ --------------------------------------------------------------------------------------------------------

    def _get(self, connection: Connection, message: Message) -> None:
        """GET_X is answered by X of the query's device name, without content where there is none."""
        began = time.perf_counter()
        type_ = message.subject
        if type_ == "CAPABILITY":
            self._give(connection, message, began, Message(type_, message.device, contents.Capability(_CAPABILITY)))
        elif type_ == "STATUS":
            running = contents.Status(text="Slicer is running")
            self._give(connection, message, began, Message(type_, message.device, running))
        elif type_ not in igtl_nodes.CLASSES:
            self._give(connection, message, began, None)
        elif self._hub.busy or connection.asked >= MOST_ASKED:
            self._give(connection, message, began, None, "too much is asked for already")
        else:
            connection.asked += 1
            self._hub.later(lambda: self._look(connection, message, began))

    def _look(self, connection: Connection, message: Message, began: float) -> None:
        """On the main thread."""
        found, problem = None, ""
        try:
            found = self._found(message.subject, message.device)
        except SlicerNotebookError as exc:
            problem = error_in_words(exc)["message"]
            connection.trouble(f"{message.type} of {message.device!r}: {problem}")
        connection.asked -= 1
        self._give(connection, message, began, found, problem)

    def _give(
        self, connection: Connection, query: Message, began: float, found: Message | None, problem: str = ""
    ) -> None:
        note = problem or ("there is none" if found is None else in_words(found))
        connection.noted(_line(connection, query, began, note, good=not problem))
        # A large volume is encoded on the thread that sends, not on the main one.
        answer = Message(query.subject, query.device) if found is None else found
        self._hub.send_soon(connection, answer)

    def _found(self, type_: str, device: str) -> Message | None:
        host = self._hub.host
        nodes = igtl_nodes.nodes_of(host, type_, device)
        if not nodes:
            return None
        if type_ == "TDATA":
            return tracking_message(host, nodes, device)
        return igtl_nodes.message_of(host, nodes[0], type_, device or None)

    # -- STT_, STP_ --------------------------------------------------------------------------------------------------

    def _stream(
        self, connection: Connection, message: Message, change: Callable[[Connection, Message], bool], began: float
    ) -> None:
        """On the main thread."""
        problem = ""
        try:
            done = change(connection, message)
        except SlicerNotebookError as exc:
            done, problem = False, error_in_words(exc)["message"]
        self._reply(connection, message, began, problem or ("" if done else "there is no such node"), done=done)

    def _reply(self, connection: Connection, message: Message, began: float, note: str, *, done: bool) -> None:
        connection.noted(_line(connection, message, began, note, good=done))
        reply = Message(f"RTS_{message.subject}", message.device, contents.Reply(0 if done else 1))
        self._say(connection, reply)

    def _start(self, connection: Connection, message: Message) -> bool:
        type_, device = message.subject, message.device
        wish = message.content if isinstance(message.content, contents.StartStream) else contents.StartStream()
        nodes = igtl_nodes.nodes_of(self._hub.host, type_, device)
        how: dict[str, Any] = {"to": connection.id, "as_type": type_, "interval": wish.interval / 1000, "asked": True}
        if type_ == "TDATA" and nodes:
            self._hub.streams.begin(nodes, device=device, **how)
        else:
            for node in nodes[: 1 if device else _STREAMS]:
                self._hub.streams.begin([node], device=device or None, **how)
        return bool(nodes)

    def _stop(self, connection: Connection, message: Message) -> bool:
        type_, device = message.subject, message.device

        def fits(stream: Stream) -> bool:
            return stream.type == type_ and (not device or stream.device == device)

        return self._hub.streams.end(fits, to=connection.id) > 0

    # -- COMMAND -----------------------------------------------------------------------------------------------------

    def _command(self, connection: Connection, message: Message) -> None:
        command = message.content
        began = time.perf_counter()
        if not isinstance(command, contents.Command):
            connection.noted(_line(connection, message, began, "it says nothing", good=False))
            return
        try:
            if connection.commands >= AT_ONCE:
                raise GatewayError(f"{AT_ONCE} commands run already.", hint="wait for an answer")
            asked = igtl_remote.begin(self._hub.host, command, connection)
        except SlicerNotebookError as exc:
            self._answer(connection, message, igtl_remote.failure(command, exc), began)
            return
        connection.commands += 1

        def done(asked: Asked) -> None:
            connection.commands -= 1
            self._answer(connection, message, igtl_remote.outcome(command, asked), began)

        asked.add_done_callback(done)  # type: ignore[arg-type]

    def _answer(
        self,
        connection: Connection,
        message: Message,
        outcome: tuple[contents.Command, dict[str, str], str],
        began: float,
    ) -> None:
        content, metadata, problem = outcome
        connection.noted(_line(connection, message, began, problem, good=not problem))
        self._say(connection, Message("RTS_COMMAND", message.device, content, metadata=metadata))

    def _say(self, connection: Connection, message: Message) -> None:
        try:
            self._hub.send(connection, message)
        except OpenIGTLinkError as exc:
            self._hub.problem(connection, exc)


def _line(
    connection: Connection, message: Message, began: float | None = None, note: str = "", *, good: bool = True
) -> Line:
    name = message.content.name if isinstance(message.content, contents.Command) else message.device
    ms = 0.0 if began is None else (time.perf_counter() - began) * 1e3
    what = f"{message.type} {name}".strip()
    return Line(who=connection.peer, what=what, status="ok" if good else "error", good=good, ms=ms, note=note)
