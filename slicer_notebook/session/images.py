"""Pictures from Slicer: shown inline, as numpy, as PNG."""

from __future__ import annotations

import datetime
import html
import io
import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicer_notebook import __version__
from slicer_notebook.errors import PathNotFoundError
from slicer_notebook.protocol.values import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Image", "Picture", "Pictures", "caption_of", "provenance", "view_title", "with_text"]


class Image:
    """A picture of a view. Shows itself inline; a saved notebook keeps it.

    Attributes:
        png: the PNG's bytes.
        name: name of the view.
    """

    def __init__(self, png: bytes, name: str = "") -> None:
        self.png = png
        self.name = name
        self._array: Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        # PNG specification, 11.2.2 IHDR: big-endian width and height at byte 16.
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])

    @property
    def array(self) -> Array:
        """uint8 [height, width, 3], row 0 at the top."""
        if self._array is None:
            from PIL import Image as PilImage

            self._array = np.asarray(PilImage.open(io.BytesIO(self.png)).convert("RGB"))
        return self._array

    def save(self, path: str | Path) -> Path:
        """Write it as PNG; the path. Raises `PathNotFoundError` when the folder does not exist."""
        target = Path(path)
        if not target.parent.is_dir():
            raise PathNotFoundError("There is no such folder.", got=str(target.parent))
        target.write_bytes(self.png)
        return target

    def _repr_png_(self) -> bytes:
        return self.png

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        width, height = self.size
        return f"<Image of view {self.name!r}, {width} x {height}>"


class Picture(Image):
    """A picture of a view that knows what it shows. Its PNG says so, too, in text chunks.

    Attributes:
        provenance: ``view``, ``kind``, ``time`` (UTC, ISO 8601), ``session``, ``slicer`` and ``slicer_notebook``
            (versions); of a slice view also ``orientation``, ``offset`` (mm), ``field_of_view`` (of the picture, mm,
            across and down), ``volume`` (name), ``study`` and ``series`` (UIDs), ``window``, ``level`` and ``units``,
            where there are.
    """

    def __init__(self, png: bytes, provenance: Mapping[str, Any]) -> None:
        self.provenance = dict(provenance)
        super().__init__(with_text(png, text_of(self.provenance)), str(provenance.get("view", "")))

    @property
    def caption(self) -> str:
        """What it shows, in words: two lines."""
        return caption_of(self.provenance)

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = {"image/png": self.png, "text/html": self._repr_html_(), "text/plain": repr(self)}
        return data, {"slicer_notebook": self.provenance}

    def _repr_html_(self) -> str:
        first, _, second = self.caption.partition("\n")
        words = f"<strong>{html.escape(first)}</strong>" + (f"<br>{html.escape(second)}" if second else "")
        return (
            '<figure style="margin:0 8px 8px 0;width:min(100%,420px);display:inline-block;vertical-align:top">'
            f'<img alt="{html.escape(first)}" style="width:100%;border-radius:4px;display:block" '
            f'src="data:image/png;base64,{b64encode(self.png).decode("ascii")}">'
            f'<figcaption style="font-size:12px;line-height:1.5;padding-top:4px">{words}</figcaption></figure>'
        )

    def __repr__(self) -> str:
        return f"<Picture {self.caption.partition(chr(10))[0]}, {self.size[0]} x {self.size[1]}>"


def provenance(facts: Mapping[str, Any], session: str, *, strict: bool = False) -> dict[str, Any]:
    """The provenance of a picture that is taken now.

    Args:
        facts: of the command ``view.picture``.
        session: the session's name.
        strict: leave out what tells who a patient is: the volume's name and the UIDs.
    """
    found = {"view": facts["name"], "kind": facts["kind"]}
    found |= {key: facts[key] for key in ("orientation", "offset", "field_of_view") if key in facts}
    volume = facts.get("volume") or {}
    if not strict:
        found |= {"volume": volume.get("name"), "study": volume.get("study"), "series": volume.get("series")}
    found |= {key: volume[key] for key in ("window", "level", "units") if volume.get(key) is not None}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found |= {"time": now, "session": session, "slicer": facts.get("slicer"), "slicer_notebook": __version__}
    return {key: value for key, value in found.items() if value not in (None, "")}


