"""A gateway of another package, as its installation would leave it: a module and entry points."""

from __future__ import annotations

from pathlib import Path

import slicer_notebook as sn

__all__ = ["install", "write"]

_MODULE = '''\
"""Echoes; lists nodes; loads nothing."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from slicer_notebook.gateways.http import HttpServer


class EchoGateway:
    kind = "echo"

    def __init__(self, context):
        self._context = context
        routes = [Route("/nodes", self._nodes), Route("/fail", self._fail), Route("/add", self._add)]
        self._server = HttpServer(
            Starlette(routes=routes), context, kind="echo", usual_port=0,
            refusal=lambda status, words: PlainTextResponse(words, status),
        )

    async def _nodes(self, request):
        found = await asyncio.wrap_future(self._context.ask("scene.nodes"))
        return JSONResponse([each.name for each in found])

    async def _add(self, request):
        await asyncio.wrap_future(self._context.ask("transform.add", matrix=None, name="Made outside"))
        return PlainTextResponse("made")

    async def _fail(self, request):
        request.state.note = "as it should"
        return PlainTextResponse("no", 500)

    def start(self):
        return self._server.start()

    def stop(self):
        self._server.stop()


class BrokenGateway(EchoGateway):
    kind = "broken"

    def start(self):
        raise RuntimeError("it cannot")
'''
_ENTRIES = """\
[slicer_notebook.gateways]
echo = echo_gateway:EchoGateway
broken = echo_gateway:BrokenGateway
lacking = a_package_that_is_not_there:Gateway
"""


def write(folder: Path) -> Path:
    """Write the package into a folder that is to be on a Python's path."""
    (folder / "echo_gateway.py").write_text(_MODULE)
    info = folder / "echo_gateway-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-gateway\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRIES)
    return folder


def install(slicer: sn.Session, folder: Path) -> None:
    """Put it onto the path of a running Slicer."""
    slicer.run(f"import sys\nif {str(folder)!r} not in sys.path: sys.path.insert(0, {str(folder)!r})")
