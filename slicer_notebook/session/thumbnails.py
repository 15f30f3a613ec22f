"""Series before they are loaded: their middle slices side by side, with what would become of them."""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from slicer_notebook.dicom.records import Series, series_name
from slicer_notebook.session.images import Image
from slicer_notebook.session.job import Job
from slicer_notebook.session.plans import Plan
from slicer_notebook.session.sheets import contact_sheet, save_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Thumbnail", "Thumbnails", "collect"]

#: Series that are asked for at the same time; Slicer has four workers, and others may want one.
_AT_ONCE: Final = 3
#: Warnings of a series that a gallery shows.
_SHOWN_WARNINGS: Final = 5


class Thumbnail:
    """A series' picture. Shows itself inline.

    Attributes:
        series: the record of the index.
        image: the middle slice, windowed; a card in words where there is no picture to show.
        plan: what the series will become; None where that cannot be said.
        error: why there is no plan or no picture, in words; "" normally.
    """

    def __init__(self, series: Series, detail: dict[str, Any]) -> None:
        self.series = series
        self.plan = msgspec.convert(detail["plan"], Plan) if "plan" in detail else None
        png = detail.get("png")
        self.image = Image(png, self.title) if png else None
        error = detail.get("plan_error") or detail.get("png_error") or {}
        self.error = " ".join(filter(None, (error.get("message"), error.get("hint"))))

    @property
    def png(self) -> bytes | None:
        """The picture's bytes; None where there is none."""
        return None if self.image is None else self.image.png

    @property
    def title(self) -> str:
        """Number and description, as Slicer names a series: ``3: Chest``."""
        return series_name(self.series)

    @property
    def facts(self) -> str:
        """Modality and number of images: ``CT, 133 images``."""
        count = self.series.NumberOfSeriesRelatedInstances
        return ", ".join(filter(None, (self.series.Modality, f"{count:,} image{'' if count == 1 else 's'}")))

    @property
    def warnings(self) -> list[str]:
        """What will not be as one would think, and what is refused, in words."""
        if self.plan is None:
            return []
        found = [*self.plan.volumes, *self.plan.sequences, *self.plan.images]
        words = [*self.plan.warnings, *(text for each in found for text in each.warnings)]
        return list(dict.fromkeys([*words, *(refusal.message for refusal in self.plan.refused)]))

    def _repr_html_(self) -> str:
        return self._figure()

    def _figure(self) -> str:
        if self.image is None:
            shown = f'<span style="font-size:12px;opacity:.75">{html.escape(self.error or "No picture.")}</span>'
        else:
            data = b64encode(self.image.png).decode("ascii")
            width, height = self.image.size
            shown = (
                f'<img alt="Middle slice of series {html.escape(self.title)}" width="{width}" height="{height}" '
                f'style="margin:0;max-width:100%;height:auto" src="data:image/png;base64,{data}">'
            )
        return (
            '<figure style="margin:0;font:12px/1.4 sans-serif">'
            '<div style="display:flex;align-items:center;justify-content:center;aspect-ratio:1;overflow:hidden;'
            f'background:#000;border-radius:6px;color:#ddd">{shown}</div>'
            f'<figcaption style="margin-top:4px;overflow-wrap:anywhere"><strong>{html.escape(self.title)}</strong><br>'
            f'<span style="opacity:.75">{html.escape(self.facts)}</span>{self._warned()}</figcaption></figure>'
        )

    def _warned(self) -> str:
        warnings = self.warnings
        if not warnings:
            return ""
        count = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
        items = "".join(f"<li>{html.escape(text)}</li>" for text in warnings[:_SHOWN_WARNINGS])
        more = len(warnings) - _SHOWN_WARNINGS
        items += f"<li>and {more} more</li>" if more > 0 else ""
        return f'<details><summary>{count}</summary><ul style="margin:0;padding-left:1.4em">{items}</ul></details>'

    def __repr__(self) -> str:
        notes = f"; {'; '.join(self.warnings)}" if self.warnings else ""
        return f"<Thumbnail of series {self.title!r}, {self.facts}{notes}>"


class Thumbnails(list[Thumbnail]):
    """Several series' pictures; shown side by side, with numbers, descriptions, modalities, counts and warnings."""

    def figure(self, columns: int = 6, title: str = "") -> Figure:
        """A matplotlib figure of all pictures, captioned.

        Args:
            columns: pictures in a row.
            title: above all of them.

        Raises:
            ArgumentError: there is nothing to show, or no column to show it in.
        """
        return contact_sheet(self._captioned(), columns, title)

    def save(self, path: str | Path, columns: int = 6, title: str = "") -> Path:
        """Write a sheet of all pictures; the path.

        Args:
            path: its ending says the format: ``.png``, ``.pdf``, ``.svg``.
            columns: pictures in a row.
            title: above all of them.

        Raises:
            PathNotFoundError: the folder does not exist.
            ArgumentError: as for `figure`.
        """
        return save_sheet(self.figure(columns, title), path)

    def _captioned(self) -> list[tuple[Image, str]]:
        return [
            (each.image or _blank(), "\n".join(filter(None, (each.title, each.facts, each.error)))) for each in self
        ]

    def _repr_html_(self) -> str:
        if not self:
            return "<em>no series</em>"
        cells = "".join(each._figure() for each in self)
        widest = max((each.image.size[0] for each in self if each.image is not None), default=128)
        columns = f"repeat(auto-fill,minmax(min({max(widest, 96)}px,100%),{max(widest, 96)}px))"
        return f'<div style="display:grid;gap:16px 12px;grid-template-columns:{columns}">{cells}</div>'

    def __repr__(self) -> str:
        if not self:
            return "Thumbnails([])"
        return "\n".join(repr(each) for each in self)


def _blank() -> Image:
    """Where there is no picture."""
    from PIL import Image as PilImage

    buffer = io.BytesIO()
    PilImage.new("RGB", (64, 64), (40, 40, 40)).save(buffer, "PNG")
    return Image(buffer.getvalue())


def collect(
    series: Sequence[Series],
    known: dict[str, dict[str, Any]],
    ask: Callable[[str], Job[Any]],
    wait: Callable[[Job[Any]], Any],
) -> Thumbnails:
    """Thumbnails of series, in order; what is not known is asked for, a few at a time.

    Args:
        known: details of ``dicom.details_known``, by Series Instance UID.
        ask: begins ``dicom.detail`` of a series.
        wait: gives a job's result.
    """
    missing = deque(dict.fromkeys(each.SeriesInstanceUID for each in series if each.SeriesInstanceUID not in known))
    details = dict(known)
    asked: deque[tuple[str, Job[Any]]] = deque()
    try:
        while missing or asked:
            while missing and len(asked) < _AT_ONCE:
                uid = missing.popleft()
                asked.append((uid, ask(uid)))
            uid, job = asked[0]
            details[uid] = wait(job)
            asked.popleft()
    finally:
        for _, job in asked:
            job.cancel()
    return Thumbnails(Thumbnail(each, details[each.SeriesInstanceUID]) for each in series)
