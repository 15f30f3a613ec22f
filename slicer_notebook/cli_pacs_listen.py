"""``slicer-notebook pacs listen``: a PACS pushes to this machine, and what comes is kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from slicer_notebook.cli_pacs import Config, port_of
from slicer_notebook.cli_pacs_transfer import Database, Folder, Json, Name, ended_in_order, kept_line, line, opened
from slicer_notebook.errors import SlicerNotebookError
from slicer_notebook.terminal import err, out

if TYPE_CHECKING:
    from slicer_notebook.pacs.listening import Listening
    from slicer_notebook.pacs.reports import Heard, SeriesKept

__all__ = ["register"]

#: Seconds of one wait.
_TICK = 0.2


def register(pacs: typer.Typer) -> None:
    """Add the command to the group's."""
    pacs.command("listen")(listen)


def listen(
    name: Name,
    *,
    port: Annotated[
        str | None,
        typer.Option(
            "--port", help="Where to listen, instead of the configured port; 'free': anywhere.", metavar="PORT"
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the first that came has come whole.")] = False,
    quiet: Annotated[
        float, typer.Option("--quiet", min=0.0, help="Seconds without more after which a series has come whole.")
    ] = 3.0,
    database: Database = None,
    folder: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Keep what the PACS sends unasked ("send to SLICER"), until Ctrl+C or SIGTERM.

    It must send to our AE title at this machine's address and the port that is told first.
    """
    wanted = port_of(port)
    pacs = opened(name, config, database, folder)
    try:
        with pacs.listen(port=wanted, quiet=quiet) as listening:
            _tell_where(listening.report, as_json)
            with ended_in_order(listening.cancel):
                _follow(listening, once, as_json)
            with contextlib.suppress(SlicerNotebookError):  # the last report says so
                listening.result(60.0)
            _tell(listening, listening.arrived(0), as_json)
            _tell_end(listening.report, as_json)
            well = listening.exception() is None
    finally:
        pacs.close()
    raise typer.Exit(0 if well else 1)


def _follow(listening: Listening, once: bool, as_json: bool) -> None:
    said: set[str] = set()
    problem = ""
    while not listening.done:
        found = listening.arrived(_TICK)
        _tell(listening, found, as_json)
        report = listening.report
        for note in report.notes:
            if note not in said:
                said.add(note)
                err().print(note, markup=False, soft_wrap=True)
        if report.error and report.error["message"] != problem:
            err().print(f"slicer-notebook: {report.error['message']}", markup=False, soft_wrap=True)
        problem = report.error.get("message", "")
        if once and found and all(each.settled for each in report.series):
            listening.cancel()
            return


def _tell_where(report: Heard, as_json: bool) -> None:
    if as_json:
        names = ("server", "listening", "calling", "bind", "port", "tls", "senders", "folder")
        line({name: getattr(report, name) for name in names})
    else:
        tls = " with TLS" if report.tls else ""
        out().print(
            f"{report.calling} listens at {report.bind}, port {report.port}{tls}, for {', '.join(report.senders)}",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _tell(listening: Listening, found: list[SeriesKept], as_json: bool) -> None:
    for each in found:
        if as_json:
            line(kept_line(each))
        else:
            several = "1 instance" if each.count == 1 else f"{each.count} instances"
            out().print(
                f"{each.SeriesInstanceUID}: {several}, {each.Modality or 'no modality'}, from "
                f"{', '.join(each.senders) or listening.report.server}",
                markup=False, soft_wrap=True,
            )  # fmt: skip


def _tell_end(report: Heard, as_json: bool) -> None:
    if as_json:
        dropped = [{"SOPInstanceUID": uid or None, "reason": why} for uid, why in report.dropped]
        last = {"listening": False, "count": report.count, "series": len(report.series), "seconds": report.seconds}
        line(last | {"dropped": dropped, "notes": report.notes} | ({"error": report.error} if report.error else {}))
    else:
        out().print(f"{report.count} instances were kept, in {report.folder}", markup=False, soft_wrap=True)
