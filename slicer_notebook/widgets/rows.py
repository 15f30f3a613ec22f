"""Records of the index as rows of the picker: what a person reads, in the order in which they read it."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from slicer_notebook.dicom.catalogue import iso_date
from slicer_notebook.dicom.records import Series

__all__ = ["STATIC_STUDIES", "plan_facts", "series_row", "static_cards", "static_table"]

#: Studies in the static fallback: a saved notebook is to be read, not to hold an archive.
STATIC_STUDIES: Final = 50

_LEFT = "style='text-align:left'"


def series_row(series: Series) -> dict[str, Any]:
    """What the browser shows of a series."""
    return {
        "uid": series.SeriesInstanceUID,
        "study": series.StudyInstanceUID,
        "number": series.SeriesNumber,
        "modality": series.Modality or "",
        "description": series.SeriesDescription or series.ProtocolName or "",
        "body": (series.BodyPartExamined or "").capitalize(),
        "date": iso_date(series.SeriesDate),
        "images": series.NumberOfSeriesRelatedInstances,
    }


def plan_facts(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the browser shows of a series' plan: volumes, sequences and images in words, warnings, refusals."""
    found = [*plan["volumes"], *plan.get("sequences", []), *plan.get("images", [])]
    warnings = [*plan["warnings"], *(text for each in found for text in each["warnings"])]
    return {
        "volumes": [_volume_facts(each) for each in found],
        "warnings": list(dict.fromkeys(warnings)),
        "refused": [
            {"message": refusal["message"], "reason": refusal["reason"], "files": refusal["files"]}
            for refusal in plan["refused"]
        ],
    }


def _volume_facts(volume: Mapping[str, Any]) -> dict[str, str]:
    facts = {"name": volume["name"], "size": f"{volume['files']} slices", "spacing": "", "orientation": ""}
    if volume.get("shape"):
        slices, rows, columns = volume["shape"]
        facts["size"] = f"{columns} \u00d7 {rows}" + ("" if volume.get("image") else f" \u00d7 {slices}")
    if volume.get("axis"):
        facts["size"] = f"{len(volume['axis']['values'])} over {volume['axis']['name']}, {facts['size']}"
    if volume.get("calibrated") is False:
        facts["spacing"] = "of unknown size"
    elif volume.get("spacing"):
        facts["spacing"] = " \u00d7 ".join(f"{step:.3g}" for step in volume["spacing"]) + " mm"
    facts["orientation"] = "image" if volume.get("image") else volume.get("orientation") or ""
    return facts


def static_table(
    studies: Sequence[Mapping[str, str]],
    total: int,
    series: Mapping[str, Iterable[Mapping[str, Any]]],
    thumbnails: Mapping[str, bytes],
    *,
    hide_names: bool = False,
) -> str:
    """The studies and what is known of their series, as HTML without a script.

    Args:
        studies: the first of the catalogue, by field.
        total: how many there are in all.
        series: rows of `series_row`, by Study Instance UID.
        thumbnails: PNG, by Series Instance UID.
        hide_names: pseudonyms, and no IDs.
    """
    if not total:
        return '<p style="font-size:12px">The index holds no study.</p>'
    head = "".join(
        f"<th {_LEFT}>{title}</th>" for title in ("", "Patient", "ID", "Date", "Modality", "Description", "Images")
    )
    shown = studies[:STATIC_STUDIES]
    body = "".join(_static_study(study, series.get(study["uid"], ()), thumbnails, hide_names) for study in shown)
    left_out = total - len(shown)
    more = f"<p>{left_out:,} further studies are not shown here.</p>" if left_out > 0 else ""
    return f'<table style="font-size:12px"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'


def _static_study(
    study: Mapping[str, str], series: Iterable[Mapping[str, Any]], thumbnails: Mapping[str, bytes], hide_names: bool
) -> str:
    cells = [
        "",
        study["pseudonym"] if hide_names else study["name"],
        "" if hide_names else study["id"],
        study["date"],
        study["modalities"],
        study["description"],
        study["images"],
    ]
    row = "".join(f"<td {_LEFT}>{html.escape(cell)}</td>" for cell in cells)
    lines = [f"<tr style='font-weight:600'>{row}</tr>"]
    for each in series:
        picture = _picture(thumbnails.get(each["uid"]), 64)
        lines.append(
            f"<tr><td>{picture}</td><td colspan='3' {_LEFT}>{html.escape(_title(each))}</td>"
            f"<td {_LEFT}>{html.escape(each['modality'])}</td><td></td><td {_LEFT}>{each['images']}</td></tr>"
        )
    return "".join(lines)


def _picture(png: bytes | None, width: int) -> str:
    if not png:
        return ""
    # Lab's own style lets pictures in a table shrink to nothing.
    source = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
    return f'<img alt="Middle slice" width="{width}" style="max-width:none" src="{source}">'


def _title(series: Mapping[str, Any]) -> str:
    words = [str(part) for part in (series["number"], series["description"] or series["body"]) if part is not None]
    return " · ".join(filter(None, words))


def static_cards(series: Sequence[Mapping[str, Any]], thumbnails: Mapping[str, bytes]) -> str:
    """Series side by side, as HTML without a script.

    Args:
        series: rows of `series_row`.
        thumbnails: PNG, by Series Instance UID.
    """
    cells = "".join(
        '<figure style="margin:0;width:128px;font-size:12px">'
        f"{_picture(thumbnails.get(each['uid']), 128)}"
        f"<figcaption>{html.escape(_title(each))}<br>{html.escape(each['modality'])}, {each['images']} "
        f"{'image' if each['images'] == 1 else 'images'}</figcaption></figure>"
        for each in series
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:10px">{cells}</div>'
