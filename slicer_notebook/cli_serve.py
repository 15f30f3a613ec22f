"""``slicer-notebook serve``: one command with which other programs drive a Slicer."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from slicer_notebook.cli_pacs_transfer import ended_in_order
from slicer_notebook.commands.gateways import new_token
from slicer_notebook.errors import ArgumentError, SlicerNotebookError
from slicer_notebook.pacs.checks import is_loopback
from slicer_notebook.terminal import err, out, progress

if TYPE_CHECKING:
    from slicer_notebook.session import Session
    from slicer_notebook.session.gateways import Gateway

__all__ = ["register"]

#: Seconds of one wait.
_TICK: Final = 0.2
#: Hexadecimal digits of the name of a folder's index.
_NAME_DIGITS: Final = 16


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    *,
    rest: Annotated[
        int | None,
        typer.Option("--rest", min=0, max=65535, metavar="PORT", help="SlicerWeb's REST; usually 2016."),
    ] = None,
    osirix: Annotated[
        int | None,
        typer.Option("--osirix", min=0, max=65535, metavar="PORT", help="XML-RPC of OsiriX and Horos; usually 8080."),
    ] = None,
    igtl: Annotated[
        int | None, typer.Option("--igtl", min=0, max=65535, metavar="PORT", help="OpenIGTLink; usually 18944.")
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option("--gateway", metavar="KIND:PORT", help="One that another package brings. Repeatable."),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="The running Slicer of that name.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="A new Slicer, which ends with this command.")] = False,
    dicom: Annotated[
        Path | None,
        typer.Option("--dicom", metavar="FOLDER|DATABASE", help="DICOM files, or an index; your own index without it."),
    ] = None,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="new|env:NAME", help="Who asks must have it. Always off the loopback interface."
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="WHAT", help="Switch on: exec, quit, kill, delete, write. Repeatable."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", metavar="FOLDER", help="Only files in this folder may be named. Repeatable."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="URL", help="Web pages of this origin may ask. Repeatable."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Another name of this machine in requests. Repeatable."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each request, on standard error.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on standard output when all serve.")
    ] = False,
) -> None:
    """Serve other programs from a Slicer, until Ctrl+C or SIGTERM. Port 0 takes a free one.

    Without --session and --headless: the Slicer that runs, or a new one where none does.
    """
    ports = {kind: port for kind, port in (("rest", rest), ("osirix", osirix), ("igtl", igtl)) if port is not None}
    ports |= dict(_kind_and_port(text) for text in gateway or [])
    if not ports:
        raise typer.BadParameter("name what is to be served: --rest PORT, --osirix PORT, --igtl PORT")
    if session is not None and headless:
        raise typer.BadParameter("--session and --headless exclude each other")
    secret = _token(token, bind)
    how: dict[str, Any] = {
        "bind": bind,
        "token": secret,
        "allow": allow or [],
        "files": [str(folder.expanduser().absolute()) for folder in files] if files else None,
        "origins": origin or [],
        "names": name or [],
        "database": _database(dicom),
        "by": "slicer-notebook serve",
        "owner": os.getpid(),
    }
    ended = threading.Event()
    with ended_in_order(ended.set), _slicer(session, headless) as slicer:
        _serve(slicer, ports, how, ended, verbose=verbose, as_json=as_json)


def _kind_and_port(text: str) -> tuple[str, int]:
    kind, _, port = text.partition(":")
    if not kind or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise typer.BadParameter("--gateway takes KIND:PORT, such as rest:2016")
    return kind, int(port)


def _token(token: str | None, bind: str) -> str:
    if token is None and is_loopback(bind):
        return ""
    if token in (None, "new"):
        return new_token()
    kind, _, variable = str(token).partition(":")
    if kind != "env" or not variable:
        # On a command line all users of the machine would see it, and so would whoever reads this error.
        raise typer.BadParameter("--token takes 'new', or env:NAME for an environment variable that holds it")
    value = os.environ.get(variable, "")
    if not value:
        raise typer.BadParameter(f"--token: the environment variable {variable} is not set")
    return value


def _database(place: Path | None) -> str | None:
    """The index of a folder or file of DICOM, brought up to date; an index as it is."""
    if place is None:
        return None
    from slicer_notebook.dicom import Index
    from slicer_notebook.dicom.folders import data_folder

    place = place.expanduser().absolute()
    if _is_index(place):
        return str(place)
    # Kept, so that the next time only what has changed is read.
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:_NAME_DIGITS]
    path = data_folder() / "served" / f"{name}.sqlite3"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with progress("Looking at DICOM files") as show:
        Index(path).add(place, progress=show)
    return str(path)


def _is_index(path: Path) -> bool:
    if not path.is_file() or path.name == "ctkDICOM.sql":
        return False
    with path.open("rb") as file:
        # SQLite, "Database File Format", 1.3
        return file.read(16) == b"SQLite format 3\0"


@contextmanager
def _slicer(name: str | None, headless: bool) -> Iterator[Session]:
    """The Slicer that serves; one that is started here ends with the block."""
    from slicer_notebook import session

    running = [] if name is not None or headless else session.sessions()
    if len(running) > 1:
        raise ArgumentError(
            "Several Slicers run; which one?",
            expected="--session NAME, or --headless for a new one",
            got=", ".join(record.name for record in running),
        )
    if name is None and running:
        name = running[0].name
    found = session.launch() if name is None else session.connect(name)
    try:
        yield found
    finally:
        found.close()


def _serve(
    slicer: Session, ports: dict[str, int], how: dict[str, Any], ended: threading.Event, *, verbose: bool, as_json: bool
) -> None:
    from slicer_notebook.session.gateways import Gateway, GatewayLog

    started: dict[str, Gateway] = {}
    lost: list[BaseException] = []
    slicer.on("closed", lost.append)

    def tell(event: dict[str, Any]) -> None:
        kinds = {str(entry["id"]): entry["kind"] for entry in event["entries"]}
        for number, lines in event["lines"].items():
            for line in lines:
                err().print(f"{kinds[number]}  {GatewayLog([line])}", markup=False, soft_wrap=True)

    if verbose:
        slicer.on("gateways", tell)
    try:
        for kind, port in ports.items():
            entry = slicer.call("gateways.start", kind=kind, port=port, **how)
            started[kind] = Gateway(slicer, entry, entry.pop("token"))
        _announce(slicer, started, how["token"], as_json)
        while not ended.wait(_TICK) and not lost:
            pass
    finally:
        if slicer.alive:
            _stop(slicer, started, verbose)
    if lost:
        err().print(f"slicer-notebook: Slicer is gone. {lost[0]}", markup=False)
        raise typer.Exit(1)


def _stop(slicer: Session, started: dict[str, Gateway], verbose: bool) -> None:
    if verbose and started:
        time.sleep(_TICK)  # the last lines are told with the next event
    try:
        slicer.call("gateways.stop", ids=[each._id for each in started.values()])
    except SlicerNotebookError as error:
        err().print(f"slicer-notebook: {error}", markup=False)


def _announce(slicer: Session, started: dict[str, Gateway], token: str, as_json: bool) -> None:
    if as_json:
        where = {kind: {"host": each.host, "port": each.port} for kind, each in started.items()}
        typer.echo(json.dumps({"session": slicer.name, **where, "token": token or None}))
        return
    console = out()
    console.print(f"Slicer {slicer.name!r} serves", markup=False)
    for kind, each in started.items():
        console.print(f"  {kind:8}{each.url}", markup=False, soft_wrap=True)
    if token:
        console.print(f"  token   {token}", markup=False, soft_wrap=True)
    console.print("until Ctrl+C", markup=False)
