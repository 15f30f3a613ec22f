"""``slicer-notebook pacs test``, ``sign-in``, ``sign-out``, ``thumbnails``: what works, who asks, and pictures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from slicer_notebook.cli_pacs import Config, server_named
from slicer_notebook.cli_pacs_transfer import Json, Keys, Name, ended_in_order, keys_of, line, opened
from slicer_notebook.errors import PacsConfigError, PacsError, error_in_words
from slicer_notebook.terminal import err, out

__all__ = ["register"]

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def register(pacs: typer.Typer) -> None:
    """Add the commands to the group's."""
    pacs.command("test")(test)
    pacs.command("sign-in")(sign_in)
    pacs.command("sign-out")(sign_out)
    pacs.command("thumbnails")(thumbnails)


def test(name: Name, *, config: Config = None, as_json: Json = False) -> None:  # noqa: PT028 - no test
    """Look what works with a PACS, step by step, and what to do where something does not.

    What is learned is kept with its configuration. Exit code 1 when something that is needed does not work.
    """
    pacs = opened(name, config)
    try:
        with err().status("looking") as status:
            found = pacs.test(on_progress=lambda text: status.update(f"looking at: {text}"))
    finally:
        pacs.close()
    if as_json:
        line({"server": found.server, "ok": found.ok, "steps": msgspec.to_builtins(found.steps)})
    else:
        console = out()
        table = Table(box=None, pad_edge=False)
        for column in ("", "What", "Found"):
            table.add_column(column, no_wrap=column != "Found", overflow="fold")
        for step in found.steps:
            table.add_row(_MARKS[step.status], Text(step.name), Text(step.found))
        console.print(table)
        todo = [step for step in found.steps if step.fix]
        console.print("\nWhat to do:" if todo else "\nNothing to do.")
        for step in todo:
            console.print(f"  {step.name}: {step.fix}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if found.ok else 1)


def sign_in(name: Name, *, config: Config = None) -> None:
    """Sign in at a PACS by a code (OAuth 2 device code); the keyring keeps it for programs that run alone.

    Exit code 0 only when it is kept.
    """
    from slicer_notebook.pacs.pacs import Pacs
    from slicer_notebook.pacs.prompts import on_terminal
    from slicer_notebook.pacs.secrets import has_keyring

    server = server_named(name, config)
    if not has_keyring():
        raise PacsConfigError(
            "Here is no keyring that would keep it: signing in would be forgotten when this command ends.",
            hint="On a terminal `pacs find` and the others ask by themselves; a job needs auth=client_credentials.",
        )
    stopped = threading.Event()
    with Pacs(server, config_path=config, prompt=on_terminal) as pacs, ended_in_order(stopped.set):
        kept = pacs.sign_in(stopped.is_set)
    if not kept:
        err().print(
            "It could not be kept: the server gave nothing that renews it, or the keyring refused.", markup=False
        )
        raise typer.Exit(1)
    out().print(f"signed in at {name}; the keyring keeps it", markup=False)


def sign_out(name: Name, *, config: Config = None) -> None:
    """Forget that somebody has signed in at a PACS."""
    from slicer_notebook.pacs.named import sign_out as forget

    forget(server_named(name, config).name)
    out().print(f"signed out at {name}", markup=False)


def thumbnails(
    name: Name,
    keys: Keys = None,
    *,
    folder: Annotated[Path, typer.Option("--folder", help="Where the pictures go.")] = Path("thumbnails"),
    size: Annotated[int, typer.Option("--size", min=16, max=2048, help="Pixels at most.")] = 128,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Series at most.", show_default=False)] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a picture of each series that matches: SERIES_UID.png or .jpg."""
    given = keys_of(keys)
    pacs = opened(name, config)
    failed = count = 0
    stopped: list[bool] = []
    try:
        asked = {keyword.replace(".", "__"): value for keyword, value in given.items()}
        answers = pacs.find("SERIES", limit=limit, counts=False, **asked)

        def stop() -> None:
            stopped.append(True)
            answers.cancel()

        with ended_in_order(stop):
            for each in answers.records():
                if stopped:
                    break
                count += 1
                uid = str(each.get("SeriesInstanceUID"))
                try:
                    picture = pacs.thumbnail(str(each.get("StudyInstanceUID")), uid, size)
                except PacsError as exc:
                    failed += 1
                    _tell(as_json, uid, None, exc)
                    continue
                path = folder / f"{uid}.{'png' if picture.startswith(bytes([0x89])) else 'jpg'}"
                folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture)
                _tell(as_json, uid, path, None)
    finally:
        pacs.close()
    if not count and not stopped:
        err().print("Nothing matches.", markup=False)
    raise typer.Exit(1 if failed or stopped else 0)


def _tell(as_json: bool, uid: str, path: Path | None, error: PacsError | None) -> None:
    if as_json:
        words = error_in_words(error) if error is not None else None
        line({"SeriesInstanceUID": uid, "path": str(path) if path is not None else None, "error": words})
    elif error is not None:
        err().print(f"{uid}: {error.message}", markup=False)
    else:
        out().print(str(path), markup=False, soft_wrap=True)
