"""The ``slicer-notebook`` command. Exit codes: 0 done, 1 it did not work (standard error says why), 2 wrong usage."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from slicer_notebook import (
    cli_dicom,
    cli_open,
    cli_pacs,
    cli_pacs_listen,
    cli_pacs_look,
    cli_pacs_transfer,
    cli_serve,
    cli_urls,
    kernelspec,
)
from slicer_notebook import doctor as checks
from slicer_notebook.errors import ArgumentError, SlicerNotebookError
from slicer_notebook.terminal import err, out, progress

__all__ = ["app", "main"]

app = typer.Typer(
    name="slicer-notebook",
    help="Drive 3D Slicer from a Jupyter notebook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
kernels = typer.Typer(help="The kernel 'Slicer (headless)' in Jupyter's list of kernels.", no_args_is_help=True)
app.add_typer(kernels, name="kernelspec")
cli_dicom.register(app)
cli_pacs.register(app)
cli_pacs_transfer.register(cli_pacs.pacs)
cli_pacs_look.register(cli_pacs.pacs)
cli_pacs_listen.register(cli_pacs.pacs)
cli_serve.register(app)
cli_open.register(app)
cli_urls.register(app)

MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Tell what works on this machine, and what to type where something does not.

    Exit code 1 when something that is needed does not work.
    """
    with err().status("looking") as status:
        results = checks.run(lambda name: status.update(f"looking at: {name}"))
    failed = any(result.status == "fail" for result in results)
    if as_json:
        rows = [asdict(result) for result in results]
        typer.echo(json.dumps({"ok": not failed, "checks": rows}, indent=1))
    else:
        print_checks(results)
    raise typer.Exit(1 if failed else 0)


def print_checks(results: list[checks.Check]) -> None:
    """The doctor's table, then what to do."""
    console = out()
    table = Table(box=None, pad_edge=False)
    for column in ("", "What", "Found"):
        table.add_column(column, no_wrap=column != "Found", overflow="fold")
    for result in results:
        table.add_row(MARKS[result.status], result.name, Text(result.found))
    console.print(table)
    todo = [result for result in results if result.fix]
    console.print("\nWhat to do:" if todo else "\nNothing to do.")
    for result in todo:
        # Below the table, each in a line of its own: a command that a table wraps cannot be copied.
        console.print(f"  {result.name}: {result.fix}", markup=False, soft_wrap=True)


@app.command("version")
def show_version() -> None:
    """Print the versions that a report of a problem should name."""
    names = ("slicer-notebook", "slicer-core", "trame-slicer", "vtk", "pydicom", "ipykernel", "jupyterlab", "anywidget")
    console = out()
    for name, number in checks.installed(*names).items():
        console.print(f"{name} {number or 'not installed'}")
    console.print(f"Python {platform.python_version()} on {platform.platform()}")


@kernels.command("install")
def kernelspec_install(
    user: Annotated[bool, typer.Option("--user", help="For all environments of this user.")] = False,
    sys_prefix: Annotated[
        bool, typer.Option("--sys-prefix", help="For this Python environment only (the default).")
    ] = False,
) -> None:
    """Let JupyterLab offer 'Slicer (headless)', for a notebook that runs in Slicer itself."""
    if user and sys_prefix:
        raise typer.BadParameter("--user and --sys-prefix exclude each other")
    folder = kernelspec.install(user=True) if user else kernelspec.install(prefix=sys.prefix)
    out().print(f"{kernelspec.DISPLAY_NAME}: {folder}", soft_wrap=True, markup=False)


@kernels.command("remove")
def kernelspec_remove() -> None:
    """Take 'Slicer (headless)' out of Jupyter's list again."""
    out().print(f"removed {kernelspec.remove()}", soft_wrap=True, markup=False)


@app.command("sessions")
def list_sessions(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the Slicers of this user that run on this machine: what slicer_notebook.connect(NAME) can join."""
    from slicer_notebook import session

    found = session.sessions()
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(record) for record in found], indent=1))
    elif not found:
        err().print("No Slicer runs. slicer_notebook.launch() in a notebook starts one.", markup=False)
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("Name", "Process", "Started", "When its notebook ends"):
            table.add_column(column, no_wrap=True)
        for record in found:
            started = datetime.fromtimestamp(record.started).astimezone().strftime("%Y-%m-%d %H:%M")
            table.add_row(Text(record.name), str(record.pid), started, "goes on" if record.kept else "ends, too")
        out().print(table)


@app.command("sample-data")
def fetch_sample_data(
    folder: Annotated[Path | None, typer.Argument(help="Where to put it; a folder of ours by default.")] = None,
) -> None:
    """Fetch the sample study: a real chest CT, 133 slices of LIDC-IDRI-0001 (35 MB to download). Prints its folder."""
    from slicer_notebook import sample_data

    with progress("Sample study") as show:
        result = sample_data.fetch(folder, progress=show)
    out().print(f"sample study: {result}", soft_wrap=True, markup=False)


def main() -> None:
    """The console script: our own errors are told in words, without a traceback."""
    try:
        app()
    except SlicerNotebookError as error:
        err().print(f"slicer-notebook: {error}", markup=False)
        sys.exit(2 if isinstance(error, ArgumentError) else 1)


if __name__ == "__main__":
    main()
