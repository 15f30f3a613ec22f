"""Pictures of one slice through two volumes, whatever their grids: both are cut by the same plane of the view."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np

from slicer_notebook.commands import captures
from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.views import png
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array

Mode = Literal["blend", "checkerboard", "swipe", "side by side"]
Direction = Literal["horizontal", "vertical"]

#: Squares of the checkerboard along the picture's longer edge.
SQUARES: Final = 8
_EDGE: Final = 512


@command("view.compare", journal=False)
def compare(
    host: Host,
    a: NodeLike,
    b: NodeLike,
    view: str = "Red",
    mode: Mode = "blend",
    position: float = 0.5,
    offset: float | None = None,
    orientation: str | None = None,
    size: int | tuple[int, int] = _EDGE,
    field_of_view: tuple[float, float] | None = None,
    squares: int = SQUARES,
    direction: Direction = "horizontal",
) -> dict[str, Any]:
    """One slice through two volumes in one picture; nothing that the user sees is moved.

    Args:
        a, b: the volumes; both are seen where they are in the world, with their transforms.
        view: by which slice view; its plane, or what is asked for.
        mode: "blend" draws ``b`` over ``a`` as the view's foreground; "checkerboard" has squares of either, the first
            (left, top) of ``a``; "swipe" has ``a`` up to a border, then ``b``; "side by side" is twice as wide.
        position: of a blend, the opacity of ``b``; of a swipe, where the border is, in parts of the picture; 0 to 1.
        offset: mm along the normal; without it, the view's own where it shows one of the two, else the middle of ``a``.
        orientation: "Axial", "Sagittal", "Coronal", in any case, or "Volume" for the planes of ``a``; the view's own.
        size: (width, height) of one slice's picture, pixels, or its longer edge.
        field_of_view: mm across and down, around the view's middle; all of ``a``, around its own, without it.
        squares: of a checkerboard, along the longer edge.
        direction: of a swipe: "horizontal" has ``a`` at the left, "vertical" at the top.

    Returns:
        ``image``, uint8 [height, width, 3]; ``offset`` and ``offset_range`` (mm, of ``a``), ``offset_step``; and as
        `captures.measured` of one slice.

    Raises:
        ViewNotFoundError, NodeNotFoundError: no such view or volume.
        ArgumentError: a 3-D view, or arguments that do not fit.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    if not 0 <= position <= 1:
        raise ArgumentError("The position does not fit.", expected="0 to 1", got=str(position))
    if not 1 <= squares <= _EDGE:
        raise ArgumentError("The number of squares does not fit.", expected=f"1 to {_EDGE}", got=str(squares))
    with _Cut(host, view, a, b) as cut:
        cut.place(offset, orientation, size, field_of_view)
        picture: Array
        if mode == "blend":
            picture = cut.both(position)
        elif mode == "side by side":
            picture = np.concatenate([cut.alone(cut.a), cut.alone(cut.b)], axis=1)
        else:
            of_a, of_b = cut.alone(cut.a), cut.alone(cut.b)
            height, width = of_a.shape[:2]
            is_b = (
                _checkerboard(width, height, squares)
                if mode == "checkerboard"
                else _swiped(width, height, position, direction)
            )
            picture = np.where(is_b[..., None], of_b, of_a)
        return {"image": picture, **cut.facts()}


@command("view.compare_layers", journal=False)
def compare_layers(
    host: Host,
    a: NodeLike,
    b: NodeLike,
    view: str = "Red",
    offset: float | None = None,
    orientation: str | None = None,
    size: int | tuple[int, int] = _EDGE,
    field_of_view: tuple[float, float] | None = None,
    over: bool = True,
) -> dict[str, Any]:
    """What a front end needs to compare by itself: the pictures of which ``view.compare`` makes its own, as PNG.

    Args:
        over: with ``over`` in the result: ``b`` drawn over ``a``. A blend of opacity t is a's picture times 1 - t and
            this one times t: inside of a as the view's own blend (to one grey value); outside of a, that one shows b
            fainter than with t, since it mixes the opacities as well.

    Returns:
        ``a``, ``b``, ``over`` (PNG; None where not asked for), and all but ``image`` of ``view.compare``.

    Raises:
        As ``view.compare``.
    """
    with _Cut(host, view, a, b) as cut:
        cut.place(offset, orientation, size, field_of_view)
        of_a, of_b = cut.alone(cut.a), cut.alone(cut.b)
        both = cut.both(1.0) if over else None
        facts = cut.facts()
    return {"a": png(of_a), "b": png(of_b), "over": png(both) if both is not None else None, **facts}


class _Cut:
    """A plane through two volumes, on a view that is put back at the end."""

    def __init__(self, host: Host, view: str, a: NodeLike, b: NodeLike) -> None:
        self._host = host
        self._view: View = captures.slice_view(host, view)
        self.a = captures.volume_of(host, self._view, a)
        self.b = captures.volume_of(host, self._view, b)
        self._aside = self._view.aside()

    def __enter__(self) -> _Cut:
        self._aside.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._aside.__exit__(*raised)

    def place(
        self,
        offset: float | None,
        orientation: str | None,
        size: int | tuple[int, int],
        field: tuple[float, float] | None,
    ) -> None:
        """Put the plane where it is asked for."""
        view = self._view
        shown = {self._layers().GetBackgroundVolumeID(), self._layers().GetForegroundVolumeID()}
        stays = not shown.isdisjoint({self.a.GetID(), self.b.GetID()}) and orientation is None
        if offset is not None and not math.isfinite(offset):
            raise ArgumentError("The offset does not fit.", expected="a finite number, mm", got=str(offset))
        captures.look(self._host, view, self.a)
        if orientation is not None:
            captures.turn(view, orientation, self.a)
        captures.frame(self._host, view, self.a, size, field)
        self._range, self._step = view.offset_range, view.offset_step
        if offset is not None:
            view.offset = offset
        elif not stays:
            # A slice of a, and not what lies between two.
            low, high = self._range
            view.offset = low + round((high - low) / 2 / self._step) * self._step

    def _layers(self) -> Any:
        return captures.composite_node(self._host, self._view)

    def alone(self, volume: Any) -> Array:
        """The slice's picture of one of the two."""
        captures.look(self._host, self._view, volume)
        return self._view.image()

    def both(self, opacity: float) -> Array:
        """b over a."""
        captures.look(self._host, self._view, self.a, self.b, opacity)
        return self._view.image()

    def facts(self) -> dict[str, Any]:
        """What is to be known of the pictures."""
        return {
            **captures.measured(self._view),
            "offset_range": list(self._range),
            "offset_step": self._step,
            "size": list(self._view.size),
        }


def _checkerboard(width: int, height: int, squares: int) -> Array:
    """Which pixels are b's: bool [height, width]."""
    edge = max(1, math.ceil(max(width, height) / squares))
    rows, columns = np.arange(height) // edge, np.arange(width) // edge
    found: Array = (rows[:, None] + columns[None, :]) % 2 == 1
    return found


def _swiped(width: int, height: int, position: float, direction: Direction) -> Array:
    """Which pixels are b's: bool [height, width]; those whose middle is behind the border."""
    length = width if direction == "horizontal" else height
    behind = (np.arange(length) + 0.5) / length > position
    found: Array = np.broadcast_to(behind[None, :] if direction == "horizontal" else behind[:, None], (height, width))
    return found
