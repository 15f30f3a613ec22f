"""Many slices of a volume in one picture, and as a figure with millimetres and letters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.commands.views import png
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.images import Image
from slicer_notebook.session.sheets import figure_class, save_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slicer_notebook.session.session import Session
    from slicer_notebook.session.views import View
    from slicer_notebook.session.volumes import Volume

__all__ = ["Lightbox", "draw_slice"]

#: Pixels between two slices in the picture, of `_BETWEEN`'s grey.
_GAP: Final = 2
_BETWEEN: Final = 48
#: Most rows and columns: with 24 x 24 slices of 256 pixels, a picture is 6,144 pixels wide.
_MOST: Final = 64
_POINTS: Final = 7
_BELOW: Final = 0.22


class Lightbox:
    """n x m slices of a volume, as a slice view of Slicer would show them. No view moves for it.

    They are taken with a slice view's own pipeline, and not straight from the voxels: so window and level, colour
    tables, label maps, segmentations, markups, slabs and transforms are as in the view. 24 slices take about 0.2 s.

    ``lightbox`` as the last expression of a cell shows `image`.

    Args:
        what: a `Volume`, alone; or a `View`, with all the layers it has.
        rows, columns: how many slices, at most: fewer where the volume has not so many.
        first, last: offsets of the first and last slice, mm; in between, evenly. Without both, from the volume's first
            slice to its last, and each is one of its slices.
        offsets: of all slices, mm, instead.
        orientation: "Axial", "Sagittal", "Coronal", or "Volume" for the planes in which the volume was acquired; the
            view's present one without it.
        size: of a slice's picture: its longer edge, or (width, height), pixels.
        field_of_view: mm across and down around the view's middle; all of the volume, around its own, without it.
        view: name of the slice view that a volume is shown by.

    Attributes:
        tiles: uint8 [n, height, width, 3]: the slices.
        offsets: of the slices, mm along the normal.
        orientation: "Axial", "Sagittal", "Coronal" or "Reformat".
        extent: left, right, bottom and top edge of each picture, mm along the view's axes; 0 is where RAS has its
            origin.
        letters: where the edges lead, by ``left``, ``right``, ``top``, ``bottom``, and ``normal``: "R", or of oblique
            slices the dominant ones, such as "RA".
        pixel_to_ras: float64 [n, 4, 4]: (column, row, 0, 1) of a pixel, row 0 at the top, to RAS, mm.
        volume: the volume's name.

    Raises:
        ArgumentError: arguments that do not fit; a view without a volume.
        ViewNotFoundError: no such view.
        RenderingError: nothing can be rendered where Slicer runs.
    """

    def __init__(
        self,
        what: Volume | View,
        rows: int = 4,
        columns: int = 6,
        *,
        first: float | None = None,
        last: float | None = None,
        offsets: Sequence[float] | None = None,
        orientation: str | None = None,
        size: int | tuple[int, int] = 256,
        field_of_view: tuple[float, float] | None = None,
        view: str = "Red",
    ) -> None:
        from slicer_notebook.session.views import View
        from slicer_notebook.session.volumes import Volume

        if not isinstance(what, (Volume, View)):
            raise ArgumentError(
                "A lightbox is of a volume or of a slice view.", expected="a Volume or View", got=type(what).__name__
            )
        if not all(isinstance(each, int) and 1 <= each <= _MOST for each in (rows, columns)):
            raise ArgumentError(
                "Rows and columns do not fit.", expected=f"1 to {_MOST} of each", got=f"{rows!r} x {columns!r}"
            )
        if offsets is not None and len(offsets) > rows * columns:
            rows = math.ceil(len(offsets) / columns)
        session: Session = what._session
        found: Mapping[str, Any] = session.call(
            "view.lightbox",
            view=what.name if isinstance(what, View) else view,
            volume=None if isinstance(what, View) else what,
            count=rows * columns,
            first=first,
            last=last,
            offsets=None if offsets is None else [float(each) for each in offsets],
            orientation=orientation,
            size=size,
            field_of_view=field_of_view,
        )
        self.tiles: Array = found["tiles"]
        self.offsets: tuple[float, ...] = tuple(found["offsets"])
        self.orientation = str(found["orientation"])
        left, right, bottom, top = (float(each) for each in found["extent"])
        self.extent = left, right, bottom, top
        self.letters: dict[str, str] = dict(found["letters"])
        self.pixel_to_ras: Array = found["pixel_to_ras"]
        self.volume = str(found["volume"])
        self.columns = min(columns, len(self.offsets))
        self.rows = math.ceil(len(self.offsets) / self.columns)
        self._image: Image | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def image(self) -> Image:
        """All slices in one picture: rows from the top, each from the left; nothing is written into it."""
        if self._image is None:
            height, width = self.tiles.shape[1:3]
            down, across = height + _GAP, width + _GAP
            whole = np.full((self.rows * down - _GAP, self.columns * across - _GAP, 3), _BETWEEN, dtype=np.uint8)
            for number, tile in enumerate(self.tiles):
                top, left = number // self.columns * down, number % self.columns * across
                whole[top : top + height, left : left + width] = tile
            self._image = Image(png(whole), f"{self.volume} {self.orientation}")
        return self._image

    @property
    def png(self) -> bytes:
        """The picture as PNG."""
        return self.image.png

    def figure(self, *, inches: float = 1.6, axes: bool = True, title: str | None = None) -> Figure:
        """A matplotlib figure: a plot for each slice, with millimetres, letters at its edges and its offset.

        Args:
            inches: width of a slice.
            axes: with millimetres at the outer plots; else only letters and offsets.
            title: above all; the volume's name and the orientation without one.

        Raises:
            ArgumentError: no size.
        """
        if not inches > 0:
            raise ArgumentError("The size does not fit.", expected="inches above 0", got=repr(inches))
        height = inches * self.tiles.shape[1] / self.tiles.shape[2] + _BELOW
        size = (inches * self.columns + 0.6, height * self.rows + 0.6)
        figure = figure_class()(figsize=size, layout="constrained")
        grid = figure.subplots(self.rows, self.columns, squeeze=False, sharex=True, sharey=True)
        places: list[Axes] = list(grid.flat)
        for number, place in enumerate(places):
            if number >= len(self):
                place.set_axis_off()
                continue
            draw_slice(place, self.tiles[number], self.extent, self.letters)
            place.set_title(f"{self.offsets[number] + 0.0:.1f} mm", fontsize=_POINTS, pad=2)
            if axes:
                below = number + self.columns
                _millimetres(place, self.letters, number % self.columns == 0, below >= len(self))
            else:
                place.set_xticks([])
                place.set_yticks([])
        named = title if title is not None else f"{self.volume} \u00b7 {self.orientation}"
        if named:
            figure.suptitle(named, fontsize=10, fontweight="bold", parse_math=False)
        return figure

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write `figure` (with its options) as PNG, PDF or SVG; the path.

        Raises:
            ArgumentError: another ending.
            PathNotFoundError: no such folder.
        """
        return save_sheet(self.figure(**options), path, {"Title": f"{self.volume}, {self.orientation}"})

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        first, last = self.offsets[0] + 0.0, self.offsets[-1] + 0.0
        return (
            f"<Lightbox of {self.volume!r}: {len(self)} slices, {self.orientation}, {first:.1f} to {last:.1f} mm, "
            f"{self.rows} x {self.columns}>"
        )


