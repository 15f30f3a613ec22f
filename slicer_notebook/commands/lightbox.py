"""Many slices of a volume in one go, through a slice view that stays as it is."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slicer_notebook.commands import captures
from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError

#: Slices of one lightbox: with 256 x 256 pixels each, 200 MB.
_MOST: Final = 1024


@command("view.lightbox", journal=False)
def lightbox(
    host: Host,
    view: str = "Red",
    volume: NodeLike | None = None,
    count: int = 24,
    first: float | None = None,
    last: float | None = None,
    offsets: list[float] | None = None,
    orientation: str | None = None,
    size: int | tuple[int, int] = 256,
    field_of_view: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Pictures of many slices as a slice view would show them; the view itself stays as it is.

    Args:
        view: whose orientation, layers and ways to show things are taken; also one that the present layout hides.
        volume: alone in the background; without one, all layers of the view as they are.
        count: how many slices; fewer where the volume has not so many between first and last.
        first, last: their offsets, mm, with the others evenly between; without both, from the volume's first slice to
            its last, and each is one of its slices, so that the distances may differ by one.
        offsets: of each slice, mm, instead of these three.
        orientation: "Axial", "Sagittal", "Coronal", in any case, or "Volume" for the planes in which the volume was
            acquired; the view's present one without it.
        size: (width, height) of a picture, pixels; or its longer edge.
        field_of_view: mm across and down, around the view's middle; all of the volume, around its own, without it.

    Returns:
        ``tiles``, uint8 [n, height, width, 3]; ``offsets`` (mm); ``volume`` (its name); and as `captures.measured`:
        ``orientation``, ``extent``, ``letters``, and ``pixel_to_ras`` [n, 4, 4].

    Raises:
        ViewNotFoundError, NodeNotFoundError: no such view or volume.
        ArgumentError: a 3-D view, no volume in it, or arguments that do not fit.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    found = captures.slice_view(host, view)
    node = captures.volume_of(host, found, volume)
    with found.aside():
        if volume is not None:
            captures.look(host, found, node)
        if orientation is not None:
            captures.turn(found, orientation, node)
        chosen = _offsets(found, count, first, last) if offsets is None else _given(offsets)
        captures.frame(host, found, node, size, field_of_view)
        tiles, to_ras = [], []
        for offset in chosen:
            found.offset = offset
            tiles.append(found.image())
            to_ras.append(captures.pixel_to_ras(found))
        words = captures.measured(found)
    return {
        **words,
        "tiles": np.stack(tiles),
        "pixel_to_ras": np.stack(to_ras),
        "offsets": chosen,
        "volume": str(node.GetName() or ""),
    }


def _offsets(view: View, count: int, first: float | None, last: float | None) -> list[float]:
    """Evenly from first to last, both included; not more than there are slices."""
    low, high = view.offset_range
    step = view.offset_step if first is None and last is None else 0.0
    low, high = first if first is not None else low, last if last is not None else high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError("The offsets do not fit.", expected="finite numbers, mm", got=f"{low} to {high}")
    if not 1 <= count <= _MOST:
        raise ArgumentError("The number of slices does not fit.", expected=f"1 to {_MOST}", got=str(count))
    # 0.1 of a step is no further slice: ranges and steps are rounded on their way through matrices.
    there = math.floor(abs(high - low) / view.offset_step + 0.1) + 1
    number = min(count, there)
    even = [(low + high) / 2] if number == 1 else [float(each) for each in np.linspace(low, high, number)]
    return [low + round((each - low) / step) * step for each in even] if step > 0 else even


def _given(offsets: list[float]) -> list[float]:
    if not 1 <= len(offsets) <= _MOST or not all(map(math.isfinite, offsets)):
        raise ArgumentError(
            "The offsets do not fit.", expected=f"1 to {_MOST} finite numbers, mm", got=f"{len(offsets)}: {offsets[:8]}"
        )
    return [float(each) for each in offsets]