def view_title(name: str) -> str:
    """A view's name as a person reads it: Slicer calls its first 3-D view "1"."""
    return "3-D view" if name == "1" else name


def caption_of(provenance: Mapping[str, Any]) -> str:
    """Provenance in words: what is seen, then whence."""
    first = [view_title(str(provenance.get("view", "")))]
    if "offset" in provenance:
        first += [str(provenance["orientation"]), f"{round(provenance['offset'], 1) + 0.0:.1f} mm"]  # no "-0.0"
    second = [str(provenance["volume"])] if provenance.get("volume") else []
    if "window" in provenance:
        unit = {"Hounsfield unit": " HU"}.get(provenance.get("units") or "", "")
        second.append(f"W {provenance['window']:g} L {provenance['level']:g}{unit}")
    return " \u00b7 ".join(first) + ("\n" + " \u00b7 ".join(second) if second else "")


def text_of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Provenance as a PNG's text: keywords of the PNG specification (11.3.3.2), and all of it as JSON."""
    software = f"3D Slicer {provenance.get('slicer', '')}, slicer-notebook {provenance.get('slicer_notebook', '')}"
    return {
        "Title": caption_of(provenance).replace("\n", ", "),
        "Software": software,
        "Creation Time": str(provenance.get("time", "")),
        "slicer-notebook": json.dumps(dict(provenance), ensure_ascii=False),
    }


def with_text(png: bytes, texts: Mapping[str, str]) -> bytes:
    """A PNG with these texts, by keyword: iTXt chunks (PNG specification, 11.3.3.4) behind its header."""
    chunks = b""
    for keyword, text in texts.items():
        data = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
        chunks += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    # The signature has 8 bytes, IHDR 25.
    return png[:33] + chunks + png[33:]


class Pictures(Mapping[str, Image]):
    """Several views' pictures, by the views' names; shown side by side."""

    def __init__(self, images: dict[str, Image]) -> None:
        self._images = images

    def __getitem__(self, name: str) -> Image:
        return self._images[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)

    def figure(self, columns: int = 2, *, title: str = "", inches: float = 4.0) -> Figure:
        """A matplotlib figure with a captioned picture for each view.

        Args:
            columns: pictures in a row.
            title: above them.
            inches: width and height of a picture's place.

        Raises:
            ArgumentError: no pictures, no columns or no size.
        """
        from slicer_notebook.session.sheets import contact_sheet

        return contact_sheet([(image, _caption(image)) for image in self.values()], columns, title, inches=inches)

    def save(self, path: str | Path, columns: int = 2, *, title: str = "", inches: float = 4.0) -> Path:
        """Write that figure as PNG, PDF or SVG; the path. A PNG says of each picture what it shows, in its text.

        Raises:
            ArgumentError: another ending; else as `figure`.
            PathNotFoundError: no such folder.
        """
        from slicer_notebook.session.sheets import save_sheet

        known = [image.provenance for image in self.values() if isinstance(image, Picture)]
        target = Path(path)
        words = {".png": {"slicer-notebook": json.dumps(known, ensure_ascii=False)} if known else {}}
        metadata = {"Title": title or ", ".join(map(view_title, self)), **words.get(target.suffix.lower(), {})}
        return save_sheet(self.figure(columns, title=title, inches=inches), target, metadata)

    def _repr_html_(self) -> str:
        cells = "".join(
            '<figure style="margin:0">'
            f'<img alt="Slicer view {html.escape(name)}" style="max-width:100%;border-radius:4px" '
            f'src="data:image/png;base64,{b64encode(image.png).decode("ascii")}">'
            f'<figcaption style="font:12px sans-serif;text-align:center">{html.escape(name)}</figcaption></figure>'
            for name, image in self.items()
        )
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{cells}</div>'

    def __repr__(self) -> str:
        return f"<Pictures of {', '.join(self)}>"


def _caption(image: Image) -> str:
    return image.caption if isinstance(image, Picture) else view_title(image.name)
