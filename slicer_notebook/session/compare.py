"""Two volumes in one slice: a picture of both, whatever their grids. No view moves for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands.views import png
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.images import Image

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.volumes import Volume

__all__ = ["MODES", "Comparison"]

#: How two volumes can be seen in one picture.
MODES: Final = ("blend", "checkerboard", "swipe", "side by side")


class Comparison:
    """Two volumes of a session, cut by one plane of a slice view.

    Args:
        a, b: the volumes; each is where it is in the world, with its transforms, window and level, and colours.
        view: name of the slice view whose plane and ways to show things are taken. It stays as it is.

    Raises:
        ArgumentError: no volumes, or of two sessions.
    """

    def __init__(self, a: Volume, b: Volume, view: str = "Red") -> None:
        from slicer_notebook.session.volumes import Volume

        for each in (a, b):
            if not isinstance(each, Volume):
                raise ArgumentError("Two volumes are compared.", expected="a Volume", got=type(each).__name__)
        if a._session is not b._session:
            raise ArgumentError("Two volumes of one session are compared.", expected="one session", got="two")
        self.a, self.b, self.view = a, b, view

    @property
    def session(self) -> Session:
        """The session of both."""
        return self.a._session

    def image(
        self,
        mode: str = "blend",
        position: float = 0.5,
        *,
        offset: float | None = None,
        orientation: str | None = None,
        size: int | tuple[int, int] = 512,
        field_of_view: tuple[float, float] | None = None,
        squares: int = 8,
        direction: str = "horizontal",
    ) -> Image:
        """One slice through both in one picture.

        Args:
            mode: "blend" draws ``b`` over ``a``, as the foreground of a slice view; "checkerboard" has squares of
                either, the first of ``a``; "swipe" has ``a`` up to a border, then ``b``; "side by side" is twice as
                wide.
            position: of a blend, the opacity of ``b``; of a swipe, where the border is, in parts of the picture.
            offset: mm along the normal; without it, the view's own where it shows one of the two, else the middle of
                ``a``.
            orientation: "Axial", "Sagittal", "Coronal", or "Volume" for the planes of ``a``; the view's own without it.
            size: of one slice's picture: its longer edge, or (width, height), pixels.
            field_of_view: mm across and down, around the view's middle; all of ``a``, around its own, without it.
            squares: of a checkerboard, along the longer edge.
            direction: of a swipe: "horizontal" has ``a`` at the left, "vertical" at the top.

        Raises:
            ArgumentError: arguments that do not fit.
            ViewNotFoundError: no such view.
            NodeNotFoundError: a volume is gone.
            RenderingError: nothing can be rendered where Slicer runs.
        """
        found: dict[str, Any] = self.session.call(
            "view.compare",
            a=self.a,
            b=self.b,
            view=self.view,
            mode=mode,
            position=position,
            offset=offset,
            orientation=orientation,
            size=size,
            field_of_view=field_of_view,
            squares=squares,
            direction=direction,
        )
        return Image(png(found["image"]), f"{mode} of {self.a.name} and {self.b.name}")

    def __repr__(self) -> str:
        return f"<Comparison of {self.a.name!r} and {self.b.name!r} by view {self.view!r}>"
