"""All OpenIGTLink connections of a Slicer: what comes becomes nodes, what changes is sent, and all notebooks see it.

Messages are received on the threads of their connections. Of each device the newest waits for the main thread, which
is called once for all that wait (`MainCalls`): a thousand transforms a second cost little, and while it is busy nothing
piles up. What is recorded is kept before, message by message.

The event "igtl" tells of ``connections`` and ``devices`` that changed, whole (`Connection`, `DeviceEntry`), and of ids
of connections that are ``gone`` with their devices, at most five times a second.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import context
from slicer_notebook.commands.gateway import Line
from slicer_notebook.commands.igtl_connections import Connection
from slicer_notebook.commands.igtl_devices import DeviceEntry
from slicer_notebook.commands.igtl_nodes import NAMELESS, DeviceNodes, apart
from slicer_notebook.commands.igtl_pace import MainCalls
from slicer_notebook.commands.igtl_questions import Questions
from slicer_notebook.commands.igtl_recordings import Recording
from slicer_notebook.commands.igtl_sender import StreamSender
from slicer_notebook.commands.igtl_streams import Stream, Streams
from slicer_notebook.commands.igtl_waiters import Answer, Waiters
from slicer_notebook.commands.igtl_words import status_in_words
from slicer_notebook.errors import ArgumentError, OpenIGTLinkError, SlicerNotebookError, error_in_words
from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import Message

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Host
    from slicer_notebook.igtl.client import Client
    from slicer_notebook.igtl.peer import Peer

__all__ = ["Hub"]

#: Seconds between two events.
EVERY: Final = 0.2
#: Connections that have ended and are kept in the lists.
KEPT: Final = 10
#: Devices that are counted one by one; further ones are counted together, and get no node.
MOST_DEVICES: Final = 1000
#: Parts of images that wait for a busy main thread, before the oldest are given up.
MOST_PARTS: Final = 4096
#: Questions of peers that wait for a busy main thread, before further ones are refused.
MOST_TASKS: Final = 1000
#: What a device beyond `MOST_DEVICES` is counted as.
FURTHER: Final = "(further devices)"

_log = logging.getLogger("slicer_notebook.igtl")


@dataclass
class _Arrived:
    connection: Connection
    message: Message
    entry: DeviceEntry
    #: of time.perf_counter_ns
    at: int


class Hub:
    """The connections of a Slicer.

    Args:
        host: the Slicer.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.waiters = Waiters()
        self._nodes = DeviceNodes(host)
        self._lock = threading.Lock()
        self._connections: dict[int, Connection] = {}
        self._clients: dict[int, Client] = {}
        #: ids of those that are being ended from here
        self._ending: set[int] = set()
        self._entries: dict[tuple[int, str, str, str], DeviceEntry] = {}
        self._numbers = itertools.count(1)
        self._entry_numbers = itertools.count(1)
        self._waiting: dict[tuple[Any, ...], _Arrived] = {}
        self._tasks: deque[Callable[[], None]] = deque()
        self.recordings: dict[int, Recording] = {}
        # Of the command that is the first to need this. Without a command around each call a message is in its node a
        # tenth of a millisecond earlier.
        to_main = context.current().to_main
        submit = partial(to_main, self.hand_over) if to_main else partial(host.ask, "igtl.hand_over", {})
        self._calls = MainCalls(submit, "slicer-notebook-igtl-pace")
        self._sender = StreamSender("slicer-notebook-igtl-streams")
        self.streams = Streams(host, self._deliver, self._calls.request, self._present, self._trouble)
        self.questions = Questions(self)
        self._changed = threading.Event()
        self._told: dict[Any, Any] = {}
        self._gone: list[int] = []
        self._teller: threading.Thread | None = None

    # -- connections -----------------------------------------------------------------------------------------------

    def connect(
        self, address: tuple[str, int], *, version: int, timeout: float, reconnect: bool, **how: Any
    ) -> Connection:
        """Connect to a server. On a thread that may wait.

        Args:
            version: of the header, until the server has shown which one it knows.
            how: of `Connection`: as_ras, allow, by.

        Raises:
            DeadlineError, OpenIGTLinkError: there is no connection.
        """
        from slicer_notebook.igtl.client import Client

        host, port = address
        connection = Connection(next(self._numbers), "client", f"{host}:{port}", **how)
        client = Client(
            host,
            port,
            on_message=lambda _peer, message: self.received(connection, message),
            on_peer=lambda peer, state, why: self.changed(connection, peer, state, why, again=reconnect),
            on_problem=lambda _peer, error: self.problem(connection, error),
            on_skipped=lambda _peer, type_, device: self.skipped(connection, type_, device),
            version=version,
            reconnect=reconnect,
        )
        client.start()
        try:
            client.wait_connected(timeout)
        except BaseException:
            client.stop()
            self._closed(connection, for_good=True)
            raise
        with self._lock:
            self._clients[connection.id] = client
        return connection

    def adopt(self, peer: Peer, **how: Any) -> Connection:
        """Somebody has connected to a server of ours; ``how`` is of `Connection`."""
        return Connection(next(self._numbers), "server", peer.name, **how)

    def disconnect(self, ids: list[int] | None) -> list[Connection]:
        """End these connections, or all that we made; those that were ended. On a thread that may wait."""
        with self._lock:
            chosen = list(self._clients) if ids is None else [each for each in ids if each in self._connections]
            found = [self._connections[each] for each in chosen]
            clients = [client for client in (self._clients.pop(each, None) for each in chosen) if client is not None]
        self._ending.update(chosen)
        for connection in found:
            if connection.kind == "server" and connection.link is not None:
                connection.link.close()
        for client in clients:
            client.stop()
        for connection in found:
            self._closed(connection, for_good=True)
        self._ending.difference_update(chosen)
        return found

    def changed(self, connection: Connection, peer: Peer, state: str, why: str, *, again: bool) -> None:
        """A connection is there, or has ended. On its thread."""
        if state == "connected":
            with self._lock:
                connection.link, connection.state = peer, "open"
                self._connections[connection.id] = connection
            self._tell_soon()
            self.later(partial(self.streams.greet, connection.id))
            return
        if why and connection.id not in self._ending:
            connection.trouble(f"The connection has ended: {why}.")
        self._closed(connection, for_good=not again)
        if not again:
            with self._lock:
                client = self._clients.pop(connection.id, None)
            if client is not None:
                client.stop()

    def _closed(self, connection: Connection, *, for_good: bool) -> None:
        with self._lock:
            if connection.state == "closed":
                return
            connection.link, connection.state = None, "closed" if for_good else "lost"
            ended = [each for each in self._connections.values() if each.state == "closed"]
            for old in ended[: max(0, len(ended) - KEPT)]:
                self._forget(old.id)
        self.waiters.lose(connection.id, OpenIGTLinkError(f"The connection with {connection.peer} has ended."))
        self.later(partial(self.streams.lost, connection.id, for_good=for_good))
        self._tell_soon()

    def _forget(self, number: int) -> None:
        """With the lock held."""
        del self._connections[number]
        for key in [key for key in self._entries if key[0] == number]:
            del self._entries[key]
        self._gone.append(number)

    def connections(self) -> list[Connection]:
        """All, oldest first."""
        with self._lock:
            return list(self._connections.values())

    def open_connections(self, ids: Iterable[int] | None = None) -> list[Connection]:
        """Those that messages can be sent to now: of these, or of all.

        Raises:
            ArgumentError: there is none of that id.
            OpenIGTLinkError: one of these is not open, or there is none at all.
        """
        known = {each.id: each for each in self.connections()}
        if ids is None:
            found = [each for each in known.values() if each.link is not None]
            if not found:
                raise OpenIGTLinkError(
                    "Nobody is connected by OpenIGTLink.",
                    expected="a connection",
                    got="none",
                    hint='slicer.igtl.connect(host), or slicer.gateways.start("igtl") for others to connect',
                )
            return found
        found = []
        for number in ids:
            connection = known.get(number)
            if connection is None:
                listed = ", ".join(map(str, known)) or "none"
                raise ArgumentError("There is no such connection.", expected=listed, got=str(number))
            if connection.link is None:
                raise OpenIGTLinkError(
                    f"The connection with {connection.peer} is not open.",
                    expected="open",
                    got=connection.state,
                    hint=connection.problems[-1]["text"] if connection.problems else None,
                )
            found.append(connection)
        return found

    def _present(self) -> list[int]:
        return [each.id for each in self.connections() if each.link is not None]

    # -- what comes --------------------------------------------------------------------------------------------------

    def received(self, connection: Connection, message: Message) -> None:
        """A message has come. On the connection's thread."""
        at = time.perf_counter_ns()
        connection.received += 1
        entry = self._entry(connection, message, "in")
        entry.counted(message)
        self._tell_soon()
        for recording in list(self.recordings.values()):
            recording.take(connection.id, message, connection.as_ras)
        if message.verb or message.type == "COMMAND":
            self.questions.take(connection, message)
            return
        connection.noted()
        if self._kept_here(connection, message):
            self.waiters.settle(connection.id, Answer(message))
        elif entry.device == FURTHER:
            entry.failed("Too many devices.")
            connection.trouble(f"More than {MOST_DEVICES} devices: {message.device!r} and others are left out.")
        else:
            self._put_aside(connection, message, entry, at)
            self._calls.request()

    def _kept_here(self, connection: Connection, message: Message) -> bool:
        """Whether a message is for the session, not for the scene."""
        content = message.content
        if isinstance(content, contents.Status):
            connection.status = status_in_words(content)
            return True
        if isinstance(content, contents.Capability):
            connection.capability = content.types
            return True
        return content is None

    def _put_aside(self, connection: Connection, message: Message, entry: DeviceEntry, at: int) -> None:
        """Keep a message until the main thread is free; it takes the place of an older one of the same."""
        with self._lock:
            for each in apart(message):
                key, content = (connection.id, each.type, each.device), each.content
                detail: Any = None
                if isinstance(content, contents.Tracking):
                    detail = content.tools[0].name
                elif isinstance(content, contents.Image):
                    parts = [other for other in self._waiting if other[:3] == key and other[3] is not None]
                    if content.size is None:
                        for old in parts:
                            del self._waiting[old]
                    else:
                        detail = (content.offset, content.part_size)
                        if len(parts) >= MOST_PARTS:
                            del self._waiting[parts[0]]
                            connection.trouble("Parts of an image were left out: Slicer was too busy for them.")
                # To the end: a part lies over those that came before it.
                self._waiting.pop((*key, detail), None)
                self._waiting[(*key, detail)] = _Arrived(connection, each, entry, at)

    def problem(self, connection: Connection, error: OpenIGTLinkError) -> None:
        """A message was dropped, or could not be sent. On any thread."""
        words = error_in_words(error)["message"]
        connection.trouble(words)
        connection.noted(Line(who=connection.peer, what="a message", status="dropped", good=False, note=words))
        self._tell_soon()

    def skipped(self, connection: Connection, type_: str, device: str) -> None:
        """A message of a type that nobody here knows was passed over."""
        connection.received += 1
        connection.noted()
        entry = self._entry(connection, Message(type_, device), "in")
        entry.count += 1
        entry.failed("A type that is not known: passed over.")
        self._tell_soon()

    def _entry(self, connection: Connection, message: Message, direction: Any) -> DeviceEntry:
        key = connection.id, message.device, message.type, direction
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                device, type_ = message.device or NAMELESS, message.type
                if len(self._entries) >= MOST_DEVICES:
                    key, device, type_ = (connection.id, FURTHER, "", direction), FURTHER, ""
                entry = self._entries.get(key)
                if entry is None:
                    entry = self._entries[key] = DeviceEntry(
                        next(self._entry_numbers), connection.id, connection.peer, device, type_, direction
                    )
        return entry

    # -- the main thread ---------------------------------------------------------------------------------------------

    def later(self, task: Callable[[], None]) -> None:
        """Have something done on the main thread, soon."""
        self._tasks.append(task)
        self._calls.request()

    def hand_over(self) -> None:
        """Do all that waits for the main thread. On it."""
        began = self._calls.begins()
        try:
            with self._lock:
                arrived, self._waiting = list(self._waiting.values()), {}
            for each in arrived:
                self._into_scene(each)
            for _ in range(len(self._tasks)):
                self._do(self._tasks.popleft())
            self._do(self.streams.send)
        finally:
            self._calls.ended(began)

    @property
    def busy(self) -> bool:
        """Whether so many questions wait for the main thread that no further one is taken."""
        return len(self._tasks) >= MOST_TASKS

    def _do(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:  # noqa: BLE001 - the others are to be done, too
            _log.exception("A task of OpenIGTLink failed.")

    def _into_scene(self, arrived: _Arrived) -> None:
        connection, message, entry = arrived.connection, arrived.message, arrived.entry
        node, problem = None, ""
        try:
            with self.streams.receiving(connection.id):
                node = self.host.ref(self._nodes.put(message, as_ras=connection.as_ras))
        except SlicerNotebookError as exc:
            problem = error_in_words(exc)["message"]
        except Exception as exc:  # noqa: BLE001 - one message that is lost is better than all that follow
            _log.exception("A message of OpenIGTLink did not become a node.")
            problem = f"{type(exc).__name__}: {exc}"
        if node is None:
            entry.failed(problem)
            connection.trouble(f"{message.type} of {message.device or NAMELESS!r}: {problem}")
        else:
            entry.became(node, time.perf_counter_ns() - arrived.at)
        self.waiters.settle(connection.id, Answer(message, node, problem))

    # -- what goes ---------------------------------------------------------------------------------------------------

    def send(self, connection: Connection, message: Message, *, stream: bool = False) -> None:
        """Send a message. From any thread.

        Raises:
            OpenIGTLinkError: the connection is not open, its peer does not read, or the message cannot be said.
        """
        link = connection.link
        if link is None:
            raise OpenIGTLinkError(f"The connection with {connection.peer} is not open.", got=connection.state)
        link.send(message, stream=stream)
        connection.sent += 1
        self._entry(connection, message, "out").counted(message)
        self._tell_soon()

    def send_soon(self, connection: Connection, message: Message) -> None:
        """Send a message on the thread that sends; what goes wrong is the connection's. From any thread."""
        self._sender.put(object(), partial(self._send_or_tell, connection, message))

    def _send_or_tell(self, connection: Connection, message: Message, *, stream: bool = False) -> None:
        try:
            self.send(connection, message, stream=stream)
        except OpenIGTLinkError as exc:
            self.problem(connection, exc)

    def _deliver(self, stream: Stream, to: int, message: Message, interval: float) -> None:
        """Send a stream's message. On the main thread, which does not wait for it."""
        with self._lock:
            connection = self._connections.get(to)
        if connection is None or connection.link is None:
            return
        self._sender.put((id(stream), to), partial(self._send_or_tell, connection, message, stream=True), interval)

    def _trouble(self, connection: int, text: str) -> None:
        with self._lock:
            found = self._connections.get(connection)
        if found is not None:
            found.trouble(text)
            self._tell_soon()

    # -- what notebooks are told -------------------------------------------------------------------------------------

    def plain_connections(self, ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """What notebooks are told of these connections, or of all."""
        rates: dict[int, float] = {}
        for entry in self._all_entries():
            if entry.direction == "in":
                rates[entry.connection] = rates.get(entry.connection, 0.0) + entry.rate
        wanted = None if ids is None else set(ids)
        return [
            each.plain(rates.get(each.id, 0.0)) for each in self.connections() if wanted is None or each.id in wanted
        ]

    def plain_devices(self, connection: int | None = None) -> list[dict[str, Any]]:
        """What notebooks are told of the devices of a connection, or of all."""
        return [each.plain() for each in self._all_entries() if connection in (None, each.connection)]

    def _all_entries(self) -> list[DeviceEntry]:
        with self._lock:
            return list(self._entries.values())

    def _tell_soon(self) -> None:
        if not self._changed.is_set():
            self._changed.set()
        if self._teller is None:
            with self._lock:
                if self._teller is None:
                    name = "slicer-notebook-igtl-news"
                    self._teller = threading.Thread(target=self._tell, name=name, daemon=True)
                    self._teller.start()

    def _tell(self) -> None:
        moving = False
        while True:
            # Rates fall when nothing comes any more.
            self._changed.wait(EVERY if moving else None)
            self._changed.clear()
            try:
                moving = self._tell_news()
            except Exception:  # noqa: BLE001 - one event that is lost is better than all that follow
                _log.exception("The notebooks were not told of OpenIGTLink.")
            time.sleep(EVERY)

    def _tell_news(self) -> bool:
        entries = self._all_entries()
        moving = sum(entry.sample() for entry in entries) > 0
        with self._lock:
            gone, self._gone = self._gone, []
        news: dict[str, list[dict[str, Any]]] = {"connections": [], "devices": []}
        now: dict[Any, Any] = {}
        for kind, all_ in (("connections", self.plain_connections()), ("devices", self.plain_devices())):
            for words in all_:
                key = kind, words["id"]
                now[key] = words
                if self._told.get(key) != words:
                    news[kind].append(words)
        self._told = now
        if any(news.values()) or gone:
            self.host.tell("igtl", {**news, "gone": gone})
        return moving
