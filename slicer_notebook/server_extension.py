"""For Jupyter's server: small messages of kernels go to browsers at once.

Jupyter's server leaves Nagle's algorithm on for its WebSockets. A kernel answers everything with small messages (busy,
idle), and each waits until the browser's machine has confirmed the one before, which that puts off for up to 40 ms. All
kernels and widgets gain; of live views every frame does. Jupyter's server loads this by itself where slicer_notebook is
installed in its environment; without it all works, more slowly.

Sources: `tornado.websocket.WebSocketHandler.set_nodelay`; jupyter_server's "Server extensions" and
``ServerApp.kernel_websocket_connection_class``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["without_delay"]


def without_delay(connection_class: type[Any]) -> type[Any]:
    """That class of connections from a kernel to a browser, with TCP_NODELAY on its WebSockets."""

    class WithoutDelay(connection_class):  # type: ignore[misc]
        def connect(self) -> Any:
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    WithoutDelay.__name__ = WithoutDelay.__qualname__ = connection_class.__name__
    return WithoutDelay


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(app: Any) -> None:
    settings, key = app.web_app.settings, "kernel_websocket_connection_class"
    if settings.get(key) is not None:
        settings[key] = without_delay(settings[key])
