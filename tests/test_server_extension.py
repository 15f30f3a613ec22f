"""What the library adds to Jupyter's server: kernels' WebSockets without delay, and the server finds it by itself."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from slicer_notebook import server_extension


class Connection:
    """As jupyter_server's: made with a handler, `connect` when its WebSocket is open."""

    def __init__(self, handler: WebSocketHandler) -> None:
        self.websocket_handler = handler

    def connect(self) -> int:
        websocket: Any = self.websocket_handler.ws_connection
        return int(websocket.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


class Handler(WebSocketHandler):
    """Sends the browser what `connect` says: whether its socket has TCP_NODELAY."""

    async def open(self) -> None:
        connection = self.settings["kernel_websocket_connection_class"](self)
        await self.write_message(str(connection.connect()))


async def _said(application: Application) -> Any:
    sock, port = bind_unused_port(address="127.0.0.1")
    server = HTTPServer(application)
    server.add_socket(sock)
    try:
        client = await websocket_connect(f"ws://127.0.0.1:{port}/")
        said = await client.read_message()
        client.close()
        return said
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.mark.parametrize(("loaded", "said"), [(False, "0"), (True, "1")])
def test_kernels_websockets_have_no_delay(loaded: bool, said: str) -> None:
    application = Application([("/", Handler)], kernel_websocket_connection_class=Connection)
    if loaded:
        server_extension._load_jupyter_server_extension(SimpleNamespace(web_app=application))
    assert asyncio.run(asyncio.wait_for(_said(application), 20)) == said


def test_a_server_without_kernels_is_left_alone() -> None:
    app = SimpleNamespace(web_app=SimpleNamespace(settings={}))
    server_extension._load_jupyter_server_extension(app)
    assert app.web_app.settings == {}


def test_jupyters_own_class_has_what_is_used() -> None:
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

    found = server_extension.without_delay(ZMQChannelsWebsocketConnection)
    assert issubclass(found, ZMQChannelsWebsocketConnection)
    assert found.__name__ == "ZMQChannelsWebsocketConnection"
    assert hasattr(found, "websocket_handler")


def test_jupyters_server_finds_it() -> None:
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "slicer_notebook.server_extension" in line]
    assert any("enabled" in line for line in lines)
    assert any("OK" in line for line in lines), lines
