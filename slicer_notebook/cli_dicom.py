"""The commands about DICOM: ``slicer-notebook index``, ``studies``, ``series`` and ``info``."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from slicer_notebook.terminal import err, out, progress

if TYPE_CHECKING:
    from slicer_notebook.dicom import Index, IndexSummary, Series, SeriesPlan, Study, VolumePlan

__all__ = ["register"]

#: Rows of a table, where no number is asked for; JSON has all.
MOST_ROWS = 100
#: Columns of a table that no terminal shows: a file or a pipe has no width of its own.
_PIPE_WIDTH = 320
#: Columns that are not broken, for nobody could read them then.
_WHOLE = frozenset({"Date", "Modalities", "Modality", "No.", "Series", "Images"})

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Database = Annotated[
    Path | None,
    typer.Option("--database", help="The index's SQLite file; the user's own by default.", show_default=False),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="KEYWORD=VALUE, such as PatientName='Doe*', StudyDate=20200101-20201231 or Modality=MR; may be repeated. "
        "Nothing after the = finds where the attribute is absent.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=0, help=f"Rows at most; 0 for all ({MOST_ROWS}; with --json, all).")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program's."""
    app.command("index")(index)
    app.command("studies")(studies)
    app.command("series")(series)
    app.command("info")(info)


def _open(database: Path | None) -> Index:
    from slicer_notebook.dicom import Index

    return Index(database)


