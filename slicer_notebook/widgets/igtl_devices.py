"""OpenIGTLink devices as a table that goes on: what they send, how fast, what it became, what is wrong."""

from __future__ import annotations

import threading
from typing import Any, Final

import msgspec

from slicer_notebook.session import Job, Node, Session
from slicer_notebook.session.igtl import Connection, Connections, Device, Devices
from slicer_notebook.session.magic import latest
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note

__all__ = ["IgtlDevices"]

#: Seconds that the display of the cell waits to know what there is, so that a saved notebook has it.
_SETTLE: Final = 3.0
#: What of a device the browser is told as it is.
_FACTS: Final = (
    "id", "connection", "device", "type", "direction", "peer", "count", "shown", "rate", "last", "at", "delay",
    "problem", "problems",
)  # fmt: skip
#: What of a connection.
_CONNECTION: Final = ("id", "kind", "peer", "state", "received", "sent", "rate", "status", "problems")


class IgtlDevices(SessionWidget):
    """The OpenIGTLink connections of a session's Slicer and their devices, with rates as they change.

    ``slicer.igtl.devices`` as the last expression of a cell shows one.

    Args:
        session: the session; the one that was begun last without it.
        connection: only this one's: a `Connection` or its id.
        privacy: ``"strict"`` leaves the last messages out of what a saved notebook shows: they may be texts about a
            patient. What the environment variable ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Raises:
        SessionNotFoundError: no session was begun yet.
        ArgumentError: ``privacy`` is neither "normal" nor "strict".
    """

    _esm = assets.esm("igtl_devices")
    _css = assets.css("igtl_devices")

    def __init__(
        self,
        session: Session | None = None,
        connection: Connection | int | None = None,
        *,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.privacy = checked(privacy)
        self._only = connection.id if isinstance(connection, Connection) else connection
        super().__init__(session if session is not None else latest(), **kwargs)
        self._connections: dict[int, dict[str, Any]] = {}
        self._devices: dict[int, dict[str, Any]] = {}
        #: ids of connections that are gone: an answer from before must not bring them back
        self._gone: set[int] = set()
        #: what there is has been told
        self._known = threading.Event()
        self._subscriptions.append(self._session.on("igtl", self._on_igtl))
        self._begin()
        self._tell_until_greeted()

    def _begin(self) -> None:
        self._ask("igtl.connections", lambda job: self._came("connections", job))
        if self._ask("igtl.devices", lambda job: self._came("devices", job)) is None:
            self._known.set()

    def _when_back(self) -> None:
        with self._lock:
            self._connections, self._devices, self._gone = {}, {}, set()
        self._tell_all()
        self._begin()

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _came(self, kind: str, job: Job[Any]) -> None:
        if job.exception(0) is not None:
            self._known.set()
            return  # the status says it
        with self._lock:
            known = self._connections if kind == "connections" else self._devices
            # What is known already, events have told, perhaps later than this was written.
            fresh = [each for each in job.result(0) if each["id"] not in known]
        self._take({"connections": [], "devices": [], "gone": [], kind: fresh})
        if kind == "devices":
            self._known.set()

    def _on_igtl(self, event: dict[str, Any]) -> None:
        self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._gone.update(event["gone"])
            for number in event["gone"]:
                self._connections.pop(number, None)
                self._devices = {key: each for key, each in self._devices.items() if each["connection"] != number}
            connections = [each for each in event["connections"] if self._wanted(each["id"])]
            devices = [each for each in event["devices"] if self._wanted(each["connection"])]
            self._connections.update((each["id"], each) for each in connections)
            self._devices.update((each["id"], each) for each in devices)
        if connections or devices or event["gone"]:
            self.send({"type": "news", **_told(connections, devices), "gone": list(event["gone"])})

    def _wanted(self, connection: int) -> bool:
        return self._only in (None, connection) and connection not in self._gone

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _tell_all(self) -> None:
        with self._lock:
            told = _told(list(self._connections.values()), list(self._devices.values()))
        self.send({"type": "all", **told})

    def _do_disconnect(self, content: dict[str, Any]) -> None:
        """The person ends a connection."""
        self._ask("igtl.disconnect", lambda _job: None, ids=[int(content["id"])])

    def _static_html(self) -> str:
        self._known.wait(_SETTLE)
        with self._lock:
            devices, connections = list(self._devices.values()), list(self._connections.values())
        if not devices and not connections:
            return static_note("Nobody was connected by OpenIGTLink.")
        strict = self.privacy == "strict"
        shown = [{**each, "last": "", "problem": ""} if strict else each for each in devices]
        entries = [{**each, "status": "", "problems": []} if strict else each for each in connections]
        page = Connections(Connection(self._session, each) for each in entries)._repr_html_()
        page += Devices(msgspec.convert(each, Device) for each in shown)._repr_html_()
        return page + (static_note("What was sent is left out (privacy: strict).") if strict else "")


def _told(connections: list[dict[str, Any]], devices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "connections": [{name: each[name] for name in _CONNECTION} for each in connections],
        "devices": [
            {**{name: each[name] for name in _FACTS}, "node": _name(each["node"])} for each in devices
        ],
    }  # fmt: skip


def _name(node: Node | None) -> str:
    return "" if node is None else node._ref.name
