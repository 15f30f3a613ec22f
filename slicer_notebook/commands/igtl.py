"""Commands about OpenIGTLink: connections to trackers and other programs, what they send, what is sent to them.

Nodes and messages: `commands.igtl_nodes`. Connections and devices, as notebooks see them: `commands.igtl_connections`,
`commands.igtl_devices`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

import numpy as np

from slicer_notebook.commands import context, igtl_hubs
from slicer_notebook.commands.gateway import check_allowed
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.igtl_connections import Connection
from slicer_notebook.commands.igtl_hub import Hub
from slicer_notebook.commands.igtl_hubs import PORT, made_by
from slicer_notebook.commands.igtl_nodes import CLASSES, DEVICE, message_of
from slicer_notebook.commands.igtl_recordings import Recording
from slicer_notebook.commands.igtl_streams import tracking_message
from slicer_notebook.commands.igtl_waiters import Answer
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.series_nodes import sequence_items
from slicer_notebook.errors import ArgumentError, DeadlineError, OpenIGTLinkError
from slicer_notebook.igtl.contents import Command, Reply, StartStream
from slicer_notebook.igtl.message import TYPES, Message
from slicer_notebook.pacs.checks import is_loopback
from slicer_notebook.protocol.values import Array, NodeRef

__all__ = ["hub_of"]

#: Seconds that a server may take to be connected, and a peer to answer, where nobody says more.
_CONNECT: Final = 5.0
_ANSWER: Final = 5.0
#: Seconds that an answer to a subscription is waited for: many programs stream without one.
_RTS: Final = 1.0
#: Seconds between two looks for a cancel.
_LOOK: Final = 0.1
#: Protocol version -> header version (protocol 1 and 2 send header version 1).
_HEADERS: Final = {1: 1, 2: 1, 3: 2}

_command_ids = itertools.count(1)
_recording_ids = itertools.count(1)


made_by(Hub)


def hub_of(host: Host) -> Hub:
    """The OpenIGTLink connections of a Slicer."""
    hub: Hub = igtl_hubs.hub_of(host)
    return hub


@command("igtl.hand_over", journal=False)
def hand_over(host: Host) -> None:
    """Bring into the scene what has come by OpenIGTLink and waits. It comes by itself; this does not wait for that."""
    hub_of(host).hand_over()


# -- connections -----------------------------------------------------------------------------------------------------


@command("igtl.connect", thread="network", urgent=True)
def connect(
    host: Host,
    server: str,
    port: int = PORT,
    version: int | None = None,
    take_all_as_ras: bool = False,
    commands: bool | None = None,
    allow: list[str] | None = None,
    timeout: float = _CONNECT,
    reconnect: bool = True,
    by: str = "",
) -> dict[str, Any]:
    """Connect to an OpenIGTLink server: what it sends becomes nodes. The connection's entry.

    Args:
        server: name or address of its machine, as seen from Slicer's.
        version: of the protocol, 1 to 3: how to speak until the server has shown what it knows. Without it, as all
            understand it (without metadata).
        take_all_as_ras: take the coordinates of an IMAGE as RAS whatever it says, as SlicerOpenIGTLink does.
        commands: the server may give commands (COMMAND), as other programs may by /api/v1. Without it, only a server of
            this very machine: what they can be told goes to whoever asks.
        allow: what they may do beside: "exec", "write", "quit".
        timeout: seconds.
        reconnect: connect again when the connection was lost, until it is ended.

    Raises:
        DeadlineError, OpenIGTLinkError: there is no connection.
        ArgumentError: a version, a port or a permission that there is not.
    """
    if version not in (None, *_HEADERS):
        raise ArgumentError("There is no such version of OpenIGTLink.", expected="1, 2 or 3", got=str(version))
    if not 1 <= port <= 65535:
        raise ArgumentError("That is no port.", expected="1 to 65535", got=str(port))
    if not server or any(character.isspace() for character in server):
        raise ArgumentError("That is no machine.", expected="a name or an address", got=repr(server))
    hub = hub_of(host)
    connection = hub.connect(
        (server, port),
        version=_HEADERS.get(version or 1, 1),
        timeout=timeout,
        reconnect=reconnect,
        as_ras=take_all_as_ras,
        obeys=is_loopback(server) if commands is None else commands,
        allow=check_allowed(allow or []),
        by=by,
    )
    return hub.plain_connections([connection.id])[0]


@command("igtl.disconnect", thread="network", urgent=True)
def disconnect(host: Host, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """End these connections, or all that were made from here. Their nodes stay. As they were at their end."""
    hub = hub_of(host)
    return hub.plain_connections([each.id for each in hub.disconnect(ids)])


@command("igtl.connections", thread="quick", journal=False, urgent=True)
def connections(host: Host) -> list[dict[str, Any]]:
    """The connections, also those that others have made with our server, oldest first; the last ended ones, too."""
    return hub_of(host).plain_connections()


@command("igtl.devices", thread="quick", journal=False, urgent=True)
def devices(host: Host, connection: int | None = None) -> list[dict[str, Any]]:
    """What came and went, by device and type: counts, rates, the last message in words, the node."""
    return hub_of(host).plain_devices(connection)


# -- sending ---------------------------------------------------------------------------------------------------------


def _ids(connection: int | None) -> list[int] | None:
    return None if connection is None else [connection]


def _check_type(type_: str | None) -> None:
    if type_ is not None and type_ not in CLASSES:
        raise ArgumentError("Nodes are not sent as that.", expected=", ".join(CLASSES), got=repr(type_))


def _listed(node: Any) -> list[NodeLike]:
    """Raises `ArgumentError` for what is neither a node nor a list of some."""
    nodes = list(node) if isinstance(node, list | tuple) else [node]
    if not nodes or not all(isinstance(each, NodeRef | str) for each in nodes):
        raise ArgumentError("That is no node.", expected="a node, its name, or a list of some", got=repr(node)[:80])
    return nodes


def _message(host: Host, nodes: list[NodeLike], device: str | None, type_: str | None) -> Message:
    found = [host.node(each) for each in nodes]
    if type_ == "TDATA":
        return tracking_message(host, found, device if device is not None else found[0].GetAttribute(DEVICE) or "")
    if len(found) != 1:
        raise ArgumentError(
            "Several nodes go into one message only as the tools of a TDATA.",
            expected='one node, or type="TDATA"',
            got=f"{len(found)} nodes",
        )
    return message_of(host, found[0], type_, device)


@command("igtl.send", thread="network", journal=False)
def send(
    host: Host,
    node: Any,
    device: str | None = None,
    type: str | None = None,  # noqa: A002 - the protocol's word
    connection: int | None = None,
) -> dict[str, Any]:
    """Send a node, as it is now, to a connection or to all.

    Args:
        node: one, or several transforms as a TDATA.
        device: the name that it is sent under; its own without one.
        type: as which type of message; without one as it came, or by its class.
        connection: id of one; all that are open without it.

    Returns:
        ``device``, ``type``, ``connections``: ids of those that it was sent to.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such node.
        ArgumentError, ArrayError: it cannot be sent as that.
        OpenIGTLinkError: nobody is connected, or does not read.
    """
    _check_type(type)
    hub = hub_of(host)
    targets = hub.open_connections(_ids(connection))
    message = context.current().on_main(lambda: _message(host, _listed(node), device, type))
    for target in targets:
        hub.send(target, message)
    return {"device": message.device, "type": message.type, "connections": [each.id for each in targets]}


@command("igtl.stream")
def stream(
    host: Host,
    node: Any,
    on: bool = True,
    device: str | None = None,
    type: str | None = None,  # noqa: A002
    connection: int | None = None,
    interval: float = 0.0,
) -> None:
    """Send a node now and whenever it changes, or no more. The newest wins where a peer reads slowly.

    Args:
        connection: id of one; whoever is connected, now or later, without it.
        interval: seconds between two messages, at least.

    Raises:
        NodeNotFoundError, AmbiguousNameError: no such node.
        ArgumentError, ArrayError, OpenIGTLinkError: it cannot be sent as that; no such connection.
    """
    _check_type(type)
    if not 0 <= interval <= 3600:
        raise ArgumentError("The interval does not fit.", expected="0 to 3600 s", got=str(interval))
    hub = hub_of(host)
    nodes = [host.node(each) for each in _listed(node)]
    if connection is not None:
        hub.open_connections([connection])
    if not on:
        chosen = {each.GetID() for each in nodes}
        hub.streams.end(lambda found: {each.GetID() for each in found.nodes} <= chosen, to=connection)
        return
    if type != "TDATA" and len(nodes) != 1:
        raise ArgumentError("Several nodes go together only as a TDATA.", expected='type="TDATA"', got=str(type))
    hub.streams.begin(nodes, to=connection, as_type=type, device=device, interval=interval)


@command("igtl.streams", journal=False)
def streams(host: Host) -> list[dict[str, Any]]:
    """What is sent whenever it changes: ``nodes``, ``type``, ``device``, ``connections``, ``everyone``, ``problem``."""
    return hub_of(host).streams.plain()


# -- asking ----------------------------------------------------------------------------------------------------------


def _wait(hub: Hub, future: Future[Answer], seconds: float, what: str, hint: str) -> Answer:
    """Raises `DeadlineError`, `JobCancelledError`, and what the loss of the connection raises."""
    job = context.current()
    left = seconds
    try:
        while True:
            job.check()
            try:
                return future.result(min(_LOOK, max(0.0, left)))
            except FutureTimeoutError:
                left -= _LOOK
                if left <= 0:
                    raise DeadlineError(
                        f"No answer to {what} came.", expected=f"within {seconds:g} s", got="silence", hint=hint
                    ) from None
    finally:
        hub.waiters.forget(future)


def _ask(
    hub: Hub, target: Connection, question: Message, fits: Callable[[Message], bool], seconds: float, hint: str
) -> Answer:
    future = hub.waiters.expect(target.id, fits)
    try:
        hub.send(target, question)
    except BaseException:
        hub.waiters.forget(future)
        raise
    return _wait(hub, future, seconds, question.type, hint)


def _the_one(hub: Hub, connection: int | None) -> Connection:
    found = hub.open_connections(_ids(connection))
    if len(found) != 1:
        listed = ", ".join(f"{each.id} ({each.peer})" for each in found)
        raise ArgumentError("Which connection?", expected=f"connection=..., one of {listed}", got="none")
    return found[0]


def _known(type_: str) -> str:
    if type_ not in TYPES:
        raise ArgumentError("There is no such type of message.", expected=", ".join(TYPES), got=repr(type_))
    return type_


@command("igtl.query", thread="network", journal=False)
def query(
    host: Host,
    type: str,  # noqa: A002
    device: str = "",
    connection: int | None = None,
    timeout: float = _ANSWER,
) -> dict[str, Any]:
    """Ask a peer for the data of a device (GET_), and wait for them.

    Args:
        type: such as "TRANSFORM", "IMAGE", "STATUS", "CAPABILITY".
        device: "" for any.
        connection: id; needed where there are several.

    Returns:
        ``device``, ``type``, ``words``: the answer in words, ``node``: what it became, None for what becomes none.

    Raises:
        DeadlineError: no answer came; many programs do not know GET_.
        OpenIGTLinkError: the peer says that there is none; what came cannot become a node; the connection was lost.
    """
    from slicer_notebook.commands.igtl_words import in_words

    hub = hub_of(host)
    target = _the_one(hub, connection)
    asked = Message(f"GET_{_known(type)}", device)
    hint = "Many programs push their data unasked, and do not know GET_."
    answer = _ask(hub, target, asked, lambda m: m.type == type and device in ("", m.device), timeout, hint)
    message = answer.message
    if message.content is None:
        raise OpenIGTLinkError(
            f"{target.peer} has no {type}" + (f" of {device!r}." if device else "."), got="an empty answer"
        )
    if answer.problem:
        raise OpenIGTLinkError(f"The answer cannot be used: {answer.problem}", got=f"{type} of {message.device!r}")
    return {"device": message.device, "type": message.type, "words": in_words(message), "node": answer.node}


@command("igtl.subscribe", thread="network")
def subscribe(
    host: Host,
    type: str,  # noqa: A002
    device: str = "",
    on: bool = True,
    interval: int = 0,
    coordinates: str = "",
    connection: int | None = None,
    timeout: float = _RTS,
) -> bool | None:
    """Ask a peer to send the data of a device as they change (STT_), or no more (STP_).

    Args:
        interval: milliseconds between two messages; only TDATA has a place for it, and for ``coordinates``.
        timeout: seconds that its answer is waited for.

    Returns:
        True when it agrees, None when it does not answer (many programs do not, and stream).

    Raises:
        OpenIGTLinkError: it refuses; the connection was lost.
    """
    hub = hub_of(host)
    target = _the_one(hub, connection)
    wish = StartStream(interval, coordinates) if on and (type == "TDATA" or interval or coordinates) else None
    question = Message(f"{'STT' if on else 'STP'}_{_known(type)}", device, wish)
    try:
        answer = _ask(hub, target, question, lambda m: m.type == f"RTS_{type}", timeout, "")
    except DeadlineError:
        return None
    if isinstance(answer.message.content, Reply) and not answer.message.content.ok:
        raise OpenIGTLinkError(
            f"{target.peer} does not {'stream' if on else 'stop streaming'} {type}"
            + (f" of {device!r}." if device else "."),
            got=f"an RTS_{type} that says error",
        )
    return True


@command("igtl.command", thread="network")
def send_command(
    host: Host,
    name: str,
    text: str = "",
    device: str = "",
    connection: int | None = None,
    timeout: float = _ANSWER,
) -> dict[str, Any]:
    """Have a peer do something (COMMAND, protocol 3), and wait for its answer.

    Args:
        name: of the command, as the peer knows it.
        text: what it needs, often XML.

    Returns:
        ``text``: the answer; ``metadata``: all that it says beside.

    Raises:
        DeadlineError: no answer came.
        OpenIGTLinkError: it says that it failed; the connection was lost.
    """
    hub = hub_of(host)
    target = _the_one(hub, connection)
    number = next(_command_ids)

    def fits(message: Message) -> bool:
        content = message.content
        return message.type == "RTS_COMMAND" and isinstance(content, Command) and content.id == number

    question = Message("COMMAND", device, Command(number, name, text))
    answer = _ask(hub, target, question, fits, timeout, "Only protocol 3 knows commands.")
    content, metadata = answer.message.content, answer.message.metadata
    assert isinstance(content, Command)
    if metadata.get("Status", "SUCCESS").upper() != "SUCCESS":
        raise OpenIGTLinkError(
            f"{target.peer} says that {name!r} failed.",
            got=metadata.get("ErrorMessage") or content.text or metadata["Status"],
            details={"text": content.text, "metadata": metadata},
        )
    return {"text": content.text, "metadata": metadata}


# -- recording -------------------------------------------------------------------------------------------------------


@command("igtl.record_begin", thread="quick", urgent=True)
def record_begin(
    host: Host,
    connection: int | None = None,
    device: str | None = None,
    type: str | None = None,  # noqa: A002
) -> int:
    """Record every message from now on: of a connection, a device, a type, or all. The recording's number.

    What is shown meanwhile may leave out some of many messages; the recording does not.
    """
    hub = hub_of(host)

    def wanted(number: int, name: str, kind: str) -> bool:
        return connection in (None, number) and device in (None, name) and type in (None, kind)

    recording = Recording(next(_recording_ids), wanted)
    hub.recordings[recording.id] = recording
    return recording.id


@command("igtl.recordings", thread="quick", journal=False, urgent=True)
def recordings(host: Host) -> list[dict[str, Any]]:
    """What is being recorded: ``id``, ``count``: messages, ``bytes``, ``seconds``, ``ended``: why it takes no more."""
    return [each.plain() for each in list(hub_of(host).recordings.values())]


@command("igtl.record_end", thread="network")
def record_end(host: Host, id: int, keep: bool = True) -> dict[str, Any]:  # noqa: A002
    """End a recording: its messages become sequences (one for each device and type) and one browser.

    The main thread makes them in turns of 20 ms, so that all else goes on.

    Args:
        id: as of ``igtl.record_begin``.
        keep: False forgets them instead.

    Returns:
        ``sequences`` (longest first) and ``browser`` (None without any): references; ``count``: messages;
        ``seconds``; ``problems``: messages that could not become an item, and why; ``ended``: "" or why it ended by
        itself before.

    Raises:
        ArgumentError: there is no such recording.
        JobCancelledError: cancelled; nothing is kept.
    """
    hub = hub_of(host)
    recording = hub.recordings.pop(id, None)
    if recording is None:
        raise ArgumentError(
            "There is no such recording.",
            expected=", ".join(map(str, hub.recordings)) or "none is going on",
            got=str(id),
        )
    words = recording.plain()
    recording.end()
    found: dict[str, Any] = {"sequences": [], "browser": None, "problems": []}
    if keep:
        job = context.current()

        def progress(done: int, total: int) -> None:
            job.progress(done / total, f"{done} of {total} messages", [done, total])

        sequences, browser, problems = recording.sequences(host, job.on_main, progress)
        found = {"sequences": sequences, "browser": browser, "problems": problems}
    return {**found, "count": recording.count, "seconds": words["seconds"], "ended": words["ended"]}


@command("igtl.matrices", journal=False)
def matrices(host: Host, node: NodeLike) -> Array:
    """The matrices of a recorded transform, float64 [t, 4, 4], to parent, RAS, mm.

    Raises:
        ArgumentError: a sequence of something else.
    """
    sequence = host.node(node, "vtkMRMLSequenceNode")
    items = sequence_items(sequence)
    for item in items:
        if not item.IsA("vtkMRMLLinearTransformNode"):
            raise ArgumentError(
                f"Sequence {sequence.GetName()!r} does not consist of transforms.",
                expected="a sequence of linear transforms",
                got=item.GetClassName(),
            )
    return np.array([host.affine(item) for item in items], dtype=np.float64).reshape(-1, 4, 4)
