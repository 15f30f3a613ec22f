"""OsiriX's and Horos' XML-RPC, for programs written for them: a RIS, scripts, links in a browser; see docs/osirix.md.

The protocol is here; what the methods do is the command ``osirix.call`` (`slicer_notebook.commands.osirix`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from slicer_notebook.commands.paths import readable
from slicer_notebook.errors import ArgumentError, LinkRefusedError, PathNotFoundError, SlicerNotebookError
from slicer_notebook.gateways.http import HttpServer
from slicer_notebook.gateways.osirix.xmlrpc import MAX_BODY, RequestError, nil, of_query, request, response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from slicer_notebook.commands.gateway import Context

__all__ = ["PORT", "Application", "OsirixGateway", "run"]

#: OsiriX's.
PORT: Final = 8080
#: Calls at the same time. Each may wait for a PACS, on one of the eight threads that Slicer has for that.
AT_ONCE: Final = 4
_XML: Final = "text/xml"


async def run(context: Context, method: str, params: dict[str, Any], database: str | None = None) -> dict[str, Any]:
    """Have a method done, without XML and HTTP; its answer, as of the command ``osirix.call``.

    Args:
        database: path of the index; the user's own without it.

    Raises:
        SlicerNotebookError: it failed.
    """
    allow = [what for what in ("kill", "delete") if context.allows(what)]
    try:
        params = _with_real_path(context, method, params)
    except LinkRefusedError as exc:
        return {"status": 403, "error": "403", "why": exc.message}
    except (PathNotFoundError, ArgumentError):
        return {"status": 200, "error": "-1", "why": "no such path"}
    asked = context.ask("osirix.call", method=method, params=params, database=database, allow=allow)
    answer: dict[str, Any] = await asyncio.wrap_future(asked)
    return answer


def _with_real_path(context: Context, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters; of OpenDB with the path that was looked at, so that nothing else is opened.

    Raises:
        LinkRefusedError: it is a folder that other programs may not read.
        PathNotFoundError, ArgumentError: there is none, or it is no absolute path, such as a number.
    """
    path = params.get("path")
    if method.lower() != "opendb" or path is None or path == "":
        return params
    return {**params, "path": str(readable(context.options, path))}


class Application:
    """The ASGI application. Path and verb do not matter; a body is XML-RPC, a request without one is its query.

    Attributes:
        database: path of the index that calls are about; OpenDB changes it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._free = asyncio.Semaphore(AT_ONCE)
        self.database = context.options.database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = Request(scope, receive)
        try:
            answer = await self._answer(asked)
        except ClientDisconnect:
            return
        await answer(scope, receive, send)

    async def _answer(self, asked: Request) -> Response:
        body = await asked.body()
        state = asked.state
        # What was asked for may name a patient: the log has the method only.
        state.what = "XML-RPC"
        try:
            query = asked.url.query if not body.strip() else ""
            method, params = of_query(query) if query else request(body)
        except RequestError as exc:
            state.note = exc.why
            return refusal(exc.status, exc.why)
        known = "".join(char for char in method if char.isalnum())[:40]
        state.what = known
        try:
            async with self._free:
                answer = await run(self._context, method, params, self.database)
        except SlicerNotebookError as exc:
            state.note = exc.message
            return refusal(500, exc.message)
        return await self._written(answer, state)

    async def _written(self, answer: dict[str, Any], state: Any) -> Response:
        state.note = answer.get("why", "")
        if answer["status"] != 200:
            return refusal(answer["status"], answer["why"])
        if "database" in answer:
            self.database = answer["database"] if answer["database"] is not None else self._context.options.database
        if answer["error"] is None:
            return Response(nil(), headers={"content-type": _XML})
        state.status, state.good = f"error {answer['error']}", answer["error"] == "0"
        members: dict[str, Any] = {
            name: answer[name] for name in ("error", "elements", "currentDCMPath") if name in answer
        }
        # Of 100,000 studies that is a second.
        content = await asyncio.to_thread(response, members)
        return Response(content, headers={"content-type": _XML})


def refusal(status: int, _words: str) -> Response:
    """What is refused: a status, and nothing else."""
    return Response(status_code=status)


class OsirixGateway:
    """Serves OsiriX's XML-RPC."""

    kind: ClassVar[str] = "osirix"

    def __init__(self, context: Context) -> None:
        self._server = HttpServer(
            Application(context),
            context,
            kind=self.kind,
            usual_port=PORT,
            refusal=refusal,
            max_body=MAX_BODY,
            hang_up=True,
        )

    def start(self) -> tuple[str, int]:
        """Listen; the address and port. Raises `GatewayError`."""
        return self._server.start()

    def stop(self) -> None:
        """End it."""
        self._server.stop()
