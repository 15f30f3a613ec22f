"""``slicer.igtl``: trackers, ultrasound machines and other programs that speak OpenIGTLink, connected to Slicer."""

from __future__ import annotations

import contextlib
import html
import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from slicer_notebook.errors import ArgumentError, SlicerNotebookError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node
from slicer_notebook.session.output import in_notebook
from slicer_notebook.session.sequences import VolumeSequence

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Connection", "Connections", "Device", "Devices", "Igtl", "Recording"]

#: OpenIGTLink's usual port.
PORT: Final = 18944
#: Seconds that a server may take to be connected, and a peer to answer.
_CONNECT: Final = 5.0
_ANSWER: Final = 5.0
#: Seconds of one wait of a recording, between which an interrupt comes through.
_TICK: Final = 0.1

_ARROWS: Final = {"in": "\u2190", "out": "\u2192"}


class Device(msgspec.Struct, kw_only=True, frozen=True):
    """One type of message of one device, in one direction, as it was when it was asked for.

    Attributes:
        device, type: name of the device and type of the messages, such as "Needle" and "TRANSFORM".
        direction: "in": it came; "out": it was sent.
        peer: address of the other end; ``connection``: id of the connection.
        count: messages; ``shown``: of them, those that became the node. The others were overtaken by newer ones.
        rate: messages a second, lately.
        last: the last message, in words; ``at``: when it was there, seconds since the epoch.
        delay: milliseconds from the socket to the node, the median of the last thousand; None without any.
        node: its handle; None without one.
        problem: what was wrong the last time; "" if nothing was. ``problems``: how often something was.
    """

    id: int
    connection: int
    peer: str
    device: str
    type: str
    direction: str
    count: int = 0
    shown: int = 0
    rate: float = 0.0
    last: str = ""
    at: float = 0.0
    delay: float | None = None
    node: Any = None
    problem: str = ""
    problems: int = 0

    def __repr__(self) -> str:
        way = "from" if self.direction == "in" else "to"
        problem = f", {self.problem}" if self.problem else ""
        return f"<Device {self.device!r} {self.type} {way} {self.peer}: {self.count}, {self.rate:.0f}/s{problem}>"


class Devices(list[Device]):
    """Devices; they show as a table, in a notebook as one that goes on (`table`)."""

    #: Makes the living table; set by `slicer_notebook.widgets`, which this layer does not import.
    display: ClassVar[Callable[[Session, int | None], Any] | None] = None

    def __init__(
        self, devices: Iterable[Device], session: Session | None = None, connection: int | None = None
    ) -> None:
        super().__init__(devices)
        self._session = session
        self._connection = connection

    def table(self) -> Any:
        """The table as a widget: counts and rates as they change.

        Raises:
            ArgumentError: there are no widgets here, or this list belongs to no session.
        """
        if Devices.display is None:
            # By name: the widgets are a floor above, and whoever has no ipywidgets does without.
            with contextlib.suppress(ImportError):
                importlib.import_module("slicer_notebook.widgets")
        if Devices.display is None or self._session is None:
            raise ArgumentError(
                "There is no living table of these devices.",
                expected="slicer.igtl.devices, and ipywidgets and anywidget installed",
                got="no widgets" if Devices.display is None else "a list of no session",
            )
        return Devices.display(self._session, self._connection)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        shown: Any = None
        if in_notebook():
            with contextlib.suppress(SlicerNotebookError):
                shown = self.table()
        if shown is None:
            print(repr(self))  # noqa: T201 - the plain display of a notebook without widgets
        else:
            display(shown)

    def _repr_html_(self) -> str:
        if not self:
            return "<em>no device has sent anything yet</em>"
        rows = (
            (
                each.device, each.type, f"{_ARROWS.get(each.direction, '')} {each.peer}", f"{each.count:,}",
                f"{each.rate:.1f}", each.last, "" if each.node is None else each.node._ref.name, each.problem,
            )
            for each in self
        )  # fmt: skip
        return _table(("Device", "Type", "Peer", "Messages", "per s", "Last", "Node", ""), rows)