def draw_slice(
    axes: Axes, picture: Array, extent: tuple[float, float, float, float], letters: Mapping[str, str]
) -> None:
    """Draw the picture of a slice into a plot, in millimetres, with letters where its edges lead.

    Args:
        picture: uint8 [height, width, 3], row 0 at the top.
        extent: left, right, bottom, top, mm.
        letters: by ``left``, ``right``, ``top``, ``bottom``.
    """
    axes.imshow(picture, extent=extent, origin="upper", interpolation="nearest", aspect="equal")
    words: dict[str, Any] = {
        "color": "white", "fontsize": _POINTS, "fontweight": "bold", "transform": axes.transAxes, "parse_math": False,
        "bbox": {"boxstyle": "square,pad=0.1", "facecolor": (0, 0, 0, 0.45), "edgecolor": "none"},
    }  # fmt: skip
    places = {
        "left": (0.03, 0.5, "left", "center"),
        "right": (0.97, 0.5, "right", "center"),
        "top": (0.5, 0.97, "center", "top"),
        "bottom": (0.5, 0.03, "center", "bottom"),
    }
    for edge, (x, y, horizontal, vertical) in places.items():
        axes.text(x, y, letters[edge], ha=horizontal, va=vertical, **words)


def _millimetres(axes: Axes, letters: Mapping[str, str], left: bool, bottom: bool) -> None:
    axes.tick_params(labelsize=_POINTS - 1, length=2, pad=1, labelleft=left, labelbottom=bottom)
    axes.locator_params(nbins=4)
    if bottom:
        axes.set_xlabel(f"to {letters['right']} (mm)", fontsize=_POINTS, labelpad=1)
    if left:
        axes.set_ylabel(f"to {letters['top']} (mm)", fontsize=_POINTS, labelpad=1)
