"""``/api/v1``: the commands of a session by HTTP, for programs that start afresh.

Everything here is made of the commands' definitions: arguments, checks, documents. `rights` says which of them clients
may give. Mounted by the REST gateway; `Api.routes` has paths from the root.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from slicer_notebook.commands import registry, rights
from slicer_notebook.commands.registry import Command
from slicer_notebook.errors import ArgumentError, DeadlineError, SlicerNotebookError
from slicer_notebook.gateways.api import arguments, events, openapi, results
from slicer_notebook.gateways.api.failures import HttpError, described, response_of
from slicer_notebook.gateways.api.jobs import Job, Jobs
from slicer_notebook.gateways.api.natural import NATURAL, Natural
from slicer_notebook.gateways.api.page import CSP, page
from slicer_notebook.gateways.media import accepted, without_values

if TYPE_CHECKING:
    from starlette.requests import Request

    from slicer_notebook.commands.gateway import Context

__all__ = ["ROOT", "Api", "routes"]

ROOT: Final = "/api/v1"
#: Seconds that a client waits for a result unless it says otherwise, and at most: a series of 1,000 slices takes some
#: ten, a study from a slow PACS minutes; what takes longer is for a job.
WAIT: Final = 600.0
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_JSON: Final = results.JSON

_Endpoint = Callable[["Request"], Awaitable[Response]]


class Api:
    """``/api/v1`` of one gateway."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = Jobs()
        self._hub: events.Hub | None = None
        self._streams: events.Streams | None = None
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """The gateway ends: what it has begun is cancelled, streams end. From any thread."""
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        self._jobs.close()
        if self._hub is not None:
            self._hub.close()

    def routes(self) -> list[BaseRoute]:
        """All routes, with paths from the root."""
        found = [
            Route(ROOT, _to_root, methods=["GET"]),
            _route("/", self.document_page),
            _route("/openapi.json", self.document),
            _route("/commands", self.commands),
            _route("/commands/{name}", self.command),
            _route("/commands/{name}", self.run, "POST"),
            _route("/jobs", self.jobs),
            _route("/jobs/{id}", self.job),
            _route("/jobs/{id}", self.end_job, "DELETE"),
            _route("/jobs/{id}/result", self.job_result),
            _route("/jobs/{id}/events", self.job_events),
            _route("/events", self.events),
        ]
        found += [_route(each.path, functools.partial(self.natural, each), each.method) for each in NATURAL]
        known: dict[str, set[str]] = {}
        for route in found:
            known.setdefault(route.path, set()).update(route.methods or ())
        # Behind all others: known paths with another method, and unknown paths.
        rest = [Route(path, _answering(_wrong_method(methods))) for path, methods in known.items()]
        rest.append(Route(f"{ROOT}/{{rest:path}}", _answering(_unknown)))
        for each in rest:
            each.methods = None  # any
        return [*found, *rest]

    # -- documents ----------------------------------------------------------------------------------------------------

    def _document(self, request: Request) -> dict[str, Any]:
        server = str(request.base_url).rstrip("/")
        return openapi.document(self._context, registry.all_commands(), server)

    async def document(self, request: Request) -> Response:
        """``openapi.json``."""
        return _json(self._document(request))

    async def document_page(self, request: Request) -> Response:
        """The same for people."""
        headers = {**_HEADERS, "Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
        return Response(page(self._document(request)), headers=headers, media_type="text/html")

    async def commands(self, _request: Request) -> Response:
        """The list of commands."""
        found = rights.offered(registry.all_commands())
        return _json([openapi.described(self._context, command) for command in found])

    async def command(self, request: Request) -> Response:
        """One of them."""
        command = registry.get(request.path_params["name"])
        if rights.right_of(command.name).kind == "not offered":
            rights.check_right(self._context.options, command.name)
        return _json(openapi.described(self._context, command))

    # -- commands -----------------------------------------------------------------------------------------------------

    async def run(self, request: Request) -> Response:
        """A command with the arguments of the body."""
        name = request.path_params["name"]
        command = registry.get(name)
        right = rights.check_right(self._context.options, name)
        wait = _wait(request)
        given = await arguments.read_body(request, command)
        return await self._run(request, command, right, given, wait)

    async def natural(self, route: Natural, request: Request) -> Response:
        """A command by its natural URL."""
        right = rights.check_right(self._context.options, route.command)
        command = registry.get(route.command)
        given = await _given(request, route, command)
        return await self._run(request, command, right, given, WAIT)

    async def _run(
        self, request: Request, command: Command, right: rights.Right, given: Mapping[str, Any], wait: float
    ) -> Response:
        hidden = rights.HIDDEN.keys() & given.keys()
        if hidden:
            raise ArgumentError(
                f"{command.name} takes no argument {min(hidden)!r} here.",
                got=min(hidden),
                hint=rights.HIDDEN[min(hidden)],
            )
        args = arguments.converted(command, given)
        for name, value in rights.FIXED.items():
            if name in command.signature.parameters:
                args.setdefault(name, value)
        # Names first, so that an unknown argument is told of before a path that is not there.
        command.bind_names({**args, **rights.fixed(self._context.options, command, "REST API")})
        args = await asyncio.to_thread(rights.with_real_paths, self._context.options, right, args)
        job = self._begin(command, {**args, **rights.fixed(self._context.options, command, "REST API")})
        if wait <= 0:
            return self._accepted(job)
        gone = asyncio.ensure_future(_disconnected(request))
        over = asyncio.ensure_future(job.over.wait())
        try:
            await asyncio.wait({gone, over}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            gone.cancel()
            if not job.over.is_set() and (gone.done() or wait >= WAIT):
                # Nobody waits for it any more.
                job.stop()
                self._jobs.forget(job)
        if not job.over.is_set():
            if wait < WAIT:
                return self._accepted(job)
            raise DeadlineError(
                f"{command.name} did not end in time, and was cancelled.",
                expected=f"{WAIT:g} seconds",
                hint="?wait=false makes a job of it",
            )
        self._jobs.forget(job)
        return await self._result(request, job)

    def _begin(self, command: Command, args: dict[str, Any]) -> Job:
        job = Job(command.name, asyncio.get_running_loop())
        self._jobs.add(job)
        try:
            job.asked = self._context.ask(command.name, progress=job.progress, **args)
        except BaseException:
            self._jobs.forget(job)
            raise
        loop = asyncio.get_running_loop()

        def ended(asked: Any) -> None:
            error, result = asked.exception(), None
            if error is None:
                try:
                    result = results.settled(asked.result(), self._context.host.ref)
                except Exception as exc:  # noqa: BLE001 - such as for want of memory: it belongs to the one who asked
                    error = exc
            if not loop.is_closed():
                loop.call_soon_threadsafe(job.end, result, error)

        job.asked.add_done_callback(ended)
        return job

    def _accepted(self, job: Job) -> Response:
        response = _json(job.plain(ROOT), 202)
        response.headers["Location"] = f"{ROOT}/jobs/{job.id}"
        return response

    async def _result(self, request: Request, job: Job) -> Response:
        if job.error is not None:
            return response_of(job.error)
        ranges = accepted(request.headers.getlist("accept"))
        return await asyncio.to_thread(results.answer, job.result, ranges)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def jobs(self, _request: Request) -> Response:
        """All that run or ended lately."""
        return _json([job.plain(ROOT) for job in self._jobs.all()])

    async def job(self, request: Request) -> Response:
        """How one is."""
        return _json(self._jobs.get(request.path_params["id"]).plain(ROOT))

    async def end_job(self, request: Request) -> Response:
        """Cancel it, or forget it when it has ended."""
        job = self._jobs.get(request.path_params["id"])
        if job.ended is None:
            job.stop()
        else:
            self._jobs.forget(job)
        return _json(job.plain(ROOT))

    async def job_result(self, request: Request) -> Response:
        """What it gave."""
        job = self._jobs.get(request.path_params["id"])
        if job.ended is None:
            raise HttpError(409, "The job has not ended.", hint=f"GET {ROOT}/jobs/{job.id}/events tells when it has")
        if not job.kept:
            raise HttpError(410, "The result was given up: there was no room for it.")
        return await self._result(request, job)

    async def job_events(self, request: Request) -> Response:
        """``progress`` as it changes; at last ``done``, ``failed`` or ``cancelled``."""
        job = self._jobs.get(request.path_params["id"])
        last = request.headers.get("last-event-id", "")
        seen = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else -1

        async def frames() -> AsyncIterator[bytes]:
            async for changed in job.changes(seen if seen <= job.version else -1, events.HEARTBEAT):
                if not changed:
                    yield b": still here\n\n"
                elif job.ended is None:
                    yield events.frame("progress", job.plain(ROOT), str(job.version))
                else:
                    yield events.frame(job.state, job.plain(ROOT), str(job.version))

        return events.stream(self._open_streams(), frames())

    # -- events -------------------------------------------------------------------------------------------------------

    def _open_streams(self) -> events.Streams:
        if self._streams is None:
            self._streams = events.Streams()
        return self._streams

    async def events(self, request: Request) -> Response:
        """What happens in the session, from now on or from where a client stopped."""
        with self._lock:
            if self._closed:
                raise HttpError(503, "The server ends.")
            if self._hub is None:
                self._hub = events.Hub(self._context.host.listen)
        kinds = frozenset(filter(None, request.query_params.get("kinds", "").split(",")))
        last = request.headers.get("last-event-id", "")
        return events.stream(self._open_streams(), self._hub.frames(last, kinds, events.HEARTBEAT))


def routes(context: Context) -> list[BaseRoute]:
    """The routes alone; who can tell when the server ends makes an `Api`, and closes it."""
    return Api(context).routes()


# -- requests ---------------------------------------------------------------------------------------------------------


def _route(path: str, endpoint: _Endpoint, method: str = "GET") -> Route:
    return Route(ROOT + path, _answering(endpoint), methods=[method])


def _answering(endpoint: _Endpoint) -> _Endpoint:
    """Errors as answers."""

    async def answer(request: Request) -> Response:
        request.state.what = without_values(request)
        try:
            return await endpoint(request)
        except (SlicerNotebookError, HttpError) as exc:
            request.state.note = described(exc)["message"]
            return response_of(exc)

    return answer


def _json(value: Any, status: int = 200) -> Response:
    return Response(results.json_of(value), status, _HEADERS, media_type=_JSON)


async def _to_root(_request: Request) -> Response:
    return RedirectResponse(f"{ROOT}/", 308)


async def _unknown(_request: Request) -> Response:
    raise HttpError(404, "There is no such resource.", hint=f"GET {ROOT}/ lists what there is")


def _wrong_method(methods: set[str]) -> _Endpoint:
    async def answer(_request: Request) -> Response:
        response = response_of(HttpError(405, "That is not done there.", expected=", ".join(sorted(methods))))
        response.headers["Allow"] = ", ".join(sorted(methods))
        return response

    return answer


async def _disconnected(request: Request) -> None:
    """Until the client hangs up. The body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wait(request: Request) -> float:
    """Seconds to wait for the result; 0 for a job at once."""
    given = request.query_params.get("wait")
    if given is None:
        asked = request.headers.get("prefer", "").lower()  # RFC 7240
        return 0.0 if "respond-async" in asked else WAIT
    if given.lower() in ("true", "false"):
        return WAIT if given.lower() == "true" else 0.0
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < WAIT:
        raise HttpError(400, "The parameter wait.", expected=f"true, false, or seconds below {WAIT:g}", got=given[:40])
    return seconds


async def _given(request: Request, route: Natural, command: Command) -> dict[str, Any]:
    """The arguments that a natural URL has. Raises `ArgumentError`, `HttpError`."""
    found: dict[str, Any] = {}
    for name, value in request.path_params.items():
        found[route.names.get(name, name)] = value
    query = dict(request.query_params)
    if len(query) != len(request.query_params.multi_items()):
        raise HttpError(400, "A parameter comes twice.", expected="each once")
    if route.size and ("width" in query or "height" in query):
        found[route.size] = _size(query.pop("width", ""), query.pop("height", ""))
    if route.filters:
        own = command.signature.parameters.keys() - {route.filters}
        found[route.filters] = {name: text for name, text in query.items() if name not in own}
        query = {name: text for name, text in query.items() if name in own}
    for name, text in query.items():
        argument = route.names.get(name, name)
        if argument in found or argument == route.body:
            raise HttpError(400, "That is no parameter of this resource.", got=name[:40])
        found[argument] = arguments.lax(command, argument, text)
    if route.body == "*":
        body = await arguments.read_body(request, command)
        if body.keys() & found.keys():
            raise HttpError(400, "An argument comes twice.", got=min(body.keys() & found.keys()))
        found |= body
    elif route.body:
        found[route.body] = await arguments.read_whole(request)
    return found


def _size(width: str, height: str) -> list[int]:
    edges = [text for text in (width, height) if text.isascii() and text.isdigit() and len(text) < 8]
    if len(edges) != 2:
        raise ArgumentError("The picture's size does not fit.", expected="width and height in pixels")
    return [int(edge) for edge in edges]
