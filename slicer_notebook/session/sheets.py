"""Contact sheets: pictures in rows and columns with captions, as a matplotlib figure or a file."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import ArgumentError, PathNotFoundError
from slicer_notebook.session.images import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet", "figure_class", "save_sheet"]

#: Inches of a picture's place, where no other size is asked for.
INCHES: Final = 2.0
#: Pixels of an inch in a PNG file.
DPI: Final = 200
#: Pixels of an inch in a cell's output.
_SHOWN_DPI: Final = 100
_CAPTION_POINTS: Final = 8
#: Characters of a caption's line to an inch, at that size of letters.
_CHARACTERS: Final = 14
_MOST_LINES: Final = 4
_FORMATS: Final = (".png", ".pdf", ".svg")


def contact_sheet(
    pictures: Sequence[tuple[Image | bytes, str]], columns: int = 4, title: str = "", *, inches: float = INCHES
) -> Figure:
    """A figure with a captioned axes for each picture.

    Args:
        pictures: images or PNG bytes, each with its caption; the caption's lines stay lines, long ones are broken.
        columns: pictures in a row; fewer where there are not so many.
        title: above all of them.
        inches: width and height of a picture's place.

    Raises:
        ArgumentError: no pictures, or no columns, or no size.
    """
    if not pictures:
        raise ArgumentError("There is nothing to put on the sheet.", expected="at least one picture", got="none")
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise ArgumentError("The columns do not fit.", expected="a whole number from 1", got=repr(columns))
    if not inches > 0:
        raise ArgumentError("The size does not fit.", expected="inches above 0", got=repr(inches))
    columns = min(columns, len(pictures))
    captions = [_broken(caption, inches) for _, caption in pictures]
    lines = [
        max(each.count("\n") + 1 for each in captions[at : at + columns]) for at in range(0, len(captions), columns)
    ]
    text = [0.2 + count * _CAPTION_POINTS * 1.3 / 72 for count in lines]
    above = 0.4 if title else 0.0
    size = (inches * columns, inches * len(lines) + sum(text) + above)
    figure = figure_class()(figsize=size, layout="constrained")
    grid = figure.add_gridspec(len(lines), columns, height_ratios=[inches + each for each in text])
    for number, ((picture, _), caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(grid[number // columns, number % columns])
        image = picture if isinstance(picture, Image) else Image(picture)
        axes.imshow(image.array)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        # A description may have dollar signs, which would begin a formula.
        axes.set_xlabel(caption, fontsize=_CAPTION_POINTS, parse_math=False)
    if title:
        figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)
    return figure


@functools.cache
def figure_class() -> type[Figure]:
    """A figure's class that shows itself as a cell's last line, also where matplotlib knows of no notebook."""
    from matplotlib.figure import Figure

    class Sheet(Figure):
        """See `figure_class`."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=_SHOWN_DPI)
            return buffer.getvalue()

    return Sheet


def save_sheet(figure: Figure, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a figure as PNG, PDF or SVG, as the path's ending says; the path.

    Args:
        metadata: what is written into the file: text chunks of a PNG, information of a PDF or SVG (only those keys
            that matplotlib knows there).

    Raises:
        PathNotFoundError: the folder does not exist.
        ArgumentError: another ending.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in _FORMATS:
        raise ArgumentError("The sheet's format.", expected=", ".join(_FORMATS), got=target.name)
    if not target.parent.is_dir():
        raise PathNotFoundError("There is no such folder.", got=str(target.parent))
    figure.savefig(target, format=ending[1:], dpi=DPI, metadata=dict(metadata or {}))
    return target


def _broken(caption: str, inches: float) -> str:
    width = max(8, int(inches * _CHARACTERS))
    lines = [part for line in caption.split("\n") for part in textwrap.wrap(line, width) or [""]]
    if len(lines) > _MOST_LINES:
        last = lines[_MOST_LINES - 1]
        lines = [*lines[: _MOST_LINES - 1], f"{last[: width - 1]}\N{HORIZONTAL ELLIPSIS}"]
    return "\n".join(lines)
