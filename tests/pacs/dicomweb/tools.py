"""What the tests of DICOMweb share: a source for a server, a sink that remembers."""

from __future__ import annotations

import threading
from typing import Any

from slicer_notebook.pacs.dicomweb.source import web_source
from slicer_notebook.pacs.server import Server

#: What references stand for in these tests.
SECRETS = {"env:PASSWORD": "geheim:123", "env:TOKEN": "t0ken-s3cret", "env:CLIENT": "cl1ent-s3cret", "env:API": "k3y"}


def secrets(server_name: str, field: str, reference: str) -> str:
    return SECRETS[reference]


def source_for(url: str, **settings: Any) -> Any:
    """A source; seconds are short."""
    options = {name: settings.pop(name) for name in ("prompt", "kept", "saved", "album", "inbox") if name in settings}
    settings = {"timeout": 5.0, "connect_timeout": 5.0, **settings}
    return web_source(Server(name="web", url=url, **settings), secrets, **options)


class Memory:
    """A sink that keeps what arrives."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.discarded: list[bytes] = []
        self.lock = threading.Lock()
        self.error: Exception | None = None

    def open(self) -> Any:
        return _Part(self)


class _Part:
    def __init__(self, sink: Memory) -> None:
        self._sink = sink
        self._data = bytearray()
        self._over = False

    def write(self, data: Any) -> None:
        assert not self._over
        if self._sink.error is not None:
            raise self._sink.error
        self._data += data

    def done(self) -> None:
        assert not self._over
        self._over = True
        with self._sink.lock:
            self._sink.done.append(bytes(self._data))

    def discard(self) -> None:
        if not self._over:
            self._over = True
            with self._sink.lock:
                self._sink.discarded.append(bytes(self._data))