class Connections(list["Connection"]):
    """Connections; they show as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<em>nobody is connected</em>"
        rows = []
        for each in self:
            entry = each._entry
            how = "our server" if entry["kind"] == "server" else "connected from here"
            problem = entry["problems"][-1]["text"] if entry["problems"] else ""
            counts = (f"{entry['received']:,}", f"{entry['sent']:,}", f"{entry['rate']:.1f}")
            rows.append((str(each.id), entry["peer"], how, entry["state"], *counts, entry["status"], problem))
        return _table(("", "Peer", "", "State", "Received", "Sent", "per s", "Status", "Last problem"), rows)


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def cells(tag: str, texts: Iterable[str]) -> str:
        return "".join(f"<{tag} style='text-align:left'>{html.escape(text)}</{tag}>" for text in texts)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', names)}</tr></thead><tbody>{body}</tbody></table>"


class Recording(list[VolumeSequence]):
    """What was recorded: a sequence for each device and type, longest first; also by the device's name.

    Attributes:
        browser: the handle of the browser that steps through all of them; None without a sequence.
        messages: how many came.
        seconds: how long it took.
        problems: messages that could not become an item, and why.
        ended: why it ended before it was asked to; "" if it did not.
    """

    def __init__(self, session: Session, found: dict[str, Any]) -> None:
        super().__init__(found["sequences"])
        self._session = session
        self.browser: Node | None = found["browser"]
        self.messages: int = found["count"]
        self.seconds: float = found["seconds"]
        self.problems: list[str] = found["problems"]
        self.ended: str = found["ended"]

    def sequence(self, device: str) -> VolumeSequence:
        """The sequence of a device; the longest where it has several.

        Raises:
            ArgumentError: nothing was recorded of it.
        """
        for each in self:
            if each._ref.name == f"{device} recording" or each._ref.name.startswith(f"{device} recording_"):
                return each
        there = ", ".join(each._ref.name.partition(" recording")[0] for each in self)
        raise ArgumentError(f"Nothing was recorded of {device!r}.", expected=there or "a device", got=repr(device))

    def matrices(self, device: str | None = None) -> Array:
        """The matrices of a recorded transform, float64 [t, 4, 4], RAS, mm; of the longest sequence without a name.

        Their times are ``recording.sequence(device).values``, s.

        Raises:
            ArgumentError: nothing was recorded of it, or no transforms.
        """
        if device is None and not self:
            raise ArgumentError("Nothing was recorded.", expected="messages", got="none")
        sequence = self[0] if device is None else self.sequence(device)
        found: Array = self._session.call("igtl.matrices", node=sequence)
        return found

    def __repr__(self) -> str:
        names = ", ".join(each._ref.name for each in self) or "nothing"
        return f"<Recording of {self.messages} messages in {self.seconds:.1f} s: {names}>"

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(repr(self)[1:-1])}</p>", *(each._repr_html_() for each in self)]
        wrong = [*([f"It ended early: {self.ended}."] if self.ended else []), *self.problems[:10]]
        return "".join(parts) + "".join(f"<p>{html.escape(text)}</p>" for text in wrong)


class _Sending:
    """What one connection and all of them have in common. ``_id`` is None for all."""

    def __init__(self, session: Session, number: int | None) -> None:
        self._session = session
        self._id = number

    @property
    def devices(self) -> Devices:
        """What came and went, by device and type. In a notebook it shows as a table that goes on."""
        raw = self._session.call("igtl.devices", connection=self._id)
        return Devices((msgspec.convert(each, Device) for each in raw), self._session, self._id)

    def send(self, node: Node | list[Node] | str, device: str | None = None, type: str | None = None) -> None:  # noqa: A002
        """Send a node, as it is now.

        Args:
            node: a handle, a node's name, or several transforms as the tools of a TDATA.
            device: the name that it is sent under; its own without one.
            type: as which type: "TRANSFORM", "POSITION", "TDATA", "IMAGE", "STRING", "POINT", "POLYDATA", "SENSOR",
                "NDARRAY"; what fits best without it.

        Raises:
            NodeNotFoundError: no such node.
            ArgumentError, ArrayError: it cannot be sent as that.
            OpenIGTLinkError: nobody is connected, or does not read.
        """
        self._session.call("igtl.send", node=node, device=device, type=type, connection=self._id)

    def stream(
        self,
        node: Node | list[Node] | str,
        on: bool = True,
        device: str | None = None,
        type: str | None = None,  # noqa: A002
        *,
        interval: float = 0.0,
    ) -> None:
        """Send a node now and whenever it changes, or (``on=False``) no more. Parameters as of `send`.

        Args:
            interval: seconds between two messages, at least. Where the peer reads slowly, the newest wins.
        """
        self._session.call(
            "igtl.stream", node=node, on=on, device=device, type=type, connection=self._id, interval=interval
        )

    def query(self, type: str, device: str = "", *, timeout: float = _ANSWER) -> Any:  # noqa: A002
        """Ask the peer for the data of a device (GET_); the node that they became, or text where they become none.

        Args:
            type: such as "TRANSFORM", "IMAGE", "STATUS", "CAPABILITY".
            device: "" for any.
            timeout: seconds.

        Raises:
            DeadlineError: no answer; many programs push their data unasked, and do not know GET_.
            OpenIGTLinkError: the peer has none.
        """
        found = self._session.call("igtl.query", type=type, device=device, connection=self._id, timeout=timeout)
        return found["words"] if found["node"] is None else found["node"]

    def subscribe(
        self,
        type: str,  # noqa: A002
        device: str = "",
        on: bool = True,
        *,
        interval: int = 0,
        coordinates: str = "",
    ) -> bool | None:
        """Ask the peer to send the data of a device as they change (STT_), or (``on=False``) no more (STP_).

        Args:
            interval: milliseconds between two messages; only TDATA has a place for it, and for ``coordinates``.

        Returns:
            True when it agrees, None when it does not answer (many programs do not, and stream).

        Raises:
            OpenIGTLinkError: it refuses.
        """
        agreed: bool | None = self._session.call(
            "igtl.subscribe", type=type, device=device, on=on, interval=interval, coordinates=coordinates,
            connection=self._id,
        )  # fmt: skip
        return agreed

    def command(self, name: str, text: str = "", device: str = "", *, timeout: float = _ANSWER) -> str:
        """Have the peer do something (COMMAND, protocol 3); the text of its answer.

        Raises:
            DeadlineError: no answer.
            OpenIGTLinkError: it failed there; ``details`` has what it said.
        """
        found = self._session.call(
            "igtl.command", name=name, text=text, device=device, connection=self._id, timeout=timeout
        )
        return str(found["text"])

    def record(self, seconds: float, device: str | None = None, type: str | None = None) -> Recording:  # noqa: A002
        """Record every message for so long, also those that the views leave out. An interrupt ends it, and keeps it.

        Args:
            device, type: only these; all without.

        Raises:
            ArgumentError: seconds that are none.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            raise ArgumentError("How long?", expected="seconds, above 0", got=repr(seconds))
        number = self._session.call("igtl.record_begin", connection=self._id, device=device, type=type)
        with contextlib.suppress(KeyboardInterrupt):
            self._pause(float(seconds))
        return self._end(number)

    @contextmanager
    def recording(self, device: str | None = None, type: str | None = None) -> Iterator[list[Recording]]:  # noqa: A002
        """Record every message in a ``with`` block: afterwards the list that it gives has the one `Recording`."""
        number = self._session.call("igtl.record_begin", connection=self._id, device=device, type=type)
        found: list[Recording] = []
        try:
            yield found
        except BaseException:
            self._session.call("igtl.record_end", id=number, keep=False)
            raise
        found.append(self._end(number))

    def _end(self, number: int) -> Recording:
        return Recording(self._session, self._session.wait(self._session.submit("igtl.record_end", id=number)))

    def _pause(self, seconds: float) -> None:
        """Wait; in Slicer's own process the main thread does its work meanwhile."""
        pump = self._session._link._pump()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if pump is None:
                time.sleep(min(_TICK, left))
            else:
                pump(left)


