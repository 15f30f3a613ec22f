"""``slicer-notebook open URL``: a link of another program or web page, opened in a Slicer that runs, or a new one."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from slicer_notebook.errors import LinkError, LinkRefusedError, SlicerNotebookError
from slicer_notebook.links.cases import CASES, Case
from slicer_notebook.links.policy import Verdict, refused
from slicer_notebook.terminal import err, out, progress

if TYPE_CHECKING:
    from slicer_notebook.pacs.links.settings import LinkSettings
    from slicer_notebook.session import Session
    from slicer_notebook.session.job import Job

__all__ = ["register"]

_FLAGS: Final = ("--dry-run", "--json", "--yes")
#: Thousandths, in which the bar counts.
_BAR: Final = 1000


def _dialogs() -> ModuleType:
    # With all that a session needs; what is only judged does without.
    from slicer_notebook.session import dialogs

    return dialogs


class _OpenCommand(TyperCommand):
    """What is none of our options is the URL: a browser hands on what a page has, which may look like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args != ["--help"]:
            args = _sorted(args)
        return list(super().parse_args(ctx, args))


def _sorted(args: list[str]) -> list[str]:
    options: list[str] = []
    urls: list[str] = []
    waiting = list(args)
    while waiting:
        arg = waiting.pop(0)
        if arg == "--":
            urls += waiting
            break
        if arg in _FLAGS:
            options.append(arg)
        elif arg == "--session" and waiting:
            options.append(f"--session={waiting.pop(0)}")
        elif arg.startswith("--session="):
            options.append(arg)
        else:
            urls.append(arg)
    return [*options, "--", *urls]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("open", cls=_OpenCommand)(open_url)


def open_url(
    url: Annotated[
        list[str] | None, typer.Argument(help="A slicer://, osirix:// or horos:// URL.", metavar="URL")
    ] = None,
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="The running Slicer of that name.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done: open, ask or refuse, and why.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to what would be asked.")] = False,
) -> None:
    """Open a link: fetch the study that it names, load it and show it, in the Slicer that runs or a new one.

    Exit code 0 when that is done (with --dry-run always), 1 when it is refused or does not work.
    """
    text = url[0] if url and len(url) == 1 else ""
    _hide_from_others(text)
    try:
        verdict, chosen = _judged(text)
        if dry_run:
            _tell(verdict, as_json)
            return
        _agree(verdict, agreed=yes)
        assert chosen is not None  # else it is refused
        with_it = _name_of_session(session or chosen.session, named=session is not None)
        slicer = _slicer(with_it, chosen)
    except SlicerNotebookError as exc:
        _dialogs().tell("The link was not opened", exc.got or exc.message)
        raise
    try:
        _open(slicer, text, as_json)
    finally:
        slicer.close()


def _hide_from_others(url: str) -> None:
    """Take the link out of what other users see of this process (``ps``), where the system allows it (Linux).

    It may hold a token, and this process lasts as long as the retrieval. Python has copied its arguments long ago.
    """
    secret = os.fsencode(url)
    if b"://" not in secret or not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        # proc(5): fields 48 and 49, counted behind the name, which may have spaces in it.
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(begin)
            arguments = memory.read(end - begin)
            at = arguments.rfind(secret)
            if at >= 0:
                memory.seek(begin + at)
                memory.write(b"*" * len(secret))


def _judged(url: str) -> tuple[Verdict, LinkSettings | None]:
    from slicer_notebook.pacs.links.settings import judged, settings

    try:
        chosen = settings()
        return judged(url, chosen), chosen
    except LinkError as exc:
        err().print(f"slicer-notebook: {exc}", markup=False)
        case = Case.NO_POLICY
        return Verdict("refuse", CASES[case].why, case, {}), None


def _tell(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(verdict.words()))
        return
    out().print(f"{verdict.action}: {verdict.why}", markup=False)
    for name, value in verdict.parsed.items():
        out().print(f"  {name}: {value}", markup=False, soft_wrap=True)


# -- a person's word --------------------------------------------------------------------------------------------------