def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders, files, ZIP archives, DICOMDIRs, Slicer's own ctkDICOM.sql.", show_default=False),
    ] = None,
    *,
    database: Database = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Look again at all that is indexed, instead of at paths.")
    ] = False,
    slicer: Annotated[
        bool,
        typer.Option("--slicer", help="Index what the desktop Slicer's DICOM databases list, found by themselves."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name each file that was passed over.")] = False,
    as_json: Json = False,
) -> None:
    """Remember the DICOM files in folders: what is new or changed is read, what is gone is forgotten."""
    if refresh == bool(paths or slicer):
        raise typer.BadParameter("name folders or files, or --slicer, or --refresh alone")
    places = [*(paths or []), *(_slicer_databases() if slicer else [])]
    with progress("Looking", lines=not as_json) as show:
        opened = _open(database)
        summary = opened.refresh(progress=show) if refresh else opened.add(*places, progress=show)
    if as_json:
        _print_json(summary)
    else:
        _print_summary(summary, verbose)


def _slicer_databases() -> list[Path]:
    from slicer_notebook.dicom import slicer_databases

    found = slicer_databases()
    for database in found:
        what = database.problem or f"{database.studies} studies, {database.images} images"
        err().print(f"{database.path}: {what}", markup=False)
    usable = [Path(database.path) for database in found if not database.problem]
    if not usable:
        err().print("The desktop Slicer has no DICOM database here that can be read.", markup=False)
        raise typer.Exit(1)
    return usable


def _print_summary(summary: IndexSummary, verbose: bool) -> None:
    console = out()
    table = Table(box=None, pad_edge=False, show_header=False)
    for what, count in (
        ("Studies", summary.studies),
        ("Series", summary.series),
        ("Instances", summary.instances),
        ("Files", summary.files),
        ("  new or changed", summary.added),
        ("  known", summary.unchanged),
        ("  duplicates", summary.duplicates),
        ("Gone", summary.removed),
        ("  of these moved", summary.moved),
        ("Passed over", len(summary.skipped)),
        ("UID conflicts", len(summary.conflicts)),
    ):
        table.add_row(what, str(count))
    console.print(table)
    for reason, count in Counter(skipped.reason for skipped in summary.skipped).most_common(None if verbose else 10):
        console.print(f"passed over {count} x {reason}", markup=False, soft_wrap=True)
        for skipped in summary.skipped if verbose else ():
            if skipped.reason == reason:
                console.print(f"  {skipped.path}", markup=False, soft_wrap=True)
    for conflict in summary.conflicts if verbose else summary.conflicts[:10]:
        what = f"UID conflict: SOP Instance UID {conflict.SOPInstanceUID} has several {', '.join(conflict.attributes)}"
        console.print(what, markup=False, soft_wrap=True)
        for path in conflict.paths:
            console.print(f"  {path}", markup=False, soft_wrap=True)


def studies(
    words: Annotated[list[str] | None, typer.Argument(help="Words that all must occur.", show_default=False)] = None,
    filters: Filters = None,
    limit: Limit = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List the indexed studies. Matching has no case and no accents; * and ? are wild cards."""
    by = _filters(filters, words)
    found = _open(database).studies(limit=_limit(limit, as_json), **by)
    if as_json:
        _print_json(found)
    else:
        columns = ("Patient", "ID", "Date", "Description", "Modalities", "Series", "Images", "Study Instance UID")
        _print_table(columns, [_study_cells(study) for study in found], limit, bool(by))


def _study_cells(study: Study) -> list[str]:
    return [
        study.PatientName or "",
        study.PatientID or "",
        _date(study.StudyDate),
        study.StudyDescription or "",
        ", ".join(study.ModalitiesInStudy),
        str(study.NumberOfStudyRelatedSeries),
        str(study.NumberOfStudyRelatedInstances),
        study.StudyInstanceUID,
    ]


def series(
    study: Annotated[str | None, typer.Argument(help="A Study Instance UID; all studies without.")] = None,
    *,
    words: Annotated[
        list[str] | None, typer.Option("--text", help="A word that must occur; may be repeated.", show_default=False)
    ] = None,
    filters: Filters = None,
    limit: Limit = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List the indexed series, of a study or of all."""
    by = _filters(filters, words)
    found = _open(database).series(study, limit=_limit(limit, as_json), **by)
    if as_json:
        _print_json(found)
    else:
        columns = ("Patient", "Date", "No.", "Modality", "Description", "Images", "Series Instance UID")
        _print_table(columns, [_series_cells(one) for one in found], limit, bool(by))


def _series_cells(one: Series) -> list[str]:
    return [
        one.PatientName or "",
        _date(one.StudyDate),
        "" if one.SeriesNumber is None else str(one.SeriesNumber),
        one.Modality or "",
        one.SeriesDescription or "",
        str(one.NumberOfSeriesRelatedInstances),
        one.SeriesInstanceUID,
    ]


def _filters(given: Sequence[str] | None, words: Sequence[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given or ():
        keyword, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is no KEYWORD=VALUE", param_hint="--filter")
        if keyword in found:
            # Given twice: any of them.
            former = found[keyword] if isinstance(found[keyword], list) else [found[keyword]]
            found[keyword] = [*former, value or None]
        else:
            found[keyword] = value or None
    if words:
        found["text"] = " ".join(words)
    return found


def _limit(limit: int | None, as_json: bool) -> int | None:
    if limit is None:
        # One more than is shown, to know whether there are more.
        return None if as_json else MOST_ROWS + 1
    return limit or None


def _date(text: str | None) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if text and len(text) == 8 and text.isdigit() else text or ""


def _print_json(value: object) -> None:
    typer.echo(json.dumps(msgspec.to_builtins(value), indent=1, ensure_ascii=False))


def _print_table(columns: Sequence[str], rows: list[list[str]], limit: int | None, filtered: bool) -> None:
    if not rows:
        hint = "Nothing matches." if filtered else "The index is empty: slicer-notebook index FOLDER fills it."
        err().print(hint, markup=False)
        return
    more = limit is None and len(rows) > MOST_ROWS
    console = out()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    table = Table(box=None, pad_edge=False)
    for column in columns:
        right = column in ("Series", "Images", "No.")
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE, justify="right" if right else "left")
    for row in rows[:MOST_ROWS] if more else rows:
        table.add_row(*map(Text, row))
    console.print(table)
    if more:
        err().print(f"These are the first {MOST_ROWS}: --limit 0 shows all, --filter fewer.", markup=False)


def info(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders or ZIP archives.", show_default=False)],
    header: Annotated[bool, typer.Option("--header", help="Print the first file's data set, without pixels.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would have to be resampled or filled.")] = False,
    as_json: Json = False,
) -> None:
    """Tell what DICOM files would become: volumes, sequences, images, or a refusal and its reason.

    Nothing is remembered. Exit code 1 when nothing of it can be loaded.
    """
    from slicer_notebook.dicom import Index, plan

    with tempfile.TemporaryDirectory(prefix="slicer-notebook-") as folder:
        looked = Index(Path(folder) / "info.sqlite3")
        try:
            with progress("Looking", lines=False) as show:
                summary = looked.add(*paths, progress=show)
            found = looked.series()
            if header:
                typer.echo(str(looked.header(found[0].SeriesInstanceUID)))
                return
            plans = [(one, plan(looked.instances(one), strict=strict)) for one in found]
        finally:
            looked.close()
    if as_json:
        _print_json({"series": [_plan_as_json(*each) for each in plans], "skipped": summary.skipped})
    else:
        for each in plans:
            _print_plan(*each)
        for skipped in summary.skipped[:20]:
            out().print(f"passed over {skipped.path}: {skipped.reason}", markup=False, soft_wrap=True)
    if not any(planned.loadable for _, planned in plans):
        raise typer.Exit(1)


def _volume_as_json(volume: VolumePlan) -> dict[str, Any]:
    return {
        "name": volume.name,
        "files": len(set(volume.files)),
        "shape": list(volume.shape),
        "spacing": list(volume.spacing),
        "orientation": volume.orientation,
        "affine": volume.affine,
        "samples": volume.samples,
        "resampling": None if volume.resampling is None else volume.resampling.why,
        "quantities": [quantity.name for quantity in volume.quantities],
        "warnings": volume.warnings,
    }


def _plan_as_json(one: Series, planned: SeriesPlan) -> dict[str, Any]:
    return {
        "StudyInstanceUID": one.StudyInstanceUID,
        "SeriesInstanceUID": one.SeriesInstanceUID,
        "SeriesNumber": one.SeriesNumber,
        "SeriesDescription": one.SeriesDescription,
        "Modality": one.Modality,
        "NumberOfSeriesRelatedInstances": one.NumberOfSeriesRelatedInstances,
        "volumes": [_volume_as_json(volume) for volume in planned.volumes],
        "sequences": [
            {
                "name": sequence.name,
                "axis": msgspec.to_builtins(sequence.axis),
                "volumes": [_volume_as_json(volume) for volume in sequence.volumes],
                "warnings": sequence.warnings,
            }
            for sequence in planned.sequences
        ],
        "images": [_volume_as_json(image) for image in planned.images],
        "refused": [
            {"reason": str(refusal.reason), "message": refusal.message, "files": len(refusal.files)}
            for refusal in planned.refused
        ],
        "warnings": planned.warnings,
    }


def _print_plan(one: Series, planned: SeriesPlan) -> None:
    console = out()
    number = "" if one.SeriesNumber is None else f"{one.SeriesNumber}: "
    title = f"{number}{one.SeriesDescription or 'no description'} ({one.Modality or 'no modality'})"
    counted = f"{one.NumberOfSeriesRelatedInstances} instance{'' if one.NumberOfSeriesRelatedInstances == 1 else 's'}"
    console.print(Text(f"{title}, {counted}, {one.SeriesInstanceUID}", style="bold"), soft_wrap=True)
    lines: list[str] = []
    for volume in planned.volumes:
        lines += [f"volume {_volume_line(volume)}", *_warnings(volume.warnings)]
    for sequence in planned.sequences:
        unit = f" {sequence.axis.unit}" if sequence.axis.unit else ""
        values = sequence.axis.values
        span = f", {values[0]} to {values[-1]}{unit}" if values else ""
        each = _volume_line(sequence.volumes[0])
        lines += [f"sequence of {len(sequence.volumes)} by {sequence.axis.name}{span}: {each}"]
        told = [*sequence.warnings, *(text for volume in sequence.volumes for text in volume.warnings)]
        lines += _warnings(list(dict.fromkeys(told)))
    for image in planned.images:
        lines += [f"image {_volume_line(image)}", *_warnings(image.warnings)]
    lines += [
        f"refused ({refusal.reason}), {len(refusal.files)} files: {refusal.message}" for refusal in planned.refused
    ]
    lines += [f"warning: {text}" for text in planned.warnings]
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _volume_line(volume: VolumePlan) -> str:
    size = " x ".join(str(n) for n in reversed(volume.shape))
    spacing = " x ".join(f"{mm:.4g}" for mm in volume.spacing)
    colour = ", colour" if volume.samples > 1 else ""
    offered = f", offers {', '.join(quantity.name for quantity in volume.quantities)}" if volume.quantities else ""
    return f"{volume.name}: {size}, {spacing} mm, {volume.orientation}{colour}{offered}"


def _warnings(texts: list[str]) -> list[str]:
    return [f"  warning: {text}" for text in texts]