class Connection(_Sending):
    """One connection. From `Igtl.connect` or `Igtl.connections`; ends at `close`, or with its ``with`` block.

    Attributes:
        id: names it.
        peer: address and port of the other end.
    """

    def __init__(self, session: Session, entry: dict[str, Any]) -> None:
        super().__init__(session, entry["id"])
        self._entry = entry
        self.id: int = entry["id"]
        self.peer: str = entry["peer"]

    def _look(self) -> dict[str, Any]:
        found = next((each for each in self._session.call("igtl.connections") if each["id"] == self.id), None)
        self._entry = found if found is not None else {**self._entry, "state": "closed"}
        return self._entry

    @property
    def state(self) -> str:
        """``open``, ``lost`` (it is tried again) or ``closed``."""
        return str(self._look()["state"])

    @property
    def status(self) -> str:
        """The peer's last STATUS, in words; "" without one."""
        return str(self._look()["status"])

    @property
    def capability(self) -> tuple[str, ...]:
        """Types of messages that the peer says it knows; it is asked by ``query("CAPABILITY")``."""
        return tuple(self._look()["capability"])

    @property
    def problems(self) -> list[str]:
        """What was wrong with it, latest last: messages that were damaged, or that no node can have."""
        return [
            each["text"] + (f" ({each['times']} times)" if each["times"] > 1 else "")
            for each in self._look()["problems"]
        ]

    def close(self) -> None:
        """End it. The nodes stay."""
        for entry in self._session.call("igtl.disconnect", ids=[self.id]):
            self._entry = entry

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(SlicerNotebookError):
            self.close()

    def __repr__(self) -> str:
        try:
            entry = self._look()
        except SlicerNotebookError:
            entry = {**self._entry, "state": "unknown"}  # a lost Slicer
        counted = f"{entry['received']} received, {entry['sent']} sent"
        return f"<OpenIGTLink connection {self.id} with {self.peer}: {entry['state']}, {counted}>"


