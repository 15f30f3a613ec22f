"""GET_, STT_ and STP_ of one peer: who asks what, and what answers.

GET_X is answered by X: with the query's device name, or with an empty body where there is none. STT_X and STP_X are
answered by RTS_X (0 success, 1 error); a stream is asked for its next message whenever its interval has passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias

import msgspec

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.contents import Capability, Reply, StartStream
from slicer_notebook.igtl.loop import Loop, Timer
from slicer_notebook.igtl.message import TYPES, Message, wire_type
from slicer_notebook.igtl.peer import Peer

__all__ = ["Answer", "Provide", "Queries", "Source", "Stream"]

#: A message, none, or a promise of one (such as of a command that runs elsewhere).
Answer: TypeAlias = "Message | Future[Message | None] | None"
#: What answers GET_: called with type ("TRANSFORM") and device name ("" for any), on the thread of the connections.
Provide: TypeAlias = Callable[[str, str], Answer]
#: What a stream says next, or None for nothing new; called on the thread of the connections.
Source: TypeAlias = Callable[[], Answer]
#: What answers STT_: called with type, device name, and what was asked for; None refuses.
Stream: TypeAlias = Callable[[str, str, StartStream], Source | None]

#: The shortest interval, in seconds, at which a stream is asked for its next message; also what 0 ("as fast as
#: possible") stands for.
SHORTEST_INTERVAL = 0.001
#: Streams of one peer; each costs a call at its interval.
MAX_STREAMS = 64
#: Answers that a peer may be owed at once; each may hold a command that runs.
MAX_OWED = 64
_NOT_STREAMED = ("CAPABILITY", "COMMAND")


class _Stream:
    def __init__(self, source: Source, interval: float) -> None:
        self.source = source
        self.interval = interval
        self.timer: Timer | None = None
        self.due = time.monotonic()
        self.last: Message | None = None
        self.ended = False

    def end(self) -> None:
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()


class Queries:
    """What one peer has asked for. All on the loop's thread.

    Args:
        provide: answers GET_; without it, those messages are not taken.
        stream: answers STT_; without it, those messages are not taken.
        problem: told what goes wrong.
    """

    def __init__(
        self,
        peer: Peer,
        loop: Loop,
        provide: Provide | None,
        stream: Stream | None,
        problem: Callable[[Peer, OpenIGTLinkError], None],
    ) -> None:
        self._peer = peer
        self._loop = loop
        self._provide = provide
        self._stream = stream
        self._problem = problem
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._owed = 0

    def take(self, message: Message) -> bool:
        """Answer a query; whether it was one that is answered here."""
        verb = message.verb
        if verb == "GET" and self._provide is not None:
            self._get(message, self._provide)
        elif verb == "STT" and self._stream is not None:
            self._start(message, self._stream)
        elif verb == "STP" and self._stream is not None:
            self._stop(message)
        else:
            return False
        return True

    def end(self) -> None:
        """The peer is gone."""
        for stream in self._streams.values():
            stream.end()
        self._streams.clear()

    def _get(self, query: Message, provide: Provide) -> None:
        subject, device = query.subject, query.device

        def reply(found: Message | None) -> None:
            if found is None and subject == "CAPABILITY":
                found = Message(subject, device, Capability(self._capabilities()))
            if found is None:
                found = Message(subject, device)
            elif device and found.device != device:
                found = msgspec.structs.replace(found, device=device)
            self._send(found, subject)

        self._ask(lambda: provide(subject, device), reply, lambda: reply(None))

    def _capabilities(self) -> tuple[str, ...]:
        """The types that are taken, and the queries that are answered, by the names that they have in a header."""
        queries = [f"GET_{name}" for name in TYPES if name != "COMMAND"]
        if self._stream is not None:
            queries += [f"{verb}_{name}" for verb in ("STT", "STP") for name in TYPES if name not in _NOT_STREAMED]
        return tuple(wire_type(name) for name in (*TYPES, *queries))

    def _start(self, query: Message, start: Stream) -> None:
        subject, device = query.subject, query.device
        key = (subject, device)
        wish = query.content if isinstance(query.content, StartStream) else StartStream()
        source = None
        try:
            if key in self._streams or len(self._streams) < MAX_STREAMS:
                source = start(subject, device, wish)
        except Exception as error:  # noqa: BLE001
            self._problem(self._peer, _failed(f"STT_{subject}", error))
        old = self._streams.pop(key, None)
        if old is not None:
            old.end()
        self._reply(query, source is not None)
        if source is not None:
            stream = self._streams[key] = _Stream(source, max(wish.interval / 1000, SHORTEST_INTERVAL))
            self._tick(stream, subject)

    def _stop(self, query: Message) -> None:
        ended = [
            key for key in self._streams if key[0] == query.subject and (not query.device or key[1] == query.device)
        ]
        for key in ended:
            self._streams.pop(key).end()
        self._reply(query, bool(ended))

    def _tick(self, stream: _Stream, subject: str) -> None:
        if stream.ended:
            return

        def after(message: Message | None) -> None:
            if stream.ended:
                return
            last = stream.last
            # The same data again, by what their sender says of when they were made, is nothing new.
            if message is not None and (last is None or message is not last) and not _same_time(message, last):
                stream.last = message
                self._send(message, subject, stream=True)
            now = time.monotonic()
            stream.due = max(stream.due + stream.interval, now)
            stream.timer = self._loop.at(stream.due, lambda: self._tick(stream, subject))

        self._ask(stream.source, after, lambda: after(None))

    def _reply(self, query: Message, done: bool) -> None:
        self._send(Message(f"RTS_{query.subject}", query.device, Reply(0 if done else 1)), f"RTS_{query.subject}")

    def _ask(
        self, question: Callable[[], Answer], then: Callable[[Message | None], None], failed: Callable[[], None]
    ) -> None:
        """Have the answer, now or when its promise is kept."""
        try:
            if self._owed >= MAX_OWED:
                raise OpenIGTLinkError(
                    "Too many queries at once.", expected=f"at most {MAX_OWED} that wait for answers"
                )
            answer = question()
        except Exception as error:  # noqa: BLE001
            self._problem(self._peer, _failed("a query", error))
            failed()
            return
        if not isinstance(answer, Future):
            then(answer)
            return
        self._owed += 1

        def kept(future: Future[Message | None]) -> None:
            self._owed -= 1
            if future.cancelled():
                failed()
            elif (error := future.exception()) is not None:
                self._problem(self._peer, _failed("a query", error))
                failed()
            else:
                then(future.result())

        answer.add_done_callback(lambda future: self._loop.call(lambda: kept(future)))

    def _send(self, message: Message, expected: str, *, stream: bool = False) -> None:
        if self._peer.closed:
            return
        try:
            if message.type != expected:
                raise OpenIGTLinkError("A query was answered by another type.", expected=expected, got=message.type)
            self._peer.send(message, stream=stream)
        except OpenIGTLinkError as error:
            self._problem(self._peer, error)


def _same_time(message: Message, last: Message | None) -> bool:
    return last is not None and message.timestamp == last.timestamp and any(message.timestamp)


def _failed(what: str, error: BaseException) -> OpenIGTLinkError:
    if isinstance(error, OpenIGTLinkError):
        return error
    made = OpenIGTLinkError(f"The answer to {what} failed.", got=f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made
