"""The OpenIGTLink connections of each Slicer, for who knows neither nodes nor VTK: the gateway's server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from slicer_notebook.commands.host import Host
    from slicer_notebook.commands.igtl_connections import Connection
    from slicer_notebook.errors import OpenIGTLinkError
    from slicer_notebook.igtl.message import Message
    from slicer_notebook.igtl.peer import Peer

__all__ = ["PORT", "Reception", "hub_of", "made_by"]

#: OpenIGTLink's usual port.
PORT: Final = 18944


class Reception(Protocol):
    """What a server tells of those who connect to it (`commands.igtl_hub.Hub`). On the server's thread."""

    def adopt(self, peer: Peer, **how: Any) -> Connection:
        """Somebody has connected; ``how`` is of `Connection`."""
        ...

    def changed(self, connection: Connection, peer: Peer, state: str, why: str, *, again: bool) -> None:
        """A connection is there ("connected"), or has ended ("closed")."""
        ...

    def received(self, connection: Connection, message: Message) -> None:
        """A message has come."""
        ...

    def problem(self, connection: Connection, error: OpenIGTLinkError) -> None:
        """A message was dropped, or could not be sent."""
        ...

    def skipped(self, connection: Connection, type_: str, device: str) -> None:
        """A message of a type that nobody here knows was passed over."""
        ...


_lock = threading.Lock()
_hubs: dict[int, Any] = {}
_makers: list[Callable[[Host], Any]] = []


def made_by(maker: Callable[[Host], Any]) -> None:
    """How the connections of a Slicer are made at first use; told once, by the commands."""
    _makers[:] = [maker]


def hub_of(host: Host) -> Any:
    """The connections of a Slicer: a `Reception`, and for the commands the whole `Hub`."""
    with _lock:
        found = _hubs.get(id(host))
        if found is None:
            found = _hubs[id(host)] = _makers[0](host)
        return found
