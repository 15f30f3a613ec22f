"""Pictures from Slicer: shown inline, as numpy, as PNG."""

from __future__ import annotations

import html
import io
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicer_notebook.errors import PathNotFoundError
from slicer_notebook.protocol.values import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Image", "Pictures"]


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

    def figure(self, columns: int = 2) -> Figure:
        """A matplotlib figure with a titled picture for each view."""
        from matplotlib.figure import Figure

        rows = max(1, math.ceil(len(self) / columns))
        figure = Figure(figsize=(4 * columns, 4 * rows), layout="constrained")
        for index, (name, image) in enumerate(self.items()):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(image.array)
            axes.set_title(name)
            axes.set_axis_off()
        return figure

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
