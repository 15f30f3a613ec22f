"""SlicerWeb's REST, for its clients as they are: ``/slicer`` here, ``/dicom`` in `dicom`. ``/api/v1``: `gateways.api`.

Source of the routes: Slicer's module WebServer. What it does wrong is done right; docs/rest.md has the list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from slicer_notebook.errors import ArgumentError, SlicerNotebookError
from slicer_notebook.gateways.api import Api
from slicer_notebook.gateways.http import HttpServer
from slicer_notebook.gateways.rest import dicom, others, pictures, scene, volumes
from slicer_notebook.gateways.rest.answers import failed, failure
from slicer_notebook.gateways.rest.asking import Ask
from slicer_notebook.gateways.rest.names import Names

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from slicer_notebook.commands.gateway import Context

__all__ = ["PORT", "RestGateway", "application"]

#: SlicerWeb's; the next free one is taken when it is not.
PORT: Final = 2016
#: Threads that encode pictures and decompress volumes: two pictures at a time keep up with what draws them.
_WORKERS: Final = 2

_Handler = Callable[[Ask], Awaitable["Response"]]

#: Upstream looks at the method in /mrml and /system only; others are for reading and for sending alike.
_ROUTES: Final[dict[str, _Handler]] = {
    "/slicer/accessDICOMwebStudy": others.access_study,
    "/slicer/exec": others.execute,
    "/slicer/fiducial": others.fiducial,
    "/slicer/fiducials": others.fiducials,
    "/slicer/gridTransform": volumes.grid_transform,
    "/slicer/gridTransforms": volumes.grid_transforms,
    "/slicer/gui": others.gui,
    "/slicer/mrml": scene.mrml,
    "/slicer/mrml/file": scene.mrml_file,
    "/slicer/mrml/ids": scene.mrml,
    "/slicer/mrml/names": scene.mrml,
    "/slicer/mrml/properties": scene.properties,
    "/slicer/open": others.opened,
    "/slicer/sampledata": others.sample_data,
    "/slicer/screenshot": pictures.screenshot,
    "/slicer/segmentation": volumes.segmentation,
    "/slicer/segmentations": volumes.segmentations,
    "/slicer/slice": pictures.slice_picture,
    "/slicer/system": others.system,
    "/slicer/system/version": others.version,
    "/slicer/threeD": pictures.three_d,
    "/slicer/threeDGraphics": pictures.three_d_graphics,
    "/slicer/timeimage": pictures.time_image,
    "/slicer/tracking": others.tracking,
    "/slicer/volume": volumes.volume,
    "/slicer/volumeSelection": volumes.volume_selection,
    "/slicer/volumes": volumes.volumes,
    # slicerio ends Slicer by this path.
    "/system": others.system,
}
#: The routes that answer with a list of nodes.
_NAMES: Final = frozenset(("/slicer/mrml", "/slicer/mrml/names", "/slicer/mrml/ids"))
#: The routes that do more than answer: HEAD, which is to change nothing, is refused.
_DOING: Final = frozenset((
    "/slicer/accessDICOMwebStudy", "/slicer/exec", "/slicer/fiducial", "/slicer/gui", "/slicer/mrml/file",
    "/slicer/open", "/slicer/sampledata", "/slicer/system", "/slicer/tracking", "/slicer/volumeSelection", "/system",
))  # fmt: skip
_READING: Final = frozenset(("GET", "HEAD", "POST", "PUT"))
_MRML: Final = "/slicer/mrml"


class RestGateway:
    """The gateway."""

    kind: ClassVar[str] = "rest"

    def __init__(self, context: Context) -> None:
        self._application = _Application(context)
        self._server = HttpServer(
            self._application,
            context,
            kind=self.kind,
            usual_port=PORT,
            next_free=True,
            refusal=failure,
        )

    def start(self) -> tuple[str, int]:
        """Listen. Raises `GatewayError`."""
        return self._server.start()

    def stop(self) -> None:
        """End it."""
        self._application.end()
        self._server.stop()
        self._application.close()


def application(context: Context) -> _Application:
    """All routes, as an ASGI application without the guard around it."""
    return _Application(context)


class _Application:
    """Answers ``/slicer`` itself, and hands the rest to Starlette."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._names = Names(context)
        self._work = ThreadPoolExecutor(_WORKERS, thread_name_prefix="slicer-notebook-rest")
        self._api = Api(context)
        self._others = Starlette(
            routes=[*dicom.routes(context), *self._api.routes()],
            exception_handlers={HTTPException: _no_route},
        )

    def end(self) -> None:
        """What goes on ends: streams of events, commands of clients. Before the server does, which waits for them."""
        self._api.close()

    def close(self) -> None:
        """Let its threads end."""
        self._work.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in _NAMES and scope["method"] in ("GET", "HEAD"):
            kept = self._names.kept(path, scope["query_string"])
            if kept is not None:
                await kept(scope, receive, send)
                return
        if path in ("/slicer", "/system") or path.startswith("/slicer/"):
            response = await self._answer(scope, receive)
            await response(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._asked(scope, receive)
        except SlicerNotebookError as exc:
            scope["state"].setdefault("note", exc.message)
            return failed(exc)

    async def _asked(self, scope: Scope, receive: Receive) -> Response:
        path, method = scope["path"].rstrip("/"), scope["method"]
        handler = _ROUTES.get(path)
        if handler is None:
            raise ArgumentError("There is no such route.", expected="one of SlicerWeb's", got=repr(path)[:200])
        ask = Ask(self._context, scope, receive, self._work)
        if method == "HEAD" and path in _DOING:
            raise ArgumentError("HEAD is for what changes nothing.", expected="GET or POST", got="HEAD")
        if path in _NAMES and method in ("GET", "HEAD"):
            return await self._names.answer(ask)
        if method not in _READING and path not in ("/system", "/slicer/system") and not path.startswith(_MRML):
            raise ArgumentError("That is not done here.", expected="GET, HEAD, POST or PUT", got=method[:20])
        return await handler(ask)


async def _no_route(_request: Request, exc: Exception) -> Response:
    """Upstream has static pages there; here there are none."""
    assert isinstance(exc, HTTPException)
    words = "There is no such page; no files are served." if exc.status_code == 404 else str(exc.detail)
    response = failure(exc.status_code, words)
    for name, value in (exc.headers or {}).items():
        response.headers[name] = value
    return response
