"""``/api/v1`` over the wire without a Slicer: commands are done by functions of the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import httpx
from starlette.applications import Starlette

from slicer_notebook.commands import registry
from slicer_notebook.commands.gateway import Context, Line, Options
from slicer_notebook.commands.host import Asked, Host
from slicer_notebook.errors import JobCancelledError
from slicer_notebook.gateways.api import ROOT, Api
from slicer_notebook.gateways.api.failures import refusal
from slicer_notebook.gateways.http import HttpServer
from slicer_notebook.protocol.values import NodeRef

__all__ = ["Run", "Served", "afresh", "events_of", "served"]


class Run:
    """A command that a client has asked for, as the function that does it sees it."""

    def __init__(self, args: dict[str, Any], report: Callable[[float, str, Any], None]) -> None:
        self.args = args
        self.report = report
        self.stopped = threading.Event()

    def wait(self) -> None:
        """Until it is cancelled; a hang is a failure."""
        assert self.stopped.wait(30)
        raise JobCancelledError("The job was cancelled.")


class FakeHost:
    """Does what the tests say, each command on a thread of its own; arguments are checked as Slicer does."""

    def __init__(self) -> None:
        self.does: dict[str, Callable[[Run], Any]] = {}
        self.runs: list[Run] = []
        self.listeners: list[Callable[[str, Any], None]] = []

    def ask(self, name: str, args: dict[str, Any], progress: Callable[[float, str, Any], None] | None) -> Asked:
        bound = registry.get(name).bind(args)
        run, asked = Run(bound, progress or (lambda *_: None)), Asked()
        asked.stop = run.stopped.set
        asked.set_running_or_notify_cancel()
        self.runs.append(run)

        def work() -> None:
            try:
                result = self.does[name](run)
            except BaseException as exc:  # noqa: BLE001 - it belongs to the one who asked
                asked.set_exception(exc)
            else:
                asked.set_result(result)

        threading.Thread(target=work, daemon=True).start()
        return asked

    def ref(self, node: Any) -> NodeRef:
        return NodeRef(node.GetID())

    def listen(self, heard: Callable[[str, Any], None]) -> Callable[[], None]:
        self.listeners.append(heard)
        return lambda: self.listeners.remove(heard)

    def tell(self, kind: str, data: Any) -> None:
        for heard in list(self.listeners):
            heard(kind, data)


class Served(NamedTuple):
    """What a test has."""

    host: FakeHost
    api: Api
    lines: list[Line]
    url: str
    client: httpx.Client

    def run(self, name: str, args: Any = None, query: str = "", **how: Any) -> httpx.Response:
        """Give a command."""
        return self.client.post(f"/commands/{name}{query}", json={} if args is None else args, **how)


@contextmanager
def served(**options: Any) -> Iterator[Served]:
    """Serve it; ``options`` of the gateway."""
    host, lines = FakeHost(), []
    kept: list[Line] = lines
    context = Context(cast(Host, host), Options(port=0, **options), kept.append)
    api = Api(context)
    server = HttpServer(Starlette(routes=api.routes()), context, kind="rest", usual_port=0, refusal=refusal)
    address, port = server.start()
    url = f"http://{address}:{port}{ROOT}"
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield Served(host, api, kept, url, client)
    finally:
        api.close()
        server.stop()


def afresh(running: Served) -> Served:
    """The same server for the next test, without what the last one did."""
    running.api._jobs.close()
    running.api._jobs._jobs.clear()
    for kept in (running.host.does, running.host.runs, running.lines):
        kept.clear()  # type: ignore[attr-defined] - a dictionary and lists
    running.host.does["session.ping"] = lambda run: None
    return running


def events_of(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Events of a stream, as they come: ``event``, ``data``, ``id``; comments as ``comment``."""
    found: dict[str, str] = {}
    for line in response.iter_lines():
        if not line:
            if found:
                yield found
            found = {}
        elif line.startswith(":"):
            found["comment"] = line[1:].strip()
        else:
            name, _, value = line.partition(": ")
            found[name] = value