def _agree(verdict: Verdict, *, agreed: bool) -> None:
    """Raises `LinkRefusedError` unless it may be opened."""
    if verdict.action == "open" or (verdict.action == "ask" and agreed):
        return
    if verdict.action == "refuse":
        raise refused(verdict.action, verdict.why)
    lines = [f"A link wants to be opened in Slicer: {verdict.why}."]
    lines += [f"  {name}: {value}" for name, value in verdict.parsed.items() if name != "scheme"]
    answer = _dialogs().ask("\n".join(lines), "Open it?")
    if answer is None:
        hint = "slicer-notebook open --yes URL agrees to it; links.toml may say so for all of its kind"
        raise refused("ask", verdict.why, hint=hint)
    if not answer:
        raise refused("ask", "you did not agree")


# -- which Slicer -----------------------------------------------------------------------------------------------------


def _name_of_session(wanted: str, *, named: bool) -> str:
    """The name of the Slicer that runs and is to open it; empty for a new one.

    Args:
        named: on the command line, so that no other one will do.
    """
    from slicer_notebook import session

    running = [record.name for record in session.sessions()]
    if wanted and (named or wanted in running):
        return wanted
    if len(running) < 2:
        return running[0] if running else ""
    chosen: str | None = _dialogs().choose("Several Slicers run. Which one opens the link?", running)
    if chosen is None:
        raise LinkRefusedError(
            "Several Slicers run, and nobody says which one opens the link.",
            expected="slicer-notebook open --session NAME URL, or session = NAME in links.toml",
            got=", ".join(running),
            details={"action": "refuse", "sessions": running},
        )
    return chosen


def _slicer(name: str, chosen: LinkSettings) -> Session:
    from slicer_notebook import session

    if name:
        return session.connect(name)
    if chosen.start == "never":
        raise LinkRefusedError(
            "No Slicer runs, and links start none.",
            hint="slicer_notebook.launch() in a notebook starts one; start in links.toml may be 'headless'",
            details={"action": "refuse"},
        )
    if chosen.start == "desktop":
        raise LinkRefusedError(
            "No Slicer runs, and the desktop application cannot be started by links yet.",
            expected="start = 'headless' or 'never' in links.toml",
            got="start = 'desktop'",
            details={"action": "refuse"},
        )
    _dialogs().tell("Slicer starts", "A link opens it.")
    with progress("Starting Slicer", lines=_dialogs().on_terminal()):
        return session.launch(keep=True)


# -- opening ----------------------------------------------------------------------------------------------------------


def _open(slicer: Session, url: str, as_json: bool) -> None:
    _dialogs().tell("A link is opened in Slicer", f"in {slicer.name}")
    try:
        with progress("Link", lines=_dialogs().on_terminal()) as show:
            # Over the session's own connection: it stands in no command line and no environment.
            job = slicer.submit(
                "links.open", url=url, agreed=True, database=slicer.dicom.database, by="slicer-notebook open"
            )
            job.on_progress(_shown(show))
            found = _result(job)
    except SlicerNotebookError as exc:
        _dialogs().tell("The link was not opened", exc.message)
        raise
    text = _in_words(found)
    _dialogs().tell("Slicer shows what the link brought", text)
    if as_json:
        told = {name: found[name] for name in ("studies", "series", "instances", "load", "parsed")}
        typer.echo(json.dumps({"session": slicer.name, **told, "nodes": [node.name for node in found["nodes"]]}))
    else:
        out().print(f"{slicer.name}: {text}", markup=False, soft_wrap=True)


def _result(job: Job[Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = job.result()
    except KeyboardInterrupt:
        err().print("slicer-notebook: stopped; what has arrived is kept.", markup=False)
        raise typer.Exit(130) from None
    return found


def _shown(show: Callable[[int, int, str], None]) -> Callable[[Job[Any]], None]:
    def progressed(job: Job[Any]) -> None:
        known = job.progress >= 0
        show(round(job.progress * _BAR) if known else 0, _BAR if known else 0, job.text)

    return progressed


def _in_words(found: dict[str, Any]) -> str:
    names = ", ".join(node.name for node in found["nodes"])
    several = "1 instance" if found["instances"] == 1 else f"{found['instances']} instances"
    return "; ".join([*([several] if found["instances"] else []), *([names] if names else [])]) or "done"
