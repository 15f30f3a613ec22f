"""Nodes that are sent to OpenIGTLink peers whenever they change. On the main thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from slicer_notebook.commands import igtl_nodes
from slicer_notebook.commands.host import Host
from slicer_notebook.errors import SlicerNotebookError
from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import Message

__all__ = ["Streams", "tracking_message"]

#: Events of MRML nodes by which they tell that what we send has changed.
_EVENTS: Final = (
    "ImageDataModifiedEvent", "TransformModifiedEvent", "PointModifiedEvent", "PointAddedEvent", "PointRemovedEvent",
    "MeshModifiedEvent", "TextModifiedEvent", "TableContentModifiedEvent",
)  # fmt: skip

#: Sends a message to a connection: (stream, connection, message, seconds between two at least).
Deliver = Callable[["Stream", int, Message, float], None]


@dataclass(eq=False)
class Stream:
    """Nodes that go out together: one, or the tools of a TDATA."""

    nodes: list[Any]
    type: str | None
    device: str | None
    #: connections it goes to -> seconds between two messages at least
    targets: dict[int, float] = field(default_factory=dict)
    #: those of them that have asked for it themselves
    asked: set[int] = field(default_factory=set)
    #: to whoever is connected
    everyone: bool = False
    #: connections whose messages have changed it since it was sent; None for a change of our own
    changed: set[int | None] = field(default_factory=set)
    tags: list[tuple[Any, int]] = field(default_factory=list)
    problem: str = ""


class Streams:
    """The streams of a Slicer.

    Args:
        host: the Slicer.
        deliver: sends a message.
        request: asks for a call of `send` on the main thread, soon.
        present: ids of the connections that there are.
        trouble: told of (connection, what is wrong).
    """

    def __init__(
        self,
        host: Host,
        deliver: Deliver,
        request: Callable[[], None],
        present: Callable[[], Iterable[int]],
        trouble: Callable[[int, str], None],
    ) -> None:
        self._host = host
        self._deliver = deliver
        self._request = request
        self._present = present
        self._trouble = trouble
        self._streams: list[Stream] = []
        self._receiving: int | None = None
        self._scene_tag: int | None = None

    def begin(
        self,
        nodes: list[Any],
        *,
        to: int | None,
        as_type: str | None = None,
        device: str | None = None,
        interval: float = 0.0,
        asked: bool = False,
    ) -> Stream:
        """Send these now and whenever they change.

        Args:
            to: a connection; None for whoever is connected, now or later.
            asked: that connection has asked for it.
            interval: seconds between two messages at least.

        Raises:
            ArgumentError, ArrayError, OpenIGTLinkError: they cannot be sent as that.
        """
        self._message(Stream(nodes, as_type, device))  # refused now, not at the first change
        stream = self._same(nodes, as_type, device)
        if stream is None:
            stream = Stream(nodes, as_type, device)
            self._observe(stream)
            self._streams.append(stream)
        if to is None:
            stream.everyone = True
        else:
            stream.targets[to] = interval
            if asked:
                stream.asked.add(to)
        stream.changed.add(None)
        self._request()
        return stream

    def _same(self, nodes: list[Any], as_type: str | None, device: str | None) -> Stream | None:
        wanted = ([node.GetID() for node in nodes], as_type, device)
        return next(
            (s for s in self._streams if ([node.GetID() for node in s.nodes], s.type, s.device) == wanted), None
        )

    def end(self, fits: Callable[[Stream], bool], *, to: int | None) -> int:
        """Send those that fit no more to a connection (None: whoever is connected); how many there were."""
        ended = 0
        for stream in [each for each in self._streams if fits(each)]:
            if to is None:
                ended += stream.everyone
                stream.everyone = False
            else:
                ended += stream.targets.pop(to, None) is not None
                stream.asked.discard(to)
            self._drop_if_idle(stream)
        return ended

    def lost(self, connection: int, *, for_good: bool) -> None:
        """A connection has ended; one that may come back still gets what we have chosen to send."""
        self.end(lambda stream: for_good or connection in stream.asked, to=connection)

    def greet(self, connection: int) -> None:
        """Somebody new is connected: what goes to them goes now."""
        for stream in self._streams:
            if stream.everyone or connection in stream.targets:
                stream.changed.add(None)
                self._request()

    def plain(self) -> list[dict[str, Any]]:
        """What goes on."""
        return [
            {
                "nodes": [self._host.ref(node) for node in each.nodes],
                "type": each.type,
                "device": each.device,
                "connections": sorted(each.targets),
                "everyone": each.everyone,
                "problem": each.problem,
            }
            for each in self._streams
        ]

    @contextmanager
    def receiving(self, connection: int) -> Iterator[None]:
        """Changes in this block come from a connection, and do not go back to it."""
        self._receiving = connection
        try:
            yield
        finally:
            self._receiving = None

    def send(self) -> None:
        """Send what has changed."""
        for stream in [each for each in self._streams if each.changed]:
            changed, stream.changed = stream.changed, set()
            targets = dict.fromkeys(self._present(), 0.0) if stream.everyone else {}
            targets |= stream.targets
            targets = {to: interval for to, interval in targets.items() if changed != {to}}
            if not targets:
                continue
            try:
                message = self._message(stream)
            except SlicerNotebookError as exc:
                if stream.problem != exc.message:
                    for to in targets:
                        self._trouble(to, exc.message)
                stream.problem = exc.message
                continue
            stream.problem = ""
            for to, interval in targets.items():
                self._deliver(stream, to, message, interval)

    def _message(self, stream: Stream) -> Message:
        if stream.type == "TDATA":
            return tracking_message(self._host, stream.nodes, stream.device or "")
        return igtl_nodes.message_of(self._host, stream.nodes[0], stream.type, stream.device)

    # -- observing -------------------------------------------------------------------------------------------------

    def _observe(self, stream: Stream) -> None:
        def changed(_node: Any, _event: str) -> None:
            stream.changed.add(self._receiving)
            self._request()

        for node in stream.nodes:
            events = ["ModifiedEvent", *(getattr(node, name) for name in _EVENTS if hasattr(node, name))]
            stream.tags += [(node, node.AddObserver(event, changed)) for event in events]
        if self._scene_tag is None:
            self._watch_scene()

    def _watch_scene(self) -> None:
        scene = self._host.slicer.mrmlScene

        def removed(_scene: Any, _event: str) -> None:
            for stream in list(self._streams):
                stream.tags = [(node, tag) for node, tag in stream.tags if node.GetScene() is not None]
                stream.nodes = [node for node in stream.nodes if node.GetScene() is not None]
                if not stream.nodes:
                    stream.everyone, stream.targets = False, {}
                    self._drop_if_idle(stream)

        self._scene_tag = scene.AddObserver(scene.NodeRemovedEvent, removed)

    def _drop_if_idle(self, stream: Stream) -> None:
        if stream.everyone or stream.targets or stream not in self._streams:
            return
        self._streams.remove(stream)
        for node, tag in stream.tags:
            node.RemoveObserver(tag)


def tracking_message(host: Host, nodes: list[Any], device: str) -> Message:
    """Transforms as the tools of one TDATA."""
    tools: list[contents.Tool] = []
    for node in nodes:
        content = igtl_nodes.content_of(host, node, "TDATA")
        assert isinstance(content, contents.Tracking)
        tools += content.tools
    return Message("TDATA", device, contents.Tracking(tuple(tools)))
