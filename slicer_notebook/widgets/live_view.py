"""A view of Slicer, live in a cell."""

from __future__ import annotations

from typing import Any

import traitlets as t

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Session, View
from slicer_notebook.session.images import view_title
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.live import CssLength, LiveWidget

__all__ = ["LiveView"]


class LiveView(LiveWidget):
    """A slice or 3-D view, live: what ``slicer.view("Red").show()`` shows.

    In a slice view the left button drags window and level, the right one zooms, the middle one pans, the wheel goes
    through the slices; with shift a move shows the place in all views. In a 3-D view: left rotates, right zooms, middle
    pans. Markups can be dragged and placed; keys are Slicer's. Below a slice view a line tells what is under the
    pointer: the place, the values of the volumes, the segments.

    Args:
        view: a `View` of a session.
        width, height: pixels, or a CSS length ("80%"). The corner of the view can be dragged.
        controller: whether a slice view has the bar of `SliceController` above it.
        privacy: "strict" leaves no picture in a saved notebook.

    Raises:
        ArgumentError: ``view`` is no view, or a size that is none.
    """

    _esm = "\n".join((assets.renderview("renderview.js"), assets.esm("live_view", "live_canvas", "slice_bar")))
    _css = "\n".join((assets.renderview("renderview.css"), assets.css("live_view", "live_canvas", "slice_bar")))

    _view = t.Unicode().tag(sync=True)
    _title = t.Unicode().tag(sync=True)
    _kind = t.Unicode().tag(sync=True)
    _width = CssLength().tag(sync=True)
    _height = CssLength().tag(sync=True)

    def __init__(
        self,
        view: View,
        *,
        width: int | str = 512,
        height: int | str = 512,
        controller: bool = True,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(view, View):
            raise ArgumentError("LiveView shows a view.", expected='slicer.view("Red")', got=type(view).__name__)
        session: Session = view._session
        try:
            super().__init__(
                session,
                [view.name],
                bars=[view.name] if controller and view.kind == "slice" else [],
                privacy=privacy,
                _view=view.name,
                _title=view_title(view.name),
                _kind=view.kind,
                _width=width,
                _height=height,
                **kwargs,
            )
        except t.TraitError as exc:
            raise ArgumentError("That is no size of a view.", expected=CssLength.info_text, got=str(exc)) from None

    @property
    def name(self) -> str:
        """The view's name."""
        return str(self._view)

    def __repr__(self) -> str:
        return f"<LiveView {self._view!r} of {self._session.name!r}>"
