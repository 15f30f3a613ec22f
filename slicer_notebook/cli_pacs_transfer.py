"""``slicer-notebook pacs find``, ``get``, ``store`` and ``watch``: with ``--json`` one object a line, for programs."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from slicer_notebook.cli_pacs import Config, server_named
from slicer_notebook.cli_pacs_table import print_answers
from slicer_notebook.errors import (
    ArgumentError,
    DeadlineError,
    JobCancelledError,
    SlicerNotebookError,
    error_in_words,
)
from slicer_notebook.terminal import err, out, progress, waiting

if TYPE_CHECKING:
    from slicer_notebook.pacs.pacs import Pacs, Transfer
    from slicer_notebook.pacs.reports import Report, SeriesKept, SeriesReport
    from slicer_notebook.pacs.storing import Stored
    from slicer_notebook.pacs.watching import Seen

__all__ = [
    "Database", "Folder", "Json", "Keys", "Name", "ended_in_order", "kept_line", "keys_of", "line", "opened",
    "register",
]  # fmt: skip

#: Columns of a table that no terminal shows.
_PIPE_WIDTH = 320

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What the PACS was called with `pacs add`.", show_default=False)
]
Keys = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="What must match: a DICOM keyword (or tag, or Sequence.Attribute) and a value with * and ?; dates and "
        "ranges as 20240101-20240131; KEY= has it returned; a key given twice: any of the values.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Database = Annotated[
    Path | None,
    typer.Option("--database", help="The index's SQLite file; the user's own by default.", show_default=False),
]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Where files go; beside the index by default.", show_default=False)
]
Ways = Annotated[
    str,
    typer.Option("--ways", help="Only these ways, in this order: WADO-RS,C-GET,C-MOVE,WADO-URI.", show_default=False),
]


def register(pacs: typer.Typer) -> None:
    """Add the commands to the group's."""
    pacs.command("find")(find)
    pacs.command("get")(get)
    pacs.command("store")(store)
    pacs.command("watch")(watch)


