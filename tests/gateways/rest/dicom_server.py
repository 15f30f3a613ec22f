"""``/dicom`` alone, over the wire: what the tests of it share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette

from slicer_notebook.commands.gateway import Context, Line, Options
from slicer_notebook.commands.host import Host
from slicer_notebook.gateways.http import HttpServer
from slicer_notebook.gateways.rest.answers import failure
from slicer_notebook.gateways.rest.dicom import routes


@contextmanager
def serving(database: Path, lines: list[Line] | None = None, **options: Any) -> Iterator[str]:
    """The URL of ``/dicom`` over an index, which needs no Slicer."""
    kept: list[Line] = [] if lines is None else lines
    context = Context(cast(Host, None), Options(port=0, database=str(database), **options), kept.append)
    server = HttpServer(Starlette(routes=routes(context)), context, kind="rest", usual_port=0, refusal=failure)
    address, port = server.start()
    try:
        yield f"http://{address}:{port}/dicom"
    finally:
        server.stop()
