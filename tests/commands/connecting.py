"""What tests of OpenIGTLink in Slicer share: another program, made of the library's own classes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.session.igtl import Connection
from tests.igtl.peers import PATIENCE, Heard

__all__ = ["Program", "busy", "program", "until"]


class Program:
    """A server that Slicer is connected to.

    Attributes:
        heard: what Slicer has sent.
        answers: what GET_ is answered with, by (type, device).
        connection: Slicer's end.
    """

    def __init__(self, slicer: sn.Session, server: igtl.Server, heard: Heard, **how: Any) -> None:
        self.slicer = slicer
        self.server = server
        self.heard = heard
        self.answers: dict[tuple[str, str], igtl.Message] = {}
        self.connection: Connection = slicer.igtl.connect(*server.address, **how)
        heard.wait(lambda: server.peers)  # a client is connected before its server knows

    def give(self, content: igtl.Content, device: str = "Device", **more: Any) -> Any:
        """Have Slicer ask for a content; the node that it became."""
        message = igtl.of_content(content, device, **more)
        self.answers[message.type, device] = message
        return self.connection.query(message.type, device)

    def push(self, content: igtl.Content, device: str = "Device", **more: Any) -> None:
        """Send a content unasked, and wait until Slicer is done with it."""
        self.server.send(igtl.of_content(content, device, **more))
        self.settle()

    def settle(self) -> None:
        """Wait until Slicer is done with all that was sent."""
        # The answer, that there is none, comes after all that was sent before.
        with pytest.raises(OpenIGTLinkError, match="has no SENSOR"):
            self.connection.query("SENSOR", "nothing", timeout=PATIENCE)
        self.slicer.call("igtl.hand_over")

    def back(self, node: Any, **how: Any) -> igtl.Message:
        """Have Slicer send a node; what came."""
        count = len(self.heard.messages)
        self.connection.send(node, **how)
        return self.heard.wait(lambda: self.heard.messages[count:])[0]

    def entry(self, device: str = "Device", direction: str = "in") -> dict[str, Any]:
        """Slicer's entry of a device."""
        entries = self.slicer.call("igtl.devices", connection=self.connection.id)
        found: dict[str, Any] = next(e for e in entries if (e["device"], e["direction"]) == (device, direction))
        return found


@contextmanager
def program(slicer: sn.Session, *, version: int = 3, stream: Any = None, **how: Any) -> Iterator[Program]:
    """A program that speaks a version of the protocol, as Slicer does, connected; ``how`` is of `Igtl.connect`."""
    heard = Heard()
    answers: dict[tuple[str, str], igtl.Message] = {}
    how_served = {
        "version": 2 if version == 3 else 1,
        "provide": lambda type_, device: answers.get((type_, device)),
        "stream": stream,
    }
    server = igtl.Server(port=0, **how_served, **heard.callbacks)
    with server:
        made = Program(slicer, server, heard, version=version, **how)
        made.answers = answers
        try:
            yield made
        finally:
            slicer.igtl.disconnect()


def until(slicer: sn.Session, condition: Any, what: str) -> Any:
    """Wait until it is so, looked at whenever Slicer tells of OpenIGTLink; what it was."""
    news = threading.Event()
    subscription = slicer.on("igtl", lambda _event: news.set())
    try:
        while not (found := condition()):
            assert news.wait(PATIENCE), f"not in {PATIENCE} s: {what}"
            news.clear()
    finally:
        subscription.close()
    return found


@contextmanager
def busy(slicer: sn.Session) -> Iterator[None]:
    """Slicer's main thread is at something else in this block."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        job = slicer.submit(
            "code.run", code=f"import socket\nwith socket.create_connection(('127.0.0.1', {port})) as s: s.recv(1)"
        )
        listener.settimeout(PATIENCE)
        there, _ = listener.accept()
        with there:
            yield
    job.result(PATIENCE)