def keys_of(given: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE arguments as keys; one that is given twice has any of the values, as DICOM has several in one text."""
    found: dict[str, Any] = {}
    for number, each in enumerate(given or (), 1):
        keyword, equals, value = each.partition("=")
        if not equals or not keyword:
            # What is wrong is not repeated: it may be a patient's name, and standard error may go into a log.
            raise typer.BadParameter(
                f"the {_nth(number)} one is not of that form, as PatientID=4711 is",
                param_hint="KEY=VALUE",
            )
        values = [each for each in (found.get(keyword), value) if each]
        found[keyword] = "\\".join(values) or None
    return found


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _named(given: dict[str, Any]) -> dict[str, Any]:
    """Keys as `Pacs.find` takes them."""
    return {keyword.replace(".", "__"): value for keyword, value in given.items()}


def line(value: Any) -> None:
    """Print one object as one line, at once."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def opened(name: str, config: Path | None, database: Path | None = None, folder: Path | None = None) -> Pacs:
    """The configured PACS of a name, with the index of a path."""
    from slicer_notebook.pacs.pacs import Pacs

    return Pacs(server_named(name, config), index=database, folder=folder, config_path=config, learn=True)


@contextlib.contextmanager
def ended_in_order(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM stop the work in order; what has arrived by then is kept. A second one ends at once."""
    former: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, former.get(number, signal.SIG_DFL))
        stop()

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        former[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def find(
    name: Name,
    keys: Keys = None,
    *,
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "STUDY",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Answers at most.", show_default=False)] = None,
    include: Annotated[
        list[str] | None,
        typer.Option("--include", help="A further attribute to be returned; may be repeated.", show_default=False),
    ] = None,
    counts: Annotated[
        bool, typer.Option("--counts/--no-counts", help="Ask for numbers of series and images that are left out.")
    ] = True,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Names that sound alike, where the PACS can.")] = False,
    relational: Annotated[
        bool, typer.Option("--relational", help="Below studies, ask without naming the study, where the PACS can.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask a PACS what it has."""
    pacs = opened(name, config)
    given = keys_of(keys)
    found = pacs.find(
        level,
        limit=limit,
        include=include or (),
        counts=counts,
        fuzzy=fuzzy,
        relational=relational,
        **_named(given),
    )
    records: list[dict[str, Any]] = []
    error: SlicerNotebookError | None = None
    count = 0
    try:
        with ended_in_order(found.cancel), waiting(f"asking {pacs.name}", show=not as_json) as say:
            for count, record in enumerate(found, 1):
                if as_json:
                    line(_plain(record))
                else:
                    records.append(record)
                    say(f"asking {pacs.name}: {count} so far")
    except SlicerNotebookError as exc:
        error = exc  # what has come until then is shown all the same
    finally:
        found.cancel()
        pacs.close()
    if records:
        print_answers(records, level.upper(), [*(include or ()), *(key for key in given if given[key] is None)])
    if error is not None:
        raise error
    if not count:
        err().print("Nothing matches.", markup=False)


def get(
    name: Name,
    keys: Keys = None,
    *,
    database: Database = None,
    folder: Folder = None,
    ways: Ways = "",
    parallel: Annotated[
        int | None, typer.Option("--parallel", min=1, help="Series at the same time.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Retrieve all that matches into the index; what is there already is not fetched again.

    Exit code 0 only when all that the PACS has of it is here.
    """
    given = keys_of(keys)
    if not any(value is not None for value in given.values()):
        raise typer.BadParameter("name what to retrieve: StudyInstanceUID=..., PatientID=...", param_hint="KEY=VALUE")
    complete = _get(lambda: opened(name, config, database, folder), given, _names(ways), parallel, as_json)
    raise typer.Exit(0 if complete else 1)


def _names(ways: str) -> list[str]:
    return [way.strip().upper() for way in ways.split(",") if way.strip()]


def _get(
    opener: Callable[[], Pacs], given: dict[str, Any], ways: list[str], parallel: int | None, as_json: bool
) -> bool:
    pacs: Pacs | None = None
    transfer: Transfer | None = None
    error: SlicerNotebookError | None = None
    try:
        pacs = opener()
        transfer = pacs.retrieve(ways=ways, parallel=parallel, **_named(given))
        with ended_in_order(transfer.cancel), progress("Retrieving", lines=not as_json, counted=True) as show:
            _follow(transfer, show)
        transfer.result(0)
    except SlicerNotebookError as exc:
        if transfer is None and isinstance(exc, ArgumentError):
            raise  # wrong usage: nothing was asked
        error = exc
    finally:
        if pacs is not None:
            pacs.close()
    report = transfer.report if transfer is not None else None
    complete = error is None and report is not None and report.complete
    if as_json:
        _print_lines(report, complete, error)
    elif report is not None and report.series:
        _print_report(report, complete)
    if error is not None:
        err().print(f"slicer-notebook: {error}", markup=False)
    return complete


def _follow(transfer: Transfer, show: Callable[[int, int, str], None]) -> None:
    while not transfer.done:
        report = transfer.report
        expected = sum(each.expected or each.received for each in report.series)
        now = next((each for each in report.series if each.state == "fetching"), None)
        # Descriptions may name the patient, and what goes to standard error may go into a log.
        number = "" if now is None or now.SeriesNumber is None else f" {now.SeriesNumber}"
        title = f"{now.Modality or 'A'} series{number}" if now is not None else "Asking what there is"
        show(report.received, expected, title)
        with contextlib.suppress(DeadlineError):
            transfer.result(0.2)


def series_line(each: SeriesReport) -> dict[str, Any]:
    """A series as the contract has it."""
    return {
        "SeriesInstanceUID": each.SeriesInstanceUID,
        "StudyInstanceUID": each.StudyInstanceUID,
        "SeriesDescription": each.SeriesDescription,
        "Modality": each.Modality,
        "expected": each.expected,
        "received": each.received,
        "missing": each.missing,
        "missing_uids": each.missing_uids,
        "here": each.here,
        "retried": each.retried,
        "seconds": each.seconds,
        "bytes": each.bytes,
        "ways": each.ways,
        "reasons": each.reasons,
        "warnings": each.warnings,
        "complete": each.complete,
    }


def kept_line(each: SeriesKept) -> dict[str, Any]:
    """A series of which something came that nobody had asked for, as the contract has it."""
    words: dict[str, Any] = msgspec.to_builtins(each)
    words.pop("settled")
    return words


def _print_lines(report: Report | None, complete: bool, error: SlicerNotebookError | None) -> None:
    for each in report.series if report is not None else ():
        line(series_line(each))
    last: dict[str, Any] = {
        "complete": complete,
        "series": len(report.series) if report is not None else 0,
        "received": report.received if report is not None else 0,
        "seconds": round(report.seconds, 3) if report is not None else 0.0,
        "folder": report.folder if report is not None else None,
        "warnings": report.warnings if report is not None else [],
        "dropped": [{"SOPInstanceUID": uid or None, "reason": why} for uid, why in report.dropped] if report else [],
        "kept": [kept_line(each) for each in report.kept] if report else [],
    }
    if error is not None:
        last["error"] = error_in_words(error)
    line(last)


def _print_report(report: Report, complete: bool) -> None:
    console = out()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    table = Table(box=None, pad_edge=False)
    for column in (
        "No.",
        "Modality",
        "Description",
        "Expected",
        "Received",
        "Missing",
        "Asked again",
        "Seconds",
        "Ways",
    ):
        table.add_column(column, overflow="fold")
    # As their numbers have them, not as the PACS listed them.
    for each in sorted(report.series, key=lambda each: (each.StudyInstanceUID, each.SeriesNumber or 0)):
        cells = (
            each.SeriesNumber, each.Modality, each.SeriesDescription, each.expected, each.received, each.missing,
            each.retried, f"{each.seconds:.1f}", ", ".join(each.ways) or "here already",
        )  # fmt: skip
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
    console.print(table)
    for each in report.series:
        for text in (*each.reasons, *each.warnings):
            console.print(f"{each.SeriesDescription or each.SeriesInstanceUID}: {text}", markup=False, soft_wrap=True)
    for text in report.warnings:
        console.print(text, markup=False, soft_wrap=True)
    for uid, why in report.dropped[:20]:
        console.print(f"not kept: {uid or 'an instance'}: {why}", markup=False, soft_wrap=True)
    for kept in report.kept:
        several = "1 instance" if kept.count == 1 else f"{kept.count} instances"
        console.print(
            f"kept, though not asked for: {several} of {kept.SeriesInstanceUID}", markup=False, soft_wrap=True
        )
    words = "All is here" if complete else "NOT all is here"
    came = f"{sum(each.bytes for each in report.series) / 1e6:.1f} MB came in {report.seconds:.1f} s"
    console.print(f"{words}: {report.received} instances in {report.folder}; {came}.", markup=False, soft_wrap=True)


def store(
    name: Name,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, folders, or UIDs of the index.", show_default=False)
    ],
    *,
    commit: Annotated[
        bool, typer.Option("--commit", help="Ask it to commit itself to keeping them, and wait for its answers.")
    ] = False,
    commit_timeout: Annotated[
        float | None, typer.Option("--commit-timeout", help="Seconds to wait for those (60).", show_default=False)
    ] = None,
    database: Database = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send DICOM files to a PACS. Exit code 0 only when it took all of them, and with --commit will keep them."""
    pacs = opened(name, config, database)
    error: SlicerNotebookError | None = None
    try:
        work = pacs.store(*paths, commit=commit, commit_timeout=commit_timeout)
        with ended_in_order(work.cancel), progress("Sending", lines=not as_json, counted=True) as show:
            while not work.done:
                report = work.report
                waiting = report.awaiting and len(report.files) == report.count
                show(len(report.files), report.count, "Waiting for commitment" if waiting else "Sending")
                with contextlib.suppress(DeadlineError):
                    work.result(0.2)
        work.result(0)
    except JobCancelledError as exc:
        error = exc
    finally:
        pacs.close()
    complete = error is None and work.report.complete
    _print_stored(work.report, complete, error, as_json)
    raise typer.Exit(0 if complete else 1)


def _print_stored(stored: Stored, complete: bool, error: SlicerNotebookError | None, as_json: bool) -> None:
    for each in stored.files:
        if as_json:
            words = {"path": each.path, "stored": not each.error, "skipped": each.skipped, "error": each.error or None}
            line(words | {"committed": each.committed, "uncommitted": each.uncommitted or None})
        elif each.error:
            what = "passed over" if each.skipped else "not taken"
            err().print(f"{what}: {each.path}: {each.error['message']}", markup=False)
        elif each.uncommitted:
            err().print(f"not committed: {each.path}: {each.uncommitted}", markup=False, soft_wrap=True)
    if as_json:
        last = {"complete": complete, "stored": len(stored.taken), "skipped": len(stored.skipped)}
        last["committed"] = len(stored.committed)
        line(last | ({"error": error_in_words(error)} if error is not None else {}))
    else:
        count = stored.count - len(stored.skipped)
        asked = len(stored.committed) + len(stored.uncommitted)
        committed = f"; the PACS has committed itself to keeping {len(stored.committed)} of them" if asked else ""
        out().print(f"{len(stored.taken)} of {count} files were taken{committed}.", markup=False, soft_wrap=True)
    if error is not None:
        err().print(f"slicer-notebook: {error}", markup=False)


def watch(
    name: Name,
    keys: Keys = None,
    *,
    every: Annotated[float, typer.Option("--every", min=1.0, help="Seconds between two looks.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    database: Database = None,
    folder: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Retrieve what newly matches, again and again: a feed. What is here is not fetched again."""
    given = keys_of(keys)
    if not any(value is not None for value in given.values()):
        raise typer.BadParameter("name what to watch for: Modality=CT, StudyDate=20240101-", param_hint="KEY=VALUE")
    from slicer_notebook.pacs.watching import Watching

    pacs = opened(name, config, database, folder)
    watching = Watching(pacs, given, lambda seen: _tell(seen, pacs.name, as_json))
    well = True
    try:
        with ended_in_order(watching.stop), waiting("", show=not as_json) as say:
            while not watching.stopped:
                say(f"looking at what {pacs.name} has")
                well = watching.look()
                if once:
                    break
                say(f"waiting for the next look, every {every:g} s; Ctrl+C ends")
                until = time.monotonic() + every
                while time.monotonic() < until and not watching.stopped:
                    time.sleep(0.1)
    finally:
        pacs.close()
    raise typer.Exit(1 if once and not well else 0)


def _tell(seen: Seen, server: str, as_json: bool) -> None:
    if as_json:
        words: dict[str, Any] = {"StudyInstanceUID": seen.study} if seen.study else {}
        words |= {"error": error_in_words(seen.error)} if seen.error is not None else {}
        if seen.study:
            words |= {"complete": seen.complete, "received": seen.received, "new": seen.new}
        line(words)
    elif seen.error is not None:
        out().print(f"{seen.study or server}: {seen.error.message}", markup=False, soft_wrap=True)
    else:
        state = "all here" if seen.complete else "NOT all here"
        out().print(f"{seen.study}: {seen.new} new instances, {state}", markup=False, soft_wrap=True)