class Igtl(_Sending):
    """A session's OpenIGTLink. Connections belong to its Slicer, and are seen by all its notebooks.

    >>> tracker = slicer.igtl.connect("tracker.example.org")  # doctest: +SKIP
    >>> tracker.devices  # doctest: +SKIP

    What is asked of it instead of a connection goes to the only one there is; `send` and `stream` go to all.
    ``slicer.gateways.start("igtl")`` lets other programs connect to this Slicer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session, None)

    def connect(
        self,
        host: str = "127.0.0.1",
        port: int = PORT,
        *,
        version: int | None = None,
        take_all_as_ras: bool = False,
        commands: bool | None = None,
        allow: Iterable[str] = (),
        timeout: float = _CONNECT,
        reconnect: bool = True,
    ) -> Connection:
        """Connect Slicer to an OpenIGTLink server: what it sends becomes nodes, named as its devices.

        Args:
            host: name or address of its machine, as seen from Slicer's.
            port: of the server.
            version: of the protocol, 1, 2 or 3: how to speak until the server has shown what it knows. Metadata of
                nodes are sent by version 3 only.
            take_all_as_ras: take the coordinates of an IMAGE as RAS whatever it says, as SlicerOpenIGTLink does.
            commands: the server may give commands (COMMAND), as other programs may by /api/v1. Without it, only a
                server of this very machine: what they can be told goes to whoever asks.
            allow: what they may do beside: "exec", "write", "quit".
            timeout: seconds.
            reconnect: connect again when the connection was lost, until it is closed.

        Raises:
            DeadlineError, OpenIGTLinkError: there is no connection.
            ArgumentError: a version, a port or a permission that there is not.
        """
        if isinstance(allow, str):
            raise ArgumentError("What is allowed is a list.", expected='["write"]', got=repr(allow))
        entry = self._session.call(
            "igtl.connect", server=host, port=port, version=version, take_all_as_ras=take_all_as_ras,
            commands=commands, allow=list(allow), timeout=timeout, reconnect=reconnect, by=self._session.name,
        )  # fmt: skip
        return Connection(self._session, entry)

    @property
    def connections(self) -> Connections:
        """The connections, also those that others have made with the gateway; the last ended ones, too."""
        return Connections(Connection(self._session, each) for each in self._session.call("igtl.connections"))

    def disconnect(self) -> None:
        """End all connections that were made from here."""
        self._session.call("igtl.disconnect")

    def __repr__(self) -> str:
        return f"<OpenIGTLink of {self._session.name!r}: {list(self.connections)}>"

    def _repr_html_(self) -> str:
        return self.connections._repr_html_()
