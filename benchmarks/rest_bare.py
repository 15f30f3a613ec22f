"""A bare Starlette application to compare with: ``python -m benchmarks.rest_bare PORT FILE NAMES``."""

from __future__ import annotations

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route


def main() -> None:
    """Serve until killed; "ready" is printed when requests are answered."""
    port, path, names = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])

    async def in_json(_request: Request) -> Response:
        return JSONResponse(names)

    async def file(_request: Request) -> Response:
        return FileResponse(path)

    async def drain(request: Request) -> Response:
        length = 0
        async for piece in request.stream():
            length += len(piece)
        return JSONResponse({"length": length})

    routes = [Route("/json", in_json), Route("/file", file), Route("/drain", drain, methods=["POST"])]
    config = uvicorn.Config(
        Starlette(routes=routes), port=port, http="httptools", loop="asyncio", ws="none", lifespan="off",
        access_log=False, log_level="error",
    )  # fmt: skip

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:  # noqa: ARG002 - uvicorn's signature
            await super().startup()
            print("ready", flush=True)

    Server(config).run()


if __name__ == "__main__":
    main()
