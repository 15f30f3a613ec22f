"""A slow network between a browser and a Jupyter server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

from tests.browser.lab import Lab

__all__ = ["SlowNetwork"]

#: Bytes that are passed on at a time, and that wait in the sockets: little, so that whoever sends feels how slow it is.
_PIECE = 4096


class SlowNetwork:
    """A port of this machine that leads to a server, at `rate` bytes a second for all connections together.

    The throttle among Chromium's tools for developers leaves WebSockets alone in older versions.

    Args:
        lab: the server.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._transports: list[asyncio.WriteTransport] = []
        self._free_at = 0.0
        #: Bytes a second from the server to the browser; None: as fast as it goes.
        self.rate: float | None = None
        self.root = lab.root
        self.end_kernels = lab.end_kernels

    def url(self, path: str) -> str:
        """An address of the server, by this way."""
        return urlunsplit(urlsplit(self._lab.url(path))._replace(netloc=f"127.0.0.1:{self._port}"))

    def __enter__(self) -> SlowNetwork:
        self._thread.start()
        starting = asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_PIECE)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(20)
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for transport in self._transports:
            transport.abort()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(self._lab.url(""))
        answers, asks = await asyncio.open_connection(target.hostname, target.port, limit=_PIECE)
        for each in (writer, asks):
            each.transport.set_write_buffer_limits(_PIECE)
            self._transports.append(each.transport)
        await asyncio.gather(self._pass(reader, asks, slow=False), self._pass(answers, writer, slow=True))

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, slow: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(_PIECE):
                if slow and self.rate is not None:
                    now = self._loop.time()
                    self._free_at = max(now, self._free_at) + len(piece) / self.rate
                    await asyncio.sleep(self._free_at - now)
                to.write(piece)
                await to.drain()
        with contextlib.suppress(ConnectionError, RuntimeError):
            to.close()
